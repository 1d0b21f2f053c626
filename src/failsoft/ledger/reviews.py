"""How the reviews of calls stand, as a ledger tells it: which answers wait for a person, and what persons decided.

Rules:

1. What the caller really got counts: a `call.amended` is newer than the `call.completed` that it amends.
2. An answer whose record says so is *pending*. So is one that somebody appealed against, whatever was decided before.
3. A review or an override decides it. Several stand beside each other; the newest counts.
4. One of them that names another record than that of what the caller got decides nothing.
5. Times are the records' own; the order is the log's.

State kept by `pending`: a line for each call that's pending. `reviewed` and `history` keep none, and look each call up.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final, Literal

from attrs import define, frozen

from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.reading.kept import Payloads
from failsoft.ledger.reading.query import Fields, reviewer_of
from failsoft.ledger.records.person_draft import CHANGED, KINDS, REASON
from failsoft.ledger.records.schema import Kind

Status = Literal["none", "pending", "accepted", "changed", "rejected"]

OWN: Final = "the call's own actor, or the one on whose behalf it was made"
"""Who a person is that decided of a call of their own."""

COLUMNS = MappingProxyType(
    {
        "index": "the record of the answer: its place in the log",
        "ts": "that record's own time, UTC",
        "call_id": "the call",
        "case": "its case",
        "capability": "what was asked for",
        "version": "the capability's version",
        "outcome": "answered, or referred",
        "source": "what answered: adapter, fallback, frozen",
        "answered_by": "its name",
        "kept": "true: the answer's payload is there",
        "answer": "what was answered, where that can be read here",
        "policy": "why it's reviewed: always, when, sample; empty: nobody had to",
        "status": "pending, accepted, changed, rejected",
        "since": "since when it stands so, UTC",
        "act": "the latest of what persons did: review, override, appeal",
        "person": "who did it",
        "own": f"true: that's {OWN}",
    }
)
"""The columns of a row, in order, with what each means."""

HISTORY = MappingProxyType(
    {
        "index": "the record of the act: its place in the log",
        "ts": "that record's own time, UTC",
        "call_id": "the call",
        "case": "its case",
        "capability": "what was asked for",
        "act": "review, override, appeal",
        "person": "who did it",
        "own": f"true: that's {OWN}",
        "actor": "who had it recorded, where that was said",
        "decision": "accepted, changed, rejected; empty: an appeal",
        "kept": "true: the reason is there",
        "reason": "why, in the person's words, where that can be read here",
        "changed": "the new value as JSON, where there's one, and it can be read here",
        "spent_ms": "how long it took the person, in milliseconds, where that was said",
        "about": "the record of what the caller got; empty: the act is about none that counts, and decides nothing",
    }
)
"""The columns of a row of `history`, in order, with what each means."""

ACTS: Final = tuple(KINDS.values())
_ANSWERS: Final = (Kind.CALL_COMPLETED, Kind.CALL_AMENDED)
_ALL: Final = (*_ANSWERS, *ACTS)
_NAMES: Final = {kind.value: act for act, kind in KINDS.items()}

_REQUIRED: Final = b'"required":true'
"""What a record's canonical bytes hold if its answer is to be reviewed (and, rarely, others do)."""


@frozen
class Answer:
    """What a caller got, as a record says.

    Args:
        relation: by which a later record refers to it: ``completed`` or ``amended``.
        outcome: how the call ended.
        case, capability, labels: as they stand in it.
        response: the digest of its commitment to the response, lower-case hex; None where there's none.
        dek: the key that its payloads lie under; None: they're in clear.
        policy: why it's to be reviewed; None: it needn't be.
        hides: something of it is on no record.
    """

    index: int
    leaf: bytes
    ts: str
    relation: Literal["completed", "amended"]
    outcome: str
    source: str
    answered_by: str
    capability: Fields
    case: Fields | None
    labels: tuple[str, ...]
    response: str | None
    dek: str | None
    policy: str | None
    hides: bool

    @property
    def is_given(self) -> bool:
        """Was there an answer at all?"""
        return self.outcome in ("answered", "referred")

    @classmethod
    def of(cls, entry: Entry, fields: Fields) -> Answer:
        """As a record of a call's end, or its amendment, says."""
        source, review = fields.get("source", {}), fields.get("review", {})
        return cls(
            entry.index,
            entry.leaf,
            entry.ts,
            "completed" if entry.kind == Kind.CALL_COMPLETED else "amended",
            fields["outcome"],
            source.get("kind", ""),
            source.get("name", ""),
            fields["capability"],
            fields.get("case"),
            tuple(fields.get("labels", ())),
            next((each["digest"] for each in fields.get("commitments", ()) if each["path"] == "response"), None),
            fields.get("dek"),
            review["policy"] if review.get("required") is True else None,
            "omitted" in fields,
        )


@define
class CallReview:
    """How one call's review stands, after its records so far.

    Args:
        answer: the newest record of what the caller got.
        since: since when it stands so.
        first: the first record that made it a matter of a person's, by its place in the log.
        former: the leaf of the latest act.
    """

    answer: Answer | None = None
    status: Status = "none"
    since: str = ""
    first: int | None = None
    former: bytes | None = None
    act: str = ""
    person: str = ""
    own: bool = False

    def take(self, entry: Entry, fields: Fields) -> None:
        """The call's next record: of its end, its amendment, or an act."""
        if entry.kind in _ANSWERS:
            self.answer = answer = Answer.of(entry, fields)
            self.status, self.since = "none", entry.ts
            if answer.is_given and answer.policy is not None:
                self._stands("pending", entry)
        else:
            self.former = entry.leaf
            if self.is_aim_of(fields):
                self.act, self.person = _NAMES[entry.kind], reviewer_of(fields) or ""
                self.own = fields.get("own") is True
                self._stands("pending" if self.act == "appeal" else fields["decision"], entry)

    def is_aim_of(self, fields: Fields) -> bool:
        """Is a person's act about what the caller got, as far as it's known by now?"""
        answer = self.answer
        return answer is not None and answer.is_given and fields["refs"].get(answer.relation) == answer.leaf.hex()

    def _stands(self, status: Status, entry: Entry) -> None:
        if self.first is None:
            self.first = entry.index
        if not self.status == status == "pending":  # who appealed against what waits anyway hasn't begun the wait
            self.since = entry.ts
        self.status = status


@frozen
class Review:
    """One call's answer, and how its review stands.

    Args:
        text: the response as JSON; None where it can't be read here.
        kept: is its payload there, encrypted or not?
        why: why it can't be read, to be said of it.
    """

    call_id: str
    answer: Answer
    status: Status
    since: str
    act: str
    person: str
    own: bool
    text: str | None
    kept: bool
    why: str

    def row(self) -> dict[str, str | int | bool]:
        """A value for each of `COLUMNS`."""
        answer = self.answer
        told: dict[str, str | int | bool] = {
            "index": answer.index,
            "ts": answer.ts,
            "call_id": self.call_id,
            "case": "" if answer.case is None else answer.case["id"],
            "capability": answer.capability["name"],
            "version": answer.capability.get("version", ""),
            "outcome": answer.outcome,
            "source": answer.source,
            "answered_by": answer.answered_by,
            "kept": self.kept,
            "answer": self.text or "",
            "policy": answer.policy or "",
            "status": self.status,
            "since": self.since,
            "act": self.act,
            "person": self.person,
            "own": self.own,
        }
        return {name: told[name] for name in COLUMNS}


@frozen
class Deed:
    """What a person did about a call's answer: one review, override or appeal.

    Args:
        answer: what the caller really got, if it's about that; None: it decides nothing.
        answered: is an end of the call on record at all? It isn't where that was pruned.
        reason: in the person's words; None where it can't be read here.
        changed: the new value as JSON; None likewise, and where there's none.
        kept: is the reason's payload there, encrypted or not?
        why: why it can't be read, to be said of it.
    """

    entry: Entry
    fields: Fields
    answer: Answer | None
    answered: bool
    reason: str | None
    changed: str | None
    kept: bool
    why: str

    def row(self) -> dict[str, str | int | bool]:
        """A value for each of `HISTORY`."""
        fields = self.fields
        told: dict[str, str | int | bool] = {
            "index": self.entry.index,
            "ts": self.entry.ts,
            "call_id": fields["call_id"],
            "case": fields.get("case", {}).get("id", ""),
            "capability": fields["capability"]["name"],
            "act": _NAMES[self.entry.kind],
            "person": reviewer_of(fields) or "",
            "own": fields.get("own") is True,
            "actor": fields.get("actor", {}).get("id", ""),
            "decision": fields.get("decision", ""),
            "kept": self.kept,
            "reason": self.reason or "",
            "changed": self.changed or "",
            "spent_ms": fields.get("spent_ms", ""),
            "about": "" if self.answer is None else self.answer.index,
        }
        return {name: told[name] for name in HISTORY}


def standing(reader: Reader, call_id: str, before: int | None = None) -> CallReview:
    """How a call's review stands; one without an answer where the call isn't known, or has none.

    Args:
        reader: an open ledger.
        call_id: the call.
        before: by the records before that place in the log only.

    Raises:
        LedgerInvalid: the file is damaged.
        ValueError: a record is.
    """
    found = CallReview()
    for entry in reader.records(_ALL, call_id=call_id):
        if before is not None and entry.index >= before:
            break
        found.take(entry, entry.fields)
    return found


def lost(reader: Reader, answer: Answer) -> str:
    """Why nobody can look any more at what was answered, to be said of it; empty where it's kept, or never was on record."""
    if answer.response is None or reader.keeps(answer.response):
        return ""
    return Payloads(reader).text(answer.index, answer.response, answer.dek).why


def pending(reader: Reader, case: str | None = None, capability: str | None = None) -> Iterator[Review]:
    """What waits for a person, longest first. Arguments and errors as `reviewed`."""
    waiting: dict[str, CallReview] = {}
    for entry in reader.records(_ALL, case=case, capability=capability):
        call_id = str(entry.call_id)
        held = waiting.get(call_id)
        if entry.body is None or (held is None and not _may_begin(entry)):
            continue
        if held is None:
            held = CallReview() if entry.kind in _ANSWERS else standing(reader, call_id, entry.index)
        since = held.since
        held.take(entry, entry.fields)
        if held.status != "pending" or held.since != since:
            waiting.pop(call_id, None)
        if held.status == "pending":
            waiting[call_id] = held
    payloads = Payloads(reader)
    for call_id, held in waiting.items():
        yield from _told(payloads, call_id, held)


def reviewed(reader: Reader, case: str | None = None, capability: str | None = None) -> Iterator[Review]:
    """Every call that is, or was, a matter of a person's, and how it stands, in the order in which they became one.

    Args:
        reader: an open ledger.
        case: only calls of the case with this id.
        capability: only of the capability with this name.

    Raises:
        LedgerInvalid: the file is damaged.
        ValueError: a record is, or a payload isn't what was committed to.
    """
    payloads = Payloads(reader)
    for entry in reader.records(_ALL, case=case, capability=capability):
        if entry.body is not None and (entry.kind in ACTS or _REQUIRED in entry.body):
            held = standing(reader, str(entry.call_id))
            if held.first == entry.index:
                yield from _told(payloads, str(entry.call_id), held)


def history(
    reader: Reader,
    case: str | None = None,
    capability: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Iterator[Deed]:
    """All that persons did about answers, in the order of the log, also what a later act took the place of.

    Args:
        reader: an open ledger.
        case: only about calls of the case with this id.
        capability: only of the capability with this name.
        since: only what was done then or later, written as in the log.
        until: only what was done before, written as in the log.

    Raises:
        LedgerInvalid: the file is damaged.
        ValueError: a record is, or a payload isn't what was committed to.
    """
    payloads = Payloads(reader)
    for entry in reader.records(ACTS, case=case, capability=capability, since=since, until=until):
        fields = entry.fields
        held = CallReview()
        for answer in reader.records(_ANSWERS, call_id=fields["call_id"]):
            held.take(answer, answer.fields)
        said = {each["path"]: each["digest"] for each in fields["commitments"]}
        reason = payloads.text(entry.index, said.get(REASON), fields.get("dek"))
        yield Deed(
            entry,
            fields,
            held.answer if held.is_aim_of(fields) else None,
            held.answer is not None,
            reason.text,
            payloads.text(entry.index, said.get(CHANGED), fields.get("dek")).text,
            reason.there,
            reason.why,
        )


def _may_begin(entry: Entry) -> bool:
    """May a call that isn't pending become so by this record?"""
    assert entry.body is not None
    return entry.kind == Kind.APPEAL_RECORDED or (entry.kind in _ANSWERS and _REQUIRED in entry.body)


def _told(payloads: Payloads, call_id: str, held: CallReview) -> Iterator[Review]:
    answer = held.answer
    if answer is not None and held.status != "none":
        said = payloads.text(answer.index, answer.response, answer.dek)
        acts = held.act, held.person, held.own
        yield Review(call_id, answer, held.status, held.since, *acts, said.text, said.there, said.why)
