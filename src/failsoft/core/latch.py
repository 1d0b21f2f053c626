"""A latch: an adapter that can't work until somebody mends its configuration isn't asked.

Theory of operation
-------------------

OPEN WAY   Attempts may go. A *certain* cause (the provider's code says that the credential, the model or the money is
           gone) latches at once. An *uncertain* one (401, 403 or 404 with a code that we don't know) latches when two
           different calls met one with no success between them: a single call may have itself to blame.
LATCHED    No attempt goes, except one trial when its time has come: 5 minutes after it latched, then after 10, 20, 40
           and every 60 minutes. Each time is prolonged by up to a tenth, so that a fleet doesn't come back at once.
           The trial's success opens the way. Its time is spent when it's taken, so a trial that was lost costs no more
           than one that failed.

Out of it lead: a trial's success, and `lift` (the configuration was changed, or an operator says so). After `lift` the
breaker's `to_trial` lets one attempt go before the rest. A success before a trial went is of an attempt from before it
latched, and proves nothing. Nor does another failure: it's known already.

`cause` only looks; `admit` takes the trial.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from failsoft.core.effects import SECOND, Random
from failsoft.core.guard import Guard

FIRST_TRIAL = 300 * SECOND
LONGEST_DELAY = 3_600 * SECOND

_EXTRA_SHARE = 10


@define
class LatchChange:
    """A latch closed the way (`cause`), or opened it (None); `peer`: as another process found; `at`: when it closed."""

    cause: str | None
    peer: bool = False
    at: int = 0


class Latch(Guard[LatchChange]):
    """Whether an adapter waits for its configuration to be mended. Any thread may call it; none waits in it.

    Args:
        random: for the jitter.
        on_change: told each change: in order, after the lock; what it raises is counted.
    """

    __slots__ = ("_cause", "_delay", "_due", "_random", "_suspect", "_trial", "clear")

    def __init__(self, random: Random, on_change: Callable[[LatchChange], None] | None = None) -> None:
        super().__init__(on_change)
        self._random = random
        self._cause: str | None = None
        self._suspect: tuple[object] | None = None  # the call that met an uncertain cause
        self._delay = 0
        self._due = 0  # when the next trial may go
        self._trial = False  # has one gone since it latched?
        self.clear = True
        """Nothing is held against it: an attempt may go, and its success is no news."""

    def cause(self, now: int) -> str | None:
        """Why no attempt may go; None if one may, since the way is open or a trial is due. Takes nothing."""
        with self._lock:
            return self._cause if now < self._due else None

    def admit(self, now: int) -> bool:
        """May this attempt go? Takes the trial if one is due: call it right before the attempt."""
        with self._lock:
            if self._cause is None:
                return True
            if now < self._due:
                return False
            self._trial = True
            self._schedule(now)
            return True

    def trip(self, cause: str, certain: bool, call: object, now: int) -> None:
        """An attempt found that the configuration is wrong.

        Args:
            cause: what's wrong, in our own words.
            certain: the provider's code says so.
            call: the call's identity, compared by equality.
            now: the present moment.
        """
        with self._lock:
            if self._cause is not None:
                return  # it's known, and a trial's time was spent when it was taken
            if certain or (self._suspect is not None and self._suspect[0] != call):
                self._latch(cause, now, peer=False)
            else:
                self.clear = False
                self._suspect = (call,)
        self._announce()

    def succeeded(self) -> None:
        """An attempt was answered: nothing is wrong, or not any more."""
        if self.clear:
            return
        with self._lock:
            if self._cause is None:
                self._suspect = None
                self.clear = True
            elif self._trial:
                self._open(peer=False)
        self._announce()

    def lift(self) -> None:
        """Somebody says that it's mended."""
        with self._lock:
            self._mend(peer=False)
        self._announce()

    def advised(self, cause: str | None, at: int) -> None:
        """Another process found that the configuration is wrong, or (None) that it's mended.

        Args:
            cause: what's wrong.
            at: when it latched there. The first trial counts from then, not from the moment at which this process hears
                of it: those that don't live for five minutes would otherwise never make one.
        """
        with self._lock:
            if cause is None:
                self._mend(peer=True)
            elif self._cause is None:
                self._latch(cause, at, peer=True)
        self._announce()

    def _schedule(self, now: int) -> None:
        self._delay = min(LONGEST_DELAY, self._delay * 2) or FIRST_TRIAL
        self._due = now + self._delay + int(self._random.random() * (self._delay // _EXTRA_SHARE))

    def _latch(self, cause: str, now: int, *, peer: bool) -> None:
        self.clear = False
        self._cause = cause
        self._suspect = None
        self._trial = False
        self._delay = 0
        self._schedule(now)
        self._changed(LatchChange(cause, peer, now))

    def _mend(self, *, peer: bool) -> None:
        self._suspect = None
        if self._cause is None:
            self.clear = True
        else:
            self._open(peer=peer)

    def _open(self, *, peer: bool) -> None:
        self._cause = None
        self.clear = True
        self._changed(LatchChange(None, peer))
