"""Whom a call asked, on a bundle's page: what isn't known is told so, and no answer that came is denied."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.bundled import CASE, Office
from tests.bundled import said as payload
from tests.reported import Reader, page_of, sheet_of

from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind

SENT = "Word for word: what was put to an AI, and what came back"
UNKNOWN = "Whether an AI was asked isn't on record: the program that asked ended before it could put that there."


@pytest.fixture
def bare(tmp_path: Path) -> Office:
    made = Office(tmp_path / "y.db")
    made.configure()
    return made


def orphan(office: Office, call_id: str, second: float, route: tuple[str, ...]) -> None:
    routed = {"route": None} if not route else {}
    opening = {"call_id": call_id, "capability": {"name": "rate"}, "case": CASE, "route": list(route)}
    fields = {**opening, "config_sha256": office.first.digest, "deadline_ms": 1, **routed}
    present = {key: value for key, value in fields.items() if value is not None}
    started = office.first.say(Draft(Kind.CALL_STARTED, present, (payload("request", "1"),)), second)
    refs = {"started": started.leaf.hex()}
    office.first.tell(Kind.CALL_ORPHANED, second + 1, call_id=call_id, case=CASE, refs=refs)


def test_whether_an_ai_was_asked_for_a_call_without_an_end_is_not_known(bare: Office) -> None:
    orphan(bare, "c1", 2, ("gpt", "claude"))
    page = page_of(bare)
    said = " ".join(Reader(page).said.split())
    assert said.count(f"{UNKNOWN} By its plan it could have asked: gpt, claude.") == 3
    above = [re.findall(r"<h[23]>([^<]*)", each)[-1] for each in page.replace("&#x27;", "'").split(UNKNOWN)[:3]]
    assert above == ["Who or what answered", "What was tried", SENT]
    assert "That isn't on record." in said
    assert "No model's answer is on record." in said
    assert "No AI was asked" not in said
    assert "no answer was given" not in said


def test_what_has_no_plan_has_none_told(bare: Office) -> None:
    orphan(bare, "c1", 2, ())
    said = " ".join(Reader(page_of(bare)).said.split())
    assert said.count(UNKNOWN) == 3
    assert "By its plan" not in said


def test_the_overview_says_of_how_many_it_is_not_known(bare: Office) -> None:
    orphan(bare, "c1", 2, ("gpt",))
    bare.call("c2", 5, "1", "2")
    bare.call("c3", 6, "1", "2", tried=(), source=None, outcome="failed")
    overview = sheet_of(page_of(bare)).partition("What this page doesn't prove")[0]
    assert "1 of the 3 answers are an AI model's. Of 1 it isn't on record whether an AI was asked. Each is" in overview
    assert "1 – not on record – nobody" in overview
    assert overview.count(" nobody – nobody ") == 1


def test_an_amendment_without_the_record_that_it_amends_tells_nothing_of_attempts(bare: Office) -> None:
    fields = {"call_id": "c1", "outcome": "answered", "degraded": True, "us": 9, "case": CASE}
    started = bare.first.start("c1", 2, case=CASE)
    assert started.leaf
    bare.first.tell(Kind.CALL_AMENDED, 3, **fields, source={"kind": "fallback", "name": "rules"})
    said = " ".join(Reader(page_of(bare)).said.split())
    assert (
        "No AI: fixed rules of the application's own, written by people: rules. Whether an AI was asked isn't" in said
    )
    assert said.count("Whether an AI was asked isn't on record. By its plan it could have asked: gpt.") == 3
    assert "the program that asked ended" not in said
