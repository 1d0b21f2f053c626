"""The command: what it prints, how it exits, and that an error is a sentence and never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")

from typer.testing import Result

from failsoft import Isolation
from failsoft.cli.app import app
from failsoft.ledger.verify import verify
from tests.commands import CliRunner

SHARED = {"store": "file", "shared": True, "reason": ""}
COMMANDS = [
    *(
        "check",
        "call",
        "review",
        "appeal",
        "status",
        "block",
        "unblock",
        "log",
        "show",
        "verify",
        "demo",
        "lock",
        "diff",
    ),
    "pins",
]

CAPABILITIES = '''
from pydantic import BaseModel
from failsoft import Capability, Isolation

class Item(BaseModel):
    description: str

class Rating(BaseModel):
    stars: int

class RateItem(Capability[Item, Rating]):
    """How many stars?"""
    def fallback(self, request: Item) -> Rating:
        if request.description == "bug":
            raise KeyError(request.description)
        return Rating(stars=len(request.description))

def legacy(ask):
    if ask.request.description == "nut":
        return {"stars": 9}
    raise ConnectionRefusedError

def who(result):
    raise NotImplementedError

isolation = Isolation(
    {"ledger": {"url": "sqlite:///app.db"}, "capabilities": {"rate-item": {"adapters": ["later"]}}},
    capabilities=[RateItem],
)
other = 5
'''
CONFIG = """
[adapters.old]
provider = "callable"
model = "m-1"
call = "cli_capabilities:legacy"
attempts = 1
[capabilities.rate-item]
class = "cli_capabilities:RateItem"
adapters = ["old"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cli_capabilities.py").write_text(CAPABILITIES)
    (tmp_path / "failsoft.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "cli_capabilities", raising=False)
    return tmp_path


def run(*arguments: str, code: int = 0, given: str | None = None) -> Result:
    result = CliRunner().invoke(app, arguments, input=given)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def said(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_of_each_command_has_an_example(self, command: str) -> None:
        assert f"Example: failsoft {command}" in run(command, "--help").stdout

    @pytest.mark.parametrize("command", COMMANDS)
    def test_of_each_command_says_its_exit_codes(self, command: str) -> None:
        said = " ".join(run(command, "--help").stdout.split())
        assert "Exit code: 0 " in said
        assert "64 the command line is wrong" in said

    def test_lists_the_commands(self) -> None:
        listed = run("--help").stdout
        assert all(each in listed for each in COMMANDS)

    def test_the_command_runs_as_a_module(self) -> None:
        done = subprocess.run([sys.executable, "-m", "failsoft", "--help"], capture_output=True, text=True, check=True)
        assert "Isolates AI components" in done.stdout

    def test_the_version_is_the_packages_own(self) -> None:
        assert run("--version").stdout == f"failsoft {version('failsoft')}\n"


class TestAWrongCommandLine:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--nothing"],
            ["nothing"],
            *([command, "--nothing"] for command in COMMANDS),
            ["verify"],
            ["verify", "a.db", "b.db"],
            ["block", "adapter:old"],
            ["log", "a.db", "--last", "0"],
            ["demo", "--most", "many"],
            ["call", "rate-item", "{}", "--deadline", "2"],
        ],
    )
    def test_has_an_exit_code_of_its_own(self, arguments: list[str]) -> None:
        run(*arguments, code=64)

    def test_isnt_said_of_what_a_command_finds(self, folder: Path) -> None:
        run("verify", "nowhere.db", code=3)
        run("check", "--config", "nowhere.toml", code=1)
        run("log", "nowhere.db", code=1)


class TestCheck:
    def test_says_what_is_in_force(self) -> None:
        stdout = run("check").stdout
        assert "OK: 1 capabilities, 1 adapters" in stdout
        assert "rate-item: old → fallback" in stdout
        assert "old asks for m-1 (label), its pin is unchecked" in stdout

    def test_notes_whose_pin_isnt_checked(self, folder: Path) -> None:
        assert "note: adapters.old: nothing says which model answered" in run("check").stdout
        (folder / "failsoft.toml").write_text(
            CONFIG.replace("attempts = 1", 'attempts = 1\nserved_by = "cli_capabilities:who"')
        )
        stdout = run("check").stdout
        assert "old asks for m-1 (label), expects m-1" in stdout
        assert "note" not in stdout
        assert said("check")["pin_unchecked"] == []

    def test_opens_no_ledger(self, folder: Path) -> None:
        run("check")
        assert not (folder / "failsoft.db").exists()

    def test_for_programs(self) -> None:
        assert said("check") == {
            "ok": True,
            "capabilities": ["rate-item"],
            "adapters": ["old"],
            "pin_unchecked": ["old"],
            "name_class": {"old": "label"},
            "last_served": {},
        }

    def test_says_everything_thats_wrong(self, folder: Path) -> None:
        (folder / "failsoft.toml").write_text(
            CONFIG.replace("attempts = 1", "attempts = 0").replace('"old"]', '"odl"]')
        )
        result = run("check", code=1)
        assert "adapters.old.attempts" in result.stderr
        assert 'did you mean "old"?' in result.stderr
        found = said("check", code=1)
        assert found["ok"] is False
        assert len(found["problems"]) == 2

    def test_says_that_a_route_names_nobody(self, folder: Path) -> None:
        (folder / "failsoft.toml").write_text(CONFIG.replace('"old"]', '"old", "zzz"]'))
        assert 'no adapter named "zzz"' in run("check", code=1).stderr

    def test_a_file_that_isnt_there(self) -> None:
        assert "nowhere.toml" in run("check", "--config", "nowhere.toml", code=1).stderr

    def test_an_application_by_its_import_path(self) -> None:
        assert 'no adapter named "later"' in run("check", "--app", "cli_capabilities:isolation", code=1).stderr

    @pytest.mark.parametrize(
        ("path", "problem"),
        [
            ("nowhere_at_all:isolation", "can't import"),
            ("cli_capabilities:nothing", "has no"),
            ("cli_capabilities:other", "is a int, not an Isolation"),
            ("cli_capabilities", 'write "package.module:name"'),
            ("cli_capabilities:", 'write "package.module:name"'),
        ],
    )
    def test_an_application_that_isnt_one(self, path: str, problem: str) -> None:
        assert problem in run("check", "--app", path, code=1).stderr


class TestCall:
    def test_shows_answer_and_source(self) -> None:
        stdout = run("call", "rate-item", '{"description": "nut"}').stdout
        assert stdout.startswith('{"stars": 9}\n')
        assert "answered by AI (old)" in stdout

    def test_shows_who_was_passed_over(self) -> None:
        stdout = run("call", "rate-item", '{"description": "bolt"}').stdout
        assert '{"stars": 4}' in stdout
        assert "the fallback (cli_capabilities:RateItem)" in stdout
        assert "passed over old: connect_refused" in stdout

    def test_for_programs(self) -> None:
        outcome = said("call", "rate-item", '{"description": "nut"}')
        assert (outcome["value"], outcome["by_ai"], outcome["degraded"]) == ({"stars": 9}, True, False)
        assert outcome["source"]["name"] == "old"
        assert outcome["pin"]["model"] == "m-1"
        assert outcome["record"] is not None
        assert said("call", "rate-item", '{"description": "bolt"}')["pin"] is None

    def test_reads_the_request_from_standard_input(self) -> None:
        assert '{"stars": 9}' in run("call", "rate-item", "-", given='{"description": "nut"}').stdout

    def test_with_another_deadline(self) -> None:
        run("call", "rate-item", '{"description": "nut"}', "--deadline", "2s")
        problem = run("call", "rate-item", '{"description": "nut"}', "--deadline", "2", code=64).stderr
        assert "--deadline: deadline: '2' is no duration" in problem

    @pytest.mark.parametrize(
        ("request_", "problem"), [('{"description": 5}', "description: "), ("{", "request: "), ("{}", "description: ")]
    )
    def test_an_invalid_request_is_told_by_its_place(self, request_: str, problem: str) -> None:
        assert problem in run("call", "rate-item", request_, code=1).stderr
        assert said("call", "rate-item", request_, code=1)["ok"] is False

    def test_a_capability_that_isnt_there(self) -> None:
        assert "it has: rate-item" in run("call", "classify", "{}", code=1).stderr

    def test_a_bug_in_the_fallback_is_a_sentence(self) -> None:
        assert (
            "the fallback failed: KeyError('bug')" in run("call", "rate-item", '{"description": "bug"}', code=1).stderr
        )

    def test_a_ledger_that_isnt_one_is_a_sentence(self, folder: Path) -> None:
        (folder / "failsoft.db").write_text("precious " * 200)
        assert "failsoft.db" in run("call", "rate-item", '{"description": "nut"}', code=1).stderr

    def test_a_ledger_in_a_folder_that_isnt_there_is_a_sentence(self, folder: Path) -> None:
        (folder / "failsoft.toml").write_text('[ledger]\nurl = "sqlite:///nowhere/failsoft.db"\n' + CONFIG)
        assert "nowhere" in run("call", "rate-item", '{"description": "nut"}', code=1).stderr


class TestBlock:
    def test_is_in_force_until_unblocked(self) -> None:
        assert "adapter:old blocked by jdoe" in run("block", "adapter:old", "--why", "wrong", "--actor", "jdoe").stdout
        outcome = said("call", "rate-item", '{"description": "nut"}')
        assert outcome["passed_over"][0]["reason"] == "blocked"
        assert "is unblocked" in run("unblock", "adapter:old", "--why", "mended").stdout
        assert said("call", "rate-item", '{"description": "nut"}')["by_ai"] is True

    def test_that_isnt_there_cant_be_ended(self) -> None:
        assert "wasn't blocked" in run("unblock", "adapter:old", "--why", "mended").stdout

    def test_unblocking_reaches_a_breaker_that_opened_by_itself_in_a_running_process(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr("failsoft.io.block_file.LOOK_EVERY", 0)
        with Isolation.from_file("failsoft.toml") as isolation:
            rate = isolation["rate-item"]
            for _ in range(6):
                rate.sync(rate.parse_request('{"description": "bolt"}'))
            assert isolation.health().adapters["old"].state == "open"
            assert "wasn't blocked; every process tries it again" in run("unblock", "adapter:old", "--why", "w").stdout
            assert rate.sync(rate.parse_request('{"description": "nut"}')).by_ai

    def test_for_a_time_says_until_when(self) -> None:
        assert "until 20" in run("block", "adapter:old", "--why", "w", "--for", "2h").stdout
        assert "is no duration" in run("block", "adapter:old", "--why", "w", "--for", "soon", code=1).stderr

    def test_needs_a_reason(self) -> None:
        assert "--why" in run("block", "adapter:old", code=64).stderr

    def test_only_of_what_there_is(self) -> None:
        assert "there is adapter:old" in run("block", "old", "--why", "w", code=1).stderr

    def test_is_thrown_even_where_nothing_can_be_recorded(self, folder: Path) -> None:
        (folder / "failsoft.db").write_text("precious " * 200)
        result = run("block", "adapter:old", "--why", "w")
        assert "not recorded: " in result.stderr
        assert "adapter:old blocked by" in result.stdout

    def test_where_it_cant_be_kept_is_a_sentence(self, folder: Path) -> None:
        (folder / "failsoft.db.blocks.json").write_text("precious")
        assert "not a file of blocks" in run("block", "adapter:old", "--why", "w", code=1).stderr


def recorded(isolation: Isolation) -> None:
    """What was told so far is in the ledger: a call's record comes after it, and is waited for."""
    rate = isolation["rate-item"]
    assert rate.sync(rate.parse_request('{"description": "bolt"}')).record is not None


class TestStatus:
    def test_says_what_is_blocked_and_what_changed(self) -> None:
        run("block", "adapter:old", "--why", "wrong")
        run("block", "capability:rate-item", "--why", "audit")
        assert "wrong" in run("status").stdout
        run("unblock", "adapter:old", "--why", "mended")
        stdout = run("status").stdout
        assert "adapter:old at m-1" in stdout
        assert "capability:rate-item is blocked by" in stdout
        assert "audit" in stdout
        assert set(said("status")["blocks"]) == {"capability:rate-item"}

    def test_tells_what_running_processes_recorded_and_not_what_commands_did(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(folder)
        with Isolation.from_file("failsoft.toml") as isolation:
            for _ in range(6):
                isolation["rate-item"].sync(isolation["rate-item"].parse_request('{"description": "bolt"}'))
            run("unblock", "adapter:old", "--why", "mended")  # its own breaker becomes half-open, and dies with it
            (change,) = said("status")["changes"]
            assert (change["adapter"], change["layer"], change["to"]) == ("old", "health", "open")
            assert change["pid"] == os.getpid()
            assert f"process {os.getpid()}: health closed → open (consecutive) at " in run("status").stdout
        assert said("status")["changes"] == []

    def test_says_how_each_route_stands(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(folder)
        with Isolation.from_file("failsoft.toml") as isolation:
            for _ in range(6):
                isolation["rate-item"].sync(isolation["rate-item"].parse_request('{"description": "bolt"}'))
            run("block", "capability:rate-item", "--why", "audit")
            (route,) = said("status")["routes"]
            assert (route["calls"], route["degraded"], route["share"]) == (6, 6, 100)
            assert "audit" in route["block"]
            (standing,) = route["adapters"]
            assert (standing["attempts"], standing["failed"]) == (5, 5)
            (layer,) = standing["layers"]
            assert (layer["name"], layer["state"], layer["reason"], layer["processes"]) == (
                "health", "open", "consecutive", 1,
            )  # fmt: skip
            assert layer["until"] is not None
            table = run("status").stdout
            assert "100 %" in table
            assert "health open" in table

    @pytest.mark.parametrize("arguments", [(), ("--json",)])
    def test_is_shown_again_until_somebody_presses_ctrl_c(
        self, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(time, "sleep", sleep)
        stdout = run("status", "--watch", "--every", "2", *arguments).stdout
        assert slept == [2, 2, 2]
        assert stdout.count("rate-item") == 3 if arguments else "rate-item" in stdout

    def test_names_who_forces_an_adapter_and_why(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(folder)
        with Isolation.from_file("failsoft.toml") as isolation:
            isolation.force("old", why="a drill", actor="jdoe")
            isolation.block("adapter:old", why="and blocked", actor="jdoe")
            recorded(isolation)
            (mode,) = said("status")["modes"]
            assert (mode["subject"], mode["mode"], mode["pid"]) == ("adapter:old", "forced", os.getpid())
            assert f"process {os.getpid()}: forced by jdoe (a drill) at " in run("status").stdout
            isolation.automatic("old", why="done")
            recorded(isolation)
            assert said("status")["modes"] == []
            isolation.observe("old", why="new figures")
        assert said("status")["modes"] == []

    def test_says_what_the_configuration_observes(self, folder: Path) -> None:
        written = (folder / "failsoft.toml").read_text().replace("[adapters.old]", '[adapters.old]\nmode = "observe"')
        (folder / "failsoft.toml").write_text(written)
        assert said("status")["configured_modes"] == {"old": "observe"}
        assert "adapter:old at m-1, mode observe" in run("status").stdout

    def test_says_whether_state_is_shared(self, folder: Path) -> None:
        assert "state is shared through file" in run("status").stdout
        (folder / "failsoft.toml").write_text(CONFIG + '[state]\nurl = "none"\n')
        assert "state is shared with no other process" in run("status").stdout

    def test_says_that_a_database_cant_be_reached_and_so_does_block(self, folder: Path) -> None:
        pytest.importorskip("psycopg")
        (folder / "failsoft.toml").write_text(CONFIG + '[state]\nurl = "postgresql://127.0.0.1:1/nowhere"\n')
        told = "state isn't shared now: postgresql: can't be reached"
        assert told in " ".join(run("block", "adapter:old", "--why", "wrong").stdout.split())
        stdout = " ".join(run("status").stdout.split())
        assert told in stdout
        assert "adapter:old is blocked by" in stdout
        assert said("status")["state"] == {"store": "postgresql", "shared": False, "reason": "can't be reached"}

    def test_says_what_it_cant_know(self) -> None:
        stdout = run("status").stdout
        assert "nothing is blocked" in stdout
        assert "how their breakers stand now only they know" in " ".join(stdout.split())

    def test_before_the_first_call_there_is_nothing_to_say(self, folder: Path) -> None:
        nothing = {"blocks": {}, "changes": [], "modes": [], "configured_modes": {}, "state": SHARED}
        document = said("status")
        (route,) = document.pop("routes")
        assert document == nothing
        assert (route["capability"], route["calls"], route["share"]) == ("rate-item", 0, 0)
        assert [(each["adapter"], each["attempts"]) for each in route["adapters"]] == [("old", 0)]
        (folder / "failsoft.toml").write_text('[ledger]\nurl = "none"\n')
        assert said("status") == {**nothing, "routes": []}

    def test_a_block_file_that_isnt_one_is_a_sentence(self, folder: Path) -> None:
        (folder / "failsoft.db.blocks.json").write_text("precious")
        assert "not a file of blocks" in run("status", code=1).stderr


@pytest.fixture
def ledger(folder: Path) -> str:
    run("call", "rate-item", '{"description": "nut"}')
    run("call", "rate-item", '{"description": "bolt"}')
    run("block", "adapter:old", "--why", "wrong")
    return "failsoft.db"


LOOKS = {
    "log": ("log", "failsoft.db"),
    "log for programs": ("log", "failsoft.db", "--json"),
    "show": ("show", "failsoft.db", "3"),
    "status": ("status",),
}


@pytest.mark.parametrize(
    ("was", "made", "told_by"),
    [
        (b"ledger_record_call", b"\xecedger_record_call", ()),
        (b"table", b"\xf4able", ("log", "log for programs", "show", "status")),
        (b'"capability":{"name"', b'"capability":{"nbme"', ("status",)),
        (b'"actor":{"id"', b'"actor":{"ie"', ("log",)),
        (b"block.changed", b"\xe2lock.changed", ("log", "log for programs")),
    ],
)
def test_a_damaged_ledger_is_a_sentence_in_every_command(
    folder: Path, ledger: str, was: bytes, made: bytes, told_by: tuple[str, ...]
) -> None:
    whole = (folder / ledger).read_bytes()
    assert was in whole
    (folder / ledger).write_bytes(whole.replace(was, made))
    assert run("verify", ledger, code=1).stdout
    for name, command in LOOKS.items():
        result = CliRunner().invoke(app, command)
        assert isinstance(result.exception, SystemExit | None), name
        assert ("failsoft verify" in result.output) == (name in told_by), name


def test_what_somebody_wrote_steers_no_terminal(folder: Path) -> None:
    run("call", "rate-item", '{"description": "nut"}')
    told = run("block", "adapter:old", "--why", "down\n\x1b[31mall is well").stdout
    assert "down\\u000a\\u001b[31mall is well" in told
    assert "\x1b" not in told
    for command in (("log", "failsoft.db"), ("status",)):
        stdout = run(*command).stdout
        assert "\x1b" not in stdout
        assert "down\\u000a\\u001b[31mall is well" in stdout


class TestLog:
    def test_shows_the_newest_records(self, ledger: str) -> None:
        stdout = run("log", ledger).stdout
        assert stdout.count("call.completed") == 2
        assert "by fallback cli_capabilities:RateItem" in stdout

    def test_may_be_narrowed(self, ledger: str) -> None:
        lines = run("log", ledger, "--kind", "call.completed", "--last", "1", "--capability", "rate-item").stdout
        assert len(lines.splitlines()) == 1
        assert run("log", ledger, "--case", "nobody").stdout == ""

    def test_for_programs(self, ledger: str) -> None:
        lines = run("log", ledger, "--json").stdout.splitlines()
        assert {json.loads(each)["type"] for each in lines} >= {"call.started", "call.completed"}

    def test_of_a_file_that_isnt_there_is_a_sentence(self) -> None:
        assert "nowhere.db" in run("log", "nowhere.db", code=1).stderr


class TestShow:
    def test_one_record_with_its_payloads(self, ledger: str) -> None:
        completed = json.loads(run("log", ledger, "--json", "--kind", "call.completed").stdout.splitlines()[0])
        shown = json.loads(run("show", ledger, str(completed["index"])).stdout)
        assert shown["call_id"] == completed["call_id"]
        assert any('"stars":9' in each for each in shown["payloads"].values())

    def test_a_call_with_all_its_records(self, ledger: str) -> None:
        completed = json.loads(run("log", ledger, "--json", "--kind", "call.completed").stdout.splitlines()[0])
        lines = run("show", ledger, completed["call_id"], "--no-payloads").stdout.splitlines()
        assert [json.loads(each)["type"] for each in lines] == ["call.started", "call.completed"]
        assert "payloads" not in json.loads(lines[0])

    @pytest.mark.parametrize("record", ["99999", "no-such-call", "9" * 30, "²"])
    def test_what_isnt_there_is_a_sentence(self, ledger: str, record: str) -> None:
        assert json.loads(run("show", ledger, record, code=1).stdout)["ok"] is False


class TestVerify:
    def test_a_whole_ledger(self, ledger: str) -> None:
        assert "self-consistent" in run("verify", ledger).stdout
        assert run("verify", ledger, "--hashes-only").stdout.startswith("self-consistent, by its hashes alone\n")
        assert said("verify", ledger, "--hashes-only")["hashes_only"] is True
        assert said("verify", ledger)["kinds"]["call.completed"] == 2

    def test_against_a_pin(self, ledger: str) -> None:
        found = verify(Path(ledger))
        run(
            "verify",
            ledger,
            "--pin",
            f"{found.size}:{found.root.hex() if isinstance(found.root, bytes) else found.root}",
        )
        run("verify", ledger, "--pin", f"{found.size}:{'0' * 64}", code=1)

    @pytest.mark.parametrize("pin", ["", "5", "5:abc", "x:" + "0" * 64, "5:" + "A" * 64])
    def test_a_pin_that_is_none_is_a_sentence(self, ledger: str, pin: str) -> None:
        assert "is not SIZE:ROOT" in run("verify", ledger, "--pin", pin, code=64).stderr

    def test_a_tampered_ledger(self, ledger: str, folder: Path) -> None:
        other = folder / "other.db"
        source = sqlite3.connect(ledger)
        copy = sqlite3.connect(other)
        source.backup(copy)
        source.close()
        tables = [name for (name,) in copy.execute("select name from sqlite_master where type = 'trigger'")]
        for each in tables:
            copy.execute(f'drop trigger "{each}"')
        (name,) = copy.execute("select name from sqlite_master where type = 'table' and sql like '%leaf%'").fetchone()
        copy.execute(f'delete from "{name}" where rowid = (select max(rowid) - 1 from "{name}")')
        copy.commit()
        copy.close()
        assert CliRunner().invoke(app, ["verify", str(other)]).exit_code in (1, 2)

    def test_a_reader_that_has_gone_doesnt_change_what_was_found(self, ledger: str) -> None:
        for option in ((), ("--json",)):
            reading, writing = os.pipe()
            os.close(reading)
            command = [sys.executable, "-m", "failsoft", "verify", ledger, *option]
            with os.fdopen(writing, "wb") as closed:
                assert subprocess.run(command, stdout=closed, check=False).returncode == 0

    def test_no_ledger_at_all(self, folder: Path) -> None:
        (folder / "not.db").write_text("precious " * 200)
        run("verify", "not.db", code=3)
        run("verify", "nowhere.db", code=3)


def test_without_its_extra_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from failsoft.cli import main

    monkeypatch.delitem(sys.modules, "failsoft.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit, match=r"install failsoft\[cli\]"):
        main()


def test_another_missing_module_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from failsoft.cli import main

    monkeypatch.delitem(sys.modules, "failsoft.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "failsoft.isolation", None)
    with pytest.raises(ModuleNotFoundError):
        main()


def test_the_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from failsoft.cli import main

    monkeypatch.setattr(sys, "argv", ["failsoft", "check"])
    with pytest.raises(SystemExit, match="0"):
        main()


def test_the_command_is_installed() -> None:
    assert shutil.which("failsoft", path=str(Path(sys.executable).parent)) is not None


KEYED = """
[ledger]
url = "sqlite:///l.db"

[adapters.gpt]
provider = "openai"
model = "gpt-4.1-2025-04-14"
api_key = { env = "NO_SUCH_KEY" }
headers = { x-tenant-key = { file = "nowhere" } }
"""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("block", "adapter:gpt", "--why", "emergency"), 0),
        (("unblock", "adapter:gpt", "--why", "over"), 0),
        (("status",), 0),
        (("pins",), 0),
        (("lock",), 0),
        (("check",), 1),
        (("call", "x", "{}"), 1),
        (("lock", "--verify"), 1),
    ],
)
def test_who_asks_nobody_needs_no_key(
    command: tuple[str, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    (tmp_path / "failsoft.toml").write_text(KEYED)
    result = CliRunner().invoke(app, list(command))
    assert result.exit_code == code, result.output
    if code:
        assert "NO_SUCH_KEY isn't set" in result.output.replace("\n", " ")
    if command[0] == "block":
        assert (tmp_path / "l.db.blocks.json").exists()


def test_check_says_that_a_lock_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_SUCH_KEY", "abcdefgh12345678")
    (tmp_path / "nowhere").write_text("abcdefgh12345678")
    (tmp_path / "failsoft.toml").write_text("locked = true\n" + KEYED)
    assert "failsoft.lock" in CliRunner().invoke(app, ["check"]).output
    assert CliRunner().invoke(app, ["lock"]).exit_code == 0
    assert CliRunner().invoke(app, ["check"]).exit_code == 0
    (tmp_path / "failsoft.toml").write_text("locked = true\n" + KEYED.replace("headers", "labels = ['CUI']\nheaders"))
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 1
    assert "is stale" in result.output.replace("\n", " ")
