"""What tests of signed ledgers share: keys, anchors, and the attacker who has the file and not the key. No tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ledgers import SystemClock, call, ledger_at, settled

from failsoft.ledger.checkpoints.anchors import Anchor
from failsoft.ledger.checkpoints.publishing import Signing
from failsoft.ledger.format.merkle import Frontier, leaf_hash
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.sqlite.schema import STATEMENTS
from failsoft.ledger.writing.writer import StoredLedger

ORIGIN = "example.com/failsoft-test"
KEY = SigningKey(ORIGIN, bytes(range(32)))
NEXT = SigningKey(ORIGIN, bytes(range(1, 33)))


def signing_in(folder: Path, key: SigningKey = KEY, **options: Any) -> Signing:
    return Signing(key, folder / "signer.state", **options)


def signed_ledger(path: Path, anchors: Sequence[Anchor] = (), key: SigningKey = KEY, **options: Any) -> StoredLedger:
    given = {name: options.pop(name) for name in ("records", "every_ns", "max_unanchored_age_ns") if name in options}
    signing = signing_in(path.parent, key, anchors=tuple(anchors), **given)
    return ledger_at(path, **{"signing": signing, "clock": SystemClock(), **options})


def write(path: Path, calls: int, **options: Any) -> None:
    """A life of one process: so many calls."""
    ledger = signed_ledger(path, **options)
    ledger.open()
    for number in range(calls):
        settled(call(ledger, f"{ledger._appender.emitter.id[:8]}-{number}")[1])
    ledger.close()


def attack(path: Path, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
    """Whoever may write the file: guards are dropped, and put back."""
    connection = sqlite3.connect(path, isolation_level=None)
    triggers = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")]
    for name in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(*((statement, ()) if isinstance(statement, str) else statement))
    for statement in STATEMENTS:
        if statement.startswith("CREATE TRIGGER"):
            connection.execute(statement)
    connection.close()


def recompute(path: Path, *, bodies: bool = True) -> None:
    """Leaves, subtrees and head made to fit the records as they are: all that needs no key."""
    connection = sqlite3.connect(path)
    frontier = Frontier()
    changes: list[str | tuple[str, tuple[Any, ...]]] = ["DELETE FROM ledger_subtree"]
    for seq, body in connection.execute("SELECT seq, body FROM ledger_record ORDER BY seq").fetchall():
        leaf = leaf_hash(body)
        changes.append(("UPDATE ledger_record SET leaf = ? WHERE seq = ?", (leaf, seq)))
        block = frontier.append(leaf)
        if block is not None:
            changes.append(("INSERT INTO ledger_subtree VALUES (?, ?)", (seq // 256, block)))
    connection.close()
    changes.append(("UPDATE ledger_head SET size = ?, frontier = ?", (frontier.size, frontier.to_bytes())))
    attack(path, *changes)
