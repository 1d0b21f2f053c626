"""What a log must be before anything is appended to it: whole as far as a quick look tells, and signed by whose it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from failsoft.errors import LedgerInvalid
from failsoft.ledger.checkpoints.signer import Signer, SignerRefused
from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import BLOCK, Frontier, leaf_hash
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.records.schema import FORMAT, Kind
from failsoft.ledger.store import OF_CALLS, Found, Queries

NEWEST = 64
"""Records of calls that a quick look reads, until one has payloads."""

HANDED_OVER = 2
"""Records of a handover to another key that is all there, from its `key.rotated` on, that one and the end of its emitter."""

LATELY = 256
"""Records among which it looks for a copy having been made."""

Anchored = Callable[[], Sequence[Checkpoint]]
"""The newest checkpoints that anchors show."""


def refuse_anew(name: str, signer: Signer | None, anchored: Anchored) -> None:
    """A log that was signed isn't begun again because its file is gone.

    Raises:
        LedgerInvalid: that's so here, or can't be told.
    """
    try:
        signed = None if signer is None else signer.last()
    except SignerRefused as error:
        raise LedgerInvalid(f"{name}: {error}") from None
    if signed is not None or any(anchored()):
        raise LedgerInvalid(
            f"{name}: there is no such ledger, and checkpoints of this log were signed: put it back, or begin a log of "
            "another name, with a key of its own"
        )


def check_log(connection: Queries, name: str, signer: Signer | None, anchored: Anchored, known: Frontier) -> Found:
    """Do head, records, signatures and the signer's memory fit together? Inside a transaction.

    Args:
        connection: to the log.
        name: of its place, for errors.
        signer: signs it; None where it isn't signed.
        anchored: the newest checkpoints that anchors show.
        known: the tree that this process committed; empty where it committed none.

    Raises:
        LedgerInvalid: they don't, or the log doesn't begin with what this process committed.
        sqlite3.Error, DatabaseFailed: it can't be read. (TypeError, ValueError: likewise.)
    """
    log = connection.execute("SELECT origin, format, vkey FROM ledger_log").fetchone()
    head = connection.execute("SELECT size, frontier, sig FROM ledger_head").fetchone()
    if log is None or head is None:
        raise LedgerInvalid(f"{name}: the ledger was emptied: its head is missing")
    if head[0] == 0:
        raise LedgerInvalid(f"{name}: the ledger was emptied: not even its opening is there")
    if log[1] != FORMAT:
        raise LedgerInvalid(f"{name}: format {log[1]!r}, and this failsoft writes {FORMAT}")
    count = connection.execute("SELECT coalesce(max(seq), -1) + 1 FROM ledger_record").fetchone()[0]
    covered = connection.execute("SELECT coalesce(max(size), 0) FROM ledger_checkpoint").fetchone()[0]
    frontier = frontier_of(connection, name, head[0])
    if wrong := beyond(head[0], count - 1) or _planted(connection, head[0]):
        raise LedgerInvalid(f"{name}: {wrong}")
    if count != head[0] or covered > head[0] or frontier.to_bytes() != head[1]:
        raise LedgerInvalid(
            f"{name}: the head doesn't fit the records: it was cut or tampered with: run `failsoft verify`"
        )
    if count < known.size:
        raise LedgerInvalid(f"{name}: {count} records, and this process had committed {known.size}")
    if known.size and frontier_of(connection, name, known.size).to_bytes() != known.to_bytes():
        raise LedgerInvalid(
            f"{name}: this log of {log[0]!r} is not the one that this process wrote to: put that one back, or run "
            "`failsoft verify` on it, and start again"
        )
    unsigned = log[2] is None and covered == 0 and head[2] is None
    if signer is None:
        if not unsigned:
            raise LedgerInvalid(f"{name}: this log is signed: give its key (`ledger.key`)")
    elif signer.key.name != log[0]:
        raise LedgerInvalid(
            f"{name}: this is the log of {log[0]!r}, and the key is named {signer.key.name!r}: make one with "
            f"`failsoft keys new FILE --name {log[0]}`"
        )
    else:
        unsigned = _check_signed(connection, name, signer, anchored, frontier, head[2], unsigned)
        former = _between_keys(connection, head[0], covered)
        if former is not None and former not in _verifiers(signer):
            raise LedgerInvalid(
                f"{name}: it's being handed over to this key, and the former one, {former!r:.300}, hasn't signed that: put "
                "the former one back in the key's file, and this one beside it in a file of the same name with .new behind, "
                "and run `failsoft keys rotate` again"
            )
    return Found(log[0], head[0], unsigned, *_newest(connection, head[0]))


def _newest(connection: Queries, size: int) -> tuple[bool | None, str]:
    """Are the newest payloads encrypted (None: all were pruned), and where was the log copied lately?"""
    calls = f"SELECT body FROM ledger_record WHERE {OF_CALLS} AND body IS NOT NULL ORDER BY seq DESC LIMIT {NEWEST}"  # noqa: S608
    newest = (fields for (body,) in connection.execute(calls) if "commitments" in (fields := _fields(body)))
    sealed = None if (found := next(newest, None)) is None and _is_pruned(connection) else "dek" in (found or ())
    copies = "SELECT body FROM ledger_record WHERE type = ? AND seq >= ? ORDER BY seq DESC LIMIT 1"
    copied = connection.execute(copies, (Kind.LEDGER_TRANSFERRED.value, size - LATELY)).fetchone()
    return sealed, "" if copied is None else str(_fields(copied[0]).get("to", ""))


def _is_pruned(connection: Queries) -> bool:
    kind = Kind.RECORD_PRUNED.value
    return connection.execute("SELECT 1 FROM ledger_record WHERE type = ? LIMIT 1", (kind,)).fetchone() is not None


def _between_keys(connection: Queries, size: int, covered: int) -> str | None:
    """The former key, where a handover to another one ended between its record and the checkpoint that both sign. Then the
    new one doesn't go on alone, and hands nothing on: whoever trusts the former one alone could take that for a theft.
    """
    rotated = size - HANDED_OVER
    row = connection.execute("SELECT type, body FROM ledger_record WHERE seq = ?", (rotated,)).fetchone()
    if row is None or row[0] != Kind.KEY_ROTATED or covered > rotated:
        return None
    return _fields(row[1]).get("from")


def _verifiers(signer: Signer) -> list[str]:
    """By whom the next checkpoint will be signed, where another key than the head's takes part."""
    return [] if signer.former is None else [str(signer.key.verifier), str(signer.former.verifier)]


def _fields(body: bytes) -> dict[str, Any]:
    """What a record says; nothing where it's damaged, which is told elsewhere."""
    try:
        return canonical.read(body)
    except canonical.ProfileError:
        return {}


def _check_signed(
    connection: Queries,
    name: str,
    signer: Signer,
    anchored: Anchored,
    frontier: Frontier,
    signature: bytes | None,
    unsigned: bool,
) -> bool:
    """Is the head this key's, and the tree the one that was signed before? True where nobody signed so far."""
    seen = anchored()
    try:
        if unsigned and not seen and signer.last() is None:
            return True
        if not signer.signed_head(frontier, signature):
            raise SignerRefused(
                f"the head isn't signed by the key {signer.key.verifier.id.hex()}: it's another log's key, or a former "
                "one, or the log was tampered with: run `failsoft verify` on it, with the key"
            )
        signer.check(connection, frontier, seen)
    except SignerRefused as error:
        raise LedgerInvalid(f"{name}: {error}") from None
    return False


def planted(connection: Queries, size: int, last: int = (1 << 63) - 1) -> str:
    """What's said of a stored subtree whose records aren't all there, in a log of this size; empty: there's none. Whoever
    may insert can put one there, and the writer that completes it would be refused.

    Args:
        connection: to the log.
        size: of the log.
        last: the last that matters.
    """
    query = "SELECT min(idx) FROM ledger_subtree WHERE idx >= ? AND idx <= ?"
    row = connection.execute(query, (size // BLOCK, last)).fetchone()
    if row[0] is None:
        return ""
    return f"ledger_subtree has a row {row[0]}, whose {BLOCK} records aren't all there: no writer put it there"


def _planted(connection: Queries, size: int) -> str:
    wrong = planted(connection, size)
    return wrong and f"{wrong}: run `failsoft verify` on it, and have the tables' owner take it out"


def beyond(size: int, last: int) -> str:
    """What's said of a record that the head doesn't reach, where there's one; as `planted`. Each commit moves the head with
    its records.

    Args:
        size: that the head states.
        last: the last record's place.
    """
    if last < size:
        return ""
    return (
        f"the head doesn't fit the records: ledger_record has a row {last}, beyond the {size} records of the head: it was "
        "planted, or the head set back: run `failsoft verify` on it; what was planted is for the tables' owner to take out"
    )


def frontier_of(connection: Queries, name: str, size: int) -> Frontier:
    """The frontier that the stored subtrees and the leaves after them give; the newest bodies are hashed, too."""
    blocks = Frontier()
    whole = size // BLOCK
    for (block,) in connection.execute("SELECT hash FROM ledger_subtree WHERE idx < ? ORDER BY idx", (whole,)):
        blocks.append(block)
    rest = Frontier()
    query = "SELECT leaf, body FROM ledger_record WHERE seq >= ? AND seq < ? ORDER BY seq"
    rows = connection.execute(query, (whole * BLOCK, size))
    for leaf, body in rows:
        if body is not None and leaf_hash(body) != leaf:  # one that was pruned has none
            raise LedgerInvalid(f"{name}: a record's bytes were changed: run `failsoft verify` on it")
        rest.append(leaf)
    return Frontier(blocks.size * BLOCK + rest.size, blocks.hashes + rest.hashes)
