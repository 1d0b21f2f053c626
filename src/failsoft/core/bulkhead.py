"""A bulkhead: so many attempts at one adapter at once, and so many more that wait for a slot.

Theory of operation
-------------------

1. A slot is taken (`try_enter`), or waited for (`queue`). Who leaves hands the slot to whoever waited longest: it's
   never free in between, so nobody can slip in before those who wait. Somebody waits only while every slot is in use.
2. A place in the queue is a promise, delivered from any thread: the same queue serves event loops and threads.
3. Whoever gives up its place says so (`cancel`). Had the slot been handed over meanwhile, it's passed on: a slot is
   never granted to somebody who has gone. Giving up twice does nothing.
4. The garbage collector gives back without a lock (`abandon`): the next caller does the work.
5. Where the limit fell below what's in use (`failsoft.core.adaptive`), slots given back go to nobody until it holds.
6. Promises are delivered, and listeners told, after the lock.

A full bulkhead is ours, not the provider's: no breaker is told. A slot is held until the *work* ends: a timed-out
thread that goes on working holds it on, and is counted as an orphan until then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from attrs import define

from failsoft.core.effects import Promise
from failsoft.core.guard import Guard

LIMIT = 100
MAX_WAITING = 2_000


@define
class BulkheadFull:
    """A bulkhead became full: told once, until a slot or a place in its queue is free again.

    Args:
        in_use: slots in use.
        waiting: those who wait for one.
        refused: the queue is full, too: somebody was turned away.
    """

    in_use: int
    waiting: int
    refused: bool


class _Place(Promise[bool]):
    """A place in the queue."""

    __slots__ = ("given_up",)

    def __init__(self) -> None:
        super().__init__()
        self.given_up = False


class Bulkhead(Guard[BulkheadFull]):
    """The slots of one adapter. Any thread may call it; none waits in it.

    Args:
        limit: slots, at least 1. At a mean latency of 2.1 s, 100 slots carry 47 calls a second.
        max_waiting: places in the queue, at least 0.
        on_full: told when it becomes full: in order, after the lock; what it raises is counted.

    Raises:
        ValueError: `limit` or `max_waiting` is out of range.
    """

    __slots__ = ("_abandoned", "_max_waiting", "_orphans", "_queue", "_told", "in_use", "limit")

    def __init__(
        self,
        limit: int = LIMIT,
        max_waiting: int = MAX_WAITING,
        on_full: Callable[[BulkheadFull], None] | None = None,
    ) -> None:
        if limit < 1 or max_waiting < 0:
            raise ValueError(f"a bulkhead wants limit >= 1 and max_waiting >= 0, not {limit} and {max_waiting}")
        super().__init__(on_full)
        self.limit = limit
        """Slots, now: an adaptive bulkhead moves it."""
        self._max_waiting = max_waiting
        self._queue: OrderedDict[_Place, None] = OrderedDict()
        self._abandoned: list[tuple[_Place | None, Promise[None] | None]] = []
        self._orphans = 0
        self._told: set[bool] = set()  # which kinds of full have been told
        self.in_use = 0
        """Slots in use, those handed over included."""

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._queue)

    @property
    def orphans(self) -> int:
        """How many works run on after their caller left: each still has its slot."""
        collected = sum(work is not None and not work.done for _, work in list(self._abandoned))
        return self._orphans + collected

    def try_enter(self) -> bool:
        """Take a free slot. False: all are in use."""
        if self._abandoned:
            self._drain()
        with self._lock:
            if self.in_use >= self.limit:
                return False
            self.in_use += 1
            return True

    def queue(self) -> Promise[bool] | None:
        """Wait for a slot: the promise is delivered when it's yours. None: the queue is full."""
        if self._abandoned:
            self._drain()
        place = _Place()
        with self._lock:
            granted = self.in_use < self.limit
            full = not granted and len(self._queue) >= self._max_waiting
            if granted:
                self.in_use += 1
            else:
                self._note_full(refused=full)
                if not full:
                    self._queue[place] = None
        if granted:
            place.resolve(True)
        self._announce()
        return None if full else place

    def cancel(self, promise: Promise[bool]) -> None:
        """Give up a place in the queue. A slot that had been handed over is passed on."""
        assert isinstance(promise, _Place)
        if self._abandoned:
            self._drain()
        with self._lock:
            heir = self._give_up(promise)
        if heir is not None:
            heir.resolve(True)

    def leave(self) -> None:
        """Give a slot back: to whoever waited longest, if anybody waits."""
        if self._abandoned:
            self._drain()
        heir = None
        with self._lock:
            if self._queue or self._told or not self.in_use:
                heir = self._hand_over()
            else:
                self.in_use -= 1
        if heir is not None:
            heir.resolve(True)

    def outlive(self, work: Promise[None]) -> None:
        """The caller has left, and its work runs on: the slot goes back when that has ended."""
        with self._lock:
            self._orphans += 1
        work.on_done(self._orphan_ended)

    def _orphan_ended(self) -> None:
        with self._lock:
            self._orphans = max(0, self._orphans - 1)  # after a fork they're the parent's
        self.leave()

    def abandon(self, promise: Promise[bool] | None = None, *, work: Promise[None] | None = None) -> None:
        """Give back a slot (or a place in the queue) without taking a lock: the next caller does it.

        Args:
            promise: the place in the queue; None: a slot.
            work: what still runs in that slot: it's free when that has ended.
        """
        assert promise is None or isinstance(promise, _Place)
        self._abandoned.append((promise, work))

    def after_fork(self) -> None:
        """In the child: the parent's attempts hold no slot here, and those who waited aren't here."""
        super().after_fork()
        self._queue.clear()
        self._abandoned.clear()
        self._told.clear()
        self._orphans = self.in_use = 0

    def _drain(self) -> None:
        """Give back what the garbage collector took."""
        heirs: list[_Place | None] = []
        with self._lock:
            for each in list(self._abandoned):
                place, work = each
                if work is None or work.done:
                    self._abandoned.remove(each)
                    heirs.append(self._hand_over() if place is None else self._give_up(place))
        for heir in heirs:
            if heir is not None:
                heir.resolve(True)

    # --- under the lock -----------------------------------------------------------------------------------------------

    def _give_up(self, place: _Place) -> _Place | None:
        if place.given_up:
            return None
        place.given_up = True
        if place in self._queue:
            del self._queue[place]
            self._told.discard(True)
            return None
        return self._hand_over()

    def _hand_over(self) -> _Place | None:
        """Pass a slot on; returns who has it now, to be told after the lock."""
        if self.in_use:
            self.in_use -= 1
            if self._queue:
                return self._grant()
            if self._told:
                self._told.clear()
        return None

    def _grant(self) -> _Place | None:
        """A free slot goes to whoever waited longest; returns who has it now, to be told after the lock."""
        if not self._queue or self.in_use >= self.limit:
            return None
        self.in_use += 1
        self._told.discard(True)
        return self._queue.popitem(last=False)[0]

    def _note_full(self, refused: bool) -> None:
        if refused not in self._told:
            self._told.add(refused)
            self._changed(BulkheadFull(self.in_use, len(self._queue), refused))
