"""Which values can never change."""

from __future__ import annotations

import enum
import functools
import types
import typing
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel

_IMMUTABLE = (str, bytes, int, float, complex, bool, type(None), Decimal, date, datetime, time, timedelta, UUID)


def deeply_frozen(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Can a value of this type never change? Only types known to be immutable count; in doubt the answer is no."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType, tuple, frozenset):
        return all(each is Ellipsis or deeply_frozen(each, seen) for each in get_args(annotation))
    if origin is typing.Annotated:
        return deeply_frozen(get_args(annotation)[0], seen)
    if origin is Literal:
        return True
    if not isinstance(annotation, type):
        return False
    if issubclass(annotation, BaseModel):
        if annotation in seen:
            return True  # a recursive model: decided by its other fields
        config = annotation.model_config
        if not config.get("frozen") or config.get("extra") == "allow" or annotation.__private_attributes__:
            return False
        inner = seen | {annotation}
        return all(deeply_frozen(field.annotation, inner) for field in annotation.model_fields.values())
    return annotation in _IMMUTABLE or issubclass(annotation, (enum.Enum, PurePath))


def is_frozen(value: Any) -> bool:
    """Are the models in a value whose type is frozen really of frozen types? A field may hold a mutable subclass."""
    if isinstance(value, BaseModel):
        return _frozen_model(type(value)) and all(map(is_frozen, value.__dict__.values()))
    return all(map(is_frozen, typing.cast("Iterable[Any]", value))) if isinstance(value, (tuple, frozenset)) else True


def is_flat(annotation: Any) -> bool:
    """Can a value of this frozen type hold no models but itself, so that its own type says all?"""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return all(map(_is_leaf, (each.annotation for each in annotation.model_fields.values())))
    return _is_leaf(annotation)


def _is_leaf(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return all(map(_is_leaf, get_args(annotation)))
    return annotation in _IMMUTABLE or isinstance(annotation, enum.EnumMeta) or get_origin(annotation) is Literal


_frozen_model = functools.lru_cache(maxsize=1024)(deeply_frozen)
