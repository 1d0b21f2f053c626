"""What one attempt holds of its adapter: a part of the quotas, a place in the queue, a slot, permits; and giving it back.

Theory of operation. Everything is taken before the attempt goes and given back when it has ended, however that comes
about: `release` at once; `abandon` when the garbage collector took the call, perhaps inside somebody's lock, so that none
is taken. A slot whose work goes on after its caller left (a thread can't be stopped) is free when the work ends.
"""

from __future__ import annotations

from attrs import define

from failsoft.core.breaker import Permit
from failsoft.core.bulkhead import Bulkhead
from failsoft.core.effects import Invoke, Promise
from failsoft.core.limits import Reservation
from failsoft.core.quality import Leave
from failsoft.core.route import GuardedAdapter
from failsoft.fault import Settlement


@define(eq=False)
class Held:
    """What's held of `adapter` now; each of it at most once."""

    adapter: GuardedAdapter
    reservation: Reservation | None = None
    queued: Promise[bool] | None = None
    slot: Bulkhead | None = None
    permit: Permit | None = None
    leave: Leave | None = None
    work: Invoke | None = None

    def unsent(self) -> None:
        """Nothing was sent: the quotas get back what was reserved."""
        reservation, self.reservation = self.reservation, None
        if reservation is not None and self.adapter.limits is not None:
            self.adapter.limits.give_back(reservation)

    def sent(self, tokens: int | None) -> None:
        """What was sent used so many tokens; None where the reply didn't say."""
        reservation, self.reservation = self.reservation, None
        limits = self.adapter.limits
        assert reservation is not None
        assert limits is not None
        limits.settle(reservation, tokens)

    def release(self, now: int, *, lost: bool = False) -> None:
        """Everything goes back at once; a permit says nothing of the provider, unless it `lost` a race: see `Permit.cut`."""
        permit, self.permit = self.permit, None
        if permit is not None:
            if lost:
                permit.cut(now)
            else:
                permit.settle(Settlement.NEUTRAL, now)
        leave, self.leave = self.leave, None
        if type(leave) is Permit:
            leave.settle(Settlement.NEUTRAL, now)
        queued, self.queued = self.queued, None
        if queued is not None:
            self.adapter.bulkhead.cancel(queued)
            self.unsent()
        slot, self.slot = self.slot, None
        work, self.work = self.work, None
        if slot is not None:
            if work is not None and work.started and not work.work.done:
                slot.outlive(work.work)
            else:
                slot.leave()

    def abandon(self) -> None:
        """The garbage collector took the call: give back without a lock. A reservation stays: it may have been used."""
        permit, self.permit = self.permit, None
        if permit is not None:
            permit.abandon()
        leave, self.leave = self.leave, None
        if isinstance(leave, Permit):
            leave.abandon()
        slot, self.slot = self.slot, None
        work, self.work = self.work, None
        if slot is not None:
            slot.abandon(work=work.work if work is not None and work.started else None)
        queued, self.queued = self.queued, None
        if queued is not None:
            self.adapter.bulkhead.abandon(queued)
