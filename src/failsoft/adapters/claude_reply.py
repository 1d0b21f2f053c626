"""What Claude's reply says: one message of content blocks, from wherever it's served.

``content[0]`` needn't be the text: thinking comes before it, and tools that the provider runs itself stand among it. Blocks
of types that aren't known are passed over. Why it ended is a word of a closed list; another one is no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from failsoft.adapters.base import as_array, as_count, as_object, as_text, whole_text
from failsoft.adapters.ending import arguments_of, judge_ending
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.core.effects import Tokens
from failsoft.fault import FaultKind
from failsoft.outcome import Served

ANSWERED: Final = ("end_turn", "stop_sequence", "tool_use")
"""A tuple: what a server sends there needn't be hashable."""

NOT_ANSWERED: Final[Mapping[str, tuple[FaultKind, str]]] = {
    "max_tokens": (FaultKind.TRUNCATED, "the answer was cut at its token cap"),
    "model_context_window_exceeded": (FaultKind.TRUNCATED, "the answer was cut where the context ended"),
    "pause_turn": (FaultKind.TRUNCATED, "the model paused in the middle of its turn"),
    "refusal": (FaultKind.REFUSED, "the model refused"),
}


def read_message(body: dict[str, Any], served: Served, *, forced: bool) -> Reading:
    """What a message says.

    Args:
        body: an object of the type ``message``.
        served: who gave it.
        forced: was the model made to answer by calling a tool?
    """
    blocks = [as_object(each) for each in as_array(body.get("content"))]
    text = "".join(whole_text(each.get("text")) for each in blocks if each.get("type") == "text")
    calls = tuple(_call(each) for each in blocks if each.get("type") == "tool_use")
    finish = as_text(body.get("stop_reason"))
    reading = Reading(served, None, text, calls, finish, tokens_of(as_object(body.get("usage"))))
    judge_ending(reading, ANSWERED, NOT_ANSWERED, forced=forced)
    return reading


def _call(block: dict[str, Any]) -> ToolCall:
    return ToolCall(as_text(block.get("name")) or "", arguments_of(block.get("input")), as_text(block.get("id")))


def tokens_of(usage: dict[str, Any]) -> Tokens | None:
    """What was used: Anthropic counts what was written to its cache, and read from it, apart from the rest of the input."""
    asked, written = as_count(usage.get("input_tokens")), as_count(usage.get("output_tokens"))
    if asked is None and written is None:
        return None
    if asked is not None:
        for name in ("cache_creation_input_tokens", "cache_read_input_tokens"):
            asked += as_count(usage.get(name)) or 0
    return Tokens(asked, written)
