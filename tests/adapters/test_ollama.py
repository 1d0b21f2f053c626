"""Ollama's own interfaces. A schema, an image and an error were never recorded there: made by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asks import KEY, PDF, PNG, SCHEMA, ask, assert_not_shown, body_of, made, reply_of

from failsoft.adapters import json_lines
from failsoft.adapters.event_stream import EventStreamError, TooMuch
from failsoft.adapters.json_lines import LineReader
from failsoft.adapters.ollama import OllamaPulse
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.streaming import FIRST_NS, GAP_NS
from failsoft.core.effects import HttpReply, Reply, Tokens
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.outcome import Grade, Served
from failsoft.prompt import Message

K = FaultKind


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_chat_is_asked_for_exactly_so() -> None:
    request = made("ollama").encode(ask(stop=("END",)))
    assert request.url == "http://localhost:11434/api/chat"
    assert request.pulse is None
    body = json.loads(request.body)
    assert body.pop("format") == {
        **SCHEMA,
        "required": ["fsc", "reason", "parts"],
        "additionalProperties": False,
        "properties": {
            "fsc": SCHEMA["properties"]["fsc"],  # type: ignore[index]
            "reason": {"type": "string", "minLength": 3, "description": '(pattern "^[a-z]+$")'},
            "parts": {"type": "array", "minItems": 1, "items": {"type": "integer", "description": "(minimum 0)"}},
        },
    }
    assert body == {
        "model": "some-model",
        "messages": [{"role": "system", "content": 'Say "so".'}, {"role": "user", "content": "Büchse"}],
        "stream": False,
        "options": {"temperature": 0.0, "seed": 0, "stop": ["END"], "num_predict": 64},
    }


def test_one_question_is_asked_for_exactly_so() -> None:
    request = made("ollama", api="generate").encode(ask())
    assert request.url == "http://localhost:11434/api/generate"
    body = json.loads(request.body)
    assert (body["system"], body["prompt"]) == ('Say "so".', "Büchse")
    assert body["format"]["type"] == "object"


def test_openais_interface_is_there_too() -> None:
    codec = made("ollama", api="openai")
    assert codec.endpoint == "http://localhost:11434/v1/chat/completions"
    assert body_of(codec)["response_format"]["type"] == "json_schema"


def test_the_schema_may_stand_in_the_prompt() -> None:
    body = body_of(made("ollama", structured="json"))
    assert body["format"] == "json"
    assert body["messages"][0]["content"].endswith('\n\nSay "so".')
    bare = body_of(made("ollama", structured="prompt"), ask(Message("user", "x")))
    assert "format" not in bare
    assert [each["role"] for each in bare["messages"]] == ["system", "user"]
    generated = body_of(made("ollama", api="generate", structured="prompt"))
    assert generated["system"].endswith('\n\nSay "so".')


def test_options_are_the_operators_to_add() -> None:
    body = body_of(made("ollama", body={"options": {"num_ctx": 8192, "seed": 7}, "think": False}))
    assert body["options"] == {"num_ctx": 8192, "temperature": 0.0, "seed": 0, "num_predict": 64}
    assert body["think"] is False
    assert "seed" not in body_of(made("ollama", leave_out=["seed"]))["options"]
    with pytest.raises(ConfigurationError) as caught:
        made("ollama", body={"options": 7, "format": "json"}, structured="tool")
    assert len(caught.value.problems) == 3


def test_images_are_shown_and_documents_are_not() -> None:
    asked = ask(Message("user", ("Look:", PNG)))
    [message] = body_of(made("ollama"), asked)["messages"]
    assert message == {"role": "user", "content": "Look:", "images": ["iVBORw=="]}
    assert body_of(made("ollama", api="generate"), asked)["images"] == ["iVBORw=="]
    assert_not_shown(made("ollama"), PDF)
    assert_not_shown(made("ollama", api="generate"), "an example", role="assistant")


def test_a_streamed_request_brings_a_pulse() -> None:
    request = made("ollama", stream=True).encode(ask())
    assert (request.pulse, request.first_ns, request.gap_ns) == (OllamaPulse, FIRST_NS, GAP_NS)
    assert request.stream_type == "application/x-ndjson"
    assert json.loads(request.body)["stream"] is True
    assert dict(request.headers)["accept"] == "application/x-ndjson, application/json"


# --- reading ----------------------------------------------------------------------------------------------------------


def chat(text: Any = "{}", **changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **changes.pop("message", {})}
    told = {"done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 3}
    return {"model": "m:latest", "message": message, **told, **changes}


CALL = {"function": {"name": "f", "arguments": {"a": 2}}}


def parsed(body: Any, status: int = 200) -> Reading:
    reading = made("ollama").parse(reply_of(body, status))
    assert isinstance(reading, Reading)
    return reading


def test_an_answer_says_who_gave_it() -> None:
    for body in (
        chat(' {"a": 1}\n'),
        chat('<think>{}</think>{"a": 1}'),
        {"model": "m:latest", "response": '{"a": 1}', "done": True, "eval_count": 3},
    ):
        reply = made("ollama").decode(reply_of(body))
        assert isinstance(reply, Reply)
        assert reply.answer == b'{"a": 1}'
        assert reply.served == Served("m:latest", Grade.ECHOED)
    assert parsed(chat()).tokens == Tokens(7, 3)
    assert parsed(chat(prompt_eval_count=None)).tokens == Tokens(None, 3)
    assert parsed(chat(prompt_eval_count=None, eval_count=-1, model=None)).tokens is None


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, chat(done_reason="length"), K.TRUNCATED),
        (200, chat("", message={"tool_calls": [CALL]}), K.AMBIGUOUS_REPLY),
        (200, chat("", message={"thinking": "hm"}), K.EMPTY_REPLY),
        (200, chat(7), K.EMPTY_REPLY),
        (200, {"model": "m", "response": "", "done": True, "done_reason": "load"}, K.EMPTY_REPLY),
        (200, chat(done_reason="enough"), K.AMBIGUOUS_REPLY),
        (200, chat(done_reason={}), K.AMBIGUOUS_REPLY),
        (200, chat(done=False), K.MALFORMED_REPLY),
        (200, {"model": "m", "embeddings": [[0.1]]}, K.NOT_AN_ANSWER),
        (200, {"error": "llama runner process has terminated"}, K.SERVER_ERROR),
        (404, {"error": "model 'x' not found"}, K.NOT_FOUND),
        (400, {"error": "invalid format"}, K.REQUEST_REJECTED),
        (503, {"error": "server busy"}, K.SERVER_ERROR),
        (500, b"", K.SERVER_ERROR),
    ],
)
def test_a_reply_that_does_not_answer_is_a_fault(status: int, body: Any, expected: FaultKind) -> None:
    fault = parsed(body, status).fault
    assert fault is not None
    assert (fault.kind, fault.status) == (expected, status)


def test_a_calls_arguments_are_an_object_here_and_text_elsewhere() -> None:
    assert parsed(chat("", message={"tool_calls": [CALL]})).calls == (ToolCall("f", '{"a": 2}'),)


# --- streams ----------------------------------------------------------------------------------------------------------


def line(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "done": False, **fields}).encode() + b"\n"


PIECES = [line(message={"role": "assistant", "content": each}) for each in ('{"a"', ": 1}")]
LAST = line(message={"role": "assistant", "content": ""}, done=True, done_reason="stop", eval_count=3)


def streamed(*lines: bytes, **options: Any) -> Reading:
    codec = made("ollama", stream=True, **options)
    reading = codec.parse(HttpReply(200, {"content-type": "application/x-ndjson"}, b"".join(lines)))
    assert isinstance(reading, Reading)
    return reading


def test_the_lines_are_one_answer() -> None:
    reading = streamed(*PIECES, b"\r\n", LAST.rstrip())
    assert (reading.fault, reading.text, reading.finish) == (None, '{"a": 1}', "stop")
    assert reading.tokens == Tokens(None, 3)
    generated = streamed(line(response="{"), line(response="}", done=True), api="generate")
    assert (generated.fault, generated.text) == (None, "{}")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], K.TRUNCATED_STREAM),
        ([b"\n"], K.TRUNCATED_STREAM),
        ([line(error="died")], K.SERVER_ERROR),
        ([LAST, LAST], K.AMBIGUOUS_REPLY),
        ([line(message={"tool_calls": [CALL]}), LAST], K.AMBIGUOUS_REPLY),
        ([b"{\n"], K.MALFORMED_REPLY),
        ([b"\xff\n"], K.MALFORMED_REPLY),
    ],
)
def test_a_stream_that_does_not_answer_keeps_what_came(lines: list[bytes], expected: FaultKind) -> None:
    reading = streamed(*PIECES, *lines)
    assert reading.fault is not None
    assert reading.fault.kind is expected
    assert reading.text == ('{"a": 1}' if expected is not K.MALFORMED_REPLY or lines == [b"{\n"] else "")


def test_an_empty_stream_was_cut() -> None:
    fault = streamed().fault
    assert fault is not None
    assert fault.kind is K.TRUNCATED_STREAM


def test_a_key_that_came_in_pieces_is_struck() -> None:
    assert KEY not in streamed(line(response=KEY[:4]), line(response=KEY[4:])).text


def test_a_stream_of_more_than_any_answer_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_EVENTS", 1)
    fault = streamed(*PIECES, LAST).fault
    assert fault is not None
    assert fault.kind is K.TOO_LARGE
    pulse = OllamaPulse()
    assert not pulse.heard(b"".join(PIECES))
    assert pulse.full


def test_lines_are_bounded_by_the_values_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_VALUES", 2)
    reader = LineReader()
    assert reader.read(b"[1,") == []
    with pytest.raises(TooMuch):
        reader.read(b",")
    with pytest.raises(EventStreamError):
        LineReader().read(b"\xff\n")


@pytest.mark.parametrize(
    ("part", "meaningful"),
    [
        (PIECES[0], True),
        (LAST, True),
        (line(response="x"), True),
        (line(error="x"), True),
        (line(message={"thinking": "hm"}), True),
        (line(message={"role": "assistant", "content": ""}), False),
        (b"{\n", False),
        (b"\n", False),
        (PIECES[0].rstrip(), False),
    ],
)
def test_only_what_the_answer_goes_on_by_is_heard(part: bytes, meaningful: bool) -> None:
    assert OllamaPulse().heard(part) is meaningful
