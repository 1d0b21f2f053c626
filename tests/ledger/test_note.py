"""Signed notes, checkpoints and keys: the published vectors, and every trap that a literal reader of the format fell into."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.errors import ConfigurationError
from failsoft.ledger.format.note import (
    COSIGNATURE,
    ED25519,
    MAX_NOTE,
    Checkpoint,
    Note,
    NoteInvalid,
    Signature,
    VerifierKey,
    decode64,
    key_id,
)
from failsoft.ledger.keys.ed25519 import SigningKey, open_checkpoint, verify, write_key

VECTORS = Path(__file__).parents[3] / "shared" / "spec" / "vectors" / "ledger.json"
vectors = pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors at {VECTORS.name}")

KEY = SigningKey("example.com/log", bytes(range(32)))
OTHER = SigningKey("example.com/log", bytes(range(1, 33)))
WITNESS = SigningKey("witness.example.com/w1", bytes(range(32, 64)))
WITNESS_KEY = VerifierKey(WITNESS.name, COSIGNATURE, WITNESS.verifier.public)
CHECKPOINT = Checkpoint("example.com/log", 5, bytes(range(32)))
NOTE = KEY.sign_note(CHECKPOINT.text)


def cosigned(text: str, seconds: int = 1_795_442_400) -> Signature:
    data = WITNESS.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
    return Signature(WITNESS.name, WITNESS_KEY.id, seconds.to_bytes(8, "big") + data)


@vectors
def test_the_published_note_keys_and_head_are_reproduced() -> None:
    given_vectors: dict[str, Any] = json.loads(VECTORS.read_text())["ledger"]
    log = SigningKey("example.com/failsoft-test", bytes.fromhex(given_vectors["log_seed"]))
    witness = VerifierKey.parse(given_vectors["witness_vkey"])
    assert str(log.verifier) == given_vectors["log_vkey"]
    assert str(witness) == given_vectors["witness_vkey"]
    note = given_vectors["checkpoint"].encode()
    signed = open_checkpoint(note, [log.verifier, witness])
    assert signed.by == (log.verifier, witness)
    assert signed.forged == ()
    assert signed.checkpoint == Checkpoint(log.name, 5, bytes.fromhex(given_vectors["root5"]))
    assert Note.parse(note).to_bytes() == note
    assert log.sign_note(signed.checkpoint.text).signatures[0] == Note.parse(note).signatures[0]
    assert log.sign(signed.checkpoint.head).hex() == given_vectors["head_signature"]


def test_the_example_of_the_signed_note_specification_verifies() -> None:
    """From golang.org/x/mod/sumdb/note, whose format it is."""
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = Note.parse(
        b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        b"\xe2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    assert note.signatures[0].is_of(key)
    assert verify(key, note.text.encode(), note.signatures[0].data)


# --- traps --------------------------------------------------------------------------------------------------------------


def test_a_size_is_ascii_digits_without_a_zero_before_them() -> None:
    root = b64encode(bytes(32)).decode()
    for size in ("٣", "1_0", " 7", "7 ", "+5", "-1", "05", "", "1e3", "0x1", "５", "9" * 20):
        with pytest.raises(NoteInvalid):
            Checkpoint.parse(f"example.com/log\n{size}\n{root}\n")
    assert Checkpoint.parse(f"example.com/log\n0\n{root}\n").size == 0


def test_a_line_ends_with_a_line_feed_and_with_nothing_else() -> None:
    root = b64encode(bytes(32)).decode()
    for end in ("\u2028", "\u2029", "\x85"):
        with pytest.raises(NoteInvalid):
            Checkpoint.parse(f"example.com/log{end}5{end}{root}\n")
        assert Checkpoint.parse(f"a{end}b\n5\n{root}\n").origin == f"a{end}b"  # it belongs to the line


@pytest.mark.parametrize("junk", ["\r", "\x0b", "\x0c", "\x1c", "\x00", "\x7f", "\t"])
def test_a_note_with_a_control_character_is_refused(junk: str) -> None:
    with pytest.raises(NoteInvalid, match="control"):
        Note.parse(NOTE.to_bytes().replace(b"log", b"l" + junk.encode() + b"og", 1))


def test_base64_is_taken_only_as_it_is_written() -> None:
    assert decode64("AQ==") == b"\x01"
    for text in ("AR==", "AQ", "AQ=", "A Q==", "AQ==\n", "AQ==AQ==", "A-_=", "AQ=\u003d!", "\u0661Q=="):
        with pytest.raises(NoteInvalid):
            decode64(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        b"\n\n\xe2\x80\x94 a AAAAAAA=\n",
        NOTE.to_bytes()[:-1],
        NOTE.to_bytes() + b"\n",
        NOTE.to_bytes() + b"junk\n",
        NOTE.to_bytes().replace(b"\xe2\x80\x94", b"-"),
        NOTE.to_bytes().replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94  "),
        b"\xff" + NOTE.to_bytes(),
        b"\xef\xbb\xbf".join([b"", b"\xff"]),
        CHECKPOINT.text.encode() + b"\n\xe2\x80\x94 a+b AAAAAAA=\n",
        CHECKPOINT.text.encode() + b"\n\xe2\x80\x94 a AAAA\n",
        CHECKPOINT.text.encode() + b"\n" + str(NOTE.signatures[0]).encode() * 65,
        b"x" * 65_537,
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(NoteInvalid):
        Note.parse(data)


def test_a_note_with_sixteen_signatures_and_more_is_read() -> None:
    assert len(Note.parse(Note(CHECKPOINT.text, NOTE.signatures * 64).to_bytes()).signatures) == 64


@pytest.mark.parametrize(
    "text",
    [
        "example.com/log\n5\n",
        CHECKPOINT.text + "extension\n",
        CHECKPOINT.text[:-1],
        "\n5\n" + b64encode(bytes(32)).decode() + "\n",
        "example.com/log\n5\n" + b64encode(bytes(31)).decode() + "\n",
        "example.com/log\n5\n" + b64encode(bytes(32)).decode()[:-1] + "\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(text)


def test_a_byte_order_mark_makes_another_origin() -> None:
    signed = open_checkpoint(b"\xef\xbb\xbf" + NOTE.to_bytes(), [KEY.verifier])
    assert signed.checkpoint.origin != CHECKPOINT.origin
    assert signed.forged == (KEY.verifier,)


# --- keys ---------------------------------------------------------------------------------------------------------------


def test_a_key_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert VerifierKey.parse(str(KEY.verifier)) == KEY.verifier
    assert VerifierKey.parse(str(WITNESS_KEY)) == WITNESS_KEY
    assert SigningKey.parse(KEY.to_text()) == KEY
    write_key(tmp_path / "k", KEY)
    assert (tmp_path / "k").read_text() == KEY.to_text() + "\n"
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_key(tmp_path / "k", OTHER)


def test_of_a_key_that_couldnt_be_written_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_key(tmp_path / "k", KEY)
    write_key(tmp_path / "k", KEY)


def test_no_repr_and_no_error_shows_a_seed() -> None:
    assert KEY.seed.hex() not in repr(KEY)
    assert str(KEY.seed) not in repr(KEY)
    secret = KEY.to_text()
    for text in (secret, secret[:-2], secret.replace("log+", "lag+")):
        with pytest.raises(NoteInvalid) as caught:
            VerifierKey.parse(text)
        assert secret[-20:] not in str(caught.value)


PUBLIC = b64encode(b"\x01" + bytes(32)).decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "NAME"),
        ("a", "NAME"),
        (f"a b+00000000+{PUBLIC}", "NAME"),
        (f"a\u3000b+00000000+{PUBLIC}", "NAME"),
        (f"+00000000+{PUBLIC}", "NAME"),
        (f"a+0000000+{PUBLIC}", "NAME"),
        (f"a+ABCDEF00+{PUBLIC}", "NAME"),
        (f"a+00000000+{PUBLIC}", "its id"),
        ("a+00000000+AQ", "base64"),
        ("a+00000000+AQ==", "kind"),
        (f"a+00000000+{b64encode(bytes([6]) + bytes(32)).decode()}", "kind"),
        (KEY.to_text(), "private key"),
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str, why: str) -> None:
    with pytest.raises(NoteInvalid, match=why):
        VerifierKey.parse(text)


def test_what_is_no_signing_key_is_refused() -> None:
    seed = b64encode(b"\x01" + bytes(32)).decode()
    wrong_id = f"PRIVATE+KEY+a+00000000+{seed}"
    for text, why in (
        ("", "not a signing key"),
        (str(KEY.verifier), "not a signing key"),
        ("PRIVATE+KEY+a+00000000+AQ==", "another kind"),
        (f"PRIVATE+KEY+a+00000000+{b64encode(bytes([2]) + bytes(32)).decode()}", "another kind"),
        (f"PRIVATE+KEY+\u00e9+00000000+{seed}", "printable ASCII"),
        (wrong_id, "whose id"),
    ):
        with pytest.raises(NoteInvalid, match=why):
            SigningKey.parse(text)
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey("a", b"short")


def test_without_cryptography_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(ConfigurationError, match=r"failsoft\[signing\]"):
        SigningKey("a", bytes(32))
    assert open_checkpoint(NOTE.to_bytes(), []).checkpoint == CHECKPOINT  # reading one needs no key


# --- who signed ---------------------------------------------------------------------------------------------------------


def test_only_keys_that_the_verifier_brings_count() -> None:
    both = Note(CHECKPOINT.text, (*NOTE.signatures, *OTHER.sign_note(CHECKPOINT.text).signatures))
    assert open_checkpoint(both.to_bytes(), []).by == ()
    assert open_checkpoint(both.to_bytes(), [OTHER.verifier]).by == (OTHER.verifier,)
    assert open_checkpoint(both.to_bytes(), [OTHER.verifier]).by_log
    assert open_checkpoint(NOTE.to_bytes(), [OTHER.verifier]).by == ()


def test_a_known_keys_bad_signature_is_forgery_and_an_unknown_keys_is_nothing() -> None:
    line = NOTE.signatures[0]
    forged = Note(CHECKPOINT.text, (Signature(line.name, line.id, bytes(64)),))
    assert open_checkpoint(forged.to_bytes(), [KEY.verifier]).forged == (KEY.verifier,)
    assert open_checkpoint(forged.to_bytes(), [OTHER.verifier]).forged == ()
    short = Note(CHECKPOINT.text, (Signature(line.name, line.id, line.data[:-1]),))
    assert open_checkpoint(short.to_bytes(), [KEY.verifier]).forged == (KEY.verifier,)


def test_cosignatures_are_verified_with_their_time_and_each_witness_counts_once() -> None:
    text = CHECKPOINT.text
    note = Note(text, (*NOTE.signatures, cosigned(text), cosigned(text, 7)))
    signed = open_checkpoint(note.to_bytes(), [KEY.verifier, WITNESS_KEY, WITNESS_KEY])
    assert signed.by == (KEY.verifier, WITNESS_KEY)
    line = cosigned(text)
    later = Signature(line.name, line.id, (8).to_bytes(8, "big") + line.data[8:])
    cut = Signature(line.name, line.id, line.data[:-1])
    for wrong in (later, cut):
        found = open_checkpoint(Note(text, (wrong,)).to_bytes(), [WITNESS_KEY])
        assert (found.by, found.forged, found.by_log) == ((), (WITNESS_KEY,), False)
    assert not open_checkpoint(Note(text, (line,)).to_bytes(), [WITNESS_KEY]).by_log


def test_a_head_is_no_checkpoint() -> None:
    signature = KEY.sign(CHECKPOINT.head)
    note = Note(CHECKPOINT.text, (Signature(KEY.name, KEY.verifier.id, signature),))
    assert open_checkpoint(note.to_bytes(), [KEY.verifier]).forged == (KEY.verifier,)


def test_a_key_of_another_kind_has_another_id() -> None:
    public = KEY.verifier.public
    assert key_id("a", ED25519, public) != key_id("a", COSIGNATURE, public)


@given(st.data())
def test_no_changed_byte_of_a_note_leaves_it_signed(data: st.DataObject) -> None:
    whole = bytearray(NOTE.to_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        found = open_checkpoint(bytes(whole), [KEY.verifier])
    except NoteInvalid:
        return
    assert found.by == ()


@given(st.binary(max_size=120) | st.text(max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_comes_is_a_note_or_refused(data: bytes) -> None:
    with contextlib.suppress(NoteInvalid):
        assert Note.parse(data).to_bytes() == data


@given(st.text(max_size=80))
def test_whatever_comes_is_a_key_or_refused(text: str) -> None:
    for parse in (VerifierKey.parse, SigningKey.parse):
        with pytest.raises(NoteInvalid):
            parse(text)


def test_a_note_has_a_bounded_size() -> None:
    for size, bounded in ((MAX_NOTE, False), (MAX_NOTE + 1, True)):
        with pytest.raises(NoteInvalid) as caught:
            Note.parse(b"x" * size)
        assert (f"more than {MAX_NOTE}" in str(caught.value)) is bounded
