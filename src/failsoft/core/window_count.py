"""A breaker's window over the last so many outcomes, however long ago they were.

Theory of operation. A ring of N bytes, one for each outcome: whether it failed and whether it was slow. The newest takes
the oldest one's place, and the totals follow: O(1). An outcome's *place* is its number since the window was last emptied, so
one that has left the ring is known by its number. What's in flight ends by time here too (`failsoft.core.window.Window`).

It suits traffic that comes in bursts with hours between: a window of a minute would have forgotten the last burst. Elsewhere
time is the better measure: at five calls a day, twenty outcomes are four days old.
"""

from __future__ import annotations

from failsoft.core.window import Window

# What a byte may say, added up.
FAILED, SLOW = 1, 2


class CountWindow(Window):
    """Calls and failures among the last `size` outcomes, and what's in flight.

    Args:
        size: outcomes, at least 1.
        width: nanoseconds per tick of what's in flight.
        cells: how many ticks are recent, for whoever asks.
        now: the present moment.
    """

    __slots__ = ("_counted", "_ring")

    def __init__(self, size: int, width: int, cells: int, now: int) -> None:
        super().__init__(width, cells, now)
        self._ring = bytearray(size)
        self._counted = 0

    def count(self, entry: int, now: int, failed: bool) -> None:
        """As `Window.count`."""
        tick = now // self.width
        if tick > self.tick:
            self.advance(tick)
        if entry >= self.tick:
            self._left(entry)
        self._put(FAILED if failed else 0)

    def count_slow(self, at: int, failed: bool) -> int:
        """As `Window.count_slow`: among the outcomes it's the newest, whenever it was due."""
        tick = at // self.width
        if tick > self.tick:
            self.advance(tick)
        self._put(SLOW | FAILED if failed else SLOW)
        return self._counted - 1

    def amend(self, place: int, failed: bool) -> bool:
        """As `Window.amend`."""
        if place < self._counted - len(self._ring):
            return False
        if failed:
            self._ring[place % len(self._ring)] = SLOW | FAILED
            self.failures += 1
        return True

    @property
    def slow_failures(self) -> int:
        """As `Window.slow_failures`."""
        return self._ring[: self.calls].count(SLOW | FAILED)

    def _put(self, outcome: int) -> None:
        ring, head = self._ring, self._counted % len(self._ring)
        if self._counted < len(ring):
            self.calls += 1
        else:
            self._add(ring[head], -1)
        ring[head] = outcome
        self._add(outcome, 1)
        self._counted += 1

    def _add(self, outcome: int, sign: int) -> None:
        if outcome & FAILED:
            self.failures += sign
        if outcome & SLOW:
            self.slow += sign

    def _empty(self) -> None:
        self.calls = self.failures = self.slow = self._counted = 0
