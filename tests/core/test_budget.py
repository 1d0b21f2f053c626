"""How a deadline is shared out: two small reserves at its end, an equal part for each adapter that's left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.budget import FLOOR, Budget, fair_share

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
deadlines = st.integers(10 * MILLISECOND, 3600 * SECOND)


def test_the_reserves_are_for_fallback_and_ledger() -> None:
    assert Budget(0, 30 * SECOND, ledger=True).ask_ends == 30 * SECOND - 300 * MILLISECOND


def test_each_reserve_is_at_most_a_tenth_of_the_deadline() -> None:
    assert Budget(0, SECOND, ledger=True).ask_ends == 850 * MILLISECOND
    assert Budget(0, 100 * MILLISECOND, ledger=True).ask_ends == 80 * MILLISECOND


def test_a_request_is_worth_making_from_five_milliseconds_on() -> None:
    assert FLOOR == 5 * MILLISECOND


def test_without_a_ledger_nothing_is_kept_for_it() -> None:
    assert Budget(0, 30 * SECOND, ledger=False).ask_ends == 30 * SECOND - 50 * MILLISECOND


@given(st.integers(0, 10**18), deadlines, st.booleans())
def test_a_short_deadline_isnt_eaten_by_its_reserves(started: int, deadline: int, ledger: bool) -> None:
    made = Budget(started, deadline, ledger=ledger)
    assert made.ends == started + deadline
    assert made.started + deadline * 8 // 10 <= made.ask_ends < made.ends


def test_an_append_may_take_a_second_or_what_remains() -> None:
    made = Budget(0, 3 * SECOND, ledger=True)
    assert made.append_until(0) == SECOND
    assert made.append_until(int(2.5 * SECOND)) == 3 * SECOND


def test_an_append_after_the_end_has_no_time_and_none_in_the_past() -> None:
    assert Budget(0, 3 * SECOND, ledger=True).append_until(4 * SECOND) == 4 * SECOND


@pytest.mark.parametrize(("left", "cap", "until"), [(1, None, 8), (2, None, 4), (4, None, 2), (1, 3, 3), (4, 3, 2)])
def test_an_attempt_has_its_share_unless_its_cap_is_shorter(left: int, cap: int | None, until: int) -> None:
    made = Budget(0, 9 * SECOND, ledger=False)
    made.ask_ends = 8 * SECOND
    assert made.attempt_until(0, left, None if cap is None else cap * SECOND) == until * SECOND


@given(deadlines, st.integers(1, 9), st.integers(0, 4000 * SECOND), st.none() | st.integers(1, 4000 * SECOND))
def test_no_attempt_outlives_the_time_for_asking(deadline: int, left: int, now: int, cap: int | None) -> None:
    made = Budget(0, deadline, ledger=True)
    assert made.attempt_until(now, left, cap) <= max(made.ask_ends, now)


@pytest.mark.parametrize(("adapters", "share"), [(0, 23_760), (1, 23_760), (2, 11_880), (3, 7_920)])
def test_a_fair_share_is_four_fifths_of_an_equal_one(adapters: int, share: int) -> None:
    assert fair_share(30 * SECOND, adapters, ledger=True) == share * MILLISECOND


def test_a_fair_share_is_rounded_down() -> None:
    assert [fair_share(deadline, 1, ledger=False) for deadline in (8, 9)] == [6, 7]


@given(deadlines, st.integers(0, 9), st.booleans())
def test_a_fair_share_is_less_than_an_equal_one(deadline: int, adapters: int, ledger: bool) -> None:
    assert 0 < fair_share(deadline, adapters, ledger=ledger) * max(1, adapters) < deadline
