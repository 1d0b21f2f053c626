"""What the records say of the lock that an application is held to: that it was written anew, that somebody approved it."""

from __future__ import annotations

import json
from hashlib import sha256
from itertools import accumulate

from failsoft.core.evidence import LockApproved, LockChanged
from failsoft.ledger.records.facts import provider_text
from failsoft.ledger.records.keeping_draft import people, words
from failsoft.ledger.records.record import JSON, Draft, Fields
from failsoft.ledger.records.schema import Kind

SENTENCES_BYTES = 48_000
"""What the sentences about what changed may take of a record's 61,440 bytes. Each is cut at 512 characters."""


def changed(record: LockChanged) -> Draft:
    """Another lock from here on."""
    fields = _about(record.lock, record.person, record.why)
    if record.former is not None:
        fields["former_sha256"] = record.former
    told = [provider_text(each) for each in record.told]
    sizes = accumulate(len(json.dumps(each, ensure_ascii=False).encode()) for each in told)
    kept = sum(size <= SENTENCES_BYTES for size in sizes)
    if kept:
        fields["changed"] = told[:kept]
    if kept < len(told):
        fields["changed_omitted"] = len(told) - kept
    return Draft(Kind.LOCK_CHANGED, fields, artifacts=((JSON, record.lock),))


def approved(record: LockApproved) -> Draft:
    """A person agrees that it's used."""
    fields = _about(record.lock, record.person, record.why)
    artifacts: tuple[tuple[str, bytes], ...] = ((JSON, record.lock),)
    if record.report is not None:
        fields["report_sha256"] = sha256(record.report[1]).hexdigest()
        artifacts += (record.report,)
    return Draft(Kind.APPROVAL_RECORDED, fields, artifacts=artifacts)


def _about(lock: bytes, person: str, why: str) -> Fields:
    return {"lock_sha256": sha256(lock).hexdigest(), "why": words(why), **people(person=person)}
