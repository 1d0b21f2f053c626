"""The thread driver: performs a call's effects in the caller's own thread, by blocking it.

No event loop is made for it. Only what asyncio alone can do (the user's coroutine function, a transport that exists for
asyncio only) goes through one background loop, started at first use.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol, TypeVar

from failsoft.core.effects import Clock, Detach, Effect, HttpReply, HttpRequest, Invoke, Promise, Race
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive import CLOSING_SECONDS, Driver, end
from failsoft.io.drive_async import Exchanger
from failsoft.io.invoke import BackgroundLoop, caught, delivered, in_thread, is_async, left
from failsoft.io.race_sync import race
from failsoft.io.watchdog import Blocked

T = TypeVar("T")


class SyncExchanger(Protocol):
    """The transport's seam, blocking."""

    def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        """Send, read the whole reply, or give up at `until`."""
        ...


class SyncDriver(Driver[SyncExchanger]):
    """Drives calls in the calling thread.

    Args:
        transport: performs `Exchange`.
        clock: the clock on which the effects' `until` is measured.
        loop: where coroutine functions run.
    """

    def __init__(
        self,
        transport: SyncExchanger,
        clock: Clock,
        loop: BackgroundLoop,
        others: Mapping[str, SyncExchanger] | None = None,
        blocked: Blocked | None = None,
    ) -> None:
        super().__init__(transport, clock, others, blocked)
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

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _race(self, effect: Race) -> object:
        return race(effect, self._perform, self._clock)

    def _detach(self, effect: Detach) -> None:
        context = contextvars.copy_context()

        def work() -> None:
            with contextlib.suppress(Exception):  # it's on record, and nobody waits for it
                context.run(self.drive, effect.steps)

        threading.Thread(target=work, name="failsoft-detached", daemon=True).start()

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
            return self._watch(effect, lambda: effect.function(*effect.arguments))
        value = delivered(effect, self._wait(in_thread(effect), effect.until))
        return self._watch(effect, lambda: value) if inspect.isawaitable(value) else value

    def _watch(self, effect: Invoke, start: Callable[[], Any]) -> object:
        """Await the user's coroutine on the background loop. At `until` it's cancelled; its slot waits for its end."""
        baton = threading.Lock()  # whoever takes it, the work or its future's end, says when the work has ended

        async def work() -> object:
            if not baton.acquire(blocking=False):
                return None  # its caller left before it began
            try:
                return await caught(self._timed(effect, start), effect.until)
            finally:
                effect.work.resolve(None)

        def ended(_: Future[Any]) -> None:
            if baton.acquire(blocking=False):
                effect.work.resolve(None)

        future = self._loop.submit(work())
        effect.started = True
        future.add_done_callback(ended)
        return result_of(future, self._seconds(effect.until), self._loop.why_cancelled)


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
        result: HttpReply | Fault = result_of(future, patience, left)
        return result


def result_of(future: Future[Any], seconds: float, cancelled: Callable[[], Fault]) -> Any:
    """The future's result, or a time-out: a wait that ends early cancels what it waited for.

    Args:
        future: of the background loop.
        seconds: to wait at most; below 0 as 0.
        cancelled: gives the result where it was cancelled, and not by us.
    """
    try:
        return future.result(timeout=max(0.0, seconds))
    except TimeoutError:
        future.cancel()
        return Fault(FaultKind.ATTEMPT_TIMEOUT)
    except CancelledError:
        return cancelled()
    except BaseException:
        future.cancel()
        raise
