"""What a ledger says of one call, as values: its records parsed, its payloads fetched and held to their commitments.

Rules:

1. Nothing here believes a record: its bytes must hash to its leaf, and each part must be of the kind that failsoft writes.
   Whatever isn't so is `Damaged`, and nothing else is raised for what a record holds.
2. A payload that isn't what was committed to is never handed on: the reason stands in its place, as for one that isn't kept.
3. What was said is told by every record that ended the call: a `call.amended` says what the caller really got, and the
   `call.completed` before it still says what was answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from attrs import field, frozen
from pydantic import BaseModel, ConfigDict, Field

from failsoft.core.effects import Tokens
from failsoft.errors import PayloadSealed
from failsoft.ledger.format.merkle import leaf_hash
from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.reading.query import unheard_of
from failsoft.ledger.records.schema import Kind
from failsoft.outcome import Grade, Pin, Served

NOT_KEPT = "isn't kept: it was erased, or never recorded"
CHANGED = "isn't what was committed to: it was changed since; run `failsoft verify` on the ledger"
SEALED = "is encrypted, and its key isn't here: name the ledger by the failsoft.toml that says where keys are"

_OF_CALLS = (Kind.CALL_STARTED, Kind.CALL_COMPLETED, Kind.CALL_AMENDED, Kind.CALL_ORPHANED)


class Damaged(ValueError):
    """A record isn't one that failsoft wrote. The text never quotes it."""


@frozen
class Payload:
    """Exact bytes that a record commits to, or why they aren't there.

    Args:
        data: the bytes; None: there are none to be had.
        why: the reason then, as the end of a sentence.
    """

    data: bytes | None = field(repr=False)
    why: str = ""


# --- the shape of records ---------------------------------------------------------------------------------------------


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Named(_Part):
    name: str
    version: str | None = None


class _Commitment(_Part):
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    path: str


class _Pin(_Part):
    model: str
    served: list[str] | None = None
    served_pattern: str | None = None

    @property
    def value(self) -> Pin:
        if self.served_pattern is not None:
            return Pin(self.model, (), self.served_pattern)
        return Pin(self.model, tuple(self.served or (self.model,)))


class _Served(_Part):
    model: str | None = None
    grade: str = Grade.UNKNOWN
    fingerprint: str | None = None


class _Tokens(_Part):
    into: int | None = Field(default=None, alias="in")
    out: int | None = None


class _Attempt(_Part):
    n: int
    adapter: str
    adapter_version: str
    pin: _Pin
    served: _Served = _Served()
    status: int | None = Field(default=None, ge=100, le=599)
    fault: str | None = None
    tokens: _Tokens | None = None
    why: str | None = None


class _Source(_Part):
    kind: Literal["adapter", "fallback", "frozen"]
    name: str
    attempt: int | None = None


class _Case(_Part):
    id: str
    kind: str | None = None
    series: str | None = None


class _Actor(_Part):
    kind: str | None = None


class _Record(_Part):
    call_id: str
    commitments: list[_Commitment] = []
    redacted: dict[str, int] = {}


class _Started(_Record):
    capability: _Named
    config_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    case: _Case | None = None
    actor: _Actor = _Actor()
    labels: list[str] = []


class _Ended(_Record):
    outcome: Literal["answered", "referred", "failed", "refused", "cancelled"]
    source: _Source | None = None
    attempts: list[_Attempt] = []
    attempts_omitted: int = 0


# --- what is handed on ------------------------------------------------------------------------------------------------


@frozen
class Attempted:
    """One recorded attempt.

    Args:
        served: what the reply revealed: name, grade and fingerprint.
        fault: as recorded, by its name; None: its answer was taken.
        why: what made it, where it wasn't its adapter's first: ``retry``, ``repair`` or ``hedge``.
        reply: what came; None: nothing did.
        prompt: its own, where that wasn't the call's.
    """

    n: int
    adapter: str
    adapter_version: str
    pin: Pin
    served: Served
    status: int | None
    fault: str | None
    tokens: Tokens | None
    why: str | None
    reply: Payload | None
    prompt: Payload | None


@frozen
class End:
    """What a caller got, by one record.

    Args:
        index: the record's place in the log.
        outcome: how the call ended.
        kind: who gave the value: ``adapter``, ``fallback``, ``frozen``; None: nobody.
        name: the adapter's name, or the fallback's import path.
        attempt: the number of the attempt that answered.
        response: the value as JSON; None: there was none.
    """

    index: int
    outcome: str
    kind: str | None
    name: str
    attempt: int | None
    response: Payload | None


@frozen
class Recorded:
    """One call, as the ledger has it.

    Args:
        index: the place of the record of its start.
        ts: that record's own time.
        config_sha256: the digest of the configuration that was in force.
        case: id, kind and series of its case.
        actor_kind: what sort of person or process asked.
        ends: what its caller got: by its completed record, and by those that amend it; none: it has no end on record.
        orphaned: whoever made it is gone, or couldn't write down its end.
        omitted: how many of its attempts aren't on record.
        prompt: what was asked; None where nobody was.
        redacted: was anything taken out of what's on record, since it looked like a credential?
    """

    call_id: str
    index: int
    ts: str
    capability: str
    version: str | None
    config_sha256: str
    case: tuple[str, str | None, str | None] | None
    actor_kind: str | None
    labels: frozenset[str]
    request: Payload
    ends: tuple[End, ...]
    attempts: tuple[Attempted, ...]
    orphaned: bool
    omitted: int
    prompt: Payload | None
    redacted: bool = False

    @property
    def got(self) -> End | None:
        """What the caller really got."""
        return self.ends[-1] if self.ends else None


def started(reader: Reader, since: str, until: str | None, capability: str | None) -> Iterator[Entry]:
    """The records of the calls' starts in a time, in the order of the log. Times are the records' own.

    Args:
        reader: an open ledger.
        since: the first moment, written as in the log.
        until: the first moment after; None: to the end.
        capability: only of this one.

    Raises:
        LedgerInvalid: the file is damaged.
    """
    return reader.records(Kind.CALL_STARTED, capability=capability, since=since, until=until)


class NoSuchCall(LookupError):
    """The ledger holds no call with this identifier."""


def recorded(reader: Reader, call_id: str) -> Recorded:
    """All that's on record of a call.

    Raises:
        NoSuchCall: there's no call with this identifier.
        Damaged: a record of it isn't one that failsoft wrote, was pruned, or the record of its start is missing.
        LedgerInvalid: the file can't be read.
    """
    entries = [each for each in reader.call(call_id) if each.kind in _OF_CALLS]
    if not entries:
        raise NoSuchCall(unheard_of(reader, f"call {call_id}"))
    first = entries[0]
    if first.kind != Kind.CALL_STARTED:
        raise Damaged("the record of its start isn't in the ledger")
    start = _parsed(_Started, first, call_id)
    ends: list[End] = []
    attempts: tuple[Attempted, ...] = ()
    omitted, prompt, redacted = 0, None, bool(start.redacted)
    for entry in entries[1:]:
        if entry.kind not in (Kind.CALL_COMPLETED, Kind.CALL_AMENDED):
            continue
        ended = _parsed(_Ended, entry, call_id)
        kept = _payloads(reader, ended)
        redacted = redacted or bool(ended.redacted)
        ends.append(_end(entry, ended, kept))
        if entry.kind == Kind.CALL_COMPLETED:
            attempts = tuple(_attempted(each, kept) for each in ended.attempts)
            omitted, prompt = ended.attempts_omitted, kept.get("prompt")
    return Recorded(
        call_id,
        first.index,
        first.ts,
        start.capability.name,
        start.capability.version,
        start.config_sha256,
        None if start.case is None else (start.case.id, start.case.kind, start.case.series),
        start.actor.kind,
        frozenset(start.labels),
        _payloads(reader, start).get("request", Payload(None, NOT_KEPT)),
        tuple(ends),
        attempts,
        any(each.kind == Kind.CALL_ORPHANED for each in entries),
        omitted,
        prompt,
        redacted,
    )


def _parsed(shape: type[Any], entry: Entry, call_id: str) -> Any:
    where = f"record {entry.index}"
    if entry.body is None:
        raise Damaged(f"{where} was pruned")
    if leaf_hash(entry.body) != entry.leaf:
        raise Damaged(f"{where} isn't what it was when it was written: run `failsoft verify` on the ledger")
    try:
        found: _Record = shape.model_validate(entry.fields)
    except ValueError:
        raise Damaged(f"{where} isn't as failsoft writes it: run `failsoft verify` on the ledger") from None
    if found.call_id != call_id:
        raise Damaged(f"{where} is of another call than its index says: run `failsoft verify` on the ledger")
    return found


def _payloads(reader: Reader, record: _Record) -> dict[str, Payload]:
    return {each.path: _payload(reader, each) for each in record.commitments}


def _payload(reader: Reader, commitment: _Commitment) -> Payload:
    try:
        found = reader.payload(commitment.digest)
    except PayloadSealed:
        return Payload(None, SEALED)
    except ValueError:
        return Payload(None, CHANGED)
    if found is None:
        return Payload(None, NOT_KEPT)
    return Payload(found[2]) if found[0] == commitment.path else Payload(None, CHANGED)


def _end(entry: Entry, ended: _Ended, kept: dict[str, Payload]) -> End:
    source = ended.source
    if source is None:
        return End(entry.index, ended.outcome, None, "", None, None)
    return End(entry.index, ended.outcome, source.kind, source.name, source.attempt, kept.get("response"))


def _attempted(attempt: _Attempt, kept: dict[str, Payload]) -> Attempted:
    told, used = attempt.served, attempt.tokens
    grade = Grade(told.grade) if told.grade in set(Grade) else Grade.UNKNOWN
    return Attempted(
        attempt.n,
        attempt.adapter,
        attempt.adapter_version,
        attempt.pin.value,
        Served(told.model, grade, told.fingerprint),
        attempt.status,
        attempt.fault,
        None if used is None else Tokens(used.into, used.out),
        attempt.why,
        kept.get(f"reply/{attempt.n}"),
        kept.get(f"prompt/{attempt.n}"),
    )
