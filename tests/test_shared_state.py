"""Isolations that share their state: which adapters are the same everywhere, through which store, and what's said of it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from failsoft import Capability, ConfigurationError, Isolation, shared_state
from failsoft.config_read import read_mapping
from failsoft.core.effects import Ask
from failsoft.io.state_file import StateFile, StateMemory
from failsoft.isolation import SystemClock
from failsoft.ledger.read import read
from failsoft.ledger.records.schema import Kind
from failsoft.testing import SimulatedIsolation

UNREACHABLE = "postgresql://127.0.0.1:1/nowhere"


class Item(BaseModel, frozen=True):
    description: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)


BOLT = Item(description="bolt")


def eventually(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        threading.Event().wait(0.01)


class Process:
    """An isolation with one adapter; several in one folder are as several processes of a host."""

    def __init__(self, folder: Path, **state: Any) -> None:
        self.fails = False
        self.isolation = Isolation(
            {
                "ledger": {"url": f"sqlite:///{folder}/failsoft.db"},
                "state": {"refresh": "200ms", **state},
                "capabilities": {"rate-item": {"adapters": ["a"], "deadline": "5s"}},
            },
            capabilities=[RateItem],
        )
        options = {"breaker": {"open_base_s": 0.5, "open_cap_s": 0.5}, "attempts": 1}
        self.isolation.adapter("a", model="m-1", text=lambda reply: reply, **options)(self._ask)

    def _ask(self, ask: Ask) -> str:
        if self.fails:
            raise ConnectionError
        return '{"stars": 3}'

    def call(self) -> bool:
        return self.isolation[RateItem].sync(BOLT).by_ai

    def looks(self) -> None:
        """At the file, as each call does; a call that succeeds would know better."""
        assert self.isolation.running is not None
        self.isolation.running.world.blocks.adapter("a", time.monotonic_ns())

    @property
    def state(self) -> str:
        return self.isolation.health().adapters["a"].state


def test_the_processes_of_a_host_share_without_being_told_to(tmp_path: Path) -> None:
    one, two = Process(tmp_path), Process(tmp_path)
    with one.isolation, two.isolation:
        assert one.isolation.health().state.store == "file"
        assert one.isolation.health().state.shared
        one.fails = True
        for _ in range(5):
            one.call()
        eventually(lambda: two.looks() or two.state == "open")
        one.fails = False
        eventually(lambda: one.call() and two.call() and (one.state, two.state) == ("closed", "closed"))


def test_those_that_shall_not_dont(tmp_path: Path) -> None:
    one, two = Process(tmp_path, url="none"), Process(tmp_path, url="none")
    with one.isolation, two.isolation:
        health = one.isolation.health().state
        assert (health.store, health.shared, health.degraded_since) == ("none", False, None)
        one.fails = True
        for _ in range(5):
            one.call()
        assert two.call()
        assert "facts" not in _content(tmp_path)


def _content(folder: Path) -> str:
    path = folder / "failsoft.db.blocks.json"
    return path.read_text() if path.exists() else ""


def test_where_theres_no_place_for_a_file_nothing_is_shared() -> None:
    with Isolation(
        {"ledger": {"url": "none"}, "capabilities": {"rate-item": {}}}, capabilities=[RateItem]
    ) as isolation:
        assert not isolation.health().state.shared
        assert isolation.look_at_state()[0].store == "none"


def test_in_virtual_time_nothing_is_shared(tmp_path: Path) -> None:
    config = {"ledger": {"url": f"sqlite:///{tmp_path}/failsoft.db"}, "capabilities": {"rate-item": {}}}
    with SimulatedIsolation(config, capabilities=[RateItem]) as isolation:
        assert isolation.health().state.store == "none"


def test_before_its_entered_it_says_where_state_would_be_shared(tmp_path: Path) -> None:
    assert Process(tmp_path).isolation.health().state.store == "file"
    assert Process(tmp_path, url=UNREACHABLE).isolation.health().state.store == "postgresql"


def test_a_file_that_cant_be_used_is_told_and_what_was_blocked_stays_so(tmp_path: Path) -> None:
    one = Process(tmp_path)
    told: list[str] = []
    with one.isolation:
        one.isolation.telemetry.emit = lambda name, /, **fields: told.append(name)  # type: ignore[method-assign]
        one.isolation.block("adapter:a", why="order", actor="jdoe")
        assert not one.call()
        (tmp_path / "failsoft.db.blocks.json").write_text("precious")
        breaker = one.isolation._adapters["a"].breaker
        breaker.to_trial("unblocked", time.monotonic_ns())
        one.isolation._sharer.wake()  # type: ignore[union-attr]
        eventually(lambda: "state.degraded" in told)
        assert not one.call()
        health = one.isolation.health()
        assert health.state.reason == "the file can't be used"
        assert not health.ok
        assert "not a file of blocks" in health.blocks_unreadable
        eventually(lambda: not one.call() and "blocks.unreadable" in told)
        (tmp_path / "failsoft.db.blocks.json").unlink()
        eventually(lambda: "state.recovered" in told)
        eventually(lambda: (one.call(), "blocks.recovered" in told)[1])
        assert one.isolation.health().blocks_unreadable == ""


class TestKeys:
    def key(self, name: str = "a", **table: Any) -> str:
        given = {"provider": "openai-compatible", "base_url": "http://127.0.0.1:1/v1", "model": "m-1", **table}
        draft = read_mapping({"ledger": {"url": "none"}, "adapters": {name: given}})
        assert draft.problems == []
        isolation = Isolation(draft.config, capabilities=[])
        return shared_state.adapter_key(isolation._adapters[name], draft.config.adapters[name])

    def test_are_the_same_for_the_same_adapter_whatever_its_called(self) -> None:
        assert self.key() == self.key("b", concurrency=3)

    def test_differ_with_endpoint_model_and_credential(self) -> None:
        keys = {
            self.key(),
            self.key(base_url="http://127.0.0.1:2/v1"),
            self.key(model="m-2"),
            self.key(api_key=SecretStr("one")),
            self.key(api_key=SecretStr("two")),
            self.key(headers={"X-Key": SecretStr("one")}),
        }
        assert len(keys) == 6

    def test_of_functions_differ_with_the_name(self) -> None:
        isolation = Isolation({"ledger": {"url": "none"}}, capabilities=[])
        for name in ("one", "two"):
            isolation.adapter(name, model="m-1")(lambda ask: None)
        keys = {shared_state.adapter_key(each, None) for each in isolation._adapters.values()}
        assert len(keys) == 2

    def test_show_no_credential(self, tmp_path: Path) -> None:
        assert "canary" not in self.key(api_key=SecretStr("canary-7f3a"))


class TestADatabase:
    def test_thats_named_by_nonsense_is_told_without_it(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"state\.url: is no address of a PostgreSQL database") as told:
            Isolation({"state": {"url": "postgresql://h/d?canary=1"}}, capabilities=[])
        assert "canary" not in str(told.value)

    def test_needs_its_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "failsoft.io.state_postgres", raising=False)
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(ConfigurationError, match=r'install the extra `postgres` \("failsoft\[postgres\]"\)'):
            Isolation({"state": {"url": UNREACHABLE}}, capabilities=[])

    def test_that_cant_be_reached_leaves_this_hosts_blocks_in_force(self, tmp_path: Path) -> None:
        with Process(tmp_path).isolation as before:
            before.block("adapter:a", why="order", actor="jdoe")
        process = Process(tmp_path, url=UNREACHABLE)
        sharing, blocks = process.isolation.look_at_state()
        assert (sharing.store, sharing.reason) == ("postgresql", "can't be reached")
        assert set(blocks) == {"adapter:a"}
        with process.isolation as isolation:
            assert not process.call()
            assert isolation.unblock("adapter:a", why="lifted", actor="jdoe")
            assert process.call()

    def test_that_never_answered_isnt_taken_for_somebody_who_switched_off(self, tmp_path: Path) -> None:
        process = Process(tmp_path, url=UNREACHABLE)
        with process.isolation as isolation:
            (told,) = isolation[RateItem].sync(BOLT).passed_over
        assert (told.adapter, told.reason) == ("a", "blocks_unknown")
        with read(tmp_path / "failsoft.db") as reader:
            (end,) = reader.records(Kind.CALL_COMPLETED)
            assert end.fields["passed_over"] == [{"adapter": "a", "reason": "blocks_unknown"}]

    def test_keeps_blocks_in_memory_where_theres_no_file(self, tmp_path: Path) -> None:
        def place(**table: Any) -> object:
            return shared_state.block_place(read_mapping(table).config)

        none = {"url": "none"}
        assert place(ledger=none) is None
        assert isinstance(place(ledger=none, state={"url": UNREACHABLE}), StateMemory)
        assert isinstance(place(), StateFile)


def test_looking_at_a_file_tells_what_is_blocked_and_changes_nothing(tmp_path: Path) -> None:
    one = Process(tmp_path)
    with one.isolation as isolation:
        isolation.block("adapter:a", why="order", actor="jdoe")
    before = _content(tmp_path)
    sharing, blocks = Process(tmp_path).isolation.look_at_state()
    assert (sharing.store, sharing.reason, set(blocks)) == ("file", "", {"adapter:a"})
    assert _content(tmp_path) == before
    assert shared_state.look(read_mapping({"state": {"url": "none"}}).config, None, SystemClock())[1] == {}
