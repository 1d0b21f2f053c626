"""An isolation whose ledger is signed: what its configuration says, what it records, what its health tells."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from failsoft import Capability, ConfigurationError, Isolation
from failsoft.config_read import read_file, read_mapping
from failsoft.ledger.checkpoints.anchors import CommandAnchor, FileAnchor, notes_in
from failsoft.ledger.checkpoints.publishing import SECOND
from failsoft.ledger.keys.ed25519 import SigningKey, write_key
from failsoft.ledger.verify import verify
from failsoft.signing import signing_of

KEY = SigningKey("example.com/log", bytes(range(32)))


class Double(Capability[int, int]):
    """Twice as much."""

    def fallback(self, request: int) -> int:
        return 2 * request


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_key(tmp_path / "ledger.key", KEY)
    return tmp_path


def ledger(**keys: Any) -> dict[str, Any]:
    return {"ledger": {"url": "sqlite:///x.db", "key": {"file": "ledger.key"}} | keys}


def test_a_key_file_is_all_that_is_needed(folder: Path) -> None:
    draft = read_mapping(ledger(), folder)
    assert draft.problems == []
    signing = signing_of(draft.config.ledger, [])
    assert signing is not None
    assert (signing.key, signing.state, signing.anchors) == (KEY, folder / "ledger.key.state", ())
    assert (signing.records, signing.every_ns, signing.max_unanchored_age_ns) == (1000, 60 * SECOND, 60 * SECOND)
    assert draft.config.ledger.key_path == folder / "ledger.key"


def test_all_of_it_may_be_said(folder: Path) -> None:
    draft = read_mapping(
        ledger(
            key_state="elsewhere/state",
            checkpoint_records=10,
            checkpoint_every="5s",
            anchor_file="/mnt/audit/log",
            anchor_command=["tee", "a"],
            max_unanchored_age="30s",
        ),
        folder,
    )
    assert draft.problems == []
    signing = signing_of(draft.config.ledger, [])
    assert signing is not None
    assert signing.state == folder / "elsewhere/state"
    assert signing.anchors == (FileAnchor(Path("/mnt/audit/log")), CommandAnchor(("tee", "a")))
    assert (signing.records, signing.every_ns, signing.max_unanchored_age_ns) == (10, 5 * SECOND, 30 * SECOND)


def test_without_a_key_nothing_changes_and_its_settings_mean_nothing(folder: Path) -> None:
    plain = read_mapping({"ledger": {"url": "sqlite:///x.db"}}, folder)
    assert signing_of(plain.config.ledger, []) is None
    assert b"key" not in plain.config.snapshot()
    assert b"checkpoint" not in plain.config.snapshot()
    assert plain.config.ledger.state_path is None
    for name, value in (("checkpoint_records", 5), ("anchor_file", "a"), ("max_unanchored_age", "5s")):
        (problem,) = read_mapping({"ledger": {name: value}}, folder).problems
        assert f"{name} means nothing without a key" in problem


@pytest.mark.parametrize(
    "keys",
    [
        {"checkpoint_records": 0},
        {"checkpoint_every": "1ms"},
        {"max_unanchored_age": "9999h"},
        {"anchor_command": []},
        {"key": "PRIVATE+KEY+in+the+file"},
    ],
)
def test_what_is_out_of_range_is_told(folder: Path, keys: dict[str, Any]) -> None:
    assert len(read_mapping(ledger(**keys), folder).problems) == 1


def test_a_key_from_the_environment_needs_a_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_KEY", KEY.to_text())
    (problem,) = read_mapping(ledger(key={"env": "LEDGER_KEY"}), folder).problems
    assert "needs a key_state" in problem
    draft = read_mapping(ledger(key={"env": "LEDGER_KEY"}, key_state="s"), folder)
    assert signing_of(draft.config.ledger, []) is not None
    assert draft.config.ledger.key_path is None
    in_code = read_mapping(ledger(key=SecretStr(KEY.to_text()), key_state="s"), folder)
    assert signing_of(in_code.config.ledger, []) is not None
    assert KEY.to_text().encode() not in in_code.config.snapshot()


def test_a_key_that_is_none_is_a_problem_that_quotes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ledger.key").write_text("sesame")
    with pytest.raises(ConfigurationError, match=r"ledger\.key: not a signing key") as caught:
        Isolation(ledger(), capabilities=[Double])
    assert "sesame" not in str(caught.value)
    (folder / "ledger.key").unlink()
    write_key(folder / "ledger.key", KEY)
    with pytest.raises(ConfigurationError, match=r"ledger\.origin: the key is named 'example\.com/log'"):
        Isolation(ledger(origin="another"), capabilities=[Double])
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(ConfigurationError, match=r"ledger\.key: .*failsoft\[signing\]"):
        Isolation(ledger(), capabilities=[Double])


def test_paths_are_relative_to_the_file_that_they_stand_in(folder: Path) -> None:
    (folder / "base").mkdir()
    write_key(folder / "base" / "ledger.key", KEY)
    (folder / "base" / "base.toml").write_text(
        '[ledger]\nkey = { file = "ledger.key" }\nkey_state = "s"\nanchor_file = "a"\n'
    )
    (folder / "failsoft.toml").write_text('extends = "base/base.toml"\n')
    draft = read_file(folder / "failsoft.toml")
    assert draft.problems == []
    found = draft.config.ledger
    assert found.key_path == folder / "base" / "ledger.key"
    assert found.state_path == folder / "base" / "s"
    assert found.anchor_path == folder / "base" / "a"


def test_a_ledger_that_is_off_is_not_signed(folder: Path) -> None:
    assert signing_of(read_mapping(ledger(url="none"), folder).config.ledger, []) is None


def test_calls_are_recorded_signed_and_anchored(folder: Path) -> None:
    isolation = Isolation(ledger(anchor_file="anchored"), capabilities=[Double])
    assert isolation.health().checkpoints is None
    with isolation:
        assert isolation[Double].sync(4).value == 8
        health = isolation.health()
    assert health.checkpoints is not None
    assert health.checkpoints.ok
    found = verify(folder / "x.db", keys=[KEY.verifier], checkpoints=notes_in((folder / "anchored").read_bytes()))
    assert found.verdict == "verified"


def test_a_checkpoint_that_cannot_be_signed_or_anchored_is_no_good_health(folder: Path) -> None:
    (folder / "ledger.key.state.new").mkdir()
    isolation = Isolation(ledger(checkpoint_records=1), capabilities=[Double])
    with isolation:
        isolation[Double].sync(1)
        isolation[Double].sync(1)
        health = isolation.health()
    assert not health.ok
    assert health.ledger == "recording"
    assert health.checkpoints is not None
    assert health.checkpoints.problem
