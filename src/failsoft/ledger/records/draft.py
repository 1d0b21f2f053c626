"""What each type of record says: evidence and the ledger's own events, as drafts.

Everything that isn't ours is bounded here: identifiers are checked, provider strings are cut, payloads are kept out of
the body, attempts beyond the first and last sixteen are counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

from failsoft.audit import Marks
from failsoft.context import CallContext
from failsoft.context import identifier as checked_identifier
from failsoft.core import evidence
from failsoft.core.effects import Ticket
from failsoft.ledger.format.canonical import real
from failsoft.ledger.records import keeping_draft, lock_draft
from failsoft.ledger.records.facts import provider_text
from failsoft.ledger.records.person_draft import need_of, omitted, person_acted
from failsoft.ledger.records.record import JSON, Draft, Fields
from failsoft.ledger.records.schema import FORMAT, Kind
from failsoft.outcome import Pin, Served, Source
from failsoft.prompt import Sampling

ATTEMPTS_KEPT = 16
"""Attempts kept at either end of a long call; two, where even those would burst the record."""

ATTEMPTS_BYTES = 40_000
"""What the attempts may take of a record's 61,440 bytes."""

SCHEMA = "application/schema+json"
TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"

LeafOf = Callable[[Ticket], bytes | None]


@lru_cache(maxsize=4096)
def _identifier(value: str, what: str) -> str:
    return checked_identifier(value, what)


# --- the ledger's own records -----------------------------------------------------------------------------------------


def log_opened(keys: Sequence[str] = ()) -> Draft:
    """The first record of a log; `keys` are the verifier keys of those who sign it."""
    return Draft(Kind.LOG_OPENED, {"format": FORMAT} | ({"keys": list(keys)} if keys else {}))


def key_rotated(former: str | None, to: str, actor: str | None = None, why: str | None = None) -> Draft:
    """From here on another key signs the log, or a first one does: verifier keys."""
    fields: Fields = {"to": to}
    if former is not None:
        fields["from"] = former
    if actor is not None:
        fields["actor"] = {"id": _identifier(actor, "an actor's id")}
    if why is not None:
        fields["why"] = keeping_draft.words(why)
    return Draft(Kind.KEY_ROTATED, fields)


def emitter_opened(host: str, pid: int, lib: Mapping[str, str], swept: Sequence[str] = ()) -> Draft:
    """A process begins to speak. `swept` are emitters of its host that are gone, and of which no record waits there."""
    host = _identifier(host, "the host label")
    fields: Fields = {"host": host, "pid": pid, "lib": dict(lib), "time_source": "system"}
    return Draft(Kind.EMITTER_OPENED, fields | ({"swept": list(swept)} if swept else {}))


def emitter_closed(last: int) -> Draft:
    """A process has ended in order; `last` is this record's own number."""
    return Draft(Kind.EMITTER_CLOSED, {"last": last})


def call_orphaned(call_id: str, started: bytes, capability: str | None, case: str | None) -> Draft:
    """A call began, and whoever made it is gone."""
    fields: Fields = {"call_id": call_id, "refs": {"started": started.hex()}}
    if capability is not None:
        fields["capability"] = {"name": capability}
    if case is not None:
        fields["case"] = {"id": case}
    return Draft(Kind.CALL_ORPHANED, fields)


def gap_declared(reason: str, count: int) -> Draft:
    """So many calls at most have records that will never be written."""
    return Draft(Kind.GAP_DECLARED, {"count": count, "reason": reason})


def ledger_failure(began: str, policy: str, lost: int, ended: str | None = None) -> Draft:
    """The ledger couldn't record from then on."""
    fields: Fields = {"from": began, "policy": policy, "lost_at_most": lost}
    if ended is not None:
        fields["to"] = ended
    return Draft(Kind.LEDGER_FAILURE, fields)


def ledger_recovered(began: str, ended: str, failure: bytes) -> Draft:
    """It can again."""
    return Draft(Kind.LEDGER_RECOVERED, {"from": began, "to": ended, "refs": {"failure": failure.hex()}})


# --- evidence ---------------------------------------------------------------------------------------------------------


def draft_of(record: evidence.Record, leaf_of: LeafOf) -> Draft:
    """What this evidence will say.

    Args:
        record: what happened.
        leaf_of: the leaf of a ticket's record, or None where it isn't in the log.

    Raises:
        ValueError: an identifier is malformed.
        TypeError: it's no evidence.
    """
    match record:
        case evidence.CallStarted():
            return _started(record)
        case evidence.CallCompleted():
            return _completed(record, leaf_of)
        case evidence.CallAmended():
            return _amended(record, leaf_of)
        case _:
            pass
    builder = _BUILDERS.get(type(record))
    if builder is None:
        raise TypeError(f"{type(record).__name__} is no evidence")
    return builder(record)


def _started(record: evidence.CallStarted) -> Draft:
    fields = _call(record.call_id, record.capability, record.capability_version, record.context)
    fields["config_sha256"] = record.config_sha256
    fields["deadline_ms"] = record.deadline_ms
    if record.context.actor is not None:
        actor = record.context.actor
        fields["actor"] = _named("an actor's", id=actor.id, kind=actor.kind, on_behalf_of=actor.on_behalf_of)
    if record.route:
        fields["route"] = [_identifier(each, "an adapter's name") for each in record.route]
    if record.audit is None:
        return Draft(Kind.CALL_STARTED, fields, (("request", JSON, record.request),))
    marks = record.audit.request
    return Draft(
        Kind.CALL_STARTED,
        {**fields, **_facts(marks, record.request), **omitted(marks.missing("request"))},
        (("request", JSON, marks.kept(record.request)),),
    )


def _completed(record: evidence.CallCompleted, leaf_of: LeafOf) -> Draft:
    fields = _ended(record, record.adapter_version)
    attempts = _kept(record.attempts, ATTEMPTS_KEPT)
    told = [_attempt(each) for each in attempts]
    if len(told) > 4 and len(json.dumps(told, ensure_ascii=False).encode()) > ATTEMPTS_BYTES:
        attempts = _kept(record.attempts, 2)
        told = [_attempt(each) for each in attempts]
    if told:
        fields["attempts"] = told
    if len(told) < len(record.attempts):
        fields["attempts_omitted"] = len(record.attempts) - len(told)
    if record.passed_over:
        fields["passed_over"] = [
            {"adapter": _identifier(adapter, "an adapter's name"), "reason": _identifier(reason, "a reason")}
            for adapter, reason in record.passed_over
        ]
    if (leaf := leaf_of(record.started)) is not None:
        fields["refs"] = {"started": leaf.hex()}
    response = _response(record, fields)
    payloads = _present("prompt", JSON, record.prompt)
    for each in attempts:
        if each.reply is not None:
            payloads += ((f"reply/{each.n}", _media(each.reply), each.reply),)
        payloads += _present(f"error/{each.n}", TEXT, each.detail)
        payloads += _present(f"prompt/{each.n}", JSON, each.prompt)
    if record.audit is not None and record.audit.hides:
        fields |= omitted([*fields.get("omitted", ()), *(path for path, _, _ in payloads)])
        payloads = ()
    return Draft(Kind.CALL_COMPLETED, fields, response + payloads)


def _amended(record: evidence.CallAmended, leaf_of: LeafOf) -> Draft:
    fields = _ended(record, None)
    if (leaf := leaf_of(record.completed)) is not None:
        fields["refs"] = {"completed": leaf.hex()}
    return Draft(Kind.CALL_AMENDED, fields, _response(record, fields))


def _config(record: evidence.ConfigActivated) -> Draft:
    fields: Fields = {"config_sha256": sha256(record.snapshot).hexdigest()}
    artifacts = [(JSON, record.snapshot), *((SCHEMA, schema) for _, schema in record.schemas)]
    if record.purpose is not None:
        fields["purpose"] = record.purpose
    if record.lock is not None:
        fields["lock_sha256"] = sha256(record.lock).hexdigest()
        artifacts.append((JSON, record.lock))
    digests = {name: sha256(schema).hexdigest() for name, schema in record.schemas}
    if record.capabilities:
        fields["capabilities"] = [
            _named("a capability's", name=name, version=version, digest=digests.get(name))
            for name, version in record.capabilities
        ]
    if record.adapters:
        fields["adapters"] = [
            {**_named("an adapter's", name=name, adapter_version=version), "pin": _pin(pin)}
            for name, version, pin in record.adapters
        ]
    return Draft(Kind.CONFIG_ACTIVATED, fields, artifacts=tuple(artifacts))


def _breaker(record: evidence.BreakerChanged) -> Draft:
    fields: Fields = _named(
        "a breaker's", adapter=record.adapter, layer=record.layer, **{"from": record.before, "to": record.after}
    )
    fields["reason"] = provider_text(record.reason)
    if record.until_ms is not None:
        fields["until_ms"] = record.until_ms
    if record.capability is not None:
        fields["capability"] = {"name": _identifier(record.capability, "a capability's name")}
    return Draft(Kind.BREAKER_CHANGED, fields)


def _block(record: evidence.BlockChanged) -> Draft:
    fields: Fields = {
        "subject": _identifier(record.subject, "a block's subject"),
        "blocked": record.blocked,
        "actor": {"id": _identifier(record.actor, "an actor's id")},
        "why": provider_text(record.why),
    }
    if record.until is not None:
        fields["until"] = record.until
    if record.mode is not None:
        fields["mode"] = _identifier(record.mode, "a mode")
    return Draft(Kind.BLOCK_CHANGED, fields)


def _notice(record: evidence.RetirementNotice) -> Draft:
    fields: Fields = {
        "adapter": _identifier(record.adapter, "an adapter's name"),
        "model": provider_text(record.model),
    }
    if record.deprecated is not None:
        fields["deprecated"] = record.deprecated
    if record.sunset is not None:
        fields["sunset"] = record.sunset
    return Draft(Kind.MODEL_RETIREMENT_NOTICE, fields, _present("notice", TEXT, record.text))


_BUILDERS: Mapping[type, Callable[[Any], Draft]] = {
    evidence.ConfigActivated: _config,
    evidence.PersonActed: person_acted,
    evidence.BreakerChanged: _breaker,
    evidence.BlockChanged: _block,
    evidence.RetirementNotice: _notice,
    evidence.PayloadErased: keeping_draft.erased,
    evidence.LegalHold: keeping_draft.hold,
    evidence.CaseEvent: keeping_draft.case_event,
    evidence.LedgerTransferred: keeping_draft.transferred,
    evidence.RecordsPruned: keeping_draft.pruned,
    evidence.ExportCreated: keeping_draft.exported,
    evidence.LockChanged: lock_draft.changed,
    evidence.LockApproved: lock_draft.approved,
}
"""How evidence is told that refers to no ticket."""


# --- parts ------------------------------------------------------------------------------------------------------------


def _named(whose: str, **values: str | None) -> Fields:
    return {key: _identifier(value, f"{whose} {key}") for key, value in values.items() if value is not None}


def _call(call_id: str, capability: str, version: str | None, context: CallContext) -> Fields:
    fields: Fields = {
        "call_id": _identifier(call_id, "a call's id"),
        "capability": _named("a capability's", name=capability, version=version),
    }
    if context.case is not None:
        case = context.case
        fields["case"] = _named("a case's", id=case.id, kind=case.kind, series=case.series)
    if context.trace is not None:
        fields["trace"] = {"trace_id": context.trace.trace_id, "span_id": context.trace.span_id}
    if context.labels:
        fields["labels"] = sorted(_identifier(each, "a label") for each in context.labels)
    return fields


def _ended(record: evidence.CallCompleted | evidence.CallAmended, version: str | None) -> Fields:
    fields = _call(record.call_id, record.capability, record.capability_version, record.context)
    fields |= {"outcome": record.outcome, "degraded": record.degraded, "us": record.us}
    if record.source is not None:
        fields["source"] = _source(record.source, version)
    if record.review is not None:
        fields["review"] = need_of(record.review)
    return fields


def _response(
    record: evidence.CallCompleted | evidence.CallAmended, fields: Fields
) -> tuple[tuple[str, str, bytes], ...]:
    """The answer as a payload; what of it is public goes into the record."""
    if record.response is None or record.audit is None:
        return _present("response", JSON, record.response)
    fields |= _facts(record.audit.response, record.response) | omitted(record.audit.response.missing("response"))
    return (("response", JSON, record.audit.response.kept(record.response)),)


def _facts(marks: Marks, text: bytes) -> Fields:
    """What's public of a request or a response, as it is: whoever builds the record redacts and bounds it."""
    found = marks.facts(text)
    return {"facts": found} if found else {}


def _source(source: Source, version: str | None) -> Fields:
    fields: Fields = {"kind": source.kind, "name": provider_text(source.name)}
    if version is not None:
        fields["version"] = _identifier(version, "an adapter's version")
    if source.attempt is not None:
        fields["attempt"] = source.attempt
    return fields


def _kept(attempts: Sequence[evidence.Attempt], each_end: int) -> Sequence[evidence.Attempt]:
    if len(attempts) <= 2 * each_end:
        return attempts
    return [*attempts[:each_end], *attempts[-each_end:]]


def _attempt(attempt: evidence.Attempt) -> Fields:
    fields: Fields = {
        "n": attempt.n,
        **_named("an adapter's", adapter=attempt.adapter, adapter_version=attempt.adapter_version),
        "pin": _pin(attempt.pin),
        "us": attempt.us,
    }
    if attempt.endpoint is not None:
        fields["endpoint"] = provider_text(attempt.endpoint)
    if attempt.served is not None and (served := _served(attempt.served)):
        fields["served"] = served
    if attempt.status is not None:
        fields["status"] = attempt.status
    if attempt.fault is not None:
        fields["fault"] = _identifier(str(attempt.fault), "a fault")
    if attempt.why is not None:
        fields["why"] = attempt.why
    if attempt.sampling is not None:
        fields["sampling"] = _sampling(attempt.sampling)
    if attempt.tokens is not None:
        used = {"in": attempt.tokens.input, "out": attempt.tokens.output}
        if known := {key: value for key, value in used.items() if value is not None}:
            fields["tokens"] = known
    return fields


def _pin(pin: Pin) -> Fields:
    fields: Fields = {"model": provider_text(pin.model)}
    if pin.served_pattern is not None:
        fields["served_pattern"] = provider_text(pin.served_pattern)
    elif pin.served:
        fields["served"] = [provider_text(each) for each in pin.served]
    return fields


def _served(served: Served) -> Fields:
    told = {
        "model": served.model,
        "fingerprint": served.fingerprint,
        "request_id": served.request_id,
        "upstream": served.upstream,
    }
    fields: Fields = {key: provider_text(value) for key, value in told.items() if value is not None}
    return {**fields, "grade": served.grade.value}


def _sampling(sampling: Sampling) -> Fields:
    fields: Fields = {"max_tokens": sampling.max_tokens}
    if sampling.temperature is not None:
        fields["temperature"] = real(sampling.temperature)
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    if sampling.stop:
        fields["stop"] = [provider_text(each) for each in sampling.stop]
    return fields


def _present(path: str, media: str, data: bytes | None) -> tuple[tuple[str, str, bytes], ...]:
    return () if data is None else ((path, media, data),)


def _media(reply: bytes) -> str:
    """What a provider sends is JSON where it looks so; the bytes are kept as they are either way."""
    return JSON if reply[:1] in (b"{", b"[") else BINARY
