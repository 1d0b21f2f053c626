"""The breaker against a reference that is written from the rules alone (`tests.core.breaker_reference`)."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from failsoft.core.breaker import Breaker, BreakerSettings, Cause, Change, Mode, Permit, Refused, State
from failsoft.core.effects import SECOND
from failsoft.core.window import TimeWindow
from failsoft.fault import Settlement
from tests.core.breaker_reference import LEASE, MS, SETTINGS, VARIANTS, WIDTH, Attempt, Reference


class BreakerMachine(RuleBasedStateMachine):
    """Everything that can happen to a breaker, in any order."""

    @initialize(
        seed=st.integers(0, 99),
        start=st.integers(0, 10**15),
        eager=st.booleans(),
        settings=st.sampled_from(VARIANTS),
        mode=st.sampled_from([Mode.AUTO, Mode.AUTO, Mode.OBSERVE]),
    )
    def begin(self, seed: int, start: int, eager: bool, settings: BreakerSettings, mode: Mode) -> None:
        self.now = start
        self.eager = eager  # look after each step, or hardly ever: lazy transitions must come to the same
        self.changes: list[Change] = []
        self.breaker = Breaker(settings, self, random.Random(seed), self.changes.append, mode)
        self.reference = Reference(random.Random(seed), settings, mode, until=start, healthy_since=start)
        self.pairs: list[tuple[Permit, Attempt]] = []
        self.last_until = start

    def monotonic_ns(self) -> int:
        return self.now

    def time_ns(self) -> int:
        raise AssertionError

    def admit(self, timeout: int, call: int | None, remaining: int | None) -> tuple[Permit, Attempt] | None:
        self.reference.pass_time(self.now)
        reference = self.reference
        expected = reference.refusal(self.now, remaining)
        trial = reference.state is State.HALF_OPEN and expected is None
        if reference.mode is Mode.FORCED:
            expected = None
        assert self.breaker.peek(self.now, remaining_ns=remaining) == expected
        if reference.account is not None:
            if self.now - reference.healthy_since >= 5 * SECOND:
                reference.account = None
            else:
                reference.account += reference.share(self.now)
                if reference.account < 100:
                    expected = Refused("slow_start", 0)
                else:
                    reference.account -= 100
        got = self.breaker.acquire(self.now, timeout, call=call, remaining_ns=remaining)
        if isinstance(got, Refused):
            assert expected is not None
            untried = self.now - self.reference.untried_since >= SECOND
            if expected.reason == "deadline_too_short" and untried:
                self.reference.untried_since = self.now
                expected = Refused(expected.reason, expected.retry_after_ns, detach=True)
            assert got == expected
            assert got.retry_after_ns >= 0
            return None
        assert expected is None
        assert got.trial == trial
        assert got.generation == self.reference.generation
        attempt = Attempt(
            len(self.reference.attempts), self.now, self.now + timeout + SECOND // 2, got.generation, got.trial, call
        )
        self.reference.attempts.append(attempt)
        if got.trial:
            self.reference.untried_since = self.now
        self.pairs.append((got, attempt))
        return got, attempt

    def conclude(
        self, pair: tuple[Permit, Attempt], settlement: Settlement, hint: int | None = None, whole: bool = False
    ) -> None:
        self.reference.pass_time(self.now)
        self.reference.settle(pair[1], settlement, self.now, hint, whole)
        pair[0].settle(settlement, self.now, hint_ns=hint, well_formed=whole)

    @rule(milliseconds=st.sampled_from([0, 1, 40, 250, 500, 1000, 2500, 7000, 60_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.now += milliseconds * MS

    @rule(
        timeout=st.sampled_from([0, 300 * MS, SECOND, 3 * SECOND]),
        call=st.none() | st.integers(0, 3),
        remaining=st.sampled_from([None, None, 500 * MS, 2 * SECOND, 3 * SECOND]),
    )
    def acquire(self, timeout: int, call: int | None, remaining: int | None) -> None:
        self.admit(timeout, call, remaining)

    @precondition(lambda self: self.pairs)
    @rule(
        data=st.data(),
        settlement=st.sampled_from(Settlement),
        hint=st.sampled_from([None, None, 0, 700 * MS, 6 * SECOND]),
        whole=st.booleans(),
    )
    def settle(self, data: st.DataObject, settlement: Settlement, hint: int | None, whole: bool) -> None:
        newest = self.pairs[-8:]
        self.conclude(data.draw(st.sampled_from(newest)), settlement, hint, whole)

    @rule(count=st.integers(1, 12), failures=st.integers(0, 4), call=st.none() | st.integers(0, 3))
    def a_burst(self, count: int, failures: int, call: int | None) -> None:
        admitted = [pair for _ in range(count) if (pair := self.admit(SECOND, call, None))]
        for place, pair in enumerate(admitted):
            self.conclude(pair, Settlement.FAILURE if place < failures else Settlement.SUCCESS)

    @precondition(lambda self: self.pairs)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        permit, attempt = data.draw(st.sampled_from(self.pairs[-8:]))
        fair = self.now - attempt.started >= self.reference.fair_time(self.now)
        self.reference.pass_time(self.now)
        kind = Settlement.FAILURE if fair else Settlement.NEUTRAL
        self.reference.settle(attempt, kind, self.now, None, False)
        permit.cut(self.now)

    @precondition(lambda self: self.pairs)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        permit, attempt = data.draw(st.sampled_from(self.pairs[-8:]))
        if not attempt.settled:
            self.reference.pass_time(self.now)
            self.breaker.snapshot(self.now)
            self.reference.settle(attempt, Settlement.NEUTRAL, self.now, None, False)
        permit.abandon()
        self.breaker.snapshot(self.now)

    @rule()
    def to_trial(self) -> None:
        self.reference.pass_time(self.now)
        if self.reference.mode is not Mode.OBSERVE:
            self.reference.go(State.HALF_OPEN, "unblocked", self.now)
        self.breaker.to_trial("unblocked", self.now)

    @rule(mode=st.sampled_from(Mode))
    def to_mode(self, mode: Mode) -> None:
        reference = self.reference
        reference.pass_time(self.now)
        reference.mode = mode
        if mode is Mode.OBSERVE and reference.state is not State.CLOSED:
            reference.go(State.CLOSED, "observe", self.now)
        if mode is not Mode.AUTO:
            reference.account = None
        self.breaker.to_mode(mode, self.now)

    @rule()
    def trip(self) -> None:
        self.reference.pass_time(self.now)
        if self.reference.state is not State.OPEN:
            self.reference.move(State.OPEN, "wrong_model", self.now)
        self.breaker.trip(Cause.WRONG_MODEL, self.now)

    @precondition(lambda self: self.pairs)
    @rule(data=st.data())
    def fail_check(self, data: st.DataObject) -> None:
        permit, attempt = data.draw(st.sampled_from(self.pairs[-8:]))
        reference = self.reference
        reference.pass_time(self.now)
        counts = not (attempt.settled or attempt.lost) and attempt.generation == reference.generation
        reference.settle(attempt, Settlement.NEUTRAL, self.now, None, False)
        if attempt.trial and counts:
            reference.move(State.OPEN, "recovery_check", self.now)
        permit.fail_check(self.now)

    @rule()
    def every_permit_is_lost(self) -> None:
        """Then a call is admitted within the cap and one lease; in a slow start, one of ten."""
        self.reference.pass_time(self.now)
        self.now = max(self.now, self.reference.until) + int(SETTINGS.open_cap_s * SECOND) + LEASE
        tries = 1 if self.reference.account is None else 10
        assert any(self.admit(SECOND, None, None) for _ in range(tries))

    @rule()
    def fork(self) -> None:
        self.look()
        self.breaker.after_fork()
        reference = self.reference
        reference.generation += 1
        reference.trial_results, reference.neutral_replies, reference.failed_calls = [], 0, []
        reference.era = len(reference.attempts)

    @rule()
    def look(self) -> None:
        reference, now = self.reference, self.now
        reference.pass_time(now)
        seen = self.breaker.snapshot(now)
        window = reference.window(now)
        assert (seen.state, seen.generation) == (reference.state, reference.generation)
        assert (seen.calls, seen.failures) == (len(window), sum(each.failed for each in window))
        assert (seen.slow, seen.mode) == (sum(each.slow for each in window), reference.mode)
        self.look_at_cells()
        closed = reference.state is State.CLOSED
        assert seen.in_flight == (reference.in_flight(now) if closed else len(reference.trials()))
        assert (seen.until_ns, seen.trips) == (reference.until, reference.trips_left(now))
        assert (seen.late_results, seen.double_settles) == (reference.late, reference.double)
        assert seen.admitted == len(self.pairs)
        if closed:
            self.look_for_each_permit(seen.in_flight)
        assert seen.listener_errors == 0
        assert self.changes == reference.changes
        assert self.breaker.fair_time(now) == reference.fair_time(now)

    def look_at_cells(self) -> None:
        window = self.breaker._window
        if isinstance(window, TimeWindow):
            each = window.cells
            sums = [sum(window._cells[place * each : (place + 1) * each]) for place in range(4)]
            assert sums == [window.calls, window.failures, window.slow, window.slow_failures]

    def look_for_each_permit(self, in_flight: int) -> None:
        """Each is settled, in flight, overdue, lost, or from before the last change: none is two of these."""
        reference, tick = self.reference, self.now // WIDTH
        left = [each for each in reference.attempts if not each.settled]
        late = [each for each in left if each.generation != reference.generation]
        overdue = [each for each in left if each not in late and each.overdue is not None]
        lost = [each for each in left if each not in late + overdue and each.lease // WIDTH < tick]
        assert len(left) == in_flight + len(late) + len(overdue) + len(lost)

    @invariant()
    def what_always_holds(self) -> None:
        assert self.breaker._until >= self.last_until
        self.last_until = self.breaker._until
        assert len(self.breaker._trials) <= SETTINGS.concurrent_trials
        if self.eager:
            self.look()

    def teardown(self) -> None:
        if hasattr(self, "breaker"):
            self.look()


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
