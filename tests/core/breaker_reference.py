"""A breaker written from the rules alone: lists of everything that ever happened, searched anew for each question."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator

from attrs import define, evolve, field

from failsoft.core.breaker import BreakerSettings, Change, Mode, Refused, State
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement

MS = 1_000_000
WIDTH, CELLS = SECOND, 6
SETTINGS = BreakerSettings(
    window_s=6, buckets=CELLS, min_calls=6, consecutive=3, consecutive_busy=5, busy_calls=9, open_base_s=1,
    open_cap_s=4, healthy_for_s=3, lease_slack_s=0.5, fair_cap_s=3,
)  # fmt: skip
SLOW = evolve(SETTINGS, slow_rate=60, slow_after_s=1.5)
COUNT = evolve(SETTINGS, window="count", window_calls=8)
GENTLE = evolve(SETTINGS, slow_start_s=5)
VARIANTS = [SETTINGS, SLOW, COUNT, evolve(COUNT, slow_rate=60, slow_after_s=1.5), GENTLE]
MOST_TRIPS = 3  # 1, 2, 4 seconds
LEASE = 3 * SECOND + SECOND // 2
"""The longest there is."""


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
    overdue: Outcome | None = None


@define(eq=False)
class Outcome:
    """One call in the window."""

    at: int
    failed: bool
    slow: bool = False


@define(eq=False)
class Reference:
    """The rules, by brute force."""

    random: random.Random
    settings: BreakerSettings
    mode: Mode = Mode.AUTO
    account: int | None = None  # of a slow start that goes on
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
    outcomes: list[Outcome] = field(factory=list)
    successes: list[tuple[int, int]] = field(factory=list)
    trial_results: list[bool] = field(factory=list)
    failed_calls: list[int] = field(factory=list)
    changes: list[Change] = field(factory=list)
    untried_since: int = 0

    # --- questions ---

    def window(self, now: int) -> list[Outcome]:
        if self.settings.window == "count":
            return self.outcomes[-self.settings.window_calls :]
        return [each for each in self.outcomes if each.at // WIDTH > now // WIDTH - CELLS]

    def slow_after(self) -> int:
        return int(self.settings.slow_after_s * SECOND)

    def in_flight(self, now: int) -> int:
        return sum(
            not each.settled
            and each.overdue is None
            and each.generation == self.generation
            and each.lease // WIDTH >= now // WIDTH
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

    def share(self, now: int) -> int:
        return 10 + 90 * (now - self.healthy_since) // (5 * SECOND)

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

    def move(self, state: State, reason: str, at: int, hint: int | None = None) -> None:
        if self.mode is Mode.OBSERVE:
            self.go(State.CLOSED, reason, at, would_open=True)
        else:
            self.go(state, reason, at, hint)

    def go(self, state: State, reason: str, at: int, hint: int | None = None, would_open: bool = False) -> None:
        before, self.trips = self.state, self.trips_left(at)
        self.generation += 1
        self.trial_results, self.neutral_replies = [], 0
        self.account = None
        if state is State.OPEN:
            self.trips = min(self.trips + 1, MOST_TRIPS)
            jitter = 1 + 0.2 * (2 * self.random.random() - 1)
            wait = int(min(4.0, 1.0 * 2.0 ** (self.trips - 1) * jitter) * SECOND)
            self.until = max(self.until, at + max(wait, min(hint or 0, 3600 * SECOND)))
        if state is State.CLOSED:
            self.outcomes, self.failed_calls = [], []
            self.era = len(self.attempts)
            self.healthy_since = at
            if self.settings.slow_start_s and self.mode is Mode.AUTO:
                self.account = 90
        if state is State.HALF_OPEN:
            self.untried_since = at
        self.state = state
        until = self.until if state is State.OPEN else None
        self.changes.append(Change(before, state, reason, until, self.generation, at, would_open))

    def pass_time(self, now: int) -> None:
        while self.settings.slow_rate and self.state is State.CLOSED:
            late = [
                each
                for each in self.attempts
                if not (each.trial or each.settled or each.overdue)
                and each.generation == self.generation
                and each.started + self.slow_after() <= now
            ]
            if not late:
                break
            due = late[0].started + self.slow_after()
            late[0].overdue = Outcome(due, False, True)
            self.outcomes.append(late[0].overdue)
            self.slow_rule(due)
        while True:
            expired = sorted((each for each in self.trials() if each.lease <= now), key=lambda each: each.lease)
            if self.state is State.OPEN and self.until <= now:
                self.go(State.HALF_OPEN, "waited", self.until)
            elif self.state is State.HALF_OPEN and expired:
                expired[0].lost = True
                self.trial_result(False, expired[0].lease)
            else:
                return

    def slow_rule(self, now: int) -> None:
        window = self.window(now)
        slow = sum(each.slow for each in window)
        if self.settings.slow_rate and len(window) >= 6 and slow * 100 >= self.settings.slow_rate * len(window):
            self.move(State.OPEN, "slow", now)

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
                slow = self.settings.slow_rate > 0 and now - attempt.started >= self.slow_after()
                self.trial_result(settlement is Settlement.SUCCESS and not slow, now, hint)
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
        if attempt.overdue is None:
            self.outcomes.append(Outcome(now, failed))
        elif attempt.overdue in self.window(now):
            attempt.overdue.failed = failed
        else:
            self.outcomes.append(Outcome(now, failed, True))
        window = self.window(now)
        attempt.mark = "failed" if failed else "ok"
        if failed:
            seen = attempt.call in self.failed_calls[-32:]
            if seen and len(window) >= 20:
                attempt.mark = "transparent"
            elif attempt.call is not None and not seen:
                self.failed_calls.append(attempt.call)
            needed = 3 if len(window) < 9 else 5
            if attempt.mark == "failed" and self.run(attempt) >= needed and self.state is State.CLOSED:
                self.move(State.OPEN, "consecutive", now, hint)
                return
        if self.state is not State.CLOSED:
            return  # forced: it's counted, and moves nothing
        failures = sum(each.failed for each in window)
        if len(window) >= 6 and failures and failures * 100 >= 50 * (len(window) + self.in_flight(now)):
            self.move(State.OPEN, "rate", now, hint)
        else:
            self.slow_rule(now)
