"""Cohere's dialect. Never recorded, so hand-made: errors but a removed model, ERROR_TOXIC, ERROR_LIMIT, MAX_TOKENS, an error in
``message-end``, version 1's tool calls; their forms are those of the SDK's types and of the errors' page."""

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
    fed,
    fuzz,
    needs_recordings,
    reply_of,
    rows,
    sent,
    streamed,
    streaming,
)

from failsoft.adapters.cohere import Cohere, codec
from failsoft.adapters.cohere_reply import CoherePulse
from failsoft.adapters.event_stream import MAX_EVENTS
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.core.effects import CannotAsk, HttpReply, Reply, Tokens
from failsoft.errors import ConfigurationError
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade
from failsoft.prompt import Document, Image, Message, Prompt, Sampling

K = FaultKind
FINISH = {
    "MAX_TOKENS": K.TRUNCATED,
    "ERROR_LIMIT": K.TRUNCATED,
    "ERROR_TOXIC": K.FILTERED,
    "ERROR": K.SERVER_ERROR,
    "TIMEOUT": K.SERVER_ERROR,
    "USER_CANCEL": K.SERVER_ERROR,
}
OWN = ("model", "messages", "stream", "response_format", "tools", "tool_choice", "strict_tools", "documents")
LINES = {"content-type": "application/stream+json"}


def recorded() -> list[tuple[int, Row, Reading]]:
    return [(number, row, codec(streaming()).parse(reply_of(row))) for number, row in rows("cohere")]


def text_of(row: Row) -> str:
    """What a recorded answer says, read by hand."""
    said = []
    for each in chunks_of(row):
        if "event_type" in each:
            said.append(each.get("text", "") if each["event_type"] == "text-generation" else "")
        elif isinstance(each.get("text"), str):
            said.append(each["text"])
        else:
            message = each.get("message") or each.get("delta", {}).get("message", {})
            content = message.get("content", []) if isinstance(message, dict) else []
            said += [part.get("text", "") for part in (content if isinstance(content, list) else [content])]
    return "".join(said)


def last_of(row: Row) -> dict[str, Any]:
    """The part of a recorded answer that holds reason and usage."""
    last = chunks_of(row)[-1]
    return last.get("response") or last.get("delta") or last


def is_answer(row: Row) -> bool:
    return "finish_reason" in last_of(row)


# --- recorded ---------------------------------------------------------------------------------------------------------


@needs_recordings
def test_every_recorded_answer_is_read_as_it_stands() -> None:
    answers = [each for each in recorded() if is_answer(each[1])]
    assert len(answers) == 46
    for number, row, reading in answers:
        last = last_of(row)
        assert reading.text == text_of(row), number
        assert reading.finish == last["finish_reason"]
        used = (last.get("usage") or last["meta"])["tokens"]
        assert reading.tokens == Tokens(used["input_tokens"], used["output_tokens"])
        assert (reading.served.model, reading.served.grade) == (None, Grade.UNKNOWN)
        first = chunks_of(row)[0]
        assert reading.served.request_id == (first.get("id") or first["generation_id"])


@needs_recordings
def test_every_recorded_tool_call_is_told() -> None:
    told = 0
    for number, row, reading in recorded():
        calls: dict[str, list[str]] = {}
        for each in chunks_of(row):
            message = each.get("message") or each.get("delta", {}).get("message", {})
            made = message.get("tool_calls") if isinstance(message, dict) else None
            for call in made if isinstance(made, list) else [made] if made else []:
                name = call.get("id") or list(calls)[-1]
                calls.setdefault(name, []).append(call["function"].get("arguments") or "")
        assert {each.number: json.loads(each.arguments) for each in reading.calls} == {
            name: json.loads("".join(pieces) or "{}") for name, pieces in calls.items()
        }, number
        told += bool(calls)
    assert told == 13


@needs_recordings
def test_recorded_faults_are_what_the_table_says() -> None:
    seen = [(reading.fault.kind, row["kind"]) for _, row, reading in recorded() if reading.fault]
    assert {each: seen.count(each) for each in seen} == {
        (K.MODEL_NOT_FOUND, "error_404"): 2,
        (K.AMBIGUOUS_REPLY, "tool_call"): 13,
        (K.NOT_AN_ANSWER, "embeddings"): 4,
    }


@needs_recordings
def test_a_recorded_structured_answer_and_a_recorded_forced_tool_are_answers() -> None:
    [structured] = [row for _, row in rows("cohere") if row["kind"] == "structured"]
    reply = codec(access()).decode(reply_of(structured))
    assert isinstance(reply, Reply)
    assert json.loads(reply.answer) == json.loads(text_of(structured))
    made, found = codec(access(options={"structured": "tool"})), 0
    for _, row in rows("cohere"):
        if row["tool_call"] and (row["request"]["body"] or {}).get("tool_choice") == "REQUIRED":
            assert isinstance(made.decode(reply_of(row)), Reply)
            found += 1
    assert found == 2


@needs_recordings
def test_no_recorded_stream_cut_before_its_end_passes() -> None:
    for _, row in rows("cohere"):
        reply = reply_of(row)
        if isinstance(row["response"]["body"], str):
            mark = b"message-end" if row["stream"] else b'"stream-end"'
            for end in (0, len(reply.body) // 2, reply.body.rindex(mark)):
                fault = codec(streaming()).parse(HttpReply(200, reply.headers, reply.body[:end])).fault
                assert fault is not None
                assert fault.kind in (K.TRUNCATED_STREAM, K.MALFORMED_REPLY)


@needs_recordings
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_pulse_hears_every_recorded_stream_however_it_is_split(step: int) -> None:
    for _, row in rows("cohere"):
        if row["stream"]:
            pulse = CoherePulse()
            heard = fed(pulse, reply_of(row).body, step)
            assert heard == 1 if step > 7 else heard > 1


@needs_recordings
def test_requests_have_the_recorded_keys() -> None:
    bodies = [row["request"]["body"] for _, row in rows("cohere") if "/v2/chat" in row["request"]["url"]]
    fields = {name for body in bodies for name in body}
    body = sent(codec(access()), sampling=Sampling(seed=None, stop=("END",)))
    assert body.keys() - fields == {"max_tokens"}
    [form] = [each["response_format"] for each in bodies if "response_format" in each]
    assert body["response_format"].keys() == form.keys()
    assert sent(codec(access(options={"structured": "tool"}))).keys() - fields == {"seed", "max_tokens", "strict_tools"}


@needs_recordings
def test_no_spoilt_recording_makes_it_raise() -> None:
    plain, tool = codec(streaming()), codec(streaming(options={"structured": "tool"}))
    readings = fuzz("cohere", lambda row: tool if row["tool_call"] else plain, 2000, 13)
    assert sum(each.fault is None for each in readings) > 50
    assert len({each.fault.kind for each in readings if each.fault}) > 8


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_request_says_exactly_this() -> None:
    request = codec(access()).encode(ask(sampling=Sampling(max_tokens=64, stop=("END",))))
    assert (request.method, request.url) == ("POST", "https://h.example/v1/chat")
    assert json.loads(request.body) == {
        "model": "some-model",
        "messages": [{"role": "system", "content": "Classify."}, {"role": "user", "content": "Büchse"}],
        "stream": False,
        "temperature": 0.0,
        "seed": 0,
        "max_tokens": 64,
        "stop_sequences": ["END"],
        "response_format": {"type": "json_object", "json_schema": {**SCHEMA, "additionalProperties": False}},
    }
    assert dict(request.headers)["authorization"] == f"Bearer {KEY}"


def test_a_tool_is_strict_and_required() -> None:
    body = sent(codec(access(options={"structured": "tool"})))
    assert (body["tool_choice"], body["strict_tools"], len(body["tools"])) == ("REQUIRED", True, 1)
    assert "response_format" not in body
    assert body["tools"][0] == {
        "type": "function",
        "function": {
            "name": "classify-item",
            "description": "Gives the answer.",
            "parameters": {**SCHEMA, "additionalProperties": False},
        },
    }


@pytest.mark.parametrize(("way", "form"), [("json", {"type": "json_object"}), ("prompt", None)])
def test_a_schema_can_be_told_in_words(way: str, form: Any) -> None:
    body = sent(codec(access(options={"structured": way})), prompt=Prompt.of("q"))
    assert body.get("response_format") == form
    assert [each["role"] for each in body["messages"]] == ["system", "user"]
    assert '"fsc"' in body["messages"][0]["content"]


def test_a_stream_is_asked_for_and_images_are_data_urls() -> None:
    parts = ("see", Image(b"G", "image/gif"))
    request = codec(streaming()).encode(ask(prompt=Prompt((Message("user", parts),))))
    body = json.loads(request.body)
    assert (body["stream"], request.pulse) == (True, CoherePulse)
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,Rw=="}},
    ]
    with pytest.raises(CannotAsk):
        codec(access()).encode(ask(prompt=Prompt((Message("user", (Document(b"a", "application/pdf"),)),))))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"structured": "x"}, '"native", "tool", "json", "prompt"'),
        ({"api": "v1"}, r'options\.api: must be one of "chat"'),
        *(({"body": {each: []}}, rf"options\.body: {each} is") for each in OWN),
        ({"x": 1}, "known are: api, body, leave_out, structured"),
    ],
)
def test_options_that_could_change_what_is_promised_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        codec(access(options=options))


# --- reading ----------------------------------------------------------------------------------------------------------


def chat(text: Any = '{"a":1}', finish: Any = "COMPLETE", calls: Any = None, **changes: Any) -> dict[str, Any]:
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}]
    message = {"role": "assistant", "content": content, "tool_plan": "I will", "tool_calls": calls}
    return {"id": "n1", "message": message, "finish_reason": finish, **changes}


def read(body: Any, status: int = 200, headers: dict[str, str] | None = None, **options: Any) -> Reading:
    return codec(streaming(options=options)).parse(answered(body, status, headers))


def fault(body: Any, status: int = 200, headers: dict[str, str] | None = None, **options: Any) -> Fault:
    found = read(body, status, headers, **options).fault
    assert found is not None
    assert found.status == status
    return found


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def test_thoughts_and_plans_are_no_part_of_the_text() -> None:
    reading = read(chat())
    assert (reading.text, reading.fault, reading.tokens) == ('{"a":1}', None, None)
    assert read(chat(message={"content": "{}"})).text == "{}"


def test_tokens_are_what_was_read_and_written_not_what_is_billed() -> None:
    used = {"billed_units": {"input_tokens": 5, "output_tokens": 10}, "tokens": {"input_tokens": 607}}
    assert read(chat(usage=used)).tokens == Tokens(607, None)
    assert read(chat(usage={"billed_units": used["billed_units"]})).tokens is None


@pytest.mark.parametrize("finish", FINISH)
def test_other_reasons_than_complete_are_no_answer_and_keep_the_text(finish: str) -> None:
    reading = read(chat(finish=finish))
    assert reading.fault is not None
    assert (reading.fault.kind, reading.text) == (FINISH[finish], '{"a":1}')


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (chat(finish="NEW"), K.MALFORMED_REPLY),
        (chat(finish=["COMPLETE"]), K.MALFORMED_REPLY),
        (chat(" "), K.EMPTY_REPLY),
        (chat(7), K.EMPTY_REPLY),
        (chat(finish="TOOL_CALL"), K.AMBIGUOUS_REPLY),
        (chat(calls=[CALL]), K.AMBIGUOUS_REPLY),
        ({"id": "n1", "message": "went wrong"}, K.SERVER_ERROR),
        ({"id": "n1", "embeddings": {}, "texts": []}, K.NOT_AN_ANSWER),
        ({"text": "a"}, K.NOT_AN_ANSWER),
        ({"id": "n1", "message": {"content": []}}, K.MALFORMED_REPLY),
    ],
)
def test_a_reply_that_does_not_answer_is_a_fault(body: Any, expected: FaultKind) -> None:
    assert fault(body).kind is expected


def test_a_call_is_the_answer_only_where_it_was_forced() -> None:
    assert read(chat("", "TOOL_CALL", [CALL]), structured="tool").answer == '{"a":1}'
    assert fault(chat("", "TOOL_CALL", [CALL, CALL]), structured="tool").kind is K.AMBIGUOUS_REPLY
    empty = read(chat("", "TOOL_CALL", [{"function": {"name": "f", "arguments": ""}}]), structured="tool")
    assert (empty.answer, empty.calls) == ("{}", (ToolCall("f", "{}"),))


def test_version_1_is_understood() -> None:
    body = {"generation_id": "g1", "text": "{}", "finish_reason": "COMPLETE", "meta": {"tokens": {"output_tokens": 2}}}
    reading = read(body)
    assert (reading.text, reading.served.request_id, reading.tokens) == ("{}", "g1", Tokens(None, 2))
    calls = [{"name": "f", "parameters": {"a": 1}}]
    assert read({**body, "text": None, "tool_calls": calls}, structured="tool").answer == '{"a":1}'


def test_what_was_generated_before_there_were_chats_is_read_too() -> None:
    one = {"id": "g-1", "text": "{}", "finish_reason": "COMPLETE"}
    reading = read({"id": "r-1", "generations": [one], "prompt": "p"})
    assert (reading.text, reading.fault, reading.served.request_id) == ("{}", None, "r-1")
    two = read({"id": "r-1", "generations": [one, {**one, "text": "x"}]})
    assert two.fault is not None
    assert (two.text, two.fault.kind) == ("{}", K.AMBIGUOUS_REPLY)


def test_an_error_has_a_number_too() -> None:
    assert read({"id": "n1", "message": "m"}, 400).served.request_id == "n1"


TRIAL = "You are using a Trial key, which is limited to"


@pytest.mark.parametrize(
    ("body", "status", "expected", "certain"),
    [
        ({"message": "model 'x' was removed on September 15, 2025."}, 404, K.MODEL_NOT_FOUND, True),
        ({"message": "model 'x' was removed on September 15, 2025."}, 400, K.REQUEST_REJECTED, True),
        ({"message": "the model 'x' was removed"}, 404, K.NOT_FOUND, False),
        ({"message": "too many tokens: total number of tokens"}, 400, K.CONTEXT_TOO_LONG, True),
        ({"message": f"{TRIAL} 1000 API calls / month. You can continue"}, 429, K.QUOTA_SPENT, False),
        ({"message": "trial token rate limit exceeded, limit is 1000 api calls per month"}, 429, K.QUOTA_SPENT, False),
        ({"message": f"{TRIAL} 10 API calls / minute. It has 1000 API calls / month"}, 429, K.RATE_LIMITED, True),
        ({"message": ["x"]}, 400, K.REQUEST_REJECTED, True),
        ({"message": "invalid api token"}, 401, K.UNAUTHENTICATED, False),
        ({"message": "m"}, 498, K.UNAUTHENTICATED, True),
        ({"message": "m"}, 402, K.QUOTA_SPENT, True),
        ({"message": "m"}, 429, K.RATE_LIMITED, True),
        (b"", 503, K.SERVER_ERROR, True),
    ],
)
def test_an_error_is_what_its_status_says(body: Any, status: int, expected: FaultKind, certain: bool) -> None:
    found = fault(body, status)
    assert (found.kind, found.certain) == (expected, certain)


# --- streams ----------------------------------------------------------------------------------------------------------

START = {"type": "message-start", "id": "n1", "delta": {"message": {"role": "assistant", "content": []}}}
END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 1}}}}


def piece(text: Any, kind: str = "content-delta") -> dict[str, Any]:
    return {"type": kind, "index": 0, "delta": {"message": {"content": {"text": text}}}}


def call(index: Any, kind: str = "tool-call-delta", **function: Any) -> dict[str, Any]:
    made = {"id": "c1", "function": function} if kind == "tool-call-start" else {"function": function}
    return {"type": kind, "index": index, "delta": {"message": {"tool_calls": made}}}


def heard(*events: Any, **options: Any) -> Reading:
    return codec(streaming(options=options)).parse(streamed(*events))


def test_events_are_put_together() -> None:
    thought = {"type": "content-delta", "delta": {"message": {"content": {"thinking": "hm"}}}}
    reading = heard(
        START, piece("", "content-start"), thought, piece('{"a"'), piece(":1}"), {"type": "new"}, END, "[DONE]"
    )
    assert (reading.text, reading.fault, reading.tokens) == ('{"a":1}', None, Tokens(1, None))
    assert reading.served.request_id == "n1"


def test_calls_come_in_pieces_or_without_any() -> None:
    end = {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}
    started = (call(0, "tool-call-start", name="f", arguments=""), call(1, "tool-call-start", name="g"))
    reading = heard(
        START, *started, call(0, arguments='{"a"'), call(0, arguments=":1}"), call("x", arguments=None), end
    )
    assert reading.calls == (ToolCall("f", '{"a":1}', "c1"), ToolCall("g", "{}", "c1"))
    assert heard(START, started[0], end, structured="tool").answer == "{}"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([START, piece("{}")], K.TRUNCATED_STREAM),
        ([START, piece("{}"), "[DONE]"], K.TRUNCATED_STREAM),
        ([], K.TRUNCATED_STREAM),
        (
            [START, piece("{}"), {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "x"}}],
            K.SERVER_ERROR,
        ),
        ([START, piece("{}"), END, piece("x")], K.AMBIGUOUS_REPLY),
        ([START, piece("{}"), {**START, "id": "n2"}, END], K.AMBIGUOUS_REPLY),
        ([START, piece("{}"), "{"], K.MALFORMED_REPLY),
    ],
)
def test_a_stream_that_is_not_one_whole_answer_is_a_fault(events: list[Any], expected: FaultKind) -> None:
    reading = heard(*events)
    assert reading.fault is not None
    assert (reading.fault.kind, reading.text) == (expected, "{}" if events else "")


def lines(*events: Any) -> HttpReply:
    return HttpReply(200, LINES, b"\n".join(json.dumps(each).encode() for each in events))


def test_lines_of_version_1_are_read() -> None:
    made = codec(access())
    begun = (
        {"event_type": "stream-start", "generation_id": "g1"},
        {"event_type": "text-generation", "text": f'"{KEY[:5]}'},
    )
    cut = made.parse(lines(*begun, {"event_type": "text-generation", "text": KEY[5:]}, {"event_type": "new"}))
    assert cut.fault is not None
    assert (cut.fault.kind, cut.served.request_id) == (K.TRUNCATED_STREAM, "g1")
    assert cut.text == '"[secret]'
    whole = {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": {"text": "{}", "generation_id": "g1"}}
    assert made.parse(lines(*begun, whole)).fault is None
    many = made.parse(HttpReply(200, LINES, b"{}\n" * (MAX_EVENTS + 1))).fault
    full = made.parse(HttpReply(200, LINES, b"[" + b"1," * 1_000_001 + b"1]")).fault
    assert many is not None
    assert full is not None
    assert (many.kind, full.kind) == (K.TOO_LARGE, K.TOO_LARGE)


def test_a_pulse_hears_what_means_that_the_answer_goes_on() -> None:
    def hears(event: Any) -> bool:
        return CoherePulse().heard(streamed(event).body)

    plan = {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I"}}}
    thought = {"type": "content-delta", "delta": {"message": {"content": {"thinking": "hm"}}}}
    assert all(map(hears, (END, piece("a"), plan, thought, call(0, arguments="{"), call(0, "tool-call-start"))))
    assert not any(
        map(hears, (START, piece(""), piece(7), call(0, arguments=""), {"type": "content-end"}, "[DONE]", "[]"))
    )
    assert isinstance(codec(access()), Cohere)
