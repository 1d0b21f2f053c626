"""The deadline of one call, and how its time is shared out.

Theory of operation. A caller gives a call `deadline` nanoseconds from its start. Two reserves are kept at the end: one for
the fallback (it must run although everything else used its time up), one for writing down what happened. So

    ask ends   = start + deadline - fallback reserve - ledger reserve
    an append  may take min(1 s, what remains of the whole deadline)
    an attempt may take (ask ends - now) / adapters left, unless its adapter has a shorter cap

so that an adapter that hangs doesn't starve the next one. Each reserve is at most a tenth of the deadline: a short
deadline isn't eaten by its reserves. Nothing is started that has less than `FLOOR` to run.
"""

from __future__ import annotations

from failsoft.core.effects import MILLISECOND, SECOND

FALLBACK_RESERVE = 50 * MILLISECOND
LEDGER_RESERVE = 250 * MILLISECOND
APPEND_AT_MOST = SECOND
FLOOR = 5 * MILLISECOND
"""Less than this isn't worth a request: a connection alone takes about that long."""


class Budget:
    """Moments of one call, on the monotonic clock.

    Args:
        started: when it began.
        deadline: nanoseconds from then.
        ledger: is there one? Otherwise nothing is kept for it.
    """

    __slots__ = ("ask_ends", "ends", "started")

    def __init__(self, started: int, deadline: int, *, ledger: bool) -> None:
        tenth = deadline // 10
        reserve = FALLBACK_RESERVE if tenth > FALLBACK_RESERVE else tenth
        if ledger:
            reserve += LEDGER_RESERVE if tenth > LEDGER_RESERVE else tenth
        self.started = started
        self.ends = started + deadline
        self.ask_ends = self.ends - reserve

    def append_until(self, now: int) -> int:
        """When an append that starts now must be given up."""
        return min(now + APPEND_AT_MOST, max(self.ends, now))

    def attempt_until(self, now: int, adapters_left: int, cap: int | None) -> int:
        """When an attempt that starts now must end; `adapters_left` counts the one it's for."""
        until = now + (self.ask_ends - now) // adapters_left
        return until if cap is None or until - now <= cap else now + cap


def fair_share(deadline: int, adapters: int, *, ledger: bool) -> int:
    """Nanoseconds that an attempt has nearly always where `adapters` share a whole deadline.

    Four fifths of its share: what precedes it (an append, a queue) takes some.
    """
    return Budget(0, deadline, ledger=ledger).ask_ends * 4 // (5 * max(1, adapters))
