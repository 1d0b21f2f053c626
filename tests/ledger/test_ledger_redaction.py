"""What looks like a credential doesn't get into the ledger, and what only looks a little like one stays."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import SystemClock, completed, ledger_at, settled, started
from pydantic import BaseModel, SecretStr

from failsoft import Audit, Capability, Isolation
from failsoft.ledger.location import InFile
from failsoft.ledger.read import read
from failsoft.ledger.records.redaction import redact, redactor
from failsoft.ledger.verify import verify
from failsoft.testing import FaultTransport, faults

# Assembled here, so that no scanner of repositories takes them for real ones.
PEM = (
    "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA" + "x8Tq+/" * 20 + "==\n-----END RSA " + "PRIVATE KEY-----"
)
CREDENTIALS = {
    "private-key": PEM,
    "json-web-token": "eyJhbGciOiJIUzI1NiJ9"
    + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0."
    + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "bearer-token": "Bearer " + "ya29.a0AfH6SMBx7-x_y~z9+q/w==",
    "openai-style-key": "sk-" + "proj-Ab12Cd34Ef56Gh78Ij90",
    "aws-access-key": "AKIA" + "IOSFODNN7EXAMPLE",
    "google-key": "AIza" + "SyA-1234567890abcdefghijklmnopqrstu",
    "github-token": "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "slack-token": "xoxb-" + "123456789012-abcdefABCDEF",
    "stripe-key": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "hugging-face-token": "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh",
}
OTHERS = {"aws-access-key": "ASIA" + "IOSFODNN7EXAMPLE", "github-token": "github_pat_" + "11ABCDEFG0" * 6}


@pytest.mark.parametrize(("kind", "secret"), [*CREDENTIALS.items(), *OTHERS.items()])
@pytest.mark.parametrize("around", ["%s", "it is %s, isn't it?", '{"key":"%s"}', "key=%s\n", "https://h/?k=%s&a"])
def test_a_credential_is_taken_out_and_counted(kind: str, secret: str, around: str) -> None:
    text = around % secret if "{" not in around else json.dumps({"key": secret})
    plain, found = redact(text.encode())
    assert found == {kind: 1}
    assert plain.decode() == re.sub(r"\[redacted: .*?\]", f"[redacted: {kind}]", plain.decode())
    assert secret[8:] not in plain.decode()
    if "{" in around:
        assert json.loads(plain) == {"key": f"[redacted: {kind}]"}


def test_all_of_them_are() -> None:
    plain, found = redact("; ".join([*CREDENTIALS.values(), *OTHERS.values()]).encode())
    assert found == dict.fromkeys(CREDENTIALS, 1) | dict.fromkeys(OTHERS, 2)
    assert plain.count(b"[redacted: ") == len(CREDENTIALS) + len(OTHERS)


@pytest.mark.parametrize(
    "text",
    [
        "risk-assessment-of-2026-for-the-whole-fleet",
        "sk-learn-based-classification-model",  # no digit
        "sk-1234",
        "task sk-",
        "a bearer certificatesforeverything",
        "the bearer of 5310-00-123-4567890",
        "AKIAIOSFODNN7EXAMPL",
        "XAKIAIOSFODNN7EXAMPLE",
        "AKIAIOSFODNN7EXAMPLEX",
        "AIzaSyA",
        "eyJhbGciOiJIUzI1NiJ9 and eyJzdWIiOiIx",
        "gh is short for GitHub: ghp_short",
        "-----BEGIN PRIVATE KEY----- is how such a file begins",
        "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEAx8TqMIIEpAIBAAKCAQEAx8Tq\n-----END CERTIFICATE-----",
        "xoxb-short",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "hf_abc",
        "NUT,SELF-LOCKING,HEXAGON 5310-00-877-5797",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert redact(text.encode()) == (text.encode(), {})


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([each.encode() for each in CREDENTIALS.values()]))))
def test_what_was_redacted_once_is_left_alone_afterwards(parts: list[bytes]) -> None:
    plain, found = redact(b" ".join(parts))
    assert redact(plain) == (plain, {})
    assert sum(found.values()) == plain.count(b"[redacted: ") - b" ".join(parts).count(b"[redacted: ")


@given(st.binary(max_size=500))
def test_bytes_without_any_such_literal_are_the_same(data: bytes) -> None:
    plain, found = redact(data)
    assert found or plain == data


def recorded(path: Path, **options: bool) -> str:
    secret = CREDENTIALS["aws-access-key"]
    ledger = ledger_at(path, clock=SystemClock(), **options)
    ledger.open()
    begin = ledger.submit(started("c1", request=json.dumps({"a": secret, "b": [secret]}).encode()))
    settled(ledger.submit(completed(begin, "c1")))
    ledger.close()
    assert verify(path).exit_code == 0
    return secret


def test_of_a_ledger_no_byte_has_it_and_the_record_says_how_many(tmp_path: Path) -> None:
    secret = recorded(tmp_path / "x.db")
    assert secret.encode() not in b"".join(each.read_bytes() for each in tmp_path.iterdir())
    with read(InFile(tmp_path / "x.db")) as reader:
        start, end = reader.call("c1")
        assert start.fields["redacted"] == {"aws-access-key": 2}
        assert "redacted" not in end.fields
        kept = reader.payload(start.fields["commitments"][0]["digest"])
    assert kept is not None
    assert json.loads(kept[2]) == {"a": "[redacted: aws-access-key]", "b": ["[redacted: aws-access-key]"]}


def test_where_it_is_off_all_is_kept(tmp_path: Path) -> None:
    secret = recorded(tmp_path / "x.db", redacting=False)
    assert secret.encode() in (tmp_path / "x.db").read_bytes()
    with read(InFile(tmp_path / "x.db")) as reader:
        assert "redacted" not in reader.call("c1")[0].fields


# --- the application's own ------------------------------------------------------------------------------------------------

OWN = 'own "key/1'


@pytest.mark.parametrize("patterns", [True, False])
def test_its_own_keys_are_taken_out_whatever_they_look_like(patterns: bool) -> None:
    plain, found = redactor(lambda: [OWN, OWN + "2"], patterns=patterns)(
        f"{OWN}2 {OWN} {json.dumps(OWN)} {CREDENTIALS['aws-access-key']}".encode()
    )
    assert found == {"own-key": 3, **({"aws-access-key": 1} if patterns else {})}
    assert plain.startswith(b'[redacted: own-key] [redacted: own-key] "[redacted: own-key]"')
    assert (b"AKIA" in plain) == (not patterns)


def test_they_are_those_of_the_moment() -> None:
    keys = ["first-key"]
    redacting = redactor(lambda: keys, patterns=True)
    assert redacting(b"first-key second-key") == (b"[redacted: own-key] second-key", {"own-key": 1})
    keys[:] = ["second-key"]
    assert redacting(b"first-key second-key") == (b"first-key [redacted: own-key]", {"own-key": 1})


class Asked(BaseModel):
    nsn: Annotated[str, Audit.public]
    tags: Annotated[list[str], Audit.public]
    count: Annotated[int, Audit.public]
    text: str


class Echo(Capability[Asked, str]):
    """Say it again."""

    def fallback(self, request: Asked) -> str:
        return request.text


@pytest.mark.parametrize("kept", [True, False])
def test_of_a_call_no_byte_has_the_key_that_it_is_made_with(tmp_path: Path, kept: bool) -> None:
    own, pasted = "unread-key-0001", CREDENTIALS["github-token"]
    config = {
        "ledger": {"url": f"sqlite:///{tmp_path}/x.db", "redact": not kept},
        "adapters": {
            "gpt": {"provider": "openai", "model": "gpt-4.1-2025-04-14", "api_key": SecretStr(own), "attempts": 1}
        },
        "capabilities": {"echo": {"adapters": ["gpt"]}},
    }
    asked = Asked(nsn=f"5310 {own}", tags=[pasted, "x"], count=2, text=f"is {own} or {pasted} a key?")
    with Isolation(config, capabilities=[Echo], sync_transport=FaultTransport(faults.SERVER_ERROR)) as isolation:
        assert isolation[Echo].sync(asked).value == asked.text
    everything = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert own.encode() not in everything
    assert (pasted.encode() in everything) == kept
    with read(InFile(tmp_path / "x.db")) as reader:
        (start,) = reader.records("call.started")
    told = pasted if kept else "[redacted: github-token]"
    assert start.fields["facts"] == {"nsn": "5310 [redacted: own-key]", "tags": [told, "x"], "count": 2}
    assert start.fields["redacted"] == {"own-key": 3, **({} if kept else {"github-token": 3})}
    assert verify(tmp_path / "x.db").exit_code == 0
