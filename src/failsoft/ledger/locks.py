"""Who may write now, and who is alive: two uses of ``flock``, which belongs to an open file, not to a process.

Unlike a POSIX lock, it isn't lost when some other descriptor of the file is closed. It's shared with a forked child
for as long as the child keeps its copy of the descriptor: a child must close it, and must never unlock it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path


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
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                assert self._descriptor is not None
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the descriptor (and with it of the lock)."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class LiveFile:
    """A file that an emitter holds locked for life: whoever can take the lock knows that the emitter is gone.

    Made and looked at only under the ledger's `FileLock`: nobody sees one that isn't locked yet.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @staticmethod
    def name(database: Path, emitter: str) -> Path:
        """Where the emitter's file stands."""
        return database.with_name(f"{database.name}.{emitter}.live")

    @classmethod
    def hold(cls, database: Path, emitter: str) -> LiveFile:
        """Say that this emitter is alive, until the process ends."""
        path = cls.name(database, emitter)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return cls(path, descriptor)

    @classmethod
    def gone(cls, database: Path, own: str) -> Iterator[tuple[str, LiveFile]]:
        """Emitters that are gone and whose file nobody has removed: their lock is taken, for you to let go of."""
        prefix, suffix = f"{database.name}.", ".live"
        for path in sorted(database.parent.glob(f"{_escaped(database.name)}.*{suffix}")):
            emitter = path.name[len(prefix) : -len(suffix)]
            if emitter == own:
                continue
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                continue
            yield emitter, cls(path, descriptor)

    def release(self, *, remove: bool) -> None:
        """Let go; with `remove`, there's nothing left to look after."""
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def alive(database: Path, emitter: str) -> bool:
    """Is this emitter's process there? Asked without taking anything from anybody."""
    try:
        descriptor = os.open(LiveFile.name(database, emitter), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
