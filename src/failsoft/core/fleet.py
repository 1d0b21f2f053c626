"""One process's part in a fleet: what it tells its peers, what it makes of what they tell, and when it may try.

Theory of operation
-------------------

A `Fleet` stands between the guards of this process and a `StateStore`. It does no I/O and waits for nothing: one thread (or
a simulation) calls, over and over, `conduct`, `outgoing`, exchanges that with the store, and gives the answer to `heard`.
Guards tell it their changes by `told`, from any thread, which only queues. So a call never waits for a store.

*What's told.* An opening and its end, a throttle's wait, a latch, what was taken of a daily quota. What a guard did on a
peer's word isn't told again.

*What's heard.* Each fact is acted on once, when it's new. Throttle and latch are unconditional. An opening is advice
(`failsoft.core.breaker_peers`): a breaker that knows better stays closed, and `peer.disagrees` says so. It also
contradicts: *closed*, in the next epoch. Otherwise those that know nothing yet would stay the hostages of one sick process,
whose trials never succeed. A process that joins reads, and tells nothing.

*Who tries.* While the fleet's store is up and says *open*, a breaker that's open stays so until this process has the
adapter's lease:

    1. An opening is held from its first moment, for `hold`; each answer of the store prolongs it to `hold` from then.
    2. A little before it's due, the lease is asked for. The store grants it to one owner at a time, by its own clock. Whose
       trial tells most asks first: who is open by advice alone; then who has seen failures; last who tried before and
       failed (`LEAD`).
    3. When the opening is due, the one that has the lease goes half-open, and its callers make the trials. It renews the
       lease while it tries, and counts its time from before it asked: the store never ends it earlier.
    4. Its conclusion, CLOSED or OPEN, is told in the lease's epoch, and the lease is given back.
    5. A holder without callers keeps it: the first call that comes is the trial. If it has none out, has tried for one
       refresh, and another process has had to refuse a call (`want`), it stands down. A `want` that says more than any
       process would say is nobody's.

So at most one process tries an adapter under one lease, and none while another holds one. CLOSED lets all others back: each
that was open by advice closes; each that had opened by itself makes trials of its own, when its own opening is due.

*Store down.* Nothing more is held or asked for. What was held runs out within `hold`, and each process tries by itself,
as if it were alone. What's told meanwhile is kept, the last of each kind, and merges when the store is back.

Moments of the store's clock become moments of this process's clock when they arrive, by how far off they are. A wait is
counted from the arrival of the answer, so none is shortened; none is longer than the hint cap.
A latch's first trial counts from the moment at which it latched, wherever that was: one that starts later makes it.
A person's word that an adapter may be tried again ends the fleet's opening, for those too that start after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from attrs import frozen

from failsoft.core import breaker_peers
from failsoft.core.breaker_states import Change, State
from failsoft.core.effects import MILLISECOND, SECOND, Clock, Events
from failsoft.core.fleet_member import AHEAD, Member, Told
from failsoft.core.limits import DAY
from failsoft.core.shared import BOUND, Fact, Facts, LeaseAsk, Seen, fact, is_past, known_kinds, merged, news
from failsoft.core.throttle import ThrottleChange

HELD_FOR = 3
"""A word from the store holds an opening for so many refreshes: two may be late."""

LEASED_FOR = 10
"""A lease lasts so many refreshes; it's renewed when half of that is left."""

COUNTED_EVERY = 5 * SECOND
"""Daily counts are told at most so often."""

LONGEST = 3_600 * SECOND
"""A peer's moment is believed up to an hour, as a provider's hint is."""

STALE = 60 * SECOND
"""An opening that ended so long ago, with nobody trying since, is history: whoever joins doesn't act on it."""


@frozen
class Outgoing:
    """What's to be exchanged with the store; false if nothing."""

    facts: Facts
    asks: tuple[LeaseAsk, ...]

    def __bool__(self) -> bool:
        return bool(self.facts or self.asks)


class Fleet:
    """Every adapter of this process, as the fleet sees it.

    Args:
        members: they.
        clock: for what's told, and UTC days.
        events: hears `peer.disagrees`.
        refresh: nanoseconds in which the store is looked at again: leases and holds are multiples of it.
    """

    def __init__(self, members: Iterable[Member], clock: Clock, events: Events, refresh: int) -> None:
        self._members = {each.adapter.name: each for each in members}
        self._clock = clock
        self._events = events
        self.refresh = refresh
        self._told: deque[tuple[str, Told]] = deque()
        self._known: dict[str, Fact] = {}
        self._unsaid: dict[str, Fact] = {}  # what the store is known not to have
        self._base: tuple[int, int] | None = None  # a moment of the store's clock, and of ours
        self.up = False
        """Did the store answer the last time?"""

    # --- what the guards tell -----------------------------------------------------------------------------------------

    def told(self, adapter: str, change: Told) -> bool:
        """A guard changed. From any thread; queues. False: it's nothing to tell."""
        if isinstance(change, Change):
            if change.would_open or change.reason in breaker_peers.BY_PEERS:
                return False
        elif change.peer or (isinstance(change, ThrottleChange) and not change.until_ns):
            return False
        if adapter in self._members:
            self._told.append((adapter, change))
        return adapter in self._members

    def collect(self) -> None:
        """Take in what was told; of what waits to be passed on, the last of each kind stays."""
        while self._told:
            name, change = self._told.popleft()
            member = self._members[name]
            if isinstance(change, Change):
                if change.after is State.HALF_OPEN and change.reason != breaker_peers.UNBLOCKED:
                    continue
                member.due = change.until_ns or 0
            member.pending[type(change)] = change

    # --- what goes out ------------------------------------------------------------------------------------------------

    def outgoing(self, now: int) -> Outgoing:
        """What there's to tell and to ask for. Nothing before the store has said what time it is."""
        self.collect()
        if self._base is None:
            return Outgoing({}, ())
        facts: dict[str, Fact] = {}
        asks: list[LeaseAsk] = []
        for member in self._members.values():
            self._tell_changes(member, now, facts)
            self._tell_lease(member, now, facts, asks)
            self._tell_counts(member, now, facts)
        self._known = merged(self._known, facts)
        self._unsaid = merged(self._unsaid, facts)
        return Outgoing(dict(self._unsaid), tuple(asks))

    def _tell_changes(self, member: Member, now: int, facts: dict[str, Fact]) -> None:
        pending, member.pending = member.pending, {}
        for change in pending.values():
            if isinstance(change, Change):
                self._tell_opening(member, change, now, facts)
            elif isinstance(change, ThrottleChange):
                facts[member.name("throttle")] = fact(0, self._store_ms(change.until_ns), owner=member.owner)
            else:
                latch = member.name("latch")
                said: dict[str, object] = {"owner": member.owner, "cause": change.cause or ""}
                if change.cause is not None:
                    said["at"] = self._store_ms(change.at)
                facts[latch] = fact(self._epoch(latch) + 1, int(change.cause is not None), **said)

    def _tell_opening(self, member: Member, change: Change, now: int, facts: dict[str, Fact]) -> None:
        name = member.name("open")
        known = self._known.get(name)
        epoch = member.lease if member.lease is not None and member.trying else self._epoch(name) + 1
        if change.until_ns is not None:
            trips = member.adapter.breaker.snapshot(now).trips
            until = self._store_ms(change.until_ns)
            facts[name] = fact(epoch, until, owner=member.owner, reason=change.reason, trips=trips)
        elif known is not None and known.rank:
            facts[name] = fact(epoch, 0, owner=member.owner, reason=change.reason, trips=0)

    def _tell_lease(self, member: Member, now: int, facts: dict[str, Fact], asks: list[LeaseAsk]) -> None:
        """Ask for it, renew it, give it back, or say that it's wanted."""
        state, half = member.state, self.refresh * LEASED_FOR // 2
        if member.lease is not None:
            if state is State.CLOSED or (member.trying and state is State.OPEN):
                self._give_back(member, facts)
            elif now >= member.lease_until - half:
                asks.append(self._ask(member))
        elif state is State.OPEN and self._is_open(member) and now >= member.asks_at:
            asks.append(self._ask(member))
            member.next_ask = now + self.refresh
            if breaker_peers.asked_at(member.adapter.breaker) >= max(member.due, member.want_told):
                member.want_told = now
                self._tell_want(member, self._store_ms(now), facts)

    def _tell_want(self, member: Member, now_ms: int, facts: dict[str, Fact]) -> None:
        """In the next epoch, where what stands there is nobody's word and would outlast every true one."""
        name = member.name("want")
        known, lasting = self._known.get(name), HELD_FOR * self.refresh // MILLISECOND
        forged = known is not None and known.rank > now_ms + 2 * lasting
        facts[name] = fact(self._epoch(name) + forged, now_ms + lasting, owner=member.owner)

    def _ask(self, member: Member) -> LeaseAsk:
        floor = max(self._epoch(member.name("open")), self._epoch(member.name("lease")))
        return LeaseAsk(member.name("lease"), member.owner, floor, self.refresh * LEASED_FOR // MILLISECOND)

    def _give_back(self, member: Member, facts: dict[str, Fact]) -> None:
        assert member.lease is not None
        facts[member.name("lease")] = fact(member.lease + 1, 0, owner=member.owner)
        member.failed = member.trying and member.state is State.OPEN
        member.lease, member.trying = None, False

    def _tell_counts(self, member: Member, now: int, facts: dict[str, Fact]) -> None:
        limits = member.adapter.limits
        if limits is None or now < member.counted_at + COUNTED_EVERY:
            return
        day = self._clock.time_ns() // DAY
        taken = limits.taken_on(day)
        if taken is not None and any(taken) and member.counted != (day, *taken):
            member.counted, member.counted_at = (day, *taken), now
            member.counts += 1
            said = {"owner": member.owner, "requests": taken[0], "tokens": taken[1]}
            facts[member.name("day/" + member.owner)] = fact(day, member.counts, **said)

    def leaving(self) -> Outgoing:
        """What to tell last: leases are given back."""
        facts: dict[str, Fact] = {}
        for member in self._members.values():
            if member.lease is not None:
                self._give_back(member, facts)
        return Outgoing(facts, ())

    def after_fork(self, process: str) -> None:
        """In the child: a process of its own, with no lease and nothing to tell. Its guards were mended before."""
        self._told.clear()
        self._base, self._unsaid = None, {}
        for member in self._members.values():
            member.owner = f"{process}/{member.adapter.name}"
            member.lease, member.trying = None, False
            member.pending.clear()
            member.counted, member.counts = (0, 0, 0), 0
        self.lost()

    # --- what comes in ------------------------------------------------------------------------------------------------

    def heard(self, seen: Seen, asked: int, now: int) -> None:
        """The store answered.

        Args:
            seen: its answer.
            asked: the moment before it was asked.
            now: the present one.
        """
        self._base = (seen.now_ms, now)
        self.up = True
        facts = known_kinds(seen.facts)
        fresh = news(facts, self._known)
        today = self._clock.time_ns() // DAY
        self._known = {
            name: each for name, each in merged(self._known, fresh).items() if not is_past(name, each, today)
        }
        for member in self._members.values():
            self._hear_lease(member, seen, asked, now)
            for kind, hear in (
                ("open", self._hear_opening),
                ("throttle", self._hear_wait),
                ("latch", self._hear_latch),
            ):
                said = fresh.get(member.name(kind))
                if said is not None:  # what was told here is known, and never fresh
                    hear(member, said, now)
            if member.adapter.limits is not None:
                self._hear_counts(member)
            lasting = HELD_FOR * self.refresh
            breaker_peers.hold(member.adapter.breaker, now + lasting, lasting)
        self._unsaid = news(self._known, seen.facts)  # a store that has lost something is told it again

    def lost(self) -> None:
        """The store is down: each process for itself. What's held runs out."""
        self.up = False
        for member in self._members.values():
            breaker_peers.hold(member.adapter.breaker, 0, 0)

    def _hear_lease(self, member: Member, seen: Seen, asked: int, now: int) -> None:
        lease, want = seen.facts.get(member.name("lease")), seen.facts.get(member.name("want"))
        longest = seen.now_ms + 2 * HELD_FOR * self.refresh // MILLISECOND
        member.wanted = want is not None and seen.now_ms < want.rank <= longest and want.owner != member.owner
        if lease is not None and lease.rank > seen.now_ms and lease.owner == member.owner:
            if member.lease != lease.epoch:
                member.lease, member.trying = lease.epoch, False
            member.lease_until = asked + self._ahead(lease.rank)
            return
        member.lease, member.trying = None, False
        if lease is None or lease.rank <= seen.now_ms:
            member.next_ask = now  # nobody has it

    def _hear_opening(self, member: Member, said: Fact, now: int) -> None:
        breaker = member.adapter.breaker
        if not said.rank:
            breaker_peers.relieve(breaker, now)
            return
        if self._ahead(said.rank) <= -STALE:
            return
        member.failed = False
        until = now + max(0, min(self._ahead(said.rank), LONGEST))
        held = max(until, now + HELD_FOR * self.refresh)
        if breaker_peers.advise(breaker, held, _count(said, "trips"), now):
            member.due = max(member.due, until)
        else:
            name = member.name("open")
            self._known[name] = fact(said.epoch + 1, 0, owner=member.owner, reason="peer_disagrees", trips=0)
            taken = breaker.snapshot(now)
            reason = str(said.said.get("reason", ""))
            self._events.emit(
                "peer.disagrees",
                adapter=member.adapter.name,
                reason=reason,
                calls=taken.calls,
                failures=taken.failures,
            )

    def _hear_wait(self, member: Member, said: Fact, now: int) -> None:
        member.adapter.throttle.advised(now + self._ahead(said.rank), now)

    def _hear_latch(self, member: Member, said: Fact, now: int) -> None:
        cause = str(said.said.get("cause", "")) or "as another process found"
        told = _count(said, "at")
        at = min(now, now + self._ahead(told)) if told else now
        for latch in member.adapter.latches if not said.rank else (member.adapter.latch,):
            latch.advised(cause if said.rank else None, at)

    def _hear_counts(self, member: Member) -> None:
        day, requests, tokens = self._clock.time_ns() // DAY, 0, 0
        prefix, own = member.name("day/"), member.name("day/" + member.owner)
        for name, each in self._known.items():
            if each.epoch == day and name != own and name.startswith(prefix):
                requests += _count(each, "requests")
                tokens += _count(each, "tokens")
        assert member.adapter.limits is not None
        member.adapter.limits.count_others(day, requests, tokens)

    # --- what follows -------------------------------------------------------------------------------------------------

    def conduct(self, now: int) -> None:
        """Let whoever has a lease try, when it's due; and stand down where others have callers."""
        self.collect()
        for member in self._members.values():
            if member.lease is None:
                if member.state is State.OPEN and self.up and not self._is_open(member) and now >= member.due:
                    member.adapter.breaker.to_trial("waited", now)
            elif now >= member.lease_until:
                member.lease, member.trying = None, False
            elif member.state is State.OPEN and not member.trying and now >= member.due:
                member.trying, member.tried_at = True, now
                member.adapter.breaker.to_trial("waited", now)
            elif (
                member.trying
                and member.wanted
                and now >= member.tried_at + self.refresh
                and member.state is State.HALF_OPEN
            ):
                member.pause = now + 2 * self.refresh
                breaker_peers.stand_down(member.adapter.breaker, now + HELD_FOR * self.refresh, now)

    def next_due(self, now: int) -> int | None:
        """When `conduct` or `outgoing` has something to do; None while nothing is open."""
        moments = [now + AHEAD] if self._unsaid else []
        for member in self._members.values():
            if member.pending or self._told:
                return now
            if member.lease is not None:
                moments.append(member.lease_until - self.refresh * LEASED_FOR // 2)
                if not member.trying:
                    moments.append(member.due)
            elif member.state is State.OPEN:
                moments.append(member.asks_at if self._is_open(member) else member.due)
            if member.state is not State.CLOSED:
                moments.append(now + self.refresh)
            elif member.adapter.limits is not None and member.adapter.limits.daily:
                moments.append(now + COUNTED_EVERY)
        return max(now, min(moments)) if moments else None

    def _is_open(self, member: Member) -> bool:
        """Does the fleet say so?"""
        known = self._known.get(member.name("open"))
        return known is not None and known.rank > 0

    def _epoch(self, name: str) -> int:
        known = self._known.get(name)
        return 0 if known is None else known.epoch

    def _store_ms(self, moment: int) -> int:
        """A moment of ours by the store's clock."""
        assert self._base is not None  # nothing goes out before
        now_ms, now = self._base
        return now_ms + (moment - now) // MILLISECOND

    def _ahead(self, store_ms: int) -> int:
        """Nanoseconds from the store's last answer until this moment of its clock."""
        assert self._base is not None
        return (store_ms - self._base[0]) * MILLISECOND


def _count(said: Fact, what: str) -> int:
    value = said.said.get(what, 0)
    return value if isinstance(value, int) and 0 <= value < BOUND else 0
