"""Recorded exchanges as codecs are handed them, and recorded replies spoilt in ways of which each keeps most of their shape."""

from __future__ import annotations

import copy
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from failsoft.adapters.access import Access
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.reading import Reading, answer_of
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import AnswerSchema, Ask, HttpReply
from failsoft.outcome import Pin
from failsoft.prompt import Prompt, Sampling

DATA = Path(os.environ.get("FAILSOFT_DATA") or Path(__file__).parents[3] / "shared" / "data") / "recordings"

needs_recordings = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA.name}: set FAILSOFT_DATA")

Row = dict[str, Any]

SCHEMA = {"type": "object", "properties": {"fsc": {"type": "string", "enum": ["1005", "1010"]}}, "required": ["fsc"]}
KEY = "key-of-16-letters-0"


def rows(provider: str) -> list[tuple[int, Row]]:
    """The usable rows, with their numbers."""
    with (DATA / f"{provider}.dev.jsonl").open(encoding="utf-8") as lines:
        return [(number, row) for number, row in enumerate(map(json.loads, lines)) if not row["suspect"]]


def reply_of(row: Row) -> HttpReply:
    """The reply as it came; the type of a stream, where recorders left it out, is put back."""
    response = row["response"]
    body = response["body"]
    headers = {name.lower(): value for name, value in response["headers"].items()}
    for dropped in ("content-encoding", "content-length"):
        headers.pop(dropped, None)
    if row["stream"]:
        headers.setdefault("content-type", "text/event-stream")
    return HttpReply(response["status"], headers, body.encode() if isinstance(body, str) else json.dumps(body).encode())


def chunks_of(row: Row) -> list[Any]:
    """The JSON documents in a recorded reply's body: one, or those of a stream."""
    body = row["response"]["body"]
    if not isinstance(body, str):
        return body if isinstance(body, list) else [body]
    told = [line.removeprefix("data:").strip() for line in body.splitlines() if line[:6] != "event:"]
    return [json.loads(line) for line in told if line[:1] == "{"]


def answered(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> HttpReply:
    """A hand-made reply."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, {"content-type": "application/json"} if headers is None else headers, raw)


def streamed(*events: Any, newline: str = "\n") -> HttpReply:
    """A hand-made event stream, of JSON or of texts as they are."""
    told = [each if isinstance(each, str) else json.dumps(each) for each in events]
    body = "".join(f"data: {each}{newline}{newline}" for each in told)
    return HttpReply(200, {"content-type": "text/event-stream; charset=utf-8"}, body.encode())


def access(model: str = "some-model", **fields: Any) -> Access:
    return Access(**{"model": model, "provider": "p", "base_url": "https://h.example/v1", "api_key": KEY, **fields})


def streaming(model: str = "some-model", **fields: Any) -> Access:
    return access(model, streaming=Streaming(), **fields)


def ask(**changes: Any) -> Ask:
    values: dict[str, Any] = {
        "request": None,
        "request_json": b'{"item":"B\xc3\xbcchse"}',
        "prompt": Prompt.of("Büchse", system="Classify."),
        "answer": AnswerSchema("classify-item", SCHEMA),
        "sampling": Sampling(max_tokens=64),
        "pin": Pin("some-model"),
    }
    return Ask(**{**values, **changes})


def sent(codec: HttpCodec, **changes: Any) -> dict[str, Any]:
    """The body of a request."""
    return json.loads(codec.encode(ask(**changes)).body)


def fed(pulse: Any, body: bytes, step: int) -> int:
    """How many pieces of a body meant something to a pulse."""
    return sum(pulse.heard(body[start : start + step]) for start in range(0, len(body), step))


# --- spoilt -----------------------------------------------------------------------------------------------------------

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 2**53 + 1, -(2**63), 2**64 - 1, 1.5, 1e300),
    *("", " ", "x", "1", "STOP", "\ud800", "\u0000", "x" * 600),
    *([], [[]], [None], [{}], {}, {"": {}}, {"text": 7}, {"type": "text", "text": []}, {"error": []}),
)


def spoilt(body: Any, chance: random.Random) -> Any:
    """JSON of which some places are other than they should be: replaced, missing, twice, in each other's place."""
    whole = [copy.deepcopy(body)]
    for _ in range(chance.randint(1, 4)):
        places = list(_places(whole))
        holder, key = chance.choice(places)
        kind = chance.random()
        if kind < 0.6:
            holder[key] = copy.deepcopy(chance.choice(HOSTILE))
        elif kind < 0.8 and holder is not whole:
            del holder[key]
        elif kind < 0.9 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            other, at = chance.choice(places)
            holder[key] = copy.deepcopy(other[at])
        if len(json.dumps(whole)) > 200_000:
            break
    return whole[0]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _places(value[key])


def spoilt_reply(row: Row, chance: random.Random) -> HttpReply:
    """A recorded reply, its JSON spoilt, or its bytes."""
    reply = reply_of(row)
    body = row["response"]["body"]
    if chance.random() < 0.15:
        return HttpReply(reply.status, reply.headers, _torn(reply.body, chance))
    status = chance.choice((200, 200, 200, 200, 204, 400, 401, 404, 429, 500, 503, reply.status))
    if isinstance(body, str):
        lines = body.splitlines(keepends=True)
        for number in chance.sample(range(len(lines)), min(3, len(lines))):
            start = lines[number].find("{")
            if start >= 0:
                lines[number] = (
                    lines[number][:start] + json.dumps(spoilt(json.loads(lines[number][start:]), chance)) + "\n"
                )
        raw = "".join(lines).encode("utf-8", "surrogatepass")
    else:
        raw = json.dumps(spoilt(body, chance)).encode()
    return HttpReply(status, reply.headers, raw)


def _torn(raw: bytes, chance: random.Random) -> bytes:
    """Cut, or with a few other bytes."""
    if chance.random() < 0.5:
        return raw[: chance.randrange(len(raw) + 1)]
    made = bytearray(raw)
    for _ in range(min(len(made), 5)):
        made[chance.randrange(len(made))] = chance.randrange(256)
    return bytes(made)


def fuzz(provider: str, codec: Callable[[Row], HttpCodec], times: int, seed: int) -> list[Reading]:
    """Readings of spoilt replies: each is one, and took less than a second."""
    chance, found, given = random.Random(seed), [], [row for _, row in rows(provider)]
    small = [row for row in given if len(json.dumps(row["response"]["body"])) < 30_000]
    for _ in range(times):
        row = chance.choice(small)
        reply, made = spoilt_reply(row, chance), codec(row)
        start = time.monotonic()
        reading = made.parse(reply)
        answer_of(reading, reply.status)
        assert time.monotonic() - start < 1, row["request"]["url"]
        assert type(reading) is Reading
        assert type(reading.text) is str
        assert reading.finish is None or type(reading.finish) is str
        assert reading.answer is None or type(reading.answer) is str
        assert all(type(each.name) is type(each.arguments) is str for each in reading.calls)
        reading.text.encode()
        found.append(reading)
    return found
