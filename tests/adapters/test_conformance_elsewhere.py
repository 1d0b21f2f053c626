"""Google, Mistral, Cohere and plain JSON through the kit that examines any adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.adapters.replayed import answered

from failsoft.adapters import cohere, gemini, http_json, mistral
from failsoft.adapters.access import Access
from failsoft.core.effects import HttpReply
from failsoft.fault import FaultKind

kit = pytest.importorskip("failsoft.testing.conformance", reason="the kit isn't here yet")

K = FaultKind
TOOL = {"structured": "tool"}


def google(text: str, model: str, *, forced: bool = False) -> HttpReply:
    said = [{"functionCall": {"name": "grade-item", "args": json.loads(text)}}] if forced else [{"text": text}]
    thought = {"text": "hm", "thought": True}
    candidate = {"content": {"role": "model", "parts": [thought, *said]}, "finishReason": "STOP"}
    used = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return answered({"candidates": [candidate], "usageMetadata": used, "modelVersion": model, "responseId": "r1"})


def chat(text: str, model: str, *, forced: bool = False) -> HttpReply:
    call = {"id": "c1", "function": {"name": "grade-item", "arguments": text}}
    message = {"content": "", "tool_calls": [call]} if forced else {"content": text, "tool_calls": None}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if forced else "stop"}
    return answered({"id": "n1", "object": "chat.completion", "model": model, "choices": [choice]})


def message(text: str, _: str, *, forced: bool = False) -> HttpReply:
    call = {"id": "c1", "type": "function", "function": {"name": "grade-item", "arguments": text}}
    said = {"tool_calls": [call]} if forced else {"content": [{"type": "text", "text": text}]}
    return answered({"id": "n1", "message": said, "finish_reason": "TOOL_CALL" if forced else "COMPLETE"})


def tensor(text: str, model: str) -> HttpReply:
    output = {"name": "answer", "shape": [1], "datatype": "BYTES", "data": [text]}
    return answered({"model_name": "m", "model_version": model, "outputs": [output]})


def google_error(status: int, code: str, **detail: Any) -> HttpReply:
    return answered({"error": {"code": status, "message": "m", "status": code, "details": [detail]}}, status)


GOOGLE = {
    K.UNAUTHENTICATED: google_error(400, "INVALID_ARGUMENT", reason="API_KEY_INVALID"),
    K.MODEL_NOT_FOUND: google_error(404, "NOT_FOUND"),
    K.QUOTA_SPENT: google_error(429, "RESOURCE_EXHAUSTED", violations=[{"quotaId": "RequestsPerDay"}]),
    K.RATE_LIMITED: google_error(429, "RESOURCE_EXHAUSTED", retryDelay="4s"),
    K.OVERLOADED: google_error(503, "UNAVAILABLE"),
    K.FILTERED: answered({"promptFeedback": {"blockReason": "SAFETY"}}),
    K.NOT_AN_ANSWER: answered({"totalTokens": 3}),
}
MISTRAL = {
    K.UNAUTHENTICATED: answered({"detail": "Invalid API Key"}, 401),
    K.MODEL_NOT_FOUND: answered({"object": "error", "type": "invalid_model", "code": "1500"}, 400),
    K.RATE_LIMITED: answered({"object": "error", "type": "rate_limited", "code": "1300"}, 429),
    K.NOT_AN_ANSWER: answered({"object": "list", "data": []}),
}
COHERE = {
    K.MODEL_NOT_FOUND: answered({"message": "model 'm' was removed on May 1"}, 404),
    K.RATE_LIMITED: answered({"message": "slow down"}, 429),
    K.NOT_AN_ANSWER: answered({"id": "n1", "embeddings": [], "texts": []}),
}
SERVICE = {K.SERVER_ERROR: answered({"error": "m"}, 503), K.NOT_AN_ANSWER: answered({"outputs": []})}

EVERY: dict[
    str, tuple[Callable[[Access], Any], dict[str, Any], Callable[[str, str], HttpReply], dict[K, HttpReply]]
] = {
    **{
        f"gemini {way}": (gemini.gemini, {"structured": way}, google, GOOGLE)
        for way in ("native", "schema", "json", "prompt")
    },
    "vertex": (gemini.vertex, {}, google, GOOGLE),
    **{f"mistral {way}": (mistral.codec, {"structured": way}, chat, MISTRAL) for way in ("native", "json", "prompt")},
    "mistral tool": (mistral.codec, TOOL, partial(chat, forced=True), MISTRAL),
    **{f"cohere {way}": (cohere.codec, {"structured": way}, message, COHERE) for way in ("native", "json", "prompt")},
    "cohere tool": (cohere.codec, TOOL, partial(message, forced=True), COHERE),
    "http-json": (http_json.codec, {"request": "kserve-v2", "served_field": "model_version"}, tensor, SERVICE),
}


@pytest.mark.parametrize("name", EVERY)
def test_it_conforms(name: str) -> None:
    make, options, answer, faults = EVERY[name]
    place = Access("m-2026-01-01", name.split()[0], "https://host.example/v1", options=options)
    kit.adapter_conformance(make, place, answer=answer, faults=faults, sends_prompt=name != "http-json")
