"""A listener must neither replace a call's result, nor hold the breaker up, nor deadlock when it calls the breaker.

purgatory and pybreaker let a listener's KeyError replace the caller's result; gobreaker calls back under its mutex;
pybreaker holds its lock for the whole call.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Change, Permit, Refused, State
from failsoft.core.effects import SECOND
from failsoft.core.guard import Guard
from failsoft.fault import Settlement


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        permit = breaker.acquire(0, SECOND)
        assert isinstance(permit, Permit)
        permit.settle(Settlement.FAILURE, 0)


def test_a_listener_that_raises_is_counted_and_nothing_else_happens() -> None:
    def listen(change: Change) -> None:
        raise KeyError(change)

    breaker = Breaker(BreakerSettings(jitter=0), Still(), random.Random(0), listen)
    fail(breaker, 5)
    assert isinstance(breaker.acquire(5 * SECOND, SECOND), Permit)
    assert breaker.snapshot(5 * SECOND).listener_errors == 2


def test_a_listener_may_call_the_breaker() -> None:
    seen: list[tuple[State, State]] = []

    def listen(change: Change) -> None:
        seen.append((change.after, breaker.snapshot(0).state))
        breaker.peek(0)
        assert not breaker._lock.locked()
        if change.after is State.OPEN and len(seen) < 4:
            breaker.to_trial("asked by the listener", 0)

    breaker = Breaker(BreakerSettings(jitter=0), Still(), random.Random(0), listen)
    fail(breaker, 5)
    assert seen == [(State.OPEN, State.OPEN), (State.HALF_OPEN, State.HALF_OPEN)]


def test_refusals_are_fresh_values() -> None:
    breaker = Breaker(BreakerSettings(jitter=0), Still(), random.Random(0))
    fail(breaker, 5)
    first, second = breaker.acquire(0, SECOND), breaker.acquire(0, SECOND)
    assert isinstance(first, Refused)
    assert first == second
    assert first is not second


def test_a_listeners_error_that_reaches_the_caller_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guard, "_tell", lambda self, change: self._listener(change))
    with pytest.raises(KeyError):
        test_a_listener_that_raises_is_counted_and_nothing_else_happens()


def test_one_refusal_for_everybody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    the_one = Refused("open", 5 * SECOND)
    acquire = Breaker.acquire

    def again(self: Breaker, *asked: Any) -> Any:
        got = acquire(self, *asked)
        return the_one if isinstance(got, Refused) else got

    monkeypatch.setattr(Breaker, "acquire", again)
    with pytest.raises(AssertionError):
        test_refusals_are_fresh_values()
