"""Responses read, whole and streamed. Recorded are completed and cut ones only: the others are made by hand here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asks import KEY, ask, made, reply_of

from failsoft.adapters import event_stream
from failsoft.adapters.openai_responses_stream import ResponsePulse
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.streaming import FIRST_NS, GAP_NS
from failsoft.core.effects import HttpReply, Reply, Tokens
from failsoft.fault import FaultKind
from failsoft.outcome import Grade, Served

K = FaultKind
JSON = '{"fsc": "1005"}'


def text(said: Any, **changes: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}], **changes}


def response(*output: Any, status: Any = "completed", **changes: Any) -> dict[str, Any]:
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    body = {"id": "resp_1", "object": "response", "model": "m-2026-01-01", "status": status, "usage": usage}
    return {**body, "output": list(output), "error": None, "incomplete_details": None, **changes}


CALL = {"type": "function_call", "name": "answer", "arguments": JSON, "call_id": "c1"}
REASONING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
REFUSAL = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}


def parsed(body: Any, status: int = 200, **options: Any) -> Reading:
    reading = made("openai", api="responses", **options).parse(reply_of(body, status))
    assert isinstance(reading, Reading)
    return reading


def kind(body: Any, status: int = 200) -> FaultKind | None:
    fault = parsed(body, status).fault
    assert fault is None or fault.status == status
    return None if fault is None else fault.kind


# --- whole ------------------------------------------------------------------------------------------------------------


def test_an_answer_says_who_gave_it() -> None:
    reply = made("openai", api="responses").decode(reply_of(response(REASONING, text(JSON))))
    assert isinstance(reply, Reply)
    assert reply.answer == JSON.encode()
    assert reply.served == Served("m-2026-01-01", Grade.PROVIDER, None, "resp_1")
    assert reply.tokens == Tokens(7, 3)


def test_several_messages_are_one_text_but_what_is_said_on_the_way_is_none_of_it() -> None:
    assert parsed(response(text("{"), REASONING, text("}"))).text == "{}"
    on_the_way = text("Let me look.", phase="commentary")
    assert parsed(response(on_the_way, text("{}", phase="final_answer"))).text == "{}"
    assert parsed(response(on_the_way)).text == "Let me look."


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (response(REFUSAL), K.REFUSED),
        (response(text("I"), REFUSAL), K.REFUSED),
        (response(CALL), K.AMBIGUOUS_REPLY),
        (response(text(JSON), CALL), K.AMBIGUOUS_REPLY),
        (response({"type": "mcp_approval_request"}), K.AMBIGUOUS_REPLY),
        (response({"type": "web_search_call"}, text(JSON)), None),
        (response(), K.EMPTY_REPLY),
        (response(text(" ")), K.EMPTY_REPLY),
        (response(text(None)), K.EMPTY_REPLY),
        (response(output=None), K.EMPTY_REPLY),
        (response(text(JSON), status="incomplete"), K.TRUNCATED),
        (response(REFUSAL, status="incomplete"), K.REFUSED),
        (response(text(JSON), status="incomplete", incomplete_details={"reason": "content_filter"}), K.FILTERED),
        (response(text(JSON), status="in_progress"), K.NOT_AN_ANSWER),
        (response(status="queued"), K.NOT_AN_ANSWER),
        (response(text(JSON), status="cancelled"), K.SERVER_ERROR),
        (response(text(JSON), status="enough"), K.AMBIGUOUS_REPLY),
        (response(text(JSON), status={}), K.AMBIGUOUS_REPLY),
        (response(text(JSON), status=None), K.AMBIGUOUS_REPLY),
        (response(status="failed"), K.SERVER_ERROR),
        (response(status="failed", error={"code": "server_error"}), K.SERVER_ERROR),
        (response(status="failed", error={"code": "rate_limit_exceeded"}), K.RATE_LIMITED),
        (response(status="failed", error={"code": "context_length_exceeded"}), K.CONTEXT_TOO_LONG),
        (response(status="failed", error={"code": "invalid_prompt"}), K.FILTERED),
        ({"id": "resp_1", "object": "response.deleted", "deleted": True}, K.NOT_AN_ANSWER),
        ({"object": "response.input_tokens", "input_tokens": 7}, K.NOT_AN_ANSWER),
        ({"object": "response.compaction", "output": [text(JSON)]}, K.NOT_AN_ANSWER),
        ({"output": [text(JSON)], "status": "completed"}, K.NOT_AN_ANSWER),
    ],
)
def test_a_response_that_does_not_answer_is_a_fault(body: dict[str, Any], expected: FaultKind | None) -> None:
    assert kind(body) is expected


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (429, "insufficient_quota", K.QUOTA_SPENT),
        (429, "rate_limit_exceeded", K.RATE_LIMITED),
        (503, "unheard_of", K.SERVER_ERROR),
        (529, "unheard_of", K.OVERLOADED),
        (400, "model_not_found", K.MODEL_NOT_FOUND),
    ],
)
def test_an_error_is_what_its_code_or_its_status_says(status: int, code: str, expected: FaultKind) -> None:
    assert kind({"error": {"code": code, "message": "m"}}, status) is expected
    assert kind(b"<html>", status) is not None


def test_what_was_said_is_kept_beside_a_fault() -> None:
    reading = parsed(
        response(text("so"), CALL, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    )
    assert (reading.text, reading.finish, reading.tokens) == ("so", "max_output_tokens", Tokens(7, 3))
    assert reading.calls == (ToolCall("answer", JSON, "c1"),)


def test_the_tool_that_had_to_be_called_is_the_answer() -> None:
    codec = made("openai", api="responses", structured="tool")
    reply = codec.decode(reply_of(response(REASONING, CALL)))
    assert isinstance(reply, Reply)
    assert reply.answer == JSON.encode()
    for calls in ([CALL, CALL], [{**CALL, "name": "other"}], [{"type": "function_call"}]):
        assert codec.parse(reply_of(response(*calls))).fault.kind is K.AMBIGUOUS_REPLY
    assert codec.parse(reply_of(response(CALL, status="incomplete"))).fault.kind is K.TRUNCATED


def test_a_custom_tool_states_its_input() -> None:
    call = {"type": "custom_tool_call", "name": "sh", "input": "ls", "id": "ctc_1"}
    assert parsed(response(call)).calls == (ToolCall("sh", "ls", "ctc_1"),)


def test_what_is_not_stated_is_unknown() -> None:
    reading = parsed(response(text(JSON), model=7, usage={"input_tokens": True}, id=None))
    assert reading.served == Served()
    assert reading.tokens is None


# --- streamed ---------------------------------------------------------------------------------------------------------


def event(name: str, named: bool = True, **fields: Any) -> bytes:
    line = b"event: %b\n" % name.encode() if named else b""
    return line + b"data: %b\n\n" % json.dumps({"type": name, **fields}).encode()


CREATED = event("response.created", response=response(status="in_progress"))
PIECES = [event("response.output_text.delta", delta=each, item_id="i") for each in ('{"fsc": ', '"1005"}')]
COMPLETED = event("response.completed", response=response(text(JSON)))


def streamed(*events: bytes) -> Reading:
    codec = made("openai", api="responses", stream=True)
    reading = codec.parse(HttpReply(200, {"content-type": "text/event-stream"}, b"".join(events)))
    assert isinstance(reading, Reading)
    return reading


def test_a_streamed_request_brings_a_pulse() -> None:
    request = made("openai", api="responses", stream=True).encode(ask())
    assert (request.pulse, request.first_ns, request.gap_ns) == (ResponsePulse, FIRST_NS, GAP_NS)
    assert json.loads(request.body)["stream"] is True


@pytest.mark.parametrize("done", [b"", b"data: [DONE]\n\n", event("keepalive"), event("response.new.thing", a=1)])
def test_the_last_event_holds_the_response(done: bytes) -> None:
    reading = streamed(CREATED, *PIECES, COMPLETED, done)
    assert (reading.fault, reading.text, reading.finish) == (None, JSON, "completed")


def test_events_without_names_are_read_as_well() -> None:
    reading = streamed(*(event("response.output_text.delta", named=False, delta=each) for each in ("{", "}")))
    assert reading.text == "{}"
    assert streamed(event("response.completed", named=False, response=response(text(JSON)))).fault is None


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_stream_that_was_cut_keeps_what_came(count: int) -> None:
    reading = streamed(*[CREATED, *PIECES][:count])
    assert reading.fault is not None
    assert reading.fault.kind is K.TRUNCATED_STREAM
    assert reading.text == JSON[: [0, 0, 8, 15][count]]
    assert reading.served.model == ("m-2026-01-01" if count else None)


def test_a_cut_call_and_a_cut_refusal_are_kept_too() -> None:
    begun = event("response.output_item.added", item={"type": "function_call", "id": "i", "name": "f", "call_id": "c"})
    pieces = [event("response.function_call_arguments.delta", delta=each, item_id="i") for each in ("{", "1")]
    other = event("response.output_item.added", item={"type": "message", "id": "m"})
    custom = event(
        "response.output_item.added", item={"type": "custom_tool_call", "id": "i", "name": "sh", "input": ""}
    )
    said = [event("response.custom_tool_call_input.delta", delta=each, item_id="i") for each in ("l", "s")]
    assert streamed(custom, *said).calls == (ToolCall("sh", "ls", "i"),)
    assert streamed(begun, other, *pieces).calls == (ToolCall("f", "{1", "c"),)
    reading = streamed(event("response.refusal.delta", delta="I"), event("response.output_text.delta", delta=7))
    assert reading.fault is not None
    assert reading.fault.kind is K.TRUNCATED_STREAM


def test_a_whole_response_without_items_holds_what_came_in_pieces() -> None:
    assert streamed(*PIECES, event("response.completed", response=response())).text == JSON


ERROR = event("error", code="rate_limit_exceeded", message="slow", param=None, sequence_number=3)
FAILED = event("response.failed", response=response(status="failed", error={"code": "context_length_exceeded"}))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([FAILED], K.CONTEXT_TOO_LONG),
        ([ERROR], K.RATE_LIMITED),
        ([ERROR, FAILED], K.CONTEXT_TOO_LONG),
        ([event("error", error={"code": "insufficient_quota"})], K.QUOTA_SPENT),
        ([b'data: {"error": {"code": 503}}\n\n'], K.SERVER_ERROR),
        ([event("response.incomplete", response=response(status="incomplete"))], K.TRUNCATED),
        ([COMPLETED, COMPLETED], K.AMBIGUOUS_REPLY),
        ([CREATED, event("response.completed", response=response(text(JSON), id="resp_2"))], K.AMBIGUOUS_REPLY),
        ([b"data: {\n\n"], K.MALFORMED_REPLY),
        ([b"data: \xff\n\n"], K.MALFORMED_REPLY),
        ([b"data: [1]\n\n"], K.TRUNCATED_STREAM),
    ],
)
def test_a_stream_that_does_not_answer_is_a_fault(events: list[bytes], expected: FaultKind) -> None:
    reading = streamed(*PIECES, *events)
    assert reading.fault is not None
    assert (reading.fault.kind, reading.fault.status) == (expected, 200)


def test_a_stream_of_more_than_any_answer_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_EVENTS", 2)
    reading = streamed(CREATED, *PIECES)
    assert reading.fault is not None
    assert reading.fault.kind is K.TOO_LARGE
    pulse = ResponsePulse()
    pulse.heard(CREATED + b"".join(PIECES))
    assert pulse.full
    assert not pulse.heard(COMPLETED)


def test_a_key_that_came_in_pieces_is_struck() -> None:
    text_of_key = [event("response.output_text.delta", delta=each) for each in (KEY[:4], KEY[4:])]
    assert KEY not in streamed(*text_of_key).text


@pytest.mark.parametrize(
    ("part", "meaningful"),
    [
        (CREATED, False),
        (event("response.in_progress", response={}), False),
        (event("response.queued", named=False), False),
        (event("keepalive"), False),
        (b": ping\n\n", False),
        (b"data: {\n\n", False),
        (b'data: {"type": 7}\n\n', False),
        (b"data: [DONE]\n\n", True),
        (event("response.output_item.added", item={}), True),
        (event("response.reasoning_summary_text.delta", named=False, delta="hm"), True),
        (COMPLETED, True),
        (ERROR, True),
    ],
)
def test_only_what_the_answer_goes_on_by_is_heard(part: bytes, meaningful: bool) -> None:
    pulse = ResponsePulse()
    assert pulse.heard(part) is meaningful
    assert not pulse.full
