"""What breakers do in the cases that users have met: each a short scenario, the same for every library.

A scenario gives "right", "wrong: what happened" or "not offered: why". It sees only which functions were let run and what
their callers got (`running`). A breaker of three failures in a row that's open for 0.3 s and tries one call then is what
all the libraries have; whatever a scenario says nothing of is a library's default.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.peers import clocks
from benchmarks.peers.libraries import Library
from benchmarks.peers.running import Call, Down, Excluded, ListenerError, Running, Stop, Want

RIGHT = "right"
ONE_AT_A_TIME = "right, since it can't arise: one call runs at a time, the others wait"
NO_TASKS = "not offered: its calls block, nobody can cancel one"
CALLERS = 50
HOUR_S = 3_600.0


class Stand:
    """One library's new breaker, and calls through it."""

    def __init__(self, library: Library, want: Want) -> None:
        self.want = want
        self._tasks = library.tasks
        self._call: Call = library.make(want)

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> Running:
        """A call begins."""
        return Running(self._call, tasks=self._tasks, loop=loop)

    async def whole(
        self, outcome: BaseException | None = None, loop: asyncio.AbstractEventLoop | None = None
    ) -> Running:
        """A call from its beginning to its end."""
        running = await self.start(loop).looked_at()
        return await running.end(outcome)

    async def fail(self, times: int = 3) -> int:
        """So many calls that fail, one after another: how many were let in?"""
        return sum([(await self.whole(Down())).admitted for _ in range(times)])

    async def open(self) -> None:
        """It opens: exactly after its number of failures."""
        let_in = await self.fail(self.want.failures + 1)
        assert let_in == self.want.failures, f"opened after {let_in} failures"

    async def half_open(self) -> None:
        """It opens, and the wait is over."""
        await self.open()
        await asyncio.sleep(self.want.open_s * 1.3)


async def fifty_at_half_open(library: Library) -> str:
    """Fifty callers come at once when the wait is over: one trial is let in, and while it's out no other."""
    stand = Stand(library, Want())
    await stand.half_open()
    callers = [stand.start() for _ in range(CALLERS)]
    await callers[0].looked_at()
    await asyncio.sleep(0.3)
    at_once = sum(each.admitted for each in callers)
    for each in callers:
        if each.admitted:
            await each.end(Down())
    await asyncio.sleep(0.1)
    in_all = sum(each.admitted for each in callers)
    for each in callers:
        await each.end(Down())
    if in_all != 1:
        return f"wrong: {at_once} of {CALLERS} let in" + (f", then {in_all - at_once} more" if in_all > at_once else "")
    return RIGHT


async def cancelled_trial(library: Library) -> str:
    """The trial's caller cancels. That says nothing: the next call is the trial, and it alone decides."""
    if not library.tasks:
        return NO_TASKS
    stand = Stand(library, Want())
    await stand.half_open()
    trial = await stand.start().looked_at()
    await trial.cancel()
    let_in = await stand.fail()
    if let_in == 0:
        return "wrong: the cancelled trial counted as a failure, or kept its place"
    return RIGHT if let_in == 1 else "wrong: the cancelled trial closed it"


async def cancelled_calls(library: Library) -> str:
    """Callers cancel while it's closed. That's neither a failure nor a success."""
    if not library.tasks:
        return NO_TASKS
    stand = Stand(library, Want())
    for _ in range(5):
        running = await stand.start().looked_at()
        await running.cancel()
    if not (await stand.whole()).admitted:
        return "wrong: cancelled calls opened it"
    stand = Stand(library, Want())
    await stand.fail(2)
    await (await stand.start().looked_at()).cancel()
    await stand.fail(1)
    return "wrong: a cancelled call wiped out earlier failures" if (await stand.whole()).admitted else RIGHT


async def late_success(library: Library) -> str:
    """An answer to a call from before the opening comes after it: it doesn't close the breaker."""
    stand = Stand(library, Want())
    late = await stand.start().looked_at()
    if not await stand.fail():
        await late.end()
        return ONE_AT_A_TIME
    await late.end()
    if (await stand.whole(Down())).admitted:
        return "wrong: it closed the open breaker"
    stand = Stand(library, Want())
    late = await stand.start().looked_at()
    await stand.half_open()
    trial = await stand.start().looked_at()
    await late.end()
    let_in = await stand.fail()
    await trial.end()
    return RIGHT if let_in <= 1 else "wrong: it closed the breaker while the trial was out"


async def late_failure(library: Library) -> str:
    """A failure of a call from before the opening comes while the trial is out: the trial alone decides."""
    stand = Stand(library, Want())
    late = await stand.start().looked_at()
    if not await stand.fail():
        await late.end()
        return ONE_AT_A_TIME
    await asyncio.sleep(stand.want.open_s * 1.3)
    trial = await stand.start().looked_at()
    assert trial.admitted
    await late.end(Down())
    await trial.end()
    return RIGHT if (await stand.whole()).admitted else "wrong: it opened again, though the trial succeeded"


async def trial_never_returns(library: Library) -> str:
    """The trial hangs, and its caller with it: others get in again, within seconds."""
    stand = Stand(library, Want(attempt_s=0.5))
    await stand.half_open()
    await stand.start().looked_at()
    for _ in range(20):
        await asyncio.sleep(0.2)
        if (await stand.start().looked_at(0.1)).admitted:
            return RIGHT
    return "wrong: nobody gets in as long as it hangs"


async def clock_stepped(library: Library) -> str:
    """The wall clock is set by an hour, forth and back. No time has passed by that."""
    forth, back = Stand(library, Want(open_s=30)), Stand(library, Want())
    await forth.open()
    try:
        clocks.step(HOUR_S)
        early = (await forth.whole()).admitted
        clocks.step(0)
        await back.open()
        clocks.step(-HOUR_S)
        await asyncio.sleep(back.want.open_s * 1.3)
        shut = not (await back.whole()).admitted
    finally:
        clocks.step(0)
    problems = ["forth: let in 30 s early"] * early + ["back: shut for an hour longer"] * shut
    return f"wrong: {'; '.join(problems)}" if problems else RIGHT


async def excluded_errors(library: Library) -> str:
    """Errors that say nothing about the provider's health: they neither open it nor wipe out failures."""
    stand = Stand(library, Want(excluded=True))
    for _ in range(5):
        await stand.whole(Excluded())
    if not (await stand.whole()).admitted:
        return "wrong: they opened it"
    stand = Stand(library, Want(excluded=True))
    for _ in range(5):
        await stand.fail(2)
        await stand.whole(Excluded())
    if not (await stand.whole()).admitted:
        return RIGHT
    return "wrong: each counts as a success: 10 failures of 15 calls didn't open it"


async def listener_raises(library: Library) -> str:
    """A listener that raises neither replaces a caller's result nor keeps the breaker from opening and closing."""
    if not library.listeners:
        return "not offered: no listeners"
    stand, seen = Stand(library, Want(listener=True)), []
    seen.append(await stand.whole())
    seen += [await stand.whole(Down()) for _ in range(3)]
    refused = await stand.whole()
    await asyncio.sleep(stand.want.open_s * 1.3)
    seen.append(await stand.whole())
    after = await stand.whole()
    problems: list[str] = []
    replaced = sum(isinstance(each.error, ListenerError) for each in (*seen, refused, after))
    if replaced:
        problems.append(f"{replaced} of 7 callers got the listener's error instead of their result")
    if not all(each.admitted for each in seen[:4]):
        problems.append("calls weren't made")
    if refused.admitted:
        problems.append("it didn't open")
    if not (seen[4].admitted and after.admitted):
        problems.append("it didn't close again")
    return f"wrong: {', '.join(problems)}" if problems else RIGHT


async def base_exception(library: Library) -> str:
    """The function raises what isn't an `Exception`: it passes untouched, and is neither a failure nor a success."""
    stand, stop = Stand(library, Want()), Stop()
    await stand.fail(2)
    third = await stand.whole(stop)
    problems: list[str] = []
    if third.error is not stop:
        problems.append(f"the caller got {type(third.error).__name__ if third.error else 'an answer'}")
    stand = Stand(library, Want())
    for _ in range(5):
        await stand.whole(Stop())
    if not (await stand.whole()).admitted:
        problems.append("it counts as a failure")
    stand = Stand(library, Want())
    await stand.fail(2)
    await stand.whole(Stop())
    await stand.fail(1)
    if (await stand.whole()).admitted:
        problems.append("it counts as a success")
    return f"wrong: {', '.join(problems)}" if problems else RIGHT


class Interruptible:
    """A new breaker's calls on the main thread, outside any running event loop."""

    def __init__(self, library: Library, loop: asyncio.AbstractEventLoop) -> None:
        self._call, self._tasks, self._loop = library.make(Want()), library.tasks, loop

    def whole(self, kind: str) -> tuple[bool, BaseException | None]:
        """A call that ``returns``, ``fails`` or is ``interrupted``: was it let in, and what did the caller get?"""
        let_in: list[str] = []

        def act() -> int:
            let_in.append(kind)
            if kind == "interrupted":
                signal.raise_signal(signal.SIGINT)
                time.sleep(0.2)  # where it runs in another thread, the caller is interrupted meanwhile
            elif kind == "fails":
                raise Down
            return 1

        async def act_later() -> int:
            return act()

        try:
            if not self._tasks:
                self._call(act)
                return bool(let_in), None
            task = self._loop.create_task(self._call(act_later))
            while not task.done():
                with contextlib.suppress(KeyboardInterrupt):  # out of the loop, beside what the task gets
                    self._loop.run_until_complete(asyncio.wait({task}))
            return bool(let_in), task.exception()
        except BaseException as error:  # it's judged, whatever it is
            return bool(let_in), error


def interrupted(library: Library) -> str:
    """Ctrl-C during a call on the main thread: it passes untouched, and is neither a failure nor a success.

    Python's own handler of the signal is in place.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    loop, problems = asyncio.new_event_loop(), []
    calls = Interruptible(library, loop)
    got = [calls.whole(kind)[1] for kind in ("fails", "fails", "interrupted")][-1]
    if not isinstance(got, KeyboardInterrupt):
        problems.append(f"the caller got {type(got).__name__ if got else 'an answer'}")
    calls = Interruptible(library, loop)
    for _ in range(5):
        calls.whole("interrupted")
    if not calls.whole("returns")[0]:
        problems.append("it counts as a failure")
    calls = Interruptible(library, loop)
    for kind in ("fails", "fails", "interrupted", "fails"):
        calls.whole(kind)
    if calls.whole("returns")[0]:
        problems.append("it counts as a success")
    return f"wrong: {', '.join(problems)}" if problems else RIGHT


async def two_loops(library: Library) -> str:
    """Two event loops (or threads) share one: their calls run at once, and their failures add up."""
    second = asyncio.new_event_loop()
    threading.Thread(target=second.run_forever, daemon=True).start()
    try:
        stand = Stand(library, Want())
        here = await stand.start().looked_at()
        there = await stand.start(second).looked_at()
        both = here.admitted and there.admitted
        await here.end()
        await there.end()
        errors = [type(each.error).__name__ for each in (here, there) if each.error is not None]
        for loop in (None, second, None):
            await stand.whole(Down(), loop)
        shut = [not (await stand.whole(None, loop)).admitted for loop in (None, second)]
    finally:
        second.call_soon_threadsafe(second.stop)
    if errors:
        return f"wrong: {errors[0]}"
    if not both:
        return "wrong: the second call waited until the first had ended"
    return RIGHT if all(shut) else "wrong: failures of both didn't open it"


SCENARIOS: dict[str, Callable[[Library], Awaitable[str] | str]] = {
    "fifty_at_half_open": fifty_at_half_open,
    "cancelled_trial": cancelled_trial,
    "cancelled_calls": cancelled_calls,
    "late_success": late_success,
    "late_failure": late_failure,
    "trial_never_returns": trial_never_returns,
    "clock_stepped": clock_stepped,
    "excluded_errors": excluded_errors,
    "listener_raises": listener_raises,
    "two_loops": two_loops,
    "interrupted": interrupted,
    "base_exception": base_exception,
}


def all_of(library: Library) -> dict[str, Any]:
    """Every scenario's finding. One that couldn't be carried out says so; it's never taken for wrong."""
    found: dict[str, Any] = {}
    for name, scenario in SCENARIOS.items():
        try:
            if inspect.iscoroutinefunction(scenario):
                with asyncio.Runner() as runner:
                    found[name] = runner.run(scenario(library))
            else:
                found[name] = scenario(library)
        except Exception as error:
            found[name] = f"not measured: {type(error).__name__}: {error}"
    return found
