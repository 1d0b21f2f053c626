"""Replies as no provider should send them: a recorded one, changed in its structure or in its bytes, the same for a seed."""

from __future__ import annotations

import json
from random import Random
from typing import Any, cast

from failsoft.core.effects import HttpReply

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**53, 2**63, 10**30, 0.5, -0.0),
    *("", " ", "x", "null", "[DONE]", "\ud800", "\x00", "é" * 600, "2026-01-01"),
    *([], {}, [[]], [None], {"": None}, {"error": {"code": 5}}, {"type": "error"}),
)
"""What stands where something else should."""

_BITS = (b"\x00", b"\xff\xfe", b"{", b"]", b'"', b"\n\n", b"1e999", b"[" * 2_000)
_VALUES = ("", "0", "-1", "1e9", "application/json", "text/html", "text/event-stream", "\xff", "a" * 9_000)
_STATUSES = (
    200,
    200,
    200,
    201,
    204,
    400,
    401,
    402,
    403,
    404,
    408,
    409,
    413,
    422,
    424,
    429,
    498,
    500,
    503,
    504,
    529,
    599,
)


def mutated(reply: HttpReply, random: Random) -> HttpReply:
    """The reply with one to four things changed in it.

    Args:
        reply: a whole one; it stays as it is.
        random: where chance comes from.
    """
    status, headers, body = reply.status, dict(reply.headers), reply.body
    for _ in range(random.randrange(1, 5)):
        way = random.randrange(10)
        if way == 0:
            status = random.choice(_STATUSES)
        elif way == 1:
            headers = _headers(headers, random)
        elif way < 8:
            body = _json(body, random)
        else:
            body = _bytes(body, random)
    return HttpReply(status, headers, body)


def _headers(headers: dict[str, str], random: Random) -> dict[str, str]:
    changed = dict(headers)
    name = random.choice([*changed, "content-type", "retry-after", "x-should-retry"])
    if random.random() < 0.4:
        changed.pop(name, None)
    else:
        changed[name] = random.choice(_VALUES)
    return changed


def _json(body: bytes, random: Random) -> bytes:
    """JSON, or a stream of it: one value in it is another, is gone, or is there twice."""
    lines = body.split(b"\n")
    if len(lines) > 2:
        at = random.randrange(len(lines))
        prefix, found, rest = lines[at].partition(b"{")
        if found and (changed := _changed(found + rest, random)) is not None:
            lines[at] = prefix + changed
        elif random.random() < 0.5:
            del lines[at]
        else:
            lines.insert(at, random.choice(lines))
        return b"\n".join(lines)
    changed = _changed(body, random)
    return _bytes(body, random) if changed is None else changed


def _changed(text: bytes, random: Random) -> bytes | None:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return None
    root = [tree]
    places: list[tuple[Any, Any]] = []
    _walk(root, places)
    holder, key = random.choice(places)
    way = random.randrange(6)
    if way < 3:
        holder[key] = random.choice(STRANGE)
    elif way == 3 and len(holder) > 0 and holder is not root:
        del holder[key]
    elif way == 4:
        for _ in range(random.choice([2, 50, 400])):
            holder[key] = [holder[key]]
    else:
        holder[key] = {"type": holder[key]} if random.random() < 0.5 else [holder[key], holder[key]]
    try:
        return json.dumps(root[0]).encode()
    except RecursionError:
        return None


def _walk(node: Any, places: list[tuple[Any, Any]]) -> None:
    """Every place in a tree, without recursion: replies may be deep."""
    waiting: list[Any] = [node]
    while waiting:
        each: Any = waiting.pop()
        keys: list[Any] = list(cast("dict[str, Any]", each)) if isinstance(each, dict) else list(range(len(each)))
        for key in keys:
            places.append((cast("Any", each), key))
            if isinstance(each[key], dict | list):
                waiting.append(each[key])


def _bytes(body: bytes, random: Random) -> bytes:
    at = random.randrange(len(body) + 1)
    way = random.randrange(5)
    if way == 0:
        return body[:at]
    if way == 1:
        return body[:at] + bytes([random.randrange(256)]) + body[at + 1 :]
    if way == 2:
        return body[:at] + random.choice(_BITS) + body[at:]
    if way == 3:
        other = random.randrange(len(body) + 1)
        return body[: min(at, other)] + body[max(at, other) :]
    return body + body[at:]
