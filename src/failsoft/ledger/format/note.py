"""Signed notes, checkpoints and the keys that are named in them: text, taken apart strictly and put together again.

Nothing here signs or verifies: see `failsoft.ledger.keys.ed25519`. Formats: C2SP signed-note, tlog-checkpoint and
tlog-cosignature.

    <origin>                            the checkpoint: three lines
    <size, decimal>
    <root, base64>
                                        an empty line
    — <key's name> <base64(key id[4] ‖ signature)>

Rules, each of which a literal reader fell into:

1. Lines end with LF and with nothing else: `str.splitlines` also ends them at U+2028, and a dozen characters more.
2. A size is ``0`` or ASCII digits that don't begin with 0: `int` takes ``+5``, ``1_0``, `` 7 `` and other scripts' digits.
3. Base64 is decoded *and* encoded again, and must be the same: the decoder drops what isn't of the alphabet, and
   doesn't look at the bits of the padding.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from hashlib import sha256

from attrs import field, frozen

from failsoft.ledger.format.merkle import HASH_SIZE

ED25519 = 0x01
"""An Ed25519 key that signs a note's text."""

COSIGNATURE = 0x04
"""An Ed25519 key of a witness, which signs the text together with a time."""

MAX_NOTE = 65_536
"""Bytes: a checkpoint with more signatures than anybody collects."""

MAX_SIGNATURES = 64
"""C2SP has verifiers accept at least 16."""

_HEAD_TAG = b"failsoft/head/v1\0"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_ID = re.compile(r"[0-9a-f]{8}")
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f\ud800-\udfff]{1,256}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_DASH = "\u2014"


class NoteInvalid(ValueError):
    """A text is no signed note, checkpoint or verifier key. The message quotes nothing of it."""


def decode64(text: str) -> bytes:
    """What this base64 stands for.

    Raises:
        NoteInvalid: it isn't the one way to write that.
    """
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise NoteInvalid("not base64") from None
    if b64encode(data).decode() != text:
        raise NoteInvalid("not base64 as it's written: bits of its padding are set")
    return data


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The four bytes by which a signature names its key."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


@frozen
class VerifierKey:
    """A public key with a name: ``<name>+<id, hex>+<base64(type ‖ key)>``.

    Args:
        name: of the log, or of the witness.
        kind: `ED25519`, or `COSIGNATURE`.
        public: 32 bytes.
    """

    name: str
    kind: int
    public: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """As signatures name it."""
        return key_id(self.name, self.kind, self.public)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.kind]) + self.public).decode()}"

    def is_of_log(self, origin: str) -> bool:
        """Is it a key of this log's own? It's named as the log is, and no witness's."""
        return self.kind == ED25519 and self.name == origin

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read what `str` wrote.

        Raises:
            NoteInvalid: it isn't one, its id isn't its own, or it's of a kind that isn't known here.
        """
        name, _, rest = text.partition("+")
        stated, _, encoded = rest.partition("+")
        if name == "PRIVATE" and stated == "KEY":
            raise NoteInvalid("a private key, where a verifier key is wanted: keep it to yourself")
        if not is_key_name(name) or _ID.fullmatch(stated) is None:
            raise NoteInvalid("not a verifier key: NAME+ID+BASE64 is one")
        data = decode64(encoded)
        if len(data) != 33 or data[0] not in (ED25519, COSIGNATURE):
            raise NoteInvalid("a key of a kind that isn't known here: Ed25519 is (01, or 04 of a witness)")
        key = cls(name, data[0], data[1:])
        if key.id.hex() != stated:
            raise NoteInvalid("its id isn't the one of its name and key: it was mistyped or put together")
        return key


@frozen
class Signature:
    """One line below a note.

    Args:
        data: what follows the key's id: 64 bytes, or 8 of time and 64 for a cosignature.
    """

    name: str
    id: bytes
    data: bytes = field(repr=False)

    def is_of(self, key: VerifierKey) -> bool:
        """Does it claim to be this key's?"""
        return (self.name, self.id) == (key.name, key.id)

    def __str__(self) -> str:
        return f"{_DASH} {self.name} {b64encode(self.id + self.data).decode()}\n"


@frozen
class Note:
    """A text and who signed it, which isn't verified.

    Args:
        text: ends with a line's end.
    """

    text: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """As it's published."""
        return f"{self.text}\n{''.join(map(str, self.signatures))}".encode()

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Take a signed note apart.

        Raises:
            NoteInvalid: it isn't one.
        """
        if len(data) > MAX_NOTE:
            raise NoteInvalid(f"not a note: {len(data)} bytes, more than {MAX_NOTE}")
        try:
            whole = data.decode()
        except UnicodeDecodeError:
            raise NoteInvalid("not a note: not UTF-8") from None
        if _CONTROL.search(whole):
            raise NoteInvalid("not a note: a control character stands in it")
        text, gap, below = whole.rpartition("\n\n")
        lines = below.split("\n")
        if not gap or not text or lines.pop() != "" or not lines:
            raise NoteInvalid("not a note: text, an empty line and signatures are one")
        if len(lines) > MAX_SIGNATURES:
            raise NoteInvalid(f"a note with {len(lines)} signatures, more than {MAX_SIGNATURES}")
        return cls(text + "\n", tuple(_signature(line) for line in lines))


@frozen
class Checkpoint:
    """A log at one moment: how many records, and the tree's root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed of it."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @property
    def head(self) -> bytes:
        """What is signed in each commit: of another domain, so that a head that was rolled back is never a checkpoint."""
        return _HEAD_TAG + self.text.encode()

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text.

        Raises:
            NoteInvalid: it's no checkpoint; one with extension lines is none here.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0] or _SIZE.fullmatch(lines[1]) is None:
            raise NoteInvalid("not a checkpoint: origin, size and root are three lines")
        root = decode64(lines[2])
        if len(root) != HASH_SIZE:
            raise NoteInvalid("not a checkpoint: its root isn't 32 bytes")
        return cls(lines[0], int(lines[1]), root)


def is_key_name(name: str) -> bool:
    """May a key have this name: 1 to 256 characters, none of them white space, a plus, a control or half of one?"""
    return _NAME.fullmatch(name) is not None


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH or not is_key_name(parts[1]):
        raise NoteInvalid("not a note: a line below it is no signature")
    data = decode64(parts[2])
    if len(data) < 5:
        raise NoteInvalid("not a note: a signature is too short")
    return Signature(parts[1], data[:4], data[4:])
