from __future__ import annotations

import random
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.effects import MILLISECOND, SECOND
from failsoft.core.retry import Retry
from failsoft.fault import TREATMENT, Fault, FaultKind

FAULT = Fault(FaultKind.SERVER_ERROR)


class Most:
    """A random source at its upper bound."""

    def random(self) -> float:
        return 1.0

    def getrandbits(self, k: int, /) -> int:
        return 0


def test_the_bound_of_the_wait_doubles_from_two_tenths_of_a_second_to_five_seconds() -> None:
    retry = Retry(9, Most())
    waits = [retry.next_wait_ns(FAULT, None) for _ in range(8)]
    assert waits == [each * SECOND // 10 for each in (2, 4, 8, 16, 32, 50, 50, 50)]


def test_the_last_attempt_is_not_tried_again() -> None:
    retry = Retry(3, Most())
    assert [retry.next_wait_ns(FAULT, None) is None for _ in range(4)] == [False, False, True, True]


def test_a_single_attempt_is_never_repeated() -> None:
    assert Retry(1, Most()).next_wait_ns(FAULT, None) is None


@pytest.mark.parametrize("kind", FaultKind)
def test_what_is_retryable_is_read_from_the_table(kind: FaultKind) -> None:
    wait = Retry(3, Most()).next_wait_ns(Fault(kind), None)
    assert (wait is None) == (TREATMENT[kind].retry in ("no", "end"))


def test_an_overloaded_provider_is_left_alone_for_longer() -> None:
    usual = Retry(3, Most()).next_wait_ns(FAULT, None)
    patient = Retry(3, Most()).next_wait_ns(Fault(FaultKind.OVERLOADED), None)
    assert usual is not None
    assert patient is not None
    assert abs(patient - 5 * usual) <= 5


def test_a_provider_that_says_a_retry_is_useless_is_believed() -> None:
    assert Retry(3, Most()).next_wait_ns(Fault(FaultKind.SERVER_ERROR, give_up=True), None) is None


@given(hint=st.integers(0, 3_600 * SECOND), seed=st.integers(0, 1_000))
def test_a_hint_is_never_shortened_and_prolonged_by_a_tenth_at_most(hint: int, seed: int) -> None:
    wait = Retry(3, random.Random(seed)).next_wait_ns(FAULT, hint)
    assert wait is not None
    assert hint <= wait <= hint + max(SECOND // 5, hint // 10) + 1_000


@pytest.mark.parametrize(("hint", "wait"), [(0, 200), (1_000, 1_200), (2_000, 2_200), (100_000, 110_000)])
def test_the_longest_prolongation_is_a_tenth_or_two_tenths_of_a_second(hint: int, wait: int) -> None:
    assert Retry(3, Most()).next_wait_ns(FAULT, hint * MILLISECOND) == wait * MILLISECOND


def test_not_a_nanosecond_of_a_hint_is_lost_in_fractions() -> None:
    class Least(Most):
        def random(self) -> float:
            return 0.0

    for hint in range(1_000_000_001, 1_000_002_000, 7):
        wait = Retry(3, Least()).next_wait_ns(FAULT, hint)
        assert wait is not None
        assert wait >= hint


def test_a_hint_is_for_one_wait_only() -> None:
    retry = Retry(3, Most())
    retry.next_wait_ns(FAULT, 60 * SECOND)
    assert retry.next_wait_ns(FAULT, None) == SECOND * 4 // 10


def test_thousands_of_attempts_do_not_overflow() -> None:
    retry = Retry(5_000, Most())
    assert {retry.next_wait_ns(FAULT, None) for _ in range(3_000)} >= {5 * SECOND}


def test_calls_share_no_state() -> None:
    first, second = Retry(2, Most()), Retry(2, Most())
    first.next_wait_ns(FAULT, None)
    assert first.next_wait_ns(FAULT, None) is None
    assert second.next_wait_ns(FAULT, None) == SECOND // 5


def test_the_attempts_of_a_call_may_run_in_different_threads() -> None:
    retry = Retry(3, Most())
    waits: list[int | None] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: waits.append(retry.next_wait_ns(FAULT, None)))
        thread.start()
        thread.join()
    assert waits == [SECOND // 5, SECOND * 2 // 5, None]


def test_tenacity_is_not_imported_before_something_fails() -> None:
    code = "import sys, failsoft.core.retry; sys.exit('tenacity' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
