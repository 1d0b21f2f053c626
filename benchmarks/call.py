"""What one successful call costs, against the same call made with bare httpx and pydantic in the same process.

    ./dev bench call

With aiohttp installed (the extra ``fast``) the same is measured over the transport that uses it: ``fast_off``, ``fast_on``.
Counts of Python function calls (cProfile, calling thread) are deterministic; times are medians of interleaved blocks and are
read as ratios. The server is a small asyncio server in a process of its own; it answers with a reply of about 1 KB.
"""

from __future__ import annotations

import asyncio
import cProfile
import importlib.util
import json
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict

from failsoft import Capability, Isolation
from failsoft.core.effects import HttpReply, HttpRequest
from failsoft.fault import Fault

ANSWER = {"fsc": "5305", "reason": "a threaded fastener with a head, driven by a wrench or a driver"}
REPLY = json.dumps(
    {
        "id": "chatcmpl-0123456789",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "model-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": json.dumps(ANSWER), "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 61, "completion_tokens": 24, "total_tokens": 85},
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "padding": "x" * 480,
    }
).encode()


class Item(BaseModel):
    """What is asked about."""

    model_config = ConfigDict(frozen=True)
    description: str


class Answer(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True)
    fsc: str
    reason: str


class Classify(Capability[Item, Answer]):
    """Which Federal Supply Class does this item belong to?"""

    def fallback(self, request: Item) -> Answer:
        """The one answer that is always there."""
        return Answer(fsc="5340", reason="hardware")


SERVER = """
import asyncio, sys
reply = sys.stdin.buffer.read(int(sys.argv[1]))
head = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(reply)
class Answering(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.data = transport, b""
    def data_received(self, data):
        self.data += data
        while True:
            end = self.data.find(b"\\r\\n\\r\\n")
            if end < 0: return
            lower = self.data[:end].lower(); at = lower.find(b"content-length:")
            length = int(lower[at + 15:].split(b"\\r\\n")[0]) if at >= 0 else 0
            if len(self.data) < end + 4 + length: return
            self.data = self.data[end + 4 + length:]
            self.transport.write(head + reply)
async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
asyncio.run(main())
"""


class Stub:
    """A transport that answers at once: what remains is failsoft's own part."""

    async def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        """The same reply to everything."""
        return HttpReply(200, {"content-type": "application/json"}, REPLY)


def isolation(port: int, ledger: str, bulkhead: int = 1000) -> Isolation:
    """One capability over one adapter."""
    return Isolation(
        {
            "ledger": {"url": ledger},
            "adapters": {
                "local": {
                    "provider": "openai-compatible",
                    "base_url": f"http://127.0.0.1:{port}/v1",
                    "model": "model-1",
                    "concurrency": min(bulkhead, 100),
                }
            },
            "capabilities": {"classify": {"adapters": ["local"], "deadline": "60s"}},
        },
        capabilities=[Classify],
    )


async def counted(call: Callable[[], Awaitable[Any]]) -> int:
    """Python function calls of one call in the calling thread."""
    for _ in range(5):
        await call()
    profile = cProfile.Profile()
    profile.enable()
    await call()
    profile.disable()
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


async def timed(calls: dict[str, Callable[[], Awaitable[Any]]], rounds: int = 15, block: int = 40) -> dict[str, float]:
    """Median microseconds of each, in interleaved blocks."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.perf_counter()
            for _ in range(block):
                await call()
            took[name].append((time.perf_counter() - begun) / block * 1e6)
    return {name: statistics.median(each) for name, each in took.items()}


async def rate(call: Callable[[], Awaitable[Any]], callers: int, seconds: float = 2.0) -> float:
    """Calls a second with so many callers at once."""
    done = 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return done / (time.perf_counter() - begun)


async def measure(port: int, folder: str) -> dict[str, Any]:
    """All figures."""
    figures: dict[str, Any] = {}
    item = Item(description="screw, cap, socket head")
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    schema = Answer.model_json_schema()
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
    bare_client = httpx.AsyncClient(limits=limits, timeout=60)

    async def bare() -> Answer:
        body = {
            "model": "model-1",
            "messages": [{"role": "user", "content": item.model_dump_json()}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "classify", "schema": schema}},
        }
        reply = await bare_client.post(url, json=body)
        return Answer.model_validate_json(reply.json()["choices"][0]["message"]["content"])

    off, on = isolation(port, "none"), isolation(port, f"sqlite:///{folder}/bench.db")
    async with off, on:
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "bare": bare,
            "off": lambda: off[Classify](item),
            "on": lambda: on[Classify](item),
        }
        outcome = await off[Classify](item)
        assert outcome.by_ai, outcome
        for name, call in calls.items():
            figures[f"calls_{name}"] = await counted(call)
        driver: Any = off.running and off.running.asynchronous
        real, driver._transport = driver._transport, Stub()
        figures["calls_own_part"] = await counted(calls["off"])
        stub_times = await timed({"own_part": calls["off"]})
        driver._transport = real
        figures["us_own_part"] = round(stub_times["own_part"], 1)
        for name, took in (await timed(calls)).items():
            figures[f"us_{name}"] = round(took, 1)
        figures["ratio_calls_off"] = round(figures["calls_off"] / figures["calls_bare"], 3)
        figures["ratio_calls_on"] = round(figures["calls_on"] / figures["calls_bare"], 3)
        figures["ratio_time_off"] = round(figures["us_off"] / figures["us_bare"], 3)
        figures["ledger_adds_ms"] = round((figures["us_on"] - figures["us_off"]) / 1000, 3)
        for callers in (1, 100, 1000):
            for name, call in calls.items():
                figures[f"rate_{name}_{callers}"] = round(await rate(call, callers))
        if importlib.util.find_spec("aiohttp") is not None:
            figures.update(
                await measure_fast({"bare": bare, "fast_off": calls["off"], "fast_on": calls["on"]}, off, on)
            )
    await bare_client.aclose()
    figures.update(await measure_open(port))
    return figures


async def measure_fast(calls: dict[str, Callable[[], Awaitable[Any]]], *isolations: Isolation) -> dict[str, Any]:
    """The same calls over the transport of the extra ``fast``."""
    from failsoft.io.transport_aiohttp import AiohttpTransport

    figures: dict[str, Any] = {}
    transport = AiohttpTransport(isolations[0]._clock)
    drivers: list[Any] = [each.running and each.running.asynchronous for each in isolations]
    before = [each._transport for each in drivers]
    for each in drivers:
        each._transport = transport
    try:
        counts = {name: await counted(call) for name, call in calls.items()}
        took = await timed(calls)
        for name in ("fast_off", "fast_on"):
            figures[f"calls_{name}"] = counts[name]
            figures[f"ratio_calls_{name}"] = round(counts[name] / counts["bare"], 3)
            figures[f"us_{name}"] = round(took[name], 1)
        figures["ratio_time_fast_off"] = round(took["fast_off"] / took["bare"], 3)
        for callers in (1, 100, 1000):
            for name in ("fast_off", "fast_on"):
                figures[f"rate_{name}_{callers}"] = round(await rate(calls[name], callers))
    finally:
        for each, own in zip(drivers, before, strict=True):
            each._transport = own
        await transport.aclose()
    return figures


async def measure_open(port: int) -> dict[str, Any]:
    """An open breaker: straight to the fallback."""
    item = Item(description="screw, cap, socket head")
    closed = isolation(port, "none")
    async with closed:
        breaker = closed._adapters["local"].breaker
        from failsoft.fault import Settlement

        for n in range(5):
            permit = breaker.acquire(time.monotonic_ns(), 10**9, call=n)
            permit.settle(Settlement.FAILURE, time.monotonic_ns())  # type: ignore[union-attr]
        outcome = await closed[Classify](item)
        assert outcome.degraded
        took = await timed({"open": lambda: closed[Classify](item)}, block=200)
        return {
            "us_open_to_fallback": round(took["open"], 1),
            "calls_open": await counted(lambda: closed[Classify](item)),
        }


def main() -> None:
    """Start the server, measure, print."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(len(REPLY))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(REPLY)
    server.stdin.flush()
    port = int(server.stdout.readline())
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures = asyncio.run(measure(port, str(Path(folder))))
    finally:
        server.kill()
        server.wait()
    for name, value in figures.items():
        print(f"{name:>24}  {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
