"""The recovery check: what a half-open breaker's trial must show besides an answer.

Theory of operation. A provider that was away may come back as another one. So before a trial is settled as anything but a
failure, its adapter's check is asked who served it:

    true     the trial counts as its outcome says
    false    the breaker opens again, with one trip more (cause ``recovery_check``), whatever other trials say
    raises   as false, and `attempt.alert` says so: a check that's broken lets nobody in

No trial counts towards closing without it. It's asked by the call that made the trial, under no lock, and only then: a
closed breaker has nothing to check. It's a pure function: what needs questions of its own (golden cases) asks them
elsewhere, and reads here what came of it. The trial's answer is its caller's all the same, where it's an answer at all.
"""

from __future__ import annotations

from collections.abc import Callable

from failsoft.outcome import Pin, Served

RecoveryCheck = Callable[[Pin, Served], bool]
"""Asked with what was to serve and what the reply says that served. True: it may be let in again."""


def same_model(pin: Pin, served: Served) -> bool:
    """Is it the pinned model, as far as the reply says?"""
    return served.model is None or pin.admits(served.model)


def any_model(pin: Pin, served: Served) -> bool:
    """The check of an adapter that takes answers of another model than its pin's, too."""
    return True
