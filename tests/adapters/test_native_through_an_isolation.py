"""Anthropic and Bedrock behind the front door: configured, sent over a socket, read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from tests.adapters.frames import chunk, event

from failsoft import Capability, ConfigurationError, Isolation, Outcome
from failsoft.adapters.aws_event_stream import MEDIA_TYPE
from failsoft.testing import FaultServer, http_reply

CLAUDE = "claude-haiku-4-5-20251001"
NOVA = "us.amazon.nova-lite-v1:0"
ANSWER = '{"stars": 3}'
MESSAGE = {"type": "message", "id": "msg_1", "model": CLAUDE, "stop_reason": "end_turn"}
EVENTS = (
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
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


class Item(BaseModel):
    name: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)


def configured(folder: Path, **adapter: Any) -> Isolation:
    return Isolation(
        {
            "ledger": {"url": f"sqlite:///{folder}/failsoft.db"},
            "adapters": {"it": {"api_key": SecretStr("k" * 20), **adapter}},
            "capabilities": {"rate-item": {"adapters": ["it"], "deadline": "5s"}},
        },
        capabilities=[RateItem],
    )


def asked(folder: Path, server: FaultServer, **adapter: Any) -> Outcome[Rating]:
    with configured(folder, base_url=server.base_url, **adapter) as isolation:
        return isolation[RateItem].sync(Item(name="bolt"))


CALLS: dict[str, tuple[Any, str, str, dict[str, Any]]] = {
    "anthropic": (
        json.dumps({**MESSAGE, "content": [{"type": "text", "text": ANSWER}]}),
        "application/json",
        "/v1/messages",
        {"provider": "anthropic", "model": CLAUDE},
    ),
    "anthropic streamed": (
        "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in EVENTS),
        "text/event-stream",
        "/v1/messages",
        {"provider": "anthropic", "model": CLAUDE, "stream": True},
    ),
    "converse": (
        json.dumps(CONVERSED),
        "application/json",
        "/v1/model/us.amazon.nova-lite-v1%3A0/converse",
        {"provider": "bedrock", "model": NOVA},
    ),
    "converse streamed": (
        b"".join(FRAMES),
        MEDIA_TYPE,
        "/v1/model/us.amazon.nova-lite-v1%3A0/converse-stream",
        {"provider": "bedrock", "model": NOVA, "stream": True},
    ),
    "invoke": (
        json.dumps(CONVERSED),
        "application/json",
        "/v1/model/us.amazon.nova-lite-v1%3A0/invoke",
        {"provider": "bedrock", "model": NOVA, "options": {"api": "invoke"}},
    ),
    "invoke streamed": (
        b"".join(map(chunk, EVENTS)),
        MEDIA_TYPE,
        f"/v1/model/anthropic.{CLAUDE}-v1%3A0/invoke-with-response-stream",
        {
            "provider": "bedrock",
            "model": f"anthropic.{CLAUDE}-v1:0",
            "served": (CLAUDE,),
            "stream": True,
            "options": {"api": "invoke"},
        },
    ),
}


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
@pytest.mark.parametrize("name", CALLS)
def test_an_answer_comes_through(name: str, transport: str, tmp_path: Path) -> None:
    body, kind, path, adapter = CALLS[name]
    with FaultServer(http_reply(body, headers={"content-type": kind})) as server:
        outcome = asked(tmp_path, server, transport=transport, **adapter)
        assert server.requests[0].split(b" ", 2)[1].decode() == path
    assert (outcome.value, outcome.by_ai) == (Rating(stars=3), True)
    assert outcome.served is not None
    assert (outcome.served.model == CLAUDE) is (adapter["model"] != NOVA)


def test_a_binary_stream_that_stalls_is_given_up(tmp_path: Path) -> None:
    def stall(peer: Any) -> None:
        peer.read_request()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: 99999\r\n\r\n"
        peer.send(head.encode() + b"".join(FRAMES[:2]))
        peer.hang()

    with FaultServer(stall) as server:
        outcome = asked(tmp_path, server, provider="bedrock", model=NOVA, stream=True, stream_gap="200ms", attempts=1)
    assert outcome.degraded
    assert [each.reason for each in outcome.passed_over] == ["stream_stalled"]


def test_a_region_takes_the_place_of_an_address_and_without_either_it_is_refused(tmp_path: Path) -> None:
    with configured(tmp_path, provider="bedrock", model=NOVA, options={"region": "us-gov-west-1", "fips": True}):
        pass
    with pytest.raises(ConfigurationError, match=r"adapters\.it\.options\.region: must be a region of AWS"):
        configured(tmp_path, provider="bedrock", model=NOVA)
