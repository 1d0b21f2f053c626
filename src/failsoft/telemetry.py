"""Events: a fixed catalogue of names and fields, quiet by default. No payload and no secret is ever in one.

Where the application has configured structlog, events go to it. Elsewhere they go to ``logging.getLogger("failsoft")``,
behind `isEnabledFor`, as logfmt text: nothing is printed that nobody asked for.
"""

from __future__ import annotations

import logging
import sys
from types import MappingProxyType
from typing import Any, cast

from attrs import frozen

_log = logging.getLogger("failsoft")
_log.addHandler(logging.NullHandler())


@frozen
class EventKind:
    """One entry of the catalogue."""

    level: int
    fields: tuple[str, ...]
    meaning: str


CATALOGUE: MappingProxyType[str, EventKind] = MappingProxyType(
    {
        "call.completed": EventKind(
            logging.INFO,
            ("capability", "call_id", "source", "degraded", "ms", "record"),
            "A call ended with an outcome.",
        ),
        "fallback.used": EventKind(
            logging.WARNING, ("capability", "call_id", "reasons"), "No adapter gave an acceptable answer."
        ),
        "attempt.alert": EventKind(
            logging.ERROR,
            ("capability", "adapter", "fault", "error", "call_id"),
            "An attempt failed in a way that somebody must look at.",
        ),
        "retry.denied": EventKind(
            logging.INFO,
            ("capability", "adapter", "fault", "why", "call_id"),
            "An adapter's retry budget is spent: the call moved on.",
        ),
        "status.unknown": EventKind(
            logging.WARNING,
            ("capability", "adapter", "status", "call_id"),
            "A provider answered with a status that has no meaning known here.",
        ),
        "pin.mismatch": EventKind(
            logging.ERROR, ("adapter", "asked", "served", "call_id"), "Another model than the pinned one answered."
        ),
        "credential.failed": EventKind(
            logging.ERROR,
            ("capability", "adapter", "reason", "call_id"),
            "An adapter's `auth` gave no credential: it's passed over where there's none left that is valid.",
        ),
        "exchange.observed": EventKind(
            logging.INFO,
            ("provider", "asked", "served", "grade", "status", "fault", "ms", "call_id"),
            "An SDK's exchange over `failsoft.observe()` has ended.",
        ),
        "observing.failed": EventKind(
            logging.ERROR,
            ("error",),
            "`failsoft.observe()` couldn't decode or record an exchange, which went on all the same.",
        ),
        "pin.retiring": EventKind(
            logging.WARNING,
            ("adapter", "model", "days_left", "retires", "replacement", "source"),
            "The pinned model's announced end is 90, 30, 7 or 0 days away.",
        ),
        "retirements.unreadable": EventKind(
            logging.ERROR,
            ("reason",),
            "The application's own file of announced retirements can't be used: nobody is told of a pin's end.",
        ),
        "deprecation.announced": EventKind(
            logging.WARNING,
            ("adapter", "deprecated", "sunset", "text", "link"),
            "A reply's headers say that what was asked will go.",
        ),
        "capability.bug": EventKind(
            logging.ERROR,
            ("capability", "where", "error", "call_id"),
            "The capability's own prompt, accept or validator raised; the fallback answered. Or its review's condition did.",
        ),
        "breaker.changed": EventKind(
            logging.WARNING,
            ("adapter", "layer", "before", "after", "reason", "until_ms", "capability"),
            "An adapter's breaker, throttle or latch changed its state.",
        ),
        "breaker.would_open": EventKind(
            logging.WARNING,
            ("adapter", "layer", "reason", "capability"),
            "An adapter that's observed isn't refused, though its breaker would have opened.",
        ),
        "bulkhead.full": EventKind(
            logging.WARNING, ("adapter", "in_use", "waiting", "refused"), "Every slot of an adapter is taken."
        ),
        "block.changed": EventKind(
            logging.WARNING,
            ("subject", "blocked", "actor", "why", "until", "mode"),
            "Somebody blocked or unblocked something, or forced or observes an adapter.",
        ),
        "review.recorded": EventKind(
            logging.INFO,
            ("act", "capability", "call_id", "person", "decision", "record", "lost"),
            "A person reviewed an answer, overrode it or appealed against it. `lost`: why nobody can look at it any more.",
        ),
        "refusals.many": EventKind(
            logging.ERROR,
            ("capability", "adapter", "share"),
            "A fifth or more of an adapter's answers to a capability are refusals, the model's or a filter's.",
        ),
        "degraded.exceeded": EventKind(
            logging.ERROR,
            ("capability", "share", "limit", "why"),
            "More of a capability's answers than its limit come from the fallback.",
        ),
        "degraded.recovered": EventKind(
            logging.WARNING, ("capability", "share", "limit"), "A capability's degraded share is under its limit again."
        ),
        "ledger.failed": EventKind(
            logging.ERROR, ("reason", "policy"), "The ledger can't record; the policy decides what follows."
        ),
        "ledger.recovered": EventKind(logging.WARNING, (), "The ledger records again."),
        "ledger.warning": EventKind(logging.WARNING, ("reason",), "The ledger records, on doubtful ground."),
        "checkpoint.published": EventKind(
            logging.INFO, ("size",), "A checkpoint of the ledger was signed, and goes to its anchors."
        ),
        "checkpoint.failed": EventKind(
            logging.ERROR,
            ("reason",),
            "No checkpoint could be signed: records go on, and aren't covered. Look into it: the log may be another one.",
        ),
        "anchor.failed": EventKind(
            logging.ERROR, ("reason",), "An anchor didn't take a checkpoint; it's tried again every 5 seconds."
        ),
        "blocks.unreadable": EventKind(
            logging.ERROR,
            ("reason",),
            "The file of blocks can't be read any more: the last known blocks hold, new ones aren't seen.",
        ),
        "blocks.recovered": EventKind(logging.WARNING, (), "The file of blocks can be read again."),
        "loop.blocked": EventKind(
            logging.WARNING, ("adapter", "ms"), "A callable adapter held up its event loop: no other call went on."
        ),
        "clock.anomaly": EventKind(
            logging.WARNING,
            ("seconds",),
            "Between two calls the wall clock went further than the monotonic one: it was set, or the machine slept.",
        ),
        "state.degraded": EventKind(
            logging.ERROR,
            ("store", "reason"),
            "The store of shared state can't be used: each process decides for itself, the last known blocks hold.",
        ),
        "state.recovered": EventKind(logging.WARNING, ("store", "ms"), "State is shared again, after so long."),
        "peer.disagrees": EventKind(
            logging.WARNING,
            ("adapter", "reason", "calls", "failures"),
            "Another process found that an adapter doesn't work; this one's own calls say otherwise.",
        ),
        "sync.on_loop": EventKind(
            logging.WARNING, (), "`.sync` was called on a running event loop's thread, which it blocks."
        ),
    }
)


class Telemetry:
    """The one sink of events. It never raises: a broken log handler mustn't change an answer."""

    def __init__(self) -> None:
        self.errors = 0

    def prepare(self) -> None:
        """Load what events are written with, if anybody hears them. Else the first event does: a process that's forked
        meanwhile would wait for the thread that loads it, and hasn't got that thread.
        """
        if _structlog() is None and _heard(logging.ERROR):
            import structlog.processors  # noqa: F401  # pyright: ignore[reportUnusedImport]

    def enabled(self, name: str) -> bool:
        """Would an event of this name go anywhere?"""
        if "structlog" in sys.modules and _structlog() is not None:
            return True
        return bool(_log.handlers[1:] or logging.root.handlers) and _heard(CATALOGUE[name].level)

    def emit(self, name: str, /, **fields: Any) -> None:
        """One event of the catalogue."""
        level = CATALOGUE[name].level
        try:
            structlog = _structlog()
            if structlog is not None:
                structlog.get_logger("failsoft").log(level, name, **fields)
            elif _heard(level):
                _log.log(level, "%s", _rendered(name, fields))
        except Exception:
            self.errors += 1


def _structlog() -> Any:
    """structlog, where the application has configured it; one that isn't imported can't have been."""
    try:
        structlog: Any = sys.modules["structlog"]
        return structlog if structlog.is_configured() else None
    except (KeyError, AttributeError):  # not imported; or another thread still imports it
        return None


def _heard(level: int) -> bool:
    """Does a handler hear this level?"""
    return bool(_log.handlers[1:] or logging.root.handlers) and _log.isEnabledFor(level)


def _rendered(name: str, fields: dict[str, Any]) -> str:
    from structlog.processors import LogfmtRenderer

    flat = {
        key: ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else value
        for key, value in fields.items()
    }
    text = LogfmtRenderer(key_order=["event"])(None, "", {"event": name, **flat})
    return _printable(text if isinstance(text, str) else text.decode())


def _printable(line: str) -> str:
    """What somebody's request or a provider's reply says mustn't steer the terminal that shows the log."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
