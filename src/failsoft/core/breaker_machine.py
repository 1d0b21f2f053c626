"""The machine inside a breaker: what happens under its lock. The rules are told in `failsoft.core.breaker`."""

from __future__ import annotations

from collections.abc import Callable

from failsoft.core.breaker_permit import Permit
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.breaker_states import TRANSITIONS, Cause, Change, Mode, Refused, State
from failsoft.core.breaker_trials import Trials
from failsoft.core.effects import SECOND, Clock, Random
from failsoft.core.guard import Guard
from failsoft.core.slow_start import SlowStart
from failsoft.core.window import AnswerTimes, StartOrder, TimeWindow
from failsoft.core.window_count import CountWindow
from failsoft.core.window_overdue import Overdue
from failsoft.fault import Settlement

_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
_SUCCESS, _FAILURE, _NEUTRAL = Settlement.SUCCESS, Settlement.FAILURE, Settlement.NEUTRAL

ONE_ENTRY_FROM = 20
"""From so many calls in the window, the failures of one call are one entry of the consecutive rule. Below that they all
count: at one call a minute, opening would else take 320 s instead of 149."""

LONGEST_HINT = 3_600 * SECOND
"""A provider's hint is believed up to an hour."""

FAIR_TIME_UNKNOWN = 5 * SECOND
FAIR_TIME_FLOOR = 1 * SECOND


class Machine(Guard[Change]):
    """States, permits and counts of one breaker. Arguments as `failsoft.core.breaker.Breaker`'s.

    Every method that begins with an underscore wants the lock held.
    """

    __slots__ = (
        "_abandoned",
        "_advised",
        "_asked",
        "_double_settles",
        "_generation",
        "_hold",
        "_late_results",
        "_mode",
        "_overdue",
        "_random",
        "_settings",
        "_since",
        "_slow_start",
        "_start_order",
        "_state",
        "_times",
        "_trials",
        "_trips",
        "_until",
        "_window",
        "must_look",
    )

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Clock,
        random: Random,
        on_change: Callable[[Change], None] | None = None,
        mode: Mode = Mode.AUTO,
    ) -> None:
        super().__init__(on_change)
        now = clock.monotonic_ns()
        self._settings = settings
        self._random = random
        self._abandoned: list[Permit] = []
        self._state = _CLOSED
        self._generation: int = 0
        self._mode = mode
        width, cells = int(settings.window_s * SECOND) // settings.buckets, settings.buckets
        self._window: TimeWindow | CountWindow
        if settings.window == "time":
            self._window = TimeWindow(width, cells, now, slow=bool(settings.slow_rate))
        else:
            self._window = CountWindow(settings.window_calls, width, cells, now)
        slow_after = int(settings.slow_after_s * SECOND)
        self._overdue = Overdue(self._window, slow_after) if settings.slow_rate else None
        self._slow_start: SlowStart | None = None
        self.must_look = self._overdue is not None
        """Must an attempt be looked at? False: it's closed, and has nothing to heed."""
        self._start_order = StartOrder()
        self._times = AnswerTimes()
        self._since = now  # in CLOSED: when it closed; in HALF_OPEN: when it became so, or a trial last went
        self._until = now
        self._trips = 0
        self._trials = Trials()
        self._advised = -1  # the generation that a peer's advice began
        self._hold = 0  # nanoseconds that an opening lasts at least, while its end is the fleet's to decide
        self._asked = now  # when somebody was last refused, or it began
        self._late_results: int = 0
        self._double_settles: int = 0

    def fair_time(self, now: int) -> int:
        """Nanoseconds in which an answer may fairly be expected.

        Twice the median of the last 64 successes within the window; 5 s if there are fewer than 10; at least 1 s; at
        most `fair_cap_s`.
        """
        typical = self.typical(now)
        fair = FAIR_TIME_UNKNOWN if typical is None else max(FAIR_TIME_FLOOR, 2 * typical)
        return min(fair, int(self._settings.fair_cap_s * SECOND))

    def typical(self, now: int) -> int | None:
        """Nanoseconds that half of the fresh answers took at most; None where fewer than 10 are fresh."""
        window = self._window
        twice = self._times.twice_median(now // window.width - window.cells + 1)
        return None if twice is None else twice // 2

    def _conclude(
        self, permit: Permit, settlement: Settlement, now: int, hint_ns: int | None, well_formed: bool
    ) -> None:
        if permit.settled:
            self._double_settles += 1
            return
        permit.settled = True
        if self._overdue is not None and self._state is _CLOSED:
            self._count_overdue(self._overdue, now)
        if permit.generation != self._generation:
            self._late_results += 1
            return
        if permit.trial:
            self._conclude_trial(permit, settlement, now, hint_ns, well_formed)
            return
        window = self._window
        book = self._overdue or window
        if settlement is _NEUTRAL:
            book.ended(permit._entry)
            self._start_order.ignored(permit._number)
            return
        if settlement is _SUCCESS:
            book.count(permit._entry, now, False)
            self._start_order.succeeded(permit._number)
            self._times.add(window.tick, now - permit._started)
        else:
            book.count(permit._entry, now, True)
            run = self._start_order.failed(permit._number, permit._call, window.calls >= ONE_ENTRY_FROM)
            if run >= self._settings.in_a_row(window.calls):
                self._move(Cause.CONSECUTIVE, now, hint_ns)
                return
        if window.failures and self._rate_reached():
            self._move(Cause.RATE, now, hint_ns)
        elif self._overdue is not None and self._slow_reached():
            self._move(Cause.SLOW, now, hint_ns)

    def _rate_reached(self) -> bool:
        settings, window = self._settings, self._window
        calls = window.calls
        return calls >= settings.min_calls and window.failures * 100 >= settings.rate * (calls + window.in_flight)

    def _slow_reached(self) -> bool:
        settings, window = self._settings, self._window
        return window.calls >= settings.min_calls and window.slow * 100 >= settings.slow_rate * window.calls

    def _look_and_acquire(self, now: int, lease: int, call: object, remaining_ns: int | None) -> Permit | Refused:
        self._catch_up(now)
        if self._state is _CLOSED:
            refused = self._slow_start_refused(now)
        else:
            refused = self._trial_refused(now, remaining_ns)
            if refused is None:
                return self._begin_trial(now, lease, call)
        if refused is None or self._mode is Mode.FORCED:
            entry = (self._overdue or self._window).started(now, lease)
            return Permit(self, False, self._start_order.started(), now, lease, entry, call)
        untried = now - self._since >= self._settings.open_base_s * SECOND
        if refused.reason == "deadline_too_short" and untried:
            self._since = now
            return Refused(refused.reason, refused.retry_after_ns, detach=True)
        return refused

    def _begin_trial(self, now: int, lease: int, call: object) -> Permit:
        self._since = now
        permit = Permit(self, True, self._start_order.started(), now, lease, 0, call)
        self._trials.begin(permit)
        return permit

    def _slow_start_refused(self, now: int) -> Refused | None:
        if self._slow_start is not None and self._slow_start.over(now):
            self._end_slow_start()
        if self._slow_start is None or self._slow_start.admits(now):
            return None
        return Refused("slow_start", 0)

    def _end_slow_start(self) -> None:
        self._slow_start = None
        self.must_look = self._state is not _CLOSED or self._overdue is not None

    def _trial_refused(self, now: int, remaining_ns: int | None) -> Refused | None:
        """Why there's no trial to be had; None if there is one."""
        if self._state is _OPEN:
            return Refused("open", self._until - now)
        return self._trials.taken(self._settings, now) or self._impatient(now, remaining_ns)

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
            if self._overdue is not None and now - permit._started >= self._overdue.after:
                settlement = _FAILURE
        cause = self._trials.count(self._settings, settlement, well_formed)
        if cause is not None:
            self._move(cause, now, hint_ns)

    def _fail_check(self, permit: Permit, now: int) -> None:
        late = self._late_results + self._double_settles
        self._conclude(permit, _NEUTRAL, now, None, False)
        if permit.trial and self._late_results + self._double_settles == late:
            self._move(Cause.RECOVERY_CHECK, now)

    def _catch_up(self, now: int) -> None:
        """Carry out what fell due by `now`, each thing dated when it was due."""
        if self._abandoned:
            self._drain(now)
        if self._overdue is not None and self._state is _CLOSED:
            self._count_overdue(self._overdue, now)
        while True:
            if self._state is _OPEN and now >= self._until:
                self._move(Cause.WAITED, self._until)
            lost = self._trials.lost(now)
            if lost is None:
                return
            self._trials.end(lost)
            cause = self._trials.count(self._settings, _FAILURE, False)
            if cause is not None:
                self._move(cause, lost.lease_ns)

    def _count_overdue(self, overdue: Overdue, now: int) -> None:
        for due in overdue.overdue(now):
            if self._slow_reached():
                self._move(Cause.SLOW, due)

    def _drain(self, now: int) -> None:
        """Settle what the garbage collector gave back."""
        while self._abandoned:
            permit = self._abandoned.pop()
            if self._trials.end(permit):  # not by way of `_conclude`: neutral, even if its lease has ended meanwhile
                permit.settled = True
            elif not permit.settled:
                self._conclude(permit, _NEUTRAL, now, None, False)

    def _move(self, cause: Cause, at: int, hint_ns: int | None = None) -> None:
        after = TRANSITIONS.get((self._state, cause))
        if after is None:
            return
        if self._mode is Mode.OBSERVE:
            self._enter(_CLOSED, cause, at, would_open=True)
        else:
            self._enter(after, cause, at, hint_ns)

    def _enter(
        self, state: State, reason: str, at: int, hint_ns: int | None = None, *, would_open: bool = False
    ) -> None:
        before = self._state
        self._trips = self._trips_left(at)
        self._generation += 1
        self._trials.forget()
        if self._overdue is not None:
            self._overdue.forget()
        until: int | None = None
        if state is _OPEN:
            self._trips = min(self._trips + 1, self._settings.most_trips)
            wait = max(self._settings.back_off(self._trips, self._random), min(hint_ns or 0, LONGEST_HINT))
            until = max(self._until, at + wait)
            self._until = max(until, at + self._hold)
        elif state is _HALF_OPEN:
            self._since = at
        else:
            self._window.clear()
            self._start_order.clear()
            self._since = at
        self._state = state
        self._end_slow_start()
        if state is _CLOSED and self._settings.slow_start_s and self._mode is Mode.AUTO:
            self._slow_start = SlowStart(at, int(self._settings.slow_start_s * SECOND))
            self.must_look = True
        self._changed(Change(before, state, str(reason), until, self._generation, at, would_open))

    def _trips_left(self, at: int) -> int:
        if self._state is not _CLOSED:
            return self._trips
        healthy = max(0, at - self._since)
        return max(0, self._trips - healthy // int(self._settings.healthy_for_s * SECOND))
