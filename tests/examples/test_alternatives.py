"""Alternatives in the procurement example: its rules say no by a stated difference, yes only by everything, else refer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from failsoft import Isolation, Referral
from failsoft.ledger.reviews import pending
from failsoft.ledger.verify import verify
from procurement.alternatives import RULES
from procurement.capabilities import (
    Characteristic,
    Finding,
    Pair,
    Part,
    RateAlternative,
    Rating,
    Verdict,
)

PRINTED = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60).filter(str.strip)
VALUES = st.sampled_from(["0.250 INCHES", "0.3 INCHES", "6 MM", "60000 PSI", "UNC", "-5", "12"]) | PRINTED
NAMES = st.sampled_from([*RULES, "COLOR", "MATERIAL", "thread  size "]) | PRINTED
PARTS = st.builds(
    Part,
    nsn=st.sampled_from(["5310-00-111-2222", "5310001112222", "5310-00-333-4444", "5305-00-555-6666"]),
    name=st.sampled_from(["NUT, PLAIN, HEXAGON", "nut, plain,  hexagon", "SCREW"]),
    characteristics=st.lists(
        st.builds(Characteristic, name=NAMES, value=VALUES), max_size=6, unique_by=lambda each: plain(each.name)
    ).map(tuple),
    critical=st.booleans(),
)
PAIRS = st.builds(Pair, wanted=PARTS, offered=PARTS)


def plain(text: str) -> str:
    return " ".join(text.upper().split())


def part(
    nsn: str = "5310-00-111-2222", *, critical: bool = False, name: str = "NUT, PLAIN, HEXAGON", **stated: str
) -> Part:
    listed = tuple(Characteristic(name=key.replace("_", " "), value=value) for key, value in stated.items())
    return Part(nsn=nsn, name=name, characteristics=listed, critical=critical)


def rated(wanted: Part, offered: Part) -> Rating | Referral:
    return RateAlternative().fallback(Pair(wanted=wanted, offered=offered))


def verdict(wanted: dict[str, str], offered: dict[str, str]) -> str:
    answer = rated(part(**wanted), part("5310-00-333-4444", **offered))
    return "refer" if isinstance(answer, Referral) else answer.verdict.value


@given(PAIRS)
@example(Pair(wanted=part(THREAD_SIZE="UNC"), offered=part(THREAD_SIZE="UNF")))
def test_every_pair_gets_an_acceptable_answer_and_equal_pairs_equal_ones(pair: Pair) -> None:
    answer = RateAlternative().fallback(pair)
    RateAlternative().accept(pair, answer)
    assert answer == RateAlternative().fallback(pair)


@given(PAIRS)
def test_a_rule_says_yes_only_where_everything_wanted_is_stated(pair: Pair) -> None:
    answer = RateAlternative().fallback(pair)
    same = pair.wanted.nsn.replace("-", "") == pair.offered.nsn.replace("-", "")
    if isinstance(answer, Rating) and answer.verdict is Verdict.ACCEPTABLE and not same:
        assert not pair.wanted.critical
        assert {plain(each.name) for each in pair.wanted.characteristics} <= {
            plain(each.name) for each in pair.offered.characteristics
        }


@pytest.mark.parametrize(
    ("wanted", "offered", "expected"),
    [
        ({"THREAD_SIZE": "0.250 INCHES"}, {"THREAD_SIZE": "0.250  inches"}, "acceptable"),
        ({"THREAD_SIZE": "0.250 INCHES"}, {"THREAD_SIZE": "0.25 INCHES"}, "acceptable"),
        ({"THREAD_SIZE": "0.250 INCHES"}, {"thread size": "0.312 INCHES"}, "not acceptable"),
        ({"THREAD_SIZE": "0.250 INCHES"}, {"THREAD_SIZE": "6.35 MM"}, "refer"),
        ({"THREAD_SIZE": "0.250 INCHES"}, {"THREAD_SIZE": "A QUARTER"}, "refer"),
        ({"THREAD_SERIES": "UNC"}, {"THREAD_SERIES": "UNF"}, "not acceptable"),
        ({"TENSILE_STRENGTH": "60000 PSI"}, {"TENSILE_STRENGTH": "80000 PSI"}, "acceptable"),
        ({"TENSILE_STRENGTH": "60000 PSI"}, {"TENSILE_STRENGTH": "59999 PSI"}, "not acceptable"),
        ({"TENSILE_STRENGTH": "HIGH"}, {"TENSILE_STRENGTH": "LOW"}, "refer"),
        ({"WEIGHT": "2 LB"}, {"WEIGHT": "1.5 LB"}, "acceptable"),
        ({"WEIGHT": "2 LB"}, {"WEIGHT": "2.5 LB"}, "not acceptable"),
        ({"MATERIAL": "STEEL"}, {"MATERIAL": "STEEL"}, "acceptable"),
        ({"MATERIAL": "STEEL"}, {"MATERIAL": "BRASS"}, "refer"),
        ({"THREAD_SIZE": "0.250 INCHES"}, {}, "refer"),
        ({"THREAD_SIZE": "0.250 INCHES"}, {"THREAD_SIZE": "0.250 INCHES", "FINISH": "ZINC"}, "acceptable"),
        ({"MATERIAL": "STEEL", "WEIGHT": "2 LB"}, {"MATERIAL": "BRASS", "WEIGHT": "3 LB"}, "not acceptable"),
        ({}, {"THREAD_SIZE": "0.250 INCHES"}, "refer"),
    ],
)
def test_what_is_stated_decides(wanted: dict[str, str], offered: dict[str, str], expected: str) -> None:
    assert verdict(wanted, offered) == expected


def test_the_same_stock_number_is_the_same_item() -> None:
    answer = rated(part("5310001112222", critical=True), part("5310-00-111-2222", THREAD_SIZE="1 INCHES"))
    assert isinstance(answer, Rating)
    assert (answer.verdict, answer.findings[0].characteristic) == (Verdict.ACCEPTABLE, "NSN")


@pytest.mark.parametrize(
    ("wanted", "offered", "reason"),
    [
        (part(critical=True, WEIGHT="1 LB"), part("5310-00-333-4444", WEIGHT="1 LB"), "an engineer's decision"),
        (part(WEIGHT="1 LB"), part("5310-00-333-4444", name="WASHER, FLAT", WEIGHT="1 LB"), "names differ: NUT, PLAIN"),
        (part(WEIGHT="1 LB"), part("5305-00-333-4444", WEIGHT="1 LB"), "different supply classes: 5310, 5305"),
        (part(), part("5310-00-333-4444"), "states nothing to compare"),
        (part(WEIGHT="1 LB"), part("5310-00-333-4444"), "WEIGHT isn't stated of the offered item"),
        (part(COLOR="RED"), part("5310-00-333-4444", COLOR="BLUE"), "whether COLOR BLUE will do for RED"),
    ],
)
def test_what_keeps_the_rules_from_a_verdict_is_told(wanted: Part, offered: Part, reason: str) -> None:
    answer = rated(wanted, offered)
    assert isinstance(answer, Referral)
    assert reason in answer.reason


def test_a_finding_names_the_value_and_what_it_must_be() -> None:
    answer = rated(part(WEIGHT="2 LB"), part("5310-00-333-4444", WEIGHT="3 LB"))
    assert isinstance(answer, Rating)
    assert [each.says for each in answer.findings] == ["3 LB, wanted 2 LB: must be at most as much"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"nsn": "5310"}, "nsn"),
        ({"name": "  "}, "name"),
        ({"characteristics": [{"name": "A b", "value": "1"}, {"name": "a  B", "value": "2"}]}, "stated twice"),
        ({"characteristics": [{"name": "\t", "value": "1"}]}, "characteristics"),
    ],
)
def test_a_malformed_part_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Part.model_validate({"nsn": "5310-00-111-2222", "name": "NUT", **changes})


def answer(verdict: Verdict, *characteristics: str) -> Rating:
    return Rating(
        verdict=verdict, findings=tuple(Finding(characteristic=each, says="it says") for each in characteristics)
    )


WANTED, OFFERED = part(WEIGHT="2 LB"), part("5310-00-333-4444", WEIGHT="3 LB", FINISH="ZINC")


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (answer(Verdict.NOT_ACCEPTABLE, "WEIGHT", "COLOR"), "COLOR isn't stated of either item"),
        (answer(Verdict.ACCEPTABLE, "FINISH"), "WEIGHT is 3 LB, wanted 2 LB"),
    ],
)
def test_a_model_may_neither_invent_a_characteristic_nor_pass_over_a_conflict(response: Rating, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        RateAlternative().accept(Pair(wanted=WANTED, offered=OFFERED), response)


def test_a_model_may_be_stricter_than_the_rules() -> None:
    pair = Pair(wanted=WANTED, offered=part("5310-00-333-4444", WEIGHT="2 LB", FINISH="ZINC"))
    RateAlternative().accept(pair, answer(Verdict.NOT_ACCEPTABLE, "finish", "item name"))
    RateAlternative().accept(pair, Referral(reason="unsure"))


def test_every_answer_waits_for_whoever_signs_for_the_part(tmp_path: Any) -> None:
    path = tmp_path / "procurement.db"
    config = {"ledger": {"url": f"sqlite:///{path}"}}
    with Isolation(config, capabilities=[RateAlternative]) as isolation:
        outcome = isolation[RateAlternative].sync(Pair(wanted=WANTED, offered=part("5310-00-333-4444")))
        assert isinstance(outcome.value, Referral)
        assert outcome.review == "pending"
        decided = answer(Verdict.NOT_ACCEPTABLE, "WEIGHT")
        isolation.review(
            outcome.call_id, person="mwagner", decision="changed", reason="asked the maker", changed=decided
        )
    from failsoft.ledger.read import read

    with read(path) as reader:
        assert list(pending(reader)) == []
    assert verify(path).exit_code == 0
