"""Getting one's calls back little by little."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.effects import SECOND
from failsoft.core.slow_start import SlowStart


def admitted(slow: SlowStart, now: int, attempts: int) -> int:
    return sum(slow.admits(now) for _ in range(attempts))


def test_the_first_is_admitted_and_a_tenth_of_those_that_follow() -> None:
    slow = SlowStart(0, 30 * SECOND)
    assert [slow.admits(0) for _ in range(21)] == ([True] + [False] * 9) * 2 + [True]


def test_the_share_grows_in_a_straight_line() -> None:
    shares = [admitted(SlowStart(SECOND, 30 * SECOND), (1 + at) * SECOND, 1_000) for at in (0, 10, 15, 20)]
    assert shares == [100, 400, 550, 700]


def test_it_is_over_when_its_time_is() -> None:
    slow = SlowStart(SECOND, 30 * SECOND)
    assert not slow.over(31 * SECOND - 1)
    assert slow.over(31 * SECOND)
    assert admitted(slow, 31 * SECOND, 100) == 100


@given(moments=st.lists(st.integers(-100, 100), min_size=10, max_size=10))
def test_of_ten_in_a_row_at_least_one_is_admitted_whatever_the_clock_does(moments: list[int]) -> None:
    slow = SlowStart(0, 30 * SECOND)
    slow.admits(0)
    assert True in [slow.admits(at * SECOND) for at in moments]
