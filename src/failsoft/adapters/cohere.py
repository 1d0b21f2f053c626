"""Cohere's chat, version 2; what version 1 answered is understood as well.

``structured`` says how the schema is asked for:

    native   ``response_format`` of type ``json_object`` with ``json_schema``
    tool     one strict tool; any must be called, and there's no other
    json     ``json_object``, the schema told in words, without which it may write to the token limit
    prompt   the schema told in words, nothing else

No reply names a model: the served one is unknown, and a pin can't be checked. ``usage.tokens`` counts what the model read
and wrote, ``billed_units`` what's paid for, which may be a hundredth. Errors have no code: the status decides, and
a few texts only name what it means (`BY_TEXT`). Sources: 52 recorded replies, https://docs.cohere.com/reference/chat,
https://docs.cohere.com/reference/errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from failsoft.adapters.access import Access
from failsoft.adapters.base import as_array, as_object, as_text, media_type
from failsoft.adapters.cohere_reply import CoherePulse, Events, LineEvents, lines_of, read_v1, read_v2
from failsoft.adapters.event_reading import take_each
from failsoft.adapters.event_stream import events
from failsoft.adapters.json_schema import strict_schema
from failsoft.adapters.reading import Reading
from failsoft.adapters.request_parts import (
    cannot_show,
    data_url,
    members_of,
    schema_in_words,
    tool_description,
    tool_name,
)
from failsoft.adapters.status import fault_of_status
from failsoft.adapters.stream_start import UNSAID, unlisted
from failsoft.adapters.ways import ChatWays, Way
from failsoft.core.effects import AnswerSchema, HttpReply
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Served
from failsoft.prompt import Content, Image

_K = FaultKind

_OWN = frozenset(
    {"model", "messages", "stream", "response_format", "tools", "tool_choice", "strict_tools", "documents"}
)
_LINES = "application/stream+json"
_OF_LINES = b'"event_type"'

BY_TEXT: tuple[tuple[int, re.Pattern[str], FaultKind], ...] = (
    (404, re.compile(r"model '[^']{1,200}' was removed\b"), _K.MODEL_NOT_FOUND),
    (400, re.compile(r"too many tokens\b"), _K.CONTEXT_TOO_LONG),
    (429, re.compile(r"[^.]{0,120}\b[0-9,]{1,12} API calls (?:/|per) month\b", re.IGNORECASE), _K.QUOTA_SPENT),
)
"""Status, how the message begins, and what it's called then. What stops more than the pin isn't certain by its text."""


class Cohere(ChatWays):
    """The codec of one model.

    Args:
        access: how to get at it.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    names = MappingProxyType({"seed": "seed", "max_tokens": "max_tokens", "stop": "stop_sequences"})

    path = "/chat"
    pulse = CoherePulse
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
        raise cannot_show(part)  # its own documents are texts, and exclude a response format

    # --- reading ------------------------------------------------------------------------------------------------------

    def parse(self, reply: HttpReply) -> Reading:
        """What the reply says; also where it's lines of JSON, as version 1 streamed."""
        told = _lines_in(reply)
        if told is not None:
            found = LineEvents()
            fault = take_each(lines_of(told), found.take)
            return self._struck(self._ended(found, fault, read_v1(found.body(), forced=self._forced)))
        return super().parse(reply)

    @property
    def _forced(self) -> bool:
        return self._request.structured == "tool"

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What a reply's JSON object means."""
        if reply.status != 200 or isinstance(body.get("message"), str):
            return Reading(Served(None, request_id=as_text(body.get("id"))), self.fault_of(reply, body))
        if isinstance(body.get("message"), dict):
            return read_v2(body, forced=self._forced)
        if "text" in body and ("generation_id" in body or "response_id" in body):
            return read_v1(body, forced=self._forced)
        generations = [as_object(each) for each in as_array(body.get("generations"))]  # before there were chats
        if generations:
            reading = read_v1({"generation_id": body.get("id"), **body, **generations[0]}, forced=False)
            if len(generations) > 1:
                reading.fault = Fault(_K.AMBIGUOUS_REPLY, "more than one answer where one was asked for", 200)
            return reading
        return Reading(Served(), Fault(_K.NOT_AN_ANSWER, "another kind of object than a chat's", 200))

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means: ``{"id", "message"}``, without a code."""
        status, text = reply.status, as_text(body.get("message")) or ""
        named = next((kind for code, begins, kind in BY_TEXT if code == status and begins.match(text)), None)
        if named is not None:
            return Fault(named, "named by its text", status, certain=named is not _K.QUOTA_SPENT)
        if status == 498:  # an invalid token here, another thing elsewhere
            return Fault(_K.UNAUTHENTICATED, "an invalid token", status)
        fault = fault_of_status(
            status if status != 200 else 500, "the status alone says it", told_to_wait="retry-after" in reply.headers
        )
        fault.status = status
        return fault

    def read_stream(self, reply: HttpReply) -> Reading:
        """What a whole stream means."""
        found = Events()
        fault = take_each(events(reply.body), found.take)
        return self._ended(found, fault, read_v2(found.body(), forced=self._forced))

    def _ended(self, found: Events | LineEvents, fault: Fault | None, reading: Reading) -> Reading:
        reading.fault = fault or found.ended() or reading.fault
        return reading


def codec(access: Access) -> Cohere:
    """The codec of `access`: what `failsoft.providers` names."""
    return Cohere(access)


def _lines_in(reply: HttpReply) -> bytes | None:
    """The lines of JSON that a reply of version 1 is; None where it's something else. Their type may be missing."""
    kind, start = media_type(reply.headers), reply.body[:256].lstrip()
    if reply.status != 200 or (kind != _LINES and (kind not in UNSAID or _OF_LINES not in start)):
        return None
    return unlisted(reply.body, _LINES) or reply.body if start[:1] == b"[" else reply.body


def _native(answer: AnswerSchema) -> bytes:
    schema = strict_schema(answer.schema, frozenset())
    return members_of(response_format={"type": "json_object", "json_schema": schema})


def _tool(answer: AnswerSchema) -> bytes:
    function = {
        "name": tool_name(answer),
        "description": tool_description(answer),
        "parameters": strict_schema(answer.schema, frozenset()),
    }
    return members_of(tools=[{"type": "function", "function": function}], tool_choice="REQUIRED", strict_tools=True)


_SCHEMAS: dict[str, Way] = {
    "native": _native,
    "tool": _tool,
    "json": schema_in_words,
    "prompt": schema_in_words,
}
