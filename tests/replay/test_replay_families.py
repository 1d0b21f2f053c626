"""Replies of every family that there are recordings of, real ones among them: recorded by real calls, and replayed."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, SecretStr
from tests.adapters.frames import chunk, event
from tests.adapters.native_recorded import raw_of
from tests.adapters.replayed import DATA, needs_recordings
from tests.replay.shop import NOT, SAME, Rating, asked, replayed, results, step

from failsoft import Capability, ConfigurationError, Isolation
from failsoft.adapters.aws_event_stream import MEDIA_TYPE
from failsoft.adapters.recorded import NotRecorded, exchanged
from failsoft.ledger.read import read
from failsoft.replay.replay import Replay
from failsoft.testing import chat_answer, http_reply

CLAUDE = "claude-haiku-4-5-20251001"
NOVA = "us.amazon.nova-lite-v1:0"
GEMINI = "gemini-2.5-flash-001"
ANSWER = '{"stars": 3}'
MESSAGE = {"type": "message", "id": "msg_1", "model": CLAUDE, "stop_reason": "end_turn"}
USED = {"input_tokens": 4, "output_tokens": 3}
EVENTS = (
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": USED}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ANSWER}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
)
CONVERSED = {"output": {"message": {"content": [{"text": ANSWER}]}}, "stopReason": "end_turn"}
FRAMES = (
    event("messageStart", {"role": "assistant"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": ANSWER}}),
    event("contentBlockStop", {"contentBlockIndex": 0}),
    event("messageStop", {"stopReason": "end_turn"}),
)
GENERATED = {
    "candidates": [{"content": {"parts": [{"text": ANSWER}]}, "finishReason": "STOP"}],
    "modelVersion": GEMINI,
    "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 3, "totalTokenCount": 7},
}
MISTRAL = {
    "id": "n1",
    "object": "chat.completion",
    "model": "mistral-small-2506",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": ANSWER}}],
}
COHERE = {"id": "n1", "message": {"content": [{"type": "text", "text": ANSWER}]}, "finish_reason": "COMPLETE"}

FAMILIES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "anthropic": (
        json.dumps({**MESSAGE, "content": [{"type": "text", "text": ANSWER}], "usage": USED}),
        "application/json",
        {"provider": "anthropic", "model": CLAUDE},
    ),
    "anthropic streamed": (
        "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in EVENTS),
        "text/event-stream",
        {"provider": "anthropic", "model": CLAUDE, "stream": True},
    ),
    "gemini": (json.dumps(GENERATED), "application/json", {"provider": "gemini", "model": GEMINI}),
    "gemini streamed": (
        f"data: {json.dumps(GENERATED)}\n\n",
        "text/event-stream",
        {"provider": "gemini", "model": GEMINI, "stream": True},
    ),
    "mistral": (json.dumps(MISTRAL), "application/json", {"provider": "mistral", "model": "mistral-small-2506"}),
    "cohere": (json.dumps(COHERE), "application/json", {"provider": "cohere", "model": "command-r-08-2024"}),
    "converse": (json.dumps(CONVERSED), "application/json", {"provider": "bedrock", "model": NOVA}),
    "converse streamed": (b"".join(FRAMES), MEDIA_TYPE, {"provider": "bedrock", "model": NOVA, "stream": True}),
    "invoke streamed": (
        b"".join(map(chunk, EVENTS)),
        MEDIA_TYPE,
        {
            "provider": "bedrock",
            "model": f"anthropic.{CLAUDE}-v1:0",
            "served": (CLAUDE,),
            "stream": True,
            "options": {"api": "invoke"},
        },
    ),
    "a service": (ANSWER, "application/json", {"provider": "http-json", "model": "own-2026-01-01"}),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reply_of_every_family_says_the_same(family: str, tmp_path: Path) -> None:
    body, kind, adapter = FAMILIES[family]
    place = tmp_path / "x.db"
    outcome = asked(place, http_reply(body, headers={"content-type": kind}), adapter=adapter)
    assert outcome.by_ai, outcome.passed_over
    found = replayed(place, outcome.call_id)
    assert found.result is SAME, found.steps
    assert set(results(found)) == {"call", "request", "prompt", "decode", "schema", "accept"}


class TestWhatStoodInAHeader:
    AZURE = {"provider": "azure-openai", "base_url": "https://n.openai.azure.com", "model": "gpt-4.1-2025-04-14"}

    @pytest.mark.parametrize("grade", [None, "provider"])
    def test_who_served(self, grade: str | None, tmp_path: Path) -> None:
        adapter = {**self.AZURE, **({} if grade is None else {"require_grade": grade})}
        headers = {"x-ms-served-model": "gpt-4.1-2025-04-14"}
        script = chat_answer({"stars": 3}, model="gpt-4.1", headers=headers)
        outcome = asked(tmp_path / "x.db", script, adapter=adapter)
        assert outcome.by_ai, outcome.passed_over
        found = replayed(tmp_path / "x.db", outcome.call_id)
        assert results(found)["decode"] is NOT
        assert step(found, "decode").reason == (
            "the body doesn't say who served as the record does, and headers of replies aren't kept"
        )
        assert (results(found)["schema"], results(found)["accept"]) == (SAME, SAME)

    def test_what_was_used(self, tmp_path: Path) -> None:
        counts = {"x-amzn-bedrock-input-token-count": "4", "x-amzn-bedrock-output-token-count": "3"}
        script = http_reply(json.dumps(CONVERSED), headers=counts)
        adapter = {"provider": "bedrock", "model": NOVA, "options": {"api": "invoke"}}
        outcome = asked(tmp_path / "x.db", script, adapter=adapter)
        assert outcome.by_ai
        told = step(replayed(tmp_path / "x.db", outcome.call_id), "decode")
        assert (told.result, told.reason) == (
            NOT,
            "the body doesn't say what was used as the record does, and headers of replies aren't kept",
        )

    @pytest.mark.parametrize(
        ("reply", "fault", "why"),
        [
            (
                http_reply(b"{}", status=503, headers={"retry-after": "9"}),
                "overloaded",
                "whether it said when to come back",
            ),
            (
                chat_answer({"stars": 3}, headers={"content-type": "text/html"}),
                "web_page",
                "it was refused as web_page, which may rest on its media type",
            ),
        ],
    )
    def test_why_it_failed(self, reply: Any, fault: str, why: str, tmp_path: Path) -> None:
        outcome = asked(tmp_path / "x.db", reply)
        assert [each.reason for each in outcome.passed_over] == [fault]
        told = step(replayed(tmp_path / "x.db", outcome.call_id), "decode")
        assert (told.result, told.reason) == (NOT, f"{why}, and headers of replies aren't kept")

    @pytest.mark.parametrize(
        ("body", "status", "kind", "stream", "fault"),
        [
            (b"", 200, "text/event-stream", True, "truncated_stream"),
            (b"<html>", 200, "text/event-stream", True, "truncated_stream"),
            (b"null", 200, "text/event-stream", True, "truncated_stream"),
            (b'{"error":{"code":"insufficient_quota"}}', 429, "text/html", False, "rate_limited"),
            (
                b'{"error":{"code":"context_length_exceeded"}}',
                400,
                "text/html; charset=utf-8",
                True,
                "request_rejected",
            ),
        ],
    )
    def test_as_what_it_came(
        self, body: bytes, status: int, kind: str, stream: bool, fault: str, tmp_path: Path
    ) -> None:
        adapter = {"provider": "openai", "model": "gpt-4.1-2025-04-14", **({"stream": True} if stream else {})}
        outcome = asked(
            tmp_path / "x.db", http_reply(body, status=status, headers={"content-type": kind}), adapter=adapter
        )
        assert [each.reason for each in outcome.passed_over] == [fault]
        told = step(replayed(tmp_path / "x.db", outcome.call_id, adapter=adapter), "decode")
        named = kind.partition(";")[0]
        assert (told.result, told.reason) == (
            NOT,
            f"it says the same if it came as {named}, and headers of replies aren't kept",
        )

    def test_how_an_error_is_called(self, tmp_path: Path) -> None:
        reply = http_reply(b"{}", status=400, headers={"x-amzn-errortype": "ThrottlingException"})
        outcome = asked(tmp_path / "x.db", reply, adapter={"provider": "bedrock", "model": NOVA})
        assert [each.reason for each in outcome.passed_over] == ["rate_limited"]
        told = step(replayed(tmp_path / "x.db", outcome.call_id), "decode")
        assert (told.result, told.reason) == (
            NOT,
            "the error's name (rate_limited) may have stood in a header, and headers of replies aren't kept",
        )


# --- recordings -------------------------------------------------------------------------------------------------------

FILES = {
    "openai": "openai",
    "local_compat": "openai-compatible",
    "other_compat": "openai-compatible",
    "openrouter": "openrouter",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "mistral": "mistral",
    "cohere": "cohere",
    "bedrock": "bedrock",
    "azure_openai": "azure-openai",
}
MANY = 40


class Anything(BaseModel, frozen=True):
    n: int


class AskAnything(Capability[Anything, Rating]):
    """What do you say?"""

    name = "rate-item"

    def fallback(self, request: Anything) -> Rating:
        return Rating(stars=0)


def record(place: Path, provider: str, row: dict[str, Any], *, streams: bool) -> str | None:
    """A recorded reply, come to a real call: the call's identifier. None where no adapter can be made for it."""
    exchange = exchanged(row)
    response = row["response"]
    kept = {
        name.lower(): value
        for name, value in response["headers"].items()
        if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
    }
    if response.get("body_encoding") == "base64":
        kept["content-type"] = MEDIA_TYPE
    elif streams and response["status"] == 200:
        kept["content-type"] = "text/event-stream"

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(response["status"], headers=kept, content=raw_of(row))

    options = {"api": "invoke"} if provider == "bedrock" and "/invoke" in exchange.url else {}
    config = {
        "ledger": {"url": f"sqlite:///{place}"},
        "state": {"url": "none"},
        "adapters": {
            "gpt": {
                "provider": provider,
                "model": exchange.model or "unknown",
                "floating": True,
                "on_mismatch": "record",
                "attempts": 1,
                "stream": streams,
                "base_url": "https://h.example/v1",
                "api_key": SecretStr("k" * 20),
                "options": options,
            }
        },
        "capabilities": {"rate-item": {"adapters": ["gpt"], "deadline": "20s"}},
    }
    try:
        isolation = Isolation(config, capabilities=[AskAnything], sync_transport=httpx.MockTransport(answer))
    except ConfigurationError:
        return None
    with isolation:
        return isolation[AskAnything].sync(Anything(n=1)).call_id


@needs_recordings
@pytest.mark.parametrize("name", FILES)
def test_real_replies_say_the_same(name: str, tmp_path: Path) -> None:
    place, calls = tmp_path / "x.db", list[str]()
    with (DATA / f"{name}.dev.jsonl").open(encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if not row["suspect"]]
    for row in rows[:: max(1, len(rows) // MANY)]:
        try:
            call = record(place, FILES[name], row, streams=bool(row["stream"]))
        except (NotRecorded, base64.binascii.Error):  # type: ignore[attr-defined]
            continue
        if call is not None:
            calls.append(call)
    assert len(calls) >= 20
    contracts = Isolation({"ledger": {"url": "none"}}, capabilities=[AskAnything]).contracts
    counts: Counter[str] = Counter()
    with read(place) as reader:
        replay = Replay(reader, contracts, {})
        for call in calls:
            for each in replay.call(call).steps:
                counts[f"{each.step} {each.result}"] += 1
                assert each.result is not None
                if each.result == "differs":
                    pytest.fail(f"{call}: {each}")
                if each.result == "not replayable":
                    assert "headers of replies aren't kept" in each.reason, each
    assert counts["decode same"] + counts["decode not replayable"] == len(calls)
    print(name, dict(counts))
