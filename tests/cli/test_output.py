"""What commands write, and where that can't be written: no exit code says what wasn't found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")

import failsoft
from failsoft.cli.telling import print_json
from tests.logs import Log, attempt, by

FULL = Path("/dev/full")
SENTENCE = "standard output can't be written (No space left on device)\n"
EVIL = "\x9b2J\u202e\u2066 \x7f \u2028 \ud7fb \U000e0041 é"
CASE = "A:100:B :key: x"


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    log = Log(tmp_path / "x.db")
    log.first.configure()
    started = log.first.start("c1", 2, case={"id": CASE})
    answer = f'"{EVIL}"'.encode()
    log.first.end("c1", 3, started, attempt(), answer=answer, source=by("gpt:x:"), case={"id": CASE})
    log.first.close(20)
    log.close()
    return str(tmp_path / "x.db")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a process of its own."""
    return _run(arguments, subprocess.PIPE, subprocess.PIPE, environment)


def _run(
    arguments: tuple[str, ...], out: int, err: int, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "failsoft", *arguments]
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    own = {**inherited, "PYTHONPATH": str(Path(failsoft.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command, stdout=out, stderr=err, env={**own, **environment}, check=False, text=True, encoding="utf-8"
    )


@pytest.mark.skipif(not FULL.exists(), reason="a device that's always full is Linux's")
class TestAFullDisk:
    COMMANDS = (
        (3, "verify", "x.db"),
        (3, "verify", "x.db", "--json"),
        (3, "verify", "nowhere.db", "--json"),
        (3, "ledger", "monitor", "seen", "x.db"),
        (3, "ledger", "monitor", "seen", "x.db", "--json"),
        (3, "ledger", "replay", "x.db", "--call", "c1"),
        (2, "ledger", "attest", "x.db", "--never", "provider=openai", "--since", "2026-01-01"),
        (1, "log", "x.db"),
        (1, "log", "x.db", "--csv"),
        (1, "log", "x.db", "--json"),
        (1, "show", "x.db", "c1"),
        (1, "adapter", "decode", "replies", "--provider", "openai"),
        (1, "--version"),
        (1, "verify", "--help"),
    )

    @pytest.fixture(autouse=True)
    def _folder(self, ledger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "failsoft.toml").write_text("")
        (tmp_path / "replies").write_text("{}\n")

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    @pytest.mark.parametrize("command", COMMANDS, ids=lambda each: " ".join(each[1:]))
    def test_under_the_output_is_a_sentence_and_no_finding(
        self, command: tuple[int, *tuple[str, ...]], unbuffered: str
    ) -> None:
        code, *arguments = command
        with FULL.open("wb") as full:
            done = _run(tuple(arguments), full.fileno(), subprocess.PIPE, {"PYTHONUNBUFFERED": unbuffered})
        assert (done.returncode, done.stderr) == (code, SENTENCE)

    @pytest.mark.parametrize(
        ("code", "command"), [(3, "verify x.db"), (3, "verify nowhere.db"), (1, "log x.db"), (64, "verify")]
    )
    def test_under_both_outputs_changes_no_exit_code_either(self, code: int, command: str) -> None:
        with FULL.open("wb") as full:
            done = _run(tuple(command.split()), full.fileno(), full.fileno(), {})
        assert done.returncode == code

    @pytest.mark.parametrize(("code", "command"), [(0, "verify x.db"), (3, "verify nowhere.db"), (64, "verify")])
    def test_under_the_errors_changes_nothing(self, code: int, command: str) -> None:
        with FULL.open("wb") as full:
            assert _run(tuple(command.split()), subprocess.PIPE, full.fileno(), {}).returncode == code


@pytest.mark.skipif(os.name == "nt", reason="started by a POSIX shell")
@pytest.mark.parametrize("option", ["", "--json"])
def test_outputs_that_are_closed_change_no_exit_code(ledger: str, option: str) -> None:
    command = f'"{sys.executable}" -m failsoft verify "{ledger}" {option} >&- 2>&-'
    own = {**os.environ, "PYTHONPATH": str(Path(failsoft.__file__).parents[1])}
    assert subprocess.run(["/bin/sh", "-c", command], env=own, check=False).returncode == 0


class TestWhatAHostileReplySays:
    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_steers_no_terminal_and_stays_the_same_json(self, ledger: str, encoding: str) -> None:
        shown = run("show", ledger, "c1", PYTHONIOENCODING=encoding).stdout
        assert shown.replace("\n", "").isprintable()
        assert "\\u009b2J\\u202e\\u2066 \\u007f \\u2028 " in shown
        assert "\\udb40\\udc41" in shown
        said = [json.loads(line)["payloads"] for line in shown.splitlines()]
        assert json.loads(said[1]["response"]) == EVIL
        assert ("é" in shown) is (encoding != "ascii")

    def test_is_indented_where_people_look(self, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        print_json({"said": "a\nb\x7f", "é": ["\ud800"]})
        assert capsys.readouterr().out == '{\n  "said": "a\\nb\\u007f",\n  "é": [\n    "\\ud800"\n  ]\n}\n'

    def test_is_told_as_it_stands(self, ledger: str) -> None:
        for command in (("log", ledger), ("ledger", "case", ledger, CASE)):
            assert "gpt:x:" in run(*command).stdout

    def test_is_told_in_tables_as_it_stands(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        config = '[adapters.a]\nprovider = "ollama"\nmodel = "m[b]x[/b]:key:"\n'
        (tmp_path / "failsoft.toml").write_text(config)
        for command in ("pins", "status", "check"):
            assert "m[b]x[/b]:key:" in run(command, COLUMNS="200").stdout

    def test_is_no_damage_where_the_terminal_hasnt_its_characters(self, ledger: str) -> None:
        for command in (("show", ledger, "c1"), ("log", ledger), ("log", ledger, "--csv"), ("log", ledger, "--json")):
            done = run(*command, PYTHONIOENCODING="ascii")
            assert (done.returncode, done.stderr) == (0, "")


class TestAProblem:
    def test_is_told_on_one_line_whatever_it_quotes(self, ledger: str) -> None:
        done = run("show", ledger, "\x1b[31m\x9b1m\ntampered with")
        assert done.returncode == 1
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x9b" not in done.stdout + done.stderr
        done = run("log", "\x1b[31m.db")
        assert "\\u001b[31m.db: there is no such file\n" in done.stderr
