"""A capability that answers what a test says: nobody is asked, nothing is recorded, nobody else sees it."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from grading import BOLT, FALLBACK, Grade, GradeItem, Item, made
from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator

from failsoft import Capability, Isolation, IsolationClosed, Outcome, Referral
from failsoft.testing import FaultTransport, chat_answer

SEVEN = Grade(grade=7)


class Rated(BaseModel):
    marks: list[int]


class Rate(Capability[Item, Rated | Referral]):
    """How good is it?"""

    def fallback(self, request: Item) -> Rated | Referral:
        return Referral(reason="ask a person")


class Echoed(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def stands_in_the_request(cls, value: str, info: ValidationInfo) -> str:
        if value not in info.context.description:
            raise ValueError("not in the request")
        return value


class Echo(Capability[Item, Echoed]):
    """Which word matters?"""

    def fallback(self, request: Item) -> Echoed:
        return Echoed(text=request.description)


def isolated(**other: Any) -> Isolation:
    return Isolation({"ledger": {"url": "none"}}, capabilities=[GradeItem, Rate, Echo], **other)


def ask(isolation: Isolation, mode: str, capability: Any = GradeItem) -> Outcome[Any]:
    async def main() -> Outcome[Any]:
        return await isolation[capability](BOLT)

    return asyncio.run(main()) if mode == "async" else isolation[capability].sync(BOLT)


@pytest.fixture(params=["async", "sync"])
def mode(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


def test_it_answers_what_it_is_told_and_asks_nobody(mode: str) -> None:
    provider = FaultTransport(chat_answer(Grade(grade=9)))
    gpt = {"provider": "openai-compatible", "base_url": "https://gpt.invalid/v1", "model": "m-2026-01-01"}
    isolation = made({"gpt": gpt}, ["gpt"], transport=provider, sync_transport=provider)
    with isolation:
        with isolation.override(GradeItem, SEVEN):
            outcome = ask(isolation, mode)
        assert ask(isolation, mode).value == Grade(grade=9)
    assert outcome.value == SEVEN
    assert (outcome.source.kind, outcome.source.name) == ("frozen", "override")
    assert (outcome.by_ai, outcome.degraded, outcome.record, outcome.passed_over) == (True, False, None, ())
    assert len(provider.requests) == 1


def test_the_isolation_need_not_be_entered(mode: str) -> None:
    isolation = isolated()
    with isolation.override(GradeItem, SEVEN):
        first, second = ask(isolation, mode), ask(isolation, mode)
    assert first.value == second.value == SEVEN
    assert first.call_id != second.call_id
    with pytest.raises(IsolationClosed):
        ask(isolation, mode)


def test_nothing_is_recorded_or_counted(tmp_path: Any) -> None:
    isolation = Isolation({"ledger": {"url": f"sqlite:///{tmp_path}/l.db"}}, capabilities=[GradeItem])
    with isolation:
        before = isolation[GradeItem].sync(BOLT).record
        with isolation.override(GradeItem, SEVEN, degraded=True):
            isolation[GradeItem].sync(BOLT)
        assert isolation[GradeItem].sync(BOLT).record == (before or 0) + 2  # its own start and end
        assert isolation.health().capabilities["grade-item"].calls == 2


def test_it_can_answer_as_the_fallback_would(mode: str) -> None:
    isolation = isolated()
    with isolation.override(GradeItem, SEVEN, degraded=True):
        outcome = ask(isolation, mode)
    assert (outcome.by_ai, outcome.degraded, outcome.source.kind) == (False, True, "fallback")


def test_a_referral_is_what_only_a_fallback_gives(mode: str) -> None:
    isolation = isolated()
    with isolation.override(Rate, Referral(reason="a test")):
        outcome = ask(isolation, mode, Rate)
    assert isinstance(outcome.value, Referral)
    assert (outcome.by_ai, outcome.degraded) == (False, True)


def test_a_value_that_does_not_fit_is_refused_where_it_is_given() -> None:
    isolation = isolated()
    with pytest.raises(ValidationError), isolation.override(GradeItem, "seven"):  # type: ignore[misc]
        raise AssertionError
    with pytest.raises(KeyError), isolation.override("nobody", SEVEN):
        raise AssertionError


def test_validators_that_look_at_the_request_are_given_one() -> None:
    isolation = isolated()
    with isolation.override(Echo, {"text": "bolt"}, request=BOLT):  # type: ignore[misc]
        assert ask(isolation, "sync", Echo).value == Echoed.model_construct(text="bolt")
    with pytest.raises(ValidationError), isolation.override("echo", {"text": "nut"}, request=BOLT):
        raise AssertionError


def test_an_invalid_request_is_refused_all_the_same(mode: str) -> None:
    isolation = isolated()
    with isolation.override(GradeItem, SEVEN), pytest.raises(ValidationError):
        isolation[GradeItem].sync("bolt")  # type: ignore[arg-type]


def test_no_call_can_spoil_the_next_ones_answer() -> None:
    isolation = isolated()
    with isolation.override(Rate, Rated(marks=[1])):
        ask(isolation, "sync", Rate).value.marks.append(2)
        assert ask(isolation, "sync", Rate).value == Rated(marks=[1])


def test_the_inner_one_holds_and_the_outer_one_comes_back(mode: str) -> None:
    isolation = isolated()
    with isolation.override(GradeItem, SEVEN), isolation.override(Rate, Rated(marks=[])):
        with isolation.override(GradeItem, Grade(grade=8)):
            assert ask(isolation, mode).value == Grade(grade=8)
        assert ask(isolation, mode).value == SEVEN


def test_it_goes_with_an_exception() -> None:
    isolation = isolated()
    with pytest.raises(ZeroDivisionError), isolation.override(GradeItem, SEVEN):
        raise ZeroDivisionError
    with isolation:
        assert ask(isolation, "sync").value == Grade(grade=FALLBACK)


def test_another_deadline_does_not_get_around_it() -> None:
    isolation = isolated()
    with isolation.override(GradeItem, SEVEN):
        assert isolation[GradeItem].using(deadline="1s").sync(BOLT).value == SEVEN


def test_another_isolation_of_the_same_capability_is_not_meant() -> None:
    isolation, other = isolated(), isolated()
    with isolation.override(GradeItem, SEVEN), other:
        assert ask(other, "sync").value == Grade(grade=FALLBACK)


async def test_tasks_side_by_side_do_not_see_each_others() -> None:
    isolation = isolated()
    entered = asyncio.Barrier(3)

    async def one(grade: int) -> int:
        with isolation.override(GradeItem, Grade(grade=grade)):
            await entered.wait()
            value = (await isolation[GradeItem](BOLT)).value.grade
            await entered.wait()
        return value

    assert await asyncio.gather(*map(one, range(3))) == [0, 1, 2]


async def test_what_is_started_inside_sees_it() -> None:
    isolation = isolated()
    with isolation.override(GradeItem, SEVEN):
        assert (await asyncio.create_task(isolation[GradeItem](BOLT))).value == SEVEN
        assert (await asyncio.to_thread(isolation[GradeItem].sync, BOLT)).value == SEVEN


def test_a_thread_of_its_own_does_not() -> None:
    isolation = isolated()
    values: list[int] = []
    with isolation, isolation.override(GradeItem, SEVEN):
        thread = threading.Thread(target=lambda: values.append(isolation[GradeItem].sync(BOLT).value.grade))
        thread.start()
        thread.join()
    assert values == [FALLBACK]


@pytest.fixture
def overridden() -> Any:
    isolation = isolated()
    with isolation.override(GradeItem, SEVEN):
        yield isolation


async def test_a_fixture_may_hold_it(overridden: Isolation) -> None:
    assert (await overridden[GradeItem](BOLT)).value == SEVEN


def test_that_a_call_was_answered_so_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="failsoft")
    isolation = isolated()
    with isolation.override(GradeItem, SEVEN):
        outcome = ask(isolation, "sync")
    (line,) = [each.getMessage() for each in caplog.records]
    assert "source=override" in line
    assert outcome.call_id in line
