"""What peers say to a breaker, told to one breaker alone; `test_fleet` has the processes that say it."""

from __future__ import annotations

import random

import pytest

from failsoft.core import breaker_peers
from failsoft.core.breaker import Breaker, BreakerSettings, Change, Mode, Permit, Refused, State
from failsoft.core.breaker_peers import advise, asked_at, hold, is_advised, relieve, stand_down
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement
from tests.core.still import Still

SUCCESS, FAILURE, NEUTRAL = Settlement.SUCCESS, Settlement.FAILURE, Settlement.NEUTRAL
TIMEOUT = 10 * SECOND


def make(settings: BreakerSettings | None = None) -> tuple[Breaker, list[Change]]:
    told: list[Change] = []
    return Breaker(settings or BreakerSettings(jitter=0), Still(), random.Random(0), told.append), told


def admitted(breaker: Breaker, at: int) -> Permit:
    permit = breaker.acquire(at, TIMEOUT)
    assert isinstance(permit, Permit), permit
    return permit


def settle(breaker: Breaker, at: int, *settlements: Settlement) -> None:
    for settlement in settlements:
        admitted(breaker, at).settle(settlement, at)


def test_a_new_breaker_has_been_told_and_asked_nothing() -> None:
    breaker, _ = make()
    assert not is_advised(breaker)
    assert asked_at(breaker) == 0


def test_changes_that_are_peers_doing_go_by_these_names() -> None:
    assert frozenset({"peer_opened", "peer_closed", "stood_down"}) == breaker_peers.BY_PEERS
    assert breaker_peers.UNBLOCKED == "unblocked"  # what `Breaker.to_trial` is told where a person lifts a block


# --- advice -----------------------------------------------------------------------------------------------------------


def test_advice_opens_a_closed_breaker_at_once_and_every_attempt_is_looked_at_from_there() -> None:
    breaker, told = make()
    assert advise(breaker, 20 * SECOND, 1, SECOND)
    assert told == [Change(State.CLOSED, State.OPEN, "peer_opened", 20 * SECOND, 1, SECOND)]
    assert breaker.peek(2 * SECOND) == Refused("open", 18 * SECOND)
    assert admitted(breaker, 20 * SECOND).trial


def test_what_was_in_flight_then_is_late() -> None:
    breaker, _ = make()
    before = admitted(breaker, 0)
    advise(breaker, 5 * SECOND, 1, 0)
    before.settle(SUCCESS, SECOND)
    assert breaker.snapshot(SECOND).late_results == 1


def test_advice_during_a_slow_start_ends_it() -> None:
    breaker, _ = make(BreakerSettings(jitter=0, slow_start_s=30))
    breaker.to_trial("test", 0)
    settle(breaker, 0, SUCCESS, SUCCESS)
    assert breaker.snapshot(0).slow_start
    advise(breaker, 5 * SECOND, 1, 0)
    assert not breaker.snapshot(0).slow_start


def test_an_opening_on_advice_takes_the_peers_trips_or_keeps_those_that_healthy_minutes_left() -> None:
    breaker, _ = make()
    settle(breaker, 0, *[FAILURE] * 5)
    settle(breaker, 5 * SECOND, SUCCESS, SUCCESS)
    assert breaker.snapshot(5 * SECOND).trips == 1
    advise(breaker, 90 * SECOND, 0, 65 * SECOND)
    assert breaker.snapshot(65 * SECOND).trips == 0
    advised, _ = make()
    advise(advised, 5 * SECOND, 99, 0)
    assert advised.snapshot(0).trips == advised._settings.most_trips


def test_an_open_breaker_waits_at_least_as_long() -> None:
    breaker, told = make()
    settle(breaker, 0, *[FAILURE] * 5)
    advise(breaker, 20 * SECOND, 1, SECOND)
    advise(breaker, 10 * SECOND, 1, SECOND)
    assert breaker.peek(SECOND) == Refused("open", 19 * SECOND)
    assert len(told) == 1


def test_one_whose_time_has_come_goes_on_trying() -> None:
    breaker, _ = make()
    settle(breaker, 0, *[FAILURE] * 5)
    advise(breaker, 20 * SECOND, 1, 6 * SECOND)
    assert admitted(breaker, 6 * SECOND).trial


def test_what_a_half_open_one_was_advised_makes_its_next_opening_no_longer() -> None:
    breaker, _ = make()
    breaker.to_trial("test", 0)
    advise(breaker, 100 * SECOND, 1, 0)
    settle(breaker, 0, FAILURE, FAILURE)
    assert breaker.peek(0) == Refused("open", 5 * SECOND)


def test_an_observed_one_stays_closed() -> None:
    breaker, told = make()
    breaker.to_mode(Mode.OBSERVE, 0)
    assert advise(breaker, 100 * SECOND, 1, 0)
    assert (breaker.snapshot(0).state, told) == (State.CLOSED, [])


@pytest.mark.parametrize("now", [0, 10 * SECOND, 59 * SECOND])
def test_its_own_calls_of_the_last_minute_know_better(now: int) -> None:
    breaker, told = make()
    settle(breaker, 0, *[SUCCESS] * 5)
    assert not advise(breaker, 100 * SECOND, 1, now)
    assert told == []


def test_99_failures_of_397_calls_are_less_than_half_the_rate() -> None:
    breaker, _ = make()
    settle(breaker, 0, SUCCESS, *[SUCCESS, SUCCESS, SUCCESS, FAILURE] * 99)
    assert not advise(breaker, 100 * SECOND, 1, 0)


def test_advice_by_a_clock_that_lags_behind_moves_no_window_back() -> None:
    breaker, _ = make()
    settle(breaker, 60 * SECOND, *[SUCCESS] * 5)
    assert not advise(breaker, 100 * SECOND, 1, 30 * SECOND)
    assert breaker.snapshot(60 * SECOND).calls == 5


# --- relief, hold, giving way -----------------------------------------------------------------------------------------


def test_relief_closes_at_once_what_was_open_by_advice_alone() -> None:
    breaker, told = make()
    advise(breaker, 20 * SECOND, 1, 0)
    assert is_advised(breaker)
    relieve(breaker, SECOND)
    assert [(change.after, change.reason) for change in told[1:]] == [(State.CLOSED, "peer_closed")]


def test_relief_leaves_what_opened_by_itself() -> None:
    breaker, told = make()
    settle(breaker, 0, *[FAILURE] * 5)
    relieve(breaker, SECOND)
    assert len(told) == 1


def test_relief_that_comes_when_the_time_has_come_leaves_it_to_the_trials() -> None:
    breaker, _ = make()
    advise(breaker, 5 * SECOND, 1, 0)
    relieve(breaker, 6 * SECOND)
    assert breaker.snapshot(6 * SECOND).state is State.HALF_OPEN


def test_a_held_opening_lasts_at_least_so_long_from_its_first_moment() -> None:
    breaker, told = make()
    hold(breaker, 0, 30 * SECOND)
    settle(breaker, 4 * SECOND, *[FAILURE] * 5)
    assert breaker.peek(4 * SECOND) == Refused("open", 30 * SECOND)
    assert told[0].until_ns == 9 * SECOND  # what the fleet is told is the opening's own
    hold(breaker, 50 * SECOND, 30 * SECOND)
    assert breaker.peek(4 * SECOND) == Refused("open", 46 * SECOND)


def test_a_half_open_one_gives_way_at_once_and_the_trial_that_follows_its_wait_is_one() -> None:
    breaker, told = make()
    breaker.to_trial("test", 0)
    assert stand_down(breaker, 3 * SECOND, SECOND)
    assert [(change.after, change.reason, change.generation) for change in told[1:]] == [(State.OPEN, "stood_down", 2)]
    assert admitted(breaker, 3 * SECOND).trial


def test_it_does_not_give_way_while_a_trial_is_out_but_for_one_that_was_lost() -> None:
    breaker, _ = make()
    breaker.to_trial("test", 0)
    admitted(breaker, 0)
    lost = TIMEOUT + 2 * SECOND
    assert not stand_down(breaker, 60 * SECOND, lost - 1)
    assert stand_down(breaker, 60 * SECOND, lost)


def test_a_closed_one_has_nothing_to_give_way_with() -> None:
    breaker, told = make()
    assert not stand_down(breaker, 60 * SECOND, 0)
    assert told == []
