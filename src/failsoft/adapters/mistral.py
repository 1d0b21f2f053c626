"""Mistral's chat completions: OpenAI's shape with other names, reasons and errors.

``random_seed`` is the seed, a content may be a list with thoughts in it, ``error`` and ``model_length`` are reasons why an
answer ended, and errors come in three shapes. ``structured`` says how the schema is asked for:

    native   ``response_format`` of type ``json_schema``, strict
    tool     one function, which the model must call
    json     ``json_object``, the schema told in words, which this needs
    prompt   the schema told in words, nothing else

A reply's model is the name that was asked for, ``-latest`` too: it counts as echoed, unless it's another. Sources: 49
recorded replies, https://docs.mistral.ai/api, https://docs.mistral.ai/resources/error-glossary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from failsoft.adapters.access import Access
from failsoft.adapters.base import as_array, as_object, as_text, json_text
from failsoft.adapters.json_schema import strict_schema
from failsoft.adapters.openai_reply import tokens_of
from failsoft.adapters.openai_stream import ChatPulse, assemble
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.request_parts import (
    cannot_show,
    data_url,
    members_of,
    schema_in_words,
    tool_description,
    tool_name,
)
from failsoft.adapters.status import fault_of_status
from failsoft.adapters.ways import ChatWays, Way
from failsoft.core.effects import AnswerSchema, HttpReply
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Served
from failsoft.prompt import Content, Image

_K = FaultKind

_OWN = frozenset({"model", "messages", "response_format", "stream", "n", "tools", "tool_choice", "parallel_tool_calls"})

FINISH: Mapping[str, FaultKind] = {
    "length": _K.TRUNCATED,
    "model_length": _K.TRUNCATED,
    "error": _K.SERVER_ERROR,
}
"""Reasons that aren't an answer; ``stop`` is, ``tool_calls`` is decided by the calls. One that's in none of them is none."""

BY_CODE: Mapping[str, FaultKind] = {
    "rate_limited": _K.RATE_LIMITED,
    "1300": _K.RATE_LIMITED,
    "invalid_model": _K.MODEL_NOT_FOUND,  # with status 400
    "1500": _K.MODEL_NOT_FOUND,
    "service_tier_capacity_exceeded": _K.OVERLOADED,
    "3505": _K.OVERLOADED,
}
"""Of ``type`` and ``code``, which is a number written as text."""

_INVALID = "3051"  # arguments of any kind: only the text tells a prompt that's too long from an image that isn't taken
_TOO_LONG = re.compile(
    r"Prompt contains \d{1,12} tokens\b.{0,60}\btoo large for model with \d{1,12} maximum context length"
)


class Mistral(ChatWays):
    """The codec of one model.

    Args:
        access: how to get at it.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    names = MappingProxyType({"seed": "random_seed", "max_tokens": "max_tokens", "stop": "stop"})

    path = "/chat/completions"
    pulse = ChatPulse
    own = _OWN

    # --- asking -------------------------------------------------------------------------------------------------------

    def ways(self) -> Mapping[str, Way]:
        """How a schema can be asked for here."""
        return _SCHEMAS

    def part_of(self, part: Content) -> dict[str, Any]:
        """A part of a content. Raises CannotAsk where it isn't taken."""
        if isinstance(part, str):
            return {"type": "text", "text": part}
        if isinstance(part, Image):
            return {"type": "image_url", "image_url": {"url": data_url(part)}}
        if part.media_type != "application/pdf":
            raise cannot_show(part)
        return {"type": "document_url", "document_url": data_url(part), "document_name": part.name}

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What a reply's JSON object means."""
        reading = Reading(self._served(reply, body), tokens=tokens_of(as_object(body.get("usage"))))
        if reply.status != 200 or body.get("error") or body.get("object") == "error":
            reading.fault = self.fault_of(reply, body)
            return reading
        if body.get("object") != "chat.completion" and (body.get("object") or "choices" not in body):
            reading.fault = Fault(_K.NOT_AN_ANSWER, "another kind of object than a chat completion", 200)
            return reading
        choices = as_array(body.get("choices"))
        choice = as_object(choices[0] if choices else None)
        message = as_object(choice.get("message"))
        reading.text = _text(message.get("content"))
        reading.calls = tuple(_call(as_object(each)) for each in as_array(message.get("tool_calls")))
        reading.finish = as_text(choice.get("finish_reason"))
        if len(choices) != 1:
            kind = _K.AMBIGUOUS_REPLY if choices else _K.EMPTY_REPLY
            reading.fault = Fault(kind, f"{len(choices)} choices where one was asked for", 200)
        else:
            reading.fault = self._fault_of(reading)
        if reading.fault is None and reading.calls:
            reading.answer = reading.calls[0].arguments
        return reading

    def _fault_of(self, reading: Reading) -> Fault | None:
        """Why one choice is no answer."""
        finish = reading.finish or ""
        if finish in FINISH:
            return Fault(FINISH[finish], f"it ended with {finish}", 200)
        if finish not in ("stop", "tool_calls"):
            return Fault(_K.MALFORMED_REPLY, "an unknown reason why it ended", 200)
        forced = self._request.structured == "tool" and len(reading.calls) == 1
        if (reading.calls or finish == "tool_calls") and not forced:
            return Fault(_K.AMBIGUOUS_REPLY, "a tool call where an answer was asked for", 200)
        if not reading.calls and not reading.text.strip():
            return Fault(_K.EMPTY_REPLY, "no text", 200)
        return None

    def _served(self, reply: HttpReply, body: dict[str, Any]) -> Served:
        model = as_text(body.get("model"))
        grade = Grade.UNKNOWN if model is None else Grade.ECHOED if model == self._access.model else Grade.PROVIDER
        number = as_text(reply.headers.get("mistral-correlation-id")) or as_text(body.get("id"))
        return Served(model, grade, None, number)

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means: by ``code`` or ``type``; else by its status, of which ``{"detail": …}`` says no more."""
        error = as_object(body.get("error")) or body
        codes = (error.get("code"), error.get("type"))
        if str(codes[0]) == _INVALID and _TOO_LONG.match(as_text(error.get("message")) or ""):
            return Fault(_K.CONTEXT_TOO_LONG, "the prompt is too long", reply.status)
        known = next((BY_CODE[each] for each in map(as_text, codes) if each is not None and each in BY_CODE), None)
        if known is not None:
            fault = Fault(known, "a known code")
        else:
            told_to_wait = "retry-after" in reply.headers
            status = reply.status if reply.status != 200 else 500
            fault = fault_of_status(status, "an error without a known code", told_to_wait=told_to_wait)
        fault.status = reply.status
        if reply.status == 401 and "mistral-correlation-id" in reply.headers:  # no proxy says it, but Mistral
            fault.certain = True
        return fault

    def read_stream(self, reply: HttpReply) -> Reading:
        """What a whole stream means."""
        assert self.streaming is not None
        found = assemble(reply.body, self.streaming.end)
        reading = self.read(reply, found.body)
        reading.fault = found.fault or reading.fault
        return reading


def codec(access: Access) -> Mistral:
    """The codec of `access`: what `failsoft.providers` names."""
    return Mistral(access)


def _text(content: object) -> str:
    """The text; in a list, its text parts joined. Thoughts and references are none."""
    if isinstance(content, str):
        return content
    parts = map(as_object, as_array(content))
    texts = (each.get("text") for each in parts if each.get("type") == "text")
    return "".join(each for each in texts if isinstance(each, str))


def _call(call: dict[str, Any]) -> ToolCall:
    function = as_object(call.get("function"))
    arguments: object = function.get("arguments")
    stated = arguments if isinstance(arguments, str) else json_text(arguments or {})
    return ToolCall(as_text(function.get("name")) or "", stated or "{}", as_text(call.get("id")))


def _native(answer: AnswerSchema) -> bytes:
    schema = {"name": tool_name(answer), "schema": strict_schema(answer.schema, frozenset()), "strict": True}
    return members_of(response_format={"type": "json_schema", "json_schema": schema})


def _tool(answer: AnswerSchema) -> bytes:
    function = {
        "name": tool_name(answer),
        "description": tool_description(answer),
        "parameters": strict_schema(answer.schema, frozenset()),
        "strict": True,
    }
    return members_of(
        tools=[{"type": "function", "function": function}],
        tool_choice={"type": "function", "function": {"name": function["name"]}},
        parallel_tool_calls=False,
    )


_SCHEMAS: dict[str, Way] = {
    "native": _native,
    "tool": _tool,
    "json": schema_in_words,
    "prompt": schema_in_words,
}
