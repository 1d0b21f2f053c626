"""Records that wait for their database: durable meanwhile, forwarded in order, never twice, within bounds."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from ledgers import (
    SteppedClock,
    SystemClock,
    after_its_look,
    call,
    completed,
    ledger_at,
    seeded,
    settled,
    started,
    until,
)
from processes import Process
from signing import KEY, NEXT, signing_in
from tests.postgres_server import PostgresServer

from failsoft import Isolation
from failsoft.context import CallContext, Case
from failsoft.core.effects import Recorded, Unrecorded
from failsoft.errors import LedgerInvalid
from failsoft.ledger import locks
from failsoft.ledger.acts.erasure import Acting, erase, happened
from failsoft.ledger.acts.pruning import prune
from failsoft.ledger.acts.retention import Retention, RetentionClass
from failsoft.ledger.acts.rotation import rotate
from failsoft.ledger.checkpoints.publishing import SECOND
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.location import InDatabase
from failsoft.ledger.locks import LiveFile
from failsoft.ledger.postgres.read import Database
from failsoft.ledger.postgres.schema import component
from failsoft.ledger.postgres.store import LedgerDatabase
from failsoft.ledger.read import read
from failsoft.ledger.reading.attest import attest
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Built, Draft, Emitter, timestamp
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.spool import store as spooling_module
from failsoft.ledger.spool.file import Spool, Spooling
from failsoft.ledger.spool.knock import Knock
from failsoft.ledger.spool.store import SWEPT, SpoolingStore
from failsoft.ledger.store import AppendFailed, DatabaseFailed
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.composing import Batch, Composer
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.postgres_address import Address

SCHEMAS = (f"spool_{number}" for number in count())
EMITTER = "0f" * 16


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling_module, "RETRY_NS", 5_000_000)


@pytest.fixture
def asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hangs where each step of a store is taken by hand."""

    class Asked(Knock):
        def __init__(self, ask: Callable[[], None]) -> None:
            self.ended = self.answered = False
            self.reason = ""
            self._run(ask)

    monkeypatch.setattr(spooling_module, "Knock", Asked)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def place(postgres: PostgresServer, folder: Path) -> InDatabase:
    address = Address.parse(f"{postgres.url}&schema={next(SCHEMAS)}")
    return InDatabase(address, spooling=Spooling(folder, SystemClock()))


class Away:
    """The way to the database, which can be cut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cut = False
        self.after_commit = 0
        run, at = Database.execute, Database.at.__func__  # type: ignore[attr-defined]
        away = self

        def execute(database: Database, query: str, values: Any = (), /) -> Any:
            if away.cut and type(database) is Database:
                database.close()
                raise DatabaseFailed("the connection was lost", unknown=True, away=True)
            result = run(database, query, values)
            if query == "COMMIT" and away.after_commit and type(database) is Database:
                away.after_commit -= 1
                away.cut = True
                database.close()
                raise DatabaseFailed("the connection was lost", unknown=True, away=True)
            return result

        def reached(cls: type[Database], address: Address, seconds: float) -> Database:
            if away.cut and cls is Database:
                raise DatabaseFailed("it can't be reached", away=True)
            found: Database = at(cls, address, seconds)
            return found

        monkeypatch.setattr(Database, "execute", execute)
        monkeypatch.setattr(Database, "at", classmethod(reached))


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Away:
    return Away(monkeypatch)


def ledger_in(place: InDatabase, **options: Any) -> StoredLedger:
    return ledger_at(place, **{"clock": SystemClock(), "back_off": (0.005, 0.02), "policy": "spool", **options})


def kinds(place: InDatabase) -> list[str]:
    source = place.connect()
    try:
        return [kind for (kind,) in source.execute("SELECT type FROM ledger_record ORDER BY seq")]
    finally:
        source.close()


def paired(place: InDatabase) -> list[tuple[str, str]]:
    """Of each outage on record the leaf of its failure, and the one that its recovery names."""
    with read(place) as reader:
        failures = [each.leaf.hex() for each in reader.records("ledger.failure")]
        named = [each.fields["refs"]["failure"] for each in reader.records("ledger.recovered")]
    return list(zip(failures, named, strict=True))


def whole(place: InDatabase) -> None:
    found = verify(place)
    assert found.exit_code == 0, found.summary()


def left_open(place: InDatabase) -> StoredLedger:
    """A ledger of another host, seen to be gone, with a call under way."""
    gone = ledger_in(InDatabase(place.address))
    gone.open()
    settled(gone.submit(started("slow")))
    gone._appender.store.close()
    return gone


class TestAwayForAWhile:
    def test_calls_go_on_and_the_log_is_whole_afterwards(self, place: InDatabase, folder: Path, away: Away) -> None:
        events: list[tuple[str, Any]] = []
        ledger = ledger_in(place, on_event=lambda name, fields: events.append((name, fields)))
        ledger.open()
        assert isinstance(settled(call(ledger, "before")[1]), Recorded)
        away.cut = True
        for number in range(5):
            result = settled(call(ledger, f"during-{number}")[1])
            assert isinstance(result, Recorded)
            assert result.index is None
        assert (ledger.healthy, ledger.spooling) == (True, True)
        assert list(folder.glob("*.db"))
        away.cut = False
        until(lambda: not ledger.spooling)
        result = settled(call(ledger, "after")[1])
        assert isinstance(result, Recorded)
        assert result.index is not None
        ledger.close()
        assert not list(folder.iterdir())
        assert [*dict.fromkeys(name for name, _ in events)] == ["ledger.failed", "ledger.recovered"]
        assert events[0][1]["policy"] == "spool"
        found = kinds(place)
        assert found.count("call.completed") == 7
        assert found.index("ledger.failure") < found.index("ledger.recovered")
        whole(place)

    def test_a_database_that_takes_no_writes_for_a_while_is_away(
        self, place: InDatabase, postgres: PostgresServer
    ) -> None:
        ledger = ledger_in(place)
        ledger.open()
        postgres.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        try:
            postgres.execute("SELECT pg_reload_conf()")
            numbers = count()
            results: list[Any] = []

            def waits() -> bool:
                results.append(settled(call(ledger, f"c{next(numbers)}")[1]))
                return ledger.spooling

            until(waits)
        finally:
            postgres.execute("ALTER SYSTEM RESET default_transaction_read_only")
            postgres.execute("SELECT pg_reload_conf()")
        until(lambda: not ledger.spooling)
        ledger.close()
        assert all(isinstance(each, Recorded) for each in results)
        assert kinds(place).count("call.completed") == len(results)
        whole(place)

    def test_a_commit_whose_answer_never_came_is_in_the_log_once(self, place: InDatabase, away: Away) -> None:
        ledger = ledger_in(place)
        ledger.open()
        away.after_commit = 1
        result = settled(ledger.submit(started("c1")))
        assert isinstance(result, Recorded)
        assert result.index is None
        away.cut = False
        until(lambda: not ledger.spooling)
        ledger.close()
        assert kinds(place).count("call.started") == 1
        whole(place)

    def test_it_is_forwarded_though_nothing_more_is_recorded(self, place: InDatabase, away: Away) -> None:
        ledger = ledger_in(place)
        ledger.open()
        away.cut = True
        settled(ledger.submit(started("c1")))
        away.cut = False
        until(lambda: not ledger.spooling)
        assert "call.started" in kinds(place)
        until(lambda: "ledger.recovered" in kinds(place) or "ledger.failure" not in kinds(place))
        ledger.close()
        whole(place)

    def test_many_batches_are_forwarded_in_their_order(
        self, place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spooling_module, "FORWARDED", 2)
        ledger = ledger_in(place)
        ledger.open()
        away.cut = True
        for number in range(9):
            settled(ledger.submit(started(f"c{number}")))
        away.cut = False
        until(lambda: not ledger.spooling)
        ledger.close()
        whole(place)

    def test_what_waits_at_the_end_is_forwarded_at_the_next_start(
        self, place: InDatabase, folder: Path, away: Away
    ) -> None:
        ledger = ledger_in(place)
        ledger.open()
        away.cut = True
        assert isinstance(settled(call(ledger, "c1")[1]), Recorded)
        ledger.close()
        assert list(folder.glob("*.db"))
        away.cut = False
        assert "call.completed" not in kinds(place)
        ledger_in(place).open()
        assert kinds(place).count("call.completed") == 1
        assert not list(folder.glob(f"*{ledger._appender.emitter.id}*"))

    @pytest.mark.parametrize("fails", [False, True])
    def test_an_outage_meanwhile_leaves_none_open(
        self, place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch, fails: bool
    ) -> None:
        """Somebody waits in vain, or the spool takes no more: each recovery on record is of the failure before it."""
        ledger = ledger_in(place)
        ledger.open()
        away.cut = True
        settled(call(ledger, "during")[1])
        until(lambda: ledger._appender._composer._spooled is not None)
        if fails:
            with monkeypatch.context() as patched:
                patched.setattr(Spool, "put", lambda *_: (_ for _ in ()).throw(AppendFailed("it's full")))
                assert isinstance(settled(ledger.submit(started("lost"))), Unrecorded)
        else:
            ledger.late(time.monotonic_ns() - SECOND)
        until(lambda: ledger.healthy)
        settled(call(ledger, "meanwhile")[1])
        away.cut = False
        until(lambda: not ledger.spooling)
        ledger.close()
        outages = paired(place)
        assert len(outages) >= 2
        assert all(failure == named for failure, named in outages)
        whole(place)

    def test_a_close_tells_that_none_wait_any_more(self, place: InDatabase, away: Away) -> None:
        ledger = ledger_in(place)
        ledger.open()
        appender = ledger._appender
        away.cut = True
        settled(call(ledger, "during")[1])
        until(lambda: appender._composer._spooled is not None)
        appender.seconds = lambda: None  # type: ignore[method-assign]  # the thread doesn't wake up before it's closed
        settled(call(ledger, "again")[1])
        with ledger._io:
            away.cut = False
            until(lambda: appender.store.tidy() is None and not ledger.spooling)
            ledger._queue.shut("the ledger is closed")
        ledger.close()
        ((failure, named),) = paired(place)
        assert failure == named
        assert kinds(place)[-2:] == ["ledger.recovered", "emitter.closed"]
        whole(place)

    def test_it_is_signed_when_it_is_forwarded(self, place: InDatabase, tmp_path: Path, away: Away) -> None:
        events: list[str] = []
        signing = signing_in(tmp_path, every_ns=60 * SECOND, records=1)
        ledger = ledger_in(place, signing=signing, on_event=lambda name, _: events.append(name))
        ledger.open()
        away.cut = True
        settled(call(ledger, "c1")[1])
        until(lambda: "checkpoint.failed" in events)
        away.cut = False
        until(lambda: not ledger.spooling)
        ledger.close()
        found = verify(place, keys=[KEY.verifier])
        assert (found.exit_code, found.verdict) == (0, "verified")

    def test_at_the_start_the_database_must_be_there(self, place: InDatabase, away: Away) -> None:
        away.cut = True
        with pytest.raises(LedgerInvalid, match="can't be reached"):
            ledger_in(place).open()

    def test_what_is_wrong_with_the_log_is_no_reason_to_spool(self, place: InDatabase, folder: Path) -> None:
        ledger = ledger_in(place)
        ledger.open()
        settled(call(ledger, "c1")[1])
        database = Database.at(place.address, 5)
        database.execute("SET session_replication_role = replica")
        database.execute("UPDATE ledger_head SET size = 2")
        database.close()
        assert isinstance(settled(ledger.submit(started("c2"))), Unrecorded)
        assert not ledger.spooling
        assert not list(folder.glob("*.db"))
        ledger.close()


class TestSeveralLogs:
    def test_a_folder_that_two_logs_share_mixes_nothing_up(
        self, postgres: PostgresServer, place: InDatabase, folder: Path, away: Away
    ) -> None:
        schema = Address.parse(f"{postgres.url}&schema={next(SCHEMAS)}")
        other = InDatabase(schema, spooling=place.spooling)  # of the same name, too: it's that of host and database
        ledger = ledger_in(place)
        ledger.open()
        another = ledger_in(other)
        another.open()
        assert ledger.origin == another.origin
        away.cut = True
        assert isinstance(settled(call(ledger, "c1")[1]), Recorded)
        ledger.close()
        away.cut = False
        another.close()
        for each in (other, place):
            following = ledger_in(each)
            following.open()
            following.close()
        assert (kinds(other).count("call.completed"), kinds(place).count("call.completed")) == (0, 1)
        whole(other)
        whole(place)
        assert not list(folder.iterdir())

    def test_a_database_that_holds_another_log_by_now_gets_nothing(
        self, postgres: PostgresServer, place: InDatabase, away: Away
    ) -> None:
        other = InDatabase(Address.parse(f"{postgres.url}&schema={next(SCHEMAS)}"))
        another = ledger_in(other)
        another.open()
        for number in range(9):
            settled(call(another, f"c{number}")[1])
        another.close()
        before = kinds(other)
        ledger = ledger_in(place)
        ledger.open()
        away.cut = True
        settled(call(ledger, "c1")[1])
        inside = ledger._appender.store._inner  # type: ignore[attr-defined]
        numbers = count()
        was, inside.address = inside.address, other.address
        away.cut = False
        until(lambda: isinstance(settled(ledger.submit(started(f"d{next(numbers)}"))), Unrecorded))
        assert kinds(other) == before
        inside.address = was
        until(lambda: ledger.healthy and not ledger.spooling)
        ledger.close()
        assert kinds(place).count("call.completed") == 1
        whole(place)


class TestFallingBack:
    def test_what_is_wrong_with_the_log_is_told_though_records_wait(
        self, place: InDatabase, folder: Path, postgres: PostgresServer, away: Away
    ) -> None:
        events: list[Any] = []
        ledger = ledger_in(place, on_event=lambda name, fields: events.append(fields.get("reason")))
        ledger.open()
        settled(call(ledger, "c1")[1])
        away.cut = True
        settled(call(ledger, "c2")[1])
        numbers = count()
        damage = f"SET session_replication_role = replica; UPDATE {place.address.schema}.ledger_head SET size = "
        postgres.execute(f"{damage} 2")
        away.cut = False
        until(lambda: isinstance(settled(ledger.submit(started(f"d{next(numbers)}"))), Unrecorded))
        assert not ledger.healthy
        assert any("the head doesn't fit the records" in str(each) for each in events)
        assert list(folder.glob("*.db"))
        postgres.execute(f"{damage} 4")
        until(lambda: ledger.healthy and not ledger.spooling)
        ledger.close()
        assert kinds(place).count("call.completed") == 2

    def test_tables_of_a_later_version_are_told_though_records_wait(
        self, place: InDatabase, postgres: PostgresServer, away: Away
    ) -> None:
        ledger = ledger_in(place)
        ledger.open()
        away.cut = True
        settled(call(ledger, "c1")[1])
        name = component(place.address.schema)
        postgres.execute(f"INSERT INTO failsoft.migration (component, version) VALUES ('{name}', 99)")
        away.cut = False
        numbers = count()
        until(lambda: isinstance(settled(ledger.submit(started(f"d{next(numbers)}"))), Unrecorded))
        assert not ledger.healthy
        postgres.execute(f"DELETE FROM failsoft.migration WHERE component = '{name}' AND version = 99")
        until(lambda: ledger.healthy and not ledger.spooling)
        ledger.close()
        whole(place)

    def test_why_records_wait_is_told_again_where_its_another_reason_by_now(
        self, place: InDatabase, away: Away
    ) -> None:
        events: list[Any] = []
        ledger = ledger_in(place, on_event=lambda name, fields: events.append(fields.get("reason", name)))
        ledger.open()
        asked = count()
        inside = ledger._appender.store._inner  # type: ignore[attr-defined]
        answers, said = inside.answers, ["it can't be reached: the password isn't right"]

        def answered() -> None:
            next(asked)
            if said:
                raise DatabaseFailed(said[-1], away=True)
            answers()

        inside.answers = answered
        away.cut = True
        settled(call(ledger, "c1")[1])
        until(lambda: next(asked) > 9)
        said.append("it can't be reached: it has no connection left")
        until(lambda: events[-1] == said[-1])
        away.cut = False
        said.clear()
        until(lambda: not ledger.spooling)
        ledger.close()
        assert events == [
            "the connection was lost",
            "it can't be reached: the password isn't right",
            "it can't be reached: it has no connection left",
            "ledger.recovered",
        ]
        whole(place)

    @pytest.mark.usefixtures("asked_at_once")
    def test_a_database_that_goes_again_as_records_are_forwarded_is_told(
        self, place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str | None] = []
        inner = LedgerDatabase(place.address)
        assert place.spooling is not None
        store = SpoolingStore(inner, place.spooling, told.append)
        clock, emitter = SystemClock(), Emitter("example.com/x", SystemClock(), os.urandom)
        store.origin = "example.com/x"

        def built(what: Draft) -> Built:
            return emitter.build(what, clock.time_ns(), clock.monotonic_ns())

        store.open(lambda: [built(draft.log_opened(())), built(draft.emitter_opened("h", 1, {"a": "b"}))])
        life = store.hold(emitter.id)
        away.cut = True
        store.append([built(draft.emitter_closed(0))])

        def refused(_: Any) -> bool:
            raise DatabaseFailed("it's starting", away=True)

        monkeypatch.setattr(inner, "open", refused)
        away.cut = False
        until(lambda: (store.tidy(), len(told) > 1)[1])
        assert told == ["the connection was lost", "it's starting"]
        monkeypatch.undo()
        life.release(remove=False)
        store.close()

    def test_nothing_is_left_of_payloads_that_were_forwarded(self, place: InDatabase, folder: Path, away: Away) -> None:
        ledger = ledger_in(place)
        ledger.open()
        away.cut = True
        settled(ledger.submit(started("c1", request=b'"canary-51c0"')))
        assert any(b"canary-51c0" in each.read_bytes() for each in folder.iterdir())
        away.cut = False
        until(lambda: not ledger.spooling)
        assert [each.name for each in folder.iterdir() if each.suffix != ".live"] == []
        ledger.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
    def test_a_process_that_forked_spools_as_before(self, place: InDatabase, away: Away) -> None:
        ledger = ledger_in(place)
        ledger.open()
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
        away.cut = True
        assert isinstance(settled(call(ledger, "c1")[1]), Recorded)
        away.cut = False
        until(lambda: not ledger.spooling)
        ledger.close()
        whole(place)

    def test_who_is_gone_is_asked_where_the_database_is(self, place: InDatabase, away: Away) -> None:
        """A worker that was forked opens the ledger when it has something to say: its database may go just then."""
        store = place.store()
        assert isinstance(store, SpoolingStore)
        first = batch()
        store.open(lambda: first)
        store.hold(EMITTER)
        away.cut = True
        assert store.append(first[1:]) is None
        assert list(store.gone(EMITTER)) == []
        store.close()

    def test_a_call_that_is_open_at_the_end_has_one_end(self, place: InDatabase, away: Away) -> None:
        ledger = ledger_in(place)
        ledger.open()
        settled(ledger.submit(started("c1")))
        away.cut = True
        settled(ledger.submit(started("c2")))
        away.cut = False
        other = ledger_in(InDatabase(place.address))  # of another host: it takes the first for gone
        ledger._appender.store._not_before = 1 << 62  # type: ignore[attr-defined]
        other.open()
        other.close()
        assert kinds(place).count("call.orphaned") == 1
        ledger.close()
        following = ledger_in(place)
        following.open()
        following.close()
        assert kinds(place).count("call.orphaned") == 2
        whole(place)

    def test_who_is_gone_is_left_to_others_where_the_database_goes_while_it_is_looked_after(
        self, place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = left_open(place)
        after_its_look(monkeypatch, lambda: setattr(away, "cut", True))
        ledger = ledger_in(place)
        ledger.open()
        assert ledger.spooling
        settled(call(ledger, "c1")[1])
        away.cut = False
        other = ledger_in(InDatabase(place.address))
        other.open()
        other.close()
        until(lambda: not ledger.spooling)
        ledger.close()
        assert kinds(place).count("call.orphaned") == 1
        assert kinds(place).count("call.completed") == 1
        gone.close()
        whole(place)

    def test_a_start_fails_where_nobody_knows_whether_its_orphans_are_in_the_log(
        self, place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = left_open(place)
        after_its_look(monkeypatch, lambda: setattr(away, "after_commit", 1))
        with pytest.raises(LedgerInvalid, match="the connection was lost"):
            ledger_in(place).open()
        away.cut = False
        ledger = ledger_in(place)
        ledger.open()
        ledger.close()
        assert kinds(place).count("call.orphaned") == 1
        gone.close()
        whole(place)

    @pytest.mark.usefixtures("asked_at_once")
    def test_calls_left_to_who_forwards_them_are_ended_by_the_next_start_where_the_goodbye_does(
        self, place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = ledger_in(place)
        ledger.open()
        settled(ledger.submit(started("c1")))
        monkeypatch.setattr(spooling_module, "RETRY_NS", 1 << 61)
        away.cut = True
        settled(ledger.submit(started("c2")))
        away.cut = False
        fill = Composer.fill_last

        def is_back(self: Composer, batch: Batch) -> None:
            fill(self, batch)
            self._store._not_before = 0  # type: ignore[attr-defined] -- the retry is due by now

        monkeypatch.setattr(Composer, "fill_last", is_back)
        ledger.close()
        assert kinds(place)[-1] == "emitter.closed"
        following = ledger_in(place)
        following.open()
        following.close()
        assert kinds(place).count("call.orphaned") == 2
        whole(place)

    def test_orphans_that_may_be_in_the_log_stay_in_doubt_while_the_database_is_away(
        self, place: InDatabase, away: Away
    ) -> None:
        store = place.store()
        first = batch()
        store.open(lambda: first)
        store.hold(EMITTER)
        emitter = Emitter(store.origin, SystemClock(), os.urandom)
        orphan = [emitter.build(draft.call_orphaned("c1", b"0" * 32, None, None), 1, 1)]
        away.cut = True
        store.close()
        with pytest.raises(DatabaseFailed, match="it can't be reached"):
            store.append(orphan, doubtful=True)
        assert not store.spooling
        with pytest.raises(AppendFailed) as caught:
            store.append(orphan)
        assert (caught.value.stale, store.spooling) == (True, True)
        store.tidy()  # nothing waits so far
        away.cut = False
        until(lambda: (store.tidy(), not store.spooling)[1])
        store.close()

    def test_a_call_left_open_is_ended_by_others_where_the_database_goes_at_the_goodbye(
        self, place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = ledger_in(place)
        ledger.open()
        settled(ledger.submit(started("c1")))
        asked = LedgerDatabase.ended

        def cut_after(self: LedgerDatabase, calls: Sequence[str]) -> set[str]:
            found = asked(self, calls)
            away.cut = True
            return found

        monkeypatch.setattr(LedgerDatabase, "ended", cut_after)
        ledger.close()
        monkeypatch.undo()
        for each in (
            InDatabase(place.address),
            place,
        ):  # another host's start, and this one's, which forwards the goodbye
            following = ledger_in(each)
            following.open()
            following.close()
        assert kinds(place).count("call.orphaned") == 1
        assert kinds(place).count("emitter.closed") == 3
        whole(place)


class TestHowLongOthersWait:
    @pytest.mark.usefixtures("asked_at_once")
    def test_a_slow_database_is_given_two_batches_at_a_time(
        self, place: InDatabase, folder: Path, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = SteppedClock()
        store = InDatabase(place.address, spooling=Spooling(folder, clock)).store()
        assert isinstance(store, SpoolingStore)
        records = batch(8)
        store.open(lambda: records[:1])
        store.hold(EMITTER)
        away.cut = True
        for each in records[1:]:
            store.append([each])
        away.cut = False
        monkeypatch.setattr(spooling_module, "FORWARD_NS", 0)
        clock.now += 60 * SECOND
        left = []
        while store.spooling:
            assert store._spool is not None
            left.append(store._spool.waiting)
            store.tidy()
        store.close()
        assert left == [7, 5, 3, 1]

    def test_a_database_that_hangs_holds_up_nobody(
        self, place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answering, asked = threading.Event(), []

        def hang(self: LedgerDatabase) -> None:
            asked.append(threading.current_thread().name)
            assert answering.wait(30)

        monkeypatch.setattr(LedgerDatabase, "answers", hang)
        ledger = ledger_in(place)
        ledger.open()
        away.cut = True
        assert isinstance(settled(call(ledger, "first")[1]), Recorded)
        away.cut = False
        until(lambda: bool(asked))
        for number in range(20):
            result = settled(call(ledger, f"c{number}")[1])
            assert isinstance(result, Recorded)
            assert result.index is None
        assert asked == ["failsoft-knock"]
        answering.set()
        until(lambda: not ledger.spooling)
        ledger.close()
        whole(place)

    @pytest.mark.usefixtures("asked_at_once")
    def test_it_is_asked_once_for_all_that_is_forwarded(
        self, place: InDatabase, folder: Path, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spooling_module, "FORWARDED", 1)
        clock, asked = SteppedClock(), []
        answers = LedgerDatabase.answers
        monkeypatch.setattr(LedgerDatabase, "answers", lambda self: (asked.append(away.cut), answers(self))[-1])
        store = InDatabase(place.address, spooling=Spooling(folder, clock)).store()
        assert isinstance(store, SpoolingStore)
        records = batch(5)
        store.open(lambda: records[:1])
        store.hold(EMITTER)
        away.cut = True
        for each in records[1:]:
            assert store.append([each]) is None
        clock.now += 60 * SECOND
        store.tidy()
        store.tidy()  # not yet
        assert asked == [True]
        away.cut = False
        clock.now += 60 * SECOND
        while store.spooling:
            store.tidy()
        store.close()
        assert asked == [True, False]

    @pytest.mark.usefixtures("asked_at_once")
    def test_a_log_that_was_at_fault_is_spooled_for_where_its_database_is_away(
        self, place: InDatabase, folder: Path, postgres: PostgresServer, away: Away
    ) -> None:
        clock = SteppedClock()
        store = InDatabase(place.address, spooling=Spooling(folder, clock)).store()
        assert isinstance(store, SpoolingStore)
        records = batch(5)
        store.open(lambda: records[:1])
        store.hold(EMITTER)
        away.cut = True
        assert store.append(records[1:2]) is None
        away.cut = False
        damage = f"SET session_replication_role = replica; UPDATE {place.address.schema}.ledger_head SET size = "
        postgres.execute(f"{damage} 2")
        clock.now += 60 * SECOND
        store.tidy()
        with pytest.raises(AppendFailed, match="the head doesn't fit"):
            store.append(records[2:3])
        away.cut = True
        clock.now += 60 * SECOND
        assert store.append(records[2:3]) is None
        away.cut = False
        postgres.execute(f"{damage} 1")
        clock.now += 60 * SECOND
        store.tidy()
        assert not store.spooling
        store.close()


class TestKilled:
    def test_what_a_killed_process_left_is_forwarded_by_the_next(
        self, place: InDatabase, folder: Path, tmp_path: Path, postgres: PostgresServer
    ) -> None:
        url = f"{postgres.url}&schema={place.address.schema}"
        with Process("spooling_process.py", url, str(folder), folder=tmp_path) as victim:
            victim.until_lines(1)
            postgres.kill()
            try:
                assert victim._process.stdin is not None
                victim._process.stdin.write(b"\n")
                victim._process.stdin.flush()
                victim.until_lines(2)
                victim.kill()
            finally:
                postgres.start()
        assert list(folder.glob("*.db"))
        other = ledger_in(InDatabase(place.address))  # of another host: it sees the lock is free, and nothing else
        other.open()
        assert kinds(place).count("call.orphaned") == 1
        other.close()
        following = ledger_in(place)
        following.open()
        following.close()
        assert not list(folder.iterdir())
        found = kinds(place)
        assert (found.count("call.completed"), found.count("call.orphaned")) == (2, 2)
        with read(InDatabase(place.address)) as reader:
            (left,) = {each.emitter for each in reader.records(Kind.CALL_STARTED)}
        assert swept(place) == [[], [], [left]]
        whole(place)


def test_so_many_that_were_swept_are_named_as_a_record_has_room_for(place: InDatabase, folder: Path) -> None:
    ledger = ledger_in(place)
    ledger.open()
    (own,) = folder.glob("*.live")
    base = folder / own.name.removesuffix(".live").rpartition(".")[0]
    ledger.close()
    for number in range(SWEPT + 1):
        LiveFile.hold(base, f"{number:032x}").release(remove=False)
    following = ledger_in(place)
    following.open()
    assert len(list(folder.glob("*.live"))) == 1
    following.close()
    assert swept(place)[-1] == [f"{number:032x}" for number in range(SWEPT)]
    whole(place)


def swept(place: InDatabase) -> list[list[str]]:
    """Whom each process said to be swept as it opened the log."""
    with read(InDatabase(place.address)) as reader:
        return [each.fields.get("swept", []) for each in reader.records(Kind.EMITTER_OPENED)]


@pytest.mark.parametrize("cut", [False, True])
def test_who_starts_on_a_copy_of_a_folder_says_nothing_of_whoever_has_the_original(
    place: InDatabase, folder: Path, away: Away, tmp_path: Path, cut: bool
) -> None:
    """An application that's copied to another host while it runs there."""
    ledger = ledger_in(place)
    ledger.open()
    if cut:
        away.cut = True
        settled(call(ledger, "c1")[1])
    shutil.copytree(folder, tmp_path / "copy")
    away.cut = False
    other = ledger_in(evolve(place, spooling=Spooling(tmp_path / "copy", SystemClock())))
    other.open()
    other.close()
    assert swept(place) == [[], []]
    assert isinstance(settled(call(ledger, "c2")[1]), Recorded)
    until(lambda: kinds(place).count("call.completed") == 1 + cut)
    ledger.close()
    whole(place)


def test_a_stand_in_for_a_live_file_that_is_gone_never_becomes_an_original(
    place: InDatabase, folder: Path, away: Away, tmp_path: Path
) -> None:
    """The first that starts on a copy of a folder, from which they were left out, is killed before it's through."""
    ledger = ledger_in(place)
    ledger.open()
    away.cut = True
    settled(call(ledger, "c1")[1])
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*.live"))
    away.cut = False
    copied = evolve(place, spooling=Spooling(tmp_path / "copy", SystemClock()))
    store = copied.store()
    store.open(list)
    store.close()
    (left,) = (tmp_path / "copy").glob("*.live")
    assert left.read_bytes() == b""
    other = ledger_in(copied)
    other.open()
    other.close()
    assert swept(place) == [[], []]
    ledger.close()
    whole(place)


def test_a_live_file_of_a_cloned_disk_is_no_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Device and inode are the same there; the machine was started another time."""
    LiveFile.hold(tmp_path / "x", "ab" * 16).release(remove=False)
    for boot, original in ((locks._started(), True), ("another time", False)):
        monkeypatch.setattr(locks, "_started", lambda boot=boot: boot)
        ((_, live),) = LiveFile.gone(tmp_path / "x", "")
        assert live.is_original is original
        live.release(remove=False)


@pytest.mark.parametrize("lost", ["", "removed", "emptied", "an older copy"])
def test_of_whom_less_came_out_of_the_spool_than_was_put_in_nobody_says_that_nothing_comes(
    place: InDatabase, folder: Path, away: Away, tmp_path: Path, lost: str
) -> None:
    """Its live file stays where it is."""
    ledger = ledger_in(place)
    ledger.open()
    away.cut = True
    settled(call(ledger, "c1")[1])
    shutil.copytree(folder, tmp_path / "older", ignore=shutil.ignore_patterns("*.live"))
    settled(call(ledger, "c2")[1])
    ledger.close()
    away.cut = False
    (file,) = folder.glob("*.db")
    if lost == "removed":
        file.unlink()
    elif lost == "emptied":
        file.write_bytes(b"")
    elif lost:
        for each in (tmp_path / "older").iterdir():
            shutil.copy(each, folder)
    following = ledger_in(place)
    following.open()
    following.close()
    assert swept(place) == [[], [] if lost else [ledger._appender.emitter.id]]
    assert kinds(place).count("call.completed") == {"": 2, "an older copy": 1}.get(lost, 0)
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("asked_at_once")
def test_what_was_pruned_since_is_known_to_have_come_out_of_the_spool(place: InDatabase, away: Away) -> None:
    records = batch(3)
    emitter = records[0].emitter
    assert emitter is not None
    store = place.store()
    assert isinstance(store, SpoolingStore)
    store.open(lambda: records[:1])
    life = store.hold(emitter)
    away.cut = True
    assert store.append(records[1:]) is None
    away.cut = False
    store._not_before = 0
    store.tidy()
    assert not store.spooling
    store.prune(2)
    life.release(remove=False)
    store.close()
    following = place.store()
    following.open(list)
    assert following.swept == [emitter]
    following.close()


def test_a_folder_that_was_put_back_in_place_tells_nothing_of_what_came_after_the_copy(
    place: InDatabase, folder: Path, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live file is the same one, by its inode: it was written again later than it says."""
    with monkeypatch.context() as patched:
        patched.setattr(locks, "_now", lambda: time.time_ns() - SECOND // 5)
        left_behind(place, away)
    following = ledger_in(place)
    following.open()
    following.close()
    assert swept(place) == [[], []]
    assert kinds(place).count("call.completed") == 1
    assert not list(folder.iterdir())


def test_a_live_file_on_a_full_disk_says_nothing_until_there_is_room(
    place: InDatabase, folder: Path, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError("full")

    records = batch(3)
    store = place.store()
    store.open(lambda: records[:1])
    life = store.hold(EMITTER)
    (live,) = folder.glob("*.live")
    away.cut = True
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert store.append(records[1:2]) is None
    assert live.read_bytes() == b""
    assert store.append(records[2:]) is None
    assert live.read_bytes().endswith(b":2\n")
    life.release(remove=False)
    store.close()


def test_a_batch_of_which_the_live_file_cant_tell_is_tried_again_and_is_in_the_log_once(
    place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is broken")

    ledger = ledger_in(place)
    ledger.open()
    away.cut = True
    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", broken)
        result = settled(ledger.submit(started("c1")))
        assert isinstance(result, Unrecorded)
        assert "the disk is broken" in result.reason
    until(lambda: ledger.healthy)
    assert ledger.spooling
    assert isinstance(settled(ledger.submit(started("c2"))), Recorded)
    away.cut = False
    until(lambda: not ledger.spooling)
    ledger.close()
    assert kinds(place).count("call.started") == 2
    whole(place)


def test_who_writes_without_a_life_spools_and_is_never_swept(place: InDatabase, folder: Path, away: Away) -> None:
    """As a key is handed over: nobody looks for calls of that process."""
    records = batch(2)
    store = place.store()
    store.open(lambda: records[:1])
    away.cut = True
    assert store.append(records[1:]) is None
    assert not list(folder.glob("*.live"))
    store.close()
    away.cut = False
    following = place.store()
    following.open(list)
    following.close()
    assert following.swept == []
    assert kinds(place).count("call.started") == 1


def test_whom_the_database_sees_isnt_swept(place: InDatabase, folder: Path) -> None:
    ledger = ledger_in(place)
    ledger.open()
    (own,) = folder.glob("*.live")
    own.unlink()
    base, _, emitter = own.name.removesuffix(".live").rpartition(".")
    LiveFile.hold(folder / base, emitter).release(remove=False)  # as in a machine that was cloned
    other = ledger_in(place)
    other.open()
    other.close()
    assert swept(place) == [[], []]
    ledger.close()


def left_behind(place: InDatabase, away: Away) -> None:
    """A process ended while its database was away: its records wait."""
    ledger = ledger_in(place)
    ledger.open()
    away.cut = True
    settled(call(ledger, "c1")[1])
    ledger.close()
    away.cut = False


def test_a_file_whose_live_file_is_gone_is_forwarded_all_the_same(place: InDatabase, folder: Path, away: Away) -> None:
    """It's empty: a backup of the folder, or whoever cleans it, may leave it out."""
    left_behind(place, away)
    for each in folder.glob("*.live"):
        each.unlink()
    (folder / f"{next(folder.glob('*.db')).name}.bak").write_bytes(b"")  # not one of ours
    following = ledger_in(place)
    following.open()
    following.close()
    assert [each.suffix for each in folder.iterdir()] == [".bak"]
    assert swept(place) == [[], []], "it may be a copy"
    assert (kinds(place).count("call.completed"), kinds(place).count("call.orphaned")) == (1, 0)
    whole(place)


def test_the_file_of_a_process_that_lives_stays_its_own_though_its_live_file_is_gone(
    place: InDatabase, folder: Path, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on putting records there."""
    monkeypatch.setattr(spooling_module, "RETRY_NS", 1 << 62)
    ledger = ledger_in(place)
    ledger.open()
    away.cut = True
    settled(call(ledger, "c1")[1])
    away.cut = False
    for each in folder.glob("*.live"):
        each.unlink()
    other = ledger_in(place)
    other.open()
    other.close()
    assert kinds(place).count("call.completed") == 0
    assert isinstance(settled(call(ledger, "c2")[1]), Recorded)
    assert len(list(folder.glob("*.db"))) == 1
    ledger.close()
    following = ledger_in(place)
    following.open()
    following.close()
    assert kinds(place).count("call.completed") == 2
    assert not list(folder.iterdir())


def test_a_damaged_file_that_was_left_behind_is_told_at_the_start_and_stays(
    place: InDatabase, folder: Path, away: Away
) -> None:
    left_behind(place, away)
    (left,) = folder.glob("*.db")
    left.write_bytes(b"no database" * 1000)
    for each in folder.glob("*.live"):
        each.unlink()
    for _ in range(2):
        with pytest.raises(LedgerInvalid, match="the spool can't be used"):
            ledger_in(place).open()
    assert left.exists()


def batch(size: int = 2) -> list[Built]:
    emitter = Emitter("example.com/x", SteppedClock(), seeded())
    drafts = [
        draft.emitter_opened("host", 1, {}),
        *(draft.draft_of(started(f"c{number}"), lambda _: None) for number in range(size - 1)),
    ]
    return [emitter.build(each, 1_795_442_400_000_000_000, 5) for each in drafts]


class Full:
    """A database on a disk that has no room left."""

    def __init__(self, inner: sqlite3.Connection) -> None:
        self._inner = inner

    def execute(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        if query.startswith("DELETE"):
            raise sqlite3.OperationalError("database or disk is full")
        return self._inner.execute(query, values)

    def rollback(self) -> None:
        self._inner.rollback()


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    made = Spool(Spooling(folder, SteppedClock(), max_bytes=5_000, max_age_ns=1_000_000), EMITTER)
    yield made
    made.close()


class TestTheFile:
    def test_what_is_put_is_given_back_in_order_to_the_byte(self, spool: Spool) -> None:
        one, two = batch(3), batch(2)
        assert (spool.waiting, spool.first()) == (0, None)
        spool.put(one)
        spool.put(two)
        assert spool.waiting == 2
        assert spool.first() == (1, one)
        spool.drop(1)
        assert spool.first() == (2, two)
        spool.close()
        assert spool.first() == (2, two)
        spool.drop(2)
        assert spool.first() is None
        spool.close()
        assert not spool.path.exists()

    def test_what_cannot_be_dropped_is_not_offered_again(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a full disk nothing can be deleted: to delete takes room."""
        spool = Spool(Spooling(folder, SteppedClock()), EMITTER)
        batches = [batch(number) for number in (2, 3, 4, 5)]
        for each in batches[:3]:
            spool.put(each)
        connection = spool._connection()
        with monkeypatch.context() as patched:
            patched.setattr(spool, "_connection", lambda: Full(connection))
            for number, each in enumerate(batches[:2], 1):
                assert spool.first() == (number, each)
                spool.drop(number)
            assert (spool.waiting, spool.first()) == (1, (3, batches[2]))
        again = Spool(Spooling(folder, SteppedClock()), EMITTER)
        assert again.first() == (1, batches[0])  # another process offers it once more
        again.close()
        spool.put(batches[3])
        for number, each in ((3, batches[2]), (4, batches[3])):
            assert spool.first() == (number, each)
            spool.drop(number)
        spool.put(batches[0])  # numbers go on, though the file is empty
        assert (spool.waiting, spool.first()) == (1, (5, batches[0]))
        with monkeypatch.context() as patched:
            patched.setattr(spool, "_connection", lambda: Full(connection))
            spool.drop(5)
            spool.close()
        assert not spool.path.exists()
        spool.put(batches[1])
        assert spool.first() == (1, batches[1])
        spool.close()

    def test_it_is_bounded_in_size(self, spool: Spool) -> None:
        spool.put(batch())
        room = 5_000 // sum(len(each.body) + sum(len(row[3]) for row in each.payloads) for each in batch())
        for _ in range(room - 1):
            spool.put(batch())
        with pytest.raises(AppendFailed, match="the spool is full"):
            spool.put(batch())
        assert spool.waiting == room

    def test_it_is_bounded_in_age(self, folder: Path) -> None:
        clock = SteppedClock()
        spool = Spool(Spooling(folder, clock, max_age_ns=1_000_000), EMITTER)
        spool.put(batch())
        spool.put(batch())
        clock.wall += 2_000_000
        with pytest.raises(AppendFailed, match="waited too long"):
            spool.put(batch())
        spool.close()

    def test_it_is_its_owners_only(self, spool: Spool) -> None:
        spool.put(batch())
        assert spool.path.stat().st_mode & 0o077 == 0

    def test_a_file_that_is_none_is_told(self, folder: Path) -> None:
        spool = Spool(Spooling(folder, SteppedClock()), EMITTER)
        folder.mkdir()
        spool.path.write_bytes(b"no database" * 1000)
        for act in (lambda: spool.put(batch()), spool.first, lambda: spool.waiting):
            with pytest.raises(AppendFailed, match="the spool can't be used"):
                act()
        spool.close()
        assert spool.path.exists()

    def test_a_batch_that_is_damaged_is_told(self, spool: Spool) -> None:
        spool.put(batch())
        spool.close()
        with closing(sqlite3.connect(spool.path)) as connection:
            connection.execute("UPDATE record SET kind = 'unheard.of'")
            connection.commit()
        with pytest.raises(AppendFailed, match="can't be used"):
            spool.first()

    def test_an_error_within_a_batch_keeps_nothing_of_it(self, spool: Spool) -> None:
        spool.put(batch())
        broken = batch()
        broken[1] = Built(broken[1].kind, "x", "y", None, "no number", b"", b"")  # type: ignore[arg-type]
        with pytest.raises(AppendFailed):
            spool.put(broken)
        assert spool.waiting == 1


def test_a_full_spool_fails_as_a_database_does_and_recovers(place: InDatabase, folder: Path, away: Away) -> None:
    small = InDatabase(place.address, spooling=Spooling(folder, SystemClock(), max_bytes=1_500))
    ledger = ledger_in(small)
    ledger.open()
    away.cut = True
    results = [settled(call(ledger, f"c{number}")[1]) for number in range(4)]
    assert any(isinstance(each, Unrecorded) for each in results)
    assert not ledger.healthy
    away.cut = False
    until(lambda: ledger.healthy and not ledger.spooling)
    assert isinstance(settled(call(ledger, "after")[1]), Recorded)
    ledger.close()
    whole(place)


@pytest.mark.parametrize("limit", [{"max_age_ns": 0}, {"max_bytes": 9_000}])
def test_one_that_took_no_more_is_forwarded_when_the_database_is_back(
    place: InDatabase, folder: Path, away: Away, limit: dict[str, int]
) -> None:
    """However much was refused meanwhile: what's given back makes each later batch larger than what fits."""
    ledger = ledger_in(InDatabase(place.address, spooling=Spooling(folder, SystemClock(), **limit)))
    ledger.open()
    away.cut = True
    results = [settled(call(ledger, f"c{number}")[1]) for number in range(12)]
    assert isinstance(results[0], Recorded)
    assert isinstance(results[-1], Unrecorded)
    for number in range(30):
        ledger.submit(started(f"more-{number}"))
    store = ledger._appender.store
    assert isinstance(store, SpoolingStore)
    store._not_before = 0  # it's worth while to look again, and nobody is there still
    assert isinstance(settled(call(ledger, "still away")[1]), Unrecorded)
    until(lambda: store._not_before > 0)
    away.cut = False
    until(lambda: ledger.healthy and not ledger.spooling)
    assert isinstance(settled(call(ledger, "after")[1]), Recorded)
    ledger.close()
    whole(place)


@pytest.mark.usefixtures("asked_at_once")
def test_one_that_took_no_more_takes_more_when_it_is_empty(
    place: InDatabase, folder: Path, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spooling_module, "FORWARDED", 1)
    clock = SteppedClock()
    store = InDatabase(place.address, spooling=Spooling(folder, clock, max_bytes=3_000)).store()
    assert isinstance(store, SpoolingStore)
    records = batch(12)
    store.open(lambda: records[:1])
    store.hold(EMITTER)
    away.cut = True
    taken = 1
    with pytest.raises(AppendFailed, match="full"):  # noqa: PT012 -- how many it takes is found out
        for each in records[1:]:
            store.append([each])
            taken += 1
    assert taken > 2
    away.cut = False
    clock.now += 60 * SECOND
    with pytest.raises(AppendFailed, match="full"):  # a first one is forwarded
        store.append(records[taken:])
    while store.spooling:
        store.tidy()
    assert store.append(records[taken:]) == taken
    store.close()


def test_what_a_store_is_asked_goes_to_the_database(place: InDatabase) -> None:
    store = place.store()
    assert isinstance(store, SpoolingStore)
    assert (store.name, store.label) == (str(place), "postgres")
    assert not store.anybody()
    assert store.seconds() is None
    store.vet()
    ledger = ledger_in(place)
    ledger.open()
    ledger.close()
    store.open(list)
    assert store.missing() is None
    assert not store.signed_by(SigningKey(store.origin, bytes(32)))
    store.close()


class TestWhatElseIsDoneToALog:
    """Where a spool is configured, and nothing waits in it."""

    def test_it_is_erased_and_pruned(self, place: InDatabase) -> None:
        ledger = ledger_in(place)
        ledger.open()
        context = CallContext(Case("T-17", "letter"))
        begin = ledger.submit(started("c1", context=context))
        settled(ledger.submit(completed(begin, "c1", context=context)))
        ledger.close()
        acting = Acting(place, SystemClock(), host="worker-2")
        happened(acting, "T-17", event="closed", date="2001-01-01", person="u-7", why="w")
        assert erase(acting, "T-17", basis="GDPR 17", person="u-7").finished
        rules = Retention({"short": RetentionClass("closed", 10)}, default="short")
        done = prune(acting, "9999-01-01T00:00:00.000000Z", person="u-7", why="over", retention=rules)
        assert (done.records, done.finished) == (2, True)
        whole(place)

    def test_of_what_was_pruned_nothing_is_attested_though_older_records_came_later(
        self, place: InDatabase, away: Away, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The record after what's gone was written before it, and waited on its host."""
        monkeypatch.setattr(spooling_module, "RETRY_NS", 1 << 62)
        host, other = ledger_in(place), ledger_in(InDatabase(place.address))
        host.open()
        away.cut = True
        settled(call(host, "kept", context=CallContext(Case("KEEP", "letter")))[1])
        away.cut = False
        since = timestamp(time.time_ns())
        other.open()
        settled(call(other, "gone", context=CallContext(Case("OLD", "letter")))[1])
        other.close()
        after = timestamp(time.time_ns())
        host._appender.store._not_before = 0  # type: ignore[attr-defined]
        host.close()
        following = ledger_in(place)
        following.open()
        following.close()
        acting = Acting(InDatabase(place.address), SystemClock(), host="worker-2")
        happened(acting, "OLD", event="closed", date="2001-01-01", person="u-7", why="w")
        rules = Retention({"short": RetentionClass("closed", 10)}, default="short")
        assert prune(acting, "9999-01-01T00:00:00.000000Z", person="u-7", why="over", retention=rules).records == 2
        found = attest(place, "openai", since)
        assert found.exit_code == 2
        assert any("were pruned: choose a beginning after that" in each for each in found.reasons)
        assert not any("were pruned" in each for each in attest(place, "openai", after).reasons)

    def test_what_waited_while_its_case_was_erased_is_told(self, place: InDatabase, away: Away) -> None:
        """It's forwarded afterwards: in clear, nothing else says that it should be gone."""
        context = CallContext(Case("T-17", "letter"))
        host, other = ledger_in(place), InDatabase(place.address)
        host.open()
        settled(call(host, "c1", context=context)[1])
        away.cut = True
        settled(call(host, "c2", context=context)[1])
        away.cut = False
        acting = Acting(other, SystemClock(), host="worker-2")
        host._appender.store._not_before = 1 << 62  # type: ignore[attr-defined]
        erase(acting, "T-17", basis="GDPR 17", person="u-7")
        host.close()
        following = ledger_in(place)
        following.open()
        settled(call(following, "c3", context=context)[1])  # the case goes on
        following.close()
        found = verify(place)
        count = sum(1 for each in found.notes if each.startswith("4 payloads are older than the erasure of their case"))
        assert (found.exit_code, count) == (0, 1), found.summary()
        erase(acting, "T-17", basis="GDPR 17", person="u-7")
        assert not any("erasure of their case" in each for each in verify(place).notes)

    def test_it_is_signed_from_some_day_on_and_handed_over_to_another_key(
        self, place: InDatabase, tmp_path: Path
    ) -> None:
        for options in ({}, {"signing": signing_in(tmp_path)}):
            ledger = ledger_in(place, **options)
            ledger.open()
            settled(call(ledger, f"c{len(options)}")[1])
            ledger.close()
        rotate(place, signing_in(tmp_path), NEXT, clock=SystemClock(), actor="u-7", why="yearly")
        assert kinds(place).count("key.rotated") == 2
        found = verify(place, keys=[NEXT.verifier])
        assert (found.exit_code, found.verdict) == (0, "verified")


def test_what_a_start_did_not_get_to_is_left_to_the_next_one(place: InDatabase, folder: Path, away: Away) -> None:
    first = ledger_in(place)
    first.open()
    settled(first.submit(started("c1")))
    away.cut = True
    settled(first.submit(started("c2")))
    first.close()
    away.cut = False
    (left,) = folder.glob("*.live")
    store = place.store()
    store.open(list)  # forwards what was left behind
    store.close()  # and ends before it could orphan anything
    assert left.exists()
    assert kinds(place).count("call.orphaned") == 0
    following = ledger_in(place)
    following.open()
    following.close()
    assert not list(folder.iterdir())
    assert kinds(place).count("call.orphaned") == 2
    whole(place)


def test_an_isolation_says_so(place: InDatabase, folder: Path, postgres: PostgresServer, away: Away) -> None:
    from failsoft import Capability

    class Rate(Capability[str, int]):
        """Rate."""

        def fallback(self, request: str) -> int:
            return 3

    url = f"{postgres.url}&schema={place.address.schema}"
    config = {
        "ledger": {"url": url, "spool": str(folder), "spool_bytes": 1 << 20, "spool_age": "1h"},
        "on_ledger_failure": "spool",
    }
    with Isolation(config, capabilities=[Rate]) as isolation:
        assert isolation[Rate].sync("x").record is not None
        away.cut = True
        outcome = isolation[Rate].sync("x")
        assert outcome.record is None
        health = isolation.health()
        assert (health.ledger, health.ok) == ("spooling", True)
        away.cut = False
        until(lambda: isolation.health().ledger == "recording")
    whole(place)
