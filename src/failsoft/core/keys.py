"""Keys of tables: JSON has text only, and what a key is written as may be another's text, or say something else.

``1`` and ``"1"`` are written alike, and an infinite number as ``None``, where its type doesn't say that keys are numbers.
Whoever reads such a text has another table. Where all keys are texts, as types nearly always have it, neither can be, and
nothing is looked at.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from failsoft.core.finite import within

_ENDLESS: Final = re.compile(rb'"(?:None|NaN|nan|-?inf|-?Infinity)":')


def has_free_keys(schema: object) -> bool:
    """May a value of this schema hold a table of which a key is no text?"""
    if isinstance(schema, Mapping):
        table = cast("Mapping[str, Any]", schema)
        kind = table.get("type")
        if kind in ("any", "is-instance") or table.get("extra_fields_behavior") == "allow":
            return True
        if kind == "dict" and cast("Mapping[str, Any]", table.get("keys_schema", {})).get("type") != "str":
            return True
        return any(has_free_keys(each) for name, each in table.items() if name not in ("metadata", "default", "cls"))
    return isinstance(schema, (list, tuple)) and any(map(has_free_keys, cast("list[object]", schema)))


def check_keys(title: str, text: bytes, value: object, read: Callable[[bytes], object]) -> None:
    """Holds what stands in a value's JSON text before the colons.

    Args:
        title: of the error.
        text: the value's JSON.
        value: it.
        read: how the text is read again.

    Raises:
        pydantic.ValidationError: a table has a key twice, or one that isn't finite and isn't read as that number.
    """
    twice: list[str] = []

    def once(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice.extend(name for name in names if names.count(name) > 1)

    json.loads(text, object_pairs_hook=once, parse_int=str, parse_float=str)  # an integer may be as long as it likes
    if twice:
        raise _refusal(title, twice[0], PydanticCustomError("clashing_keys", "is written for two keys of a table"))
    own = _endless(value) if _ENDLESS.search(text) else []
    if own and own != _read(text, read):
        raise _refusal(title, own[0], PydanticCustomError("not_finite", "isn't finite, and JSON has no word for it"))


def _endless(value: object) -> list[str]:
    tables = (cast("Mapping[object, object]", each) for each in within(value) if isinstance(each, Mapping))
    return [repr(key) for each in tables for key in each if isinstance(key, float) and not math.isfinite(key)]


def _read(text: bytes, read: Callable[[bytes], object]) -> list[str]:
    try:
        return _endless(read(text))
    except Exception:  # it may run validators of the application's own
        return []


def _refusal(title: str, key: str, problem: PydanticCustomError) -> ValidationError:
    return ValidationError.from_exception_data(title, [{"type": problem, "loc": (key,), "input": None}])
