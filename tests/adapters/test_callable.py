"""The user's own function as an adapter: its result read, its exceptions classified, its hidden retries seen."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, computed_field, field_validator

from failsoft import Capability, Isolation
from failsoft.adapters.callable import FunctionCodec, hidden_retries
from failsoft.core.effects import AnswerSchema, Ask, Reply, Unusable
from failsoft.fault import FaultKind
from failsoft.outcome import Grade, Pin, Served
from failsoft.prompt import Prompt, Sampling

CANARY = "canary-7f3a"


def ask(*, wrapped: bool = False) -> Ask:
    return Ask(None, b"{}", Prompt(()), AnswerSchema("grade", {}, wrapped), Sampling(), Pin("m"))


def nothing(ask: Ask) -> None:
    raise NotImplementedError


def read(result: object, *, wrapped: bool = False, **extractors: Any) -> Reply | Unusable:
    return FunctionCodec(nothing, **extractors).read(result, ask(wrapped=wrapped))


def fault(read: Reply | Unusable) -> FaultKind:
    assert isinstance(read, Unusable)
    return read.fault.kind


circular: list[Any] = []
circular.append(circular)


class Graded(BaseModel):
    grade: int


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    grade: int

    @computed_field
    def twice(self) -> int:
        return 2 * self.grade


class Apart(BaseModel):
    model_config = ConfigDict(extra="forbid")
    grade: int = Field(serialization_alias="written")


class Renamed(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    grade: int = Field(alias="note")


class WithOwn(Graded):
    _seen: int = 0


class Lost(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid")
    grade: int = Field(serialization_alias="written", validation_alias="read")

    @field_validator("grade")
    @classmethod
    def refused(cls, value: int, info: ValidationInfo) -> int:
        if info.mode == "json":
            raise ValueError
        return value


class Half(BaseModel):
    grade: int
    note: str = Field(default="", exclude=True)


class Sealed(BaseModel):
    key: SecretStr


class Weighed(BaseModel):
    weight: float | None


class Priced(BaseModel):
    weight: float


class Loose(BaseModel):
    weight: Any


class Constant(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    weight: float
    other: None = None


@dataclass
class Held:
    key: SecretStr


class TestAResult:
    @pytest.mark.parametrize("result", ['{"grade":3}', b'{"grade":3}', {"grade": 3}, Graded(grade=3)])
    def test_is_json_text_or_the_answer_itself(self, result: object) -> None:
        reply = read(result)
        assert isinstance(reply, Reply)
        assert reply.answer == b'{"grade":3}'
        assert reply.served == Served()

    @pytest.mark.parametrize("result", [0, False, [], 3.5])
    def test_that_is_no_object_travels_wrapped(self, result: object) -> None:
        assert isinstance(read(result, wrapped=True), Reply)

    def test_is_read_by_the_extractor(self) -> None:
        reply = read(SimpleNamespace(content='{"grade":3}'), text=lambda result: result.content)
        assert isinstance(reply, Reply)
        assert reply.answer == b'{"grade":3}'

    @pytest.mark.parametrize("result", [None, "", b""])
    def test_without_text_is_empty(self, result: object) -> None:
        assert fault(read(result)) is FaultKind.EMPTY_REPLY

    @pytest.mark.parametrize(
        "result", ["{", '{"a":1,"a":2}', b"\xff", "NaN", {"grade": float("nan")}, "hello", "\ud800", '"\ud800"']
    )
    def test_that_is_no_strict_json_is_malformed(self, result: object) -> None:
        assert fault(read(result)) is FaultKind.MALFORMED_ANSWER

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    @pytest.mark.parametrize("kind", [Weighed, Priced, Loose, Constant])
    def test_with_a_number_in_a_model_that_is_not_finite_is_malformed(self, kind: Any, number: float) -> None:
        result = kind(weight=number)
        assert fault(read({"a": number})) is FaultKind.MALFORMED_ANSWER
        for each in (result, {"a": result}, [result, None]):
            assert str(read(each, wrapped=each is not result)) == str(read({"a": number}))

    def test_with_null_in_a_model_is_an_answer(self) -> None:
        reply = read(Weighed(weight=None))
        assert isinstance(reply, Reply)
        assert reply.answer == b'{"weight":null}'

    @pytest.mark.parametrize("result", [object(), {"x": object()}, [b"\xff"], ["\ud800"], circular])
    def test_that_is_no_json_value_is_a_bug_that_names_its_type(self, result: object) -> None:
        found = read(result, served=lambda result: "m-1")
        assert fault(found) is FaultKind.BUG
        assert type(result).__name__ in str(found)
        assert found.served == Served("m-1")

    @pytest.mark.parametrize("result", [Computed(grade=3), Apart(grade=3), Renamed(grade=3), WithOwn(grade=3)])
    def test_that_is_a_model_arrives_as_what_it_is_however_it_is_written(self, result: BaseModel) -> None:
        own = WithOwn(grade=3)
        own._seen = 1
        for each in (result, own):
            reply = read(each)
            assert isinstance(reply, Reply)
            assert type(each).model_validate_json(reply.answer, strict=True).model_dump() == each.model_dump()

    @pytest.mark.parametrize(
        "result",
        [
            Sealed(key=SecretStr(CANARY)),
            [Sealed(key=SecretStr(CANARY))],
            {"a": (Sealed(key=SecretStr(CANARY)),)},
            SecretStr(CANARY),
            Held(SecretStr(CANARY)),
            Half(grade=3, note="x"),
        ],
    )
    def test_that_json_does_not_bring_back_is_a_bug_and_never_another_value(self, result: object) -> None:
        found = read(result)
        assert fault(found) is FaultKind.BUG
        assert "isn't the same after it was JSON" in str(found)
        assert CANARY not in str(found)

    def test_that_is_read_by_neither_of_its_names_is_told_by_whoever_reads_it(self) -> None:
        reply = read(Lost(grade=3))
        assert isinstance(reply, Reply)
        assert reply.answer == b'{"written":3}'

    def test_that_is_null_is_an_answer_where_the_schema_takes_it(self) -> None:
        for value in ({"type": "null"}, {"anyOf": [{"type": "integer"}, {"type": "null"}]}):
            answer = AnswerSchema("grade", {"properties": {"value": value}}, True)
            reply = FunctionCodec(nothing).read(None, Ask(None, b"{}", Prompt(()), answer, Sampling(), Pin("m")))
            assert isinstance(reply, Reply)
            assert reply.answer == b'{"value":null}'

    def test_whose_extractor_gives_null_is_empty_all_the_same(self) -> None:
        answer = AnswerSchema("grade", {"properties": {"value": {"type": "null"}}}, True)
        own = Ask(None, b"{}", Prompt(()), answer, Sampling(), Pin("m"))
        assert fault(FunctionCodec(nothing, text=lambda _: None).read("x", own)) is FaultKind.EMPTY_REPLY

    @pytest.mark.parametrize("extractor", ["text", "served"])
    def test_that_an_extractor_cant_read_is_a_bug_of_the_application(self, extractor: str) -> None:
        def extract(result: Any) -> str:
            raise KeyError(CANARY)

        with pytest.raises(KeyError):  # core makes the fault of it: one that isn't retried
            read({"grade": 3}, **{extractor: extract})

    def test_can_only_say_who_answered_where_an_extractor_reads_it(self) -> None:
        assert not FunctionCodec(nothing).states_served
        assert FunctionCodec(nothing, served=str).states_served

    def test_says_who_answered_as_far_as_that_can_be_believed(self) -> None:
        reply = read({"grade": 3}, served=lambda result: "m-1", grade=Grade.PROVIDER)
        assert reply.served == Served("m-1", Grade.PROVIDER)

    def test_that_names_no_model_is_served_by_nobody_known(self) -> None:
        reply = read({"grade": 3}, served=lambda result: None, grade=Grade.PROVIDER)
        assert isinstance(reply, Reply)
        assert reply.served == Served()

    @pytest.mark.parametrize(
        ("model", "kind"),
        [("", "an empty text"), (5, "int"), ({"m": 1}, "dict"), (b"house-2", "bytes"), (False, "bool")],
    )
    def test_that_is_said_to_be_served_by_what_is_no_name_is_a_bug(self, model: Any, kind: str) -> None:
        found = read({"grade": 3}, served=lambda result: model, grade=Grade.PROVIDER)
        assert fault(found) is FaultKind.BUG
        assert f"`served` gave {kind}: it's the name of the model, or None" in str(found)
        assert found.served is None

    @given(
        st.recursive(st.none() | st.text() | st.floats() | st.binary(), lambda each: st.lists(each) | st.tuples(each))
    )
    def test_of_any_kind_is_an_answer_or_a_fault(self, result: object) -> None:
        assert isinstance(read(result), (Reply, Unusable))


class GiveGrade(Capability[str, Graded]):
    """Which grade?"""

    name = "grade"

    def fallback(self, request: str) -> Graded:
        return Graded(grade=0)


@pytest.mark.parametrize("extractor", ["text", "served"])
def test_a_result_that_an_extractor_cant_read_isnt_asked_for_again(extractor: str) -> None:
    asked: list[Ask] = []
    table = {"ledger": {"url": "none"}, "capabilities": {"grade": {"adapters": ["a"]}}}
    isolation = Isolation(table, capabilities=[GiveGrade])

    @isolation.adapter("a", model="m-1", **{extractor: lambda result: result.nothing})
    def answer(ask: Ask) -> dict[str, int]:
        asked.append(ask)
        return {"grade": 3}

    with isolation:
        outcome = isolation[GiveGrade].sync("x")
        state = isolation.health().adapters["a"].state
    assert len(asked) == 1
    assert [each.reason for each in outcome.passed_over] == ["bug"]
    assert "AttributeError" in outcome.passed_over[0].detail
    assert (outcome.value, state) == (Graded(grade=0), "closed")


def alerts(error: Exception, caplog: pytest.LogCaptureFixture) -> list[str]:
    table = {"ledger": {"url": "none"}, "capabilities": {"grade": {"adapters": ["a"]}}}
    isolation = Isolation(table, capabilities=[GiveGrade])

    @isolation.adapter("a", model="m-1", attempts=1)
    def answer(ask: Ask) -> None:
        raise error

    with isolation, caplog.at_level("ERROR", "failsoft"):
        outcome = isolation[GiveGrade].sync("x")
    assert [each.reason for each in outcome.passed_over] == ["adapter_raised"]
    return [each.getMessage() for each in caplog.records if "event=attempt.alert" in each.getMessage()]


@pytest.mark.parametrize("error", [NameError(CANARY), TypeError(CANARY), AttributeError(CANARY), ImportError(CANARY)])
def test_a_slip_in_the_function_is_told_aloud_with_its_type(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    (told,) = alerts(error, caplog)
    assert f"error={type(error).__name__}" in told
    assert CANARY not in told


def test_what_a_client_library_raises_isnt(caplog: pytest.LogCaptureFixture) -> None:
    assert alerts(RuntimeError(CANARY), caplog) == []


def test_health_says_whose_pin_isnt_checked() -> None:
    isolation = Isolation({"ledger": {"url": "none"}}, capabilities=[])
    isolation.adapter("silent", model="m-1")(nothing)
    isolation.adapter("stating", model="m-1", served=str)(nothing)
    health = isolation.health().adapters
    assert {name: each.pin_checked for name, each in health.items()} == {"silent": False, "stating": True}


class Failed(Exception):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(CANARY)
        self.__dict__.update(attributes)


class APITimeoutError(Exception):
    pass


class TestAnException:
    @pytest.mark.parametrize(
        ("error", "kind", "status"),
        [
            (Failed(status_code=429), FaultKind.RATE_LIMITED, 429),
            (Failed(status_code=HTTPStatus.UNAUTHORIZED), FaultKind.UNAUTHENTICATED, 401),
            (Failed(response=SimpleNamespace(status_code=503)), FaultKind.SERVER_ERROR, 503),
            (Failed(status_code=True), FaultKind.ADAPTER_RAISED, None),
            (Failed(status_code="429"), FaultKind.ADAPTER_RAISED, None),
            (Failed(status_code=0), FaultKind.ADAPTER_RAISED, None),
            (Failed(response=None), FaultKind.ADAPTER_RAISED, None),
            (TimeoutError(CANARY), FaultKind.ATTEMPT_TIMEOUT, None),
            (APITimeoutError(CANARY), FaultKind.ATTEMPT_TIMEOUT, None),
            (ConnectionRefusedError(CANARY), FaultKind.CONNECT_REFUSED, None),
            (ConnectionResetError(CANARY), FaultKind.CONNECTION_LOST, None),
            (OSError(CANARY), FaultKind.CONNECTION_LOST, None),
            (KeyError(CANARY), FaultKind.ADAPTER_RAISED, None),
        ],
    )
    def test_is_classified_by_status_then_by_kind_never_by_its_text(
        self, error: Exception, kind: FaultKind, status: int | None
    ) -> None:
        found = FunctionCodec(nothing).classify(error)
        assert (found.fault.kind, found.fault.status) == (kind, status)
        assert CANARY not in repr(found)


class Client:
    def __init__(self, max_retries: Any) -> None:
        self.max_retries = max_retries

    def ask(self, ask: Ask) -> None:
        raise NotImplementedError


class Framework:
    def __init__(self, client: Client) -> None:
        self._client = client

    def __call__(self, ask: Ask) -> None:
        raise NotImplementedError


retrying = Client(2)
patient = Client(0)


def by_global(ask: Ask) -> None:
    retrying.ask(ask)


def by_patient_global(ask: Ask) -> None:
    patient.ask(ask)


def by_closure(client: Client) -> Any:
    def inner(ask: Ask) -> None:
        client.ask(ask)

    return inner


@functools.wraps(by_global)
def decorated(ask: Ask) -> None:
    raise NotImplementedError


class TestHiddenRetries:
    @pytest.mark.parametrize(
        "function",
        [by_global, by_closure(retrying), retrying.ask, Framework(retrying), Framework(retrying).__call__, decorated],
    )
    def test_are_seen(self, function: Any) -> None:
        assert hidden_retries(function) == 2

    @pytest.mark.parametrize(
        "function", [by_patient_global, by_closure(patient), Framework(patient), nothing, len, Client(True).ask]
    )
    def test_are_not_where_there_are_none(self, function: Any) -> None:
        assert hidden_retries(function) == 0

    def test_a_variable_without_a_value_yet_hides_none_and_raises_nothing(self) -> None:
        def adapter(ask: Ask) -> None:
            later.ask(ask)

        assert hidden_retries(adapter) == 0
        later = patient
        assert hidden_retries(adapter) == 0
