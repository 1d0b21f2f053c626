"""What drivers share: which wait performs an effect, and the rule that a call which was told to end never yields again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from failsoft.core.effects import (
    Append,
    Clock,
    Detach,
    Effect,
    Enter,
    Exchange,
    HttpRequest,
    Invoke,
    Promise,
    Race,
)
from failsoft.io.watchdog import Blocked, Timed

CLOSING_SECONDS = 0.25
"""How long a cancelled caller waits, at most, for what it started to end."""


class AnyExchanger(Protocol):
    """The transport's seam, for either driver."""

    def exchange(self, request: HttpRequest, until: int) -> Any:
        """An HttpReply or a Fault; of a transport for asyncio, a coroutine that gives it."""
        ...


E = TypeVar("E", bound=AnyExchanger)


class Driver(ABC, Generic[E]):
    """A driver over real time. Its waits block in one subclass and are coroutines in the other.

    Args:
        transport: performs `Exchange`.
        clock: the clock on which the effects' `until` is measured.
        others: transports of those adapters that have another one, by the adapter's name.
        blocked: hears which callable adapter held up an event loop, and for how long.
    """

    def __init__(
        self, transport: E, clock: Clock, others: Mapping[str, E] | None = None, blocked: Blocked | None = None
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._others: Mapping[str, E] = others or {}
        self._blocked = blocked

    def _perform(self, effect: Effect) -> Any:
        """The wait that performs `effect`: its result, or a coroutine that gives it."""
        if type(effect) is Exchange:
            transport = self._transport
            if self._others:
                transport = self._others.get(effect.adapter, transport)
            return transport.exchange(effect.request, effect.until)
        if type(effect) is Append:
            return self._wait(effect.ticket.promise, effect.until)
        if type(effect) is Enter:
            return self._wait(effect.promise, effect.until)
        if type(effect) is Invoke:
            return self._invoke(effect)
        if type(effect) is Race:
            return self._race(effect)
        if type(effect) is Detach:
            return self._detach(effect)
        return self._sleep(self._seconds(effect.until))  # type: ignore[union-attr]

    def _seconds(self, until: int) -> float:
        return max(0.0, (until - self._clock.monotonic_ns()) / 1e9)

    def _timed(self, effect: Invoke, start: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
        """The same, its steps timed where anybody wants to hear of it."""
        blocked = self._blocked
        if blocked is None:
            return start
        return lambda: Timed(start(), self._clock, partial(blocked, effect.adapter))

    @abstractmethod
    def _wait(self, promise: Promise[Any], until: int) -> Any:
        """The promise's value, or None at `until`."""

    @abstractmethod
    def _invoke(self, effect: Invoke) -> Any: ...

    @abstractmethod
    def _race(self, effect: Race) -> Any: ...

    @abstractmethod
    def _detach(self, effect: Detach) -> Any: ...

    @abstractmethod
    def _sleep(self, seconds: float) -> Any: ...


def end(steps: Generator[Effect, Any, Any], error: BaseException) -> NoReturn:
    """Throw `error` into a call and raise what comes out: `error` itself, unless the call is broken.

    Raises:
        RuntimeError: the call yielded again. Nobody would perform that effect, so it must not pass unseen.
    """
    try:
        steps.throw(error)
    except StopIteration:
        raise error from None
    steps.close()
    raise RuntimeError("a call yielded an effect after its end") from error
