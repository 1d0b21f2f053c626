"""What becomes of a reply: what is kept of it for the record, what is told of it, and what it's held to."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from failsoft import Capability
from failsoft.core.effects import Ask, HttpReply, Reply, Tokens, Unusable
from failsoft.core.evidence import Attempt
from failsoft.core.judge import places, struck
from failsoft.errors import FallbackFailed
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import Simulation
from failsoft.outcome import Grade as Worth
from failsoft.outcome import Served
from tests.core.scripted import SECOND, Grade, GradeItem, Item, Scene, StubCodec, StubLedger, ok, scripted, status
from tests.core.test_call import reasons, run
from tests.core.test_call_bugs import Holder, Sealed, Sealing, Slow


def scene_with(capability: Any = None, **options: Any) -> Scene:
    scene = Scene(ledger=StubLedger(), capability=capability or GradeItem())
    scene.add("first", **options)
    return scene


def attempts(scene: Scene) -> tuple[Attempt, ...]:
    assert scene.ledger is not None
    (completed,) = scene.ledger.completed
    return completed.attempts


def told(scene: Scene, name: str) -> dict[str, Any]:
    (fields,) = (fields for event, fields in scene.events.events if event == name)
    return fields


class TestTheRecord:
    def test_keeps_the_bytes_and_the_status_of_an_answer(self) -> None:
        scene = scene_with()
        run(scene, ok(5))
        (attempt,) = attempts(scene)
        assert (attempt.status, attempt.reply, attempt.answer) == (200, b'{"grade": 5}', b'{"grade": 5}')
        assert attempt.served is not None
        assert attempt.served.model == "m-1"

    def test_keeps_those_of_an_error_too(self) -> None:
        scene = scene_with()
        run(scene, HttpReply(400, {}, b"no such field"))
        (attempt,) = attempts(scene)
        assert (attempt.status, attempt.reply, attempt.answer) == (400, b"no such field", None)
        assert attempt.detail is None

    @pytest.mark.parametrize("code", [200, 422])
    def test_keeps_what_a_reply_says_it_used_whether_it_answers_or_not(self, code: int) -> None:
        class Stating(StubCodec):
            def decode(self, reply: HttpReply) -> Reply | Unusable:
                used = Tokens(60, 8)
                if reply.status == 200:
                    return Reply(reply.body, Served("m-1"), used)
                return Unusable(Fault(FaultKind.REFUSED, status=reply.status), Served("m-1"), used)

        scene = scene_with(codec=Stating())
        run(scene, HttpReply(code, {}, b'{"grade": 5}'))
        (attempt,) = attempts(scene)
        assert attempt.tokens == Tokens(60, 8)

    def test_keeps_the_words_of_accept_whatever_they_are(self) -> None:
        class Odd(GradeItem):
            def accept(self, request: Item, response: Grade) -> None:
                raise ValueError("no: \ud800")

        scene = scene_with(Odd())
        run(scene, ok(5))
        (attempt,) = attempts(scene)
        assert (attempt.fault, attempt.detail) == ("unacceptable", b"no: ?")

    def test_keeps_what_a_reply_was_that_couldnt_be_read(self) -> None:
        class Raising(StubCodec):
            def decode(self, reply: HttpReply) -> Reply | Unusable:
                raise LookupError("a bug")

        scene = scene_with(codec=Raising())
        run(scene, ok(5))
        (attempt,) = attempts(scene)
        assert (attempt.status, attempt.reply) == (200, b'{"grade": 5}')
        assert told(scene, "attempt.alert")["error"] == "LookupError"

    def test_keeps_a_functions_answer_as_its_reply(self) -> None:
        scene = scene_with(codec=Slow(b'{"grade": 3}'))
        run(scene)
        (attempt,) = attempts(scene)
        assert (attempt.status, attempt.reply) == (None, b'{"grade": 3}')

    def test_keeps_nothing_of_a_function_that_gave_nothing(self) -> None:
        scene = scene_with(codec=Slow(b""), attempts=1)
        run(scene)
        assert {attempt.reply for attempt in attempts(scene)} == {None}

    def test_says_where_and_why_an_answer_didnt_fit_and_no_more(self) -> None:
        scene = scene_with(Even())
        run(scene, ok(7))
        (attempt,) = attempts(scene)
        assert attempt.detail is not None
        (problem,) = json.loads(attempt.detail)
        assert set(problem) == {"type", "loc", "msg", "input"}
        assert (problem["loc"], problem["input"]) == (["grade"], 7)

    @pytest.mark.parametrize("answer", [b'{"grade": "x"}', b'{"grade": -1}'])
    def test_keeps_the_status_of_an_answer_that_isnt_used(self, answer: bytes) -> None:
        scene = scene_with()
        run(scene, HttpReply(200, {"model": "m-1"}, answer))
        assert [attempt.status for attempt in attempts(scene)] == [200]


class EvenGrade(BaseModel):
    grade: int

    @field_validator("grade")
    @classmethod
    def even(cls, grade: int) -> int:
        if grade % 2:
            raise ValueError("a grade is even")
        return grade


class Even(Capability[Item, EvenGrade]):
    """Which even grade is it?"""

    def fallback(self, request: Item) -> EvenGrade:
        return EvenGrade(grade=2)


class Pair(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int
    b: int
    c: int
    d: int
    e: int
    f: int

    @model_validator(mode="after")
    def ordered(self) -> Pair:
        if self.a > self.b:
            raise ValueError("not in order")
        return self


def misfit(text: str) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Pair.model_validate_json(text)
    return caught.value


KNOWN = frozenset("abcdef")


class TestPlaces:
    def test_say_no_name_that_came_with_the_answer(self) -> None:
        extra = '{"a": 1, "b": 2, "c": 1, "d": 1, "e": 1, "f": 1, "John Smith, SSN 123\\n[ERROR]": 1}'
        assert places(misfit(extra), KNOWN) == "doesn't fit at …"

    def test_are_named_each_once_in_order(self) -> None:
        assert places(misfit('{"a": 1, "b": "x", "c": 1, "d": 1, "e": 1, "f": "y"}'), KNOWN) == "doesn't fit at b, f"

    def test_are_at_most_five(self) -> None:
        assert places(misfit("{}"), KNOWN) == "doesn't fit at a, b, c, d, e"

    def test_are_the_answer_where_no_part_of_it_is_to_blame(self) -> None:
        assert places(misfit('{"a": 2, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}'), KNOWN) == "doesn't fit at the answer"


class TestTheServedIdentity:
    @pytest.mark.parametrize(
        ("stated", "least", "fits"),
        [
            (Worth.PROVIDER, Worth.PROVIDER, True),
            (Worth.GATEWAY, Worth.PROVIDER, False),
            (Worth.ECHOED, Worth.GATEWAY, False),
            (Worth.GATEWAY, Worth.ECHOED, True),
            (Worth.UNKNOWN, None, True),
        ],
    )
    def test_is_worth_what_is_demanded_or_the_answer_is_refused(
        self, stated: Worth, least: Worth | None, fits: bool
    ) -> None:
        class Stating(StubCodec):
            def decode(self, reply: HttpReply) -> Reply | Unusable:
                return Reply(reply.body, Served("m-1", stated))

        outcome = run(scene_with(codec=Stating(), require_grade=least), ok(5))
        assert outcome.by_ai is fits
        assert reasons(outcome) == ([] if fits else [("first", "served_unproven")])


class TestAHint:
    def test_that_the_codec_read_is_kept(self) -> None:
        class Telling(StubCodec):
            def decode(self, reply: HttpReply) -> Reply | Unusable:
                return Unusable(Fault(FaultKind.RATE_LIMITED, status=429, retry_after_ns=2 * SECOND), Served())

        scene = scene_with(codec=Telling(), attempts=1)
        run(scene, status(429, **{"retry-after": "1000"}))
        assert scene.adapters[0].throttle.until(scene.clock.now) < 100 * SECOND

    def test_is_asked_of_no_function(self) -> None:
        class Limited(Slow):
            def classify(self, error: Exception) -> Unusable:
                return Unusable(Fault(FaultKind.RATE_LIMITED, status=429))

        codec = Limited(b"")
        codec.function = lambda ask: 1 / 0
        scene = scene_with(codec=codec, attempts=1)
        assert reasons(run(scene)) == [("first", "rate_limited")]


def test_another_model_than_the_pinned_is_told_with_both_names_the_adapter_and_the_call() -> None:
    scene = scene_with()
    outcome = run(scene, ok(5, model="m-2"))
    assert told(scene, "pin.mismatch") == {
        "adapter": "first",
        "asked": "m-1",
        "served": "m-2",
        "call_id": outcome.call_id,
    }


class TestAnAnswer:
    def test_that_cant_change_is_judged_as_it_is(self) -> None:
        seen: list[Grade] = []

        class Keeping(GradeItem):
            name = "grade-item"

            def accept(self, request: Item, response: Grade) -> None:
                seen.append(response)

        outcome = run(scene_with(Keeping()), ok(5))
        assert outcome.value is seen[0]

    def test_that_can_change_is_judged_as_a_copy(self) -> None:
        seen: list[Holder] = []

        class Keeping(Sealing):
            name = "sealing"

            def accept(self, request: Item, response: Sealed) -> None:
                seen.append(response)

        outcome = run(scene_with(Keeping()), ok(5))
        assert outcome.value == seen[0]
        assert outcome.value is not seen[0]

    def test_that_cant_be_written_isnt_blamed_on_accept(self) -> None:
        class Accepting(Sealing):
            name = "sealing"

            def accept(self, request: Item, response: Sealed) -> None:
                """Any."""

        scene = scene_with(Accepting())
        outcome = run(scene, ok(7))
        assert reasons(outcome) == [("first", "capability_bug")]
        assert told(scene, "capability.bug")["where"] == "the response type"

    def test_isnt_written_where_nothing_is_recorded(self) -> None:
        scene = scene_with(Sealing())
        scene.ledger = None
        assert run(scene, ok(7)).by_ai

    def test_says_where_the_capabilitys_own_code_raised(self) -> None:
        class Careless(GradeItem):
            name = "grade-item"

            def accept(self, request: Item, response: Grade) -> None:
                raise LookupError("a bug")

        scene = scene_with(Careless())
        run(scene, ok(5))
        assert told(scene, "capability.bug")["where"] == "accept"
        assert told(scene, "capability.bug")["error"] == "LookupError"


def test_a_function_is_read_with_the_ask_that_it_was_given() -> None:
    asks: list[Ask] = []

    class Reading(Slow):
        def read(self, result: Any, ask: Ask) -> Reply | Unusable:
            asks.append(ask)
            return super().read(result, ask)

    codec = Reading(b"")
    codec.function = lambda ask: asks.append(ask) or b'{"grade": 3}'
    assert run(scene_with(codec=codec)).by_ai
    assert asks[0] is asks[1]


class Silent(ValueError):
    def __str__(self) -> str:
        raise LookupError("no words")


class Speechless(GradeItem):
    name = "grade-item"

    def accept(self, request: Item, response: Grade) -> None:
        raise Silent


class Cut(BaseModel):
    grade: Annotated[int, BeforeValidator(lambda value: 1 if value == 1 else b"\xff")]


class Cutting(Capability[Item, Cut]):
    def fallback(self, request: Item) -> Cut:
        return Cut(grade=1)


class TestWhatCantBeSaid:
    def test_of_an_acceptance_is_the_exceptions_type(self) -> None:
        scene = scene_with(Speechless())
        assert reasons(run(scene, ok(5))) == [("first", "unacceptable")]
        assert attempts(scene)[0].detail == b"Silent"

    def test_of_bytes_that_are_no_text_is_left_out(self) -> None:
        scene = scene_with(Cutting())
        assert reasons(run(scene, ok(5))) == [("first", "schema_invalid")]
        (attempt,) = attempts(scene)
        assert attempt.fault == "schema_invalid"
        assert attempt.detail is not None
        (problem,) = json.loads(attempt.detail)
        assert set(problem) == {"type", "loc", "msg"}
        assert problem["loc"] == ["grade"]

    def test_of_a_fallbacks_bug_is_its_type(self) -> None:
        class Mute(GradeItem):
            name = "grade-item"

            def fallback(self, request: Item) -> Grade:
                raise Unprintable

        with pytest.raises(FallbackFailed, match="Unprintable"):
            run(Scene(capability=Mute()))


class Unprintable(Exception):
    def __repr__(self) -> str:
        raise LookupError


class TestStriking:
    @pytest.mark.parametrize(
        ("secrets", "body"),
        [
            (("sk-abcdefgh", "sk-abcdefgh-longer-tail"), b"x sk-abcdefgh-longer-tail y"),
            (("sk-abcdef==",), rb"x sk-abcdef\u003d\u003D y"),
            (("sk-abc/def",), rb"x sk-abc\/def y"),
            (("sk-abc.def",), b"x sk-abc.def y"),
            (("sk+abcdef=",), rb"x sk\\u002Babcdef\\u003d y"),
            (("sk-abc/def",), rb"x sk-abc\\\/def y"),
        ],
    )
    def test_finds_a_key_whole_however_json_writes_it(self, secrets: tuple[str, ...], body: bytes) -> None:
        assert struck(HttpReply(200, {"x": "sk"}, body), secrets).body == b"x [secret] y"

    def test_leaves_what_is_no_key(self) -> None:
        body = rb"sk-abcxdef \u0061"
        assert struck(HttpReply(200, {}, body), ("sk-abc.def",)).body == body


class Returning(GradeItem):
    name = "grade-item"

    def accept(self, request: Item, response: Grade) -> None:
        return False  # type: ignore[return-value]


def test_an_acceptance_that_returns_what_it_should_raise_is_a_bug() -> None:
    assert reasons(run(scene_with(Returning()), ok(5))) == [("first", "capability_bug")]


def test_where_it_doesnt_fit_is_a_path() -> None:
    class Part(BaseModel):
        mm: int

    class Parts(BaseModel):
        parts: list[Part]

    with pytest.raises(ValidationError) as wrong:
        Parts.model_validate({"parts": [{"mm": 1}, {"mm": "canary-4711"}]})
    assert places(wrong.value, frozenset({"parts", "mm"})) == "doesn't fit at parts.1.mm"


class Tagged(BaseModel):
    tags: list[str]


class Spoiling(BaseModel):
    grade: int

    @field_validator("grade")
    @classmethod
    def spoils(cls, value: int, info: ValidationInfo) -> int:
        if info.context is not None and value:
            info.context.tags.append("spoilt")
            raise ValueError
        return value


class GradeTags(Capability[Tagged, Spoiling]):
    """Which grade?"""

    def fallback(self, request: Tagged) -> Spoiling:
        return Spoiling.model_construct(grade=0) if request.tags == ["a"] else Spoiling.model_construct(grade=9)


def test_a_validator_that_changes_the_request_changes_its_own_copy() -> None:
    scene = scene_with(GradeTags())
    outcome = Simulation(scripted([ok(5)]), scene.clock).drive(scene.call(Tagged(tags=["a"])).run())
    assert (outcome.by_ai, outcome.value.grade) == (False, 0)
