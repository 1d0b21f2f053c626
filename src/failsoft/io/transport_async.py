"""HTTP for event loops: one exchange at a time on a connection, many connections per loop.

A connection is made for an exchange that finds no idle one; it goes back (most recently used first out) only after a
clean end, and is aborted otherwise. Nothing queues here: the bulkhead above is the only limit. Each event loop has
connections of its own. When a loop shuts down (`asyncio.run` does it properly) its idle connections are closed with it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any, cast

import httpcore
import httpx

from failsoft.core.effects import SECOND, Clock, HttpReply, HttpRequest
from failsoft.fault import Fault
from failsoft.io.fork import mend_after_fork
from failsoft.io.transport import (
    CLOSE_SECONDS,
    EXPECTED,
    IDLE_NS,
    MAX_BYTES,
    Parts,
    RequestMaker,
    Slot,
    Target,
    address_seconds,
    exchange_fault,
    fault_of,
    is_quiet,
    make_httpx,
    read_head,
    shared_ssl_context,
    timeout_fault,
    whole_reply,
)
from failsoft.io.transport_async_line import Line
from failsoft.io.transport_pulse import Ear, Silence

AsyncSlot = Slot[Line, Any]

Heard = tuple[int, dict[str, str], list[bytes], bool]
"""A whole reply: its status, headers and body, and whether its connection may be used again."""


class _LoopSlots:
    """The idle connections of one event loop.

    Args:
        keeper: an asynchronous generator whose end closes them: loops end theirs when they shut down.
    """

    def __init__(self, keeper: AsyncGenerator[None, None]) -> None:
        self.keeper = keeper
        self.idle: dict[tuple[str, str, int], list[AsyncSlot]] = {}

    def abort(self) -> None:
        for slots in self.idle.values():
            while slots:
                slots.pop().line.abort()

    def forget(self) -> None:
        """In a forked child: close its copies of the sockets; the parent's connections go on."""
        for slots in self.idle.values():
            while slots:
                slots.pop().line.socket.close()


_inherited: list[_LoopSlots] = []  # kept from collection in a child: its end would be told to the parent's loop


class AsyncTransport:
    """Sends requests and reads whole replies on asyncio event loops.

    HTTP itself is spoken by httpcore. A subclass that has something else speak it overrides `_make`, `_speaker` and
    `_hear`, and keeps everything about connections, deadlines and faults.

    Args:
        clock: the real monotonic clock (`time.monotonic_ns`): deadlines are kept by the event loop's timers.
        max_bytes: of a reply's body, on the wire and inflated.
        verify: a TLS context instead of the shared one (certifi's authorities).
        transport: the user's own httpx transport (a corporate proxy, client certificates, a test): it makes and keeps
            the connections then; deadline, size, redirect and encoding rules stay in force.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_bytes: int = MAX_BYTES,
        verify: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._verify = verify
        self._foreign = transport
        self._maker = RequestMaker()
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopSlots] = weakref.WeakKeyDictionary()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        mend_after_fork(self)

    async def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        """Send `request` and read the whole reply.

        Args:
            request: what to send.
            until: when to give up, on `Clock.monotonic_ns`.

        Raises:
            asyncio.CancelledError: the caller's own cancellation; the connection is closed.
        """
        if self._foreign is not None:
            return await self._exchange_foreign(self._foreign, request, until)
        loop = asyncio.get_running_loop()
        target = self._maker.target(request.url)
        made = self._make(request, target)
        idle = await self._idle(loop, target)
        slot = self._reusable(idle)
        now = self._clock.monotonic_ns()
        seconds = (until - now) / SECOND
        clean = False
        timer = asyncio.timeout_at(loop.time() + seconds)
        ear = None if request.pulse is None else Ear(Silence.begin(request, now, until), self._clock, timer)
        try:
            async with timer:
                if ear is not None:
                    ear.keep(now)
                if slot is None:
                    slot = await self._connect(loop, target, seconds)
                slot.line.streamed = ear is not None
                slot.line.inbox.begin(streamed=slot.line.streamed)
                status, headers, parts, reusable = await self._hear(slot, made, ear)
            clean = reusable and slot.line.alive and not self._closed
        except EXPECTED as error:
            fault = timeout_fault(connected=slot is not None) if timer.expired() else exchange_fault(error, slot)
            return fault if ear is None else ear.judged(fault)
        finally:
            self._give_back(slot, idle, clean)
        return whole_reply(status, headers, parts, self._max_bytes, self._clock, until)

    # HTTP over a connection

    def _make(self, request: HttpRequest, target: Target) -> Any:
        """The request as `_hear` wants it."""
        return self._maker.make(request, target)

    def _speaker(self, line: Line, target: Target) -> Any:
        """What a connection's slot keeps besides its line."""
        return httpcore.AsyncHTTP11Connection(target.origin, line)

    async def _hear(self, slot: AsyncSlot, made: Any, ear: Ear | None) -> Heard:
        """Send the request and read its whole reply, on a connection that is ready for one."""
        response = await slot.connection.handle_async_request(made)
        headers = read_head(response.status, response.headers, slot.line.inbox)
        stream = cast("AsyncIterator[bytes]", response.stream)
        if ear is None:
            parts = [part async for part in stream]
        else:
            ear.head(response.status, headers)
            parts = list[bytes]()
            async for part in stream:
                parts.append(part)
                ear.hear(part)
        await response.aclose()
        return response.status, headers, parts, slot.connection.is_idle()

    async def aclose(self) -> None:
        """Close this loop's idle connections; those in use close when their exchange ends."""
        self._closed = True
        if self._foreign is not None:
            await self._foreign.aclose()
        slots = self._loops.get(asyncio.get_running_loop())
        if slots is not None:
            await slots.keeper.aclose()
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_SECONDS)

    # connections

    async def _idle(self, loop: asyncio.AbstractEventLoop, target: Target) -> list[AsyncSlot]:
        """The idle connections to a target, last freed last."""
        slots = self._loops.get(loop)
        if slots is None:
            for gone in [each for each in self._loops if each.is_closed()]:
                del self._loops[gone]
            slots = self._loops[loop] = _LoopSlots(self._keep(loop))
            await anext(slots.keeper)
        idle = slots.idle.get(target.key)
        if idle is None:
            idle = slots.idle[target.key] = []
        return idle

    async def _keep(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            slots = self._loops.pop(loop, None)
            if slots is not None:
                slots.abort()

    def _reusable(self, idle: list[AsyncSlot]) -> AsyncSlot | None:
        if not idle:
            return None
        oldest = self._clock.monotonic_ns() - IDLE_NS
        while idle:
            slot = idle.pop()
            if slot.line.alive and slot.freed_ns >= oldest and is_quiet(slot.line.socket):
                return slot
            slot.line.abort()
        return None

    def _give_back(self, slot: AsyncSlot | None, idle: list[AsyncSlot], clean: bool) -> None:
        if slot is None:
            return
        if clean:
            slot.freed(self._clock.monotonic_ns())
            idle.append(slot)
        else:
            slot.line.abort()

    async def _connect(self, loop: asyncio.AbstractEventLoop, target: Target, seconds: float) -> AsyncSlot:
        addresses = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        ends = loop.time() + seconds
        for others, (family, kind, protocol, _, address) in reversed(list(enumerate(reversed(addresses)))):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                # The last one is given what is left: the exchange's own deadline sees to that.
                async with asyncio.timeout(address_seconds(ends - loop.time()) if others else None):
                    await loop.sock_connect(sock, address)
                return await self._open(loop, sock, target)
            except BaseException as error:
                sock.close()
                if not (others and isinstance(error, OSError)):  # else the next address is tried
                    raise
        raise socket.gaierror(socket.EAI_FAIL, "no address")

    async def _open(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, target: Target) -> AsyncSlot:
        context = self._verify or shared_ssl_context() if target.secure else None
        line = Line(loop, sock, self._max_bytes)
        await loop.create_connection(
            lambda: line, sock=sock, ssl=context, server_hostname=target.host if context is not None else None
        )
        return Slot(line, self._speaker(line, target))

    def after_fork(self) -> None:
        """Called in a forked child: its event loops aren't running there."""
        for slots in self._loops.values():
            slots.forget()
            _inherited.append(slots)
        self._loops.clear()
        self._closing.clear()

    # the user's own transport

    async def _exchange_foreign(
        self, transport: httpx.AsyncBaseTransport, request: HttpRequest, until: int
    ) -> HttpReply | Fault:
        now = self._clock.monotonic_ns()
        response: httpx.Response | None = None
        timer = asyncio.timeout((until - now) / SECOND)
        ear = None if request.pulse is None else Ear(Silence.begin(request, now, until), self._clock, timer)
        try:
            async with timer:
                if ear is not None:
                    ear.keep(now)
                response = await transport.handle_async_request(make_httpx(request))
                headers = read_head(response.status_code, response.headers.raw)
                if ear is not None:
                    ear.head(response.status_code, headers)
                body = Parts(self._max_bytes)
                async for part in cast("httpx.AsyncByteStream", response.stream):
                    body.add(part)
                    if ear is not None:
                        ear.silence.check(self._clock.monotonic_ns())
                        ear.hear(part)
                await response.aclose()
        except EXPECTED as error:
            self._close_later(response)
            late = timer.expired()
            fault = timeout_fault(connected=True) if late else fault_of(error, connected=response is not None)
            return fault if ear is None else ear.judged(fault)
        except BaseException:
            self._close_later(response)
            raise
        return whole_reply(response.status_code, headers, body.parts, self._max_bytes, self._clock, until)

    def _close_later(self, response: httpx.Response | None) -> None:
        """Close a reply that wasn't read to its end, in a task of its own that is given `CLOSE_SECONDS`."""
        if response is not None:
            task = asyncio.get_running_loop().create_task(_close(response))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _close(response: httpx.Response) -> None:
    # Where it can't be closed properly, there's nobody left who'd need to know.
    with suppress(RuntimeError, *EXPECTED):
        async with asyncio.timeout(CLOSE_SECONDS):
            await response.aclose()
