"""Client-side limits: never more than 90 % of a quota in any minute or day, whatever is asked when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.effects import HttpReply, Reply, Tokens, Unusable
from failsoft.core.limits import DAY, Limited, Limits, LimitSettings, Reservation, estimate
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import Simulation
from failsoft.prompt import Message, Prompt
from tests.core.scripted import SECOND, GradeItem, Item, Scene, StubCodec, ok, scripted
from tests.core.test_call import reasons, run


def limited(**quotas: int) -> Limits:
    return Limits(LimitSettings(**quotas))


def taken(limits: Limits, now: float, tokens: int = 1, utc: int = 0) -> Any:
    return limits.take(int(now * SECOND), utc + int(now * SECOND), tokens)


@given(st.integers(1, 20), st.lists(st.tuples(st.floats(0, 20), st.integers(1, 9))))
def test_no_minute_holds_more_than_its_limit(quota: int, steps: list[tuple[float, int]]) -> None:
    limits = limited(requests_per_minute=quota, tokens_per_minute=5 * quota)
    now, sent = 0.0, list[tuple[float, int]]()
    for pause, tokens in steps:
        now += pause
        if isinstance(taken(limits, now, tokens), Reservation):
            sent.append((now, tokens))
            last = [(when, used) for when, used in sent if when > now - 60]
            assert len(last) <= max(1, quota * 9 // 10)
            assert sum(used for _, used in last) <= max(1, 5 * quota * 9 // 10)


@given(st.integers(2, 9), st.lists(st.floats(0, 30), min_size=1, max_size=40))
def test_what_is_refused_works_when_it_was_said_to_and_not_a_second_before(quota: int, pauses: list[float]) -> None:
    limits, now = limited(requests_per_minute=quota), 0
    for pause in pauses:
        now += int(pause * SECOND)
        refused = limits.take(now, now, 1)
        if isinstance(refused, Limited):
            assert refused.quota == "requests_per_minute"
            assert refused.wait_ns is not None
            assert 0 < refused.wait_ns <= 61 * SECOND
            assert isinstance(limits.take(now + refused.wait_ns - 1, now, 1), Limited)
            assert isinstance(limits.take(now + refused.wait_ns, now, 1), Reservation)
            return


def test_more_than_a_whole_quota_never_works() -> None:
    assert taken(limited(tokens_per_minute=100), 0, 91) == Limited("tokens_per_minute", None)


def test_a_refusal_takes_nothing_from_any_quota() -> None:
    limits = limited(requests_per_minute=10, tokens_per_minute=100)
    assert isinstance(taken(limits, 0, 60), Reservation)
    for _ in range(50):
        assert taken(limits, 0, 60).quota == "tokens_per_minute"
    assert isinstance(taken(limits, 0, 30), Reservation)


@pytest.mark.parametrize("quota", ["requests_per_day", "tokens_per_day"])
def test_a_days_count_begins_anew_at_midnight_utc(quota: str) -> None:
    limits = limited(**{quota: 2})
    assert isinstance(taken(limits, 0), Reservation)
    refused = taken(limits, 1)
    assert refused == Limited(quota, DAY - SECOND)
    assert isinstance(taken(limits, 2, utc=DAY), Reservation)
    assert taken(limits, 3).quota == quota  # a clock that steps back doesn't begin a day anew


def test_the_replys_own_figure_takes_the_estimates_place() -> None:
    limits = limited(tokens_per_minute=100, tokens_per_day=1000)
    first = taken(limits, 0, 80)
    limits.settle(first, 20)
    assert isinstance(taken(limits, 1, 70), Reservation)
    assert taken(limits, 1, 1).quota == "tokens_per_minute"


def test_a_reply_that_states_no_tokens_leaves_the_estimate() -> None:
    limits = limited(tokens_per_minute=100)
    limits.settle(taken(limits, 0, 80), None)
    assert isinstance(taken(limits, 1, 11), Limited)


def test_what_was_never_sent_is_given_back_once() -> None:
    limits = limited(requests_per_minute=2, tokens_per_minute=100)
    first = taken(limits, 0, 90)
    limits.give_back(first)
    limits.give_back(first)
    limits.settle(first, 500)
    assert isinstance(taken(limits, 0, 90), Reservation)
    assert isinstance(taken(limits, 0, 0), Limited)


def test_a_figure_that_comes_after_its_minute_changes_nothing() -> None:
    limits = limited(tokens_per_minute=100)
    first = taken(limits, 0, 90)
    assert isinstance(taken(limits, 100, 90), Reservation)
    limits.settle(first, 0)
    assert isinstance(taken(limits, 100, 1), Limited)


def test_one_that_comes_61_seconds_later_does_not_stand_in_the_newest_seconds_place() -> None:
    limits = limited(tokens_per_minute=100)
    first = taken(limits, 0, 50)
    taken(limits, 61, 10)
    limits.settle(first, 90)
    assert isinstance(taken(limits, 61, 80), Reservation)


def test_a_day_is_a_utc_day() -> None:
    limits = Limits(LimitSettings(requests_per_day=1))
    assert isinstance(limits.take(0, 86_400 * 10**9 - 1, 0), Reservation)
    assert limits.take(0, 86_400 * 10**9 - 1, 0) == Limited("requests_per_day", 1)
    assert isinstance(limits.take(0, 86_400 * 10**9, 0), Reservation)


def test_without_quotas_nothing_is_limited() -> None:
    limits = limited()
    assert all(isinstance(taken(limits, 0, 10**9), Reservation) for _ in range(100))


def test_a_forked_child_has_a_lock_of_its_own() -> None:
    limits = limited(requests_per_minute=10)
    limits._lock.acquire()
    limits.after_fork()
    assert isinstance(taken(limits, 0), Reservation)


def test_an_estimate_is_a_quarter_of_the_bytes_and_the_cap() -> None:
    assert estimate(9, 100) == 103


def test_a_figure_that_comes_after_its_day_changes_nothing() -> None:
    limits = limited(tokens_per_day=100)
    first = taken(limits, 0, 90)
    assert isinstance(taken(limits, 1, 90, utc=DAY), Reservation)
    limits.settle(first, 0)
    assert isinstance(taken(limits, 2, 1, utc=DAY), Limited)


class TestACall:
    def test_waits_for_its_quota_where_nobody_else_could_be_asked(self) -> None:
        scene = Scene(deadline=120 * SECOND)
        scene.add("first", limits=limited(requests_per_minute=1))
        assert run(scene, ok()).by_ai
        assert run(scene, ok()).by_ai
        assert scene.clock.now >= 60 * SECOND

    def test_goes_to_the_next_adapter_where_there_is_one(self) -> None:
        scene = Scene()
        scene.add("first", limits=limited(requests_per_minute=1))
        scene.add("second")
        run(scene, ok())
        outcome = run(scene, ok())
        assert outcome.source.name == "second"
        assert [(each.reason, each.detail) for each in outcome.passed_over] == [("limited", "requests_per_minute")]

    def test_gets_the_fallback_where_the_wait_is_too_long(self) -> None:
        scene = Scene()
        scene.add("first", limits=limited(requests_per_day=1))
        run(scene, ok())
        assert reasons(run(scene)) == [("first", "limited")]

    def test_that_was_never_sent_gives_its_part_back(self) -> None:
        scene = Scene()
        scene.add("first", limits=limited(requests_per_day=2), attempts=1)
        assert reasons(run(scene, Fault(FaultKind.CONNECT_REFUSED))) == [("first", "connect_refused")]
        assert run(scene, ok()).by_ai

    def test_that_met_a_fault_after_sending_doesnt(self) -> None:
        scene = Scene()
        scene.add("first", limits=limited(requests_per_day=2), attempts=1)
        run(scene, Fault(FaultKind.CONNECTION_LOST))
        assert reasons(run(scene)) == [("first", "limited")]

    def test_that_finds_no_slot_gives_its_part_back(self) -> None:
        scene = Scene()
        adapter = scene.add("first", limits=limited(requests_per_day=2), limit=1, max_waiting=0)
        assert adapter.bulkhead.try_enter()
        assert reasons(run(scene)) == [("first", "bulkhead_full")]
        adapter.bulkhead.leave()
        assert run(scene, ok()).by_ai

    def test_is_corrected_by_what_the_reply_says_it_used(self) -> None:
        class Counting(StubCodec):
            def decode(self, reply: HttpReply) -> Reply | Unusable:
                read = super().decode(reply)
                assert isinstance(read, Reply)
                read.tokens = Tokens(10, 5)
                return read

        scene = Scene()
        limits = limited(tokens_per_day=2_000)
        scene.add("first", codec=Counting(), limits=limits)
        assert run(scene, ok()).by_ai
        assert isinstance(limits.take(0, scene.clock.time_ns(), 1_785), Reservation)
        assert isinstance(limits.take(0, scene.clock.time_ns(), 1), Limited)

    def test_that_is_cancelled_in_a_queue_gives_its_part_back(self) -> None:
        scene = Scene()
        limits = limited(requests_per_day=2)
        adapter = scene.add("first", limits=limits, limit=1)
        assert adapter.bulkhead.try_enter()
        simulation = Simulation(scripted([]), scene.clock)
        running = simulation.start(scene.call().run())
        simulation.at(SECOND, running.cancel)
        simulation.run()
        assert isinstance(limits.take(0, scene.clock.time_ns(), 1), Reservation)

    def test_that_is_cancelled_while_it_waits_holds_nothing(self) -> None:
        scene = Scene(deadline=120 * SECOND)
        adapter = scene.add("first", limits=limited(requests_per_minute=1))
        run(scene, ok())
        simulation = Simulation(scripted([]), scene.clock)
        running = simulation.start(scene.call().run(), at=scene.clock.now)
        simulation.at(scene.clock.now + SECOND, running.cancel)
        simulation.run()
        assert running.error is not None
        assert adapter.bulkhead.in_use == 0


def test_a_prompt_that_no_bytes_can_hold_is_estimated_all_the_same() -> None:
    class Surrogate(GradeItem):
        def prompt(self, request: Item) -> Prompt:
            return Prompt((Message("user", "\ud800"),))

    scene = Scene(capability=Surrogate())
    scene.add("first", limits=limited(tokens_per_minute=9_000))
    assert run(scene, ok()).by_ai


class TestADayOfSeveralProcesses:
    def test_has_a_figure_of_this_process_only_where_there_is_a_daily_quota(self) -> None:
        one = limited(requests_per_minute=5)
        assert (one.daily, one.taken_on(0)) == (False, None)
        both = limited(requests_per_day=10, tokens_per_day=100)
        taken(both, 1, tokens=7)
        assert (both.daily, both.taken_on(0), both.taken_on(1)) == (True, (1, 7), (0, 0))
        assert limited(tokens_per_day=100).taken_on(0) == (0, 0)

    def test_counts_what_others_took_too(self) -> None:
        limits = limited(requests_per_day=10)
        limits.count_others(0, 7, 999)
        assert isinstance(taken(limits, 0), Reservation)
        assert isinstance(taken(limits, 0), Reservation)
        assert taken(limits, 0).quota == "requests_per_day"
        limits.count_others(0, 6, 0)  # the latest word counts, not the sum
        assert isinstance(taken(limits, 0), Reservation)
        assert limits.taken_on(0) == (3, 0)

    def test_ends_at_midnight_for_others_too(self) -> None:
        limits = limited(tokens_per_day=10)
        limits.count_others(0, 0, 9)
        assert isinstance(taken(limits, 0, tokens=9, utc=DAY), Reservation)
        limits.count_others(0, 0, 9)  # of yesterday
        limits.give_back(Reservation(0, 1, 9))
        assert isinstance(taken(limits, 0, tokens=9, utc=DAY), Reservation)

    def test_that_others_began_earlier_is_theirs_alone(self) -> None:
        limits = limited(requests_per_day=10)
        taken(limits, 0)
        limits.count_others(1, 8, 0)
        assert limits.taken_on(1) == (0, 0)
        assert isinstance(taken(limits, 0, utc=DAY), Reservation)
        assert taken(limits, 0, utc=DAY).quota == "requests_per_day"

    def test_of_a_parent_is_anothers_in_its_child(self) -> None:
        limits = limited(requests_per_day=10)
        limits.count_others(0, 3, 0)
        for _ in range(4):
            taken(limits, 0)
        limits.after_fork()
        assert limits.taken_on(0) == (0, 0)
        assert [isinstance(taken(limits, 0), Reservation) for _ in range(3)] == [True, True, False]
