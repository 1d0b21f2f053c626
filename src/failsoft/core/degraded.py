"""How much of a capability's answers come from its fallback: the figure that keeps "it always answers" honest.

Theory of operation. Calls are counted in a ring of `CELLS` cells that spans the window. The share is degraded calls over all
calls in the window, in percent, from `MIN_CALLS` calls on. When it first exceeds the limit, the moment is kept as *since*,
and the reasons of degraded calls are told, until the share is back at the limit or below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from attrs import frozen

from failsoft.core.effects import Clock
from failsoft.core.guard import Guard

CELLS = 30
MIN_CALLS = 5
"""Below so many calls a share says little: one degraded call of one would be 100 %."""


@frozen
class DegradedShare:
    """The figure at one moment.

    Args:
        calls: in the window.
        degraded: of those, answered by the fallback, referred, or failed.
        percent: 0-100; 0 below `MIN_CALLS` calls.
        limit: percent that may be degraded.
        since_ns: UTC, nanoseconds since 1970: when the limit was first exceeded; None while it isn't.
        why: reasons of the degraded calls that led there and of those since, with counts.
    """

    calls: int
    degraded: int
    percent: float
    limit: float
    since_ns: int | None
    why: Mapping[str, int]

    @property
    def exceeded(self) -> bool:
        """Is it above its limit?"""
        return self.since_ns is not None


class DegradedWindow(Guard[DegradedShare]):
    """Counts one capability's calls. Thread-safe; one lock, held over arithmetic.

    Args:
        window: nanoseconds, at least `CELLS`.
        limit: percent, 0-100.
        clock: its wall clock is read when the limit is first exceeded.
        on_change: told when the limit is exceeded and when that ends: in order, after the lock; what it raises is counted.
    """

    def __init__(
        self, window: int, limit: float, clock: Clock, on_change: Callable[[DegradedShare], None] | None = None
    ) -> None:
        super().__init__(on_change)
        self._clock = clock
        self._width = window // CELLS
        self._limit = limit
        self._calls = [0] * CELLS
        self._degraded = [0] * CELLS
        self._all_calls = self._all_degraded = 0
        self._tick = 0
        self._since: int | None = None
        self._why: Counter[str] = Counter()

    def note(self, now: int, reason: str | None) -> None:
        """One call ended; `reason` says why it was degraded, None if it wasn't."""
        with self._lock:
            if now // self._width > self._tick:
                self._advance(now)
            cell = self._tick % CELLS
            self._calls[cell] += 1
            self._all_calls += 1
            if reason is not None:
                self._degraded[cell] += 1
                self._all_degraded += 1
                self._why[reason] += 1
            elif self._why and not self._all_degraded:
                self._why.clear()
            if self._all_degraded or self._since is not None:
                self._judge()
        if self._untold:
            self._announce()

    def share(self, now: int) -> DegradedShare:
        """The figure now."""
        with self._lock:
            self._advance(now)
            return self._share()

    def _share(self) -> DegradedShare:
        percent = self._percent()
        since = self._since if percent > self._limit else None  # its calls have aged away: the next call will tell
        why = {} if since is None else dict(self._why)
        return DegradedShare(self._all_calls, self._all_degraded, percent, self._limit, since, why)

    def _percent(self) -> float:
        return 100 * self._all_degraded / self._all_calls if self._all_calls >= MIN_CALLS else 0.0

    def _judge(self) -> None:
        exceeded = self._percent() > self._limit
        if exceeded == (self._since is not None):
            return
        if exceeded:
            self._since = self._clock.time_ns()
        else:
            self._since = None
            self._why.clear()
        self._changed(self._share())

    def _advance(self, now: int) -> None:
        tick = now // self._width
        for passed in range(self._tick + 1, min(tick, self._tick + CELLS) + 1):
            cell = passed % CELLS
            self._all_calls -= self._calls[cell]
            self._all_degraded -= self._degraded[cell]
            self._calls[cell] = self._degraded[cell] = 0
        self._tick = max(tick, self._tick)
