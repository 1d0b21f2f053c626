"""What is a stream is told by how it begins, where its media type is missing, says JSON or plain text, or isn't so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.adapters.asks import made

from failsoft.adapters.reading import Reading
from failsoft.core.effects import HttpReply, Tokens
from failsoft.fault import FaultKind

K = FaultKind

UNSAID = [{}, {"content-type": "application/json"}, {"content-type": "text/plain; charset=utf-8"}]

CHAT = [
    {"model": "m", "message": {"role": "assistant", "content": '{"a"'}, "done": False},
    {"model": "m", "message": {"content": ":1}"}, "done": False},
    {
        "model": "m",
        "message": {"content": ""},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 2,
    },
]
V1 = [
    {"is_finished": False, "event_type": "stream-start", "generation_id": "g-1"},
    {"is_finished": False, "event_type": "text-generation", "text": '{"a":1}'},
    {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": {
            "generation_id": "g-1",
            "text": '{"a":1}',
            "finish_reason": "COMPLETE",
            "meta": {"tokens": {"input_tokens": 3, "output_tokens": 2}},
        },
    },
]
CHUNKS = [
    {"object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": {"content": '{"a"'}}]},
    {"object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": {"content": ":1}"}}]},
    {"object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]
WHOLE = {
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"content": '{"a":1}'}, "finish_reason": "stop"}],
}
SPEAKERS = ("openai", "mistral", "openai-compatible")


def read(provider: str, body: bytes, headers: dict[str, str], *, stream: bool = True, **options: Any) -> Reading:
    return made(provider, base_url="https://h/v1", stream=stream, **options).parse(HttpReply(200, headers, body))


def as_lines(objects: list[Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


def as_events(objects: list[Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in objects)


@pytest.mark.parametrize("headers", UNSAID)
@pytest.mark.parametrize(("provider", "objects"), [("ollama", CHAT), ("cohere", V1)])
def test_lines_are_read_whatever_they_are_called(provider: str, objects: list[Any], headers: dict[str, str]) -> None:
    for body in (as_lines(objects), json.dumps(objects).encode()):
        reading = read(provider, body, headers)
        assert (reading.fault, reading.text, reading.tokens) == (None, '{"a":1}', Tokens(3, 2))
    cut = read(provider, as_lines(objects[:2]), headers)
    assert cut.fault is not None
    assert cut.fault.kind is K.TRUNCATED_STREAM
    assert cut.text


@pytest.mark.parametrize("headers", UNSAID)
@pytest.mark.parametrize("provider", SPEAKERS)
def test_events_are_read_whatever_they_are_called(provider: str, headers: dict[str, str]) -> None:
    for body in (as_events(CHUNKS) + b"data: [DONE]\n\n", json.dumps([*CHUNKS, "[DONE]"]).encode()):
        reading = read(provider, body, headers)
        assert (reading.fault, reading.text, reading.finish) == (None, '{"a":1}', "stop")


@pytest.mark.parametrize("provider", SPEAKERS)
def test_one_object_is_whole_though_it_is_called_a_stream(provider: str) -> None:
    body = b"\n" + json.dumps(WHOLE).encode()
    reading = read(provider, body, {"content-type": "text/event-stream"})
    assert (reading.fault, reading.text) == (None, '{"a":1}')
    unasked = read(provider, body, {"content-type": "text/event-stream"}, stream=False)
    assert unasked.fault is not None
    assert unasked.fault.kind is K.MALFORMED_REPLY


def test_one_object_of_ollamas_is_whole_though_its_lines_are_broken() -> None:
    whole = {"model": "m", "message": {"content": '{"a":1}'}, "done": True, "done_reason": "stop"}
    for body in (json.dumps(whole).encode(), json.dumps(whole, indent=2).encode()):
        assert read("ollama", body, {}).text == '{"a":1}'


@pytest.mark.parametrize("body", [b"[]", b"[1]", b"[", b'[{"embedding": [1]}]'])
def test_a_list_of_something_else_is_no_stream(body: bytes) -> None:
    fault = read("openai", body, {"content-type": "application/json"}).fault
    assert fault is not None
    assert fault.kind is K.MALFORMED_REPLY
