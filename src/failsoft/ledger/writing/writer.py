"""The ledger that the application's calls write to: a queue, one thread that writes, and what happens at a fork.

Callers only ever queue. The thread takes what has gathered, up to 512 records or 4 MiB at a time, and makes it durable in
one commit (`failsoft.ledger.writing.appender`). When that fails, `healthy` goes down, waiters are told, and the thread tries
again by itself, waiting longer each time.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from failsoft.core.effects import Clock
from failsoft.core.evidence import ConfigActivated, Record
from failsoft.ledger.checkpoints.opening import Anchored
from failsoft.ledger.checkpoints.publishing import Coverage, Signing
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.location import Location
from failsoft.ledger.records import redaction
from failsoft.ledger.records.redaction import Redact
from failsoft.ledger.store import Store
from failsoft.ledger.writing.appender import CLOSED, Appender
from failsoft.ledger.writing.composing import Settings
from failsoft.ledger.writing.hello import host_name
from failsoft.ledger.writing.ticket import Ticket, TicketQueue
from failsoft.processes import at_fork

_FORK_WAIT = 5.0
"""Seconds that a fork waits for a commit under way."""


class StoredLedger:
    """A ledger that this process writes to, beside as many others as like.

    Implements `failsoft.core.effects.Ledger`. The constructor does no I/O and starts no thread.

    Args:
        location: where it is, or will be made.
        origin: the log's name; default: an existing log's own, or ``<host>/<file or database name>``.
        host: label of this machine in records; default: its host name.
        policy: ``on_ledger_failure``, for the record.
        clock: gives the times in records.
        random_bytes: gives identities and salts.
        on_event: told ``ledger.failed``, ``ledger.recovered``, ``ledger.warning``, ``checkpoint.published``,
            ``checkpoint.failed`` and ``anchor.failed``, from threads of the ledger's, and from whoever says that it's
            late. It must not raise.
        max_queue: records that may wait; what comes beyond is dropped, and declared as a gap.
        back_off: seconds until the first new try after a failure, and at most.
        signing: signs heads and checkpoints; None signs nothing.
        payloads: records with payloads will be submitted; False: only what people do to a ledger.
        redact: what's taken out of what's recorded (`failsoft.ledger.records.redaction`): by default what looks like a
            credential.
    """

    healthy: bool
    """False from the first failure until the next commit."""

    def __init__(
        self,
        location: Location,
        *,
        origin: str | None = None,
        host: str | None = None,
        policy: str = "fallback",
        clock: Clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
        on_event: Callable[[str, dict[str, Any]], None] | None = None,
        max_queue: int = 10_000,
        back_off: tuple[float, float] = (0.05, 5.0),
        signing: Signing | None = None,
        payloads: bool = True,
        redact: Redact = redaction.redact,
    ) -> None:
        self.policy = policy
        self.healthy = False
        label = host or host_name()
        self.location = location
        self._settings = Settings(
            self._store,
            origin,
            label,
            policy,
            clock,
            random_bytes,
            signing,
            location.sealing,
            payloads,
            redact,
            self._tell_fields,
        )
        self._clock = clock
        self._on_event = on_event
        self._max_queue = max_queue
        self._back_off = back_off
        self._opened = False
        self._configured: ConfigActivated | None = None
        self._thread: threading.Thread | None = None
        self._asleep = False  # in a forked child, until it submits something
        self._reset()
        self._queue.shut("the ledger is not open")
        _ledgers.add(self)

    @property
    def origin(self) -> str:
        """The log's name; before `open`, the one asked for."""
        return self._appender.store.origin or self._settings.named(self._appender.store)

    @property
    def spooling(self) -> bool:
        """Do records wait for their database, durable on this host?"""
        return self._appender.store.spooling

    def coverage(self) -> Coverage | None:
        """How far the log is covered by signed checkpoints; None where it isn't signed."""
        publisher = self._appender.publisher
        return None if publisher is None else publisher.coverage()

    def open(self) -> None:
        """Make or check the store, say who writes, name the orphans of processes that are gone, start the thread.

        Raises:
            LedgerInvalid: not a ledger, a newer one, cut, tampered with, on a network file system, or not writable.
            RuntimeError: it's open.
        """
        if self._opened:
            raise RuntimeError(f"{self._appender.store.name}: the ledger is open already")
        self._reset()
        self._configured = None
        self._appender.store.vet()
        try:
            with self._io:
                self._appender.begin()
        except BaseException:
            self._appender.abandon()
            raise
        self._opened = self.healthy = True
        self._start()

    def let_end(self, seconds: float) -> None:
        """Wait for the ends of calls that began, at most so long; not at all while nothing can be recorded."""
        if self._opened and self.healthy:
            self._queue.wait_until(self._appender.no_call_is_open, seconds)

    def close(self, timeout: float = 5.0) -> None:
        """Write what's queued, say goodbye, let go of the file. Does nothing where it isn't open.

        Args:
            timeout: seconds to wait; what isn't written by then is dropped, and its waiters are told.
        """
        if not self._opened:
            return
        self._opened = self.healthy = self._asleep = False
        self._queue.shut("the ledger is closed")
        if self._thread is not None:
            self._thread.join(timeout)
        self._queue.abandon(CLOSED)

    def submit(self, record: Record) -> Ticket:
        """Queue one record for the next commit. Never waits, never raises for what the disk does."""
        if self._asleep:
            self._wake()
        if isinstance(record, ConfigActivated):
            self._configured = record
        return self._put(record)

    def _put(self, record: Record) -> Ticket:
        ticket = Ticket(self._queue, record, self._clock.time_ns(), self._clock.monotonic_ns())
        self._queue.put(ticket)
        return ticket

    def late(self, since: int) -> None:
        """A waiter gave up on a record that had time enough: don't wait again until the next commit, which says so."""
        was, self.healthy = self.healthy, False
        waited = self._clock.monotonic_ns() - since
        if self._queue.late(self._clock.time_ns() - waited) and was:
            self._tell("ledger.failed", reason="too slow: a record wasn't durable in time", policy=self.policy)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._thread = thread = threading.Thread(
            target=self._run, args=(self._appender, self._io), name="failsoft-ledger", daemon=True
        )
        thread.start()

    def _run(self, appender: Appender, io: threading.Lock) -> None:
        queue, delay = appender.queue, self._back_off[0]
        while appender.outage is not None or queue.wait(appender.seconds()):
            if self._step(appender, io):
                delay = self._back_off[0]
            elif queue.is_shut:
                break
            else:
                queue.pause(delay)
                delay = min(2 * delay, self._back_off[1])
        with io:
            appender.end()

    def _step(self, appender: Appender, io: threading.Lock) -> bool:
        """One batch; False where it couldn't be made durable."""
        was_out = appender.outage is not None
        try:
            with io:
                batch, first = appender.step()
        except Exception as error:  # also a bug: whatever it is, the thread must live, and health says so
            self.healthy = False  # before any waiter hears of it
            appender.tell(str(error))
            self._failed(str(error))
            return False
        if batch.built:  # else it only woke up for a checkpoint
            self.healthy = (batch.recovers or not was_out) and not appender.queue.is_shut
        appender.settle(batch, first)
        if batch.recovers:
            self._tell("ledger.recovered")
        tended = self._tend(appender, io)
        if tended and appender.outage is None:
            self._reason = ""
        return tended

    def _tend(self, appender: Appender, io: threading.Lock) -> bool:
        """What's done between two batches; False where it failed."""
        try:
            with io:
                appender.publish()
                appender.store.tidy()
        except Exception as error:  # as above
            self.healthy = False
            self._failed(str(error))
            return False
        return True

    def _failed(self, reason: str) -> None:
        """Told at each change of the reason, not at each try: the first one may not be what's to be mended."""
        if reason != self._reason:
            self._reason = reason
            self._tell("ledger.failed", reason=reason, policy=self.policy)

    def _store(self, signer: Signer | None, anchored: Anchored) -> Store:
        return self.location.store(signer, anchored, self._tell_fields)

    def _tell(self, name: str, **fields: Any) -> None:
        self._tell_fields(name, fields)

    def _tell_fields(self, name: str, fields: dict[str, Any]) -> None:
        if self._on_event is not None:
            self._on_event(name, fields)

    # --- a life, and the next one after a fork ------------------------------------------------------------------------

    def _reset(self) -> None:
        self._io = threading.Lock()
        self._thread = None
        self._reason = ""
        self._queue = TicketQueue(self._max_queue)
        self._appender = Appender(self._settings, self._queue)

    def _wake(self) -> None:
        with self._waking:
            if self._asleep:
                if self._configured is not None:
                    self._put(self._configured)  # this emitter's own: others may have another one by now
                self._asleep = False
                self._start()

    _waking = threading.Lock()

    def before_fork(self) -> bool:
        """Let go of what doesn't survive a fork. False where that can't be."""
        if not self._io.acquire(timeout=_FORK_WAIT):
            return False
        self._appender.before_fork()
        self._queue.before_fork()
        return True

    def after_fork_in_parent(self) -> None:
        """Go on; what was let go is made again when there's something to write."""
        self._queue.after_fork()
        self._io.release()

    def after_fork_in_child(self, clean: bool) -> None:
        """Become another emitter, at the first record, which says how it's set up: as the parent was. The parent's records
        are the parent's business.
        """
        old, old_queue = self._appender, self._queue
        self._reset()
        if not clean:  # a connection came along in mid-commit: it must be neither used nor closed, ever
            _inherited.append(old)
            self._queue.shut("this process was forked while a commit was under way")
            self.healthy = False
            return
        old_queue.after_fork()
        old.after_fork_in_child()  # closes our copy of the live file; the parent's lock is on its own
        if self._opened:
            self._asleep = self.healthy = True
        else:
            self._queue.shut("the ledger is not open")


_ledgers: weakref.WeakSet[StoredLedger] = weakref.WeakSet()
_inherited: list[Appender] = []
_held: list[tuple[StoredLedger, bool]] = []


def _before_fork() -> None:
    StoredLedger._waking.acquire()
    _held.extend((ledger, ledger.before_fork()) for ledger in list(_ledgers))


def _after_fork_in_parent() -> None:
    for ledger, clean in _held:
        if clean:
            ledger.after_fork_in_parent()
    _held.clear()
    StoredLedger._waking.release()


def _after_fork_in_child() -> None:
    for ledger, clean in _held:
        ledger.after_fork_in_child(clean)
    _held.clear()
    StoredLedger._waking.release()


at_fork(before=_before_fork, in_parent=_after_fork_in_parent, in_child=_after_fork_in_child)
