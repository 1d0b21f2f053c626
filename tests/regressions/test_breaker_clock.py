"""Time that stands still, jumps or is read out of order must not put a breaker out of action.

resilience4j's window and open state read the wall clock: a step back made the minimum of calls unreachable and kept an
opening of 1 s closed to traffic for an hour. purgatory, pybreaker, hyx and aiobreaker read wall clocks, too. Without a
bound on the exponent, an outage of 80.9 hours overflowed inside the settling of a result.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from failsoft.core.breaker import Breaker, BreakerSettings, Permit, State
from failsoft.core.effects import SECOND
from failsoft.core.window import TimeWindow
from failsoft.fault import Settlement

FAILURE = Settlement.FAILURE


class Still:
    def monotonic_ns(self) -> int:
        return 10**15

    def time_ns(self) -> int:
        raise AssertionError("a breaker has no business with the wall clock")


START = 10**15


def make() -> Breaker:
    return Breaker(BreakerSettings(jitter=0), Still(), random.Random(0))


def admitted(breaker: Breaker, now: int) -> Permit:
    permit = breaker.acquire(now, SECOND)
    assert isinstance(permit, Permit)
    return permit


def test_results_that_come_with_an_older_moment_still_count() -> None:
    breaker = make()
    admitted(breaker, START).settle(FAILURE, START)
    for back in range(4):
        admitted(breaker, START - back * SECOND).settle(FAILURE, START - back * SECOND)
    seen = breaker.snapshot(START)
    assert (seen.calls, seen.state) == (5, State.OPEN)


def test_a_machine_that_slept_for_a_year_begins_anew() -> None:
    breaker = make()
    for _ in range(4):
        admitted(breaker, START).settle(FAILURE, START)
    later = START + 365 * 86_400 * SECOND
    seen = breaker.snapshot(later)
    assert (seen.calls, seen.failures) == (0, 0)


def test_a_week_of_outage_neither_overflows_nor_waits_longer_than_the_cap() -> None:
    breaker, now = make(), START
    for _ in range(5):
        admitted(breaker, now).settle(FAILURE, now)
    while now < START + 7 * 86_400 * SECOND:
        wait = breaker.snapshot(now).until_ns - now
        assert wait <= 60 * SECOND
        now += max(wait, 0)
        for permit in [admitted(breaker, now), admitted(breaker, now)]:
            permit.settle(FAILURE, now)
    assert breaker.snapshot(now).trips == 5


def test_an_hour_after_a_long_outage_openings_are_short_again() -> None:
    breaker, now = make(), START
    for _ in range(5):
        admitted(breaker, now).settle(FAILURE, now)
    for _ in range(100):
        now = breaker.snapshot(now).until_ns
        for permit in [admitted(breaker, now), admitted(breaker, now)]:
            permit.settle(FAILURE, now)
    now = breaker.snapshot(now).until_ns
    for permit in [admitted(breaker, now), admitted(breaker, now)]:
        permit.settle(Settlement.SUCCESS, now)
    assert breaker.snapshot(now + 5 * 60 * SECOND).trips == 0


def test_a_window_that_ran_ahead_of_the_clock_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    count = TimeWindow.count

    def dropping(self: TimeWindow, entry: int, now: int, failed: bool) -> None:
        if now // self.width >= self.tick:
            count(self, entry, now, failed)

    monkeypatch.setattr(TimeWindow, "count", dropping)
    with pytest.raises(AssertionError):
        test_results_that_come_with_an_older_moment_still_count()


def test_cells_that_are_kept_through_a_long_sleep_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimeWindow, "_empty", lambda _: None)
    with pytest.raises(AssertionError):
        test_a_machine_that_slept_for_a_year_begins_anew()


@pytest.mark.parametrize(
    ("check", "how"),
    [
        (test_a_week_of_outage_neither_overflows_nor_waits_longer_than_the_cap, OverflowError),
        (test_an_hour_after_a_long_outage_openings_are_short_again, AssertionError),
    ],
)
def test_openings_without_a_bound_are_found(check: Any, how: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BreakerSettings, "most_trips", 10**9)
    with pytest.raises(how):
        check()
