"""A budget for repeated questions: full at first, emptied by repetitions, filled by first attempts and by time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.retry_budget import CAPACITY, COST, COST_OF_TIMEOUT, PER_FIRST_ATTEMPT, PER_SECOND, RetryBudget
from failsoft.fault import Fault, FaultKind

SECOND = 1_000_000_000
FAILED = Fault(FaultKind.SERVER_ERROR)
TIMED_OUT = Fault(FaultKind.ATTEMPT_TIMEOUT)


def spent(fault: Fault | None = FAILED) -> tuple[RetryBudget, int]:
    budget, taken = RetryBudget(), 0
    while budget.take(0, fault):
        taken += 1
    return budget, taken


@pytest.mark.parametrize(("fault", "times"), [(FAILED, 10), (None, 10), (TIMED_OUT, 5)])
def test_a_full_budget_allows_so_many_repetitions_and_no_more(fault: Fault | None, times: int) -> None:
    assert spent(fault)[1] == times


def test_time_fills_it_for_an_adapter_that_is_seldom_asked() -> None:
    budget, _ = spent()
    assert not budget.take(3 * SECOND, FAILED)
    assert budget.take(4 * SECOND, FAILED)


def test_first_attempts_fill_it() -> None:
    budget, _ = spent()
    budget.first_attempts += 9
    assert not budget.take(0, FAILED)
    budget.first_attempts += 1
    assert budget.take(0, FAILED)
    assert budget.left(0) == 0


def test_it_never_holds_more_than_its_capacity() -> None:
    budget = RetryBudget()
    budget.first_attempts += 1_000
    assert budget.left(3_600 * SECOND) == CAPACITY


def test_a_refused_repetition_takes_nothing() -> None:
    budget, _ = spent()
    budget.take(0, FAILED)
    budget.take(0, TIMED_OUT)
    assert budget.left(0) == 0


def test_a_clock_that_is_read_out_of_order_gives_nothing_twice() -> None:
    budget, _ = spent()
    assert budget.left(2 * SECOND) == 2 * PER_SECOND
    assert budget.left(1 * SECOND) == 2 * PER_SECOND
    assert budget.left(2 * SECOND) == 2 * PER_SECOND


def test_a_forked_child_has_a_lock_of_its_own() -> None:
    budget = RetryBudget()
    budget._lock.acquire()
    budget.after_fork()
    assert budget.take(0, FAILED)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10), st.sampled_from([FAILED, TIMED_OUT, None]))))
def test_what_was_repeated_is_at_most_what_was_put_in(steps: list[tuple[int, int, Fault | None]]) -> None:
    budget, now, first, cost = RetryBudget(), 0, 0, 0.0
    for seconds, attempts, fault in steps:
        now += seconds * SECOND
        first += attempts
        budget.first_attempts += attempts
        if budget.take(now, fault):
            cost += COST_OF_TIMEOUT if fault is TIMED_OUT else COST
        assert 0 <= budget.left(now) <= CAPACITY
    assert cost <= CAPACITY + first * PER_FIRST_ATTEMPT + now / SECOND * PER_SECOND + 1e-6
