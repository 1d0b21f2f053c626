"""Zero is a figure, and not a word for "take the default".

circuitbreaker read 0 as "not given". Here 0 may be what remains of a deadline, a provider's hint, an attempt's timeout.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Permit, Refused
from failsoft.core.effects import SECOND
from failsoft.core.throttle import Throttle
from failsoft.errors import ConfigurationError
from failsoft.fault import Settlement


def half_open() -> Breaker:
    breaker = Breaker(BreakerSettings(jitter=0, lease_slack_s=0), Still(), random.Random(0))
    breaker.to_trial("test", 0)
    return breaker


def test_a_caller_with_no_time_left_is_no_trial() -> None:
    assert half_open().peek(0, remaining_ns=0) == Refused("deadline_too_short", 0)
    assert half_open().acquire(0, SECOND, remaining_ns=0) == Refused("deadline_too_short", 0)


def test_a_trial_without_time_is_lost_at_once() -> None:
    breaker = half_open()
    breaker.acquire(0, 0)
    assert breaker.snapshot(0).in_flight == 0


def test_a_hint_of_nothing_is_a_hint() -> None:
    throttle = Throttle(random.Random(0))
    throttle.throttled(0, 0)
    assert 0 < throttle.until(0) <= SECOND // 5


@pytest.mark.parametrize("name", ["min_calls", "consecutive", "trials", "successes_to_close", "window_s", "buckets"])
def test_a_figure_of_zero_is_refused_where_it_makes_no_sense_and_never_replaced(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        BreakerSettings(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("owner", "method", "check"),
    [
        (Breaker, "peek", test_a_caller_with_no_time_left_is_no_trial),
        (Throttle, "throttled", test_a_hint_of_nothing_is_a_hint),
    ],
)
def test_zero_taken_for_none_is_found(owner: Any, method: str, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(owner, method)

    def without_zeros(self: Any, now: int, *given: Any, **named: Any) -> Any:
        return original(self, now, *[each or None for each in given], **{name: named[name] or None for name in named})

    monkeypatch.setattr(owner, method, without_zeros)
    with pytest.raises(AssertionError):
        check()


def test_a_lease_of_nothing_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    acquire = Breaker.acquire
    monkeypatch.setattr(Breaker, "acquire", lambda self, now, timeout: acquire(self, now, timeout or 60 * SECOND))
    with pytest.raises(AssertionError):
        test_a_trial_without_time_is_lost_at_once()


def test_a_permit_is_not_a_truth_value() -> None:
    """`with breaker:` ran while it was open: here a refusal is a value of another type, and nobody enters by mistake."""
    permit = half_open().acquire(0, SECOND)
    assert isinstance(permit, Permit)
    assert not hasattr(permit, "__enter__")
    permit.settle(Settlement.NEUTRAL, 0)
