"""What may have changed since it was made is held to its classes once more: requests, and what fallbacks give."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import (
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    RootModel,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.dataclasses import dataclass as checked_dataclass

from failsoft import Capability
from failsoft.core.contract import Contract
from failsoft.core.renewed import hold_again

Natural = Annotated[int, Field(ge=0)]


class Size(BaseModel):
    mm: Natural


class Several(BaseModel):
    model_config = ConfigDict(extra="allow")
    queue: collections.deque[Size] = collections.deque()
    table: Mapping[str, Size] = {}


class Sizes(RootModel[list[Natural]]):
    pass


class Written(BaseModel):
    """None of its fields takes what it gives."""

    numbers: Json[list[int]]
    data: Base64Bytes


class Share(BaseModel):
    of: Annotated[float, BeforeValidator(lambda text: float(text.rstrip("%")) / 100)]


class Hidden(BaseModel):
    numbers: Json[list[int]]
    left_out: Natural = Field(default=0, exclude=True)


@dataclasses.dataclass
class Offer:
    quantity: Natural
    size: Size
    unit: ClassVar[str] = "each"


@checked_dataclass(config=ConfigDict(strict=True))
class Strict:
    quantity: Natural
    half: float = dataclasses.field(init=False, default=0.5)


@dataclasses.dataclass
class Linked:
    above: Linked | None = None


@dataclasses.dataclass(frozen=True)
class Given:
    """More goes in than its fields."""

    cents: Natural
    factor: dataclasses.InitVar[int]


@dataclasses.dataclass
class Odd:
    lock: threading.Lock  # type: ignore[name-defined]  # noqa: F821 - a name that nobody knows


class Crossed(BaseModel):
    """Each field's alias is the other's name."""

    model_config = ConfigDict(populate_by_name=True)
    small: Annotated[int, Field(le=9, alias="large")]
    large: Annotated[int, Field(ge=10, alias="small")]


class CrossedAndWritten(Crossed):
    numbers: Json[list[int]]


@checked_dataclass
class CrossedFields:
    small: Annotated[int, Field(le=9, alias="large")]
    large: Annotated[int, Field(ge=10, alias="small")]


@dataclasses.dataclass
class Weighed:
    """What it makes of itself it makes again each time."""

    sizes: list[Size]
    total: float = dataclasses.field(init=False, default=0.0)

    def __post_init__(self) -> None:
        for each in self.sizes:
            each.mm *= 2
        self.total += sum(each.mm for each in self.sizes)


@dataclasses.dataclass
class Split:
    tags: Any

    def __post_init__(self) -> None:
        self.tags = self.tags.split(",")


class PutOff(BaseModel):
    model_config = ConfigDict(defer_build=True)
    mm: Natural


class Thing:
    pass


@dataclasses.dataclass
class Foreign:
    thing: Thing


def spoilt(size: Size) -> Size:
    size.mm = -5
    return size


def contract(
    request: Any, response: Any = int, fallback: Callable[[Any], Any] = lambda request: 0
) -> Contract[Any, Any]:
    class Some(Capability[request, response]):  # type: ignore[valid-type]
        """Some."""

        def fallback(self, request: Any) -> Any:
            return fallback(request)

    return Contract(Some())


INVALID: list[tuple[Any, Callable[[], Any]]] = [
    (Size, lambda: spoilt(Size(mm=1))),
    (Offer, lambda: Offer("ten", Size(mm=1))),  # type: ignore[arg-type]
    (Offer, lambda: Offer(1, spoilt(Size(mm=1)))),
    (list[Offer], lambda: [Offer(-1, Size(mm=1))]),
    (Strict, lambda: dataclasses.replace(Strict(1))),
    (Several, lambda: Several(queue=collections.deque([Size(mm=1)]))),
    (Several, lambda: Several(table={"a": Size(mm=1)})),
    (Several, lambda: Several.model_validate({"more": Size(mm=1)})),
    (collections.deque[Size], lambda: collections.deque([Size(mm=1)])),
    (collections.OrderedDict[str, Size], lambda: collections.OrderedDict(a=Size(mm=1))),
    (Sizes, lambda: Sizes([1])),
    (Hidden, lambda: Hidden(numbers="[1]")),  # type: ignore[arg-type]
    (PutOff, lambda: PutOff.model_construct(mm=-1)),
]


def broken(value: Any) -> Any:
    """The same, with what's in it changed past its class, where it isn't already."""
    match value:
        case Several():
            for each in [*value.queue, *value.table.values(), *(value.__pydantic_extra__ or {}).values()]:
                spoilt(each)
        case collections.deque():
            spoilt(value[0])
        case collections.OrderedDict():
            spoilt(value["a"])
        case Strict():
            value.quantity = -7
        case Sizes():
            value.root.append(-1)
        case Hidden():
            value.left_out = -1
        case _:
            pass
    return value


class TestWhatWasChangedSinceItWasMade:
    @pytest.mark.parametrize(("kind", "make"), INVALID)
    def test_is_no_request(self, kind: Any, make: Callable[[], Any]) -> None:
        with pytest.raises(ValidationError, match="was changed after it was made"):
            contract(kind).snapshot(broken(make()))

    @pytest.mark.parametrize(("kind", "make"), INVALID)
    def test_is_no_answer(self, kind: Any, make: Callable[[], Any]) -> None:
        rate = contract(int, kind, lambda request: broken(make()))
        with pytest.raises(ValidationError, match="was changed after it was made"):
            rate.answer_by_fallback(rate.snapshot(1))

    def test_is_told_by_the_place_without_what_stands_there(self) -> None:
        with pytest.raises(ValidationError, match="quantity: Input should be a valid integer") as caught:
            hold_again(Offer("canary", Size(mm=1)))  # type: ignore[arg-type]
        assert "canary" not in str(caught.value)


class TestWhatIsValid:
    @pytest.mark.parametrize(
        "value",
        [
            Offer(1, Size(mm=1)),
            Strict(1),
            Sizes([1]),
            Written(numbers="[1]", data=b"YWJj"),  # type: ignore[arg-type]
            Hidden(numbers="[1]"),  # type: ignore[arg-type]
            [Several(queue=collections.deque([Size(mm=1)]), table={"a": Size(mm=1)})],
        ],
    )
    def test_is_a_request_and_an_answer_as_it_is(self, value: Any) -> None:
        kind = list[Several] if isinstance(value, list) else type(value)
        assert contract(kind).snapshot(value).request == value
        assert contract(int, kind).check_value(value, 1) == value

    @pytest.mark.parametrize(
        "value",
        [
            Crossed.model_validate({"large": 1, "small": 20}, by_alias=True, by_name=False),
            CrossedAndWritten.model_validate({"large": 1, "small": 20, "numbers": "[1]"}, by_alias=True, by_name=False),
            CrossedFields(large=1, small=20),
        ],
    )
    def test_is_known_by_its_fields_names_alone(self, value: Any) -> None:
        assert (value.small, value.large) == (1, 20)
        hold_again(value)
        value.small = 20
        with pytest.raises(ValidationError, match="was changed after it was made"):
            hold_again(value)

    def test_stays_what_it_is_though_its_class_changes_what_its_given(self) -> None:
        value = Weighed([Size(mm=1)])
        before = repr(value)
        rate = contract(int, Weighed, lambda request: value)
        for _ in range(3):
            assert rate.answer_by_fallback(rate.snapshot(1)) is value
        assert contract(Weighed).snapshot(value).request == value
        assert repr(value) == before

    def test_of_a_fallback_may_be_what_its_class_made_of_something_else(self) -> None:
        rate = contract(int, Split, lambda request: Split("a,b"))
        assert rate.answer_by_fallback(rate.snapshot(1)).tags == ["a", "b"]

    def test_may_refer_to_itself(self) -> None:
        value = Linked()
        value.above = value
        hold_again(value)

    def test_may_be_of_a_class_that_cannot_be_made_again(self) -> None:
        hold_again([Given(1, 2), Odd(None), Foreign(Thing()), Offer])  # type: ignore[list-item]

    def test_is_held_again_with_the_request_as_context(self) -> None:
        class Echo(BaseModel):
            text: str

            @field_validator("text")
            @classmethod
            def same(cls, text: str, info: ValidationInfo) -> str:
                if info.context is not None and text != info.context:
                    raise ValueError("another")
                return text

        rate = contract(str, Echo)
        assert rate.check_value(Echo(text="a"), "a") == Echo(text="a")
        with pytest.raises(ValidationError, match="another"):
            rate.check_value(Echo(text="a"), "b")


def test_a_class_that_takes_nothing_that_it_gives_is_told_so() -> None:
    with pytest.raises(ValidationError, match="must take what it gave"):
        contract(Share).snapshot(Share(of="5%"))  # type: ignore[arg-type]


def test_of_a_fallback_it_passes_since_nobody_can_tell() -> None:
    rate = contract(int, Share, lambda request: Share(of="5%"))  # type: ignore[arg-type]
    assert rate.answer_by_fallback(rate.snapshot(1)) == Share.model_construct(of=0.05)


def test_a_field_that_is_gone_is_missing() -> None:
    value = Offer(1, Size(mm=1))
    del value.quantity
    with pytest.raises(ValidationError, match="quantity: "):
        hold_again(value)
