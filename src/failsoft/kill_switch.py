"""The manual kill switch: adapters and capabilities switched off by a person, here and in every process, and on again.

A block stands in a file beside the ledger or the configuration, so that it outlives restarts and is obeyed by every
process that reads the same file (`failsoft.io.block_file`). Each change is an event and a record.

How far an adapter's breakers decide (`Mode`) is said here too. That holds in this process until it ends: a breaker that's
overruled is watched by whoever did it, and mustn't stay so by oversight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path

from failsoft.context import current_context, identifier, says_something
from failsoft.core.breaker import Mode
from failsoft.core.effects import Clock
from failsoft.core.evidence import BlockChanged
from failsoft.core.quality import Quality
from failsoft.core.route import GuardedAdapter
from failsoft.durations import duration_argument
from failsoft.errors import ConfigurationError
from failsoft.io.block_file import Block, BlockFile
from failsoft.io.state_file import StateFile, StateMemory
from failsoft.login import logged_in

LONGEST = "8784 h"
"""A leap year."""

_MOST_REASON = 512


class KillSwitch:
    """Who is blocked, and how that's changed.

    Args:
        place: the file of blocks, or what stands for it; None where there's no place for one.
        adapters: by name; may grow until the isolation is entered.
        capabilities: by name.
        quality: the quality breakers of an adapter, by its name.
        clock: when an unblocked adapter's trials begin.
        tell: told each change made here.
        on_reading: told why the file can't be read any more, and with an empty string that it can again.
        plain: takes credentials out of a reason: the file is read by others, and the record counts them itself.
    """

    def __init__(
        self,
        place: StateFile | StateMemory | None,
        adapters: Mapping[str, GuardedAdapter],
        capabilities: Mapping[str, object],
        quality: Callable[[str], Iterable[Quality]],
        clock: Clock,
        tell: Callable[[BlockChanged], None],
        on_reading: Callable[[str], None],
        plain: Callable[[str], str],
    ) -> None:
        self.place = place
        self._adapters = adapters
        self._capabilities = capabilities
        self._quality = quality
        self._plain = plain
        self._clock = clock
        self._tell = tell
        self._on_reading = on_reading
        self._file: BlockFile | None = None
        self.publish: Callable[[], bool] | None = None
        """Lets other hosts know of a change; False: they'll know later."""

    @property
    def path(self) -> Path | None:
        """The file of blocks."""
        return None if self.place is None else self.place.path

    def open(self, on_facts: Callable[[], None] | None = None) -> BlockFile | None:
        """Begin to obey the file.

        Args:
            on_facts: called when other processes shared something else in it.

        Raises:
            ConfigurationError: it can't be read: to start without knowing what is blocked would switch it on.
        """
        if self.place is None:
            return None
        self._file = BlockFile(self.place, self._changed, on_facts, self._on_reading)
        self._file.current()
        return self._file

    def close(self) -> None:
        """Other hosts aren't told any more."""
        self.publish = None

    def after_fork(self) -> None:
        """In the child: a new lock."""
        if self._file is not None:
            self._file.after_fork()

    @property
    def in_force(self) -> Mapping[str, Block]:
        """Every block, by subject. Raises ConfigurationError where the file can't be read."""
        return {} if self.place is None else BlockFile(self.place).current()

    @property
    def obeyed(self) -> Mapping[str, Block]:
        """Every block that calls obey now: of a file that can't be read, those that it last held."""
        return self.looked_at()[0]

    def looked_at(self) -> tuple[Mapping[str, Block], str]:
        """What's obeyed, and why the file can't be read; empty where it can."""
        if self._file is not None and self._file.knows_nothing:
            return self._file.known, ""
        try:
            return self.in_force, ""
        except ConfigurationError as error:
            return {} if self._file is None else self._file.known, str(error)

    def block(self, subject: str, why: str, actor: str | None, lasting: str | float | None) -> Block:
        """As `Isolation.block`."""
        why, actor = _reason(why), _actor(actor)
        limit = None
        if lasting is not None:
            limit = timedelta(microseconds=duration_argument("lasting", lasting, "1 s", LONGEST) // 1_000)
        file = self._file_for(subject)
        block = file.block(subject, actor, self._plain(why), limit)
        self._publish()
        self._changed(subject, block)
        self._tell(BlockChanged(subject, True, actor, why, block.until))
        return block

    def unblock(self, subject: str, why: str, actor: str | None) -> bool:
        """As `Isolation.unblock`."""
        why, actor = _reason(why), _actor(actor)
        file = self._file_for(subject)
        ended = file.unblock(subject)
        self._publish()
        self._to_trial(subject)
        self._tell(BlockChanged(subject, False, actor, why))  # where there was no block, too: it's said to be mended
        return ended

    def to_mode(self, name: str, mode: Mode, why: str, actor: str | None) -> None:
        """As `Isolation.force`."""
        why, actor = _reason(why), _actor(actor)
        adapter = self._adapters.get(name)
        if adapter is None:
            raise ConfigurationError(f'no adapter is named "{name}"; there is {", ".join(sorted(self._adapters))}')
        now, subject = self._clock.monotonic_ns(), f"adapter:{name}"
        adapter.breaker.to_mode(mode, now)
        for each in self._quality(name):
            each.to_mode(mode, now)
        self._tell(BlockChanged(subject, subject in self.obeyed, actor, why, mode=str(mode)))

    def _file_for(self, subject: str) -> BlockFile:
        kind, _, name = subject.partition(":") if isinstance(subject, str) else ("", "", "")
        known = {"adapter": self._adapters.keys(), "capability": self._capabilities.keys()}.get(kind)
        if known is None or name not in known:
            adapters = [f"adapter:{each}" for each in self._adapters]
            choices = ", ".join(sorted([*adapters, *(f"capability:{each}" for each in self._capabilities)]))
            raise ConfigurationError(f'nothing to block is named "{subject}"; there is {choices}')
        if self.place is None:
            raise ConfigurationError("a block is kept beside the ledger or the configuration file; there is neither")
        return self._file or BlockFile(self.place)

    def _publish(self) -> None:
        if self.publish is not None:
            self.publish()

    def _changed(self, subject: str, block: Block | None) -> None:
        if block is None:
            self._to_trial(subject)
        elif (adapter := self._adapter(subject)) is not None:
            now = self._clock.monotonic_ns()
            for breaker in (adapter.breaker, *self._quality(adapter.name)):
                breaker.blocked(now)

    def _adapter(self, subject: str) -> GuardedAdapter | None:
        kind, _, name = subject.partition(":")
        return self._adapters.get(name) if kind == "adapter" else None

    def _to_trial(self, subject: str) -> None:
        """What is unblocked comes back by trials, its latch lifted."""
        adapter = self._adapter(subject)
        if adapter is not None:
            now = self._clock.monotonic_ns()
            for latch in adapter.latches:
                latch.lift()
            adapter.breaker.to_trial("unblocked", now)
            for each in self._quality(adapter.name):
                each.unblocked(now)


def _reason(why: str) -> str:
    """The reason, as it may stand in a file and in a record."""
    if not isinstance(why, str):
        raise ConfigurationError(f"why: it's text, not {type(why).__name__}")
    try:
        size = len(why.encode())
    except UnicodeEncodeError:  # a shell's argument that isn't UTF-8: written down, it would make the file unreadable
        raise ConfigurationError("why: it isn't valid Unicode: say it in UTF-8") from None
    if not says_something(why):
        raise ConfigurationError("why: say a reason: it stands in the record")
    if size > _MOST_REASON:
        raise ConfigurationError(f"why: at most {_MOST_REASON} bytes, not {size}")
    return why


def _actor(given: str | None) -> str:
    actor = current_context().actor
    if given is None and actor is not None:
        return actor.id
    try:
        return identifier(logged_in() if given is None else given, "an actor's id")
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"actor: {error}") from None
