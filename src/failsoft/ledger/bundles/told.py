"""One call, as the records of a bundle tell it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from failsoft.ledger.bundles.concerned import Place
from failsoft.ledger.bundles.selection import Selection
from failsoft.ledger.bundles.wording import LOCK, PEOPLE
from failsoft.ledger.read import Entry
from failsoft.ledger.reading.query import COMPARISON, attempts_of
from failsoft.ledger.reviews import CallReview

Fields = dict[str, Any]

_ENDS = ("call.completed", "call.orphaned", "call.amended")


@frozen
class Told:
    """One call, as its records tell it.

    Args:
        call_id: which.
        started: its first record; None where there's none.
        end: what counts of how it ended: the latest of completed, amended, orphaned.
        completed: the record with its attempts; None where there's none.
        people: reviews and the like, in order.
        later: records about what changed after it, each with what it says, in order.
    """

    selection: Selection
    call_id: str
    started: Entry | None
    end: Entry
    completed: Entry | None
    people: tuple[Entry, ...]
    later: tuple[tuple[Entry, Fields], ...]

    @property
    def fields(self) -> Fields:
        """What is said of the call as a whole: by its first record, or by its end."""
        return (self.started or self.end).fields

    @property
    def name(self) -> str:
        """The capability's."""
        return str(self.fields.get("capability", {}).get("name", ""))

    @property
    def put_to(self) -> str:
        """What the question was put to, by name: a capability; of a call that was only observed, whose service it was."""
        return ", ".join(self.plan) if self.observed else self.name

    @property
    def compares(self) -> bool:
        """Was it asked again, to compare? Its answer decides nothing then. Any actor may be of that kind, by itself."""
        kind = self.fields.get("actor", {}).get("kind")
        return bool(kind == COMPARISON and (self.configured or {}).get("purpose") == "trial")

    @property
    def attempts(self) -> list[Fields]:
        """In order of start."""
        return [] if self.completed is None else attempts_of(self.completed.fields)

    @property
    def asked(self) -> dict[str, Fields]:
        """The adapters that it asked, with their pins then; where that isn't on record, those of its plan."""
        if self.completed is not None:
            return {each["adapter"]: each["pin"] for each in self.attempts}
        pins = {each["name"]: each["pin"] for each in (self.configured or {}).get("adapters", [])}
        return {each: pins.get(each, {}) for each in self.plan}

    @property
    def plan(self) -> list[str]:
        """The adapters that it was to ask, in order."""
        route: list[str] = self.fields.get("route", [])
        return route

    @property
    def configured(self) -> Fields | None:
        """The configuration that was in force when it began; None where that isn't here."""
        found = None if self.started is None else self.selection.in_force.get(self.started.index)
        return None if found is None else found.fields

    @property
    def observed(self) -> bool:
        """Did the application ask by itself, and was only observed? What it sent and what came are on record as such."""
        try:
            settings: Any = json.loads(self.selection.artifacts[self.fields["config_sha256"]])
            return settings["observed"] is True
        except (ValueError, RecursionError, LookupError, TypeError):
            return False

    @property
    def answer(self) -> str:
        """The path under which its end commits to what was answered."""
        return f"reply/{self.answering.get('n')}" if self.observed else "response"

    @property
    def about_lock(self) -> list[Entry]:
        """Who had written down the state of code and prompts that it was held to, and who approved it, in order."""
        entries = [each for each in self.selection.entries.values() if each.kind in LOCK]
        own = [each for each in entries if each.fields["lock_sha256"] == self.lock]
        return [each for each in own if each.kind == "approval.recorded" or not self.precedes(each)]

    def precedes(self, entry: Entry) -> bool:
        """Did it begin before this was put on record?"""
        return self.selection.began[self.call_id].precedes(Place.of(entry))

    @property
    def lock(self) -> str | None:
        """The digest of the lock that it was held to; None: to none."""
        return (self.configured or {}).get("lock_sha256")

    @property
    def withdrawn(self) -> Entry | None:
        """The end that was put on record first, where another record says what the caller really got."""
        return self.completed if self.end.kind == "call.amended" else None

    @property
    def deciding(self) -> set[int]:
        """Those of the persons' acts that are about what the caller got, by their places: others decide nothing."""
        review = CallReview()
        for each in dict.fromkeys((self.completed, self.end)) if self.people else ():
            if each is not None and each.kind != "call.orphaned":
                review.take(each, each.fields)
        acts = [(each.index, each.fields) for each in self.people]
        return {index for index, fields in acts if "refs" in fields and review.is_aim_of(fields)}

    def is_of_withdrawn(self, act: Fields) -> bool:
        """Is a person's act about the end that was put on record first, and doesn't count?"""
        return self.withdrawn is not None and self.withdrawn.leaf.hex() in act.get("refs", {}).values()

    @property
    def answering(self) -> Fields:
        """The attempt whose answer was taken; an empty one where there's none."""
        number = self.end.fields.get("source", {}).get("attempt")
        return next((each for each in self.attempts if each["n"] == number), Fields())


def calls_of(selection: Selection) -> Iterator[Told]:
    """The calls of a bundle, in the order in which they began."""
    records: dict[str, list[Entry]] = {each: [] for each in selection.call_ids}
    for index in selection.own:
        entry = selection.entries[index]
        records[entry.call_id or ""].append(entry)
    later = [(selection.entries[each], selection.entries[each].fields) for each in selection.later]
    elsewhere = [(each, set(fields.get("refs", {}).values())) for each, fields in later if each.kind in PEOPLE]
    changes = [each for each in later if each[0].kind not in PEOPLE]
    found: list[Told] = []
    for call_id, own in records.items():
        leaves = {each.leaf.hex() for each in own}
        people = [each for each in own if each.kind in PEOPLE]
        people += [each for each, refs in elsewhere if each.call_id != call_id and leaves & refs]
        found.append(
            Told(
                selection,
                call_id,
                next((each for each in own if each.kind == "call.started"), None),
                [each for each in own if each.kind in _ENDS][-1],
                next((each for each in own if each.kind == "call.completed"), None),
                tuple(people),
                tuple(each for each in changes if selection.began[call_id].precedes(Place.of(each[0]))),
            )
        )
    return iter(sorted(found, key=lambda each: (each.started or each.end).index))
