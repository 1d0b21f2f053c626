"""Admission: so many calls at once, the rest answered by the fallback; every place is given back, however a call ends."""

from __future__ import annotations

import pytest

from failsoft.core.admission import admitted
from failsoft.core.bulkhead import Bulkhead
from failsoft.errors import FallbackFailed
from failsoft.io.drive_simulated import Simulation
from failsoft.outcome import PassedOver
from tests.core.scripted import Grade, GradeItem, Item, Scene, StubLedger, ok, scripted


@pytest.fixture
def scene() -> Scene:
    scene = Scene(ledger=StubLedger())
    scene.add("first")
    scene.add("second")
    return scene


def test_a_call_that_finds_a_place_is_a_call_like_any_other(scene: Scene) -> None:
    admission = Bulkhead(1, 0)
    outcome = Simulation(scripted([ok(5)]), scene.clock).drive(admitted(admission, scene.call()))
    assert outcome.value == Grade(grade=5)
    assert admission.in_use == 0


def test_one_that_finds_none_is_answered_by_the_fallback_and_on_record(scene: Scene) -> None:
    admission = Bulkhead(1, 0)
    assert admission.try_enter()
    outcome = Simulation(scripted([]), scene.clock).drive(admitted(admission, scene.call()))
    assert outcome.degraded
    assert outcome.passed_over == (PassedOver("first", "shed"), PassedOver("second", "shed"))
    assert scene.ledger is not None
    (end,) = scene.ledger.completed
    assert end.passed_over == (("first", "shed"), ("second", "shed"))
    assert admission.in_use == 1


def test_a_cancelled_call_gives_its_place_back(scene: Scene) -> None:
    admission = Bulkhead(1, 0)
    steps = admitted(admission, scene.call())
    next(steps)
    assert admission.in_use == 1
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt)
    assert admission.in_use == 0


def test_a_call_that_the_garbage_collector_takes_gives_it_back_without_a_lock(scene: Scene) -> None:
    admission = Bulkhead(1, 0)
    steps = admitted(admission, scene.call())
    next(steps)
    with admission._lock:
        steps.close()
    assert admission.try_enter()


def test_a_call_that_fails_gives_it_back() -> None:
    class Failing(GradeItem):
        """Which grade is it?"""

        def fallback(self, request: Item) -> Grade:
            raise LookupError

    scene, admission = Scene(capability=Failing()), Bulkhead(1, 0)
    with pytest.raises(FallbackFailed):
        Simulation(scripted([]), scene.clock).drive(admitted(admission, scene.call()))
    assert admission.in_use == 0
