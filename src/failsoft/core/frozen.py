"""Which values can never change, and how others are detached from whoever may still change them."""

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

from pydantic import BaseModel, RootModel

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


def holds_model(value: Any) -> bool:
    """Is there a model in a value, or is it one?"""
    if isinstance(value, BaseModel):
        return True
    if isinstance(value, dict):
        return any(map(holds_model, typing.cast("Any", value).values()))
    return isinstance(value, (list, tuple, set, frozenset)) and any(map(holds_model, typing.cast("Any", value)))


def renewed(value: Any) -> Any:
    """The same with every model in it validated anew by its own class.

    Fields are taken as they are, not as they serialise: a field may be excluded from a dump, or written in other words.
    """
    if isinstance(value, BaseModel):
        model = type(value)
        state = vars(value)
        fields = {name: renewed(state[name]) for name in model.model_fields if name in state}
        if isinstance(value, RootModel):
            return model.model_validate(fields.get("root"))
        return model.model_validate(fields | renewed(value.__pydantic_extra__ or {}), by_name=True, by_alias=False)
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(renewed, value))
    if type(value) is dict:
        return {key: renewed(each) for key, each in typing.cast("Any", value).items()}
    return value
