"""When a checkpoint is due, what becomes of it, and how long records have been held by nobody but their own machine.

A checkpoint is due when so many records, or so much time since the first of them, aren't covered by one; and at close.
Where there are anchors, half of `max_unanchored_age` is time enough: so one failed try doesn't exceed it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

from failsoft.core.effects import Clock
from failsoft.ledger.checkpoints.anchors import RETRY_SECONDS, Anchor, Anchoring, shown
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.keys.ed25519 import SigningKey

SECOND = 1_000_000_000
CLOSE_SECONDS = 2.0
"""What a close waits for anchors."""


@frozen
class Signing:
    """How a ledger is signed.

    Args:
        key: the log's; its name is the log's origin.
        state: the file of what was signed last; outside the database, and not to be put back with it.
        records: of a checkpoint, at most.
        every_ns: nanoseconds from the first record that no checkpoint covers to the next checkpoint, at most.
        anchors: where checkpoints go.
        max_unanchored_age_ns: nanoseconds that a record may be missing at an anchor, for `health()`.
    """

    key: SigningKey
    state: Path
    records: int = 1000
    every_ns: int = 60 * SECOND
    anchors: tuple[Anchor, ...] = ()
    max_unanchored_age_ns: int = 60 * SECOND

    def signer(self) -> Signer:
        """One that signs so."""
        return Signer(self.key, self.state)

    def anchored(self) -> tuple[Checkpoint, ...]:
        """The newest checkpoint that each anchor shows; none of those that show nothing in time."""
        return shown(self.anchors, self.key.verifier)


@frozen
class Coverage:
    """How far a log is covered, as one process knows.

    Args:
        checkpoint: size of the newest checkpoint that this process published; None if none.
        anchored: size of the newest that all anchors took; None if none, or if there are no anchors.
        unanchored_age: seconds since the oldest record that isn't anchored; without anchors, since the oldest that no
            checkpoint covers. 0 where there's none.
        limit: seconds that it may be.
        exceeded: is it more? Never, where there are no anchors.
        problem: why the last checkpoint couldn't be signed; empty if it could.
    """

    checkpoint: int | None
    anchored: int | None
    unanchored_age: float
    limit: float
    exceeded: bool
    problem: str

    @property
    def ok(self) -> bool:
        """Are checkpoints signed, and anchored in time?"""
        return not self.exceeded and not self.problem


Tell = Callable[[str, dict[str, Any]], None]
Publish = Callable[[], tuple[int, bytes]]


class Publisher:
    """Decides and remembers; one thread at a time, but for `coverage`.

    Args:
        signing: how.
        clock: monotonic.
        tell: told ``checkpoint.published``, ``checkpoint.failed`` and ``anchor.failed``.
    """

    def __init__(self, signing: Signing, clock: Clock, tell: Tell) -> None:
        self._signing = signing
        self._clock = clock
        self._tell = tell
        self._anchoring = Anchoring(signing.anchors, lambda reason: tell("anchor.failed", {"reason": reason}))
        self._patience = signing.every_ns
        if signing.anchors:
            self._patience = min(self._patience, signing.max_unanchored_age_ns // 2)
        self._records = 0
        self._since: int | None = None
        self._not_before = 0
        self._published: int | None = None
        self._problem = ""

    def committed(self, records: int) -> None:
        """So many records more are durable."""
        if records:
            self._records += records
            self._since = self._clock.monotonic_ns() if self._since is None else self._since

    def seconds(self) -> float | None:
        """Until a checkpoint is due, at least 0; None where nothing waits for one."""
        if self._since is None:
            return None
        now = self._clock.monotonic_ns()
        due = now if self._records >= self._signing.records else self._since + self._patience
        return max(0, max(due, self._not_before) - now) / SECOND

    def publish(self, publish: Publish, *, now: bool = False) -> None:
        """Publish a checkpoint if one is due. What goes wrong is told, and raised to nobody.

        Args:
            publish: signs and stores it; see `failsoft.ledger.store.Store.publish`.
            now: due or not, as long as there's something to cover.
        """
        if self._since is None or (not now and self.seconds() != 0):
            return
        try:
            size, note = publish()
        except Exception as error:  # refused, no room, a bug: whatever it is, records go on
            if not self._problem:
                self._tell("checkpoint.failed", {"reason": str(error)})
            self._problem = str(error)
            self._not_before = self._clock.monotonic_ns() + int(RETRY_SECONDS * SECOND)
            return
        since, self._since = self._since, None
        self._records, self._problem = 0, ""
        self._published = size
        self._anchoring.put(size, note, since)
        self._tell("checkpoint.published", {"size": size})

    def end(self) -> None:
        """Wait for the anchors, not for long."""
        self._anchoring.end(CLOSE_SECONDS)

    def coverage(self) -> Coverage:
        """How it stands; from any thread."""
        oldest = [each for each in (self._anchoring.since_ns, self._since) if each is not None]
        now = self._clock.monotonic_ns()
        age = max(0, now - min(oldest)) if oldest else 0
        limit = self._signing.max_unanchored_age_ns
        return Coverage(
            self._published,
            self._anchoring.size,
            age / SECOND,
            limit / SECOND,
            bool(self._signing.anchors) and age > limit,
            self._problem,
        )
