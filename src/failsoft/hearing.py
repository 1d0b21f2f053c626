"""What an isolation's guards, its ledger and its blocks tell: made an event, put on record, passed on to the fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from attrs import define

from failsoft.assembly_adapters import Told, transition
from failsoft.core.breaker import Change
from failsoft.core.bulkhead import BulkheadFull
from failsoft.core.degraded import DegradedShare
from failsoft.core.effects import Clock
from failsoft.core.evidence import BlockChanged, BreakerChanged
from failsoft.io.sharing import Sharer
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.telemetry import Telemetry


@define(eq=False)
class Hearing:
    """Hears for one isolation; each method may be called from any thread, and never under a guard's lock.

    Args:
        telemetry: where events go.
        clock: says how long until a guard may change by itself.
        ledger: where records go, while the isolation is entered and has one.
        sharer: who tells the fleet, while there is one.
    """

    telemetry: Telemetry
    clock: Clock
    ledger: StoredLedger | None = None
    sharer: Sharer | None = None

    def changed(self, adapter: str, change: Told, capability: str | None = None) -> None:
        """A breaker, a throttle or a latch changed; one that belongs to a capability is its quality breaker."""
        made = transition(change, capability)
        if isinstance(change, Change) and change.would_open:
            self.telemetry.emit(
                "breaker.would_open", adapter=adapter, layer=made.layer, reason=made.reason, capability=capability
            )
            return
        now = self.clock.monotonic_ns()
        until_ms = None if made.until is None else max(0, (made.until - now) // 1_000_000)
        record = BreakerChanged(adapter, made.layer, made.before, made.after, made.reason, until_ms, capability)
        self.telemetry.emit("breaker.changed", **attrs.asdict(record))
        if self.ledger is not None:
            self.ledger.submit(record)
        if self.sharer is not None and capability is None:
            self.sharer.told(adapter, change)

    def facts_changed(self) -> None:
        """The file of blocks says something else than before."""
        if self.sharer is not None:
            self.sharer.wake()

    def block_changed(self, change: BlockChanged) -> None:
        """Somebody blocked, unblocked, forced or observes something."""
        self.telemetry.emit("block.changed", **attrs.asdict(change))
        if self.ledger is not None:
            self.ledger.submit(change)

    def blocks_read(self, reason: str) -> None:
        """The file of blocks can't be read any more, and why; empty: it can again."""
        if reason:
            self.telemetry.emit("blocks.unreadable", reason=reason)
        else:
            self.telemetry.emit("blocks.recovered")

    def full(self, adapter: str, full: BulkheadFull) -> None:
        """Every slot of an adapter is taken."""
        self.telemetry.emit(
            "bulkhead.full", adapter=adapter, in_use=full.in_use, waiting=full.waiting, refused=full.refused
        )

    def on_refusals(self, capability: str, adapter: str) -> Callable[[float], None]:
        """What hears that many of an adapter's answers to a capability are refusals."""

        def tell(share: float) -> None:
            self.telemetry.emit("refusals.many", capability=capability, adapter=adapter, share=round(share, 1))

        return tell

    def loop_blocked(self, adapter: str, took: int) -> None:
        """A callable adapter held up its event loop, for so many nanoseconds."""
        self.telemetry.emit("loop.blocked", adapter=adapter, ms=took // 1_000_000)

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """An event of the catalogue."""
        self.telemetry.emit(name, **fields)

    def on_share(self, name: str) -> Callable[[DegradedShare], None]:
        """What hears that a capability's degraded share passed its limit, or is under it again."""

        def tell(share: DegradedShare) -> None:
            event = "degraded.exceeded" if share.exceeded else "degraded.recovered"
            fields: dict[str, Any] = {"capability": name, "share": round(share.percent, 1), "limit": share.limit}
            if share.exceeded:
                fields["why"] = [f"{reason} ×{count}" for reason, count in share.why.items()]
            self.telemetry.emit(event, **fields)

        return tell
