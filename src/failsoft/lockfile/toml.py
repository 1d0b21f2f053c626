"""TOML for the shapes that a lock has: texts, numbers, flags, lists of texts, tables, lists of tables.

One way to write each value, one line for each item of a list: two locks differ in the lines that differ. The standard
library reads TOML and doesn't write it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_TO_ESCAPE: Final = re.compile('["\\\\\x00-\x1f\x7f]')


def dumps(table: Mapping[str, Any]) -> str:
    """TOML text, which `tomllib.loads` reads back as it was. Empty lists and tables are kept.

    Raises:
        ValueError: a value has no place in TOML, or a text holds half a surrogate pair.
    """
    return "\n".join(_table(table, ())) + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Its own keys first: what follows a heading belongs to that."""
    for key, value in table.items():
        if not _is_table(value) and not _are_tables(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        here = (*path, key)
        heading = ".".join(map(_key, here))
        for each in cast("Sequence[Any]", value) if _are_tables(value) else ():
            yield from ("", f"[[{heading}]]", *_table(each, here))
        if _is_table(value):
            inner = list(_table(value, here))
            if not inner or inner[0]:  # a table of tables only needs no heading of its own
                yield from ("", f"[{heading}]")
            yield from inner


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _are_tables(value: object) -> bool:
    listed = cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else ()
    return len(listed) > 0 and all(map(_is_table, listed))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return str(int(value))
    if isinstance(value, float) and math.isfinite(value):
        return repr(float(value))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        listed = [_value(each) for each in cast("Sequence[object]", value)]
        return "[\n" + "".join(f"    {each},\n" for each in listed) + "]" if listed else "[]"
    raise ValueError(f"{type(value).__name__} can't be written as TOML")


def _text(value: str) -> str:
    value.encode()  # half a surrogate pair is a UnicodeEncodeError, which is a ValueError
    return '"' + _TO_ESCAPE.sub(lambda found: _ESCAPED.get(found[0], f"\\u{ord(found[0]):04x}"), value) + '"'
