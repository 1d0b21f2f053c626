"""A fleet of processes in virtual time: openings are advice, one process tries under one lease, a lost store stops nobody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failsoft.core import breaker_peers
from failsoft.core.breaker import Breaker, Permit, State
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.breaker_states import Cause, Change, Mode
from failsoft.core.effects import SECOND
from failsoft.core.fleet import COUNTED_EVERY, HELD_FOR, LEASED_FOR, Fleet
from failsoft.core.fleet_member import AHEAD, Member, Told
from failsoft.core.latch import Latch
from failsoft.core.limits import DAY, Limits, LimitSettings, Reservation
from failsoft.core.route import GuardedAdapter
from failsoft.core.shared import Fact, MemoryStore, StateLost, fact
from failsoft.core.throttle import LONGEST_HINT, Throttle
from failsoft.fault import Settlement
from failsoft.io.drive_simulated import VirtualClock
from tests.core.scripted import guarded

TIMEOUT = 10 * SECOND
KEY = "key"
STEADY = BreakerSettings(jitter=0)


class NoJitter:
    def random(self) -> float:
        return 0.5

    def getrandbits(self, k: int, /) -> int:
        return 0


class Process:
    """One process with one adapter: its guards, and its part in the fleet. `step` is what its thread does."""

    def __init__(
        self, name: str, clock: VirtualClock, store: MemoryStore, limits: Limits | None = None, settings: Any = STEADY
    ) -> None:
        self.clock = clock
        self.store = store
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.changes: list[Told] = []
        self.adapter: GuardedAdapter = guarded("gpt", clock)
        self.adapter.breaker = Breaker(settings, clock, NoJitter(), self._changed)
        self.adapter.throttle = Throttle(NoJitter(), self._changed)
        self.adapter.latch = self.adapter.credential = Latch(NoJitter(), self._changed)
        self.adapter.latches = (self.adapter.latch,)
        self.adapter.limits = limits
        self.member = Member(KEY, f"{name}/gpt", self.adapter)
        self.fleet = Fleet([self.member], clock, self, SECOND)

    def emit(self, name: str, /, **fields: Any) -> None:
        self.heard.append((name, fields))

    def _changed(self, change: Told) -> None:
        self.changes.append(change)
        self.fleet.told("gpt", change)

    @property
    def breaker(self) -> Breaker:
        return self.adapter.breaker

    @property
    def state(self) -> State:
        return self.breaker.snapshot(self.clock.now).state

    def step(self) -> None:
        now = self.clock.now
        self.store.now_ms = self.clock.time_ns() // 1_000_000
        self.fleet.conduct(now)
        try:
            outgoing = self.fleet.outgoing(now)
            self.fleet.heard(self.store.exchange(outgoing.facts, outgoing.asks), now, now)
        except StateLost:
            self.fleet.lost()
        self.fleet.conduct(now)

    def call(self, settlement: Settlement | None) -> Permit | None:
        """One attempt; None: it isn't settled. Gives its permit, or None where it was refused."""
        if self.breaker.peek(self.clock.now) is not None:
            return None
        permit = self.breaker.acquire(self.clock.now, TIMEOUT)
        assert isinstance(permit, Permit)
        if settlement is not None:
            permit.settle(settlement, self.clock.now)
        return permit

    def fail(self, times: int = 5) -> None:
        for _ in range(times):
            self.call(Settlement.FAILURE)

    def succeed(self, times: int) -> None:
        for _ in range(times):
            self.call(Settlement.SUCCESS)


class World:
    def __init__(self, processes: int = 2, **options: Any) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore()
        self.processes = [self.join(f"p{n}", **options) for n in range(processes)]
        self.step()

    def join(self, name: str, **options: Any) -> Process:
        return Process(name, self.clock, self.store, **options)

    def step(self, times: int = 2) -> None:
        for _ in range(times):
            for each in self.processes:
                each.step()

    def advance(self, seconds: float, tick: float = 0.1) -> None:
        for _ in range(round(seconds / tick)):
            self.clock.now += int(tick * SECOND)
            self.step(1)

    def fact(self, kind: str) -> Fact:
        return self.store.facts[f"{KEY}/{kind}"]


@pytest.fixture
def world() -> World:
    return World()


# --- openings are advice ----------------------------------------------------------------------------------------------


def test_an_opening_reaches_a_process_that_knows_nothing(world: World) -> None:
    one, two = world.processes
    one.fail()
    world.step()
    assert one.state is two.state is State.OPEN
    assert two.changes[-1].reason == breaker_peers.PEER_OPENED  # type: ignore[union-attr]


def test_one_that_knows_better_stays_closed_and_says_so(world: World) -> None:
    one, two = world.processes
    two.succeed(5)
    one.fail()
    world.step()
    assert two.state is State.CLOSED
    assert two.heard == [
        ("peer.disagrees", {"adapter": "gpt", "reason": "consecutive", "calls": 5, "failures": 0}),
    ]


def test_it_contradicts_so_that_others_arent_the_sick_ones_hostages(world: World) -> None:
    one, two = world.processes
    three = world.join("p3")
    world.processes.append(three)
    two.succeed(5)
    one.fail()
    world.step(3)
    assert (world.fact("open").rank, world.fact("open").owner) == (0, "p1/gpt")
    assert (one.state, two.state, three.state) == (State.OPEN, State.CLOSED, State.CLOSED)


def test_the_sick_one_goes_on_by_its_own_back_off(world: World) -> None:
    one, two = world.processes
    two.succeed(5)
    one.fail()
    world.step(3)
    world.advance(5.1)
    assert one.state is State.HALF_OPEN
    one.fail(2)
    two.succeed(5)
    world.step(3)
    world.advance(9.5)
    assert (one.state, two.state) == (State.OPEN, State.CLOSED)
    assert one.breaker.snapshot(world.clock.now).trips == 2


def test_a_contradiction_is_due_soon_though_nothing_is_open_here(world: World) -> None:
    one, two = world.processes
    two.succeed(5)
    one.fail()
    one.step()
    one.step()
    two.step()
    assert two.fleet.next_due(world.clock.now) == world.clock.now + AHEAD


def test_who_is_open_by_advice_alone_tries_first_and_who_failed_last(world: World) -> None:
    one, two = world.processes
    three = world.join("p3")
    world.processes.append(three)
    one.fail()
    three.fail()
    world.step()
    world.advance(5.2)
    assert two.state is State.HALF_OPEN
    two.fail(2)
    world.step()
    assert two.member.failed
    assert two.member.asks_at > max(one.member.asks_at, three.member.asks_at)


@pytest.mark.parametrize(("good", "bad", "follows"), [(4, 0, True), (5, 0, False), (4, 1, False), (15, 5, True)])
def test_it_knows_better_with_five_calls_and_under_half_the_rate(good: int, bad: int, follows: bool) -> None:
    world = World(settings=BreakerSettings(jitter=0, consecutive=100, consecutive_busy=100))
    one, two = world.processes
    two.succeed(good)
    two.fail(bad)
    one.breaker.trip(Cause.WRONG_MODEL, world.clock.now)
    world.step()
    assert (two.state is State.OPEN) is follows


def test_what_it_knew_a_window_ago_counts_for_nothing(world: World) -> None:
    one, two = world.processes
    two.succeed(5)
    world.advance(61, 1)
    one.fail()
    world.step()
    assert two.state is State.OPEN


def test_advice_is_no_trip_of_its_own_but_takes_over_the_peers(world: World) -> None:
    one, two = world.processes
    one.fail()
    world.step()
    assert two.breaker.snapshot(world.clock.now).trips == 1


def test_a_half_open_one_goes_on_trying(world: World) -> None:
    one, two = world.processes
    two.breaker.to_trial("unblocked", world.clock.now)
    one.fail()
    world.step()
    assert two.state is State.HALF_OPEN


def test_what_a_process_did_on_a_peers_word_isnt_told_again(world: World) -> None:
    one, _ = world.processes
    one.fail()
    world.step(4)
    assert world.fact("open").owner == "p0/gpt"
    assert world.fact("open").epoch == 1


def test_a_process_that_joins_tells_nothing_and_follows(world: World) -> None:
    world.processes[0].fail()
    world.step()
    before = dict(world.store.facts)
    joined = world.join("p9")
    joined.step()
    assert world.store.facts == before
    assert joined.state is State.OPEN


def test_one_that_joins_a_healthy_fleet_touches_nothing(world: World) -> None:
    joined = world.join("p9")
    joined.step()
    joined.step()
    assert world.store.facts == {}


def test_a_skewed_clock_makes_no_opening_longer_than_an_hour(world: World) -> None:
    far = world.store.now_ms + 10**9
    world.store.facts[f"{KEY}/open"] = fact(1, far, owner="elsewhere/gpt", reason="rate", trips=1)
    world.step()
    assert world.processes[0].member.due == LONGEST_HINT


def test_one_that_joins_between_two_trials_is_held_from_its_first_moment(world: World) -> None:
    past = world.store.now_ms - 1_000
    world.store.facts[f"{KEY}/open"] = fact(1, past, owner="elsewhere/gpt", reason="rate", trips=1)
    joined = world.join("p9")
    joined.step()
    (change,) = joined.changes
    assert isinstance(change, Change)
    assert change.until_ns is not None
    assert change.until_ns >= HELD_FOR * SECOND


def test_an_opening_that_nobody_has_tried_since_a_minute_is_history(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.clock.now += 66 * SECOND
    joined = world.join("p9")
    joined.step()
    assert joined.state is State.CLOSED


def test_a_peers_closing_closes_those_that_were_open_by_advice(world: World) -> None:
    one, two = world.processes
    one.fail()
    world.step()
    one.breaker.to_trial("unblocked", world.clock.now)
    one.succeed(2)
    world.step()
    assert one.state is two.state is State.CLOSED


def test_a_peers_closing_lets_those_try_that_had_opened_by_themselves(world: World) -> None:
    one, two = world.processes
    one.fail()
    two.fail()
    world.step()
    one.breaker.to_trial("unblocked", world.clock.now)
    one.succeed(2)
    world.step()
    assert two.state is State.OPEN
    world.advance(4.9)
    assert two.state is State.OPEN
    world.advance(0.1)
    assert two.state is State.HALF_OPEN
    assert two.member.lease is None


def test_a_closing_that_nobody_was_open_for_isnt_told(world: World) -> None:
    one, two = world.processes
    one.breaker.to_trial("unblocked", world.clock.now)
    one.succeed(2)
    world.step()
    assert world.store.facts == {}
    assert two.changes == []


def test_one_that_starts_after_an_unblocking_asks_at_once(world: World) -> None:
    world.processes[0].fail()
    world.step()
    for each in world.processes:
        each.breaker.to_trial(breaker_peers.UNBLOCKED, world.clock.now)
    world.step()
    joined = world.join("p9")
    joined.step()
    assert joined.state is State.CLOSED
    assert (world.fact("open").epoch, world.fact("open").rank) == (2, 0)


def test_one_that_still_fails_after_an_unblocking_opens_the_others_anew(world: World) -> None:
    one, two = world.processes
    one.fail()
    world.step()
    for each in world.processes:
        each.breaker.to_trial(breaker_peers.UNBLOCKED, world.clock.now)
    two.succeed(2)
    world.step()
    one.fail(2)
    world.step()
    assert (world.fact("open").owner, one.state, two.state) == ("p0/gpt", State.OPEN, State.OPEN)


# --- leases -----------------------------------------------------------------------------------------------------------


def test_under_one_lease_one_process_tries(world: World) -> None:
    world.processes += [world.join(f"p{n}") for n in range(2, 6)]
    world.processes[0].fail()
    world.step()
    world.advance(5.1)
    assert [each.state for each in world.processes].count(State.HALF_OPEN) == 1
    world.advance(60)
    assert [each.state for each in world.processes].count(State.HALF_OPEN) == 1


def test_one_that_has_heard_nothing_may_ask_from_the_first_moment(world: World) -> None:
    assert Member(KEY, "p9/gpt", world.processes[0].adapter).asks_at == 0


def test_the_trial_comes_when_the_opening_is_due_not_later(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(4.9)
    assert {each.state for each in world.processes} == {State.OPEN}
    world.advance(0.1)
    assert [each.state for each in world.processes].count(State.HALF_OPEN) == 1


def test_its_success_closes_all_and_gives_the_lease_back(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(5.1)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    holder.succeed(2)
    world.step()
    world.processes[0].succeed(2)
    assert {each.state for each in world.processes} == {State.CLOSED}
    assert world.fact("lease").rank == 0
    assert world.fact("open").rank == 0


def test_its_failure_opens_all_for_longer_and_gives_the_lease_back(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(5.1)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    holder.fail(2)
    world.step()
    assert {each.state for each in world.processes} == {State.OPEN}
    assert world.fact("lease").rank == 0
    world.advance(9.5)
    assert {each.state for each in world.processes} == {State.OPEN}
    world.advance(0.8)
    assert [each.state for each in world.processes].count(State.HALF_OPEN) == 1


def test_a_conclusion_is_told_in_the_leases_epoch(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(5.1)
    lease = world.fact("lease").epoch
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    holder.fail(2)
    world.step()
    assert world.fact("open").epoch == lease > 1


def test_a_holder_that_dies_is_followed_by_another_when_its_lease_ends(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(5.1)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    (other,) = (each for each in world.processes if each is not holder)
    world.processes.remove(holder)
    world.advance(LEASED_FOR - 2)
    assert other.state is State.OPEN
    world.advance(3)
    assert other.state is State.HALF_OPEN


def test_one_that_leaves_gives_its_lease_back_at_once(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(5.1)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    (other,) = (each for each in world.processes if each is not holder)
    leaving = holder.fleet.leaving()
    assert leaving
    world.store.exchange(leaving.facts, leaving.asks)
    world.processes.remove(holder)
    world.advance(1.1)
    assert other.state is State.HALF_OPEN
    assert not holder.fleet.leaving()


def test_a_holder_without_callers_waits_for_them(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(120)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    assert holder.call(Settlement.SUCCESS) is not None


def test_it_stands_down_for_a_process_that_has_callers(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(6)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    (other,) = (each for each in world.processes if each is not holder)
    assert other.call(Settlement.SUCCESS) is None
    world.advance(1.5)
    assert (holder.state, other.state) == (State.OPEN, State.HALF_OPEN)


@pytest.mark.parametrize("ahead_s", [60, 86_400, 2**50])
def test_a_want_that_no_process_would_say_moves_nobody(world: World, ahead_s: int) -> None:
    world.processes[0].fail()
    world.step()
    world.store.facts[f"{KEY}/want"] = fact(0, world.store.now_ms + ahead_s * 1_000, owner="ghost/gpt")
    world.advance(5.9)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    assert not holder.member.wanted


def test_what_was_forged_to_outlast_every_want_is_contradicted(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.store.facts[f"{KEY}/want"] = fact(0, 2**50, owner="ghost/gpt")
    world.advance(6)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    (other,) = (each for each in world.processes if each is not holder)
    assert other.call(Settlement.SUCCESS) is None
    world.advance(1.5)
    assert (holder.state, other.state) == (State.OPEN, State.HALF_OPEN)
    assert world.fact("want").epoch == 1


def test_it_tries_for_one_refresh_before_it_stands_down(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(4.9)
    world.store.facts[f"{KEY}/want"] = fact(0, world.store.now_ms + 3_000, owner="elsewhere/gpt")
    world.advance(0.9)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    assert holder.member.wanted
    world.advance(0.3)
    assert holder.state is State.OPEN


def test_it_doesnt_stand_down_while_a_trial_is_out(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(6)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    (other,) = (each for each in world.processes if each is not holder)
    assert holder.call(None) is not None
    other.call(Settlement.SUCCESS)
    world.advance(3)
    assert (holder.state, other.state) == (State.HALF_OPEN, State.OPEN)


def test_a_lease_is_renewed_while_a_slow_trial_is_out(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(6)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    holder.breaker.acquire(world.clock.now, 60 * SECOND)
    world.advance(40)
    assert [each.state for each in world.processes].count(State.HALF_OPEN) == 1
    assert holder.state is State.HALF_OPEN


def test_one_whose_thread_slept_through_its_lease_has_it_no_more(world: World) -> None:
    one, two = world.processes
    one.fail()
    world.step()
    world.advance(4.9)
    assert two.member.lease is not None
    world.processes = []
    world.clock.now += (LEASED_FOR + 1) * SECOND
    two.fleet.conduct(world.clock.now)
    assert two.member.lease is None


def test_a_lease_that_is_held_before_the_trial_outlives_an_unblocking(world: World) -> None:
    one, _ = world.processes
    one.fail()
    world.processes = [one]
    world.step()
    world.advance(4.9)
    one.breaker.to_trial("unblocked", world.clock.now)
    one.succeed(2)
    world.step()
    assert world.fact("lease").rank == 0


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["fail", "succeed", "step", "sleep"])), max_size=60))
def test_whatever_happens_one_process_at_most_tries_under_a_lease(happens: list[tuple[int, str]]) -> None:
    world = World(4)
    for each in world.processes:
        each.fail()
    world.step()
    closed = False
    for place, what in happens:
        process = world.processes[place]
        if what == "sleep":
            world.advance(1.0, 0.25)
        elif what == "step":
            process.step()
        else:
            process.call(Settlement.FAILURE if what == "fail" else Settlement.SUCCESS)
        closed |= any(each.breaker.snapshot(world.clock.now).state is State.CLOSED for each in world.processes)
        if closed:
            return  # the others may try for themselves
        assert sum(each.state is State.HALF_OPEN for each in world.processes) <= 1


# --- the store is down ------------------------------------------------------------------------------------------------


def test_without_the_store_each_process_tries_by_itself(world: World) -> None:
    for each in world.processes:
        each.fail()
    world.step()
    world.store.down = "gone"
    world.advance(5 + HELD_FOR)
    assert {each.state for each in world.processes} == {State.HALF_OPEN}


def test_one_whose_thread_died_is_let_go_when_its_hold_runs_out(world: World) -> None:
    one, _ = world.processes
    one.fail()
    world.step()
    world.processes = []
    world.clock.now += (5 + HELD_FOR) * SECOND
    assert one.state is State.HALF_OPEN


def test_an_opening_that_begins_is_held_from_its_first_moment() -> None:
    world = World(settings=BreakerSettings(jitter=0, open_base_s=0.001, open_cap_s=0.001))
    one, _ = world.processes
    one.fail()
    world.clock.now += (HELD_FOR * SECOND) - 1
    assert one.state is State.OPEN


def test_without_the_store_nothing_is_held() -> None:
    world = World(settings=BreakerSettings(jitter=0, open_base_s=0.001, open_cap_s=0.001))
    one, _ = world.processes
    world.store.down = "gone"
    world.step()
    one.fail()
    world.clock.now += SECOND
    assert one.state is State.HALF_OPEN


def test_what_kind_of_fact_it_doesnt_know_it_neither_keeps_nor_tells_again(world: World) -> None:
    world.store.facts |= {f"{KEY}/weather": fact(1, 1), "nonsense": fact(1, 1)}
    world.step()
    world.store.facts.clear()
    world.step()
    assert world.store.facts == {}


def test_what_happened_meanwhile_merges_when_the_store_is_back(world: World) -> None:
    one, two = world.processes
    world.store.down = "gone"
    world.step()
    one.fail()
    world.step()
    assert two.state is State.CLOSED
    world.store.down = None
    world.step()
    assert two.state is State.OPEN


def test_only_the_last_of_what_happened_meanwhile_is_told(world: World) -> None:
    one, two = world.processes
    world.store.down = "gone"
    world.step()
    one.fail()
    one.breaker.to_trial("unblocked", world.clock.now)
    one.succeed(2)
    world.store.down = None
    world.step()
    assert two.changes == []


def test_what_was_on_its_way_as_the_store_went_is_told_again(world: World) -> None:
    one, _ = world.processes
    one.fail()
    one.fleet.outgoing(world.clock.now)  # and it never arrives
    world.step()
    assert world.fact("open").owner == "p0/gpt"


def test_a_store_that_lost_everything_is_told_it_again(world: World) -> None:
    world.processes[0].fail()
    world.step()
    kept = world.fact("open")
    world.store.facts.clear()
    world.step()
    assert world.fact("open") == kept


def test_before_the_store_has_said_what_time_it_is_nothing_goes_out() -> None:
    world = World(0)
    one = world.join("p1")
    one.fail()
    assert not one.fleet.outgoing(0)
    assert one.fleet.next_due(0) == 0
    one.step()
    one.step()
    assert world.fact("open").rank


# --- throttle and latch are unconditional -----------------------------------------------------------------------------


def test_a_wait_that_one_was_told_holds_for_all_that_do_well_too(world: World) -> None:
    one, two = world.processes
    two.succeed(10)
    one.adapter.throttle.throttled(world.clock.now, 20 * SECOND)
    world.step()
    assert two.adapter.throttle.until(world.clock.now) >= 20 * SECOND


def test_a_wait_is_never_shortened_by_a_peer(world: World) -> None:
    one, two = world.processes
    two.adapter.throttle.throttled(world.clock.now, 60 * SECOND)
    until = two.adapter.throttle.until(world.clock.now)
    one.adapter.throttle.throttled(world.clock.now, 20 * SECOND)
    world.step()
    assert two.adapter.throttle.until(world.clock.now) == until


def test_a_peers_shorter_wait_changes_nothing(world: World) -> None:
    throttle = world.processes[0].adapter.throttle
    throttle.throttled(0, 20 * SECOND)
    world.processes[0].changes.clear()
    throttle.advised(10 * SECOND, 0)
    assert world.processes[0].changes == []


@pytest.mark.parametrize("ahead", [-10, 0, 10, 10**6])
def test_a_skewed_clock_neither_shortens_a_wait_nor_passes_the_hint_cap(world: World, ahead: int) -> None:
    (two,) = world.processes[1:]
    two.adapter.throttle.throttled(world.clock.now, 20 * SECOND)
    own = two.adapter.throttle.until(world.clock.now)
    skewed = world.store.now_ms + 20_000 + ahead * 1_000
    world.store.facts[f"{KEY}/throttle"] = fact(0, skewed, owner="elsewhere/gpt")
    for _ in range(10):
        world.advance(1)
        assert own <= two.adapter.throttle.until(world.clock.now) <= 10 * SECOND + LONGEST_HINT


def test_a_latch_reaches_all_and_so_does_its_end(world: World) -> None:
    one, two = world.processes
    one.adapter.latch.trip("the credential is refused", True, "call", world.clock.now)
    world.step()
    assert two.adapter.latch.cause(world.clock.now) == "the credential is refused"
    two.adapter.latch.lift()
    world.step()
    assert one.adapter.latch.cause(world.clock.now) is None
    assert world.fact("latch").epoch == 2


def test_a_latchs_trial_is_due_for_one_that_starts_after_five_minutes(world: World) -> None:
    world.processes[0].adapter.latch.trip("the credential is refused", True, "call", world.clock.now)
    world.step()
    early = world.join("early")
    early.step()
    assert early.adapter.latch.cause(world.clock.now) == "the credential is refused"
    world.clock.now += 331 * SECOND
    late = world.join("late")
    late.step()
    assert late.adapter.latch.cause(world.clock.now) is None
    assert late.adapter.latch.admit(world.clock.now)
    assert late.adapter.latch.cause(world.clock.now) == "the credential is refused"


def test_a_latch_counts_from_its_own_moment_though_its_told_late(world: World) -> None:
    one, two = world.processes
    world.store.down = "gone"
    world.clock.now += SECOND
    latched = world.clock.now
    one.adapter.latch.trip("the credential is refused", True, "call", latched)
    world.clock.now += 331 * SECOND
    world.store.down = None
    world.step()
    assert two.adapter.latch.cause(world.clock.now) is None


@pytest.mark.parametrize("at", [None, "then", -1, 2**61])
def test_a_latch_that_says_no_moment_or_one_to_come_counts_from_when_its_heard(world: World, at: object) -> None:
    world.store.facts[f"{KEY}/latch"] = fact(1, 1, owner="elsewhere/gpt", cause="gone", at=at)
    world.step()
    latch = world.processes[0].adapter.latch
    assert latch.cause(299 * SECOND) == "gone"
    assert latch.cause(331 * SECOND) is None


def test_a_latch_whose_cause_got_lost_says_so(world: World) -> None:
    world.store.facts[f"{KEY}/latch"] = Fact(1, 1, "nonsense")
    world.step()
    assert world.processes[0].adapter.latch.cause(0) == "as another process found"


def test_a_peers_latch_changes_nothing_where_theres_one_already_and_its_end_nothing_where_theres_none() -> None:
    latch = Latch(NoJitter())
    latch.advised(None, 0)
    latch.trip("its own", True, "call", 0)
    latch.advised("a peer's", 0)
    assert latch.cause(0) == "its own"


def test_a_peers_word_that_its_mended_clears_a_suspicion() -> None:
    latch = Latch(NoJitter())
    latch.trip("denied", False, "one", 0)
    latch.advised(None, 0)
    latch.trip("denied", False, "two", 0)
    assert latch.cause(0) is None


# --- daily quotas -----------------------------------------------------------------------------------------------------


def limited() -> Limits:
    return Limits(LimitSettings(requests_per_day=100, tokens_per_day=10_000))


def take(process: Process, times: int = 1) -> int:
    taken = 0
    for _ in range(times):
        clock = process.clock
        assert process.adapter.limits is not None
        got = process.adapter.limits.take(clock.now, clock.time_ns(), 10)
        taken += isinstance(got, Reservation)
    return taken


def counted() -> World:
    world = World(0)
    world.processes = [world.join(f"p{n}", limits=limited()) for n in range(3)]
    world.step()
    return world


def test_a_daily_quota_is_the_fleets() -> None:
    world = counted()
    assert [take(each, 30) for each in world.processes] == [30, 30, 30]
    world.advance(6, 1)
    assert [take(each) for each in world.processes] == [0, 0, 0]


def test_a_restart_begins_no_new_quota() -> None:
    world = counted()
    assert take(world.processes[0], 100) == 90
    world.advance(6, 1)
    world.processes = [world.join("p9", limits=limited())]
    world.step()
    assert take(world.processes[0]) == 0


def test_a_new_day_does_and_old_counts_are_forgotten() -> None:
    world = counted()
    take(world.processes[0], 90)
    world.advance(6, 1)
    world.clock.now += 3 * DAY
    world.step()
    assert take(world.processes[1], 100) == 90
    world.advance(6, 1)
    assert {each.epoch for name, each in world.store.facts.items() if "/day/" in name} == {
        world.clock.time_ns() // DAY - 3,
        world.clock.time_ns() // DAY,
    }
    assert not any(
        "/day/" in name and each.epoch < world.clock.time_ns() // DAY - 1
        for name, each in world.processes[0].fleet._known.items()
    )


def test_counts_are_told_every_five_seconds_at_most_and_only_when_they_change() -> None:
    world = counted()
    one = world.processes[0]
    take(one)
    world.step()
    take(one)
    world.step()
    (name,) = (each for each in world.store.facts if "/day/" in each)
    assert world.store.facts[name].said["requests"] == 1
    world.advance(COUNTED_EVERY / SECOND + 0.2)
    assert world.store.facts[name].said["requests"] == 2
    assert world.store.facts[name].rank == 2
    world.advance(20, 1)
    assert world.store.facts[name].rank == 2


def test_a_count_that_isnt_ours_counts_for_nothing() -> None:
    world = counted()
    day = world.clock.time_ns() // DAY
    world.store.facts[f"{KEY}/day/x"] = fact(day, 1, owner="x", requests="all", tokens=None)
    world.step()
    assert take(world.processes[0]) == 1


def test_a_count_below_nothing_gives_nobody_more() -> None:
    world = counted()
    day = world.clock.time_ns() // DAY
    world.store.facts[f"{KEY}/day/x"] = fact(day, 1, owner="x", requests=-1_000, tokens=-(2**70))
    world.step()
    assert take(world.processes[0], 150) == 90


def test_an_adapter_without_a_daily_quota_tells_no_count() -> None:
    world = World(1, limits=Limits(LimitSettings(requests_per_minute=10)))
    take(world.processes[0])
    world.step()
    assert world.store.facts == {}


def test_only_the_quota_that_there_is_is_counted() -> None:
    limits = Limits(LimitSettings(tokens_per_day=100))
    assert limits.taken_on(0) == (0, 0)
    limits.take(0, 0, 10)
    assert limits.taken_on(0) == (0, 10)
    limits.count_others(0, 5, 80)
    assert not isinstance(limits.take(0, 0, 10), Reservation)
    limits.take(0, 2 * DAY, 10)
    limits.count_others(1, 5, 80)
    assert isinstance(limits.take(0, 2 * DAY, 70), Reservation)


def test_what_a_parent_took_of_a_day_is_no_childs_own_but_counts_for_it() -> None:
    limits = limited()
    limits.take(0, 0, 10)
    limits.after_fork()
    assert limits.taken_on(0) == (0, 0)
    assert sum(isinstance(limits.take(0, 0, 10), Reservation) for _ in range(100)) == 89
    Limits(LimitSettings(requests_per_minute=1)).after_fork()


# --- its thread -------------------------------------------------------------------------------------------------------


def test_while_all_is_well_theres_nothing_to_do(world: World) -> None:
    assert world.processes[0].fleet.next_due(world.clock.now) is None


def test_with_a_daily_quota_theres_something_every_five_seconds() -> None:
    world = counted()
    assert world.processes[0].fleet.next_due(world.clock.now) == world.clock.now + COUNTED_EVERY


def test_what_was_told_is_due_at_once(world: World) -> None:
    world.processes[0].fail()
    assert world.processes[0].fleet.next_due(world.clock.now) == world.clock.now


def test_an_opening_is_looked_after_every_second_and_when_its_trial_is_due(world: World) -> None:
    one, two = world.processes
    one.fail()
    world.step()
    assert two.fleet.next_due(world.clock.now) == world.clock.now + SECOND
    world.advance(4.9)
    assert two.member.lease is not None
    assert two.fleet.next_due(world.clock.now) == 5 * SECOND


def test_one_that_tries_looks_after_its_lease(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(5.1)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    assert holder.member.lease is not None
    assert holder.fleet.next_due(world.clock.now) == world.clock.now + SECOND


def test_a_store_in_memory_waits_for_nobody() -> None:
    store = MemoryStore()
    store.wake()
    assert store.wait(1) is False
    store.after_fork()
    store.close()


def test_nothing_is_told_of_adapters_that_arent_the_fleets_nor_of_a_wait_that_is_over(world: World) -> None:
    one, _ = world.processes
    assert not one.fleet.told("other", one.changes[-1] if one.changes else _opening(one))
    one.changes.clear()
    one.adapter.throttle.throttled(0, SECOND)
    one.adapter.throttle.lift()
    assert [one.fleet.told("gpt", each) for each in one.changes] == [True, False]


def _opening(process: Process) -> Told:
    process.fail()
    return process.changes[-1]


# --- after a fork -----------------------------------------------------------------------------------------------------


def test_a_child_is_a_peer_of_its_parent_and_has_no_lease(world: World) -> None:
    one, two = world.processes
    two.fleet.after_fork("p1")
    one.fail()
    world.step()
    world.advance(5.1)
    (holder,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    holder.fail(1)
    holder.fleet.after_fork("child")
    assert holder.member.owner == "child/gpt"
    assert holder.member.lease is None
    assert not holder.fleet.up
    assert not holder.fleet.outgoing(world.clock.now)


# --- a breaker and its peers' word, by themselves -----------------------------------------------------------------------


def test_an_open_one_waits_at_least_as_long_as_a_peer(world: World) -> None:
    one, _ = world.processes
    one.fail()
    assert breaker_peers.advise(one.breaker, 30 * SECOND, 1, 0)
    assert one.breaker.snapshot(0).until_ns == 30 * SECOND
    assert breaker_peers.advise(one.breaker, 10 * SECOND, 1, 0)
    assert one.breaker.snapshot(0).until_ns == 30 * SECOND


def test_a_closed_one_has_nobody_to_give_way_to_and_needs_no_relief(world: World) -> None:
    one, _ = world.processes
    assert not breaker_peers.stand_down(one.breaker, SECOND, 0)
    breaker_peers.relieve(one.breaker, 0)
    assert one.changes == []


def test_trials_that_are_out_are_counted(world: World) -> None:
    one, _ = world.processes
    one.breaker.to_trial("unblocked", 0)
    one.call(None)
    assert not breaker_peers.stand_down(one.breaker, SECOND, 0)


def test_one_that_is_only_observed_stays_closed_whatever_peers_say(world: World) -> None:
    one = world.processes[0]
    one.breaker.to_mode(Mode.OBSERVE, 0)
    assert breaker_peers.advise(one.breaker, 30 * SECOND, 1, 0)
    assert one.state is State.CLOSED


def test_advice_lets_overdue_calls_be() -> None:
    settings = BreakerSettings(slow_rate=50, slow_after_s=10, min_calls=1)
    breaker = Breaker(settings, VirtualClock(), NoJitter())
    breaker.acquire(0, 60 * SECOND)
    assert breaker_peers.advise(breaker, 5 * SECOND, 1, 0)
    breaker_peers.relieve(breaker, SECOND)
    assert breaker.snapshot(30 * SECOND).state is State.CLOSED  # what began before the opening is slow for nobody
