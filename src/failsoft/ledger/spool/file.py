"""A file beside the application that takes records while the ledger's database is away: durable, in order, bounded.

What's kept is what the database would have got: the exact bytes, under the emitter's own numbers and times, batch by batch.
A process that dies leaves its file to the next one of the same log that starts on this host.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from attrs import frozen

from failsoft.core.effects import Clock
from failsoft.ledger.disk import make_private
from failsoft.ledger.records.record import Built
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import AppendFailed

_SQL = """
CREATE TABLE IF NOT EXISTS batch (n INTEGER PRIMARY KEY, at INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS record (n INTEGER, k INTEGER, kind TEXT, rid TEXT, ts TEXT, emitter TEXT, eseq INTEGER, body BLOB,
    leaf BLOB, call_id TEXT, case_id TEXT, capability TEXT, PRIMARY KEY (n, k)) STRICT;
CREATE TABLE IF NOT EXISTS payload (n INTEGER, k INTEGER, digest BLOB, dek BLOB, nonce BLOB, data BLOB) STRICT;
CREATE TABLE IF NOT EXISTS artifact (n INTEGER, k INTEGER, sha256 BLOB, media TEXT, data BLOB) STRICT;
CREATE INDEX IF NOT EXISTS payload_of ON payload (n);
CREATE INDEX IF NOT EXISTS artifact_of ON artifact (n);
"""

_EMITTER_DB = re.compile(r"[0-9a-f]{32}\.db")

_RECORD = "kind, rid, ts, emitter, eseq, body, leaf, call_id, case_id, capability"


@frozen
class Spooling:
    """Where records wait for their database, and for how long.

    Args:
        folder: of the files; made where there's none. On this host's own disk.
        clock: the application's.
        max_bytes: of records and payloads that wait, of one process.
        max_age_ns: nanoseconds that the oldest may wait.
        log: whose records, as `failsoft.ledger.store.Store.log` names it: several may share a folder.
    """

    folder: Path
    clock: Clock
    max_bytes: int = 256 << 20
    max_age_ns: int = 24 * 3600 * 1_000_000_000
    log: str = ""

    @property
    def base(self) -> Path:
        """What the files' names begin with."""
        return self.folder / f"spool.{self.log}"

    def file(self, emitter: str) -> Path:
        """Where an emitter's records wait."""
        return self.base.with_name(f"{self.base.name}.{emitter}.db")

    def left(self) -> list[str]:
        """Emitters whose file is there."""
        start = len(self.base.name) + 1
        names = [each.name for each in self.folder.iterdir() if each.name.startswith(f"{self.base.name}.")]
        return sorted(name[start:-3] for name in names if _EMITTER_DB.fullmatch(name[start:]))


class Spool:
    """One emitter's file. Everything waits; one thread at a time.

    Args:
        spooling: where, and how much.
        emitter: whose.
    """

    def __init__(self, spooling: Spooling, emitter: str) -> None:
        self.path = spooling.file(emitter)
        self._spooling = spooling
        self._opened: sqlite3.Connection | None = None
        self._dropped = 0

    @property
    def waiting(self) -> int:
        """How many batches wait."""
        if self._opened is None and not self.path.exists():
            return 0
        with _explained(self.path):
            query = "SELECT count(*) FROM batch WHERE n > ?"
            return int(self._connection().execute(query, (self._dropped,)).fetchone()[0])

    def is_left(self) -> bool:
        """Has nobody the file open? SQLite lets one connection alone leave its write-ahead log."""
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None, timeout=0)) as connection:
                return bool(connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",))
        except sqlite3.Error as error:
            return error.sqlite_errorcode != sqlite3.SQLITE_BUSY

    def put(self, batch: Sequence[Built]) -> None:
        """Keep a batch, durable when this returns.

        Raises:
            AppendFailed: it can't be, or there's no room, or what waits has waited too long.
        """
        size = sum(each.size for each in batch)
        now = self._spooling.clock.time_ns()
        with _explained(self.path):
            connection = self._connection()
            waiting = "SELECT coalesce(sum(bytes), 0), min(at), coalesce(max(n), ?1) FROM batch WHERE n > ?1"
            kept, oldest, last = connection.execute(waiting, (self._dropped,)).fetchone()
            if kept + size > self._spooling.max_bytes:
                raise AppendFailed(f"{self.path}: the spool is full")
            if oldest is not None and now - oldest > self._spooling.max_age_ns:
                raise AppendFailed(f"{self.path}: what's in the spool has waited too long")
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute("INSERT INTO batch VALUES (?, ?, ?)", (last + 1, now, size))
                _insert(connection, last + 1, batch)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise

    def first(self) -> tuple[int, list[Built]] | None:
        """The oldest batch and its number; None where none waits.

        Raises:
            AppendFailed: it can't be read.
        """
        if self._opened is None and not self.path.exists():
            return None
        with _explained(self.path):
            connection = self._connection()
            row = connection.execute("SELECT min(n) FROM batch WHERE n > ?", (self._dropped,)).fetchone()
            return None if row[0] is None else (row[0], list(_batch(connection, row[0])))

    def drop(self, number: int) -> None:
        """This batch, and those before it, are where they belong. To say so takes room: on a full disk it's known to this
        process alone, until the last one goes with the file. Another process offers them again, and finds them there.
        """
        self._dropped = number
        with suppress(AppendFailed), _explained(self.path):
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                for table in ("payload", "artifact", "record", "batch"):
                    connection.execute(f"DELETE FROM {table} WHERE n <= ?", (number,))  # noqa: S608 -- our own names
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise

    def close(self) -> None:
        """Let go of the file; one in which nothing waits is removed."""
        empty = False
        with suppress(AppendFailed):
            empty = self._opened is not None and self.waiting == 0
        connection, self._opened = self._opened, None
        if connection is not None:
            connection.close()
        if empty:
            self._dropped = 0
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
            try:
                for pragma in (
                    "journal_mode = WAL",
                    "synchronous = FULL",
                    "secure_delete = ON",
                    "trusted_schema = OFF",
                ):
                    opened.execute(f"PRAGMA {pragma}")
                opened.executescript(_SQL)
            except BaseException:
                opened.close()
                raise
            make_private(self.path)
            self._opened = opened
        return self._opened


def _insert(connection: sqlite3.Connection, n: int, batch: Sequence[Built]) -> None:
    for k, each in enumerate(batch):
        columns = (each.kind.value, each.rid, each.ts, each.emitter, each.eseq, each.body, each.leaf)
        names = (each.call_id, each.case_id, each.capability)
        connection.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (n, k, *columns, *names))
        connection.executemany("INSERT INTO payload VALUES (?, ?, ?, ?, ?, ?)", [(n, k, *row) for row in each.payloads])
        connection.executemany("INSERT INTO artifact VALUES (?, ?, ?, ?, ?)", [(n, k, *row) for row in each.artifacts])


def _batch(connection: sqlite3.Connection, n: int) -> Iterator[Built]:
    query = f"SELECT k, {_RECORD} FROM record WHERE n = ? ORDER BY k"  # noqa: S608 -- our own names
    for k, kind, *columns in connection.execute(query, (n,)).fetchall():
        rid, ts, emitter, eseq, body, leaf, call_id, case_id, capability = columns
        of_it = (n, k)
        payloads = connection.execute(
            "SELECT digest, dek, nonce, data FROM payload WHERE n = ? AND k = ? ORDER BY rowid", of_it
        ).fetchall()
        artifacts = connection.execute(
            "SELECT sha256, media, data FROM artifact WHERE n = ? AND k = ? ORDER BY rowid", of_it
        ).fetchall()
        yield Built(
            Kind(kind),
            rid,
            ts,
            emitter,
            eseq,
            body,
            leaf,
            call_id,
            case_id,
            capability,
            tuple(payloads),
            tuple(artifacts),
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, TypeError) as error:
        raise AppendFailed(f"{path}: the spool can't be used ({error})") from error
