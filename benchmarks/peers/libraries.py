"""Each library's breaker, through its public interface, set as its documentation says.

One class for each form that a library documents. Nothing is imported before a class is made: the peers live in one
environment, failsoft in another.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from benchmarks.peers.running import Call, Down, Excluded, ListenerError, Want

_names = itertools.count()


def _excluded(want: Want) -> list[type[Exception]]:
    return [Excluded] if want.excluded else []


class Library:
    """What the scenarios and the measurements need to know of one.

    Attributes:
        distribution: its name on the package index.
        tasks: are its calls coroutines? Otherwise they block, run in threads, and can't be cancelled.
        listeners: can one be attached?
    """

    distribution = ""
    tasks = True
    listeners = True

    def make(self, want: Want) -> Call:
        """A new breaker, as a function that calls a function through it."""
        raise NotImplementedError

    @property
    def version(self) -> str:
        """As installed."""
        return importlib.metadata.version(self.distribution)


def raising(*_: Any, **__: Any) -> None:
    """A listener to changes of state that raises."""
    raise ListenerError


def _listener(base: type[Any]) -> Any:
    return type("Raising", (base,), {"state_change": raising})()


def _hook(circuit: str, happened: str, event: object) -> None:
    if happened == "state_changed":
        raise ListenerError


class PyBreaker(Library):
    """README, "How to Use" and "Event Listening": `fail_max`, `reset_timeout`, `exclude`, `listeners`; `call`.

    `call_async` needs Tornado's coroutines; native ones aren't offered.
    """

    distribution = "pybreaker"
    tasks = False

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("pybreaker")

    def make(self, want: Want) -> Call:
        """`CircuitBreaker.call`."""
        listeners = [_listener(self._module.CircuitBreakerListener)] if want.listener else []
        breaker = self._module.CircuitBreaker(
            fail_max=want.failures, reset_timeout=want.open_s, exclude=_excluded(want), listeners=listeners
        )
        call: Call = breaker.call
        return call


class AioBreaker(Library):
    """README: `fail_max`, `timeout_duration`, `exclude`, `listeners`; `call_async`."""

    distribution = "aiobreaker"

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("aiobreaker")

    def make(self, want: Want) -> Call:
        """`CircuitBreaker.call_async`."""
        listeners = [_listener(self._module.CircuitBreakerListener)] if want.listener else []
        breaker = self._module.CircuitBreaker(
            fail_max=want.failures,
            timeout_duration=timedelta(seconds=want.open_s),
            exclude=_excluded(want),
            listeners=listeners,
        )
        call: Call = breaker.call_async
        return call


class CircuitBreakerLibrary(Library):
    """README: `failure_threshold`, `recovery_timeout`, and `expected_exception` as a predicate; the decorator.

    It has no listeners.
    """

    distribution = "circuitbreaker"
    listeners = False

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("circuitbreaker")

    def _decorator(self, want: Want) -> Any:
        # A predicate says "which exceptions are failures"; the default is every `Exception`.
        counted = (lambda kind, _: not issubclass(kind, Excluded)) if want.excluded else None
        return self._module.circuit(
            failure_threshold=want.failures,
            recovery_timeout=want.open_s,
            expected_exception=counted,
            name=f"breaker {next(_names)}",
        )

    def make(self, want: Want) -> Call:
        """The decorator, on a coroutine function."""

        @self._decorator(want)  # type: ignore[untyped-decorator]
        async def call(function: Callable[[], Any]) -> Any:
            return await function()

        protected: Call = call
        return protected


class CircuitBreakerThreads(CircuitBreakerLibrary):
    """The same decorator on a blocking function."""

    tasks = False

    def make(self, want: Want) -> Call:
        """The decorator, on a function."""

        @self._decorator(want)  # type: ignore[untyped-decorator]
        def call(function: Callable[[], Any]) -> Any:
            return function()

        protected: Call = call
        return protected


class PurgatoryAsync(Library):
    """User guide: `default_threshold`, `default_ttl`, `exclude`, `add_listener`; `async with await get_breaker(…)`.

    The breaker is fetched once. (Its decorator fetches it again for each call.)
    """

    distribution = "purgatory"

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("purgatory")
        self._factories: dict[Want, Any] = {}

    def make(self, want: Want) -> Call:
        """`AsyncCircuitBreakerFactory.get_breaker`, and `async with`."""
        factory, name = self._factory(want, self._module.AsyncCircuitBreakerFactory), f"breaker {next(_names)}"
        breaker: Any = None

        async def call(function: Callable[[], Any]) -> Any:
            nonlocal breaker
            if breaker is None:
                breaker = await factory.get_breaker(name)
            async with breaker:
                return await function()

        return call

    def _factory(self, want: Want, kind: Any) -> Any:
        if want not in self._factories:
            factory = kind(default_threshold=want.failures, default_ttl=want.open_s, exclude=_excluded(want))
            if want.listener:
                factory.add_listener(_hook)
            self._factories[want] = factory
        return self._factories[want]


class PurgatorySync(PurgatoryAsync):
    """The same for threads: `SyncCircuitBreakerFactory`."""

    tasks = False

    def make(self, want: Want) -> Call:
        """`SyncCircuitBreakerFactory.get_breaker`, and `with`."""
        factory = self._factory(want, self._module.SyncCircuitBreakerFactory)
        breaker = factory.get_breaker(f"breaker {next(_names)}")

        def call(function: Callable[[], Any]) -> Any:
            with breaker:
                return function()

        return call


class HyxDecorator(Library):
    """Documentation, "Circuit Breakers": `exceptions`, `failure_threshold`, `recovery_time_secs`, `recovery_threshold`.

    What doesn't count is what `exceptions` doesn't name. This version has no listeners.
    """

    distribution = "hyx"
    listeners = False

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("hyx.circuitbreaker")

    def _breaker(self, want: Want) -> Any:
        return self._module.consecutive_breaker(
            exceptions=Down if want.excluded else Exception,  # what counts is named, not what doesn't
            failure_threshold=want.failures,
            recovery_time_secs=want.open_s,
            recovery_threshold=1,
        )

    def make(self, want: Want) -> Call:
        """The decorator."""

        @self._breaker(want)  # type: ignore[untyped-decorator]
        async def call(function: Callable[[], Any]) -> Any:
            return await function()

        protected: Call = call
        return protected


class HyxContext(HyxDecorator):
    """The same as a context manager."""

    def make(self, want: Want) -> Call:
        """`async with`."""
        breaker = self._breaker(want)

        async def call(function: Callable[[], Any]) -> Any:
            async with breaker:
                return await function()

        return call


class BareTasks(Library):
    """No breaker: what the measurement itself costs."""

    distribution = "pip"

    def make(self, want: Want) -> Call:
        """Only the call."""

        async def call(function: Callable[[], Any]) -> Any:
            return await function()

        return call


class BareThreads(BareTasks):
    """The same without coroutines."""

    tasks = False

    def make(self, want: Want) -> Call:
        """Only the call."""

        def call(function: Callable[[], Any]) -> Any:
            return function()

        return call


LIBRARIES: dict[str, type[Library]] = {
    "pybreaker": PyBreaker,
    "aiobreaker": AioBreaker,
    "circuitbreaker": CircuitBreakerLibrary,
    "circuitbreaker, threads": CircuitBreakerThreads,
    "purgatory": PurgatoryAsync,
    "purgatory, threads": PurgatorySync,
    "hyx": HyxDecorator,
    "hyx, async with": HyxContext,
}
"""The peers, in each form that they document."""

BARE: dict[str, type[Library]] = {"nothing": BareTasks, "nothing, threads": BareThreads}
"""What's measured beside them."""
