"""The manual kill switch, kept in a file: readable offline, in force after a restart, obeyed within half a second.

A running process looks at the file (`failsoft.io.state_file`) at most every `LOOK_EVERY` nanoseconds. A file that can't be
read keeps the last known blocks in force: losing the switch mustn't switch anything on.

Besides blocks it says when each subject was last unblocked, also where there was no block: that is how a word given in one
process ("it's mended") lifts latches and open breakers in all.

Where hosts share their blocks through a database, the file is this host's copy. Each subject is a register with a version:
the higher one wins, and of one version a block (`facts`, `merge`). While there's neither a file nor a word from the
database, nobody knows what's blocked, so everything is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import evolve

from failsoft.core.route import Refusal
from failsoft.core.shared import Fact, Facts, fact
from failsoft.errors import ConfigurationError
from failsoft.io.state_file import (
    LOOK_EVERY,
    Alter,
    Block,
    Content,
    Marks,
    StateFile,
    StateMemory,
    block_told,
    end_told,
)

__all__ = ["LOOK_EVERY", "PREFIX", "Block", "BlockFile"]

PREFIX = "block/"
"""Of the facts that say what is blocked."""

_NEVER = 2**63

_Changes = dict[str, Block | None]


class _Everything(dict[str, Block]):
    """What is blocked while nobody knows what is."""

    def get(self, key: str, default: object = None) -> Block:
        why = "what is blocked isn't known: the store of shared state hasn't answered since the start"
        return Block(key, "failsoft", why, _written(_now()))

    def __bool__(self) -> bool:
        return True


class BlockFile:
    """Reads and writes the blocks of one application.

    Args:
        place: the file, which needn't exist; or a `StateMemory`.
        on_change: called with (subject, the block or None) for each subject whose block came or went by another's hand,
            and with (subject, None) for one that was unblocked where there was no block.
        on_facts: called when the file changed otherwise.
        on_reading: called with why the file can't be read any more, and with an empty string when it can again.
    """

    def __init__(
        self,
        place: Path | StateFile | StateMemory,
        on_change: Callable[[str, Block | None], None] | None = None,
        on_facts: Callable[[], None] | None = None,
        on_reading: Callable[[str], None] | None = None,
    ) -> None:
        self._place = StateFile(place) if isinstance(place, Path) else place
        self._on_change = on_change
        self._on_facts = on_facts
        self._on_reading = on_reading
        self._unreadable = False
        self._lock = threading.Lock()
        self._state = Content()
        self._blocks: Mapping[str, Block] = {}  # those of the state that haven't ended
        self._unblocked: Mapping[str, str] | None = None  # None before the first look
        self._next_look = -1
        self._seen: Marks | None = None

    def adapter(self, name: str, now: int) -> Refusal | None:
        """Why this adapter is blocked; None if it isn't."""
        if now >= self._next_look:
            self._look(now)
        return _refusal(blocks, "adapter:" + name) if (blocks := self._blocks) else None

    def capability(self, name: str, now: int) -> Refusal | None:
        """Why this capability is blocked; None if it isn't."""
        if now >= self._next_look:
            self._look(now)
        return _refusal(blocks, "capability:" + name) if (blocks := self._blocks) else None

    @property
    def known(self) -> Mapping[str, Block]:
        """The blocks that could last be read: what is obeyed."""
        return self._blocks

    @property
    def knows_nothing(self) -> bool:
        """Is everything blocked, since nobody knows what is?"""
        return self._next_look == _NEVER

    def current(self) -> Mapping[str, Block]:
        """Every block in force, by subject, read now."""
        return _in_force(self._place.read())

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
        self._write(subject, lambda state: _next(state, subject, {**state.blocks, subject: block}, state.unblocked))
        return block

    def unblock(self, subject: str) -> bool:
        """End a block, and tell every process that the subject may be tried again. False if there was no block.

        Raises:
            ConfigurationError: the file is there and isn't a block file, or it can't be written.
        """
        found: list[bool] = []

        def without(state: Content) -> Content:
            found.append(subject in state.blocks)
            left = {key: each for key, each in state.blocks.items() if key != subject}
            return _next(state, subject, left, {**state.unblocked, subject: _now().isoformat()})

        self._write(subject, without)
        return found[0]

    # --- between hosts ------------------------------------------------------------------------------------------------

    def unknown(self) -> None:
        """A database knows what is blocked, and hasn't said so yet: without a copy of its word everything is."""
        if self._place.path is None or not self._place.path.exists():
            self._blocks = _Everything()
            self._next_look = _NEVER

    def facts(self) -> dict[str, Fact]:
        """Every subject as a register, as of the last look."""
        state = self._state
        return {PREFIX + subject: _register(state, subject) for subject in {*state.blocks, *state.unblocked}}

    def merge(self, facts: Facts) -> None:
        """Take over what other hosts know better. The file is written if anything is, and the first time.

        Raises:
            ConfigurationError: it can't be written; what was taken over is obeyed all the same.
        """
        state = _merged(self._state, facts)
        new = self._place.path is not None and not self._place.path.exists()
        if state is self._state and not new and not self.knows_nothing:
            return
        with self._lock:
            self._next_look = -1
            changes = self._adopt(state, self._seen)
        self._tell(changes)

        def alter(content: Content) -> Content:
            altered = _merged(content, facts)
            return evolve(altered) if new else altered

        self._write(None, alter)

    def after_fork(self) -> None:
        """In the child: the lock may be held by a thread that isn't here."""
        self._lock = threading.Lock()

    def look(self, now: int) -> None:
        """Look at the file now, if a look is due."""
        if now >= self._next_look:
            self._look(now)

    # --- reading and writing ------------------------------------------------------------------------------------------

    def _look(self, now: int) -> None:
        if not self._lock.acquire(blocking=False):
            return  # another thread looks
        try:
            self._next_look = now + LOOK_EVERY
            before, why, facts = self._unreadable, "", False
            changes: _Changes = {}
            try:
                seen = self._place.marks()
                state = self._state if seen is not None and seen == self._seen else self._place.read()
            except (OSError, ConfigurationError) as error:
                why = str(error)  # the last known blocks stay in force
            else:
                facts = state.facts != self._state.facts
                changes = self._adopt(state, seen)
            self._unreadable = bool(why)
        finally:
            self._lock.release()
        if bool(why) != before and self._on_reading is not None:
            self._on_reading(why)
        self._tell(changes)
        if facts and self._on_facts is not None:
            self._on_facts()

    def _adopt(self, state: Content, seen: Marks | None) -> _Changes:
        before, self._state, self._seen = self._blocks, state, seen
        self._blocks = blocks = _in_force(state)
        told, self._unblocked = self._unblocked, state.unblocked
        changed = before.keys() ^ blocks.keys()
        if told is not None:
            changed |= {key for key, when in state.unblocked.items() if told.get(key) != when}
        return {subject: blocks.get(subject) for subject in changed}

    def _tell(self, changes: _Changes, own: str | None = None) -> None:
        """With no lock held: who hears it may throw the switch himself."""
        if self._on_change is not None:
            for subject, block in changes.items():
                if subject != own:
                    self._on_change(subject, block)

    def _write(self, own: str | None, alter: Alter) -> None:
        def without_ended(state: Content) -> Content:
            altered = alter(state)
            return altered if altered is state else evolve(altered, blocks=_in_force(altered))

        state, seen = self._place.change(without_ended)
        with self._lock:
            changes = self._adopt(state, seen)
        self._tell(changes, own)


def _next(state: Content, subject: str, blocks: Mapping[str, Block], unblocked: Mapping[str, str]) -> Content:
    versions = {**state.versions, subject: state.versions.get(subject, 0) + 1}
    return evolve(state, blocks=blocks, unblocked=unblocked, versions=versions)


def _merged(state: Content, facts: Facts) -> Content:
    for name, each in facts.items():
        if name.startswith(PREFIX):
            state = _taken_over(state, name.removeprefix(PREFIX), each)
    return state


def _register(state: Content, subject: str) -> Fact:
    """What's known of a subject here."""
    block, version = state.blocks.get(subject), state.versions.get(subject, 0)
    if block is None:
        return fact(version, 0, when=state.unblocked.get(subject, ""))
    return fact(version, 1, actor=block.actor, why=block.why, since=block.since, until=block.until)


def _taken_over(state: Content, subject: str, each: Fact) -> Content:
    """The state with another host's word on a subject, where that's the greater; else the same object."""
    if each <= _register(state, subject):
        return state
    blocks, unblocked = dict(state.blocks), dict(state.unblocked)
    if each.rank:
        blocks[subject] = block_told(subject, each.body)
    else:
        blocks.pop(subject, None)
        unblocked[subject] = end_told(each.body)
    taken = evolve(state, blocks=blocks, unblocked=unblocked, versions={**state.versions, subject: each.epoch})
    if subject in blocks and subject not in _in_force(taken):
        return state  # it has ended
    return state if taken == state else taken  # the same in other words


def _refusal(blocks: Mapping[str, Block], subject: str) -> Refusal | None:
    block = blocks.get(subject)
    if block is None:
        return None
    return "blocks_unknown" if isinstance(blocks, _Everything) else "blocked", str(block)


def _in_force(state: Content) -> Mapping[str, Block]:
    """The blocks that haven't ended by themselves."""
    now = _written(_now())
    return {key: each for key, each in state.blocks.items() if each.until is None or each.until > now}


def _now() -> datetime:
    return datetime.now(UTC)


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
