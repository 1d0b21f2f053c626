"""A coroutine's steps, timed: what it does passes through unchanged, and a step that's long is told."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from failsoft.core.effects import MILLISECOND
from failsoft.io.drive_simulated import VirtualClock
from failsoft.io.watchdog import HELD_NS, Timed


class Loop:
    """A clock that coroutines move on, and what was told."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.told: list[int] = []

    def timed(self, awaitable: Any) -> Timed:
        return Timed(awaitable, self.clock, self.told.append)

    def hold(self, ms: int) -> None:
        self.clock.now += ms * MILLISECOND


async def test_a_long_step_is_told_with_what_it_took() -> None:
    loop = Loop()

    async def work() -> str:
        loop.hold(250)
        await asyncio.sleep(0)
        loop.hold(99)
        await asyncio.sleep(0)
        loop.hold(100)
        return "done"

    assert await loop.timed(work()) == "done"
    assert loop.told == [250 * MILLISECOND, HELD_NS]


async def test_time_that_passes_while_it_waits_is_not_its_own() -> None:
    loop = Loop()

    async def work() -> None:
        asyncio.get_running_loop().call_soon(loop.hold, 5_000)
        await asyncio.sleep(0)

    await loop.timed(work())
    assert loop.told == []


async def test_a_step_that_raises_is_told_and_its_exception_passes() -> None:
    loop = Loop()

    async def work() -> None:
        loop.hold(300)
        raise KeyError("x")

    with pytest.raises(KeyError):
        await loop.timed(work())
    assert loop.told == [300 * MILLISECOND]


async def test_a_cancellation_reaches_it_and_what_it_does_then_is_timed() -> None:
    loop, seen = Loop(), list[str]()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            loop.hold(200)
            raise

    async def run() -> None:
        await loop.timed(work())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]
    assert loop.told == [200 * MILLISECOND]


async def test_one_that_swallows_its_cancellation_goes_on() -> None:
    loop = Loop()
    released = asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await released.wait()
        return "late"

    async def run() -> Any:
        return await loop.timed(work())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    released.set()
    assert await task == "late"


async def test_futures_and_results_pass_through() -> None:
    loop = Loop()
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, 7)
    assert await loop.timed(future) == 7


def test_what_is_sent_reaches_it() -> None:
    class Echo:
        def __await__(self) -> Generator[str, str, str]:
            return (yield "first") + "!"

    steps = Loop().timed(Echo()).__await__()
    assert next(steps) == "first"
    with pytest.raises(StopIteration) as stop:
        steps.send("hello")
    assert stop.value.value == "hello!"


def test_closed_by_the_garbage_collector_it_is_closed_too() -> None:
    seen: list[str] = []

    class Waiting:
        def __await__(self) -> Generator[None, None, None]:
            try:
                yield
            finally:
                seen.append("closed")

    steps = Loop().timed(Waiting()).__await__()
    next(steps)
    steps.close()
    assert seen == ["closed"]
