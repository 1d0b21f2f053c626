"""Throttle, retry budget and limits against references that keep everything that happened and add it up anew each time."""

from __future__ import annotations

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from failsoft.core.effects import MILLISECOND, SECOND
from failsoft.core.limits import CELLS, DAY, Limited, Limits, LimitSettings, Reservation
from failsoft.core.retry_budget import RetryBudget
from failsoft.core.throttle import Throttle, ThrottleChange
from failsoft.fault import Fault, FaultKind

MOMENTS = st.sampled_from([0, 1, 15, 125, 250, 1_000, 4_000, 6_000, 30_000, 70_000, 4_000_000])


class Half:
    """A random source that always says one half."""

    def random(self) -> float:
        return 0.5

    def getrandbits(self, k: int, /) -> int:
        raise AssertionError


class ThrottleMachine(RuleBasedStateMachine):
    """Told to wait, with and without a hint; asked, answered and looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 10**12
        self.told: list[ThrottleChange] = []
        self.expected: list[ThrottleChange] = []
        self.throttle = Throttle(Half(), self.told.append)
        self.until = 0
        self.last_until = 0
        self.waits = 0
        self.answered: list[int] = []
        self.gone: list[int] = []

    def release(self) -> None:
        """What falls due by now."""
        if self.until and self.now >= self.until:
            answered = sum(at >= self.until for at in self.answered)
            if answered + (self.now - self.until) // (5 * SECOND) >= 7:
                self.free()

    def free(self) -> None:
        self.until = self.waits = 0
        self.expected.append(ThrottleChange(0, False))

    def next(self) -> int:
        self.release()
        if not self.until or self.now < self.until:
            return self.until
        steps = sum(at >= self.until for at in self.answered) + (self.now - self.until) // (5 * SECOND)
        moment = max([at for at in self.gone if at >= self.until], default=-(10**18)) + SECOND // 2**steps
        return moment if moment > self.now else 0

    @rule(milliseconds=MOMENTS)
    def time_passes(self, milliseconds: int) -> None:
        self.now += milliseconds * MILLISECOND

    @rule(hint=st.none() | st.sampled_from([-SECOND, 0, 300 * MILLISECOND, 3 * SECOND, 90 * SECOND, 10_000 * SECOND]))
    def is_throttled(self, hint: int | None) -> None:
        self.release()
        self.throttle.throttled(self.now, hint)
        if hint is not None and hint >= 0:
            wait = min(hint, 3_600 * SECOND)
        elif self.now < self.until:
            return
        else:
            self.waits += 1
            wait = min(60, 5 * 2 ** (self.waits - 1)) * SECOND
        until = self.now + wait + max(SECOND // 5, wait // 10) // 2
        if until > self.until:
            self.until = until
            self.expected.append(ThrottleChange(until, hint is not None and hint >= 0))

    @rule()
    def asks(self) -> None:
        expected = self.next()
        assert self.throttle.admit(self.now) == expected
        if not expected and self.until:
            self.gone.append(self.now)

    @rule()
    def is_answered(self) -> None:
        if self.until and self.now >= self.until:
            self.answered.append(self.now)
            self.release()
        self.throttle.succeeded(self.now)

    @rule()
    def is_lifted(self) -> None:
        if self.until:
            self.free()
        self.throttle.lift()

    @rule()
    def waiting_as_told_leads_to_an_attempt(self) -> None:
        for _ in range(2):  # the wait, and then perhaps the pace
            self.now = max(self.now, self.next())
        assert self.throttle.until(self.now) == self.next() == 0

    @rule()
    def looks(self) -> None:
        expected = self.next()
        assert self.throttle.until(self.now) == expected
        assert self.throttle.until(self.now) == expected
        assert expected == 0 or expected > self.now
        assert self.told == self.expected

    @invariant()
    def until_is_never_shortened_but_by_a_release(self) -> None:
        assert self.throttle._until in (self.until, self.last_until, 0)
        assert self.throttle._until in (0, self.last_until) or self.throttle._until > self.last_until
        self.last_until = self.throttle._until


class BudgetMachine(RuleBasedStateMachine):
    """First attempts, repetitions and time, in halves of a second: all figures are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.budget = RetryBudget()
        self.tokens = 50.0
        self.last: int | None = None  # time counts from the first question on

    def gain(self, tokens: float) -> None:
        self.tokens = min(50.0, self.tokens + tokens)

    def see(self) -> None:
        if self.last is not None:
            self.gain((self.now - self.last) / SECOND * 1.5)
        self.last = self.now

    @rule(halves=st.sampled_from([0, 1, 2, 3, 7, 20, 200]))
    def time_passes(self, halves: int) -> None:
        self.now += halves * SECOND // 2

    @rule(times=st.integers(1, 30))
    def first_attempts(self, times: int) -> None:
        self.budget.first_attempts += times
        self.gain(times * 0.5)

    @rule(kind=st.sampled_from([None, FaultKind.SERVER_ERROR, FaultKind.ATTEMPT_TIMEOUT]), times=st.integers(1, 12))
    def repeats(self, kind: FaultKind | None, times: int) -> None:
        cost = 10 if kind is FaultKind.ATTEMPT_TIMEOUT else 5
        for _ in range(times):
            self.see()
            allowed = self.tokens >= cost
            assert self.budget.take(self.now, None if kind is None else Fault(kind)) == allowed
            self.tokens -= cost * allowed

    @rule()
    def a_clock_read_out_of_order_takes_nothing(self) -> None:
        self.see()
        before = self.budget.left(self.now)
        assert self.budget.left(self.now - SECOND) == before

    @rule()
    def looks(self) -> None:
        self.see()
        assert self.budget.left(self.now) == self.tokens
        assert 0 <= self.tokens <= 50


@define(eq=False)
class Taken:
    """What one attempt took."""

    reservation: Reservation
    tick: int
    day: int
    requests: int
    tokens: int
    settled: bool = field(init=False, default=False)


class LimitsMachine(RuleBasedStateMachine):
    """Attempts that take of four quotas, correct what they took, or give it back."""

    @initialize(
        minute=st.tuples(st.none() | st.integers(1, 12), st.none() | st.integers(1, 90)),
        day=st.tuples(st.none() | st.integers(1, 40), st.none() | st.integers(1, 400)),
        offset=st.integers(0, DAY),
    )
    def begin(self, minute: tuple[int | None, int | None], day: tuple[int | None, int | None], offset: int) -> None:
        self.now = 10**12
        self.offset = offset
        self.quotas = [None if each is None else max(1, each * 9 // 10) for each in (*minute, *day)]
        self.limits = Limits(LimitSettings(*minute, *day))
        self.taken: list[Taken] = []

    def in_minute(self, what: str, at: int) -> int:
        """Of what was taken, that which a window that ends at second `at` still holds."""
        return sum(getattr(each, what) for each in self.taken if at - CELLS < each.tick)

    def refusal(self, tokens: int) -> tuple[str, int | None] | None:
        tick, utc = self.now // SECOND, self.now + self.offset
        for index, (what, amount) in enumerate([("requests", 1), ("tokens", tokens)]):
            quota = self.quotas[index]
            if quota is not None and self.in_minute(what, tick) + amount > quota:
                if amount > quota:
                    return f"{what}_per_minute", None
                later = next(s for s in range(1, CELLS + 1) if self.in_minute(what, tick + s) + amount <= quota)
                return f"{what}_per_minute", (tick + later) * SECOND - self.now
        for index, (what, amount) in enumerate([("requests", 1), ("tokens", tokens)], 2):
            quota = self.quotas[index]
            today = sum(getattr(each, what) for each in self.taken if each.day == utc // DAY)
            if quota is not None and today + amount > quota:
                return f"{what}_per_day", None if amount > quota else (utc // DAY + 1) * DAY - utc
        return None

    @rule(seconds=st.sampled_from([0, 0.3, 1, 2, 17, 59, 60, 61, 7_000, 86_400]))
    def time_passes(self, seconds: float) -> None:
        self.now += int(seconds * 10) * SECOND // 10

    @rule(tokens=st.integers(0, 40), times=st.integers(1, 4))
    def takes(self, tokens: int, times: int) -> None:
        for _ in range(times):
            expected = self.refusal(tokens)
            got = self.limits.take(self.now, self.now + self.offset, tokens)
            if isinstance(got, Limited):
                assert (got.quota, got.wait_ns) == expected
                assert got.wait_ns is None or got.wait_ns > 0
            else:
                assert expected is None
                self.taken.append(Taken(got, self.now // SECOND, (self.now + self.offset) // DAY, 1, tokens))

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), used=st.none() | st.integers(0, 60))
    def settles(self, data: st.DataObject, used: int | None) -> None:
        each = data.draw(st.sampled_from(self.taken[-5:]))
        self.limits.settle(each.reservation, used)
        if not each.settled and used is not None:
            each.tokens = used
        each.settled = True

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def gives_back(self, data: st.DataObject) -> None:
        each = data.draw(st.sampled_from(self.taken[-5:]))
        self.limits.give_back(each.reservation)
        if not each.settled:
            each.requests = each.tokens = 0
        each.settled = True


TestThrottle = ThrottleMachine.TestCase
TestBudget = BudgetMachine.TestCase
TestLimits = LimitsMachine.TestCase
for machine in (TestThrottle, TestBudget, TestLimits):
    machine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
del machine
