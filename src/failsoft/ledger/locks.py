"""Who may write now, and who is alive: two uses of a lock that belongs to an open file (see `failsoft.processes`)."""

from __future__ import annotations

import errno
import functools
import os
import re
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from failsoft import processes

_EMITTER = re.compile("[0-9a-f]{32}")
"""In the name of a live file: others are those of a ledger whose own name begins like this one's."""

_MARK = re.compile(rb"(.+):(\d+):(\d*)\n")
"""Which file it is, when that was written, and the number of its emitter's last record that was put into a spool."""

_LATER_NS = 100_000_000
"""So much later than that the file may have been changed, at most: a process may be held up before it writes."""

_EARLIER_NS = 1_000_000_000
"""And so much earlier: some file systems know the second alone."""

_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
"""Windows has no such flag, and lets few make a link."""


class FileLock:
    """An exclusive lock between processes; may be entered again by whoever is inside. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._depth = 0

    @contextmanager
    def held(self, seconds: float | None = None) -> Generator[None, None, None]:
        """Wait for it, at most so long where that's said, and hold it inside. Raises OSError."""
        if self._depth == 0:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            if seconds is None:
                processes.lock(self._descriptor)
            elif not processes.lock_within(self._descriptor, seconds):
                told = f"another process has kept it locked for {seconds:g} s: end it, or wait until it's through"
                raise TimeoutError(errno.ETIMEDOUT, told, str(self.path))
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                assert self._descriptor is not None
                processes.unlock(self._descriptor)

    @property
    def is_new(self) -> bool:
        """Has nobody come so far as to say `used` since its file was made here? A copy is new, and so is one that was
        touched since. While it's held.
        """
        assert self._descriptor is not None
        return _mark_of(self._descriptor) is None

    def used(self) -> None:
        """What's to be done by the first to hold it is done. A full disk leaves it to the next one."""
        assert self._descriptor is not None
        with suppress(OSError):
            _mark(self._descriptor)

    def close(self) -> None:
        """Let go of the descriptor (and with it of the lock)."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class LiveFile:
    """A file that an emitter holds locked for life: whoever can take the lock knows that the emitter is gone.

    Made and looked at under the ledger's `FileLock`, where there's one. Without it somebody may see it before it's locked,
    and remove it: whoever holds it makes sure that it's there.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @staticmethod
    def name(database: Path, emitter: str) -> Path:
        """Where the emitter's file stands."""
        return database.with_name(f"{database.name}.{emitter}.live")

    @classmethod
    def stand_in(cls, database: Path, emitter: str) -> None:
        """Leave a file for somebody who has none: one that's no original."""
        cls.hold(database, emitter, marked=False).release(remove=False)

    @classmethod
    def hold(cls, database: Path, emitter: str, *, marked: bool = True) -> LiveFile:
        """Say that this emitter is alive, until the process ends."""
        path = cls.name(database, emitter)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            processes.lock(descriptor)
            if _is_there(path, descriptor):
                if marked:
                    with suppress(OSError):
                        _mark(descriptor)
                return cls(path, descriptor)
            os.close(descriptor)  # somebody saw it before it was locked, took it for left behind, and removed it

    @classmethod
    def gone(cls, database: Path, own: str) -> Iterator[tuple[str, LiveFile]]:
        """Emitters that are gone and whose file nobody has removed: their lock is taken, for you to let go of."""
        prefix, suffix = f"{database.name}.", ".live"
        for path in sorted(database.parent.glob(f"{_escaped(database.name)}.*{suffix}")):
            emitter = path.name[len(prefix) : -len(suffix)]
            if emitter == own or _EMITTER.fullmatch(emitter) is None:
                continue
            try:
                descriptor = os.open(path, os.O_RDWR | _NO_FOLLOW)
            except OSError:
                continue
            if processes.try_lock(descriptor):
                yield emitter, cls(path, descriptor)
            else:
                os.close(descriptor)

    @property
    def is_original(self) -> bool:
        """Was it made here, since the machine was started? A copy, or a clone of the disk, shows nothing of whoever holds
        the original; nor does a file into which a copy of it was put back.
        """
        return _mark_of(self._descriptor) is not None

    @property
    def last_spooled(self) -> int | None:
        """As `spooled` said last; None where it never did, and where it's no original."""
        number = _mark_of(self._descriptor)
        return int(number) if number else None

    def spooled(self, last: int) -> None:
        """Say which number the last record has that was put into the emitter's spool. On a full disk it's no original then.

        Raises:
            OSError: it says what it said before.
        """
        _mark(self._descriptor, last)

    def release(self, *, remove: bool) -> None:
        """Let go; with `remove`, there's nothing left to look after. A file that stays is removed by the next sweep."""
        if remove:
            self._remove()  # while it's locked, so that nobody sweeps it
        os.close(self._descriptor)
        self._descriptor = -1  # some other file gets its number
        if remove:
            self._remove()  # Windows removes no file that is open

    def _remove(self) -> None:
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def alive(database: Path, emitter: str) -> bool:
    """Is this emitter's process there? Asked without taking anything from anybody."""
    try:
        descriptor = os.open(LiveFile.name(database, emitter), os.O_RDONLY | _NO_FOLLOW)
    except OSError:
        return False
    try:
        return processes.is_locked(descriptor)
    finally:
        os.close(descriptor)


def anybody(database: Path) -> bool:
    """Does a process have the database open, as far as live files tell?"""
    start, end = f"{database.name}.", ".live"
    names = [each.name for each in database.parent.iterdir()]
    emitters = [name[len(start) : -len(end)] for name in names if name.startswith(start) and name.endswith(end)]
    return any(alive(database, each) for each in emitters if _EMITTER.fullmatch(each))


def _itself(found: os.stat_result) -> bytes:
    """What a file is, and no copy of it; nor the same one on a machine that was started from a clone of its disk."""
    return f"{found.st_dev}:{found.st_ino}:{_started()}".encode()


@functools.cache
def _started() -> str:
    """The kernel's own name for the time since the machine was started; empty where it has none (Linux: proc(5))."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _now() -> int:
    """By the machine's own clock, whatever the application's is: it's compared with what the system says of a file."""
    return time.time_ns()


def _mark(descriptor: int, last: int | None = None) -> None:
    """Write into a file that it's itself, and when; on a full disk it isn't.

    Args:
        descriptor: of the file.
        last: the number of the last record that was put into the emitter's spool; None: none was.

    Raises:
        OSError: what stood there before stands there still.
    """
    os.ftruncate(descriptor, 0)
    with suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        number = "" if last is None else last
        os.write(descriptor, _itself(os.fstat(descriptor)) + f":{_now()}:{number}\n".encode())


def _mark_of(descriptor: int) -> bytes | None:
    """The number in the mark, empty where there's none; None where the file isn't marked, or was touched since.

    A copy that was put back into the file, or got the inode of one that was removed, is the same file by all else that
    stands in the mark. When a file was last changed (`st_ctime`) nobody can choose: that must be when it was marked. Both
    times are of that moment, so that a clock that's set later changes nothing. To change a file's owner or rights, or to
    rename it, touches it too: it's not believed then.
    """
    found = os.fstat(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    mark = _MARK.fullmatch(os.read(descriptor, 256))
    if mark is None or mark[1] != _itself(found) or _is_touched(found.st_ctime_ns - int(mark[2])):
        return None
    return mark[3]


def _is_touched(since_ns: int) -> bool:
    """Before it was marked: by a clock that was set back since. On Windows the time is that when the file was made."""
    return since_ns > _LATER_NS or (since_ns < -_EARLIER_NS and sys.platform != "win32")


def _is_there(path: Path, descriptor: int) -> bool:
    """Is it still this file that has the name?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
