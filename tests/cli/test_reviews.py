"""`failsoft review`, `appeal` and `ledger reviews`: what people decide, and what waits for them."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("typer")

import typer
from typer.testing import Result

from failsoft.cli import telling
from failsoft.cli.app import app
from failsoft.cli.moments import ago, written
from failsoft.core.evidence import PayloadErased
from failsoft.io.clock import SystemClock
from failsoft.ledger.location import locate
from failsoft.ledger.read import read
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.reviews import COLUMNS, HISTORY
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.writer import StoredLedger
from tests.commands import CliRunner
from tests.lockfile.shop import importable
from tests.logs import Log, at, by

UNKNOWN = "01a228d3-c351-72a9-92f5-05c3f6ca4cd9"
REQUIRED = {"required": True, "policy": "always", "status": "pending"}

MODULE = '''
from pydantic import BaseModel, field_validator
from failsoft import Capability, Referral, Required

class Item(BaseModel):
    description: str

class Rating(BaseModel):
    stars: int

    @field_validator("stars")
    @classmethod
    def _known(cls, stars: int) -> int:
        return {-1: {}}.get(stars, {stars: stars})[stars]

class RateItem(Capability[Item, Rating | Referral]):
    """How many stars?"""
    review = Required()
    def fallback(self, request: Item) -> Rating | Referral:
        return Referral(reason="unsure")
'''
CONFIG = """
[ledger]
url = "sqlite:///app.db"
[capabilities.rate-item]
class = "office_of_reviews:RateItem"
"""


def run(*arguments: str, code: int = 0, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(app, arguments, input=stdin)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def told(result: Result) -> str:
    return " ".join(result.output.split())


# --- putting it on record


@pytest.fixture
def call_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A call whose answer waits, made by the application in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "office_of_reviews.py").write_text(MODULE)
    (tmp_path / "failsoft.toml").write_text(CONFIG)
    with importable(tmp_path):
        made = json.loads(run("call", "rate-item", '{"description": "nut"}', "--json").stdout)
        assert made["review"] == "pending"
        yield made["call_id"]


def decided(call_id: str) -> dict[str, Any]:
    with read("app.db") as reader:
        (entry,) = reader.records(("review.recorded", "override.recorded", "appeal.recorded"), call_id=call_id, last=1)
        payloads = {each["path"]: (reader.payload(each["digest"]) or "")[2] for each in entry.fields["commitments"]}
        return {**entry.fields, **payloads}


WHO = ("--person", "mwagner", "--reason", "drawing compared")


def test_a_review_is_recorded(call_id: str) -> None:
    result = run("review", call_id, "--decision", "accepted", *WHO, "--seconds", "90")
    said = decided(call_id)
    assert (said["type"], said["decision"], said["person"]) == ("review.recorded", "accepted", "mwagner")
    assert (said["reason"], said["spent_ms"]) == (b"drawing compared", 90_000)
    assert told(result).startswith(f"call {call_id}: accepted by mwagner; record ")
    assert told(run("ledger", "reviews", "app.db")) == "0 pending"
    assert verify("app.db").exit_code == 0


@pytest.mark.usefixtures("call_id")
def test_whoever_makes_a_call_is_told_that_its_answer_waits() -> None:
    assert "it waits for a person: failsoft review" in told(run("call", "rate-item", '{"description": "nut"}'))


def test_for_programs(call_id: str) -> None:
    found = json.loads(run("review", call_id, "--decision", "rejected", *WHO, "--json").stdout)
    with read("app.db") as reader:
        assert reader.record(found["record"]).kind == "review.recorded"
    assert (found["ok"], found["call_id"]) == (True, call_id)


def test_of_an_answer_that_was_erased_it_is_said_that_nobody_can_look_at_it(tmp_path: Path, call_id: str) -> None:
    erased = "its answer was erased: nobody can look at it any more"
    gone = (
        "its answer isn't kept: nobody can look at it any more, and nothing on record says why: run `failsoft verify`"
    )
    with read("app.db") as reader:
        (digest,) = (
            each["digest"]
            for each in next(reader.records("call.completed", call_id=call_id)).fields["commitments"]
            if each["path"] == "response"
        )
    assert "its answer" not in told(run("appeal", call_id, "--person", "vendor", "--reason", "it's newer"))
    assert json.loads(run("review", call_id, "--decision", "accepted", *WHO, "--json").stdout)["lost"] == ""
    with sqlite3.connect("app.db", isolation_level=None) as connection:
        connection.execute("DELETE FROM ledger_payload")
    connection.close()
    assert gone in told(run("appeal", call_id, "--person", "vendor", "--reason", "it's newer"))
    ledger = StoredLedger(locate("app.db"), clock=SystemClock())
    ledger.open()
    ledger.submit(PayloadErased(None, (), (digest,), "GDPR 17", "d.p.o."))
    ledger.close()
    assert erased in told(run("review", call_id, "--decision", "accepted", *WHO))
    assert json.loads(run("review", call_id, "--decision", "accepted", *WHO, "--json").stdout)["lost"] == "was erased"


@pytest.mark.parametrize(("changed", "stdin"), [('{"stars": 3}', None), ("-", '{"stars": 3}')])
def test_a_new_value_is_json(call_id: str, changed: str, stdin: str | None) -> None:
    run("review", call_id, "--decision", "changed", "--changed", changed, *WHO, stdin=stdin)
    assert decided(call_id)["changed"] == b'{"stars":3}'


@pytest.mark.parametrize(
    ("stdin", "problem"),
    [
        (None, "standard input can't be read (it's closed)"),
        (io.BytesIO(b'{"stars": "\xff"}'), "--changed: Invalid JSON"),
        (io.BytesIO(b"[" * (1 + (16 << 20))), "standard input holds more than 16,777,216 bytes"),
    ],
)
def test_a_new_value_that_cant_be_read_is_told(
    call_id: str, monkeypatch: pytest.MonkeyPatch, stdin: io.BytesIO | None, problem: str
) -> None:
    monkeypatch.setattr(telling, "sys", SimpleNamespace(stdin=stdin and SimpleNamespace(buffer=stdin)))
    assert problem in told(run("review", call_id, "--decision", "changed", "--changed", "-", *WHO, code=1))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ('{"stars": "many"}', "--changed: Rating.stars: Input should be a valid integer"),
        ("{", "--changed: Invalid JSON"),
        ('{"stars": -1}', "changed: it can't be checked and written as JSON: KeyError: -1"),
    ],
)
def test_a_new_value_that_doesnt_fit_is_told(call_id: str, changed: str, problem: str) -> None:
    assert problem in told(run("review", call_id, "--decision", "changed", "--changed", changed, *WHO, code=1))
    again = run("review", call_id, "--decision", "changed", "--changed", changed, *WHO, "--json", code=1)
    assert json.loads(again.stdout)["ok"] is False


def test_an_override_and_an_appeal(call_id: str) -> None:
    run("review", call_id, "--decision", "accepted", *WHO)
    asked = run("appeal", call_id, "--person", "vendor", "--reason", "it's newer")
    assert told(asked).startswith(f"call {call_id}: pending again, asked by vendor; record ")
    assert decided(call_id)["type"] == "appeal.recorded"
    assert f"{call_id} rate-item referred:" in told(run("ledger", "reviews", "app.db"))
    made = run("review", call_id, "--decision", "rejected", "--person", "boss", "--reason", "so", "--override")
    assert "rejected by boss, as an override" in told(made)
    assert decided(call_id)["type"] == "override.recorded"
    assert "person" in told(run("appeal", call_id, "--person", "", "--reason", "x", code=1))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("review", UNKNOWN, "--decision", "accepted", *WHO), f"there's no call {UNKNOWN} in"),
        (("review", "17", "--decision", "accepted", *WHO), "is no call's identifier"),
        (("review", UNKNOWN, "--decision", "accepted", "--person", " \n", "--reason", ""), "reason: say one"),
        (("review", UNKNOWN, "--decision", "changed", *WHO), "changed: a new value goes with"),
        (("review", UNKNOWN, "--decision", "accepted", *WHO, "--seconds", "nan"), "seconds: nan"),
        (("review", UNKNOWN, "--decision", "accepted", *WHO, "-c", "none.toml"), "none.toml"),
    ],
)
@pytest.mark.usefixtures("call_id")
def test_what_cant_be_done_is_told(arguments: tuple[str, ...], problem: str) -> None:
    assert problem in told(run(*arguments, code=1))


@pytest.mark.parametrize(
    "arguments",
    [
        ("review", UNKNOWN, "--decision", "fine", *WHO),
        ("review", UNKNOWN, "--decision", "accepted", "--person", "x"),
        ("review", "--decision", "accepted", *WHO),
        ("appeal", UNKNOWN, "--person", "x"),
        ("ledger", "reviews", "x.db", "--csv", "--json"),
        ("ledger", "reviews", "x.db", "--fail-older-than", "2026-11-01"),
        ("ledger", "reviews", "x.db", "--fail-older-than", "soon"),
        ("ledger", "reviews", "x.db", "--since", "1d", "--until", "2d"),
    ],
)
@pytest.mark.usefixtures("call_id")
def test_a_wrong_command_line_is_told_apart(arguments: tuple[str, ...]) -> None:
    run(*arguments, code=64)


def test_a_ledger_that_cant_be_used_is_no_place_for_a_review(call_id: str) -> None:
    Path("app.db").write_bytes(b"not a ledger" * 100)
    for path in Path().glob("app.db-*"):
        path.unlink()
    assert "app.db" in told(run("review", call_id, "--decision", "accepted", *WHO, code=1))


def test_a_stale_lock_keeps_nobody_from_it(call_id: str) -> None:
    config = Path("failsoft.toml")
    config.write_text("locked = true\n" + config.read_text())
    run("call", "rate-item", '{"description": "nut"}', code=1)
    run("review", call_id, "--decision", "accepted", *WHO)
    run("appeal", call_id, "--person", "vendor", "--reason", "x")
    with read("app.db") as reader:
        configured = [each.fields.get("purpose") for each in reader.records(kind="config.activated")]
    assert configured == [None, "acts", "acts"]


def test_the_log_shows_who_decided_what(call_id: str) -> None:
    run("review", call_id, "--decision", "accepted", *WHO)
    said = told(run("log", "app.db", "--all"))
    assert "referred by fallback office_of_reviews:RateItem to be reviewed (always)" in said
    assert "review.recorded rate-item accepted by mwagner" in said
    (row,) = csv.DictReader(io.StringIO(run("log", "app.db", "--reviewer", "mwagner", "--csv").stdout))
    assert (row["reviewer"], row["decision"], row["said"]) == ("mwagner", "accepted", "")
    shown = [json.loads(line) for line in run("show", "app.db", call_id).stdout.splitlines()]
    assert shown[-1]["payloads"] == {"reason": "drawing compared"}


# --- what waits


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Four answers: one waits, one was accepted by its own actor, one was appealed against, one isn't kept."""
    monkeypatch.chdir(tmp_path)
    log = Log(tmp_path / "x.db")
    said = log.first
    said.call("c1", 2, source=by(), review=REQUIRED, case={"id": "T-17"}, answer=b'"=1+1"')
    second = said.call("c2", 3600, source=by(), review=REQUIRED, case={"id": "T-17"})
    third = said.call("c3", 7200, source=by(), capability={"name": "grade"})
    said.call("c4", 90_000, source=by(), review=REQUIRED, answer=b"")
    said.act(Kind.REVIEW_RECORDED, 90_002, second, own=True)
    said.act(Kind.APPEAL_RECORDED, 90_003, third, person="vendor")
    said.close(90_004)
    log.close()
    return "x.db"


def rows(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(run("ledger", "reviews", *arguments, "--csv").stdout)))


def test_what_waits_is_listed_longest_first(ledger: str) -> None:
    lines = [" ".join(each.split()) for each in run("ledger", "reviews", ledger).stdout.splitlines()]
    assert lines == [
        f'3 c1 rate for case T-17 answered: "=1+1" pending since {at(2.1)}',
        f"9 c4 rate answered: its answer isn't kept pending since {at(90_000.1)}",
        f"7 c3 grade answered: 5 pending since {at(90_003)} (appeal by vendor)",
        "3 pending",
    ]


def test_with_all_those_decided_too(ledger: str) -> None:
    said = told(run("ledger", "reviews", ledger, "--all"))
    assert (
        f"5 c2 rate for case T-17 answered: 5 accepted by mwagner, the call's own actor, or the one on whose behalf it was made (review) at {at(90_002)}"
        in said
    )
    assert said.endswith("3 pending, 1 decided")
    assert [each["call_id"] for each in rows(ledger, "--all")] == ["c1", "c2", "c4", "c3"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--case", "T-17"), ["c1"]),
        (("--case", "T-17", "--all"), ["c1", "c2"]),
        (("--capability", "grade"), ["c3"]),
        (("--since", "2026-11-24"), ["c4"]),
        (("--until", "2026-11-23"), ["c1", "c3"]),
        (("--since", "2026-11-23T14:30Z", "--until", "2026-11-23T15:30Z", "--all"), ["c2"]),
        (("--case", "none"), []),
    ],
)
def test_the_list_is_of_what_is_asked_for(ledger: str, arguments: tuple[str, ...], found: list[str]) -> None:
    assert [each["call_id"] for each in rows(ledger, *arguments)] == found


def test_a_table_that_no_spreadsheet_runs(ledger: str) -> None:
    found = rows(ledger)
    assert list(found[0]) == list(COLUMNS)
    assert found[0]["answer"] == '"=1+1"'  # JSON's own quote comes first: no formula
    assert (found[1]["kept"], found[2]["act"], found[2]["own"]) == ("false", "appeal", "false")


def test_one_document_a_line(ledger: str) -> None:
    found = [json.loads(line) for line in run("ledger", "reviews", ledger, "--json").stdout.splitlines()]
    assert [each["call_id"] for each in found] == ["c1", "c4", "c3"]
    assert set(found[0]) == set(COLUMNS)


# --- what persons did


@pytest.fixture
def appealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An answer that its own actor accepted, a vendor appealed against, and the boss changed; one nobody reviewed."""
    monkeypatch.chdir(tmp_path)
    log = Log(tmp_path / "x.db")
    said = log.first
    end = said.call("c1", 2, source=by(), review=REQUIRED, case={"id": "T-17"})
    said.call("c2", 3, source=by(), review=REQUIRED)
    said.act(Kind.REVIEW_RECORDED, 4, end, own=True, case={"id": "T-17"})
    said.act(Kind.APPEAL_RECORDED, 5, end, person="=vendor\x1b[31m", case={"id": "T-17"})
    said.act(Kind.OVERRIDE_RECORDED, 6, end, person="boss", decision="changed")
    said.act(Kind.REVIEW_RECORDED, 7, end, person="lost", refs={"completed": "00" * 32})
    said.close(8)
    log.close()
    return "x.db"


def test_the_history_has_a_line_for_each_act(appealed: str) -> None:
    lines = [" ".join(each.split()) for each in run("ledger", "reviews", appealed, "--history").stdout.splitlines()]
    assert lines == [
        f"6 {at(4)} c1 rate for case T-17 review by mwagner, the call's own actor, or the one on whose behalf it was made: accepted (looked at)",
        f"7 {at(5)} c1 rate for case T-17 appeal by =vendor\\u001b[31m (looked at)",
        f"8 {at(6)} c1 rate override by boss: changed to 3 (looked at)",
        f"9 {at(7)} c1 rate review by lost: accepted (looked at); it's not about what the caller got, and decides nothing",
        "4 recorded",
    ]


def test_the_history_is_a_table_that_no_spreadsheet_runs(appealed: str) -> None:
    found = rows(appealed, "--history")
    assert list(found[0]) == list(HISTORY)
    told = [(each["act"], each["person"], each["decision"], each["reason"], each["about"]) for each in found]
    assert told == [
        ("review", "mwagner", "accepted", "looked at", "3"),
        ("appeal", "'=vendor\\u001b[31m", "", "looked at", "3"),
        ("override", "boss", "changed", "looked at", "3"),
        ("review", "lost", "accepted", "looked at", ""),
    ]


def test_the_history_is_a_document_a_line(appealed: str) -> None:
    found = [json.loads(line) for line in run("ledger", "reviews", appealed, "--history", "--json").stdout.splitlines()]
    assert all(list(each) == list(HISTORY) for each in found)
    assert [(each["act"], each["own"], each["changed"]) for each in found] == [
        ("review", True, ""),
        ("appeal", False, ""),
        ("override", False, "3"),
        ("review", False, ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--case", "T-17"), ["6", "7", "8", "9"]),
        (("--case", "none"), []),
        (("--capability", "rate"), ["6", "7", "8", "9"]),
        (("--since", "2026-11-23T14:00:05Z", "--until", "2026-11-23T14:00:06Z"), ["7"]),
    ],
)
def test_the_history_is_of_what_is_asked_for(appealed: str, arguments: tuple[str, ...], found: list[str]) -> None:
    assert [each["index"] for each in rows(appealed, "--history", *arguments)] == found


def test_a_history_without_reasons_says_so(appealed: str) -> None:
    connection = sqlite3.connect(appealed, isolation_level=None)
    connection.executescript("DROP TRIGGER IF EXISTS ledger_payload_no_delete; DELETE FROM ledger_payload")
    connection.close()
    said = told(run("ledger", "reviews", appealed, "--history"))
    assert "override by boss: changed (its reason isn't kept)" in said


@pytest.mark.parametrize("more", [("--all",), ("--fail-older-than", "2d"), ("--json", "--csv")])
def test_a_history_is_of_all_acts(appealed: str, more: tuple[str, ...]) -> None:
    run("ledger", "reviews", appealed, "--history", *more, code=64)


# --- what waits too long


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",), ("--all",)])
def test_what_waits_too_long_fails(ledger: str, form: tuple[str, ...]) -> None:
    since = datetime.now(UTC) - datetime.fromisoformat(at(2.1))
    assert "c1" in run("ledger", "reviews", ledger, "--fail-older-than", f"{max(0, since.days)}d", *form, code=1).output
    run("ledger", "reviews", ledger, "--fail-older-than", f"{since.days + 2}d", *form)


def test_what_was_decided_or_isnt_asked_for_doesnt_fail(ledger: str) -> None:
    run("ledger", "reviews", ledger, "--fail-older-than", "0s", "--case", "none")
    run("ledger", "reviews", ledger, "--fail-older-than", "0s", "--all", "--since", at(3600), "--until", at(3700))


def test_how_long_ago() -> None:
    now = datetime.now(UTC)
    assert (
        written(now - timedelta(days=2, minutes=1))
        < ago("2d")
        < written(now - timedelta(days=2) + timedelta(minutes=1))
    )
    with pytest.raises(typer.BadParameter, match="is no duration"):
        ago("2026-11-01T09:30Z")


def test_a_damaged_ledger_is_told(ledger: str) -> None:
    connection = sqlite3.connect(ledger, isolation_level=None)
    connection.execute("DROP TRIGGER ledger_record_no_update")
    connection.execute("UPDATE ledger_record SET body = CAST('{\"required\":true}' AS BLOB) WHERE seq IN (3, 10)")
    connection.close()
    for more in ((), ("--all",), ("--history",)):
        assert "damaged" in told(run("ledger", "reviews", ledger, *more, code=1))
    assert "there is no such file" in told(run("ledger", "reviews", "none.db", code=1))


@pytest.mark.parametrize("command", [("review",), ("appeal",), ("ledger", "reviews")])
def test_help_has_an_example_and_the_exit_codes(command: tuple[str, ...]) -> None:
    said = told(run(*command, "--help"))
    assert f"Example: failsoft {' '.join(command)}" in said
    assert "Exit code: 0 " in said
