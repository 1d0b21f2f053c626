"""AWS's binary event stream (``application/vnd.amazon.eventstream``), read from a whole body.

A frame, all numbers big-endian: its length and that of its headers (32 bits each), the CRC-32 of those 8 bytes, the headers,
the payload, the CRC-32 of everything before it. A header: a byte's length and name, a byte's type, a value; only texts
(type 7, 16 bits' length) are kept. Both checksums are compared, and lengths are believed only within the format's own caps:
128 KiB of headers, 24 MiB of payload. What the end cut is no frame: whether a stream may end there is its reader's to say.

Source: the Smithy specification of the format (`application/vnd.amazon.eventstream`); 56 recorded streams.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final
from zlib import crc32

from attrs import field, frozen

from failsoft.adapters.event_stream import MAX_EVENTS, EventStreamError, TooMuch

MEDIA_TYPE: Final = "application/vnd.amazon.eventstream"
MAX_HEADERS: Final = 128 * 1024
MAX_PAYLOAD: Final = 24 * 1024 * 1024

_PRELUDE: Final = struct.Struct(">III")
_CHECKSUM: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">H")
_LEAST: Final = _PRELUDE.size + _CHECKSUM.size
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


def frames(body: bytes) -> Iterator[Frame]:
    """The frames of a whole stream, in order.

    Raises:
        EventStreamError: a checksum or a length is wrong, or a header can't be read.
        TooMuch: more than `failsoft.adapters.event_stream.MAX_EVENTS` frames have come.
    """
    view, start, count = memoryview(body), 0, 0
    while len(view) - start >= _PRELUDE.size:
        total, size, checksum = _PRELUDE.unpack_from(view, start)
        if crc32(view[start : start + 8]) != checksum:
            raise EventStreamError("a frame's beginning doesn't match its checksum")
        payload = total - size - _LEAST
        if size > MAX_HEADERS or not 0 <= payload <= MAX_PAYLOAD:
            raise EventStreamError("a frame's lengths can't be")
        end = start + total
        if end > len(view):
            return
        if crc32(view[start : end - 4]) != _CHECKSUM.unpack_from(view, end - 4)[0]:
            raise EventStreamError("a frame doesn't match its checksum")
        count += 1
        if count > MAX_EVENTS:
            raise TooMuch(f"more than {MAX_EVENTS} events")
        headers = start + _PRELUDE.size
        yield Frame(_headers(bytes(view[headers : headers + size])), bytes(view[headers + size : end - 4]))
        start = end


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
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
    return found


def _sized(data: bytes, start: int, size: int) -> tuple[bytes, int]:
    """So many bytes, and where they end."""
    end = start + size
    if end > len(data):
        raise IndexError
    return data[start:end], end
