"""What running processes last put on record: all that one process can know of another's breakers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from failsoft.cli.telling import looking_into
from failsoft.ledger.location import Location


def last_changes(ledger: Location | None) -> list[dict[str, Any]]:
    """Of each process that has the ledger open: the last change of each layer of each adapter."""

    def layer(fields: Mapping[str, Any]) -> tuple[str, str]:
        return fields["adapter"], f"{fields['layer']} {fields.get('capability', {}).get('name', '')}"

    return _newest(ledger, "breaker.changed", layer)


def last_modes(ledger: Location | None) -> list[dict[str, Any]]:
    """Of each process that has the ledger open: which adapters it forces or observes."""
    told = _newest(ledger, "block.changed", lambda fields: (fields["subject"], str("mode" in fields)))
    return [each for each in told if each.get("mode", "auto") != "auto"]


def last_served(ledger: Location | None) -> dict[str, dict[str, Any]]:
    """By adapter: what the newest recorded reply revealed of who gave it (``model``, ``grade``, …)."""
    if ledger is None or not ledger.exists():
        return {}
    found: dict[str, dict[str, Any]] = {}
    with looking_into(ledger) as reader:
        for each in reader.records(kind="call.completed", last=500):
            for attempt in each.fields.get("attempts", []):
                if "served" in attempt:
                    found[attempt["adapter"]] = attempt["served"]
    return found


def _newest(
    ledger: Location | None, kind: str, key_of: Callable[[Mapping[str, Any]], tuple[str, str]]
) -> list[dict[str, Any]]:
    if ledger is None or not ledger.exists():
        return []
    with looking_into(ledger) as reader:
        opened = {each.fields["emitter"]: each.fields["pid"] for each in reader.records(kind="emitter.opened")}
        ended = {each.fields["emitter"] for each in reader.records(kind="emitter.closed")}
        # Where it can't be told who's alive, on a standby, whoever didn't say that it ended is taken to be.
        running = {
            emitter: pid
            for emitter, pid in opened.items()
            if emitter not in ended and reader.alive(emitter) is not False
        }
        found: dict[tuple[str, str, str], dict[str, Any]] = {}
        for each in reader.records(kind=kind, last=500):
            fields = each.fields
            if fields["emitter"] in running:
                subject, of_it = key_of(fields)
                found[subject, fields["emitter"], of_it] = {"pid": running[fields["emitter"]], **fields}
    return [found[key] for key in sorted(found)]
