"""How long a case's records are to be kept, and whether anything of them may be destroyed before. Pure.

Rules:

1. A class of cases says for how long after which event. The periods that come with failsoft are those of the texts they
   name; whoever needs others writes classes of their own.
2. Until that event is on record nobody knows when the period ends: it hasn't. Its last day belongs to it, until that day is
   over wherever on earth one is: noon of the next one, UTC.
3. What a class forbids within its period isn't done by default. A legal hold forbids it whatever the class says.
4. An investigation, a case pending or in litigation is kept until final clearance or settlement or, if it's related to
   another document of the table, for that one's period, whichever is later (FAR 4.805, table 4-1, item 8). Which document
   that is no class knows. So `investigation` counts the longest period of the table from the closing; where the related
   contract's own ends later still, the case's records name the contract's kind as well.
5. A case whose records name several kinds is of all their classes: it's kept as long as the longest says (FAR 4.805(b)), and
   what one of them forbids isn't done. A later record doesn't lift what an earlier one brought with it: a call whose case is
   of no kind brings the default class.
6. A kind is the same in capitals or with a space more. Where classes go by kind and none by default, a kind that has none is
   a slip as like as not: nothing of its cases is erased until somebody says which class it's of.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

from attrs import define, field, frozen

from failsoft.context import alike
from failsoft.ledger.reading.query import Fields
from failsoft.ledger.records.schema import Kind

YEAR = 365.25

NO_KIND = ""
"""Of a case whose kind isn't told: it's of the default class."""

_OF_A_CALL = (Kind.CALL_STARTED, Kind.CALL_COMPLETED, Kind.CALL_AMENDED)
"""These name all that was said of their case. Others, made from outside, name its identifier alone."""


@frozen
class RetentionClass:
    """What is to be kept, and for how long.

    Args:
        after: the event that begins the period, as `case.event` names it.
        keep: days from then on.
        erasable: may payloads be erased within the period, on somebody's decision?
        source: the text that says so.
        approval: must a second person agree before anything is erased?
    """

    after: str
    keep: int
    erasable: bool = True
    source: str = ""
    approval: bool = False


CLASSES: Mapping[str, RetentionClass] = MappingProxyType(
    {
        "contract-file": RetentionClass("final-payment", round(6 * YEAR), source="FAR 4.805, table 4-1"),
        "canceled-solicitation": RetentionClass("cancellation", round(6 * YEAR), source="FAR 4.805, table 4-1"),
        "contractor": RetentionClass("final-payment", round(3 * YEAR), erasable=False, source="FAR 4.703"),
        "investigation": RetentionClass("closed", round(6 * YEAR), erasable=False, source="FAR 4.805, table 4-1"),
        "eu-ai-act-log": RetentionClass("closed", 184, source="AI Act, articles 19(1) and 26(6)"),
    }
)
"""The classes that come with failsoft."""


@define
class CaseFile:
    """What the log says of a case, apart from its calls.

    Args:
        kinds: all that its records name; and `NO_KIND`, where a call's names none.
        events: the latest date of each, whichever was put on record last: an earlier one shortens nothing.
        holds: person and reason of those that stand. Who lifts one lifts one of theirs, if they set any, else the oldest.
    """

    kinds: set[str] = field(factory=set[str])
    series: str | None = None
    events: dict[str, date] = field(factory=dict[str, date])
    holds: list[tuple[str, str]] = field(factory=list[tuple[str, str]])

    def add(self, fields: Fields) -> None:
        """The next record of the case, in the order of the log."""
        case = fields.get("case", {})
        if "kind" in case or ("id" in case and fields["type"] in _OF_A_CALL):
            self.kinds.add(case.get("kind", NO_KIND))
        self.series = case.get("series", self.series)
        match fields["type"]:
            case Kind.CASE_EVENT:
                told = date.fromisoformat(fields["date"])
                self.events[fields["event"]] = max(told, self.events.get(fields["event"], told))
            case Kind.LEGAL_HOLD_SET:
                self.holds.append((fields["person"], fields["why"]))
            case Kind.LEGAL_HOLD_CLEARED:
                own = (each for each in self.holds if each[0] == fields["person"])
                if (lifted := next(own, next(iter(self.holds), None))) is not None:
                    self.holds.remove(lifted)
            case _:
                pass


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

    @property
    def events(self) -> list[str]:
        """Those with which a period begins, of any class."""
        return sorted({each.after for each in self.classes.values()})

    def classes_of(self, case: CaseFile) -> list[tuple[str, RetentionClass]]:
        """Names, and what they say; none where none is known."""
        return [(name, self.classes[name]) for name in self._names(case) if name is not None]

    def _names(self, case: CaseFile) -> list[str | None]:
        found = (self._by_kind(kind) or (self.default,) for kind in sorted(case.kinds) or [NO_KIND])
        return list(dict.fromkeys(name for names in found for name in names))

    def _by_kind(self, kind: str) -> tuple[str, ...]:
        return tuple(name for told, name in self.kinds.items() if alike(told) == alike(kind))

    def _unclassed(self, case: CaseFile) -> str | None:
        """A kind of it that should have a class, and has none."""
        if not self.kinds or self.default is not None:
            return None
        return next((kind for kind in sorted(case.kinds - {NO_KIND}) if not self._by_kind(kind)), None)

    def ends(self, case: CaseFile) -> date | None:
        """The period's last day: the latest of them; None where nobody knows of one."""
        ends = [None if name is None else _end(self.classes[name], case) for name in self._names(case)]
        known = [each for each in ends if each is not None]
        return max(known) if len(known) == len(ends) else None

    def needs_approval(self, case: CaseFile) -> str | None:
        """The class of it that asks for a second person, if one does."""
        return next((name for name, rules in self.classes_of(case) if rules.approval), None)

    def forbids(self, case: CaseFile, now_ns: int) -> str | None:
        """Why nothing of the case may be erased now; None: it may."""
        if case.holds:
            told = "; ".join(f"{person}: {why}" for person, why in case.holds)
            return f"a legal hold is on this case ({told}): have it cleared first"
        unclassed = self._unclassed(case)
        if unclassed is not None:
            return (
                f"it's of the kind {unclassed!r}, which has no class, and there's no default: "
                "name the kind in retention.kinds, or a class in retention.default"
            )
        over = last_over(now_ns)
        for name, rules in self.classes_of(case):
            ends = _end(rules, case)
            if rules.erasable or (ends is not None and ends <= over):
                continue
            until = (
                f"until {ends} is over"
                if ends is not None
                else f"until its {rules.after} is on record, and {rules.keep} days after"
            )
            return f"its records are of the class {name}, of which nothing may be destroyed {until} ({rules.source})"
        return None


def last_over(now_ns: int) -> date:
    """The last day that's over everywhere, at UTC-12 too, at a time in nanoseconds since 1970."""
    return (datetime.fromtimestamp(now_ns / 1e9, UTC) - timedelta(hours=12, days=1)).date()


def _end(rules: RetentionClass, case: CaseFile) -> date | None:
    began = case.events.get(rules.after)
    try:
        return None if began is None else began + timedelta(days=rules.keep)
    except OverflowError:  # an event of the year 9999, or a period of thousands of years
        return date.max
