"""Callers that come together at the instant of expiry must not all be let through.

resilience4j#1432, #1090, #562, #674; Polly#216; failsafe#391; open-liberty#7080; pyfailsafe PR#31. purgatory, hyx,
circuitbreaker and aiobreaker admitted 50 of 50.
"""

from __future__ import annotations

import random
import threading

import pytest
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Change, Permit
from failsoft.core.breaker_trials import Trials
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement

pytestmark = pytest.mark.usefixtures("switching_often")


def at_the_instant_of_expiry(callers: int, concurrent: int) -> list[Permit]:
    """Those who are admitted, of so many threads that come together when an opening ends."""
    changes: list[Change] = []
    settings = BreakerSettings(jitter=0, concurrent_trials=concurrent)
    breaker = Breaker(settings, Still(), random.Random(0), changes.append)
    for _ in range(5):
        permit = breaker.acquire(0, SECOND)
        assert isinstance(permit, Permit)
        permit.settle(Settlement.FAILURE, 0)
    admitted: list[Permit] = []
    together = threading.Barrier(callers)

    def call() -> None:
        together.wait()
        if breaker.peek(5 * SECOND) is None:
            got = breaker.acquire(5 * SECOND, SECOND)
            if isinstance(got, Permit):
                admitted.append(got)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == concurrent
    assert all(permit.trial for permit in admitted)
    assert [change.reason for change in changes] == ["consecutive", "waited"]
    return admitted


@pytest.mark.parametrize("callers", [8, 32, 64])
@pytest.mark.parametrize("concurrent", [1, 2, 3])
@pytest.mark.parametrize("repetition", range(4))
def test_at_the_instant_of_expiry_exactly_so_many_are_admitted(callers: int, concurrent: int, repetition: int) -> None:
    at_the_instant_of_expiry(callers, concurrent)


@pytest.mark.parametrize("last", Settlement)
def test_those_who_settle_together_move_the_state_once(last: Settlement) -> None:
    admitted = at_the_instant_of_expiry(8, 2)
    breaker = admitted[0]._breaker
    together = threading.Barrier(32)

    def settle(permit: Permit) -> None:
        together.wait()
        permit.settle(last, 5 * SECOND)

    threads = [threading.Thread(target=settle, args=(admitted[each % 2],)) for each in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(breaker, Breaker)
    seen = breaker.snapshot(5 * SECOND)
    assert (seen.double_settles, seen.late_results) == (30, 0)
    assert seen.generation == (2 if last is Settlement.NEUTRAL else 3)
    assert seen.in_flight == 0


def test_no_limit_to_trials_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trials, "taken", lambda *_: None)
    with pytest.raises(AssertionError):
        at_the_instant_of_expiry(8, 2)


def test_changes_made_by_many_threads_are_heard_in_order() -> None:
    heard: list[int] = []
    settings = BreakerSettings(jitter=0, consecutive=1, consecutive_busy=1)
    breaker = Breaker(settings, Still(), random.Random(0), lambda change: heard.append(change.generation))

    def work() -> None:
        for _ in range(100):
            breaker.to_trial("again", 0)
            permit = breaker.acquire(0, SECOND)
            if isinstance(permit, Permit):
                permit.settle(Settlement.SUCCESS, 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == list(range(1, len(heard) + 1))
    assert breaker.snapshot(0).generation == len(heard)
