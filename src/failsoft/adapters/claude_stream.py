"""Claude's streamed reply, put together: its events become the one message that wouldn't have been streamed.

Theory of operation
-------------------

``message_start`` brings the message without content; ``content_block_start``, ``_delta`` and ``_stop`` bring each block by
its index; ``message_delta`` says why it ended and what it used; ``message_stop`` is the end. ``ping`` and whatever isn't
known may stand anywhere. What can be wrong beside what a whole message can get wrong is decided here:

1. Without ``message_stop`` the stream was cut, however whole it looks.
2. ``error`` ends it: its own type says what it means.
3. Everything is of one message: one start, each block once, no delta for a block that isn't open, nothing behind the end.
   What has gaps, comes twice or is of another message isn't guessed at.
4. Usage is cumulative: what comes last wins.

Over Bedrock the events come without the frame of server-sent events (`server_sent` takes it off).
`MessagePulse` hears the same events as they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from attrs import define, field, frozen

from failsoft.adapters.base import as_object
from failsoft.adapters.event_reading import ObjectPulse, Refused, object_of, take_each
from failsoft.adapters.event_stream import events as server_sent_events
from failsoft.fault import Fault, FaultKind

_DELTAS: Final = {"text_delta": "text", "input_json_delta": "partial_json"}
"""The pieces that are kept, and where each stands; reasoning, signatures and citations aren't."""

_TOLD: Final = {"content_block_delta": "delta", "content_block_start": "content_block"}
"""Events that mean something where they hold something, and where that stands."""

_MEANINGFUL: Final = ("message_delta", "message_stop", "error")


class MessagePulse(ObjectPulse):
    """Hears one streamed message."""

    __slots__ = ()

    def means(self, chunk: dict[str, Any]) -> bool:
        """Does an event mean that the answer goes on?"""
        return is_meaningful(chunk)


def is_meaningful(event: dict[str, Any]) -> bool:
    """A piece of anything, a block that isn't empty, a reason to finish, the end, an error; pings and starts aren't."""
    what = event.get("type")
    told = _TOLD.get(what) if isinstance(what, str) else None
    if told is None:
        return what in _MEANINGFUL
    fields = as_object(event.get(told))
    return any(fields[name] for name in fields if name != "type")


def server_sent(stream: bytes) -> Iterator[dict[str, Any]]:
    """The events of a stream of server-sent events.

    Raises:
        EventStreamError: it isn't one.
        StrictJsonError: an event isn't strict JSON.
    """
    return map(object_of, server_sent_events(stream))


@frozen(eq=False)
class Assembled:
    """What a stream held.

    Args:
        body: the message, as far as it came.
        fault: why it's no whole one; None where it is, or where `error` says.
        error: the error that ended it.
    """

    body: dict[str, Any]
    fault: Fault | None
    error: dict[str, Any] | None


def assemble(events: Iterable[dict[str, Any]]) -> Assembled:
    """One message of a stream's events. What `events` raises of broken streams and JSON is told in the fault."""
    message = _Message()
    fault = take_each(events, message.hear)
    if fault is None and not message.ended:
        fault = Fault(FaultKind.TRUNCATED_STREAM, "the stream ended before its message did", 200)
    return Assembled(message.body(), fault, message.error)


@define(eq=False)
class _Block:
    fields: dict[str, Any]
    pieces: list[str] = field(factory=list[str])
    closed: bool = False


@define(eq=False)
class _Message:
    """The message so far."""

    _start: dict[str, Any] | None = None
    _blocks: dict[int, _Block] = field(factory=dict[int, _Block])
    _finish: object = None
    _usage: dict[str, Any] = field(factory=dict[str, Any])
    error: dict[str, Any] | None = None
    _stopped: bool = False

    def hear(self, event: dict[str, Any]) -> None:
        """One event more."""
        what = event.get("type")
        if what == "error" or (what is None and event.get("error")):
            self.error = self.error or event
            return
        handle = _HANDLERS.get(what) if isinstance(what, str) else None
        if handle is None:
            return
        if self._stopped:
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "events behind the message's end")
        if handle is not _Message.complete and (self._start is None) != (what == "message_start"):
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "events of no message, or of two")
        handle(self, event)

    def start(self, event: dict[str, Any]) -> None:
        """Whose message it is."""
        self._start = as_object(event.get("message"))
        self._usage = dict(as_object(self._start.get("usage")))

    def open(self, event: dict[str, Any]) -> None:
        """A block begins."""
        index = event.get("index")
        if type(index) is not int or index in self._blocks or self._finish:
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "a block without a number, begun twice, or behind the end")
        self._blocks[index] = _Block(as_object(event.get("content_block")))

    def add(self, event: dict[str, Any]) -> None:
        """A piece of a block."""
        block, delta = self._open_block(event), as_object(event.get("delta"))
        kind = delta.get("type")
        name = _DELTAS.get(kind) if isinstance(kind, str) else None
        if name is None:
            return
        piece = delta.get(name)
        if not isinstance(piece, str):
            raise Refused(FaultKind.MALFORMED_REPLY, "a piece of text that is none")
        block.pieces.append(piece)

    def close(self, event: dict[str, Any]) -> None:
        """A block ends."""
        self._open_block(event).closed = True

    def _open_block(self, event: dict[str, Any]) -> _Block:
        index = event.get("index")
        block = self._blocks.get(index) if type(index) is int else None
        if block is None or block.closed or self._finish:
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "a piece of a block that isn't open")
        return block

    def end(self, event: dict[str, Any]) -> None:
        """Why it ended, and what it used."""
        self._finish = as_object(event.get("delta")).get("stop_reason") or self._finish
        usage = as_object(event.get("usage"))
        self._usage |= {name: value for name, value in usage.items() if value is not None}

    def complete(self, event: dict[str, Any]) -> None:
        """A piece of a completion, as Claude spoke before there were messages."""
        self._start = self._start or event
        piece = event.get("completion")
        if isinstance(piece, str):
            self._blocks.setdefault(0, _Block({"type": "text", "text": ""})).pieces.append(piece)
        self._finish = event.get("stop_reason")
        self._stopped = bool(self._finish)

    def stop(self, _: dict[str, Any]) -> None:
        """The end."""
        self._stopped = True

    @property
    def ended(self) -> bool:
        """Has all of it come?"""
        return self._stopped or self.error is not None

    def body(self) -> dict[str, Any]:
        """As it would have come in one piece."""
        content: list[dict[str, Any]] = []
        for block in self._blocks.values():
            name = "input" if block.fields.get("type") == "tool_use" else "text"
            begun = block.fields.get(name)
            said = "".join(block.pieces)
            if said:
                said = begun + said if isinstance(begun, str) else said
                content.append({**block.fields, name: said})
            else:
                content.append(block.fields)
        return {**(self._start or {}), "stop_reason": self._finish, "content": content, "usage": self._usage}


_HANDLERS: Final = {
    "message_start": _Message.start,
    "content_block_start": _Message.open,
    "content_block_delta": _Message.add,
    "content_block_stop": _Message.close,
    "message_delta": _Message.end,
    "message_stop": _Message.stop,
    "completion": _Message.complete,
}
