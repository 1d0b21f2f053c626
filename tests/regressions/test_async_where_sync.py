"""A coroutine function where a plain one is wanted is told when it's declared, and never runs unawaited.

pybreaker#7: an async function wrapped by a sync breaker was never a failure, since making its coroutine always succeeds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from failsoft import Capability, ConfigurationError, Isolation, capability
from failsoft.core import contract


class Item(BaseModel, frozen=True):
    text: str


class Count(Capability[Item, int]):
    """How many?"""

    def fallback(self, request: Item) -> int:
        return 0


async def in_a_while(request: Item) -> int:
    return 0


def as_fallback() -> None:
    class Waits(Capability[Item, int]):
        """How many?"""

        async def fallback(self, request: Item) -> int:  # type: ignore[override]
            return 0


def as_accept() -> None:
    class Waits(Capability[Item, int]):
        """How many?"""

        def fallback(self, request: Item) -> int:
            return 0

        async def accept(self, request: Item, response: int) -> None:  # type: ignore[override]
            return None


def as_function() -> None:
    capability(in_a_while)  # type: ignore[type-var]


def as_wired_fallback() -> None:
    wired = f"{__name__}:in_a_while"
    Isolation({"ledger": {"url": "none"}, "capabilities": {"count": {"fallback": wired}}}, capabilities=[Count])


def is_refused(declare: Callable[[], None]) -> bool:
    try:
        declare()
    except (TypeError, ConfigurationError):
        return True
    return False


DECLARATIONS = [as_fallback, as_accept, as_function, as_wired_fallback]


@pytest.mark.parametrize("declare", DECLARATIONS)
def test_a_coroutine_function_is_refused_where_it_is_declared(declare: Callable[[], None]) -> None:
    assert is_refused(declare)


@pytest.mark.parametrize("declare", DECLARATIONS)
def test_one_that_is_taken_is_found(declare: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    never: Any = lambda _: False  # noqa: E731
    monkeypatch.setattr(inspect, "iscoroutinefunction", never)
    monkeypatch.setattr(contract, "_fits", lambda *_: True)
    with pytest.raises(AssertionError):
        test_a_coroutine_function_is_refused_where_it_is_declared(declare)
