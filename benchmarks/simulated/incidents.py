"""A provider's announced incidents, one after the other, at a steady five calls a second."""

from __future__ import annotations

import random
from bisect import bisect_left
from typing import Any

from benchmarks.simulated import data
from benchmarks.simulated.world import BY_FALLBACK, Provider, Stage, share
from failsoft.core.breaker import State
from failsoft.core.effects import SECOND

MINUTE = 60 * SECOND
RATES = {3: 1.0, 2: 0.9, 1: 0.3, 0: 0.1}
"""Other shares than the year's: those that the resilience specification measured with."""

Figures = dict[str, Any]


def poisson(per_second: float, until: int, seed: object, since: int = 0) -> list[int]:
    """Moments at random."""
    dice, moment = random.Random(f"arrivals {seed}"), float(since)
    moments: list[int] = []
    while True:
        moment += dice.expovariate(per_second) * SECOND
        if moment >= until:
            return moments
        moments.append(int(moment))


def sums(stage: Stage) -> Figures:
    """What every scenario tells."""
    changes = stage.changes["A"]
    return {
        "calls": len(stage.by),
        "unanswered": stage.unanswered,
        "late": stage.late,
        "ai_share": round(stage.share_by_ai(), 6),
        "refused_share": share(sum(stage.refused), len(stage.by)),
        "openings": sum(each.before is State.CLOSED and each.after is State.OPEN for each in changes),
        "requests_per_call": share(len(stage.sent["A"]), len(stage.by)),
    }


def real_incidents(names: tuple[str, ...]) -> Figures:
    """The first 150,000 calls' worth of A's announced incidents, five a second, each with ten minutes around it."""
    folder = data.folder()
    if folder is None:
        return {"skipped": "no data"}
    latencies = data.latencies(folder)
    years = {name: data.spans(data.SERVICES[name], folder, RATES) for name in names}
    providers = {
        name: Provider(random.Random(f"incidents {name}"), latencies[name], data.script(year, RATES))
        for name, year in years.items()
    }
    moments: list[int] = []
    for each in data.outages(years["A"], RATES[0]):
        begin = max(each.begin - 10 * MINUTE, moments[-1] + 1 if moments else 0)
        moments += poisson(5, each.end + 10 * MINUTE, each.begin, begin)
        if len(moments) >= 150_000:
            break
    stage = Stage({name: each.happens for name, each in providers.items()}, deadline=30 * SECOND)
    stage.run(moments[:150_000])
    healthy = _while_healthy(stage, years["A"])
    return sums(stage) | {
        "healthy_calls": len(healthy),
        "fell_back_though_healthy": share(healthy.count(BY_FALLBACK), len(healthy)),
    }


def _while_healthy(stage: Stage, year: list[data.Span]) -> list[int]:
    begins = [each.begin for each in year]
    return [
        by
        for moment, by in zip(stage.started, stage.by, strict=True)
        if year[bisect_left(begins, moment + 1) - 1].rate == data.HEALTHY
    ]
