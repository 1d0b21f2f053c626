"""What has changed since a call: of what was asked, of how it's asked, of what's kept of it.

How it's asked is told as it changes, from how it was then on: another model, or that of then again. Where it changes to the
same more than twice, the first and the last time are told, and of the others how many they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from attrs import define, field, frozen

from failsoft.ledger.bundles.concerned import PURPOSES, listed
from failsoft.ledger.bundles.told import Told
from failsoft.ledger.bundles.wording import changed, moment, pinned
from failsoft.ledger.read import Entry

Fields = dict[str, Any]
_Turn = tuple[str, str, str]
"""One of `_TURNS`, of what, and to what."""

_TURNS = MappingProxyType(
    {
        "model": (
            "{name} is asked for another model from here on: {what}",
            "{name} is asked for the model of then again: {what}",
        ),
        "elsewhere": (
            "a program that doesn't have “{own}” asks {name} for another model: {what}",
            "a program that doesn't have “{own}” asks {name} for the model of then: {what}",
        ),
        "version": (
            "“{name}” has another version from here on: {what}",
            "“{name}” has the version of then again: {what}",
        ),
        "form": (
            "what “{name}” may answer has another form from here on",
            "what “{name}” may answer has the form of then again",
        ),
        "lock": (
            "the application is held to another state of its code and prompts from here on",
            "the application is held to the state of its code and prompts of then again",
        ),
        "locked": (
            "the application is held to a state of its code and prompts that is written down, from here on",
            "the application is held to the state of its code and prompts of then again",
        ),
        "unlocked": (
            "the application isn't held to a state of its code and prompts that is written down any more",
            "the application isn't held to a state of its code and prompts that is written down, as then",
        ),
        "settings": (
            "the application has other settings from here on",
            "the application has the settings of then again",
        ),
    }
)
"""What's said where it's otherwise than at the call, and where it's as it was then."""


_ELSEWHERE = " (put on record by a program that doesn't have “{own}”)"


@frozen
class Changes:
    """What has changed since a call.

    Args:
        lines: when, and what: in order.
        more: how often it changed besides, to what stands in these lines or was so then.
        beyond: how many later configurations aren't here, and may have changed something, too.
        others: is one of them of another process than the call's? That one may have run on as it was.
    """

    lines: tuple[tuple[str, str], ...]
    more: int
    beyond: int
    others: bool


def changes_of(told: Told) -> Changes:
    """All of it."""
    about, setup, found = _About.of(told), _Setup(told), list[tuple[Entry, str]]()
    ends: dict[_Turn, list[int]] = {}
    for entry, fields in told.later:
        if not _sets_up(entry):
            found += [(entry, what) for what in about.changed(entry, fields)]
            continue
        for turn, what in setup.told(fields):
            ends.setdefault(turn, [len(found), 0])[1] = len(found)
            found.append((entry, what))
    shown = {place for each in ends.values() for place in each}
    kept = [(entry, what) for place, (entry, what) in enumerate(found) if place in shown or not _sets_up(entry)]
    began = told.started or told.end
    left_out = {entry.index for entry, _ in found} - {entry.index for entry, _ in kept}
    return Changes(
        tuple((moment(entry.ts), what) for entry, what in kept),
        len(left_out),
        sum(told.selection.began[told.call_id].precedes(each) for each in told.selection.untaken),
        any(_sets_up(entry) and entry.emitter != began.emitter for entry, _ in kept),
    )


def _sets_up(entry: Entry) -> bool:
    return entry.kind == "config.activated"


@frozen
class _About:
    """What a call is about, as later records name it. Read once: there may be many of these."""

    programs: Mapping[int, frozenset[str]]
    name: str
    lock: str | None
    locks: frozenset[int]
    asked: frozenset[str]
    subjects: frozenset[str]
    named: frozenset[str]

    @classmethod
    def of(cls, told: Told) -> _About:
        """By all its records."""
        name, asked = told.name, frozenset(told.asked)
        subjects = {*(f"adapter:{each}" for each in asked), f"capability:{name}"}
        named = {"" if told.completed is None else told.completed.leaf.hex(), told.end.leaf.hex()}
        named |= {told.fields["case"]["id"]} if "case" in told.fields else set()
        for part in (told.started, told.completed, told.end, *told.people):
            own = {} if part is None else part.fields
            named |= {each["digest"] for each in own.get("commitments", [])} | ({own["dek"]} if "dek" in own else set())
        lock = told.lock
        locks = told.selection.locks.get(lock or "", frozenset())
        return cls(told.selection.programs, name, lock, locks, asked, frozenset(subjects), frozenset(named))

    def changed(self, entry: Entry, fields: Fields) -> Iterator[str]:
        """What a later record says that changed, if it's about this call."""
        if entry.kind == "lock.changed":
            if entry.index in self.locks:
                again = "; that's what was in force here again" if self.lock == fields["lock_sha256"] else ""
                yield f"{changed(entry.kind, fields)}{again}"
            return
        erased = (*fields.get("digests", []), *fields.get("deks", []))
        about = {fields.get("case", {}).get("id"), *fields.get("refs", {}).values(), *erased}
        if self.named & about:
            yield changed(entry.kind, fields)
        elif fields.get("adapter") in self.asked or fields.get("subject") in self.subjects:
            has = self.programs.get(entry.index)
            elsewhere = _ELSEWHERE.format(own=self.name) if has and self.name not in has else ""
            yield f"{changed(entry.kind, fields)}{elsewhere}"


@define
class _Setup:
    """How what a call asked is set up, as configurations go by: each of `_TURNS`, by its name and by what it's of."""

    call: Told
    name: str = field(init=False)
    own: bool = field(init=False)
    """Is it known how the application was set up? A trial was by itself."""
    then: dict[tuple[str, str], Any] = field(init=False)
    now: dict[tuple[str, str], Any] = field(init=False)
    untold: str | None = None
    """The settings that came with another lock, and weren't told."""

    def __attrs_post_init__(self) -> None:
        before = self.call.configured or {}
        self.name = self.call.name
        self.own = bool(before) and before.get("purpose") not in PURPOSES
        pins = {name: pin for name, pin in self.call.asked.items() if pin}
        self.then = {(topic, name): pin for topic in ("model", "elsewhere") for name, pin in pins.items()}
        self.then["version", self.name] = self.call.fields.get("capability", {}).get("version")
        self.then["form", self.name] = _capability(before, self.name).get("digest")
        self.then["lock", ""] = before.get("lock_sha256")
        self.then["settings", ""] = before.get("config_sha256")
        self.now = self.then.copy()

    def told(self, fields: Fields) -> Iterator[tuple[_Turn, str]]:
        """What the next one changes, and in which words."""
        has = _capability(fields, self.name)
        # without it, it's another application's, or one that doesn't do this any more
        topic = "elsewhere" if listed(fields) and not has else "model"
        for each in fields.get("adapters", []):
            if (topic, each.get("name")) in self.then and "pin" in each:
                yield from self._turn(topic, each["name"], each["pin"], pinned(each["pin"]))
        if not has or not self.own:
            return
        version, lock, settings = has.get("version"), fields.get("lock_sha256"), fields["config_sha256"]
        yield from self._turn("version", self.name, version, version or "one without a number")
        yield from self._turn("form", self.name, has.get("digest"))
        words = "unlocked" if lock is None else "locked" if self.now["lock", ""] is None else "lock"
        of_lock = list(self._turn("lock", "", lock, words=words))
        yield from of_lock
        # Under another lock settings are other ones anyway: they're told once that's said no more, or they change again.
        if of_lock and lock != self.then["lock", ""] and settings != self.then["settings", ""]:
            self.untold = settings
        elif of_lock or settings != self.untold:
            self.untold = None
            yield from self._turn("settings", "", settings)

    def _turn(
        self, topic: str, name: str, value: object, what: str = "", words: str = ""
    ) -> Iterator[tuple[_Turn, str]]:
        before, self.now[topic, name] = self.now[topic, name], value
        if value != before:
            otherwise, again = _TURNS[words or topic]
            said = again if value == self.then[topic, name] else otherwise
            yield (topic, name, repr(value)), said.format(name=name, what=what, own=self.name)


def _capability(configuration: Fields, name: str) -> Fields:
    """What a configuration says of one; an empty dictionary where it doesn't have it."""
    return next((each for each in configuration.get("capabilities", []) if each.get("name") == name), Fields())
