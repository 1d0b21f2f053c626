"""An isolation is entered in a thread, so that no event loop waits for a disk; whoever asked may be gone by then."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Entry:
    """An entering, in a thread, that its caller may walk away from: what was entered for nobody is left again.

    No loop is needed for that: the one that asked may be ending.
    """

    def __init__(self, enter: Callable[[], None], leave: Callable[[], None]) -> None:
        self._enter = enter
        self._leave = leave
        self._lock = threading.Lock()
        self._entered = self._unwanted = False

    def run(self) -> None:
        """Enter, in a thread."""
        self._enter()
        with self._lock:
            self._entered = True
            unwanted = self._unwanted
        if unwanted:
            self._leave()

    def abandon(self) -> None:
        """Nobody waits any more: leave what was entered, or will be."""
        with self._lock:
            self._unwanted = True
            entered = self._entered
        if entered:
            threading.Thread(target=self._leave, name="failsoft-leaving").start()
