"""A ledger's records, one after the other: everything about them that can be checked without a key.

Rules:

1. A record's bytes hash to its leaf, are canonical, and say what the index copies say.
2. Record 0 opens the log, and no other does. All records name its origin.
3. An emitter begins with ``emitter.opened`` at 0, counts by one, its time never falls, and nothing follows its
   ``emitter.closed``.
4. A call is started once and ends at most once; its end names the start's leaf, an amendment the end's. That it was
   orphaned is what another process concluded: the call's own emitter, which had lost its database for a while, may end it
   all the same. What a person decides about it (`failsoft.ledger.verification.walk_persons`) names the record of its answer.
5. What it commits to is kept: see `failsoft.ledger.verification.kept`. One without its bytes was pruned: see
   `failsoft.ledger.verification.pruned`.

State kept: one line for each emitter and each open call; nothing for what's finished.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from hashlib import sha256
from types import NoneType
from typing import Any

from attrs import define, field

from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import BLOCK, Frontier
from failsoft.ledger.format.note import VerifierKey
from failsoft.ledger.records.schema import FORMAT, PRUNABLE, RELATIONS, REQUIRED, Kind
from failsoft.ledger.store import Source
from failsoft.ledger.verification.covered import Declared
from failsoft.ledger.verification.hashes import (
    LEAF,
    MALFORMED,
    NOT_AS_PRUNED,
    OTHERWISE,
    ROTATES_ELSEWHERE,
    copies_of,
    subtree_problem,
)
from failsoft.ledger.verification.kept import KeptPayloads
from failsoft.ledger.verification.pruned import Pruned
from failsoft.ledger.verification.walk_persons import ACTS, ANSWERS, EARLIER, check_act, check_need

Report = Callable[[str], None]
Fields = dict[str, Any]

_RID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TS = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z")
_HEX16 = re.compile(r"[0-9a-f]{32}")
_HEX32 = re.compile(r"[0-9a-f]{64}")
_NAMES = ("person", "approved_by", "recipient", "event", "host", "adapter")
"""Keys of a record whose values are names."""

_ARTIFACTS = (("config_sha256", "the configuration"), ("lock_sha256", "the lock"), ("report_sha256", "the report"))

_NO_RULES = (None, frozenset[str](), frozenset[str]())
_RULES = {kind.value: (kind, REQUIRED.get(kind, frozenset()), RELATIONS.get(kind, frozenset())) for kind in Kind}


@define
class EmitterState:
    """What the next record of an emitter must fit."""

    next: int = 0
    mono_us: int = 0
    ended: bool = False
    failure: str | None = None


@define
class OpenCall:
    """A call that was started, and hasn't ended so far."""

    index: int
    leaf: bytes
    emitter: str


@define
class Walk:
    """What is known after the records so far.

    Args:
        source: for payloads and the rare look back.
        first_key: the verifier key that the log was opened with; None where it wasn't signed then.
        declared: the keys that records declare.
        origin: as the log's own table states it.
        not_before: the time that the records to come are expected to be later than, UTC; empty: there's none.
        behind: the first that's from before, and its time; None: none is.
    """

    source: Source
    origin: str
    frontier: Frontier = field(factory=Frontier)
    kinds: Counter[str] = field(factory=Counter[str])
    emitters: dict[str, EmitterState] = field(factory=dict[str, EmitterState])
    open_calls: dict[str, OpenCall] = field(factory=dict[str, OpenCall])
    first_key: str | None = None
    declared: Declared = field(factory=Declared)
    steps_back: int = 0
    not_before: str = ""
    behind: tuple[int, str] | None = None
    _ts: str = ""
    _before: str = ""
    payloads: KeptPayloads = field(init=False)
    pruned: Pruned = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.payloads = KeptPayloads(self.source)
        self.pruned = Pruned(self.source)

    def expect(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """These rows come next."""
        self.payloads.rows.expect([row[2] for row in rows if type(row[2]) is bytes])

    def record(self, row: tuple[Any, ...], problem: Report) -> None:
        """The next row of ``ledger_record``: seq, leaf, body, then the index copies."""
        index, leaf, body = row[0], row[1], row[2]
        if index != self.frontier.size:
            problem(f"{index - self.frontier.size} records before it are missing")
        if type(leaf) is not bytes or len(leaf) != LEAF or type(body) not in (bytes, NoneType):
            problem("its row is damaged: its leaf isn't 32 bytes, or its record isn't bytes")
            leaf, body = b"", None
        block = self.frontier.append(leaf)
        if block is not None and (wrong := subtree_problem(self.source, index // BLOCK, block)):
            problem(wrong)
        if body is None:
            self._bare(index, leaf, row, problem)
            return
        if sha256(b"\x00" + body).digest() != leaf:
            problem("its bytes don't hash to its leaf: it was changed")
        try:
            fields = canonical.read(body)
            kind = self._common(index, fields, row, problem)
            if kind is not None:
                self.kinds[fields["type"]] += 1
                self.pruned.kept(index, kind, leaf)
                self._own(kind, index, leaf, fields, problem)
        except canonical.ProfileError as error:
            problem(f"its bytes are no record's: {error}")
        except (KeyError, TypeError, AttributeError, ValueError):
            problem(MALFORMED)

    def _bare(self, index: int, leaf: bytes, row: tuple[Any, ...], problem: Report) -> None:
        """A record without its bytes: what's left of it must fit, and a later one must say that it was pruned."""
        emitter, number, kind = row[3], row[4], row[6]
        if kind not in PRUNABLE or type(number) is not int or any(each is not None for each in (row[5], *row[7:])):
            problem(NOT_AS_PRUNED)
            return
        state = self.emitters.setdefault(str(emitter), EmitterState())
        if state.ended or number != state.next:
            problem(f"it's number {number} of its emitter, after {state.next - 1}: records are missing or exchanged")
        state.next = number + 1
        self.pruned.bare(index, leaf, str(emitter), number)

    # --- what all have ------------------------------------------------------------------------------------------------

    def _note_time(self, index: int, ts: str) -> None:
        if ts < self.not_before and self.behind is None:
            self.behind = index, ts
        if ts >= self._ts:
            self._ts = ts
        elif _stepped_back(self._ts, ts):
            self.steps_back += 1
            self._before = max(self._before, self._ts)
            self._ts = ts

    @property
    def latest(self) -> str:
        """The latest time that a record claims."""
        return max(self._before, self._ts)

    def _common(self, index: int, fields: Fields, row: tuple[Any, ...], problem: Report) -> Kind | None:
        kind, required, relations = _RULES.get(fields["type"], _NO_RULES)
        ts, capability, case = fields["ts"], fields.get("capability"), fields.get("case")
        if copies_of(fields) != row[3:]:
            problem(OTHERWISE)
        if type(fields["v"]) is not int or fields["v"] != 1 or kind is None:
            problem(f"version or type unknown: {fields['type']!r:.60}")
            return None
        if _RID.fullmatch(fields["rid"]) is None or _TS.fullmatch(ts) is None:
            problem("its id or its time isn't written as the format has it")
        if fields["origin"] != self.origin:
            problem("it belongs to another log: its origin differs")
        if not required <= fields.keys():
            problem(f"it lacks {', '.join(sorted(required - fields.keys()))}")
        if "refs" in fields and not fields["refs"].keys() <= relations:
            problem("it refers to others by a relation that its type doesn't have")
        if not _names_well(fields, case, capability):
            problem("a name in it has control or format characters, isn't in NFC, or is too long")
        self._note_time(index, ts)
        if (kind is Kind.LOG_OPENED) != (index == 0):
            problem("a log is opened by its first record, and by no other")
        if index:
            self._emitter(kind, fields, problem)
        else:
            self._opening(fields, problem)
        return kind

    def _opening(self, fields: Fields, problem: Report) -> None:
        if fields["format"] != FORMAT:
            problem("its format is another one")
        for key in fields.get("keys", ()):
            self._declare(0, key)
        self.first_key = fields["keys"][0] if "keys" in fields else None

    def _declare(self, index: int, key: str) -> None:
        VerifierKey.parse(key)
        self.declared.take(index, key)

    def _emitter(self, kind: Kind, fields: Fields, problem: Report) -> None:
        name, number, mono_us = fields["emitter"], fields["eseq"], fields["mono_us"]
        if type(number) is not int or type(mono_us) is not int or _HEX16.fullmatch(name) is None:
            raise ValueError
        state = self.emitters.get(name)
        if state is None:
            state = self.emitters[name] = EmitterState()
        if state.ended:
            problem("its emitter was closed before it")
        if number != state.next:
            problem(f"it's number {number} of its emitter, after {state.next - 1}: records are missing or exchanged")
        if (number == 0) != (kind is Kind.EMITTER_OPENED):
            problem("an emitter opens with its first record, and with no other")
        if mono_us < state.mono_us:
            problem("its emitter's time falls")
        if kind is Kind.EMITTER_CLOSED:
            state.ended = True
            if fields["last"] != number:
                problem("its emitter claims to have closed at another number")
        state.next, state.mono_us = number + 1, mono_us

    # --- what each type has -------------------------------------------------------------------------------------------

    def _own(self, kind: Kind, index: int, leaf: bytes, fields: Fields, problem: Report) -> None:
        if "commitments" in fields:
            self.payloads.check(index, fields, problem, prunable=kind in PRUNABLE)
        if "review" in fields and kind in ANSWERS:
            check_need(fields, problem)
        if kind is Kind.CALL_STARTED:
            if fields["call_id"] in self.open_calls:
                problem("its call was started before")
            self.open_calls[fields["call_id"]] = OpenCall(index, leaf, fields["emitter"])
        elif kind is Kind.CALL_COMPLETED or kind is Kind.CALL_ORPHANED:
            self._end(fields, problem)
        elif kind is Kind.CALL_AMENDED:
            self._amendment(index, fields, problem)
        elif kind in ACTS:
            earlier = self.source.execute(EARLIER, (fields["call_id"], index))
            check_act(kind, fields, earlier, partial(self._unless_pruned, index, problem), problem)
        elif kind is Kind.KEY_ROTATED:
            self._rotation(index, fields, problem)
        elif kind is Kind.CONFIG_ACTIVATED or kind is Kind.LOCK_CHANGED or kind is Kind.APPROVAL_RECORDED:
            self._in_force(fields, problem)
        else:
            self._of_the_ledger(kind, index, leaf, fields, problem)

    def _of_the_ledger(self, kind: Kind, index: int, leaf: bytes, fields: Fields, problem: Report) -> None:
        if kind is Kind.PAYLOAD_ERASED:
            self._erasure(index, fields)
        elif kind is Kind.CASE_EVENT:
            if date.fromisoformat(fields["date"]).isoformat() != fields["date"]:
                raise ValueError
        elif kind is Kind.RECORD_PRUNED:
            self.payloads.prune(self.pruned.said(index, fields, problem))
        elif kind is Kind.GAP_DECLARED:
            _count(fields["count"], 1)
        elif kind is Kind.LEDGER_FAILURE:
            _count(fields["lost_at_most"], 0)
            self.emitters[fields["emitter"]].failure = leaf.hex()
        elif kind is Kind.LEDGER_RECOVERED and fields["refs"]["failure"] != self.emitters[fields["emitter"]].failure:
            problem("it names a failure that isn't its emitter's latest")

    def _rotation(self, index: int, fields: Fields, problem: Report) -> None:
        before = self.declared.key
        if fields.get("from") != before and fields["to"] != before:  # two processes may declare the first key at once
            problem(ROTATES_ELSEWHERE)
        self._declare(index, fields["to"])

    def _erasure(self, index: int, fields: Fields) -> None:
        if not all(_HEX16.fullmatch(each) for each in fields.get("deks", ())):
            raise ValueError
        if not all(_HEX32.fullmatch(each) for each in fields.get("digests", ())):
            raise ValueError
        self.payloads.forget(index, fields)

    def _end(self, fields: Fields, problem: Report) -> None:
        started = self.open_calls.pop(fields["call_id"], None)
        refs = fields.get("refs")
        if started is None:
            named = None if refs is None else refs["started"]
            if named is not None and not self._orphaned_by_another(fields, named):
                what = "its call isn't open: it ended before, or was never started"
                self._unless_pruned(self.frontier.size - 1, problem, named, what)
        elif refs is None or refs["started"] != started.leaf.hex():
            problem("it doesn't name the start of its call: ends were exchanged, or the start was")

    def _orphaned_by_another(self, fields: Fields, started: str) -> bool:
        """Is this the end of a call that somebody else took for orphaned?"""
        if fields["type"] != Kind.CALL_COMPLETED:
            return False
        rows = self.source.execute(
            "SELECT type, leaf, emitter FROM ledger_record WHERE call_id = ? AND seq < ?",
            (fields["call_id"], self.frontier.size - 1),
        ).fetchall()
        own = fields["emitter"]
        return (
            sorted(kind for kind, _, _ in rows) == ["call.orphaned", "call.started"]
            and all((emitter == own) is (kind == Kind.CALL_STARTED) for kind, _, emitter in rows)
            and any(kind == Kind.CALL_STARTED and leaf.hex() == started for kind, leaf, _ in rows)
        )

    def _amendment(self, index: int, fields: Fields, problem: Report) -> None:
        self.open_calls.pop(fields["call_id"], None)
        refs = fields.get("refs")
        rows = self.source.execute(
            "SELECT leaf FROM ledger_record WHERE call_id = ? AND type = 'call.completed' AND seq < ?",
            (fields["call_id"], index),
        )
        named = None if refs is None else refs["completed"]
        if named is not None and named not in [leaf.hex() for (leaf,) in rows]:
            self._unless_pruned(index, problem, named, "it amends a record that isn't its call's")

    def _unless_pruned(self, index: int, problem: Report, leaf: str, what: str) -> None:
        """A problem, unless that is the leaf of an earlier record without bytes: its call was pruned, and this came late."""
        if _HEX32.fullmatch(leaf) is None:
            raise ValueError
        self.pruned.suppose(leaf, index, partial(problem, what))

    def _in_force(self, fields: Fields, problem: Report) -> None:
        """What it names is there: a configuration, a lock, a report about one, the schemas of answers."""
        for key, what in _ARTIFACTS:
            if key in fields:
                self._artifact(fields[key], what, problem)
        for each in canonical.array(fields, "capabilities"):
            if (digest := each.get("digest")) is not None:
                self._artifact(digest, f"the schema of {each['name']!r:.60}", problem)

    def _artifact(self, digest: str, what: str, problem: Report) -> None:
        row = self.source.execute(
            "SELECT data FROM ledger_artifact WHERE sha256 = ?", (bytes.fromhex(digest),)
        ).fetchone()
        if row is None:
            problem(f"{what} that it names is missing")
        elif sha256(row[0]).hexdigest() != digest:
            problem(f"{what} that it names was changed")


def _count(value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValueError


def _names_well(fields: Fields, case: Fields | None, capability: Fields | None) -> bool:
    """Are all names in it written as names are?"""
    actor = fields.get("actor")
    return (
        (case is None or all(map(_named_well, case.values())))
        and (capability is None or _named_well(capability["name"]))
        and (actor is None or all(map(_named_well, (actor["id"], *actor.values()))))
        and all(map(_named_well, canonical.array(fields, "labels")))
        and all(_named_well(fields[key]) for key in _NAMES if key in fields)
    )


@lru_cache(maxsize=4096)
def _named_well(name: str) -> bool:
    return (
        0 < len(name.encode()) <= 128
        and unicodedata.is_normalized("NFC", name)
        and not any(unicodedata.category(char) in ("Cc", "Cf") for char in name)
    )


def _stepped_back(before: str, after: str) -> bool:
    """By a second or more: less is how records of several threads and processes overtake each other on their way in."""
    try:
        return datetime.fromisoformat(before[:-1]) - datetime.fromisoformat(after[:-1]) >= timedelta(seconds=1)
    except ValueError:
        return True  # one of them isn't a time, which is told elsewhere
