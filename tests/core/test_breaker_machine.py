"""The breaker against a reference that is written from the rules alone: lists of everything that ever happened,
searched anew for each question."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from failsoft.core.breaker import Breaker, BreakerSettings, Change, Permit, Refused, State
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement

MS = 1_000_000
WIDTH, CELLS = SECOND, 6
SETTINGS = BreakerSettings(
    window_s=6, buckets=CELLS, min_calls=6, consecutive=3, consecutive_busy=5, busy_calls=9, open_base_s=1,
    open_cap_s=4, healthy_for_s=3, lease_slack_s=0.5, fair_cap_s=3,
)  # fmt: skip
MOST_TRIPS = 3  # 1, 2, 4 seconds


@define(eq=False)
class Attempt:
    number: int
    started: int
    lease: int
    generation: int
    trial: bool
    call: int | None
    settled: bool = False
    lost: bool = False
    mark: str = "in flight"


@define(eq=False)
class Reference:
    """The rules, by brute force."""

    random: random.Random
    state: State = State.CLOSED
    generation: int = 0
    until: int = 0
    trips: int = 0
    healthy_since: int = 0
    era: int = 0  # the first start number that counts
    late: int = 0
    double: int = 0
    neutral_replies: int = 0
    attempts: list[Attempt] = field(factory=list)
    outcomes: list[tuple[int, bool]] = field(factory=list)
    successes: list[tuple[int, int]] = field(factory=list)
    trial_results: list[bool] = field(factory=list)
    failed_calls: list[int] = field(factory=list)
    changes: list[Change] = field(factory=list)
    untried_since: int = 0

    # --- questions ---

    def window(self, now: int) -> list[bool]:
        return [failed for at, failed in self.outcomes if at // WIDTH > now // WIDTH - CELLS]

    def in_flight(self, now: int) -> int:
        return sum(
            not each.settled and each.generation == self.generation and each.lease // WIDTH >= now // WIDTH
            for each in self.attempts
            if not each.trial
        )

    def trials(self) -> list[Attempt]:
        return [
            each
            for each in self.attempts
            if each.trial and each.generation == self.generation and not each.settled and not each.lost
        ]

    def fair_time(self, now: int) -> int:
        fresh = [took // MS for at, took in self.successes[-64:] if at // WIDTH > now // WIDTH - CELLS]
        if len(fresh) < 10:
            return 3 * SECOND  # 5 s, capped
        return min(3 * SECOND, max(SECOND, int(2 * statistics.median(fresh)) * MS))

    def trips_left(self, now: int) -> int:
        if self.state is not State.CLOSED:
            return self.trips
        return max(0, self.trips - (now - self.healthy_since) // (3 * SECOND))

    def run(self, attempt: Attempt) -> int:
        """Failures in a row around an attempt, in order of start."""
        here = [each for each in self.attempts if each.number >= self.era]
        good = max((each.number for each in here if each.mark == "ok"), default=-1)
        if attempt.number < good:
            return 0

        def count(others: Iterator[Attempt]) -> int:
            found = 0
            for each in others:
                if each.mark == "failed" and each.number > good:
                    found += 1
                elif each.mark != "transparent":
                    break
            return found

        left = reversed([each for each in here if each.number < attempt.number])
        right = iter([each for each in here if each.number > attempt.number])
        return 1 + count(left) + count(right)

    def refusal(self, now: int, remaining: int | None) -> Refused | None:
        if self.state is State.CLOSED:
            return None
        if self.state is State.OPEN:
            return Refused("open", self.until - now)
        out = self.trials()
        if len(out) >= 2 or len(out) + len(self.trial_results) >= 3:
            return Refused("trials_taken", min(each.lease for each in out) - now)
        if remaining is not None and remaining < self.fair_time(now):
            return Refused("deadline_too_short", 0)
        return None

    # --- what happens ---

    def go(self, state: State, reason: str, at: int, hint: int | None = None) -> None:
        before, self.trips = self.state, self.trips_left(at)
        self.generation += 1
        self.trial_results, self.neutral_replies = [], 0
        if state is State.OPEN:
            self.trips = min(self.trips + 1, MOST_TRIPS)
            jitter = 1 + 0.2 * (2 * self.random.random() - 1)
            wait = int(min(4.0, 1.0 * 2.0 ** (self.trips - 1) * jitter) * SECOND)
            self.until = max(self.until, at + max(wait, min(hint or 0, 3600 * SECOND)))
        if state is State.CLOSED:
            self.outcomes, self.failed_calls = [], []
            self.era = len(self.attempts)
            self.healthy_since = at
        if state is State.HALF_OPEN:
            self.untried_since = at
        self.state = state
        until = self.until if state is State.OPEN else None
        self.changes.append(Change(before, state, reason, until, self.generation, at))

    def pass_time(self, now: int) -> None:
        while True:
            expired = sorted((each for each in self.trials() if each.lease <= now), key=lambda each: each.lease)
            if self.state is State.OPEN and self.until <= now:
                self.go(State.HALF_OPEN, "waited", self.until)
            elif self.state is State.HALF_OPEN and expired:
                expired[0].lost = True
                self.trial_result(False, expired[0].lease)
            else:
                return

    def trial_result(self, success: bool, at: int, hint: int | None = None) -> None:
        self.neutral_replies = 0
        self.trial_results.append(success)
        if self.trial_results.count(True) == 2:
            self.go(State.CLOSED, "trials_succeeded", at)
        elif self.trial_results.count(False) == 2:
            self.go(State.OPEN, "trials_failed", at, hint)

    def settle(self, attempt: Attempt, settlement: Settlement, now: int, hint: int | None, whole: bool) -> None:
        if attempt.settled:
            self.double += 1
            return
        if attempt.lost or attempt.generation != self.generation:
            attempt.settled = True
            self.late += 1
            return
        attempt.settled = True
        if settlement is Settlement.SUCCESS:
            self.successes.append((now, now - attempt.started))
        if attempt.trial:
            if settlement is not Settlement.NEUTRAL:
                self.trial_result(settlement is Settlement.SUCCESS, now, hint)
            elif whole:
                self.neutral_replies += 1
                if self.neutral_replies == 3:
                    self.go(State.CLOSED, "trials_neutral", now)
            return
        self.closed_result(attempt, settlement, now, hint)

    def closed_result(self, attempt: Attempt, settlement: Settlement, now: int, hint: int | None) -> None:
        if settlement is Settlement.NEUTRAL:
            attempt.mark = "transparent"
            return
        failed = settlement is Settlement.FAILURE
        self.outcomes.append((now, failed))
        window = self.window(now)
        attempt.mark = "failed" if failed else "ok"
        if failed:
            seen = attempt.call in self.failed_calls[-32:]
            if seen and len(window) >= 20:
                attempt.mark = "transparent"
            elif attempt.call is not None and not seen:
                self.failed_calls.append(attempt.call)
            needed = 3 if len(window) < 9 else 5
            if attempt.mark == "failed" and self.run(attempt) >= needed:
                self.go(State.OPEN, "consecutive", now, hint)
                return
        if len(window) >= 6 and sum(window) * 100 >= 50 * (len(window) + self.in_flight(now)):
            self.go(State.OPEN, "rate", now, hint)


class BreakerMachine(RuleBasedStateMachine):
    """Everything that can happen to a breaker, in any order."""

    @initialize(seed=st.integers(0, 99), start=st.integers(0, 10**15), eager=st.booleans())
    def begin(self, seed: int, start: int, eager: bool) -> None:
        self.now = start
        self.eager = eager  # look after each step, or hardly ever: lazy transitions must come to the same
        self.changes: list[Change] = []
        self.breaker = Breaker(SETTINGS, self, random.Random(seed), self.changes.append)
        self.reference = Reference(random.Random(seed), until=start, healthy_since=start)
        self.pairs: list[tuple[Permit, Attempt]] = []
        self.last_until = start

    def monotonic_ns(self) -> int:
        return self.now

    def time_ns(self) -> int:
        raise AssertionError

    def admit(self, timeout: int, call: int | None, remaining: int | None) -> tuple[Permit, Attempt] | None:
        self.reference.pass_time(self.now)
        expected = self.reference.refusal(self.now, remaining)
        assert self.breaker.peek(self.now, remaining_ns=remaining) == expected
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
        assert got.trial == (self.reference.state is State.HALF_OPEN)
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
        self.reference.go(State.HALF_OPEN, "unblocked", self.now)
        self.breaker.to_trial("unblocked", self.now)

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
        assert (seen.calls, seen.failures) == (len(window), sum(window))
        closed = reference.state is State.CLOSED
        assert seen.in_flight == (reference.in_flight(now) if closed else len(reference.trials()))
        assert (seen.until_ns, seen.trips) == (reference.until, reference.trips_left(now))
        assert (seen.late_results, seen.double_settles) == (reference.late, reference.double)
        assert seen.admitted == len(self.pairs)
        assert seen.listener_errors == 0
        assert self.changes == reference.changes
        assert self.breaker.fair_time(now) == reference.fair_time(now)

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
