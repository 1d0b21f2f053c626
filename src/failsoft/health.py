"""How an isolation stands at one moment: values for a health page, a probe, or the person at three in the morning."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from attrs import frozen

from failsoft.core.breaker import BreakerSnapshot, State
from failsoft.core.degraded import DegradedShare
from failsoft.core.quality import Quality
from failsoft.core.route import GuardedAdapter
from failsoft.io.block_file import Block
from failsoft.io.sharing import Sharing
from failsoft.ledger.checkpoints.publishing import Coverage


@frozen
class AdapterHealth:
    """One adapter at one moment.

    Args:
        state: of its breaker: ``closed``, ``open`` or ``half_open``.
        blocked: who blocked it and why; None if nobody did.
        latched: what must be mended; None if nothing.
        throttled_for: seconds that it still waits as told.
        retry_in: seconds until an open breaker may try again; 0 unless it's open.
        in_use: slots taken.
        slots: how many there are; fewer than configured where adaptive concurrency has lowered them.
        waiting: callers in its queue.
        mode: what a person decided about its breakers: ``auto``, ``forced`` or ``observe``.
        pin_checked: False for a callable adapter without `served`: nothing says which model answered.
        orphans: works of a callable adapter that run on after their caller left; each holds its slot.
    """

    state: str
    blocked: str | None
    latched: str | None
    throttled_for: float
    retry_in: float
    in_use: int
    slots: int
    waiting: int
    mode: str
    pin_checked: bool
    orphans: int


@frozen
class QualityHealth:
    """How well one adapter answers one capability.

    Args:
        state: of its quality breaker: ``closed``, ``open`` or ``half_open``.
        retry_in: seconds until an open one may try again; 0 unless it's open.
        refusals: answers of the last minute that were refusals, the model's or a filter's.
    """

    state: str
    retry_in: float
    refusals: int


@frozen
class CapabilityHealth:
    """One capability at one moment.

    Args:
        calls: in the window.
        degraded: of those, not answered by AI.
        percent: 0-100.
        limit: percent that may be degraded.
        exceeded: is it more?
        since: since when (UTC); None while it isn't.
        why: reasons with counts.
        blocked: who blocked it and why; None if nobody did.
        quality: by adapter that was in use.
    """

    calls: int
    degraded: int
    percent: float
    limit: float
    exceeded: bool
    since: datetime | None
    why: Mapping[str, int]
    blocked: str | None
    quality: Mapping[str, QualityHealth]


@frozen
class StateHealth:
    """Whether state is shared with other processes.

    Args:
        store: ``file``, ``postgresql`` or ``none``.
        shared: is it, now?
        degraded_since: since when the store can't be used (UTC); None while it can.
        reason: why not; empty while it can.
    """

    store: str
    shared: bool
    degraded_since: datetime | None
    reason: str


@frozen
class Health:
    """An isolation at one moment.

    Args:
        ok: no capability above its degraded limit, the ledger records, its checkpoints are signed and anchored in time, and
            the file of blocks can be read.
        capabilities: by name.
        adapters: by name.
        ledger: ``recording``, ``spooling`` (records wait for the database, durable on this host), ``failing`` or ``off``.
        state: is it shared?
        blocks_unreadable: why the file of blocks can't be read: the last known ones hold. Empty while it can.
        checkpoints: how far the ledger is covered by signed checkpoints, and these are anchored; None where it isn't signed.
    """

    ok: bool
    capabilities: Mapping[str, CapabilityHealth]
    adapters: Mapping[str, AdapterHealth]
    ledger: Literal["recording", "spooling", "failing", "off"]
    state: StateHealth
    blocks_unreadable: str = ""
    checkpoints: Coverage | None = None


def adapter_health(adapter: GuardedAdapter, block: Block | None, now: int) -> AdapterHealth:
    """An adapter's guards, looked at."""
    breaker = adapter.breaker.snapshot(now)
    return AdapterHealth(
        str(breaker.state),
        None if block is None else str(block),
        adapter.latched(now),
        max(0, adapter.throttle.until(now) - now) / 1e9,
        _retry_in(breaker, now),
        adapter.bulkhead.in_use,
        adapter.bulkhead.limit,
        adapter.bulkhead.waiting,
        str(breaker.mode),
        getattr(adapter.codec, "states_served", True),
        adapter.bulkhead.orphans,
    )


def _retry_in(breaker: BreakerSnapshot, now: int) -> float:
    """A breaker that tries, or works, waits for nothing: what it keeps then is the end of something else."""
    return max(0, breaker.until_ns - now) / 1e9 if breaker.state is State.OPEN else 0.0


def state_health(sharing: Sharing) -> StateHealth:
    """How sharing stands."""
    since = None if sharing.degraded_since is None else datetime.fromtimestamp(sharing.degraded_since / 1e9, UTC)
    return StateHealth(sharing.store, sharing.store != "none" and since is None, since, sharing.reason)


def quality_health(quality: Quality, now: int) -> QualityHealth:
    """A quality breaker, looked at."""
    seen = quality.snapshot(now)
    return QualityHealth(str(seen.state), _retry_in(seen, now), quality.refusals(now))


def capability_health(
    share: DegradedShare, block: Block | None, quality: Mapping[str, QualityHealth]
) -> CapabilityHealth:
    """A capability's figure, looked at."""
    since = None if share.since_ns is None else datetime.fromtimestamp(share.since_ns / 1e9, UTC)
    return CapabilityHealth(
        share.calls,
        share.degraded,
        share.percent,
        share.limit,
        share.exceeded,
        since,
        share.why,
        None if block is None else str(block),
        quality,
    )
