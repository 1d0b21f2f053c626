"""How long a case's records are to be kept, and whether anything of them may be destroyed before. Pure.

Rules:

1. A class of cases says for how long after which event. The periods that come with failsoft are those of the texts they
   name; whoever needs others writes classes of their own.
2. Until that event is on record nobody knows when the period ends: it hasn't.
3. What a class forbids within its period isn't done by default. A legal hold forbids it whatever the class says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

from attrs import define, field, frozen

from failsoft.ledger.query import Fields
from failsoft.ledger.schema import Kind

YEAR = 365.25


@frozen
class RetentionClass:
    """What is to be kept, and for how long.

    Args:
        after: the event that begins the period, as `case.event` names it.
        keep: days from then on.
        erasable: may payloads be erased within the period, on somebody's decision?
        source: the text that says so.
    """

    after: str
    keep: int
    erasable: bool = True
    source: str = ""


CLASSES: Mapping[str, RetentionClass] = MappingProxyType(
    {
        "contract-file": RetentionClass("final-payment", round(6 * YEAR), source="FAR 4.805, table 4-1"),
        "canceled-solicitation": RetentionClass("cancellation", round(6 * YEAR), source="FAR 4.805, table 4-1"),
        "contractor": RetentionClass("final-payment", round(3 * YEAR), erasable=False, source="FAR 4.703"),
        "investigation": RetentionClass("closed", 0, erasable=False, source="FAR 4.805, table 4-1"),
    }
)
"""The classes that come with failsoft."""


@define
class CaseFile:
    """What the log says of a case, apart from its calls.

    Args:
        events: the latest date of each.
        holds: person and reason of those that stand. Who lifts one lifts one of theirs, if they set any, else the oldest.
    """

    kind: str | None = None
    series: str | None = None
    events: dict[str, date] = field(factory=dict[str, date])
    holds: list[tuple[str, str]] = field(factory=list[tuple[str, str]])

    @classmethod
    def of(cls, records: Iterable[Fields]) -> CaseFile:
        """From the records of a case, in the order of the log."""
        found = cls()
        for fields in records:
            case = fields.get("case", {})
            found.kind = case.get("kind", found.kind)
            found.series = case.get("series", found.series)
            match fields["type"]:
                case Kind.CASE_EVENT:
                    found.events[fields["event"]] = date.fromisoformat(fields["date"])
                case Kind.LEGAL_HOLD_SET:
                    found.holds.append((fields["person"], fields["why"]))
                case Kind.LEGAL_HOLD_CLEARED:
                    own = (each for each in found.holds if each[0] == fields["person"])
                    if (lifted := next(own, next(iter(found.holds), None))) is not None:
                        found.holds.remove(lifted)
                case _:
                    pass
        return found


@frozen
class Retention:
    """Which class a case is of.

    Args:
        classes: by name, the ones that come along included.
        kinds: the class of cases of a kind.
        default: the class of all others; None: none is known, so nothing is forbidden but by a hold, and nothing ends.
    """

    classes: Mapping[str, RetentionClass] = CLASSES
    kinds: Mapping[str, str] = MappingProxyType({})
    default: str | None = None

    def class_of(self, case: CaseFile) -> tuple[str, RetentionClass] | None:
        """Its name and what it says; None where none is known."""
        name = self.kinds.get(case.kind or "", self.default)
        return None if name is None else (name, self.classes[name])

    def ends(self, case: CaseFile) -> date | None:
        """When the period ends; None where nobody knows."""
        found = self.class_of(case)
        if found is None or found[1].after not in case.events:
            return None
        try:
            return case.events[found[1].after] + timedelta(days=found[1].keep)
        except OverflowError:  # an event of the year 9999, or a period of thousands of years
            return date.max

    def forbids(self, case: CaseFile, now_ns: int) -> str | None:
        """Why nothing of the case may be erased now; None: it may."""
        if case.holds:
            told = "; ".join(f"{person}: {why}" for person, why in case.holds)
            return f"a legal hold is on this case ({told}): have it cleared first"
        found = self.class_of(case)
        if found is None or found[1].erasable:
            return None
        name, rules = found
        ends = self.ends(case)
        if ends is not None and ends <= datetime.fromtimestamp(now_ns / 1e9, UTC).date():
            return None
        until = (
            f"until {ends}"
            if ends is not None
            else f"until its {rules.after} is on record, and {rules.keep} days after"
        )
        return f"its records are of the class {name}, of which nothing may be destroyed {until} ({rules.source})"
