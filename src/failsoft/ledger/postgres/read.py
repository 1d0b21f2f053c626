"""A ledger in PostgreSQL, read at one moment while others write to it. Nothing here writes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Self, cast

import psycopg

from failsoft.errors import LedgerInvalid
from failsoft.ledger.postgres.schema import STEPS, TABLES, component, differences
from failsoft.ledger.store import TAMPERED, UNREADABLE, UNUSABLE, DatabaseFailed, PayloadRow, Rows, refusal
from failsoft.postgres import Bounded, disown, reason, unreachable
from failsoft.postgres import connect as connect_to
from failsoft.postgres_address import Address

READ_SECONDS = 600.0
"""What a query may take: one that looks at a large log takes its time."""

FETCHED = 500
"""Rows of a long result that are in memory."""

LEEWAY = 1.0
"""Seconds that a command may take at the server beyond what we wait for it."""

_SESSION = """SELECT set_config('search_path', ?, false),
    CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END,
    set_config('lock_timeout', '0', false), set_config('idle_session_timeout', '0', false),
    set_config('standard_conforming_strings', 'on', false), set_config('quote_all_identifiers', 'off', false),
    (SELECT set_config('statement_timeout', least(nullif(setting::bigint, 0), ?::bigint)::text, false)
        FROM pg_catalog.pg_settings WHERE name = 'statement_timeout')"""
"""What's on record is durable, though the role or the database says that a commit needn't be; how far a standby must have it
is the server's own business. A command that nobody waits for any more, for a lock that somebody keeps say, ends; but who
waits for their turn isn't refused, nor is one ended who has nothing to write: with the session goes what shows that they're
alive. And definitions are written as the published ones are.
"""

PREPARE = "`failsoft ledger prepare`"
"""What an owner makes tables by, and brings them up to this version."""

_NAMED = re.compile(rb'"digest":"([0-9a-f]{64})"')
_DAMAGED = ("XX001", "XX002")
_AWAY = ("08", "53", "57", "58")  # connection, resources, operator, system: PostgreSQL's manual, appendix A
_ENDED = ("25P03", "25P04")  # by a limit of time; the session with it
_DIES = ("FATAL", "PANIC")  # the session ended, or the server did: maybe after the command took effect
_NOT_NOW = ("25006", "55P03", *_ENDED)  # it takes no writes, being a standby after a failover say; somebody has a lock


class Database:
    """A connection that speaks the SQL of `failsoft.ledger.store`, and raises what that names.

    Args:
        connection: whose tables are found by their bare names.
        address: where that is.
    """

    def __init__(self, connection: Bounded, address: Address) -> None:
        self.connection = connection
        self.address = address

    @classmethod
    def at(cls, address: Address, seconds: float) -> Self:
        """Connect.

        Args:
            address: where.
            seconds: that a command may take.

        Raises:
            DatabaseFailed: it can't be reached, or doesn't let us in.
        """
        try:
            connection = connect_to(address.url, seconds)
        except psycopg.Error as error:
            raise failed(error, unreachable(error)) from None
        database = cls(connection, address)
        database.execute(_SESSION, (f"{address.schema}, pg_temp", int((seconds + LEEWAY) * 1000)))
        return database

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Rows:
        """As any store's; results come as the server's own bytes."""
        text = query.replace("%", "%%").replace("?", "%s") if values else query
        try:
            return self.connection.execute(text.encode(), values or None, binary=True)
        except psycopg.Error as error:
            raise failed(error) from None

    def alive(self, emitter: str) -> bool | None:
        """Is this emitter's process there? By the lock that it holds; None on a standby, which has none of those."""
        row = self.execute(
            "SELECT pg_catalog.pg_is_in_recovery(), EXISTS (SELECT FROM pg_catalog.pg_locks"
            " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
            " AND classid::bigint = ? AND objid::bigint = ?)",
            divmod(lock_of(emitter) % 2**64, 2**32),
        ).fetchone()
        return None if row[0] else bool(row[1])

    def close(self) -> None:
        """Without a word where the server isn't there any more."""
        self.connection.close()

    def disown(self) -> None:
        """In a forked child: see `failsoft.postgres.disown`."""
        disown(self.connection)


def failed(error: psycopg.Error, otherwise: str = "the connection was lost") -> DatabaseFailed:
    """What may be said of a driver's error."""
    kind = "08" if error.sqlstate is None else error.sqlstate[:2]  # connection exceptions have none where there's none
    severity = error.diag.severity_nonlocalized
    return DatabaseFailed(
        reason(error, otherwise),
        damaged=error.sqlstate in _DAMAGED,
        unknown=kind in ("08", "57") or error.sqlstate in ("40003", *_ENDED) or severity in _DIES,
        away=kind in _AWAY or error.sqlstate in _NOT_NOW or severity == "PANIC",
    )


class PostgresSource(Database):
    """A connection to a ledger for reading: a `failsoft.ledger.store.Source`."""

    hint_rows = ""
    hint_calls = ""
    _cursors = 0

    def begin(self) -> None:
        """As any source."""
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def end(self) -> None:
        """As any source."""
        self.execute("COMMIT")

    def stream(self, query: str, values: Sequence[Any] = (), /) -> Iterator[tuple[Any, ...]]:
        """As any source, inside a transaction: by a cursor of the server's."""
        self._cursors += 1
        name = f"failsoft_{self._cursors}"
        self.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {query}", values)
        return self._fetched(name)

    def _fetched(self, name: str) -> Iterator[tuple[Any, ...]]:
        while rows := self.execute(f"FETCH FORWARD {FETCHED} FROM {name}").fetchall():
            yield from rows
        self.execute(f"CLOSE {name}")

    def tables(self) -> set[str]:
        """As any source."""
        found = self.execute(
            "SELECT relname::text FROM pg_catalog.pg_class WHERE relkind = 'r' AND pg_catalog.pg_table_is_visible(oid)"
            " AND relnamespace = to_regnamespace(current_schema())"
        )
        return {name for (name,) in found}

    def examine(self, *, quickly: bool = False) -> Iterator[tuple[int, str]]:
        """Schema and tables; how the server keeps them is its own business."""
        for wrong in differences(self):
            yield TAMPERED, f"{self.address}: {wrong}"
        if lost := set(TABLES[:6]) - self.tables():
            yield UNUSABLE, f"{self.address}: {', '.join(sorted(lost))} can't be read"

    def payloads(self) -> PayloadsAhead:
        """As any source."""
        return PayloadsAhead(self)


class PayloadsAhead:
    """Payloads of some records at once, where one look-up for each would cost a way to the server."""

    def __init__(self, source: PostgresSource) -> None:
        self._source = source
        self._ahead: dict[bytes, PayloadRow] = {}

    def expect(self, bodies: Sequence[bytes]) -> None:
        """As any source's. What a record names is guessed from its bytes: who's wrong looks up more, or later."""
        named = ",".join(rf'"\\x{each.decode()}"' for body in bodies for each in _NAMED.findall(body))
        query = "SELECT digest, dek, nonce, data FROM ledger_payload WHERE digest = ANY(?::bytea[])"
        rows = self._source.execute(query, (f"{{{named}}}",))  # a text: to have a list turned into one costs more
        self._ahead = {row[0]: row[1:] for row in rows}

    def get(self, digest: bytes) -> PayloadRow | None:
        """As any source's."""
        if digest in self._ahead:
            return self._ahead[digest]
        row = self._source.execute("SELECT dek, nonce, data FROM ledger_payload WHERE digest = ?", (digest,)).fetchone()
        return cast("PayloadRow | None", row)


def connect(address: Address) -> PostgresSource:
    """A connection to a ledger, for reading.

    Raises:
        LedgerInvalid: there's none, or it can't be read.
    """
    try:
        source = PostgresSource.at(address, READ_SECONDS)
    except DatabaseFailed as error:
        raise refusal(error)(f"{address}: {error}") from None
    try:
        source.execute("SET default_transaction_read_only = on")
        version = version_of(source, address.schema)
        if version == 0:
            raise LedgerInvalid(f"{address}: there is no ledger in this database")
        if version != len(STEPS):
            way_out = "upgrade it" if version > len(STEPS) else f"their owner brings them up ({PREPARE})"
            raise LedgerInvalid(
                f"{address}: its tables are version {version}, and this failsoft reads {len(STEPS)}: {way_out}"
            )
    except UNREADABLE as error:
        source.close()
        raise refusal(error)(f"{address}: it can't be read ({error})") from None
    except LedgerInvalid:
        source.close()
        raise
    return source


def same_log(one: Address, other: Address) -> str | None:
    """The log's name, where both addresses lead to the same tables; None where they don't. By a lock that a connection holds
    and the other can't have: a database that was copied has all that the first one has, but not that.

    Raises:
        LedgerInvalid: there's no ledger at one of them, or it can't be read.
    """
    with closing(connect(other)) as there, closing(connect(one)) as here:
        try:
            lock = (secrets.randbits(62),)
            there.execute("SELECT pg_advisory_lock(?::bigint)", lock)
            is_other = here.execute("SELECT pg_try_advisory_lock(?::bigint)", lock).fetchone()[0]
            if is_other or one.schema != other.schema:
                return None
            row = here.execute("SELECT origin FROM ledger_log").fetchone()
        except UNREADABLE as error:
            raise refusal(error)(f"{one}: it can't be read ({error})") from None
    return None if row is None else str(row[0])


def version_of(database: Database, schema: str) -> int:
    """Of the tables in this schema; 0 where there are none."""
    if database.execute("SELECT to_regclass('failsoft.migration')::text").fetchone()[0] is None:
        return 0
    row = database.execute(
        "SELECT coalesce(max(version), 0) FROM failsoft.migration WHERE component = ?", (component(schema),)
    ).fetchone()
    return int(row[0])


def lock_of(emitter: str) -> int:
    """The number of the advisory lock that an emitter holds."""
    return int.from_bytes(bytes.fromhex(emitter)[:8], "big", signed=True)
