"""The bodies that Bedrock's InvokeModel takes, each vendor's own.

Converse is the better way: it puts a prompt into the form that each model was trained on. Here vendors whose body holds one
text get the prompt as plain text, and are told the schema in words. Claude's body is `failsoft.adapters.claude_body`'s.
Source: Bedrock's page of inference parameters, November 2026; 69 recorded requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from failsoft.adapters.bedrock_body import converse_messages, inference
from failsoft.adapters.claude_body import system_texts, turns
from failsoft.adapters.request_parts import cannot_show
from failsoft.core.effects import Ask
from failsoft.prompt import Message


@frozen
class _TextBody:
    """A body that holds the prompt as one text: what its fields are called.

    Args:
        prompt: the text's.
        cap: the cap on the answer's tokens.
        stop: what ends an answer; empty: it takes none.
        seed: the seed's; empty: it takes none.
        within: the table in which sampling stands; empty: beside the text.
    """

    prompt: str
    cap: str
    stop: str = ""
    seed: str = ""
    within: str = ""


_TEXT_BODIES: Final[Mapping[str, _TextBody]] = {
    "titan": _TextBody("inputText", "maxTokenCount", "stopSequences", within="textGenerationConfig"),
    "meta": _TextBody("prompt", "max_gen_len"),
    "mistral": _TextBody("prompt", "max_tokens", "stop"),
    "cohere": _TextBody("prompt", "max_tokens", "stop_sequences"),
    "command-r": _TextBody("message", "max_tokens", "stop_sequences", "seed"),
    "j2": _TextBody("prompt", "maxTokens", "stopSequences"),
}

VENDORS: Final = ("anthropic", "nova", "chat", *_TEXT_BODIES)
"""``chat``: the shape of OpenAI's chat completions, which open-weight models take."""

_BY_NAME: Final = tuple(
    (vendor, re.compile(r"(?:^|[./])" + pattern))
    for vendor, pattern in (
        ("anthropic", r"anthropic\."),
        ("nova", r"amazon\.nova-(?!.*embed)"),
        ("titan", r"amazon\.titan-t"),
        ("meta", r"meta\."),
        ("command-r", r"cohere\.command-r"),
        ("cohere", r"cohere\.command"),
        ("j2", r"ai21\.j2"),
        ("mistral", r"mistral\.(?:mi[sx]tral-(?:7b|8x7b|large-2402|small-2402))"),
        ("chat", r"(?:ai21|deepseek|google|minimax|mistral|moonshot(?:ai)?|nvidia|openai|qwen|writer|zai)\."),
    )
)


def vendor_of(model: str) -> str | None:
    """Whose body a model takes, by its name; None where that says nothing (a profile's or a deployment's ARN)."""
    return next((vendor for vendor, pattern in _BY_NAME if pattern.search(model)), None)


def fields_of(vendor: str, ask: Ask, told: str) -> dict[str, Any]:
    """A body's fields.

    Args:
        vendor: one of `VENDORS`, but ``anthropic``.
        ask: the question.
        told: the schema, in words.

    Raises:
        CannotAsk: the vendor can't be shown what the prompt holds.
    """
    messages = ask.prompt.messages
    system = [*system_texts(messages), told]
    if vendor == "nova":
        return {
            "schemaVersion": "messages-v1",
            "system": [{"text": each} for each in system],
            "messages": converse_messages(messages),
            "inferenceConfig": inference(ask.sampling, samples=True),
        }
    sampling = ask.sampling
    if vendor == "chat":
        said = [{"role": each.role, "content": _only_text(each)} for each in turns(messages)]
        names = _TextBody("messages", "max_tokens", "stop")
        prompt: object = [{"role": "system", "content": "\n\n".join(system)}, *said]
    else:
        names = _TEXT_BODIES[vendor]
        prompt = _as_one_text(system, turns(messages))
    made: dict[str, Any] = {names.cap: sampling.max_tokens}
    if sampling.temperature is not None:
        made["temperature"] = sampling.temperature
    if sampling.stop and names.stop:
        made[names.stop] = sampling.stop
    if sampling.seed is not None and names.seed:
        made[names.seed] = sampling.seed
    return {names.prompt: prompt, **({names.within: made} if names.within else made)}


def _as_one_text(system: Sequence[str], messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return "\n\n".join([*system, _only_text(messages[0])])
    said = [f"{each.role.capitalize()}: {_only_text(each)}" for each in messages]
    return "\n\n".join([*system, *said, "Assistant:"])


def _only_text(message: Message) -> str:
    for part in message.parts:
        if not isinstance(part, str):
            raise cannot_show(part, "a body that holds text only")
    return message.text
