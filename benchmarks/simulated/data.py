"""A year made from real data: when calls came, when two providers were degraded, how long answers took.

Read in place at ``../shared/data`` (or where `FAILSOFT_DATA` points); nothing of it is copied. Arrivals are a real trace of
58 minutes laid over a year's hours; outages are what two providers announced on their status pages from September 2023 to
August 2024; latencies are what they stated in recorded replies. *How many* requests failed during an incident nobody
announced: the rates by level of impact are an assumption, and can be varied.
"""

from __future__ import annotations

import csv
import math
import os
import random
import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from attrs import frozen

from benchmarks.simulated.world import ERROR_429, ERROR_500, ERROR_503, ERROR_529, Condition
from failsoft.core.effects import SECOND, HttpReply

SEED = 20240901
BEGIN = datetime(2023, 9, 1, tzinfo=UTC)
HOURS = 8_784
HOUR = 3_600 * SECOND
YEAR = HOURS * HOUR
BATCH = 600
RATES = {3: 0.95, 2: 0.50, 1: 0.15, 0: 0.02}
"""Share of requests that fail, by level of impact: assumed."""
HEALTHY = 0.001
SERVICES = {"A": "openai_api", "B": "anthropic_api"}

_SIDE = re.compile(
    r"moderation|assistant|whisper|speech|\btts\b|\basr\b|dall|image|labs\b|fine.?tun|embedding|file|batch|billing|credit|"
    r"sso\b|dashboard|support|website|chatgpt (?:errors|conversations)|claude\.ai",
    re.IGNORECASE,
)
_SIDE_API = re.compile(
    r"(?:moderation|assistants?|whisper|speech|tts|dall.?e|images?|fine-tuning|embeddings?|batch)s? api", re.IGNORECASE
)
_ELSEWHERE = re.compile(r"login|console|vision|gpt-4v|gpt-v\b", re.IGNORECASE)
"""These name the API only as a place where a side service fails."""
_API = re.compile(r"\bapis?\b", re.IGNORECASE)


def folder() -> Path | None:
    """Where the incidents are; None where they aren't."""
    named = os.environ.get("FAILSOFT_DATA")
    data = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    found = data / "incidents"
    return found if found.is_dir() else None


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@frozen
class Span:
    """A provider failed at this rate from one moment to another, in nanoseconds from the year's begin."""

    begin: int
    end: int
    rate: float


def is_side_service(title: str) -> bool:
    """Does an incident concern another service than the one that's asked? Not where it names the API itself too."""
    if _ELSEWHERE.search(title):
        return True
    return bool(_SIDE.search(title)) and not _API.search(_SIDE_API.sub("", title))


def spans(service: str, data: Path, rates: dict[int, float]) -> list[Span]:
    """A provider's year without gaps: outside incidents it's healthy; where incidents overlap the worst counts."""
    found: list[Span] = []
    for row in _rows(data / "incident_windows_2023-09_2024-08.csv"):
        if row["service"] != service:
            continue
        begin, end = _moment(row["start"]), min(_moment(row["end"]), _moment(row["start"]) + 24 * HOUR, YEAR)
        rate = rates[int(row["impact_level"])]
        if end > begin:
            found.append(Span(begin, end, min(rate, rates[0]) if is_side_service(row["title"]) else rate))
    edges = sorted({0, YEAR, *(each.begin for each in found), *(each.end for each in found)})
    merged: list[Span] = []
    for begin, end in pairwise(edges):
        rate = max((each.rate for each in found if each.begin < end and each.end > begin), default=HEALTHY)
        if merged and merged[-1].rate == rate:
            begin = merged.pop().begin
        merged.append(Span(begin, end, rate))
    return merged


def hours_at(year: list[Span], rate: float) -> float:
    """Hours at this rate or a higher one."""
    return round(sum(each.end - each.begin for each in year if each.rate >= rate) / HOUR, 1)


def outages(year: list[Span], rate: float = 0.5) -> list[Span]:
    """Where at least so many failed: spans that touch are one, at their worst rate."""
    found: list[Span] = []
    for each in year:
        if each.rate < rate:
            continue
        if found and found[-1].end == each.begin:
            last = found.pop()
            found.append(Span(last.begin, each.end, max(last.rate, each.rate)))
        else:
            found.append(each)
    return found


def condition(rate: float, rates: dict[int, float]) -> Condition:
    """How the failures of this rate look."""
    mix: tuple[tuple[float, HttpReply | str], ...]
    if rate >= rates[3]:
        mix = ((0.6, ERROR_503), (0.2, "reset"), (0.2, "hang"))
    elif rate >= rates[2]:
        mix = ((0.25, ERROR_500), (0.25, ERROR_503), (0.15, ERROR_529), (0.15, ERROR_429), (0.2, "hang"))
    else:
        mix = ((0.35, ERROR_500), (0.35, ERROR_529), (0.3, "slow"))
    return Condition(rate, 1 + 2 * rate, mix)


def script(year: list[Span], rates: dict[int, float]) -> list[tuple[int, Condition]]:
    """The same for `Provider`."""
    return [(each.begin, condition(each.rate, rates)) for each in year]


def latencies(data: Path) -> dict[str, tuple[float, ...]]:
    """Seconds that answers took, as the providers stated, and 40 ms for the way."""
    endpoints = {"A": ("openai", ("chat", "responses")), "B": ("anthropic", ("messages",))}
    rows = _rows(data / "latency_from_headers.csv")
    found: dict[str, tuple[float, ...]] = {}
    for name, (provider, asked) in endpoints.items():
        found[name] = tuple(
            (float(row["ms"]) + 40) / 1000
            for row in rows
            if row["provider"] == provider
            and row["endpoint"] in asked
            and row["kind"] in ("plain", "structured", "tool_call")
            and row["stream"] == "0"
            and row["output_tokens"]
            and float(row["output_tokens"]) <= 300
        )
    return found


def arrivals(data: Path, calls: int, seed: int = SEED) -> list[int]:
    """When calls come, in nanoseconds from the year's begin: 40 % by people, 60 % in batches of 600."""
    dice = random.Random(seed)
    trace = [_stamp(row["TIMESTAMP"]) for row in _rows(data / "AzureLLMInferenceTrace_conv.csv")]
    gaps = [max(0, later - earlier) for earlier, later in pairwise(trace)]
    weights = [_weight(hour) for hour in range(HOURS)]
    batches = round(calls * 0.6) // BATCH
    moments: list[int] = []
    for hour, number in enumerate(_shared_out(calls - batches * BATCH, weights)):
        block = _block(gaps, number + 1, dice)
        stretch = HOUR / max(1, sum(block))
        passed = 0.0
        for gap in block[:number]:
            passed += gap * stretch
            moments.append(hour * HOUR + int(passed))
    for hour in dice.choices(range(HOURS), weights, k=batches):
        moment = hour * HOUR + dice.randrange(HOUR)
        for gap in _block(gaps, BATCH, dice):
            moments.append(moment)
            moment += gap
    moments.sort()
    return moments


def _weight(hour: int) -> float:
    """How busy an hour of the year is: office hours in America, weekends a fifth."""
    of_day = hour % 24
    weight = 0.15 + (1.85 * math.sin(math.pi * (of_day - 11) / 12) if 11 <= of_day < 23 else 0)
    weekday = (BEGIN.weekday() + hour // 24) % 7
    return weight * 0.2 if weekday >= 5 else weight


def _shared_out(total: int, weights: list[float]) -> list[int]:
    """`total` in whole numbers by weight, none lost."""
    whole, given, passed = sum(weights), 0, 0.0
    shares: list[int] = []
    for weight in weights:
        passed += weight
        due = round(total * passed / whole)
        shares.append(due - given)
        given = due
    return shares


def _block(gaps: list[int], length: int, dice: random.Random) -> list[int]:
    """So many gaps in their own order, from a random one on, wrapping."""
    at = dice.randrange(len(gaps))
    block = gaps[at : at + length]
    while len(block) < length:
        block += gaps[: length - len(block)]
    return block


def _moment(text: str) -> int:
    return int((datetime.fromisoformat(text) - BEGIN).total_seconds()) * SECOND


def _stamp(text: str) -> int:
    """Nanoseconds of a moment with seven decimals."""
    whole, _, fraction = text.partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * SECOND + int(fraction.ljust(9, "0")[:9])
