"""Salted commitments: what a record says of a payload without saying the payload.

``digest = SHA-256(tag ‖ disclosure)``, and a *disclosure* is salt, path, media type and data, each but the salt with
its length before it. The salt is fresh for each payload: equal payloads have different digests, and a guess can't be
tried.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from attrs import field, frozen

TAG = b"failsoft/field/v1\x00"
SALT_SIZE = 32

PLACE_LIMIT = 128
"""Longest path or media type, in bytes."""


@frozen
class Disclosure:
    """A payload with what it takes to check its commitment.

    Args:
        path: what it is: ``request``, ``prompt``, ``reply/2``, ``error/1``, ``response``.
        media: its media type.
        data: its exact bytes.
        salt: 32 random bytes.
    """

    path: str
    media: str
    data: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """The preimage of the commitment without its tag."""
        path, media = self.path.encode(), self.media.encode()
        return b"".join(
            (
                self.salt,
                len(path).to_bytes(4, "big"),
                path,
                len(media).to_bytes(4, "big"),
                media,
                len(self.data).to_bytes(8, "big"),
                self.data,
            )
        )

    @classmethod
    def from_bytes(cls, plain: bytes) -> Disclosure:
        """Read a disclosure.

        Raises:
            ValueError: it's cut, has trailing bytes, or a path or media type that isn't short text.
        """
        path, media, at = _places(plain)
        return cls(path, media, plain[at:], plain[:SALT_SIZE])


def digest(disclosure: bytes) -> bytes:
    """The commitment to these disclosure bytes: 32 bytes."""
    return sha256(TAG + disclosure).digest()


def is_for(disclosure: bytes, path: str) -> bool:
    """Is this a whole disclosure of the payload with that path? The data isn't copied."""
    named = _named(path)
    at = SALT_SIZE + len(named)
    if len(named) > 4 + PLACE_LIMIT or disclosure[SALT_SIZE:at] != named:
        return False
    try:
        return _begins(disclosure, _text(disclosure, at)[1])
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def _named(path: str) -> bytes:
    """How a disclosure of that path goes on after its salt."""
    written = path.encode()
    return len(written).to_bytes(4, "big") + written


def _begins(plain: bytes, at: int) -> bool:
    """Does the data begin there with its length, and fill the rest to the byte?"""
    return len(plain) == at + 8 + int.from_bytes(plain[at : at + 8], "big")


def _places(plain: bytes) -> tuple[str, str, int]:
    """Path, media type, and where the data begins, which fills the rest to the byte."""
    path, at = _text(plain, SALT_SIZE)
    media, at = _text(plain, at)
    if not _begins(plain, at):
        raise ValueError("a disclosure that is cut, or has trailing bytes")
    return path, media, at + 8


def _text(plain: bytes, at: int) -> tuple[str, int]:
    start = at + 4
    size = int.from_bytes(plain[at:start], "big")
    if size > PLACE_LIMIT:
        raise ValueError("a disclosure with a path or media type that is too long")
    return plain[start : start + size].decode(), start + size
