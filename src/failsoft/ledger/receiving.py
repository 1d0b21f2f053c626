"""A store that is being filled from another one: the same rows, the same bytes, no head until all of them are there.

Without its head a log isn't opened by anybody, so that a copy that was interrupted isn't written to. Run again, the copy
goes on where it ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from failsoft.errors import LedgerInvalid
from failsoft.ledger.disk import make_private
from failsoft.ledger.locks import FileLock
from failsoft.ledger.sqlite import address, configure, connect
from failsoft.ledger.sqlite_schema import APPLICATION_ID, PAGE_SIZE, STATEMENTS, VERSION, differences
from failsoft.ledger.store import Queries

Row = tuple[Any, ...]

TABLES = {
    "ledger_log": 5,
    "ledger_record": 11,
    "ledger_payload": 4,
    "ledger_subtree": 2,
    "ledger_artifact": 3,
    "ledger_checkpoint": 4,
    "ledger_head": 4,
}
"""What is received, and how many columns each has."""


class Receiver(Protocol):
    """A store that is being filled. Raises what stands in `failsoft.ledger.store.UNREADABLE`."""

    @property
    def queries(self) -> Queries:
        """To look at what is there."""
        ...

    def take(self, rows: dict[str, Sequence[Row]], after: int) -> None:
        """Rows by table, all or none.

        Args:
            rows: what is taken.
            after: how many records are there before.

        Raises:
            LedgerInvalid: others are there, or the whole copy: somebody else makes one at the same time.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def check_alone(queries: Queries, place: object, after: int) -> None:
    """Is there what this copy has put there, and nothing else? Inside the transaction that adds to it.

    Raises:
        LedgerInvalid: it isn't so.
    """
    query = "SELECT (SELECT count(*) FROM ledger_head), coalesce(max(seq), -1) + 1 FROM ledger_record"
    if tuple(queries.execute(query).fetchone()) != (0, after):
        raise LedgerInvalid(f"{place}: somebody else copies to it at the same time: look at it, and run this again")


class FileReceiver:
    """A file of SQLite's. Made where there's none.

    Raises:
        LedgerInvalid: something else stands there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        with self._lock.held():
            self.queries = connection = connect(address(path, "rwc"))
            try:
                if not connection.execute(
                    "SELECT 1 FROM sqlite_schema LIMIT 1"
                ).fetchone():  # new, or its maker was killed
                    _make(connection)
                    make_private(path)
                configure(connection)
                mark = connection.execute("PRAGMA application_id").fetchone()[0]
                if mark != APPLICATION_ID or differences(connection):
                    raise LedgerInvalid(f"{path}: something else than a copy of a ledger stands there")
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    def take(self, rows: dict[str, Sequence[Row]], after: int) -> None:
        """As any receiver."""
        with self._lock.held():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                check_alone(self.queries, self._path, after)
                for table, each in rows.items():
                    marks = ", ".join("?" * TABLES[table])
                    again = "OR IGNORE " if table == "ledger_artifact" else ""
                    query = f"INSERT {again}INTO {table} VALUES ({marks})"  # noqa: S608 -- our own names
                    self._connection.executemany(query, each)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """As any receiver: what's in the write-ahead log moves into the file."""
        with self._lock.held():
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._connection.close()
        self._lock.close()


def _make(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in STATEMENTS:
        connection.execute(statement)
    connection.execute("COMMIT")
