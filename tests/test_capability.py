"""What a capability must declare is demanded when it's created, in words that say what to write."""

from __future__ import annotations

import sys
from functools import cached_property
from types import ModuleType, new_class
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict

from failsoft import Capability, Prompt, Sampling, capability
from failsoft.capability import kebab_case, name_problem, types_of, version_of
from failsoft.core.contract import Contract

T = TypeVar("T")


class Item(BaseModel):
    model_config = ConfigDict(frozen=True)
    description: str


class Grade(BaseModel):
    grade: int


class GradeItem(Capability[Item, Grade]):
    """Which grade is it?

    Answer with a number.
    """

    version = "3"

    def fallback(self, request: Item) -> Grade:
        return Grade(grade=0)


@capability
def grade_item(item: Item) -> Grade:
    """Which grade is it?"""
    return Grade(grade=len(item.description))


class TestTheClassForm:
    def test_its_name_is_the_kebab_case_of_the_classs(self) -> None:
        assert GradeItem.name == "grade-item"

    def test_its_types_are_its_type_arguments(self) -> None:
        assert types_of(GradeItem()) == (Item, Grade)

    def test_its_version_is_a_label(self) -> None:
        assert version_of(GradeItem()) == "3"

    def test_its_default_prompt_is_the_docstring_and_the_requests_json(self) -> None:
        prompt = GradeItem().prompt(Item(description="bolt"))
        assert [(each.role, each.content) for each in prompt.messages] == [
            ("system", "Which grade is it?\n\nAnswer with a number."),
            ("user", '{"description":"bolt"}'),
        ]

    def test_its_instruction_is_the_docstring(self) -> None:
        assert GradeItem().instruction == "Which grade is it?\n\nAnswer with a number."

    def test_accept_is_happy_unless_overridden(self) -> None:
        GradeItem().accept(Item(description="bolt"), Grade(grade=1))

    def test_a_name_of_its_own_wins(self) -> None:
        class Other(Capability[Item, Grade]):
            name = "my-own"

            def fallback(self, request: Item) -> Grade:
                raise NotImplementedError

        assert Other.name == "my-own"

    def test_a_subclass_has_a_name_of_its_own_and_keeps_types_and_fallback(self) -> None:
        class GradeAgain(GradeItem):
            sampling = Sampling(temperature=1)

        assert GradeAgain.name == "grade-again"
        assert types_of(GradeAgain()) == (Item, Grade)
        assert GradeAgain().fallback(Item(description="")) == Grade(grade=0)

    def test_an_instance_keeps_what_it_was_constructed_with(self) -> None:
        class Lookup(Capability[str, int]):
            def __init__(self, table: dict[str, int]) -> None:
                self.table = table

            def fallback(self, request: str) -> int:
                return self.table.get(request, 0)

        assert Lookup({"bolt": 3}).fallback("bolt") == 3

    def test_a_static_fallback_takes_the_request_alone(self) -> None:
        class Static(Capability[str, int]):
            @staticmethod
            def fallback(request: str) -> int:
                return len(request)

        assert Static().fallback("bolt") == 4

    def test_a_class_methods_fallback_takes_the_request_alone(self) -> None:
        class OfClass(Capability[str, int]):
            @classmethod
            def fallback(cls, request: str) -> int:
                return len(request)

        assert OfClass().fallback("bolt") == 4

    def test_the_bases_own_fallback_is_never_an_answer(self) -> None:
        with pytest.raises(NotImplementedError):
            Capability.fallback(GradeItem(), Item(description=""))


class TestWhatIsRefusedAtCreation:
    def test_no_fallback(self) -> None:
        with pytest.raises(TypeError, match=r"def fallback\(self, request: Item\) -> Grade:"):

            class Without(Capability[Item, Grade]):
                pass

    def test_an_asynchronous_fallback(self) -> None:
        with pytest.raises(TypeError, match=r"Waits.fallback must be a plain `def`"):

            class Waits(Capability[Item, Grade]):
                async def fallback(self, request: Item) -> Grade:  # type: ignore[override]
                    raise NotImplementedError

    def test_a_generator_as_fallback(self) -> None:
        with pytest.raises(TypeError, match="no `yield`"):

            class Yields(Capability[Item, Grade]):
                def fallback(self, request: Item) -> Any:
                    yield Grade(grade=1)

    def test_an_asynchronous_generator_as_fallback(self) -> None:
        with pytest.raises(TypeError, match="no `yield`"):

            class Streams(Capability[Item, Grade]):
                async def fallback(self, request: Item) -> Any:
                    yield Grade(grade=1)

    @pytest.mark.parametrize("wrong", [lambda self: 1, lambda self, a, b: 1, lambda self, *, request: 1])
    def test_a_fallback_that_takes_other_than_the_request(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="must take exactly one argument, the request"):
            new_class("Wrong", (Capability[Item, Grade],), {}, lambda body: body.update({"fallback": wrong}))

    def test_a_fallback_that_is_no_function(self) -> None:
        with pytest.raises(TypeError, match=r"Wrong\.fallback must be a plain `def` that takes the request, not int"):

            class Wrong(Capability[Item, Grade]):
                fallback = 5  # type: ignore[assignment]

    def test_no_type_parameters(self) -> None:
        with pytest.raises(TypeError, match=r"write `class Untyped\(Capability\[Request, Response\]\)`"):

            class Untyped(Capability):  # type: ignore[type-arg]
                def fallback(self, request: Any) -> Any:
                    raise NotImplementedError

    def test_a_type_parameter_left_open_inside_another_type(self) -> None:
        with pytest.raises(TypeError, match="doesn't say what it asks and answers"):

            class Open(Capability[str, list[T]], Generic[T]):
                def fallback(self, request: str) -> Any:
                    raise NotImplementedError

    @pytest.mark.parametrize("name", ["Grade", "grade_item", "-grade", "grade--item", "", "x" * 65, "é", "a\n"])
    def test_a_name_that_is_no_kebab_case(self, name: str) -> None:
        with pytest.raises(TypeError, match="is not a name: kebab-case"):
            new_class(
                "Wrong",
                (Capability[Item, Grade],),
                {},
                lambda body: body.update({"name": name, "fallback": lambda self, request: None}),
            )

    def test_a_name_that_is_no_text(self) -> None:
        with pytest.raises(TypeError, match=r"Wrong\.name: a name is text, not int"):
            new_class(
                "Wrong",
                (Capability[Item, Grade],),
                {},
                lambda body: body.update({"name": 5, "fallback": lambda self, request: None}),
            )


class TestAnIntermediateClass:
    def test_nothing_is_demanded_of_it(self) -> None:
        class Team(Capability[Item, T], Generic[T], abstract=True):
            pass

        assert Team.name == "team"

    def test_what_it_left_open_its_subclass_says(self) -> None:
        class Team(Capability[Item, T], Generic[T], abstract=True):
            pass

        class Concrete(Team[list[int]]):
            def fallback(self, request: Item) -> list[int]:
                raise NotImplementedError

        assert types_of(Concrete()) == (Item, list[int])

    def test_a_type_variable_inside_a_type_is_substituted(self) -> None:
        class Listing(Capability[str, list[T]], Generic[T], abstract=True):
            pass

        class Concrete(Listing[int]):
            def fallback(self, request: str) -> list[int]:
                raise NotImplementedError

        assert types_of(Concrete()) == (str, list[int])

    def test_a_mixin_before_it_is_no_hindrance(self) -> None:
        class Mixin:
            pass

        class Mixed(Mixin, Capability[str, int]):
            def fallback(self, request: str) -> int:
                raise NotImplementedError

        assert types_of(Mixed()) == (str, int)


class Quoted(Capability["Item", "list[Grade]"]):
    def fallback(self, request: Item) -> list[Grade]:
        raise NotImplementedError


class Nested(Capability["Item", list["Grade"]]):
    def fallback(self, request: Item) -> list[Grade]:
        raise NotImplementedError


class TestQuotedTypes:
    @pytest.mark.parametrize("kind", [Quoted, Nested])
    def test_they_are_resolved_in_the_capabilitys_own_module(self, kind: Any) -> None:
        assert types_of(kind()) == (Item, list[Grade])

    def test_two_modules_may_mean_different_types_by_one_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert types_of(Quoted()) == (Item, list[Grade])
        other = ModuleType("other")
        monkeypatch.setitem(sys.modules, "other", other)
        other.Item, other.Grade = int, str  # type: ignore[attr-defined]

        class Elsewhere(Capability["Item", "list[Grade]"]):
            __module__ = "other"

            def fallback(self, request: Any) -> Any:
                raise NotImplementedError

        assert types_of(Elsewhere()) == (int, list[str])

    def test_a_module_that_is_gone_resolves_nothing(self) -> None:
        class Gone(Capability["Nowhere", int]):  # type: ignore[name-defined]
            __module__ = "gone"

            def fallback(self, request: Any) -> int:
                raise NotImplementedError

        with pytest.raises(NameError):
            types_of(Gone())


class TestTheFunctionForm:
    def test_the_body_is_the_fallback(self) -> None:
        assert grade_item.fallback(Item(description="bolt")) == Grade(grade=4)

    def test_its_name_is_the_functions(self) -> None:
        assert grade_item.name == "grade-item"

    def test_its_types_are_the_annotations(self) -> None:
        assert types_of(grade_item) == (Item, Grade)

    def test_its_docstring_is_the_instruction(self) -> None:
        assert grade_item.instruction == grade_item.__doc__ == "Which grade is it?"
        assert grade_item.prompt(Item(description="bolt")) == Prompt.of(
            '{"description":"bolt"}', system="Which grade is it?"
        )

    def test_name_and_version_may_be_given(self) -> None:
        @capability(name="other", version="2")
        def something(item: Item) -> Grade:
            raise NotImplementedError

        assert (something.name, version_of(something)) == ("other", "2")

    def test_types_of_the_enclosing_function_are_found(self) -> None:
        class Local(BaseModel):
            x: int

        @capability
        def local(item: Local) -> Local:
            raise NotImplementedError

        assert types_of(local) == (Local, Local)

    def test_without_a_docstring_the_instruction_is_empty(self) -> None:
        @capability
        def silent(item: Item) -> Grade:
            raise NotImplementedError

        assert silent.instruction == ""

    def test_calling_it_says_how_it_is_asked(self) -> None:
        with pytest.raises(TypeError, match=r"`await isolation\[grade_item\]\(request\)` asks it"):
            grade_item(Item(description="bolt"))

    def test_an_asynchronous_one_is_refused(self) -> None:
        with pytest.raises(TypeError, match="must be a plain `def`"):

            @capability
            async def waits(item: Item) -> Grade:
                raise NotImplementedError

    def test_two_arguments_are_refused(self) -> None:
        with pytest.raises(TypeError, match="must take exactly one argument"):

            @capability  # type: ignore[arg-type]
            def two(item: Item, other: Item) -> Grade:
                raise NotImplementedError

    @pytest.mark.parametrize("lacking", ["item", "return"])
    def test_both_annotations_are_needed(self, lacking: str) -> None:
        def lacks(item: Item) -> Grade:
            raise NotImplementedError

        del lacks.__annotations__[lacking]
        with pytest.raises(TypeError, match=r"needs both annotations: `def lacks\(item: Request\) -> Response`"):
            capability(lacks)

    @pytest.mark.parametrize("annotation", ["Nowhere", "1 +", "Item.nothing"])
    def test_an_annotation_that_cant_be_resolved_is_refused(self, annotation: str) -> None:
        def lost(item: Item) -> Grade:
            raise NotImplementedError

        lost.__annotations__["item"] = annotation
        with pytest.raises(TypeError, match="lost: an annotation can't be resolved"):
            capability(lost)

    @pytest.mark.parametrize("name", ["Not A Name", "a_b"])
    def test_a_name_that_is_no_kebab_case_is_refused(self, name: str) -> None:
        with pytest.raises(TypeError, match="is not a name: kebab-case"):

            @capability(name=name)
            def something(item: Item) -> Grade:
                raise NotImplementedError

    def test_only_a_function_is_decorated(self) -> None:
        with pytest.raises(TypeError, match="@capability decorates a plain function, not int"):
            capability(5)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "kebab"),
    [
        ("ClassifyItem", "classify-item"),
        ("classify_item", "classify-item"),
        ("NSNLookup", "nsn-lookup"),
        ("LookupNSN", "lookup-nsn"),
        ("_private", "private"),
        ("Grade2Item", "grade2-item"),
        ("a__b", "a-b"),
    ],
)
def test_kebab_case(name: str, kebab: str) -> None:
    assert kebab_case(name) == kebab


def test_a_hint_is_given_even_where_nothing_is_left_of_a_name() -> None:
    assert '"my-name"' in (name_problem("") or "")


async def waiting(*_: object) -> None:
    raise NotImplementedError


@pytest.mark.parametrize("name", ["prompt", "accept"])
def test_an_asynchronous_prompt_or_accept_is_refused_when_the_class_is_made(name: str) -> None:
    class Answering(Capability[str, int]):
        def fallback(self, request: str) -> int:
            raise NotImplementedError

    with pytest.raises(TypeError, match=f"Waiting.{name} must be a plain"):
        type("Waiting", (Answering,), {name: waiting})


@pytest.mark.parametrize("name", ["repair", "idempotent"])
@pytest.mark.parametrize("value", ["no", 0, None])
def test_a_switch_that_is_no_bool_is_refused(name: str, value: Any) -> None:
    class Answering(Capability[str, int]):
        def fallback(self, request: str) -> int:
            raise NotImplementedError

    def answer(request: str) -> int:
        raise NotImplementedError

    with pytest.raises(TypeError, match=rf"Switched\.{name} must be True or False, not {value!r}"):
        type("Switched", (Answering,), {name: value})
    with pytest.raises(TypeError, match=rf"answer\.{name} must be True or False"):
        capability(**{name: value})(answer)


@pytest.mark.parametrize("version", [3, 1.0, "", " ", "x" * 129, "a\nb", b"3"])
def test_a_version_that_no_record_takes_is_refused_when_the_class_is_made(version: Any) -> None:
    """Else each record of its calls would be refused, one by one."""

    class Answering(Capability[str, int]):
        def fallback(self, request: str) -> int:
            raise NotImplementedError

    def answer(request: str) -> int:
        raise NotImplementedError

    with pytest.raises(TypeError, match=r"Labelled\.version (must|is)"):
        type("Labelled", (Answering,), {"version": version})
    with pytest.raises(TypeError, match=r"answer\.version (must|is)"):
        capability(version=version)(answer)


@pytest.mark.parametrize("sampling", [{"temperature": 0}, None, Sampling])
def test_a_sampling_that_is_none_is_refused_when_the_class_is_made(sampling: Any) -> None:
    class Answering(Capability[str, int]):
        def fallback(self, request: str) -> int:
            raise NotImplementedError

    with pytest.raises(TypeError, match=r"Hot\.sampling must be Sampling\(…\)"):
        type("Hot", (Answering,), {"sampling": sampling})


def test_a_version_and_a_sampling_may_be_each_instances_own() -> None:
    class Own(Capability[str, int]):
        def __init__(self, wanted: Any) -> None:
            self.wanted = wanted

        @property
        def version(self) -> Any:  # type: ignore[override]
            return self.wanted

        @cached_property
        def sampling(self) -> Sampling:  # type: ignore[override]
            return Sampling(temperature=0.5)

        def fallback(self, request: str) -> int:
            return 0

    contract = Contract(Own("7"))
    assert (contract.version, contract.sampling.temperature) == ("7", 0.5)
    with pytest.raises(TypeError, match=r"own\.version is text, not int"):
        Contract(Own(7))
