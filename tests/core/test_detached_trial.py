"""Where no caller has time enough to be a trial, one trial runs on without its caller; so the way back isn't starved."""

from __future__ import annotations

import random
from typing import Any

import pytest

from failsoft.core.breaker import Breaker, Permit, Refused
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.effects import Append, Detach, Exchange, HttpReply, Recorded
from failsoft.core.evidence import CallStarted
from failsoft.fault import Fault
from failsoft.io.drive_simulated import Running, Simulation
from tests.core.scripted import SECOND, Scene, StubLedger, ok, status
from tests.core.test_call import reasons

HURRIED = 2 * SECOND  # less than the 5 s of fair time that are assumed of an unknown provider


@pytest.fixture
def scene() -> Scene:
    scene = Scene(ledger=StubLedger(), deadline=8 * SECOND)
    scene.add("first")
    scene.adapters[0].breaker.to_trial("unblocked", 0)
    return scene


def world(scene: Scene, seconds: float, reply: HttpReply | Fault) -> tuple[Simulation, list[int]]:
    asked: list[int] = []

    def respond(effect: Exchange, now: int) -> tuple[int, HttpReply | Fault]:
        asked.append(now)
        return int(seconds * SECOND), reply

    return Simulation(respond, scene.clock), asked


def hurried(scene: Scene, simulation: Simulation, at: int) -> Running[Any]:
    return simulation.start(scene.call(deadline=HURRIED).run(), at=at)


def test_a_provider_that_takes_longer_than_anybody_has_is_let_in_again(scene: Scene) -> None:
    simulation, asked = world(scene, 4, ok())
    calls = [hurried(scene, simulation, each * SECOND) for each in range(60)]
    simulation.run()
    assert all(each.done and each.error is None for each in calls)
    assert str(scene.adapters[0].breaker.snapshot(scene.clock.now).state) == "closed"
    assert asked[:2] == [5 * SECOND, 10 * SECOND]


def test_its_caller_has_the_fallback_and_waits_for_nothing(scene: Scene) -> None:
    simulation, _ = world(scene, 4, ok())
    caller = hurried(scene, simulation, 5 * SECOND)
    simulation.run()
    assert caller.value is not None
    assert reasons(caller.value) == [("first", "open")]
    assert caller.value.degraded
    assert caller.ended == 5 * SECOND


def test_it_is_a_call_of_its_own_with_records_of_its_own(scene: Scene) -> None:
    simulation, _ = world(scene, 4, ok())
    hurried(scene, simulation, 5 * SECOND)
    simulation.run()
    assert scene.ledger is not None
    by_fallback, by_ai = scene.ledger.completed
    assert by_fallback.call_id != by_ai.call_id
    assert by_fallback.attempts == ()
    assert [(each.adapter, each.fault) for each in by_ai.attempts] == [("first", None)]
    hurry, patience = (each.deadline_ms for each in scene.ledger.of(CallStarted))
    assert (hurry, patience) == (2_000, 11_000)  # twice fair time, and a second


def test_of_many_in_a_hurry_one_sends_it(scene: Scene) -> None:
    simulation, asked = world(scene, 4, status(500))
    for _ in range(20):
        hurried(scene, simulation, 5 * SECOND)
    simulation.run()
    assert len(asked) == 1


def test_while_patient_callers_are_trials_none_is_sent(scene: Scene) -> None:
    simulation, asked = world(scene, 1, status(400))
    simulation.start(scene.call().run(), at=4 * SECOND)
    for each in range(5, 9):
        hurried(scene, simulation, each * SECOND)
    simulation.run()
    assert asked == [4 * SECOND]


def test_a_closed_breaker_sends_none() -> None:
    scene = Scene(deadline=8 * SECOND)
    scene.add("first")
    simulation, asked = world(scene, 1, ok())
    hurried(scene, simulation, 100 * SECOND)
    simulation.run()
    assert len(asked) == 1


def test_a_cancelled_caller_sends_none(scene: Scene) -> None:
    scene.clock.now = 5 * SECOND
    steps = scene.call(deadline=HURRIED).run()
    next(steps)
    assert isinstance(steps.send(Recorded(0, bytes(32))), Append)
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt())


def test_a_drivers_bug_at_a_trial_takes_no_answer_away(scene: Scene) -> None:
    scene.clock.now = 5 * SECOND
    steps = scene.call(deadline=HURRIED).run()
    next(steps)
    steps.send(Recorded(0, bytes(32)))
    assert isinstance(steps.send(Recorded(1, bytes(32))), Detach)
    with pytest.raises(StopIteration) as stopped:
        steps.throw(LookupError("x"))
    assert stopped.value.value.degraded
    assert "attempt.alert" in scene.events.names


def test_one_refusal_in_so_many_seconds_says_so(scene: Scene) -> None:
    breaker = Breaker(BreakerSettings(), scene.clock, random.Random(1))
    breaker.to_trial("unblocked", 0)

    def told(at: float) -> Permit | Refused:
        return breaker.acquire(int(at * SECOND), SECOND, remaining_ns=SECOND)

    assert told(4.9) == Refused("deadline_too_short", 0)
    assert told(5) == Refused("deadline_too_short", 0, detach=True)
    assert told(9.9) == Refused("deadline_too_short", 0)
    assert told(10) == Refused("deadline_too_short", 0, detach=True)
