"""Every recorded chat completion, decoded: right model, right text, and a value whatever came."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failsoft.adapters.openai_compatible import OpenAICompatible, Said, openai_compatible
from failsoft.core.effects import HttpReply, Reply, Unusable
from failsoft.fault import FaultKind

DATA = Path(os.environ.get("FAILSOFT_DATA") or Path(__file__).parents[3] / "shared" / "data") / "recordings"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA.name}: set FAILSOFT_DATA")

ERRORS = {
    ("azure_openai", 33): FaultKind.FILTERED,
    ("deepseek", 0): FaultKind.UNAUTHENTICATED,
    ("local_compat", 0): FaultKind.REQUEST_REJECTED,  # its code is null: only its text says that it's too long
    ("mistral", 0): FaultKind.UNAUTHENTICATED,
    ("openai", 1): FaultKind.MODEL_NOT_FOUND,
    ("openai", 12): FaultKind.SERVER_ERROR,
    ("openai", 14): FaultKind.MODEL_NOT_FOUND,
    ("openai", 20): FaultKind.MODEL_NOT_FOUND,
    ("openai", 21): FaultKind.CAPABILITY_BUG,
    ("openai", 22): FaultKind.UNAUTHENTICATED,
    ("openai", 28): FaultKind.UNAUTHENTICATED,
    ("openai", 29): FaultKind.REQUEST_REJECTED,
    ("openai", 33): FaultKind.REQUEST_REJECTED,
    ("openai", 35): FaultKind.MODEL_NOT_FOUND,
    ("openai", 200): FaultKind.REQUEST_REJECTED,
    ("openai", 204): FaultKind.UNAUTHENTICATED,
    ("openai", 205): FaultKind.REQUEST_REJECTED,
    ("openrouter", 0): FaultKind.UNAUTHENTICATED,
    ("openrouter", 1): FaultKind.RATE_LIMITED,
    ("other_compat", 0): FaultKind.CONTEXT_TOO_LONG,
    ("xai", 0): FaultKind.UNAUTHENTICATED,
}


def recorded() -> Iterator[tuple[str, int, dict[str, Any]]]:
    for path in sorted(DATA.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                row = json.loads(line)
                if not row["suspect"]:
                    yield path.name.split(".")[0], number, row


def chat_replies() -> list[tuple[str, int, dict[str, Any]]]:
    rows = recorded()
    return [
        (name, n, row) for name, n, row in rows if "chat/completions" in row["request"]["url"] and not row["stream"]
    ]


def reply_of(row: dict[str, Any]) -> HttpReply:
    response = row["response"]
    body = response["body"]
    headers = {name.lower(): value for name, value in response["headers"].items()}
    for dropped in ("content-encoding", "content-length"):
        headers.pop(dropped, None)
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return HttpReply(response["status"], headers, raw)


def codec() -> OpenAICompatible:
    return openai_compatible("http://127.0.0.1:1/v1")


def expected_text(body: Any) -> str | None:
    """The text of a recorded reply that answers, read by hand."""
    choices = body.get("choices") if isinstance(body, dict) else None
    if not choices or len(choices) != 1:
        return None
    message = choices[0].get("message") or {}
    silent = message.get("tool_calls") or message.get("function_call") or message.get("refusal")
    if silent or choices[0].get("finish_reason") in ("length", "content_filter"):
        return None
    content = message.get("content")
    return content if isinstance(content, str) and content.strip() else None


def test_there_are_recorded_chat_completions_of_nine_dialects() -> None:
    assert len({name for name, _, _ in chat_replies()}) >= 9


def test_every_recorded_text_and_served_model_is_read_as_it_stands() -> None:
    wrong = []
    for name, number, row in chat_replies():
        said = codec().read_text(reply_of(row))
        text = expected_text(row["response"]["body"])
        served = said.served.model if said.served is not None else None
        stated = row["served_model"] or None
        if (said.text if isinstance(said, Said) else None) != text or (text is not None and served != stated):
            wrong.append((name, number, said))
    assert wrong == []


def test_recorded_structured_answers_come_out_as_their_json() -> None:
    answered = 0
    for _, _, row in chat_replies():
        text = expected_text(row["response"]["body"])
        if row["kind"] != "structured" or text is None:
            continue
        reply = codec().decode(reply_of(row))
        if isinstance(reply, Reply):
            answered += 1
            assert json.loads(reply.answer) == json.loads(text)
        else:
            assert reply.fault.kind is FaultKind.MALFORMED_ANSWER
    assert answered >= 15


def test_recorded_errors_are_what_their_codes_say() -> None:
    seen = {}
    for name, number, row in recorded():
        if (name, number) in ERRORS:
            reply = codec().decode(reply_of(row))
            assert isinstance(reply, Unusable)
            seen[name, number] = reply.fault.kind
    assert seen == ERRORS


def test_no_recorded_reply_of_any_provider_makes_it_raise() -> None:
    for _, _, row in recorded():
        assert isinstance(codec().decode(reply_of(row)), Reply | Unusable)
