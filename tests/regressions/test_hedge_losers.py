"""Of two who are asked beside each other, the loser is broken off, waited for, put on record, and paid.

Kevlar#336, Azure cosmos PR#6030, Polly PR#1340: losers weren't disposed of. llmr#48, sub2api#4408: a call that was cancelled or lost
is billed all the same, and the ledger said 0.
"""

from __future__ import annotations

import pytest
from tests.core.scripted import SECOND, Grade, Scene, StubLedger, ok

from failsoft.core.asking import Asking
from failsoft.core.effects import Exchange, HttpReply
from failsoft.core.held import Held
from failsoft.core.turn import Turn
from failsoft.fault import Fault
from failsoft.io.drive_simulated import Simulation
from failsoft.outcome import Outcome, PassedOver

TIMES = {"first": 5 * SECOND, "second": SECOND // 2}


def hedged() -> tuple[Scene, Outcome[Grade]]:
    scene = Scene(ledger=StubLedger(), hedge_after=SECOND)
    for name in TIMES:
        scene.add(name, limit=1)

    def respond(effect: Exchange, now: int) -> tuple[int, HttpReply | Fault]:
        return TIMES[effect.adapter], ok()

    simulation = Simulation(respond, scene.clock)
    outcome = simulation.drive(scene.call().run())
    simulation.run()
    return scene, outcome


def test_a_loser_holds_nothing_when_the_answer_is_given() -> None:
    scene, outcome = hedged()
    assert outcome.source.name == "second"
    for adapter in scene.adapters:
        assert adapter.bulkhead.in_use == 0
        assert adapter.breaker.snapshot(scene.clock.now).in_flight == 0


def test_a_loser_may_have_been_billed_and_nobody_says_how_much() -> None:
    scene, outcome = hedged()
    assert [(each.adapter, each.reason, each.billed) for each in outcome.passed_over] == [("first", "hedge_lost", True)]
    assert scene.ledger is not None
    first, second = scene.ledger.completed[0].attempts
    assert (first.fault, first.tokens) == ("cancelled", None)
    assert second.fault is None


def test_a_loser_that_keeps_what_it_held_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    release = Held.release

    def keeping(self: Held, now: int, *, lost: bool = False) -> None:
        if not lost:
            release(self, now)

    monkeypatch.setattr(Held, "release", keeping)
    with pytest.raises(AssertionError):
        test_a_loser_holds_nothing_when_the_answer_is_given()


def test_a_loser_said_to_cost_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    lose = Turn.lose

    def for_free(self: Turn[Grade]) -> None:
        lose(self)
        asking: Asking[object, Grade] = self.asking
        asking.passed_over[:] = [
            PassedOver(each.adapter, each.reason, each.elapsed, False, each.detail) for each in asking.passed_over
        ]

    monkeypatch.setattr(Turn, "lose", for_free)
    with pytest.raises(AssertionError):
        test_a_loser_may_have_been_billed_and_nobody_says_how_much()
