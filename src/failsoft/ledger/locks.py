"""Who may write now, and who is alive: two uses of a lock that belongs to an open file (see `failsoft.processes`)."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from failsoft import processes

_EMITTER = re.compile("[0-9a-f]{32}")
"""In the name of a live file: others are those of a ledger whose own name begins like this one's."""

_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
"""Windows has no such flag, and lets few make a link."""


class FileLock:
    """An exclusive lock between processes; may be entered again by whoever is inside. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._depth = 0

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Wait for it, and hold it inside."""
        if self._depth == 0:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            processes.lock(self._descriptor)
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
        """Has nobody come so far as to say `used` since its file was made here? A copy is new. While it's held."""
        assert self._descriptor is not None
        return not _is_marked(self._descriptor)

    def used(self) -> None:
        """What's to be done by the first to hold it is done. A full disk leaves it to the next one."""
        assert self._descriptor is not None
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
        the original.
        """
        return _is_marked(self._descriptor)

    def release(self, *, remove: bool) -> None:
        """Let go; with `remove`, there's nothing left to look after. A file that stays is removed by the next sweep."""
        if remove:
            self._remove()  # while it's locked, so that nobody sweeps it
        os.close(self._descriptor)
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


def _itself(descriptor: int) -> bytes:
    """What a file is, and no copy of it; nor the same one on a machine that was started from a clone of its disk."""
    found = os.fstat(descriptor)
    return f"{found.st_dev}:{found.st_ino}:{_started()}\n".encode()


@functools.cache
def _started() -> str:
    """The kernel's own name for the time since the machine was started; empty where it has none (Linux: proc(5))."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _mark(descriptor: int) -> None:
    """Write into a file that it's itself; on a full disk it isn't."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, _itself(descriptor))


def _is_marked(descriptor: int) -> bool:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 256) == _itself(descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    """Is it still this file that has the name?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
