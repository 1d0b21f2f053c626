"""A caller who goes away isn't a timeout, isn't tried again, and isn't answered by somebody else's exception.

tenacity#529, #186, PR#661: a cancellation was retried (two attempts after one cancel). Polly#3086: a caller's cancel surfaced as
a timeout. pybreaker: KeyboardInterrupt was counted and replaced by CircuitBreakerError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
from tests.core.scripted import SECOND, Scene, StubLedger, ok

from failsoft.core.effects import Effect, Exchange, HttpReply
from failsoft.core.held import Held
from failsoft.core.turn import Turn
from failsoft.fault import Fault, FaultKind, Settlement
from failsoft.io.drive_async import AsyncDriver
from failsoft.io.drive_simulated import Cancelled, Running, Simulation


def cancelled_at(seconds: float) -> tuple[Scene, Running[Any], int]:
    """A caller who leaves after so long, of a provider that takes two seconds; how often that was asked."""
    scene = Scene(ledger=StubLedger())
    scene.add("first", attempts=3)
    asked = [0]

    def respond(effect: Exchange, now: int) -> tuple[int, HttpReply | Fault]:
        asked[0] += 1
        return 2 * SECOND, ok()

    simulation = Simulation(respond, scene.clock)
    running = simulation.start(scene.call().run())
    simulation.at(int(seconds * SECOND), running.cancel)
    simulation.run()
    return scene, running, asked[0]


def test_a_cancelled_call_asks_nobody_again() -> None:
    scene, running, asked = cancelled_at(1)
    assert asked == 1
    assert isinstance(running.error, Cancelled)
    seen = scene.adapters[0].breaker.snapshot(scene.clock.now)
    assert (seen.calls, seen.failures, seen.in_flight) == (0, 0, 0)


def test_it_is_on_record_as_cancelled_and_not_as_a_timeout() -> None:
    scene, _, _ = cancelled_at(1)
    assert scene.ledger is not None
    (completed,) = scene.ledger.completed
    assert completed.outcome == "cancelled"
    assert [(each.fault, each.us) for each in completed.attempts] == [("cancelled", 1_000_000)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_an_interrupt_passes_as_it_is_and_counts_as_nothing(error: BaseException) -> None:
    scene = Scene()
    adapter = scene.add("first")
    steps = scene.call().run()
    while not isinstance(next(steps), Exchange):
        pass
    with pytest.raises(type(error)) as caught:
        steps.throw(error)
    assert caught.value is error
    seen = adapter.breaker.snapshot(scene.clock.now)
    assert (seen.calls, seen.in_flight) == (0, 0)


def ends_as(scene: Scene) -> type[BaseException] | None:
    """How a task ends that's cancelled while its provider hangs."""

    class Hanging:
        async def exchange(self, request: object, until: int) -> HttpReply:
            await asyncio.sleep(3_600)
            raise AssertionError

    async def main() -> type[BaseException] | None:
        driver = AsyncDriver(Hanging(), scene.clock)
        task = asyncio.ensure_future(driver.drive(scene.call().run()))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        return type(ended) if isinstance(ended, BaseException) else None

    return asyncio.run(main())


def test_a_cancelled_task_ends_cancelled() -> None:
    scene = Scene()
    scene.add("first")
    assert ends_as(scene) is asyncio.CancelledError


def test_a_cancel_that_is_retried_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Turn._ask

    def retrying(self: Turn[Any], begun: int) -> Generator[Effect, Any, Any]:
        try:
            return (yield from ask(self, begun))
        except Cancelled:
            self._held.release(begun)
            return Fault(FaultKind.SERVER_ERROR)

    monkeypatch.setattr(Turn, "_ask", retrying)
    with pytest.raises(AssertionError):
        test_a_cancelled_call_asks_nobody_again()


def test_a_cancel_taken_for_a_timeout_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    drive = AsyncDriver.drive

    async def mistaking(self: AsyncDriver, steps: Any) -> Any:
        try:
            return await drive(self, steps)
        except asyncio.CancelledError:
            raise TimeoutError from None

    monkeypatch.setattr(AsyncDriver, "drive", mistaking)
    with pytest.raises(AssertionError):
        test_a_cancelled_task_ends_cancelled()


def test_an_interrupt_that_is_counted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    release = Held.release

    def counting(self: Held, now: int, *, lost: bool = False) -> None:
        if self.permit is not None:
            self.permit.settle(Settlement.FAILURE, now)
        release(self, now, lost=lost)

    monkeypatch.setattr(Held, "release", counting)
    with pytest.raises(AssertionError):
        test_an_interrupt_passes_as_it_is_and_counts_as_nothing(KeyboardInterrupt())
    with pytest.raises(AssertionError):
        test_a_cancelled_call_asks_nobody_again()
