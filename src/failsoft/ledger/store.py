"""Where a log is kept, as the rest of the ledger sees it: SQLite in a file, or PostgreSQL.

A *store* is written to by one emitter (`failsoft.ledger.writing.appender`); a *source* is read at one moment. Both hold the
same records, the same bytes and the same tree; queries are in the SQL that both understand, with ``?`` for a value.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from attrs import frozen

from failsoft.errors import LedgerInvalid, LedgerUnreachable
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.records.record import Built
from failsoft.ledger.records.schema import PRUNABLE, Kind

WHOLE, TAMPERED, INCOMPLETE, UNUSABLE = 0, 1, 2, 3
"""What a verification finds, as exit codes."""

GRAVITY = (WHOLE, INCOMPLETE, TAMPERED, UNUSABLE)
"""Each is graver than the one before it."""


class DatabaseFailed(Exception):
    """A database server didn't do what it was asked. Its message never shows an address, which may hold a password.

    Args:
        damaged: it's the data: they can't be read.
        unknown: it may have done it all the same.
        away: it can't be reached, or has no room for us now; not: it refuses.
    """

    def __init__(self, reason: str, *, damaged: bool = False, unknown: bool = False, away: bool = False) -> None:
        super().__init__(reason)
        self.damaged = damaged
        self.unknown = unknown
        self.away = away


def refusal(error: Exception) -> type[LedgerInvalid]:
    """As what a failed look at a ledger is told: it may be the way there, and nothing about the ledger."""
    return LedgerUnreachable if isinstance(error, DatabaseFailed) and error.away else LedgerInvalid


UNREADABLE = (sqlite3.Error, UnicodeDecodeError, DatabaseFailed)
"""What a query raises on a damaged store: the second where SQLite's message quotes bytes of it that are no text."""

DAMAGED = (*UNREADABLE, TypeError, ValueError, AttributeError, LookupError, ArithmeticError)
"""What reading a damaged store raises: a column of it may hold what no column of its kind does, which fails anywhere."""


class AppendFailed(Exception):
    """A batch isn't durable, as far as is known.

    Args:
        full: for want of room.
        unknown: it may be durable all the same.
        away: the way to the database is the matter, not the log.
        stale: it says of calls that nobody ends them, and who lost sight of them can't say so: another batch is to be made.
    """

    def __init__(
        self, reason: str, *, full: bool = False, unknown: bool = False, away: bool = False, stale: bool = False
    ) -> None:
        super().__init__(reason)
        self.full = full
        self.unknown = unknown
        self.away = away
        self.stale = stale


OF_CALLS = f"type IN ({', '.join(repr(each.value) for each in sorted(PRUNABLE))})"
"""What a pruning takes out, as a condition."""

PRUNE = (
    "UPDATE ledger_record SET body = NULL, rid = NULL, ts = NULL, call_id = NULL, case_id = NULL, capability = NULL"  # noqa: S608
    f" WHERE seq BETWEEN ? AND ? AND body IS NOT NULL AND {OF_CALLS}"
)
"""Records of calls lose all but their hash, their emitter's number and their type."""

ENDS = "type IN ('call.completed', 'call.amended', 'call.orphaned')"
"""What a call ends by, as a condition."""

_OPEN = f"""
FROM ledger_record AS began WHERE type = 'call.started'
AND seq > (SELECT coalesce(max(seq), -1) FROM ledger_record WHERE rid IS NULL)
AND NOT EXISTS (SELECT 1 FROM ledger_record AS ended
    WHERE ended.call_id = began.call_id AND ended.{ENDS})
"""  # noqa: S608 -- our own
"""Calls without an end. None begins before a pruned record: it was over, though its end may be gone by now."""

OPEN_CALLS = f"SELECT call_id, leaf, capability, case_id {_OPEN} AND emitter = ? ORDER BY eseq"
LEFT_OPEN = f"SELECT DISTINCT emitter {_OPEN}"
"""Emitters that have such calls."""

FIND = "SELECT seq FROM ledger_record WHERE emitter = ? AND eseq = ? AND leaf = ?"
"""A record that may be in the log already. Its `rid` would be gone with a pruning."""

NUMBERED = "SELECT 1 FROM ledger_record WHERE emitter = ? AND eseq = ?"
"""A record by its number, which a pruned one keeps."""

OPENING = "SELECT leaf FROM ledger_record WHERE seq = 0"
ENDED = f"SELECT call_id FROM ledger_record WHERE {ENDS} AND call_id"  # noqa: S608 -- our own
"""Of some calls those that ended."""


@frozen
class Found:
    """A log that may be appended to.

    Args:
        unsigned: nobody has signed it so far.
        sealed: the newest payloads, as its newest records say, are encrypted; None: all were pruned, so nobody can tell.
        copied_to: where its newest records say that it was copied; empty: nowhere.
    """

    origin: str
    size: int
    unsigned: bool
    sealed: bool | None = False
    copied_to: str = ""


@frozen
class OpenCall:
    """A call that began and didn't end."""

    call_id: str
    leaf: bytes
    capability: str | None
    case_id: str | None


def orphans(batch: Sequence[Built]) -> list[str]:
    """The calls of which a batch says that nobody ends them."""
    return [each.call_id for each in batch if each.kind is Kind.CALL_ORPHANED and each.call_id is not None]


class Rows(Protocol):
    """What a query gives."""

    def fetchone(self) -> Any:
        """The next row; None where there's none left."""
        ...

    def fetchall(self) -> list[Any]:
        """All that's left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Queries(Protocol):
    """Answers queries. Raises what stands in `UNREADABLE`."""

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Rows:
        """Run one statement; its rows are in memory."""
        ...


PayloadRow = tuple[bytes | None, bytes | None, bytes]
"""Name of the key, nonce, data: a disclosure in clear where there's no key."""


class Payloads(Protocol):
    """Payloads, as a walk over the records asks for them."""

    def expect(self, bodies: Sequence[bytes]) -> None:
        """These records come next: what they name may be fetched at once."""
        ...

    def get(self, digest: bytes) -> PayloadRow | None:
        """What's kept behind a commitment, unchecked; None where there's nothing."""
        ...


class Source(Queries, Protocol):
    """A log that's read. Raises what stands in `UNREADABLE`."""

    hint_rows: str
    """What stands after ``FROM ledger_record`` where all rows are read in their order."""

    hint_calls: str
    """What stands there where they're read by call."""

    def begin(self) -> None:
        """All that's asked from here on is of one moment."""
        ...

    def end(self) -> None:
        """What's asked from here on is of its own moment."""
        ...

    def stream(self, query: str, values: Sequence[Any] = (), /) -> Iterator[tuple[Any, ...]]:
        """As `execute`, for results of any length: some rows at a time are in memory."""
        ...

    def tables(self) -> set[str]:
        """The names of the tables that are there."""
        ...

    def examine(self, *, quickly: bool = False) -> Iterator[tuple[int, str]]:
        """What's wrong with the store, apart from its records: exit code and sentence. After `UNUSABLE` nothing follows.

        Args:
            quickly: leave out what would have to read all of it.
        """
        ...

    def payloads(self) -> Payloads:
        """For one walk."""
        ...

    def alive(self, emitter: str) -> bool | None:
        """Is this emitter's process there? Asked without taking anything from anybody; None: that can't be told here."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Life(Protocol):
    """What shows that an emitter is alive, or that it's gone."""

    def release(self, *, remove: bool) -> None:
        """Let go; with `remove`, there's nothing left to look after."""
        ...


class Spare(Protocol):
    """Room kept free, so that a full disk can still be told."""

    def fill(self) -> bool:
        """Take the room; False where there's too little."""
        ...

    def spend(self) -> bool:
        """Give it up; False where that was done before."""
        ...


class Store(Protocol):
    """A log that one emitter writes to. The constructor touches nothing. Everything waits; one thread at a time."""

    @property
    def origin(self) -> str:
        """The log's name; empty until it was opened."""
        ...

    @origin.setter
    def origin(self, value: str) -> None: ...

    @property
    def log(self) -> str:
        """Which log it is, wherever it's kept: the hash of its opening, hex. While it's open."""
        ...

    @property
    def found(self) -> Found | None:
        """What a quick look at the log found as it was opened last."""
        ...

    @property
    def unsigned(self) -> bool:
        """Has nobody signed the log so far?"""
        ...

    @property
    def name(self) -> str:
        """How messages call it. Never shows a password."""
        ...

    @property
    def label(self) -> str:
        """What a new log may be named after, the host before it."""
        ...

    @property
    def lib(self) -> Mapping[str, str]:
        """What it's kept with, and its version; known once it's open."""
        ...

    @property
    def spare(self) -> Spare:
        """Room kept for bad times."""
        ...

    @property
    def swept(self) -> Sequence[str]:
        """Emitters that are gone, and of which no record waits on this host any more: known once it's open."""
        ...

    @property
    def is_open(self) -> bool:
        """Can it be appended to?"""
        ...

    def held(self) -> AbstractContextManager[None]:
        """Nobody else opens, sweeps or writes inside, where the store can't see to that by itself."""
        ...

    def vet(self) -> None:
        """Before anything is made there: can this place be relied on?

        Raises:
            LedgerInvalid: it can't.
        """
        ...

    def open(self, found: Callable[[], Sequence[Built]]) -> bool:
        """Check it, or make it; True if it was made.

        Args:
            found: gives the first records of a new log.

        Raises:
            LedgerInvalid: it's no ledger that can be written to.
            OSError, DatabaseFailed: it can't be reached.
        """
        ...

    @property
    def spooling(self) -> bool:
        """Do records wait for their database?"""
        ...

    def append(self, batch: Sequence[Built], *, doubtful: bool = False) -> int | None:
        """Make records durable, all or none; the index of the first, or None where they wait for their database.

        Args:
            batch: what to append, in order; not empty.
            doubtful: the very same batch may be in the log already.

        Raises:
            AppendFailed: it isn't durable, as far as is known.
        """
        ...

    def tidy(self) -> None:
        """After a commit, whose waiters have been told. Failing to is no failure to record."""
        ...

    def seconds(self) -> float | None:
        """Until `tidy` is to be called though nothing was appended; None: it needn't be."""
        ...

    def publish(self) -> tuple[int, bytes]:
        """Sign a checkpoint of the log as it is, and store it: see `failsoft.ledger.checkpoints.signer.publish`."""
        ...

    def signed_by(self, key: SigningKey) -> bool:
        """Is the head this key's?"""
        ...

    def open_calls(self, emitter: str) -> Iterator[OpenCall]:
        """Calls that this emitter began and that have no end in the log."""
        ...

    def ended(self, calls: Sequence[str]) -> set[str]:
        """Those of them that have an end in the log, by whomever."""
        ...

    def hold(self, emitter: str) -> Life:
        """Say that this emitter is alive, until the process ends."""
        ...

    def gone(self, own: str) -> Iterator[tuple[str, Life]]:
        """Emitters that are gone and that nobody has looked after."""
        ...

    def forget(self, digests: Sequence[bytes]) -> bool:
        """Delete the payloads behind these commitments, and what else the store holds of their bytes.

        Returns:
            False: they're deleted, and their bytes are there still: somebody who reads keeps old pages in use, say.

        Raises:
            sqlite3.Error, DatabaseFailed, OSError: it can't be done.
        """
        ...

    def prune(self, last: int) -> bool:
        """Take out the records of calls up to this place, but for their hashes; as `forget`. The last first: where that's
        interrupted, no record is left whose beginning is gone.
        """
        ...

    def before_fork(self) -> None:
        """Let go of what can't be there in a child; it's made again when there's something to write."""
        ...

    def after_fork_in_child(self) -> None:
        """Let go of what the parent has still, and goes on using: nobody hears of it."""
        ...

    def anybody(self) -> bool:
        """Does a process have it open?"""
        ...

    def missing(self) -> str | None:
        """Who had it open, didn't say that they ended, and isn't there now: one of them. None: nobody. While it's open."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
