"""One call through a breaker, held in the hand: it starts, it runs until it's told how to end, and it's looked at.

What a scenario sees is what any caller sees: did the protected function run, and what came out? No library's own state is
read. Functions run as tasks of an event loop, or as threads where a library's calls block.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

POLL_S = 0.002
PATIENCE_S = 0.6
"""So long may a call take to be let in or refused; after that it's waiting for another."""


class Down(ConnectionError):
    """The provider can't be reached: what every library counts."""


class Excluded(Exception):
    """The provider finds fault with the request: it's working. ``status_code`` is what SDKs' exceptions carry."""

    status_code = 400


class Stop(BaseException):
    """Somebody ends the program, as `KeyboardInterrupt` does. (That one itself would end an event loop.)"""


class ListenerError(Exception):
    """What the listener raises."""


@dataclass(frozen=True)
class Want:
    """How a scenario would have its breaker: every figure is one that all the libraries can be given, or about.

    Args:
        failures: in a row, that open it.
        open_s: how long it stays open.
        attempt_s: how long one attempt may take, for those that bound it.
        listener: attach one that raises.
        excluded: set it so that `Excluded` doesn't count as a failure.
    """

    failures: int = 3
    open_s: float = 0.3
    attempt_s: float = 10.0
    listener: bool = False
    excluded: bool = False


Call = Callable[[Callable[[], Any]], Any]
"""Runs a function without arguments behind a breaker. Both are coroutine functions where the library's are."""


class Running:
    """One call.

    Args:
        call: what runs functions behind the breaker.
        tasks: do its functions run as tasks?
        loop: the event loop of its task; None: the running one.
    """

    def __init__(self, call: Call, *, tasks: bool, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.admitted = self.ended = False
        self.value: object = None
        self.error: BaseException | None = None
        self._outcome: BaseException | None = None
        self._released = threading.Event()
        self._task: asyncio.Task[None] | None = None
        if not tasks:
            threading.Thread(target=self._in_thread, args=(call,), daemon=True).start()
        elif loop is None:
            self._task = asyncio.create_task(self._in_task(call))
        else:
            loop.call_soon_threadsafe(lambda: setattr(self, "_task", loop.create_task(self._in_task(call))))

    async def looked_at(self, patience_s: float = PATIENCE_S) -> Running:
        """Once it was let in, or has ended; or as it is when patience runs out."""
        until = time.monotonic() + patience_s
        while not (self.admitted or self.ended) and time.monotonic() < until:
            await asyncio.sleep(POLL_S)
        return self

    async def end(self, outcome: BaseException | None = None) -> Running:
        """Let it return, or raise; then it has ended."""
        self._outcome = outcome
        self._released.set()
        until = time.monotonic() + 5 * PATIENCE_S
        while not self.ended and time.monotonic() < until:
            await asyncio.sleep(POLL_S)
        return self

    async def cancel(self) -> None:
        """Cancel its task, as a caller that goes away does."""
        assert self._task is not None
        self._task.cancel()
        while not self.ended:
            await asyncio.sleep(POLL_S)

    async def _in_task(self, call: Call) -> None:
        async def function() -> int:
            self.admitted = True
            while not self._released.is_set():
                await asyncio.sleep(POLL_S)
            return self._answer()

        try:
            self.value = await call(function)
        except BaseException as error:  # the scenario judges it, whatever it is
            self.error = error
        self.ended = True

    def _in_thread(self, call: Call) -> None:
        def function() -> int:
            self.admitted = True
            self._released.wait()
            return self._answer()

        try:
            self.value = call(function)
        except BaseException as error:  # the scenario judges it, whatever it is
            self.error = error
        self.ended = True

    def _answer(self) -> int:
        if self._outcome is not None:
            raise self._outcome
        return 1
