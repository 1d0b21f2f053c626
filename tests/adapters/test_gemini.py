"""Gemini's dialect, at both places. Never recorded, so hand-made: promptFeedback blocks, errors inside a stream, several
candidates, and every reason to finish but STOP, MAX_TOKENS and SAFETY."""

from __future__ import annotations

import base64
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

from failsoft.adapters.gemini import Gemini, gemini, vertex
from failsoft.adapters.gemini_reply import GeminiPulse
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.core.effects import AnswerSchema, CannotAsk, HttpReply, Reply, Tokens, Unusable
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.outcome import Grade, Pin
from failsoft.prompt import Document, Image, Message, Prompt, Sampling

K = FaultKind
FINISH = {
    "MAX_TOKENS": K.TRUNCATED,
    "CONTINUATION": K.TRUNCATED,
    "SAFETY": K.FILTERED,
    "RECITATION": K.FILTERED,
    "LANGUAGE": K.FILTERED,
    "BLOCKLIST": K.FILTERED,
    "PROHIBITED_CONTENT": K.FILTERED,
    "SPII": K.FILTERED,
    "MODEL_ARMOR": K.FILTERED,
    "ESCALATION": K.FILTERED,
    "IMAGE_SAFETY": K.FILTERED,
    "IMAGE_PROHIBITED_CONTENT": K.FILTERED,
    "IMAGE_RECITATION": K.FILTERED,
    "IMAGE_OTHER": K.FILTERED,
    "NO_IMAGE": K.EMPTY_REPLY,
    "MALFORMED_FUNCTION_CALL": K.MALFORMED_ANSWER,
    "UNEXPECTED_TOOL_CALL": K.MALFORMED_ANSWER,
    "TOO_MANY_TOOL_CALLS": K.MALFORMED_ANSWER,
    "MALFORMED_RESPONSE": K.MALFORMED_ANSWER,
    "MISSING_THOUGHT_SIGNATURE": K.MALFORMED_ANSWER,
    "OTHER": K.SERVER_ERROR,
    "FINISH_REASON_UNSPECIFIED": K.SERVER_ERROR,
    "PUP_LIMITED_DISABLED": K.QUOTA_SPENT,
}
OWN = (
    *("contents", "model", "tools", "systemInstruction", "system_instruction", "toolConfig", "tool_config"),
    "generation_config",
)
OWN_IN_CONFIG = (
    *("responseMimeType", "response_mime_type", "responseJsonSchema", "response_json_schema"),
    *("responseSchema", "response_schema", "candidateCount", "candidate_count"),
)
PLACES = {"gemini": gemini, "vertex": vertex}


def recorded(provider: str) -> list[tuple[int, Row, Reading]]:
    made = PLACES[provider](streaming())
    return [(number, row, made.parse(reply_of(row))) for number, row in rows(provider)]


def parts_of(row: Row) -> list[dict[str, Any]]:
    """What a recorded answer holds, read by hand."""
    candidates = [each for chunk in chunks_of(row) for each in chunk.get("candidates", [])]
    return [part for each in candidates for part in each.get("content", {}).get("parts", [])]


def is_answer(row: Row) -> bool:
    return any("candidates" in each for each in chunks_of(row))


# --- recorded ---------------------------------------------------------------------------------------------------------

ERRORS = {
    **dict.fromkeys((0, 3, 4, 6, 8), K.MODEL_NOT_FOUND),
    **dict.fromkeys((1, 77), K.UNAUTHENTICATED),
    2: K.FORBIDDEN,
    7: K.RATE_LIMITED,
}


@needs_recordings
@pytest.mark.parametrize("provider", PLACES)
def test_every_recorded_text_is_read_as_it_stands(provider: str) -> None:
    wrong = []
    for number, row, reading in recorded(provider):
        said = [each["text"] for each in parts_of(row) if "text" in each and not each.get("thought")]
        if reading.text != "".join(said):
            wrong.append(number)
    assert wrong == []


@needs_recordings
@pytest.mark.parametrize(("provider", "least"), [("gemini", 145), ("vertex", 53)])
def test_every_recorded_answer_names_who_gave_it_and_what_it_used(provider: str, least: int) -> None:
    answers = [each for each in recorded(provider) if is_answer(each[1])]
    assert len(answers) >= least
    for _, row, reading in answers:
        last = chunks_of(row)[-1]
        stated = row["served_model"]
        assert reading.served.model == (stated and stated.removeprefix("models/"))
        assert reading.served.grade is (Grade.PROVIDER if stated else Grade.UNKNOWN)
        assert reading.served.request_id == last.get("responseId")
        assert reading.served.fingerprint is None
        assert reading.finish == {1: "STOP"}.get(reason := last["candidates"][0]["finishReason"], reason)
        assert reading.tokens is not None
        if reading.tokens.output is not None:  # a blocked answer has no count
            assert reading.tokens.total == last["usageMetadata"]["totalTokenCount"]


@needs_recordings
@pytest.mark.parametrize("provider", PLACES)
def test_every_recorded_function_call_is_told(provider: str) -> None:
    told = 0
    for _, row, reading in recorded(provider):
        calls = [each["functionCall"] for each in parts_of(row) if "functionCall" in each]
        assert [(each.name, json.loads(each.arguments), each.number) for each in reading.calls] == [
            (each["name"], each.get("args", {}), each.get("id")) for each in calls
        ]
        if calls:
            assert reading.fault is not None
            assert reading.fault.kind is K.AMBIGUOUS_REPLY
            told += 1
    assert told >= 16


@needs_recordings
def test_recorded_faults_are_what_the_table_says() -> None:
    seen = {
        number: reading.fault.kind
        for number, row, reading in recorded("gemini")
        if reading.fault and row["response"]["status"] != 200
    }
    assert seen == ERRORS
    [limited] = [reading for number, _, reading in recorded("gemini") if number == 7]
    assert limited.fault is not None
    assert limited.fault.retry_after_ns == 49_000_000_000
    others = {
        (provider, reading.fault.kind)
        for provider in PLACES
        for _, row, reading in recorded(provider)
        if reading.fault and row["response"]["status"] == 200
    }
    assert others == {
        *(("gemini", each) for each in (K.AMBIGUOUS_REPLY, K.FILTERED, K.TRUNCATED, K.NOT_AN_ANSWER)),
        *(("vertex", each) for each in (K.AMBIGUOUS_REPLY, K.NOT_AN_ANSWER)),
    }


@needs_recordings
@pytest.mark.parametrize("provider", PLACES)
def test_what_is_no_answer_is_known_by_its_shape(provider: str) -> None:
    for number, row, reading in recorded(provider):
        if row["response"]["status"] == 200:
            silent = reading.fault is not None and reading.fault.kind is K.NOT_AN_ANSWER
            assert silent is not is_answer(row), number


@needs_recordings
@pytest.mark.parametrize(("provider", "least"), [("gemini", 18), ("vertex", 9)])
def test_recorded_structured_answers_come_out_as_their_json(provider: str, least: int) -> None:
    made, found = PLACES[provider](streaming()), 0
    for _, row in rows(provider):
        if row["kind"] == "structured" and isinstance(reply := made.decode(reply_of(row)), Reply):
            said = "".join(each.get("text", "") for each in parts_of(row) if not each.get("thought"))
            assert json.loads(reply.answer) == json.loads(said)
            found += 1
    assert found >= least


@needs_recordings
def test_a_recorded_forced_function_is_the_answer() -> None:
    made, found = gemini(streaming(options={"structured": "tool"})), 0
    for _, row in rows("gemini"):
        body = row["request"]["body"] or {}
        calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
        if calling.get("mode") == "ANY" and len(calling.get("allowedFunctionNames", [])) == 1 and is_answer(row):
            reply = made.decode(reply_of(row))
            assert isinstance(reply, Reply)
            [call] = [each["functionCall"] for each in parts_of(row) if "functionCall" in each]
            assert json.loads(reply.answer) == call["args"]
            found += 1
    assert found >= 3


@needs_recordings
@pytest.mark.parametrize("provider", PLACES)
def test_no_recorded_stream_cut_before_its_end_passes(provider: str) -> None:
    made = PLACES[provider](streaming())
    cut = 0
    for _, row in rows(provider):
        if row["stream"] and row["response"]["status"] == 200:
            body = reply_of(row).body
            last = body.rindex(b"data:")
            for end in (0, last // 2, last, last + (len(body) - last) // 2):
                reading = made.parse(HttpReply(200, {"content-type": "text/event-stream"}, body[:end]))
                assert reading.fault is not None
                assert reading.fault.kind in (K.TRUNCATED_STREAM, K.MALFORMED_REPLY)
                cut += 1
    assert cut >= 60


@needs_recordings
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_pulse_hears_every_recorded_stream_however_it_is_split(step: int) -> None:
    for provider in PLACES:
        for _, row in rows(provider):
            if row["stream"] and row["response"]["status"] == 200:
                pulse = GeminiPulse()
                heard = fed(pulse, reply_of(row).body, step)
                assert heard == (1 if step > 7 else len(chunks_of(row)))
                assert not pulse.full


@needs_recordings
def test_requests_have_the_recorded_keys() -> None:
    bodies = [row["request"]["body"] for _, row in rows("gemini") if "generateContent" in row["request"]["url"]]
    fields = {name for body in bodies for name in body}
    configs = {name for body in bodies for name in body.get("generationConfig", {})}
    native = sent(gemini(access()), sampling=Sampling(seed=None, stop=("END",)))
    assert native.keys() - fields == {"store"}
    assert native["generationConfig"].keys() - configs == set()
    tool = sent(gemini(access(options={"structured": "tool"})))
    assert tool.keys() - fields == {"store"}


@needs_recordings
@pytest.mark.parametrize("provider", PLACES)
def test_no_spoilt_recording_makes_it_raise(provider: str) -> None:
    forced = {"structured": "tool"}
    plain, tool = PLACES[provider](streaming()), PLACES[provider](streaming(options=forced))
    readings = fuzz(provider, lambda row: tool if row["tool_call"] else plain, 2000, 11)
    assert sum(each.fault is None for each in readings) > 50
    assert len({each.fault.kind for each in readings if each.fault}) > 8


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_request_to_ai_studio_says_exactly_this() -> None:
    request = gemini(access("gemini-2.5-flash")).encode(ask(pin=Pin("gemini-2.5-flash")))
    assert request.method == "POST"
    assert request.url == "https://h.example/v1/models/gemini-2.5-flash:generateContent"
    assert json.loads(request.body) == {
        "contents": [{"role": "user", "parts": [{"text": "Büchse"}]}],
        "store": False,
        "systemInstruction": {"parts": [{"text": "Classify."}]},
        "generationConfig": {
            "temperature": 0.0,
            "seed": 0,
            "maxOutputTokens": 64,
            "responseMimeType": "application/json",
            "responseJsonSchema": {**SCHEMA, "additionalProperties": False},
        },
    }
    headers = dict(request.headers)
    assert headers["x-goog-api-key"] == KEY
    assert "authorization" not in headers
    assert request.pulse is None


def test_a_request_to_vertex_has_its_own_place_key_and_no_store() -> None:
    made = vertex(
        access("publishers/google/models/gemini-2.5-flash", base_url="https://v.example/v1/projects/p/locations/l")
    )
    request = made.encode(ask(pin=Pin("publishers/google/models/gemini-2.5-flash")))
    assert request.url == (
        "https://v.example/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent"
    )
    assert dict(request.headers)["authorization"] == f"Bearer {KEY}"
    assert "store" not in json.loads(request.body)


def test_a_streamed_reply_is_asked_for_as_events() -> None:
    made = gemini(streaming("models/m", base_url="https://h.example/v1?x=1"))
    request = made.encode(ask(pin=Pin("models/m")))
    assert request.url == "https://h.example/v1/models/m:streamGenerateContent?x=1&alt=sse"
    assert gemini(access(model="tunedModels/mine-1")).url == "https://h.example/v1/tunedModels/mine-1:generateContent"
    assert (request.pulse, request.first_ns > 0, request.gap_ns > 0) == (GeminiPulse, True, True)
    other = gemini(streaming("m")).encode(ask(pin=Pin("n/../@1")))
    assert other.url == "https://h.example/v1/models/n%2F..%2F@1:streamGenerateContent?alt=sse"


def test_assistants_are_models_and_what_is_left_out_is_not_sent() -> None:
    messages = (Message("system", "a"), Message("user", "q"), Message("assistant", "{}"), Message("user", "b"))
    made = gemini(
        access(
            options={
                "leave_out": ["temperature", "store"],
                "body": {"safetySettings": [], "generationConfig": {"seed": 7, "topK": 1}},
            }
        )
    )
    body = sent(made, prompt=Prompt(messages))
    assert [each["role"] for each in body["contents"]] == ["user", "model", "user"]
    assert body["generationConfig"].keys() >= {"seed", "topK", "maxOutputTokens"}
    assert body["generationConfig"]["seed"] == 7
    assert "temperature" not in body["generationConfig"]
    assert "store" not in body
    assert body["safetySettings"] == []


def test_a_configuration_may_hold_nothing_but_the_schema() -> None:
    left = {"leave_out": ["temperature", "seed", "maxOutputTokens"]}
    assert sent(gemini(access(options=left)))["generationConfig"].keys() == {"responseMimeType", "responseJsonSchema"}
    assert sent(gemini(access(options={**left, "structured": "tool"})))["generationConfig"] == {}


def test_a_functions_name_has_64_characters_at_most() -> None:
    body = sent(gemini(access(options={"structured": "tool"})), answer=AnswerSchema("a" * 65, SCHEMA))
    assert body["tools"][0]["functionDeclarations"][0]["name"] == "a" * 64


def test_without_a_system_message_there_is_no_instruction() -> None:
    assert "systemInstruction" not in sent(gemini(access()), prompt=Prompt.of("q"))


def test_the_older_schema_is_asked_for_by_its_own_field() -> None:
    config = sent(gemini(access(options={"structured": "schema"})))["generationConfig"]
    assert config["responseSchema"] == {**SCHEMA, "propertyOrdering": ["fsc"]}
    assert "responseJsonSchema" not in config


def test_a_tool_is_the_only_function_that_may_be_called() -> None:
    body = sent(
        gemini(access(options={"structured": "tool"})),
        answer=AnswerSchema("1. Büchse", {**SCHEMA, "description": "Which."}),
    )
    [tool] = body["tools"]
    [function] = tool["functionDeclarations"]
    assert (function["name"], function["description"]) == ("answer_1__B_chse", "Which.")
    assert function["parametersJsonSchema"]["properties"] == SCHEMA["properties"]
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["answer_1__B_chse"]}
    }
    assert "responseMimeType" not in body["generationConfig"]


@pytest.mark.parametrize(("way", "typed"), [("json", True), ("prompt", False)])
def test_a_schema_can_be_told_in_words(way: str, typed: bool) -> None:
    body = sent(gemini(access(options={"structured": way})))
    texts = [each["text"] for each in body["systemInstruction"]["parts"]]
    assert texts[0] == "Classify."
    assert '"fsc"' in texts[1]
    assert ("responseMimeType" in body["generationConfig"]) is typed
    assert "responseJsonSchema" not in body["generationConfig"]


def test_images_and_documents_go_inline() -> None:
    parts = ("see", Image(b"\x89", "image/png"), Document(b"%PDF", "application/pdf"))
    body = sent(gemini(access()), prompt=Prompt((Message("user", parts),)))
    assert body["contents"][0]["parts"] == [
        {"text": "see"},
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(b"\x89").decode()}},
        {"inlineData": {"mimeType": "application/pdf", "data": base64.b64encode(b"%PDF").decode()}},
    ]


@pytest.mark.parametrize(
    "message",
    [Message("user", (Image(b"G", "image/gif"),)), Message("system", ("a", Image(b"P", "image/png")))],
)
def test_what_it_cannot_be_shown_is_not_asked(message: Message) -> None:
    with pytest.raises(CannotAsk) as error:
        gemini(access()).encode(ask(prompt=Prompt((message,))))
    assert error.value.fault.kind is K.UNSUPPORTED_CONTENT


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"structured": "yes"}, '"native", "schema", "tool", "json", "prompt"'),
        ({"api": "chat"}, "generate-content"),
        *(({"body": {each: {}}}, rf"options\.body: {each} is") for each in OWN),
        *(({"leave_out": [each]}, rf"options\.leave_out: {each} is") for each in OWN),
        ({"body": {"generationConfig": []}}, r"options\.body: generationConfig"),
        *(({"body": {"generationConfig": {each: {}}}}, r"options\.body: generationConfig") for each in OWN_IN_CONFIG),
        ({"other": 1}, "other"),
    ],
)
def test_options_that_could_change_what_is_promised_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        gemini(access(options=options))


def test_a_schema_is_made_once_for_each_way_of_asking() -> None:
    answer = AnswerSchema("x", SCHEMA)
    made = gemini(access())
    assert made.prepare(answer) is gemini(access()).prepare(answer)
    assert made.prepare(answer) != gemini(access(options={"structured": "tool"})).prepare(answer)
    assert KEY not in repr(made)


# --- reading ----------------------------------------------------------------------------------------------------------


def content(*parts: Any, finish: Any = "STOP", **changes: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, "index": 0}
    if finish is None:
        del candidate["finishReason"]
    body = {
        "candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "thoughtsTokenCount": 2},
        "modelVersion": "models/gemini-2.5-flash",
        "responseId": "r1",
    }
    return {**body, **changes}


ANSWER = {"text": '{"fsc": "1005"}'}
CALL = {"functionCall": {"name": "f", "args": {"a": [1]}, "id": "c1"}}


def read(body: Any, **options: Any) -> Reading:
    return gemini(streaming(options=options)).parse(answered(body))


def kind(body: Any, **options: Any) -> FaultKind | None:
    fault = read(body, **options).fault
    return fault and fault.kind


def test_thoughts_are_no_part_of_the_text_but_counted() -> None:
    reading = read(content({"text": "hm", "thought": True}, {"text": '{"a"'}, {"executableCode": {}}, {"text": ":1}"}))
    assert (reading.text, reading.finish, reading.fault) == ('{"a":1}', "STOP", None)
    assert reading.tokens == Tokens(7, 5)
    assert (reading.served.model, reading.served.request_id) == ("gemini-2.5-flash", "r1")


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({}, None),
        ({"promptTokenCount": 7, "toolUsePromptTokenCount": 4}, Tokens(11, None)),
        ({"thoughtsTokenCount": 4}, Tokens(None, 4)),
        ({"promptTokenCount": True, "candidatesTokenCount": -1}, None),
        ([], None),
    ],
)
def test_usage_is_what_it_says_or_unknown(usage: Any, tokens: Tokens | None) -> None:
    assert read(content(ANSWER, usageMetadata=usage)).tokens == tokens


@pytest.mark.parametrize("finish", FINISH)
def test_other_reasons_than_stop_are_no_answer_and_keep_the_text(finish: str) -> None:
    reading = read(content(ANSWER, finish=finish))
    assert reading.fault is not None
    assert reading.fault.kind is FINISH[finish]
    assert (reading.text, reading.finish) == (ANSWER["text"], finish)


@pytest.mark.parametrize(
    ("finish", "expected", "told"),
    [
        (None, K.SERVER_ERROR, None),
        ("", K.SERVER_ERROR, None),
        ([], K.SERVER_ERROR, None),
        ("NEW_REASON", K.MALFORMED_REPLY, "NEW_REASON"),
        (0, K.SERVER_ERROR, "FINISH_REASON_UNSPECIFIED"),
        (1, None, "STOP"),
        (2, K.TRUNCATED, "MAX_TOKENS"),
        (3, K.FILTERED, "SAFETY"),
        (7, K.MALFORMED_REPLY, "7"),
        (-1, K.MALFORMED_REPLY, "-1"),
        (True, K.SERVER_ERROR, None),
    ],
)
def test_a_reason_that_is_unknown_is_no_answer_and_numbers_are_understood(
    finish: Any, expected: FaultKind | None, told: str | None
) -> None:
    reading = read(content(ANSWER, finish=finish))
    assert (reading.fault and reading.fault.kind) is expected
    assert reading.finish == told


def test_a_blocked_prompt_is_filtered_and_no_candidate_is_empty() -> None:
    assert kind({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "m"}) is K.FILTERED
    assert kind({"modelVersion": "m", "usageMetadata": {}}) is K.EMPTY_REPLY
    assert kind(content(finish="STOP")) is K.EMPTY_REPLY
    assert kind(content({"text": " \n"})) is K.EMPTY_REPLY


def test_of_two_candidates_the_first_ones_text_is_kept() -> None:
    reading = read(content(ANSWER, candidates=[*content(ANSWER)["candidates"], *content({"text": "x"})["candidates"]]))
    assert reading.fault is not None
    assert (reading.fault.kind, reading.text) == (K.AMBIGUOUS_REPLY, ANSWER["text"])


def test_a_call_is_the_answer_only_where_it_was_forced() -> None:
    reading = read(content(CALL))
    assert reading.fault is not None
    assert reading.fault.kind is K.AMBIGUOUS_REPLY
    assert reading.calls == (ToolCall("f", '{"a":[1]}', "c1"),)
    assert read(content(CALL), structured="tool").answer == '{"a":[1]}'
    assert kind(content(CALL, CALL), structured="tool") is K.AMBIGUOUS_REPLY
    assert read(content({"functionCall": {"name": 7}}), structured="tool").calls == (ToolCall("", "{}"),)
    assert read(content({"functionCall": {"args": None, "name": "f"}})).calls == (ToolCall("f", "{}"),)
    assert read(content(ANSWER), structured="tool").text == ANSWER["text"]


def test_another_kind_of_object_is_no_answer() -> None:
    assert kind({"totalTokens": 7}) is K.NOT_AN_ANSWER
    assert kind({"object": "chat.completion", "choices": []}) is K.NOT_AN_ANSWER


# --- streams ----------------------------------------------------------------------------------------------------------


def heard(*events: Any, **options: Any) -> Reading:
    return gemini(streaming(options=options)).parse(streamed(*events, newline="\r\n"))


def stream_kind(*events: Any) -> FaultKind | None:
    fault = heard(*events).fault
    return fault and fault.kind


FIRST = content({"text": '{"a"'}, finish=None)
LAST = content({"text": ":1}"}, usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 2})


def test_chunks_are_put_together() -> None:
    reading = heard(FIRST, LAST, content({"text": "", "thoughtSignature": "x"}, finish=None))
    assert (reading.text, reading.fault, reading.finish) == ('{"a":1}', None, "STOP")
    assert reading.tokens == Tokens(7, 5)
    assert heard(content(CALL), structured="tool").answer == '{"a":[1]}'


def test_of_two_candidates_in_chunks_the_first_ones_text_is_kept_whole() -> None:
    def chunk(index: int, text: str, finish: str | None) -> dict[str, Any]:
        made = content({"text": text}, finish=finish)
        made["candidates"][0]["index"] = index
        return made

    apart = [chunk(0, '{"a"', None), chunk(1, "x", None), chunk(0, ":1}", "STOP"), chunk(1, "y", "MAX_TOKENS")]
    both = [{**apart[0], "candidates": [apart[at]["candidates"][0] for at in pair]} for pair in ((0, 1), (3, 2))]
    for chunks in (apart, both):
        for reading in (heard(*chunks), read(list(chunks))):
            assert reading.fault is not None
            assert (reading.text, reading.finish, reading.fault.kind) == ('{"a":1}', "STOP", K.AMBIGUOUS_REPLY)
            assert reading.tokens is not None


def test_each_chunk_may_have_a_reason_of_which_the_last_counts() -> None:
    reading = heard(content({"text": '{"a"'}), content({"text": ":1}"}, finish="MAX_TOKENS"))
    assert reading.fault is not None
    assert (reading.text, reading.fault.kind) == ('{"a":1}', K.TRUNCATED)


def test_a_list_of_chunks_is_read_like_a_stream() -> None:
    reading = read([FIRST, LAST])
    assert (reading.text, reading.fault) == ('{"a":1}', None)
    assert kind([FIRST]) is K.TRUNCATED_STREAM
    assert kind([]) is K.TRUNCATED_STREAM
    assert kind(b'[{"candidates": []}') is K.MALFORMED_REPLY
    assert kind([FIRST, 7, LAST]) is None


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([FIRST], K.TRUNCATED_STREAM),
        ([], K.TRUNCATED_STREAM),
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], K.FILTERED),
        ([FIRST, {"promptFeedback": {"blockReason": "SAFETY"}}], K.TRUNCATED_STREAM),
        ([LAST, content({"text": "more"}, finish=None)], K.AMBIGUOUS_REPLY),
        ([FIRST, {**LAST, "responseId": "r2"}], K.AMBIGUOUS_REPLY),
        ([content(ANSWER, candidates=content(ANSWER)["candidates"] * 2)], K.AMBIGUOUS_REPLY),
        ([content(ANSWER, candidates=[{**content(ANSWER)["candidates"][0], "index": 1}])], K.AMBIGUOUS_REPLY),
        ([FIRST, {"error": {"code": 503, "status": "UNAVAILABLE"}}, LAST], K.OVERLOADED),
        ([FIRST, {"error": {"code": 429}}], K.RATE_LIMITED),
        ([FIRST, {"error": "oops"}], K.SERVER_ERROR),
        ([FIRST, "{"], K.MALFORMED_REPLY),
        ([FIRST, '{"a":1,"a":2}'], K.MALFORMED_REPLY),
    ],
)
def test_a_stream_that_is_not_one_whole_answer_is_a_fault(events: list[Any], expected: FaultKind) -> None:
    reading = heard(*events)
    assert reading.fault is not None
    assert reading.fault.kind is expected
    if events[:1] == [FIRST]:
        assert reading.text.startswith('{"a"')


def test_a_key_in_pieces_is_struck_from_what_they_were_put_together_to() -> None:
    halves = content({"text": f'"{KEY[:9]}'}, finish=None), content({"text": f'{KEY[9:]}"'})
    for reading in (heard(*halves), read(list(halves))):
        assert KEY not in reading.text
    call = {"functionCall": {"name": "f", "args": {"a": KEY}}}
    assert KEY not in str(heard(content(call), structured="tool").answer)


def test_a_pulse_hears_what_means_that_the_answer_goes_on() -> None:
    def hears(event: Any) -> bool:
        return GeminiPulse().heard(streamed(event).body)

    assert hears(content({"text": "", "thoughtSignature": "x"}, finish="STOP"))
    assert hears(content({"text": "hm", "thought": True}, finish=None))
    assert hears({"error": {}}) is False
    assert hears({"error": {"code": 1}})
    assert hears({"promptFeedback": {"blockReason": "SAFETY"}})
    assert not hears(content({"text": ""}, finish=None))
    assert not hears(content({"text": "", "thoughtSignature": "x"}, finish=None))
    assert not hears({"usageMetadata": {"promptTokenCount": 1}})
    assert not hears("7")


def test_a_reply_that_is_no_answer_still_says_who_gave_it() -> None:
    result = gemini(access()).decode(answered(content(ANSWER, finish="SAFETY")))
    assert isinstance(result, Unusable)
    assert result.served is not None
    assert result.served.model == "gemini-2.5-flash"
    assert isinstance(gemini(access()), Gemini)
