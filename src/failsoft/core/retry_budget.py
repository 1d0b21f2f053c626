"""How many retries an adapter may cost: a budget, so that an outage isn't multiplied by everybody's second attempts.

Theory of operation. A bucket of tokens for each adapter, full at first. What repeats a question takes tokens out: a retry
or a repair 5, a hedge 5, a retry after a timeout 10 (it held a slot for long). A first attempt takes none and is never
refused: it puts half a token in. Time puts in 1.5 a second, so that an adapter which is seldom asked may retry too. With
nothing left a repetition is refused: the call moves on, to the next adapter or its fallback.

The idea and the costs are those of the AWS SDKs' retry quota; the refill by time is for few calls a minute
(resilience specification, 1.12: attempts per call with every one failing and no breaker: 3.00 at one call a minute, 1.26 at
two a second, 1.10 at two hundred).

First attempts are counted without the lock, since every call makes one: where threads collide a few go uncounted, and the
budget is a little smaller than it might be.
"""

from __future__ import annotations

import threading

from failsoft.core.effects import SECOND
from failsoft.fault import Fault, FaultKind

CAPACITY = 50.0
PER_FIRST_ATTEMPT = 0.5
PER_SECOND = 1.5
COST = 5.0
COST_OF_TIMEOUT = 10.0
"""After an attempt that ran into its time."""
_TIMEOUTS = frozenset({FaultKind.ATTEMPT_TIMEOUT, FaultKind.STREAM_STALLED})


class RetryBudget:
    """One adapter's budget. Any thread may call it; none waits in it."""

    __slots__ = ("_counted", "_lock", "_now", "_tokens", "first_attempts")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens = CAPACITY
        self._counted = 0
        self._now: int | None = None
        self.first_attempts = 0
        """Counted by those who make them: ``budget.first_attempts += 1``."""

    def take(self, now: int, fault: Fault | None) -> bool:
        """May a question be put again? Takes its cost if so.

        Args:
            now: the present moment, in nanoseconds.
            fault: what the attempt before it met; None for a hedge.
        """
        cost = COST_OF_TIMEOUT if fault is not None and fault.kind in _TIMEOUTS else COST
        with self._lock:
            self._refill(now)
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def left(self, now: int) -> float:
        """Tokens in the bucket, 0-50."""
        with self._lock:
            self._refill(now)
            return self._tokens

    def after_fork(self) -> None:
        """In the child: the lock may be held by a thread that isn't here."""
        self._lock = threading.Lock()

    def _refill(self, now: int) -> None:
        first = self.first_attempts
        passed = 0 if self._now is None else max(0, now - self._now)
        gained = (first - self._counted) * PER_FIRST_ATTEMPT + passed / SECOND * PER_SECOND
        self._tokens = min(CAPACITY, self._tokens + gained)
        self._counted = first
        self._now = now if self._now is None else max(now, self._now)
