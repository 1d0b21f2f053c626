"""One file that processes share: replaced whole by a rename, under a lock, so that a reader sees one state or the next.

Two things stand in it. *Blocks*, as `failsoft.io.block_file` keeps them; and *facts* (`failsoft.core.shared`), where
processes of one machine share what they know of their adapters (`FileStore`). Each is read and written by its own part and
carried along by the other. `StateMemory` is the same without a file.

Whoever can write in the folder is trusted, and may be wrong: what isn't such a file is never replaced, what couldn't be read
again is never written, and a lock that somebody keeps isn't waited for long (`failsoft.io.file_lock`).
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from attrs import evolve, field, frozen
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from failsoft.core.effects import Clock
from failsoft.core.limits import DAY
from failsoft.core.shared import BOUND, Fact, Facts, LeaseAsk, Seen, StateLost, granted, is_past, merged, news, sound
from failsoft.errors import ConfigurationError
from failsoft.io.file_lock import locked

LOOK_EVERY = 500_000_000
"""Nanoseconds between two looks at the file: twice a second one `stat`."""

_MODE = 0o644
"""Whoever throws the switch, a process under another account must be able to see it."""

LARGEST = 16 * 2**20
"""Bytes of a file that's read: a block is some hundred."""

_LONGEST_ENTRY = 2**16
"""Characters in which another host may tell one block."""

_UNDER_WAY = ".new-"
"""After the file's name: one that's being written, or was, by a process that was killed."""

Marks = tuple[int, int, int]
"""What differs between a file and its replacement."""


@frozen
class Block:
    """One block.

    Args:
        subject: ``adapter:NAME`` or ``capability:NAME``.
        actor: who blocked it.
        why: their reason.
        since: when, UTC, ISO 8601.
        until: when it ends by itself, written alike; None: when somebody ends it.
    """

    subject: str
    actor: str
    why: str
    since: str
    until: str | None = None

    def __str__(self) -> str:
        until = "" if self.until is None else f" until {self.until}"
        return f"blocked by {self.actor} since {self.since}{until}: {self.why}"


@frozen
class Content:
    """What the file says.

    Args:
        blocks: by subject.
        unblocked: when each subject was last unblocked.
        versions: how often each subject was blocked or unblocked.
        facts: of the adapters that processes share.
    """

    blocks: Mapping[str, Block] = field(factory=dict[str, Block])
    unblocked: Mapping[str, str] = field(factory=dict[str, str])
    versions: Mapping[str, int] = field(factory=dict[str, int])
    facts: Mapping[str, Fact] = field(factory=dict[str, Fact])


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore")
    actor: str
    why: str
    since: str
    until: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")] | None = None


class _Ended(BaseModel):
    model_config = ConfigDict(extra="ignore")
    when: str


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")
    version: Literal[1]
    blocks: dict[str, _Entry]
    unblocked: dict[str, str] = {}
    versions: dict[str, Annotated[int, Field(ge=0, lt=BOUND)]] = {}
    facts: dict[str, tuple[int, int, str]] = {}


def block_told(subject: str, body: str) -> Block:
    """A block as another host tells it. One whose words can't be read here is a block all the same, until it's ended."""
    try:
        each = _Entry.model_validate_json(body if len(body) <= _LONGEST_ENTRY else "")
    except ValidationError:
        return Block(subject, "another host", "its words can't be read here", "a moment that can't be read here")
    return Block(subject, each.actor, each.why, each.since, each.until)


def end_told(body: str) -> str:
    """When another host says that a block was ended; empty if that can't be read."""
    try:
        return _Ended.model_validate_json(body).when
    except ValidationError:
        return ""


Alter = Callable[[Content], Content]


class StateFile:
    """Reads and replaces the file.

    Args:
        path: it needn't exist; its folder must.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def marks(self) -> Marks | None:
        """What tells this content from the next; None while there's no file. Raises OSError."""
        return _marks(os.stat(self.path)) if self.path.exists() else None

    def read(self) -> Content:
        """All of it.

        Raises:
            ConfigurationError: it can't be read, or isn't such a file.
        """
        try:
            text = self._bytes()
        except FileNotFoundError:
            if self.path.parent.is_dir():
                return Content()
            raise ConfigurationError(
                f"{self.path}: its folder isn't there: make it, or bring back the mount that it's on"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{self.path}: can't be read: {error.strerror}") from error
        try:
            content = _File.model_validate_json(text)
        except ValidationError:
            raise ConfigurationError(
                f"{self.path}: not a file of blocks; mend it or remove it (removing it ends every block)"
            ) from None
        return Content(
            {key: Block(key, each.actor, each.why, each.since, each.until) for key, each in content.blocks.items()},
            content.unblocked,
            content.versions,
            {name: Fact(*each) for name, each in content.facts.items()},
        )

    def _bytes(self) -> bytes:
        """Opened without waiting: a pipe in its place would wait for a writer."""
        with open(
            self.path, "rb", opener=lambda path, flags: os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
        ) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"{self.path}: not a file of blocks: no regular file; remove it")
            if status.st_size > LARGEST:
                raise ConfigurationError(f"{self.path}: not a file of blocks: larger than {LARGEST} bytes")
            return file.read()

    def change(self, alter: Alter) -> tuple[Content, Marks | None]:
        """Replace it by what `alter` makes of it; what's returned unaltered isn't written.

        Raises:
            ConfigurationError: it can't be read, isn't such a file, can't be written, or another process keeps its lock.
        """
        try:
            with locked(self.path.with_name(self.path.name + ".lock")):
                before = self.read()
                after = alter(before)
                return after, self.marks() if after is before else self._replace(after)
        except OSError as error:
            raise ConfigurationError(f"{self.path}: can't be written: {error.strerror}") from error

    def _replace(self, content: Content) -> Marks:
        text = json.dumps(_written(content), indent=2, sort_keys=True).encode()
        if len(text) > LARGEST or not _is_readable(text):
            raise ConfigurationError(
                f"{self.path}: what was to be written couldn't be read again, so it's left as it is"
            )
        self._sweep()
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name + _UNDER_WAY)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.chmod(name, _MODE)
                os.fsync(file.fileno())
                marks = _marks(os.fstat(file.fileno()))
            os.replace(name, self.path)
        except BaseException:
            os.unlink(name)
            raise
        return marks

    def _sweep(self) -> None:
        """Under the lock nobody else writes: what's under way is a killed one's."""
        for left in list(self.path.parent.iterdir()):
            if left.name.startswith(self.path.name + _UNDER_WAY):
                with suppress(OSError):
                    left.unlink()


class StateMemory:
    """The same where there's no place for a file: nothing outlives the process."""

    path: Path | None = None

    def __init__(self, content: Content | None = None) -> None:
        self._lock = threading.Lock()
        self._content = content or Content()
        self._changes = 0

    def marks(self) -> Marks | None:
        """As `StateFile.marks`."""
        return (self._changes, 0, 0)

    def read(self) -> Content:
        """As `StateFile.read`."""
        return self._content

    def change(self, alter: Alter) -> tuple[Content, Marks | None]:
        """As `StateFile.change`."""
        with self._lock:
            self._content = alter(self._content)
            self._changes += 1
            return self._content, self.marks()


class FileStore:
    """Shared state of the processes on one machine, in the file that keeps their blocks.

    Its clock is the machine's, which they share.

    Args:
        file: the file.
        clock: the machine's.
    """

    kind = "file"
    always = False

    def __init__(self, file: StateFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._woken = threading.Event()
        self._seen: Marks | None = None
        self._facts: Facts = {}

    def open(self) -> None:
        """Nothing is kept open."""

    def exchange(self, facts: Facts, asks: Iterable[LeaseAsk]) -> Seen:
        """As any store; without anything to tell, one `stat` where nothing has changed."""
        now_ms, asks = self._clock.time_ns() // 1_000_000, tuple(asks)

        def alter(content: Content) -> Content:
            held = sound(content.facts)
            fresh = news(facts, held)
            fresh |= granted(merged(held, fresh), asks, now_ms)
            if not fresh:
                return content
            today = now_ms * 1_000_000 // DAY
            kept = {name: each for name, each in held.items() if not is_past(name, each, today)}
            return evolve(content, facts={**kept, **fresh})

        try:
            if facts or asks:
                content, self._seen = self._file.change(alter)
                self._facts = sound(content.facts)
            elif (marks := self._file.marks()) != self._seen or marks is None:
                self._facts, self._seen = sound(self._file.read().facts), marks
        except ConfigurationError:
            raise StateLost("the file can't be used") from None
        except OSError:
            raise StateLost("the file can't be seen") from None
        return Seen(now_ms, self._facts)

    def wait(self, seconds: float | None) -> bool:
        """Until woken; with a limit, until the file changes too."""
        if seconds is None:
            self._woken.wait()
        left = 0.0 if seconds is None else seconds
        while left > 0 and not self._woken.wait(min(left, LOOK_EVERY / 1e9)):
            left -= LOOK_EVERY / 1e9
            try:
                if self._file.marks() != self._seen:
                    return True
            except OSError:
                raise StateLost("the file can't be seen") from None
        self._woken.clear()
        return False

    def wake(self) -> None:
        """From any thread."""
        self._woken.set()

    def close(self) -> None:
        """Nothing is kept open."""

    def after_fork(self) -> None:
        """In the child: the event may be locked by a thread that isn't here."""
        self._woken = threading.Event()


def _written(content: Content) -> dict[str, Any]:
    written: dict[str, Any] = {
        "version": 1,
        "blocks": {
            key: {"actor": each.actor, "why": each.why, "since": each.since, "until": each.until}
            for key, each in content.blocks.items()
        },
        "unblocked": dict(content.unblocked),
    }
    if content.versions:
        written["versions"] = dict(content.versions)
    if content.facts:
        written["facts"] = {name: [each.epoch, each.rank, each.body] for name, each in content.facts.items()}
    return written


def _marks(status: os.stat_result) -> Marks:
    return status.st_mtime_ns, status.st_ino, status.st_size


def _is_readable(text: bytes) -> bool:
    try:
        _File.model_validate_json(text)
    except ValidationError:
        return False
    return True
