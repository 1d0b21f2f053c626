"""A provider whose errors are fast and whose answers are slow must not be taken for broken.

Rules over completed calls sent 75 % of calls to the fallback at 5 % errors, since the errors are seen first. An input
that alone gets a 500 sent a tenth of everybody else's calls to the fallback.
"""

from __future__ import annotations

import heapq
import random
from typing import Any

import pytest
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Permit
from failsoft.core.breaker_machine import Machine
from failsoft.core.effects import SECOND
from failsoft.core.window import StartOrder
from failsoft.fault import Settlement


def share_refused(rate: float, errors: float, poison: float, seconds: int) -> float:
    """The share of calls that a breaker refuses at so many calls a second; the provider answers after 2 to 20 s."""
    chance = random.Random(4)
    breaker = Breaker(BreakerSettings(), Still(), random.Random(5))
    ends: list[tuple[int, int, Permit, Settlement]] = []
    starts = [(int(n / rate * SECOND), n, chance.random() < poison) for n in range(int(rate * seconds))]
    heapq.heapify(starts)
    tries: dict[int, int] = {}
    refused = asked = 0
    while starts:
        now, call, poisonous = heapq.heappop(starts)
        while ends and ends[0][0] <= now:
            at, _, permit, settlement = heapq.heappop(ends)
            permit.settle(settlement, at)
        tries[call] = tries.get(call, 0) + 1
        asked += 1
        got = breaker.acquire(now, 60 * SECOND, call=call)
        if not isinstance(got, Permit):
            refused += 1
            continue
        failed = poisonous or chance.random() < errors
        took = int((0.3 if failed else chance.uniform(2, 20)) * SECOND)
        heapq.heappush(ends, (now + took, asked, got, Settlement.FAILURE if failed else Settlement.SUCCESS))
        if failed and tries[call] < 3:
            heapq.heappush(starts, (now + took + int(chance.uniform(0, 0.4) * SECOND), call, poisonous))
    return refused / asked


def test_five_per_cent_fast_errors_cost_next_to_nobody_the_answer() -> None:
    assert share_refused(rate=100, errors=0.05, poison=0, seconds=120) < 0.03


def test_three_per_cent_poisonous_input_costs_next_to_nobody_else_the_answer() -> None:
    assert share_refused(rate=20, errors=0, poison=0.03, seconds=600) < 0.01


def test_a_tenth_of_poisonous_input_at_few_calls_costs_few_others_the_answer() -> None:
    assert share_refused(rate=0.5, errors=0, poison=0.1, seconds=6_000) < 0.02


def test_an_outage_is_noticed_all_the_same() -> None:
    assert share_refused(rate=20, errors=1, poison=0, seconds=120) > 0.95


def test_a_rate_over_what_has_ended_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended_only(self: Machine) -> bool:
        window = self._window
        return window.calls >= self._settings.min_calls and window.failures * 2 >= window.calls

    monkeypatch.setattr(Machine, "_rate_reached", ended_only)
    with pytest.raises(AssertionError):
        test_five_per_cent_fast_errors_cost_next_to_nobody_the_answer()


def test_failures_in_a_row_by_order_of_end_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    row = [0]

    def failed(self: StartOrder, *_: Any) -> int:
        row[0] += 1
        return row[0]

    def succeeded(self: StartOrder, number: int) -> None:
        row[0] = 0

    monkeypatch.setattr(StartOrder, "failed", failed)
    monkeypatch.setattr(StartOrder, "succeeded", succeeded)
    with pytest.raises(AssertionError):
        test_five_per_cent_fast_errors_cost_next_to_nobody_the_answer()


def test_attempts_counted_instead_of_calls_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = StartOrder.failed
    monkeypatch.setattr(StartOrder, "failed", lambda self, number, *_: failed(self, number))
    with pytest.raises(AssertionError):
        test_a_tenth_of_poisonous_input_at_few_calls_costs_few_others_the_answer()
