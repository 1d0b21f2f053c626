"""The front door: entering and leaving, asking in either style, blocking, health, adapters in code, forking."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

import failsoft
from failsoft import Capability, ConfigurationError, Isolation, IsolationClosed, Outcome, capability
from failsoft.assembly_adapters import transition
from failsoft.context import current_context, end_by
from failsoft.core.effects import Ask
from failsoft.core.throttle import ThrottleChange
from failsoft.fault import Settlement
from failsoft.io.block_file import LOOK_EVERY
from failsoft.ledger.read import Entry, read
from failsoft.ledger.verify import verify
from failsoft.outcome import Grade, Pin, Served
from failsoft.upkeep import Upkeep

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Item(BaseModel):
    model_config = ConfigDict(frozen=True)
    description: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)


class Lookup(Capability[Item, Rating]):
    def __init__(self, stars: int, name: str = "lookup") -> None:
        self.stars = stars
        self.name = name

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=self.stars)


@capability
def count_item(item: Item) -> Rating:
    """How many stars?"""
    return Rating(stars=len(item.description))


BOLT = Item(description="bolt")


def reply(stars: int = 3, model: str = "m") -> httpx.Response:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f'{{"stars": {stars}}}'}}
    return httpx.Response(200, json={"id": "x", "model": model, "choices": [choice]})


def answering(request: httpx.Request) -> httpx.Response:
    return reply()


def failing(request: httpx.Request) -> httpx.Response:
    return httpx.Response(400, json={"error": {"message": "no"}})


def table(folder: Path | None, **more: Any) -> dict[str, Any]:
    return {
        "ledger": {"url": "none" if folder is None else f"sqlite:///{folder}/failsoft.db"},
        "adapters": {"local": {"provider": "openai-compatible", "base_url": "http://127.0.0.1:1/v1", "model": "m"}},
        "capabilities": {"rate-item": {"adapters": ["local"]}},
        **more,
    }


def isolated(
    folder: Path | None = None, handler: Callable[[httpx.Request], httpx.Response] = answering, **more: Any
) -> Isolation:
    given = more.pop("capabilities_given", [RateItem])
    return Isolation(table(folder, **more), capabilities=given, transport=httpx.MockTransport(handler))


def in_code(*adapters: str, folder: Path | None = None, **settings: Any) -> Isolation:
    """An isolation whose adapters are made in code."""
    route = {"adapters": list(adapters or ("legacy",)), **settings}
    return isolated(folder, adapters={}, capabilities={"rate-item": route})


def records(folder: Path, kind: str) -> list[Entry]:
    with read(folder / "failsoft.db") as reader:
        return list(reader.records(kind=kind, last=100))


def ledger_threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name == "failsoft-ledger"}


class TestEntering:
    def test_the_constructor_opens_no_file_and_starts_no_thread(self, tmp_path: Path) -> None:
        before = threading.active_count()
        isolated(tmp_path)[RateItem]
        assert list(tmp_path.iterdir()) == []
        assert threading.active_count() == before

    def test_unentered_it_is_closed(self) -> None:
        with pytest.raises(IsolationClosed, match="enter the isolation first"):
            isolated()[RateItem].sync(BOLT)

    async def test_unentered_it_is_closed_to_await_too(self) -> None:
        with pytest.raises(IsolationClosed):
            await isolated()[RateItem](BOLT)

    async def test_left_it_is_closed_again(self) -> None:
        isolation = isolated()
        async with isolation:
            rate = isolation[RateItem]
        with pytest.raises(IsolationClosed):
            await rate(BOLT)

    def test_it_can_be_entered_again(self, tmp_path: Path) -> None:
        isolation = isolated(tmp_path)
        for _ in range(3):
            with isolation:
                assert isolation[RateItem].sync(BOLT).by_ai
        assert verify(tmp_path / "failsoft.db").exit_code == 0

    @pytest.mark.parametrize("where", ["_open_transports", "_share", "look_at_retirements"])
    def test_an_entering_that_fails_lets_go_of_the_ledger(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        def fails(*given: Any) -> None:
            raise RuntimeError("no")

        isolation, others = isolated(tmp_path), ledger_threads()
        with monkeypatch.context() as patch:
            patch.setattr(Upkeep if where == "look_at_retirements" else Isolation, where, fails)
            with pytest.raises(RuntimeError), isolation:
                pass
        assert ledger_threads() <= others
        assert isolation.running is None
        with isolation:
            isolation[RateItem].sync(BOLT)
        assert verify(tmp_path / "failsoft.db").exit_code == 0

    def test_a_leaving_that_fails_lets_go_of_the_ledger(self, tmp_path: Path) -> None:
        class Stuck(httpx.MockTransport):
            def close(self) -> None:
                raise RuntimeError("no")

        isolation = Isolation(table(tmp_path), capabilities=[RateItem], sync_transport=Stuck(answering))
        others = ledger_threads()
        with pytest.raises(RuntimeError), isolation:
            isolation[RateItem].sync(BOLT)
        assert ledger_threads() <= others
        assert records(tmp_path, "emitter.closed")

    async def test_entered_twice_it_is_open_until_left_twice(self) -> None:
        isolation = isolated()
        async with isolation:
            async with isolation:
                pass
            assert (await isolation[RateItem](BOLT)).by_ai

    async def test_left_once_too_often_it_can_be_entered_again(self) -> None:
        isolation = isolated()
        async with isolation:
            pass
        isolation.__exit__(None, None, None)
        await isolation.__aexit__(None, None, None)
        async with isolation:
            assert (await isolation[RateItem](BOLT)).by_ai
        with pytest.raises(IsolationClosed):
            await isolation[RateItem](BOLT)

    def test_threads_left_behind_are_none(self, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        with isolated(tmp_path) as isolation:
            isolation[RateItem].sync(BOLT)
        for each in set(threading.enumerate()) - before:
            each.join(5)
            assert not each.is_alive()

    def test_an_adapter_that_nobody_made_is_a_problem_at_the_latest_now(self) -> None:
        isolation = in_code("nobody")
        with pytest.raises(
            ConfigurationError, match=r'capabilities.rate-item.adapters\[0\]: no adapter named "nobody"'
        ):
            isolation.__enter__()


class TestAsking:
    async def test_by_await(self, tmp_path: Path) -> None:
        async with isolated(tmp_path) as isolation:
            outcome = await isolation[RateItem](BOLT)
        assert outcome.value == Rating(stars=3)
        assert outcome.by_ai
        assert not outcome.degraded
        assert (outcome.pin, outcome.source.name) == (Pin("m"), "local")
        assert records(tmp_path, "call.completed")[0].index == outcome.record

    def test_by_sync(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            outcome = isolation[RateItem].sync(BOLT)
        assert outcome.value == Rating(stars=3)
        assert records(tmp_path, "call.completed")[0].index == outcome.record

    def test_without_a_ledger_there_is_no_record(self) -> None:
        with isolated() as isolation:
            assert isolation[RateItem].sync(BOLT).record is None
            assert isolation.health().ledger == "off"

    def test_an_invalid_request_is_neither_asked_nor_recorded(self, tmp_path: Path) -> None:
        def never(request: httpx.Request) -> httpx.Response:
            raise AssertionError

        with isolated(tmp_path, never) as isolation, pytest.raises(ValidationError):
            isolation[RateItem].sync("bolt")  # type: ignore[arg-type]
        assert records(tmp_path, "call.started") == []

    def test_a_request_may_be_read_from_json(self) -> None:
        assert isolated()[RateItem].parse_request('{"description": "bolt"}') == BOLT

    def test_a_capability_knows_its_name(self) -> None:
        assert isolated()[RateItem].name == "rate-item"

    @pytest.mark.filterwarnings("always")
    async def test_sync_on_a_running_loop_works_and_warns_once(self) -> None:
        async with isolated() as isolation:
            with pytest.warns(RuntimeWarning, match="blocks the event loop") as caught:
                outcomes = [isolation[RateItem].sync(BOLT) for _ in range(2)]
        assert [each.by_ai for each in outcomes] == [True, True]
        assert len(caught) == 1
        assert caught[0].filename == __file__

    def test_from_many_threads_at_once(self, tmp_path: Path) -> None:
        outcomes: list[Outcome[Rating]] = []
        with isolated(tmp_path) as isolation:
            rate = isolation[RateItem]
            threads = [threading.Thread(target=lambda: outcomes.append(rate.sync(BOLT))) for _ in range(8)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
        assert len({each.call_id for each in outcomes}) == 8
        assert verify(tmp_path / "failsoft.db").exit_code == 0

    @pytest.mark.parametrize("deadline", ["2s", "250ms", 2, 0.01, 3600])
    def test_with_another_deadline(self, tmp_path: Path, deadline: str | float) -> None:
        with isolated(tmp_path) as isolation:
            isolation[RateItem].using(deadline=deadline).sync(BOLT)
            isolation[RateItem].sync(BOLT)
        first, second = (each.fields["deadline_ms"] for each in records(tmp_path, "call.started"))
        assert first == {"2s": 2000, "250ms": 250}.get(
            str(deadline), int(float(deadline) * 1000) if type(deadline) is not str else 0
        )
        assert second == 30_000

    @pytest.mark.parametrize(
        "deadline", ["", "2", "9ms", "61m", 0, -1, 0.009, 3601, float("nan"), float("inf"), None, "1e3s"]
    )
    def test_with_a_deadline_that_is_none(self, deadline: Any) -> None:
        with pytest.raises(ConfigurationError, match="deadline: "):
            isolated()[RateItem].using(deadline=deadline)

    async def test_its_context_goes_into_the_record(self, tmp_path: Path) -> None:
        async with isolated(tmp_path) as isolation:
            with failsoft.context(case="SPE4A7", actor="jdoe"):
                await isolation[RateItem](BOLT)
        for kind in ("call.started", "call.completed"):
            assert records(tmp_path, kind)[0].fields["case"] == {"id": "SPE4A7"}
        assert records(tmp_path, "call.started")[0].fields["actor"]["id"] == "jdoe"

    def test_labels_decide_who_may_see_it(self) -> None:
        with isolated() as isolation, failsoft.context(labels={"CUI"}):
            outcome = isolation[RateItem].sync(BOLT)
        assert not outcome.by_ai
        assert [str(each) for each in outcome.passed_over] == ["local: labels (may not see CUI)"]


class TestWhichCapability:
    def test_by_class_by_name_and_by_instance(self) -> None:
        lookup = Lookup(5)
        isolation = isolated(capabilities_given=[RateItem, lookup, count_item])
        assert isolation[RateItem] is not None
        assert isolation["rate-item"].name == isolation[RateItem].name
        assert isolation[lookup].name == isolation[Lookup].name == "lookup"
        assert isolation[count_item].name == "count-item"

    def test_an_instance_keeps_its_state(self) -> None:
        lookup = Lookup(5)
        with isolated(capabilities_given=[RateItem, lookup]) as isolation:
            assert isolation[lookup].sync(BOLT).value == Rating(stars=5)

    def test_two_instances_of_a_class_are_asked_by_themselves(self) -> None:
        one, two = Lookup(1, "one"), Lookup(2, "two")
        isolation = isolated(capabilities_given=[RateItem, one, two])
        assert (isolation[one].name, isolation[two].name) == ("one", "two")
        with pytest.raises(KeyError, match="isn't a capability of this isolation"):
            isolation[Lookup]

    @pytest.mark.parametrize("stranger", [Lookup, Lookup(1), "lookup", count_item])
    def test_a_stranger_is_told_whom_there_is(self, stranger: Any) -> None:
        with pytest.raises(KeyError, match=r"it has: rate-item"):
            isolated()[stranger]

    def test_without_any_a_stranger_is_told_so(self) -> None:
        with pytest.raises(KeyError, match=r"it has: none"):
            Isolation({"ledger": {"url": "none"}})[RateItem]


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            body = reply().content
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/v1"
        http.shutdown()
        thread.join()


class TestTransports:
    def test_sync_needs_no_event_loop(self, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def never() -> asyncio.AbstractEventLoop:
            raise AssertionError("a loop was made")

        monkeypatch.setattr(asyncio, "new_event_loop", never)
        adapters = {"local": {"provider": "openai-compatible", "base_url": server, "model": "m"}}
        with Isolation(table(None, adapters=adapters), capabilities=[RateItem]) as isolation:
            assert isolation[RateItem].sync(BOLT).by_ai

    async def test_both_styles_share_one_isolation(self, server: str) -> None:
        adapters = {"local": {"provider": "openai-compatible", "base_url": server, "model": "m"}}
        async with Isolation(table(None, adapters=adapters), capabilities=[RateItem]) as isolation:
            assert (await isolation[RateItem](BOLT)).by_ai
            assert (await asyncio.to_thread(isolation[RateItem].sync, BOLT)).by_ai

    def test_the_applications_own_asynchronous_one_serves_sync_through_a_loop(self) -> None:
        loops: set[object] = set()

        class Own(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                loops.add(asyncio.get_running_loop())
                return reply()

        with Isolation(table(None), capabilities=[RateItem], transport=Own()) as isolation:
            assert isolation[RateItem].sync(BOLT).by_ai
            assert isolation[RateItem].sync(BOLT).by_ai
        assert len(loops) == 1

    def test_the_applications_own_blocking_one_serves_sync(self) -> None:
        isolation = Isolation(table(None), capabilities=[RateItem], sync_transport=httpx.MockTransport(answering))
        with isolation:
            assert isolation[RateItem].sync(BOLT).by_ai


class TestBlocking:
    def test_a_blocked_adapter_isnt_asked(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            isolation.block("adapter:local", why="wrong answers", actor="jdoe")
            outcome = isolation[RateItem].sync(BOLT)
            assert outcome.passed_over[0].reason == "blocked"
            assert "jdoe" in outcome.passed_over[0].detail
            assert isolation.health().adapters["local"].blocked is not None

    def test_a_reason_is_kept_without_a_credential_that_stands_in_it(self, tmp_path: Path) -> None:
        secret = "sk-" + "proj-" + "aB3" * 16
        with isolated(tmp_path) as isolation:
            isolation.block("adapter:local", why=f"leaked {secret}", actor="jdoe")
            assert isolation.block_path is not None
            kept = isolation.block_path.read_text()
        assert ("leaked [redacted:" in kept, secret in kept) == (True, False)

    def test_a_blocked_capability_asks_nobody(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            isolation.block("capability:rate-item", why="w")
            assert not isolation[RateItem].sync(BOLT).by_ai
            assert isolation.health().capabilities["rate-item"].blocked is not None

    def test_it_is_obeyed_by_another_process_within_half_a_second(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            assert isolation[RateItem].sync(BOLT).by_ai
            isolated(tmp_path).block("adapter:local", why="w")
            assert isolation._switch._file is not None
            isolation._switch._file._look(time.monotonic_ns() + LOOK_EVERY)
            assert not isolation[RateItem].sync(BOLT).by_ai
            isolated(tmp_path).unblock("adapter:local", why="w")
            isolation._switch._file._look(time.monotonic_ns() + LOOK_EVERY)
            assert isolation[RateItem].sync(BOLT).by_ai

    def test_a_capability_unblocked_elsewhere_is_asked_again(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            isolation.block("capability:rate-item", why="w")
            isolated(tmp_path).unblock("capability:rate-item", why="w")
            assert isolation._switch._file is not None
            isolation._switch._file._look(time.monotonic_ns() + LOOK_EVERY)
            assert isolation[RateItem].sync(BOLT).by_ai

    def test_it_is_in_force_after_a_restart(self, tmp_path: Path) -> None:
        isolated(tmp_path).block("adapter:local", why="w")
        with isolated(tmp_path) as isolation:
            assert not isolation[RateItem].sync(BOLT).by_ai
            assert set(isolation.blocks) == {"adapter:local"}

    def test_unblocking_brings_it_back_by_trials(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            isolation.block("adapter:local", why="w")
            assert isolation.unblock("adapter:local", why="mended") is True
            assert isolation.health().adapters["local"].state == "half_open"
            assert isolation[RateItem].sync(BOLT).by_ai

    def test_unblocking_ends_a_latch_too(self, tmp_path: Path) -> None:
        status = [401]

        def handler(request: httpx.Request) -> httpx.Response:
            code = {"error": {"code": "invalid_api_key", "message": ""}}
            return reply() if status[0] == 200 else httpx.Response(status[0], json=code)

        with isolated(tmp_path, handler) as isolation:
            for _ in range(3):
                isolation[RateItem].sync(BOLT)
            assert isolation.health().adapters["local"].latched is not None
            status[0] = 200
            assert isolation.unblock("adapter:local", why="new key") is False
            assert isolation.health().adapters["local"].latched is None
            assert isolation[RateItem].sync(BOLT).by_ai

    @pytest.mark.parametrize("lasting", ["soon", 0.5, "9000h", float("nan"), [1]])
    def test_a_block_lasts_a_second_to_a_year(self, tmp_path: Path, lasting: Any) -> None:
        with isolated(tmp_path) as isolation:
            with pytest.raises(ConfigurationError, match="lasting"):
                isolation.block("adapter:local", why="w", lasting=lasting)
            assert isolation.block("adapter:local", why="w", lasting=90).until is not None

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"why": 5}, "why: it's text, not int"),
            ({"why": None}, "why: it's text, not NoneType"),
            ({"actor": 5}, "actor: an actor's id is text, not int"),
            ({"subject": 5}, 'nothing to block is named "5"; there is adapter:local'),
        ],
    )
    def test_an_argument_of_another_kind_is_refused_by_its_name(
        self, arguments: dict[str, Any], says: str, tmp_path: Path
    ) -> None:
        given = {"subject": "adapter:local", "why": "w", **arguments}
        with isolated(tmp_path) as isolation:
            for act in (isolation.block, isolation.unblock):
                with pytest.raises(ConfigurationError) as caught:
                    act(**given)
                assert caught.value.problems[0].startswith(says)
            assert isolation.blocks == {}

    def test_block_and_unblock_stand_in_the_ledger_with_actor_and_reason(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            with failsoft.context(actor="jdoe"):
                isolation.block("adapter:local", why="wrong answers")
            isolation.unblock("adapter:local", why="mended", actor="asmith")
        with read(tmp_path / "failsoft.db") as reader:
            said = [json.dumps(each.fields) for each in reader.records(last=50) if "adapter:local" in str(each.fields)]
        assert "jdoe" in said[0]
        assert "wrong answers" in said[0]
        assert "asmith" in said[1]

    def test_unblocking_is_told_once(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            isolation.block("adapter:local", why="w")
            isolation[RateItem].sync(BOLT)
            isolation.unblock("adapter:local", why="w")
            isolation[RateItem].sync(BOLT)
        changes = [each.fields["to"] for each in records(tmp_path, "breaker.changed")]
        assert changes.count("half_open") == 1

    @pytest.mark.parametrize("subject", ["local", "adapter:nobody", "capability:local", "", "adapter", "x:local"])
    def test_only_what_there_is_can_be_blocked(self, tmp_path: Path, subject: str) -> None:
        with pytest.raises(ConfigurationError, match="there is adapter:local, capability:rate-item"):
            isolated(tmp_path).block(subject, why="w")

    def test_without_a_place_for_it_there_is_no_block(self) -> None:
        isolation = isolated()
        assert isolation.blocks == {}
        with pytest.raises(ConfigurationError, match="there is neither"):
            isolation.block("adapter:local", why="w")

    def test_without_a_ledger_it_stands_beside_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "failsoft.toml").write_text(
            '[ledger]\nurl = "none"\n[adapters.a]\nprovider="openai-compatible"\nmodel="m"\nbase_url="http://127.0.0.1/"\n'
        )
        isolation = Isolation.from_file(tmp_path / "failsoft.toml")
        assert isolation.ledger is None
        isolation.block("adapter:a", why="w")
        assert (tmp_path / "failsoft.toml.blocks.json").exists()

    def test_who_blocked_is_the_login_name_unless_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOGNAME", "operator")
        assert isolated(tmp_path).block("adapter:local", why="w").actor == "operator"

    def test_an_account_without_a_name_is_a_number(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def nameless() -> str:
            raise KeyError

        monkeypatch.setattr("getpass.getuser", nameless)
        assert isolated(tmp_path).block("adapter:local", why="w").actor == f"uid-{os.getuid()}"


class TestHealth:
    def test_at_the_beginning_all_is_well(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            health = isolation.health()
        assert health.ok
        assert health.ledger == "recording"
        assert health.capabilities["rate-item"].limit == 20
        local = health.adapters["local"]
        assert (local.state, local.in_use, local.waiting, local.retry_in, local.throttled_for) == ("closed", 0, 0, 0, 0)

    def test_above_its_limit_it_says_since_when_and_why(self) -> None:
        with isolated(None, failing) as isolation:
            for _ in range(6):
                isolation[RateItem].sync(BOLT)
            health = isolation.health()
        share = health.capabilities["rate-item"]
        assert not health.ok
        assert share.exceeded
        assert (share.calls, share.degraded, share.percent) == (6, 6, 100)
        assert share.since is not None
        assert share.since.tzinfo is not None
        assert share.why == {"request_rejected": 6}

    def test_with_a_broken_file_of_blocks_it_tells_those_in_force(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            isolation.block("adapter:local", why="w")
            assert isolation.block_path is not None
            isolation.block_path.write_text("broken")
            assert isolation.health().adapters["local"].blocked is not None
            assert isolation[RateItem].sync(BOLT).passed_over[0].reason == "blocked"
        assert isolated(tmp_path).health().adapters["local"].blocked is None

    def test_a_call_that_failed_counts_by_its_error(self) -> None:
        class Broken(Capability[Item, Rating]):
            def fallback(self, request: Item) -> Rating:
                raise KeyError

        with Isolation({"ledger": {"url": "none"}}, capabilities=[Broken]) as isolation:
            for _ in range(5):
                with pytest.raises(failsoft.FallbackFailed):
                    isolation[Broken].sync(BOLT)
            assert isolation.health().capabilities["broken"].why == {"FallbackFailed": 5}

    def test_a_capability_without_adapters_is_degraded_for_that_reason(self) -> None:
        with Isolation({"ledger": {"url": "none"}}, capabilities=[RateItem]) as isolation:
            for _ in range(5):
                isolation[RateItem].sync(BOLT)
            assert isolation.health().capabilities["rate-item"].why == {"no_adapter": 5}

    def test_a_throttled_adapter_says_how_long_it_waits(self, tmp_path: Path) -> None:
        def busy(request: httpx.Request) -> httpx.Response:
            return httpx.Response(429, headers={"retry-after": "60"}, json={"error": {"message": "slow down"}})

        with isolated(tmp_path, busy) as isolation:
            isolation[RateItem].sync(BOLT)
            local = isolation.health().adapters["local"]
        assert 50 < local.throttled_for < 90
        (change,) = records(tmp_path, "breaker.changed")
        assert (change.fields["layer"], change.fields["to"]) == ("throttle", "waiting")

    def test_a_throttle_that_ended_is_told(self) -> None:
        assert transition(ThrottleChange(0, False)).reason == "wait over"
        assert transition(ThrottleChange(5, False)).reason == "back-off"

    def test_an_open_breaker_says_when_it_tries_again(self) -> None:
        def down(request: httpx.Request) -> httpx.Response:
            return httpx.Response(500)

        with isolated(None, down) as isolation:
            for _ in range(12):
                isolation[RateItem].using(deadline="300ms").sync(BOLT)
            local = isolation.health().adapters["local"]
        assert local.state == "open"
        assert local.retry_in > 0

    def test_a_breaker_that_tries_again_or_is_closed_waits_for_nothing(self, tmp_path: Path) -> None:
        answers = [500] * 12

        def down(request: httpx.Request) -> httpx.Response:
            return httpx.Response(answers.pop(), json={}) if answers else answering(request)

        seen: list[tuple[str, float]] = []
        with isolated(tmp_path, down) as isolation:
            while answers and isolation.health().adapters["local"].state == "closed":
                isolation[RateItem].using(deadline="300ms").sync(BOLT)
            answers.clear()
            isolation.unblock("adapter:local", why="mended")
            for _ in range(6):
                local = isolation.health().adapters["local"]
                if local.state not in [state for state, _ in seen]:
                    seen.append((local.state, local.retry_in))
                isolation[RateItem].sync(BOLT)
        assert seen == [("half_open", 0), ("closed", 0)]

    def test_routes_and_pins_can_be_seen(self) -> None:
        isolation = isolated()
        assert isolation.pins == {"local": Pin("m")}
        assert isolation.route_of("rate-item") == ("local",)


class Failed(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__("canary")
        self.status_code = status_code


class TestAnAdapterInCode:
    def test_a_plain_function(self) -> None:
        isolation = in_code()

        @isolation.adapter("legacy", model="m-1", served=lambda reply: "m-1", grade=Grade.PROVIDER)
        def legacy(ask: Ask) -> Any:
            return {"stars": len(ask.request.description)}

        with isolation:
            outcome = isolation[RateItem].sync(BOLT)
        assert outcome.value == Rating(stars=4)
        assert outcome.served == Served("m-1", Grade.PROVIDER)

    @pytest.mark.parametrize("grade", [*Grade, *(each.name.lower() for each in Grade)])
    def test_the_grade_of_what_it_says_may_be_a_word(self, grade: Any, tmp_path: Path) -> None:
        wanted = grade if isinstance(grade, Grade) else Grade[grade.upper()]
        isolation = Isolation(
            {
                "ledger": {"url": f"sqlite:///{tmp_path}/x.db"},
                "capabilities": {"rate-item": {"adapters": ["legacy"]}},
            },
            capabilities=[RateItem],
        )
        isolation.adapter("legacy", model="m-1", served=lambda reply: "m-1", grade=grade)(lambda ask: {"stars": 4})
        with isolation:
            outcome = isolation[RateItem].sync(BOLT)
        assert outcome.served == Served("m-1", wanted)
        assert outcome.record is not None

    @pytest.mark.parametrize("grade", ["Echoed", "provider-stated", "", None, 3, ["echoed"]])
    def test_a_grade_that_is_none_is_refused_with_those_that_are(self, grade: Any) -> None:
        with pytest.raises(ConfigurationError) as caught:
            in_code().adapter("legacy", model="m-1", grade=grade, attempts=0)(lambda ask: None)
        assert len(caught.value.problems) == 2
        assert caught.value.problems[1] == (
            'adapters.legacy.grade: is one of "provider", "gateway", "echoed", "unknown", or a failsoft.outcome.Grade, '
            f"not {grade!r}"
        )

    async def test_an_asynchronous_function(self) -> None:
        isolation = in_code()

        @isolation.adapter("legacy", model="m-1", text=lambda reply: reply.content)
        async def legacy(ask: Ask) -> Any:
            await asyncio.sleep(0)
            return SimpleNamespace(content='{"stars": 2}')

        async with isolation:
            assert (await isolation[RateItem](BOLT)).value == Rating(stars=2)
            assert (await asyncio.to_thread(isolation[RateItem].sync, BOLT)).value == Rating(stars=2)

    def test_another_model_than_the_pinned_is_refused(self) -> None:
        isolation = in_code()

        @isolation.adapter("legacy", model="m-1", served=lambda reply: "m-2")
        def legacy(ask: Ask) -> Any:
            return {"stars": 4}

        with isolation:
            outcome = isolation[RateItem].sync(BOLT)
        assert outcome.passed_over[0].reason == "served_model_mismatch"

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (Failed(400), "request_rejected"),
            (Failed(401), "unauthenticated"),
            (ConnectionRefusedError(), "connect_refused"),
            (KeyError("canary"), "adapter_raised"),
        ],
    )
    def test_what_it_raises_is_a_fault_and_never_seen(self, error: Exception, reason: str) -> None:
        isolation = in_code()

        @isolation.adapter("legacy", model="m-1", attempts=1)
        def legacy(ask: Ask) -> Any:
            raise error

        with isolation:
            outcome = isolation[RateItem].sync(BOLT)
        assert outcome.passed_over[0].reason == reason
        assert "canary" not in repr(outcome)

    def test_one_that_hangs_is_left_and_keeps_its_slot_until_it_ends(self) -> None:
        isolation = in_code()
        release, ended = threading.Event(), threading.Event()

        @isolation.adapter("legacy", model="m-1", attempts=1, attempt_timeout="100ms", concurrency=1, max_waiting=0)
        def legacy(ask: Ask) -> Any:
            release.wait(10)
            ended.set()
            return {"stars": 1}

        with isolation:
            outcome = isolation[RateItem].sync(BOLT)
            assert outcome.passed_over[0].reason == "attempt_timeout"
            assert isolation.health().adapters["legacy"].in_use == 1
            assert isolation[RateItem].sync(BOLT).passed_over[0].reason == "bulkhead_full"
            release.set()
            assert ended.wait(5)
            for each in threading.enumerate():
                if each.name == "failsoft-legacy":
                    each.join(5)
            assert isolation.health().adapters["legacy"].in_use == 0

    @pytest.mark.parametrize("kind", ["plain", "coroutine"])
    @pytest.mark.parametrize("mode", ["async", "sync"])
    def test_what_it_calls_ends_with_its_attempt(self, kind: str, mode: str) -> None:
        isolation, seen = in_code(), list[float | None]()

        def legacy(ask: Ask) -> Any:
            seen.append(current_context().remaining())
            return {"stars": 1}

        async def coroutine(ask: Ask) -> Any:
            return legacy(ask)

        isolation.adapter("legacy", model="m-1", attempt_timeout="2s")(legacy if kind == "plain" else coroutine)

        async def ask() -> Outcome[Rating]:
            async with isolation:
                return await isolation[RateItem](BOLT)

        if mode == "async":
            assert asyncio.run(ask()).by_ai
        else:
            with isolation:
                assert isolation[RateItem].sync(BOLT).by_ai
        assert current_context().until is None
        assert seen[0] is not None
        assert 0 < seen[0] <= 2

    @pytest.mark.filterwarnings("ignore:`.sync` blocks:RuntimeWarning")
    def test_one_that_would_wait_for_itself_is_told_so_at_once(self) -> None:
        isolation, inner = in_code(deadline="8s"), list[Outcome[Rating]]()

        async def legacy(ask: Ask) -> Any:
            if ask.request == BOLT:
                inner.append(isolation[RateItem].sync(Item(description="nut")))
            return {"stars": 5}

        isolation.adapter("legacy", model="m-1", attempts=1)(legacy)
        with isolation:
            assert isolation[RateItem].sync(BOLT).value == Rating(stars=5)
        assert [each.reason for each in inner[0].passed_over] == ["bug"]  # not attempt_timeout: nothing was waited for

    def test_one_that_retries_by_itself_is_refused(self) -> None:
        client = SimpleNamespace(max_retries=2)
        with pytest.raises(ConfigurationError, match=r"adapters.legacy: its client retries 2 times by itself"):

            @in_code().adapter("legacy", model="m-1")
            def legacy(ask: Ask) -> Any:
                return client

    def test_a_name_that_is_taken_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match='there is one named "local" already'):
            isolated().adapter("local", model="m-1")(lambda ask: None)

    @pytest.mark.parametrize(("options", "problem"), [({"attempts": 0}, "attempts"), ({"nothing": 1}, "unknown key")])
    def test_an_option_that_is_wrong_is_refused(self, options: dict[str, Any], problem: str) -> None:
        with pytest.raises(ConfigurationError, match=problem):
            in_code().adapter("legacy", model="m-1", **options)(lambda ask: None)

    def test_it_is_a_callable_whatever_else_is_said(self) -> None:
        isolation = in_code()
        isolation.adapter("legacy", model="m-1", provider="openai")(lambda ask: None)
        assert isolation.pins["legacy"] == Pin("m-1")

    def test_it_may_see_what_its_labels_say(self) -> None:
        isolation = in_code()
        isolation.adapter("legacy", model="m-1", labels=["CUI"])(lambda ask: {"stars": 1})
        with isolation, failsoft.context(labels={"CUI"}):
            assert isolation[RateItem].sync(BOLT).by_ai

    def test_one_made_after_entering_is_asked_too(self) -> None:
        with isolated() as isolation:
            isolation[RateItem].sync(BOLT)
            isolation.adapter("late", model="m-1")(lambda ask: {"stars": 1})
            assert "late" in isolation.health().adapters


class TestABlocksWords:
    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            ({"why": "caf\udce9"}, "why: it isn't valid Unicode"),
            ({"why": " "}, "why: say a reason"),
            ({"why": "\u200b\u2060"}, "why: say a reason"),
            ({"why": "x" * 513}, "why: at most 512 bytes, not 513"),
            ({"why": "w", "actor": "caf\udce9"}, "actor: an actor's id is not valid Unicode"),
            ({"why": "w", "actor": "x" * 129}, "actor: an actor's id must have 1 to 128 bytes, not 129"),
            ({"why": "w", "actor": "x\x1b"}, "actor: an actor's id must not contain control"),
            ({"why": "w", "actor": ""}, "actor: an actor's id must have 1 to 128 bytes, not 0"),
        ],
    )
    @pytest.mark.parametrize("act", ["block", "unblock", "force"])
    def test_that_cant_be_written_or_recorded_are_refused_before_anything_is_done(
        self, act: str, words: dict[str, str], problem: str, tmp_path: Path
    ) -> None:
        with isolated(tmp_path) as isolation:
            subject = "local" if act == "force" else "adapter:local"
            with pytest.raises(ConfigurationError, match=problem):
                getattr(isolation, act)(subject, **words)
            assert isolation.blocks == {}
            isolation.block("adapter:local", why="é" * 256, actor="jdoe")
            assert set(isolation.blocks) == {"adapter:local"}
        assert [each.fields["actor"]["id"] for each in records(tmp_path, "block.changed")] == ["jdoe"]


class TestABlockThatBegins:
    def test_lets_no_trial_that_is_out_close_the_breaker(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            breaker, now = isolation._adapters["local"].breaker, time.monotonic_ns()
            breaker.to_trial("a test", now)
            trials = [breaker.acquire(now, 10**9), breaker.acquire(now, 10**9)]
            isolation.block("adapter:local", why="w")
            for each in trials:
                each.settle(Settlement.SUCCESS, now)  # type: ignore[union-attr]
            assert isolation.health().adapters["local"].state == "half_open"
            isolation.block("capability:rate-item", why="a capability has no breaker")


class TestACredential:
    def test_is_shared_by_who_sends_the_same_key_to_the_same_host(self) -> None:
        def adapter(base_url: str, key: str = "k-0123456789") -> dict[str, Any]:
            return {"provider": "openai-compatible", "base_url": base_url, "model": "m", "api_key": SecretStr(key)}

        isolation = isolated(
            adapters={
                "one": adapter("https://api.example/v1"),
                "two": adapter("https://API.example:443/other"),
                "port": adapter("https://api.example:8443/v1"),
                "host": adapter("https://other.example/v1"),
                "key": adapter("https://api.example/v1", "k-another-one"),
                "none": {"provider": "openai-compatible", "base_url": "https://api.example/v1", "model": "m"},
            },
            capabilities={"rate-item": {"adapters": ["one"]}},
        )
        found = {name: each.credential for name, each in isolation._adapters.items()}
        assert found["one"] is found["two"]
        assert len({id(each) for each in found.values()}) == 5
        assert found["none"] is isolation._adapters["none"].latch
        now = time.monotonic_ns()
        found["one"].trip("the key isn't accepted", True, "call", now)
        assert {name for name, each in isolation.health().adapters.items() if each.latched} == {"one", "two"}


class TestAdmission:
    async def test_beyond_its_limit_the_fallback_answers_at_once(self) -> None:
        class Slow(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                await asyncio.sleep(0)
                return reply()

        routes = {"rate-item": {"adapters": ["local"], "max_in_flight": 2}}
        isolation = Isolation(table(None, capabilities=routes), capabilities=[RateItem], transport=Slow())
        async with isolation:
            outcomes = await asyncio.gather(*(isolation[RateItem](BOLT) for _ in range(5)))
            assert sorted(each.by_ai for each in outcomes) == [False, False, False, True, True]
            assert {each.passed_over[0].reason for each in outcomes if each.degraded} == {"shed"}
            assert (await isolation[RateItem](BOLT)).by_ai
        isolation.after_fork()


class TestADeadlineOfTheContext:
    def test_is_the_calls_where_it_ends_earlier(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation, failsoft.context(deadline="2s"):
            isolation[RateItem].sync(BOLT)
            isolation[RateItem].using(deadline="1s").sync(BOLT)
        long, short = (each.fields["deadline_ms"] for each in records(tmp_path, "call.started"))
        assert 1_000 < long <= 2_000
        assert short == 1_000

    def test_that_has_passed_leads_to_the_fallback(self) -> None:
        with isolated() as isolation, failsoft.context():
            end_by(time.monotonic_ns() - 1)
            outcome = isolation[RateItem].sync(BOLT)
        assert [each.reason for each in outcome.passed_over] == ["no_time"]
        assert outcome.degraded


class TestForking:
    def test_mending_gives_back_what_the_parents_threads_held(self) -> None:
        with isolated() as isolation:
            isolation._lock.acquire()
            isolation.after_fork()
            assert isolation[RateItem].sync(BOLT).by_ai
            assert isolation.health().adapters["local"].in_use == 0
        isolation.after_fork()

    def test_a_child_answers_calls_of_its_own(self, tmp_path: Path) -> None:
        with isolated(tmp_path) as isolation:
            isolation[RateItem].sync(BOLT)
            reader, writer = os.pipe()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                try:
                    outcome = isolation[RateItem].sync(BOLT)
                    os.write(writer, json.dumps([outcome.call_id, outcome.by_ai, outcome.record]).encode())
                finally:
                    os._exit(0)
            os.close(writer)
            parent = isolation[RateItem].sync(BOLT)
            with os.fdopen(reader) as pipe:
                call_id, by_ai, record = json.loads(pipe.read())
            os.waitpid(child, 0)
            assert by_ai is True
            assert record is not None
            assert call_id != parent.call_id
            assert isolation[RateItem].sync(BOLT).by_ai
        completed = {each.fields["call_id"]: each for each in records(tmp_path, "call.completed")}
        assert completed[call_id].fields["emitter"] != completed[parent.call_id].fields["emitter"]


@pytest.mark.parametrize("patience", [1.0, 0.0])
async def test_leaving_waits_for_the_ends_of_calls_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    monkeypatch.setattr("failsoft.isolation.LEAVE_SECONDS", patience)
    asked, answering = threading.Event(), threading.Event()
    isolation = Isolation(
        {
            "ledger": {"url": f"sqlite:///{tmp_path / 'x.db'}"},
            "capabilities": {"rate-item": {"adapters": ["own"]}},
            "on_ledger_failure": "continue",
        },
        capabilities=[RateItem],
    )

    @isolation.adapter("own", model="m-1")
    def own(ask: Ask) -> str:
        asked.set()
        assert answering.wait(10)
        return '{"stars": 4}'

    async with isolation:
        call = asyncio.create_task(isolation[RateItem](BOLT))
        await asyncio.to_thread(asked.wait, 10)
        if patience:
            leave = isolation._ledger.let_end  # type: ignore[union-attr]

            def let_end(seconds: float) -> None:
                answering.set()
                leave(seconds)

            monkeypatch.setattr(isolation._ledger, "let_end", let_end)
    answering.set()
    outcome = await call
    kinds = [each.kind for each in read_all(tmp_path / "x.db")]
    assert outcome.value == Rating(stars=4)
    assert kinds[-2:] == ["call.completed" if patience else "call.orphaned", "emitter.closed"]
    assert verify(tmp_path / "x.db").exit_code == 0


def read_all(path: Path) -> list[Entry]:
    with read(path) as reader:
        return list(reader.records())
