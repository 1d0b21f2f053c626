"""The tables of a ledger in SQLite.

Triggers guard against accidents only; what catches intent is the tree. `REPLACE` deletes without firing a delete
trigger unless ``recursive_triggers`` is on, hence the pragma.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x4653_4C47
"""``FSLG``: the mark in the file's header."""

PAGE_SIZE = 8192
"""Bytes: the fastest for one commit at a time, of 4096, 8192 and 16384."""

VERSION = 1
"""``user_version`` of the file: a higher one was written by a newer failsoft."""

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
