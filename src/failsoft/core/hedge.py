"""Hedging: where the first adapter takes long, the second is asked beside it, and the first valid answer wins.

Theory of operation. Off unless a capability says ``idempotent = True`` and its configuration gives ``hedge_after``: a
hedge costs twice, the loser is billed all the same, and which of two samples wins is a race. The first two adapters of the
route take part; both were planned like any other, so labels, blocks and limits hold for each.

A hedge is refused, and its adapter keeps its ordinary place after the first, where its breaker isn't closed (trials are
for finding out whether a provider works) or its retry budget is spent. If the first has ended by then, asking the second
is no hedge but the route's ordinary way on. The loser is broken off, settled by fair time, and put on record as
possibly billed.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from failsoft.core.asking import Answer, Asking
from failsoft.core.breaker import State
from failsoft.core.effects import Effect, Race
from failsoft.core.route import GuardedAdapter
from failsoft.core.turn import Turn
from failsoft.fault import FaultKind

R = TypeVar("R")

Turning = Generator[Effect, Any, "Answer[R] | None"]


class Hedge:
    """The first two adapters of a route, asked beside each other.

    Args:
        asking: what is asked.
        route: the admissible adapters in order, at least two.
        after: nanoseconds that the first has for itself.
        looked: as for `Turn`.
    """

    __slots__ = ("_after", "_asking", "_first", "_over", "_second", "postponed")

    def __init__(self, asking: Asking[Any, R], route: list[GuardedAdapter], after: int, looked: bool) -> None:
        self._asking = asking
        self._after = after
        self._first: Turn[Any] = Turn(asking, route[0], len(route), looked)
        self._second: Turn[Any] = Turn(asking, route[1], len(route) - 1)
        self._over = False
        self.postponed = False
        """Was the second not asked, since it would have been a hedge and none was to be had? It's still to be asked."""

    def run(self) -> Turning[Any]:
        """An answer, or None: neither had one."""
        try:
            answer: Answer[Any] | None = yield Race((self._leading(), self._following()), (0, self._after), self._won)
        except Exception as error:
            self._asking.loud(FaultKind.BUG, self._first.adapter.name, error)
            return None
        for turn in (self._first, self._second):
            if answer is None or turn.lost:
                turn.lose()
        return answer

    def _leading(self) -> Turning[Any]:
        try:
            return (yield from self._first.run())
        finally:
            self._over = True

    def _following(self) -> Turning[Any]:
        if self._asking.over:
            return None
        if not self._over:
            adapter, now = self._second.adapter, self._asking.world.clock.monotonic_ns()
            health = adapter.breaker.snapshot(now)
            if health.state is not State.CLOSED or health.slow_start or not adapter.budget.take(now, None):
                self.postponed = True
                return None
            self._second.why = "hedge"
        return (yield from self._second.run())

    def _won(self, answer: Answer[Any] | None) -> bool:
        if answer is None or self._asking.over:  # the fallback answers
            return False
        for turn in (self._first, self._second):
            turn.lost = turn.adapter is not answer.adapter
        return True
