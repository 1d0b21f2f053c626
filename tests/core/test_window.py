from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.effects import MILLISECOND, SECOND
from failsoft.core.window import ENOUGH_SAMPLES, FAILED_CALLS, MARKS, SAMPLES, AnswerTimes, StartOrder, TimeWindow

STEPS = st.lists(st.tuples(st.integers(-3, 30), st.booleans()), max_size=60)


def totals(window: TimeWindow) -> tuple[int, int]:
    return window.calls, window.failures


@given(start=st.integers(0, 10**18), steps=STEPS)
def test_the_totals_are_what_a_search_through_all_outcomes_finds(start: int, steps: Sequence[tuple[int, bool]]) -> None:
    window = TimeWindow(5, 4, start)
    now, newest, outcomes = start, start, []
    for step, failed in steps:
        now += step
        newest = max(newest, now)
        window.count(window.started(0, now), now, failed)
        outcomes.append((newest, failed))
        fresh = [each for at, each in outcomes if at // 5 > newest // 5 - 4]
        assert totals(window) == (len(fresh), sum(fresh))


def test_so_much_is_remembered() -> None:
    assert (MARKS, SAMPLES, ENOUGH_SAMPLES, FAILED_CALLS) == (2_048, 64, 10, 32)


def test_a_clock_that_stands_still_moves_nothing() -> None:
    window = TimeWindow(SECOND, 3, 0)
    for _ in range(100):
        window.count(window.started(0, 0), 0, True)
    assert totals(window) == (100, 100)


def test_a_moment_from_before_the_window_counts_where_the_window_stands() -> None:
    window = TimeWindow(10, 3, 1_000)
    window.count(window.started(0, 2_000), 900, False)
    window.advance(102)
    assert totals(window) == (1, 0)
    window.advance(103)
    assert totals(window) == (0, 0)


def test_a_long_gap_empties_every_cell() -> None:
    window = TimeWindow(10, 3, 0)
    window.count(window.started(0, 0), 0, True)
    window.count(window.started(0, 0), 10**15, False)
    assert totals(window) == (1, 0)


def test_what_is_in_flight_counts_to_the_end_of_the_cell_in_which_its_lease_ends() -> None:
    window = TimeWindow(10, 3, 0)
    window.started(0, 19)
    window.advance(1)
    assert window.in_flight == 1
    window.advance(2)
    assert window.in_flight == 0


@pytest.mark.parametrize("ended", [0, 1, 2])
def test_of_those_whose_leases_end_in_one_cell_each_leaves_once(ended: int) -> None:
    window = TimeWindow(10, 3, 0)
    entries = [window.started(0, 15) for _ in range(3)]
    for entry in entries[:ended]:
        window.ended(entry)
    assert window.in_flight == 3 - ended
    window.advance(2)
    assert window.in_flight == 0


def test_what_is_in_flight_no_more_is_not_taken_away_when_its_lease_ends() -> None:
    window = TimeWindow(10, 3, 0)
    window.started(0, 15)
    window.forget_in_flight()
    window.advance(2)
    assert window.in_flight == 0


def test_cells_for_slow_calls_exist_only_where_somebody_looks_for_them() -> None:
    assert len(TimeWindow(10, 3, 0)._cells) == 6
    assert len(TimeWindow(10, 3, 0, slow=True)._cells) == 12


def test_what_ends_after_its_lease_is_not_taken_away_twice() -> None:
    window = TimeWindow(10, 3, 0)
    early, late = window.started(0, 5), window.started(0, 500)
    window.advance(10)
    window.ended(early)
    assert window.in_flight == 1
    window.ended(late)
    assert window.in_flight == 0


def test_a_lease_that_ended_before_the_window_stands_in_flight_until_the_window_moves() -> None:
    window = TimeWindow(10, 3, 1_000)
    tick = window.started(0, 0)
    assert window.in_flight == 1
    window.count(tick, 1_000, False)
    assert window.in_flight == 0


def test_what_is_not_in_flight_any_more_takes_no_memory() -> None:
    window = TimeWindow(10, 3, 0)
    for lease in range(0, 10_000, 10):
        window.ended(window.started(0, lease))
    assert window._leases == {}


def test_clearing_forgets_everything_but_the_time() -> None:
    window = TimeWindow(10, 3, 1_000)
    window.count(window.started(0, 2_000), 1_000, True)
    window.started(0, 2_000)
    window.clear()
    assert (window.tick, totals(window), window.in_flight) == (100, (0, 0), 0)


def runs(order: StartOrder, results: str) -> list[int]:
    """Start an attempt per letter, then end them from left to right: f fails, s succeeds, n is neutral, . runs on."""
    numbers = [order.started() for _ in results]
    found = []
    for number, result in zip(numbers, results, strict=True):
        if result == "f":
            found.append(order.failed(number))
        elif result == "s":
            order.succeeded(number)
        elif result == "n":
            order.ignored(number)
    return found


def test_it_says_how_many_have_started() -> None:
    order = StartOrder()
    assert order.next == 0
    assert [order.started() for _ in range(3)] == [0, 1, 2]
    assert order.next == 3


def test_failures_next_to_each_other_are_a_run() -> None:
    assert runs(StartOrder(), "fff") == [1, 2, 3]


def test_a_failure_joins_the_runs_on_both_sides() -> None:
    order = StartOrder()
    numbers = [order.started() for _ in range(5)]
    assert [order.failed(numbers[each]) for each in (0, 1, 3, 4, 2)] == [1, 2, 1, 2, 5]


def test_a_success_ends_the_run_of_what_started_before_it() -> None:
    assert runs(StartOrder(), "ffsff") == [1, 2, 1, 2]


def test_a_failure_that_started_before_a_success_is_in_no_run() -> None:
    order = StartOrder()
    slow, quick = order.started(), order.started()
    order.succeeded(quick)
    assert order.failed(slow) == 0


def test_an_older_success_does_not_undo_a_newer_one() -> None:
    order = StartOrder()
    slow, middle, quick = order.started(), order.started(), order.started()
    order.succeeded(quick)
    order.succeeded(slow)
    assert order.failed(middle) == 0


def test_a_neutral_attempt_is_transparent() -> None:
    assert runs(StartOrder(), "fnnfnf") == [1, 2, 3]


def test_an_attempt_in_flight_ends_the_run() -> None:
    assert runs(StartOrder(), "ff.f") == [1, 2, 1]


def test_an_attempt_in_flight_ends_the_run_on_the_other_side_too() -> None:
    order = StartOrder()
    numbers = [order.started() for _ in range(5)]
    assert [order.failed(numbers[each]) for each in (1, 2, 4, 0)] == [1, 2, 1, 3]


def test_an_attempt_in_flight_is_not_taken_for_the_failure_that_had_its_mark_before() -> None:
    order = StartOrder()
    runs(order, "f" * (MARKS - 1) + "s")
    assert runs(order, "f.f") == [1, 1]


def test_a_run_crosses_the_end_of_the_marks() -> None:
    order = StartOrder()
    for _ in range(MARKS - 2):
        order.succeeded(order.started())
    assert runs(order, "ffff") == [1, 2, 3, 4]


def test_an_attempt_that_outlived_its_mark_is_in_no_run_and_leaves_others_marks_alone() -> None:
    order = StartOrder()
    ancient, other = order.started(), order.started()
    newest = [order.started() for _ in range(MARKS)]
    assert order.failed(ancient) == 0
    order.ignored(other)
    assert [order.failed(number) for number in newest[:3]] == [1, 2, 3]


def test_an_attempt_without_a_mark_that_says_nothing_leaves_the_mark_in_its_place_alone() -> None:
    order = StartOrder()
    ancient, *newest = [order.started() for _ in range(MARKS + 2)]
    heirs = newest[-3:]  # the middle one's mark was the ancient one's
    assert [order.failed(number) for number in heirs[:2]] == [1, 2]
    order.ignored(ancient)
    assert order.failed(heirs[2]) == 3


def test_a_run_may_be_as_long_as_there_are_marks() -> None:
    assert runs(StartOrder(), "f" * (MARKS + 10))[-1] == MARKS


def test_clearing_begins_anew() -> None:
    order = StartOrder()
    runs(order, "ff")
    left = order.started()
    order.clear()
    assert runs(order, "f") == [1]
    assert order.failed(left) == 0


def test_of_one_calls_failures_only_the_first_counts_where_that_is_asked_for() -> None:
    order = StartOrder()
    assert order.failed(order.started(), "poison") == 1
    assert order.failed(order.started(), "poison", once=True) == 0
    assert order.failed(order.started(), "other", once=True) == 2
    assert order.failed(order.started(), "poison") == 3
    assert [order.failed(order.started(), None, once=True) for _ in range(2)] == [4, 5]


@pytest.mark.parametrize(("others", "counts"), [(FAILED_CALLS - 1, False), (FAILED_CALLS, True)])
def test_a_failed_call_is_forgotten_when_so_many_others_have_failed_since(others: int, counts: bool) -> None:
    order = StartOrder()
    for call in range(1 + others):
        order.failed(order.started(), call)
    assert (order.failed(order.started(), 0, once=True) > 0) is counts


def test_clearing_forgets_the_failed_calls() -> None:
    order = StartOrder()
    order.failed(order.started(), "call")
    order.clear()
    assert order.failed(order.started(), "call", once=True) == 1


def test_ten_fresh_answers_are_needed_for_a_median() -> None:
    times = AnswerTimes()
    for _ in range(9):
        times.add(7, SECOND)
    assert times.twice_median(0) is None
    times.add(7, SECOND)
    assert times.twice_median(0) == 2 * SECOND


def test_an_answers_time_is_kept_to_the_millisecond() -> None:
    times = AnswerTimes()
    for milliseconds in (7, 7, 7, 7, 7, 8, 8, 8, 8, 8):
        times.add(0, milliseconds * MILLISECOND)
    assert times.twice_median(0) == 15 * MILLISECOND
    times.add(0, 9 * MILLISECOND)
    assert times.twice_median(0) == 16 * MILLISECOND


def test_old_answers_do_not_count() -> None:
    times = AnswerTimes()
    for tick in range(20):
        times.add(tick, tick * SECOND)
    assert times.twice_median(10) == (14 + 15) * SECOND
    assert times.twice_median(11) is None


def test_only_the_last_answers_are_remembered() -> None:
    times = AnswerTimes()
    for each in range(200):
        times.add(0, each * SECOND)
    assert times.twice_median(0) == (200 - SAMPLES + 199) * SECOND


def test_an_answer_that_took_no_time_took_none() -> None:
    times = AnswerTimes()
    for _ in range(10):
        times.add(0, 0)
    assert times.twice_median(0) == 0


@pytest.mark.parametrize(("duration", "milliseconds"), [(-SECOND, 0), (10**30, 67_108_863)])
def test_a_duration_is_at_least_nothing_and_at_most_18_hours(duration: int, milliseconds: int) -> None:
    times = AnswerTimes()
    for _ in range(10):
        times.add(0, duration)
    assert times.twice_median(0) == 2 * milliseconds * MILLISECOND


def test_an_absurd_duration_neither_raises_nor_spoils_its_neighbour() -> None:
    times = AnswerTimes()
    for earlier in (1, MILLISECOND, SECOND, SECOND, SECOND, SECOND):
        times.add(3, -earlier)
    for _ in range(4):
        times.add(3, 10**30)
    assert times.twice_median(3) == 0
    assert times.twice_median(4) is None
