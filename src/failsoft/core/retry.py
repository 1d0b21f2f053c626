"""Whether a failed attempt is tried again, and after how long: tenacity's iteration core, fed by our randomness.

Theory of operation
-------------------

1. A fault is a *value*: it's set as an attempt's result, and tenacity's predicates read it. Nothing is raised.
2. A fault that says how long to wait is waited for that long and up to a tenth (or 0.2 s) more: never less, since
   coming early is refused. Any other waits between 0 and a bound that doubles from 0.2 s to 5 s (full jitter), and so
   many times that as its kind asks for (`Treatment.patience`): an overloaded provider is left alone for longer.
3. The number of attempts is the only stop. Whether the wait fits the deadline is the call's business, as is what's
   tried ``once`` or ``free``: this room sees only what counts as an attempt.
4. One `Retry` per call and adapter, made when its first attempt has failed: calls share no state, and a call that
   succeeds at once pays nothing. tenacity itself is imported then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from failsoft.core.effects import MILLISECOND, SECOND, Random
from failsoft.fault import Fault

if TYPE_CHECKING:
    from tenacity import RetryCallState

BASE = 200 * MILLISECOND
CAP = 5 * SECOND
EXTRA_SHARE = 10
EXTRA_LEAST = 200 * MILLISECOND


class _Wait:
    """tenacity's wait strategy, with our randomness: seconds until the next attempt."""

    __slots__ = ("_random", "hint", "patience")

    def __init__(self, random: Random) -> None:
        self._random = random
        self.hint: int | None = None
        self.patience = 1

    def __call__(self, state: RetryCallState) -> float:
        if self.hint is not None:
            return (self.hint + self._random.random() * max(EXTRA_LEAST, self.hint / EXTRA_SHARE)) / SECOND
        # The exponent is bounded: a configuration may allow thousands of attempts.
        bound = min(CAP, BASE << min(state.attempt_number - 1, 16))
        return self._random.random() * bound * self.patience / SECOND


def _retryable(fault: Fault) -> bool:
    return fault.treatment.retry not in ("no", "end") and not fault.give_up


def _stopped(state: RetryCallState) -> None:
    return None


class Retry:
    """The attempts of one call at one adapter, from its first failure on.

    Args:
        attempts: how many attempts in all, at least 1; the one that has failed is the first.
        random: for the jitter.
    """

    __slots__ = ("_retrying", "_state", "_wait")

    def __init__(self, attempts: int, random: Random) -> None:
        import tenacity  # 50 ms: paid by the first failure, not by every import of failsoft

        self._wait = _Wait(random)
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts),
            wait=self._wait,
            retry=tenacity.retry_if_result(_retryable),
            retry_error_callback=_stopped,
        )
        self._state = tenacity.RetryCallState(self._retrying, fn=None, args=(), kwargs={})

    def next_wait_ns(self, fault: Fault, hint_ns: int | None) -> int | None:
        """Nanoseconds to wait before the next attempt; None: no further attempt.

        Args:
            fault: why the last attempt failed.
            hint_ns: how long the provider said to wait, at least 0; None: it didn't say.
        """
        state = self._state
        self._wait.hint = hint_ns
        self._wait.patience = fault.treatment.patience
        self._retrying.begin()  # its statistics are kept per thread; the attempts of a call may run in several
        state.set_result(fault)
        sleep: object = self._retrying.iter(state)
        if sleep is None or sleep is fault:  # no attempt left; not one to try again
            return None
        state.prepare_for_next_attempt()
        return math.ceil(state.upcoming_sleep * SECOND)
