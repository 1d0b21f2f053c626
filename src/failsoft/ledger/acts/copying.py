"""A ledger from one store to another: the same records, the same bytes, the same tree, checked as they go by.

That it was copied, where to and by whom is on record in the ledger itself before the first row is: so the copy says it
too, and both have the same tree. Whoever moves a ledger ends its processes first; what they write to the one that was
copied isn't in the other, where they're taken for gone.

What was erased or pruned while a copy was interrupted is in the part that was copied before: such a copy isn't gone on with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from attrs import define, field, frozen

from failsoft.core.evidence import LedgerTransferred
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts.erasure import Acting
from failsoft.ledger.checkpoints.opening import frontier_of
from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import BLOCK, Frontier, leaf_hash
from failsoft.ledger.location import Location, is_same
from failsoft.ledger.receiving import Receiver, Row
from failsoft.ledger.store import LEFT_OPEN, UNREADABLE, Payloads, Queries, Source

CHUNK = 500
"""Records of one transaction."""

_COLUMNS = "seq, leaf, body, emitter, eseq, rid, type, ts, call_id, case_id, capability"

_BARE = "SELECT count(*) FROM ledger_record WHERE seq < ? AND body IS NULL"
_KEPT = "SELECT digest FROM ledger_payload ORDER BY digest"

Progress = Callable[[int, int], None]
"""Told how many records of how many are copied."""


@frozen
class Copied:
    """What was copied.

    Args:
        size: records of the copy.
        root: of its tree, lower-case hex.
        begun: how many of them an earlier run had copied.
    """

    size: int
    root: str
    begun: int


@define
class _Copy:
    source: Source
    receiver: Receiver
    frontier: Frontier = field(factory=Frontier)


def copy(
    acting: Acting, to: Location, *, person: str, why: str, progress: Progress = lambda done, size: None
) -> Copied:
    """Copy a ledger to a place where there's none, or go on with a copy that was interrupted.

    Args:
        acting: on which ledger, as whom.
        to: where.
        person: who decided, for the record.
        why: the reason, likewise.
        progress: told how far it is.

    Raises:
        LedgerInvalid: either of them can't be used, they don't fit, or what was copied isn't what it must be.
    """
    location = acting.location
    if is_same(location, to):
        raise LedgerInvalid(f"{to}: that's where it is")
    transferred = LedgerTransferred(str(to), person, why)
    acting.check(transferred)
    acting.refuse_unless_there()
    try:
        receiver = to.receiver()
        try:
            _refuse(receiver.queries, to)
            if _size(receiver.queries) == 0:
                acting.record(transferred)
            source = location.connect()
            try:
                source.begin()
                return _copy(_Copy(source, receiver), location, to, progress)
            finally:
                source.close()
        finally:
            receiver.close()
    except (OSError, *UNREADABLE) as error:
        raise LedgerInvalid(f"from {location} to {to}: {error}") from None


def _refuse(queries: Queries, to: Location) -> None:
    if queries.execute("SELECT 1 FROM ledger_head").fetchone() is not None:
        raise LedgerInvalid(f"{to}: a whole ledger is there already")


def _size(queries: Queries) -> int:
    row = queries.execute("SELECT coalesce(max(seq), -1) + 1 FROM ledger_record").fetchone()
    return int(row[0])


def _copy(both: _Copy, location: Location, to: Location, progress: Progress) -> Copied:
    source, receiver = both.source, both.receiver
    size, tree, signature = source.execute("SELECT size, frontier, sig FROM ledger_head").fetchone() or (0, b"", None)
    begun = _size(receiver.queries)
    if begun > size:
        raise LedgerInvalid(f"{to}: {begun} records are there, and {location} has {size}: it's a copy of another one")
    both.frontier = frontier_of(receiver.queries, str(to), begun)
    if both.frontier.to_bytes() != frontier_of(source, str(location), begun).to_bytes():
        raise LedgerInvalid(f"{to}: what is there isn't the beginning of {location}")
    if begun and _holds_more(receiver.queries, source, begun):
        raise LedgerInvalid(
            f"{to}: since that copy was begun, something was erased or pruned: remove it, and copy anew"
        )
    payloads = source.payloads()
    rows = source.stream(
        f"SELECT {_COLUMNS} FROM ledger_record {source.hint_rows} WHERE seq >= ? ORDER BY seq",  # noqa: S608 -- our own
        (begun,),
    )
    while chunk := list(islice(rows, CHUNK)):
        after = both.frontier.size
        taken = _chunk(both.frontier, chunk, payloads, location)
        if after == 0:
            taken["ledger_log"] = source.execute("SELECT id, origin, format, created, vkey FROM ledger_log").fetchall()
        receiver.take(taken, after)
        progress(both.frontier.size, size)
    if both.frontier.size != size or both.frontier.to_bytes() != tree:
        raise LedgerInvalid(f"{location}: its records aren't those of its head: run `failsoft verify` on it")
    receiver.remember([emitter for (emitter,) in source.execute(LEFT_OPEN).fetchall()])
    receiver.take(
        {
            "ledger_artifact": source.execute("SELECT sha256, media, data FROM ledger_artifact").fetchall(),
            "ledger_checkpoint": source.execute(
                "SELECT size, note, tsr, published_to FROM ledger_checkpoint"
            ).fetchall(),
            "ledger_head": [(0, size, tree, signature)],
        },
        size,
    )
    return Copied(size, both.frontier.root().hex(), begun)


def _holds_more(copied: Queries, source: Source, begun: int) -> bool:
    """Does what was copied hold records or payloads that aren't in the log any more? That may be on record since long:
    an act that was interrupted is finished without saying so again.
    """
    if copied.execute(_BARE, (begun,)).fetchone() != source.execute(_BARE, (begun,)).fetchone():
        return True
    there = source.stream(_KEPT)  # in order, as those: looked through once
    return any(row not in there for row in copied.execute(_KEPT))


def _chunk(frontier: Frontier, rows: Sequence[Row], payloads: Payloads, location: Location) -> dict[str, Sequence[Row]]:
    bodies = [row[2] for row in rows if row[2] is not None]
    payloads.expect(bodies)
    blocks: list[Row] = []
    kept: list[Row] = []
    for row in rows:
        index, leaf, body = row[:3]
        if index != frontier.size or (body is not None and leaf_hash(body) != leaf):
            raise LedgerInvalid(
                f"{location}: record {index} was changed, or one before it is missing: run `failsoft verify`"
            )
        block = frontier.append(leaf)
        if block is not None:
            blocks.append((index // BLOCK, block))
        if body is not None:
            kept += _payloads(body, payloads)
    return {"ledger_record": rows, "ledger_payload": kept, "ledger_subtree": blocks}


def _payloads(body: bytes, payloads: Payloads) -> list[Row]:
    named = [bytes.fromhex(each["digest"]) for each in canonical.read(body).get("commitments", [])]
    return [(digest, *row) for digest in named if (row := payloads.get(digest)) is not None]
