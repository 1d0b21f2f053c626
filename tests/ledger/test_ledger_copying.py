"""A ledger from one store to the other, and back: the same tree, whatever it holds; a copy that was interrupted goes on."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from ledgers import CONTEXT, Faults, SystemClock, completed, ledger_at, rows, settled, started
from signing import KEY as LOG_KEY
from signing import attack, signing_in
from tests.postgres_server import PostgresServer

from failsoft.context import CallContext
from failsoft.core.effects import Recorded
from failsoft.core.evidence import ConfigActivated
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts import copying as copying_module
from failsoft.ledger.acts.copying import Copied, copy
from failsoft.ledger.acts.erasure import Acting, erase, happened
from failsoft.ledger.acts.pruning import prune
from failsoft.ledger.acts.retention import Retention, RetentionClass
from failsoft.ledger.checkpoints.publishing import SECOND
from failsoft.ledger.keys.vault import PayloadKey, Sealing
from failsoft.ledger.location import InDatabase, InFile, Location
from failsoft.ledger.read import read
from failsoft.ledger.spool.file import Spooling
from failsoft.ledger.sqlite import receiving as receiving_module
from failsoft.ledger.sqlite.store import LedgerFile
from failsoft.ledger.store import UNREADABLE
from failsoft.ledger.verify import verify
from failsoft.postgres_address import Address

SCHEMAS = (f"copy_{number}" for number in count())


@pytest.fixture
def database(postgres: PostgresServer) -> InDatabase:
    return InDatabase(Address.parse(f"{postgres.url}&schema={next(SCHEMAS)}"))


@pytest.fixture
def file(tmp_path: Path) -> InFile:
    return InFile(tmp_path / "x.db")


def wrote(place: Location, calls: int = 3, context: CallContext = CONTEXT, **options: Any) -> None:
    ledger = ledger_at(place, clock=SystemClock(), **options)
    ledger.open()
    ledger.submit(ConfigActivated(b'{"a":1}', (), ()))
    ledger.submit(ConfigActivated(b'{"a":1}', (), ()))
    name = ledger._appender.emitter.id[:8]
    for number in range(calls):
        begin = ledger.submit(started(f"{name}-{number}", context=context))
        last = ledger.submit(completed(begin, f"{name}-{number}", context=context))
    assert isinstance(settled(last), Recorded)
    ledger.close()


def copied(source: Location, to: Location, signing: Any = None, **options: Any) -> Copied:
    acting = Acting(source, SystemClock(), signing, "worker-2")
    return copy(acting, to, **{"person": "u-7", "why": "one database", **options})


def begun(source: Location, to: Location, records: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that was interrupted after so many."""

    def stop(done: int, size: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copying_module, "CHUNK", records)
    with pytest.raises(KeyboardInterrupt):
        copied(source, to, progress=stop)


def all_of(place: Location) -> list[tuple[Any, ...]]:
    source = place.connect()
    try:
        tables = ("record", "payload", "artifact", "checkpoint", "subtree", "head", "log")
        return [sorted(map(str, source.execute(f"SELECT * FROM ledger_{each}").fetchall())) for each in tables]  # type: ignore[misc]
    finally:
        source.close()


class TestCopying:
    def test_there_and_back_it_is_the_same_row_by_row(self, file: InFile, database: InDatabase, tmp_path: Path) -> None:
        wrote(file, 300)
        told: list[tuple[int, int]] = []
        done = copied(file, database, progress=lambda now, size: told.append((now, size)))
        assert all_of(file) == all_of(database)
        assert told[-1] == (done.size, done.size)
        for place in (file, database):
            found = verify(place)
            assert (found.exit_code, found.size, found.root) == (0, done.size, done.root)
        with read(database) as reader:
            (record,) = reader.records("ledger.transferred")
            assert (record.fields["to"], record.fields["person"]) == (str(database), "u-7")
        back = InFile(tmp_path / "back.db")
        copied(database, back)
        assert all_of(database) == all_of(back)

    def test_it_goes_on_in_the_new_place(self, file: InFile, database: InDatabase) -> None:
        wrote(file)
        copied(file, database)
        wrote(database)
        assert verify(database).exit_code == 0

    def test_what_is_signed_encrypted_and_erased_stays_so(self, database: InDatabase, tmp_path: Path) -> None:
        sealing = Sealing(PayloadKey(bytes(range(32))), tmp_path / "keys")
        file = InFile(tmp_path / "x.db", sealing=sealing)
        signing = signing_in(tmp_path, every_ns=60 * SECOND)
        wrote(file, signing=signing)
        erase(Acting(file, SystemClock(), signing), "SPE4A7-26-R-0001", basis="b", person="p")
        wrote(file, signing=signing, context=CallContext())
        to = InDatabase(database.address, sealing)
        copied(file, to, signing)
        found = verify(to, keys=[LOG_KEY.verifier])
        assert (found.exit_code, found.verdict, found.head_signed) == (0, "verified", True)
        assert all_of(file) == all_of(to)
        wrote(to, signing=signing)
        assert verify(to, keys=[LOG_KEY.verifier]).exit_code == 0

    @pytest.mark.parametrize("back", [False, True])
    def test_what_its_processes_left_open_is_ended_in_the_new_place(
        self, file: InFile, database: InDatabase, back: bool
    ) -> None:
        """They're gone there, whatever became of them here."""
        source, to = (database, file) if back else (file, database)
        wrote(source)
        killed = ledger_at(source, clock=SystemClock())
        killed.open()
        killed._appender.abandon()  # it left nothing open
        running = ledger_at(source, clock=SystemClock())
        running.open()
        settled(running.submit(started("left")))
        copied(source, to)
        if isinstance(to, InFile):
            assert len(list(to.path.parent.glob("*.live"))) == 1, "of those who left something open, and of no others"
        assert verify(source).in_flight == 1
        assert verify(to).exit_code == 2
        wrote(to)
        with read(to) as reader:
            assert [each.call_id for each in reader.records("call.orphaned")] == ["left"]
        assert verify(to).exit_code == 0
        running.close()
        killed.close()


def test_a_copy_on_a_disk_that_is_full_by_then_is_whole_all_the_same(
    file: InFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What's in the write-ahead log is part of it, until there's room to move it."""
    faults = Faults()
    faults.raises["PRAGMA wal_checkpoint"] = (sqlite3.SQLITE_FULL, "no room")
    monkeypatch.setattr(receiving_module, "connect", faults.connect)
    wrote(file, 3)
    to = InFile(tmp_path / "to.db")
    copied(file, to)
    assert (verify(to).exit_code, verify(to).root) == (0, verify(file).root)


class TestInterrupted:
    @pytest.mark.parametrize("interrupted", [False, True])
    @pytest.mark.parametrize("act", ["erase", "prune"])
    def test_it_doesnt_go_on_where_something_was_destroyed_meanwhile(
        self, file: InFile, database: InDatabase, monkeypatch: pytest.MonkeyPatch, act: str, interrupted: bool
    ) -> None:
        """It would hold what the log says is gone; though that may have been on record before the copy was begun."""
        wrote(file, 20)
        acting = Acting(file, SystemClock())
        rules = Retention({"short": RetentionClass("closed", 1)}, default="short")
        happened(acting, "SPE4A7-26-R-0001", event="closed", date="2001-01-01", person="p", why="w")

        def destroyed() -> None:
            if act == "erase":
                erase(acting, "SPE4A7-26-R-0001", basis="b", person="p")
            else:
                prune(acting, "9999-01-01T00:00:00.000000Z", why="w", person="p", retention=rules)

        if interrupted:
            with monkeypatch.context() as patched:
                for name in ("forget", "prune"):
                    patched.setattr(LedgerFile, name, lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
                with pytest.raises(RuntimeError, match="killed"):
                    destroyed()
        begun(file, database, verify(file).size if interrupted else 7, monkeypatch)
        destroyed()
        with pytest.raises(LedgerInvalid, match="something was erased or pruned: remove it, and copy anew"):
            copied(file, database)

    @pytest.mark.parametrize("back", [False, True])
    def test_it_goes_on_where_it_ended_and_nobody_writes_to_a_part(
        self, file: InFile, database: InDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: bool
    ) -> None:
        source, to = (database, file) if back else (file, database)
        wrote(source, 20)
        monkeypatch.setattr(copying_module, "CHUNK", 7)

        def stop(done: int, size: int) -> None:
            if done >= 14:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copied(source, to, progress=stop)
        assert verify(to).exit_code == 1
        with pytest.raises(LedgerInvalid, match="its head is missing"):
            ledger_at(to, clock=SystemClock()).open()
        done = copied(source, to)
        assert done.begun == 14
        assert all_of(source) == all_of(to)
        with read(to) as reader:
            assert len(list(reader.records("ledger.transferred"))) == 1

    def test_a_file_whose_maker_was_killed_is_made_anew(
        self, file: InFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrote(file)
        to = InFile(tmp_path / "to.db")
        with monkeypatch.context() as patched:
            patched.setattr(
                "failsoft.ledger.sqlite.receiving.STATEMENTS", ("CREATE TABLE half (a)", "and then the end")
            )
            with pytest.raises(LedgerInvalid):
                copied(file, to)
        assert to.path.exists()
        copied(file, to)
        assert all_of(file) == all_of(to)
        assert to.path.stat().st_mode & 0o777 == 0o600

    def test_what_is_there_must_be_its_beginning(
        self, file: InFile, database: InDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrote(file, 20)
        other = InFile(tmp_path / "other.db")
        wrote(other, 30)
        begun(other, database, 30, monkeypatch)
        with pytest.raises(LedgerInvalid, match="isn't the beginning"):
            copied(file, database)
        small = InFile(tmp_path / "small.db")
        wrote(small, 1)
        with pytest.raises(LedgerInvalid, match="it's a copy of another one"):
            copied(small, database)


class TestRefused:
    def test_onto_a_whole_ledger_or_itself(self, file: InFile, database: InDatabase) -> None:
        wrote(file)
        wrote(database)
        with pytest.raises(LedgerInvalid, match="a whole ledger is there already"):
            copied(file, database)
        for place in (file, database):
            with pytest.raises(LedgerInvalid, match="that's where it is"):
                copied(place, place)

    def test_a_server_behind_another_socket_is_another_place(
        self, database: InDatabase, postgres: PostgresServer
    ) -> None:
        wrote(database)
        elsewhere = InDatabase(evolve(database.address, url=postgres.url.replace("host=/", "host=/nowhere/")))
        assert str(elsewhere) == str(database).replace("host=/", "host=/nowhere/") != str(database)
        with pytest.raises(LedgerInvalid, match="it can't be reached"):
            copied(database, elsewhere)

    def test_onto_something_else(self, file: InFile, tmp_path: Path) -> None:
        wrote(file)
        (tmp_path / "text.db").write_bytes(b"no database" * 1000)
        with pytest.raises(LedgerInvalid, match="file is not a database"):
            copied(file, InFile(tmp_path / "text.db"))
        connection = sqlite3.connect(tmp_path / "other.db")
        connection.execute("CREATE TABLE t (a)")
        connection.close()
        with pytest.raises(LedgerInvalid, match="something else than a copy"):
            copied(file, InFile(tmp_path / "other.db"))

    def test_from_nowhere(self, file: InFile, tmp_path: Path) -> None:
        with pytest.raises(LedgerInvalid, match="there is no such ledger"):
            copied(file, InFile(tmp_path / "to.db"))

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE ledger_record SET body = CAST(body || ' ' AS BLOB) WHERE seq = 4",
            "UPDATE ledger_record SET leaf = zeroblob(32), body = NULL WHERE seq = 4",
        ],
    )
    def test_what_was_tampered_with_is_not_made_whole(self, file: InFile, database: InDatabase, statement: str) -> None:
        wrote(file)
        copy_of = InFile(file.path.with_name("spare.db"))
        copied(file, copy_of)
        attack(copy_of.path, statement, "DELETE FROM ledger_subtree")
        acting = Acting(copy_of, SystemClock())
        with pytest.raises(LedgerInvalid):
            copy(acting, database, person="p", why="w")
        assert rows(copy_of.path, "SELECT count(*) FROM ledger_record WHERE type = 'ledger.transferred'") in (
            [(1,)],
            [(2,)],
        )

    def test_a_record_changed_in_the_midst_is_named(self, file: InFile, tmp_path: Path) -> None:
        wrote(file, 400)
        attack(file.path, "UPDATE ledger_record SET body = CAST(body || ' ' AS BLOB) WHERE seq = 4")
        with pytest.raises(LedgerInvalid, match="record 4 was changed"):
            copied(file, InFile(tmp_path / "to.db"))

    def test_a_record_that_is_missing_in_the_midst_is_noticed_there(self, file: InFile, tmp_path: Path) -> None:
        wrote(file, 400)
        attack(file.path, "DELETE FROM ledger_record WHERE seq = 4")
        with pytest.raises(LedgerInvalid, match="record 5 was changed, or one before it is missing"):
            copied(file, InFile(tmp_path / "to.db"))

    def test_a_leaf_that_the_head_doesnt_hold_is_found_at_the_end(self, file: InFile, tmp_path: Path) -> None:
        wrote(file, 400)
        attack(file.path, "UPDATE ledger_record SET leaf = zeroblob(32), body = NULL WHERE seq = 4")
        with pytest.raises(LedgerInvalid, match="aren't those of its head"):
            copied(file, InFile(tmp_path / "to.db"))

    @pytest.mark.parametrize("kind", ["file", "database"])
    def test_what_cant_be_taken_whole_isnt_taken_at_all(
        self, kind: str, file: InFile, database: InDatabase, tmp_path: Path
    ) -> None:
        receiver = (file if kind == "file" else database).receiver()
        row = (bytes(32), None, None, b"x")
        artifact = (sha256(b"x").digest(), "text/plain", b"x")
        try:
            for _ in range(2):
                with pytest.raises(UNREADABLE):
                    receiver.take({"ledger_artifact": [artifact], "ledger_payload": [row, row]}, 0)
                for table in ("ledger_artifact", "ledger_payload"):
                    assert receiver.queries.execute(f"SELECT 1 FROM {table}").fetchall() == []
            receiver.take({"ledger_artifact": [artifact, artifact], "ledger_payload": [row]}, 0)
            assert len(receiver.queries.execute("SELECT 1 FROM ledger_artifact").fetchall()) == 1
        finally:
            receiver.close()

    def test_what_sqlite_itself_has_rolled_back_is_told(self, file: InFile) -> None:
        receiver = file.receiver()
        try:
            receiver.queries.execute(
                "CREATE TEMP TRIGGER full BEFORE INSERT ON main.ledger_payload BEGIN SELECT RAISE(ROLLBACK, 'full'); END"
            )
            with pytest.raises(UNREADABLE, match="full"):
                receiver.take({"ledger_payload": [(bytes(32), None, None, b"x")]}, 0)
            receiver.queries.execute("DROP TRIGGER temp.full")
            receiver.take({"ledger_payload": [(bytes(32), None, None, b"x")]}, 0)
        finally:
            receiver.close()


def test_whoever_goes_on_in_the_copy_isnt(file: InFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote(file)
    monkeypatch.chdir(tmp_path)
    copied(file, InFile(Path("to.db")))
    told: list[str] = []
    for place in (InFile(tmp_path / "to.db"), InFile(Path("to.db"))):
        ledger = ledger_at(place, clock=SystemClock(), on_event=lambda name, fields: told.append(f"{name} {fields}"))
        ledger.open()
        ledger.close()
    assert not told


def test_whoever_writes_to_the_original_is_warned(file: InFile, tmp_path: Path) -> None:
    wrote(file)
    told: list[str] = []
    ledger = ledger_at(file, clock=SystemClock(), on_event=lambda name, fields: told.append(f"{name} {fields}"))
    ledger.open()
    ledger.close()
    assert not told
    to = InFile(tmp_path / "to.db")
    copied(file, to)
    ledger = ledger_at(file, clock=SystemClock(), on_event=lambda name, fields: told.append(f"{name} {fields}"))
    ledger.open()
    ledger.close()
    assert len(told) == 1
    assert f"was copied to {to}" in told[0]
    warned: list[str] = []
    Acting(file, SystemClock(), warn=warned.append).record()
    assert f"was copied to {to}" in warned[0]


@pytest.mark.parametrize("kind", ["file", "database"])
@pytest.mark.parametrize("at", ["in the middle", "before the head"])
def test_two_copies_to_the_same_place_make_one(
    kind: str, at: str, file: InFile, database: InDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying_module, "CHUNK", 5)
    wrote(file, 9)
    to: Location = InFile(tmp_path / "copy.db") if kind == "file" else database
    finished: list[Copied] = []

    def another(done: int, size: int) -> None:
        if not finished and (done == size or at == "in the middle"):
            wrote(file, 3)
            finished.append(copied(file, to))

    with pytest.raises(LedgerInvalid, match="somebody else copies to it at the same time"):
        copied(file, to, progress=another)
    found = verify(to)
    assert (found.exit_code, found.size, found.root) == (0, finished[0].size, finished[0].root)


def test_a_copy_is_the_same_log_wherever_it_is(file: InFile, database: InDatabase, tmp_path: Path) -> None:
    wrote(file)
    copied(file, database)
    spooling = InDatabase(database.address, spooling=Spooling(tmp_path / "spool", SystemClock()))
    named: set[str] = set()
    for place in (file, database, spooling):
        store = place.store()
        store.open(list)
        named.add(store.log)
        store.close()
    assert named == {read_leaf(file)}


def read_leaf(place: Location) -> str:
    with read(place) as reader:
        return reader.record(0).leaf.hex()


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_no_copy_is_made_where_a_ledgers_file_was_moved_away_from_its_write_ahead_log(tmp_path: Path, end: str) -> None:
    """SQLite would drop it: the acknowledged records in it, too."""
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.close()
    left = tmp_path / f"copy.db{end}"
    left.write_bytes(b"records")
    with pytest.raises(LedgerInvalid, match="put it back"):
        copy(Acting(InFile(tmp_path / "x.db"), SystemClock()), InFile(tmp_path / "copy.db"), person="p", why="w")
    assert (left.read_bytes(), (tmp_path / "copy.db").exists()) == (b"records", False)
