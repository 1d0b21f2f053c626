"""The strict dialect of JSON schema that chat providers enforce, made from what pydantic writes.

Every object is closed and all its properties are required; no ``default``, no ``oneOf``, no ``allOf`` around a single
branch, nothing beside ``$ref``. Bounds that a dialect doesn't take are told in the description instead: the answer is
validated in full afterwards, whatever the provider enforced.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from attrs import frozen

from failsoft.adapters.base import as_array, as_object
from failsoft.errors import ConfigurationError

BOUNDS = frozenset(
    {
        *("minLength", "maxLength", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
    }
)
"""Keywords that bound a value without giving it a shape."""

_DROPPED = frozenset(
    {"default", "title", "examples", "example", "discriminator", "deprecated", "readOnly", "writeOnly"}
)
_INEXPRESSIBLE = (
    *("not", "if", "then", "else", "dependentRequired", "dependentSchemas"),
    *("patternProperties", "propertyNames", "contains", "unevaluatedProperties"),
)


def _any_value(_keyword: str, _value: Any) -> bool:
    return True


@frozen
class Limits:
    """The most that a dialect takes of a schema.

    Args:
        properties: of all its objects together.
        depth: objects and arrays inside each other, the root being the first.
    """

    properties: int
    depth: int


def strict_schema(
    schema: dict[str, Any],
    bounds: frozenset[str] = BOUNDS,
    limits: Limits | None = None,
    *,
    takes: Callable[[str, Any], bool] = _any_value,
    recursive: bool = True,
) -> dict[str, Any]:
    """The schema in the strict dialect: a new one, the given one stays as it is.

    Args:
        schema: of an object.
        bounds: the keywords of `BOUNDS` that the dialect takes.
        takes: does it take this keyword of `bounds` with this value? Others are told in the description.
        recursive: may a definition refer to itself, by whatever way?
        limits: the most that it takes; None: not known.

    Raises:
        ConfigurationError: it can't be said strictly, with every place and reason.
    """
    rewriting = _Rewriting(bounds, takes)
    made = rewriting.rewrite(_with_root(schema), "#")
    if made.get("type") != "object":
        rewriting.problems.append("#: the root isn't an object")
    if not recursive and _refers_to_itself(as_object(made.get("$defs"))):
        rewriting.problems.append("#/$defs: a type that holds itself can't be asked for")
    if limits is not None:
        rewriting.problems += _beyond(made, limits)
    if rewriting.problems:
        raise ConfigurationError([f"response schema at {each}" for each in rewriting.problems])
    return made


def _beyond(made: dict[str, Any], limits: Limits) -> list[str]:
    """What of a schema is more than its dialect takes."""
    properties, deepest = 0, 0
    open_ones: list[tuple[Any, int]] = [(made, 0)]
    while open_ones:
        value, depth = open_ones.pop()
        if isinstance(value, list):
            open_ones += [(each, depth) for each in as_array(value)]
            continue
        node = as_object(value)
        depth += node.get("type") in ("object", "array")
        deepest = max(deepest, depth)
        named = as_object(node.get("properties"))
        properties += len(named)
        open_ones += [(each, depth) for each in (*named.values(), *as_object(node.get("$defs")).values())]
        open_ones += [(node[keyword], depth) for keyword in ("items", "prefixItems", "anyOf") if keyword in node]
    found = {"properties": (properties, limits.properties), "levels": (deepest, limits.depth)}
    return [
        f"#: {count} {name}, of which at most {most} are taken" for name, (count, most) in found.items() if count > most
    ]


def _with_root(schema: dict[str, Any]) -> dict[str, Any]:
    """A root that is only a reference (pydantic's for recursive models) is replaced by what it refers to."""
    reference = schema.get("$ref")
    definitions = as_object(schema.get("$defs"))
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        return {**as_object(definitions.get(reference.removeprefix("#/$defs/"))), "$defs": definitions}
    return schema


def _refers_to_itself(definitions: dict[str, Any]) -> bool:
    """Is there a circle among the definitions? Those that refer to none that is left are taken away, until none is."""
    left = {name: _references(each) for name, each in definitions.items()}
    while ends := [name for name, references in left.items() if not references & left.keys()]:
        for name in ends:
            del left[name]
    return bool(left)


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {name for each in as_array(schema) for name in _references(each)}
    found = {name for each in as_object(schema).values() for name in _references(each)}
    reference = as_object(schema).get("$ref")
    return found | {reference.removeprefix("#/$defs/")} if isinstance(reference, str) else found


class _Rewriting:
    """One walk over a schema, gathering what can't be said."""

    def __init__(self, bounds: frozenset[str], takes: Callable[[str, Any], bool]) -> None:
        self._bounds = bounds
        self._takes = takes
        self.problems: list[str] = []

    def rewrite(self, schema: dict[str, Any], place: str) -> dict[str, Any]:
        schema = self._merged(schema, place)
        if "$ref" in schema:
            return {"$ref": schema["$ref"]}
        self.problems.extend(f"{place}: {each} can't be said strictly" for each in _INEXPRESSIBLE if each in schema)
        made: dict[str, Any] = {}
        told: list[str] = []
        for keyword, value in schema.items():
            if keyword in BOUNDS and not (keyword in self._bounds and self._takes(keyword, value)):
                told.append(f"{keyword} {json.dumps(value, ensure_ascii=False)}")
            elif keyword not in _DROPPED:
                self._copy(made, keyword, value, place)
        if told:
            made["description"] = f"{made.get('description', '')} ({', '.join(told)})".lstrip()
        if made.get("type") == "object" or "properties" in made:
            self._close(made, schema, place)
        return made

    def _copy(self, made: dict[str, Any], keyword: str, value: Any, place: str) -> None:
        rewrite = _REWRITERS.get(keyword)
        if rewrite is None:
            made[keyword] = value
        else:
            made["anyOf" if keyword == "oneOf" else keyword] = rewrite(self, value, f"{place}/{keyword}")

    def _merged(self, schema: dict[str, Any], place: str) -> dict[str, Any]:
        """A single branch of ``allOf`` says nothing that its branch doesn't say."""
        branches = as_array(schema.get("allOf"))
        if "allOf" in schema:
            if len(branches) != 1:
                self.problems.append(f"{place}: allOf of several schemas can't be said strictly")
            rest = {keyword: value for keyword, value in schema.items() if keyword != "allOf"}
            return {**rest, **as_object(branches[0] if branches else None)}
        return schema

    def _close(self, made: dict[str, Any], schema: dict[str, Any], place: str) -> None:
        if isinstance(schema.get("additionalProperties"), dict) or schema.get("additionalProperties") is True:
            self.problems.append(f"{place}: an open dictionary can't be asked for; use a list of key and value")
        made["additionalProperties"] = False
        made["required"] = list(made.setdefault("properties", {}))

    def one(self, value: Any, place: str) -> Any:
        return self.rewrite(cast("dict[str, Any]", value), place) if isinstance(value, dict) else value

    def many(self, value: Any, place: str) -> list[Any]:
        return [self.one(each, f"{place}/{index}") for index, each in enumerate(as_array(value))]

    def named(self, value: Any, place: str) -> dict[str, Any]:
        return {name: self.one(each, f"{place}/{name}") for name, each in as_object(value).items()}


_REWRITERS: dict[str, Callable[[_Rewriting, Any, str], Any]] = {
    "properties": _Rewriting.named,
    "$defs": _Rewriting.named,
    "items": _Rewriting.one,
    "prefixItems": _Rewriting.many,
    "anyOf": _Rewriting.many,
    "oneOf": _Rewriting.many,
}
