"""A ledger's records as bytes under hashes, one after the other: what can be said of a log without reading what it says.

Each record's bytes hash to its leaf, the leaves make the stored subtrees and, with the head, checkpoints and pins, the tree.
Records without their bytes are those that were pruned: where there are any, the log is gone through a second time for that.
What only a full verification finds: whether records say what records may, whether one is missing from its emitter's count
or a call's end from its start, whether payloads are kept. Only of records that declare keys something is read.
"""

from __future__ import annotations

from hashlib import sha256

from attrs import define, field

from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import BLOCK, Frontier
from failsoft.ledger.records.schema import PRUNABLE, Kind
from failsoft.ledger.store import TAMPERED, Source
from failsoft.ledger.verification.covered import Covered, Declared, Report
from failsoft.ledger.verification.pruned import Pruned

_DECLARES = b'"key.rotated"'


@define
class Hashes:
    """What is known after the records so far.

    Args:
        source: where they're read.
        origin: as the log's own table states it.
        declared: the keys that records declare.
        pruned: records without their bytes.
    """

    source: Source
    origin: str
    frontier: Frontier = field(factory=Frontier)
    declared: Declared = field(factory=Declared)
    pruned: Pruned = field(init=False)
    _bare: bool = False

    def __attrs_post_init__(self) -> None:
        self.pruned = Pruned(self.source)

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
                self._bare = True
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
        if self._bare:
            self._go_through_again(report)
            self.pruned.end(report)

    def _go_through_again(self, report: Report) -> None:
        """For what was pruned: by the types that rows state, which change the leaves that are summed up if they lie."""
        query = (
            "SELECT seq, leaf, emitter, eseq, type, body IS NULL, CASE WHEN type = ? THEN body END"  # noqa: S608 -- our own
            f" FROM ledger_record {self.source.hint_rows} ORDER BY seq"
        )
        for index, leaf, emitter, number, kind, bare, body in self.source.stream(query, (Kind.RECORD_PRUNED.value,)):
            if not bare:
                self.pruned.kept(index, kind, leaf)
            elif kind not in PRUNABLE or type(number) is not int:
                report(TAMPERED, "its bytes are missing, and it's not one that is pruned, or not as those are", index)
            else:
                self.pruned.bare(index, leaf, str(emitter), number)
            if body is not None:
                self._said(index, body, report)

    def _said(self, index: int, body: bytes, report: Report) -> None:
        try:
            self.pruned.said(index, canonical.read(body), lambda what: report(TAMPERED, what, index))
        except (canonical.ProfileError, KeyError, TypeError):
            report(TAMPERED, "it's malformed: a part of it is missing or of the wrong type", index)

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
