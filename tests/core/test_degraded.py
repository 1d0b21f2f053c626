"""The degraded share: counted in a sliding window, told once when it's exceeded and once when that ends."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.degraded import CELLS, MIN_CALLS, DegradedShare, DegradedWindow

SECOND = 1_000_000_000
WINDOW = CELLS * SECOND
MORNING = 1_700_000_000 * SECOND


class WallClock:
    """Says when `noted` notes."""

    now = 0

    def monotonic_ns(self) -> int:
        return self.now

    def time_ns(self) -> int:
        return MORNING + self.now


WALL = WallClock()


def noted(window: DegradedWindow, *reasons: str | None, now: int = 0) -> None:
    WALL.now = now
    for each in reasons:
        window.note(now, each)


def test_a_few_calls_say_little() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    noted(window, *["open"] * (MIN_CALLS - 1))
    assert window.share(0) == DegradedShare(4, 4, 0.0, 20, None, {})


def test_above_its_limit_it_says_since_when_and_why() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    noted(window, None, None, None, "open")
    noted(window, "open", "throttled", now=SECOND)
    share = window.share(SECOND)
    assert share.exceeded
    assert (share.percent, share.since_ns) == (50, MORNING + SECOND)
    assert share.why == {"open": 2, "throttled": 1}


def test_at_its_limit_it_isnt_exceeded() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    noted(window, None, None, None, None, "open")
    assert not window.share(0).exceeded


def test_at_its_limit_nothing_is_told() -> None:
    told: list[DegradedShare] = []
    window = DegradedWindow(WINDOW, 20, WALL, told.append)
    noted(window, None, None, None, None, "open")
    assert told == []


def test_when_calls_aged_away_and_it_is_back_at_its_limit_it_isnt_exceeded() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    noted(window, "open")
    noted(window, None, None, None, None, "open", now=SECOND)
    assert window.share(WINDOW - SECOND).exceeded
    at_limit = window.share(WINDOW)
    assert (at_limit.percent, at_limit.exceeded) == (20, False)


def test_a_call_that_went_well_takes_no_reason_away() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    noted(window, "open", None, "open", None, "open")
    assert window.share(0).why == {"open": 3}


def test_a_cell_that_was_emptied_stays_empty() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    for round_ in range(4):
        noted(window, "open", None, now=round_ * WINDOW)
        share = window.share(round_ * WINDOW)
        assert (share.calls, share.degraded) == (2, 1)


def test_once_it_was_back_at_its_limit_reasons_are_counted_anew() -> None:
    window = DegradedWindow(WINDOW, 50, WALL)
    noted(window, *["open"] * 5, *[None] * 5, *["throttled"] * 6)
    assert window.share(0).why == {"throttled": 6}


def test_what_a_listener_raises_is_counted_and_the_call_is_noted() -> None:
    def listen(share: DegradedShare) -> None:
        raise KeyError

    window = DegradedWindow(WINDOW, 20, WALL, listen)
    noted(window, *["open"] * 5)
    assert (window.share(0).calls, window.listener_errors) == (5, 1)


def test_a_change_is_told_once_each_way() -> None:
    told: list[bool] = []
    window = DegradedWindow(WINDOW, 50, WALL, lambda share: told.append(share.exceeded))
    noted(window, *["open"] * 9)
    assert told == [True]
    noted(window, *[None] * 20)
    assert told == [True, False]
    assert window.share(0).why == {}


def test_reasons_of_an_earlier_time_are_forgotten_with_its_calls() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    noted(window, "old")
    noted(window, None, now=2 * WINDOW)
    noted(window, *["new"] * 6, now=2 * WINDOW)
    assert window.share(2 * WINDOW).why == {"new": 6}


def test_when_its_calls_have_aged_away_it_isnt_exceeded_any_more() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    noted(window, *["open"] * 9)
    assert window.share(WINDOW - SECOND).exceeded
    assert window.share(WINDOW) == DegradedShare(0, 0, 0.0, 20, None, {})


def test_a_clock_that_lags_behind_counts_in_the_newest_cell() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    noted(window, None, now=5 * SECOND)
    noted(window, "open", now=0)
    assert window.share(5 * SECOND).calls == 2


def test_a_forked_child_has_a_lock_of_its_own() -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    window._lock.acquire()
    window.after_fork()
    noted(window, None)
    assert window.share(0).calls == 1


@given(st.lists(st.tuples(st.integers(0, 20 * SECOND), st.booleans()), max_size=60))
def test_it_counts_what_a_plain_list_of_calls_counts(calls: list[tuple[int, bool]]) -> None:
    window = DegradedWindow(WINDOW, 20, WALL)
    kept: deque[tuple[int, bool]] = deque()
    now = 0
    for passed, degraded in calls:
        now += passed
        window.note(now, "open" if degraded else None)
        kept.append((now // SECOND, degraded))
        while kept[0][0] <= now // SECOND - CELLS:
            kept.popleft()
        share = window.share(now)
        assert (share.calls, share.degraded) == (len(kept), sum(each for _, each in kept))
        assert share.exceeded == (len(kept) >= MIN_CALLS and 100 * share.degraded / share.calls > 20)
