"""Each dialect behind the front door: configured, sent over a socket, read, recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, SecretStr

from failsoft import Capability, Isolation, Outcome
from failsoft.testing import FaultServer, http_reply

MODEL = "m-2026-01-01"
ANSWER = '{"stars": 3}'


class Item(BaseModel):
    name: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)


class ColourOf(Capability[Item, Literal["red", "blue"]]):
    """Which colour?"""

    def fallback(self, request: Item) -> Literal["red", "blue"]:
        return "red"


def gemini(text: str) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
    return {"candidates": [candidate], "modelVersion": MODEL, "responseId": "r1"}


def mistral(text: str) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}, "delta": {"content": text}}
    return {"id": "n1", "model": MODEL, "choices": [choice]}


def cohere(text: str) -> dict[str, Any]:
    return {"id": "n1", "message": {"content": [{"type": "text", "text": text}]}, "finish_reason": "COMPLETE"}


COHERE_EVENTS = (
    {"type": "content-delta", "delta": {"message": {"content": {"text": ANSWER}}}},
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
)

WHOLE: dict[str, tuple[dict[str, Any], str]] = {
    "gemini": (gemini(ANSWER), f"/v1/models/{MODEL}:generateContent"),
    "vertex": (gemini(ANSWER), f"/v1/publishers/google/models/{MODEL}:generateContent"),
    "mistral": ({**mistral(ANSWER), "object": "chat.completion"}, "/v1/chat/completions"),
    "cohere": (cohere(ANSWER), "/v1/chat"),
    "http-json": ({"stars": 3}, "/v1"),
}
STREAMED: dict[str, tuple[str, str]] = {
    "gemini": (json.dumps(gemini(ANSWER)), f"/v1/models/{MODEL}:streamGenerateContent?alt=sse"),
    "mistral": (f"{json.dumps(mistral(ANSWER))}\n\ndata: [DONE]", "/v1/chat/completions"),
    "cohere": ("\n\ndata: ".join(map(json.dumps, COHERE_EVENTS)) + "\n\ndata: [DONE]", "/v1/chat"),
}


def asked(folder: Path, capability: Any, server: FaultServer, **adapter: Any) -> Outcome[Any]:
    config = {
        "ledger": {"url": f"sqlite:///{folder}/failsoft.db"},
        "adapters": {
            "it": {
                "model": MODEL,
                "api_key": SecretStr("k" * 20),
                "base_url": server.base_url,
                "floating": True,
                **adapter,
            }
        },
        "capabilities": {capability.name: {"adapters": ["it"], "deadline": "5s"}},
    }
    with Isolation(config, capabilities=[capability]) as isolation:
        return isolation[capability].sync(Item(name="bolt"))


def path_of(server: FaultServer) -> str:
    return server.requests[0].split(b" ", 2)[1].decode()


@pytest.mark.parametrize("provider", WHOLE)
def test_a_whole_answer_comes_through(provider: str, tmp_path: Path) -> None:
    body, path = WHOLE[provider]
    with FaultServer(http_reply(json.dumps(body))) as server:
        outcome = asked(tmp_path, RateItem, server, provider=provider)
        assert path_of(server) == path
    assert (outcome.value, outcome.by_ai) == (Rating(stars=3), True)
    assert outcome.served is not None
    assert outcome.served.model == (None if provider in ("cohere", "http-json") else MODEL)


@pytest.mark.parametrize("provider", STREAMED)
def test_a_streamed_answer_comes_through(provider: str, tmp_path: Path) -> None:
    events, path = STREAMED[provider]
    reply = http_reply(f"data: {events}\n\n", headers={"content-type": "text/event-stream"})
    with FaultServer(reply) as server:
        outcome = asked(tmp_path, RateItem, server, provider=provider, stream=True)
        assert path_of(server) == path
    assert (outcome.value, outcome.by_ai) == (Rating(stars=3), True)


def test_a_service_that_wraps_nothing_answers_a_type_that_is_no_object(tmp_path: Path) -> None:
    options = {"response_field": "predictions.0", "served_field": "version", "request_field": "instances"}
    with FaultServer(http_reply(b'{"predictions": ["blue"], "version": "m-2026-01-01"}')) as server:
        outcome = asked(tmp_path, ColourOf, server, provider="http-json", options=options)
        assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2]) == {"instances": {"name": "bolt"}}
    assert (outcome.value, outcome.by_ai) == ("blue", True)
    assert outcome.served is not None
    assert (outcome.served.model, outcome.served.grade.value) == (MODEL, "provider-stated")


def test_an_answer_that_does_not_fit_ends_in_the_fallback(tmp_path: Path) -> None:
    with FaultServer(http_reply(json.dumps(gemini('{"stars": "many"}')))) as server:
        outcome = asked(tmp_path, RateItem, server, provider="gemini")
    assert (outcome.value, outcome.degraded) == (Rating(stars=0), True)
    assert [each.reason for each in outcome.passed_over] == ["schema_invalid"]
