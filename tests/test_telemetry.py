"""Events: quiet unless somebody asked, never able to change an answer."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import structlog
from pydantic import BaseModel

import failsoft
from failsoft import Capability, Isolation
from failsoft.adapters.name_class import NameClass
from failsoft.retirements.table import shipped
from failsoft.retirements.watch import PinStanding
from failsoft.telemetry import CATALOGUE, Telemetry

LATE = date(2026, 12, 10)


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_nothing_is_printed_that_nobody_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    for name in CATALOGUE:
        Telemetry().emit(name)
    assert capfd.readouterr() == ("", "")


def test_a_program_that_configures_nothing_stays_quiet() -> None:
    program = "from failsoft.telemetry import *\nfor each in CATALOGUE: Telemetry().emit(each)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_events_go_to_logging_as_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "failsoft"):
        Telemetry().emit("fallback.used", capability="grade", call_id="c", reasons=["gpt: open", "local: labels"])
    record = caplog.records[0]
    assert (record.name, record.levelname) == ("failsoft", "WARNING")
    assert record.getMessage() == 'event=fallback.used capability=grade call_id=c reasons="gpt: open, local: labels"'


def test_nothing_in_the_text_steers_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "failsoft"):
        Telemetry().emit("exchange.observed", asked="é\x1b[2J\0\r\n\t\u202e\U000e0001\ud800", served="gpt 4")
    told = caplog.records[0].getMessage()
    assert told == r'event=exchange.observed asked=é\x1b[2J\x00\r\n\t\u202e\U000e0001\ud800 served="gpt 4"'


def test_a_level_that_isnt_wanted_is_not_rendered(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "failsoft"):
        telemetry = Telemetry()
        assert not telemetry.enabled("fallback.used")
        assert telemetry.enabled("capability.bug")
        telemetry.emit("fallback.used", capability="grade")
    assert caplog.records == []


def test_events_go_to_structlog_where_it_is_configured(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
        seen.append({"level": method, **event})
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    telemetry = Telemetry()
    assert telemetry.enabled("call.completed")
    telemetry.emit("block.changed", subject="adapter:gpt", blocked=True, actor="jdoe", why="w")
    assert seen == [
        {
            "level": "warning",
            "event": "block.changed",
            "subject": "adapter:gpt",
            "blocked": True,
            "actor": "jdoe",
            "why": "w",
        }
    ]
    assert caplog.records == []


def test_a_handler_that_raises_is_counted_and_changes_nothing() -> None:
    def broken(logger: Any, method: str, event: Any) -> Any:
        raise RuntimeError

    structlog.configure(processors=[broken])
    telemetry = Telemetry()
    telemetry.emit("ledger.recovered")
    assert telemetry.errors == 1


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_event_is_described(name: str) -> None:
    kind = CATALOGUE[name]
    assert kind.meaning.endswith(".")
    assert kind.level in (logging.INFO, logging.WARNING, logging.ERROR)
    assert len(set(kind.fields)) == len(kind.fields)


def test_structlog_isnt_loaded_for_an_application_that_hasnt() -> None:
    program = (
        "import sys\nfrom failsoft.telemetry import *\nTelemetry().emit('ledger.recovered')\n"
        "print('structlog' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(done.stdout.decode().lower()) is False


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize(
    "begin",
    [
        "failsoft.Isolation({'ledger': {'url': 'none'}}, capabilities=[echo]).__enter__()",
        "failsoft.observe(None, sync=True, library='httpx')",
    ],
)
def test_what_events_are_written_with_is_there_before_the_first_call_where_somebody_hears_them(
    begin: str, heard: bool
) -> None:
    program = (
        "import logging, sys\nimport failsoft\n@failsoft.capability\ndef echo(text: str) -> str:\n    return text\n"
        f"if {heard}: logging.basicConfig()\nbefore = 'structlog' in sys.modules\nkept = {begin}\n"
        "print([before, 'structlog.processors' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(done.stdout.decode().lower()) == [False, heard]


CANARY = "canary-7f3a"


class Item(BaseModel):
    description: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)

    def accept(self, request: Item, response: Rating) -> None:
        if response.stars == 13:
            raise KeyError(CANARY)


class Provider:
    """Answers as its next line says: stars, a served model, or a status."""

    def __init__(self) -> None:
        self.stars, self.model, self.status, self.hold = 3, "m", 200, threading.Event()
        self.hold.set()
        self.arrived = threading.Event()
        self.refuses = False
        self.headers: dict[str, str] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.arrived.set()
        self.hold.wait(5)
        if self.status != 200:
            code = {401: "invalid_api_key", 500: "server_error"}.get(self.status)
            return httpx.Response(self.status, json={"error": {"message": CANARY, "code": code}})
        message: dict[str, Any] = {"role": "assistant", "content": f'{{"stars": {self.stars}}}'}
        if self.refuses:
            message = {"role": "assistant", "content": None, "refusal": CANARY}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = {"id": CANARY, "model": self.model, "choices": [choice]}
        return httpx.Response(200, json=body, headers=self.headers)


def no_token(*_: object) -> Any:
    raise OSError(CANARY)


@pytest.fixture
def heard() -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
        seen.append(event)
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    return seen


def driven(folder: Path, provider: Provider, **adapter: Any) -> Isolation:
    local = {"provider": "openai-compatible", "base_url": "http://127.0.0.1:1/v1", "model": "m", **adapter}
    return Isolation(
        {
            "ledger": {"url": f"sqlite:///{folder}/failsoft.db"},
            "adapters": {"local": local},
            "capabilities": {"rate-item": {"adapters": ["local"]}},
            "on_bug": "fallback",
        },
        capabilities=[RateItem],
        sync_transport=httpx.MockTransport(provider),
    )


def crowd(isolation: Isolation, provider: Provider) -> None:
    """One call holds the only slot while another is refused."""
    provider.hold.clear()
    provider.arrived.clear()
    first = threading.Thread(target=isolation[RateItem].sync, args=(Item(description=CANARY),))
    first.start()
    assert provider.arrived.wait(10)
    isolation[RateItem].sync(Item(description=CANARY))
    provider.hold.set()
    first.join()


@pytest.mark.filterwarnings("ignore:`.sync` blocks:RuntimeWarning")
async def test_what_is_emitted_is_what_the_catalogue_says_and_holds_no_payload(
    tmp_path: Path, heard: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Provider()
    request = Item(description=CANARY)
    with driven(tmp_path, provider, concurrency=1, max_waiting=0) as isolation:
        rate = isolation[RateItem]
        call_id = rate.sync(request).call_id
        isolation.review(call_id, person="mwagner", decision="accepted", reason=CANARY, shown=CANARY)
        crowd(isolation, provider)
        provider.stars = 13
        for _ in range(4):
            rate.sync(request)
        provider.stars = 3
        for _ in range(30):
            rate.sync(request)
        provider.refuses = True
        for _ in range(20):
            rate.sync(request)
        provider.refuses, provider.status = False, 599
        rate.sync(request)
        provider.status = 500
        while isolation._adapters["local"].budget.take(time.monotonic_ns(), None):
            pass
        rate.sync(request)
        provider.status = 401
        for _ in range(3):
            rate.sync(request)
        isolation.block("adapter:local", why="w")
        isolation.unblock("adapter:local", why="w")
        provider.status, provider.model = 200, "other-" + "x"
        rate.sync(request)
        isolation.observe("local", why="w")
        rate.sync(request)
        ledger = isolation._ledger
        assert ledger is not None
        isolation._hearing.event("ledger.failed", {"reason": "r", "policy": "fallback"})
        isolation._hearing.event("ledger.recovered", {})
        isolation._hearing.event("ledger.warning", {"reason": "r"})
        isolation._hearing.event("checkpoint.published", {"size": 3})
        isolation._hearing.event("checkpoint.failed", {"reason": "r"})
        isolation._hearing.event("anchor.failed", {"reason": "r"})
        isolation._hearing.loop_blocked("local", 250_000_000)
        assert isolation.running is not None
        isolation.running.world.offset += 3600 * 10**9
        isolation.running.world.clocks_disagree()
        isolation._hearing.event("state.degraded", {"store": "file", "reason": "r"})
        isolation._hearing.blocks_read("why")
        isolation._hearing.blocks_read("")
        isolation._hearing.event("state.recovered", {"store": "file", "ms": 1})
        isolation.telemetry.emit("retirements.unreadable", reason="r")
        pin = PinStanding(
            "local", "openai", "gpt-5", NameClass.FLOATING, "gpt-5", shipped().standing("openai", "gpt-5", LATE)
        )
        isolation._upkeep.watch.look([pin])
        isolation.telemetry.emit("peer.disagrees", adapter="local", reason="rate", calls=5, failures=0)
    provider.model, provider.headers = "m", {"sunset": "Thu, 14 Jan 2027 00:00:00 GMT"}
    for more in ({}, {"auth": "tests.test_telemetry:no_token"}):
        (tmp_path / "other").mkdir(exist_ok=True)
        with driven(tmp_path / "other", provider, **more) as isolation:
            isolation[RateItem].sync(request)
    monkeypatch.setattr("failsoft.observer.reader_of", no_token)
    with failsoft.observe(None, sync=True, library="httpx", transport=httpx.MockTransport(provider)) as client:
        client.post("http://127.0.0.1:1/v1/chat/completions", json={"model": "m", "messages": CANARY})
    assert {each["event"] for each in heard} == set(CATALOGUE)
    for each in heard:
        name = each.pop("event")
        fields = set(CATALOGUE[name].fields)
        assert set(each) == fields, name
    assert CANARY not in repr(heard)


def test_a_handler_that_raises_changes_no_answer(tmp_path: Path) -> None:
    def broken(logger: Any, method: str, event: Any) -> Any:
        raise RuntimeError

    structlog.configure(processors=[broken])
    with driven(tmp_path, Provider()) as isolation:
        outcome = isolation[RateItem].sync(Item(description="bolt"))
        assert outcome.by_ai
        assert isolation.telemetry.errors == 1


def test_an_application_that_configures_nothing_hears_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    provider = Provider()
    provider.status = 400
    with driven(tmp_path, provider) as isolation:
        for _ in range(6):
            isolation[RateItem].sync(Item(description="bolt"))
    assert capfd.readouterr() == ("", "")


def test_what_the_ledger_tells_is_in_the_catalogue() -> None:
    from failsoft.ledger.writing import writer

    told = set(re.findall(r'_tell\("([a-z.]+)"', Path(writer.__file__).read_text()))
    assert told
    assert told <= set(CATALOGUE)


def test_structlog_that_another_thread_still_imports_counts_as_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "structlog", ModuleType("structlog"))
    Telemetry().enabled("call.completed")
    Telemetry().emit("ledger.recovered")
