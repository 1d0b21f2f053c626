"""Replies of one's own: exact bytes, or chat completions of a given answer and model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from pydantic_core import to_json

from failsoft.fault import FaultKind
from failsoft.testing.reaction import JSON, Reaction

UNKNOWN_MODEL = "unknown-model"


def http_reply(
    body: bytes | str = b"",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    name: str = "",
    fault: FaultKind | None = None,
    row: int | None = None,
) -> Reaction:
    """A reply of exactly these bytes.

    Args:
        body: as it stands.
        status: 200-599.
        headers: besides ``content-type: application/json``, or in its place.
        name: for people.
        fault: what failsoft makes of it.
        row: of the fault catalogue.
    """
    data = body.encode() if isinstance(body, str) else body
    fields = tuple({**dict(JSON), **_lower(headers)}.items())
    return Reaction(name or f"status {status}", fault, row, status=status, headers=fields, body=lambda model: data)


def chat_answer(
    answer: object,
    *,
    model: str | None = None,
    finish_reason: str = "stop",
    headers: Mapping[str, str] | None = None,
    name: str = "answer",
) -> Reaction:
    """A chat completion that answers.

    Args:
        answer: a model, a dictionary, or any value that JSON can say. What isn't an object is wrapped in
            ``{"value": …}``, as it travels.
        model: who says that it answered; the model that was asked for unless given.
        finish_reason: why it ended.
        headers: of the reply.
        name: for people.
    """
    text = to_json(answer)
    if not text.startswith(b"{"):
        text = b'{"value":%b}' % text
    return chat_text(text.decode(), model=model, finish_reason=finish_reason, headers=headers, name=name)


def chat_text(
    text: str | None,
    *,
    model: str | None = None,
    finish_reason: str | None = "stop",
    headers: Mapping[str, str] | None = None,
    name: str = "text",
    fault: FaultKind | None = None,
    row: int | None = None,
    **message: object,
) -> Reaction:
    """A chat completion that says exactly this.

    Args:
        text: the message's content, JSON or not.
        model: who says that it answered; the model that was asked for unless given.
        finish_reason: why it ended.
        headers: of the reply.
        name: for people.
        fault: what failsoft makes of it.
        row: of the fault catalogue.
        message: other fields of the message, such as ``refusal``.
    """
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, **message},
        "finish_reason": finish_reason,
    }
    return chat_choices([choice], model=model, headers=headers, name=name, fault=fault, row=row)


def chat_choices(
    choices: object,
    *,
    model: str | None = None,
    headers: Mapping[str, str] | None = None,
    name: str = "choices",
    fault: FaultKind | None = None,
    row: int | None = None,
) -> Reaction:
    """A chat completion with these choices. Arguments as `chat_text`."""

    def body(asked: str) -> bytes:
        envelope = {
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": model if model is not None else asked,
            "choices": choices,
            "usage": {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20},
        }
        return json.dumps(envelope).encode()

    fields = tuple({**dict(JSON), **_lower(headers)}.items())
    return Reaction(name, fault, row, headers=fields, body=body)


def asked_model(request: bytes) -> str:
    """The model that a request's body names."""
    try:
        asked: Any = json.loads(request)
    except ValueError:
        return UNKNOWN_MODEL
    name: object = cast("dict[str, object]", asked).get("model") if isinstance(asked, dict) else None
    return name if isinstance(name, str) else UNKNOWN_MODEL


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}
