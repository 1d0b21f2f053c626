"""One emitter's side of a log, without threads: batches are made durable, in their order.

Each step makes one batch durable, or raises: the one in doubt, if there is one, by the same bytes until it's known what
became of them; else the next (`failsoft.ledger.writing.composing`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from failsoft.errors import LedgerInvalid
from failsoft.ledger.checkpoints.publishing import Publisher
from failsoft.ledger.keys.vault import Vault
from failsoft.ledger.records.record import Built, Emitter
from failsoft.ledger.store import UNREADABLE, AppendFailed, Life
from failsoft.ledger.writing.composing import Batch, Composer, Outage, Settings
from failsoft.ledger.writing.ticket import TicketQueue

CLOSED = "the ledger was closed before it could record this"
"""What waiters are told."""


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
        self.doubt: Batch | None = None
        self._composer = Composer(settings, self.store, queue)
        self._settings = settings
        self._live: Life | None = None
        self._since = 0  # when the step under way began

    @property
    def emitter(self) -> Emitter:
        """This process's voice; there is one once the file was open."""
        return self._composer.emitter

    @property
    def outage(self) -> Outage | None:
        """Under way."""
        return self._composer.outage

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
            while not self._composer.introduced:
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
        self._since = self._settings.clock.time_ns()
        batch, first = self._append(self._composer.fill)
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
        if self._composer.has_news:
            return 0
        due = [self.store.seconds(), None if self.publisher is None else self.publisher.seconds()]
        return min((each for each in due if each is not None), default=None)

    def publish(self) -> None:
        """Publish a checkpoint, if one is due. Failing to is no failure to record."""
        if self.publisher is not None and self.store.is_open:
            self.publisher.publish(self.store.publish)

    def no_call_is_open(self) -> bool:
        """Has each call that began here its end in the log?"""
        return not self._composer.open_calls

    def settle(self, batch: Batch, first: int | None) -> None:
        """A batch is durable: remember what follows from it, and tell the waiters."""
        self._composer.settle(batch, first)

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
            if self._composer.announced and self.doubt is None:
                batch, _ = self._append(self._composer.fill_last)
                # What's left open is left to whoever forwards the records. It may be us, below: then to the next start.
                goodbye = not (self.store.spooling and self._composer.open_calls)
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

    # --- inside -------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        with self.store.held():
            if not self.store.is_open:
                self._open_file()
            if self._live is None:
                self._live = self.store.hold(self.emitter.id)

    def _open_file(self) -> None:
        founders: list[Emitter] = []

        def found() -> list[Built]:
            emitter = self._new_emitter(self._settings.named(self.store))
            self.store.origin = emitter.origin
            founders.append(emitter)
            return self._composer.first_words(emitter)

        made = self.store.open(found)
        if self._settings.origin not in (None, self.store.origin):
            raise LedgerInvalid(
                f"{self.store.name}: this is the log of {self.store.origin!r}, not of {self._settings.origin!r}: "
                "give that origin, or another file"
            )
        voice = self._composer.voice
        if made:
            self._composer.voice, self._composer.announced = founders[0], True
        elif voice is None:
            self._composer.voice = self._new_emitter(self.store.origin)
        elif voice.origin != self.store.origin:
            raise LedgerInvalid(
                f"{self.store.name}: this is the log of {self.store.origin!r} by now, and this process wrote to that of "
                f"{voice.origin!r}: put that one back"
            )

    def _new_emitter(self, origin: str) -> Emitter:
        settings = self._settings
        if settings.sealing is None:
            return Emitter(origin, settings.clock, settings.random_bytes, redact=settings.redact)
        self.vault = Vault(settings.sealing, origin, settings.random_bytes)
        return Emitter(origin, settings.clock, settings.random_bytes, self.vault.key_of, redact=settings.redact)

    def _undo(self, batch: Batch | None, error: Exception) -> None:
        failed = error if isinstance(error, AppendFailed) else AppendFailed("")
        if failed.stale:  # it isn't in the log, and another one may be at once
            self.doubt = None
        else:
            self._composer.begin_outage(self._since, full=failed.full)
        if batch is not None and (batch is self.doubt or failed.unknown):
            self.doubt = batch
        elif batch is not None:
            self._composer.take_back(batch)
        self.store.close()  # a connection that saw an error isn't asked again
