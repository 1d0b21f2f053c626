"""Branches beside each other, and work apart from its call: the same under all three drivers."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.core.scripted import SECOND

from failsoft.core.effects import Detach, Effect, Enter, HttpReply, HttpRequest, Promise, Race
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_async import AsyncDriver
from failsoft.io.drive_simulated import Simulation, VirtualClock
from failsoft.io.drive_sync import SyncDriver
from failsoft.io.invoke import BackgroundLoop

LONG = 3_600 * SECOND


class RealClock:
    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


class NoTransport:
    async def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        return Fault(FaultKind.BUG)


class NoBlockingTransport:
    def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        return Fault(FaultKind.BUG)


Steps = Generator[Effect, Any, Any]


def by_asyncio(steps: Steps) -> Any:
    async def main() -> Any:
        driver = AsyncDriver(NoTransport(), RealClock())
        try:
            return await driver.drive(steps)
        finally:
            await driver.aclose()

    return asyncio.run(main())


def by_thread(steps: Steps) -> Any:
    return SyncDriver(NoBlockingTransport(), RealClock(), BackgroundLoop()).drive(steps)


def by_simulation(steps: Steps) -> Any:
    clock = VirtualClock()
    clock.now = time.monotonic_ns()
    return Simulation(lambda effect, now: (0, Fault(FaultKind.BUG)), clock).drive(steps)


DRIVERS = [by_asyncio, by_thread, by_simulation]
drivers = pytest.mark.parametrize("drive", DRIVERS)


def until() -> int:
    return time.monotonic_ns() + LONG


class Branch:
    """Waits for its promise, says how it ended, and returns its answer."""

    def __init__(self, answer: object, *, ready: bool = True, raises: BaseException | None = None) -> None:
        self.promise: Promise[bool] = Promise()
        self.answer = answer
        self.raises = raises
        self.ended: list[str] = []
        self.over = threading.Event()
        if ready:
            self.promise.resolve(True)

    def run(self) -> Steps:
        try:
            yield Enter(self.promise, until())
            if self.raises is not None:
                raise self.raises
            self.ended.append("returned")
            return self.answer
        except GeneratorExit:
            self.ended.append("closed")
            raise
        except BaseException:
            self.ended.append("broken off")
            raise
        finally:
            self.over.set()


def racing(*branches: Branch, delays: tuple[int, ...] | None = None, won: Callable[[Any], bool] = bool) -> Steps:
    return (yield Race(tuple(each.run() for each in branches), delays or (0,) * len(branches), won))


@drivers
def test_the_first_that_wins_is_the_result_and_the_other_is_ended(drive: Callable[[Steps], Any]) -> None:
    slow, quick = Branch("slow", ready=False), Branch("quick")
    assert drive(racing(slow, quick)) == "quick"
    slow.promise.resolve(True)  # a thread's effect can't be broken off: its branch is ended with it
    assert slow.over.wait(10)
    assert slow.ended == ["broken off"]
    assert quick.ended == ["returned"]


@drivers
def test_a_branch_that_ends_without_winning_lets_the_others_go_on(drive: Callable[[Steps], Any]) -> None:
    assert drive(racing(Branch(None), Branch("second"))) == "second"


@drivers
def test_the_next_starts_at_once_where_all_before_it_have_ended(drive: Callable[[Steps], Any]) -> None:
    assert drive(racing(Branch(None), Branch("second"), delays=(0, LONG))) == "second"


@drivers
def test_one_that_never_started_never_runs(drive: Callable[[Steps], Any]) -> None:
    late = Branch("late")
    assert drive(racing(Branch("first"), late, delays=(0, LONG))) == "first"
    assert late.ended == []


@drivers
def test_a_delay_that_passes_starts_the_next(drive: Callable[[Steps], Any]) -> None:
    slow = Branch("slow", ready=False)
    assert drive(racing(slow, Branch("second"), delays=(0, 1_000_000))) == "second"
    slow.promise.resolve(True)


@drivers
def test_where_none_wins_there_is_no_result(drive: Callable[[Steps], Any]) -> None:
    assert drive(racing(Branch(None), Branch(None))) is None


@drivers
def test_what_a_branch_raises_is_raised_where_none_wins(drive: Callable[[Steps], Any]) -> None:
    with pytest.raises(LookupError):
        drive(racing(Branch(None, raises=LookupError()), Branch(None)))


@drivers
def test_a_branch_that_raises_doesnt_keep_another_from_winning(drive: Callable[[Steps], Any]) -> None:
    assert drive(racing(Branch(None, raises=LookupError()), Branch("second"))) == "second"


class Leaving(BaseException):
    pass


@pytest.mark.parametrize("drive", [by_asyncio, by_thread])
def test_what_ends_the_application_ends_the_race(drive: Callable[[Steps], Any]) -> None:
    slow = Branch("slow", ready=False)
    with pytest.raises(Leaving):
        drive(racing(slow, Branch(None, raises=Leaving())))
    slow.promise.resolve(True)
    assert slow.over.wait(10)
    assert slow.ended == ["broken off"]


async def test_a_cancelled_caller_cancels_every_branch() -> None:
    first, second = Branch(1, ready=False), Branch(2, ready=False)
    task = asyncio.create_task(AsyncDriver(NoTransport(), RealClock()).drive(racing(first, second)))
    while not (first.promise._callbacks and second.promise._callbacks):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.ended == second.ended == ["broken off"]


def test_a_simulated_caller_that_goes_away_takes_its_branches_along() -> None:
    clock = VirtualClock()
    simulation = Simulation(lambda effect, now: (0, Fault(FaultKind.BUG)), clock)
    first, second = Branch(1, ready=False), Branch(2, ready=False)
    running = simulation.start(racing(first, second, delays=(0, SECOND)))
    simulation.run(2 * SECOND)
    running.cancel()
    simulation.run()
    assert first.ended == second.ended == ["broken off"]
    assert running.error is not None


def test_a_race_taken_by_the_garbage_collector_awaits_nothing() -> None:
    first = Branch(1, ready=False)
    loop = asyncio.new_event_loop()
    try:
        driving = AsyncDriver(NoTransport(), RealClock()).drive(racing(first))
        task = loop.create_task(driving)
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
        driving.close()
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
        for each in asyncio.all_tasks(loop):
            each.cancel()
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
        gc.collect()


def test_where_no_thread_can_be_started_a_branch_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError, match="can't start"):
        by_thread(racing(Branch("first")))


class TestDetached:
    @drivers
    def test_work_doesnt_keep_its_call_waiting(self, drive: Callable[[Steps], Any]) -> None:
        apart = Branch("apart", ready=False)

        def call() -> Steps:
            assert (yield Detach(apart.run())) is None
            return "answer"

        assert drive(call()) == "answer"
        apart.promise.resolve(True)
        if drive is by_thread:
            assert apart.over.wait(10)
            assert apart.ended == ["returned"]

    async def test_work_goes_on_after_its_call(self) -> None:
        driver = AsyncDriver(NoTransport(), RealClock())
        apart = Branch("apart", ready=False)

        def call() -> Steps:
            yield Detach(apart.run())
            return "answer"

        assert await driver.drive(call()) == "answer"
        apart.promise.resolve(True)
        while not apart.ended:
            await asyncio.sleep(0)
        assert apart.ended == ["returned"]
        await driver.aclose()

    async def test_work_is_ended_with_its_driver(self) -> None:
        driver = AsyncDriver(NoTransport(), RealClock())
        apart = Branch("apart", ready=False)
        await driver._detach(Detach(apart.run()))
        await asyncio.sleep(0)
        await driver.aclose()
        assert apart.ended == ["broken off"]
        assert not driver._detached

    @pytest.mark.parametrize("drive", [by_thread, by_simulation])
    def test_what_it_raises_is_dropped(self, drive: Callable[[Steps], Any]) -> None:
        apart = Branch("apart", raises=LookupError())

        def call() -> Steps:
            yield Detach(apart.run())
            return "answer"

        assert drive(call()) == "answer"
        assert apart.over.wait(10) or drive is by_simulation

    async def test_what_it_raises_is_dropped_under_asyncio(self) -> None:
        driver = AsyncDriver(NoTransport(), RealClock())
        await driver._detach(Detach(Branch("apart", raises=LookupError()).run()))
        while driver._detached:
            await asyncio.sleep(0)
