"""What a response type asks of a model: can it be answered at all, is it an object, how strictly is an answer read?"""

from __future__ import annotations

import enum
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json


def runs_before(core_schema: Any) -> bool:
    """Does the user's own code run before or around a part of this schema?"""
    if isinstance(core_schema, dict):
        table = typing.cast("dict[str, Any]", core_schema)
        if table.get("type") in ("function-before", "function-wrap"):
            return True
        return any(runs_before(each) for key, each in table.items() if key not in ("metadata", "serialization"))
    if isinstance(core_schema, (list, tuple)):
        return any(runs_before(each) for each in typing.cast("Iterable[Any]", core_schema))
    return False


_WITHIN = ("model", "function-after", "definitions", "dataclass", "model-fields", "dataclass-args")


def unanswerable(core_schema: Any) -> bool:
    """Does validation refuse whatever the JSON schema of this type asks for (but an empty object)?

    So it is with enums of tuples or dates, with dictionaries whose keys are no text, and with what can't be without one.
    """
    kind = core_schema["type"]
    if kind == "enum":
        return not any(map(_is_readable, core_schema["members"]))
    if kind == "dict":
        keys = core_schema.get("keys_schema", {"type": "any"})
        if keys["type"] == "literal":
            return not any(isinstance(each, (str, bool, enum.Enum)) for each in keys["expected"])
        return bool(keys["type"] == "tuple")
    if kind not in _WITHIN:
        return False
    if "schema" in core_schema:
        return unanswerable(core_schema["schema"])
    fields = core_schema["fields"]
    listed: Iterable[Any] = fields.values() if kind == "model-fields" else fields
    return any(unanswerable(each["schema"]) for each in listed)


def _is_readable(member: enum.Enum) -> bool:
    """Is an enum's member read from its own JSON?"""
    try:
        TypeAdapter(type(member)).validate_json(to_json(member))
    except Exception:  # an enum's own code may raise anything
        return False
    return True


def property_names(schema: Any) -> Iterable[str]:
    """The property names anywhere in a JSON schema."""
    if isinstance(schema, dict):
        table = typing.cast("dict[str, Any]", schema)
        yield from table.get("properties", {})
        schema = list(table.values())
    if isinstance(schema, list):
        for each in typing.cast("Iterable[Any]", schema):
            yield from property_names(each)


def is_object(schema: dict[str, Any]) -> bool:
    """Does this JSON schema ask for an object with properties? What else there is travels wrapped in one."""
    target = schema
    if "$ref" in schema:
        target = schema.get("$defs", {}).get(schema["$ref"].rsplit("/", 1)[-1], {})
    return target.get("type") == "object" and "properties" in target
