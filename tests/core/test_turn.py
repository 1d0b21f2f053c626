"""One adapter's turn: what its guards learn, what's put on record of an attempt, and when it isn't asked (again)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from failsoft.core.breaker import Breaker, Cause, State
from failsoft.core.effects import Ask, CannotAsk, Exchange, HttpReply, HttpRequest, Reply, Sleep, Tokens, Unusable
from failsoft.core.evidence import Attempt
from failsoft.core.latch import Latch
from failsoft.core.limits import Limits, LimitSettings
from failsoft.core.turn import _worth_another
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import Simulation
from failsoft.outcome import Served
from tests.core.scripted import SECOND, GradeItem, Scene, StubCodec, StubLedger, ok, scripted, status
from tests.core.test_call import reasons, run

MINUTE = 60 * SECOND


def scene_with(*names: str, **options: Any) -> Scene:
    scene = Scene()
    for name in names or ("first",):
        scene.add(name, **options)
    return scene


def attempts(scene: Scene) -> tuple[Attempt, ...]:
    assert scene.ledger is not None
    return tuple(scene.ledger.completed[-1].attempts)


def counted(scene: Scene) -> tuple[int, int]:
    seen = scene.adapters[0].breaker.snapshot(scene.clock.now)
    assert seen.in_flight == 0
    return seen.calls, seen.failures


def alerts(scene: Scene) -> list[tuple[str, str]]:
    return [(told["adapter"], told["fault"]) for name, told in scene.events.events if name == "attempt.alert"]


class Uncertain(StubCodec):
    """A 404 may be about the model or about this request; a 422 is a refusal to answer."""

    def decode(self, reply: HttpReply) -> Reply | Unusable:
        if reply.status == 404:
            return Unusable(Fault(FaultKind.NOT_FOUND, status=404, certain=False), Served())
        if reply.status == 422:
            return Unusable(Fault(FaultKind.REFUSED, status=200), Served())
        return super().decode(reply)


class Particular(StubCodec):
    """A key that isn't accepted, a filter, a status that nobody knows."""

    def decode(self, reply: HttpReply) -> Reply | Unusable:
        kinds = {401: FaultKind.UNAUTHENTICATED, 451: FaultKind.FILTERED, 404: FaultKind.MODEL_NOT_FOUND}
        if reply.status in kinds:
            return Unusable(Fault(kinds[reply.status], status=reply.status), Served())
        if reply.status == 599:
            return Unusable(Fault(FaultKind.UNEXPECTED_STATUS, status=599, unknown=True), Served())
        return super().decode(reply)


class TestWhatAFaultEnds:
    def test_a_refused_key_stops_everybody_who_uses_it(self) -> None:
        scene = Scene()
        first = scene.add("first", codec=Particular())
        scene.add("second", credential=first.credential)
        scene.add("third")
        outcome = run(scene, status(401), ok())
        assert reasons(outcome) == [("first", "unauthenticated"), ("second", "latched")]
        assert outcome.source.name == "third"

    def test_a_model_that_isnt_there_stops_its_adapter_alone(self) -> None:
        scene, credential = Scene(), Latch(random.Random(1))
        scene.add("first", codec=Particular(), credential=credential)
        scene.add("second", credential=credential)
        outcome = run(scene, status(404), ok())
        assert reasons(outcome) == [("first", "model_not_found")]
        assert outcome.source.name == "second"

    def test_what_one_filters_isnt_offered_to_the_next(self) -> None:
        scene = scene_with("first", "second", codec=Particular())
        outcome = run(scene, status(451))
        assert reasons(outcome) == [("first", "filtered")]
        assert outcome.source.kind == "fallback"

    @pytest.mark.parametrize("code", [400, 500, 503])
    def test_a_status_that_everybody_knows_isnt_told(self, code: int) -> None:
        scene = scene_with(attempts=1)
        run(scene, status(code))
        assert "status.unknown" not in scene.events.names

    def test_a_status_that_nobody_knows_is_told(self) -> None:
        scene = scene_with(codec=Particular())
        run(scene, status(599))
        told = [fields for name, fields in scene.events.events if name == "status.unknown"]
        assert [(each["adapter"], each["status"]) for each in told] == [("first", 599)]


class TestTheGuards:
    def test_learn_of_an_answer(self) -> None:
        scene = scene_with()
        run(scene, ok())
        assert counted(scene) == (1, 0)

    def test_learn_of_a_trials_answer(self) -> None:
        scene = scene_with()
        breaker = scene.adapters[0].breaker
        breaker.to_trial("a test", 0)
        for _ in range(10):
            run(scene, ok())
        assert breaker.snapshot(scene.clock.now).state is State.CLOSED

    @pytest.mark.parametrize("answer", [ok(), status(422)], ids=["an answer", "a refusal"])
    def test_forget_a_suspicion_when_the_provider_answers(self, answer: HttpReply) -> None:
        scene = scene_with(codec=Uncertain())
        for reply in (status(404), answer, status(404), ok()):
            outcome = run(scene, reply)
        assert outcome.by_ai

    def test_hold_a_suspicion_of_two_calls_without_one_between(self) -> None:
        scene = scene_with(codec=Uncertain())
        for reply in (status(404), status(404)):
            run(scene, reply)
        assert reasons(run(scene)) == [("first", "latched")]

    @pytest.mark.parametrize("certain", [True, False])
    def test_take_a_failure_for_no_answer(self, certain: bool) -> None:
        scene = scene_with(codec=Uncertain(), attempts=1)
        for reply in (status(404), status(500), status(404)):
            run(scene, reply)
        assert reasons(run(scene)) == [("first", "latched")]
        if certain:  # nor does one that a latch's trial met open it again
            scene.clock.now += 400 * SECOND
            run(scene, status(500))
            assert reasons(run(scene)) == [("first", "latched")]

    def test_quicken_the_pace_with_each_answer(self) -> None:
        scene = scene_with()
        throttle = scene.adapters[0].throttle
        throttle.throttled(0, SECOND)
        scene.clock.now = 2 * SECOND
        for _ in range(7):
            assert run(scene, (1, ok())).by_ai
            scene.clock.now += SECOND
        assert throttle.free  # by time alone it would take 35 s

    def test_learn_of_a_time_out_that_had_its_fair_share(self) -> None:
        scene = scene_with(attempts=1)
        assert reasons(run(scene, (MINUTE, ok()))) == [("first", "attempt_timeout")]
        assert counted(scene) == (1, 1)

    def test_learn_nothing_of_one_that_its_callers_deadline_cut(self) -> None:
        scene = scene_with(attempts=1)
        assert reasons(run(scene, (MINUTE, ok()), deadline=SECOND)) == [("first", "attempt_timeout")]
        assert counted(scene)[1] == 0

    def test_learn_of_one_at_the_adapters_own_cap_however_short(self) -> None:
        scene = scene_with(attempts=1, attempt_cap=SECOND)
        scene.clock.now = MINUTE
        assert reasons(run(scene, (MINUTE, ok()))) == [("first", "attempt_timeout")]
        assert counted(scene) == (1, 1)

    def test_ask_nobody_for_a_trial_whose_deadline_is_too_short_for_one(self) -> None:
        scene = scene_with()
        scene.adapters[0].breaker.to_trial("a test", 0)
        (passed,) = run(scene, deadline=3 * SECOND // 10).passed_over
        assert (passed.reason, passed.detail) == ("open", "deadline_too_short")

    def test_let_whoever_has_the_configured_deadline_be_a_trial(self) -> None:
        scene = scene_with()
        scene.deadline = 3 * SECOND // 10
        scene.adapters[0].breaker.to_trial("a test", 0)
        assert run(scene, ok()).by_ai


class TestTheRecord:
    @pytest.mark.parametrize(
        ("met", "billed"),
        [
            (Fault(FaultKind.CONNECT_REFUSED), False),
            (Fault(FaultKind.TLS_INVALID), False),
            (Fault(FaultKind.CONNECTION_LOST), True),
            (HttpReply(200, {"model": "m-1"}, b"{}"), True),
            (status(400), False),
            (status(500), False),
        ],
        ids=["refused", "tls", "lost", "misfit", "400", "500"],
    )
    def test_says_what_may_be_billed_and_how_long_it_took(self, met: Any, billed: bool) -> None:
        scene = scene_with(attempts=1)
        scene.ledger = StubLedger()
        (passed,) = run(scene, (SECOND * 3 // 2, met)).passed_over
        assert (passed.elapsed, passed.billed) == (1.5, billed)
        (attempt,) = attempts(scene)
        assert (attempt.n, attempt.us, attempt.fault) == (1, 1_500_000, passed.reason)

    def test_counts_no_wait_for_a_quota_as_time_of_the_attempt(self) -> None:
        scene = scene_with(limits=Limits(LimitSettings(requests_per_minute=1)))
        scene.deadline = 2 * MINUTE
        run(scene, ok())
        scene.ledger = StubLedger()
        run(scene, ok())
        assert scene.clock.now > MINUTE
        assert [attempt.us for attempt in attempts(scene)] == [100_000]

    def test_has_the_status_of_a_reply_that_the_transport_gave_up(self) -> None:
        scene = scene_with(attempts=1)
        scene.ledger = StubLedger()
        run(scene, Fault(FaultKind.TOO_LARGE, status=200))
        assert [attempt.status for attempt in attempts(scene)] == [200]

    @pytest.mark.parametrize(
        ("met", "loud"),
        [
            (Fault(FaultKind.REDIRECT, status=302), True),
            (Fault(FaultKind.ADAPTER_RAISED, error="TypeError"), True),
            (Fault(FaultKind.ADAPTER_RAISED), False),
            (status(500), False),
        ],
        ids=["redirect", "a slip", "raised", "500"],
    )
    def test_goes_with_an_alert_where_somebody_must_look(self, met: Any, loud: bool) -> None:
        scene = scene_with(attempts=1)
        (passed,) = run(scene, met).passed_over
        assert alerts(scene) == ([("first", passed.reason)] if loud else [])

    def test_has_an_alert_that_names_the_slip_behind_it(self) -> None:
        scene = scene_with(attempts=1)
        run(scene, Fault(FaultKind.ADAPTER_RAISED, error="TypeError"))
        assert [fields["error"] for name, fields in scene.events.events if name == "attempt.alert"] == ["TypeError"]


def test_a_permit_is_for_as_long_as_the_attempt_may_take_whatever_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_with()
    lasting: list[int] = []
    acquire = Breaker.acquire

    def heard(self: Breaker, now: int, timeout_ns: int, **more: Any) -> Any:
        lasting.append(timeout_ns)
        return acquire(self, now, timeout_ns, **more)

    monkeypatch.setattr(Breaker, "acquire", heard)
    run(scene, ok())
    scene.clock.now = 1_000 * SECOND
    run(scene, ok())
    assert lasting[0] == lasting[1]
    assert lasting[0] <= scene.deadline


@pytest.mark.parametrize("kind", [each for each in FaultKind if Fault(each).treatment.retry == "no"])
def test_what_is_never_tried_again_is_worth_no_other_attempt_of_the_last_adapter(kind: FaultKind) -> None:
    assert not _worth_another(Fault(kind), False, 1)


class TestAnotherAttempt:
    def test_is_not_a_first_one(self) -> None:
        scene = scene_with()
        run(scene, status(500), ok())
        run(scene, ok())
        assert scene.adapters[0].budget.first_attempts == 2

    def test_is_for_a_blip(self) -> None:
        scene = scene_with("first", "second")
        outcome = run(scene, status(500), ok())
        assert (outcome.source.name, reasons(outcome)) == ("first", [("first", "server_error")])

    @pytest.mark.parametrize(("good", "answers"), [(7, "second"), (8, "second"), (9, "first")])
    def test_isnt_made_where_others_failed_too_and_somebody_else_can_be_asked(self, good: int, answers: str) -> None:
        scene = scene_with("first", "second")
        for _ in range(good):
            run(scene, ok())
        one = scene.adapters.pop()
        scene.adapters[0].attempts = 1
        run(scene, status(500))  # one failure that nobody could repeat
        scene.adapters.append(one)
        scene.adapters[0].attempts = 3
        assert run(scene, status(500), ok()).source.name == answers  # the second failure, of two more calls than `good`

    def test_isnt_made_at_one_that_was_open_lately_where_somebody_else_can_be_asked(self) -> None:
        scene = scene_with("first", "second")
        breaker = scene.adapters[0].breaker
        breaker.trip(Cause.RATE, 0)
        breaker.to_trial("test", 0)
        for _ in range(9):
            run(scene, ok())
        assert run(scene, status(500), ok()).source.name == "second"
        scene.clock.now += 2 * MINUTE
        run(scene, ok())
        assert run(scene, status(500), ok()).source.name == "first"

    def test_is_made_all_the_same_where_nobody_else_can_be_asked(self) -> None:
        scene = scene_with()
        scene.adapters[0].attempts = 1
        run(scene, status(500))
        scene.adapters[0].attempts = 3
        assert run(scene, status(500), ok()).by_ai

    def test_of_what_says_nothing_of_its_health_is_made_all_the_same(self) -> None:
        scene = scene_with("first", "second")
        scene.adapters[0].attempts = 1
        for _ in range(2):
            run(scene, status(500), ok())
        scene.adapters[0].attempts = 3
        outcome = run(scene, Fault(FaultKind.EMPTY_REPLY, status=200), ok())
        assert (outcome.source.name, reasons(outcome)) == ("first", [("first", "empty_reply")])

    @pytest.mark.parametrize("code", [429, 503])
    def test_isnt_waited_for_where_somebody_else_can_be_asked(self, code: int) -> None:
        scene = scene_with("first", "second")
        outcome = run(scene, status(code, **{"retry-after": "1"}), ok())
        assert outcome.source.name == "second"
        assert len(outcome.passed_over) == 1
        assert scene.clock.now == SECOND // 5


class TestAQuota:
    def test_isnt_waited_for_where_somebody_else_can_be_asked(self) -> None:
        scene = Scene(deadline=3 * MINUTE)
        scene.add("first", limits=Limits(LimitSettings(requests_per_minute=1)))
        scene.add("second")
        run(scene, ok())
        outcome = run(scene, ok())
        assert (outcome.source.name, reasons(outcome)) == ("second", [("first", "limited")])
        assert scene.clock.now == SECOND // 5

    def test_that_one_request_exceeds_is_no_reason_to_wait(self) -> None:
        scene = scene_with(limits=Limits(LimitSettings(tokens_per_minute=1)))
        (passed,) = run(scene).passed_over
        assert (passed.reason, passed.detail) == ("limited", "tokens_per_minute")

    def test_learns_what_a_reply_says_it_used(self) -> None:
        class Stating(StubCodec):
            def decode(self, reply: HttpReply) -> Reply | Unusable:
                return Reply(reply.body, Served("m-1"), Tokens(int(reply.headers["used"]), 0))

        limits = Limits(LimitSettings(tokens_per_day=5_000))
        scene = scene_with(codec=Stating(), limits=limits)
        run(scene, HttpReply(200, {"used": "4000"}, b'{"grade": 5}'))
        assert reasons(run(scene)) == [
            ("first", "limited")
        ]  # without that, the estimate would leave room for four more

    def test_lets_nobody_through_whose_wait_met_a_bug_of_the_driver(self) -> None:
        scene = scene_with(limits=Limits(LimitSettings(requests_per_minute=1)))
        scene.deadline = 3 * MINUTE
        run(scene, ok())
        steps = scene.call().run()
        assert type(next(steps)) is Sleep
        with pytest.raises(StopIteration) as ended:
            steps.throw(LookupError("x"))
        assert ended.value.value.degraded
        assert alerts(scene) == [("first", "bug")]


def test_a_caller_who_leaves_says_nothing_of_the_provider_however_long_it_took() -> None:
    scene = scene_with()
    steps = scene.call().run()
    assert type(next(steps)) is Exchange
    scene.clock.now += MINUTE
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt)
    assert counted(scene) == (0, 0)


def test_who_has_no_time_left_doesnt_queue() -> None:
    """Nothing is started that has less than `FLOOR` to run."""
    scene = scene_with(limit=1)
    scene.clock.now = MINUTE
    scene.adapters[0].bulkhead.try_enter()
    assert reasons(run(scene, deadline=5_000_000)) == [("first", "no_time")]


class TestWhatCantFinish:
    """A provider whose answers take 2 s, as ten of them showed."""

    @pytest.fixture
    def scene(self) -> Scene:
        scene = scene_with(limit=1)
        for _ in range(10):
            run(scene, (2 * SECOND, ok()))
        return scene

    def test_isnt_started(self, scene: Scene) -> None:
        outcome = run(scene, deadline=SECOND)
        assert reasons(outcome) == [("first", "no_time")]
        assert scene.adapters[0].bulkhead.in_use == 0

    def test_is_started_where_half_of_the_answers_would_come_in_time(self, scene: Scene) -> None:
        assert run(scene, (2 * SECOND, ok()), deadline=5 * SECOND // 2).by_ai

    def test_is_started_where_no_answer_is_fresh(self, scene: Scene) -> None:
        scene.clock.now += 2 * MINUTE
        assert run(scene, (SECOND // 2, ok()), deadline=SECOND).by_ai

    def test_is_started_where_a_call_usually_has_no_more(self, scene: Scene) -> None:
        scene.deadline = SECOND  # an adapter that's too slow for its capability is tried, and opens its breaker
        assert reasons(run(scene, (2 * SECOND, Fault(FaultKind.ATTEMPT_TIMEOUT)))) == [("first", "attempt_timeout")]

    def test_isnt_queued_for_either(self, scene: Scene) -> None:
        assert scene.adapters[0].bulkhead.try_enter()
        begun = scene.clock.now
        assert reasons(run(scene, deadline=3 * SECOND)) == [("first", "bulkhead_full")]
        waited = scene.clock.now - begun
        assert waited == 3 * SECOND - 50_000_000 - 2 * SECOND  # from here on a slot would be of no use

    def test_takes_no_slot_from_those_who_can(self, scene: Scene) -> None:
        """Forty callers at once, 8 s each, one slot: with whoever waited longest first, only the first four had answers."""
        simulation = Simulation(lambda effect, now: (2 * SECOND, ok()), scene.clock)
        moments = [scene.clock.now] * 40 + [scene.clock.now + n * SECOND for n in range(1, 30)]
        running = [simulation.start(scene.call().run(), moment) for moment in moments]
        simulation.run()
        assert sum(each.value is not None and each.value.by_ai for each in running) >= 14


def test_a_losing_hedge_is_on_record_with_its_own_time() -> None:
    scene = Scene(hedge_after=SECOND)
    scene.clock.now = MINUTE

    def respond(effect: Exchange, now: int) -> tuple[int, HttpReply]:
        return (5 * SECOND // 2 if effect.adapter == "first" else MINUTE), ok()

    scene.add("first")
    scene.add("second")
    (lost,) = Simulation(respond, scene.clock).drive(scene.call().run()).passed_over
    assert (lost.adapter, lost.reason, lost.elapsed, lost.billed) == ("second", "hedge_lost", 1.5, True)


def test_each_attempt_is_numbered_over_all_adapters() -> None:
    scene = scene_with("first", "second", attempts=1)
    scene.ledger = StubLedger()
    Simulation(scripted([status(500), ok()]), scene.clock).drive(scene.call().run())
    assert [(each.n, each.adapter) for each in attempts(scene)] == [(1, "first"), (2, "second")]


def test_what_an_adapter_cannot_be_shown_goes_to_the_next_and_costs_nothing() -> None:
    class TextOnly(StubCodec):
        def encode(self, ask: Ask) -> HttpRequest:
            raise CannotAsk(Fault(FaultKind.UNSUPPORTED_CONTENT, "takes no images"))

    scene = Scene()
    scene.add("first", TextOnly())
    scene.add("second")
    outcome = run(scene, ok())
    assert outcome.source.name == "second"
    assert [(each.reason, each.billed, each.detail) for each in outcome.passed_over] == [
        ("unsupported_content", False, "takes no images")
    ]
    assert scene.adapters[0].breaker.snapshot(0).state is State.CLOSED
    assert scene.events.names == []


def test_a_prompt_that_is_too_large_is_not_sent_and_the_next_adapter_is_asked() -> None:
    scene = Scene()
    size = len(GradeItem.__doc__ or "") + len('{"description":"bolt"}')
    scene.add("first", max_prompt=size - 1)
    scene.add("second", max_prompt=size)
    outcome = run(scene, ok())
    assert outcome.source.name == "second"
    assert [(each.reason, each.billed, each.detail) for each in outcome.passed_over] == [
        ("context_too_long", False, f"the prompt has {size} bytes, more than {size - 1}")
    ]
