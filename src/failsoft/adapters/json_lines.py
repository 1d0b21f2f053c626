"""JSON documents, one a line (ndjson), read from bytes that may be split anywhere: as `failsoft.adapters.event_stream`.

What it costs to read a stream is bounded as there: by lines, and by the values in all of them.
"""

from __future__ import annotations

from failsoft.adapters.event_stream import MAX_EVENTS, MAX_VALUES, Event, EventStreamError, TooMuch

MEDIA_TYPE = "application/x-ndjson"


class LineReader:
    """Reads one stream, part by part. Blank lines are passed over."""

    __slots__ = ("_lines", "_rest", "_values")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._lines = self._values = 0

    def read(self, part: bytes) -> list[Event]:
        """The lines that end in this part, each an event without a type.

        Raises:
            EventStreamError: one isn't UTF-8.
            TooMuch: more than `MAX_EVENTS` lines or `MAX_VALUES` values have come.
        """
        self._values += part.count(b",") + part.count(b"[") + part.count(b"{")
        if self._values > MAX_VALUES:
            raise TooMuch(f"more than {MAX_VALUES} values")
        ends = part.count(b"\n")
        self._lines += ends
        if self._lines > MAX_EVENTS:
            raise TooMuch(f"more than {MAX_EVENTS} lines")
        if not ends:
            self._rest += part
            return []
        lines = part.split(b"\n")
        lines[0] = bytes(self._rest) + lines[0]
        self._rest = bytearray(lines.pop())
        try:
            return [Event("", text) for line in lines if (text := line.decode().strip(" \t\r"))]
        except UnicodeDecodeError:
            raise EventStreamError("a line isn't UTF-8") from None


def lines(body: bytes) -> list[Event]:
    """The lines of a whole stream; the last one needs no end.

    Raises:
        EventStreamError: as for `LineReader.read`.
    """
    return LineReader().read(body + b"\n")
