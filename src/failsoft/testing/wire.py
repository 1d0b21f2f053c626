"""Every way to fail that only shows on the wire, by name: each spoils the usual reply of a `FaultServer`.

`EVERY` holds those that a caller must not take for an answer. `STALE` and `EXTRA_REPLY` answer, and set a trap for the
request after; `failsoft.testing.USUAL` answers, and ``USUAL.delayed("2s")`` does so late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from failsoft.fault import FaultKind
from failsoft.testing.reaction import Reaction
from failsoft.testing.server import Peer, cut

_K = FaultKind
_INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"


def _act(name: str, fault: FaultKind | None, row: int | None, act: Callable[[Peer], None]) -> Reaction:
    return Reaction(name, fault, row, "wire", act=act)


def _spoilt(name: str, fault: FaultKind, row: int | None, spoil: Callable[[list[bytes], bytes], bytes]) -> Reaction:
    """The usual reply, spoilt (its head's lines, its body → what is sent), and then the connection's end."""

    def act(peer: Peer) -> None:
        head, _, body = peer.usual().partition(b"\r\n\r\n")
        peer.send(spoil(head.split(b"\r\n"), body))
        peer.end()

    return _act(name, fault, row, act)


def _joined(lines: list[bytes], body: bytes = b"") -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _without_length(lines: list[bytes]) -> list[bytes]:
    return [each for each in lines if not each.lower().startswith(b"content-length:")]


def _chunked(lines: list[bytes], chunks: bytes) -> bytes:
    return _joined([*_without_length(lines), b"transfer-encoding: chunked"], chunks)


# --- dripping: each byte comes in time, the whole never does ----------------------------------------------------------


def _drip(name: str, row: int, pieces: Callable[[], Iterator[bytes]]) -> Reaction:
    return _act(name, _K.ATTEMPT_TIMEOUT, row, lambda peer: peer.drip(pieces()))


def _head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(10_000):
        yield b"x-%d: y\r\n" % number


def _body() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"
    while True:
        yield b" "


def _interim() -> Iterator[bytes]:
    while True:
        yield _INTERIM


DRIPPED_BODY = _drip("dripped body", 12, _body)
DRIPPED_HEAD = _drip("dripped head", 13, _head)
DRIPPED_INTERIM = _act("dripped interim", _K.ATTEMPT_TIMEOUT, 21, lambda peer: peer.drip(_interim(), every=0.05))

# --- framing ----------------------------------------------------------------------------------------------------------

CUT = _spoilt("cut", _K.CONNECTION_LOST, 14, lambda lines, body: cut(_joined(lines, body)))
CUT_HEAD = _spoilt("cut head", _K.BAD_FRAMING, 18, lambda lines, body: b"\r\n".join(lines)[:-3])
CUT_CHUNK = _spoilt(
    "cut chunk",
    _K.CONNECTION_LOST,
    15,
    lambda lines, body: _chunked(lines, b"%x\r\n%b" % (len(body), body[: len(body) // 2])),
)
NO_LAST_CHUNK = _spoilt(
    "no last chunk", _K.CONNECTION_LOST, 15, lambda lines, body: _chunked(lines, b"%x\r\n%b\r\n" % (len(body), body))
)
NO_LENGTH = _spoilt("no length", _K.BAD_FRAMING, 16, lambda lines, body: _joined(_without_length(lines), body))
NOT_HTTP = _spoilt("not http", _K.BAD_FRAMING, 18, lambda lines, body: b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
TWO_LENGTHS = _spoilt(
    "two lengths", _K.CONFLICTING_LENGTHS, 19, lambda lines, body: _joined([*lines, b"content-length: 1"], body)
)
LONG_HEADER = _spoilt(
    "long header", _K.BAD_FRAMING, 20, lambda lines, body: _joined([*lines, b"x-long: " + b"a" * 200_000], body)
)
INTERIM_FLOOD = _spoilt(
    "interim flood", _K.BAD_FRAMING, 21, lambda lines, body: _INTERIM * 10_000 + _joined(lines, body)
)
OTHER_TRANSFER_ENCODING = _spoilt(
    "other transfer encoding",
    _K.BAD_FRAMING,
    93,
    lambda lines, body: _joined([*_without_length(lines), b"transfer-encoding: gzip"], body),
)
LENGTH_AND_CHUNKS = _spoilt(
    "length and chunks",
    _K.BAD_FRAMING,
    94,
    lambda lines, body: _joined([*lines, b"transfer-encoding: chunked"], b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)),
)
SWITCHING_PROTOCOLS = _spoilt(
    "switching protocols",
    _K.BAD_FRAMING,
    92,
    lambda lines, body: b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
)

# --- content ----------------------------------------------------------------------------------------------------------

CORRUPTED = _spoilt(
    "corrupted",
    _K.MALFORMED_REPLY,
    45,
    lambda lines, body: _joined(lines, bytes(each ^ 0xFF if at % 16 == 0 else each for at, each in enumerate(body))),
)
"""The usual reply with every sixteenth byte of its body turned round."""

# --- traps for the next request on the connection ---------------------------------------------------------------------


def _stale(peer: Peer) -> None:
    peer.send(peer.usual())
    peer.read_request()
    peer.end()


def _extra(peer: Peer) -> None:
    usual = peer.usual()
    peer.send(usual + usual)


STALE = _act("stale", None, 9, _stale)
"""Answers, and closes the connection upon the request after, without a word."""
EXTRA_REPLY = _act("extra reply", None, 89, _extra)
"""Answers twice: who uses the connection again takes the second for the answer to something else."""

# --- whole connections: what happens before a request has been read ---------------------------------------------------


def reset_while_sending(peer: Peer) -> None:
    """Break the connection while the request's body is on its way. Row 10; for ``FaultServer(wire.reset_while_sending)``."""
    peer.read_head()
    peer.reset()


def answer_early(peer: Peer) -> None:
    """Refuse a request for its size before it's read. Row 90."""
    peer.read_head()
    peer.send(b"HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
    peer.end()


def never_read(peer: Peer) -> None:
    """Accept, and then nothing: the request stays in the network's buffers. Over TLS the handshake stalls. Row 6."""
    peer.server.stopping.wait()


EVERY: tuple[Reaction, ...] = tuple(
    each for each in dict(globals()).values() if isinstance(each, Reaction) and each.fault is not None
)
"""Every one that is no answer. The dripping ones take as long as the caller waits."""
