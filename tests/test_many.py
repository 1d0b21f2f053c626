"""Many requests: never more at once than asked for, each with its own outcome, nothing left running."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from failsoft import Isolation, capability
from failsoft.many import map_async, map_sync


class Gate:
    """Answers a request when it's let through; counts how many wait."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[int]] = {}
        self.most = 0

    async def __call__(self, request: int) -> int:
        self.waiting[request] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self.waiting))
        try:
            return await self.waiting[request]
        finally:
            del self.waiting[request]

    async def let(self, request: int) -> None:
        while request not in self.waiting:
            await asyncio.sleep(0)
        self.waiting[request].set_result(request * 10)
        while request in self.waiting:
            await asyncio.sleep(0)


async def collected(gate: Gate, requests: Any, order: list[int], *, ordered: bool, at_once: int = 3) -> list[Any]:
    async def opening() -> None:
        for each in order:
            await gate.let(each)

    opener = asyncio.ensure_future(opening())
    found = [each async for each in map_async(gate, requests, at_once, ordered, None)]
    await opener
    return found


async def test_ordered_outcomes_come_in_the_order_of_the_requests() -> None:
    gate = Gate()
    found = await collected(gate, range(5), [2, 0, 1, 4, 3], ordered=True)
    assert found == [(each, each * 10) for each in range(5)]
    assert gate.most == 3


async def test_unordered_ones_come_as_they_are_there() -> None:
    found = await collected(Gate(), range(5), [2, 1, 3, 0, 4], ordered=False)
    assert found[0][0] != 0
    assert dict(found) == {each: each * 10 for each in range(5)}


async def test_no_more_is_taken_from_the_requests_than_can_be_asked() -> None:
    taken: list[int] = []

    def requests() -> Iterator[int]:
        for each in range(100):
            taken.append(each)
            yield each

    gate = Gate()
    async with aclosing(map_async(gate, requests(), 2, True, None)) as outcomes:  # type: ignore[type-var]
        first = asyncio.ensure_future(anext(outcomes))
        await gate.let(0)
        assert await first == (0, 0)
    assert taken == [0, 1]
    assert gate.waiting == {}


async def test_what_one_raises_cancels_the_others() -> None:
    gate = Gate()

    async def failing(request: int) -> int:
        if request == 1:
            raise LookupError
        return await gate(request)

    with pytest.raises(LookupError):
        async for _ in map_async(failing, range(3), 3, False, None):
            pass
    assert gate.waiting == {}


async def test_two_that_raise_leave_nothing_unheard() -> None:
    async def failing(request: int) -> int:
        raise LookupError

    with pytest.raises(LookupError):
        async for _ in map_async(failing, range(3), 3, True, None):
            pass


@pytest.mark.parametrize("ordered", [True, False])
def test_threads_do_the_same(ordered: bool) -> None:
    at_once, most, lock = [0], [0], threading.Lock()

    def ask(request: int) -> int:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        with lock:
            at_once[0] -= 1
        return request * 10

    told: list[int] = []
    found = list(map_sync(ask, range(50), 4, ordered, told.append))
    assert sorted(found) == [(each, each * 10) for each in range(50)]
    if ordered:
        assert found == sorted(found)
    assert most[0] <= 4
    assert told == list(range(1, 51))


def test_what_a_thread_raises_is_raised() -> None:
    def failing(request: int) -> int:
        raise LookupError

    with pytest.raises(LookupError):
        list(map_sync(failing, range(3), 2, True, None))


@capability
def length(text: str) -> int:
    """How long is it?"""
    return len(text)


class TestAnIsolatedCapability:
    async def test_is_asked_for_each(self) -> None:
        told: list[int] = []
        async with Isolation({"ledger": {"url": "none"}}, capabilities=[length]) as isolation:
            found = [each async for each in isolation[length].map(["a", "bb"], progress=told.append)]
            with pytest.raises(ValueError, match="concurrency"):
                isolation[length].map([], concurrency=0)
        assert [(request, outcome.value) for request, outcome in found] == [("a", 1), ("bb", 2)]
        assert told == [1, 2]

    def test_in_threads_too(self) -> None:
        with Isolation({"ledger": {"url": "none"}}, capabilities=[length]) as isolation:
            found = list(isolation[length].map_sync(["a", "bb"], ordered=False))
            with pytest.raises(ValueError, match="concurrency"):
                isolation[length].map_sync([], concurrency=0)
        assert {request: outcome.value for request, outcome in found} == {"a": 1, "bb": 2}
