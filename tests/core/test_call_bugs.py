"""What must not go wrong twice: bugs of drivers, codecs, validators and guards are values, loud, and leave nothing held."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, field_serializer, field_validator

from failsoft import Capability
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.bulkhead import Bulkhead
from failsoft.core.call import World
from failsoft.core.effects import (
    Append,
    Ask,
    Enter,
    Exchange,
    HttpReply,
    HttpRequest,
    Invoke,
    Recorded,
    Reply,
    Sleep,
    Unusable,
)
from failsoft.core.evidence import CallAmended
from failsoft.core.limits import Limits, LimitSettings
from failsoft.core.route import NoBlocks, Refusal
from failsoft.errors import FallbackFailed
from failsoft.fault import Fault, FaultKind, Settlement
from failsoft.io.drive_simulated import Simulation, VirtualClock
from failsoft.outcome import Served
from failsoft.prompt import Prompt
from tests.core.scripted import (
    SECOND,
    Grade,
    GradeItem,
    Heard,
    Item,
    Scene,
    StubCodec,
    StubLedger,
    ok,
    scripted,
    status,
)


def reasons(outcome: Any) -> list[tuple[str, str]]:
    return [(each.adapter, each.reason) for each in outcome.passed_over]


def by_hand(scene: Scene, answers: dict[type, Any]) -> Any:
    """Drive a call by hand: each effect is answered by its kind; an exception is thrown in, as a driver's bug is."""
    steps = scene.call().run()
    answer: Any = None
    try:
        effect = next(steps)
        while True:
            answer = answers[type(effect)]
            if isinstance(answer, list):
                answer = answer.pop(0)
            effect = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
    except StopIteration as stop:
        return stop.value


def scene_with(**options: Any) -> Scene:
    scene = Scene(ledger=StubLedger())
    scene.add("first", **options)
    return scene


def alerts(scene: Scene) -> list[tuple[str, str]]:
    return [(told["adapter"], told["error"]) for name, told in scene.events.events if name == "attempt.alert"]


RECORDED = Recorded(0, bytes(32))


def test_a_bug_at_an_exchange_is_a_neutral_loud_fault() -> None:
    scene = scene_with()
    outcome = by_hand(scene, {Append: RECORDED, Exchange: LookupError("x")})
    assert reasons(outcome) == [("first", "bug")]
    assert "attempt.alert" in scene.events.names
    assert scene.adapters[0].breaker.snapshot(0).failures == 0
    assert scene.adapters[0].bulkhead.in_use == 0


def test_a_bug_at_an_append_counts_as_not_recorded() -> None:
    scene = scene_with()
    outcome = by_hand(scene, {Append: LookupError("x")})
    assert reasons(outcome) == [("first", "ledger")]


def test_a_bug_at_a_sleep_ends_the_retries() -> None:
    scene = scene_with()
    outcome = by_hand(scene, {Append: RECORDED, Exchange: status(500), Sleep: LookupError("x")})
    assert reasons(outcome) == [("first", "server_error")]
    assert alerts(scene) == [("first", "LookupError")]


def test_a_bug_in_the_queue_leaves_no_place_taken() -> None:
    bulkhead = Bulkhead(1, 10)
    bulkhead.try_enter()
    scene = scene_with(bulkhead=bulkhead)
    outcome = by_hand(scene, {Append: RECORDED, Enter: LookupError("x")})
    assert reasons(outcome) == [("first", "bulkhead_full")]
    assert bulkhead.waiting == 0
    assert alerts(scene) == [("first", "LookupError")]


class Raising(StubCodec):
    def decode(self, reply: HttpReply) -> Reply | Unusable:
        raise LookupError("x")


def test_a_codec_that_raises_is_a_bug_and_no_failure_of_the_provider() -> None:
    scene = scene_with(codec=Raising())
    outcome = by_hand(scene, {Append: RECORDED, Exchange: ok()})
    assert reasons(outcome) == [("first", "bug")]
    assert scene.adapters[0].breaker.snapshot(0).failures == 0


class Touchy(BaseModel):
    model_config = ConfigDict(frozen=True)
    grade: int

    @field_validator("grade")
    @classmethod
    def refuse(cls, value: int) -> int:
        raise LookupError("a validator's bug")


class Careless(Capability[Item, Touchy]):
    """Which grade?"""

    def fallback(self, request: Item) -> Touchy:
        return Touchy.model_construct(grade=1)


def test_a_validator_that_raises_is_the_capabilitys_bug() -> None:
    scene = scene_with()
    scene.capability = Careless()
    outcome = by_hand(scene, {Append: RECORDED, Exchange: ok()})
    assert reasons(outcome) == [("first", "capability_bug")]
    assert "capability.bug" in scene.events.names


def test_time_spent_in_the_queue_is_gone() -> None:
    bulkhead = Bulkhead(1, 10)
    bulkhead.try_enter()
    scene = scene_with(bulkhead=bulkhead)
    scene.ledger = None
    steps = scene.call().run()
    assert isinstance(next(steps), Enter)
    scene.clock.now = 8 * SECOND
    bulkhead.leave()
    with pytest.raises(StopIteration) as stop:
        steps.send(True)
    assert reasons(stop.value.value) == [("first", "no_time")]
    assert bulkhead.in_use == 0


def test_a_breaker_that_opens_while_one_waits_in_the_queue_refuses() -> None:
    bulkhead = Bulkhead(1, 10)
    bulkhead.try_enter()
    scene = scene_with(bulkhead=bulkhead)
    scene.ledger = None
    steps = scene.call().run()
    assert isinstance(next(steps), Enter)
    breaker = scene.adapters[0].breaker
    for n in range(5):
        permit = breaker.acquire(0, SECOND, call=n)
        permit.settle(Settlement.FAILURE, 0)  # type: ignore[union-attr]
    bulkhead.leave()
    with pytest.raises(StopIteration) as stop:
        steps.send(True)
    assert reasons(stop.value.value) == [("first", "open")]
    assert bulkhead.in_use == 0


@pytest.mark.parametrize("guard", ["latch", "throttle"])
def test_a_guard_that_closes_while_one_waits_in_the_queue_refuses(guard: str) -> None:
    bulkhead = Bulkhead(1, 10)
    bulkhead.try_enter()
    scene = scene_with(bulkhead=bulkhead)
    scene.ledger = None
    steps = scene.call().run()
    assert isinstance(next(steps), Enter)
    if guard == "latch":
        scene.adapters[0].latch.trip("no money", True, "another", 0)
    else:
        scene.adapters[0].throttle.throttled(0, 30 * SECOND)
    bulkhead.leave()
    with pytest.raises(StopIteration) as stop:
        steps.send(True)
    assert reasons(stop.value.value) == [("first", "latched" if guard == "latch" else "throttled")]
    assert bulkhead.in_use == 0


class WithoutFallback(GradeItem):
    """Its fallback has a bug."""

    def fallback(self, request: Item) -> Grade:
        raise LookupError("x")


@pytest.mark.parametrize("taken", [True, False])
def test_a_discarded_answer_whose_fallback_fails_is_on_record_as_failed(taken: bool) -> None:
    scene = scene_with()
    scene.capability = WithoutFallback()
    scene.ledger = StubLedger(lambda n, _: RECORDED if n == 0 else None)
    steps = scene.call().run()
    next(steps)
    steps.send(RECORDED)
    steps.send(ok())
    scene.ledger.tickets[-1].taken = taken
    with pytest.raises(FallbackFailed):
        steps.send(None)
    ends = scene.ledger.of(CallAmended) if taken else scene.ledger.completed
    assert [each.outcome for each in ends] == ["failed"]


def test_a_failing_fallback_on_a_failing_ledger_waits_for_nothing() -> None:
    scene = Scene(ledger=StubLedger(), capability=WithoutFallback())
    assert scene.ledger is not None
    scene.ledger.healthy = False
    with pytest.raises(FallbackFailed):
        Simulation(scripted([]), scene.clock).drive(scene.call().run())
    assert scene.clock.now == 0
    assert [each.outcome for each in scene.ledger.completed] == ["failed"]


def test_a_call_lost_in_a_queue_leaves_its_place() -> None:
    bulkhead = Bulkhead(1, 10)
    bulkhead.try_enter()
    scene = scene_with(bulkhead=bulkhead)
    scene.ledger = None
    steps = scene.call().run()
    assert isinstance(next(steps), Enter)
    del steps
    gc.collect()
    bulkhead.leave()
    assert bulkhead.try_enter()
    assert bulkhead.waiting == 0


def test_a_call_lost_before_it_holds_anything_gives_nothing_back() -> None:
    scene = scene_with()
    steps = scene.call().run()
    next(steps)
    del steps
    gc.collect()
    assert scene.adapters[0].bulkhead.in_use == 0


class Slow:
    """A callable adapter as core sees one."""

    provider, version, endpoint = "callable", "1", None

    def __init__(self, result: Any) -> None:
        self.function = lambda ask: result

    def read(self, result: Any, ask: Ask) -> Reply | Unusable:
        return Reply(result, Served("m-1")) if result else Unusable(Fault(FaultKind.EMPTY_REPLY))

    def classify(self, error: Exception) -> Unusable:
        return Unusable(Fault(FaultKind.ADAPTER_RAISED, type(error).__name__))


def test_a_function_is_invoked_with_the_ask() -> None:
    scene = scene_with(codec=Slow(b'{"grade": 3}'))
    outcome = Simulation(scripted([]), scene.clock).drive(scene.call().run())
    assert outcome.value == Grade(grade=3)


def test_a_function_that_gave_nothing_is_a_fault() -> None:
    scene = scene_with(codec=Slow(b""))
    outcome = Simulation(scripted([]), scene.clock).drive(scene.call().run())
    assert reasons(outcome) == [("first", "empty_reply")] * 2


def test_a_function_that_raised_is_classified() -> None:
    codec = Slow(b"")
    codec.function = lambda ask: 1 / 0
    scene = scene_with(codec=codec, attempts=1)
    outcome = Simulation(scripted([]), scene.clock).drive(scene.call().run())
    assert reasons(outcome) == [("first", "adapter_raised")]


def test_a_function_that_ran_into_its_time_may_be_billed() -> None:
    scene = scene_with(codec=Slow(b""), attempts=1)
    scene.ledger = None
    steps = scene.call().run()
    assert isinstance(next(steps), Invoke)
    with pytest.raises(StopIteration) as ended:
        steps.send(Fault(FaultKind.ATTEMPT_TIMEOUT))
    (passed,) = ended.value.value.passed_over
    assert (passed.reason, passed.billed) == ("attempt_timeout", True)


def test_the_slot_of_a_function_that_goes_on_is_free_when_its_work_ends() -> None:
    scene = scene_with(codec=Slow(b""), limit=1, attempts=1)
    scene.ledger = None
    steps = scene.call().run()
    effect = next(steps)
    assert isinstance(effect, Invoke)
    effect.started = True
    with pytest.raises(StopIteration):
        steps.send(Fault(FaultKind.ATTEMPT_TIMEOUT))
    assert scene.adapters[0].bulkhead.in_use == 1
    effect.work.resolve(None)
    assert scene.adapters[0].bulkhead.in_use == 0


def test_the_slot_of_a_function_that_was_never_begun_is_free_at_once() -> None:
    scene = scene_with(codec=Slow(b""), limit=1, attempts=1)
    scene.ledger = None
    steps = scene.call().run()
    assert isinstance(next(steps), Invoke)
    with pytest.raises(StopIteration):
        steps.send(Fault(FaultKind.ATTEMPT_TIMEOUT))
    assert scene.adapters[0].bulkhead.in_use == 0


def test_a_blocked_capability_asks_nobody() -> None:
    class Blocked:
        def adapter(self, name: str, now: int) -> Refusal | None:
            return None

        def capability(self, name: str, now: int) -> Refusal | None:
            return "blocked", "by jdoe"

    scene = scene_with()
    scene.blocks = Blocked()
    outcome = Simulation(scripted([]), scene.clock).drive(scene.call().run())
    assert reasons(outcome) == [("first", "blocked")]


class Plain(Capability[Item, Grade]):
    """Which grade? Anything that fits is accepted."""

    def fallback(self, request: Item) -> Grade:
        raise LookupError("x")


def test_a_capability_without_a_rule_accepts_what_fits() -> None:
    scene = scene_with()
    scene.capability = Plain()
    assert by_hand(scene, {Append: RECORDED, Exchange: ok(-1)}).value == Grade(grade=-1)


def test_a_failing_fallback_without_a_ledger_raises_all_the_same() -> None:
    with pytest.raises(FallbackFailed, match="LookupError"):
        Simulation(scripted([]), Scene().clock).drive(Scene(capability=Plain()).call().run())


class Unwritable(GradeItem):
    """Its prompt holds a lone surrogate: it can be asked of nobody, and not be recorded."""

    def prompt(self, request: Item) -> Prompt:
        return Prompt.of("\ud800")


def test_a_prompt_that_cant_be_recorded_isnt_asked_and_a_cancel_stays_one() -> None:
    scene = Scene(ledger=StubLedger(), capability=Unwritable())
    scene.add("first")
    outcome = Simulation(scripted([]), scene.clock).drive(scene.call().run())
    assert reasons(outcome) == [("first", "no_prompt")]
    assert "capability.bug" in scene.events.names


class Holder(BaseModel):
    model_config = ConfigDict(extra="allow")
    grade: int = 0


class Sealed(Holder):
    @field_serializer("grade")
    def sealed(self, grade: int) -> int:
        if grade == 7:
            raise LookupError("seven can't be written")
        return grade


class Sealing(Capability[Item, Sealed]):
    """One of its answers can't be written down."""

    def fallback(self, request: Item) -> Sealed:
        return Sealed(grade=1)


def test_an_answer_that_cant_be_recorded_isnt_given() -> None:
    scene = scene_with()
    scene.capability = Sealing()
    outcome = by_hand(scene, {Append: RECORDED, Exchange: ok(7)})
    assert reasons(outcome) == [("first", "capability_bug")]
    assert scene.ledger is not None
    assert len(scene.ledger.completed) == 1


class Changing(Capability[Item, Holder]):
    """Its accept() changes what it should only judge."""

    def fallback(self, request: Item) -> Holder:
        return Holder(grade=1)

    def accept(self, request: Item, response: Holder) -> None:
        response.grade = -1
        response.more = object()  # type: ignore[attr-defined]


def test_an_answer_is_what_was_validated_whatever_accept_does_to_it() -> None:
    scene = scene_with()
    scene.capability = Changing()
    outcome = by_hand(scene, {Append: RECORDED, Exchange: ok(7)})
    assert outcome.value == Holder(grade=7)


class Lot(BaseModel):
    names: list[str]


class Emptying(Capability[Lot, Grade]):
    """All of its code empties the request that it's given."""

    seen: list[list[str]]

    def __init__(self) -> None:
        self.seen = []

    def _take(self, request: Lot) -> int:
        self.seen.append(list(request.names))
        request.names.clear()
        return len(self.seen[-1])

    def prompt(self, request: Lot) -> Prompt:
        return Prompt.of(f"{self._take(request)} names")

    def accept(self, request: Lot, response: Grade) -> None:
        if self._take(request) != response.grade:
            raise ValueError("another number of names")

    def fallback(self, request: Lot) -> Grade:
        return Grade(grade=self._take(request))


class EmptyingCodec(StubCodec):
    def encode(self, ask: Ask) -> HttpRequest:
        ask.request.names.clear()
        return super().encode(ask)


def test_nobody_sees_what_another_did_to_the_request() -> None:
    scene = Scene(ledger=StubLedger(), capability=Emptying())
    scene.add("first", codec=EmptyingCodec())
    scene.add("second", codec=EmptyingCodec())
    lot = Lot(names=["bolt", "nut"])
    outcome = Simulation(scripted([ok(9), ok(9)]), scene.clock).drive(scene.call(lot).run())
    assert reasons(outcome) == [("first", "unacceptable"), ("second", "unacceptable")]
    assert outcome.value == Grade(grade=2)
    assert isinstance(scene.capability, Emptying)
    assert scene.capability.seen == [["bolt", "nut"]] * 4
    assert lot.names == ["bolt", "nut"]


KEY = "sk-canary/0123456789"


class KeyedCodec(StubCodec):
    secrets = (KEY,)


@pytest.mark.parametrize(
    "echo",
    [
        HttpReply(200, {"model": "m-1 " + KEY}, b'{"grade": 7}'),
        HttpReply(200, {"model": "m-1"}, b'{"grade": "%s"}' % KEY.encode()),
        HttpReply(401, {"model": KEY}, b"no such key: " + KEY.encode()),
        HttpReply(200, {"model": "m-1"}, b'{"grade": "%s"}' % KEY.replace("/", "\\/").encode()),
    ],
)
def test_a_key_that_a_provider_echoes_is_struck_from_all_that_it_says(echo: HttpReply) -> None:
    scene = scene_with(codec=KeyedCodec())
    outcome = Simulation(scripted([echo]), scene.clock).drive(scene.call().run())
    assert scene.ledger is not None
    (completed,) = scene.ledger.completed
    kept = [each.reply for each in completed.attempts] + [each.detail for each in completed.attempts]
    told = repr([outcome, scene.events.events, completed, completed.attempts, kept])
    assert "canary" not in told
    assert "[secret]" in told
    assert not outcome.by_ai


def test_a_collected_calls_slot_is_free_when_its_work_has_ended() -> None:
    """The garbage collector takes a call whose function still runs in its thread."""
    scene = Scene()

    class Working(StubCodec):
        function = staticmethod(lambda ask: None)

    adapter = scene.add("first", codec=Working(), limit=1)
    steps = scene.call().run()
    effect = next(steps)
    assert isinstance(effect, Invoke)
    effect.started = True
    steps.close()
    assert not adapter.bulkhead.try_enter()
    effect.work.resolve(None)
    assert adapter.bulkhead.try_enter()


def test_a_trial_that_failed_isnt_followed_by_a_second_attempt_of_its_call() -> None:
    scene = scene_with()
    scene.adapters[0].breaker.to_trial("unblocked", 0)
    outcome = Simulation(scripted([status(500)]), scene.clock).drive(scene.call().run())
    assert reasons(outcome) == [("first", "server_error")]


def test_an_overload_without_a_hint_is_a_failure_and_no_reason_to_wait() -> None:
    scene = scene_with()
    assert Simulation(scripted([status(503), ok()]), scene.clock).drive(scene.call().run()).by_ai
    assert scene.adapters[0].throttle.until(scene.clock.now) == 0
    assert scene.adapters[0].breaker.snapshot(scene.clock.now).failures == 1


def test_an_overload_with_a_hint_is_a_failure_and_waited_for() -> None:
    scene = scene_with()
    hinted = status(503, **{"retry-after": "30"})
    outcome = Simulation(scripted([hinted]), scene.clock).drive(scene.call().run())
    assert reasons(outcome) == [("first", "overloaded")]
    assert scene.adapters[0].throttle.until(scene.clock.now) > scene.clock.now + 20 * SECOND


def test_a_bug_before_sending_is_billed_by_nobody_and_gives_its_quota_back() -> None:
    class Unable(StubCodec):
        def encode(self, ask: Ask) -> HttpRequest:
            raise LookupError

    limits = Limits(LimitSettings(requests_per_day=2))
    scene = Scene()
    scene.add("first", codec=Unable(), limits=limits)
    for _ in range(3):
        outcome = Simulation(scripted([]), scene.clock).drive(scene.call().run())
        assert [(each.reason, each.billed) for each in outcome.passed_over] == [("bug", False)]


def test_a_latchs_trial_isnt_spent_by_a_caller_whom_the_breaker_refuses() -> None:
    scene = Scene()
    adapter = scene.add("first")
    adapter.latch.trip("the key is wrong", True, "x", 0)
    scene.clock.now = 400 * SECOND
    adapter.breaker.to_trial("unblocked", scene.clock.now)
    for _ in range(3):
        hurried = Simulation(scripted([]), scene.clock).drive(scene.call(deadline=SECOND).run())
        assert reasons(hurried) == [("first", "open")]
    assert Simulation(scripted([ok()]), scene.clock).drive(scene.call().run()).by_ai


def test_the_record_says_why_an_adapter_that_was_tried_wasnt_tried_again() -> None:
    scene = scene_with(settings=BreakerSettings(consecutive=2))
    Simulation(scripted([status(500)] * 2), scene.clock).drive(scene.call().run())
    assert scene.ledger is not None
    (completed,) = scene.ledger.completed
    assert len(completed.attempts) == 2
    assert completed.passed_over == (("first", "open"),)


def test_a_latch_that_closes_while_the_prompt_is_made_refuses_the_attempt() -> None:
    class Slow(GradeItem):
        name = "grade-item"

        def prompt(self, request: Item) -> Prompt:
            adapter.latch.trip("the key is wrong", True, "x", 0)
            return super().prompt(request)

    scene = Scene(capability=Slow())
    adapter = scene.add("first")
    outcome = Simulation(scripted([]), scene.clock).drive(scene.call().run())
    assert reasons(outcome) == [("first", "latched")]
    assert adapter.bulkhead.in_use == 0
    assert adapter.breaker.snapshot(0).in_flight == 0


def test_a_world_that_says_nothing_else_falls_back() -> None:
    world = World(VirtualClock(), random.Random(1), Heard(), NoBlocks())
    assert (world.ledger, world.on_ledger_failure, world.on_bug) == (None, "fallback", "fallback")


def test_a_fallbacks_value_that_cant_be_written_down_is_given_where_nobody_writes() -> None:
    class Seven(Sealing):
        def fallback(self, request: Item) -> Sealed:
            return Sealed(grade=7)

    scene = Scene(capability=Seven())
    outcome = Simulation(scripted([]), scene.clock).drive(scene.call().run())
    assert outcome.value.grade == 7
