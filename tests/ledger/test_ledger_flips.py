"""A ledger's file in which single bits are turned: what's read of it is right, or it's told as damaged; nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ledgers import call, ledger_at, seeded

from failsoft.core.evidence import ConfigActivated
from failsoft.errors import LedgerInvalid
from failsoft.ledger.format.canonical import ProfileError
from failsoft.ledger.read import read
from failsoft.ledger.sqlite import read as sqlite_module
from failsoft.ledger.store import TAMPERED, UNUSABLE, WHOLE
from failsoft.ledger.verify import verify

STRIDE = 331
"""Bytes from one that's changed to the next: a prime, so that it falls on all parts of a page."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("ledger") / "x.db"
    ledger = ledger_at(path, random_bytes=seeded())
    ledger.open()
    ledger.submit(ConfigActivated(b'{"a":1}', (), ()))
    for number in range(5):
        call(ledger, f"c{number}")
    ledger.close()
    assert verify(path).exit_code == WHOLE
    return path.read_bytes()


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No write-ahead log with anything in it stands beside these files: nobody need be started to look."""
    monkeypatch.setattr(sqlite_module, "_own_wal", lambda _: True)


def flipped(whole: bytes, path: Path) -> Iterator[tuple[int, int]]:
    """The file with one bit changed, again and again: in the schema's pages and in the others."""
    for at in range(0, len(whole), STRIDE):
        bit = 7 if at // STRIDE % 2 else at // STRIDE // 2 % 7
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        yield at, bit


def at_text(whole: bytes, text: bytes) -> bytes:
    """The file with the first letter of each occurrence of a text turned into a byte that is none of UTF-8's."""
    assert text in whole
    return whole.replace(text, bytes([text[0] | 0x80]) + text[1:])


def in_table(path: Path, whole: bytes, statement: str) -> None:
    """The file after a statement that the format's own rules don't allow: as damage, or a stranger, leaves it."""
    path.write_bytes(whole)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(replace(sql, 'NOT NULL', ''), ' STRICT', '') WHERE type = 'table'"
        )
        connection.execute("PRAGMA writable_schema = RESET")
        connection.execute(statement)
        for _, sql in triggers:
            connection.execute(sql)


def look_at_all(path: Path) -> None:
    with read(path) as reader:
        entries = list(reader.records())
        _ = reader.origin, reader.size, reader.root
        reader.inclusion(0)
        for each in entries:
            try:
                commitments = each.fields.get("commitments", [])
                for one in commitments:
                    reader.payload(one["digest"])
            except (ProfileError, ValueError, LookupError, TypeError, AttributeError):
                pass  # its bytes are no record's: `fields` says so, and whoever reads on may not


def test_verifying_never_raises_whichever_bit_is_changed(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    codes = {verify(path).exit_code for _ in flipped(whole, path)}
    assert codes >= {WHOLE, TAMPERED}


def test_reading_raises_only_that_the_ledger_is_invalid(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    refused = 0
    for _ in flipped(whole, path):
        try:
            look_at_all(path)
        except LedgerInvalid:
            refused += 1
    assert refused


def test_opening_raises_only_that_the_ledger_is_invalid(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    refused = 0
    for _ in flipped(whole, path):
        ledger = ledger_at(path)
        try:
            ledger.open()
        except LedgerInvalid:
            refused += 1
        finally:
            ledger.close()
    assert refused


@pytest.mark.parametrize("text", [b"ledger_log", b"2026-11-23T14", b"call.started"])
def test_bytes_that_are_no_text_are_damage(whole: bytes, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(at_text(whole, text))
    found = verify(path)
    assert found.exit_code == TAMPERED
    assert any("damaged" in each.what for each in found.problems)
    with pytest.raises(LedgerInvalid, match="can't be read"):
        look_at_all(path)


@pytest.mark.parametrize("text", [b"ledger_record_case", b"ledger_log"])
def test_a_schema_that_is_no_text_is_invalid_where_the_ledger_is_opened(
    whole: bytes, tmp_path: Path, text: bytes
) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(at_text(whole, text))
    with pytest.raises(LedgerInvalid, match="damaged"):
        ledger_at(path).open()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_record SET leaf = NULL WHERE seq = 11",
        "UPDATE ledger_record SET body = 'text' WHERE seq = 2",
        "UPDATE ledger_record SET leaf = 5",
    ],
)
def test_a_row_whose_bytes_are_none_is_damaged(whole: bytes, tmp_path: Path, statement: str) -> None:
    path = tmp_path / "x.db"
    in_table(path, whole, statement)
    found = verify(path)
    assert found.exit_code == TAMPERED
    assert any("isn't bytes" in each.what for each in found.problems)
    with pytest.raises(LedgerInvalid, match=r"record \d+ is damaged"):
        look_at_all(path)


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("DELETE FROM ledger_log", "origin"),
        ("DELETE FROM ledger_head", "size"),
        ("UPDATE ledger_head SET size = 'many'", "size"),
        ("UPDATE ledger_head SET frontier = NULL", "root"),
        ("UPDATE ledger_head SET frontier = x'00'", "root"),
    ],
)
def test_a_head_that_says_nothing_makes_a_ledger_invalid(
    whole: bytes, tmp_path: Path, statement: str, asked: str
) -> None:
    path = tmp_path / "x.db"
    in_table(path, whole, statement)
    assert verify(path).exit_code == TAMPERED
    with read(path) as reader, pytest.raises(LedgerInvalid, match="failsoft verify"):
        getattr(reader, asked)


@pytest.mark.parametrize("cut", [1, 8192, 5 * 8192])
def test_a_file_that_was_cut_is_damaged(whole: bytes, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(whole[:-cut])
    found = verify(path)
    assert found.exit_code in (TAMPERED, UNUSABLE)
