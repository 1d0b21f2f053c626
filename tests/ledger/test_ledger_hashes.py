"""What hashes alone say of a log of which records were pruned: that what's gone is what the log says is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import test_ledger_pruning as pruning
from ledgers import rows
from signing import attack

from failsoft.ledger.location import InFile
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
