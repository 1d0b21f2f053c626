"""What goes on between processes: one exclusive lock for each open file, and a word at each fork.

On POSIX the lock is ``flock``, which belongs to the open file, not to the process: it isn't lost when some other
descriptor of the file is closed, and it's shared with a forked child for as long as the child keeps its copy of the
descriptor (so a child must close that, and must never unlock it).

On Windows, which is not among the systems that the tests run on, it's ``msvcrt.locking`` of one byte far beyond any
content, since locks there keep others from reading. It can't be shared, and waiting for it is asking again and again.
Nothing forks there. Both kinds end with the descriptor, and so with the process.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_PLACE = 2**30
"""Which byte is locked on Windows: its C library takes no place beyond 2^31."""

_NAPS = (0.001, 0.02)
"""Seconds between two questions: at first, and at most."""


def lock(descriptor: int) -> None:
    """Wait for the lock of this open file, and take it."""
    if sys.platform == "win32":
        lock_within(descriptor, math.inf)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def lock_within(descriptor: int, seconds: float) -> bool:
    """Take the lock of this open file; False if it wasn't to be had in that time. By asking again and again."""
    deadline, nap = time.monotonic() + seconds, _NAPS[0]
    while not try_lock(descriptor):
        if time.monotonic() >= deadline:
            return False
        time.sleep(nap)
        nap = min(2 * nap, _NAPS[1])
    return True


def try_lock(descriptor: int) -> bool:
    """Take the lock if it's to be had at once."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _PLACE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def unlock(descriptor: int) -> None:
    """Give the lock back."""
    if sys.platform == "win32":
        os.lseek(descriptor, _PLACE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_locked(descriptor: int) -> bool:
    """Does somebody hold the lock? Those who only ask don't keep each other from asking (but for Windows, for a moment)."""
    if sys.platform == "win32":
        if not try_lock(descriptor):
            return True
    else:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    unlock(descriptor)
    return False


def at_fork(
    *,
    before: Callable[[], object] | None = None,
    in_parent: Callable[[], object] | None = None,
    in_child: Callable[[], object] | None = None,
) -> None:
    """From here on, call these at each fork of this process."""
    if sys.platform != "win32":
        hooks = {"before": before, "after_in_parent": in_parent, "after_in_child": in_child}
        os.register_at_fork(**{name: hook for name, hook in hooks.items() if hook is not None})
