"""The simulated driver: performs effects in virtual time. A year of calls runs in a minute, the same way every time.

Nothing waits. Each effect becomes an entry in a heap of (time, order); the clock jumps from entry to entry. Every call runs
in a context of its own (`contextvars.Context`), as a task would.
"""

from __future__ import annotations

import contextvars
import heapq
import itertools
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from attrs import define, field

from failsoft.core.effects import Append, Detach, Effect, Enter, Exchange, HttpReply, Invoke, Promise, Race, Raised
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive import end

T = TypeVar("T")

Respond = Callable[[Exchange, int], tuple[int, HttpReply | Fault]]
"""(the exchange, now) → (nanoseconds until the reply, the reply)."""


class VirtualClock:
    """A clock that stands still until it's moved.

    Args:
        epoch_ns: what `time_ns` says at the start.
    """

    def __init__(self, epoch_ns: int = 1_790_000_000_000_000_000) -> None:
        self.now = 0
        self.epoch_ns = epoch_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds since the simulation's start."""
        return self.now

    def time_ns(self) -> int:
        """Nanoseconds since 1970, moving with the monotonic clock."""
        return self.epoch_ns + self.now


class Cancelled(BaseException):
    """What a simulated caller's cancellation throws in."""


@define(eq=False)
class Running(Generic[T]):
    """One call in the simulation.

    Attributes:
        done: has it ended?
        value: what it returned.
        error: what it raised.
        ended: when.
        waiting_for: the effect that it waits for.
    """

    _simulation: Simulation
    _steps: Generator[Effect, Any, T]
    _context: contextvars.Context
    done: bool = False
    value: T | None = None
    error: BaseException | None = None
    ended: int | None = None
    waiting_for: Effect | None = None
    _turn: int = field(default=0, init=False)
    _branches: list[Running[Any]] = field(factory=list["Running[Any]"], init=False)
    _on_end: Callable[[], None] | None = field(default=None, init=False)
    lost: bool = field(default=False, init=False)

    def cancel(self) -> None:
        """The caller goes away now."""
        if not self.done:
            self._turn += 1
            for each in self._branches:
                each.cancel()
            self._simulation._resume(self, Cancelled())


class Simulation:
    """Runs calls against a scripted provider in virtual time.

    Args:
        respond: what the provider does with an exchange, and how long it takes.
        clock: the virtual clock, shared with everything that the calls use.
    """

    def __init__(self, respond: Respond, clock: VirtualClock) -> None:
        self._respond = respond
        self.clock = clock
        self._order = itertools.count()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []

    def at(self, when: int, action: Callable[[], None]) -> None:
        """Run `action` at virtual time `when` (now, where that has passed)."""
        heapq.heappush(self._heap, (max(when, self.clock.now), next(self._order), action))

    def start(self, steps: Generator[Effect, Any, T], at: int = 0) -> Running[T]:
        """Begin a call at virtual time `at`."""
        running = Running(self, steps, contextvars.copy_context())
        self.at(at, lambda: self._resume(running, None))
        return running

    def run(self, until: int | None = None) -> None:
        """Until nothing is left to do, or until virtual time `until`."""
        while self._heap and (until is None or self._heap[0][0] <= until):
            when, _, action = heapq.heappop(self._heap)
            self.clock.now = when
            action()
        if until is not None:
            self.clock.now = max(self.clock.now, until)

    def drive(self, steps: Generator[Effect, Any, T]) -> T:
        """Run one call to its end, with whatever else is due meanwhile."""
        running = self.start(steps, self.clock.now)
        while not running.done and self._heap:
            self.run(self._heap[0][0])
        if running.error is not None:
            raise running.error
        if not running.done:
            raise RuntimeError("the call waits for something that will never happen")
        value: Any = running.value
        return value  # type: ignore[no-any-return]

    def _resume(self, running: Running[Any], result: Any) -> None:
        running._turn += 1
        steps = running._steps
        try:
            effect = running._context.run(_step, steps, result)
        except StopIteration as stop:
            self._finish(running, stop.value, None)
        except BaseException as error:
            self._finish(running, None, error)
        else:
            running.waiting_for = effect
            self._perform(running, effect)

    def _finish(self, running: Running[Any], value: object, error: BaseException | None) -> None:
        running.done, running.value, running.error = True, value, error
        running.ended, running.waiting_for = self.clock.now, None
        if running._on_end is not None:
            running._on_end()

    def _perform(self, running: Running[Any], effect: Effect) -> None:
        turn = running._turn

        def deliver(result: object) -> None:
            if not running.done and running._turn == turn:
                self._resume(running, result)

        if isinstance(effect, (Append, Enter)):
            self._await(effect.ticket.promise if isinstance(effect, Append) else effect.promise, effect.until, deliver)
        elif isinstance(effect, Exchange):
            delay, reply = self._respond(effect, self.clock.now)
            arrives = self.clock.now + delay
            if arrives > effect.until:
                arrives, reply = effect.until, Fault(FaultKind.ATTEMPT_TIMEOUT)
            self.at(arrives, lambda: deliver(reply))
        elif isinstance(effect, Invoke):
            self.at(self.clock.now, lambda: deliver(_call(effect)))
        elif isinstance(effect, Race):
            self._race(running, effect, deliver)
        elif isinstance(effect, Detach):
            self.start(effect.steps, self.clock.now)
            self.at(self.clock.now, lambda: deliver(None))
        else:
            self.at(effect.until, lambda: deliver(None))

    def _race(self, running: Running[Any], race: Race, deliver: Callable[[object], None]) -> None:
        waiting = list(race.branches)
        begun, turn = self.clock.now, running._turn
        branches: list[Running[Any]] = []
        running._branches = branches

        def start(index: int) -> None:
            if index == len(branches) and running._turn == turn:
                branch = Running(self, waiting.pop(0), running._context.copy())
                branch._on_end = lambda: ended(branch)
                branches.append(branch)
                self._resume(branch, None)

        def ended(branch: Running[Any]) -> None:
            if running._turn != turn or branch.lost:
                return
            if branch.error is None and race.won(branch.value):
                finish(branch.value)
            elif all(each.done for each in branches):
                if waiting:
                    self.at(self.clock.now, lambda: start(len(branches)))
                else:
                    finish(next((each.error for each in branches if each.error is not None), None))

        def finish(result: object) -> None:
            running._branches = []
            for branch in branches:
                branch.lost = True
                branch.cancel()
            for steps in waiting:
                steps.close()
            self.at(self.clock.now, lambda: deliver(result))

        for index, delay in enumerate(race.delays):
            self.at(begun + delay, lambda index=index: start(index))  # type: ignore[misc]

    def _await(self, promise: Promise[Any], until: int, deliver: Callable[[object], None]) -> None:
        promise.on_done(lambda: self.at(self.clock.now, lambda: deliver(promise.value)))
        self.at(until, lambda: deliver(promise.value if promise.done else None))


def _step(steps: Generator[Effect, Any, Any], result: Any) -> Effect:
    if isinstance(result, Cancelled):
        end(steps, result)
    effect: Effect = steps.throw(result) if isinstance(result, Exception) else steps.send(result)
    return effect


def _call(effect: Invoke) -> object:
    try:
        return effect.function(*effect.arguments)
    except Exception as error:
        return Raised(error)
    finally:
        effect.work.resolve(None)
