"""What becomes of a writer whose file is overwritten while it runs: it has in memory what it needs, and is told all the same."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from ledgers import SystemClock, call, error, ledger_at, rows, settled, started, until
from signing import attack

from failsoft.core.effects import Recorded, Unrecorded
from failsoft.errors import LedgerInvalid
from failsoft.ledger.sqlite import look as look_module
from failsoft.ledger.sqlite import store as sqlite_module
from failsoft.ledger.sqlite.look import Look
from failsoft.ledger.sqlite.schema import PAGE_SIZE
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.writer import StoredLedger

TOLD = "what was committed isn't in the file any more: run `failsoft verify` on it"
OVERWRITE = """
import sys
path, which, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(path, "r+b") as file:
    data = file.read()
    if which == "all":
        pages = range(len(data) // size)
    else:
        pages = [int(which) - 1 if which.isdecimal() else data.index(which.encode()) // size]
    for page in pages:
        file.seek(page * size)
        file.write(bytes([0xA5]) * size)
"""


def overwrite(path: Path, which: str) -> None:
    """All pages, that of this number, or the first that holds this text. By another process: to close a file in this one
    would drop the locks that SQLite has on it.
    """
    subprocess.run([sys.executable, "-c", OVERWRITE, str(path), which, str(PAGE_SIZE)], check=True)


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[str]) -> StoredLedger:
    """One of 602 records, all of them in the file, and none in its write-ahead log only."""
    monkeypatch.setattr(sqlite_module, "CHECKPOINT_PAGES", 64)
    made = ledger_at(tmp_path / "x.db", clock=SystemClock(), on_event=lambda name, _: events.append(name))
    made.open()
    for number in range(300):
        _, last = call(made, f"c{number}")
    settled(last)
    with made._io:
        made._appender.store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[attr-defined]
    return made


def until_refused(ledger: StoredLedger) -> tuple[int, str]:
    """How many records are acknowledged until one isn't, and why that."""
    for number in count():
        result = settled(ledger.submit(started(f"d{number}")))
        if isinstance(result, Unrecorded):
            return number, result.reason
    raise AssertionError


def test_a_file_that_is_overwritten_as_a_whole_is_noticed_at_the_next_checkpoint(
    ledger: StoredLedger, events: list[str]
) -> None:
    overwrite(ledger.location.path, "all")
    acknowledged, reason = until_refused(ledger)
    assert acknowledged < 20
    assert reason == TOLD
    assert not ledger.healthy
    until(lambda: "cut or damaged" in settled(ledger.submit(started("e"))).reason)
    ledger.close()
    assert set(events) == {"ledger.failed"}
    assert verify(ledger.location.path).exit_code == 1
    with pytest.raises(LedgerInvalid, match="cut or damaged"):
        ledger_at(ledger.location.path).open()


def test_a_page_of_old_records_is_noticed_and_new_ones_go_on(ledger: StoredLedger, events: list[str]) -> None:
    overwrite(ledger.location.path, '"call_id":"c7"')
    _, reason = until_refused(ledger)
    assert reason == TOLD
    until(lambda: ledger.healthy)  # it was opened anew: the end of the log is whole
    until_refused(ledger)  # and it's said again
    until(lambda: isinstance(settled(ledger.submit(started("e"))), Recorded))
    ledger.close()
    assert events[:3] == ["ledger.failed", "ledger.recovered", "ledger.failed"]
    found = verify(ledger.location.path)
    assert (found.exit_code, "damaged" in str(found.problems)) == (1, True)


def test_pages_that_each_commit_writes_are_put_right_by_the_next(ledger: StoredLedger, events: list[str]) -> None:
    ((page,),) = rows(ledger.location.path, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger_head'")
    overwrite(ledger.location.path, str(page))
    for number in range(20):
        assert isinstance(settled(ledger.submit(started(f"d{number}"))), Recorded)
    ledger.close()
    assert events == []
    assert verify(ledger.location.path).exit_code == 0


@pytest.mark.parametrize(("which", "before"), [("all", 1), ("all", 200), ("-wal", 1), (None, 200)])
def test_what_was_damaged_since_is_told_as_it_is_closed(tmp_path: Path, which: str | None, before: int) -> None:
    """A process of a few calls makes no checkpoint but the last one."""
    path, told = tmp_path / "x.db", list[str]()
    ledger = ledger_at(path, on_event=lambda _, fields: told.append(fields["reason"]))
    ledger.open()
    for number in range(before):
        call(ledger, f"before-{number}")
    ledger.close()
    ledger.open()
    settled(call(ledger, "c")[1])
    if which is not None:
        overwrite(tmp_path / f"x.db{which}" if which == "-wal" else path, "all")
    ledger.close()
    assert told == ([] if which is None else [f"{path}: {TOLD}"])
    assert (verify(path).exit_code == 0) is (which is None)


def test_a_whole_file_is_looked_at_again_and_again_without_a_word(
    ledger: StoredLedger, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_module, "LOOKED_AT", 301)  # of 602: a part that is empty comes, too
    looked = list[bool]()
    intact = Look.intact
    monkeypatch.setattr(Look, "intact", lambda self, *size: looked.append(intact(self, *size)) or looked[-1])
    numbers = count()
    until(lambda: isinstance(settled(ledger.submit(started(f"d{next(numbers)}"))), Recorded) and len(looked) == 6)
    ledger.close()
    assert set(looked) == {True}
    assert events == []
    assert verify(ledger.location.path).exit_code == 0


class TestLooking:
    @pytest.fixture
    def look(self, ledger: StoredLedger, monkeypatch: pytest.MonkeyPatch) -> Look:
        ledger.close()
        monkeypatch.setattr(look_module, "LOOKED_AT", 100)
        return Look(lambda: sqlite3.connect(ledger.location.path))

    def test_each_part_in_its_turn(self, ledger: StoredLedger, look: Look) -> None:
        attack(
            ledger.location.path, "UPDATE ledger_record SET body = CAST(body || ' ' AS BLOB) WHERE seq IN (250, 601)"
        )
        assert [look.intact() for _ in range(9)] == [True, True, False, True, True, True, False, True, True]

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM ledger_record WHERE seq = 50",
            "DELETE FROM ledger_record",
            "UPDATE ledger_record SET leaf = zeroblob(32) WHERE seq = 0",
        ],
    )
    def test_what_is_gone_or_another(self, ledger: StoredLedger, look: Look, statement: str) -> None:
        attack(ledger.location.path, statement)
        assert not look.intact()

    def test_records_without_their_bytes_were_pruned(self, ledger: StoredLedger, look: Look) -> None:
        attack(ledger.location.path, "UPDATE ledger_record SET body = NULL WHERE seq = 50")
        assert look.intact()

    def test_that_it_cant_be_looked_at_says_nothing(self) -> None:
        def fails() -> sqlite3.Connection:
            raise error(sqlite3.SQLITE_CANTOPEN, "unable to open database file")

        assert Look(fails).intact()

    def test_what_is_missing_at_the_end(self, ledger: StoredLedger, look: Look) -> None:
        assert look.intact(603)
        assert not look.intact(604)
        attack(ledger.location.path, "DELETE FROM ledger_record WHERE seq > 400")
        assert look.intact()
        assert not look.intact(603)

    def test_columns_that_hold_what_they_cant(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "y.db")) as connection:
            for table in look_module.TABLES:
                connection.execute(f"CREATE TABLE {table} (seq, leaf, body)")
            connection.execute("INSERT INTO ledger_record VALUES (0, x'00', 'no bytes')")
            connection.commit()
        assert not Look(lambda: sqlite3.connect(tmp_path / "y.db")).intact()
