"""Which of a log's keys speaks for it, as whoever watches it knows: one that it was handed over from doesn't any more.

A key is replaced because it may have been stolen, so what it signs alone, after it handed the log over, says nothing. Rules:

1. The newest checkpoint must be signed by a key that the log, as far as that checkpoint goes, wasn't handed over from.
2. That key must have signed what was seen before; or a checkpoint since then joins it to one that did, signed by both.

The records that hand a log over are in the log: whoever can change it may hide them. Rule 2 rests on what was seen alone,
from which signatures of keys that were replaced by then are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import leaf_hash
from failsoft.ledger.format.note import ED25519, Note, NoteInvalid, VerifierKey
from failsoft.ledger.keys.ed25519 import Signed, open_checkpoint
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import Source


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
    """How a log went from key to key.

    Args:
        current: verifier key of the last one; empty where none was replaced.
        left: of each that was, the record that hands the log over.
    """

    current: str
    left: dict[str, int]

    @classmethod
    def since(cls, source: Source, before: Signed | None, size: int) -> Succession:
        """As the records say, up to so many; from what was seen before on, unless it's signed by several.

        Raises:
            NotSucceeded: a record that says so was changed.
        """
        current, left = "", dict[str, int]()
        first = before.checkpoint.size if before is not None and len(_of_log(before)) == 1 else 0
        query = "SELECT seq, leaf, body FROM ledger_record WHERE seq >= ? AND seq < ? AND type = ? ORDER BY seq"
        for index, leaf, body in source.execute(query, (first, size, Kind.KEY_ROTATED.value)).fetchall():
            if body is None or leaf_hash(body) != leaf:
                raise NotSucceeded(f"record {index}, which is about the log's key, was changed")
            fields = canonical.read(body)
            current = str(fields["to"])
            if "from" in fields:
                left[str(fields["from"])] = index
            left.pop(current, None)
        return cls(current, left)

    def check(self, source: Source, keys: Sequence[VerifierKey], now: Signed, before: Signed | None) -> None:
        """Did a key sign this checkpoint that may?

        Args:
            source: holds the log.
            keys: at hand.
            now: the newest checkpoint.
            before: what was seen before; None: nothing was.

        Raises:
            NotSucceeded: none did.
        """
        speaking = [each for each in _of_log(now) if str(each) not in self.left]
        if not speaking:
            last = max(self.left.values())
            if self.current not in {str(each) for each in keys}:
                raise NotSucceeded(
                    f"record {last} hands the log over to another key than those that you gave: get it as you got the first",
                    unknown=True,
                )
            raise NotSucceeded(
                f"the newest checkpoint is signed by a key alone that handed the log over in record {last}"
            )
        if before is None:
            return
        known = set(_of_log(before))
        if known.isdisjoint(speaking):
            for each in _between(source, keys, before, now):
                if not known.isdisjoint(each):
                    known.update(each)
        if known.isdisjoint(speaking):
            raise NotSucceeded(
                "the newest checkpoint isn't signed by a key that signed what was seen before, and none joins the two"
            )

    def without_left(self, data: bytes, keys: Sequence[VerifierKey]) -> bytes:
        """A signed checkpoint without the signatures of keys that don't speak for the log any more."""
        note = Note.parse(data)
        left = [each for each in keys if str(each) in self.left]
        return Note(
            note.text, tuple(line for line in note.signatures if not any(line.is_of(key) for key in left))
        ).to_bytes()


def _of_log(signed: Signed) -> list[VerifierKey]:
    return [key for key in signed.by if key.kind == ED25519 and key.name == signed.checkpoint.origin]


def _between(source: Source, keys: Sequence[VerifierKey], before: Signed, now: Signed) -> Iterator[list[VerifierKey]]:
    """Who signed each checkpoint of this log since what was seen before."""
    query = "SELECT size, note FROM ledger_checkpoint WHERE size > ? AND size <= ? ORDER BY size"
    for size, note in source.execute(query, (before.checkpoint.size, now.checkpoint.size)):
        try:
            signed = open_checkpoint(bytes(note), keys)
        except NoteInvalid:
            continue
        if (signed.checkpoint.origin, signed.checkpoint.size) == (now.checkpoint.origin, size) and not signed.forged:
            yield _of_log(signed)
