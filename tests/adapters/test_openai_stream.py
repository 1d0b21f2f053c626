"""Streamed chat completions: what's put together from which events, and which parts of them mean that the answer goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_openai_compatible import ask

from failsoft.adapters import event_stream
from failsoft.adapters.openai_compatible import OpenAICompatible, openai_compatible
from failsoft.adapters.openai_stream import ChatPulse
from failsoft.adapters.reading import ToolCall
from failsoft.adapters.streaming import GAP_NS, Ending, Streaming
from failsoft.core.effects import SECOND, HttpReply, Reply, Tokens, Unusable
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.testing.streams import answer_events, chunk, event

K = FaultKind
DONE = b"data: [DONE]\n\n"
KEY = "sk-a-secret-key"


def codec(end: Ending = Ending.FINISH, **options: Any) -> OpenAICompatible:
    return openai_compatible("http://127.0.0.1:1/v1", streaming=Streaming(end=end), **options)


def streamed(*events: bytes, **headers: str) -> HttpReply:
    return HttpReply(200, {"content-type": "text/event-stream; charset=utf-8", **headers}, b"".join(events))


def decoded(*events: bytes, end: Ending = Ending.FINISH) -> Reply | Unusable:
    return codec(end).decode(streamed(*events))


def good(*events: bytes) -> Reply:
    reply = decoded(*events)
    assert isinstance(reply, Reply), reply
    return reply


def bad(*events: bytes, end: Ending = Ending.FINISH) -> Unusable:
    reply = decoded(*events, end=end)
    assert isinstance(reply, Unusable), reply
    return reply


def said(*texts: str) -> list[bytes]:
    return [chunk("m", {"content": each}) for each in texts]


FINISH = chunk("m", {}, finish="stop")


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_streamed_request_says_so_and_brings_a_pulse() -> None:
    request = codec().encode(ask())
    body = json.loads(request.body)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert dict(request.headers)["accept"] == "text/event-stream, application/json"
    assert request.pulse is ChatPulse
    assert (request.first_ns, request.gap_ns) == (30 * SECOND, GAP_NS)


def test_one_that_is_not_streamed_brings_none() -> None:
    request = openai_compatible("http://127.0.0.1:1/v1").encode(ask())
    assert "stream_options" not in json.loads(request.body)
    assert request.pulse is None


def test_a_server_that_refuses_stream_options_can_be_spared_them() -> None:
    assert "stream_options" not in json.loads(codec(leave_out=["stream_options"]).encode(ask()).body)


def test_times_out_of_range_are_refused_all_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Streaming(first_ns=1, gap_ns=4000 * SECOND)
    assert [each.partition(":")[0] for each in caught.value.problems] == ["stream_first", "stream_gap"]


# --- putting together -------------------------------------------------------------------------------------------------


def test_the_pieces_are_one_answer() -> None:
    reply = good(*answer_events("m-1", '{"fsc": "1005"}', 3))
    assert reply.answer == b'{"fsc": "1005"}'
    assert (reply.served.model, reply.served.request_id) == ("m-1", "chatcmpl-test")
    assert reply.tokens == Tokens(12, 8)


TEXT = '{"fsc": "Büchse 🔩"}'
STREAM = b"".join(answer_events("m", TEXT, 2))


@given(st.integers(1, 30), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 20), max_size=6))
def test_pieces_line_ends_and_comments_make_no_difference(size: int, end: bytes, comments: list[int]) -> None:
    events = answer_events("m", TEXT, size)
    for place in comments:
        events.insert(min(place, len(events) - 1), b": ping\n\n")
    read, usual = good(*(each.replace(b"\n", end) for each in events)), good(STREAM)
    assert (read.answer, read.served, read.tokens) == (usual.answer, usual.served, usual.tokens)


@given(st.integers(0, len(STREAM)))
def test_no_cut_of_a_stream_passes_for_an_answer(cut: int) -> None:
    reply = decoded(STREAM[:cut])
    if isinstance(reply, Unusable):
        assert reply.fault.kind is K.TRUNCATED_STREAM
        assert reply.fault.status == 200
    else:  # nothing was cut but what comes behind the answer
        assert reply.answer == TEXT.encode()
        assert b'"finish_reason": "stop"' in STREAM[:cut]


def test_usage_that_was_cut_off_is_unknown() -> None:
    assert good(*said("{}"), FINISH, DONE).tokens is None


@pytest.mark.parametrize(
    ("end", "enough"),
    [(Ending.FINISH, [FINISH]), (Ending.DONE, [DONE]), (Ending.BOTH, [FINISH, DONE])],
)
def test_the_end_must_be_stated_as_the_profile_says(end: Ending, enough: list[bytes]) -> None:
    for marks in ([], [FINISH], [DONE], [FINISH, DONE]):
        reply = decoded(*said("{}"), *marks, end=end)
        assert isinstance(reply, Reply) == all(each in marks for each in enough), marks


def test_a_call_of_a_tool_is_put_together_of_its_pieces() -> None:
    pieces = [
        {"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "id": "c2", "function": {"name": "g", "arguments": {"whole": True}}},
        {"index": 0, "function": {"arguments": '{"a":'}},
        {"index": 0, "function": {"arguments": " 1}"}},
        {"function": {"arguments": 7}},
        {"id": "c3", "function": {"name": "h"}},
        "no call",
    ]
    events = [
        *said("so"),
        *(chunk("m", {"tool_calls": [each]}) for each in pieces),
        chunk("m", {}, finish="tool_calls"),
    ]
    reading = codec().parse(streamed(*events))
    assert reading.fault is not None
    assert (reading.fault.kind, reading.text, reading.finish) == (K.AMBIGUOUS_REPLY, "so", "tool_calls")
    calls = [(each.name, each.arguments, each.number) for each in reading.calls]
    assert calls == [("f", '{"a": 1}7', "c1"), ("g", '{"whole": true}', "c2"), ("h", "{}", "c3")]


def test_what_came_is_kept_beside_the_fault() -> None:
    reading = codec().parse(streamed(*said('{"a": ', "1")))
    assert reading.fault is not None
    assert (reading.fault.kind, reading.text, reading.served.model) == (K.TRUNCATED_STREAM, '{"a": 1', "m")


def test_a_text_completion_is_read_as_well() -> None:
    chunks = [
        {"object": "text_completion", "model": "m", "choices": [{"index": 0, "text": text}]} for text in ("{", "}")
    ]
    chunks[1]["choices"][0]["finish_reason"] = "stop"  # type: ignore[index]
    events = [b"data: %b\n\n" % json.dumps(each).encode() for each in chunks]
    assert good(*events).answer == b"{}"
    assert ChatPulse().heard(events[0])


def test_the_first_model_that_is_not_empty_served() -> None:
    first = chunk("", id="", prompt_filter_results=[])
    assert good(first, *said("{}"), chunk("other", {}, finish="stop")).served.model == "m"


def test_usage_may_come_with_a_choice_and_more_than_once() -> None:
    early = chunk("m", {"content": ""}, finish="stop", usage={"prompt_tokens": 1, "completion_tokens": 1})
    late = chunk("m", {}, finish="stop", usage={"prompt_tokens": 5, "completion_tokens": 7})
    assert good(*said("{}"), early, late, DONE).tokens == Tokens(5, 7)


def test_of_two_choices_the_first_ones_text_is_kept_whole() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    apart = [
        chunk("m", {"content": text}, index=index)
        for text, index in zip(("Hel", "By", "lo", "e"), (0, 1) * 2, strict=True)
    ]
    apart += [chunk("m", {}, finish="length", index=1), FINISH, event({"choices": [], "usage": usage})]
    both = [
        event({"choices": [{"index": index, "delta": {"content": text}} for index, text in ((1, "By"), (0, text))]})
        for text in ("Hel", "lo")
    ]
    legacy = [
        event({"object": "text_completion", "choices": [{"index": index, "text": text}]})
        for text in ("Hel", "lo")
        for index in (0, 1)
    ]
    for events in (apart, [*both, FINISH, event({"choices": [], "usage": usage})], [*legacy, *apart[-2:]]):
        reading = codec().parse(streamed(*events, DONE))
        assert (reading.text, reading.finish, reading.tokens) == ("Hello", "stop", Tokens(5, 7))
        assert reading.fault is not None
        assert reading.fault.kind is K.AMBIGUOUS_REPLY
    cut = codec().parse(streamed(*apart[:3]))
    assert cut.fault is not None
    assert (cut.text, cut.fault.kind) == ("Hello", K.AMBIGUOUS_REPLY)


def test_a_custom_tools_input_comes_in_pieces() -> None:
    first = {"index": 0, "id": "1", "type": "custom", "custom": {"name": "sh", "input": "l"}}
    last = {"index": 0, "custom": {"input": "s"}}
    pieces = [chunk("m", {"tool_calls": [each]}) for each in (first, last)]
    reading = codec().parse(streamed(*pieces, chunk("m", {}, finish="tool_calls")))
    assert reading.calls == (ToolCall("sh", "ls", "1"),)


def test_what_was_spoken_is_the_text() -> None:
    pieces = [chunk("m", {"audio": {"id": "a", "transcript": each}}) for each in ("{", "}")]
    assert good(*pieces, chunk("m", {"audio": {"data": "AA=="}}), FINISH).answer == b"{}"


def test_groqs_own_fields_are_read() -> None:
    reply = good(
        chunk("m", {"role": "assistant"}, x_groq={"id": "req_1"}),
        *said("{}"),
        chunk("m", {}, finish="stop", x_groq={"id": "req_1", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}),
    )
    assert (reply.served.request_id, reply.tokens) == ("req_1", Tokens(1, 2))


def test_thoughts_are_no_part_of_the_answer() -> None:
    thoughts = [
        chunk("m", {"reasoning_content": "hm", "content": None}),
        chunk("m", {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
    ]
    part = chunk("m", {"content": [{"type": "text", "text": "{}"}]})
    assert good(*thoughts, part, FINISH).answer == b"{}"


def test_unknown_types_of_events_are_passed_over() -> None:
    strange = [
        event({"error": "not ours"}, "ping"),
        b"event: keepalive\ndata: nonsense\n\n",
        event({"object": "chat.citation", "choices": [{"index": 5}]}),
        event([1]),
        event(None),
    ]
    assert good(*strange, *said("{}"), FINISH).answer == b"{}"


def test_a_done_object_may_bring_the_finish() -> None:
    last = chunk("m", {"content": ""}, finish="stop", object="chat.completion.done", message={"content": "{}"})
    assert good(*said("{", "}"), last).answer == b"{}"


REFUSED: dict[str, tuple[list[bytes], FaultKind]] = {
    "an error event": ([event({"error": {"code": "rate_limit_exceeded"}}, "error")], K.RATE_LIMITED),
    "an error event without an envelope": ([event({"code": "context_length_exceeded"}, "error")], K.CONTEXT_TOO_LONG),
    "an error event that says nothing": ([event({}, "error")], K.SERVER_ERROR),
    "an error in a chunk": ([chunk("m", error={"code": 502})], K.SERVER_ERROR),
    "an error in a choice": (
        [event({"choices": [{"index": 0, "delta": {}, "error": {"code": "slow_down"}}]}), DONE],
        K.RATE_LIMITED,
    ),
    "an error as a string beside its code": ([event({"error": "no", "code": "invalid_api_key"})], K.UNAUTHENTICATED),
    "an error behind the text": ([*said("{}"), event({"error": {"code": "server_error"}})], K.SERVER_ERROR),
    "broken off": ([*said("{}"), chunk("m", {}, finish="error")], K.SERVER_ERROR),
    "cut at its cap": ([*said("{"), chunk("m", {}, finish="length")], K.TRUNCATED),
    "cut at its cap, and an error that says so": (
        [*said("{"), chunk("m", {}, finish="length"), chunk("m", {}, error={"code": 400}), DONE],
        K.TRUNCATED,
    ),
    "a filter": ([*said("{"), chunk("m", {}, finish="content_filter")], K.FILTERED),
    "a filter that speaks last": ([*said("{}"), FINISH, chunk("m", {}, finish="content_filter")], K.FILTERED),
    "a refusal in pieces": ([chunk("m", {"refusal": "I "}), chunk("m", {"refusal": "can't"}), FINISH], K.REFUSED),
    "a tool call": (
        [chunk("m", {"tool_calls": [{"index": 0, "id": "1"}]}), chunk("m", {}, finish="tool_calls")],
        K.AMBIGUOUS_REPLY,
    ),
    "two choices": (
        [event({"choices": [{"index": 0, "delta": {}}, {"index": 1, "delta": {}}]}), FINISH],
        K.AMBIGUOUS_REPLY,
    ),
    "a gap in the index": ([chunk("m", {"content": "{}"}, index=1), FINISH], K.AMBIGUOUS_REPLY),
    "text behind the finish": ([*said("{}"), FINISH, *said("{}"), DONE], K.AMBIGUOUS_REPLY),
    "a call behind the finish": (
        [*said("{}"), FINISH, chunk("m", {"function_call": {"name": "f"}})],
        K.AMBIGUOUS_REPLY,
    ),
    "chunks of two answers": ([*said("{"), chunk("m", {"content": "}"}, id="another"), FINISH], K.AMBIGUOUS_REPLY),
    "events behind the end": ([*said("{}"), FINISH, DONE, *said("{}")], K.AMBIGUOUS_REPLY),
    "no text": ([chunk("m", {"role": "assistant", "content": ""}), FINISH], K.EMPTY_REPLY),
    "no choices, but an end": ([chunk("m"), DONE], K.TRUNCATED_STREAM),
    "nothing": ([], K.TRUNCATED_STREAM),
    "only the mark": ([DONE], K.TRUNCATED_STREAM),
    "prose": ([*said("I think"), FINISH], K.MALFORMED_ANSWER),
    "text that is none": ([chunk("m", {"content": {"a": 1}}), FINISH], K.MALFORMED_REPLY),
    "an event that isn't JSON": ([b"data: {\n\n"], K.MALFORMED_REPLY),
    "a duplicate key": ([b'data: {"id": "a", "id": "b"}\n\n'], K.MALFORMED_REPLY),
    "not UTF-8": ([b'data: {"id": "\xff"}\n\n'], K.MALFORMED_REPLY),
}


@pytest.mark.parametrize("row", REFUSED)
def test_a_stream_that_does_not_answer_is_a_fault(row: str) -> None:
    events, expected = REFUSED[row]
    assert bad(*events).fault.kind is expected


def test_events_behind_the_mark_are_refused_where_it_alone_is_the_end() -> None:
    assert bad(*said("{}"), DONE, *said("{}"), DONE, end=Ending.DONE).fault.kind is K.AMBIGUOUS_REPLY


def test_a_stream_that_fails_still_says_who_served_and_what_it_used() -> None:
    read = bad(*said("{"), chunk("m", usage={"prompt_tokens": 3, "completion_tokens": 4}))
    assert read.fault.kind is K.TRUNCATED_STREAM
    assert read.served is not None
    assert (read.served.model, read.tokens) == ("m", Tokens(3, 4))


def test_where_a_stream_has_no_choice_and_may_end_with_the_mark_there_is_no_answer() -> None:
    assert bad(chunk("m"), DONE, end=Ending.DONE).fault.kind is K.EMPTY_REPLY


def test_a_key_that_came_in_pieces_is_struck_from_the_answer() -> None:
    text = json.dumps({"said": KEY})
    reply = codec(api_key=KEY).decode(streamed(*answer_events("m", text, 3)))
    assert isinstance(reply, Reply)
    assert reply.answer == b'{"said": "[secret]"}'


def test_a_server_that_does_not_stream_is_read_as_ever() -> None:
    whole = {"object": "chat.completion", "model": "m", "choices": [{"message": {"content": "{}"}}]}
    reply = codec().decode(HttpReply(200, {"content-type": "application/json"}, json.dumps(whole).encode()))
    assert isinstance(reply, Reply)


def test_a_stream_that_nobody_asked_for_is_malformed() -> None:
    reply = openai_compatible("http://127.0.0.1:1/v1").decode(streamed(*said("{}"), FINISH))
    assert isinstance(reply, Unusable)
    assert reply.fault.kind is K.MALFORMED_REPLY


def test_an_error_status_is_read_as_one_though_it_calls_itself_a_stream() -> None:
    reply = codec().decode(HttpReply(429, {"content-type": "text/event-stream"}, b"data: {}\n\n"))
    assert isinstance(reply, Unusable)
    assert reply.fault.kind is K.RATE_LIMITED


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    assert isinstance(codec().decode(streamed(b"data: ", body, b"\n\n")), Reply | Unusable)


LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "{}", "stop", "length", "error"])
NAMES = st.sampled_from(
    ["id", "object", "model", "choices", "delta", "content", "index", "finish_reason", "error", "usage", "refusal"]
)


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, max_size=3) | st.dictionaries(NAMES, values, max_size=4)


JSON = objects(objects(objects(LEAVES)))


@given(st.lists(JSON, max_size=4))
def test_no_json_makes_it_raise(events: list[Any]) -> None:
    stream = b"".join(event(each) for each in events)
    assert isinstance(codec().decode(streamed(stream, DONE)), Reply | Unusable)
    assert ChatPulse().heard(stream) in (True, False)


# --- listening --------------------------------------------------------------------------------------------------------

MEANINGFUL = {
    "text": chunk("m", {"content": "x"}),
    "reasoning": chunk("m", {"content": "", "reasoning": "hm"}),
    "a refusal": chunk("m", {"refusal": "no"}),
    "a tool call": chunk("m", {"tool_calls": [{"index": 0}]}),
    "a finish": chunk("m", {}, finish="stop"),
    "usage": chunk("m", usage={"prompt_tokens": 1}),
    "an error": chunk("m", error={"code": 500}),
    "an error event": event({"error": {}, "x": 1, "choices": [{"delta": {"content": "x"}}]}, "error"),
    "the end": DONE,
}
NOTHING = {
    "a comment": b": ping\n\n",
    "an event of another type": b'event: ping\ndata: {"choices": [{"delta": {"content": "x"}}]}\n\n',
    "a role": chunk("m", {"role": "assistant", "content": ""}),
    "no choices": chunk("", prompt_filter_results=[{}]),
    "an empty delta": chunk("m", {}),
    "no JSON": b"data: {\n\n",
    "nests of arrays": b"data: " + b"[" * 100_000 + b"\n\n",
    "another value": b"data: 7\n\n",
    "half an event": chunk("m", {"content": "x"})[:-1],
}


@pytest.mark.parametrize("name", MEANINGFUL)
def test_what_takes_the_answer_on_is_heard(name: str) -> None:
    assert ChatPulse().heard(MEANINGFUL[name])


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_sent_while_waiting_is_not(name: str) -> None:
    assert not ChatPulse().heard(NOTHING[name])


@given(st.integers(1, 40))
def test_however_the_bytes_are_split_each_meaningful_event_is_heard_in_the_part_that_ends_it(size: int) -> None:
    pulse, heard = ChatPulse(), 0
    for at in range(0, len(STREAM), size):
        heard += pulse.heard(STREAM[at : at + size])
    ends = {(STREAM.index(each) + len(each) - 1) // size for each in answer_events("m", TEXT, 2)[1:]}
    assert heard == len(ends)


def test_a_stream_that_cannot_be_read_is_silence_from_there_on() -> None:
    pulse = ChatPulse()
    assert pulse.heard(MEANINGFUL["text"])
    assert not pulse.heard(b"data: \xff\n\n")
    assert not pulse.heard(MEANINGFUL["text"])


def test_a_stream_of_more_than_any_answer_is_full_at_once_and_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_EVENTS", 2)
    pulse = ChatPulse()
    assert pulse.heard(MEANINGFUL["text"] * 2)
    assert not pulse.full
    assert not pulse.heard(MEANINGFUL["text"])
    assert pulse.full
    assert bad(*said("a", "b"), FINISH).fault.kind is K.TOO_LARGE


def test_a_stream_that_cannot_be_read_is_not_full() -> None:
    pulse = ChatPulse()
    pulse.heard(b"data: \xff\n\n")
    assert not pulse.full
