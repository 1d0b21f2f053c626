"""Bedrock's streamed replies, put together: the events in its frames, and the one answer of Converse's.

Theory of operation
-------------------

A frame says by ``:message-type`` whether it's an event, an exception or an error; the last two end the stream, and name
themselves (`ErrorFrame`). Converse's events are ``messageStart``; for each block ``contentBlockStart`` (of tools only),
``contentBlockDelta``, ``contentBlockStop``; ``messageStop``, the end; ``metadata`` behind it, with usage. Nova's own stream
is of the same events, one in each chunk.

1. Without ``messageStop`` the stream was cut. Without ``metadata`` usage is unknown.
2. Each block comes once, and nothing but metadata comes behind the end.
3. What isn't known is passed over: other events, other kinds of deltas, padding.

`FramePulse` hears the same frames as they come.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from attrs import define, field

from failsoft.adapters.aws_event_stream import Frame, Reader, frames
from failsoft.adapters.base import as_object, whole_text
from failsoft.adapters.claude_stream import is_meaningful
from failsoft.adapters.event_reading import Refused, take_each
from failsoft.adapters.event_stream import MAX_VALUES, EventStreamError, TooMuch
from failsoft.adapters.strict_json import StrictJsonError, loads
from failsoft.fault import Fault, FaultKind

_MEANINGFUL: Final = ("contentBlockStart", "contentBlockDelta", "messageStop", "metadata")
_ENDS: Final = ("exception", "error")


class FramePulse:
    """Hears one stream of Bedrock's: a `failsoft.core.effects.Pulse`. Of Claude's events within chunks pings mean nothing.

    Attributes:
        full: more has come than an answer holds.
    """

    __slots__ = ("_reader", "full")

    def __init__(self) -> None:
        self.full = False
        self._reader: Reader | None = Reader()

    def heard(self, part: bytes, /) -> bool:
        """Did a meaningful event end in this part?"""
        if self._reader is None:
            return False
        try:
            return any(map(_is_meaningful, self._reader.read(part)))
        except EventStreamError as error:  # whoever reads the whole will say so
            self.full = isinstance(error, TooMuch)
            self._reader = None
            return False


def _is_meaningful(frame: Frame) -> bool:
    if frame.headers.get(":message-type") in _ENDS:
        return True
    kind = frame.headers.get(":event-type")
    if kind != "chunk":
        return kind in _MEANINGFUL
    try:
        fields = as_object(json.loads(base64.b64decode(json.loads(frame.payload)["bytes"])))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return "type" not in fields or is_meaningful(fields)


class ErrorFrame(Exception):
    """Raised by a frame that says what went wrong.

    Args:
        name: of the error.
        body: what is said about it.
    """

    def __init__(self, name: str, body: dict[str, Any]) -> None:
        super().__init__(name)
        self.name = name
        self.body = body


def events_of(body: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a stream: each one's type and its fields.

    Raises:
        EventStreamError: its framing is broken.
        StrictJsonError: an event isn't strict JSON.
        TooMuch: more has come than an answer holds.
        ErrorFrame: a frame says so.
    """
    values = 0
    for frame in frames(body):
        values += _values_in(frame.payload)
        if values > MAX_VALUES:
            raise TooMuch(f"more than {MAX_VALUES} values")
        headers = frame.headers
        kind = headers.get(":message-type")
        if kind == "error":
            raise ErrorFrame(headers.get(":error-code", ""), {"message": headers.get(":error-message", "")})
        if kind == "exception":
            raise ErrorFrame(headers.get(":exception-type", ""), _fields_if_any(frame.payload))
        if kind == "event":
            yield headers.get(":event-type", ""), as_object(loads(frame.payload))


def chunks_of(body: bytes) -> Iterator[bytes]:
    """The vendor's own documents in a stream of InvokeModel's: JSON texts.

    Raises:
        EventStreamError: its framing is broken, or a chunk isn't base64.
        StrictJsonError, TooMuch, ErrorFrame: as for `events_of`.
    """
    values = 0
    for kind, fields in events_of(body):
        if kind != "chunk":
            continue
        try:
            chunk = base64.b64decode(whole_text(fields.get("bytes")), validate=True)
        except (binascii.Error, ValueError):
            raise EventStreamError("a chunk isn't base64") from None
        values += _values_in(chunk)
        if values > MAX_VALUES:
            raise TooMuch(f"more than {MAX_VALUES} values")
        yield chunk


def _values_in(data: bytes) -> int:
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def _fields_if_any(payload: bytes) -> dict[str, Any]:
    try:
        return as_object(loads(payload))
    except StrictJsonError:
        return {}


@define(eq=False)
class _Block:
    pieces: list[str] = field(factory=list[str])
    call: dict[str, Any] | None = None
    closed: bool = False

    def told(self) -> dict[str, Any]:
        said = "".join(self.pieces)
        return {"text": said} if self.call is None else {"toolUse": {**self.call, "input": said}}


@define(eq=False)
class ConverseStream:
    """The answer so far."""

    _blocks: dict[int, _Block] = field(factory=dict[int, _Block])
    _ending: dict[str, Any] = field(factory=dict[str, Any])
    _metadata: dict[str, Any] = field(factory=dict[str, Any])
    _stopped: bool = False

    def take_all(self, events: Iterable[tuple[str, dict[str, Any]]]) -> Fault | None:
        """The events of one whole stream. Why they're no whole answer; None if they are.

        Raises:
            ErrorFrame: as `events` do.
        """
        fault = take_each(events, self.hear)
        if fault is None and not self._stopped:
            fault = Fault(FaultKind.TRUNCATED_STREAM, "the stream ended before its message did", 200)
        return fault

    def hear(self, event: tuple[str, dict[str, Any]]) -> None:
        """One event more.

        Raises:
            Refused: it belongs to no whole answer.
        """
        kind, fields = event
        if kind == "metadata":
            self._metadata = fields
            return
        if kind not in _HANDLERS:
            return
        if self._stopped:
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "events behind the message's end")
        _HANDLERS[kind](self, fields)

    def begin(self, fields: dict[str, Any]) -> None:
        """A block begins."""
        index = _index(fields)
        if index in self._blocks:
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "a block that has begun twice")
        call = as_object(fields.get("start")).get("toolUse")
        self._blocks[index] = _Block(call=None if call is None else as_object(call))

    def add(self, fields: dict[str, Any]) -> None:
        """A piece of a block; a text's has no other beginning."""
        block = self._blocks.setdefault(_index(fields), _Block())
        if block.closed:
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "a piece of a block that has ended")
        delta = as_object(fields.get("delta"))
        piece = delta.get("text", "") if block.call is None else as_object(delta.get("toolUse")).get("input", "")
        if not isinstance(piece, str):
            raise Refused(FaultKind.MALFORMED_REPLY, "a piece of text that is none")
        block.pieces.append(piece)

    def close(self, fields: dict[str, Any]) -> None:
        """A block ends. One without a beginning may: of reasoning that isn't shown."""
        self._blocks.setdefault(_index(fields), _Block()).closed = True

    def stop(self, fields: dict[str, Any]) -> None:
        """The end, and why."""
        self._ending, self._stopped = fields, True

    def body(self) -> dict[str, Any]:
        """As Converse would have given it in one piece."""
        content = [each.told() for each in self._blocks.values()]
        return {**self._ending, **self._metadata, "output": {"message": {"role": "assistant", "content": content}}}


def _index(fields: dict[str, Any]) -> int:
    index = fields.get("contentBlockIndex")
    if type(index) is not int:
        raise Refused(FaultKind.MALFORMED_REPLY, "a block without a number")
    return index


_HANDLERS: Final = {
    "contentBlockStart": ConverseStream.begin,
    "contentBlockDelta": ConverseStream.add,
    "contentBlockStop": ConverseStream.close,
    "messageStop": ConverseStream.stop,
}
