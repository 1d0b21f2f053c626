"""Values as JSON can hold them, always in the same way: what two processes agree on, whatever their hash seeds."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from typing import Any, Final, cast
from uuid import UUID

import attrs
from pydantic import BaseModel
from pydantic_core import to_json

_DEEPEST: Final = 40
_AS_TEXT: Final = (date, datetime, time, timedelta, Decimal, UUID, complex)


def sha256_of(value: object) -> str:
    """SHA-256 (lower-case hex) of a value's canonical bytes."""
    return sha256(canonical(value)).hexdigest()


def canonical(value: object) -> bytes:
    """A value's JSON bytes, keys in order."""
    return to_json(plain(value), inf_nan_mode="strings")


def plain(value: object, depth: int = 0) -> Any:
    """A value of plain data; of anything else just what it's called, since nothing certain can be said of it."""
    if value is None or (isinstance(value, (bool, int, float)) and not isinstance(value, Enum)):
        return value
    if type(value) is str:
        return value.encode("utf-8", "backslashreplace").decode()
    if depth >= _DEEPEST:
        return "…"
    holds = _parts(value)
    if holds is None:
        return _single(value)
    kind, parts = holds
    if isinstance(parts, Mapping):
        parts = _entries(parts, depth + 1)
    else:
        parts = [plain(each, depth + 1) for each in parts]
        if isinstance(value, (set, frozenset)):
            parts.sort(key=to_json)
    return parts if kind is None else {kind: parts}


def _entries(table: Any, depth: int) -> dict[str, Any]:
    return dict(sorted((_key(key), plain(each, depth)) for key, each in table.items()))


def _key(value: object) -> str:
    return value if type(value) is str else to_json(plain(value, _DEEPEST - 2), inf_nan_mode="strings").decode()


def _parts(value: Any) -> tuple[str | None, Any] | None:
    """What a value consists of, with the name of its type where that says something; None for one without parts."""
    if isinstance(value, (list, tuple, set, frozenset, dict, types.MappingProxyType)):
        return None, cast("Any", value)
    if isinstance(value, BaseModel):
        return path_of(type(value)), dict(value)
    if isinstance(value, type):
        return None
    kind = cast("Any", type(value))
    if attrs.has(kind):
        return path_of(kind), {each.name: getattr(value, each.name, None) for each in attrs.fields(kind)}
    if is_dataclass(value):
        return path_of(type(value)), {each.name: getattr(value, each.name, None) for each in dataclass_fields(value)}
    return None


def _single(value: Any) -> Any:
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": sha256(value).hexdigest()}
    if isinstance(value, re.Pattern):
        return _pattern(value)
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, PurePath):  # where it lies differs from machine to machine
        return {"path": value.name}
    return {"object": path_of(value if isinstance(value, (type, types.FunctionType)) else type(value))}


def _pattern(pattern: Any) -> dict[str, Any]:
    return {"pattern": str(pattern.pattern), "flags": pattern.flags}


def path_of(target: Any) -> str:
    """``module:qualified.name``."""
    return f"{target.__module__}:{target.__qualname__}"


def state_of(target: Any) -> Any:
    """What a function or an object carries along besides its code: what it was constructed with, or closes over.

    What an object computes for itself later (`cached_property`) isn't in it.
    """
    if isinstance(target, functools.partial):
        return [state_of(target.func), plain(target.args), plain(target.keywords)]
    if isinstance(target, types.FunctionType):
        return [plain(each) for cell in target.__closure__ or () for each in contents(cell)]
    table: dict[str, Any] = getattr(target, "__dict__", {})
    return plain({name: value for name, value in table.items() if not _is_computed(target.__class__, name)})


def _is_computed(owner: Any, name: str) -> bool:
    return isinstance(getattr(owner, name, None), functools.cached_property)


def contents(cell: types.CellType) -> Iterator[object]:
    """What a closure's cell holds, if anything yet."""
    try:
        yield cell.cell_contents
    except ValueError:
        return
