"""Numbers that aren't finite, and what JSON text has in their place.

JSON has no word for them. What pydantic writes says something else: ``null`` for one in a model, a bare ``Infinity`` that
no JSON reader takes where a model's configuration says so, or the word as text, which only some types read as the number.

A text that holds none of the words ``null``, ``NaN`` and ``Infinity`` has lost none, and that's nearly every one: whoever
writes it looks for these before asking here. Of the others, the value is held beside its text twice: as pydantic has it
for JSON, which knows what serializers wrote and has already lost what stood in a field of the type `Any`, and as it has it
for Python. Where a serializer of the application's own wrote JSON of another form, what it wrote is what was meant. One
that writes for JSON alone isn't run for Python: where there may be one, the value is written once more with a bare
``Infinity`` where pydantic itself decides, and only what's lost there, too, counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, TypeAlias, cast

from pydantic import BaseModel
from pydantic_core import CoreSchema, SchemaSerializer, core_schema, to_json

Place: TypeAlias = tuple[int | str, ...]

BY_ITSELF: Final = SchemaSerializer(core_schema.any_schema())
"""How `pydantic_core.to_json` writes a value: by what it is, whatever it was declared as."""

_WORDS: Final = ("NaN", "Infinity", "-Infinity")
_MODES: Final = ("json", "python")
_FOR_JSON: Final = ("json", "json-unless-none")
_NO_SCHEMA: Final = ("metadata", "default", "expected", "cls")
"""What of a schema is somebody else's value."""
_FINITE: Final = object()
_UNKNOWN: Final = object()


class _Pairs(list[tuple[str, Any]]):
    """An object as it stands in the text: two keys of a table may be written alike."""


def lost_number(
    text: bytes,
    value: object,
    serializer: SchemaSerializer,
    read: Callable[[bytes], object] | None,
    schema: CoreSchema | None = None,
    **options: Any,
) -> Place | None:
    """Where a value's JSON text says something else than the number that isn't finite; None: nowhere.

    Args:
        text: the value's JSON.
        value: it.
        serializer: what wrote the text.
        read: how the text is read again: a word as text is fine where it's read as that number. None: whoever reads the
            text judges by themselves.
        schema: of the value's type, where it has one.
        options: what the serializer was told besides.
    """
    for mode in _MODES:
        held = _held(value, serializer, mode, options)
        if held is _FINITE:
            continue
        try:
            told = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_refuse)
        except ValueError:
            return ()
        places = _places(told, held, value)
        if places and mode == "python" and _writes_for_json(schema, value):
            places = _places(told, _decided(value, schema, options), value)
        for place, word in places:
            if word is None:
                return place
        if places and read is not None:
            try:
                back = read(text)
            except Exception:  # it may run validators of the application's own
                return places[0][0]
            if _places(told, _held(back, serializer, mode, options), back) != places:
                return places[0][0]
    return None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _held(value: object, serializer: SchemaSerializer, mode: str, options: dict[str, Any]) -> object:
    """A value as pydantic has it; `_FINITE` where each of its numbers is. On many calls it's all that's done here."""
    try:
        held: object = serializer.to_python(value, mode=mode, warnings=False, **options)
        written = to_json(held, inf_nan_mode="constants", bytes_mode="hex", serialize_unknown=True)
    except Exception:  # a set of models can't be had for Python, where each would be a table
        return _UNKNOWN
    return held if b"NaN" in written or b"Infinity" in written else _FINITE


def _decided(value: object, schema: CoreSchema | None, options: dict[str, Any]) -> object:
    """A value as it's written for JSON, with the numbers that pydantic itself would have written as null."""
    if schema is None:
        return None
    try:
        bare = SchemaSerializer(schema, {"ser_json_inf_nan": "constants"})
        return json.loads(bare.to_json(value, warnings=False, **options))
    except Exception:  # it isn't written by this schema, then
        return None


def _places(told: object, held: object, value: object) -> list[tuple[Place, str | None]]:
    """Every place at which a number isn't finite and the text has null or a word; with the word."""
    if held is not _UNKNOWN:
        return list(_beside(told, held, ()))
    left, own = list(_leaves(told)), list(_leaves(value))
    written = sum(left.count(each) - own.count(each) for each in _WORDS)
    return [((), None)] if None in left and sum(map(_is_one, own)) > written else []


def _writes_for_json(schema: CoreSchema | None, value: object) -> bool:
    """Has it a serializer of the application's own that may write something else for JSON than for Python?"""
    kinds = {type(each): None for each in within(value)}
    schemas = (getattr(each, "__pydantic_core_schema__", None) for each in kinds)
    return any(_has_one_for_json(each) for each in (schema, *schemas))


def _has_one_for_json(schema: object) -> bool:
    if isinstance(schema, Mapping):
        table = cast("Mapping[str, object]", schema)
        return _is_for_json(table.get("serialization")) or any(
            _has_one_for_json(each) for name, each in table.items() if name not in _NO_SCHEMA
        )
    return isinstance(schema, (list, tuple)) and any(map(_has_one_for_json, cast("list[object]", schema)))


def _is_for_json(serialization: Any) -> bool:
    """Is it a function that's run for JSON alone, or is told for what it's run? pydantic's own write no null."""
    if serialization is None or "function" not in serialization:
        return False
    if getattr(serialization["function"], "__module__", "").partition(".")[0] == "pydantic":
        return False
    return serialization.get("when_used") in _FOR_JSON or bool(serialization.get("info_arg"))


def _is_one(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _beside(told: object, held: object, place: Place) -> Iterator[tuple[Place, str | None]]:
    held = held.value if isinstance(held, Enum) else held
    if _is_one(held):
        if told is None or told in _WORDS:
            yield place, told
    elif isinstance(held, (set, frozenset)):  # its order says nothing
        before, after = list(_leaves(told)), list(_leaves(cast("object", held)))
        if any(map(_is_one, after)):
            yield from ((place, each) for each in (None, *_WORDS) if before.count(each) > after.count(each))
    elif isinstance(told, list):
        for name, one, other in _parts(cast("Any", told), held):
            yield from _beside(one, other, (*place, name))


def _parts(told: list[Any], held: object) -> Iterable[tuple[int | str, object, object]]:
    """Of an object or a list its parts beside the value's own; none where that has another form."""
    own: Collection[object]
    if isinstance(told, _Pairs):
        own = cast("Mapping[object, object]", held if isinstance(held, Mapping) else {}).values()
        named: list[tuple[int | str, object]] = [*told]
    else:
        own = cast("Collection[object]", held if _is_several(held) else ())
        named = [*enumerate(told)]
    return [(*each, other) for each, other in zip(named, own, strict=False)] if len(named) == len(own) else ()


def _is_several(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, (str, bytes, bytearray, Mapping))


def _leaves(value: object) -> Iterator[object]:
    """What a value consists of in the end."""
    return (each for each in within(value) if _beneath(each) is None)


def within(value: object, above: frozenset[int] = frozenset()) -> Iterator[object]:
    """A value and all that it consists of: of what refers to itself (in a field that isn't written) one round."""
    value = value.value if isinstance(value, Enum) else value
    yield value
    if id(value) not in above:
        for each in _beneath(value) or ():
            yield from within(each, above | {id(value)})


def _beneath(value: object) -> Collection[object] | None:
    """What a value consists of; None: it's no such value."""
    if isinstance(value, BaseModel):
        return [*vars(value).values(), *(value.__pydantic_extra__ or {}).values()]
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, each.name, None) for each in fields(value)]
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).values()
    if isinstance(value, _Pairs):
        return [each for _, each in value]
    return cast("Collection[object]", value) if _is_several(value) else None
