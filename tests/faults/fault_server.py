"""A server on loopback that misbehaves exactly as told: raw sockets, one thread per connection."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

Script = Callable[["Peer"], None]


class Peer:
    """One accepted connection, as a script sees it.

    Attributes:
        server: whose connection it is.
        number: of this connection, from 0.
        requests: how many it has read.
    """

    def __init__(self, server: FaultServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.number = number
        self.requests = 0
        self._sock = sock
        self._received = b""

    def read_head(self) -> bytes:
        """The next request's head; empty at the end of the connection."""
        while b"\r\n\r\n" not in self._received:
            data = self._sock.recv(65536)
            if not data:
                return b""
            self._received += data
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head

    def read_request(self) -> bytes:
        """The next whole request, head and body; empty at the end of the connection."""
        head = self.read_head()
        if not head:
            return b""
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(self._received) < length:
            self._received += self._sock.recv(65536)
        body, self._received = self._received[:length], self._received[length:]
        self.requests += 1
        self.server.seen.append(head + b"\r\n\r\n" + body)
        return self.server.seen[-1]

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.sendall(data)

    def drip(self, pieces: Iterable[bytes], every: float = 0.01) -> None:
        """Send piece by piece until there are no more, the client has gone or the server stops."""
        for piece in pieces:
            self.send(piece)
            if self.server.stopping.wait(every):
                return

    def pause(self, seconds: float) -> None:
        """Wait, or until the server stops."""
        self.server.stopping.wait(seconds)

    def hang(self) -> None:
        """Say nothing until the client goes or the server stops."""
        self._sock.settimeout(0.05)
        while not self.server.stopping.is_set():
            try:
                if not self._sock.recv(65536):
                    return
            except TimeoutError:
                continue

    def reset(self) -> None:
        """Close with RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


def reply(body: bytes = b"{}", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole reply with a content length."""
    head = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def raw(*lines: bytes, body: bytes = b"") -> bytes:
    """A reply of exactly these lines."""
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def always(data: bytes) -> Script:
    """Answer every request on a connection with the same bytes."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(data)

    return script


def once(data: bytes) -> Script:
    """Answer one request, then close."""

    def script(peer: Peer) -> None:
        if peer.read_request():
            peer.send(data)

    return script


class FaultServer:
    """Listens on loopback and runs `script` for each connection, in a thread of its own.

    Attributes:
        seen: the requests that were read whole.
        accepted: how many connections came.
        open: how many are open now.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.seen: list[bytes] = []
        self.accepted = 0
        self.open = 0
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._socks: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1/chat/completions"

    def wait_open(self, count: int, seconds: float = 5.0) -> bool:
        """Until exactly `count` connections are open; False if that doesn't happen."""
        with self._changed:
            return self._changed.wait_for(lambda: self.open == count, seconds)

    def __enter__(self) -> FaultServer:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._socks):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                number = self.accepted
                self.accepted += 1
                self.open += 1
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(sock, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        self._socks.add(sock)
        plain = sock
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._socks.add(sock)
            self.script(Peer(self, sock, number))
        except (OSError, ValueError):
            pass
        finally:
            sock.close()
            plain.close()
            self._socks -= {sock, plain}
            with self._changed:
                self.open -= 1
                self._changed.notify_all()
