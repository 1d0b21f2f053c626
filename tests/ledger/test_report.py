"""The page for people: what it says in plain words, what it never says, and that nothing in a ledger becomes markup."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from signing import attack
from tests import report_page
from tests.bundled import CASE, PIN, SERVED, Office, artifacts, bundle, office, sha, unzipped
from tests.bundled import said as payload
from tests.logs import attempt, by
from tests.reported import HOSTILE, Reader, page_of, sheet_of

import failsoft
from failsoft.core import evidence
from failsoft.fault import FaultKind
from failsoft.ledger.bundles.bundle import verifier
from failsoft.ledger.bundles.faults import FAULTS, failed
from failsoft.ledger.bundles.markup import Markup, joined, plain, tag, text
from failsoft.ledger.bundles.report import Told, report
from failsoft.ledger.bundles.selection import Wanted, select
from failsoft.ledger.bundles.shown import SHOWN, brief
from failsoft.ledger.bundles.shown import payload as shown_payload
from failsoft.ledger.bundles.values import LINE, laid_out, line
from failsoft.ledger.bundles.wording import (
    BELIEVED,
    GONE,
    GRADES,
    OUTCOMES,
    PASSED_OVER,
    changed,
    duration,
    passed_over,
    pinned,
)
from failsoft.ledger.read import read
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind
from failsoft.outcome import Grade

JARGON = re.compile(
    r"merkle|hash|leaf|leaves|digest|sha-?256|checkpoint|inclusion|cryptograph|json|adapter\b|fallback"
    r"|[{}]|\bnull\b|[a-z_]\w*:[a-z_]",
    re.I,
)


@pytest.fixture
def log(tmp_path: Path) -> Office:
    return office(tmp_path / "x.db")


@pytest.fixture
def bare(tmp_path: Path) -> Office:
    made = Office(tmp_path / "y.db")
    made.configure()
    return made


def test_the_page_is_as_it_was_when_somebody_looked_at_it() -> None:
    assert report_page.page() == report_page.PAGE.read_text(encoding="utf-8"), (
        "write it anew: python -m tests.report_page"
    )


def test_one_decision_is_told_in_the_order_in_which_people_ask(log: Office) -> None:
    said = sheet_of(page_of(log, Wanted(calls=("c1",)), "Why was it taken?"))
    parts = [
        "What is on record about a decision in the case SPE4A7-26-R-0001",
        "Asked for this copy: Why was it taken?",
        "The question",
        "Put to “rate-alternative” on 2026-11-23 14:00:02 UTC, by j.doe, in the case SPE4A7-26-R-0001 (solicitation).",
        "May the offered nut stand in for the other?",
        "The answer",
        "Same thread, same strength",
        "Who or what answered",
        "AI: a model, through the connection that the application calls “gpt”.",
        "Which model, and how far its name can be believed",
        "m-1-2026",
        "the provider's word",
        "Which person decided, and why",
        "No person's decision about this is on record",
        "What has changed since",
        "gpt: another model than before was seen to answer",
        "gpt is asked for another model from here on: m-2-2027",
        "What this page doesn't prove",
    ]
    at = 0
    for part in parts:
        assert part in said[at:], part
        at = said.index(part, at)


def test_the_rules_and_the_person_are_told_as_such(log: Office) -> None:
    said = sheet_of(page_of(log, Wanted(calls=("c2",))))
    assert "No AI: fixed rules of the application's own, written by people: same_number of procurement.rules." in said
    assert "gpt gave no answer in time: its reply wasn't whole when the time for it was up." in said
    assert "No model's answer was used." in said
    assert "m.smith overrode it on 2026-11-23 14:01:00 UTC and decided: accepted." in said
    assert "The drawing of 2019 lists both. <b>Checked</b> by hand." in said


def test_the_first_page_has_no_jargon(log: Office) -> None:
    nested = '{"wanted":{"nsn":null,"thread":["1/4",28]},"offered":[{"nsn":"5310"},{}],"critical":false}'
    rules = {"kind": "fallback", "name": "procurement.rules:KeywordTable"}
    kinds = [*map(str, FaultKind), "yet_unknown"]
    tried = [attempt("gpt", number, pin=PIN, fault=each) for number, each in enumerate(kinds, 1)]
    for number, some in enumerate((tried[:20], tried[20:40], tried[40:])):
        log.call(f"d{number}", 200 + number, nested, nested, tried=tuple(some), source=rules)
    for wanted in (Wanted(calls=("c1",)), Wanted(calls=("c2",), withhold=("request",)), Wanted(calls=("d0",)), None):
        page = unzipped(_made(log, wanted))["report.html"].decode()
        assert JARGON.findall(sheet_of(page)) == []


def _made(log: Office, wanted: Wanted | None) -> bytes:
    log.publish()
    return bundle(log.path, wanted).data


def test_several_decisions_have_an_overview_and_a_page_each(log: Office) -> None:
    page = page_of(log)
    said = sheet_of(page)
    assert "What is on record about 2 decisions in the case" in said
    assert "In 1 of the 2 decisions the answer is an AI model's." in said
    assert "nsn: 5310-00-903-3994; offered: MS21042-4; question: May the offered nut" in said
    assert "AI: m-1-2026 as far as the provider's own word nobody 2 changes, latest 2026-11-23" in said
    assert "no AI: fixed rules – m.smith: accepted" in said
    assert "by hand.) 2 changes, latest 2026-11-23" in said
    assert [said.count(f"Decision {number}: “rate-alternative”") for number in (1, 2, 3)] == [1, 1, 0]
    assert "All records of the log are in this copy" in said


def test_markings_stand_on_the_screen_and_on_each_printed_page(log: Office, bare: Office) -> None:
    page = page_of(log)
    assert page.count(">CUI<") == 3
    assert re.search(r"\.marking\.print \{ display: block; position: fixed", page)
    bare.call("c1", 2, "1", "2", labels=["CUI", "NOFORN"])
    assert "CUI // NOFORN" in page_of(bare)


def test_a_page_without_labels_has_no_marking(bare: Office) -> None:
    bare.call("c1", 2, "1", "2", labels=())
    assert 'class="marking' not in page_of(bare)


def test_the_page_needs_nothing_and_runs_nothing(log: Office) -> None:
    page = page_of(log)
    seen = Reader(page)
    assert set(seen.tags).isdisjoint({"script", "img", "link", "iframe", "object", "a", "form", "base"})
    assert {name for name, _ in seen.attributes} == {"lang", "charset", "name", "content", "http-equiv", "class"}
    assert not re.search(r"url\(|@import|https?:", page)
    assert "default-src 'none'" in page
    assert page.encode().decode("utf-8") == page


def test_withheld_parts_are_shown_as_withheld(log: Office) -> None:
    page = page_of(log, Wanted(calls=("c1", "c2"), disclose=("response",)))
    assert "Withheld: it's on record, and not shown in this copy." in sheet_of(page)
    assert "7 parts are withheld or no longer kept" in sheet_of(page)
    assert "May the offered nut" not in page
    assert "by hand" not in page


def test_what_is_public_of_a_withheld_part_is_told(bare: Office) -> None:
    bare.call(
        "c1", 2, '{"nsn":"1"}', '"2"', facts={"fsc": "5310", "sure": True, "all": ["a, b", "c", 2]}, facts_omitted=3
    )
    said = sheet_of(page_of(bare, Wanted(calls=("c1",), withhold=("response",))))
    clear = "In clear on record, as public (of a list at most its first 16 texts and numbers):"
    assert f"{clear} all “a, b”, c, 2 fsc 5310 sure true 3 of what's public isn't here, or not whole." in said
    assert said.count("In clear on record") == 1


def test_the_last_pages_tell_what_was_tried_and_how_to_verify(log: Office) -> None:
    page = page_of(log, Wanted(calls=("c1",)))
    after = " ".join(Reader(page).said.partition("What was tried")[2].split())
    for part in (
        "began 2026-11-23T14:00:02.000000Z (record 3)",
        "took 0.4 s",
        "req_77",
        "answer used",
        "disclosures/",
        "python -I -S verify.py BUNDLE.zip --key",
        sha256(verifier()).hexdigest(),
        "config.activated",
    ):
        assert part in after, part


def test_a_call_without_attempts_or_payloads_says_so(bare: Office) -> None:
    rules = {"kind": "fallback", "name": "rules"}
    bare.call("c1", 2, "1", "2", tried=(), source=rules, passed_over=[{"adapter": "gpt", "reason": "blocked"}])
    page = page_of(bare)
    assert "gpt wasn't asked, or not heard: it was switched off." in sheet_of(page)
    assert "No AI was asked." in page
    assert "Nothing about what was asked is on record after it" in page


@pytest.mark.parametrize("where", ["asked", "answered"])
def test_what_was_taken_out_is_told(bare: Office, where: str) -> None:
    secret = '"AKIA' + 'IOSFODNN7EXAMPLE"'
    bare.call("c1", 2, *((secret, "2") if where == "asked" else ("1", secret)))
    said = sheet_of(page_of(bare))
    before, found, _ = said.partition("What looked like a password or key was taken out before this was put on record.")
    assert found
    assert ("The answer" in before) == (where == "answered")
    assert "[redacted: aws-access-key]" in before
    assert "EXAMPLE" not in said


def test_what_was_taken_out_elsewhere_is_not_told_of_the_answer(bare: Office) -> None:
    """The record counts what was taken out of the prompt with what was taken out of the answer."""
    bare.call("c1", 2, "1", "2", redacted={"aws-access-key": 1})
    assert "What looked like a password or key was taken out" not in sheet_of(page_of(bare))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"blocked": True, "until": "2026-11-23T15:30:00.000000Z"},
            "eve switched gpt off, until 2026-11-23 15:30:00 UTC: w",
        ),
        ({"blocked": False, "mode": "forced"}, "eve had one program ask gpt even when it fails too often: w"),
        (
            {"blocked": True, "mode": "observe"},
            "eve had one program ask gpt even when it fails too often, and only tell of",
        ),
        (
            {"blocked": False, "mode": "auto"},
            "eve had one program ask gpt no more when it fails too often, as usual: w",
        ),
        ({"blocked": False, "mode": "new"}, "eve had one program treat gpt in the mode “new”: w"),
    ],
)
def test_what_a_person_did_about_an_adapter_is_told_as_that(bare: Office, fields: dict[str, Any], said: str) -> None:
    bare.call("c1", 2, "1", "2")
    bare.first.tell(Kind.BLOCK_CHANGED, 5, subject="adapter:gpt", actor={"id": "eve"}, why="w", **fields)
    assert said in sheet_of(page_of(bare, Wanted(calls=("c1",))))


@pytest.mark.parametrize("outcome", ["referred", "failed", "refused", "cancelled"])
def test_other_ends_are_told(bare: Office, outcome: str) -> None:
    bare.call("c1", 2, "1", "2", outcome=outcome, source=None, tried=(attempt(pin=PIN, fault="server_error"),))
    said = sheet_of(page_of(bare))
    assert OUTCOMES[outcome] in said
    assert "Nobody: no answer was given." in said
    assert (
        "What was tried: gpt was reached, and said that it couldn't answer: something had failed on its side." in said
    )


def test_an_orphan_an_amendment_and_a_frozen_answer_are_told(bare: Office) -> None:
    started = bare.first.start("c1", 2, case=CASE)
    bare.first.tell(Kind.CALL_ORPHANED, 3, call_id="c1", refs={"started": started.leaf.hex()})
    done = bare.call("c2", 4, "1", '"late"')
    told = {"call_id": "c2", "outcome": "answered", "degraded": False, "us": 900, "case": CASE}
    bare.first.tell(
        Kind.CALL_AMENDED, 5, **told, refs={"completed": done.leaf.hex()}, source={"kind": "frozen", "name": "gpt"}
    )
    said = sheet_of(page_of(bare))
    assert f"None is on record. {GONE}" in said
    assert "This is what the caller really got." in said
    assert "AI, earlier: an answer of “gpt” to the same question, kept and given again." in said
    assert "Nothing of the kind is on record." in said
    assert "Which model gave it isn't on record with this." in said
    assert "AI: gpt" in said
    assert "– nobody nothing on record" in said


def test_a_call_whose_start_was_never_recorded_is_told_by_its_end(bare: Office) -> None:
    bare.first.end("c1", 2, None, attempt(pin=PIN), case=CASE, source=by())
    page = page_of(bare)
    said = sheet_of(page)
    assert "Put to “rate” on 2026-11-23 14:00:02 UTC" in said
    assert "The reply says no name" in said
    assert GRADES["unknown"] in said
    assert "began" not in page.partition("What was tried")[2].partition("ended")[0]


def test_a_name_that_nobody_is_known_to_have_given_is_no_reply_without_a_name(bare: Office) -> None:
    """As of an adapter that's a function: it says what it likes."""
    bare.call("c1", 2, "1", "2", tried=(attempt(pin=PIN, served={"model": "m-1", "grade": "unknown"}),))
    said = sheet_of(page_of(bare))
    assert "The reply says m-1" in said
    assert GRADES["unstated"] in said
    assert GRADES["unknown"] not in said


def test_later_changes_are_told_of_what_was_asked_and_of_nothing_else(bare: Office) -> None:
    done = bare.call("c1", 2, "1", "2", tried=(attempt(pin=PIN, served={**SERVED, "upstream": "acme"}),))
    bare.first.tell(Kind.BLOCK_CHANGED, 5, subject="adapter:gpt", blocked=True, actor={"id": "ops"}, why="odd answers")
    bare.first.tell(Kind.BLOCK_CHANGED, 6, subject="adapter:gpt", blocked=False, actor={"id": "ops"}, why="mended")
    bare.first.tell(Kind.MODEL_RETIREMENT_NOTICE, 7, adapter="gpt", model="m-1-2026", sunset="2027-01-01T00:00:00Z")
    bare.first.tell(Kind.MODEL_RETIREMENT_NOTICE, 8, adapter="gpt", model="m-1-2026")
    also = {"name": "other", "adapter_version": "1", "pin": PIN}
    bare.first.tell(Kind.CONFIG_ACTIVATED, 8, config_sha256="0" * 64, adapters=[also, {**also, "name": "gpt"}])
    bare.first.tell(
        Kind.CONFIG_ACTIVATED,
        8,
        config_sha256="1" * 64,
        adapters=[also, {**also, "name": "gpt", "pin": {"model": "z"}}],
    )
    bare.first.tell(Kind.DRIFT_DETECTED, 9, adapter="other", refs={"of": done.leaf.hex()})
    digest = done.payloads[0][0].hex()
    bare.first.tell(Kind.PAYLOAD_ERASED, 11, digests=[digest], person="e.f", basis="by request")
    attack(bare.path, f"DELETE FROM ledger_payload WHERE digest = x'{digest}'")
    bare.first.tell(Kind.PAYLOAD_ERASED, 12, digests=["0" * 64], person="g.h", basis="another's")
    bare.call("c2", 20, "1", "2", tried=(), source={"kind": "fallback", "name": "rules"})
    said = sheet_of(page_of(bare, Wanted(calls=("c1", "c2"))))
    assert said.count("is asked for another model from here on: z") == 1
    assert "ops switched gpt off: odd answers" in said
    assert "ops said that gpt may be asked again: mended" in said
    assert "the model m-1-2026 will go, on 2027-01-01" in said
    assert (said.count("will go"), said.count("will go, on")) == (2, 1)
    assert "other: its answers were found to have changed" in said
    assert said.count("e.f had what was asked and answered erased: by request") == 1
    assert "another's" not in said
    assert "Answered through acme" in said
    assert "Nothing about what was asked is on record after it" in said


def configured(
    office: Office,
    second: float,
    config: str,
    version: str | None = "1",
    form: str = "d",
    lock: str | None = "a",
    **other: Any,
) -> None:
    its = {"name": "rate-alternative", "digest": sha(form), **({} if version is None else {"version": version})}
    capabilities = [{"name": "other", **other}, its]
    told = {"config_sha256": sha(config), "capabilities": capabilities}
    told |= {} if lock is None else {"lock_sha256": sha(lock)}
    held = artifacts(config, form, *(() if lock is None else (lock,)))
    office.first.say(Draft(Kind.CONFIG_ACTIVATED, told, (), held), second)


def test_how_a_capability_is_had_otherwise_later_is_told(bare: Office) -> None:
    first = bare.first.digest = sha("0")
    configured(bare, 1.5, "0")
    bare.call("c1", 2, "1", "2")
    configured(bare, 3, "0")
    configured(bare, 3, "0", digest=sha("d"))
    configured(bare, 4, "1")
    configured(bare, 5, "1", lock="b")
    configured(bare, 6, "2", "2")
    configured(bare, 7, "3", None, form="e")
    configured(bare, 8, "3", None, form="e")
    bare.first.tell(Kind.CONFIG_ACTIVATED, 9, config_sha256=sha("4"), capabilities=[{"name": "other", "version": "9"}])
    bare.first.tell(Kind.BLOCK_CHANGED, 10, subject="capability:other", blocked=True, actor={"id": "ops"}, why="slow")
    bare.first.tell(
        Kind.BLOCK_CHANGED,
        11,
        subject="capability:rate-alternative",
        blocked=True,
        actor={"id": "ops"},
        why="it's wrong",
    )
    bare.first.digest = sha("3")
    bare.call("c2", 20, "1", "2")
    bare.first.digest = first
    configured(bare, 30, "5", None, form="e")
    one, _, two = sheet_of(page_of(bare, Wanted(calls=("c1", "c2")))).partition("Decision 2: ")
    told = [
        "14:00:04 UTC: the application has other settings from here on",
        "14:00:05 UTC: the application is held to another state of its code and prompts from here on",
        "14:00:06 UTC: “rate-alternative” has another version from here on: 2",
        "14:00:06 UTC: the application is held to the state of its code and prompts of then again",
        "14:00:06 UTC: the application has other settings from here on",
        "14:00:07 UTC: “rate-alternative” has another version from here on: one without a number",
        "14:00:07 UTC: what “rate-alternative” may answer has another form from here on",
        "14:00:11 UTC: ops switched rate-alternative off: it's wrong",
    ]
    assert [each for each in told if each not in one] == []
    assert [one.count(f"14:00:{second:02} UTC") for second in range(3, 12)] == [0, 1, 1, 3, 3, 0, 0, 0, 1]
    assert [two.count(f"14:00:{second:02} UTC") for second in (3, 7, 30)] == [0, 0, 2]


def test_the_overview_says_what_persons_decided_and_why(bare: Office) -> None:
    first = bare.call("c1", 2, "1", "1")
    bare.call("c2", 3, "1", "2")
    parts = (payload("reason", "the drawing says so", "text/plain"), payload("changed", "7"))
    fields = {"call_id": "c1", "refs": {"completed": first.leaf.hex()}, "person": "m.w", "decision": "changed"}
    bare.first.say(Draft(Kind.REVIEW_RECORDED, fields, parts), 5)
    bare.first.tell(Kind.APPEAL_RECORDED, 6, refs={"completed": first.leaf.hex()}, person="c.d")
    said = sheet_of(page_of(bare))
    assert "m.w: changed to 7 (the drawing says so); c.d: appealed against it" in said
    assert "AI: m-1-2026 as far as the provider's own word nobody nothing on record" in said


@pytest.mark.parametrize("grade", [*map(str, Grade), "of tomorrow", None])
def test_the_overview_says_how_far_a_name_can_be_believed_and_what_changed(bare: Office, grade: str | None) -> None:
    served = {"served": {"model": "m", "grade": grade}} if grade is not None else {}
    bare.call("c1", 2, "1", "1", tried=(attempt(pin=PIN, **served),))
    bare.call("c2", 3, "1", "2", tried=(), source=None, outcome="failed")
    bare.first.tell(Kind.DRIFT_DETECTED, 9, adapter="gpt")
    overview = sheet_of(page_of(bare)).partition("What this page doesn't prove")[0]
    believed = BELIEVED.get({None: "unknown", "unknown": "unstated"}.get(grade, str(grade)), grade)
    assert f"AI: {'m' if grade else 'gpt'} {believed} nobody 1 change, latest 2026-11-23" in overview
    assert overview.endswith("nobody – nobody nothing on record ")


def test_what_an_application_keeps_off_the_record_is_told_where_it_belongs(bare: Office) -> None:
    done = bare.call("c1", 2, "1", "2", omitted=["prompt", "response.reader"])
    fields = {
        "call_id": "c1",
        "refs": {"completed": done.leaf.hex()},
        "person": "m.w",
        "decision": "changed",
        "omitted": ["changed.reader", "shown"],
    }
    bare.first.say(Draft(Kind.REVIEW_RECORDED, fields, (payload("changed", "7"),)), 5)
    page = page_of(bare)
    said = sheet_of(page)
    assert said.count("Left out, since the application never puts it on record: reader.") == 2
    assert "What was shown to them besides is left out, since the application never puts it on record." in said
    assert page.count("on no record, as the application has it") == 4


def test_the_overview_tells_an_answer_that_is_kept_off_the_record_from_none(bare: Office) -> None:
    fields = {"call_id": "c1", "capability": {"name": "rate"}, "case": CASE}
    opening = {**fields, "config_sha256": bare.first.digest, "deadline_ms": 1, "omitted": ["request"]}
    started = bare.first.say(Draft(Kind.CALL_STARTED, opening), 2)
    bare.first.end("c1", 3, started, answer=b"", case=CASE, source=by(), omitted=["prompt", "response"])
    bare.first.end("c2", 5, bare.first.start("c2", 4, case=CASE), answer=b"", case=CASE, outcome="failed")
    overview = sheet_of(page_of(bare)).partition("What this page doesn't prove")[0]
    assert "14:00:02 UTC left out left out AI: gpt" in overview
    assert "14:00:04 UTC 1 – nobody" in overview


def test_a_change_of_one_adapter_is_no_news_of_another(bare: Office) -> None:
    bare.call("c1", 2, "1", "2")
    other = attempt("claude", pin=PIN)
    bare.call("c2", 3, "1", "2", tried=(other,), source=by("claude"))
    bare.first.tell(Kind.DRIFT_DETECTED, 9, adapter="claude")
    said = sheet_of(page_of(bare))
    first, second = said.partition("Decision 2")[::2]
    assert "claude: its answers were found to have changed" not in first
    assert "claude: its answers were found to have changed" in second


def test_people_are_told_with_what_they_were_shown(bare: Office) -> None:
    done = bare.call("c1", 2, "1", "2", actor={"id": "A.B "})
    parts = (
        payload("reason", "because", "text/plain"),
        payload("shown", '{"a":"b"}'),
        payload("changed", '"2"'),
        payload("extra", "1"),
    )
    fields: dict[str, Any] = {
        "call_id": "c1",
        "refs": {"completed": done.leaf.hex()},
        "actor": {"id": "a.b"},
        "why": "so",
        "own": True,
    }
    bare.first.say(Draft(Kind.REVIEW_RECORDED, fields, parts), 5)
    bare.first.tell(Kind.APPEAL_RECORDED, 6, refs={"completed": done.leaf.hex()}, person="c.d", decision="not_accepted")
    said = sheet_of(page_of(bare))
    assert "a.b reviewed it on" in said
    assert "Reason given: so" in said
    assert "What was shown to them: a b" in said
    assert "What they put in its place: 2" in said
    assert "It's the same person who had asked." in said
    assert "extra: 1" in said
    assert "c.d appealed against it on 2026-11-23 14:00:06 UTC and decided: not accepted." in said


def test_a_decision_that_is_asked_for_and_missing_is_told(bare: Office) -> None:
    bare.call("c1", 2, "1", "2", review={"required": True, "policy": "always", "status": "pending"})
    assert "A person was to decide: the application asks for that here." in sheet_of(page_of(bare))


def test_somebody_without_a_name_and_a_case_without_a_kind(bare: Office) -> None:
    case = {"id": "T"}
    bare.call("c1", 2, "1", "2", case=case)
    bare.call("c2", 3, "1", "2", case=case)
    bare.first.tell(Kind.REVIEW_RECORDED, 6, call_id="c1")
    bare.first.start("c3", 7, actor={"id": "bot", "on_behalf_of": "k.l"})
    bare.first.end("c3", 8, None, source={"kind": "fallback", "name": "x"})
    said = sheet_of(page_of(bare, Wanted(calls=("c1", "c2"))))
    assert "somebody reviewed it" in said
    assert "in the case T." in said


def test_on_whose_behalf_somebody_asked_is_told(bare: Office) -> None:
    started = bare.first.start("c1", 2, actor={"id": "bot", "on_behalf_of": "k.l"})
    bare.first.end("c1", 3, started, source={"kind": "fallback", "name": "x"})
    said = sheet_of(page_of(bare, Wanted(calls=("c1",))))
    assert "by bot on behalf of k.l." in said
    assert "What is on record about a decision The question Put to" in said


def test_hostile_values_stay_text(bare: Office) -> None:
    case = {"id": "<i>", "kind": "<u>"}
    named = {"kind": "adapter", "name": HOSTILE, "attempt": 1}
    tried = attempt(pin={"model": HOSTILE}, served={"model": HOSTILE, "grade": HOSTILE})
    bare.call(
        "c1", 2, HOSTILE, f'"{HOSTILE}"'.replace('&"', "&"), case=case, source=named, tried=(tried,), labels=["<b>CUI"]
    )
    page = page_of(bare, Wanted(calls=("c1",)), HOSTILE.replace("\x1b", "").replace("\u202e", ""))
    seen = Reader(page)
    assert set(seen.tags).isdisjoint({"script", "img", "i", "u", "b"})
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert '<span class="unseen">U+202E</span>' in page
    assert ".unseen {" in page


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (b"\xff\xfe\x00", "3 bytes that are no text (application/json): they stand in this copy's files."),
        (b'{"a":{"b":1}}', "a b: 1 "),
        (b"[1,[2]]", "1 2 "),
        (b"{}", "The question Put to “rate” on 2026-11-23 14:00:03 UTC. no values"),
        (b"[]", "UTC. empty list"),
        (b"null", "UTC. none"),
        (b'"none"', "UTC. “none”"),
        (b'{"a":null,"b":[],"c":[null,{}]}', "a none b empty list c none, no values "),
        (
            b'{"a":true,"b":"true","c":"False","d":"null","e":"none of it"}',
            "a true b “true” c “False” d “null” e none of it",
        ),
        (
            b'{"a":"empty list","b":" none","c":"\xe2\x80\x9cnone\xe2\x80\x9d"}',
            "a “empty list” b “ none” c “\\“none\\””",
        ),
        (b'{"a":"x","a":"y"}', 'UTC. {"a":"x","a":"y"}'),
        (b'[{"b":{"a":1,"a":1}}]', 'UTC. [{"b":{"a":1,"a":1}}]'),
        (b"not json", "not json"),
        (b"[" * 5000, "[[["),
        (b"[" * 5000 + b"]" * 5000, "[[["),
        (b'{"":"x"}', "(no name) x"),
        (b'["Acme, Inc.","Bolt & Nut, LLC"]', "UTC. “Acme, Inc.”, “Bolt & Nut, LLC” "),
        (b'{"a":"b, c: d","e":["b, c","d"]}', "UTC. a b, c: d e “b, c”, d "),
        (b'{"a":{"b: c":"d: e; f","g":["","h "]}}', "UTC. a “b: c”: d: e; f g: “”, “h ” "),
        (b'{"a":{"note":"ok\\napproved: true","":"x"}}', "UTC. a note: “ok approved: true” (no name): x "),
        (b'{"a":"ok\\nsure","b":{"c\\nd":1}}', "UTC. a ok sure b “c d”: 1 "),
        (b'[["a"],"1\\n2. b",""]', "UTC. a “1 2. b” (empty text) "),
        (b'{"a":"","b":" "}', "UTC. a (empty text) b “ ” "),
        (b'""', "UTC. (empty text) "),
        (b'" "', "UTC. “ ” "),
        (b'"(Empty text)"', "UTC. “(Empty text)” "),
        (b'{"a":true,"b":1.5}', "b 1.5"),
        (b'"\\ud800"', "UTC. U+D800 "),
        (b'"' + b"x" * SHOWN + b'"', f" {'x' * SHOWN} "),
        (b'"' + b"x" * (SHOWN + 1) + b'"', "x… Cut here: more of it stands in this copy's files."),
        (b"x" * SHOWN, "xxx"),
        (b"x" * 5990 + b" " + b"y" * 20, "x… Cut here: 21 characters more stand in this copy's files."),
    ],
)
def test_whatever_was_asked_is_laid_out(bare: Office, asked: bytes, shown: str) -> None:
    fields = {"call_id": "c7", "capability": {"name": "rate"}, "config_sha256": bare.first.digest, "deadline_ms": 1}
    started = bare.first.say(Draft(Kind.CALL_STARTED, fields, (("request", "application/json", asked),)), 3)
    bare.first.end("c7", 4, started, source={"kind": "fallback", "name": "x"})
    assert shown in " ".join(Reader(page_of(bare, Wanted(calls=("c7",)))).said.split())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            {"is": "ok", "found": [{"of": "A", "says": "b"}, {"of": None}]},
            "is: ok; found: (of: A; says: b), (of: none)",
        ),
        ({"wanted": {"nsn": None}, "many": [1, [True, []]]}, "wanted: (nsn: none); many: 1, (true, empty list)"),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, "a: (b: (c: (d: …)))"),
        ([[[[[1]]]]], "(((…)))"),
        ("two  \n words", "two words"),
        ({" ": ""}, "(no name): “”"),
        (
            {"is": {"note": "ok; approved: true", "approved": False}},
            "is: (note: “ok; approved: true”; approved: false)",
        ),
        ({"a: 1; ok": ["Acme, Inc.", "Bolt & Nut"]}, "“a: 1; ok”: “Acme, Inc.”, Bolt & Nut"),
        (["1", "", "true ", "none", "a\\b"], "1, “”, “true ”, “none”, a\\b"),
        (["(a", "b)", 'c"', "”, “", "\\”"], '“(a”, “b)”, “c"”, “\\”, \\“”, “\\\\\\””'),
        ("a, b; c: d", "a, b; c: d"),
        ({"said": ("word " * 40).strip()}, "said:" + " word" * 22 + "…"),
        ({"said": "x" * 200}, "said: " + "x" * 113 + "…"),
        ({"said": "x" * 113 + " " + "y" * 9}, "said: " + "x" * 113 + "…"),
        ({str(number): number for number in range(10_000)}, None),
    ],
)
def test_a_value_in_a_line_has_names_and_is_cut_after_a_word(value: object, said: str | None) -> None:
    made, whole = line(value)
    assert len(made) <= LINE
    assert whole is ("…" not in made)
    assert made == said or (said is None and made.startswith("0: 0; 1: 1") and made.endswith("…"))


def test_values_within_others_are_laid_out_as_far_as_there_is_room() -> None:
    deep: Any = {"a": {"b": [{"c": {"d": {"e": {"f": 1}}}}]}, "g": [1, None, "x y"], "h": {}}
    made, whole = laid_out(deep, 1000)
    seen = Reader(made)
    assert " ".join(seen.said.split()) == "a b: c: d: (e: (f: 1)) g 1, none, x y h no values"
    assert (seen.tags.count("ul"), seen.tags.count("ol"), whole) == (2, 1, True)
    assert laid_out({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}}, 1000)[1] is False
    assert laid_out([["x"], "y", None], 1000)[1] is True
    for said, whole in (("as he said…", True), ("…", True), ("word " * 30, False)):
        assert laid_out({"a": {"b": {"c": {"d": {"e": said}}}}}, 1000)[1] is whole
    assert laid_out({"": [""]}, 1000)[1] is True


@pytest.mark.parametrize("most", range(1, 60))
def test_however_little_room_there_is_what_is_left_out_is_marked(most: int) -> None:
    value = {"first": "one two three", "second": ["four", "five", {"sixth": None}], "third": "seven"}
    made, whole = laid_out(value, most)
    said = Reader(made).said
    assert whole == (most >= 51)
    assert whole or len("".join(said.split())) <= most + 10
    assert ("seven" in said) == whole


def test_a_long_list_of_records_is_cut(bare: Office) -> None:
    bare.call("c1", 2, "1", "2")
    bare.log.file.append(
        [bare.log._built(bare.first.emitter, Draft(Kind.CASE_EVENT, {"said": "x"}), 9) for _ in range(1000)]
    )
    assert "and 5 more" in page_of(bare, Wanted(calls=("c1",), all_records=True))


def test_every_fault_has_words_that_say_how_far_it_came() -> None:
    assert FAULTS.keys() == set(FaultKind)
    for kind, (way, why) in FAULTS.items():
        said = failed({"adapter": "gpt", "fault": str(kind), "status": 500})
        assert said == way.format(who="gpt", why=why)
        assert said.startswith("Whether gpt got" if kind is FaultKind.STALE_CONNECTION else "gpt ")
        assert not re.search(r"[{}_]|\.\.|HTTP|TLS|DNS", said)
        assert JARGON.findall(said) == []
    assert len({why for _, why in FAULTS.values()}) == len(FaultKind)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("connect_refused", "gpt wasn't reached: nothing there took the call."),
        ("rate_limited", "gpt was reached, and said that it couldn't answer: it had been asked too often."),
        ("refused", "gpt was reached, and said that it couldn't answer: the model declined to answer this."),
        ("attempt_timeout", "gpt gave no answer in time: its reply wasn't whole when the time for it was up."),
        ("connection_lost", "gpt was asked, and no whole answer came: the connection broke."),
        ("unacceptable", "gpt answered, and its answer wasn't taken: the application's own rule for answers said no."),
        ("bug", "gpt couldn't be asked, or not be heard: there's a mistake in the program that asks."),
        ("context_too_long", "gpt wasn't reached: the question is longer than what may be put to it."),
        ("of_tomorrow", "gpt gave no answer that could be used, for a reason that this page has no words for."),
    ],
)
def test_a_fault_is_told_as_what_it_was(kind: str, said: str) -> None:
    assert failed({"adapter": "gpt", "fault": kind}) == said


def test_the_same_that_went_wrong_several_times_is_told_once(bare: Office) -> None:
    tried = [attempt("gpt", number, pin=PIN, fault="connect_refused") for number in (1, 2, 3)]
    bare.call("c1", 2, "1", "2", tried=(*tried, attempt("gpt", 4, pin=PIN, served=SERVED)), source=by("gpt", 4))
    said = sheet_of(page_of(bare))
    assert said.count("gpt wasn't reached") == 1
    assert "Before that: gpt wasn't reached: nothing there took the call (3 times). Which model" in said


def test_every_code_has_words() -> None:
    assert GRADES.keys() == BELIEVED.keys() == {"unstated", *map(str, Grade)}
    assert OUTCOMES.keys() == set(evidence.CallResult.__args__)  # type: ignore[attr-defined]
    assert passed_over("of_tomorrow") == "this page has no words for why (of tomorrow)"
    assert all(passed_over(each) == PASSED_OVER[each] for each in PASSED_OVER)
    assert pinned({"model": "a", "served_pattern": "a-.*"}).endswith("of the form a-.* is accepted)")
    assert pinned({"model": "a", "served": ["a", "b", "c"]}) == "a (a reply from b, c is accepted too)"
    assert (duration(99_999), duration(100_000)) == ("100.0 ms", "0.1 s")
    assert changed("rollback.executed", {}) == "a change to it was taken back"
    assert changed("shadow.compared", {"adapter": "gpt"}) == "gpt: a record of the type shadow.compared refers to it"


def test_every_reason_of_the_core_for_passing_over_has_words() -> None:
    core = Path(failsoft.__file__).parent
    text = "".join(each.read_text() for folder in ("core", "io") for each in sorted((core / folder).glob("*.py")))
    said = re.findall(r'(?:_pass\(|PassedOver\([\w.]+, |return \(?)"([a-z_]+)"(?:, |\))', text)
    assert {"quality", "open", "bulkhead_full", "labels", "hedge_lost", "no_prompt"} <= set(said)
    assert set(said) <= PASSED_OVER.keys() | {str(each) for each in FaultKind}


def test_markup_is_only_what_was_made_here() -> None:
    assert tag("p", "<b>", tag("i", "&"), cls='"') == '<p class="&quot;">&lt;b&gt;<i>&amp;</i>\n</p>\n'
    assert text(5) == "5"
    assert joined([Markup("<hr>"), "<"]) == "<hr>&lt;"
    assert text("a\tb\n\x00") == 'a\tb\n<span class="unseen">U+0000</span>'
    assert plain("<\x00>") == "&lt;[U+0000]&gt;"


@pytest.mark.parametrize(
    "said",
    [
        "5\u00a0000\u202f€",
        "全\u3000角",
        "one\r\ntwo\r\n",
        "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 🏳\ufe0f\u200d🌈 👩🏽\u200d⚕\ufe0f 1\ufe0f⃣ ☎\ufe0e ©\ufe0f",
        "葛\U000e0100城",
        "Ünï\u0301cödé, بالعربية, हिन्दी",
        r"\u202e U+202E",
    ],
)
def test_ordinary_typography_stands_as_it_is(said: str) -> None:
    assert text(said) == said


@pytest.mark.parametrize(
    "char",
    [
        *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
        *"\u200b\u200c\u200d\u2060\ufeff\u00ad\u2028\u2029\x0b\x0c\x85\r\x00\x1b\x7f\ue000\ud800\U000e0041",
        *"\u034f\u115f\u1160\u17b4\u180b\u180e\u2800\u3164\ufe00\ufe0e\ufe0f\uffa0\U0001d159\U000e0100\U000e01ef",
    ],
)
def test_what_steers_or_hides_is_named_wherever_it_stands(char: str) -> None:
    named = f'<span class="unseen">U+{ord(char):04X}</span>'
    for before, after in (("", ""), ("a", "b"), ("\n", "ي"), (" ", "\t")):
        assert text(f"{before}{char}{after}") == f"{before}{named}{after}"


def test_of_two_signs_that_join_others_the_second_is_named() -> None:
    assert text("❤\ufe0f\ufe0f") == '❤\ufe0f<span class="unseen">U+FE0F</span>'
    assert text("葛\U000e0100\U000e0101") == '葛\U000e0100<span class="unseen">U+E0101</span>'
    assert text("👨\u200d\u200d👩").count("unseen") == 2


def test_the_same_selection_makes_the_same_page(log: Office) -> None:
    log.publish()
    with read(log.path) as reader:
        chosen = select(reader, Wanted(calls=("c1",)))
    assert report(Told(chosen, None, "ab", True)) == report(Told(chosen, None, "ab", True))


def test_a_line_of_the_overview_says_what_is_withheld_gone_or_too_long(bare: Office) -> None:
    answers: tuple[Any, ...] = ('"' + "x" * LINE + '"', '"' + "y" * (LINE + 1) + '"', b'"\xff \n z"')
    for number, answer in enumerate(answers):
        bare.call(f"c{number}", 2 + number, "1", answer)
    bare.call("c3", 9, "1", '"gone"', facts={"code": "5310"})
    bare.publish()
    with read(bare.path) as reader:
        selection = select(reader, Wanted(calls=("c0", "c1", "c2", "c3"), withhold=("request",)))
    ends = {each.call_id: each for each in selection.entries.values() if each.kind == "call.completed"}
    starts = {each.call_id: each for each in selection.entries.values() if each.kind == "call.started"}
    assert [brief(selection, ends[f"c{number}"], "response") for number in range(3)] == [
        "x" * LINE,
        "y" * (LINE - 1) + "…",
        '"\ufffd z"',
    ]
    assert brief(selection, starts["c0"], "request") == "withheld"
    (gone,) = (each["digest"] for each in ends["c3"].fields["commitments"] if each["path"] == "response")
    kept = {digest: each for digest, each in selection.disclosures.items() if digest != gone}
    without = evolve(selection, disclosures=kept, erased=(gone,))
    assert brief(without, ends["c3"], "response") == "no longer kept"
    shown = str(shown_payload(without, ends["c3"], "response"))
    assert '<p class="caption">In clear on record, as public (of a list at most' in shown
    assert "5310" in shown
    assert "In clear" not in str(shown_payload(evolve(without, disclosures={}), ends["c3"], "prompt"))
    assert (brief(selection, None, "request"), brief(selection, starts["c0"], "reply/1")) == ("–", "–")
    bare.close()


def trial(office: Office) -> None:
    """What comes is by another process, of which that's on record."""
    office.first = office.log.process(3, 2.5)
    office.first.digest = sha("trial")
    told = {"config_sha256": sha("trial"), "purpose": "trial", "capabilities": [{"name": "rate-alternative"}]}
    office.first.say(Draft(Kind.CONFIG_ACTIVATED, told, (), artifacts("trial")), 2.6)


@pytest.mark.parametrize(
    ("asking", "title", "lead"),
    [
        (
            ("c1", "c2", "c3"),
            "What is on record about a decision in the case",
            "The answer of the decision is an AI model's. Besides, 2 questions were asked again, to compare: that decides",
        ),
        (
            ("c0", "c1", "c2"),
            "What is on record about 2 decisions in the case",
            "In 1 of the 2 decisions the answer is an AI model's. Besides, 1 question was asked again, to compare: that",
        ),
        (
            ("c0", "c2"),
            "What is on record about a decision in the case",
            "The answer of the decision is no AI model's. Besides, 1 question was asked again",
        ),
        (
            ("c2", "c3"),
            "What is on record about 2 questions in the case SPE4A7-26-R-0001, asked again to compare",
            "Besides, 2 questions were asked again, to compare: that decides nothing. Each is",
        ),
    ],
)
def test_who_asked_again_to_compare_decided_nothing(
    bare: Office, asking: tuple[str, ...], title: str, lead: str
) -> None:
    again = {"id": "root", "kind": "replay"}
    bare.call("c0", 1, "1", "1", source=None, tried=())
    bare.call("c1", 2, "1", "1", actor=again)  # the application's own actor, which may be of any kind
    trial(bare)
    bare.call("c2", 3, "1", "2", actor=again)
    bare.call("c3", 4, "1", "2", actor=again)
    said = sheet_of(page_of(bare, Wanted(calls=asking)))
    assert title in said
    assert lead in said
    place = asking.index("c2") + 1
    assert f"Comparison {place}: “rate-alternative”" in said
    assert f"Decision {place}" not in said
    assert "again on 2026-11-23 14:00:03 UTC, by root, in the case" in said
    assert "to compare: its answer decides nothing." in said
    assert f"{place} 2026-11-23 14:00:03 UTC" in said
    assert "to compare, AI: m-1-2026" in said


def test_one_that_asked_again_is_told_as_one_and_says_nothing_of_how_the_application_is_set_up(bare: Office) -> None:
    trial(bare)
    bare.call("c1", 3, "1", "2", actor={"id": "root", "kind": "replay"})
    configured(bare, 20, "2")
    said = sheet_of(page_of(bare, Wanted(calls=("c1",))))
    assert "What is on record about a question in the case" in said
    assert "Nothing about what was asked is on record after it" in said


def test_of_one_decision_that_ended_nowhere_it_is_not_said_whose_answer_it_is(bare: Office) -> None:
    started = bare.first.start("c1", 2, case=CASE)
    bare.first.tell(Kind.CALL_ORPHANED, 3, call_id="c1", refs={"started": started.leaf.hex()})
    trial(bare)
    bare.call("c2", 4, "1", "2", actor={"id": "root", "kind": "replay"})
    said = sheet_of(page_of(bare, Wanted(calls=("c1", "c2"))))
    assert "The answer of the decision" not in said
    assert "Of 1 it isn't on record whether an AI was asked. Besides, 1 question was asked again" in said


def test_being_held_to_a_lock_at_all_has_words_of_its_own(bare: Office) -> None:
    bare.first.digest = sha("1")
    configured(bare, 1, "1", lock=None)
    bare.call("c1", 2, "1", "2")
    configured(bare, 3, "1", lock="a")
    configured(bare, 4, "1", lock="b")
    configured(bare, 5, "1", lock=None)
    said = sheet_of(unzipped(_made(bare, Wanted(calls=("c1",))))["report.html"].decode())
    end = "held to a state of its code and prompts that is written down"
    assert f"14:00:03 UTC: the application is {end}, from here on" in said
    assert "14:00:04 UTC: the application is held to another state" in said
    assert f"14:00:05 UTC: the application isn't {end}, as then" in said
    configured(bare, 6, "1", lock="a")
    bare.call("c2", 7, "1", "2")
    configured(bare, 8, "1", lock=None)
    configured(bare, 9, "1", lock="a")
    said = sheet_of(page_of(bare, Wanted(calls=("c2",))))
    assert f"14:00:08 UTC: the application isn't {end} any more" in said
    assert "14:00:09 UTC: the application is held to the state of its code and prompts of then again" in said
