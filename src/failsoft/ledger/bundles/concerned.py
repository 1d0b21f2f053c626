"""Which later records are about what some calls asked: their adapters, capabilities and cases, and how these were set up.

Of configurations those are taken that change something: for the process that has one; or, where it's a process's first, for
one of the calls, by what it began under and what was told since. The first `MOST` of them, and the last one: of the others
only the places are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

from failsoft.ledger.read import Entry
from failsoft.ledger.reading.query import attempts_of
from failsoft.ledger.records.schema import Kind

Fields = dict[str, Any]

KEEPING = (Kind.PAYLOAD_ERASED, Kind.LEGAL_HOLD_SET, Kind.LEGAL_HOLD_CLEARED, Kind.CASE_EVENT)
"""What became of a case and of what's kept of it."""

MOST = 1000
"""Configurations that are taken, besides the last one."""

_State = dict[str, str]
"""How what was asked is set up: by the adapter's name, or ``""`` for the capabilities."""


@define
class Asked:
    """What the calls asked.

    Args:
        began: the place of each call's first record, with the adapters that it asked, and their pins where it says so. Of
            one that doesn't say whom it asked, those of its plan.
        adapters: the names of all these.
        capabilities, cases: their names.
        payloads: the digests of their payloads, and the keys that these lie under.
    """

    began: dict[int, dict[str, str]] = field(factory=dict[int, dict[str, str]])
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
        """How a configuration sets up what the calls asked."""
        names, listed = self.adapters, fields.get("capabilities", [])
        found = {each["name"]: repr(each["pin"]) for each in fields.get("adapters", []) if each["name"] in names}
        if any(each["name"] in self.capabilities for each in listed):
            found[""] = repr((fields["config_sha256"], fields.get("lock_sha256"), listed))
        return found


@define
class Configurations:
    """Those that changed something, as they go by in the order of the log.

    Args:
        in_force: the configuration that each call began under, by the place of its first record, as far as it's known.
        untaken: places of those that changed something, and are too many.
    """

    asked: Asked
    in_force: Mapping[int, Entry]
    untaken: list[int] = field(factory=list[int])
    _to_come: list[int] = field(factory=list[int])
    _seen: dict[str, _State] = field(factory=dict[str, dict[str, str]])
    """How it's set up now, as the calls that began so far see it: by what each began under, and what was told since."""
    _own: dict[str | None, _State] = field(factory=dict["str | None", dict[str, str]])
    _taken: int = 0
    _last: Entry | None = None

    def __attrs_post_init__(self) -> None:
        self._to_come = sorted(self.asked.began, reverse=True)

    def take(self, entry: Entry, fields: Fields) -> bool:
        """The next one: is it taken?"""
        self._begin(entry.index)
        now = self.asked.state(fields)
        before = self._own.get(entry.emitter)
        known = self._seen.values() if before is None or not self._seen else (before,)
        changes = any(_differs(now, each) for each in known)
        self._seen = _by_itself({**each, **now} for each in self._seen.values())
        self._own[entry.emitter] = {**(before or {}), **now}
        if not changes or not self._seen:
            return False
        if self._taken == MOST:
            self.untaken.append(entry.index)
            self._last = entry
            return False
        self._taken += 1
        return True

    def last(self) -> Entry | None:
        """The last one that changed something, where it wasn't taken: now it is."""
        if self._last is not None:
            self.untaken.pop()
        return self._last

    def _begin(self, index: int) -> None:
        """The calls that began before this place: from there on, what's otherwise than in their configuration is news."""
        while self._to_come and self._to_come[-1] < index:
            place = self._to_come.pop()
            under = self.in_force.get(place)
            pins = {name: pin for name, pin in self.asked.began[place].items() if pin}
            then = {**({} if under is None else self.asked.state(under.fields)), **pins}
            self._seen |= _by_itself((then,))


def _by_itself(states: Iterable[_State]) -> dict[str, _State]:
    """Each once."""
    return {repr(sorted(each.items())): each for each in states}


def _differs(now: _State, before: _State) -> bool:
    return any(before.get(name) != value for name, value in now.items())
