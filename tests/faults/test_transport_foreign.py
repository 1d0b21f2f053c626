"""The user's own httpx transport behind the same seam: the same rules, as far as they can be seen from outside."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fault_server import FaultServer, always, reply

from conftest import RealClock, post
from failsoft.core.effects import MILLISECOND, SECOND, HttpReply
from failsoft.fault import FaultKind
from failsoft.io.transport_async import AsyncTransport
from failsoft.io.transport_sync import SyncTransport

URL = "http://api.example/v1"


@pytest.fixture(params=["async", "sync"])  # those over httpx: only they take one
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


def answering(response: httpx.Response) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: response)


def raising(error: Exception) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error

    return httpx.MockTransport(handle)


def test_its_reply_is_read_whole(clients: Any) -> None:
    client = clients(transport=answering(httpx.Response(200, json={"ok": 1}, headers={"X-A": "b"})))
    result = client.ask(URL)
    assert (result.status, result.body, result.headers["x-a"]) == (200, b'{"ok":1}', "b")


def test_it_is_handed_the_request_as_made(clients: Any) -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    clients(transport=httpx.MockTransport(handle)).ask(URL, body=b"{}")
    (request,) = seen
    assert (request.method, str(request.url), request.content) == ("POST", URL, b"{}")
    assert request.headers["authorization"] == "Bearer secret-key"


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx.Response(101), FaultKind.UNEXPECTED_STATUS),
        (httpx.Response(302, headers={"location": "/"}), FaultKind.REDIRECT),
        (httpx.Response(200, content=b"x" * 2000), FaultKind.TOO_LARGE),
        (
            httpx.Response(200, content=gzip.compress(b"x" * 2000), headers={"content-encoding": "gzip"}),
            FaultKind.TOO_LARGE,
        ),
        (httpx.Response(200, content=b"x", headers={"content-encoding": "br"}), FaultKind.UNKNOWN_ENCODING),
    ],
)
def test_its_replies_obey_the_same_rules(response: httpx.Response, kind: FaultKind, clients: Any) -> None:
    assert clients(transport=answering(response), max_bytes=1000).ask(URL).kind is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("secret-key"), FaultKind.CONNECT_FAILED),
        (httpx.ConnectTimeout("secret-key"), FaultKind.CONNECT_TIMEOUT),
        (httpx.ReadTimeout("secret-key"), FaultKind.ATTEMPT_TIMEOUT),
        (httpx.WriteError("secret-key"), FaultKind.UPLOAD_CUT),
        (httpx.ReadError("secret-key"), FaultKind.CONNECTION_LOST),
        (httpx.PoolTimeout("secret-key"), FaultKind.POOL_EXHAUSTED),
        (httpx.RemoteProtocolError("secret-key"), FaultKind.BAD_FRAMING),
        (httpx.ProxyError("secret-key"), FaultKind.PROXY_REFUSED),
        (TimeoutError(110, "secret-key"), FaultKind.CONNECT_TIMEOUT),
        (OSError("secret-key"), FaultKind.CONNECT_FAILED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_its_exceptions_become_faults_in_our_words(error: Exception, kind: FaultKind, clients: Any) -> None:
    fault = clients(transport=raising(error)).ask(URL)
    assert fault.kind is kind
    assert "secret" not in repr(fault)


def test_only_the_nearest_causes_of_an_exception_are_looked_at(clients: Any) -> None:
    error: Exception = ConnectionRefusedError()
    for _ in range(10):
        outer = httpx.ConnectError("")
        outer.__cause__ = error
        error = outer
    assert clients(transport=raising(error)).ask(URL).kind is FaultKind.CONNECT_FAILED
    assert clients(transport=raising(error.__cause__.__cause__.__cause__)).ask(URL).kind is FaultKind.CONNECT_REFUSED


def test_a_bug_in_it_is_not_taken_for_a_fault(clients: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        clients(transport=raising(ZeroDivisionError())).ask(URL)


class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks after its first part."""

    closed = False

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __iter__(self) -> Iterator[bytes]:
        yield b"{"
        raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        raise self.error

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("error", [httpx.ReadError(""), TimeoutError()], ids=["read", "timeout"])
def test_a_body_that_breaks_is_a_lost_connection_and_is_closed(error: Exception, clients: Any) -> None:
    body = Broken(error)
    client = clients(transport=answering(httpx.Response(200, stream=body)))
    assert client.ask(URL).kind is FaultKind.CONNECTION_LOST
    client.close()
    assert body.closed


class Slow(httpx.AsyncByteStream):
    """A body that never ends, and a close that doesn't either."""

    closing = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def aclose(self) -> None:
        self.closing = True
        await asyncio.Event().wait()


def test_the_deadline_holds_and_a_close_that_hangs_is_given_up() -> None:
    body = Slow()

    async def main() -> None:
        transport = AsyncTransport(RealClock(), transport=answering(httpx.Response(200, stream=body)))
        fault = await transport.exchange(post(URL), time.monotonic_ns() + 50 * MILLISECOND)
        assert fault.kind is FaultKind.ATTEMPT_TIMEOUT
        await transport.aclose()

    begun = time.monotonic()
    asyncio.run(main())
    assert body.closing
    assert time.monotonic() - begun < 1


def test_a_cancel_is_passed_on_and_its_reply_closed() -> None:
    body = Slow()

    async def main() -> None:
        transport = AsyncTransport(RealClock(), transport=answering(httpx.Response(200, stream=body)))
        task = asyncio.create_task(transport.exchange(post(URL), time.monotonic_ns() + 5 * SECOND))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await transport.aclose()

    asyncio.run(main())
    assert body.closing


def test_a_body_that_drips_past_the_deadline_ends_between_two_parts() -> None:
    class Dripping(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                clock.now += SECOND
                yield b"x"

    class Steps:
        now = 0

        def monotonic_ns(self) -> int:
            return self.now

        def time_ns(self) -> int:
            return self.now

    clock = Steps()
    transport = SyncTransport(clock, transport=answering(httpx.Response(200, stream=Dripping())))
    assert transport.exchange(post(URL), 10 * SECOND).kind is FaultKind.ATTEMPT_TIMEOUT


def test_a_real_transport_of_httpx_works_over_sockets(clients: Any, client: Any) -> None:
    own = httpx.AsyncHTTPTransport() if client.mode == "async" else httpx.HTTPTransport()
    with FaultServer(always(reply(b"{}"))) as server:
        borrowing = clients(transport=own)
        assert isinstance(borrowing.ask(server.url), HttpReply)
        borrowing.close()
