"""Callers that come together at the instant of expiry must not all be let through.

resilience4j#1432, #1090, #562, #674; Polly#216; failsafe#391; open-liberty#7080; pyfailsafe PR#31. purgatory, hyx,
circuitbreaker and aiobreaker admitted 50 of 50.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator

import pytest

from failsoft.core.breaker import Breaker, BreakerSettings, Change, Permit
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement

CALLERS = 32


class Still:
    def monotonic_ns(self) -> int:
        return 0

    def time_ns(self) -> int:
        return 0


@pytest.fixture(autouse=True)
def _switching_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("concurrent", [1, 2, 3])
@pytest.mark.parametrize("repetition", range(5))
def test_at_the_instant_of_expiry_exactly_so_many_are_admitted(concurrent: int, repetition: int) -> None:
    changes: list[Change] = []
    settings = BreakerSettings(jitter=0, concurrent_trials=concurrent)
    breaker = Breaker(settings, Still(), random.Random(0), changes.append)
    for _ in range(5):
        permit = breaker.acquire(0, SECOND)
        assert isinstance(permit, Permit)
        permit.settle(Settlement.FAILURE, 0)
    admitted: list[Permit] = []
    together = threading.Barrier(CALLERS)

    def call() -> None:
        together.wait()
        got = breaker.acquire(5 * SECOND, SECOND)
        if isinstance(got, Permit):
            admitted.append(got)

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == concurrent
    assert all(permit.trial for permit in admitted)
    assert [change.reason for change in changes] == ["consecutive", "waited"]


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
