"""Which of a log's keys speaks for it, as whoever watches it knows: one that it was handed over from doesn't any more.

A key is replaced because it may have been stolen, so what it signs alone, after it handed the log over, says nothing. And
records without their bytes say nothing either, so whoever can change the log may hide that it was handed over. Rules:

1. What a verification of all hashes says, by the same keys and by what was seen before, holds: `failsoft.ledger.verify`.
2. It's left out where the log goes on from what was seen before: one key alone, of those at hand, signed that, each
   checkpoint since, and the head; no record since hands the log over; and each of the others signed some checkpoint of this
   log. What was changed before that, and left the tree as it was, is a verification's to find.
3. The newest checkpoint must be signed by a key that speaks for the log. From what's kept of it the signatures of keys that
   were replaced are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from attrs import frozen

from failsoft.ledger.checkpoints.opening import planted
from failsoft.ledger.checkpoints.ranges import stored_range
from failsoft.ledger.checkpoints.signer import SignerRefused, extends
from failsoft.ledger.format.merkle import Frontier, leaf_hash
from failsoft.ledger.format.note import Checkpoint, Note, NoteInvalid, VerifierKey
from failsoft.ledger.keys.ed25519 import Signed, open_checkpoint, verify
from failsoft.ledger.records.schema import FORMAT
from failsoft.ledger.store import GRAVITY, INCOMPLETE, TAMPERED, Source
from failsoft.ledger.verification.covered import Covered
from failsoft.ledger.verification.hashes import DECLARES, Hashes
from failsoft.ledger.verification.log_line import check_head, check_line


class NotSucceeded(Exception):
    """Nobody who may vouches for this.

    Attributes:
        code: as a verification has it.
    """

    def __init__(self, code: int, told: str) -> None:
        super().__init__(told)
        self.code = code


@frozen
class Look:
    """At a log's newest checkpoint.

    Args:
        source: holds the log.
        keys: at hand, of the log alone.
        now: the newest checkpoint.
        note: the same, as stored.
        before: what was seen before; None: nothing was.
        kept: the same, as kept.
    """

    source: Source
    keys: Sequence[VerifierKey]
    now: Signed
    note: bytes
    before: Signed | None
    kept: bytes | None

    def vouched_for(self) -> bytes:
        """What's to be kept of the newest checkpoint.

        Raises:
            NotSucceeded: nobody vouches for it.
        """
        if self.before is not None and self.kept is not None and self._goes_on(self.before, self.kept):
            return self.note
        covered, hashes = self._verified()
        if not self._signers(self.now) - covered.replaced.keys():
            last = max(covered.replaced.values())
            if hashes.declared.key not in {str(key) for key in self.keys}:
                told = (
                    f"record {last} hands the log over to another key than those that you gave: get it as you got yours"
                )
                raise NotSucceeded(INCOMPLETE, told)
            told = f"the newest checkpoint is signed by a key alone that handed the log over in record {last}"
            raise NotSucceeded(TAMPERED, told)
        note, replaced = Note.parse(self.note), [*_keys(covered.replaced)]
        lines = (line for line in note.signatures if not any(line.is_of(key) for key in replaced))
        return Note(note.text, tuple(lines)).to_bytes()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _signers(self, signed: Signed) -> set[str]:
        return {str(key) for key in signed.by if key in self.keys}

    def _verified(self) -> tuple[Covered, Hashes]:
        first: dict[int, str] = {}

        def report(code: int, what: str, index: int | None) -> None:
            first.setdefault(code, what if index is None else f"record {index}: {what}")

        covered = Covered(self.keys, (), () if self.kept is None else (self.kept,), report)
        hashes = Hashes(self.source, "")
        for code, what in self.source.examine(quickly=True):
            report(code, what, None)
        check_line(self.source, hashes, covered, report)
        hashes.check(covered, report)
        check_head(self.source, hashes, covered, report)
        for code in reversed(GRAVITY):
            if code in first:
                raise NotSucceeded(code, first[code])
        return covered, hashes

    def _goes_on(self, before: Signed, kept: bytes) -> bool:
        """Is it the same key's word as before, on what was seen before and records that hand nothing over?"""
        signers, size = self._signers(before), before.checkpoint.size
        if len(signers) != 1 or self._signers(self.now) != signers:
            return False
        stored = [*self._stored(self.keys, size)]
        if any(each is None or self._signers(each) != signers for each in stored):
            return False
        (key,) = (each for each in self.keys if str(each) in signers)
        signed_too = (line for line in Note.parse(kept).signatures if line.name == key.name)
        if not all(line.is_of(key) for line in signed_too):  # a key that isn't at hand did
            return False
        roots = {each.checkpoint.size: each.checkpoint.root for each in (*filter(None, stored), before, self.now)}
        return self._hands_nothing_over(size, roots, key) and all(map(self._signed_some, self.keys))

    def _hands_nothing_over(self, size: int, roots: dict[int, bytes], key: VerifierKey) -> bool:
        """Are the records since then those of these checkpoints, and of a head that this key signed?"""
        tree = self._frontier(size)
        fits = roots.pop(size) == tree.root()
        query = f"SELECT leaf, body FROM ledger_record {self.source.hint_rows} WHERE seq >= ? ORDER BY seq"  # noqa: S608 -- our own
        for leaf, body in self.source.stream(query, (size,)):
            if body is None or DECLARES in body or leaf_hash(body) != leaf:
                return False
            tree.append(leaf)
            if tree.size in roots:
                fits = roots.pop(tree.size) == tree.root() and fits
        return fits and not roots and self._is_head(tree, key)

    def _is_head(self, tree: Frontier, key: VerifierKey) -> bool:
        *head, sig = self.source.execute("SELECT size, frontier, sig FROM ledger_head").fetchone()
        if head != [tree.size, tree.to_bytes()] or type(sig) is not bytes or planted(self.source, tree.size):
            return False
        if self.source.execute("SELECT count(*), min(format) FROM ledger_log").fetchone() != (1, FORMAT):
            return False
        return verify(key, Checkpoint(self.now.checkpoint.origin, tree.size, tree.root()).head, sig)

    def _signed_some(self, key: VerifierKey) -> bool:
        """Did it sign a stored checkpoint of this very tree?"""
        if key in self.now.by:
            return True
        tree = self._frontier(self.now.checkpoint.size)
        return any(each and key in each.by and _extends(self.source, tree, each) for each in self._stored([key]))

    def _frontier(self, size: int) -> Frontier:
        """Of the first so many records, as stored."""
        hashes, first = list[bytes](), 0
        for bit in reversed(range(size.bit_length())):
            if size >> bit & 1:
                hashes.append(stored_range(self.source, first, first + (1 << bit)))
                first += 1 << bit
        return Frontier(size, hashes)

    def _stored(self, keys: Sequence[VerifierKey], first: int = 0) -> Iterator[Signed | None]:
        """The checkpoints of more than so many records, up to the newest; None for what's none of this log."""
        query = "SELECT size, note FROM ledger_checkpoint WHERE size > ? AND size <= ? ORDER BY size"
        for size, note in self.source.stream(query, (first, self.now.checkpoint.size)):
            try:
                signed = open_checkpoint(bytes(note), keys)
            except NoteInvalid:
                yield None
            else:
                is_its_own = (signed.checkpoint.origin, signed.checkpoint.size) == (self.now.checkpoint.origin, size)
                yield signed if is_its_own and not signed.forged else None


def _keys(told: Iterable[str]) -> Iterator[VerifierKey]:
    for each in told:
        with suppress(NoteInvalid):  # whoever signed a handover to what is no key
            yield VerifierKey.parse(each)


def _extends(source: Source, tree: Frontier, signed: Signed) -> bool:
    try:
        extends(source, tree, signed.checkpoint)
    except SignerRefused:
        return False
    return True
