"""What the real year didn't bring: both providers dead, all throttled, another model, a retired pin, no DNS, no ledger.

Each is an hour and a half or less at two calls a second, with two providers whose answers take about a second.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from attrs import define, field

from benchmarks.simulated.world import (
    BY_FALLBACK,
    ERROR_503,
    OTHER_MODEL,
    RETIRED,
    THROTTLED_20_S,
    Condition,
    Happening,
    Provider,
    Stage,
    share,
    unresolved,
)
from failsoft.core.breaker import State
from failsoft.core.effects import MILLISECOND, SECOND, Promise, Recorded, Unrecorded

MINUTE = 60 * SECOND
BEGIN = 10 * MINUTE
"""When it happens."""

LATENCIES = tuple(0.4 * 1.06**n for n in range(40))
"""0.4 to 3.9 seconds, 1.3 at the median."""

Happens = Callable[[int], Happening]


@define(eq=False)
class SimulatedTicket:
    """A record on its way to a simulated disk."""

    promise: Promise[Recorded | Unrecorded] = field(factory=Promise[Recorded | Unrecorded])
    taken: bool = False

    def withdraw(self) -> bool:
        """Only before the writer has it."""
        return not self.taken


class DyingLedger:
    """Records at once; between two moments nothing comes of a record; after that, all is well again.

    Args:
        clock: says the present moment.
        dies: from when.
        lives: until when.
        refuses: the disk says no at once, instead of never.
    """

    def __init__(self, clock: Callable[[], int], dies: int, lives: int, *, refuses: bool) -> None:
        self.healthy = True
        self.recorded = 0
        self.lates = 0
        self._clock, self._dies, self._lives, self._refuses = clock, dies, lives, refuses

    def late(self, since: int) -> None:
        """Somebody waited in vain."""
        self.lates += 1
        self.healthy = False

    def submit(self, record: Any) -> SimulatedTicket:
        """As the real one: a commit that works raises the flag, one that fails lowers it."""
        ticket = SimulatedTicket(taken=True)
        if self._dies <= self._clock() < self._lives:
            if self._refuses:
                self.healthy = False
                ticket.promise.resolve(Unrecorded("disk full"))
        else:
            self.healthy = True
            self.recorded += 1
            ticket.promise.resolve(Recorded(self.recorded, bytes(32)))
        return ticket


def steady(per_second: float, until: int) -> range:
    """Moments at even distances."""
    return range(0, until, int(SECOND / per_second))


def healthy(seed: str) -> Happens:
    """A provider without a fault."""
    return Provider(random.Random(seed), LATENCIES, [(0, Condition())]).happens


def dead(seed: str) -> Happens:
    """A provider of which 60 % say 503, 20 % are reset and 20 % hang."""
    mix = ((0.6, ERROR_503), (0.2, "reset"), (0.2, "hang"))
    return Provider(random.Random(seed), LATENCIES, [(0, Condition(1.0, 1.0, mix))]).happens


def during(usual: Happens, phases: list[tuple[int, int, Happens]]) -> Happens:
    """The usual, except from moment to moment."""

    def happens(now: int) -> Happening:
        for begin, end, other in phases:
            if begin <= now < end:
                return other(now)
        return usual(now)

    return happens


def told(stage: Stage, begin: int, end: int) -> dict[str, Any]:
    """What became of the calls: in all, meanwhile, and after it."""
    first, last = bisect_left(stage.started, begin), bisect_left(stage.started, end)
    settled = bisect_left(stage.started, begin + MINUTE)
    meanwhile, after = stage.by[first:last], stage.by[last:]
    return {
        "calls": len(stage.by),
        "unanswered": stage.unanswered,
        "late": stage.late,
        "longest_s": round(max(stage.took) / SECOND, 3),
        "ai_share_meanwhile": share(len(meanwhile) - meanwhile.count(BY_FALLBACK), len(meanwhile)),
        "ai_share_after": share(len(after) - after.count(BY_FALLBACK), len(after)),
        "attempts_per_call_after_a_minute": share(sum(stage.attempts[settled:last]), last - settled),
        "requests_meanwhile": {
            name: bisect_left(sent, end) - bisect_left(sent, begin) for name, sent in stage.sent.items()
        },
        "time_to_open_s": {name: _seconds(stage.opened(name, begin, end), begin) for name in stage.sent},
        "time_to_recover_s": {
            name: 0.0 if stage.state(name, end) is State.CLOSED else _seconds(stage.closed(name, end), end)
            for name in stage.sent
        },
        "answered_by": {name: stage.by.count(1 + n) for n, name in enumerate(stage.sent)},
    }


def _seconds(moment: int | None, since: int) -> float | None:
    return None if moment is None else round((moment - since) / SECOND, 3)


def _both_dead() -> dict[str, Any]:
    end = 20 * MINUTE
    stage = Stage({each: during(healthy(each), [(BEGIN, end, dead(f"{each} dead"))]) for each in ("A", "B")})
    stage.run(steady(2, 30 * MINUTE))
    return told(stage, BEGIN, end)


def _all_throttled() -> dict[str, Any]:
    end = 70 * MINUTE

    def throttled(now: int) -> Happening:
        return 100 * MILLISECOND, THROTTLED_20_S

    stage = Stage({each: during(healthy(each), [(BEGIN, end, throttled)]) for each in ("A", "B")})
    stage.run(steady(2, 80 * MINUTE))
    return told(stage, BEGIN, end)


def _another_model() -> dict[str, Any]:
    """A is down for five minutes and comes back as another model, for good."""
    back = BEGIN + 5 * MINUTE
    usual = healthy("A")

    def other(now: int) -> Happening:
        return usual(now)[0], OTHER_MODEL

    phases = [(BEGIN, back, dead("A dead")), (back, 40 * MINUTE, other)]
    stage = Stage({"A": during(usual, phases), "B": healthy("B")})
    stage.run(steady(2, 30 * MINUTE))
    figures = told(stage, back, 30 * MINUTE)
    first = bisect_left(stage.started, back)
    figures["accepted_from_another_model"] = stage.by[first:].count(1)
    return figures


def _retired_pin() -> dict[str, Any]:
    """A doesn't know the model any more, for twenty minutes (then somebody mends it at the provider's)."""
    end = 30 * MINUTE

    def retired(now: int) -> Happening:
        return 100 * MILLISECOND, RETIRED

    stage = Stage({"A": during(healthy("A"), [(BEGIN, end, retired)]), "B": healthy("B")})
    stage.run(steady(2, 50 * MINUTE))
    figures = told(stage, BEGIN, end)
    back = next((moment for moment in stage.sent["A"] if moment >= end), None)
    figures["asked_again_after_s"] = _seconds(back, end)
    return figures


def _no_dns() -> dict[str, Any]:
    end = 20 * MINUTE

    def gone(now: int) -> Happening:
        return unresolved()

    stage = Stage({each: during(healthy(each), [(BEGIN, end, gone)]) for each in ("A", "B")})
    stage.run(steady(2, 30 * MINUTE))
    return told(stage, BEGIN, end)


def _dead_ledger(*, refuses: bool) -> dict[str, Any]:
    end = 20 * MINUTE
    stage = Stage({each: healthy(each) for each in ("A", "B")})
    ledger = DyingLedger(stage.clock.monotonic_ns, BEGIN, end, refuses=refuses)
    stage.keep(ledger)
    stage.run(steady(2, 30 * MINUTE))
    figures = told(stage, BEGIN, end)
    figures["calls_that_waited_in_vain"] = ledger.lates
    return figures


def added() -> dict[str, Any]:
    """All of them."""
    return {
        "both_dead": _both_dead(),
        "everybody_throttled": _all_throttled(),
        "another_model": _another_model(),
        "retired_pin": _retired_pin(),
        "no_dns": _no_dns(),
        "ledger_stuck": _dead_ledger(refuses=False),
        "ledger_refuses": _dead_ledger(refuses=True),
    }
