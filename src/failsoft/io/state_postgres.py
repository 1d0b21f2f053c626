"""Shared state in PostgreSQL: for processes on several hosts. Needs the extra `postgres`.

One connection for each process, used by one thread (`failsoft.io.sharing`). It LISTENs, so a peer's word comes at once and
nothing is polled but the connection's own health. A fact is one row. The database merges: the row-wise comparison of
(epoch, rank, body) is the order of `failsoft.core.shared`, and `COLLATE "C"` compares text as Python does. It grants leases,
by its own clock, in one statement each. Every command has a time limit *here*: a paused server answers nothing, and would
never notice its own.

What a driver's error says is never passed on: an address may hold a password.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import conninfo

from failsoft.core.shared import BOUND, LONGEST_BODY, Fact, Facts, LeaseAsk, Seen, StateLost, leased, sound
from failsoft.migrations import bring_up
from failsoft.postgres import Bounded, connect, reason

SET_UP_SECONDS = 5.0
"""For the tables to be looked at, or made: another process may be at it."""

CHANNEL = "failsoft_state"

STEPS = (
    """
    CREATE TABLE failsoft.state (
        scope text NOT NULL,
        name text NOT NULL,
        epoch bigint NOT NULL,
        rank bigint NOT NULL,
        body text COLLATE "C" NOT NULL,
        PRIMARY KEY (scope, name)
    )
    """,
)
"""The tables, step by step: see `failsoft.migrations`."""

_ODD = f"""(
    s.epoch NOT BETWEEN 0 AND {BOUND - 1} OR s.rank NOT BETWEEN 0 AND {BOUND - 1}
    OR length(s.body) > {LONGEST_BODY} AND NOT starts_with(s.name, 'block/')
)"""
"""What isn't `failsoft.core.shared.sound`: overwritten as if it weren't there."""

_MERGE = """
WITH given AS (
    SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[]) AS g (name, epoch, rank, body)
), kept AS (
    INSERT INTO failsoft.state AS s (scope, name, epoch, rank, body)
    SELECT %s, name, epoch, rank, body FROM given ORDER BY name
    ON CONFLICT (scope, name) DO UPDATE SET epoch = EXCLUDED.epoch, rank = EXCLUDED.rank, body = EXCLUDED.body
    WHERE (EXCLUDED.epoch, EXCLUDED.rank, EXCLUDED.body) > (s.epoch, s.rank, s.body) OR ODD
    RETURNING 1
)
SELECT pg_notify('failsoft_state', %s) FROM (SELECT 1 FROM kept LIMIT 1) AS anything
""".replace("ODD", _ODD)
"""In the order of the names: two that merge the same rows at once don't wait for each other in a circle."""

_LEASE = """
WITH clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms)
INSERT INTO failsoft.state AS s (scope, name, epoch, rank, body)
SELECT %(scope)s, %(name)s, %(floor)s + 1, ms + %(lasting)s, %(body)s FROM clock
ON CONFLICT (scope, name) DO UPDATE SET
    epoch = CASE WHEN ODD THEN EXCLUDED.epoch
            WHEN s.body = EXCLUDED.body AND s.rank > EXCLUDED.rank - %(lasting)s THEN s.epoch
            ELSE greatest(s.epoch + 1, EXCLUDED.epoch) END,
    rank = EXCLUDED.rank,
    body = EXCLUDED.body
WHERE s.rank <= EXCLUDED.rank - %(lasting)s OR s.body = EXCLUDED.body OR s.rank > EXCLUDED.rank + %(lasting)s
    OR ODD
""".replace("ODD", _ODD)
"""As `failsoft.core.shared.leased`."""

_ALL = """
SELECT clock.ms, s.name, s.epoch, s.rank, s.body
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms) AS clock
LEFT JOIN failsoft.state AS s ON s.scope = %s
"""

_PAST = "DELETE FROM failsoft.state WHERE scope = %s AND name LIKE '%%/day/%%' AND epoch < %s"

_inherited: list[object] = []
"""A parent's connections, in a forked child: never closed here, since that would end the parent's."""


class PostgresStore:
    """A store of shared state in a PostgreSQL database.

    Args:
        url: ``postgresql://…``; may hold a password.
        scope: processes of one scope share.
        timeout: seconds that a command may take.
    """

    kind = "postgresql"
    always = True

    def __init__(self, url: str, scope: str, timeout: float) -> None:
        self._url = url
        self._scope = scope
        self._timeout = timeout
        self._connection: Bounded | None = None
        self._told = False
        self._pipe = _pipe()

    def open(self) -> None:
        """Connect, make the tables where they're missing, and listen."""
        self._connection = None
        try:
            connection = connect(self._url, SET_UP_SECONDS)
        except psycopg.Error as error:
            raise _lost(error, "can't be reached") from None
        self._connection = connection
        connection.add_notify_handler(self._hear)
        try:
            bring_up(self._execute, "state", STEPS, "state.url")
            self._execute("LISTEN failsoft_state", ())
            self._execute(_PAST, (self._scope, int(time.time()) // 86_400 - 2))
        except BaseException:
            self.close()
            raise
        connection.limit = self._timeout

    def exchange(self, facts: Facts, asks: Iterable[LeaseAsk]) -> Seen:
        """As any store."""
        if facts:
            rows = [(name, each.epoch, each.rank, each.body) for name, each in facts.items()]
            self._execute(_MERGE, (*map(list, zip(*rows, strict=True)), self._scope, self._scope))
        for ask in asks:
            body = leased(None, ask, 0)
            assert body is not None
            said = {"name": ask.name, "floor": ask.floor, "lasting": ask.lasting_ms, "body": body.body}
            self._execute(_LEASE, {"scope": self._scope, **said})
        found = self._execute(_ALL, (self._scope,))
        return Seen(found[0][0], sound({row[1]: Fact(*row[2:]) for row in found if row[1] is not None}))

    def wait(self, seconds: float | None) -> bool:
        """Until a peer notifies, `wake` is called, or so many seconds have passed."""
        connection = self._connection
        assert connection is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe[0], selectors.EVENT_READ)
            selector.register(connection.pgconn.socket, selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select(0 if self._told else seconds)}
        if self._pipe[0] in ready:
            os.read(self._pipe[0], 4_096)
        if ready - {self._pipe[0]}:
            self._read(connection)
        told, self._told = self._told, False
        return told

    def wake(self) -> None:
        """From any thread."""
        with suppress(BlockingIOError):  # it's been woken often enough
            os.write(self._pipe[1], b"!")

    def close(self) -> None:
        """Without a word where the server isn't there any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def after_fork(self) -> None:
        """In the child: connection and pipe are the parent's."""
        _inherited.append(self._connection)
        self._connection = None
        _close(self._pipe)
        self._pipe = _pipe()

    def __del__(self) -> None:
        _close(self._pipe)

    def _execute(self, query: str, arguments: Sequence[object] | dict[str, object]) -> list[tuple[Any, ...]]:
        connection = self._connection
        if connection is None:
            raise StateLost("can't be reached")
        try:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as error:
            raise _lost(error, "the connection was lost") from None

    def _read(self, connection: Bounded) -> None:
        try:
            connection.pgconn.consume_input()
            while (heard := connection.pgconn.notifies()) is not None:
                self._hear_payload(heard.extra.decode(), heard.be_pid)
        except psycopg.Error as error:
            raise _lost(error, "the connection was lost") from None

    def _hear(self, notify: psycopg.Notify) -> None:
        self._hear_payload(notify.payload, notify.pid)

    def _hear_payload(self, scope: str, pid: int) -> None:
        assert self._connection is not None
        self._told |= scope == self._scope and pid != self._connection.info.backend_pid


def problem(url: str) -> str | None:
    """What's wrong with an address; never shows it."""
    try:
        conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        return 'is no address of a PostgreSQL database, such as "postgresql://host/database"'
    return None


def _lost(error: psycopg.Error, otherwise: str) -> StateLost:
    return StateLost(reason(error, otherwise))


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    for each in ends:
        os.set_blocking(each, False)
    return ends


def _close(ends: tuple[int, int]) -> None:
    for each in ends:
        os.close(each)
