"""So many calls of one capability at once: beyond that the fallback answers at once, and nobody is asked.

Theory of operation. A bulkhead limits what is on the wire at one provider, and lets others wait. Admission limits what a
capability may have under way in all, waiting included: it bounds memory, and what a burst can put before a provider that
is just recovering. A call that isn't admitted is *shed*: it's answered by the fallback, on record as any other. Off unless
`max_in_flight` is configured.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from failsoft.core.bulkhead import Bulkhead
from failsoft.core.call import Call
from failsoft.core.effects import Effect
from failsoft.outcome import Outcome

R = TypeVar("R")


def admitted(admission: Bulkhead, call: Call[Any, R]) -> Generator[Effect, Any, Outcome[R]]:
    """The call, in a place of its own for as long as it runs; shed where there's none. Returns and raises as `Call.run`."""
    if not admission.try_enter():
        call.shed = True
        return (yield from call.run())
    try:
        outcome = yield from call.run()
    except GeneratorExit:  # from the garbage collector, perhaps inside a lock: none is taken
        admission.abandon()
        raise
    except BaseException:
        admission.leave()
        raise
    admission.leave()
    return outcome
