"""One real model behind three dialects: chat completions, Responses and Anthropic's messages, each asked end to end.

The server honours a schema on chat completions only; on the other two a grammar of the whole server makes the answer JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, ConfigDict

import failsoft
from failsoft import Capability, Isolation, Sampling
from failsoft.ledger.read import read
from failsoft.ledger.verify import verify
from procurement import model_server, server_process

pytestmark = pytest.mark.skipif(model_server.missing() is not None, reason=str(model_server.missing()))

ALIAS = "SmolLM2-135M-Instruct-Q4_1"
GRAMMAR = r'root ::= "{\"fsc\": \"" ("5305" | "5310" | "7920") "\"}"'


class Item(BaseModel):
    model_config = ConfigDict(frozen=True)
    description: str


class SupplyClass(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    fsc: Literal["5305", "5310", "7920"]


class Classify(Capability[Item, SupplyClass]):
    """Which Federal Supply Class is it: 5305 screws, 5310 nuts and washers, 7920 brooms and brushes? Answer in JSON."""

    sampling = Sampling(max_tokens=64)

    def fallback(self, request: Item) -> SupplyClass:
        return SupplyClass(fsc="5305")


@pytest.fixture(scope="module")
def server() -> Iterator[server_process.ModelServer]:
    with server_process.ModelServer(ALIAS, grammar=GRAMMAR) as running:
        yield running


DIALECTS: dict[str, dict[str, Any]] = {
    "openai-compatible": {"provider": "openai-compatible"},
    "openai": {"provider": "openai", "floating": True},
    "openai responses": {"provider": "openai", "floating": True, "options": {"api": "responses"}},
    "anthropic": {"provider": "anthropic", "floating": True},
    "anthropic prompt": {"provider": "anthropic", "floating": True, "options": {"structured": "prompt"}},
    "llama-cpp": {"provider": "llama-cpp"},
    "openai streamed": {"provider": "openai", "floating": True, "stream": True},
    "anthropic streamed": {"provider": "anthropic", "floating": True, "stream": True},
    "openai responses streamed": {
        "provider": "openai",
        "floating": True,
        "stream": True,
        "options": {"api": "responses"},
    },
}


def isolation(
    server: server_process.ModelServer, ledger: Path, monkeypatch: pytest.MonkeyPatch, **table: Any
) -> Isolation:
    monkeypatch.setenv("KEY", "no-key-needed")
    adapter = {"model": ALIAS, "base_url": server.base_url, "api_key": {"env": "KEY"}, "served": ALIAS, **table}
    capability = {"adapters": ["a"], "deadline": "60s"}
    config = {
        "ledger": {"url": f"sqlite:///{ledger}"},
        "adapters": {"a": adapter},
        "capabilities": {"classify": capability},
    }
    return Isolation(config, capabilities=[Classify])


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_same_capability_is_answered_through_each_dialect(
    dialect: str, server: server_process.ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with isolation(server, tmp_path / "l.db", monkeypatch, **DIALECTS[dialect]) as isolated:
        outcome = await isolated[Classify](Item(description="push broom with stiff bristles"))
    assert outcome.by_ai, outcome.passed_over
    assert outcome.value.fsc in ("5305", "5310", "7920")
    assert outcome.served is not None
    assert outcome.served.model == ALIAS
    assert verify(tmp_path / "l.db").exit_code == 0


async def test_what_an_sdk_asks_is_observed_in_each_dialect_into_one_ledger(
    server: server_process.ModelServer, tmp_path: Path
) -> None:
    messages = [{"role": "user", "content": "Which class is a push broom?"}]
    asked = {
        "/chat/completions": {"model": ALIAS, "messages": messages, "max_tokens": 64},
        "/responses": {"model": ALIAS, "input": "Which class is a push broom?", "max_output_tokens": 64},
        "/messages": {"model": ALIAS, "messages": messages, "max_tokens": 64},
    }
    client = failsoft.observe(tmp_path / "l.db", library="httpx", pins={ALIAS: ALIAS}, timeout=60.0)
    async with client:
        for path, body in asked.items():
            reply: httpx.Response = await client.post(server.base_url + path, json=body)
            assert reply.status_code == 200, reply.text
            json.loads(reply.content)
    with read(tmp_path / "l.db") as reader:
        attempts = [each.fields["attempts"][0] for each in reader.records(kind="call.completed")]  # type: ignore[index]
    assert [each["adapter"] for each in attempts] == ["openai-compatible", "openai-compatible", "anthropic"]
    assert {each["served"]["model"] for each in attempts} == {ALIAS}
    assert all("fault" not in each for each in attempts)
    assert verify(tmp_path / "l.db").exit_code == 0
