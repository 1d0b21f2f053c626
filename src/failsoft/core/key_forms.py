r"""How a key of our own may be written: as it is, or as JSON writes it, however often that stands in JSON again.

Encoders differ: a slash is ``\/`` in PHP, ``+`` is ``\u002B`` in .NET, ``&`` is ``\u0026`` in Go; and any character may be
written by its number.

Most data holds no key, in no form: a few searches for literals tell that. Only where one may stand a pattern is made, and it
sees backslashes wherever a key's character may have got some. All takes time that goes with the length of the data, whatever
it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_BACKSLASH = rb"\\(?:u005[cC])*+"
"""Or its number, where JSON wrote it so."""

_BACKSLASHES = rb"(?:%b){0,15}+" % _BACKSLASH
"""As many as a character has that is encoded four times over. Without a bound the time would go with the square of them."""

_NUMBER = re.compile(rb"\\(?:u005[cC])*u00([2-7][0-9A-Fa-f])")
"""A character of ASCII."""

_CHARACTERS = {form % code: bytes([code]) for code in range(0x20, 0x80) for form in (b"%02x", b"%02X")}


def pattern_in(data: bytes, keys: Iterable[str]) -> re.Pattern[bytes] | None:
    """What finds these keys in the data, in any form, and in the texts that it holds as JSON; None where there's none.

    Args:
        data: of any media type.
        keys: not empty ones.
    """
    numbered = b"\\" in data and b"\\u00" in data
    bare = _bare(data) if numbered else data.translate(None, b"\\")
    found: list[str] = []
    for key in keys:
        plain = key.encode()
        # As it is, too: a number may end in its first letters. Numbers beyond ASCII aren't undone.
        if _bare(plain) in bare or (numbered and plain in data) or (not key.isascii() and b"\\u" in data):
            found.append(key)
    if not found:
        return None
    found.sort(key=len, reverse=True)  # one may begin with another
    return re.compile(b"|".join(_written(key, numbered=numbered or not key.isascii()) for key in found))


def _bare(data: bytes) -> bytes:
    """Without what JSON adds: the same of a key in any form."""
    return _NUMBER.sub(lambda found: _CHARACTERS[found[1]], data).translate(None, b"\\")


def _written(key: str, *, numbered: bool) -> bytes:
    """A key's pattern: of one that needn't see through numbers the making takes a fiftieth of the time."""
    first, *others = re.findall(r"\\+|[^\\]", key)
    return _first(first, numbered=numbered) + b"".join(_other(each, numbered=numbered) for each in others)


def _first(part: str, *, numbered: bool) -> bytes:
    """Begun at a literal, which is looked for fast."""
    if part[0] == "\\":
        return _backslashes(len(part))
    plain = re.escape(part).encode()
    escaped = rb"(?:%b|%b)" % (plain, _number(part)) if numbered else plain
    return rb"(?:%b|%b%b%b)" % (plain, _BACKSLASH, _BACKSLASHES, escaped)


def _other(part: str, *, numbered: bool) -> bytes:
    if part[0] == "\\":
        return _backslashes(len(part))
    plain = re.escape(part).encode()
    if numbered:  # the backslash ahead of it may have been taken for the key's own one before
        return rb"%b(?:%b|(?:(?<=\\)|(?<=u005[cC]))%b)" % (_BACKSLASHES, plain, _number(part))
    return _BACKSLASHES + plain if part in '"/' else plain


def _backslashes(count: int) -> bytes:
    """JSON doubles them each time; and the one after a key may be another's, a quotation mark's."""
    return b"(?>%b)" % b"|".join(rb"(?:%b){%d}" % (_BACKSLASH, count * times) for times in (8, 4, 2, 1))


def _number(character: str) -> bytes:
    """What follows the backslash; beyond 16 bits JSON writes two."""
    units = character.encode("utf-16-be").hex()
    each = [b"u(?i:%b)" % units[at : at + 4].encode() for at in range(0, len(units), 4)]
    return (_BACKSLASH + _BACKSLASHES).join(each)
