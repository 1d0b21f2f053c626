"""How each route stands, as running processes put it on record: what `failsoft status` shows, once or again and again.

It's read from the ledger and from the file of blocks: no process is asked, so it works wherever those can be read. What a
process knows and hasn't recorded (a breaker that may try again by now) isn't seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import asdict, define, field, frozen
from rich.table import Table
from rich.text import Text

from failsoft.cli.running import last_changes
from failsoft.cli.telling import looking_into
from failsoft.isolation import Isolation
from failsoft.ledger.read import Reader
from failsoft.ledger.verify import printable

WINDOW = timedelta(minutes=5)
"""How far back calls and attempts are counted."""

MOST = 5_000
"""Calls that are read at most: at a glance, not for the books."""

USUAL = {"health": "closed", "quality": "closed", "throttle": "free", "latch": "open_way"}
"""Where each layer stands while nothing is wrong."""


@frozen
class Layer:
    """A layer of an adapter that isn't as usual, in one or more processes.

    Args:
        name: ``block``, ``health``, ``quality``, ``throttle`` or ``latch``.
        state: as recorded.
        reason: the latest of them.
        until: UTC, ISO 8601: when it may change by itself; None: not said.
        processes: how many recorded it last; 0 for a block, which all obey.
    """

    name: str
    state: str
    reason: str
    until: str | None
    processes: int


@define
class Standing:
    """One adapter in one capability's route.

    Args:
        attempts: within `WINDOW`.
        failed: of those, by a fault of any kind.
    """

    adapter: str
    attempts: int = 0
    failed: int = 0
    layers: list[Layer] = field(factory=list[Layer])


@define
class Route:
    """One capability.

    Args:
        calls: that ended within `WINDOW`.
        degraded: of those, answered by the fallback or not at all.
        block: who blocked the capability itself; None if nobody.
    """

    capability: str
    limit: float
    calls: int = 0
    degraded: int = 0
    more: bool = False
    """There were more calls than are read: the figures are of the newest."""
    block: str | None = None
    adapters: list[Standing] = field(factory=list[Standing])

    @property
    def share(self) -> float:
        """Per cent of its calls that were degraded."""
        return 100 * self.degraded / self.calls if self.calls else 0.0


def routes(isolation: Isolation, now: datetime) -> list[Route]:
    """Every capability with its adapters, as they stand."""
    blocks = {subject: str(each) for subject, each in isolation.blocks.items()}
    changes = last_changes(isolation.ledger)
    found: dict[str, Route] = {}
    for name, health in isolation.health().capabilities.items():
        route = found[name] = Route(name, health.limit, block=blocks.get(f"capability:{name}"))
        for adapter in isolation.route_of(name):
            block = blocks.get(f"adapter:{adapter}")
            layers = [] if block is None else [Layer("block", "blocked", block, None, 0)]
            route.adapters.append(Standing(adapter, layers=[*layers, *_layers(changes, name, adapter)]))
    ledger = isolation.ledger
    if ledger is not None and ledger.exists():
        with looking_into(ledger) as reader:
            _count(reader, found, _written(now - WINDOW))
    return list(found.values())


def _layers(changes: list[dict[str, Any]], capability: str, adapter: str) -> Iterator[Layer]:
    for name, usual in USUAL.items():
        told = [
            each
            for each in changes
            if (each["adapter"], each["layer"]) == (adapter, name)
            and each["to"] != usual
            and each.get("capability", {}).get("name", capability) == capability
        ]
        for state in sorted({each["to"] for each in told}):
            same = sorted((each for each in told if each["to"] == state), key=lambda each: str(each["ts"]))
            ends = [until for each in same if (until := _until(each)) is not None]
            yield Layer(name, state, same[-1]["reason"], max(ends, default=None), len(same))


def _until(change: dict[str, Any]) -> str | None:
    if "until_ms" not in change:
        return None
    return _written(datetime.fromisoformat(change["ts"]) + timedelta(milliseconds=change["until_ms"]))


def _count(reader: Reader, found: dict[str, Route], since: str) -> None:
    entries = list(reader.records(kind="call.completed", last=MOST))
    if len(entries) == MOST and entries[0].ts >= since:
        for one in found.values():
            one.more = True
    for each in entries:
        route = found.get(each.fields["capability"]["name"]) if each.ts >= since else None
        if route is None:
            continue
        route.calls += 1
        route.degraded += bool(each.fields.get("degraded")) or "source" not in each.fields
        by_name = {one.adapter: one for one in route.adapters}
        for attempt in each.fields.get("attempts", []):
            standing = by_name.get(attempt["adapter"])
            if standing is not None:
                standing.attempts += 1
                standing.failed += "fault" in attempt


def as_document(found: list[Route]) -> list[dict[str, Any]]:
    """For programs."""
    return [{**asdict(each), "share": round(each.share, 1)} for each in found]


def as_table(found: list[Route], now: datetime) -> Table:
    """For people: a line for each adapter of each route."""
    table = Table(title=f"{now:%H:%M:%S} UTC · calls and attempts of the last 5 minutes", title_justify="left")
    for name in ("capability", "calls", "degraded", "adapter", "attempts", "failed"):
        table.add_column(name, justify="left" if name in ("capability", "adapter") else "right", no_wrap=True)
    table.add_column("how it stands", overflow="fold")
    for route in found:
        high = route.share > route.limit
        first: list[str | Text] = [
            Text(printable(route.capability), "" if route.block is None else "red"),
            f"{'≥ ' * route.more}{route.calls}",
            Text(f"{route.share:.0f} %", "bold red" if high else ""),
        ]
        if route.block is not None:
            table.add_row(*first, "", "", "", Text(printable(route.block), "red"))
            first = ["", "", ""]
        for standing in route.adapters:
            table.add_row(*first, *_cells(standing, now))
            first = ["", "", ""]
        if not route.adapters and route.block is None:
            table.add_row(*first, "", "", "", "no adapters: the fallback answers")
    return table


def _cells(standing: Standing, now: datetime) -> list[str | Text]:
    failed = f"{100 * standing.failed / standing.attempts:.0f} %" if standing.attempts else "–"
    lines: list[str] = []
    for each in standing.layers:
        several = f" in {each.processes} processes" if each.processes > 1 else ""
        lines.append(f"{each.name} {each.state}{several}{_left(each.until, now)}: {each.reason}")
    stands = Text("\n".join(map(printable, lines)), "red") if lines else Text("in order", "green")
    return [Text(printable(standing.adapter)), str(standing.attempts), failed, stands]


def _left(until: str | None, now: datetime) -> str:
    if until is None:
        return ""
    seconds = (datetime.fromisoformat(until) - now).total_seconds()
    return f", {seconds:.0f} s more" if seconds > 0 else ", due for a trial"


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
