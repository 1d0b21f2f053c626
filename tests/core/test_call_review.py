"""Whether an answer is to be reviewed: decided of what the caller gets, and on record before the caller has it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from failsoft import Capability, Outcome, Referral, Required
from failsoft.core.effects import Recorded
from failsoft.core.evidence import CallAmended, CallCompleted
from failsoft.errors import CapabilityBug, FallbackFailed, LedgerUnavailable
from failsoft.io.drive_simulated import Simulation
from failsoft.review import ReviewNeed, by_ai, degraded, sampled
from tests.core.scripted import SECOND, GradeItem, Scene, StubLedger, ok, scripted, status
from tests.core.test_call import run

PENDING = ReviewNeed(True, "always")


class Mutable(BaseModel):
    grade: int


@pytest.fixture
def scene() -> Scene:
    scene = Scene(ledger=StubLedger())
    scene.add("first")
    return scene


def reviewing(scene: Scene, review: Required | None, base: type[Any] = GradeItem) -> Scene:
    scene.capability = type("GradeItem", (base,), {"review": review})()
    return scene


def need(scene: Scene) -> ReviewNeed | None:
    assert scene.ledger is not None
    (one,) = scene.ledger.completed
    return one.review


def bugs(scene: Scene) -> list[dict[str, Any]]:
    return [fields for name, fields in scene.events.events if name == "capability.bug"]


def test_nobody_looks_at_what_nobody_has_to(scene: Scene) -> None:
    outcome = run(reviewing(scene, None), ok())
    assert (outcome.review, need(scene)) == (None, None)


@pytest.mark.parametrize("reply", [ok(), status(400)])
def test_always_means_the_models_answer_and_the_fallbacks(scene: Scene, reply: Any) -> None:
    outcome = run(reviewing(scene, Required()), reply)
    assert (outcome.review, outcome.record, need(scene)) == ("pending", 1, PENDING)


def test_without_a_ledger_the_outcome_says_so_all_the_same(scene: Scene) -> None:
    scene.ledger = None
    assert run(reviewing(scene, Required()), ok()).review == "pending"


@pytest.mark.parametrize(
    ("when", "reply", "required"),
    [(by_ai, ok(), True), (by_ai, status(400), False), (degraded, ok(), False), (degraded, status(400), True)],
)
def test_a_condition_decides_by_what_the_caller_gets(scene: Scene, when: Any, reply: Any, required: bool) -> None:
    outcome = run(reviewing(scene, Required(when=when)), reply)
    assert outcome.review == ("pending" if required else None)
    assert need(scene) == ReviewNeed(required, "when")


def test_a_condition_is_handed_the_request_and_the_outcome(scene: Scene) -> None:
    seen: list[Any] = []

    def when(request: Any, outcome: Outcome[Any]) -> bool:
        seen.append((request.description, outcome.value.grade, outcome.source.name, outcome.review))
        return outcome.value.grade > 5

    assert run(reviewing(scene, Required(when=when)), ok(7)).review == "pending"
    assert seen == [("bolt", 7, "first", None)]


@pytest.mark.parametrize("share", [1e-9, 1.0])
def test_a_sample_is_drawn_by_the_calls_identifier(scene: Scene, share: float) -> None:
    outcome = run(reviewing(scene, Required(sample=share)), ok())
    assert need(scene) == ReviewNeed(sampled(outcome.call_id, share), "sample", share)
    assert (outcome.review == "pending") is (share == 1.0)


def test_the_sample_is_of_those_that_the_condition_leaves(scene: Scene) -> None:
    run(reviewing(scene, Required(when=by_ai, sample=1e-9)), ok())
    assert need(scene) == ReviewNeed(True, "when")
    scene.ledger = StubLedger()
    assert run(reviewing(scene, Required(when=degraded, sample=1.0)), ok()).review == "pending"
    assert need(scene) == ReviewNeed(True, "sample", 1.0)


class Unforeseen(Exception):
    pass


def raises(request: Any, outcome: Any) -> bool:
    raise Unforeseen("with data in it")


@pytest.mark.parametrize(
    ("when", "error"),
    [
        (raises, "Unforeseen"),
        (lambda request, outcome: None, "TypeError"),
        (lambda request, outcome: "no", "TypeError"),
    ],
)
@pytest.mark.parametrize("reply", [ok(), status(400)])
def test_after_a_bug_in_the_condition_a_person_looks(scene: Scene, when: Any, error: str, reply: Any) -> None:
    outcome = run(reviewing(scene, Required(when=when, sample=1e-9)), reply)
    assert outcome.review == "pending"
    assert outcome.by_ai is (reply.status == 200)  # it costs nobody the answer
    assert need(scene) == ReviewNeed(True, "when", None, error)
    (told,) = bugs(scene)
    assert (told["where"], told["error"], told["call_id"]) == ("review", error, outcome.call_id)
    assert "data" not in str(told)


@pytest.mark.parametrize("reply", [ok(), status(400)])
def test_where_bugs_are_loud_it_raises(scene: Scene, reply: Any) -> None:
    scene.on_bug = "raise"
    with pytest.raises(CapabilityBug, match="Unforeseen"):
        run(reviewing(scene, Required(when=raises)), reply)
    assert scene.ledger is not None
    (end,) = scene.ledger.completed
    assert (end.outcome, end.review, end.response) == ("failed", None, None)


def test_whoever_stops_the_program_in_a_condition_stops_it(scene: Scene) -> None:
    def when(request: Any, outcome: Any) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(reviewing(scene, Required(when=when)), ok())


class MutableGrade(Capability[Any, Mutable | Referral]):
    """Which grade?"""

    name = "grade-item"

    def fallback(self, request: Any) -> Mutable | Referral:
        return Referral(reason="unsure")


def test_a_condition_changes_nothing(scene: Scene) -> None:
    def when(request: Any, outcome: Outcome[Any]) -> bool:
        outcome.value.grade = 0
        return True

    outcome = run(reviewing(scene, Required(when=when), MutableGrade), ok(7))
    assert outcome.value == Mutable(grade=7)
    assert scene.ledger is not None
    assert scene.ledger.completed[0].response == b'{"grade":7}'


def test_a_referral_waits_for_its_person(scene: Scene) -> None:
    outcome = run(reviewing(scene, Required(), MutableGrade), status(400))
    assert isinstance(outcome.value, Referral)
    assert outcome.review == "pending"


class Failing(GradeItem):
    name = "grade-item"

    def fallback(self, request: Any) -> Any:
        raise LookupError


def test_where_nobody_answered_there_is_nothing_to_review(scene: Scene) -> None:
    with pytest.raises(FallbackFailed):
        run(reviewing(scene, Required(), Failing), status(400))
    assert need(scene) is None


def test_a_trial_that_runs_on_by_itself_has_nobodys_answer(scene: Scene) -> None:
    scene.adapters[0].breaker.to_trial("unblocked", 0)
    reviewing(scene, Required())
    simulation = Simulation(lambda effect, now: (4 * SECOND, ok()), scene.clock)
    caller = simulation.start(scene.call(deadline=2 * SECOND).run(), at=5 * SECOND)
    simulation.run()
    assert scene.ledger is not None
    theirs, trial = sorted(scene.ledger.completed, key=lambda each: not each.degraded)
    assert caller.value is not None
    assert caller.value.review == "pending"
    assert (theirs.review, trial.degraded, trial.review) == (PENDING, False, ReviewNeed(False, "trial"))


def late(scene: Scene) -> Any:
    """An end that isn't durable in time, though the writer has it."""
    scene.ledger = StubLedger(lambda n, record: None if isinstance(record, CallCompleted) else Recorded(n, bytes(32)))
    simulation = Simulation(scripted([(2 * SECOND, ok(7))]), scene.clock)
    running = simulation.start(scene.call().run(), at=scene.clock.now)
    simulation.at(scene.clock.now + int(2.5 * SECOND), lambda: setattr(scene.ledger.tickets[-1], "taken", True))  # type: ignore[union-attr]
    simulation.run()
    return running


def test_an_amendment_says_it_of_what_the_caller_really_got(scene: Scene) -> None:
    running = late(reviewing(scene, Required(when=degraded)))
    assert scene.ledger is not None
    (amended,) = scene.ledger.of(CallAmended)
    assert scene.ledger.completed[0].review == ReviewNeed(False, "when")
    assert amended.review == ReviewNeed(True, "when")
    assert running.value.review == "pending"


def test_a_refused_calls_amendment_has_nothing_to_review(scene: Scene) -> None:
    scene.on_ledger_failure = "refuse"
    running = late(reviewing(scene, Required()))
    assert isinstance(running.error, LedgerUnavailable)
    assert scene.ledger is not None
    (amended,) = scene.ledger.of(CallAmended)
    assert amended.review is None
