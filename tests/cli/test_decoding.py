"""`failsoft adapter decode`: one JSON object a line, whatever the file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from failsoft.adapters.recorded import exchanged
from failsoft.cli.app import app
from failsoft.cli.decoding import Decoder, api_named, provider_named
from failsoft.providers import PROVIDERS
from tests.commands import CliRunner

CHAT = "https://api.example/v1/chat/completions"


def chat(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": '{"a": 1}', **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"id": "c", "object": "chat.completion", "model": "m-1", "choices": [choice], "usage": usage}


def row(body: Any, url: str = CHAT, status: int = 200, **headers: str) -> dict[str, Any]:
    return {
        "request": {"url": url, "body": {"model": "m"}},
        "response": {"status": status, "headers": headers, "body": body},
    }


def decoded(
    tmp_path: Path, *lines: Any, provider: str = "openai", options: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    file = tmp_path / "rows.jsonl"
    texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    file.write_bytes(b"\n".join(texts))
    result = CliRunner().invoke(app, ["adapter", "decode", "--provider", provider, *options, str(file)])
    assert result.exit_code == 0, result.output
    return [json.loads(each) for each in result.output.splitlines()]


def test_an_answer_is_told_whole(tmp_path: Path) -> None:
    (found,) = decoded(tmp_path, row(chat(), **{"x-request-id": "r-1"}))
    assert found == {
        "line": 1,
        "status": 200,
        "served": "m-1",
        "grade": "provider-stated",
        "fingerprint": None,
        "request_id": "r-1",
        "text": '{"a": 1}',
        "value": {"a": 1},
        "tool_calls": [],
        "finish": "stop",
        "fault": None,
        "detail": None,
        "usage": {"input": 3, "output": 2, "total": 5},
        "retry_after": None,
    }


def test_what_was_said_stands_beside_a_fault(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": '{"q": 1}'}}
    cut = chat(content="half an ans")
    cut["choices"][0]["finish_reason"] = "length"
    tool, truncated, prose = decoded(tmp_path, row(chat(tool_calls=[call])), row(cut), row(chat(content="words")))
    assert tool["fault"] == "ambiguous_reply"
    assert tool["tool_calls"] == [{"name": "look_up", "arguments": '{"q": 1}', "id": "1"}]
    assert (truncated["fault"], truncated["text"], truncated["finish"]) == ("truncated", "half an ans", "length")
    assert (prose["fault"], prose["text"]) == (None, "words")
    assert "value" not in prose


def test_an_error_says_how_long_to_wait(tmp_path: Path) -> None:
    error = {"error": {"code": "rate_limit_exceeded", "message": "x"}}
    told, untold = decoded(tmp_path, row(error, status=429, **{"retry-after": "7"}), row(error, status=429))
    assert (told["fault"], told["retry_after"]) == ("rate_limited", 7.0)
    assert (untold["fault"], untold["retry_after"]) == ("rate_limited", None)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"null",
        b"5",
        b"\xff\xfe\x00",
        b'{"response": 5}',
        b'{"response": {"status": "200"}}',
        b'{"response": {"status": 200, "body": "%", "body_encoding": "base64"}}',
        b"[" * 100_000,
        b'{"response": {"status": 200, "headers": 5, "body": {"a": "\\ud800"}}}',
        b'{"response": {"status": 200, "headers": {"content-type": 5}, "body": null}, "request": {"url": "http://[", "body": 5}}',
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "bedrock", "http-json"])
def test_whatever_a_line_holds_it_is_one_object_with_a_fault(line: bytes, provider: str, tmp_path: Path) -> None:
    (found,) = decoded(tmp_path, line, provider=provider)
    assert found["fault"] is not None


def test_empty_lines_are_none_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    assert [each["line"] for each in decoded(tmp_path, b"", row(chat()), b"  ", row(chat()))] == [2, 4]


def test_a_line_beyond_the_limit_is_told_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failsoft.cli.decoding.MAX_LINE", 100)
    (found,) = decoded(tmp_path, row(chat()))[:1]
    assert found["fault"] == "not_recorded"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_providers_replies_can_be_read(provider: str) -> None:
    for api in PROVIDERS[provider].apis:
        found = Decoder(PROVIDERS[provider], api).exchange(
            exchanged(row({"nothing": "known"}, url="https://x.example/"))
        )
        assert (found["fault"] is None) == (provider == "http-json")  # there the whole body is the answer


def test_a_gateway_that_speaks_anothers_dialect_is_read_all_the_same(tmp_path: Path) -> None:
    message = {"type": "message", "id": "m", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn"}
    body = {**message, "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}}
    found = decoded(tmp_path, row(body, "https://gateway.example/v1/messages"), provider="openai-compatible")
    assert (found[0]["text"], found[0]["served"]) == ("hi", "claude-x")


def test_underscores_and_an_endpoint_may_be_told(tmp_path: Path) -> None:
    body = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": []}
    for endpoint in ("responses", "/v1/responses"):
        (found,) = decoded(tmp_path, row(body, ""), provider="azure_openai", options=("--endpoint", endpoint))
        assert found["fault"] == "empty_reply"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--provider", "opnai", "x"], "there is none named 'opnai'; did you mean 'openai'?"),
        (["--provider", "callable", "x"], "there is none named 'callable'"),
        (
            ["--provider", "openai", "--endpoint", "nowhere", "x"],
            "openai has no 'nowhere'; it's one of chat, responses",
        ),
        (["--provider", "openai", "nowhere.jsonl"], "can't be read"),
        (["--provider", "openai", "."], "can't be read"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["adapter", "decode", *arguments])
    assert result.exit_code == 1
    assert told in result.output.replace("\n", " ")


def test_standard_input_is_read() -> None:
    result = CliRunner().invoke(app, ["adapter", "decode", "--provider", "openai", "-"], input=json.dumps(row(chat())))
    assert json.loads(result.output)["served"] == "m-1"


@pytest.mark.parametrize(
    ("provider", "endpoint", "api"),
    [
        ("gemini", "generate", "generate-content"),
        ("gemini", "streamGenerateContent", "generate-content"),
        ("gemini", "generate_stream", "generate-content"),
        ("bedrock", "converse_stream", "converse"),
        ("bedrock", "invoke-stream", "invoke"),
        ("openai", "completions", "chat"),
        ("openai", "/v1/chat/completions?x=1", "chat"),
        ("ollama", "generate", "generate"),
        ("llama.cpp", "chat", "chat"),
        ("OpenAI", "responses", "responses"),
    ],
)
def test_interfaces_and_providers_are_called_by_several_words(provider: str, endpoint: str, api: str) -> None:
    assert api_named(provider_named(provider), endpoint) == api


def test_a_foreign_provider_that_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("no such thing")

    monkeypatch.setattr("failsoft.cli.decoding.find", broken)
    result = CliRunner().invoke(app, ["adapter", "decode", "--provider", "acme", "x"])
    assert result.exit_code == 1
    assert "can't be loaded: ImportError" in result.output


def test_the_rest_of_a_line_that_is_too_long_is_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failsoft.cli.decoding.MAX_LINE", 2_000)
    found = decoded(tmp_path, row(chat()), row(chat(content="x" * 9_000)), row(chat()))
    assert [(each["line"], each["fault"]) for each in found] == [(1, None), (2, "not_recorded"), (3, None)]


def test_anothers_own_place_is_not_read_as_this_providers(tmp_path: Path) -> None:
    url = "https://api.groq.com/openai/v1/chat/completions"
    (found,) = decoded(tmp_path, row(chat(), url), provider="anthropic")
    assert found["fault"] == "not_an_answer"
    assert decoded(tmp_path, row(chat(), url), provider="groq")[0]["fault"] is None
