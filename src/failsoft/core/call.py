"""One call, from request to outcome, as a generator of effects.

Theory of operation. `Call.run` decides; where it must wait it yields an effect (`failsoft.core.effects`) and is sent the
result as a value. It runs the same under asyncio, in a thread and in virtual time.

    started ──Append──▶ for each adapter of the route: Enter? ▶ permit ▶ Exchange | Invoke ▶ judge ▶ settle ▶ Sleep? …
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
4. Permit and slot are held only while an attempt is on the wire: never through a sleep, never through a queue.
5. The fallback is last and is always reached: open breakers, full bulkheads and spent deadlines lead to it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, Literal, NoReturn, TypeVar

from attrs import define, field
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from failsoft.context import CallContext
from failsoft.core.breaker import Permit, Refused
from failsoft.core.budget import FLOOR, LEDGER_RESERVE, Budget, budget
from failsoft.core.bulkhead import Bulkhead
from failsoft.core.clock import uuid7
from failsoft.core.contract import Contract
from failsoft.core.effects import (
    Append,
    Ask,
    Clock,
    Effect,
    Enter,
    Events,
    Exchange,
    HttpReply,
    Invoke,
    Ledger,
    Promise,
    Raised,
    Random,
    Recorded,
    Reply,
    Sleep,
    Ticket,
    Unrecorded,
    Unusable,
)
from failsoft.core.evidence import Attempt, CallAmended, CallCompleted, CallResult, CallStarted
from failsoft.core.retry import Retry
from failsoft.core.retry_after import retry_after_ns
from failsoft.core.route import Blocks, GuardedAdapter, plan
from failsoft.errors import CapabilityBug, FallbackFailed, LedgerUnavailable
from failsoft.fault import Fault, FaultKind, Settlement
from failsoft.outcome import Outcome, PassedOver, Referral, Served, Source
from failsoft.prompt import Prompt

Q = TypeVar("Q")
R = TypeVar("R")

OnLedgerFailure = Literal["fallback", "refuse", "continue"]
OnBug = Literal["fallback", "raise"]

_UNSENT = frozenset(
    {
        FaultKind.DNS_FAILED,
        FaultKind.CONNECT_REFUSED,
        FaultKind.CONNECT_FAILED,
        FaultKind.CONNECT_TIMEOUT,
        FaultKind.TLS_FAILED,
        FaultKind.TLS_INVALID,
        FaultKind.PROXY_REFUSED,
    }
)
"""Nothing was sent, so nothing can be billed."""


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


@define(eq=False)
class _Answer(Generic[R]):
    """An accepted value and who gave it."""

    value: R
    adapter: GuardedAdapter
    attempt: int
    served: Served


@define(eq=False, slots=True)
class Call(Generic[Q, R]):
    """One call's state while it runs. `run()` once."""

    world: World
    contract: Contract[Q, R]
    adapters: tuple[GuardedAdapter, ...]
    deadline: int
    request: Q
    request_json: bytes
    context: CallContext
    fair_share: int
    """What an attempt of this capability may take by its *configured* deadline: one that had as long has failed, however
    little its caller left it by a deadline of his own."""
    call_id: str = field(init=False, default="")
    _budget: Budget = field(init=False)
    _attempts: list[Attempt] = field(init=False, factory=list[Attempt])
    _passed_over: list[PassedOver] = field(init=False, factory=list[PassedOver])
    _started: Ticket | None = field(init=False, default=None)
    _completed: bool = field(init=False, default=False)
    _permit: Permit | None = field(init=False, default=None)
    _slot: Bulkhead | None = field(init=False, default=None)
    _queued: tuple[Bulkhead, Promise[bool]] | None = field(init=False, default=None)
    _work: Invoke | None = field(init=False, default=None)
    _bug: Exception | None = field(init=False, default=None)
    _prompt_json: bytes | None = field(init=False, default=None)
    _response_json: bytes | None = field(init=False, default=None)

    def run(self) -> Generator[Effect, Any, Outcome[R]]:
        """The call. Raises FallbackFailed, LedgerUnavailable, CapabilityBug; passes on any BaseException thrown in."""
        try:
            return (yield from self._walk())
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException:
            self._release(Settlement.NEUTRAL)
            if self._started is not None and not self._completed:
                self._post("cancelled")
            raise

    # --- the walk -----------------------------------------------------------------------------------------------------

    def _walk(self) -> Generator[Effect, Any, Outcome[R]]:
        world = self.world
        clock = world.clock
        now = clock.monotonic_ns()
        self._budget = budget(now, self.deadline, ledger=world.ledger is not None)
        self.call_id = uuid7(clock.time_ns(), world.random.getrandbits(74))
        route = self._route(now)
        if world.ledger is not None:
            allowed: bool = yield from self._begin(world.ledger, route, now)
            if not allowed:
                self._passed_over += [PassedOver(each.name, "ledger") for each in route]
                route = []
        answer: _Answer[R] | None = None
        if route:
            answer = yield from self._ask_adapters(route)
        if self._bug is not None and world.on_bug == "raise":
            yield from self._fail(CapabilityBug(f"{self.contract.name}: {self._bug!r}"), self._bug)
        if answer is None:
            return (yield from self._fall_back())
        outcome = self._outcome_of(answer)
        if world.ledger is None:
            return outcome
        return (yield from self._complete(world.ledger, outcome, answer.adapter.codec.version))

    def _route(self, now: int) -> list[GuardedAdapter]:
        blocked = self.world.blocks.capability(self.contract.name, now)
        if blocked is not None:
            self._passed_over = [PassedOver(each.name, "blocked", detail=blocked) for each in self.adapters]
            return []
        route, self._passed_over = plan(self.adapters, now, self.context.labels, self.world.blocks)
        return route

    def _begin(self, ledger: Ledger, route: list[GuardedAdapter], now: int) -> Generator[Effect, Any, bool]:
        """Put the start on record. May a provider be asked?"""
        healthy = ledger.healthy
        self._started = ledger.submit(
            CallStarted(
                self.call_id,
                self.contract.name,
                self.contract.version,
                self.request_json,
                self.deadline // 1_000_000,
                tuple(each.name for each in route),
                self.context,
                self.world.config_sha256,
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
        until = self._budget.append_until(now)
        try:
            result: Recorded | Unrecorded | None = yield Append(ticket, until)
        except Exception as error:
            self._loud(FaultKind.BUG, "the ledger", error)
            return None
        if result is None and until - now >= LEDGER_RESERVE:
            ledger.late()
        return result

    # --- asking -------------------------------------------------------------------------------------------------------

    def _ask_adapters(self, route: list[GuardedAdapter]) -> Generator[Effect, Any, _Answer[R] | None]:
        ask = self._prepare()
        if ask is None:
            self._passed_over += [PassedOver(each.name, "no_prompt") for each in route]
            return None
        left = len(route)
        for adapter in route:
            ask.pin = adapter.pin
            answer = yield from self._try_adapter(adapter, ask, left)
            if answer is not None or self._bug is not None:
                return answer
            left -= 1
        return None

    def _prepare(self) -> Ask | None:
        contract = self.contract
        try:
            prompt = contract.prompt(self.request)
            if not isinstance(prompt, Prompt):
                raise TypeError(f"prompt() returned {type(prompt).__name__}, not Prompt")
            if self.world.ledger is not None:
                self._prompt_json = _prompt_json(prompt)  # now: a prompt that can't be recorded isn't asked
        except (ValueError, AssertionError) as error:
            if isinstance(error, PydanticSerializationError):
                self._capability_bug("prompt", error)
            return None  # the capability says that this request can't be put to a model
        except Exception as error:
            self._capability_bug("prompt", error)
            return None
        pin = self.adapters[0].pin
        return Ask(self.request, self.request_json, prompt, contract.answer, contract.sampling, pin)

    def _try_adapter(self, adapter: GuardedAdapter, ask: Ask, left: int) -> Generator[Effect, Any, _Answer[R] | None]:
        """Ask one adapter, again where that makes sense, until it answers or must be passed over."""
        retry: Retry | None = None
        spent: set[FaultKind] = set()
        while True:
            entered = yield from self._enter(adapter, left)
            if not entered:
                return None
            result = yield from self._attempt(adapter, ask, left)
            if not isinstance(result, Fault):
                return result
            rule, again = result.treatment.retry, result.kind in spent
            spent.add(result.kind)
            if self._bug is not None or not _worth_another(result, again, left):
                return None
            if rule == "free":
                continue
            if retry is None:
                retry = Retry(adapter.attempts, self.world.random)
            wait = retry.next_wait_ns(result, result.retry_after_ns)
            now = self.world.clock.monotonic_ns()
            if wait is None:
                return None
            until = max(now + wait, adapter.throttle.until(now))
            if until + FLOOR >= self._budget.attempt_until(now, left, None):
                return None
            try:
                yield Sleep(until)
            except Exception as error:
                self._loud(FaultKind.BUG, adapter.name, error)
                return None

    def _enter(self, adapter: GuardedAdapter, left: int) -> Generator[Effect, Any, bool]:
        """Take a slot and a permit, or say why not."""
        now = self.world.clock.monotonic_ns()
        refusal = adapter.refusal(now, self.context.labels, self.world.blocks)
        if refusal is not None:
            return self._pass(adapter, *refusal)
        until = self._budget.attempt_until(now, left, None)
        if until - now < FLOOR:
            return self._pass(adapter, "no_time")
        bulkhead = adapter.bulkhead
        if not bulkhead.try_enter():
            promise = bulkhead.queue()
            if promise is None:
                return self._pass(adapter, "bulkhead_full", "its queue is full too")
            self._queued = (bulkhead, promise)
            try:
                ready: bool | None = yield Enter(promise, until)
            except Exception as error:
                self._loud(FaultKind.BUG, adapter.name, error)
                ready = None
            self._queued = None
            if not ready:
                bulkhead.cancel(promise)
                return self._pass(adapter, "bulkhead_full")
            now = self.world.clock.monotonic_ns()
        self._slot = bulkhead
        until = self._budget.attempt_until(now, left, adapter.attempt_cap)
        if until - now < FLOOR:
            self._release(Settlement.NEUTRAL)
            return self._pass(adapter, "no_time")
        refusal = adapter.admit(now)
        if refusal is not None:
            self._release(Settlement.NEUTRAL)
            return self._pass(adapter, *refusal)
        # A caller who has what the configuration gives every caller may be a trial, whatever fair time says.
        remaining = None if until - now >= self.fair_share else self._budget.ask_ends - now
        permit = adapter.breaker.acquire(now, until - now, call=self.call_id, remaining_ns=remaining)
        if isinstance(permit, Refused):
            self._release(Settlement.NEUTRAL)
            return self._pass(adapter, "open", permit.reason)
        self._permit = permit
        return True

    def _pass(self, adapter: GuardedAdapter, reason: str, detail: str = "") -> bool:
        self._passed_over.append(PassedOver(adapter.name, reason, detail=detail))
        return False

    def _attempt(self, adapter: GuardedAdapter, ask: Ask, left: int) -> Generator[Effect, Any, _Answer[R] | Fault]:
        """One request on the wire, judged and settled."""
        clock = self.world.clock
        begun = clock.monotonic_ns()
        until = self._budget.attempt_until(begun, left, adapter.attempt_cap)
        codec = adapter.codec
        attempt = Attempt(
            len(self._attempts) + 1, adapter.name, codec.version, codec.endpoint, adapter.pin, ask.sampling
        )
        self._attempts.append(attempt)
        result: object
        try:
            if adapter.invoked:
                self._work = Invoke(adapter.name, codec.function, (ask,), until)  # type: ignore[union-attr]
                result = yield self._work
            else:
                result = yield Exchange(adapter.name, codec.encode(ask), until)  # type: ignore[union-attr]
        except Exception as error:
            self._loud(FaultKind.BUG, adapter.name, error)
            result = Fault(FaultKind.BUG, type(error).__name__)
        now = clock.monotonic_ns()
        attempt.us = (now - begun) // 1000
        answer = self._judge(adapter, ask, attempt, result)
        if isinstance(answer, Fault):
            self._settle_fault(adapter, attempt, answer, now, capped=until - begun == adapter.attempt_cap)
            return answer
        permit, self._permit = self._permit, None
        assert permit is not None
        permit.settle(Settlement.SUCCESS, now, well_formed=True)
        adapter.throttle.succeeded(now)
        adapter.latch.succeeded()
        self._release(Settlement.SUCCESS)
        return answer

    # --- judging ------------------------------------------------------------------------------------------------------

    def _judge(self, adapter: GuardedAdapter, ask: Ask, attempt: Attempt, result: object) -> _Answer[R] | Fault:
        """Decode, compare with the pin, validate, accept: an answer, or why it isn't one."""
        if isinstance(result, Fault):
            return result
        codec: Any = adapter.codec
        try:
            if isinstance(result, HttpReply):
                attempt.status = result.status
                attempt.reply = result.body
                reply = codec.decode(result)
            elif isinstance(result, Raised):
                reply = codec.classify(result.error)
            else:
                reply = codec.read(result, ask)
                attempt.reply = reply.answer if isinstance(reply, Reply) else None
        except Exception as error:
            self._loud(FaultKind.BUG, adapter.name, error)
            return Fault(FaultKind.BUG, f"reading the reply raised {type(error).__name__}")
        attempt.served = reply.served
        attempt.tokens = reply.tokens
        if isinstance(reply, Unusable):
            return self._with_hint(reply.fault, result)
        mismatch = self._mismatch(adapter, reply.served)
        if mismatch is not None:
            return mismatch
        return self._accept(adapter, attempt, reply)

    def _with_hint(self, fault: Fault, result: object) -> Fault:
        if fault.treatment.throttle and fault.retry_after_ns is None and isinstance(result, HttpReply):
            fault.retry_after_ns = retry_after_ns(result.headers, result.status, self.world.clock.time_ns())
        return fault

    def _mismatch(self, adapter: GuardedAdapter, served: Served) -> Fault | None:
        if served.model is None or adapter.pin.admits(served.model):
            return None
        self.world.events.emit(
            "pin.mismatch", adapter=adapter.name, asked=adapter.pin.model, served=served.model, call_id=self.call_id
        )
        if adapter.on_mismatch == "record":
            return None
        return Fault(
            FaultKind.SERVED_MODEL_MISMATCH, f'asked for "{adapter.pin.model}", "{served.model}" answered', status=200
        )

    def _accept(self, adapter: GuardedAdapter, attempt: Attempt, reply: Reply) -> _Answer[R] | Fault:
        contract = self.contract
        try:
            value = contract.read_answer(reply.answer, self.request)
        except ValidationError as error:
            attempt.detail = error.json(include_url=False, include_context=False).encode()
            return Fault(FaultKind.SCHEMA_INVALID, _places(error), status=attempt.status)
        except Exception as error:  # a validator of the response type raised something else
            self._capability_bug("a validator of the response type", error)
            return Fault(FaultKind.CAPABILITY_BUG, type(error).__name__, status=attempt.status)
        if contract.accept is not None:
            try:
                contract.accept(self.request, value)
            except (ValueError, AssertionError) as error:
                attempt.detail = str(error).encode("utf-8", "replace")
                return Fault(FaultKind.UNACCEPTABLE, "accept() said no", status=attempt.status)
            except Exception as error:
                self._capability_bug("accept", error)
                return Fault(FaultKind.CAPABILITY_BUG, type(error).__name__, status=attempt.status)
        try:
            self._note_response(value)
        except Exception as error:  # accept() changed the value into one that can't be recorded
            self._capability_bug("the response type", error)
            return Fault(FaultKind.CAPABILITY_BUG, type(error).__name__, status=attempt.status)
        return _Answer(value, adapter, attempt.n, reply.served)

    def _note_response(self, value: R) -> None:
        """Keep the value's bytes for the record; what can't be written down isn't answered."""
        if self.world.ledger is not None:
            self._response_json = self.contract.dump_response(value)

    def _settle_fault(self, adapter: GuardedAdapter, attempt: Attempt, fault: Fault, now: int, *, capped: bool) -> None:
        """Tell the guards, note it, and give slot and permit back."""
        treatment = fault.treatment
        permit, self._permit = self._permit, None
        assert permit is not None
        if fault.kind is FaultKind.ATTEMPT_TIMEOUT and not capped and attempt.us * 1000 < self.fair_share:
            permit.cut(now)  # its caller's deadline cut it: judged by fair time
        else:
            permit.settle(treatment.health, now, hint_ns=fault.retry_after_ns, well_formed=fault.status is not None)
        if treatment.throttle:
            adapter.throttle.throttled(now, fault.retry_after_ns)
        elif treatment.latch:
            adapter.latch.trip(str(fault), fault.certain, self.call_id, now)
        elif treatment.health is Settlement.SUCCESS:
            adapter.latch.succeeded()
        self._release(Settlement.NEUTRAL)
        attempt.fault = fault.kind.value
        if fault.status is not None:
            attempt.status = fault.status
        billed = fault.kind not in _UNSENT and (attempt.status is None or attempt.status < 400)
        self._passed_over.append(PassedOver(adapter.name, fault.kind.value, attempt.us / 1e6, billed, fault.detail))
        if treatment.loud:
            self._loud(fault.kind, adapter.name, None)

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _outcome_of(self, answer: _Answer[R]) -> Outcome[R]:
        adapter = answer.adapter
        source = Source("adapter", adapter.name, answer.attempt)
        passed_over = tuple(self._passed_over)
        return Outcome(answer.value, source, False, self.call_id, adapter.pin, answer.served, passed_over)

    def _fallback_outcome(self) -> Outcome[R]:
        contract = self.contract
        try:
            value = contract.check_value(contract.fallback(self.request), self.request)
            self._note_response(value)
        except Exception as error:
            reason = _places(error) if isinstance(error, ValidationError) else repr(error)
            raise FallbackFailed(contract.name, reason, self._passed_over) from error
        source = Source("fallback", contract.fallback_name)
        return Outcome(value, source, True, self.call_id, passed_over=tuple(self._passed_over))

    def _fall_back(self) -> Generator[Effect, Any, Outcome[R]]:
        try:
            outcome = self._fallback_outcome()
        except FallbackFailed as failed:
            return (yield from self._fail(failed, failed.__cause__))
        self.world.events.emit(
            "fallback.used",
            capability=self.contract.name,
            call_id=self.call_id,
            reasons=[f"{each.adapter}: {each.reason}" for each in self._passed_over],
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
        self._passed_over.append(
            PassedOver(outcome.source.name, "ledger", billed=True, detail="its answer couldn't be recorded")
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
                (now - self._budget.started) // 1000,
                None if spoken is None else self._response_json,
            )
        )

    def _record(self, result: CallResult, outcome: Outcome[R] | None, adapter_version: str | None) -> CallCompleted:
        assert self._started is not None
        tried = {each.adapter for each in self._attempts}
        return CallCompleted(
            self.call_id,
            self.contract.name,
            self.contract.version,
            self._started,
            result,
            outcome is not None and outcome.degraded,
            None if outcome is None else outcome.source,
            self.context,
            (self.world.clock.monotonic_ns() - self._budget.started) // 1000,
            adapter_version,
            tuple(self._attempts),
            tuple((each.adapter, each.reason) for each in self._passed_over if each.adapter not in tried),
            self._prompt_json if self._attempts else None,
            None if outcome is None else self._response_json,
        )

    def _post(self, result: CallResult) -> None:
        """Queue the record of an end that nobody waits for."""
        ledger = self.world.ledger
        assert ledger is not None
        if self._attempts and self._attempts[-1].fault is None and result == "cancelled":
            self._attempts[-1].fault = FaultKind.CANCELLED.value
        ledger.submit(self._record(result, None, None))
        self._completed = True

    # --- giving back --------------------------------------------------------------------------------------------------

    def _release(self, settlement: Settlement) -> None:
        """Permit, slot and place in a queue go back, at once."""
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.settle(settlement, self.world.clock.monotonic_ns())
        queued, self._queued = self._queued, None
        if queued is not None:
            queued[0].cancel(queued[1])
        slot, self._slot = self._slot, None
        work, self._work = self._work, None
        if slot is not None:
            if work is not None and work.started and not work.work.done:
                work.work.on_done(slot.leave)  # the slot is free when the work ends, not when its caller leaves
            else:
                slot.leave()

    def _abandon(self) -> None:
        """The garbage collector took the call: give back without a lock, put nothing on record."""
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.abandon()
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.abandon()
        queued, self._queued = self._queued, None
        if queued is not None:
            queued[0].abandon(queued[1])

    # --- bugs ---------------------------------------------------------------------------------------------------------

    def _capability_bug(self, where: str, error: Exception) -> None:
        self._bug = error
        self.world.events.emit(
            "capability.bug",
            capability=self.contract.name,
            where=where,
            error=type(error).__name__,
            call_id=self.call_id,
        )

    def _loud(self, kind: FaultKind, adapter: str, error: BaseException | None) -> None:
        self.world.events.emit(
            "attempt.alert",
            capability=self.contract.name,
            adapter=adapter,
            fault=kind.value,
            error=None if error is None else type(error).__name__,
            call_id=self.call_id,
        )


def _worth_another(fault: Fault, again: bool, left: int) -> bool:
    """Does the kind of fault allow another attempt at the same adapter? `again`: it was met before in this call."""
    rule = fault.treatment.retry
    if rule == "no" or fault.give_up or (again and rule in ("free", "once")):
        return False
    return left == 1 or not (rule == "next" or fault.treatment.throttle)


def _result_of(outcome: Outcome[Any]) -> CallResult:
    return "referred" if isinstance(outcome.value, Referral) else "answered"


def _recorded_at(outcome: Outcome[R], index: int) -> Outcome[R]:
    return Outcome(
        outcome.value,
        outcome.source,
        outcome.degraded,
        outcome.call_id,
        outcome.pin,
        outcome.served,
        outcome.passed_over,
        index,
    )


def _places(error: ValidationError) -> str:
    """Where a value doesn't fit, without the value."""
    places = sorted({".".join(str(part) for part in each["loc"]) or "the answer" for each in error.errors()[:5]})
    return "doesn't fit at " + ", ".join(places)


def _prompt_json(prompt: Prompt) -> bytes:
    return to_json([{"role": each.role, "content": each.content} for each in prompt.messages])
