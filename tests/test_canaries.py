"""Secrets of every provider's adapter: in headers, in URLs, echoed in errors and answers, they come out nowhere."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from failsoft import Isolation
from failsoft.config_read import read_mapping
from failsoft.providers import PROVIDERS
from tests.core.scripted import GradeItem, Item

KEY = "canary-0f3b7c1d9e5a2846"
HEADER = "canary-9a8b7c6d5e4f3210"
TOLD = {
    "azure-openai": {"base_url": "https://r.openai.azure.us"},
    "bedrock": {"options": {"region": "us-gov-west-1"}},
    "vertex": {"base_url": "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"},
    "http-json": {"base_url": "https://service.example"},
}


def table(provider: str, **more: Any) -> dict[str, Any]:
    known = PROVIDERS[provider]
    place = {} if known.base_url else {"base_url": "https://host.example/v1"}
    told = {"floating": True, "served_pattern": ".*", **place, **TOLD.get(provider, {})}
    return {"provider": provider, "model": "amazon.nova-lite-v1:0" if provider == "bedrock" else "m-1", **told, **more}


class Echo(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers with what it was sent: headers, URL, and the key in every form that JSON has."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        sent = " ".join(request.headers.values())
        escaped = "".join(f"\\u{ord(each):04x}" for each in KEY)
        said = f"you sent {sent}, {KEY}, {HEADER}"
        error = json.dumps({"code": said, "type": said, "message": said, "status": said})
        body = (
            '{{"error": {}, "message": "{}", "detail": {}, "model": {}, "id": {}, "output": "{}",'
            ' "choices": [{{"message": {{"content": {}}}, "finish_reason": {}}}]}}'
        ).format(error, escaped, *(json.dumps(said),) * 3, escaped, *(json.dumps(said),) * 2)
        headers = {"x-request-id": sent, "request-id": sent, "x-ms-served-model": sent, "x-amzn-errortype": sent}
        return httpx.Response(self.status, headers={"content-type": "application/json", **headers}, content=body)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_a_provider_echoes_comes_out_nowhere(
    provider: str, status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", KEY)
    monkeypatch.setenv("HEADER", HEADER)
    secrets = {"api_key": {"env": "KEY"}, "headers": {"x-tenant-key": {"env": "HEADER"}}}
    config = {
        "ledger": {"url": f"sqlite:///{tmp_path}/l.db"},
        "adapters": {"a": table(provider, attempts=2, **secrets)},
        "capabilities": {"grade-item": {"adapters": ["a"], "deadline": "5s"}},
    }
    draft = read_mapping(config)
    assert draft.problems == []
    transport = Echo(status)
    with caplog.at_level(logging.DEBUG):
        isolated = Isolation(draft.config, capabilities=[GradeItem], transport=transport, sync_transport=transport)
        with isolated:
            outcome = isolated[GradeItem].sync(Item(description="x"))
            shown = [repr(outcome), repr(isolated.health()), repr(isolated._adapters["a"]), repr(draft), caplog.text]
            shown.append(repr(isolated._adapters["a"].codec))
    assert transport.asked >= 1
    assert not outcome.by_ai
    for each in shown:
        assert KEY not in each
        assert HEADER not in each
    for path in tmp_path.iterdir():
        held = path.read_bytes()
        assert KEY.encode() not in held, path
        assert HEADER.encode() not in held, path
        assert "".join(f"\\u{ord(each):04x}" for each in KEY).encode() not in held, path


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_exception_on_the_way_shows_no_key(
    provider: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", KEY)
    config = {
        "ledger": {"url": "none"},
        "adapters": {"a": table(provider, api_key={"env": "KEY"})},
        "capabilities": {"grade-item": {"adapters": ["a"], "deadline": "2s"}},
    }

    def fails(request: httpx.Request) -> httpx.Response:
        raise RuntimeError(f"with {request.headers}")

    transport = httpx.MockTransport(fails)
    with Isolation(config, capabilities=[GradeItem], transport=transport, sync_transport=transport) as isolated:
        outcome = isolated[GradeItem].sync(Item(description="x"))
    assert KEY not in repr(outcome)
    assert KEY not in caplog.text


def test_what_a_further_field_took_from_outside_is_struck_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "an-ordinary-key-0")
    monkeypatch.setenv("TENANT", KEY)
    monkeypatch.setenv("OTHER", HEADER)
    options = {"body": {"user": {"env": "TENANT"}, "metadata": {"x": [{"env": "OTHER"}]}}}
    config = {
        "ledger": {"url": f"sqlite:///{tmp_path}/l.db"},
        "adapters": {"a": table("openai", api_key={"env": "KEY"}, options=options)},
        "capabilities": {"grade-item": {"adapters": ["a"], "deadline": "5s"}},
    }
    draft = read_mapping(config)
    sent: list[bytes] = []

    def echo(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(400, content=b'{"error": {"message": "%b %b"}}' % (KEY.encode(), HEADER.encode()))

    transport = httpx.MockTransport(echo)
    isolated = Isolation(draft.config, capabilities=[GradeItem], transport=transport, sync_transport=transport)
    with isolated:
        outcome = isolated[GradeItem].sync(Item(description="x"))
    codec = isolated._adapters["a"].codec
    shown = [repr(each) for each in (draft, draft.config, codec, codec._access, isolated._upkeep, outcome)]  # type: ignore[union-attr]
    assert KEY.encode() in sent[0]
    for secret in (KEY, HEADER):
        assert all(secret not in each for each in shown)
        assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())
