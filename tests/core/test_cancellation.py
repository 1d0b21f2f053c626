"""A caller goes away at every single effect: re-raised, no fallback, nothing held, and the ledger says what happened."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from failsoft.core.breaker import State
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.effects import Append, Effect, Recorded
from failsoft.core.evidence import CallCompleted, CallStarted
from failsoft.io.drive_simulated import Cancelled, Simulation
from tests.core.scripted import SECOND, Scene, StubLedger, ok, scripted, status, traced


class Fallen(Exception):
    """The fallback ran."""


def success() -> tuple[Scene, list[Any]]:
    scene = Scene(ledger=late_ledger())
    scene.add("first")
    return scene, [ok()]


def retry() -> tuple[Scene, list[Any]]:
    scene = Scene(ledger=late_ledger())
    scene.add("first")
    return scene, [status(500), ok()]


def second_adapter() -> tuple[Scene, list[Any]]:
    scene = Scene(ledger=late_ledger())
    scene.add("first")
    scene.add("second")
    return scene, [(60 * SECOND, ok()), ok()]


def full_bulkhead() -> tuple[Scene, list[Any]]:
    scene = Scene(ledger=late_ledger())
    adapter = scene.add("first", limit=1)
    adapter.bulkhead.try_enter()
    return scene, [ok()]


def half_open() -> tuple[Scene, list[Any]]:
    scene = Scene(ledger=late_ledger())
    scene.add("first", settings=BreakerSettings()).breaker.to_trial("a test", 0)
    return scene, [ok()]


def late_ledger_scene() -> tuple[Scene, list[Any]]:
    scene = Scene(ledger=late_ledger())
    scene.add("first")
    return scene, [ok()]


def fallback() -> tuple[Scene, list[Any]]:
    scene = Scene(ledger=late_ledger())
    scene.add("first")
    return scene, [status(400)]


def late_ledger() -> StubLedger:
    """Answers one virtual instant after it's asked, so that a call does wait for it."""
    return StubLedger(lambda n, _: None)


SCENARIOS: dict[str, Callable[[], tuple[Scene, list[Any]]]] = {
    each.__name__: each
    for each in (success, retry, second_adapter, full_bulkhead, half_open, late_ledger_scene, fallback)
}


def played(name: str, cancel_at: int | None) -> tuple[Scene, Any, list[tuple[Any, ...]], dict[str, tuple[int, int]]]:
    """Run a scenario; at its n-th effect the caller goes away.

    Returns the scene, the call, the trace, and what each breaker had counted before.
    """
    scene, replies = SCENARIOS[name]()
    ledger = scene.ledger
    assert ledger is not None
    trace: list[tuple[Any, ...]] = []
    simulation = Simulation(scripted(replies), scene.clock)
    running = simulation.start(traced(scene.call().run(), trace))
    freed = False
    counted: dict[str, tuple[int, int]] = {}
    for _ in range(200):
        if running.done or not simulation._heap:
            break
        for adapter in scene.adapters:
            seen = adapter.breaker.snapshot(scene.clock.now)
            counted[adapter.name] = (seen.calls, seen.failures)
        if len(trace) == (cancel_at or 0) + 1 and cancel_at is not None:
            running.cancel()
            break
        effect: Effect | None = running.waiting_for
        if isinstance(effect, Append) and (name != "late_ledger_scene" or len(trace) == 1):
            settle(ledger)
        if name == "full_bulkhead" and trace and trace[-1][0] == "Enter" and not freed:
            freed = True
            scene.adapters[0].bulkhead.leave()
        simulation.run(simulation._heap[0][0])
    return scene, running, trace, counted


def settle(ledger: StubLedger) -> None:
    for index, ticket in enumerate(ledger.tickets):
        ticket.taken = True
        ticket.promise.resolve(Recorded(index, bytes(32)))


def cases() -> list[Any]:
    found = []
    for name in SCENARIOS:
        _, running, trace, _ = played(name, None)
        assert running.done, (name, trace, running.waiting_for)
        found += [pytest.param(name, n, kind, id=f"{name}-{n}-{kind}") for n, (kind, _) in enumerate(trace)]
    return found


CASES = cases()


@pytest.mark.parametrize(("name", "n", "kind"), CASES)
def test_a_cancel_at_any_effect_is_raised_again_and_leaves_nothing_held(name: str, n: int, kind: str) -> None:
    scene, running, trace, counted = played(name, n)
    assert isinstance(running.error, Cancelled)
    assert len(trace) == n + 1  # nothing was yielded after the end
    assert trace[n][0] == kind
    for adapter in scene.adapters:
        before = 1 if name == "full_bulkhead" and kind in ("Append", "Enter") and not passed_queue(trace) else 0
        assert adapter.bulkhead.in_use == before
        assert adapter.bulkhead.waiting == 0
        breaker = adapter.breaker.snapshot(scene.clock.now)
        assert breaker.in_flight == 0
        assert (breaker.calls, breaker.failures) == counted[adapter.name]  # a cancellation counts as nothing
        if name == "half_open":
            assert breaker.state is not State.OPEN
    assert "fallback.used" not in scene.events.names or name in ("fallback", "late_ledger_scene")


def passed_queue(trace: list[tuple[Any, ...]]) -> bool:
    return any(kind == "Exchange" for kind, _ in trace)


@pytest.mark.parametrize(("name", "n", "kind"), CASES)
def test_the_ledger_says_cancelled_or_answered_where_that_was_queued_already(name: str, n: int, kind: str) -> None:
    scene, _, trace, _ = played(name, n)
    assert scene.ledger is not None
    assert len(scene.ledger.of(CallStarted)) == 1
    ended_already = kind == "Append" and any(each[0] != "Append" for each in trace[:n])
    wanted = "answered" if ended_already else "cancelled"
    assert [each.outcome for each in scene.ledger.of(CallCompleted)] == [wanted]


def test_every_kind_of_effect_that_waits_is_cancelled_somewhere() -> None:
    assert {kind for _, _, kind in (case.values for case in CASES)} == {"Append", "Enter", "Exchange", "Sleep"}


def test_a_call_taken_by_the_garbage_collector_gives_back_without_a_lock() -> None:
    scene = Scene()
    adapter = scene.add("first", limit=1)
    steps = scene.call().run()
    next(steps)
    with adapter.bulkhead._lock, adapter.breaker._lock:
        del steps
        gc.collect()
    assert adapter.bulkhead.try_enter()
    assert adapter.breaker.peek(0) is None


def test_the_garbage_collector_gives_back_a_trial_too() -> None:
    scene, replies = half_open()
    scene.ledger = None
    (adapter,) = scene.adapters
    steps = scene.call().run()
    next(steps)
    assert adapter.breaker.snapshot(scene.clock.now).in_flight == 1
    del steps
    gc.collect()
    assert Simulation(scripted(replies), scene.clock).drive(scene.call().run()).by_ai
    assert adapter.breaker.snapshot(scene.clock.now).in_flight == 0


def test_a_caller_who_goes_away_says_nothing_of_the_provider_however_long_he_waited() -> None:
    scene = Scene(deadline=40 * SECOND)
    adapter = scene.add("first")
    simulation = Simulation(scripted([(60 * SECOND, ok())]), scene.clock)
    running = simulation.start(scene.call().run())
    simulation.at(39 * SECOND, running.cancel)
    simulation.run()
    assert isinstance(running.error, Cancelled)
    seen = adapter.breaker.snapshot(scene.clock.now)
    assert (seen.calls, seen.failures, seen.in_flight) == (0, 0, 0)
