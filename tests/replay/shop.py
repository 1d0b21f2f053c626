"""A small application whose calls are recorded and replayed. No tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

import failsoft
from failsoft import Capability, Isolation, Outcome, Prompt
from failsoft.ledger.read import read
from failsoft.replay.replay import Replay
from failsoft.replay.steps import Replayed, Result, Step
from failsoft.testing import FaultTransport, chat_answer

SAME, DIFFERS, NOT = Result.SAME, Result.DIFFERS, Result.NOT_REPLAYABLE


class Item(BaseModel, frozen=True):
    name: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    version = "1"

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)

    def accept(self, request: Item, response: Rating) -> None:
        if response.stars > 5:
            raise ValueError(f"{response.stars} stars for {request.name}")


def made(base: type[Capability[Any, Any]] = RateItem, /, **changes: Any) -> type[Capability[Any, Any]]:
    """The capability with other class attributes, under the same name."""
    return type("RateItem", (base,), {"name": "rate-item", "__doc__": base.__doc__, **changes})


GPT: Mapping[str, Any] = {
    "provider": "openai-compatible",
    "base_url": "https://h.example/v1",
    "model": "m-1",
    "api_key": SecretStr("k" * 20),
    "attempts": 1,
}


def isolated(
    place: Path,
    script: Any = None,
    capability: Any = RateItem,
    adapter: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Isolation:
    """An isolation with one adapter, ``gpt``, whose provider is a script."""
    config = {
        "ledger": {"url": f"sqlite:///{place}"},
        "adapters": {"gpt": {**GPT, **(adapter or {})}},
        "capabilities": {"rate-item": {"adapters": ["gpt"], "deadline": "5s"}},
        "on_bug": "fallback",
        **changes,
    }
    script = chat_answer({"stars": 3}) if script is None else script
    return Isolation(config, capabilities=[capability], sync_transport=FaultTransport(script))


def asked(place: Path, script: Any = None, name: str = "bolt", **changes: Any) -> Outcome[Any]:
    """One call, on record."""
    with isolated(place, script, **changes) as isolation, failsoft.context(case="T-17", labels=()):
        return isolation["rate-item"].sync(Item(name=name))


def replayed(place: Path, call_id: str, capability: Any = RateItem, **changes: Any) -> Replayed:
    """That call, replayed by a capability of today."""
    isolation = isolated(place, None, capability, **changes)
    with read(place) as reader:
        return Replay(reader, isolation.contracts, isolation.pins).call(call_id)


def results(found: Replayed) -> dict[str, Result]:
    """By step; the worst where there are several."""
    told: dict[str, Result] = {}
    for each in found.steps:
        if told.get(each.step) is not DIFFERS:
            told[each.step] = each.result if each.result is not SAME else told.get(each.step, SAME)
    return told


def step(found: Replayed, name: str) -> Step:
    """The only step of this name."""
    (only,) = [each for each in found.steps if each.step == name]
    return only


@contextmanager
def tampering(place: Path) -> Iterator[sqlite3.Connection]:
    """The ledger's file, open to whoever can write it: its triggers out of the way."""
    connection = sqlite3.connect(place)
    try:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        yield connection
        connection.commit()
    finally:
        connection.close()


def digest_of(place: Path, call_id: str, path: str) -> bytes:
    """The commitment to a call's payload."""
    with read(place) as reader:
        (found,) = [
            each["digest"]
            for entry in reader.call(call_id)
            for each in entry.fields.get("commitments", [])
            if each["path"] == path
        ]
    return bytes.fromhex(found)


def erase(place: Path, call_id: str, path: str) -> None:
    digest = digest_of(place, call_id, path)
    with tampering(place) as connection:
        connection.execute("DELETE FROM ledger_payload WHERE digest = ?", (digest,))


Prompting = Callable[[Any, Any], Prompt]
