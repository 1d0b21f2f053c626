"""Ed25519 keys: making, keeping, signing and verifying. Needs the extra ``signing`` (cryptography), when it's used.

A key file holds one line, ``PRIVATE+KEY+<name>+<id, hex>+<base64(01 ‖ seed)>``: the private form of signed-note keys, as
Go's ``golang.org/x/mod/sumdb/note`` writes them. Whoever has it can sign any history: it belongs where the database isn't.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from attrs import field, frozen

from failsoft.errors import ConfigurationError
from failsoft.ledger.format.note import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Note,
    NoteInvalid,
    Signature,
    VerifierKey,
    decode64,
    is_key_name,
)

SEED_SIZE = 32
_SIGNATURE_SIZE = 64
_TIME_SIZE = 8


def _ed25519() -> Any:
    try:
        return import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    except ImportError:
        raise ConfigurationError(
            'cryptography isn\'t installed: install the extra `signing` ("failsoft[signing]")'
        ) from None


@frozen
class SigningKey:
    """A log's private key.

    Args:
        name: the log's origin; printable ASCII without white space or ``+``.
        seed: 32 bytes.

    Raises:
        ValueError: name or seed can't be one.
        ConfigurationError: the extra ``signing`` isn't installed.
    """

    name: str
    seed: bytes = field(repr=False)
    _private: Any = field(init=False, repr=False, eq=False)
    verifier: VerifierKey = field(init=False)

    def __attrs_post_init__(self) -> None:
        if not (self.name.isascii() and is_key_name(self.name) and len(self.seed) == SEED_SIZE):
            raise ValueError("a key has a name (printable ASCII, no white space, no +) and 32 bytes")
        private = _ed25519().Ed25519PrivateKey.from_private_bytes(self.seed)
        object.__setattr__(self, "_private", private)
        public = private.public_key().public_bytes_raw()
        object.__setattr__(self, "verifier", VerifierKey(self.name, ED25519, public))

    def to_text(self) -> str:
        """As a key file holds it, without a line's end. It's the secret."""
        return f"PRIVATE+KEY+{self.name}+{self.verifier.id.hex()}+{b64encode(bytes([ED25519]) + self.seed).decode()}"

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read what `to_text` wrote.

        Raises:
            NoteInvalid: it isn't one; the message quotes nothing of it.
            ConfigurationError: the extra ``signing`` isn't installed.
        """
        parts = text.split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise NoteInvalid("not a signing key: `failsoft keys new` makes one")
        data = decode64(parts[4])
        if len(data) != 1 + SEED_SIZE or data[0] != ED25519:
            raise NoteInvalid("a signing key of another kind than Ed25519")
        try:
            key = cls(parts[2], data[1:])
        except ValueError as error:
            raise NoteInvalid(str(error)) from None
        if key.verifier.id.hex() != parts[3]:
            raise NoteInvalid("a signing key whose id isn't the one of its name and key")
        return key

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        signature: bytes = self._private.sign(message)
        return signature

    def sign_note(self, text: str) -> Note:
        """A note with this text, signed by this key alone."""
        return Note(text, (Signature(self.name, self.verifier.id, self.sign(text.encode())),))


class Keepable(Protocol):
    """A secret as a line of text."""

    def to_text(self) -> str:
        """The line, without its end."""
        ...


def write_key(path: Path, key: Keepable) -> None:
    """Make a key's file, for its owner's eyes only.

    Raises:
        OSError: it can't be made; it's there already (`FileExistsError`): a key is never overwritten.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(key.to_text().encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)  # half a key would stand in the way of the next try
        raise


def verify(key: VerifierKey, message: bytes, signature: bytes) -> bool:
    """Is this the key's signature of this message?

    Raises:
        ConfigurationError: the extra ``signing`` isn't installed.
    """
    from_bytes = _ed25519().Ed25519PublicKey.from_public_bytes
    try:
        from_bytes(key.public).verify(signature, message)
    except MemoryError:
        raise
    except Exception:  # InvalidSignature, or whatever a library says of bytes that are no key and no signature
        return False
    return True


@frozen
class Signed:
    """A checkpoint, and which of the keys at hand signed it.

    Args:
        by: keys whose signature is good: the log's and witnesses'; each once.
        seen: when the first of these witnesses saw it, in seconds since 1970; None: none of them did.
        forged: keys that a line claims, and whose signature it isn't. A note with one is to be rejected.
    """

    checkpoint: Checkpoint
    by: tuple[VerifierKey, ...]
    seen: int | None
    forged: tuple[VerifierKey, ...]

    @property
    def by_log(self) -> bool:
        """Did a key of the log sign it? One is named as the log is: another log's key says nothing of this one."""
        return any(key.is_of_log(self.checkpoint.origin) for key in self.by)


def open_checkpoint(data: bytes, keys: Sequence[VerifierKey]) -> Signed:
    """Take a signed checkpoint apart, and verify what these keys signed. Signatures of other keys are ignored.

    Raises:
        NoteInvalid: it's no signed checkpoint.
        ConfigurationError: there are keys, and the extra ``signing`` isn't installed.
    """
    note = Note.parse(data)
    checkpoint = Checkpoint.parse(note.text)
    good: dict[VerifierKey, None] = {}
    forged: dict[VerifierKey, None] = {}
    times: list[int] = []
    for key in dict.fromkeys(keys):
        for line in note.signatures:
            if not line.is_of(key):
                continue
            if not _holds(key, note.text, line):
                forged[key] = None
                continue
            good[key] = None
            if key.kind == COSIGNATURE:
                times.append(_seconds(line))
    return Signed(checkpoint, tuple(good), min(times, default=None), tuple(forged))


def _holds(key: VerifierKey, text: str, line: Signature) -> bool:
    if key.kind != COSIGNATURE:
        return len(line.data) == _SIGNATURE_SIZE and verify(key, text.encode(), line.data)
    if len(line.data) != _TIME_SIZE + _SIGNATURE_SIZE:
        return False
    return verify(key, f"cosignature/v1\ntime {_seconds(line)}\n{text}".encode(), line.data[_TIME_SIZE:])


def _seconds(line: Signature) -> int:
    return int.from_bytes(line.data[:_TIME_SIZE], "big")
