"""`failsoft log` and the group `failsoft ledger`: records, proofs and decisions as people, programs and spreadsheets see them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")

import typer
from typer.testing import Result

import failsoft
from failsoft.cli.app import app
from failsoft.cli.moments import beginning, ending, window, written
from failsoft.cli.sheet import harmless
from failsoft.ledger.reading.affected import COLUMNS
from failsoft.ledger.reading.query import FIELDS
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.verify import verify
from tests.commands import CliRunner
from tests.logs import Log, at, attempt, by, snapshot

FORMULA = '=HYPERLINK("http://example.com","nut")'


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two calls of a case, by two models; one of another, by the fallback; a block with a hostile reason."""
    monkeypatch.chdir(tmp_path)
    log = Log(tmp_path / "x.db")
    said = log.first
    said.configure(snapshot(providers={"gpt": "openai", "claude": "anthropic", "own": "callable"}))
    served = {"model": "m-1-2026", "grade": "provider"}
    first = said.call("c1", 2, attempt(served=served), source=by(), case={"id": "T-17"})
    said.call("c2", 3600, attempt("claude"), source=by("claude"), route=("claude",), case={"id": "T-17"}, answer=b"")
    said.call("c3", 90_000, source={"kind": "fallback", "name": FORMULA}, degraded=True)
    said.tell(
        Kind.BLOCK_CHANGED,
        90_001,
        subject="adapter:gpt",
        blocked=True,
        actor={"id": "jdoe"},
        why="\t@x\n\x1b[31m‮all well",
    )
    said.act(Kind.REVIEW_RECORDED, 90_002, first)
    said.close(90_003)
    log.close()
    return "x.db"


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def rows(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(run(*arguments, "--csv").stdout)))


def told(result: Result) -> str:
    return " ".join(result.output.split())


@pytest.mark.parametrize("command", ["case", "attest", "affected"])
def test_help_has_an_example_and_the_exit_codes(command: str) -> None:
    said = told(run("ledger", command, "--help"))
    assert f"Example: failsoft ledger {command}" in said
    assert "Exit code: 0 " in said
    assert "64 the command line is wrong" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["log", "x.db", "--json", "--csv"], "exclude each other"),
        (["log", "x.db", "--all", "--last", "3"], "exclude each other"),
        (["log", "x.db", "--since", "soon"], "is no moment"),
        (["log", "x.db", "--until", "2026-13-01"], "is no moment"),
        (["log", "x.db", "--source", "robot"], "is none of adapter, fallback, frozen"),
        (["log", "x.db", "--fault", "timeout"], "there is no fault named 'timeout'"),
        (["ledger"], "attest"),
        (["ledger", "attest", "x.db", "--since", "2h"], "--never"),
        (["ledger", "attest", "x.db", "--never", "provider=openai"], "--since"),
        (["ledger", "attest", "x.db", "--never", "openai", "--since", "2h"], "is not provider=NAME"),
        (["ledger", "attest", "x.db", "--never", "provider=", "--since", "2h"], "is not provider=NAME"),
        (["ledger", "attest", "x.db", "--never", "provider=a", "--since", "2h", "--pin", "5"], "is not SIZE:ROOT"),
        (["ledger", "affected", "x.db", "--adapter", "gpt"], "--between"),
        (["ledger", "affected", "x.db", "--adapter", "gpt", "--between", "2h"], "--between"),
        (["ledger", "affected", "x.db", "--adapter", "gpt", "--between", "x", "2h"], "is no moment"),
    ],
)
def test_a_wrong_command_line_is_told(arguments: list[str], problem: str) -> None:
    assert problem in told(run(*arguments, code=64))


class TestMoments:
    @pytest.mark.parametrize(
        ("text", "begins", "ends"),
        [
            ("2026-11-23", "2026-11-23T00:00:00.000000Z", "2026-11-24T00:00:00.000000Z"),
            ("0001-01-01", "0001-01-01T00:00:00.000000Z", "0001-01-02T00:00:00.000000Z"),
            ("2026-11-23T14:00Z", at(0), at(0)),
            ("2026-11-23 14:00:00", at(0), at(0)),
            ("2026-11-23T15:00:01.5+01:00", at(1.5), at(1.5)),
        ],
    )
    def test_are_written_as_in_the_log(self, text: str, begins: str, ends: str) -> None:
        assert (beginning(text), ending(text)) == (begins, ends)

    @pytest.mark.parametrize(("text", "ago"), [("2h", 2 * 3600), ("90m", 5400), ("30d", 30 * 86_400), ("1.5h", 5400)])
    def test_may_be_so_long_ago(self, text: str, ago: int) -> None:
        before = datetime.now(UTC)
        moment = datetime.fromisoformat(beginning(text))
        assert before <= moment + timedelta(seconds=ago) <= datetime.now(UTC)

    @pytest.mark.parametrize("first", ["2026-11-01", "2026-11-01T09:00Z"])
    def test_whose_end_may_be_read_as_a_length_are_refused(self, first: str) -> None:
        for last in ("2h", "0s", "30d"):
            with pytest.raises(
                typer.BadParameter, match=f"'{last}' as an end is .*Z, so long ago, not so long after {first}"
            ):
                window(first, last)

    def test_of_a_window_are_both_moments_or_both_so_long_ago(self) -> None:
        assert window("2026-11-23T14:00Z", "2026-11-23") == (at(0), "2026-11-24T00:00:00.000000Z")
        since, until = (datetime.fromisoformat(each) for each in window("4h", "2h"))
        assert timedelta(hours=2) <= until - since < timedelta(hours=2, minutes=1)
        assert window("30d", "2026-11-23")[1] == "2026-11-24T00:00:00.000000Z"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "h",
            "2",
            "-2h",
            "20261123",
            "2026-W48",
            "2026-11-31",
            "2026-1-2",
            "٢٠٢٦-11-23",
            "2026-11-23T25:00",
            "999999d",
            "999999999999h",
            "0001-01-01T00:00+14:00",
            "9999-12-31T23:59-14:00",
            "2026-11-23\n",
        ],
    )
    def test_that_are_none_are_refused(self, text: str) -> None:
        with pytest.raises(typer.BadParameter, match="is no moment"):
            beginning(text)

    def test_the_last_day_of_all_ends_with_its_last_moment(self) -> None:
        assert ending("9999-12-31") == "9999-12-31T23:59:59.999999Z"
        assert ending("9999-12-30") == "9999-12-31T00:00:00.000000Z"

    def test_are_utc_where_they_say_no_zone_wherever_the_computer_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        try:
            assert beginning("2026-11-23T14:00") == at(0)
        finally:
            monkeypatch.undo()
            time.tzset()

    def test_of_another_zone_are_told_in_utc(self) -> None:
        assert written(datetime.fromisoformat("2026-11-23T09:00:00-05:00")) == at(0)


class TestLog:
    def test_is_narrowed_by_all_that_is_asked(self, ledger: str) -> None:
        assert [each["call_id"] for each in rows("log", ledger, "--source", "adapter:gpt")] == ["c1"]
        assert [each["call_id"] for each in rows("log", ledger, "--served", "m-1*")] == ["c1"]
        assert [each["type"] for each in rows("log", ledger, "--reviewer", "mwagner")] == ["review.recorded"]
        assert rows("log", ledger, "--fault", "refused") == []
        assert len(rows("log", ledger, "--adapter", "gpt", "--kind", "block.changed")) == 1
        days = ("--since", "2026-11-24", "--until", "2026-11-24", "--kind", "call.completed")
        assert [each["call_id"] for each in rows("log", ledger, *days)] == ["c3"]

    def test_shows_twenty_unless_told_otherwise(self, tmp_path: Path) -> None:
        log = Log(tmp_path / "long.db")
        for number in range(30):
            log.first.start(f"c{number}", 5)
        path = str(log.close())
        counts = {
            options: len(run("log", path, *options).stdout.splitlines())
            for options in ((), ("--last", "3"), ("--all",), ("--since", "2026-11-23"), ("--until", "2026-11-23"))
        }
        assert list(counts.values()) == [20, 3, 32, 32, 32]

    def test_as_json_lines_is_each_record_whole(self, ledger: str) -> None:
        lines = [json.loads(each) for each in run("log", ledger, "--all", "--json").stdout.splitlines()]
        assert [each["index"] for each in lines] == list(range(len(lines)))
        assert lines[4]["attempts"][0]["served"]["model"] == "m-1-2026"

    def test_of_a_damaged_ledger_is_a_sentence(self, ledger: str) -> None:
        connection = sqlite3.connect(ledger, isolation_level=None)
        connection.execute("DROP TRIGGER ledger_record_no_update")
        connection.execute("UPDATE ledger_record SET body = ? WHERE seq = 4", (b'{"attempts":5}',))
        connection.close()
        for form in ((), ("--csv",), ("--json",)):
            result = CliRunner().invoke(app, ["log", ledger, "--fault", "refused", *form])
            assert result.exit_code == 1
            assert "failsoft verify" in result.output

    def test_says_of_a_pruned_record_that_it_is(self, ledger: str) -> None:
        connection = sqlite3.connect(ledger, isolation_level=None)
        connection.execute("UPDATE ledger_record SET body = NULL WHERE seq = 4")
        connection.close()
        assert re.search(r"^ +4  call\.completed +pruned$", run("log", ledger).stdout, re.MULTILINE)


def test_a_line_names_the_case_and_whoever_had_a_part(tmp_path: Path) -> None:
    log = Log(tmp_path / "y.db")
    log.first.tell(Kind.EXPORT_CREATED, 2, recipient="IG", person="ed", why="audit 7", manifest_sha256="00" * 32)
    log.first.tell(Kind.PAYLOAD_ERASED, 3, case={"id": "T-1"}, basis="GDPR 17", person="eva", approved_by="mfrank")
    log.first.tell(Kind.CASE_EVENT, 4, case={"id": "T-1"}, event="closed", date="2026-11-01", person="cy", why="memo")
    log.first.tell(Kind.LEGAL_HOLD_SET, 5, case={"id": "T-2"}, person="hal", why="claim")
    log.close()
    lines = [" ".join(each.split()[2:]) for each in run("log", "y.db").stdout.splitlines()[2:]]
    assert lines == [
        "export.created given out to IG by ed audit 7",
        "payload.erased T-1 erased by eva, approved by mfrank GDPR 17",
        "case.event T-1 told by cy memo closed 2026-11-01",
        "legal_hold.set T-2 held by hal claim",
    ]


class TestCase:
    def test_shows_its_records_and_those_of_its_calls(self, ledger: str) -> None:
        assert [each["index"] for each in rows("ledger", "case", ledger, "T-17")] == ["3", "4", "5", "6", "10"]
        assert [each["index"] for each in rows("ledger", "case", ledger, "T-17", "--source", "adapter:claude")] == ["6"]
        assert len(run("ledger", "case", ledger, "T-17").stdout.splitlines()) == 5

    @pytest.mark.parametrize("form", [(), ("--csv",), ("--json",)])
    def test_of_one_that_no_record_is_of_is_an_error(self, ledger: str, form: tuple[str, ...]) -> None:
        result = run("ledger", "case", ledger, "T-18", "--since", "2026-11-20", *form, code=1)
        assert "x.db: no record of a case T-18" in told(result)
        assert "pruned" not in told(result)
        assert (result.stdout == "") is (form != ("--json",))

    def test_may_have_been_pruned(self, ledger: str) -> None:
        log = Log(Path("z.db"))
        log.first.tell(Kind.RECORD_PRUNED, 5, first=2, last=3)
        log.close()
        said = told(run("ledger", "case", "z.db", "T-18", code=1))
        assert "no record of a case T-18, and records of calls were pruned from this log" in said

    @pytest.mark.parametrize(
        "command", [("log", "x.db", "--case", "T-18"), ("ledger", "case", "x.db", "T-17", "--until", "2026-01-01")]
    )
    def test_where_no_record_matches_people_are_told(self, command: tuple[str, ...]) -> None:
        result = run(*command)
        assert (result.stdout, result.stderr) == ("", "no record matches\n")
        assert run(*command, "--json").output == ""
        assert len(run(*command, "--csv").output.splitlines()) == 1


class TestCsv:
    def test_has_the_documented_columns(self, ledger: str) -> None:
        assert run("log", ledger, "--csv").stdout.splitlines()[0] == ",".join(f'"{each}"' for each in FIELDS)

    def test_holds_no_formula_and_no_control_character(self, ledger: str) -> None:
        text = run("log", ledger, "--all", "--csv").stdout
        assert all(char == "\n" or char.isprintable() for char in text)
        found = list(csv.DictReader(io.StringIO(text)))
        assert len(found) == len(text.splitlines()) - 1
        assert found[8]["answered_by"] == "'" + FORMULA
        assert found[9]["said"] == "'\\u0009@x\\u000a\\u001b[31m\\u202eall well"
        assert found[4]["degraded"] == "false"

    def test_tells_nothing_that_runs_in_the_columns_of_what_people_did(self, tmp_path: Path) -> None:
        log, bad = Log(tmp_path / "y.db"), "=1+1\n\x1b[31m"
        log.first.tell(Kind.EXPORT_CREATED, 2, recipient=bad, person=bad, why=bad, manifest_sha256="00" * 32)
        log.first.tell(Kind.PAYLOAD_ERASED, 3, case={"id": bad}, basis=bad, person="eva", approved_by=bad)
        log.first.tell(Kind.BREAKER_CHANGED, 4, adapter="gpt", layer="health", began=bad, to=bad, reason="x")
        log.first.tell(Kind.CASE_EVENT, 5, case={"id": "T-1"}, event=bad, date=bad, person="cy", why="voucher")
        log.close()
        found = rows("log", "y.db", "--all")[2:]
        safe = "'=1+1\\u000a\\u001b[31m"
        assert (found[0]["recipient"], found[0]["actor"], found[0]["said"]) == (safe, safe, safe)
        assert (found[1]["case"], found[1]["said"], found[1]["approved_by"]) == (safe, safe, safe)
        assert (found[2]["from"], found[2]["to"]) == (safe, safe)
        assert (found[3]["event"], found[3]["date"]) == (safe, safe)
        text = run("log", "y.db", "--all").stdout
        assert all(char == "\n" or char.isprintable() for char in text)
        assert len(text.splitlines()) == 6

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\xa0=", "＝", " ＠", "\t ="])
    def test_neutralises_what_a_spreadsheet_would_run(self, start: str) -> None:
        assert harmless(f"{start}1+1").startswith("'")

    @pytest.mark.parametrize(
        ("value", "cell"), [("a=1", "a=1"), ("", ""), (-5, "-5"), (True, "true"), ("5", "5"), (" ", " ")]
    )
    def test_leaves_everything_else(self, value: Any, cell: str) -> None:
        assert harmless(value) == cell

    @pytest.mark.parametrize(
        ("value", "cell"),
        [
            ("a;=1+1;b", "a;'=1+1;b"),
            (";-1;;@x", ";'-1;;'@x"),
            ("a; +1", "a;' +1"),
            ('a;"=1"', 'a;\'"=1"'),
            ("a;＝1", "a;'＝1"),
            ("a;\t=1", "a;\\u0009=1"),
            ("a;'=1", "a;'=1"),
            ("a;\xa0=1", "a;\\u00a0=1"),
            ("a; b; c=1;", "a; b; c=1;"),
        ],
    )
    def test_neutralises_it_after_a_semicolon_too(self, value: str, cell: str) -> None:
        assert harmless(value) == cell
        (read,) = csv.reader([f'"1","{cell.replace(chr(34), 2 * chr(34))}"'], delimiter=";")
        assert not any(each.lstrip().startswith(("=", "+", "-", "@", "＝")) for each in read)

    def test_whose_reader_has_gone_changes_no_exit_code(self, ledger: str) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as closed:
            command = [sys.executable, "-m", "failsoft", "log", ledger, "--csv"]
            environment = {**os.environ, "PYTHONPATH": str(Path(failsoft.__file__).parents[1])}
            assert subprocess.run(command, stdout=closed, env=environment, check=False).returncode == 0


class TestAttest:
    SINCE = ("--since", "2026-11-23T14:00Z")

    def test_says_that_none_went_there_and_what_that_rests_on(self, ledger: str) -> None:
        said = told(run("ledger", "attest", ledger, "--never", "provider=mistral", *self.SINCE))
        assert f"attested: no call was sent to mistral from {at(0)} to the last record" in said
        assert "3 calls in that time, with 2 attempts: 1 to anthropic, 1 to openai" in said
        assert "what it can't show: - what was asked by other means than failsoft" in said
        assert "what stands against it" not in said
        assert "what was noted" not in said

    def test_says_apart_what_verification_noted(self, tmp_path: Path) -> None:
        log = Log(tmp_path / "back.db")
        log.first.configure()
        log.first.close(0)
        log.close()
        lines = run("ledger", "attest", "back.db", "--never", "provider=mistral", *self.SINCE).stdout.splitlines()
        assert lines[-2] == "what was noted as the ledger was verified:"
        assert lines[-1].startswith("  - 1 times a record's time is a second or more before")

    def test_names_what_went_there(self, ledger: str) -> None:
        said = told(run("ledger", "attest", ledger, "--never", "provider=openai", *self.SINCE, code=1))
        assert f"not so: 1 attempts went to openai from {at(0)} to the last record" in said
        assert f"record 4 {at(2.1)} call c1: adapter gpt (the adapter is configured for it)" in said

    def test_says_why_it_cant_be_told(self, ledger: str) -> None:
        said = told(
            run(
                "ledger",
                "attest",
                ledger,
                "--never",
                "provider=x",
                "--since",
                "2026-11-20",
                "--until",
                "2026-11-23",
                code=2,
            )
        )
        assert (
            "can't be attested: whether a call was sent to x from 2026-11-20T00:00:00.000000Z until 2026-11-24" in said
        )
        assert f"the log begins at {at(0)}" in said

    def test_for_programs(self, ledger: str) -> None:
        pin = verify(Path(ledger))
        asked = ("--never", "provider=openai", *self.SINCE, "--pin", f"{pin.size}:{pin.root}", "--json")
        found = json.loads(run("ledger", "attest", ledger, *asked, code=1).stdout)
        assert (found["exit_code"], found["attempts"], found["size"]) == (1, {"anthropic": 1, "openai": 1}, pin.size)
        assert found["sent"][0]["call_id"] == "c1"

    @pytest.mark.parametrize("form", [(), ("--json",)])
    def test_of_what_is_no_ledger_is_a_sentence(self, tmp_path: Path, form: tuple[str, ...]) -> None:
        (tmp_path / "not.db").write_text("precious " * 2000)
        for name in ("not.db", "nowhere.db"):
            said = told(run("ledger", "attest", name, "--never", "provider=openai", *self.SINCE, *form, code=2))
            assert name in said

    def test_of_a_hostile_one_is_a_sentence(self, tmp_path: Path) -> None:
        log = Log(tmp_path / "odd.db")
        log.first.call("c1", 2, attempts="all")
        log.close()
        said = told(run("ledger", "attest", "odd.db", "--never", "provider=openai", *self.SINCE, code=2))
        assert "a record's parts aren't where failsoft writes them" in said

    def test_a_time_that_is_turned_round_or_to_come_is_refused(self, ledger: str) -> None:
        asked = ("ledger", "attest", ledger, "--never", "provider=openai")
        said = told(run(*asked, "--since", "2026-11-24", "--until", "2026-11-22", code=64))
        assert "isn't after the beginning" in said
        assert "is still to come" in told(run(*asked, "--since", "2226-11-24", code=64))

    def test_counts_what_it_doesnt_name_and_says_what_failed(self, tmp_path: Path) -> None:
        log = Log(tmp_path / "many.db")
        log.first.configure()
        for number in range(11):
            tries = [attempt(n=n, fault="rate_limited", endpoint="https://api.openai.com/v1") for n in range(1, 11)]
            log.first.call(f"c{number}", 2, *tries)
        log.close()
        said = told(run("ledger", "attest", "many.db", "--never", "provider=openai", *self.SINCE, code=1))
        assert "adapter gpt at api.openai.com, and failed: rate_limited (" in said
        assert "and 10 more what" in said


class TestAffected:
    WHEN = ("--between", "2026-11-23", "2026-11-24")

    def test_lists_the_decisions_of_that_time(self, ledger: str) -> None:
        said = told(run("ledger", "affected", ledger, "--adapter", "gpt", *self.WHEN))
        assert f"4 {at(2.1)} c1 rate for case T-17 (m-1-2026) answered: 5 reviewed by mwagner" in said
        assert "1 decisions by gpt from 2026-11-23T00:00:00.000000Z until 2026-11-25T00:00:00.000000Z" in said
        said = told(run("ledger", "affected", ledger, "--adapter", "claude", *self.WHEN))
        assert "(m-1, as asked) answered: its answer isn't kept" in said

    def test_as_csv_and_for_programs(self, ledger: str) -> None:
        (row,) = rows("ledger", "affected", ledger, "--adapter", "gpt", *self.WHEN, "--served", "m-1*")
        assert list(row) == list(COLUMNS)
        assert (row["answer"], row["kept"], row["case"]) == ("5", "true", "T-17")
        said = run("ledger", "affected", ledger, "--adapter", "gpt", *self.WHEN, "--json").stdout
        assert json.loads(said)["kept"] is True
        assert rows("ledger", "affected", ledger, "--adapter", "gpt", *self.WHEN, "--served", "m-2") == []

    def test_says_what_may_be_missing(self, tmp_path: Path) -> None:
        log = Log(tmp_path / "gap.db")
        log.first.tell(Kind.GAP_DECLARED, 5, count=7, reason="queue_full")
        log.close()
        said = told(run("ledger", "affected", "gap.db", "--adapter", "gpt", *self.WHEN, code=2))
        assert "0 decisions by gpt" in said
        assert "some may be missing here: up to 7 calls have records that were never written" in said
        for form in ("--csv", "--json"):
            done = run("ledger", "affected", "gap.db", "--adapter", "gpt", *self.WHEN, form, code=2)
            assert "up to 7 calls have records that were never written" in done.stderr
            assert "7 calls" not in done.stdout

    @pytest.mark.parametrize("count", [-7, 0, "many", True])
    def test_a_gap_that_is_no_number_of_calls_hides_no_other(self, tmp_path: Path, count: Any) -> None:
        log = Log(tmp_path / "gap.db")
        log.first.tell(Kind.GAP_DECLARED, 5, count=7, reason="queue_full")
        log.first.tell(Kind.GAP_DECLARED, 6, count=count, reason="queue_full")
        log.close()
        said = told(run("ledger", "affected", "gap.db", "--adapter", "gpt", *self.WHEN, code=1))
        assert "a record is damaged: run `failsoft verify` on it" in said

    def test_of_a_time_turned_round_or_an_adapter_that_is_none_nothing_is_listed(self, tmp_path: Path) -> None:
        log = Log(tmp_path / "heard.db")
        log.first.tell(Kind.CONFIG_ACTIVATED, 2, config_sha256="00" * 32, adapters=[{"name": "gpt"}])
        log.close()
        turned = ("--between", "2026-11-24", "2026-11-22")
        assert "isn't after" in told(run("ledger", "affected", "heard.db", "--adapter", "gpt", *turned, code=64))
        mixed = ("--between", "2026-11-23T14:00Z", "2h")
        refused = told(run("ledger", "affected", "heard.db", "--adapter", "gpt", *mixed, code=64))
        assert "not so long after 2026-11-23T14:00Z" in refused.replace("│ ", "")
        said = told(run("ledger", "affected", "heard.db", "--adapter", "gtp", *self.WHEN, code=1))
        assert "no adapter named 'gtp' was ever configured here" in said

    def test_a_swapped_payload_is_a_sentence(self, ledger: str) -> None:
        connection = sqlite3.connect(ledger, isolation_level=None)
        connection.execute("DROP TRIGGER ledger_payload_no_update")
        connection.execute("UPDATE ledger_payload SET data = x'00'")
        connection.close()
        assert "failsoft verify" in told(run("ledger", "affected", ledger, "--adapter", "gpt", *self.WHEN, code=1))
