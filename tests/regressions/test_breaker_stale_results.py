"""The result of an attempt from before a change of state must not move the state after it, nor vanish unnoticed.

Polly#217, #218, PR#223; denoland/std#7306; k8s-breakglass#981; api7/aisix#1147; gobreaker#122. In resilience4j a late
success from before the outage closed the circuit while the trial was still running.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Permit, State
from failsoft.core.breaker_machine import Machine
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement


def admitted(breaker: Breaker, now: int) -> Permit:
    permit = breaker.acquire(now, 60 * SECOND)
    assert isinstance(permit, Permit)
    return permit


@pytest.mark.parametrize("settlement", Settlement)
def test_a_result_from_before_the_outage_changes_nothing_in_any_later_state(settlement: Settlement) -> None:
    breaker = Breaker(BreakerSettings(jitter=0), Still(), random.Random(0))
    stale = [admitted(breaker, 0) for _ in range(9)]
    for _ in range(5):
        admitted(breaker, 0).settle(Settlement.FAILURE, 0)

    def changes_nothing(now: int, expected: State) -> None:
        before = breaker.snapshot(now)
        assert before.state is expected
        for _ in range(3):
            stale.pop().settle(settlement, now, hint_ns=3_600 * SECOND, well_formed=True)
        after = breaker.snapshot(now)
        assert after.late_results == before.late_results + 3
        after.late_results = before.late_results
        assert after == before

    changes_nothing(SECOND, State.OPEN)
    now = 5 * SECOND
    trial = admitted(breaker, now)
    changes_nothing(now, State.HALF_OPEN)
    trial.settle(Settlement.SUCCESS, now)
    admitted(breaker, now).settle(Settlement.SUCCESS, now)
    changes_nothing(now, State.CLOSED)


def test_late_failures_do_not_prolong_an_opening() -> None:
    breaker = Breaker(BreakerSettings(jitter=0), Still(), random.Random(0))
    permits = [admitted(breaker, 0) for _ in range(50)]
    for now, permit in enumerate(permits):
        permit.settle(Settlement.FAILURE, now)
    assert breaker.snapshot(50).until_ns == 4 + 5 * SECOND


@pytest.mark.parametrize("settlement", Settlement)
def test_transitions_without_a_new_generation_are_found(
    settlement: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = Machine._enter

    def without(self: Machine, *moved: Any, **told: Any) -> None:
        enter(self, *moved, **told)
        self._generation = 0

    monkeypatch.setattr(Machine, "_enter", without)
    with pytest.raises(AssertionError):
        test_a_result_from_before_the_outage_changes_nothing_in_any_later_state(settlement)


def test_a_result_that_is_dropped_silently_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    conclude = Machine._conclude

    def silently(self: Machine, permit: Permit, *how: Any) -> None:
        if permit.generation == self._generation:
            conclude(self, permit, *how)

    monkeypatch.setattr(Machine, "_conclude", silently)
    with pytest.raises(AssertionError):
        test_a_result_from_before_the_outage_changes_nothing_in_any_later_state(Settlement.SUCCESS)
