"""JSON schema in Google's two dialects, made from the strict one.

``responseJsonSchema`` takes JSON schema with a few keywords (https://ai.google.dev/api/generate-content); what it doesn't
know it ignores or refuses, so the rest is told in descriptions. ``responseSchema``, the older, is a subset of OpenAPI 3.0's
schema object: no references, no lists of types, ``nullable`` instead of a type null, enums of texts only, and any unknown
name is a 400.
"""

from __future__ import annotations

import json
from typing import Any

from failsoft.adapters.base import as_array, as_object
from failsoft.adapters.json_schema import strict_schema
from failsoft.errors import ConfigurationError

_TAKEN = frozenset({"minItems", "maxItems", "minimum", "maximum"})
_DEEPEST = 32
"""Levels: what refers to itself goes on for ever."""
_MOST = 10_000
"""Places of a schema whose references are written out: each may double what it holds."""


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema for ``responseJsonSchema`` and ``parametersJsonSchema``: a new one.

    Raises:
        ConfigurationError: it can't be said so.
    """
    return as_object(_without_const(strict_schema(schema, _TAKEN)))


def _without_const(value: Any) -> Any:
    """``const`` is none of Google's keywords; an enum of one is the same."""
    if isinstance(value, list):
        return [_without_const(each) for each in as_array(value)]
    if not isinstance(value, dict):
        return value
    node = as_object(value)
    made: dict[str, Any] = {}
    for name, each in node.items():
        if name in ("properties", "$defs"):  # names of the type's own, none of them a keyword
            made[name] = {own: _without_const(schema) for own, schema in as_object(each).items()}
        else:
            made[name] = each if name == "enum" else _without_const(each)
    if "const" in made:
        made["enum"] = [made.pop("const")]
    return made


def openapi_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema for ``responseSchema``: a new one.

    Raises:
        ConfigurationError: it can't be said so, with every place and reason.
    """
    strict = json_schema(schema)
    writing = _Writing(as_object(strict.get("$defs")))
    made = writing.rewrite(strict, "#", 0)
    if writing.problems:
        raise ConfigurationError([f"response schema at {each}" for each in dict.fromkeys(writing.problems)])
    return made


class _Writing:
    """One walk over a strict schema, gathering what can't be said."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions
        self._places = 0
        self.problems: list[str] = []

    def rewrite(self, schema: dict[str, Any], place: str, depth: int) -> dict[str, Any]:
        reference = schema.get("$ref")
        if isinstance(reference, str):
            schema = as_object(self._definitions.get(reference.removeprefix("#/$defs/")))
        self._places += 1
        if depth > _DEEPEST or self._places > _MOST:
            self.problems.append("#: a type that holds itself, or too much of it, can't be written without references")
            return {}
        made = {name: schema[name] for name in ("description", "type", *sorted(_TAKEN)) if name in schema}
        if "prefixItems" in schema:
            self.problems.append(f"{place}: a tuple can't be asked for; use a model with a field for each")
        if "enum" in schema:
            self._enumerate(made, as_array(schema["enum"]))
        if "items" in schema:
            made["items"] = self.rewrite(as_object(schema["items"]), f"{place}/items", depth + 1)
        if "properties" in schema:
            named = as_object(schema["properties"])
            made["properties"] = {
                name: self.rewrite(as_object(each), f"{place}/properties/{name}", depth + 1)
                for name, each in named.items()
            }
            made["required"] = made["propertyOrdering"] = list(named)
        return self._choose(made, as_array(schema.get("anyOf")), place, depth) if "anyOf" in schema else made

    def _enumerate(self, made: dict[str, Any], values: list[object]) -> None:
        """Texts are enumerated; other values are told."""
        if all(isinstance(each, str) for each in values):
            made["type"], made["enum"] = "string", values
        else:
            said = f"one of {', '.join(json.dumps(each, ensure_ascii=False) for each in values)}"
            made["description"] = f"{made.get('description', '')} ({said})".lstrip()

    def _choose(self, made: dict[str, Any], branches: list[object], place: str, depth: int) -> dict[str, Any]:
        """One of several; where null is one of them, what's left may be null."""
        kept = [each for each in map(as_object, branches) if each.get("type") != "null"]
        rewritten = [self.rewrite(each, f"{place}/anyOf/{index}", depth + 1) for index, each in enumerate(kept)]
        if len(kept) < len(branches):
            made["nullable"] = True
        if len(rewritten) == 1:
            return {**rewritten[0], **made}
        return {**made, "anyOf": rewritten}
