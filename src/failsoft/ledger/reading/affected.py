"""Which decisions an adapter's model made in a time: those that may have to be looked at again.

Rules:

1. A decision is a call that the adapter's answer ended. Its time is its record's own. One that asked again, to compare, is
   none.
2. What the caller really got counts: a `call.amended` is newer than the `call.completed` that it amends.
3. A review of it names that record: one of what was amended is about nothing that the caller got.
4. What was answered is told from its payload, where that's still kept, and only if it is what was committed to.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from attrs import frozen

from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.reading.kept import Kept, Payloads
from failsoft.ledger.reading.query import COMPARISON, Fields, Found, answering, is_served, reviewer_of
from failsoft.ledger.records.schema import Kind

_DECIDED = (Kind.REVIEW_RECORDED, Kind.OVERRIDE_RECORDED)
"""An appeal decides nothing."""

COLUMNS = MappingProxyType(
    {
        "index": "the record of the decision: its place in the log",
        "ts": "the record's own time, UTC",
        "call_id": "the call",
        "case": "its case",
        "capability": "what was asked for",
        "version": "the capability's version",
        "outcome": "how the call ended",
        "model": "the model that was asked",
        "served": "the model that the answer says it's from: the provider's claim",
        "grade": "how far that claim can be believed",
        "kept": "true: the answer's payload is there",
        "answer": "what was answered, where that can be read here",
        "reviewed_by": "who reviewed or overrode it since",
    }
)
"""The columns of a row, in order, with what each means."""


@frozen
class Decision:
    """One call that the adapter's answer ended. What isn't known is an empty text.

    Args:
        index: the record's place in the log.
        answer: the response as JSON; None where it can't be read here.
        reviewed_by: who reviewed or overrode it since, the latest.
        kept: is the answer's payload there, encrypted or not?
        why: why it can't be read, to be said of it.
    """

    index: int
    ts: str
    call_id: str
    case: str
    capability: str
    version: str
    outcome: str
    model: str
    served: str
    grade: str
    answer: str | None
    reviewed_by: str
    kept: bool = True
    why: str = ""

    def row(self) -> dict[str, str | int | bool]:
        """A value for each of `COLUMNS`."""
        return {name: getattr(self, name) for name in COLUMNS} | {"answer": self.answer or ""}


def affected(reader: Reader, adapter: str, since: str, until: str, served: str | None = None) -> Iterator[Decision]:
    """The decisions that an adapter's model made, in the order of the log, one at a time.

    Args:
        reader: an open ledger.
        adapter: its name.
        since: the first moment, written as in the log.
        until: the first moment after, written as in the log.
        served: only those that this model answered, as the reply says; with ``*`` at the end, one that begins so.

    Raises:
        LedgerInvalid: the file is damaged.
        ValueError: a record is, or a payload isn't what was committed to.
    """
    trials: set[str | None] | None = None
    payloads = Payloads(reader)
    for ended in reader.records(Kind.CALL_COMPLETED, since=since, until=until):
        fields = ended.fields
        final, said = _final(reader, ended, fields)
        source = said.get("source", {})
        if source.get("kind") not in ("adapter", "frozen") or source["name"] != adapter:
            continue
        attempt = answering({**fields, "source": source})
        if served is not None and not is_served(attempt, served):
            continue
        if _may_compare(reader, fields["call_id"]):
            trials = _trials(reader) if trials is None else trials
            if ended.emitter in trials:
                continue
        yield _decision(payloads, final, said, attempt)


def _final(reader: Reader, ended: Entry, fields: Fields) -> Found:
    """What the caller really got."""
    for amended in reader.records(Kind.CALL_AMENDED, call_id=fields["call_id"], last=1):
        return amended, amended.fields
    return ended, fields


def _trials(reader: Reader) -> set[str | None]:
    """Processes that were for a trial of one adapter."""
    configured = reader.records(Kind.CONFIG_ACTIVATED)
    return {each.emitter for each in configured if each.fields.get("purpose") == "trial"}


def _may_compare(reader: Reader, call_id: str) -> bool:
    """Is it of the kind that's asked again, to compare? An application's own actor may be of that kind, too."""
    begun = reader.records(Kind.CALL_STARTED, call_id=call_id)
    return any(each.fields.get("actor", {}).get("kind") == COMPARISON for each in begun)


def _decision(payloads: Payloads, final: Entry, fields: Fields, attempt: Fields) -> Decision:
    served = attempt.get("served", {})
    answer = _answer(payloads, final, fields, f"reply/{attempt.get('n')}")
    return Decision(
        final.index,
        final.ts,
        fields["call_id"],
        fields.get("case", {}).get("id", ""),
        fields["capability"]["name"],
        fields["capability"].get("version", ""),
        fields["outcome"],
        attempt.get("pin", {}).get("model", ""),
        served.get("model", ""),
        served.get("grade", ""),
        answer.text,
        _reviewer(payloads.reader, final, fields["call_id"]),
        answer.there,
        answer.why,
    )


def _reviewer(reader: Reader, final: Entry, call_id: str) -> str:
    relation = "amended" if final.kind == Kind.CALL_AMENDED else "completed"
    reviews = [each.fields for each in reader.records(_DECIDED, call_id=call_id)]
    about_it = [each for each in reviews if each.get("refs", {}).get(relation) == final.leaf.hex()]
    return (reviewer_of(about_it[-1]) or "") if about_it else ""


def _answer(payloads: Payloads, final: Entry, fields: Fields, reply: str) -> Kept:
    """The response, as it was accepted; of a call that was only observed the reply, as it came."""
    named = {each["path"]: each["digest"] for each in fields.get("commitments", [])}
    return payloads.text(final.index, named.get("response", named.get(reply)), fields.get("dek"))
