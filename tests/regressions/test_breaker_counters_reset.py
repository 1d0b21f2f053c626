"""Counters must be emptied with the change of state, and not after it: a result between the two is lost or counted twice.

Envoy#18950, #40697: a race between resetting a counter and ejecting a host, which then was never ejected again.
"""

from __future__ import annotations

import random
import threading

import pytest
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Permit, State
from failsoft.core.breaker_machine import Machine
from failsoft.core.effects import SECOND
from failsoft.core.window import TimeWindow
from failsoft.fault import Settlement

pytestmark = pytest.mark.usefixtures("switching_often")

SUCCESS, FAILURE = Settlement.SUCCESS, Settlement.FAILURE


def make() -> Breaker:
    return Breaker(BreakerSettings(jitter=0), Still(), random.Random(0))


def settle(breaker: Breaker, now: int, *settlements: Settlement) -> None:
    for settlement in settlements:
        permit = breaker.acquire(now, SECOND)
        assert isinstance(permit, Permit)
        permit.settle(settlement, now)


def test_a_closed_breaker_knows_nothing_of_what_was_before() -> None:
    breaker = make()
    for outage in range(5):
        now = outage * 300 * SECOND
        settle(breaker, now, *[SUCCESS] * 30, *[FAILURE] * 5)
        now = breaker.snapshot(now).until_ns
        settle(breaker, now, SUCCESS, SUCCESS)
        seen = breaker.snapshot(now)
        assert (seen.state, seen.calls, seen.failures, seen.in_flight) == (State.CLOSED, 0, 0, 0)
        settle(breaker, now, *[FAILURE] * 5)
        assert breaker.snapshot(now).state is State.OPEN
        breaker.to_trial("mended", now)
        settle(breaker, now, SUCCESS, SUCCESS)


def closing_and_opening_at_once(rounds: int) -> None:
    """Threads open it, close it and count, all at the same time: afterwards the totals are what the cells hold."""
    breaker = make()

    def work() -> None:
        for _ in range(rounds):
            permit = breaker.acquire(0, SECOND)
            if isinstance(permit, Permit):
                permit.settle(FAILURE if rounds % 3 else SUCCESS, 0)
            breaker.to_trial("mended", 0)
            for _ in range(2):
                trial = breaker.acquire(0, SECOND)
                if isinstance(trial, Permit):
                    trial.settle(SUCCESS, 0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    window = breaker._window
    assert isinstance(window, TimeWindow)
    cells = window.cells
    assert window.calls == sum(window._cells[:cells])
    assert window.failures == sum(window._cells[cells : 2 * cells])
    assert window.in_flight == sum(window._leases.values())
    breaker.to_trial("mended", 0)
    settle(breaker, 0, SUCCESS, SUCCESS)
    settle(breaker, 0, *[FAILURE] * 5)
    assert breaker.snapshot(0).state is State.OPEN


def test_threads_that_close_and_open_it_at_once_leave_its_counts_whole() -> None:
    closing_and_opening_at_once(100)


def test_a_window_that_is_kept_through_a_closing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimeWindow, "clear", lambda _: None)
    with pytest.raises(AssertionError):
        test_a_closed_breaker_knows_nothing_of_what_was_before()


def test_a_window_that_is_emptied_after_the_change_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    clear, announce = TimeWindow.clear, Machine._announce
    due: list[TimeWindow] = []

    def later(self: Machine) -> None:
        while due:
            clear(due.pop())
        announce(self)

    monkeypatch.setattr(TimeWindow, "clear", lambda window: due.append(window))
    monkeypatch.setattr(Machine, "_announce", later)
    with pytest.raises(AssertionError):
        test_a_closed_breaker_knows_nothing_of_what_was_before()
