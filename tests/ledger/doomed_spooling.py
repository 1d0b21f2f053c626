"""A process whose database goes away and comes back, and that ends at a chosen step of what follows.

Arguments: URL; folder of the spool; when the step is waited for, ``spool``, ``forward`` or ``sweep``; ``before`` or ``after``;
the step, which is the beginning of an SQL statement of the spool's or one of `CALLS`; how many times it comes, this one included.
"""

from __future__ import annotations

import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from doomed_process import Doom
from ledgers import SystemClock, completed, ledger_at, settled, started

from failsoft.core.effects import Recorded
from failsoft.core.evidence import Record
from failsoft.ledger.location import InDatabase
from failsoft.ledger.postgres.read import Database
from failsoft.ledger.postgres.store import LedgerDatabase
from failsoft.ledger.spool import store as spooling_module
from failsoft.ledger.spool.file import Spool, Spooling
from failsoft.ledger.store import DatabaseFailed
from failsoft.ledger.writing.ticket import Ticket
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.postgres_address import Address

CALLS: dict[str, tuple[Any, str]] = {
    "put": (Spool, "put"),
    "drop": (Spool, "drop"),
    "close": (Spool, "close"),
    "append": (LedgerDatabase, "append"),
}


class Away:
    """The way to the database, which can be cut."""

    def __init__(self) -> None:
        self.cut = False
        run, at = Database.execute, Database.at.__func__  # type: ignore[attr-defined]

        def execute(database: Database, query: str, values: Any = (), /) -> Any:
            if self.cut:
                database.close()
                raise DatabaseFailed("the connection was lost", unknown=True, away=True)
            return run(database, query, values)

        def reached(kind: type[Database], address: Address, seconds: float) -> Any:
            if self.cut:
                raise DatabaseFailed("it can't be reached", away=True)
            return at(kind, address, seconds)

        Database.execute = execute  # type: ignore[method-assign]
        Database.at = classmethod(reached)  # type: ignore[assignment]


def told(ledger: StoredLedger, name: str) -> None:
    """One call, and one that stays open: three batches. Each record is told of when it's durable."""

    def record(evidence: Record) -> Ticket:
        ticket = ledger.submit(evidence)
        result = settled(ticket, 60)
        assert isinstance(result, Recorded), result
        print(name, result.leaf.hex(), flush=True)
        return ticket

    begin = record(started(name))
    record(completed(begin, name))
    record(started(f"{name}, open"))


def main(url: str, folder: str, when: str, moment: str, step: str, time: str) -> None:
    away = Away()
    doom = Doom("die", moment, step, int(time), CALLS)
    connect, doomed = sqlite3.connect, doom.connection
    sqlite3.connect = lambda *arguments, **named: connect(*arguments, **{"factory": doomed, **named})  # type: ignore[assignment,misc]
    spooling_module.RETRY_NS = 5_000_000
    place = InDatabase(Address.parse(url), spooling=Spooling(Path(folder), SystemClock()))
    ledger = ledger_at(place, clock=SystemClock(), policy="spool")
    doom.armed = when == "sweep"
    ledger.open()
    told(ledger, "before")
    away.cut = True
    doom.armed = when == "spool"
    told(ledger, "spooled")
    doom.armed = True
    away.cut = False
    signal.pause()  # until the writer's thread is there


if __name__ == "__main__":
    main(*sys.argv[1:])
