"""The thread driver: performs a call's effects in the caller's own thread, by blocking it.

No event loop is made for it. Only what asyncio alone can do (the user's coroutine function, a transport that exists for
asyncio only) goes through one background loop, started at first use.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Coroutine, Generator
from concurrent.futures import Future
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
from failsoft.io.drive_async import Exchanger
from failsoft.io.invoke import BackgroundLoop, in_thread, is_async, raised

T = TypeVar("T")


class SyncExchanger(Protocol):
    """The transport's seam, blocking."""

    def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        """Send, read the whole reply, or give up at `until`."""
        ...


class SyncDriver:
    """Drives calls in the calling thread.

    Args:
        transport: performs `Exchange`.
        clock: the clock on which the effects' `until` is measured.
        loop: where coroutine functions run.
    """

    def __init__(self, transport: SyncExchanger, clock: Clock, loop: BackgroundLoop) -> None:
        self._transport = transport
        self._clock = clock
        self._loop = loop

    def drive(self, steps: Generator[Effect, Any, T]) -> T:
        """Perform every effect of `steps`, and return what it returns."""
        try:
            effect = next(steps)
            while True:
                try:
                    result = self._perform(effect)
                except Exception as error:
                    effect = steps.throw(error)
                except BaseException as error:
                    end(steps, error)
                else:
                    effect = steps.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _perform(self, effect: Effect) -> object:
        if type(effect) is Exchange:
            return self._transport.exchange(effect.request, effect.until)
        if type(effect) is Append:
            return self._wait(effect.ticket.promise, effect.until)
        if type(effect) is Enter:
            return self._wait(effect.promise, effect.until)
        if type(effect) is Invoke:
            return self._invoke(effect)
        time.sleep(self._seconds(effect.until))
        return None

    def _seconds(self, until: int) -> float:
        return max(0.0, (until - self._clock.monotonic_ns()) / 1e9)

    def _wait(self, promise: Promise[T], until: int) -> T | None:
        """The promise's value, or None at `until`."""
        if not promise.done:
            woken = threading.Event()
            promise.on_done(woken.set)
            try:
                woken.wait(self._seconds(until))
            finally:
                promise.forget(woken.set)
        return promise.value if promise.done else None

    def _invoke(self, effect: Invoke) -> object:
        if is_async(effect.function):
            return self._watch(effect, effect.function(*effect.arguments))
        result = self._wait(in_thread(effect), effect.until)
        if result is None:
            return Fault(FaultKind.ATTEMPT_TIMEOUT)
        if isinstance(result, Raised):
            return result
        value = result.value
        if not inspect.iscoroutine(value):
            return value
        effect.work = Promise()  # a plain function that made a coroutine: the work is the coroutine's
        return self._watch(effect, value)

    def _watch(self, effect: Invoke, coroutine: Coroutine[Any, Any, Any]) -> object:
        begun: list[None] = []

        async def work() -> object:
            begun.append(None)
            try:
                return await coroutine
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as error:
                return raised(error)
            finally:
                effect.work.resolve(None)  # when the work has ended, not when its caller left

        future = self._loop.submit(work())
        effect.started = True
        future.add_done_callback(lambda _: None if begun else effect.work.resolve(None))
        result = await_future(future, self._seconds(effect.until))
        return Fault(FaultKind.ATTEMPT_TIMEOUT) if result is None else result[0]


class ThroughLoop:
    """A transport that exists for asyncio only, for the sync driver: each exchange runs on the background loop."""

    def __init__(self, transport: Exchanger, clock: Clock, loop: BackgroundLoop) -> None:
        self._transport = transport
        self._clock = clock
        self._loop = loop

    def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        """As the transport's own, which keeps the deadline itself."""
        future = self._loop.submit(self._transport.exchange(request, until))
        patience = (until - self._clock.monotonic_ns()) / 1e9 + CLOSING_SECONDS
        result = await_future(future, patience)
        return Fault(FaultKind.ATTEMPT_TIMEOUT) if result is None else result[0]


def await_future(future: Future[T], seconds: float) -> tuple[T] | None:
    """The future's result in a box, or None after `seconds`; a wait that ends early cancels what it waited for."""
    try:
        return (future.result(timeout=max(0.0, seconds)),)
    except TimeoutError:
        future.cancel()
        return None
    except BaseException:
        future.cancel()
        raise
