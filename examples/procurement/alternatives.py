"""Is one item an acceptable alternative for another? Rules of form, fit and function over what's stated of both.

A rule can say no, since a stated difference is one. It says yes only where everything that the wanted item states is
stated of the offered one too, and agrees. In between, a person decides: the rules refer.

Everything here is deterministic, total and linear in the text's length.
"""

from __future__ import annotations

import re
from enum import Enum
from types import MappingProxyType

from failsoft import Referral
from procurement.vocabulary import Characteristic, Finding, Pair, Part, Rating, Verdict

ITEM_NAME = "ITEM NAME"
STOCK_NUMBER = "NSN"

_MOST_FINDINGS = 20


class Holds(Enum):
    """How the offered value must stand to the wanted one."""

    SAME = "the same"
    AT_LEAST = "at least as much"
    AT_MOST = "at most as much"


RULES: MappingProxyType[str, Holds] = MappingProxyType(
    {
        # fit: what it meets
        "THREAD SIZE": Holds.SAME,
        "THREAD SERIES": Holds.SAME,
        "THREAD CLASS": Holds.SAME,
        "THREAD DIRECTION": Holds.SAME,
        "INSIDE DIAMETER": Holds.SAME,
        "OUTSIDE DIAMETER": Holds.SAME,
        "OVERALL LENGTH": Holds.SAME,
        "OVERALL HEIGHT": Holds.SAME,
        "WIDTH ACROSS FLATS": Holds.SAME,
        "DRIVE SIZE": Holds.SAME,
        "VOLTAGE": Holds.SAME,
        # form: what it is
        "HEAD STYLE": Holds.SAME,
        "DRIVE TYPE": Holds.SAME,
        "SHAPE": Holds.SAME,
        # function: what it does
        "TENSILE STRENGTH": Holds.AT_LEAST,
        "LOAD CAPACITY": Holds.AT_LEAST,
        "MAXIMUM OPERATING TEMPERATURE": Holds.AT_LEAST,
        "MINIMUM OPERATING TEMPERATURE": Holds.AT_MOST,
        "WEIGHT": Holds.AT_MOST,
    }
)
"""Characteristics whose difference the rules can judge. Any other that differs is for a person."""

_NUMBER = re.compile(r"([+-]?[0-9]{1,12}(?:\.[0-9]{1,9})?) ?([A-Z%]{0,20})")


def rate(pair: Pair) -> Rating | Referral:
    """The verdict, with what it rests on; or a referral with what keeps the rules from one."""
    wanted, offered = pair.wanted, pair.offered
    agreed: list[Finding] = []
    against: list[Finding] = conflicts(pair)
    if _digits(wanted.nsn) == _digits(offered.nsn):
        if not against:
            return _rating(Verdict.ACCEPTABLE, [_finding(STOCK_NUMBER, "it's the same item")])
        return Referral(
            reason=f"of one stock number, {against[0].characteristic} is stated in two ways: {against[0].says}"
        )
    if against:
        return _rating(Verdict.NOT_ACCEPTABLE, against)
    doubts = list(_doubts(wanted, offered))
    stated = {_plain(each.name): each for each in offered.characteristics}
    for each in wanted.characteristics:
        name = _plain(each.name)
        other = stated.get(name)
        if other is None:
            doubts.append(f"{name} isn't stated of the offered item")
        elif _holds(each, other) is None:
            doubts.append(f"whether {name} {_told(other)} will do for {_told(each)} isn't for a rule to say")
        else:
            agreed.append(_finding(name, f"{_told(other)}, wanted {_told(each)}"))
    if not agreed:
        doubts.append("the wanted item states nothing to compare")
    if doubts:
        return Referral(reason="; ".join(doubts[:_MOST_FINDINGS]))
    return _rating(Verdict.ACCEPTABLE, agreed)


def conflicts(pair: Pair) -> list[Finding]:
    """What is stated of both and differs in a way that a rule can judge."""
    stated = {_plain(each.name): each for each in pair.offered.characteristics}
    found: list[Finding] = []
    for each in pair.wanted.characteristics:
        name = _plain(each.name)
        if name in stated and _holds(each, stated[name]) is False:
            found.append(_finding(name, f"{_told(stated[name])}, wanted {_told(each)}: must be {RULES[name].value}"))
    return found


def names(pair: Pair) -> frozenset[str]:
    """What a finding about this pair may be about."""
    listed = (*pair.wanted.characteristics, *pair.offered.characteristics)
    return frozenset({ITEM_NAME, STOCK_NUMBER, *(_plain(each.name) for each in listed)})


def _doubts(wanted: Part, offered: Part) -> list[str]:
    found: list[str] = []
    if wanted.critical:
        found.append("the wanted item is critical: its alternative is an engineer's decision")
    if _plain(wanted.name) != _plain(offered.name):
        found.append(f"the items' names differ: {_plain(wanted.name)}, {_plain(offered.name)}")
    if wanted.nsn[:4] != offered.nsn[:4]:
        found.append(f"the items are of different supply classes: {wanted.nsn[:4]}, {offered.nsn[:4]}")
    return found


def _holds(wanted: Characteristic, offered: Characteristic) -> bool | None:
    """Does the offered value do? None: a rule can't say."""
    one, other = _plain(wanted.value), _plain(offered.value)
    if one == other:
        return True
    rule = RULES.get(_plain(wanted.name))
    number, their_number = _NUMBER.fullmatch(one), _NUMBER.fullmatch(other)
    if rule is None or (number is None) is not (their_number is None):
        return None
    if number is None or their_number is None:
        return False if rule is Holds.SAME else None
    if number[2] != their_number[2]:
        return None  # inches and millimetres: for who can convert
    have, want = float(their_number[1]), float(number[1])
    return have == want if rule is Holds.SAME else have >= want if rule is Holds.AT_LEAST else have <= want


def _rating(verdict: Verdict, findings: list[Finding]) -> Rating:
    return Rating(verdict=verdict, findings=tuple(findings[:_MOST_FINDINGS]))


def _finding(characteristic: str, says: str) -> Finding:
    return Finding(characteristic=characteristic, says=says)


def _told(characteristic: Characteristic) -> str:
    return _plain(characteristic.value)


def _plain(text: str) -> str:
    return " ".join(text.upper().split())


def _digits(nsn: str) -> str:
    return nsn.replace("-", "")
