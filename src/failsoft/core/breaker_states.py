"""What a breaker is and says, as values: its states, the table of its transitions, refusals, changes, snapshots.

The rules behind them are told in `failsoft.core.breaker`.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import final

from attrs import define


class State(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Cause(StrEnum):
    """Why a breaker changed its state."""

    RATE = "rate"
    CONSECUTIVE = "consecutive"
    WAITED = "waited"
    TRIALS_SUCCEEDED = "trials_succeeded"
    TRIALS_NEUTRAL = "trials_neutral"
    TRIALS_FAILED = "trials_failed"
    WRONG_MODEL = "wrong_model"
    RECOVERY_CHECK = "recovery_check"


TRANSITIONS: MappingProxyType[tuple[State, Cause], State] = MappingProxyType(
    {
        (State.CLOSED, Cause.RATE): State.OPEN,
        (State.CLOSED, Cause.CONSECUTIVE): State.OPEN,
        (State.OPEN, Cause.WAITED): State.HALF_OPEN,
        (State.HALF_OPEN, Cause.TRIALS_SUCCEEDED): State.CLOSED,
        (State.HALF_OPEN, Cause.TRIALS_NEUTRAL): State.CLOSED,
        (State.HALF_OPEN, Cause.TRIALS_FAILED): State.OPEN,
        (State.CLOSED, Cause.WRONG_MODEL): State.OPEN,
        (State.HALF_OPEN, Cause.WRONG_MODEL): State.OPEN,
        (State.HALF_OPEN, Cause.RECOVERY_CHECK): State.OPEN,
    }
)
"""Every transition that a breaker makes by itself. `Breaker.to_trial` leads to HALF_OPEN from anywhere."""


@final
@define
class Refused:
    """No permit: a value, not an exception.

    Args:
        reason: ``open``, ``trials_taken``, or ``deadline_too_short`` (for a trial).
        retry_after_ns: nanoseconds after which asking again makes sense, at least 0.
        detach: no caller has been patient enough for a trial for `open_base_s`: let one run on without its caller.
    """

    reason: str
    retry_after_ns: int
    detach: bool = False


@define
class Change:
    """A breaker changed its state.

    Args:
        reason: a `Cause`, or what `Breaker.to_trial` was given.
        until_ns: no attempt before then (for OPEN; otherwise None).
        generation: the one that begins.
        at_ns: when the change was due: at most the time of the call that carried it out.
    """

    before: State
    after: State
    reason: str
    until_ns: int | None
    generation: int
    at_ns: int


@define
class BreakerSnapshot:
    """What a breaker knows at one moment.

    Args:
        generation: how many transitions there were.
        calls: successes and failures in the window.
        failures: failures in the window.
        in_flight: permits of this generation that aren't settled and whose lease hasn't ended.
        until_ns: the moment before which no attempt is admitted, or the last such moment.
        trips: openings that the next one's waiting time builds on.
        admitted: permits ever given.
        late_results: permits settled after their generation or their lease.
        double_settles: permits settled again.
        listener_errors: what the listener raised.
    """

    state: State
    generation: int
    calls: int
    failures: int
    in_flight: int
    until_ns: int
    trips: int
    admitted: int
    late_results: int
    double_settles: int
    listener_errors: int
