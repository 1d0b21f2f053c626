"""Runs the user's own functions for the drivers: where a function is synchronous, in a thread of its own.

A thread can't be stopped. When the wait ends first the thread goes on; `Invoke.work` is resolved when it has really ended,
and only then is its bulkhead slot free. The threads are daemons: one that hangs doesn't keep the interpreter from leaving.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from attrs import define

from failsoft.core.effects import Invoke, Promise, Raised
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
            result: Returned | Raised = Returned(context.run(effect.function, *effect.arguments))
        except BaseException as error:
            result = raised(error)
        effect.work.resolve(None)
        promise.resolve(result)

    threading.Thread(target=work, name=f"failsoft-{effect.adapter}", daemon=True).start()
    effect.started = True  # not before: a thread that can't be started has no end to wait for
    return promise


def raised(error: BaseException) -> Raised:
    """What a function raised, as a value: SystemExit and its like end the function, not the application."""
    return Raised(
        error if isinstance(error, Exception) else RuntimeError(f"the function raised {type(error).__name__}")
    )


class BackgroundLoop:
    """One event loop in a daemon thread, started at first use: where the sync API performs what only asyncio can."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run `coroutine` there."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="failsoft-loop", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """Stop the loop; what still runs there is cancelled."""
        with self._lock:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is None or thread is None:
            return
        with contextlib.suppress(TimeoutError):  # a task that swallows its cancellation ends with the process
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(timeout=CLOSING_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSING_SECONDS)
        if not thread.is_alive():
            loop.close()

    def after_fork(self) -> None:
        """In a forked child: the parent's thread isn't here."""
        self._lock = threading.Lock()
        self._loop = self._thread = None


async def _cancel_all() -> None:
    tasks = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
