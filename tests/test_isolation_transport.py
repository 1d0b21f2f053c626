"""`transport = "aiohttp"`: at the top level, for one adapter, and where the extra isn't installed."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from failsoft import Capability, ConfigurationError, Isolation

CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"stars": 3}'}}
ANSWER = json.dumps({"id": "x", "model": "m", "choices": [CHOICE]}).encode()


class Item(BaseModel):
    name: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append(dict(self.headers.items()))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *args: Any) -> None: ...


@contextmanager
def server() -> Iterator[ThreadingHTTPServer]:
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    serving.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield serving
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join()


def config(port: int = 9, top: str | None = None, **adapter: Any) -> dict[str, Any]:
    local = {"provider": "openai-compatible", "base_url": f"http://127.0.0.1:{port}/v1", "model": "m", **adapter}
    table = {
        "ledger": {"url": "none"},
        "adapters": {"local": local},
        "capabilities": {"rate-item": {"adapters": ["local"]}},
    }
    return table if top is None else {**table, "transport": top}


@pytest.fixture
def no_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "failsoft.io.transport_aiohttp", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.setitem(sys.modules, "aiohttp.http", None)


TOP = {"top": "aiohttp"}
OWN = {"transport": "aiohttp"}


@pytest.mark.parametrize(
    ("chosen", "fast"),
    [({}, False), (TOP, True), (OWN, True), ({"top": "aiohttp", "transport": "httpx"}, False)],
    ids=["neither", "top level", "adapter", "adapter goes its own way"],
)
def test_await_and_sync_go_over_what_is_chosen(chosen: dict[str, Any], fast: bool) -> None:
    pytest.importorskip("aiohttp", reason="the extra `fast` isn't installed")

    async def main() -> None:
        async with isolation:
            assert (isolation._transports.fast is not None) == fast
            assert (await isolation[RateItem](Item(name="bolt"))).value == Rating(stars=3)
            outcome = await asyncio.to_thread(isolation[RateItem].sync, Item(name="bolt"))
            assert outcome.value == Rating(stars=3)
            assert outcome.by_ai
        if isolation._transports.fast is not None:
            assert not isolation._transports.fast._loops  # nothing idle is left on any loop

    with server() as serving:
        isolation = Isolation(config(serving.server_address[1], **chosen), capabilities=[RateItem])
        asyncio.run(main())
        assert len(serving.seen) == 2


@pytest.mark.parametrize(("chosen", "place"), [(TOP, "transport: "), (OWN, "adapters.local.transport: ")])
def test_a_missing_extra_is_told_at_the_start(chosen: dict[str, Any], place: str, no_aiohttp: None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Isolation(config(**chosen), capabilities=[RateItem])
    (problem,) = caught.value.problems
    assert problem.startswith(place)
    assert "failsoft[fast]" in problem


def test_nobody_who_does_not_choose_it_needs_it(no_aiohttp: None) -> None:
    Isolation(config(), capabilities=[RateItem])


def test_a_transport_given_in_code_serves_all_adapters() -> None:
    pytest.importorskip("aiohttp", reason="the extra `fast` isn't installed")

    async def main() -> None:
        async with isolation:
            assert isolation._transports.fast is None
            assert (await isolation[RateItem](Item(name="bolt"))).by_ai
            assert (await asyncio.to_thread(isolation[RateItem].sync, Item(name="bolt"))).by_ai

    given = httpx.MockTransport(lambda _: httpx.Response(200, content=ANSWER))
    isolation = Isolation(config(**TOP), capabilities=[RateItem], transport=given)
    asyncio.run(main())


def test_a_blocking_transport_given_in_code_serves_sync_only() -> None:
    pytest.importorskip("aiohttp", reason="the extra `fast` isn't installed")
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=ANSWER)

    with server() as serving:
        table = config(serving.server_address[1], **TOP)
        isolation = Isolation(table, capabilities=[RateItem], sync_transport=httpx.MockTransport(answer))

        async def main() -> None:
            async with isolation:
                assert (await isolation[RateItem](Item(name="bolt"))).by_ai
                assert not asked
                assert (await asyncio.to_thread(isolation[RateItem].sync, Item(name="bolt"))).by_ai

        asyncio.run(main())
        assert (len(asked), len(serving.seen)) == (1, 1)


def test_a_callable_adapter_has_no_transport() -> None:
    with pytest.raises(ConfigurationError, match="makes its own requests"):
        Isolation({"adapters": {"own": {"provider": "callable", "model": "m", "call": "os:getcwd", **OWN}}})
