"""A simulated year: 1,200,000 calls with real arrivals, real outages of two providers and real latencies.

    ./dev bench year                       the whole year, with two providers and with one, and the added scenarios
    ./dev bench year --calls 20000         a thinner year
    ./dev bench year --rates 1,.9,.3,.1    other shares of failure by level of impact (3, 2, 1, 0)
    ./dev bench year --page FILE           write the tables into this page, and the plot into images/year.svg beside it

The same bytes every time (standard output; the time it took goes to standard error). Each year runs in one process from its
first call to its last; the year with two providers and the year with one are two runs, side by side in two processes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # it's run as a script, too

from benchmarks.simulated import data
from benchmarks.simulated.page import replace_block, year_tables
from benchmarks.simulated.plot import plot
from benchmarks.simulated.world import BY_FALLBACK, UNANSWERED, Provider, Stage, share
from failsoft.core.breaker import State
from failsoft.core.effects import SECOND, HttpReply

DEADLINE = 8 * SECOND
DAY = 24 * data.HOUR
SETTLED = 300 * SECOND
"""So long after an incident's end a provider counts as healthy: what's wrong then is ours."""


def simulate(calls: int, names: tuple[str, ...], rates: dict[int, float]) -> dict[str, Any]:
    """A year's calls over these providers; the figures, and the days for the plot under ``days``."""
    folder = data.folder()
    assert folder is not None
    latencies = data.latencies(folder)
    years = {name: data.spans(data.SERVICES[name], folder, rates) for name in names}
    scripts = {name: data.script(year, rates) for name, year in years.items()}
    # Each provider has dice of its own, so that the year with one and the year with two meet the same provider.
    providers = {name: Provider(random.Random(f"{data.SEED} {name}"), latencies[name], scripts[name]) for name in names}
    stage = Stage({name: provider.happens for name, provider in providers.items()}, deadline=DEADLINE)
    stage.run(data.arrivals(folder, calls))
    bare = {
        name: Provider(random.Random(f"{data.SEED} {name} alone"), latencies[name], scripts[name]) for name in names
    }
    figures = _overall(stage, names)
    figures["provider_availability"] = {name: _bare(stage, provider) for name, provider in bare.items()}
    figures["hours_at"] = {
        name: {str(rate): data.hours_at(year, rate) for rate in sorted(set(rates.values()), reverse=True)}
        for name, year in years.items()
    }
    figures["outages"] = {
        name: {
            kind: outages_of(stage, name, each)
            for kind, each in (("all", data.outages(year, rates[2])), ("major", data.outages(year, rates[3])))
        }
        for name, year in years.items()
    }
    figures["healthy"] = _healthy(stage, years)
    figures["days"] = _days(stage, years)
    return figures


def _overall(stage: Stage, names: tuple[str, ...]) -> dict[str, Any]:
    calls, took = len(stage.by), sorted(stage.took)
    return {
        "calls": calls,
        "unanswered": stage.unanswered,
        "late": stage.late,
        "errors": dict(stage.errors),
        "answered_in_time": share(calls - stage.unanswered - stage.late, calls),
        "ai_share": round(stage.share_by_ai(), 6),
        "answered_by": {name: stage.by.count(1 + n) for n, name in enumerate(names)}
        | {"fallback": stage.by.count(BY_FALLBACK)},
        "attempts_per_call": share(sum(stage.attempts), calls),
        "longest_s": round(took[-1] / SECOND, 3),
        "median_s": round(took[calls // 2] / SECOND, 3),
        "openings": {
            name: sum(each.before is State.CLOSED for each in stage.changes[name] if each.after is State.OPEN)
            for name in names
        },
        "why_fallback": {" > ".join(why): number for why, number in _most(stage.reasons, 12)},
    }


def _most(counter: Counter[tuple[str, ...]], number: int) -> list[tuple[tuple[str, ...], int]]:
    return sorted(counter.items(), key=lambda each: (-each[1], each[0]))[:number]


def _bare(stage: Stage, provider: Provider) -> dict[str, float]:
    """What the same calls get from a provider without failsoft: one attempt, 8 s."""
    answered = in_time = 0
    for moment in stage.started:
        delay, reply = provider.happens(moment)
        good = isinstance(reply, HttpReply) and reply.status == 200
        answered += good and delay < 600 * SECOND
        in_time += good and delay <= DEADLINE
    return {"answered": share(answered, len(stage.started)), "in_time": share(in_time, len(stage.started))}


def outages_of(stage: Stage, name: str, outages: list[data.Span]) -> dict[str, Any]:
    """Each outage of a provider: when its breaker opened and closed, and what it was asked meanwhile."""
    sent, started = stage.sent[name], stage.started
    sums: Counter[str] = Counter()
    found: dict[str, list[float]] = {"open": [], "let_in": [], "recover": [], "missed": [], "unseen": []}
    for outage in outages:
        first, last = bisect_left(sent, outage.begin), bisect_left(sent, outage.end)
        opened = stage.opened(name, outage.begin, outage.end)
        if stage.state(name, outage.begin) is not State.CLOSED:
            sums["already_open"] += 1
            opened = outage.begin
        elif opened is None:
            found["unseen"].append(last - first)
            continue
        else:
            found["open"].append((opened - sent[first]) / SECOND)
            found["let_in"].append(bisect_left(sent, opened) - first)
        from_call, to_call = bisect_left(started, opened), bisect_left(started, outage.end)
        sums["calls"] += to_call - from_call
        sums["attempts"] += sum(stage.attempts[from_call:to_call])
        sums["sent"] += last - bisect_left(sent, opened)
        for number in range(from_call, to_call):
            if stage.state(name, started[number]) is State.CLOSED:
                sums["calls_let_in"] += 1
                sums["attempts_let_in"] += stage.attempts[number]
        if stage.state(name, outage.end) is State.CLOSED:
            continue
        closed = stage.closed(name, outage.end)
        if closed is not None:
            found["recover"].append((closed - outage.end) / SECOND)
            found["missed"].append(bisect_left(started, closed) - to_call)
        minute = outage.end + 60 * SECOND
        sums["asked"] += bisect_left(sent, minute) - last
        sums["came"] += bisect_left(started, minute) - to_call
    return {
        "number": len(outages),
        "opened": len(outages) - len(found["unseen"]),
        "already_open": sums["already_open"],
        "requests_in_those_never_opened": sorted(found["unseen"], reverse=True),
        "time_to_open_s": _spread(found["open"]),
        "let_in_before_opening": _spread(found["let_in"]),
        "time_to_recover_s": _spread(found["recover"]),
        "calls_until_recovered": _spread(found["missed"]),
        "calls_after_the_trip": sums["calls"],
        "attempts_per_call_after_the_trip": share(sums["attempts"], sums["calls"]),
        "attempts_per_call_while_kept_out": share(
            sums["attempts"] - sums["attempts_let_in"], sums["calls"] - sums["calls_let_in"]
        ),
        "calls_while_let_in_again": sums["calls_let_in"],
        "attempts_per_call_while_let_in_again": share(sums["attempts_let_in"], sums["calls_let_in"]),
        "requests_to_it_per_call_after_the_trip": share(sums["sent"], sums["calls"]),
        "calls_in_first_minute": sums["came"],
        "requests_per_call_in_first_minute": share(sums["asked"], sums["came"]),
    }


def _spread(values: Iterable[float]) -> dict[str, float]:
    found = sorted(values)
    if not found:
        return {"number": 0}
    at = len(found) * 9 // 10
    return {
        "number": len(found),
        "median": round(statistics.median(found), 3),
        "p90": round(found[min(at, len(found) - 1)], 3),
        "max": round(found[-1], 3),
    }


def _healthy(stage: Stage, years: dict[str, list[data.Span]]) -> dict[str, Any]:
    """What the fallback answered although every provider had been healthy for five minutes."""
    bad = sorted((each.begin, each.end) for year in years.values() for each in year if each.rate > data.HEALTHY)
    calls = fell_back = refused = place = 0
    sick_until = -SETTLED
    for number, moment in enumerate(stage.started):
        while place < len(bad) and bad[place][0] <= moment:
            sick_until = max(sick_until, bad[place][1])
            place += 1
        if moment >= sick_until + SETTLED:
            calls += 1
            fell_back += stage.by[number] == BY_FALLBACK
            refused += stage.refused[number]
    openings = {
        name: sum(
            each.before is State.CLOSED and each.after is State.OPEN and _rate_at(year, each.at_ns) == data.HEALTHY
            for each in stage.changes[name]
        )
        for name, year in years.items()
    }
    return {
        "calls": calls,
        "fell_back": share(fell_back, calls),
        "refused": share(refused, calls),
        "openings": openings,
    }


def _rate_at(year: list[data.Span], moment: int) -> float:
    return next((each.rate for each in year if each.begin <= moment < each.end), data.HEALTHY)


def _days(stage: Stage, years: dict[str, list[data.Span]]) -> list[list[float]]:
    """For each day: calls, by each provider, by fallback, and the worst rate of each provider."""
    days = [[0.0] * (2 + 2 * len(years)) for _ in range(data.HOURS // 24)]
    for moment, by in zip(stage.started, stage.by, strict=True):
        day = days[min(moment // DAY, len(days) - 1)]
        day[0] += 1
        if by != UNANSWERED:
            day[len(years) + 1 if by == BY_FALLBACK else by] += 1
    for n, year in enumerate(years.values()):
        for each in year:
            for day_number in range(each.begin // DAY, min(len(days), -(-each.end // DAY))):
                place = 2 + len(years) + n
                days[day_number][place] = max(days[day_number][place], each.rate)
    return days


def _both(job: tuple[int, tuple[str, ...], dict[int, float]]) -> dict[str, Any]:
    from benchmarks.simulated.added import added

    calls, names, rates = job
    figures = simulate(calls, names, rates)
    if len(names) == 1:
        figures["added"] = added()
    return figures


def report(calls: int, rates: dict[int, float], *, parallel: bool = True) -> tuple[dict[str, Any], list[list[float]]]:
    """Both years and the added scenarios; the days of the year with two providers."""
    jobs = [(calls, ("A", "B"), rates), (calls, ("A",), rates)]
    if parallel:
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            two, one = pool.map(_both, jobs, chunksize=1)
    else:
        two, one = map(_both, jobs)
    days: list[list[float]] = two.pop("days")
    one.pop("days")
    outage, alone = two["outages"]["A"]["all"], one["outages"]["A"]["all"]
    return {
        "calls": two["calls"],
        "unanswered": two["unanswered"] + one["unanswered"],
        "late": two["late"] + one["late"],
        "ai_share": two["ai_share"],
        "ai_share_one_provider": one["ai_share"],
        "provider_availability": two["provider_availability"],
        "attempts_per_call_in_outage": outage["attempts_per_call_after_the_trip"],
        "attempts_per_call_in_outage_while_kept_out": outage["attempts_per_call_while_kept_out"],
        "attempts_per_call_in_outage_one_provider": alone["attempts_per_call_after_the_trip"],
        "attempts_per_call_in_major_outage": two["outages"]["A"]["major"]["attempts_per_call_after_the_trip"],
        "time_to_open_s": outage["time_to_open_s"],
        "let_in_before_opening": outage["let_in_before_opening"],
        "time_to_recover_s": outage["time_to_recover_s"],
        "load_on_recovering": outage["requests_per_call_in_first_minute"],
        "refused_though_healthy": two["healthy"]["refused"],
        "refused_though_healthy_one_provider": one["healthy"]["refused"],
        "rates": {str(level): rate for level, rate in rates.items()},
        "added": one.pop("added"),
        "two_providers": two,
        "one_provider": one,
    }, days


def _rates(text: str) -> dict[int, float]:
    values = [float(each) for each in text.split(",")]
    if len(values) != 4 or sorted(values, reverse=True) != values or len(set(values)) != 4 or not 0 < values[0] <= 1:
        raise argparse.ArgumentTypeError("four different shares from 0 to 1, falling")
    return dict(zip((3, 2, 1, 0), values, strict=True))


def main() -> None:
    """Simulate, print, plot."""
    parser = argparse.ArgumentParser(description="A simulated year.")
    parser.add_argument("--calls", type=int, default=1_200_000)
    parser.add_argument("--rates", type=_rates, default=dict(data.RATES))
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    if data.folder() is None:
        print("skipped: the incidents aren't at ../shared/data, and FAILSOFT_DATA doesn't say where they are")
        print(json.dumps({"skipped": "no data"}))
        return
    begun = time.perf_counter()
    figures, days = report(options.calls, options.rates)
    if options.page is not None:
        replace_block(options.page, "year", year_tables(figures))
        (options.page.parent / "images" / "year.svg").write_text(plot(days), encoding="utf-8")
    for name, value in figures.items():
        if name not in ("two_providers", "one_provider", "added"):
            print(f"{name:>40}  {json.dumps(value)}")
    for name in ("two_providers", "one_provider", "added"):
        print(f"\n{name}")
        for each, value in figures[name].items():
            print(f"{each:>40}  {json.dumps(value)}")
    print(json.dumps(figures))
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
