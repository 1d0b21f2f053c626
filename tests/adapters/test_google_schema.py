from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from failsoft.adapters.google_schema import json_schema, openapi_schema
from failsoft.errors import ConfigurationError


class Unit(enum.IntEnum):
    EACH = 1
    BOX = 2


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Whole(BaseModel):
    const: Literal["x"]
    unit: Unit
    note: str | None = None
    maybe: Annotated[int, Field(ge=1, lt=9, le=8)] | str | None
    amounts: list[Annotated[float, Field(ge=0)]] = Field(max_length=3, description="how many")
    name: str = Field(max_length=4)
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Tree(BaseModel):
    children: list[Tree] = []


def schema_of(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


def test_json_schema_has_no_const_and_only_the_bounds_that_are_taken() -> None:
    made = json_schema(schema_of(Whole))
    assert made["properties"]["const"] == {"enum": ["x"], "type": "string"}
    assert made["properties"]["amounts"]["maxItems"] == 3
    assert made["properties"]["amounts"]["items"] == {"type": "number", "minimum": 0}
    assert made["properties"]["name"] == {"type": "string", "description": "(maxLength 4)"}
    assert made["additionalProperties"] is False
    assert "const" not in made["$defs"]["Cat"]["properties"]["kind"]


def test_a_property_called_const_is_a_property() -> None:
    assert set(json_schema(schema_of(Whole))["properties"]) >= {"const"}
    assert json_schema({"type": "object", "properties": {"a": {"enum": [{"const": 1}]}}})["properties"]["a"] == {
        "enum": [{"const": 1}]
    }


def test_openapi_has_no_references_no_null_and_no_closed_objects() -> None:
    made = openapi_schema(schema_of(Whole))
    assert made == {
        "type": "object",
        "properties": {
            "const": {"type": "string", "enum": ["x"]},
            "unit": {"type": "integer", "description": "(one of 1, 2)"},
            "note": {"type": "string", "nullable": True},
            "maybe": {
                "anyOf": [
                    {"type": "integer", "minimum": 1, "maximum": 8, "description": "(exclusiveMaximum 9)"},
                    {"type": "string"},
                ],
                "nullable": True,
            },
            "amounts": {
                "description": "how many",
                "type": "array",
                "maxItems": 3,
                "items": {"type": "number", "minimum": 0},
            },
            "name": {"description": "(maxLength 4)", "type": "string"},
            "pet": {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"kind": {"type": "string", "enum": [kind]}},
                        "required": ["kind"],
                        "propertyOrdering": ["kind"],
                    }
                    for kind in ("cat", "dog")
                ]
            },
        },
        "required": list(Whole.model_fields),
        "propertyOrdering": list(Whole.model_fields),
    }


def test_what_openapi_cannot_say_is_told() -> None:
    with pytest.raises(ConfigurationError, match="without references"):
        openapi_schema(schema_of(Tree))
    with pytest.raises(ConfigurationError, match=r"#/properties/pair/anyOf/1: a tuple"):
        openapi_schema({"type": "object", "properties": {"pair": {"anyOf": [{}, {"prefixItems": [{}]}]}}})
    with pytest.raises(ConfigurationError, match=r"#/properties/pair: a tuple"):
        openapi_schema({"type": "object", "properties": {"pair": {"type": "array", "prefixItems": [{}]}}})


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def test_thirty_two_levels_are_written_and_no_more() -> None:
    openapi_schema(nested(32))
    with pytest.raises(ConfigurationError, match="holds itself"):
        openapi_schema(nested(33))


def test_a_schema_that_doubles_with_every_level_is_refused_at_once() -> None:
    definitions: dict[str, Any] = {
        f"a{n}": {"type": "object", "properties": {side: {"$ref": f"#/$defs/a{n + 1}"} for side in "lr"}}
        for n in range(30)
    }
    definitions["a30"] = {"type": "string"}
    with pytest.raises(ConfigurationError, match="too much"):
        openapi_schema({"$ref": "#/$defs/a0", "$defs": definitions})
