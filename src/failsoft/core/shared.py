"""What processes tell each other about the adapters they share: facts, and the one order in which facts merge.

Theory of operation
-------------------

Windows, permits and retries stay in their process. Shared are the slow facts, each under a name:

    KEY/open        the fleet's opening: until when, why, by whom; closed again where `rank` is 0
    KEY/throttle    no attempt before `rank`
    KEY/latch       the configuration is wrong, and how; mended where `rank` is 0
    KEY/lease       who may try an adapter that's open, and until when
    KEY/want        somebody else has callers for it
    KEY/day/OWNER   what one process took of a daily quota: a counter that only its owner writes
    block/SUBJECT   a block, or the end of one

KEY is an adapter at its pin: provider, endpoint, credential (a digest, never the secret), model.

A fact is (epoch, rank, body), and facts of one name have one total order: that of the whole tuple. The greater wins
*whole*. So merging is associative, commutative and idempotent: however often and in whichever order facts arrive, all
processes end with the same. Merging part by part would not do: "the higher epoch" and "the later moment", each for
itself, make of *closed, epoch 2* and *open until 100, epoch 1* a thing that nobody said: closed until 100.

Epochs count what was said in turn. Whoever contradicts a fact says so with the next epoch. Of two that speak in the same
epoch the more careful one has the higher rank: open beats closed, a block beats its end.

A *lease* is a fact too, but it's taken, not merged: the store grants it to one owner at a time (`leased`), by its own
clock. Its epoch fences: it's higher than any that was known, and what its holder concludes is told in that epoch. What an
earlier holder concludes late loses.

Moments cross processes as milliseconds since 1970 by the *store's* clock. Nobody's own wall clock takes part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, cast

from attrs import frozen

BOUND = 2**62
"""No epoch and no rank reaches it: what does would leave no room for a contradiction."""

LONGEST_BODY = 4_096
"""Characters of a fact's body, but for a block's."""

_KINDS = re.compile(r"/(open|throttle|latch|lease|want|day/.*)$", re.DOTALL)


@frozen(order=True)
class Fact:
    """One shared fact; the greater of two wins whole.

    Args:
        epoch: what it contradicts was said in an earlier one.
        rank: milliseconds of the store's clock for what holds until then; 1 or 0 for what holds or doesn't.
        body: canonical JSON in ASCII: the rest, and who says it.
    """

    epoch: int
    rank: int
    body: str

    @property
    def said(self) -> Mapping[str, Any]:
        """The body, read; empty if it isn't ours: nested without end, for one."""
        try:
            read: object = json.loads(self.body)
        except (ValueError, RecursionError):
            return MappingProxyType({})
        return cast("dict[str, Any]", read) if isinstance(read, dict) else MappingProxyType({})

    @property
    def owner(self) -> str:
        """Who says it."""
        return str(self.said.get("owner", ""))


Facts = Mapping[str, Fact]


def fact(epoch: int, rank: int, **said: object) -> Fact:
    """A fact with a canonical body."""
    return Fact(epoch, rank, json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def merged(*several: Facts) -> dict[str, Fact]:
    """Of each name the greatest fact."""
    greatest: dict[str, Fact] = {}
    for facts in several:
        for name, each in facts.items():
            known = greatest.get(name)
            if known is None or each > known:
                greatest[name] = each
    return greatest


def news(facts: Facts, known: Facts) -> dict[str, Fact]:
    """Those of `facts` that aren't known yet, and aren't out of date."""
    return {name: each for name, each in facts.items() if (old := known.get(name)) is None or each > old}


def sound(facts: Facts) -> dict[str, Fact]:
    """Those that one of us can have told; a store is open to other hands. Others count as if they weren't there."""
    return {name: each for name, each in facts.items() if _is_sound(name, each)}


def _is_sound(name: str, each: Fact) -> bool:
    if not (0 <= each.epoch < BOUND and 0 <= each.rank < BOUND):
        return False
    return len(each.body) <= LONGEST_BODY or name.startswith("block/")  # a block holds, however long its reason


def known_kinds(facts: Facts) -> dict[str, Fact]:
    """Those of the kinds listed above; a later version may tell others."""
    return {name: each for name, each in facts.items() if name.startswith("block/") or _KINDS.search(name) is not None}


def is_past(name: str, each: Fact, today: int) -> bool:
    """A daily count of a day that's over everywhere."""
    return "/day/" in name and each.epoch < today - 1


@frozen
class LeaseAsk:
    """Somebody wants the lease of an adapter.

    Args:
        name: of the lease.
        owner: who asks; whoever holds it already asks for more time.
        floor: the highest epoch known: a new lease's is higher.
        lasting_ms: for how long.
    """

    name: str
    owner: str
    floor: int
    lasting_ms: int


def leased(held: Fact | None, ask: LeaseAsk, now_ms: int) -> Fact | None:
    """The lease as granted; None while another holds it. What a store does with an ask, as one atomic step."""
    body = fact(0, 0, owner=ask.owner).body
    if held is None or held.rank <= now_ms or held.rank > now_ms + 2 * ask.lasting_ms:  # or the clock was set back
        return Fact(max(ask.floor, 0 if held is None else held.epoch) + 1, now_ms + ask.lasting_ms, body)
    return Fact(held.epoch, max(held.rank, now_ms + ask.lasting_ms), body) if held.body == body else None


def granted(facts: Facts, asks: Iterable[LeaseAsk], now_ms: int) -> dict[str, Fact]:
    """What the asks come to, one after the other."""
    given: dict[str, Fact] = {}
    for ask in asks:
        lease = leased(given.get(ask.name, facts.get(ask.name)), ask, now_ms)
        if lease is not None:
            given[ask.name] = lease
    return given


@frozen
class Seen:
    """What a store answered.

    Args:
        now_ms: its clock as it answered, in milliseconds since 1970.
        facts: everything that's known of this scope.
    """

    now_ms: int
    facts: Facts


class StateLost(Exception):
    """The store can't be reached, or didn't answer in time. Its text is one of a few words: never a driver's own."""


class StateStore(Protocol):
    """Where processes meet. Used by one thread, off the hot path; each method but `wait` ends within its timeout."""

    kind: str
    """``file``, ``postgresql`` or ``memory``."""
    always: bool
    """Is it looked at though nothing is open here? For a store that nobody's calls look at."""

    def open(self) -> None:
        """Make ready. Raises StateLost; ConfigurationError for what no waiting mends."""
        ...

    def exchange(self, facts: Facts, asks: Iterable[LeaseAsk]) -> Seen:
        """Merge these facts in, grant what leases can be granted, and tell everything. Raises StateLost."""
        ...

    def wait(self, seconds: float | None) -> bool:
        """Until a peer has told something (True), `wake` is called, or so many seconds have passed. Raises StateLost."""
        ...

    def wake(self) -> None:
        """End a wait, from any thread; at once if none is on."""
        ...

    def close(self) -> None:
        """Let go of everything; `open` may follow."""
        ...

    def after_fork(self) -> None:
        """In a forked child: what's open is the parent's."""
        ...


class MemoryStore:
    """A store within one process: for tests, and for fleets in virtual time.

    Args:
        now_ms: its clock.
    """

    kind = "memory"
    always = False

    def __init__(self) -> None:
        self.now_ms = 0
        self.facts: dict[str, Fact] = {}
        self.down: str | None = None
        """Why it can't be reached; None while it can."""

    def open(self) -> None:
        """Nothing to do, unless it's down."""
        if self.down is not None:
            raise StateLost(self.down)

    def exchange(self, facts: Facts, asks: Iterable[LeaseAsk]) -> Seen:
        """As any store."""
        self.open()
        self.facts = merged(sound(self.facts), facts)
        self.facts = merged(self.facts, granted(self.facts, asks, self.now_ms))
        return Seen(self.now_ms, dict(self.facts))

    def wait(self, seconds: float | None) -> bool:
        """Time is somebody else's here."""
        return False

    def wake(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """Nothing is held."""

    def after_fork(self) -> None:
        """Nothing is held."""
