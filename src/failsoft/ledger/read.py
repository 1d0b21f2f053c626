"""Looking into a ledger, while others write to it: queries for people and tools. Nothing here writes or checkpoints."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, Self

from attrs import field, frozen

from failsoft.errors import ConfigurationError, LedgerInvalid, LedgerUnreachable, PayloadSealed
from failsoft.ledger.checkpoints.ranges import stored_range
from failsoft.ledger.format import canonical, merkle
from failsoft.ledger.format.commitment import Disclosure, digest
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.keys.vault import Vault, VaultFailed
from failsoft.ledger.location import Location, locate
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import UNREADABLE, DatabaseFailed, Source
from failsoft.ledger.verification.hashes import first_problem

_COLUMNS = "SELECT seq, leaf, type, ts, body, emitter, call_id FROM ledger_record"
_OF_CASE = "(case_id = ? OR call_id IN (SELECT call_id FROM ledger_record WHERE case_id = ?))"


@frozen
class Entry:
    """One record as it stands in the log.

    Args:
        index: its place, from 0.
        leaf: its hash, as stored.
        body: its exact bytes; None where it was pruned.
        emitter: whose it is, by the index copy; None of the log's opening.
        call_id: of which call, by the index copy; None where it's of none.
    """

    index: int
    leaf: bytes
    kind: str
    ts: str
    body: bytes | None = field(repr=False)
    emitter: str | None = None
    call_id: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What it says.

        Raises:
            failsoft.ledger.format.canonical.ProfileError: its bytes are no record's.
            LookupError: it was pruned.
        """
        if self.body is None:
            raise LookupError(f"record {self.index} was pruned")
        return canonical.read(self.body)


@contextmanager
def _explained(ledger: Location) -> Generator[None, None, None]:
    """What a damaged file leads to is told as what it is."""
    try:
        yield
    except UnicodeEncodeError:  # a shell's argument that isn't UTF-8; what a ledger holds is decoded
        raise ConfigurationError("what's asked for isn't valid Unicode: say it in UTF-8") from None
    except (*UNREADABLE, TypeError, ValueError) as error:
        if isinstance(error, DatabaseFailed) and error.away:
            raise LedgerUnreachable(f"{ledger}: it can't be read now ({error})") from None
        told = isinstance(error, (sqlite3.Error, DatabaseFailed))
        why = str(error) if told else "what it holds isn't of its column's kind"
        raise LedgerInvalid(f"{ledger}: it can't be read ({why}): run `failsoft verify` on it") from None


class Reader:
    """A ledger at one moment: one read transaction, so that all answers fit together. A context manager.

    Whatever is asked of it raises `failsoft.errors.LedgerInvalid` where the file turns out to be damaged.
    """

    def __init__(self, ledger: str | Path | Location) -> None:
        self.location = locate(ledger)
        self._opened: Source | None = None
        self._vault: Vault | None = None

    def __enter__(self) -> Self:
        source = self.location.connect()
        try:
            with _explained(self.location):
                source.begin()
        except BaseException:
            source.close()
            raise
        self._opened = source
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()
        self._opened = None
        if self._vault is not None:
            self._vault.close()

    @property
    def _source(self) -> Source:
        if self._opened is None:
            raise RuntimeError("use the reader inside `with read(ledger) as reader:`")
        return self._opened

    @property
    def origin(self) -> str:
        """The log's name."""
        return str(self._line("SELECT origin FROM ledger_log")[0])

    @property
    def size(self) -> int:
        """How many records."""
        with _explained(self.location):
            return int(self._line("SELECT size FROM ledger_head")[0])

    @property
    def root(self) -> bytes:
        """The tree's root, as the head states it."""
        size, data = self._line("SELECT size, frontier FROM ledger_head")
        with _explained(self.location):
            return Frontier.from_bytes(size, data).root()

    def records(
        self,
        kind: Kind | str | Sequence[str] | None = None,
        call_id: str | None = None,
        case: str | None = None,
        capability: str | None = None,
        last: int | None = None,
        *,
        since: str | None = None,
        until: str | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        """Records in the order of the log, those that fit all that's asked, one at a time.

        Args:
            kind: the type, e.g. ``"call.completed"``, or several; of these, those that weren't pruned.
            call_id: of this call.
            case: that name the case with this id, or belong to one of its calls.
            capability: of the capability with this name.
            last: only the newest so many, at least 1.
            since: whose own time is this or later, written as in the log.
            until: whose own time is earlier than this, written as in the log.
            newest_first: in the opposite order.
        """
        kinds = (kind,) if isinstance(kind, str) else tuple(kind or ())
        asked: list[tuple[str, tuple[str | None, ...]]] = [
            (f"type IN ({', '.join('?' * len(kinds))})", tuple(map(str, kinds))),
            ("call_id = ?", (call_id,)),
            (_OF_CASE, (case, case)),
            ("capability = ?", (capability,)),
            ("ts >= ?", (since,)),
            ("ts < ?", (until,)),
        ]
        given = [(condition, values) for condition, values in asked if values and None not in values]
        if kinds:  # of one that was pruned there's nothing left to tell
            given.append(("body IS NOT NULL", ()))
        where = " AND ".join(condition for condition, _ in given)
        values = tuple(each for _, values in given for each in values)
        query = f"{_COLUMNS} WHERE {where}" if where else _COLUMNS
        order = "ORDER BY seq DESC" if newest_first else "ORDER BY seq"
        if last is None:
            return self._entries(f"{query} {order}", values)
        newest = f"SELECT * FROM ({query} ORDER BY seq DESC LIMIT ?) AS newest {order}"  # noqa: S608 -- our own names
        return self._entries(newest, (*values, last))

    def record(self, index: int) -> Entry:
        """The record at this place.

        Raises:
            LookupError: there's none.
        """
        entry = next(self._entries(f"{_COLUMNS} WHERE seq = ?", (index,)), None)
        if entry is None:
            raise LookupError(f"there is no record {index} in {self.location}")
        return entry

    def call(self, call_id: str) -> list[Entry]:
        """All records of one call, in order; none where the call isn't known."""
        return list(self.records(call_id=call_id))

    def payload(self, commitment: str | bytes) -> tuple[str, str, bytes] | None:
        """Path, media type and data behind a commitment; None where it isn't kept (any more).

        Args:
            commitment: the digest, as in a record (lower-case hex) or as bytes.

        Raises:
            ValueError: what's kept is not what was committed to.
        """
        plain = self.disclosure(commitment)
        if plain is None:
            return None
        disclosure = Disclosure.from_bytes(plain)
        return disclosure.path, disclosure.media, disclosure.data

    def disclosure(self, commitment: str | bytes) -> bytes | None:
        """The bytes that a commitment was made of, without its tag; None where they aren't kept (any more).

        Args:
            commitment: the digest, as in a record (lower-case hex) or as bytes.

        Raises:
            ValueError: what's kept is not what was committed to.
            PayloadSealed: it's encrypted, and its key isn't here.
        """
        key = bytes.fromhex(commitment) if isinstance(commitment, str) else commitment
        row = self._one("SELECT dek, nonce, data FROM ledger_payload WHERE digest = ?", (key,))
        if row is None:
            return None
        plain = row[2] if row[0] is None else self._unsealed(key, *row)
        if plain is not None and (type(plain) is not bytes or digest(plain) != key):
            raise ValueError(f"the payload of {key.hex()} is not what was committed to")
        return plain

    def readable(self, commitment: str | bytes) -> tuple[str, str, bytes] | None:
        """As `payload`, and None as well where it's encrypted and its key isn't here."""
        try:
            return self.payload(commitment)
        except PayloadSealed:
            return None

    def keeps(self, commitment: str) -> bool:
        """Is anything kept behind a commitment, encrypted or not?"""
        return self._one("SELECT 1 FROM ledger_payload WHERE digest = ?", (bytes.fromhex(commitment),)) is not None

    def _unsealed(self, commitment: bytes, dek: bytes, nonce: bytes, data: bytes) -> bytes | None:
        sealing = self.location.sealing
        if sealing is None:
            raise PayloadSealed(f"{self.location}: its payloads are encrypted: name the ledger by its failsoft.toml")
        if self._vault is None:
            self._vault = Vault(sealing, self.origin)
        try:
            kept = self._vault.find(dek)
        except VaultFailed as error:
            raise LedgerInvalid(str(error)) from None
        if kept is not None and kept.shredded:
            return None
        if kept is None or kept.key is None:
            raise PayloadSealed(f"{sealing.path}: it doesn't hold the key {dek.hex()}, or another payload key wraps it")
        plain = kept.key.open(data, commitment, nonce)
        if plain is None:
            raise ValueError(f"the payload of {commitment.hex()} is not what was committed to")
        return plain

    def artifact(self, sha256: str | bytes) -> tuple[str, bytes] | None:
        """Media type and data of an artifact (a configuration snapshot); None where there's none."""
        key = bytes.fromhex(sha256) if isinstance(sha256, str) else sha256
        row = self._one("SELECT media, data FROM ledger_artifact WHERE sha256 = ?", (key,))
        return None if row is None else (row[0], row[1])

    def of_emitter(self, emitter: str, number: int) -> Entry | None:
        """The record with this number (`eseq`) of an emitter, by the index copies; None where there's none."""
        return next(self._entries(f"{_COLUMNS} WHERE emitter = ? AND eseq = ?", (emitter, number)), None)

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint that's stored; None where there's none. Nothing of it is verified."""
        row = self._one("SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")
        if row is not None and type(row[0]) is not bytes:
            raise LedgerInvalid(f"{self.location}: its newest checkpoint is damaged: run `failsoft verify` on it")
        return None if row is None else row[0]

    def root_at(self, size: int) -> bytes:
        """The tree's root when the log had so many records, at most as many as now."""
        return self._range_hash(0, size)

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The hashes that prove the record at this place, by `failsoft.ledger.format.merkle.verify_inclusion`.

        Args:
            index: its place.
            size: in the log as it was with so many records; None: as it is.

        Raises:
            ValueError: there's no such record.
        """
        return merkle.inclusion_proof(self._range_hash, index, self.size if size is None else size)

    def consistency(self, old: int, size: int | None = None) -> list[bytes]:
        """The hashes that prove that the first `old` records are unchanged since.

        Args:
            old: so many.
            size: in the log as it was with so many records; None: as it is.

        Raises:
            ValueError: there are fewer, or `old` is 0.
        """
        return merkle.consistency_proof(self._range_hash, old, self.size if size is None else size)

    def look_through(self, checkpoint: Checkpoint) -> None:
        """May the log be gone by its rows? What finds a record stands beside its bytes, and says of itself no more than
        whoever can write the file: each must say what the bytes say, and these must give the tree.

        Args:
            checkpoint: of the log.

        Raises:
            LedgerInvalid: it was changed.
        """
        with _explained(self.location):
            wrong = first_problem(self._source, checkpoint)
        if wrong:
            raise LedgerInvalid(f"{self.location}: {wrong}: run `failsoft verify` on it")

    def last_time(self, emitter: str) -> str:
        """The time of the newest record of an emitter; empty where that was pruned, or there's none."""
        query = "SELECT ts FROM ledger_record WHERE emitter = ? ORDER BY eseq DESC LIMIT 1"
        row = self._one(query, (emitter,))
        return "" if row is None or row[0] is None else str(row[0])

    def _range_hash(self, first: int, end: int) -> bytes:
        with _explained(self.location):
            return stored_range(self._source, first, end)

    def _one(self, query: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        with _explained(self.location):
            row: tuple[Any, ...] | None = self._source.execute(query, values).fetchone()
            return row

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        with _explained(self.location):
            # Not `yield from`: it would close the cursor of a connection that may be closed by then.
            for row in self._source.stream(query, values):  # noqa: UP028
                yield row

    def alive(self, emitter: str) -> bool | None:
        """Is this emitter's process there? None where that can't be told: on a standby."""
        with _explained(self.location):
            return self._source.alive(emitter)

    def _line(self, query: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """The one line of a table that has one."""
        if (row := self._one(query, values)) is not None:
            return row
        raise LedgerInvalid(f"{self.location}: a line is missing that every ledger has: run `failsoft verify` on it")

    def _entries(self, query: str, values: tuple[Any, ...]) -> Iterator[Entry]:
        for row in self._rows(query, values):
            if type(row[1]) is not bytes or type(row[4]) not in (bytes, NoneType):
                raise LedgerInvalid(f"{self.location}: record {row[0]} is damaged: run `failsoft verify` on it")
            yield Entry(*row)


def read(ledger: str | Path | Location) -> Reader:
    """A reader of this ledger, as a context manager.

    Args:
        ledger: its file, or its URL as a configuration has it.

    Raises:
        LedgerInvalid: on entering: it's no ledger, or it can't be read.
    """
    return Reader(ledger)
