"""Anthropic and Bedrock through the kit that examines any adapter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from failsoft.adapters import anthropic, bedrock
from failsoft.adapters.access import Access
from failsoft.core.effects import HttpReply
from failsoft.fault import FaultKind
from failsoft.testing import adapter_conformance

K = FaultKind


def replied(body: Any, status: int = 200, **headers: str) -> HttpReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status, {"content-type": "application/json", **named}, json.dumps(body).encode())


def message(text: str, model: str) -> HttpReply:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": text},
    ]
    head = {"id": "m", "type": "message", "role": "assistant", "model": model}
    return replied(
        {**head, "content": content, "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 2}}
    )


def converse(text: str, model: str) -> HttpReply:
    output = {"message": {"role": "assistant", "content": [{"text": text}]}}
    return replied({"output": output, "stopReason": "end_turn", "usage": {"inputTokens": 3, "outputTokens": 2}})


def claude_error(kind: str, status: int) -> HttpReply:
    return replied({"type": "error", "error": {"type": kind, "message": "model: m"}}, status)


def aws_error(name: str, status: int) -> HttpReply:
    return replied({"message": "m"}, status, x_amzn_errortype=f"{name}:http://internal.amazon.com/")


CLAUDE = {
    K.UNAUTHENTICATED: claude_error("authentication_error", 401),
    K.QUOTA_SPENT: claude_error("billing_error", 402),
    K.MODEL_NOT_FOUND: claude_error("not_found_error", 404),
    K.RATE_LIMITED: claude_error("rate_limit_error", 429),
    K.OVERLOADED: claude_error("overloaded_error", 529),
    K.SERVER_ERROR: claude_error("api_error", 500),
    K.NOT_AN_ANSWER: replied({"input_tokens": 14}),
}
AWS = {
    K.RATE_LIMITED: aws_error("ThrottlingException", 429),
    K.UNAUTHENTICATED: aws_error("UnrecognizedClientException", 403),
    K.NOT_AN_ANSWER: replied({"embedding": [0.5]}),
}
PLACE = "https://api.anthropic.com/v1"
RUNTIME = "https://bedrock-runtime.us-gov-west-1.amazonaws.com"
SONNET = "claude-sonnet-4-5-20250929"


@pytest.mark.parametrize(
    ("make", "access", "answer", "faults"),
    [
        (anthropic.codec, Access(SONNET, "anthropic", PLACE), message, CLAUDE),
        (anthropic.codec, Access(SONNET, "anthropic", PLACE, options={"structured": "prompt"}), message, CLAUDE),
        (bedrock.codec, Access("amazon.nova-lite-v1:0", "bedrock", RUNTIME), converse, AWS),
        (
            bedrock.codec,
            Access(f"us.anthropic.{SONNET}-v1:0", "bedrock", RUNTIME, options={"api": "invoke"}),
            message,
            AWS,
        ),
    ],
    ids=["anthropic", "anthropic prompt", "converse", "invoke claude"],
)
def test_they_conform(make: Any, access: Access, answer: Any, faults: Any) -> None:
    adapter_conformance(make, access, answer=answer, faults=faults, rounds=300)
