"""Erasing a case, and what forbids it; an erasure that was interrupted at each of its steps."""

from __future__ import annotations

import functools
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ledgers import CONTEXT, Faults, SystemClock, completed, ledger_at, rows, settled, started
from signing import KEY as LOG_KEY
from signing import attack, signing_in
from tests.independent.agreeing import by_both as verify
from tests.postgres_server import PostgresServer

from failsoft.context import CallContext, Case
from failsoft.core.effects import Recorded
from failsoft.core.evidence import LegalHold, PayloadErased
from failsoft.errors import ConfigurationError, LedgerInvalid
from failsoft.keeping import acting_on
from failsoft.ledger.acts import erasure as erasure_module
from failsoft.ledger.acts.copying import copy
from failsoft.ledger.acts.erasure import LOOKS, Acting, Erased, ErasureRefused, erase, happened, hold
from failsoft.ledger.acts.pruning import prune
from failsoft.ledger.acts.retention import CaseFile, Retention, RetentionClass
from failsoft.ledger.checkpoints.publishing import SECOND
from failsoft.ledger.keys.vault import CaseKey, PayloadKey, Sealing, Vault
from failsoft.ledger.location import InDatabase, InFile, Location
from failsoft.ledger.read import read
from failsoft.ledger.sqlite.store import LedgerFile
from failsoft.ledger.verification.kept import KeptPayloads
from failsoft.ledger.verify import verify as by_ours
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.postgres_address import Address

KEY = PayloadKey(bytes(range(32)))
CASE = "SPE4A7-26-R-0001"
ANOTHER = CallContext(Case("T-17", "letter"))
CANARY = b'{"description":"canary-9c2e"}'


@pytest.fixture
def place(tmp_path: Path) -> InFile:
    return InFile(tmp_path / "x.db", sealing=Sealing(KEY, tmp_path / "x.keys"))


@pytest.fixture
def clear(tmp_path: Path) -> InFile:
    return InFile(tmp_path / "clear.db")


def acting(place: Location, **options: Any) -> Acting:
    return Acting(place, SystemClock(), host="worker-2", **options)


def wrote(place: Location, context: CallContext, *names: str, data: bytes = CANARY) -> None:
    ledger = ledger_at(place, clock=SystemClock())
    ledger.open()
    for each in names:
        begin = ledger.submit(started(each, context=context, request=data))
        assert isinstance(settled(ledger.submit(completed(begin, each, context=context))), Recorded)
    ledger.close()


def erased(place: Location, case: str = CASE, **options: Any) -> Erased:
    return erase(acting(place), case, **{"basis": "GDPR 17", "person": "u-7", **options})


def file_of(*records: dict[str, Any]) -> CaseFile:
    found = CaseFile()
    for each in records:
        found.add(each)
    return found


def bytes_of(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file())


class TestErasing:
    @pytest.mark.parametrize("kept", ["place", "clear"])
    def test_payloads_are_gone_from_every_file_and_the_tree_stays(
        self, kept: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        place: InFile = request.getfixturevalue(kept)
        wrote(place, CONTEXT, "c1", "c2")
        wrote(place, ANOTHER, "c3", data=b'{"kept":1}')
        sealed = rows(place.path, "SELECT data FROM ledger_payload ORDER BY rowid LIMIT 8")
        before = verify(place)
        done = erased(place, approved_by="u-8")
        assert (done.payloads, done.finished) == (8, True)
        assert (done.keys, done.clear) == ((1, 0) if kept == "place" else (0, 8))
        everything = bytes_of(tmp_path)
        assert b"canary-9c2e" not in everything
        assert not any(bytes(data) in everything for (data,) in sealed)
        found = verify(place, pins=[(before.size, before.root)])
        assert (found.exit_code, found.payloads) == (0, 4)
        assert "8 payloads were erased, as the log says" in found.summary()
        with read(place) as reader:
            (record,) = reader.records("payload.erased")
            fields = record.fields
            assert (fields["basis"], fields["person"], fields["approved_by"], fields["case"]) == (
                "GDPR 17",
                "u-7",
                "u-8",
                {"id": CASE},
            )
            assert record.index == done.records[0]
            assert reader.payload(reader.call("c1")[0].fields["commitments"][0]["digest"]) is None
            assert reader.payload(reader.call("c3")[0].fields["commitments"][0]["digest"]) is not None

    def test_a_dry_run_says_what_would_be_and_touches_nothing(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1", "c2")
        before = verify(place)
        told = erased(place, dry_run=True)
        assert told == Erased(CASE, (), 8, 1, 0, finished=False)
        after = verify(place)
        assert (after.root, after.payloads) == (before.root, 8)
        done = erased(place)
        assert (done.payloads, done.keys, done.clear) == (told.payloads, told.keys, told.clear)

    def test_in_postgres(self, postgres: PostgresServer, tmp_path: Path) -> None:
        place = InDatabase(Address.parse(f"{postgres.url}&schema=erased"), Sealing(KEY, tmp_path / "keys"))
        wrote(place, CONTEXT, "c1")
        wrote(place, ANOTHER, "c3")
        assert erased(place).payloads == 4
        assert (verify(place).exit_code, verify(place).payloads) == (0, 4)

    def test_in_postgres_many_go_in_several_commands(
        self, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("failsoft.ledger.postgres.store.FORGOTTEN", 3)
        place = InDatabase(Address.parse(f"{postgres.url}&schema=erased_by_and_by"))
        wrote(place, CONTEXT, "c1", "c2")
        assert erased(place).payloads == 8
        assert (verify(place).exit_code, verify(place).payloads) == (0, 0)
        size = postgres.execute("SELECT pg_relation_size('erased_by_and_by.ledger_payload')")
        assert size == [(0,)]  # its pages were given back

    def test_what_comes_after_an_erasure_lies_under_a_new_key(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        erased(place)
        wrote(place, CONTEXT, "c2")
        assert verify(place).exit_code == 0
        with read(place) as reader:
            assert reader.payload(reader.call("c2")[0].fields["commitments"][0]["digest"]) is not None
        again = erased(place)
        assert (again.payloads, again.keys, len(again.records)) == (4, 1, 1)
        assert verify(place).exit_code == 0

    def test_an_application_goes_on_while_its_case_is_erased(self, place: InFile) -> None:
        ledger = ledger_at(place, clock=SystemClock())
        ledger.open()
        begin = ledger.submit(started("c1"))
        settled(ledger.submit(completed(begin, "c1")))
        erased(place)
        begin = ledger.submit(started("c2"))
        assert isinstance(settled(ledger.submit(completed(begin, "c2"))), Recorded)
        ledger.close()
        found = verify(place)
        assert (found.exit_code, found.payloads) == (0, 4)

    def test_a_signed_log_is_signed_on(self, place: InFile, tmp_path: Path) -> None:
        signing = signing_in(tmp_path, every_ns=60 * SECOND)
        ledger = ledger_at(place, clock=SystemClock(), signing=signing)
        ledger.open()
        begin = ledger.submit(started("c1"))
        settled(ledger.submit(completed(begin, "c1")))
        ledger.close()
        with pytest.raises(LedgerInvalid, match="give its key"):
            erased(place)
        erase(acting(place, signing=signing), CASE, basis="b", person="p")
        assert verify(place, keys=[LOG_KEY.verifier]).verdict == "verified"

    def test_more_than_one_record_holds_is_said_in_several(
        self, clear: InFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrote(clear, CONTEXT, "c1", "c2")
        monkeypatch.setattr(erasure_module, "NAMED", 3)
        monkeypatch.setattr("failsoft.ledger.sqlite.store.FORGOTTEN", 3)
        assert len(erased(clear).records) == 3
        assert verify(clear).exit_code == 0

    def test_a_case_that_has_nothing_is_refused(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        with pytest.raises(ErasureRefused, match="nothing of the case 'T-99'"):
            erased(place, "T-99")
        with pytest.raises(LedgerInvalid, match="there is no such file"):
            erased(InFile(place.path.with_name("none.db")))

    @pytest.mark.usefixtures("impatient")
    def test_a_reader_that_is_there_leaves_it_unfinished_and_the_next_run_ends_it(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        with read(place) as reader:
            assert reader.size
            done = erased(place)
            assert not done.finished
        again = erased(place)
        assert (again.finished, again.records) == (True, ())
        assert verify(place).exit_code == 0


class TestOfWhichKeys:
    """The record says which keys were destroyed: these, no others, and none that isn't here."""

    @pytest.mark.parametrize("keys", ["none", "another file", "a file of another case"])
    def test_a_key_that_isnt_here_isnt_said_to_be_destroyed(self, place: InFile, tmp_path: Path, keys: str) -> None:
        wrote(place, CONTEXT, "c1")
        before = verify(place)
        elsewhere = Sealing(KEY, tmp_path / "other.keys")
        if keys == "a file of another case":
            Vault(elsewhere, before.origin or "").key_of("T-99")
        with pytest.raises(ErasureRefused, match="nothing was destroyed"):
            erased(InFile(place.path, sealing=None if keys == "none" else elsewhere))
        assert (verify(place).size, verify(place).payloads) == (before.size, 4)
        assert elsewhere.path.exists() is (keys == "a file of another case")
        assert erased(place).payloads == 4

    def test_a_key_that_no_record_names_so_far_is_destroyed_on_record_too(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        erased(place)
        vault = Vault(Sealing(KEY, place.path.with_name("x.keys")), verify(place).origin or "")
        named = vault.key_of(CASE).name.hex()  # made, and its process died before the first record under it
        vault.close()
        done = erased(place)
        with read(place) as reader:
            assert reader.record(done.records[0]).fields["deks"] == [named]
        assert verify(place).exit_code == 0

    def test_what_is_written_under_a_key_that_came_back_is_erased_on_record(
        self, place: InFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With an old backup of the file of keys the application goes on under a key that was destroyed."""
        wrote(place, CONTEXT, "c1")
        keys = place.path.with_name("x.keys").read_bytes()
        erased(place)
        size = verify(place).size
        place.path.with_name("x.keys").write_bytes(keys)
        wrote(place, CONTEXT, "c2")
        assert verify(place).exit_code == 2
        with monkeypatch.context() as patched:
            patched.setattr(Vault, "shred", lambda *_: (_ for _ in ()).throw(OSError("killed")))
            with pytest.raises(LedgerInvalid, match="run it again"):
                erased(place, basis="the backup was wrong", person="u-8")
        done = erased(place, basis="to finish it", person="u-9")
        assert (done.records, done.payloads) == ((), 4)  # it's on record already
        with read(place) as reader:
            index = max(each.index for each in reader.records("payload.erased"))
        assert index > size
        assert verify(place).exit_code == 0
        assert erased(place).records == ()
        with read(place) as reader:
            assert reader.record(index).fields["person"] == "u-8"

    def test_an_erasure_says_nothing_of_what_is_recorded_after_it(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        keys = place.path.with_name("x.keys").read_bytes()
        erased(place)
        place.path.with_name("x.keys").write_bytes(keys)
        wrote(place, CONTEXT, "c2")
        with closing(sqlite3.connect(place.path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM ledger_payload")
        found = verify(place)
        assert (found.exit_code, "is missing, and no record says that it was erased" in str(found.problems)) == (
            1,
            True,
        )

    def test_with_files_of_their_own_each_host_destroys_its_keys(self, place: InFile, tmp_path: Path) -> None:
        other = InFile(place.path, sealing=Sealing(KEY, tmp_path / "other.keys"))
        wrote(place, CONTEXT, "c1")
        wrote(other, CONTEXT, "c2")
        for each in (place, other):
            with pytest.raises(ErasureRefused, match=r"--missing-keys"):
                erased(each)
        done = erased(place, missing_keys=True)
        assert (done.payloads, done.keys, len(done.records)) == (8, 1, 1)
        assert verify(place).exit_code == 0
        found = verify(other)
        assert (found.exit_code, "the erasure that it declares isn't finished" in str(found.problems)) == (2, True)
        assert (erased(other).records, verify(other).exit_code) == ((), 0)
        with read(place) as reader:
            assert len(reader.record(done.records[0]).fields["deks"]) == 2

    def test_where_the_file_of_keys_is_lost_the_rows_go(self, place: InFile, tmp_path: Path) -> None:
        wrote(place, CONTEXT, "c1")
        (tmp_path / "x.keys").unlink()
        done = erased(place, missing_keys=True)
        assert (done.payloads, done.keys, len(done.records)) == (4, 0, 1)
        assert (verify(place).exit_code, verify(place).payloads) == (0, 0)
        assert erased(place, missing_keys=True).records == ()

    @pytest.mark.parametrize("later", [False, True])
    def test_a_key_that_is_made_after_its_on_record_stays(
        self, place: InFile, monkeypatch: pytest.MonkeyPatch, later: bool
    ) -> None:
        wrote(place, CONTEXT, "c1")
        record = Acting.record

        def another_erases_and_the_application_goes_on(self: Acting, *records: Any) -> list[int]:
            monkeypatch.setattr(Acting, "record", record)
            places = record(self, *records) if later else []
            erased(place)
            wrote(place, CONTEXT, "c2")
            return places or record(self, *records)

        monkeypatch.setattr(Acting, "record", another_erases_and_the_application_goes_on)
        done = erased(place)
        found = verify(place)
        assert (found.exit_code, found.payloads) == (0, 4 if later else 0), found.summary()
        assert (len(done.records), done.keys) == ((1, 1) if later else (2, 1))  # the other one destroyed the first key

    def test_a_file_of_keys_that_cant_be_read_is_told_before_anything_is_on_record(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        size = verify(place).size
        place.path.with_name("x.keys").write_bytes(b"no database" * 1000)
        with pytest.raises(LedgerInvalid, match="the file of keys can't be used"):
            erased(place)
        assert verify(place).size == size


class TestWhatComesUntilItsOnRecord:
    """From a host that wrote aside, or from an application that goes on."""

    @pytest.mark.parametrize(("kept", "times", "more"), [("place", 2, 1), ("clear", 1, 1), ("clear", 2, 2)])
    def test_goes_too(
        self,
        kept: str,
        times: int,
        more: int,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Under a key that's named it takes no more records."""
        place: InFile = request.getfixturevalue(kept)
        wrote(place, CONTEXT, "c1")
        record, left = Acting.record, [f"d{number}" for number in range(times)]

        def more_comes(self: Acting, *records: Any) -> list[int]:
            if left:
                wrote(place, CONTEXT, left.pop())
                wrote(place, ANOTHER, f"of another case {len(left)}", data=b"1")
            return record(self, *records)

        monkeypatch.setattr(Acting, "record", more_comes)
        done = erased(place)
        assert (done.payloads, done.finished) == (4 + 4 * more, True)
        assert (len(done.records), done.clear) == ((1, 0) if kept == "place" else (1 + more, done.payloads))
        assert b"canary-9c2e" not in bytes_of(tmp_path)
        found = verify(place)
        assert (found.exit_code, found.payloads) == (0, 4 * more)
        assert erased(place).payloads == 0

    def test_but_not_without_end(self, clear: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        wrote(clear, CONTEXT, "c0")
        record, numbers = Acting.record, count(1)

        def more_comes(self: Acting, *records: Any) -> list[int]:
            wrote(clear, CONTEXT, f"c{next(numbers)}")
            return record(self, *records)

        monkeypatch.setattr(Acting, "record", more_comes)
        told = f"more of the case '{CASE}' comes all the time: nothing was destroyed, and it's on record as begun"
        with pytest.raises(LedgerInvalid, match=told):
            erased(clear)
        monkeypatch.undo()
        assert (verify(clear).exit_code, verify(clear).payloads) == (2, 4 + 4 * LOOKS)
        assert erased(clear).payloads == 4 + 4 * LOOKS
        assert verify(clear).exit_code == 0


class TestOfWhichRecords:
    """What belongs to a case is what says so itself: copies beside it are anybody's who can write the file."""

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE ledger_record SET case_id = 'T-17' WHERE type = 'legal_hold.set'",
            "UPDATE ledger_record SET case_id = NULL WHERE type = 'legal_hold.set'",
            f"UPDATE ledger_record SET case_id = '{CASE}' WHERE case_id = 'T-17'",
        ],
    )
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_nothing_is_erased_where_a_copy_says_otherwise(self, place: InFile, change: str, *, dry_run: bool) -> None:
        wrote(place, CONTEXT, "c1")
        wrote(place, ANOTHER, "c3")
        if "legal_hold" in change:
            hold(acting(place), CASE, held=True, person="u-9", why="claim")
        size = verify(place).size
        attack(place.path, change)
        with pytest.raises(LedgerInvalid, match="was changed: run `failsoft verify`"):
            erased(place, dry_run=dry_run)
        assert (verify(place).size, verify(place).payloads) == (size, 8)

    def test_nor_where_its_bytes_were_changed(self, clear: InFile) -> None:
        wrote(clear, CONTEXT, "c1")
        attack(clear.path, "UPDATE ledger_record SET leaf = zeroblob(32) WHERE type = 'call.started'")
        with pytest.raises(LedgerInvalid, match="was changed: run `failsoft verify`"):
            erased(clear)

    def test_a_head_that_is_too_small_hides_nothing(self, clear: InFile) -> None:
        wrote(clear, CONTEXT, "c1")
        hold(acting(clear), CASE, held=True, person="u-9", why="claim")
        attack(clear.path, "UPDATE ledger_head SET size = 4")
        with pytest.raises(ErasureRefused, match="legal hold is on this case"):
            erased(clear)

    def test_another_thing_of_the_same_name_is_no_case(self, clear: InFile) -> None:
        wrote(clear, CallContext(Case("u-7"), CONTEXT.actor), "c1")
        wrote(clear, CONTEXT, "c2")  # whose actor is u-7
        assert erased(clear, "u-7").payloads == 4
        assert (verify(clear).exit_code, verify(clear).payloads) == (0, 4)


class TestAfterAPruning:
    RULES = Retention({"short": RetentionClass("closed", 10)}, default="short")

    def pruned(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        wrote(place, ANOTHER, "c3")
        happened(acting(place), CASE, event="closed", date="2001-01-01", person="u-7", why="w")
        done = prune(acting(place), "9999-01-01T00:00:00.000000Z", why="w", person="u-7", retention=self.RULES)
        assert (done.records, done.cases) == (2, (CASE,))

    def test_the_cases_key_is_destroyed_though_no_record_names_it(self, place: InFile, tmp_path: Path) -> None:
        wrote(place, CONTEXT, "c0")
        backup = InFile(tmp_path / "backup.db", sealing=place.sealing)
        shutil.copy(place.path, backup.path)
        with read(backup) as reader:
            (named,) = {each.fields["dek"] for each in reader.call("c0")}
        wrote(place, ANOTHER, "c3")
        happened(acting(place), CASE, event="closed", date="2001-01-01", person="u-7", why="w")
        prune(acting(place), "9999-01-01T00:00:00.000000Z", why="w", person="u-7", retention=self.RULES)
        told = erased(place, dry_run=True)
        assert (told.payloads, told.keys) == (0, 1)
        done = erased(place)
        assert (done.payloads, done.keys, len(done.records), done.finished) == (0, 1, 1, True)
        with read(place) as reader:
            assert reader.record(done.records[0]).fields["deks"] == [named]
        found = verify(place)
        assert (found.exit_code, found.payloads) == (0, 4)
        with read(backup) as reader:
            assert reader.payload(reader.call("c0")[0].fields["commitments"][0]["digest"]) is None
        assert erased(place).records == ()

    def test_a_hold_forbids_it_all_the_same(self, place: InFile) -> None:
        self.pruned(place)
        hold(acting(place), CASE, held=True, person="u-9", why="claim")
        with pytest.raises(ErasureRefused, match="legal hold"):
            erased(place)

    def test_it_is_finished_by_running_it_again(self, place: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pruned(place)
        with monkeypatch.context() as patched:
            patched.setattr(Vault, "shred", lambda *_: (_ for _ in ()).throw(OSError("the machine stopped")))
            with pytest.raises(LedgerInvalid, match="run it again"):
                erased(place)
        assert verify(place).exit_code == 2
        assert (erased(place).records, verify(place).exit_code) == ((), 0)


class TestAFileOfKeysOfTwoLogs:
    """As somebody may have it who named one file in two configurations."""

    OTHER = "example.com/another"

    def shared(self, place: InFile) -> tuple[Vault, CaseKey]:
        """Each has a key of its own there: nobody asked whose file it is, once."""
        assert place.sealing is not None
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Vault, "_is_ours", lambda *_: True)
            theirs = Vault(place.sealing, self.OTHER)
            key = theirs.key_of(CASE)
            wrote(place, ANOTHER, "c3")
        return theirs, key

    def test_none_is_made_where_all_are_anothers(self, place: InFile) -> None:
        assert place.sealing is not None
        theirs = Vault(place.sealing, self.OTHER)
        theirs.key_of("T-1")
        theirs.key_of("T-2")
        ours = Vault(place.sealing, "example.com/failsoft-test")
        for case in ("T-1", "T-17"):
            with pytest.raises(LedgerInvalid, match="another log's: give each ledger a file of its own"):
                ours.key_of(case)
        assert [each.key for each in ours.of_case("T-1")] == [None]
        ours.shred("T-1")
        assert theirs.key_of("T-3") == theirs.key_of("T-3")
        assert [each.shredded for each in theirs.of_case("T-1")] == [False]
        ours.close()
        theirs.close()

    def test_anothers_key_isnt_used(self, place: InFile) -> None:
        theirs, _ = self.shared(place)
        assert place.sealing is not None
        ours = Vault(place.sealing, "example.com/failsoft-test")
        with pytest.raises(LedgerInvalid, match="or it's another log's: give each ledger"):
            ours.key_of(CASE)
        assert ours.key_of("T-99").name != ours.key_of("T-17").name  # one of ours is there
        ours.close()
        theirs.close()

    def test_anothers_key_isnt_destroyed(self, place: InFile) -> None:
        theirs, key = self.shared(place)
        with pytest.raises(ErasureRefused, match="nothing of the case"):
            erased(place)
        kept = theirs.find(key.name)
        assert kept is not None
        assert kept.key == key
        assert erased(place, "T-17").keys == 1
        assert theirs.key_of(CASE) == key
        theirs.close()


class TestInterrupted:
    @pytest.mark.parametrize("step", ["shred", "forget"])
    @pytest.mark.parametrize("kept", ["place", "clear"])
    def test_it_is_seen_and_finished_by_running_it_again(
        self, kept: str, step: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place: InFile = request.getfixturevalue(kept)
        wrote(place, CONTEXT, "c1")

        def fails(*_: Any) -> Any:
            raise OSError("the machine stopped")

        with monkeypatch.context() as patched:
            patched.setattr(Vault if step == "shred" else LedgerFile, step, fails)
            if (kept, step) != ("clear", "shred"):
                with pytest.raises(LedgerInvalid, match="run it again"):
                    erased(place)
                assert verify(place).exit_code == 2
        again = erased(place)
        assert again.records == () or (kept, step) == ("clear", "shred")
        found = verify(place)
        assert (found.exit_code, found.payloads) == (0, 0)

    def test_nothing_is_destroyed_that_couldnt_be_put_on_record(
        self, place: InFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrote(place, CONTEXT, "c1")
        size = verify(place).size
        with pytest.raises(LedgerInvalid, match="it can't be recorded: a person must not contain control"):
            erased(place, person="\x07")
        assert verify(place).size == size  # nobody has even opened it
        with monkeypatch.context() as patched:
            patched.setattr(erasure_module, "StoredLedger", functools.partial(StoredLedger, max_queue=0))
            with pytest.raises(LedgerInvalid, match=r"it couldn't be recorded \(queue_full\)"):
                erased(place)
        found = verify(place)
        assert (found.exit_code, found.payloads) == (0, 4)

    def test_who_gives_no_reason_destroys_nothing(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        with pytest.raises(LedgerInvalid, match="a reason must be given"):
            erased(place, basis=" ")
        assert verify(place).payloads == 4

    @pytest.mark.parametrize(("name", "value"), [("deks", "x"), ("digests", "x")])
    def test_an_erasure_that_names_nothing_is_malformed(self, clear: InFile, name: str, value: str) -> None:
        wrote(clear, CONTEXT, "c1")
        erased(clear)
        body = rows(clear.path, "SELECT body FROM ledger_record WHERE type = 'payload.erased'")[0][0]
        fields = {**json.loads(body), name: [value]}
        changed = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        attack(clear.path, ("UPDATE ledger_record SET body = ? WHERE type = 'payload.erased'", (changed,)))
        assert "it's malformed" in " ".join(verify(clear).summary())


class TestWhereNothingIs:
    """Acts about a log don't found one."""

    def nowhere(self, store: str, server: PostgresServer, folder: Path) -> Location:
        address = Address.parse(f"{server.url}&schema=nothing_is_here")
        return InFile(folder / "none.db") if store == "file" else InDatabase(address)

    @pytest.mark.parametrize("store", ["file", "database"])
    def test_there_is_nothing_to_act_on_and_nothing_is_made(
        self, store: str, postgres: PostgresServer, tmp_path: Path
    ) -> None:
        place = self.nowhere(store, postgres, tmp_path)
        for act in (
            lambda: hold(acting(place), CASE, held=True, person="u-9", why="claim"),
            lambda: happened(acting(place), CASE, event="closed", date="2026-01-01", person="u-9", why="w"),
            lambda: erased(place),
            lambda: copy(acting(place), InFile(tmp_path / "to.db"), person="u-9", why="w"),
        ):
            with pytest.raises(LedgerInvalid, match="there is no "):
                act()
        assert verify(place).exit_code == 3
        assert not (tmp_path / "none.db").exists()


class TestHolds:
    def test_a_hold_forbids_it_until_it_is_lifted(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        hold(acting(place), CASE, held=True, person="u-9", why="claim 26-104")
        with pytest.raises(ErasureRefused, match=r"legal hold is on this case \(u-9: claim 26-104\)"):
            erased(place)
        hold(acting(place), CASE, held=False, person="u-9", why="settled")
        assert erased(place).payloads == 4
        assert verify(place).exit_code == 0

    def test_one_that_came_before_the_record_stops_it(self, place: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        wrote(place, CONTEXT, "c1")
        record = Acting.record

        def held_just_before(self: Acting, *records: Any) -> list[int]:
            record(self, LegalHold(CASE, True, "u-9", "claim"))
            return record(self, *records)

        with monkeypatch.context() as patched:
            patched.setattr(Acting, "record", held_just_before)
            with pytest.raises(ErasureRefused, match=r"u-9: claim.*a moment ago\): nothing was destroyed"):
                erased(place)
        assert verify(place).exit_code == 2  # it's on record, and not done
        with pytest.raises(ErasureRefused, match="legal hold is on this case"):
            erased(place)
        assert verify(place).payloads == 4
        hold(acting(place), CASE, held=False, person="u-9", why="settled")
        assert (erased(place).records, verify(place).exit_code) == ((), 0)

    def test_one_that_comes_after_it_is_too_late(self, place: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        wrote(place, CONTEXT, "c1")
        record = Acting.record

        def held_just_after(self: Acting, *records: Any) -> list[int]:
            places = record(self, *records)
            record(self, LegalHold(CASE, True, "u-9", "claim"))
            return places

        monkeypatch.setattr(Acting, "record", held_just_after)
        assert erased(place).finished

    def test_a_hold_on_another_case_forbids_nothing(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        wrote(place, ANOTHER, "c3")
        hold(acting(place), "T-17", held=True, person="u-9", why="claim")
        assert erased(place).payloads == 4

    def test_several_are_lifted_one_by_one(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        for person, why in (("u-9", "claim 26-104"), ("u-8", "claim 26-200"), ("u-7", "audit")):
            hold(acting(place), CASE, held=True, person=person, why=why)
        hold(acting(place), CASE, held=False, person="u-8", why="settled")  # one's own
        with pytest.raises(ErasureRefused, match=r"\(u-9: claim 26-104; u-7: audit\)"):
            erased(place)
        hold(acting(place), CASE, held=False, person="u-1", why="settled")  # the oldest
        with pytest.raises(ErasureRefused, match=r"\(u-7: audit\)"):
            erased(place)
        hold(acting(place), CASE, held=False, person="u-1", why="closed")
        assert erased(place).payloads == 4


def test_an_owner_is_a_role_of_the_ledgers_database(tmp_path: Path) -> None:
    config = tmp_path / "failsoft.toml"
    config.write_text('[ledger]\nurl = "sqlite:///x.db"\n')
    with pytest.raises(ConfigurationError, match="an owner is a role of the database"):
        acting_on(config, InFile(tmp_path / "x.db"))


DAY = 86_400 * SECOND
HOUR = DAY // 24


def at(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY


class TestRetention:
    @pytest.mark.parametrize(
        ("events", "day", "forbidden"),
        [
            ({}, "2099-01-01", "until its final-payment is on record, and 1096 days after"),
            ({"cancellation": "2020-01-01"}, "2099-01-01", "until its final-payment"),
            ({"final-payment": "2026-01-10"}, "2026-01-11", "until 2029-01-10 is over"),
            ({"final-payment": "2026-01-10"}, "2029-01-10", "until 2029-01-10 is over"),
            ({"final-payment": "2026-01-10"}, "2029-01-11", "until 2029-01-10 is over"),
            ({"final-payment": "2026-01-10"}, "2029-01-12", None),
            ({"final-payment": "2025-03-01"}, "2028-03-01", "until 2028-03-01 is over"),  # a leap day lies in between
            ({"final-payment": "9999-12-31"}, "2029-01-10", "until 9999-12-31"),
        ],
    )
    def test_a_contractors_records_are_kept_for_three_years_after_final_payment(
        self, events: dict[str, str], day: str, forbidden: str | None
    ) -> None:
        case = CaseFile(events={name: date.fromisoformat(each) for name, each in events.items()})
        told = Retention(default="contractor").forbids(case, at(day))
        assert (told is None) if forbidden is None else (told is not None and forbidden in told)

    @pytest.mark.parametrize(("hours", "over"), [(11.99, False), (12, True)])
    def test_the_last_day_is_over_when_it_is_so_everywhere(self, hours: float, over: bool) -> None:
        """In the west of the Pacific a day ends at noon of the next one, UTC."""
        case = CaseFile(events={"final-payment": date(2026, 1, 10)})
        now = at("2029-01-11") + int(hours * HOUR)
        assert (Retention(default="contractor").forbids(case, now) is None) == over

    def test_a_class_by_kind_comes_before_the_default(self) -> None:
        rules = Retention(kinds={"letter": "contract-file"}, default="contractor")
        assert rules.forbids(CaseFile({"letter"}), 0) is None
        assert rules.forbids(CaseFile({"solicitation"}), 0) is not None
        assert Retention().forbids(CaseFile(), 0) is None
        assert Retention().ends(CaseFile()) is None

    @pytest.mark.parametrize("kind", ["call.started", "call.completed", "call.amended"])
    def test_a_call_whose_case_is_of_no_kind_is_of_the_default_class_whatever_comes_later(self, kind: str) -> None:
        rules = Retention(kinds={"letter": "eu-ai-act-log"}, default="contractor")
        plain, letter = {"id": CASE}, {"id": CASE, "kind": "letter"}
        for records in (
            [{"type": kind, "case": plain}, {"type": "call.started", "case": letter}],
            [{"type": "call.started", "case": letter}, {"type": kind, "case": plain}],
        ):
            assert "FAR 4.703" in str(rules.forbids(file_of(*records), 0))

    @pytest.mark.parametrize("kind", ["call.orphaned", "payload.erased", "review.recorded", "case.event"])
    def test_what_is_said_of_a_case_from_outside_names_no_kind_and_brings_no_class(self, kind: str) -> None:
        rules = Retention(kinds={"letter": "eu-ai-act-log"}, default="contractor")
        told = {"type": kind, "case": {"id": CASE}, "date": "2026-01-01", "event": "closed"}
        started = {"type": "call.started", "case": {"id": CASE, "kind": "letter"}}
        assert rules.forbids(file_of(started, told), 0) is None
        assert "FAR 4.703" in str(rules.forbids(file_of(told), 0))

    def test_a_call_of_no_case_brings_no_class(self) -> None:
        assert file_of({"type": "call.started"}).kinds == set()

    @pytest.mark.parametrize("case", ["", "a\nb", "x" * 129])
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_what_can_be_no_case_is_refused_as_such(self, place: InFile, case: str, *, dry_run: bool) -> None:
        wrote(place, CallContext(), "c1")
        with pytest.raises(LedgerInvalid, match="it can't be recorded: a case's id"):
            erased(place, case, dry_run=dry_run)

    def test_a_hold_that_is_lifted_twice_was_lifted_once(self) -> None:
        lifted = {"type": "legal_hold.cleared", "person": "u-7"}
        hold_set = {"type": "legal_hold.set", "person": "u-9", "why": "claim 12"}
        assert file_of(lifted, hold_set).holds == [("u-9", "claim 12")]
        assert file_of(hold_set, lifted, lifted).holds == []

    def test_a_case_of_several_kinds_is_held_to_all_of_them(self) -> None:
        rules = Retention(kinds={"letter": "contract-file", "contract": "contractor", "claim": "investigation"})
        paid = {"final-payment": date(2026, 1, 1)}
        mixed = CaseFile({"letter", "contract"}, events=paid)
        assert rules.ends(mixed) == date(2026, 1, 1) + timedelta(days=2192)
        assert "contractor" in (rules.forbids(mixed, at("2028-12-31")) or "")
        assert rules.forbids(mixed, at("2029-01-03")) is None
        mixed = CaseFile({"letter", "contract", "claim"}, events=paid)
        assert rules.ends(mixed) is None
        assert "until its closed is on record" in (rules.forbids(mixed, at("2099-01-01")) or "")

    @pytest.mark.parametrize("kind", ["Contract", "contract ", " CONTRACT"])
    def test_a_kind_is_the_same_in_capitals_or_with_a_space_more(self, kind: str) -> None:
        for rules in (Retention(kinds={"contract": "contractor"}), Retention(kinds={kind: "contractor"})):
            assert "FAR 4.703" in str(rules.forbids(CaseFile({kind}), 0))
            assert "FAR 4.703" in str(rules.forbids(CaseFile({"contract"}), 0))

    def test_of_a_kind_that_is_written_in_two_ways_both_classes_count(self) -> None:
        rules = Retention(kinds={"contract": "contract-file", "Contract": "contractor"})
        assert "FAR 4.703" in str(rules.forbids(CaseFile({"contract"}), 0))

    def test_a_kind_without_a_class_is_named_where_classes_go_by_kind(self) -> None:
        """A hyphen for a space: nothing was erased by mistake, and nobody would have been told why it could be."""
        kinds = {"contract file": "contractor", "letter": "eu-ai-act-log"}
        case = CaseFile({"letter", "contract-file"})
        assert "of the kind 'contract-file', which has no class" in str(Retention(kinds=kinds).forbids(case, 0))
        assert Retention(kinds=kinds, default="eu-ai-act-log").forbids(case, 0) is None
        assert Retention(kinds=kinds).forbids(CaseFile({"letter", ""}), 0) is None, "of no kind: nobody said one"
        assert Retention().forbids(case, 0) is None

    def test_an_investigation_is_kept_for_the_contracts_period_from_its_closing_on(self) -> None:
        rules = Retention(kinds={"claim": "investigation", "contract": "contract-file"})
        closed = CaseFile({"claim"}, events={"closed": date(2026, 1, 1)})
        assert rules.ends(closed) == date(2026, 1, 1) + timedelta(days=2192)
        assert "investigation, of which nothing may be destroyed until 2032-01-02" in (
            rules.forbids(closed, at("2032-01-01")) or ""
        )
        assert rules.forbids(closed, at("2032-01-04")) is None

    def test_an_investigation_of_a_contract_that_is_paid_later_is_kept_for_that_ones_period(self) -> None:
        rules = Retention(kinds={"claim": "investigation", "contract": "contract-file"})
        events = {"closed": date(2026, 1, 1)}
        related = CaseFile({"claim", "contract"}, events=events)
        assert rules.ends(related) is None  # nobody knows when that ends
        events["final-payment"] = date(2029, 1, 1)
        assert rules.ends(related) == date(2029, 1, 1) + timedelta(days=2192)

    def test_a_later_record_does_not_lift_what_an_earlier_one_brought_with_it(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        wrote(place, CallContext(Case(CASE, "letter")), "c2")
        wrote(place, CallContext(Case(CASE)), "c3")
        rules = Retention(kinds={"solicitation": "contractor", "letter": "contract-file"})
        with pytest.raises(ErasureRefused, match="of the class contractor"):
            erased(place, retention=rules)

    def test_a_class_of_ones_own(self) -> None:
        rules = Retention(
            {"short": RetentionClass("closed", 10, erasable=False, source="house rule 4")}, default="short"
        )
        case = CaseFile(events={"closed": date(2026, 1, 1)})
        assert rules.ends(case) == date(2026, 1, 11)
        assert "house rule 4" in (rules.forbids(case, at("2026-01-10")) or "")
        assert "until 2026-01-11 is over" in (rules.forbids(case, at("2026-01-12")) or "")
        assert rules.forbids(case, at("2026-01-13")) is None

    def test_an_earlier_date_that_is_recorded_later_shortens_nothing(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        rules = Retention(default="contractor")
        for day in ("2020-01-01", "2031-01-01", "1990-01-01"):
            happened(acting(place), CASE, event="final-payment", date=day, person="u-7", why="w")
        with pytest.raises(ErasureRefused, match="until 2034-01-01"):
            erased(place, retention=rules)

    def test_a_class_may_ask_for_a_second_person(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        rules = Retention({"strict": RetentionClass("closed", 1, approval=True)}, default="strict")
        for dry_run in (True, False):
            with pytest.raises(
                ErasureRefused, match=r"class strict nothing is destroyed unless a second person agrees"
            ):
                erased(place, retention=rules, dry_run=dry_run)
            with pytest.raises(ErasureRefused, match="u-7 can't agree with themselves"):
                erased(place, retention=rules, approved_by="u-7", dry_run=dry_run)
        assert erased(place, retention=rules, approved_by="u-8").payloads == 4

    def test_nobody_agrees_with_themselves_though_nobody_asked(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        with pytest.raises(ErasureRefused, match="u-7 can't agree with themselves"):
            erased(place, approved_by="u-7")

    @pytest.mark.parametrize(
        ("person", "approved_by"),
        [
            ("u-7", "U-7"),
            ("u-7", " u-7 "),
            ("jos\u00e9", "jose\u0301"),
            ("STRASSE", "stra\u00dfe"),
            ("\u0130", "i\u0307"),
        ],
    )
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_nor_by_another_way_to_write_their_name(
        self, place: InFile, person: str, approved_by: str, *, dry_run: bool
    ) -> None:
        wrote(place, CONTEXT, "c1")
        with pytest.raises(ErasureRefused, match="can't agree with themselves"):
            erased(place, person=person, approved_by=approved_by, dry_run=dry_run)

    def test_whoever_has_no_name_agrees_with_nothing(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        rules = Retention({"strict": RetentionClass("closed", 1, approval=True)}, default="strict")
        with pytest.raises(ErasureRefused, match="it can't be recorded: a person must not be blank"):
            erased(place, retention=rules, approved_by=" ")
        with pytest.raises(ErasureRefused, match="it can't be recorded: a person must not contain control"):
            erased(place, approved_by="\x07", dry_run=True)

    def test_it_is_read_from_the_log(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        rules = Retention(default="contractor")
        with pytest.raises(ErasureRefused, match=r"FAR 4\.703"):
            erased(place, retention=rules)
        happened(acting(place), CASE, event="final-payment", date="2001-01-01", person="u-7", why="w")
        assert erased(place, retention=rules).payloads == 4
        assert verify(place).exit_code == 0
        with read(place) as reader:
            case = file_of(*(each.fields for each in reader.records(case=CASE)))
        assert (case.kinds, case.events) == ({"solicitation"}, {"final-payment": date(2001, 1, 1)})


@pytest.mark.parametrize("store", ["file", "database"])
def test_a_case_that_is_erased_while_the_log_is_verified_is_no_tampering(
    store: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealing = Sealing(KEY, tmp_path / "keys")
    place: Location = InFile(tmp_path / "x.db", sealing=sealing)
    if store == "database":
        place = InDatabase(Address.parse(f"{postgres.url}&schema=erased_meanwhile"), sealing)
    wrote(place, CONTEXT, "c1")
    eraser = ledger_at(place, clock=SystemClock())
    eraser.open()
    walked, size = KeptPayloads.end, verify(place).size
    with read(place) as reader:
        key = reader.call("c1")[0].fields["dek"]

    def slow(self: KeptPayloads, report: Any) -> None:
        monkeypatch.setattr(KeptPayloads, "end", walked)
        assert isinstance(settled(eraser.submit(PayloadErased(CASE, (key,), (), "b", "p"))), Recorded)
        vault = Vault(sealing, "example.com/failsoft-test")
        vault.shred(CASE)
        vault.close()
        walked(self, report)

    monkeypatch.setattr(KeptPayloads, "end", slow)
    found = by_ours(place)
    eraser.close()
    assert (found.exit_code, found.size) == (0, size), found.summary()
    assert verify(place).size == size + 2


def test_what_a_case_said_while_it_was_being_erased_is_erased_by_the_next_run(
    place: InFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has the case's key in hand until it is destroyed."""
    application = ledger_at(place, clock=SystemClock())
    application.open()
    settled(application.submit(started("c1", request=CANARY)))
    shred = Vault.shred

    def late(self: Vault, case: str, names: Any) -> None:
        begin = application.submit(started("c2", request=CANARY))
        assert isinstance(settled(application.submit(completed(begin, "c2"))), Recorded)
        shred(self, case, names)

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "shred", late)
        done = erased(place)
    assert (done.payloads, done.finished) == (1, False)
    found = verify(place)
    assert (found.exit_code, found.payloads) == (2, 4)  # nobody can read them any more, and there they are
    assert "4 payloads are encrypted and weren't opened: their content wasn't checked" in found.summary()
    again = erased(place)
    assert (again.payloads, len(again.records), again.finished) == (
        4,
        1,
        True,
    )  # who decided that these go too stands in the log
    found = verify(place)
    assert (found.exit_code, found.payloads) == (0, 0)
    assert "5 payloads were erased, as the log says" in found.summary()
    application.close()


def test_an_erasure_may_be_of_no_case(place: InFile) -> None:
    wrote(place, CONTEXT, "c1")
    acting(place).record(PayloadErased(None, (), ("00" * 32,), "found in a test", "u-7"))
    with read(place) as reader:
        (record,) = reader.records("payload.erased")
    assert "case" not in record.fields
    assert verify(place).exit_code == 0


class TestAFileThatCantForget:
    def test_what_could_not_be_deleted_is_there_still_and_goes_by_the_next_run(self, tmp_path: Path) -> None:
        wrote(InFile(tmp_path / "x.db"), CONTEXT, "c1")
        faults = Faults()
        store = LedgerFile(tmp_path / "x.db", faults.connect)
        store.open(list)
        digests = [digest for (digest,) in rows(tmp_path / "x.db", "SELECT digest FROM ledger_payload")]
        faults.raises["COMMIT"] = (sqlite3.SQLITE_FULL, "no room")
        with pytest.raises(sqlite3.OperationalError, match="no room"):
            store.forget(digests)
        assert len(rows(tmp_path / "x.db", "SELECT 1 FROM ledger_payload")) == 4
        faults.raises.clear()
        assert store.forget(digests)
        assert rows(tmp_path / "x.db", "SELECT 1 FROM ledger_payload") == []
        store.close()


class TestWhoIsMeant:
    def test_a_case_that_the_log_doesnt_know_is_neither_held_nor_anything_happened_with_it(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        for act in (
            lambda: hold(acting(place), "spe4a7", held=True, person="u-9", why="claim"),
            lambda: happened(acting(place), "spe4a7", event="closed", date="2026-01-01", person="u-7", why="w"),
        ):
            with pytest.raises(ErasureRefused, match="no record names the case 'spe4a7'"):
                act()

    def test_an_event_that_no_class_knows_is_refused(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        what: dict[str, Any] = {"event": "final_payment", "date": "2026-01-01", "person": "u-7", "why": "w"}
        with pytest.raises(ErasureRefused, match=r"no period begins with .* know cancellation, closed, final-payment$"):
            happened(acting(place), CASE, **what)
        own = Retention({"own": RetentionClass("final_payment", 1)})
        assert happened(acting(place), CASE, **what, retention=own) > 0

    def test_a_hold_that_isnt_there_isnt_lifted(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        with pytest.raises(ErasureRefused, match="no hold on the case"):
            hold(acting(place), CASE, held=False, person="u-9", why="over")

    def test_a_reason_is_needed(self, place: InFile) -> None:
        wrote(place, CONTEXT, "c1")
        with pytest.raises(LedgerInvalid, match="a reason must be given"):
            hold(acting(place), CASE, held=True, person="u-9", why=" ")
        with pytest.raises(LedgerInvalid, match="a reason must be given"):
            erased(place, basis="")
        assert verify(place).payloads == 4


def test_rows_that_are_left_under_a_destroyed_key_are_an_erasure_unfinished(
    place: InFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote(place, CONTEXT, "c1")

    def fails(*_: Any) -> Any:
        raise OSError("the machine stopped")

    with monkeypatch.context() as patched:
        patched.setattr(LedgerFile, "forget", fails)
        with pytest.raises(LedgerInvalid, match="run it again"):
            erased(place)
    assert [verify(each).exit_code for each in (place, InFile(place.path))] == [2, 2]
    erased(place)
    assert [verify(each).exit_code for each in (place, InFile(place.path))] == [0, 0]
