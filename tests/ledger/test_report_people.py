"""What persons decided, on a bundle's page: about what the caller got, or about a record that doesn't count any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.bundled import CASE, Office, bundle, unzipped
from tests.bundled import said as payload
from tests.reported import page_of, sheet_of

from failsoft.ledger.bundles.selection import Wanted
from failsoft.ledger.read import read
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.reviews import history

ONE = Wanted(calls=("c1",))
RULES = {"kind": "fallback", "name": "rules"}
OF_FIRST = "That's not what the caller got, so this decides nothing."
OF_NONE = "It names no answer that the caller got, so it decides nothing."
NOBODY = "No person's decision about what the caller got is on record, up to the end of the log"


@pytest.fixture
def log(tmp_path: Path) -> Office:
    made = Office(tmp_path / "x.db")
    made.configure()
    return made


def amended(log: Office, done: Any, **fields: Any) -> Any:
    named = {"call_id": "c1", "capability": {"name": "rate-alternative", "version": "1"}, "case": CASE}
    told = {**named, "outcome": "answered", "degraded": True, "us": 9, "source": RULES, **fields}
    refs = {"completed": done.leaf.hex()}
    return log.first.say(Draft(Kind.CALL_AMENDED, {**told, "refs": refs}, (payload("response", '"rules"'),)), 5)


def people_of(page: str) -> str:
    said = sheet_of(page).partition("Which person decided, and why")[2]
    return said.partition("What has changed since")[0].strip()


@pytest.mark.parametrize(
    ("actor", "said"),
    [
        ({"id": "MWagner"}, "It's the same person who had asked."),
        ({"id": "mwagner", "on_behalf_of": "mwagner"}, "It's the same person who had asked."),
        ({"id": "bot", "on_behalf_of": "mwagner"}, "It was asked on their behalf."),
        ({"id": "bot"}, "It's the same person who had asked, or on whose behalf it was asked."),
    ],
)
def test_who_decides_of_a_call_of_their_own_is_told_as_what_they_are_in_it(
    log: Office, actor: dict[str, str], said: str
) -> None:
    log.first.act(Kind.REVIEW_RECORDED, 3, log.call("c1", 2, "1", '"AI"', actor=actor), own=True)
    assert f"decided: accepted. {said} Reason given:" in people_of(page_of(log, ONE))


def test_what_is_about_the_answer_on_record_first_decides_nothing(log: Office) -> None:
    done = log.call("c1", 2, "1", '"AI"')
    log.first.act(Kind.REVIEW_RECORDED, 3, done)
    amended(log, done, review={"required": True, "policy": "always", "status": "pending"})
    log.first.act(Kind.OVERRIDE_RECORDED, 7, done, decision="changed")
    log.first.act(Kind.APPEAL_RECORDED, 8, done, person="a.b")
    said = people_of(page_of(log, ONE))
    first = "what was on record first, on 2026-11-23 14:00:0"
    assert f"mwagner reviewed {first}3 UTC and decided: accepted. {OF_FIRST} Reason given: looked at" in said
    assert f"mwagner overrode {first}7 UTC and decided: changed. {OF_FIRST} What they put in its place: 3" in said
    assert f"a.b appealed against {first}8 UTC. {OF_FIRST}" in said
    assert f"{NOBODY} that this copy vouches for. A person was to decide: the application asks for that here." in said
    assert "overrode it" not in said
    with read(log.path) as reader:  # as `failsoft ledger reviews` has it
        assert [each.answer for each in history(reader)] == [None, None, None]


def test_an_appeal_that_nobody_has_decided_about_is_told_as_such(log: Office) -> None:
    done = log.call("c1", 2, "1", '"AI"')
    log.first.act(Kind.REVIEW_RECORDED, 3, done)
    pending = (
        "Nobody's decision about the last appeal is on record, up to the end of the log that this copy vouches for."
    )
    log.publish()

    def told() -> str:
        log.publish()
        return people_of(unzipped(bundle(log.path, ONE).data)["report.html"].decode())

    assert pending not in told()
    log.first.act(Kind.APPEAL_RECORDED, 8, done, person="a.b")
    assert told().endswith(pending)
    log.first.act(Kind.REVIEW_RECORDED, 9, done)
    assert pending not in told()


def test_who_appeals_has_decided_nothing(log: Office) -> None:
    log.first.act(Kind.APPEAL_RECORDED, 3, log.call("c1", 2, "1", '"AI"'), person="a.b")
    said = people_of(page_of(log, ONE))
    assert "a.b appealed against it on 2026-11-23 14:00:03 UTC." in said
    assert NOBODY in said
    assert "decides nothing" not in said


def test_what_is_about_what_the_caller_got_decides(log: Office) -> None:
    done = log.call("c1", 2, "1", '"AI"')
    log.first.act(Kind.REVIEW_RECORDED, 3, done, decision="rejected")
    log.first.act(Kind.OVERRIDE_RECORDED, 7, amended(log, done), decision="changed")
    said = people_of(page_of(log, ONE))
    assert "mwagner overrode it on 2026-11-23 14:00:07 UTC and decided: changed. What they put in its place: 3" in said
    assert said.count(OF_FIRST) == 1
    assert "No person's decision" not in said


def test_the_overview_says_what_decides_nothing(log: Office) -> None:
    done = log.call("c1", 2, "1", '"AI"')
    log.first.act(Kind.OVERRIDE_RECORDED, 3, done, decision="changed")
    log.first.act(Kind.REVIEW_RECORDED, 6, amended(log, done), decision="rejected")
    log.call("c2", 8, "1", "2")
    said = sheet_of(page_of(log))
    nothing = "mwagner: changed to 3 (looked at), of what was on record first, which decides nothing"
    assert f"{nothing}; mwagner: rejected (looked at) " in said


@pytest.mark.parametrize(
    "fields", [{"refs": None}, {"refs": {"completed": "0" * 64}}, {"refs": {"former": "0" * 64}}], ids=str
)
def test_what_names_no_answer_decides_nothing(log: Office, fields: dict[str, Any]) -> None:
    log.first.act(Kind.REVIEW_RECORDED, 3, log.call("c1", 2, "1", '"AI"'), **fields)
    log.call("c2", 8, "1", "2")
    page = page_of(log)
    assert f"mwagner reviewed it on 2026-11-23 14:00:03 UTC and decided: accepted. {OF_NONE}" in sheet_of(page)
    assert "mwagner: accepted (looked at), which decides nothing" in sheet_of(page)
    assert NOBODY in sheet_of(page)


def test_what_is_about_a_call_without_an_answer_decides_nothing(log: Office) -> None:
    done = log.call("c1", 2, "1", '"x"', tried=(), source=None, outcome="failed")
    log.first.act(Kind.REVIEW_RECORDED, 3, done)
    started = log.first.start("c2", 4, case=CASE)
    log.first.tell(Kind.CALL_ORPHANED, 5, call_id="c2", case=CASE, refs={"started": started.leaf.hex()})
    log.person(Kind.REVIEW_RECORDED, started, 6, "accepted", "looked")
    assert sheet_of(page_of(log)).count(OF_NONE) == 2
