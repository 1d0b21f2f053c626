"""How the faults of the catalogue are shown that `failsoft.testing` has no name for."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
from attrs import evolve, frozen

from failsoft.testing import (
    FaultServer,
    FaultTransport,
    LocalAuthority,
    Reaction,
    chat_answer,
    faults,
    http_reply,
    streams,
    wire,
)

GOOD = chat_answer({"grade": 7})
MODULES = {"faults": faults, "streams": streams, "wire": wire}
PRESENT = "Thu, 01 Jan 2026 00:00:00 GMT"
PRESENT_SECONDS = 1_767_225_600


@frozen
class Shown:
    """A provider that shows it.

    Args:
        base_url: where it is.
        requests: how many came; None where nobody could count them.
        transport: stands in the network's place; None: it's on the wire.
        release: ends what still hangs in a thread.
    """

    base_url: str
    requests: Callable[[], int] | None = None
    transport: FaultTransport | None = None
    release: Callable[[], None] = lambda: None


Show = Callable[[pytest.MonkeyPatch], AbstractContextManager[Shown]]


def show(name: str) -> Show:
    """By the name that the catalogue's data give it."""
    module, _, constant = name.partition(".")
    found: Any = OWN[constant] if module == "own" else getattr(MODULES[module], constant)
    return _played(found) if isinstance(found, Reaction) else found  # type: ignore[no-any-return]


def _played(reaction: Reaction) -> Show:
    @contextmanager
    def played(patch: pytest.MonkeyPatch) -> Iterator[Shown]:
        if reaction.manner == "raise":  # no server can show it
            faulty = FaultTransport(reaction)
            yield Shown("http://127.0.0.1:9/v1", lambda: len(faulty.requests), faulty)
            return
        with FaultServer(reaction, usual=GOOD) as server:
            yield Shown(server.base_url, lambda: len(server.requests))

    return played


@contextmanager
def _nobody_listens(patch: pytest.MonkeyPatch) -> Iterator[Shown]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    yield Shown(f"http://127.0.0.1:{port}/v1")


def _name_lookup(fail: Callable[[], object]) -> Show:
    @contextmanager
    def looked_up(patch: pytest.MonkeyPatch) -> Iterator[Shown]:
        usual, asked = socket.getaddrinfo, list[object]()

        def lookup(host: Any, *others: Any, **named: Any) -> Any:
            if host not in ("somewhere.invalid", b"somewhere.invalid"):
                return usual(host, *others, **named)
            asked.append(host)
            return fail()

        patch.setattr(socket, "getaddrinfo", lookup)
        yield Shown("https://somewhere.invalid/v1", lambda: len(asked))

    return looked_up


def _unknown(code: int) -> Callable[[], object]:
    def fail() -> object:
        raise socket.gaierror(code, "told to fail")

    return fail


@contextmanager
def _name_server_hangs(patch: pytest.MonkeyPatch) -> Iterator[Shown]:
    released = threading.Event()

    def hang() -> object:
        released.wait(5)
        return []

    with _name_lookup(hang)(patch) as shown:
        yield evolve(shown, release=released.set)


@contextmanager
def _never_accepted(patch: pytest.MonkeyPatch) -> Iterator[Shown]:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # the kernel drops further SYNs once the queue is full
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield Shown(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")


def _certificate(host: str, *, expired: bool = False, trusted: bool = True) -> Show:
    @contextmanager
    def shown(patch: pytest.MonkeyPatch) -> Iterator[Shown]:
        authority = LocalAuthority()
        if trusted:
            context = authority.trust()
            for module in ("transport_async", "transport_sync"):
                patch.setattr(f"failsoft.io.{module}.shared_ssl_context", lambda: context)
        with FaultServer(GOOD, tls=authority.certificate(host, expired=expired)) as server:
            yield Shown(server.base_url, lambda: server.accepted)

    return shown


@contextmanager
def _handshake_stalls(patch: pytest.MonkeyPatch) -> Iterator[Shown]:
    with FaultServer(wire.never_read) as server:
        yield Shown(server.base_url.replace("http:", "https:"), lambda: server.accepted)


def _limited(status: int = 429, body: object = None, **headers: str) -> Reaction:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    error = {"error": {"message": "told to wait", "type": "rate_limit_exceeded", "code": "rate_limit_exceeded"}}
    return http_reply(json.dumps(body or error), status=status, headers={"date": PRESENT, **told})


def _reset(value: str) -> Reaction:
    return _limited(x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests=value)


_IN_THE_BODY = {
    "error": {
        "code": 429,
        "message": "Rate limit exceeded",
        "metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{PRESENT_SECONDS + 90}000"}},
    }
}

_TOO_LONG = {"error": {"message": "told to fail", "type": "server_error", "code": "context_length_exceeded"}}

OWN: dict[str, Show | Reaction] = {
    "NOBODY_LISTENS": _nobody_listens,
    "NO_SUCH_NAME": _name_lookup(_unknown(socket.EAI_NONAME)),
    "NAME_SERVER_FAILS": _name_lookup(_unknown(socket.EAI_AGAIN)),
    "NAME_SERVER_HANGS": _name_server_hangs,
    "NEVER_ACCEPTED": _never_accepted,
    "UNKNOWN_AUTHORITY": _certificate("127.0.0.1", trusted=False),
    "ANOTHER_HOST": _certificate("elsewhere.example"),
    "EXPIRED": _certificate("127.0.0.1", expired=True),
    "HANDSHAKE_STALLS": _handshake_stalls,
    "GARBAGE_AFTER_GZIP": http_reply(gzip.compress(b"{}") + b"garbage", headers={"content-encoding": "gzip"}),
    "CORRUPTED": http_reply(GOOD.body("m").replace(b"chat", b"ch\xe1t")),
    "BYTE_ORDER_MARK": http_reply(b'\xef\xbb\xbf{"object": "chat.completion"}'),
    "GARBAGE_BEHIND": http_reply(GOOD.body("m") + b"garbage"),
    "TWO_ENVELOPES": http_reply(GOOD.body("m") * 2),
    "CONTEXT_TOO_LONG_AS_500": http_reply(json.dumps(_TOO_LONG), status=500),
    "UNSUPPORTED_MEDIA": http_reply("{}", status=415),
    "LIMITED_FOR_90_S": faults.RATE_LIMITED("90s"),
    "LIMITED_FOR_50_MS": faults.RATE_LIMITED("50ms", told="milliseconds"),
    "LIMITED_UNTIL_A_DATE": faults.RATE_LIMITED("90s", told="date"),
    "LIMITED_UNTIL_YESTERDAY": _limited(retry_after="Wed, 31 Dec 2025 00:00:00 GMT"),
    "LIMITED_IN_MILLISECONDS": faults.RATE_LIMITED("90s", told="milliseconds"),
    "LIMITED_6M0S": _reset("6m0s"),
    "LIMITED_MINUS_1": _limited(retry_after="-1"),
    "LIMITED_NAN": _limited(retry_after="NaN"),
    "LIMITED_FOR_31_YEARS": _limited(retry_after="999999999"),
    "UNAVAILABLE_FOR_90_S": faults.UNAVAILABLE("90s"),
    "OVERLOADED_FOR_90_S": faults.OVERLOADED("90s"),
    "STATUS_522": http_reply("{}", status=522),
    "REDIRECT_TO_ITSELF": http_reply(status=307, headers={"location": "/v1/chat/completions"}),
    "LIMITED_UNTIL_EPOCH_SECONDS": _reset(str(PRESENT_SECONDS + 90)),
    "LIMITED_UNTIL_EPOCH_MILLISECONDS": _reset(f"{PRESENT_SECONDS + 90}000"),
    "LIMITED_IN_THE_BODY": _limited(body=_IN_THE_BODY),
}
