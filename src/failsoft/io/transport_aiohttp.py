"""HTTP for event loops with aiohttp's parser, written in C: the extra ``fast``.

Connections, deadlines, byte caps and faults are those of `failsoft.io.transport_async`; what differs is who speaks HTTP.
aiohttp's own client isn't under this. Its pool hands a connection's stray bytes to the next caller as that caller's answer
(aio-libs/aiohttp issue 13656), takes the connection that has been idle longest, doesn't say whether a failed one had
been used before, counts neither interim replies nor bytes, and repeats a GET by itself; each of these could be mended only
inside its private parts, and its client costs six times what its parser costs.

The inbox gives the parser a reply's head in one piece and then nothing but that reply's body, so no parser ever sees bytes
of two replies, and each head is given a parser of its own: nothing is carried over from one caller to the next. A body
whose length was announced needs no parser; chunks do. Every malformed head is an `HttpProcessingError` of code 400: told
by its class and never by its code, or a server's nonsense would be taken for a bad request of ours.

aiohttp gives no promise about its parser's signature. `problem` reads a fixed reply with it: a release that changes it is
told at the start, and not by the first call.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import suppress
from functools import cache
from typing import Any

import httpcore
from aiohttp.http import HttpProcessingError, HttpResponseParser

from failsoft.core.effects import Clock, HttpRequest
from failsoft.fault import FaultKind
from failsoft.io.transport import MAX_BYTES, Target, read_head
from failsoft.io.transport_async import AsyncSlot, AsyncTransport, Heard
from failsoft.io.transport_async_line import Line
from failsoft.io.transport_inbox import MAX_HEAD, Broken
from failsoft.io.transport_pulse import Ear

_PIECE = 64 * 1024
_MAX_CACHED = 256
_ROOM = 1 << 30  # what a parser may hold of a body: the inbox has counted its bytes before

_TARGET = re.compile(rb"[\x21-\x7e]+")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|")


class _Unpaused:
    """Takes the place of aiohttp's protocol, which a body's reader would ask to pause: there's nothing to pause here."""

    _reading_paused = False

    def pause_reading(self) -> None:
        """Nothing: what is fed is already in memory."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Nothing."""


_UNPAUSED: Any = _Unpaused()


class AiohttpTransport(AsyncTransport):
    """As `AsyncTransport`, several times as fast.

    Args:
        clock: the real monotonic clock (`time.monotonic_ns`).
        max_bytes: of a reply's body, on the wire and inflated.
        verify: a TLS context instead of the shared one (certifi's authorities).
    """

    def __init__(self, clock: Clock, *, max_bytes: int = MAX_BYTES, verify: ssl.SSLContext | None = None) -> None:
        super().__init__(clock, max_bytes=max_bytes, verify=verify)
        self._heads: dict[tuple[Any, ...], bytes] = {}

    def _make(self, request: HttpRequest, target: Target) -> bytes:
        key = (request.method, request.url, request.headers)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _MAX_CACHED:
                self._heads.clear()
            head = self._heads[key] = _head_of(request, target)
        return b"%b%d\r\n\r\n%b" % (head, len(request.body), request.body)

    def _speaker(self, line: Line, target: Target) -> None:
        return None

    async def _hear(self, slot: AsyncSlot, made: bytes, ear: Ear | None) -> Heard:
        line = slot.line
        # A reply may have come before the connection went; if none did, reading says so.
        with suppress(httpcore.WriteError):
            await line.write(made)
        try:
            parser, message, payload = await _final_head(line)
            headers = read_head(message.code, message.raw_headers, line.inbox)
            if ear is not None:
                ear.head(message.code, headers)
            parts = await (_chunks(parser, payload, line, ear) if message.chunked else _counted(line, ear))
        except HttpProcessingError:
            raise Broken(FaultKind.BAD_FRAMING, "not what HTTP/1.1 allows") from None
        return message.code, headers, parts, not message.should_close


def _parser(loop: asyncio.AbstractEventLoop) -> HttpResponseParser:
    return HttpResponseParser(
        _UNPAUSED,
        loop,
        _ROOM,
        max_line_size=MAX_HEAD,
        max_headers=MAX_HEAD,
        max_field_size=MAX_HEAD,
        read_until_eof=False,
        auto_decompress=False,
    )


def _first(fed: Any) -> Any:
    """The message that a whole head gave, and the reader of its body.

    Raises:
        Broken: it gave none.
    """
    messages = fed[0]
    if not messages:
        raise Broken(FaultKind.BAD_FRAMING, "a head without a status line")
    return messages[0]


async def _final_head(line: Line) -> tuple[HttpResponseParser, Any, Any]:
    """The parser that has read the final head, that head, and the reader of its body. Interim heads are passed over."""
    loop = asyncio.get_running_loop()
    while True:
        parser = _parser(loop)
        message, payload = _first(parser.feed_data(await line.read(MAX_HEAD)))
        if message.code >= 200:
            return parser, message, payload
        if message.code == 101:
            raise Broken(FaultKind.BAD_FRAMING, "a switch of protocols that nobody asked for")


async def _counted(line: Line, ear: Ear | None) -> list[bytes]:
    """A body whose length was announced."""
    parts: list[bytes] = []
    while not line.inbox.whole:
        part = await line.read(_PIECE)
        parts.append(part)
        if ear is not None:
            ear.hear(part)
    return parts


async def _chunks(parser: HttpResponseParser, payload: Any, line: Line, ear: Ear | None) -> list[bytes]:
    """What the chunks hold."""
    parts: list[bytes] = []
    while not line.inbox.whole:
        parser.feed_data(await line.read(_PIECE))
        if ear is not None:
            parts.append(payload.read_nowait(-1))
            ear.hear(parts[-1])
    if not payload.is_eof():  # a bare line feed may be a blank line to the inbox, and not to the parser
        raise Broken(FaultKind.BAD_FRAMING, "chunks that are not what HTTP/1.1 allows")
    parts.append(payload.read_nowait(-1))
    return parts


def _head_of(request: HttpRequest, target: Target) -> bytes:
    """The request's head up to the length of its body.

    Raises:
        ValueError: something in it would end a line, or isn't ASCII.
    """
    path = target.url.target
    headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in request.headers]
    fits = all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers)
    if not (fits and _TARGET.fullmatch(path)):
        raise ValueError("a URL or a header that HTTP can't carry")
    lines = [b"%b: %b\r\n" % header for header in [(b"Host", target.host_header), *headers]]
    return b"%b %b HTTP/1.1\r\n%bContent-Length: " % (request.method.encode("ascii"), path, b"".join(lines))


@cache
def problem() -> str | None:
    """What keeps the aiohttp that is installed from serving here; None: nothing."""
    try:
        loop = asyncio.new_event_loop()
        try:
            parser = _parser(loop)
            head, payload = _first(parser.feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
            parser.feed_data(b"2\r\n{}\r\n0\r\n\r\n")
            read = (head.code, head.raw_headers, head.chunked, head.should_close, payload.read_nowait(-1))
        finally:
            loop.close()
    except (Broken, HttpProcessingError, TypeError, AttributeError, ValueError) as error:
        return f"its parser can't be used ({type(error).__name__})"
    expected = (200, ((b"Transfer-Encoding", b"chunked"),), True, False, b"{}")
    return None if read == expected else "its parser reads replies in another way"
