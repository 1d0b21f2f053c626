"""Full verification of a ledger in SQLite, while others write to it or not: one read transaction, nothing changed.

Without a key or a pin that the verifier brings along, the most that can be said is *self-consistent*: whoever can write
the file can write a whole new one. A pin (size and root, or a checkpoint, kept elsewhere) turns that into: nothing up to
there was changed. A key turns it into: *verified*, nobody without the private key changed anything.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from attrs import define, field, frozen

from failsoft.errors import LedgerInvalid
from failsoft.ledger import schema
from failsoft.ledger.covered import Covered
from failsoft.ledger.locks import alive
from failsoft.ledger.merkle import Frontier
from failsoft.ledger.note import Checkpoint, VerifierKey
from failsoft.ledger.read import connect
from failsoft.ledger.schema import PAGE_SIZE
from failsoft.ledger.walk import OpenCall, Walk

WHOLE, TAMPERED, INCOMPLETE, UNUSABLE = 0, 1, 2, 3
"""Exit codes."""

SHOWN = 100
"""Problems that are kept; the others are counted."""

_ROWS = (
    "SELECT seq, leaf, body, emitter, eseq, rid, type, ts, call_id, case_id, capability"
    " FROM ledger_record NOT INDEXED ORDER BY seq"
)

_WAL_HEADER = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read(32))"


@frozen
class Problem:
    """One thing that isn't as it must be.

    Args:
        code: 1 tampered with, 2 incomplete, 3 unusable.
        index: the record's place in the log; None where it's about the file.
        rid: the record's id, where one can be read.
    """

    code: int
    what: str
    index: int | None = None
    rid: str | None = None

    def __str__(self) -> str:
        where = "" if self.index is None else f"record {self.index}" + (f" ({self.rid})" if self.rid else "") + ": "
        return where + self.what


@frozen
class Verification:
    """What verification found.

    Args:
        exit_code: 0 whole, 1 tampered with, 2 incomplete, 3 unusable.
        problems: the first hundred, in the order of the log.
        more: how many there are besides.
        notes: what's worth knowing and no problem.
        root: of the tree of the records as they are, lower-case hex.
        kinds: how many records of each type.
        in_flight: calls that are open now, in a process that's alive.
        covered: by the largest checkpoint that a given key signed; None where none did, or no key was given.
        head_signed: is the head signed by a given key? Then so are the records after that checkpoint.
        witnesses: given keys of witnesses that cosigned that checkpoint.
    """

    exit_code: int
    problems: tuple[Problem, ...]
    more: int = 0
    notes: tuple[str, ...] = ()
    origin: str = ""
    size: int = 0
    root: str = ""
    kinds: Mapping[str, int] = MappingProxyType({})
    payloads: int = 0
    in_flight: int = 0
    pinned: int | None = None
    covered: int | None = None
    head_signed: bool = False
    witnesses: int = 0

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.exit_code == WHOLE and self.covered is not None:
            return "verified"
        if self.exit_code == WHOLE and self.pinned is not None:
            return f"unchanged up to the pin at {self.pinned}; the {self.size - self.pinned} after it self-consistent"
        return ("self-consistent", "tampered with", "incomplete", "unusable")[self.exit_code]

    def summary(self) -> list[str]:
        """Lines for people."""
        lines = [self.verdict]
        if self.exit_code != UNUSABLE:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
            lines += [f"origin {self.origin}", f"{self.size} records: {kinds}", f"{self.payloads} payloads"]
            lines.append(f"root {self.root}")
            if self.covered is not None:
                lines.append(self._coverage(self.covered))
        lines += [*self.notes, *map(str, self.problems)]
        if self.more:
            lines.append(f"and {self.more} problems more")
        return [printable(line) for line in lines]

    def _coverage(self, covered: int) -> str:
        tail = f"tail {self.size - covered}" + (", under the signed head" if self.head_signed else "")
        witnesses = f"; cosigned by {self.witnesses} of the witnesses that you gave" if self.witnesses else ""
        return f"covered by checkpoint {covered} of {self.size}; {tail}{witnesses}"


def printable(line: str) -> str:
    """What a hostile file says mustn't steer the terminal that shows it."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in line)


_OF_THE_READING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""What SQLite says where it's the reading that failed: no word about the file."""

_OF_THE_FILE = (*schema.UNREADABLE, TypeError, ValueError, AttributeError, LookupError, ArithmeticError)
"""What reading a damaged file raises. A column of it may hold what no column of its kind does: that fails anywhere."""


@define
class _Findings:
    problems: list[Problem] = field(factory=list[Problem])
    more: int = 0
    code: int = WHOLE

    def add(self, problem: Problem) -> None:
        if len(self.problems) < SHOWN:
            self.problems.append(problem)
        else:
            self.more += 1
        rank = (WHOLE, INCOMPLETE, TAMPERED, UNUSABLE)
        self.code = max(self.code, problem.code, key=rank.index)

    def report(self, code: int, what: str, index: int | None) -> None:
        self.add(Problem(code, what, index))


def verify(
    path: str | Path,
    *,
    pins: Sequence[tuple[int, str]] = (),
    keys: Sequence[VerifierKey] = (),
    checkpoints: Sequence[bytes] = (),
) -> Verification:
    """Check a ledger from its first byte to its last.

    Args:
        path: the database file.
        pins: size and root (lower-case hex) of the log at earlier times, from the verifier's own keeping.
        keys: of the log, and of witnesses, likewise.
        checkpoints: signed checkpoints of the log at earlier times, likewise.

    Nothing is raised for what the file holds: that's in the result. The result is 0 only if each key and pin was of use.

    Raises:
        ConfigurationError: there are keys, and the extra ``signing`` isn't installed.
    """
    path = Path(path)
    try:
        connection = connect(path)
    except LedgerInvalid as error:
        return Verification(UNUSABLE, (Problem(UNUSABLE, str(error)),))
    found = _Findings()
    walk = Walk(connection, "")
    covered = Covered(keys, pins, checkpoints, found.report)
    notes: list[str] = []
    in_flight = 0
    try:
        connection.execute("BEGIN")
        if _file(path, connection, found):
            _walk(connection, walk, covered, found)
            _whole(connection, walk, covered, found)
            _doubled(connection, found)
            connection.execute("COMMIT")
            in_flight = _open_calls(path, connection, walk, found)
    except _OF_THE_FILE as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _OF_THE_READING:
            found.add(Problem(UNUSABLE, f"{path}: it can't be read ({error})"))
        else:
            found.add(Problem(TAMPERED, f"the file is cut or damaged ({error})", walk.frontier.size))
    except subprocess.TimeoutExpired:
        found.add(Problem(UNUSABLE, f"{path}: its write-ahead log couldn't be read in time"))
    finally:
        connection.close()
    if walk.steps_back:
        notes.append(f"a clock stepped back {walk.steps_back} times: the order of the log is what counts")
    return Verification(
        found.code,
        tuple(found.problems),
        found.more,
        tuple(notes),
        walk.origin,
        walk.frontier.size,
        walk.frontier.root().hex(),
        MappingProxyType(dict(walk.kinds)),
        walk.payloads,
        in_flight,
        covered.pinned,
        covered.size or None,
        covered.head_signed,
        covered.witnesses,
    )


def _file(path: Path, connection: sqlite3.Connection, found: _Findings) -> bool:
    """The file apart from its records; False where those can't be read."""
    for wrong in schema.differences(connection):
        found.add(Problem(TAMPERED, f"{path}: {wrong}"))
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if lost := {"ledger_log", "ledger_record", "ledger_head", "ledger_payload", "ledger_artifact"} - tables:
        found.add(Problem(UNUSABLE, f"{path}: {', '.join(sorted(lost))} can't be read"))
        return False
    if not _own_wal(path):
        found.add(Problem(TAMPERED, f"{path}: the -wal file beside it isn't this database's"))
    for (line,) in connection.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            found.add(Problem(TAMPERED, f"{path}: integrity check: {line}"))
    return True


def _walk(connection: sqlite3.Connection, walk: Walk, covered: Covered, found: _Findings) -> None:
    log = connection.execute("SELECT origin, format, vkey FROM ledger_log").fetchall()
    if len(log) != 1 or log[0][1] != schema.FORMAT:
        found.add(Problem(TAMPERED, "the log's own line is missing, doubled or of another format"))
    walk.origin = str(log[0][0]) if log else ""
    walk.begin()
    covered.begin(connection, walk.origin)
    for row in connection.execute(_ROWS):

        def problem(what: str, row: tuple[object, ...] = row) -> None:
            found.add(Problem(TAMPERED, what, int(str(row[0])), None if row[5] is None else str(row[5])))

        walk.record(row, problem)
        if walk.frontier.size == covered.due:
            covered.at(walk.frontier)
    covered.end(walk.frontier.size)
    if log and log[0][2] != walk.first_key:
        found.add(Problem(TAMPERED, "the log's own line states another key than its first record"))


def _whole(connection: sqlite3.Connection, walk: Walk, covered: Covered, found: _Findings) -> None:
    """Head and payloads against the records."""
    size = walk.frontier.size
    if size == 0:
        found.add(Problem(UNUSABLE, "the log is empty: not even its opening is there"))
        return
    head = connection.execute("SELECT size, frontier, sig FROM ledger_head").fetchone()
    covered.head(Checkpoint(walk.origin, size, walk.frontier.root()), head and head[2], walk.declared)
    if head is None:
        found.add(Problem(TAMPERED, "the head is missing"))
    elif Frontier(size, walk.frontier.hashes).to_bytes() != head[1] or size != head[0]:
        found.add(
            Problem(TAMPERED, f"the head states {head[0]} records with another tree than the {size} that are there")
        )
    kept = connection.execute("SELECT count(*) FROM ledger_payload").fetchone()[0]
    if kept > walk.payloads:
        found.add(Problem(TAMPERED, f"{kept - walk.payloads} payloads belong to no record"))


def _doubled(connection: sqlite3.Connection, found: _Findings) -> None:
    rows = connection.execute(
        "SELECT max(seq), call_id FROM ledger_record INDEXED BY ledger_record_call WHERE call_id IS NOT NULL"
        " GROUP BY call_id HAVING sum(type = 'call.started') > 1"
        " OR sum(type IN ('call.completed', 'call.orphaned')) > 1"
    )
    for index, call_id in rows:
        found.add(Problem(TAMPERED, f"call {call_id!r:.60} was started or ended more than once", index))


def _open_calls(path: Path, connection: sqlite3.Connection, walk: Walk, found: _Findings) -> int:
    """Calls that were open at the moment that was read: in flight, or left open by somebody who's gone."""
    in_flight = 0
    living: dict[str, bool] = {}
    for call_id, call in walk.open_calls.items():
        if call.emitter not in living:
            living[call.emitter] = not walk.emitters[call.emitter].ended and alive(path, call.emitter)
        if living[call.emitter] or _ended_since(connection, call_id, call):
            in_flight += 1
        else:
            found.add(Problem(INCOMPLETE, f"call {call_id!r:.60} has no end in the log", call.index))
    return in_flight


def _ended_since(connection: sqlite3.Connection, call_id: str, call: OpenCall) -> bool:
    row = connection.execute(
        "SELECT 1 FROM ledger_record WHERE call_id = ? AND seq > ? AND type != 'call.started'", (call_id, call.index)
    ).fetchone()
    return row is not None


def _own_wal(path: Path) -> bool:
    """Is the write-ahead log, where there's one, SQLite's own for this database?

    It's read by another process: this one may hold the ledger open, and closes no descriptor of its files.
    """
    wal = path.with_name(path.name + "-wal")
    command = [sys.executable, "-I", "-S", "-c", _WAL_HEADER, str(wal.absolute())]
    for _ in range(3):  # it may be cut, removed or begun anew by a writer just now
        try:
            if wal.stat().st_size == 0:
                return True
        except FileNotFoundError:
            return True
        header = subprocess.run(command, capture_output=True, check=False, timeout=30).stdout  # noqa: S603 -- our text
        if len(header) == 32 and _header_holds(header):
            return True
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
