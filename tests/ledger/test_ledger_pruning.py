"""Records of calls whose period is over are taken out, and what's left is verified as ever."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from ledgers import SystemClock, completed, ledger_at, rows, settled, started
from signing import KEY as LOG_KEY
from signing import attack, signing_in
from tests.independent.agreeing import by_both as verify
from tests.logs import Log
from tests.postgres_server import PostgresServer

from failsoft.context import CallContext, Case
from failsoft.core.effects import Recorded, Ticket
from failsoft.core.evidence import Act, CallAmended, LegalHold, PersonActed
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts import pruning as pruning_module
from failsoft.ledger.acts.copying import copy
from failsoft.ledger.acts.erasure import Acting, ErasureRefused, erase, happened, hold
from failsoft.ledger.acts.pruning import Pruned, prune
from failsoft.ledger.acts.retention import Retention, RetentionClass
from failsoft.ledger.checkpoints.publishing import SECOND
from failsoft.ledger.location import InDatabase, InFile, Location
from failsoft.ledger.read import read
from failsoft.ledger.reading.attest import attest
from failsoft.ledger.records.record import Built
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.sqlite.store import LedgerFile, connect
from failsoft.ledger.store import PRUNE
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.postgres_address import Address
from failsoft.review import Decision, ReviewNeed

RULES = Retention({"short": RetentionClass("closed", 10)}, default="short")
FAR = "9999-01-01T00:00:00.000000Z"
LONG_AGO = "2001-01-01"
SCHEMAS = (f"prune_{number}" for number in count())


@pytest.fixture(params=["file", "database"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "file":
        return InFile(tmp_path / "x.db")
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return InDatabase(Address.parse(f"{postgres.url}&schema={next(SCHEMAS)}"))


@pytest.fixture
def file(tmp_path: Path) -> InFile:
    return InFile(tmp_path / "x.db")


def acting(place: Location, **options: Any) -> Acting:
    return Acting(place, SystemClock(), host="worker-2", **options)


def of_case(name: str) -> CallContext:
    return CallContext(Case(name, "letter"))


def wrote(place: Location, *cases: str, **options: Any) -> None:
    """A call of each case, in this order; of none where it's empty."""
    ledger = ledger_at(place, clock=SystemClock(), **options)
    ledger.open()
    for number, case in enumerate(cases):
        name = f"{ledger._appender.emitter.id[:6]}-{number}"
        context = of_case(case) if case else CallContext()
        begin = ledger.submit(started(name, context=context, request=b'{"canary-2b7e":1}'))
        assert isinstance(settled(ledger.submit(completed(begin, name, context=context))), Recorded)
    ledger.close()


def closed(place: Location, *cases: str, day: str = LONG_AGO, **options: Any) -> None:
    for each in cases:
        happened(acting(place, **options), each, event="closed", date=day, person="u-7", why="w")


def pruned(place: Location, until: str = FAR, **options: Any) -> Pruned:
    given = {"why": "schedule 12.3", "person": "u-7", "retention": RULES, **options}
    signing = given.pop("signing", None)
    return prune(acting(place, signing=signing), until, **given)


class TestPruning:
    def test_calls_whose_period_is_over_are_gone_and_the_tree_stays(self, place: Location, tmp_path: Path) -> None:
        wrote(place, "a", "b", "a")
        wrote(place, "c")
        closed(place, "a", "b")
        before = verify(place)
        done = pruned(place)
        assert (done.records, done.finished) == (6, True)
        assert "'c' isn't known to be over" in done.stopped_by
        found = verify(place, pins=[(before.size, before.root)])
        assert (found.exit_code, found.payloads, found.kinds["call.started"]) == (0, 4, 1)
        assert "6 records were pruned, as the log says" in found.summary()
        with read(place) as reader:
            (record,) = reader.records("record.pruned")
            assert (record.index, record.fields["first"], record.fields["last"]) == (done.record, 1, done.last)
            assert [each.fields["case"]["id"] for each in reader.records("call.started")] == ["c"]
            assert len([each for each in reader.records() if each.body is None]) == 6
        wrote(place, "d")
        assert verify(place).exit_code == 0
        if isinstance(place, InFile):
            assert bytes_of(tmp_path).count(b"canary-2b7e") == 2

    @pytest.mark.parametrize("hashes_only", [False, True])
    def test_two_leaves_that_share_their_bytes_otherwise_are_changed(self, file: InFile, hashes_only: bool) -> None:
        """Their parent in the tree is the same."""
        wrote(file, "a", "b")
        closed(file, "a", "b")
        pruned(file)
        ((first,), (second,)) = rows(file.path, "SELECT leaf FROM ledger_record WHERE seq IN (2, 3) ORDER BY seq")
        attacker = sqlite3.connect(file.path, isolation_level=None)
        for (name,) in attacker.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            attacker.execute(f"DROP TRIGGER {name}")
        attacker.execute("PRAGMA ignore_check_constraints = ON")
        attacker.execute("UPDATE ledger_record SET leaf = ? WHERE seq = 2", (first[:1],))
        attacker.execute("UPDATE ledger_record SET leaf = ? WHERE seq = 3", (first[1:] + second,))
        attacker.close()
        found = verify(file, hashes_only=hashes_only)
        assert (found.exit_code, "isn't 32 bytes" in str(found.problems)) == (1, True)

    def test_a_part_of_it_is_whole_too(self, file: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        """As a process leaves it that was killed between two steps."""
        wrote(file, "a", "b", "c")
        closed(file, "a", "b")
        monkeypatch.setattr("failsoft.ledger.sqlite.store.FORGOTTEN", 2)
        monkeypatch.setattr(
            "failsoft.ledger.sqlite.store.PRUNE", PRUNE.replace("seq BETWEEN", "seq > 3 AND seq BETWEEN")
        )
        pruned(file)
        assert [row[0] for row in rows(file.path, "SELECT seq FROM ledger_record WHERE body IS NULL")] == [4, 5]
        assert verify(file).exit_code == 2
        monkeypatch.undo()
        assert pruned(file).records == 2
        assert verify(file).exit_code == 0

    def test_it_can_go_on_later(self, place: Location) -> None:
        wrote(place, "a", "b")
        closed(place, "a")
        first = pruned(place)
        closed(place, "b")
        second = pruned(place)
        assert first.last < second.last
        assert second.stopped_by == ""
        assert verify(place).exit_code == 0

    def test_a_pruned_log_is_copied_as_it_is(self, place: Location, tmp_path: Path) -> None:
        wrote(place, "a", "b")
        closed(place, "a")
        pruned(place)
        to = InFile(tmp_path / "copy.db")
        copy(acting(place), to, person="u-7", why="archive")
        found = verify(to)
        assert (found.exit_code, found.root) == (0, verify(place).root)

    def test_whether_payloads_were_encrypted_cant_be_told_when_all_calls_are_gone(self, place: Location) -> None:
        """Whoever goes on in clear is told so, once it's too late to refuse."""
        warned: list[Any] = []

        def told(name: str, fields: Any) -> None:
            warned.append((name, fields["reason"]))

        wrote(place, "a", on_event=told)
        closed(place, "a")
        pruned(place)
        assert warned == []
        wrote(place, "b", on_event=told)
        ((name, reason),) = warned
        assert name == "ledger.warning"
        assert reason.endswith("nobody can tell whether payloads were encrypted; now they aren't")
        wrote(place, "c", on_event=told)
        assert len(warned) == 1

    def test_a_signed_one_stays_verified(self, file: InFile, tmp_path: Path) -> None:
        signing = signing_in(tmp_path, every_ns=60 * SECOND)
        wrote(file, "a", "b", signing=signing)
        closed(file, "a", signing=signing)
        pruned(file, signing=signing)
        assert verify(file, keys=[LOG_KEY.verifier]).verdict == "verified"

    def test_what_was_before_is_attested_by_nobody(self, file: InFile) -> None:
        wrote(file, "a")
        closed(file, "a")
        assert attest(file, "anthropic", "2020-01-01T00:00:00.000000Z").reasons
        pruned(file)
        found = attest(file, "anthropic", "2020-01-01T00:00:00.000000Z")
        assert any("the log begins at" in each for each in found.reasons)


def bytes_of(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file())


class TestWhatStays:
    def test_what_is_held_or_to_be_kept_and_all_after_it(self, place: Location) -> None:
        wrote(place, "a", "b", "c")
        closed(place, "a", "b", "c")
        hold(acting(place), "b", held=True, person="u-9", why="claim")
        done = pruned(place)
        assert (done.records, done.stopped_by) == (2, "a legal hold is on the case 'b'")
        hold(acting(place), "b", held=False, person="u-9", why="over")
        closed(place, "c", day=datetime.now(UTC).date().isoformat())
        done = pruned(place)
        assert done.records == 2
        assert "'c' is to be kept until" in done.stopped_by
        assert verify(place).exit_code == 0

    def test_a_case_without_a_class(self, file: InFile) -> None:
        wrote(file, "a")
        closed(file, "a")
        with pytest.raises(ErasureRefused, match="isn't known to be over"):
            pruned(file, retention=Retention())

    def test_a_case_of_two_kinds_of_which_one_has_no_class(self, file: InFile) -> None:
        rules = Retention(RULES.classes, kinds={"letter": "short"})
        wrote(file, "a")
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        context = CallContext(Case("a", "claim"))
        begin = ledger.submit(started("other", context=context))
        settled(ledger.submit(completed(begin, "other", context=context)))
        ledger.close()
        closed(file, "a")
        with pytest.raises(ErasureRefused, match="isn't known to be over"):
            pruned(file, retention=rules)

    def test_calls_of_no_case_unless_they_are_asked_for(self, place: Location) -> None:
        wrote(place, "", "a")
        closed(place, "a")
        with pytest.raises(ErasureRefused, match="--caseless"):
            pruned(place)
        assert pruned(place, caseless=True).records == 4
        assert verify(place).exit_code == 0

    def test_a_call_in_part(self, place: Location) -> None:
        ledger = ledger_at(place, clock=SystemClock())
        ledger.open()
        first = ledger.submit(started("whole", context=of_case("a")))
        ledger.submit(completed(first, "whole", context=of_case("a")))
        begin = ledger.submit(started("long", context=of_case("a")))
        inside = ledger.submit(started("inside", context=of_case("a")))
        ledger.submit(completed(inside, "inside", context=of_case("a")))
        settled(begin)
        with read(place) as reader:
            moment = [each.ts for each in reader.records("call.started")][-1]
        ledger.submit(completed(begin, "long", context=of_case("a")))
        still = ledger.submit(started("open", context=of_case("a")))
        settled(still)
        closed(place, "a")
        done = pruned(place, until=moment)
        assert done.records == 2
        done = pruned(place)
        assert done.records == 4
        ledger.submit(completed(still, "open", context=of_case("a")))
        ledger.close()
        assert verify(place).exit_code == 0

    def test_what_is_later(self, file: InFile) -> None:
        wrote(file, "a", "a")
        closed(file, "a")
        with read(file) as reader:
            second = [each.ts for each in reader.records("call.started")][1]
        with pytest.raises(ErasureRefused, match="no call before then"):
            pruned(file, until="2000-01-01T00:00:00.000000Z")
        done = pruned(file, until=second)
        assert done.records == 2
        size = verify(file).size
        again = pruned(file, until="2000-01-01T00:00:00.000000Z")
        assert (again.last, again.records, again.record, again.finished) == (done.last, 0, None, True)
        assert verify(file).size == size

    def test_nothing_twice_though_all_of_it_is_gone(self, file: InFile) -> None:
        wrote(file, "a")
        closed(file, "a")
        done, size = pruned(file), verify(file).size
        again = pruned(file)
        assert (again.last, again.records, again.record, verify(file).size) == (done.last, 0, None, size)

    def test_too_many_processes(self, file: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        wrote(file, "a")
        wrote(file, "a")
        closed(file, "a")
        monkeypatch.setattr(pruning_module, "EMITTERS", 1)
        for dry_run in (True, False):
            with pytest.raises(ErasureRefused, match="2 processes wrote"):
                pruned(file, dry_run=dry_run)

    def test_nothing_where_there_are_no_calls(self, file: InFile) -> None:
        wrote(file)
        with pytest.raises(ErasureRefused, match="there is no call before then"):
            pruned(file)


def ended_without_beginning(place: Location, context: CallContext) -> int:
    """A call's beginning wasn't recorded in time, and its end was; the end's place."""
    ledger = ledger_at(place, clock=SystemClock(), policy="continue")
    ledger.open()
    begin = ledger.submit(started("late", context=context))
    assert begin.withdraw()
    recorded = settled(ledger.submit(completed(begin, "late", context=context)))
    ledger.close()
    assert isinstance(recorded, Recorded)
    assert recorded.index is not None
    return recorded.index


class TestAnEndWithoutABeginning:
    """Whatever is taken out was looked at, the end of a call too whose beginning isn't on record."""

    def test_of_a_case_that_is_held(self, place: Location) -> None:
        ended_without_beginning(place, of_case("held"))
        wrote(place, "a")
        closed(place, "a", "held")
        hold(acting(place), "held", held=True, person="u-9", why="claim")
        with pytest.raises(ErasureRefused, match="legal hold is on the case 'held'"):
            pruned(place)

    def test_of_a_case_that_is_to_be_kept(self, file: InFile) -> None:
        ended_without_beginning(file, of_case("b"))
        wrote(file, "a")
        closed(file, "a")
        with pytest.raises(ErasureRefused, match="'b' isn't known to be over"):
            pruned(file)
        closed(file, "b")
        assert pruned(file).records == 3
        assert verify(file).exit_code == 0

    def test_of_no_case(self, file: InFile) -> None:
        ended_without_beginning(file, CallContext())
        with pytest.raises(ErasureRefused, match="--caseless"):
            pruned(file)
        assert pruned(file, caseless=True).records == 1

    def test_of_a_case_that_is_held_meanwhile(self, file: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        index = ended_without_beginning(file, of_case("a"))
        closed(file, "a")
        with monkeypatch.context() as patched:
            patched.setattr(LedgerFile, "prune", lambda *_: (_ for _ in ()).throw(OSError("the machine stopped")))
            with pytest.raises(LedgerInvalid, match="run it again"):
                pruned(file)
        hold(acting(file), "a", held=True, person="u-9", why="claim")
        with pytest.raises(ErasureRefused, match="legal hold is on the case 'a': nothing more is taken out"):
            pruned(file)
        assert rows(file.path, "SELECT body IS NULL FROM ledger_record WHERE seq = ?", index) == [(0,)]


class TestWhatItStopsAt:
    def test_a_call_that_is_under_way(self, file: InFile) -> None:
        wrote(file, "a")
        closed(file, "a")
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        settled(ledger.submit(started("open", context=of_case("a"))))
        done = pruned(file)
        ledger.close()
        assert (done.records, done.cases) == (2, ("a",))
        assert done.stopped_by == "the call 'open' (record 9) isn't over"

    @pytest.mark.parametrize("first", ["a", ""])
    def test_a_call_that_goes_on_beyond_the_time(self, file: InFile, first: str) -> None:
        wrote(file, *[first] * bool(first))
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        long = ledger.submit(started("long", context=of_case("a")))
        settled(long)
        inside = ledger.submit(started("inside", context=of_case("a")))
        settled(inside)
        with read(file) as reader:
            moment = next(reader.records("call.started", newest_first=True))
        ledger.submit(completed(inside, "inside", context=of_case("a")))
        ledger.submit(completed(long, "long", context=of_case("a")))
        ledger.close()
        closed(file, "a")
        begins = moment.index - 1
        said = f"the call 'long' (record {begins}) goes on to record {begins + 3}, which stays"
        if first:
            assert pruned(file, until=moment.ts).stopped_by == said
        else:
            with pytest.raises(ErasureRefused, match="which stays") as refused:
                pruned(file, until=moment.ts)
            assert str(refused.value).endswith(said)

    def test_a_case_inside_a_call_and_that_call(self, file: InFile) -> None:
        wrote(file, "a")
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        begin = ledger.submit(started("long", context=of_case("a")))
        kept = ledger.submit(started("kept", context=of_case("b")))
        ledger.submit(completed(kept, "kept", context=of_case("b")))
        settled(ledger.submit(completed(begin, "long", context=of_case("a"))))
        ledger.close()
        closed(file, "a")
        done = pruned(file)
        assert done.records == 2
        assert "'b' isn't known to be over" in done.stopped_by
        assert "; the call 'long' (record 6) goes on to record 9, which stays" in done.stopped_by
        assert verify(file).exit_code == 0


class TestOfALogThatWasTamperedWith:
    """A pruning would put on record as its own doing what somebody without any key changed."""

    CHANGES = (
        "UPDATE ledger_record SET type = 'call.completed', call_id = NULL, case_id = NULL WHERE type = 'legal_hold.set'",
        "UPDATE ledger_record SET case_id = 'b' WHERE case_id = 'a' AND type LIKE 'call.%'",
    )

    def held(self, file: InFile, **options: Any) -> None:
        wrote(file, "a", "b", **options)
        closed(file, "b", **options)
        hold(acting(file, **options), "a", held=True, person="u-9", why="claim")
        wrote(file, "b", **options)

    @pytest.mark.parametrize("change", CHANGES)
    @pytest.mark.parametrize("signed", [True, False])
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_nothing_is_taken_out(
        self, file: InFile, change: str, tmp_path: Path, *, signed: bool, dry_run: bool
    ) -> None:
        options = {"signing": signing_in(tmp_path)} if signed else {}
        self.held(file, **options)
        size = verify(file).size
        attack(file.path, change)
        with pytest.raises(LedgerInvalid, match=r"isn't whole: record .*index copy.*run `failsoft verify`"):
            pruned(file, dry_run=dry_run, **options)
        with read(file) as reader:
            assert reader.size == size
            assert all(each.body is not None for each in reader.records())

    @pytest.mark.parametrize("change", CHANGES)
    def test_it_isnt_believed_though_it_came_since_that_was_found(
        self, file: InFile, change: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.held(file)
        self.since_it_was_found_whole(file, monkeypatch, change)
        with pytest.raises(ErasureRefused, match="legal hold is on the case 'a'"):
            pruned(file)

    @pytest.mark.parametrize(
        "change",
        [
            "body = CAST(replace(CAST(body AS TEXT), '\"a\"', '\"b\"') AS BLOB)",
            "body = 'text'",
            "body = x'7b'",
            "leaf = substr(hex(leaf), 1, 32)",
        ],
    )
    def test_a_record_that_was_changed_since(self, file: InFile, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held(file)
        with sqlite3.connect(file.path) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(
                "UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'ledger_record'"
            )
        connection.close()
        self.since_it_was_found_whole(file, monkeypatch, f"UPDATE ledger_record SET {change} WHERE seq = 2", found=1)
        with pytest.raises(LedgerInvalid, match="record 2 was changed: run `failsoft verify`"):
            pruned(file)

    def test_a_record_that_was_taken_out_since(self, file: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held(file)
        bare = f"UPDATE ledger_record SET {TestTampering.BARE}, type = 'call.started' WHERE type = 'legal_hold.set'"
        self.since_it_was_found_whole(file, monkeypatch, bare)
        closed(file, "a")
        with pytest.raises(LedgerInvalid, match="was changed: run `failsoft verify`"):
            pruned(file)

    def test_what_is_unusable(self, file: InFile) -> None:
        with pytest.raises(LedgerInvalid, match=r"isn't whole: .*there is no such file"):
            pruned(file)

    @staticmethod
    def since_it_was_found_whole(file: InFile, monkeypatch: pytest.MonkeyPatch, change: str, found: int = 0) -> None:
        def then_changed(*arguments: Any, **named: Any) -> Any:
            told = verify(*arguments, **named)
            assert told.exit_code == found
            attack(file.path, change)
            return evolve(told, exit_code=0)

        monkeypatch.setattr(pruning_module, "verify", then_changed)


class TestTheWriteAheadLog:
    def test_it_doesnt_become_as_long_as_what_is_destroyed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("failsoft.ledger.sqlite.store.FORGOTTEN", 4)
        path, lengths = tmp_path / "x.db", list[int]()
        wrote(InFile(path), *["a"] * 40)
        closed(InFile(path), "a")

        def connected(uri: str) -> sqlite3.Connection:
            connection = connect(uri)

            def ran(statement: str) -> None:
                if statement.startswith("PRAGMA wal_checkpoint"):
                    lengths.append(path.with_name("x.db-wal").stat().st_size)

            connection.set_trace_callback(ran)
            return connection

        pruned(InFile(path, connect_to=connected))
        assert len(lengths) > 40 + 20  # 160 payloads and 80 records, four at a time
        assert max(lengths) < 40 * 8192


class TestDryRun:
    def test_it_says_what_would_be_and_touches_nothing(self, place: Location) -> None:
        wrote(place, "a", "b")
        closed(place, "a")
        before = verify(place)
        told = pruned(place, dry_run=True)
        assert (told.last, told.records, told.record, told.finished) == (3, 2, None, False)
        assert "'b' isn't known to be over" in told.stopped_by
        assert verify(place).root == before.root
        done = pruned(place)
        assert (done.last, done.records, done.stopped_by) == (told.last, told.records, told.stopped_by)


class TestHeldMeanwhile:
    def test_a_hold_that_came_before_the_record_stops_it(
        self, place: Location, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrote(place, "a", "b")
        closed(place, "a", "b")
        record = Acting.record

        def held_just_before(self: Acting, *records: Any) -> list[int]:
            record(self, LegalHold("b", True, "u-9", "claim"))
            return record(self, *records)

        with monkeypatch.context() as patched:
            patched.setattr(Acting, "record", held_just_before)
            with pytest.raises(
                ErasureRefused, match=r"legal hold is on the case 'b' \(since a moment ago\): nothing was"
            ):
                pruned(place)
        for _ in range(2):
            with pytest.raises(ErasureRefused, match="legal hold is on the case 'b': nothing more is taken out"):
                pruned(place)
        with read(place) as reader:
            assert all(each.body is not None for each in reader.records())
        hold(acting(place), "b", held=False, person="u-9", why="over")
        assert (pruned(place).records, verify(place).exit_code) == (4, 0)

    def test_one_that_came_later_stops_what_is_left(self, file: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        wrote(file, "", "a")
        closed(file, "a")
        with monkeypatch.context() as patched:
            patched.setattr(LedgerFile, "prune", lambda *_: (_ for _ in ()).throw(OSError("the machine stopped")))
            with pytest.raises(LedgerInvalid, match="run it again"):
                pruned(file, caseless=True)
        hold(acting(file), "a", held=True, person="u-9", why="claim")
        with pytest.raises(ErasureRefused, match="nothing more is taken out"):
            pruned(file, caseless=True)


class TestDecidedAboutMeanwhile:
    @pytest.fixture
    def appealed(self, file: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        """A pruning was on record, and an appeal against an answer that it's of before that."""
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        over(ledger, "c0", of_case("a"))
        over(ledger, "c1", of_case("a"))
        ledger.close()
        closed(file, "a")
        record = Acting.record

        def comes_between(self: Acting, *records: Any) -> list[int]:
            decide(file, "c1", "appeal", None)
            return record(self, *records)

        with monkeypatch.context() as patched:
            patched.setattr(Acting, "record", comes_between)
            with pytest.raises(
                ErasureRefused,
                match=r"the call 'c1' \(record 4\) goes on to record 11, .* a later pruning \(since a moment ago\): nothing was",
            ):
                pruned(file)

    @pytest.mark.usefixtures("appealed")
    def test_an_answer_isnt_taken_out_from_under_who_decided(self, file: InFile) -> None:
        assert verify(file).exit_code == 2
        with read(file) as reader:
            moment = next(reader.records(Kind.APPEAL_RECORDED)).ts
            assert len(list(reader.call("c1"))) == 3
        with pytest.raises(
            ErasureRefused, match=r"the call 'c1' \(record 4\) goes on to record 11, .*: nothing more is taken"
        ):
            pruned(file, until=moment)

    @pytest.mark.usefixtures("appealed")
    def test_a_later_one_takes_out_both(self, file: InFile) -> None:
        decide(file, "c1", "override", "accepted")
        done = pruned(file)
        assert (done.records, done.waiting) == (6, 0)
        assert verify(file).exit_code == 0

    def test_what_came_when_some_of_it_was_gone_stops_the_rest(
        self, file: InFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        over(ledger, "c1", of_case("a"))
        ledger.close()
        closed(file, "a")
        with monkeypatch.context() as patched:
            patched.setattr(LedgerFile, "prune", lambda *_: (_ for _ in ()).throw(OSError("the machine stopped")))
            with pytest.raises(LedgerInvalid, match="run it again"):
                pruned(file)
        decide(file, "c1", "appeal", None)
        with read(file) as reader:
            moment = next(reader.records(Kind.APPEAL_RECORDED)).ts
        with pytest.raises(
            ErasureRefused, match=r"the call 'c1' \(record 2\) goes on to record \d+, .*: nothing more is taken"
        ):
            pruned(file, until=moment)
        assert pruned(file).records == 3
        assert verify(file).exit_code == 0


class TestInterrupted:
    @pytest.mark.parametrize("step", ["forget", "prune"])
    def test_it_is_finished_by_running_it_again(self, file: InFile, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
        wrote(file, "a", "b")
        closed(file, "a")

        def fails(*_: Any) -> Any:
            raise OSError("the machine stopped")

        with monkeypatch.context() as patched:
            patched.setattr(LedgerFile, step, fails)
            with pytest.raises(LedgerInvalid, match="run it again"):
                pruned(file)
        found = verify(file)
        assert (found.exit_code, "the pruning that it declares isn't finished" in str(found.problems)) == (2, True)
        again = pruned(file)
        assert (again.records, again.record) == (2, None)
        assert verify(file).exit_code == 0

    @pytest.mark.parametrize("more", [True, False])
    def test_what_is_finished_is_on_record_once_and_what_goes_farther_once_more(
        self, file: InFile, monkeypatch: pytest.MonkeyPatch, *, more: bool
    ) -> None:
        wrote(file, "a", "b")
        closed(file, "a", "b")
        with monkeypatch.context() as patched:
            patched.setattr(LedgerFile, "prune", lambda *_: (_ for _ in ()).throw(OSError("the machine stopped")))
            with pytest.raises(LedgerInvalid, match="run it again"):
                pruned(file)
        wrote(file, *["a"] * more)
        again = pruned(file)
        assert (again.records, again.record is not None, again.cases) == (4 + 2 * more, more, ("a", "b"))
        with read(file) as reader:
            assert len(list(reader.records("record.pruned"))) == 1 + more
        assert verify(file).exit_code == 0

    @pytest.mark.usefixtures("impatient")
    def test_a_reader_leaves_it_unfinished(self, file: InFile) -> None:
        wrote(file, "a", "b")
        closed(file, "a")
        with read(file) as reader:
            assert reader.size
            assert not pruned(file).finished
            assert not pruned(file).finished
        assert b"canary-2b7e" in file.path.with_name("x.db-wal").read_bytes()
        assert pruned(file).finished
        assert bytes_of(file.path.parent).count(b"canary-2b7e") == 1  # that of the case that stays


class TestTampering:
    BARE = "body = NULL, rid = NULL, ts = NULL, call_id = NULL, case_id = NULL, capability = NULL"

    def told(self, file: InFile, *statements: str) -> str:
        wrote(file, "a", "b", "c")
        closed(file, "a")
        pruned(file)
        attack(file.path, *statements)
        found = verify(file)
        assert found.exit_code == 1
        return " ".join(found.summary())

    def test_a_record_taken_out_beyond_what_is_said(self, file: InFile) -> None:
        said = self.told(file, f"UPDATE ledger_record SET {self.BARE} WHERE seq IN (4, 5)")
        assert "no record says that it was pruned, and 1 more after it" in said

    def test_one_that_isnt_of_a_call(self, file: InFile) -> None:
        assert "not one that is pruned" in self.told(file, f"UPDATE ledger_record SET {self.BARE} WHERE seq = 1")

    def test_one_that_isnt_of_a_call_and_is_made_to_look_like_it(self, file: InFile) -> None:
        said = self.told(file, f"UPDATE ledger_record SET {self.BARE}, type = 'call.started' WHERE seq = 1")
        assert "aren't those that were there when it was written" in said

    def test_of_a_signed_log_too(self, file: InFile, tmp_path: Path) -> None:
        signing = signing_in(tmp_path, every_ns=3600 * SECOND)
        wrote(file, "a", "b", signing=signing)
        closed(file, "a", signing=signing)
        pruned(file, signing=signing)
        assert verify(file, keys=[LOG_KEY.verifier]).verdict == "verified"
        attack(file.path, f"UPDATE ledger_record SET {self.BARE}, type = 'call.started' WHERE seq = 1")
        assert verify(file, keys=[LOG_KEY.verifier]).exit_code == 1

    def test_one_that_stays_exchanged_for_one_that_was_taken_out(self, file: InFile) -> None:
        """Whoever has a backup can put a record's bytes back, so that as many are missing as before."""
        wrote(file, "a", "b")
        was = rows(file.path, "SELECT body, rid, ts, call_id, case_id, capability FROM ledger_record WHERE seq = 2")[0]
        closed(file, "a")
        pruned(file)
        back = (
            "UPDATE ledger_record SET body = ?, rid = ?, ts = ?, call_id = ?, case_id = ?, capability = ? WHERE seq = 2"
        )
        attack(file.path, (back, was), f"UPDATE ledger_record SET {self.BARE}, type = 'call.started' WHERE seq = 1")
        assert "aren't those that were there when it was written" in " ".join(verify(file).summary())

    def test_one_that_keeps_what_it_mustnt(self, file: InFile) -> None:
        assert "or not as those are" in self.told(file, "UPDATE ledger_record SET case_id = 'x' WHERE seq = 2")

    def test_one_with_another_number(self, file: InFile) -> None:
        assert "records are missing or exchanged" in self.told(file, "UPDATE ledger_record SET eseq = 77 WHERE seq = 2")

    def test_a_leaf(self, file: InFile) -> None:
        assert "the head states" in self.told(file, "UPDATE ledger_record SET leaf = zeroblob(32) WHERE seq = 2")

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"last": 10_000}, "that can't have been"),
            ({"first": 0}, "that can't have been"),
            ({"first": 2}, "that can't have been"),
            ({"leaves_sha256": "00" * 32}, "aren't those that were there when it was written"),
            ({"leaves_sha256": []}, "it lacks leaves_sha256"),
            ({"last": []}, "it lacks last"),
            ({"first": "1"}, "that can't have been"),
            ({"last": 2}, "no record says that it was pruned"),
            ({"emitters": []}, "it's malformed"),
        ],
    )
    def test_a_record_that_says_otherwise(self, file: InFile, changes: dict[str, Any], told: str) -> None:
        wrote(file, "a", "b")
        closed(file, "a")
        pruned(file)
        fields = json.loads(rows(file.path, "SELECT body FROM ledger_record WHERE type = 'record.pruned'")[0][0])
        body = json.dumps(
            {key: each for key, each in {**fields, **changes}.items() if each != []},
            sort_keys=True,
            separators=(",", ":"),
        )
        attack(file.path, ("UPDATE ledger_record SET body = ? WHERE type = 'record.pruned'", (body.encode(),)))
        assert told in " ".join(verify(file).summary())

    def test_numbers_that_it_doesnt_name(self, file: InFile) -> None:
        wrote(file, "a", "b")
        closed(file, "a")
        pruned(file)
        fields = json.loads(rows(file.path, "SELECT body FROM ledger_record WHERE type = 'record.pruned'")[0][0])
        fields["emitters"][0]["last"] = 1
        body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        attack(file.path, ("UPDATE ledger_record SET body = ? WHERE type = 'record.pruned'", (body,)))
        assert "of other records that they were pruned" in " ".join(verify(file).summary())


NO_CASE = CallContext()


def over(ledger: StoredLedger, name: str, context: CallContext = NO_CASE, need: ReviewNeed | None = None) -> Ticket:
    """A call that has ended, and its end."""
    begin = ledger.submit(started(name, context=context))
    end = ledger.submit(completed(begin, name, context=context, review=need))
    assert isinstance(settled(end), Recorded)
    return end


def decide(place: Location, call_id: str, act: Act, decision: Decision | None) -> None:
    with read(place) as reader:
        end = reader.call(call_id)[1]
    shown = next(each["digest"] for each in end.fields["commitments"] if each["path"] == "response")
    said = ("m.smith", "completed", end.leaf, None, None, decision, shown, False, None, b"because")
    ledger = ledger_at(place, clock=SystemClock())
    ledger.open()
    settled(ledger.submit(PersonActed(act, call_id, "classify-item", "1", Case("a", "letter"), (), *said)))
    ledger.close()


class TestWhileTheApplicationRuns:
    """It's killed afterwards, and what it left behind is seen to by the next process."""

    def test_what_is_taken_out_of_a_running_process_hinders_nobody_when_it_is_killed(self, place: Location) -> None:
        running = ledger_at(place, clock=SystemClock())
        running.open()
        for name in ("c1", "c2"):
            over(running, name)
        settled(running.submit(started("left", context=CallContext())))
        assert pruned(place, caseless=True, retention=ANY).records == 4
        running._appender.abandon()  # what the kernel does when a process is killed
        wrote(place, "")
        with read(place) as reader:
            assert [each.call_id for each in reader.records("call.orphaned")] == ["left"]
        assert verify(place).exit_code == 0
        running.close()

    def test_a_call_whose_end_is_gone_already_was_over(self, place: Location, monkeypatch: pytest.MonkeyPatch) -> None:
        """A pruning takes records out from the end on. Interrupted, it leaves beginnings."""
        running = ledger_at(place, clock=SystemClock())
        running.open()
        for name in ("c1", "c2"):
            over(running, name)
        store = "sqlite" if isinstance(place, InFile) else "postgres"
        with monkeypatch.context() as patched:
            ends = PRUNE.replace("seq BETWEEN", "seq > 3 AND seq BETWEEN")
            patched.setattr(f"failsoft.ledger.{store}.store.PRUNE", ends)
            pruned(place, caseless=True, retention=ANY)
        with read(place) as reader:
            assert [each.index for each in reader.records() if each.body is None] == [4, 5]
        running._appender.abandon()
        wrote(place)
        with read(place) as reader:
            assert not list(reader.records("call.orphaned"))
        assert pruned(place, caseless=True, retention=ANY).records == 2
        assert verify(place).exit_code == 0
        running.close()

    def test_a_batch_that_was_taken_out_since_is_known_to_have_arrived(self, place: Location) -> None:
        """Its acknowledgement was lost, and it waited somewhere."""
        sent: list[Sequence[Built]] = []
        ledger = ledger_at(place, clock=SystemClock())
        ledger.open()
        append = ledger._appender.store.append
        ledger._appender.store.append = lambda batch, **more: (sent.append(batch), append(batch, **more))[1]  # type: ignore[method-assign]
        over(ledger, "c1")
        ledger.close()
        (batch,) = [each for each in sent if each[0].call_id == "c1"]
        assert pruned(place, caseless=True, retention=ANY).records == 2
        store = place.store()
        store.open(list)
        try:
            assert store.append(batch, doubtful=True) == 2
        finally:
            store.close()
        assert verify(place).exit_code == 0


ANY = Retention()


class TestMeanwhile:
    def test_a_case_that_is_to_be_kept_after_all_stops_what_was_begun(
        self, file: InFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrote(file, "a")
        closed(file, "a")
        with monkeypatch.context() as patched:
            patched.setattr(LedgerFile, "prune", lambda *_: (_ for _ in ()).throw(OSError("the machine stopped")))
            with pytest.raises(LedgerInvalid, match="run it again"):
                pruned(file)
        closed(file, "a", day=datetime.now(UTC).date().isoformat())
        with pytest.raises(ErasureRefused, match=r"'a' is to be kept until .*: nothing more is taken out as long as"):
            pruned(file)
        assert rows(file.path, "SELECT count(*) FROM ledger_record WHERE body IS NULL") == [(0,)]

    @pytest.mark.parametrize("meanwhile", ["event", "kind"])
    def test_a_case_that_is_to_be_kept_since_a_moment_ago(
        self, file: InFile, monkeypatch: pytest.MonkeyPatch, meanwhile: str
    ) -> None:
        wrote(file, "a")
        closed(file, "a")
        rules = Retention({**RULES.classes, "long": RetentionClass("closed", 99_999)}, {"claim": "long"}, "short")
        record = Acting.record

        def comes_between(self: Acting, *records: Any) -> list[int]:
            monkeypatch.setattr(Acting, "record", record)
            if meanwhile == "event":
                closed(file, "a", day=datetime.now(UTC).date().isoformat())
            else:
                ledger = ledger_at(file, clock=SystemClock())
                ledger.open()
                settled(ledger.submit(started("late", context=CallContext(Case("a", "claim")))))
                ledger.close()
            return record(self, *records)

        monkeypatch.setattr(Acting, "record", comes_between)
        with pytest.raises(
            ErasureRefused, match=r"'a' is to be kept until .* \(since a moment ago\): nothing was taken"
        ):
            pruned(file, retention=rules)
        assert rows(file.path, "SELECT count(*) FROM ledger_record WHERE body IS NULL") == [(0,)]


class TestManyProcesses:
    def test_each_pruning_names_those_that_it_takes_from(
        self, place: Location, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many wrote before: a log may be pruned for years."""
        monkeypatch.setattr(pruning_module, "EMITTERS", 2)
        for number in range(4):
            wrote(place, f"case-{number}")
            closed(place, f"case-{number}")
            assert pruned(place).records == 2
        with read(place) as reader:
            told = [each.fields for each in reader.records("record.pruned")]
        assert [len(each["emitters"]) for each in told] == [1, 1, 1, 1]
        assert [each["first"] for each in told] == [1, 1, 1, 1]
        assert verify(place).exit_code == 0

    def test_one_that_goes_on_is_named_by_its_later_numbers(self, file: InFile) -> None:
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        for name in ("c1", "c2"):
            over(ledger, name)
            pruned(file, caseless=True, retention=ANY)
        ledger.close()
        with read(file) as reader:
            told = [each.fields["emitters"][0] for each in reader.records("record.pruned")]
        assert [(each["first"], each["last"]) for each in told] == [(1, 2), (3, 4)]
        assert verify(file).exit_code == 0

    @pytest.mark.parametrize("of", ["seq < 4", "seq > 6", "seq > 0"])
    def test_each_stretch_is_held_to_whom_it_is_said_to_be_of(self, file: InFile, of: str) -> None:
        for _ in range(2):
            wrote(file, "a")
        closed(file, "a")
        assert pruned(file).records == 4
        attack(file.path, f"UPDATE ledger_record SET eseq = 100 + seq WHERE body IS NULL AND {of}")
        found = verify(file)
        assert found.exit_code == 1
        assert any("of other records that they were pruned" in str(each) for each in found.problems)

    def test_whom_a_later_pruning_names_is_no_matter_of_an_earlier_one(self, file: InFile) -> None:
        """Each is held to the records between where the one before it ended and its own end."""
        for name in ("a", "b"):
            wrote(file, name)
            closed(file, name)
            pruned(file)
        attack(
            file.path, "UPDATE ledger_record SET emitter = lower(hex(randomblob(16))) WHERE body IS NULL AND seq > 6"
        )
        assert verify(file).exit_code == 1


class TestTwoPersons:
    RULES = Retention({"short": RetentionClass("closed", 10, approval=True)}, default="short")

    def test_a_class_may_ask_for_a_second_one(self, place: Location) -> None:
        wrote(place, "a")
        closed(place, "a")
        for dry_run in (True, False):
            for approver, said in (
                (None, "of the class short nothing is destroyed unless"),
                ("U-7", "can't agree with"),
            ):
                with pytest.raises(ErasureRefused, match=said):
                    pruned(place, retention=self.RULES, approved_by=approver, dry_run=dry_run)
        assert pruned(place, retention=self.RULES, approved_by="u-8").records == 2
        with read(place) as reader:
            (told,) = reader.records("record.pruned")
        assert (told.fields["person"], told.fields["approved_by"]) == ("u-7", "u-8")
        assert verify(place).exit_code == 0

    @pytest.mark.parametrize(("approver", "said"), [("U-7", "can't agree with"), ("\7", "can't be recorded")])
    def test_who_agrees_is_another_and_has_a_name_though_nobody_has_to(
        self, file: InFile, approver: str, said: str
    ) -> None:
        wrote(file, "")
        with pytest.raises(ErasureRefused, match=said):
            pruned(file, caseless=True, retention=ANY, approved_by=approver)

    def test_of_what_stays_none_is_asked_for(self, file: InFile) -> None:
        rules = Retention(
            {**RULES.classes, "strict": RetentionClass("closed", 1, approval=True)}, {"claim": "strict"}, "short"
        )
        wrote(file, "a")
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        over(ledger, "c9", CallContext(Case("b", "claim")))
        ledger.close()
        closed(file, "a")
        assert pruned(file, retention=rules).records == 2


class TestAnswersThatWait:
    def test_how_many_would_go_is_told(self, file: InFile) -> None:
        need = ReviewNeed(required=True, policy="always")
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        for name in ("waits", "reviewed", "appealed", "amended", "plain"):
            end = over(ledger, name, of_case("a"), need if name in ("waits", "reviewed") else None)
            if name == "amended":
                got = (name, "classify-item", "1", end, "answered", True, None, of_case("a"), 9, b'{"x":1}', need)
                settled(ledger.submit(CallAmended(*got)))
        ledger.close()
        decide(file, "reviewed", "review", "accepted")
        decide(file, "appealed", "appeal", None)
        closed(file, "a")
        assert pruned(file, dry_run=True).waiting == 3
        assert pruned(file).waiting == 3
        assert pruned(file).waiting == 0

    def test_of_those_alone_that_go(self, file: InFile) -> None:
        wrote(file, "a")
        ledger = ledger_at(file, clock=SystemClock())
        ledger.open()
        over(ledger, "waits", of_case("b"), ReviewNeed(required=True, policy="always"))
        ledger.close()
        closed(file, "a")
        assert pruned(file).waiting == 0


class TestWhatNobodyWrites:
    """Canonical bytes that say anything: verification tells of them, and no act fails by accident."""

    @pytest.mark.parametrize(
        ("kind", "fields"),
        [
            (Kind.PAYLOAD_ERASED, {"basis": "b", "person": "p", "deks": 5}),
            (Kind.PAYLOAD_ERASED, {"basis": "b", "person": "p", "deks": [{"a": 1}]}),
            (Kind.CASE_EVENT, {"date": 5, "event": "closed", "person": "p", "why": "w"}),
            (Kind.CASE_EVENT, {"date": "soon", "event": "closed", "person": "p", "why": "w"}),
            (Kind.CASE_EVENT, {"date": "2001-01-01", "event": ["closed"], "person": "p", "why": "w"}),
            (Kind.CALL_COMPLETED, {"call_id": "c9", "case": {"id": "a", "kind": ["x"]}}),
        ],
    )
    def test_no_act_stumbles(self, tmp_path: Path, kind: Kind, fields: dict[str, Any]) -> None:
        log = Log(tmp_path / "x.db")
        case = {"case": {"id": "a"}}
        start = log.first.start("c1", 2, **case)
        log.first.end("c1", 3, start, **case)
        log.first.tell(kind, 4, **{**case, **fields})
        place = InFile(log.close())
        assert verify(place).exit_code == 1
        rules = Retention(RULES.classes, default="short")
        with pytest.raises(LedgerInvalid, match="isn't whole"):
            pruned(place)
        with pytest.raises(LedgerInvalid, match="record 4 was changed"):
            erase(acting(place), "a", basis="b", person="p", retention=rules)
        with suppress(ErasureRefused, LedgerInvalid):  # of some it isn't known whether there's a hold
            hold(acting(place), "a", held=False, person="p", why="w")
        assert hold(acting(place), "a", held=True, person="p", why="w") > 4
        assert happened(acting(place), "a", event="closed", date=LONG_AGO, person="p", why="w") > 4

    @pytest.mark.parametrize("day", ["20010101", "2001-W01-1", "2001-1-1", "2001-02-30", "2001-01-01T00:00"])
    def test_a_day_is_written_in_one_way(self, tmp_path: Path, day: str) -> None:
        log = Log(tmp_path / "x.db")
        log.first.tell(Kind.CASE_EVENT, 4, case={"id": "a"}, date=day, event="closed", person="p", why="w")
        assert verify(log.close()).exit_code == 1

    def test_an_event_is_on_a_day(self, file: InFile) -> None:
        wrote(file, "a")
        with pytest.raises(LedgerInvalid, match="can't be recorded"):
            closed(file, "a", day="soon")
        closed(file, "a", day="20010101")
        with read(file) as reader:
            assert [each.fields["date"] for each in reader.records("case.event")] == ["2001-01-01"]
