"""The rules of a breaker that are off by default: slow calls, a window of outcomes, a slow start."""

from __future__ import annotations

import random

import pytest

from failsoft.core.breaker import Breaker, BreakerSettings, Change, Permit, Refused, State
from failsoft.core.effects import SECOND
from failsoft.core.window import TimeWindow
from failsoft.core.window_count import CountWindow
from failsoft.errors import ConfigurationError
from failsoft.fault import Settlement
from tests.core.still import Still

SUCCESS, FAILURE, NEUTRAL = Settlement.SUCCESS, Settlement.FAILURE, Settlement.NEUTRAL
SLOW = BreakerSettings(jitter=0, slow_rate=80, slow_after_s=10, consecutive=100, consecutive_busy=100)


def make(settings: BreakerSettings) -> tuple[Breaker, list[Change]]:
    changes: list[Change] = []
    return Breaker(settings, Still(), random.Random(0), changes.append), changes


def admitted(breaker: Breaker, at: float, timeout: float = 60) -> Permit:
    permit = breaker.acquire(int(at * SECOND), int(timeout * SECOND))
    assert isinstance(permit, Permit), permit
    return permit


def call(breaker: Breaker, start: float, end: float, settlement: Settlement = SUCCESS) -> None:
    admitted(breaker, start).settle(settlement, int(end * SECOND))


# --- slow calls -------------------------------------------------------------------------------------------------------


def test_four_of_five_slow_calls_open() -> None:
    breaker, changes = make(SLOW)
    permits = [admitted(breaker, 0) for _ in range(25)]
    for permit in permits[:5]:
        permit.settle(SUCCESS, 1 * SECOND)
    for permit in permits[5:]:
        permit.settle(SUCCESS, 12 * SECOND)
    assert [(change.reason, change.after) for change in changes] == [("slow", State.OPEN)]


def test_less_than_that_does_not() -> None:
    breaker, changes = make(SLOW)
    permits = [admitted(breaker, 0) for _ in range(25)]
    for permit in permits[:6]:
        permit.settle(SUCCESS, 1 * SECOND)
    for permit in permits[6:]:
        permit.settle(SUCCESS, 12 * SECOND)
    assert changes == []
    assert breaker.snapshot(12 * SECOND).slow == 19


def test_79_of_99_are_not_80_per_cent() -> None:
    breaker, changes = make(SLOW)
    permits = [admitted(breaker, 0) for _ in range(99)]
    for permit in permits[:20]:
        permit.settle(SUCCESS, 1 * SECOND)
    assert breaker.snapshot(12 * SECOND).slow == 79
    assert changes == []


def test_fewer_than_min_calls_are_no_rate_of_slow_ones_either() -> None:
    breaker, changes = make(SLOW)
    for _ in range(19):
        admitted(breaker, 0)
    assert breaker.snapshot(11 * SECOND).slow == 19
    assert changes == []
    admitted(breaker, 11)
    assert breaker.snapshot(21 * SECOND).state is State.OPEN


def test_a_fast_call_may_be_the_one_that_makes_it_a_rate() -> None:
    breaker, changes = make(SLOW)
    for _ in range(16):
        admitted(breaker, 0)
    for _ in range(3):
        call(breaker, 11, 11)
    assert changes == []
    call(breaker, 11, 11)
    assert [(change.reason, change.at_ns) for change in changes] == [("slow", 11 * SECOND)]


def test_off_it_counts_nothing() -> None:
    breaker, changes = make(BreakerSettings(jitter=0))
    for _ in range(40):
        call(breaker, 0, 50)
    assert breaker.snapshot(50 * SECOND).slow == 0
    assert changes == []
    window = breaker._window
    assert isinstance(window, TimeWindow)
    assert len(window._cells) == 2 * 12  # and there are no cells for it


def test_a_provider_that_hangs_opens_though_nothing_ends_and_dated_when_it_was_due() -> None:
    breaker, changes = make(SLOW)
    for at in range(20):
        admitted(breaker, at / 10)
    refused = breaker.acquire(14 * SECOND, SECOND)
    assert refused == Refused("open", 2_900_000_000)
    assert [(change.reason, change.at_ns) for change in changes] == [("slow", 11_900_000_000)]
    assert changes[0].until_ns == 16_900_000_000


def test_looking_finds_it_out_too() -> None:
    breaker, changes = make(SLOW)
    for _ in range(20):
        admitted(breaker, 0)
    assert breaker.peek(10 * SECOND - 1) is None
    assert breaker.peek(10 * SECOND) == Refused("open", 5 * SECOND)
    assert len(changes) == 1


def test_one_that_opened_and_waited_unseen_is_half_open() -> None:
    breaker, changes = make(SLOW)
    for _ in range(20):
        admitted(breaker, 0)
    assert admitted(breaker, 100).trial
    assert [(change.reason, change.at_ns // SECOND) for change in changes] == [("slow", 10), ("waited", 15)]


def test_an_end_that_comes_after_the_opening_is_late() -> None:
    breaker, _ = make(SLOW)
    permits = [admitted(breaker, 0) for _ in range(20)]
    permits[0].settle(SUCCESS, 11 * SECOND)
    seen = breaker.snapshot(11 * SECOND)
    assert (seen.state, seen.late_results, seen.until_ns) == (State.OPEN, 1, 15 * SECOND)


def test_what_was_in_flight_when_it_opened_never_enters_a_window_again() -> None:
    breaker, _ = make(SLOW)
    for _ in range(25):
        admitted(breaker, 5)
    for _ in range(20):
        admitted(breaker, 0)  # the clock is read in one order, and they come in another
    assert breaker.snapshot(20 * SECOND).state is State.HALF_OPEN
    for _ in range(2):
        call(breaker, 20, 21)
    seen = breaker.snapshot(60 * SECOND)
    assert (seen.state, seen.calls, seen.slow) == (State.CLOSED, 0, 0)


def test_a_failure_after_it_was_overdue_counts_as_one_call() -> None:
    breaker, _ = make(SLOW)
    permit = admitted(breaker, 0)
    assert breaker.snapshot(12 * SECOND).calls == 1
    permit.settle(FAILURE, 13 * SECOND)
    seen = breaker.snapshot(13 * SECOND)
    assert (seen.calls, seen.failures, seen.slow, seen.in_flight) == (1, 1, 1, 0)


def test_an_overdue_call_that_fails_after_its_bucket_has_gone_is_a_whole_call() -> None:
    """The directed test of the specification (1.12), which 1,500 examples of a state machine missed."""
    settings = BreakerSettings(window_s=8, buckets=4, slow_rate=80, slow_after_s=3)
    breaker, _ = make(settings)
    first = admitted(breaker, 0)
    admitted(breaker, 4)
    first.settle(FAILURE, 30 * SECOND)
    seen = breaker.snapshot(30 * SECOND)
    assert (seen.calls, seen.failures, seen.slow) == (1, 1, 1)


def test_the_rate_rule_reads_calls_that_are_overdue_as_calls() -> None:
    settings = BreakerSettings(jitter=0, slow_rate=100, consecutive=100, consecutive_busy=100)
    breaker, changes = make(settings)
    call(breaker, 0, 0)
    for _ in range(20):
        admitted(breaker, 0)
    for _ in range(20):
        call(breaker, 11, 11, FAILURE)
    assert changes == []  # 20 of 41
    call(breaker, 11, 11, FAILURE)
    assert [change.reason for change in changes] == ["rate"]


def test_a_neutral_end_frees_the_place_and_touches_nothing_else() -> None:
    breaker, _ = make(SLOW)
    early, late = admitted(breaker, 0), admitted(breaker, 0)
    early.settle(NEUTRAL, 2 * SECOND)
    assert breaker.snapshot(11 * SECOND).calls == 1
    late.settle(NEUTRAL, 12 * SECOND)
    seen = breaker.snapshot(60 * SECOND)
    assert (seen.calls, seen.slow, seen.in_flight) == (1, 1, 0)


@pytest.mark.parametrize(("slow_rate", "after"), [(80, State.OPEN), (0, State.CLOSED)])
def test_a_slow_success_fails_a_trial_only_if_the_rule_is_on(slow_rate: float, after: State) -> None:
    breaker, _ = make(BreakerSettings(jitter=0, slow_rate=slow_rate))
    breaker.to_trial("test", 0)
    for permit in [admitted(breaker, 0), admitted(breaker, 0)]:
        permit.settle(SUCCESS, 10 * SECOND)
    assert breaker.snapshot(10 * SECOND).state is after


def test_a_success_in_time_is_one_for_a_trial_too() -> None:
    breaker, _ = make(SLOW)
    breaker.to_trial("test", 0)
    for permit in [admitted(breaker, 0), admitted(breaker, 0)]:
        permit.settle(SUCCESS, 10 * SECOND - 1)
    assert breaker.snapshot(10 * SECOND).state is State.CLOSED


def test_many_that_the_garbage_collector_took_are_given_back_at_once() -> None:
    breaker, _ = make(SLOW)
    for permit in [admitted(breaker, 0) for _ in range(3_000)]:
        permit.abandon()
    seen = breaker.snapshot(1 * SECOND)
    assert (seen.in_flight, seen.calls) == (0, 0)


def test_in_a_child_what_the_parent_asked_is_never_overdue() -> None:
    breaker, _ = make(SLOW)
    for _ in range(30):
        admitted(breaker, 0)
    breaker.after_fork()
    seen = breaker.snapshot(60 * SECOND)
    assert (seen.state, seen.calls, seen.in_flight) == (State.CLOSED, 0, 0)


# --- a window of outcomes ---------------------------------------------------------------------------------------------


def test_the_last_outcomes_count_however_old_they_are() -> None:
    breaker, changes = make(
        BreakerSettings(jitter=0, window="count", window_calls=20, consecutive=100, consecutive_busy=100)
    )
    for hour in range(20):
        call(breaker, hour * 3_600, hour * 3_600, FAILURE if hour % 2 else SUCCESS)
    assert [change.reason for change in changes] == ["rate"]


def test_older_ones_do_not() -> None:
    breaker, changes = make(
        BreakerSettings(jitter=0, window="count", window_calls=20, consecutive=100, consecutive_busy=100)
    )
    for _ in range(9):
        call(breaker, 0, 0, FAILURE)
    for _ in range(20):
        call(breaker, 0, 0)
    for _ in range(9):
        call(breaker, 0, 0, FAILURE)
    assert changes == []
    call(breaker, 0, 0, FAILURE)
    assert [change.reason for change in changes] == ["rate"]


def test_it_keeps_to_its_size() -> None:
    breaker, _ = make(BreakerSettings(window="count", window_calls=30))
    for _ in range(100):
        call(breaker, 0, 0)
    assert breaker.snapshot(0).calls == 30


def test_slow_calls_are_found_in_it_too() -> None:
    breaker, changes = make(BreakerSettings(jitter=0, window="count", window_calls=20, slow_rate=80))
    for _ in range(20):
        admitted(breaker, 0)
    assert breaker.peek(10 * SECOND) == Refused("open", 5 * SECOND)
    assert [change.reason for change in changes] == ["slow"]


def test_the_default_window_is_over_time() -> None:
    assert not isinstance(make(BreakerSettings())[0]._window, CountWindow)


@pytest.mark.parametrize(
    ("figures", "problem"),
    [
        ({"window": "count", "window_calls": 19}, "breaker.window_calls: must be at least min_calls"),
        ({"window": "calls"}, "breaker.window: is one of: time, count"),
        ({"window": 3}, "breaker.window: is one of: time, count"),
        ({"window_calls": 0}, "breaker.window_calls: 0 is not between 1 and 10000"),
        ({"slow_rate": 100.5}, "breaker.slow_rate: 100.5 is not between 0 and 100"),
        ({"slow_rate": -1}, "breaker.slow_rate: -1 is not between 0 and 100"),
        ({"slow_after_s": 0}, "breaker.slow_after_s: 0 is not between 0.001 and 3600"),
        ({"slow_start_s": 601}, "breaker.slow_start_s: 601 is not between 0 and 600"),
    ],
)
def test_figures_that_make_no_sense_are_refused(figures: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BreakerSettings(**figures)  # type: ignore[arg-type]
    assert list(caught.value.problems) == [problem]


def test_a_window_over_time_asks_nothing_of_the_other_ones_size() -> None:
    assert BreakerSettings(window_calls=1, min_calls=20).window == "time"
    assert BreakerSettings(window="count", window_calls=20, min_calls=20).window_calls == 20


def test_who_only_looks_at_a_closed_breaker_may_be_in_a_hurry() -> None:
    assert make(SLOW)[0].peek(0, remaining_ns=1) is None


# --- a slow start -----------------------------------------------------------------------------------------------------

GENTLE = BreakerSettings(jitter=0, slow_start_s=30)


def closed_again(settings: BreakerSettings = GENTLE) -> Breaker:
    """A breaker that closed at 0 after an outage."""
    breaker, _ = make(settings)
    breaker.to_trial("test", 0)
    for permit in [admitted(breaker, 0), admitted(breaker, 0)]:
        permit.settle(SUCCESS, 0)
    assert breaker.snapshot(0).state is State.CLOSED
    return breaker


def let_in(breaker: Breaker, at: float, attempts: int) -> int:
    return sum(isinstance(breaker.acquire(int(at * SECOND), SECOND), Permit) for _ in range(attempts))


def test_after_an_outage_a_growing_share_is_admitted() -> None:
    breaker = closed_again()
    assert [let_in(breaker, at, 100) for at in (0, 10, 20, 30, 40)] == [10, 40, 70, 100, 100]


def test_a_look_says_while_it_lasts() -> None:
    breaker = closed_again()
    assert [breaker.snapshot(at * SECOND).slow_start for at in (0, 29, 30)] == [True, True, False]
    assert not make(GENTLE)[0].snapshot(0).slow_start


def test_who_is_refused_is_told_why() -> None:
    breaker = closed_again()
    admitted(breaker, 0)
    assert breaker.acquire(0, SECOND) == Refused("slow_start", 0)


def test_looking_neither_refuses_nor_counts() -> None:
    breaker = closed_again()
    admitted(breaker, 0)
    assert [breaker.peek(0) for _ in range(20)] == [None] * 20
    assert let_in(breaker, 0, 10) == 1


def test_a_breaker_that_never_opened_has_none() -> None:
    assert let_in(make(GENTLE)[0], 0, 100) == 100


def test_off_all_are_admitted_at_once() -> None:
    assert let_in(closed_again(BreakerSettings(jitter=0)), 0, 100) == 100


def test_an_outage_during_it_ends_it() -> None:
    breaker = closed_again()
    breaker.to_trial("test", SECOND)
    assert let_in(breaker, 1, 10) == 2  # trials, and not a share


def test_the_next_one_begins_anew() -> None:
    breaker = closed_again()
    assert let_in(breaker, 29, 100) == 97
    breaker.to_trial("test", 29 * SECOND)
    for permit in [admitted(breaker, 29), admitted(breaker, 29)]:
        permit.settle(SUCCESS, 29 * SECOND)
    assert let_in(breaker, 29, 100) == 10


def test_once_it_is_over_an_attempt_is_admitted_without_a_look() -> None:
    breaker = closed_again()
    assert breaker.must_look
    admitted(breaker, 30)
    assert not breaker.must_look
    watching = closed_again(BreakerSettings(jitter=0, slow_start_s=1, slow_rate=80))
    admitted(watching, 30)
    assert watching.must_look
