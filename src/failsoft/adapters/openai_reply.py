"""What a chat completion holds, piece by piece: its JSON, its one choice, who made it and what it used.

Whatever is wrong with a completion, what it said is read first: the fault stands beside it. What decides, in this order: an
error, wherever it hides; another object than a completion; more than one choice; a break, a filter, a refusal; a call of a
tool; a cut; and only then whether there is a text, and a reason to finish that's known.
"""

from __future__ import annotations

import json
from typing import Any

from failsoft.adapters.base import MAX_TEXT, as_array, as_count, as_object, as_text, media_type
from failsoft.adapters.openai_errors import fault_of_error
from failsoft.adapters.openai_stream import CUT
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.strict_json import WHITE_SPACE, StrictJsonError, decoded, loads_text
from failsoft.core.effects import HttpReply, Tokens
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Served

_REQUEST_IDS = ("x-request-id", "x-generation-id", "apim-request-id", "x-ds-trace-id")
_USUAL_TYPES = (None, "application/json", "application/json; charset=utf-8")
_JSON_TYPES = ("", "application/json", "text/json", "text/plain")  # some servers say text/plain, some nothing
_STREAM_TYPES = ("text/event-stream", "application/x-ndjson", "application/stream+json")  # some leave it on one object
_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_PAGE_STARTS = (b"<!doctype html", b"<html")
_COMPLETIONS = ("chat.completion", "text_completion", "text.completion")
# Nova's are in the second, gpt-oss's at Bedrock in the third.
_THOUGHTS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"))
_ANSWER_STARTS = ("{", "[", '"')
# Tuples: what a server sends there needn't be hashable.
_BROKEN_OFF = ("error", "network_error", "insufficient_system_resource")
_CALLED = ("tool_calls", "function_call", "tool_use")
_ENDED = ("stop", "eos", "end_turn", "stop_sequence", "", None)  # Snowflake states none


def request_id(reply: HttpReply, in_body: Any) -> str | None:
    """The provider's number for the request: a header's, else the body's."""
    headers = reply.headers
    for name in _REQUEST_IDS:
        if name in headers:
            return as_text(headers[name])
    return in_body[:MAX_TEXT] if in_body.__class__ is str and in_body else None


def upstream(body: dict[str, Any]) -> str | None:
    """Who a gateway says was behind it: with an answer, or with an error of that one's (OpenRouter's page on errors)."""
    error = as_object(body.get("error"))
    return as_text(body.get("provider")) or as_text(as_object(error.get("metadata")).get("provider_name"))


def envelope_of(reply: HttpReply, *, streams: bool = False) -> dict[str, Any] | Fault:
    """The JSON object that a reply is, or why it's none.

    Args:
        reply: as it came.
        streams: might it be a stream? Then an object may have come under a stream's type.
    """
    if reply.headers.get("content-type") not in _USUAL_TYPES:
        kind = media_type(reply.headers)
        if kind in _PAGE_TYPES:
            return Fault(FaultKind.WEB_PAGE, "a web page instead of JSON", reply.status)
        whole = streams and kind in _STREAM_TYPES and reply.body[:64].lstrip()[:1] == b"{"
        if kind not in _JSON_TYPES and not kind.endswith("+json") and not whole:
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


def read_completion(reply: HttpReply, body: dict[str, Any], served: Served, tool: str | None) -> Reading:
    """What a completion says.

    Args:
        reply: as it came.
        body: its JSON object.
        served: who gave it.
        tool: the tool whose arguments are the answer; None where there's none.
    """
    choices = as_array(body.get("choices"))
    choice = as_object(choices[0]) if choices else {}
    message = as_object(choice.get("message"))
    said = message.get("content") if message else choice.get("text")
    said = said or as_object(message.get("audio")).get("transcript")
    reading = Reading(
        served,
        text=text_of(said),
        calls=calls_of(message),
        finish=as_text(choice.get("finish_reason")),
        tokens=tokens_of(as_object(body.get("usage"))),
    )
    if reply.status != 200 or body.get("error") or body.get("object") == "error":  # vLLM's own object
        reading.fault = fault_of_error(reply, body)
    elif (stated := body.get("object")) not in (*_COMPLETIONS, None, "") or not (stated or "choices" in body):
        reading.fault = Fault(FaultKind.NOT_AN_ANSWER, "another kind of object than a completion", reply.status)
    elif len(choices) != 1:
        kind = FaultKind.AMBIGUOUS_REPLY if choices else FaultKind.EMPTY_REPLY
        reading.fault = Fault(kind, f"{len(choices)} choices where one was asked for", reply.status)
    else:
        reading.fault = _fault_of_choice(reply, choice, message, reading, tool)
        if reading.answer is None:
            reading.answer = behind_thoughts(reading.text)
    return reading


def _fault_of_choice(
    reply: HttpReply, choice: dict[str, Any], message: dict[str, Any], reading: Reading, tool: str | None
) -> Fault | None:
    status, finish = reply.status, choice.get("finish_reason")
    if choice.get("error"):
        return fault_of_error(reply, choice)
    if finish in _BROKEN_OFF or choice.get("native_finish_reason") in _BROKEN_OFF:
        return Fault(FaultKind.SERVER_ERROR, "the provider broke off", status)
    if finish == "content_filter":
        return Fault(FaultKind.FILTERED, "a content filter", status)
    if message.get("refusal"):
        return Fault(FaultKind.REFUSED, "the model refused", status)
    if finish in CUT:
        return Fault(FaultKind.TRUNCATED, "the answer was cut at its token cap", status)
    called = bool(
        message.get("tool_calls") or as_object(message.get("function_call")).get("name")
    )  # Snowflake: "" is none
    if called and (fault := fault_of_calls(reading, tool, status)):
        return fault
    if not called and not reading.text.strip():
        return Fault(FaultKind.EMPTY_REPLY, "no text", status)
    if finish not in _ENDED and not (called and finish in _CALLED):
        return Fault(FaultKind.AMBIGUOUS_REPLY, "no reason to finish that is known", status)
    return None


def fault_of_calls(reading: Reading, tool: str | None, status: int) -> Fault | None:
    """What calls of tools mean: one of the tool that had to be called is the answer, which is then noted."""
    if tool is not None and [each.name for each in reading.calls] == [tool]:
        reading.answer = reading.calls[0].arguments
        return None
    return Fault(FaultKind.AMBIGUOUS_REPLY, "a tool call where an answer was asked for", status)


def text_of(content: object) -> str:
    """A message's text, the parts joined; reasoning parts are none of it."""
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in map(as_object, as_array(content)) if part.get("type") == "text")
    return "".join(each for each in texts if isinstance(each, str))


def behind_thoughts(text: str) -> str | None:
    """What is said behind thoughts that a server left in the text, in tags; None where there are none.

    Where a chat's template ends with the opening tag, the text has the closing one only.
    """
    start = text.lstrip()
    for opening, closing in _THOUGHTS:
        if start.startswith(opening):
            _, end, rest = start.partition(closing)
            return rest if end else None
    if start[:1] in _ANSWER_STARTS:
        return None
    _, end, rest = start.partition(_THOUGHTS[0][1])
    return rest if end else None


def arguments_of(stated: object) -> str:
    """A call's arguments as JSON text: most state a text, Ollama an object, some nothing."""
    if isinstance(stated, str):
        return stated or "{}"
    return "{}" if stated is None else json.dumps(stated, ensure_ascii=False)


def calls_of(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    """The calls of tools in a message; one without a name is none."""
    calls = [as_object(each) for each in as_array(message.get("tool_calls"))]
    if message.get("function_call"):  # before there were tools
        calls.append({"function": message["function_call"]})
    made: list[ToolCall] = []
    for call in calls:
        function = as_object(call.get("function")) or as_object(call.get("custom"))
        if (name := as_text(function.get("name"))) is not None:
            stated = function["arguments"] if "arguments" in function else function.get("input")
            made.append(ToolCall(name, arguments_of(stated), as_text(call.get("id"))))
    return tuple(made)


def tokens_of(usage: dict[str, Any]) -> Tokens | None:
    """What was used. xAI leaves reasoning out of the completion's count, and only the total holds it."""
    asked, written = as_count(usage.get("prompt_tokens")), as_count(usage.get("completion_tokens"))
    if asked is None and written is None:
        return None
    total = as_count(usage.get("total_tokens"))
    if asked is not None and written is not None and total is not None and total > asked + written:
        written = total - asked
    return Tokens(asked, written)
