"""What was deleted from a table is on its pages until the server clears it away: having that done, and telling if it is.

A row stays for as long as somebody's look at the database is older than its end: a transaction of any role's, one that was
prepared, a replication slot, a standby that reports what it reads. Most of them are hidden from a role that is no superuser,
so they aren't asked for: how many dead rows it had to leave is what the server counts of each VACUUM.
"""

from __future__ import annotations

from failsoft.ledger.postgres.read import READ_SECONDS, Database
from failsoft.ledger.store import DatabaseFailed

TRIES = 5
"""Whoever writes meanwhile has a look that is as old, for a moment."""

PAUSE = 0.2
"""Seconds between them."""

_DONE = """SELECT sum(vacuum_count)::bigint, sum(n_dead_tup)::bigint FROM pg_catalog.pg_stat_all_tables
    WHERE relid IN (SELECT unnest(ARRAY[oid, reltoastrelid]) FROM pg_catalog.pg_class WHERE oid = ?::text::regclass)"""
"""How often it was done to a table and what's kept beside it, and how many dead rows are there."""


def clear_away(database: Database, table: str) -> bool:
    """Have what was deleted from a table cleared away, for as long as that takes.

    Returns:
        False: something of it may be there. Somebody's look is older, or the role may not: the server only warns then.
    """
    try:
        database.execute("SET statement_timeout = 0")
        database.connection.limit = READ_SECONDS
        for _ in range(TRIES):
            database.execute(
                "SELECT pg_stat_force_next_flush()"
            )  # what we deleted would be counted after it was cleared
            before, _ = database.execute(_DONE, (table,)).fetchone()
            database.execute(f"VACUUM {table}")
            times, left = database.execute(_DONE, (table,)).fetchone()
            if times == before or left == 0:
                return bool(times > before)
            database.execute("SELECT pg_sleep(?::float8)", (PAUSE,))
    except DatabaseFailed:
        return False
    return False
