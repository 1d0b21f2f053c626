"""The body of a question to Claude: Anthropic's messages, which Bedrock and Vertex AI take too, without the model's name.

The schema is asked for by ``output_config.format`` (Claude 4.5 and later), by a tool that must be called (of older ones,
unless the options say otherwise), or in words. Source: Anthropic's pages of the Messages API, structured outputs, vision and
PDF support, November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from failsoft.adapters.access import Options
from failsoft.adapters.base import as_object, json_text
from failsoft.adapters.claude_names import SAMPLING_VERSION, takes_format, takes_sampling
from failsoft.adapters.json_schema import strict_schema
from failsoft.adapters.request_parts import (
    RequestOptions,
    base64_of,
    cannot_show,
    members_of,
    schema_in_words,
    spliced,
    tool_description,
    tool_name,
)
from failsoft.core.effects import AnswerSchema, Ask, CannotAsk
from failsoft.fault import Fault, FaultKind
from failsoft.prompt import Content, Document, Image, Message

_OWN_FIELDS: Final = frozenset(
    {
        *("model", "messages", "system", "stream", "anthropic_version", "tools", "tool_choice", "output_format"),
        "fallbacks",  # another model than the pinned one would answer
    }
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
        model: decides what's left out, and how a schema is asked for where the options don't say.
        version: of Anthropic's API, as far as it decides that.
        ways: how a schema can be asked for, the default first; empty: as the model decides.
    """

    def __init__(self, options: Options, model: str, version: str = SAMPLING_VERSION, ways: Sequence[str] = ()) -> None:
        ways = ways or ((NATIVE, TOOL, PROMPT) if takes_format(model) else (TOOL, NATIVE, PROMPT))
        self._wishes = RequestOptions.read(options, _OWN_FIELDS, *ways)
        self.structured = self._wishes.structured
        body = self._wishes.body
        self._output_config = as_object(body.get("output_config"))
        if "format" in self._output_config or not isinstance(body.get("output_config", {}), dict):
            options.refuse("body", "output_config must be a table without format, which is the library's own")
        thinks = as_object(body.get("thinking")).get("type") in ("enabled", "adaptive")
        if thinks and self.structured == TOOL:
            options.refuse("structured", '"tool" can\'t be asked of a model that thinks: no tool may be forced on it')
        self._samples = takes_sampling(model, version) and not thinks  # thinking takes no temperature

    @property
    def dialect(self) -> str:
        """What of its options changes how a schema is asked for."""
        return f"{self.structured} {json_text(self._output_config)}"

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        """The schema as members of a body; or the words that ask for it.

        Raises:
            ConfigurationError: the response type can't be said so.
        """
        if self.structured == PROMPT:
            return schema_in_words(answer)
        if self.structured == NATIVE:
            told = {"type": "json_schema", "schema": claude_schema(answer.schema)}
            return members_of(output_config={**self._output_config, "format": told})
        schema, name = strict_schema(answer.schema), tool_name(answer)
        fields: dict[str, Any] = {"output_config": self._output_config} if self._output_config else {}
        fields["tools"] = [{"name": name, "description": tool_description(answer), "input_schema": schema}]
        fields["tool_choice"] = {"type": "tool", "name": name, "disable_parallel_tool_use": True}
        return members_of(**fields)

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
        fields = self._wishes.applied(fields)
        if self.structured == PROMPT:
            return spliced(fields, b"")
        fields.pop("output_config", None)  # it stands with the schema
        return spliced(fields, schema)


# --- prompts, for every dialect that keeps system messages apart ------------------------------------------------------


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
    """The other messages: the first and the last are the user's.

    Raises:
        CannotAsk: they aren't, or there is none. To what the assistant began the answer would be the rest.
    """
    found = [each for each in messages if each.role != "system"]
    if not found or found[0].role != "user" or found[-1].role != "user":
        raise _refused("a prompt whose first and last messages aren't the user's")
    for each in found:
        if each.role == "assistant":
            for part in each.parts:
                _only_text(part, "a message of the assistant's")
    return found


def _only_text(part: Content, where: str) -> str:
    if isinstance(part, str):
        return part
    raise cannot_show(part, where)


def _refused(what: str) -> CannotAsk:
    return CannotAsk(Fault(FaultKind.UNSUPPORTED_CONTENT, what))


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
        source = {"type": "text", "media_type": "text/plain", "data": _text_of(part)}
        return {"type": "document", "title": part.name, "source": source}
    raise cannot_show(part)


def _base64(part: Image | Document) -> dict[str, str]:
    return {"type": "base64", "media_type": part.media_type, "data": base64_of(part)}


def _text_of(document: Document) -> str:
    try:
        return document.data.decode()
    except UnicodeDecodeError:
        raise _refused("a text document that isn't UTF-8") from None
