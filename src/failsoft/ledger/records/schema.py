"""The closed list of record types, and what each says: what writer and verifier agree on, whatever the store."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

FORMAT = "failsoft-ledger/1"


class Kind(StrEnum):
    """Every record type of the format. A type that isn't here is a problem to a verifier."""

    LOG_OPENED = "log.opened"
    EMITTER_OPENED = "emitter.opened"
    EMITTER_CLOSED = "emitter.closed"
    GAP_DECLARED = "gap.declared"
    CONFIG_ACTIVATED = "config.activated"
    LOCK_CHANGED = "lock.changed"
    BLOCK_CHANGED = "block.changed"
    BREAKER_CHANGED = "breaker.changed"
    ROLLBACK_EXECUTED = "rollback.executed"
    KEY_ROTATED = "key.rotated"
    MODEL_RETIREMENT_NOTICE = "model.retirement_notice"
    MODEL_IDENTITY_CHANGED = "model.identity_changed"
    CALL_STARTED = "call.started"
    CALL_COMPLETED = "call.completed"
    CALL_AMENDED = "call.amended"
    CALL_ORPHANED = "call.orphaned"
    REVIEW_RECORDED = "review.recorded"
    OVERRIDE_RECORDED = "override.recorded"
    APPROVAL_RECORDED = "approval.recorded"
    APPEAL_RECORDED = "appeal.recorded"
    CASE_EVENT = "case.event"
    DRIFT_DETECTED = "drift.detected"
    PROBE_COMPLETED = "probe.completed"
    BASELINE_ACCEPTED = "baseline.accepted"
    SHADOW_COMPARED = "shadow.compared"
    LEDGER_FAILURE = "ledger.failure"
    LEDGER_RECOVERED = "ledger.recovered"
    PAYLOAD_ERASED = "payload.erased"
    RECORD_PRUNED = "record.pruned"
    LEGAL_HOLD_SET = "legal_hold.set"
    LEGAL_HOLD_CLEARED = "legal_hold.cleared"
    EXPORT_CREATED = "export.created"
    LEDGER_TRANSFERRED = "ledger.transferred"


REQUIRED = MappingProxyType(
    {
        Kind.LOG_OPENED: frozenset({"format"}),
        Kind.EMITTER_OPENED: frozenset({"host", "lib", "pid", "time_source"}),
        Kind.EMITTER_CLOSED: frozenset({"last"}),
        Kind.GAP_DECLARED: frozenset({"count", "reason"}),
        Kind.CONFIG_ACTIVATED: frozenset({"config_sha256"}),
        Kind.LOCK_CHANGED: frozenset({"lock_sha256", "person", "why"}),
        Kind.APPROVAL_RECORDED: frozenset({"lock_sha256", "person", "why"}),
        Kind.KEY_ROTATED: frozenset({"to"}),
        Kind.BREAKER_CHANGED: frozenset({"adapter", "layer", "from", "to", "reason"}),
        Kind.BLOCK_CHANGED: frozenset({"subject", "blocked", "actor", "why"}),
        Kind.MODEL_RETIREMENT_NOTICE: frozenset({"adapter", "model"}),
        Kind.CALL_STARTED: frozenset({"call_id", "capability", "commitments", "config_sha256", "deadline_ms"}),
        Kind.CALL_COMPLETED: frozenset({"call_id", "capability", "degraded", "outcome", "us"}),
        Kind.CALL_AMENDED: frozenset({"call_id", "capability", "degraded", "outcome", "us"}),
        Kind.CALL_ORPHANED: frozenset({"call_id", "refs"}),
        Kind.PAYLOAD_ERASED: frozenset({"basis", "person"}),
        Kind.LEGAL_HOLD_SET: frozenset({"case", "person", "why"}),
        Kind.LEGAL_HOLD_CLEARED: frozenset({"case", "person", "why"}),
        Kind.CASE_EVENT: frozenset({"case", "date", "event", "person", "why"}),
        Kind.RECORD_PRUNED: frozenset({"emitters", "first", "last", "leaves_sha256", "person", "why"}),
        Kind.LEDGER_TRANSFERRED: frozenset({"to", "person", "why"}),
        Kind.REVIEW_RECORDED: frozenset({"call_id", "capability", "commitments", "decision", "person", "refs"}),
        Kind.OVERRIDE_RECORDED: frozenset({"call_id", "capability", "commitments", "decision", "person", "refs"}),
        Kind.APPEAL_RECORDED: frozenset({"call_id", "capability", "commitments", "person", "refs"}),
        Kind.LEDGER_FAILURE: frozenset({"from", "policy", "lost_at_most"}),
        Kind.LEDGER_RECOVERED: frozenset({"from", "to"}),
        Kind.EXPORT_CREATED: frozenset({"recipient", "person", "manifest_sha256", "why"}),
    }
)
"""Keys that a record of each type has besides the common ones."""

PRUNABLE = frozenset(
    {
        Kind.CALL_STARTED,
        Kind.CALL_COMPLETED,
        Kind.CALL_AMENDED,
        Kind.CALL_ORPHANED,
        Kind.REVIEW_RECORDED,
        Kind.OVERRIDE_RECORDED,
        Kind.APPEAL_RECORDED,
    }
)
"""What a pruning takes out: records of calls, and what people decided about them."""

RELATIONS = MappingProxyType(
    {
        Kind.CALL_COMPLETED: frozenset({"started"}),
        Kind.CALL_AMENDED: frozenset({"completed"}),
        Kind.CALL_ORPHANED: frozenset({"started"}),
        Kind.REVIEW_RECORDED: frozenset({"completed", "amended", "former"}),
        Kind.OVERRIDE_RECORDED: frozenset({"completed", "amended", "former"}),
        Kind.APPEAL_RECORDED: frozenset({"completed", "amended", "former"}),
        Kind.LEDGER_RECOVERED: frozenset({"failure"}),
    }
)
"""The closed list of relations in ``refs``, per type; a type that isn't here has none in this version."""
