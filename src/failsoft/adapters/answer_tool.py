"""How an answer is asked for where a provider can't be held to a schema, as a tool that must be called or in words; and what
a reply's calls and its reason to finish mean then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic_core import to_json

from failsoft.adapters.json_schema import strict_schema
from failsoft.adapters.reading import Reading
from failsoft.core.effects import AnswerSchema
from failsoft.fault import Fault, FaultKind

ANSWER_TOOL = "answer"
"""The tool that a model must call to answer; its arguments are the answer. A name of ours, so that replies can be read
without what was asked."""

TOOL_FINISHES = ("tool_use", "tool_calls", "tool_call")
"""The words of several dialects for: it ended because it calls a tool."""

ANSWER_TOOL_PURPOSE = "Gives the answer. Call it once."


def told_schema(answer: AnswerSchema) -> str:
    """The instruction, for the end of a system message, that describes the answer in words.

    Raises:
        ConfigurationError: the response type can't be said strictly.
    """
    schema = to_json(strict_schema(answer.schema)).decode()
    return (
        "Answer with one JSON document and nothing else: no words around it, no code fence. "
        f"It must fit this JSON schema: {schema}"
    )


def judge_ending(
    reading: Reading, answered: Collection[str], not_answered: Mapping[str, tuple[FaultKind, str]], *, forced: bool
) -> None:
    """Say in a reading why it's no answer, or which forced call is it.

    Args:
        reading: what was said; its `fault` and `answer` are set.
        answered: reasons to finish that leave a whole answer, or whole calls.
        not_answered: what others mean.
        forced: was the model made to answer by calling `ANSWER_TOOL`?
    """
    finish = reading.finish
    if finish is not None and finish in not_answered:
        reading.fault = Fault(*not_answered[finish], 200)
    elif finish is None or finish not in answered:
        reading.fault = Fault(FaultKind.AMBIGUOUS_REPLY, "it ended for a reason that isn't known", 200)
    elif forced and [each.name for each in reading.calls] == [ANSWER_TOOL]:
        reading.answer = reading.calls[0].arguments
    elif reading.calls or finish in TOOL_FINISHES:
        reading.fault = Fault(FaultKind.AMBIGUOUS_REPLY, "a tool call where an answer was asked for", 200)
    elif not reading.text.strip():
        reading.fault = Fault(FaultKind.EMPTY_REPLY, "no text", 200)


def arguments_of(value: object) -> str:
    """A call's arguments as JSON text: an object's, or a text that a stream brought in pieces."""
    if isinstance(value, str):
        return value or "{}"
    return "{}" if value is None else to_json(value).decode()
