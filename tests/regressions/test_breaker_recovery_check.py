"""A provider that came back with another model must not be let in by its other trials.

No library asks more of a trial than an answer. Ours did, in two steps (the trial was neutral, then the breaker was opened): another
trial's success between them closed it, and the opening, which a closed breaker doesn't know, was dropped.
"""

from __future__ import annotations

import random

import pytest
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Cause, Change, Permit, State
from failsoft.core.breaker_machine import Machine
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement


def half_open() -> tuple[Breaker, list[Change]]:
    changes: list[Change] = []
    breaker = Breaker(BreakerSettings(jitter=0), Still(), random.Random(0), changes.append)
    breaker.to_trial("test", 0)
    return breaker, changes


def acquired(breaker: Breaker, at: int = 0) -> Permit:
    permit = breaker.acquire(at, SECOND)
    assert isinstance(permit, Permit)
    return permit


def test_one_trial_that_another_model_answered_opens_it_whatever_the_others_say() -> None:
    breaker, changes = half_open()
    acquired(breaker).settle(Settlement.SUCCESS, 0)
    good, wrong = acquired(breaker), acquired(breaker)
    wrong.fail_check(0)
    good.settle(Settlement.SUCCESS, 0)
    seen = breaker.snapshot(0)
    assert (seen.state, seen.late_results, seen.trips) == (State.OPEN, 1, 1)
    assert [change.reason for change in changes] == ["test", "recovery_check"]


def test_it_is_no_step_to_probation() -> None:
    breaker, _ = half_open()
    for _ in range(2):
        acquired(breaker).settle(Settlement.NEUTRAL, 0, well_formed=True)
    acquired(breaker).fail_check(0)
    assert breaker.snapshot(0).state is State.OPEN


def test_it_costs_a_trip_each_time() -> None:
    breaker, changes = half_open()
    for _ in range(3):
        acquired(breaker, breaker.snapshot(0).until_ns).fail_check(breaker.snapshot(0).until_ns)
    opened = [change for change in changes if change.after is State.OPEN]
    waits = [(change.until_ns or 0) - change.at_ns for change in opened]
    assert waits == [5 * SECOND, 10 * SECOND, 20 * SECOND]


@pytest.mark.parametrize("why", ["its lease ended", "the state changed", "it was settled"])
def test_one_that_is_late_changes_nothing(why: str) -> None:
    breaker, changes = half_open()
    permit, now = acquired(breaker), 0
    if why == "its lease ended":
        now = 30 * SECOND
    elif why == "the state changed":
        breaker.to_trial("again", 0)
    else:
        permit.settle(Settlement.NEUTRAL, 0)
    permit.fail_check(now)
    seen = breaker.snapshot(now)
    assert (seen.state, seen.late_results + seen.double_settles) == (State.HALF_OPEN, 1)
    assert "recovery_check" not in [change.reason for change in changes]


def test_one_that_is_no_trial_says_nothing() -> None:
    breaker = Breaker(BreakerSettings(), Still(), random.Random(0))
    acquired(breaker).fail_check(0)
    seen = breaker.snapshot(0)
    assert (seen.state, seen.calls, seen.in_flight) == (State.CLOSED, 0, 0)


def test_an_opening_is_told_at_once() -> None:
    breaker, changes = half_open()
    acquired(breaker).fail_check(0)
    assert changes[-1].reason == "recovery_check"


def test_two_steps_with_a_success_between_them_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    conclude, settle = Machine._conclude, Permit.settle
    due: list[Permit] = []

    def first_step(self: Machine, permit: Permit, now: int) -> None:
        conclude(self, permit, Settlement.NEUTRAL, now, None, False)
        due.append(permit)

    monkeypatch.setattr(Machine, "_fail_check", first_step)

    def then_the_second(self: Permit, *how: Settlement, **more: object) -> None:
        settle(self, *how, **more)  # type: ignore[arg-type]
        if due:
            due.pop()._breaker._move(Cause.RECOVERY_CHECK, 0)

    monkeypatch.setattr(Permit, "settle", then_the_second)
    with pytest.raises(AssertionError, match="CLOSED"):
        test_one_trial_that_another_model_answered_opens_it_whatever_the_others_say()
