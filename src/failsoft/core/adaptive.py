"""How many attempts at once an adapter bears: found out by trying.

Theory of operation. Additive increase, multiplicative decrease (RFC 5681's way with congestion, on slots instead of bytes):

    a drop      an attempt was throttled, or ran into its time-out: the limit falls to nine tenths, once for all attempts
                that were under way by then: a hundred time-outs of one hang are one message, not a hundred
    an answer   while at least half of the slots are in use: so many answers as there are slots raise the limit by one

The limit stays between 1 and the one that's configured, where it begins. Answer times say nothing here: they follow the
length of what's written, not the load (a limit that reads them grows for ever once every answer takes as long as the
time-out). Other faults say nothing either: an outage is the breaker's.
"""

from __future__ import annotations

from collections.abc import Callable

from failsoft.core.bulkhead import Bulkhead, BulkheadFull


class AdaptiveBulkhead(Bulkhead):
    """A bulkhead whose limit follows what its adapter bears. Arguments and errors as `Bulkhead`: its limit is the most."""

    __slots__ = ("_answers", "_fell", "_most")

    def __init__(self, limit: int, max_waiting: int, on_full: Callable[[BulkheadFull], None] | None = None) -> None:
        super().__init__(limit, max_waiting, on_full)
        self._most = limit
        self._answers = 0  # since the limit last moved
        self._fell = -1  # when it last fell

    def answered(self) -> None:
        """An attempt was answered; its slot is still in use."""
        with self._lock:
            if self.limit >= self._most or self.in_use * 2 < self.limit:
                return
            self._answers += 1
            if self._answers < self.limit:
                return
            self._answers = 0
            self.limit += 1
            heir = self._grant()
        if heir is not None:
            heir.resolve(True)

    def dropped(self, began: int, now: int) -> None:
        """An attempt that began at `began` was throttled, or ran out of time."""
        with self._lock:
            if began <= self._fell:
                return
            self._fell = now
            self._answers = 0
            self.limit = max(1, self.limit * 9 // 10)
