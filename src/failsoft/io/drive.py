"""What the three drivers share: the rule that a call which was told to end never yields again."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NoReturn

from failsoft.core.effects import Effect

CLOSING_SECONDS = 0.25
"""How long a cancelled caller waits, at most, for what it started to end."""


def end(steps: Generator[Effect, Any, Any], error: BaseException) -> NoReturn:
    """Throw `error` into a call and raise what comes out: `error` itself, unless the call is broken.

    Raises:
        RuntimeError: the call yielded again. Nobody would perform that effect, so it must not pass unseen.
    """
    try:
        steps.throw(error)
    except StopIteration:
        raise error from None
    steps.close()
    raise RuntimeError("a call yielded an effect after its end") from error
