"""A record's way into the log, and the bounded queue where it waits.

Theory of operation
-------------------
A ticket is in one state; the queue's one lock guards every change:

    queued ──take──▶ taken ──settle──▶ recorded
      ▲  │             │ │
      │  └─withdraw─▶ withdrawn       (never written)
      └──give back─────┘ └──drop──▶ dropped       (never written, and declared as a gap)

1. ``withdraw()`` is True exactly if the record will never be written: from queued, withdrawn and dropped.
2. A batch that was rolled back is *given back*: its tickets are queued again, before all others and in their order, and
   may be withdrawn again. Their waiters were told by then, after the change of state.
3. A batch whose commit has an unknown outcome stays taken: it may be in the log already.
4. The queue holds at most so many tickets; a record that finds it full is dropped, counted and later declared.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from attrs import define, field

from failsoft.core.effects import Promise, Recorded, Unrecorded
from failsoft.core.evidence import CallAmended, CallCompleted, Record


class TicketState(Enum):
    """Where a record is on its way."""

    QUEUED = "queued"
    TAKEN = "taken"
    RECORDED = "recorded"
    WITHDRAWN = "withdrawn"
    DROPPED = "dropped"


class Ticket:
    """One submitted record; implements `failsoft.core.effects.Ticket`."""

    __slots__ = ("_queue", "leaf", "monotonic_ns", "promise", "record", "state", "wall_ns")

    def __init__(self, queue: TicketQueue, record: Record, wall_ns: int, monotonic_ns: int) -> None:
        self._queue = queue
        self.record: Record | None = record
        self.wall_ns = wall_ns
        self.monotonic_ns = monotonic_ns
        self.promise: Promise[Recorded | Unrecorded] = Promise()
        self.state = TicketState.QUEUED
        self.leaf: bytes | None = None
        """The record's hash, as of the last time its bytes were built."""

    def withdraw(self) -> bool:
        """Take it back; False if the writer has it already (or it's recorded)."""
        return self._queue.withdraw(self)


@define
class _Gap:
    calls: set[str] = field(factory=set[str])
    others: int = 0


@define
class Gaps:
    """Records that will never be written, by reason, until a record has declared them. Counted by calls.

    Of calls known by their id, 10,000 are kept per reason; beyond that each record counts by itself, unless the one before
    of its call was lost too: the count may be too high, never too low.
    """

    pending: dict[str, _Gap] = field(factory=dict[str, _Gap])

    def add(self, reason: str, record: object) -> None:
        """One record is lost."""
        gap = self.pending.setdefault(reason, _Gap())
        call_id = getattr(record, "call_id", None)
        if isinstance(call_id, str) and (len(gap.calls) < 10_000 or call_id in gap.calls):
            gap.calls.add(call_id)
        elif not _is_counted(record):
            gap.others += 1

    def merge(self, other: Gaps) -> None:
        """These too are to be declared."""
        for reason, gap in other.pending.items():
            mine = self.pending.setdefault(reason, _Gap())
            mine.calls |= gap.calls
            mine.others += gap.others

    def counts(self) -> dict[str, int]:
        """What is to be declared now."""
        return {reason: len(gap.calls) + gap.others for reason, gap in self.pending.items()}


def _is_counted(record: object) -> bool:
    """Was the record before of its call lost, too?"""
    match record:
        case CallCompleted(started=Ticket() as before) | CallAmended(completed=Ticket() as before):
            return before.state is TicketState.DROPPED
        case _:
            return False


class TicketQueue:
    """First in, first out, bounded; any thread puts and withdraws, one thread takes."""

    def __init__(self, limit: int) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._waiting: OrderedDict[Ticket, None] = OrderedDict()
        self._limit = limit
        self._gaps = Gaps()
        self._late: int | None = None
        self._shut: str | None = None

    def put(self, ticket: Ticket) -> None:
        """Queue it; where that can't be, it's dropped and its waiter is told."""
        with self._changed:
            refused = self._shut
            if refused is None and len(self._waiting) >= self._limit:
                refused = "queue_full"
                self._gaps.add(refused, ticket.record)
            if refused is None:
                self._waiting[ticket] = None
                self._changed.notify()
                return
            ticket.state = TicketState.DROPPED
            ticket.record = None
        ticket.promise.resolve(Unrecorded(refused))

    def withdraw(self, ticket: Ticket) -> bool:
        """See `Ticket.withdraw`."""
        with self._changed:
            if ticket.state is TicketState.QUEUED:
                del self._waiting[ticket]
                ticket.state = TicketState.WITHDRAWN
                ticket.record = None
            elif ticket.state not in (TicketState.WITHDRAWN, TicketState.DROPPED):
                return False
        ticket.promise.resolve(Unrecorded("withdrawn"))
        return True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until there's something to take or to say, or this long; False when there's nothing and the queue is shut."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._shut is not None, seconds)
            return self._pending or self._shut is None

    @property
    def _pending(self) -> bool:
        return bool(self._waiting or self._gaps.pending) or self._late is not None

    def late(self, since: int) -> bool:
        """Somebody waited in vain for what wasn't durable in time; False: that's known already.

        Args:
            since: when that one began to wait, in nanoseconds since 1970.
        """
        with self._changed:
            known, self._late = self._late, since if self._late is None else min(since, self._late)
            self._changed.notify()
            return known is None

    def take_late(self) -> int | None:
        """Since when somebody has waited in vain, if that isn't on record so far."""
        with self._changed:
            taken, self._late = self._late, None
            return taken

    def wait_until(self, so: Callable[[], bool], seconds: float) -> None:
        """Wait until nothing waits here and that's so, as it may be whenever records became durable; at most this long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and so(), seconds)

    def pause(self, seconds: float) -> None:
        """Wait this long, or until the queue is shut: new records don't end it."""
        with self._changed:
            self._changed.wait_for(lambda: self._shut is not None, seconds)

    def take(self, limit: int) -> list[Ticket]:
        """At most `limit` tickets, in order: taken from now on."""
        taken: list[Ticket] = []
        with self._changed:
            while self._waiting and len(taken) < limit:
                ticket, _ = self._waiting.popitem(last=False)
                ticket.state = TicketState.TAKEN
                taken.append(ticket)
        return taken

    def give_back(self, tickets: Sequence[Ticket]) -> None:
        """These were taken and not written: queue them again, before all others. Those dropped meanwhile stay so."""
        with self._changed:
            for ticket in reversed(tickets):
                if ticket.state is not TicketState.TAKEN:
                    continue
                ticket.state = TicketState.QUEUED
                ticket.leaf = None
                self._waiting[ticket] = None
                self._waiting.move_to_end(ticket, last=False)

    def tell_all(self, reason: str) -> None:
        """Whoever waits needn't: nothing is becoming durable now."""
        with self._changed:
            waiting = list(self._waiting)
        self.tell(waiting, reason)

    def tell(self, tickets: Iterable[Ticket], reason: str) -> None:
        """Their waiters needn't wait: not durable now."""
        for ticket in tickets:
            ticket.promise.resolve(Unrecorded(reason))

    def drop(self, ticket: Ticket, reason: str, detail: str) -> None:
        """A taken ticket can't be written, ever: its waiter is told, the gap is declared later."""
        with self._changed:
            ticket.state = TicketState.DROPPED
            self._gaps.add(reason, ticket.record)
            ticket.record = None
        ticket.promise.resolve(Unrecorded(f"{reason}: {detail}"))

    def settle(self, tickets: Sequence[Ticket], indices: Sequence[int | None]) -> None:
        """These are durable, at these places of the log; None: at one that isn't known yet."""
        with self._changed:
            for ticket in tickets:
                ticket.state = TicketState.RECORDED
                ticket.record = None
            self._changed.notify_all()  # whoever waits for the end of calls
        for ticket, index in zip(tickets, indices, strict=True):
            assert ticket.leaf is not None
            ticket.promise.resolve(Recorded(index, ticket.leaf))

    def take_gaps(self) -> Gaps:
        """The gaps of this moment, to be declared; hand them back with `return_gaps` if that fails."""
        with self._changed:
            taken, self._gaps = self._gaps, Gaps()
            return taken

    def return_gaps(self, gaps: Gaps) -> None:
        """They couldn't be declared."""
        with self._changed:
            self._gaps.merge(gaps)

    def shut(self, reason: str) -> None:
        """Take no more; wake whoever waits."""
        with self._changed:
            self._shut = reason
            self._changed.notify_all()

    def abandon(self, reason: str) -> int:
        """Drop all that's left, to be declared if anything still is; how many tickets that were."""
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
            for ticket in left:
                ticket.state = TicketState.DROPPED
                self._gaps.add("closed", ticket.record)
                ticket.record = None
        self.tell(left, reason)
        return len(left)

    def before_fork(self) -> None:
        """Hold the lock across a fork: the child could never get one that another thread held."""
        self._changed.acquire()

    def after_fork(self) -> None:
        """Let go of it, in parent and child."""
        self._changed.release()

    @property
    def is_shut(self) -> bool:
        """Does it take no more?"""
        return self._shut is not None

    def __len__(self) -> int:
        return len(self._waiting)
