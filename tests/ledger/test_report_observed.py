"""A call that was only observed (`failsoft.observe`), on a bundle's page: what's on record of it is told, each fault as its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.bundled import CASE, PIN, SERVED, Office
from tests.bundled import said as payload
from tests.logs import attempt
from tests.reported import Reader, page_of, sheet_of

from failsoft.ledger.bundles.selection import Wanted
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind

ASKED = '{"model":"m-1","messages":[{"role":"system","content":"Rate it."},{"role":"user","content":"net down"}]}'
REPLY = '{"model":"m-1-2026","choices":[{"message":{"content":"three stars"}}]}'
NONE = "Nothing of the kind is on record"


@pytest.fixture
def log(tmp_path: Path) -> Office:
    made = Office(tmp_path / "x.db")
    made.first.configure(b'{"observed":true}')
    return made


def observed(log: Office, call_id: str = "c1", asked: str = ASKED, reply: str | None = REPLY, **fields: Any) -> None:
    """As `failsoft.observer` puts it on record: a reply under 300 is an answer, whatever is wrong with it."""
    about = {"call_id": call_id, "capability": {"name": "observed"}, "case": CASE}
    opening = {"config_sha256": log.first.digest, "deadline_ms": 0, "route": ["openai"]}
    started = log.first.say(Draft(Kind.CALL_STARTED, {**about, **opening}, (payload("request", asked),)), 2)
    answered = fields.get("status", 500) < 300
    source = {"kind": "adapter", "name": "openai", "attempt": 1, "version": "observed"}
    told = {
        **about,
        "outcome": "answered" if answered else "failed",
        "degraded": False,
        "us": 9,
        **({"source": source} if answered else {}),
        "attempts": [attempt("openai", pin=PIN, adapter_version="observed", **fields)],
        "refs": {"started": started.leaf.hex()},
    }
    log.first.say(Draft(Kind.CALL_COMPLETED, told, () if reply is None else (payload("reply/1", reply),)), 3)


def test_its_question_its_reply_and_its_words_are_those_on_record(log: Office) -> None:
    observed(log, status=200, served=SERVED)
    page = page_of(log)
    first, after = sheet_of(page), " ".join(Reader(page.partition("<h2>What was tried</h2>")[2]).said.split())
    assert NONE not in first + after
    assert "Put to “openai” on" in first
    assert "An instruction, where there is one, is part of it." in first
    assert "A reply came, and was passed on as it came, as far as it was read. model m-1-2026 choices" in first
    assert "AI: a model of the service “openai”, which the application asked by itself." in first
    assert "stand here character for character, as they are on record. Characters that can't" in after
    assert "be seen are named, each in a frame. The words for the AI " + ASKED in after
    assert "What came back from openai in attempt 1 " + REPLY in after


def test_the_overview_has_its_reply(log: Office) -> None:
    observed(log, status=200, served=SERVED)
    observed(log, "c2", status=200, served=SERVED)
    said = sheet_of(page_of(log))
    assert said.count("choices: (message: (content: three stars)) AI: m-1-2026") == 2
    assert "Decision 2: “openai”" in said


def test_an_error_of_the_provider_is_told_as_the_providers(log: Office) -> None:
    observed(log, reply='{"error":{"message":"no"}}', status=500, fault="server_error")
    said = sheet_of(page_of(log))
    assert "the application failed" not in said
    assert "No answer is on record: what became of the question at the provider's service stands below." in said
    assert (
        "Nobody, as far as is on record. What was tried: openai was reached, and said that it couldn't answer: something had"
    ) in said


def test_a_reply_that_is_wrong_was_passed_on_all_the_same(log: Office) -> None:
    observed(log, reply="<html>", status=200, fault="web_page")
    said = sheet_of(page_of(log))
    assert "A reply came, and was passed on as it came, as far as it was read. <html>" in said
    assert "What was tried: openai answered, and of its answer it was noted: a web page came in its place." in said
    assert "wasn't taken" not in said


def test_whoever_read_no_further_is_told_as_that(log: Office) -> None:
    observed(log, status=200, served=SERVED, fault="cancelled")
    said = sheet_of(page_of(log))
    assert "What was tried: openai was asked, and its answer wasn't waited for: whoever asked read no further." in said


def test_what_is_withheld_or_was_taken_out_of_it_is_told(log: Office) -> None:
    observed(log, asked='{"key":"AKIA' + 'IOSFODNN7EXAMPLE"}', status=200, served=SERVED)
    page = page_of(log, Wanted(calls=("c1",), withhold=("reply/1",)))
    assert page.count("Withheld: it") == 3
    assert page.count("What looked like a password or key was taken out") == 2
    assert "three stars" not in page


@pytest.mark.parametrize("settings", [b'{"observed":false}', b"[]", b"{", b'{"adapters":{}}'])
def test_what_is_called_so_and_went_through_failsoft_isnt_taken_for_observed(log: Office, settings: bytes) -> None:
    log.first.configure(settings, 1.5)
    observed(log, status=200, served=SERVED)
    said = sheet_of(page_of(log))
    assert "Put to “observed” on" in said
    assert "An answer was given." in said
