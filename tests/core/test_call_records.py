"""What a call leaves on record, to the field, and when it waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft import Capability, Referral
from failsoft.core.effects import Append, Exchange, Recorded
from failsoft.core.evidence import CallAmended, CallCompleted, CallStarted
from failsoft.core.route import Refusal
from failsoft.errors import FallbackFailed, LedgerUnavailable
from failsoft.io.drive_simulated import Simulation
from tests.core.scripted import SECOND, Grade, GradeItem, Item, Scene, StubLedger, ok, scripted, status, traced
from tests.core.test_call import reasons, run


@pytest.fixture
def scene() -> Scene:
    scene = Scene(ledger=StubLedger())
    scene.clock.now = 1_000 * SECOND
    scene.add("first")
    return scene


def completed(scene: Scene) -> CallCompleted:
    assert scene.ledger is not None
    (one,) = scene.ledger.completed
    return one


def effects(scene: Scene, *replies: Any) -> list[str]:
    trace: list[tuple[Any, ...]] = []
    Simulation(scripted(replies), scene.clock).drive(traced(scene.call().run(), trace))
    return [kind for kind, _ in trace]


def test_a_start_says_what_is_asked_of_whom_and_how_long_it_has(scene: Scene) -> None:
    outcome = run(scene, ok())
    assert scene.ledger is not None
    (start,) = scene.ledger.of(CallStarted)
    assert (start.call_id, start.capability) == (outcome.call_id, "grade-item")
    assert (start.request, start.deadline_ms, start.route) == (b'{"description":"bolt"}', 8_000, ("first",))


def test_an_end_says_what_was_answered_by_whom_and_how_long_it_took(scene: Scene) -> None:
    run(scene, (3 * SECOND, ok(7)))
    end = completed(scene)
    assert (end.outcome, end.degraded, end.us, end.adapter_version) == ("answered", False, 3_000_000, "1")
    assert end.response == b'{"grade":7}'
    assert end.prompt is not None
    assert b"Which grade is it?" in end.prompt


def test_an_end_that_nobody_was_asked_for_holds_no_prompt_but_the_fallbacks_answer(scene: Scene) -> None:
    scene.adapters[0].latch.trip("gone", True, "call", scene.clock.now)
    assert effects(scene) == ["Append"]  # with nobody to ask, the record of the end is enough
    end = completed(scene)
    assert (end.degraded, end.prompt, end.response, end.adapter_version) == (True, None, b'{"grade":4}', None)


def test_a_refusing_policy_waits_for_the_start_though_nobody_can_be_asked(scene: Scene) -> None:
    scene.on_ledger_failure = "refuse"
    scene.adapters[0].latch.trip("gone", True, "call", scene.clock.now)
    assert effects(scene) == ["Append", "Append"]


def test_a_cancelled_call_has_nothing_to_show(scene: Scene) -> None:
    steps = scene.call().run()
    effect = next(steps)
    while isinstance(effect, Append):
        effect = steps.send(Recorded(0, bytes(32)))
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt())
    end = completed(scene)
    assert (end.outcome, end.source, end.response, end.adapter_version) == ("cancelled", None, None, None)
    assert end.attempts[0].fault == "cancelled"


def test_of_a_cancelled_call_only_what_was_under_way_was_broken_off_and_after_its_own_time(scene: Scene) -> None:
    simulation = Simulation(scripted([(SECOND, status(500)), (5 * SECOND, ok())]), scene.clock)
    running = simulation.start(scene.call().run(), scene.clock.now)
    simulation.at(scene.clock.now + 4 * SECOND, running.cancel)
    simulation.run()
    first, second = completed(scene).attempts
    assert (first.fault, first.us, second.fault) == ("server_error", 1_000_000, "cancelled")
    assert 0 < second.us < completed(scene).us - first.us


class Failing(GradeItem):
    name = "grade-item"

    def fallback(self, request: Item) -> Grade:
        raise LookupError


def test_a_failed_calls_end_is_waited_for_while_the_ledger_is_well(scene: Scene) -> None:
    scene.capability = Failing()
    with pytest.raises(FallbackFailed):
        effects(scene, status(400))
    end = completed(scene)
    assert (end.outcome, end.response, end.adapter_version) == ("failed", None, None)
    steps = scene.call().run()
    assert type(next(steps)) is Append
    assert type(steps.send(Recorded(0, bytes(32)))) is Exchange
    assert type(steps.send(status(400))) is Append
    with pytest.raises(FallbackFailed):
        steps.send(Recorded(1, bytes(32)))


def test_it_isnt_waited_for_while_the_ledger_is_down(scene: Scene) -> None:
    scene.capability, scene.on_ledger_failure = Failing(), "continue"
    assert scene.ledger is not None
    scene.ledger.healthy = False
    steps = scene.call().run()
    assert type(next(steps)) is Exchange
    with pytest.raises(FallbackFailed):
        steps.send(status(400))
    assert completed(scene).outcome == "failed"


def test_what_a_failed_fallback_returned_isnt_told() -> None:
    class Wrong(GradeItem):
        def fallback(self, request: Item) -> Any:
            return {"grade": "canary-4711"}

    with pytest.raises(FallbackFailed) as failed:
        run(Scene(capability=Wrong()))
    assert "grade" in str(failed.value)
    assert "canary" not in str(failed.value)


class Sinking(StubLedger):
    """Is well when a call begins, and down when it ends."""

    def submit(self, record: Any) -> Any:
        ticket = super().submit(record)
        self.healthy = False
        return ticket


@pytest.mark.parametrize("policy", ["fallback", "refuse", "continue"])
def test_an_end_that_cant_be_recorded_is_put_there_once_all_the_same(scene: Scene, policy: Any) -> None:
    scene.ledger, scene.on_ledger_failure = Sinking(), policy
    outcome: Any = None
    try:
        outcome = run(scene, ok(7))
    except LedgerUnavailable:
        assert policy == "refuse"
    end = completed(scene)
    expected = {
        "fallback": ("answered", True, b'{"grade":4}'),
        "refuse": ("refused", False, None),
        "continue": ("answered", False, b'{"grade":7}'),
    }
    assert (end.outcome, end.degraded, end.response) == expected[policy]
    assert end.adapter_version == ("1" if policy == "continue" else None)
    assert outcome is None or (outcome.record is None and outcome.by_ai == (policy == "continue"))


def test_an_amendment_says_what_was_spoken_and_when(scene: Scene) -> None:
    scene.ledger = StubLedger(lambda n, record: None if isinstance(record, CallCompleted) else Recorded(n, bytes(32)))
    simulation = Simulation(scripted([(2 * SECOND, ok(7))]), scene.clock)
    running = simulation.start(scene.call().run(), at=scene.clock.now)
    simulation.at(scene.clock.now + int(2.5 * SECOND), lambda: setattr(scene.ledger.tickets[-1], "taken", True))  # type: ignore[union-attr]
    simulation.run()
    assert running.value is not None
    assert running.value.degraded
    (amended,) = scene.ledger.of(CallAmended)
    assert (amended.degraded, amended.us, amended.response) == (True, 3_000_000, b'{"grade":4}')


def test_an_amendment_of_a_refused_call_holds_no_answer(scene: Scene) -> None:
    scene.on_ledger_failure = "refuse"
    scene.ledger = StubLedger(lambda n, record: None if isinstance(record, CallCompleted) else Recorded(n, bytes(32)))
    simulation = Simulation(scripted([(2 * SECOND, ok(7))]), scene.clock)
    running = simulation.start(scene.call().run(), at=scene.clock.now)
    simulation.at(scene.clock.now + int(2.5 * SECOND), lambda: setattr(scene.ledger.tickets[-1], "taken", True))  # type: ignore[union-attr]
    simulation.run()
    assert isinstance(running.error, LedgerUnavailable)
    (amended,) = scene.ledger.of(CallAmended)
    assert (amended.outcome, amended.source, amended.response) == ("refused", None, None)


def test_a_referral_is_called_one() -> None:
    class Referring(Capability[Item, Grade | Referral]):
        """Which grade is it?"""

        def fallback(self, request: Item) -> Grade | Referral:
            return Referral(reason="look at it")

    scene = Scene(ledger=StubLedger(), capability=Referring())
    run(scene)
    assert completed(scene).outcome == "referred"


def test_who_lost_a_race_stands_with_the_attempts_and_not_with_those_who_werent_asked() -> None:
    scene = Scene(ledger=StubLedger(), hedge_after=SECOND)
    for name in ("first", "second"):
        scene.add(name)
    outcome = run(scene, (3 * SECOND, ok(5)), (SECOND, ok(6)))
    assert reasons(outcome) == [("first", "hedge_lost")]
    assert completed(scene).passed_over == ()
    assert [each.fault for each in completed(scene).attempts] == ["cancelled", None]


def test_a_record_that_had_hardly_any_time_says_nothing_of_the_ledger(scene: Scene) -> None:
    scene.ledger = StubLedger(lambda n, record: None)
    outcome = run(scene, deadline=200_000_000)
    assert (reasons(outcome), scene.ledger.lates) == ([("first", "no_time")], 0)
    outcome = run(scene)
    assert scene.ledger.lates == 1
    assert reasons(outcome) == [("first", "ledger")]


@pytest.mark.parametrize(("ledger", "until"), [(True, 7_700), (False, 7_950)])
def test_time_is_kept_for_a_ledger_where_there_is_one(scene: Scene, ledger: bool, until: int) -> None:
    scene.ledger = StubLedger() if ledger else None
    begun = scene.clock.now
    steps = scene.call().run()
    effect = next(steps)
    if ledger:
        effect = steps.send(Recorded(0, bytes(32)))
    assert isinstance(effect, Exchange)
    assert effect.until - begun == until * 1_000_000
    steps.close()


def test_a_bug_of_the_driver_at_a_record_is_told_as_the_ledgers(scene: Scene) -> None:
    steps = scene.call().run()
    next(steps)
    assert type(steps.throw(LookupError("x"))) is Append  # of its end
    with pytest.raises(StopIteration) as ended:
        steps.send(Recorded(0, bytes(32)))
    assert reasons(ended.value.value) == [("first", "ledger")]
    told = [fields for name, fields in scene.events.events if name == "attempt.alert"]
    assert [(each["adapter"], each["fault"], each["error"]) for each in told] == [("the ledger", "bug", "LookupError")]


def test_a_prompt_that_is_none_is_the_capabilitys_bug_with_or_without_a_ledger() -> None:
    class Text(GradeItem):
        def prompt(self, request: Item) -> Any:
            return "Which grade is it?"

    scene = Scene(capability=Text())
    scene.add("first")
    assert reasons(run(scene)) == [("first", "no_prompt")]
    told = [fields for name, fields in scene.events.events if name == "capability.bug"]
    assert [(each["where"], each["error"]) for each in told] == [("prompt", "TypeError")]


def test_who_is_asked_alone_has_nobody_to_be_hedged_with() -> None:
    scene = Scene(hedge_after=SECOND)
    scene.add("first")
    assert run(scene, (3 * SECOND, ok(7))).by_ai


class BlockedSince:
    """One adapter, from the first second on."""

    def __init__(self, name: str) -> None:
        self.name = name

    def adapter(self, name: str, now: int) -> Refusal | None:
        return ("blocked", "by jdoe") if name == self.name and now >= SECOND else None

    def capability(self, name: str, now: int) -> Refusal | None:
        return None


def test_a_second_adapter_is_looked_at_again_when_its_turn_comes() -> None:
    scene = Scene(blocks=BlockedSince("second"))
    scene.add("first", attempts=1)
    scene.add("second")
    assert reasons(run(scene, (3 * SECOND, status(400)))) == [("first", "request_rejected"), ("second", "blocked")]


def test_a_third_is_looked_at_again_after_a_race() -> None:
    scene = Scene(blocks=BlockedSince("third"), hedge_after=SECOND)
    for name in ("first", "second", "third"):
        scene.add(name, attempts=1)
    outcome = run(scene, (3 * SECOND, status(400)), (SECOND // 2, status(400)))
    assert reasons(outcome)[-1] == ("third", "blocked")


def test_a_prompt_that_nobody_was_given_isnt_on_record(scene: Scene) -> None:
    bulkhead = scene.adapters[0].bulkhead = type(scene.adapters[0].bulkhead)(1, 0)
    assert bulkhead.try_enter()
    assert reasons(run(scene)) == [("first", "bulkhead_full")]
    assert completed(scene).prompt is None


def test_a_cancel_while_the_end_is_written_leaves_what_was_answered(scene: Scene) -> None:
    steps = scene.call().run()
    answers: list[Any] = [Recorded(0, bytes(32)), ok(7)]
    effect = next(steps)
    for answer in answers:
        effect = steps.send(answer)
    assert type(effect) is Append
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt())
    assert completed(scene).outcome == "answered"
