"""`failsoft ledger erase`, `prune`, `hold`, `event`, `copy` and `prepare`, as whoever keeps a ledger types them."""

from __future__ import annotations

import getpass
import io
import json
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")
pytest.importorskip("cryptography")

from rich.console import Console
from rich.progress import Progress, TaskID
from typer.testing import Result

import failsoft
from failsoft import Ask, Capability, Isolation, Required
from failsoft.cli import keeping
from failsoft.cli.app import app
from failsoft.context import Case
from failsoft.ledger.acts import copying
from failsoft.ledger.location import locate
from failsoft.ledger.read import read
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.verify import verify
from tests.commands import CliRunner
from tests.postgres_server import PostgresServer

CONFIG = """
[ledger]
url = "sqlite:///x.db"
payload_key = { file = "payload.key" }

[retention]
default = "house"

[retention.classes.goods]
after = "delivered"
keep_days = 400

[retention.classes.house]
after = "closed"
keep_days = 400
"""
SCHEMAS = (f"kept_{number}" for number in count())
WHY = ("--why", "letter of 2026-11-02")


class Rate(Capability[str, int]):
    """Rate."""

    def fallback(self, request: str) -> int:
        return len(request)


class Reviewed(Capability[str, int]):
    """Rate, and have it looked at."""

    review = Required()

    def fallback(self, request: str) -> int:
        return len(request)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["ledger", *arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def lines(*arguments: str, code: int = 0) -> list[str]:
    return run(*arguments, code=code).output.splitlines()


def told(result: Result) -> str:
    return " ".join(result.output.split())


def last(kind: Kind) -> dict[str, Any]:
    with read("x.db") as reader:
        return [each.fields for each in reader.records(kind)][-1]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two calls of a case, one of another; payloads under keys."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failsoft.toml").write_text(CONFIG)
    assert CliRunner().invoke(app, ["keys", "new", "payload.key", "--payload"]).exit_code == 0
    with Isolation.from_file("failsoft.toml", capabilities=[Rate]) as isolation:
        for case in ("T-17", "T-17", "T-18"):
            with failsoft.context(case=Case(case, "letter")):
                isolation[Rate].sync("a bolt")
    return tmp_path


def test_the_applications_own_keys_are_taken_out_of_reasons(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_KEY", "a-key-that-looks-like-none")
    adapter = '[adapters.gpt]\nprovider = "openai"\nmodel = "gpt-4.1"\napi_key = { env = "OWN_KEY" }\n'
    (folder / "failsoft.toml").write_text(f"{CONFIG}\n{adapter}")
    run("hold", "--case", "T-17", "--why", "a-key-that-looks-like-none was seen")
    assert last(Kind.LEGAL_HOLD_SET)["why"] == "[redacted: own-key] was seen"
    monkeypatch.delenv("OWN_KEY")
    run("hold", "--case", "T-17", "--why", "no-key-here, and AKIA" + "IOSFODNN7EXAMPLE", "--clear")
    assert last(Kind.LEGAL_HOLD_CLEARED)["why"] == "no-key-here, and [redacted: aws-access-key]"
    (folder / "failsoft.toml").write_text(CONFIG.replace("[ledger]", "[ledger]\nredact = false"))
    run("hold", "--case", "T-17", "--why", "AKIA" + "IOSFODNN7EXAMPLE")
    assert last(Kind.LEGAL_HOLD_SET)["why"] == "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.mark.parametrize(
    "command",
    [
        ("erase", "--case", "T-17", "--dry-run"),
        ("prune", "--until", "2099-01-01", "--dry-run"),
        ("copy", "failsoft.toml", "y.db"),
        ("hold", "--case", "T-17"),
    ],
)
def test_a_reason_that_cant_be_recorded_is_refused_before_anything_else(folder: Path, command: tuple[str, ...]) -> None:
    assert "at most 512 characters, not 513" in told(run(*command, "--why", "x" * 513, code=1))
    assert not list(folder.glob("y.db*"))


def test_a_name_that_no_file_can_have_is_no_ledger() -> None:
    for command in (("verify",), ("log",), ("ledger", "monitor", "seen")):
        result = CliRunner().invoke(app, [*command, "n" * 300])
        assert result.exit_code == (1 if command == ("log",) else 3), result.output
        assert "n" * 300 in result.output


def test_a_bundle_of_what_lies_under_another_hosts_keys_says_what_can_be_left_out(folder: Path) -> None:
    for each in folder.glob("x.db.keys*"):
        each.unlink()
    with Isolation.from_file("failsoft.toml", capabilities=[Rate]) as isolation, failsoft.context(case="T-20"):
        isolation[Rate].sync("a nut")
    signed = CONFIG.replace("[retention]", 'key = { file = "log.key" }\n\n[retention]', 1)
    with read("x.db") as reader:
        assert CliRunner().invoke(app, ["keys", "new", "log.key", "--name", reader.origin]).exit_code == 0
    (folder / "failsoft.toml").write_text(signed)
    whom = ("--config", "failsoft.toml", "--recipient", "gao", *WHY)
    bundle = ("bundle", "failsoft.toml", "--case", "T-17", "-o", "b.zip", *whom)
    refused = told(run(*bundle, code=1))
    assert "it doesn't hold the key" in refused
    assert "leave out what lies under another's: --withhold PATH" in refused
    run(*bundle, "--withhold", "request", "--withhold", "response")
    assert CliRunner().invoke(app, ["verify", "b.zip"]).exit_code in (0, 2)


@pytest.mark.parametrize("ledger", ["file", "database"])
@pytest.mark.parametrize("asked", [("log", "--case"), ("ledger", "case"), ("show",), ("ledger", "reviews", "--case")])
def test_an_argument_that_is_no_unicode_isnt_blamed_on_the_ledger(
    ledger: str, asked: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    place = "x.db"
    if ledger == "database":
        place = f"{request.getfixturevalue('postgres').url}&schema={next(SCHEMAS)}"
        with Isolation({"ledger": {"url": place}}, capabilities=[Rate]):
            pass
    words = [each for each in asked if not each.startswith("-")]
    options = [each for each in asked if each.startswith("-")]
    result = CliRunner().invoke(app, [*words, place, *options, "caf\udce9"])
    assert result.exit_code == 1
    assert "what's asked for isn't valid Unicode" in result.output


def test_a_case_is_erased_and_it_says_what_was() -> None:
    assert lines("erase", "--case", "T-17", *WHY, "--dry-run") == ["4 payloads of T-17 would be destroyed, with 1 keys"]
    assert verify("x.db").payloads == 6
    said = lines("erase", "--case", "T-17", *WHY, "--person", "jdoe", "--approved-by", "mfrank")
    assert said[0] == "4 payloads of T-17 destroyed, with 1 keys"
    assert said[1].startswith("on record: ")
    fields = last(Kind.PAYLOAD_ERASED)
    assert (fields["basis"], fields["person"], fields["approved_by"]) == (WHY[1], "jdoe", "mfrank")
    assert (verify("x.db").exit_code, verify("x.db").payloads) == (0, 2)
    assert lines("erase", "--case", "T-17", *WHY) == ["nothing of T-17 is left: it was erased before"]


def test_an_answer_that_cant_be_read_is_told_as_what_it_is(folder: Path) -> None:
    (folder / "failsoft.toml").write_text(CONFIG + '\n[capabilities.reviewed]\nadapters = ["legacy"]\n')
    isolation = Isolation.from_file("failsoft.toml", capabilities=[Reviewed])

    @isolation.adapter("legacy", model="small-1")
    def ask_legacy(ask: Ask) -> int:
        return 4711

    with isolation, failsoft.context(case=Case("T-21", "letter")):
        call_id = isolation[Reviewed].sync("a bolt").call_id
        isolation.review(call_id, person="p", decision="accepted", reason="looked at")
    decisions = ("--adapter", "legacy", "--between", "1d", "0s")
    asked = (("reviews", "--all"), ("reviews", "--history"), ("affected", *decisions))

    def all_of(place: str, *form: str) -> list[str]:
        return [run(command, place, *options, *form).output for command, *options in asked]

    encrypted = "is encrypted: name the ledger by its failsoft.toml"
    for said, what in zip(all_of("x.db"), ("its answer", "its reason", "its answer"), strict=True):
        assert f"{what} {encrypted}" in said
    for said, what in zip(all_of("failsoft.toml"), ("4711", "looked at", "4711"), strict=True):
        assert what in said
    for each in map(json.loads, all_of("x.db", "--json")):
        assert (each["kept"], each.get("answer", each.get("reason"))) == (True, "")
    run("erase", "--case", "T-21", *WHY)
    for place in ("x.db", "failsoft.toml"):
        for said, what in zip(all_of(place), ("its answer", "its reason", "its answer"), strict=True):
            assert f"{what} was erased" in said
        assert all(json.loads(each)["kept"] is False for each in all_of(place, "--json"))


def test_programs_get_the_same() -> None:
    found = json.loads(run("erase", "--case", "T-17", *WHY, "--dry-run", "--json").stdout)
    assert found == {
        "case": "T-17",
        "records": [],
        "payloads": 4,
        "keys": 1,
        "clear": 0,
        "finished": False,
        "waiting": 0,
    }
    found = json.loads(run("erase", "--case", "T-17", *WHY, "--json").stdout)
    assert (found["payloads"], found["finished"], len(found["records"])) == (4, True, 1)
    assert last(Kind.PAYLOAD_ERASED)["person"] == getpass.getuser()


def test_what_was_in_clear_is_said_to_be_in_backups(folder: Path) -> None:
    (folder / "failsoft.toml").write_text('[ledger]\nurl = "sqlite:///y.db"\n')
    with Isolation.from_file("failsoft.toml", capabilities=[Rate]) as isolation, failsoft.context(case="T-1"):
        isolation[Rate].sync("a bolt")
    said = lines("erase", "--case", "T-1", *WHY)
    assert said[0] == "2 payloads of T-1 destroyed, with 0 keys"
    assert said[-1].startswith("2 of them weren't encrypted: backups of the ledger hold them still")


def test_whose_answers_wait_for_a_person_is_said_before_and_after(folder: Path) -> None:
    isolation = Isolation.from_file("failsoft.toml", capabilities=[Reviewed])
    with isolation:
        for case in ("T-17", "T-17", "T-18"):
            with failsoft.context(case=Case(case, "letter")):
                reviewed = isolation[Reviewed].sync("a bolt")
        with failsoft.context(case=Case("T-17", "letter")):
            reviewed = isolation[Reviewed].sync("a nut")
        isolation.review(reviewed.call_id, person="mwagner", decision="accepted", reason="compared")
    said = lines("erase", "--case", "T-17", *WHY, "--dry-run")
    assert said[1:] == ["2 of its answers wait for a person: nobody could look at these any more"]
    assert lines("erase", "--case", "T-17", *WHY)[1] == said[1].replace("could", "can")
    assert json.loads(run("erase", "--case", "T-17", *WHY, "--json").stdout)["waiting"] == 2
    one = "1 of its answers waits for a person: nobody could look at these any more"
    assert lines("erase", "--case", "T-18", *WHY, "--dry-run")[1] == one


@pytest.mark.usefixtures("impatient")
def test_a_reader_is_told_of_and_it_can_be_run_again() -> None:
    with read("x.db") as reader:
        assert reader.size
        assert "somebody was reading" in told(run("erase", "--case", "T-17", *WHY, code=1))


def test_a_hold_forbids_it_until_it_is_lifted() -> None:
    assert lines("hold", "--case", "T-17", "--why", "claim", "--person", "u-9")[0].startswith("held: T-17 (record ")
    for dry in ((), ("--dry-run",)):
        assert "(u-9: claim)" in told(run("erase", "--case", "T-17", *WHY, *dry, code=1))
    assert lines("hold", "--case", "T-17", "--why", "settled", "--clear")[0].startswith("lifted from: T-17 (record ")
    assert "no hold on the case" in told(run("hold", "--case", "T-17", "--why", "again", "--clear", code=1))
    run("erase", "--case", "T-17", *WHY)


def test_what_is_over_is_pruned_and_it_says_where_it_stops() -> None:
    until = ("--until", "2099-01-01")
    assert "isn't known to be over" in told(run("prune", *until, *WHY, code=1))
    said = lines("event", "--case", "T-17", "--event", "closed", "--on", "2001-02-03", *WHY)
    assert said[-1].startswith("closed of T-17 on 2001-02-03 (record ")
    would = lines("prune", *until, *WHY, "--dry-run")
    assert would[0].startswith("4 records of calls would be taken out, up to record ")
    assert would[1].startswith("no further: the period of the case 'T-18'")
    done = lines("prune", *until, *WHY)
    assert done[0].startswith("4 records of calls taken out, up to record ")
    assert done[0].endswith(")")
    assert done[1] == would[1]
    assert done[2] == "older backups of T-17 open until `failsoft ledger erase --case` destroys the key"
    assert len(would) == 2
    assert lines("erase", "--case", "T-17", *WHY)[0] == "0 payloads of T-17 destroyed, with 1 keys"
    assert verify("x.db").exit_code == 0
    bundle = ("bundle", "x.db", "-o", "b.zip")
    for asked in (
        ("show", "x.db", "c9"),
        (*("ledger", *bundle), "--call", "c9"),
        (*("ledger", *bundle), "--case", "c9"),
    ):
        result = CliRunner().invoke(app, [*asked])
        assert result.exit_code == 1
        assert f"no record of a {'case' if '--case' in asked else 'call'} c9, and records of calls were pruned" in told(
            result
        )
    run("event", "--case", "T-18", "--event", "closed", "--on", "2001-02-03", *WHY)
    found = json.loads(run("prune", *until, *WHY, "--json").stdout)
    assert (found["records"], found["finished"]) == (2, True)


def test_an_event_that_a_class_of_ones_own_goes_by_is_known() -> None:
    said = lines("event", "--case", "T-17", "--event", "delivered", "--on", "2001-02-03", *WHY)
    assert said[-1].startswith("delivered of T-17 on 2001-02-03 (record ")


def test_an_event_from_before_the_case_is_asked_about() -> None:
    """A mistyped year ends a period that forbids to destroy."""
    today = last(Kind.CALL_COMPLETED)["ts"][:10]
    asked = ("event", "--case", "T-17", "--event", "closed", *WHY, "--on")
    assert f"T-17: its first record here is of {today}, and closed of 2001-02-03: is the year right?" in told(
        run(*asked, "2001-02-03")
    )
    assert "is the year right" not in told(run(*asked, today))


def test_a_pruning_may_need_a_second_person_and_says_which_answers_wait(folder: Path) -> None:
    (folder / "failsoft.toml").write_text(CONFIG + "approval = true\n")
    isolation = Isolation.from_file("failsoft.toml", capabilities=[Reviewed])
    with isolation, failsoft.context(case=Case("T-17", "letter")):
        isolation[Reviewed].sync("a bolt")
    for case in ("T-17", "T-18"):
        run("event", "--case", case, "--event", "closed", "--on", "2001-02-03", *WHY)
    until = ("--until", "2099-01-01", *WHY, "--person", "jdoe")
    assert "nothing is destroyed unless a second person agrees (--approved-by)" in told(run("prune", *until, code=1))
    said = lines("prune", *until, "--approved-by", "mfrank")
    assert said[1] == "1 of their answers waited for a person: nobody decides about these any more"
    fields = last(Kind.RECORD_PRUNED)
    assert (fields["person"], fields["approved_by"]) == ("jdoe", "mfrank")
    assert verify("x.db").exit_code == 0


@pytest.mark.usefixtures("impatient")
def test_a_pruning_that_a_reader_kept_open_says_so() -> None:
    run("event", "--case", "T-17", "--event", "closed", "--on", "2001-02-03", *WHY)
    with read("x.db") as reader:
        assert reader.size
        assert "somebody was reading" in told(run("prune", "--until", "2099-01-01", *WHY, code=1))


def test_of_many_cases_some_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LISTED", 1)
    for case in ("T-17", "T-18"):
        run("event", "--case", case, "--event", "closed", "--on", "2001-02-03", *WHY)
    said = lines("prune", "--until", "2099-01-01", *WHY)
    assert said[1].startswith("older backups of T-17 and 1 cases more (--json names them) open until")
    assert len(said) == 2


def test_of_a_ledger_without_keys_no_key_is_spoken_of(folder: Path) -> None:
    (folder / "failsoft.toml").write_text(CONFIG.replace("x.db", "y.db").replace("payload_key", "# payload_key"))
    with Isolation.from_file("failsoft.toml", capabilities=[Rate]) as isolation, failsoft.context(case="T-1"):
        isolation[Rate].sync("a bolt")
    run("event", "--case", "T-1", "--event", "closed", "--on", "2001-02-03", *WHY)
    assert len(lines("prune", "--until", "2099-01-01", *WHY)) == 1


def test_calls_of_no_case_are_taken_out_where_that_is_asked_for() -> None:
    with Isolation.from_file("failsoft.toml", capabilities=[Rate]) as isolation:
        isolation[Rate].sync("a bolt")
    for case in ("T-17", "T-18"):
        run("event", "--case", case, "--event", "closed", "--on", "2001-02-03", *WHY)
    until = ("--until", "2099-01-01")
    stops = "no further: a call belongs to no case, so no event says when its period is over (--caseless)"
    assert lines("prune", *until, *WHY, "--dry-run")[1] == stops
    done = lines("prune", *until, *WHY, "--caseless")
    assert done[0].startswith("8 records of calls taken out, up to record ")
    assert done[1].startswith("older backups of T-17, T-18 open")
    assert len(done) == 2
    found = verify("x.db")
    assert (found.exit_code, found.payloads, "call.started" in found.kinds) == (0, 0, False)
    again = json.loads(run("prune", *until, *WHY, "--caseless", "--json").stdout)
    assert (again["records"], again["record"], again["finished"]) == (0, None, True)


def test_a_case_may_be_written_letter_by_letter() -> None:
    """As a keyboard or a file's name may give it: the application's record holds it composed."""
    with Isolation.from_file("failsoft.toml", capabilities=[Rate]) as isolation, failsoft.context(case="Café"):
        isolation[Rate].sync("a bolt")
    apart = "Cafe\u0301"
    assert lines("hold", "--case", apart, *WHY)[0].startswith("held: Café (record ")
    assert "Café" in told(CliRunner().invoke(app, ["log", "x.db", "--case", apart]))
    assert "Café" in run("case", "x.db", apart).output
    run("erase", "--case", apart, *WHY, code=1)  # it's held


class TestInPostgres:
    """The application writes as a role that may change nothing; whoever keeps the ledger is somebody else."""

    @pytest.fixture
    def owner(self, postgres: PostgresServer, folder: Path) -> Iterator[str]:
        schema = next(SCHEMAS)
        role = f"writer_of_{schema}"
        postgres.execute(f"CREATE ROLE {role} LOGIN")
        owner = f"{postgres.url}&schema={schema}"
        said = lines("prepare", owner, "--writer", role)
        assert said == [f"{role} can write to {locate(owner)}, and change nothing"]
        writer = owner.replace("://postgres:@", f"://{role}@")
        assert writer != owner
        (folder / "failsoft.toml").write_text(
            CONFIG.replace("sqlite:///x.db", writer).replace(
                "[retention]", 'case_keys = "cases.keys"\n\n[retention]', 1
            )
        )
        with Isolation.from_file("failsoft.toml", capabilities=[Rate]) as isolation:
            for case in ("T-17", "T-18", ""):
                with failsoft.context(case=Case(case, "letter") if case else None):
                    isolation[Rate].sync("a bolt")
        yield owner
        postgres.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    def test_its_owner_erases_a_case(self, owner: str) -> None:
        """A role that may not is told who may, and the owner finishes it."""
        refused = told(run("erase", "--case", "T-17", *WHY, "--person", "jdoe", code=1))
        assert "42501" in refused
        assert "run it again as a role that may destroy what's there (--owner)" in refused
        assert verify(owner).exit_code == 2
        said = lines("erase", "--case", "T-17", *WHY, "--owner", owner)
        assert said == ["2 payloads of T-17 destroyed, with 0 keys"]  # the key was destroyed before
        said = lines("erase", "--case", "T-18", *WHY, "--owner", owner, "--person", "jdoe")
        assert said[0] == "2 payloads of T-18 destroyed, with 1 keys"
        assert said[1].startswith("on record: ")
        found = verify(owner)
        assert (found.exit_code, found.payloads, found.kinds["payload.erased"]) == (0, 2, 2)
        with read(owner) as reader:
            assert [each.fields["person"] for each in reader.records(Kind.PAYLOAD_ERASED)] == ["jdoe", "jdoe"]

    def test_its_owner_prunes_it(self, owner: str) -> None:
        run("event", "--case", "T-17", "--event", "closed", "--on", "2001-02-03", *WHY)  # as the writer
        until = ("--until", "2099-01-01")
        refused = told(run("prune", *until, *WHY, code=1))
        assert "run it again as a role that may destroy what's there (--owner)" in refused
        assert verify(owner).exit_code == 2
        done = lines("prune", *until, *WHY, "--owner", owner)
        assert done[0].startswith("2 records of calls taken out, up to record ")
        assert "(record" not in done[0]  # that it's to be was on record
        run("event", "--case", "T-18", "--event", "closed", "--on", "2001-02-03", *WHY)
        done = lines("prune", *until, *WHY, "--owner", owner, "--caseless")
        assert done[0].startswith("4 records of calls taken out, up to record ")
        assert done[0].endswith(")")
        found = verify(owner)
        assert (found.exit_code, found.payloads, found.kinds["record.pruned"]) == (0, 0, 2)

    @pytest.mark.parametrize("command", [("erase", "--case", "T-17"), ("prune", "--until", "2099-01-01")])
    def test_an_owners_address_of_another_ledger_destroys_nothing(
        self, owner: str, folder: Path, postgres: PostgresServer, command: tuple[str, ...]
    ) -> None:
        own = (folder / "failsoft.toml").read_text()
        schema = next(SCHEMAS)
        another = f"{postgres.url}&schema={schema}"
        (folder / "failsoft.toml").write_text(re.sub(r"postgresql://[^\"]*", another, own))
        with Isolation.from_file("failsoft.toml", capabilities=[Rate]) as isolation, failsoft.context(case="T-17"):
            isolation[Rate].sync("a bolt")
        (folder / "failsoft.toml").write_text(own)
        before = verify(another).size
        refused = told(run(*command, *WHY, "--owner", another, code=1))
        assert f"{locate(another)}: it isn't the ledger that the configuration names, {locate(owner)}" in refused
        assert (verify(another).exit_code, verify(another).size, verify(another).payloads) == (0, before, 2)

    def test_a_copy_of_the_database_is_another_ledger(self, owner: str, postgres: PostgresServer) -> None:
        name = f"copy_of_{owner.rpartition('=')[2]}"
        postgres.execute(f"CREATE DATABASE {name}")
        copied = owner.replace("/postgres?", f"/{name}?")
        run("copy", "failsoft.toml", copied, *WHY)
        assert verify(copied).root == verify(owner).root
        assert "it isn't the ledger that" in told(run("erase", "--case", "T-17", *WHY, "--owner", copied, code=1))
        assert verify(copied).payloads == 6
        postgres.execute(f"DROP DATABASE {name}")

    def test_an_owner_acts_on_nothing_where_nobody_can_tell_what_it_is(
        self, owner: str, folder: Path, postgres: PostgresServer
    ) -> None:
        own = (folder / "failsoft.toml").read_text()
        (folder / "failsoft.toml").write_text(own.replace("[ledger]", '[ledger]\norigin = "another.example"', 1))
        refused = told(run("erase", "--case", "T-17", *WHY, "--owner", owner, code=1))
        assert "and the configuration's is 'another.example' (ledger.origin)" in refused
        (folder / "failsoft.toml").write_text(
            re.sub(r"postgresql://[^\"]*", f"{postgres.url}&schema=nothing_here", own)
        )
        refused = told(run("erase", "--case", "T-17", *WHY, "--owner", owner, code=1))
        assert f"nobody can tell whether {locate(owner)} is the configuration's ledger" in refused
        assert verify(owner).payloads == 6

    def test_what_is_prepared_twice_is_prepared(self, owner: str) -> None:
        role = f"writer_of_{owner.rpartition('=')[2]}"
        assert lines("prepare", owner, "--writer", role) == [f"{role} can write to {locate(owner)}, and change nothing"]
        assert "there's no role 'nobody_at_all'" in told(run("prepare", owner, "--writer", "nobody_at_all", code=1))


def test_a_bar_shows_how_far_a_copy_is_where_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(keeping, "err", Console(file=shown, force_terminal=True, width=80))
    monkeypatch.setattr(copying, "CHUNK", 3)
    told: list[tuple[Any, Any]] = []
    update = Progress.update

    def updated(self: Progress, task: TaskID, **named: Any) -> None:
        told.append((named["completed"], named["total"]))
        update(self, task, **named)

    monkeypatch.setattr(Progress, "update", updated)
    said = lines("copy", "x.db", "y.db", *WHY)
    size = verify("y.db").size
    assert said == [f"{size} records, root {verify('y.db').root}"]
    assert told == [*((done, size) for done in range(3, size, 3)), (size, size)]
    assert "records" in shown.getvalue()
    assert "100%" in shown.getvalue()
    told.clear()
    run("copy", "x.db", "z.db", *WHY, "--json")  # a program doesn't look
    assert told == []


def test_a_ledger_is_copied() -> None:
    said = lines("copy", "failsoft.toml", "y.db", *WHY, "--person", "jdoe")
    size, root = verify("y.db").size, verify("y.db").root
    assert said[-1] == f"{size} records, root {root}"
    assert verify("x.db").root == root
    assert (last(Kind.LEDGER_TRANSFERRED)["person"], last(Kind.LEDGER_TRANSFERRED)["why"]) == ("jdoe", WHY[1])
    run("copy", "x.db", "y.db", *WHY, code=1)
    found = json.loads(run("copy", "x.db", "z.db", *WHY, "--json").stdout)
    assert (found["size"], found["begun"]) == (verify("z.db").size, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["event", "--case", "T-17", "--event", "closed", *WHY, "--on", "soon"], 64, "is not a date"),
        (["event", "--case", "T-99", "--event", "closed", "--on", "2026-01-01", *WHY], 1, "no record names the case 'T-99'"),
        (["event", "--case", "T-17", "--event", "final_payment", "--on", "2026-01-01", *WHY], 1, "no period begins with the event 'final_payment': the classes of cases ([retention]) know cancellation, closed, delivered, final-payment"),
        (["event", "--case", "T-17", "--event", "a\tb", "--on", "2026-01-01", *WHY], 1, "it can't be recorded: an event"),
        (["hold", "--case", "T-99", *WHY], 1, "no record names the case 'T-99'"),
        (["hold", "--case", "T-17", "--why", " "], 1, "a reason must be given"),
        (["erase", "--case", "T-17"], 64, "--why"),
        (["erase", "--case", "T-17", "--why", ""], 1, "a reason must be given"),
        (["erase", "--case", "T-17", *WHY, "--person", "a\nb"], 1, "it can't be recorded: a person"),
        (["erase", "--case", "T-17", *WHY, "--owner", "y.db"], 1, "an owner is a role of the database"),
        (["erase", "--case", "T-17", *WHY, "--config", "nowhere.toml"], 1, "nowhere.toml"),
        (["prune", "--until", "soon", *WHY], 64, "is no moment"),
        (["prune", "--until", "2001-01-01", *WHY], 1, "nothing may be taken out"),
        (["copy", "nowhere.db", "y.db", *WHY], 1, "nowhere.db"),
        (["copy", "x.db", "x.db", *WHY], 1, "x.db"),
        (["prepare", "x.db", "--writer", "app"], 1, "only a database has roles"),
    ],
)  # fmt: skip
def test_what_cant_be_is_told_and_nothing_is_recorded(arguments: list[str], code: int, problem: str) -> None:
    before = verify("x.db")
    assert problem in told(run(*arguments, code=code))
    assert verify("x.db").root == before.root
    assert verify("x.db").payloads == before.payloads


@pytest.mark.parametrize("command", ["erase", "prune", "hold", "event", "copy", "prepare"])
def test_help_has_an_example_and_the_exit_codes(command: str) -> None:
    said = told(run(command, "--help"))
    assert f"Example: failsoft ledger {command}" in said
    assert "Exit code: 0 " in said
