"""Whom a call asked, on a bundle's page: what isn't known is told so, and no answer that came is denied."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.bundled import CASE, PIN, SERVED, Office
from tests.bundled import said as payload
from tests.logs import attempt, by
from tests.reported import Reader, page_of, sheet_of

from failsoft.ledger.bundles.selection import Wanted
from failsoft.ledger.bundles.wording import FIRST, GONE, NOT_USED, PASSED_OVER
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind

SENT = "Word for word: what was put to an AI, and what came back"
UNKNOWN = f"Whether an AI was asked isn't on record. {GONE}"


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
    assert (
        "In 1 of the 3 decisions the answer is an AI model's. Of 1 it isn't on record whether an AI was asked. Each is"
        in overview
    )
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
    assert GONE not in said


# --- answers that came and weren't used -------------------------------------------------------------------------------

RULES = {"kind": "fallback", "name": "rules"}
ANSWERED = attempt(pin=PIN, served=SERVED, status=200)


def source_of(page: str) -> str:
    """What the first page says under this question."""
    return sheet_of(page).partition("Who or what answered")[2].partition("Which model, and how far")[0].strip()


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("ledger", ": it couldn't be put on record just then, and without a record no AI's answer is given"),
        ("no_time", ": there was no time left to put it on record"),
        ("hedge_lost", ": another one was quicker"),
    ],
)
def test_an_answer_that_was_thrown_away_is_told(bare: Office, reason: str, why: str) -> None:
    passed = [{"adapter": "gpt", "reason": reason}, {"adapter": "local", "reason": reason}]
    bare.call("c1", 2, "1", "2", tried=(ANSWERED,), source=RULES, degraded=True, passed_over=passed)
    page = page_of(bare)
    assert f"Before that: gpt was asked and answered; its answer wasn't used{why}. local wasn't" in source_of(page)
    assert "gpt wasn't asked" not in source_of(page)
    assert f"local wasn't asked, or not heard: {PASSED_OVER[reason]}." in source_of(page)
    assert "No model's answer was used." in sheet_of(page)
    assert "answered, not used" in page
    assert "answer used" not in page


def test_why_an_answer_was_not_used_is_said_only_where_that_is_on_record(bare: Office) -> None:
    tried = (ANSWERED, attempt(n=2, pin=PIN), attempt("claude", 3, pin=PIN, fault="bug"), attempt("claude", 4, pin=PIN))
    passed = [{"adapter": "gpt", "reason": "open"}]
    bare.call("c1", 2, "1", "2", tried=tried, source=by("claude", 4), passed_over=passed)
    page = page_of(bare)
    assert source_of(page).endswith(
        "Before that: gpt was asked and answered; its answer wasn't used (2 times). "
        "claude couldn't be asked, or not be heard: there's a mistake in the program that asks. "
        "gpt wasn't asked again, or not heard: it had failed too often not long before, and wasn't asked by everybody yet."
    )
    assert [page.count(f"<td>{each}</td>") for each in ("answered, not used", "answer used")] == [2, 1]


def test_every_reason_for_an_unused_answer_is_one_of_those_for_passing_over() -> None:
    assert NOT_USED.keys() <= PASSED_OVER.keys()


def test_nobody_is_said_to_have_switched_off_what_may_only_be_unknown(bare: Office) -> None:
    passed = [{"adapter": "gpt", "reason": "blocks_unknown"}]
    bare.call("c1", 2, "1", "2", tried=(), source=RULES, passed_over=passed)
    said = source_of(page_of(bare))
    assert "whether a person had switched it off couldn't be told" in said


def amended(office: Office, done: Any, **fields: Any) -> None:
    told = {"call_id": "c1", "outcome": "answered", "degraded": True, "us": 9, "case": CASE, **fields}
    present = {key: value for key, value in told.items() if value is not None}
    refs = {"completed": done.leaf.hex()}
    parts = (payload("response", '"by rules"'),) if "source" in present else ()
    office.first.say(Draft(Kind.CALL_AMENDED, {**present, "refs": refs}, parts), 5)


@pytest.mark.parametrize("kind", ["adapter", "frozen", "fallback"])
def test_the_answer_on_record_first_is_told_as_one_that_nobody_got(bare: Office, kind: str) -> None:
    source = {"kind": kind, "name": "gpt", **({"attempt": 1} if kind == "adapter" else {})}
    done = bare.call("c1", 2, "1", '"AI SAYS YES"', source=source, omitted=["response.reader"])
    amended(bare, done, source=RULES)
    page = page_of(bare)
    answer = sheet_of(page).partition("The answer")[2].partition("Who or what answered")[0]
    first = f"What was on record first: {FIRST[kind].format(name='gpt')}. That's not what the caller got. AI SAYS YES"
    assert f"This is what the caller really got. by rules {first} Left out, since" in answer
    assert "gpt was asked and answered; its answer wasn't used: it was put on record too late." in source_of(page)
    assert "No model's answer was used." in sheet_of(page)
    assert "answered, not used" in page


def test_a_first_record_without_an_answer_has_none_told(bare: Office) -> None:
    done = bare.call("c1", 2, "1", '"unsaid"', tried=(), source=None, outcome="failed")
    amended(bare, done, outcome="refused", source=None)
    said = sheet_of(page_of(bare))
    assert "What was on record first: no answer. That's not what the caller got. Who or what answered" in said
    assert "unsaid" not in said


def test_what_is_withheld_of_a_first_record_is_not_told(bare: Office) -> None:
    amended(bare, bare.call("c1", 2, "1", '"AI SAYS YES"'), source=RULES)
    page = page_of(bare, Wanted(calls=("c1",), withhold=("response",)))
    assert "AI SAYS YES" not in page
    assert sheet_of(page).count("Withheld: it's on record, and not shown in this copy.") == 2


# --- attempts that were broken off --------------------------------------------------------------------------------------

LEFT = attempt("local", pin=PIN, fault="cancelled", us=600_000)


def broken_off(office: Office, *others: dict[str, Any], **fields: Any) -> str:
    """What's said of an attempt that was broken off, and of others beside it."""
    office.call("c1", 2, "1", "2", tried=(LEFT, *others), **{"source": RULES, **fields})
    page = page_of(office)
    assert "in time" not in source_of(page)
    assert "<td>0.6 s</td>" in page
    return source_of(page)


def test_whose_caller_withdrew_wasnt_late(bare: Office) -> None:
    hedge = attempt("gpt", 2, pin=PIN, fault="cancelled", why="hedge")
    said = broken_off(bare, hedge, source=None, outcome="cancelled")
    assert "local was asked, and its answer wasn't waited for: the caller withdrew before it had answered." in said
    assert "gpt was asked, and its answer wasn't waited for: the caller withdrew before it had answered." in said


@pytest.mark.parametrize("source", [by("gpt", 2), RULES])
def test_who_lost_a_race_wasnt_late_but_another_one_was_quicker(bare: Office, source: dict[str, Any]) -> None:
    said = broken_off(bare, attempt("gpt", 2, pin=PIN, why="hedge"), source=source)
    assert "local was asked, and its answer wasn't waited for: another one was quicker." in said


@pytest.mark.parametrize("other", [{"why": "hedge", "fault": "filtered"}, {}])
def test_why_an_attempt_was_broken_off_is_said_only_where_that_is_on_record(
    bare: Office, other: dict[str, Any]
) -> None:
    said = broken_off(bare, attempt("gpt", 2, pin=PIN, **other))
    assert "local was asked, and its answer wasn't waited for: the attempt was broken off." in said


# --- attempts that the record only counts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (48, "Of 48 attempts more, the record says only that they were made."),
        (1, "Of 1 attempt more, the record says only that it was made."),
    ],
)
def test_attempts_that_are_only_counted_are_told_as_such(bare: Office, count: int, said: str) -> None:
    tried = tuple(attempt(n=number, pin=PIN, fault="server_error") for number in (1, 2))
    bare.call("c1", 2, "1", "2", source=RULES, tried=tried, attempts_omitted=count)
    page = page_of(bare)
    assert source_of(page).endswith(f"something had failed on its side (2 times). {said}")
    assert page.count(f">{said}<") == 3
    table = page.partition("<h2>What was tried</h2>")[2].partition("<h2>")[0]
    assert said in table


def test_of_a_record_that_names_no_attempt_and_counts_some_nobody_says_that_none_was_asked(bare: Office) -> None:
    bare.call("c1", 2, "1", "2", source=RULES, tried=(), attempts_omitted=3)
    page = page_of(bare)
    assert "No AI was asked." not in page
    assert page.count(">Of 3 attempts more, the record says only that they were made.<") == 2


def test_without_any_attempt_no_ai_was_asked(bare: Office) -> None:
    bare.call("c1", 2, "1", "2", source=RULES, tried=())
    page = page_of(bare)
    assert page.count("No AI was asked.") == 1
    assert "the record says only" not in page
