"""A ledger in a real PostgreSQL: the same records as in a file, many writers, and what becomes of it when the server goes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from hashlib import sha256
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from ledgers import (
    CONTEXT,
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
from psycopg.conninfo import conninfo_to_dict
from signing import KEY, NEXT, signing_in
from tests.postgres_server import PostgresServer

from failsoft.cli.running import last_changes
from failsoft.context import Actor, CallContext, Case
from failsoft.core.effects import Recorded, Unrecorded
from failsoft.core.evidence import BreakerChanged, ConfigActivated
from failsoft.errors import LedgerInvalid, LedgerUnreachable
from failsoft.ledger.acts.copying import copy
from failsoft.ledger.acts.erasure import Acting, erase
from failsoft.ledger.acts.rotation import rotate
from failsoft.ledger.checkpoints.publishing import SECOND
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.location import InDatabase, InFile, locate
from failsoft.ledger.postgres import clearing
from failsoft.ledger.postgres import read as read_module
from failsoft.ledger.postgres import schema as postgres_schema
from failsoft.ledger.postgres import store as postgres_module
from failsoft.ledger.postgres import tables as tables_module
from failsoft.ledger.postgres import transaction as transaction_module
from failsoft.ledger.postgres.read import Database, PostgresSource, lock_of, same_log
from failsoft.ledger.postgres.store import LedgerDatabase
from failsoft.ledger.postgres.tables import prepare
from failsoft.ledger.postgres.transaction import BEGIN, copy_in, transaction
from failsoft.ledger.read import read
from failsoft.ledger.reading.attest import attest
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Built, Emitter
from failsoft.ledger.spool.file import Spooling
from failsoft.ledger.store import AppendFailed, DatabaseFailed
from failsoft.ledger.verification.monitor import monitor
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.outcome import Pin
from failsoft.postgres_address import Address

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SCHEMAS = (f"ledger_{number}" for number in count())
PATIENT = {"clock": SystemClock(), "back_off": (0.01, 0.05)}


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """A place for a ledger that nobody else uses."""
    return f"{postgres.url}&schema={next(SCHEMAS)}"


def schema_of(url: str) -> str:
    return url.rpartition("=")[2]


def rows(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    database = Database.at(Address.parse(url), 10)
    try:
        return database.execute(query, values).fetchall()
    finally:
        database.close()


def attack(url: str, *statements: str) -> None:
    """Whoever owns the tables: guards are set aside for a while."""
    with psycopg.connect(Address.parse(url).url, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema_of(url)}".encode())
        connection.execute(b"SET session_replication_role = replica")
        for each in statements:
            connection.execute(each.encode())


def end_connections(url: str) -> None:
    """The server ends those of whoever has this ledger open."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    with psycopg.connect(Address.parse(url).url, autocommit=True) as connection:
        connection.execute(query.encode())


def kinds(url: str) -> list[str]:
    return [kind for (kind,) in rows(url, "SELECT type FROM ledger_record ORDER BY seq")]


def whole(url: str) -> None:
    found = verify(url)
    assert found.exit_code == 0, found.summary()
    for (emitter,) in rows(url, "SELECT DISTINCT emitter FROM ledger_record WHERE emitter IS NOT NULL"):
        numbers = rows(url, "SELECT eseq FROM ledger_record WHERE emitter = ? ORDER BY seq", emitter)
        assert [number for (number,) in numbers] == list(range(len(numbers)))


def wrote(url: str, *names: str, context: CallContext = CONTEXT, **options: Any) -> None:
    """A life of one process."""
    ledger = ledger_at(url, **{**PATIENT, **options})
    ledger.open()
    for each in names:
        assert isinstance(settled(call(ledger, each, context=context)[1]), Recorded)
    ledger.close()


def take_every_slot(others: list[psycopg.Connection[Any]], server: PostgresServer) -> None:
    """Connect until nobody else can."""
    taken = (
        "SELECT count(*) = current_setting('max_connections')::int FROM pg_stat_activity"
        " WHERE backend_type = 'client backend'"
    )

    def all_are() -> bool:
        with suppress(psycopg.OperationalError):
            others.append(psycopg.connect(server.url, autocommit=True))
        return bool(others[0].execute(taken.encode()).fetchall()[0][0])

    until(all_are, 60)


def founders(store: LedgerDatabase) -> Callable[[], list[Built]]:
    """What opens a log."""

    def found() -> list[Built]:
        store.origin = "example.com/failsoft-test"
        emitter, clock = Emitter(store.origin, SystemClock(), os.urandom), SystemClock()
        drafts = [draft.log_opened(()), draft.emitter_opened("h", 1, {"a": "b"})]
        return [emitter.build(each, clock.time_ns(), clock.monotonic_ns()) for each in drafts]

    return found


def recovers(ledger: StoredLedger) -> None:
    """Wait until it records again."""
    numbers = count()
    until(lambda: isinstance(settled(ledger.submit(started(f"after-{next(numbers)}"))), Recorded), 60)


@pytest.fixture
def ledger(url: str) -> Iterator[StoredLedger]:
    made = ledger_at(url, **PATIENT)
    made.open()
    yield made
    made.close()


class TestTheSameLog:
    def test_both_stores_hold_the_same_bytes(self, url: str, tmp_path: Path) -> None:
        bodies: list[list[bytes]] = []
        for place in (url, tmp_path / "x.db"):
            ledger = ledger_at(place, clock=SteppedClock(), random_bytes=seeded())
            ledger.open()
            settled(ledger.submit(ConfigActivated(b'{"a":1}', (("classify-item", "1"),), (("gpt", "1", Pin("m")),))))
            for number in range(300):
                settled(call(ledger, f"c{number}")[1])
            settled(ledger.submit(BreakerChanged("gpt", "health", "closed", "open", "5 of 10", 30_000)))
            ledger.close()
            assert verify(place).exit_code == 0
            with read(place) as reader:
                bodies.append([each.body or b"" for each in reader.records()])
                assert len(reader.inclusion(400)) == 10
        in_database, in_file = ([body for body in each if b'"emitter.opened"' not in body] for each in bodies)
        assert len(in_database) == 604
        calls = [
            [body.partition(b'"mono_us"')[0] for body in each if b'"call.' not in body]
            for each in (in_database, in_file)
        ]
        assert calls[0] == calls[1]

    def test_what_is_read_is_what_a_file_gives(self, url: str, ledger: StoredLedger) -> None:
        begin, end = call(ledger, "c1")
        settled(end)
        with read(url) as reader:
            first, second = reader.call("c1")
            assert second.fields["refs"] == {"started": first.leaf.hex()}
            assert begin.promise.value == Recorded(first.index, first.leaf)
            named = {each["path"]: each["digest"] for each in second.fields["commitments"]}
            payload = reader.payload(named["response"])
            assert payload == ("response", "application/json", b'{"fsc":"5310"}')
            assert reader.payload("00" * 32) is None
            assert reader.artifact("00" * 32) is None
            assert [each.index for each in reader.records(last=2)] == [2, 3]
            assert [each.index for each in reader.records(("call.started", "call.completed"), case="SPE4A7-26-R-0001")]
            assert list(reader.records(since="2100-01-01")) == []
            assert reader.size == 4
            assert reader.origin == "example.com/failsoft-test"

    def test_a_reader_sees_one_moment(self, url: str, ledger: StoredLedger) -> None:
        with read(url) as reader:
            before = reader.size
            settled(call(ledger, "c1")[1])
            assert (reader.size, len(list(reader.records()))) == (before, before)

    def test_a_long_result_comes_in_pieces(
        self, url: str, monkeypatch: pytest.MonkeyPatch, ledger: StoredLedger
    ) -> None:
        for number in range(5):
            settled(call(ledger, f"c{number}")[1])
        monkeypatch.setattr("failsoft.ledger.postgres.read.FETCHED", 3)
        with read(url) as reader:
            assert [each.index for each in reader.records()] == list(range(12))

    def test_origin_and_emitter_say_what_it_is_kept_in(self, url: str) -> None:
        ledger = ledger_at(url, **PATIENT, origin=None)
        ledger.open()
        assert ledger.origin == "worker-1/postgres"
        ledger.close()
        with read(url) as reader:
            (opened,) = reader.records("emitter.opened")
            assert opened.fields["lib"]["postgresql"].startswith("18")
        with pytest.raises(LedgerInvalid, match="this is the log of 'worker-1/postgres'"):
            ledger_at(url, **PATIENT).open()

    def test_attestation_reads_it_too(self, url: str, ledger: StoredLedger) -> None:
        settled(call(ledger, "c1")[1])
        assert attest(url, "anthropic", "2020-01-01T00:00:00.000000Z").emitters == 1


class TestManyWriters:
    def test_several_processes_write_one_whole_log(self, url: str, tmp_path: Path) -> None:
        with ExitStack() as running:
            writers = [
                running.enter_context(Process("writing_process.py", url, f"p{number}", "8", folder=tmp_path))
                for number in range(8)
            ]
            for each in writers:
                each.end()
        whole(url)
        found = verify(url)
        assert found.kinds["call.completed"] == 8 * 8 * 8
        assert found.kinds["emitter.opened"] == found.kinds["emitter.closed"] == 8
        log = {index: leaf.hex() for index, leaf in rows(url, "SELECT seq, leaf FROM ledger_record")}
        assert all(log[index] == leaf for each in writers for index, leaf in each.acknowledged())
        assert rows(url, "SELECT * FROM ledger_live") == []

    def test_of_two_that_would_found_it_at_once_one_does(self, url: str) -> None:
        first, second = (postgres_module.LedgerDatabase(Address.parse(url)) for _ in range(2))
        made: list[bool] = []
        other = threading.Thread(target=lambda: made.append(second.open(founders(second))))
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

        def slowly() -> list[Built]:
            other.start()
            until(lambda: bool(rows(url, waiting)) or not other.is_alive())
            return founders(first)()

        assert first.open(slowly)
        other.join()
        assert made == [False]
        assert kinds(url) == ["log.opened", "emitter.opened"]
        first.close()
        second.close()

    def test_what_others_append_is_built_upon(self, url: str) -> None:
        one, two = (ledger_at(url, **PATIENT) for _ in range(2))
        one.open()
        two.open()
        for number in range(4):
            settled(call((one, two)[number % 2], f"c{number}")[1])
        one.close()
        two.close()
        whole(url)

    def test_a_killed_process_is_seen_to_be_gone_and_its_calls_are_orphaned_once(
        self, url: str, tmp_path: Path
    ) -> None:
        with Process("writing_process.py", url, "leave-open", "3", folder=tmp_path) as victim:
            victim.until_lines(1)
            assert verify(url).in_flight == 2
            wrote(url, "beside it")
            assert "call.orphaned" not in kinds(url)
            victim.kill()
        until(lambda: verify(url).exit_code == 2)
        wrote(url, "next")
        wrote(url, "next but one")
        assert kinds(url).count("call.orphaned") == 2
        whole(url)

    def test_a_process_that_only_lost_its_connection_ends_the_calls_that_others_took_for_orphaned(
        self, url: str, ledger: StoredLedger
    ) -> None:
        begin = ledger.submit(started("slow"))
        settled(begin)
        settled(ledger.submit(started("slower")))
        end_connections(url)
        wrote(url, "beside it")
        assert kinds(url).count("call.orphaned") == 2
        recovers(ledger)
        settled(ledger.submit(completed(begin, "slow")))
        assert kinds(url)[-1] == "call.completed"
        ledger.close()
        whole(url)

    def test_who_lost_sight_of_those_it_looks_after_looks_again(
        self, url: str, ledger: StoredLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between its look and its record the server cuts it, and another start does the same work."""
        settled(ledger.submit(started("slow")))
        end_connections(url)
        events: list[tuple[str, Any]] = []

        def another_does_it() -> None:
            end_connections(url)
            wrote(url, "beside it")

        after_its_look(monkeypatch, another_does_it)
        wrote(url, "c1", on_event=lambda name, fields: events.append((name, fields)))
        assert kinds(url).count("call.orphaned") == 1
        assert events == []
        assert "ledger.failure" not in kinds(url)
        ledger.close()
        whole(url)

    def test_nobody_orphans_a_call_that_was_ended_while_it_lost_sight_of_it(
        self, url: str, ledger: StoredLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin = ledger.submit(started("slow"))
        settled(begin)
        end_connections(url)

        def its_maker_ends_it() -> None:
            end_connections(url)
            recovers(ledger)
            settled(ledger.submit(completed(begin, "slow")))

        after_its_look(monkeypatch, its_maker_ends_it)
        wrote(url, "c1")
        assert "call.orphaned" not in kinds(url)
        ledger.close()
        whole(url)

    def test_a_call_left_open_has_one_end_though_its_maker_is_cut_as_it_says_goodbye(
        self, url: str, ledger: StoredLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settled(ledger.submit(started("slow")))
        settled(ledger.submit(started("slower")))
        asked = LedgerDatabase.ended

        def cut_after(self: LedgerDatabase, calls: Sequence[str]) -> set[str]:
            found = asked(self, calls)
            monkeypatch.setattr(LedgerDatabase, "ended", asked)
            end_connections(url)
            wrote(url, "beside it")
            return found

        monkeypatch.setattr(LedgerDatabase, "ended", cut_after)
        ledger.close()
        assert kinds(url).count("call.orphaned") == 2
        assert kinds(url).count("emitter.closed") == 2
        whole(url)

    def test_what_is_stale_before_a_batch_was_made_is_an_outage(
        self, url: str, ledger: StoredLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing of ours can be made anew then: else the thread would try for ever, and tell nobody."""

        def refuses(*_: Any) -> bool:
            raise AppendFailed("left by others", stale=True)

        ledger._appender.store.close()
        monkeypatch.setattr(LedgerDatabase, "open", refuses)
        assert isinstance(settled(ledger.submit(started("c1"))), Unrecorded)
        assert not ledger.healthy
        monkeypatch.undo()
        recovers(ledger)

    def test_orphans_that_may_be_in_the_log_are_made_anew_where_they_are_not(
        self, url: str, ledger: StoredLedger
    ) -> None:
        """A commit whose answer never came is tried again as it was: by then the call may have another end."""
        begin = ledger.submit(started("slow"))
        settled(begin)
        store = LedgerDatabase(Address.parse(url))
        store.open(list)
        emitter = Emitter(store.origin, SystemClock(), os.urandom)
        orphan = emitter.build(draft.call_orphaned("slow", b"0" * 32, None, None), 1, 1)
        settled(ledger.submit(completed(begin, "slow")))
        with pytest.raises(AppendFailed, match="has its end by now") as caught:
            store.append([orphan], doubtful=True)
        assert caught.value.stale
        store.close()

    @pytest.mark.parametrize("cut", [False, True])
    def test_who_may_have_come_back_meanwhile_is_looked_after_by_the_next_start(
        self, url: str, ledger: StoredLedger, cut: bool
    ) -> None:
        """Its lock was lost with the connection that took it: what it left open since is for whoever sees it gone anew."""
        settled(ledger.submit(started("slow")))
        emitter = ledger._appender.emitter.id
        end_connections(url)
        store = LedgerDatabase(Address.parse(url))
        store.open(list)
        ((found, life),) = store.gone("0" * 32)
        assert found == emitter
        if cut:
            store.close()
            store.open(list)
        life.release(remove=True)
        store.close()
        assert ((emitter,) in rows(url, "SELECT emitter FROM ledger_live")) is cut

    def test_a_process_that_has_its_connection_back_is_seen_to_be_alive(self, url: str, ledger: StoredLedger) -> None:
        settled(ledger.submit(started("slow")))
        end_connections(url)
        recovers(ledger)
        wrote(url, "beside it")
        assert "call.orphaned" not in kinds(url)

    def test_an_end_after_an_orphaning_must_be_the_starters_own(self, url: str, ledger: StoredLedger) -> None:
        begin = ledger.submit(started("slow"))
        settled(begin)
        end_connections(url)
        other = ledger_at(url, **PATIENT)
        other.open()
        settled(other.submit(completed(begin, "slow")))
        other.close()
        found = verify(url)
        assert (found.exit_code, "its call isn't open" in str(found.problems)) == (1, True)

    def test_a_fork_becomes_another_emitter(self, url: str, ledger: StoredLedger) -> None:
        settled(call(ledger, "parent")[1])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if isinstance(settled(call(ledger, "child")[1]), Recorded) else 1
                ledger.close()
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert isinstance(settled(call(ledger, "parent again")[1]), Recorded)
        ledger.close()
        assert len(rows(url, "SELECT DISTINCT emitter FROM ledger_record WHERE emitter IS NOT NULL")) == 2
        whole(url)

    def test_a_fork_leaves_a_call_that_is_under_way_to_its_parent(self, url: str, ledger: StoredLedger) -> None:
        begin = ledger.submit(started("parent"))
        settled(begin)
        if (child := os.fork()) == 0:
            status = 1
            try:
                settled(call(ledger, "child")[1])
                ledger.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        wrote(url, "meanwhile")  # the parent has had nothing to write since
        settled(ledger.submit(completed(begin, "parent")))
        ledger.close()
        assert "call.orphaned" not in kinds(url)
        whole(url)

    def test_a_child_keeps_no_session_of_a_parent_that_is_killed(self, url: str, ledger: StoredLedger) -> None:
        emitter = ledger._appender.emitter.id
        waits, tell = os.pipe()
        if (child := os.fork()) == 0:
            os.read(waits, 1)
            os._exit(0)
        ledger._appender.store.after_fork_in_child()  # as a kill: the connection ends, and nobody says goodbye on it
        database = Database.at(Address.parse(url), 5)
        try:
            until(lambda: not database.alive(emitter))
        finally:
            database.close()
            os.write(tell, b".")
            os.waitpid(child, 0)
            os.close(waits)
            os.close(tell)


STEPS = ["BEGIN", "SELECT pg_advisory_xact_lock", "COPY", "SELECT ledger_advance", "COMMIT"]


class TestOnAStandby:
    """It has no locks of its primary's."""

    @pytest.fixture(autouse=True)
    def standby(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = Database.execute

        def execute(self: Database, query: str, values: Any = (), /) -> Any:
            return run(self, query.replace("pg_catalog.pg_is_in_recovery()", "true"), values)

        monkeypatch.setattr(PostgresSource, "execute", execute)

    def test_a_call_that_is_open_is_no_call_that_was_left(self, url: str, ledger: StoredLedger) -> None:
        settled(ledger.submit(started("open")))
        found = verify(url)
        assert (found.exit_code, found.in_flight) == (0, 0)
        assert "1 calls have no end in the log so far: read from a standby" in " ".join(found.summary())

    def test_what_whoever_ended_left_open_is_told(self, url: str, ledger: StoredLedger) -> None:
        settled(ledger.submit(started("open")))
        ledger.close()
        assert not verify(url).notes

    def test_who_didnt_say_that_they_ended_may_be_running(self, url: str, ledger: StoredLedger) -> None:
        settled(ledger.submit(BreakerChanged("gpt", "health", "closed", "open", "5 of 10", 30_000)))
        assert [each["to"] for each in last_changes(locate(url))] == ["open"]
        ledger.close()
        assert last_changes(locate(url)) == []


class TestKilled:
    @pytest.mark.parametrize(
        ("moment", "step"), [*((moment, step) for step in STEPS for moment in ("before", "after"))]
    )
    def test_at_any_step_of_a_commit_nothing_acknowledged_is_lost(
        self, url: str, tmp_path: Path, moment: str, step: str
    ) -> None:
        with Process("doomed_process.py", url, "die", moment, step, "commit", folder=tmp_path) as victim:
            victim.end(-signal.SIGKILL)
        told = victim.acknowledged()
        assert len(told) == 3
        wrote(url, "next")
        wrote(url, "next but one")
        log = {index: leaf.hex() for index, leaf in rows(url, "SELECT seq, leaf FROM ledger_record")}
        assert all(log[index] == leaf for index, leaf in told)
        durable = (moment, step) == ("after", "COMMIT")
        assert [
            name for (name,) in rows(url, "SELECT call_id FROM ledger_record WHERE type = 'call.orphaned' ORDER BY 1")
        ] == (["doomed", "left"] if durable else ["left"])
        whole(url)

    @pytest.mark.parametrize(
        ("moment", "step"), [("before", "COMMIT"), ("after", "COMMIT"), ("after", "SELECT pg_advisory_lock")]
    )
    def test_while_it_founds_the_log(self, url: str, tmp_path: Path, moment: str, step: str) -> None:
        with Process("doomed_process.py", url, "die", moment, step, "open", folder=tmp_path) as victim:
            victim.end(-signal.SIGKILL)
        wrote(url, "next")
        assert kinds(url).count("log.opened") == 1
        whole(url)


class TestWithoutAServer:
    def test_an_answer_to_commit_that_never_came_is_found_out(
        self, url: str, ledger: StoredLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost = {"left": 2}
        run = Database.execute

        def execute(self: Database, query: str, values: Any = (), /) -> Any:
            result = run(self, query, values)
            if query == "COMMIT" and lost["left"]:
                lost["left"] -= 1
                self.close()
                raise DatabaseFailed("the connection was lost", unknown=True)
            return result

        monkeypatch.setattr(Database, "execute", execute)
        begin, _ = call(ledger, "c1")
        assert isinstance(settled(begin), (Unrecorded, Recorded))
        until(lambda: kinds(url).count("call.completed") == 1)
        recovers(ledger)
        ledger.close()
        assert kinds(url).count("call.started") >= 2
        assert len(rows(url, "SELECT 1 FROM ledger_record WHERE call_id = 'c1'")) == 2
        whole(url)

    def test_a_server_that_dies_and_comes_back_loses_nothing(self, url: str, postgres: PostgresServer) -> None:
        events: list[str] = []
        ledger = ledger_at(url, **PATIENT, on_event=lambda name, _: events.append(name))
        ledger.open()
        told = [settled(call(ledger, f"c{number}")[1]) for number in range(5)]
        postgres.kill()
        try:
            lost = settled(ledger.submit(started("meanwhile")), 60)
            assert isinstance(lost, Unrecorded)
            assert not ledger.healthy
            with pytest.raises(LedgerUnreachable, match="it can't be reached"), read(url):
                pass
        finally:
            postgres.start()  # other tests want it, whatever came of this one
        until(lambda: ledger.healthy, 60)
        told.append(settled(call(ledger, "again")[1]))
        ledger.close()
        assert [*dict.fromkeys(events)] == ["ledger.failed", "ledger.recovered"]
        assert {"ledger.failure", "ledger.recovered"} <= set(kinds(url))
        log = dict(rows(url, "SELECT seq, leaf FROM ledger_record"))
        assert all(log[each.index] == each.leaf for each in told)
        whole(url)

    def test_a_paused_server_is_given_up_in_time(self, url: str, postgres: PostgresServer) -> None:
        ledger = ledger_at(url, **PATIENT)
        ledger.location = Impatient(Address.parse(url))
        ledger.open()
        with postgres.paused():
            assert settled(ledger.submit(started("paused"))) == Unrecorded("too slow")
        until(lambda: ledger.healthy, 60)
        ledger.close()
        whole(url)

    def test_a_server_that_takes_no_more_connections_is_an_outage(self, url: str, postgres: PostgresServer) -> None:
        events: list[tuple[str, Any]] = []
        ledger = ledger_at(url, **PATIENT, on_event=lambda name, fields: events.append((name, fields)))
        ledger.open()
        settled(call(ledger, "before")[1])
        others = [psycopg.connect(postgres.url, autocommit=True)]
        try:
            take_every_slot(others, postgres)
            ended = others[0].execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory'"
                " AND (classid::bigint << 32) | objid::bigint = %s",
                (lock_of(ledger._appender.emitter.id),),
            )
            assert ended.fetchall() == [(True,)]
            take_every_slot(
                others, postgres
            )  # the ledger's own, too: it asks for another when there's something to write
            lost = settled(ledger.submit(started("full")))
            assert isinstance(lost, Unrecorded)
            assert not ledger.healthy
            again = settled(ledger.submit(started("full, too")))
            assert isinstance(again, Unrecorded)
            assert "no connection left" in again.reason
            assert "full" not in str(
                others[0].execute(f"SELECT call_id FROM {schema_of(url)}.ledger_record").fetchall()
            )
        finally:
            for each in others:
                each.close()
        until(lambda: ledger.healthy, 60)
        ledger.close()
        assert [*dict.fromkeys(name for name, _ in events)] == ["ledger.failed", "ledger.recovered"]
        found = kinds(url)
        assert (found.count("ledger.failure"), found.count("ledger.recovered")) == (1, 1)
        assert found.index("ledger.failure") < found.index("ledger.recovered")
        whole(url)

    def test_one_that_goes_while_it_is_read_is_no_word_about_the_ledger(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrote(url, "c1")
        monkeypatch.setattr(
            PostgresSource, "begin", lambda self: self.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        )
        found = verify(url)
        assert (found.exit_code, "it can't be read" in str(found.problems)) == (3, True)
        with pytest.raises(LedgerUnreachable, match="it can't be read now"), read(url):
            pass

    def test_one_that_cant_be_reached_is_named_without_its_password(self) -> None:
        away = "postgresql://u:canary-7f3a@127.0.0.1:9/d?connect_timeout=1"
        for act in (ledger_at(away).open, read(away).__enter__):
            with pytest.raises(LedgerInvalid) as caught:
                act()
            assert "postgresql://127.0.0.1:9/d" in str(caught.value)
            assert "canary" not in str(caught.value)
        found = verify(away)
        assert (found.exit_code, "canary" in str(found.summary())) == (3, False)


class TestCutWhileIdle:
    """By the server's operator, its `idle_session_timeout`, a restart, whatever is between: nothing was under way."""

    @pytest.mark.parametrize("how", ["ended", "restarted", "ended, with a spool"])
    def test_the_next_record_takes_a_new_connection_and_nobody_is_told_of_an_outage(
        self, url: str, postgres: PostgresServer, tmp_path: Path, how: str
    ) -> None:
        place = InDatabase(Address.parse(url), spooling=Spooling(tmp_path, SystemClock()) if "spool" in how else None)
        events: list[str] = []
        ledger = ledger_at(place, **PATIENT, on_event=lambda name, _: events.append(name))
        ledger.open()
        settled(call(ledger, "c1")[1])
        if how == "restarted":
            postgres.kill()
            postgres.start()
        else:
            end_connections(url)
        first = settled(ledger.submit(started("c2")))
        assert isinstance(first, Recorded)
        assert first.index == 4
        wrote(url, "beside it")
        assert ledger.healthy
        ledger.close()
        assert events == []
        found = kinds(url)
        assert not {"ledger.failure", "ledger.recovered"} & set(found)
        assert found.index("call.orphaned") == len(found) - 2  # it was seen to be alive: it ended its call itself
        whole(url)

    def test_one_that_is_lost_later_isnt_made_anew_within_the_step(
        self, url: str, ledger: StoredLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settled(call(ledger, "c1")[1])
        run, begins = Database.execute, list[str]()

        def execute(self: Database, query: str, values: Any = (), /) -> Any:
            result = run(self, query, values)
            if query == BEGIN:
                begins.append(query)
                if len(begins) == 1:
                    end_connections(url)
            return result

        monkeypatch.setattr(Database, "execute", execute)
        assert settled(ledger.submit(started("c2"))) == Unrecorded("refused (57P01)")
        recovers(ledger)
        ledger.close()
        assert {"ledger.failure", "ledger.recovered"} <= set(kinds(url))
        whole(url)

    def test_a_call_that_is_open_is_ended_and_the_goodbye_said(self, url: str) -> None:
        ledger = ledger_at(url, **PATIENT)
        ledger.open()
        settled(ledger.submit(started("c1")))
        end_connections(url)
        ledger.close()
        assert kinds(url)[-2:] == ["call.orphaned", "emitter.closed"]
        assert rows(url, "SELECT * FROM ledger_live") == []

    def test_a_checkpoint_is_published_over_a_new_one(self, url: str, tmp_path: Path) -> None:
        ledger = ledger_at(url, **PATIENT, signing=signing_in(tmp_path, every_ns=3600 * SECOND))
        ledger.open()
        settled(call(ledger, "c1")[1])
        end_connections(url)
        with ledger._io:
            assert ledger._appender.store.publish()[0] == len(kinds(url))
        ledger.close()

    def test_another_name_than_the_logs_is_noticed(self, url: str, ledger: StoredLedger) -> None:
        settled(call(ledger, "c1")[1])
        end_connections(url)
        attack(url, "UPDATE ledger_log SET origin = 'example.com/another'")
        lost = settled(ledger.submit(started("c2")))
        assert "the log of 'example.com/another' by now, not of 'example.com/failsoft-test'" in lost.reason
        assert len(kinds(url)) == 4

    def test_a_log_of_which_nothing_is_known_isnt_taken_for_the_same(self, url: str) -> None:
        wrote(url, "c1")
        store = LedgerDatabase(Address.parse(url))
        store.open(list)
        store.hold("ab" * 16)
        end_connections(url)
        with pytest.raises(AppendFailed, match="57P01"):
            store.append(founders(store)()[1:])
        store.close()


class Impatient(InDatabase):
    def store(self, signer: Any = None, anchored: Any = tuple, warn: Any = None) -> Any:
        return postgres_module.LedgerDatabase(self.address, signer, anchored, seconds=0.3)


class TestWhoMayDoWhat:
    @pytest.fixture
    def role(self, url: str, postgres: PostgresServer) -> Iterator[str]:
        wrote(url, "the owner's")
        schema = schema_of(url)
        role = f"writer_of_{schema}"
        postgres.execute(f"CREATE ROLE {role} LOGIN")
        for each in postgres_schema.grants(schema, role):
            postgres.execute(each)
        yield url.replace("://postgres:@", f"://{role}@")
        postgres.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    def test_a_writer_needs_no_right_to_change_anything(self, role: str, url: str, tmp_path: Path) -> None:
        ledger = ledger_at(role, **PATIENT)
        ledger.open()
        settled(ledger.submit(ConfigActivated(b'{"a":1}', (), ())))
        for number in range(130):
            call(ledger, f"c{number}")
        settled(call(ledger, "last")[1])
        ledger.close()
        whole(url)
        for statement in (
            "UPDATE ledger_record SET body = ''",
            "DELETE FROM ledger_record",
            "UPDATE ledger_head SET size = 1",
            "DELETE FROM ledger_payload",
            "TRUNCATE ledger_artifact",
            "DROP TABLE ledger_record",
            "ALTER TABLE ledger_record DISABLE TRIGGER ALL",
            "SELECT ledger_advance(1, 2, '', NULL)",
        ):
            with pytest.raises(DatabaseFailed, match=r"refused \((42501|P0001)\)"):
                rows(role, statement)

    def test_a_role_is_prepared_to_write_and_no_more(self, url: str, postgres: PostgresServer) -> None:
        role = 'a "quoted" role'
        postgres.execute('CREATE ROLE "a ""quoted"" role" LOGIN')
        try:
            prepare(Address.parse(url), role)
            as_role = url.replace("://postgres:@", "://a%20%22quoted%22%20role@")
            wrote(as_role, "c1")
            whole(url)
            with pytest.raises(DatabaseFailed, match=r"refused \(42501\)"):
                rows(as_role, "DELETE FROM ledger_record")
            prepare(Address.parse(url), role)  # again: nothing more happens
            wrote(as_role, "c2")
        finally:
            postgres.execute('DROP OWNED BY "a ""quoted"" role"; DROP ROLE "a ""quoted"" role"')

    @pytest.mark.parametrize("name", ["public", "PUBLIC", "nobody_here"])
    def test_a_role_that_isnt_there_isnt_prepared(self, url: str, name: str) -> None:
        """A server takes ``public`` for everybody."""
        with pytest.raises(DatabaseFailed, match=f"there's no role '{name}'"):
            prepare(Address.parse(url), name)
        given = "SELECT 1 FROM pg_class WHERE relnamespace = ?::text::regnamespace AND relacl IS NOT NULL"
        assert rows(url, given, schema_of(url)) == []

    def test_a_role_that_may_change_it_anyway_isnt_prepared(self, url: str, postgres: PostgresServer) -> None:
        with pytest.raises(DatabaseFailed, match="postgres isn't prepared to write and change nothing: it may act as"):
            prepare(Address.parse(url), "postgres")

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (
                "ALTER TABLE {}.ledger_record OWNER TO own; ALTER ROLE app NOINHERIT; GRANT own TO app",
                "act as the owner of {}.ledger_record",
            ),
            ("ALTER SCHEMA {} OWNER TO app", "act as the owner of the schema {}"),
            ("ALTER ROLE own SUPERUSER; ALTER ROLE app NOINHERIT; GRANT own TO app", "act as the superuser own"),
            (
                "GRANT DELETE ON {}.ledger_payload TO own; ALTER ROLE app NOINHERIT; GRANT own TO app",
                "change {}.ledger_payload",
            ),
            ("GRANT UPDATE (data) ON {}.ledger_payload TO app", "change {}.ledger_payload"),
            ("GRANT TRIGGER ON {}.ledger_record TO app", "change {}.ledger_record"),
            ("GRANT DELETE ON failsoft.migration TO app", "change failsoft.migration"),
            ("GRANT CREATE ON SCHEMA {} TO app", "create what it likes in the schema {}"),
            ("GRANT CREATE ON SCHEMA {} TO PUBLIC", "create what it likes in the schema {}"),
            ("GRANT CREATE ON SCHEMA failsoft TO own; GRANT own TO app", "create what it likes in the schema failsoft"),
            (
                "GRANT pg_write_server_files TO app",
                "run programs and write files on the server, as pg_write_server_files",
            ),
        ],
    )
    def test_a_role_that_may_by_another_way_isnt_prepared(
        self, url: str, postgres: PostgresServer, given: str, told: str
    ) -> None:
        wrote(url, "c1")
        postgres.execute("CREATE ROLE own; CREATE ROLE app LOGIN")
        try:
            postgres.execute(given.format(schema_of(url)))
            before = self.granted(url)
            with pytest.raises(DatabaseFailed, match=f"app isn't prepared .*: it may {told.format(schema_of(url))}"):
                prepare(Address.parse(url), "app")
            assert self.granted(url) == before
        finally:
            postgres.execute(f"DROP SCHEMA {schema_of(url)} CASCADE; DROP OWNED BY own, app; DROP ROLE own, app")

    @staticmethod
    def granted(url: str) -> list[tuple[Any, ...]]:
        return rows(
            url,
            "SELECT relname, relacl::text FROM pg_class WHERE relnamespace = ?::text::regnamespace ORDER BY 1",
            schema_of(url),
        )

    def test_a_role_that_nothing_could_be_granted_to_isnt_prepared(self, url: str, postgres: PostgresServer) -> None:
        """Whoever grants what isn't theirs to grant is only warned."""
        wrote(url, "c1")  # the first owner's
        postgres.execute("CREATE ROLE second LOGIN; CREATE ROLE app LOGIN")
        try:
            postgres.execute("GRANT CREATE ON DATABASE postgres TO second; GRANT ALL ON SCHEMA failsoft TO second")
            postgres.execute("GRANT ALL ON failsoft.migration TO second")
            as_second = url.replace("://postgres:@", "://second@") + "b"
            told = "app isn't prepared to write and change nothing: it may not use the schema failsoft"
            with pytest.raises(DatabaseFailed, match=told):
                prepare(Address.parse(as_second), "app")
        finally:
            postgres.execute("DROP OWNED BY second, app; DROP ROLE second, app")

    def test_an_owner_may_be_given_the_schemas_alone(self, postgres: PostgresServer) -> None:
        postgres.execute("CREATE DATABASE given")
        postgres.execute("CREATE ROLE own LOGIN; CREATE ROLE app LOGIN")
        place = postgres.url.replace("/postgres?", "/given?")
        try:
            with psycopg.connect(place, autocommit=True) as administrator:
                administrator.execute("CREATE SCHEMA failsoft AUTHORIZATION own")
                administrator.execute("CREATE SCHEMA audit AUTHORIZATION own")
            for schema in ("", "&schema=audit"):
                prepare(Address.parse(place.replace("://postgres:@", "://own@") + schema), "app")
                wrote(place.replace("://postgres:@", "://app@") + schema, "c1")
                whole(place + (schema or "&schema=failsoft"))
            with pytest.raises(DatabaseFailed, match="42501"):
                prepare(Address.parse(place.replace("://postgres:@", "://own@") + "&schema=more"), "app")
        finally:
            postgres.execute("DROP DATABASE given WITH (FORCE)")
            postgres.execute("DROP ROLE own, app")

    def test_who_may_not_read_is_told(self, url: str, postgres: PostgresServer) -> None:
        wrote(url, "c1")
        postgres.execute("CREATE ROLE stranger LOGIN")
        try:
            with (
                pytest.raises(LedgerInvalid, match=r"it can't be read .*42501"),
                read(url.replace("://postgres:@", "://stranger@")),
            ):
                pass
            assert verify(url.replace("://postgres:@", "://stranger@")).exit_code == 3
        finally:
            postgres.execute("DROP ROLE stranger")

    def test_a_writer_cant_erase_and_the_owner_finishes_it(self, role: str, url: str, tmp_path: Path) -> None:
        wrote(role, "c1")
        with pytest.raises(LedgerInvalid, match=r"on record, and not done .*42501.*--owner"):
            erase(Acting(role, SystemClock()), "SPE4A7-26-R-0001", basis="b", person="p")
        assert verify(url).exit_code == 2
        done = erase(Acting(url, SystemClock()), "SPE4A7-26-R-0001", basis="b", person="p")
        assert (done.payloads, done.records) == (8, ())
        whole(url)

    def test_guards_keep_even_the_owner_from_an_accident(self, url: str) -> None:
        wrote(url, "c1")
        for statement in (
            "UPDATE ledger_record SET body = '\\x00'::bytea",
            "DELETE FROM ledger_record",
            "TRUNCATE ledger_record",
            "UPDATE ledger_head SET size = 1",
            "DELETE FROM ledger_head",
            "UPDATE ledger_payload SET data = ''",
            "DELETE FROM ledger_artifact WHERE true OR true",
            "UPDATE ledger_log SET origin = 'x'",
            "SELECT ledger_advance(6, 7, '', NULL)",
            "SELECT ledger_advance(5, 5, '', NULL)",
            "SELECT ledger_advance(4, (SELECT size FROM ledger_head), '', NULL)",
        ):
            if "artifact" in statement:
                rows(url, "INSERT INTO ledger_artifact VALUES (sha256(''), 'x', '') RETURNING 1")
            with pytest.raises(DatabaseFailed, match=r"P0001"):
                rows(url, statement)

    def test_a_record_beyond_the_head_that_a_writer_planted_is_named(self, role: str, url: str) -> None:
        ledger = ledger_at(role, **PATIENT)
        ledger.open()
        rows(role, "INSERT INTO ledger_record (seq, leaf, body) VALUES (1000000, sha256('a'), 'a') RETURNING 1")
        wrong = "ledger_record has a row 1000000, beyond the 6 records of the head: it was planted, or the head set back: run"
        assert wrong in getattr(settled(ledger.submit(started("more"))), "reason", "")
        with pytest.raises(LedgerInvalid, match="a row 1000000, beyond the 6 records of the head"):
            ledger_at(role, **PATIENT).open()
        attack(url, "DELETE FROM ledger_record WHERE seq >= (SELECT size FROM ledger_head)")
        recovers(ledger)
        ledger.close()
        whole(url)

    def test_no_checkpoint_is_planted_by_which_nobody_could_open_it(
        self, url: str, tmp_path: Path, postgres: PostgresServer
    ) -> None:
        signing = signing_in(tmp_path, every_ns=60 * SECOND)
        wrote(url, "c1")
        with pytest.raises(DatabaseFailed, match="P0001"):  # nobody signs this log: it would be taken for signed
            rows(url, "INSERT INTO ledger_checkpoint VALUES (2, 'x')")
        wrote(url, "c2", signing=signing)
        for size in (0, 1_000_000):
            with pytest.raises(DatabaseFailed, match="P0001"):
                rows(url, f"INSERT INTO ledger_checkpoint VALUES ({size}, 'x')")
        wrote(url, "c3", signing=signing)
        assert verify(url, keys=[KEY.verifier]).verdict == "verified"

    def test_however_many_are_planted_as_alive_it_can_be_opened(
        self, role: str, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_module, "LOOKED_AFTER", 3)
        with pytest.raises(DatabaseFailed, match="P0001"):
            rows(role, "INSERT INTO ledger_live VALUES ('zz')")
        rows(role, "INSERT INTO ledger_live SELECT md5(i::text) FROM generate_series(1, 7) AS i RETURNING 1")
        for left in (4, 1, 0):
            assert not locate(url).store().anybody()
            wrote(role, f"c{left}")
            assert rows(url, "SELECT count(*) FROM ledger_live") == [(left,)]
        whole(url)

    def test_nobody_is_forgotten_by_others_while_they_are_there(self, role: str, url: str) -> None:
        ledger = ledger_at(role, **PATIENT)
        ledger.open()
        emitter = ledger._appender.emitter.id
        rows(role, "SELECT ledger_left(?)", emitter)
        assert rows(url, "SELECT emitter FROM ledger_live") == [(emitter,)]
        ledger.close()
        assert rows(url, "SELECT emitter FROM ledger_live") == []

    def test_an_artifact_is_what_its_name_says(self, role: str, url: str) -> None:
        """Else whoever may insert could have another's real one dropped, which comes under a name that is taken."""
        snapshot = b'{"adapters":{}}'
        ledger = ledger_at(role, **PATIENT)
        ledger.open()
        with pytest.raises(DatabaseFailed, match="P0001"):
            rows(role, "INSERT INTO ledger_artifact VALUES (?, 'application/json', 'junk')", sha256(snapshot).digest())
        assert isinstance(settled(ledger.submit(ConfigActivated(snapshot, (), ()))), Recorded)
        ledger.close()
        assert rows(url, "SELECT data FROM ledger_artifact") == [(snapshot,)]
        whole(url)

    def test_a_subtree_that_a_writer_planted_is_named(self, role: str, url: str) -> None:
        ledger = ledger_at(role, **PATIENT)
        ledger.open()
        rows(role, "INSERT INTO ledger_subtree VALUES (0, decode(repeat('00', 32), 'hex')) RETURNING idx")
        wrong = "ledger_subtree has a row 0, whose 256 records aren't all there"
        assert (verify(url).exit_code, wrong in " ".join(verify(url).summary())) == (1, True)
        for number in range(256):
            ledger.submit(started(f"c{number}"))
        until(lambda: wrong in str(getattr(settled(ledger.submit(started("more"))), "reason", "")))
        with pytest.raises(LedgerInvalid, match=wrong):
            ledger_at(role, **PATIENT).open()
        attack(url, "DELETE FROM ledger_subtree")
        recovers(ledger)
        ledger.close()
        whole(url)

    def test_who_may_not_make_tables_is_told_how(self, url: str, postgres: PostgresServer) -> None:
        postgres.execute("CREATE ROLE nobody_here LOGIN")
        try:
            with pytest.raises(LedgerInvalid, match="42501"):
                ledger_at(url.replace("://postgres:@", "://nobody_here@"), **PATIENT).open()
        finally:
            postgres.execute("DROP ROLE nobody_here")


class TestASession:
    @pytest.mark.parametrize(
        ("given", "becomes"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")]
    )
    def test_what_is_committed_is_durable_whatever_the_role_says(
        self, url: str, postgres: PostgresServer, given: str, becomes: str
    ) -> None:
        wrote(url, "c1")
        postgres.execute(f"CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET synchronous_commit = {given}")
        try:
            assert rows(url.replace("://postgres:@", "://hasty@"), "SHOW synchronous_commit") == [(becomes,)]
        finally:
            postgres.execute("DROP ROLE hasty")

    @pytest.mark.parametrize("level", ["repeatable read", "serializable"])
    def test_many_writers_lose_nothing_whatever_level_their_role_has(
        self, url: str, postgres: PostgresServer, level: str
    ) -> None:
        postgres.execute("CREATE ROLE strict LOGIN; GRANT CREATE ON DATABASE postgres TO strict")
        postgres.execute(f"ALTER ROLE strict SET default_transaction_isolation = '{level}'")
        try:
            prepare(Address.parse(url), "strict")
            as_role = url.replace("://postgres:@", "://strict@")
            ledgers = [ledger_at(as_role, **PATIENT) for _ in range(3)]
            for each in ledgers:
                each.open()
            for number in range(25):
                tickets = [ledger.submit(started(f"{at}-{number}")) for at, ledger in enumerate(ledgers)]
                assert all(isinstance(settled(each), Recorded) for each in tickets)
            for each in ledgers:
                each.close()
            assert verify(url).kinds["call.started"] == 75
            assert "ledger.failure" not in verify(url).kinds
        finally:
            postgres.execute("DROP OWNED BY strict; DROP ROLE strict")

    @pytest.mark.parametrize(("given", "becomes"), [("0", "11s"), ("2min", "11s"), ("3s", "3s")])
    def test_a_command_ends_at_the_server_soon_after_nobody_waits_for_it(
        self, url: str, postgres: PostgresServer, given: str, becomes: str
    ) -> None:
        wrote(url, "c1")
        postgres.execute(f"CREATE ROLE waiting LOGIN SUPERUSER; ALTER ROLE waiting SET statement_timeout = '{given}'")
        try:
            assert rows(url.replace("://postgres:@", "://waiting@"), "SHOW statement_timeout") == [(becomes,)]
        finally:
            postgres.execute("DROP ROLE waiting")

    @pytest.mark.parametrize(
        ("own", "size", "limit", "timeout"),
        [("0", 10, 10, "11s"), ("0", 1000, 25, "101s"), ("0", 250, 25, "26s"), ("3s", 1000, 25, "3s")],
    )
    def test_much_at_once_is_given_its_time_to_the_end_of_the_transaction(
        self, url: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch,
        own: str, size: int, limit: float, timeout: str,
    ) -> None:  # fmt: skip
        """Else it would take too long again and again. Whether the line moves is seen by what's sent, as ever."""
        monkeypatch.setattr(transaction_module, "SLOWEST", 10)
        monkeypatch.setattr(transaction_module, "ON_THE_WAY", 250)
        wrote(url, "c1")
        postgres.execute(f"CREATE ROLE slow LOGIN SUPERUSER; ALTER ROLE slow SET statement_timeout = '{own}'")
        database = Database.at(Address.parse(url.replace("://postgres:@", "://slow@")), 10)
        usual = database.execute("SHOW statement_timeout").fetchone()
        seen: list[float] = []

        def payloads() -> Iterator[tuple[bytes, None, None, bytes]]:
            seen.append(database.connection.limit)
            yield b"\0" * 32, None, None, b"x" * size

        try:
            with transaction(database):
                copy_in(database, postgres_module._PAYLOAD, postgres_module._PAYLOAD_TYPES, payloads(), size)
                in_seconds = "SELECT extract(epoch FROM current_setting('statement_timeout')::interval)::int || 's'"
                assert database.execute(in_seconds).fetchone() == (timeout,)
            assert seen == [limit]
            assert database.connection.limit == 10
            assert database.execute("SHOW statement_timeout").fetchone() == usual
        finally:
            database.close()
            postgres.execute("DROP ROLE slow")

    def test_a_batch_says_how_much_it_is(self, url: str, ledger: StoredLedger, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[int] = []
        run = postgres_module.copy_in

        def seen(database: Database, statement: str, types: Any, rows: Any, size: int) -> None:
            sizes.append(size)
            run(database, statement, types, rows, size)

        monkeypatch.setattr(postgres_module, "copy_in", seen)
        settled(ledger.submit(started("c1", request=b"x" * 100_000)))
        assert (sizes[0] < 2000, 100_000 < sizes[1] < 101_000) == (True, True)

    @pytest.mark.parametrize(
        ("setting", "given", "becomes"),
        [
            ("lock_timeout", "10ms", "0"),
            ("idle_session_timeout", "500ms", "0"),
            ("standard_conforming_strings", "off", "on"),
            ("quote_all_identifiers", "on", "off"),
        ],
    )
    def test_a_roles_own_settings_neither_stop_a_writer_nor_are_taken_for_tampering(
        self, url: str, postgres: PostgresServer, setting: str, given: str, becomes: str
    ) -> None:
        wrote(url, "c1")
        postgres.execute(f"CREATE ROLE peculiar LOGIN SUPERUSER; ALTER ROLE peculiar SET {setting} = '{given}'")
        try:
            as_role = url.replace("://postgres:@", "://peculiar@")
            assert rows(as_role, f"SHOW {setting}") == [(becomes,)]
            wrote(as_role, "c2")
            whole(as_role)
        finally:
            postgres.execute("DROP ROLE peculiar")

    def test_where_a_lock_is_kept_by_somebody_those_who_gave_up_dont_pile_up(
        self, url: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(read_module, "LEEWAY", 0.05)
        ledger = ledger_at(Impatient(Address.parse(url)), **PATIENT)
        ledger.open()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        with psycopg.connect(postgres.url, autocommit=True) as stranger:
            stranger.execute("SELECT pg_advisory_lock(hashtext('example.com/failsoft-test'))")
            assert settled(call(ledger, "c1")[1]) == Unrecorded("too slow")
            for number in range(5):
                settled(ledger.submit(started(f"d{number}")))
                until(lambda: stranger.execute(waiting).fetchall()[0][0] <= 2)
        recovers(ledger)
        ledger.close()
        whole(url)

    @pytest.mark.parametrize("table", ["ledger_payload", "ledger_record"])
    def test_clearing_away_goes_on_though_nobody_waits(self, url: str, table: str) -> None:
        wrote(url, "c1")
        done: list[str] = []

        class Seen(Database):
            def execute(self, query: str, values: Any = (), /) -> Any:
                if query.startswith("VACUUM"):
                    done.append(f"{query} {super().execute('SHOW statement_timeout').fetchone()[0]}")
                return super().execute(query, values)

        store = LedgerDatabase(Address.parse(url))
        store.open(list)
        opened = store._database
        assert opened is not None
        store._database = Seen(opened.connection, opened.address)
        _ = store.forget([]) if table == "ledger_payload" else store.prune(-1)
        store.close()
        assert done == [f"VACUUM {table} 0"]


class TestClearingAway:
    """What's deleted is on the tables' pages as long as somebody's look at the database is older."""

    @pytest.fixture
    def roles(self, url: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
        """An owner that sees nothing of others' transactions, and an auditor."""
        monkeypatch.setattr(clearing, "PAUSE", 0.0)
        wrote(url, "c1")
        schema = schema_of(url)
        postgres.execute("CREATE ROLE own LOGIN; CREATE ROLE auditor LOGIN")
        postgres.execute(f"ALTER SCHEMA {schema} OWNER TO own; GRANT USAGE ON SCHEMA {schema} TO auditor")
        for table in postgres_schema.TABLES:
            postgres.execute(f"ALTER TABLE {schema}.{table} OWNER TO own")
        postgres.execute(f"ALTER FUNCTION {schema}.ledger_advance OWNER TO own")
        postgres.execute(f"ALTER FUNCTION {schema}.ledger_left OWNER TO own")
        postgres.execute("GRANT USAGE ON SCHEMA failsoft TO own, auditor")
        postgres.execute("GRANT SELECT ON failsoft.migration TO own, auditor")
        postgres.execute(f"GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA {schema} TO auditor")
        yield url.replace("://postgres:@", "://own@"), url.replace("://postgres:@", "://auditor@")
        postgres.execute(f"DROP SCHEMA {schema} CASCADE; DROP OWNED BY own, auditor; DROP ROLE own, auditor")

    def test_an_erasure_isnt_finished_while_somebody_looks(self, roles: tuple[str, str]) -> None:
        owner, auditor = roles
        acting = Acting(owner, SystemClock())
        with read(auditor) as reader:
            assert reader.size
            done = erase(acting, "SPE4A7-26-R-0001", basis="b", person="p")
            assert (done.payloads, len(done.records), done.finished) == (4, 1, False)
            again = erase(acting, "SPE4A7-26-R-0001", basis="b", person="p")
            assert (again.payloads, again.records, again.finished) == (0, (), False)
        assert erase(acting, "SPE4A7-26-R-0001", basis="b", person="p").finished
        whole(owner)

    def test_a_pruning_isnt_either(self, roles: tuple[str, str]) -> None:
        owner, auditor = roles
        store = LedgerDatabase(Address.parse(owner))
        store.open(list)
        with read(auditor) as reader:
            assert reader.size
            assert not store.prune(3)
        assert store.prune(3)
        store.close()

    def test_a_role_that_may_delete_and_not_clear_away_is_told(self, roles: tuple[str, str]) -> None:
        owner, auditor = roles
        database = Database.at(Address.parse(auditor), 10)
        database.execute("DELETE FROM ledger_payload")
        assert not clearing.clear_away(database, "ledger_payload")
        database.close()
        database = Database.at(Address.parse(owner), 10)
        assert clearing.clear_away(database, "ledger_payload")
        database.close()

    def test_one_that_fails_is_told(self, roles: tuple[str, str]) -> None:
        database = Database.at(Address.parse(roles[0]), 10)
        database.close()
        assert not clearing.clear_away(database, "ledger_payload")


class TestTheSameTables:
    def test_two_roles_of_one_database_have_one_log(self, url: str, postgres: PostgresServer) -> None:
        wrote(url, "c1")
        one = Address.parse(url)
        assert same_log(one, Address.parse(f"{url}&application_name=another")) == "example.com/failsoft-test"
        other = f"{postgres.url}&schema={next(SCHEMAS)}"
        wrote(other, "c1")
        assert same_log(one, Address.parse(other)) is None

    def test_one_without_its_own_line_is_nobodys(self, url: str) -> None:
        wrote(url, "c1")
        attack(url, "DELETE FROM ledger_log")
        assert same_log(Address.parse(url), Address.parse(url)) is None

    def test_one_that_cant_be_read_is_told(self, url: str) -> None:
        wrote(url, "c1")
        attack(url, "ALTER TABLE ledger_log RENAME TO hidden")
        with pytest.raises(LedgerInvalid, match=r"it can't be read \(refused \(42P01\)\)"):
            same_log(Address.parse(url), Address.parse(url))


class TestTampering:
    @pytest.mark.parametrize(
        ("statements", "told"),
        [
            (
                ["UPDATE ledger_record SET body = overlay(body placing '\\x41'::bytea from 20) WHERE seq = 3"],
                "hash to its leaf",
            ),
            (["DELETE FROM ledger_record WHERE seq = 2"], "are missing"),
            (["UPDATE ledger_record SET call_id = 'other' WHERE seq = 2"], "index copy"),
            (["DELETE FROM ledger_payload WHERE digest = (SELECT min(digest) FROM ledger_payload)"], "missing"),
            (["UPDATE ledger_payload SET data = data || '\\x00'::bytea"], "isn't what was committed to"),
            (["UPDATE ledger_head SET size = size - 1"], "the head states"),
            (["DELETE FROM ledger_head"], "the head is missing"),
            (["DELETE FROM ledger_log"], "the log's own line"),
            (["CREATE INDEX ledger_more ON ledger_record (ts)"], "the index ledger_more doesn't belong here"),
            (["DROP INDEX ledger_record_call"], "the index ledger_record_call is missing"),
            (
                [
                    "DROP INDEX ledger_record_call",
                    "CREATE INDEX ledger_record_call ON ledger_record (call_id) WHERE length(call_id) > 2",
                ],
                "the index ledger_record_call is not as published",
            ),
            (["ALTER TABLE ledger_record DROP CONSTRAINT ledger_record_rid_key"], "ledger_record_rid_key is missing"),
            (["CREATE RULE ledger_r AS ON INSERT TO ledger_record DO INSTEAD NOTHING"], "ledger_record is not as"),
            (["ALTER TABLE ledger_record ENABLE ROW LEVEL SECURITY"], "the table ledger_record is not as published"),
            (
                ["ALTER TABLE ledger_record DISABLE TRIGGER ledger_record_kept"],
                "trigger ledger_record.ledger_record_kept",
            ),
            (["ALTER TABLE ledger_record ADD COLUMN more text"], "the column ledger_record.more doesn't belong here"),
            (["ALTER TABLE ledger_log ALTER COLUMN created DROP NOT NULL"], "the column ledger_log.created is not as"),
            (["CREATE TABLE child () INHERITS (ledger_record)"], "the table ledger_record is not as published"),
            (["CREATE VIEW ledger_view AS SELECT 1"], "the relation ledger_view doesn't belong here"),
            (
                ["CREATE OR REPLACE FUNCTION ledger_left(gone text) RETURNS void LANGUAGE sql AS ''"],
                "function ledger_left",
            ),
            (
                [
                    "ALTER TABLE ledger_record RENAME TO hidden",
                    "CREATE VIEW ledger_record AS SELECT * FROM hidden WHERE seq <> 2",
                ],
                "ledger_record",
            ),
        ],
        ids=lambda value: value[0][:48] if isinstance(value, list) else "",
    )
    def test_it_is_found_and_named(self, url: str, statements: list[str], told: str) -> None:
        wrote(url, "c1", "c2")
        attack(url, *statements)
        found = verify(url)
        assert found.exit_code in (1, 3)
        assert told in " ".join(found.summary())

    @pytest.mark.parametrize(
        "statement", ["DELETE FROM ledger_head", "ALTER TABLE ledger_record ENABLE ROW LEVEL SECURITY"]
    )
    def test_nothing_is_appended_to_what_was_tampered_with(self, url: str, statement: str) -> None:
        wrote(url, "c1")
        attack(url, statement)
        with pytest.raises(LedgerInvalid):
            ledger_at(url, **PATIENT).open()

    def test_a_log_cut_back_under_a_writer_is_refused(self, url: str, ledger: StoredLedger) -> None:
        settled(call(ledger, "c1")[1])
        attack(url, "DELETE FROM ledger_record WHERE seq = 3", "UPDATE ledger_head SET size = 3")
        assert isinstance(settled(ledger.submit(started("c2"))), Unrecorded)

    @pytest.mark.parametrize(
        ("statements", "told"),
        [
            (["UPDATE ledger_head SET size = size + 1, frontier = '\\x00'"], "ValueError"),
            (["UPDATE ledger_head SET size = size - 1"], "not the one that this process wrote to"),
            (["INSERT INTO ledger_record (seq, leaf) VALUES (4, decode(repeat('00', 32), 'hex'))"], "has a row 4"),
        ],
    )
    def test_what_is_changed_under_a_writer_is_not_built_upon(
        self, url: str, ledger: StoredLedger, statements: list[str], told: str
    ) -> None:
        settled(call(ledger, "c1")[1])
        attack(url, *statements)
        result = settled(ledger.submit(started("c2")))
        assert isinstance(result, Unrecorded)
        assert told in result.reason
        assert len(kinds(url)) == 4 + ("INSERT" in statements[0])

    def test_a_log_cut_back_while_its_writer_had_no_connection_is_refused(self, url: str, ledger: StoredLedger) -> None:
        settled(call(ledger, "c1")[1])
        end_connections(url)
        before = rows(url, "SELECT size, frontier FROM ledger_head")[0]
        frontier = Frontier()
        for (leaf,) in rows(url, "SELECT leaf FROM ledger_record WHERE seq < 3 ORDER BY seq"):
            frontier.append(leaf)
        assert before[0] == 4
        attack(
            url,
            "DELETE FROM ledger_record WHERE seq = 3",
            f"UPDATE ledger_head SET size = 3, frontier = decode('{frontier.to_bytes().hex()}', 'hex')",
        )
        until(lambda: "had committed 4" in str(getattr(settled(ledger.submit(started("c2"))), "reason", "")))

    def test_a_database_made_anew_in_which_others_founded_a_log_gets_none_of_a_writers_records(
        self, url: str, ledger: StoredLedger, postgres: PostgresServer
    ) -> None:
        settled(call(ledger, "c1")[1])
        end_connections(url)
        schema = schema_of(url)
        postgres.execute(
            f"DROP SCHEMA {schema} CASCADE; DELETE FROM failsoft.migration WHERE component = 'ledger in {schema}'"
        )
        wrote(url, *(f"n{number}" for number in range(9)))
        size = verify(url).size
        until(
            lambda: "is not the one that this proc" in str(getattr(settled(ledger.submit(started("c2"))), "reason", ""))
        )
        assert verify(url).size == size

    def test_a_log_whose_line_goes_while_it_is_opened_is_damaged(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrote(url, "c1")

        def meanwhile(_: Any) -> list[str]:
            attack(url, "DELETE FROM ledger_log")
            return []

        monkeypatch.setattr(postgres_module, "differences", meanwhile)
        with pytest.raises(LedgerInvalid, match=r"the log is damaged \(TypeError\)"):
            ledger_at(url, **PATIENT).open()

    def test_an_emitter_that_ended_is_not_shown_again(self, url: str) -> None:
        store = LedgerDatabase(Address.parse(url))
        store.open(founders(store))
        store.hold("ab" * 16).release(remove=True)
        store.close()
        store.open(list)
        assert rows(url, "SELECT * FROM ledger_live") == []
        assert not store.anybody()
        store.close()

    def test_a_store_that_is_closed_takes_nothing(self, url: str) -> None:
        store = postgres_module.LedgerDatabase(Address.parse(url))
        with pytest.raises(AppendFailed, match="is not open"):
            store.append([])
        assert not store.spare.spend()

    def test_another_servers_way_of_writing_definitions_is_no_tampering(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrote(url, "c1")
        monkeypatch.setattr(postgres_schema, "WRITTEN_BY", 17)
        attack(url, "ALTER TABLE ledger_record DISABLE TRIGGER ledger_record_kept")
        assert verify(url).exit_code == 0

    @pytest.mark.parametrize("state", ["indisvalid = false", "indisready = false, indisvalid = false"])
    @pytest.mark.parametrize(
        "name", ["ledger_record_call_ccnew", "ledger_record_call_ccnew2", "ledger_record_call_ccold"]
    )
    def test_what_an_interrupted_reindexing_left_is_no_tampering(self, url: str, name: str, state: str) -> None:
        wrote(url, "c1")
        attack(
            url,
            f"CREATE INDEX {name} ON ledger_record (call_id) WHERE call_id IS NOT NULL",
            f"UPDATE pg_index SET {state} WHERE indexrelid = '{name}'::regclass",
        )
        whole(url)
        wrote(url, "c2")
        attack(url, "REINDEX TABLE CONCURRENTLY ledger_record")
        whole(url)

    @pytest.mark.parametrize(
        ("name", "state"),
        [
            ("ledger_record_call_ccnew", "indisvalid = true"),
            ("ledger_record_call_ccnewer", "indisvalid = false"),
            ("ledger_record_more", "indisvalid = false"),
        ],
    )
    def test_any_other_index_doesnt_belong_there(self, url: str, name: str, state: str) -> None:
        wrote(url, "c1")
        attack(
            url,
            f"CREATE INDEX {name} ON ledger_record (call_id)",
            f"UPDATE pg_index SET {state} WHERE indexrelid = '{name}'::regclass",
        )
        assert f"the index {name} doesn't belong here" in " ".join(verify(url).summary())

    def test_the_published_catalogue_is_what_the_steps_make(self, url: str) -> None:
        wrote(url)
        database = Database.at(Address.parse(url), 10)
        assert postgres_schema.catalogue(database) == postgres_schema.published()
        database.close()


class TestEncodings:
    @pytest.fixture(params=["LATIN1", "EUC_JP", "SQL_ASCII"])
    def encoded(self, postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
        """A database, and its encoding."""
        postgres.execute(f"CREATE DATABASE enc ENCODING '{request.param}' TEMPLATE template0 LOCALE 'C'")
        yield f"{postgres.url.replace('/postgres?', '/enc?')}&schema=failsoft", request.param
        postgres.execute("DROP DATABASE enc WITH (FORCE)")

    def test_one_that_couldnt_hold_every_name_is_refused_where_anything_would_be_written(
        self, encoded: tuple[str, str], url: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place, encoding = encoded
        context = CallContext(Case("案件-Ω-7 🚢", "solicitation"), Actor("u-7", "user"))
        if encoding == "SQL_ASCII":
            wrote(place, "c1", context=context)
            whole(place)
            with read(place) as reader:
                assert len(list(reader.records(case="案件-Ω-7 🚢"))) == 2
            return
        wrote(url, "c1")
        postgres.execute("CREATE ROLE app LOGIN")
        told = f"encoded in {encoding}, and couldn't hold every name: .*ENCODING 'UTF8' TEMPLATE template0"
        try:
            for act in (
                ledger_at(place, **PATIENT).open,
                lambda: prepare(Address.parse(place), "app"),
                lambda: copy(Acting(url, SystemClock()), locate(place), person="p", why="w"),
            ):
                with pytest.raises(LedgerInvalid, match=told):
                    act()
            with monkeypatch.context() as before:
                before.setattr(tables_module, "_EVERY_LETTER", (encoding,))
                wrote(place, "c1")
            with pytest.raises(LedgerInvalid, match=told):
                ledger_at(place, **PATIENT).open()
            whole(place)  # it's read as ever
        finally:
            postgres.execute("DROP ROLE app")


class TestVersions:
    def test_a_database_without_a_ledger_is_none(self, url: str) -> None:
        with pytest.raises(LedgerInvalid, match="there is no ledger in this database"), read(url):
            pass
        assert verify(url).exit_code == 3

    def test_a_database_without_any_tables_of_ours_is_none(self, postgres: PostgresServer) -> None:
        postgres.execute("CREATE DATABASE empty_one")
        place = postgres.url.replace("/postgres?", "/empty_one?")
        assert place != postgres.url
        found = verify(place)
        assert (found.exit_code, "there is no ledger in this database" in str(found.problems)) == (3, True)

    def test_tables_of_the_first_version_are_brought_up_and_keep_their_rows(
        self, url: str, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
    ) -> None:
        postgres.execute("CREATE ROLE app LOGIN")
        try:
            with monkeypatch.context() as before:
                for module in (postgres_schema, read_module):
                    before.setattr(module, "STEPS", postgres_schema.STEPS[:1])
                before.setattr(postgres_module, "differences", lambda _: [])
                prepare(Address.parse(url), "app")
                wrote(url.replace("://postgres:@", "://app@"), "c1")
            with (
                pytest.raises(LedgerInvalid, match="version 1, and this failsoft reads 2: their owner brings them up"),
                read(url),
            ):
                pass
            with pytest.raises(LedgerInvalid, match="42501"):
                ledger_at(url.replace("://postgres:@", "://app@"), **PATIENT).open()
            prepare(Address.parse(url), "app")
            wrote(url.replace("://postgres:@", "://app@"), "c2")
            whole(url)
            assert kinds(url).count("call.completed") == 2
        finally:
            postgres.execute(f"DROP SCHEMA {schema_of(url)} CASCADE; DROP OWNED BY app; DROP ROLE app")

    def test_tables_of_a_later_version_are_refused(self, url: str, postgres: PostgresServer) -> None:
        wrote(url)
        name = postgres_schema.component(schema_of(url))
        postgres.execute(f"INSERT INTO failsoft.migration (component, version) VALUES ('{name}', 99)")
        with pytest.raises(LedgerInvalid, match=r"its tables for .* are version 99.*: upgrade it"):
            ledger_at(url, **PATIENT).open()
        with pytest.raises(LedgerInvalid, match=r"version 99, .*: upgrade it"), read(url):
            pass

    def test_tables_that_a_later_version_takes_over_under_a_writer_are_an_outage(
        self, url: str, ledger: StoredLedger, postgres: PostgresServer
    ) -> None:
        settled(call(ledger, "c1")[1])
        name = postgres_schema.component(schema_of(url))
        postgres.execute(f"INSERT INTO failsoft.migration (component, version) VALUES ('{name}', 99)")
        end_connections(url)
        until(lambda: "upgrade it" in str(getattr(settled(ledger.submit(started("c2"))), "reason", "")))
        assert not ledger.healthy
        postgres.execute(f"DELETE FROM failsoft.migration WHERE component = '{name}' AND version = 99")
        recovers(ledger)

    def test_a_word_of_postgresqls_own_is_no_schemas_name(self, postgres: PostgresServer) -> None:
        reserved = rows(postgres.url, "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
        for name in (*(each for (each,) in reserved), "pg_ledger", "information_schema"):
            with pytest.raises(LedgerInvalid, match=f"'{name}' can't be the schema's name"):
                locate(f"{postgres.url}&schema={name}")

    @pytest.mark.parametrize("name", ["old", "new", "w", "d", "time", "row", "values", "between", "function"])
    def test_a_schema_may_be_named_as_what_stands_in_definitions(self, postgres: PostgresServer, name: str) -> None:
        place = f"{postgres.url}&schema={name}"
        postgres.execute("CREATE ROLE app LOGIN")
        try:
            prepare(Address.parse(place), "app")
            wrote(place.replace("://postgres:@", "://app@"), "c1")
            whole(place)
            attack(place, "ALTER TABLE ledger_record DISABLE TRIGGER ledger_record_kept")
            assert verify(place).exit_code == 1
        finally:
            postgres.execute(f'DROP SCHEMA "{name}" CASCADE; DROP OWNED BY app; DROP ROLE app')

    def test_a_schemas_name_is_checked(self) -> None:
        with pytest.raises(LedgerInvalid, match="the schema's name"):
            locate("postgresql://h/d?schema=Robert'); DROP")
        with pytest.raises(LedgerInvalid, match="no address"):
            locate("postgresql://h/d?canary=1")

    @pytest.mark.parametrize(
        ("given", "taken", "shown"),
        [
            ("options=-c%20jit%3Doff", {"options": "-c jit=off"}, ""),
            ("password=a%2Bb+c&schema=s", {"password": "a+b+c"}, "?schema=s"),
            ("schema=s&host=/run/a%20b&user=u", {"host": "/run/a b", "user": "u"}, "?host=/run/a%20b&schema=s"),
            ("&port=5433&", {"port": "5433"}, "?port=5433"),
        ],
    )
    def test_parameters_reach_the_driver_as_they_were_written(
        self, given: str, taken: dict[str, str], shown: str
    ) -> None:
        """A form's rules, where + is a space, aren't libpq's."""
        address = Address.parse(f"postgresql://u:canary@h/d?{given}")
        assert conninfo_to_dict(address.url) == {"user": "u", "password": "canary", "host": "h", "dbname": "d"} | taken
        assert str(address) == f"postgresql://h/d{shown}"
        assert "canary" not in repr(address)


class TestSigned:
    def test_heads_and_checkpoints_are_signed_verified_monitored_and_handed_over(
        self, url: str, tmp_path: Path
    ) -> None:
        signing = signing_in(tmp_path, every_ns=60 * SECOND)
        wrote(url, "c1", "c2", signing=signing)
        keys = [KEY.verifier]
        found = verify(url, keys=keys)
        assert (found.exit_code, found.verdict, found.head_signed) == (0, "verified", True)
        assert monitor(tmp_path / "seen.txt", url, keys).exit_code == 0
        with pytest.raises(LedgerInvalid, match="give its key"):
            ledger_at(url, **PATIENT).open()
        wrote(url, "c3", signing=signing)
        assert monitor(tmp_path / "seen.txt", url, keys).told.startswith("consistent")
        done = rotate(url, signing, NEXT, clock=SystemClock(), actor="u-7", why="yearly")
        assert verify(url, keys=[KEY.verifier, NEXT.verifier]).verdict == "verified"
        assert done.size == len(kinds(url))
        attack(url, "UPDATE ledger_head SET sig = NULL")
        assert verify(url, keys=[NEXT.verifier]).exit_code == 1

    def test_a_log_that_a_process_has_open_isnt_handed_over(self, url: str, tmp_path: Path) -> None:
        signing = signing_in(tmp_path, every_ns=60 * SECOND)
        with pytest.raises(LedgerInvalid, match="there is no ledger"):
            rotate(url, signing, NEXT, clock=SystemClock(), actor="u-7", why="yearly")
        ledger = ledger_at(url, **PATIENT, signing=signing)
        ledger.open()
        with pytest.raises(LedgerInvalid, match="a process has it open"):
            rotate(url, signing, NEXT, clock=SystemClock(), actor="u-7", why="yearly")
        ledger.close()

    def test_nor_one_whose_session_was_cut_while_it_had_nothing_to_write(self, url: str, tmp_path: Path) -> None:
        signing = signing_in(tmp_path, every_ns=60 * SECOND)

        def hand_over() -> None:
            rotate(url, signing, NEXT, clock=SystemClock(), actor="u-7", why="yearly")

        ledger = ledger_at(url, **PATIENT, signing=signing)
        ledger.open()
        settled(call(ledger, "c1")[1])
        end_connections(url)
        emitter = ledger._appender.emitter.id
        with pytest.raises(LedgerInvalid, match=rf"process {os.getpid()} on worker-1, emitter {emitter} had it open"):
            hand_over()
        recovers(ledger)
        with pytest.raises(LedgerInvalid, match="a process has it open"):
            hand_over()
        ledger.close()
        hand_over()
        assert verify(url, keys=[KEY.verifier, NEXT.verifier]).verdict == "verified"

    def test_whoever_is_gone_is_looked_after_by_the_next_and_then_it_is_handed_over(
        self, url: str, tmp_path: Path
    ) -> None:
        signing = signing_in(tmp_path, every_ns=60 * SECOND)
        wrote(url, "c1", signing=signing)
        (left,) = rows(url, "SELECT emitter FROM ledger_record WHERE type = 'emitter.closed'")[0]
        attack(url, f"INSERT INTO ledger_live VALUES ('{left}'), ('{'0f' * 16}')")
        store = locate(url).store(signing.signer())
        store.open(list)
        assert store.missing() is None  # one closed it, the other never opened it
        store.close()
        lost = LedgerDatabase(Address.parse(url), signing.signer())
        lost.open(list)
        emitter = Emitter(lost.origin, SystemClock(), os.urandom)
        lost.hold(emitter.id)
        lost.append([emitter.build(draft.emitter_opened("h", 1, {"a": "b"}), 1, 1)])
        assert lost.missing() == emitter.id
        lost.close()
        with pytest.raises(LedgerInvalid, match="start the application and end it again"):
            rotate(url, signing, NEXT, clock=SystemClock(), actor="u-7", why="yearly")
        wrote(url, "c2", signing=signing)
        rotate(url, signing, NEXT, clock=SystemClock(), actor="u-7", why="yearly")

    def test_a_signed_log_whose_tables_are_gone_isnt_begun_anew(self, url: str, tmp_path: Path) -> None:
        signing = signing_in(tmp_path, every_ns=60 * SECOND)
        wrote(url, "c1", signing=signing)
        attack(url, *(f"DELETE FROM {each}" for each in postgres_schema.TABLES))
        with pytest.raises(LedgerInvalid, match="checkpoints of this log were signed"):
            ledger_at(url, **PATIENT, signing=signing).open()


@pytest.mark.parametrize(
    "rest", ["app:can#ary@db/x", "app:can/ary@db/x", "app:1/canary@db/x", "app:p@canary@db/x", "[canary", "db:canary/x"]
)
def test_an_address_whose_parts_arent_plain_isnt_shown(rest: str) -> None:
    with pytest.raises(LedgerInvalid, match="%40 %2F %3F %23 %20") as told:
        locate(f"postgresql://{rest}")
    assert "can" not in str(told.value).replace("can't", "")
    with pytest.raises(LedgerInvalid) as told:
        locate(f"postgresql+psycopg://{rest}")
    assert "can" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:c%40n%2Fry@db:5433/x%20y?schema=s", "postgresql://db:5433/x y?schema=s"),
        ("postgresql://h/a%1B[2J?host=\x1b", "postgresql://h/a%1B[2J?host=%1B"),
        ("postgres://app@[::1]:5,other/x?password=canary", "postgresql://[::1]:5,other/x"),
        ("postgresql:///?host=/run/pg&password=canary", "postgresql:///?host=/run/pg"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert str(locate(url)) == shown


def test_a_step_that_fails_is_told_as_the_database_says_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_module, "steps", lambda schema: ("SELECT nothing",))
    with pytest.raises(DatabaseFailed, match="42703"):
        LedgerDatabase(Address.parse(url)).open(list)


def test_lines_of_nobody_among_those_who_are_alive_are_passed_over(url: str) -> None:
    first = ledger_at(url)
    first.open()
    first.close()
    attack(url, f"INSERT INTO ledger_live VALUES ('zz'), (''), ('{'0f' * 16}')")  # as before the tables' second step
    assert not locate(url).store().anybody()
    following = ledger_at(url)
    following.open()
    following.close()
    assert rows(url, "SELECT emitter FROM ledger_live ORDER BY 1") == [("",), ("zz",)]


@pytest.mark.parametrize(
    "mistyped",
    [
        "host=db user=app password=canary dbname=x",
        "dbname=x PASSWORD = canary",
        "host=db passfile=/canary",
        "postgresql:app:canary@db",
        "postgresql:/app:canary@h/db",
        "postgresql//app:canary@h/db",
        " Postgres:app:canary@h/db",
        "sqlite://app:canary@h/db",
        "sqlite:canary",
        "app:canary@h/db",
    ],
)
def test_an_address_that_is_mistyped_is_no_files_name_and_isnt_shown(mistyped: str) -> None:
    with pytest.raises(LedgerInvalid, match="the ledger's address: a file, sqlite") as told:
        locate(mistyped)
    assert "canary" not in str(told.value)


@pytest.mark.parametrize(
    "name", ["x.db", "postgres.db", "postgresql-ledger.db", "sqlite.db", "at 12:30.db", "/a@b/c:d.db", "passwords.db"]
)
def test_a_files_name_may_be_like_an_address(name: str) -> None:
    assert locate(name) == locate(f"sqlite:///{name}") == InFile(Path(name))


@pytest.mark.parametrize(
    ("code", "away", "unknown"),
    [
        ("25006", True, False),
        ("25P03", True, True),
        ("25P04", True, True),
        ("55P03", True, False),
        ("57P01", True, True),
        ("40003", False, True),
        ("25P02", False, False),
        ("42501", False, False),
    ],
)
def test_what_a_servers_code_says_of_what_became_of_a_command(code: str, away: bool, unknown: bool) -> None:
    told = read_module.failed(psycopg.errors.lookup(code)())
    assert (told.away, told.unknown) == (away, unknown)


@pytest.mark.parametrize(
    ("code", "severity", "away", "unknown"),
    [
        ("58030", "PANIC", True, True),
        ("58030", "ERROR", True, False),
        ("XX000", "PANIC", True, True),
        ("XX000", "FATAL", False, True),
        ("XX000", "ERROR", False, False),
    ],
)
def test_a_server_that_dies_of_a_commit_may_find_it_in_its_own_log(
    code: str, severity: str, away: bool, unknown: bool
) -> None:
    """As PostgreSQL does where its log couldn't be flushed and holds it all the same: measured by failing fdatasync once."""

    class Error(psycopg.errors.lookup(code)):  # type: ignore[misc]
        diag = SimpleNamespace(severity_nonlocalized=severity)

    told = read_module.failed(Error())
    assert (told.away, told.unknown) == (away, unknown)


def test_who_is_frozen_within_a_transaction_doesnt_keep_the_lock_for_ever(url: str) -> None:
    """Measured by stopping a process there: the others go on after 5 s. Here it's enough that the server was told."""
    ledger = ledger_at(url, **PATIENT)
    ledger.open()
    settled(ledger.submit(started("c1")))
    database = ledger._appender.store._database  # type: ignore[attr-defined]
    assert database.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("5s",)
    ledger.close()
