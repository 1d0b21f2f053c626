"""Which later records are about what some calls asked: their adapters, capabilities and cases, and how these were set up.

Of configurations those are taken that change something: for the process that has one; or, where it's a process's first, for
one of the calls, by what it began under and what was told since. The first `MOST` of those that set it up anew, and of those
that do so again, and the last one: of the others only the places are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from attrs import define, field, frozen

from failsoft.ledger.read import Entry
from failsoft.ledger.reading.query import attempts_of
from failsoft.ledger.records.schema import Kind

Fields = dict[str, Any]

PURPOSES = ("acts", "trial")
"""Of a configuration: what a session is entered for that isn't the application."""

KEEPING = (Kind.PAYLOAD_ERASED, Kind.LEGAL_HOLD_SET, Kind.LEGAL_HOLD_CLEARED, Kind.CASE_EVENT)
"""What became of a case and of what's kept of it."""

MOST = 1000
"""Configurations that are taken of each sort, besides the last one."""

_State = dict[str, str]
"""How what was asked is set up: an adapter, or a capability, by its name."""


@frozen
class Place:
    """Of a record: in the log, in time, and whose."""

    index: int
    ts: str
    emitter: str | None

    @classmethod
    def of(cls, entry: Entry) -> Place:
        """This record's."""
        return cls(entry.index, entry.ts, entry.emitter)


@frozen
class Began:
    """A call's beginning.

    Args:
        first: its first record.
        spools: it may have waited for the database, so that what came later stands before it in the log.
    """

    first: Place
    spools: bool

    def precedes(self, place: Place) -> bool:
        """Did the call begin before this record? By the order of the log; where it may have waited, or else by time."""
        first = self.first
        waited = self.spools and place.emitter != first.emitter and place.ts > first.ts
        return place.index > first.index or waited


@define
class Asked:
    """What the calls asked.

    Args:
        began: the place of each call's first record, with the adapters that it asked, and their pins where it says so. Of
            one that doesn't say whom it asked, those of its plan.
        adapters: the names of all these.
        capabilities, cases: their names.
        payloads: the digests of their payloads, and the keys that these lie under.
        programs: which capabilities each process has, as far as it says so. A ledger may be of several applications.
    """

    began: dict[int, dict[str, str]] = field(factory=dict[int, dict[str, str]])
    programs: dict[str | None, frozenset[str]] = field(factory=dict["str | None", frozenset[str]])
    adapters: set[str] = field(factory=set[str])
    capabilities: set[str] = field(factory=set[str])
    cases: set[str] = field(factory=set[str])
    payloads: set[str] = field(factory=set[str])

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Asked:
        """By what the calls' records say, in order."""
        made, first = cls(), dict[str | None, int]()
        for entry in entries:
            fields = entry.fields
            asked = made.began.setdefault(first.setdefault(entry.call_id, entry.index), {})
            if entry.kind == Kind.CALL_COMPLETED:
                asked.clear()
            asked |= dict.fromkeys(fields.get("route", []), "")
            asked |= {each["adapter"]: repr(each["pin"]) for each in attempts_of(fields)}
            made.capabilities |= {fields["capability"]["name"]} if "capability" in fields else set()
            made.cases |= {fields["case"]["id"]} if "case" in fields else set()
            made.payloads |= {each["digest"] for each in fields.get("commitments", [])}
            made.payloads |= {fields["dek"]} if "dek" in fields else set()
        made.adapters = {name for each in made.began.values() for name in each}
        return made

    def hear(self, entry: Entry, fields: Fields) -> None:
        """Which capabilities whoever has this configuration has. A trial is of one adapter, and of no application."""
        if fields.get("purpose") != "trial":
            self.programs[entry.emitter] = listed(fields)

    def concerns(self, entry: Entry, fields: Fields) -> bool:
        """Does this record, which is no configuration, say that something about one of them changed?"""
        if entry.kind in KEEPING:
            return fields.get("case", {}).get("id") in self.cases or bool(self.erased_by(fields))
        kind, _, name = fields.get("subject", "").partition(":")
        blocked = self.adapters if kind == "adapter" else self.capabilities if kind == "capability" else ()
        return fields.get("adapter") in self.adapters or name in blocked

    def erased_by(self, fields: Fields) -> set[str]:
        """The digests and keys of their payloads that an erasure names."""
        return self.payloads & {*fields.get("digests", []), *fields.get("deks", [])}

    def state(self, fields: Fields) -> _State:
        """How a configuration sets up what the calls asked; one that has none of the capabilities, apart from others."""
        has = listed(fields)
        whose = "adapter" if not has or has & self.capabilities else "elsewhere"
        adapters = [each for each in fields.get("adapters", []) if each.get("name") in self.adapters]
        found = {f"{whose} {each['name']}": repr(each.get("pin")) for each in adapters}
        for each in fields.get("capabilities", []):
            if each.get("name") in self.capabilities:
                state = fields["config_sha256"], fields.get("lock_sha256"), each
                found[f"capability {each['name']}"] = repr(state)
        return found


@define
class Configurations:
    """Those that changed something, as they go by in the order of the log.

    Args:
        calls: when each call began.
        in_force: the configuration that it began under, by the place of its first record, as far as it's known.
        untaken: those that changed something, and are too many.
    """

    asked: Asked
    calls: Iterable[Began]
    in_force: Mapping[int, Entry]
    untaken: list[Place] = field(factory=list[Place])
    _to_come: list[Place] = field(factory=list[Place])
    """Calls that didn't begin yet, the next one last."""
    _waiting: list[Began] = field(factory=list[Began])
    """Likewise by time, of those that may have waited."""
    _late: dict[int, tuple[Began, _State]] = field(factory=dict[int, tuple[Began, dict[str, str]]])
    """Those of them that began by time, and stand further on in the log: by their places, with how they see it."""
    _seen: dict[str, _State] = field(factory=dict[str, dict[str, str]])
    """How it's set up now, as the other calls that began so far see it: by what each began under, and what came since."""
    _own: dict[str | None, _State] = field(factory=dict["str | None", dict[str, str]])
    _told: set[str] = field(factory=set[str])
    _repeats: int = 0
    _last: Entry | None = None

    def __attrs_post_init__(self) -> None:
        self._to_come = sorted((each.first for each in self.calls), key=lambda each: -each.index)
        self._waiting = sorted(
            (each for each in self.calls if each.spools), key=lambda each: each.first.ts, reverse=True
        )

    def take(self, entry: Entry, fields: Fields) -> bool:
        """The next one: is it taken? What people do, or a trial, is entered with says nothing of the application."""
        if fields.get("purpose") in PURPOSES:
            return False
        self._begin(entry)
        now, own = self.asked.state(fields), self._own.setdefault(entry.emitter, {})
        late = {place: each for place, each in self._late.items() if each[0].precedes(Place.of(entry))}
        seen = [*self._seen.values(), *(state for _, state in late.values())]
        changes = any(_is_news(seen, name, value, own.get(name)) for name, value in now.items())
        own |= now
        if not changes:
            return False
        self._seen = _by_itself(_as(now, each) for each in self._seen.values())
        self._late |= {place: (began, _as(now, state)) for place, (began, state) in late.items()}
        key = repr(sorted(now.items()))
        if (len(self._told) if key not in self._told else self._repeats) == MOST:
            self.untaken.append(Place.of(entry))
            self._last = entry
            return False
        self._repeats += key in self._told
        self._told.add(key)
        self._last = None
        return True

    def last(self) -> Entry | None:
        """The last one that changed something, where it wasn't taken: now it is."""
        if self._last is not None:
            self.untaken.pop()
        return self._last

    def _begin(self, entry: Entry) -> None:
        """The calls that began before this one: from there on, what's otherwise than in their configuration is news."""
        while self._to_come and self._to_come[-1].index < entry.index:
            place = self._to_come.pop().index
            self._seen |= _by_itself([self._late.pop(place)[1] if place in self._late else self._then(place)])
        while self._waiting and self._waiting[-1].first.ts < entry.ts:
            began = self._waiting.pop()
            if began.first.index > entry.index:
                self._late[began.first.index] = began, self._then(began.first.index)

    def _then(self, place: int) -> _State:
        """How it was set up for the call that began there."""
        under = self.in_force.get(place)
        pins = {f"adapter {name}": pin for name, pin in self.asked.began[place].items() if pin}
        then = {**({} if under is None else self.asked.state(under.fields)), **pins}
        return {**then, **dict(_elsewhere(then))}


def listed(fields: Fields) -> frozenset[str]:
    """The names of a configuration's capabilities."""
    return frozenset(str(each["name"]) for each in fields.get("capabilities", []) if "name" in each)


def _elsewhere(state: _State) -> Iterator[tuple[str, str]]:
    """What it's compared with in programs that have none of the capabilities."""
    for name, value in state.items():
        whose, _, adapter = name.partition(" ")
        if whose == "adapter":
            yield f"elsewhere {adapter}", value


def _is_news(seen: Collection[_State], name: str, value: str, own: str | None) -> bool:
    """Has it changed: for its process, or, where that didn't have it, for a call that knows it?"""
    if own is None:
        return any(value != each[name] for each in seen if name in each)
    return bool(seen) and value != own


def _as(now: _State, state: _State) -> _State:
    """The same, as it's set up now."""
    return {name: now.get(name, value) for name, value in state.items()}


def _by_itself(states: Iterable[_State]) -> dict[str, _State]:
    """Each once."""
    return {repr(sorted(each.items())): each for each in states}
