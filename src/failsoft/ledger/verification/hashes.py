"""A ledger's records as bytes under hashes, one after the other: what can be said of a log without reading what it says.

Each record's bytes hash to its leaf, the leaves make the stored subtrees and, with the head, checkpoints and pins, the tree.
What only a full verification finds: whether records say what records may, whether one is missing from its emitter's count
or a call's end from its start, whether payloads are kept. Only of records that declare keys something is read.
"""

from __future__ import annotations

from hashlib import sha256

from attrs import define, field

from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import BLOCK, Frontier
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import TAMPERED, Source
from failsoft.ledger.verification.covered import Covered, Declared, Report

_DECLARES = b'"key.rotated"'


@define
class Hashes:
    """What is known after the records so far.

    Args:
        source: where they're read.
        origin: as the log's own table states it.
        declared: the keys that records declare.
        bare: records without their bytes.
    """

    source: Source
    origin: str
    frontier: Frontier = field(factory=Frontier)
    declared: Declared = field(factory=Declared)
    bare: int = 0

    def check(self, covered: Covered, report: Report) -> None:
        """All records, from the first to the last."""
        frontier = self.frontier
        query = f"SELECT seq, leaf, body FROM ledger_record {self.source.hint_rows} ORDER BY seq"  # noqa: S608 -- our own
        for index, leaf, body in self.source.stream(query):
            if index != frontier.size:
                report(TAMPERED, f"{index - frontier.size} records before it are missing", index)
            if type(leaf) is not bytes:
                raise ValueError("a leaf that isn't bytes")
            if body is None:
                self.bare += 1
            elif sha256(b"\x00" + body).digest() != leaf:
                report(TAMPERED, "its bytes don't hash to its leaf: it was changed", index)
            elif not index or _DECLARES in body:
                self._declare(index, body, report)
            block = frontier.append(leaf)
            if block is not None and (wrong := subtree_problem(self.source, index // BLOCK, block)):
                report(TAMPERED, wrong, index)
            if frontier.size == covered.due:
                covered.at(frontier)
        covered.end(frontier.size)

    def _declare(self, index: int, body: bytes, report: Report) -> None:
        try:
            fields = canonical.read(body)
        except canonical.ProfileError as error:
            report(TAMPERED, f"its bytes are no record's: {error}", index)
            return
        if fields.get("type") == Kind.KEY_ROTATED:
            self.declared.take(index, str(fields.get("to")))
        elif fields.get("type") == Kind.LOG_OPENED:
            for key in fields.get("keys", ()):
                self.declared.take(index, str(key))


def subtree_problem(source: Source, block: int, root: bytes) -> str:
    """What's wrong with the stored root of 256 leaves; empty: nothing."""
    row = source.execute("SELECT hash FROM ledger_subtree WHERE idx = ?", (block,)).fetchone()
    if row is not None and row[0] == root:
        return ""
    return f"the stored subtree {block}, which ends with it, is missing or wrong"
