from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ledgers import CONTEXT, completed, started

from failsoft.core.effects import Recorded, Unrecorded
from failsoft.core.evidence import CallAmended
from failsoft.ledger.writing.ticket import Gaps, Ticket, TicketQueue, TicketState
from failsoft.outcome import Source


def ticket_in(queue: TicketQueue, call_id: str = "c") -> Ticket:
    ticket = Ticket(queue, started(call_id), 0, 0)
    queue.put(ticket)
    return ticket


class TicketMachine(RuleBasedStateMachine):
    """Any order of puts, takes, withdrawals, rollbacks and commits."""

    @initialize()
    def begin(self) -> None:
        self.queue = TicketQueue(5)
        self.all: list[Ticket] = []
        self.taken: list[Ticket] = []
        self.written: list[Ticket] = []
        self.withdrawn: list[Ticket] = []

    @rule()
    def put(self) -> None:
        self.all.append(ticket_in(self.queue, f"c{len(self.all)}"))

    @precondition(lambda self: not self.taken)
    @rule(limit=st.integers(1, 4))
    def take(self, limit: int) -> None:
        self.taken = self.queue.take(limit)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        if self.all:
            ticket = data.draw(st.sampled_from(self.all))
            if ticket.withdraw():
                self.withdrawn.append(ticket)

    @rule()
    def commit(self) -> None:
        for each in self.taken:
            each.leaf = b"leaf"
        self.queue.settle(self.taken, range(len(self.taken)))
        self.written += self.taken
        self.taken = []

    @rule()
    def roll_back(self) -> None:
        self.queue.give_back(self.taken)
        self.queue.tell_all("failed")
        self.taken = []

    @precondition(lambda self: self.taken)
    @rule()
    def malformed(self) -> None:
        self.queue.drop(self.taken.pop(), "malformed", "why")

    @invariant()
    def what_was_withdrawn_is_never_written(self) -> None:
        if hasattr(self, "queue"):
            assert not set(self.withdrawn) & set(self.written)
            assert not set(self.withdrawn) & set(self.taken)

    @invariant()
    def what_is_written_is_in_the_order_of_submission(self) -> None:
        if hasattr(self, "queue"):
            order = [self.all.index(each) for each in self.written + self.taken]
            assert order == sorted(order)

    @invariant()
    def whoever_is_not_queued_or_taken_has_an_answer_and_holds_no_record(self) -> None:
        for each in getattr(self, "all", []):
            if each.state in (TicketState.QUEUED, TicketState.TAKEN):
                assert each.record is not None
            else:
                assert each.promise.done
                assert each.record is None

    @invariant()
    def the_queue_holds_exactly_the_queued(self) -> None:
        if hasattr(self, "queue"):
            assert len(self.queue) == sum(each.state is TicketState.QUEUED for each in self.all)


TicketMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTickets = TicketMachine.TestCase


def test_withdrawing_is_true_exactly_where_the_record_will_never_be_written() -> None:
    queue = TicketQueue(1)
    first, dropped = ticket_in(queue), ticket_in(queue)
    assert dropped.withdraw()
    assert queue.take(1) == [first]
    assert not first.withdraw()
    queue.give_back([first])
    assert first.withdraw()
    assert first.withdraw()


def test_a_recorded_ticket_says_where() -> None:
    queue = TicketQueue(1)
    ticket = ticket_in(queue)
    queue.take(1)
    ticket.leaf = b"leaf"
    queue.settle([ticket], [7])
    assert ticket.promise.value == Recorded(7, b"leaf")
    assert not ticket.withdraw()


def test_a_full_queue_drops_what_comes_and_counts_it_by_calls() -> None:
    queue = TicketQueue(1)
    ticket_in(queue)
    dropped = [ticket_in(queue, call) for call in ("a", "a", "b")]
    assert dropped[0].promise.value == Unrecorded("queue_full")
    gaps = queue.take_gaps()
    assert gaps.counts() == {"queue_full": 2}
    assert queue.take_gaps().counts() == {}
    queue.return_gaps(gaps)
    assert queue.take_gaps().counts() == {"queue_full": 2}


def test_lost_records_without_a_call_count_one_each_and_the_count_is_bounded_from_below() -> None:
    gaps = Gaps()
    for _ in range(3):
        gaps.add("why", object())
    for number in range(10_050):
        gaps.add("why", started(f"c{number}"))
    assert gaps.counts() == {"why": 10_053}
    assert len(gaps.pending["why"].calls) == 10_000
    gaps.add("why", started("c7"))  # known: a call is counted once
    assert gaps.counts() == {"why": 10_053}


def test_beyond_the_limit_a_call_whose_record_before_was_lost_is_counted_by_that() -> None:
    queue = TicketQueue(1)
    kept = ticket_in(queue, "kept")
    for number in range(10_000):
        ticket_in(queue, f"c{number}")
    lost = ticket_in(queue, "lost")
    queue.put(Ticket(queue, completed(lost, "lost"), 0, 0))
    end = Ticket(queue, completed(kept, "kept"), 0, 0)
    queue.put(end)
    source = Source("fallback", "f:F")
    queue.put(Ticket(queue, CallAmended("kept", "rate", None, end, "answered", True, source, CONTEXT, 9), 0, 0))
    assert queue.take_gaps().counts() == {"queue_full": 10_002}


def test_gaps_that_could_not_be_declared_are_counted_together_with_those_since() -> None:
    before, since = Gaps(), Gaps()
    for gaps in (before, since):
        gaps.add("why", object())
        gaps.add("why", started("one and the same"))
    since.add("another", object())
    before.merge(since)
    assert before.counts() == {"why": 3, "another": 1}


def test_gaps_alone_are_something_to_take() -> None:
    queue = TicketQueue(0)
    ticket_in(queue)
    assert queue.wait()


def test_what_comes_after_the_end_is_no_gap_of_a_full_queue() -> None:
    queue = TicketQueue(1)
    ticket_in(queue)
    queue.shut("closed")
    assert ticket_in(queue).promise.value == Unrecorded("closed")
    assert queue.take_gaps().counts() == {}


def test_whoever_waits_for_a_withdrawn_or_abandoned_record_is_told() -> None:
    queue = TicketQueue(2)
    withdrawn, abandoned = ticket_in(queue), ticket_in(queue)
    withdrawn.withdraw()
    assert withdrawn.promise.value == Unrecorded("withdrawn")
    assert queue.abandon("given up") == 1
    assert abandoned.promise.value == Unrecorded("given up")
    assert len(queue) == 0
    assert abandoned.record is None
    assert abandoned.withdraw()


def test_a_batch_that_is_given_back_has_no_place_in_the_log_any_more() -> None:
    queue = TicketQueue(3)
    first, second, third = ticket_in(queue), ticket_in(queue), ticket_in(queue)
    taken = queue.take(2)
    assert taken == [first, second]
    first.leaf = second.leaf = b"leaf"
    queue.give_back(taken)
    assert first.leaf is second.leaf is None
    assert queue.take(3) == [first, second, third]


def test_a_pause_ends_with_its_time_or_the_queue_and_not_with_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = TicketQueue(5)
    asked: list[tuple[bool, float]] = []
    monkeypatch.setattr(queue._changed, "wait_for", lambda done, seconds: asked.append((done(), seconds)))
    queue.pause(60)
    ticket_in(queue)
    queue.pause(60)
    queue.shut("closed")
    queue.pause(60)
    assert asked == [(False, 60), (False, 60), (True, 60)]


def test_a_shut_queue_refuses_and_wakes_whoever_waits() -> None:
    queue = TicketQueue(5)
    kept = ticket_in(queue)
    queue.shut("closed")
    assert queue.is_shut
    assert ticket_in(queue).promise.value == Unrecorded("closed")
    assert queue.wait()  # there's still something to take
    assert queue.abandon("given up") == 1
    assert kept.promise.value == Unrecorded("given up")
    assert queue.wait()  # to declare it
    assert queue.take_gaps().counts() == {"closed": 1}
    assert not queue.wait()
    queue.pause(60)  # returns at once


@pytest.mark.parametrize("after", ["take", "nothing"])
def test_the_lock_is_whole_after_a_fork(after: str) -> None:
    queue = TicketQueue(5)
    queue.before_fork()
    queue.after_fork()
    ticket: Any = ticket_in(queue)
    assert queue.take(1) == [ticket]


def test_what_was_dropped_from_a_batch_is_not_given_back() -> None:
    queue = TicketQueue(5)
    first, second = ticket_in(queue), ticket_in(queue)
    taken = queue.take(2)
    queue.drop(second, "malformed", "why")
    queue.give_back(taken)
    assert queue.take(5) == [first]
    assert second.withdraw()
