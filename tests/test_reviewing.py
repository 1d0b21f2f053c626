"""What persons decide, put on record at the front door: on a real ledger, by this process or another, durable or not at all."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, ValidationInfo, field_serializer, field_validator

import failsoft
from failsoft import (
    Actor,
    Capability,
    ConfigurationError,
    Isolation,
    IsolationClosed,
    LedgerInvalid,
    LedgerUnavailable,
    LedgerUnreachable,
    Outcome,
    Referral,
    Required,
    capability,
    reviewing,
)
from failsoft.cli.app import app
from failsoft.context import CallContext
from failsoft.core.effects import Ask
from failsoft.core.evidence import CallAmended
from failsoft.io.clock import SystemClock
from failsoft.ledger.acts.erasure import Acting, happened
from failsoft.ledger.acts.pruning import prune
from failsoft.ledger.acts.retention import Retention, RetentionClass
from failsoft.ledger.location import locate
from failsoft.ledger.read import Entry, read
from failsoft.ledger.reviews import ACTS, history, pending, reviewed
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.ticket import Ticket
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.outcome import Source
from failsoft.review import ReviewNeed
from failsoft.reviewing import Json
from tests.commands import CliRunner

UNKNOWN = "01a228d3-c351-72a9-92f5-05c3f6ca4cd9"


class Item(BaseModel, frozen=True):
    text: str
    most: int = 5


class Rating(BaseModel):
    stars: int

    @field_validator("stars")
    @classmethod
    def _at_most(cls, stars: int, info: ValidationInfo) -> int:
        request: Any = info.context
        if request is not None and stars > request.most:
            raise ValueError("more stars than there are")
        if stars == -1:
            raise KeyError("boom")
        return stars

    @field_serializer("stars")
    def _written(self, stars: int) -> int:
        if stars == -2:
            raise RuntimeError("boom")
        return stars


class Rate(Capability[Item, Rating | Referral]):
    """How many stars?"""

    version = "2"
    review = Required()

    def fallback(self, request: Item) -> Rating | Referral:
        return Referral(reason="unsure")


@capability
def maybe(text: str) -> int | None:
    """Is there a number?"""
    if text == "bug":
        raise LookupError
    return 1


def make(folder: Path, url: str | None = None, capabilities: Any = (Rate, maybe)) -> Isolation:
    isolation = Isolation(
        {
            "ledger": {"url": url or f"sqlite:////{folder}/office.db"},
            "capabilities": {"rate": {"adapters": ["own"]}} if Rate in capabilities else {},
        },
        capabilities=list(capabilities),
    )

    @isolation.adapter("own", model="m", attempts=1)
    def own(ask: Ask) -> str:
        if ask.request.text == "down":
            raise ConnectionError
        return '{"stars": 4}'

    return isolation


@pytest.fixture
def isolation(tmp_path: Path) -> Iterator[Isolation]:
    with make(tmp_path) as isolation:
        yield isolation


def ask(isolation: Isolation, text: str = "nut") -> Outcome[Rating | Referral]:
    with failsoft.context(case="T-17", actor=Actor("jdoe", "user", "office"), labels={"CUI"} if text == "cui" else ()):
        return isolation[Rate].sync(Item(text=text))


def accept(isolation: Isolation, call_id: Any, **changes: Any) -> int:
    return isolation.review(call_id, **{"person": "mwagner", "decision": "accepted", "reason": "compared", **changes})


def newest(isolation: Isolation, kind: str = "review.recorded") -> tuple[Entry, dict[str, Any], dict[str, bytes]]:
    """A record, what it says, and its payloads."""
    assert isolation.ledger is not None
    with read(isolation.ledger) as reader:
        (entry,) = reader.records(kind, last=1)
        payloads = {each["path"]: reader.payload(each["digest"]) for each in entry.fields["commitments"]}
        return entry, entry.fields, {path: found[2] for path, found in payloads.items() if found is not None}


def statuses(folder: Path) -> dict[str, str]:
    with read(folder / "office.db") as reader:
        return {each.call_id: each.status for each in reviewed(reader)}


def acts(isolation: Isolation) -> int:
    assert isolation.ledger is not None
    with read(isolation.ledger) as reader:
        return len(list(reader.records(ACTS)))


def refused(isolation: Isolation, call_id: Any, problem: str, **changes: Any) -> None:
    before = acts(isolation)
    with pytest.raises(ConfigurationError, match=problem):
        accept(isolation, call_id, **changes)
    assert acts(isolation) == before


# --- the life of one answer


def test_a_review_is_on_record_when_it_returns(isolation: Isolation, tmp_path: Path) -> None:
    outcome = ask(isolation)
    assert outcome.review == "pending"
    index = accept(isolation, outcome.call_id, shown="<p>4 stars</p>", seconds=12.5)
    entry, said, payloads = newest(isolation)
    assert entry.index == index
    assert outcome.record is not None
    with read(tmp_path / "office.db") as reader:
        answer = reader.record(outcome.record)
    assert answer.fields["review"] == {"policy": "always", "required": True, "status": "pending"}
    (response,) = [each for each in answer.fields["commitments"] if each["path"] == "response"]
    about = {
        key: said[key] for key in ("person", "decision", "call_id", "case", "capability", "refs", "shown", "spent_ms")
    }
    assert about == {
        "person": "mwagner",
        "decision": "accepted",
        "call_id": outcome.call_id,
        "case": {"id": "T-17"},
        "capability": {"name": "rate", "version": "2"},
        "refs": {"completed": answer.leaf.hex()},
        "shown": response,
        "spent_ms": 12_500,
    }
    assert payloads == {"reason": b"compared", "shown": b"<p>4 stars</p>"}
    assert "own" not in said
    assert statuses(tmp_path) == {outcome.call_id: "accepted"}


def test_from_the_answer_to_the_last_word_everything_verifies(tmp_path: Path) -> None:
    with make(tmp_path) as isolation:
        outcome = ask(isolation)
        accept(isolation, outcome.call_id)
        isolation.appeal(outcome.call_id, person="vendor", reason="it has five", shown=b"\x89PNG")
        with read(tmp_path / "office.db") as reader:
            (waiting,) = pending(reader)
        assert (waiting.call_id, waiting.act, waiting.person) == (outcome.call_id, "appeal", "vendor")
        index = accept(
            isolation, outcome.call_id, person="boss", decision="changed", changed=Rating(stars=5), override=True
        )
        entry, said, payloads = newest(isolation, "override.recorded")
        assert (entry.index, payloads["changed"]) == (index, b'{"stars":5}')
        assert said["refs"]["former"] == newest(isolation, "appeal.recorded")[0].leaf.hex()
        accept(isolation, outcome.call_id, person="second", decision="rejected")
    assert statuses(tmp_path) == {outcome.call_id: "rejected"}
    assert verify(tmp_path / "office.db").exit_code == 0


def test_weeks_later_another_process_does_it(tmp_path: Path) -> None:
    with make(tmp_path) as isolation:
        outcome = ask(isolation, "down")
    assert isinstance(outcome.value, Referral)
    script = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from pathlib import Path; from tests.test_reviewing import make, Rating\n"
        "with make(Path(sys.argv[1])) as isolation:\n"
        "    print(isolation.review(sys.argv[2], person='mwagner', decision='changed', reason='x', changed=Rating(stars=2)))"
    )
    command = [sys.executable, "-c", script, str(tmp_path), outcome.call_id, *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    with read(tmp_path / "office.db") as reader:
        assert reader.record(int(done.stdout)).kind == "review.recorded"
    assert statuses(tmp_path) == {outcome.call_id: "changed"}
    assert verify(tmp_path / "office.db").exit_code == 0


def test_while_the_application_runs_two_processes_write_to_one_ledger(isolation: Isolation, tmp_path: Path) -> None:
    outcome = ask(isolation)
    with make(tmp_path) as other:
        accept(other, outcome.call_id)
    accept(isolation, outcome.call_id, decision="rejected")
    assert statuses(tmp_path) == {outcome.call_id: "rejected"}


def test_in_asyncio_it_takes_a_thread_and_keeps_its_context(tmp_path: Path) -> None:
    async def main() -> None:
        async with make(tmp_path) as isolation:
            outcome = await isolation[Rate](Item(text="nut"))
            with failsoft.context(actor="desk"):
                await asyncio.to_thread(accept, isolation, outcome.call_id)
            assert newest(isolation)[1]["actor"] == {"id": "desk"}

    asyncio.run(main())


def test_an_event_tells_it_without_what_was_said(isolation: Isolation, caplog: pytest.LogCaptureFixture) -> None:
    outcome = ask(isolation)
    with caplog.at_level(logging.INFO, "failsoft"):
        accept(isolation, outcome.call_id, reason="the canary sings", shown="the canary sings")
    (told,) = [each.getMessage() for each in caplog.records if "review.recorded" in each.getMessage()]
    assert "person=mwagner" in told
    assert "canary" not in caplog.text


def test_an_event_tells_that_an_answer_is_lost(
    isolation: Isolation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = ask(isolation)
    with caplog.at_level(logging.INFO, "failsoft"):
        accept(isolation, outcome.call_id)
        connection = sqlite3.connect(tmp_path / "office.db", isolation_level=None)
        connection.execute("DELETE FROM ledger_payload")
        connection.close()
        accept(isolation, outcome.call_id)
    said = [each.getMessage() for each in caplog.records if "review.recorded" in each.getMessage()]
    assert [each.rpartition(" lost=")[2] for each in said] == ["", '"isn\'t kept"']


def test_whether_an_answer_is_lost_is_asked_of_the_ledger(isolation: Isolation, tmp_path: Path) -> None:
    outcome = ask(isolation)
    assert isolation.ledger is not None
    assert reviewing.lost_answer(isolation.ledger, outcome.call_id) == ""
    assert reviewing.lost_answer(isolation.ledger, UNKNOWN) == ""
    assert reviewing.lost_answer(locate(tmp_path / "none.db"), outcome.call_id) == ""


def test_what_people_write_stands_in_no_records_body(isolation: Isolation, tmp_path: Path) -> None:
    outcome = ask(isolation)
    accept(
        isolation,
        outcome.call_id,
        reason="canary",
        shown="canary",
        decision="changed",
        changed=Referral(reason="canary"),
    )
    isolation.appeal(outcome.call_id, person="x", reason="canary")
    with read(tmp_path / "office.db") as reader:
        assert not [each for each in reader.records() if b"canary" in (each.body or b"")]


@pytest.mark.parametrize(("person", "own"), [("jdoe", True), ("office", True), ("JDoe ", True), ("mwagner", False)])
def test_who_reviews_an_answer_of_their_own_is_recorded_as_such(isolation: Isolation, person: str, own: bool) -> None:
    outcome = ask(isolation)
    accept(isolation, outcome.call_id, person=person)
    assert newest(isolation)[1].get("own", False) is own


def test_a_call_without_an_actor_is_nobodys_own(isolation: Isolation) -> None:
    outcome = isolation[maybe].sync("a")
    assert outcome.review is None
    accept(isolation, outcome.call_id, person="jdoe")
    said = newest(isolation)[1]
    assert "own" not in said
    assert "case" not in said
    assert "labels" not in said


def test_markings_of_the_data_go_along(tmp_path: Path) -> None:
    with make(tmp_path, capabilities=[Rate, maybe]) as isolation:
        outcome = ask(isolation, "cui")
        accept(isolation, outcome.call_id)
        assert newest(isolation)[1]["labels"] == ["CUI"]


# --- a new value


def test_a_new_value_is_held_to_the_response_type(isolation: Isolation) -> None:
    outcome = ask(isolation)
    for wrong in ({"stars": "many"}, 5, None, {"stars": 6}):  # of the last one a validator knows, by the request
        with pytest.raises(ValidationError):
            accept(isolation, outcome.call_id, decision="changed", changed=wrong)
        with pytest.raises(ValidationError):
            accept(isolation, outcome.call_id, decision="changed", changed=Json(json.dumps(wrong)))
    accept(isolation, outcome.call_id, decision="changed", changed=Json('{"stars": 3}'))
    assert newest(isolation)[2]["changed"] == b'{"stars":3}'


@pytest.mark.parametrize(("stars", "why"), [(-1, "KeyError: 'boom'"), (-2, "PydanticSerializationError: .*boom")])
def test_a_new_value_at_which_the_types_own_code_fails_is_told(isolation: Isolation, stars: int, why: str) -> None:
    call_id = ask(isolation).call_id
    for value in ({"stars": stars}, Json(json.dumps({"stars": stars}))):
        problem = f"changed: it can't be checked and written as JSON: {why}"
        refused(isolation, call_id, problem, decision="changed", changed=value)


def test_nothing_may_be_a_new_value(isolation: Isolation) -> None:
    outcome = isolation[maybe].sync("a")
    accept(isolation, outcome.call_id, decision="changed", changed=None)
    assert newest(isolation)[2]["changed"] == b"null"


def test_without_its_request_a_new_value_is_held_to_the_type_alone(isolation: Isolation, tmp_path: Path) -> None:
    outcome = ask(isolation)
    connection = sqlite3.connect(tmp_path / "office.db", isolation_level=None)
    connection.execute("DELETE FROM ledger_payload")
    connection.close()
    accept(isolation, outcome.call_id, decision="changed", changed=Rating(stars=9))
    assert newest(isolation)[2]["changed"] == b'{"stars":9}'


def test_a_request_whose_type_is_another_by_now_is_no_context(tmp_path: Path) -> None:
    with make(tmp_path) as isolation:
        outcome = ask(isolation)

    class Other(Capability[int, Rating | Referral]):
        """How many stars?"""

        name = "rate"

        def fallback(self, request: int) -> Rating | Referral:
            return Rating(stars=0)

    with make(tmp_path, capabilities=[Other]) as later:
        accept(later, outcome.call_id, decision="changed", changed=Rating(stars=9))
    assert verify(tmp_path / "office.db").exit_code == 0


def test_an_answer_of_a_capability_that_is_no_more_can_be_judged_but_not_changed(tmp_path: Path) -> None:
    with make(tmp_path) as isolation:
        outcome = ask(isolation)
    with make(tmp_path, capabilities=[maybe]) as later:
        refused(later, outcome.call_id, "rate, isn't one of this isolation's", decision="changed", changed=5)
        accept(later, outcome.call_id, decision="rejected")
    assert statuses(tmp_path) == {outcome.call_id: "rejected"}


# --- what isn't taken


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"person": ""}, "person must have 1 to 128 bytes"),
        ({"person": "x" * 129}, "person must have 1 to 128 bytes"),
        ({"person": "a\u202eb"}, "person must not contain control"),
        ({"person": "\ud800"}, "person is not valid Unicode"),
        ({"person": None}, "person is text, not NoneType"),
        ({"decision": "upheld"}, "decision: 'upheld' is none of accepted, changed, rejected"),
        ({"decision": None}, "decision: None is none of"),
        ({"decision": ["accepted"]}, "decision: "),
        ({"decision": "changed"}, "changed: a new value goes with"),
        ({"changed": 5}, "changed: a new value goes with"),
        ({"reason": ""}, "reason: say one"),
        ({"reason": " \n"}, "reason: say one"),
        ({"reason": "\u200b"}, "reason: say one"),
        ({"reason": None}, "reason: it's text, not NoneType"),
        ({"reason": "\ud800"}, "reason: it isn't valid Unicode"),
        ({"reason": "x" * 65_537}, "reason: at most 65536 bytes, not 65537"),
        ({"shown": 5}, "shown: it's text, not int"),
        ({"shown": b"x" * ((16 << 20) + 1)}, "shown: at most"),
        ({"shown": "x" * ((16 << 20) + 1)}, "shown: at most"),
        ({"seconds": -1}, "seconds: -1 is no time"),
        ({"seconds": float("nan")}, "seconds: nan"),
        ({"seconds": float("inf")}, "seconds: inf"),
        ({"seconds": True}, "seconds: True"),
        ({"seconds": "5"}, "seconds: '5'"),
        ({"seconds": 366 * 86_400 + 1}, "no time that a person takes"),
        ({"seconds": 10**400}, "no time that a person takes"),
        ({"seconds": 10**5000}, "seconds: this int is no time that a person takes"),
        ({"override": "no"}, "override: it's True or False, not 'no'"),
        ({"override": 1}, "override: it's True or False, not 1"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_recorded(
    isolation: Isolation, changes: dict[str, Any], problem: str
) -> None:
    refused(isolation, ask(isolation).call_id, problem, **changes)


class Verdict(StrEnum):
    FINE = "accepted"


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("decision", [Verdict.FINE, Text("accepted")])
def test_a_decision_may_be_of_an_enumeration(isolation: Isolation, tmp_path: Path, decision: Any) -> None:
    accept(isolation, ask(isolation).call_id, decision=decision)
    assert newest(isolation)[1]["decision"] == "accepted"
    assert verify(tmp_path / "office.db").exit_code == 0


def test_everything_that_is_wrong_is_told_at_once(isolation: Isolation) -> None:
    with pytest.raises(ConfigurationError) as told:
        accept(isolation, "call-1", person="", reason="", decision="fine")
    assert len(told.value.problems) == 4


@pytest.mark.parametrize(
    "call_id", ["", "x", UNKNOWN.upper(), UNKNOWN + "\n", "\ud800", 5, None, b"x", f"{{{UNKNOWN}}}"]
)
def test_what_is_no_identifier_is_told(isolation: Isolation, call_id: Any) -> None:
    refused(isolation, call_id, "is no call's identifier")


def test_an_unknown_call_is_told(isolation: Isolation) -> None:
    refused(isolation, UNKNOWN, rf"there's no call {UNKNOWN} in .*office\.db")


def test_a_call_without_an_answer_has_nothing_to_review(isolation: Isolation, tmp_path: Path) -> None:
    with pytest.raises((failsoft.FallbackFailed, LookupError)):
        isolation[maybe].sync("bug")
    with read(tmp_path / "office.db") as reader:
        (failed,) = reader.records("call.completed")
    refused(isolation, failed.call_id, r"ended without an answer \(failed\)")
    with pytest.raises(ConfigurationError, match="without an answer"):
        isolation.appeal(str(failed.call_id), person="x", reason="y")


def test_a_call_that_is_under_way_is_told(isolation: Isolation, tmp_path: Path) -> None:
    told: list[str] = []

    def busy(ask: Ask) -> str:
        with read(tmp_path / "office.db") as reader:
            (start,) = reader.records("call.started", last=1)
        with pytest.raises(ConfigurationError) as error:
            accept(isolation, start.call_id)
        told.append(str(error.value))
        return '{"stars": 1}'

    isolation._adapters["own"].codec.function = busy  # type: ignore[attr-defined]
    assert ask(isolation).by_ai
    assert "is still open, or its end isn't on record" in told[0]


ORPHAN = """
import os, sys; sys.path[:0] = sys.argv[2:]
from pathlib import Path; from tests.test_reviewing import make, Item, Rate
isolation = make(Path(sys.argv[1]))
isolation._adapters["own"].codec.function = lambda ask: os._exit(0)
with isolation:
    isolation[Rate].sync(Item(text="nut"))
"""


def test_a_call_whose_process_died_is_told(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path), *sys.path], check=True)
    with make(tmp_path) as isolation:
        with read(tmp_path / "office.db") as reader:
            (orphan,) = reader.records("call.orphaned")
        refused(isolation, orphan.call_id, "its process ended in the middle of it, or couldn't write down its end")


def test_while_records_wait_for_their_database_a_calls_may_be_among_them(
    isolation: Isolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = ask(isolation).call_id
    monkeypatch.setattr(StoredLedger, "spooling", True)
    with pytest.raises(LedgerUnavailable, match="records wait for their database, and its answer may be"):
        accept(isolation, UNKNOWN)
    accept(isolation, known)
    monkeypatch.setattr(StoredLedger, "spooling", False)
    refused(isolation, UNKNOWN, "there's no call")


def test_without_a_ledger_nothing_can_be_reviewed(tmp_path: Path) -> None:
    with make(tmp_path, "none") as isolation:
        outcome = ask(isolation)
        assert outcome.review == "pending"
        with pytest.raises(ConfigurationError, match=r"ledger\.url: there's no ledger"):
            accept(isolation, outcome.call_id)


def test_it_must_be_entered(tmp_path: Path) -> None:
    for act in (lambda each: accept(each, UNKNOWN), lambda each: each.appeal(UNKNOWN, person="x", reason="y")):
        with pytest.raises(IsolationClosed):
            act(make(tmp_path))


class Stuck:
    """Between the isolation and its ledger: a record that's taken or not, and an answer or none."""

    def __init__(
        self, isolation: Isolation, monkeypatch: pytest.MonkeyPatch, *, withdrawn: bool, reason: str | None
    ) -> None:
        from failsoft.core.effects import Promise, Unrecorded

        ledger = isolation._ledger
        assert ledger is not None

        class Ticket:
            promise: Promise[Any] = Promise()

            def withdraw(self) -> bool:
                return withdrawn

        if reason is not None:
            Ticket.promise.resolve(Unrecorded(reason))
        monkeypatch.setattr(reviewing, "WAIT", 0.0)
        monkeypatch.setattr(ledger, "submit", lambda record: Ticket())


@pytest.mark.parametrize(
    ("withdrawn", "reason", "told"),
    [
        (True, "the disk is full", r"can't record the review \(the disk is full\): do it again"),
        (True, None, "can't record the review in time: do it again"),
        (False, None, "hasn't recorded the review in time, and may do so yet: look before you do it again"),
    ],
)
def test_what_isnt_durable_isnt_done(
    isolation: Isolation, monkeypatch: pytest.MonkeyPatch, withdrawn: bool, reason: str | None, told: str
) -> None:
    outcome = ask(isolation)
    Stuck(isolation, monkeypatch, withdrawn=withdrawn, reason=reason)
    with pytest.raises(LedgerUnavailable, match=told):
        accept(isolation, outcome.call_id)


def test_of_an_answer_that_was_put_right_meanwhile_it_decides_nothing(
    isolation: Isolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller got another one: that came to the log while the review was on its way."""
    outcome = ask(isolation)
    ledger, look_up = isolation._ledger, reviewing._look_up
    assert ledger is not None

    def put_right_then(location: Any, call_id: str) -> Any:
        found = look_up(location, call_id)
        completed = Ticket(ledger._appender.queue, None, 0, 0)  # type: ignore[arg-type] -- its leaf is all that's asked
        completed.leaf = found.answer.leaf
        source = Source("fallback", "rules")
        need = ReviewNeed(True, "always")
        ledger.submit(
            CallAmended(call_id, "rate", "2", completed, "answered", True, source, CallContext(), 1, b"1", need)
        )
        return found

    with monkeypatch.context() as patched:
        patched.setattr(reviewing, "_look_up", put_right_then)
        told = f"call {outcome.call_id}: its answer on record was put right meanwhile, so this review, record 6, is about one"
        with pytest.raises(ConfigurationError, match=told):
            accept(isolation, outcome.call_id)
    with read(isolation.ledger) as reader:
        assert [(each.status, each.answer.source) for each in pending(reader)] == [("pending", "fallback")]
    assert accept(isolation, outcome.call_id) == 7
    with read(isolation.ledger) as reader:
        assert [each.status for each in reviewed(reader)] == ["accepted"]


def test_of_an_answer_that_was_pruned_meanwhile_it_says_so(
    isolation: Isolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = ask(isolation)
    durable = reviewing._durable

    def pruned_before(ledger: Any, record: Any) -> Any:
        acting = Acting(ledger.location, SystemClock(), host="worker-2")
        until = "9999-01-01T00:00:00.000000Z"
        happened(acting, "T-17", event="closed", date="2001-01-01", person="u-7", why="w")
        rules = Retention({"short": RetentionClass("closed", 10)}, default="short")
        prune(acting, until, why="over", person="u-9", retention=rules)
        return durable(ledger, record)

    monkeypatch.setattr(reviewing, "_durable", pruned_before)
    told = f"call {outcome.call_id}: its records were pruned meanwhile, so this review, record 11, is about an answer that's on"
    with pytest.raises(ConfigurationError, match=told):
        accept(isolation, outcome.call_id)
    with read(isolation.ledger) as reader:
        assert [(each.answered, each.answer) for each in history(reader)] == [(False, None)]
    said = CliRunner().invoke(app, ["ledger", "reviews", str(isolation.ledger), "--history"])
    assert "; it's about an answer that was pruned" in said.output


@pytest.mark.parametrize(
    ("away", "told", "recorded"),
    [
        (1, "the review isn't recorded: do it again", False),
        (2, "the review is record 5; look whether its answer is", True),
    ],
)
def test_a_database_that_is_away_is_no_damaged_ledger(
    isolation: Isolation, monkeypatch: pytest.MonkeyPatch, away: int, told: str, recorded: bool
) -> None:
    outcome = ask(isolation)
    times = iter(range(1, 9))

    def lost(location: Any) -> Any:
        if next(times) == away:
            raise LedgerUnreachable("it can't be reached")
        return read(location)

    with monkeypatch.context() as patched:
        patched.setattr(reviewing, "read", lost)
        with pytest.raises(LedgerUnavailable, match=rf"{told}.*\(it can't be reached\)"):
            accept(isolation, outcome.call_id)
    with read(isolation.ledger) as reader:
        assert len(list(reader.records("review.recorded"))) == recorded


def test_a_ledger_that_is_read_only_records_no_review(isolation: Isolation) -> None:
    outcome = ask(isolation)
    ledger = isolation._ledger
    assert ledger is not None
    connection = ledger._appender.store._connection
    assert connection is not None
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(LedgerUnavailable, match=r"can't record the review \(.*readonly"):
        accept(isolation, outcome.call_id)


def test_a_damaged_record_is_told_as_such(isolation: Isolation, tmp_path: Path) -> None:
    outcome = ask(isolation)
    connection = sqlite3.connect(tmp_path / "office.db", isolation_level=None)
    connection.execute("DROP TRIGGER ledger_record_no_update")
    connection.execute("UPDATE ledger_record SET body = CAST('{\"v\":1}' AS BLOB) WHERE type = 'call.completed'")
    connection.close()
    with pytest.raises(LedgerInvalid, match="a record of the call is damaged: run `failsoft verify`"):
        accept(isolation, outcome.call_id)


def test_a_pruned_start_says_nothing_of_who_asked(isolation: Isolation, tmp_path: Path) -> None:
    outcome = ask(isolation)
    connection = sqlite3.connect(tmp_path / "office.db", isolation_level=None)
    connection.execute("UPDATE ledger_record SET body = NULL WHERE type = 'call.started'")
    connection.close()
    accept(isolation, outcome.call_id, person="jdoe")
    assert "own" not in newest(isolation)[1]


def test_a_person_is_one_and_the_same_however_the_name_is_composed(isolation: Isolation) -> None:
    with failsoft.context(actor="Ju\u0308rgen"):
        outcome = isolation[Rate].sync(Item(text="nut"))
    accept(isolation, outcome.call_id, person="J\u00fcrgen")
    assert newest(isolation)[1]["own"] is True


def test_what_is_handed_over_shows_in_no_representation() -> None:
    said = reviewing.Said("review", "mwagner", "canary", "changed", "canary", "canary")
    assert "canary" not in repr(said) + repr(Json("canary"))
