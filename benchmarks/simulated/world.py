"""A simulated world for benchmarks: real calls and real guards, in virtual time, against providers that follow a script.

Only the provider and the clock are simulated. Each call is `failsoft.core.call.Call`, as `Isolation` makes it; each adapter
has the real codec (`openai_compatible`), breaker, throttle, latch, bulkhead and retry budget with their defaults; each
answer is decoded, compared with the pin, validated and accepted. There's no ledger unless a scenario brings one.
"""

from __future__ import annotations

import json
import random
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from typing import Any

from attrs import define, field, frozen
from pydantic import BaseModel, ConfigDict

from failsoft import Capability
from failsoft.adapters.openai_compatible import openai_compatible
from failsoft.context import CallContext
from failsoft.core.breaker import Breaker, BreakerSettings, Change, State
from failsoft.core.budget import fair_share
from failsoft.core.bulkhead import Bulkhead
from failsoft.core.call import Call, World
from failsoft.core.contract import Contract
from failsoft.core.effects import MILLISECOND, SECOND, Effect, Exchange, HttpReply, Ledger
from failsoft.core.fleet import Fleet
from failsoft.core.fleet_member import Member
from failsoft.core.latch import Latch
from failsoft.core.route import GuardedAdapter, NoBlocks, Route
from failsoft.core.shared import MemoryStore
from failsoft.core.throttle import Throttle
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import Simulation, VirtualClock
from failsoft.outcome import PassedOver, Pin

MODEL = "model-2024-01-01"
FAST_FAILURE = 300 * MILLISECOND
"""An error reply takes so long; a connection that can't be made or is reset, a third of it."""

NEVER = 10**18
"""A reply that doesn't come."""


class Item(BaseModel):
    """What is asked about."""

    model_config = ConfigDict(frozen=True)
    description: str


class SupplyClass(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    fsc: str


class ClassifyItem(Capability[Item, SupplyClass]):
    """Which Federal Supply Class does this item belong to?"""

    def fallback(self, request: Item) -> SupplyClass:
        """Hardware, as far as a rule can tell."""
        return SupplyClass(fsc="5340")

    def accept(self, request: Item, response: SupplyClass) -> None:
        """A class has four digits."""
        if len(response.fsc) != 4:
            raise ValueError("a class has four digits")


def _answer(model: str = MODEL, fsc: str = "5305") -> HttpReply:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": json.dumps({"fsc": fsc}), "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 8, "total_tokens": 68},
    }
    return HttpReply(200, {"content-type": "application/json"}, json.dumps(body).encode())


def error_reply(status: int, code: str | None = None, **headers: str) -> HttpReply:
    """An error as OpenAI's dialect writes it."""
    body = {"error": {"message": "it failed", "type": "error", "code": code}}
    return HttpReply(status, {"content-type": "application/json", **headers}, json.dumps(body).encode())


ANSWER = _answer()
OTHER_MODEL = _answer(model="model-2024-08-01")
UNACCEPTABLE = _answer(fsc="53")
RETIRED = error_reply(404, "model_not_found")
REJECTED = error_reply(400, "invalid_value")
ERROR_500, ERROR_503, ERROR_529 = error_reply(500), error_reply(503), error_reply(529)
ERROR_429 = error_reply(429, "rate_limit_exceeded")
THROTTLED_20_S = error_reply(429, "rate_limit_exceeded", **{"retry-after": "20"})

Happening = tuple[int, HttpReply | Fault]
"""(nanoseconds until it's there, the reply or fault)."""


def lost() -> Happening:
    """The connection is reset."""
    return FAST_FAILURE // 3, Fault(FaultKind.CONNECTION_LOST)


def unresolved() -> Happening:
    """The provider's name can't be resolved."""
    return FAST_FAILURE // 3, Fault(FaultKind.DNS_FAILED)


@frozen
class Condition:
    """How a provider fares for a while.

    Args:
        rate: share of requests that fail.
        slowdown: successes take so many times as long as usual.
        mix: (share of the failures, what happens); the shares sum to 1. "slow" is an answer, ten times as late.
    """

    rate: float = 0.0
    slowdown: float = 1.0
    mix: tuple[tuple[float, HttpReply | str], ...] = ((1.0, ERROR_503),)


@define(eq=False)
class Provider:
    """A provider that follows a script: conditions from moment to moment, dice thrown by a random source of its own.

    Args:
        random: its dice.
        latencies: seconds, drawn from with replacement.
        script: (from when in ns, condition), in order; asked with moments that never step back.
    """

    random: random.Random
    latencies: tuple[float, ...]
    script: list[tuple[int, Condition]]
    _place: int = field(init=False, default=0)

    def condition(self, now: int) -> Condition:
        """The condition at `now`."""
        script, place = self.script, self._place
        while place + 1 < len(script) and script[place + 1][0] <= now:
            place += 1
        self._place = place
        return script[place][1]

    def happens(self, now: int) -> Happening:
        """What becomes of a request that comes in at `now`."""
        condition, draw = self.condition(now), self.random.random
        latency = int(self.latencies[int(draw() * len(self.latencies))] * condition.slowdown * SECOND)
        if draw() >= condition.rate:
            return latency, ANSWER
        left = draw()
        what = condition.mix[-1][1]
        for part, each in condition.mix:
            left -= part
            if left < 0:
                what = each
                break
        if what == "hang":
            return NEVER, ANSWER
        if what == "reset":
            return lost()
        if what == "slow":
            return 10 * latency, ANSWER
        assert isinstance(what, HttpReply)
        return FAST_FAILURE, what


class Silent:
    """Events that nobody hears, counted by name."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()

    def emit(self, name: str, /, **fields: Any) -> None:
        """Counted."""
        self.heard[name] += 1


REFUSALS = ("open", "throttled", "latched", "bulkhead_full")
"""Why an adapter wasn't asked, though it might have been."""

BY_FALLBACK, UNANSWERED = 0, 255
"""`Stage.by` holds these, or 1 + the place of the adapter that answered."""


@define(eq=False)
class Stage:
    """One capability over one or two scripted providers, and what became of each call.

    Args:
        happens: by adapter: what becomes of a request at a moment.
        deadline: nanoseconds that a call has.
        seed: for the guards' jitter and the calls' identifiers.
        settings: the breakers', where they differ from the defaults.
        attempt_cap: as in the configuration's `attempt_timeout`.
        slots: as in the configuration's `concurrency`.
        poison: what becomes of a request of a call that `poisoned` names.
        poisoned: is this call, by its number, one whose input is bad?
        told: hears each change of a breaker too.
    """

    happens: dict[str, Callable[[int], Happening]]
    deadline: int = 8 * SECOND
    seed: int = 20240901
    settings: BreakerSettings = field(factory=BreakerSettings)
    attempt_cap: int | None = None
    slots: int = 100
    poison: Happening | None = None
    poisoned: Callable[[int], bool] = field(default=lambda number: False)
    told: Callable[[str, Change], object] = field(default=lambda adapter, change: None)
    clock: VirtualClock = field(init=False, factory=VirtualClock)
    simulation: Simulation = field(init=False)
    adapters: tuple[GuardedAdapter, ...] = field(init=False)
    changes: dict[str, list[Change]] = field(init=False)
    sent: dict[str, array[int]] = field(init=False)
    """By adapter: the moment of each request."""
    started: array[int] = field(init=False, factory=lambda: array("q"))
    took: array[int] = field(init=False, factory=lambda: array("q"))
    attempts: array[int] = field(init=False, factory=lambda: array("B"))
    by: array[int] = field(init=False, factory=lambda: array("B"))
    refused: array[int] = field(init=False, factory=lambda: array("B"))
    """1: the fallback answered, and a guard had kept an adapter from being asked even once."""
    reasons: Counter[tuple[str, ...]] = field(init=False, factory=Counter[tuple[str, ...]])
    """Why the fallback answered: for each adapter passed over, in order."""
    late: int = field(init=False, default=0)
    errors: Counter[str] = field(init=False, factory=Counter[str])
    events: Silent = field(init=False, factory=Silent)
    _route: Route = field(init=False)
    _world: World = field(init=False)
    _contract: Contract[Item, SupplyClass] = field(init=False)
    _context: CallContext = field(init=False, factory=CallContext)

    def __attrs_post_init__(self) -> None:
        dice = random.Random(self.seed)
        self.changes = {name: [] for name in self.happens}
        self.sent = {name: array("q") for name in self.happens}
        self._contract = Contract(ClassifyItem())
        self.adapters = tuple(self._guarded(name, dice) for name in self.happens)
        self._world = World(self.clock, dice, self.events, NoBlocks())
        self._route = Route(self.adapters, fair_share(self.deadline, len(self.adapters), ledger=False))
        self.simulation = Simulation(self._respond, self.clock)

    def _guarded(self, name: str, dice: random.Random) -> GuardedAdapter:
        return GuardedAdapter(
            name,
            openai_compatible("https://provider.example/v1", "a-key"),
            Pin(MODEL),
            Breaker(self.settings, self.clock, dice, lambda change: self._changed(name, change)),
            Throttle(dice),
            Latch(dice),
            Bulkhead(self.slots, 2_000),
            attempt_cap=self.attempt_cap,
        )

    def _changed(self, name: str, change: Change) -> None:
        self.changes[name].append(change)
        self.told(name, change)

    def keep(self, ledger: Ledger) -> None:
        """From now on there's a ledger."""
        self._world.ledger = ledger
        self._route = Route(self.adapters, fair_share(self.deadline, len(self.adapters), ledger=True))

    def _respond(self, exchange: Exchange, now: int) -> Happening:
        self.sent[exchange.adapter].append(now)
        if self.poison is not None and b"poison" in exchange.request.body:
            return self.poison
        return self.happens[exchange.adapter](now)

    def run(self, arrivals: Iterable[int], deadlines: Callable[[int], int] | None = None) -> None:
        """Make a call at each of these moments (in order), and run until the last one has ended."""
        if self.expect(arrivals, deadlines):
            self.simulation.run()

    def expect(self, arrivals: Iterable[int], deadlines: Callable[[int], int] | None = None) -> bool:
        """A call will come at each of these moments. False: at none."""
        rest = iter(arrivals)

        def arrive(number: int) -> None:
            now = self.clock.now
            self.started.append(now)
            self.took.append(-1)
            self.attempts.append(0)
            self.by.append(UNANSWERED)
            self.refused.append(0)
            deadline = self.deadline if deadlines is None else deadlines(number)
            self.simulation.start(self._watched(number, deadline), now)
            following = next(rest, None)
            if following is not None:
                self.simulation.at(following, lambda: arrive(number + 1))

        first = next(rest, None)
        if first is not None:
            self.simulation.at(first, lambda: arrive(len(self.started)))
        return first is not None

    def _watched(self, number: int, deadline: int) -> Generator[Effect, Any, None]:
        begun = self.clock.now
        try:
            text = f"poison, lot {number}" if self.poisoned(number) else f"screw, cap, socket head, lot {number}"
            snapshot = self._contract.snapshot(Item(description=text))
            call = Call(self._world, self._contract, self._route, deadline, snapshot, self._context)
            outcome = yield from call.run()
        except Exception as error:
            self.errors[type(error).__name__] += 1
            return
        took = self.clock.now - begun
        self.took[number] = took
        self.late += took > deadline
        self.attempts[number] = len(call._asking.attempts)
        if outcome.by_ai:
            self.by[number] = 1 + [each.name for each in self.adapters].index(outcome.source.name)
        else:
            self.by[number] = BY_FALLBACK
            self.refused[number] = _kept_away(outcome.passed_over)
            self.reasons[tuple(f"{each.adapter}: {each.reason}" for each in outcome.passed_over)] += 1

    # --- what is read from it -----------------------------------------------------------------------------------------

    @property
    def unanswered(self) -> int:
        """Calls that ended without an answer, or never ended."""
        return self.by.count(UNANSWERED)

    def share_by_ai(self) -> float:
        """Of all calls."""
        return 1 - (self.by.count(BY_FALLBACK) + self.unanswered) / len(self.by)

    def opened(self, adapter: str, since: int, until: int) -> int | None:
        """When this adapter's breaker first opened between two moments."""
        changes = self.changes[adapter]
        return next((each.at_ns for each in changes if each.after is State.OPEN and since <= each.at_ns < until), None)

    def closed(self, adapter: str, since: int) -> int | None:
        """When its breaker closed after `since` and stayed so for a minute; None where it didn't."""
        changes = self.changes[adapter]
        for n, each in enumerate(changes):
            if each.after is State.CLOSED and each.at_ns >= since:
                following = changes[n + 1].at_ns if n + 1 < len(changes) else None
                if following is None or following >= each.at_ns + 60 * SECOND:
                    return each.at_ns
        return None

    def state(self, adapter: str, moment: int) -> State:
        """Its breaker's state at a moment."""
        before = [each for each in self.changes[adapter] if each.at_ns < moment]
        return before[-1].after if before else State.CLOSED


def run_together(stages: list[Stage], until: int, every: int = SECOND // 4) -> None:
    """Run processes beside each other, each with one adapter, that share what they know of it through a store.

    Args:
        stages: with their calls expected.
        until: nanoseconds that all run.
        every: nanoseconds between two exchanges of a process with the store.
    """
    store, fleets = MemoryStore(), list[Fleet]()
    for place, stage in enumerate(stages):
        (adapter,) = stage.adapters
        fleets.append(Fleet([Member("A", f"{place}/A", adapter)], stage.clock, stage.events, SECOND))
        stage.told = fleets[-1].told
    for moment in range(0, until, every):
        for stage, fleet in zip(stages, fleets, strict=True):
            stage.simulation.run(until=moment)
            store.now_ms = stage.clock.time_ns() // MILLISECOND
            fleet.conduct(moment)
            outgoing = fleet.outgoing(moment)
            fleet.heard(store.exchange(outgoing.facts, outgoing.asks), moment, moment)
            fleet.conduct(moment)
    for stage in stages:
        stage.simulation.run()


def _kept_away(passed_over: tuple[PassedOver, ...]) -> bool:
    asked = {each.adapter for each in passed_over if each.reason not in REFUSALS}
    return any(each.adapter not in asked for each in passed_over)


def share(part: float, whole: float) -> float:
    """Rounded for a report."""
    return round(part / whole, 6) if whole else 0.0
