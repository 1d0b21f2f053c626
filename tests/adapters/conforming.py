"""Each of failsoft's own adapters, as the conformance kit wants it: how it's made, and replies of its dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from failsoft.adapters import openai, openai_compatible
from failsoft.adapters.access import Access
from failsoft.core.effects import HttpReply
from failsoft.fault import FaultKind

Conforming = tuple[
    Callable[[Access], Any], Access, Callable[[str, str], HttpReply], Mapping[FaultKind, HttpReply], dict[str, Any]
]


def reply(body: Any, status: int = 200, **headers: str) -> HttpReply:
    return HttpReply(status, {"content-type": "application/json", **headers}, json.dumps(body).encode())


def chat(text: str, model: str) -> HttpReply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return reply({"id": "c-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage})


def openai_error(code: str, status: int) -> HttpReply:
    return reply({"error": {"message": "x", "type": code, "param": None, "code": code}}, status)


OPENAI_FAULTS = {
    FaultKind.UNAUTHENTICATED: openai_error("invalid_api_key", 401),
    FaultKind.MODEL_NOT_FOUND: openai_error("model_not_found", 404),
    FaultKind.QUOTA_SPENT: openai_error("insufficient_quota", 429),
    FaultKind.RATE_LIMITED: openai_error("rate_limit_exceeded", 429),
    FaultKind.CONTEXT_TOO_LONG: openai_error("context_length_exceeded", 400),
    FaultKind.OVERLOADED: reply({}, 529),
    FaultKind.SERVER_ERROR: reply({"error": None}, 500),
}

CONFORMING: dict[str, Conforming] = {
    "openai": (
        openai.codec,
        Access("gpt-4.1-2025-04-14", "openai", "https://api.openai.com/v1"),
        chat,
        OPENAI_FAULTS,
        {},
    ),
    "openai-compatible": (
        openai_compatible.codec,
        Access("local-model", "openai-compatible", "http://127.0.0.1:8080/v1"),
        chat,
        OPENAI_FAULTS,
        {},
    ),
}
