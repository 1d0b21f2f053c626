"""What is written next, and what follows when it can't be: one emitter's side of a log, without threads.

Theory of operation
-------------------
Each step makes one batch durable, or raises:

    doubtful batch, if there is one     the same bytes again, until it's known what became of them
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
from pathlib import Path

from attrs import define, field, frozen

from failsoft.core.effects import Clock
from failsoft.core.effects import Ticket as AnyTicket
from failsoft.errors import LedgerInvalid
from failsoft.ledger.checkpoints.opening import Anchored
from failsoft.ledger.checkpoints.publishing import Publisher, Signing, Tell
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.format.canonical import ProfileError
from failsoft.ledger.keys.vault import Sealing, Vault, VaultFailed
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Built, Draft, Emitter, timestamp
from failsoft.ledger.records.redaction import Redact
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import UNREADABLE, AppendFailed, Life, Store
from failsoft.ledger.writing.hello import hello
from failsoft.ledger.writing.ticket import Gaps, Ticket, TicketQueue

BATCH = 512
"""Records of a group commit: beyond that, a commit takes longer without costing less for each record."""

BATCH_BYTES = 4 * 2**20
"""Where a batch of several records ends: one that takes too long on its way is as long the next time."""

CLOSED = "the ledger was closed before it could record this"
"""What waiters are told."""

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


class Appender:
    """One emitter. Everything waits; one thread at a time.

    Args:
        settings: where to, and as whom.
        queue: what was submitted.
    """

    def __init__(self, settings: Settings, queue: TicketQueue) -> None:
        signing = settings.signing
        self.publisher = None if signing is None else Publisher(signing, settings.clock, settings.tell)
        self.store = (
            settings.store(None, tuple) if signing is None else settings.store(signing.signer(), signing.anchored)
        )
        self.queue = queue
        self.vault: Vault | None = None
        self.outage: Outage | None = None
        self._since = 0  # when the step under way began
        self._malformed: list[str] = []  # what's to be told of records that were dropped, though their batch fails
        self.doubt: Batch | None = None
        self._settings = settings
        self._clock = settings.clock
        self._emitter: Emitter | None = None
        self._live: Life | None = None
        self._announced = False
        self._swept = False
        self._open_calls: dict[str, Built] = {}
        self._spooled: bytes | None = None
        self._spooled_at = ""

    @property
    def emitter(self) -> Emitter:
        """This process's voice; there is one once the file was open."""
        assert self._emitter is not None
        return self._emitter

    # --- one step -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the file and say who speaks; orphan the calls of emitters that are gone.

        Raises:
            LedgerInvalid: it's no ledger that can be written to.
        """
        try:
            with self.store.held():
                self._open()
            self._heed()
            while not (self._announced and self._swept):
                self.settle(*self.step())
        except (AppendFailed, OSError, *UNREADABLE) as error:
            raise LedgerInvalid(f"{self.store.name}: the ledger can't be written ({error})") from error
        self.store.spare.fill()

    def _heed(self) -> None:
        """What the log itself says against going on as it's configured."""
        settings, name, found = self._settings, self.store.name, self.store.found
        assert found is not None  # it was opened
        if found.sealed and settings.sealing is None and settings.payloads:
            raise LedgerInvalid(f"{name}: this ledger's payloads are encrypted: give its key (`ledger.payload_key`)")
        if found.sealed is None and settings.sealing is None and settings.payloads:
            reason = (
                f"{name}: its calls were all pruned: nobody can tell whether payloads were encrypted; now they aren't"
            )
            settings.tell("ledger.warning", {"reason": reason})
        copy = found.copied_to
        if copy and Path(copy).absolute() != Path(name).absolute():  # the copy holds the record of that, too
            reason = f"{name} was copied to {copy}: what's written here from now on isn't in the copy"
            settings.tell("ledger.warning", {"reason": reason})

    def step(self) -> tuple[Batch, int | None]:
        """Make the next batch durable; the batch, for `settle`, and the index of its first record, if it has one.

        Raises:
            Exception: it isn't durable, as far as is known: an outage begins or goes on; see `tell`. Whatever is
                raised, nothing is lost, and the next step tries again.
        """
        self._since = self._clock.time_ns()
        batch, first = self._append(self._fill)
        self.doubt = None
        if self.publisher is not None:
            self.publisher.committed(len(batch.built))
        return batch, first

    def _append(self, fill: Callable[[Batch], None]) -> tuple[Batch, int | None]:
        """The batch in doubt, or a new one: made anew where others looked after the same calls meanwhile."""
        while True:
            batch = self.doubt
            try:
                self._open()
                if batch is None:
                    batch = Batch(self.emitter.position)
                    fill(batch)
                return batch, self.store.append(batch.built, doubtful=batch is self.doubt) if batch.built else 0
            except Exception as error:
                self._undo(batch, error)
                if batch is None or not (isinstance(error, AppendFailed) and error.stale):
                    raise

    def seconds(self) -> float | None:
        """Until a checkpoint is due, or what waits is to be forwarded; None where neither will be."""
        if self._spooled is not None and not self.store.spooling:
            return 0  # that it's over is to be told
        due = [self.store.seconds(), None if self.publisher is None else self.publisher.seconds()]
        return min((each for each in due if each is not None), default=None)

    def publish(self) -> None:
        """Publish a checkpoint, if one is due. Failing to is no failure to record."""
        if self.publisher is not None and self.store.is_open:
            self.publisher.publish(self.store.publish)

    def no_call_is_open(self) -> bool:
        """Has each call that began here its end in the log?"""
        return not self._open_calls

    def settle(self, batch: Batch, first: int | None) -> None:
        """A batch is durable: remember what follows from it, and tell the waiters."""
        for each in batch.built:
            if each.kind is Kind.EMITTER_OPENED:
                self._announced = True
            elif each.kind is Kind.CALL_STARTED and each.call_id is not None:
                self._open_calls[each.call_id] = each
            elif each.kind in _ENDS and each.call_id is not None:
                self._open_calls.pop(each.call_id, None)
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
        self.queue.settle(batch.tickets, [None if first is None else first + place for place in batch.places])

    def tell(self, reason: str) -> None:
        """Nobody who waits needs to: nothing becomes durable now."""
        if self.doubt is not None:
            self.queue.tell(self.doubt.tickets, reason)
        self.queue.tell_all(reason)

    def end(self) -> None:
        """Say goodbye, if that can be recorded, and let go of the file."""
        goodbye = False
        self.queue.abandon(CLOSED)
        try:
            if self._announced and self.doubt is None:
                batch, _ = self._append(self._fill_last)
                # What's left open is left to whoever forwards the records. It may be us, below: then to the next start.
                goodbye = not (self.store.spooling and self._open_calls)
                if self.publisher is not None:
                    self.publisher.committed(len(batch.built))
                    self.publisher.publish(self.store.publish, now=True)
                self.store.tidy()
        except Exception:  # noqa: S110 -- also a bug: whatever it is, what's held is let go
            pass  # whoever opens the ledger next finds the live file unlocked, and names the open calls
        self.abandon(remove=goodbye)
        if self.publisher is not None:
            self.publisher.end()

    def abandon(self, *, remove: bool = False) -> None:
        """Let go of the file and of the live file, as they are."""
        if self._live is not None:
            self._live.release(remove=remove)
            self._live = None
        self.let_go()

    def let_go(self) -> None:
        """Of connections; they're made again when there's something to write."""
        self.store.close()
        if self.vault is not None:
            self.vault.close()

    def before_fork(self) -> None:
        """Let go of what can't be there in a child."""
        self.store.before_fork()
        if self.vault is not None:
            self.vault.close()

    def after_fork_in_child(self) -> None:
        """Let go of all that came along: it's the parent's."""
        self.store.after_fork_in_child()
        self.abandon()

    # --- what a batch holds -------------------------------------------------------------------------------------------

    def _fill(self, batch: Batch) -> None:
        if not self._announced:
            self._add(batch, self._hello())
            if self._settings.signing is not None and self.store.unsigned:
                self._add(batch, draft.key_rotated(None, str(self._settings.signing.key.verifier)))
        elif not self._swept:
            self._add_orphans(batch)
        elif self.outage is not None and self.outage.full:
            self._add_to_full_disk(batch, self.outage)
        else:
            self._add_submitted(batch)

    def _open(self) -> None:
        with self.store.held():
            if not self.store.is_open:
                self._open_file()
            if self._live is None:
                self._live = self.store.hold(self.emitter.id)

    def _open_file(self) -> None:
        founders: list[Emitter] = []
        signing = self._settings.signing
        keys = () if signing is None else (str(signing.key.verifier),)

        def found() -> list[Built]:
            emitter = self._new_emitter(self._settings.named(self.store))
            self.store.origin = emitter.origin
            founders.append(emitter)
            return [self._build(each, emitter) for each in (draft.log_opened(keys), self._hello())]

        made = self.store.open(found)
        if self._settings.origin not in (None, self.store.origin):
            raise LedgerInvalid(
                f"{self.store.name}: this is the log of {self.store.origin!r}, not of {self._settings.origin!r}: "
                "give that origin, or another file"
            )
        if made:
            self._emitter, self._announced = founders[0], True
        elif self._emitter is None:
            self._emitter = self._new_emitter(self.store.origin)
        elif self._emitter.origin != self.store.origin:
            raise LedgerInvalid(
                f"{self.store.name}: this is the log of {self.store.origin!r} by now, and this process wrote to that of "
                f"{self._emitter.origin!r}: put that one back"
            )

    def _new_emitter(self, origin: str) -> Emitter:
        settings = self._settings
        if settings.sealing is None:
            return Emitter(origin, self._clock, settings.random_bytes, redact=settings.redact)
        self.vault = Vault(settings.sealing, origin, settings.random_bytes)
        return Emitter(origin, self._clock, settings.random_bytes, self.vault.key_of, redact=settings.redact)

    def _hello(self) -> Draft:
        return hello(self._settings.host, self.store)

    def _build(self, what: Draft, emitter: Emitter | None = None) -> Built:
        return (emitter or self.emitter).build(what, self._clock.time_ns(), self._clock.monotonic_ns())

    def _add(self, batch: Batch, what: Draft) -> Built:
        built = self._build(what)
        batch.built.append(built)
        return built

    def _add_orphans(self, batch: Batch) -> None:
        with self.store.held():
            for emitter, live in self.store.gone(self.emitter.id):
                batch.gone.append(live)
                for call in self.store.open_calls(emitter):
                    self._add(batch, draft.call_orphaned(call.call_id, call.leaf, call.capability, call.case_id))
        self._swept = True

    def _add_to_full_disk(self, batch: Batch, outage: Outage) -> None:
        if outage.failure is None:
            batch.gaps = self.queue.take_gaps()
            batch.failure = self._add_failure(batch, outage.began)
            self._add_gaps(batch)
        elif self.store.spare.fill():
            self._add_submitted(batch)
        else:
            raise AppendFailed("the disk is full", full=True)

    def _add_submitted(self, batch: Batch) -> None:
        batch.tickets = self.queue.take(BATCH)
        now = timestamp(self._clock.time_ns())
        batch.gaps = self.queue.take_gaps()  # all until now; what turns out malformed below is the next batch's
        outage = self._outage_now(batch, now)
        if outage is None:
            self._add_spooling(batch, now)
        batch.tickets = self._add_tickets(batch, batch.tickets)
        self._add_gaps(batch)
        if outage is not None:
            self._add_recovered(batch, outage, now)
            batch.recovers = True

    def _fill_last(self, batch: Batch) -> None:
        now = timestamp(self._clock.time_ns())
        batch.gaps = self.queue.take_gaps()
        outage = self._outage_now(batch, now)
        if outage is None:
            self._add_spooling(batch, now)
        self._add_gaps(batch)
        # While records wait nobody knows whether another process has: it's left to the one that forwards them.
        calls = {} if self.store.spooling else self._open_calls
        ended = self.store.ended(list(calls)) if calls else ()
        for call_id, each in calls.items():
            if call_id not in ended:
                self._add(batch, _orphan(each))
        if outage is not None:
            self._add_recovered(batch, outage, now)
        self._add(batch, draft.emitter_closed(self.emitter.position[0]))

    def _add_gaps(self, batch: Batch) -> None:
        for reason, count in batch.gaps.counts().items():
            self._add(batch, draft.gap_declared(reason, count))

    def _outage_now(self, batch: Batch, now: str) -> Outage | None:
        """The outage that ends with this batch, if there is one: its ``ledger.failure`` is in the log, or in the batch."""
        late = self.queue.take_late()
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
        if self.store.spooling and self._spooled is None:
            self._spooled_at = now
            batch.spooled = self._add_failure(batch, now)
        elif not self.store.spooling:
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
                self.queue.give_back(tickets[at:])
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
            self.queue.drop(ticket, "malformed", why)
            return False
        ticket.leaf = built.leaf
        batch.places.append(len(batch.built))
        batch.built.append(built)
        return True

    def _undo(self, batch: Batch | None, error: Exception) -> None:
        failed = error if isinstance(error, AppendFailed) else AppendFailed("")
        if failed.stale:  # it isn't in the log, and another one may be at once
            self.doubt = None
        else:
            self.outage = self.outage or Outage(timestamp(self._since))
            if failed.full:
                self.outage.full = self.store.spare.spend() or self.outage.full
        if batch is not None and (batch is self.doubt or failed.unknown):
            self.doubt = batch
        elif batch is not None:
            self.emitter.position = batch.position
            for live in batch.gone:
                live.release(remove=False)
                self._swept = False
            self.queue.return_gaps(batch.gaps)
            self.queue.give_back(batch.tickets)
        self.store.close()  # a connection that saw an error isn't asked again


def _leaf_of(ticket: AnyTicket) -> bytes | None:
    return ticket.leaf if isinstance(ticket, Ticket) else None


def _orphan(started: Built) -> Draft:
    assert started.call_id is not None
    return draft.call_orphaned(started.call_id, started.leaf, started.capability, started.case_id)


def _told(error: Exception) -> str:
    """What may be said of an error: the messages of our own checks quote no values, others' may."""
    return str(error) if type(error) in (ProfileError, ValueError) else type(error).__name__
