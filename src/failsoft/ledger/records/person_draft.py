"""What the records say in which people have a part: whether an answer is to be reviewed, and what a person decided.

What people write may quote the data that they looked at: reasons, changed values and what was shown are payloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from unicodedata import normalize

from failsoft.audit import Marks
from failsoft.context import has_glyph, identifier
from failsoft.core.evidence import Act, PersonActed
from failsoft.ledger.format.canonical import real
from failsoft.ledger.records.record import JSON, Draft, Fields
from failsoft.ledger.records.schema import Kind
from failsoft.review import ReviewNeed

KINDS: Final[dict[Act, Kind]] = {
    "review": Kind.REVIEW_RECORDED,
    "override": Kind.OVERRIDE_RECORDED,
    "appeal": Kind.APPEAL_RECORDED,
}

_LONGEST_NAME: Final = 128
"""Bytes, as of an identifier."""

REASON, CHANGED, DISPLAY = "reason", "changed", "shown"
"""Paths of the payloads."""

_TEXT: Final = "text/plain; charset=utf-8"


def need_of(need: ReviewNeed) -> Fields:
    """The key ``review`` of a call's end."""
    fields: Fields = {"required": need.required, "policy": need.policy}
    if need.required:
        fields["status"] = "pending"
    if need.sample is not None:
        fields["sample"] = real(need.sample)
    if need.error is not None:
        fields["error"] = _error_name(need.error)
    return fields


def _error_name(name: str) -> str:
    """As it may stand in a record: the application's own class may have any name."""
    kept = "".join(filter(has_glyph, normalize("NFC", name)))
    return kept.encode()[:_LONGEST_NAME].decode(errors="ignore") or "Exception"


def person_acted(record: PersonActed) -> Draft:
    """A review, an override or an appeal.

    Raises:
        ValueError: an identifier is malformed.
    """
    fields: Fields = {
        "call_id": identifier(record.call_id, "a call's id"),
        "capability": _named("a capability's", name=record.capability, version=record.capability_version),
        "person": identifier(record.person, "a person"),
        "refs": {record.relation: record.answer.hex()},
    }
    if record.former is not None:
        fields["refs"]["former"] = record.former.hex()
    if record.case is not None:
        fields["case"] = _named("a case's", id=record.case.id, kind=record.case.kind, series=record.case.series)
    if record.labels:
        fields["labels"] = sorted(identifier(each, "a label") for each in record.labels)
    if record.actor is not None:
        actor = record.actor
        fields["actor"] = _named("an actor's", id=actor.id, kind=actor.kind, on_behalf_of=actor.on_behalf_of)
    if record.decision is not None:
        fields["decision"] = record.decision
    if record.shown is not None:
        fields["shown"] = {"digest": record.shown, "path": "response"}
    if record.own:
        fields["own"] = True
    if record.spent_ms is not None:
        fields["spent_ms"] = record.spent_ms
    payloads = [(REASON, _TEXT, record.reason)]
    missing: list[str] = []
    if record.changed is not None:
        marks = Marks() if record.audit is None else record.audit.response
        payloads.append((CHANGED, JSON, marks.kept(record.changed)))
        missing += marks.missing(CHANGED)
    if record.display is not None:
        if record.hides:
            missing.append(DISPLAY)
        else:
            payloads.append((DISPLAY, *record.display))
    return Draft(KINDS[record.act], fields | omitted(missing), tuple(payloads))


def omitted(paths: Sequence[str]) -> Fields:
    """The key ``omitted`` of a record that has less than there was; none where it has all."""
    return {"omitted": sorted({each.encode("utf-8", "replace").decode() for each in paths})} if paths else {}


def _named(whose: str, **values: Any) -> Fields:
    return {key: identifier(value, f"{whose} {key}") for key, value in values.items() if value is not None}
