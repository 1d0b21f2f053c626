"""A streamed reply whose bytes come in any pieces: both asyncio transports hand out the same body, and hear the same."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failsoft.adapters.openai_stream import ChatPulse
from failsoft.core.effects import SECOND, HttpRequest
from failsoft.io.transport import Slot, Target
from failsoft.io.transport_async import AsyncTransport
from failsoft.io.transport_async_line import Line
from failsoft.io.transport_pulse import Ear, Silence
from failsoft.testing.streams import answer_events

EVENTS = answer_events("m", '{"fsc": "Büchse"}', 3)
BODY = b"".join(EVENTS)
URL = "http://127.0.0.1:9/v1"


class Clock:
    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


class Peer:
    """asyncio's side of a connection, which takes whatever is written."""

    def is_closing(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Counting(ChatPulse):
    """Notes how often it heard something meaningful."""

    def __init__(self) -> None:
        super().__init__()
        self.meaningful = 0

    def heard(self, part: bytes, /) -> bool:
        heard = super().heard(part)
        self.meaningful += heard
        return heard


def transport_of(mode: str) -> AsyncTransport:
    if mode == "aiohttp":
        pytest.importorskip("aiohttp", reason="the extra `fast` isn't installed")
        from failsoft.io.transport_aiohttp import AiohttpTransport

        return AiohttpTransport(Clock())
    return AsyncTransport(Clock())


def on_wire(sizes: list[int]) -> bytes:
    """The body in chunks of these sizes, over and over."""
    at, chunks = 0, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    for number in range(len(BODY)):
        data = BODY[at : at + sizes[number % len(sizes)]]
        at += len(data)
        if data:
            chunks += b"%x\r\n%b\r\n" % (len(data), data)
    return chunks + b"0\r\n\r\n"


async def heard(mode: str, wire: bytes, size: int) -> tuple[bytes, int]:
    """The body as the transport hands it out, and how many of its parts were meaningful."""
    transport, pulse = transport_of(mode), Counting()
    request = HttpRequest(URL, (), b"{}", "POST", lambda: pulse, SECOND, SECOND)
    line, target = Line(asyncio.get_running_loop(), None, 1_000_000), Target.of(URL)  # type: ignore[arg-type]
    line.connection_made(Peer())  # type: ignore[arg-type]
    line.streamed = True
    line.inbox.begin(streamed=True)

    async def feed() -> None:
        for at in range(0, len(wire), size):
            line.data_received(wire[at : at + size])
            await asyncio.sleep(0)

    async with asyncio.timeout(10) as timer:
        feeding = asyncio.create_task(feed())
        now = time.monotonic_ns()
        ear = Ear(Silence.begin(request, now, now + 5 * SECOND), Clock(), timer)
        slot = Slot(line, transport._speaker(line, target))
        status, _, parts, _ = await transport._hear(slot, transport._make(request, target), ear)
        await feeding
    assert status == 200
    return b"".join(parts), pulse.meaningful


@pytest.mark.parametrize("mode", ["async", "aiohttp"])
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=6), size=st.integers(1, 3_000))
@settings(max_examples=40, deadline=None)
def test_any_split_of_the_bytes_gives_the_same_body(mode: str, sizes: list[int], size: int) -> None:
    body, meaningful = asyncio.run(heard(mode, on_wire(sizes), size))
    assert body == BODY
    assert 1 <= meaningful <= len(EVENTS) - 1


@pytest.mark.parametrize(
    ("kind", "listens"), [("application/x-ndjson; charset=utf-8", True), ("text/event-stream", False)]
)
def test_a_pulse_listens_to_the_media_type_that_its_request_names(kind: str, listens: bool) -> None:
    request = HttpRequest(URL, (), b"", "POST", Counting, SECOND, SECOND, stream_type="application/x-ndjson")
    silence = Silence.begin(request, 0, 9 * SECOND)
    silence.head(200, {"content-type": kind})
    assert silence.ends == (SECOND if listens else 9 * SECOND)
