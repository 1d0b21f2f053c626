"""Which of a log's keys speaks for it, as whoever watches it knows: one that it was handed over from doesn't any more.

A key is replaced because it may have been stolen, so what it signs alone, after it handed the log over, says nothing. Rules:

1. The newest checkpoint must be signed by a key that the log, as far as that checkpoint goes, wasn't handed over from. The
   records say so: all since what was seen are read, and make the checkpoint's tree.
2. That key must have signed what was seen before; or checkpoints since then lead from the one to the other: where two keys
   sign one, the log is the new one's from there on.
3. Each key of the log at hand signed some checkpoint of this log: else the log may have been taken back to before its
   handover to that key.

Records without their bytes say nothing, so whoever can change the log may hide a handover. Rules 2 and 3 rest on signatures
alone; from what's kept of a checkpoint, those of keys that were replaced by then are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from failsoft.ledger.checkpoints.ranges import stored_range
from failsoft.ledger.checkpoints.signer import SignerRefused, extends
from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import Frontier, leaf_hash
from failsoft.ledger.format.note import ED25519, Note, NoteInvalid, VerifierKey
from failsoft.ledger.keys.ed25519 import Signed, open_checkpoint
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import Source
from failsoft.ledger.verification.covered import Declared
from failsoft.ledger.verification.hashes import DECLARES


class NotSucceeded(Exception):
    """Nobody who may signed this.

    Attributes:
        unknown: because the key that may isn't among those at hand.
    """

    def __init__(self, told: str, *, unknown: bool = False) -> None:
        super().__init__(told)
        self.unknown = unknown


@frozen
class Succession:
    """How a log went from key to key, since what was seen before.

    Args:
        source: holds the log.
        keys: at hand.
        now: the newest checkpoint.
        before: what was seen before; None: nothing was.
        declared: the keys that records since then declare.
    """

    source: Source
    keys: Sequence[VerifierKey]
    now: Signed
    before: Signed | None
    declared: Declared

    @classmethod
    def since(cls, source: Source, keys: Sequence[VerifierKey], now: Signed, before: Signed | None) -> Succession:
        """As the records since what was seen before say; as all say, where several keys signed that.

        Raises:
            NotSucceeded: they were changed.
        """
        first, declared = 0, Declared()
        if before is not None and len(_of_log(before)) == 1:
            first, declared.key = before.checkpoint.size, str(_of_log(before)[0])
        tree = _frontier(source, first)
        query = (
            f"SELECT seq, leaf, body, type FROM ledger_record {source.hint_rows}"  # noqa: S608 -- our own
            " WHERE seq >= ? AND seq < ? ORDER BY seq"
        )
        for index, leaf, body, kind in source.stream(query, (first, now.checkpoint.size)):
            if kind == Kind.KEY_ROTATED if body is None else leaf_hash(body) != leaf:
                raise NotSucceeded(f"record {index} was changed")
            if body is not None and (not index or DECLARES in body):
                _declare(declared, index, canonical.read(body))
            tree.append(leaf)
        if (tree.size, tree.root()) != (now.checkpoint.size, now.checkpoint.root):
            raise NotSucceeded("the records aren't those of the newest checkpoint")
        return cls(source, keys, now, before, declared)

    def speaking(self) -> list[VerifierKey]:
        """Keys that may speak for the log, and signed the newest checkpoint.

        Raises:
            NotSucceeded: none did.
        """
        left = self._left()
        speaking = [each for each in _of_log(self.now) if str(each) not in left]
        if not speaking:
            last = max(left.values())
            if self.declared.key not in {str(each) for each in self.keys}:
                raise NotSucceeded(
                    f"record {last} hands the log over to another key than those that you gave: get it as you got the first",
                    unknown=True,
                )
            raise NotSucceeded(
                f"the newest checkpoint is signed by a key alone that handed the log over in record {last}"
            )
        known = self._led_to()
        if known.isdisjoint(speaking):
            raise NotSucceeded(
                "the newest checkpoint isn't signed by a key that signed what was seen before, and none joins the two"
            )
        self._all_signed()
        return [each for each in speaking if each in known]

    def without_left(self, data: bytes, speaking: Sequence[VerifierKey]) -> bytes:
        """A signed checkpoint without the signatures of keys that don't speak for the log any more, at hand or not."""
        note = Note.parse(data)
        left = {VerifierKey.parse(each) for each in self._left()}
        left.update(each for each in _of_log(self.now) if each not in speaking)
        return Note(
            note.text, tuple(line for line in note.signatures if not any(line.is_of(key) for key in left))
        ).to_bytes()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _left(self) -> dict[str, int]:
        """Of each key that was replaced, and not declared anew, the record that did it."""
        left: dict[str, int] = {}
        for index, former, to in self.declared.handovers:
            left[former] = index
            left.pop(to, None)
        return left

    def _led_to(self) -> set[VerifierKey]:
        """The keys to which checkpoints lead from what was seen before; from the first one, where nothing was."""
        first = 0 if self.before is None else self.before.checkpoint.size
        known, gone = set[VerifierKey](() if self.before is None else _of_log(self.before)), set[VerifierKey]()
        for signed in _stored(self.source, self.keys, self.now, first):
            signers, size = set(_of_log(signed)), signed.checkpoint.size
            back = {to for index, _, to in self.declared.handovers if index < size}
            new = {each for each in signers if each not in gone or str(each) in back} - known
            if self.before is None and (not known or (known.isdisjoint(signers) and self._replaced(size, known))):
                # Nothing was seen, so the key in between needn't be at hand; but none comes back like that.
                known = {each for each in new if not self._replaced(size, {each})} or known
            elif new and not known.isdisjoint(signers):
                gone |= known
                known = new
        return known

    def _replaced(self, size: int, keys: set[VerifierKey]) -> bool:
        """Did the first so many records replace all of these, whether they came back or not?"""
        return {str(each) for each in keys} <= {former for index, former, _ in self.declared.handovers if index < size}

    def _all_signed(self) -> None:
        seen = _of_log(self.now) + ([] if self.before is None else _of_log(self.before))
        own = [key for key in self.keys if key.kind == ED25519 and key.name == self.now.checkpoint.origin]
        for key in own:
            if key not in seen and not self._signed_some(key):
                raise NotSucceeded(
                    f"the key {key.name}+{key.id.hex()} signed no checkpoint here: if the log will be handed over to it, "
                    "give it from then on; if it was, the log was taken back to before that",
                    unknown=True,
                )

    def _signed_some(self, key: VerifierKey) -> bool:
        """Did it sign a stored checkpoint of this very tree?"""
        tree = _frontier(self.source, self.now.checkpoint.size)
        for signed in _stored(self.source, [key], self.now):
            if key in signed.by and _extends(self.source, tree, signed):
                return True
        return False


def _of_log(signed: Signed) -> list[VerifierKey]:
    return [key for key in signed.by if key.kind == ED25519 and key.name == signed.checkpoint.origin]


def _declare(declared: Declared, index: int, fields: dict[str, Any]) -> None:
    if fields["type"] == Kind.KEY_ROTATED:
        declared.take(index, str(fields["to"]))
    elif fields["type"] == Kind.LOG_OPENED:
        for key in fields.get("keys", ()):
            declared.take(index, str(key))


def _frontier(source: Source, size: int) -> Frontier:
    """Of the first so many records, as stored."""
    hashes, first = list[bytes](), 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            hashes.append(stored_range(source, first, first + (1 << bit)))
            first += 1 << bit
    return Frontier(size, hashes)


def _stored(source: Source, keys: Sequence[VerifierKey], now: Signed, first: int = 0) -> Iterator[Signed]:
    """The checkpoints of this log of more than so many records, up to the newest."""
    query = "SELECT size, note FROM ledger_checkpoint WHERE size > ? AND size <= ? ORDER BY size"
    for size, note in source.stream(query, (first, now.checkpoint.size)):
        try:
            signed = open_checkpoint(bytes(note), keys)
        except NoteInvalid:
            continue
        if (signed.checkpoint.origin, signed.checkpoint.size) == (now.checkpoint.origin, size) and not signed.forged:
            yield signed


def _extends(source: Source, tree: Frontier, signed: Signed) -> bool:
    try:
        extends(source, tree, signed.checkpoint)
    except SignerRefused:
        return False
    return True
