"""A payload that isn't there, and the record that says why: what was erased is told as erased, and nothing else is.

The rules are those of `failsoft verify` (`failsoft.ledger.verification.kept`), so that a bundle says nothing milder than it
does. An erasure names a payload, or the key that the payload's record names, and comes after that record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failsoft.errors import FailsoftError, LedgerInvalid
from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.reading.kept import erased_at
from failsoft.ledger.records.schema import Kind


class NotWhole(FailsoftError):
    """What was asked for isn't whole in this log: a call is under way, a record was pruned."""


def is_erased(entry: Entry, commitment: Mapping[str, Any], erasures: Mapping[str, int]) -> bool:
    """Does a record that comes after this one say that the payload was erased?"""
    return erased_at(erasures, commitment["digest"], entry.fields.get("dek")) > entry.index


def act_under_way(
    reader: Reader, entry: Entry, commitment: Mapping[str, Any], erasures: Mapping[str, int]
) -> str | None:
    """Which act that destroys it is on record, and isn't finished; None: it was erased, as a later record says.

    Args:
        reader: the log.
        entry: the record that commits to it, of a call.
        commitment: its digest and its path.
        erasures: places of the latest erasures, by the keys and digests that they name.

    Raises:
        LedgerInvalid: no record says that it's gone.
    """
    if is_erased(entry, commitment, erasures):
        return None
    kept = reader.keeps(commitment["digest"])
    if kept and erased_at(erasures, commitment["digest"], entry.fields.get("dek")) >= 0:
        return f"record {entry.index} lies under a key that was destroyed before it: run the erasure of its case again"
    if any(entry.index <= each.fields["last"] for each in reader.records(Kind.RECORD_PRUNED)):
        return f"record {entry.index} is being pruned: finish that first, by running it again"
    what = "can't be read any more, its key was destroyed" if kept else "is missing"
    raise LedgerInvalid(
        f"{reader.location}: the payload {commitment['path']!r:.40} of record {entry.index} {what}, and no record says that "
        "it was erased: run `failsoft verify` on it"
    )
