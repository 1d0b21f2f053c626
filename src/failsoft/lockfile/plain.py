"""Values as JSON can hold them, always in the same way: what two processes agree on, whatever their hash seeds."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
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
        table = cast("Mapping[Any, Any]", parts)
        parts = dict(sorted((_key(key), plain(each, depth + 1)) for key, each in table.items()))
    else:
        parts = [plain(each, depth + 1) for each in parts]
        if isinstance(value, (set, frozenset)):
            parts.sort(key=to_json)
    return parts if kind is None else {kind: parts}


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
        pattern = cast("re.Pattern[Any]", value)
        return {"pattern": str(pattern.pattern), "flags": pattern.flags}
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, PurePath):  # where it lies differs from machine to machine
        return {"path": value.name}
    return {"object": path_of(value if isinstance(value, (type, types.FunctionType)) else type(value))}


def path_of(target: Any) -> str:
    """``module:qualified.name``."""
    return f"{target.__module__}:{target.__qualname__}"


def state_of(instance: object) -> Any:
    """What an instance was constructed with: its attributes, without what it computed for itself later."""
    table: dict[str, Any] = getattr(instance, "__dict__", {})
    computed = {name for name in table if isinstance(getattr(type(instance), name, None), cached_property)}
    return plain({name: value for name, value in table.items() if name not in computed})
