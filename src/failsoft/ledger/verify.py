"""Full verification of a ledger, whatever its store, while others write to it or not: one read transaction, nothing changed.

Without a key or a pin that the verifier brings along, the most that can be said is *self-consistent*: whoever can write
the file can write a whole new one. A pin (size and root, or a checkpoint, kept elsewhere) turns that into: nothing up to
there was changed. A key turns it into: *verified*, nobody without the private key changed anything.
"""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from attrs import define, field, frozen

from failsoft.errors import LedgerInvalid
from failsoft.ledger.format.note import VerifierKey
from failsoft.ledger.keys.vault import Sealing
from failsoft.ledger.location import Location, locate
from failsoft.ledger.store import DAMAGED, GRAVITY, INCOMPLETE, TAMPERED, UNUSABLE, WHOLE, DatabaseFailed, Source
from failsoft.ledger.verification.covered import Covered
from failsoft.ledger.verification.hashes import COPIES, Hashes
from failsoft.ledger.verification.log_line import check_head, check_line
from failsoft.ledger.verification.walk import OpenCall, Walk

SHOWN = 100
"""Problems that are kept; the others are counted."""

CHUNK = 200
"""Records that are fetched at once."""

_COLUMNS = f"seq, leaf, body, {COPIES}"


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
        problems: the first hundred, in the order of the log, and each that is graver than all before.
        more: how many there are besides.
        notes: what's worth knowing and no problem.
        root: of the tree of the records as they are, lower-case hex.
        kinds: how many records of each type.
        in_flight: calls that are open now, in a process that's alive.
        covered: by the largest checkpoint that a given key signed; None where none did, or no key was given.
        head_signed: is the head signed by a given key? Then so are the records after that checkpoint.
        witnesses: given keys of witnesses that cosigned that checkpoint.
        seen: when the first of them did, UTC: all records that it covers were there by then.
        hashes_only: nothing else was looked at: `kinds` and `payloads` say nothing.
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
    seen: str | None = None
    hashes_only: bool = False

    @property
    def verdict(self) -> str:
        """In a few words."""
        return self._verdict() + (", by its hashes alone" if self.hashes_only and self.exit_code == WHOLE else "")

    def _verdict(self) -> str:
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
            lines += [f"origin {self.origin}", f"{self.size} records" + (f": {kinds}" if kinds else "")]
            lines += [] if self.hashes_only else [f"{self.payloads} payloads"]
            lines.append(f"root {self.root}")
            if self.covered is not None and self.covered <= self.size:
                lines.append(self._coverage(self.covered))
        lines += [*self.notes, *map(str, self.problems)]
        if self.more:
            lines.append(f"and {self.more} problems more")
        return [printable(line) for line in lines]

    def _coverage(self, covered: int) -> str:
        tail = f"tail {self.size - covered}" + (", under the signed head" if self.head_signed else "")
        witnesses = f"; cosigned by {self.witnesses} of the witnesses that you gave" if self.witnesses else ""
        witnesses += f", first at {self.seen}" if self.seen else ""
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


@define
class _Findings:
    problems: list[Problem] = field(factory=list[Problem])
    more: int = 0
    code: int = WHOLE

    def add(self, problem: Problem) -> None:
        graver = GRAVITY.index(problem.code) > GRAVITY.index(self.code)
        self.code = problem.code if graver else self.code
        if graver or len(self.problems) < SHOWN:
            self.problems.append(problem)
        else:
            self.more += 1

    def report(self, code: int, what: str, index: int | None) -> None:
        self.add(Problem(code, what, index))


def verify(
    ledger: str | Path | Location,
    *,
    pins: Sequence[tuple[int, str]] = (),
    keys: Sequence[VerifierKey] = (),
    checkpoints: Sequence[bytes] = (),
    hashes_only: bool = False,
) -> Verification:
    """Check a ledger from its first byte to its last.

    Args:
        ledger: its file, or its URL as a configuration has it.
        pins: size and root (lower-case hex) of the log at earlier times, from the verifier's own keeping.
        keys: of the log, and of witnesses, likewise.
        checkpoints: signed checkpoints of the log at earlier times, likewise.
        hashes_only: look at nothing but hashes, six times as fast: between full verifications. It finds what was changed
            since the last one, and not what was wrong from the beginning, nor payloads that are gone.

    Nothing is raised for what the ledger holds: that's in the result. The result is 0 only if each key and pin was of use.

    Raises:
        ConfigurationError: there are keys, and the extra ``signing`` isn't installed.
    """
    try:
        location = locate(ledger)
        source = location.connect()
    except LedgerInvalid as error:
        return Verification(UNUSABLE, (Problem(UNUSABLE, str(error)),))
    found = _Findings()
    covered = Covered(keys, pins, checkpoints, found.report)
    hashes, walk = Hashes(source, ""), Walk(source, "")
    tree: Hashes | Walk = hashes if hashes_only else walk
    in_flight = unknown = 0
    try:
        source.begin()
        for code, what in source.examine(quickly=hashes_only):
            found.add(Problem(code, what))
        if found.code != UNUSABLE:
            check_line(source, tree, covered, found.report)
            if hashes_only:
                hashes.check(covered, found.report)
                check_head(source, tree, covered, found.report)
            else:
                _walk(source, location.sealing, walk, covered, found)
                check_head(source, tree, covered, found.report)
                _payloads(source, walk, found)
                _doubled(source, found)
                source.end()
                walk.payloads.look_for_the_destroyed(walk.frontier.size, found.report)
                in_flight, unknown = _open_calls(source, walk, found)
    except DAMAGED as error:
        if _is_of_the_reading(error):
            found.add(Problem(UNUSABLE, f"{location}: it can't be read ({error})"))
        else:
            found.add(Problem(TAMPERED, f"{location}: cut or damaged ({error})", tree.frontier.size))
    except subprocess.SubprocessError:
        found.add(Problem(UNUSABLE, f"{location}: its write-ahead log couldn't be read, or not in time"))
    finally:
        source.close()
        walk.payloads.close()
    return Verification(
        found.code,
        tuple(found.problems),
        found.more,
        (*_notes(walk, hashes, covered), *_unknown(unknown)),
        tree.origin,
        tree.frontier.size,
        tree.frontier.root().hex(),
        MappingProxyType(dict(walk.kinds)),
        walk.payloads.count,
        in_flight,
        covered.pinned,
        covered.size or None,
        covered.head_signed,
        covered.witnesses,
        covered.seen,
        hashes_only,
    )


def _notes(walk: Walk, hashes: Hashes, covered: Covered) -> Iterator[str]:
    for size, latest, seen in covered.ahead[:1]:
        yield (
            f"one of the first {size} records says {latest}, and a witness saw it at {seen}: its clock was ahead, or the "
            "witness's behind, or one of them lies"
        )
    if walk.behind is not None:
        index, ts = walk.behind
        yield (
            f"record {index} says {ts}, and a witness saw what's before it more than a day later: it waited before it came "
            "into the log, or the witness cosigned late, or a clock was wrong, or one of them lies"
        )
    if walk.steps_back:
        yield (
            f"{walk.steps_back} times a record's time is a second or more before that of the record before it: a clock "
            "stepped back, or records waited on their way: the order of the log is what counts"
        )
    if pruned := walk.pruned.count or hashes.pruned.count:
        yield f"{pruned} records were pruned, as the log says"
    if walk.payloads.erased:
        yield f"{walk.payloads.erased} payloads were erased, as the log says"
    if late := walk.payloads.late:
        yield f"{late} payloads are older than the erasure of their case, and came after it: erase it again"
    if walk.payloads.clear_again:
        yield f"{walk.payloads.clear_again} payloads are in clear, though others before them are encrypted"
    if walk.payloads.sealed:
        yield f"{walk.payloads.sealed} payloads are encrypted and weren't opened: their content wasn't checked"


def _unknown(calls: int) -> Iterator[str]:
    if calls:
        yield f"{calls} calls have no end in the log so far: read from a standby, it can't be told whose process is there"


def _is_of_the_reading(error: BaseException) -> bool:
    """Is it no word about the ledger?"""
    if isinstance(error, DatabaseFailed):
        return not error.damaged
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _OF_THE_READING


def _walk(source: Source, sealing: Sealing | None, walk: Walk, covered: Covered, found: _Findings) -> None:
    walk.payloads.begin(sealing, walk.origin)
    rows = source.stream(f"SELECT {_COLUMNS} FROM ledger_record {source.hint_rows} ORDER BY seq")  # noqa: S608 -- our own
    while chunk := list(islice(rows, CHUNK)):
        walk.expect(chunk)
        for row in chunk:

            def problem(what: str, at: object = row[0], rid: object = row[5]) -> None:
                found.add(Problem(TAMPERED, what, int(str(at)), None if rid is None else str(rid)))

            walk.record(row, problem)
            if walk.frontier.size == covered.due:
                covered.at(walk.frontier, walk.declared, walk.latest)
                walk.not_before = covered.not_before
    covered.end(walk.frontier.size)
    walk.payloads.end(found.report)
    walk.pruned.end(found.report)
    stated = source.execute("SELECT vkey FROM ledger_log").fetchone()
    if stated is not None and stated[0] != walk.first_key:
        found.add(Problem(TAMPERED, "the log's own line states another key than its first record"))


def _payloads(source: Source, walk: Walk, found: _Findings) -> None:
    count, total = 0, 0
    for (digest,) in source.stream("SELECT digest FROM ledger_payload"):
        count, total = count + 1, total + hash(digest)
    if count > walk.payloads.count:
        found.add(Problem(TAMPERED, f"{count - walk.payloads.count} payloads belong to no record"))
    elif total != walk.payloads.sum:
        found.add(Problem(TAMPERED, "a payload belongs to two records, or to none"))


def _doubled(source: Source, found: _Findings) -> None:
    def count(kind: str) -> str:
        return f"count(CASE WHEN type = 'call.{kind}' THEN 1 END) > 1"

    rows = source.stream(
        f"SELECT max(seq), call_id FROM ledger_record {source.hint_calls} WHERE call_id IS NOT NULL GROUP BY call_id"  # noqa: S608
        f" HAVING {count('started')} OR {count('completed')} OR {count('orphaned')}"
    )
    for index, call_id in rows:
        found.add(Problem(TAMPERED, f"call {call_id!r:.60} was started or ended more than once", index))


def _open_calls(source: Source, walk: Walk, found: _Findings) -> tuple[int, int]:
    """Calls that were open at the moment that was read: how many are in flight, and of how many that can't be told. The
    others were left open by somebody who's gone.
    """
    in_flight = unknown = 0
    living: dict[str, bool | None] = {}
    for call_id, call in walk.open_calls.items():
        if call.emitter not in living:
            living[call.emitter] = False if walk.emitters[call.emitter].ended else source.alive(call.emitter)
        if living[call.emitter] or _ended_since(source, call_id, call):
            in_flight += 1
        elif living[call.emitter] is None:
            unknown += 1
        else:
            found.add(Problem(INCOMPLETE, f"call {call_id!r:.60} has no end in the log", call.index))
    return in_flight, unknown


def _ended_since(source: Source, call_id: str, call: OpenCall) -> bool:
    row = source.execute(
        "SELECT 1 FROM ledger_record WHERE call_id = ? AND seq > ? AND type != 'call.started'", (call_id, call.index)
    ).fetchone()
    return row is not None
