"""What the records say of what people do to a ledger: erase, hold, copy, hand out; and of what happened with a case."""

from __future__ import annotations

from datetime import date

from failsoft.context import identifier, says_something
from failsoft.core.evidence import CaseEvent, ExportCreated, LedgerTransferred, LegalHold, PayloadErased, RecordsPruned
from failsoft.ledger.records.record import Draft, Fields
from failsoft.ledger.records.schema import Kind

WORDS = 512
"""Characters that a reason may have."""

PLACE = 4096
"""Characters that the name of a place may have: no path has more."""


def erased(record: PayloadErased) -> Draft:
    """Payloads are being destroyed."""
    fields: Fields = {"basis": words(record.basis), **people(person=record.person, approved_by=record.approved_by)}
    if record.case is not None:
        fields["case"] = _case(record.case)
    if record.keys:
        fields["deks"] = list(record.keys)
    if record.digests:
        fields["digests"] = list(record.digests)
    return Draft(Kind.PAYLOAD_ERASED, fields)


def hold(record: LegalHold) -> Draft:
    """A legal hold is set, or lifted."""
    kind = Kind.LEGAL_HOLD_SET if record.held else Kind.LEGAL_HOLD_CLEARED
    return Draft(kind, {"case": _case(record.case), "why": words(record.why), **people(person=record.person)})


def case_event(record: CaseEvent) -> Draft:
    """Something happened with a case."""
    day = date.fromisoformat(record.date).isoformat()
    fields: Fields = {"case": _case(record.case), "date": day, "event": identifier(record.event, "an event")}
    return Draft(Kind.CASE_EVENT, {**fields, "why": words(record.why), **people(person=record.person)})


def transferred(record: LedgerTransferred) -> Draft:
    """The ledger is being copied."""
    fields: Fields = {"to": words(record.to, PLACE), "why": words(record.why), **people(person=record.person)}
    return Draft(Kind.LEDGER_TRANSFERRED, fields)


def exported(record: ExportCreated) -> Draft:
    """Somebody was given a part of it."""
    fields: Fields = {
        "recipient": identifier(record.recipient, "a recipient"),
        "manifest_sha256": record.manifest_sha256,
        "why": words(record.why),
        **people(person=record.person),
    }
    return Draft(Kind.EXPORT_CREATED, fields)


def pruned(record: RecordsPruned) -> Draft:
    """Records are being taken out."""
    fields: Fields = {
        "first": record.first,
        "last": record.last,
        "emitters": [{"emitter": name, "first": first, "last": last} for name, first, last in record.emitters],
        "leaves_sha256": record.leaves_sha256,
        "why": words(record.why),
        **people(person=record.person, approved_by=record.approved_by),
    }
    if record.latest is not None:
        fields["latest"] = record.latest
    return Draft(Kind.RECORD_PRUNED, fields)


def _case(name: str) -> Fields:
    return {"id": identifier(name, "a case's id")}


def people(**names: str | None) -> Fields:
    """Who did it, by the key that says so."""
    return {key: identifier(name, "a person") for key, name in names.items() if name is not None}


def words(text: str, most: int = WORDS) -> str:
    """A reason as it stands in a record: as it was given.

    Raises:
        ValueError: there is none, it's too long, or it's no text.
    """
    if any("\ud800" <= char <= "\udfff" for char in text):  # of a shell's argument that isn't UTF-8
        raise ValueError("it isn't valid Unicode: say it in UTF-8")
    if not says_something(text):
        raise ValueError("a reason must be given: it stands in the record")
    if len(text) > most:
        raise ValueError(f"at most {most} characters, not {len(text)}: what's said stands in the record, whole")
    return text
