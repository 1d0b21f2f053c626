"""What stands beside a log's records: its own line, and its head."""

from __future__ import annotations

from typing import Protocol

from failsoft.ledger.checkpoints.opening import planted
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.records import schema
from failsoft.ledger.store import TAMPERED, UNUSABLE, Source
from failsoft.ledger.verification.covered import Covered, Declared, Report


class Tree(Protocol):
    """What goes by a log's records."""

    origin: str
    frontier: Frontier
    declared: Declared


def check_line(source: Source, tree: Tree, covered: Covered, report: Report) -> None:
    """Before the first record: the log's own line says which log it is."""
    log = source.execute("SELECT origin, format FROM ledger_log").fetchall()
    if len(log) != 1 or log[0][1] != schema.FORMAT:
        report(TAMPERED, "the log's own line is missing, doubled or of another format", None)
    tree.origin = str(log[0][0]) if log else ""
    covered.begin(source, tree.origin)


def check_head(source: Source, tree: Tree, covered: Covered, report: Report) -> None:
    """After the last one: the head against the records."""
    frontier = tree.frontier
    size = frontier.size
    if size == 0:
        report(UNUSABLE, "the log is empty: not even its opening is there", None)
        return
    head = source.execute("SELECT size, frontier, sig FROM ledger_head").fetchone()
    covered.head(Checkpoint(tree.origin, size, frontier.root()), head and head[2], tree.declared)
    if head is None:
        report(TAMPERED, "the head is missing: it was taken out, or this is a copy that isn't finished", None)
    elif frontier.to_bytes() != head[1] or size != head[0]:
        report(TAMPERED, f"the head states {head[0]} records with another tree than the {size} that are there", None)
    if "ledger_subtree" in source.tables() and (wrong := planted(source, size)):
        report(TAMPERED, wrong, None)
