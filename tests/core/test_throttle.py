from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.effects import MILLISECOND, SECOND
from failsoft.core.throttle import Throttle, ThrottleChange

HOUR = 3_600 * SECOND


class Least:
    """The least random source: no jitter."""

    def random(self) -> float:
        return 0.0

    def getrandbits(self, k: int, /) -> int:
        return 0


class Most(Least):
    """A random source at its upper bound."""

    def random(self) -> float:
        return 1.0


def waiting(seconds: int = 10) -> Throttle:
    throttle = Throttle(Least())
    throttle.throttled(0, seconds * SECOND)
    return throttle


def test_a_new_throttle_is_free() -> None:
    throttle = Throttle(Least())
    throttle.succeeded(0)
    assert (throttle.until(0), throttle.admit(0)) == (0, 0)


def test_it_waits_as_told() -> None:
    throttle = waiting(10)
    assert throttle.until(0) == 10 * SECOND
    assert throttle.admit(10 * SECOND - 1) == 10 * SECOND
    assert throttle.until(10 * SECOND) == 0


def test_a_hint_is_prolonged_by_a_tenth_or_two_tenths_of_a_second_at_most_and_never_shortened() -> None:
    for seed in range(200):
        for hint, extra in ((0, SECOND // 5), (SECOND, SECOND // 5), (100 * SECOND, 10 * SECOND)):
            throttle = Throttle(random.Random(seed))
            throttle.throttled(7, hint)
            assert 7 + hint <= throttle.until(7) <= 7 + hint + extra or not throttle.until(7)


@pytest.mark.parametrize(("hint", "until"), [(0, 200), (1_000, 1_200), (2_000, 2_200), (100_000, 110_000)])
def test_the_longest_prolongation_is_a_tenth_or_two_tenths_of_a_second(hint: int, until: int) -> None:
    throttle = Throttle(Most())
    throttle.throttled(0, hint * MILLISECOND)
    assert throttle.until(0) == until * MILLISECOND


def test_a_fleet_that_was_told_the_same_does_not_come_back_at_once() -> None:
    moments = set()
    for seed in range(100):
        throttle = Throttle(random.Random(seed))
        throttle.throttled(0, 100 * SECOND)
        moments.add(throttle.until(0) // SECOND)
    assert moments >= set(range(100, 110))


def test_a_hint_is_believed_up_to_an_hour() -> None:
    throttle = Throttle(Least())
    throttle.throttled(0, 10**30)
    assert throttle.until(0) == HOUR


def test_a_negative_hint_is_none() -> None:
    throttle = Throttle(Least())
    throttle.throttled(0, -1)
    assert throttle.until(0) == 5 * SECOND


@pytest.mark.parametrize(("hint", "hinted"), [(0, True), (1, True), (SECOND, True), (None, False), (-1, False)])
def test_a_change_says_whether_the_provider_said_how_long(hint: int | None, hinted: bool) -> None:
    heard: list[bool] = []
    Throttle(Most(), lambda change: heard.append(change.hinted)).throttled(0, hint)
    assert heard == [hinted]


def test_without_a_hint_each_wait_is_twice_as_long_up_to_a_minute() -> None:
    throttle, now, waits = Throttle(Least()), 0, []
    for _ in range(7):
        throttle.throttled(now, None)
        waits.append((throttle.until(now) - now) // SECOND)
        now = throttle.until(now)
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_a_hundred_replies_to_attempts_under_way_are_one_message() -> None:
    throttle = Throttle(Least())
    for _ in range(100):
        throttle.throttled(0, None)
    assert throttle.until(0) == 5 * SECOND
    throttle.throttled(5 * SECOND, None)
    assert throttle.until(5 * SECOND) == 15 * SECOND


def test_a_shorter_hint_does_not_shorten_the_wait() -> None:
    throttle = waiting(10)
    throttle.throttled(SECOND, 2 * SECOND)
    assert throttle.until(SECOND) == 10 * SECOND
    throttle.throttled(SECOND, 20 * SECOND)
    assert throttle.until(SECOND) == 21 * SECOND


def test_a_throttle_that_was_free_again_backs_off_from_the_beginning_though_nobody_looked() -> None:
    heard: list[ThrottleChange] = []
    throttle = Throttle(Least(), heard.append)
    throttle.throttled(0, None)
    later = HOUR
    throttle.throttled(later, None)
    assert throttle.until(later) == later + 5 * SECOND
    assert [change.until_ns for change in heard] == [5 * SECOND, 0, later + 5 * SECOND]


def test_a_success_during_the_wait_proves_nothing() -> None:
    throttle = waiting(10)
    throttle.succeeded(SECOND)
    assert throttle.until(SECOND) == 10 * SECOND


def test_after_the_wait_attempts_go_one_a_second() -> None:
    throttle, now = waiting(10), 10 * SECOND
    assert throttle.admit(now) == 0
    assert throttle.admit(now) == now + SECOND
    assert throttle.until(now) == now + SECOND
    assert throttle.admit(now + SECOND) == 0


def test_each_success_halves_the_interval_and_seven_free_it() -> None:
    throttle, now = waiting(10), 10 * SECOND
    for successes in range(7):
        assert throttle.admit(now) == 0
        assert throttle.until(now) == now + (SECOND >> successes)
        throttle.succeeded(now)
        now = throttle.until(now)
        now = now or 10 * SECOND
    assert throttle._until == 0


def test_without_successes_the_pace_quickens_by_itself() -> None:
    throttle = waiting(10)
    assert throttle.admit(20 * SECOND) == 0
    assert throttle.until(20 * SECOND) == 20 * SECOND + SECOND // 4
    assert throttle.until(45 * SECOND) == 0
    assert throttle._until == 0


def test_the_interval_halves_every_five_seconds() -> None:
    for seconds, interval in ((0, 1_000), (4, 1_000), (5, 500), (9, 500), (10, 250), (34, 1_000 / 64)):
        throttle, now = waiting(10), (10 + seconds) * SECOND
        assert throttle.admit(now) == 0
        assert throttle.until(now) == now + interval * MILLISECOND


def test_looking_takes_no_place_in_the_pace() -> None:
    throttle = waiting(10)
    assert [throttle.until(10 * SECOND) for _ in range(5)] == [0] * 5


def test_throttled_again_in_the_pace_it_waits_again() -> None:
    throttle = waiting(10)
    throttle.admit(10 * SECOND)
    throttle.throttled(11 * SECOND, None)
    assert throttle.until(11 * SECOND) == 16 * SECOND
    assert throttle.admit(16 * SECOND) == 0


def test_after_each_wait_the_pace_begins_anew() -> None:
    throttle, now = waiting(10), 10 * SECOND
    for _ in range(3):
        throttle.succeeded(now)
    assert throttle.admit(now) == 0
    throttle.throttled(now, SECOND // 10)
    again = now + SECOND // 10
    assert throttle.admit(again) == 0, "the first attempt goes at once, however recent the last one was"
    assert throttle.until(again) == again + SECOND


def test_a_change_is_told_at_once_whatever_made_it() -> None:
    heard: list[int] = []
    throttle = Throttle(Least(), lambda change: heard.append(change.until_ns))
    throttle.throttled(0, 10 * SECOND)
    assert heard == [10 * SECOND]
    throttle.lift()
    assert heard == [10 * SECOND, 0]
    throttle.throttled(0, 10 * SECOND)
    for _ in range(7):
        throttle.succeeded(10 * SECOND)
    assert heard[3:] == [0]
    throttle.throttled(10 * SECOND, 10 * SECOND)
    throttle.until(100 * SECOND)
    assert heard[5:] == [0]


def test_it_is_free_until_it_waits_and_once_its_paced_release_is_over() -> None:
    throttle = Throttle(Least())
    free = [throttle.free]
    throttle.throttled(0, 10 * SECOND)
    free.append(throttle.free)
    throttle.admit(10 * SECOND)  # paced
    free.append(throttle.free)
    throttle.until(100 * SECOND)
    free.append(throttle.free)
    throttle.throttled(100 * SECOND, SECOND)
    throttle.lift()
    free.append(throttle.free)
    assert free == [True, False, False, True, True]


class TestAPeersWait:
    def test_is_told_as_a_peers_at_once_and_once(self) -> None:
        heard: list[ThrottleChange] = []
        throttle = Throttle(Least(), heard.append)
        for _ in range(2):
            throttle.advised(10 * SECOND, 0)
        assert heard == [ThrottleChange(10 * SECOND, True, peer=True)]
        assert throttle.until(0) == 10 * SECOND

    def test_that_is_over_changes_nothing(self) -> None:
        throttle = Throttle(Least())
        throttle.advised(5 * SECOND, 5 * SECOND)
        assert throttle.free

    def test_comes_after_the_end_of_the_last_one_though_nobody_looked(self) -> None:
        heard: list[int] = []
        throttle = Throttle(Least(), lambda change: heard.append(change.until_ns))
        throttle.throttled(0, 5 * SECOND)
        throttle.advised(HOUR + SECOND, HOUR)
        assert heard == [5 * SECOND, 0, HOUR + SECOND]


def test_lifting_frees_it_at_once() -> None:
    throttle = waiting(10)
    throttle.lift()
    throttle.lift()
    assert throttle.until(0) == 0


def test_waits_and_releases_are_told_and_a_listener_that_raises_is_counted() -> None:
    heard: list[ThrottleChange] = []

    def listen(change: ThrottleChange) -> None:
        heard.append(change)
        raise KeyError

    throttle = Throttle(Least(), listen)
    throttle.throttled(0, SECOND)
    throttle.throttled(0, SECOND)
    throttle.admit(100 * SECOND)
    assert heard == [ThrottleChange(SECOND, True), ThrottleChange(0, False)]
    assert throttle.listener_errors == 2


def test_after_a_fork_the_wait_is_still_true() -> None:
    throttle = waiting(10)
    throttle._lock.acquire()
    throttle.after_fork()
    assert throttle.until(0) == 10 * SECOND


def test_a_free_throttle_is_asked_again_under_the_lock() -> None:
    assert Throttle(Least())._next(5) == 0


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 30 * SECOND), st.sampled_from("hnsa"), st.integers(-5, 20 * SECOND)), max_size=40
    )
)
def test_until_is_never_shortened_and_an_attempt_goes_within_the_wait_and_a_second(
    steps: list[tuple[int, str, int]],
) -> None:
    throttle, now, until = Throttle(random.Random(1)), 0, 0
    for step, what, hint in steps:
        now += step
        if what in "hn":
            throttle.throttled(now, hint if what == "h" else None)
        elif what == "s":
            throttle.succeeded(now)
        else:
            throttle.admit(now)
        assert throttle.until(now) == 0 or throttle.until(now) > now
        if throttle._until:
            assert throttle._until >= until
            until = throttle._until
        assert throttle.until(max(now, until) + SECOND) == 0
