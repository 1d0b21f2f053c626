"""Keys, a monitor, and verification with what an auditor brings along: the commands."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")

from typer.testing import Result

from failsoft import Capability, Isolation
from failsoft.cli.app import app
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.read import read
from tests.commands import CliRunner


class Double(Capability[int, int]):
    """Twice as much."""

    def fallback(self, request: int) -> int:
        return 2 * request


CONFIG = """
[ledger]
url = "sqlite:///x.db"
key = { file = "ledger.key" }
anchor_file = "anchored"
"""


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failsoft.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def key() -> str:
    return run("keys", "new", "ledger.key", "--name", "example.com/log").stdout.strip()


def write(calls: int = 1) -> None:
    with Isolation.from_file("failsoft.toml", capabilities=[Double]) as isolation:
        for number in range(calls):
            isolation[Double].sync(number)


@pytest.mark.parametrize("command", [("keys", "new"), ("keys", "show"), ("keys", "rotate"), ("ledger", "monitor")])
def test_help_has_an_example_and_the_exit_codes(command: tuple[str, str]) -> None:
    said = " ".join(run(*command, "--help").stdout.split())
    assert f"Example: failsoft {' '.join(command)}" in said
    assert "Exit code: 0 " in said
    assert "64 the command line is wrong" in said
    run(*command, "--nothing", code=64)


def test_a_new_key_is_printed_by_its_public_part_and_never_overwritten(folder: Path, key: str) -> None:
    assert key.startswith("example.com/log+")
    assert run("keys", "show", "ledger.key").stdout.strip() == key
    assert (folder / "ledger.key").stat().st_mode & 0o777 == 0o600
    before = (folder / "ledger.key").read_bytes()
    assert "can't be written" in run("keys", "new", "ledger.key", "--name", "b", code=1).stderr
    assert (folder / "ledger.key").read_bytes() == before
    run("keys", "new", "other.key", "--name", "with space", code=64)
    run("keys", "new", "other.key", code=64)


def test_what_is_no_key_is_told_without_a_word_of_it(folder: Path) -> None:
    (folder / "junk").write_text("sesame")
    found = run("keys", "show", "junk", code=1)
    assert "not a signing key" in found.stderr
    assert "sesame" not in found.output
    assert "can't be read" in run("keys", "show", "none", code=1).stderr


def test_verify_takes_keys_and_checkpoints(folder: Path, key: str) -> None:
    write(2)
    assert run("verify", "x.db").stdout.startswith("self-consistent\n")
    found = run("verify", "x.db", "--key", key, "--checkpoint", "anchored").stdout
    assert found.startswith("verified\n")
    assert "covered by checkpoint 8 of 8; tail 0, under the signed head" in found
    told = json.loads(run("verify", "x.db", "--key", key, "--json").stdout)
    assert (told["covered"], told["head_signed"], told["exit_code"]) == (8, True, 0)
    stranger = str(SigningKey("example.com/log", bytes(32)).verifier)
    assert "signed nothing here" in run("verify", "x.db", "--key", key, "--key", stranger, code=2).stdout
    (folder / "junk").write_text("junk")
    assert "can't be used" in run("verify", "x.db", "--checkpoint", "junk", code=3).stdout


def test_a_wrong_key_or_file_is_a_wrong_command_line(folder: Path, key: str) -> None:
    run("verify", "x.db", "--key", "junk", code=64)
    run("verify", "x.db", "--checkpoint", "none", code=64)
    secret = (folder / "ledger.key").read_text().strip()
    found = run("verify", "x.db", "--key", secret, code=64)
    assert "a private key" in found.output
    assert secret.split("+", 4)[4] not in found.output  # what comes last is base64, and may hold a plus itself


def test_without_cryptography_a_key_is_unusable(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    assert "failsoft[signing]" in run("verify", "x.db", "--key", key, code=3).stderr


def test_a_monitor_finds_yesterdays_copy(folder: Path, key: str) -> None:
    write()
    yesterday = (folder / "x.db").read_bytes()
    assert "first look" in run("ledger", "monitor", "seen", "x.db", "--key", key).stdout
    write()
    told = json.loads(run("ledger", "monitor", "seen", "x.db", "--json").stdout)
    assert (told["exit_code"], told["size"]) == (0, 11)
    (folder / "x.db").write_bytes(yesterday)
    assert "rolled back" in run("ledger", "monitor", "seen", "x.db", "--key", key, code=1).stdout
    assert "no such file" in run("ledger", "monitor", "seen", "none.db", code=3).stdout


def rotate(*arguments: str, code: int = 0) -> Result:
    return run("keys", "rotate", "--why", "yearly", "--actor", "jdoe", *arguments, code=code)


def test_a_rotation_leaves_a_new_key_and_the_former_one_beside_it(folder: Path, key: str) -> None:
    write()
    lines = rotate().stdout.splitlines()
    new = lines[0]
    assert new != key
    assert run("keys", "show", "ledger.key").stdout.strip() == new
    former = folder / f"ledger.key.{key.split('+')[1]}"
    assert run("keys", "show", str(former)).stdout.strip() == key
    write()
    assert run("verify", "x.db", "--key", key, "--key", new, "--checkpoint", "anchored").stdout.startswith("verified\n")


def test_a_rotation_is_recorded_from_the_host_that_is_configured_and_by_which_failsoft(folder: Path, key: str) -> None:
    config = folder / "failsoft.toml"
    config.write_text('host = "office-1"\n' + config.read_text())
    write()
    rotate()
    with read("x.db") as reader:
        opened = [each.fields for each in reader.records("emitter.opened")]
    assert [each["host"] for each in opened] == ["office-1", "office-1"]
    assert opened[0]["lib"] == opened[1]["lib"]
    assert "failsoft" in opened[1]["lib"]


def test_a_rotations_reason_holds_no_credential_and_stands_whole(folder: Path, key: str) -> None:
    write()
    run("keys", "rotate", "--why", "AKIA" + "IOSFODNN7EXAMPLE was shown", code=0)
    with read("x.db") as reader:
        *_, record = reader.records("key.rotated")
    assert record.fields["why"] == "[redacted: aws-access-key] was shown"
    for wrong in (" ", "x" * 513):
        assert "not rotated: " in run("keys", "rotate", "--why", wrong, code=1).stderr


def test_a_rotation_that_was_interrupted_can_be_run_again(
    folder: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    write()
    real = os.replace

    def interrupted(source: Any, target: Any) -> None:
        if str(target).endswith("ledger.key"):
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", interrupted)
        CliRunner().invoke(app, ["keys", "rotate", "--why", "yearly"])
    assert run("keys", "show", "ledger.key").stdout.strip() == key
    new = rotate().stdout.splitlines()[0]
    assert run("keys", "show", "ledger.key").stdout.strip() == new
    assert run("verify", "x.db", "--key", key, "--key", new).stdout.startswith("verified\n")


def test_a_rotation_needs_no_hard_links_and_whoever_read_the_key_still_does(
    folder: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    Path("ledger.key").chmod(0o640)
    monkeypatch.setattr(os, "link", pytest.fail)
    rotate()
    assert Path("ledger.key").stat().st_mode & 0o777 == 0o640
    assert Path(f"ledger.key.{key.split('+')[1]}").stat().st_mode & 0o777 == 0o600

    def denied(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", denied)
    rotate()
    assert Path("ledger.key").stat().st_mode & 0o777 == 0o600


def test_a_rotation_that_somebody_else_finished_says_so(
    folder: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    real = os.replace

    def gone(source: Any, target: Any) -> None:
        if str(target).endswith("ledger.key"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", gone)
        said = rotate(code=1).stderr
    assert "the new key can't be put there (No such file or directory)" in said
    assert "ledger.key.new: move it there" in said
    rotate()


def test_a_rotation_to_the_same_key_is_none(folder: Path, key: str) -> None:
    write()
    Path("ledger.key.new").write_bytes(Path("ledger.key").read_bytes())
    assert "holds the ledger's own key" in rotate(code=1).stderr
    with read("x.db") as reader:
        assert len(list(reader.records("key.rotated"))) == 0
    Path("ledger.key.new").unlink()
    rotate()


def test_a_rotation_whose_new_key_was_never_written_makes_another(folder: Path, key: str) -> None:
    """Its maker was killed, or had no room: an empty file."""
    write()
    Path("ledger.key.new").touch()
    done = run("keys", "rotate", "--why", "yearly")
    assert (done.exit_code, key in done.output) == (0, False), done.output
    assert not Path("ledger.key.new").exists()


def test_a_rotation_on_a_full_disk_names_the_file(folder: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write()
    run("keys", "new", "ledger.key.new", "--name", "example.com/log")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        said = rotate(code=1).stderr
    assert re.search(r"No space left on device: '.*ledger\.key\.state'", said)
    rotate()


def test_what_cannot_be_rotated_is_told(folder: Path, key: str) -> None:
    assert "no such file" in rotate(code=1).stderr
    write()
    with Isolation.from_file("failsoft.toml", capabilities=[Double]):
        assert "a process has it open" in rotate(code=1).stderr
    assert "not rotated" in run("keys", "rotate", "--why", "y", "--actor", "\n", code=1).stderr
    (folder / "failsoft.toml").write_text('[ledger]\nurl = "sqlite:///x.db"\n')
    assert "the ledger has none that stands in a file" in rotate(code=1).stderr
    (folder / "failsoft.toml").write_text("[ledger]\nnonsense = 1\n")
    assert "nonsense" in rotate(code=1).stderr


def test_a_rotation_that_is_not_anchored_is_told(folder: Path, key: str) -> None:
    write()
    (folder / "failsoft.toml").write_text(CONFIG.replace('anchor_file = "anchored"', 'anchor_command = ["false"]'))
    assert "not anchored: false exited with 1" in rotate().stdout
