"""The body of a question to Claude: Anthropic's messages, which Bedrock and Vertex AI take too, without the model's name.

The schema is asked for by ``output_config.format`` (Claude 4.5 and later), by a tool that must be called, or in words.
Source: Anthropic's pages of the Messages API, structured outputs, vision and PDF support, November 2026.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json

from failsoft.adapters.access import Options
from failsoft.adapters.answer_tool import ANSWER_TOOL, ANSWER_TOOL_PURPOSE, told_schema
from failsoft.adapters.base import as_object
from failsoft.adapters.json_schema import strict_schema
from failsoft.core.effects import AnswerSchema, Ask, CannotAsk
from failsoft.fault import Fault, FaultKind
from failsoft.prompt import Content, Document, Image, Message

_REQUIRED: Final = frozenset({"model", "messages", "max_tokens"})
_OWN_FIELDS: Final = frozenset(
    {"model", "messages", "system", "stream", "anthropic_version", "tools", "tool_choice", "output_format"}
)
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
"""Formats that its grammar knows."""

NATIVE: Final = "native"
TOOL: Final = "tool"
PROMPT: Final = "prompt"


def claude_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as Claude's structured outputs take it; of Bedrock's models all others do too.

    Raises:
        ConfigurationError: it can't be said so: a type that holds itself, an open dictionary.
    """
    return strict_schema(schema, frozenset({"format", "minItems"}), takes=_is_taken, recursive=False)


def _is_taken(keyword: str, value: Any) -> bool:
    return value in _FORMATS if keyword == "format" else value in (0, 1)


class ClaudeBody:
    """Makes bodies. Reads the options ``structured``, ``leave_out`` and ``body``.

    Args:
        options: the adapter's own.
        samples: does the model take a temperature?
    """

    def __init__(self, options: Options, *, samples: bool) -> None:
        self.structured = options.choice("structured", NATIVE, TOOL, PROMPT)
        self._leave_out = frozenset(options.texts("leave_out")) - _REQUIRED - _OWN_FIELDS
        self._extra = options.table("body")
        for name in sorted(_OWN_FIELDS & self._extra.keys()):
            options.refuse(f"body.{name}", "is set by the library")
        if "fallbacks" in self._extra:
            options.refuse("body.fallbacks", "another model than the pinned one would answer")
        self._output_config = as_object(self._extra.get("output_config"))
        if "format" in self._output_config or not isinstance(self._extra.get("output_config", {}), dict):
            options.refuse("body.output_config", "must be a table without format, which is set by the library")
        thinks = as_object(self._extra.get("thinking")).get("type") in ("enabled", "adaptive")
        if thinks and self.structured == TOOL:
            options.refuse("structured", '"tool" can\'t be asked of a model that thinks: no tool may be forced on it')
        self._samples = samples and not thinks  # thinking takes no temperature
        self._extra = {name: value for name, value in self._extra.items() if name != "output_config"}

    @property
    def dialect(self) -> str:
        """What of its options changes how a schema is asked for."""
        return f"{self.structured} {to_json(self._output_config).decode()}"

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """The schema as the members of a body, without the braces around them.

        Raises:
            ConfigurationError: the response type can't be said so.
        """
        fields: dict[str, Any] = {}
        config = self._output_config
        if self.structured == NATIVE:
            config = {**config, "format": {"type": "json_schema", "schema": claude_schema(answer.schema)}}
        elif self.structured == TOOL:
            schema = strict_schema(answer.schema)
            fields["tools"] = [{"name": ANSWER_TOOL, "description": ANSWER_TOOL_PURPOSE, "input_schema": schema}]
            fields["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL, "disable_parallel_tool_use": True}
        else:
            return told_schema(answer).encode()
        if config:
            fields["output_config"] = config
        return to_json(fields)[1:-1]

    def encode(self, ask: Ask, schema: bytes, first: Mapping[str, Any]) -> bytes:
        """The body's exact bytes.

        Args:
            ask: the question.
            schema: what `schema_bytes` made of its answer.
            first: fields that depend on where it's asked: ``model``, ``stream``, ``anthropic_version``.

        Raises:
            CannotAsk: Claude can't be shown what the prompt holds.
        """
        told = [schema.decode()] if self.structured == PROMPT else []
        system = "\n\n".join([*system_texts(ask.prompt.messages), *told])
        fields: dict[str, Any] = {
            **first,
            "max_tokens": ask.sampling.max_tokens,
            "messages": [{"role": each.role, "content": _content(each)} for each in turns(ask.prompt.messages)],
        }
        if system:
            fields["system"] = system
        if ask.sampling.temperature is not None and self._samples:
            fields["temperature"] = ask.sampling.temperature
        if ask.sampling.stop:
            fields["stop_sequences"] = ask.sampling.stop
        fields |= self._extra
        if self.structured == PROMPT and self._output_config:
            fields["output_config"] = self._output_config
        for name in self._leave_out:
            fields.pop(name, None)
        body = to_json(fields)
        # Spliced: a schema with hundreds of enum values isn't written anew for every call.
        return body if self.structured == PROMPT else b"%b,%b}" % (body[:-1], schema)


# --- prompts, for every dialect that keeps system messages apart ------------------------------------------------------


def cannot_show(what: str) -> CannotAsk:
    """Raised for content that a dialect has no place for."""
    return CannotAsk(Fault(FaultKind.UNSUPPORTED_CONTENT, what))


def system_texts(messages: Sequence[Message]) -> list[str]:
    """The texts of the system messages.

    Raises:
        CannotAsk: one holds something else.
    """
    found: list[str] = []
    for each in messages:
        if each.role == "system":
            found += [_only_text(part, "a system message") for part in each.parts]
    return [each for each in found if each]


def turns(messages: Sequence[Message]) -> list[Message]:
    """The other messages: the last one is the user's.

    Raises:
        CannotAsk: it isn't (the answer would be the rest of a beginning, not one document), or there is none.
    """
    found = [each for each in messages if each.role != "system"]
    if not found or found[-1].role != "user":
        raise cannot_show("a prompt whose last message isn't the user's")
    for each in found:
        if each.role == "assistant":
            for part in each.parts:
                _only_text(part, "an assistant's message")
    return found


def _only_text(part: Content, where: str) -> str:
    if isinstance(part, str):
        return part
    raise cannot_show(f"{where} with something else than text in it")


def text_of_document(document: Document) -> str:
    """A text document's text.

    Raises:
        CannotAsk: it isn't UTF-8.
    """
    try:
        return document.data.decode()
    except UnicodeDecodeError:
        raise cannot_show("a text document that isn't UTF-8") from None


def _content(message: Message) -> object:
    return message.content if isinstance(message.content, str) else [_block(each) for each in message.content]


def _block(part: Content) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Image):
        return {"type": "image", "source": _base64(part)}
    if part.media_type == "application/pdf":
        return {"type": "document", "title": part.name, "source": _base64(part)}
    if part.media_type == "text/plain":
        source = {"type": "text", "media_type": "text/plain", "data": text_of_document(part)}
        return {"type": "document", "title": part.name, "source": source}
    raise cannot_show(f"a document of the type {part.media_type}: Claude takes application/pdf and text/plain")


def _base64(part: Image | Document) -> dict[str, str]:
    return {"type": "base64", "media_type": part.media_type, "data": base64.b64encode(part.data).decode()}
