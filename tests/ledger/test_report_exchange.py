"""What went to an AI and what came back, on a bundle's page: word for word, and never more than the bundle discloses."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.bundled import CONFIG, INSTRUCTION, PIN, SECRET, SERVED, Office, office
from tests.bundled import said as payload
from tests.logs import TEXT, attempt, by
from tests.reported import HOSTILE, Reader, page_of, sheet_of

from failsoft.ledger.bundles.exchange import FIRST, instruction
from failsoft.ledger.bundles.markup import joined
from failsoft.ledger.bundles.selection import Wanted, select
from failsoft.ledger.bundles.shown import ERASED, OMITTED, SHOWN, WITHHELD
from failsoft.ledger.bundles.told import calls_of
from failsoft.ledger.read import read
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind
from failsoft.prompt import Document, Image, Message, Prompt

ONE = Wanted(calls=("c1",))
SENT = "Word for word: what was put to an AI, and what came back"
TO_DO = "What the AI was to do with it:"


@pytest.fixture
def bare(tmp_path: Path) -> Office:
    made = Office(tmp_path / "y.db")
    made.configure()
    return made


def asked(office: Office, *payloads: tuple[str, str, bytes], tried: tuple[Any, ...] = (), **fields: Any) -> Any:
    """A call with exactly these payloads at its end."""
    started = office.first.start("c1", 2)
    told: dict[str, Any] = {
        "call_id": "c1",
        "capability": {"name": "rate"},
        "outcome": "answered",
        "degraded": False,
        "us": 5,
        "source": by(),
        "attempts": list(tried or (attempt(pin=PIN, served=SERVED),)),
        "refs": {"started": started.leaf.hex()},
    }
    present = {key: value for key, value in {**told, **fields}.items() if value is not None}
    return office.first.say(Draft(Kind.CALL_COMPLETED, present, payloads), 3)


def prompt(*messages: tuple[str, Any]) -> tuple[str, str, bytes]:
    return payload("prompt", json.dumps([{"role": whose, "content": said} for whose, said in messages]))


def question_of(page: str) -> str:
    """What the page says under its first question."""
    return sheet_of(page).partition("The question")[2].partition("The answer")[0]


def sent_of(page: str) -> str:
    """What it says of what was sent and came back, up to the next part."""
    after = page.partition(f"<h2>{SENT}")[2].partition("<h2>")[0]
    return " ".join(Reader(after).said.split())


# --- the instruction, beside the question -----------------------------------------------------------------------------


def test_the_instruction_stands_beside_the_question(tmp_path: Path) -> None:
    page = page_of(office(tmp_path / "x.db"), ONE)
    assert f"{TO_DO} {INSTRUCTION}" in question_of(page)
    assert SECRET not in question_of(page)


@pytest.mark.parametrize("withheld", ["prompt", "*"])
def test_an_instruction_in_a_withheld_prompt_is_withheld(tmp_path: Path, withheld: str) -> None:
    page = page_of(office(tmp_path / "x.db"), Wanted(calls=("c1",), withhold=(withheld,)))
    assert f"{TO_DO} {WITHHELD}" in question_of(page)
    assert INSTRUCTION not in page
    assert SECRET not in page


def test_an_instruction_that_was_erased_is_told_as_erased(tmp_path: Path) -> None:
    log = office(tmp_path / "x.db")
    log.publish()
    with read(log.path) as reader:
        selection = select(reader, ONE)
    (told,) = calls_of(selection)
    assert told.completed is not None
    (gone,) = (each["digest"] for each in told.completed.fields["commitments"] if each["path"] == "prompt")
    kept = {digest: each for digest, each in selection.disclosures.items() if digest != gone}
    (told,) = calls_of(evolve(selection, disclosures=kept, erased=(gone,)))
    assert ERASED in Reader(joined(instruction(told))).said


def test_an_instruction_that_is_kept_off_the_record_is_told_so(bare: Office) -> None:
    asked(bare, payload("response", "5"), omitted=["prompt", "reply/1"])
    page = page_of(bare, ONE)
    assert f"{TO_DO} {OMITTED}" in question_of(page)
    assert sent_of(page).count(OMITTED) == 2


def locked(office: Office, lock: bytes) -> None:
    office.first.digest = sha256(CONFIG).hexdigest()
    fields = {"config_sha256": office.first.digest, "lock_sha256": sha256(lock).hexdigest()}
    artifacts = tuple(("application/json", each) for each in (CONFIG, lock))
    office.first.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), artifacts), 1.5)


def test_the_lock_does_not_tell_the_instruction_of_a_withheld_prompt(bare: Office) -> None:
    locked(bare, json.dumps({"capabilities": {"rate": {"instruction": "Rate it, in secret."}}}).encode())
    bare.first.end("c1", 3, bare.first.start("c1", 2), source={"kind": "fallback", "name": "x"})
    page = page_of(bare, Wanted(calls=("c1",), withhold=("prompt",)))
    assert f"{TO_DO} {WITHHELD}" in question_of(page)
    assert "in secret" not in page


def test_the_lock_tells_the_instruction_where_no_prompt_does(bare: Office) -> None:
    said = "Rate it. " * (FIRST // 9 + 1)
    locked(bare, json.dumps({"capabilities": {"rate": {"instruction": said}}}).encode())
    bare.first.end("c1", 3, bare.first.start("c1", 2), source={"kind": "fallback", "name": "x"}, answer=b"")
    told = question_of(page_of(bare, ONE))
    assert "What an AI is to do with it, as it was written down beforehand: Rate it. Rate it." in told
    assert "it. Rate… Cut here: more of it stands in this copy's files." in told


@pytest.mark.parametrize(
    "lock",
    [
        b"1",
        b"{}",
        b"not json",
        b"[" * 100_000,
        b'{"capabilities":[]}',
        b'{"capabilities":{"other":{"instruction":"x"}}}',
        b'{"capabilities":{"rate":{"instruction":["x"]}}}',
    ],
)
def test_a_lock_that_tells_none_is_no_instruction(bare: Office, lock: bytes) -> None:
    locked(bare, lock)
    bare.first.end("c1", 3, bare.first.start("c1", 2), source={"kind": "fallback", "name": "x"}, answer=b"")
    page = page_of(bare, ONE)
    assert "Which instruction to an AI goes with it isn't on record in this copy." in question_of(page)
    assert SENT not in page


def test_a_prompt_without_an_instruction_is_told_so(bare: Office) -> None:
    asked(bare, prompt(("user", "Rate 1")), payload("response", "5"))
    page = page_of(bare, ONE)
    assert "No instruction stands apart from the question in what the AI was given" in question_of(page)
    assert "The words for the AI Put to the AI: Rate 1" in sent_of(page)


def test_a_long_instruction_is_cut_on_the_first_page(bare: Office) -> None:
    asked(bare, prompt(("system", "x" * (FIRST - 5) + " last words"), ("system", "end")), payload("response", "5"))
    page = page_of(bare, ONE)
    assert "xxx… Cut here: more of it stands further down." in question_of(page)
    assert "xxx last words Instruction: end" in sent_of(page)


# --- word for word, on later pages ------------------------------------------------------------------------------------


def test_what_was_sent_and_what_came_stand_on_later_pages(tmp_path: Path) -> None:
    page = page_of(office(tmp_path / "x.db"))
    assert page.count(f"<h2>{SENT}. Decision") == 2
    said = sent_of(page)
    assert said.startswith(". Decision 1: “rate-alternative”")
    assert f"The words for the AI Instruction: {INSTRUCTION} Put to the AI: Is it? {SECRET}" in said
    assert 'What came back from gpt in attempt 1 {"id":"chatcmpl-1"}' in said
    assert SECRET not in sheet_of(page)


def test_each_attempt_is_told_with_its_own_words_and_with_what_came_of_it(bare: Office) -> None:
    again = Prompt((Message("system", "Rate"), Message("assistant", "{}"), Message("user", "Once more")))
    tried = (
        attempt("gpt", 1, pin=PIN, fault="connect_refused"),
        attempt("gpt", 2, pin=PIN, fault="schema_invalid"),
        attempt("claude", 3, pin=PIN, served=SERVED),
    )
    asked(
        bare,
        prompt(("system", "Rate"), ("user", "Is it?")),
        payload("reply/2", "data: {}\r\n\r\n", "text/event-stream"),
        payload("error/2", "verdict is missing", TEXT),
        payload("reply/3", b"\xff\xfe\x00", "application/octet-stream"),
        payload("prompt/3", again.to_json()),
        payload("response", "5"),
        tried=tried,
        source=by("claude", 3),
        attempts_omitted=7,
        redacted={"own-key": 1},
    )
    said = sent_of(page_of(bare, ONE))
    assert "What came back from gpt in attempt 1 Nothing that came back is on record. What came" in said
    assert "attempt 2 data: {} What the application noted about it: verdict is missing" in said
    own = (
        "The words for claude in attempt 3 Instruction: Rate Said before, in the AI's name: {} Put to the AI: Once more"
    )
    assert own in said
    assert "3 bytes that are no text (application/octet-stream): they stand in this copy's files." in said
    assert "What looked like a password or key was taken out before this was put on record." in said
    assert "Of 7 attempts more, the record says only that they were made." in said


def test_words_that_no_attempt_put_to_an_ai_are_told_as_such(bare: Office) -> None:
    rules = {"kind": "fallback", "name": "x"}
    asked(bare, prompt(("user", "Rate 1")), payload("response", "5"), source=rules, attempts=None)
    said = sent_of(page_of(bare, ONE))
    assert said.endswith("and no attempt to put them to one is named there. Put to the AI: Rate 1")


def test_what_is_withheld_of_it_is_not_told(tmp_path: Path) -> None:
    page = page_of(office(tmp_path / "x.db"), Wanted(calls=("c1",), disclose=("request", "response")))
    assert sent_of(page).count(WITHHELD) == 2
    assert "chatcmpl" not in page
    assert SECRET not in page


def test_a_long_reply_is_cut_and_it_is_said_how_much_is_left_out(bare: Office) -> None:
    asked(bare, prompt(("user", "y" * SHOWN)), payload("reply/1", "x" * (SHOWN + 10), TEXT), payload("response", "5"))
    said = sent_of(page_of(bare, ONE))
    assert "x… Cut here: 11 characters more stand in this copy's files." in said
    assert said.count("Cut here") == 1


def test_a_hostile_reply_stays_text(bare: Office) -> None:
    asked(bare, prompt(("system", HOSTILE), ("user", HOSTILE)), payload("reply/1", HOSTILE), payload("response", "5"))
    page = page_of(bare, ONE)
    assert set(Reader(page).tags).isdisjoint({"script", "img", "i", "u", "b"})
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;alert(1)") == 4
    assert page.count('<span class="unseen">U+202E</span><span class="unseen">U+001B</span>') == 4


def test_pictures_and_documents_are_named_and_not_shown(bare: Office) -> None:
    content = ("Look:", Image(b"12345", "image/png"), Document(b"1234567", "application/pdf", "drawing"))
    asked(bare, payload("prompt", Prompt((Message("user", content),)).to_json()), payload("response", "5"))
    said = sent_of(page_of(bare, ONE))
    assert "Look: [a picture, image/png, 5 bytes: it stands in this copy's files]" in said
    assert "[a document named drawing, application/pdf, 7 bytes: it stands in this copy's files]" in said


@pytest.mark.parametrize(
    "data",
    [
        b"0",
        b"{}",
        b"[]",
        b"[1]",
        b"not json",
        b'{"role":"user","content":"x"}',
        b'[{"content":"x"}]',
        b'[{"role":"user"}]',
        b'[{"role":"user","content":null}]',
        b'[{"role":"user","content":[{"type":"image"}]}]',
        b'[{"role":["user"],"content":"x"}]',
        b'[{"role":"nobody","content":"x"}]',
    ],
)
def test_a_prompt_of_another_form_is_told_as_it_is(bare: Office, data: bytes) -> None:
    asked(bare, payload("prompt", data), payload("response", "5"))
    page = page_of(bare, ONE)
    assert f"The words for the AI {data.decode()} What came back" in sent_of(page)
    assert "No instruction stands apart" in question_of(page)
