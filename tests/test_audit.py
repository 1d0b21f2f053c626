"""What's marked public stands in the record, what's marked omitted on none, and nothing else changes."""

from __future__ import annotations

import json
import typing
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, make_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cached_property
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    ForwardRef,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
    TypeVar,
    Union,
)

import pydantic
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    InstanceOf,
    Json,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    RootModel,
    SerializeAsAny,
    SkipValidation,
    Tag,
    TypeAdapter,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core import to_json
from pydantic_core.core_schema import (
    chain_schema,
    dict_schema,
    format_ser_schema,
    is_instance_schema,
    lax_or_strict_schema,
    no_info_plain_validator_function,
    str_schema,
    to_string_ser_schema,
)
from typing_extensions import TypeAliasType
from typing_extensions import TypedDict as CheckedDict
from typing_extensions import TypeVar as TypeVarWithDefault

import failsoft
from failsoft import Ask, Audit, Capability, Isolation, Referral, Required
from failsoft.audit import AuditPlan, Marks, plan_of
from failsoft.core import contract, marked
from failsoft.ledger.read import read
from failsoft.ledger.records.facts import FACTS_BYTES, told
from failsoft.ledger.records.person_draft import omitted
from failsoft.ledger.verify import verify


def marks_of(kind: Any, what: str) -> Marks:
    return marked.marks_of(kind, contract._adapter(kind, what), what)


class Person(BaseModel):
    name: Annotated[str, Audit.omitted]
    role: Annotated[str, Audit.public]


class Item(BaseModel):
    nsn: Annotated[str, Audit.public]
    description: Annotated[str, Audit.committed]
    contact: Person
    others: list[Person] = Field(default_factory=list)
    by_name: dict[str, Person] = Field(default_factory=dict)
    note: Annotated[str | None, Audit.omitted] = None


class Plain(BaseModel):
    text: str
    child: Plain | None = None


class Short(BaseModel):
    """Only ever written by serializers around it: pydantic may keep one with the class, and write it so elsewhere, too."""

    text: str = ""


class Secret(BaseModel):
    name: str
    contact: Annotated[str, Audit.omitted]


Contact = TypeAliasType("Contact", Annotated[str, Audit.omitted])
Line = NewType("Line", Secret)


class Aliased(BaseModel):
    contact: Contact | None = Field(exclude=False)
    person: Line | None


class People(RootModel[list[Secret]]):
    pass


class Team(BaseModel):
    people: People


@checked_dataclass
class Checked:
    contact: Annotated[str, Audit.omitted] = Field(alias="contactLine")
    kept: str = "k"


@dataclass
class Named:
    name: str


@dataclass
class Aged(Named):
    contact: Annotated[str, Audit.omitted]


@checked_dataclass
class Base:
    n: int


@dataclass
class Told(Base):
    c: Annotated[str, Audit.omitted, Field(serialization_alias="d")] = "CAN"


class Partly(CheckedDict):
    contact: NotRequired[Annotated[str, Audit.omitted]]
    n: typing.Required[int]


T = TypeVar("T")


@dataclass
class Boxed(Generic[T]):
    value: T
    contact: Annotated[str, Audit.omitted]


class Computed(BaseModel):
    n: int

    @computed_field(alias="s")  # type: ignore[prop-decorator]
    @property
    def secret(self) -> Annotated[str, Audit.omitted]:
        return "CAN"

    @computed_field  # type: ignore[prop-decorator]
    @cached_property
    def plain(self) -> int:
        return self.n


class Parents(BaseModel):
    a: Annotated[Secret | None, Audit.committed]
    b: Annotated[Secret | None, Audit.committed]


class AnyJson(BaseModel):
    value: JsonValue
    contact: Annotated[str, Audit.omitted]


S = TypeVar("S", bound=Secret)


class Bound(BaseModel, Generic[S]):
    it: S


class Returned(BaseModel):
    @computed_field(return_type=Annotated[str, Audit.omitted])  # type: ignore[prop-decorator]
    @property
    def secret(self) -> str:
        return "CAN"


@dataclass(slots=True)
class Slotted:
    contact: Annotated[str, Audit.omitted] = Field(alias="zz")


class Lazy(BaseModel):
    @computed_field  # type: ignore[prop-decorator]
    @property
    def secret(self) -> "Annotated[Local, Audit.omitted]":  # noqa: UP037
        return "CAN"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def plain(self) -> "Local":  # noqa: UP037
        return "p"


Local = str


class Late(BaseModel):
    later: Later


class Later(BaseModel):
    contact: Annotated[str, Audit.omitted]


class Camel(CheckedDict):
    __pydantic_config__ = ConfigDict(alias_generator=to_camel)  # type: ignore[misc]
    line_one: Annotated[str, Audit.omitted]
    n: int


@dataclass
class CamelRow:
    __pydantic_config__ = ConfigDict(alias_generator=to_camel)
    line_one: Annotated[str, Audit.omitted]


@checked_dataclass
class Zed:
    c: Annotated[str, Audit.omitted] = Field(alias="zz")


@dataclass
class Inherited(Zed):
    d: Annotated[str, Audit.omitted] = ""


@dataclass
class Property:
    n: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def secret(self) -> Annotated[str, Audit.omitted]:
        return "CAN"


D = TypeVarWithDefault("D", default=Secret)


class Defaulted(BaseModel, Generic[D]):
    it: D


class Validated(BaseModel):
    a: Annotated[str, Audit.omitted, PlainValidator(str)]
    b: Annotated[Secret, SkipValidation]
    c: Annotated[str, Audit.omitted]

    @field_validator("b", "c", mode="plain")
    @classmethod
    def as_it_is(cls, value: Any) -> Any:
        return value


class Sequences(BaseModel):
    a: Sequence[Secret]
    b: deque[Secret]
    c: Mapping[str, Secret]


SECRET = Secret(name="n", contact="CAN")
KEPT = {"a": [{"name": "n"}], "b": [{"name": "n"}], "c": {"k": {"name": "n"}}}


class Instances(BaseModel):
    a: Annotated[Secret, Audit.omitted, InstanceOf()]
    b: InstanceOf[Annotated[Secret, Audit.omitted]]
    c: InstanceOf[Secret]


class Serialized(BaseModel):
    contact: Annotated[str, Audit.omitted]

    @field_serializer("contact")
    def other(self, value: str) -> dict[str, str]:
        return {"x": value}


class First(BaseModel):
    kind: Literal["first"] = "first"


class Second(BaseModel):
    kind: Literal["second"] = "second"
    contact: Annotated[str, Audit.omitted]


class Chosen(BaseModel):
    it: First | Second = Field(discriminator="kind")


class Either(BaseModel):
    it: Annotated[First, Tag("a")] | Annotated[Second, Tag("b")]


class Typed(BaseModel):
    kind: Literal["type"] = "type"
    contact: Annotated[str, Audit.omitted]


class TypedOr(BaseModel):
    it: First | Typed = Field(discriminator="kind")


class Laxer(BaseModel):
    a: Annotated[Secret, GetPydanticSchema(lambda kind, go: lax_or_strict_schema(str_schema(), go(kind)))]
    b: Annotated[Secret, GetPydanticSchema(lambda kind, go: lax_or_strict_schema(go(kind), str_schema()))]


class Half(BaseModel):
    contact: Annotated[str, Audit.omitted] | None
    texts: Annotated[list[str], PlainValidator(list, json_schema_input_type=list[Secret])]
    table: dict[str, Any] = Field({"type": "x", "metadata": None}, json_schema_extra={"type": "y", "metadata": None})

    @field_serializer("contact")
    def other(self, value: str) -> dict[str, str]:
        return {"x": value}


class Texts(RootModel[list[Annotated[str, Audit.omitted]]]):
    pass


class Strictest(BaseModel):
    a: Annotated[Contact, Audit.public]
    b: Annotated[str, Audit.omitted, Audit.committed]
    c: Annotated[Annotated[str, Audit.public], Audit.committed]
    d: Annotated[str, Audit.committed, Audit.public]


class Rewritten(BaseModel):
    contact: Annotated[str, Audit.omitted]

    @model_serializer
    def other(self) -> dict[str, str]:
        return {"c": self.contact}


class Own(BaseModel):
    its: Annotated[list[Annotated[str, Audit.omitted, GetPydanticSchema(lambda _, __: str_schema())]], "x"]


class Owned(BaseModel):
    it: Ownly


class Selfish(BaseModel):
    contact: Annotated[str, Audit.omitted]
    child: typing.Self | None = None


Same = TypeAliasType("Same", T, type_params=(T,))
Many = TypeAliasType("Many", list[T], type_params=(T,))
Fixed = TypeAliasType("Fixed", int, type_params=(T,))


class Node(BaseModel):
    contact: Annotated[str, Audit.omitted]
    replies: list[Node] = Field(default_factory=list)


Tree = TypeAliasType("Tree", "list[Tree] | Secret")


Ownly = Annotated[str, Audit.omitted, GetPydanticSchema(lambda _, __: str_schema())]


class Color(StrEnum):
    red = "red"


class Coded(BaseModel):
    code: Annotated[str, Audit.public]


class Recoded(BaseModel):
    code: Annotated[str, Audit.public]
    why: str


class Uncoded(BaseModel):
    code: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Odd(dict[str, Any], Enum):
    first = {"type": "x", "metadata": None}


class Sized:
    size: ClassVar[Annotated[int, Audit.omitted]] = 1
    length: int

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return is_instance_schema(cls)


OwnAlias = TypeAliasType("OwnAlias", list[Ownly])


@dataclass
class OwnedRow:
    it: Ownly


class OwnedTable(CheckedDict):
    it: Ownly


@dataclass
class Whole:
    contact: Annotated[str, Audit.omitted]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return is_instance_schema(cls)


class Vague:
    length: "Unknown"  # type: ignore[name-defined]  # noqa: F821, UP037

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return is_instance_schema(cls)


class Unresolved(Sized):
    contact: "Annotated[Unknown, Audit.omitted]"  # type: ignore[name-defined]  # noqa: F821, UP037


class WholeModel(BaseModel):
    contact: Annotated[str, Audit.omitted]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return no_info_plain_validator_function(lambda value: value)


class Lost(BaseModel):
    it: Annotated[Secret, Audit.omitted, GetPydanticSchema(lambda _, __: TypeAdapter(Secret).core_schema)]


class Textual(BaseModel):
    it: Annotated[Secret, GetPydanticSchema(lambda kind, go: {**go(kind), "serialization": to_string_ser_schema()})]


class Formatted(BaseModel):
    it: Annotated[Secret, GetPydanticSchema(lambda kind, go: {**go(kind), "serialization": format_ser_schema("")})]


class Thread(BaseModel):
    contact: Annotated[str, Audit.omitted]
    answers: Annotated[list[Answer], Audit.committed]
    more: list[Answer]


class Answer(BaseModel):
    to: list[Thread]
    also: list[Thread]


class Mixed(BaseModel):
    it: dict[Annotated[str, Audit.committed], Ownly]


class Pair(NamedTuple):
    a: int
    contact: Annotated[str, Audit.omitted]


class Triple(Pair):
    pass


class Further(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[str, Audit.omitted]]


class TestMarks:
    def test_each_marked_field_is_found_by_its_path(self) -> None:
        class Offer(BaseModel):
            item: Plain
            price: Annotated[float, Audit.public]
            part: Annotated[str, Audit.public] = Field(alias="partNumber")
            secret: Annotated[int, Audit.omitted] | None = None

        assert marks_of(Offer, "x") == Marks((("price",), ("part",), ("partNumber",)), (("secret",),))

    @pytest.mark.parametrize(
        "kind", [str, Plain, list[Plain], dict[str, int], Plain | Referral, int | None, Literal["a"], tuple[int, ...]]
    )
    def test_where_nothing_is_marked_there_is_no_plan(self, kind: Any) -> None:
        assert plan_of(marks_of(kind, "x"), marks_of(kind, "x")) is None

    def test_dataclasses_and_typed_dictionaries_are_looked_into(self) -> None:
        @dataclass
        class Row:
            code: Annotated[str, Audit.public]
            rest: str

        class Table(TypedDict):
            rows: list[Annotated[Person, "told"]]
            key: Annotated[str, Audit.omitted]

        globals().update(Row=Row, Table=Table)  # hints are resolved by name
        assert marks_of(Row, "x") == Marks((("code",),))
        omitted = Marks(omitted=(("name",),))
        assert marks_of(Person, "x") == Marks((("role",),), omitted.omitted)

    def test_of_several_marks_the_strictest_counts(self) -> None:
        assert marks_of(Strictest, "x") == Marks(omitted=(("a",), ("b",)))
        assert marks_of(Annotated[str, Audit.committed], "x") == Marks()

    def test_a_type_that_is_read_in_two_ways_is_looked_into_in_both(self) -> None:
        assert marks_of(Laxer, "x") == Marks(omitted=(("a", "contact"), ("b", "contact")))

    @pytest.mark.parametrize("other", [Uncoded, dict[str, str], Any, Open])
    def test_what_is_public_in_one_member_of_a_union_must_be_in_all(self, other: Any) -> None:
        """The other one's text would stand in clear."""
        with pytest.raises(TypeError, match="x: code is public, and something else that may stand there isn't"):
            marks_of(Coded | other, "x")
        held = create_model("Held", it=(Coded | other, ...))
        with pytest.raises(TypeError, match=r"x: it\.code is public, and something else"):
            marks_of(held, "x")

    @pytest.mark.parametrize(
        "kind",
        [
            Coded | int,
            Coded | Recoded,
            Coded | None,
            Coded | list[str],
            Coded | Referral,
            Annotated[Coded, SkipValidation],
        ],
    )
    def test_beside_what_has_no_such_field_it_is_public(self, kind: Any) -> None:
        assert marks_of(kind, "x") == Marks((("code",),))

    @pytest.mark.parametrize(
        ("kind", "paths"),
        [
            (Annotated[str, Audit.public] | None, True),
            (Annotated[str, Audit.public] | int, False),
            (Annotated[str, Audit.public, PlainValidator(str)], True),
            (Annotated[Annotated[str, Audit.public], PlainSerializer(str.upper)], True),
            (Annotated[Decimal, Audit.public, Field(gt=0)], True),
            (Annotated[Color, Audit.public], True),
            (Annotated[Color | None, Audit.public], True),
            (Annotated[list[Color], Audit.public], True),
            (Annotated[datetime, Audit.public], True),
            (Annotated[Literal["a"], Audit.public], True),
            (Annotated[bool, Audit.public] | None, True),
        ],
    )
    def test_all_that_a_field_may_be_is_public(self, kind: Any, paths: bool) -> None:
        held = create_model("Held", price=(kind, ...), other=(kind | None, None))
        if paths is False:
            with pytest.raises(TypeError, match="something else that may stand there"):
                marks_of(held, "x")
        else:
            assert marks_of(held, "x").public == (("price",), ("other",))

    @pytest.mark.parametrize(
        "kind",
        [
            Plain,
            Plain | None,
            str | Secret,
            dict[str, int],
            list[Plain],
            list[list[int]],
            list[dict[str, int]],
            tuple[int, Plain],
            RootModel[list[Plain]],
        ],
    )
    def test_what_has_parts_of_its_own_is_public_by_theirs(self, kind: Any) -> None:
        held = create_model("Held", price=(Annotated[kind, Audit.public], ...))
        with pytest.raises(TypeError, match="no text, number, truth value or list of these"):
            marks_of(held, "x")

    @pytest.mark.parametrize(
        "kind",
        [
            list[str | None],
            tuple[int, ...],
            set[str] | int,
            RootModel[str],
            Annotated[Short, PlainSerializer(lambda _: "x", return_type=str)],
        ],
    )
    def test_what_is_written_without_parts_is_public(self, kind: Any) -> None:
        held = create_model("Held", price=(Annotated[kind, Audit.public], ...))
        assert marks_of(held, "x").public == (("price",),)

    def test_what_a_serializer_writes_may_be_public_wherever_it_stands(self) -> None:
        class Written(BaseModel):
            a: Annotated[Short, Audit.public] = Short()
            b: Annotated[Short, Audit.public] | None = None
            c: Annotated[dict[str, str], Audit.public] = Field(default_factory=dict)
            d: Annotated[
                Short, Audit.public, AfterValidator(lambda given: given), PlainSerializer(str, return_type=str)
            ]
            e: Annotated[str, GetPydanticSchema(lambda *_: chain_schema([dict_schema(), str_schema()])), Audit.public]

            @field_serializer("a", "b", "c")
            def _short(self, value: object) -> str:
                return "x"

        assert marks_of(Written, "x").public == (("a",), ("b",), ("c",), ("d",), ("e",))

    def test_a_type_that_holds_itself_isnt_public_as_a_whole(self) -> None:
        class Again(BaseModel):
            inner: Annotated[Again | None, Audit.public] = None

        with pytest.raises(TypeError, match="no text, number, truth value or list of these"):
            marks_of(Again, "x")

    def test_what_is_public_under_another_fields_name_is_refused(self) -> None:
        """By one of its names it's the other's text."""
        twice = create_model(
            "Twice",
            part=(Annotated[str, Audit.public], Field(serialization_alias="secret")),
            secret=(str, Field(serialization_alias="other")),
        )
        with pytest.raises(TypeError, match="x: secret is public, and something else that may stand there isn't"):
            marks_of(twice, "x")
        named = create_model(
            "Named",
            __config__=ConfigDict(extra="allow"),
            part=(Annotated[str, Audit.public], Field(serialization_alias="number")),
        )
        with pytest.raises(TypeError, match="something else that may stand there isn't"):
            marks_of(named, "x")
        assert marks_of(Open, "x") == Marks()
        assert marks_of(
            create_model("OpenCode", __base__=Open, code=(Annotated[str, Audit.public], ...)), "x"
        ) == Marks((("code",),))

    def test_where_more_fields_are_allowed_what_is_given_by_two_names_goes_by_both(self) -> None:
        class Mail(BaseModel):
            model_config = ConfigDict(extra="allow")
            contact: Annotated[str, Audit.omitted] = Field(
                validation_alias=AliasChoices("mail", AliasPath("mails", 0), "contact")
            )
            kept: str = "k"

        value = Mail.model_validate({"contact": "CAN", "mail": "CAN", "mails": ["CAN"], "more": 1})
        text = TypeAdapter(Mail).dump_json(value)
        assert text.count(b"CAN") > 1
        assert json.loads(marks_of(Mail, "x").kept(text)) == {"kept": "k", "more": 1}

    def test_types_that_hold_each_other_are_each_looked_into_once(self) -> None:
        """Of nine such there are more ways through them than anybody can wait for."""
        names = [f"Expression{number}" for number in range(9)]
        either: Any = Union[tuple(ForwardRef(each) for each in (*names, "Leaf"))]  # noqa: UP007
        made: dict[str, Any] = {"Leaf": create_model("Leaf", contact=(Annotated[str, Audit.omitted], ...))}
        for each in names:
            made[each] = create_model(each, left=(either | None, None), right=(either | None, None), kind=(str, each))
        for each in names:
            made[each].model_rebuild(_types_namespace=made)
        with pytest.raises(TypeError, match="contact is omitted in a type that holds itself"):
            marks_of(made[names[0]], "x")
        made["Leaf"] = create_model("Leaf", contact=(str, ...))
        for each in names:
            made[each] = create_model(each, left=(either | None, None), right=(either | None, None), kind=(str, each))
        for each in names:
            made[each].model_rebuild(_types_namespace=made)
        assert marks_of(made[names[0]], "x") == Marks()

    @pytest.mark.parametrize(
        "kind",
        [
            Annotated[str, PlainSerializer(str.upper)],
            Annotated[list[str], PlainSerializer(", ".join)],
            Odd,
            Sized,
            Vague,
        ],
    )
    def test_whatever_writes_what_is_not_marked_is_let_be(self, kind: Any) -> None:
        assert marks_of(kind, "x") == Marks()

    @pytest.mark.skipif(pydantic.VERSION < "2.13", reason="this pydantic has no such setting")
    def test_where_a_subclass_writes_itself_it_is_refused(self) -> None:
        polymorphic: Any = {"polymorphic_serialization": True}
        kind = create_model("Poly", __config__=polymorphic, contact=(Annotated[str, Audit.omitted], ...))
        with pytest.raises(TypeError, match="contact is omitted inside what a serializer of its own writes"):
            marks_of(list[kind], "x")

    @pytest.mark.parametrize(
        "kind", [BaseModel, BaseModel | None, list[BaseModel], SerializeAsAny[BaseModel], type[BaseModel], RootModel]
    )
    def test_any_model_may_be_meant(self, kind: Any) -> None:
        assert marks_of(kind, "x") == Marks()
        held = create_model("Held", any=(kind, ...), contact=(Annotated[str, Audit.omitted], ...))
        assert marks_of(held, "x") == Marks(omitted=(("contact",),))

    def test_what_is_written_in_a_function_is_read_as_it_is_written(self) -> None:
        Text = str  # a name that nobody can look up from outside

        @dataclass
        class Row:
            texts: list[Annotated[Text, Audit.omitted]]
            contact: Annotated[Text, Audit.omitted]

        class Table(CheckedDict):
            texts: NotRequired[dict[str, Annotated[Text, Audit.omitted]]]
            contact: Annotated[Text, Audit.omitted]

        @dataclass
        class Replaced:
            person: Annotated[
                Text, Audit.omitted, GetPydanticSchema(lambda _, handler: handler.generate_schema(Person))
            ]

        class Held(BaseModel):
            row: Row
            table: Table

        class Other(BaseModel):
            replaced: Replaced

        class Hidden(BaseModel):
            row: Annotated[Row, GetPydanticSchema(lambda _, handler: handler(Any))]

        omitted = (("row", "texts", "*"), ("row", "contact"), ("table", "texts", "*"), ("table", "contact"))
        assert marks_of(Held, "x") == Marks(omitted=omitted)
        with pytest.raises(TypeError, match=r"Row\.texts is omitted inside a type that makes its own schema"):
            marks_of(Hidden, "x")
        with pytest.raises(TypeError, match=r"Replaced\.person is omitted inside a type that makes its own schema"):
            marks_of(Other, "x")

    def test_a_model_may_have_a_rebuilding_of_its_own(self) -> None:
        class Own(BaseModel):
            contact: Annotated[str, Audit.omitted]

            def model_rebuild(self) -> None:  # type: ignore[override]
                """Nothing of pydantic's."""

        assert marks_of(list[Own], "x") == Marks(omitted=(("*", "contact"),))

    def test_what_else_stands_beside_a_mark_may_compare_as_it_likes(self) -> None:
        class Vector:
            def __eq__(self, other: object) -> bool:
                raise ValueError("the truth of several values is ambiguous")

            __hash__ = None  # type: ignore[assignment]

        class Anything:
            def __getattr__(self, name: str) -> object:
                return 5

        assert marks_of(Annotated[str, Vector()], "x") == Marks()
        beside = create_model("Beside", contact=(Annotated[str, Vector(), Audit.omitted], ...))
        assert marks_of(beside, "x") == Marks(omitted=(("contact",),))
        assert 5 in list(marked._within(Anything(), set()))

    def test_in_what_is_committed_nothing_is_public(self) -> None:
        class Held(BaseModel):
            person: Annotated[Person, Audit.committed]
            either: Annotated[Plain, Audit.committed] | Spoken

        class Spoken(BaseModel):
            role: Annotated[str, Audit.public]

        Held.model_rebuild()
        assert marks_of(Held, "x") == Marks(omitted=(("person", "name"),))

    def test_what_is_omitted_of_something_public_is_no_fact(self) -> None:
        class Tagged(BaseModel):
            tags: Annotated[list[str | Annotated[int, Audit.omitted]], Audit.public]

        assert marks_of(Tagged, "x") == Marks(omitted=(("tags", "*"),))
        assert marks_of(Parents, "x") == Marks(omitted=(("a", "contact"), ("b", "contact")))
        assert Marks((("a",),), (("a",),)).facts(b'{"a": "CAN"}') == {}

    def test_in_what_is_omitted_nothing_more_is_looked_for(self) -> None:
        class Held(BaseModel):
            person: Annotated[Person, Audit.omitted]

        assert marks_of(Held, "x") == Marks(omitted=(("person",),))

    def test_elements_and_union_members_may_be_marked(self) -> None:
        class Notes(BaseModel):
            texts: list[Annotated[str, Audit.omitted]]
            table: dict[str, Annotated[str, Audit.omitted] | int]

        assert marks_of(Notes, "x") == Marks(omitted=(("texts", "*"), ("table", "*")))

    @pytest.mark.parametrize(
        ("kind", "value", "kept"),
        [
            (Aliased, Aliased(contact="CAN", person=None), {"person": None}),
            (Aliased, Aliased(contact=None, person=Secret(name="n", contact="CAN")), {"person": {"name": "n"}}),
            (People, People([Secret(name="n", contact="CAN")]), [{"name": "n"}]),
            (Team, Team(people=People([Secret(name="n", contact="CAN")])), {"people": [{"name": "n"}]}),
            (Checked, Checked(contactLine="CAN", kept="k"), {"kept": "k"}),
            (Aged, Aged("n", "CAN"), {"name": "n"}),
            (Told, Told(c="CAN", n=1), {"n": 1}),
            (Partly, {"contact": "CAN", "n": 1}, {"n": 1}),
            (Boxed, Boxed(value=1, contact="CAN"), {"value": 1}),
            (Boxed[int], Boxed(value=1, contact="CAN"), {"value": 1}),
            (Computed, Computed(n=1), {"n": 1, "plain": 1}),
            (Parents, Parents(a=Secret(name="n", contact="CAN"), b=None), {"a": {"name": "n"}, "b": None}),
            (Parents, Parents(a=None, b=Secret(name="n", contact="CAN")), {"a": None, "b": {"name": "n"}}),
            (AnyJson, AnyJson(value={"a": [1]}, contact="CAN"), {"value": {"a": [1]}}),
            (Bound, Bound(it=Secret(name="n", contact="CAN")), {"it": {"name": "n"}}),
            (Returned, Returned(), {}),
            (Boxed[Secret], Boxed(value=Secret(name="n", contact="CAN"), contact="CAN"), {"value": {"name": "n"}}),
            (Lazy, Lazy(), {"plain": "p"}),
            (Late, Late(later=Later(contact="CAN")), {"later": {}}),
            (Camel, {"line_one": "CAN", "n": 1}, {"n": 1}),
            (CamelRow, CamelRow("CAN"), {}),
            (Inherited, Inherited(c="CAN", d="CAN"), {}),
            (Property, Property(1), {"n": 1}),
            (Defaulted, Defaulted(it=Secret(name="n", contact="CAN")), {"it": {"name": "n"}}),
            (Validated, Validated(a="CAN", b=Secret(name="n", contact="CAN"), c="CAN"), {"b": {"name": "n"}}),
            (Sequences, Sequences(a=[SECRET], b=deque([SECRET]), c={"k": SECRET}), KEPT),
            (Serialized, Serialized(contact="CAN"), {}),
            (Instances, Instances(a=SECRET, b=SECRET, c=SECRET), {"c": {"name": "n"}}),
            (Texts, Texts(["CAN"]), []),
            (Strictest, Strictest(a="CAN", b="CAN", c="c", d="d"), {"c": "c", "d": "d"}),
            (Either, Either(it=Second(contact="CAN")), {"it": {"kind": "second"}}),
            (TypedOr, TypedOr(it=Typed(contact="CAN")), {"it": {"kind": "type"}}),
            (
                Half,
                Half.model_construct(contact="CAN", texts=["a"]),
                {"texts": ["a"], "table": {"type": "x", "metadata": None}},
            ),
            (Json[Secret], SECRET, {"name": "n"}),
            (Chosen, Chosen(it=Second(contact="CAN")), {"it": {"kind": "second"}}),
            (Slotted, Slotted("CAN"), {}),
        ],
    )
    def test_what_is_omitted_is_taken_out_however_its_type_is_written(self, kind: Any, value: Any, kept: Any) -> None:
        for by_alias in (False, True):
            text = TypeAdapter(kind).dump_json(value, by_alias=by_alias)
            assert b"CAN" in text
            assert json.loads(marks_of(kind, "x").kept(text)) == kept

    @pytest.mark.parametrize(
        ("kind", "why"),
        [
            (Selfish, r"x: contact is omitted in a type that holds itself"),
            (Node, r"x: contact is omitted in a type that holds itself"),
            (list[Tree], r"x: \*\.contact is omitted in a type that holds itself"),
            (Thread, r"contact is omitted in a type that holds itself"),
            (Mixed, "it is omitted inside a type that makes its own schema"),
            (Pair, "omitted inside a named tuple"),
            (Triple, "omitted inside a named tuple"),
            (Further, "omitted inside a model's further fields"),
            (dict[Annotated[str, Audit.omitted], int], "omitted inside a table's keys"),
            (RootModel[Pair], "omitted inside a named tuple"),
            (Rewritten, "contact is omitted inside what a serializer of its own writes"),
            (Own, "its is omitted inside a type that makes its own schema"),
            (Owned, "it is omitted inside a type that makes its own schema"),
            (list[Ownly], "something is omitted inside a type that makes its own schema"),
            (list[Owned], r"Owned\.it is omitted inside a type that makes its own schema"),
            (OwnedRow, r"OwnedRow\.it is omitted inside a type that makes its own schema"),
            (list[Unresolved], r"Unresolved\.\w+ is omitted inside a type that makes its own schema"),
            (OwnedTable, r"OwnedTable\.it is omitted inside a type that makes its own schema"),
            (list[Whole], r"Whole\.contact is omitted inside a type that makes its own schema"),
            (list[WholeModel], r"WholeModel\.contact is omitted inside a type that makes its own schema"),
            (Lost, r"Lost\.it is omitted inside a type that makes its own schema"),
            (OwnAlias, "something is omitted inside a type that makes its own schema"),
            (Annotated[Secret, PlainSerializer(Secret.model_dump_json)], "inside what a serializer of its own writes"),
            (Annotated[Secret, PlainSerializer(TypeAdapter(Secret).dump_json)], "what a serializer of its own writes"),
            (Textual, r"it\.contact is omitted inside what a serializer of its own writes"),
            (Formatted, r"it\.contact is omitted inside what a serializer of its own writes"),
        ],
    )
    def test_what_is_omitted_where_it_cannot_be_taken_out_is_refused(self, kind: Any, why: str) -> None:
        with pytest.raises(TypeError, match=why):
            marks_of(kind, "x")

    @pytest.mark.parametrize(
        "kind",
        [typing.Dict, typing.Mapping, Same[int], Fixed[int], Same[Plain], typing.OrderedDict],  # noqa: UP006
    )
    def test_bare_tables_and_generic_names_hide_nothing(self, kind: Any) -> None:
        assert marks_of(kind, "x") == Marks()
        assert marks_of(Many[Secret], "x") == Marks(omitted=(("*", "contact"),))

    def test_a_type_that_is_not_defined_to_its_end_is_refused(self) -> None:
        class Kind(BaseModel):
            contact: Annotated[str, Audit.omitted]

        @dataclass
        class Row:
            kind: "Kind"  # noqa: UP037

        with pytest.raises(TypeError, match=r"x Row can't be validated: name 'Kind' is not defined"):
            marks_of(Row, "x")
        globals()["Kind"] = Kind
        try:
            assert marks_of(Row, "x") == Marks(omitted=(("kind", "contact"),))
        finally:
            del globals()["Kind"]

    def test_a_type_that_is_marked_as_a_whole_is_refused(self) -> None:
        with pytest.raises(TypeError, match="marked as a whole"):
            marks_of(Annotated[str, Audit.omitted], "x")

    def test_a_type_that_holds_itself_ends(self) -> None:
        assert marks_of(Plain, "x") == Marks()

    def test_what_is_public_in_a_list_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"rate: request type: others\.\*\.role is public inside a list"):
            marks_of(Item, "rate: request type")

    def test_a_name_that_no_record_can_have_is_refused(self) -> None:
        class Odd(BaseModel):
            größe: Annotated[int, Audit.public]

        with pytest.raises(TypeError, match="can't be named in a record"):
            marks_of(Odd, "x")
        for length, named in ((64, True), (65, False)):
            kind: Any = create_model("Long", **{"n" * length: (Annotated[str, Audit.public], ...)})  # type: ignore[call-overload]
            with nullcontext() if named else pytest.raises(TypeError, match="can't be named in a record"):
                marks_of(kind, "x")

    def test_omitted_fields_go_wherever_they_are(self) -> None:
        marks = Marks(
            omitted=(("a",), ("b", "c"), ("d", "*", "e"), ("f", "*", "*", "g"), ("h", "x"), ("i", "*"), ("j", "k", "l"))
        )
        text = json.dumps(
            {
                "a": 1,
                "b": {"c": 2, "z": 3},
                "d": [{"e": 4}, {"y": 5}, 6],
                "f": [{"m": {"g": 7, "n": 8}}],
                "h": "text",
                "i": [1],
                "j": {"q": 0},
            }
        ).encode()
        assert json.loads(marks.kept(text)) == {
            "b": {"z": 3},
            "d": [{}, {"y": 5}, 6],
            "f": [{"m": {"n": 8}}],
            "h": "text",
            "i": [],
            "j": {"q": 0},
        }
        assert Marks().kept(b" 1 ") == b" 1 "

    def test_facts_are_plain_values(self) -> None:
        marks = Marks(public=(("a",), ("b", "c"), ("d",), ("e",), ("f",), ("g",), ("h", "i")))
        text = json.dumps(
            {"a": "x", "b": {"c": 1.5}, "d": [1, None, {"q": 1}, "y"], "e": None, "f": {"q": 1}, "h": 5}
        ).encode()
        found = marks.facts(text)
        assert found == {"a": "x", "b.c": 1.5, "d": [1, None, {"q": 1}, "y"], "f": {"q": 1}}
        assert told(found, bytes) == {"facts": {"a": "x", "b.c": "1.5", "d": [1, "y"]}, "facts_omitted": 2}
        assert told({"empty": [], "none": [None], "many": list(range(17))}, bytes) == {
            "facts": {"many": list(range(16))},
            "facts_omitted": 2,
        }
        assert Marks().facts(b"no JSON") == {}

    def test_facts_are_written_as_records_have_them_and_bounded(self) -> None:
        marks = Marks(public=tuple((f"f{number}",) for number in range(40)))
        long = {f"f{number}": "x" * 600 for number in range(40)}
        fields = told(marks.facts(json.dumps(long).encode()), bytes)
        assert len(json.dumps(fields)) < FACTS_BYTES + 500
        assert all(len(each) == 512 for each in fields["facts"].values())
        assert 0 < len(fields["facts"]) < fields["facts_omitted"] == 40
        assert told({"text": "x" * 512}, bytes) == {"facts": {"text": "x" * 512}}
        values = {"f0": 0.1, "f1": 2**60, "f2": True, "f3": ["\ud800", 1.5]}
        mixed = told(marks.facts(json.dumps(values).encode()), bytes)
        assert mixed == {"facts": {"f0": "0.1", "f1": str(2**60), "f2": True, "f3": ["?", "1.5"]}}
        assert told({}, bytes) == {}
        edges = {"f0": 2**53 - 1, "f1": -(2**53) + 1, "f2": 2**53, "f3": -(2**53)}
        whole = told(marks.facts(json.dumps(edges).encode()), bytes)["facts"]
        assert [type(each) for each in whole.values()] == [int, int, str, str]

    def test_the_room_for_facts_is_counted_in_their_bytes(self) -> None:
        texts = ["ü" * 512] * 7
        size = len(json.dumps(texts, ensure_ascii=False).encode())
        name = "n" * (FACTS_BYTES - size)
        assert told({name: texts}, bytes) == {"facts": {name: texts}}
        assert told({name + "n": texts, "after": 1}, bytes) == {"facts": {"after": 1}, "facts_omitted": 1}


class Shade(StrEnum):
    ok = "ok"
    CAN = "CAN"


Made = tuple[Any, Any]
"""A type, and a value of it: CAN where it's omitted, "ok" elsewhere."""


def _listed(made: Made) -> Made:
    kind, value = made
    return list[kind], [value]


def _tabled(made: Made) -> Made:
    kind, value = made
    return dict[str, kind], {"key": value}


def _optional(made: Made) -> Made:
    kind, value = made
    return kind | None, value


def _named(made: Made) -> Made:
    kind, value = made
    return TypeAliasType("Alias", kind), value


def _unchecked(made: Made) -> Made:
    kind, value = made
    return Annotated[kind, SkipValidation], value


def _in_model(fields: list[Made], alias: bool) -> Made:
    told = Field(serialization_alias="alias") if alias else Field()
    kinds: dict[str, Any] = {f"f{at}": (kind, told if at == 0 else Field()) for at, (kind, _) in enumerate(fields)}
    kind = create_model("Model", **kinds)
    return kind, kind.model_construct(**{f"f{at}": value for at, (_, value) in enumerate(fields)})


def _in_dataclass(fields: list[Made], alias: bool) -> Made:
    told = Field(serialization_alias="alias") if alias else None
    kinds = [(f"f{at}", Annotated[kind, told] if at == 0 else kind) for at, (kind, _) in enumerate(fields)]
    kind: Any = make_dataclass("Row", kinds)
    return kind, kind(*(value for _, value in fields))


def _in_table(fields: list[Made], _: bool) -> Made:
    kind: Any = CheckedDict("Table", {f"f{at}": kind for at, (kind, _) in enumerate(fields)})  # type: ignore[misc]
    return kind, {f"f{at}": value for at, (_, value) in enumerate(fields)}


def _in_generic(made: Made) -> Made:
    kind, value = made
    box: Any = create_model("Box", __base__=(BaseModel, Generic[T]), it=(T, ...))
    return box[kind], box[kind].model_construct(it=value)


def _in_tuple(made: Made) -> Made:
    kind, value = made
    pair: Any = NamedTuple("Single", [("it", kind)])  # type: ignore[misc]
    return pair, pair(value)


def _any_type() -> st.SearchStrategy[Made]:
    leaves = st.sampled_from(
        [
            (str, "ok"),
            (Annotated[str, Audit.omitted], "CAN"),
            (Annotated[str, Audit.committed], "ok"),
            (Shade, Shade.ok),
            (Annotated[Shade, Audit.committed], Shade.ok),
            (Annotated[Shade, Audit.omitted], Shade.CAN),
            (Annotated[Secret, Audit.omitted], SECRET),
        ]
    )

    def held(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
        fields = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            *(inner.map(each) for each in (_listed, _tabled, _optional, _named, _unchecked, _in_generic, _in_tuple)),
            *(st.builds(each, fields, st.booleans()) for each in (_in_model, _in_dataclass, _in_table)),
        )

    return st.recursive(leaves, held, max_leaves=6)


@given(_any_type())
def test_of_any_type_nothing_omitted_is_kept_and_nothing_else_is_lost(made: Made) -> None:
    kind, value = made
    try:
        marks = marks_of(kind, "x")
    except TypeError as error:
        event(str(error))
        assert "CAN" in str(to_json(value)), "it was refused for something"
        return
    for text in (to_json(value), *(TypeAdapter(kind).dump_json(value, by_alias=each) for each in (False, True))):
        kept = marks.kept(text)
        assert b"CAN" not in kept
        assert kept.count(b"ok") == text.count(b"ok")


class Class(BaseModel):
    code: Annotated[str, Audit.public]
    why: str
    reader: Annotated[str, Audit.omitted] = ""


class Offer(BaseModel):
    nsn: Annotated[str, Audit.public]
    description: str
    contact: Annotated[str, Audit.omitted]


class Classify(Capability[Offer, Class]):
    """Which class?"""

    review = Required()

    def fallback(self, request: Offer) -> Class:
        return Class(code="5310", why="a nut", reader="canary-reader")


OFFER = Offer(nsn="5310-00-903-3994", description="NUT,SELF-LOCKING", contact="canary-contact")


def everything(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file())


def test_a_call_is_recorded_as_its_types_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    isolation = Isolation(
        {"ledger": {"url": f"sqlite:///{path}"}, "capabilities": {"classify": {"adapters": ["legacy"]}}},
        capabilities=[Classify],
    )
    answers = iter([{"code": "5310", "why": "canary of a model's"}, ValueError("canary-error")])

    @isolation.adapter("legacy", model="small-1")
    def ask(question: Ask) -> Any:
        assert "canary-contact" in question.prompt.to_json().decode(), "the model is asked all of it"
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return {**answer, "reader": "canary-reader"}

    with isolation:
        first = isolation[Classify].sync(OFFER)
        assert (first.by_ai, first.value.reader) == (True, "canary-reader")
        second = isolation[Classify].sync(OFFER)
        assert second.degraded
        isolation.review(
            first.call_id,
            person="u-7",
            decision="changed",
            reason="another",
            changed=Class(code="5315", why="a pin", reader="canary-reader"),
            shown="canary-reader was shown",
        )
    assert b"canary-contact" not in everything(tmp_path)
    assert b"canary-reader" not in everything(tmp_path)
    assert b"canary-error" not in everything(tmp_path)
    assert verify(path).exit_code == 0
    with read(path) as reader:
        started, completed, reviewed = reader.call(first.call_id)
        assert started.fields["facts"] == {"nsn": "5310-00-903-3994"}
        assert completed.fields["facts"] == {"code": "5310"}
        assert [each["path"] for each in completed.fields["commitments"]] == ["response"]
        assert [each["path"] for each in reviewed.fields["commitments"]] == ["changed", "reason"]
        assert [each.fields["omitted"] for each in (started, completed, reviewed)] == [
            ["request.contact"],
            ["prompt", "reply/1", "response.reader"],
            ["changed.reader", "shown"],
        ]
        _, failed = reader.call(second.call_id)
        assert failed.fields["omitted"] == ["prompt", "response.reader"]
        request = reader.payload(started.fields["commitments"][0]["digest"])
        assert request is not None
        assert json.loads(request[2]) == {"nsn": "5310-00-903-3994", "description": "NUT,SELF-LOCKING"}


def test_a_review_by_another_application_keeps_off_the_record_what_the_answers_own_does(tmp_path: Path) -> None:
    table = {"ledger": {"url": f"sqlite:///{tmp_path / 'x.db'}"}}
    with Isolation(table, capabilities=[Classify]) as isolation:
        outcome = isolation[Classify].sync(OFFER)
    with Isolation(table, capabilities=[]) as desk:
        desk.review(outcome.call_id, person="u-7", decision="accepted", reason="so", shown="canary-contact was shown")
    assert b"canary-contact" not in everything(tmp_path)
    with read(tmp_path / "x.db") as reader:
        started, completed, reviewed = reader.call(outcome.call_id)
    assert [each["path"] for each in reviewed.fields["commitments"]] == ["reason"]
    assert [each.fields["omitted"] for each in (started, completed, reviewed)] == [
        ["request.contact"],
        ["response.reader"],
        ["shown"],
    ]


def test_what_a_record_says_of_many_omitted_fields_is_bounded() -> None:
    many = Marks(omitted=tuple((f"f{number:02}" * 30, "\ud800") for number in range(40)))
    told = omitted(many.missing("request"))["omitted"]
    assert len(told) == 32
    assert {len(each) for each in told} == {64}
    assert told[0].startswith("request.f00f00")
    assert omitted(Marks(omitted=(("\ud800",),)).missing("a")) == {"omitted": ["a.?"]}
    assert omitted(Marks().missing("a")) == {}


def test_what_hides_nothing_keeps_prompts_and_replies() -> None:
    assert not AuditPlan(Marks((("a",),)), Marks()).hides
    assert AuditPlan(Marks(), Marks(omitted=(("a",),))).hides
    assert AuditPlan(Marks(omitted=(("a",),)), Marks()).hides


def test_it_is_among_the_public_names() -> None:
    assert failsoft.Audit is Audit
