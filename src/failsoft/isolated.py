"""One capability, ready to be asked: what `Isolation[...]` hands to application code."""

from __future__ import annotations

import contextvars
import copy
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from attrs import define, frozen

from failsoft.context import current_context, in_span
from failsoft.core.admission import admitted
from failsoft.core.call import Call, World
from failsoft.core.clock import uuid7
from failsoft.core.contract import Contract
from failsoft.core.degraded import DegradedWindow
from failsoft.core.effects import SECOND, Effect
from failsoft.core.route import Route
from failsoft.durations import duration_argument
from failsoft.errors import IsolationClosed
from failsoft.io.drive_async import AsyncDriver
from failsoft.io.drive_sync import SyncDriver
from failsoft.many import map_async, map_sync
from failsoft.outcome import Outcome, Referral, Source
from failsoft.telemetry import Telemetry

Q = TypeVar("Q")
R = TypeVar("R")


@define(eq=False)
class Running:
    """What an entered isolation asks with.

    Args:
        routes: each capability's, by its name.
    """

    world: World
    asynchronous: AsyncDriver
    blocking: SyncDriver
    routes: Mapping[str, Route]


class Host(Protocol):
    """The isolation, as one of its capabilities sees it."""

    telemetry: Telemetry
    running: Running | None
    """None while it isn't entered."""

    def warn_on_loop(self) -> None:
        """Say once that ``.sync`` blocks the event loop that runs in this thread, if one does."""
        ...


@frozen
class _Override:
    value: Any
    degraded: bool


_overrides: contextvars.ContextVar[Mapping[Contract[Any, Any], _Override]] = contextvars.ContextVar(
    "failsoft_overrides", default=MappingProxyType({})
)


class Isolated(Generic[Q, R]):
    """One capability, ready to be asked: ``await isolated(request)``, or ``isolated.sync(request)`` from any thread."""

    __slots__ = ("_contract", "_deadline", "_host", "_window")

    def __init__(self, host: Host, contract: Contract[Q, R], deadline: int, window: DegradedWindow) -> None:
        self._host = host
        self._contract = contract
        self._deadline = deadline
        self._window = window

    @property
    def name(self) -> str:
        """The capability's name."""
        return self._contract.name

    @property
    def deadline(self) -> float:
        """Seconds that a call has."""
        return self._deadline / SECOND

    def parse_request(self, text: str | bytes) -> Q:
        """A request from its JSON text.

        Raises:
            pydantic.ValidationError: it doesn't fit.
        """
        return self._contract.parse_request(text)

    async def __call__(self, request: Q) -> Outcome[R]:
        """Ask, and get a typed answer with where it came from.

        Raises:
            pydantic.ValidationError: the request is invalid; nothing was asked or recorded.
            FallbackFailed: nobody answered, and the fallback has a bug.
            LedgerUnavailable: under ``on_ledger_failure = "refuse"``.
            IsolationClosed: the isolation isn't entered.
        """
        if self._contract in _overrides.get():
            return self._overridden(request)
        running, call, steps = self._call(request)
        try:
            outcome = await running.asynchronous.drive(steps)
        except Exception as error:
            self._failed(running, error)
            raise
        return self._ended(running, call, outcome)

    def sync(self, request: Q) -> Outcome[R]:
        """The same, blocking the calling thread: same breakers, same ledger. Raises what `__call__` raises."""
        if self._contract in _overrides.get():
            return self._overridden(request)
        self._host.warn_on_loop()
        running, call, steps = self._call(request)
        try:
            outcome = running.blocking.drive(steps)
        except Exception as error:
            self._failed(running, error)
            raise
        return self._ended(running, call, outcome)

    def map(
        self,
        requests: Iterable[Q],
        *,
        concurrency: int = 8,
        ordered: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> AsyncIterator[tuple[Q, Outcome[R]]]:
        """Ask for each of many requests, at most `concurrency` at once: ``async for request, outcome in rate.map(items)``.

        Requests are taken as places become free. If the loop is left early, the rest is cancelled: at once where the
        iterator is closed (`contextlib.aclosing`).

        Args:
            requests: in any number.
            concurrency: at least 1.
            ordered: outcomes come in the order of the requests; else as they're there.
            progress: told after each outcome how many there are.

        Raises:
            ValueError: the concurrency is less than 1.
            Exception: what `__call__` raises for one of the requests; the others that run are cancelled.
        """
        _at_least_one(concurrency)
        return map_async(self, requests, concurrency, ordered, progress)

    def map_sync(
        self,
        requests: Iterable[Q],
        *,
        concurrency: int = 8,
        ordered: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[Q, Outcome[R]]]:
        """The same with threads: ``for request, outcome in rate.map_sync(items)``. Left early, it waits for what runs."""
        _at_least_one(concurrency)
        return map_sync(self.sync, requests, concurrency, ordered, progress)

    def using(self, *, deadline: str | float) -> Isolated[Q, R]:
        """The same capability with another deadline.

        Args:
            deadline: ``"2s"``, ``"250ms"``, or seconds.

        Raises:
            ConfigurationError: it's no duration, or not between 10 ms and 1 h.
        """
        return Isolated(
            self._host, self._contract, duration_argument("deadline", deadline, "10 ms", "1 h"), self._window
        )

    @contextmanager
    def override(self, value: R, *, degraded: bool | None = None, request: Q | None = None) -> Iterator[None]:
        """For tests: inside, the capability answers `value`, and nobody is asked and nothing recorded.

        A context variable carries it: tasks made inside and `asyncio.to_thread` see it, other tests and threads don't. The
        isolation needn't be entered. Requests are validated all the same; each call gets a copy of the value.

        Args:
            value: of the response type.
            degraded: as if the fallback had answered; unless given, only if the value is a `Referral`.
            request: for validators of the response type that look at the request.

        Raises:
            pydantic.ValidationError: the value doesn't fit the response type.
        """
        valid: Any = self._contract.check_value(value, request)
        given = _Override(valid, isinstance(valid, Referral) if degraded is None else degraded)
        token = _overrides.set({**_overrides.get(), self._contract: given})
        try:
            yield
        finally:
            _overrides.reset(token)

    def _overridden(self, request: Q) -> Outcome[R]:
        self._contract.snapshot(request)
        given = _overrides.get()[self._contract]
        source = Source("fallback" if given.degraded else "frozen", "override")
        call_id = uuid7(time.time_ns(), random.getrandbits(74))
        outcome: Outcome[R] = Outcome(copy.deepcopy(given.value), source, given.degraded, call_id)
        self._tell(outcome, 0)
        return outcome

    def _call(self, request: Q) -> tuple[Running, Call[Q, R], Generator[Effect, Any, Outcome[R]]]:
        running = self._host.running
        if running is None:
            raise IsolationClosed("enter the isolation first: `async with isolation:` or `with isolation:`")
        contract, context, deadline = self._contract, current_context(), self._deadline
        if "opentelemetry.trace" in sys.modules:  # whoever traces has it loaded
            context = in_span(context, sys.modules["opentelemetry.trace"])
        route, snapshot = running.routes[contract.name], contract.snapshot(request)
        if context.until is not None:
            deadline = min(deadline, max(1, context.until - running.world.clock.monotonic_ns()))
        call = Call(running.world, contract, route, deadline, snapshot, context)
        return running, call, call.run() if route.admission is None else admitted(route.admission, call)

    # A cancelled call isn't counted: nobody got an answer or missed one.

    def _failed(self, running: Running, error: Exception) -> None:
        self._window.note(running.world.clock.monotonic_ns(), type(error).__name__)

    def _ended(self, running: Running, call: Call[Q, R], outcome: Outcome[R]) -> Outcome[R]:
        now = running.world.clock.monotonic_ns()
        self._window.note(now, _why(outcome) if outcome.degraded else None)
        if self._host.telemetry.enabled("call.completed"):
            self._tell(outcome, (now - call.started) // 1_000_000)
        return outcome

    def _tell(self, outcome: Outcome[R], ms: int) -> None:
        self._host.telemetry.emit(
            "call.completed",
            capability=self._contract.name,
            call_id=outcome.call_id,
            source=outcome.source.name,
            degraded=outcome.degraded,
            ms=ms,
            record=outcome.record,
        )


def _at_least_one(concurrency: int) -> None:
    if concurrency < 1:
        raise ValueError(f"concurrency: {concurrency} is less than 1")


def _why(outcome: Outcome[Any]) -> str:
    """The first reason for a degraded answer: what the route's first adapter met."""
    return outcome.passed_over[0].reason if outcome.passed_over else "no_adapter"
