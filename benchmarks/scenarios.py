"""Healthy stays healthy: how the guards fare with outages, brown-outs, bad input and bursts, in virtual time.

    ./dev bench scenarios            all of them
    ./dev bench scenarios NAME …     only these
    ./dev bench scenarios --page FILE    write the table into this page

One adapter with its defaults, except where a scenario says otherwise; answers take 0.2 to 10 s (1.3 s at the median), errors
0.3 s; a capability's deadline is 30 s. "Refused" calls are those that fell back since a guard admitted nobody. The same
bytes every time.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # it's run as a script, too

from benchmarks.simulated.incidents import Figures, poisson, real_incidents, sums
from benchmarks.simulated.page import replace_block, scenario_table
from benchmarks.simulated.world import (
    BY_FALLBACK,
    ERROR_500,
    ERROR_503,
    FAST_FAILURE,
    UNACCEPTABLE,
    Condition,
    Happening,
    Provider,
    Stage,
    error_reply,
    run_together,
    share,
)
from failsoft.core.breaker import State
from failsoft.core.effects import MILLISECOND, SECOND

MINUTE = 60 * SECOND
SEEDS = (1, 2, 3)
LATENCIES = tuple(1.3 * math.exp(0.8 * statistics.NormalDist().inv_cdf((n + 0.5) / 200)) for n in range(200))


def provider(seed: object, *script: tuple[int, Condition], latencies: tuple[float, ...] = LATENCIES) -> Provider:
    """Healthy at first."""
    return Provider(random.Random(f"provider {seed}"), latencies, [(0, Condition()), *script])


def stage_of(happens: Callable[[int], Happening], seed: int, **options: Any) -> Stage:
    """One adapter, with slots enough."""
    return Stage({"A": happens}, **{"deadline": 30 * SECOND, "slots": 1_000, "seed": seed, **options})


def seeded(run: Callable[[int], Figures]) -> Figures:
    """The median over the seeds, figure by figure; counts that must be 0 are summed."""
    runs = [run(seed) for seed in SEEDS]
    return {
        name: sum(each[name] for each in runs)
        if name in ("unanswered", "late")
        else _median([each[name] for each in runs])
        for name in runs[0]
    }


def _median(values: list[Any]) -> Any:
    known = sorted(each for each in values if each is not None)
    return round(known[len(known) // 2], 6) if known else None


# --- the provider is down ---------------------------------------------------------------------------------------------


def hard_outage(per_second: float) -> Figures:
    """240 s in which everything fails at once with 503 or a reset."""

    def run(seed: int) -> Figures:
        begin, end = 10 * MINUTE, 14 * MINUTE
        dead = Condition(1.0, 1.0, ((0.75, ERROR_503), (0.25, "reset")))
        stage = stage_of(provider(seed, (begin, dead), (end, Condition())).happens, seed)
        stage.run(poisson(per_second, 20 * MINUTE, seed))
        return sums(stage) | outage(stage, begin, end)

    return seeded(run)


def outage(stage: Stage, begin: int, end: int) -> Figures:
    """What was let in, and when the breaker opened and closed."""
    sent = stage.sent["A"]
    first = bisect_left(sent, begin)
    opened = stage.opened("A", begin, end)
    was_open = stage.state("A", end) is not State.CLOSED
    closed = stage.closed("A", end) if was_open else end
    after = stage.by[bisect_left(stage.started, end) :]
    return {
        "let_in": bisect_left(sent, end) - first,
        "let_in_before_opening": None if opened is None else bisect_left(sent, opened) - first,
        "time_to_open_s": None if opened is None else round((opened - begin) / SECOND, 3),
        "from_first_request_s": None if opened is None else round((opened - sent[first]) / SECOND, 3),
        "time_to_recover_s": None if closed is None else round((closed - end) / SECOND, 3),
        "fell_back_after": share(after.count(BY_FALLBACK), len(after)),
    }


def low_traffic() -> Figures:
    """One call a minute, an hour's outage."""

    def run(seed: int) -> Figures:
        begin, end = 60 * MINUTE, 120 * MINUTE
        stage = stage_of(
            provider(seed, (begin, Condition(1.0, 1.0, ((1.0, ERROR_503),))), (end, Condition())).happens, seed
        )
        stage.run(poisson(1 / 60, 240 * MINUTE, seed))
        return sums(stage) | outage(stage, begin, end)

    return seeded(run)


def hang() -> Figures:
    """Nothing comes back for five minutes; callers give 8 s of the configured 30; five a second."""

    def run(seed: int) -> Figures:
        begin, end = 5 * MINUTE, 10 * MINUTE
        stage = stage_of(
            provider(seed, (begin, Condition(1.0, 1.0, ((1.0, "hang"),))), (end, Condition())).happens, seed
        )
        stage.run(poisson(5, 15 * MINUTE, seed), lambda number: 8 * SECOND)
        return sums(stage) | outage(stage, begin, end)

    return seeded(run)


def flapping() -> Figures:
    """Five seconds up, five seconds down, for ten minutes; twenty calls a second."""

    def run(seed: int) -> Figures:
        begin, end = 5 * MINUTE, 15 * MINUTE
        down = Condition(1.0, 1.0, ((1.0, ERROR_503),))
        script = [
            (begin + n * 5 * SECOND, Condition() if n % 2 else down) for n in range((end - begin) // (5 * SECOND))
        ]
        stage = stage_of(provider(seed, *script, (end, Condition())).happens, seed)
        stage.run(poisson(20, 20 * MINUTE, seed))
        return sums(stage) | outage(stage, begin, end)

    return seeded(run)


# --- the provider is healthy, more or less ----------------------------------------------------------------------------


def fast_errors(rate: float, per_second: float = 100) -> Figures:
    """So many requests fail, and fail fast: a healthy provider by the breaker's rules."""

    def run(seed: int) -> Figures:
        stage = stage_of(provider(seed, (0, Condition(rate, 1.0, ((1.0, ERROR_500),)))).happens, seed)
        stage.run(poisson(per_second, 5 * MINUTE, seed))
        return sums(stage)

    return seeded(run)


def bursts() -> Figures:
    """A hundred calls at once, once a minute, of which one in ten fails."""

    def run(seed: int) -> Figures:
        stage = stage_of(provider(seed, (0, Condition(0.1, 1.0, ((1.0, ERROR_500),)))).happens, seed)
        stage.run([n * MINUTE + each * MILLISECOND for n in range(1, 121) for each in range(100)])
        return sums(stage)

    return seeded(run)


def brown_out() -> Figures:
    """Three requests in ten fail for ten minutes: under the rate that opens; twenty calls a second."""

    def run(seed: int) -> Figures:
        stage = stage_of(provider(seed, (0, Condition(0.3, 1.6, ((1.0, ERROR_500),)))).happens, seed)
        stage.run(poisson(20, 10 * MINUTE, seed))
        return sums(stage)

    return seeded(run)


def mixed_deadlines() -> Figures:
    """A healthy provider that takes 3 to 5 s; every second caller gives it 2 s, the others 30."""

    def run(seed: int) -> Figures:
        slow = tuple(3 + n / 50 for n in range(101))
        stage = stage_of(provider(seed, latencies=slow).happens, seed)
        stage.run(poisson(10, 15 * MINUTE, seed), lambda number: 2 * SECOND if number % 2 else 30 * SECOND)
        patient = stage.by[::2]
        return sums(stage) | {"patient_without_ai": share(patient.count(BY_FALLBACK), len(patient))}

    return seeded(run)


def poison() -> Figures:
    """Three calls in a hundred carry an input that always gets 500."""

    def run(seed: int) -> Figures:
        dice = random.Random(f"poison {seed}")
        bad = {number for number in range(200_000) if dice.random() < 0.03}
        stage = stage_of(
            provider(seed).happens, seed, poison=(FAST_FAILURE, ERROR_500), poisoned=lambda number: number in bad
        )
        stage.run(poisson(20, 20 * MINUTE, seed))
        return sums(stage) | {"others_without_ai": _others(stage, bad)}

    return seeded(run)


def bad_customer() -> Figures:
    """One customer's calls, 15 %, come ten in a row, and no answer to them is ever acceptable."""

    def run(seed: int) -> Figures:
        dice = random.Random(f"customer {seed}")
        bad: set[int] = set()
        for start in range(0, 200_000, 10):
            if dice.random() < 0.15:
                bad.update(range(start, start + 10))
        stage = stage_of(
            provider(seed).happens, seed, poison=(SECOND, UNACCEPTABLE), poisoned=lambda number: number in bad
        )
        stage.run(poisson(20, 20 * MINUTE, seed))
        return sums(stage) | {"others_without_ai": _others(stage, bad)}

    return seeded(run)


def _others(stage: Stage, bad: set[int]) -> float:
    others = [by for number, by in enumerate(stage.by) if number not in bad]
    return share(others.count(BY_FALLBACK), len(others))


# --- coming back ------------------------------------------------------------------------------------------------------


def thousands_waiting() -> Figures:
    """Three thousand calls come in the second in which a provider is back, and fifty a second after it."""

    def run(seed: int) -> Figures:
        begin, end = 5 * MINUTE, 7 * MINUTE
        dead = Condition(1.0, 1.0, ((1.0, ERROR_503),))
        stage = stage_of(provider(seed, (begin, dead), (end, Condition())).happens, seed)
        herd = [end + n * SECOND // 3_000 for n in range(3_000)]
        stage.run(sorted([*poisson(50, 12 * MINUTE, seed), *herd]))
        sent = stage.sent["A"]
        closed = stage.closed("A", end) or end
        return (
            sums(stage)
            | outage(stage, begin, end)
            | {
                "requests_before_closing": bisect_left(sent, closed) - bisect_left(sent, end),
                "busiest_second_after": _busiest(sent[bisect_left(sent, end) :], SECOND),
            }
        )

    return seeded(run)


def _busiest(moments: Iterable[int], width: int) -> int:
    window: list[int] = []
    most = first = 0
    for moment in moments:
        window.append(moment)
        while window[first] <= moment - width:
            first += 1
        most = max(most, len(window) - first)
    return most


def quota() -> Figures:
    """A provider that takes 20 requests a second and says 429 with two seconds to wait to the rest; 100 calls come."""

    def run(seed: int) -> Figures:
        said, throttled = provider(seed), error_reply(429, "rate_limit_exceeded", **{"retry-after": "2"})
        state = [20.0, 0.0, 0.0]

        def happens(now: int) -> Happening:
            state[0] = min(20.0, state[0] + (now - state[1]) / SECOND * 20)
            state[1] = now
            if state[0] < 1:
                state[2] += 1
                return FAST_FAILURE // 3, throttled
            state[0] -= 1
            return said.happens(now)

        stage = stage_of(happens, seed)
        stage.run(poisson(100, 4 * MINUTE, seed))
        return sums(stage) | {"said_429": int(state[2]), "answered_per_second": round(stage.by.count(1) / 240, 2)}

    return seeded(run)


def one_sick_process(processes: int = 20, minutes: int = 10, since: int = MINUTE) -> Figures:
    """Twenty processes that share their state, of which one can't reach the provider from the first minute on."""

    def run(seed: int) -> Figures:
        sick = Condition(1.0, 1.0, ((1.0, "reset"),))
        stages = []
        for n in range(processes):
            script = ((since, sick),) if n == 0 else ()
            stage = stage_of(provider((seed, n), *script).happens, seed * 100 + n)
            stage.expect(poisson(2, minutes * MINUTE, (seed, n)))
            stages.append(stage)
        run_together(stages, (minutes + 1) * MINUTE)
        healthy = stages[1:]
        calls = sum(len(each.by) for each in healthy)
        return {
            "calls": sum(len(each.by) for each in stages),
            "unanswered": sum(each.unanswered for each in stages),
            "late": sum(each.late for each in stages),
            "healthy_without_ai": share(sum(each.by.count(BY_FALLBACK) for each in healthy), calls),
            "sick_let_in": len(stages[0].sent["A"]),
            "disagreed": sum(each.events.heard["peer.disagrees"] for each in healthy),
        }

    return seeded(run)


def fleet_outage(processes: int = 20) -> Figures:
    """The provider is down for four minutes for twenty processes that share their state, two calls a second each."""

    def run(seed: int) -> Figures:
        begin, end = 3 * MINUTE, 7 * MINUTE
        script = ((begin, Condition(1.0, 1.0, ((1.0, ERROR_503),))), (end, Condition()))
        stages = [stage_of(provider((seed, n), *script).happens, seed * 100 + n) for n in range(processes)]
        for n, stage in enumerate(stages):
            stage.expect(poisson(2, 10 * MINUTE, (seed, n)))
        run_together(stages, 11 * MINUTE)
        closed = [stage.closed("A", end) for stage in stages]
        sent = sorted(moment for stage in stages for moment in stage.sent["A"] if begin <= moment < end)
        opened = max(stage.opened("A", begin, end) or end for stage in stages)
        return {
            "calls": sum(len(each.by) for each in stages),
            "unanswered": sum(each.unanswered for each in stages),
            "late": sum(each.late for each in stages),
            "let_in": len(sent),
            "let_in_before_opening": bisect_left(sent, opened),
            "time_to_recover_s": None if None in closed else round((max(filter(None, closed)) - end) / SECOND, 3),
        }

    return seeded(run)


SCENARIOS: dict[str, Callable[[], Figures]] = {
    "outage_0.2_per_s": lambda: hard_outage(0.2),
    "outage_2_per_s": lambda: hard_outage(2),
    "outage_20_per_s": lambda: hard_outage(20),
    "outage_100_per_s": lambda: hard_outage(100),
    "low_traffic": low_traffic,
    "hang_short_deadlines": hang,
    "flapping": flapping,
    "fast_errors_5": lambda: fast_errors(0.05),
    "fast_errors_10": lambda: fast_errors(0.10),
    "bursts": bursts,
    "brown_out": brown_out,
    "mixed_deadlines": mixed_deadlines,
    "poison_input": poison,
    "bad_customer": bad_customer,
    "thousands_waiting": thousands_waiting,
    "quota": quota,
    "one_sick_process": one_sick_process,
    "sick_from_the_start": lambda: one_sick_process(since=0),
    "fleet_outage": fleet_outage,
    "real_incidents_alone": lambda: real_incidents(("A",)),
    "real_incidents_two": lambda: real_incidents(("A", "B")),
}


def main() -> None:
    """Run them, print each, and all as JSON in the last line."""
    parser = argparse.ArgumentParser(description="Healthy stays healthy.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    figures: Figures = {}
    for name in options.names or SCENARIOS:
        figures[name] = SCENARIOS[name]()
        print(f"{name:>22}  {json.dumps(figures[name])}", flush=True)
    if options.page is not None:
        replace_block(options.page, "scenarios", scenario_table(figures))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
