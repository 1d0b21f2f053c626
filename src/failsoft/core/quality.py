"""How well one adapter answers one capability: a breaker of its own, apart from the adapter's health.

Theory of operation. An answer that comes, and doesn't fit (schema-invalid, unacceptable, cut, empty), says that the
provider works and that it's of no use for this question. Half of at least 20 such answers in a minute open the quality
breaker of this adapter for this capability; others go on asking the adapter. Another model than the pinned one opens it
at once.

Of each call the final outcome counts: an answer that's repaired is one that fits. Faults of the provider's, throttling and
cancelled calls say nothing here. While it's closed an attempt takes no permit, and only its outcome is told: right and
wrong answers take equally long, so what's in flight says nothing. Half-open, an attempt is a trial like any other.

Refusals (the model's, or a filter's) are counted apart, and open nothing: a question may deserve one. But a fifth of at
least 20 answers in a minute is told: so looks a prompt, a customer or a provider's policy that has changed. It's told again
no sooner than after ten minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from failsoft.core.breaker import Breaker, Cause, Change, Mode, Permit, Refused, State
from failsoft.core.breaker_settings import QUALITY
from failsoft.core.effects import LONG_AGO, SECOND, Clock, Random
from failsoft.fault import Settlement

Outcome = Literal["ok", "fail", "refused", "open", "none"]

Leave = Permit | int
"""To make an attempt: a trial's permit, or the generation in which it was closed."""

REFUSALS_FROM = 20
"""Per cent of the answers of a minute that are refusals: from here on it's told."""
TOLD_AGAIN = 600 * SECOND

_NO_LEASE = LONG_AGO
_REMEMBERED = 1_024

_SETTLEMENTS = {
    "ok": Settlement.SUCCESS,
    "fail": Settlement.FAILURE,
    "refused": Settlement.NEUTRAL,
    "open": Settlement.NEUTRAL,
    "none": Settlement.NEUTRAL,
}


class Quality(Breaker):
    """One capability's quality breaker at one adapter. Any thread may call it; none waits in it.

    Args:
        clock: read once, for the moment at which it begins.
        random: for the jitter of its openings.
        on_change: told each change of state.
        mode: what a person decided about the adapter.
        on_refusals: told the share in per cent, when many answers are refusals; after the lock.
    """

    __slots__ = ("_on_refusals", "_refusals", "_tell_from")

    def __init__(
        self,
        clock: Clock,
        random: Random,
        on_change: Callable[[Change], None] | None = None,
        mode: Mode = Mode.AUTO,
        on_refusals: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__(QUALITY, clock, random, on_change, mode)
        self._on_refusals = on_refusals
        self._refusals: deque[int] = deque(maxlen=_REMEMBERED)  # their moments
        self._tell_from = LONG_AGO

    def leave(self, now: int, timeout_ns: int) -> Leave | Refused:
        """Leave for one attempt, or why there's none."""
        generation = self._generation  # read first, and without the lock: an older one's outcome counts nowhere
        return generation if self._state is State.CLOSED else self.acquire(now, timeout_ns)

    def settle(self, leave: Leave, now: int, outcome: Outcome) -> None:
        """Say how the attempt ended, by `Treatment.quality`, or ``ok`` for an answer that fits."""
        if type(leave) is Permit:
            leave.settle(_SETTLEMENTS[outcome], now, well_formed=outcome != "none")
        elif outcome == "ok" or outcome == "fail":
            with self._lock:
                if leave == self._generation:
                    window, settings = self._window, self._settings
                    window.count(_NO_LEASE, now, outcome == "fail")
                    if window.calls >= settings.min_calls and window.failures * 100 >= settings.rate * window.calls:
                        self._move(Cause.RATE, now)
                else:
                    self._late_results += 1
            if self._untold:
                self._announce()
        if outcome == "open":
            self.trip(Cause.WRONG_MODEL, now)
        elif outcome == "refused":
            self._refused(now)

    def refusals(self, now: int) -> int:
        """How many answers of the last minute were refusals."""
        with self._lock:
            return self._recent(now)

    def _refused(self, now: int) -> None:
        with self._lock:
            self._refusals.append(now)
            refused = self._recent(now)
            answers = refused + self._window.calls
            share = 100 * refused / answers
            tell = answers >= self._settings.min_calls and share >= REFUSALS_FROM and now >= self._tell_from
            if tell:
                self._tell_from = now + TOLD_AGAIN
        if tell and self._on_refusals is not None:
            self._on_refusals(share)

    def _recent(self, now: int) -> int:
        window = self._window
        if now // window.width > window.tick:
            window.advance(now // window.width)
        oldest = now - int(self._settings.window_s * SECOND)
        while self._refusals and self._refusals[0] <= oldest:
            self._refusals.popleft()
        return len(self._refusals)

    def unblocked(self, now: int) -> None:
        """Somebody says that the adapter is mended: one that isn't closed tries it now."""
        if self._state is not State.CLOSED:
            self.to_trial("unblocked", now)
