"""A ledger's file in SQLite: making, checking, appending. Everything here waits; one thread at a time.

Rules, each of which was seen to matter:

1. Every commit, checkpoint and close happens under the lock of ``<file>.lock``: no two connections ever checkpoint at once
   (the WAL-reset bug of SQLite 3.7.0 to 3.51.2 needs that), and nobody busy-retries.
2. This process never opens the database or its WAL by any other way than SQLite: closing any descriptor of a file drops
   all of the process's POSIX locks on it, and SQLite's are of that kind.
3. A new ledger is made aside and moved into place: an empty file is never a ledger that was just being made.
4. The head is read anew in each transaction; it may never be smaller than what this process committed, or of its size
   and different.
5. The connection that writes has in memory what it needs, and wouldn't notice what becomes of the file: after each
   checkpoint, and as it's closed, another one reads a part of it.
6. An error before COMMIT means rolled back. An error *of* COMMIT means unknown, unless SQLite says that it gave up
   before the last frame (full, busy, read-only).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path

from failsoft.errors import LedgerInvalid
from failsoft.ledger.checkpoints.head import Grown, Head
from failsoft.ledger.checkpoints.opening import check_log, planted, refuse_anew
from failsoft.ledger.checkpoints.signer import Signer, publish, signed_head
from failsoft.ledger.disk import BALLAST, Ballast, make_private, network_file_system, sync_folder
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.locks import FileLock, LiveFile, anybody
from failsoft.ledger.records.record import Built
from failsoft.ledger.records.schema import FORMAT
from failsoft.ledger.sqlite.look import Look
from failsoft.ledger.sqlite.schema import APPLICATION_ID, PAGE_SIZE, STATEMENTS, VERSION, differences
from failsoft.ledger.store import ENDED, FIND, LEFT_OPEN, OPEN_CALLS, OPENING, PRUNE, AppendFailed, Found, OpenCall

Connect = Callable[[str], sqlite3.Connection]

CHECKPOINT_PAGES = 1024
"""Pages of 8 KiB, as estimated, that the write-ahead log may hold before it's moved into the database. Counted in pages, not
in bytes of records: a commit of one small record writes some ten, and a log without a bound fills the disk by itself."""

FORGOTTEN = 1000
"""Payloads that are deleted at once: writers wait meanwhile."""

_MOVE = "PRAGMA wal_checkpoint(PASSIVE)"
"""After each of these steps: all that's overwritten goes through the write-ahead log, which would become as long."""

DAMAGED = "what was committed isn't in the file any more: run `failsoft verify` on it"

_FULL = {sqlite3.SQLITE_FULL}
_NOT_COMMITTED = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY}


OPEN_SECONDS = 10.0
"""What opening a file waits for its lock. Whoever has it open waits for as long as it takes: calls don't wait for that."""


def connect(uri: str) -> sqlite3.Connection:
    """A connection in autocommit mode, usable from whichever thread holds the ledger's lock."""
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=1.0)


def address(path: Path, mode: str) -> str:
    """The URI of a database file, with everything escaped that a path may contain."""
    return f"{path.absolute().as_uri()}?mode={mode}"


class LedgerFile:
    """One SQLite file that holds a log: a `failsoft.ledger.store.Store`. The constructor touches nothing.

    Args:
        path: the database.
        connect: makes a connection from a URI: the seam where tests put faults.
        signer: signs each head; None where the log isn't signed.
        anchored: the newest checkpoints that anchors show, as the file is opened.
        ballast: bytes kept free so that a full disk can still be told.
        warn: told what may be wrong with the file system.
    """

    def __init__(
        self,
        path: Path,
        connect: Connect = connect,
        signer: Signer | None = None,
        anchored: Callable[[], Sequence[Checkpoint]] = tuple,
        ballast: int = BALLAST,
        warn: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.path = path
        self.lock = FileLock(path.with_name(path.name + ".lock"))
        self.spare = Ballast(path.with_name(path.name + ".ballast"), ballast)
        self.swept: Sequence[str] = ()
        self.origin = ""
        self.signer = signer
        self._anchored = anchored
        self._connect = connect
        self._warn = warn
        self._connection: sqlite3.Connection | None = None
        self._head = Head(signer)
        self._unchecked = 0
        self._identity: tuple[int, int] | None = None
        self._damage = ""
        self._look = Look(lambda: connect(address(path, "ro")))

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def label(self) -> str:
        """Its file's name."""
        return self.path.name

    @property
    def lib(self) -> Mapping[str, str]:
        """SQLite's version."""
        return {"sqlite": sqlite3.sqlite_version}

    @property
    def log(self) -> str:
        """As any store."""
        return str(self._open_connection().execute(OPENING).fetchone()[0].hex())

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
        return self._connection is not None

    @property
    def spooling(self) -> bool:
        """Nothing waits for anything."""
        return False

    def held(self) -> contextlib.AbstractContextManager[None]:
        """The lock of all who have this file open."""
        return self.lock.held(None if self.is_open else OPEN_SECONDS)

    def vet(self) -> None:
        """No ledger is kept on a network file system, or where something else than a file stands."""
        self._refuse_no_file()
        try:
            kind = network_file_system(self.path.absolute().parent.resolve())
        except OSError:
            self._warn("can't tell whether the file system is local")
            return
        if kind is not None:
            raise LedgerInvalid(
                f"{self.path}: on a network file system ({kind}), whose locks can't be relied on: "
                "keep the ledger on a local disk, or in PostgreSQL"
            )

    def _refuse_no_file(self) -> None:
        """Looked at before there's a lock: of what's no file none is left behind."""
        if os.path.isdir(self.path):
            raise LedgerInvalid(f"{self.path}: it's a folder: name a file in it, such as {self.path / 'failsoft.db'}")
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise LedgerInvalid(f"{self.path}: it's no file, but a device, a pipe or the like: nothing is kept there")

    def open(self, found: Callable[[], Sequence[Built]]) -> bool:
        """As any store. Raises OSError where the lock file can't be made."""
        self._refuse_no_file()
        with self.lock.held():
            made = not self.path.exists()
            if made:
                refuse_anew(self.name, self.signer, self._anchored)
                refuse_beside_another(self.path)
                self._make(found())
            if self.path.with_name(self.path.name + "-journal").exists():
                raise LedgerInvalid(
                    f"{self.path}: a rollback journal stands beside it, which no ledger has: move it away and verify"
                )
            if self.path.stat().st_size == 0:
                raise LedgerInvalid(f"{self.path}: the file is empty: a ledger was emptied here, or it never was one")
            if not os.access(self.path, os.W_OK):  # SQLite would open it, and make what stands beside it as read-only
                raise LedgerInvalid(
                    f"{self.path}: this user may not write to it: mend the file's mode or its owner, or mount its file "
                    "system for writing"
                )
            with self._explained():
                connection = self._connect(address(self.path, "rw"))
                try:
                    self._check(connection)
                    if self.lock.is_new:
                        self._remember_left_open(connection)
                        self.lock.used()
                except BaseException:
                    connection.close()
                    raise
            self._connection = connection
            self._identity = self._found()
            self._damage = ""
            if made:
                make_private(self.path)
        return made

    def _remember_left_open(self, connection: sqlite3.Connection) -> None:
        """The file came without what stands beside it, as a backup may: who left a call open is gone without a live file."""
        for (emitter,) in connection.execute(LEFT_OPEN).fetchall():
            if not LiveFile.name(self.path, emitter).exists():
                LiveFile.hold(self.path, emitter).release(remove=False)

    def append(self, batch: Sequence[Built], *, doubtful: bool = False) -> int:
        """As any store."""
        committing = False
        try:
            with self.lock.held():
                connection = self._open_connection()
                if self._found() != self._identity:
                    raise OSError("another file stands in the ledger's place")
                if self._damage:
                    raise AppendFailed(self._damage)
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    if doubtful and (at := self._find(connection, batch)) is not None:
                        connection.execute("ROLLBACK")
                        return at
                    grown = self._insert(connection, batch)
                    committing = True
                    connection.execute("COMMIT")
                except BaseException:
                    self._roll_back(connection)
                    raise
        except (sqlite3.Error, OSError, OverflowError, ValueError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            unknown = committing and code not in _NOT_COMMITTED
            raise AppendFailed(f"{type(error).__name__}: {error}", full=code in _FULL, unknown=unknown) from error
        self._head.committed(grown)
        self._unchecked += _pages(batch)
        return grown.first

    def tidy(self) -> None:
        """Move the write-ahead log into the database, if there's enough of it. Failing to is no failure to record."""
        if self._unchecked < CHECKPOINT_PAGES or self._connection is None:
            return
        self._unchecked = 0
        with contextlib.suppress(sqlite3.Error, OSError), self.lock.held():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if not self._look.intact():  # the next append fails; then the file is opened and checked anew
                self._damage = DAMAGED

    def seconds(self) -> None:
        """As any store: nothing waits."""

    def publish(self) -> tuple[int, bytes]:
        """Sign a checkpoint of the log as it is, and store it: see `failsoft.ledger.checkpoints.signer.publish`."""
        assert self.signer is not None
        with self.lock.held():
            connection = self._open_connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                published = publish(connection, self.signer)
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise
            return published

    def signed_by(self, key: SigningKey) -> bool:
        """Is the head this key's?"""
        size, data, sig = self._open_connection().execute("SELECT size, frontier, sig FROM ledger_head").fetchone()
        return signed_head(key, Frontier.from_bytes(size, data), sig)

    def open_calls(self, emitter: str) -> Iterator[OpenCall]:
        """Calls that this emitter began and that have no end in the log."""
        return (OpenCall(*row) for row in self._open_connection().execute(OPEN_CALLS, (emitter,)))

    def ended(self, calls: Sequence[str]) -> set[str]:
        """As any store."""
        connection = self._open_connection()
        return {call for each in calls for (call,) in connection.execute(f"{ENDED} = ?", (each,))}

    def hold(self, emitter: str) -> LiveFile:
        """As any store."""
        return LiveFile.hold(self.path, emitter)

    def gone(self, own: str) -> Iterator[tuple[str, LiveFile]]:
        """As any store."""
        return LiveFile.gone(self.path, own)

    def forget(self, digests: Sequence[bytes]) -> bool:
        """As any store: rows are overwritten (``secure_delete``), and the write-ahead log is cut."""
        connection = self._open_connection()
        for at in range(0, len(digests), FORGOTTEN):
            with self.lock.held():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    rows = [(each,) for each in digests[at : at + FORGOTTEN]]
                    connection.executemany("DELETE FROM ledger_payload WHERE digest = ?", rows)
                    connection.execute("COMMIT")
                except BaseException:
                    self._roll_back(connection)
                    raise
                connection.execute(_MOVE).fetchall()
        with self.lock.held():
            busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy

    def prune(self, last: int) -> bool:
        """As any store: old bytes are overwritten, and the write-ahead log is cut."""
        connection = self._open_connection()
        for at in reversed(range(0, last + 1, FORGOTTEN)):
            with self.lock.held():
                connection.execute(PRUNE, (at, min(at + FORGOTTEN - 1, last)))
                connection.execute(_MOVE).fetchall()
        with self.lock.held():
            busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy

    def anybody(self) -> bool:
        """As any store."""
        return anybody(self.path)

    def missing(self) -> None:
        """As any store: a process keeps its live file's lock for as long as it's there."""

    def before_fork(self) -> None:
        """As any store: neither a connection nor its locks survive a fork."""
        self.close()

    def after_fork_in_child(self) -> None:
        """As any store: nothing came along."""

    def close(self) -> None:
        """Let go of the file; what's left in the write-ahead log moves into the database if nobody else is at it. It's told
        where it isn't whole then.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError), self.lock.held(), contextlib.closing(connection):
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                if not self._damage and not self._look.intact(self._head.known.size):
                    self._warn(f"{self.path}: {DAMAGED}")
        self.lock.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _found(self) -> tuple[int, int]:
        """Which file stands at the path: SQLite would go on writing to one that was removed, and nobody would find it."""
        status = os.stat(self.path)
        return status.st_dev, status.st_ino

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise AppendFailed("the ledger's file is not open")
        return self._connection

    def _make(self, batch: Sequence[Built]) -> None:
        aside = self.path.with_name(self.path.name + ".new")
        with self._explained():
            for suffix in ("", "-wal", "-shm", "-journal"):
                aside.with_name(aside.name + suffix).unlink(missing_ok=True)
            connection = self._connect(address(aside, "rwc"))
            try:
                connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
                connection.execute("PRAGMA journal_mode = WAL")
                configure(connection)
                connection.execute("BEGIN IMMEDIATE")
                for statement in STATEMENTS:
                    connection.execute(statement)
                opened = batch[0]
                key = None if self.signer is None else str(self.signer.key.verifier)
                line = (self.origin, FORMAT, opened.ts, key)
                connection.execute("INSERT INTO ledger_log VALUES (0, ?, ?, ?, ?)", line)
                connection.execute("INSERT INTO ledger_head VALUES (0, 0, x'', NULL)")
                self._insert(connection, batch)
                connection.execute("COMMIT")
            finally:
                connection.close()
            os.rename(aside, self.path)
            sync_folder(self.path.parent)

    def _check(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise LedgerInvalid(f"{self.path}: a database, but not a ledger")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            way = "use a newer one" if version > VERSION else "it's of no failsoft that was released"
            raise LedgerInvalid(f"{self.path}: format {version}, and this failsoft writes {VERSION}: {way}")
        if wrong := differences(connection):
            raise LedgerInvalid(f"{self.path}: {'; '.join(wrong[:5])}: run `failsoft verify` on it")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise LedgerInvalid(f"{self.path}: this file system doesn't allow SQLite's write-ahead log")
        configure(connection)
        connection.execute("BEGIN IMMEDIATE")  # nobody writes meanwhile; and it says whether writing is possible
        try:
            found = check_log(connection, self.name, self.signer, self._anchored, self._head.known)
        finally:
            self._roll_back(connection)
        self._head.opened(found)
        self.origin = found.origin

    def _insert(self, connection: sqlite3.Connection, batch: Sequence[Built]) -> Grown:
        head = connection.execute("SELECT size, frontier, sig FROM ledger_head").fetchone()
        grown = self._head.grow(head, batch)
        if grown.blocks and (wrong := planted(connection, grown.first, grown.blocks[-1][0])):
            raise AppendFailed(f"{wrong}: run `failsoft verify` on it, and have the tables' owner take it out")
        connection.executemany(
            "INSERT INTO ledger_record (seq, leaf, body, emitter, eseq, rid, type, ts, call_id, case_id, capability)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    index,
                    r.leaf,
                    r.body,
                    r.emitter,
                    r.eseq,
                    r.rid,
                    r.kind.value,
                    r.ts,
                    r.call_id,
                    r.case_id,
                    r.capability,
                )
                for index, r in enumerate(batch, grown.first)
            ],
        )
        connection.executemany(
            "INSERT INTO ledger_payload (digest, dek, nonce, data) VALUES (?, ?, ?, ?)",
            [each for r in batch for each in r.payloads],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO ledger_artifact (sha256, media, data) VALUES (?, ?, ?)",
            [each for r in batch for each in r.artifacts],
        )
        connection.executemany("INSERT INTO ledger_subtree (idx, hash) VALUES (?, ?)", grown.blocks)
        connection.execute(
            "UPDATE ledger_head SET size = ?, frontier = ?, sig = ?",
            (grown.frontier.size, grown.frontier.to_bytes(), grown.signature),
        )
        return grown

    @staticmethod
    def _find(connection: sqlite3.Connection, batch: Sequence[Built]) -> int | None:
        row = connection.execute(FIND, (batch[0].emitter, batch[0].eseq, batch[0].leaf)).fetchone()
        return None if row is None else int(row[0])

    @staticmethod
    def _roll_back(connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _explained(self) -> Generator[None, None, None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code == sqlite3.SQLITE_NOTADB:
                raise LedgerInvalid(f"{self.path}: not a ledger: it isn't an SQLite database") from None
            if code == sqlite3.SQLITE_CORRUPT:
                raise LedgerInvalid(f"{self.path}: the file is cut or damaged ({error})") from None
            raise LedgerInvalid(f"{self.path}: the ledger can't be written ({error})") from None
        except (TypeError, ValueError) as error:  # a column of a damaged file holds what it can't
            raise LedgerInvalid(f"{self.path}: the file is cut or damaged ({type(error).__name__})") from None
        except OSError as error:
            raise LedgerInvalid(f"{self.path}: the ledger can't be written ({error})") from None


def configure(connection: sqlite3.Connection) -> None:
    """What every connection that writes needs."""
    for pragma in (
        "synchronous = FULL",
        "wal_autocheckpoint = 0",
        "recursive_triggers = ON",
        "secure_delete = ON",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def refuse_beside_another(path: Path) -> None:
    """What SQLite kept apart of a file that's gone would be played into a new one, or be lost with it.

    Raises:
        LedgerInvalid: there is such.
    """
    for end in ("-wal", "-shm"):
        if path.with_name(path.name + end).exists():
            raise LedgerInvalid(
                f"{path}: it's gone, and its {path.name}{end} is there still, with records of it: put it "
                "back; or, if a new one is meant, end whoever has the old one open, and move that away too"
            )


def _pages(batch: Sequence[Built]) -> int:
    """Pages that a commit writes: what it fills, one of the index for each payload, and the ends of the other trees."""
    payloads = [len(each[3]) for record in batch for each in record.payloads]
    filled = sum(payloads) + sum(len(record.body) + 512 for record in batch)
    return 8 + len(payloads) + filled // PAGE_SIZE
