"""What a reply of Cohere's chat says, in either version, whole or streamed.

Theory of operation
-------------------

Version 2 has a ``message`` whose ``content`` is a list of texts and thoughts; ``tool_plan`` is prose about the calls, and no
answer. It's streamed as events, whose ``type`` says what they bring: ``content-delta`` a piece of a text or a thought,
``tool-call-start`` a call's name, ``tool-call-delta`` a piece of its arguments (none at all means ``{}``), ``message-end``
the reason, the usage and an error. That event is the end: ``[DONE]`` follows it and says nothing more.

Version 1 has ``text`` and ``tool_calls`` with ``parameters``. It was streamed as a JSON object a line, the last of which,
``stream-end``, holds the whole reply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field

from failsoft.adapters.base import as_array, as_count, as_object, as_text, json_text
from failsoft.adapters.event_reading import ObjectPulse, Refused, object_of
from failsoft.adapters.event_stream import MAX_EVENTS, MAX_VALUES, Event, TooMuch
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.strict_json import WHITE_SPACE, decoded, loads_text
from failsoft.core.effects import Tokens
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Served

_K = FaultKind

FINISH: Mapping[str, FaultKind] = {
    "MAX_TOKENS": _K.TRUNCATED,
    "ERROR_LIMIT": _K.TRUNCATED,
    "ERROR_TOXIC": _K.FILTERED,
    "ERROR": _K.SERVER_ERROR,
    "TIMEOUT": _K.SERVER_ERROR,
    "USER_CANCEL": _K.SERVER_ERROR,
}
"""Reasons that aren't an answer. `_ANSWERS` may be: with ``TOOL_CALL`` the calls decide. One that's in neither is none."""

_ANSWERS = ("COMPLETE", "STOP_SEQUENCE", "TOOL_CALL")


# --- whole ------------------------------------------------------------------------------------------------------------


def read_v2(body: dict[str, Any], *, forced: bool) -> Reading:
    """What a reply of version 2 means. Never raises.

    Args:
        body: the JSON object.
        forced: the model had to call one tool, whose arguments are the answer.
    """
    message = as_object(body.get("message"))
    content: object = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else map(as_object, as_array(content))
    texts = (each.get("text") for each in parts if each.get("type") == "text")
    calls: list[ToolCall] = []
    for each in map(as_object, as_array(message.get("tool_calls"))):
        function = as_object(each.get("function"))
        calls.append(_call(function.get("name"), function.get("arguments"), each.get("id")))
    reading = Reading(
        Served(request_id=as_text(body.get("id"))),
        text="".join(each for each in texts if isinstance(each, str)),
        calls=tuple(calls),
        finish=as_text(body.get("finish_reason")),
        tokens=_tokens(as_object(body.get("usage"))),
    )
    return _judged(reading, forced=forced)


def read_v1(body: dict[str, Any], *, forced: bool) -> Reading:
    """What a reply of version 1 means. Never raises.

    Args:
        body: the JSON object.
        forced: as for `read_v2`.
    """
    text = body.get("text")
    reading = Reading(
        Served(request_id=as_text(body.get("generation_id")) or as_text(body.get("response_id"))),
        text=text if isinstance(text, str) else "",
        calls=tuple(
            _call(each.get("name"), each.get("parameters"), None)
            for each in map(as_object, as_array(body.get("tool_calls")))
        ),
        finish=as_text(body.get("finish_reason")),
        tokens=_tokens(as_object(body.get("meta"))),
    )
    return _judged(reading, forced=forced)


def _call(name: object, arguments: object, number: object) -> ToolCall:
    stated = arguments if isinstance(arguments, str) else json_text(arguments or {})
    return ToolCall(as_text(name) or "", stated or "{}", as_text(number))


def _tokens(usage: dict[str, Any]) -> Tokens | None:
    """What the model read and wrote; what's billed is another count."""
    tokens = as_object(usage.get("tokens"))
    asked, written = as_count(tokens.get("input_tokens")), as_count(tokens.get("output_tokens"))
    return None if asked is None and written is None else Tokens(asked, written)


def _judged(reading: Reading, *, forced: bool) -> Reading:
    """Why it's no answer, if it isn't; else, of a forced tool, the answer."""
    one_forced = forced and len(reading.calls) == 1
    finish = reading.finish or ""
    if finish in FINISH:
        reading.fault = Fault(FINISH[finish], f"it ended with {finish}", 200)
    elif finish not in _ANSWERS:
        reading.fault = Fault(_K.MALFORMED_REPLY, "an unknown reason why it ended", 200)
    elif (reading.calls or finish == "TOOL_CALL") and not one_forced:
        reading.fault = Fault(_K.AMBIGUOUS_REPLY, "a tool call where an answer was asked for", 200)
    elif one_forced:
        reading.answer = reading.calls[0].arguments
    elif not reading.text.strip():
        reading.fault = Fault(_K.EMPTY_REPLY, "no text", 200)
    return reading


# --- streamed ---------------------------------------------------------------------------------------------------------

_DONE = "[DONE]"
_UNFINISHED = "the stream ended before its answer did"


@define(eq=False)
class Events:
    """A stream of version 2, so far."""

    _text: list[str] = field(factory=list[str])
    _calls: dict[int, dict[str, Any]] = field(factory=dict[int, dict[str, Any]])
    _number: object = None
    _end: dict[str, Any] | None = None

    def take(self, told: Event) -> None:
        """The next event.

        Raises:
            Refused: it can't belong to one answer.
            StrictJsonError: it's no strict JSON.
        """
        if told.data.strip(WHITE_SPACE) == _DONE:
            return
        event = object_of(told)
        kind, delta = event.get("type"), as_object(event.get("delta"))
        if self._end is not None:
            raise Refused(_K.AMBIGUOUS_REPLY, "events behind the answer's end")
        message = as_object(delta.get("message"))
        if kind == "message-start":
            self._start(event.get("id"))
        elif kind in ("content-start", "content-delta"):
            text = as_object(message.get("content")).get("text")
            self._text += [text] if isinstance(text, str) else []
        elif kind in ("tool-call-start", "tool-call-delta"):
            self._call(event.get("index"), as_object(message.get("tool_calls")))
        elif kind == "message-end":
            self._end = delta

    def _start(self, number: object) -> None:
        if self._number not in (None, number):
            raise Refused(_K.AMBIGUOUS_REPLY, "two answers")
        self._number = number

    def _call(self, index: object, call: dict[str, Any]) -> None:
        """A call's name, or the next piece of its arguments."""
        made = self._calls.setdefault(index if type(index) is int else 0, {"arguments": []})
        function = as_object(call.get("function"))
        for name, value in (("id", call.get("id")), ("name", function.get("name"))):
            if value:
                made[name] = value
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            made["arguments"].append(arguments)

    def ended(self) -> Fault | None:
        """The stream has ended: may it?"""
        if self._end is None:
            return Fault(_K.TRUNCATED_STREAM, _UNFINISHED, 200)
        return Fault(_K.SERVER_ERROR, "the provider broke off", 200) if self._end.get("error") else None

    def body(self) -> dict[str, Any]:
        """The reply that it would have been in one piece."""
        calls = [
            {"id": each.get("id"), "function": {"name": each.get("name"), "arguments": "".join(each["arguments"])}}
            for each in self._calls.values()
        ]
        end = self._end or {}
        return {
            "id": self._number,
            "message": {"content": "".join(self._text), "tool_calls": calls},
            "finish_reason": end.get("finish_reason"),
            "usage": end.get("usage"),
        }


@define(eq=False)
class LineEvents:
    """A stream of version 1, so far."""

    _text: list[str] = field(factory=list[str])
    _number: object = None
    _whole: dict[str, Any] | None = None

    def take(self, event: dict[str, Any]) -> None:
        """The next line."""
        kind, text = event.get("event_type"), event.get("text")
        if kind == "stream-start":
            self._number = event.get("generation_id")
        elif kind == "text-generation" and isinstance(text, str):
            self._text.append(text)
        elif kind == "stream-end":
            whole = as_object(event.get("response"))
            self._whole = {**whole, "finish_reason": whole.get("finish_reason") or event.get("finish_reason")}

    def ended(self) -> Fault | None:
        """The stream has ended: may it?"""
        return Fault(_K.TRUNCATED_STREAM, _UNFINISHED, 200) if self._whole is None else None

    def body(self) -> dict[str, Any]:
        """The whole reply, which the last line holds; else what came of it."""
        return self._whole or {"generation_id": self._number, "text": "".join(self._text)}


def lines_of(body: bytes) -> Iterator[dict[str, Any]]:
    """The object on each line.

    Raises:
        StrictJsonError: one isn't strict JSON.
        TooMuch: more lines than any answer has.
    """
    lines = body.split(b"\n", MAX_EVENTS)
    if len(lines) > MAX_EVENTS or body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise TooMuch(f"more than {MAX_EVENTS} lines or {MAX_VALUES} values")
    for line in lines:
        text = decoded(line).strip(WHITE_SPACE)
        if text:
            yield as_object(loads_text(text))


class CoherePulse(ObjectPulse):
    """Hears one stream of version 2."""

    __slots__ = ()

    def means(self, chunk: dict[str, Any]) -> bool:
        """A piece of a text, a thought, a plan or a call; the end."""
        kind = chunk.get("type")
        if kind in ("message-end", "tool-call-start"):
            return True
        message = as_object(as_object(chunk.get("delta")).get("message"))
        said = (
            as_object(message.get("content")),
            as_object(as_object(message.get("tool_calls")).get("function")),
            message,
        )
        return any(
            isinstance(each, str) and each
            for part, names in zip(said, (("text", "thinking"), ("arguments",), ("tool_plan",)), strict=True)
            for each in map(part.get, names)
        )
