"""How well an adapter answers one capability: apart from its health, by rate alone, each call's final outcome."""

from __future__ import annotations

import random
from typing import Any

import pytest

from failsoft.core.breaker import Permit, Refused, State
from failsoft.core.effects import HttpReply
from failsoft.core.quality import Quality
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import Running, Simulation, VirtualClock
from tests.core.scripted import SECOND, GradeItem, Scene, StubLedger, ok, scripted, status
from tests.core.test_call import reasons, run
from tests.core.test_call_repair import Repairing


def unfit() -> HttpReply:
    return HttpReply(200, {"model": "m-1"}, b'{"grade": "x"}')


@pytest.fixture
def scene() -> Scene:
    scene = Scene(judged=True)
    scene.add("first")
    return scene


def state(scene: Scene, name: str = "first") -> str:
    return str(scene.quality[name].snapshot(scene.clock.now).state)


def opened(scene: Scene) -> Scene:
    for _ in range(10):
        run(scene, ok())
    for _ in range(10):
        run(scene, unfit())
    return scene


def test_half_of_twenty_answers_that_dont_fit_open_it(scene: Scene) -> None:
    for _ in range(10):
        run(scene, ok())
    for _ in range(9):
        run(scene, unfit())
    assert state(scene) == "closed"
    run(scene, ok(-1))
    assert state(scene) == "open"
    assert reasons(run(scene)) == [("first", "quality")]


def test_nineteen_in_a_row_dont(scene: Scene) -> None:
    for _ in range(19):
        run(scene, unfit())
    assert state(scene) == "closed"


def empty() -> Fault:
    return Fault(FaultKind.EMPTY_REPLY, status=200)


def calls(scene: Scene) -> tuple[int, int]:
    seen = scene.quality["first"].snapshot(scene.clock.now)
    return seen.calls, seen.failures


def test_an_answer_that_is_asked_for_again_counts_once(scene: Scene) -> None:
    assert reasons(run(scene, empty(), empty())) == [("first", "empty_reply")] * 2
    assert calls(scene) == (1, 1)
    assert run(scene, empty(), ok()).by_ai
    assert calls(scene) == (2, 1)


def test_a_trial_is_judged_by_its_one_attempt(scene: Scene) -> None:
    opened(scene)
    scene.clock.now += 61 * SECOND
    run(scene, empty(), ok())
    run(scene, empty(), ok())
    assert state(scene) == "open"


def test_a_trial_isnt_repaired() -> None:
    scene = Scene(judged=True, capability=Repairing())
    scene.add("first")
    for _ in range(10):
        run(scene, ok())
    for _ in range(10):
        run(scene, unfit(), unfit())
    scene.clock.now += 61 * SECOND
    assert reasons(run(scene, unfit())) == [("first", "schema_invalid")]


def test_the_adapters_health_is_another_matter(scene: Scene) -> None:
    opened(scene)
    seen = scene.adapters[0].breaker.snapshot(scene.clock.now)
    assert (str(seen.state), seen.failures, seen.calls) == ("closed", 0, 20)


def test_what_the_provider_or_the_caller_does_says_nothing_here(scene: Scene) -> None:
    for reply in (status(400), status(429, **{"retry-after": "0"})):
        scene.adapters[0].throttle.lift()
        run(scene, reply, *[ok()] * 3)
    calls = scene.quality["first"].snapshot(scene.clock.now).calls
    simulation = Simulation(scripted([(5 * SECOND, ok())]), scene.clock)
    running: Running[Any] = simulation.start(scene.call().run(), at=scene.clock.now)
    simulation.at(scene.clock.now + SECOND, running.cancel)
    simulation.run()
    assert scene.quality["first"].snapshot(scene.clock.now).calls == calls


def test_it_comes_back_by_trials(scene: Scene) -> None:
    opened(scene)
    scene.clock.now += 7 * SECOND
    assert run(scene, ok()).by_ai
    assert state(scene) == "half_open"
    assert run(scene, ok()).by_ai
    assert state(scene) == "closed"


def test_a_trial_that_doesnt_fit_keeps_it_open(scene: Scene) -> None:
    opened(scene)
    scene.clock.now += 7 * SECOND
    run(scene, unfit())
    run(scene, unfit())
    assert state(scene) == "open"


def test_a_trial_that_health_refuses_is_given_back(scene: Scene) -> None:
    opened(scene)
    scene.clock.now += 7 * SECOND
    breaker, now = scene.adapters[0].breaker, scene.clock.now
    breaker.to_trial("unblocked", now)
    taken = [breaker.acquire(now, SECOND) for _ in range(2)]
    assert all(isinstance(each, Permit) for each in taken)
    for _ in range(5):
        run(scene)
    for each in taken:
        assert isinstance(each, Permit)
        each.abandon()
    assert run(scene, ok()).by_ai


def test_a_trial_that_meets_a_fault_of_the_providers_is_neutral(scene: Scene) -> None:
    opened(scene)
    scene.clock.now += 7 * SECOND
    assert reasons(run(scene, status(400))) == [("first", "request_rejected")]
    assert state(scene) == "half_open"


def test_another_model_than_the_pinned_one_opens_it_at_once(scene: Scene) -> None:
    assert reasons(run(scene, ok(model="m-2"))) == [("first", "served_model_mismatch")]
    assert reasons(run(scene)) == [("first", "quality")]
    scene.clock.now += 7 * SECOND
    assert reasons(run(scene, ok(model="m-2"))) == [("first", "served_model_mismatch")]
    assert reasons(run(scene)) == [("first", "quality")]
    scene.clock.now += 13 * SECOND
    run(scene, ok())
    run(scene, ok())
    assert state(scene) == "closed"


def test_a_recovered_provider_that_serves_another_model_isnt_let_in(scene: Scene) -> None:
    """The recovery check: it answers, but it's no longer what was pinned."""
    breaker = scene.adapters[0].breaker
    breaker.to_trial("unblocked", scene.clock.now)
    run(scene, ok(model="m-2"))
    seen = breaker.snapshot(scene.clock.now)
    assert (str(seen.state), seen.trips) == ("open", 1)


def test_of_a_repaired_answer_the_last_outcome_counts() -> None:
    scene = Scene(judged=True, capability=Repairing())
    scene.add("first")
    run(scene, unfit(), ok())
    run(scene, unfit(), unfit())
    seen = scene.quality["first"].snapshot(scene.clock.now)
    assert (seen.calls, seen.failures) == (2, 1)


def test_one_customer_whose_questions_are_never_answered_well_closes_nobody_elses_way(scene: Scene) -> None:
    """15 % of calls, always invalid, in runs of ten."""
    source = random.Random(1)
    fell_back = 0
    for _ in range(300):
        if source.random() < 0.017:
            for _ in range(10):
                run(scene, unfit())
        fell_back += not run(scene, ok()).by_ai
        scene.clock.now += SECOND // 10
    assert fell_back == 0


def test_a_cancelled_trial_gives_its_place_back(scene: Scene) -> None:
    opened(scene)
    scene.clock.now += 7 * SECOND
    for _ in range(5):
        simulation = Simulation(scripted([(5 * SECOND, ok())]), scene.clock)
        running: Running[Any] = simulation.start(scene.call().run(), at=scene.clock.now)
        simulation.at(scene.clock.now + SECOND, running.cancel)
        simulation.run()
    assert scene.quality["first"].snapshot(scene.clock.now).in_flight == 0


def test_a_trial_whose_caller_leaves_gives_its_place_back_at_once(scene: Scene) -> None:
    opened(scene)
    scene.clock.now += 7 * SECOND
    steps = scene.call().run()
    next(steps)
    assert scene.quality["first"].snapshot(scene.clock.now).in_flight == 1
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt())
    assert scene.quality["first"].snapshot(scene.clock.now).in_flight == 0
    assert state(scene) == "half_open"


def test_a_trial_has_its_place_for_as_long_as_its_attempt_may_take_and_a_little_more(scene: Scene) -> None:
    opened(scene)
    scene.clock.now += 100 * SECOND
    under_way = [scene.call().run() for _ in range(2)]
    for steps in under_way:
        next(steps)
    refused = scene.quality["first"].peek(scene.clock.now)
    assert refused is not None
    assert (refused.reason, refused.retry_after_ns) == ("trials_taken", scene.deadline - SECOND // 20 + 2 * SECOND)
    for steps in under_way:
        steps.close()


def test_a_collected_call_gives_its_trial_back(scene: Scene) -> None:
    opened(scene)
    scene.clock.now += 7 * SECOND
    steps = scene.call().run()
    next(steps)
    assert scene.quality["first"].snapshot(scene.clock.now).in_flight == 1
    steps.close()
    assert scene.quality["first"].snapshot(scene.clock.now).in_flight == 0


def test_with_a_ledger_the_same() -> None:
    scene = Scene(judged=True, ledger=StubLedger(), capability=GradeItem())
    scene.add("first")
    opened(scene)
    assert reasons(run(scene)) == [("first", "quality")]


def test_one_that_opens_while_the_prompt_is_made_refuses_the_attempt() -> None:
    class Slow(GradeItem):
        name = "grade-item"

        def prompt(self, request: Any) -> Any:
            quality = scene.quality["first"]
            leave = quality.leave(0, SECOND)
            assert not isinstance(leave, Refused)
            quality.settle(leave, 0, "open")
            return super().prompt(request)

    scene = Scene(judged=True, capability=Slow())
    adapter = scene.add("first")
    assert reasons(run(scene)) == [("first", "quality")]
    assert adapter.bulkhead.in_use == 0


class TestByItself:
    def test_a_late_result_counts_nowhere(self) -> None:
        clock = VirtualClock()
        quality = Quality(clock, random.Random(1))
        leave = quality.leave(0, SECOND)
        assert not isinstance(leave, Refused)
        quality.settle(leave, 0, "open")
        quality.settle(leave, 0, "ok")
        seen = quality.snapshot(0)
        assert (str(seen.state), seen.calls, seen.late_results) == ("open", 0, 1)

    def test_unblocked_it_tries_at_once_unless_its_closed(self) -> None:
        quality = Quality(VirtualClock(), random.Random(1))
        quality.unblocked(0)
        assert str(quality.snapshot(0).state) == "closed"
        leave = quality.leave(0, SECOND)
        assert not isinstance(leave, Refused)
        quality.settle(leave, 0, "open")
        quality.unblocked(1)
        assert str(quality.snapshot(1).state) == "half_open"

    def test_an_open_one_isnt_opened_again(self) -> None:
        quality = Quality(VirtualClock(), random.Random(1))
        first, second = quality.leave(0, SECOND), quality.leave(0, SECOND)
        assert not isinstance(first, Refused)
        assert not isinstance(second, Refused)
        quality.settle(first, 0, "open")
        until = quality.snapshot(0).until_ns
        quality.settle(second, 1, "open")
        seen = quality.snapshot(1)
        assert (seen.trips, seen.until_ns) == (1, until)

    def test_a_forked_child_has_locks_of_its_own(self) -> None:
        quality = Quality(VirtualClock(), random.Random(1))
        quality._lock.acquire()
        quality.after_fork()
        assert quality.peek(0) is None


def half_open() -> Quality:
    quality = Quality(VirtualClock(), random.Random(0))
    quality.settle(0, 0, "open")
    quality.unblocked(0)
    return quality


def test_a_look_says_what_asking_would() -> None:
    quality = half_open()
    assert quality.peek(0) is None
    for _ in range(2):
        quality.leave(0, SECOND)
    assert isinstance(quality.peek(0), Refused)


@pytest.mark.parametrize(("outcome", "after"), [("none", "half_open"), ("open", "open")])
def test_trials_that_say_nothing_do_not_let_it_back_on_probation(outcome: Any, after: str) -> None:
    quality = half_open()
    for _ in range(3):
        leave = quality.leave(0, SECOND)
        if not isinstance(leave, Refused):
            quality.settle(leave, 0, outcome)
    assert str(quality.snapshot(0).state) == after


def test_in_a_forked_child_its_lock_is_free() -> None:
    quality = half_open()
    quality._lock.acquire()
    quality.after_fork()
    assert quality.peek(0) is None


def test_one_answer_less_than_half_of_two_hundred_doesnt_open_it() -> None:
    quality = Quality(VirtualClock(), random.Random(1))
    for outcome in ["ok"] * 100 + ["fail"] * 99:
        quality.settle(quality.leave(0, SECOND), 0, outcome)  # type: ignore[arg-type]
    assert quality.snapshot(0).state is State.CLOSED
    quality.settle(0, 0, "fail")
    assert quality.snapshot(0).state is State.OPEN


def test_it_opens_by_rate_after_an_answer_that_fits_too() -> None:
    quality = Quality(VirtualClock(), random.Random(1))
    for outcome in ["fail"] * 10 + ["ok"] * 10:
        quality.settle(0, 0, outcome)  # type: ignore[arg-type]
    assert quality.snapshot(0).state is State.OPEN
    quality.settle(0, 0, "fail")
    assert quality.snapshot(0).late_results == 1


def test_what_is_in_flight_doesnt_thin_its_rate() -> None:
    quality = Quality(VirtualClock(), random.Random(1))
    for _ in range(40):
        quality.leave(0, SECOND)
    for _ in range(20):
        quality.settle(0, 0, "fail")
    seen = quality.snapshot(0)
    assert (seen.state, seen.calls) == (State.OPEN, 20)


def test_why_it_tries_again_is_told() -> None:
    heard: list[str] = []
    quality = Quality(VirtualClock(), random.Random(1), lambda change: heard.append(change.reason))
    for _ in range(20):
        quality.settle(0, 0, "fail")
    quality.unblocked(0)
    assert heard == ["rate", "unblocked"]


def test_an_opening_is_told_at_once() -> None:
    heard: list[str] = []
    quality = Quality(VirtualClock(), random.Random(1), lambda change: heard.append(change.reason))
    for _ in range(20):
        quality.settle(0, 0, "fail")
    assert heard == ["rate"]


class TestRefusals:
    def told(self) -> tuple[Quality, list[float]]:
        shares: list[float] = []
        return Quality(VirtualClock(), random.Random(1), on_refusals=shares.append), shares

    def test_are_told_from_a_fifth_of_twenty_answers_on(self) -> None:
        quality, shares = self.told()
        for _ in range(16):
            quality.settle(0, 0, "ok")
        for _ in range(3):
            quality.settle(0, 0, "refused")
        assert shares == []
        quality.settle(0, 0, "refused")
        assert shares == [20]
        assert quality.refusals(0) == 4
        assert quality.snapshot(0).state is State.CLOSED

    def test_are_told_again_after_ten_minutes(self) -> None:
        quality, shares = self.told()
        for second in range(700):
            quality.settle(0, second * SECOND, "refused")
        assert shares == [100, 100]

    def test_of_the_last_minute_count(self) -> None:
        quality, shares = self.told()
        for second in range(0, 200, 10):
            quality.settle(0, second * SECOND, "refused")
        assert shares == []
        assert quality.refusals(199 * SECOND) == 6
        assert quality.refusals(900 * SECOND) == 0

    def test_are_told_again_not_a_nanosecond_sooner(self) -> None:
        quality, shares = self.told()
        for _ in range(20):
            quality.settle(0, 0, "refused")
        for _ in range(20):
            quality.settle(0, 600 * SECOND - 1, "refused")
        assert shares == [100]
        quality.settle(0, 600 * SECOND, "refused")
        assert shares == [100, 100]

    def test_are_a_share_of_the_answers_of_the_same_minute(self) -> None:
        quality, shares = self.told()
        for _ in range(20):
            quality.settle(0, 0, "ok")
        for _ in range(20):
            quality.settle(0, 70 * SECOND, "refused")
        assert shares == [100]

    def test_leave_the_window_where_time_has_it(self) -> None:
        quality, _ = self.told()
        quality.settle(0, 70 * SECOND, "refused")
        for _ in range(10):
            quality.settle(0, 70 * SECOND, "fail")
        for _ in range(10):
            quality.settle(0, 200 * SECOND, "ok")
        seen = quality.snapshot(200 * SECOND)
        assert (seen.state, seen.calls) == (State.CLOSED, 10)

    def test_of_a_thread_that_was_held_up_move_no_window_back(self) -> None:
        quality, _ = self.told()
        for _ in range(20):
            quality.settle(0, 70 * SECOND, "ok")
        quality.settle(0, 20 * SECOND, "refused")
        quality.settle(0, 70 * SECOND, "ok")
        assert quality.snapshot(70 * SECOND).calls == 21

    def test_of_a_minute_ago_count_no_more(self) -> None:
        quality, _ = self.told()
        quality.settle(0, 0, "refused")
        assert quality.refusals(60 * SECOND - 1) == 1
        assert quality.refusals(60 * SECOND) == 0

    def test_need_nobody_to_tell(self) -> None:
        quality = Quality(VirtualClock(), random.Random(1))
        for _ in range(30):
            quality.settle(0, 0, "refused")
        assert quality.refusals(0) == 30

    def test_say_nothing_of_a_trial_but_that_it_was_answered(self) -> None:
        quality = Quality(VirtualClock(), random.Random(1))
        quality.to_trial("unblocked", 0)
        for _ in range(3):
            quality.settle(quality.leave(0, SECOND), 0, "refused")  # type: ignore[arg-type]
        assert quality.snapshot(0).state is State.CLOSED  # on probation
