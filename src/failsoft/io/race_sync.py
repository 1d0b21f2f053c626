"""`Race` in threads: the branches are stepped in the caller's thread; each effect is performed in one of its own.

So the user's own code (`accept`, validators) runs in the thread that asked. An exchange that blocks can't be broken off:
losers are ended by a thread that waits for their effects to end, and their slots are free only then.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable, Generator
from typing import Any

from failsoft.core.effects import Clock, Effect, Race
from failsoft.io.drive import end

Perform = Callable[[Effect], object]
Inbox = queue.SimpleQueue[tuple[int, object, "BaseException | None"]]


class Lost(BaseException):
    """Thrown into a branch that lost."""


def race(effect: Race, perform: Perform, clock: Clock) -> object:
    """The winner's result, or None.

    Raises:
        Exception: nobody won, and a branch raised it.
        BaseException: a branch ended the application, or the caller was interrupted.
    """
    running = _Running(effect, perform, clock)
    try:
        return running.result()
    finally:
        running.end()


class _Running:
    """One race while it runs."""

    def __init__(self, effect: Race, perform: Perform, clock: Clock) -> None:
        self._effect = effect
        self._perform = perform
        self._clock = clock
        self._begun = clock.monotonic_ns()
        self._inbox: Inbox = queue.SimpleQueue()
        self._started = 0
        self._out: dict[int, Generator[Effect, Any, Any]] = {}

    def result(self) -> object:
        raised: Exception | None = None
        while (following := self._next()) is not None:
            try:
                ended = self._step(*following)
            except Exception as error:
                raised = raised or error
                continue
            if ended is not None and self._effect.won(ended[0]):
                return ended[0]
        if raised is not None:
            raise raised
        return None

    def _next(self) -> tuple[int, object, BaseException | None] | None:
        """The branch to take on, with what to send or throw in; None where all have ended."""
        while True:
            wait: float | None = None
            if self._started < len(self._effect.branches):
                wait = (self._begun + self._effect.delays[self._started] - self._clock.monotonic_ns()) / 1e9
                if not self._out or wait <= 0:
                    self._started += 1
                    return self._started - 1, None, None
            elif not self._out:
                return None
            with contextlib.suppress(queue.Empty):
                return self._inbox.get(timeout=wait)

    def _step(self, branch: int, result: object, error: BaseException | None) -> tuple[object] | None:
        """Take a branch on; what it returned in a box, once it has ended."""
        steps = self._effect.branches[branch]
        self._out.pop(branch, None)
        try:
            effect = steps.throw(error) if error is not None else steps.send(result)
        except StopIteration as stop:
            return (stop.value,)
        self._out[branch] = steps
        self._start(branch, effect)
        return None

    def _start(self, branch: int, effect: Effect) -> None:
        context = contextvars.copy_context()

        def work() -> None:
            try:
                self._inbox.put((branch, context.run(self._perform, effect), None))
            except BaseException as error:
                self._inbox.put((branch, None, error))

        try:
            threading.Thread(target=work, name="failsoft-race", daemon=True).start()
        except RuntimeError as error:  # no thread can be started: the branch is told as of any bug of a driver
            self._inbox.put((branch, None, error))

    def end(self) -> None:
        """End who lost, each when its effect has ended; nobody waits for that."""
        for steps in self._effect.branches[self._started :]:
            steps.close()
        if self._out:
            threading.Thread(target=self._end, name="failsoft-race", daemon=True).start()

    def _end(self) -> None:
        while self._out:
            branch, _, _ = self._inbox.get()
            with contextlib.suppress(BaseException):
                end(self._out.pop(branch), Lost())
