"""What requests of several dialects hold alike: options, sampling, bytes as text, a schema told in words."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from pydantic_core import to_json

from failsoft.adapters.access import Options
from failsoft.adapters.base import as_object
from failsoft.adapters.json_schema import strict_schema
from failsoft.core.effects import AnswerSchema, CannotAsk
from failsoft.fault import Fault, FaultKind
from failsoft.prompt import Document, Image, Message, Prompt, Sampling


@frozen
class RequestOptions:
    """What an adapter's options say of its requests.

    Args:
        structured: how the schema is asked for.
        leave_out: fields that are never sent, though the library would.
        body: fields that are sent besides; they win over sampling.
    """

    structured: str
    leave_out: frozenset[str] = frozenset()
    body: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)

    @classmethod
    def read(cls, options: Options, own: frozenset[str], *structured: str) -> RequestOptions:
        """The options ``structured``, ``leave_out`` and ``body``.

        Args:
            options: as configured; what's wrong is told to it.
            own: fields of the body that are the library's: they can be neither set nor left out.
            structured: the ways to ask for a schema, the default first.
        """
        way = options.choice("structured", *structured)
        leave_out, body = frozenset(options.texts("leave_out")), options.table("body")
        for name, given in (("leave_out", leave_out), ("body", body)):
            for each in sorted(own.intersection(given)):
                options.refuse(name, f"{each} is the library's own")
        return cls(way, leave_out, body)

    def applied(self, fields: dict[str, Any]) -> dict[str, Any]:
        """A request's fields, with those besides and without those left out."""
        return {name: value for name, value in {**fields, **self.body}.items() if name not in self.leave_out}


def sampling_fields(sampling: Sampling, *, seed: str, max_tokens: str, stop: str) -> dict[str, Any]:
    """How to sample, under the names that a dialect has for it; what isn't said is left out."""
    fields: dict[str, Any] = {"temperature": sampling.temperature, seed: sampling.seed, max_tokens: sampling.max_tokens}
    if sampling.stop:
        fields[stop] = sampling.stop
    return {name: value for name, value in fields.items() if value is not None}


def spliced(fields: Mapping[str, Any], members: bytes) -> bytes:
    """A JSON object of fields, and of members that were written before.

    So a schema with hundreds of enum values isn't written anew for every call.
    """
    begun = to_json(fields)[:-1]
    return b"%b%b%b}" % (begun, b"," if members and fields else b"", members)


def members_of(**fields: Any) -> bytes:
    """Fields as they stand in a JSON object, without its brackets: for `spliced`."""
    return to_json(fields)[1:-1]


def base64_of(part: Image | Document) -> str:
    """Its bytes in base64 (RFC 4648, section 4)."""
    return base64.b64encode(part.data).decode()


def data_url(part: Image | Document) -> str:
    """Its bytes as a URL (RFC 2397)."""
    return f"data:{part.media_type};base64,{base64_of(part)}"


def cannot_show(part: Image | Document, where: str = "a prompt") -> CannotAsk:
    """What to raise where a dialect can't be shown a part."""
    return CannotAsk(Fault(FaultKind.UNSUPPORTED_CONTENT, f"this dialect takes no {part.media_type} in {where}"))


def schema_in_words(answer: AnswerSchema) -> bytes:
    """The schema in words, for models that aren't held to one.

    Raises:
        ConfigurationError: it can't be said strictly.
    """
    schema = to_json(strict_schema(answer.schema))
    return b"Answer with one JSON object and nothing else, no code fence, that fits this JSON schema:\n" + schema


def with_schema_in_words(prompt: Prompt, told: bytes) -> tuple[Message, ...]:
    """A prompt's messages, and what `schema_in_words` said: a system message behind the last of these, or first of all."""
    messages = prompt.messages
    last = max((n for n, each in enumerate(messages, 1) if each.role == "system"), default=0)
    return (*messages[:last], Message("system", told.decode()), *messages[last:])


def tool_name(answer: AnswerSchema) -> str:
    """What the tool is called that a model must call to answer: 1 to 64 letters, digits, ``_`` and ``-``."""
    name = "".join(each if each.isascii() and (each.isalnum() or each in "_-") else "_" for each in answer.name)[:64]
    return name if name[:1].isalpha() else f"answer_{name}"[:64]


def tool_description(answer: AnswerSchema) -> str:
    """What the tool is for: the response type's own description, 1,000 characters of it; else ours."""
    said = as_object(answer.schema).get("description")
    return said[:1000] if isinstance(said, str) and said else "Gives the answer."
