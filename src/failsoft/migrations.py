"""Tables in a database shared by several versions of failsoft: steps forward only, applied once, checked at each start.

A *component* (the shared state; later the ledger) owns a list of steps. `failsoft.migration` remembers which were applied.
All steps that are missing are applied in one transaction, under a lock, so that of many processes starting at once one does
it. Nothing is ever undone: a database that's ahead of this code is refused, since what a later version means by its tables
isn't known here. Steps must leave the tables usable for the version before: processes are replaced one by one.

Whoever has no right to create tables can still start, where somebody else has created them. Whoever has none to create
schemas can create tables in one that's there: it's looked for first, since a server asks for the right before it looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from failsoft.errors import ConfigurationError

SCHEMA = "failsoft"

_LOCK = 0x6661_696C_736F_6674
"""Of PostgreSQL's advisory locks, ours."""

_HISTORY = """
DO $$ BEGIN IF to_regnamespace('failsoft') IS NULL THEN CREATE SCHEMA failsoft; END IF; END $$;
CREATE TABLE IF NOT EXISTS failsoft.migration (
    component text NOT NULL,
    version integer NOT NULL,
    applied timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (component, version)
)
"""

Execute = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]
"""Runs SQL with ``%s`` parameters and gives the rows, in autocommit mode; raises what the driver raises."""


def bring_up(execute: Execute, component: str, steps: Sequence[str], place: str) -> int:
    """Apply the steps that are missing. Gives how many were.

    Args:
        execute: on a connection of its own.
        component: whose steps.
        steps: from the first ever on; a step that was once released never changes.
        place: where the database is configured, for the error.

    Raises:
        ConfigurationError: the tables are those of a later version.
    """
    if _version(execute, component, steps, place) == len(steps):
        return 0
    execute("BEGIN ISOLATION LEVEL READ COMMITTED", ())  # what another process did is seen under the lock
    try:
        execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        execute(_HISTORY, ())
        done = _version(execute, component, steps, place)  # another process may have been first
        for number, step in enumerate(steps[done:], done + 1):
            execute(step, ())
            execute("INSERT INTO failsoft.migration (component, version) VALUES (%s, %s)", (component, number))
        execute("COMMIT", ())
    except BaseException:
        execute("ROLLBACK", ())
        raise
    return len(steps) - done


def _version(execute: Execute, component: str, steps: Sequence[str], place: str) -> int:
    if execute("SELECT to_regclass('failsoft.migration')", ()) == [(None,)]:
        return 0
    query = "SELECT coalesce(max(version), 0) FROM failsoft.migration WHERE component = %s"
    version: int = execute(query, (component,))[0][0]
    if version > len(steps):
        raise ConfigurationError(
            f"{place}: its tables for {component} are version {version}, and this failsoft knows {len(steps)}: "
            "upgrade it, or name another database"
        )
    return version
