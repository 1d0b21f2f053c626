"""Canonical record bytes: a profile of JSON whose bytes are the same whoever writes them.

The profile: objects, arrays, strings, booleans, integers up to 2^53 - 1 either way. No floats (a finite one is stored
as its ``repr``), no ``null`` and no empty lists (an absent thing is an absent key); keys of 1-64 characters from
``[A-Za-z0-9_.-]``; nested at most 32 deep; valid Unicode. Within it, a compact dump with sorted keys equals RFC 8785, and a
document has exactly one encoding: so a reader re-dumps and demands the same bytes. It does so in the order that it found,
which is quicker than to sort anew, and looks whether that's the right one.
"""

from __future__ import annotations

import re
from typing import Any, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

MAX_BYTES = 61_440
"""Cap of a record's bytes: C2SP tlog-tiles entry bundles hold at most 65,535 bytes each."""

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32
_TOO_DEEP = f"nested deeper than {MAX_DEPTH}"

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
"""Keys of objects that were found to be well-formed, and the same in order: a ledger has few such shapes."""

_SHAPES_KEPT, _SHAPE_LONGEST = 512, 32  # a hostile ledger must not grow their memory


class ProfileError(ValueError):
    """These bytes, or this value, are outside the profile. The message never quotes the value."""


def dump(document: dict[str, Any], limit: int = MAX_BYTES) -> bytes:
    """The canonical bytes of a document.

    Args:
        document: of the profile.
        limit: bytes at most; a record's, where nothing else is said.

    Raises:
        ProfileError: it's outside the profile, or longer than that.
    """
    if document.__class__ is not dict:
        raise ProfileError("not an object")
    try:
        body = to_json(_arranged(document, 1))
    except PydanticSerializationError:
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
        document = from_json(body, cache_strings="keys")
    except ValueError:
        raise ProfileError("not JSON in UTF-8") from None
    _check(document, 1)
    # A repeated key has lost its first value by now, and other spellings are gone: the bytes wouldn't be these.
    if to_json(document) != body:
        raise ProfileError("not in canonical form")
    return cast("dict[str, Any]", document)


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


def _arranged(document: dict[str, Any], depth: int) -> dict[str, Any]:
    """The same with its keys in order, and those of all objects in it.

    Raises:
        ProfileError: it's outside the profile.
    """
    if depth > MAX_DEPTH:
        raise ProfileError(_TOO_DEEP)
    arranged = dict[str, Any]()
    for key in _in_order(tuple(document)):
        value = document[key]
        kind = value.__class__
        if kind is dict:
            value = _arranged(value, depth + 1)
        elif kind is not str and kind is not bool and (kind is not int or not -MAX_INTEGER <= value <= MAX_INTEGER):
            value = _arranged_list(value, depth + 1)
        arranged[key] = value
    return arranged


def _arranged_list(items: Any, depth: int) -> list[Any] | str:
    """A list, or a text of a kind of its own (a StrEnum's): it's the text that it is, whatever it says of itself."""
    if isinstance(items, str):
        return str.__str__(items)
    _check_items(items, depth)
    arranged = list[Any]()
    for value in items:
        kind = value.__class__
        if kind is dict:
            value = _arranged(value, depth + 1)
        elif kind is not str and kind is not bool and (kind is not int or not -MAX_INTEGER <= value <= MAX_INTEGER):
            value = _arranged_list(value, depth + 1)
        arranged.append(value)
    return arranged


def _check(document: Any, depth: int) -> None:
    """Is what was read of the profile, and its keys in order, and those of all objects in it?"""
    if depth > MAX_DEPTH:
        raise ProfileError(_TOO_DEEP)
    if document.__class__ is not dict:
        raise ProfileError("not an object")
    keys = tuple(document)
    if _in_order(keys) != keys:
        raise ProfileError("not in canonical form")
    for value in document.values():
        kind = value.__class__
        if kind is str or kind is bool:
            continue
        if kind is dict:
            _check(value, depth + 1)
        elif kind is not int or not -MAX_INTEGER <= value <= MAX_INTEGER:
            _check_list(value, depth + 1)


def _check_list(items: Any, depth: int) -> None:
    _check_items(items, depth)
    for each in items:
        kind = each.__class__
        if kind is str or kind is bool:
            continue
        if kind is dict:
            _check(each, depth + 1)
        elif kind is not int or not -MAX_INTEGER <= each <= MAX_INTEGER:
            _check_list(each, depth + 1)


def _check_items(items: Any, depth: int) -> None:
    if items.__class__ is not list:
        raise ProfileError(_refused(items))
    if depth > MAX_DEPTH:
        raise ProfileError(_TOO_DEEP)
    if not items:
        raise ProfileError("an empty list")


def _refused(value: Any) -> str:
    return "an integer beyond 2^53 - 1" if value.__class__ is int else f"a value of type {value.__class__.__name__}"


def _in_order(keys: tuple[Any, ...]) -> tuple[Any, ...]:
    """These keys, which must be well-formed, in order."""
    found = _shapes.get(keys)
    if found is not None:
        return found
    if any(type(each) is not str or _KEY.fullmatch(each) is None for each in keys):
        raise ProfileError("a key that is not 1 to 64 of A-Z a-z 0-9 _ . -")
    ordered = tuple(sorted(keys))
    if len(_shapes) < _SHAPES_KEPT and len(keys) <= _SHAPE_LONGEST:
        _shapes[keys] = ordered
    return ordered
