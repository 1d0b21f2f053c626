"""What a breaker is and says, as values: states and modes, the table of transitions, refusals, changes, snapshots.

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


class Mode(StrEnum):
    """What a person decided about a breaker. (A block is no mode: it stands in a file, and beats every other layer.)"""

    AUTO = "auto"
    """The state decides."""

    FORCED = "forced"
    """Every attempt is admitted, whatever the state: the state goes on by itself beneath."""

    OBSERVE = "observe"
    """Every attempt is admitted. The breaker stays closed, and says when it would have opened."""


class Cause(StrEnum):
    """Why a breaker changed its state."""

    RATE = "rate"
    CONSECUTIVE = "consecutive"
    SLOW = "slow"
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
        (State.CLOSED, Cause.SLOW): State.OPEN,
        (State.OPEN, Cause.WAITED): State.HALF_OPEN,
        (State.HALF_OPEN, Cause.TRIALS_SUCCEEDED): State.CLOSED,
        (State.HALF_OPEN, Cause.TRIALS_NEUTRAL): State.CLOSED,
        (State.HALF_OPEN, Cause.TRIALS_FAILED): State.OPEN,
        (State.CLOSED, Cause.WRONG_MODEL): State.OPEN,
        (State.HALF_OPEN, Cause.WRONG_MODEL): State.OPEN,
        (State.HALF_OPEN, Cause.RECOVERY_CHECK): State.OPEN,
    }
)
"""Every transition that a breaker makes by itself. `Breaker.to_trial` leads to HALF_OPEN from anywhere, `Breaker.to_mode`
to CLOSED for OBSERVE. A cause that isn't here for a state moves nothing in it."""


@final
@define
class Refused:
    """No permit: a value, not an exception.

    Args:
        reason: ``open``, ``trials_taken``, ``deadline_too_short`` (for a trial), or ``slow_start``.
        retry_after_ns: nanoseconds after which asking again makes sense, at least 0.
        detach: no caller has been patient enough for a trial for `open_base_s`: let one run on without its caller.
    """

    reason: str
    retry_after_ns: int
    detach: bool = False


@define
class Change:
    """A breaker changed its state, or would have opened.

    Args:
        reason: a `Cause`, what `Breaker.to_trial` was given, or the mode that closed it.
        until_ns: no attempt before then (for OPEN; otherwise None).
        generation: the one that begins.
        at_ns: when the change was due: at most the time of the call that carried it out.
        would_open: it's observed: it stays closed, and begins anew to count.
    """

    before: State
    after: State
    reason: str
    until_ns: int | None
    generation: int
    at_ns: int
    would_open: bool = False


@define
class BreakerSnapshot:
    """What a breaker knows at one moment.

    Args:
        generation: how many transitions there were.
        calls: successes and failures in the window.
        failures: failures in the window.
        slow: calls in the window that were slow, or are overdue; 0 while the slow rule is off.
        in_flight: permits of this generation that aren't settled and whose lease hasn't ended.
        until_ns: the moment before which no attempt is admitted, or the last such moment.
        trips: openings that the next one's waiting time builds on.
        admitted: permits ever given.
        late_results: permits settled after their generation or their lease.
        double_settles: permits settled again.
        listener_errors: what the listener raised.
        mode: what a person decided.
        slow_start: has it just closed, and admits a share only?
    """

    state: State
    generation: int
    calls: int
    failures: int
    slow: int
    in_flight: int
    until_ns: int
    trips: int
    admitted: int
    late_results: int
    double_settles: int
    listener_errors: int
    mode: Mode
    slow_start: bool
