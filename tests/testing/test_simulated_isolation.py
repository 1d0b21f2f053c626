"""Outages, back-off and recovery of a whole isolation, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from grading import BOLT, FALLBACK, MODEL, Grade, GradeItem, reasons

from failsoft import Outcome
from failsoft.core.effects import SECOND
from failsoft.testing import SimulatedIsolation, chat_answer, faults

OK = chat_answer(Grade(grade=7))
GPT = {"provider": "openai-compatible", "base_url": "https://gpt.invalid/v1", "model": MODEL}


def simulated(ledger: str = "none") -> SimulatedIsolation:
    capability = {"adapters": ["gpt"], "deadline": "8s"}
    config = {"ledger": {"url": ledger}, "adapters": {"gpt": GPT}, "capabilities": {"grade-item": capability}}
    return SimulatedIsolation(config, capabilities=[GradeItem])


def ask(isolation: SimulatedIsolation, times: int = 1) -> list[Outcome[Grade]]:
    return [isolation[GradeItem].sync(BOLT) for _ in range(times)]


def test_an_outage_of_hours_opens_the_breaker_and_its_end_closes_it() -> None:
    isolation = simulated()
    with isolation:
        isolation.play(faults.SERVER_ERROR)
        outage = ask(isolation, times=40)
        assert reasons(outage[0]) == ["server_error"] * 3
        assert reasons(outage[-1]) == ["open"]
        isolation.play(OK)
        assert reasons(ask(isolation)[0]) == ["open"]  # until it may try again
        isolation.advance("3h")
        assert [each.value.grade for each in ask(isolation, times=5)] == [7] * 5
        assert isolation.health().adapters["gpt"].state == "closed"
    assert isolation.clock.now > 3 * 3600 * SECOND


def test_a_hang_takes_its_deadline_and_no_time() -> None:
    isolation = simulated()
    isolation.play(faults.HANG)
    with isolation:
        (outcome,) = ask(isolation)
    assert outcome.value.grade == FALLBACK
    assert reasons(outcome) == ["attempt_timeout"]
    assert 7 * SECOND < isolation.clock.now <= 8 * SECOND


def test_told_to_wait_it_waits_to_the_second_and_no_longer_than_that() -> None:
    isolation = simulated()
    with isolation:
        isolation.play([faults.RATE_LIMITED(after="90s"), OK])
        ask(isolation)
        isolation.advance("89s")
        assert reasons(ask(isolation)[0]) == ["throttled"]
        isolation.advance("11s")  # a tenth more than told, so that not everybody comes back at once
        assert ask(isolation)[0].value == Grade(grade=7)


def test_a_reply_takes_the_time_it_is_told() -> None:
    isolation = simulated()
    isolation.play(OK, takes="2s")
    with isolation:
        ask(isolation, times=3)
    assert isolation.clock.now == 6 * SECOND


async def test_await_works_too() -> None:
    isolation = simulated()
    isolation.play(OK)
    async with isolation:
        assert (await isolation[GradeItem](BOLT)).value == Grade(grade=7)
    assert isolation.clock.now == SECOND // 10


def test_nothing_is_recorded_whatever_the_configuration_says(tmp_path: Any) -> None:
    isolation = simulated(f"sqlite:///{tmp_path}/ledger.db")
    isolation.play(OK)
    with isolation:
        (outcome,) = ask(isolation)
    assert (outcome.value, outcome.record) == (Grade(grade=7), None)
    assert list(tmp_path.glob("ledger.db")) == []


def test_a_file_may_be_simulated(tmp_path: Any) -> None:
    (tmp_path / "failsoft.toml").write_text(
        f'[ledger]\nurl = "none"\n[adapters.gpt]\nprovider = "openai-compatible"\nbase_url = "https://gpt.invalid/v1"\n'
        f'model = "{MODEL}"\n[capabilities.grade-item]\nadapters = ["gpt"]\n'
    )
    isolation = SimulatedIsolation.from_file(tmp_path / "failsoft.toml", capabilities=[GradeItem])
    isolation.play(OK)
    with isolation:
        assert ask(isolation)[0].value == Grade(grade=7)


def test_it_goes_the_same_way_every_time() -> None:
    def story() -> list[Any]:
        isolation = simulated()
        with isolation:
            isolation.play([faults.SERVER_ERROR] * 30 + [OK])
            return [(each.value.grade, isolation.clock.now, isolation.advance("1s")) for each in ask(isolation, 60)]

    assert story() == story()


@pytest.mark.parametrize("wrong", ["soon", -1])
def test_what_is_no_duration_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        simulated().advance(wrong)
