"""The manual axis: a breaker that's forced or observed."""

from __future__ import annotations

import random

import pytest

from failsoft.core.breaker import Breaker, BreakerSettings, Cause, Change, Mode, Permit, Refused, State
from failsoft.core.effects import SECOND
from failsoft.core.quality import Quality
from failsoft.fault import Settlement
from tests.core.still import Still

SUCCESS, FAILURE = Settlement.SUCCESS, Settlement.FAILURE
STEADY = BreakerSettings(jitter=0)


def make(mode: Mode = Mode.AUTO, settings: BreakerSettings = STEADY) -> tuple[Breaker, list[Change]]:
    changes: list[Change] = []
    return Breaker(settings, Still(), random.Random(0), changes.append, mode), changes


def admitted(breaker: Breaker, at: int, remaining: int | None = None) -> Permit:
    permit = breaker.acquire(at * SECOND, 10 * SECOND, remaining_ns=remaining)
    assert isinstance(permit, Permit), permit
    return permit


def settle(breaker: Breaker, at: int, *settlements: Settlement) -> None:
    for settlement in settlements:
        admitted(breaker, at).settle(settlement, at * SECOND)


def opened() -> tuple[Breaker, list[Change]]:
    """A breaker that opened at 0, until 5 s."""
    breaker, changes = make()
    settle(breaker, 0, *[FAILURE] * 5)
    assert breaker.snapshot(0).state is State.OPEN
    return breaker, changes


# --- forced -----------------------------------------------------------------------------------------------------------


def test_a_forced_breaker_admits_while_it_is_open() -> None:
    breaker, _ = opened()
    assert breaker.peek(0) == breaker.acquire(0, SECOND) == Refused("open", 5 * SECOND)
    breaker.to_mode(Mode.FORCED, 0)
    assert breaker.peek(0) is None
    permit = admitted(breaker, 0)
    assert not permit.trial
    assert breaker.snapshot(0).state is State.OPEN


def test_what_its_attempts_tell_while_it_is_open_is_counted_and_moves_nothing() -> None:
    breaker, changes = opened()
    breaker.to_mode(Mode.FORCED, 0)
    settle(breaker, 0, *[SUCCESS, FAILURE] * 50, *[FAILURE] * 20)
    seen = breaker.snapshot(0)
    assert (seen.state, seen.calls, seen.failures, seen.mode) == (State.OPEN, 125, 75, Mode.FORCED)
    assert len(changes) == 1


def test_beneath_it_waits_tries_and_closes_by_itself() -> None:
    breaker, changes = opened()
    breaker.to_mode(Mode.FORCED, 0)
    permits = [admitted(breaker, 5) for _ in range(4)]
    assert [permit.trial for permit in permits] == [True, True, False, False]
    for permit in reversed(permits):
        permit.settle(SUCCESS, 5 * SECOND)
    assert [change.reason for change in changes] == ["consecutive", "waited", "trials_succeeded"]
    assert breaker.snapshot(5 * SECOND).calls == 0


def test_an_attempt_beside_the_trials_does_not_reopen_it() -> None:
    breaker, _ = opened()
    breaker.to_mode(Mode.FORCED, 0)
    trials, beside = [admitted(breaker, 5) for _ in range(2)], [admitted(breaker, 5) for _ in range(30)]
    for permit in beside:
        permit.settle(FAILURE, 5 * SECOND)
    assert breaker.snapshot(5 * SECOND).state is State.HALF_OPEN
    for permit in trials:
        permit.settle(FAILURE, 5 * SECOND)
    assert breaker.snapshot(5 * SECOND).state is State.OPEN


def test_a_caller_in_a_hurry_is_admitted_and_is_no_trial() -> None:
    breaker, _ = opened()
    breaker.to_mode(Mode.FORCED, 0)
    assert not admitted(breaker, 60, remaining=SECOND).trial
    assert admitted(breaker, 60).trial


def test_it_opens_beneath_and_goes_on_admitting() -> None:
    breaker, changes = make()
    breaker.to_mode(Mode.FORCED, 0)
    settle(breaker, 0, *[FAILURE] * 7)
    assert [change.after for change in changes] == [State.OPEN]
    breaker.to_mode(Mode.AUTO, 0)
    assert breaker.acquire(0, SECOND) == Refused("open", 5 * SECOND)


def test_a_forced_breaker_that_is_closed_admits_without_a_look() -> None:
    breaker, _ = make(Mode.FORCED)
    assert not breaker.must_look
    assert not admitted(breaker, 0).trial


def test_a_forced_attempt_that_outlives_the_state_is_late() -> None:
    breaker, _ = opened()
    breaker.to_mode(Mode.FORCED, 0)
    permit = admitted(breaker, 0)
    breaker.snapshot(5 * SECOND)
    permit.settle(SUCCESS, 5 * SECOND)
    assert breaker.snapshot(5 * SECOND).late_results == 1


# --- observed ---------------------------------------------------------------------------------------------------------


def test_an_observed_breaker_says_that_it_would_open_and_stays_closed() -> None:
    breaker, changes = make(Mode.OBSERVE)
    settle(breaker, 3, *[FAILURE] * 5)
    assert changes == [Change(State.CLOSED, State.CLOSED, "consecutive", None, 1, 3 * SECOND, would_open=True)]
    seen = breaker.snapshot(3 * SECOND)
    assert (seen.state, seen.calls, seen.mode) == (State.CLOSED, 0, Mode.OBSERVE)
    assert breaker.peek(3 * SECOND) is None


def test_it_takes_as_much_again_to_say_it_again() -> None:
    breaker, changes = make(Mode.OBSERVE)
    settle(breaker, 0, *[FAILURE] * 9)
    assert len(changes) == 1
    settle(breaker, 0, FAILURE)
    assert len(changes) == 2


def test_what_was_in_flight_then_is_late() -> None:
    breaker, _ = make(Mode.OBSERVE)
    permits = [admitted(breaker, 0) for _ in range(8)]
    for permit in permits:
        permit.settle(FAILURE, 0)
    seen = breaker.snapshot(0)
    assert (seen.calls, seen.late_results, seen.in_flight) == (0, 3, 0)


@pytest.mark.parametrize("cause", [Cause.WRONG_MODEL])
def test_what_opens_at_once_would_have(cause: Cause) -> None:
    breaker, changes = make(Mode.OBSERVE)
    breaker.trip(cause, 0)
    assert [(change.after, change.would_open) for change in changes] == [(State.CLOSED, True)]


def test_slow_calls_are_observed_as_well() -> None:
    breaker, changes = make(Mode.OBSERVE, BreakerSettings(jitter=0, slow_rate=80, min_calls=2))
    for _ in range(4):
        admitted(breaker, 0)
    assert breaker.peek(10 * SECOND) is None
    assert [(change.reason, change.would_open) for change in changes] == [("slow", True)]
    assert breaker.snapshot(60 * SECOND).calls == 0


def test_an_open_breaker_that_is_observed_closes() -> None:
    breaker, changes = opened()
    breaker.to_mode(Mode.OBSERVE, SECOND)
    assert breaker.peek(SECOND) is None
    assert (changes[-1].before, changes[-1].after, changes[-1].reason) == (State.OPEN, State.CLOSED, "observe")
    assert not changes[-1].would_open


def test_one_that_is_closed_already_says_nothing_of_it() -> None:
    breaker, changes = make()
    breaker.to_mode(Mode.OBSERVE, 0)
    assert changes == []
    assert breaker.mode is Mode.OBSERVE


def test_unblocking_leaves_it_closed() -> None:
    breaker, changes = make(Mode.OBSERVE)
    breaker.to_trial("unblocked", 0)
    assert changes == []
    assert not admitted(breaker, 0).trial


def test_back_to_auto_it_opens_again() -> None:
    breaker, changes = make(Mode.OBSERVE)
    breaker.to_mode(Mode.AUTO, 0)
    settle(breaker, 0, *[FAILURE] * 5)
    assert [change.after for change in changes] == [State.OPEN]


@pytest.mark.parametrize("mode", [Mode.FORCED, Mode.OBSERVE])
def test_neither_has_a_slow_start(mode: Mode) -> None:
    breaker, _ = make(settings=BreakerSettings(jitter=0, slow_start_s=30))

    def close() -> None:
        breaker.to_trial("test", 0)
        settle(breaker, 0, SUCCESS, SUCCESS)

    close()
    admitted(breaker, 0)
    assert breaker.acquire(0, SECOND) == Refused("slow_start", 0)
    breaker.to_mode(mode, 0)
    for _ in range(20):
        admitted(breaker, 0)
    if mode is Mode.FORCED:
        close()
        for _ in range(20):
            admitted(breaker, 0)


def test_whoever_says_auto_again_ends_no_slow_start() -> None:
    breaker, _ = make(settings=BreakerSettings(jitter=0, slow_start_s=30))
    breaker.to_trial("test", 0)
    settle(breaker, 0, SUCCESS, SUCCESS)
    admitted(breaker, 0)
    breaker.to_mode(Mode.AUTO, 0)
    assert breaker.acquire(0, SECOND) == Refused("slow_start", 0)


def test_one_that_would_have_opened_has_none_either() -> None:
    breaker, changes = make(Mode.OBSERVE, BreakerSettings(jitter=0, slow_start_s=30))
    settle(breaker, 0, *[FAILURE] * 25)
    assert len(changes) == 5


def test_a_slow_start_that_was_dropped_is_dropped_where_every_attempt_is_looked_at_too() -> None:
    breaker, _ = make(settings=BreakerSettings(jitter=0, slow_start_s=30, slow_rate=80))
    breaker.to_trial("test", 0)
    settle(breaker, 0, SUCCESS, SUCCESS)
    breaker.to_mode(Mode.OBSERVE, 0)
    for _ in range(20):
        admitted(breaker, 0)


def test_what_is_due_is_carried_out_before_a_mode_changes() -> None:
    breaker, changes = opened()
    breaker.to_mode(Mode.FORCED, 60 * SECOND)
    assert [change.at_ns for change in changes] == [0, 5 * SECOND]


# --- quality ----------------------------------------------------------------------------------------------------------


def quality(mode: Mode = Mode.AUTO) -> Quality:
    return Quality(Still(), random.Random(0), None, mode)


def test_a_forced_quality_breaker_gives_leave_while_it_is_open() -> None:
    each = quality()
    each.settle(0, 0, "open")
    assert isinstance(each.leave(0, SECOND), Refused)
    each.to_mode(Mode.FORCED, 0)
    assert each.peek(0) is None
    leave = each.leave(0, SECOND)
    assert not isinstance(leave, Refused)
    each.settle(leave, 0, "ok")
    assert each.snapshot(0).state is State.OPEN


def test_an_observed_quality_breaker_stays_closed() -> None:
    each = quality(Mode.OBSERVE)
    each.settle(0, 0, "open")
    for _ in range(40):
        leave = each.leave(0, SECOND)
        assert not isinstance(leave, Refused)
        each.settle(leave, 0, "fail")
    assert each.snapshot(0).state is State.CLOSED
    assert each.snapshot(0).generation == 3
