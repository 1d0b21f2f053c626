"""Transactions, and rows that are copied in within one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from failsoft.ledger.postgres.read import LEEWAY, Database, failed
from failsoft.ledger.store import DatabaseFailed

SECONDS = 10.0
"""What a command may take, the wait for other writers included."""

SLOWEST = 128 * 1024
"""Bytes a second that a line carries, at least: a COPY of many may take as long as they take on such a one."""

ON_THE_WAY = 4 * 2**20
"""Bytes that are sent and may not have arrived. For more than these nobody waits: a server that hangs is noticed by them."""

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""What's read under a lock is as it is then, whatever the role's own level: of one moment, it would be as it was before the
wait.
"""

_PATIENT = """SELECT set_config('statement_timeout', least(nullif(reset_val::bigint, 0), ?::bigint)::text, true)
    FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'"""
"""To the end of the transaction, unless the role's own is shorter."""


@contextlib.contextmanager
def transaction(database: Database) -> Iterator[None]:
    """Rolled back on any error; committed at the end."""
    database.execute(BEGIN)
    with begun(database):
        yield


@contextlib.contextmanager
def begun(database: Database, *, commit: bool = True) -> Iterator[None]:
    """The rest of a transaction: rolled back on any error; committed at the end, unless that's done inside."""
    try:
        yield
        if commit:
            database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(DatabaseFailed):
            database.execute("ROLLBACK")
        raise


def copy_in(database: Database, statement: str, types: Sequence[str], rows: Any, size: int) -> None:
    """Run a COPY with these rows, inside a transaction. It's given time by their size."""
    connection, usual = database.connection, database.connection.limit
    if size > usual * SLOWEST:
        database.execute(_PATIENT, (int((size / SLOWEST + LEEWAY) * 1000),))
        connection.limit = max(usual, min(size, ON_THE_WAY) / SLOWEST)
    try:
        with connection.cursor().copy(statement.encode()) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise failed(error) from None
    finally:
        connection.limit = usual
