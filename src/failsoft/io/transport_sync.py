"""HTTP for threads: the same exchange as `failsoft.io.transport_async`, over blocking sockets.

A blocking socket's timeout counts from the last byte, so a server that drips could hold a caller for ever. Here every
single wait is clamped to what is left until the deadline.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import httpcore
import httpx

from failsoft.core.effects import MILLISECOND, SECOND, Clock, HttpReply, HttpRequest
from failsoft.fault import Fault
from failsoft.io.fork import mend_after_fork
from failsoft.io.transport import (
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
from failsoft.io.transport_inbox import Inbox
from failsoft.io.transport_pulse import Silence

_RECEIVE = 64 * 1024


class _DeadlineReached(Exception):
    """Not an OSError, so that nothing on the way takes it for one."""


class SyncLine(httpcore.NetworkStream):
    """One connection's bytes, every wait clamped to the deadline of the exchange under way."""

    def __init__(self, sock: socket.socket, clock: Clock, max_bytes: int) -> None:
        self.inbox = Inbox(max_bytes)
        self.socket = sock
        self.until = 0
        self._clock = clock
        self._write_failed = False

    @property
    def alive(self) -> bool:
        """Neither ended nor holding bytes that belong to nobody: an idle connection has nothing to say."""
        return not self.inbox.buffer and is_quiet(self.socket)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next piece that belongs to the reply; never empty.

        Raises:
            Broken: the connection ended, or broke a rule of framing.
        """
        while True:
            piece = self.inbox.take(max_bytes)
            if piece is not None:
                return piece
            try:
                data = self._wait_then(self.socket.recv, _RECEIVE)
            except OSError:
                if not self._write_failed:
                    raise
                data = b""
            if not data:
                if self._write_failed:  # the request never left whole: that says nothing of its reply
                    raise httpcore.WriteError
                raise self.inbox.end()
            self.inbox.add(data)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it.

        Raises:
            httpcore.WriteError: the connection is gone; httpcore then still reads a reply that came early.
        """
        rest = memoryview(buffer)
        try:
            while rest:
                rest = rest[self._wait_then(self.socket.send, rest) :]
        except OSError as error:
            self._write_failed = True
            raise httpcore.WriteError from error

    def _wait_then(self, call: Any, argument: Any) -> Any:
        self.socket.settimeout(remaining_seconds(self._clock, self.until))
        try:
            return call(argument)
        except TimeoutError:
            # The kernel's own ETIMEDOUT looks the same; only the clock tells.
            if self.until - self._clock.monotonic_ns() <= MILLISECOND:
                raise _DeadlineReached from None
            raise

    def close(self) -> None:
        """Close at once, without TLS's goodbye."""
        self.socket.close()


def remaining_seconds(clock: Clock, until: int) -> float:
    """Seconds until the deadline, above 0.

    Raises:
        _DeadlineReached: none is left.
    """
    left = until - clock.monotonic_ns()
    if left <= 0:
        raise _DeadlineReached
    return left / SECOND


SyncSlot = Slot[SyncLine, httpcore.HTTP11Connection]


class SyncTransport:
    """Sends requests and reads whole replies in the calling thread; any number of threads may share it.

    Idle connections lie in plain lists: their `append` and `pop` are atomic, so there's no lock to hold at a fork.

    Args:
        clock: the real monotonic clock (`time.monotonic_ns`).
        max_bytes: of a reply's body, on the wire and inflated.
        verify: a TLS context instead of the shared one (certifi's authorities).
        transport: the user's own httpx transport: it makes and keeps the connections then, and its own timeouts bound
            each single wait; the deadline is checked between two parts of a reply.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_bytes: int = MAX_BYTES,
        verify: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._verify = verify
        self._foreign = transport
        self._maker = RequestMaker()
        self._slots: dict[tuple[str, str, int], list[SyncSlot]] = {}
        self._closed = False
        mend_after_fork(self)

    def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        """Send `request` and read the whole reply.

        Args:
            request: what to send.
            until: when to give up, on `Clock.monotonic_ns`.
        """
        if self._foreign is not None:
            return self._exchange_foreign(self._foreign, request, until)
        target = self._maker.target(request.url)
        made = self._maker.make(request, target)
        idle = self._slots.setdefault(target.key, [])
        slot = self._reusable(idle)
        silence = None if request.pulse is None else Silence.begin(request, self._clock.monotonic_ns(), until)
        ends = until if silence is None else silence.ends
        clean = False
        try:
            if slot is None:
                slot = self._connect(target, ends)
            slot.line.until = ends
            status, headers, parts = self._hear(slot, made, silence)
            clean = slot.connection.is_idle() and not slot.line.inbox.buffer
        except _DeadlineReached:
            return self._judged(timeout_fault(connected=slot is not None), silence)
        except EXPECTED as error:
            return self._judged(exchange_fault(error, slot), silence)
        finally:
            self._give_back(slot, idle, clean)
        return whole_reply(status, headers, parts, self._max_bytes, self._clock, until)

    def _hear(
        self, slot: SyncSlot, made: httpcore.Request, silence: Silence | None
    ) -> tuple[int, dict[str, str], list[bytes]]:
        """Send the request and read its whole reply, on a connection that is ready for one."""
        slot.line.inbox.begin(streamed=silence is not None)
        response = slot.connection.handle_request(made)
        headers = read_head(response.status, response.headers, slot.line.inbox)
        stream = cast("Iterator[bytes]", response.stream)
        if silence is None:
            parts = list(stream)
        else:
            silence.head(response.status, headers)
            parts = self._listen(stream, silence, slot.line)
        response.close()
        return response.status, headers, parts

    def _listen(self, stream: Iterator[bytes], silence: Silence, line: SyncLine) -> list[bytes]:
        parts: list[bytes] = []
        line.until = silence.ends
        for part in stream:
            parts.append(part)
            silence.hear(part, self._clock.monotonic_ns())
            line.until = silence.ends
        return parts

    def _judged(self, fault: Fault, silence: Silence | None) -> Fault:
        return fault if silence is None else silence.judged(fault, self._clock.monotonic_ns())

    def close(self) -> None:
        """Close idle connections; those in use close when their exchange ends."""
        self._closed = True
        if self._foreign is not None:
            self._foreign.close()
        self._close_idle()

    # connections

    def _reusable(self, idle: list[SyncSlot]) -> SyncSlot | None:
        oldest = self._clock.monotonic_ns() - IDLE_NS
        while True:
            try:
                slot = idle.pop()
            except IndexError:
                return None
            if slot.freed_ns >= oldest and slot.line.alive:
                return slot
            slot.line.close()

    def _give_back(self, slot: SyncSlot | None, idle: list[SyncSlot], clean: bool) -> None:
        if slot is None:
            return
        if not clean:
            slot.line.close()
            return
        slot.freed(self._clock.monotonic_ns())
        idle.append(slot)
        if self._closed:  # looked at after appending: `close` may have emptied the lists just before
            self._close_idle()

    def _close_idle(self) -> None:
        for idle in list(self._slots.values()):
            with suppress(IndexError):  # another thread may take the last one
                while True:
                    idle.pop().line.close()

    def _connect(self, target: Target, until: int) -> SyncSlot:
        addresses = self._addresses(target, until)
        for others, (family, kind, protocol, _, address) in reversed(list(enumerate(reversed(addresses)))):
            sock = socket.socket(family, kind, protocol)
            try:
                left = remaining_seconds(self._clock, until)
                sock.settimeout(address_seconds(left) if others else left)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if target.secure:
                    sock = self._secured(sock, target, until)
                line = SyncLine(sock, self._clock, self._max_bytes)
                return Slot(line, httpcore.HTTP11Connection(target.origin, line))
            except BaseException as error:
                sock.close()
                if not (others and isinstance(error, OSError)):  # else the next address is tried
                    raise
        raise socket.gaierror(socket.EAI_FAIL, "no address")

    def _secured(self, sock: socket.socket, target: Target, until: int) -> socket.socket:
        context = self._verify or shared_ssl_context()
        wrapped = context.wrap_socket(sock, server_hostname=target.host, do_handshake_on_connect=False)
        try:
            wrapped.settimeout(remaining_seconds(self._clock, until))
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def _addresses(self, target: Target, until: int) -> list[Any]:
        """The target's addresses. A resolver can't be told to hurry: it works in a thread that may be left behind."""
        answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

        def resolve() -> None:
            try:
                answers.put(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
            except OSError as error:
                answers.put(error)

        left = remaining_seconds(self._clock, until)
        threading.Thread(target=resolve, name="failsoft-resolve", daemon=True).start()
        try:
            answer = answers.get(timeout=left)
        except queue.Empty:
            raise _DeadlineReached from None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def after_fork(self) -> None:
        """Called in a forked child: closing its copies of the sockets sends nothing, the parent's connections go on."""
        self._close_idle()

    # the user's own transport

    def _exchange_foreign(self, transport: httpx.BaseTransport, request: HttpRequest, until: int) -> HttpReply | Fault:
        made = make_httpx(request)
        response = None
        silence = None if request.pulse is None else Silence.begin(request, self._clock.monotonic_ns(), until)
        try:
            left = remaining_seconds(self._clock, until)
            patience = left if silence is None else min(left, max(request.first_ns, request.gap_ns) / SECOND)
            made.extensions["timeout"] = {"connect": left, "read": patience, "write": left, "pool": left}
            response = transport.handle_request(made)
            headers = read_head(response.status_code, response.headers.raw)
            if silence is not None:
                silence.head(response.status_code, headers)
            body = Parts(self._max_bytes)
            for part in cast("httpx.SyncByteStream", response.stream):
                remaining_seconds(self._clock, until if silence is None else silence.ends)
                body.add(part)
                if silence is not None:
                    silence.hear(part, self._clock.monotonic_ns())
            return whole_reply(response.status_code, headers, body.parts, self._max_bytes, self._clock, until)
        except _DeadlineReached:
            return self._judged(timeout_fault(connected=True), silence)
        except EXPECTED as error:
            return self._judged(fault_of(error, connected=response is not None), silence)
        finally:
            if response is not None:
                response.close()
