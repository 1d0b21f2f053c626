"""What a response holds (OpenAI's interface of that name): many items, of which the messages are what was said.

``object`` is looked at first: deleted responses, counts of tokens and compacted conversations come under the same path. Then
an error, the status, a refusal, a call of a tool, and the text. Reasoning is none of the text, and neither is what a message
says on the way (``phase`` commentary), where another says the answer.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from failsoft.adapters.base import as_array, as_count, as_object, as_text
from failsoft.adapters.openai_errors import fault_of_error
from failsoft.adapters.openai_reply import arguments_of, fault_of_calls
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.core.effects import HttpReply, Tokens
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Served

_K = FaultKind

_OURS_TO_RUN = (
    *("function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call"),
    *("apply_patch_call", "mcp_approval_request"),
)
"""Items that wait for whoever asked; other calls were run by the provider."""

_BY_STATUS = {
    "in_progress": (_K.NOT_AN_ANSWER, "a response that is still being made"),
    "queued": (_K.NOT_AN_ANSWER, "a response that is still being made"),
    "cancelled": (_K.SERVER_ERROR, "the provider cancelled it"),
}


@define(eq=False)
class _Output:
    """What the items say."""

    texts: list[str] = field(factory=list[str])
    asides: list[str] = field(factory=list[str])
    calls: list[ToolCall] = field(factory=list[ToolCall])
    refused: bool = False
    called: bool = False

    def take(self, item: dict[str, Any]) -> None:
        kind = item.get("type")
        if kind == "message":
            said = self.asides if item.get("phase") == "commentary" else self.texts
            for part in map(as_object, as_array(item.get("content"))):
                text = part.get("text")
                if part.get("type") == "refusal":
                    self.refused = True
                elif part.get("type") == "output_text" and isinstance(text, str):
                    said.append(text)
        elif kind in _OURS_TO_RUN:
            self.called = True
            if (name := as_text(item.get("name"))) is not None:
                stated = item["arguments"] if "arguments" in item else item.get("input")
                self.calls.append(ToolCall(name, arguments_of(stated), as_text(item.get("call_id") or item.get("id"))))


def read_response(reply: HttpReply, body: dict[str, Any], served: Served, tool: str | None) -> Reading:
    """What a response says.

    Args:
        reply: as it came.
        body: its JSON object.
        served: who gave it.
        tool: the tool whose arguments are the answer; None where there's none.
    """
    output, status = _Output(), body.get("status")
    if body.get("object") == "response":
        for item in map(as_object, as_array(body.get("output"))):
            output.take(item)
    reason = as_object(body.get("incomplete_details")).get("reason")
    reading = Reading(
        served,
        text="".join(output.texts or output.asides),
        calls=tuple(output.calls),
        finish=as_text(reason) or as_text(status),
        tokens=_tokens_of(as_object(body.get("usage"))),
    )
    reading.fault = _fault(reply, body, output, reason) or _fault_of_output(reply, output, reading, tool)
    return reading


def _fault(reply: HttpReply, body: dict[str, Any], output: _Output, reason: object) -> Fault | None:
    """Why it's no whole response; None where it is one."""
    status = body.get("status")
    if reply.status != 200 or body.get("error") or status == "failed":
        return fault_of_error(reply, body)
    if body.get("object") != "response":
        return Fault(_K.NOT_AN_ANSWER, "another kind of object than a response", reply.status)
    if status == "completed":
        return None
    if reason == "content_filter":
        return Fault(_K.FILTERED, "a content filter", reply.status)
    if status == "incomplete":
        kind = _K.REFUSED if output.refused else _K.TRUNCATED
        return Fault(kind, "the answer was cut before its end", reply.status)
    kind, detail = _BY_STATUS.get(as_text(status) or "", (_K.AMBIGUOUS_REPLY, "no status that is known"))
    return Fault(kind, detail, reply.status)


def _fault_of_output(reply: HttpReply, output: _Output, reading: Reading, tool: str | None) -> Fault | None:
    if output.refused:
        return Fault(_K.REFUSED, "the model refused", reply.status)
    if output.called:
        return fault_of_calls(reading, tool, reply.status)
    if not reading.text.strip():
        return Fault(_K.EMPTY_REPLY, "no text", reply.status)
    return None


def _tokens_of(usage: dict[str, Any]) -> Tokens | None:
    asked, written = as_count(usage.get("input_tokens")), as_count(usage.get("output_tokens"))
    return None if asked is None and written is None else Tokens(asked, written)
