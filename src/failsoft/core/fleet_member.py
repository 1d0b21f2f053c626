"""One adapter of this process in its fleet: what the fleet knows of it, and when it may ask for the lease.

The rules behind it are told in `failsoft.core.fleet`, whose one thread alone reads and writes it.
"""

from __future__ import annotations

from attrs import define, field

from failsoft.core import breaker_peers
from failsoft.core.breaker_states import Change, State
from failsoft.core.effects import LONG_AGO, MILLISECOND
from failsoft.core.latch import LatchChange
from failsoft.core.route import GuardedAdapter
from failsoft.core.throttle import ThrottleChange

Told = Change | ThrottleChange | LatchChange

AHEAD = 200 * MILLISECOND
LEAD = {"advised": 2 * AHEAD, "failed": AHEAD // 4, "own": AHEAD}
"""An opening about to end: the lease is asked for so much earlier."""


@define(eq=False)
class Member:
    """One adapter of this process in the fleet. Its owner's name tells it from the same adapter elsewhere.

    Args:
        key: the adapter at its pin, the same in every process.
        owner: this process's name and the adapter's.
        adapter: with its guards.
    """

    key: str
    owner: str
    adapter: GuardedAdapter
    due: int = 0
    """When the fleet's opening ends; of no meaning while it's closed."""
    lease: int | None = None
    """The epoch of the lease that this member holds."""
    lease_until: int = 0
    trying: bool = False
    """Has it gone half-open under the lease?"""
    tried_at: int = 0
    """When it did."""
    failed: bool = False
    """Was it the last to try, and failed?"""
    next_ask: int = 0
    pause: int = 0
    """It stood down: others may ask before it."""
    wanted: bool = False
    """Does another process have callers for the adapter?"""
    want_told: int = LONG_AGO
    """When it last said so itself."""
    pending: dict[type, Told] = field(factory=dict[type, Told])
    counted: tuple[int, int, int] = (0, 0, 0)
    counted_at: int = LONG_AGO
    counts: int = 0

    def name(self, kind: str) -> str:
        """Of its fact of that kind."""
        return f"{self.key}/{kind}"

    @property
    def state(self) -> State:
        """Its breaker's."""
        return self.adapter.breaker._state

    @property
    def asks_at(self) -> int:
        """When it may ask for the lease."""
        advised = breaker_peers.is_advised(self.adapter.breaker)
        lead = LEAD["advised" if advised else "failed" if self.failed else "own"]
        return max(self.due - lead, self.next_ask, self.pause)
