"""An attempt that ran into its time says how long callers wait, and not how long answers take.

concurrency-limits#137, PR#134: where every attempt ended in the client's own timeout, the adaptive limit took these for round
trips and grew to its maximum. What learns from times here is fair time: of successes only.
"""

from __future__ import annotations

import random

import pytest
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Permit
from failsoft.core.breaker_machine import Machine
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement


def acquired(breaker: Breaker, at: int) -> Permit:
    permit = breaker.acquire(at, 60 * SECOND)
    assert isinstance(permit, Permit)
    return permit


@pytest.mark.parametrize("settlement", [Settlement.FAILURE, Settlement.NEUTRAL])
def test_only_successes_say_how_long_an_answer_takes(settlement: Settlement) -> None:
    breaker = Breaker(
        BreakerSettings(min_calls=1_000, consecutive=1_000, consecutive_busy=1_000), Still(), random.Random(0)
    )
    for _ in range(20):
        acquired(breaker, 0).settle(Settlement.SUCCESS, SECOND)
    before = breaker.fair_time(SECOND)
    for _ in range(100):
        acquired(breaker, 0).settle(settlement, 30 * SECOND)
    assert breaker.fair_time(30 * SECOND) == before == 2 * SECOND


def test_a_trial_that_failed_says_nothing_of_it_either() -> None:
    breaker = Breaker(BreakerSettings(), Still(), random.Random(0))
    for _ in range(20):
        acquired(breaker, 0).settle(Settlement.SUCCESS, SECOND)
    for _ in range(20):
        breaker.to_trial("test", 0)
        for _ in range(2):
            acquired(breaker, 0).settle(Settlement.FAILURE, 30 * SECOND)
    assert breaker.fair_time(30 * SECOND) == 2 * SECOND


@pytest.mark.parametrize("settlement", [Settlement.FAILURE, Settlement.NEUTRAL])
def test_timeouts_taken_for_answers_are_found(settlement: Settlement, monkeypatch: pytest.MonkeyPatch) -> None:
    conclude = Machine._conclude

    def sampling(
        self: Machine, permit: Permit, how: Settlement, now: int, hint_ns: int | None, well_formed: bool
    ) -> None:
        conclude(self, permit, how, now, hint_ns, well_formed)
        if how is not Settlement.SUCCESS:
            self._times.add(self._window.tick, now - permit._started)

    monkeypatch.setattr(Machine, "_conclude", sampling)
    with pytest.raises(AssertionError):
        test_only_successes_say_how_long_an_answer_takes(settlement)
    if settlement is Settlement.FAILURE:
        with pytest.raises(AssertionError):
            test_a_trial_that_failed_says_nothing_of_it_either()
