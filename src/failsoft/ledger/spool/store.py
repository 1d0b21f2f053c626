"""A store that goes on while its database is away: what can't be appended waits in a file, and is forwarded in its order.

Theory of operation
-------------------

    direct ──the way to the database fails──▶ spooling ──all is forwarded──▶ direct

1. A batch that the database didn't take, or may have taken, is put into the file; so is each one after it, until the file
   is empty: the order of an emitter's records is that of its numbers.
   But none that orphans a call: by the time it's forwarded, another host may have done the same.
2. A batch is forwarded as one that may be there already: it's looked for by its first record, and never appended twice.
3. What's wrong with the *log* (it was cut, forked, tampered with, signed by another key) is no reason to spool: it fails.
4. A file that's full, or whose oldest batch has waited too long, fails as a database would: then the calls' policy is that
   of ``fallback``.
   Found while records are forwarded, it's told the same way: those that wait stay where they are.
5. Whether the database is there again is asked in a thread of its own: one that hangs holds up nobody who writes.
6. At the start the database must be there: without it nobody knows what log this is. From then on it's that one: a
   database that holds another log by now gets none of these records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from attrs import define, evolve

from failsoft.errors import LedgerInvalid, LedgerUnreachable
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.locks import LiveFile
from failsoft.ledger.records.record import Built
from failsoft.ledger.spool.file import Spool, Spooling
from failsoft.ledger.spool.knock import Knock
from failsoft.ledger.store import AppendFailed, DatabaseFailed, Found, Life, OpenCall, Spare, Store, orphans

FORWARDED = 64
"""Batches that are forwarded at once, at most: records that come meanwhile wait for them."""

FORWARD_NS = 250_000_000
"""So long they wait for that, but for the end of a batch. Two are forwarded in any case: one comes meanwhile."""

RETRY_NS = 1_000_000_000

LISTEN_NS = 50_000_000
"""Between two looks whether somebody answers."""

SWEPT = 1000
"""Emitters that are named as swept, at most: a record has its size."""


class InDatabase(Store, Protocol):
    """A store of which other hosts are, too."""

    def answers(self) -> None:
        """Return if the database is there; raise if it isn't. From any thread, whatever others do."""
        ...

    def alive(self, emitter: str) -> bool:
        """Does the database see this emitter's process?"""
        ...

    def has(self, emitter: str, number: int) -> bool:
        """Is the record that this emitter gave this number in the log? Or was, until it was pruned."""
        ...


class SpoolingStore:
    """A `failsoft.ledger.store.Store` around another one, whose database may be away for a while.

    Args:
        inner: the database's.
        spooling: where records wait meanwhile.
        tell: told that it spools from now on, with the reason, and again where that's another one by now; and None: that it
            doesn't any more.
    """

    def __init__(self, inner: InDatabase, spooling: Spooling, tell: Callable[[str | None], None]) -> None:
        self._inner = inner
        self._spooling = spooling
        self._tell = tell
        self._spool: Spool | None = None
        self._emitter: str | None = None
        self._live: LiveFile | None = None
        self._was_open = False
        self._not_before = 0
        self._knock: Knock | None = None
        self._refused: str | None = None
        self._reason: str | None = None
        self._left: dict[str, LiveFile] = {}
        self.swept: Sequence[str] = ()
        """As any store: as many as a record has room for."""
        self.spooling = False
        """Do records wait for the database?"""

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._inner.origin

    @origin.setter
    def origin(self, value: str) -> None:
        self._inner.origin = value

    @property
    def log(self) -> str:
        """As any store; it's known where the database is away."""
        return self._spooling.log

    @property
    def name(self) -> str:
        """As the database's."""
        return self._inner.name

    @property
    def label(self) -> str:
        """As the database's."""
        return self._inner.label

    @property
    def lib(self) -> Mapping[str, str]:
        """As the database's."""
        return self._inner.lib

    @property
    def spare(self) -> Spare:
        """As the database's."""
        return self._inner.spare

    @property
    def found(self) -> Found | None:
        """As the database's."""
        return self._inner.found

    @property
    def unsigned(self) -> bool:
        """As the database's."""
        return self._inner.unsigned

    @property
    def is_open(self) -> bool:
        """Can it be appended to, here or there?"""
        return self._was_open

    def held(self) -> AbstractContextManager[None]:
        """As the database's."""
        return self._inner.held()

    def vet(self) -> None:
        """As the database's."""
        self._inner.vet()

    def open(self, found: Callable[[], Sequence[Built]]) -> bool:
        """As any store. What processes of this host left behind is forwarded first."""
        made = self._inner.open(found)
        self._spooling = evolve(self._spooling, log=self._inner.log)
        self._was_open = True
        self._sweep()
        return made

    def append(self, batch: Sequence[Built], *, doubtful: bool = False) -> int | None:
        """As any store; None: it's durable here, and has no place in the log so far."""
        if self._refused is not None and self._is_there():
            self._forward()
        if self._refused is not None:
            raise AppendFailed(self._refused)
        if not self.spooling:
            try:
                self._reopen()
                return self._inner.append(batch, doubtful=doubtful)
            except (AppendFailed, DatabaseFailed, OSError) as error:
                if isinstance(error, AppendFailed) and not error.away:
                    raise
                self._inner.close()
                stale = bool(orphans(batch))
                if stale and (doubtful or (isinstance(error, AppendFailed) and error.unknown)):
                    raise
                if stale:
                    self._spool_of(batch)  # from now on
                else:
                    self._keep(batch, unknown=getattr(error, "unknown", False))
                self.spooling = True
                self._not_before = self._now() + RETRY_NS
                self._say(str(error))
                if stale:
                    raise AppendFailed(str(error), stale=True) from error
                return None
        try:
            self._keep(batch, unknown=False)
        except AppendFailed:
            if not self._is_there():
                raise
            self._forward()  # one that takes no more can only be emptied: that's tried here too, as no step ends well now
            if self._refused is not None or self.spooling:
                raise
            return self.append(batch, doubtful=doubtful)
        return None

    def tidy(self) -> None:
        """As any store; and what waits is forwarded, as far as that's possible now."""
        if not self.spooling:
            self._inner.tidy()
        elif self._is_there():
            self._forward()

    def seconds(self) -> float | None:
        """As any store: until it's worth while to try again."""
        return max(0, self._not_before - self._now()) / 1e9 if self.spooling else None

    def publish(self) -> tuple[int, bytes]:
        """As any store."""
        if self.spooling:
            raise AppendFailed("records wait for the database: there's nothing to sign")
        self._reopen()
        return self._inner.publish()

    def signed_by(self, key: SigningKey) -> bool:
        """As the database's."""
        return self._inner.signed_by(key)

    def open_calls(self, emitter: str) -> Iterator[OpenCall]:
        """As the database's."""
        return self._inner.open_calls(emitter)

    def ended(self, calls: Sequence[str]) -> set[str]:
        """As the database's. Not asked while records wait: nobody knows then."""
        self._reopen()
        return self._inner.ended(calls)

    def hold(self, emitter: str) -> Life:
        """As any store; on this host too, so that what it leaves behind isn't forwarded by two."""
        life = self._inner.hold(emitter)
        self._spooling.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._emitter = emitter
        self._live = LiveFile.hold(self._spooling.base, emitter)
        return _Both(self, life, self._live)

    def gone(self, own: str) -> Iterator[tuple[str, Life]]:
        """As any store; and those of this host whose records were forwarded: whatever they left open is open for good.
        While the database is away nobody can be told to be gone: they're left to the next start.
        """
        if self.spooling:
            return
        self._reopen()
        for emitter, life in self._inner.gone(own):
            left = self._left.pop(emitter, None)
            yield emitter, life if left is None else _Both(self, life, left)
        while self._left:
            yield self._left.popitem()

    def forget(self, digests: Sequence[bytes]) -> bool:
        """As the database's."""
        return self._inner.forget(digests)

    def prune(self, last: int) -> bool:
        """As the database's."""
        return self._inner.prune(last)

    def anybody(self) -> bool:
        """As the database's."""
        return self._inner.anybody()

    def missing(self) -> str | None:
        """As the database's."""
        return self._inner.missing()

    def close(self) -> None:
        """As any store. What waits, waits for the next start."""
        self._inner.close()
        self._close_files()

    def before_fork(self) -> None:
        """As any store."""
        self._inner.before_fork()
        self._close_files()

    def after_fork_in_child(self) -> None:
        """As the database's."""
        self._inner.after_fork_in_child()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _close_files(self) -> None:
        while self._left:
            self._left.popitem()[1].release(remove=False)
        if self._spool is not None:
            self._spool.close()
        self._was_open = self._emitter is not None

    def _now(self) -> int:
        return self._spooling.clock.monotonic_ns()

    def _reopen(self) -> None:
        if not self._inner.is_open:
            self._inner.open(list)
            if self._inner.log != self._spooling.log:
                self._inner.close()
                raise LedgerInvalid(f"{self.name}: another log is there than the one that this process wrote to")

    def _say(self, reason: str | None) -> None:
        if reason != self._reason:
            self._reason = reason
            self._tell(reason)

    def _spool_of(self, batch: Sequence[Built]) -> Spool:
        """The file of this emitter's; nothing of it is there until something waits."""
        if self._spool is None:
            emitter = self._emitter or next(each.emitter for each in batch if each.emitter is not None)
            self._spool = Spool(self._spooling, emitter)
        return self._spool

    def _keep(self, batch: Sequence[Built], *, unknown: bool) -> None:
        try:
            self._spool_of(batch).put(batch)
        except AppendFailed as error:
            raise AppendFailed(str(error), unknown=unknown) from error
        last = batch[-1].eseq
        if self._live is not None and last is not None:
            try:
                self._live.spooled(last)  # who's killed before that has told nobody that the batch is durable
            except OSError as error:
                raise AppendFailed(f"{self._live.path}: {error}", unknown=True) from error

    def _is_there(self) -> bool:
        """Is the database there, as far as is known now?"""
        now = self._now()
        if now < self._not_before:
            return False
        if self._inner.is_open:
            return True
        knock = self._knock = self._knock or Knock(self._inner.answers)
        if not knock.ended:
            self._not_before = now + LISTEN_NS
            return False
        self._knock = None
        if not knock.answered:
            self._not_before = now + RETRY_NS
            self._refused = None  # that was the log's that is away now
            self._say(knock.reason)
        return knock.answered

    def _forward(self) -> None:
        assert self._spool is not None
        try:
            self._reopen()
            if self._drained(self._spool, FORWARDED, self._now() + FORWARD_NS):
                self._spool.close()  # with it goes what SQLite's own log has of payloads
                self.spooling = False
                self._say(None)
            self._refused = None
        except (AppendFailed, DatabaseFailed, LedgerInvalid, OSError) as error:
            self._inner.close()
            self._not_before = self._now() + RETRY_NS
            of_log = isinstance(error, LedgerInvalid) and not isinstance(error, LedgerUnreachable)
            at_fault = of_log or (isinstance(error, AppendFailed) and not error.away)
            self._refused = str(error) if at_fault else None
            if not at_fault:
                self._say(str(error))

    def _drained(self, spool: Spool, most: int, until: int | None = None) -> bool:
        """Forward so many batches, two or those that can be until then; is none left?"""
        for done in range(most):
            if until is not None and done >= 2 and self._now() >= until:
                break
            waiting = spool.first()
            if waiting is None:
                return True
            number, batch = waiting
            self._inner.append(batch, doubtful=True)
            spool.drop(number)
        return spool.first() is None

    def _sweep(self) -> None:
        """Forward what processes of this host left behind. Of those whose own live file could be locked, whose last record
        that waited is in the log, and whom the database doesn't see, nothing comes any more: a file that's a copy says
        nothing of whoever has the original, and records that aren't there may have been moved away.
        """
        base = self._spooling.base
        if not base.parent.is_dir():
            return
        for emitter in self._spooling.left():
            # whoever copies or cleans folders may leave it out
            if not LiveFile.name(base, emitter).exists() and Spool(self._spooling, emitter).is_left():
                LiveFile.stand_in(base, emitter)
        for emitter, life in LiveFile.gone(base, self._emitter or ""):
            spool = Spool(self._spooling, emitter)
            try:
                self._drained(spool, 1 << 62)
                self._left[emitter] = life
            except BaseException:
                life.release(remove=False)
                raise
            finally:
                spool.close()
        self.swept = [each for each, life in self._left.items() if self._is_through(each, life)][:SWEPT]

    def _is_through(self, emitter: str, life: LiveFile) -> bool:
        if not life.is_original or self._inner.alive(emitter):
            return False
        return life.last_spooled is None or self._inner.has(emitter, life.last_spooled)


@define
class _Both:
    """Alive there, and here."""

    store: SpoolingStore
    there: Life
    here: LiveFile

    def release(self, *, remove: bool) -> None:
        """As any life. What still waits is looked after by whoever finds this file unlocked."""
        self.there.release(remove=remove)
        self.here.release(remove=remove and not self.store.spooling)
