"""How an answer is asked for where a provider can't be held to a schema: as a tool that must be called, or in words."""

from __future__ import annotations

from pydantic_core import to_json

from failsoft.adapters.json_schema import strict_schema
from failsoft.core.effects import AnswerSchema

ANSWER_TOOL = "answer"
"""The tool that a model must call to answer; its arguments are the answer. A name of ours, so that replies can be read
without what was asked."""

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
