"""Claude on Vertex AI: Anthropic's messages at Google's place. Nothing of it was recorded, so replies are hand-made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.adapters.asks import ask, body_of, made, reply_of
from tests.adapters.test_anthropic import message
from tests.adapters.test_anthropic_stream import WHOLE, stream

from failsoft.adapters.registry import api_of, reader_of
from failsoft.core.effects import HttpReply, Tokens
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.outcome import Grade
from failsoft.providers import PROVIDERS

K = FaultKind
MODEL = "claude-sonnet-4-5@20250929"
PLACE = "https://us-east5-aiplatform.googleapis.com/v1/projects/P/locations/us-east5"


def vertex(model: str = MODEL, *, stream: bool = False, **options: Any) -> Any:
    return made("vertex", model, base_url=PLACE, stream=stream, **{"api": "anthropic", **options})


def test_the_path_names_the_model_and_the_body_the_version() -> None:
    request = vertex().encode(ask(model=MODEL))
    assert request.url == f"{PLACE}/publishers/anthropic/models/{MODEL}:rawPredict"
    assert dict(request.headers)["authorization"].startswith("Bearer ")
    body = json.loads(request.body)
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert not {"model", "stream"} & body.keys()
    assert body["tool_choice"]["type"] == "tool"
    other = vertex("publishers/anthropic/models/m", stream=True).encode(ask(model="n"))
    assert other.url == f"{PLACE}/publishers/anthropic/models/n:streamRawPredict"
    assert json.loads(other.body)["stream"] is True


def test_a_schema_is_asked_for_natively_where_the_options_say_so() -> None:
    body = body_of(vertex(structured="native"))
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert "tools" not in body


def test_an_unknown_interface_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='"anthropic"'):
        vertex(api="raw")


def test_its_replies_are_read_whole_and_streamed() -> None:
    for reply in (reply_of(message()), HttpReply(200, {"content-type": "text/event-stream"}, stream(*WHOLE))):
        reading = vertex(stream=True, structured="native").parse(reply)
        assert (reading.text, reading.fault, reading.served.grade) == ('{"fsc": "1005"}', None, Grade.PROVIDER)
        assert reading.tokens == Tokens(7, reading.tokens.output)


def test_an_error_is_googles_or_claudes() -> None:
    for body, status, kind in (
        ({"error": {"code": 404, "status": "NOT_FOUND"}}, 404, K.MODEL_NOT_FOUND),
        ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], 429, K.RATE_LIMITED),
        ({"type": "error", "error": {"type": "overloaded_error"}}, 500, K.OVERLOADED),
    ):
        assert vertex().parse(reply_of(body, status)).fault.kind is kind


def test_its_urls_are_known() -> None:
    for method in ("rawPredict", "streamRawPredict"):
        api = api_of(PROVIDERS["vertex"], f"{PLACE}/publishers/anthropic/models/{MODEL}:{method}")
        assert api == "anthropic"
    assert reader_of(PROVIDERS["vertex"], "anthropic", MODEL).parse(reply_of(message())).fault is None  # type: ignore[attr-defined]
