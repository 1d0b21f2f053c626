"""What a verifier without key or pin catches in a file; the threat model, on both stores, stands in test_threat_matrix.py."""

from __future__ import annotations

import errno
import hashlib
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from ledgers import CONTEXT, call, error, ledger_at, seeded, settled, started
from tests.independent.agreeing import by_both as verify

from failsoft.core.evidence import CallAmended, ConfigActivated
from failsoft.errors import LedgerInvalid
from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import Frontier, leaf_hash, root_of
from failsoft.ledger.read import read
from failsoft.ledger.sqlite.read import SqliteSource, _header_holds, _own_wal
from failsoft.ledger.verification.walk import Walk
from failsoft.ledger.verify import Problem, Verification, _Findings
from failsoft.ledger.verify import verify as by_ours

CALLS = 140  # so that a block of 256 leaves is complete


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "x.db"
    ledger = ledger_at(path, random_bytes=seeded())
    ledger.open()
    ledger.submit(ConfigActivated(b'{"a":1}', (), ()))
    for number in range(CALLS):
        _, end = call(ledger, f"c{number}")
    ledger.submit(CallAmended(f"c{CALLS - 1}", "classify-item", "1", end, "answered", True, None, CONTEXT, 9))
    ledger.close()
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "x.db"
    copy.write_bytes(original.read_bytes())
    return copy


@pytest.fixture
def attacker(path: Path) -> Iterator[sqlite3.Connection]:
    """Writes what it likes: the triggers are gone, and come back before anybody looks."""
    connection = sqlite3.connect(path, isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    yield connection
    connection.close()


def put_back(connection: sqlite3.Connection) -> None:
    from failsoft.ledger.sqlite.schema import STATEMENTS

    for statement in STATEMENTS:
        if statement.startswith("CREATE TRIGGER"):
            connection.execute(statement)


def recompute(connection: sqlite3.Connection) -> None:
    """Make leaves, subtrees and head fit the bodies as they are now."""
    frontier = Frontier()
    connection.execute("DELETE FROM ledger_subtree")
    for index, body in connection.execute("SELECT seq, body FROM ledger_record ORDER BY seq").fetchall():
        leaf = leaf_hash(body)
        block = frontier.append(leaf)
        connection.execute("UPDATE ledger_record SET leaf = ? WHERE seq = ?", (leaf, index))
        if block is not None:
            connection.execute("INSERT INTO ledger_subtree VALUES (?, ?)", (index // 256, block))
    connection.execute("UPDATE ledger_head SET size = ?, frontier = ?", (frontier.size, frontier.to_bytes()))


def edit(connection: sqlite3.Connection, index: int, change: Callable[[dict[str, Any]], object]) -> None:
    body = connection.execute("SELECT body FROM ledger_record WHERE seq = ?", (index,)).fetchone()[0]
    document = canonical.read(body)
    change(document)
    connection.execute("UPDATE ledger_record SET body = ? WHERE seq = ?", (canonical.dump(document), index))


def after(connection: sqlite3.Connection, path: Path) -> Verification:
    put_back(connection)
    connection.close()
    return verify(path)


def said(found: Verification) -> str:
    return "\n".join(found.summary())


def test_an_untouched_ledger_is_self_consistent_and_never_called_verified(path: Path) -> None:
    found = verify(path)
    assert found.exit_code == 0
    assert found.verdict == "self-consistent"
    assert "verified" not in said(found)
    assert found.size == 3 + 2 * CALLS + 1 + 1
    assert found.payloads == 4 * CALLS


def test_an_edited_body_is_caught_and_named(path: Path, attacker: sqlite3.Connection) -> None:
    edit(attacker, 9, lambda body: body.update(us=1))
    found = after(attacker, path)
    assert found.exit_code == 1
    assert found.problems[0].index == 9
    assert found.problems[0].rid in said(found)
    assert len(found.problems) == 1


def test_an_edit_of_a_start_alone_is_caught_by_its_end(path: Path, attacker: sqlite3.Connection) -> None:
    edit(attacker, 3, lambda body: body.update(deadline_ms=1))
    recompute(attacker)
    found = after(attacker, path)
    assert found.exit_code == 1
    assert found.problems[0].index == 4


def test_a_pin_that_holds_is_named_in_the_verdict(path: Path) -> None:
    before = verify(path)
    ledger = ledger_at(path)
    ledger.open()
    ledger.close()
    assert verify(path, pins=[(before.size, before.root)]).verdict.startswith(
        f"unchanged up to the pin at {before.size}"
    )


STATEMENTS = {
    "payload deleted": (
        "DELETE FROM ledger_payload WHERE rowid = 5",
        "is missing, and no record says that it was erased",
    ),
    "payload changed": ("UPDATE ledger_payload SET data = x'00' WHERE rowid = 5", "isn't what was committed to"),
    "payloads cut": (
        "UPDATE ledger_payload SET data = substr(data, 1, length(data) - 1)",
        "isn't what was committed to",
    ),
    "payloads exchanged": (
        "UPDATE ledger_payload SET data = (SELECT data FROM ledger_payload WHERE rowid = 6)",
        "isn't what was committed to",
    ),
    "payload added": (
        "INSERT INTO ledger_payload (digest, data) VALUES (zeroblob(32), x'00')",
        "1 payloads belong to no record",
    ),
    "index copy of the call changed": (
        "UPDATE ledger_record SET call_id = 'c99' WHERE seq = 5",
        "its index copy says something else",
    ),
    "index copy of the case hidden": (
        "UPDATE ledger_record SET case_id = NULL WHERE seq = 5",
        "its index copy says something else",
    ),
    "index copy of the type changed": (
        "UPDATE ledger_record SET type = 'call.orphaned' WHERE seq = 5",
        "its index copy says something else",
    ),
    "body removed": ("UPDATE ledger_record SET body = NULL WHERE seq = 5", "its bytes are missing"),
    "body not canonical": ("UPDATE ledger_record SET body = x'7b207d' WHERE seq = 5", "its bytes are no record's"),
    "body garbage": ("UPDATE ledger_record SET body = x'7b7d' WHERE seq = 5", "malformed"),
    "leaf changed": ("UPDATE ledger_record SET leaf = zeroblob(32) WHERE seq = 5", "don't hash to its leaf"),
    "head changed": ("UPDATE ledger_head SET frontier = zeroblob(64)", "the head states"),
    "head of another size": ("UPDATE ledger_head SET size = size + 1", "the head states"),
    "head removed": ("DELETE FROM ledger_head", "the head is missing"),
    "log removed": ("DELETE FROM ledger_log", "the log's own line is missing"),
    "log renamed": ("UPDATE ledger_log SET origin = 'another'", "its origin differs"),
    "subtree changed": ("UPDATE ledger_subtree SET hash = zeroblob(32)", "the stored subtree 0"),
    "subtree planted": (
        "INSERT INTO ledger_subtree VALUES (1, zeroblob(32))",
        "ledger_subtree has a row 1, whose 256 records aren't all there",
    ),
    "subtrees' table removed": ("DROP TABLE ledger_subtree", "the table ledger_subtree is missing"),
    "subtree removed": ("DELETE FROM ledger_subtree", "the stored subtree 0"),
    "checkpoint beyond the head": (
        "INSERT INTO ledger_checkpoint VALUES (99999, x'00', NULL, NULL)",
        "a checkpoint covers more records",
    ),
    "artifact removed": ("DELETE FROM ledger_artifact", "configuration that it names is missing"),
    "artifact changed": ("UPDATE ledger_artifact SET data = x'00'", "configuration that it names was changed"),
    "trigger planted": (
        "CREATE TRIGGER planted AFTER INSERT ON ledger_record BEGIN DELETE FROM ledger_payload; END",
        "trigger planted doesn't belong here",
    ),
    "table planted": ("CREATE TABLE planted (a)", "table planted doesn't belong here"),
    "index removed": ("DROP INDEX ledger_record_call", "index ledger_record_call is missing"),
    "column added": ("ALTER TABLE ledger_record ADD COLUMN note TEXT", "table ledger_record is not as published"),
}


@pytest.mark.parametrize(("statement", "told"), STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_change_by_sql_is_caught(path: Path, attacker: sqlite3.Connection, statement: str, told: str) -> None:
    attacker.execute(statement)
    found = after(attacker, path)
    assert found.exit_code == 1
    assert told in said(found)


EDITS: dict[str, tuple[int, Callable[[dict[str, Any]], object], str]] = {
    "version": (5, lambda b: b.update(v=2), "version or type unknown"),
    "version true": (5, lambda b: b.update(v=True), "version or type unknown"),
    "type unknown": (5, lambda b: b.update(type="call.imagined"), "version or type unknown"),
    "rid": (5, lambda b: b.update(rid="x"), "isn't written as the format has it"),
    "time": (5, lambda b: b.update(ts="2026-11-23 14:00:00"), "isn't written as the format has it"),
    "origin": (5, lambda b: b.update(origin="another"), "its origin differs"),
    "key lacking": (5, lambda b: b.pop("deadline_ms"), "it lacks deadline_ms"),
    "relation unknown": (
        5,
        lambda b: b.update(refs={"started": "00" * 32}),
        "by a relation that its type doesn't have",
    ),
    "emitter": (5, lambda b: b.update(emitter="x"), "malformed"),
    "number true": (6, lambda b: b.update(eseq=True), "malformed"),
    "time of the emitter as text": (6, lambda b: b.update(mono_us="9"), "malformed"),
    "number as text": (5, lambda b: b.update(eseq="4"), "malformed"),
    "time falls": (7, lambda b: b.update(mono_us=0), "its emitter's time falls"),
    "case with control characters": (5, lambda b: b["case"].update(id="a\nb"), "a name in it"),
    "case not in NFC": (5, lambda b: b["case"].update(id="e\u0301"), "a name in it"),
    "capability no object": (5, lambda b: b.update(capability="x"), "malformed"),
    "commitments doubled": (6, lambda b: b["commitments"].append(b["commitments"][0]), "aren't sorted by path"),
    "commitment said twice": (6, lambda b: b["commitments"].insert(0, b["commitments"][0]), "or one is doubled"),
    "commitment's path": (
        5,
        lambda b: b["commitments"][0].update(path="response"),
        "was committed to under another path",
    ),
    "commitment's digest": (5, lambda b: b["commitments"][0].update(digest="XY"), "malformed"),
    "digest in upper case": (
        5,
        lambda b: b["commitments"][0].update(digest=b["commitments"][0]["digest"].upper()),
        "malformed",
    ),
    "call exchanged": (6, lambda b: b.update(call_id="c2"), "isn't open"),
    "end without its start": (6, lambda b: b.pop("refs"), "doesn't name the start of its call"),
    "call started twice": (5, lambda b: b.update(call_id="c0"), "call 'c0' has no end"),
    "amends another": (
        3 + 2 * CALLS,
        lambda b: b["refs"].update(completed="00" * 32),
        "amends a record that isn't its call's",
    ),
    "closes at another number": (4 + 2 * CALLS, lambda b: b.update(last=1), "closed at another number"),
    "format": (0, lambda b: b.update(format="failsoft-ledger/2"), "its format is another one"),
    "opened twice": (2, lambda b: b.update(type="log.opened"), "opened by its first record"),
    "emitter opened in the middle": (
        2,
        lambda b: b.update(type="emitter.opened"),
        "an emitter opens with its first record",
    ),
    "emitter closed in the middle": (
        2,
        lambda b: b.update(type="emitter.closed", last=1),
        "its emitter was closed before it",
    ),
    "config unknown": (2, lambda b: b.update(config_sha256="00" * 32), "configuration that it names is missing"),
    "case of 129 bytes": (5, lambda b: b["case"].update(id="x" * 129), "a name in it"),
    "case of no text": (5, lambda b: b["case"].update(id=5), "malformed"),
    "case of none": (5, lambda b: b["case"].update(id=""), "a name in it"),
    "actor with format characters": (5, lambda b: b["actor"].update(id="a\u200bb"), "a name in it"),
    "actor without an id": (5, lambda b: b["actor"].pop("id"), "malformed"),
    "on whose behalf, with a line end": (5, lambda b: b["actor"].update(on_behalf_of="a\n"), "a name in it"),
    "kind of the case": (5, lambda b: b["case"].update(kind="\x1b[31m"), "a name in it"),
    "series of the case": (5, lambda b: b["case"].update(series="x" * 129), "a name in it"),
    "a label": (5, lambda b: b.update(labels=["CUI", "a\u202eb"]), "a name in it"),
    "labels no list": (5, lambda b: b.update(labels=5), "malformed"),
    "host": (1, lambda b: b.update(host="a\tb"), "a name in it"),
    "recipient": (5, lambda b: b.update(recipient=""), "a name in it"),
    "who agreed": (5, lambda b: b.update(approved_by="\n"), "a name in it"),
    "an event": (5, lambda b: b.update(event="\n"), "a name in it"),
    "capability not in NFC": (5, lambda b: b["capability"].update(name="e\u0301"), "a name in it"),
    "emitter in upper case": (5, lambda b: b.update(emitter="A" * 32), "malformed"),
    "version not given": (5, lambda b: b.pop("v"), "malformed"),
    "commitments unsorted": (6, lambda b: b["commitments"].reverse(), "aren't sorted by path"),
    "ends another's start": (6, lambda b: b["refs"].update(started="00" * 32), "doesn't name the start of its call"),
    "ended before it was started": (5, lambda b: b.update(call_id="c99"), "isn't open"),
}


@pytest.mark.parametrize(("index", "change", "told"), EDITS.values(), ids=EDITS.keys())
def test_a_body_that_breaks_a_rule_is_caught_though_all_hashes_fit(
    path: Path, attacker: sqlite3.Connection, index: int, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    edit(attacker, index, change)
    recompute(attacker)
    found = after(attacker, path)
    assert found.exit_code == 1
    assert told in said(found)


def test_a_call_that_begins_twice_is_caught_though_its_first_life_has_ended(
    path: Path, attacker: sqlite3.Connection
) -> None:
    edit(attacker, 7, lambda body: body.update(call_id="c0"))
    attacker.execute("UPDATE ledger_record SET call_id = 'c0' WHERE seq = 7")
    recompute(attacker)
    found = after(attacker, path)
    assert "record 7: call 'c0' was started or ended more than once" in said(found)


@pytest.mark.parametrize("index", [4, 1 + 2 * CALLS], ids=["another call's end", "its own call's start"])
def test_an_amendment_of_anything_but_its_own_calls_end_is_caught(
    path: Path, attacker: sqlite3.Connection, index: int
) -> None:
    (leaf,) = attacker.execute("SELECT leaf FROM ledger_record WHERE seq = ?", (index,)).fetchone()
    edit(attacker, 3 + 2 * CALLS, lambda body: body["refs"].update(completed=leaf.hex()))
    recompute(attacker)
    assert "amends a record that isn't its call's" in said(after(attacker, path))


def test_a_name_has_up_to_128_bytes(path: Path, attacker: sqlite3.Connection) -> None:
    edit(
        attacker,
        283,
        lambda body: body["actor"].update(id="x" * 128) if "actor" in body else body.update(person="x" * 128),
    )
    recompute(attacker)
    assert "a name in it" not in said(after(attacker, path))


def test_a_call_whose_end_came_too_late_and_is_only_amended_has_ended(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db", random_bytes=seeded())
    ledger.open()
    begin = ledger.submit(started("c1"))
    settled(begin)
    nowhere = type("Nowhere", (), {"leaf": None})()
    ledger.submit(CallAmended("c1", "classify-item", "1", nowhere, "answered", True, None, CONTEXT, 9))
    ledger.close()
    found = verify(tmp_path / "x.db")
    assert (found.exit_code, found.kinds["call.amended"]) == (0, 1), said(found)


def test_an_emitters_time_may_stand_still(path: Path, attacker: sqlite3.Connection) -> None:
    body = canonical.read(attacker.execute("SELECT body FROM ledger_record WHERE seq = 5").fetchone()[0])
    edit(attacker, 6, lambda end: end.update(mono_us=body["mono_us"]))
    recompute(attacker)
    assert after(attacker, path).exit_code == 0


def test_a_recovery_that_names_its_emitters_latest_failure_is_whole(path: Path, attacker: sqlite3.Connection) -> None:
    def become(kind: str, **fields: Any) -> None:
        index = 2 if kind == "ledger.failure" else 4 + 2 * CALLS
        kept = ("v", "rid", "ts", "origin", "emitter", "eseq", "mono_us")

        def change(body: dict[str, Any]) -> None:
            common = {key: body[key] for key in kept}
            body.clear()
            body.update(common, type=kind, **fields)

        edit(attacker, index, change)
        attacker.execute("UPDATE ledger_record SET type = ? WHERE seq = ?", (kind, index))

    become("ledger.failure", policy="fallback", lost_at_most=0, **{"from": "x"})
    failure = attacker.execute("SELECT body FROM ledger_record WHERE seq = 2").fetchone()[0]
    become("ledger.recovered", to="x", refs={"failure": leaf_hash(failure).hex()}, **{"from": "x"})
    recompute(attacker)
    assert after(attacker, path).exit_code == 0


@pytest.mark.parametrize(
    "lost", [{"count": -7}, {"count": 0}, {"count": "7"}, {"lost_at_most": -1}, {"lost_at_most": True}]
)
def test_a_loss_that_is_no_number_of_calls_is_caught(
    path: Path, attacker: sqlite3.Connection, lost: dict[str, Any]
) -> None:
    kind, more = ("gap.declared", {"reason": "x"}) if "count" in lost else ("ledger.failure", {"policy": "refuse"})
    edit(attacker, 2, lambda body: body.update(type=kind, **more, **lost, **{"from": "x"}))
    attacker.execute("UPDATE ledger_record SET type = ? WHERE seq = 2", (kind,))
    recompute(attacker)
    assert "it's malformed" in said(after(attacker, path))


def test_a_foreign_recovery_is_caught(path: Path, attacker: sqlite3.Connection) -> None:
    def become(body: dict[str, Any]) -> None:
        body.update(type="ledger.recovered", to="x", refs={"failure": "00" * 32}, **{"from": "x"})

    edit(attacker, 2, become)
    attacker.execute("UPDATE ledger_record SET type = 'ledger.recovered' WHERE seq = 2")
    recompute(attacker)
    assert "isn't its emitter's latest" in said(after(attacker, path))


@pytest.mark.parametrize("table", ["ledger_record", "ledger_payload"])
def test_a_view_in_place_of_a_table_makes_it_unusable(path: Path, attacker: sqlite3.Connection, table: str) -> None:
    attacker.execute(f"ALTER TABLE {table} RENAME TO hidden")
    attacker.execute(f"CREATE VIEW {table} AS SELECT * FROM hidden")
    attacker.close()
    assert verify(path).exit_code == 3


def test_an_emptied_ledger_is_unusable(path: Path, attacker: sqlite3.Connection) -> None:
    attacker.execute("DELETE FROM ledger_record")
    attacker.execute("DELETE FROM ledger_payload")
    attacker.execute("DELETE FROM ledger_subtree")
    attacker.execute("UPDATE ledger_head SET size = 0, frontier = x''")
    assert after(attacker, path).exit_code == 3


@pytest.mark.parametrize("name", ["empty", "text", "database", "newer", "older", "journal", "nothing"])
def test_what_is_no_ledger_is_neither_verified_nor_opened(path: Path, name: str) -> None:
    connection = sqlite3.connect(path)
    if name == "empty":
        path.write_bytes(b"")
    elif name == "text":
        path.write_text("hello " * 1000)
    elif name == "database":
        connection.execute("PRAGMA application_id = 0")
    elif name == "newer":
        connection.execute("PRAGMA user_version = 2")
    elif name == "older":
        connection.execute("PRAGMA user_version = 0")
    elif name == "journal":
        path.with_name("x.db-journal").write_bytes(b"x")
    elif name == "nothing":
        path.unlink()
    connection.close()
    found = verify(path)
    assert found.exit_code == 3
    assert found.summary()[0] == "unusable"
    if name != "nothing":
        way = {"newer": "use a newer one", "older": "of no failsoft that was released"}.get(name, "")
        with pytest.raises(LedgerInvalid, match=rf"x\.db.*{way}"):
            ledger_at(path).open()


def test_a_cut_file_is_caught_and_not_opened(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert verify(path).exit_code in (1, 3)
    with pytest.raises(LedgerInvalid, match=r"cut|fit"):
        ledger_at(path).open()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_head SET frontier = zeroblob(64)",
        "DELETE FROM ledger_head",
        "UPDATE ledger_log SET format = 'x'",
        "UPDATE ledger_head SET size = size + 1",
        "DELETE FROM ledger_record WHERE seq = (SELECT max(seq) FROM ledger_record)",
        "UPDATE ledger_record SET leaf = zeroblob(32) WHERE seq = (SELECT max(seq) FROM ledger_record)",
        "UPDATE ledger_record SET body = x'7b7d' WHERE seq = (SELECT max(seq) FROM ledger_record)",
        "UPDATE ledger_subtree SET hash = zeroblob(32)",
        "INSERT INTO ledger_subtree VALUES (1, zeroblob(32))",
        "INSERT INTO ledger_checkpoint VALUES (99999, x'00', NULL, NULL)",
        "CREATE TABLE planted (a)",
    ],
)
def test_a_tampered_ledger_is_not_written_to(path: Path, attacker: sqlite3.Connection, statement: str) -> None:
    attacker.execute(statement)
    put_back(attacker)
    attacker.close()
    with pytest.raises(LedgerInvalid, match=r"verify|emptied|format"):
        ledger_at(path).open()


def test_an_index_that_hides_a_call_is_caught(path: Path, attacker: sqlite3.Connection) -> None:
    honest, narrow = "call_id IS NOT NULL", "length(call_id) > 2"
    for old, new in ((honest, narrow), (narrow, honest)):
        attacker.execute("PRAGMA writable_schema = ON")
        attacker.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'ledger_record_call'", (old, new)
        )
        attacker.execute("PRAGMA writable_schema = RESET")
        if new == narrow:
            attacker.execute("REINDEX ledger_record_call")
    found = after(attacker, path)
    assert found.exit_code == 1
    assert "missing from index ledger_record_call" in said(found)


def test_a_call_id_that_is_no_text_is_caught(path: Path, attacker: sqlite3.Connection) -> None:
    edit(attacker, 5, lambda body: body.update(call_id=["c1"]))
    recompute(attacker)
    assert "malformed" in said(after(attacker, path))


def test_a_call_started_twice_is_caught_where_the_first_is_still_open(path: Path, attacker: sqlite3.Connection) -> None:
    edit(attacker, 4, lambda body: body.update(call_id="other"))
    edit(attacker, 5, lambda body: body.update(call_id="c0"))
    recompute(attacker)
    assert "was started before" in said(after(attacker, path))


def test_a_summary_shows_no_control_characters_of_a_hostile_file(path: Path, attacker: sqlite3.Connection) -> None:
    attacker.execute("UPDATE ledger_log SET origin = char(27) || '[2J'")
    found = after(attacker, path)
    assert "\x1b" not in said(found)
    assert "\\u001b[2J" in said(found)


def test_an_empty_write_ahead_log_or_none_is_no_problem(path: Path) -> None:
    assert _own_wal(path.with_name("nowhere.db"))
    path.with_name("x.db-wal").write_bytes(b"")
    assert verify(path).exit_code == 0


def test_a_planted_write_ahead_log_is_caught(path: Path) -> None:
    path.with_name("x.db-wal").write_bytes(b"\x37\x7f\x06\x82" + b"\x01" * 5000)
    assert "-wal" in said(verify(path))


def test_a_planted_write_ahead_log_of_another_ledger_is_caught(path: Path, tmp_path: Path) -> None:
    other = ledger_at(tmp_path / "other.db")
    other.open()
    settled(other.submit(started("foreign")))
    planted = (tmp_path / "other.db-wal").read_bytes()
    other.close()
    path.with_name("x.db-wal").write_bytes(planted)
    assert verify(path).exit_code != 0


def test_triggers_stop_accidents(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA recursive_triggers = ON")
    for statement in (
        "DELETE FROM ledger_record WHERE seq = 3",
        "UPDATE ledger_record SET call_id = 'x' WHERE seq = 3",
        "UPDATE ledger_record SET leaf = zeroblob(32), body = NULL WHERE seq = 3",
        "REPLACE INTO ledger_record (seq, leaf) VALUES (3, zeroblob(32))",
        "UPDATE ledger_head SET size = 1",
        "DELETE FROM ledger_head",
        "UPDATE ledger_payload SET data = x'00'",
        "DELETE FROM ledger_artifact",
        "UPDATE ledger_log SET origin = 'x'",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.execute("UPDATE ledger_record SET body = NULL, rid = NULL, call_id = NULL WHERE seq = 3")  # pruning
    connection.close()


def test_many_problems_are_counted_and_not_all_kept(path: Path, attacker: sqlite3.Connection) -> None:
    attacker.execute("DELETE FROM ledger_payload")
    found = after(attacker, path)
    assert len(found.problems) == 100
    assert found.more == 4 * CALLS - 100
    assert found.summary()[-1] == f"and {found.more} problems more"


def test_what_is_graver_than_a_hundred_is_told_after_them() -> None:
    found = _Findings()
    for code in (*[2] * 150, 1, 2, 1, 3, 1):
        found.report(code, "wrong", None)
    assert [each.code for each in found.problems] == [*[2] * 100, 1, 3]
    assert (found.code, found.more) == (3, 53)


def test_missing_payloads_are_named_each_and_hide_no_other(path: Path, attacker: sqlite3.Connection) -> None:
    attacker.execute("DELETE FROM ledger_payload WHERE rowid IN (1, 5, 6, 9)")
    found = after(attacker, path)
    assert len(found.problems) == 4
    assert found.payloads == 4 * CALLS - 4


def test_payloads_may_lie_in_another_order_than_the_records_that_name_them(
    path: Path, attacker: sqlite3.Connection
) -> None:
    attacker.execute("UPDATE ledger_payload SET rowid = 99999 WHERE rowid = 5")
    attacker.execute("UPDATE ledger_payload SET rowid = 5 WHERE rowid = 7")
    found = after(attacker, path)
    assert (found.exit_code, found.payloads) == (0, 4 * CALLS)


@pytest.mark.parametrize(
    ("before", "later", "back"),
    [
        ("2026-11-23T14:00:01.000000Z", "2026-11-23T14:00:00.000000Z", True),
        ("2026-11-23T14:00:01.000000Z", "2026-11-23T14:00:00.000001Z", False),  # threads overtake each other
        ("2026-11-23T14:00:01.000000Z", "2026-11-23T14:00:01.000000Z", False),
        ("2026-11-23T14:00:01.000000Z", "2026-11-22T23:59:59.999999Z", True),
    ],
)
def test_a_clock_steps_back_by_a_second_or_more(before: str, later: str, back: bool) -> None:
    walk = Walk(sqlite3.connect(":memory:", factory=SqliteSource), "")
    for ts in (before, later, later):
        walk._note_time(0, ts)
    walk.source.close()
    assert walk.steps_back == int(back)


def test_small_steps_back_are_measured_from_the_latest_time_that_was_seen() -> None:
    walk = Walk(sqlite3.connect(":memory:", factory=SqliteSource), "")
    for ts in ("2026-11-23T14:00:01.000000Z", "2026-11-23T14:00:00.500000Z", "2026-11-23T14:00:00.000000Z"):
        walk._note_time(0, ts)
    walk.source.close()
    assert walk.steps_back == 1


def test_a_clock_that_stepped_back_is_noted_and_no_problem(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    settled(ledger.submit(started("c1")))
    ledger._clock.wall -= 3_600_000_000_000  # type: ignore[attr-defined]
    ledger.close()
    found = verify(ledger.location.path)
    assert found.exit_code == 0
    assert "1 times a record's time is a second or more before" in said(found)


def test_verifying_a_live_ledger_sees_calls_in_flight_and_changes_nothing(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    settled(ledger.submit(started("open")))
    wal = (tmp_path / "x.db-wal").stat().st_size
    found = verify(ledger.location.path)
    assert (found.exit_code, found.in_flight) == (0, 1)
    assert (tmp_path / "x.db-wal").stat().st_size == wal
    ledger.close()


def test_a_call_that_ends_while_it_is_verified_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    begin = ledger.submit(started("open"))
    settled(begin)
    walked = Walk.record

    def slow(self: Walk, row: tuple[Any, ...], problem: Callable[[str], None]) -> None:
        ledger.close()
        walked(self, row, problem)

    monkeypatch.setattr(Walk, "record", slow)
    found = by_ours(ledger.location.path)
    assert (found.exit_code, found.in_flight, found.size) == (0, 1, 3)


@pytest.mark.parametrize(
    ("code", "exit_code", "told"),
    [
        (sqlite3.SQLITE_BUSY, 3, "can't be read"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, 3, "can't be read"),  # a kind of busy
        (sqlite3.SQLITE_NOMEM, 3, "can't be read"),
        (sqlite3.SQLITE_CORRUPT, 1, "cut or damaged"),
        (sqlite3.SQLITE_CORRUPT_INDEX, 1, "cut or damaged"),
    ],
)
def test_a_ledger_that_cant_be_read_now_is_unusable_not_tampered_with(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, exit_code: int, told: str
) -> None:
    class Refusing(SqliteSource):
        def execute(self, *_: Any) -> Any:
            raise error(code, "no")

    monkeypatch.setattr("failsoft.ledger.sqlite.read.connect", lambda path: sqlite3.connect(path, factory=Refusing))
    found = by_ours(path)
    assert found.exit_code == exit_code
    assert told in said(found)


def wal_header(mark: int = 0x377F0682, version: int = 3_007_000, page: int = 8192) -> bytes:
    """A header as sqlite.org/fileformat2.html, section 4, has it; the mark's last bit says how words are summed."""
    words = [mark, version, page, 7, 0x12345678, 0xFEDCBA98]
    start = b"".join(word.to_bytes(4, "big") for word in words)
    order: Literal["big", "little"] = "big" if mark & 1 else "little"
    summed = [int.from_bytes(start[at : at + 4], order) for at in range(0, 24, 4)]
    first = second = 0
    while summed:
        first = (first + summed.pop(0) + second) % 2**32
        second = (second + summed.pop(0) + first) % 2**32
    return start + first.to_bytes(4, "big") + second.to_bytes(4, "big")


@pytest.mark.parametrize("mark", [0x377F0682, 0x377F0683])
def test_a_write_ahead_logs_header_holds_as_it_is_and_no_byte_otherwise(mark: int) -> None:
    header = wal_header(mark)
    assert _header_holds(header)
    for at in range(32):
        assert not _header_holds(header[:at] + bytes([header[at] ^ 0x11]) + header[at + 1 :])


@pytest.mark.parametrize("header", [wal_header(0x377F0684), wal_header(version=3_007_001), wal_header(page=4096)])
def test_a_write_ahead_log_of_another_kind_is_not_this_databases(header: bytes) -> None:
    assert not _header_holds(header)


def test_a_summary_says_all_that_was_found() -> None:
    problems = (Problem(1, "bad", 7, "rid"), Problem(2, "lost", 8), Problem(3, "gone"))
    found = Verification(1, problems, 2, ("a note",), "o", 9, "ab", {"x": 1, "a": 2}, 3)
    assert found.summary() == [
        "tampered with",
        "origin o",
        "9 records: 2 a, 1 x",
        "3 payloads",
        "root ab",
        "a note",
        "record 7 (rid): bad",
        "record 8: lost",
        "gone",
        "and 2 problems more",
    ]
    assert Verification(3, problems[2:]).summary() == ["unusable", "gone"]


def test_a_verdict_claims_no_more_than_was_shown() -> None:
    assert [Verification(code, ()).verdict for code in range(4)] == [
        "self-consistent",
        "tampered with",
        "incomplete",
        "unusable",
    ]
    assert (
        Verification(0, (), size=9, pinned=7).verdict == "unchanged up to the pin at 7; the 2 after it self-consistent"
    )
    assert Verification(1, (), size=9, pinned=7).verdict == "tampered with"


@pytest.mark.parametrize(("codes", "worst"), [((2, 1, 2), 1), ((1, 3, 1), 3), ((2,), 2), ((2, 3), 3), ((), 0)])
def test_the_exit_code_is_that_of_the_worst_problem(codes: tuple[int, ...], worst: int) -> None:
    findings = _Findings()
    for code in codes:
        findings.add(Problem(code, "what"))
    assert findings.code == worst


def test_a_pin_of_no_records_holds_of_every_log_and_another_of_none(path: Path) -> None:
    empty = hashlib.sha256(b"").hexdigest()
    found = verify(path, pins=[(0, empty)])
    assert (found.exit_code, found.pinned) == (0, 0)
    found = verify(path, pins=[(0, "00" * 32), (0, empty)])
    assert found.exit_code == 1
    assert "a log of no records has another root" in said(found)


def test_every_pin_is_held_against_the_log(path: Path) -> None:
    whole = verify(path)
    with read(path) as reader:
        root = root_of([each.leaf for each in reader.records()][:100]).hex()
    assert verify(path, pins=[(100, root), (whole.size, whole.root)]).verdict.startswith(
        f"unchanged up to the pin at {whole.size}; the 0"
    )
    found = verify(path, pins=[(100, "00" * 32), (whole.size, whole.root), (whole.size + 1, whole.root)])
    assert [(each.code, each.index) for each in found.problems] == [(1, 99), (1, None)]
    assert f"there are {whole.size} records, and {whole.size + 1} were pinned" in said(found)


def test_a_log_that_isnt_read_in_time_is_unusable_not_tampered_with(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any, **__: Any) -> Any:
        raise subprocess.TimeoutExpired("python", 30)

    path.with_name(path.name + "-wal").write_bytes(b"x")
    monkeypatch.setattr(subprocess, "run", slow)
    found = by_ours(path)
    assert found.exit_code == 3
    assert "in time" in said(found)


@pytest.mark.parametrize("why", ["no memory for it", "killed"])
def test_a_log_whose_reader_has_no_memory_is_unusable_not_tampered_with(
    path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def doomed(*_: Any, **__: Any) -> Any:
        if why == "killed":
            return subprocess.CompletedProcess("python", -9, b"", b"")
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    path.with_name(path.name + "-wal").write_bytes(b"x")
    monkeypatch.setattr(subprocess, "run", doomed)
    found = by_ours(path)
    assert found.exit_code == 3
    assert "its write-ahead log couldn't be read" in said(found)


def test_digest_of_the_configuration_is_that_of_its_snapshot(path: Path) -> None:
    connection = sqlite3.connect(path)
    ((digest, data),) = connection.execute("SELECT sha256, data FROM ledger_artifact").fetchall()
    connection.close()
    assert hashlib.sha256(data).digest() == digest


# --- hashes alone ---------------------------------------------------------------------------------------------------------

MISSED_BY_HASHES = {
    "payload deleted",
    "payload changed",
    "payloads cut",
    "payloads exchanged",
    "payload added",
    "index copy of the call changed",
    "index copy of the case hidden",
    "index copy of the type changed",
    "log renamed",
    "artifact removed",
    "artifact changed",
}


@pytest.mark.parametrize(("name", "statement"), [(name, each[0]) for name, each in STATEMENTS.items()])
def test_hashes_alone_find_a_change_of_bytes_or_tree(
    path: Path, attacker: sqlite3.Connection, name: str, statement: str
) -> None:
    attacker.execute(statement)
    put_back(attacker)
    attacker.close()
    found = verify(path, hashes_only=True)
    assert found.exit_code == (0 if name in MISSED_BY_HASHES else 1), said(found)
    if name == "subtree changed":
        assert [each.index for each in found.problems] == [255]


@pytest.mark.parametrize(
    ("index", "body", "told"),
    [(0, b"{}", ""), (0, b"{ }", "no record's"), (5, b'"key.rotated"', "no record's"), (5, b'{"a":"key.rotated"}', "")],
)
def test_hashes_alone_read_what_may_declare_a_key(
    path: Path, attacker: sqlite3.Connection, index: int, body: bytes, told: str
) -> None:
    attacker.execute("UPDATE ledger_record SET body = ? WHERE seq = ?", (body, index))
    recompute(attacker)
    put_back(attacker)
    attacker.close()
    found = verify(path, hashes_only=True)
    assert (found.exit_code, told in said(found)) == (1 if told else 0, True)


def test_hashes_alone_of_a_leaf_that_is_text(path: Path, attacker: sqlite3.Connection) -> None:
    attacker.execute("PRAGMA writable_schema = ON")
    attacker.execute("UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = 'ledger_record'")
    attacker.execute("PRAGMA writable_schema = RESET")
    attacker.execute(f"UPDATE ledger_record SET leaf = '{'x' * 32}' WHERE seq = 5")
    found = verify(path, hashes_only=True)
    assert found.exit_code == 1
    assert "cut or damaged (a leaf that isn't 32 bytes)" in said(found)
