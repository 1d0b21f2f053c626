"""What says nothing about the provider must neither close nor open nor reset anything.

pybreaker, circuitbreaker, purgatory, aiobreaker: an excluded exception counted as success, so that failure, failure,
excluded, repeated, never opened. Polly v8: a cancelled trial closed the circuit; purgatory: three cancelled tasks opened
it; circuitbreaker: a cancel reset the count. resilience4j#1656, #989, #2013: a full bulkhead opened the circuit.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.core.scripted import Scene, scripted, status
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Permit, State
from failsoft.core.breaker_machine import Machine
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement
from failsoft.io.drive_simulated import Simulation

FAILURE, NEUTRAL = Settlement.FAILURE, Settlement.NEUTRAL


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


def test_a_full_bulkhead_tells_the_breaker_nothing() -> None:
    scene = Scene()
    adapter = scene.add("first", limit=1, max_waiting=0)
    adapter.bulkhead.try_enter()
    for _ in range(20):
        assert Simulation(scripted([]), scene.clock).drive(scene.call().run()).degraded
    assert adapter.breaker.snapshot(scene.clock.now).calls == 0


def test_a_question_that_is_refused_as_wrong_tells_the_breaker_nothing() -> None:
    scene = Scene()
    adapter = scene.add("first")
    for _ in range(20):
        Simulation(scripted([status(400)]), scene.clock).drive(scene.call().run())
    assert adapter.breaker.snapshot(scene.clock.now).calls == 0


CHECKS = (
    test_neutral_results_leave_every_total_unchanged,
    test_neutral_results_between_failures_do_not_keep_it_from_opening,
    test_a_cancelled_trial_leaves_the_breaker_half_open_and_its_place_free,
    test_a_question_that_is_refused_as_wrong_tells_the_breaker_nothing,
)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("taken_for", [Settlement.SUCCESS, Settlement.FAILURE])
def test_neutral_taken_for_something_is_found(
    check: Any, taken_for: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    conclude = Machine._conclude

    def taking(self: Machine, permit: Permit, settlement: Settlement, *how: Any) -> None:
        conclude(self, permit, taken_for if settlement is NEUTRAL else settlement, *how)

    if check is CHECKS[1] and taken_for is Settlement.FAILURE:
        return  # it opens sooner, which another check finds
    monkeypatch.setattr(Machine, "_conclude", taking)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize(
    ("fair", "check"),
    [
        (10**18, test_a_provider_that_hangs_opens_though_every_caller_gives_up),
        (0, test_impatient_callers_do_not_open_a_healthy_provider),
    ],
)
def test_a_cut_that_is_judged_without_fair_time_is_found(
    fair: int, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machine, "fair_time", lambda *_: fair)
    with pytest.raises(AssertionError):
        check()
