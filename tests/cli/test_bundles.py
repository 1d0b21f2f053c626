"""`failsoft ledger bundle`, and `failsoft verify` of what it makes: as people and programs use them."""

from __future__ import annotations

import errno
import getpass
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")

from typer.testing import Result

import failsoft
from failsoft.cli import bundles, evidence, ledgers
from failsoft.cli.app import app
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts.erasure import Acting
from failsoft.ledger.bundles.bundle import verifier
from failsoft.ledger.format.merkle import Frontier, leaf_hash
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.keys.ed25519 import write_key
from failsoft.ledger.location import InDatabase, InFile, is_same
from failsoft.ledger.read import read
from failsoft.ledger.verify import verify
from failsoft.postgres_address import Address
from tests.bundled import CASE, KEY, NEXT, Office, canonical, listed, office, signed, unzipped, zipped
from tests.commands import CliRunner

VKEY = str(KEY.verifier)
INTERPRETERS = ("python3.8", "python3.9", "python3.10", "python3.12", "python3.13", "python3.14")


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def attack(path: Path, statement: tuple[str, tuple[Any, ...]]) -> None:
    """Whoever may write the file: its guards are taken away."""
    connection = sqlite3.connect(path, isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(*statement)
    connection.close()


def recompute(path: Path) -> None:
    """Leaves and head made to fit the records as they are."""
    frontier = Frontier()
    for seq, body in rows(path, "SELECT seq, body FROM ledger_record ORDER BY seq"):
        frontier.append(leaf_hash(body))
        attack(path, ("UPDATE ledger_record SET leaf = ? WHERE seq = ?", (leaf_hash(body), seq)))
    attack(path, ("UPDATE ledger_head SET frontier = ?", (frontier.to_bytes(),)))


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """The usual log, covered by a checkpoint; its key, and a configuration that names it."""
    monkeypatch.chdir(tmp_path)
    made = office(tmp_path / "x.db")
    made.publish()
    write_key(tmp_path / "x.key", KEY)
    configure("x.db")
    return made


def configure(ledger: str, key: str = 'key = { file = "x.key" }\nkey_state = "x.db.state"') -> None:
    Path("failsoft.toml").write_text(f'[ledger]\nurl = "sqlite:///{ledger}"\n{key}\n')


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def make(*arguments: str, output: str = "b.zip") -> Result:
    """Signed ones go to somebody, for something."""
    to = () if "-c" not in arguments or "--recipient" in arguments else ("--recipient", "r", "--why", "w")
    return run("ledger", "bundle", "x.db", "-o", output, *arguments, *to)


def exports() -> list[dict[str, Any]]:
    with read("x.db") as reader:
        return [each.fields for each in reader.records(kind="export.created")]


def test_a_case_is_bundled_and_verified(log: Office) -> None:
    log.close()
    shutil.copy("x.db", "before.db")
    done = make("--case", CASE["id"], "--config", "failsoft.toml", "--recipient", "r", "--question", "Why?")
    assert done.exit_code == 0, done.output
    assert "2 calls, 12 records, under a checkpoint of 12" in done.output
    assert "its own verifier says: verified" in done.output
    assert sha256(verifier()).hexdigest() in done.output
    assert f"--key '{VKEY}'" in done.output
    assert oct(Path("b.zip").stat().st_mode)[-3:] == "600"
    assert [each["why"] for each in exports()] == ["Why?"]
    found = run("verify", "b.zip", "--key", VKEY)
    assert (found.exit_code, found.output.split("\n")[0]) == (0, "verified")
    assert run("verify", "b.zip").output.startswith("self-consistent\n")
    assert run("verify", "b.zip", "--key", str(NEXT.verifier)).exit_code == 2
    assert run("verify", "b.zip", "--hashes-only").exit_code == 64
    told = json.loads(run("verify", "b.zip", "--key", VKEY, "--json").output)
    assert (told["verdict"], told["code"], told["calls"]) == ("verified", 0, 2)
    shutil.copy("before.db", "copy.db")
    wanted = ("--case", CASE["id"], "-c", "failsoft.toml", "--question", "Why?")
    assert run("ledger", "bundle", "copy.db", "-o", "again.zip", *wanted).exit_code == 0
    assert Path("again.zip").read_bytes() == Path("b.zip").read_bytes()


def test_checkpoints_and_pins_of_the_verifiers_own_are_held_against_it(log: Office) -> None:
    log.close()
    Path("kept.txt").write_bytes(log.publish() if log.log.file.is_open else checkpoint())
    assert make("--call", "c1", "-c", "failsoft.toml", "--since-checkpoint", "kept.txt").exit_code == 0
    assert run("verify", "b.zip", "--key", VKEY, "--checkpoint", "kept.txt").exit_code == 0
    root = json.loads(run("verify", "b.zip", "--json").output)["root"]
    assert run("verify", "b.zip", "--pin", f"12:{root}").exit_code == 0
    assert run("verify", "b.zip", "--pin", f"12:{'0' * 64}").exit_code == 1
    assert run("verify", "b.zip", "--pin", f"5:{'0' * 64}").exit_code == 2
    Path("junk.txt").write_bytes(b"junk")
    assert run("verify", "b.zip", "--checkpoint", "junk.txt").exit_code == 3
    assert make("--call", "c1", "--since-checkpoint", "junk.txt", output="c.zip").exit_code == 1
    assert make("--call", "c1", "--since-checkpoint", "none.txt", output="c.zip").exit_code == 64


def test_an_anchor_that_went_on_is_held_against_it_by_a_proof(log: Office) -> None:
    log.close()
    configure("x.db", 'key = { file = "x.key" }\nkey_state = "x.db.state"\nanchor_file = "anchored.txt"')
    wanted = ("--call", "c1", "-c", "failsoft.toml", "--recipient", "r", "--question", "Why?")
    assert make(*wanted).exit_code == 0
    assert make(*wanted, "--since-checkpoint", "anchored.txt", output="c.zip").exit_code == 0
    for name in ("b.zip", "c.zip"):  # that they were given away is on record, and anchored by now
        found = run("verify", name, "--key", VKEY, "--checkpoint", "anchored.txt")
        assert (found.exit_code, "`failsoft ledger extension` makes" in found.output.replace("\n", " ")) == (2, True)
    done = run("ledger", "extension", "x.db", "c.zip", "-o", "c.later", "--to", "anchored.txt")
    assert (done.exit_code, done.output) == (0, "c.later: for checkpoints of 18 records\n")
    arguments = ("--key", VKEY, "--checkpoint", "anchored.txt", "--extension", "c.later")
    assert run("verify", "c.zip", *arguments).exit_code == 0
    assert alone("c.zip", *arguments).returncode == 0
    assert run("verify", "b.zip", *arguments).exit_code == 3  # it's another bundle's
    assert run("verify", "x.db", *arguments).exit_code == 64
    told = json.loads(run("ledger", "extension", "x.db", "b.zip", "-o", "b.later", "--json").output)
    assert told == {"file": "b.later", "checkpoints": [18]}  # the ledger's newest
    assert run("verify", "b.zip", "--key", VKEY, "--extension", "none").exit_code == 3


def test_an_extension_that_cannot_be_made_says_why(log: Office) -> None:
    log.close()
    shutil.copy("x.db", "before.db")
    wanted = ("--call", "c1", "-c", "failsoft.toml", "--recipient", "r", "--question", "Why?")
    assert make(*wanted).exit_code == 0

    def extends(ledger: str, bundle: str, *more: str) -> tuple[int, str]:
        done = run("ledger", "extension", ledger, bundle, "-o", "later", *more)
        return done.exit_code, " ".join(done.output.split())

    assert extends("before.db", "b.zip") == (
        2,
        "before.db: no checkpoint is newer than the bundle's, of 12 records",
    )
    assert extends("x.db", "x.key")[0] == 3
    Path("junk").write_bytes(b"junk")
    assert extends("x.db", "b.zip", "--to", "junk")[0] == 1
    assert make(*wanted, output="c.zip").exit_code == 0
    code, said = extends("before.db", "c.zip")
    assert (code, "it was cut or rolled back, or it's a copy from before" in said) == (1, True)
    assert extends("x.db", "none.zip") == (3, "none.zip: there is no such file")
    office(Path("other.db")).close()
    code, said = extends("other.db", "b.zip")
    assert (code, "another log, or this one was forked" in said) == (1, True)
    assert extends("x.db", "b.zip")[0] == 0
    assert extends("x.db", "b.zip")[0] == 1
    files = unzipped(Path("b.zip").read_bytes())
    other = {**files, "checkpoint.txt": unzipped(Path("c.zip").read_bytes())["checkpoint.txt"]}
    Path("d.zip").write_bytes(zipped(signed(listed(other))))
    code, said = extends("x.db", "d.zip", "--to", "junk")
    assert (code, "of another size than the manifest says" in said) == (1, True)


def checkpoint() -> bytes:
    with read("x.db") as reader:
        return reader.checkpoint() or b""


def test_who_gets_it_is_put_on_record_before_the_file_is_there(log: Office) -> None:
    log.close()
    done = make("--call", "c1", "-c", "failsoft.toml", "--recipient", "auditor", "--why", "spot check", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    (record,) = exports()
    assert (record["recipient"], record["person"]) == ("auditor", getpass.getuser())
    assert record["why"] == "spot check"
    assert record["manifest_sha256"] == told["manifest_sha256"]
    assert told["sha256"] == sha256(Path("b.zip").read_bytes()).hexdigest()
    assert sha256(unzipped(Path("b.zip").read_bytes())["manifest.json"]).hexdigest() == told["manifest_sha256"]
    found = verify("x.db", keys=[KEY.verifier])
    assert found.covered == found.size
    assert [each for each in found.problems if each.index is None or each.index > 11] == []
    done = make(
        "--call", "c1", "-c", "failsoft.toml", "--recipient", "r", "--why", "w", "--person", "m.smith", output="c.zip"
    )
    assert "on record: m.smith gave it to r" in done.output


def test_calls_that_no_checkpoint_covers_are_covered_first(log: Office) -> None:
    log.call("c3", 200, "1", "2")
    log.first.start("c4", 300, case=CASE)
    log.close()
    without = make("--call", "c3")
    assert without.exit_code == 2
    assert "give the configuration that names the ledger and its key (--config)" in without.stderr
    done = make("--call", "c3", "-c", "failsoft.toml")
    assert done.exit_code == 0, done.output
    assert run("verify", "b.zip", "--key", VKEY).exit_code == 0


def test_a_call_that_is_under_way_is_not_bundled(log: Office) -> None:
    log.first.start("c4", 300, case=CASE)
    log.publish()
    log.close()
    for more in ((), ("-c", "failsoft.toml")):
        done = make("--call", "c4", *more)
        assert done.exit_code == 2
        assert "c4 has no end in the log" in done.stderr
    assert not Path("b.zip").exists()


def test_a_question_that_is_too_long_for_a_reason_is_told_before_anything_is_made(log: Office) -> None:
    log.close()
    done = make("--call", "c1", "--config", "failsoft.toml", "--recipient", "r", "--question", "x" * 513)
    assert done.exit_code == 1
    assert "at most 512 characters, not 513" in done.stderr
    assert "(--recipient, --person, --why)" in done.stderr
    make("--call", "c1", "-c", "failsoft.toml", "--recipient", "r", "--question", "x" * 513, "--why", "w")
    assert Path("b.zip").exists()


def test_no_link_is_overwritten_wherever_it_leads(log: Office) -> None:
    log.close()
    Path("b.zip").symlink_to("nowhere")
    done = make("--call", "c1", "--config", "failsoft.toml", "--recipient", "r", "--why", "w")
    assert done.exit_code == 64
    assert "b.zip is there already" in done.stderr
    with read("x.db") as reader:
        assert not list(reader.records("export.created"))


def test_a_copy_is_bundled_with_the_key_and_never_written_to(log: Office) -> None:
    log.close()
    configure("elsewhere.db")
    before = Path("x.db").read_bytes()
    assert make("--call", "c1", "--config", "failsoft.toml").exit_code == 0
    assert run("verify", "b.zip", "--key", VKEY).exit_code == 0
    done = make("--call", "c1", "-c", "failsoft.toml", "--recipient", "r", "--why", "w", output="c.zip")
    assert done.exit_code == 1
    assert "it's not the ledger of the configuration" in done.stderr
    assert not Path("c.zip").exists()
    assert not Path("c.zip.part").exists()
    assert Path("x.db").read_bytes() == before


def test_one_ledger_is_known_by_its_place(log: Office, tmp_path: Path) -> None:
    file, other = InFile(tmp_path / "x.db"), InFile(tmp_path / "none.db")
    database = InDatabase(Address.parse("postgresql://host/a"))
    assert is_same(file, InFile(Path("x.db")))
    assert not is_same(file, other)
    assert not is_same(file, database)
    assert is_same(database, InDatabase(Address.parse("postgresql://owner@host/a")))
    assert not is_same(database, InDatabase(Address.parse("postgresql://host/a?host=/run/b")))
    assert not is_same(database, InDatabase(Address.parse("postgresql://host/b")))


def test_a_ledger_that_is_named_by_its_configuration_is_given_away_by_the_same_rules(log: Office) -> None:
    log.close()

    def given(*arguments: str) -> Result:
        return run("ledger", "bundle", "failsoft.toml", "-o", "b.zip", "--call", "c1", *arguments)

    done = given()
    assert (done.exit_code, Path("b.zip").exists()) == (1, False)
    assert "--recipient: say who gets it" in " ".join(done.stderr.split())
    Path("other.toml").write_text(Path("failsoft.toml").read_text().replace("x.db", "y.db"))
    done = given("--config", "other.toml")
    assert (done.exit_code, Path("b.zip").exists()) == (1, False)
    assert "its ledger is another one than that of failsoft.toml" in " ".join(done.stderr.split())
    done = given("--recipient", "auditor", "--why", "spot check", "--json")
    assert done.exit_code == 0, done.output
    assert (json.loads(done.output)["signed"], [each["recipient"] for each in exports()]) == (True, ["auditor"])
    configure("x.db", key="")
    Path("b.zip").unlink()
    done = given()
    assert (done.exit_code, Path("b.zip").exists()) == (1, False)
    assert "ledger.key: the ledger has none" in " ".join(done.stderr.split())


def test_without_a_configuration_it_says_what_nobody_vouches_for(log: Office) -> None:
    log.close()
    done = make("--call", "c1", "--withhold", "prompt", "--withhold", "reply/*")
    assert done.exit_code == 0
    assert "its own verifier says: incomplete" in done.output
    assert "2 payloads are withheld" in done.output
    assert "not signed: nobody vouches for its question" in done.output
    assert run("verify", "b.zip").exit_code == 2
    assert "manifest.note: it isn't signed" in run("verify", "b.zip", "--key", VKEY).output
    told = json.loads(make("--call", "c2", "--disclose", "response", "--all-records", "--json", output="c.zip").output)
    assert (told["signed"], told["recipient"], told["records"]) == (False, None, 12)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 64, "say which calls"),
        (("--call", "c1", "--disclose", "request", "--withhold", "prompt"), 64, "exclude each other"),
        (("--call", "c1", "--question", "a\nb"), 64, "printable"),
        (("--call", "c1", "--question", ""), 64, "printable"),
        (("--call", "c1", "--recipient", "r", "--why", "w"), 64, "needs the ledger's key"),
        (("--call", "c1", "--person", "p"), 64, "with --recipient"),
        (("--call", "c1", "--config", "failsoft.toml"), 1, "say who gets it"),
        (("--call", "c1", "-c", "failsoft.toml", "--recipient", "r"), 64, "say what it's given away for"),
        (("--call", "c1", "-c", "failsoft.toml", "--recipient", "a\tb", "--why", "w"), 1, "control or format"),
        (
            ("--call", "c1", "-c", "failsoft.toml", "--recipient", "a", "--why", "w", "--person", "x" * 129),
            1,
            "1 to 128 bytes",
        ),
        (("--call", "c9"), 1, "no record of a call c9"),
        (("--case", "c9"), 1, "no record of a case c9"),
        (("--call", "c1", "--withhold", "promt"), 1, "no payload of these calls has the path 'promt'"),
        (("--call", "c1", "-c", "none.toml"), 1, "none.toml"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_left_behind(
    log: Office, arguments: tuple[str, ...], code: int, said: str
) -> None:
    log.close()
    done = make(*arguments)
    assert done.exit_code == code, done.output
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert not list(Path().glob("b.zip*"))
    assert exports() == []


def test_a_configuration_without_the_ledgers_key_is_no_help(log: Office) -> None:
    log.close()
    configure("x.db", "")
    assert "the ledger has none" in make("--call", "c1", "-c", "failsoft.toml").stderr
    Path("other.key").write_text("PRIVATE+KEY+junk")
    configure("x.db", 'key = { file = "other.key" }')
    assert "not a signing key" in make("--call", "c1", "-c", "failsoft.toml").stderr


def test_nothing_is_overwritten_and_a_place_that_is_none_is_told(log: Office) -> None:
    log.close()
    Path("b.zip").write_text("mine")
    assert make("--call", "c1").exit_code == 64
    assert Path("b.zip").read_text() == "mine"
    done = make("--call", "c1", output="none/b.zip")
    assert done.exit_code == 1
    assert "can't be written" in done.stderr
    Path("c.zip.part").write_text("another's")
    assert make("--call", "c1", output="c.zip").exit_code == 1
    assert Path("c.zip.part").read_text() == "another's"


def test_a_file_that_comes_in_between_is_left_alone(log: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    log.close()

    def link(*_: object) -> None:
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr(bundles.os, "link", link)
    done = make("--call", "c1")
    assert done.exit_code == 1
    assert "can't be put there" in done.stderr
    assert not list(Path().glob("b.zip*"))


@pytest.mark.parametrize("taken", [False, True])
def test_where_a_file_has_one_name_only_nothing_is_overwritten_either(
    log: Office, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    log.close()

    def link(*_: object) -> None:
        if taken:
            Path("b.zip").write_text("another's")
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    done = make("--call", "c1", "--config", "failsoft.toml", "--recipient", "auditor", "--why", "w")
    assert done.exit_code == taken
    assert not Path("b.zip.part").exists()
    if taken:
        assert Path("b.zip").read_text() == "another's"
    else:
        assert run("verify", "b.zip", "--key", VKEY).exit_code == 0


def test_a_record_that_cannot_be_made_leaves_no_file(log: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    log.close()

    def refuse(*_: object) -> None:
        raise LedgerInvalid("x.db: full")

    monkeypatch.setattr(Acting, "record", refuse)
    done = make("--call", "c1", "-c", "failsoft.toml", "--recipient", "r", "--why", "w")
    assert done.exit_code == 1
    assert "x.db: full" in done.stderr
    assert not list(Path().glob("b.zip*"))


def test_what_is_no_ledger_and_no_bundle_is_told(log: Office) -> None:
    log.close()
    Path("junk").write_bytes(b"junk")
    Path("empty").write_bytes(b"")
    for name in ("junk", "empty", "none"):
        assert run("verify", name).exit_code == 3
        assert run("ledger", "bundle", name, "--call", "c1", "-o", "b.zip").exit_code == 1
    Path("cut.zip").write_bytes(b"PK\3\4")
    found = run("verify", "cut.zip")
    assert (found.exit_code, found.output.split("\n")[0]) == (1, "tampered with")
    done = json.loads(run("verify", "cut.zip", "--json").output)
    assert done["verdict"] == "tampered with"


@pytest.mark.parametrize(
    "changes",
    [
        {"attempts": "x"},
        {"attempts": [1]},
        {"attempts": [{"adapter": {}, "pin": {}}]},
        {"source": 5},
        {"passed_over": [{}]},
        {"outcome": {"a": 1}},
        {"us": "x"},
        {"labels": {"a": 1}},
        {"refs": "x"},
        {"commitments": "x"},
        {"commitments": [{"digest": "x", "path": "y"}]},
        {"case": "x"},
        {"capability": 5},
        {"emitter": {}},
    ],
)
def test_a_ledger_whose_holder_wrote_nonsense_is_told_or_bundled_as_it_is(log: Office, changes: dict[str, Any]) -> None:
    log.close()
    body = {**json.loads(rows(Path("x.db"), "SELECT body FROM ledger_record WHERE seq = 4")[0][0]), **changes}
    attack(Path("x.db"), ("UPDATE ledger_record SET body = ? WHERE seq = 4", (canonical(body),)))
    recompute(Path("x.db"))
    attack(Path("x.db"), ("UPDATE ledger_checkpoint SET note = ?", (_signed_again(),)))
    done = make("--call", "c1", "-c", "failsoft.toml")
    assert done.exit_code in (0, 1)
    assert (done.exit_code == 0) == Path("b.zip").exists()
    assert done.exit_code == 0 or "run `failsoft verify` on it" in done.stderr


def _signed_again() -> bytes:
    with read("x.db") as reader:
        return KEY.sign_note(Checkpoint(KEY.name, reader.size, reader.root).text).to_bytes()


def test_of_a_bundle_that_found_no_room_nothing_is_left(log: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds payloads in clear, and would stand in the way of the next try."""
    log.close()
    wanted = ("--call", "c1", "-c", "failsoft.toml", "--recipient", "r", "--why", "w")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(bundles.os, "fsync", full)
        done = make(*wanted)
    assert (done.exit_code, "No space left on device" in done.stderr) == (1, True)
    assert not list(Path().glob("b.zip*"))
    Path("b.zip.part").touch()
    done = make(*wanted)
    assert (done.exit_code, "somebody is making this bundle, or was cut off" in done.stderr) == (1, True)
    Path("b.zip.part").unlink()
    assert make(*wanted).exit_code == 0


def test_a_bundle_that_grows_beyond_what_is_read_is_unusable(log: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from failsoft.ledger.bundles import verify_bundle

    log.close()
    assert make("--call", "c1").exit_code == 0
    monkeypatch.setattr(verify_bundle, "MAX_BYTES", 100)
    done = run("verify", "b.zip", "--json")
    assert done.exit_code == 3
    assert "or larger than" in json.loads(done.output)["problems"][0]


# --- verify.py as a command --------------------------------------------------------------------------------------------------


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    Path("verify.py").write_bytes(verifier())
    command = [sys.executable, "-I", "-S", "verify.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"})


def test_the_standalone_command_says_the_same_as_failsoft(log: Office) -> None:
    log.close()
    make("--call", "c1", "-c", "failsoft.toml", "--question", "Wären’s zwei?")
    Path("kept.txt").write_bytes(checkpoint())
    for arguments in ((), ("--key", VKEY), ("--key", VKEY, "--checkpoint", "kept.txt"), ("--json",)):
        one, other = alone("b.zip", *arguments), run("verify", "b.zip", *arguments)
        assert (one.returncode, one.stdout.split()) == (other.exit_code, other.output.split())
    assert alone("none.zip").returncode == 3
    assert alone("b.zip", "--key", "junk").returncode == 64
    assert alone("b.zip", "--pin", "junk").returncode == 64
    assert alone("b.zip", "--pin", f"12:{'0' * 64}").returncode == 1
    assert alone().returncode == 64
    assert alone("b.zip", "--checkpoint", "none").returncode == 3
    assert os.path.exists("b.zip")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there's no /dev/full here")
def test_the_standalone_command_on_a_full_disk_says_nothing_of_the_bundle(log: Office) -> None:
    log.close()
    make("--call", "c1", "-c", "failsoft.toml")
    Path("verify.py").write_bytes(verifier())
    for more in ((), ("--json",)):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "verify.py", "b.zip", *more],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert (done.returncode, done.stderr) == (3, "standard output can't be written (No space left on device)\n")
    command = ["sh", "-c", f"{sys.executable} -I -S verify.py b.zip >&-"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (3, "standard output can't be written (closed)\n")
    for arguments, outputs, code in (
        ("b.zip", ">/dev/full 2>/dev/full", 3),
        ("b.zip --json", ">/dev/full 2>&1", 3),
        ("b.zip", ">&- 2>&-", 3),
        ("b.zip", "2>/dev/full", 0),
        ("-h", ">/dev/full", 3),
        ("-h", ">/dev/full 2>/dev/full", 3),
        ("-h", ">&-", 3),
        ("-h", "", 0),
        ("--what", "2>/dev/full", 64),
        ("b.zip --key junk", ">/dev/full 2>/dev/full", 64),
        ("--what", "2>&-", 64),
    ):
        command = ["sh", "-c", f"{sys.executable} -I -S verify.py {arguments} {outputs}"]
        assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == code, (arguments, outputs)
    for arguments, code in (("-h", 3), ("b.zip", 0)):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([sys.executable, "-I", "-S", "verify.py", arguments], stdout=writer)
        os.close(writer)
        assert done.returncode == code


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux limits it")
def test_neither_command_takes_a_lack_of_memory_for_tampering(log: Office) -> None:
    import resource

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    log.close()
    make("--call", "c1", "-c", "failsoft.toml")
    Path("verify.py").write_bytes(verifier())
    with open("large.zip", "wb") as file:
        file.write(b"PK\3\4")
        file.truncate(600 << 20)
    own = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(failsoft.__file__))}
    for command in (("-I", "-S", "verify.py", "large.zip"), ("-m", "failsoft", "verify", "large.zip")):
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=False, preexec_fn=little, env=own
        )
        assert (done.returncode, "there isn't enough memory" in done.stdout + done.stderr) == (3, True), done.stderr
        assert "Traceback" not in done.stderr
        small = [sys.executable, *command[:-1], "b.zip"]  # for which there's enough
        assert subprocess.run(small, capture_output=True, preexec_fn=little, env=own).returncode == 0


def test_no_command_takes_a_lack_of_memory_for_a_finding(log: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: object, **__: object) -> None:
        raise MemoryError

    log.close()
    for name in ("verify_ledger", "look"):
        monkeypatch.setattr(evidence, name, hungry)
    monkeypatch.setattr(ledgers, "attest", hungry)
    for code, *command in (
        (3, "verify", "x.db"),
        (3, "verify", "x.db", "--json"),
        (3, "ledger", "monitor", "seen", "x.db"),
        (2, "ledger", "attest", "x.db", "--never", "provider=openai", "--since", "2026-01-01"),
    ):
        done = run(*map(str, command))
        assert (done.exit_code, done.stderr) == (code, "there isn't enough memory to find that out\n")


def test_other_pythons_say_the_same(log: Office) -> None:
    log.close()
    make("--call", "c1", "-c", "failsoft.toml", "--question", "Wären’s zwei?")
    Path("verify.py").write_bytes(verifier())
    expected = run("verify", "b.zip", "--key", VKEY).output.split()
    path = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    here = [each for each in INTERPRETERS if shutil.which(each)]
    here = [each for each in here if subprocess.run([each, "-V"], capture_output=True, check=False).returncode == 0]
    if not here:
        pytest.skip(f"none of {', '.join(INTERPRETERS)} is here")
    for python in here:
        command = [python, "-I", "-S", "verify.py", "b.zip", "--key", VKEY]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == expected, python


def test_a_log_says_which_call_a_record_is_of_its_case_and_who_asked(log: Office) -> None:
    log.close()
    lines = run("log", "x.db", "--all").output.splitlines()
    started = next(each for each in lines if " call.started " in each)
    completed = next(each for each in lines if " call.completed " in each)
    assert started.endswith(f"[call c1, case {CASE['id']}, for j.doe]")
    assert completed.endswith(f"[call c1, case {CASE['id']}]")
    assert not next(each for each in lines if " emitter.opened " in each).endswith("]")
