"""A permit: leave to make one attempt, settled once.

The rules behind it are told in `failsoft.core.breaker`. Everything that a permit says to its breaker is concluded there,
under the breaker's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from failsoft.fault import Settlement

if TYPE_CHECKING:
    from failsoft.core.breaker_machine import Machine

_FAILURE, _NEUTRAL = Settlement.FAILURE, Settlement.NEUTRAL


@final
class Permit:
    """Leave to make one attempt. Settle it once; whatever comes later is counted and has no effect."""

    __slots__ = (
        "_breaker",
        "_call",
        "_entry",
        "_number",
        "_started",
        "generation",
        "lease_ns",
        "settled",
        "trial",
    )

    def __init__(
        self, breaker: Machine, trial: bool, number: int, started: int, lease: int, entry: Any, call: object
    ) -> None:
        self._breaker = breaker
        self._number = number
        self._started = started
        self._entry = entry
        self._call = call
        self.generation: int = breaker._generation
        """The breaker's generation that admitted it."""
        self.trial = trial
        """Was it admitted by a half-open breaker?"""
        self.lease_ns = lease
        """When it's taken for lost."""
        self.settled = False
        """Has it been settled?"""

    def settle(
        self, settlement: Settlement, now: int, *, hint_ns: int | None = None, well_formed: bool = False
    ) -> None:
        """Say how the attempt ended. Never raises.

        Args:
            settlement: what it says of the provider.
            now: the present moment, in nanoseconds of the breaker's clock.
            hint_ns: how long the provider said to wait: an opening that follows lasts at least as long (up to an hour).
            well_formed: the provider sent a whole, well-formed reply.
        """
        breaker = self._breaker
        with breaker._lock:
            breaker._conclude(self, settlement, now, hint_ns, well_formed)
        if breaker._untold:
            breaker._announce()

    def cut(self, now: int) -> None:
        """The caller's deadline cut the attempt off: FAILURE if it had fair time, else NEUTRAL.

        Were it always neutral, a provider that hangs would never open anything; were it always a failure, impatient
        callers would open a healthy one.
        """
        fair = now - self._started >= self._breaker.fair_time(now)
        self.settle(_FAILURE if fair else _NEUTRAL, now)

    def fail_check(self, now: int) -> None:
        """The trial was answered, and by no provider that may be let in again: NEUTRAL, and the breaker opens, in one step.

        In two, another trial's success could close it in between. A late one changes nothing, like any late result.
        """
        breaker = self._breaker
        with breaker._lock:
            breaker._fail_check(self, now)
        breaker._announce()

    def abandon(self) -> None:
        """Give the permit back without taking a lock: it's settled as NEUTRAL by whoever asks the breaker next."""
        if not self.settled:
            self._breaker._abandoned.append(self)
