"""Hedging: the second adapter beside a slow first; one answer, every permit and slot given back, all of it on record."""

from __future__ import annotations

import random
from typing import Any

import pytest

from failsoft.core.breaker import Breaker, BreakerSettings, Permit
from failsoft.core.effects import Append, Exchange, HttpReply, Race, Recorded
from failsoft.core.route import NoBlocks, Refusal
from failsoft.fault import Fault, FaultKind, Settlement
from failsoft.io.drive_simulated import Running, Simulation
from tests.core.scripted import SECOND, GradeItem, Scene, StubLedger, ok, status
from tests.core.test_call import reasons

Plan = dict[str, list[tuple[float, HttpReply | Fault]]]


def world(scene: Scene, plan: Plan) -> tuple[Simulation, list[tuple[str, float]]]:
    """A provider that answers each adapter by its own script: (seconds, reply)."""
    asked: list[tuple[str, float]] = []

    def respond(effect: Exchange, now: int) -> tuple[int, HttpReply | Fault]:
        asked.append((effect.adapter, now / SECOND))
        seconds, reply = plan[effect.adapter].pop(0)
        return int(seconds * SECOND), reply

    return Simulation(respond, scene.clock), asked


def starting_slowly(scene: Scene) -> Breaker:
    """A breaker that has just closed, and takes half a minute for it."""
    breaker = Breaker(BreakerSettings(slow_start_s=30), scene.clock, random.Random(0))
    breaker.to_trial("test", 0)
    for _ in range(2):
        permit = breaker.acquire(0, SECOND)
        assert isinstance(permit, Permit)
        permit.settle(Settlement.SUCCESS, 0)
    return breaker


@pytest.fixture
def scene() -> Scene:
    scene = Scene(ledger=StubLedger(), hedge_after=SECOND)
    for name in ("first", "second", "third"):
        scene.add(name)
    return scene


def hedged(scene: Scene, plan: Plan) -> tuple[Any, list[tuple[str, float]]]:
    simulation, asked = world(scene, plan)
    outcome = simulation.drive(scene.call().run())
    simulation.run()
    for adapter in scene.adapters:
        assert adapter.bulkhead.in_use == 0
        assert adapter.breaker.snapshot(scene.clock.now).in_flight == 0
    return outcome, asked


def test_a_first_adapter_that_is_quick_is_alone(scene: Scene) -> None:
    outcome, asked = hedged(scene, {"first": [(0.5, ok(5))]})
    assert outcome.source.name == "first"
    assert asked == [("first", 0.0)]
    assert outcome.passed_over == ()


def test_beside_a_slow_one_the_second_is_asked_and_its_answer_wins(scene: Scene) -> None:
    outcome, asked = hedged(scene, {"first": [(2.5, ok(5))], "second": [(0.5, ok(6))]})
    assert (outcome.source.name, outcome.value.grade) == ("second", 6)
    assert asked == [("first", 0.0), ("second", 1.0)]
    (lost,) = outcome.passed_over
    assert (lost.adapter, lost.reason, lost.elapsed, lost.billed) == ("first", "hedge_lost", 1.5, True)


def test_a_first_answer_wins_over_a_slower_hedge(scene: Scene) -> None:
    outcome, _ = hedged(scene, {"first": [(1.2, ok(5))], "second": [(0.5, ok(6))]})
    assert outcome.source.name == "first"
    assert reasons(outcome) == [("second", "hedge_lost")]


def test_where_one_is_filtered_the_others_answer_isnt_used(scene: Scene) -> None:
    filtered = Fault(FaultKind.FILTERED)
    outcome, _ = hedged(scene, {"first": [(2.0, filtered)], "second": [(1.5, ok(6))]})
    assert outcome.source.kind == "fallback"
    assert reasons(outcome) == [("first", "filtered"), ("second", "hedge_lost")]


def test_the_first_valid_answer_wins_not_the_first_reply(scene: Scene) -> None:
    outcome, _ = hedged(scene, {"first": [(2.0, ok(5))], "second": [(0.2, ok(-1))]})
    assert outcome.value.grade == 5
    assert reasons(outcome) == [("second", "unacceptable")]


def test_a_first_that_fails_early_leads_on_without_a_hedge(scene: Scene) -> None:
    outcome, asked = hedged(scene, {"first": [(0.1, status(400))], "second": [(0.5, ok(6))]})
    assert outcome.source.name == "second"
    assert asked == [("first", 0.0), ("second", pytest.approx(0.1))]
    assert scene.ledger is not None
    assert [each.why for each in scene.ledger.completed[0].attempts] == [None, None]


def test_where_neither_answers_the_rest_of_the_route_is_asked(scene: Scene) -> None:
    plan: Plan = {"first": [(1.5, status(400))], "second": [(0.1, status(400))], "third": [(0.1, ok(7))]}
    outcome, asked = hedged(scene, plan)
    assert outcome.source.name == "third"
    assert [name for name, _ in asked] == ["first", "second", "third"]


def test_a_hedge_is_on_record_as_one_and_its_loser_as_cancelled(scene: Scene) -> None:
    hedged(scene, {"first": [(2.5, ok(5))], "second": [(0.5, ok(6))]})
    assert scene.ledger is not None
    first, second = scene.ledger.completed[0].attempts
    assert (first.adapter, first.why, first.fault, first.us) == ("first", None, "cancelled", 1_500_000)
    assert (second.adapter, second.why, second.fault) == ("second", "hedge", None)


@pytest.mark.parametrize("why", ["half-open", "slow start", "no budget"])
def test_a_hedge_that_isnt_to_be_had_leaves_the_second_its_ordinary_place(scene: Scene, why: str) -> None:
    second = scene.adapters[1]
    if why == "half-open":
        second.breaker.to_trial("unblocked", 0)
    elif why == "slow start":
        second.breaker = starting_slowly(scene)
    else:
        while second.budget.take(0, None):
            pass
    outcome, asked = hedged(scene, {"first": [(2.5, status(400))], "second": [(0.5, ok(6))]})
    assert outcome.source.name == "second"
    assert asked == [("first", 0.0), ("second", 2.5)]


def test_a_hedge_costs_the_seconds_budget(scene: Scene) -> None:
    hedged(scene, {"first": [(2.5, ok(5))], "second": [(0.5, ok(6))]})
    assert scene.adapters[1].budget.left(scene.clock.now) < 50


def test_a_loser_that_had_fair_time_has_failed_and_one_that_hadnt_says_nothing(scene: Scene) -> None:
    scene.deadline = 40 * SECOND
    hedged(scene, {"first": [(30, ok(5))], "second": [(0.5, ok(6))]})
    assert scene.adapters[0].breaker.snapshot(scene.clock.now).failures == 0
    hedged(scene, {"first": [(30, ok(5))], "second": [(8, ok(6))]})
    assert scene.adapters[0].breaker.snapshot(scene.clock.now).failures == 1


def test_a_label_that_the_second_may_not_see_keeps_it_out(scene: Scene) -> None:
    from failsoft.context import CallContext

    scene.adapters[0].labels = scene.adapters[2].labels = frozenset({"CUI"})
    scene.context = CallContext(labels=frozenset({"CUI"}))
    outcome, asked = hedged(scene, {"first": [(2.5, ok(5))], "third": [(0.5, ok(7))]})
    assert outcome.source.name == "third"
    assert [name for name, _ in asked] == ["first", "third"]


class BlockedLater(NoBlocks):
    """Somebody blocks the second half a second after the start."""

    def adapter(self, name: str, now: int) -> Refusal | None:
        return ("blocked", "by jdoe") if name == "second" and now >= SECOND // 2 else None


@pytest.mark.parametrize("guard", ["blocked", "throttled"])
def test_a_second_that_mustnt_be_asked_meanwhile_isnt_asked_beside(scene: Scene, guard: str) -> None:
    simulation, asked = world(scene, {"first": [(2.5, ok(5))]})
    if guard == "blocked":
        scene.blocks = BlockedLater()
    else:
        simulation.at(SECOND // 2, lambda: scene.adapters[1].throttle.throttled(SECOND // 2, 60 * SECOND))
    running: Running[Any] = simulation.start(scene.call().run())
    simulation.run()
    assert running.value is not None
    assert running.value.source.name == "first"
    assert reasons(running.value) == [("second", guard)]
    assert asked == [("first", 0.0)]


def test_a_second_that_is_no_hedge_has_the_time_that_it_has_without_hedging(scene: Scene) -> None:
    def asked_at() -> list[tuple[str, float]]:
        plan = {"first": [(0.1, status(400))], "second": [(60, ok(6))], "third": [(0.5, ok(7))]}
        return hedged(scene, plan)[1]  # type: ignore[arg-type]

    beside = asked_at()
    begun, scene.hedge_after = scene.clock.now / SECOND, None
    assert [name for name, _ in beside] == ["first", "second", "third"]
    assert [(name, pytest.approx(at - begun)) for name, at in asked_at()] == beside


class Broken(GradeItem):
    name = "grade-item"

    def accept(self, request: Any, response: Any) -> None:
        raise LookupError("a bug")


def test_after_a_bug_of_the_capability_nobody_else_is_asked(scene: Scene) -> None:
    scene.capability = Broken()
    outcome, asked = hedged(scene, {"first": [(0.1, ok(5))]})
    assert outcome.degraded
    assert [name for name, _ in asked] == ["first"]


@pytest.mark.parametrize(("seconds", "took"), [(0.5, [500_000]), (1.25, [1_250_000, 250_000])])
def test_a_cancelled_call_cancels_both(scene: Scene, seconds: float, took: list[int]) -> None:
    simulation, _ = world(scene, {"first": [(5, ok(5))], "second": [(5, ok(6))]})
    running: Running[Any] = simulation.start(scene.call().run())
    simulation.at(int(seconds * SECOND), running.cancel)
    simulation.run()
    assert running.error is not None
    for adapter in scene.adapters:
        assert adapter.bulkhead.in_use == 0
        assert adapter.breaker.snapshot(scene.clock.now).in_flight == 0
    assert scene.ledger is not None
    (completed,) = scene.ledger.completed
    assert completed.outcome == "cancelled"
    assert {each.fault for each in completed.attempts} == {"cancelled"}
    assert [each.us for each in completed.attempts] == took


def test_a_drivers_bug_in_a_race_is_a_loud_fault(scene: Scene) -> None:
    steps = scene.call().run()
    effect = next(steps)
    assert type(effect) is Append
    effect = steps.send(Recorded(0, bytes(32)))
    assert type(effect) is Race
    for branch in effect.branches:
        branch.close()
    effect = steps.throw(LookupError("x"))
    assert type(effect) is Exchange
    assert effect.adapter == "third"
    assert "attempt.alert" in scene.events.names
    assert FaultKind.BUG.value in [told.get("fault") for _, told in scene.events.events]


def test_a_first_that_waits_in_its_queue_is_named_when_the_second_wins(scene: Scene) -> None:
    scene.adapters[0].bulkhead = type(scene.adapters[0].bulkhead)(1, 10)
    assert scene.adapters[0].bulkhead.try_enter()
    simulation, asked = world(scene, {"second": [(0.5, ok(6))]})
    outcome = simulation.drive(scene.call().run())
    assert outcome.source.name == "second"
    assert [name for name, _ in asked] == ["second"]
    assert reasons(outcome) == [("first", "bulkhead_full")]
    assert scene.adapters[0].bulkhead.in_use == 1


def test_a_first_that_waited_and_was_asked_then_isnt_named_as_one_that_waits(scene: Scene) -> None:
    bulkhead = scene.adapters[0].bulkhead = type(scene.adapters[0].bulkhead)(1, 10)
    assert bulkhead.try_enter()
    simulation, _ = world(scene, {"first": [(1.5, Fault(FaultKind.FILTERED))], "second": [(1.5, ok(6))]})
    simulation.at(SECOND // 2, bulkhead.leave)
    outcome = simulation.drive(scene.call().run())
    assert reasons(outcome) == [("first", "filtered"), ("second", "hedge_lost")]
