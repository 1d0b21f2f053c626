"""What says nothing about the provider must neither close nor open nor reset anything.

pybreaker, circuitbreaker, purgatory, aiobreaker: an excluded exception counted as success, so that failure, failure,
excluded, repeated, never opened. Polly v8: a cancelled trial closed the circuit; purgatory: three cancelled tasks opened
it; circuitbreaker: a cancel reset the count. resilience4j#1656, #989, #2013: a full bulkhead opened the circuit.
"""

from __future__ import annotations

import random

from failsoft.core.breaker import Breaker, BreakerSettings, Permit, State
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement

FAILURE, NEUTRAL = Settlement.FAILURE, Settlement.NEUTRAL


class Still:
    def monotonic_ns(self) -> int:
        return 0

    def time_ns(self) -> int:
        return 0


def make() -> Breaker:
    return Breaker(BreakerSettings(jitter=0), Still(), random.Random(0))


def settle(breaker: Breaker, now: int, *settlements: Settlement) -> None:
    for settlement in settlements:
        permit = breaker.acquire(now, SECOND)
        assert isinstance(permit, Permit)
        permit.settle(settlement, now)


def test_neutral_results_leave_every_total_unchanged() -> None:
    breaker = make()
    settle(breaker, 0, FAILURE, *[NEUTRAL] * 500)
    seen = breaker.snapshot(0)
    assert (seen.calls, seen.failures, seen.in_flight, seen.state) == (1, 1, 0, State.CLOSED)


def test_neutral_results_between_failures_do_not_keep_it_from_opening() -> None:
    breaker = make()
    settle(breaker, 0, *[FAILURE, FAILURE, NEUTRAL] * 2, FAILURE)
    assert breaker.snapshot(0).state is State.OPEN


def test_a_cancelled_trial_leaves_the_breaker_half_open_and_its_place_free() -> None:
    breaker = make()
    settle(breaker, 0, *[FAILURE] * 5)
    for _ in range(50):
        settle(breaker, 5 * SECOND, NEUTRAL)
    seen = breaker.snapshot(5 * SECOND)
    assert (seen.state, seen.in_flight) == (State.HALF_OPEN, 0)


def test_a_provider_that_hangs_opens_though_every_caller_gives_up() -> None:
    breaker = make()
    for _ in range(5):
        permit = breaker.acquire(0, 60 * SECOND)
        assert isinstance(permit, Permit)
        permit.cut(8 * SECOND)
    assert breaker.snapshot(8 * SECOND).state is State.OPEN


def test_impatient_callers_do_not_open_a_healthy_provider() -> None:
    breaker = make()
    for _ in range(10):
        permit = breaker.acquire(0, 60 * SECOND)
        assert isinstance(permit, Permit)
        permit.settle(Settlement.SUCCESS, 4 * SECOND)
    for _ in range(200):
        permit = breaker.acquire(4 * SECOND, 60 * SECOND)
        assert isinstance(permit, Permit)
        permit.cut(6 * SECOND)
    assert breaker.snapshot(6 * SECOND).state is State.CLOSED
