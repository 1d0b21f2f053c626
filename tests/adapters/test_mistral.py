"""Mistral's dialect. Never recorded, so hand-made: thoughts in a content, ``error``, ``model_length``, and every error but a bad
key; of these the forms are those of the SDK's types and of reported threads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.adapters.replayed import (
    KEY,
    SCHEMA,
    Row,
    access,
    answered,
    ask,
    chunks_of,
    fuzz,
    needs_recordings,
    reply_of,
    rows,
    sent,
    streamed,
    streaming,
)

from failsoft.adapters.mistral import Mistral, codec
from failsoft.adapters.openai_stream import ChatPulse
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.core.effects import CannotAsk, HttpReply, Reply, Tokens
from failsoft.errors import ConfigurationError
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade
from failsoft.prompt import Document, Image, Message, Prompt, Sampling

K = FaultKind


def recorded() -> list[tuple[int, Row, Reading]]:
    return [(n, row, codec(streaming(row["requested_model"])).parse(reply_of(row))) for n, row in rows("mistral")]


def is_answer(row: Row) -> bool:
    return any("choices" in each for each in chunks_of(row))


def messages_of(row: Row) -> list[dict[str, Any]]:
    return [choice.get("message") or choice["delta"] for each in chunks_of(row) for choice in each.get("choices", [])]


# --- recorded ---------------------------------------------------------------------------------------------------------


@needs_recordings
def test_every_recorded_answer_is_read_as_it_stands() -> None:
    answers = [each for each in recorded() if is_answer(each[1])]
    assert len(answers) == 45
    moved = 0
    for number, row, reading in answers:
        last = chunks_of(row)[-1]
        assert reading.text == "".join(each.get("content") or "" for each in messages_of(row)), number
        assert reading.finish == last["choices"][0]["finish_reason"]
        assert reading.served.model == row["served_model"]
        same = row["served_model"] == row["requested_model"]
        assert reading.served.grade is (Grade.ECHOED if same else Grade.PROVIDER)
        moved += not same
        used = last["usage"]
        assert reading.tokens == Tokens(used["prompt_tokens"], used["completion_tokens"])
        assert reading.served.request_id
    assert moved == 1


@needs_recordings
def test_every_recorded_tool_call_is_told() -> None:
    told = 0
    for _, row, reading in recorded():
        calls = [call for each in messages_of(row) if is_answer(row) for call in each.get("tool_calls") or ()]
        assert [(each.name, each.arguments, each.number) for each in reading.calls] == [
            (each["function"]["name"], each["function"]["arguments"], each["id"]) for each in calls
        ]
        told += bool(calls)
    assert told == 16


@needs_recordings
def test_recorded_faults_are_what_the_table_says() -> None:
    seen = [(reading.fault.kind, row["kind"]) for _, row, reading in recorded() if reading.fault]
    counts = {each: seen.count(each) for each in seen}
    assert counts == {
        (K.UNAUTHENTICATED, "error_401"): 1,
        (K.AMBIGUOUS_REPLY, "tool_call"): 16,
        (K.NOT_AN_ANSWER, "embeddings"): 3,
        (K.TRUNCATED, "plain"): 1,
    }
    [bad_key] = [reading.fault for _, row, reading in recorded() if row["kind"] == "error_401"]
    assert bad_key is not None
    assert bad_key.certain  # it has Mistral's own header


@needs_recordings
def test_recorded_structured_answers_come_out_as_their_json() -> None:
    found = 0
    for _, row in rows("mistral"):
        if row["kind"] == "structured":
            reply = codec(access()).decode(reply_of(row))
            assert isinstance(reply, Reply)
            assert json.loads(reply.answer) == json.loads(messages_of(row)[0]["content"])
            found += 1
    assert found == 4


@needs_recordings
def test_no_recorded_stream_cut_before_its_end_passes() -> None:
    for _, row in rows("mistral"):
        if row["stream"]:
            body = reply_of(row).body
            for end in (0, len(body) // 2, body.rindex(b'"finish_reason"')):
                fault = (
                    codec(streaming()).parse(HttpReply(200, {"content-type": "text/event-stream"}, body[:end])).fault
                )
                assert fault is not None
                assert fault.kind is K.TRUNCATED_STREAM


@needs_recordings
def test_requests_have_the_recorded_keys() -> None:
    bodies = [row["request"]["body"] for _, row in rows("mistral")]
    fields = {name for body in bodies for name in body}
    assert sent(codec(access()), sampling=Sampling(stop=("END",))).keys() - fields == set()
    assert sent(codec(access(options={"structured": "tool"}))).keys() - fields == {"parallel_tool_calls"}
    formats = [body["response_format"] for body in bodies if "response_format" in body]
    asked = sent(codec(access()))["response_format"]
    [native, *_] = [each for each in formats if each["type"] == "json_schema"]
    assert asked.keys() == native.keys()
    assert asked["json_schema"].keys() <= native["json_schema"].keys()


@needs_recordings
def test_no_spoilt_recording_makes_it_raise() -> None:
    plain, tool = codec(streaming()), codec(streaming(options={"structured": "tool"}))
    readings = fuzz("mistral", lambda row: tool if row["tool_call"] else plain, 2000, 12)
    assert sum(each.fault is None for each in readings) > 50
    assert len({each.fault.kind for each in readings if each.fault}) > 8


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_request_says_exactly_this() -> None:
    request = codec(access()).encode(ask(sampling=Sampling(max_tokens=64, stop=("END",))))
    assert (request.method, request.url) == ("POST", "https://h.example/v1/chat/completions")
    assert json.loads(request.body) == {
        "model": "some-model",
        "messages": [{"role": "system", "content": "Classify."}, {"role": "user", "content": "Büchse"}],
        "stream": False,
        "temperature": 0.0,
        "random_seed": 0,
        "max_tokens": 64,
        "stop": ["END"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "classify-item",
                "schema": {**SCHEMA, "additionalProperties": False},
                "strict": True,
            },
        },
    }
    assert dict(request.headers)["authorization"] == f"Bearer {KEY}"


def test_a_tool_must_be_called_alone() -> None:
    body = sent(codec(access(options={"structured": "tool"})))
    [tool] = body["tools"]
    assert tool == {
        "type": "function",
        "function": {
            "name": "classify-item",
            "description": "Gives the answer.",
            "parameters": {**SCHEMA, "additionalProperties": False},
            "strict": True,
        },
    }
    assert body["tool_choice"] == {"type": "function", "function": {"name": tool["function"]["name"]}}
    assert body["parallel_tool_calls"] is False
    assert "response_format" not in body


@pytest.mark.parametrize(("way", "form"), [("json", {"type": "json_object"}), ("prompt", None)])
def test_a_schema_can_be_told_in_words(way: str, form: Any) -> None:
    body = sent(codec(access(options={"structured": way})))
    assert body.get("response_format") == form
    assert [each["role"] for each in body["messages"]] == ["system", "system", "user"]
    assert '"fsc"' in body["messages"][1]["content"]


def test_a_stream_is_asked_for_and_fields_are_wished_for() -> None:
    made = codec(streaming(options={"leave_out": ["random_seed"], "body": {"safe_prompt": True}}))
    request = made.encode(ask())
    body = json.loads(request.body)
    assert (body["stream"], body["safe_prompt"], request.pulse) == (True, True, ChatPulse)
    assert "random_seed" not in body


def test_images_and_documents_are_data_urls() -> None:
    parts = ("see", Image(b"G", "image/gif"), Document(b"%PDF", "application/pdf", "a b"))
    [message] = sent(codec(access()), prompt=Prompt((Message("user", parts),)))["messages"]
    assert message["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,Rw=="}},
        {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERg==", "document_name": "a b"},
    ]


def test_what_it_cannot_be_shown_is_not_asked() -> None:
    with pytest.raises(CannotAsk):
        codec(access()).encode(ask(prompt=Prompt((Message("user", (Document(b"a", "text/csv"),)),))))


OWN = ("model", "messages", "response_format", "stream", "n", "tools", "tool_choice", "parallel_tool_calls")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"structured": "x"}, '"native", "tool", "json", "prompt"'),
        ({"api": "v1"}, r'options\.api: must be one of "chat"'),
        *(({"body": {each: 2}}, rf"options\.body: {each} is") for each in OWN),
        *(({"leave_out": [each]}, rf"options\.leave_out: {each} is") for each in OWN),
        ({"x": 1}, "known are: api, body, leave_out, structured"),
    ],
)
def test_options_that_could_change_what_is_promised_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        codec(access(options=options))


# --- reading ----------------------------------------------------------------------------------------------------------


def completion(
    text: Any = '{"fsc": "1005"}', finish: Any = "stop", calls: Any = None, **changes: Any
) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "tool_calls": calls}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return {"id": "n1", "object": "chat.completion", "model": "some-model", "choices": [choice], **changes}


def read(body: Any, status: int = 200, headers: dict[str, str] | None = None, **options: Any) -> Reading:
    return codec(access(options=options)).parse(answered(body, status, headers))


def fault(body: Any, status: int = 200, headers: dict[str, str] | None = None, **options: Any) -> Fault:
    found = read(body, status, headers, **options).fault
    assert found is not None
    assert found.status == status
    return found


CALL = {"id": "c1", "function": {"name": "f", "arguments": '{"a":1}'}}


def test_thoughts_are_no_part_of_the_text() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": '{"a"'},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": ":1}"},
        {"type": "text", "text": 7},
    ]
    assert read(completion(parts)).text == '{"a":1}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (completion(finish="error"), K.SERVER_ERROR),
        (completion(finish="model_length"), K.TRUNCATED),
        (completion(finish="length"), K.TRUNCATED),
        (completion(finish="new"), K.MALFORMED_REPLY),
        (completion(finish=None), K.MALFORMED_REPLY),
        (completion(None), K.EMPTY_REPLY),
        (completion([]), K.EMPTY_REPLY),
        (completion(choices=[]), K.EMPTY_REPLY),
        (completion(choices=completion()["choices"] * 2), K.AMBIGUOUS_REPLY),
        (completion(finish="tool_calls"), K.AMBIGUOUS_REPLY),
        (completion(calls=[CALL]), K.AMBIGUOUS_REPLY),
        ({"object": "list", "data": []}, K.NOT_AN_ANSWER),
        ({"id": "n1", "model": "m", "results": [{"categories": {}}]}, K.NOT_AN_ANSWER),
        ({"object": "chat.completion"}, K.EMPTY_REPLY),
        ({"object": "error", "message": "m", "type": "rate_limited", "code": "1300"}, K.RATE_LIMITED),
        ({"error": {"message": "m"}}, K.SERVER_ERROR),
    ],
)
def test_a_reply_that_does_not_answer_is_a_fault(body: Any, expected: FaultKind) -> None:
    assert fault(body).kind is expected


def test_a_completion_that_does_not_say_what_it_is_is_read() -> None:
    body = completion()
    del body["object"]
    assert read(body).fault is None


def test_of_two_choices_the_first_ones_text_is_kept() -> None:
    assert read(completion(choices=completion()["choices"] * 2)).text == '{"fsc": "1005"}'


def test_a_call_is_the_answer_only_where_it_was_forced() -> None:
    assert read(completion("", "tool_calls", [CALL]), structured="tool").answer == '{"a":1}'
    assert read(completion("", "tool_calls", [{"function": {"name": "f", "arguments": {"a": 1}}}])).calls == (
        ToolCall("f", '{"a":1}'),
    )
    assert read(completion("", "tool_calls", [{"function": {"arguments": ""}}])).calls == (ToolCall("", "{}"),)
    assert fault(completion("", "tool_calls", [CALL, CALL]), structured="tool").kind is K.AMBIGUOUS_REPLY


TOO_LONG = "Prompt contains 40960 tokens and 0 draft tokens, too large for model with 32768 maximum context length"


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"object": "error", "type": "invalid_model", "code": "1500"}, 400, K.MODEL_NOT_FOUND),
        ({"object": "error", "type": "x", "code": "1500"}, 400, K.MODEL_NOT_FOUND),
        ({"object": "error", "type": "rate_limited", "code": None}, 400, K.RATE_LIMITED),
        ({"object": "error", "type": "service_tier_capacity_exceeded", "code": None}, 429, K.OVERLOADED),
        ({"object": "error", "type": "x", "code": "3505"}, 429, K.OVERLOADED),
        ({"object": "error", "type": "invalid_model", "code": None}, 400, K.MODEL_NOT_FOUND),
        ({"object": "error", "type": "x", "code": "1300"}, 400, K.RATE_LIMITED),
        ({"object": "error", "code": "3051", "message": TOO_LONG}, 400, K.CONTEXT_TOO_LONG),
        (
            {"object": "error", "code": 3051, "message": TOO_LONG.replace(" and 0 draft tokens", "")},
            400,
            K.CONTEXT_TOO_LONG,
        ),
        ({"object": "error", "code": "3051", "message": "Image input is not enabled"}, 400, K.REQUEST_REJECTED),
        ({"object": "error", "code": "3050", "message": TOO_LONG}, 400, K.REQUEST_REJECTED),
        ({"error": {"type": "rate_limited"}}, 400, K.RATE_LIMITED),
        ({"object": "error", "type": ["x"], "code": 1300}, 400, K.REQUEST_REJECTED),
        ({"detail": [{"loc": ["body"], "msg": "m"}]}, 422, K.REQUEST_REJECTED),
        ({"detail": "Payment required"}, 402, K.QUOTA_SPENT),
        ({"detail": "m"}, 403, K.FORBIDDEN),
        (b"", 503, K.SERVER_ERROR),
    ],
)
def test_an_error_is_what_its_code_says_else_its_status(body: Any, status: int, expected: FaultKind) -> None:
    assert fault(body, status).kind is expected


def test_a_401_is_certain_only_from_mistral_itself() -> None:
    assert not fault({"detail": "Unauthorized"}, 401).certain
    assert fault({"detail": "Unauthorized"}, 401, {"mistral-correlation-id": "x"}).certain
    assert fault(b"", 503, {"retry-after": "1"}).kind is K.OVERLOADED


def test_a_model_that_is_not_named_is_unknown() -> None:
    served = read(completion(model=None)).served
    assert (served.model, served.grade, served.request_id) == (None, Grade.UNKNOWN, "n1")


def chunk(text: str, finish: Any = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "n1", "object": "chat.completion.chunk", "model": "some-model", "choices": [choice], "p": "abc"}


def test_a_stream_is_read_like_its_answer() -> None:
    made = codec(streaming())
    assert made.parse(streamed(chunk('{"a"'), chunk(":1}", "stop"), "[DONE]")).text == '{"a":1}'
    cut = made.parse(streamed(chunk('{"a"')))
    assert cut.fault is not None
    assert (cut.fault.kind, cut.text) == (K.TRUNCATED_STREAM, '{"a"')
    broken = made.parse(streamed(chunk('{"a"', "error"), "[DONE]"))
    assert broken.fault is not None
    assert (broken.fault.kind, broken.text) == (K.SERVER_ERROR, '{"a"')
    assert isinstance(made, Mistral)
