"""`stream = true`: one whole answer, its evidence, and what the next adapter answers when a stream stalls."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from failsoft import Capability, Isolation, Outcome
from failsoft.adapters import event_stream
from failsoft.ledger.read import read
from failsoft.testing import FaultServer, chat_answer, chat_stream, streams

MODEL = "m-2026-01-01"


class Item(BaseModel):
    name: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)


def isolation(folder: Path, top: dict[str, Any] | None = None, **adapters: dict[str, Any]) -> Isolation:
    config = {
        "ledger": {"url": f"sqlite:///{folder}/failsoft.db"},
        "adapters": {
            name: {"provider": "openai-compatible", "model": MODEL, "stream": True, **each}
            for name, each in adapters.items()
        },
        "capabilities": {"rate-item": {"adapters": list(adapters), "deadline": "5s"}},
        **(top or {}),
    }
    return Isolation(config, capabilities=[RateItem])


def asked(isolation: Isolation, mode: str) -> Outcome[Rating]:
    if mode == "sync":
        with isolation:
            return isolation[RateItem].sync(Item(name="bolt"))

    async def main() -> Outcome[Rating]:
        async with isolation:
            return await isolation[RateItem](Item(name="bolt"))

    return asyncio.run(main())


@pytest.fixture(params=["async", "sync", "aiohttp"])
def mode(request: pytest.FixtureRequest) -> str:
    if request.param == "aiohttp":
        pytest.importorskip("aiohttp", reason="the extra `fast` isn't installed")
    return str(request.param)


def transport(mode: str) -> dict[str, Any]:
    return {"transport": "aiohttp"} if mode == "aiohttp" else {}


def test_a_streamed_answer_is_one_answer_and_its_evidence_is_the_stream(mode: str, tmp_path: Path) -> None:
    with FaultServer(chat_stream(Rating(stars=3), size=2)) as server:
        outcome = asked(isolation(tmp_path, transport(mode), local={"base_url": server.base_url}), mode)
        assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2])["stream"] is True
    assert (outcome.value, outcome.by_ai) == (Rating(stars=3), True)
    assert outcome.served is not None
    assert outcome.served.model == MODEL
    with read(tmp_path / "failsoft.db") as reader:
        (entry,) = reader.records(kind="call.completed")
        (digest,) = (each["digest"] for each in entry.fields["commitments"] if each["path"] == "reply/1")
        payload = reader.payload(digest)
    assert payload is not None
    assert payload[2] == chat_stream(Rating(stars=3), size=2).body(MODEL)
    (attempt,) = entry.fields["attempts"]
    assert attempt["tokens"] == {"in": 12, "out": 8}


def test_where_a_stream_stalls_the_next_adapter_answers(mode: str, tmp_path: Path) -> None:
    with FaultServer(streams.STALLED_WITH_PINGS) as stalling, FaultServer(chat_answer(Rating(stars=4))) as whole:
        first = {"base_url": stalling.base_url, "stream_gap": "150ms"}
        outcome = asked(
            isolation(tmp_path, transport(mode), first=first, second={"base_url": whole.base_url}),
            mode,
        )
    assert outcome.value == Rating(stars=4)
    assert [(each.adapter, each.reason, each.billed) for each in outcome.passed_over] == [
        ("first", "stream_stalled", True)
    ]


def test_a_stream_of_more_than_any_answer_is_left_before_its_end(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "MAX_EVENTS", 1)
    with FaultServer(streams.STALLED) as endless, FaultServer(chat_answer(Rating(stars=4))) as whole:
        first = {"base_url": endless.base_url, "stream_gap": "4s"}
        outcome = asked(
            isolation(tmp_path, transport(mode), first=first, second={"base_url": whole.base_url}),
            mode,
        )
    assert outcome.value == Rating(stars=4)
    assert [(each.adapter, each.reason) for each in outcome.passed_over] == [("first", "too_large")]


@pytest.mark.parametrize(
    ("provider", "told", "expected"),
    [
        ("openai", None, "both"),
        ("openai", "finish", "finish"),
        ("openai-compatible", None, "finish"),
        ("openai-compatible", "done", "done"),
    ],
)
def test_openai_must_send_both_marks_and_others_a_finish_unless_told(
    provider: str, told: str | None, expected: str, tmp_path: Path
) -> None:
    key = {"api_key": SecretStr("sk-something")} if provider == "openai" else {"base_url": "http://127.0.0.1:9/v1"}
    model = "gpt-4.1-2025-04-14"
    made = isolation(
        tmp_path, gpt={"provider": provider, "model": model, "stream_end": told, "stream_gap": "2s", **key}
    )
    streaming = made._adapters["gpt"].codec.streaming  # type: ignore[union-attr]
    assert (streaming.end, streaming.first_ns, streaming.gap_ns) == (expected, 30 * 10**9, 2 * 10**9)
