"""A server on loopback that fails as told, byte by byte: for what only shows on the wire. Also a proxy.

    with FaultServer([wire.DRIPPED_BODY, chat_answer({"grade": 3})]) as server:
        config = {"adapters": {"gpt": {"base_url": server.base_url, ...}}, ...}

Raw sockets, one thread for each connection. With `upstream` it stands in front of a real server: what's usual is then that
server's reply, which can be passed on late, cut or corrupted, or not at all. It speaks HTTP/1.1, takes requests with a
content length, and listens on 127.0.0.1 only.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

from failsoft.testing.reaction import Reaction, Script, playing
from failsoft.testing.replies import asked_model, chat_answer

Conversation = Callable[["Peer"], None]
"""What a server does with a whole connection."""

_ANSWERS = chat_answer({})
_RECEIVE = 64 * 1024
_UPSTREAM_SECONDS = 60.0
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"})


class Peer:
    """One accepted connection, as what's played on it sees it.

    Attributes:
        server: whose connection it is.
        number: of this connection, from 0.
        request: the last request that was read whole, head and body.
        ended: nothing more is read from it.
    """

    def __init__(self, server: FaultServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.number = number
        self.request = b""
        self.ended = False
        self._sock = sock
        self._received = b""

    # reading

    def read_head(self) -> bytes:
        """The next request's head; empty at the end of the connection."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                return b""
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head

    def read_request(self) -> bytes:
        """The next whole request, head and body; empty at the end of the connection."""
        head = self.read_head()
        if not head:
            return b""
        length = int(_header(head, b"content-length") or 0)
        while len(self._received) < length:
            if not self._receive():
                return b""
        body, self._received = self._received[:length], self._received[length:]
        self.request = head + b"\r\n\r\n" + body
        self.server.requests.append(self.request)
        return self.request

    def _receive(self) -> bool:
        data = self._sock.recv(_RECEIVE)
        self._received += data
        return bool(data)

    # writing

    def usual(self) -> bytes:
        """The reply that would have come anyhow, as it would stand on the wire."""
        return self.server.usual(self.request)

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.sendall(data)

    def drip(self, pieces: Iterable[bytes], every: float = 0.01) -> None:
        """Send piece by piece, one each `every` seconds, until there are no more, the client goes or the server stops."""
        for piece in pieces:
            self.send(piece)
            if self.pause(every):
                break

    def pause(self, seconds: float) -> bool:
        """Wait; True if the server stops."""
        return self.server.stopping.wait(seconds)

    def hang(self) -> None:
        """Say nothing until the client goes or the server stops."""
        self._sock.settimeout(0.05)
        while not self.server.stopping.is_set():
            with suppress(TimeoutError):
                if not self._sock.recv(_RECEIVE):
                    break
        self.ended = True

    def reset(self) -> None:
        """Close with RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end()

    def end(self) -> None:
        """Close."""
        self.ended = True
        self._sock.close()


class FaultServer:
    """Listens on loopback while it's entered.

    Args:
        script: a reaction, several in order (the last one stays), or `Rates`; each request on any connection gets the next.
            Or a function that is given each whole connection.
        usual: the reply that wire reactions spoil, and where the script says `USUAL` or `Rates` draw nothing.
        upstream: a server whose replies are the usual ones, e.g. ``"http://127.0.0.1:8080"``. Paths stay as asked.
        tls: what to show for a certificate; plain without it.

    Attributes:
        requests: those that were read whole, head and body. They may hold keys.
        reactions: what each of them got.
        accepted: how many connections came.
        open: how many are open now.
        stopping: set when the server is left.

    Raises:
        ValueError: the script is empty or has something that only a transport can show; the upstream isn't an http address.
    """

    port: int

    def __init__(
        self,
        script: Script | Conversation,
        *,
        usual: Reaction = _ANSWERS,
        upstream: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[bytes] = []
        self.reactions: list[Reaction] = []
        self.accepted = 0
        self.open = 0
        self.stopping = threading.Event()
        self._usual = usual
        self._upstream = None if upstream is None else _address(upstream)
        self._tls = tls
        self._changed = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._socks: set[socket.socket] = set()
        self.play(script)

    def play(self, script: Script | Conversation) -> None:
        """Go on with another script: a storm begins or ends. Errors as the class's."""
        if callable(script) and not isinstance(script, Reaction):
            self._converse: Conversation = script
        else:
            self._script = playing(script, "raise", "a server can't show it, only a FaultTransport")
            self._converse = self._answer

    @property
    def origin(self) -> str:
        """Where it listens, e.g. ``http://127.0.0.1:40123``."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What an adapter's ``base_url`` must be: the origin and ``/v1``."""
        return f"{self.origin}/v1"

    def wait_open(self, count: int, seconds: float = 5.0) -> bool:
        """Until exactly `count` connections are open; False if that doesn't happen."""
        with self._changed:
            return self._changed.wait_for(lambda: self.open == count, seconds)

    def usual(self, request: bytes) -> bytes:
        """The reply that would have come anyhow, as it would stand on the wire."""
        if self._upstream is not None:
            return _ask(self._upstream, request)
        return on_wire(self._usual, asked_model(request.partition(b"\r\n\r\n")[2]))

    # --- serving ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> FaultServer:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._accepting = self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()  # from here on there are no new connections
        with self._changed:
            socks, threads = list(self._socks), list(self._threads)
        for sock in socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)

    def _start(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            finally:
                with self._changed:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name="failsoft-fault-server", daemon=True)
        with self._changed:  # held while it starts: whoever finds it there may join it
            self._threads.add(thread)
            thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is dripped shall drip
            except OSError:
                return
            with self._changed:
                number = self.accepted
                self.accepted += 1
                self.open += 1
                self._socks.add(sock)
                self._changed.notify_all()
            self._start(lambda sock=sock, number=number: self._serve(sock, number))  # type: ignore[misc]

    def _serve(self, sock: socket.socket, number: int) -> None:
        plain = sock
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(plain, server_side=True)
                with self._changed:
                    self._socks.add(sock)
            self._converse(Peer(self, sock, number))
        except (OSError, ValueError):  # the client has gone, or wrote no HTTP
            pass
        finally:
            sock.close()
            plain.close()
            with self._changed:
                self._socks -= {sock, plain}
                self.open -= 1
                self._changed.notify_all()

    def _answer(self, peer: Peer) -> None:
        while not peer.ended and peer.read_request():
            reaction = self._script.next()
            self.reactions.append(reaction)
            if not (reaction.delay and peer.pause(reaction.delay)):
                _react(reaction, peer)


def _react(reaction: Reaction, peer: Peer) -> None:
    if reaction.act is not None:
        reaction.act(peer)
    elif reaction.manner == "usual":
        peer.send(peer.usual())
    elif reaction.manner == "hang":
        peer.hang()
    elif reaction.manner == "reset":
        peer.reset()
    else:
        data = on_wire(reaction, asked_model(peer.request.partition(b"\r\n\r\n")[2]))
        if reaction.manner == "cut":
            peer.send(cut(data))
            peer.end()
        else:
            peer.send(data)


def on_wire(reaction: Reaction, model: str) -> bytes:
    """A reply as it stands on the wire, with a content length.

    Args:
        reaction: with a reply.
        model: the model that was asked for.
    """
    body = reaction.body(model)
    reason = http.client.responses.get(reaction.status, "Unknown")
    lines = [f"HTTP/1.1 {reaction.status} {reason}", *(f"{name}: {value}" for name, value in reaction.headers)]
    if reaction.status != 204:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def cut(reply: bytes) -> bytes:
    """A reply that lacks the second half of its body."""
    head, _, body = reply.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n" + body[: len(body) // 2]


# --- the upstream -----------------------------------------------------------------------------------------------------


def _address(upstream: str) -> tuple[str, int]:
    parts = urlsplit(upstream)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f'upstream: {upstream!r} is no address like "http://127.0.0.1:8080"')
    return parts.hostname, parts.port or 80


def _ask(address: tuple[str, int], request: bytes) -> bytes:
    """What the upstream replies, framed anew; 502 where it doesn't."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = dict(line.split(":", 1) for line in lines)
    passed = {name: value.strip() for name, value in headers.items() if name.lower() not in _HOP_BY_HOP | {"host"}}
    connection = http.client.HTTPConnection(*address, timeout=_UPSTREAM_SECONDS)
    try:
        connection.request(method, path, body, passed)
        with connection.getresponse() as response:
            data = response.read()
    except (OSError, http.client.HTTPException):
        status, kept, data = 502, tuple[tuple[str, str], ...](), b""
    else:
        status = response.status
        kept = tuple((name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP)
    finally:
        connection.close()
    return on_wire(Reaction("upstream", status=status, headers=kept, body=lambda model: data), "")


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None
