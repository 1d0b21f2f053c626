"""Numbers that aren't finite are never put on record as something else."""

from __future__ import annotations

import contextlib
import enum
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FieldSerializationInfo,
    PlainSerializer,
    RootModel,
    SecretStr,
    ValidationError,
    create_model,
    field_serializer,
    model_validator,
)

from failsoft import Audit, FallbackFailed, Isolation, capability
from failsoft.core.contract import Contract
from failsoft.core.finite import BY_ITSELF, lost_number

NAN, INF = math.nan, math.inf
ODD = [NAN, INF, -INF]


class Price(BaseModel):
    model_config = ConfigDict(frozen=True)
    price: float
    note: str | None = None


class Open(BaseModel):
    model_config = ConfigDict(frozen=True)
    any: Any = None
    note: str | None = None


class Words(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")
    price: float | None = None
    note: str | None = None
    any: Any = None


class Constants(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    price: float


@dataclass
class Plain:
    price: Any


@dataclass(frozen=True)
class Fixed:
    price: Any


class Pair(NamedTuple):
    low: float | None
    high: Any


class Size(enum.Enum):
    SMALL = 1.0
    ENDLESS = INF


def unbounded(value: float) -> object:
    return "unbounded" if math.isinf(value) else value


def nothing(value: float) -> object:
    return None if math.isinf(value) else value


def told(value: float) -> object:
    return {"is": value, "was": None}


class Told(BaseModel):
    """Each written in words of the application's own."""

    word: Annotated[float, PlainSerializer(unbounded, when_used="json")] = 1
    no: Annotated[float, PlainSerializer(nothing)] = 1
    form: Annotated[tuple[float, ...], PlainSerializer(lambda all_: {"n": None}, when_used="json")] = ()
    size: Annotated[float, PlainSerializer(told)] = 1
    great: Annotated[Decimal, PlainSerializer(float, when_used="json")] = Decimal(1)
    note: str | None = None


def made(response: Any, request: Any = str) -> Contract[Any, Any]:
    def body(request: Any) -> Any:
        return None

    body.__annotations__ = {"request": request, "return": response}
    return Contract(capability(body))


def place(error: ValidationError) -> tuple[int | str, ...]:
    (told,) = error.errors()
    assert told["type"] == "not_finite"
    assert told["msg"] == "isn't finite, and JSON has no word for it"
    return told["loc"]


HOLDING: list[tuple[Any, Any, tuple[int | str, ...]]] = [
    (Price, Price(price=INF), ("price",)),
    (Price, Price.model_construct(price=1.0, note=INF), ("note",)),
    (list[Price], [Price(price=1), Price(price=NAN)], (1, "price")),
    (dict[str, Price], {"null": Price(price=1), "b": Price(price=-INF)}, ("b", "price")),
    (dict[int | str, float | None], {1: None, "1": INF}, ("1",)),
    (Open, Open(any=INF), ("any",)),
    (Open, Open(any=[None, {"a": (1, INF)}]), ("any", 1, "a", 1)),
    (Open, Open(any=Price(price=INF)), ("any", "price")),
    (Open, Open(any=Plain(NAN)), ("any", "price")),
    (Open, Open(any=deque([INF])), ("any", 0)),
    (Open, Open(any={None, INF}), ("any",)),
    (Open, Open(any=[{1.0, None}, INF]), ("any", 1)),
    (Open, Open(any=Size.ENDLESS), ("any",)),
    (Size, Size.ENDLESS, ()),
    (Plain, Plain(Plain(INF)), ("price", "price")),
    (Pair, Pair(None, INF), (1,)),
    (Pair, Pair(INF, None), (0,)),
    (float, NAN, ()),
    (float | str, INF, ()),
    (set[float | None], {INF}, (0,)),
    (set[tuple[float | None, ...]], {(None, INF)}, (0, 1)),
    (set[Price], {Price(price=INF)}, (0, "price")),
    (frozenset[Open], frozenset([Open(any=INF)]), ()),
    (frozenset[Open], frozenset([Open(any=Fixed(Size.ENDLESS))]), ()),
    (Constants, Constants(price=INF), ()),
    (Words, Words(any=INF), ("any",)),
    (Words, Words(any=[INF, "Infinity"]), ("any", 0)),
    (Words, Words(any={INF}), ("any", 0)),
    (Told, Told(great=Decimal("1e999")), ("great",)),
    (Told, Told(size=INF), ("size", "is")),
]


@pytest.mark.parametrize(("kind", "value", "where"), HOLDING)
def test_a_response_that_holds_one_is_refused_and_says_where(
    kind: Any, value: Any, where: tuple[int | str, ...]
) -> None:
    with pytest.raises(ValidationError) as caught:
        made(kind).dump_response(value)
    assert place(caught.value) == where


@pytest.mark.parametrize(("kind", "value", "where"), [each for each in HOLDING if each[0] not in (float, Told)])
def test_a_request_that_holds_one_is_refused_unless_it_is_written_and_read_as_text(
    kind: Any, value: Any, where: tuple[int | str, ...]
) -> None:
    contract = made(str, kind)
    with contextlib.suppress(ValidationError):
        text = contract.snapshot(value).text
        assert repr(contract.parse_request(text)) == repr(value)


@pytest.mark.parametrize("kind", [float, list[float], set[float], dict[str, list[float]]])
def test_a_request_of_numbers_alone_is_written_as_text_that_is_read_as_them(kind: Any) -> None:
    value = {float: INF, list[float]: [INF, 1.0], set[float]: {INF, 1.0}}.get(kind, {"a": [-INF]})
    contract = made(str, kind)
    assert contract.parse_request(contract.snapshot(value).text) == value


@pytest.mark.parametrize(
    ("kind", "value", "where"),
    [
        (float | str, INF, ()),
        (list[Any], ["Infinity", INF], (1,)),
        (set[float | str], {"Infinity", INF}, ()),
        (frozenset[float | str], frozenset([NAN]), ()),
        (dict[str, Any], {"a": {"b": -INF}}, ("a", "b")),
    ],
)
def test_a_request_whose_text_is_read_as_text_is_refused(kind: Any, value: Any, where: tuple[int | str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        made(str, kind).snapshot(value)
    assert place(caught.value)[: len(where)] == where, "of a set it may say which"


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("number", ODD)
def test_a_request_s_refusal_says_where(number: float, frozen: bool) -> None:
    class Share(BaseModel):
        model_config = ConfigDict(frozen=frozen)
        share: float

    with pytest.raises(ValidationError) as caught:
        made(str, Share).snapshot(Share(share=number))
    assert place(caught.value) == ("share",)
    assert caught.value.title == "Share"


def test_a_request_of_which_something_is_omitted_is_looked_at_as_it_is_declared() -> None:
    class Share(BaseModel):
        who: Annotated[str | None, Audit.omitted] = None
        share: Any = None
        note: str | None = None

    class Wider(Share):
        more: float = INF

    contract = made(str, Share)
    with pytest.raises(ValidationError) as caught:
        contract.snapshot(Share(share=INF))
    assert place(caught.value) == ("share",)
    assert contract.snapshot(Wider(who="x")).text == b'{"who":"x","share":null,"note":null}'
    assert made(str, Price).snapshot(type("Special", (Price,), {"__annotations__": {"more": float}})(price=1, more=INF))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Price, Price(price=1), b'{"price":1.0,"note":null}'),
        (Price, Price(price=1, note="NaN"), b'{"price":1.0,"note":"NaN"}'),
        (Open, Open(any=["Infinity", None]), b'{"any":["Infinity",null],"note":null}'),
        (Words, Words(price=-INF), b'{"price":"-Infinity","note":null,"any":null}'),
        (Words, Words(price=NAN), b'{"price":"NaN","note":null,"any":null}'),
        (Told, Told(word=INF), b'{"word":"unbounded","no":1,"form":[],"size":1.0,"great":1.0,"note":null}'),
        (dict[float, None], {INF: None}, b'{"inf":null}'),
        (frozenset[Open], frozenset([Open()]), b'[{"any":null,"note":null}]'),
        (RootModel[list[float | None]], RootModel[list[float | None]]([None]), b"[null]"),
        (Any, [b"x", None, object], b""),
    ],
)
def test_what_says_the_same_as_text_is_taken(kind: Any, value: Any, text: bytes) -> None:
    if kind is Told:
        text = text.replace(b'"form":[]', b'"form":{"n":null}').replace(b'"size":1.0', b'"size":{"is":1,"was":null}')
    if not text:
        assert lost_number(b'["x",null,"y"]', value, BY_ITSELF, None) is None
    else:
        assert made(kind).dump_response(value) == text


def test_null_that_a_serializer_of_its_own_writes_is_what_was_meant() -> None:
    text = made(Told).dump_response(Told(no=INF, form=(INF,)))
    assert b'"no":null,"form":{"n":null}' in text


@dataclass(eq=False)
class Held:
    what: Any = None


class ForJson(BaseModel):
    """Its bounds are written as null for JSON alone."""

    model_config = ConfigDict(frozen=True)
    low: float | None = None
    any: Any = None
    back: Any = Field(default_factory=Held, exclude=True, repr=False)

    @field_serializer("low", when_used="json-unless-none")
    def _low(self, low: float) -> float | None:
        return low if math.isfinite(low) else None


class Asks(BaseModel):
    """Its bounds are written by what is asked for."""

    low: float = -INF

    @field_serializer("low")
    def _low(self, low: float, info: FieldSerializationInfo) -> float | None:
        return low if math.isfinite(low) or info.mode == "python" else None


class Wider(ForJson):
    """Looked at by itself, it has more than what it's declared as."""

    note: str | None = None


Bounds = Annotated[float | None, PlainSerializer(lambda low: None, when_used="json")]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ForJson, ForJson(low=NAN)),
        (ForJson, ForJson(low=NAN, any=[1, "x"])),
        (list[ForJson], [ForJson(low=1), ForJson(low=INF)]),
        (set[ForJson], {ForJson(low=INF)}),
        (Bounds, INF),
        (Asks, Asks()),
        (Any, ForJson(low=NAN)),
        (Any, {"a": (Asks(),)}),
        (Held, Held(ForJson(low=INF))),
        (ForJson, Wider(low=INF)),
    ],
)
def test_null_that_is_written_for_json_alone_is_what_was_meant(kind: Any, value: Any) -> None:
    assert b"null" in made(kind).dump_response(value)
    if isinstance(value, BaseModel):
        assert b"null" in made(str, type(value) if kind is Any else kind).snapshot(value).text
        assert lost_number(value.model_dump_json().encode(), value, BY_ITSELF, None) is None


def test_a_number_beside_what_is_written_for_json_alone_is_found() -> None:
    with pytest.raises(ValidationError) as caught:
        made(ForJson).dump_response(ForJson(low=INF, any={"a": INF}))
    assert place(caught.value) == ("any", "a")
    with pytest.raises(ValidationError) as caught:
        made(str, ForJson).snapshot(ForJson(low=INF, any=[1, INF]))
    assert place(caught.value) == ("any", 1)


def test_what_cannot_be_written_once_more_says_nothing() -> None:
    left = iter((None, None))
    kind = Annotated[float | None, PlainSerializer(lambda low: next(left), when_used="json")]
    assert made(kind).dump_response(INF) == b"null"
    assert next(left, "all were asked for") == "all were asked for"


def test_what_refers_to_itself_where_it_is_not_written_is_looked_through_once() -> None:
    held = Held()
    value = ForJson(low=INF, back=held)
    held.what = [value]
    assert made(ForJson).dump_response(value) == b'{"low":null,"any":null}'


def test_a_serializer_of_pydantic_s_own_means_nothing_by_null() -> None:
    class Secret(BaseModel):
        key: SecretStr = SecretStr("x")
        where: Path = Path("x")
        any: Any = None

    with pytest.raises(ValidationError) as caught:
        made(Secret).dump_response(Secret(any=Open(any=INF)))
    assert place(caught.value) == ("any", "any")


def test_a_word_that_its_own_type_does_not_read_is_refused() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(ser_json_inf_nan="strings", strict=True)
        price: float

    class Checked(Words):
        @model_validator(mode="after")
        def never_from_json(self) -> Checked:
            raise ValueError(self)

    for kind in (Strict, Checked):
        with pytest.raises(ValidationError) as caught:
            made(kind).dump_response(kind.model_construct(price=INF))
        assert place(caught.value) == ("price",)


def test_a_value_of_a_kind_that_nobody_knows_is_looked_through_as_far_as_it_goes() -> None:
    class Deep(BaseModel):
        model_config = ConfigDict(frozen=True, extra="allow")

    value = frozenset([Deep(more=(1, INF))])  # type: ignore[call-arg]
    assert lost_number(b'[{"more":[1,null]}]', value, BY_ITSELF, None) == ()
    assert lost_number(b'[{"more":[1,"x"]}]', value, BY_ITSELF, None) is None
    assert lost_number(b'[{"more":[null,"Infinity"]}]', value, BY_ITSELF, None) is None
    named = frozenset([Deep(more=("Infinity", INF))])  # type: ignore[call-arg]
    assert lost_number(b'[{"more":["Infinity",null]}]', named, BY_ITSELF, None) == ()


LEAVES = st.none() | st.floats() | st.sampled_from(["NaN", "Infinity", "null", "x"]) | st.integers(-9, 9)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner))
Mode = Literal["null", "strings", "constants"]


def model_of(mode: Mode, frozen: bool) -> Any:
    config = ConfigDict(ser_json_inf_nan=mode, frozen=frozen)
    many = list[float | None] if not frozen else tuple[float | None, ...]
    return create_model("Made", __config__=config, one=(float | None, None), many=(many, ()), any=(Any, None))


MODELS = {
    (mode, frozen): model_of(mode, frozen) for mode in ("null", "strings", "constants") for frozen in (True, False)
}


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, BaseModel):
        value = value.__dict__
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from leaves(each)
    else:
        yield value


@given(st.sampled_from(sorted(MODELS)), LEAVES, st.lists(st.none() | st.floats(), max_size=3), VALUES)
def test_what_stands_on_record_is_read_as_the_same_value(key: Any, one: Any, many: Any, any_: Any) -> None:
    kind = MODELS[key]
    value = kind(one=one if one is None or isinstance(one, float) else 1.5, many=many, any=any_)
    odd = any(isinstance(each, float) and not math.isfinite(each) for each in leaves(value))
    contract = made(kind, kind)
    for write, read in (
        (contract.dump_response, lambda text: contract.parse_value(text, None)),
        (lambda value: contract.snapshot(value).text, contract.parse_request),
    ):
        try:
            text = write(value)
        except ValidationError:
            assert odd
        else:
            assert not odd or key[0] == "strings"
            assert repr(read(text)) == repr(value)


@pytest.mark.parametrize("number", ODD)
def test_a_fallback_that_gives_one_gave_what_its_type_does_not_allow(number: float, tmp_path: Any) -> None:
    @capability
    def price(item: str) -> Price:
        return Price(price=number)

    ledger = {"ledger": {"url": f"sqlite:///{tmp_path}/x.db"}}
    with (
        Isolation(ledger, capabilities=[price]) as isolation,
        pytest.raises(FallbackFailed, match="doesn't fit at price"),
    ):
        isolation[price].sync("bolt")
