"""Which records fit what's asked, and what each says in one flat row: for people, tables and programs.

Times are the records' own: what the clock of the process that wrote one said as it was written, in UTC. A clock may be
wrong or be set back; the order of the log is what can be proved. One record is in memory at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from attrs import frozen

from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.records.schema import Kind

Fields = dict[str, Any]
Found = tuple[Entry, Fields]
"""A record, and what it says: nothing where it was pruned."""

REVIEWS = (Kind.REVIEW_RECORDED, Kind.OVERRIDE_RECORDED, Kind.APPROVAL_RECORDED, Kind.APPEAL_RECORDED)
"""What a person did about a call, or about what is in force."""

FIELDS = MappingProxyType(
    {
        "index": "its place in the log, from 0",
        "ts": "its own time, UTC",
        "type": "what sort of record",
        "call_id": "of which call",
        "case": "of which case",
        "capability": "of which capability",
        "actor": "who asked, or did it",
        "actor_kind": "what that is: user, service; replay: a question asked again to compare, whose answer decides nothing",
        "labels": "markings of the data, apart by a space",
        "outcome": "how the call ended: answered, referred, failed, refused, cancelled",
        "degraded": "true: the fallback answered, or referred",
        "source": "what answered: adapter, fallback, frozen",
        "answered_by": "its name",
        "model": "the model that was asked for the answer",
        "served": "the model that the answer says it's from: the provider's claim",
        "grade": "how far that claim can be believed",
        "adapters": "who was asked, in order, apart by a space",
        "faults": "of attempts that failed, as adapter:fault, apart by a space",
        "us": "how long the call took, in microseconds",
        "reviewer": "who reviewed, overrode, approved or appealed",
        "decision": "what a person decided: accepted, changed, rejected",
        "subject": "what a change is about: an adapter, a block's subject",
        "blocked": "true: the subject was switched off; false: it isn't, or no more",
        "mode": "what an adapter's failures do from then on in one process (auto, forced, observe): nothing is switched off",
        "from": "what was before: a breaker's state, a key; of an outage, its beginning",
        "to": "what is since: a breaker's state, a key; of an outage, its end; where a copy went",
        "event": "what happened with a case",
        "date": "on which day that was",
        "recipient": "who was given a bundle",
        "approved_by": "who agreed besides, where a second person was asked for",
        "said": "the reason that stands in the record",
        "leaf": "its hash in the tree, hexadecimal",
    }
)
"""The columns of a row, in order, with what each means."""

_AS_THEY_ARE: Final = ("blocked", "mode", "from", "to", "event", "date", "recipient", "approved_by")
"""Columns that are a record's keys, and hold what stands there."""


@frozen
class Query:
    """What is asked for: a record must fit all that's given.

    Args:
        kind: its type, e.g. ``"call.completed"``.
        case: it names the case with this id, or belongs to one of its calls.
        capability: it's about the capability with this name.
        since: its own time is this or later, written as in the log.
        until: its own time is earlier than this, written as in the log.
        source: what answered: ``"fallback"``, ``"adapter"``, ``"frozen"``, or one of them by its name: ``"adapter:gpt"``.
        served: an attempt was served by this model, as its reply says; with ``*`` at the end, one that begins so.
        fault: an attempt ended with this fault.
        adapter: it was asked, answered, or is what the record is about. One that was only in the plan isn't meant.
        reviewer: who reviewed, overrode, approved or appealed.
    """

    kind: str | None = None
    case: str | None = None
    capability: str | None = None
    since: str | None = None
    until: str | None = None
    source: str | None = None
    served: str | None = None
    fault: str | None = None
    adapter: str | None = None
    reviewer: str | None = None

    def fits(self, fields: Fields) -> bool:
        """Does a record's content fit? What stands in the index copies is asked of the database."""
        return (
            (self.source is None or _answered_by(fields, self.source))
            and (self.served is None or any(is_served(each, self.served) for each in attempts_of(fields)))
            and (self.fault is None or any(each.get("fault") == self.fault for each in attempts_of(fields)))
            and (self.adapter is None or _is_about(fields, self.adapter))
            and (self.reviewer is None or reviewer_of(fields) == self.reviewer)
        )


def find(reader: Reader, query: Query, last: int | None = None) -> Iterator[Found]:
    """The records that fit, in the order of the log, one at a time.

    Args:
        reader: an open ledger.
        query: what is asked for.
        last: only the newest so many, at least 1: these are held in memory.

    Raises:
        LedgerInvalid: the file is damaged.
        failsoft.ledger.format.canonical.ProfileError: so is a record.
    """
    entries = reader.records(
        query.kind,
        case=query.case,
        capability=query.capability,
        since=query.since,
        until=query.until,
        newest_first=last is not None,
    )
    fitting = (each for each in map(_read, entries) if query.fits(each[1]))
    if last is None:
        return fitting
    return reversed(list(islice(fitting, min(last, sys.maxsize))))


def row_of(entry: Entry, fields: Fields) -> dict[str, str | int | bool]:
    """A record as one flat row: a value for each of `FIELDS`, an empty text where it says nothing of the kind."""
    source = fields.get("source", {})
    attempts = attempts_of(fields)
    answer = answering(fields)
    served = answer.get("served", {})
    said: dict[str, str | int | bool | None] = {
        "index": entry.index,
        "ts": entry.ts,
        "type": entry.kind,
        "call_id": fields.get("call_id"),
        "case": fields.get("case", {}).get("id"),
        "capability": fields.get("capability", {}).get("name"),
        "actor": fields.get("actor", {}).get("id") or fields.get("person"),
        "actor_kind": fields.get("actor", {}).get("kind"),
        "labels": " ".join(fields.get("labels", [])),
        "outcome": fields.get("outcome"),
        "degraded": fields.get("degraded"),
        "source": source.get("kind"),
        "answered_by": source.get("name"),
        "model": answer.get("pin", {}).get("model"),
        "served": served.get("model"),
        "grade": served.get("grade"),
        "adapters": " ".join(each["adapter"] for each in attempts),
        "faults": " ".join(f"{each['adapter']}:{each['fault']}" for each in attempts if "fault" in each),
        "us": fields.get("us"),
        "reviewer": reviewer_of(fields),
        "decision": fields.get("decision"),
        "subject": fields.get("subject") or fields.get("adapter"),
        "said": fields.get("why") or fields.get("reason") or fields.get("basis"),
        "leaf": entry.leaf.hex(),
    }
    said |= {name: fields.get(name) for name in _AS_THEY_ARE}
    return {name: "" if (value := said[name]) is None else value for name in FIELDS}


COMPARISON = "replay"
"""The kind of actor of calls that ask again, to compare: their answers are nobody's decisions."""


def attempts_of(fields: Fields) -> list[Fields]:
    """The attempts that a record tells of."""
    attempts: list[Fields] = fields.get("attempts", [])
    return attempts


def answering(fields: Fields) -> Fields:
    """The attempt whose answer was taken; an empty one where there's none."""
    number = fields.get("source", {}).get("attempt")
    return next((each for each in attempts_of(fields) if each["n"] == number), Fields())


def is_served(attempt: Fields, wanted: str) -> bool:
    """Does the attempt's reply say that it's from this model, or, with ``*`` at the end, from one that begins so?"""
    model = attempt.get("served", {}).get("model")
    if model is None:
        return False
    return bool(model.startswith(wanted[:-1]) if wanted.endswith("*") else model == wanted)


def reviewer_of(fields: Fields) -> str | None:
    """Who decided, in a record of a review, an override, an approval or an appeal."""
    if fields.get("type") not in REVIEWS:
        return None
    person = fields.get("person") or fields.get("actor", {})
    name: str | None = person if isinstance(person, str) else person.get("id")
    return name


def unheard_of(reader: Reader, what: str) -> str:
    """What's said where no record is of a call, or a case: also that there may have been some."""
    return f"{reader.location}: no record of a {what}{pruned_too(reader)}"


def pruned_too(reader: Reader) -> str:
    """What's said besides, where something isn't found in a log that records of calls were pruned from; else nothing."""
    pruned = next(reader.records(Kind.RECORD_PRUNED), None) is not None
    return ", and records of calls were pruned from this log" if pruned else ""


def _read(entry: Entry) -> Found:
    return entry, {} if entry.body is None else entry.fields


def _answered_by(fields: Fields, wanted: str) -> bool:
    source = fields.get("source", {})
    kind, _, name = wanted.partition(":")
    return source.get("kind") == kind and name in ("", source["name"])


def _is_about(fields: Fields, adapter: str) -> bool:
    return (
        any(each["adapter"] == adapter for each in attempts_of(fields))
        or fields.get("adapter") == adapter
        or fields.get("subject") == f"adapter:{adapter}"
        or _answered_by(fields, f"adapter:{adapter}")
    )
