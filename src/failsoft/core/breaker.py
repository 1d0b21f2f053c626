"""A circuit breaker: admits attempts at one adapter, or refuses them while it doesn't work.

Theory of operation
-------------------

An attempt takes a *permit* and settles it once, in one of three ways. SUCCESS and FAILURE speak of the provider.
NEUTRAL gives the permit back and says nothing (the caller cancelled; the provider found fault with the request).

CLOSED      Every attempt is admitted. Three rules open the breaker, read after every success and failure:
              rate         failures * 100 >= rate * (calls + in flight), given at least `min_calls` calls. What's in
                           flight counts, since failures are fast and successes slow.
              consecutive  so many failures in a row, in the order in which the attempts *started*. Several failures of
                           one call are one entry once the window holds 20 calls: one bad input isn't an outage.
              slow         (off by default) slow * 100 >= slow_rate * calls, given `min_calls`. A call is slow once it takes
                           `slow_after_s`, whether or not it has ended (`failsoft.core.window_overdue`).
            With `slow_start_s`, one that has just closed admits a growing share (`failsoft.core.slow_start`).
OPEN        No attempt is admitted before `until`. Each opening waits longer than the last (`trips`); a healthy spell in
            CLOSED takes trips back. `until` never moves to an earlier moment.
HALF_OPEN   A few *trials* are admitted. Enough successes close the breaker; it opens again as soon as those can't be
            reached any more. With the slow rule on, a slow success is a failure. A neutral trial gives its place back.
            Three neutral trials without a success or failure between them, each with a whole, well-formed reply, close
            it *on probation*: the provider does answer.

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

A *quality* breaker (`failsoft.core.quality`) is this class with other settings, told outcomes
without permits while it's closed.
The *recovery check* (`failsoft.core.recovery`) is asked by the call, before a trial's permit is settled, so that no trial
counts as a success without it. One that fails it opens the breaker again, with one trip more (`Permit.fail_check`).

A person decides on an axis apart (`Mode`). FORCED: every attempt is admitted; the state goes on beneath, by trials among
the rest, and what an attempt beside them tells moves nothing. OBSERVE: the breaker stays closed; where it would have opened
it says so, and begins a new generation with an empty window. An attempt is admitted without a look (`must_look`) by one
that's closed and has neither a slow rule nor a slow start to heed.

Processes share their openings through `Change`s; what peers say comes in by `failsoft.core.breaker_peers`, as advice.
"""

from __future__ import annotations

from failsoft.core.breaker_machine import Machine
from failsoft.core.breaker_permit import Permit
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.breaker_states import BreakerSnapshot, Cause, Change, Mode, Refused, State

__all__ = ["Breaker", "BreakerSettings", "BreakerSnapshot", "Cause", "Change", "Mode", "Permit", "Refused", "State"]

_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
_FORCED, _OBSERVE = Mode.FORCED, Mode.OBSERVE


class Breaker(Machine):
    """The health of one adapter at its pin.

    All its methods may be called from any thread, and none waits. `now` is always a moment on `clock`.

    Args:
        settings: the figures of its rules.
        clock: read once, for the moment at which it begins.
        random: for the jitter of `until`.
        on_change: told each change of state: in order, after the lock; what it raises is counted.
        mode: what a person decided.
    """

    __slots__ = ()

    # --- asking -------------------------------------------------------------------------------------------------------

    def peek(self, now: int, *, remaining_ns: int | None = None) -> Refused | None:
        """Would an attempt be admitted? None if so. Takes nothing; a half-open breaker with no free trial says no.

        A slow start isn't asked: its account moves only where attempts are made.

        Args:
            now: the present moment.
            remaining_ns: as for `acquire`.
        """
        if not self.must_look or self._mode is _FORCED:
            return None
        with self._lock:
            if self._state is _OPEN:
                wait = self._until - now
                self._asked = now
                return Refused("open", wait) if wait > 0 else self._impatient(now, remaining_ns)
            self._catch_up(now)  # writes off lost trials: they failed when they were due, whether or not anybody looks
            refused = None if self._state is _CLOSED else self._trial_refused(now, remaining_ns)
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
        if self._state is _OPEN and now < self._until and self._mode is not _FORCED:  # no lock: `until` only grows
            return Refused("open", self._until - now)
        lease = now + timeout_ns + self._settings.lease_slack_ns
        with self._lock:
            if self._abandoned:
                self._drain(now)
            if not self.must_look:
                return Permit(
                    self, False, self._start_order.started(), now, lease, self._window.started(now, lease), call
                )
            admitted = self._look_and_acquire(now, lease, call, remaining_ns)
        if self._untold:
            self._announce()
        return admitted

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
                slow=window.slow,
                in_flight=window.in_flight if self._state is _CLOSED else len(self._trials),
                until_ns=self._until,
                trips=self._trips_left(now),
                admitted=self._start_order.next,
                late_results=self._late_results,
                double_settles=self._double_settles,
                listener_errors=self.listener_errors,
                mode=self._mode,
                slow_start=self._slow_start is not None and not self._slow_start.over(now),
            )
        self._announce()
        return taken

    # --- being told ---------------------------------------------------------------------------------------------------

    def to_trial(self, reason: str, now: int) -> None:
        """Go to HALF_OPEN from any state, even before `until`; trips are kept, running attempts become late results.

        For a block (when it begins and when it's lifted) and a latch that was lifted: trial first. One that's observed
        stays closed.
        """
        with self._lock:
            self._catch_up(now)
            if self._mode is not _OBSERVE:
                self._enter(_HALF_OPEN, reason, now)
        self._announce()

    def blocked(self, now: int) -> None:
        """A block begins: what the trials that are out tell from here on moves nothing. Other states aren't touched."""
        with self._lock:
            self._catch_up(now)
            if self._state is _HALF_OPEN:
                self._enter(_HALF_OPEN, "blocked", now)
        self._announce()

    @property
    def mode(self) -> Mode:
        """What a person decided."""
        return self._mode

    def to_mode(self, mode: Mode, now: int) -> None:
        """A person decides. OBSERVE closes it; from FORCED it comes back in the state that it had come to beneath."""
        with self._lock:
            self._catch_up(now)
            self._mode = mode
            if mode is _OBSERVE and self._state is not _CLOSED:
                self._enter(_CLOSED, str(mode), now)
            if mode is not Mode.AUTO:
                self._end_slow_start()
        self._announce()

    def trip(self, cause: Cause, now: int) -> None:
        """Open at once, where the table has that cause for the state: what one attempt showed is enough.

        `WRONG_MODEL`: another model than the pinned one answers.
        """
        with self._lock:
            self._catch_up(now)
            self._move(cause, now)
        self._announce()

    def after_fork(self) -> None:
        """In the child: the parent's attempts aren't ours, and its lock may be held by a thread that isn't here."""
        super().after_fork()
        self._abandoned.clear()
        self._generation += 1
        self._window.forget_in_flight()
        if self._overdue is not None:
            self._overdue.forget()
        self._start_order.clear()
        self._trials.forget()
