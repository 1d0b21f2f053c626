"""`Race` under asyncio: each branch in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from failsoft.core.effects import Clock, Effect, Race
from failsoft.io.drive import CLOSING_SECONDS

Drive = Callable[[Generator[Effect, Any, Any]], Coroutine[Any, Any, Any]]


async def race(effect: Race, drive: Drive, clock: Clock) -> object:
    """The winner's result, or None; every branch has ended then, or was given `CLOSING_SECONDS` to.

    Raises:
        Exception: nobody won, and a branch raised it.
        BaseException: a branch ended the application, or the caller was cancelled.
    """
    begun = clock.monotonic_ns()
    tasks: list[asyncio.Task[Any]] = []
    raised: Exception | None = None
    try:
        while True:
            running = [each for each in tasks if not each.done()]
            if len(tasks) < len(effect.branches):
                wait = (begun + effect.delays[len(tasks)] - clock.monotonic_ns()) / 1e9
                if not running or wait <= 0:
                    tasks.append(asyncio.ensure_future(drive(effect.branches[len(tasks)])))
                    continue
            elif not running:
                break
            else:
                wait = None
            done, _ = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=tasks.index):
                try:
                    result = task.result()
                except Exception as error:
                    raised = raised or error
                else:
                    if effect.won(result):
                        await _end(effect, tasks)
                        return result
    except GeneratorExit:
        raise  # taken by the garbage collector: nothing may be awaited any more
    except BaseException:
        await _end(effect, tasks)
        raise
    if raised is not None:
        raise raised
    return None


async def _end(effect: Race, tasks: list[asyncio.Task[Any]]) -> None:
    for steps in effect.branches[len(tasks) :]:
        steps.close()
    running = [each for each in tasks if not each.done()]
    for each in running:
        each.cancel()
    if running:
        await asyncio.wait(running, timeout=CLOSING_SECONDS)
