"""What an emitter says next, and what follows once that's durable, or isn't.

Theory of operation
-------------------
A batch is the first of these that's due:

    emitter.opened                      before anything else of this emitter
    call.orphaned …                     once, for emitters that are gone
    what was submitted                  up to 512 records or some 4 MiB, then the gaps to declare

The first failure begins an *outage*, and so does a record that somebody waited for in vain; it ends with the first batch of
the usual kind that is durable. That batch begins with ``ledger.failure`` and ends with ``ledger.recovered``. On a full disk
the ballast is given up, ``ledger.failure`` is written into its room, and nothing else is until the ballast can be put back.

A number (`eseq`) belongs to a durable record: a batch that was rolled back gives its numbers back.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen

from failsoft.core.effects import Clock
from failsoft.core.effects import Ticket as AnyTicket
from failsoft.errors import LedgerInvalid
from failsoft.ledger.checkpoints.opening import Anchored
from failsoft.ledger.checkpoints.publishing import Signing, Tell
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.format.canonical import ProfileError
from failsoft.ledger.keys.vault import Sealing, VaultFailed
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Built, Draft, Emitter, timestamp
from failsoft.ledger.records.redaction import Redact
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import AppendFailed, Life, Store
from failsoft.ledger.writing.hello import hello
from failsoft.ledger.writing.ticket import Gaps, Ticket, TicketQueue

BATCH = 512
"""Records of a group commit: beyond that, a commit takes longer without costing less for each record."""

BATCH_BYTES = 4 * 2**20
"""Where a batch of several records ends: one that takes too long on its way is as long the next time."""

_ENDS = (Kind.CALL_COMPLETED, Kind.CALL_AMENDED, Kind.CALL_ORPHANED)


@define
class Outage:
    """From the first failure until the next batch that's durable.

    Args:
        began: when, as the log writes it.
        full: for want of room on the disk.
        failure: the leaf of its ``ledger.failure``, once that is durable.
    """

    began: str
    full: bool = False
    failure: bytes | None = None


@define
class Batch:
    """Records that become durable together, and whom that concerns."""

    position: tuple[int, int]
    built: list[Built] = field(factory=list[Built])
    tickets: list[Ticket] = field(factory=list[Ticket])
    places: list[int] = field(factory=list[int])
    gaps: Gaps = field(factory=Gaps)
    gone: list[Life] = field(factory=list[Life])
    failure: bytes | None = None
    recovers: bool = False
    spooled: bytes | None = None
    forwarded: bool = False


MakeStore = Callable[[Signer | None, Anchored], Store]
"""Gives the store of one emitter."""


@frozen
class Settings:
    """Where an emitter writes, and as whom: see `failsoft.ledger.writing.writer.StoredLedger`, which is given these."""

    store: MakeStore
    origin: str | None
    host: str
    policy: str
    clock: Clock
    random_bytes: Callable[[int], bytes]
    signing: Signing | None = None
    sealing: Sealing | None = None
    payloads: bool = True
    redact: Redact | None = None
    tell: Tell = lambda name, fields: None

    def named(self, store: Store) -> str:
        """What a new log is called."""
        if self.signing is not None and self.origin is None:
            return self.signing.key.name
        return self.origin or f"{self.host}/{store.label}"


class Composer:
    """One emitter's words. What's asked of the store waits; one thread at a time.

    Args:
        settings: where to, and as whom.
        store: where they're going.
        queue: what was submitted.

    Attributes:
        voice: the emitter, once the store was open.
        announced: its ``emitter.opened`` is durable.
        open_calls: that began here and have no end in the log, by their ids: how each began.
        outage: under way.
    """

    def __init__(self, settings: Settings, store: Store, queue: TicketQueue) -> None:
        self.voice: Emitter | None = None
        self.outage: Outage | None = None
        self.announced = False
        self.open_calls: dict[str, Built] = {}
        self._swept = False
        self._settings = settings
        self._clock = settings.clock
        self._store = store
        self._queue = queue
        self._malformed: list[str] = []  # what's to be told of records that were dropped, though their batch fails
        self._spooled: bytes | None = None
        self._spooled_at = ""

    @property
    def emitter(self) -> Emitter:
        """This process's voice; there is one once the file was open."""
        assert self.voice is not None
        return self.voice

    @property
    def introduced(self) -> bool:
        """Has it said who it is, and looked after those who are gone?"""
        return self.announced and self._swept

    @property
    def has_news(self) -> bool:
        """Is there something to say though nothing was submitted: that records don't wait for their database any more?"""
        return self._spooled is not None and not self._store.spooling

    def first_words(self, emitter: Emitter) -> list[Built]:
        """A new log's first records, by its founder."""
        signing = self._settings.signing
        keys = () if signing is None else (str(signing.key.verifier),)
        words = (draft.log_opened(keys), hello(self._settings.host, self._store))
        return [self._build(each, emitter) for each in words]

    # --- what a batch holds -------------------------------------------------------------------------------------------

    def fill(self, batch: Batch) -> None:
        """What's due next, as far as it goes into one batch."""
        if not self.announced:
            self._add(batch, hello(self._settings.host, self._store))
            if self._settings.signing is not None and self._store.unsigned:
                self._add(batch, draft.key_rotated(None, str(self._settings.signing.key.verifier)))
        elif not self._swept:
            self._add_orphans(batch)
        elif self.outage is not None and self.outage.full:
            self._add_to_full_disk(batch, self.outage)
        else:
            self._add_submitted(batch)

    def fill_last(self, batch: Batch) -> None:
        """The last one: what's left to declare, the calls that are open still, and the goodbye."""
        now = timestamp(self._clock.time_ns())
        batch.gaps = self._queue.take_gaps()
        outage = self._outage_now(batch, now)
        if outage is None:
            self._add_spooling(batch, now)
        self._add_gaps(batch)
        # While records wait nobody knows whether another process has: it's left to the one that forwards them.
        calls = {} if self._store.spooling else self.open_calls
        ended = self._store.ended(list(calls)) if calls else ()
        for call_id, each in calls.items():
            if call_id not in ended:
                self._add(batch, _orphan(each))
        if outage is not None:
            self._add_recovered(batch, outage, now)
        self._add(batch, draft.emitter_closed(self.emitter.position[0]))

    # --- what follows -------------------------------------------------------------------------------------------------

    def settle(self, batch: Batch, first: int | None) -> None:
        """A batch is durable: remember what follows from it, and tell the waiters."""
        for each in batch.built:
            if each.kind is Kind.EMITTER_OPENED:
                self.announced = True
            elif each.kind is Kind.CALL_STARTED and each.call_id is not None:
                self.open_calls[each.call_id] = each
            elif each.kind in _ENDS and each.call_id is not None:
                self.open_calls.pop(each.call_id, None)
        malformed, self._malformed = self._malformed, []
        for reason in malformed:
            self._settings.tell("ledger.warning", {"reason": reason})
        for live in batch.gone:
            live.release(remove=True)
        if self.outage is not None and batch.failure is not None:
            self.outage.failure = batch.failure
        if batch.spooled is not None:
            self._spooled = batch.spooled
        if batch.forwarded:
            self._spooled = None
        if batch.recovers:
            self.outage = None
        self._queue.settle(batch.tickets, [None if first is None else first + place for place in batch.places])

    def begin_outage(self, since: int, *, full: bool) -> None:
        """What was to be written since then isn't durable.

        Args:
            since: nanoseconds since 1970.
            full: for want of room on the disk.
        """
        self.outage = self.outage or Outage(timestamp(since))
        if full:
            self.outage.full = self._store.spare.spend() or self.outage.full

    def take_back(self, batch: Batch) -> None:
        """Nothing of it is in the log: it's as if it had never been composed."""
        self.emitter.position = batch.position
        for live in batch.gone:
            live.release(remove=False)
            self._swept = False
        self._queue.return_gaps(batch.gaps)
        self._queue.give_back(batch.tickets)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _build(self, what: Draft, emitter: Emitter | None = None) -> Built:
        return (emitter or self.emitter).build(what, self._clock.time_ns(), self._clock.monotonic_ns())

    def _add(self, batch: Batch, what: Draft) -> Built:
        built = self._build(what)
        batch.built.append(built)
        return built

    def _add_orphans(self, batch: Batch) -> None:
        with self._store.held():
            for emitter, live in self._store.gone(self.emitter.id):
                batch.gone.append(live)
                for call in self._store.open_calls(emitter):
                    self._add(batch, draft.call_orphaned(call.call_id, call.leaf, call.capability, call.case_id))
        self._swept = True

    def _add_to_full_disk(self, batch: Batch, outage: Outage) -> None:
        if outage.failure is None:
            batch.gaps = self._queue.take_gaps()
            batch.failure = self._add_failure(batch, outage.began)
            self._add_gaps(batch)
        elif self._store.spare.fill():
            self._add_submitted(batch)
        else:
            raise AppendFailed("the disk is full", full=True)

    def _add_submitted(self, batch: Batch) -> None:
        batch.tickets = self._queue.take(BATCH)
        now = timestamp(self._clock.time_ns())
        batch.gaps = self._queue.take_gaps()  # all until now; what turns out malformed below is the next batch's
        outage = self._outage_now(batch, now)
        if outage is None:
            self._add_spooling(batch, now)
        batch.tickets = self._add_tickets(batch, batch.tickets)
        self._add_gaps(batch)
        if outage is not None:
            self._add_recovered(batch, outage, now)
            batch.recovers = True

    def _add_gaps(self, batch: Batch) -> None:
        for reason, count in batch.gaps.counts().items():
            self._add(batch, draft.gap_declared(reason, count))

    def _outage_now(self, batch: Batch, now: str) -> Outage | None:
        """The outage that ends with this batch, if there is one: its ``ledger.failure`` is in the log, or in the batch."""
        late = self._queue.take_late()
        if late is not None:
            self.outage = self.outage or Outage(timestamp(late))
            if self.outage.failure is None:
                self.outage.began = min(timestamp(late), self.outage.began)
        outage = self.outage
        if outage is not None and outage.failure is None:
            self._add_forwarded(batch, now)  # a recovery is of the latest failure: that they wait is told anew then
            batch.failure = self._add_failure(batch, outage.began, now)
        return outage

    def _add_failure(self, batch: Batch, began: str, ended: str | None = None) -> bytes:
        """What's lost by now is what the batch declares: all gaps of an outage stand before its ``ledger.recovered``."""
        lost = sum(batch.gaps.counts().values())
        return self._add(batch, draft.ledger_failure(began, self._settings.policy, lost, ended)).leaf

    def _add_recovered(self, batch: Batch, outage: Outage, now: str) -> None:
        failure = batch.failure or outage.failure
        assert failure is not None
        self._add(batch, draft.ledger_recovered(outage.began, now, failure))

    def _add_spooling(self, batch: Batch, now: str) -> None:
        """That records wait for their database, and that they don't any more."""
        if self._store.spooling and self._spooled is None:
            self._spooled_at = now
            batch.spooled = self._add_failure(batch, now)
        elif not self._store.spooling:
            self._add_forwarded(batch, now)

    def _add_forwarded(self, batch: Batch, now: str) -> None:
        if self._spooled is not None:
            self._add(batch, draft.ledger_recovered(self._spooled_at, now, self._spooled))
            batch.forwarded = True

    def _add_tickets(self, batch: Batch, tickets: list[Ticket]) -> list[Ticket]:
        """Those of them that the batch holds then. The ones that it has no room for are left to the next."""
        held: list[Ticket] = []
        room = BATCH_BYTES
        for at, ticket in enumerate(tickets):
            if room <= 0:
                self._queue.give_back(tickets[at:])
                break
            if self._add_ticket(batch, ticket):
                held.append(ticket)
                room -= batch.built[-1].size
        return held

    def _add_ticket(self, batch: Batch, ticket: Ticket) -> bool:
        record = ticket.record
        assert record is not None
        try:
            built = self.emitter.build(draft.draft_of(record, _leaf_of), ticket.wall_ns, ticket.monotonic_ns)
        except (VaultFailed, LedgerInvalid):  # it's no record's own: nothing can be recorded
            raise
        except Exception as error:  # whatever it is, it's this record's own, and the others go on
            why = _told(error)
            self._malformed.append(f"a {type(record).__name__} can't be recorded: {why}")
            self._queue.drop(ticket, "malformed", why)
            return False
        ticket.leaf = built.leaf
        batch.places.append(len(batch.built))
        batch.built.append(built)
        return True


def _leaf_of(ticket: AnyTicket) -> bytes | None:
    return ticket.leaf if isinstance(ticket, Ticket) else None


def _orphan(started: Built) -> Draft:
    assert started.call_id is not None
    return draft.call_orphaned(started.call_id, started.leaf, started.capability, started.case_id)


def _told(error: Exception) -> str:
    """What may be said of an error: the messages of our own checks quote no values, others' may."""
    return str(error) if type(error) in (ProfileError, ValueError) else type(error).__name__
