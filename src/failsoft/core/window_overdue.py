"""Slow attempts, counted as soon as they're slow: for a breaker whose slow rule is on.

Theory of operation. An attempt that takes `slow_after` or longer is slow, whatever it brings. It isn't waited for: once it's
*overdue* it counts as one slow call, dated ``start + slow_after``, though it's still on its way. When it ends, its end
*replaces* that count:

    its count is still in the window     a failure is added to that count; a success adds nothing
    its count has left the window        it's a whole new slow call: a failure without a call would break the totals
    neutral                              what was counted stands: it was slow, whoever ended it

An attempt that's overdue isn't in flight any more: it's in the totals. Those in flight stand in order of start in an
`OrderedDict`, from which the oldest is taken in O(1), also after many others have gone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from failsoft.core.window import Window


class Running:
    """One attempt on its way."""

    __slots__ = ("due", "entry", "place")

    def __init__(self, due: int, entry: int) -> None:
        self.due = due
        """When it's overdue."""
        self.entry = entry
        """The window's."""
        self.place: int | None = None
        """Where it was counted as overdue."""


class Overdue:
    """Stands before a window: attempts start and end here. Its breaker's lock is held around every method.

    Args:
        window: where they're counted.
        after: nanoseconds from which an attempt is slow.
    """

    __slots__ = ("_running", "_window", "after")

    def __init__(self, window: Window, after: int) -> None:
        self._window = window
        self.after = after
        self._running: OrderedDict[Running, None] = OrderedDict()

    def started(self, now: int, lease: int) -> Running:
        """As `Window.started`."""
        running = Running(now + self.after, self._window.started(now, lease))
        self._running[running] = None
        return running

    def ended(self, running: Running) -> None:
        """As `Window.ended`."""
        if running.place is None:
            del self._running[running]
            self._window.ended(running.entry)

    def count(self, running: Running, now: int, failed: bool) -> None:
        """As `Window.count`; what's overdue by `now` has been counted (`overdue`)."""
        window = self._window
        if running.place is None:
            del self._running[running]
            window.count(running.entry, now, failed)
            return
        tick = now // window.width
        if tick > window.tick:
            window.advance(tick)
        if not window.amend(running.place, failed):
            window.count_slow(max(now, window.tick * window.width), failed)

    def overdue(self, now: int) -> Iterator[int]:
        """Count those that are overdue by `now`, one by one; yields when each was due."""
        while self._running:
            running = next(iter(self._running))
            if running.due > now:
                return
            del self._running[running]
            running.place = self._window.count_slow(running.due, False)
            self._window.ended(running.entry)
            yield running.due

    def forget(self) -> None:
        """What's on its way doesn't belong here any more."""
        self._running.clear()
