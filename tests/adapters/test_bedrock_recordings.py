"""Every recorded exchange with Bedrock: what stands in it is what is read, and what was asked is shaped as we ask."""

from __future__ import annotations

import base64
import json
import re
import struct
import time
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest
from tests.adapters.frames import chunk, event
from tests.adapters.mutated import broken, mutated
from tests.adapters.native_asks import ask
from tests.adapters.native_recorded import Row, raw_of, reply_of, usable

from failsoft.adapters.access import Access
from failsoft.adapters.anthropic import codec as anthropic_codec
from failsoft.adapters.bedrock import codec
from failsoft.adapters.bedrock_codec import BedrockCodec
from failsoft.adapters.reading import Reading
from failsoft.adapters.registry import api_of
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import Reply, Tokens, Unusable
from failsoft.fault import FaultKind
from failsoft.outcome import Grade, Pin
from failsoft.providers import facts

K = FaultKind
ERRORS = {
    0: K.CONTEXT_TOO_LONG,
    2: K.MODEL_NOT_FOUND,
    3: K.MODEL_NOT_FOUND,
    4: K.MODEL_NOT_FOUND,
    5: K.MODEL_NOT_FOUND,
    6: K.REQUEST_REJECTED,
    7: K.MODEL_NOT_FOUND,
    8: K.MODEL_NOT_FOUND,
    9: K.UNAUTHENTICATED,
    10: K.MODEL_NOT_FOUND,
    12: K.MODEL_NOT_FOUND,
    121: K.MODEL_NOT_FOUND,
}
EMBEDDINGS = {75, 102}
FILTERED_IN_A_CHUNK = {37, 129}
TWO_GENERATIONS = {92}


def model_of(row: Row) -> str:
    found = re.search(r"/model/([^/]+)/", row["request"]["url"])
    assert found is not None
    return unquote(found[1])


def made(row: Row, **options: Any) -> BedrockCodec:
    provider = facts("bedrock")
    api = api_of(provider, row["request"]["url"])
    assert api is not None
    given = {"api": api, "region": "us-east-1", **({"vendor": "chat"} if api == "invoke" else {}), **options}
    return codec(Access(model_of(row), "bedrock", provider.base_url or "", None, {}, Streaming(), given))


def runtime(data: Path) -> list[tuple[int, Row]]:
    """All but those of its OpenAI-shaped endpoint, which the codecs of those shapes read."""
    rows = [each for each in usable(data, "bedrock") if "/model/" in each[1]["request"]["url"]]
    assert len(rows) == 199
    return rows


def answers(data: Path) -> list[tuple[int, Row]]:
    return [each for each in runtime(data) if each[0] not in ERRORS.keys() | EMBEDDINGS]


def documents(body: bytes) -> list[tuple[str, Any]]:
    """The events of a binary stream, read without the codec and without its checksums."""
    found, at = [], 0
    while at < len(body):
        total, size = struct.unpack_from(">II", body, at)
        kind = re.search(rb":event-type\x07\x00.(\w+?)(?=\x0d:|\x0b:|$)", body[at + 12 : at + 12 + size], re.DOTALL)
        payload = json.loads(body[at + 12 + size : at + total - 4])
        assert kind is not None
        found.append((kind[1].decode(), payload))
        at += total
    return [
        (kind, json.loads(base64.b64decode(fields["bytes"])) if kind == "chunk" else fields) for kind, fields in found
    ]


def stands(row: Row) -> tuple[str, str | None]:
    """The text in a reply, and why it ended."""
    if row["response"].get("body_encoding") == "base64":
        return streamed(documents(raw_of(row)))
    match row["response"]["body"]:
        case {"output": {"message": {"content": blocks}}, "stopReason": why}:
            parts = [part for each in blocks for part in each.get("citationsContent", {}).get("content", [each])]
            return "".join(each.get("text", "") for each in parts), why
        case {"type": "message", "content": blocks, "stop_reason": why}:
            return "".join(each["text"] for each in blocks if each["type"] == "text"), why
        case {"completions": [{"data": {"text": text}, "finishReason": {"reason": why}}]}:
            return text, why
        case (
            {"results": [{"outputText": text, "completionReason": why}]}
            | {"generations": [{"text": text, "finish_reason": why}]}
            | {"outputs": [{"text": text, "stop_reason": why}]}
            | {"choices": [{"text": text, "finish_reason": why}]}
            | {"generation": text, "stop_reason": why}
            | {"completion": text, "stop_reason": why}
            | {"text": text, "finish_reason": why}
        ):
            return text, why
    raise AssertionError(row["response"]["body"])


def streamed(events: list[tuple[str, Any]]) -> tuple[str, str | None]:
    text, why = "", None
    for kind, fields in events:
        if kind != "chunk":
            fields = {kind: fields}
        match fields:
            case {"contentBlockDelta": {"delta": {"text": piece}}}:
                text += piece
            case {"messageStop": {"stopReason": reason}}:
                why = reason
            case {"delta": {"stop_reason": reason}}:
                why = reason
            case {"delta": {"type": "text_delta", "text": piece}}:
                text += piece
            case {"index": 1}:
                pass
            case {"outputText": piece} | {"generation": piece} | {"completion": piece} | {"text": piece}:
                text += piece
        for name in ("completionReason", "stop_reason", "finish_reason"):
            why = fields.get(name) or why
    return text, why


def test_every_recorded_answer_is_read_as_it_stands(data: Path) -> None:
    rows, streams, gateway = answers(data), 0, 0
    assert len(rows) == 185
    for number, row in rows:
        read = made(row).parse(reply_of(row))
        assert (read.text, read.finish) == stands(row), number
        streams += row["response"].get("body_encoding") == "base64"
        claims = read.served.grade is Grade.GATEWAY
        gateway += claims
        if claims:
            models = {row["served_model"]} - {None} or {
                fields["message"]["model"] for _, fields in documents(raw_of(row)) if "message" in fields
            }
            assert {read.served.model} == models, number
        assert claims or read.served.grade is Grade.UNKNOWN
    assert (streams, gateway) == (56, 32)


def test_why_each_ended_decides(data: Path) -> None:
    expected = {
        **dict.fromkeys(("end_turn", "stop_sequence", "stop", "finish", "complete")),
        **dict.fromkeys(("max_tokens", "length"), K.TRUNCATED),
        "tool_use": K.AMBIGUOUS_REPLY,
        "guardrail_intervened": K.FILTERED,
    }
    for number, row in answers(data):
        read = made(row).parse(reply_of(row))
        kind = read.fault and read.fault.kind
        if number in FILTERED_IN_A_CHUNK:
            assert kind is K.FILTERED
        elif number in TWO_GENERATIONS:
            assert kind is K.AMBIGUOUS_REPLY
        elif not read.text and not read.calls:
            assert kind is K.EMPTY_REPLY
        else:
            assert kind == expected[str(read.finish).lower()], number


def calls_in(row: Row) -> list[str]:
    if row["response"].get("body_encoding") == "base64":
        told = json.dumps([fields for _, fields in documents(raw_of(row))])
    else:
        told = json.dumps(row["response"]["body"])
    return re.findall(
        r'"(?:tool_use|toolUse)": {[^{}]*?"name": "(\w+)"', told.replace('"type": "tool_use", ', '"tool_use": {')
    )


def test_every_recorded_call_is_told(data: Path) -> None:
    called = 0
    for number, row in answers(data):
        read = made(row).parse(reply_of(row))
        called += bool(read.calls)
        assert all(each.name and isinstance(json.loads(each.arguments), dict) for each in read.calls), number
        if row["tool_call"] and not read.calls:
            assert read.finish not in ("tool_use",), number
    assert called >= 31


def test_usage_is_what_stands_there(data: Path) -> None:
    unknown = 0
    for number, row in answers(data):
        read = made(row).parse(reply_of(row))
        body = row["response"]["body"]
        usage = body.get("usage") if isinstance(body, dict) else None
        if isinstance(usage, dict) and "totalTokens" in usage and "/converse" in row["request"]["url"]:
            assert read.tokens is not None
            assert read.tokens.total == usage["totalTokens"], number
        unknown += read.tokens is None
        headers = reply_of(row).headers
        if read.tokens is not None and "x-amzn-bedrock-output-token-count" in headers:
            assert read.tokens.output == int(headers["x-amzn-bedrock-output-token-count"]), number
    assert unknown == 1  # a stream that a guardrail ended before the model was asked


def test_recorded_errors_are_what_their_names_say(data: Path) -> None:
    rows = dict(runtime(data))
    for number, expected in ERRORS.items():
        read = made(rows[number]).parse(reply_of(rows[number]))
        assert read.fault is not None
        assert (read.fault.kind, read.fault.status) == (expected, rows[number]["response"]["status"]), number
        assert read.served.request_id == reply_of(rows[number]).headers.get("x-amzn-requestid"), number
    for number in EMBEDDINGS:
        read = made(rows[number]).parse(reply_of(rows[number]))
        assert read.fault is not None
        assert read.fault.kind is K.NOT_AN_ANSWER


@pytest.mark.parametrize("options", [{"api": "converse"}, {"api": "invoke", "vendor": "anthropic"}])
def test_no_recorded_reply_of_any_provider_makes_it_raise(options: dict[str, str], data: Path) -> None:
    codecs = [
        codec(Access("m", "bedrock", "https://h", None, {}, Streaming(), options)),
        anthropic_codec(Access("m", "anthropic", "https://h", None, {}, Streaming())),
    ]
    for path in sorted((data / "recordings").glob("*.jsonl")):
        for _, row in usable(data, path.name.partition(".")[0]):
            assert all(isinstance(each.decode(reply_of(row)), Reply | Unusable) for each in codecs)


def test_native_structured_answers_are_json(data: Path) -> None:
    asked = [row for _, row in answers(data) if "outputConfig" in row["request"]["body"]]
    assert len(asked) == 10
    assert all(isinstance(made(row).decode(reply_of(row)), Reply) for row in asked)


def test_models_are_written_into_the_path_as_recorded(data: Path) -> None:
    for _, row in runtime(data):
        model = model_of(row)
        path = row["request"]["url"].partition("/model/")[2].replace(":443", "").replace(f"{model}/", "")
        mine = made(row).encode(ask(pin=Pin(model))).url.partition("/model/")[2]
        assert mine.partition("/")[0] in (
            row["request"]["url"].partition("/model/")[2].partition("/")[0].replace(":", "%3A"),
            path,
        )


def test_requests_have_the_shape_of_recorded_ones(data: Path) -> None:
    known: set[str] = set()
    inference: set[str] = set()
    formats: set[str] = set()
    for _, row in runtime(data):
        if "/converse" in row["request"]["url"]:
            asked = row["request"]["body"]
            known |= asked.keys()
            inference |= asked.get("inferenceConfig", {}).keys()
            if "outputConfig" in asked:
                described = asked["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
                formats |= described.keys()
                assert isinstance(json.loads(described["schema"]), dict)  # a text in the JSON
    for structured in ("native", "tool", "prompt"):
        converse = codec(Access("x", "x", "https://h", None, {}, None, {"structured": structured}))
        mine = json.loads(converse.encode(ask()).body)
        assert mine.keys() <= known
        assert mine["inferenceConfig"].keys() <= inference
        if structured == "native":
            assert mine["outputConfig"]["textFormat"]["structure"]["jsonSchema"].keys() <= formats


def test_vendors_bodies_have_the_fields_of_recorded_ones(data: Path) -> None:
    by_model: dict[str, set[str]] = {}
    for _, row in runtime(data):
        if "/invoke" in row["request"]["url"] and isinstance(row["request"]["body"], dict):
            asked = row["request"]["body"]
            within = asked.get("textGenerationConfig", {}).keys()
            by_model.setdefault(model_of(row), set()).update(asked, within)
    checked = 0
    for model, fields in by_model.items():
        if re.search(r"titan-text|meta\.|mistral-7b|command-(?:light|text|r)|j2", model):
            checked += 1
            access = Access(model, "x", "https://h", None, {}, None, {"api": "invoke", "leave_out": ["seed"]})
            mine = json.loads(codec(access).encode(ask()).body)
            assert mine.keys() | mine.get("textGenerationConfig", {}).keys() <= fields, model
    assert checked >= 8


def test_a_stream_that_was_cut_anywhere_is_no_answer(data: Path) -> None:
    random, cuts = Random(5), 0
    for number, row in answers(data):
        if row["response"].get("body_encoding") != "base64":
            continue
        body, whole = raw_of(row), made(row).parse(reply_of(row))
        for size in [random.randrange(len(body)) for _ in range(30)]:
            read = made(row).parse(reply_of(row, body[:size]))
            cuts += 1
            assert read.fault is not None or read.text == whole.text, (number, size)
            assert whole.text.startswith(read.text), (number, size)
    assert cuts == 1680


def frames_mutated(body: bytes, random: Random) -> bytes:
    """The same events, one changed, lost, doubled or exchanged, with right checksums."""
    events = documents(body)
    index = random.randrange(len(events))
    kind, fields = events[index]
    choice = random.random()
    if choice < 0.6:
        events[index] = (kind, mutated(fields, random))
    elif choice < 0.7:
        del events[index]
    elif choice < 0.8:
        events.insert(index, events[index])
    else:
        other = random.randrange(len(events))
        events[index], events[other] = events[other], events[index]
    made = [
        (chunk if kind == "chunk" else lambda told, kind=kind: event(kind, told))(json.dumps(fields).encode())
        for kind, fields in events
    ]
    return b"".join(made)


def test_no_changed_recording_makes_it_raise_or_slow(data: Path) -> None:
    random, slowest = Random(11), 0.0
    rows = [row for _, row in runtime(data)]
    for _ in range(4000):
        row = random.choice(rows)
        if row["response"].get("body_encoding") == "base64":
            raw = frames_mutated(raw_of(row), random)
        else:
            raw = json.dumps(mutated(json.loads(json.dumps(row["response"]["body"])), random)).encode()
        if random.random() < 0.2:
            raw = broken(raw, random)
        reply = reply_of(row, raw)
        began = time.perf_counter()
        read = made(row).parse(reply)
        assert isinstance(made(row).decode(reply), Reply | Unusable)
        slowest = max(slowest, time.perf_counter() - began)
        assert isinstance(read, Reading)
        read.text.encode()
        assert read.tokens is None or isinstance(read.tokens, Tokens)
        assert all(len(each or "") <= 512 for each in (read.served.model, read.served.request_id, read.finish))
    assert slowest < 1
