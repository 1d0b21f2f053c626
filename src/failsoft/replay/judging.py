"""A stored reply, judged by the very path that judged it when it came: `failsoft.core.judge`, with nobody listening.

The path ends in an answer or in one fault. Which of its steps gave the fault is told by the fault's kind: what doesn't fit
the response type and what isn't acceptable was decoded before.
"""

from __future__ import annotations

import random
from typing import Any, Literal

from attrs import define, field, frozen

from failsoft.capability import Capability
from failsoft.context import CallContext
from failsoft.core.asking import Answer, Asking, World
from failsoft.core.budget import Budget
from failsoft.core.contract import Contract, Snapshot
from failsoft.core.effects import SECOND, HttpReply, Tokens
from failsoft.core.evidence import Attempt
from failsoft.core.judge import judge
from failsoft.core.route import GuardedAdapter, NoBlocks, Route
from failsoft.fault import FaultKind
from failsoft.io.clock import SystemClock
from failsoft.outcome import Served

Said = Literal["yes", "no", "bug"]

AFTER_DECODING = frozenset(map(str, (FaultKind.SCHEMA_INVALID, FaultKind.UNACCEPTABLE, FaultKind.CAPABILITY_BUG)))
"""The faults of an answer that was read."""


@frozen
class Verdict:
    """What became of a reply.

    Args:
        served: who gave it, as stated.
        tokens: what it says it used.
        fault: why there was no answer to read; None: there was one.
        fits: does the answer fit the response type? ``bug``: the type's own code failed. None: it didn't come to that.
        accepted: does the acceptance rule let it pass? As `fits`.
        error: the type of what the capability's own code raised, where it did.
        answer: the answer's text, for a repair.
        detail: what a repair would say is wrong with it.
        response: the accepted value's JSON bytes.
    """

    served: Served
    tokens: Tokens | None
    fault: str | None
    fits: Said | None = None
    accepted: Said | None = None
    error: str = ""
    answer: bytes | None = field(default=None, repr=False)
    detail: bytes | None = field(default=None, repr=False)
    response: bytes | None = field(default=None, repr=False)


class _Nothing(Capability[None, object]):
    """What decodes replies where their capability isn't there: what it makes of an answer is nobody's concern."""

    def fallback(self, request: None) -> object:
        raise AssertionError("nobody asks it")


@define
class _Heard:
    """Hears in which of the capability's own functions something was raised."""

    where: str = ""

    def anew(self) -> None:
        """Nothing was raised so far."""
        self.where = ""

    def emit(self, name: str, /, **fields: Any) -> None:
        """One event."""
        if name == "capability.bug":
            self.where = str(fields["where"])


class Bench:
    """Judges stored replies, one after another. Never raises for what they hold, or for what the user's code does."""

    def __init__(self) -> None:
        self._heard = _Heard()
        chance = random.Random(0)  # noqa: S311 - it decides nothing
        self._world = World(SystemClock(), chance, self._heard, NoBlocks())
        nothing: Contract[None, object] = Contract(_Nothing())
        self._nothing = nothing, nothing.snapshot(None)

    def judge(
        self, asked: tuple[Contract[Any, Any], Snapshot[Any]] | None, adapter: GuardedAdapter, reply: HttpReply
    ) -> Verdict:
        """What becomes of a reply.

        Args:
            asked: the capability and the request; None: it's only decoded.
            adapter: whose reply it is.
            reply: as stored.
        """
        contract, snapshot = asked or self._nothing
        route = Route((adapter,), SECOND)
        asking: Asking[Any, Any] = Asking(
            self._world, contract, snapshot, CallContext(), route, "", Budget(0, SECOND, ledger=False)
        )
        attempt = Attempt(1, adapter.name, "", None, adapter.pin)
        self._heard.anew()
        try:
            result = judge(asking, adapter, None, attempt, reply)
        except SystemExit as error:
            return _left(contract, snapshot, attempt, type(error).__name__)
        served = attempt.served or Served()
        if isinstance(result, Answer):
            try:
                response = contract.dump_response(result.value)
            except (Exception, SystemExit) as error:  # a serialiser of the user's own
                return Verdict(served, attempt.tokens, None, "bug", error=type(error).__name__, answer=attempt.answer)
            return Verdict(served, attempt.tokens, None, "yes", "yes", "", attempt.answer, None, response)
        kind = str(result.kind)
        if kind not in AFTER_DECODING:
            return Verdict(served, attempt.tokens, kind, answer=attempt.answer, detail=attempt.detail)
        fits: Said = "yes"
        accepted: Said | None = "no"
        if kind == FaultKind.SCHEMA_INVALID:
            fits, accepted = "no", None
        elif kind == FaultKind.CAPABILITY_BUG:
            fits, accepted = ("yes", "bug") if self._heard.where == "accept" else ("bug", None)
        raised = type(asking.bug).__name__ if asking.bug is not None else ""
        return Verdict(served, attempt.tokens, None, fits, accepted, raised, attempt.answer, attempt.detail)


def _left(contract: Contract[Any, Any], snapshot: Snapshot[Any], attempt: Attempt, error: str) -> Verdict:
    """What became of a reply where somebody's code left by `SystemExit`, which `judge` hands on: whose was it?"""
    if attempt.served is None or attempt.answer is None:  # the codec's: another distribution's
        return Verdict(attempt.served or Served(), attempt.tokens, str(FaultKind.BUG))
    try:
        contract.read_answer(attempt.answer, snapshot.lend())
    except (Exception, SystemExit):
        return Verdict(attempt.served, attempt.tokens, None, "bug", None, error, attempt.answer)
    return Verdict(attempt.served, attempt.tokens, None, "yes", "bug", error, attempt.answer)
