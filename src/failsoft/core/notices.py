"""Changes of state, told to one listener: in order, after the lock, and never at the expense of a call.

Theory of operation
-------------------

A guard (breaker, throttle, latch, bulkhead) changes its state under its own lock. Under that lock it *adds* a notice;
when it has left the lock it *delivers*. Three things follow:

1. A listener never runs under a guard's lock: it may log, block or call the guard.
2. Notices arrive in the order in which the states changed, whichever threads changed them: one thread at a time
   delivers. A thread that finds another delivering leaves its notices to that one; so does a listener that changes the
   guard it listens to.
3. What a listener raises is counted and dropped. It never replaces a call's result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Notices(Generic[T]):
    """A guard's notices on their way to its listener.

    Args:
        listener: called with each notice; None: notices are dropped where they arise.
    """

    __slots__ = ("_delivering", "_listener", "errors", "pending")

    def __init__(self, listener: Callable[[T], None] | None) -> None:
        self._listener = listener
        self._delivering = threading.Lock()
        self.pending: list[T] = []
        self.errors = 0
        """How many notices made the listener raise."""

    def add(self, notice: T) -> None:
        """Under the guard's lock: something changed."""
        if self._listener is not None:
            self.pending.append(notice)

    def deliver(self) -> None:
        """After the guard's lock: tell the listener, in order."""
        # A notice added while the lock below is being given back is seen by the next turn of the loop.
        while self.pending and self._delivering.acquire(blocking=False):
            try:
                while self.pending:
                    self._tell(self.pending.pop(0))
            finally:
                self._delivering.release()

    def after_fork(self) -> None:
        """In the child: another thread of the parent may have been delivering."""
        self._delivering = threading.Lock()
        self.pending.clear()

    def _tell(self, notice: T) -> None:
        listener = self._listener
        assert listener is not None  # nothing is added without one
        try:
            listener(notice)
        except Exception:
            self.errors += 1
