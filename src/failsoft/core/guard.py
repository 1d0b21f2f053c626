"""What every guard is: a lock held over arithmetic, and changes told to one listener once the lock is free.

Theory of operation
-------------------

A guard (breaker, throttle, latch, bulkhead, degraded window) changes its state under its own lock. Under that lock it
notes the change (`_changed`); when it has left the lock it tells its listener (`_announce`). Three things follow:

1. A listener never runs under a guard's lock: it may log, block or call the guard.
2. Changes are told in the order in which they happened, whichever threads made them: one thread at a time tells. A
   thread that finds another telling leaves its changes to that one; so does a listener that changes the guard it
   listens to.
3. What a listener raises is counted and dropped. It never replaces a call's result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Guard(Generic[T]):
    """A lock, and changes on their way to a listener.

    Args:
        listener: called with each change; None: changes are dropped where they arise.
    """

    __slots__ = ("_listener", "_lock", "_telling", "_untold", "listener_errors")

    def __init__(self, listener: Callable[[T], None] | None) -> None:
        self._lock = threading.Lock()
        self._listener = listener
        self._untold: list[T] = []
        self._telling = False
        self.listener_errors = 0
        """How many changes made the listener raise."""

    def after_fork(self) -> None:
        """In the child: lock and listener may be held by a thread that isn't here; what it hadn't told is the parent's."""
        self._lock = threading.Lock()
        self._telling = False
        self._untold.clear()

    def _changed(self, change: T) -> None:
        """Under the lock: note a change."""
        if self._listener is not None:
            self._untold.append(change)

    def _announce(self) -> None:
        """After the lock: tell the listener what it hasn't heard, in order."""
        # A change noted while the turn is being given up is seen by the next round of the loop.
        while self._untold and self._take_turn():
            try:
                while self._untold:
                    self._tell(self._untold.pop(0))
            finally:
                self._telling = False

    def _take_turn(self) -> bool:
        """False: another thread is telling, or this one, further up."""
        with self._lock:
            if self._telling:
                return False
            self._telling = True
            return True

    def _tell(self, change: T) -> None:
        listener = self._listener
        assert listener is not None  # nothing is noted without one
        try:
            listener(change)
        except Exception:
            self.listener_errors += 1
