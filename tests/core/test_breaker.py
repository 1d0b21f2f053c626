from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable

import pytest

from failsoft.core.breaker import Breaker, BreakerSettings, Change, Mode, Permit, Refused, State
from failsoft.core.breaker_peers import asked_at
from failsoft.core.breaker_states import TRANSITIONS, Cause
from failsoft.core.effects import SECOND
from failsoft.errors import ConfigurationError
from failsoft.fault import Settlement
from tests.core.still import Still

SUCCESS, FAILURE, NEUTRAL = Settlement.SUCCESS, Settlement.FAILURE, Settlement.NEUTRAL
TIMEOUT = 10 * SECOND
STEADY = BreakerSettings(jitter=0)


def make(settings: BreakerSettings = STEADY, on_change: Callable[[Change], None] | None = None) -> Breaker:
    return Breaker(settings, Still(), random.Random(0), on_change)


def admitted(breaker: Breaker, now: int, timeout: int = TIMEOUT, call: object = None) -> Permit:
    permit = breaker.acquire(now, timeout, call=call)
    assert isinstance(permit, Permit), permit
    return permit


def refused(breaker: Breaker, now: int, remaining: int | None = None) -> Refused:
    refusal = breaker.acquire(now, TIMEOUT, remaining_ns=remaining)
    assert isinstance(refusal, Refused)
    return refusal


def settle(breaker: Breaker, now: int, *settlements: Settlement, **details: bool) -> None:
    for settlement in settlements:
        admitted(breaker, now).settle(settlement, now, **details)


def opened(now: int = 0) -> Breaker:
    """A breaker that opened at `now`, until 5 s later."""
    breaker = make()
    settle(breaker, now, *[FAILURE] * 5)
    assert breaker.snapshot(now).state is State.OPEN
    return breaker


def state(breaker: Breaker, now: int) -> State:
    return breaker.snapshot(now).state


# --- opening ----------------------------------------------------------------------------------------------------------


def test_a_new_breaker_admits() -> None:
    breaker = make()
    assert breaker.peek(0) is None
    assert not admitted(breaker, 0).trial


def test_five_failures_in_a_row_open() -> None:
    breaker = make()
    settle(breaker, 0, *[FAILURE] * 4)
    assert state(breaker, 0) is State.CLOSED
    settle(breaker, 0, FAILURE)
    assert state(breaker, 0) is State.OPEN


def test_ten_in_a_row_are_needed_once_the_window_holds_fifty() -> None:
    breaker = make()
    settle(breaker, 0, *[SUCCESS] * 50, *[FAILURE] * 9)
    assert state(breaker, 0) is State.CLOSED
    settle(breaker, 0, FAILURE)
    assert state(breaker, 0) is State.OPEN


def test_half_of_twenty_calls_failing_opens_even_if_the_twentieth_succeeds() -> None:
    breaker = make()
    settle(breaker, 0, *[FAILURE, FAILURE, SUCCESS] * 6, FAILURE)
    assert state(breaker, 0) is State.CLOSED
    settle(breaker, 0, SUCCESS)
    assert state(breaker, 0) is State.OPEN


def test_99_of_199_are_not_half() -> None:
    breaker = make()
    settle(breaker, 0, SUCCESS, *[SUCCESS, FAILURE] * 99)
    assert state(breaker, 0) is State.CLOSED


def test_exactly_half_is_enough() -> None:
    breaker = make(BreakerSettings(jitter=0))
    settle(breaker, 0, *[FAILURE, SUCCESS] * 9, SUCCESS)
    assert state(breaker, 0) is State.CLOSED
    settle(breaker, 0, FAILURE)
    assert state(breaker, 0) is State.OPEN


@pytest.mark.parametrize(("successes", "after"), [(44, State.OPEN), (45, State.CLOSED)])
def test_the_longer_run_is_asked_for_from_the_fiftieth_call_on(successes: int, after: State) -> None:
    breaker = make()
    settle(breaker, 0, *[SUCCESS] * successes, *[FAILURE] * 5)
    assert state(breaker, 0) is after


@pytest.mark.parametrize(("successes", "after"), [(14, State.OPEN), (15, State.CLOSED)])
def test_one_entry_per_call_is_the_rule_from_the_twentieth_call_on(successes: int, after: State) -> None:
    breaker = make()
    settle(breaker, 0, *[SUCCESS] * successes)
    for _ in range(5):
        admitted(breaker, 0, call="poison").settle(FAILURE, 0)
    assert state(breaker, 0) is after


def test_what_is_in_flight_keeps_fast_failures_from_opening() -> None:
    breaker = make(BreakerSettings(consecutive=100, consecutive_busy=100))
    in_flight = [admitted(breaker, 0) for _ in range(40)]
    settle(breaker, 0, *[FAILURE] * 30)
    assert state(breaker, 0) is State.CLOSED
    for permit in in_flight:
        permit.settle(SUCCESS, 0)
    assert state(breaker, 0) is State.CLOSED


def test_what_was_lost_does_not_count_as_in_flight_for_ever() -> None:
    breaker = make(BreakerSettings(consecutive=100, consecutive_busy=100))
    for _ in range(40):
        admitted(breaker, 0)
    later = 20 * SECOND
    settle(breaker, later, *[FAILURE] * 20)
    assert state(breaker, later) is State.OPEN


def test_a_slow_success_that_started_later_clears_the_fast_failures_before_it() -> None:
    breaker = make()
    failing = [admitted(breaker, 0) for _ in range(5)]
    working = admitted(breaker, 0)
    for permit in failing[:4]:
        permit.settle(FAILURE, SECOND)
    working.settle(SUCCESS, 2 * SECOND)
    failing[4].settle(FAILURE, 3 * SECOND)
    assert state(breaker, 3 * SECOND) is State.CLOSED


def test_the_failures_of_one_call_are_one_entry_in_a_busy_window() -> None:
    breaker = make()
    settle(breaker, 0, *[SUCCESS] * 20)
    for _ in range(8):
        admitted(breaker, 0, call="poison").settle(FAILURE, 0)
    assert state(breaker, 0) is State.CLOSED
    for other in range(4):
        admitted(breaker, 0, call=other).settle(FAILURE, 0)
    assert state(breaker, 0) is State.OPEN


def test_the_failures_of_one_call_all_count_in_a_quiet_window() -> None:
    breaker = make()
    for _ in range(5):
        admitted(breaker, 0, call="only").settle(FAILURE, 0)
    assert state(breaker, 0) is State.OPEN


# --- open -------------------------------------------------------------------------------------------------------------


def test_an_open_breaker_says_how_long() -> None:
    breaker = opened()
    assert refused(breaker, SECOND) == Refused("open", 4 * SECOND)
    assert breaker.peek(SECOND) == Refused("open", 4 * SECOND)


def test_it_is_open_to_the_last_nanosecond() -> None:
    breaker = opened()
    assert breaker.peek(5 * SECOND - 1) == refused(breaker, 5 * SECOND - 1) == Refused("open", 1)
    assert admitted(breaker, 5 * SECOND).trial


def test_under_the_lock_too_an_open_breaker_refuses() -> None:
    breaker = opened()
    assert breaker._look_and_acquire(SECOND, 0, None, None) == Refused("open", 4 * SECOND)


def test_looking_does_not_change_the_state() -> None:
    breaker = opened()
    assert breaker.peek(5 * SECOND) is None
    assert breaker._state is State.OPEN


def test_it_stays_open_while_the_clock_stands_still() -> None:
    breaker = opened()
    assert all(isinstance(breaker.acquire(0, TIMEOUT), Refused) for _ in range(1000))


def test_each_opening_is_longer_up_to_the_cap() -> None:
    breaker, now, waits = opened(), 0, []
    for _ in range(7):
        waits.append(refused(breaker, now).retry_after_ns // SECOND)
        now = breaker.snapshot(now).until_ns
        for permit in [admitted(breaker, now), admitted(breaker, now)]:
            permit.settle(FAILURE, now)
    assert waits == [5, 10, 20, 40, 60, 60, 60]
    assert breaker.snapshot(now).trips == 5


def test_closing_empties_the_window() -> None:
    breaker, now = opened(), 5 * SECOND
    settle(breaker, now, SUCCESS, SUCCESS)
    seen = breaker.snapshot(now)
    assert (seen.state, seen.calls, seen.failures) == (State.CLOSED, 0, 0)
    assert breaker.snapshot(now - SECOND).trips == 1, "a clock that lags behind gives no trip"


def test_healthy_minutes_take_trips_back() -> None:
    breaker = opened()
    now = 5 * SECOND
    for permit in [admitted(breaker, now), admitted(breaker, now)]:
        permit.settle(SUCCESS, now)
    assert breaker.snapshot(now + 59 * SECOND).trips == 1
    assert breaker.snapshot(now + 60 * SECOND).trips == 0


def test_healthy_minutes_count_from_the_moment_at_which_it_closed() -> None:
    breaker = opened()
    for permit in [admitted(breaker, 5 * SECOND), admitted(breaker, 5 * SECOND)]:
        permit.settle(SUCCESS, 15 * SECOND)
    assert breaker.snapshot(75 * SECOND - 1).trips == 1
    assert breaker.snapshot(75 * SECOND).trips == 0


def test_after_healthy_minutes_an_opening_is_a_first_one_again() -> None:
    breaker = opened()
    settle(breaker, 5 * SECOND, SUCCESS, SUCCESS)
    later = 600 * SECOND
    settle(breaker, later, *[FAILURE] * 5)
    assert refused(breaker, later) == Refused("open", 5 * SECOND)


def test_a_call_that_failed_before_it_closed_again_is_an_entry_again() -> None:
    breaker = make()
    for _ in range(5):
        admitted(breaker, 0, call="once").settle(FAILURE, 0)
    now = 5 * SECOND
    settle(breaker, now, SUCCESS, SUCCESS, *[SUCCESS] * 20)
    admitted(breaker, now, call="once").settle(FAILURE, now)
    settle(breaker, now, *[FAILURE] * 4)
    assert state(breaker, now) is State.OPEN


@pytest.mark.parametrize(
    ("hint", "seconds"), [(None, 5), (SECOND, 5), (30 * SECOND, 30), (10**6 * SECOND, 3_600), (-SECOND, 5)]
)
def test_an_opening_lasts_as_long_as_the_provider_said(hint: int | None, seconds: int) -> None:
    breaker = make()
    settle(breaker, 0, *[FAILURE] * 4)
    admitted(breaker, 0).settle(FAILURE, 0, hint_ns=hint)
    assert refused(breaker, 0).retry_after_ns == seconds * SECOND


def test_the_jitter_comes_before_the_cap() -> None:
    longest = max(
        refused(breaker, 0).retry_after_ns
        for seed in range(50)
        if (breaker := Breaker(BreakerSettings(open_base_s=60), Still(), random.Random(seed)))
        and not settle(breaker, 0, *[FAILURE] * 5)
    )
    assert longest == 60 * SECOND


# --- half open --------------------------------------------------------------------------------------------------------


def test_two_successes_of_three_close() -> None:
    breaker, now = opened(), 5 * SECOND
    first, second = admitted(breaker, now), admitted(breaker, now)
    assert first.trial
    first.settle(SUCCESS, now)
    second.settle(FAILURE, now)
    assert state(breaker, now) is State.HALF_OPEN
    admitted(breaker, now).settle(SUCCESS, now)
    assert state(breaker, now) is State.CLOSED


def test_it_opens_again_as_soon_as_two_successes_are_out_of_reach() -> None:
    breaker, now = opened(), 5 * SECOND
    first, second = admitted(breaker, now), admitted(breaker, now)
    first.settle(FAILURE, now)
    second.settle(FAILURE, now)
    assert refused(breaker, now) == Refused("open", 10 * SECOND)


def test_at_most_two_trials_are_out_at_once() -> None:
    breaker, now = opened(), 5 * SECOND
    first = admitted(breaker, now)
    assert breaker.peek(now) is None
    admitted(breaker, now + SECOND)
    assert refused(breaker, now + SECOND) == Refused("trials_taken", 11 * SECOND)
    assert breaker.peek(now + SECOND) == Refused("trials_taken", 11 * SECOND)
    first.settle(NEUTRAL, now)
    assert breaker.peek(now) is None


def test_a_lost_trial_has_failed_when_its_lease_ended_not_when_somebody_looks() -> None:
    changes: list[Change] = []
    breaker = make(on_change=changes.append)
    settle(breaker, 0, *[FAILURE] * 5)
    for _ in range(2):
        admitted(breaker, 5 * SECOND)
    hours_later = 5 * 3_600 * SECOND
    assert admitted(breaker, hours_later).trial
    reopened = changes[2]
    assert (reopened.reason, reopened.at_ns) == ("trials_failed", (5 + 10 + 2) * SECOND)
    assert reopened.until_ns == (5 + 10 + 2 + 10) * SECOND
    assert [change.at_ns for change in changes[3:]] == [reopened.until_ns]


def test_a_look_writes_lost_trials_off_and_tells_of_it() -> None:
    changes: list[Change] = []
    breaker = make(on_change=changes.append)
    settle(breaker, 0, *[FAILURE] * 5)
    for _ in range(2):
        admitted(breaker, 5 * SECOND)
    assert breaker.peek(18 * SECOND) == Refused("open", 9 * SECOND)
    assert changes[-1].after is State.OPEN


def test_a_trial_that_settles_after_its_lease_is_a_late_result() -> None:
    breaker, now = opened(), 5 * SECOND
    lost = admitted(breaker, now)
    lost.settle(SUCCESS, now + 12 * SECOND)
    seen = breaker.snapshot(now + 12 * SECOND)
    assert (seen.late_results, seen.in_flight, seen.state) == (1, 0, State.HALF_OPEN)
    admitted(breaker, now + 12 * SECOND).settle(FAILURE, now + 12 * SECOND)
    assert state(breaker, now + 12 * SECOND) is State.OPEN


def test_a_trial_wants_a_caller_with_fair_time() -> None:
    breaker, now = opened(), 5 * SECOND
    assert refused(breaker, now, remaining=4 * SECOND) == Refused("deadline_too_short", 0)
    assert breaker.peek(now, remaining_ns=4 * SECOND) == Refused("deadline_too_short", 0)
    assert isinstance(breaker.acquire(now, TIMEOUT, remaining_ns=5 * SECOND), Permit)


def test_where_no_caller_has_fair_time_one_in_five_seconds_is_asked_to_leave_its_trial_running() -> None:
    breaker = opened()
    asked = []
    for now in (5 * SECOND, 10 * SECOND - 1, 10 * SECOND, 10 * SECOND, 15 * SECOND - 1, 15 * SECOND):
        refusal = breaker.acquire(now, TIMEOUT, remaining_ns=SECOND)
        assert isinstance(refusal, Refused)
        asked.append(refusal.detach)
    assert asked == [False, False, True, False, False, True]


def test_a_trial_that_went_puts_off_the_next_that_runs_on_without_its_caller() -> None:
    breaker = opened()
    admitted(breaker, 8 * SECOND).settle(NEUTRAL, 8 * SECOND)
    assert not refused(breaker, 13 * SECOND - 1, remaining=SECOND).detach
    assert refused(breaker, 13 * SECOND, remaining=SECOND).detach


def test_a_half_open_breaker_still_shows_what_opened_it() -> None:
    seen = opened().snapshot(5 * SECOND)
    assert (seen.state, seen.calls, seen.failures) == (State.HALF_OPEN, 5, 5)


def test_nobody_is_asked_to_leave_a_trial_running_while_there_is_no_place_for_one() -> None:
    breaker, now = opened(), 5 * SECOND
    for _ in range(2):
        admitted(breaker, now, timeout=60 * SECOND)
    assert refused(breaker, now + 20 * SECOND, remaining=SECOND) == Refused("trials_taken", 42 * SECOND)


def test_an_impatient_look_at_an_open_breaker_whose_time_has_come_is_refused_as_a_trial_would_be() -> None:
    assert opened().peek(5 * SECOND, remaining_ns=SECOND) == Refused("deadline_too_short", 0)


def test_three_neutral_trials_with_a_whole_reply_close_on_probation_and_keep_the_trips() -> None:
    breaker, now = opened(), 5 * SECOND
    settle(breaker, now, *[NEUTRAL] * 2, well_formed=True)
    assert state(breaker, now) is State.HALF_OPEN
    settle(breaker, now, NEUTRAL, well_formed=True)
    seen = breaker.snapshot(now)
    assert (seen.state, seen.trips) == (State.CLOSED, 1)


def test_neutral_trials_without_a_reply_prove_nothing() -> None:
    breaker, now = opened(), 5 * SECOND
    settle(breaker, now, *[NEUTRAL] * 50)
    assert state(breaker, now) is State.HALF_OPEN


@pytest.mark.parametrize("between", [SUCCESS, FAILURE])
def test_a_success_or_failure_between_neutral_trials_starts_their_count_anew(between: Settlement) -> None:
    breaker, now = opened(), 5 * SECOND
    settle(breaker, now, NEUTRAL, NEUTRAL, between, NEUTRAL, NEUTRAL, well_formed=True)
    assert state(breaker, now) is State.HALF_OPEN
    settle(breaker, now, NEUTRAL, well_formed=True)
    assert state(breaker, now) is State.CLOSED


def test_to_trial_leads_to_half_open_from_anywhere_and_keeps_trips() -> None:
    breaker = opened()
    breaker.to_trial("unblocked", SECOND)
    seen = breaker.snapshot(SECOND)
    assert (seen.state, seen.trips, seen.generation) == (State.HALF_OPEN, 1, 2)
    assert admitted(breaker, SECOND).trial


def test_what_was_due_before_to_trial_is_told_before_it() -> None:
    changes: list[Change] = []
    breaker = make(on_change=changes.append)
    settle(breaker, 0, *[FAILURE] * 5)
    breaker.to_trial("unblocked", 9 * SECOND)
    assert [(change.reason, change.at_ns) for change in changes[1:]] == [
        ("waited", 5 * SECOND), ("unblocked", 9 * SECOND),
    ]  # fmt: skip


def test_to_trial_makes_a_running_trial_a_late_result() -> None:
    breaker = opened()
    running = admitted(breaker, 5 * SECOND)
    breaker.to_trial("blocked", 6 * SECOND)
    running.settle(SUCCESS, 7 * SECOND)
    seen = breaker.snapshot(7 * SECOND)
    assert (seen.late_results, seen.in_flight) == (1, 0)


def test_a_breaker_that_opens_again_before_its_old_until_stays_open_until_then() -> None:
    breaker = make()
    settle(breaker, 0, *[FAILURE] * 4)
    admitted(breaker, 0).settle(FAILURE, 0, hint_ns=100 * SECOND)
    breaker.to_trial("unblocked", SECOND)
    for permit in [admitted(breaker, SECOND), admitted(breaker, SECOND)]:
        permit.settle(FAILURE, SECOND)
    assert breaker.snapshot(SECOND).until_ns == 100 * SECOND


# --- permits ----------------------------------------------------------------------------------------------------------


def test_settling_twice_counts_once_and_is_noticed() -> None:
    breaker = make()
    permit = admitted(breaker, 0)
    permit.settle(SUCCESS, 0)
    permit.settle(FAILURE, 0)
    seen = breaker.snapshot(0)
    assert (seen.calls, seen.failures, seen.double_settles) == (1, 0, 1)


def test_an_abandoned_permit_is_neutral_for_whoever_comes_next() -> None:
    breaker = make()
    admitted(breaker, 0).abandon()
    assert breaker.snapshot(0).in_flight == 0
    admitted(breaker, 0).abandon()
    admitted(breaker, 0)
    seen = breaker.snapshot(0)
    assert (seen.in_flight, seen.calls) == (1, 0)


def test_what_was_abandoned_is_not_in_flight_for_the_next_failures() -> None:
    breaker = make(BreakerSettings(consecutive=100, consecutive_busy=100))
    for _ in range(40):
        admitted(breaker, 0).abandon()
    settle(breaker, 0, *[FAILURE] * 20)
    assert isinstance(breaker.acquire(0, TIMEOUT), Refused)


def test_an_abandoned_trial_gives_its_place_back_even_after_its_lease() -> None:
    breaker, now = opened(), 5 * SECOND
    for _ in range(2):
        admitted(breaker, now).abandon()
    later = now + 60 * SECOND
    assert breaker.peek(later) is None
    assert state(breaker, later) is State.HALF_OPEN


def test_trials_that_were_abandoned_have_not_failed_when_their_leases_end() -> None:
    breaker, now = opened(), 5 * SECOND
    for permit in [admitted(breaker, now), admitted(breaker, now)]:
        permit.abandon()
    seen = breaker.snapshot(now + 60 * SECOND)
    assert (seen.state, seen.generation, seen.trips) == (State.HALF_OPEN, 2, 1)


def test_trials_that_counted_take_places_as_those_that_are_out_do() -> None:
    breaker = opened()
    now = 5 * SECOND
    settle(breaker, now, SUCCESS, FAILURE)
    admitted(breaker, now)
    assert refused(breaker, now).reason == "trials_taken"


def test_a_trial_that_was_abandoned_and_is_settled_all_the_same_is_settled_twice() -> None:
    breaker = opened()
    trial = admitted(breaker, 5 * SECOND)
    trial.abandon()
    breaker.peek(5 * SECOND)
    trial.settle(SUCCESS, 5 * SECOND)
    seen = breaker.snapshot(5 * SECOND)
    assert (seen.double_settles, seen.late_results) == (1, 0)


def test_abandoning_a_settled_permit_does_nothing() -> None:
    breaker = make()
    permit = admitted(breaker, 0)
    permit.abandon()
    permit.settle(FAILURE, 0)
    permit.abandon()
    seen = breaker.snapshot(0)
    assert (seen.failures, seen.double_settles, seen.in_flight) == (1, 0, 0)


def test_the_garbage_collector_may_give_back_while_the_lock_is_held() -> None:
    breaker = make()

    def call() -> object:
        permit = admitted(breaker, 0)
        try:
            yield
        except GeneratorExit:
            permit.abandon()
            raise

    running = call()
    next(running)  # type: ignore[call-overload]
    with breaker._lock:
        del running
        gc.collect()
    assert breaker.snapshot(0).in_flight == 0


def test_a_cut_before_fair_time_is_neutral_and_after_it_a_failure() -> None:
    breaker = make()
    short, long = admitted(breaker, 9 * SECOND), admitted(breaker, 9 * SECOND)
    short.cut(14 * SECOND - 1)
    assert breaker.snapshot(9 * SECOND).calls == 0
    long.cut(14 * SECOND)
    assert breaker.snapshot(9 * SECOND).failures == 1


@pytest.mark.parametrize(("took", "fair"), [(100, 1_000), (2_000, 4_000), (40_000, 60_000)])
def test_fair_time_is_twice_the_median_within_its_bounds(took: int, fair: int) -> None:
    breaker = make()
    for _ in range(10):
        admitted(breaker, 9 * SECOND).settle(SUCCESS, 9 * SECOND + took * 1_000_000)
    assert breaker.fair_time(9 * SECOND + took * 1_000_000) == fair * 1_000_000


def test_the_answers_of_trials_count_for_fair_time_however_long_it_was_open() -> None:
    breaker = make(BreakerSettings(trials=100, successes_to_close=100))
    now = 3_600 * SECOND
    breaker.to_trial("unblocked", now)
    settle(breaker, now, *[SUCCESS] * 10)
    assert breaker.fair_time(now) == SECOND


def test_old_answers_leave_fair_time_unknown() -> None:
    breaker = make()
    settle(breaker, 0, *[SUCCESS] * 20)
    assert breaker.fair_time(60 * SECOND - 1) == SECOND
    assert breaker.fair_time(60 * SECOND) == 5 * SECOND


def test_a_look_by_a_clock_that_lags_behind_changes_nothing() -> None:
    breaker, now = make(), 100 * SECOND
    settle(breaker, now, FAILURE)
    assert breaker.snapshot(SECOND).failures == 1
    assert breaker.snapshot(now).failures == 1


# --- what opens at once -----------------------------------------------------------------------------------------------


def test_a_block_that_begins_makes_late_results_of_trials_that_are_out() -> None:
    breaker = make()
    breaker.to_trial("unblocked", 0)
    permits = [admitted(breaker, 0), admitted(breaker, 0)]
    breaker.blocked(SECOND)
    for each in permits:
        each.settle(SUCCESS, 2 * SECOND)
    seen = breaker.snapshot(2 * SECOND)
    assert (seen.state, seen.late_results) == (State.HALF_OPEN, 2)


def test_a_block_that_begins_is_told_at_once_after_what_was_due_before_it() -> None:
    told: list[Change] = []
    breaker = make(on_change=told.append)
    settle(breaker, 0, *[FAILURE] * 5)
    breaker.blocked(6 * SECOND)
    assert [(change.reason, change.at_ns) for change in told[1:]] == [
        ("waited", 5 * SECOND), ("blocked", 6 * SECOND),
    ]  # fmt: skip


@pytest.mark.parametrize("state", [State.CLOSED, State.OPEN])
def test_a_block_that_begins_leaves_other_states_as_they_are(state: State) -> None:
    breaker = make() if state is State.CLOSED else opened()
    generation = breaker.snapshot(0).generation
    breaker.blocked(0)
    assert (breaker.snapshot(0).state, breaker.snapshot(0).generation) == (state, generation)


def test_another_model_opens_a_breaker_whose_time_has_come_again() -> None:
    breaker = opened()
    breaker.trip(Cause.WRONG_MODEL, 5 * SECOND)
    assert refused(breaker, 5 * SECOND) == Refused("open", 10 * SECOND)


def test_what_the_table_does_not_have_changes_nothing() -> None:
    changes: list[Change] = []
    breaker = make(on_change=changes.append)
    breaker.trip(Cause.RECOVERY_CHECK, 0)
    assert (changes, breaker.snapshot(0).state) == ([], State.CLOSED)


def test_a_change_is_told_at_once_whatever_made_it() -> None:
    heard: list[str] = []
    breaker = make(on_change=lambda change: heard.append(change.reason))
    breaker.to_trial("unblocked", 0)
    assert heard == ["unblocked"]
    breaker.trip(Cause.WRONG_MODEL, 0)
    assert heard == ["unblocked", "wrong_model"]


# --- listeners, fork, settings ----------------------------------------------------------------------------------------


def test_a_snapshot_tells_at_once_of_what_was_due() -> None:
    told: list[Change] = []
    breaker = make(on_change=told.append)
    settle(breaker, 0, *[FAILURE] * 5)
    breaker.snapshot(5 * SECOND)
    assert [change.reason for change in told] == ["consecutive", "waited"]


def test_a_snapshot_holds_nothing_that_has_left_the_window() -> None:
    breaker = make()
    settle(breaker, 0, FAILURE, SUCCESS)
    assert breaker.snapshot(60 * SECOND - 1).calls == 2
    seen = breaker.snapshot(60 * SECOND)
    assert (seen.calls, seen.failures) == (0, 0)


def test_in_flight_of_a_half_open_breaker_are_its_trials() -> None:
    breaker = make()
    breaker.to_trial("unblocked", 0)
    trial = admitted(breaker, 0)
    assert breaker.snapshot(0).in_flight == 1
    trial.settle(NEUTRAL, 0)
    assert breaker.snapshot(0).in_flight == 0


def test_it_knows_when_somebody_was_last_refused() -> None:
    breaker = opened()
    breaker.peek(3 * SECOND)
    assert asked_at(breaker) == 3 * SECOND


def test_changes_are_told_in_order() -> None:
    changes: list[Change] = []
    breaker = make(on_change=changes.append)
    settle(breaker, 0, *[FAILURE] * 5)
    now = 5 * SECOND
    settle(breaker, now, SUCCESS, SUCCESS)
    assert changes == [
        Change(State.CLOSED, State.OPEN, "consecutive", 5 * SECOND, 1, 0),
        Change(State.OPEN, State.HALF_OPEN, "waited", None, 2, 5 * SECOND),
        Change(State.HALF_OPEN, State.CLOSED, "trials_succeeded", None, 3, now),
    ]


def test_a_trial_that_fails_its_check_opens_at_once_and_tells_of_it() -> None:
    told: list[Change] = []
    breaker = make(on_change=told.append)
    breaker.to_trial("unblocked", 0)
    admitted(breaker, 0).fail_check(SECOND)
    assert [(change.after, change.reason) for change in told[1:]] == [(State.OPEN, "recovery_check")]
    assert refused(breaker, SECOND).reason == "open"


def test_a_permit_that_was_once_settled_twice_spoils_no_later_check() -> None:
    breaker = make()
    breaker.to_trial("unblocked", 0)
    twice = admitted(breaker, 0)
    twice.settle(NEUTRAL, 0)
    twice.settle(NEUTRAL, 0)
    admitted(breaker, 0).fail_check(0)
    assert state(breaker, 0) is State.OPEN


def test_states_modes_and_causes_go_by_these_names_in_events_and_on_record() -> None:
    assert [str(each) for each in State] == ["closed", "open", "half_open"]
    assert [str(each) for each in Mode] == ["auto", "forced", "observe"]
    assert {str(cause) for _, cause in TRANSITIONS} == {
        "rate", "consecutive", "slow", "waited", "trials_succeeded", "trials_neutral", "trials_failed", "wrong_model",
        "recovery_check",
    }  # fmt: skip


def test_every_transition_of_the_table_begins_and_ends_in_different_states() -> None:
    assert all(before is not after for (before, _), after in TRANSITIONS.items())


def test_after_a_fork_the_childs_breaker_has_a_lock_of_its_own_and_no_permits() -> None:
    breaker = make()
    running = admitted(breaker, 0)
    settle(breaker, 0, FAILURE)
    admitted(breaker, 0).abandon()
    breaker._lock.acquire()
    breaker.after_fork()
    seen = breaker.snapshot(0)
    assert (seen.state, seen.generation, seen.failures, seen.in_flight) == (State.CLOSED, 1, 1, 0)
    running.settle(FAILURE, 0)
    assert breaker.snapshot(0).late_results == 1


def test_the_parents_trials_take_no_places_of_the_childs() -> None:
    breaker = make()
    breaker.to_trial("unblocked", 0)
    for _ in range(2):
        admitted(breaker, 0)
    assert refused(breaker, 0).reason == "trials_taken"
    breaker.after_fork()
    assert admitted(breaker, 0).trial


def test_the_parents_failures_are_in_no_run_of_the_childs() -> None:
    breaker = make()
    settle(breaker, 0, *[FAILURE] * 4)
    breaker.after_fork()
    settle(breaker, 0, *[FAILURE] * 4)
    assert state(breaker, 0) is State.CLOSED
    settle(breaker, 0, FAILURE)
    assert state(breaker, 0) is State.OPEN


def test_all_that_is_wrong_with_the_settings_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        BreakerSettings(rate=float("nan"), min_calls=0, trials=True, jitter=-1, open_factor="2")  # type: ignore[arg-type]
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "breaker.rate", "breaker.min_calls", "breaker.open_factor", "breaker.jitter", "breaker.trials",
    ]  # fmt: skip


def test_the_defaults_are_the_measured_ones() -> None:
    assert BreakerSettings() == BreakerSettings(
        window_s=60, buckets=12, rate=50, min_calls=20, consecutive=5, consecutive_busy=10, busy_calls=50,
        open_base_s=5, open_factor=2, open_cap_s=60, jitter=0.2, trials=3, concurrent_trials=2, successes_to_close=2,
        healthy_for_s=60, lease_slack_s=2, fair_cap_s=60, window="time", window_calls=100, slow_rate=0, slow_after_s=10,
        slow_start_s=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("window_s", 1, 3_600), ("buckets", 1, 120), ("rate", 1, 100), ("min_calls", 1, 1_000_000),
        ("consecutive", 1, 1_000_000), ("consecutive_busy", 1, 1_000_000), ("busy_calls", 1, 1_000_000),
        ("open_base_s", 0.001, 3_600), ("open_factor", 1, 10), ("open_cap_s", 0.001, 3_600), ("jitter", 0, 0.9),
        ("trials", 1, 100), ("concurrent_trials", 1, 100), ("successes_to_close", 1, 100), ("healthy_for_s", 1, 86_400),
        ("lease_slack_s", 0, 60), ("fair_cap_s", 0.001, 3_600),
    ],
)  # fmt: skip
def test_each_figure_has_its_range(name: str, low: float, high: float) -> None:
    def out_of_range(value: float) -> bool:
        try:
            BreakerSettings(**{name: value})  # type: ignore[arg-type]
        except ConfigurationError as error:
            return any(f"{name}: {value} is not between {low} and {high}" in problem for problem in error.problems)
        return False

    step = 1 if isinstance(getattr(BreakerSettings(), name), int) else 0.0001
    assert [out_of_range(each) for each in (low - step, low, high, high + step)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ({"window_s": 10, "buckets": 100}, {"window_s": 9.9, "buckets": 100}, "buckets: must be at least 0.1 s each"),
        ({"consecutive": 10}, {"consecutive": 11}, "consecutive_busy: must be at least consecutive"),
        ({"open_base_s": 60}, {"open_base_s": 61}, "open_cap_s: must be at least open_base_s"),
        ({"concurrent_trials": 3}, {"concurrent_trials": 4}, "concurrent_trials: must be at most trials"),
        ({"successes_to_close": 3}, {"successes_to_close": 4}, "successes_to_close: must be at most trials"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    right: dict[str, float], wrong: dict[str, float], problem: str
) -> None:
    BreakerSettings(**right)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError) as caught:
        BreakerSettings(**wrong)  # type: ignore[arg-type]
    assert list(caught.value.problems) == [f"breaker.{problem}"]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"trials": 2.0}, "breaker.trials: a whole number is wanted, not float"),
        ({"rate": "50"}, "breaker.rate: a number is wanted, not str"),
    ],
)
def test_a_figure_of_another_type_is_refused(wrong: dict[str, float], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BreakerSettings(**wrong)  # type: ignore[arg-type]
    assert list(caught.value.problems) == [problem]


@pytest.mark.parametrize(
    ("drawn", "trips", "seconds"),
    [(0.0, 1, 4.0), (0.25, 1, 4.5), (0.5, 1, 5.0), (1.0, 1, 6.0), (0.5, 3, 20.0), (0.0, 3, 16.0)],
)
def test_an_opening_varies_by_a_fifth_either_way(drawn: float, trips: int, seconds: float) -> None:
    class Drawn(random.Random):
        def random(self) -> float:
            return drawn

    assert BreakerSettings().back_off(trips, Drawn()) == seconds * SECOND


@pytest.mark.parametrize(
    ("base", "factor", "cap", "trips"), [(5, 2, 60, 5), (5, 2, 40, 4), (1, 5, 125, 4), (5, 1, 60, 1), (60, 2, 60, 1)]
)
def test_trips_are_counted_until_the_cap_is_reached(base: float, factor: float, cap: float, trips: int) -> None:
    assert BreakerSettings(open_base_s=base, open_factor=factor, open_cap_s=cap).most_trips == trips


def test_settles_from_many_threads_all_count() -> None:
    breaker = make()

    def work() -> None:
        for _ in range(500):
            admitted(breaker, 0).settle(SUCCESS, 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = breaker.snapshot(0)
    assert (seen.calls, seen.in_flight, seen.admitted) == (2_000, 0, 2_000)
