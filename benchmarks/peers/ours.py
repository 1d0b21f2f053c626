"""failsoft's breaker beside the others.

What belongs to a call (cancellation, exceptions, threads and loops) is shown on whole calls: an isolation whose provider is
the scenario's function. What belongs to the breaker alone (its cost, its listener, a permit that's lost) on
`failsoft.core.breaker.Breaker`.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from benchmarks.peers.libraries import Library, raising
from benchmarks.peers.running import Call, Down, Want
from failsoft import Ask, Capability, Isolation
from failsoft.core.breaker import Breaker, BreakerSettings, Change, Permit
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement
from failsoft.io.clock import SystemClock

_SUCCESS, _FAILURE, _NEUTRAL = Settlement.SUCCESS, Settlement.FAILURE, Settlement.NEUTRAL
_now = time.monotonic_ns


class Protected(Capability[int, int]):
    """Run the function of this number."""

    def fallback(self, request: int) -> int:
        """What's answered when the function wasn't let run, or raised."""
        return 0


def options(want: Want) -> dict[str, Any]:
    """The breaker's figures: one trial, as the peers have, and openings of one length."""
    return {
        "consecutive": want.failures,
        "consecutive_busy": want.failures,
        "open_base_s": want.open_s,
        "open_cap_s": want.open_s,
        "jitter": 0,
        "trials": 1,
        "concurrent_trials": 1,
        "successes_to_close": 1,
    }


class Failsoft(Library):
    """``await isolation[Protected](…)``, with a callable adapter. Without a ledger: no library here writes one."""

    distribution = "failsoft"

    def make(self, want: Want) -> Call:
        """A new isolation, entered."""
        if want.listener:
            return self._told(want)
        functions: dict[int, Callable[[], Any]] = {}
        isolation = self._isolation(want)

        @isolation.adapter("function", model="function-1", **self._adapter(want))
        async def _(ask: Ask) -> Any:
            return await functions[ask.request]()

        isolation.__enter__()
        numbers, protected = count(), isolation[Protected]

        async def call(function: Callable[[], Any]) -> Any:
            number = next(numbers)
            functions[number] = function
            return (await protected(number)).value

        return call

    def _isolation(self, want: Want) -> Isolation:
        config = {
            "ledger": {"url": "none"},
            "capabilities": {"protected": {"adapters": ["function"], "deadline": "30s"}},
        }
        return Isolation(config, capabilities=[Protected])

    def _adapter(self, want: Want) -> dict[str, Any]:
        return {
            "attempts": 1,
            "attempt_timeout": f"{want.attempt_s}s",
            "concurrency": 1_000,
            "breaker": options(want),
        }

    def _told(self, want: Want) -> Call:
        breaker = Breaker(BreakerSettings(**options(want)), SystemClock(), random.Random(0), raising)

        async def call(function: Callable[[], Any]) -> Any:
            permit = breaker.acquire(_now(), 10 * SECOND)
            if not isinstance(permit, Permit):
                return 0
            try:
                value = await function()
            except Exception:
                permit.settle(_FAILURE, _now())
                raise
            permit.settle(_SUCCESS, _now())
            return value

        return call


class FailsoftThreads(Failsoft):
    """``isolation[Protected].sync(…)`` from threads."""

    tasks = False

    def make(self, want: Want) -> Call:
        """A new isolation, entered."""
        functions: dict[int, Callable[[], Any]] = {}
        isolation = self._isolation(want)

        @isolation.adapter("function", model="function-1", **self._adapter(want))
        def _(ask: Ask) -> Any:
            return functions[ask.request]()

        isolation.__enter__()
        numbers, protected = count(), isolation[Protected]

        def call(function: Callable[[], Any]) -> Any:
            number = next(numbers)
            functions[number] = function
            return protected.sync(number).value

        return call if not want.listener else self._told_blocking(want)

    def _told_blocking(self, want: Want) -> Call:
        return BreakerAlone(raising).make(want)


class BreakerAlone(Library):
    """`Breaker.acquire` and `Permit.settle` round a function, with the clock read for both. For its cost."""

    distribution = "failsoft"
    tasks = False

    def __init__(self, listener: Callable[[Change], None] | None = None) -> None:
        self._listener = listener

    def make(self, want: Want) -> Call:
        """A new breaker."""
        settings = BreakerSettings(**(options(want) | {"min_calls": max(20, min(want.failures, 10**6))}))
        breaker = Breaker(settings, SystemClock(), random.Random(0), self._listener)

        def call(function: Callable[[], Any]) -> Any:
            permit = breaker.acquire(_now(), 30 * SECOND, call=function, remaining_ns=29 * SECOND)
            if not isinstance(permit, Permit):
                return None
            try:
                value = function()
            except Down:
                permit.settle(_FAILURE, _now())
                raise
            permit.settle(_SUCCESS, _now(), well_formed=True)
            return value

        return call


def lost_permit() -> str:
    """Every permit of a half-open breaker is lost, without a word: is a call admitted within cap and lease?"""
    settings = BreakerSettings()
    breaker = Breaker(settings, SystemClock(), random.Random(0))
    now, timeout = _now(), 10 * SECOND
    for _ in range(settings.consecutive):
        permit = breaker.acquire(now, timeout)
        assert isinstance(permit, Permit)
        permit.settle(_FAILURE, now)
    now = breaker.snapshot(now).until_ns
    lost = 0
    while isinstance(breaker.acquire(now, timeout), Permit):
        lost += 1
    gc.collect()
    lease = timeout + int(settings.lease_slack_s * SECOND)
    now += lease + int(settings.open_cap_s * SECOND)
    admitted = isinstance(breaker.acquire(now, timeout), Permit)
    if lost != settings.concurrent_trials:
        return f"wrong: {lost} trials at once"
    return "right" if admitted else "wrong: a lost permit keeps it shut"


OURS: dict[str, type[Library]] = {"failsoft": Failsoft, "failsoft, threads": FailsoftThreads}
"""failsoft, in both of its forms."""
