"""What is put on record, as values: core says what happened, `failsoft.ledger.records.record` turns it into bytes.

Records refer to each other through tickets: a completed call names its started record's leaf, which is known only when
the writer has built it. Payloads (request, prompt, replies, response) are carried as plain bytes here; the ledger keeps
each behind one salted commitment.
"""

from __future__ import annotations

from typing import Literal

from attrs import define, field

from failsoft.audit import AuditPlan
from failsoft.context import Actor, CallContext, Case
from failsoft.core.effects import Ticket, Tokens
from failsoft.fault import FaultKind
from failsoft.outcome import Pin, Served, Source
from failsoft.prompt import Sampling
from failsoft.review import Decision, ReviewNeed

Why = Literal["retry", "repair", "hedge"]

CallResult = Literal["answered", "referred", "failed", "refused", "cancelled"]


@define(eq=False)
class ConfigActivated:
    """This configuration is in force from here on.

    Args:
        snapshot: the configuration as JSON with names of secrets, never values: kept as an artifact, by its digest.
        capabilities: (name, version) each.
        adapters: (name, codec version, pin) each.
        lock: the lock that it was held to, as JSON, without who was seen to answer: kept as an artifact, likewise; None: it
            was held to none.
        schemas: name of a capability, and the JSON schema of what a model may answer: kept as an artifact, by its digest.
        purpose: what else than the application's own calls it's for: ``acts``, of people, which ask nobody; ``trial``, of
            one adapter by itself. None: for these.
    """

    snapshot: bytes
    capabilities: tuple[tuple[str, str | None], ...]
    adapters: tuple[tuple[str, str, Pin], ...]
    lock: bytes | None = field(default=None, repr=False)
    schemas: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    purpose: str | None = None


@define(eq=False)
class CallStarted:
    """A call begins: durable before a provider is contacted.

    Args:
        request: the request's JSON bytes.
        deadline_ms: milliseconds the caller gave.
        route: the adapters admissible now, in order.
        config_sha256: digest of the configuration in force, lower-case hex.
        audit: what of the request is put on record, and how; None: all of it, committed.
    """

    call_id: str
    capability: str
    capability_version: str | None
    request: bytes = field(repr=False)
    deadline_ms: int
    route: tuple[str, ...]
    context: CallContext
    config_sha256: str
    audit: AuditPlan | None = None


@define(eq=False)
class Attempt:
    """One try at one adapter.

    Args:
        n: from 1, in order of start, over all adapters of the call.
        status: the HTTP status, where there was one.
        fault: the fault's kind; None where the answer was accepted.
        us: microseconds it took.
        why: why it was made, where it isn't an adapter's first.
        reply: the reply's body as read (of an error too), our own keys struck from it.
        detail: our own words about the fault: kept as a payload, since they may quote the reply.
        prompt: the JSON bytes of its own prompt, where that isn't the call's.
        answer: the answer's JSON text, for a repair; not put on record by itself, since the reply holds it.
        begun: when it began, monotonic nanoseconds; not put on record.
    """

    n: int
    adapter: str
    adapter_version: str
    endpoint: str | None
    pin: Pin
    sampling: Sampling | None = None
    served: Served | None = None
    status: int | None = None
    fault: str | None = None
    tokens: Tokens | None = None
    us: int = 0
    why: Why | None = None
    reply: bytes | None = field(default=None, repr=False)
    detail: bytes | None = field(default=None, repr=False)
    prompt: bytes | None = field(default=None, repr=False)
    answer: bytes | None = field(default=None, repr=False)
    begun: int = 0

    def break_off(self, now: int) -> None:
        """It's over, and had no answer yet: it's not waited for any more."""
        self.fault = FaultKind.CANCELLED.value
        self.us = self.us or (now - self.begun) // 1000


@define(eq=False)
class CallCompleted:
    """A call ended: durable before the answer is returned.

    Args:
        started: the ticket of its `CallStarted`.
        source: who gave the value; None where nobody did (cancelled, failed, refused).
        adapter_version: of the adapter that answered.
        passed_over: (adapter, reason) of adapters that were not asked.
        prompt: the rendered prompt's JSON bytes, where an adapter was asked.
        response: the accepted value's JSON bytes.
        us: microseconds from the call's start.
        review: whether a person has to look at the answer; None: the capability declares nothing, or there's no answer.
    """

    call_id: str
    capability: str
    capability_version: str | None
    started: Ticket
    outcome: CallResult
    degraded: bool
    source: Source | None
    context: CallContext
    us: int
    adapter_version: str | None = None
    attempts: tuple[Attempt, ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    prompt: bytes | None = field(default=None, repr=False)
    response: bytes | None = field(default=None, repr=False)
    review: ReviewNeed | None = None
    audit: AuditPlan | None = None


@define(eq=False)
class CallAmended:
    """A `CallCompleted` came too late and was taken already: this is what the caller really got.

    Args:
        completed: the ticket of the record that it amends.
        review: as of `CallCompleted`, of what the caller really got.
    """

    call_id: str
    capability: str
    capability_version: str | None
    completed: Ticket
    outcome: CallResult
    degraded: bool
    source: Source | None
    context: CallContext
    us: int
    response: bytes | None = field(default=None, repr=False)
    review: ReviewNeed | None = None
    audit: AuditPlan | None = None


@define(eq=False)
class BreakerChanged:
    """An adapter's breaker, throttle or latch changed its state.

    Args:
        layer: ``health``, ``quality``, ``throttle`` or ``latch``.
        before: the state that it left.
        after: the state that it's in.
        reason: why, in our own words.
        until_ms: milliseconds until it may change by itself, where that is known.
        capability: whose quality breaker it is; None for the other layers.
    """

    adapter: str
    layer: str
    before: str
    after: str
    reason: str
    until_ms: int | None = None
    capability: str | None = None


@define(eq=False)
class BlockChanged:
    """Somebody blocked or unblocked an adapter or a capability, or decided how far its breakers do.

    Args:
        subject: ``adapter:NAME`` or ``capability:NAME``.
        blocked: True for a block, False for its end; where `mode` is told, whether it's blocked besides.
        actor: who.
        why: their reason.
        until: when it ends by itself, UTC, ISO 8601; None: when somebody ends it.
        mode: what an adapter's breakers do from here on in this process: ``auto``, ``forced`` or ``observe``; None: as
            before.
    """

    subject: str
    blocked: bool
    actor: str
    why: str
    until: str | None = None
    mode: str | None = None


@define(eq=False)
class RetirementNotice:
    """A reply's headers announced that what was asked will go.

    Args:
        adapter: whose reply.
        model: that was asked for.
        deprecated: since when, UTC, ISO 8601; None: not said.
        sunset: when it ends, UTC, ISO 8601; None: not said.
        text: the provider's own sentence and its link: kept as a payload.
    """

    adapter: str
    model: str
    deprecated: str | None
    sunset: str | None
    text: bytes | None = field(default=None, repr=False)


@define(eq=False)
class ExportCreated:
    """Somebody was given a part of the log, as an evidence bundle.

    Args:
        recipient: who gets it.
        person: who made it.
        why: what for.
        manifest_sha256: of its manifest, lower-case hex.
    """

    recipient: str
    person: str
    why: str
    manifest_sha256: str


@define(eq=False)
class PayloadErased:
    """Payloads of a case are being destroyed: on record before the first one is.

    Args:
        case: whose; None where single payloads are meant.
        keys: names of the keys that are destroyed, lower-case hex.
        digests: commitments whose payloads lie under no key, lower-case hex.
        basis: why, in the words of who decided.
        person: who decided.
        approved_by: who else agreed, where that's asked for.
    """

    case: str | None
    keys: tuple[str, ...]
    digests: tuple[str, ...]
    basis: str
    person: str
    approved_by: str | None = None


@define(eq=False)
class LegalHold:
    """Nothing of a case may be erased or pruned from here on; or it may again.

    Args:
        case: which.
        held: True: from here on; False: not any more.
        person: who says so.
        why: their reason.
    """

    case: str
    held: bool
    person: str
    why: str


@define(eq=False)
class CaseEvent:
    """Something happened with a case outside of failsoft, from which on its records are to be kept for a time.

    Args:
        case: which.
        event: what: ``final-payment``, ``cancellation``, ``closed``, …
        date: when, ISO 8601.
        person: who says so.
        why: by what they know it.
    """

    case: str
    event: str
    date: str
    person: str
    why: str


@define(eq=False)
class LedgerTransferred:
    """The ledger is being copied to another place.

    Args:
        to: where, without a password.
        person: who decided.
        why: their reason.
    """

    to: str
    person: str
    why: str


@define(eq=False)
class RecordsPruned:
    """The records of calls are being taken out, from the beginning of the log on.

    Args:
        first: the place of the first, from 0.
        last: the place of the last.
        emitters: whose they are, of those that no earlier pruning took; with the lowest and the highest of their numbers.
        leaves_sha256: SHA-256 (lower-case hex) over the leaves of all records of calls up to there, in order.
        person: who decided.
        why: their reason.
        approved_by: who else agreed, where that's asked for.
        latest: the latest time that one of those claims that no earlier pruning took; None: not known.
    """

    first: int
    last: int
    emitters: tuple[tuple[str, int, int], ...]
    leaves_sha256: str
    person: str
    why: str
    approved_by: str | None = None
    latest: str | None = None


@define(eq=False)
class LockChanged:
    """Somebody wrote the lock anew: other prompts, pins, schemas or rules are to be in force from here on.

    Args:
        lock: the new one, as of `ConfigActivated`.
        former: digest of the one before, lower-case hex; None: there was none, or it couldn't be read any more.
        told: what changed, a sentence each.
        person: who decided.
        why: their reason.
    """

    lock: bytes = field(repr=False)
    former: str | None
    told: tuple[str, ...] = field(repr=False)
    person: str
    why: str


@define(eq=False)
class LockApproved:
    """A person agreed that what a lock says may be in force.

    Args:
        lock: which, as of `ConfigActivated`.
        person: who agreed.
        why: by what, in their words.
        report: what they went by: its media type and its bytes, kept as an artifact; None: it isn't kept here.
    """

    lock: bytes = field(repr=False)
    person: str
    why: str
    report: tuple[str, bytes] | None = field(default=None, repr=False)


Act = Literal["review", "override", "appeal"]
"""What a person does about an answer: looks at it as planned, decides otherwise, asks that it be looked at again."""


@define(eq=False)
class PersonActed:
    """A person reviewed a call's answer, overrode it, or appealed against it.

    Args:
        capability: of the call; likewise its version, its case and its labels.
        person: who, as the application says.
        relation: the type of record that `answer` is of: ``completed``, or ``amended``.
        answer: the leaf of the record that says what the caller got: 32 bytes.
        former: the leaf of the call's latest review, override or appeal so far; None: there was none.
        actor: who has it recorded, where the context says.
        decision: None for an appeal.
        shown: the digest of the commitment to the response that was shown, lower-case hex; None: the record has none.
        own: the person is the call's own actor, or the one on whose behalf it was made.
        spent_ms: milliseconds that it took the person.
        reason: why, in the person's words: kept as a payload, since it may quote data.
        display: what else was shown, likewise: its media type and its bytes.
        changed: the new value's JSON bytes, likewise.
        hides: something of the call is on no record: what else was shown isn't either.
    """

    act: Act
    call_id: str
    capability: str
    capability_version: str | None
    case: Case | None
    labels: tuple[str, ...]
    person: str
    relation: Literal["completed", "amended"]
    answer: bytes
    former: bytes | None
    actor: Actor | None
    decision: Decision | None
    shown: str | None
    own: bool
    spent_ms: int | None
    reason: bytes = field(repr=False)
    display: tuple[str, bytes] | None = field(default=None, repr=False)
    changed: bytes | None = field(default=None, repr=False)
    audit: AuditPlan | None = None
    hides: bool = False


Record = (
    ConfigActivated
    | CallStarted
    | CallCompleted
    | CallAmended
    | PersonActed
    | BreakerChanged
    | BlockChanged
    | RetirementNotice
    | ExportCreated
    | PayloadErased
    | LegalHold
    | CaseEvent
    | LedgerTransferred
    | RecordsPruned
    | LockChanged
    | LockApproved
)
