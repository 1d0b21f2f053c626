"""What is being asked in one call: what its adapters' turns share, and what they leave behind.

World     the ports that every call of an isolation shares
Asking    one call's question, its deadline, and what came of it so far
Answer    an accepted value and who gave it
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar, final

from attrs import define, field

from failsoft.context import CallContext
from failsoft.core.budget import Budget
from failsoft.core.contract import Contract, Snapshot
from failsoft.core.effects import SECOND, Ask, CannotAsk, Clock, Events, Ledger, Random
from failsoft.core.evidence import Attempt
from failsoft.core.limits import estimate
from failsoft.core.route import Blocks, GuardedAdapter, Route
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import PassedOver, Served
from failsoft.prompt import Prompt

Q = TypeVar("Q")
R = TypeVar("R")

OnLedgerFailure = Literal["fallback", "refuse", "continue"]
OnBug = Literal["fallback", "raise"]


@define(eq=False)
class World:
    """The ports that every call of an isolation shares."""

    clock: Clock
    random: Random
    events: Events
    blocks: Blocks
    ledger: Ledger | None = None
    on_ledger_failure: OnLedgerFailure = "fallback"
    on_bug: OnBug = "fallback"
    config_sha256: str = ""
    offset: int = field(init=False)
    """By how much the wall clock was ahead of the monotonic one at the latest call."""

    def __attrs_post_init__(self) -> None:
        self.offset = self._offset()

    def clocks_disagree(self) -> None:
        """They seem to: told, unless it's only that a thread was held up between two readings."""
        before, self.offset = self.offset, self._offset()
        jump = self.offset - before
        if not -SECOND <= jump <= SECOND:
            self.events.emit("clock.anomaly", seconds=round(jump / SECOND, 1))

    def _offset(self) -> int:
        return self.clock.time_ns() - self.clock.monotonic_ns()


@final
@define(eq=False)
class Answer(Generic[R]):
    """An accepted value and who gave it."""

    value: R
    response_json: bytes | None
    """Its bytes, for the record; None where nothing is recorded."""
    adapter: GuardedAdapter
    attempt: int
    served: Served


@define(eq=False)
class Asking(Generic[Q, R]):
    """One call's question, and what came of it so far.

    Args:
        attempts: in order of start, over all adapters.
        passed_over: adapters not asked and attempts not used, in order.
        bug: what the user's own code raised, if it did.
        over: no more is asked: after a bug, or a fault that ends the call's asking.
        detach: adapters that wait for a trial which no caller has time for: one runs on without its caller.
    """

    world: World
    contract: Contract[Q, R]
    snapshot: Snapshot[Q]
    context: CallContext
    route: Route
    call_id: str
    budget: Budget
    prompt: Prompt | None = None
    attempts: list[Attempt] = field(factory=list[Attempt])
    passed_over: list[PassedOver] = field(factory=list[PassedOver])
    bug: Exception | None = None
    over: bool = False
    detach: list[GuardedAdapter] = field(factory=list[GuardedAdapter])

    def ask(self, adapter: GuardedAdapter, prompt: Prompt | None) -> Ask:
        """The question as one attempt gets it: its own, so that no adapter sees what another did to it.

        Raises:
            CannotAsk: the prompt is larger than the adapter takes.
        """
        contract, snapshot, asked = self.contract, self.snapshot, prompt or self.prompt
        assert asked is not None
        if adapter.max_prompt is not None:
            _fits(asked, adapter.max_prompt)
        request = snapshot.request if snapshot.frozen else snapshot.lend()
        return Ask(request, snapshot.text, asked, contract.answer, contract.sampling, adapter.pin)

    def tokens(self, prompt: Prompt | None) -> int:
        """An estimate of the tokens that one attempt may use."""
        asked = prompt or self.prompt
        assert asked is not None
        size = sum(each.size for each in asked.messages)
        return estimate(size, self.contract.sampling.max_tokens)

    def capability_bug(self, where: str, error: Exception) -> None:
        """The user's own code raised what it mustn't."""
        self.bug, self.over = error, True
        self.tell("capability.bug", where=where, error=type(error).__name__)

    def loud(self, kind: FaultKind, adapter: str, error: BaseException | str | None) -> None:
        """Someone must look. `error`: the exception behind it, or its type's name."""
        name = type(error).__name__ if isinstance(error, BaseException) else error
        self.tell("attempt.alert", adapter=adapter, fault=kind.value, error=name)

    def tell(self, event: str, **fields: Any) -> None:
        """An event of this call."""
        self.world.events.emit(event, capability=self.contract.name, call_id=self.call_id, **fields)


def _fits(prompt: Prompt, most: int) -> None:
    size = sum(each.size for each in prompt.messages)
    if size > most:
        raise CannotAsk(Fault(FaultKind.CONTEXT_TOO_LONG, f"the prompt has {size:,} bytes, more than {most:,}"))
