"""A ledger in PostgreSQL, as it's written to. Everything here waits; one thread at a time.

Rules:

1. All who append hold one advisory lock of the log's, for the length of their transaction: commits queue there, and the
   head is read under it. No sequence numbers records: a rolled-back transaction would leave a hole.
2. A batch is copied in, the head moved by `ledger_advance`: the writer has no right to change or delete anything.
3. An error before COMMIT means rolled back. An error *of* COMMIT means unknown, unless the server said what's wrong with
   it and lives: one that dies of it (a PANIC) finds the commit in its own log again, maybe. Whoever tries again gets the
   lock only when the former transaction has ended, and finds its records by `rid`.
4. Who's alive holds a session advisory lock. It's lost with the connection, and taken again with the next one: meanwhile
   others may take the emitter for gone, and orphan its calls, which it ends all the same. So whoever orphans a call makes
   sure under the log's lock that it has no end by then: the lock by which it knew that is maybe lost, too.
5. Every command ends in time; a COPY's follows its size. A connection that saw an error isn't asked again.
6. A connection that is gone when a transaction is to begin is made anew, once: it was idle, and nothing hangs on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from attrs import frozen

from failsoft.errors import LedgerInvalid
from failsoft.ledger.checkpoints.head import Grown, Head
from failsoft.ledger.checkpoints.opening import (
    Anchored,
    beyond,
    check_log,
    planted,
    refuse_anew,
)
from failsoft.ledger.checkpoints.signer import Signer, publish, signed_head
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.postgres.clearing import clear_away
from failsoft.ledger.postgres.read import Database, lock_of
from failsoft.ledger.postgres.schema import differences
from failsoft.ledger.postgres.tables import set_up
from failsoft.ledger.postgres.transaction import BEGIN, SECONDS, begun, copy_in, transaction
from failsoft.ledger.records.record import Built
from failsoft.ledger.records.schema import FORMAT
from failsoft.ledger.store import (
    ENDED,
    FIND,
    NUMBERED,
    OPEN_CALLS,
    OPENING,
    PRUNE,
    AppendFailed,
    DatabaseFailed,
    Found,
    Life,
    OpenCall,
    Queries,
    orphans,
)
from failsoft.postgres import CONNECT_SECONDS
from failsoft.postgres_address import Address

FORGOTTEN = 1000
"""Payloads that are deleted at once."""

_RECORD = "COPY ledger_record FROM STDIN (FORMAT BINARY)"
_RECORD_TYPES = ("int8", "bytea", "bytea", "text", "int8", "text", "text", "text", "text", "text", "text")
_PAYLOAD = "COPY ledger_payload FROM STDIN (FORMAT BINARY)"
_PAYLOAD_TYPES = ("bytea", "bytea", "bytea", "bytea")

_HEAD = "SELECT size, frontier, sig, (SELECT coalesce(max(seq), -1) FROM ledger_record) FROM ledger_head"

LOOKED_AFTER = 500
"""Emitters that are gone and that one start looks after: each takes a lock, and a server has room for some thousands."""

_LIVE = "SELECT emitter FROM ledger_live WHERE emitter ~ '^[0-9a-f]{32}$'"
"""Whoever may write may write other lines there, too: they're nobody's."""

_ANYBODY = f"""SELECT EXISTS (SELECT FROM ({_LIVE}) AS live, pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted
    AND objsubid = 1 AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND classid::bigint << 32 | objid::bigint = ('x' || left(emitter, 16))::bit(64)::bigint)"""  # noqa: S608 -- our own
"""Does anybody hold the lock of one of these? Asked without taking one."""

_MISSING = f"""SELECT emitter FROM ({_LIVE}) AS live WHERE
    (SELECT type <> 'emitter.closed' FROM ledger_record AS r WHERE r.emitter = live.emitter ORDER BY eseq DESC LIMIT 1)
    ORDER BY 1 LIMIT 1"""  # noqa: S608 -- our own
"""One of those who opened the log, and didn't close it."""


class NoSpare:
    """A server keeps its own reserves."""

    def fill(self) -> bool:
        """There's nothing to take."""
        return True

    def spend(self) -> bool:
        """There's nothing to give up."""
        return False


_SETTINGS = """SELECT current_setting('server_version'),
    set_config('idle_in_transaction_session_timeout', '5s', false),
    set_config('tcp_user_timeout', '20s', false),
    set_config('tcp_keepalives_idle', '10s', false),
    set_config('tcp_keepalives_interval', '5s', false),
    set_config('tcp_keepalives_count', '2', false)"""
"""A host that's frozen or cut off within a transaction has the lock that all write under: it loses it, not they theirs."""


class LedgerDatabase:
    """One schema of a database that holds a log: a `failsoft.ledger.store.Store`. The constructor touches nothing.

    Args:
        address: of the database.
        signer: signs each head; None where the log isn't signed.
        anchored: the newest checkpoints that anchors show, as it's opened.
        seconds: that a command may take.
    """

    def __init__(
        self,
        address: Address,
        signer: Signer | None = None,
        anchored: Anchored = tuple,
        seconds: float = SECONDS,
    ) -> None:
        self.address = address
        self.origin = ""
        self.signer = signer
        self.spare = NoSpare()
        self.swept: Sequence[str] = ()
        self.lib: Mapping[str, str] = {}
        self._anchored = anchored
        self._seconds = seconds
        self._database: Database | None = None
        self._head = Head(signer)
        self._emitter: str | None = None

    @property
    def name(self) -> str:
        """Its address, without a password."""
        return str(self.address)

    @property
    def label(self) -> str:
        """The database's name."""
        return self.address.database or "failsoft"

    @property
    def log(self) -> str:
        """As any store."""
        return str(self._open_database().execute(OPENING).fetchone()[0].hex())

    @property
    def found(self) -> Found | None:
        """As any store."""
        return self._head.found

    @property
    def unsigned(self) -> bool:
        """Has nobody signed the log so far?"""
        return self._head.unsigned

    @property
    def is_open(self) -> bool:
        """Is there a connection?"""
        return self._database is not None

    @property
    def spooling(self) -> bool:
        """Nothing waits for anything."""
        return False

    def held(self) -> contextlib.AbstractContextManager[None]:
        """What must not meet another process's is done under the server's own locks."""
        return contextlib.nullcontext()

    def vet(self) -> None:
        """A server is as good as whoever runs it."""

    def open(self, found: Callable[[], Sequence[Built]]) -> bool:
        """As any store."""
        database = Database.at(self.address, self._seconds)
        try:
            set_up(database)
            version = database.execute(_SETTINGS).fetchone()[0]
            self.lib = {"postgresql": str(version)[:64]}
            with transaction(database):
                # The founder's lock first: two processes that found at once would give the log two names.
                database.execute("SELECT pg_advisory_xact_lock(hashtext(?))", (f"failsoft {self.address.schema}",))
                made = database.execute("SELECT 1 FROM ledger_log").fetchone() is None
                if made:
                    self._make(database, found)
                self._check(database)
            if self._emitter is not None:
                self._show(database, self._emitter)
        except BaseException:
            database.close()
            raise
        self._database = database
        return made

    def append(self, batch: Sequence[Built], *, doubtful: bool = False) -> int:
        """As any store."""
        committing = False
        try:
            with self._transaction(commit=False) as database:
                self._lock(database)
                if doubtful and (at := _find(database, batch)) is not None:
                    database.execute("ROLLBACK")
                    return at
                if (calls := orphans(batch)) and database.execute(
                    f"{ENDED} = ANY(?) LIMIT 1", (calls,)
                ).fetchone() is not None:
                    raise AppendFailed("a call of whoever was gone has its end by now", stale=True)
                grown = self._insert(database, batch)
                committing = True
                database.execute("COMMIT")
        except DatabaseFailed as error:
            raise AppendFailed(str(error), unknown=committing and error.unknown, away=error.away) from error
        except (OverflowError, ValueError) as error:
            raise AppendFailed(f"{type(error).__name__}: {error}") from error
        self._head.committed(grown)
        return grown.first

    def tidy(self) -> None:
        """The server does."""

    def seconds(self) -> None:
        """As any store: nothing waits."""

    def publish(self) -> tuple[int, bytes]:
        """As any store."""
        assert self.signer is not None
        with self._transaction() as database:
            self._lock(database)
            return publish(database, self.signer)

    def signed_by(self, key: SigningKey) -> bool:
        """As any store."""
        size, data, sig = self._open_database().execute("SELECT size, frontier, sig FROM ledger_head").fetchone()
        return signed_head(key, Frontier.from_bytes(size, data), sig)

    def open_calls(self, emitter: str) -> Iterator[OpenCall]:
        """As any store."""
        return (OpenCall(*row) for row in self._open_database().execute(OPEN_CALLS, (emitter,)))

    def ended(self, calls: Sequence[str]) -> set[str]:
        """As any store."""
        with self._transaction() as database:
            return {call for (call,) in database.execute(f"{ENDED} = ANY(?)", (list(calls),))}

    def hold(self, emitter: str) -> Life:
        """As any store. Shown again by each later connection."""
        self._show(self._open_database(), emitter)
        self._emitter = emitter
        return _Shown(self, emitter)

    def gone(self, own: str) -> Iterator[tuple[str, Life]]:
        """As any store: those whose lock can be taken, and not more than one start can look after."""
        database = self._open_database()
        live = (emitter for (emitter,) in database.execute(f"{_LIVE} AND emitter <> ? ORDER BY 1", (own,)))
        for emitter in islice((each for each in live if _free(database, each)), LOOKED_AFTER):
            yield emitter, _Shown(self, emitter, database)

    def forget(self, digests: Sequence[bytes]) -> bool:
        """As any store: rows are deleted, and cleared away. The server's own log has them still.

        Returns:
            False also where the role may delete rows and not clear them away.
        """
        database = self._open_database()
        for at in range(0, len(digests), FORGOTTEN):
            chunk = list(digests[at : at + FORGOTTEN])
            database.execute("DELETE FROM ledger_payload WHERE digest = ANY(?)", (chunk,))
        return clear_away(database, "ledger_payload")

    def prune(self, last: int) -> bool:
        """As any store; as `forget`."""
        database = self._open_database()
        for at in reversed(range(0, last + 1, FORGOTTEN)):
            database.execute(PRUNE, (at, min(at + FORGOTTEN - 1, last)))
        return clear_away(database, "ledger_record")

    def answers(self) -> None:
        """As of a store that spools."""
        Database.at(self.address, CONNECT_SECONDS).close()

    def alive(self, emitter: str) -> bool:
        """As of a store that spools."""
        return bool(self._open_database().alive(emitter))

    def has(self, emitter: str, number: int) -> bool:
        """As of a store that spools."""
        return self._open_database().execute(NUMBERED, (emitter, number)).fetchone() is not None

    def anybody(self) -> bool:
        """As any store."""
        database = Database.at(self.address, self._seconds)
        try:
            if "ledger_live" not in _tables(database):
                return False
            return bool(database.execute(_ANYBODY).fetchone()[0])
        finally:
            database.close()

    def missing(self) -> str | None:
        """As any store: whose session was cut while they had nothing to write is there all the same."""
        row = self._open_database().execute(_MISSING).fetchone()
        return None if row is None else str(row[0])

    def before_fork(self) -> None:
        """As any store: the parent keeps its connection. With it, it would lose the lock by which others know that it's
        alive, until it has something to write: the child itself would take its calls for orphans.
        """

    def after_fork_in_child(self) -> None:
        """As any store."""
        database, self._database = self._database, None
        if database is not None:
            database.disown()

    def close(self) -> None:
        """Let go of the connection, and of every lock with it."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def let_go(self, emitter: str, *, remove: bool) -> None:
        """An emitter ended, or was looked after. Without a connection its lock is gone already."""
        if emitter == self._emitter:
            self._emitter = None
        if self._database is None:
            return
        with contextlib.suppress(DatabaseFailed):
            if remove:
                self._database.execute("SELECT ledger_left(?)", (emitter,))
            self._database.execute("SELECT pg_advisory_unlock(?::bigint)", (lock_of(emitter),))

    def is_on(self, database: Database) -> bool:
        """Is this its connection still?"""
        return self._database is database

    # --- inside -------------------------------------------------------------------------------------------------------

    def _open_database(self) -> Database:
        if self._database is None:
            raise AppendFailed("the ledger's database is not open")
        return self._database

    @contextlib.contextmanager
    def _transaction(self, *, commit: bool = True) -> Iterator[Database]:
        """A transaction, on a connection that's made anew where the former one turns out to be gone as it begins.

        A batch is appended once all the same: the command that failed was the BEGIN, before which nothing of the batch was
        sent, and what a server may have begun by it holds nothing and ends with its connection. Of one that's lost any
        later, or that only doesn't answer, nothing is tried here.
        """
        database = self._open_database()
        try:
            database.execute(BEGIN)
        except DatabaseFailed:
            if not database.connection.closed or not self._head.known.size:
                raise
            database = self._reopened()
            database.execute(BEGIN)
        with begun(database, commit=commit):
            yield database

    def _reopened(self) -> Database:
        """By what this process committed it's known to be the same log."""
        origin = self.origin
        self.close()
        self.open(list)
        if self.origin != origin:
            self.close()
            raise LedgerInvalid(f"{self.name}: this is the log of {self.origin!r} by now, not of {origin!r}")
        return self._open_database()

    def _make(self, database: Database, found: Callable[[], Sequence[Built]]) -> None:
        refuse_anew(self.name, self.signer, self._anchored)
        batch = found()
        if not batch:
            raise LedgerInvalid(f"{self.name}: there is no ledger in this database")
        key = None if self.signer is None else str(self.signer.key.verifier)
        line = (self.origin, FORMAT, batch[0].ts, key)
        database.execute("INSERT INTO ledger_log VALUES (0, ?, ?, ?, ?)", line)
        database.execute("INSERT INTO ledger_head VALUES (0, 0, '', NULL)")
        self._insert(database, batch)

    def _check(self, database: Database) -> None:
        if wrong := differences(database):
            raise LedgerInvalid(f"{self.name}: {'; '.join(wrong[:5])}: run `failsoft verify` on it")
        try:
            row = database.execute("SELECT origin FROM ledger_log").fetchone()
            self._lock(database, row[0])
            found = check_log(database, self.name, self.signer, self._anchored, self._head.known)
        except (TypeError, ValueError) as error:  # a column of a damaged log holds what it can't
            raise LedgerInvalid(f"{self.name}: the log is damaged ({type(error).__name__})") from None
        self._head.opened(found)
        self.origin = found.origin

    def _lock(self, database: Database, origin: str | None = None) -> None:
        database.execute("SELECT pg_advisory_xact_lock(hashtext(?))", (origin or self.origin,))

    def _insert(self, database: Database, batch: Sequence[Built]) -> Grown:
        *head, last = database.execute(_HEAD).fetchone()
        grown = self._head.grow(tuple(head), batch)
        if wrong := beyond(grown.first, last):
            raise AppendFailed(wrong)
        if grown.blocks and (wrong := planted(database, grown.first, grown.blocks[-1][0])):
            raise AppendFailed(f"{wrong}: run `failsoft verify` on it, and have the tables' owner take it out")
        copy_in(
            database,
            _RECORD,
            _RECORD_TYPES,
            (
                (seq, r.leaf, r.body, r.emitter, r.eseq, r.rid, r.kind.value, r.ts, r.call_id, r.case_id, r.capability)
                for seq, r in enumerate(batch, grown.first)
            ),
            sum(len(r.body) for r in batch),
        )
        if payloads := [each for r in batch for each in r.payloads]:
            copy_in(database, _PAYLOAD, _PAYLOAD_TYPES, payloads, sum(len(each[-1]) for each in payloads))
        for artifact in [each for r in batch for each in r.artifacts]:
            database.execute("INSERT INTO ledger_artifact VALUES (?, ?, ?) ON CONFLICT DO NOTHING", artifact)
        for block in grown.blocks:
            database.execute("INSERT INTO ledger_subtree VALUES (?, ?)", block)
        frontier = grown.frontier
        database.execute(
            "SELECT ledger_advance(?::bigint, ?::bigint, ?, ?)",
            (grown.first, frontier.size, frontier.to_bytes(), grown.signature),
        )
        return grown

    def _show(self, database: Database, emitter: str) -> None:
        database.execute("SELECT pg_advisory_lock(?::bigint)", (lock_of(emitter),))
        database.execute("INSERT INTO ledger_live VALUES (?) ON CONFLICT DO NOTHING", (emitter,))


@frozen
class _Shown:
    """An emitter's lock; another one's was taken on a connection."""

    store: LedgerDatabase
    emitter: str
    taken_on: Database | None = None

    def release(self, *, remove: bool) -> None:
        """As any life. Of another one's only on the connection that took its lock: since that was lost they may have been
        here again, and left for good; the next start looks.
        """
        if self.taken_on is None or self.store.is_on(self.taken_on):
            self.store.let_go(self.emitter, remove=remove)


def _find(database: Queries, batch: Sequence[Built]) -> int | None:
    row = database.execute(FIND, (batch[0].emitter, batch[0].eseq, batch[0].leaf)).fetchone()
    return None if row is None else int(row[0])


def _free(database: Database, emitter: str) -> bool:
    """Take an emitter's lock, if nobody has it. It's given back with the connection, at the latest."""
    return bool(database.execute("SELECT pg_try_advisory_lock(?::bigint)", (lock_of(emitter),)).fetchone()[0])


def _tables(database: Database) -> set[str]:
    row = database.execute("SELECT to_regclass('ledger_live')::text").fetchone()
    return set() if row[0] is None else {"ledger_live"}
