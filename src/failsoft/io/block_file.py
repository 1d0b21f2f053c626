"""The manual kill switch, kept in a file: readable offline, in force after a restart, obeyed within half a second.

The file is JSON, replaced whole by a rename under a lock, so a reader sees one state or the next and never a half. A running
process looks at its modification time at most every `LOOK_EVERY` nanoseconds. A file that can't be read keeps the last
known blocks in force: losing the switch mustn't switch anything on.

Besides blocks it says when each subject was last unblocked, also where there was no block: that is how a word given in one
process ("it's mended") lifts latches and open breakers in all.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from attrs import frozen
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from failsoft import processes
from failsoft.errors import ConfigurationError

LOOK_EVERY = 500_000_000

_MODE = 0o644
"""Whoever throws the switch, a process under another account must be able to see it."""


@frozen
class _State:
    """What the file says: the blocks, and each subject's last unblocking, told apart by its time."""

    blocks: Mapping[str, Block]
    unblocked: Mapping[str, str]


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


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore")
    actor: str
    why: str
    since: str
    until: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")
    version: int
    blocks: dict[str, _Entry]
    unblocked: dict[str, str] = {}


class BlockFile:
    """Reads and writes the blocks of one application.

    Args:
        path: the file; it needn't exist.
        on_change: called with (subject, the block or None) for each subject whose block came or went by another's hand,
            and with (subject, None) for one that was unblocked where there was no block.
    """

    def __init__(self, path: Path, on_change: Callable[[str, Block | None], None] | None = None) -> None:
        self.path = path
        self._on_change = on_change
        self._state = _State({}, {})
        self._blocks: Mapping[str, Block] = {}  # those of the state that haven't ended
        self._unblocked: Mapping[str, str] | None = None  # None before the first look
        self._next_look = -1
        self._seen: tuple[int, int, int] | None = None

    def adapter(self, name: str, now: int) -> str | None:
        """Why this adapter is blocked; None if it isn't."""
        if now >= self._next_look:
            self._look(now)
        block = self._blocks.get("adapter:" + name) if self._blocks else None
        return None if block is None else str(block)

    def capability(self, name: str, now: int) -> str | None:
        """Why this capability is blocked; None if it isn't."""
        if now >= self._next_look:
            self._look(now)
        block = self._blocks.get("capability:" + name) if self._blocks else None
        return None if block is None else str(block)

    @property
    def known(self) -> Mapping[str, Block]:
        """The blocks that could last be read: what is obeyed."""
        return self._blocks

    def current(self) -> Mapping[str, Block]:
        """Every block in force, by subject, read now."""
        return _in_force(self._read())

    def block(self, subject: str, actor: str, why: str, lasting: timedelta | None = None) -> Block:
        """Put a block in force; one already there is replaced.

        Args:
            subject: ``adapter:NAME`` or ``capability:NAME``.
            actor: who.
            why: their reason.
            lasting: for how long; None: until it's ended.

        Raises:
            ConfigurationError: the file is there and isn't a block file, or it can't be written.
        """
        now = _now()
        block = Block(subject, actor, why, _written(now), None if lasting is None else _written(now + lasting))
        self._write(subject, lambda state: _State({**state.blocks, subject: block}, state.unblocked))
        return block

    def unblock(self, subject: str) -> bool:
        """End a block, and tell every process that the subject may be tried again. False if there was no block.

        Raises:
            ConfigurationError: the file is there and isn't a block file, or it can't be written.
        """
        found: list[bool] = []

        def without(state: _State) -> _State:
            found.append(subject in state.blocks)
            left = {key: each for key, each in state.blocks.items() if key != subject}
            return _State(left, {**state.unblocked, subject: _now().isoformat()})

        self._write(subject, without)
        return found[0]

    def _look(self, now: int) -> None:
        self._next_look = now + LOOK_EVERY
        try:
            seen = _marks(os.stat(self.path)) if self.path.exists() else None
            state = self._state if seen is not None and seen == self._seen else self._read()
        except (OSError, ConfigurationError):
            return  # the last known blocks stay in force
        self._adopt(state, seen)

    def _adopt(self, state: _State, seen: tuple[int, int, int] | None, own: str | None = None) -> None:
        before, self._state, self._seen = self._blocks, state, seen
        self._blocks = blocks = _in_force(state)
        told, self._unblocked = self._unblocked, state.unblocked
        if self._on_change is None:
            return
        changed = before.keys() ^ blocks.keys()
        if told is not None:
            changed |= {key for key, when in state.unblocked.items() if told.get(key) != when}
        for subject in changed - {own}:
            self._on_change(subject, blocks.get(subject))

    def _read(self) -> _State:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            if self.path.parent.is_dir():
                return _State({}, {})
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
        blocks = {key: Block(key, each.actor, each.why, each.since, each.until) for key, each in content.blocks.items()}
        return _State(blocks, content.unblocked)

    def _write(self, own: str, change: Callable[[_State], _State]) -> None:
        try:
            state, seen = self._replace(change)
        except OSError as error:
            raise ConfigurationError(f"{self.path}: can't be written: {error.strerror}") from error
        self._adopt(state, seen, own)

    def _replace(self, change: Callable[[_State], _State]) -> tuple[_State, tuple[int, int, int]]:
        with _locked(self.path.with_name(self.path.name + ".lock")):
            state = change(self._read())
            content: dict[str, Any] = {
                "version": 1,
                "blocks": {
                    key: {"actor": each.actor, "why": each.why, "since": each.since, "until": each.until}
                    for key, each in _in_force(state).items()
                },
                "unblocked": dict(state.unblocked),
            }
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(content, file, indent=2, sort_keys=True)
                    file.flush()
                    os.chmod(name, _MODE)
                    os.fsync(file.fileno())
                    seen = _marks(os.fstat(file.fileno()))
                os.replace(name, self.path)
            except BaseException:
                os.unlink(name)
                raise
            return state, seen


def _in_force(state: _State) -> Mapping[str, Block]:
    """The blocks that haven't ended by themselves."""
    now = _written(_now())
    return {key: each for key, each in state.blocks.items() if each.until is None or each.until > now}


def _now() -> datetime:
    return datetime.now(UTC)


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _marks(status: os.stat_result) -> tuple[int, int, int]:
    """What differs between a file and its replacement."""
    return status.st_mtime_ns, status.st_ino, status.st_size


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Between processes: one writer at a time."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        processes.lock(descriptor)
        yield
    finally:
        os.close(descriptor)
