"""Canonical record bytes: a profile of JSON whose bytes are the same whoever writes them.

The profile: objects, arrays, strings, booleans, integers up to 2^53 - 1 either way. No floats (a finite one is stored
as its ``repr``), no ``null`` and no empty lists (an absent thing is an absent key); keys of 1-64 characters from
``[A-Za-z0-9_.-]``; nested at most 32 deep; valid Unicode. Within it, the standard library's sorted compact dump equals
RFC 8785, and a document has exactly one encoding: so a reader re-dumps and demands the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

MAX_BYTES = 61_440
"""Cap of a record's bytes: C2SP tlog-tiles entry bundles hold at most 65,535 bytes each."""

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_keys_seen: set[str] = set()
_KEYS_KEPT = 1024  # a hostile ledger must not grow the memory of keys


class ProfileError(ValueError):
    """These bytes, or this value, are outside the profile. The message never quotes the value."""


_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode
_decode = json.JSONDecoder().decode


def dump(document: dict[str, Any], limit: int = MAX_BYTES) -> bytes:
    """The canonical bytes of a document.

    Args:
        document: of the profile.
        limit: bytes at most; a record's, where nothing else is said.

    Raises:
        ProfileError: it's outside the profile, or longer than that.
    """
    _check_object(document, 1)
    try:
        body = _encode(document).encode()
    except UnicodeEncodeError:
        raise ProfileError("text that is not valid Unicode") from None
    if len(body) > limit:
        raise ProfileError(f"{len(body)} bytes, more than {limit}")
    return body


def read(body: bytes) -> dict[str, Any]:
    """The document in these bytes.

    Raises:
        ProfileError: they aren't the canonical bytes of a document of the profile.
    """
    if len(body) > MAX_BYTES:
        raise ProfileError(f"{len(body)} bytes, more than {MAX_BYTES}")
    try:
        # A repeated key loses its first value here, so the re-dump below differs: no hook is needed to see it.
        document = _decode(body.decode())
    except (ValueError, RecursionError):
        raise ProfileError("not JSON in UTF-8") from None
    if type(document) is not dict:
        raise ProfileError("not an object")
    whole = cast("dict[str, Any]", document)
    _check_object(whole, 1)
    try:
        same = _encode(whole).encode() == body
    except UnicodeEncodeError:
        raise ProfileError("text that is not valid Unicode") from None
    if not same:
        raise ProfileError("not in canonical form")
    return whole


def array(document: dict[str, Any], key: str) -> list[Any]:
    """The array under a key of a document that was read; empty where there's none.

    Raises:
        TypeError: it's something else.
    """
    found: list[Any] = document.get(key, [])
    if type(found) is not list:
        raise TypeError
    return found


def real(value: float) -> str:
    """How a finite float is stored.

    Raises:
        ProfileError: it's not finite.
    """
    if value != value or value in (float("inf"), float("-inf")):
        raise ProfileError("a float that is not finite")
    return repr(float(value))


def _check_object(document: dict[str, Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ProfileError(f"nested deeper than {MAX_DEPTH}")
    for key, value in document.items():
        if key not in _keys_seen:
            _check_key(key)
        kind = value.__class__
        if kind is str or kind is bool:
            continue
        if kind is dict:
            _check_object(value, depth + 1)
        else:
            _check_other(value, depth)


def _check_list(items: Sequence[Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ProfileError(f"nested deeper than {MAX_DEPTH}")
    if not items:
        raise ProfileError("an empty list")
    for each in items:
        kind = each.__class__
        if kind is str or kind is bool:
            continue
        if kind is dict:
            _check_object(each, depth + 1)
        else:
            _check_other(each, depth)


def _check_other(value: Any, depth: int) -> None:
    """An integer or a list inside something at this depth, or nothing that may be there."""
    kind = value.__class__
    if kind is list:
        _check_list(value, depth + 1)
    elif kind is not int:
        raise ProfileError(f"a value of type {kind.__name__}")
    elif not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ProfileError("an integer beyond 2^53 - 1")


def _check_key(key: Any) -> None:
    if type(key) is not str or _KEY.fullmatch(key) is None:
        raise ProfileError("a key that is not 1 to 64 of A-Z a-z 0-9 _ . -")
    if len(_keys_seen) < _KEYS_KEPT:
        _keys_seen.add(key)
