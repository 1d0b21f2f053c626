from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledgers import call, ledger_at, settled, started

from failsoft.core.evidence import ConfigActivated
from failsoft.errors import LedgerInvalid
from failsoft.ledger.format import merkle
from failsoft.ledger.read import Reader, read
from failsoft.ledger.sqlite import read as sqlite_read
from failsoft.ledger.sqlite.read import SqliteSource, connect


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "50%?#.db"
    ledger = ledger_at(path)
    ledger.open()
    for number in range(400):
        call(ledger, f"c{number}")
    settled(ledger.submit(started("other", capability="rate-bid")))
    ledger.close()
    return path


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    with read(path) as reader:
        yield reader


def test_a_reader_knows_origin_size_and_root(reader: Reader) -> None:
    leaves = [each.leaf for each in reader.records()]
    assert reader.origin == "example.com/failsoft-test"
    assert reader.size == len(leaves) == 805
    assert reader.root == merkle.root_of(leaves)


def test_records_are_found_by_what_they_are_about(reader: Reader) -> None:
    assert len(list(reader.records("call.started"))) == 401
    assert [each.kind for each in reader.records(call_id="c7")] == ["call.started", "call.completed"]
    assert reader.call("c7") == list(reader.records(call_id="c7"))
    assert len(list(reader.records(capability="rate-bid"))) == 2
    assert len(list(reader.records(case="SPE4A7-26-R-0001", kind="call.completed"))) == 400
    assert list(reader.records(case="another")) == []


def test_the_last_ones_come_in_the_order_of_the_log(reader: Reader) -> None:
    assert [each.index for each in reader.records(last=3)] == [802, 803, 804]
    assert [each.fields["call_id"] for each in reader.records("call.completed", last=2)] == ["c398", "c399"]


def test_one_record_is_found_by_its_place(reader: Reader) -> None:
    assert reader.record(0).fields["type"] == "log.opened"
    with pytest.raises(LookupError, match="no record 805"):
        reader.record(805)


def test_a_payload_is_disclosed_by_its_commitment(reader: Reader) -> None:
    commitments = {each["path"]: each["digest"] for each in reader.call("c1")[1].fields["commitments"]}
    assert sorted(commitments) == ["prompt", "reply/1", "response"]
    assert reader.payload(commitments["response"]) == ("response", "application/json", b'{"fsc":"5310"}')
    assert reader.payload(bytes(32)) is None
    assert reader.artifact("00" * 32) is None
    assert reader.artifact(bytes(32)) is None


def test_every_record_has_an_inclusion_proof_and_every_size_a_consistency_proof(reader: Reader) -> None:
    size, root, frontier = reader.size, reader.root, merkle.Frontier()
    for each in reader.records():
        if each.index in (1, 2, 255, 256, 257, 511, 512, 600, 804):
            assert merkle.verify_inclusion(each.leaf, each.index, size, reader.inclusion(each.index), root)
            proof = reader.consistency(each.index)
            assert merkle.verify_consistency(each.index, frontier.root(), size, root, proof)
        frontier.append(each.leaf)


def test_a_connection_reads_only_and_trusts_no_schema(path: Path) -> None:
    connection = connect(path)
    pragmas = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("trusted_schema", "cell_size_check")
    }
    assert pragmas == {"trusted_schema": 0, "cell_size_check": 1}
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM ledger_payload")
    connection.close()


def test_an_artifact_is_found_by_its_digest(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    for snapshot in (b'{"a":1}', b'{"a":2}'):
        settled(ledger.submit(ConfigActivated(snapshot, (), ())))
    ledger.close()
    with read(ledger.location.path) as reader:
        named = [each.fields["config_sha256"] for each in reader.records("config.activated")]
        assert [reader.artifact(each) for each in named] == [
            ("application/json", b'{"a":1}'),
            ("application/json", b'{"a":2}'),
        ]


def pragma(path: Path, setting: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA {setting}")
    connection.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.with_name(path.name + "-journal").write_bytes(b"x"), "rollback journal"),
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"x" * 9000), "can't be read"),
        (lambda path: pragma(path, "application_id = 1"), "not a ledger"),
        (lambda path: pragma(path, "user_version = 2"), "format 2"),
        (lambda path: pragma(path, "user_version = 0"), "format 0"),
    ],
)
def test_what_is_no_ledger_says_what_it_is(path: Path, tmp_path: Path, change: Any, told: str) -> None:
    copy = tmp_path / "x.db"
    copy.write_bytes(path.read_bytes())
    change(copy)
    with pytest.raises(LedgerInvalid, match=told), read(copy):
        pass


def test_a_reader_sees_one_moment(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    with read(ledger.location.path) as reader:
        assert reader.size == 2
        settled(ledger.submit(started()))
        assert reader.size == len(list(reader.records())) == 2
    ledger.close()


def test_a_reader_is_used_as_a_context_manager(path: Path) -> None:
    with pytest.raises(RuntimeError, match="with read"):
        _ = read(path).size


def test_a_pruned_record_and_a_swapped_payload_say_so(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    settled(call(ledger, "c1")[1])
    ledger.close()
    with read(ledger.location.path) as reader:
        digest = reader.call("c1")[0].fields["commitments"][0]["digest"]
    connection = sqlite3.connect(ledger.location.path, isolation_level=None)
    connection.execute("DROP TRIGGER ledger_payload_no_update")
    connection.execute("UPDATE ledger_record SET body = NULL WHERE seq = 3")
    connection.execute("UPDATE ledger_payload SET data = x'00'")
    connection.close()
    with read(ledger.location.path) as reader:
        with pytest.raises(LookupError, match="pruned"):
            _ = reader.record(3).fields
        with pytest.raises(ValueError, match="committed to"):
            reader.payload(digest)


def test_a_file_that_sqlite_cannot_open_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_read, "address", lambda *_: "file:///nowhere/at/all?mode=ro")
    with pytest.raises(LedgerInvalid, match="can't be read"), read(path):
        pass


@pytest.mark.parametrize("wal", [False, True])
def test_where_nothing_may_be_written_beside_it_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wal: bool
) -> None:
    """An auditor's copy in a folder that's read-only; tests may run as root, whom nothing is forbidden."""

    class Denied(SqliteSource):
        def execute(self, query: str, *values: Any) -> sqlite3.Cursor:
            error = sqlite3.OperationalError("attempt to write a readonly database")
            error.sqlite_errorcode = sqlite3.SQLITE_READONLY_CANTINIT
            raise error

    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.close()
    if wal:
        (tmp_path / "x.db-wal").touch()
    monkeypatch.setattr(sqlite_read, "SqliteSource", Denied)
    copied = "copy it, and x.db-wal with it, to a folder of your own" if wal else "copy it to a folder of your own"
    with pytest.raises(
        LedgerInvalid, match=rf"readonly database\): SQLite reads it only where .* beside it: {copied}$"
    ):
        connect(tmp_path / "x.db")
