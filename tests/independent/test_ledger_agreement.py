"""Two verifiers, one of them written from the published page alone, say the same of every ledger file: whole, bad and hostile."""

from __future__ import annotations

import ast
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.independent.agreeing import HERE, PAGE, agreed
from tests.independent.ledger_reader import Page

import test_ledger_flips as flips  # isort: skip
import test_ledger_tampering as tampering  # isort: skip
import test_threat_matrix as matrix  # isort: skip
from attacked import World, in_a_file, lived  # isort: skip
from signing import signing_in  # isort: skip

from failsoft.ledger.keys.vault import _SQL as SQL_OF_KEYS
from failsoft.ledger.location import InFile
from failsoft.ledger.records.schema import PRUNABLE, RELATIONS, REQUIRED, Kind
from failsoft.ledger.sqlite.schema import STATEMENTS as SQL

original, path, attacker = tampering.original, tampering.path, tampering.attacker
whole, one_process = flips.whole, flips.one_process


# --- the page is the code's ------------------------------------------------------------------------------------------------


def test_the_pages_statements_are_those_of_the_code() -> None:
    page = Page(PAGE)
    assert (tuple(page.statements), tuple(page.of_keys)) == (SQL, SQL_OF_KEYS)


def test_the_pages_types_have_the_keys_and_relations_of_the_code() -> None:
    page = Page(PAGE)
    assert page.types == {str(each) for each in Kind}
    assert page.prunable == {str(each) for each in PRUNABLE}
    required = {str(kind): must for kind, must in REQUIRED.items()}
    required["ledger.recovered"] |= {"refs"}  # which the code demands elsewhere
    assert {kind: rules.must for kind, rules in page.rules.items()} == required
    relations = {kind: rules.relations for kind, rules in page.rules.items() if rules.relations}
    assert relations == {str(kind): each for kind, each in RELATIONS.items()}
    assert not [kind for kind, rules in page.rules.items() if rules.must & rules.may]


@pytest.mark.parametrize("name", ["bundle_reader", "ledger_reader", "aes_gcm"])
def test_it_imports_nothing_of_failsoft(name: str) -> None:
    """The standard library, one another, and of `cryptography` what checks a signature."""
    allowed = {*sys.stdlib_module_names, "tests.independent.bundle_reader", "tests.independent.aes_gcm"}
    allowed |= {"cryptography.exceptions", "cryptography.hazmat.primitives.asymmetric.ed25519"}
    found: set[str] = set()
    for each in ast.walk(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(each, ast.Import):
            found |= {alias.name for alias in each.names}
        elif isinstance(each, ast.ImportFrom):
            assert not each.level
            found.add(each.module or "")
    assert {each for each in found if each not in allowed and each.partition(".")[0] not in allowed} == set()


# --- the threat model ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], World]:
    """A ledger that is signed, or not; made when it's asked for."""
    made: dict[bool, World] = {}

    def world(signed: bool) -> World:
        if signed not in made:
            folder = tmp_path_factory.mktemp("world") / "own"
            attacked = in_a_file(folder)
            made[signed] = lived(attacked, signing_in(folder, every_ns=3600 * matrix.SECOND) if signed else None)
        return made[signed]

    return world


@pytest.mark.parametrize("opened", [False, True], ids=["closed", "opened"])
@pytest.mark.parametrize("column", matrix.COLUMNS)
@pytest.mark.parametrize("name", [*matrix.THREATS, "nothing"])
def test_they_agree_on_the_threat_model(worlds: Callable[[bool], World], name: str, column: str, opened: bool) -> None:
    at = matrix.COLUMNS.index(column)
    world = worlds(matrix.SIGNED[at])
    now = world.newest.copy()
    if name in matrix.THREATS:
        matrix.THREATS[name].attack(world, now)
    world.attacked.put(now)
    pinned = matrix.PINNED[at]
    place = world.attacked.place if opened else world.attacked.closed
    assert isinstance(place, InFile)
    code = agreed(
        place, keys=matrix.KEYS if matrix.SIGNED[at] else [], pins=[] if pinned is None else [world.pins[pinned]]
    ).exit_code
    if name == "nothing":
        assert code == 0
    elif not column.startswith("+") and opened is matrix.THREATS[name].opened:
        assert code == matrix.THREATS[name].cells[at]


# --- changes of one thing --------------------------------------------------------------------------------------------------


def test_they_agree_on_a_ledger_that_nobody_touched(path: Path) -> None:
    assert agreed(path).exit_code == 0


@pytest.mark.parametrize("name", tampering.STATEMENTS)
def test_they_agree_on_a_change_by_sql(path: Path, attacker: sqlite3.Connection, name: str) -> None:
    attacker.execute(tampering.STATEMENTS[name][0])
    tampering.put_back(attacker)
    attacker.close()
    assert agreed(path).exit_code == 1


@pytest.mark.parametrize("name", tampering.EDITS)
@pytest.mark.parametrize("copied", [False, True], ids=["bytes alone", "index copies too"])
def test_they_agree_on_a_body_that_breaks_a_rule(
    path: Path, attacker: sqlite3.Connection, name: str, copied: bool
) -> None:
    index, change, _ = tampering.EDITS[name]
    tampering.edit(attacker, index, change)
    if copied:
        copy_again(attacker, index)
    tampering.recompute(attacker)
    tampering.put_back(attacker)
    attacker.close()
    assert agreed(path).exit_code == 1


def copy_again(connection: sqlite3.Connection, index: int) -> None:
    """The index copies say what the bytes say, as far as a column takes it."""
    (body,) = connection.execute("SELECT body FROM ledger_record WHERE seq = ?", (index,)).fetchone()
    said = json.loads(body)
    for column in ("emitter", "eseq", "rid", "type", "ts", "call_id"):
        connection.execute(f"UPDATE OR IGNORE ledger_record SET {column} = ? WHERE seq = ?", (said.get(column), index))
    if isinstance(said.get("case"), dict):
        connection.execute("UPDATE ledger_record SET case_id = ? WHERE seq = ?", (said["case"].get("id"), index))
    if isinstance(said.get("capability"), dict):
        connection.execute(
            "UPDATE ledger_record SET capability = ? WHERE seq = ?", (said["capability"].get("name"), index)
        )


# --- damage ----------------------------------------------------------------------------------------------------------------


def test_they_agree_whichever_bit_is_changed(whole: bytes, tmp_path: Path) -> None:
    found = [agreed(tmp_path / "x.db").exit_code for _ in flips.flipped(whole, tmp_path / "x.db")]
    assert set(found) >= {0, 1}


@pytest.mark.parametrize("cut", [1, 4096, 8192, 8193, 50_000])
def test_they_agree_on_a_file_that_was_cut(whole: bytes, tmp_path: Path, cut: int) -> None:
    (tmp_path / "x.db").write_bytes(whole[:-cut])
    assert agreed(tmp_path / "x.db").exit_code in (1, 3)
