"""The format of server-sent events, read from bytes that may be split anywhere.

Theory of operation (HTML standard, section 9.2.6, "Interpreting an event stream"):

    line    ends with CR LF, LF or CR; what has no end yet waits for more
    field   a line's name up to the first colon, and its value, of which one leading space is dropped
    data    each adds a line to the event's text; ``event`` names its type; ``id`` and ``retry`` are for those who reconnect
    blank   ends the event. One without data is none; one that the end of the stream cut is none either
    comment a line that begins with a colon: providers send them to keep the connection alive

One byte-order mark at the very beginning is dropped. Where browsers would put a replacement character in the place of bytes
that aren't UTF-8, the stream is refused here: what two readers could understand differently isn't an answer.

A `Reader` holds no more than one event and one line, and looks at no byte twice, however the stream was split. What it
costs to read a stream is bounded for the whole of it, not for each event: lines, events, and values of JSON in their text.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from attrs import frozen

MAX_LINES = 1_000_000
"""Lines of one stream: an answer of 128,000 tokens has 260,000, and each costs half a microsecond and more."""

MAX_EVENTS = 150_000
"""Events of one stream. 16 MiB of chunks as they're sent, 200 bytes and more, are 84,000; each costs some 4 µs to put
together."""

MAX_VALUES = 1_000_000
"""Values in all events together, twice what one document may hold: a chunk has 12 to 15 beside its piece of text, so 16 MiB
of them have 800,000."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STEP = 64 * 1024  # so that never all events are held at once


class EventStreamError(ValueError):
    """Not an event stream that can be read. The message never quotes it."""


class TooMuch(EventStreamError):
    """More than any answer holds: it isn't read on."""


@frozen
class Event:
    """One event.

    Args:
        kind: its type; empty where it has none, which means "message".
        data: its text, lines joined by a line feed.
    """

    kind: str
    data: str


class Reader:
    """Reads one stream, part by part."""

    __slots__ = ("_data", "_events", "_kind", "_lines", "_rest", "_return", "_values")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._return = False  # the last line ended with a carriage return: a line feed may still belong to it
        self._lines = self._events = self._values = 0
        self._kind = b""
        self._data: list[bytes] = []

    def read(self, part: bytes) -> list[Event]:
        """The events that end in this part.

        Raises:
            EventStreamError: one isn't UTF-8.
            TooMuch: more than `MAX_LINES` lines, `MAX_EVENTS` events or `MAX_VALUES` values have come.
        """
        self._values += part.count(b",") + part.count(b"[") + part.count(b"{")
        if self._values > MAX_VALUES:
            raise TooMuch(f"more than {MAX_VALUES} values")
        if self._return and part:
            self._return, part = False, part.removeprefix(b"\n")
        lines = _LINE_END.split(part)
        if len(lines) == 1:
            self._rest += part
            return []
        self._return = part.endswith(b"\r")
        lines[0] = bytes(self._rest) + lines[0]
        self._rest = bytearray(lines.pop())
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> Event | None:
        """One more line; the event that it ends, if it ends one."""
        self._lines += 1
        if self._lines == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        elif self._lines > MAX_LINES:
            raise TooMuch(f"more than {MAX_LINES} lines")
        if not line:
            return self._dispatched()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value
        return None

    def _dispatched(self) -> Event | None:
        kind, data = self._kind, self._data
        self._kind = b""
        if not data:
            return None
        self._data = []
        self._events += 1
        if self._events > MAX_EVENTS:
            raise TooMuch(f"more than {MAX_EVENTS} events")
        try:
            return Event(kind.decode(), b"\n".join(data).decode())
        except UnicodeDecodeError:
            raise EventStreamError("an event isn't UTF-8") from None


def events(body: bytes) -> Iterator[Event]:
    """The events of a whole stream; what the end cut is none.

    Raises:
        EventStreamError: as for `Reader.read`.
    """
    reader = Reader()
    for start in range(0, len(body), _STEP):
        yield from reader.read(body[start : start + _STEP])


class EventPulse(ABC):
    """Hears one stream, event by event: a dialect subclasses it and says which of them mean that the answer goes on.

    Attributes:
        full: more has come than an answer holds.
    """

    __slots__ = ("_reader", "full")

    def __init__(self) -> None:
        self.full = False
        self._reader = self.reader()

    def reader(self) -> Any:
        """Makes what reads events out of parts: its `read` is as `Reader.read`."""
        return Reader()

    @abstractmethod
    def is_meaningful(self, kind: str, data: str) -> bool:
        """Does an event mean that the answer goes on? Must not raise."""

    def heard(self, part: bytes, /) -> bool:
        """Did a meaningful event end in this part?"""
        if self._reader is None:
            return False
        try:
            return any(self.is_meaningful(each.kind, each.data) for each in self._reader.read(part))
        except EventStreamError as error:  # whoever reads the whole will say so
            self.full = isinstance(error, TooMuch)
            self._reader = None
            return False
