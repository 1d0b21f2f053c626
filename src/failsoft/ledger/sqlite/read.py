"""A ledger in SQLite, read at one moment while others write to it or not. Nothing here writes or checkpoints."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from failsoft.errors import LedgerInvalid
from failsoft.ledger.locks import alive
from failsoft.ledger.sqlite.schema import APPLICATION_ID, PAGE_SIZE, VERSION, differences
from failsoft.ledger.sqlite.store import address
from failsoft.ledger.store import TAMPERED, UNREADABLE, UNUSABLE, PayloadRow

_WAL_HEADER = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read(32))"
_NEEDED = {"ledger_log", "ledger_record", "ledger_head", "ledger_payload", "ledger_artifact"}
_PAYLOADS = "SELECT rowid, digest, dek, nonce, data FROM ledger_payload NOT INDEXED ORDER BY rowid"
_AFTER: tuple[Any, ...] = (float("inf"), b"")


class SqliteSource(sqlite3.Connection):
    """A read-only connection to a ledger: a `failsoft.ledger.store.Source`."""

    hint_rows = "NOT INDEXED"
    hint_calls = "INDEXED BY ledger_record_call"
    path: Path

    def begin(self) -> None:
        """As any source."""
        self.execute("BEGIN")

    def end(self) -> None:
        """As any source."""
        self.execute("COMMIT")

    def stream(self, query: str, values: Sequence[Any] = (), /) -> Iterator[tuple[Any, ...]]:
        """As any source: SQLite's cursors are such."""
        return self.execute(query, values)

    def tables(self) -> set[str]:
        """As any source."""
        return {name for (name,) in self.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}

    def examine(self, *, quickly: bool = False) -> Iterator[tuple[int, str]]:
        """Schema, tables, write-ahead log, and, unless it's to be quick, SQLite's own check of the file."""
        for wrong in differences(self):
            yield TAMPERED, f"{self.path}: {wrong}"
        if lost := _NEEDED - self.tables():
            yield UNUSABLE, f"{self.path}: {', '.join(sorted(lost))} can't be read"
            return
        if not _own_wal(self.path):
            yield TAMPERED, f"{self.path}: the -wal file beside it isn't this database's"
        for (line,) in () if quickly else self.execute("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield TAMPERED, f"{self.path}: integrity check: {line}"

    def payloads(self) -> PayloadsInOrder:
        """As any source."""
        return PayloadsInOrder(self)

    def alive(self, emitter: str) -> bool:
        """As any source."""
        return alive(self.path, emitter)


class PayloadsInOrder:
    """Payloads lie in the order of the records that name them: a look-up is needed only where one was erased."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: Iterator[tuple[Any, ...]] | None = None
        self._next = _AFTER

    def expect(self, bodies: Sequence[bytes]) -> None:
        """Nothing needs to be prepared."""

    def get(self, digest: bytes) -> PayloadRow | None:
        """As any source's."""
        if self._rows is None:
            self._rows = self._connection.execute(_PAYLOADS)
            self._next = next(self._rows, _AFTER)
        if self._next[1] == digest:
            found = self._next[2:]
            self._next = next(self._rows, _AFTER)
            return cast("PayloadRow", found)
        row = self._connection.execute(
            "SELECT rowid, dek, nonce, data FROM ledger_payload WHERE digest = ?", (digest,)
        ).fetchone()
        if row is None:
            return None
        while self._next[0] <= row[0]:
            self._next = next(self._rows, _AFTER)
        return cast("PayloadRow", row[1:])


def connect(path: Path) -> SqliteSource:
    """A read-only connection to a ledger.

    Raises:
        LedgerInvalid: it isn't one, or it can't be read.
    """
    if os.path.exists(f"{path}-journal"):
        raise LedgerInvalid(f"{path}: a rollback journal stands beside it, which no ledger has")
    if not os.path.exists(path):  # nor one whose name no file can have
        raise LedgerInvalid(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise LedgerInvalid(f"{path}: the file is empty")
    try:
        connection = sqlite3.connect(
            address(path, "ro"), uri=True, isolation_level=None, timeout=5.0, factory=SqliteSource
        )
    except sqlite3.Error as error:
        raise LedgerInvalid(f"{path}: it can't be read ({error})") from None
    connection.path = path
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        mark = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if mark != APPLICATION_ID:
            raise LedgerInvalid(f"{path}: not a ledger")
        if version != VERSION:
            raise LedgerInvalid(f"{path}: format {version}, and this failsoft reads {VERSION}")
    except UNREADABLE as error:
        connection.close()
        raise LedgerInvalid(f"{path}: it can't be read ({error}){_way_out(path, error)}") from None
    except LedgerInvalid:
        connection.close()
        raise
    return connection


def _way_out(path: Path, error: Exception) -> str:
    """Of a folder in which nothing can be written: readers share their place in the write-ahead log by a file beside it."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return ""
    wal = f", and {path.name}-wal with it," if os.path.exists(f"{path}-wal") else ""
    return f": SQLite reads it only where it may write beside it: copy it{wal} to a folder of your own"


def _own_wal(path: Path) -> bool:
    """Is the write-ahead log, where there's one, SQLite's own for this database?

    It's read by another process: this one may hold the ledger open, and closes no descriptor of its files.

    Raises:
        subprocess.SubprocessError: that one didn't end well, or in time: it was killed, or there's no memory for it.
    """
    wal = path.with_name(path.name + "-wal")
    command = [sys.executable, "-I", "-S", "-c", _WAL_HEADER, str(wal.absolute())]
    code = 0
    for _ in range(3):  # it may be cut, removed or begun anew by a writer just now
        try:
            if wal.stat().st_size == 0:
                return True
        except FileNotFoundError:
            return True
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=30)  # noqa: S603 -- our text
        except OSError as error:
            raise subprocess.SubprocessError(error.strerror) from None
        if len(done.stdout) == 32 and _header_holds(done.stdout):
            return True
        code = done.returncode
    if code:
        raise subprocess.CalledProcessError(code, sys.executable)
    return False


def _header_holds(header: bytes) -> bool:
    """Mark, format, page size and checksum of a write-ahead log (sqlite.org/fileformat2.html, section 4)."""
    words = [int.from_bytes(header[at : at + 4], "big") for at in range(0, 32, 4)]
    if words[0] not in (0x377F0682, 0x377F0683) or words[1] != 3_007_000 or words[2] != PAGE_SIZE:
        return False
    order: Literal["big", "little"] = "big" if header[3] & 1 else "little"
    first = second = 0
    for at in range(0, 24, 8):
        first = (first + int.from_bytes(header[at : at + 4], order) + second) & 0xFFFFFFFF
        second = (second + int.from_bytes(header[at + 4 : at + 8], order) + first) & 0xFFFFFFFF
    return words[6:] == [first, second]
