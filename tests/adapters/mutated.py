"""Recorded bodies, changed at random where their structure is: what a codec must survive."""

from __future__ import annotations

import json
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**60, 10**30, 1e300, "", "x", "[", "\ud83d"),
    *([], {}, [[]], [None], {"type": 1}, {"error": {"type": []}}, "{" * 50),
)


def mutated(value: Any, random: Random) -> Any:
    """The same with one place in it changed: taken away, doubled, or something odd put there."""
    places: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        each = stack.pop()
        keys = each if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        for key in keys:
            places.append((each, key))
            stack.append(each[key])
    if not places:
        return random.choice(ODD)
    holder, key = random.choice(places)
    choice = random.random()
    if choice < 0.2 and isinstance(holder, dict):
        del holder[key]
    elif choice < 0.3 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = random.choice(ODD)
    return value


def broken(text: bytes, random: Random) -> bytes:
    """The same bytes cut, with some doubled, or some changed."""
    if not text:
        return bytes([random.randrange(256)])
    start, size = random.randrange(len(text)), random.randrange(1, 40)
    choice = random.random()
    if choice < 0.3:
        return text[:start]
    if choice < 0.5:
        return text[: start + size] + text[start:]
    return text[:start] + bytes(random.randrange(256) for _ in range(size)) + text[start + size :]


def lines_mutated(text: str, random: Random) -> bytes:
    """A stream of server-sent events, one event's JSON changed, or one taken away, or two exchanged."""
    events = text.split("\n\n")
    index = random.randrange(len(events))
    head, mark, data = events[index].partition("data:")
    if mark and random.random() < 0.7:
        try:
            told = json.dumps(mutated(json.loads(data), random))
        except ValueError:
            told = data
        events[index] = f"{head}data: {told}"
    elif random.random() < 0.5:
        del events[index]
    else:
        other = random.randrange(len(events))
        events[index], events[other] = events[other], events[index]
    return "\n\n".join(events).encode("utf-8", "replace")
