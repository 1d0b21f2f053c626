"""The transport over aiohttp's parser, where it differs from the others; what's common is in the tests beside this one."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fault_server import FaultServer, Peer, always, once, raw, reply

from conftest import RealClock, make_transport
from failsoft.core.effects import SECOND, HttpReply, HttpRequest
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_sync import ThroughLoop
from failsoft.io.invoke import BackgroundLoop

pytest.importorskip("aiohttp", reason="the extra `fast` isn't installed")

from failsoft.io import transport_aiohttp
from failsoft.io.transport_aiohttp import AiohttpTransport, problem

OK = reply(b'{"ok": true}')
HEADERS = (("content-type", "application/json"),)


def soon() -> int:
    return time.monotonic_ns() + 5 * SECOND


def ask(url: str, *headers: tuple[str, str], transport: AiohttpTransport | None = None, **more: Any) -> Any:
    async def main() -> HttpReply | Fault:
        asked = transport or AiohttpTransport(RealClock())
        return await asked.exchange(HttpRequest(url, headers or HEADERS, b"{}", **more), soon())

    return asyncio.run(main())


@pytest.fixture
def fresh_problem() -> Iterator[Callable[[], str | None]]:
    problem.cache_clear()
    yield problem
    problem.cache_clear()


def test_the_aiohttp_installed_can_be_used() -> None:
    assert problem() is None


def takes_nothing() -> None: ...


class Silent:
    def __init__(self, *_: object, **__: object) -> None: ...

    def feed_data(self, data: bytes) -> Any:
        return (), False, b""


class Otherwise:
    """A parser that knows nothing of chunks."""

    def __init__(self, *_: object, **__: object) -> None:
        self.code, self.raw_headers, self.chunked, self.should_close = 200, (), False, False

    def feed_data(self, data: bytes) -> Any:
        return [(self, self)], False, b""

    def read_nowait(self, count: int) -> bytes:
        return b"2\r\n{}\r\n"


@pytest.mark.parametrize(
    ("parser", "told"), [(takes_nothing, "TypeError"), (Silent, "Broken"), (Otherwise, "in another way")]
)
def test_a_parser_of_another_kind_is_told_at_the_start(
    parser: Any, told: str, fresh_problem: Callable[[], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_aiohttp, "HttpResponseParser", parser)
    found = fresh_problem()
    assert found is not None
    assert told in found


@pytest.mark.parametrize(
    "header",
    [
        ("x-a", "b\r\nx-evil: 1"),
        ("x-a\r\nx-evil", "1"),
        ("x-a", "b\nx-evil: 1"),
        ("x-a", "\x00"),
        ("x a", "b"),
        ("x-a:", "b"),
        ("", "b"),
        ("x-a", " b"),
        ("x-a", "b "),
        ("x-a", "ü"),
    ],
    ids=repr,
)
def test_a_header_that_would_end_its_line_is_never_sent(header: tuple[str, str]) -> None:
    with FaultServer(always(OK)) as server:
        with pytest.raises(ValueError):
            ask(server.url, header)
        assert server.accepted == 0


def test_a_path_that_http_can_not_carry_is_never_sent() -> None:
    with FaultServer(always(OK)) as server:
        with pytest.raises(ValueError):
            ask(f"http://127.0.0.1:{server.port}/a b")
        assert server.accepted == 0


def test_an_empty_header_and_one_with_spaces_inside_are_sent() -> None:
    with FaultServer(always(OK)) as server:
        ask(server.url, ("x-a", ""), ("x-b", "a b\tc"))
    assert b"\r\nx-a: \r\nx-b: a b\tc\r\nContent-Length: 2\r\n\r\n{}" in server.seen[0]


def test_what_is_remembered_of_requests_is_bounded() -> None:
    transport = AiohttpTransport(RealClock())
    with FaultServer(always(OK)) as server:

        async def main() -> None:
            for n in range(300):
                await transport.exchange(HttpRequest(server.url, (("x-n", str(n)),), b"{}"), soon())
            await transport.aclose()

        asyncio.run(main())
        assert [b"x-n: %d\r\n" % n in each for n, each in enumerate(server.seen)] == [True] * 300
    assert len(transport._heads) <= 256


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_no_method_is_ever_repeated_by_itself(method: str) -> None:
    """aiohttp's own client repeats a GET or PUT on a connection that has gone stale: twice billed, once counted."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.read_request()

    async def main() -> None:
        transport = AiohttpTransport(RealClock())
        request = HttpRequest(server.url, HEADERS, b"{}", method)
        assert isinstance(await transport.exchange(request, soon()), HttpReply)
        fault = await transport.exchange(request, soon())
        assert isinstance(fault, Fault)
        assert fault.kind is FaultKind.STALE_CONNECTION
        await transport.aclose()

    with FaultServer(script) as server:
        asyncio.run(main())
        assert len(server.seen) == 2
        assert server.accepted == 1


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nA Header: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\n{}",
        b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n",
    ],
    ids=repr,
)
def test_what_the_parser_refuses_is_bad_framing_and_never_a_status_of_400(data: bytes) -> None:
    with FaultServer(once(data)) as server:
        fault = ask(server.url)
    assert isinstance(fault, Fault), fault
    assert (fault.kind, fault.status) == (FaultKind.BAD_FRAMING, None)


def test_row_90_an_answer_and_an_end_before_the_request_is_sent_whole_is_read(loop_mode: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(reply(b"{}", status=b"413 Content Too Large"))
        peer._sock.shutdown(socket.SHUT_WR)
        peer.server.stopping.wait(10)

    async def main() -> HttpReply | Fault:
        transport = make_transport(loop_mode)
        return await transport.exchange(HttpRequest(server.url, HEADERS, b"x" * 30_000_000), soon())

    with FaultServer(script) as server:
        result = asyncio.run(main())
    assert isinstance(result, HttpReply), result
    assert result.status == 413


def test_chunks_that_end_for_the_inbox_but_not_for_the_parser_are_refused() -> None:
    data = raw(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\n\nX: y\r\n\r\n")
    with FaultServer(once(data)) as server:
        assert ask(server.url).kind is FaultKind.BAD_FRAMING


def test_a_real_400_is_a_reply() -> None:
    with FaultServer(once(reply(b"{}", status=b"400 Bad Request"))) as server:
        assert ask(server.url).status == 400


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "data", [OK, CHUNKS, b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK], ids=["length", "chunks", "103"]
)
def test_a_reply_that_comes_byte_by_byte_is_whole(data: bytes) -> None:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.drip((bytes((each,)) for each in data), 0.0002)

    with FaultServer(script) as server:
        assert ask(server.url).body in (b'{"ok": true}', b"{}")


@pytest.mark.parametrize("data", [OK, CHUNKS], ids=["length", "chunks"])
def test_a_cancel_at_any_step_of_the_loop_leaves_no_connection_half_used(data: bytes) -> None:
    """At each step in turn; afterwards what is idle answers with the right body, and nothing else is open."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(data[:30])
            peer.server.stopping.wait(0.001)
            peer.send(data[30:])

    async def main() -> int:
        transport = AiohttpTransport(RealClock())
        request = HttpRequest(server.url, HEADERS, b"{}")
        cancelled = 0
        for steps in range(40):
            task = asyncio.create_task(transport.exchange(request, soon()))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            cancelled += isinstance(result, asyncio.CancelledError)
            reply = await transport.exchange(request, soon())
            assert isinstance(reply, HttpReply)
            assert reply.body in (b'{"ok": true}', b"{}")
        (slots,) = transport._loops.values()
        (idle,) = slots.idle.values()
        assert await asyncio.to_thread(server.wait_open, len(idle))
        await transport.aclose()
        return cancelled

    with FaultServer(script) as server:
        assert asyncio.run(main()) > 5
        assert server.wait_open(0)


def test_threads_are_served_through_one_loop_in_the_background() -> None:
    background = BackgroundLoop()
    blocking = ThroughLoop(AiohttpTransport(RealClock()), RealClock(), background)
    with FaultServer(always(OK)) as server:
        replies = [blocking.exchange(HttpRequest(server.url, HEADERS, b"{}"), soon()) for _ in range(5)]
        assert all(isinstance(each, HttpReply) for each in replies)
        assert server.accepted == 1
        background.close()
        assert server.wait_open(0)  # the loop's end closed what was idle


def test_a_thread_is_told_a_fault_like_any_other_caller() -> None:
    background = BackgroundLoop()
    blocking = ThroughLoop(AiohttpTransport(RealClock()), RealClock(), background)
    try:
        with FaultServer(once(raw(b"HTTP/1.1 200 OK", b"Content-Length: 9", body=b"{}"))) as server:
            fault = blocking.exchange(HttpRequest(server.url, HEADERS, b"{}"), soon())
            assert isinstance(fault, Fault)
            assert fault.kind is FaultKind.CONNECTION_LOST
        with FaultServer(Peer.hang) as server:
            fault = blocking.exchange(HttpRequest(server.url, HEADERS, b"{}"), time.monotonic_ns() + SECOND // 10)
            assert isinstance(fault, Fault)
            assert fault.kind is FaultKind.ATTEMPT_TIMEOUT
    finally:
        background.close()
