"""After a fork: locks may be held by threads that aren't here, and two processes would draw the same random numbers."""

from __future__ import annotations

import weakref
from typing import Protocol

from failsoft.processes import at_fork


class Forkable(Protocol):
    """Something that must be mended in a forked child."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""
        ...


_registered: weakref.WeakSet[Forkable] = weakref.WeakSet()


def mend_after_fork(thing: Forkable) -> None:
    """Call `thing.after_fork()` in every child forked from here on, while `thing` lives."""
    _registered.add(thing)


def _mend() -> None:
    for each in list(_registered):
        each.after_fork()


at_fork(in_child=_mend)
