"""The window over a number of outcomes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.window_count import CountWindow


def make(size: int) -> CountWindow:
    return CountWindow(size, 10, 3, 0)


def totals(window: CountWindow) -> tuple[int, int, int, int]:
    return window.calls, window.failures, window.slow, window.slow_failures


@given(size=st.integers(1, 7), steps=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_the_totals_are_those_of_the_last_outcomes(size: int, steps: Sequence[tuple[bool, bool]]) -> None:
    window, outcomes = make(size), []
    for failed, slow in steps:
        if slow:
            window.count_slow(0, failed)
        else:
            window.count(window.started(0, 0), 0, failed)
        outcomes.append((failed, slow))
        last = outcomes[-size:]
        assert totals(window) == (
            len(last),
            sum(failed for failed, _ in last),
            sum(slow for _, slow in last),
            sum(failed and slow for failed, slow in last),
        )


def test_a_window_of_one_holds_the_newest() -> None:
    window = make(1)
    for failed in (True, True, False):
        window.count(window.started(0, 0), 0, failed)
    assert totals(window) == (1, 0, 0, 0)


def test_time_alone_forgets_nothing() -> None:
    window = make(3)
    window.count(window.started(0, 0), 0, True)
    window.count(window.started(0, 10**12), 10**12, False)
    assert totals(window) == (2, 1, 0, 0)


def test_a_slow_call_in_the_ring_can_still_fail() -> None:
    window = make(2)
    place = window.count_slow(0, False)
    window.count(window.started(0, 0), 0, False)
    assert window.amend(place, True)
    assert totals(window) == (2, 1, 1, 1)
    window.count(window.started(0, 0), 0, False)
    assert totals(window) == (2, 0, 0, 0)


def test_a_slow_call_that_left_the_ring_cannot() -> None:
    window = make(2)
    place = window.count_slow(0, False)
    for _ in range(2):
        window.count(window.started(0, 0), 0, False)
    assert not window.amend(place, True)
    assert totals(window) == (2, 0, 0, 0)


def test_a_slow_call_that_succeeds_adds_nothing() -> None:
    window = make(2)
    assert window.amend(window.count_slow(0, False), False)
    assert totals(window) == (1, 0, 1, 0)


def test_places_are_told_apart_after_many_rounds() -> None:
    window = make(3)
    places = [window.count_slow(0, False) for _ in range(11)]
    assert [window.amend(place, False) for place in places] == [False] * 8 + [True] * 3
    assert window.amend(places[-1], True)
    for _ in range(2):
        window.count(window.started(0, 0), 0, False)
    assert totals(window) == (3, 1, 1, 1)


def test_clearing_forgets_everything() -> None:
    window = make(3)
    window.started(0, 100)
    for _ in range(5):
        window.count_slow(0, True)
    window.clear()
    assert totals(window) == (0, 0, 0, 0)
    assert window.in_flight == 0
    assert window.count_slow(0, False) == 0


@pytest.mark.parametrize("slow", [False, True])
def test_what_is_in_flight_ends_by_time_here_too(slow: bool) -> None:
    window = make(3)
    window.started(0, 19)
    entry = window.started(0, 19)
    window.started(0, 1_000)
    if slow:
        window.count_slow(19, False)
    else:
        window.count(entry, 19, False)
    assert window.in_flight == (3 if slow else 2)
    if slow:
        window.count_slow(20, False)
    else:
        window.count(window.started(20, 20), 20, False)
    assert window.in_flight == 1
    assert window.tick == 2


def test_what_ends_after_its_lease_is_not_taken_away_twice() -> None:
    window = make(3)
    entry = window.started(0, 5)
    window.started(0, 1_000)
    window.count(entry, 50, False)
    assert (window.calls, window.in_flight) == (1, 1)


def test_a_moment_from_before_the_window_moves_nothing() -> None:
    window = make(3)
    window.count(window.started(0, 100), 100, False)
    window.count(window.started(0, 50), 50, True)
    window.count_slow(50, False)
    assert (window.tick, window.calls, window.in_flight) == (10, 3, 0)
