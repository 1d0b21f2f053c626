"""Slow attempts, counted as soon as they're slow."""

from __future__ import annotations

import pytest

from failsoft.core.effects import SECOND
from failsoft.core.window import TimeWindow
from failsoft.core.window_count import CountWindow
from failsoft.core.window_overdue import Overdue, Running

Window = TimeWindow | CountWindow


def totals(window: Window) -> tuple[int, int, int, int]:
    return window.calls, window.failures, window.slow, window.slow_failures


def cells(window: TimeWindow) -> list[int]:
    """The sums over the cells, in the order of `totals`."""
    each = window.cells
    return [sum(window._cells[place * each : (place + 1) * each]) for place in range(4)]


@pytest.fixture
def window() -> TimeWindow:
    return TimeWindow(2 * SECOND, 4, 0, slow=True)


@pytest.fixture
def overdue(window: TimeWindow) -> Overdue:
    return Overdue(window, 3 * SECOND)


def start(overdue: Overdue, at: int, lease: int = 60) -> Running:
    return overdue.started(at * SECOND, lease * SECOND)


def look(overdue: Overdue, at: float) -> list[float]:
    return [due / SECOND for due in overdue.overdue(int(at * SECOND))]


def test_an_attempt_is_overdue_once_it_takes_so_long(window: TimeWindow, overdue: Overdue) -> None:
    start(overdue, 0)
    assert look(overdue, 2.999999999) == []
    assert totals(window) == (0, 0, 0, 0)
    assert look(overdue, 3) == [3]
    assert totals(window) == (1, 0, 1, 0)
    assert look(overdue, 4) == []


def test_it_counts_when_it_was_due_and_not_when_somebody_looked(window: TimeWindow, overdue: Overdue) -> None:
    start(overdue, 0)
    start(overdue, 4)
    assert look(overdue, 9.5) == [3, 7]
    window.advance(5)  # 10 s: the cell of 3 s has left the window, that of 7 s hasn't
    assert totals(window) == (1, 0, 1, 0)
    assert cells(window) == [1, 0, 1, 0]


def test_what_was_due_before_the_window_is_not_counted(window: TimeWindow, overdue: Overdue) -> None:
    window.advance(50)
    running = start(overdue, 0)
    assert look(overdue, 100) == [3]
    assert totals(window) == (0, 0, 0, 0)
    overdue.count(running, 100 * SECOND, True)
    assert totals(window) == (1, 1, 1, 1)


def test_what_was_due_just_before_the_window_does_not_stand_in_the_newest_cells_place() -> None:
    window = TimeWindow(2 * SECOND, 4, 0, slow=True)
    overdue = Overdue(window, 3 * SECOND)
    start(overdue, 0)
    window.advance(5)
    look(overdue, 10)
    assert (totals(window), cells(window)) == ((0, 0, 0, 0), [0, 0, 0, 0])


def test_what_is_overdue_is_in_flight_no_more(window: TimeWindow, overdue: Overdue) -> None:
    start(overdue, 0)
    start(overdue, 2)
    assert window.in_flight == 2
    look(overdue, 3)
    assert window.in_flight == 1


def test_a_failure_after_that_is_added_to_what_was_counted(window: TimeWindow, overdue: Overdue) -> None:
    running = start(overdue, 0)
    look(overdue, 5)
    overdue.count(running, 5 * SECOND, True)
    assert totals(window) == (1, 1, 1, 1)
    assert cells(window) == [1, 1, 1, 1]
    window.advance(5)  # with the cell of 3 s, not that of 5 s
    assert totals(window) == (0, 0, 0, 0)


def test_a_success_after_that_adds_nothing(window: TimeWindow, overdue: Overdue) -> None:
    running = start(overdue, 0)
    look(overdue, 5)
    overdue.count(running, 5 * SECOND, False)
    assert totals(window) == (1, 0, 1, 0)


@pytest.mark.parametrize("failed", [False, True])
def test_what_ends_after_its_count_has_gone_is_a_whole_new_call(failed: bool) -> None:
    """The case that 1,500 examples of a state machine missed: else the totals say no call and one failure."""
    window = TimeWindow(2 * SECOND, 4, 0, slow=True)
    overdue = Overdue(window, 3 * SECOND)
    running = start(overdue, 0)
    start(overdue, 4)
    assert look(overdue, 30) == [3, 7]
    overdue.count(running, 30 * SECOND, failed)
    assert totals(window) == (1, failed, 1, failed)
    assert cells(window) == list(totals(window))


def test_a_place_is_gone_with_its_cell_even_if_nobody_looked_since(window: TimeWindow, overdue: Overdue) -> None:
    running = start(overdue, 0)
    look(overdue, 3)
    overdue.count(running, 10 * SECOND, True)
    assert (totals(window), window.tick) == ((1, 1, 1, 1), 5)
    window.advance(8)  # what was recorded at 10 s is still there
    assert totals(window) == (1, 1, 1, 1)
    window.advance(9)
    assert totals(window) == (0, 0, 0, 0)


def test_the_newest_cell_but_one_is_amended(window: TimeWindow, overdue: Overdue) -> None:
    running = start(overdue, 0)
    look(overdue, 3)
    overdue.count(running, 9 * SECOND, True)  # the cell of 3 s is the oldest that's left
    assert totals(window) == (1, 1, 1, 1)
    window.advance(5)
    assert totals(window) == (0, 0, 0, 0)


def test_one_that_ends_in_time_is_a_call_like_any_other(window: TimeWindow, overdue: Overdue) -> None:
    running = start(overdue, 0)
    overdue.count(running, 2 * SECOND, True)
    assert totals(window) == (1, 1, 0, 0)
    assert window.in_flight == 0
    assert look(overdue, 60) == []


def test_a_neutral_end_in_time_leaves_nothing_behind(window: TimeWindow, overdue: Overdue) -> None:
    overdue.ended(start(overdue, 0))
    assert look(overdue, 60) == []
    assert (totals(window), window.in_flight) == ((0, 0, 0, 0), 0)


def test_what_was_slow_stays_slow_whoever_ended_it(window: TimeWindow, overdue: Overdue) -> None:
    running = start(overdue, 0)
    look(overdue, 4)
    overdue.ended(running)
    assert (totals(window), window.in_flight) == ((1, 0, 1, 0), 0)


def test_one_whose_lease_ended_first_is_not_taken_from_what_is_in_flight_twice(
    window: TimeWindow, overdue: Overdue
) -> None:
    start(overdue, 0, lease=1)
    start(overdue, 4)
    look(overdue, 4)
    assert window.in_flight == 1


def test_what_is_forgotten_is_never_overdue(window: TimeWindow, overdue: Overdue) -> None:
    start(overdue, 0)
    overdue.forget()
    assert look(overdue, 60) == []


def test_a_moment_from_before_the_window_counts_where_the_window_stands(window: TimeWindow, overdue: Overdue) -> None:
    running = start(overdue, 0)
    look(overdue, 3)
    window.advance(10)
    overdue.count(running, 2 * SECOND, True)
    assert totals(window) == (1, 1, 1, 1)
    window.advance(13)
    assert window.calls == 1


def test_a_count_window_is_amended_as_long_as_the_outcome_is_in_it() -> None:
    window = CountWindow(2, 2 * SECOND, 4, 0)
    overdue = Overdue(window, 3 * SECOND)
    running = [start(overdue, 0) for _ in range(3)]
    assert look(overdue, 3) == [3, 3, 3]
    assert totals(window) == (2, 0, 2, 0)
    overdue.count(running[1], 4 * SECOND, True)
    assert totals(window) == (2, 1, 2, 1)
    overdue.count(running[0], 4 * SECOND, True)
    assert totals(window) == (2, 1, 2, 1)  # it pushed out the second's
    assert window.amend(2, False)
    assert not window.amend(1, False)


def test_a_slow_call_of_a_window_that_is_gone_leaves_no_trace(window: TimeWindow, overdue: Overdue) -> None:
    running = start(overdue, 0)
    look(overdue, 3)
    overdue.count(running, 4 * SECOND, True)
    window.advance(100)
    assert cells(window) == [0, 0, 0, 0]
    assert totals(window) == (0, 0, 0, 0)
