"""Every recorded exchange with Anthropic: what stands in it is what is read, and what was asked is shaped as we ask."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random
from typing import Any

from tests.adapters.mutated import broken, lines_mutated, mutated
from tests.adapters.native_asks import ask, body_of
from tests.adapters.native_recorded import Row, raw_of, reply_of, usable

from failsoft.adapters.access import Access
from failsoft.adapters.anthropic import Anthropic, codec
from failsoft.adapters.claude_body import claude_schema
from failsoft.adapters.reading import Reading
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import HttpReply, Reply, Tokens, Unusable
from failsoft.core.retry_after import read_hint
from failsoft.fault import FaultKind
from failsoft.outcome import Grade
from failsoft.prompt import Document, Image, Message

K = FaultKind
ERRORS = {
    0: K.MODEL_NOT_FOUND,
    1: K.UNAUTHENTICATED,
    2: K.REQUEST_REJECTED,
    3: K.MODEL_NOT_FOUND,
    4: K.UNAUTHENTICATED,
    5: K.CONTEXT_TOO_LONG,
    6: K.UNAUTHENTICATED,
    73: K.MODEL_NOT_FOUND,
    74: K.UNAUTHENTICATED,
    127: K.MODEL_NOT_FOUND,
    128: K.MODEL_NOT_FOUND,
    129: K.UNAUTHENTICATED,
}
NO_ANSWERS = {19, 38, 63, 64, 113, 125}
"""Five token counts, and one chat completion of the provider's other interface."""
ECHOED = 2
"""Replies to ``claude-3-5-haiku-latest`` that say just that."""


def made(model: str | None = None) -> Anthropic:
    return codec(Access(model or "unknown", "anthropic", "https://h/v1", None, {}, Streaming()))


def by_hand(row: Row) -> dict[str, Any]:
    """What stands in a reply, read without the codec."""
    body = row["response"]["body"]
    if not row["stream"]:
        texts = [each["text"] for each in body["content"] if each["type"] == "text"]
        calls = [(each["name"], each["input"]) for each in body["content"] if each["type"] == "tool_use"]
        return {**body, "text": "".join(texts), "calls": calls}
    told: dict[str, Any] = {"text": "", "calls": [], "usage": {}}
    for line in body.splitlines():
        event = json.loads(line[5:]) if line.startswith("data:") else {}
        match event:
            case {"type": "message_start", "message": message}:
                told |= {"model": message["model"], "usage": dict(message["usage"])}
            case {"type": "content_block_start", "content_block": {"type": "tool_use", "name": name}}:
                told["calls"].append([name, ""])
            case {"delta": {"text": text}}:
                told["text"] += text
            case {"type": "content_block_delta", "delta": {"partial_json": text}} if told["calls"]:
                told["calls"][-1][1] += text
            case {"type": "message_delta", "delta": delta, "usage": usage}:
                told["stop_reason"] = delta["stop_reason"]
                told["usage"] |= usage
    told["calls"] = [(name, json.loads(text or "{}")) for name, text in told["calls"]]
    return told


def tokens(usage: dict[str, Any]) -> Tokens:
    cached = [usage.get(f"cache_{each}_input_tokens") or 0 for each in ("creation", "read")]
    return Tokens(usage["input_tokens"] + sum(cached), usage["output_tokens"])


def answers(data: Path) -> list[tuple[int, Row]]:
    return [each for each in usable(data, "anthropic") if each[0] not in ERRORS.keys() | NO_ANSWERS]


def server_tools(row: Row) -> bool:
    return "server_tool_use" in str(row["response"]["body"]) or "mcp_tool_use" in str(row["response"]["body"])


def test_every_recorded_message_is_read_as_it_stands(data: Path) -> None:
    rows, streams, echoed = answers(data), 0, 0
    assert len(rows) == 187
    for number, row in rows:
        read, stands = made(row["requested_model"]).parse(reply_of(row)), by_hand(row)
        assert read.text == stands["text"], number
        if not (row["stream"] and server_tools(row)):  # there the few lines above mix up whose arguments are whose
            assert [(each.name, json.loads(each.arguments)) for each in read.calls] == stands["calls"], number
        assert (read.served.model, read.finish) == (stands["model"], stands["stop_reason"]), number
        assert read.tokens == tokens(stands["usage"]), number
        echoed += read.served.grade is Grade.ECHOED
        streams += row["stream"]
    assert (streams, echoed) == (72, ECHOED)


def test_why_each_ended_decides(data: Path) -> None:
    expected = {"end_turn": None, "stop_sequence": None, "max_tokens": K.TRUNCATED, "tool_use": K.AMBIGUOUS_REPLY}
    for number, row in answers(data):
        read = made().parse(reply_of(row))
        assert (read.fault and read.fault.kind) == expected[str(read.finish)], number


def test_recorded_errors_are_what_their_types_say(data: Path) -> None:
    rows = dict(usable(data, "anthropic"))
    for number, expected in ERRORS.items():
        fault = made().parse(reply_of(rows[number])).fault
        assert fault is not None
        assert (fault.kind, fault.give_up, fault.certain) == (expected, True, True), number
    for number in NO_ANSWERS:
        fault = made().parse(reply_of(rows[number])).fault
        assert fault is not None
        assert fault.kind is K.NOT_AN_ANSWER, number


def test_native_structured_answers_are_json(data: Path) -> None:
    answered = 0
    for _, row in answers(data):
        asked = row["request"]["body"]
        if asked.get("output_format") or asked.get("output_config", {}).get("format"):
            read = made().parse(reply_of(row))
            if read.fault is None:
                answered += isinstance(made().decode(reply_of(row)), Reply)
    assert answered == 21


def test_forced_tools_answer(data: Path) -> None:
    forced = 0
    for _, row in answers(data):
        choice = row["request"]["body"].get("tool_choice") or {}
        if choice.get("type") == "tool":
            forced += 1
            assert len(made().parse(reply_of(row)).calls) >= 1
    assert forced == 9


def test_requests_have_the_shape_of_recorded_ones(data: Path) -> None:
    known: set[str] = set()
    formats: set[tuple[str, ...]] = set()
    choices: set[tuple[str, ...]] = set()
    for _, row in answers(data):
        asked = row["request"]["body"]
        known |= asked.keys()
        formats.add(tuple(sorted(asked.get("output_config", {}).get("format", {}))))
        choices.add(tuple(sorted(asked.get("tool_choice") or ())))
    for structured in ("native", "tool", "prompt"):
        mine = body_of(
            codec(Access("claude-sonnet-4-5", "x", "https://h", None, {}, Streaming(), {"structured": structured}))
        )
        assert mine.keys() <= known
        assert tuple(sorted(mine.get("output_config", {}).get("format", {}))) in formats
        assert tuple(sorted(mine.get("tool_choice", {}))) in choices
    assert ask().sampling.stop == ()


def test_rate_headers_of_replies_that_are_no_refusals_say_nothing_about_waiting(data: Path) -> None:
    name, sources = "anthropic-ratelimit-requests-reset", []
    for _, row in usable(data, "anthropic"):
        reply = reply_of(row)
        assert read_hint(reply.headers, reply.status, 0).wait_ns is None
        spent = {**reply.headers, "anthropic-ratelimit-requests-remaining": "0"}
        spent.pop("retry-after", None)
        if name in spent and "date" in spent:
            hint = read_hint(spent, 429, 0)
            sources.append(hint.source)
            assert name in (hint.source, *hint.ignored)  # ignored where nothing was spent: it's over already
    assert len(sources) >= 30
    assert sources.count(name) >= 20


def test_a_stream_that_was_cut_anywhere_is_no_answer(data: Path) -> None:
    random = Random(5)
    for number, row in answers(data):
        if row["stream"]:
            body = raw_of(row)
            ends = body.index(b"message_stop", body.rindex(b"data:"))
            for size in [random.randrange(ends) for _ in range(20)]:
                fault = made().parse(reply_of(row, body[:size])).fault
                assert fault is not None, (number, size)


def test_no_changed_recording_makes_it_raise_or_slow(data: Path) -> None:
    random = Random(7)
    rows = [row for _, row in usable(data, "anthropic")]
    slowest = 0.0
    for _ in range(4000):
        row = random.choice(rows)
        body = row["response"]["body"]
        if row["stream"]:
            raw = lines_mutated(body, random)
        else:
            raw = json.dumps(mutated(json.loads(json.dumps(body)), random)).encode()
        if random.random() < 0.2:
            raw = broken(raw, random)
        began = time.perf_counter()
        read = made().parse(reply_of(row, raw))
        assert isinstance(made().decode(reply_of(row, raw)), Reply | Unusable)
        slowest = max(slowest, time.perf_counter() - began)
        assert isinstance(read, Reading)
        read.text.encode()
        assert all(len(each or "") <= 512 for each in (read.served.model, read.served.request_id, read.finish))
    assert slowest < 1


def test_a_stream_of_nothing_but_blocks_is_read_in_time() -> None:
    start = b'data: {"type":"message_start","message":{}}\n\n'
    blocks = b"".join(
        b'data: {"type":"content_block_start","index":%d,"content_block":{}}\n\n' % number for number in range(100_000)
    )
    began = time.perf_counter()
    fault = made().parse(HttpReply(200, {"content-type": "text/event-stream"}, start + blocks)).fault
    assert fault is not None
    assert fault.kind is K.TRUNCATED_STREAM
    assert time.perf_counter() - began < 10


def without_titles(schema: Any) -> Any:
    """A schema as it was sent, but for titles (a property may be called so) and for what every object says here."""
    if isinstance(schema, list):
        return [without_titles(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if schema.get("type") == "object" else {}
    named = {
        name: {each: without_titles(of) for each, of in value.items()}
        if name in ("properties", "$defs")
        else without_titles(value)
        for name, value in schema.items()
        if name != "title"
    }
    return {**named, **closed}


def test_schemas_that_were_taken_are_said_the_same_way(data: Path) -> None:
    taken = 0
    for name in ("anthropic", "bedrock"):
        for _, row in usable(data, name):
            match row["request"]["body"]:
                case {"output_format": {"schema": schema}} | {"output_config": {"format": {"schema": schema}}}:
                    sent = schema
                case {"outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": schema}}}}}:
                    sent = json.loads(schema)
                case _:
                    continue
            taken += 1
            assert claude_schema(sent) == without_titles(sent)
    assert taken == 34


def blocks_in(value: Any) -> list[dict[str, Any]]:
    """The images and documents in a request."""
    if isinstance(value, list):
        return [block for each in value for block in blocks_in(each)]
    if not isinstance(value, dict):
        return []
    inner = [block for each in value.values() for block in blocks_in(each)]
    return [value, *inner] if value.get("type") in ("image", "document") else inner


def test_images_and_documents_have_the_shape_of_recorded_ones(data: Path) -> None:
    shapes = set()
    for _, row in usable(data, "anthropic"):
        for block in blocks_in(row["request"]["body"]):
            source = block["source"]
            shapes.add((block["type"], source["type"], source.get("media_type"), *sorted(source)))
    parts = ("x", Image(b"x", "image/png"), Document(b"x", "application/pdf"))  # a text's was never recorded
    mine = blocks_in(body_of(made("claude-sonnet-4-5"), ask(Message("user", parts))))
    assert len(mine) == 2
    for block in mine:
        source = block["source"]
        assert (block["type"], source["type"], source["media_type"], *sorted(source)) in shapes
