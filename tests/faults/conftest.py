from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from failsoft.core.effects import MILLISECOND, SECOND, HttpReply, HttpRequest
from failsoft.fault import Fault
from failsoft.io.transport_async import AsyncTransport
from failsoft.io.transport_sync import SyncTransport

HEADERS = (
    ("content-type", "application/json"),
    ("accept-encoding", "identity"),
    ("authorization", "Bearer secret-key"),
)


class RealClock:
    """The clock that transports need: their deadlines are kept by real sockets."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


def post(url: str, body: bytes = b'{"ask": 1}') -> HttpRequest:
    return HttpRequest(url, HEADERS, body)


def make_transport(mode: str, **options: object) -> Any:
    """The transport of that name; the test is skipped where aiohttp isn't installed."""
    if mode == "aiohttp":
        pytest.importorskip("aiohttp", reason="the extra `fast` isn't installed")
        from failsoft.io.transport_aiohttp import AiohttpTransport

        return AiohttpTransport(RealClock(), **options)
    return (AsyncTransport if mode == "async" else SyncTransport)(RealClock(), **options)


class Client:
    """Any transport, asked from a test that isn't asynchronous."""

    def __init__(self, mode: str, **options: object) -> None:
        self.mode = mode
        self.closed = False
        self.transport = make_transport(mode, **options)
        self.runner = None if mode == "sync" else asyncio.Runner()

    def ask(self, url: str, *, ms: int = 3000, body: bytes = b'{"ask": 1}') -> HttpReply | Fault:
        return self.put(post(url, body), ms=ms)

    def put(self, request: HttpRequest, *, ms: int = 3000) -> HttpReply | Fault:
        until = time.monotonic_ns() + ms * MILLISECOND
        if self.runner is not None:
            return self.runner.run(self.transport.exchange(request, until))
        return self.transport.exchange(request, until)

    def timed(self, url: str, *, ms: int, body: bytes = b"{}") -> tuple[HttpReply | Fault, float]:
        begun = time.monotonic_ns()
        return self.ask(url, ms=ms, body=body), (time.monotonic_ns() - begun) / SECOND

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.runner is None:
            self.transport.close()
            return
        self.runner.run(self.transport.aclose())
        self.runner.close()
        self.runner = None


@pytest.fixture(params=["async", "sync", "aiohttp"])
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["async", "aiohttp"])
def loop_mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def clients(mode: str) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(**options: object) -> Client:
        made.append(Client(mode, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def client(clients: Callable[..., Client]) -> Client:
    return clients()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
