"""What a chat completion holds, piece by piece: its JSON, its one choice's text, who made it and what it used."""

from __future__ import annotations

from typing import Any

from failsoft.adapters.base import as_array, as_count, as_object, as_text, media_type
from failsoft.adapters.openai_errors import fault_of_error
from failsoft.adapters.openai_stream import CUT
from failsoft.adapters.strict_json import WHITE_SPACE, StrictJsonError, decoded, loads_text
from failsoft.core.effects import HttpReply, Tokens
from failsoft.fault import Fault, FaultKind

_REQUEST_IDS = ("x-request-id", "x-generation-id", "apim-request-id", "x-ds-trace-id")
_USUAL_TYPES = (None, "application/json", "application/json; charset=utf-8")
_JSON_TYPES = ("", "application/json", "text/json", "text/plain")  # some servers say text/plain, some nothing
_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_PAGE_STARTS = (b"<!doctype html", b"<html")
# A tuple: what a server sends there needn't be hashable.
_BROKEN_OFF = ("error", "network_error", "insufficient_system_resource")


def request_id(reply: HttpReply, in_body: object) -> str | None:
    """The provider's number for the request: a header's, else the body's."""
    headers = reply.headers
    for name in _REQUEST_IDS:
        if name in headers:
            return as_text(headers[name])
    return as_text(in_body)


def envelope_of(reply: HttpReply) -> dict[str, Any] | Fault:
    """The JSON object that a reply is, or why it's none."""
    if reply.headers.get("content-type") not in _USUAL_TYPES:
        kind = media_type(reply.headers)
        if kind in _PAGE_TYPES:
            return Fault(FaultKind.WEB_PAGE, "a web page instead of JSON", reply.status)
        if kind not in _JSON_TYPES and not kind.endswith("+json"):
            return Fault(FaultKind.MALFORMED_REPLY, "another media type than JSON", reply.status)
    try:
        body: Any = loads_text(decoded(reply.body).strip(WHITE_SPACE))
    except StrictJsonError as error:
        start = reply.body.lstrip(b" \t\r\n")[:32]  # some send empty lines to keep the connection alive
        if not start:
            return Fault(FaultKind.MALFORMED_REPLY, "an empty body", reply.status)
        if start.lower().startswith(_PAGE_STARTS):
            return Fault(FaultKind.WEB_PAGE, "a web page instead of JSON", reply.status)
        return Fault(FaultKind.MALFORMED_REPLY, str(error), reply.status)
    if body and body.__class__ is dict:
        return body
    return Fault(FaultKind.MALFORMED_REPLY, "JSON, but no object with anything in it", reply.status)


def text_of(reply: HttpReply, body: dict[str, Any]) -> str | Fault:
    """The one choice's text, or why there is none."""
    status = reply.status
    choices = as_array(body.get("choices"))
    if len(choices) != 1:
        kind = FaultKind.AMBIGUOUS_REPLY if choices else FaultKind.EMPTY_REPLY
        return Fault(kind, f"{len(choices)} choices where one was asked for", status)
    choice = as_object(choices[0])
    message = as_object(choice.get("message"))
    finish = choice.get("finish_reason")
    if choice.get("error"):
        return fault_of_error(reply, choice)
    if finish in _BROKEN_OFF or choice.get("native_finish_reason") in _BROKEN_OFF:
        return Fault(FaultKind.SERVER_ERROR, "the provider broke off", status)
    if finish == "content_filter":
        return Fault(FaultKind.FILTERED, "a content filter", status)
    if message.get("refusal"):
        return Fault(FaultKind.REFUSED, "the model refused", status)
    if message.get("tool_calls") or message.get("function_call"):
        return Fault(FaultKind.AMBIGUOUS_REPLY, "a tool call where an answer was asked for", status)
    if finish in CUT:
        return Fault(FaultKind.TRUNCATED, "the answer was cut at its token cap", status)
    content: object = message.get("content")
    if isinstance(content, list):
        content = _only_text_part(as_array(message.get("content")))
    if not isinstance(content, str) or not content.strip():
        return Fault(FaultKind.EMPTY_REPLY, "no text", status)
    return content


def _only_text_part(parts: list[object]) -> str | None:
    """Reasoning parts aside, a content in parts is an answer where one part is text."""
    texts = [part.get("text") for part in map(as_object, parts) if part.get("type") == "text"]
    return texts[0] if len(texts) == 1 else None


def tokens_of(usage: dict[str, Any]) -> Tokens | None:
    """What was used. xAI leaves reasoning out of the completion's count, and only the total holds it."""
    asked, written = as_count(usage.get("prompt_tokens")), as_count(usage.get("completion_tokens"))
    if asked is None and written is None:
        return None
    total = as_count(usage.get("total_tokens"))
    if asked is not None and written is not None and total is not None and total > asked + written:
        written = total - asked
    return Tokens(asked, written)
