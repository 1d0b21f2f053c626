from __future__ import annotations

import random
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from failsoft.core.bulkhead import Bulkhead, BulkheadFull
from failsoft.core.effects import Promise


def full(limit: int = 1, max_waiting: int = 2_000) -> Bulkhead:
    bulkhead = Bulkhead(limit, max_waiting)
    for _ in range(limit):
        assert bulkhead.try_enter()
    return bulkhead


def place(bulkhead: Bulkhead) -> Promise[bool]:
    promise = bulkhead.queue()
    assert promise is not None
    return promise


def test_so_many_may_enter_and_no_more() -> None:
    bulkhead = Bulkhead(2)
    assert [bulkhead.try_enter() for _ in range(3)] == [True, True, False]
    bulkhead.leave()
    assert bulkhead.try_enter()


def test_a_slot_goes_to_whoever_waited_longest() -> None:
    bulkhead = full()
    first, second = place(bulkhead), place(bulkhead)
    bulkhead.leave()
    assert (first.done, second.done, bulkhead.in_use) == (True, False, 1)
    bulkhead.leave()
    assert second.value is True


def test_nobody_slips_in_before_those_who_wait() -> None:
    bulkhead = full()
    waiter = place(bulkhead)
    bulkhead.leave()
    assert waiter.done
    assert not bulkhead.try_enter()


def test_a_slot_that_became_free_meanwhile_is_taken_by_queueing() -> None:
    bulkhead = Bulkhead(1)
    assert place(bulkhead).value is True
    assert bulkhead.in_use == 1


def test_a_full_queue_turns_away() -> None:
    bulkhead = full(max_waiting=1)
    place(bulkhead)
    assert bulkhead.queue() is None
    assert bulkhead.waiting == 1


def test_a_bulkhead_may_have_no_queue() -> None:
    bulkhead = Bulkhead(1, 0)
    assert place(bulkhead).done
    assert bulkhead.queue() is None


def test_by_default_a_hundred_enter_and_two_thousand_wait() -> None:
    bulkhead = Bulkhead()
    assert sum(bulkhead.try_enter() for _ in range(101)) == 100
    assert sum(bulkhead.queue() is not None for _ in range(2_001)) == 2_000


def test_a_place_given_up_is_passed_over() -> None:
    bulkhead = full()
    gone, stays = place(bulkhead), place(bulkhead)
    bulkhead.cancel(gone)
    bulkhead.leave()
    assert (gone.done, stays.done) == (False, True)


def test_a_slot_handed_to_somebody_who_has_gone_is_passed_on() -> None:
    bulkhead = full()
    gone, stays = place(bulkhead), place(bulkhead)
    bulkhead.leave()
    bulkhead.cancel(gone)
    assert stays.value is True
    bulkhead.leave()
    assert bulkhead.in_use == 0


def test_giving_up_twice_gives_back_once() -> None:
    bulkhead = full(2)
    gone = place(bulkhead)
    bulkhead.leave()
    bulkhead.cancel(gone)
    bulkhead.cancel(gone)
    assert bulkhead.in_use == 1


def test_leaving_an_empty_bulkhead_makes_no_slot() -> None:
    bulkhead = Bulkhead(1)
    bulkhead.leave()
    assert [bulkhead.try_enter(), bulkhead.try_enter()] == [True, False]


def test_the_garbage_collector_gives_back_while_the_lock_is_held() -> None:
    bulkhead = full()
    with bulkhead._lock:
        bulkhead.abandon()
    assert bulkhead.try_enter()


@pytest.mark.parametrize("visit", ["try_enter", "queue"])
def test_an_abandoned_slot_goes_to_whoever_waits_when_the_next_comes(visit: str) -> None:
    bulkhead = full(2)
    waiter = place(bulkhead)
    bulkhead.abandon()
    getattr(bulkhead, visit)()
    assert waiter.value is True


def test_a_slot_left_and_one_abandoned_go_to_the_two_who_wait() -> None:
    bulkhead = full(2)
    first, second = place(bulkhead), place(bulkhead)
    bulkhead.abandon()
    bulkhead.leave()
    assert (first.done, second.done, bulkhead.in_use) == (True, True, 2)


def test_who_gives_up_waiting_does_not_leave_an_abandoned_slot_to_nobody() -> None:
    bulkhead = full()
    impatient, patient = place(bulkhead), place(bulkhead)
    bulkhead.abandon()
    bulkhead.cancel(impatient)
    assert (patient.done, bulkhead.in_use) == (True, 1)


def test_a_slot_in_which_work_goes_on_is_free_when_that_has_ended() -> None:
    bulkhead, work = full(), Promise[None]()
    bulkhead.abandon(work=work)
    assert [bulkhead.try_enter() for _ in range(2)] == [False, False]
    work.resolve(None)
    assert [bulkhead.try_enter() for _ in range(2)] == [True, False]


def test_an_abandoned_place_is_passed_over_and_an_abandoned_grant_passed_on() -> None:
    bulkhead = full()
    granted, waits, stays = place(bulkhead), place(bulkhead), place(bulkhead)
    bulkhead.leave()
    bulkhead.abandon(granted)
    bulkhead.abandon(waits)
    assert not bulkhead.try_enter()
    # The grant went to the place that was abandoned in the same breath, and from there to the one that stays.
    assert stays.done
    bulkhead.leave()
    assert bulkhead.in_use == 0


def test_whoever_is_told_may_call_the_bulkhead() -> None:
    bulkhead = full()
    first, second = place(bulkhead), place(bulkhead)
    first.on_done(bulkhead.leave)
    bulkhead.leave()
    assert second.done


def test_becoming_full_is_told_once_until_a_slot_is_free() -> None:
    heard: list[BulkheadFull] = []
    bulkhead = Bulkhead(1, 1, heard.append)
    bulkhead.try_enter()
    waiter = place(bulkhead)
    for _ in range(3):
        assert bulkhead.queue() is None
    assert heard == [BulkheadFull(1, 0, False), BulkheadFull(1, 1, True)]
    bulkhead.cancel(waiter)
    place(bulkhead)
    bulkhead.queue()
    assert heard[2:] == [BulkheadFull(1, 1, True)]
    bulkhead.leave()
    bulkhead.leave()
    bulkhead.try_enter()
    place(bulkhead)
    assert heard[3:] == [BulkheadFull(1, 0, False)]


def test_a_queue_that_had_a_free_place_is_told_full_anew() -> None:
    heard: list[BulkheadFull] = []
    bulkhead = Bulkhead(1, 1, heard.append)
    bulkhead.try_enter()
    for _ in range(2):
        place(bulkhead)
        assert bulkhead.queue() is None
        bulkhead.leave()  # whoever waited has the slot: every slot is in use, and a place is free
    assert heard == [BulkheadFull(1, 0, False), BulkheadFull(1, 1, True), BulkheadFull(1, 1, True)]


def test_what_a_listener_raises_is_counted() -> None:
    def listen(notice: BulkheadFull) -> None:
        raise KeyError

    bulkhead = Bulkhead(1, 1, listen)
    bulkhead.try_enter()
    place(bulkhead)
    assert bulkhead.listener_errors == 1


def test_after_a_fork_the_child_has_every_slot_and_nobody_waits() -> None:
    bulkhead = full(2)
    place(bulkhead)
    bulkhead.abandon()
    bulkhead._lock.acquire()
    bulkhead.after_fork()
    assert (bulkhead.in_use, bulkhead.waiting) == (0, 0)
    assert [bulkhead.try_enter() for _ in range(3)] == [True, True, False]


def test_work_that_goes_on_in_the_parent_frees_no_slot_of_the_child_when_it_ends() -> None:
    bulkhead = full(1)
    work: Promise[None] = Promise()
    bulkhead.abandon(work=work)
    bulkhead.after_fork()
    assert bulkhead.try_enter()
    work.resolve(None)
    assert not bulkhead.try_enter()


def test_of_two_works_that_go_on_the_one_that_ends_is_counted_off() -> None:
    bulkhead = full(2)
    works: list[Promise[None]] = [Promise(), Promise()]
    for work in works:
        bulkhead.outlive(work)
    works[0].resolve(None)
    assert (bulkhead.orphans, bulkhead.in_use) == (1, 1)


def test_in_a_forked_child_becoming_full_is_told_anew() -> None:
    heard: list[BulkheadFull] = []
    bulkhead = Bulkhead(1, 1, heard.append)
    for _ in range(2):
        bulkhead.try_enter()
        place(bulkhead)
        bulkhead.after_fork()
    assert heard == [BulkheadFull(1, 0, False)] * 2


@pytest.mark.parametrize(("limit", "max_waiting"), [(0, 1), (1, -1)])
def test_figures_out_of_range_are_refused(limit: int, max_waiting: int) -> None:
    with pytest.raises(
        ValueError, match=f"^a bulkhead wants limit >= 1 and max_waiting >= 0, not {limit} and {max_waiting}$"
    ):
        Bulkhead(limit, max_waiting)


class BulkheadMachine(RuleBasedStateMachine):
    """Callers come, wait, give up and go, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.bulkhead = Bulkhead(3, 5)
        self.inside = 0
        self.waiters: list[Promise[bool]] = []

    def enter_those_who_were_told(self) -> None:
        told = [each.done for each in self.waiters]
        assert told == sorted(told, reverse=True)  # first come, first served
        self.inside += sum(told)
        self.waiters = [each for each in self.waiters if not each.done]

    @rule()
    def come(self) -> None:
        self.enter_those_who_were_told()
        entered = self.bulkhead.try_enter()
        assert entered == (self.inside < 3)
        self.inside += entered
        if not entered:
            promise = self.bulkhead.queue()
            assert (promise is None) == (len(self.waiters) == 5)
            if promise is not None:
                self.waiters.append(promise)

    @precondition(lambda self: self.inside)
    @rule(by_collector=st.booleans())
    def go(self, by_collector: bool) -> None:
        self.inside -= 1
        if by_collector:
            self.bulkhead.abandon()
            self.bulkhead._drain()
        else:
            self.bulkhead.leave()

    @precondition(lambda self: self.waiters)
    @rule(data=st.data(), by_collector=st.booleans())
    def give_up(self, data: st.DataObject, by_collector: bool) -> None:
        promise = self.waiters.pop(data.draw(st.integers(0, len(self.waiters) - 1)))
        if by_collector:
            self.bulkhead.abandon(promise)
            self.bulkhead._drain()
        else:
            self.bulkhead.cancel(promise)

    @invariant()
    def every_slot_is_accounted_for(self) -> None:
        told = sum(each.done for each in self.waiters)
        assert self.bulkhead.in_use == self.inside + told
        assert self.bulkhead.waiting == len(self.waiters) - told
        assert self.bulkhead.in_use == 3 or not self.bulkhead.waiting

    def teardown(self) -> None:
        for promise in self.waiters:
            self.bulkhead.cancel(promise)
        for _ in range(self.inside):
            self.bulkhead.leave()
        assert (self.bulkhead.in_use, self.bulkhead.waiting) == (0, 0)
        assert [self.bulkhead.try_enter() for _ in range(4)] == [True, True, True, False]


TestBulkheadMachine = BulkheadMachine.TestCase
TestBulkheadMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.mark.usefixtures("switching_often")
def test_threads_that_come_wait_give_up_and_go_leave_every_slot_free() -> None:
    bulkhead = Bulkhead(3)
    inside, most, guard = 0, 0, threading.Lock()

    def work(seed: int) -> None:
        nonlocal inside, most
        chance = random.Random(seed)
        for _ in range(150):
            if not bulkhead.try_enter():
                promise = place(bulkhead)
                woken = threading.Event()
                promise.on_done(woken.set)
                if chance.random() < 0.4:
                    bulkhead.cancel(promise)
                    continue
                assert woken.wait(30)
            with guard:
                inside += 1
                most = max(most, inside)
            with guard:
                inside -= 1
            bulkhead.leave()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (bulkhead.in_use, bulkhead.waiting) == (0, 0)
    assert 1 <= most <= 3


def test_a_work_that_outlives_its_caller_is_counted_and_keeps_its_slot_until_it_ends() -> None:
    bulkhead, work = Bulkhead(2), Promise[None]()
    assert bulkhead.try_enter()
    assert bulkhead.orphans == 0
    bulkhead.outlive(work)
    assert (bulkhead.orphans, bulkhead.in_use) == (1, 1)
    work.resolve(None)
    assert (bulkhead.orphans, bulkhead.in_use) == (0, 0)


def test_a_work_whose_call_the_garbage_collector_took_is_an_orphan_too() -> None:
    bulkhead, work = Bulkhead(2), Promise[None]()
    assert bulkhead.try_enter()
    assert bulkhead.try_enter()
    bulkhead.abandon(work=work)
    bulkhead.abandon()
    assert bulkhead.orphans == 1
    work.resolve(None)
    assert bulkhead.orphans == 0


def test_after_a_fork_the_parents_orphans_are_the_parents() -> None:
    bulkhead, work = Bulkhead(2), Promise[None]()
    assert bulkhead.try_enter()
    bulkhead.outlive(work)
    bulkhead.after_fork()
    assert bulkhead.orphans == 0
    work.resolve(None)
    assert (bulkhead.orphans, bulkhead.in_use) == (0, 0)
