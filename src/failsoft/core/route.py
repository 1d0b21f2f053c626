"""Who is asked, in which order, and why others were passed over.

Theory of operation. A route is the capability's adapters in their configured order. An adapter is passed over by the
first of these that refuses, and the refusal is named:

    block      somebody switched it off, or nobody knows whether somebody did
    labels     the call's data carries a label that the adapter doesn't list
    latch      it can't work until its configuration is mended
    throttle   the provider said to wait
    quality    its answers to this capability don't fit, or another model than the pinned one gives them
    health     its breaker is open, or its trials are taken

A plan is made at the start (so that a call which nobody can answer goes straight to its fallback) and each refusal is
asked again before each attempt, since a call may outlive a state. Looking never changes a state; only taking a permit does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol

from attrs import Factory, define, field

from failsoft.core.adaptive import AdaptiveBulkhead
from failsoft.core.breaker import Breaker
from failsoft.core.bulkhead import Bulkhead
from failsoft.core.credential import CredentialKeeper, Issued
from failsoft.core.deprecation import DeprecationNotice
from failsoft.core.effects import Ask, Codec, Reply, Unusable
from failsoft.core.latch import Latch
from failsoft.core.limits import Limits
from failsoft.core.quality import Quality
from failsoft.core.recovery import RecoveryCheck, any_model, same_model
from failsoft.core.retry_budget import RetryBudget
from failsoft.core.throttle import Throttle
from failsoft.credentials import SHORTEST_SECRET
from failsoft.outcome import Grade, PassedOver, Pin

Mismatch = Literal["refuse", "record"]

Refusal = tuple[str, str]
"""(reason, detail): why one isn't asked, as `PassedOver` has them."""


class Blocks(Protocol):
    """The manual kill switch. Looking costs no I/O that a caller could notice."""

    def adapter(self, name: str, now: int) -> Refusal | None:
        """Why this adapter is blocked; None if it isn't."""
        ...

    def capability(self, name: str, now: int) -> Refusal | None:
        """Why this capability is blocked; None if it isn't."""
        ...


class NoBlocks:
    """Nothing is blocked."""

    def adapter(self, name: str, now: int) -> Refusal | None:
        """Never."""
        return None

    def capability(self, name: str, now: int) -> Refusal | None:
        """Never."""
        return None


class CallableCodec(Protocol):
    """The user's own function as an adapter: what `Invoke` calls, and how its result is read."""

    provider: str
    version: str
    endpoint: str | None
    function: Callable[[Ask], Any]

    def read(self, result: object, ask: Ask) -> Reply | Unusable:
        """What the function returned, as an answer. May raise what the user's own extractors raise."""
        ...

    def classify(self, error: Exception) -> Unusable:
        """What the function raised, as a fault."""
        ...


@define(eq=False)
class GuardedAdapter:
    """An adapter and everything that decides whether it may be asked.

    Args:
        name: as configured.
        codec: how to speak to it; a `CallableCodec` is invoked, any other exchanges bytes.
        pin: which model it asks for.
        labels: the labels that it may see; a call with another never goes there.
        attempts: how often one call may try it, at least 1.
        attempt_cap: nanoseconds that one attempt may take; None: its share of what remains.
        on_mismatch: what follows when another model than the pinned one answered.
        credential: the latch that all adapters share which use the same credential at the same place; its own by default.
        recovery_check: what its breaker's trials must pass; by default what `on_mismatch` says of another model.
        budget: what its retries may cost.
        limits: the provider's quotas, where they're to be kept on our side.
        keeper: keeps the credential, where it's none that the codec was made with.
        max_prompt: bytes that a prompt may have; None: nothing is known.
        require_grade: the least that the served identity must be worth; None: whatever it is.
    """

    name: str
    codec: Codec | CallableCodec
    pin: Pin
    breaker: Breaker
    throttle: Throttle
    latch: Latch
    bulkhead: Bulkhead
    labels: frozenset[str] = frozenset()
    attempts: int = 3
    attempt_cap: int | None = None
    on_mismatch: Mismatch = "refuse"
    budget: RetryBudget = field(factory=RetryBudget)
    limits: Limits | None = None
    keeper: CredentialKeeper | None = None
    max_prompt: int | None = None
    require_grade: Grade | None = None
    credential: Latch = field(default=Factory(lambda self: self.latch, takes_self=True))
    recovery_check: RecoveryCheck = field(
        default=Factory(lambda self: same_model if self.on_mismatch == "refuse" else any_model, takes_self=True)
    )
    adaptive: AdaptiveBulkhead | None = field(init=False)
    latches: tuple[Latch, ...] = field(init=False)
    invoked: bool = field(init=False)
    secrets: tuple[str, ...] = field(init=False, repr=False)
    notice: DeprecationNotice | None = field(init=False, default=None)
    """What its replies' headers announced last."""
    noticed: int = field(init=False, default=0)
    _struck: Issued | None = field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        self.adaptive = self.bulkhead if isinstance(self.bulkhead, AdaptiveBulkhead) else None
        self.latches = (self.latch,) if self.credential is self.latch else (self.latch, self.credential)
        self.invoked = hasattr(self.codec, "function")
        self.secrets = getattr(self.codec, "secrets", ())

    def refusal(
        self, now: int, labels: frozenset[str], blocks: Blocks, quality: Quality | None = None
    ) -> Refusal | None:
        """That of the first layer that refuses; None if all admit."""
        blocked = blocks.adapter(self.name, now)
        if blocked is not None:
            return blocked
        if labels and not labels <= self.labels:
            return "labels", "may not see " + ", ".join(sorted(labels - self.labels))
        if not (self.latch.clear and self.credential.clear) and (cause := self.latched(now)) is not None:
            return "latched", cause
        if not self.throttle.free and self.throttle.until(now) > now:
            return "throttled", ""
        if quality is not None and quality.must_look and (refused := quality.peek(now)) is not None:
            return "quality", refused.reason
        if self.breaker.must_look and (refused := self.breaker.peek(now)) is not None:
            return "open", refused.reason
        return None

    def strike(self, issued: Issued) -> None:
        """From now on this credential is struck from whatever comes back; the one before it too: its replies may be late."""
        if self._struck is issued:
            return
        self._struck = issued
        fixed: tuple[str, ...] = getattr(self.codec, "secrets", ())
        now = tuple(each for each in issued.value.secrets if len(each) >= SHORTEST_SECRET)
        before = tuple(each for each in self.secrets if each not in fixed and each not in now)
        self.secrets = (*fixed, *now, *before[: len(now)])

    def latched(self, now: int) -> str | None:
        """What must be mended before it may be asked; None if nothing, or if a trial is due."""
        return next((cause for each in self.latches if (cause := each.cause(now)) is not None), None)

    def let_in(self) -> None:
        """It was let in: neither credential nor pin keeps it out."""
        for each in self.latches:
            each.succeeded()

    def admit(self, now: int) -> Refusal | None:
        """As `refusal`, for an attempt that goes now: takes a latch's trial and a place in a throttle's pace."""
        cause = self.latched(now)  # of both, before either's trial is taken
        if cause is not None or not all(each.admit(now) for each in self.latches):
            return "latched", cause or ""
        return ("throttled", "") if self.throttle.admit(now) else None


@define(eq=False)
class Route:
    """A capability's adapters, resolved for as long as its isolation is entered.

    Args:
        adapters: in the order in which they're asked.
        fair_share: nanoseconds that an attempt has nearly always by the capability's *configured* deadline: one that had
            as long has failed, however little its caller left it by a deadline of his own.
        hedge_after: nanoseconds after which the second is asked beside the first; None: never.
        admission: places for calls under way; None: as many as come.
        quality: by adapter's name, how well it answers this capability; None for one that nobody judges.
    """

    adapters: tuple[GuardedAdapter, ...]
    fair_share: int
    hedge_after: int | None = None
    quality: Mapping[str, Quality | None] = MappingProxyType({})
    admission: Bulkhead | None = None

    def __attrs_post_init__(self) -> None:
        self.quality = {each.name: self.quality.get(each.name) for each in self.adapters}


def plan(
    route: Route, capability: str, now: int, labels: frozenset[str], blocks: Blocks, *, shed: bool = False
) -> tuple[list[GuardedAdapter], list[PassedOver]]:
    """The adapters that may be asked now, in order, and why the others may not; of a call that's `shed` nobody."""
    if shed:
        return [], [PassedOver(each.name, "shed") for each in route.adapters]
    blocked = blocks.capability(capability, now)
    if blocked is not None:
        return [], [PassedOver(each.name, blocked[0], detail=blocked[1]) for each in route.adapters]
    admissible: list[GuardedAdapter] = []
    passed_over: list[PassedOver] = []
    qualities = route.quality
    for adapter in route.adapters:
        refusal = adapter.refusal(now, labels, blocks, qualities[adapter.name])
        if refusal is None:
            admissible.append(adapter)
        else:
            passed_over.append(PassedOver(adapter.name, refusal[0], detail=refusal[1]))
    return admissible, passed_over
