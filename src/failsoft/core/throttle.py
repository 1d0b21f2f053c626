"""A throttle: an adapter waits as its provider told it, and then comes back little by little.

Theory of operation
-------------------

FREE      Every attempt may go.
WAITING   None before `until`. A throttled reply (429, 503, 529) leads here: for as long as it said (its hint) and a
          little more, or for a back-off that doubles with each wait that had no hint. `until` is never shortened.
          Without a hint, replies to attempts that were under way when the wait began don't prolong it: a hundred of
          them are one message, not a hundred.
PACED     From `until` on, one attempt per interval: everybody who waited would else come at once and be throttled
          again. The interval starts at 1 s and halves with each success and every 5 s; after 7 halvings the throttle is
          free.

A throttled adapter isn't unhealthy: its breaker isn't told. `until` only looks; `admit` takes a place in the pace. The
state follows from the time; nothing runs by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from failsoft.core.effects import MILLISECOND, SECOND, Random
from failsoft.core.guard import Guard

BACK_OFF = 5 * SECOND
BACK_OFF_CAP = 60 * SECOND
LONGEST_HINT = 3_600 * SECOND
"""A provider's hint is believed up to an hour."""

EXTRA_SHARE = 10
EXTRA_LEAST = 200 * MILLISECOND
"""A wait is prolonged by up to a tenth, or 0.2 s: never shortened, since coming early is refused."""

PACE_INTERVAL = 1 * SECOND
PACE_STEP = 5 * SECOND
PACE_STEPS = 7

_MOST_WAITS = (BACK_OFF_CAP // BACK_OFF).bit_length() + 1


@define
class ThrottleChange:
    """A throttle began to wait, or must wait longer, or is free again.

    Args:
        until_ns: no attempt before then; 0: free.
        hinted: the provider said how long.
        peer: another process was told so.
    """

    until_ns: int
    hinted: bool
    peer: bool = False


class Throttle(Guard[ThrottleChange]):
    """Whether an adapter must wait. Any thread may call it; none waits in it.

    Args:
        random: for the jitter.
        on_change: told each change: in order, after the lock; what it raises is counted.
    """

    __slots__ = ("_last", "_random", "_successes", "_until", "_waits", "free")

    def __init__(self, random: Random, on_change: Callable[[ThrottleChange], None] | None = None) -> None:
        super().__init__(on_change)
        self._random = random
        self._until = 0  # 0: free
        self._waits = 0  # waits without a hint since it was last free
        self._last: int | None = None  # the last attempt that the pace let go
        self._successes = 0  # since the wait ended
        self.free = True
        """It neither waits nor is it paced: an attempt may go, and its success is no news."""

    def until(self, now: int) -> int:
        """The moment before which no attempt may go; 0 if one may. Takes nothing."""
        if not self._until:
            return 0
        with self._lock:
            moment = self._next(now)
        self._announce()  # a release that was due
        return moment

    def admit(self, now: int) -> int:
        """As `until`, and takes a place in the pace if an attempt may go: call it right before the attempt."""
        if not self._until:
            return 0
        with self._lock:
            moment = self._next(now)
            if not moment:
                self._last = now
        self._announce()
        return moment

    def throttled(self, now: int, hint_ns: int | None) -> None:
        """The provider said to wait.

        Args:
            now: the present moment.
            hint_ns: how many nanoseconds; None, or less than 0: it didn't say. Believed up to an hour.
        """
        with self._lock:
            self._next(now)
            hint = -1 if hint_ns is None else hint_ns
            if hint >= 0:
                wait = min(hint, LONGEST_HINT)
            elif now < self._until:
                return
            else:
                self._waits = min(self._waits + 1, _MOST_WAITS)
                wait = min(BACK_OFF_CAP, BACK_OFF << self._waits - 1)
            until = now + wait + int(self._random.random() * max(EXTRA_LEAST, wait // EXTRA_SHARE))
            # In the pace, too: 0 isn't a moment to wait for.
            if until > self._until:
                self._wait(until, ThrottleChange(until, hint >= 0))
        self._announce()

    def advised(self, until: int, now: int) -> None:
        """Another process was told to wait until then: so must this one, up to an hour. Never shortens a wait."""
        until = min(until, now + LONGEST_HINT)
        with self._lock:
            self._next(now)
            if until > max(self._until, now):
                self._wait(until, ThrottleChange(until, True, peer=True))
        self._announce()

    def succeeded(self, now: int) -> None:
        """An attempt was answered: the pace quickens."""
        if not self._until:
            return
        with self._lock:
            if now >= self._until:
                self._successes += 1
                self._next(now)
        self._announce()

    def lift(self) -> None:
        """Somebody says that it's free now."""
        with self._lock:
            if self._until:
                self._release()
        self._announce()

    def _wait(self, until: int, change: ThrottleChange) -> None:
        self.free = False
        self._until = until
        self._last = None
        self._successes = 0
        self._changed(change)

    def _next(self, now: int) -> int:
        """When the next attempt may go, 0 for now. Carries out a release that is due."""
        if now < self._until:
            return self._until
        if not self._until:
            return 0
        steps = self._successes + (now - self._until) // PACE_STEP
        if steps >= PACE_STEPS:
            self._release()
            return 0
        if self._last is None:
            return 0
        moment = self._last + (PACE_INTERVAL >> steps)
        return moment if moment > now else 0

    def _release(self) -> None:
        self._until = self._waits = 0
        self.free = True
        self._changed(ThrottleChange(0, False))
