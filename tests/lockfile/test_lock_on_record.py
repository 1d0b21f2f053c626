"""``failsoft lock --why`` and ``failsoft ledger approve``: who changed what is in force, who agreed, and why."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")

from failsoft.cli import locking
from failsoft.cli.app import app
from failsoft.ledger.read import read
from failsoft.ledger.verify import verify
from failsoft.lockfile import document
from failsoft.lockfile.document import Seen, read_lock
from failsoft.lockfile.facts import with_seen
from tests.commands import CliRunner
from tests.lockfile.shop import change, isolation

BETTER = ("--why", "reads better", "--person", "j.doe")


@pytest.fixture
def folder(folder: Path) -> Iterator[Path]:
    """The application, which was locked, and started."""
    run("lock")
    with isolation(folder):
        pass
    yield folder
    assert verify("shop.db").exit_code == 0


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout if code == 0 else result.stderr


def recorded(kind: str) -> list[dict[str, Any]]:
    with read("shop.db") as reader:
        return [each.fields for each in reader.records(kind=kind)]


def renamed(folder: Path) -> None:
    change(folder, "shop/words.py", "text.lower()", "text.casefold()")


def test_what_changed_is_put_on_record_with_who_and_why(folder: Path) -> None:
    before = read_lock(Path("failsoft.lock")).digest
    renamed(folder)
    assert "on record: 5\n" in run("lock", *BETTER)
    made = read_lock(Path("failsoft.lock"))
    (told,) = recorded("lock.changed")
    assert (told["person"], told["why"]) == ("j.doe", "reads better")
    assert (told["former_sha256"], told["lock_sha256"]) == (before, made.digest)
    assert told["changed"] == ["capability grade-item: the fallback's code: changed shop.words:plain"]
    with read("shop.db") as reader:
        assert reader.artifact(made.digest) == ("application/json", made.in_force())
    with isolation(folder):
        pass
    assert recorded("config.activated")[-1]["lock_sha256"] == made.digest


def test_where_nothing_differs_nothing_is_on_record(folder: Path) -> None:
    assert "nothing differs: nothing is put on record\n" in run("lock", *BETTER)
    assert json.loads(run("lock", "--json", *BETTER))["record"] is None
    assert recorded("lock.changed") == []


def test_who_was_seen_to_answer_is_no_change(folder: Path) -> None:
    """An approval holds for what was approved, however often somebody looks who answers."""
    lock = read_lock(Path("failsoft.lock"))
    run("ledger", "approve", "--why", "w")
    seen = Seen(served="gpt-4.1-2025-04-14", grade="provider-stated", first="2026-11-01", last="2026-11-02")
    with_seen(lock, {"gpt": seen}).write(Path("failsoft.lock"))
    assert read_lock(Path("failsoft.lock")).adapters["gpt"].seen == seen
    assert "nothing differs: nothing is put on record\n" in run("lock", *BETTER)
    assert read_lock(Path("failsoft.lock")).adapters["gpt"].seen == seen
    with isolation(folder):
        pass
    (told,) = recorded("approval.recorded")
    assert {each["lock_sha256"] for each in recorded("config.activated")} == {told["lock_sha256"]} == {lock.digest}


def test_what_cannot_be_written_is_not_on_record_or_said_to_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed(folder)
    before = Path("failsoft.lock").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(document.tempfile, "mkstemp", lambda **_: (_ for _ in ()).throw(OSError(28, "no space left")))
        assert run("lock", *BETTER, code=1) == "failsoft.lock: can't be written: no space left\n"
    assert recorded("lock.changed") == []
    with monkeypatch.context() as patched:
        patched.setattr(document.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left")))
        said = run("lock", *BETTER, code=1).splitlines()
    assert said == ["failsoft.lock: can't be written: no space left", "it's on record all the same (5): run it again"]
    assert Path("failsoft.lock").read_bytes() == before
    assert [each.name for each in folder.glob(".failsoft.lock.*")] == []
    run("lock", *BETTER)
    assert len(recorded("lock.changed")) == 2


def test_a_first_lock_and_one_that_was_broken_have_none_before_them(folder: Path) -> None:
    Path("failsoft.lock").unlink()
    assert json.loads(run("lock", "--json", "--why", "found anew"))["record"] == 5
    Path("failsoft.lock").write_text("broken")
    run("lock", *BETTER)
    first, second = recorded("lock.changed")
    assert first["person"] == getpass.getuser()
    assert not {"former_sha256", "changed"} & (first.keys() | second.keys())


def test_without_a_reason_nothing_is_on_record_and_with_one_the_record_comes_first(folder: Path) -> None:
    renamed(folder)
    before = Path("failsoft.lock").read_bytes()
    assert "it can't be recorded: a reason must be given" in run("lock", "--why", " ", code=1)
    change(folder, "failsoft.toml", "sqlite:///shop.db", "sqlite:///other.db")
    assert "there is no such ledger: the application founds it as it starts" in run("lock", *BETTER, code=1)
    change(folder, "failsoft.toml", "sqlite:///other.db", "none")
    assert "the ledger is off" in run("lock", *BETTER, code=1)
    assert Path("failsoft.lock").read_bytes() == before
    change(folder, "failsoft.toml", '"none"', '"sqlite:///shop.db"')
    assert "on record" not in run("lock")
    assert Path("failsoft.lock").read_bytes() != before
    assert recorded("lock.changed") == []


@pytest.mark.parametrize("arguments", [("--check", "--why", "w"), ("--person", "p"), ("--check", "--person", "p")])
def test_options_that_do_not_go_together(folder: Path, arguments: tuple[str, ...]) -> None:
    assert "leave --verify and --why out" in (said := run("lock", *arguments, code=64)) or "--person goes with" in said


class TestApproving:
    def test_puts_the_lock_the_report_the_person_and_the_reason_on_record(self, folder: Path) -> None:
        lock = read_lock(Path("failsoft.lock"))
        (folder / "results.json").write_text('{"right":94}')
        said = run("ledger", "approve", "--why", "94 of 95", "--person", "a.smith", "--report", "results.json")
        assert said == f"approved: lock {lock.digest} (record 5)\n"
        (told,) = recorded("approval.recorded")
        report = sha256(b'{"right":94}').hexdigest()
        assert (told["lock_sha256"], told["report_sha256"]) == (lock.digest, report)
        assert (told["person"], told["why"]) == ("a.smith", "94 of 95")
        with read("shop.db") as reader:
            assert reader.artifact(report) == ("application/json", b'{"right":94}')
        assert "told by a.smith 94 of 95" in run("log", "shop.db", "--reviewer", "a.smith")

    def test_takes_another_lock_and_no_report(self, folder: Path) -> None:
        (folder / "failsoft.lock").rename("next.lock")
        run("ledger", "approve", "--why", "looked through", "--lock", "next.lock")
        (told,) = recorded("approval.recorded")
        assert told["person"] == getpass.getuser()
        assert "report_sha256" not in told

    def test_of_what_kind_a_report_is_may_be_unknown(self, folder: Path) -> None:
        (folder / "results").write_bytes(b"\0")
        run("ledger", "approve", "--why", "w", "--report", "results")
        with read("shop.db") as reader:
            assert reader.artifact(sha256(b"\0").hexdigest()) == ("application/octet-stream", b"\0")

    def test_what_cannot_be_approved_is_told(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "reason must be given" in run("ledger", "approve", "--why", "", code=1)
        assert "a person" in run("ledger", "approve", "--why", "w", "--person", "\n", code=1)
        assert "there is no lock" in run("ledger", "approve", "--why", "w", "--lock", "nowhere.lock", code=1)
        assert "nowhere.csv: can't be read: No such file" in run(
            "ledger", "approve", "--why", "w", "--report", "nowhere.csv", code=1
        )
        monkeypatch.setattr(locking, "MAX_REPORT", 2 << 20)
        (folder / "large").write_bytes(bytes((2 << 20) + 1))
        assert "has more than 2 MiB: give a summary" in run(
            "ledger", "approve", "--why", "w", "--report", "large", code=1
        )
        (folder / "large").write_bytes(bytes(2 << 20))
        assert recorded("approval.recorded") == []
        run("ledger", "approve", "--why", "w", "--report", "large")
        assert "--why" in run("ledger", "approve", code=64)
