"""Numbers that aren't finite, and what JSON text has in their place.

JSON has no word for them. What pydantic writes says something else: ``null`` for one in a model, a bare ``Infinity`` that
no JSON reader takes where a model's configuration says so, or the word as text, which only some types read as the number.

A text that holds none of the words ``null``, ``NaN`` and ``Infinity`` has lost none, and that's nearly every one: whoever
writes it looks for these before asking here. Of the others, the value is held beside its text twice: as pydantic has it
for JSON, which knows what serializers wrote and has already lost what stood in a field of the type `Any`, and as it has it
for Python. Where a serializer of the application's own wrote JSON of another form, what it wrote is what was meant.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, TypeAlias, cast

from pydantic import BaseModel
from pydantic_core import SchemaSerializer, core_schema, to_json

Place: TypeAlias = tuple[int | str, ...]

BY_ITSELF: Final = SchemaSerializer(core_schema.any_schema())
"""How `pydantic_core.to_json` writes a value: by what it is, whatever it was declared as."""

_WORDS: Final = ("NaN", "Infinity", "-Infinity")
_MODES: Final = ("json", "python")
_FINITE: Final = object()
_UNKNOWN: Final = object()


class _Pairs(list[tuple[str, Any]]):
    """An object as it stands in the text: two keys of a table may be written alike."""


def lost_number(
    text: bytes, value: object, serializer: SchemaSerializer, read: Callable[[bytes], object] | None, **options: Any
) -> Place | None:
    """Where a value's JSON text says something else than the number that isn't finite; None: nowhere.

    Args:
        text: the value's JSON.
        value: it.
        serializer: what wrote the text.
        read: how the text is read again: a word as text is fine where it's read as that number. None: whoever reads the
            text judges by themselves.
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


def _places(told: object, held: object, value: object) -> list[tuple[Place, str | None]]:
    """Every place at which a number isn't finite and the text has null or a word; with the word."""
    if held is not _UNKNOWN:
        return list(_beside(told, held, ()))
    return [((), None)] if None in _leaves(told) and any(map(_is_one, _leaves(value))) else []


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
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, BaseModel):
        value = {**vars(value), **(value.__pydantic_extra__ or {})}
    elif is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name, None) for each in fields(value)}
    if isinstance(value, Mapping):
        value = list(cast("Mapping[object, object]", value).values())
    elif isinstance(value, _Pairs):
        value = [each for _, each in value]
    if _is_several(value):
        for each in cast("Collection[object]", value):
            yield from _leaves(each)
    else:
        yield value
