"""A half-open breaker whose trials are lost must not refuse for ever.

resilience4j#544, #935, #903, #2028; Polly#1979; Hystrix PR#1621, #1723, #1781, #1853; opossum#276, PR#59; jrugged#45.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.still import Still

from failsoft.core.breaker import Breaker, BreakerSettings, Permit, Refused
from failsoft.core.breaker_trials import Trials
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement

TIMEOUT = 30 * SECOND
SETTINGS = BreakerSettings()


def lose_every_permit(seed: int, losses: int, step: int) -> None:
    breaker = Breaker(SETTINGS, Still(), random.Random(seed))
    for _ in range(5):
        permit = breaker.acquire(0, TIMEOUT)
        assert isinstance(permit, Permit)
        permit.settle(Settlement.FAILURE, 0)
    now = last = 0
    bound = int(SETTINGS.open_cap_s * SECOND) + TIMEOUT + int(SETTINGS.lease_slack_s * SECOND)
    while losses:
        got = breaker.acquire(now, TIMEOUT)
        if isinstance(got, Permit):
            losses, last = losses - 1, now
        else:
            assert now - last <= bound + step * SECOND
        now += step * SECOND


@given(seed=st.integers(0, 1_000), losses=st.integers(2, 30), step=st.integers(1, 200))
def test_with_every_permit_lost_a_call_is_admitted_within_the_cap_and_one_lease(
    seed: int, losses: int, step: int
) -> None:
    lose_every_permit(seed, losses, step)


@given(seed=st.integers(0, 1_000))
def test_waiting_as_told_leads_to_a_permit(seed: int) -> None:
    breaker = Breaker(SETTINGS, Still(), random.Random(seed))
    now = 0
    for _ in range(40):
        got = breaker.acquire(now, TIMEOUT)
        if isinstance(got, Refused):
            assert got.retry_after_ns > 0
            now += got.retry_after_ns
            # Lost trials may have opened it again when they fell due: then it says so, and once more is enough.
            again = breaker.acquire(now, TIMEOUT)
            if isinstance(again, Refused):
                now += again.retry_after_ns
                assert isinstance(breaker.acquire(now, TIMEOUT), Permit)
        else:
            got.settle(Settlement.FAILURE, now)


def test_trials_without_a_lease_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trials, "lost", lambda *_: None)
    with pytest.raises(AssertionError):
        lose_every_permit(seed=0, losses=10, step=5)
