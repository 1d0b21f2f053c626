"""A process that ends, or stands still, at a chosen step of what the ledger does.

Arguments: path; ``die`` or ``stand``; ``before`` or ``after``; the step, which is the beginning of an SQL statement or
one of `CALLS`; what the process is at by then: ``open``, ``sweep`` or one of `ACTS`.
"""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ledgers import SystemClock, call, ledger_at, settled, started

from failsoft.core.effects import Recorded
from failsoft.ledger.locks import LiveFile
from failsoft.ledger.postgres import store as postgres
from failsoft.ledger.postgres.read import Database
from failsoft.ledger.sqlite import store as sqlite_module
from failsoft.ledger.writing.appender import Appender
from failsoft.ledger.writing.composing import Composer
from failsoft.ledger.writing.writer import StoredLedger

CALLS: dict[str, tuple[Any, str]] = {
    "rename": (os, "rename"),
    "settle": (Appender, "settle"),
    "release": (LiveFile, "release"),
    "hold": (LiveFile, "hold"),
}


class Doom:
    """What happens when the step is reached, for the first time or for a later one."""

    def __init__(
        self, deed: str, moment: str, step: str, time: int = 1, calls: Mapping[str, tuple[Any, str]] = CALLS
    ) -> None:
        self.deed, self.moment, self.step = deed, moment, step
        self.armed = False
        self._left = time
        if step in calls:
            where, name = calls[step]
            setattr(where, name, self._wrapped(getattr(where, name)))

    @property
    def connection(self) -> type[sqlite3.Connection]:
        doom = self

        class Doomed(sqlite3.Connection):
            def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
                return doom._around(sql, super().execute, sql, *arguments)

            def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
                return doom._around(sql, super().executemany, sql, *arguments)

        return Doomed

    def connect(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=self.connection)

    def follow_a_database(self) -> None:
        """What is done in PostgreSQL goes through two functions."""
        run, copy = Database.execute, postgres.copy_in

        def execute(database: Database, query: str, values: Any = (), /) -> Any:
            return self._around(query, run, database, query, values)

        def copied(database: Database, statement: str, *arguments: Any) -> None:
            self._around(statement, copy, database, statement, *arguments)

        Database.execute = execute  # type: ignore[method-assign]
        postgres.copy_in = copied

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: self._around(self.step, function, *arguments, **named)

    def _around(self, step: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        here = self.armed and step.startswith(self.step)
        if here:
            self._left -= 1
            here = self._left == 0
        if here and self.moment == "before":
            self._strike()
        result = function(*arguments, **named)
        if here and self.moment == "after":
            self._strike()
        return result

    def _strike(self) -> None:
        if self.deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        print("there", flush=True)
        sys.stdin.read()


def die_writing(log: Path, pages: int) -> None:
    """Be killed by the kernel in the middle of the write that goes beyond so many pages from here."""
    die_beyond(log.stat().st_size + pages * (sqlite_module.PAGE_SIZE + 24) + 100)


def die_beyond(place: int) -> None:
    """Be killed by the kernel in the write that goes beyond this place of any file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (place, place))


def commit(ledger: StoredLedger, doom: Doom) -> None:
    settled(ledger.submit(started("doomed", request=b"x" * 60_000)), 120)


def checkpoint(ledger: StoredLedger, doom: Doom) -> None:
    sqlite_module.CHECKPOINT_PAGES = 0
    commit(ledger, doom)


def write(ledger: StoredLedger, doom: Doom) -> None:
    die_writing(ledger.location.path.with_name(ledger.location.path.name + "-wal"), int(doom.step))
    commit(ledger, doom)


def close(ledger: StoredLedger, doom: Doom) -> None:
    ledger.close(120)


ACTS: dict[str, Callable[[StoredLedger, Doom], None]] = {
    "commit": commit,
    "checkpoint": checkpoint,
    "write": write,
    "close": close,
}


def arm_at_the_sweep(doom: Doom) -> None:
    sweep = Composer._add_orphans

    def armed(composer: Composer, batch: Any) -> None:
        doom.armed = True
        sweep(composer, batch)

    Composer._add_orphans = armed  # type: ignore[method-assign]


def main(path: str, deed: str, moment: str, step: str, act: str) -> None:
    doom = Doom(deed, moment, step)
    ledger = ledger_at(path, clock=SystemClock(), connect=doom.connect)
    doom.follow_a_database()
    doom.armed = act == "open"
    if act == "sweep":
        arm_at_the_sweep(doom)
    ledger.open()
    for ticket in (*call(ledger, f"whole-{os.getpid()}"), ledger.submit(started("left"))):
        result = settled(ticket, 120)
        assert isinstance(result, Recorded), result
        print(result.index, result.leaf.hex(), flush=True)
    doom.armed = True
    ACTS[act](ledger, doom)
    signal.pause()  # until the writer's thread is there


if __name__ == "__main__":
    main(*sys.argv[1:])
