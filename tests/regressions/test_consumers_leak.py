"""What listens, or is kept to be mended after a fork, must not keep an application's objects alive.

resilience4j#2243: registries and their event consumers leaked.
"""

from __future__ import annotations

import gc
import weakref

import pytest
from pydantic import BaseModel

from failsoft import Capability, Isolation
from failsoft.core.effects import Ask
from failsoft.io import fork


class Item(BaseModel, frozen=True):
    text: str


class Count(Capability[Item, int]):
    """How many?"""

    def fallback(self, request: Item) -> int:
        return 0


def used() -> weakref.ref[Isolation]:
    """An isolation that was made, used, and dropped."""
    isolation = Isolation(
        {"ledger": {"url": "none"}, "capabilities": {"count": {"adapters": ["own"]}}}, capabilities=[Count]
    )

    @isolation.adapter("own", model="m")
    def own(ask: Ask) -> str:
        raise ConnectionError

    with isolation:
        for _ in range(8):
            isolation[Count].sync(Item(text="bolt"))
    return weakref.ref(isolation)


def test_an_isolation_that_nobody_holds_is_gone_with_its_listeners() -> None:
    before = len(fork._registered)
    dropped = used()
    gc.collect()
    assert dropped() is None
    assert len(fork._registered) <= before


def test_a_registry_that_holds_what_it_knows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork, "_registered", set())
    with pytest.raises(AssertionError):
        test_an_isolation_that_nobody_holds_is_gone_with_its_listeners()
