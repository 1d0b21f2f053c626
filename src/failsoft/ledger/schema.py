"""The tables of a ledger in SQLite, and the closed list of record types: what writer and verifier agree on.

Triggers guard against accidents only; what catches intent is the tree. `REPLACE` deletes without firing a delete
trigger unless ``recursive_triggers`` is on, hence the pragma.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from types import MappingProxyType

FORMAT = "failsoft-ledger/1"
APPLICATION_ID = 0x4653_4C47
"""``FSLG``: the mark in the file's header."""

PAGE_SIZE = 8192
"""Bytes: the fastest for one commit at a time, of 4096, 8192 and 16384."""

VERSION = 1
"""``user_version`` of the file: a higher one was written by a newer failsoft."""


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
        Kind.KEY_ROTATED: frozenset({"to"}),
        Kind.BREAKER_CHANGED: frozenset({"adapter", "layer", "from", "to", "reason"}),
        Kind.BLOCK_CHANGED: frozenset({"subject", "blocked", "actor", "why"}),
        Kind.MODEL_RETIREMENT_NOTICE: frozenset({"adapter", "model"}),
        Kind.CALL_STARTED: frozenset({"call_id", "capability", "commitments", "config_sha256", "deadline_ms"}),
        Kind.CALL_COMPLETED: frozenset({"call_id", "capability", "degraded", "outcome", "us"}),
        Kind.CALL_AMENDED: frozenset({"call_id", "capability", "degraded", "outcome", "us"}),
        Kind.CALL_ORPHANED: frozenset({"call_id", "refs"}),
        Kind.LEDGER_FAILURE: frozenset({"from", "policy", "lost_at_most"}),
        Kind.LEDGER_RECOVERED: frozenset({"from", "to"}),
        Kind.EXPORT_CREATED: frozenset({"recipient", "person", "manifest_sha256"}),
    }
)
"""Keys that a record of each type has besides the common ones."""

RELATIONS = MappingProxyType(
    {
        Kind.CALL_COMPLETED: frozenset({"started"}),
        Kind.CALL_AMENDED: frozenset({"completed"}),
        Kind.CALL_ORPHANED: frozenset({"started"}),
        Kind.LEDGER_RECOVERED: frozenset({"failure"}),
    }
)
"""The closed list of relations in ``refs``, per type; a type that isn't here has none in this version."""

_TABLES = (
    """CREATE TABLE ledger_log (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    origin TEXT NOT NULL,
    format TEXT NOT NULL,
    created TEXT NOT NULL,
    vkey TEXT
) STRICT""",
    """CREATE TABLE ledger_record (
    seq INTEGER PRIMARY KEY CHECK (seq >= 0),
    leaf BLOB NOT NULL CHECK (length(leaf) = 32),
    body BLOB,
    emitter TEXT,
    eseq INTEGER,
    rid TEXT UNIQUE,
    type TEXT,
    ts TEXT,
    call_id TEXT,
    case_id TEXT,
    capability TEXT,
    UNIQUE (emitter, eseq)
) STRICT""",
    """CREATE TABLE ledger_head (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    size INTEGER NOT NULL CHECK (size >= 0),
    frontier BLOB NOT NULL,
    sig BLOB
) STRICT""",
    """CREATE TABLE ledger_checkpoint (
    size INTEGER PRIMARY KEY,
    note BLOB NOT NULL,
    tsr BLOB,
    published_to TEXT
) STRICT""",
    """CREATE TABLE ledger_payload (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    dek BLOB,
    nonce BLOB,
    data BLOB NOT NULL
) STRICT""",
    """CREATE TABLE ledger_artifact (
    sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    media TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT""",
    """CREATE TABLE ledger_subtree (
    idx INTEGER PRIMARY KEY CHECK (idx >= 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT""",
    "CREATE INDEX ledger_record_call ON ledger_record (call_id) WHERE call_id IS NOT NULL",
    "CREATE INDEX ledger_record_case ON ledger_record (case_id) WHERE case_id IS NOT NULL",
)


def _guard(table: str, event: str, when: str = "") -> str:
    return f"""CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} {when}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"""


_PRUNES = """WHEN NOT (NEW.seq IS OLD.seq AND NEW.leaf IS OLD.leaf AND NEW.emitter IS OLD.emitter
    AND NEW.eseq IS OLD.eseq AND NEW.type IS OLD.type AND NEW.body IS NULL
    AND (NEW.rid IS NULL OR NEW.rid IS OLD.rid) AND (NEW.ts IS NULL OR NEW.ts IS OLD.ts)
    AND (NEW.call_id IS NULL OR NEW.call_id IS OLD.call_id) AND (NEW.case_id IS NULL OR NEW.case_id IS OLD.case_id)
    AND (NEW.capability IS NULL OR NEW.capability IS OLD.capability))"""

_TRIGGERS = (
    _guard("ledger_log", "UPDATE"),
    _guard("ledger_log", "DELETE"),
    _guard("ledger_record", "UPDATE", _PRUNES),
    _guard("ledger_record", "DELETE"),
    _guard("ledger_head", "UPDATE", "WHEN NEW.size < OLD.size"),
    _guard("ledger_head", "DELETE"),
    _guard("ledger_checkpoint", "UPDATE", "WHEN NEW.size IS NOT OLD.size OR NEW.note IS NOT OLD.note"),
    _guard("ledger_checkpoint", "DELETE"),
    _guard("ledger_payload", "UPDATE"),  # a payload may be deleted: that is how it's erased
    _guard("ledger_artifact", "UPDATE"),
    _guard("ledger_artifact", "DELETE"),
)

STATEMENTS = _TABLES + _TRIGGERS
"""The published SQL, in the order in which it runs."""

UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""What a query raises on a damaged file: the second where SQLite's message quotes bytes of it that are no text."""

_CATALOGUE = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"


def differences(connection: sqlite3.Connection) -> list[str]:
    """What a file's schema has too much, too little or otherwise than the published SQL: one phrase each."""
    found = {(kind, name): (table, sql) for kind, name, table, sql in connection.execute(_CATALOGUE)}
    blank = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statement in STATEMENTS:
            blank.execute(statement)
        wanted = {(kind, name): (table, sql) for kind, name, table, sql in blank.execute(_CATALOGUE)}
    finally:
        blank.close()
    return [
        *(f"the {kind} {name} is missing" for kind, name in sorted(wanted.keys() - found.keys())),
        *(f"the {kind} {name} doesn't belong here" for kind, name in sorted(found.keys() - wanted.keys())),
        *(
            f"the {kind} {name} is not as published"
            for kind, name in sorted(wanted.keys() & found.keys())
            if wanted[kind, name] != found[kind, name]
        ),
    ]
