"""What both transports share: where a request goes, what a head must say, what an exception means.

One seam, `exchange(request, until) -> HttpReply | Fault`, and three implementations of it: over httpcore (the engine under
httpx) `failsoft.io.transport_async` and `failsoft.io.transport_sync`, and `failsoft.io.transport_aiohttp`, where aiohttp's
parser reads the replies. All promise the same:

- one deadline over connect, request, head and body together; a dripping server can't stretch it;
- every reply is whole, framed by HTTP/1.1's rules, its encoding undone and within the size cap, or it's a fault
  (`failsoft.io.inflate`: a compressed body may grow 64 times, or to 1 MiB, and not past the deadline);
- a connection is used again only after a clean end, and only if no byte is left over; otherwise it's closed at once;
- nothing is followed, retried, cached or stored: no redirects, no cookies, no proxies from the environment;
- a fault's detail is in our own words, so it can't hold a URL, a header or a key.

httpx's own pool isn't under them: it slows down with the square of its connections, leaks a connection for good when a
task is cancelled at the wrong step, and can't say whether a failed connection had been used before.
"""

from __future__ import annotations

import select
import socket
import ssl
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import httpcore
import httpx
from attrs import define, field

from failsoft.core.effects import SECOND, Clock, HttpReply, HttpRequest
from failsoft.fault import Fault, FaultKind
from failsoft.io.inflate import decoded
from failsoft.io.transport_inbox import Broken, Inbox

MAX_BYTES = 16 * 1024 * 1024
"""Bytes of a reply's body, on the wire and inflated."""

IDLE_NS = 45 * SECOND
"""How long an idle connection is trusted: below the 60 s after which common load balancers drop one silently."""

CLOSE_SECONDS = 0.25
"""How long a graceful close may take after a cancel or a fault."""

_FIRST_ADDRESS_SECONDS = 1.0  # an address that isn't the last one may take so long to connect; then the next is tried
_MAX_CACHED = 256

_NO_BODY = frozenset({204, 304})
_DEFAULT_PORTS = {"http": 80, "https": 443}


@cache
def shared_ssl_context() -> ssl.SSLContext:
    """The one TLS context of this process (making one costs 30 ms): certifi's authorities, no environment."""
    return httpx.create_ssl_context(trust_env=False)


@define(eq=False)
class Target:
    """A URL, parsed once.

    Args:
        url: as httpcore takes it.
        origin: whom to connect to.
        host: name or address, without brackets.
        host_header: the ``Host`` header's value.
        secure: over TLS?
    """

    url: httpcore.URL
    origin: httpcore.Origin
    key: tuple[str, str, int]
    host: str
    port: int
    host_header: bytes
    secure: bool

    @classmethod
    def of(cls, url: str) -> Target:
        """Parse an absolute http or https URL.

        Raises:
            ValueError: it isn't one, or it holds a user name.
        """
        parts = urlsplit(url)
        host = parts.hostname
        if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc:
            raise ValueError("not an absolute http or https URL without user name")
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        ascii_host = host.encode("idna").decode() if not host.isascii() else host
        shown = f"[{ascii_host}]" if ":" in ascii_host else ascii_host
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        core_url = httpcore.URL(scheme=parts.scheme, host=shown, port=port, target=target)
        return cls(
            url=core_url,
            origin=core_url.origin,
            key=(parts.scheme, ascii_host, port),
            host=ascii_host,
            port=port,
            host_header=(shown if port == _DEFAULT_PORTS[parts.scheme] else f"{shown}:{port}").encode(),
            secure=parts.scheme == "https",
        )


@define(eq=False)
class RequestMaker:
    """Turns requests into httpcore's, remembering what doesn't change between two calls."""

    _targets: dict[str, Target] = field(factory=dict[str, Target], repr=False)
    _headers: dict[tuple[tuple[str, str], ...], list[tuple[bytes, bytes]]] = field(
        factory=dict[tuple[tuple[str, str], ...], list[tuple[bytes, bytes]]], repr=False
    )

    def target(self, url: str) -> Target:
        """Where `url` leads."""
        found = self._targets.get(url)
        if found is None:
            found = _remember(self._targets, url, Target.of(url))
        return found

    def make(self, request: HttpRequest, target: Target) -> httpcore.Request:
        """The request as httpcore wants it, with ``Host`` and ``Content-Length``.

        Raises:
            UnicodeEncodeError: a header isn't ASCII.
        """
        headers = self._headers.get(request.headers)
        if headers is None:
            raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in request.headers]
            headers = _remember(self._headers, request.headers, raw)
        made = httpcore.Request(request.method, target.url, content=request.body)
        # Set, not passed: passing has every name and value type-checked again.
        made.headers = [
            (b"Host", target.host_header),
            *headers,
            (b"Content-Length", b"%d" % len(request.body)),
        ]
        return made


def make_httpx(request: HttpRequest) -> httpx.Request:
    """The request for a transport of the user's."""
    return httpx.Request(request.method, request.url, headers=list(request.headers), content=request.body)


def _remember(known: dict[Any, Any], key: Any, value: Any) -> Any:
    if len(known) >= _MAX_CACHED:
        known.clear()
    known[key] = value
    return value


def read_head(status: int, raw: Iterable[tuple[bytes, bytes]], inbox: Inbox | None = None) -> dict[str, str]:
    """The reply's headers, if its head is one that we accept; tells the inbox what follows.

    Args:
        status: as in the first line.
        raw: names and values in any case and order.
        inbox: of our own connection; None for a transport of the user's, which answers for its own framing.

    Raises:
        Broken: a redirect, a switch of protocols, or a body whose end nobody could know.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if status < 200:
        raise Broken(FaultKind.UNEXPECTED_STATUS, "a switch of protocols that nobody asked for", status)
    if 300 <= status < 400:
        raise Broken(FaultKind.REDIRECT, "a redirect: not followed, credentials stay with their host", status)
    if inbox is not None:
        _expect_body(status, headers, inbox)
    return headers


def _expect_body(status: int, headers: dict[str, str], inbox: Inbox) -> None:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is not None and coding is not None:
        raise Broken(FaultKind.BAD_FRAMING, "both content-length and transfer-encoding", status)
    if status in _NO_BODY:
        inbox.expect_length(0)
    elif length is not None:
        if not (length.isascii() and length.isdecimal()):
            raise Broken(FaultKind.BAD_FRAMING, "a content-length that isn't one number", status)
        inbox.expect_length(int(length))
    elif coding is not None:
        if coding.strip().lower() != "chunked":
            raise Broken(FaultKind.BAD_FRAMING, "a transfer encoding other than chunked", status)
        inbox.expect_chunks()
    else:
        raise Broken(FaultKind.BAD_FRAMING, "neither content-length nor chunks: a cut couldn't be noticed", status)


@define(eq=False)
class Parts:
    """A body as it comes from a transport of the user's, up to `max_bytes`."""

    max_bytes: int
    parts: list[bytes] = field(factory=list[bytes], repr=False)
    _count: int = 0

    def add(self, part: bytes) -> None:
        """One more part.

        Raises:
            Broken: too many bytes.
        """
        self._count += len(part)
        if self._count > self.max_bytes:
            raise Broken(FaultKind.TOO_LARGE, f"more than {self.max_bytes} bytes received")
        self.parts.append(part)


def whole_reply(
    status: int, headers: dict[str, str], parts: list[bytes], max_bytes: int, clock: Clock, until: int
) -> HttpReply | Fault:
    """The reply, its content encoding undone if that's done by `until`."""
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    encoding = headers.get("content-encoding")
    if encoding is not None and body:
        plain = decoded(body, encoding, max_bytes, clock, until)
        if isinstance(plain, Fault):
            plain.status = status
            return plain
        body = plain
    return HttpReply(status, headers, body)


_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

_NAMES_ARE_CERTAIN = sys.platform == "linux"
"""Elsewhere the system says that there's no such name where it only has no network."""

_READ = (httpx.ReadError, httpcore.ReadError)
"""Raised only on a connection that was made."""

_FAULTS: tuple[tuple[tuple[type[Exception], ...], FaultKind, str], ...] = (
    ((socket.gaierror,), FaultKind.DNS_FAILED, "the host's name can't be resolved"),
    ((ssl.SSLCertVerificationError,), FaultKind.TLS_INVALID, "the server's certificate isn't valid for it"),
    ((ssl.SSLError,), FaultKind.TLS_FAILED, "TLS failed"),
    ((TimeoutError,), FaultKind.CONNECT_TIMEOUT, "no connection within the system's own timeout"),
    ((ConnectionRefusedError,), FaultKind.CONNECT_REFUSED, "nobody listens there"),
    ((httpx.ProxyError, httpcore.ProxyError), FaultKind.PROXY_REFUSED, "the proxy refused"),
    (
        (httpx.ConnectTimeout, httpcore.ConnectTimeout),
        FaultKind.CONNECT_TIMEOUT,
        "no connection within the transport's own timeout",
    ),
    ((httpx.ConnectError, httpcore.ConnectError), FaultKind.CONNECT_FAILED, "no connection"),
    (
        (httpx.PoolTimeout, httpcore.PoolTimeout),
        FaultKind.POOL_EXHAUSTED,
        "the transport had no connection free",
    ),
    (
        (httpx.TimeoutException, httpcore.TimeoutException),
        FaultKind.ATTEMPT_TIMEOUT,
        "no answer within the transport's own timeout",
    ),
    ((httpx.WriteError, httpcore.WriteError), FaultKind.UPLOAD_CUT, "the connection broke while sending"),
    (_READ, FaultKind.CONNECTION_LOST, "the connection broke"),
    ((httpx.ProtocolError, httpcore.ProtocolError), FaultKind.BAD_FRAMING, "not what HTTP/1.1 allows"),
    ((httpx.TransportError, httpx.StreamError), FaultKind.CONNECTION_LOST, "the connection broke"),
    ((httpcore.NetworkError, OSError), FaultKind.CONNECTION_LOST, "the connection broke"),
)

EXPECTED: tuple[type[Exception], ...] = (Broken, *(each for row in _FAULTS for each in row[0]))
"""What an exchange may raise inside; anything else is a bug and propagates."""


class Line(Protocol):
    """One connection's bytes."""

    inbox: Inbox


L = TypeVar("L", bound=Line)
C = TypeVar("C")


class Slot(Generic[L, C]):
    """A connection to one origin and how it has been used.

    Args:
        line: its bytes.
        connection: the protocol over them.
    """

    __slots__ = ("connection", "freed_ns", "line", "used")

    def __init__(self, line: L, connection: C) -> None:
        self.line = line
        self.connection = connection
        self.freed_ns = 0
        """When it was last given back, on the monotonic clock."""
        self.used = False

    def freed(self, now: int) -> None:
        """An exchange on it had a clean end."""
        self.used = True
        self.freed_ns = now


def exchange_fault(error: BaseException, slot: Slot[Any, Any] | None) -> Fault:
    """What an exception of `EXPECTED` means in an exchange over `slot`; None: no connection was made."""
    if slot is not None and slot.used and not slot.line.inbox.received:
        return Fault(FaultKind.STALE_CONNECTION, "the server had closed an idle connection")
    return fault_of(error, connected=slot is not None)


def fault_of(error: BaseException, *, connected: bool) -> Fault:
    """What an exception of `EXPECTED` means.

    Args:
        error: its causes are looked at too: httpx wraps a refused certificate in a ``ConnectError``.
        connected: was the connection made?
    """
    if isinstance(error, Broken):
        return error.fault
    chain = list(_causes(error))
    if any(isinstance(each, socket.gaierror) and each.errno in _NO_SUCH_NAME for each in chain):
        return Fault(FaultKind.HOST_UNKNOWN, "there's no host of that name", certain=_NAMES_ARE_CERTAIN)
    for types, kind, detail in _FAULTS:
        if any(isinstance(each, types) for each in chain):
            if connected and kind is FaultKind.CONNECT_TIMEOUT:
                return Fault(FaultKind.CONNECTION_LOST, "the connection broke")
            if kind is FaultKind.CONNECTION_LOST and not connected and types is not _READ:
                return Fault(FaultKind.CONNECT_FAILED, "no connection")
            return Fault(kind, detail)
    raise AssertionError(error)


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def is_quiet(sock: socket.socket) -> bool:
    """Is an idle connection still open with nothing to say? Asks the kernel: a loop may not have heard of it yet."""
    if sys.platform == "win32":
        return not select.select([sock], [], [], 0)[0]
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


def timeout_fault(*, connected: bool) -> Fault:
    """The deadline came first."""
    if connected:
        return Fault(FaultKind.ATTEMPT_TIMEOUT, "no whole reply within the time given")
    return Fault(FaultKind.CONNECT_TIMEOUT, "no connection within the time given")


def address_seconds(remaining: float) -> float:
    """How many seconds one address may take to connect, when others are left to try behind it."""
    return min(remaining, _FIRST_ADDRESS_SECONDS)
