"""A file that is being filled from another store: see `failsoft.ledger.receiving`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from failsoft.errors import LedgerInvalid
from failsoft.ledger.disk import make_private
from failsoft.ledger.locks import FileLock, LiveFile
from failsoft.ledger.receiving import TABLES, Row, check_alone
from failsoft.ledger.sqlite.schema import APPLICATION_ID, PAGE_SIZE, STATEMENTS, VERSION, differences
from failsoft.ledger.sqlite.store import address, configure, connect, refuse_beside_another


class FileReceiver:
    """A file of SQLite's. Made where there's none.

    Raises:
        LedgerInvalid: something else stands there, or what's left of another one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        with self._lock.held():
            if not path.exists():
                refuse_beside_another(path)
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

    def remember(self, emitters: Sequence[str]) -> None:
        """As any receiver: their live files, which nobody holds."""
        for each in emitters:
            LiveFile.hold(self._path, each).release(remove=False)

    def close(self) -> None:
        """As any receiver: what's in the write-ahead log moves into the file, if there's room; it's part of it anyway."""
        with self._lock.held():
            with suppress(sqlite3.Error):
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
