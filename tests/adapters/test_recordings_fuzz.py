"""Recorded replies, changed at random places in ways that keep their structure: each still gives a reading, soon."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from recorded import PROVIDERS, Row, needs_recordings, rows

from failsoft.adapters.base import MAX_TEXT
from failsoft.adapters.reading import Reading
from failsoft.core.effects import HttpReply, Reply, Unusable

pytestmark = needs_recordings

ROUNDS = 4
SECONDS = 2.0
"""For one reply of at most 100 KB."""

STRANGE: list[Any] = [
    *(None, True, False, 0, -1, 7, 2**63, 0.5, "", " ", "x", "\u2028", "stop", "error", "length", "x" * 2000),
    *([], [None], [[]], [{}], {}, {"code": 429}, {"type": "output_text", "text": 1}, {"a": {"b": [1]}}),
]
RAW = [
    b"\xff",
    b"\x00",
    b"{",
    b"]",
    b'"',
    b"\\ud800",
    b"1e999",
    b"NaN",
    b"9" * 30,
    b"[" * 70,
    b"\r",
    b"\n\n",
    b"data: ",
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document, with each key in it."""
    if isinstance(value, dict):
        for key in value:
            yield value, key
            yield from places(value[key])
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield value, index
            yield from places(each)


def changed(document: Any, chosen: random.Random) -> Any:
    """The document with one value gone, replaced, doubled, or put elsewhere."""
    found = list(places(document))
    if not found:
        return document
    holder, key = chosen.choice(found)
    way = chosen.randrange(4)
    if way == 0 and isinstance(holder, dict):
        del holder[key]
    elif way == 1 and isinstance(holder, list):
        holder.append(holder[key])
    elif way == 2:
        other, at = chosen.choice(found)
        holder[key] = json.loads(json.dumps(other[at])) if at in other or isinstance(other, list) else None
    else:
        holder[key] = chosen.choice(STRANGE)
    return document


def fuzzed(row: Row, chosen: random.Random) -> bytes:
    body = row.reply.body
    if chosen.random() < 0.2:
        at = chosen.randrange(len(body) + 1)
        return body[:at] + chosen.choice(RAW) + body[at + chosen.randrange(3) :]
    if not isinstance(row.body, str):
        return json.dumps(changed(json.loads(body), chosen)).encode()
    lines = body.split(b"\n")
    for _ in range(chosen.randrange(1, 4)):
        at = chosen.randrange(len(lines))
        prefix, _, text = lines[at].rpartition(b"data: ")
        way = chosen.randrange(5)
        if way == 0:
            lines.insert(chosen.randrange(len(lines)), lines[at])
        elif way == 1:
            del lines[at]
            lines = lines or [b""]
        elif text.startswith(b"{"):
            mark = b"data: " if lines[at].startswith(b"data: ") else b""
            try:
                lines[at] = prefix + mark + json.dumps(changed(json.loads(text), chosen)).encode()
            except ValueError:  # changed before
                lines[at] = text[: len(text) // 2]
    return b"\n".join(lines)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_whatever_is_changed_in_a_reply_it_gives_a_reading(seed: int) -> None:
    chosen = random.Random(seed)
    read = 0
    for row in rows(*PROVIDERS):
        if len(row.reply.body) > 100_000:
            continue
        made, status = row.codec(), chosen.choice([row.reply.status] * 4 + [400, 404, 429, 503])
        reply = HttpReply(status, row.reply.headers, fuzzed(row, chosen))
        start = time.perf_counter()
        reading = made.parse(reply)
        answer = made.decode(reply)
        assert time.perf_counter() - start < SECONDS, row.name
        assert_sound(reading, status)
        assert isinstance(answer, Reply | Unusable)
        read += 1
    assert read > 700


def assert_sound(reading: Any, status: int) -> None:
    """Of the right types, within bounds, and text that can be written down."""
    assert isinstance(reading, Reading)
    stated = reading.served
    for name in (stated.model, stated.fingerprint, stated.request_id, stated.upstream, reading.finish):
        assert name is None or (type(name) is str and 0 < len(name) <= MAX_TEXT)
    for call in reading.calls:
        assert type(call.name) is type(call.arguments) is str
        call.arguments.encode()
    reading.text.encode()
    (reading.answer or "").encode()
    if reading.tokens is not None:
        assert all(
            count is None or (type(count) is int and count >= 0)
            for count in (reading.tokens.input, reading.tokens.output)
        )
    if reading.fault is not None:
        assert reading.fault.status == status
