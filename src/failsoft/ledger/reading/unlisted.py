"""What a list of a log's calls may lack, and why: so that nobody takes it for whole."""

from __future__ import annotations

from failsoft.ledger.read import Reader
from failsoft.ledger.reading.asked import Asked, missing
from failsoft.ledger.reading.senders import Subject
from failsoft.ledger.records.schema import Kind

_OF_PROCESSES = (
    Kind.LOG_OPENED,
    Kind.EMITTER_OPENED,
    Kind.EMITTER_CLOSED,
    Kind.CONFIG_ACTIVATED,
    Kind.RECORD_PRUNED,
)


def unlisted(reader: Reader, since: str, until: str) -> list[str]:
    """Why calls of a time may be in no list: sentences; none, where all of them are there.

    Args:
        reader: an open ledger.
        since: the first moment, written as in the log. What was before the log's beginning isn't asked about.
        until: the first moment after, written as in the log.

    Raises:
        LedgerInvalid: the file is damaged.
        ValueError: a record is.
    """
    opening = reader.record(0).ts or ""
    asked = Asked(reader, Subject.named(""), max(since, opening), until)
    for entry in reader.records(_OF_PROCESSES):
        asked.record(entry)
    for emitter in asked.emitters.values():
        emitter.newest = reader.last_time(emitter.name)
        emitter.last = max(emitter.last, emitter.newest)
    asked.end()
    gaps = reader.records(Kind.GAP_DECLARED, since=since)
    lost = sum(missing(each) for each in gaps if asked.reaches_back(each))
    told = [f"up to {lost} calls have records that were never written (declared gaps since then)"] if lost else []
    return [*told, *asked.reasons]


def is_heard_of(reader: Reader, adapter: str) -> bool:
    """Was an adapter of this name ever configured, or may it have been? An observed SDK's is in no configuration."""
    known = False
    for entry in reader.records(Kind.CONFIG_ACTIVATED):
        names = [each["name"] for each in entry.fields.get("adapters", ())]
        if adapter in names or not names:
            return True
        known = True
    return not known
