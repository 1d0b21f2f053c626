"""What an answer in Converse's shape says: Converse's own, and Nova's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from failsoft.adapters.base import as_array, as_count, as_object, as_text, whole_text
from failsoft.adapters.ending import arguments_of, judge_ending
from failsoft.adapters.openai_reply import behind_thoughts
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.core.effects import Tokens
from failsoft.fault import FaultKind
from failsoft.outcome import Served

_ANSWERED: Final = ("end_turn", "stop_sequence", "tool_use")
_NOT_ANSWERED: Final[Mapping[str, tuple[FaultKind, str]]] = {
    "max_tokens": (FaultKind.TRUNCATED, "the answer was cut at its token cap"),
    "model_context_window_exceeded": (FaultKind.TRUNCATED, "the answer was cut where the context ended"),
    "content_filtered": (FaultKind.FILTERED, "a content filter"),
    "guardrail_intervened": (FaultKind.FILTERED, "a guardrail blocked or masked the answer"),
    "malformed_model_output": (FaultKind.MALFORMED_ANSWER, "the model's output couldn't be read"),
    "malformed_tool_use": (FaultKind.MALFORMED_ANSWER, "the model's call couldn't be read"),
}
_RUN_THERE: Final = "server_tool_use"
"""The type of a call that the provider itself ran (Nova's grounding): nobody else has to."""


def read_converse(body: dict[str, Any], served: Served, *, forced: bool) -> Reading:
    """What it says. Reasoning is no part of the text, but where a model (Nova) writes it there: the answer comes behind it.

    Args:
        body: with ``output``, ``stopReason`` and ``usage``.
        served: who gave it.
        forced: was the model made to answer by calling a tool?
    """
    message = as_object(as_object(body.get("output")).get("message"))
    blocks = [as_object(each) for each in as_array(message.get("content"))]
    used = [as_object(each["toolUse"]) for each in blocks if "toolUse" in each]
    calls = tuple(_call(each) for each in used if each.get("type") != _RUN_THERE)
    reading = Reading(served, None, "".join(map(_text_of, blocks)), calls, as_text(body.get("stopReason")))
    reading.tokens = _tokens_of(as_object(body.get("usage")))
    judge_ending(reading, _ANSWERED, _NOT_ANSWERED, forced=forced)
    if reading.fault is None and reading.answer is None:
        reading.answer = behind_thoughts(reading.text)
    return reading


def _text_of(block: dict[str, Any]) -> str:
    """A text; or one that sources stand beside."""
    cited = as_object(block.get("citationsContent")).get("content")
    return whole_text(block.get("text")) + "".join(whole_text(as_object(each).get("text")) for each in as_array(cited))


def _call(call: dict[str, Any]) -> ToolCall:
    return ToolCall(as_text(call.get("name")) or "", arguments_of(call.get("input")), as_text(call.get("toolUseId")))


def _tokens_of(usage: dict[str, Any]) -> Tokens | None:
    """What was used; what was written to a cache, and read from it, is counted apart from the rest of the input."""
    asked, written = as_count(usage.get("inputTokens")), as_count(usage.get("outputTokens"))
    if asked is None and written is None:
        return None
    if asked is not None:
        for name in ("cacheReadInputToken", "cacheWriteInputToken"):  # Nova itself has only the second spelling
            asked += as_count(usage.get(f"{name}s", usage.get(f"{name}Count"))) or 0
    return Tokens(asked, written)
