"""The page of the fault catalogue, made of its data. Run as a program it writes the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from catalogue_data import CASES, DIRECTED, NOT_BUILT, ROWS, Case, Directed

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "fault-catalogue.md"

FAULTS = (
    "connection refused",
    "name can't be resolved",
    "name server hangs",
    "connection never accepted",
    "invalid certificate",
    "TLS handshake stalls",
    "proxy refuses",
    "no connection free",
    "reused connection had been closed",
    "reset while the request is sent",
    "no answer",
    "dripped body",
    "dripped head",
    "content length above the body",
    "cut within the chunks",
    "body framed by the connection's end",
    "truncated JSON",
    "not HTTP",
    "two content lengths",
    "header of 200 kB",
    "interim replies without end",
    "gzip bomb",
    "huge body",
    "said to be gzip, isn't",
    "gzip cut, in two members, nested, or with garbage behind it",
    "unknown encoding",
    "sign-in page",
    "empty success",
    "error in a 200",
    "no choices",
    "choice that ended in an error",
    "cut at the token limit",
    "content filter",
    "refusal",
    "empty content",
    "tool call",
    "two choices",
    "text around the answer",
    "answer that doesn't fit the schema",
    "NaN, infinity, 1e999",
    "duplicate keys",
    "integer of 5,000 digits",
    "100,000 nested arrays",
    "lone surrogate",
    "invalid UTF-8",
    "byte-order mark, UTF-16, two documents",
    "context too long",
    "401, 403",
    "402, money spent",
    "model retired",
    "408, 409, 425",
    "413, 415, 422",
    "429 with seconds",
    "429 with a date",
    "429 with milliseconds, resets, nonsense",
    "429 without a hint",
    "500, 502, 503, 504",
    "529",
    "unknown status",
    "redirect to another host",
    "redirect loop",
    "stream cut within an event",
    "error event within a stream",
    "stream of pings",
    "stream without an end",
    "events twice, or out of order",
    "another model than the pinned one",
    "usage missing or negative",
    "answer to another request",
    "caller cancels",
    "deadline expires",
    "adapter swallows its cancellation",
    "blocking adapter on a loop",
    "another event loop",
    "fork",
    "wall clock jumps",
    "listener raises",
    "ledger can't record",
    "fallback raises",
    "shared store is down",
    "blocked during a call",
    "interpreter ends, garbage collector",
    "secrets in an error",
    "many callers as a breaker's time comes",
    "flapping provider",
    "brown-out",
    "recovered with another model",
    "billed twice after a time-out",
    "answer too many on a connection",
    "final reply before the request is sent",
    "cookie",
    "101",
    "transfer encoding other than chunked",
    "content length and chunks",
    "hint on an answer",
    "resets as epoch, hint in the body",
    "429 worded as billing",
    "provider hangs, callers are impatient",
    "poison input",
    "one process's own network broken",
)

HEAD = """\
# Fault catalogue

What can go wrong with a provider, what comes of it, and the test that shows it. Each case is asked through an isolation with a ledger on
disk, by `await` and by `.sync`, over sockets wherever it shows on the wire: to the only adapter of a route (by `await` also over aiohttp),
to the first of two, and to five callers at once. What's expected is written down in `tests/faults/catalogue/catalogue_data.py`, apart from the code; this page is made
of it (`python tests/faults/catalogue/catalogue_page.py`).

| column | says |
|---|---|
| fault | its name in [the table of faults](faults.md) |
| attempts | requests to the only adapter of a route, where its `attempts` are 2; `–`: not laid down |
| health, quality | what the breakers learn of it; five failures in a row open the health breaker |
| besides | `throttle` and for how long, `latch`, `alert`: an event that tells somebody to look |
| answered | by the `second` adapter of the route, or by the `fallback` although there's a second; alone, it's always the fallback |
"""


def page() -> str:
    """All of it."""
    return "\n".join((HEAD, *_cases(), "", *_directed(), "", *_not_built(), ""))


def _title(row: int) -> str:
    return FAULTS[row - 1]


def _cases() -> Iterator[str]:
    yield "## Shown by a provider\n"
    yield "| row | what | shown by | fault | attempts | health | quality | besides | answered |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for each in CASES:
        yield (
            f"| {each.row} | {_title(each.row)} | {_shown(each)} | `{each.fault}` | {each.attempts or '–'} | "
            f"{each.health} | {each.quality or '–'} | {_besides(each)} | {each.answered or '–'} |"
        )


def _shown(case: Case) -> str:
    return case.show.partition(".")[2].lower().replace("_", " ")


def _besides(case: Case) -> str:
    latch = f"latch {case.latch}" if case.latch else ""
    throttle = f"throttle {case.throttle:g} s" if case.throttle else ""
    return ", ".join(each for each in (throttle, latch, "alert" if case.alert else "") if each) or "–"


def _directed() -> Iterator[str]:
    yield "## Shown by tests of their own\n"
    yield "| row | what | outcome | test |"
    yield "|---|---|---|---|"
    for each in DIRECTED:
        yield f"| {each.row} | {_title(each.row)} | {each.outcome} | {_where(each)} |"


def _where(directed: Directed) -> str:
    file, _, function = directed.test.partition("::")
    return f"`{Path(file).name}`: {function.removeprefix('test_').replace('_', ' ')}"


def _not_built() -> Iterator[str]:
    yield "## Not built\n"
    yield "| row | what | why |"
    yield "|---|---|---|"
    for each in NOT_BUILT:
        yield f"| {each.row} | {_title(each.row)} | {each.why} |"


assert len(FAULTS) == ROWS

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
