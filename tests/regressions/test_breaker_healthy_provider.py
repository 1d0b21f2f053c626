"""A provider whose errors are fast and whose answers are slow must not be taken for broken.

Rules over completed calls sent 75 % of calls to the fallback at 5 % errors, since the errors are seen first. An input
that alone gets a 500 sent a tenth of everybody else's calls to the fallback.
"""

from __future__ import annotations

import heapq
import random

from failsoft.core.breaker import Breaker, BreakerSettings, Permit
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement


class Still:
    def monotonic_ns(self) -> int:
        return 0

    def time_ns(self) -> int:
        return 0


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


def test_an_outage_is_noticed_all_the_same() -> None:
    assert share_refused(rate=20, errors=1, poison=0, seconds=120) > 0.95
