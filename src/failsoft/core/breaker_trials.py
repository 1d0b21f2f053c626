"""The trials of a half-open breaker: who may make one, and what they come to.

Theory of operation. At most `concurrent_trials` are out at once, and those out and those that counted are at most
`trials`. A trial counts when it succeeds, fails, or is lost (its lease ended: it has failed at that moment). A neutral one
gives its place back. Counting ends, with the cause of the breaker's next transition, at

    successes_to_close successes                               TRIALS_SUCCEEDED
    so many failures that these are out of reach               TRIALS_FAILED
    three neutral trials, each with a whole, well-formed       TRIALS_NEUTRAL: on probation, since the provider does
    reply, and no success or failure between them              answer
"""

from __future__ import annotations

from failsoft.core.breaker_permit import Permit
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.breaker_states import Cause, Refused
from failsoft.fault import Settlement

NEUTRAL_TRIALS = 3
"""So many neutral trials with a whole reply, and no success or failure between, close the breaker on probation."""


class Trials:
    """The trials of one spell of HALF_OPEN. Its breaker's lock is held around every method."""

    __slots__ = ("_failures", "_neutral_replies", "_out", "_successes")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: those that are out don't count any more."""
        self._out: tuple[Permit, ...] = ()
        self._successes = self._failures = self._neutral_replies = 0

    def __len__(self) -> int:
        """How many are out."""
        return len(self._out)

    def taken(self, settings: BreakerSettings, now: int) -> Refused | None:
        """Why there's no place for another; None if there is one."""
        out = len(self._out)
        if out < settings.concurrent_trials and out + self._successes + self._failures < settings.trials:
            return None
        return Refused("trials_taken", min(each.lease_ns for each in self._out) - now)

    def begin(self, permit: Permit) -> None:
        """A trial goes out."""
        self._out = (*self._out, permit)

    def end(self, permit: Permit) -> bool:
        """A trial came back. False: it isn't out any more, since its lease had ended."""
        if permit not in self._out:
            return False
        self._out = tuple(each for each in self._out if each is not permit)
        return True

    def lost(self, now: int) -> Permit | None:
        """Of the trials whose lease has ended, the one whose lease ended first."""
        first = min(self._out, key=lambda permit: permit.lease_ns, default=None)
        return None if first is None or now < first.lease_ns else first

    def count(self, settings: BreakerSettings, settlement: Settlement, well_formed: bool) -> Cause | None:
        """What a trial that came back (or was lost) says of the provider, and what all of them come to, if anything."""
        if settlement is Settlement.NEUTRAL:
            self._neutral_replies += well_formed
            return Cause.TRIALS_NEUTRAL if self._neutral_replies >= NEUTRAL_TRIALS else None
        self._neutral_replies = 0
        if settlement is Settlement.SUCCESS:
            self._successes += 1
            return Cause.TRIALS_SUCCEEDED if self._successes >= settings.successes_to_close else None
        self._failures += 1
        return Cause.TRIALS_FAILED if self._failures > settings.trials - settings.successes_to_close else None
