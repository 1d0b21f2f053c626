"""A scripted world for calls: a provider that does as it's told, a ledger that can be late, and no real time."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable
from typing import Any

from attrs import define, field
from pydantic import BaseModel, ConfigDict

from failsoft import Capability
from failsoft.context import CallContext
from failsoft.core.breaker import Breaker
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.budget import fair_share
from failsoft.core.bulkhead import Bulkhead
from failsoft.core.call import Call, OnBug, OnLedgerFailure, World
from failsoft.core.contract import Contract
from failsoft.core.effects import (
    Ask,
    Clock,
    Effect,
    Exchange,
    HttpReply,
    HttpRequest,
    Promise,
    Recorded,
    Reply,
    Unrecorded,
    Unusable,
)
from failsoft.core.evidence import CallCompleted
from failsoft.core.latch import Latch
from failsoft.core.quality import Quality
from failsoft.core.route import Blocks, GuardedAdapter, NoBlocks, Route
from failsoft.core.throttle import Throttle
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import VirtualClock
from failsoft.outcome import Outcome, Pin, Served

SECOND = 1_000_000_000


class Item(BaseModel):
    model_config = ConfigDict(frozen=True)
    description: str


class Grade(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    grade: int


class GradeItem(Capability[Item, Grade]):
    """Which grade is it?"""

    def fallback(self, request: Item) -> Grade:
        return Grade(grade=len(request.description))

    def accept(self, request: Item, response: Grade) -> None:
        if response.grade < 0:
            raise ValueError("a grade is never negative")


class StubCodec:
    """The body is the answer; the header ``model`` says who served; a status says what's wrong."""

    provider = "stub"
    version = "1"
    endpoint = "http://stub/v1"
    secrets = ()

    def encode(self, ask: Ask) -> HttpRequest:
        return HttpRequest("http://stub/v1", (), ask.request_json)

    def decode(self, reply: HttpReply) -> Reply | Unusable:
        served = Served(reply.headers.get("model"))
        if reply.status == 200:
            return Reply(reply.body, served)
        kinds = {
            400: FaultKind.REQUEST_REJECTED,
            429: FaultKind.RATE_LIMITED,
            401: FaultKind.UNAUTHENTICATED,
            503: FaultKind.OVERLOADED,
        }
        return Unusable(Fault(kinds.get(reply.status, FaultKind.SERVER_ERROR), status=reply.status), served)


@define(eq=False)
class StubTicket:
    record: Any
    promise: Promise[Recorded | Unrecorded] = field(factory=Promise)
    withdrawn: bool = False
    taken: bool = False

    def withdraw(self) -> bool:
        if self.taken:
            return False
        self.withdrawn = True
        return True


class StubLedger:
    """Keeps what's submitted; `answer` says what becomes of the n-th record (None: nothing, it stays late)."""

    def __init__(self, answer: Callable[[int, Any], Recorded | Unrecorded | None] | None = None) -> None:
        self.healthy = True
        self.tickets: list[StubTicket] = []
        self.lates = 0
        self._answer = answer or (lambda n, record: Recorded(n, bytes(32)))

    def submit(self, record: Any) -> StubTicket:
        ticket = StubTicket(record)
        self.tickets.append(ticket)
        answer = self._answer(len(self.tickets) - 1, record)
        if answer is not None:
            ticket.taken = True
            ticket.promise.resolve(answer)
        return ticket

    def late(self, since: int) -> None:
        self.lates += 1
        self.healthy = False

    def of(self, kind: type[Any]) -> list[Any]:
        return [each.record for each in self.tickets if isinstance(each.record, kind) and not each.withdrawn]

    @property
    def completed(self) -> list[CallCompleted]:
        return self.of(CallCompleted)


class Heard:
    """Events, kept."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, name: str, /, **fields: Any) -> None:
        self.events.append((name, fields))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def ok(grade: int = 7, model: str = "m-1") -> HttpReply:
    return HttpReply(200, {"model": model}, b'{"grade": %d}' % grade)


def status(code: int, **headers: str) -> HttpReply:
    return HttpReply(code, headers, b"")


def guarded(name: str, clock: Clock, codec: Any = None, **options: Any) -> GuardedAdapter:
    source = random.Random(7)
    bulkhead = options.pop("bulkhead", None) or Bulkhead(options.pop("limit", 100), options.pop("max_waiting", 2000))
    settings = options.pop("settings", None) or BreakerSettings()
    return GuardedAdapter(
        name,
        codec or StubCodec(),
        options.pop("pin", Pin("m-1")),
        Breaker(settings, clock, source),
        Throttle(source),
        Latch(source),
        bulkhead,
        **options,
    )


@define(eq=False)
class Scene:
    """One capability, its adapters, and what they need; `call()` makes a call of it."""

    clock: Any = field(factory=VirtualClock)
    ledger: StubLedger | None = None
    on_ledger_failure: OnLedgerFailure = "fallback"
    on_bug: OnBug = "fallback"
    blocks: Blocks = field(factory=NoBlocks)
    events: Heard = field(factory=Heard)
    capability: Capability[Any, Any] = field(factory=GradeItem)
    adapters: list[GuardedAdapter] = field(factory=list)
    deadline: int = 8 * SECOND
    context: CallContext = field(factory=CallContext)
    hedge_after: int | None = None
    judged: bool = False
    quality: dict[str, Quality] = field(factory=dict)

    def add(self, name: str, codec: Any = None, **options: Any) -> GuardedAdapter:
        adapter = guarded(name, self.clock, codec, **options)
        self.adapters.append(adapter)
        return adapter

    def call(self, request: Any = None, **options: Any) -> Call[Any, Any]:
        contract: Contract[Any, Any] = Contract(self.capability)
        snapshot = contract.snapshot(request or Item(description="bolt"))
        world = World(
            self.clock,
            random.Random(3),
            self.events,
            self.blocks,
            self.ledger,
            self.on_ledger_failure,
            self.on_bug,
            "0" * 64,
        )
        deadline = options.get("deadline", self.deadline)
        fair = fair_share(self.deadline, len(self.adapters), ledger=self.ledger is not None)
        for each in self.adapters if self.judged else ():
            self.quality.setdefault(each.name, Quality(self.clock, random.Random(5)))
        route = Route(tuple(self.adapters), fair, self.hedge_after, self.quality)
        return Call(world, contract, route, deadline, snapshot, self.context)


def scripted(replies: Iterable[Any]) -> Callable[[Exchange, int], tuple[int, HttpReply | Fault]]:
    """A provider that gives these replies in order; each a reply, a fault, or (delay in ns, reply)."""
    rest = iter(replies)

    def respond(effect: Exchange, now: int) -> tuple[int, HttpReply | Fault]:
        reply = next(rest)
        return reply if isinstance(reply, tuple) else (100_000_000, reply)

    return respond


def traced(
    steps: Generator[Effect, Any, Outcome[Any]], trace: list[tuple[Any, ...]]
) -> Generator[Effect, Any, Outcome[Any]]:
    """The same call, with each effect noted: its kind and what it's about."""
    try:
        effect = next(steps)
        while True:
            about = getattr(effect, "adapter", None) or type(getattr(effect, "ticket", None)).__name__
            trace.append((type(effect).__name__, about))
            try:
                result = yield effect
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        return stop.value
