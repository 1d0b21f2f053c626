"""A circuit breaker: admits attempts at one adapter, or refuses them while it doesn't work.

Theory of operation
-------------------

An attempt takes a *permit* and settles it once, in one of three ways. SUCCESS and FAILURE speak of the provider.
NEUTRAL gives the permit back and says nothing (the caller cancelled; the provider found fault with the request).

CLOSED      Every attempt is admitted. Two rules open the breaker, read after every success and failure:
              rate         failures * 100 >= rate * (calls + in flight), given at least `min_calls` calls. What's in
                           flight counts, since failures are fast and successes slow.
              consecutive  so many failures in a row, in the order in which the attempts *started*. Several failures of
                           one call are one entry once the window holds 20 calls: one bad input isn't an outage.
OPEN        No attempt is admitted before `until`. Each opening waits longer than the last (`trips`); a healthy spell in
            CLOSED takes trips back. `until` never moves to an earlier moment.
HALF_OPEN   A few *trials* are admitted. Enough successes close the breaker; it opens again as soon as those can't be
            reached any more. A neutral trial gives its place back. Three neutral trials without a success or failure
            between them, each with a whole, well-formed reply, close it *on probation*: the provider does answer.

What holds throughout:
    1. The state is a function of what was settled and of the time. Transitions that fall due are carried out by the
       next caller but dated when they were due: a trial whose lease ended at 10:02 failed at 10:02, though nobody
       called before 15:00. There are no timers.
    2. Every transition begins a new *generation*. A permit of an older one is settled without effect (a late result):
       no answer from before an outage closes the breaker after it.
    3. A trial has a *lease*: its own timeout and a little more. A trial that's lost has failed when its lease ends. So
       a breaker all of whose permits are lost admits a call again within `open_cap_s` and one lease.
    4. At most `concurrent_trials` are out at once; those out and those that counted are at most `trials`.
    5. One lock, held over arithmetic. Listeners run after it; `Permit.abandon`, which a garbage collector may call,
       never takes it.

An attempt that its *caller's* deadline cut off is judged by fair time (`Permit.cut`). A caller with less time than that
can't be a trial: it would be cut off, prove nothing, and take the place of one that could. Where so no trial was to be had
for `open_base_s`, one refusal says it (`Refused.detach`), and the call lets a trial run on without its caller.

A *quality* breaker (`failsoft.core.quality`) is this class with other settings, told outcomes by `count` while it's closed.
The *recovery check* is the call's: a trial that another model than the pinned one answered opens the breaker again (`trip`).

Processes share their openings through `Change`s; what peers say comes in by `failsoft.core.breaker_peers`, as advice.
"""

from __future__ import annotations

from collections.abc import Callable

from failsoft.core.breaker_permit import Permit
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.breaker_states import TRANSITIONS, BreakerSnapshot, Cause, Change, Refused, State
from failsoft.core.breaker_trials import Trials
from failsoft.core.effects import SECOND, Clock, Random
from failsoft.core.guard import Guard
from failsoft.core.window import AnswerTimes, StartOrder, TimeWindow
from failsoft.fault import Settlement

__all__ = ["Breaker", "BreakerSettings", "BreakerSnapshot", "Cause", "Change", "Permit", "Refused", "State"]


_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
_SUCCESS, _FAILURE, _NEUTRAL = Settlement.SUCCESS, Settlement.FAILURE, Settlement.NEUTRAL

ONE_ENTRY_FROM = 20
"""From so many calls in the window, the failures of one call are one entry of the consecutive rule. Below that they all
count: at one call a minute, opening would else take 320 s instead of 149."""

LONGEST_HINT = 3_600 * SECOND
"""A provider's hint is believed up to an hour."""

_NO_LEASE = -(2**62)

FAIR_TIME_UNKNOWN = 5 * SECOND
FAIR_TIME_FLOOR = 1 * SECOND


class Breaker(Guard[Change]):
    """The health of one adapter at its pin.

    All its methods may be called from any thread, and none waits. `now` is always a moment on `clock`.

    Args:
        settings: the figures of its rules.
        clock: read once, for the moment at which it begins.
        random: for the jitter of `until`.
        on_change: told each change of state: in order, after the lock; what it raises is counted.
    """

    __slots__ = (
        "_abandoned",
        "_advised",
        "_asked",
        "_double_settles",
        "_generation",
        "_healthy_since",
        "_hold",
        "_late_results",
        "_random",
        "_settings",
        "_slack",
        "_start_order",
        "_state",
        "_times",
        "_trials",
        "_trips",
        "_until",
        "_untried_since",
        "_window",
    )

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Clock,
        random: Random,
        on_change: Callable[[Change], None] | None = None,
    ) -> None:
        super().__init__(on_change)
        now = clock.monotonic_ns()
        self._settings = settings
        self._slack = int(settings.lease_slack_s * SECOND)
        self._random = random
        self._abandoned: list[Permit] = []
        self._state = _CLOSED
        self._generation = 0
        self._window = TimeWindow(int(settings.window_s * SECOND) // settings.buckets, settings.buckets, now)
        self._start_order = StartOrder()
        self._times = AnswerTimes()
        self._healthy_since = now
        self._until = now
        self._trips = 0
        self._trials = Trials(settings)
        self._untried_since = now
        self._late_results = self._double_settles = 0
        self._advised = -1  # the generation that a peer's advice began
        self._hold = 0  # nanoseconds that an opening lasts at least, while its end is the fleet's to decide
        self._asked = now - 1  # when somebody was last refused

    # --- asking -------------------------------------------------------------------------------------------------------

    def peek(self, now: int, *, remaining_ns: int | None = None) -> Refused | None:
        """Would an attempt be admitted? None if so. Takes nothing; a half-open breaker with no free trial says no.

        Args:
            now: the present moment.
            remaining_ns: as for `acquire`.
        """
        if self._state is _CLOSED:
            return None
        with self._lock:
            if self._state is _OPEN:
                wait = self._until - now
                self._asked = now
                return Refused("open", wait) if wait > 0 else self._impatient(now, remaining_ns)
            self._catch_up(now)  # writes off lost trials: they failed when they were due, whether or not anybody looks
            refused = self._trial_refused(now, remaining_ns)
        if self._untold:
            self._announce()
        return refused

    def acquire(
        self, now: int, timeout_ns: int, *, call: object = None, remaining_ns: int | None = None
    ) -> Permit | Refused:
        """A permit for one attempt, or why there's none.

        Args:
            now: the present moment.
            timeout_ns: the attempt's own timeout in nanoseconds, at least 0: its lease ends `lease_slack_s` later.
            call: the call's identity (its identifier, or a token of its own): the failures of one call are one entry of
                the consecutive rule. None: each stands for itself.
            remaining_ns: nanoseconds that the caller still has: less than fair time makes no trial. None: enough.
        """
        if self._state is _OPEN and now < self._until:  # without the lock: `until` is never shortened
            return Refused("open", self._until - now)
        lease = now + timeout_ns + self._slack
        with self._lock:
            if self._abandoned:
                self._drain(now)
            if self._state is _CLOSED:
                return Permit(self, False, self._start_order.started(), now, lease, self._window.started(lease), call)
            admitted = self._acquire_trial(now, lease, call, remaining_ns)
        if self._untold:
            self._announce()
        return admitted

    def fair_time(self, now: int) -> int:
        """Nanoseconds in which an answer may fairly be expected.

        Twice the median of the last 64 successes within the window; 5 s if there are fewer than 10; at least 1 s; at
        most `fair_cap_s`.
        """
        window = self._window
        fair = self._times.twice_median(now // window.width - window.cells + 1)
        fair = FAIR_TIME_UNKNOWN if fair is None else max(FAIR_TIME_FLOOR, fair)
        return min(fair, int(self._settings.fair_cap_s * SECOND))

    def snapshot(self, now: int) -> BreakerSnapshot:
        """What it knows at `now`, with everything that is due by then."""
        with self._lock:
            self._catch_up(now)
            window = self._window
            if now // window.width > window.tick:
                window.advance(now // window.width)
            taken = BreakerSnapshot(
                state=self._state,
                generation=self._generation,
                calls=window.calls,
                failures=window.failures,
                in_flight=window.in_flight if self._state is _CLOSED else len(self._trials),
                until_ns=self._until,
                trips=self._trips_left(now),
                admitted=self._start_order.next,
                late_results=self._late_results,
                double_settles=self._double_settles,
                listener_errors=self.listener_errors,
            )
        self._announce()
        return taken

    # --- being told ---------------------------------------------------------------------------------------------------

    def to_trial(self, reason: str, now: int) -> None:
        """Go to HALF_OPEN from any state, even before `until`; trips are kept, running attempts become late results.

        For a block (when it begins and when it's lifted) and a latch that was lifted: trial first.
        """
        with self._lock:
            self._catch_up(now)
            self._enter(_HALF_OPEN, reason, now)
        self._announce()

    def trip(self, cause: Cause, now: int) -> None:
        """Open at once, where the table has that cause for the state: what one attempt showed is enough.

        `WRONG_MODEL`: another model than the pinned one answers. `RECOVERY_CHECK`: a trial was answered, but by no
        provider that may be let in again.
        """
        with self._lock:
            self._catch_up(now)
            if (self._state, cause) in TRANSITIONS:
                self._move(cause, now)
        self._announce()

    def closed_generation(self) -> int | None:
        """The generation, while it's closed: for outcomes that are told by `count`. None otherwise: ask for a permit."""
        generation = self._generation  # read first, and without the lock: an older one's outcome counts nowhere
        return generation if self._state is _CLOSED else None

    def count(self, generation: int, now: int, *, failed: bool) -> None:
        """An attempt ended that took no permit, since the breaker was closed.

        For a breaker whose rate counts only what has ended, and that looks for no failures in a row: a quality breaker.
        """
        with self._lock:
            if generation != self._generation:
                self._late_results += 1
                return
            window, settings = self._window, self._settings
            window.count(_NO_LEASE, now, failed)
            if window.calls >= settings.min_calls and window.failures * 100 >= settings.rate * window.calls:
                self._move(Cause.RATE, now)
        if self._untold:
            self._announce()

    def after_fork(self) -> None:
        """In the child: the parent's attempts aren't ours, and its lock may be held by a thread that isn't here."""
        super().after_fork()
        self._abandoned.clear()
        self._generation += 1
        self._window.forget_in_flight()
        self._start_order.clear()
        self._trials.forget()

    # --- under the lock -----------------------------------------------------------------------------------------------

    def _conclude(
        self, permit: Permit, settlement: Settlement, now: int, hint_ns: int | None, well_formed: bool
    ) -> None:
        if permit.settled:
            self._double_settles += 1
            return
        permit.settled = True
        if permit.generation != self._generation:
            self._late_results += 1
            return
        if permit.trial:
            self._conclude_trial(permit, settlement, now, hint_ns, well_formed)
            return
        window = self._window
        if settlement is _NEUTRAL:
            window.ended(permit._lease_tick)
            self._start_order.ignored(permit._number)
            return
        if settlement is _SUCCESS:
            window.count(permit._lease_tick, now, False)
            self._start_order.succeeded(permit._number)
            self._times.add(window.tick, now - permit._started)
        else:
            window.count(permit._lease_tick, now, True)
            run = self._start_order.failed(permit._number, permit._call, window.calls >= ONE_ENTRY_FROM)
            if run >= self._settings.in_a_row(window.calls):
                self._move(Cause.CONSECUTIVE, now, hint_ns)
                return
        if window.failures and self._rate_reached():
            self._move(Cause.RATE, now, hint_ns)

    def _rate_reached(self) -> bool:
        settings, window = self._settings, self._window
        calls = window.calls
        return calls >= settings.min_calls and window.failures * 100 >= settings.rate * (calls + window.in_flight)

    def _acquire_trial(self, now: int, lease: int, call: object, remaining_ns: int | None) -> Permit | Refused:
        self._catch_up(now)
        refused = self._trial_refused(now, remaining_ns)
        if refused is not None:
            if (
                refused.reason == "deadline_too_short"
                and now - self._untried_since >= self._settings.open_base_s * SECOND
            ):
                self._untried_since = now
                return Refused(refused.reason, refused.retry_after_ns, detach=True)
            return refused
        self._untried_since = now
        permit = Permit(self, True, self._start_order.started(), now, lease, 0, call)
        self._trials.begin(permit)
        return permit

    def _trial_refused(self, now: int, remaining_ns: int | None) -> Refused | None:
        """Why there's no trial to be had; None if there is one."""
        if self._state is _OPEN:
            return Refused("open", self._until - now)
        return self._trials.taken(now) or self._impatient(now, remaining_ns)

    def _impatient(self, now: int, remaining_ns: int | None) -> Refused | None:
        if remaining_ns is not None and remaining_ns < self.fair_time(now):
            return Refused("deadline_too_short", 0)
        return None

    def _conclude_trial(
        self, permit: Permit, settlement: Settlement, now: int, hint_ns: int | None, well_formed: bool
    ) -> None:
        self._catch_up(now)
        if not self._trials.end(permit):  # its lease had ended: it has failed already
            self._late_results += 1
            return
        if settlement is _SUCCESS:
            self._times.add(max(self._window.tick, now // self._window.width), now - permit._started)
        cause = self._trials.count(settlement, well_formed)
        if cause is not None:
            self._move(cause, now, hint_ns)

    def _catch_up(self, now: int) -> None:
        """Carry out what fell due by `now`, each thing dated when it was due."""
        if self._abandoned:
            self._drain(now)
        while True:
            if self._state is _OPEN and now >= self._until:
                self._move(Cause.WAITED, self._until)
            lost = self._trials.lost(now)
            if lost is None:
                return
            self._trials.end(lost)
            cause = self._trials.count(_FAILURE, False)
            if cause is not None:
                self._move(cause, lost.lease_ns)

    def _drain(self, now: int) -> None:
        """Settle what the garbage collector gave back."""
        while self._abandoned:
            permit = self._abandoned.pop()
            if self._trials.end(permit):  # not by way of `_conclude`: neutral, even if its lease has ended meanwhile
                permit.settled = True
            elif not permit.settled:
                self._conclude(permit, _NEUTRAL, now, None, False)

    def _move(self, cause: Cause, at: int, hint_ns: int | None = None) -> None:
        self._enter(TRANSITIONS[self._state, cause], cause, at, hint_ns)

    def _enter(self, state: State, reason: str, at: int, hint_ns: int | None = None) -> None:
        before = self._state
        self._trips = self._trips_left(at)
        self._generation += 1
        self._trials.forget()
        until: int | None = None
        if state is _OPEN:
            self._trips = min(self._trips + 1, self._settings.most_trips)
            wait = max(self._settings.back_off(self._trips, self._random), min(hint_ns or 0, LONGEST_HINT))
            until = max(self._until, at + wait)
            self._until = max(until, at + self._hold)
        elif state is _HALF_OPEN:
            self._untried_since = at
        else:
            self._window.clear()
            self._start_order.clear()
            self._healthy_since = at
        self._state = state
        self._changed(Change(before, state, str(reason), until, self._generation, at))

    def _trips_left(self, at: int) -> int:
        if self._state is not _CLOSED:
            return self._trips
        healthy = max(0, at - self._healthy_since)
        return max(0, self._trips - healthy // int(self._settings.healthy_for_s * SECOND))
