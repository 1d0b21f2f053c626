"""`writing_process.py` with as much of Windows as can be had without one: what POSIX alone has is gone, `msvcrt` stands in
for the locks, and a file that is open here isn't removed.

Arguments: as there.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_PLACE = 2**30
_asked: set[int] = set()


def locking(descriptor: int, mode: int, count: int) -> None:
    """Exclusive and at once, or refused; of one byte, at the place where the file stands."""
    assert count == 1
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == _PLACE
    _asked.add(mode)
    wanted = {0: fcntl.LOCK_UN, 2: fcntl.LOCK_EX | fcntl.LOCK_NB}[mode]
    try:
        fcntl.flock(descriptor, wanted)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


def unlink(path: Any, *, dir_fd: int | None = None, unlink: Any = os.unlink) -> None:
    """Not while it's open in this process."""
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue
        if target == os.path.realpath(path):
            raise PermissionError(13, "Permission denied")
    unlink(path, dir_fd=dir_fd)


def become_windows() -> None:
    windows: Any = ModuleType("msvcrt")
    windows.locking, windows.LK_UNLCK, windows.LK_LOCK, windows.LK_NBLCK = locking, 0, 1, 2
    sys.modules["msvcrt"] = windows
    sys.modules["fcntl"] = None  # type: ignore[assignment]
    for name in ("register_at_fork", "fork", "posix_fallocate", "fchmod", "getuid", "O_CLOEXEC", "O_NOFOLLOW",
                 "O_DIRECTORY", "O_NONBLOCK"):  # fmt: skip
        delattr(os, name)
    os.unlink = unlink
    sys.platform = "win32"


def main() -> None:
    load()  # the standard library and what we depend on look at the platform, too: they're there before it changes
    for name in list(sys.modules):
        if name.partition(".")[0] in ("failsoft", "ledgers", "writing_process"):
            del sys.modules[name]
    become_windows()
    load()
    from writing_process import run

    from failsoft.io.block_file import BlockFile

    blocks = BlockFile(Path(sys.argv[1]).with_suffix(".blocks.json"))
    blocks.block(f"adapter:{sys.argv[2]}", "jdoe", "why")
    assert blocks.adapter(sys.argv[2], 0) is not None
    run()
    assert _asked == {0, 2}


def load() -> None:
    import writing_process

    import failsoft
    import failsoft.io.block_file

    assert all(hasattr(failsoft, name) for name in failsoft.__all__)
    assert writing_process.ledger_at


if __name__ == "__main__":
    main()
