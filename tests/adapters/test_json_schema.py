from __future__ import annotations

import copy
import enum
from contextlib import suppress
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from failsoft.adapters.json_schema import BOUNDS, strict_schema
from failsoft.errors import ConfigurationError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    title: str = Field(default="x", max_length=5, description="what it is")
    colour: Colour = Colour.RED


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Whole(BaseModel):
    part: Annotated[Part, Field(description="the part")]
    note: str | None = None
    amounts: list[Annotated[int, Field(ge=0)]] = Field(max_length=3)
    pair: tuple[int, str]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Tree(BaseModel):
    children: list[Tree] = []


def schema_of(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


def objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [each for item in schema for each in objects(item)]
    if not isinstance(schema, dict):
        return []
    inner = [each for value in schema.values() for each in objects(value)]
    return [schema, *inner] if schema.get("type") == "object" else inner


def test_every_object_is_closed_and_wants_all_its_properties() -> None:
    made = strict_schema(schema_of(Whole))
    found = objects(made)
    assert len(found) == 4
    for each in found:
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])


@pytest.mark.parametrize("kind", [Whole, Tree])
def test_the_given_schema_stays_as_it_was(kind: Any) -> None:
    given_schema = schema_of(kind)
    before = copy.deepcopy(given_schema)
    strict_schema(given_schema, frozenset())
    assert given_schema == before


def test_defaults_titles_and_discriminators_are_gone_and_one_of_is_any_of() -> None:
    made = strict_schema(schema_of(Whole))
    assert "default" not in str(made)
    assert made["properties"]["pet"] == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
    assert "title" in made["$defs"]["Part"]["properties"]  # a property's name, not the keyword


def test_a_reference_stands_alone() -> None:
    assert strict_schema(schema_of(Whole))["properties"]["part"] == {"$ref": "#/$defs/Part"}


def test_a_lone_all_of_is_its_branch() -> None:
    schema = {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}], "description": "d"}}}
    assert strict_schema(schema)["properties"]["a"] == {"description": "d", "type": "string"}


def test_a_recursive_root_is_written_out() -> None:
    made = strict_schema(schema_of(Tree))
    assert made["type"] == "object"
    assert made["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}


def test_bounds_that_a_dialect_does_not_take_are_told_in_words() -> None:
    made = strict_schema(schema_of(Whole), BOUNDS - {"maxLength", "maxItems"})
    assert made["$defs"]["Part"]["properties"]["title"] == {"type": "string", "description": "what it is (maxLength 5)"}
    amounts = made["properties"]["amounts"]
    assert (amounts["description"], amounts["items"]["minimum"]) == ("(maxItems 3)", 0)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (schema_of(list[int]), "the root isn't an object"),
        ({"$ref": "#/elsewhere"}, "the root isn't an object"),
        (schema_of(dict[str, int]), "an open dictionary"),
        ({"type": "object", "additionalProperties": True}, "an open dictionary"),
        ({"type": "object", "properties": {"a": {"not": {}}}}, "#/properties/a: not can't"),
        ({"type": "object", "properties": {"a": {"allOf": [{}, {}]}}}, "allOf of several"),
        ({"type": "object", "properties": {"a": {"allOf": []}}}, "allOf of several"),
    ],
)
def test_what_cannot_be_said_strictly_is_refused_with_its_place(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        strict_schema(schema)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    schema = {"type": "object", "properties": {"a": {"not": {}, "if": {}}, "b": schema_of(dict[str, int])}}
    with pytest.raises(ConfigurationError) as error:
        strict_schema(schema)
    assert len(error.value.problems) == 3


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "properties",
                        "items",
                        "anyOf",
                        "$ref",
                        "$defs",
                        "allOf",
                        "default",
                        "maxLength",
                        "description",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=10,
    )
)
def test_no_shape_makes_it_raise_anything_else(value: Any) -> None:
    with suppress(ConfigurationError):
        strict_schema({"type": "object", "properties": {"a": value}, "$defs": value}, frozenset())
