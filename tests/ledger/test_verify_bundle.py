"""The standalone verifier's own parts: Ed25519 by the published vectors, proofs, keys, and its command line."""

from __future__ import annotations

import errno
import json
import os
import random
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import pytest
from tests.bundled import KEY, NEXT, Forge, Office, bundle, listed, office, unzipped, zipped

from failsoft.ledger.bundles import verify_bundle
from failsoft.ledger.bundles.verify_bundle import (
    NEUTRAL,
    ORDER,
    SHOWN,
    P,
    Wrong,
    _add,
    _encoded,
    _point,
    decode64,
    ed25519,
    extends,
    included,
    main,
    read_key,
    unpack,
    verify,
)
from failsoft.ledger.format import merkle
from failsoft.ledger.format.note import NoteInvalid, VerifierKey
from failsoft.ledger.keys.ed25519 import SigningKey

VECTORS = [  # RFC 8032, 7.1: public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
VKEY = str(KEY.verifier)


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_ed25519_is_that_of_the_rfc(public: str, message: str, signature: str) -> None:
    key, said, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519(key, said, signed)
    assert not ed25519(key, said + b"x", signed)
    assert not ed25519(key[:31], said, signed)
    assert not ed25519(key, said, signed[:63])
    for place in (0, 31, 32, 63):
        changed = bytearray(signed)
        changed[place] ^= 1
        assert not ed25519(key, said, bytes(changed))
    s = int.from_bytes(signed[32:], "little") + ORDER
    assert not ed25519(key, said, signed[:32] + s.to_bytes(32, "little"))


def test_a_key_has_one_encoding() -> None:
    """Of y = 0, a point of order 4: the prime itself would stand for it too, and a signature be made without a secret."""
    point = _point(bytes(32))
    assert point is not None
    multiples = [NEUTRAL]
    for _ in range(3):
        multiples.append(_add(multiples[-1], point))
    accepted = {False: 0, True: 0}
    for canonical in (True, False):
        public = bytes(32) if canonical else P.to_bytes(32, "little")
        for number in range(40):
            message = bytes([number])
            for r in map(_encoded, multiples):
                k = int.from_bytes(sha512(r + public + message).digest(), "little") % ORDER
                if _encoded(multiples[-k % 4]) == r:
                    accepted[canonical] += ed25519(public, message, r + bytes(32))
    assert accepted[True] > 0
    assert accepted[False] == 0


def test_ed25519_agrees_with_another_library_on_random_messages() -> None:
    chooser = random.Random(3)
    for _ in range(20):
        key, message = SigningKey("a", chooser.randbytes(32)), chooser.randbytes(50)
        assert ed25519(key.verifier.public, message, key.sign(message))
        assert not ed25519(NEXT.verifier.public, message, key.sign(message))


def test_proofs_are_judged_as_the_tree_judges_them() -> None:
    leaves = [sha256(bytes([each])).digest() for each in range(20)]
    for size in range(1, 21):
        root = merkle.over(leaves)(0, size)
        for index in range(size):
            path = merkle.inclusion_proof(merkle.over(leaves), index, size)
            assert included(leaves[index], index, size, path, root)
            for other in (path[:-1], [*path, bytes(32)], [bytes(32), *path[1:]]):
                assert other == path or not included(leaves[index], index, size, other, root)
            assert index + 1 == size or not included(leaves[index], index + 1, size, path, root)
            assert not included(leaves[index], size, size, path, root)
            assert not included(leaves[index], -1, size, path, root)
        for old in range(1, size):
            path = merkle.consistency_proof(merkle.over(leaves), old, size)
            before = merkle.over(leaves)(0, old)
            assert extends(old, before, size, root, path)
            for other in (path[:-1], [*path, bytes(32)], [bytes(32), *path[1:]], []):
                assert other == path or not extends(old, before, size, root, other)
    assert not extends(0, bytes(32), 5, bytes(32), [])
    assert not extends(5, bytes(32), 5, bytes(32), [])


KEYS = [
    "",
    "a",
    "a+b",
    "a b+00000000+AQ==",
    "a+0000000g+AQ==",
    "a+00000000+!",
    "a+00000000+é",
    "a+00000000+AR==",
    "a+00000000+AQ==",
    VKEY.replace("+AQ", "+Aw"),
    VKEY.replace("example", "\udcff"),
    "b" + VKEY,
    "PRIVATE+KEY+a+b+c",
]


@pytest.mark.parametrize("key", KEYS)
def test_what_is_no_key_is_refused_as_the_ledger_refuses_it(key: str) -> None:
    with pytest.raises(Wrong):
        read_key(key)
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(key)
    with pytest.raises(Wrong):
        verify(b"", [key])
    with pytest.raises(Wrong):
        verify(b"", former=[key])


def test_keys_are_read_as_the_ledger_reads_them() -> None:
    assert read_key(VKEY) == ("example.com/procurement", KEY.verifier.id, 1, KEY.verifier.public)
    with pytest.raises(Wrong):
        decode64("QQ=")


def test_more_than_a_bundle_may_have_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_bundle, "MAX_BYTES", 100)
    with pytest.raises(Wrong, match="1 GiB") as caught:
        unpack(b"PK\3\4" + bytes(100))
    assert caught.value.code == 3


# --- the command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.chdir(tmp_path)
    made = office(tmp_path / "x.db")
    Path("kept.txt").write_bytes(made.publish())
    made.close()
    Path("b.zip").write_bytes(bundle(made.path).data)
    return made


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    return code, capsys.readouterr().out


def test_the_command_says_what_it_found(log: Office, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = told(capsys, "b.zip", "--key", VKEY, "--checkpoint", "kept.txt")
    assert (code, said.split("\n")[0]) == (0, "verified")
    assert "2 calls, 12 records of 12 at the log's checkpoint" in said
    assert f"root {verify(Path('b.zip').read_bytes()).root}" in said
    assert "checkpoint.txt is signed by example.com/procurement+" in said
    assert "your checkpoint of 12 records is the bundle's own" in said
    assert "all records of the log up to its checkpoint are here" in said
    code, said = told(capsys, "b.zip", "--json", "--pin", f"12:{'0' * 64}")
    assert (code, json.loads(said)["verdict"]) == (1, "tampered with")
    for missing in (("none.zip",), ("b.zip", "--checkpoint", "none.txt"), (".",), ("b.zip", "--checkpoint", "\0")):
        code, said = told(capsys, *missing)
        assert (code, said.split("\n")[0]) == (3, "unusable")
    Path("empty.zip").write_bytes(b"")
    assert told(capsys, "empty.zip")[0] == 3


@pytest.mark.parametrize("arguments", [(), ("b.zip", "--key", "junk"), ("b.zip", "--pin", "5"), ("b.zip", "--what")])
def test_a_wrong_command_line_has_a_code_of_its_own(
    log: Office, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 64
    assert "usage" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_unusable(
    log: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    code, said = told(capsys, "b.zip")
    assert (code, "it can't be read" in said) == (3, True)


def test_a_reader_that_has_gone_changes_no_code(log: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> None: ...

        def flush(self) -> None:
            raise BrokenPipeError

    given: list[Any] = []
    monkeypatch.setattr(verify_bundle.sys, "stdout", Gone())
    monkeypatch.setattr(os, "dup2", lambda *arguments: given.append(arguments))
    monkeypatch.setattr(os, "open", lambda *_: 5)
    assert main(["b.zip"]) == 0
    assert given == [(5, 1)]


class Full:
    """A stream into a full disk."""

    def write(self, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_under_its_output_says_nothing_of_the_bundle(
    log: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(os, "dup2", lambda *arguments: given.append(arguments))
    monkeypatch.setattr(os, "open", lambda *_: 5)
    for stdout, why in ((Full(), "No space left on device"), (None, "closed")):
        monkeypatch.setattr(verify_bundle.sys, "stdout", stdout)
        assert main(["b.zip"]) == 3
        assert capsys.readouterr().err == f"standard output can't be written ({why})\n"
    assert given == [(5, 1)] * 2


def test_a_lack_of_memory_says_nothing_of_the_bundle(
    log: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hungry(*_: object) -> None:
        raise MemoryError

    sentence = "there isn't enough memory to look at it"
    for lacking in ("read_file", "verify"):
        with monkeypatch.context() as patched:
            patched.setattr(verify_bundle, lacking, hungry)
            assert told(capsys, "b.zip") == (3, f"unusable\n{sentence}\n")
            code, said = told(capsys, "b.zip", "--json")
            assert (code, json.loads(said)["problems"]) == (3, [[3, sentence]])


def test_both_outputs_on_a_full_disk_change_no_code(log: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(os, "dup2", lambda *arguments: given.append(arguments))
    monkeypatch.setattr(os, "open", lambda *_: 5)
    monkeypatch.setattr(verify_bundle.sys, "stdout", Full())
    monkeypatch.setattr(verify_bundle.sys, "stderr", Full())
    assert main(["b.zip"]) == 3
    assert given == [(5, 1), (5, 2)]
    for arguments, code in ((["-h"], 3), (["b.zip", "--what"], 64)):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == code
    assert given[2:] == [(5, 1), (5, 2)]


def test_help_is_told_and_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["-h"])
    assert (caught.value.code, "--extension" in capsys.readouterr().out) == (0, True)


def test_nothing_in_a_bundle_steers_a_terminal(log: Office, capsys: pytest.CaptureFixture[str]) -> None:
    forge = Forge(log.path)
    forge.call_ids = ["\u202e\x1b[2J\n", "c1", "c2"]
    forge.call_ids.sort()
    Path("b.zip").write_bytes(zipped(forge.made()))
    code, said = told(capsys, "b.zip")
    assert code == 2
    assert all(char.isprintable() or char == "\n" for char in said)
    assert "\\u202e" in said


def test_many_problems_are_counted_and_the_gravest_is_told(tmp_path: Path) -> None:
    log = office(tmp_path / "x.db")
    log.publish()
    log.close()
    files = unzipped(bundle(log.path).data)
    found = verify(zipped(listed(files, call_ids=[f"{number:04}" for number in range(150)])))
    assert (len(found.problems), found.code) == (SHOWN + 1, 1)
    assert found.problems[-1] == (1, "and 60 problems more")
    assert found.lines()[-1] == "and 60 problems more"
