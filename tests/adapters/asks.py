"""Asks and accesses for the tests of codecs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from failsoft.adapters.access import Access
from failsoft.adapters.registry import codec_of
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import AnswerSchema, Ask, CannotAsk, HttpReply
from failsoft.fault import FaultKind
from failsoft.outcome import Pin
from failsoft.prompt import Document, Image, Message, Prompt, Sampling
from failsoft.providers import facts

SCHEMA = {
    "type": "object",
    "properties": {
        "fsc": {"type": "string", "enum": ["1005", "1010"]},
        "reason": {"type": "string", "minLength": 3, "pattern": "^[a-z]+$"},
        "parts": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
    },
    "required": ["fsc"],
}
KEY = "sk-a-secret-key"
PNG = Image(b"\x89PNG", "image/png")
PDF = Document(b"%PDF-1.7", "application/pdf", "the notice")


def ask(*messages: Message, model: str = "some-model", **sampling: Any) -> Ask:
    """A question of two messages, or of those that are given."""
    return Ask(
        request=None,
        request_json=b"{}",
        prompt=Prompt(messages or (Message("system", 'Say "so".'), Message("user", "Büchse"))),
        answer=AnswerSchema("classify-item", SCHEMA),
        sampling=Sampling(**{"max_tokens": 64, **sampling}),
        pin=Pin(model),
    )


def made(provider: str, model: str = "some-model", *, base_url: str = "", stream: bool = False, **options: Any) -> Any:
    """A provider's codec with options of its own."""
    known = facts(provider)
    place = base_url or known.base_url or "https://host.example/v1"
    access = Access(model, provider, place, KEY, {}, Streaming() if stream else None, options)
    return codec_of(known, access)


def body_of(codec: Any, asked: Ask | None = None) -> dict[str, Any]:
    """What it would send."""
    body: dict[str, Any] = json.loads(codec.encode(asked or ask()).body)
    return body


def reply_of(body: Any, status: int = 200, **headers: str) -> HttpReply:
    """A reply of JSON, or of bytes as they are."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, {"content-type": "application/json", **named}, raw)


def assert_not_shown(codec: Any, *content: Any, role: Any = "user") -> None:
    """The codec passes a prompt on that holds this, and says so."""
    with pytest.raises(CannotAsk) as caught:
        codec.encode(ask(Message(role, content)))
    assert caught.value.fault.kind is FaultKind.UNSUPPORTED_CONTENT
