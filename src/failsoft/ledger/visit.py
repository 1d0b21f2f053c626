"""A short stay in a log: opened as the application opens it, one thing put on record or nothing, and left in order.

Leaving signs a checkpoint of all that's there; entering names the calls of processes that are gone. So a visit is how a log
comes to a checkpoint that covers its newest calls, while others write to it or nobody does.
"""

from __future__ import annotations

import threading
from pathlib import Path

from failsoft.core.effects import Clock, Unrecorded
from failsoft.core.evidence import Record
from failsoft.errors import LedgerInvalid
from failsoft.ledger.publishing import Signing
from failsoft.ledger.writer import SqliteLedger

PATIENCE = 30.0
"""Seconds that a record may take."""


def visit(path: Path, signing: Signing, clock: Clock, record: Record | None = None, host: str | None = None) -> None:
    """Open a log, record this, close it: with a signed checkpoint at the end.

    Args:
        path: the database file.
        signing: how the log is signed.
        clock: gives the times in the records.
        record: what happened; None: nothing.
        host: label of this machine in records; default: its host name.

    Raises:
        LedgerInvalid: it's no ledger of this key, it can't be written to, or no checkpoint could be signed.
    """
    if not path.exists():
        raise LedgerInvalid(f"{path}: there is no such file")
    problems: list[str] = []

    def heard(name: str, fields: dict[str, object]) -> None:
        if name == "checkpoint.failed":
            problems.append(str(fields["reason"]))

    ledger = SqliteLedger(path, clock=clock, signing=signing, host=host, on_event=heard)
    ledger.open()
    try:
        if record is not None:
            _recorded(ledger, record)
    finally:
        ledger.close()
    if problems:
        raise LedgerInvalid(f"{path}: no checkpoint could be signed: {problems[0]}")


def _recorded(ledger: SqliteLedger, record: Record) -> None:
    ticket = ledger.submit(record)
    done = threading.Event()
    ticket.promise.on_done(done.set)
    if not done.wait(PATIENCE):
        raise LedgerInvalid(f"{ledger.path}: it couldn't be recorded within {PATIENCE:.0f} s")
    value = ticket.promise.value
    if isinstance(value, Unrecorded):
        raise LedgerInvalid(f"{ledger.path}: it couldn't be recorded: {value.reason}")
