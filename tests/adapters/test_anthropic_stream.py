"""Anthropic's streamed messages, made by hand: errors, cuts and events that don't fit together were never recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.adapters.test_anthropic import MODEL, SECRET, made, message

from failsoft.adapters.claude_stream import MessagePulse
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import HttpReply, Tokens, Unusable
from failsoft.fault import FaultKind

K = FaultKind


# --- streams ----------------------------------------------------------------------------------------------------------


START = {"type": "message_start", "message": {**message(), "content": [], "stop_reason": None}}
TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
STOP = {"type": "content_block_stop", "index": 0}
DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
END = {"type": "message_stop"}


def piece(text: Any, index: Any = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}


WHOLE = [START, {"type": "ping"}, TEXT, piece('{"fsc":'), piece(' "1005"}'), STOP, DELTA, END]


def stream(*events: Any) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(each.get("type")).encode(), json.dumps(each).encode()) for each in events
    )


def streamed(*events: Any, options: dict[str, Any] | None = None) -> Reading:
    heard = made(streaming=Streaming(), **(options or {}))
    return heard.parse(HttpReply(200, {"content-type": "text/event-stream"}, stream(*events)))


def stream_kind(*events: Any) -> FaultKind | None:
    fault = streamed(*events).fault
    return None if fault is None else fault.kind


def test_a_stream_is_the_message_that_it_would_have_been() -> None:
    reading = streamed(*WHOLE)
    assert (reading.text, reading.fault, reading.finish) == ('{"fsc": "1005"}', None, "end_turn")
    assert reading.tokens == Tokens(7, 9)
    assert reading.served.model == MODEL


def test_a_completion_of_before_there_were_messages_is_read_too() -> None:
    pieces = [
        {"type": "completion", "completion": each, "stop_reason": None, "model": "claude-2.1"} for each in ("{", "}")
    ]
    last = {"type": "completion", "completion": "", "stop_reason": "stop_sequence"}
    reading = streamed(*pieces, {"type": "ping"}, last)
    assert (reading.text, reading.fault, reading.served.model) == ("{}", None, "claude-2.1")
    assert stream_kind(*pieces) is K.TRUNCATED_STREAM
    assert stream_kind(*pieces, last, *pieces) is K.AMBIGUOUS_REPLY
    whole = {"type": "completion", "id": "c", "completion": " {}", "stop_reason": "max_tokens", "model": "claude-2.1"}
    reading = made().parse(HttpReply(200, {}, json.dumps(whole).encode()))
    assert reading.fault is not None
    assert (reading.text, reading.fault.kind) == (" {}", K.TRUNCATED)


def test_a_stream_without_its_end_was_cut_and_keeps_its_text() -> None:
    for size in range(len(WHOLE)):
        assert stream_kind(*WHOLE[:size]) is K.TRUNCATED_STREAM
    assert streamed(*WHOLE[:-2]).text == '{"fsc": "1005"}'


def test_an_error_in_a_stream_is_what_its_type_says_and_the_text_is_kept() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reading = streamed(*WHOLE[:5], error, {"type": "error", "error": {"type": "api_error"}})
    assert reading.fault is not None
    assert (reading.fault.kind, reading.fault.status) == (K.OVERLOADED, 200)
    assert reading.text == '{"fsc": "1005"}'
    assert stream_kind({"error": {"type": "rate_limit_error"}}) is K.RATE_LIMITED


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([START, *WHOLE], K.AMBIGUOUS_REPLY),
        (WHOLE[1:], K.AMBIGUOUS_REPLY),
        ([*WHOLE, piece("more")], K.AMBIGUOUS_REPLY),
        ([*WHOLE[:7], piece("more"), END], K.AMBIGUOUS_REPLY),
        ([START, TEXT, TEXT, END], K.AMBIGUOUS_REPLY),
        ([START, {**TEXT, "index": "0"}, END], K.AMBIGUOUS_REPLY),
        ([START, {**TEXT, "index": []}, END], K.AMBIGUOUS_REPLY),
        ([START, piece("x"), END], K.AMBIGUOUS_REPLY),
        ([START, TEXT, piece("x", []), END], K.AMBIGUOUS_REPLY),
        ([START, TEXT, STOP, piece("x"), END], K.AMBIGUOUS_REPLY),
        ([START, TEXT, piece(7), END], K.MALFORMED_REPLY),
        ([*WHOLE, {"type": "ping"}, {"type": ["x"]}, {"type": "of_the_future"}], None),
        ([START, {"type": "content_block_start", "index": 0, "content_block": 7}, DELTA, END], K.EMPTY_REPLY),
    ],
)
def test_what_does_not_fit_together_is_not_guessed_at(events: list[Any], expected: FaultKind | None) -> None:
    assert stream_kind(*events) is expected


def test_a_stream_that_is_none_is_malformed() -> None:
    heard = made(streaming=Streaming())
    for body in (b"data: {]\n\n", b"data: \xff\n\n"):
        fault = heard.parse(HttpReply(200, {"content-type": "text/event-stream"}, body)).fault
        assert fault is not None
        assert fault.kind is K.MALFORMED_REPLY


def test_a_streamed_call_is_put_together_of_its_pieces() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {}}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    parts = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": each}}
        for each in ("", '{"fsc":', '"1005"}')
    ]
    signed = {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}}
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": 7}
    reading = streamed(START, start, *parts, signed, STOP, end, END, options={"structured": "tool"})
    assert (reading.answer, reading.fault) == ('{"fsc":"1005"}', None)
    bare = streamed(START, start, STOP, end, END)
    assert bare.calls == (ToolCall("answer", "{}", "toolu_1"),)


def test_a_key_that_came_in_pieces_is_struck() -> None:
    reading = streamed(START, TEXT, piece(SECRET[:5]), piece(SECRET[5:]), STOP, DELTA, END)
    assert reading.text == "[secret]"


@pytest.mark.parametrize(
    ("event", "meaningful"),
    [
        (START, False),
        ({"type": "ping"}, False),
        (TEXT, False),
        (STOP, False),
        (piece(""), False),
        (piece("x"), True),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "x"}}, True),
        ({"type": "content_block_start", "content_block": {"type": "tool_use", "name": "x"}}, True),
        ({"type": "content_block_start", "content_block": 7}, False),
        (DELTA, True),
        (END, True),
        ({"type": "error", "error": {}}, True),
        ({"type": "of_the_future"}, False),
        ({"type": ["x"]}, False),
    ],
)
def test_a_pulse_hears_what_means_that_the_answer_goes_on(event: dict[str, Any], meaningful: bool) -> None:
    assert MessagePulse().heard(stream(event)) is meaningful


def test_a_pulse_passes_over_what_it_cannot_read() -> None:
    pulse = MessagePulse()
    assert not pulse.heard(b"data: {]\n\n")
    assert not pulse.heard(b"event: x\ndata: %b\n\n" % (b"[" * 100_000))
    assert not pulse.heard(b"data: \xff\n\n")
    assert not pulse.heard(stream(END))  # it has stopped listening
    assert not pulse.full


def test_a_decoded_stream_that_was_cut_is_no_answer() -> None:
    heard = made(streaming=Streaming())
    result = heard.decode(HttpReply(200, {"content-type": "text/event-stream"}, stream(*WHOLE[:-1])))
    assert isinstance(result, Unusable)
