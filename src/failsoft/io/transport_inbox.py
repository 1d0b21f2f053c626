"""What a connection has received and not yet handed to the HTTP parser: framing watched from outside, without I/O.

Theory of operation. httpcore (h11) parses; it asks its network stream for bytes whenever it lacks some. The stream
hands it, from this inbox, *at most what belongs to the reply under way*: so what is left when the reply is whole
belongs to nobody, and the connection must not be used again (otherwise the next caller gets somebody else's answer).
For that the inbox follows three phases:

    HEAD      until the blank line; interim replies (1xx) are heads too, and are counted
    LENGTH    `Content-Length` told how many bytes follow
    CHUNKED   sizes of chunks are read along, up to the blank line behind the last chunk

`take` returns a piece, or None: more must be received first. Limits are checked here, on raw bytes; whatever breaks one
raises `Broken` with its fault, which passes through httpcore unchanged.
"""

from __future__ import annotations

import re
from enum import Enum

from failsoft.fault import Fault, FaultKind

MAX_HEAD = 64 * 1024
"""Bytes of one reply's head: real ones have 1-4 KB; h11 itself gives up at 100 KB."""

MAX_HEADS = 32
"""Heads of one exchange: interim replies before the final one."""

MAX_CHUNKS = 16_384
"""Chunks of one body: each costs the parser some 40 µs, so a body of one-byte chunks could hold a loop for minutes."""

MAX_STREAM_CHUNKS = 262_144
"""Chunks of a body that was asked for as a stream, one for each token: whoever listens gives way to others between them."""

_LENGTH = b"\ncontent-length"
_LENGTHS = re.compile(rb"\ncontent-length[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=[\r\n])")


class Broken(Exception):
    """The exchange ends with this fault."""

    def __init__(self, kind: FaultKind, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.fault = Fault(kind, detail, status)


class Phase(Enum):
    """What the next bytes are."""

    HEAD = 0
    LENGTH = 1
    CHUNKED = 2


class Inbox:
    """Received bytes of one connection.

    Args:
        max_bytes: how many bytes a body may have on the wire (with its chunks' framing), 1 or more.
    """

    __slots__ = (
        "_chunks",
        "_ended",
        "_heads",
        "_left",
        "_most_chunks",
        "_trailers",
        "buffer",
        "max_bytes",
        "phase",
        "received",
    )

    def __init__(self, max_bytes: int) -> None:
        self.buffer = bytearray()
        self.max_bytes = max_bytes
        self.begin()

    def begin(self, *, streamed: bool = False) -> None:
        """The next exchange starts; a `streamed` body may come in more chunks."""
        self._most_chunks = MAX_STREAM_CHUNKS if streamed else MAX_CHUNKS
        self.phase = Phase.HEAD
        self.received = 0
        self._heads = self._chunks = self._left = 0
        self._trailers = self._ended = False

    def add(self, data: bytes) -> None:
        """Bytes came in. Never raises: limits are checked by `take`."""
        self.buffer += data
        self.received += len(data)

    def expect_length(self, count: int) -> None:
        """The head is read: a body of `count` bytes follows (0: none)."""
        self.phase = Phase.LENGTH
        self._left = count
        if count > self.max_bytes:
            raise Broken(FaultKind.TOO_LARGE, f"more than {self.max_bytes} bytes announced")

    def expect_chunks(self) -> None:
        """The head is read: a chunked body follows."""
        self.phase = Phase.CHUNKED

    def take(self, most: int) -> bytes | None:
        """The next piece for the parser, at most `most` bytes; None: receive more first.

        Raises:
            Broken: a limit is passed, or the framing is not HTTP's.
        """
        if self.received > self.max_bytes + MAX_HEAD:
            raise Broken(FaultKind.TOO_LARGE, f"more than {self.max_bytes} bytes received")
        if self.phase is Phase.HEAD:
            end = self._head_end()
        elif self.phase is Phase.LENGTH:
            end = min(self._left, len(self.buffer))
            self._left -= min(end, most)
        else:
            end = self._chunks_end(most)
        if not end:
            return None
        piece = bytes(self.buffer[: min(end, most)])
        del self.buffer[: len(piece)]
        return piece

    @property
    def whole(self) -> bool:
        """Has everything that belongs to the body been taken? Asked behind the head."""
        return self._ended if self.phase is Phase.CHUNKED else not self._left

    def end(self) -> Broken:
        """The peer has closed: what that means where it is not the end of a whole reply."""
        if self.phase is Phase.HEAD and self.received:
            return Broken(FaultKind.BAD_FRAMING, "the connection ended within a reply's head")
        return Broken(FaultKind.CONNECTION_LOST, "the connection ended before the reply was whole")

    def _head_end(self) -> int:
        """Where the head in the buffer ends; 0: not yet. A bare line feed ends a line too (RFC 9112, section 2.2)."""
        buffer = self.buffer
        strict, loose = buffer.find(b"\n\r\n", 0, MAX_HEAD), buffer.find(b"\n\n", 0, MAX_HEAD)
        if strict < 0 and loose < 0:
            if len(buffer) >= MAX_HEAD:
                raise Broken(FaultKind.BAD_FRAMING, f"a head of more than {MAX_HEAD} bytes")
            return 0
        self._heads += 1
        if self._heads > MAX_HEADS:
            raise Broken(FaultKind.BAD_FRAMING, f"more than {MAX_HEADS} interim replies")
        end = strict + 3 if loose < 0 or 0 <= strict < loose else loose + 2
        head = bytes(buffer[:end]).lower()
        if head.count(_LENGTH) > 1 and len(set(_LENGTHS.findall(head))) > 1:  # parsers say no more than that it's wrong
            raise Broken(FaultKind.CONFLICTING_LENGTHS, "two different lengths")
        return end

    def _chunks_end(self, most: int) -> int:
        """How far the buffer holds whole lines and chunk data of this reply, looking no further than `most` bytes."""
        at = 0
        limit = min(len(self.buffer), most)
        while not self._ended:
            step = min(self._left, limit - at)
            at += step
            self._left -= step
            if self._left or at == limit:
                break
            newline = self.buffer.find(b"\n", at)
            if newline < 0 or newline >= limit:
                if at == 0 and len(self.buffer) > MAX_HEAD:
                    raise Broken(FaultKind.BAD_FRAMING, f"a chunk's head or a trailer of more than {MAX_HEAD} bytes")
                break
            self._read_line(bytes(self.buffer[at:newline]).rstrip(b"\r"))
            at = newline + 1
        return at

    def _read_line(self, line: bytes) -> None:
        """A chunk's size, or a line of the trailers behind the last chunk."""
        if self._trailers:
            self._ended = not line
            return
        self._chunks += 1
        if self._chunks > self._most_chunks:
            raise Broken(FaultKind.BAD_FRAMING, f"more than {self._most_chunks} chunks")
        size = line.split(b";", 1)[0].strip()
        if not 0 < len(size) <= 16 or size.strip(b"0123456789abcdefABCDEF"):
            raise Broken(FaultKind.BAD_FRAMING, "a chunk's size is not a hexadecimal number")
        count = int(size, 16)
        self._trailers = count == 0
        self._left = count + 2 if count else 0  # the data, and the line end behind it
