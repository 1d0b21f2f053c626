"""A ledger's records as bytes under hashes, one after the other: what can be said of a log without reading what it says.

Each record's bytes hash to its leaf, the leaves make the stored subtrees and, with the head, checkpoints and pins, the tree.
Records without their bytes are those that were pruned: where there are any, the log is gone through a second time for that.
What only a full verification finds: whether records say what records may, whether one is missing from its emitter's count
or a call's end from its start, whether payloads are kept. Only of records that declare keys something is read, unless the
index copies beside them are to be compared, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from attrs import define, field
from pydantic_core import from_json

from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import BLOCK, Frontier
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.records.schema import PRUNABLE, Kind
from failsoft.ledger.store import TAMPERED, Source
from failsoft.ledger.verification.covered import Covered, Declared, Report
from failsoft.ledger.verification.pruned import Pruned

COPIES = "emitter, eseq, rid, type, ts, call_id, case_id, capability"
"""What stands beside a record's bytes, so that it's found. It says what they say, and proves nothing."""

DECLARES = b'"key.rotated"'
"""Stands in each record, as bytes, that hands the log over."""

LEAF = 32
"""Bytes of a leaf. Two of pruned records that share them otherwise give the same tree."""

MALFORMED = "it's malformed: a part of it is missing or of the wrong type"
NOT_AS_PRUNED = "its bytes are missing, and it's not one that is pruned, or not as those are"
ROTATES_ELSEWHERE = "it rotates from a key that isn't the log's"
OTHERWISE = "its index copy says something else than its bytes"


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

    def check(self, covered: Covered, report: Report, *, copies: bool = False) -> None:
        """All records, from the first to the last.

        Args:
            covered: what vouches for them.
            report: told what's wrong.
            copies: do the index copies say what the bytes say?
        """
        frontier = self.frontier
        columns = f"seq, leaf, body, {COPIES}" if copies else "seq, leaf, body"
        query = f"SELECT {columns} FROM ledger_record {self.source.hint_rows} ORDER BY seq"  # noqa: S608 -- our own
        for index, leaf, body, *beside in self.source.stream(query):
            if index != frontier.size:
                report(TAMPERED, f"{index - frontier.size} records before it are missing", index)
            if type(leaf) is not bytes or len(leaf) != LEAF:
                raise ValueError("a leaf that isn't 32 bytes")
            if body is None:
                self._bare = True
                if beside and any(each is not None for each in (beside[2], *beside[4:])):
                    report(TAMPERED, NOT_AS_PRUNED, index)
            elif sha256(b"\x00" + body).digest() != leaf:
                report(TAMPERED, "its bytes don't hash to its leaf: it was changed", index)
            else:
                if beside:
                    self._compare(index, body, beside, report)
                if not index or DECLARES in body:
                    self._declare(index, body, report)
            block = frontier.append(leaf)
            if block is not None and (wrong := subtree_problem(self.source, index // BLOCK, block)):
                report(TAMPERED, wrong, index)
            if frontier.size == covered.due:
                covered.at(frontier, self.declared)
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
                report(TAMPERED, NOT_AS_PRUNED, index)
            else:
                self.pruned.bare(index, leaf, str(emitter), number)
            if body is not None:
                self._said(index, body, report)

    def _said(self, index: int, body: bytes, report: Report) -> None:
        try:
            self.pruned.said(index, canonical.read(body), lambda what: report(TAMPERED, what, index))
        except (canonical.ProfileError, KeyError, TypeError):
            report(TAMPERED, MALFORMED, index)

    def _compare(self, index: int, body: bytes, beside: Sequence[Any], report: Report) -> None:
        try:  # its hash is held against the tree: that the bytes are canonical was looked at before that was signed
            told = copies_of(from_json(body, cache_strings="keys"))
        except (ValueError, KeyError, TypeError, AttributeError):
            report(TAMPERED, MALFORMED, index)
            return
        if told != tuple(beside):
            report(TAMPERED, OTHERWISE, index)

    def _declare(self, index: int, body: bytes, report: Report) -> None:
        try:
            fields = canonical.read(body)
        except canonical.ProfileError as error:
            report(TAMPERED, f"its bytes are no record's: {error}", index)
            return
        if fields.get("type") == Kind.KEY_ROTATED:
            if self.declared.key not in (fields.get("from"), fields.get("to")):
                report(TAMPERED, ROTATES_ELSEWHERE, index)
            self.declared.take(index, str(fields.get("to")))
        elif fields.get("type") == Kind.LOG_OPENED:
            for key in fields.get("keys", ()):
                self.declared.take(index, str(key))


def copies_of(fields: dict[str, Any]) -> tuple[Any, ...]:
    """What must stand beside a record that says this.

    Raises:
        KeyError, TypeError: it's malformed.
    """
    case, capability = fields.get("case"), fields.get("capability")
    return (
        fields.get("emitter"),
        fields.get("eseq"),
        fields["rid"],
        fields["type"],
        fields["ts"],
        fields.get("call_id"),
        case["id"] if case is not None else None,
        capability["name"] if capability is not None else None,
    )


def first_problem(source: Source, checkpoint: Checkpoint) -> str:
    """What's wrong with a log, that its rows can be gone by: the first thing of those that tampering leaves; empty: nothing.

    Args:
        source: inside its transaction.
        checkpoint: what the records up to its size must give.
    """
    found: list[str] = []

    def report(code: int, what: str, index: int | None) -> None:
        if code == TAMPERED:
            found.append(what if index is None else f"record {index}: {what}")

    covered = Covered((), [(checkpoint.size, checkpoint.root.hex())], (), report)
    covered.begin(source, checkpoint.origin)
    Hashes(source, checkpoint.origin).check(covered, report, copies=True)
    return found[0] if found else ""


def subtree_problem(source: Source, block: int, root: bytes) -> str:
    """What's wrong with the stored root of 256 leaves; empty: nothing."""
    row = source.execute("SELECT hash FROM ledger_subtree WHERE idx = ?", (block,)).fetchone()
    if row is not None and row[0] == root:
        return ""
    return f"the stored subtree {block}, which ends with it, is missing or wrong"
