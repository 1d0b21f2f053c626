"""Anthropic's messages. Replies here are made by hand: those that were never recorded (refusals, pauses, errors inside a
stream, 529, spend limits), and the smallest of the others."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.adapters.native_asks import CLOSED, ask, body_of, replied

from failsoft.adapters.access import Access
from failsoft.adapters.anthropic import Anthropic, codec
from failsoft.adapters.claude_names import takes_sampling
from failsoft.adapters.claude_stream import MessagePulse
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import AnswerSchema, CannotAsk, HttpReply, Reply, Tokens
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.outcome import Grade
from failsoft.prompt import Document, Image, Message, Sampling

K = FaultKind
SECRET = "sk-ant-very-secret-1"
MODEL = "claude-haiku-4-5-20251001"
USER = Message("user", "Hi")


def made(model: str = MODEL, streaming: Streaming | None = None, **options: Any) -> Anthropic:
    return codec(Access(model, "anthropic", "https://api.anthropic.com/v1", SECRET, {}, streaming, options))


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_request_says_exactly_this() -> None:
    request = made().encode(ask())
    assert (request.method, request.url) == ("POST", "https://api.anthropic.com/v1/messages")
    assert json.loads(request.body) == {
        "model": "some-model",
        "max_tokens": 64,
        "system": "Classify.",
        "messages": [{"role": "user", "content": "Büchse"}],
        "temperature": 0.0,
        "output_config": {"format": {"type": "json_schema", "schema": CLOSED}},
    }
    headers = dict(request.headers)
    assert headers.pop("user-agent").startswith("failsoft/")
    assert headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
        "anthropic-version": "2023-06-01",
        "x-api-key": SECRET,
    }


def test_the_key_is_never_shown() -> None:
    assert SECRET not in repr(made()) + repr(made().encode(ask()))
    assert made().secrets == (SECRET,)


def test_a_streamed_request_says_so_and_is_listened_to() -> None:
    request = made(streaming=Streaming()).encode(ask())
    assert json.loads(request.body)["stream"] is True
    assert dict(request.headers)["accept"] == "text/event-stream, application/json"
    assert (request.pulse, request.gap_ns) == (MessagePulse, Streaming().gap_ns)


def test_a_forced_tool_asks_for_the_schema_of_models_that_have_no_other_way() -> None:
    body = body_of(made(structured="tool"))
    assert "output_config" not in body
    assert [(each["name"], each["input_schema"]) for each in body["tools"]] == [("classify-item", CLOSED)]
    assert body["tool_choice"] == {"type": "tool", "name": "classify-item", "disable_parallel_tool_use": True}


@pytest.mark.parametrize("model", ["claude-3-7-sonnet-20250219", "claude-opus-4-1-20250805", "claude-2.1"])
def test_models_that_cannot_be_held_to_a_schema_are_given_a_tool(model: str) -> None:
    assert "tools" in body_of(made(model))
    assert "tools" not in body_of(made(model, structured="prompt"))
    assert "output_config" in body_of(made(model, structured="native"))


def test_words_ask_for_it_too() -> None:
    body = body_of(made(structured="prompt"))
    assert body["system"].startswith("Classify.\n\nAnswer with one JSON object")
    assert json.dumps(CLOSED, separators=(",", ":")) in body["system"]
    assert not {"output_config", "tools"} & body.keys()


@pytest.mark.parametrize("structured", ["native", "tool", "prompt"])
def test_effort_stands_beside_the_format(structured: str) -> None:
    body = body_of(made(structured=structured, body={"output_config": {"effort": "low"}, "service_tier": "auto"}))
    assert body["output_config"]["effort"] == "low"
    assert ("format" in body["output_config"]) is (structured == "native")
    assert body["service_tier"] == "auto"


def test_the_version_is_part_of_what_is_recorded() -> None:
    newer = made(version="2026-10-21")
    assert dict(newer.encode(ask()).headers)["anthropic-version"] == "2026-10-21"
    assert (made().version, newer.version) == ("2+2023-06-01", "2+2026-10-21")
    assert "temperature" not in body_of(newer)
    assert dict(newer.encode(ask()).headers)["authorization"] == f"Bearer {SECRET}"


def test_betas_are_asked_for_only_where_they_are_named() -> None:
    assert dict(made(beta=["a-2026-01-01", "b"]).encode(ask()).headers)["anthropic-beta"] == "a-2026-01-01,b"


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-3-opus-20240229", True),
        ("claude-2.1", True),
        ("claude-instant-1.2", True),
        ("claude-opus-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-haiku-4-5-20251001", True),
        ("claude-sonnet-4-6", True),
        ("claude-opus-4-7", False),
        ("claude-opus-4-8", False),
        ("claude-sonnet-5", False),
        ("claude-fable-5-1", False),
        ("claude-mythos-preview", False),
        ("something-else", False),
        ("us.anthropic.claude-sonnet-4-6", True),
        ("anthropic.claude-v2:1", True),
        ("anthropic.claude-3-haiku-20240307-v1:0:48k", True),
        ("us-gov.anthropic.claude-opus-4-7-v1:0", False),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.anthropic.claude-opus-4-6-v1", True),
    ],
)
def test_a_temperature_is_sent_to_models_that_take_one(model: str, takes: bool) -> None:
    assert takes_sampling(model) is takes
    assert not takes_sampling(model, "2026-10-21")


def test_sampling_that_says_nothing_is_left_out_and_a_seed_has_no_place() -> None:
    body = body_of(made(), ask(sampling=Sampling(temperature=None, seed=7, stop=("END",))))
    assert body["stop_sequences"] == ["END"]
    assert not {"temperature", "seed"} & body.keys()


def test_thinking_takes_no_temperature() -> None:
    assert "temperature" not in body_of(made(body={"thinking": {"type": "adaptive"}}))


def test_fields_are_left_out_that_a_model_refuses() -> None:
    assert "temperature" not in body_of(made(leave_out=["temperature"]))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"version": "today"}, "options.version"),
        ({"beta": ["a b"]}, "options.beta"),
        ({"structured": "json"}, "options.structured"),
        ({"api": "chat"}, "options.api"),
        ({"unknown": 1}, "options.unknown"),
        ({"body": {"model": "x"}}, "options.body: model"),
        ({"leave_out": ["messages"]}, "options.leave_out: messages"),
        ({"body": {"fallbacks": []}}, "options.body: fallbacks"),
        ({"body": {"output_config": {"format": {}}}}, "options.body: output_config"),
        ({"body": {"output_config": 1}}, "options.body: output_config"),
        ({"structured": "tool", "body": {"thinking": {"type": "enabled"}}}, "no tool may be forced"),
    ],
)
def test_options_that_cannot_stand_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        made(**options)


def test_images_and_documents_are_shown() -> None:
    image, pdf = Image(b"png", "image/png"), Document(b"%PDF", "application/pdf", "the report")
    text = Document("Größe".encode(), "text/plain")
    body = body_of(made(), ask(Message("user", ("See", image, pdf, text))))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "See"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"png").decode()},
        },
        {
            "type": "document",
            "title": "the report",
            "source": {
                "type": "base64",
                "media_type": "application/pdf",
                "data": base64.b64encode(b"%PDF").decode(),
            },
        },
        {
            "type": "document",
            "title": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Größe"},
        },
    ]


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", (Document(b"x", "text/csv"),)),),
        (Message("user", (Document(b"\xff", "text/plain"),)),),
        (Message("system", (Image(b"x", "image/png"),)), USER),
        (USER, Message("assistant", (Image(b"x", "image/png"),)), USER),
        (USER, Message("assistant", "The answer is")),
        (Message("assistant", "Welcome"), USER),
        (Message("system", "Only this"),),
    ],
)
def test_what_claude_cannot_be_shown_is_never_sent(messages: tuple[Message, ...]) -> None:
    with pytest.raises(CannotAsk) as error:
        made().encode(ask(*messages))
    assert error.value.fault.kind is K.UNSUPPORTED_CONTENT


def test_worked_examples_and_several_instructions_keep_their_order() -> None:
    messages = (Message("system", "A"), USER, Message("assistant", "{}"), Message("system", ("B", "C")), USER)
    body = body_of(made(), ask(*messages))
    assert body["system"] == "A\n\nB\n\nC"
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user"]
    assert "system" not in body_of(made(), ask(USER))


def schema_of(schema: dict[str, Any]) -> dict[str, Any]:
    found = body_of(made(), ask(answer=AnswerSchema("x", {"type": "object", "properties": {"a": schema}})))
    return found["output_config"]["format"]["schema"]["properties"]["a"]


def test_what_its_grammar_does_not_know_is_told_in_words() -> None:
    assert schema_of({"type": "integer", "minimum": 1}) == {"type": "integer", "description": "(minimum 1)"}
    assert schema_of({"type": "string", "format": "date"}) == {"type": "string", "format": "date"}
    assert schema_of({"type": "string", "format": "regex"})["description"] == '(format "regex")'
    assert schema_of({"type": "string", "pattern": "^a$"})["description"] == '(pattern "^a$")'
    items = {"type": "array", "items": {"type": "string"}}
    assert schema_of({**items, "minItems": 1}) == {**items, "minItems": 1}
    assert schema_of({**items, "minItems": 8}) == {**items, "description": "(minItems 8)"}
    assert schema_of({"oneOf": [{"type": "string"}, {"type": "null"}]}) == {
        "anyOf": [{"type": "string"}, {"type": "null"}]
    }


def test_a_type_that_holds_itself_cannot_be_asked_for() -> None:
    node = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Other"}, {"type": "null"}]}}}
    other = {"type": "object", "properties": {"node": {"$ref": "#/$defs/Node"}}}
    answer = AnswerSchema("x", {"$ref": "#/$defs/Node", "$defs": {"Node": node, "Other": other}})
    with pytest.raises(ConfigurationError, match="holds itself"):
        made().prepare(answer)
    assert made(structured="tool").prepare(answer)
    leaf = {"Node": {"type": "object", "properties": {"a": {"$ref": "#/$defs/Leaf"}}}, "Leaf": {"type": "string"}}
    assert made().prepare(AnswerSchema("y", {"$ref": "#/$defs/Node", "$defs": leaf}))


def test_two_ways_to_ask_keep_their_own_bytes() -> None:
    answer = AnswerSchema("x", CLOSED)
    for each in (made(), made(structured="tool"), made(body={"output_config": {"effort": "low"}})):
        each.prepare(answer)
    assert len(answer.cache) == 3


# --- reading ----------------------------------------------------------------------------------------------------------


def message(*content: Any, finish: Any = "end_turn", **changes: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(content) if content else [{"type": "text", "text": '{"fsc": "1005"}'}],
        "stop_reason": finish,
        "usage": {"input_tokens": 7, "output_tokens": 3},
        **changes,
    }


def read(body: Any, status: int = 200, codec: Anthropic | None = None, **headers: str) -> Reading:
    return (codec or made()).parse(replied(body, status, **headers))


def kind(body: Any, status: int = 200, **headers: str) -> FaultKind | None:
    fault = read(body, status, **headers).fault
    return None if fault is None else fault.kind


def test_an_answer_says_who_gave_it() -> None:
    reply = made().decode(replied(message(), request_id="req_1"))
    assert isinstance(reply, Reply)
    assert reply.answer == b'{"fsc": "1005"}'
    assert (reply.served.model, reply.served.grade, reply.served.request_id) == (MODEL, Grade.PROVIDER, "req_1")
    assert reply.tokens == Tokens(7, 3)


def test_an_alias_that_comes_back_as_it_was_sent_is_an_echo() -> None:
    alias = "claude-3-5-haiku-latest"
    assert read(message(model=alias), codec=made(alias)).served.grade is Grade.ECHOED
    assert read(message(), codec=made(alias)).served.grade is Grade.PROVIDER
    assert read(message(model="claude-sonnet-5"), codec=made("claude-sonnet-5")).served.grade is Grade.PROVIDER
    assert read(message(model=7)).served.grade is Grade.UNKNOWN


def test_text_needs_not_come_first_and_reasoning_is_none_of_it() -> None:
    blocks = (
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": '{"fsc":'},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "of_the_future"},
        {"type": "text", "text": ' "1005"}'},
        {"type": "text", "text": 7},
        "no block",
    )
    assert read(message(*blocks)).text == '{"fsc": "1005"}'


def test_a_tool_call_is_no_answer_where_none_was_forced() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {"fsc": "1005"}}
    reading = read(message({"type": "text", "text": "Let me see"}, call, finish="tool_use"))
    assert reading.fault is not None
    assert reading.fault.kind is K.AMBIGUOUS_REPLY
    assert reading.calls == (ToolCall("answer", '{"fsc":"1005"}', "toolu_1"),)
    assert reading.text == "Let me see"


def test_the_forced_tools_arguments_are_the_answer() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {"fsc": "1005"}}
    forced = made(structured="tool")
    reply = forced.decode(replied(message(call, finish="tool_use")))
    assert isinstance(reply, Reply)
    assert reply.answer == b'{"fsc":"1005"}'
    fault = read(message(call, call, finish="tool_use"), codec=forced).fault
    assert fault is not None
    assert fault.kind is K.AMBIGUOUS_REPLY
    assert read(message(), codec=forced).fault is None  # it answered in words: these are read then


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("end_turn", None),
        ("stop_sequence", None),
        ("tool_use", K.AMBIGUOUS_REPLY),
        ("max_tokens", K.TRUNCATED),
        ("model_context_window_exceeded", K.TRUNCATED),
        ("pause_turn", K.TRUNCATED),
        ("refusal", K.REFUSED),
        ("compaction", K.MALFORMED_REPLY),
        (None, K.MALFORMED_REPLY),
        (7, K.MALFORMED_REPLY),
        ([], K.MALFORMED_REPLY),
    ],
)
def test_why_it_ended_decides(finish: Any, expected: FaultKind | None) -> None:
    assert kind(message(finish=finish)) is expected
    assert read(message(finish=finish)).text == '{"fsc": "1005"}'


def test_a_refusal_may_say_nothing_and_an_answer_may_not() -> None:
    assert kind({**message(finish="refusal"), "content": []}) is K.REFUSED
    assert kind({**message(), "content": []}) is K.EMPTY_REPLY
    assert kind({**message(), "content": {"a": 1}}) is K.EMPTY_REPLY
    assert kind(message({"type": "text", "text": " \n"})) is K.EMPTY_REPLY


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"input_tokens": 7, "output_tokens": 3}, Tokens(7, 3)),
        (
            {
                "input_tokens": 7,
                "output_tokens": 3,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 20,
            },
            Tokens(127, 3),
        ),
        ({"input_tokens": None, "output_tokens": 3, "cache_read_input_tokens": 5}, Tokens(None, 3)),
        ({"input_tokens": -1}, None),
        ("much", None),
    ],
)
def test_usage_counts_what_a_cache_gave_too(usage: Any, tokens: Tokens | None) -> None:
    assert read(message(usage=usage)).tokens == tokens


@pytest.mark.parametrize(
    "body", [{"input_tokens": 14}, {"type": "message_batch", "id": "x"}, {"object": "chat.completion", "choices": []}]
)
def test_what_is_no_message_is_no_answer(body: Any) -> None:
    assert kind(body) is K.NOT_AN_ANSWER


ERRORS: list[tuple[int, dict[str, Any], FaultKind]] = [
    (400, {"type": "invalid_request_error", "message": "no"}, K.REQUEST_REJECTED),
    (
        400,
        {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"},
        K.CONTEXT_TOO_LONG,
    ),
    (
        400,
        {"type": "invalid_request_error", "message": "You have reached your specified API usage limits."},
        K.QUOTA_SPENT,
    ),
    (
        400,
        {"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API."},
        K.QUOTA_SPENT,
    ),
    (
        400,
        {
            "type": "invalid_request_error",
            "message": "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
        },
        K.CONTEXT_TOO_LONG,
    ),
    (400, {"type": "invalid_request_error", "message": "x: You have reached your specified"}, K.REQUEST_REJECTED),
    (401, {"type": "authentication_error"}, K.UNAUTHENTICATED),
    (402, {"type": "billing_error"}, K.QUOTA_SPENT),
    (403, {"type": "permission_error"}, K.MODEL_NOT_FOUND),
    (404, {"type": "not_found_error", "message": "model: x"}, K.MODEL_NOT_FOUND),
    (404, {"type": "not_found_error", "message": "File not found"}, K.NOT_FOUND),
    (409, {"type": "conflict_error"}, K.CONFLICT),
    (413, {"type": "request_too_large"}, K.CONTEXT_TOO_LONG),
    (429, {"type": "rate_limit_error"}, K.RATE_LIMITED),
    (429, {"type": "rate_limit_error", "details": {"error_code": "ramp_limit_exceeded"}}, K.RATE_LIMITED),
    (429, {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}, K.QUOTA_SPENT),
    (429, {"type": "rate_limit_error", "details": {"error_code": "contract_spend_limit_reached"}}, K.QUOTA_SPENT),
    (500, {"type": "api_error"}, K.SERVER_ERROR),
    (504, {"type": "timeout_error"}, K.SERVER_ERROR),
    (529, {"type": "overloaded_error"}, K.OVERLOADED),
    (529, {"type": "of_the_future"}, K.OVERLOADED),
    (418, {"type": ["a"], "message": {}, "details": []}, K.REQUEST_REJECTED),
]


@pytest.mark.parametrize(("status", "error", "expected"), ERRORS)
def test_an_error_is_what_its_type_says(status: int, error: dict[str, Any], expected: FaultKind) -> None:
    body = {"type": "error", "error": error, "request_id": "req_2"}
    reading = read(body, status, x_should_retry="false")
    assert reading.fault is not None
    assert (reading.fault.kind, reading.fault.status, reading.fault.give_up) == (expected, status, True)
    assert reading.served.request_id == "req_2"


def test_a_limit_of_the_customers_own_and_a_missing_file_are_not_believed_at_once() -> None:
    for status, error, _ in (ERRORS[2], ERRORS[3], ERRORS[10]):
        fault = read({"type": "error", "error": error}, status).fault
        assert fault is not None
        assert not fault.certain


def test_an_error_without_json_is_its_status() -> None:
    assert kind(b"<html>", 503) is K.SERVER_ERROR
    assert kind(b"", 503, retry_after="3") is K.OVERLOADED
    assert kind({"error": None}) is K.SERVER_ERROR
    assert kind({"type": "error", "error": {"type": "overloaded_error"}}) is K.OVERLOADED
    assert made().fault_of(HttpReply(401, {}, b""), {}).kind is K.UNAUTHENTICATED
