"""One connection's bytes between asyncio, which pushes, and httpcore, which pulls."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import cast

import httpcore

from failsoft.io.transport_inbox import Inbox, Phase

_TURN = 0.005  # seconds of reading what is at hand; then others on the loop have their turn, and its timers
_STREAM_PIECE = 2048  # bytes of a streamed reply handed out at once: 200 pings, of which httpcore reads 25 in 1 ms
_PAUSE_ABOVE = 256 * 1024  # received bytes that nobody has taken yet; then the socket waits


class Line(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection's bytes: asyncio pushes them in, httpcore pulls them out through the inbox."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, max_bytes: int) -> None:
        self.inbox = Inbox(max_bytes)
        self.socket = sock
        self._loop = loop
        self._transport: asyncio.Transport  # from connection_made on, which comes before everything else
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._ended = False
        self._error: Exception | None = None
        self._paused = False
        self._write_failed = False
        self.streamed = False
        """Does the reply come in many small parts? Others have their turn between them, then."""
        self._turn = 0.0

    @property
    def alive(self) -> bool:
        """Neither ended nor holding bytes that belong to nobody, as far as the loop has heard."""
        return not (self._ended or self.inbox.buffer)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected, TLS included."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        self.inbox.add(data)
        if not self._paused and len(self.inbox.buffer) > _PAUSE_ABOVE:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The peer has ended its side: asyncio closes ours. Whoever still sends is woken: an answer may have come early."""
        self._ended = True
        self._wake()
        self.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whomever."""
        self._ended = True
        self._error = exc
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        """The peer reads slower than we write."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """There's room again."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # httpcore's side

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next piece that belongs to the reply; never empty.

        Raises:
            Broken: the connection ended, or broke a rule of framing.
        """
        if self.streamed and self._loop.time() - self._turn > _TURN:
            await asyncio.sleep(0)
            self._turn = self._loop.time()
        while True:
            piece = self._small(max_bytes) if self.streamed else self.inbox.take(max_bytes)
            if piece is not None:
                if self._paused and not self._ended:
                    self._paused = False
                    self._transport.resume_reading()
                return piece
            if self._ended:
                if self._write_failed:
                    raise httpcore.WriteError from self._error
                if isinstance(self._error, ssl.SSLError):
                    raise self._error
                raise self.inbox.end() from self._error
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _small(self, most: int) -> bytes | None:
        """As `Inbox.take`, but of a body small pieces, unless not even a chunk's head fits in one."""
        small = None if self.inbox.phase is Phase.HEAD else self.inbox.take(_STREAM_PIECE)
        return small or self.inbox.take(most)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send, waiting for room.

        Raises:
            httpcore.WriteError: the connection is gone; httpcore then still reads a reply that came early.
        """
        if buffer and not self._ended:
            self._transport.write(buffer)
            if self._room is not None:
                await self._room
        if self._ended or self._transport.is_closing():  # a send that failed is told to `connection_lost` only later
            self._write_failed = True
            raise httpcore.WriteError

    async def aclose(self) -> None:
        """Close at once."""
        self.abort()

    def abort(self) -> None:
        """Close at once, dropping what isn't sent: no wait, no goodbye."""
        self._transport.abort()
