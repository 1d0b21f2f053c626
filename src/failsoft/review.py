"""Which answers a person looks at: what a capability declares, and how that's decided for one call.

    class RateAlternative(Capability[Pair, Rating | Referral]):
        review = Required()                            # every answer
        review = Required(when=by_ai)                  # a model's
        review = Required(when=risky, sample=0.05)     # those that the condition names, and one in twenty of the rest

Rules:

1. Without `when` and `sample` every answer is reviewed. With `when` those for which it's True. With `sample` that share
   of all others.
2. Whether a call is in the sample follows from its identifier alone, by a hash: whoever has the record can work it out.
3. A `when` that raises, or returns no bool, is a bug of the application's: the answer is reviewed then.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, Literal

from attrs import frozen

from failsoft.outcome import Outcome

Condition = Callable[[Any, Outcome[Any]], bool]
"""Of the request and the outcome as the caller will get it: plain `def`, no I/O."""

Policy = Literal["always", "when", "sample", "trial"]
"""By which rule it was decided; `trial`: a breaker's trial, whose answer nobody gets."""

Decision = Literal["accepted", "changed", "rejected"]
"""What a person decides about an answer."""

DECISIONS: Final[tuple[Decision, ...]] = ("accepted", "changed", "rejected")

_TAG: Final = b"failsoft/sample/v1\x00"


def by_ai(request: object, outcome: Outcome[Any]) -> bool:
    """A condition: a model's answer, not the fallback's."""
    return outcome.by_ai


def degraded(request: object, outcome: Outcome[Any]) -> bool:
    """A condition: the fallback answered or referred."""
    return outcome.degraded


def sampled(call_id: str, share: float) -> bool:
    """Is this call in a sample of that share?

    The first 64 bits of SHA-256 over ``failsoft/sample/v1``, a zero byte and the identifier, as a number, must be less
    than ``share`` times 2^64. Whoever is in a sample is in every larger one.

    Args:
        call_id: the call's identifier, as in the record.
        share: 0 to 1.
    """
    return int.from_bytes(sha256(_TAG + call_id.encode()).digest()[:8], "big") < int(share * 2**64)


@frozen(kw_only=True)
class Required:
    """A capability's declaration that people review its answers.

    Args:
        when: which answers, by request and outcome; None with `sample`: none but the sample; without: all.
        sample: the share of all others that's reviewed too, as spot checks: more than 0, at most 1.

    Raises:
        TypeError: `when` is no plain function of two arguments, or `sample` no such share.
    """

    when: Condition | None = None
    sample: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.when is not None:
            _check_condition(self.when)
        share: object = self.sample
        if share is not None and (type(share) not in (float, int) or not 0 < self.sample <= 1):  # type: ignore[operator]
            raise TypeError(
                f"Required(sample=…) must be a share of more than 0, at most 1, such as 0.05, not {share!r:.60}"
            )

    def __str__(self) -> str:
        """As the lock has it."""
        if self.when is None and self.sample is None:
            return "always"
        when = getattr(self.when, "__qualname__", None) or type(self.when).__qualname__
        told = [] if self.when is None else [f"when {getattr(self.when, '__module__', '')}:{when}"]
        return ", ".join([*told, *([] if self.sample is None else [f"sample {float(self.sample)!r}"])])


@frozen
class ReviewNeed:
    """Whether one call's answer is to be reviewed.

    Args:
        policy: the rule that decided.
        sample: the share, where the sample decided.
        error: the type of what `when` raised.
    """

    required: bool
    policy: Policy
    sample: float | None = None
    error: str | None = None


def _check_condition(when: object) -> None:
    if not callable(when):
        raise TypeError(f"Required(when=…) must be a function of (request, outcome), not {type(when).__name__}")
    called: Any = when if inspect.isroutine(when) else when.__call__
    if any(is_kind(called) for is_kind in _WAITING):
        raise TypeError("Required(when=…) must be a plain `def`: it may not wait (no `async`, no `yield`)")
    try:
        inspect.signature(when).bind(None, None)
    except (TypeError, ValueError):
        raise TypeError("Required(when=…) must take exactly two arguments, the request and the outcome") from None


_WAITING: Final = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
