"""A streamed chat completion, put together: its chunks become the one reply that wouldn't have been streamed.

Theory of operation
-------------------

`assemble` reads the events of a whole body, in order, and makes one ``chat.completion`` of them, which is then read like any
other reply. What a stream can get wrong beside that is decided here:

1. The end is stated, or the stream was cut (`Ending`): a body whose framing is whole may still be half an answer, since
   servers end a stream properly when what made it has died.
2. An error event ends the answer: its own code says what it means. One that follows a cut at the token limit only
   explains it.
3. Every chunk is of the same answer: one choice, one id, and nothing said behind the finish. What has gaps, comes twice or
   is of another answer isn't guessed at. Where there are several choices the first one is kept whole beside that fault.
4. Names come once: the first model that isn't empty is the one that served (Azure's first chunk states an empty one). So do
   the names of tools that are called, while their arguments come in pieces.
5. What isn't known is passed over: other types of events, other kinds of objects, chunks without choices.

`ChatPulse` hears the same events as they come, and says which mean that the answer goes on: text, reasoning, a refusal, a
tool call, a finish, usage, an error. A role, an empty text, a list of no choices are none: servers send them while they
wait. Of a stream that's more than any answer it says so at once: nothing is gained by reading it to its end, and putting
it together would hold up whoever else is on the event loop.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define, field, frozen

from failsoft.adapters.base import as_array, as_object
from failsoft.adapters.event_reading import Refused, take_each
from failsoft.adapters.event_stream import Event, EventPulse, events
from failsoft.adapters.streaming import Ending
from failsoft.adapters.strict_json import WHITE_SPACE, loads_text
from failsoft.fault import Fault, FaultKind

DONE = "[DONE]"
CUT = ("length", "max_tokens", "model_length")
"""Reasons to finish that mean: not finished. A tuple: what a server sends there needn't be hashable."""

_HEARD = ("", "message", "error")
# Perplexity's last one is "done".
_CHUNKS = ("chat.completion.chunk", "chat.completion.done", "text_completion", "", None)
_NAMES = ("model", "system_fingerprint", "x_groq", "provider")


# --- listening --------------------------------------------------------------------------------------------------------


class ChatPulse(EventPulse):
    """Hears one streamed chat completion."""

    __slots__ = ()

    def is_meaningful(self, kind: str, data: str) -> bool:
        """Does an event mean that the answer goes on?"""
        if kind not in _HEARD:
            return False
        try:
            chunk = as_object(json.loads(data))
        except (ValueError, RecursionError):
            return data == DONE
        return bool(chunk.get("error") or chunk.get("usage")) or any(map(_says, as_array(chunk.get("choices"))))


def _says(stated: object) -> bool:
    choice = as_object(stated)
    delta = as_object(choice.get("delta"))
    return bool(
        choice.get("finish_reason") or choice.get("text") or any(delta[name] for name in delta if name != "role")
    )


# --- putting together -------------------------------------------------------------------------------------------------


@define(eq=False)
class Calls:
    """Calls of tools, put together of their pieces: a name and a number come once, arguments in many."""

    _names: dict[object, dict[str, Any]] = field(factory=dict[object, dict[str, Any]])
    _pieces: dict[object, list[str]] = field(factory=dict[object, list[str]])
    _last: object = None

    def add(self, piece: dict[str, Any]) -> None:
        """One more piece, of the call with its index; without one: of a new call where it has a number, else of the last."""
        index, number = piece.get("index"), piece.get("id")
        if type(index) is not int:
            index = number if isinstance(number, str) and number else self._last
        self._last = index
        function = as_object(piece.get("function")) or as_object(piece.get("custom"))
        call, pieces = self._names.setdefault(index, {}), self._pieces.setdefault(index, [])
        for name, value in (("id", number), ("name", function.get("name"))):
            if value:
                call.setdefault(name, value)
        arguments = function["arguments"] if "arguments" in function else function.get("input")
        if isinstance(arguments, str):
            pieces.append(arguments)
        elif arguments is not None:
            pieces.append(json.dumps(arguments, ensure_ascii=False))

    def whole(self) -> list[dict[str, Any]]:
        """As they would have come in one piece."""
        return [
            {"id": call.get("id"), "function": {"name": call.get("name"), "arguments": "".join(self._pieces[index])}}
            for index, call in self._names.items()
        ]


@frozen(eq=False)
class Assembled:
    """What a stream held.

    Args:
        body: the chat completion, as far as it came.
        fault: why it's no whole one; None where it is.
    """

    body: dict[str, Any]
    fault: Fault | None


def assemble(stream: bytes, end: Ending) -> Assembled:
    """One chat completion of a whole event stream. Never raises."""
    answer = _Answer()
    fault = take_each((event for event in events(stream) if event.kind in _HEARD), answer.hear)
    return Assembled(answer.body(), fault or answer.cut(end))


@define(eq=False)
class _Answer:
    """The answer so far."""

    _envelope: dict[str, Any] = field(factory=dict[str, Any])
    _choice: dict[str, Any] = field(factory=dict[str, Any])
    _calls: Calls = field(factory=Calls)
    _text: list[str] = field(factory=list[str])
    _refusal: list[str] = field(factory=list[str])
    _done: bool = False
    _others: bool = False

    def hear(self, event: Event) -> None:
        """One event that isn't of an unknown type."""
        kind, data = event.kind, event.data.strip(WHITE_SPACE)
        if self._done:
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "events behind the stream's end")
        if data == DONE:
            self._done = True
            return
        chunk = as_object(loads_text(data))
        if kind == "error" and not chunk.get("error"):
            chunk = {"error": chunk or True}
        if chunk.get("object") not in _CHUNKS:
            return
        self._name(chunk)
        choices = as_array(chunk.get("choices"))
        if choices:
            firsts = [each for each in map(as_object, choices) if each.get("index") in (0, None)]
            self._others = self._others or len(choices) > 1 or not firsts
            if firsts:
                self._choose(firsts[0])
        if chunk.get("error") and self._choice.get("finish_reason") not in CUT:
            self._envelope |= {name: chunk[name] for name in ("error", "code", "type") if name in chunk}

    def _name(self, chunk: dict[str, Any]) -> None:
        """Whose answer it is, and what it used."""
        envelope, number = self._envelope, chunk.get("id")
        if number and envelope.setdefault("id", number) != number:
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "chunks of two answers")
        for name in _NAMES:
            if chunk.get(name) and name not in envelope:
                envelope[name] = chunk[name]
        usage = chunk.get("usage") or as_object(chunk.get("x_groq")).get("usage")
        if usage:
            envelope["usage"] = usage

    def _choose(self, choice: dict[str, Any]) -> None:
        """The next piece of the first choice."""
        delta = as_object(choice.get("delta"))
        spoken = as_object(delta.get("audio")).get("transcript")
        text = _texts(delta.get("content")) or _texts(choice.get("text")) or _texts(spoken)
        refusal = _texts(delta.get("refusal"))
        calls = [as_object(each) for each in as_array(delta.get("tool_calls"))]
        if delta.get("function_call"):  # before there were tools
            calls.append({"index": 0, "function": delta["function_call"]})
        if (text or refusal or calls) and self._choice.get("finish_reason"):
            raise Refused(FaultKind.AMBIGUOUS_REPLY, "text behind the answer's end")
        self._text += text
        self._refusal += refusal
        for call in calls:
            self._calls.add(call)
        for name in ("finish_reason", "native_finish_reason", "error"):
            if choice.get(name):
                self._choice[name] = choice[name]
        self._choice.setdefault("index", 0)

    def cut(self, end: Ending) -> Fault | None:
        """The stream has ended: mayn't it?"""
        if self._envelope.get("error") or self._choice.get("error"):
            return None
        if self._others:
            return Fault(FaultKind.AMBIGUOUS_REPLY, "more than one choice", 200)
        finished = bool(self._choice.get("finish_reason"))
        if (finished or end is Ending.DONE) and (self._done or end is Ending.FINISH):
            return None
        return Fault(FaultKind.TRUNCATED_STREAM, "the stream ended before its answer did", 200)

    def body(self) -> dict[str, Any]:
        """As it would have come in one piece."""
        message = {"content": "".join(self._text), "refusal": "".join(self._refusal), "tool_calls": self._calls.whole()}
        choices = [{**self._choice, "message": message}] if self._choice else []
        return {**self._envelope, "object": "chat.completion", "choices": choices}


def _texts(content: object) -> list[str]:
    """The pieces of text in a delta's content; thoughts, which some put beside them, are none."""
    if isinstance(content, list):
        return [
            text
            for part in map(as_object, as_array(content))
            if part.get("type") == "text"
            for text in _texts(part.get("text"))
        ]
    if content is None or content == "":
        return []
    if not isinstance(content, str):
        raise Refused(FaultKind.MALFORMED_REPLY, "a piece of text that is none")
    return [content]
