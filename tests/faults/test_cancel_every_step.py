"""A caller who leaves at any step of a real exchange: over both asyncio transports, whole replies and streamed ones.

The task is stepped by `Stepped`, which counts its suspensions and cancels it at the one it's told. What's counted is what a
loop really waits for: the name, the connection, room for the request, each part of the reply, a turn.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine, Generator
from typing import Any

import pytest
from grading_at_every_step import CAPABILITY, ITEM, Answering, isolation

from failsoft import Isolation, Outcome
from failsoft.testing import FaultServer

AFTERWARDS = 100


class Stepped:
    """Awaits a coroutine, step by step.

    Args:
        at: the step at which its task is cancelled; None: never.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int | None = None) -> None:
        self.coroutine = coroutine
        self.at = at
        self.steps = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        throw: BaseException | None = None
        sent: Any = None
        while True:
            try:
                waited = self.coroutine.throw(throw) if throw is not None else self.coroutine.send(sent)
            except StopIteration as stop:
                return stop.value
            throw = sent = None
            if self.steps == self.at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            self.steps += 1
            try:
                sent = yield waited
            except BaseException as error:
                throw = error


async def call(isolated: Isolation, at: int | None = None) -> tuple[Stepped, Outcome[Any] | None]:
    """One call in a task of its own; None where it was cancelled."""
    stepped = Stepped(isolated[CAPABILITY](ITEM), at)

    async def run() -> Any:
        return await stepped

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    return stepped, None if task.cancelled() else task.result()


def left_behind(isolated: Isolation) -> dict[str, object]:
    """What isn't as it was: slots in use, places in queues, tasks besides this one."""
    held = {name: (each.bulkhead.in_use, each.bulkhead.waiting) for name, each in isolated._adapters.items()}
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return {"held": {name: each for name, each in held.items() if each != (0, 0)}, "tasks": tasks}


def note_abandoned_generators() -> list[str]:
    """Those that the garbage collector finds open: the loop closes each in a task that nobody asked for."""
    abandoned: list[str] = []
    usual = sys.get_asyncgen_hooks()

    def note(generator: Any) -> None:
        abandoned.append(generator.__qualname__)
        if usual.finalizer is not None:
            usual.finalizer(generator)

    sys.set_asyncgen_hooks(finalizer=note)
    return abandoned


NOTHING: dict[str, object] = {"held": {}, "tasks": set()}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("warm", [False, True], ids=["first call", "connection at hand"])
def test_a_cancel_at_any_step_is_raised_again_and_leaves_nothing_behind(
    loop_mode: str, streamed: bool, warm: bool
) -> None:
    if loop_mode == "aiohttp":
        pytest.importorskip("aiohttp", reason="the extra `fast` isn't installed")

    answers = Answering(streamed=streamed)

    async def one(server: FaultServer, at: int | None) -> int | None:
        """Cancelled at that step, and what follows; how many steps there were, or None: it was over before."""
        abandoned = note_abandoned_generators()
        async with isolation(server.base_url, loop_mode, streamed=streamed) as isolated:
            answers.quick = False
            if warm:
                assert (await call(isolated))[1] is not None
            stepped, outcome = await call(isolated, at)
            assert left_behind(isolated) == NOTHING
            if at is None:
                assert outcome is not None
                assert outcome.by_ai
                return stepped.steps
            if outcome is not None:  # the server was quicker than when it was counted
                assert outcome.by_ai
                return None
            assert stepped.steps > at
            answers.quick = True
            gc.collect()
            assert abandoned == []
            for _ in range(AFTERWARDS):
                after = await isolated[CAPABILITY](ITEM)
                assert after.by_ai, after.passed_over
            assert left_behind(isolated) == NOTHING
            assert server.wait_open(1)
            return stepped.steps

    with FaultServer(answers) as server:
        steps = asyncio.run(one(server, None))
        assert steps is not None
        assert steps >= (4 if streamed else 2)
        cancelled = [at for at in range(steps + 2) if asyncio.run(one(server, at)) is not None]
        assert len(cancelled) >= steps // 2  # when the last ones come depends on the network
        assert server.wait_open(0)
