"""What looks like a credential doesn't get into the ledger, and what only looks a little like one stays."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import SystemClock, completed, ledger_at, settled, started
from pydantic import BaseModel, SecretStr

from failsoft import Audit, Capability, Isolation
from failsoft.audit import AuditPlan, Marks
from failsoft.context import CallContext, Case
from failsoft.core.evidence import LedgerTransferred
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts.erasure import Acting, erase, hold
from failsoft.ledger.location import InFile
from failsoft.ledger.read import read
from failsoft.ledger.records.facts import told
from failsoft.ledger.records.own_keys import without
from failsoft.ledger.records.redaction import redact, redactor
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.verify import verify
from failsoft.testing import FaultTransport, faults

# Assembled here, so that no scanner of repositories takes them for real ones.
LINE = "MIIEpAIBAAKCAQEAx8Tq+/" + "x8Tq+/" * 7
BEGIN, END = "-----BEGIN RSA " + "PRIVATE KEY-----", "-----END RSA " + "PRIVATE KEY-----"
PEM = f"{BEGIN}\n{LINE}\n{'x8Tq+/' * 10}\nx8Tq+w==\n{END}"
CREDENTIALS = {
    "private-key": PEM,
    "json-web-token": "eyJhbGciOiJIUzI1NiJ9"
    + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0."
    + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "bearer-token": "Bearer " + "ya29.a0AfH6SMBx7Kd93hQpLm-x_y~z9+q/w==",
    "openai-style-key": "sk-" + "proj-Ab12Cd34Ef56Gh78Ij90",
    "aws-access-key": "AKIA" + "IOSFODNN7EXAMPLE",
    "google-key": "AIza" + "SyA-1234567890abcdefghijklmnopqrstu",
    "github-token": "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "slack-token": "xoxb-" + "123456789012-abcdefABCDEF",
    "stripe-key": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "hugging-face-token": "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh",
}
OTHERS = {
    "aws-access-key": "ASIA" + "IOSFODNN7EXAMPLE",
    "github-token": "github_pat_" + "11ABCDEFG0" * 6,
    "bearer-token": "bearer " + "550e8400-e29b-41d4-a716-446655440000",
    "stripe-key": "rk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
}
ALL = [*CREDENTIALS.items(), *OTHERS.items()]


@pytest.mark.parametrize(("kind", "secret"), ALL)
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
    assert plain.count(b"[redacted: ") == len(ALL)


BEFORE = {
    "a line's end": "A=1\n%s",
    "a line's end in JSON": r'{"t":"A=1\n%s\n"}',
    "a tab in JSON": r'{"t":"A=1\t%s\t"}',
    "a return in JSON": r'{"t":"A=1\r%s\r"}',
    "a return and a line's end in JSON": r'{"t":"A=1\r\n%s\r\n"}',
    "a line's end by its number": r'{"t":"A=1\u000a%s\u000A"}',
    "a line's end in JSON in JSON": r'{"t":"{\"u\":\"A=1\\n%s\\n\"}"}',
    "a line's end by its number in JSON in JSON": r'{"t":"{\"u\":\"A=1\\u000a%s\"}"}',
    "a backslash in JSON": r'{"t":"\\%s"}',
    "a backslash": r"\%s",
}


@pytest.mark.parametrize(("kind", "secret"), ALL)
@pytest.mark.parametrize("before", BEFORE.values(), ids=list(BEFORE))
def test_it_is_after_whatever_is_no_letter_and_json_stays_json(kind: str, secret: str, before: str) -> None:
    depth = before.count('{"')
    depth += r"{\"" in before
    written = secret
    for _ in range(depth):
        written = json.dumps(written)[1:-1]
    plain, found = redact((before % written).encode())
    assert found == {kind: 1}
    assert b"x8Tq" not in plain
    assert secret[8:].encode() not in plain
    if depth:
        (text,) = json.loads(plain).values()
    if depth > 1:
        json.loads(text)


@pytest.mark.parametrize(("kind", "secret"), [each for each in ALL if each[0] != "private-key"])
@pytest.mark.parametrize("letter", ["n", "A", "0"])
def test_a_letter_before_it_makes_it_a_word(kind: str, secret: str, letter: str) -> None:
    text = f'{{"t":"{letter}{secret}"}}'.encode()
    assert redact(text) == (text, {})


@pytest.mark.parametrize("text", [r'{"t":"a\%s"}', r'{"t":"{\"u\":\"a\\%s\"}"}'])
@pytest.mark.parametrize("secret", [OTHERS["bearer-token"], OTHERS["stripe-key"]])
def test_of_an_escape_that_its_first_letter_may_be_none_is_taken(text: str, secret: str) -> None:
    plain, found = redact((text % secret).encode())
    assert sum(found.values()) == 1
    (decoded,) = json.loads(plain).values()
    if decoded.startswith("{"):
        (decoded,) = json.loads(decoded).values()
    assert decoded.startswith(f"a{json.loads(chr(34) + chr(92) + secret[0] + chr(34))}[redacted: ")


def test_the_letters_of_an_escapes_number_begin_no_credential() -> None:
    text = rb'{"t":"\u00bearer aB3aB3aB3aB3aB3aB3aB3"}'
    assert redact(text) == (text, {})


# --- private keys -------------------------------------------------------------------------------------------------------

PGP = (
    PEM.replace("RSA ", "PGP ").replace("KEY-----", "KEY BLOCK-----").replace("-----\n", "-----\nVersion: X 1.2\n\n", 1)
)
WHOLE = {
    "as it is": PEM,
    "with returns": PEM.replace("\n", "\r\n"),
    "deeply indented": PEM.replace("\n", "\n" + " " * 40),
    "by tabs": PEM.replace("\n", "\n\t\t"),
    "on one line": PEM.replace("\n", " "),
    "encrypted": PEM.replace("\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\n", 1),
    "of PGP": PGP,
}


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("key", WHOLE.values(), ids=list(WHOLE))
def test_of_a_private_key_all_is_taken_out_to_its_end(key: str, depth: int) -> None:
    text, expected = f'"{key}"\nabc', '"[redacted: private-key]"\nabc'
    for _ in range(depth):
        text, expected = json.dumps(text), json.dumps(expected)
    assert redact(text.encode()) == (expected.encode(), {"private-key": 1})


def test_so_it_is_where_json_writes_its_slashes_with_a_backslash() -> None:
    text = json.dumps({"t": PEM}).replace("/", r"\/")
    assert redact(text.encode()) == (b'{"t": "[redacted: private-key]"}', {"private-key": 1})


AFTER = [
    '" is cut',
    "\nThis is the whole contract text in words without any punctuation at all",
    "\nInternationalisation and Verantwortungsbereiche\nBundesverteidigungsministerium\n",
    "\\",
    "",
]


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize(
    "lines", [(LINE,), (LINE, LINE), (LINE, LINE[:30]), (LINE[:20],), ("   " + LINE, "   " + LINE)]
)
def test_of_one_without_its_end_the_lines_are_and_no_word_after_them(
    lines: tuple[str, ...], after: str, depth: int
) -> None:
    text, expected = "\n".join(("a", BEGIN, *lines)) + after, "a\n[redacted: private-key]" + after
    for _ in range(depth):
        text, expected = json.dumps(text), json.dumps(expected)
    assert redact(text.encode()) == (expected.encode(), {"private-key": 1})


@pytest.mark.parametrize("before", ["", "a-b_1-", "Verantwortungsbereich-", "20261123140000123456-", "a1-" * 60])
@pytest.mark.parametrize("run", ["Ab12Cd34Ef56Gh78", "1234567890abcdef", "abcdefghijklmnop1"])
def test_the_run_by_which_a_key_is_known_may_stand_anywhere_in_it(before: str, run: str) -> None:
    assert redact(f"sk-{before}{run}-tail".encode()) == (b"[redacted: openai-style-key]", {"openai-style-key": 1})
    assert redact(f"Bearer {before}{run}/tail".encode()) == (b"[redacted: bearer-token]", {"bearer-token": 1})


NONE = [
    "risk-assessment-of-2026-for-the-whole-fleet",
    "sk-washer-lock-spring-10mm",
    "sk-SK-translation-2026-11",
    "sk-Klassifikationsmodell-5310-20261123140000123456",
    "the bearer MS21083N4/AN960-10L/NAS1149",
    "bearer Verantwortungsbereich/5310-00-877",
    "weighs_9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
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
    "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEMIIDdzCCAl+gAwIBAgIE\n-----END CERTIFICATE-----",
    "xoxb-short",
    "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "hf_abc",
    "NUT,SELF-LOCKING,HEXAGON 5310-00-877-5797",
]


@pytest.mark.parametrize("text", NONE)
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


# --- JSON stays JSON ----------------------------------------------------------------------------------------------------

APART = st.sampled_from(
    [" ", "\n", "\t", "\r\n", "\b", "\f", '"', "\\", ": ", "=", "\u2028", "\x01", '\\"', "\\n", ", "]
)
# None ends in a backslash: whether the next one is its own or begins an escape, nobody can tell.
OWNS = ['own "key\\1/', "nvapi-own-key-01", "12345678", "\\rk-own-key", "schlüssel-eins"]
SECRETS = st.sampled_from([secret for _, secret in ALL])
CUT = st.integers(len(BEGIN) + 17, len(PEM) - 1).map(lambda size: PEM[:size])
PROSE = st.one_of(
    st.sampled_from([each for each in NONE if not any(secret[8:] in each for _, secret in ALL)]),
    st.text(max_size=20).filter(lambda text: "own" not in text),
)
TEXTS = st.lists(st.tuples(st.one_of(SECRETS, CUT, PROSE, st.sampled_from(OWNS)), APART).map("".join), max_size=8).map(
    "".join
)


def texts_in(value: object) -> Iterator[str]:
    """Every text and number of a document, and of the documents in its texts."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from (*texts_in(name), *texts_in(each))
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, str) and value.startswith('{"c": '):
        yield from texts_in(json.loads(value))  # as it's written, an escape may look like the end of a key
    else:
        yield str(value)


@settings(max_examples=400)
@given(TEXTS, st.integers(0, 10**12), st.booleans())
def test_whatever_is_taken_out_json_stays_json_and_no_secret_is_left(text: str, number: int, ascii_only: bool) -> None:
    inner = json.dumps({"c": text, "d": number}, ensure_ascii=ascii_only)
    written = json.dumps({"a": text, "b": [inner], text: number, "e": {"f": inner}}, ensure_ascii=ascii_only)
    plain, _ = redactor(lambda: OWNS, patterns=True)(written.encode("utf-8", "backslashreplace"))
    left = "\0".join(texts_in(json.loads(plain)))
    for each in (*OWNS, *(secret[8:] for _, secret in ALL), LINE[:16]):
        assert each not in left


@given(st.lists(st.tuples(st.sampled_from(NONE), APART).map("".join)).map("".join), st.integers(0, 9999999))
def test_what_holds_no_secret_is_the_same_to_the_byte(text: str, number: int) -> None:
    inner = json.dumps({"c": text}, indent=1)
    data = json.dumps({"a": text, "b": [inner], text: number, "z": 1e22}, indent=3).encode()
    assert redactor(lambda: OWNS, patterns=True)(data) == (data, {})


@pytest.mark.parametrize(
    "part",
    [
        *("Bearer ", "bearer a", "sk-", "sk-a1-", "eyJaaaaaaaa.", ".eyJ", "AKIA", "xoxb-", "ghp_", "hf_", "sk_live_"),
        *(r"\bearer ", "\\", r"\n", r"\u000a", "a1", "A", "=", " ", "\n", r"\/"),
        *(
            "-----BEGIN ",
            BEGIN,
            BEGIN + "\n" + LINE + "\n",
            BEGIN + "\nA: ",
            BEGIN + LINE + "\n" * 150,
            "-----BEGIN A A",
        ),
    ],
)
@pytest.mark.parametrize("first", ["", "bearer ", "sk-", "eyJ", BEGIN, BEGIN + LINE, BEGIN + "\n" + LINE + "\nab-"])
def test_a_megabyte_that_is_almost_a_credential_comes_to_an_end(first: str, part: str) -> None:
    plain, found = redact((first + part * (2**20 // len(part))).encode())
    assert plain.count(b"[redacted: ") == sum(found.values())


IN_CASE = CallContext(Case("T-1", "letter"))


def recorded(path: Path, **options: Any) -> str:
    secret = CREDENTIALS["aws-access-key"]
    ledger = ledger_at(path, clock=SystemClock(), **options)
    ledger.open()
    begin = ledger.submit(started("c1", request=json.dumps({"a": secret, "b": [secret]}).encode(), context=IN_CASE))
    settled(ledger.submit(completed(begin, "c1", context=IN_CASE)))
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
    secret = recorded(tmp_path / "x.db", redact=redactor(tuple, patterns=False))
    assert secret.encode() in (tmp_path / "x.db").read_bytes()
    with read(InFile(tmp_path / "x.db")) as reader:
        assert "redacted" not in reader.call("c1")[0].fields


def test_what_a_person_says_in_a_record_itself_holds_no_credential_either(tmp_path: Path) -> None:
    """It can't be erased from there."""
    secret = recorded(tmp_path / "x.db")
    acting = Acting(tmp_path / "x.db", SystemClock(), host="worker-2")
    hold(acting, "T-1", held=True, person="u-7", why=f"claim: {secret}, ñ")
    hold(acting, "T-1", held=False, person="u-7", why="over")
    erase(acting, "T-1", basis=f"asked for with {secret}", person="u-7")
    with read(InFile(tmp_path / "x.db")) as reader:
        (held,) = reader.records(Kind.LEGAL_HOLD_SET)
        (lifted,) = reader.records(Kind.LEGAL_HOLD_CLEARED)
        (erased,) = reader.records(Kind.PAYLOAD_ERASED)
    assert held.fields["why"] == "claim: [redacted: aws-access-key], ñ"
    assert held.fields["redacted"] == erased.fields["redacted"] == {"aws-access-key": 1}
    assert erased.fields["basis"] == "asked for with [redacted: aws-access-key]"
    assert (lifted.fields["why"], "redacted" in lifted.fields) == ("over", False)
    assert secret.encode() not in b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert verify(tmp_path / "x.db").exit_code == 0


@pytest.mark.parametrize(
    ("why", "problem"),
    [
        (" ", "a reason must be given"),
        ("\u200b\u202e\u00a0\t", "a reason must be given"),
        ("x" * 513, "at most 512 characters, not 513: what's said stands in the record, whole"),
        ("caf\udce9", "it isn't valid Unicode: say it in UTF-8"),
        ("\ud800", "it isn't valid Unicode"),
    ],
)
def test_a_reason_that_cant_stand_as_it_was_given_is_refused(tmp_path: Path, why: str, problem: str) -> None:
    recorded(tmp_path / "x.db")
    acting = Acting(tmp_path / "x.db", SystemClock(), host="worker-2")
    with pytest.raises(LedgerInvalid, match=problem):
        hold(acting, "T-1", held=True, person="u-7", why=why)
    for good in ("x" * 512, "x\ud7ff\ue000"):
        hold(acting, "T-1", held=True, person="u-7", why=good)
    with read(InFile(tmp_path / "x.db")) as reader:
        assert [each.fields["why"] for each in reader.records(Kind.LEGAL_HOLD_SET)] == ["x" * 512, "x\ud7ff\ue000"]


def test_the_name_of_a_place_is_told_whole(tmp_path: Path) -> None:
    recorded(tmp_path / "x.db")
    acting = Acting(tmp_path / "x.db", SystemClock(), host="worker-2")
    acting.record(LedgerTransferred("/" + "x" * 4095, "u-7", "w"))
    with pytest.raises(LedgerInvalid, match="at most 4096 characters"):
        acting.record(LedgerTransferred("/" + "x" * 4096, "u-7", "w"))


# --- the application's own ------------------------------------------------------------------------------------------------

OWN = 'own "key/1'
LONG = "unread-key-0001-0123456789-abcdefghij"


@pytest.mark.parametrize("patterns", [True, False])
def test_its_own_keys_are_taken_out_whatever_they_look_like(patterns: bool) -> None:
    plain, found = redactor(lambda: [OWN, OWN + "2"], patterns=patterns)(
        f"{OWN}2 {OWN} {json.dumps(OWN)} {CREDENTIALS['aws-access-key']}".encode()
    )
    assert found == {"own-key": 3, **({"aws-access-key": 1} if patterns else {})}
    assert plain.startswith(b'[redacted: own-key] [redacted: own-key] "[redacted: own-key]"')
    assert (b"AKIA" in plain) == (not patterns)


AS_WRITTEN = "sk+Zx/91+abc&<DEF>/ghi=="


def php(document: object) -> str:
    return json.dumps(document).replace("/", r"\/")


def dotnet(document: object) -> str:
    text = json.dumps(document)
    for each in "+&<>=":
        text = text.replace(each, rf"\u{ord(each):04X}")
    return text


def go(document: object) -> str:
    text = json.dumps(document)
    for each in "&<>":
        text = text.replace(each, rf"\u{ord(each):04x}")
    return text


def by_numbers(document: object) -> str:
    return re.sub(r"[^\W\d_]", lambda found: rf"\u{ord(found[0]):04x}", json.dumps(document, ensure_ascii=False))


@pytest.mark.parametrize("inner", [php, dotnet, go, by_numbers, json.dumps])
@pytest.mark.parametrize("outer", [php, dotnet, go, json.dumps])
def test_they_are_found_however_an_encoder_writes_them_and_json_stays_json(
    inner: Callable[[object], str], outer: Callable[[object], str]
) -> None:
    document = {"k": AS_WRITTEN, "é": 1}
    left = {"k": "[redacted: own-key]", "é": 1}
    redacting = redactor(lambda: [AS_WRITTEN], patterns=True)
    plain, found = redacting(inner(document).encode())
    assert (json.loads(plain), found) == (left, {"own-key": 1})
    plain, found = redacting(outer({"doc": inner(document)}).encode())
    assert (json.loads(json.loads(plain)["doc"]), found) == (left, {"own-key": 1})
    prose = f"It says: {inner(document)}"
    plain, found = redacting(outer([prose, outer(prose)]).encode())
    assert found == {"own-key": 2}
    first, second = json.loads(plain)
    assert [json.loads(each[9:]) for each in (first, json.loads(second))] == [left, left]
    plain, found = redacting(f"data: {outer([inner(document)])}\n\n".encode())
    assert (json.loads(json.loads(plain[6:])[0]), found) == (left, {"own-key": 1})


def test_they_are_those_of_the_moment() -> None:
    keys = ["first-key"]
    redacting = redactor(lambda: keys, patterns=True)
    assert redacting(b"first-key second-key") == (b"[redacted: own-key] second-key", {"own-key": 1})
    keys[:] = ["second-key"]
    assert redacting(b"first-key second-key") == (b"first-key [redacted: own-key]", {"own-key": 1})


@pytest.mark.parametrize(
    ("key", "text", "left"),
    [
        (
            "12345678",
            '{"a":"x12345678","b":12345678.5e1, "c":1}',
            '{"a":"x[redacted: own-key]","b":"[redacted: own-key].5e1", "c":1}',
        ),
        ("12345678", "12345678", '"[redacted: own-key]"'),
        ("nvapi-key", r'{"a":"\nvapi-key nvapi-key"}', r'{"a":"\nvapi-key [redacted: own-key]"}'),
        ("nvapi-key", r'{"a":"\nvapi-key"}', r'{"a":"\nvapi-key"}'),
        ("e9-own-key", r'{"a":"\u00e9-own-key"}', r'{"a":"\u00e9-own-key"}'),
        (
            "nvapi-key",
            r'{"a":"\u006evapi-key nvapi-key é\ud800"}',
            r'{"a":"[redacted: own-key] [redacted: own-key] é\ud800"}',
        ),
        ("own-key-\\", r'{"a":"own-key-\n","b":"own-key-\\"}', r'{"a":"own-key-\n","b":"[redacted: own-key]"}'),
        ('own"key-1', r'say \"own\\\"key-1\" or own"key-1', r"say \"[redacted: own-key]\" or [redacted: own-key]"),
        ("12345678", r'{"a":"{\"b\":12345678}"}', r'{"a":"{\"b\":\"[redacted: own-key]\"}"}'),
        ("nvapi-key", "\xffnvapi-key", "\xff[redacted: own-key]"),
        ("nvapi-key", "[" * 100_000 + "nvapi-key", "[" * 100_000 + "[redacted: own-key]"),
    ],
)
def test_their_bytes_are_left_where_they_are_none_and_json_stays_json(key: str, text: str, left: str) -> None:
    data, expected = (
        text.encode("utf-8" if "\xff" not in text else "latin-1"),
        left.encode("utf-8" if "\xff" not in left else "latin-1"),
    )
    plain, found = redactor(lambda: [key], patterns=True)(data)
    assert plain == expected
    assert found == ({"own-key": left.count("[redacted")} if "[redacted" in left else {})


@pytest.mark.parametrize("secret", [LONG, CREDENTIALS["github-token"]])
@pytest.mark.parametrize("before", [512 - 36, 500, 511, 600])
def test_a_public_text_is_cut_after_its_keys_are_taken_out(tmp_path: Path, secret: str, before: int) -> None:
    text = "-" * before + " " + secret
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock(), redact=redactor(lambda: [LONG], patterns=True))
    ledger.open()
    plan = AuditPlan(Marks(public=(("note",),)), Marks())
    settled(ledger.submit(started("c1", request=json.dumps({"note": text}).encode(), audit=plan)))
    ledger.close()
    with read(InFile(tmp_path / "x.db")) as reader:
        (start,) = reader.records("call.started")
    kind = "own-key" if secret == LONG else "github-token"
    assert start.fields["facts"] == {"note": f"{'-' * before} [redacted: {kind}]"[:512]}
    assert start.fields["redacted"] == {kind: 2}


def test_the_room_for_facts_is_counted_by_what_is_kept_of_them() -> None:
    longest = {f"f{number}": "x" * 100_000 for number in range(16)}
    assert told({**longest, "n": 1}, lambda _: b"y") == {"facts": {**dict.fromkeys(longest, "y"), "n": 1}}
    fields = told({**longest, "n": 1}, bytes)
    assert list(fields["facts"]) == [*(f"f{number}" for number in range(15)), "n"]
    assert fields["facts_omitted"] == 16


def test_a_public_number_that_is_a_key_is_taken_out_as_from_text() -> None:
    redacting = redactor(lambda: ["123456789012"], patterns=True)
    numbers = {"n": 123456789012, "f": -123456789012.5, "l": [1123456789012, 1], "big": 12345678901299999999, "b": True}
    assert told(numbers, lambda text: redacting(text)[0])["facts"] == {
        "n": "[redacted: own-key]",
        "f": "-[redacted: own-key].5",
        "l": ["1[redacted: own-key]", 1],
        "big": "[redacted: own-key]99999999",
        "b": True,
    }
    others = {"n": 12345678, "f": 1e22, "l": [1.5, -3], "big": 2**53, "b": False}
    assert told(others, lambda text: redacting(text)[0])["facts"] == {
        **others,
        "f": "1e+22",
        "l": ["1.5", -3],
        "big": str(2**53),
    }


class Asked(BaseModel):
    nsn: Annotated[str, Audit.public]
    tags: Annotated[list[str], Audit.public]
    count: Annotated[int, Audit.public]
    text: str


class Echo(Capability[Asked, str]):
    """Say it again."""

    def fallback(self, request: Asked) -> str:
        return request.text


def test_of_a_call_no_byte_has_what_follows_the_scheme_in_a_header(tmp_path: Path) -> None:
    token = "gateway-token-one"
    adapter = {
        "provider": "openai-compatible",
        "base_url": "http://127.0.0.1:9/v1",
        "model": "m",
        "headers": {"x-gateway-auth": SecretStr(f"Bearer {token}")},
        "attempts": 1,
    }
    config = {
        "ledger": {"url": f"sqlite:///{tmp_path}/x.db"},
        "adapters": {"gpt": adapter},
        "capabilities": {"echo": {"adapters": ["gpt"]}},
    }
    refusing = httpx.MockTransport(lambda request: httpx.Response(401, json={"error": {"message": f"not {token}"}}))
    asked = Asked(nsn=token, tags=[], count=2, text=f"is {token} a key?")
    with Isolation(config, capabilities=[Echo], sync_transport=refusing) as isolation:
        assert isolation[Echo].sync(asked).value == asked.text
    everything = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert token.encode() not in everything
    assert b"not [secret]" in everything


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


@pytest.mark.parametrize("inside", [["a\nkey-of-own"], "a\nkey-of-own", {"a": "b\nkey-of-own"}])
def test_in_a_document_in_a_text_a_key_is_looked_for_in_its_texts_too(inside: object) -> None:
    """There the letter after the backslash is no part of the key that comes after it."""
    whole = json.dumps({"text": json.dumps(inside)}).encode()
    assert without(whole, ["nkey-of-own"], b"#") == (whole, 0)
    kept, count = without(whole, ["key-of-own"], b"#")
    assert count == 1
    assert json.loads(json.loads(kept)["text"]) == json.loads(json.dumps(inside).replace("key-of-own", "#"))
