"""JSON read strictly: what two readers could understand differently isn't an answer.

`json.loads` takes duplicate keys (the last wins), NaN, Infinity, 1e999, byte-order marks, UTF-16 and lone surrogates,
and fails on deep nesting or long integers with exceptions of other kinds. Here each of these is one `StrictJsonError`.

The text is read by the standard library's C scanner. Dear checks (every number, exact nesting, encodability) run only
where a cheap look at the raw text says that they could matter.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 64
"""Arrays and objects inside each other; no answer schema of any provider allows more than 10."""

MAX_VALUES = 500_000
"""Values in one document: a reply of 16 MiB that holds nothing but brackets would block the event loop for seconds."""

_LEAST_INTEGER, _GREATEST_INTEGER = -(2**63), 2**64 - 1
"""What 64 bits hold, signed or unsigned: beyond it JSON readers and databases round or refuse, each in its own way."""

WHITE_SPACE = " \t\r\n"
"""What may stand around a document (RFC 8259, section 2)."""

# A number can overflow, or an integer exceed 64 bits, only with an exponent of three digits or a run of 19 digits.
# The digit stands before the alternatives: so the search skips from digit to digit, four times faster on a reply.
_GREAT_NUMBER = re.compile(r"[0-9](?:[eE]\+?[0-9]{3}|[0-9]{18})")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
# Possessive, and content with an unterminated string: linear on any text.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKET = re.compile(r"[^\[\]{}]+")


class StrictJsonError(ValueError):
    """Not strict JSON. The message says why in our own words and never quotes the text."""


def loads(data: bytes | str) -> Any:
    """Read exactly one JSON document.

    Args:
        data: UTF-8 without byte-order mark; white space around the document is allowed (RFC 8259, section 2).

    Raises:
        StrictJsonError: anything else: not UTF-8, empty, cut, text behind the document, a duplicate key, NaN or
            Infinity, a number beyond a double's range, an integer beyond 64 bits, more than `MAX_DEPTH` levels or
            `MAX_VALUES` values, a lone surrogate.
    """
    if isinstance(data, str):
        value = loads_text(data.strip(WHITE_SPACE))
        _check_encodable(value)
        return value
    return loads_text(decoded(data).strip(WHITE_SPACE))


def decoded(data: bytes) -> str:
    """The text of UTF-8 bytes.

    Raises:
        StrictJsonError: they aren't UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise StrictJsonError(f"not UTF-8 at byte {error.start}") from None


def loads_text(text: str) -> Any:
    """Read exactly one JSON document from text that can be encoded: it came out of bytes, or out of a document.

    Args:
        text: without lone surrogates, other than escaped ones, and without white space around it.

    Raises:
        StrictJsonError: as for `loads`.
    """
    if not text:
        raise StrictJsonError("empty")
    size = len(text)
    if size > 2 * MAX_DEPTH:  # each level takes two brackets
        opening = text.count("[") + text.count("{")
        if opening > MAX_DEPTH or size > MAX_VALUES:
            if opening + text.count(",") > MAX_VALUES:
                raise StrictJsonError(f"more than {MAX_VALUES} values")
            _check_depth(text)
    decoder = _CAREFUL if _GREAT_NUMBER.search(text) else _PLAIN
    try:
        value, end = decoder.raw_decode(text)
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"not JSON at character {error.pos}") from None
    except RecursionError:
        raise StrictJsonError("too deep for the stack") from None
    if text[end:]:
        raise StrictJsonError(f"text behind the document, at character {end}")
    if "\\u" in text and _SURROGATE_ESCAPE.search(text):
        _check_encodable(value)
    return value


def _check_depth(text: str) -> None:
    """Take pairs of brackets away from the inside out: each round is one level."""
    brackets = _NOT_BRACKET.sub("", _STRING.sub("", text))
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace("[]", "\0").replace("{}", "\0").replace("\0", "")
    if brackets:
        raise StrictJsonError(f"more than {MAX_DEPTH} levels, or brackets that don't match")


def _check_encodable(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise StrictJsonError("a lone surrogate") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:  # called for each object of each reply: it makes no call of its own
        if key in made:
            raise StrictJsonError("a key occurs twice in one object")
        made[key] = value
    return made


def _no_constant(_: str) -> Any:
    raise StrictJsonError("NaN or Infinity")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise StrictJsonError("a number beyond a double's range")
    return value


def _integer(digits: str) -> int:
    if len(digits) <= 20:
        value = int(digits)
        if _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
            return value
    raise StrictJsonError("an integer beyond 64 bits")


_PLAIN = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
_CAREFUL = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
)
