"""What hashes alone say of a log of which records were pruned: that what's gone is what the log says is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import test_ledger_pruning as pruning
from ledgers import rows
from signing import attack

from failsoft.ledger.format.merkle import leaf_hash, root_of
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.location import InFile
from failsoft.ledger.verification.hashes import first_problem
from failsoft.ledger.verify import verify

BARE = pruning.TestTampering.BARE


@pytest.fixture
def file(tmp_path: Path) -> InFile:
    """Of three calls, 3 to 8, the first is pruned."""
    made = InFile(tmp_path / "x.db")
    pruning.wrote(made, "a", "b", "c")
    pruning.closed(made, "a")
    pruning.pruned(made)
    return made


def test_what_was_pruned_is_no_problem(file: InFile) -> None:
    found = verify(file, hashes_only=True)
    assert (found.exit_code, found.notes) == (0, ("2 records were pruned, as the log says",))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            f"UPDATE ledger_record SET {BARE} WHERE seq IN (4, 5)",
            "no record says that it was pruned, and 1 more after it",
        ),
        (f"UPDATE ledger_record SET {BARE} WHERE type = 'case.event'", "not one that is pruned"),
        (f"UPDATE ledger_record SET {BARE} WHERE type = 'record.pruned'", "not one that is pruned"),
        (f"UPDATE ledger_record SET {BARE}, type = 'call.completed' WHERE seq = 1", "aren't those that were there"),
        ("UPDATE ledger_record SET type = 'gap.declared' WHERE seq = 2", "not one that is pruned"),
        ("UPDATE ledger_record SET type = 'call.completed' WHERE seq = 1", "aren't those that were there"),
    ],
)
def test_what_is_gone_besides_is_tampering(file: InFile, statement: str, told: str) -> None:
    attack(file.path, statement)
    found = verify(file, hashes_only=True)
    assert found.exit_code == 1
    assert told in " ".join(found.summary())


def test_records_that_a_pruning_has_left_make_it_incomplete(file: InFile) -> None:
    attack(file.path, "UPDATE ledger_record SET type = 'call.started' WHERE seq = 1")
    assert 2 in {each.code for each in verify(file, hashes_only=True).problems}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"leaves_sha256": "00" * 32}, "aren't those that were there when it was written"),
        ({"last": []}, "it's malformed"),
        ({"last": 1}, "no record says that it was pruned"),
    ],
)
def test_a_record_that_says_otherwise(file: InFile, changes: dict[str, Any], told: str) -> None:
    fields = json.loads(rows(file.path, "SELECT body FROM ledger_record WHERE type = 'record.pruned'")[0][0])
    kept = {key: each for key, each in {**fields, **changes}.items() if each != []}
    body = json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()
    attack(file.path, ("UPDATE ledger_record SET body = ? WHERE type = 'record.pruned'", (body,)))
    found = verify(file, hashes_only=True)
    assert found.exit_code == 1
    assert told in " ".join(found.summary())


def test_a_record_that_is_none(file: InFile) -> None:
    attack(file.path, "UPDATE ledger_record SET body = CAST('{ }' AS BLOB) WHERE type = 'record.pruned'")
    assert "it's malformed" in " ".join(verify(file, hashes_only=True).summary())


class TestFirstProblem:
    """Of a log that's gone by its rows: these say what the bytes say, and give the tree."""

    @staticmethod
    def found(file: InFile) -> str:
        leaves = [leaf for (leaf,) in rows(file.path, "SELECT leaf FROM ledger_record ORDER BY seq")]
        source = file.connect()
        source.begin()
        try:
            return first_problem(source, Checkpoint("example.com/failsoft-test", len(leaves), root_of(leaves)))
        finally:
            source.close()

    def test_a_whole_one_has_none(self, file: InFile) -> None:
        assert self.found(file) == ""

    def test_what_isnt_finished_is_none(self, tmp_path: Path) -> None:
        file = InFile(tmp_path / "y.db")
        pruning.wrote(file, "a", "b")
        columns = "body, rid, ts, call_id, case_id, capability"
        (before,) = rows(file.path, f"SELECT {columns} FROM ledger_record WHERE seq = 3")
        pruning.closed(file, "a")
        pruning.pruned(file)
        (after,) = rows(file.path, f"SELECT {columns} FROM ledger_record WHERE seq = 3")
        assert before != after
        attack(file.path, (f"UPDATE ledger_record SET ({columns}) = (?, ?, ?, ?, ?, ?) WHERE seq = 3", before))
        assert {each.code for each in verify(file, hashes_only=True).problems} == {2}
        assert self.found(file) == ""

    @pytest.mark.parametrize(
        "body", [b"{}", b"{", b'{"type":"gap.declared"}', b'{"case":1,"rid":"","ts":"","type":""}']
    )
    def test_bytes_that_are_no_records(self, file: InFile, body: bytes) -> None:
        attack(file.path, ("UPDATE ledger_record SET body = ?, leaf = ? WHERE seq = 2", (body, leaf_hash(body))))
        assert self.found(file) == "record 2: it's malformed: a part of it is missing or of the wrong type"

    @pytest.mark.parametrize("column", ["rid", "ts", "call_id", "case_id", "capability"])
    def test_what_was_pruned_left_no_more_than_it_must(self, file: InFile, column: str) -> None:
        attack(file.path, f"UPDATE ledger_record SET {column} = 'c9' WHERE seq = 3")
        assert (
            self.found(file) == "record 3: its bytes are missing, and it's not one that is pruned, or not as those are"
        )

    @pytest.mark.parametrize(
        "change",
        [
            "emitter = 'ab'",
            "eseq = 99",
            "rid = 'r'",
            "type = 'case.event'",
            "ts = ''",
            "call_id = NULL",
            "case_id = 'b'",
            "capability = NULL",
        ],
    )
    def test_each_copy_says_what_the_bytes_say(self, file: InFile, change: str) -> None:
        ((index,),) = rows(
            file.path, "SELECT min(seq) FROM ledger_record WHERE capability IS NOT NULL AND case_id = 'c'"
        )
        attack(file.path, f"UPDATE ledger_record SET {change} WHERE seq = {index}")
        assert self.found(file) == f"record {index}: its index copy says something else than its bytes"
