"""One script, three drivers: the same effects in the same order, the same outcome, the same end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest
from tests.core.scripted import SECOND, Scene, StubLedger, ok, status, traced

from failsoft.core.bulkhead import Bulkhead
from failsoft.core.effects import Ask, Effect, Enter, Exchange, HttpReply, HttpRequest, Invoke, Promise, Raised, Sleep
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive import end
from failsoft.io.drive_async import AsyncDriver
from failsoft.io.drive_simulated import Simulation
from failsoft.io.drive_sync import SyncDriver, ThroughLoop
from failsoft.io.invoke import BackgroundLoop

SCRIPTS: dict[str, list[Any]] = {
    "success": [ok()],
    "retry": [status(500), ok()],
    "second adapter": [status(400), ok()],
    "mismatch": [ok(model="m-2"), ok()],
    "throttled": [status(429), ok()],
    "fallback": [status(400), status(400)],
    "invalid": [HttpReply(200, {"model": "m-1"}, b'{"grade": "x"}'), ok()],
    "bug": [RuntimeError("a driver's bug"), ok()],
}


class RealClock:
    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)


class ScriptedTransport:
    """Answers at once, by script; an exception in the script is raised, as a transport's bug would be."""

    def __init__(self, replies: list[Any]) -> None:
        self._rest = iter(replies)

    def next(self) -> HttpReply | Fault:
        reply = next(self._rest)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
        return self.next()


class BlockingTransport(ScriptedTransport):
    def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:  # type: ignore[override]
        return self.next()


def fresh(clock: Any) -> Scene:
    scene = Scene(clock=clock, ledger=StubLedger())
    scene.add("first")
    scene.add("second")
    return scene


def simulated(replies: list[Any]) -> tuple[Any, list[Any]]:
    scene, trace = fresh(RealClock()), []
    from failsoft.io.drive_simulated import VirtualClock

    scene = fresh(VirtualClock())

    def respond(effect: Exchange, now: int) -> Any:
        reply = next(rest)
        return (0, reply)

    rest = iter(replies)
    simulation = Simulation(respond, scene.clock)
    return simulation.drive(traced(scene.call().run(), trace)), trace


def by_asyncio(replies: list[Any]) -> tuple[Any, list[Any]]:
    scene, trace = fresh(RealClock()), []
    driver = AsyncDriver(ScriptedTransport(replies), scene.clock)
    return asyncio.run(driver.drive(traced(scene.call().run(), trace))), trace


def by_thread(replies: list[Any]) -> tuple[Any, list[Any]]:
    scene, trace = fresh(RealClock()), []
    driver = SyncDriver(BlockingTransport(replies), scene.clock, BackgroundLoop())
    return driver.drive(traced(scene.call().run(), trace)), trace


@pytest.mark.parametrize("name", SCRIPTS)
def test_one_script_gives_one_trace_under_all_three_drivers(name: str) -> None:
    outcomes, traces = [], []
    for drive in (simulated, by_asyncio, by_thread):
        outcome, trace = drive(SCRIPTS[name])
        reasons = [(each.adapter, each.reason) for each in outcome.passed_over]
        outcomes.append((outcome.value, outcome.source, outcome.record, reasons))
        traces.append(trace)
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert traces[0] == traces[1] == traces[2]
    assert len(traces[0]) >= 3


# --- the rule of the end ------------------------------------------------------------------------------------------------


def stubborn() -> Generator[Effect, Any, None]:
    """A broken call: it goes on after its end."""
    try:
        yield Sleep(10**18)
    except BaseException:
        yield Sleep(0)


def swallowing() -> Generator[Effect, Any, str]:
    """A broken call: it answers after its end."""
    try:
        yield Sleep(10**18)
    except BaseException:
        return "as if nothing had been"
    return ""


async def cancelled(steps: Generator[Effect, Any, Any]) -> None:
    driver = AsyncDriver(ScriptedTransport([]), RealClock())
    task = asyncio.ensure_future(driver.drive(steps))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def test_a_call_that_yields_after_its_end_is_told_so() -> None:
    with pytest.raises(RuntimeError, match="after its end"):
        await cancelled(stubborn())


async def test_a_call_cant_swallow_its_end() -> None:
    with pytest.raises(asyncio.CancelledError):
        await cancelled(swallowing())


def test_a_call_that_yields_after_its_end_is_closed() -> None:
    steps = stubborn()
    next(steps)
    with pytest.raises(RuntimeError, match="after its end"):
        end(steps, KeyboardInterrupt())
    assert inspect.getgeneratorstate(steps) == inspect.GEN_CLOSED


def test_a_moment_that_has_passed_is_not_waited_for() -> None:
    class Noon(RealClock):
        @staticmethod
        def monotonic_ns() -> int:
            return 12 * SECOND

    driver = SyncDriver(BlockingTransport([]), Noon(), BackgroundLoop())
    assert [driver._seconds(each * SECOND // 2) for each in (0, 23, 24, 29)] == [0.0, 0.0, 0.0, 2.5]


def test_an_interrupt_ends_a_call_in_a_thread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        SyncDriver(BlockingTransport([]), RealClock(), BackgroundLoop()).drive(swallowing())


# --- waiting for what another thread delivers ---------------------------------------------------------------------------


def once(effect: Effect) -> Generator[Effect, Any, Any]:
    return (yield effect)


def soon() -> int:
    return time.monotonic_ns() + 5 * SECOND


def test_a_promise_resolved_in_another_thread_wakes_a_thread() -> None:
    promise: Promise[bool] = Promise()
    threading.Timer(0.01, promise.resolve, (True,)).start()
    driver = SyncDriver(BlockingTransport([]), RealClock(), BackgroundLoop())
    assert driver.drive(once(Enter(promise, soon()))) is True


async def test_a_promise_resolved_in_another_thread_wakes_a_task() -> None:
    promise: Promise[bool] = Promise()
    threading.Timer(0.01, promise.resolve, (True,)).start()
    driver = AsyncDriver(ScriptedTransport([]), RealClock())
    assert await driver.drive(once(Enter(promise, soon()))) is True


async def test_a_hundred_that_are_woken_together_cost_one_knock(monkeypatch: pytest.MonkeyPatch) -> None:
    promises: list[Promise[bool]] = [Promise() for _ in range(100)]
    driver, loop = AsyncDriver(ScriptedTransport([]), RealClock()), asyncio.get_running_loop()
    waiting = [asyncio.ensure_future(driver.drive(once(Enter(each, soon())))) for each in promises]
    await asyncio.sleep(0)
    knocks: list[object] = []
    knock = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *given: (knocks.append(given), knock(*given)))
    for each in promises:  # the loop doesn't run meanwhile, as it mostly doesn't while the ledger's thread does
        each.resolve(True)
    assert await asyncio.gather(*waiting) == [True] * 100
    assert len(knocks) == 1
    late: Promise[bool] = Promise()
    again = asyncio.ensure_future(driver.drive(once(Enter(late, soon()))))
    await asyncio.sleep(0)
    late.resolve(True)
    assert await again is True
    assert len(knocks) == 2


@pytest.mark.parametrize("granted", [False, True])
def test_those_who_wait_on_a_loop_that_died_are_collected_and_give_their_places_back(granted: bool) -> None:
    driver, bulkhead = AsyncDriver(ScriptedTransport([]), RealClock()), Bulkhead(1, 10)
    assert bulkhead.try_enter()

    def waiting() -> Generator[Effect, Any, None]:
        place = bulkhead.queue()
        assert place is not None
        try:
            yield Enter(place, time.monotonic_ns() + 60 * SECOND)
        except GeneratorExit:
            bulkhead.abandon(place)
            raise

    async def begin() -> None:
        for _ in range(3):
            loop.create_task(driver.drive(waiting()))  # noqa: RUF006 - to be lost is what it is here for
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending"
    loop.close()
    assert bulkhead.waiting == 3
    if granted:
        bulkhead.leave()  # to one of those who aren't there: that they aren't is found out by it
    else:
        del loop
        gc.collect()
        bulkhead.leave()
    assert bulkhead.try_enter()
    assert bulkhead.waiting == 0


def test_a_driver_keeps_no_loop_alive() -> None:
    driver, promise = AsyncDriver(ScriptedTransport([]), RealClock()), Promise[bool]()

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(promise.resolve, True)
        assert await driver.drive(once(Enter(promise, soon()))) is True

    asyncio.run(wait())
    gc.collect()
    assert len(driver._wakers) == 0


async def test_a_wait_that_ends_first_forgets_its_wake_up() -> None:
    promise: Promise[bool] = Promise()
    driver = AsyncDriver(ScriptedTransport([]), RealClock())
    assert await driver.drive(once(Enter(promise, time.monotonic_ns() + 1_000_000))) is None
    assert promise._callbacks == []
    blocking = SyncDriver(BlockingTransport([]), RealClock(), BackgroundLoop())
    assert await asyncio.to_thread(blocking.drive, once(Enter(promise, time.monotonic_ns() + 1_000_000))) is None
    assert promise._callbacks == []


async def test_a_promise_delivered_at_the_last_moment_wakes_once() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    promise: Promise[bool] = Promise()
    driver = AsyncDriver(ScriptedTransport([]), RealClock())
    waiting = asyncio.ensure_future(driver.drive(once(Enter(promise, 0))))
    await asyncio.sleep(0)
    promise.resolve(True)  # the timer is due as well
    assert await waiting is True
    await asyncio.sleep(0)
    assert complaints == []


# --- the user's own function --------------------------------------------------------------------------------------------


def plain(ask: Ask) -> str:
    return "plain"


async def coroutine(ask: Ask) -> str:
    await asyncio.sleep(0)
    return "coroutine"


class Callable_:
    async def __call__(self, ask: Ask) -> str:
        return "object"


def maker(ask: Ask) -> Any:
    return coroutine(ask)


def broken(ask: Ask) -> str:
    raise LookupError("x")


async def broken_coroutine(ask: Ask) -> str:
    raise LookupError("x")


def leaving(ask: Ask) -> str:
    raise SystemExit


def in_asyncio(effect: Effect) -> Any:
    return asyncio.run(AsyncDriver(ScriptedTransport([]), RealClock()).drive(once(effect)))


def in_thread(effect: Effect) -> Any:
    loop = BackgroundLoop()
    try:
        return SyncDriver(BlockingTransport([]), RealClock(), loop).drive(once(effect))
    finally:
        loop.close()


both = pytest.mark.parametrize("drive", [in_asyncio, in_thread])


@both
@pytest.mark.parametrize(
    ("function", "result"), [(plain, "plain"), (coroutine, "coroutine"), (Callable_(), "object"), (maker, "coroutine")]
)
def test_a_function_of_any_colour_is_called(drive: Callable[[Effect], Any], function: Any, result: str) -> None:
    effect = Invoke("legacy", function, (None,), soon())
    assert drive(effect) == result
    assert effect.work.done


@both
def test_work_that_a_plain_function_only_began_has_not_ended_with_it(drive: Callable[[Effect], Any]) -> None:
    done: list[bool] = []

    async def work() -> str:
        done.append(effect.work.done)
        return "made"

    effect = Invoke("legacy", lambda _: work(), (None,), soon())
    assert drive(effect) == "made"
    assert done == [False]
    assert effect.work.done


@pytest.mark.parametrize("function", [coroutine, Callable_()])
async def test_a_coroutine_function_needs_no_thread(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    effect = Invoke("legacy", function, (None,), soon())
    assert isinstance(await AsyncDriver(ScriptedTransport([]), RealClock()).drive(once(effect)), str)


@pytest.mark.parametrize("function", [coroutine, Callable_()])
def test_a_coroutine_function_needs_the_loop_and_no_other_thread(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    start = threading.Thread.start

    def seen(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", seen)
    in_thread(Invoke("legacy", function, (None,), soon()))
    assert started == ["failsoft-loop"]


# --- the background loop ------------------------------------------------------------------------------------------------


def test_work_that_was_given_up_before_it_began_never_begins() -> None:
    busy, free, called = threading.Event(), threading.Event(), list[object]()

    async def block() -> None:
        busy.set()
        free.wait(5)

    async def work(ask: object) -> None:
        called.append(ask)

    loop = BackgroundLoop()
    blocked = loop.submit(block())
    assert busy.wait(5)
    effect = Invoke("legacy", work, (None,), time.monotonic_ns() + 20_000_000)
    result = SyncDriver(BlockingTransport([]), RealClock(), loop).drive(once(effect))
    assert isinstance(result, Fault)
    assert effect.work.done
    free.set()
    blocked.result(5)
    loop.submit(asyncio.sleep(0)).result(5)  # whatever was queued before has been looked at
    assert called == []
    loop.close()


def test_generators_left_open_on_the_background_loop_end_with_it() -> None:
    ended: list[str] = []

    async def counting() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append("yes")

    left = counting()

    async def begin() -> None:
        await anext(left)

    loop = BackgroundLoop()
    loop.submit(begin()).result(5)
    thread = loop._thread
    loop.close()
    assert thread is not None
    thread.join(5)
    assert ended == ["yes"]


def test_a_loop_that_is_closed_ends_its_thread_and_begins_nothing_any_more() -> None:
    BackgroundLoop().close()  # nothing was begun
    loop, asked = BackgroundLoop(), list[object]()
    loop.submit(asyncio.sleep(0)).result(5)
    thread = loop._thread
    assert thread is not None
    loop.close()
    thread.join(5)
    assert not thread.is_alive()

    async def work(ask: object) -> None:
        asked.append(ask)

    effect = Invoke("legacy", work, (None,), soon())
    result = SyncDriver(BlockingTransport([]), RealClock(), loop).drive(once(effect))
    assert result == Fault(FaultKind.CANCELLED, "the isolation was left")
    assert effect.work.done
    assert (loop._thread, asked) == (None, [])


def test_what_runs_when_a_loop_is_closed_is_cancelled_and_its_caller_told() -> None:
    loop, begun = BackgroundLoop(), threading.Event()

    async def endless(_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    def close() -> None:
        begun.wait(5)
        loop.close()

    threading.Thread(target=close).start()
    effect = Invoke("legacy", endless, (None,), soon())
    result = SyncDriver(BlockingTransport([]), RealClock(), loop).drive(once(effect))
    assert result == Fault(FaultKind.CANCELLED, "the isolation was left")
    assert effect.work.done


def test_an_exchange_whose_loop_is_closed_is_cancelled() -> None:
    loop, begun = BackgroundLoop(), threading.Event()

    class Endless(ScriptedTransport):
        async def exchange(self, request: HttpRequest, until: int) -> HttpReply | Fault:
            begun.set()
            await asyncio.Event().wait()
            return self.next()

    def close() -> None:
        begun.wait(5)
        loop.close()

    threading.Thread(target=close).start()
    result = ThroughLoop(Endless([]), RealClock(), loop).exchange(HttpRequest("http://x/", (), b""), soon())
    assert result == Fault(FaultKind.CANCELLED, "the isolation was left")


def test_a_loop_whose_thread_cant_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    loop = BackgroundLoop()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError):
            loop.submit(asyncio.sleep(0))
    assert loop.submit(asyncio.sleep(0, "later")).result(5) == "later"
    loop.close()


@both
@pytest.mark.parametrize("function", [broken, broken_coroutine])
def test_what_a_function_raises_is_a_value(drive: Callable[[Effect], Any], function: Any) -> None:
    result = drive(Invoke("legacy", function, (None,), soon()))
    assert isinstance(result, Raised)
    assert isinstance(result.error, LookupError)


@both
def test_a_function_cant_end_the_application(drive: Callable[[Effect], Any]) -> None:
    assert isinstance(drive(Invoke("legacy", leaving, (None,), soon())), Raised)


@both
def test_a_function_that_takes_too_long_is_left_alone_and_its_work_isnt_done(drive: Callable[[Effect], Any]) -> None:
    go = threading.Event()
    effect = Invoke("legacy", lambda _: go.wait(5), (None,), time.monotonic_ns() + 20_000_000)
    result = drive(effect)
    assert isinstance(result, Fault)
    assert result.kind is FaultKind.ATTEMPT_TIMEOUT
    assert effect.started
    assert not effect.work.done
    ended = threading.Event()
    effect.work.on_done(ended.set)
    go.set()
    assert ended.wait(5)


async def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    seen: list[str] = []

    async def slow(_: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    effect = Invoke("legacy", slow, (None,), time.monotonic_ns() + 20_000_000)
    result = await AsyncDriver(ScriptedTransport([]), RealClock()).drive(once(effect))
    assert isinstance(result, Fault)
    ended = asyncio.Event()
    effect.work.on_done(ended.set)
    await asyncio.wait_for(ended.wait(), 5)
    assert seen == ["cancelled"]


def test_an_asyncio_transport_serves_threads_through_the_background_loop() -> None:
    loop = BackgroundLoop()
    try:
        through = ThroughLoop(ScriptedTransport([ok()]), RealClock(), loop)
        assert isinstance(through.exchange(HttpRequest("http://x/", (), b""), soon()), HttpReply)
    finally:
        loop.close()


async def leaving_coroutine(ask: Ask) -> str:
    raise SystemExit


@both
def test_a_coroutine_cant_end_the_application_either(drive: Callable[[Effect], Any]) -> None:
    assert isinstance(drive(Invoke("legacy", leaving_coroutine, (None,), soon())), Raised)


def test_a_thread_that_cant_be_started_has_no_end_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    effect = Invoke("legacy", plain, (None,), soon())
    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError):
        SyncDriver(BlockingTransport([]), RealClock(), BackgroundLoop()).drive(once(effect))
    assert not effect.started


def test_a_pending_call_taken_by_the_garbage_collector_runs_nothing() -> None:
    async def hanging(_: Any) -> None:
        await asyncio.sleep(60)

    ended: list[str] = []

    def call() -> Generator[Effect, Any, None]:
        try:
            yield Invoke("legacy", hanging, (None,), time.monotonic_ns() + 60 * SECOND)
        except GeneratorExit:
            ended.append("collected")
            raise
        except Exception as error:
            ended.append(repr(error))

    driving = AsyncDriver(ScriptedTransport([]), RealClock()).drive(call())

    async def begin() -> None:
        with contextlib.suppress(StopIteration):
            driving.send(None)

    asyncio.run(begin())
    driving.close()
    assert ended == ["collected"]
