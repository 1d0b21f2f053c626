"""Shared state in a real PostgreSQL: what one process finds out reaches the others; what becomes of a server reaches nobody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from fleet_process import Item, RateItem
from tests.postgres_server import PostgresServer

from failsoft import ConfigurationError, Isolation
from failsoft.core.effects import Ask
from failsoft.core.shared import LeaseAsk, Seen, StateLost, fact, leased, merged
from failsoft.io.state_postgres import STEPS, PostgresStore, problem
from failsoft.migrations import bring_up

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SCOPES = (f"scope-{number}" for number in count())
LEASE = "k/lease"


BOLT = Item(description="bolt")


def eventually(holds: Callable[[], bool], seconds: float = 15.0) -> float:
    """Wait until it holds; gives how long that took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() < begun + seconds, "it never came to that"
        threading.Event().wait(0.01)
    return time.monotonic() - begun


@pytest.fixture
def scope() -> str:
    return next(SCOPES)


@pytest.fixture
def store(postgres: PostgresServer, scope: str) -> Iterator[Callable[..., PostgresStore]]:
    made: list[PostgresStore] = []

    def make(timeout: float = 5.0) -> PostgresStore:
        made.append(PostgresStore(postgres.url, scope, timeout))
        made[-1].open()
        return made[-1]

    yield make
    for each in made:
        each.close()


Make = Callable[..., PostgresStore]


class TestTheStore:
    def test_what_one_tells_all_see_and_are_woken_for(self, store: Make) -> None:
        one, two, three = store(), store(), store()
        told = {"k/open": fact(1, 5, owner="a")}
        assert one.exchange(told, ()).facts == told
        for each in (two, three):
            assert each.wait(10.0)
            assert each.exchange({}, ()).facts == told

    def test_it_merges_as_the_processes_do(self, store: Make) -> None:
        one, two = store(), store()
        several = [
            {"a": fact(1, 9, owner="x"), "b": fact(2, 0, owner="é")},
            {"a": fact(2, 0, owner="x"), "b": fact(2, 0, owner="z")},
            {"a": fact(1, 10, owner="y"), "b": fact(1, 99, owner="a")},
        ]
        for each in several:
            one.exchange(each, ())
        assert two.exchange(several[0], ()).facts == merged(*several)

    @pytest.mark.parametrize(
        "odd", [(2**62, 0, ""), (2**63 - 1, 1, ""), (-1, 1, ""), (1, 2**63 - 1, ""), (1, 1, "x" * 5_000)]
    )
    def test_what_nobody_can_have_told_is_as_if_it_werent_there(
        self, store: Make, postgres: PostgresServer, scope: str, odd: tuple[int, int, str]
    ) -> None:
        one = store()
        for name in ("k/open", LEASE):
            values = f"'{scope}', '{name}', {odd[0]}, {odd[1]}, '{odd[2]}'"
            postgres.execute(f"INSERT INTO failsoft.state (scope, name, epoch, rank, body) VALUES ({values})")
        assert one.exchange({}, ()).facts == {}
        told = {"k/open": fact(1, 5, owner="a")}
        seen = one.exchange(told, [LeaseAsk(LEASE, "a", 1, 1_000)])
        assert seen.facts["k/open"] == told["k/open"]
        assert (seen.facts[LEASE].epoch, seen.facts[LEASE].owner) == (2, "a")

    def test_nor_does_a_lease_in_force_that_nobody_can_have_been_granted_keep_anybody_from_trying(
        self, store: Make, postgres: PostgresServer, scope: str
    ) -> None:
        one = store()
        soon = one.exchange({}, ()).now_ms + 30_000
        postgres.execute(f"INSERT INTO failsoft.state VALUES ('{scope}', '{LEASE}', {2**62}, {soon}, '')")
        seen = one.exchange({}, [LeaseAsk(LEASE, "a", 1, 60_000)])
        assert (seen.facts[LEASE].epoch, seen.facts[LEASE].owner) == (2, "a")

    def test_a_client_encoding_that_the_environment_asks_for_is_overruled(
        self, store: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
        told = {"block/adapter:größe": fact(1, 1, why="ü")}
        assert store().exchange(told, ()).facts == told

    def test_what_it_knows_already_wakes_nobody(self, store: Make) -> None:
        one, two = store(), store()
        one.exchange({"a": fact(1, 1)}, ())
        assert two.wait(10.0)
        one.exchange({"a": fact(1, 1)}, ())
        assert not two.wait(0.1)

    def test_ones_own_word_wakes_not_oneself(self, store: Make) -> None:
        one = store()
        one.exchange({"a": fact(1, 1)}, ())
        assert not one.wait(0.1)

    def test_another_scopes_word_is_neither_seen_nor_heard(self, postgres: PostgresServer, store: Make) -> None:
        one, other = store(), PostgresStore(postgres.url, next(SCOPES), 5.0)
        other.open()
        one.exchange({"a": fact(1, 1)}, ())
        assert not other.wait(0.1)
        assert other.exchange({}, ()).facts == {}
        other.close()

    def test_its_clock_is_the_servers(self, postgres: PostgresServer, store: Make) -> None:
        before = postgres.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")[0][0]
        seen = store().exchange({}, ())
        assert isinstance(before, int)
        assert 0 <= seen.now_ms - before < 60_000

    def test_a_lease_is_one_owners(self, store: Make) -> None:
        one, two = store(), store()
        first = one.exchange({}, [LeaseAsk(LEASE, "a", 7, 60_000)])
        held = first.facts[LEASE]
        assert (held.epoch, held.owner) == (8, "a")
        assert 0 <= held.rank - first.now_ms <= 60_000
        assert two.exchange({}, [LeaseAsk(LEASE, "b", 7, 60_000)]).facts[LEASE] == held
        again = one.exchange({}, [LeaseAsk(LEASE, "a", 9, 60_000)]).facts[LEASE]
        assert (again.epoch, again.owner) == (8, "a")
        assert again.rank >= held.rank

    def test_one_that_is_given_back_goes_to_the_next_in_a_higher_epoch(self, store: Make) -> None:
        one, two = store(), store()
        held = one.exchange({}, [LeaseAsk(LEASE, "a", 0, 60_000)]).facts[LEASE]
        one.exchange({LEASE: fact(held.epoch + 1, 0, owner="a")}, ())
        given = two.exchange({}, [LeaseAsk(LEASE, "b", 0, 60_000)]).facts[LEASE]
        assert (given.epoch, given.owner) == (held.epoch + 2, "b")

    def test_one_that_ran_out_does_too(self, store: Make) -> None:
        one, two = store(), store()
        held = one.exchange({}, [LeaseAsk(LEASE, "a", 0, 1)]).facts[LEASE]
        eventually(lambda: two.exchange({}, [LeaseAsk(LEASE, "b", 0, 60_000)]).facts[LEASE].owner == "b")
        assert two.exchange({}, ()).facts[LEASE].epoch > held.epoch

    def test_a_servers_clock_that_was_set_back_binds_no_lease_for_long(self, store: Make) -> None:
        one = store()
        far = one.exchange({}, ()).now_ms + 10**7
        lease = leased(None, LeaseAsk(LEASE, "a", 0, 0), far)
        assert lease is not None
        one.exchange({LEASE: lease}, ())
        assert one.exchange({}, [LeaseAsk(LEASE, "b", 0, 10_000)]).facts[LEASE].owner == "b"

    def test_of_eight_that_ask_at_once_one_gets_it(self, store: Make) -> None:
        stores = [store() for _ in range(8)]
        seen: list[Seen] = []
        begin = threading.Barrier(8)

        def ask(number: int) -> None:
            begin.wait()
            seen.append(stores[number].exchange({}, [LeaseAsk(LEASE, str(number), 0, 60_000)]))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len({each.facts[LEASE] for each in seen}) == 1
        assert seen[0].facts[LEASE].epoch == 1

    def test_a_wait_ends_when_its_woken(self, store: Make) -> None:
        one = store()
        for _ in range(100_000):
            one.wake()
        assert not one.wait(60)
        eventually(lambda: not one.wait(0))

    def test_old_counts_are_gone_after_the_next_start(self, store: Make) -> None:
        one = store()
        one.exchange({"k/day/a": fact(5, 1), "k/open": fact(5, 1)}, ())
        assert store().exchange({}, ()).facts.keys() == {"k/open"}


class TestAServerThatFares:
    def test_paused_is_given_up_in_time(self, postgres: PostgresServer, store: Make) -> None:
        one = store(0.05)
        with postgres.paused():
            begun = time.monotonic()
            with pytest.raises(StateLost, match="too slow"):
                one.exchange({}, ())
            assert time.monotonic() - begun < 1.0
            one.close()
            with pytest.raises(StateLost, match="can't be reached"):
                one.open()
        one.open()
        one.exchange({}, ())

    def test_slow_is_cut_off_on_its_own_side_too(self, postgres: PostgresServer, store: Make) -> None:
        one, table = store(0.2), store()
        assert table._connection is not None
        table._connection.execute("BEGIN")
        table._connection.execute("LOCK TABLE failsoft.state")
        with pytest.raises(StateLost, match="too slow"):
            one.exchange({"a": fact(1, 1)}, ())

    def test_dead_ends_a_wait_and_comes_back_with_what_it_knew(self, postgres: PostgresServer, store: Make) -> None:
        one = store()
        one.exchange({"a": fact(1, 1)}, ())
        try:
            postgres.kill()
            with pytest.raises(StateLost, match="the connection was lost"):
                _listen(one)
            one.close()
            with pytest.raises(StateLost, match="can't be reached"):
                one.open()
            with pytest.raises(StateLost, match="can't be reached"):
                one.exchange({}, ())
        finally:
            postgres.start()
        one.open()
        assert one.exchange({}, ()).facts.keys() == {"a"}

    def test_whose_listening_connection_was_ended_says_so(self, postgres: PostgresServer, store: Make) -> None:
        one = store()
        postgres.end_connections()
        with pytest.raises(StateLost, match=r"the connection was lost|refused \(57P01\)"):
            _listen(one)

    def test_refuses_is_named_by_its_code_alone(self, postgres: PostgresServer) -> None:
        url = postgres.url.replace("/postgres?", "/nowhere-hunter2?")
        with pytest.raises(StateLost) as told:
            PostgresStore(url, "s", 1.0).open()
        assert "hunter2" not in str(told.value)
        assert told.value.__cause__ is None

    def test_lacks_rights_is_named_by_its_code(self, postgres: PostgresServer) -> None:
        postgres.execute("DROP ROLE IF EXISTS reader")
        postgres.execute("CREATE ROLE reader LOGIN")
        store = PostgresStore(postgres.url.replace("postgres:@", "reader:@"), next(SCOPES), 1.0)
        with pytest.raises(StateLost, match=r"refused \(42501\)"):
            store.open()

    def test_an_address_that_is_none_is_told_without_it(self) -> None:
        said = problem("postgresql://u:hunter2@h/d?nonsense=1")
        assert said is not None
        assert "hunter2" not in said
        assert problem("postgresql://h/d") is None


def _listen(store: PostgresStore) -> None:
    for _ in range(3):  # a word of farewell comes first
        store.wait(30)


class Proxy:
    """Between a client and the server, as a network is: each piece arrives late."""

    def __init__(self, folder: Path, server: str) -> None:
        self.delay = 0.0
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), target:
            while piece := source.recv(65_536):
                threading.Event().wait(self.delay)
                target.sendall(piece)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[tuple[Proxy, str]]:
    folder = postgres.url.partition("host=")[2]
    with tempfile.TemporaryDirectory(prefix="failsoft-proxy-") as own:
        between = Proxy(Path(own), f"{folder}/.s.PGSQL.5432")
        yield between, postgres.url.replace(folder, own)
        between.close()


class TestADistantServer:
    def test_is_as_good_as_a_near_one_within_the_time_limit(
        self, proxy: tuple[Proxy, str], scope: str, store: Make
    ) -> None:
        between, url = proxy
        between.delay = 0.02
        far, near = PostgresStore(url, scope, 5.0), store()
        far.open()
        near.exchange({"a": fact(1, 1)}, ())
        assert far.wait(10.0)
        assert far.exchange({}, ()).facts.keys() == {"a"}
        far.close()

    def test_beyond_it_makes_no_call_wait_and_is_shared_again_when_its_near(
        self, host: Hosts, proxy: tuple[Proxy, str]
    ) -> None:
        between, url = proxy
        with host(url, timeout="200ms") as one:
            assert one.isolation.health().state.shared
            between.delay = 0.5
            eventually(lambda: bool(one.told("state.degraded")))
            assert one.told("state.degraded")[0]["reason"] == "too slow"
            begun = time.monotonic()
            assert one.call(3) == [True] * 3
            assert time.monotonic() - begun < 2.0
            between.delay = 0.0
            eventually(lambda: bool(one.told("state.recovered")))


class TestMigrations:
    @pytest.fixture
    def execute(self, postgres: PostgresServer, store: Make) -> Callable[[str, Any], Any]:
        return store()._execute

    def test_are_applied_once_and_in_order(self, execute: Any) -> None:
        steps = ("CREATE TABLE failsoft.one (a int)", "ALTER TABLE failsoft.one ADD COLUMN b int")
        assert bring_up(execute, "once", steps[:1], "place") == 1
        assert bring_up(execute, "once", steps, "place") == 1
        assert bring_up(execute, "once", steps, "place") == 0
        execute("INSERT INTO failsoft.one (a, b) VALUES (1, 2)", ())

    def test_that_fail_leave_nothing_behind(self, execute: Any) -> None:
        with pytest.raises(StateLost):
            bring_up(execute, "torn", ("CREATE TABLE failsoft.torn (a int)", "nonsense"), "place")
        assert execute("SELECT to_regclass('failsoft.torn')", ()) == [(None,)]
        assert bring_up(execute, "torn", ("CREATE TABLE failsoft.torn (a int)",), "place") == 1

    def test_of_a_later_version_are_refused(self, execute: Any) -> None:
        bring_up(execute, "later", ("SELECT 1", "SELECT 2"), "place")
        with pytest.raises(
            ConfigurationError, match="place: its tables for later are version 2, and this failsoft knows 1"
        ):
            bring_up(execute, "later", ("SELECT 1",), "place")

    def test_are_made_by_one_of_many_that_start_at_once(self, postgres: PostgresServer) -> None:
        postgres.execute("DROP SCHEMA IF EXISTS failsoft CASCADE")
        stores = [PostgresStore(postgres.url, "start", 5.0) for _ in range(6)]
        errors: list[BaseException] = []

        def start(each: PostgresStore) -> None:
            try:
                each.open()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=start, args=(each,)) for each in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in stores:
            each.close()
        assert errors == []
        assert postgres.execute("SELECT component, version FROM failsoft.migration") == [("state", len(STEPS))]

    def test_need_no_right_to_create_where_theyre_done(self, postgres: PostgresServer, store: Make) -> None:
        store()
        postgres.execute("DROP ROLE IF EXISTS worker")
        postgres.execute("CREATE ROLE worker LOGIN")
        postgres.execute("GRANT USAGE ON SCHEMA failsoft TO worker")
        postgres.execute("GRANT SELECT ON failsoft.migration TO worker")
        postgres.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON failsoft.state TO worker")
        try:
            one = PostgresStore(postgres.url.replace("postgres:@", "worker:@"), next(SCOPES), 1.0)
            one.open()
            one.exchange({"a": fact(1, 1)}, [LeaseAsk(LEASE, "a", 0, 1_000)])
            one.close()
        finally:
            postgres.execute("DROP OWNED BY worker")
            postgres.execute("DROP ROLE worker")


# --- whole isolations -------------------------------------------------------------------------------------------------


class Host:
    """An isolation on a host of its own: its own ledger and blocks, and what it told."""

    def __init__(self, folder: Path, url: str, scope: str, **state: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.fails = False
        self.isolation = Isolation(
            {
                "ledger": {"url": f"sqlite:///{folder}/failsoft.db"},
                "state": {"url": url, "scope": scope, "timeout": "2s", "refresh": "500ms", **state},
                "capabilities": {"rate-item": {"adapters": ["a"], "deadline": "5s"}},
            },
            capabilities=[RateItem],
        )
        self.isolation.telemetry.emit = self._emit  # type: ignore[method-assign]
        self.isolation.adapter("a", model="m-1", text=lambda reply: reply, attempts=1)(self._ask)

    def _emit(self, name: str, /, **fields: Any) -> None:
        self.events.append((name, fields))

    def _ask(self, ask: Ask) -> str:
        if self.fails:
            raise ConnectionError
        return '{"stars": 3}'

    def call(self, times: int = 1) -> list[bool]:
        return [self.isolation[RateItem].sync(BOLT).by_ai for _ in range(times)]

    def told(self, name: str) -> list[dict[str, Any]]:
        return [fields for event, fields in list(self.events) if event == name]

    @property
    def state(self) -> str:
        return self.isolation.health().adapters["a"].state

    def __enter__(self) -> Host:
        self.isolation.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.isolation.__exit__(None, None, None)


@pytest.fixture
def host(postgres: PostgresServer, scope: str, tmp_path: Path) -> Callable[..., Host]:
    numbers = count()

    def make(url: str = postgres.url, **state: Any) -> Host:
        return Host(tmp_path / f"host-{next(numbers)}", url, scope, **state)

    return make


Hosts = Callable[..., Host]


class TestBlocks:
    def test_reach_every_host_within_a_second_and_end_as_soon(self, host: Hosts) -> None:
        with host() as one, host() as two, host() as three:
            one.isolation.block("adapter:a", why="wrong answers", actor="jdoe")
            for each in (two, three):
                assert eventually(lambda each=each: each.call() == [False]) < 1.0  # type: ignore[misc]
                eventually(lambda each=each: "adapter:a" in each.isolation.blocks)  # type: ignore[misc]
                assert "wrong answers" in str(each.isolation.blocks["adapter:a"])
            two.isolation.unblock("adapter:a", why="mended", actor="asmith")
            for each in (one, three):
                assert eventually(lambda each=each: "adapter:a" not in each.isolation.blocks) < 1.0  # type: ignore[misc]
                assert eventually(lambda each=each: each.call() == [True]) < 1.0  # type: ignore[misc]

    def test_are_known_to_a_host_that_starts_later(self, host: Hosts) -> None:
        with host() as one:
            one.isolation.block("capability:rate-item", why="order", actor="jdoe")
        with host() as two:
            assert two.call() == [False]

    def test_made_and_ended_while_its_gone_merge_when_its_back(self, host: Hosts, postgres: PostgresServer) -> None:
        with host() as one, host() as two:
            one.isolation.block("capability:rate-item", why="order", actor="jdoe")
            eventually(lambda: two.call() == [False])
            try:
                postgres.kill()
                eventually(lambda: bool(one.told("state.degraded")))
                one.isolation.block("adapter:a", why="wrong", actor="jdoe")
                two.isolation.unblock("capability:rate-item", why="lifted", actor="asmith")
                assert one.call() == [False]
            finally:
                postgres.start()
            eventually(lambda: one.isolation.blocks.keys() == two.isolation.blocks.keys() == {"adapter:a"})

    def test_that_nobody_can_know_of_are_taken_for_granted(self, host: Hosts) -> None:
        with host("postgresql://127.0.0.1:1/nowhere") as one:
            assert one.call() == [False]
            health = one.isolation.health()
            assert "isn't known" in str(health.adapters["a"].blocked)
            assert health.state.reason == "can't be reached"

    def test_are_kept_in_memory_where_theres_no_file(self, postgres: PostgresServer, scope: str) -> None:
        config = {
            "ledger": {"url": "none"},
            "state": {"url": postgres.url, "scope": scope, "timeout": "2s"},
            "capabilities": {"rate-item": {}},
        }
        with Isolation(config, capabilities=[RateItem]) as one, Isolation(config, capabilities=[RateItem]) as two:
            assert two.block_path is None
            one.block("capability:rate-item", why="order", actor="jdoe")
            eventually(lambda: two.blocks.keys() == {"capability:rate-item"})


def test_an_isolation_that_meets_a_later_versions_tables_isnt_entered_and_leaves_nothing_open(
    host: Hosts, postgres: PostgresServer, store: Make
) -> None:
    store()
    postgres.execute("INSERT INTO failsoft.migration (component, version) VALUES ('state', 99)")
    one = host()
    before = set(threading.enumerate())  # those of another test may end meanwhile
    try:
        with pytest.raises(ConfigurationError, match=r"state\.url: its tables for state are version 99"):
            one.__enter__()
        assert set(threading.enumerate()) <= before
    finally:
        postgres.execute("DELETE FROM failsoft.migration WHERE version = 99")
    with one:
        assert one.call() == [True]


class TestAFleet:
    def test_an_opening_reaches_all_and_the_first_success_closes_it_for_all(self, host: Hosts) -> None:
        with host() as one, host() as two, host() as three:
            hosts = (one, two, three)
            one.fails = True
            one.call(5)
            eventually(lambda: [each.state for each in hosts] == ["open"] * 3)
            one.fails = False
            eventually(lambda: any(any(each.call()) for each in hosts), 20)
            eventually(lambda: [any(each.call()) and each.state == "closed" for each in hosts] == [True] * 3)

    def test_goes_on_under_load_while_its_server_dies_and_comes_back(
        self, host: Hosts, postgres: PostgresServer
    ) -> None:
        slowest = [0.0, 0.0]
        done = threading.Event()

        def load(place: int, each: Host) -> None:
            while not done.is_set():
                begun = time.monotonic()
                each.call()
                slowest[place] = max(slowest[place], time.monotonic() - begun)

        with host() as one, host() as two:
            threads = [threading.Thread(target=load, args=given) for given in enumerate((one, two))]
            for thread in threads:
                thread.start()
            try:
                try:
                    postgres.kill()
                    eventually(lambda: bool(one.told("state.degraded") and two.told("state.degraded")))
                    health = one.isolation.health().state
                    assert (health.store, health.shared, health.reason) == (
                        "postgresql",
                        False,
                        one.told("state.degraded")[0]["reason"],
                    )
                    assert health.degraded_since is not None
                finally:
                    postgres.start()
                eventually(lambda: bool(one.told("state.recovered") and two.told("state.recovered")))
                assert one.isolation.health().state.shared
            finally:
                done.set()
                for thread in threads:
                    thread.join()
            assert max(slowest) < 2.0
            assert len(one.told("state.degraded")) == len(one.told("state.recovered")) == 1

    def test_one_that_leaves_gives_up_its_connection(self, host: Hosts, postgres: PostgresServer) -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'failsoft'"
        eventually(lambda: postgres.execute(query) == [(0,)])  # a server lets go of another test's in its own time
        with host():
            assert postgres.execute(query) == [(1,)]
        eventually(lambda: postgres.execute(query) == [(0,)])

    def test_a_forked_child_shares_by_a_connection_of_its_own(self, host: Hosts) -> None:
        with host() as one, host() as two:
            child = os.fork()
            if child == 0:
                try:
                    one.fails = True
                    one.call(5)
                    eventually(lambda: one.isolation._sharer is not None and one.isolation._sharer._kept > 1)
                    eventually(
                        lambda: not one.isolation._sharer._fleet._unsaid and bool(one.isolation._sharer._fleet._known)
                    )  # type: ignore[union-attr]
                finally:
                    os._exit(0)
            _, status = os.waitpid(child, 0)
            assert status == 0
            eventually(lambda: two.state == "open")
            assert one.isolation.health().state.shared
            one.isolation.block("adapter:a", why="order", actor="jdoe")
            eventually(lambda: "adapter:a" in two.isolation.blocks)


def test_row_80_a_dead_server_stops_no_call_and_ends_no_block(host: Hosts, postgres: PostgresServer) -> None:
    with host() as one, host() as two:
        one.isolation.block("adapter:a", why="order", actor="jdoe")
        eventually(lambda: two.call() == [False])
        try:
            postgres.kill()
            eventually(lambda: bool(two.told("state.degraded")))
            assert two.call(3) == [False] * 3
            two.__exit__()
            two.__enter__()
            assert two.call(3) == [False] * 3
        finally:
            postgres.start()


def test_row_80_a_paused_server_makes_no_call_wait(host: Hosts, postgres: PostgresServer) -> None:
    with host(timeout="50ms") as one, host(timeout="50ms") as two:
        with postgres.paused():
            eventually(lambda: bool(one.told("state.degraded")))
            two.fails = True
            begun = time.monotonic()
            two.call(5)
            assert time.monotonic() - begun < 2.0
            assert two.state == "open"
            assert one.call() == [True]
        eventually(lambda: one.state == "open")
        assert one.isolation.health().state.shared


def test_row_100_a_process_that_knows_better_isnt_misled_by_a_sick_one(host: Hosts) -> None:
    with host() as one, host() as two:
        two.call(5)
        one.fails = True
        one.call(5)
        eventually(lambda: bool(two.told("peer.disagrees")))
        assert two.call(3) == [True] * 3


@pytest.mark.parametrize("kind", ["postgresql", "file"])
def test_of_four_processes_one_tries_at_a_time(postgres: PostgresServer, scope: str, tmp_path: Path, kind: str) -> None:
    journal, mended = tmp_path / "journal", tmp_path / "mended"
    folders = [tmp_path / (str(number) if kind == "postgresql" else "shared") for number in range(4)]
    url = postgres.url if kind == "postgresql" else "file"
    processes = [_process(url, scope, folder, journal, mended) for folder in folders]
    try:
        for each in processes:
            assert each.stdout is not None
            assert each.stdout.readline() == b"ready\n"
        eventually(lambda: journal.exists() and len(journal.read_text().splitlines()) >= 6, 90)
        mended.touch()
        for each in processes:
            assert each.stdout is not None
            assert each.stdout.readline() == b"answered\n"
    finally:
        for each in processes:
            each.communicate(timeout=30)
    lines = map(str.split, journal.read_text().splitlines())
    trials = sorted((float(moment), pid) for moment, pid, well in lines if well == "False")
    assert len(trials) >= 6
    for (before, one), (after, other) in pairwise(trials):
        assert one == other or after - before > 0.5, trials  # an opening of 0.6 s lies between two processes' trials


def _process(url: str, scope: str, folder: Path, journal: Path, mended: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    config = folder / "failsoft.toml"
    config.write_text(
        f'[state]\nurl = "{url}"\nscope = "{scope}"\nrefresh = "500ms"\ntimeout = "2s"\n'
        '[capabilities.rate-item]\nadapters = ["a"]\ndeadline = "5s"\n'
    )
    script = Path(__file__).with_name("fleet_process.py")
    arguments = [sys.executable, str(script), str(config), str(journal), str(mended)]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
