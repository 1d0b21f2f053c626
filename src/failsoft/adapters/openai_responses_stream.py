"""A streamed response, put together.

Theory of operation: the last event of a stream (``response.completed``, ``response.incomplete``, ``response.failed``) holds
the whole response, so that nothing need be put together where it came. Where it didn't, the stream was cut: the pieces of
text and of calls that came are kept beside that fault. There's no ``[DONE]``, though OpenRouter sends one.

An ``error`` event may come before ``response.failed``, or alone: its code says what it means. Events of types that aren't
known, and ``keepalive``, are passed over. A whole response that holds no items is believed to hold what came in pieces.

`ResponsePulse` hears the same events as they come. That a response was created, queued or is in progress isn't meaningful:
servers say so before anything is made.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define, field

from failsoft.adapters.base import as_array, as_object, as_text
from failsoft.adapters.event_reading import Refused, take_each
from failsoft.adapters.event_stream import Event, EventPulse, events
from failsoft.adapters.openai_stream import DONE, Assembled
from failsoft.adapters.strict_json import WHITE_SPACE, loads_text
from failsoft.fault import Fault, FaultKind

_LAST = ("response.completed", "response.incomplete", "response.failed")
_NOTHING_YET = ("response.created", "response.in_progress", "response.queued")
_TEXT, _REFUSAL = "response.output_text.delta", "response.refusal.delta"
_CALLS = ("function_call", "custom_tool_call")
_ARGUMENTS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")


class ResponsePulse(EventPulse):
    """Hears one streamed response."""

    __slots__ = ()

    def is_meaningful(self, kind: str, data: str) -> bool:
        """Does an event mean that the response goes on?"""
        if kind in ("", "message"):  # OpenRouter names no events
            try:
                stated = as_object(json.loads(data)).get("type")
            except (ValueError, RecursionError):
                return data == DONE
            kind = stated if isinstance(stated, str) else ""
        return kind == "error" or (kind.startswith("response.") and kind not in _NOTHING_YET)


def assemble_response(stream: bytes) -> Assembled:
    """One response of a whole event stream. Never raises."""
    made = _Response()
    fault = take_each(events(stream), made.hear)
    if fault is None and not made.ended:
        fault = Fault(FaultKind.TRUNCATED_STREAM, "the stream ended before its response did", 200)
    return Assembled(made.body(), fault)


@define(eq=False)
class _Response:
    """The response so far."""

    _stated: dict[str, Any] = field(factory=dict[str, Any])
    _error: object = None
    _last: bool = False
    _text: list[str] = field(factory=list[str])
    _refused: bool = False
    _calls: dict[str, dict[str, Any]] = field(factory=dict[str, dict[str, Any]])
    _arguments: dict[str, list[str]] = field(factory=dict[str, list[str]])

    @property
    def ended(self) -> bool:
        return self._last or self._error is not None

    def hear(self, told: Event) -> None:
        """One event."""
        data = told.data.strip(WHITE_SPACE)
        if data == DONE:
            return
        event = as_object(loads_text(data))
        kind = as_text(event.get("type")) or told.kind
        if kind == "error" or (event.get("error") and kind in ("", "message")):
            self._error = event.get("error") or event
        elif kind in _LAST or kind in _NOTHING_YET:
            self._state(as_object(event.get("response")), last=kind in _LAST)
        elif kind == "response.output_item.added":
            self._begin(as_object(event.get("item")))
        else:
            self._piece(kind, event)

    def _state(self, response: dict[str, Any], *, last: bool) -> None:
        known, number = self._stated.get("id"), response.get("id")
        if (known and number and known != number) or (last and self._last):
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "events of two responses")
        self._last = last or self._last
        self._stated = response or self._stated

    def _begin(self, item: dict[str, Any]) -> None:
        number = as_text(item.get("id"))
        if item.get("type") in _CALLS and number is not None:
            self._calls[number] = item

    def _piece(self, kind: str, event: dict[str, Any]) -> None:
        delta, number = event.get("delta"), event.get("item_id")
        if not isinstance(delta, str):
            return
        if kind == _TEXT:
            self._text.append(delta)
        elif kind == _REFUSAL:
            self._refused = True
        elif kind in _ARGUMENTS and isinstance(number, str):
            self._arguments.setdefault(number, []).append(delta)

    def body(self) -> dict[str, Any]:
        """As it would have come in one piece."""
        body = {"object": "response", **self._stated}
        if self._error is not None and not body.get("error"):
            body["error"] = self._error
        if not as_array(body.get("output")):
            body["output"] = self._pieces()
        return body

    def _pieces(self) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"type": "output_text", "text": "".join(self._text)}] if self._text else []
        parts += [{"type": "refusal"}] if self._refused else []
        calls = [{**item, "arguments": "".join(self._arguments.get(key, ()))} for key, item in self._calls.items()]
        return [{"type": "message", "content": parts}, *calls]
