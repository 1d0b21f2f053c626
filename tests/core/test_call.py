"""One call, in virtual time: what it asks, what it answers, what it leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.context import CallContext
from failsoft.core.effects import Recorded, Unrecorded
from failsoft.core.evidence import CallAmended, CallStarted
from failsoft.core.route import NoBlocks, Refusal
from failsoft.errors import CapabilityBug, FallbackFailed, LedgerUnavailable
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import Simulation
from failsoft.prompt import Prompt
from tests.core.scripted import SECOND, Grade, GradeItem, Item, Scene, StubLedger, ok, scripted, status, traced


def run(scene: Scene, *replies: Any, **options: Any) -> Any:
    return Simulation(scripted(replies), scene.clock).drive(scene.call(**options).run())


def reasons(outcome: Any) -> list[tuple[str, str]]:
    return [(each.adapter, each.reason) for each in outcome.passed_over]


@pytest.fixture
def scene() -> Scene:
    scene = Scene(ledger=StubLedger())
    scene.add("first")
    return scene


def test_an_accepted_answer_is_the_outcome_with_its_source(scene: Scene) -> None:
    outcome = run(scene, ok(5))
    assert outcome.value == Grade(grade=5)
    assert outcome.by_ai
    assert not outcome.degraded
    assert (outcome.source.kind, outcome.source.name, outcome.source.attempt) == ("adapter", "first", 1)
    assert outcome.served.model == "m-1"
    assert outcome.record == 1
    assert len(outcome.call_id) == 36


def test_the_start_is_durable_before_a_provider_is_asked_and_the_end_before_the_answer(scene: Scene) -> None:
    trace: list[Any] = []
    Simulation(scripted([ok()]), scene.clock).drive(traced(scene.call().run(), trace))
    assert [kind for kind, _ in trace] == ["Append", "Exchange", "Append"]


def test_without_adapters_the_fallback_answers_and_says_so() -> None:
    outcome = run(Scene())
    assert outcome.value == Grade(grade=4)
    assert outcome.degraded
    assert not outcome.by_ai
    assert outcome.source.kind == "fallback"
    assert outcome.record is None


def test_a_retryable_fault_is_tried_again(scene: Scene) -> None:
    outcome = run(scene, status(500), ok(5))
    assert outcome.source.attempt == 2
    assert reasons(outcome) == [("first", "server_error")]


def test_attempts_are_limited(scene: Scene) -> None:
    outcome = run(scene, status(500), status(500), status(500))
    assert reasons(outcome) == [("first", "server_error")] * 3
    assert outcome.degraded


def test_after_a_timeout_another_adapter_is_asked_instead_of_the_same_again(scene: Scene) -> None:
    scene.add("second")
    outcome = run(scene, (60 * SECOND, ok()), ok(6))
    assert outcome.source.name == "second"
    assert reasons(outcome) == [("first", "attempt_timeout")]


def test_a_hanging_first_adapter_leaves_the_second_its_share(scene: Scene) -> None:
    scene.add("second")
    run(scene, (60 * SECOND, ok()), ok(6))
    assert scene.clock.now < 5 * SECOND


def test_a_stale_connection_is_tried_again_at_once(scene: Scene) -> None:
    trace: list[Any] = []
    replies = scripted([Fault(FaultKind.STALE_CONNECTION), ok()])
    Simulation(replies, scene.clock).drive(traced(scene.call().run(), trace))
    assert [kind for kind, _ in trace] == ["Append", "Exchange", "Exchange", "Append"]


class Blocking(NoBlocks):
    """Blocks its adapter from the second look on."""

    def __init__(self) -> None:
        self.looks = 0

    def adapter(self, name: str, now: int) -> Refusal | None:
        self.looks += 1
        return ("blocked", "by jdoe") if self.looks > 1 else None


@pytest.mark.parametrize("recorded", [False, True])
def test_who_is_blocked_meanwhile_isnt_asked_again(recorded: bool) -> None:
    """A look that nothing was waited for since is enough; after any wait there's another, before each attempt."""
    scene = Scene(ledger=StubLedger() if recorded else None, blocks=Blocking())
    scene.add("first")
    outcome = run(scene, status(500), ok())
    wanted = [("first", "blocked")] if recorded else [("first", "server_error"), ("first", "blocked")]
    assert reasons(outcome) == wanted
    assert outcome.passed_over[-1].detail == "by jdoe"


def test_a_stale_connection_is_tried_again_once_and_free(scene: Scene) -> None:
    stale = Fault(FaultKind.STALE_CONNECTION)
    assert run(scene, stale, ok()).by_ai
    assert (
        reasons(run(scene, Fault(FaultKind.STALE_CONNECTION), Fault(FaultKind.STALE_CONNECTION)))
        == [("first", "stale_connection")] * 2
    )
    assert scene.adapters[0].breaker.snapshot(scene.clock.now).failures == 0


def test_a_429_throttles_and_never_counts_as_failure(scene: Scene) -> None:
    outcome = run(scene, status(429, **{"retry-after": "30"}))
    assert reasons(outcome) == [("first", "rate_limited")]
    assert scene.adapters[0].breaker.snapshot(scene.clock.now).failures == 0
    assert reasons(run(scene)) == [("first", "throttled")]


def test_a_short_hint_is_waited_for_where_nobody_else_is_left(scene: Scene) -> None:
    outcome = run(scene, status(429, **{"retry-after": "1"}), ok())
    assert outcome.by_ai
    assert scene.clock.now > SECOND


def test_a_bad_credential_latches_and_isnt_asked_again(scene: Scene) -> None:
    run(scene, status(401))
    assert reasons(run(scene)) == [("first", "latched")]


def test_an_open_breaker_leads_straight_to_the_fallback(scene: Scene) -> None:
    for _ in range(2):
        run(scene, *[status(500)] * 3)
    assert reasons(run(scene)) == [("first", "open")]


def test_another_model_than_the_pinned_is_refused_and_both_names_are_told(scene: Scene) -> None:
    outcome = run(scene, ok(model="m-2"))
    assert reasons(outcome) == [("first", "served_model_mismatch")]
    assert '"m-1"' in outcome.passed_over[0].detail
    assert '"m-2"' in outcome.passed_over[0].detail
    assert "pin.mismatch" in scene.events.names


def test_another_model_is_only_recorded_where_the_adapter_says_so() -> None:
    scene = Scene()
    scene.add("first", on_mismatch="record")
    assert run(scene, ok(model="m-2")).by_ai


def test_a_schema_invalid_answer_is_a_fault_without_the_value_in_it(scene: Scene) -> None:
    outcome = run(scene, ok().__class__(200, {}, b'{"grade": "secret text"}'))
    assert reasons(outcome) == [("first", "schema_invalid")]
    assert "secret" not in outcome.passed_over[0].detail
    assert scene.adapters[0].breaker.snapshot(scene.clock.now).failures == 0


def test_an_unacceptable_answer_isnt_used(scene: Scene) -> None:
    assert reasons(run(scene, ok(-1))) == [("first", "unacceptable")]


def test_a_label_that_the_adapter_doesnt_list_keeps_the_call_away(scene: Scene) -> None:
    scene.context = CallContext(labels=frozenset({"CUI"}))
    cleared = scene.add("cleared", labels=frozenset({"CUI", "public"}))
    outcome = run(scene, ok())
    assert outcome.source.name == cleared.name
    assert reasons(outcome) == [("first", "labels")]


class Broken(GradeItem):
    """It has bugs."""

    where = ""

    def prompt(self, request: Item) -> Prompt:
        if self.where == "prompt":
            raise KeyError("x")
        if self.where == "unaskable":
            raise ValueError("not this one")
        if self.where == "type":
            return "text"  # type: ignore[return-value]
        return super().prompt(request)

    def accept(self, request: Item, response: Grade) -> None:
        if self.where == "accept":
            raise KeyError("x")

    def fallback(self, request: Item) -> Grade:
        if self.where == "fallback":
            raise KeyError("x")
        if self.where == "wrong":
            return "no grade"  # type: ignore[return-value]
        return Grade(grade=1)


def broken(where: str, **options: Any) -> Scene:
    capability = Broken()
    capability.where = where
    scene = Scene(capability=capability, ledger=StubLedger(), **options)
    scene.add("first")
    return scene


@pytest.mark.parametrize("where", ["prompt", "type", "accept"])
def test_a_capability_bug_is_loud_and_the_fallback_answers(where: str) -> None:
    scene = broken(where)
    assert run(scene, ok()).value == Grade(grade=1)
    assert "capability.bug" in scene.events.names
    assert scene.adapters[0].breaker.snapshot(scene.clock.now).failures == 0


@pytest.mark.parametrize("where", ["prompt", "accept"])
def test_under_tests_a_capability_bug_raises_and_is_on_record(where: str) -> None:
    scene = broken(where, on_bug="raise")
    with pytest.raises(CapabilityBug) as caught:
        run(scene, ok())
    assert isinstance(caught.value.__cause__, KeyError)
    assert scene.ledger is not None
    assert [each.outcome for each in scene.ledger.completed] == ["failed"]


def test_a_request_that_cant_be_put_to_a_model_goes_to_the_fallback_quietly() -> None:
    scene = broken("unaskable")
    assert reasons(run(scene)) == [("first", "no_prompt")]
    assert scene.events.names == ["fallback.used"]


@pytest.mark.parametrize("where", ["fallback", "wrong"])
def test_a_fallback_with_a_bug_raises_with_the_chain_of_causes(where: str) -> None:
    scene = broken(where)
    with pytest.raises(FallbackFailed, match="server_error") as caught:
        run(scene, *[status(500)] * 3)
    assert caught.value.__cause__ is not None
    assert scene.ledger is not None
    assert [each.outcome for each in scene.ledger.completed] == ["failed"]


# --- when the ledger can't record ---------------------------------------------------------------------------------------


def failing_from(n: int, reason: str | None = "disk full") -> StubLedger:
    return StubLedger(
        lambda i, _: Recorded(i, bytes(32)) if i < n else (None if reason is None else Unrecorded(reason))
    )


def test_a_start_that_has_no_time_to_be_recorded_isnt_laid_at_the_ledgers_door(scene: Scene) -> None:
    scene.ledger = StubLedger(lambda n, record: None)
    outcome = run(scene, deadline=100_000_000)
    assert reasons(outcome) == [("first", "no_time")]
    assert scene.ledger.lates == 0


def test_if_the_start_cant_be_recorded_ai_isnt_asked() -> None:
    scene = Scene(ledger=failing_from(0))
    scene.add("first")
    outcome = run(scene)
    assert reasons(outcome) == [("first", "ledger")]
    assert outcome.record is None


def test_under_refuse_nothing_is_asked_and_the_refusal_is_queued() -> None:
    scene = Scene(ledger=failing_from(0), on_ledger_failure="refuse")
    scene.add("first")
    with pytest.raises(LedgerUnavailable):
        run(scene)
    assert scene.ledger is not None
    assert [each.outcome for each in scene.ledger.completed] == ["refused"]


def test_under_continue_the_answer_comes_without_a_record() -> None:
    scene = Scene(ledger=failing_from(0), on_ledger_failure="continue")
    scene.add("first")
    outcome = run(scene, ok(5))
    assert outcome.by_ai
    assert outcome.record is None


def test_an_answer_whose_end_cant_be_recorded_is_discarded_for_the_fallback() -> None:
    scene = Scene(ledger=failing_from(1, None))
    scene.add("first")
    outcome = run(scene, ok(5))
    assert outcome.value == Grade(grade=4)
    assert outcome.passed_over[-1].billed
    assert scene.ledger is not None
    assert scene.ledger.lates == 1
    assert [each.source.kind for each in scene.ledger.completed] == ["fallback"]


def test_a_record_that_was_taken_already_is_amended() -> None:
    scene = Scene(ledger=failing_from(1, "unknown outcome"))
    scene.add("first")
    outcome = run(scene, ok(5))
    assert outcome.degraded
    assert scene.ledger is not None
    [amended] = scene.ledger.of(CallAmended)
    assert amended.source.kind == "fallback"


def test_under_refuse_an_answer_that_cant_be_recorded_isnt_given() -> None:
    scene = Scene(ledger=failing_from(1, None), on_ledger_failure="refuse")
    scene.add("first")
    with pytest.raises(LedgerUnavailable):
        run(scene, ok(5))
    assert scene.ledger is not None
    assert [each.outcome for each in scene.ledger.completed] == ["refused"]


def test_a_ledger_known_to_fail_costs_no_call_a_wait() -> None:
    scene = Scene(ledger=failing_from(0, None))
    scene.add("first")
    run(scene)
    before = scene.clock.now
    run(scene)
    assert before >= SECOND
    assert scene.clock.now == before


def test_with_nobody_to_ask_only_the_end_is_waited_for() -> None:
    scene = Scene(ledger=StubLedger())
    outcome = run(scene)
    assert outcome.record == 1
    assert scene.ledger is not None
    assert len(scene.ledger.of(CallStarted)) == 1


def test_a_ledger_that_fails_in_between_makes_the_fallback_speak() -> None:
    ledger = StubLedger()
    scene = Scene(ledger=ledger)
    scene.add("first")
    call = scene.call()

    def respond(effect: Any, now: int) -> Any:
        ledger.healthy = False
        return 1, ok(5)

    outcome = Simulation(respond, scene.clock).drive(call.run())
    assert outcome.degraded
    assert [each.source.kind for each in ledger.completed] == ["fallback"]


# --- queues -------------------------------------------------------------------------------------------------------------


def test_a_full_bulkhead_is_waited_for_and_the_slot_handed_over() -> None:
    scene = Scene()
    adapter = scene.add("first", limit=1)
    simulation = Simulation(scripted([(SECOND, ok(1)), (SECOND, ok(2))]), scene.clock)
    first, second = simulation.start(scene.call().run()), simulation.start(scene.call().run())
    simulation.run()
    assert [first.value.value.grade, second.value.value.grade] == [1, 2]
    assert second.ended == 2 * SECOND
    assert adapter.bulkhead.in_use == 0


def test_who_waits_too_long_for_a_slot_gets_the_fallback() -> None:
    scene = Scene()
    adapter = scene.add("first", limit=1)
    adapter.bulkhead.try_enter()
    assert reasons(run(scene)) == [("first", "bulkhead_full")]
    assert adapter.bulkhead.waiting == 0


def test_where_the_queue_is_full_too_nobody_waits() -> None:
    scene = Scene()
    adapter = scene.add("first", limit=1, max_waiting=0)
    adapter.bulkhead.try_enter()
    assert reasons(run(scene)) == [("first", "bulkhead_full")]
    assert scene.clock.now == 0


def test_a_spent_deadline_still_reaches_the_fallback() -> None:
    scene = Scene()
    scene.add("first")
    assert reasons(run(scene, deadline=5_000_000)) == [("first", "no_time")]
