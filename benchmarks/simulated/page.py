"""The figures of the simulated year and of the scenarios, as the tables of a page of the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


def replace_block(page: Path, name: str, text: str) -> None:
    """Write `text` between a page's two marks of this name."""
    old = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{page} has no block {name}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", old), encoding="utf-8")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(each)} |" for each in (head, ("---",) * len(head), *rows))


def _per_cent(value: float, digits: int = 2) -> str:
    return f"{100 * value:.{digits}f} %"


def _spread(found: dict[str, float], unit: str = " s") -> str:
    if not found["number"]:
        return "–"
    return f"{found['median']:g}{unit}, {found['p90']:g}{unit}, {found['max']:g}{unit}"


def year_tables(figures: Figures) -> str:
    """Both years side by side, then the added scenarios."""
    two, one = figures["two_providers"], figures["one_provider"]
    bare = two["provider_availability"]

    def row(name: str, of: Any) -> tuple[str, ...]:
        return name, of(one), of(two)

    def major(year: Figures) -> Figures:
        found: Figures = year["outages"]["A"]["all"]
        return found

    rows: list[tuple[str, ...]] = [
        row("calls", lambda year: f"{year['calls']:,}"),
        row("answered in time", lambda year: _per_cent(year["answered_in_time"], 3)),
        row("unanswered, late", lambda year: f"{year['unanswered']}, {year['late']}"),
        row("answered by A", lambda year: f"{year['answered_by']['A']:,}"),
        row("answered by B", lambda year: f"{year['answered_by'].get('B', 0):,}"),
        row("answered by the fallback", lambda year: f"{year['answered_by']['fallback']:,}"),
        row("**answered by AI**", lambda year: f"**{_per_cent(year['ai_share'], 3)}**"),
        ("the same calls, one attempt of 8 s without failsoft", _per_cent(bare["A"]["in_time"], 3), "–"),
        row("fell back, with every provider healthy", lambda year: _per_cent(year["healthy"]["fell_back"], 3)),
        row("– of which a guard refused", lambda year: _per_cent(year["healthy"]["refused"], 3)),
        row("attempts per call", lambda year: f"{year['attempts_per_call']:.3f}"),
        row("A's outages of half its requests or more", lambda year: f"{major(year)['number']}"),
        row("– seen by its breaker", lambda year: f"{major(year)['opened']}"),
        row(
            "– requests let in before it opened: median, 9 in 10, most",
            lambda year: _spread(major(year)["let_in_before_opening"], ""),
        ),
        row(
            "– from the first such request to its opening: median, 9 in 10, longest",
            lambda year: _spread(major(year)["time_to_open_s"]),
        ),
        row(
            "– from the outage's end to its closing: median, 9 in 10, longest",
            lambda year: _spread(major(year)["time_to_recover_s"]),
        ),
        row(
            "– calls that came meanwhile: median, 9 in 10, most",
            lambda year: _spread(major(year)["calls_until_recovered"], ""),
        ),
        row(
            "– attempts per call after the trip (all adapters)",
            lambda year: f"{major(year)['attempts_per_call_after_the_trip']:.2f}",
        ),
        row(
            "–– of calls that came while its breaker was open or half-open",
            lambda year: f"{major(year)['attempts_per_call_while_kept_out']:.2f}",
        ),
        row(
            "–– of calls that came while it was closed again: these, of all after the trip",
            lambda year: (
                f"{major(year)['attempts_per_call_while_let_in_again']:.2f}: "
                f"{major(year)['calls_while_let_in_again']:,} of {major(year)['calls_after_the_trip']:,}"
            ),
        ),
        row(
            "– requests to A per call after the trip",
            lambda year: f"{major(year)['requests_to_it_per_call_after_the_trip']:.2f}",
        ),
        row(
            "– requests to A per call in the minute after its end",
            lambda year: f"{major(year)['requests_per_call_in_first_minute']:.2f}",
        ),
    ]
    added: list[tuple[str, ...]] = [
        (
            name.replace("_", " "),
            f"{each['calls']:,}",
            f"{each['unanswered']}, {each['late']}",
            _per_cent(each["ai_share_meanwhile"], 1),
            _per_cent(each["ai_share_after"], 1) if name != "another_model" else "–",
            f"{each['attempts_per_call_after_a_minute']:.3f}",
            ", ".join(f"{number:,}" for number in each["requests_meanwhile"].values()),
        )
        for name, each in figures["added"].items()
    ]
    head = ("added", "calls", "unanswered, late", "by AI meanwhile", "by AI after", "attempts per call", "asked A, B")
    return f"{_table(('', 'A alone', 'A, then B'), rows)}\n\n{_table(head, added)}"


SPECIFIED = {
    "outage_0.2_per_s": "16 let in, 10 s, 38 s",
    "outage_2_per_s": "26 let in, 2.2 s, 26 s",
    "outage_20_per_s": "34 let in, 0.7 s, 18 s",
    "outage_100_per_s": "64 let in, 0.4 s, 17 s",
    "hang_short_deadlines": "61 let in, 9.8 s",
    "fast_errors_5": "0.63 % refused",
    "fast_errors_10": "1.57 % refused",
    "bursts": "0.53 % refused",
    "brown_out": "77 % by AI",
    "mixed_deadlines": "no opening",
    "poison_input": "0.1–0.2 % of the others",
    "bad_customer": "0–0.8 % of the others",
    "one_sick_process": "0 % of the others",
    "real_incidents_alone": "69 % by AI; 1.3 % though healthy",
    "real_incidents_two": "99.81 % by AI",
}
"""What the design was measured with before: let in, time to open, time to recover; or shares."""


WITHOUT_AI = ("fell_back_though_healthy", "others_without_ai", "patient_without_ai", "healthy_without_ai")


def scenario_table(figures: Figures) -> str:
    """One row for each."""
    rows: list[tuple[str, ...]] = []
    for name, each in figures.items():
        if "skipped" in each:
            continue
        others = next((each[key] for key in WITHOUT_AI if key in each), None)
        rows.append(
            (
                name.replace("_", " "),
                f"{each['calls']:,}",
                f"{each['unanswered']}, {each['late']}",
                _per_cent(each["ai_share"], 1) if "ai_share" in each else "–",
                _per_cent(each["refused_share"]) if "refused_share" in each else "–",
                "–" if others is None else _per_cent(others),
                f"{each['let_in']}" if "let_in" in each else "–",
                _seconds(each.get("from_first_request_s")),
                _seconds(each.get("time_to_recover_s")),
                SPECIFIED.get(name, "–"),
            )
        )
    head = ("scenario", "calls", "unanswered, late", "by AI", "refused", "others, or healthy, without AI")
    return _table((*head, "let in", "opens after", "closes after", "design"), rows)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"
