"""The asyncio driver: performs a call's effects on the running loop.

Cancelling the task ends the wait, ends the call (`failsoft.io.drive.end`) and is re-raised. Time-outs are the driver's own
timers, never `asyncio.wait_for`, which on 3.11 can hide a cancellation (cpython#86296).
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, Protocol, TypeVar

from failsoft.core.effects import Clock, Detach, Effect, HttpReply, HttpRequest, Invoke, Promise, Race
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive import CLOSING_SECONDS, Driver, end
from failsoft.io.invoke import caught, delivered, in_thread, is_async, itself_cancelled
from failsoft.io.race_async import race
from failsoft.io.watchdog import Blocked

T = TypeVar("T")


class Exchanger(Protocol):
    """The transport's seam."""

    async def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        """Send, read the whole reply, or give up at `until`."""
        ...


class AsyncDriver(Driver[Exchanger]):
    """Drives calls on whatever loop awaits them.

    Args:
        transport: performs `Exchange`.
        clock: the clock on which the effects' `until` is measured; it must advance as the loop's does.
    """

    def __init__(
        self,
        transport: Exchanger,
        clock: Clock,
        others: Mapping[str, Exchanger] | None = None,
        blocked: Blocked | None = None,
    ) -> None:
        super().__init__(transport, clock, others, blocked)
        self._detached: set[asyncio.Task[Any]] = set()
        self._working: set[asyncio.Task[Any]] = set()  # held until they end: asyncio itself holds tasks weakly
        self._wakers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Waker] = weakref.WeakKeyDictionary()

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

    def _sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        return asyncio.sleep(seconds)

    def _race(self, effect: Race) -> Coroutine[Any, Any, object]:
        return race(effect, self.drive, self._clock)

    async def _detach(self, effect: Detach) -> None:
        task = asyncio.ensure_future(self.drive(effect.steps))
        self._detached.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._detached.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nobody complains: it's on record, and nobody waits for it

    def _forget_dead_loops(self) -> None:
        """Tasks of loops that were closed never end: let them be collected, so that their slots are given back."""
        for tasks in (self._working, self._detached):
            tasks -= {each for each in tasks if each.get_loop().is_closed()}

    async def aclose(self) -> None:
        """End what runs detached on this loop."""
        loop = asyncio.get_running_loop()
        tasks = [each for each in self._detached if each.get_loop() is loop]
        for each in tasks:
            each.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_SECONDS)

    async def _wait(self, promise: Promise[T], until: int) -> T | None:
        """The promise's value, or None at `until`."""
        if promise.done:
            return promise.value
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        waker = self._wakers.get(loop)
        if waker is None:
            waker = self._wakers[loop] = _Waker(loop)
            self._forget_dead_loops()
        waiter = weakref.ref(woken)  # whoever waits on a loop that has died is collected, and gives back what it held

        def wake() -> None:
            waker.wake(waiter)

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
        value = delivered(effect, result)
        return await self._watch(effect, lambda: value) if inspect.isawaitable(value) else value

    async def _watch(self, effect: Invoke, start: Callable[[], Any]) -> object:
        """Await the user's coroutine in a task of its own. At `until` it's cancelled; its slot waits for its end."""
        effect.started = True
        task = asyncio.ensure_future(caught(self._timed(effect, start), effect.until))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        task.add_done_callback(lambda _: effect.work.resolve(None))
        try:
            await asyncio.wait({task}, timeout=self._seconds(effect.until))
        except GeneratorExit:
            raise  # taken by the garbage collector: nothing may be awaited any more
        except BaseException:
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSING_SECONDS)
            raise
        if not task.done():
            task.cancel()  # and not waited for: the call has a deadline of its own
            return Fault(FaultKind.ATTEMPT_TIMEOUT)
        if task.cancelled():
            return itself_cancelled()
        return task.result()


class _Waker:
    """Wakes those who wait on one loop, from any thread: a commit that wakes a hundred knocks once, not a hundred times.

    Args:
        loop: held weakly, since whoever holds this by its loop mustn't keep the loop alive.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._woken: deque[weakref.ref[asyncio.Future[None]]] = deque()
        self._knocked = False

    def wake(self, waiter: weakref.ref[asyncio.Future[None]]) -> None:
        self._woken.append(waiter)  # first: who finds that somebody has knocked relies on it
        if not self._knocked:
            self._knocked = True
            loop = self._loop()
            try:
                if loop is not None:
                    loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # it was closed with somebody waiting: what they hold goes back when they're collected
                gc.collect()  # once for a dead loop: their slots would be nobody's until the collector comes by itself

    def _answer(self) -> None:
        self._knocked = False  # first: whoever comes from here on knocks again
        while self._woken:
            future = self._woken.popleft()()
            if future is not None:
                _set(future)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
