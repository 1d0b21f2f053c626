"""One library in a process of its own: ``worker.py NAME behaviour`` or ``worker.py NAME cost``.

`cost` answers each line of its input (``round`` or ``bytes``) with one JSON object, so that libraries can take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # it's run as a script

from benchmarks.peers import clocks
from benchmarks.peers.libraries import BARE, LIBRARIES, Library
from benchmarks.peers.running import Call, Down, Want

NUMBER = 400
NEVER = Want(failures=10**6, open_s=3_600)
SHUT = Want(failures=1, open_s=3_600)
BREAKERS = 200
CALLS_EACH = 100


def library_of(name: str, *, alone: bool) -> Library:
    """The library, and its version of the breaker alone where its calls are more than that."""
    if name.startswith("failsoft"):
        from benchmarks.peers import ours

        return ours.BreakerAlone() if alone else ours.OURS[name]()
    return (LIBRARIES | BARE)[name]()


class Blocking:
    """Rounds of a library whose calls block."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._calls = {"closed": library.make(NEVER), "failing": library.make(NEVER), "refused": library.make(SHUT)}
        _attempt(self._calls["refused"], _fails)

    def round(self) -> dict[str, float]:
        """Microseconds of each kind."""
        functions: dict[str, Callable[[], Any]] = {"closed": _succeeds, "failing": _fails, "refused": _succeeds}
        return {kind: self._timed(self._calls[kind], functions[kind]) for kind in functions}

    def _timed(self, call: Call, function: Callable[[], Any]) -> float:
        begun = time.thread_time()
        for _ in range(NUMBER):
            try:  # noqa: SIM105 - `suppress` would be measured too
                call(function)
            except Exception:  # what's measured
                pass
        return (time.thread_time() - begun) / NUMBER * 1e6

    def bytes_each(self) -> dict[str, float]:
        """Of a new one, and of one that has seen calls."""
        kept: list[Call] = [self._library.make(NEVER)]
        return _traced(lambda: kept.append(self._library.make(NEVER)), lambda: self._use(kept[1:]))

    def _use(self, kept: list[Call]) -> None:
        for call in kept:
            for n in range(CALLS_EACH):
                _attempt(call, _succeeds if n % 10 else _fails)


class Tasks:
    """The same where calls are coroutines. One event loop lives through all the rounds."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._loop = asyncio.new_event_loop()
        self._calls = {"closed": library.make(NEVER), "failing": library.make(NEVER), "refused": library.make(SHUT)}
        self._loop.run_until_complete(_await_attempt(self._calls["refused"], _fails_later))

    def round(self) -> dict[str, float]:
        """Microseconds of each kind."""
        functions = {"closed": _succeeds_later, "failing": _fails_later, "refused": _succeeds_later}
        return {
            kind: self._loop.run_until_complete(self._timed(self._calls[kind], functions[kind])) for kind in functions
        }

    async def _timed(self, call: Call, function: Callable[[], Any]) -> float:
        begun = time.thread_time()
        for _ in range(NUMBER):
            try:  # noqa: SIM105 - `suppress` would be measured too
                await call(function)
            except Exception:  # what's measured
                pass
        return (time.thread_time() - begun) / NUMBER * 1e6

    def bytes_each(self) -> dict[str, float]:
        """Of a new one, and of one that has seen calls."""
        kept: list[Call] = []

        def another() -> None:
            call = self._library.make(NEVER)
            self._loop.run_until_complete(_await_attempt(call, _succeeds_later))  # some are made by their first call
            kept.append(call)

        another()
        return _traced(another, lambda: self._loop.run_until_complete(self._use(kept[1:])))

    async def _use(self, kept: list[Call]) -> None:
        for call in kept:
            for n in range(CALLS_EACH):
                await _await_attempt(call, _succeeds_later if n % 10 else _fails_later)


def _succeeds() -> int:
    return 1


def _fails() -> int:
    raise Down


async def _succeeds_later() -> int:
    return 1


async def _fails_later() -> int:
    raise Down


def _attempt(call: Call, function: Callable[[], Any]) -> None:
    with contextlib.suppress(Exception):  # it was to happen
        call(function)


async def _await_attempt(call: Call, function: Callable[[], Any]) -> None:
    with contextlib.suppress(Exception):  # it was to happen
        await call(function)


def _traced(another: Callable[[], None], use: Callable[[], None]) -> dict[str, float]:
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(BREAKERS):
        another()
    gc.collect()
    new = tracemalloc.get_traced_memory()[0]
    use()
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"new": (new - before) / BREAKERS, "used": (used - before) / BREAKERS}


def serve(library: Library) -> None:
    """Answer each line."""
    measured: Blocking | Tasks = Tasks(library) if library.tasks else Blocking(library)
    measured.round()
    print(json.dumps({"version": library.version}), flush=True)
    for line in sys.stdin:
        print(json.dumps(measured.round() if line.strip() == "round" else measured.bytes_each()), flush=True)


def behave(name: str) -> None:
    """Every scenario."""
    clocks.install()
    from benchmarks.peers import behaviour

    found = behaviour.all_of(library_of(name, alone=False))
    if name.startswith("failsoft"):
        from benchmarks.peers.ours import lost_permit

        lost = lost_permit()
        if lost != behaviour.RIGHT:
            found["trial_never_returns"] = lost
    print(json.dumps(found), flush=True)
    os._exit(0)  # without waiting for threads of trials that never return


if __name__ == "__main__":
    if sys.argv[2] == "cost":
        serve(library_of(sys.argv[1], alone=True))
    else:
        behave(sys.argv[1])
