"""One adapter's turn in a call: it's asked, again where that makes sense, until it answers or must be passed over.

Theory of operation
-------------------

    Enter? ─▶ slot, permit ─▶ Exchange | Invoke ─▶ judge ─▶ settle ─▶ Sleep? ─▶ …

Slot and permit are held only while an attempt is on the wire: never through a queue, never through a sleep. The guards are
looked at before queueing and the permit is taken after it, so a breaker that opens meanwhile ends the turn.

A second attempt is for a blip. Where another adapter can be asked, one that was open lately, or fails a fifth of its calls,
isn't asked twice: it would cost a wait, and more load on a provider that has enough.

What can't finish isn't started: an attempt that has less time than a call usually gives it, and less than half of the fresh
answers took, is passed over (`no_time`), and nobody waits in a queue for such a one. Otherwise, where more is asked than a
provider can do, each slot goes to whoever waited longest and has no time left to use it.

A turn cleans up after itself, however it ends (`failsoft.core.held`): several turns of one call may run beside each other.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar

from attrs import define, field

from failsoft.core.asking import Answer, Asking
from failsoft.core.authorise import authorised
from failsoft.core.breaker import Permit, Refused
from failsoft.core.budget import FLOOR
from failsoft.core.bulkhead import Bulkhead
from failsoft.core.credential import Issued
from failsoft.core.effects import Ask, CannotAsk, Effect, Enter, Exchange, Invoke, Sleep
from failsoft.core.evidence import Attempt, Why
from failsoft.core.held import Held
from failsoft.core.judge import judge
from failsoft.core.limits import Limits, Reservation
from failsoft.core.quality import Quality
from failsoft.core.retry import Retry
from failsoft.core.route import GuardedAdapter
from failsoft.fault import Fault, FaultKind, Settlement
from failsoft.outcome import PassedOver, Served
from failsoft.prompt import Message, Prompt

R = TypeVar("R")

_UNSENT = frozenset(
    {
        FaultKind.DNS_FAILED,
        FaultKind.HOST_UNKNOWN,
        FaultKind.CONNECT_REFUSED,
        FaultKind.CONNECT_FAILED,
        FaultKind.CONNECT_TIMEOUT,
        FaultKind.TLS_FAILED,
        FaultKind.TLS_INVALID,
        FaultKind.PROXY_REFUSED,
        FaultKind.POOL_EXHAUSTED,
    }
)
"""Nothing was sent, so nothing can be billed."""

AILING = 20
"""Per cent of an adapter's recent attempts, and more than one, that failed: nobody asks it twice who can ask another."""

REPAIR = (
    "That answer can't be used: {problem}\nAnswer the same question again, with the corrected JSON and nothing else."
)
"""What a capability with ``repair = True`` says to a model whose answer didn't fit."""


@define(eq=False)
class Turn(Generic[R]):
    """One adapter's turn. `run()` once.

    Args:
        asking: what is asked.
        adapter: who is asked.
        left: how many adapters share the time that's left, this one included.
        looked: nothing was waited for since the route's plan found that the adapter may be asked.
        why: what its next attempt is, where it isn't the adapter's first.
    """

    asking: Asking[Any, R]
    adapter: GuardedAdapter
    left: int
    looked: bool = False
    why: Why | None = None
    lost: bool = field(init=False, default=False)
    """Another turn beside it has won: what's still on its way is broken off, and nothing more is asked."""
    _held: Held = field(init=False)
    _until: int = field(init=False, default=0)
    _attempt: Attempt | None = field(init=False, default=None)
    _prompt: Prompt | None = field(init=False, default=None)
    _repaired: Prompt | None = field(init=False, default=None)
    _retry: Retry | None = field(init=False, default=None)
    _met: set[FaultKind] = field(init=False, factory=set[FaultKind])
    _trial: bool = field(init=False, default=False)
    _waiting: bool = field(init=False, default=False)
    _quality: Quality | None = field(init=False, default=None)
    _issued: Issued | None = field(init=False, default=None)
    _renewed: bool = field(init=False, default=False)

    def run(self) -> Generator[Effect, Any, Answer[R] | None]:
        """An answer, or None: `Asking.passed_over` says why."""
        self._held = Held(self.adapter)
        self._quality = self.asking.route.quality[self.adapter.name]
        try:
            while True:
                entered = yield from self._enter()
                if entered is None:
                    return None
                result = yield from self._ask(entered)
                if type(result) is Answer:
                    return result
                until = self._again(result)
                self._judged(result, last=until is None)
                if until is None:
                    return None
                if until:
                    try:
                        yield Sleep(until)
                    except Exception as error:
                        self.asking.loud(FaultKind.BUG, self.adapter.name, error)
                        return None
        except GeneratorExit:
            self._held.abandon()
            raise
        except BaseException:
            self._held.release(self.asking.world.clock.monotonic_ns(), lost=self.lost)
            raise

    def _again(self, fault: Fault) -> int | None:
        """The moment at which to ask this adapter once more: 0 for at once, None for not at all."""
        asking, adapter = self.asking, self.adapter
        again = fault.kind in self._met
        self._met.add(fault.kind)
        if asking.over or (self._trial and fault.treatment.health is Settlement.FAILURE):
            return None  # a trial is one attempt: its second would take another's place
        if fault.kind is FaultKind.UNAUTHENTICATED and self._may_renew:
            self._renewed, self.why = True, "retry"
            return 0
        now = asking.world.clock.monotonic_ns()
        if self._repaired is not None:
            self._prompt = self._repaired
            return 0 if self._afford(now, fault, "repair") else None
        if not _worth_another(fault, again, self.left) or (self.left > 1 and self._ails(fault, now)):
            return None
        if fault.treatment.retry == "free":
            self.why = "retry"
            return 0
        if self._retry is None:
            self._retry = Retry(adapter.attempts, asking.world.random)
        wait = self._retry.next_wait_ns(fault, fault.retry_after_ns)
        if wait is None:
            return None
        until = max(now + wait, adapter.throttle.until(now))
        if until + FLOOR >= asking.budget.attempt_until(now, self.left, None):
            return None
        return until if self._afford(now, fault, "retry") else None

    @property
    def _may_renew(self) -> bool:
        """Was the first credential refused that a turn came with? Another may be taken: it may have been told to end."""
        return self._issued is not None and not self._renewed

    def _ails(self, fault: Fault, now: int) -> bool:
        """Is the fault one of several? A second attempt is for a blip: an adapter that ails gets one of each call."""
        if fault.treatment.health is not Settlement.FAILURE:
            return False
        seen = self.adapter.breaker.snapshot(now)
        return seen.trips > 0 or (seen.failures > 1 and seen.failures * 100 >= AILING * seen.calls)

    def _afford(self, now: int, fault: Fault, why: Why) -> bool:
        """Does the adapter's retry budget allow it?"""
        if self.adapter.budget.take(now, fault):
            self.why = why
            return True
        self.asking.tell("retry.denied", adapter=self.adapter.name, fault=fault.kind.value, why=why)
        return False

    def _repaired_prompt(self, fault: Fault, attempt: Attempt) -> Prompt | None:
        """The question with the answer that didn't fit and what's wrong with it; None where no repair is due.

        Once in a turn, for a capability that wants it, and never after a trial: a half-open breaker's few places are for
        finding out whether the provider works.
        """
        asking = self.asking
        if not (asking.contract.repair and fault.treatment.repair) or self._prompt is not None or self._trial:
            return None
        assert asking.prompt is not None
        assert attempt.detail is not None
        return repaired(asking.prompt, attempt.answer, attempt.detail)

    def _enter(self) -> Generator[Effect, Any, int | None]:
        """Take a slot and a permit: the moment at which that was done; None where it wasn't."""
        asking, adapter = self.asking, self.adapter
        clock, budget = asking.world.clock, asking.budget
        now = clock.monotonic_ns()
        if not self.looked:
            refusal = adapter.refusal(now, asking.context.labels, asking.world.blocks, self._quality)
            if refusal is not None:
                self._pass(*refusal)
                return None
        self.looked = False
        if adapter.keeper is not None:
            self._issued = yield from authorised(asking, adapter, adapter.keeper, self.left)
            if self._issued is None:
                return None
            now = clock.monotonic_ns()
        if adapter.limits is not None:
            reserved = yield from self._reserve(adapter.limits)
            if not reserved:
                return None
            now = clock.monotonic_ns()
        bulkhead = adapter.bulkhead
        if not bulkhead.try_enter():
            ends = budget.attempt_until(now, self.left, None) - (adapter.breaker.typical(now) or 0)
            queued = yield from self._queue(bulkhead, ends)
            if not queued:
                return None
            now = clock.monotonic_ns()
        self._held.slot = bulkhead
        self._until = until = budget.attempt_until(now, self.left, adapter.attempt_cap)
        # One that has what a call usually gives it is started: an adapter isn't locked out for being slow.
        if until - now < FLOOR or (until - now < asking.route.fair_share and self._cant_finish(now, until)):
            self._held.release(now)
            self._pass("no_time")
            return None
        if not self._admitted(now, until):
            self._held.release(now)
            return None
        return now

    def _cant_finish(self, now: int, until: int) -> bool:
        typical = self.adapter.breaker.typical(now)
        return typical is not None and until - now < typical

    def _admitted(self, now: int, until: int) -> bool:
        """Do all guards let this attempt go? What they gave is held."""
        asking, adapter, held, quality = self.asking, self.adapter, self._held, self._quality
        if quality is not None:
            leave = quality.leave(now, until - now)
            if type(leave) is Refused:
                self._pass("quality", leave.reason)
                return False
            held.leave = leave
        # A caller who has what the configuration gives every caller may be a trial, whatever fair time says.
        remaining = None if until - now >= asking.route.fair_share else asking.budget.ask_ends - now
        permit = adapter.breaker.acquire(now, until - now, call=asking.call_id, remaining_ns=remaining)
        if type(permit) is Refused:
            self._pass("open", permit.reason)
            if permit.detach:
                asking.detach.append(adapter)
            return False
        held.permit = permit
        self._trial = permit.trial or type(held.leave) is Permit
        if not (adapter.latch.clear and adapter.credential.clear and adapter.throttle.free):
            refusal = adapter.admit(now)  # last: a latch's trial that's taken is spent
            if refusal is not None:
                self._pass(*refusal)
                return False
        return True

    def _reserve(self, limits: Limits) -> Generator[Effect, Any, bool]:
        """Take an attempt's part of the provider's quotas; wait for it where nobody else could be asked instead."""
        asking, clock = self.asking, self.asking.world.clock
        while True:
            now = clock.monotonic_ns()
            taken = limits.take(now, clock.time_ns(), asking.tokens(self._prompt))
            if isinstance(taken, Reservation):
                self._held.reservation = taken
                return True
            ends = asking.budget.attempt_until(now, self.left, None)
            if self.left > 1 or taken.wait_ns is None or now + taken.wait_ns + FLOOR >= ends:
                self._pass("limited", taken.quota)
                return False
            try:
                yield Sleep(now + taken.wait_ns)
            except Exception as error:
                asking.loud(FaultKind.BUG, self.adapter.name, error)
                return False

    def _queue(self, bulkhead: Bulkhead, until: int) -> Generator[Effect, Any, bool]:
        """Wait for a slot of a full bulkhead."""
        if until - self.asking.world.clock.monotonic_ns() < FLOOR:
            self._pass("no_time")
            return False
        promise = self._held.queued = bulkhead.queue()
        if promise is None:
            self._pass("bulkhead_full", "its queue is full too")
            return False
        try:
            self._waiting = True
            ready: bool | None = yield Enter(promise, until)
        except Exception as error:
            self.asking.loud(FaultKind.BUG, self.adapter.name, error)
            ready = None
        self._held.queued, self._waiting = None, False
        if not ready:
            bulkhead.cancel(promise)
            self._pass("bulkhead_full")
        return bool(ready)

    def _pass(self, reason: str, detail: str = "") -> None:
        self._held.unsent()
        self.asking.passed_over.append(PassedOver(self.adapter.name, reason, detail=detail))

    def _ask(self, begun: int) -> Generator[Effect, Any, Answer[R] | Fault]:
        """One request on the wire, judged and settled."""
        asking, adapter, until = self.asking, self.adapter, self._until
        codec: Any = adapter.codec
        held = self._held
        attempts, sampling = asking.attempts, asking.contract.sampling
        attempt = Attempt(len(attempts) + 1, adapter.name, codec.version, codec.endpoint, adapter.pin, sampling)
        attempt.begun = begun
        attempts.append(attempt)
        self._attempt = attempt
        if self.why is None:
            adapter.budget.first_attempts += 1
        attempt.why = self.why
        ask: Ask | None = None
        result: object
        sent = False
        try:
            ask = asking.ask(adapter, self._prompt)
            if self._prompt is not None and asking.world.ledger is not None:
                attempt.prompt = self._prompt.to_json()
            if adapter.invoked:
                held.work = Invoke(adapter.name, codec.function, (ask,), until)
                sent = True
                result = yield held.work
            else:
                request = codec.encode(ask)
                if self._issued is not None:
                    request = codec.authorize(request, self._issued.value, asking.world.clock.time_ns())
                sent = True
                result = yield Exchange(adapter.name, request, until)
        except Exception as error:
            result = _unasked(error)
        now = asking.world.clock.monotonic_ns()
        attempt.us = (now - begun) // 1000
        answer = judge(asking, adapter, ask, attempt, result)
        if held.reservation is not None:
            self._reckon(attempt, answer, sent=sent)
        if type(answer) is Fault:
            self._settle_fault(attempt, answer, now, sent=sent, capped=until - begun == adapter.attempt_cap)
            return answer
        permit, held.permit = held.permit, None
        assert permit is not None
        settle = self._settle_trial if permit.trial else Permit.settle
        settle(permit, Settlement.SUCCESS, now, well_formed=True)
        if not adapter.throttle.free:
            adapter.throttle.succeeded(now)
        if not (adapter.latch.clear and adapter.credential.clear):
            adapter.let_in()
        if adapter.adaptive is not None:
            adapter.adaptive.answered()
        leave, held.leave = held.leave, None
        if self._quality is not None and leave is not None:
            self._quality.settle(leave, now, "ok")
        held.release(now)
        return answer

    def _reckon(self, attempt: Attempt, answer: Answer[R] | Fault, *, sent: bool) -> None:
        """What of the quotas was used."""
        if not sent or (type(answer) is Fault and answer.kind in _UNSENT):
            self._held.unsent()
        else:
            self._held.sent(None if attempt.tokens is None else attempt.tokens.total)

    def _settle_trial(
        self, permit: Permit, settlement: Settlement, now: int, *, hint_ns: int | None = None, well_formed: bool = False
    ) -> None:
        """As `Permit.settle`, for a trial: what the recovery check says of its reply comes first."""
        assert self._attempt is not None
        served = self._attempt.served
        if served is None or settlement is Settlement.FAILURE or self._recovered(served):
            permit.settle(settlement, now, hint_ns=hint_ns, well_formed=well_formed)
        else:
            permit.fail_check(now)

    def _recovered(self, served: Served) -> bool:
        adapter = self.adapter
        try:
            return adapter.recovery_check(adapter.pin, served)
        except Exception as error:
            self.asking.loud(FaultKind.BUG, adapter.name, error)
            return False

    def _settle_fault(self, attempt: Attempt, fault: Fault, now: int, *, sent: bool, capped: bool) -> None:
        """Tell the guards, all but quality, and note it."""
        asking, adapter, treatment = self.asking, self.adapter, fault.treatment
        permit, self._held.permit = self._held.permit, None
        assert permit is not None
        cut = fault.kind is FaultKind.ATTEMPT_TIMEOUT and not capped and attempt.us * 1000 < asking.route.fair_share
        if cut:
            permit.cut(now)  # its caller's deadline did: judged by fair time
        else:
            settle, whole = self._settle_trial if permit.trial else Permit.settle, fault.status is not None
            settle(permit, treatment.health, now, hint_ns=fault.retry_after_ns, well_formed=whole)
        if treatment.throttle == "yes" or (treatment.throttle == "told" and fault.retry_after_ns is not None):
            adapter.throttle.throttled(now, fault.retry_after_ns)
        elif treatment.latch != "no":
            self._latch(fault, now)
        elif treatment.health is Settlement.SUCCESS:
            adapter.let_in()
        if treatment.crowded and not cut and adapter.adaptive is not None:  # an impatient caller is no crowd
            adapter.adaptive.dropped(attempt.begun, now)
        if treatment.retry == "end":
            asking.over = True
        self._repaired = self._repaired_prompt(fault, attempt)
        attempt.fault = fault.kind.value
        if fault.status is not None:
            attempt.status = fault.status
        billed = sent and fault.kind not in _UNSENT and (attempt.status is None or attempt.status < 400)
        asking.passed_over.append(PassedOver(adapter.name, fault.kind.value, attempt.us / 1e6, billed, fault.detail))
        if treatment.loud or fault.error is not None:
            asking.loud(fault.kind, adapter.name, fault.error)
        if fault.unknown:
            asking.tell("status.unknown", adapter=adapter.name, status=fault.status)

    def _latch(self, fault: Fault, now: int) -> None:
        """Somebody must mend the configuration; unless a credential that may have ended was refused."""
        adapter = self.adapter
        if fault.kind is FaultKind.UNAUTHENTICATED and self._may_renew and adapter.keeper is not None:
            adapter.keeper.refused(self._issued)
            return
        latch = adapter.latch if fault.treatment.latch == "pin" else adapter.credential
        latch.trip(str(fault), fault.certain, self.asking.call_id, now)

    def _judged(self, fault: Fault, *, last: bool) -> None:
        """Tell quality of the turn's last answer only, except for a trial, which is one attempt; and give the slot back."""
        now, held = self.asking.world.clock.monotonic_ns(), self._held
        leave, held.leave = held.leave, None
        if self._quality is not None and leave is not None:
            final = last or type(leave) is Permit
            self._quality.settle(leave, now, fault.treatment.quality if final else "none")
        held.release(now)

    def lose(self) -> None:
        """Another turn won: say so of an attempt that was on its way."""
        attempt, asking = self._attempt, self.asking
        if attempt is not None and attempt.fault is None:
            attempt.break_off(asking.world.clock.monotonic_ns())
            asking.passed_over.append(PassedOver(self.adapter.name, "hedge_lost", attempt.us / 1e6, billed=True))
        elif self._waiting:
            asking.passed_over.append(
                PassedOver(self.adapter.name, "bulkhead_full", detail="another answered meanwhile")
            )


def repaired(prompt: Prompt, answer: bytes | None, detail: bytes) -> Prompt:
    """A question with the answer that didn't fit, where there was one, and what's wrong with it: `Attempt.detail`."""
    problem = Message("user", REPAIR.format(problem=detail.decode()))
    said = () if answer is None else (Message("assistant", answer.decode()),)
    return Prompt((*prompt.messages, *said, problem))


def _unasked(error: Exception) -> Fault:
    """What a codec or a driver raised."""
    name = type(error).__name__
    return error.fault if isinstance(error, CannotAsk) else Fault(FaultKind.BUG, name, error=name)


def _worth_another(fault: Fault, again: bool, left: int) -> bool:
    """Does the kind of fault allow another attempt at the same adapter? `again`: it was met before in this turn."""
    rule = fault.treatment.retry
    if rule == "no" or fault.give_up or (again and rule in ("free", "once")):
        return False
    return left == 1 or not (rule == "next" or fault.treatment.throttle != "no")
