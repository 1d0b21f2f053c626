"""Who holds up an event loop: the steps of the user's coroutines, timed.

An ``async def`` that computes, sleeps or reads a file without ``await`` stops every call on its loop, and no time-out can
end it: a loop that's held fires no timer. So each step of an adapter's coroutine is timed, from being resumed to waiting
again: two looks at the clock, and no thread. It's told when the step has ended, with the adapter's name; tasks that a
coroutine starts by itself aren't seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

from failsoft.core.effects import MILLISECOND, Clock

HELD_NS = 100 * MILLISECOND
"""A step that takes as long is told: what asyncio's own debug mode calls slow."""

Blocked = Callable[[str, int], None]
"""Told: the adapter, and for how many nanoseconds it held the loop."""


class Timed:
    """Awaits what a function of the user's returned, and times its steps.

    Args:
        awaitable: a coroutine, or anything else that can be awaited.
        clock: tells how long a step took.
        told: hears how many nanoseconds a step took that took `HELD_NS` or longer. Must not raise.
    """

    __slots__ = ("_awaitable", "_clock", "_told")

    def __init__(self, awaitable: Awaitable[Any], clock: Clock, told: Callable[[int], None]) -> None:
        self._awaitable = awaitable
        self._clock = clock
        self._told = told

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._awaitable.__await__()
        step: Callable[[], Any] = partial(next, steps)
        while True:
            begun = self._clock.monotonic_ns()
            try:
                waited = step()
            except StopIteration as stop:
                return stop.value
            finally:
                took = self._clock.monotonic_ns() - begun
                if took >= HELD_NS:
                    self._told(took)
            try:
                sent = yield waited
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                step = partial(steps.throw, error)
            else:
                step = partial(next, steps) if sent is None else partial(steps.send, sent)
