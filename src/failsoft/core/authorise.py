"""How an attempt comes by a credential that doesn't last: it takes the one there is, fetches it, or waits for who does.

It's had before the attempt takes slot and permit: fetching holds neither, and its time isn't the provider's.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from failsoft.core.asking import Asking
from failsoft.core.credential import CredentialKeeper, Fetch, Issued, Unavailable
from failsoft.core.effects import Effect, Enter, Invoke
from failsoft.core.route import GuardedAdapter
from failsoft.fault import FaultKind
from failsoft.outcome import PassedOver


def authorised(
    asking: Asking[Any, Any], adapter: GuardedAdapter, keeper: CredentialKeeper, left: int
) -> Generator[Effect, Any, Issued | None]:
    """A credential, or None: `Asking.passed_over` says why.

    Args:
        asking: what is asked.
        adapter: who is asked.
        keeper: its credential's.
        left: how many adapters share the time that's left, this one included.
    """
    clock = asking.world.clock
    while True:
        now = clock.monotonic_ns()
        found = keeper.take(now)
        if type(found) is Issued:
            adapter.strike(found)
            return found
        if isinstance(found, Unavailable):
            _without(asking, adapter, found.reason)
            return None
        ends = asking.budget.attempt_until(now, left, adapter.attempt_cap)
        try:
            if isinstance(found, Fetch):
                yield Invoke(adapter.name, found, (), ends)
                if keeper.problem:
                    asking.tell("credential.failed", adapter=adapter.name, reason=keeper.problem)
            else:
                yield Enter(found, ends)
        except Exception as error:
            asking.loud(FaultKind.BUG, adapter.name, error)
            _without(asking, adapter, "a bug")
            return None
        if clock.monotonic_ns() >= ends:
            _without(asking, adapter, "it took too long")
            return None


def _without(asking: Asking[Any, Any], adapter: GuardedAdapter, why: str) -> None:
    asking.passed_over.append(PassedOver(adapter.name, "no_credential", detail=why))
