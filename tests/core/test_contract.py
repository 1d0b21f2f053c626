"""A capability made ready: requests detached and validated anew, answers of any type, wired fallbacks held to their types."""

from __future__ import annotations

import dataclasses
import enum
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    SecretStr,
    ValidationError,
    ValidationInfo,
    WrapValidator,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import TypedDict

from failsoft import Audit, Capability, Referral, capability
from failsoft.core.contract import Contract, fallback_problem, import_path
from failsoft.core.frozen import deeply_frozen

T = TypeVar("T")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    description: str
    sizes: tuple[int, ...] = ()


class Size(BaseModel):
    mm: Annotated[int, Field(ge=0)]


class Mutable(BaseModel):
    description: str
    tags: list[str] = []
    size: Size | None = None


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Rating(BaseModel):
    model_config = ConfigDict(extra="forbid")
    stars: int


def made(request: Any, response: Any, fallback: Any = None) -> Contract[Any, Any]:
    def body(request: Any) -> Any:
        return None

    body.__annotations__ = {"request": request, "return": response}
    return Contract(capability(body), fallback)


def taken(contract: Contract[Any, Any], request: Any) -> tuple[Any, bytes]:
    snapshot = contract.snapshot(request)
    return snapshot.request, snapshot.text


class Contacted(BaseModel):
    line: str = Field(alias="lineOne")
    contact: Annotated[str, Audit.omitted]


class ContactedSpecially(Contacted):
    phone: Annotated[str, Audit.omitted]


@dataclass
class ContactedRow:
    it: Contacted


Masked = Annotated[str, PlainSerializer(lambda value: "***", return_type=str)]
Left = Annotated[str, Field(exclude=True)]


@dataclass
class Person:
    name: str
    ssn: Left
    pan: Masked


@checked_dataclass
class CheckedPerson(Person):
    pass


class TypedPerson(TypedDict):
    name: str
    ssn: Left
    pan: Masked


class PersonModel(BaseModel):
    name: str
    ssn: Left
    pan: Masked


class TestARequest:
    def test_that_is_frozen_all_the_way_down_is_used_as_it_is(self) -> None:
        request = Frozen(description="bolt", sizes=(1, 2))
        snapshot, text = taken(made(Frozen, int), request)
        assert snapshot is request
        assert text == b'{"description":"bolt","sizes":[1,2]}'

    def test_that_is_mutable_is_detached_with_all_that_it_holds(self) -> None:
        request = Mutable(description="bolt", tags=["a"], size=Size(mm=3))
        snapshot, _ = taken(made(Mutable, int), request)
        request.tags.append("b")
        request.description = "nut"
        assert request.size is not None
        request.size.mm = 9
        assert snapshot == Mutable(description="bolt", tags=["a"], size=Size(mm=3))

    def test_in_a_frozen_field_of_which_stands_a_mutable_subclass_is_detached_too(self) -> None:
        class Inner(BaseModel):
            model_config = ConfigDict(frozen=True)

        class Loose(Inner):
            model_config = ConfigDict(frozen=False)
            tags: list[str]

        class Outer(BaseModel):
            model_config = ConfigDict(frozen=True)
            inner: tuple[Inner, ...]

        loose = Loose(tags=["a"])
        snapshot, _ = taken(made(Outer, int), Outer(inner=(loose,)))
        loose.tags.append("b")
        assert snapshot.inner == (Loose(tags=["a"]),)

    def test_of_a_subclass_keeps_its_class(self) -> None:
        class Special(Frozen):
            extra: int

        snapshot, text = taken(made(Frozen, int), Special(description="bolt", extra=3))
        assert snapshot == Special(description="bolt", extra=3)
        assert text == b'{"description":"bolt","sizes":[]}'  # what the capability didn't declare goes nowhere

    def test_of_which_something_is_omitted_is_told_as_declared_at_any_depth(self) -> None:
        special = ContactedSpecially(lineOne="a", contact="c", phone="CAN")
        declared = b'{"lineOne":"a","contact":"c"}'
        assert taken(made(list[Contacted], int), [special])[1] == b"[" + declared + b"]"
        assert taken(made(ContactedRow, int), ContactedRow(special))[1] == b'{"it":' + declared + b"}"

    def test_that_cannot_be_written_is_refused_whoever_writes_it(self) -> None:
        class Raises(BaseModel):
            contact: Annotated[str, Audit.omitted]

            @computed_field  # type: ignore[prop-decorator]
            @property
            def other(self) -> int:
                raise RuntimeError("no")

        with pytest.raises(ValidationError, match="can't be written as JSON: RuntimeError: no"):
            made(list[Raises], int).snapshot([Raises(contact="c")])

    def test_with_no_number_is_told_in_words(self) -> None:
        assert taken(made(list[float], int), [math.nan, math.inf])[1] == b'["NaN","Infinity"]'

    def test_made_invalid_by_its_caller_is_refused(self) -> None:
        request = Mutable(description="bolt")
        request.description = 5  # type: ignore[assignment]
        with pytest.raises(ValidationError, match="description"):
            made(Mutable, int).snapshot(request)

    def test_with_an_invalid_model_deep_inside_is_refused(self) -> None:
        request = Mutable(description="bolt", size=Size(mm=3))
        assert request.size is not None
        request.size.mm = -1
        with pytest.raises(ValidationError, match="mm"):
            made(Mutable, int).snapshot(request)

    @pytest.mark.parametrize("kind", [list[Mutable], dict[str, Mutable], tuple[Mutable, ...]])
    def test_with_an_invalid_model_in_a_collection_is_refused(self, kind: Any) -> None:
        wrong = Mutable.model_construct(description=5)
        request = {"a": wrong} if kind == dict[str, Mutable] else (wrong,) if kind == tuple[Mutable, ...] else [wrong]
        with pytest.raises(ValidationError, match="description"):
            made(kind, int).snapshot(request)

    def test_constructed_without_validation_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="description"):
            made(Mutable, int).snapshot(Mutable.model_construct())

    def test_of_another_type_is_refused(self) -> None:
        with pytest.raises(ValidationError):
            made(Mutable, int).snapshot(Rating(stars=1))

    def test_with_aliases_is_snapshot_by_its_fields(self) -> None:
        class Aliased(BaseModel):
            part: str = Field(alias="Part Number")
            tags: list[str] = Field(default=[], validation_alias="t")

        snapshot, text = taken(made(Aliased, int), Aliased.model_validate({"Part Number": "1", "t": ["x"]}))
        assert (snapshot.part, snapshot.tags) == ("1", ["x"])
        assert b'"Part Number":"1"' in text

    def test_with_a_field_that_is_left_out_of_dumps_keeps_it(self) -> None:
        class Reserved(BaseModel):
            token: str = Field(exclude=True)

        snapshot, text = taken(made(Reserved, int), Reserved(token="t"))
        assert snapshot.token == "t"
        assert text == b"{}"

    def test_with_a_field_that_is_written_in_other_words_stays_valid(self) -> None:
        class Worded(BaseModel):
            count: int

            @field_serializer("count")
            def in_words(self, count: int) -> str:
                return "many"

        snapshot, text = taken(made(Worded, int), Worded(count=3))
        assert snapshot.count == 3
        assert text == b'{"count":"many"}'

    def test_holding_one_of_two_alike_models_keeps_that_one(self) -> None:
        class Nut(BaseModel):
            size: int

        class Bolt(BaseModel):
            size: int

        class Order(BaseModel):
            part: Nut | Bolt

        snapshot, _ = taken(made(Order, int), Order(part=Bolt(size=3)))
        assert type(snapshot.part) is Bolt

    def test_with_extra_fields_keeps_them_detached(self) -> None:
        class Open(BaseModel):
            model_config = ConfigDict(extra="allow")

        more = ["a"]
        snapshot, text = taken(made(Open, int), Open(more=more))  # type: ignore[call-arg]
        more.append("b")
        assert snapshot.more == ["a"]
        assert text == b'{"more":["a"]}'

    def test_with_aliases_that_are_others_names_keeps_each_in_its_place(self) -> None:
        class Crossed(BaseModel):
            one: int = Field(alias="other")
            other: str = Field(alias="one")

        snapshot, _ = taken(made(Crossed, int), Crossed(other=1, one="x"))  # type: ignore[arg-type]
        assert (snapshot.one, snapshot.other) == (1, "x")

    @pytest.mark.parametrize("several", [False, True])
    @pytest.mark.parametrize("kind", [Person, CheckedPerson, TypedPerson, PersonModel])
    def test_is_written_as_its_type_has_it_though_it_is_no_model(self, kind: Any, several: bool) -> None:
        person = kind(name="n", ssn="canary", pan="canary")
        rate = made(list[kind] if several else kind, int)
        snapshot, text = taken(rate, [person] if several else person)
        assert text == (b'[{"name":"n","pan":"***"}]' if several else b'{"name":"n","pan":"***"}')
        assert snapshot == ([person] if several else person)

    def test_of_bytes_in_base64_can_be_read_again(self) -> None:
        rate = made(Base64Bytes, int)
        snapshot, text = taken(rate, b"YWJj")
        assert rate.parse_request(text) == snapshot == b"abc"

    def test_of_which_two_keys_are_written_alike_is_refused_though_it_is_no_model(self) -> None:
        with pytest.raises(ValidationError, match="is written for two keys of a table"):
            made(dict[int | str, int], int).snapshot({1: 1, "1": 2})

    def test_that_is_a_root_model_is_detached(self) -> None:
        class Names(RootModel[list[str]]):
            pass

        request = Names(["a"])
        snapshot, text = taken(made(Names, int), request)
        request.root.append("b")
        assert snapshot.root == ["a"]
        assert text == b'["a"]'

    def test_with_a_secret_in_it_shows_none_in_the_evidence(self) -> None:
        class Login(BaseModel):
            password: SecretStr

        snapshot, text = taken(made(Login, int), Login(password=SecretStr("canary")))
        assert snapshot.password.get_secret_value() == "canary"
        assert b"canary" not in text

    @pytest.mark.parametrize(
        ("kind", "request_"),
        [
            (str, "bolt"),
            (int, 3),
            (list[int], [1, 2]),
            (dict[str, list[int]], {"a": [1]}),
            (Colour, Colour.RED),
            (Literal["a", "b"], "b"),
            (set[int], {1}),
            (float, float("inf")),
        ],
    )
    def test_may_be_no_model(self, kind: Any, request_: Any) -> None:
        contract = made(kind, int)
        snapshot, text = taken(contract, request_)
        assert snapshot == request_
        assert contract.parse_request(text) == request_

    def test_that_is_no_model_is_detached_too(self) -> None:
        request = {"a": [1]}
        snapshot, _ = taken(made(dict[str, list[int]], int), request)
        request["a"].append(2)
        assert snapshot == {"a": [1]}

    @pytest.mark.parametrize("wrong", [b"\xff", object()])
    def test_that_cant_be_written_as_json_is_invalid(self, wrong: Any) -> None:
        with pytest.raises(ValidationError, match="can't be written as JSON"):
            made(Any, int).snapshot(wrong)

    def test_that_cant_be_written_as_json_says_so_by_a_code(self) -> None:
        with pytest.raises(ValidationError) as wrong:
            made(bytes, int).snapshot(b"\xff")
        assert [each["type"] for each in wrong.value.errors()] == ["not_json"]

    def test_that_cant_change_and_cant_be_written_as_json_is_invalid(self) -> None:
        class Scan(BaseModel, frozen=True):
            data: bytes

        with pytest.raises(ValidationError, match="can't be written as JSON"):
            made(Scan, int).snapshot(Scan(data=b"\xff"))

    def test_is_what_its_caller_made_whatever_validators_would_make_of_it_again(self) -> None:
        class Numbered(BaseModel):
            number: str

            @field_validator("number")
            @classmethod
            def marked(cls, number: str) -> str:
                return number + "!"

        snapshot, text = taken(made(Numbered, int), Numbered(number="7"))
        assert snapshot.number == "7!"
        assert text == b'{"number":"7!"}'

    def test_keeps_its_private_attributes(self) -> None:
        class Traced(BaseModel):
            name: str
            _origin: str = PrivateAttr("")

        request = Traced(name="bolt")
        request._origin = "catalogue"
        snapshot, _ = taken(made(Traced, int), request)
        assert snapshot._origin == "catalogue"

    def test_that_cant_be_copied_is_invalid(self) -> None:
        class Held(BaseModel):
            model_config = ConfigDict(arbitrary_types_allowed=True)
            lock: Any

        with pytest.raises(ValidationError, match="can't be copied and validated anew: TypeError"):
            made(Held, int).snapshot(Held(lock=threading.Lock()))

    def test_a_validator_of_which_refuses_its_own_output_is_invalid(self) -> None:
        class Split(BaseModel):
            parts: list[str]

            @field_validator("parts", mode="before")
            @classmethod
            def split(cls, parts: str) -> list[str]:
                return parts.split(",")

        request = Split.model_validate({"parts": "a,b"})
        with pytest.raises(ValidationError, match=r"validator that runs before .*: AttributeError"):
            made(Split, int).snapshot(request)

    def test_that_can_change_is_lent_as_a_copy_for_each(self) -> None:
        snapshot = made(Mutable, int).snapshot(Mutable(description="bolt"))
        snapshot.lend().tags.append("mine")
        assert snapshot.lend().tags == []

    @pytest.mark.parametrize("kind", [Frozen, str, Colour])
    def test_that_cant_change_is_lent_as_it_is(self, kind: Any) -> None:
        request = Frozen(description="bolt") if kind is Frozen else Colour.RED if kind is Colour else "bolt"
        snapshot = made(kind, int).snapshot(request)
        assert snapshot.lend() is request

    @given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(), st.lists, max_leaves=9))
    def test_never_shares_a_list_with_its_caller(self, value: Any) -> None:
        def lists(value: Any) -> set[int]:
            return {id(value)}.union(*map(lists, value)) if isinstance(value, list) else set()

        snapshot, _ = taken(made(Any, int), value)
        assert snapshot == value
        assert not lists(snapshot) & lists(value)


class TestWhatIsFrozen:
    @pytest.mark.parametrize(
        "kind",
        [
            str,
            Colour,
            Frozen,
            Literal["a"],
            int | None,
            tuple[int, ...],
            tuple[()],
            frozenset[str],
            Annotated[int, Field(ge=0)],
            Annotated[int, []],
        ],
    )
    def test_yes(self, kind: Any) -> None:
        assert deeply_frozen(kind)

    @pytest.mark.parametrize("kind", [list[int], dict[str, int], Mutable, Any, tuple[list[int], ...], bytearray, T])
    def test_no(self, kind: Any) -> None:
        assert not deeply_frozen(kind)

    def test_a_model_with_open_extras_or_private_attributes_isnt(self) -> None:
        class Open(BaseModel):
            model_config = ConfigDict(frozen=True, extra="allow")

        class Private(BaseModel):
            model_config = ConfigDict(frozen=True)
            _cache: dict[str, int] = PrivateAttr(default_factory=dict)

        assert not deeply_frozen(Open)
        assert not deeply_frozen(Private)

    def test_a_recursive_model_is_decided_by_its_other_fields(self) -> None:
        class Tree(BaseModel):
            model_config = ConfigDict(frozen=True)
            children: tuple[Tree, ...] = ()

        class Bush(BaseModel):
            model_config = ConfigDict(frozen=True)
            children: tuple[Bush, ...] = ()
            leaves: list[str]

        Tree.model_rebuild()
        Bush.model_rebuild()
        assert deeply_frozen(Tree)
        assert not deeply_frozen(Bush)


class TestAnAnswer:
    @pytest.mark.parametrize(
        ("kind", "text", "value"),
        [
            (Rating, b'{"stars": 3}', Rating(stars=3)),
            (Colour, b'{"value": "red"}', Colour.RED),
            (Literal["a", "b"], b'{"value": "b"}', "b"),
            (int, b'{"value": 3}', 3),
            (list[Rating], b'{"value": [{"stars": 1}]}', [Rating(stars=1)]),
            (Rating | Referral, b'{"stars": 3}', Rating(stars=3)),
            (Rating | Size, b'{"value": {"mm": 3}}', Size(mm=3)),
            (int | Referral, b'{"value": 3}', 3),
            (dict[str, int], b'{"value": {"a": 1}}', {"a": 1}),
            (int | None, b'{"value": null}', None),
        ],
    )
    def test_may_be_of_any_type(self, kind: Any, text: bytes, value: object) -> None:
        contract = made(str, kind)
        read = contract.read_answer(text, "request")
        assert read == value
        assert type(read) is type(value)
        assert contract.answer.schema["type"] == "object"

    def test_may_be_a_recursive_model(self) -> None:
        class Tree(BaseModel):
            children: list[Tree] = []

        Tree.model_rebuild()
        assert made(str, Tree).read_answer(b'{"children": [{}]}', "request") == Tree(children=[Tree()])

    @pytest.mark.parametrize("text", [b'{"value": 3, "more": 1}', b"3", b'{"value": 3.5}', b"{}"])
    def test_that_is_wrapped_is_nothing_but_its_value(self, text: bytes) -> None:
        with pytest.raises(ValidationError):
            made(str, int).read_answer(text, "request")

    @pytest.mark.parametrize(
        ("answers", "text"),
        [(int, b'"3"'), (int, b"true"), (int, b"3.5"), (float, b'"3"'), (bool, b"1"), (bool, b'"yes"'), (str, b"3")],
    )
    def test_what_the_schema_doesnt_say_isnt_read_into_an_answer(self, answers: Any, text: bytes) -> None:
        with pytest.raises(ValidationError):
            made(str, answers).read_answer(b'{"value": %b}' % text, "request")

    @pytest.mark.parametrize("mode", ["before", "wrap", "model"])
    def test_with_a_validator_that_runs_before_is_read_as_its_schema_says(self, mode: str) -> None:
        around: Any = BeforeValidator(lambda value: value)
        if mode == "wrap":
            around = WrapValidator(lambda value, handler: handler(value))

        class Quote(BaseModel):
            day: Annotated[date, around]
            fee: Annotated[Decimal, around]
            sizes: Annotated[tuple[int, ...], around]

        class Whole(BaseModel):
            day: date
            fee: Decimal
            sizes: tuple[int, ...]

            @model_validator(mode="before")
            @classmethod
            def pass_on(cls, value: Any) -> Any:
                return value

        text = b'{"day": "2026-11-29", "fee": "1.50", "sizes": [1, 2]}'
        read = made(str, Whole if mode == "model" else Quote).read_answer(text, "request")
        assert (read.day, read.fee, read.sizes) == (date(2026, 11, 29), Decimal("1.50"), (1, 2))

    @pytest.mark.parametrize(
        ("answers", "text", "value"),
        [
            (float, b"3", 3.0),
            (date, b'"2026-11-29"', date(2026, 11, 29)),
            (Decimal, b'"1.50"', Decimal("1.50")),
            (tuple[int, ...], b"[1, 2]", (1, 2)),
            (Literal["a", "b"], b'"b"', "b"),
        ],
    )
    def test_what_json_has_no_type_for_is_read_from_its_text(self, answers: Any, text: bytes, value: object) -> None:
        assert made(str, answers).read_answer(b'{"value": %b}' % text, "request") == value

    @pytest.mark.parametrize(
        "kind", [Rating | Referral, Annotated[Rating | Referral, Field(description="d")], int | Rating | Referral]
    )
    def test_never_refers(self, kind: Any) -> None:
        contract = made(str, kind)
        assert contract.may_refer
        assert "reason" not in str(contract.answer.schema)
        for text in (b'{"reason": "r"}', b'{"value": {"reason": "r"}}'):
            with pytest.raises(ValidationError):
                contract.read_answer(text, "request")

    def test_never_refers_by_a_referral_of_the_applications_own(self) -> None:
        class Escalation(Referral):
            desk: str

        contract = made(str, Rating | Escalation)
        assert contract.may_refer
        assert "desk" not in str(contract.answer.schema)

    def test_of_one_type_and_a_referral_needs_nothing_that_told_them_apart(self) -> None:
        class Rated(BaseModel):
            kind: Literal["rated"]

        class Escalation(Referral):
            kind: Literal["escalation"]

        contract = made(str, Annotated[Rated | Escalation, Field(discriminator="kind")])
        assert contract.may_refer
        assert contract.read_answer(b'{"kind": "rated"}', "request") == Rated(kind="rated")

    def test_refers_only_where_its_type_says_so(self) -> None:
        assert [made(str, each).may_refer for each in (int, int | bool, int | Referral)] == [False, False, True]

    def test_one_of_whose_types_is_read_by_the_users_own_code_is_read_as_its_schema_says(self) -> None:
        early = Annotated[date, BeforeValidator(lambda value: value)]
        assert made(str, int | early).read_answer(b'{"value": "2026-01-02"}', "request") == date(2026, 1, 2)

    def test_may_be_a_dictionary_of_anything(self) -> None:
        assert made(str, dict).read_answer(b'{"value": {"a": 1}}', "request") == {"a": 1}

    def test_of_another_type_than_its_own_is_dumped_without_a_word(self) -> None:
        assert made(str, Rating).dump_response(Rating.model_construct(stars="x")) == b'{"stars":"x"}'  # type: ignore[arg-type]

    def test_has_names_that_may_be_said_of_where_it_doesnt_fit(self) -> None:
        class Part(BaseModel):
            size: Size

        class Parts(BaseModel):
            parts: list[Part]
            spare: Part | None

        assert made(str, Parts).field_names == {"parts", "spare", "size", "mm"}
        assert made(str, int).field_names == {"value"}

    def test_of_several_types_keeps_what_is_said_about_their_union(self) -> None:
        contract = made(str, Annotated[int | bool | Referral, Field(description="how many")])
        assert contract.answer.schema["properties"]["value"]["description"] == "how many"

    def test_meets_validators_that_know_the_request(self) -> None:
        seen: list[object] = []

        class Aware(BaseModel):
            stars: int

            @field_validator("stars")
            @classmethod
            def look(cls, stars: int, info: ValidationInfo) -> int:
                seen.append(info.context)
                return stars

        request = Frozen(description="bolt")
        made(Frozen, Aware).read_answer(b'{"stars": 1}', request)
        made(Frozen, list[Aware]).read_answer(b'{"value": [{"stars": 1}]}', request)
        assert seen == [request, request]
        assert all(each is request for each in seen)

    def test_has_a_schema_that_is_made_once(self) -> None:
        contract = made(str, Rating)
        assert contract.answer.schema is contract.answer.schema
        assert contract.answer.name == "body"

    def test_is_dumped_for_the_record(self) -> None:
        assert made(str, list[Rating]).dump_response([Rating(stars=1)]) == b'[{"stars":1}]'


class Pairs(enum.Enum):
    FIRST = (1, 2)


class Days(enum.Enum):
    NEW_YEAR = date(2026, 1, 1)


class Mixed(enum.Enum):
    TEXT = "a"
    PAIR = (1, 2)


class Found(enum.Enum):
    FIRST = (1, 2)

    @classmethod
    def _missing_(cls, value: object) -> Found:
        return cls.FIRST


class NeedsPair(BaseModel):
    pair: Pairs

    @model_validator(mode="after")
    def fits(self) -> NeedsPair:
        raise NotImplementedError


@dataclass
class NeedsPairData:
    pair: Pairs


class MayHavePair(BaseModel):
    pair: Pairs | None


class TestTypesThatCantBe:
    def test_only_a_referral(self) -> None:
        with pytest.raises(TypeError, match="nothing for a model to answer"):
            made(str, Referral)

    def test_a_response_without_schema(self) -> None:
        with pytest.raises(TypeError, match=r"body: response type .* has no JSON schema"):
            made(str, Callable[[], int])

    @pytest.mark.parametrize(
        "response",
        [Pairs, Days, NeedsPair, NeedsPairData, dict[Literal[1, 2], int], dict[tuple[int, int], int], Pairs | Referral],
    )
    def test_a_response_whose_schema_asks_for_what_is_then_refused(self, response: Any) -> None:
        with pytest.raises(TypeError, match="takes nothing that its JSON schema allows"):
            made(str, response)

    @pytest.mark.parametrize(
        ("response", "answer"),
        [
            (Mixed, b'{"value":"a"}'),
            (Found, b'{"value":[1,2]}'),
            (MayHavePair, b'{"pair":null}'),
            (dict[Literal[1, "a"], int], b'{"value":{"a":1}}'),
            (dict[Literal[True], int], b'{"value":{"true":1}}'),
            (dict[int, int], b'{"value":{"1":1}}'),
            (dict, b'{"value":{}}'),
            (Pairs | int, b'{"value":1}'),
        ],
    )
    def test_but_not_one_that_takes_something(self, response: Any, answer: bytes) -> None:
        assert made(str, response).read_answer(answer, "") is not None

    @pytest.mark.parametrize(("request_", "response"), [(object, int), (str, type("Own", (), {}))])
    def test_what_pydantic_doesnt_know(self, request_: Any, response: Any) -> None:
        if request_ is object:
            request_ = type("Own", (), {})
        with pytest.raises(TypeError, match="can't be validated"):
            made(request_, response)


class TestAFallbacksValue:
    def test_is_held_to_the_response_type(self) -> None:
        with pytest.raises(ValidationError):
            made(str, Rating).check_value(5, None)

    def test_may_refer_only_where_typed(self) -> None:
        referral = Referral(reason="r")
        assert made(str, Rating | Referral).check_value(referral, None) is referral
        with pytest.raises(ValidationError):
            made(str, Rating).check_value(referral, None)


def plain(request: Frozen) -> Rating:
    raise NotImplementedError


class Table:
    def __call__(self, request: Frozen) -> Rating:
        raise NotImplementedError

    @classmethod
    async def waits(cls, request: Frozen) -> Rating:
        raise NotImplementedError


class WaitingTable:
    async def __call__(self, request: Frozen) -> Rating:
        raise NotImplementedError


async def waits(request: Frozen) -> Rating:
    raise NotImplementedError


def two(request: Frozen, other: int) -> Rating:
    raise NotImplementedError


def wrong_request(request: int) -> Rating:
    raise NotImplementedError


def wrong_response(request: Frozen) -> int:
    raise NotImplementedError


def narrower(request: object) -> Rating:
    raise NotImplementedError


def unannotated(request):  # type: ignore[no-untyped-def]
    raise NotImplementedError


def lost(request: Nowhere) -> Rating:  # type: ignore[name-defined]  # noqa: F821
    raise NotImplementedError


Score = Annotated[int, Field(ge=0, le=100)]


def scored(request: Frozen) -> Score:
    raise NotImplementedError


def counted(request: Frozen) -> int:
    raise NotImplementedError


class Coarse(Rating):
    pass


class Fine(Rating):
    pass


def either(request: Frozen) -> Coarse | Fine:
    raise NotImplementedError


class TestAWiredFallback:
    @pytest.mark.parametrize("target", [plain, Table(), narrower, unannotated, either])
    def test_that_fits(self, target: Any) -> None:
        assert fallback_problem(target, Frozen, Rating) is None

    @pytest.mark.parametrize(
        ("target", "problem"),
        [
            (5, "is not callable"),
            (waits, "a fallback may not wait"),
            (Table.waits, "a fallback may not wait"),
            (WaitingTable(), "a fallback may not wait"),
            (two, "must take exactly one argument"),
            (wrong_request, "takes int, but the capability's request is Frozen"),
            (wrong_response, "returns int, but the capability's response is Rating"),
            (lost, "has an annotation that can't be resolved: name 'Nowhere'"),
            (max, "has no signature that can be read"),
        ],
    )
    def test_that_doesnt(self, target: Any, problem: str) -> None:
        assert problem in (fallback_problem(target, Frozen, Rating) or "")

    @pytest.mark.parametrize("response", [Rating | Referral, Any, Annotated[Rating, "note"]])
    def test_may_return_one_of_several_types(self, response: Any) -> None:
        assert fallback_problem(plain, Frozen, response) is None

    @pytest.mark.parametrize("target", [scored, counted])
    def test_may_leave_constraints_to_the_capability(self, target: Any) -> None:
        assert fallback_problem(target, Frozen, Score) is None

    def test_may_not_return_more_than_is_allowed(self) -> None:
        def both(request: Frozen) -> Rating | Referral:
            raise NotImplementedError

        both.__annotations__["return"] = Rating | Referral
        both.__annotations__["request"] = Frozen
        assert "returns" in (fallback_problem(both, Frozen, Rating) or "")
        assert fallback_problem(both, Frozen, Rating | Referral) is None

    def test_of_another_form_is_named_as_it_is_written(self) -> None:
        assert "returns int" in (fallback_problem(counted, Frozen, list[int]) or "")

    def test_answers_in_place_of_the_capabilitys_own(self) -> None:
        contract = made(Frozen, Rating, plain)
        assert contract.fallback is plain
        assert contract.fallback_name == f"{__name__}:plain"


class GradeFrozen(Capability[Frozen, int]):
    def fallback(self, request: Frozen) -> int:
        return 0

    def accept(self, request: Frozen, response: int) -> None:
        raise ValueError


class TestItsNames:
    def test_a_class_is_named_by_its_import_path(self) -> None:
        assert Contract(GradeFrozen()).fallback_name == f"{__name__}:GradeFrozen"

    def test_a_function_is_named_by_the_functions(self) -> None:
        assert import_path(capability(plain)) == f"{__name__}:plain"

    def test_something_with_a_body_of_its_own_is_named_by_its_class(self) -> None:
        table = Table()
        table._body = 5  # type: ignore[attr-defined]
        assert import_path(table) == f"{__name__}:Table"

    def test_accept_is_called_only_where_there_is_one(self) -> None:
        assert Contract(GradeFrozen()).accept is not None
        assert made(str, int).accept is None


def test_a_persons_new_value_is_read_from_json_with_the_request_beside_it() -> None:
    class Most(BaseModel):
        stars: int

        @field_validator("stars")
        @classmethod
        def _at_most(cls, stars: int, info: ValidationInfo) -> int:
            if info.context is not None and stars > info.context:
                raise ValueError("too many")
            return stars

    class Rate(Capability[int, Most | Referral]):
        def fallback(self, request: int) -> Most | Referral:
            return Most(stars=0)

    contract: Contract[int, Any] = Contract(Rate())
    assert contract.parse_value('{"stars": 9}', None) == Most(stars=9)
    assert contract.parse_value(b'{"reason": "unsure"}', 3) == Referral(reason="unsure")
    for text in ('{"stars": 9}', '{"stars": 1', "{}"):
        with pytest.raises(ValidationError):
            contract.parse_value(text, 3)


@dataclasses.dataclass
class Cart:
    items: list[float]
    total: float = dataclasses.field(init=False, default=0.0)


def test_a_field_that_is_none_of_the_constructors_is_in_the_evidence() -> None:
    cart = Cart([1.0])
    cart.total = 1.2
    assert made(Cart, int).snapshot(cart).text == b'{"items":[1.0],"total":1.2}'
    assert made(list[Cart], int).snapshot([cart]).text == b'[{"items":[1.0],"total":1.2}]'
