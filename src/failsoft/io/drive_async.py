"""The asyncio driver: performs a call's effects on the running loop.

Cancelling the task ends the wait, ends the call (`failsoft.io.drive.end`) and is re-raised. Time-outs are the driver's own
timers, never `asyncio.wait_for`, which on 3.11 can hide a cancellation (cpython#86296).
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol, TypeVar

from failsoft.core.effects import (
    Append,
    Clock,
    Effect,
    Enter,
    Exchange,
    HttpReply,
    HttpRequest,
    Invoke,
    Promise,
    Raised,
)
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive import CLOSING_SECONDS, end
from failsoft.io.invoke import in_thread, is_async, raised

T = TypeVar("T")


class Exchanger(Protocol):
    """The transport's seam."""

    async def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        """Send, read the whole reply, or give up at `until`."""
        ...


class AsyncDriver:
    """Drives calls on whatever loop awaits them.

    Args:
        transport: performs `Exchange`.
        clock: the clock on which the effects' `until` is measured; it must advance as the loop's does.
    """

    def __init__(self, transport: Exchanger, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock

    async def drive(self, steps: Generator[Effect, Any, T]) -> T:
        """Perform every effect of `steps`, and return what it returns."""
        try:
            effect = next(steps)
            while True:
                try:
                    result = await self._perform(effect)
                except Exception as error:
                    effect = steps.throw(error)
                except BaseException as error:
                    end(steps, error)
                else:
                    effect = steps.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _perform(self, effect: Effect) -> Coroutine[Any, Any, Any]:
        if type(effect) is Exchange:
            return self._transport.exchange(effect.request, effect.until)
        if type(effect) is Append:
            return self._wait(effect.ticket.promise, effect.until)
        if type(effect) is Enter:
            return self._wait(effect.promise, effect.until)
        if type(effect) is Invoke:
            return self._invoke(effect)
        return asyncio.sleep(self._seconds(effect.until))

    def _seconds(self, until: int) -> float:
        return max(0.0, (until - self._clock.monotonic_ns()) / 1e9)

    async def _wait(self, promise: Promise[T], until: int) -> T | None:
        """The promise's value, or None at `until`."""
        if promise.done:
            return promise.value
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits there any more
                loop.call_soon_threadsafe(_set, woken)

        timer = loop.call_later(self._seconds(until), _set, woken)
        promise.on_done(wake)
        try:
            await woken
        except GeneratorExit:
            raise  # taken by the garbage collector, perhaps inside the promise's own lock: none is taken here
        except BaseException:
            timer.cancel()
            promise.forget(wake)
            raise
        timer.cancel()
        promise.forget(wake)
        return promise.value if promise.done else None

    async def _invoke(self, effect: Invoke) -> object:
        if is_async(effect.function):
            return await self._watch(effect, lambda: effect.function(*effect.arguments))
        result = await self._wait(in_thread(effect), effect.until)
        if result is None:
            return Fault(FaultKind.ATTEMPT_TIMEOUT)
        if isinstance(result, Raised):
            return result
        value = result.value
        if not inspect.isawaitable(value):
            return value
        effect.work = Promise()  # a plain function that made a coroutine: the work is the coroutine's
        return await self._watch(effect, lambda: value)

    async def _watch(self, effect: Invoke, start: Callable[[], Any]) -> object:
        """Await the user's coroutine in a task of its own; at `until` it's cancelled, and its slot waits for its end."""
        effect.started = True
        task = asyncio.ensure_future(_catch(start))
        task.add_done_callback(lambda _: effect.work.resolve(None))
        try:
            await asyncio.wait({task}, timeout=self._seconds(effect.until))
        except GeneratorExit:
            raise  # taken by the garbage collector: nothing may be awaited any more
        except BaseException:
            await _close(task)
            raise
        if not task.done():
            await _close(task)
            return Fault(FaultKind.ATTEMPT_TIMEOUT)
        if task.cancelled():
            return Fault(FaultKind.ADAPTER_RAISED, "it cancelled itself")
        return task.result()


async def _catch(start: Callable[[], Any]) -> object:
    try:
        return await start()
    except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        return raised(error)


async def _close(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=CLOSING_SECONDS)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
