"""What peers say to a breaker, and what it may do on their word.

Theory of operation. A breaker judges by its own window; the fleet's opening is *advice* to it.

advise      A peer opened. A closed breaker whose own window holds at least `OWN_CALLS` calls, of which less than half the
            rate failed that opens, doesn't follow: the peer may be the sick one. Any other closed one opens until then,
            without a trip of its own. One that's open already waits at least as long. A half-open one goes on trying: its
            own trials decide. One that's only observed stays closed.
relieve     A peer closed. A breaker that was open by advice alone closes. One that opened on evidence of its own stays
            open until it's due: what was wrong may have been its own way out.
hold        While the store of shared state is up, an opening doesn't end by time. It's prolonged again and again, each
            time until a little after the last word from the store, until this process has the lease; then the
            breaker's owner calls `Breaker.to_trial`. So nobody tries without the lease, and nobody waits for it: should
            the store or the thread that talks to it fall silent, the prolongation runs out, and the opening ends by time as
            it would have. An opening that begins is held from its first moment (`_hold`), in the same lock.
stand_down  A half-open breaker with no trial out gives way to a process that has callers, and is open again.

The functions take the breaker's lock. Like `Permit`, they're parts of it that stand in a file of their own.
"""

from __future__ import annotations

from failsoft.core.breaker import Breaker
from failsoft.core.breaker_states import Change, Mode, State

OWN_CALLS = 5
"""From so many calls in its own window a breaker may know better than a peer."""

PEER_OPENED = "peer_opened"
PEER_CLOSED = "peer_closed"
STOOD_DOWN = "stood_down"
UNBLOCKED = "unblocked"
"""Reason of a change that a person's word made: in every process, so the fleet's opening is over."""
BY_PEERS = frozenset({PEER_OPENED, PEER_CLOSED, STOOD_DOWN})
"""Reasons of changes that are peers' doing: not to be told to peers again."""


def advise(breaker: Breaker, until: int, trips: int, now: int) -> bool:
    """A peer found that the adapter doesn't work. False: its own window says otherwise.

    Args:
        breaker: the one advised.
        until: when the fleet's opening ends, on this breaker's clock.
        trips: the peer's.
        now: the present moment.
    """
    with breaker._lock:
        breaker._catch_up(now)
        if breaker._mode is Mode.OBSERVE:
            return True  # it stays closed, whoever says what
        if breaker._state is State.CLOSED:
            if _knows_better(breaker, now):
                return False
            _open(breaker, PEER_OPENED, until, now)
            breaker._advised = breaker._generation
            breaker._trips = max(breaker._trips, min(trips, breaker._settings.most_trips))
        elif breaker._state is State.OPEN:
            breaker._until = max(breaker._until, until)
    breaker._announce()
    return True


def relieve(breaker: Breaker, now: int) -> None:
    """A peer found that the adapter works again."""
    with breaker._lock:
        breaker._catch_up(now)
        if breaker._state is State.OPEN and is_advised(breaker):
            breaker._enter(State.CLOSED, PEER_CLOSED, now)
    breaker._announce()


def is_advised(breaker: Breaker) -> bool:
    """Is it open (if it's open) by advice alone?"""
    return breaker._advised == breaker._generation


def hold(breaker: Breaker, until: int, lasting: int) -> None:
    """Prolong an opening, and let those that begin from here on last at least so long.

    Args:
        breaker: the one held.
        until: an opening ends no earlier.
        lasting: nanoseconds that one lasts at least; 0: the store is down, nothing is held.
    """
    with breaker._lock:
        breaker._hold = lasting
        if breaker._state is State.OPEN:
            breaker._until = max(breaker._until, until)


def stand_down(breaker: Breaker, until: int, now: int) -> bool:
    """Give way. False: it isn't half-open, or a trial is out."""
    with breaker._lock:
        breaker._catch_up(now)
        gives_way = breaker._state is State.HALF_OPEN and not len(breaker._trials)
        if gives_way:
            _open(breaker, STOOD_DOWN, until, now)
    breaker._announce()
    return gives_way


def asked_at(breaker: Breaker) -> int:
    """When somebody was last refused while it was open; no later than its beginning if nobody was."""
    return breaker._asked


def _knows_better(breaker: Breaker, now: int) -> bool:
    window = breaker._window
    if now // window.width > window.tick:
        window.advance(now // window.width)
    return window.calls >= OWN_CALLS and window.failures * 200 < breaker._settings.rate * window.calls


def _open(breaker: Breaker, reason: str, until: int, now: int) -> None:
    """OPEN without evidence of its own: no trip."""
    before = breaker._state
    breaker._trips = breaker._trips_left(now)
    breaker._generation += 1
    breaker._trials.forget()
    if breaker._overdue is not None:
        breaker._overdue.forget()
    breaker._until = max(breaker._until, until)
    breaker._state = State.OPEN
    breaker._end_slow_start()
    breaker._changed(Change(before, State.OPEN, reason, breaker._until, breaker._generation, now))
