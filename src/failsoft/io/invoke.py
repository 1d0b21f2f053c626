"""Runs the user's own functions for the drivers: where a function is synchronous, in a thread of its own.

A thread can't be stopped. When the wait ends first the thread goes on; `Invoke.work` is resolved when it has really ended,
and only then is its bulkhead slot free. The threads are daemons: one that hangs doesn't keep the interpreter from leaving.

Whatever a function does (it raises SystemExit, cancels itself, swallows its cancellation) is a value for its call, and
nothing else: it ends neither the application nor the loop that other calls run on.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from attrs import define

from failsoft.context import end_by
from failsoft.core.effects import Invoke, Promise, Raised
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive import CLOSING_SECONDS


@define(eq=False)
class Returned:
    """What the function returned: boxed, since None is a value too."""

    value: object


def is_async(function: Callable[..., Any]) -> bool:
    """Is it a coroutine function, or an object whose ``__call__`` is one?"""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def in_thread(effect: Invoke) -> Promise[Returned | Raised]:
    """Start the function in a thread, in a copy of the caller's context; the promise delivers its result."""
    promise: Promise[Returned | Raised] = Promise()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            context.run(end_by, effect.until)
            result: Returned | Raised = Returned(context.run(effect.function, *effect.arguments))
        except BaseException as error:
            result = raised(error)
        effect.work.resolve(None)
        promise.resolve(result)

    threading.Thread(target=work, name=f"failsoft-{effect.adapter}", daemon=True).start()
    effect.started = True  # not before: a thread that can't be started has no end to wait for
    return promise


def delivered(effect: Invoke, result: Returned | Raised | None) -> object:
    """What the thread of a plain function delivered; None: nothing in time.

    Something awaitable (a plain function that made a coroutine) is still to be awaited: the work is its own, then.
    """
    if result is None:
        return Fault(FaultKind.ATTEMPT_TIMEOUT)
    if isinstance(result, Raised):
        return result
    if inspect.isawaitable(result.value):
        effect.work = Promise()
    return result.value


async def caught(start: Callable[[], Awaitable[Any]], until: int) -> object:
    """Await the user's coroutine: what it returns, or what it raises as a value. Its cancellation passes.

    In a task of its own: what it calls ends by `until`.
    """
    end_by(until)
    try:
        return await start()
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except KeyboardInterrupt as error:
        if threading.current_thread() is threading.main_thread():
            raise  # somebody's Ctrl-C: it comes to the main thread only
        return raised(error)
    except BaseException as error:
        return raised(error)


def itself_cancelled() -> Fault:
    """The user's coroutine ended cancelled, and we hadn't cancelled it."""
    return Fault(FaultKind.ADAPTER_RAISED, "it cancelled itself")


def left() -> Fault:
    """We cancelled it, or never began it: nobody's fault."""
    return Fault(FaultKind.CANCELLED, "the isolation was left")


def raised(error: BaseException) -> Raised:
    """What a function raised, as a value: SystemExit and its like end the function, not the application."""
    return Raised(
        error if isinstance(error, Exception) else RuntimeError(f"the function raised {type(error).__name__}")
    )


class BackgroundLoop:
    """One event loop in a daemon thread, started at first use: where the sync API performs what only asyncio can.

    Its tasks are held until they end (asyncio itself holds them weakly), and the loop ends after its last task: where one
    swallows its cancellation, `close` leaves thread and loop to it, so that its bulkhead slot is free when it ends. Once
    closed it stays so: a call that was under way then, and goes on to its next adapter, starts none that nobody would end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run `coroutine` there. Once it's closed the future is cancelled, and nothing began.

        Raises:
            RuntimeError: the caller runs there itself, and would wait for itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("`.sync` within what runs on failsoft's own loop would wait for itself: await there")
        with self._lock:  # held until it's queued: what `close` queues comes behind it
            if self._closed:
                coroutine.close()
                never: Future[Any] = Future()
                never.cancel()
                return never
            try:
                loop = self._loop or self._start()
            except BaseException:
                coroutine.close()
                raise
            return asyncio.run_coroutine_threadsafe(coroutine, loop)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_serve, args=(loop,), name="failsoft-loop", daemon=True)
        try:
            thread.start()
        except BaseException:
            loop.close()
            raise
        self._loop, self._thread = loop, thread
        return loop

    def why_cancelled(self) -> Fault:
        """What the cancellation of a coroutine there means that no waiting caller asked for."""
        return left() if self._closed else itself_cancelled()

    def close(self) -> None:
        """Cancel what runs there, and wait `CLOSING_SECONDS` for its end."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
            if loop is None or thread is None:
                return
            loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSING_SECONDS)

    def after_fork(self) -> None:
        """In a forked child: the parent's thread isn't here."""
        self._lock = threading.Lock()
        self._loop = self._thread = None


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it's stopped, and then until its last task has ended."""
    held: set[asyncio.Task[Any]] = set()

    def hold(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        held.add(task)
        task.add_done_callback(held.discard)
        return task

    loop.set_task_factory(hold)
    _insist(loop.run_forever)
    _insist(lambda: loop.run_until_complete(_end_all()))
    _insist(lambda: loop.run_until_complete(loop.shutdown_asyncgens()))
    loop.close()


def _insist(run: Callable[[], None]) -> None:
    while True:
        try:
            return run()
        except (SystemExit, KeyboardInterrupt):
            continue  # of a task that the user's function started: that task has ended by it, the loop goes on


async def _end_all() -> None:
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)
