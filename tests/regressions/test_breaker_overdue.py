"""A call that's counted before it ends must be counted once, wherever its first count has gone meanwhile.

A prototype of the overdue rule passed 1,500 examples of a state machine, and then said "no call, one failure": an overdue call
failed after the bucket in which it was counted had gone (resilience specification, 1.12).
"""

from __future__ import annotations

import random

import pytest
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Permit
from failsoft.core.effects import SECOND
from failsoft.core.window import TimeWindow
from failsoft.core.window_count import CountWindow
from failsoft.fault import Settlement


def acquired(breaker: Breaker, at: int) -> Permit:
    permit = breaker.acquire(at * SECOND, 60 * SECOND)
    assert isinstance(permit, Permit)
    return permit


def test_an_overdue_call_that_fails_after_its_bucket_has_gone_is_a_whole_call() -> None:
    settings = BreakerSettings(window_s=8, buckets=4, slow_rate=80, slow_after_s=3)
    breaker = Breaker(settings, Still(), random.Random(0))
    first = acquired(breaker, 0)
    acquired(breaker, 4)
    first.settle(Settlement.FAILURE, 30 * SECOND)
    seen = breaker.snapshot(30 * SECOND)
    assert (seen.calls, seen.failures, seen.slow) == (1, 1, 1)


def test_one_that_was_pushed_out_of_a_window_of_outcomes_is_a_whole_call() -> None:
    settings = BreakerSettings(window="count", window_calls=2, min_calls=2, slow_rate=100, slow_after_s=3)
    breaker = Breaker(settings, Still(), random.Random(0))
    first = acquired(breaker, 0)
    breaker.peek(3 * SECOND)
    for _ in range(2):
        acquired(breaker, 3).settle(Settlement.SUCCESS, 3 * SECOND)
    first.settle(Settlement.FAILURE, 3 * SECOND)
    seen = breaker.snapshot(3 * SECOND)
    assert (seen.calls, seen.failures, seen.slow) == (2, 1, 1)


def test_a_failure_added_to_a_count_that_has_gone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def always(self: TimeWindow, place: int, failed: bool) -> bool:
        self.failures += failed
        return True

    monkeypatch.setattr(TimeWindow, "amend", always)
    monkeypatch.setattr(CountWindow, "amend", always)
    with pytest.raises(AssertionError):
        test_an_overdue_call_that_fails_after_its_bucket_has_gone_is_a_whole_call()
    with pytest.raises(AssertionError):
        test_one_that_was_pushed_out_of_a_window_of_outcomes_is_a_whole_call()
