"""What a process tells its fleet, word by word: what stands in the store is read by processes of other versions, too."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.core.breaker import State
from failsoft.core.breaker_states import Change
from failsoft.core.effects import SECOND
from failsoft.core.fleet import _count
from failsoft.core.latch import Latch
from failsoft.core.limits import DAY
from failsoft.core.shared import Fact, Seen, fact
from tests.core.test_fleet import KEY, NoJitter, Process, World, counted, limited, take


@pytest.fixture
def world() -> World:
    return World()


def holder(world: World) -> Process:
    (one,) = (each for each in world.processes if each.state is State.HALF_OPEN)
    return one


def said(world: World, kind: str) -> dict[str, Any]:
    return dict(world.fact(kind).said)


def test_of_an_opening_and_its_end(world: World) -> None:
    world.processes[0].fail()
    world.step()
    assert said(world, "open") == {"owner": "p0/gpt", "reason": "consecutive", "trips": 1}
    world.advance(5.1)
    one = holder(world)
    one.succeed(2)
    world.step()
    fact = world.fact("open")
    assert (fact.rank, said(world, "open")) == (
        0,
        {"owner": one.member.owner, "reason": "trials_succeeded", "trips": 0},
    )
    assert not one.member.failed


def test_of_an_opening_that_another_contradicts(world: World) -> None:
    one, two = world.processes
    two.succeed(5)
    one.fail()
    world.step(3)
    assert said(world, "open") == {"owner": "p1/gpt", "reason": "peer_disagrees", "trips": 0}


def test_of_each_trials_conclusion_in_its_leases_epoch_however_many_there_were(world: World) -> None:
    world.processes[0].fail()
    world.step()
    for _ in range(3):
        while not any(each.state is State.HALF_OPEN for each in world.processes):
            world.advance(0.5)
        lease, one = world.fact("lease").epoch, holder(world)
        one.fail(2)
        world.step()
        assert world.fact("open").epoch == lease
        given_back = world.fact("lease")
        assert (given_back.epoch, given_back.rank, given_back.owner) == (lease + 1, 0, one.member.owner)
        assert [each.member.failed for each in world.processes] == [each is one for each in world.processes]


def test_of_a_wait(world: World) -> None:
    world.processes[0].adapter.throttle.throttled(world.clock.now, 30 * SECOND)
    world.step()
    assert (world.fact("throttle").epoch, said(world, "throttle")) == (0, {"owner": "p0/gpt"})


def test_of_a_latch_and_its_end(world: World) -> None:
    latch = world.processes[0].adapter.latch
    latch.trip("gone", True, "call", world.clock.now)
    world.step()
    at = world.clock.time_ns() // 1_000_000
    assert (world.fact("latch").rank, said(world, "latch")) == (1, {"owner": "p0/gpt", "cause": "gone", "at": at})
    latch.lift()
    world.step()
    assert (world.fact("latch").rank, said(world, "latch")) == (0, {"owner": "p0/gpt", "cause": ""})


def test_its_end_opens_the_way_of_the_credential_too(world: World) -> None:
    one, two = world.processes
    one.adapter.latch.trip("gone", True, "call", world.clock.now)
    world.step()
    credential = Latch(NoJitter())
    two.adapter.credential, two.adapter.latches = credential, (two.adapter.latch, credential)
    credential.trip("refused", True, "call", world.clock.now)
    one.adapter.latch.lift()
    world.step()
    assert two.adapter.latched(world.clock.now) is None
    one.adapter.latch.trip("gone again", True, "call", world.clock.now)
    world.step()
    assert (two.adapter.latch.cause(world.clock.now), credential.cause(world.clock.now)) == ("gone again", None)


def test_of_a_days_count() -> None:
    world = counted()
    take(world.processes[0], 3)
    world.advance(6, 1)
    kind = "day/p0/gpt"
    assert world.fact(kind).epoch == world.clock.time_ns() // DAY
    assert said(world, kind) == {"owner": "p0/gpt", "requests": 3, "tokens": 30}


def test_a_count_of_ones_own_isnt_also_anothers() -> None:
    world = World(0)
    world.processes = [world.join("p0", limits=limited())]
    world.step()
    assert take(world.processes[0], 50) == 50
    world.advance(12, 1)
    assert take(world.processes[0], 50) == 40  # nine tenths of a hundred


def test_tokens_of_others_count() -> None:
    world = counted()
    one, two, _ = world.processes
    assert one.adapter.limits is not None
    one.adapter.limits.take(world.clock.now, world.clock.time_ns(), 8_995)
    world.advance(6, 1)
    assert take(two) == 0  # ten more would be above nine tenths of ten thousand


def test_why_a_process_tries_is_told(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(5.1)
    one = holder(world)
    reasons = [each.reason for each in one.changes if isinstance(each, Change) and each.after is State.HALF_OPEN]
    assert reasons == ["waited"]


def test_of_an_adapter_that_isnt_the_fleets_nothing_is_told_later_either(world: World) -> None:
    one, _ = world.processes
    one.fail()
    assert one.fleet.told("other", one.changes[-1]) is False
    world.step()
    assert set(world.store.facts) >= {f"{KEY}/open"}
    two = world.processes[1]
    assert two.changes
    assert two.fleet.told("gpt", two.changes[-1]) is False  # it opened on a peer's word


@pytest.mark.parametrize(("who", "ahead"), [("advised", 0.4), ("own", 0.2), ("failed", 0.05)])
def test_whose_trial_tells_most_asks_so_long_before_the_end(world: World, who: str, ahead: float) -> None:
    one, two = world.processes
    one.fail()
    world.step()
    member = (two if who == "advised" else one).member
    member.failed = who == "failed"
    member.next_ask = member.pause = 0
    assert member.asks_at == member.due - int(ahead * SECOND)


def test_a_contradiction_is_in_the_next_epoch(world: World) -> None:
    one, two = world.processes
    two.succeed(5)
    one.fail()
    world.step(3)
    assert world.fact("open").epoch == 2


def test_a_true_want_stays_in_its_epoch_however_often_its_told(world: World) -> None:
    world.processes[0].fail()
    world.step()
    world.advance(6)
    for _ in range(3):
        one = holder(world)
        (other,) = (each for each in world.processes if each is not one)
        other.call(None)
        world.advance(3)
        assert world.fact("want").epoch == 0


def test_one_that_had_opened_by_itself_says_why_it_tries(world: World) -> None:
    for each in world.processes:
        each.fail()
    world.step()
    world.advance(5.1)
    one = holder(world)
    one.succeed(2)
    (other,) = (each for each in world.processes if each is not one)
    world.advance(6)
    told = [each for each in other.changes if isinstance(each, Change) and each.after is State.HALF_OPEN]
    assert [each.reason for each in told] == ["waited"]


def test_a_child_tells_nothing_that_its_parent_heard_of_itself(world: World) -> None:
    one, _ = world.processes
    one.adapter.throttle.throttled(world.clock.now, 30 * SECOND)
    one.fleet.collect()
    one.adapter.latch.trip("gone", True, "call", world.clock.now)
    one.fleet.after_fork("child")
    assert not one.fleet.up
    one.step()
    one.step()
    assert not [name for name in world.store.facts if name.endswith(("throttle", "latch"))]


class TestTheMoment:
    """A refresh is one second: a lease lasts ten, a want three, and is believed for six."""

    @pytest.fixture
    def one(self, world: World) -> Process:
        one = world.processes[0]
        one.fail()
        world.step()
        return one

    def test_to_ask_for_a_lease_is_looked_at_though_its_sooner_than_the_next_refresh(self, one: Process) -> None:
        now = one.member.asks_at - SECOND // 10
        assert one.fleet.next_due(now) == one.member.asks_at

    def test_to_renew_a_lease_is_when_half_of_it_is_left(self, one: Process) -> None:
        now, member = one.clock.now, one.member
        member.lease, member.trying = 1, False
        member.lease_until, member.due = now + 5 * SECOND + SECOND // 2, now + 60 * SECOND
        assert one.fleet.next_due(now) == now + SECOND // 2
        assert one.fleet.outgoing(now + SECOND // 2 - 1).asks == ()
        assert len(one.fleet.outgoing(now + SECOND // 2).asks) == 1

    @pytest.mark.parametrize(("ahead_ms", "epoch"), [(3_000, 0), (6_000, 0), (6_001, 1)])
    def test_beyond_which_a_want_is_nobodys_is_twice_a_wants(self, one: Process, ahead_ms: int, epoch: int) -> None:
        told: dict[str, Fact] = {}
        one.fleet._known[f"{KEY}/want"] = fact(0, 1_000 + ahead_ms, owner="ghost/gpt")
        one.fleet._tell_want(one.member, 1_000, told)
        assert (told[f"{KEY}/want"].epoch, told[f"{KEY}/want"].rank) == (epoch, 4_000)

    @pytest.mark.parametrize(("ahead_ms", "wanted"), [(0, False), (1, True), (6_000, True), (6_001, False)])
    def test_until_which_a_want_holds_is_its_own(self, one: Process, ahead_ms: int, wanted: bool) -> None:
        want = fact(0, 1_000 + ahead_ms, owner="p1/gpt")
        one.fleet.heard(Seen(1_000, {f"{KEY}/want": want}), one.clock.now, one.clock.now)
        assert one.member.wanted == wanted


@pytest.mark.parametrize("odd", ["3", None, 3.0, -1, 2**62])
def test_a_figure_that_is_none_counts_nothing(odd: object) -> None:
    assert _count(fact(0, 0, trips=odd), "trips") == 0
