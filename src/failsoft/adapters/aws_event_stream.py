"""AWS's binary event stream (``application/vnd.amazon.eventstream``), read from bytes that may be split anywhere.

A frame, all numbers big-endian: its length and that of its headers (32 bits each), the CRC-32 of those 8 bytes, the headers,
the payload, the CRC-32 of everything before it. A header: a byte's length and name, a byte's type, a value; only texts
(type 7, 16 bits' length) are kept. Both checksums are compared, and lengths are believed only within the format's own caps:
128 KiB of headers, 24 MiB of payload. What the end cut is no frame: whether a stream may end there is its reader's to say.
What a stream costs is bounded for the whole of it, as for `failsoft.adapters.event_stream`.

Source: the Smithy specification of the format (`application/vnd.amazon.eventstream`); 56 recorded streams.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final
from zlib import crc32

from attrs import field, frozen

from failsoft.adapters.event_stream import MAX_EVENTS, MAX_LINES, EventStreamError, TooMuch

MEDIA_TYPE: Final = "application/vnd.amazon.eventstream"
MAX_HEADERS: Final = 128 * 1024
MAX_PAYLOAD: Final = 24 * 1024 * 1024

_PRELUDE: Final = struct.Struct(">III")
_CHECKSUM: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">H")
_LEAST: Final = _PRELUDE.size + _CHECKSUM.size
_STEP: Final = 64 * 1024  # so that never all frames are held at once
_TEXT: Final = 7
_BYTES: Final = 6
_SIZES: Final[Mapping[int, int]] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type: true, false, four integers, a moment, a UUID."""


@frozen
class Frame:
    """One message of a stream.

    Args:
        headers: those that are texts.
        payload: its bytes.
    """

    headers: Mapping[str, str]
    payload: bytes = field(repr=False)


class Reader:
    """Reads one stream, part by part."""

    __slots__ = ("_frames", "_headers", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._frames = self._headers = 0

    def read(self, part: bytes) -> list[Frame]:
        """The frames that end in this part.

        Raises:
            EventStreamError: a checksum or a length is wrong, or a header can't be read.
            TooMuch: more than `MAX_EVENTS` frames or `MAX_LINES` headers have come.
        """
        self._rest += part
        found: list[Frame] = []
        start = 0
        with memoryview(self._rest) as view:
            while (end := _end_of_frame(view, start)) is not None:
                found.append(self._frame(view, start, end))
                start = end
        del self._rest[:start]
        return found

    def _frame(self, view: memoryview, start: int, end: int) -> Frame:
        if crc32(view[start : end - 4]) != _CHECKSUM.unpack_from(view, end - 4)[0]:
            raise EventStreamError("a frame doesn't match its checksum")
        at = start + _PRELUDE.size
        behind = at + _PRELUDE.unpack_from(view, start)[1]
        headers, count = _headers(bytes(view[at:behind]))
        self._frames += 1
        self._headers += count
        if self._frames > MAX_EVENTS or self._headers > MAX_LINES:
            raise TooMuch(f"more than {MAX_EVENTS} events or {MAX_LINES} headers")
        return Frame(headers, bytes(view[behind : end - 4]))


def frames(body: bytes) -> Iterator[Frame]:
    """The frames of a whole stream, in order; what the end cut is none.

    Raises:
        EventStreamError: as for `Reader.read`.
    """
    reader = Reader()
    for start in range(0, len(body), _STEP):
        yield from reader.read(body[start : start + _STEP])


def _end_of_frame(view: memoryview, start: int) -> int | None:
    """Where the frame that begins here ends; None where it hasn't come yet."""
    if len(view) - start < _PRELUDE.size:
        return None
    total, size, checksum = _PRELUDE.unpack_from(view, start)
    if crc32(view[start : start + 8]) != checksum:
        raise EventStreamError("a frame's beginning doesn't match its checksum")
    if size > MAX_HEADERS or not 0 <= total - size - _LEAST <= MAX_PAYLOAD:
        raise EventStreamError("a frame's lengths can't be")
    return start + total if start + total <= len(view) else None


def _headers(data: bytes) -> tuple[dict[str, str], int]:
    """Those that are texts, and how many there are in all."""
    found: dict[str, str] = {}
    at = count = 0
    try:
        while at < len(data):
            count += 1
            name, at = _sized(data, at + 1, data[at])
            kind = data[at]
            if kind in (_TEXT, _BYTES):
                value, at = _sized(data, at + 3, _LENGTH.unpack_from(data, at + 1)[0])
            else:
                value, at = _sized(data, at + 1, _SIZES[kind])
            if kind == _TEXT and found.setdefault(name.decode(), value.decode()) != value.decode():
                raise EventStreamError("a frame's header stands there twice")
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise EventStreamError("a frame's headers can't be read") from None
    return found, count


def _sized(data: bytes, start: int, size: int) -> tuple[bytes, int]:
    """So many bytes, and where they end."""
    end = start + size
    if end > len(data):
        raise IndexError
    return data[start:end], end
