"""The latches of two adapters that share a credential, against a reference that keeps all that happened.

The reference holds no state to move: whether the way is open, when the next trial is due and whether a success proves
anything are read anew each time from the list of what was said and done.
"""

from __future__ import annotations

from attrs import define, field, frozen
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from failsoft.core.effects import SECOND
from failsoft.core.latch import Latch, LatchChange
from failsoft.core.route import GuardedAdapter, NoBlocks
from failsoft.io.drive_simulated import VirtualClock
from tests.core.scripted import guarded

MINUTE = 60 * SECOND
DELAYS = [5, 10, 20, 40, 60]
"""Minutes until the first trial, the second, …; the last holds for all that follow."""

CAUSES = ["credential refused", "model gone"]

Ending = tuple[str, str, bool] | None
"""How an attempt ends: (which latch it trips, the cause, whether it's certain), or None: it's answered."""

ENDINGS = st.none() | st.tuples(
    st.sampled_from(["credential", "pin"]), st.sampled_from(CAUSES), st.sampled_from([False, False, True])
)


class Half:
    """A random source that always says one half: each delay is prolonged by a twentieth."""

    def random(self) -> float:
        return 0.5

    def getrandbits(self, k: int, /) -> int:
        raise AssertionError


@frozen
class Told:
    """An attempt or a peer said that something is wrong; `call` is None for a peer's word."""

    at: int
    cause: str
    certain: bool
    call: object
    peer: bool = False


@frozen
class Trial:
    """An attempt went, since its time had come."""

    at: int


@define(eq=False)
class Reference:
    """What a latch should say, read from its history since the way was last known to be open."""

    history: list[Told | Trial] = field(factory=list[Told | Trial])
    changes: list[LatchChange] = field(factory=list[LatchChange])

    def closed_by(self) -> int | None:
        """The place in the history of the word that closed the way."""
        callers: set[object] = set()
        for place, each in enumerate(self.history):
            assert isinstance(each, Told), "nobody makes a trial while the way is open"
            callers.add(each.call)
            if each.certain or len(callers) == 2:
                return place
        return None

    def standing(self) -> tuple[str | None, int, bool]:
        """(what's wrong, when the next trial is due, whether a success would prove that it's mended)."""
        place = self.closed_by()
        if place is None:
            return None, 0, False
        first = self.history[place]
        assert isinstance(first, Told)
        trials = [each.at for each in self.history if isinstance(each, Trial)]
        return first.cause, (trials or [first.at])[-1] + delay(len(trials)), bool(trials)

    def says(self, told: Told) -> None:
        before = self.closed_by()
        self.history.append(told)
        if before is None and self.closed_by() is not None:
            self.changes.append(LatchChange(told.cause, told.peer, told.at))

    def refuses(self, now: int) -> str | None:
        """The cause, or None where one may go."""
        cause, due, _ = self.standing()
        return cause if now < due else None

    def goes(self, now: int) -> None:
        if self.closed_by() is not None:
            self.history.append(Trial(now))

    def answered(self) -> None:
        cause, _, proves = self.standing()
        if cause is None or proves:
            self.opens(peer=False)

    def opens(self, *, peer: bool) -> None:
        if self.closed_by() is not None:
            self.changes.append(LatchChange(None, peer))
        self.history.clear()


def delay(number: int) -> int:
    return DELAYS[min(number, len(DELAYS) - 1)] * MINUTE * 21 // 20


@frozen
class Attempt:
    adapter: int
    call: int


class LatchMachine(RuleBasedStateMachine):
    """Attempts of both adapters, under way for as long as they like, and how they end; peers; an operator."""

    @initialize()
    def begin(self) -> None:
        self.now = 10**12
        clock = VirtualClock()
        self.told: list[list[LatchChange]] = [[], [], []]
        self.latches = [Latch(Half(), each.append) for each in self.told]
        self.expected = [Reference(), Reference(), Reference()]
        self.adapters: list[GuardedAdapter] = []
        for place in range(2):
            adapter = guarded(f"adapter-{place}", clock, credential=self.latches[2])
            adapter.latch = self.latches[place]
            adapter.latches = (adapter.latch, adapter.credential)
            self.adapters.append(adapter)
        self.under_way = [Attempt(place % 2, place % 3) for place in range(6)]  # from before anything is known

    def of(self, adapter: int) -> list[Reference]:
        return [self.expected[adapter], self.expected[2]]

    def refused(self, adapter: int) -> str | None:
        return next((cause for each in self.of(adapter) if (cause := each.refuses(self.now))), None)

    @rule(seconds=st.sampled_from([1, 314, 315, 1_200, 4_000]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(adapter=st.integers(0, 1), call=st.integers(0, 2))
    def an_attempt_goes(self, adapter: int, call: int) -> None:
        cause = self.refused(adapter)
        if cause is None:
            for each in self.of(adapter):
                each.goes(self.now)
            self.under_way.append(Attempt(adapter, call))
        got = self.adapters[adapter].admit(self.now)
        assert got == (None if cause is None else ("latched", cause))

    @rule(adapter=st.integers(0, 1), call=st.integers(0, 2), ending=ENDINGS)
    def an_attempt_goes_and_ends(self, adapter: int, call: int, ending: Ending) -> None:
        before = len(self.under_way)
        self.an_attempt_goes(adapter, call)
        if len(self.under_way) > before:
            self.ends(self.under_way.pop(), ending)

    @precondition(lambda self: self.under_way)
    @rule(place=st.integers(0, 9), ending=ENDINGS)
    def an_attempt_under_way_ends(self, place: int, ending: Ending) -> None:
        self.ends(self.under_way.pop(place % len(self.under_way)), ending)

    def ends(self, attempt: Attempt, ending: Ending) -> None:
        if ending is not None:
            which, cause, certain = ending
            place = attempt.adapter if which == "pin" else 2
            self.latches[place].trip(cause, certain, attempt.call, self.now)
            self.expected[place].says(Told(self.now, cause, certain, attempt.call))
            return
        for latch, reference in zip(self.adapters[attempt.adapter].latches, self.of(attempt.adapter), strict=True):
            latch.succeeded()
            reference.answered()

    @rule(place=st.integers(0, 2))
    def somebody_says_that_it_is_mended(self, place: int) -> None:
        self.latches[place].lift()
        self.expected[place].opens(peer=False)

    @rule(place=st.integers(0, 2), cause=st.none() | st.sampled_from(CAUSES), ago=st.sampled_from([0, 60, 9_000]))
    def another_process_says(self, place: int, cause: str | None, ago: int) -> None:
        at = self.now - ago * SECOND
        self.latches[place].advised(cause, at)
        if cause is None:
            self.expected[place].opens(peer=True)
        else:
            self.expected[place].says(Told(at, cause, True, None, peer=True))

    @rule(adapter=st.integers(0, 1))
    def looks(self, adapter: int) -> None:
        cause = self.refused(adapter)
        for _ in range(2):  # a look takes nothing
            assert self.adapters[adapter].latched(self.now) == cause
            got = self.adapters[adapter].refusal(self.now, frozenset(), NoBlocks())
            assert got == (None if cause is None else ("latched", cause))

    @rule(adapter=st.integers(0, 1))
    def who_waits_long_enough_goes_and_nobody_with_him(self, adapter: int) -> None:
        waited = self.now
        while self.refused(adapter) is not None:
            self.now = max(each.standing()[1] for each in self.of(adapter) if each.standing()[0])
        assert self.now - waited <= 63 * MINUTE
        latched = [each.standing()[0] for each in self.of(adapter)]
        self.an_attempt_goes(adapter, 0)
        again = self.adapters[adapter].admit(self.now)
        assert again == (("latched", next(filter(None, latched))) if any(latched) else None)

    @invariant()
    def both_agree(self) -> None:
        for latch, reference, told in zip(self.latches, self.expected, self.told, strict=True):
            cause, due, _ = reference.standing()
            assert latch._cause == cause
            assert cause is None or latch._due == due
            assert latch.clear == (not reference.history)
            assert told == reference.changes


TestLatches = LatchMachine.TestCase
TestLatches.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
