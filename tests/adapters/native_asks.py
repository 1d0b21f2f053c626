"""Questions that tests of the dialects ask."""

from __future__ import annotations

import json
from typing import Any

from failsoft.adapters.http_codec import HttpCodec
from failsoft.core.effects import AnswerSchema, Ask, HttpReply
from failsoft.outcome import Pin
from failsoft.prompt import Message, Prompt, Sampling

SCHEMA = {"type": "object", "properties": {"fsc": {"type": "string", "enum": ["1005", "1010"]}}, "required": ["fsc"]}
CLOSED = {**SCHEMA, "additionalProperties": False}


def ask(*messages: Message, **changes: Any) -> Ask:
    """A question: of these messages, or of a system's and a user's."""
    values: dict[str, Any] = {
        "request": None,
        "request_json": b"{}",
        "prompt": Prompt(messages or (Message("system", "Classify."), Message("user", "Büchse"))),
        "answer": AnswerSchema("classify-item", SCHEMA),
        "sampling": Sampling(max_tokens=64),
        "pin": Pin("some-model"),
    }
    return Ask(**{**values, **changes})


def body_of(codec: HttpCodec, asked: Ask | None = None) -> dict[str, Any]:
    """What a codec sends, read."""
    return json.loads(codec.encode(asked or ask()).body)


def replied(body: Any, status: int = 200, **headers: str) -> HttpReply:
    """A reply of JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, {"content-type": "application/json", **named}, raw)
