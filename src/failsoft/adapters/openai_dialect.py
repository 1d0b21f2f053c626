"""What tells the servers of OpenAI's family apart: what each takes, and how it's asked for an answer of a schema.

A `Dialect` is a table of facts; the codecs of chat completions and of responses read it. Some of its fields are what an
adapter's options say: ``structured``, ``leave_out``, ``show_schema`` and ``body``.

How the schema is asked for (`Structured`), the strictest way first:

    native  the server's own field for a schema
    tool    a tool that the model must call, whose arguments are the answer
    json    any JSON object, and the schema in the prompt
    prompt  the schema in the prompt only
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Literal, cast

import attrs
from attrs import field, frozen
from pydantic_core import to_json

from failsoft.adapters.access import Access, Options
from failsoft.adapters.json_schema import BOUNDS, Limits, strict_schema
from failsoft.core.effects import AnswerSchema
from failsoft.outcome import Grade

Structured = Literal["native", "tool", "json", "prompt"]
STRUCTURED: tuple[Structured, ...] = ("native", "tool", "json", "prompt")

TOOL = "answer"
"""What the tool is called whose arguments are the answer."""

PDF: Mapping[str, str] = MappingProxyType({"application/pdf": ".pdf"})

GRAMMAR_BOUNDS = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
"""The bounds that the grammars of llama.cpp keep, and so Ollama's: others are skipped there in silence."""

_REASONING = re.compile(r"(?:openai/)?(?:o[134](?:-.*)?|gpt-[5-9](?![\d.]*-chat).*)")
_GROK = re.compile(r"(?:x-ai/)?grok-(?:3-mini|4)(?!.*non-reasoning).*")
_REFUSED = frozenset(
    {
        *("temperature", "top_p", "presence_penalty", "frequency_penalty"),
        *("logprobs", "top_logprobs", "logit_bias", "stop"),
    }
)
_INSTRUCTION = (
    "Answer with one JSON object and nothing else: no explanation, no code fence. "
    "The JSON object must be valid by this JSON schema:\n"
)


def refused_by(model: str) -> frozenset[str]:
    """The fields of a request that a model refuses: OpenAI's reasoning models take no sampling, xAI's no ``stop``.

    They answer such a field with a 400 (OpenAI's and xAI's guides of reasoning models, November 2026).

    Args:
        model: as it's asked for, with the name of its vendor before it or without.
    """
    if _GROK.fullmatch(model):
        return frozenset({"presence_penalty", "frequency_penalty", "stop"})
    return _REFUSED if _REASONING.fullmatch(model) else frozenset()


@frozen
class Dialect:
    """What a server takes, and how it's asked.

    Args:
        grade: how far the model's name in a reply can be believed.
        cap: what the cap on the answer's tokens is called in a chat completion.
        bounds: keywords of `failsoft.adapters.json_schema.BOUNDS` that it takes in a schema.
        limits: the most that a schema may hold; None: not known.
        structured: how the schema is asked for.
        strict: what ``strict`` says where the schema is asked for natively or by a tool; None: the field is unknown there.
        flat: the schema stands beside ``type`` (Together), not within ``json_schema``.
        shown: a schema that is asked for natively isn't shown to the model: it stands in the prompt, too.
        images: may messages hold images?
        documents: the media types of the documents that messages may hold, each with the ending of a file's name.
        leave_out: fields of the request's body never to send.
        body: further fields of it; they win over sampling.
    """

    grade: Grade = Grade.ECHOED
    cap: str = "max_tokens"
    bounds: frozenset[str] = BOUNDS
    limits: Limits | None = None
    structured: Structured = "native"
    strict: bool | None = True
    flat: bool = False
    shown: bool = False
    images: bool = True
    documents: Mapping[str, str] = field(factory=dict[str, str])
    leave_out: frozenset[str] = frozenset()
    body: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)

    @property
    def schemas(self) -> str:
        """What changes the bytes of a schema, as one word."""
        return " ".join((self.structured, str(self.strict), "flat" if self.flat else "", *sorted(self.bounds)))

    @property
    def told(self) -> bool:
        """Does the schema stand in the prompt?"""
        return self.structured in ("json", "prompt") or (self.structured == "native" and self.shown)


def configured(
    dialect: Dialect, access: Access, options: Options, own: Collection[str], ways: Collection[Structured] = STRUCTURED
) -> Dialect:
    """The dialect as an adapter's options say it, of which those that all share are read here.

    Args:
        dialect: the server's.
        access: whose model decides what's left out, unless ``leave_out`` is there.
        options: the adapter's; whoever calls this calls their `done`.
        own: fields of the body that the codec writes itself.
        ways: to ask for the schema, that the codec knows.
    """
    choices = (dialect.structured, *(each for each in ways if each != dialect.structured))
    body = options.table("body")
    for name in sorted(body.keys() & set(own)):
        options.refuse("body", f"{name} is set by the library")
    listed = frozenset(options.texts("leave_out"))
    return attrs.evolve(
        dialect,
        structured=cast("Structured", options.choice("structured", *choices)),
        leave_out=listed if "leave_out" in access.options else dialect.leave_out | refused_by(access.model),
        shown=options.flag("show_schema", default=dialect.shown),
        body={**dialect.body, **body},
    )


def schema_of(answer: AnswerSchema, dialect: Dialect) -> dict[str, Any]:
    """The answer's schema as the dialect takes it.

    Raises:
        ConfigurationError: it can't be said in it.
    """
    enforced = dialect.structured in ("native", "tool")
    return strict_schema(answer.schema, dialect.bounds if enforced else BOUNDS, dialect.limits if enforced else None)


def strictly(dialect: Dialect, fields: dict[str, Any]) -> dict[str, Any]:
    """With ``strict``, where the dialect knows it."""
    return fields if dialect.strict is None else {**fields, "strict": dialect.strict}


# --- the schema in the prompt -----------------------------------------------------------------------------------------


def instruction(answer: AnswerSchema, dialect: Dialect) -> bytes:
    """What the model is told of the schema: the inside of a JSON string, made once for each capability."""
    key = f"instruction {dialect.schemas}"
    found = answer.cache.get(key)
    if found is None:
        schema = to_json(schema_of(answer, dialect)).decode()
        found = answer.cache[key] = to_json(f"{_INSTRUCTION}{schema}\n\n")[1:-1]
    return found


def instructed(body: bytes, place: str, told: bytes) -> bytes:
    """A request's body with an instruction before all that its messages say.

    It joins the system's text where that comes first: many chat templates take no second one.

    Args:
        body: a JSON object that begins with its messages.
        place: the messages' name.
        told: the instruction, as the inside of a JSON string.
    """
    opening = b'{"%b":[' % place.encode()
    system = opening + b'{"role":"system","content":"'
    if body.startswith(system):
        return system + told + body[len(system) :]
    return b'%b%b"},%b' % (system, told, body[len(opening) :])
