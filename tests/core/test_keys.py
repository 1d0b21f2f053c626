"""A table's keys, which JSON writes as text: none is lost, and none says something else."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from failsoft import capability
from failsoft.core.contract import Contract
from failsoft.core.keys import has_free_keys


class Open(BaseModel):
    any: Any = None


class Mixed(BaseModel):
    keys: dict[int | str, int]


class Wild(BaseModel):
    model_config = ConfigDict(extra="allow")


class Narrow(BaseModel):
    text: dict[str, int] = {}


class Wide(Narrow):
    text: dict[Any, int] = {}  # type: ignore[assignment]


class Once(BaseModel):
    """It can't be read again."""

    numbers: dict[float, int]
    read: bool = False

    @field_validator("read")
    @classmethod
    def never(cls, read: bool) -> bool:
        if read:
            raise ValueError("no")
        return read


def made(kind: Any) -> Contract[Any, Any]:
    def body(request: Any) -> Any:
        return None

    body.__annotations__ = {"request": kind, "return": kind}
    return Contract(capability(body))


CLASHING = [
    Open(any={1: "a", "1": "b"}),
    Open(any=[{"in": {True: 1, "true": 2}}]),
    Mixed(keys={1: 1, "1": 2}),
    Wild.model_validate({"more": {None: 1, "None": 2}}),
]
ENDLESS = [
    Open(any={math.inf: "most"}),
    Open(any=[{math.nan: 1}]),
    Once.model_construct(numbers={math.inf: 1}, read=True),
]


@pytest.mark.parametrize("value", CLASHING)
def test_two_keys_that_are_written_alike_are_refused(value: BaseModel) -> None:
    with pytest.raises(ValidationError, match="is written for two keys of a table"):
        made(type(value)).snapshot(value)
    with pytest.raises(ValidationError, match="is written for two keys of a table"):
        made(type(value)).dump_response(value)


@pytest.mark.parametrize("value", ENDLESS)
def test_one_that_is_not_finite_is_refused_where_it_is_not_read_as_that_number(value: BaseModel) -> None:
    with pytest.raises(ValidationError, match="isn't finite"):
        made(type(value)).dump_response(value)


def test_a_request_of_a_subclass_is_looked_at_though_the_declared_type_has_texts_only() -> None:
    with pytest.raises(ValidationError, match="is written for two keys"):
        made(Narrow).snapshot(Wide(text={1: 1, "1": 2}))


@pytest.mark.parametrize(
    "value", [Open(any={"None": 1, "a": {"b": None}}), Mixed(keys={1: 1, "2": 2}), Once(numbers={math.inf: 1, 2.0: 3})]
)
def test_others_are_taken(value: BaseModel) -> None:
    assert made(type(value)).snapshot(value).request == value
    assert made(type(value)).read_written(made(type(value)).dump_response(value), None) is not None


def test_where_all_keys_are_texts_nothing_is_looked_at() -> None:
    assert not has_free_keys(Narrow.__pydantic_core_schema__)
    assert has_free_keys(Wide.__pydantic_core_schema__)
    assert has_free_keys(Wild.__pydantic_core_schema__)
