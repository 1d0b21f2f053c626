"""What a reply's reason to finish and its calls mean, in any dialect that states them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from failsoft.adapters.base import json_text
from failsoft.adapters.reading import Reading
from failsoft.fault import Fault, FaultKind

_TOOL_FINISHES: Final = ("tool_use", "tool_calls", "tool_call")
"""The words of several dialects for: it ended because it calls a tool."""


def judge_ending(
    reading: Reading, answered: Collection[str], not_answered: Mapping[str, tuple[FaultKind, str]], *, forced: bool
) -> None:
    """Say in a reading why it's no answer, or which forced call is it.

    Args:
        reading: what was said; its `fault` and `answer` are set.
        answered: reasons to finish that leave a whole answer, or whole calls.
        not_answered: what others mean.
        forced: was the model made to answer by calling the one tool that it was given?
    """
    finish = reading.finish
    if finish is not None and finish in not_answered:
        reading.fault = Fault(*not_answered[finish], 200)
    elif finish is None or finish not in answered:
        reading.fault = Fault(FaultKind.MALFORMED_REPLY, "an unknown reason why it ended", 200)
    elif forced and len(reading.calls) == 1:
        reading.answer = reading.calls[0].arguments
    elif reading.calls or finish in _TOOL_FINISHES:
        reading.fault = Fault(FaultKind.AMBIGUOUS_REPLY, "a tool call where an answer was asked for", 200)
    elif not reading.text.strip():
        reading.fault = Fault(FaultKind.EMPTY_REPLY, "no text", 200)


def arguments_of(value: object) -> str:
    """A call's arguments as JSON text: an object's, or a text that a stream brought in pieces."""
    if isinstance(value, str):
        return value or "{}"
    return "{}" if value is None else json_text(value)
