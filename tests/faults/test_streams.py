"""The clocks of a streamed reply, over all transports and real sockets, and over the user's own."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from fault_server import FaultServer, Peer, Script, always, raw, reply

from conftest import HEADERS, Client
from failsoft.adapters.openai_stream import ChatPulse
from failsoft.core.effects import MILLISECOND, SECOND, HttpReply, HttpRequest
from failsoft.fault import Fault, FaultKind
from failsoft.testing.streams import answer_events, chunk

K = FaultKind
HEAD = raw(b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream; charset=utf-8", b"Transfer-Encoding: chunked")
TOKEN = chunk("m", {"content": "x"})
PING = b": ping\n\n"
LAST = b"0\r\n\r\n"


def piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def for_ever(data: bytes) -> Iterator[bytes]:
    while True:
        yield data


def streaming(url: str, first: int = 150, gap: int = 150, *, pulse: Callable[[], Any] = ChatPulse) -> HttpRequest:
    return HttpRequest(url, HEADERS, b"{}", "POST", pulse, first * MILLISECOND, gap * MILLISECOND)


def asked(client: Client, script: Script, ms: int = 10_000, **limits: int) -> tuple[HttpReply | Fault, float]:
    with FaultServer(script) as server:
        begun = time.monotonic_ns()
        result = client.put(streaming(server.url, **limits), ms=ms)
        return result, (time.monotonic_ns() - begun) / SECOND


def kind_of(result: HttpReply | Fault) -> FaultKind:
    assert isinstance(result, Fault), result
    return result.kind


def after(*parts: bytes, then: Callable[[Peer], None] = Peer.hang) -> Script:
    """A head and these parts; then something else."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(HEAD + b"".join(map(piece, parts)))
            then(peer)

    return script


def test_a_stream_comes_as_one_reply_of_its_exact_bytes_and_the_connection_is_used_again(client: Client) -> None:
    events = answer_events("m", '{"a": 1}', 2)
    with FaultServer(after(*events, then=lambda peer: peer.send(LAST))) as server:
        for _ in range(2):
            result = client.put(streaming(server.url))
            assert isinstance(result, HttpReply)
            assert (result.status, result.body) == (200, b"".join(events))
        assert server.accepted == 1


def test_a_long_head_and_a_long_chunk_extension_are_read_as_ever(client: Client) -> None:
    head = HEAD[:-2] + b"".join(b"x-%d: %b\r\n" % (number, b"y" * 100) for number in range(80)) + b"\r\n"
    chunks = b"%x;%b\r\n%b\r\n" % (len(TOKEN), b"z" * 5_000, TOKEN)
    result, _ = asked(client, always(head + chunks + LAST))
    assert isinstance(result, HttpReply)
    assert (result.body, result.headers["x-79"]) == (TOKEN, "y" * 100)


def test_a_stream_whose_length_is_announced_is_one_too(client: Client) -> None:
    body = b"".join(answer_events("m", "{}", 1))
    result, _ = asked(client, always(raw(b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), body=body)))
    assert isinstance(result, HttpReply)
    assert result.body == body


@pytest.mark.parametrize(
    "script",
    [
        after(),
        after(then=lambda peer: peer.drip(for_ever(piece(PING)))),
        after(chunk("m", {"role": "assistant", "content": ""})),
        after(TOKEN),
        after(TOKEN, then=lambda peer: peer.drip(for_ever(piece(PING)))),
        after(TOKEN, TOKEN[:-1]),
        Peer.hang,
    ],
    ids=["a head", "pings", "a role", "one token", "a token and pings", "half an event", "not even a head"],
)
def test_row_64_silence_ends_long_before_the_deadline(script: Script, client: Client) -> None:
    result, seconds = asked(client, script)
    assert kind_of(result) is K.STREAM_STALLED
    assert 0.14 < seconds < 1.0


def test_row_64_a_flood_of_pings_is_silence_and_leaves_the_loop_to_others(loop_mode: str) -> None:
    client = Client(loop_mode)
    ticks = 0

    async def main(url: str) -> HttpReply | Fault:
        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.create_task(tick())
        result: HttpReply | Fault = await client.transport.exchange(streaming(url), time.monotonic_ns() + 3 * SECOND)
        ticking.cancel()
        return result

    with FaultServer(after(then=lambda peer: peer.drip(for_ever(piece(PING) * 200), every=0))) as server:
        assert client.runner is not None
        result = client.runner.run(main(server.url))
    client.close()
    assert kind_of(result) in (
        K.STREAM_STALLED,
        K.BAD_FRAMING,
    )  # a machine that's quick enough reaches the chunks' number
    assert ticks >= 3


def test_each_meaningful_event_winds_the_clock_up(client: Client) -> None:
    def drip(peer: Peer) -> None:
        peer.drip([piece(TOKEN)] * 20, every=0.04)
        peer.send(LAST)

    result, seconds = asked(client, after(then=drip), first=400, gap=400)
    assert isinstance(result, HttpReply)
    assert result.body == TOKEN * 20
    assert seconds > 0.7


def test_the_first_event_and_the_gaps_have_limits_of_their_own(client: Client) -> None:
    late = after(then=lambda peer: (peer.pause(0.25), peer.send(piece(TOKEN) + LAST))[1])
    assert isinstance(asked(client, late, first=1000, gap=50)[0], HttpReply)
    assert kind_of(asked(client, late, first=50, gap=1000)[0]) is K.STREAM_STALLED


@pytest.mark.parametrize(("parts", "detail"), [((), "it didn't begin in time"), ((TOKEN,), "it stopped in its middle")])
def test_a_stall_says_whether_the_answer_had_begun(parts: tuple[bytes, ...], detail: str, client: Client) -> None:
    result, _ = asked(client, after(*parts))
    assert isinstance(result, Fault)
    assert result.detail == detail


def test_a_deadline_that_comes_first_is_a_time_out(client: Client) -> None:
    result, seconds = asked(client, after(TOKEN), ms=150, first=2000, gap=2000)
    assert kind_of(result) is K.ATTEMPT_TIMEOUT
    assert seconds < 1.0


@pytest.mark.parametrize(
    "head",
    [
        [b"HTTP/1.1 200 OK", b"Content-Type: application/json"],
        [b"HTTP/1.1 500 Oops", b"Content-Type: text/event-stream"],
        [b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", b"Content-Encoding: gzip"],
    ],
    ids=["JSON", "an error", "compressed"],
)
def test_what_is_no_plain_event_stream_has_its_deadline_alone(head: list[bytes], client: Client) -> None:
    body = gzip.compress(b"data: 1\n\n") if len(head) == 3 else b"{}"

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(raw(*head, b"Content-Length: %d" % len(body)))
        peer.pause(0.3)
        peer.send(body)

    result, _ = asked(client, script)
    assert isinstance(result, HttpReply)


@pytest.mark.parametrize(
    ("then", "kind"),
    [
        (lambda peer: peer.send(b"ff\r\ndata: {"), K.CONNECTION_LOST),
        (Peer.reset, K.CONNECTION_LOST),
        (lambda peer: peer.send(b"zz\r\n"), K.BAD_FRAMING),
    ],
    ids=["cut", "reset", "not a chunk"],
)
def test_row_62_a_stream_that_breaks_is_what_any_broken_reply_is(
    then: Callable[[Peer], None], kind: FaultKind, client: Client
) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(HEAD + piece(TOKEN))
        then(peer)

    assert kind_of(asked(client, script)[0]) is kind


def test_a_long_answer_may_come_in_more_chunks_than_a_reply_in_one_piece(client: Client) -> None:
    flood = raw(b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked")
    flood += piece(b"data: 1\n\n") * 17_000 + LAST
    result, _ = asked(client, always(flood), ms=20_000, first=15_000)
    assert isinstance(result, HttpReply)
    with FaultServer(always(flood)) as server:
        assert kind_of(client.ask(server.url, ms=20_000)) is K.BAD_FRAMING


def test_no_connection_in_time_for_a_first_event_is_no_connection(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket
    import threading

    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(5) and [])
    try:
        assert kind_of(client.put(streaming("http://slow.invalid/"))) is K.CONNECT_TIMEOUT
    finally:
        released.set()


def test_every_exchange_has_a_pulse_of_its_own(client: Client) -> None:
    made: list[ChatPulse] = []

    def pulse() -> ChatPulse:
        made.append(ChatPulse())
        return made[-1]

    with FaultServer(after(TOKEN, then=lambda peer: peer.send(LAST))) as server:
        for _ in range(3):
            client.put(streaming(server.url, pulse=pulse))
    assert len({id(each) for each in made}) == 3


def test_a_request_without_a_pulse_may_wait_for_its_parts(client: Client) -> None:
    with FaultServer(after(then=lambda peer: (peer.pause(0.3), peer.send(LAST))[1])) as server:
        assert isinstance(client.ask(server.url), HttpReply)
    with FaultServer(always(reply())) as server:
        assert isinstance(client.put(streaming(server.url)), HttpReply)


# --- over the user's own transport ------------------------------------------------------------------------------------


class Parts(httpx.AsyncByteStream, httpx.SyncByteStream):
    """Comes part by part, and then hangs as long as a reader lets it, or ends."""

    def __init__(self, parts: list[bytes], every: float = 0.0, *, hangs: bool = False) -> None:
        self.parts, self.every, self.hangs = parts, every, hangs

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            time.sleep(self.every)
            yield part
        if self.hangs:
            time.sleep(0.2)  # a real one's own read time-out, told to it with the request
            raise httpx.ReadTimeout("no bytes")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            await asyncio.sleep(self.every)
            yield part
        if self.hangs:
            await asyncio.Event().wait()


@pytest.fixture(params=["async", "sync"])
def foreign(request: pytest.FixtureRequest) -> Iterator[Callable[[Parts], Client]]:
    clients: list[Client] = []

    def make(parts: Parts) -> Client:
        headers = {"content-type": "text/event-stream"}
        transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=parts))
        clients.append(Client(request.param, transport=transport))
        return clients[-1]

    yield make
    for each in clients:
        each.close()


URL = "http://api.example/v1"


def test_the_users_own_transport_streams(foreign: Callable[[Parts], Client]) -> None:
    result = foreign(Parts([TOKEN] * 12, 0.05)).put(streaming(URL, first=400, gap=400))
    assert isinstance(result, HttpReply)
    assert result.body == TOKEN * 12


@pytest.mark.parametrize(
    "parts",
    [Parts([PING] * 100, 0.02), Parts([TOKEN, *[PING] * 100], 0.02), Parts([TOKEN], hangs=True), Parts([], hangs=True)],
    ids=["pings", "a token and pings", "a token", "nothing"],
)
def test_its_silence_ends_too(parts: Parts, foreign: Callable[[Parts], Client]) -> None:
    assert kind_of(foreign(parts).put(streaming(URL))) is K.STREAM_STALLED


class Flood(Parts):
    """Pings for a second, without ever letting anybody else have a turn."""

    def __iter__(self) -> Iterator[bytes]:
        ends = time.monotonic() + 1
        while time.monotonic() < ends:
            yield PING

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def test_a_flood_of_its_own_that_gives_nobody_a_turn_is_silence_too(foreign: Callable[[Parts], Client]) -> None:
    assert kind_of(foreign(Flood([])).put(streaming(URL))) is K.STREAM_STALLED


def test_a_time_out_of_its_own_that_comes_sooner_is_a_time_out(foreign: Callable[[Parts], Client]) -> None:
    result = foreign(Parts([TOKEN], hangs=True)).put(streaming(URL, first=2000, gap=2000), ms=250)
    assert kind_of(result) is K.ATTEMPT_TIMEOUT
