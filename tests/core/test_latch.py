from __future__ import annotations

import random

from failsoft.core.effects import SECOND
from failsoft.core.latch import Latch, LatchChange

MINUTE = 60 * SECOND


class Least:
    """The least random source: no jitter."""

    def random(self) -> float:
        return 0.0

    def getrandbits(self, k: int, /) -> int:
        return 0


def latched() -> Latch:
    latch = Latch(Least())
    latch.trip("credential refused", True, "call", 0)
    return latch


def test_the_way_is_open_at_first() -> None:
    latch = Latch(Least())
    latch.succeeded()
    assert latch.cause(0) is None
    assert latch.admit(0)


def test_a_certain_cause_latches_at_once() -> None:
    latch = latched()
    assert latch.cause(0) == "credential refused"
    assert not latch.admit(0)


def test_an_uncertain_cause_latches_when_two_different_calls_met_it() -> None:
    latch = Latch(Least())
    latch.trip("forbidden", False, "one", 0)
    latch.trip("forbidden", False, "one", 0)
    assert latch.cause(0) is None
    latch.trip("forbidden", False, "two", 0)
    assert latch.cause(0) == "forbidden"


def test_a_success_between_two_uncertain_causes_clears_the_first() -> None:
    latch = Latch(Least())
    latch.trip("forbidden", False, "one", 0)
    latch.succeeded()
    latch.trip("forbidden", False, "two", 0)
    assert latch.cause(0) is None


def test_after_five_minutes_one_trial_may_go_then_after_ten_up_to_an_hour() -> None:
    latch, now, delays = latched(), 0, []
    for _ in range(6):
        due = latch._due
        delays.append((due - now) / MINUTE)
        assert not latch.admit(due - 1)
        assert latch.admit(due)
        assert not latch.admit(due)
        latch.trip("credential refused", True, "trial", due)
        now = due
    assert delays == [5, 10, 20, 40, 60, 60]


def test_the_delay_is_prolonged_by_a_tenth_where_the_random_source_says_most() -> None:
    class Most(Least):
        def random(self) -> float:
            return 1.0

    latch = Latch(Most())
    latch.trip("x", True, None, 0)
    assert latch._due == 330 * SECOND


def test_the_delay_is_prolonged_by_at_most_a_tenth() -> None:
    for seed in range(100):
        latch = Latch(random.Random(seed))
        latch.trip("x", True, None, 0)
        assert 300 * SECOND <= latch._due <= 330 * SECOND


def test_a_look_shows_the_way_open_when_a_trial_is_due_and_takes_nothing() -> None:
    latch = latched()
    assert [latch.cause(5 * MINUTE) for _ in range(3)] == [None, None, None]
    assert latch.admit(5 * MINUTE)
    assert latch.cause(5 * MINUTE) == "credential refused"


def test_the_trials_success_opens_the_way() -> None:
    latch = latched()
    latch.admit(5 * MINUTE)
    latch.succeeded()
    assert latch.cause(5 * MINUTE) is None
    latch.trip("again", True, "call", 5 * MINUTE)
    assert latch._due == 10 * MINUTE


def test_a_lost_trial_costs_no_more_than_a_failed_one() -> None:
    latch = latched()
    latch.admit(5 * MINUTE)
    assert latch.admit(15 * MINUTE)


def test_a_success_from_before_it_latched_proves_nothing() -> None:
    latch = latched()
    latch.succeeded()
    assert latch.cause(0) is not None


def test_a_look_is_no_trial_so_that_an_answer_from_before_still_proves_nothing() -> None:
    latch = latched()
    assert latch.cause(5 * MINUTE) is None
    latch.succeeded()
    assert latch.cause(5 * MINUTE - 1) == "credential refused"


def test_replies_to_attempts_under_way_do_not_put_the_trial_off() -> None:
    latch = latched()
    for _ in range(50):
        latch.trip("credential refused", True, "late", MINUTE)
    assert latch.admit(5 * MINUTE)


def test_a_reply_to_an_attempt_from_before_does_not_put_off_a_trial_that_is_due_and_nobody_took() -> None:
    latch = latched()
    latch.trip("credential refused", True, "slow", 6 * MINUTE)
    assert latch.admit(6 * MINUTE)


def test_after_the_way_was_open_again_two_different_calls_are_needed_anew() -> None:
    latch = Latch(Least())
    latch.trip("forbidden", False, "one", 0)
    latch.trip("forbidden", False, "two", 0)
    latch.admit(5 * MINUTE)
    latch.succeeded()
    latch.trip("forbidden", False, "three", 5 * MINUTE)
    assert latch.cause(5 * MINUTE) is None


def test_a_success_of_an_attempt_from_before_it_latched_again_proves_nothing() -> None:
    latch = latched()
    latch.admit(5 * MINUTE)
    latch.succeeded()
    latch.trip("again", True, "call", 5 * MINUTE)
    latch.succeeded()
    assert latch.cause(5 * MINUTE) == "again"


def test_a_change_is_told_at_once_whatever_made_it() -> None:
    heard: list[str | None] = []
    latch = Latch(Least(), lambda change: heard.append(change.cause))
    latch.trip("gone", True, "call", 0)
    assert heard == ["gone"]
    latch.admit(5 * MINUTE)
    latch.succeeded()
    assert heard == ["gone", None]
    latch.trip("gone", True, "call", 5 * MINUTE)
    latch.lift()
    assert heard[2:] == ["gone", None]


def test_lifting_opens_the_way_and_forgets_what_was_suspected() -> None:
    latch = latched()
    latch.lift()
    assert latch.cause(0) is None
    latch.trip("forbidden", False, "one", 0)
    latch.lift()
    latch.trip("forbidden", False, "two", 0)
    assert latch.cause(0) is None


def test_changes_are_told_and_a_listener_that_raises_is_counted() -> None:
    heard: list[LatchChange] = []

    def listen(change: LatchChange) -> None:
        heard.append(change)
        raise KeyError

    latch = Latch(Least(), listen)
    latch.trip("gone", True, "call", 0)
    latch.trip("gone", True, "call", 0)
    latch.lift()
    assert heard == [LatchChange("gone"), LatchChange(None)]
    assert latch.listener_errors == 2


def test_after_a_fork_the_cause_is_still_true() -> None:
    latch = latched()
    latch._lock.acquire()
    latch.after_fork()
    assert latch.cause(0) == "credential refused"
