"""The manual kill switch, kept in a file: readable offline, in force after a restart, obeyed within half a second.

The file is JSON, replaced whole by a rename under a lock, so a reader sees one state or the next and never a half. A running
process looks at its modification time at most every `LOOK_EVERY` nanoseconds. A file that can't be read keeps the last
known blocks in force: losing the switch mustn't switch anything on.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen
from pydantic import BaseModel, ConfigDict, ValidationError

from failsoft.errors import ConfigurationError

LOOK_EVERY = 500_000_000

_MODE = 0o644
"""Whoever throws the switch, a process under another account must be able to see it."""


@frozen
class Block:
    """One block.

    Args:
        subject: ``adapter:NAME`` or ``capability:NAME``.
        actor: who blocked it.
        why: their reason.
        since: when, UTC, ISO 8601.
    """

    subject: str
    actor: str
    why: str
    since: str

    def __str__(self) -> str:
        return f"blocked by {self.actor} since {self.since}: {self.why}"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore")
    actor: str
    why: str
    since: str


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")
    version: int
    blocks: dict[str, _Entry]


class BlockFile:
    """Reads and writes the blocks of one application.

    Args:
        path: the file; it needn't exist.
        on_change: called with (subject, the block or None) for each subject whose block came or went by another's hand.
    """

    def __init__(self, path: Path, on_change: Callable[[str, Block | None], None] | None = None) -> None:
        self.path = path
        self._on_change = on_change
        self._blocks: Mapping[str, Block] = {}
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
        return self._read()

    def block(self, subject: str, actor: str, why: str) -> Block:
        """Put a block in force; one already there is replaced.

        Raises:
            ConfigurationError: the file is there and isn't a block file, or it can't be written.
        """
        block = Block(subject, actor, why, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        self._write(subject, lambda blocks: {**blocks, subject: block})
        return block

    def unblock(self, subject: str) -> bool:
        """End a block. False if there was none.

        Raises:
            ConfigurationError: the file is there and isn't a block file, or it can't be written.
        """
        found: list[bool] = []

        def without(blocks: Mapping[str, Block]) -> dict[str, Block]:
            found.append(subject in blocks)
            return {key: each for key, each in blocks.items() if key != subject}

        self._write(subject, without)
        return found[0]

    def _look(self, now: int) -> None:
        self._next_look = now + LOOK_EVERY
        try:
            seen = _marks(os.stat(self.path)) if self.path.exists() else None
            if seen is not None and seen == self._seen:
                return
            blocks = self._read()
        except (OSError, ConfigurationError):
            return  # the last known blocks stay in force
        self._adopt(blocks, seen)

    def _adopt(self, blocks: Mapping[str, Block], seen: tuple[int, int, int] | None, own: str | None = None) -> None:
        before, self._blocks, self._seen = self._blocks, blocks, seen
        if self._on_change is not None:
            for subject in (before.keys() ^ blocks.keys()) - {own}:
                self._on_change(subject, blocks.get(subject))

    def _read(self) -> Mapping[str, Block]:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            if self.path.parent.is_dir():
                return {}
            raise ConfigurationError(f"{self.path}: its folder is out of sight, as when a mount is lost") from None
        except OSError as error:
            raise ConfigurationError(f"{self.path}: can't be read: {error.strerror}") from error
        try:
            content = _File.model_validate_json(text)
        except ValidationError:
            raise ConfigurationError(
                f"{self.path}: not a file of blocks; mend it or remove it (removing it ends every block)"
            ) from None
        return {key: Block(key, each.actor, each.why, each.since) for key, each in content.blocks.items()}

    def _write(self, own: str, change: Callable[[Mapping[str, Block]], Mapping[str, Block]]) -> None:
        try:
            blocks, seen = self._replace(change)
        except OSError as error:
            raise ConfigurationError(f"{self.path}: can't be written: {error.strerror}") from error
        self._adopt(blocks, seen, own)

    def _replace(
        self, change: Callable[[Mapping[str, Block]], Mapping[str, Block]]
    ) -> tuple[Mapping[str, Block], tuple[int, int, int]]:
        with _locked(self.path.with_name(self.path.name + ".lock")):
            blocks = change(self._read())
            content: dict[str, Any] = {
                "version": 1,
                "blocks": {
                    key: {"actor": each.actor, "why": each.why, "since": each.since} for key, each in blocks.items()
                },
            }
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(content, file, indent=2, sort_keys=True)
                    file.flush()
                    os.fchmod(file.fileno(), _MODE)
                    os.fsync(file.fileno())
                    seen = _marks(os.fstat(file.fileno()))
                os.replace(name, self.path)
            except BaseException:
                os.unlink(name)
                raise
            return blocks, seen


def _marks(status: os.stat_result) -> tuple[int, int, int]:
    """What differs between a file and its replacement."""
    return status.st_mtime_ns, status.st_ino, status.st_size


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Between processes: one writer at a time."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
