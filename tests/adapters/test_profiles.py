"""Servers of OpenAI's dialects by their names. No json_schema request to Groq or DeepSeek was recorded: made by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asks import KEY, PDF, PNG, ask, assert_not_shown, body_of, made, reply_of
from recorded import Row, needs_recordings, rows
from tests.adapters.conforming_openai import FAMILY

from failsoft.adapters.registry import api_of
from failsoft.core.effects import Reply, Unusable
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.outcome import Grade
from failsoft.providers import PROVIDERS, facts
from failsoft.testing import adapter_conformance

K = FaultKind

NAMES = ("openrouter", "groq", "xai", "deepseek", "together", "vllm", "llama-cpp", "ollama", "azure-openai")
NO_PLACE = ("vllm", "llama-cpp", "azure-openai")
NO_KEY = ("vllm", "llama-cpp", "ollama")


def completion(text: Any = "{}", **changes: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage, **changes}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_provider_needs_is_known_before_it_is_asked(name: str) -> None:
    known = PROVIDERS[name]
    assert (known.base_url is None) is (name in NO_PLACE)
    assert (known.key is None) is (name in NO_KEY)
    for api in known.apis:
        options = {} if len(known.apis) == 1 else {"api": api}
        codec = made(name, **options)
        assert codec.provider == name
        assert api_of(known, codec.encode(ask()).url) == api
        assert KEY not in repr(codec)


@pytest.mark.parametrize("name", FAMILY)
def test_each_keeps_what_failsoft_relies_on(name: str) -> None:
    make, access, answer, faults, options = FAMILY[name]
    adapter_conformance(make, access, answer=answer, faults=faults, rounds=100, **options)


@pytest.mark.parametrize(
    ("name", "grade"),
    [
        ("openrouter", Grade.GATEWAY),
        ("groq", Grade.ECHOED),
        ("xai", Grade.PROVIDER),
        ("deepseek", Grade.PROVIDER),
        ("together", Grade.ECHOED),
        ("vllm", Grade.ECHOED),
        ("llama-cpp", Grade.ECHOED),
    ],
)
def test_how_far_a_served_name_can_be_believed(name: str, grade: Grade) -> None:
    reply = made(name).decode(reply_of(completion()))
    assert isinstance(reply, Reply)
    assert (reply.served.model, reply.served.grade, reply.served.upstream) == ("m", grade, None)


def test_openrouter_is_held_to_what_was_asked_and_keeps_nothing() -> None:
    for api in ("chat", "responses"):
        body = body_of(made("openrouter", api=api))
        assert body["provider"] == {
            "require_parameters": True,
            "allow_fallbacks": False,
            "data_collection": "deny",
            "zdr": True,
        }
        loose = {"only": ["azure"], "quantizations": ["bf16"], "allow_fallbacks": True, "zdr": False}
        told = body_of(made("openrouter", api=api, data_collection="allow", **loose))["provider"]
        assert told == {"require_parameters": True, "data_collection": "allow", **loose}
        with pytest.raises(ConfigurationError, match="provider is set by the library"):
            made("openrouter", api=api, body={"provider": {}})


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("anthropic/claude-sonnet-4.5", {"temperature"}),
        ("anthropic/claude-3.5-haiku:beta", {"temperature"}),
        ("anthropic/claude-opus-4.7", set()),
        ("~anthropic/claude-sonnet-latest", set()),
        ("amazon/nova-pro-v1", {"temperature"}),
        ("google/gemini-2.5-pro", {"temperature", "seed"}),
        ("meta-llama/llama-3.3-70b-instruct", {"temperature", "seed"}),
        ("openai/gpt-5", {"seed"}),
    ],
)
def test_at_openrouter_nothing_is_sent_that_a_model_takes_from_nobody(model: str, sent: set[str]) -> None:
    body = body_of(made("openrouter", model), ask(model=model, temperature=0.5, seed=3))
    assert {"temperature", "seed"} & body.keys() == sent


def test_openrouter_says_which_vendor_answered() -> None:
    reply = made("openrouter").decode(reply_of(completion(provider="Vendor"), x_generation_id="gen-1"))
    assert (reply.served.upstream, reply.served.request_id) == ("Vendor", "gen-1")


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_openrouter_says_whose_error_it_passes_on(api: str) -> None:
    error = {"message": "Provider returned error", "code": 429, "metadata": {"raw": "{}", "provider_name": "OpenAI"}}
    codec = made("openrouter", api=api)
    assert codec.decode(reply_of({"error": error}, 429)).served.upstream == "OpenAI"
    for metadata in ({"provider_name": ""}, {"provider_name": 5}, None, "OpenAI"):
        assert codec.decode(reply_of({"error": {**error, "metadata": metadata}}, 429)).served.upstream is None


def test_groq_enforces_a_schema_for_some_models_only() -> None:
    told = {
        model: body_of(made("groq", model))["response_format"]["json_schema"]["strict"]
        for model in ("openai/gpt-oss-120b", "llama-3.3-70b-versatile")
    }
    assert told == {"openai/gpt-oss-120b": True, "llama-3.3-70b-versatile": False}
    assert "minItems" not in json.dumps(body_of(made("groq"))).replace("(minItems 1)", "")


def test_xai_stores_nothing_and_its_reasoning_models_take_no_stop() -> None:
    assert body_of(made("xai", api="responses"))["store"] is False
    stop = ask(stop=("END",))
    assert "stop" not in body_of(made("xai", "grok-4-fast-reasoning"), stop)
    assert "stop" in body_of(made("xai", "grok-4-fast-non-reasoning"), stop)
    assert body_of(made("xai"))["max_tokens"] == 64
    reply = made("xai", api="responses").parse(reply_of({"metadata": {"system_fingerprint": "fp_1"}}))
    assert reply.served.fingerprint == "fp_1"


def test_deepseek_is_told_the_schema_and_does_not_think() -> None:
    body = body_of(made("deepseek"))
    assert body["response_format"] == {"type": "json_object"}
    assert "JSON" in body["messages"][0]["content"]
    assert body["thinking"] == {"type": "disabled"}
    assert body_of(made("deepseek", thinking=True))["thinking"] == {"type": "enabled"}
    assert "thinking" not in body_of(made("deepseek", api="responses"))
    assert_not_shown(made("deepseek"), PNG)


def test_deepseek_takes_a_strict_tool_at_its_beta_place() -> None:
    assert made("deepseek", structured="tool").endpoint == "https://api.deepseek.com/beta/chat/completions"
    elsewhere = made("deepseek", base_url="https://gateway.example/deepseek", structured="tool")
    assert elsewhere.endpoint == "https://gateway.example/deepseek/chat/completions"
    call = {"id": "1", "type": "function", "function": {"name": "answer", "arguments": '{"fsc": "1005"}'}}
    choice = {"index": 0, "message": {"content": "", "tool_calls": [call]}, "finish_reason": "tool_calls"}
    codec = made("deepseek", structured="tool")
    assert codec.decode(reply_of(completion(choices=[choice]))).answer == b'{"fsc": "1005"}'
    for finish, calls, kind in [
        ("length", [call], K.TRUNCATED),
        ("enough", [call], K.AMBIGUOUS_REPLY),
        ("stop", [call, call], K.AMBIGUOUS_REPLY),
    ]:
        changed = {"index": 0, "message": {"content": "", "tool_calls": calls}, "finish_reason": finish}
        assert codec.decode(reply_of(completion(choices=[changed]))).fault.kind is kind


def test_deepseeks_blanks_instead_of_what_could_not_be_parsed_are_no_answer() -> None:
    reply = made("deepseek").decode(reply_of(b"\n\n" + json.dumps(completion("   ")).encode()))
    assert isinstance(reply, Unusable)
    assert reply.fault.kind is K.EMPTY_REPLY


def test_together_has_an_envelope_of_its_own_and_is_shown_the_schema() -> None:
    body = body_of(made("together"))
    assert body["response_format"].keys() == {"type", "schema"}
    assert '"enum"' in body["messages"][0]["content"]


def test_local_servers_take_a_schema_as_openai_does() -> None:
    for name in ("vllm", "llama-cpp"):
        body = body_of(made(name))
        assert body["response_format"]["json_schema"].keys() == {"name", "schema", "strict"}
        assert body["max_tokens"] == 64
    assert '"pattern"' not in json.dumps(body_of(made("llama-cpp"))["response_format"])
    assert_not_shown(made("vllm"), PDF)


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (402, {"code": 402, "message": "credits"}, K.QUOTA_SPENT),
        (402, {"code": 402, "metadata": {"limit_source": "openrouter_in_flight_budget"}}, K.RATE_LIMITED),
        (403, {"code": 403, "metadata": {"limit_source": "openrouter_key_limit"}}, K.QUOTA_SPENT),
        (403, {"code": 403, "metadata": {"reasons": ["x"], "flagged_input": "y"}}, K.FILTERED),
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, K.QUOTA_SPENT),
        (498, {"code": "capacity_exceeded"}, K.OVERLOADED),
        (400, {"code": "json_validate_failed"}, K.MALFORMED_ANSWER),
        (502, {"code": 502, "message": "Provider returned error"}, K.SERVER_ERROR),
        (503, {"code": 503}, K.SERVER_ERROR),
        (503, {"type": "unavailable_error", "code": 503}, K.SERVER_ERROR),
        (529, {"code": 529}, K.OVERLOADED),
        (400, {"type": "exceed_context_size_error", "code": 400}, K.CONTEXT_TOO_LONG),
    ],
)
def test_errors_made_by_hand(status: int, error: dict[str, Any], expected: FaultKind) -> None:
    for name in ("openrouter", "groq", "xai", "deepseek", "together", "vllm", "llama-cpp"):
        fault = made(name).parse(reply_of({"error": error}, status)).fault
        assert fault is not None
        assert (fault.kind, fault.status) == (expected, status), name


# --- against recorded requests ----------------------------------------------------------------------------------------

CODECS_OWN = {
    "thinking",  # DeepSeek: one row has it
    "provider",  # OpenRouter: two rows have it
    "temperature",
    "seed",
    "store",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
}


def asked(row: Row) -> dict[str, Any] | None:
    body = row.held["request"]["body"]
    return body if isinstance(body, dict) else None


@needs_recordings
@pytest.mark.parametrize("name", ["openai", "openrouter", "xai", "deepseek", "groq"])
def test_no_field_is_sent_that_nobody_was_seen_to_send(name: str) -> None:
    """Field by field, at the same interface of the same provider; of a schema, its envelope."""
    for api in facts(name).apis:
        sent = [body for row in rows(name) if row.api == api and (body := asked(row)) is not None]
        seen = {field for body in sent for field in body}
        options = {} if name == "groq" else {"api": api}
        ours = body_of(made(name, "gpt-4.1-2025-04-14", **options), ask(stop=("END",)))
        assert ours.keys() - CODECS_OWN - {"stop"} <= seen | {"response_format", "text"}, api
        envelopes = [
            body.get("response_format") or body["text"]["format"]
            for body in sent
            if "response_format" in body or "format" in (body.get("text") or {})
        ]
        mine = ours.get("response_format") or ours["text"]["format"]
        alike = [each for each in envelopes if each["type"] == mine["type"]]
        if alike:
            assert mine.keys() in [each.keys() for each in alike]
            inner = [each["json_schema"].keys() for each in alike if "json_schema" in each]
            assert not inner or mine["json_schema"].keys() in inner


@needs_recordings
def test_messages_are_shaped_as_those_that_were_seen() -> None:
    shapes = {
        (type(message.get("content")).__name__, *sorted(message.keys()))
        for row in rows("openai")
        if row.api == "chat" and (body := asked(row)) is not None
        for message in body.get("messages", ())
    }
    for message in body_of(made("openai"))["messages"]:
        assert (type(message["content"]).__name__, *sorted(message.keys())) in shapes
