"""One call, from request to outcome, as a generator of effects.

Theory of operation. `Call.run` decides; where it must wait it yields an effect (`failsoft.core.effects`) and is sent the
result as a value. It runs the same under asyncio, in a thread and in virtual time.

    started ──Append──▶ for each adapter of the route: its turn (`failsoft.core.turn`)
                        └ no acceptable answer ▶ the fallback
            completed ──Append──▶ outcome

Rules:

1. Evidence before speech. `call.started` is durable before a provider is contacted, `call.completed` before the value is
   returned. Where the ledger can't, `on_ledger_failure` decides: the fallback answers, the call is refused, or it goes on
   with `record = None`.
2. At most one `call.completed` per call. One that comes too late is withdrawn; where the writer had already taken it, a
   `call.amended` says what the caller really got.
3. What goes wrong at a provider is a `Fault`, a value. An `Exception` thrown in at a yield is a bug of a driver (fault
   `bug`); a `BaseException` is the end: permit and slot go back, the record is posted, nothing is yielded again, and the
   fallback does not run. `GeneratorExit` comes from the garbage collector, perhaps inside somebody's lock: it takes none.
4. The fallback is last and is always reached: open breakers, full bulkheads and spent deadlines lead to it.
5. Whether a person has to look at the answer is decided of what the caller gets, before its record: that says it too.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, NoReturn, TypeVar

from attrs import define, evolve, field
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from failsoft.capability import default_prompt
from failsoft.context import CallContext
from failsoft.core.asking import Answer, Asking, OnBug, OnLedgerFailure, World
from failsoft.core.budget import LEDGER_RESERVE, Budget
from failsoft.core.clock import uuid7
from failsoft.core.contract import Contract, Snapshot
from failsoft.core.effects import SECOND, Append, Detach, Effect, Ledger, Recorded, Ticket, Unrecorded
from failsoft.core.evidence import CallAmended, CallCompleted, CallResult, CallStarted
from failsoft.core.hedge import Hedge
from failsoft.core.judge import described, places
from failsoft.core.review import review_need
from failsoft.core.route import GuardedAdapter, Route, plan
from failsoft.core.turn import Turn
from failsoft.errors import CapabilityBug, FallbackFailed, LedgerUnavailable
from failsoft.fault import FaultKind
from failsoft.outcome import Outcome, PassedOver, Referral, Source
from failsoft.review import Required, ReviewNeed

__all__ = ["Call", "OnBug", "OnLedgerFailure", "World"]

Q = TypeVar("Q")
R = TypeVar("R")

_PROBLEM = 200
"""Characters of what a prompt() raised."""

_OF_ATTEMPTS = frozenset({*(str(each) for each in FaultKind), "hedge_lost"})
"""Reasons that attempts have in their own entries of the record."""


@define(eq=False, slots=True)
class Call(Generic[Q, R]):
    """One call's state while it runs. `run()` once.

    Args:
        deadline: nanoseconds from the start.
    """

    world: World
    contract: Contract[Q, R]
    route: Route
    deadline: int
    snapshot: Snapshot[Q]
    context: CallContext
    shed: bool = field(init=False, default=False)
    """Too many are under way: nobody is asked (`failsoft.core.admission`)."""
    trial: bool = field(init=False, default=False)
    """It's made for a breaker, and its answer is nobody's."""
    call_id: str = field(init=False, default="")
    started: int = field(init=False, default=0)
    """When it began, on the monotonic clock."""
    _asking: Asking[Q, R] = field(init=False)
    _started: Ticket | None = field(init=False, default=None)
    _completed: bool = field(init=False, default=False)
    _unrecorded: str = field(init=False, default="ledger")
    """Why an adapter isn't asked, or its answer not given, where something isn't on record."""
    _prompt_json: bytes | None = field(init=False, default=None)
    _response_json: bytes | None = field(init=False, default=None)
    _review: ReviewNeed | None = field(init=False, default=None)

    def run(self) -> Generator[Effect, Any, Outcome[R]]:
        """The call. Raises FallbackFailed, LedgerUnavailable, CapabilityBug; passes on any BaseException thrown in."""
        world = self.world
        now = world.clock.monotonic_ns()
        self.started = now
        wall = world.clock.time_ns()
        if -SECOND <= wall - now - world.offset <= SECOND:
            world.offset = wall - now
        else:
            world.clocks_disagree()
        self.call_id = uuid7(wall, world.random.getrandbits(74))
        self._asking = asking = Asking(
            world,
            self.contract,
            self.snapshot,
            self.context,
            self.route,
            self.call_id,
            Budget(now, self.deadline, ledger=world.ledger is not None),
        )
        try:
            name, labels = self.contract.name, self.context.labels
            route, asking.passed_over = plan(self.route, name, now, labels, world.blocks, shed=self.shed)
            if world.ledger is not None:
                allowed: bool = yield from self._begin(world.ledger, route, now)
                if not allowed:
                    asking.passed_over += [PassedOver(each.name, self._unrecorded) for each in route]
                    route = []
            answer: Answer[R] | None = None
            if route and self._prepare(route):
                answer = yield from self._ask_adapters(route)
            if answer is None:
                outcome = yield from self._fall_back()
            else:
                outcome = self._outcome_of(answer)
                if asking.bug is not None:
                    yield from self._raise_bug()
                self._response_json = answer.response_json
                if world.ledger is not None:
                    outcome = yield from self._complete(world.ledger, outcome, answer.adapter.codec.version)
            if asking.detach:
                yield from self._let_run(now)
            return outcome
        except GeneratorExit:  # from the garbage collector: nothing is put on record, since that takes a lock
            raise
        except BaseException:
            if self._started is not None and not self._completed:
                self._post("cancelled")
            raise

    def _let_run(self, now: int) -> Generator[Effect, Any, None]:
        for adapter in self._asking.detach:
            try:
                yield Detach(self._trial(adapter, now).run())
            except Exception as error:
                self._asking.loud(FaultKind.BUG, adapter.name, error)

    def _trial(self, adapter: GuardedAdapter, now: int) -> Call[Q, R]:
        """The same question to one adapter, with time enough, for nobody: a half-open breaker's trial.

        A call of its own, with records of its own.
        """
        deadline = 2 * adapter.breaker.fair_time(now) + SECOND
        route = Route((adapter,), self.route.fair_share, None, self.route.quality)
        call = Call(self.world, self.contract, route, deadline, self.snapshot, self.context)
        call.trial = True
        return call

    def _begin(self, ledger: Ledger, route: list[GuardedAdapter], now: int) -> Generator[Effect, Any, bool]:
        """Put the start on record. May a provider be asked?"""
        healthy = ledger.healthy
        self._started = ledger.submit(
            CallStarted(
                self.call_id,
                self.contract.name,
                self.contract.version,
                self.snapshot.text,
                self.deadline // 1_000_000,
                tuple(each.name for each in route),
                self.context,
                self.world.config_sha256,
                self.contract.audit,
            )
        )
        policy = self.world.on_ledger_failure
        if healthy and (route or policy == "refuse"):  # with nobody to ask, the record of the end is enough
            if isinstance((yield from self._append(ledger, self._started, now)), Recorded):
                return True
        elif healthy:
            return False
        if policy == "refuse":
            self._post("refused")
            raise LedgerUnavailable(f"{self.contract.name}: the ledger can't record, so nothing was asked")
        return policy == "continue"

    def _append(self, ledger: Ledger, ticket: Ticket, now: int) -> Generator[Effect, Any, Recorded | Unrecorded | None]:
        """Wait for a record, and tell a stuck ledger that it is."""
        until = self._asking.budget.append_until(now)
        try:
            result: Recorded | Unrecorded | None = yield Append(ticket, until)
        except Exception as error:
            self._asking.loud(FaultKind.BUG, "the ledger", error)
            return None
        if result is None:
            if until - now >= LEDGER_RESERVE:
                ledger.late(now)
            else:
                self._unrecorded = "no_time"  # a record that had hardly any time says nothing of the ledger
        return result

    # --- asking -------------------------------------------------------------------------------------------------------

    def _prepare(self, route: list[GuardedAdapter]) -> bool:
        """Make the prompt. False where there is none: nobody is asked then."""
        contract, asking = self.contract, self._asking
        try:
            if contract.prompt is None:  # as `Contract.render` has it, one call less
                prompt = default_prompt(contract.capability, self.snapshot.text)
            else:
                prompt = contract.render(self.snapshot)
            if self.world.ledger is not None:
                self._prompt_json = prompt.to_json()  # now: a prompt that can't be recorded isn't asked
        except Exception as error:
            # A ValueError of the capability's own says that this request can't be put to a model.
            if isinstance(error, PydanticSerializationError) or not isinstance(error, (ValueError, AssertionError)):
                asking.capability_bug("prompt", error)
            # For the caller only: no record and no event holds it.
            detail = f"prompt() raised {described(error)}"[:_PROBLEM]
            asking.passed_over += [PassedOver(each.name, "no_prompt", detail=detail) for each in route]
            return False
        asking.prompt = prompt
        return True

    def _ask_adapters(self, route: list[GuardedAdapter]) -> Generator[Effect, Any, Answer[R] | None]:
        asking, looked = self._asking, self.world.ledger is None
        hedge_after = self.route.hedge_after
        if hedge_after is not None and len(route) > 1:
            hedge = Hedge(asking, route, hedge_after, looked)
            answer: Answer[R] | None = yield from hedge.run()
            if answer is not None or asking.over:
                return answer
            route, looked = route[1:] if hedge.postponed else route[2:], False
        left = len(route)
        for adapter in route:
            answer = yield from Turn(asking, adapter, left, looked).run()
            if answer is not None or asking.over:
                return answer
            left -= 1
            looked = False
        return None

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _raise_bug(self) -> Generator[Effect, Any, None]:
        """Where bugs of the capability's are to be loud, the call ends with one."""
        bug = self._asking.bug
        if bug is not None and self.world.on_bug == "raise":
            yield from self._fail(CapabilityBug(f"{self.contract.name}: {described(bug)}"), bug)

    def _reviewed(self, declared: Required, outcome: Outcome[R]) -> Outcome[R]:
        """The same, saying whether a person has to look at it."""
        self._review = need = review_need(declared, self._asking, outcome, trial=self.trial)
        return evolve(outcome, review="pending") if need.required else outcome

    def _outcome_of(self, answer: Answer[R]) -> Outcome[R]:
        adapter = answer.adapter
        source = Source("adapter", adapter.name, answer.attempt)
        passed_over = tuple(self._asking.passed_over)
        outcome = Outcome(answer.value, source, False, self.call_id, adapter.pin, answer.served, passed_over)
        return outcome if self.contract.review is None else self._reviewed(self.contract.review, outcome)

    def _fallback_outcome(self) -> Outcome[R]:
        contract = self.contract
        try:
            value = contract.answer_by_fallback(self.snapshot)
            if self.world.ledger is not None:
                self._response_json = contract.dump_response(value)
        except Exception as error:
            known = contract.field_names
            reason = places(error, known) if isinstance(error, ValidationError) else described(error)
            raise FallbackFailed(contract.name, reason, self._asking.passed_over) from error
        source = Source("fallback", contract.fallback_name)
        outcome = Outcome(value, source, True, self.call_id, passed_over=tuple(self._asking.passed_over))
        return outcome if contract.review is None else self._reviewed(contract.review, outcome)

    def _fall_back(self) -> Generator[Effect, Any, Outcome[R]]:
        yield from self._raise_bug()
        try:
            outcome = self._fallback_outcome()
        except FallbackFailed as failed:
            return (yield from self._fail(failed, failed.__cause__))
        yield from self._raise_bug()  # the review's condition may have one
        self.world.events.emit(
            "fallback.used",
            capability=self.contract.name,
            call_id=self.call_id,
            reasons=[f"{each.adapter}: {each.reason}" for each in self._asking.passed_over],
        )
        ledger = self.world.ledger
        if ledger is None:
            return outcome
        return (yield from self._complete(ledger, outcome, None))

    def _fail(self, error: Exception, cause: BaseException | None) -> Generator[Effect, Any, NoReturn]:
        """Put on record that nobody answered, then raise."""
        ledger = self.world.ledger
        if ledger is not None:
            ticket = ledger.submit(self._record("failed", None, None))
            self._completed = True
            if ledger.healthy:
                yield from self._append(ledger, ticket, self.world.clock.monotonic_ns())
        raise error from cause

    def _complete(
        self, ledger: Ledger, outcome: Outcome[R], adapter_version: str | None
    ) -> Generator[Effect, Any, Outcome[R]]:
        """Put the end on record; what the caller gets where that fails is the policy's."""
        healthy = ledger.healthy
        ticket: Ticket | None = None
        if healthy or not outcome.by_ai or self.world.on_ledger_failure == "continue":
            ticket = ledger.submit(self._record(_result_of(outcome), outcome, adapter_version))
            self._completed = True
        if healthy and ticket is not None:
            result = yield from self._append(ledger, ticket, self.world.clock.monotonic_ns())
            if isinstance(result, Recorded):
                return _recorded_at(outcome, result.index)
        return self._not_durable(ledger, outcome, ticket)

    def _not_durable(self, ledger: Ledger, outcome: Outcome[R], ticket: Ticket | None) -> Outcome[R]:
        policy = self.world.on_ledger_failure
        if policy == "refuse":
            self._correct(ledger, ticket, "refused", None)
            raise LedgerUnavailable(f"{self.contract.name}: the answer couldn't be recorded, so it isn't given")
        if policy == "continue" or not outcome.by_ai:
            return outcome
        self._asking.passed_over.append(
            PassedOver(outcome.source.name, self._unrecorded, billed=True, detail="its answer couldn't be recorded")
        )
        try:
            spoken = self._fallback_outcome()
        except FallbackFailed:
            self._correct(ledger, ticket, "failed", None)
            raise
        self._correct(ledger, ticket, _result_of(spoken), spoken)
        return spoken

    def _correct(self, ledger: Ledger, ticket: Ticket | None, result: CallResult, spoken: Outcome[R] | None) -> None:
        """Replace a completed record that came too late, or amend it where the writer had it already."""
        if ticket is None or ticket.withdraw():
            ledger.submit(self._record(result, spoken, None))
            self._completed = True
            return
        now = self.world.clock.monotonic_ns()
        ledger.submit(
            CallAmended(
                self.call_id,
                self.contract.name,
                self.contract.version,
                ticket,
                result,
                spoken is not None,
                None if spoken is None else spoken.source,
                self.context,
                (now - self.started) // 1000,
                None if spoken is None else self._response_json,
                None if spoken is None else self._review,
                self.contract.audit,
            )
        )

    def _record(self, result: CallResult, outcome: Outcome[R] | None, adapter_version: str | None) -> CallCompleted:
        assert self._started is not None
        attempts = self._asking.attempts
        return CallCompleted(
            self.call_id,
            self.contract.name,
            self.contract.version,
            self._started,
            result,
            outcome is not None and outcome.degraded,
            None if outcome is None else outcome.source,
            self.context,
            (self.world.clock.monotonic_ns() - self.started) // 1000,
            adapter_version,
            tuple(attempts),
            tuple((each.adapter, each.reason) for each in self._asking.passed_over if each.reason not in _OF_ATTEMPTS),
            self._prompt_json if attempts else None,
            None if outcome is None else self._response_json,
            None if outcome is None else self._review,
            self.contract.audit,
        )

    def _post(self, result: CallResult) -> None:
        """Queue the record of an end that nobody waits for."""
        ledger = self.world.ledger
        assert ledger is not None
        if result == "cancelled":
            now = self.world.clock.monotonic_ns()
            for attempt in self._asking.attempts:
                if attempt.fault is None:
                    attempt.break_off(now)
        ledger.submit(self._record(result, None, None))
        self._completed = True


def _result_of(outcome: Outcome[Any]) -> CallResult:
    return "referred" if isinstance(outcome.value, Referral) else "answered"


def _recorded_at(outcome: Outcome[R], index: int | None) -> Outcome[R]:
    return Outcome(
        outcome.value,
        outcome.source,
        outcome.degraded,
        outcome.call_id,
        outcome.pin,
        outcome.served,
        outcome.passed_over,
        index,
        outcome.review,
    )
