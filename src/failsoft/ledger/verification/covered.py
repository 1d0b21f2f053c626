"""How far signed checkpoints, pins and the signed head vouch for a log, as its records go by.

Whoever verifies brings keys and pins along, from their own keeping. Rules:

1. A stored checkpoint must be one of this log, of the size that its row states, and of the tree that the records give:
   with a key or without. A signature that claims a given key and isn't its own is tampering; other keys' are ignored.
2. A log is *covered* up to the largest checkpoint that a given key of the log signed. What follows is its tail.
3. The head must be signed by the key that the log last declared, where that key is given. Where it isn't given, the
   declaration must be covered: else whoever appended it declared a key of their own.
4. A key that the log was handed over from may have been stolen: from there on it signs no head, and covers nothing beyond
   the handover itself. It comes back where a given key hands the log back that wasn't replaced itself.
5. Each given key and pin must have been used: what proves nothing isn't passed over.
6. Witnesses are third parties: one is counted once, whatever names it has and on whichever copies of a checkpoint its line
   stands, and the log's own key is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import cast

from attrs import define, field

from failsoft.ledger.checkpoints.opening import HANDED_OVER
from failsoft.ledger.format.merkle import EMPTY_ROOT, Frontier
from failsoft.ledger.format.note import ED25519, Checkpoint, NoteInvalid, VerifierKey
from failsoft.ledger.keys.ed25519 import Signed, open_checkpoint, verify
from failsoft.ledger.store import INCOMPLETE, TAMPERED, UNUSABLE, Source

Report = Callable[[int, str, int | None], None]
"""Told an exit code, what's wrong, and the record that it's about; None where it's about the whole."""

CLOCKS_DIFFER = 60
"""Seconds by which a record's time may lie after a witness's: they're two clocks."""

COSIGNED_LATE = 86_400
"""Seconds by which a record's time may lie before a witness saw a checkpoint before it: a witness may cosign late."""

NOT_YET = (
    ": if the log will be handed over to it, give it from then on; if it was, the log was taken back to before that"
)
"""What's said of a key of the log's beside another."""

_NONE_LEFT = (-1, b"")
_LAST = 253_402_300_799
"""The last second of the year 9999."""


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(min(seconds, _LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@define
class Declared:
    """The keys that records declare to sign the log, one after the other.

    Args:
        key: the last one; None: none did so far.
        handovers: of each from one to another: the record, the key before, and the other.
    """

    key: str | None = None
    handovers: list[tuple[int, str, str]] = field(factory=list[tuple[int, str, str]])

    @property
    def all(self) -> set[str | None]:
        """Each that was declared at some time."""
        return {self.key, *(former for _, former, _ in self.handovers)}

    def take(self, index: int, key: str) -> None:
        """A record declares this key."""
        if self.key not in (None, key):
            self.handovers.append((index, str(self.key), key))
        self.key = key


@define
class Covered:
    """What is known after the records so far.

    Args:
        keys: of the log and of witnesses, from the verifier's own keeping.
        pins: size and root, lower-case hex.
        notes: signed checkpoints, pinned.
        report: told what's wrong.
        pinned: the largest size that's pinned; None if nothing is.
        due: the size at which `at` is to be called next.
        size: covered by a checkpoint that a given key signed; 0 if by none.
        ahead: of each checkpoint that holds a record from after a witness saw it, by the record's own time: the checkpoint's
            size, that time, and when it was seen.
        not_before: the second, UTC, that a record from here on is expected to be later than; empty: there's none.
        head_signed: is the head signed by a given key?
        used: the keys that signed something here.
    """

    keys: Sequence[VerifierKey]
    pins: Sequence[tuple[int, str]]
    notes: Sequence[bytes]
    report: Report
    due: int = -1
    pinned: int | None = None
    size: int = 0
    ahead: list[tuple[int, str, str]] = field(factory=list[tuple[int, str, str]])
    not_before: str = ""
    head_signed: bool = False
    used: set[VerifierKey] = field(factory=set[VerifierKey])
    _origin: str = ""
    _own: frozenset[str] = frozenset()
    _left: dict[str, int] = field(factory=dict[str, int])
    _followed: int = 0
    _needed: str = ""
    _brought: dict[int, list[Signed]] = field(factory=dict[int, list[Signed]])
    _wanted: dict[int, set[str]] = field(factory=dict[int, set[str]])
    _stored: Iterator[tuple[int, bytes]] = field(factory=lambda: iter(()))
    _next: tuple[int, bytes] = _NONE_LEFT
    _times: dict[int, int] = field(factory=dict[int, int])
    _covered_by: dict[str, int] = field(factory=dict[str, int])
    _cosigned: dict[int, set[bytes]] = field(factory=dict[int, set[bytes]])

    @property
    def witnesses(self) -> int:
        """How many of the given witnesses cosigned the checkpoint that covers it."""
        return len(self._cosigned.get(self.size, ()))

    @property
    def seen(self) -> str | None:
        """When the first of `witnesses` saw what's covered, UTC; None: none did."""
        return _utc(self._times[self.size]) if self.witnesses and self.size in self._times else None

    @property
    def replaced(self) -> Mapping[str, int]:
        """The keys that don't speak for the log any more, and the record that handed it over from each."""
        return MappingProxyType(self._left)

    def begin(self, source: Source, origin: str) -> None:
        """Inside the transaction, before the first record.

        Raises:
            ConfigurationError: there are keys and signatures, and the extra ``signing`` isn't installed.
        """
        self._origin = origin
        own = {key.public for key in self.keys if key.kind == ED25519}
        for key in self.keys:
            if key.kind != ED25519 and key.public in own:
                self.report(INCOMPLETE, f"the key {key.name}+{key.id.hex()} is the log's own: it's no witness", None)
        self.keys = [key for key in self.keys if key.kind == ED25519 or key.public not in own]
        self._own = frozenset(str(key) for key in self.keys if key.is_of_log(origin))
        for size, root in self.pins:
            self._wanted.setdefault(size, set()).add(root)
        for data in self.notes:
            self._pin(data)
        self.pinned = max(self._wanted, default=None)
        if any(root != EMPTY_ROOT.hex() for root in self._wanted.pop(0, ())):
            self.report(TAMPERED, "a log of no records has another root than the one that was pinned", None)
        if "ledger_checkpoint" in source.tables():
            stored = source.stream("SELECT size, note FROM ledger_checkpoint ORDER BY size")
            self._stored = cast("Iterator[tuple[int, bytes]]", stored)
        self._advance()

    def at(self, frontier: Frontier, declared: Declared, latest: str = "") -> None:
        """The log has `due` records now.

        Args:
            frontier: of their tree.
            declared: the keys that they declare.
            latest: the latest time that one of them claims.
        """
        size, root = frontier.size, frontier.root()
        self._follow(declared)
        if any(pinned != root.hex() for pinned in self._wanted.pop(size, ())):
            self.report(TAMPERED, "the log up to here isn't the one that was pinned", size - 1)
            self._times.pop(size, None)  # it's another log that was seen then
            self._cosigned.pop(size, None)
        for signed in self._brought.pop(size, ()):
            self._cover(size, signed)
        if self._next[0] == size:
            self._stored_checkpoint(root)
            self._next = _NONE_LEFT
        if size in self._times and latest[:19] > _utc(self._times[size] + CLOCKS_DIFFER)[:19]:
            self.ahead.append((size, latest, _utc(self._times[size])))
        if size in self._times:
            self.not_before = max(self.not_before, _utc(max(0, self._times[size] - COSIGNED_LATE))[:19])
        self._advance()

    def end(self, size: int) -> None:
        """The log has no more records: what's left was never reached."""
        for pinned in self._wanted:
            self.report(TAMPERED, f"there are {size} records, and {pinned} were pinned", None)
        if self._next is not _NONE_LEFT:
            self.report(TAMPERED, "a checkpoint covers more records than there are", None)

    def head(self, checkpoint: Checkpoint, signature: object, declared: Declared) -> None:
        """The head, and the keys that were used.

        Args:
            checkpoint: the tree as it is.
            signature: as stored.
            declared: the keys that records declare.
        """
        self._follow(declared)
        known = declared.key in self._own - self._left.keys()
        if type(signature) is bytes:
            good = {key for key in self.keys if str(key) in self._own and verify(key, checkpoint.head, signature)}
            self.used.update(good)
            speaking = {str(key) for key in good} - self._left.keys()
            self.head_signed = declared.key in speaking if known else bool(speaking)
        for stranger in sorted(self._covered_by.keys() - declared.all):
            self.report(TAMPERED, f"no record declares {stranger}, which signed a checkpoint: one was hidden", None)
        vouched = self._handed_over(checkpoint.size, declared)
        if self._own and not self.head_signed and vouched and declared.key is not None:
            self._unsigned_head(checkpoint.size, known)
        for key in dict.fromkeys(self.keys):
            if key not in self.used:
                others = self._own.intersection(map(str, self.used))
                why = NOT_YET if others and str(key) in self._own else ""
                self.report(INCOMPLETE, f"the key {key.name}+{key.id.hex()} signed nothing here{why}", None)
        if self.head_signed and not self.size:
            self.report(INCOMPLETE, "no checkpoint is signed by a key that you gave", None)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _follow(self, declared: Declared) -> None:
        """Which keys the log was handed over from so far: the record of each."""
        for index, former, to in declared.handovers[self._followed :]:
            if former in self._own and former not in self._left:
                self._left.pop(to, None)
                self._needed = "" if to in self._own else f": record {index} hands the log over to {to:.300}"
            self._left.setdefault(former, index)
        self._followed = len(declared.handovers)

    def _handed_over(self, size: int, declared: Declared) -> bool:
        """Does each key that hands the log over to another vouch for that itself? It may be the other that was stolen."""
        unvouched = [
            index
            for index, former, _ in declared.handovers
            if former in self._own and self._covered_by.get(former, 0) <= index
        ]
        for index in unvouched:
            if size <= index + HANDED_OVER and self.head_signed:
                # About the whole log: nothing can rest on one that's between two keys.
                what = f"the handover in record {index} isn't finished: run `failsoft keys rotate`"
                self.report(INCOMPLETE, what, None)
            else:
                self.report(TAMPERED, "it hands the log over, and no checkpoint of the key before covers it", index)
        return not unvouched

    def _unsigned_head(self, size: int, known: bool) -> None:
        if known:
            self.report(TAMPERED, "the head isn't signed by the log's key: somebody without it wrote, or cut", None)
        elif self.size < size and any(str(key) in self._own for key in self.used):
            tail = size - self.size
            self.report(
                INCOMPLETE,
                f"{tail} records after the checkpoint of {self.size} are of a key that you didn't give{self._needed}",
                None,
            )

    def _pin(self, data: bytes) -> None:
        try:
            signed = open_checkpoint(data, self.keys)
        except NoteInvalid as error:
            self.report(UNUSABLE, f"the pinned checkpoint can't be used: {error}", None)
            return
        found = signed.checkpoint
        if found.origin != self._origin:
            self.report(TAMPERED, f"the pinned checkpoint is of another log, {found.origin!r:.80}", None)
        for key in signed.forged:
            self.report(TAMPERED, f"the pinned checkpoint has a signature that isn't that of its key, {key.name}", None)
        if self.keys and not signed.by_log:
            self.report(INCOMPLETE, "the pinned checkpoint isn't signed by a key of the log that you gave", None)
        self.used.update(signed.by)
        self._wanted.setdefault(found.size, set()).add(found.root.hex())
        if not signed.forged:
            self._see(found.size, signed)
            self._brought.setdefault(found.size, []).append(signed)

    def _stored_checkpoint(self, root: bytes) -> None:
        size, note = self._next
        try:
            signed = open_checkpoint(note, self.keys)
        except NoteInvalid as error:
            self.report(TAMPERED, f"the stored checkpoint of {size} records isn't one: {error}", size - 1)
            return
        found = signed.checkpoint
        if (found.origin, found.size) != (self._origin, size):
            self.report(
                TAMPERED, f"the stored checkpoint of {size} records is another one's: of another log or size", size - 1
            )
        elif found.root != root:
            self.report(TAMPERED, "the log up to here isn't the one that its stored checkpoint states", size - 1)
        elif signed.forged:
            self.report(
                TAMPERED, f"the stored checkpoint of {size} records has a signature that isn't its key's", size - 1
            )
        else:
            self.used.update(signed.by)
            self._see(size, signed)
            self._cover(size, signed)

    def _see(self, size: int, signed: Signed) -> None:
        if signed.seen is not None:
            self._times[size] = min(signed.seen, self._times.get(size, signed.seen))
            witnesses = {key.public for key in signed.by if key.kind != ED25519}
            self._cosigned.setdefault(size, set()).update(witnesses)

    def _cover(self, size: int, signed: Signed) -> None:
        for key in self._own.intersection(map(str, signed.by)):
            self._covered_by[key] = max(size, self._covered_by.get(key, 0))
            if size <= self._left.get(key, size) + HANDED_OVER:
                self.size = max(self.size, size)

    def _advance(self) -> None:
        while self._next is _NONE_LEFT:
            row = next(self._stored, None)
            if row is None:
                break
            if row[0] > 0:
                self._next = row
                break
            self.report(TAMPERED, "a stored checkpoint is of no records", None)
        sizes = [*self._wanted, *([] if self._next is _NONE_LEFT else [self._next[0]])]
        self.due = min((size for size in sizes if size > 0), default=-1)
