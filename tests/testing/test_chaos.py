"""Chaos: off unless asked for, refused in production, and every fault that it puts in is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from grading import FALLBACK, Grade, ask, grades, office, reasons

from failsoft import ConfigurationError
from failsoft.testing import USUAL, ChaosTransport, FaultServer, FaultTransport, chat_answer, faults, wire
from failsoft.testing.chaos import SWITCH

OK = chat_answer(Grade(grade=7))
KEY = "secret-key"


@pytest.fixture(params=["async", "sync"])
def mode(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(autouse=True)
def _switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)


def staging(rates: Any, **options: Any) -> ChaosTransport:
    provider = FaultTransport(OK)
    return ChaosTransport(rates, environment="staging", transport=provider, sync_transport=provider, **options)


# --- the switch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [None, "", " ", "0", "off", "No", "none", "false"])
def test_it_is_refused_unless_switched_on(said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if said is not None:
        monkeypatch.setenv(SWITCH, said)
    with pytest.raises(ConfigurationError, match="isn't switched on"):
        ChaosTransport({})
    with pytest.raises(ConfigurationError, match="isn't switched on"):
        ChaosTransport({}, environment=said, in_production=True)


@pytest.mark.parametrize("named", ["staging", " Staging ", "test-7"])
def test_it_is_switched_on_by_the_argument_or_by_the_process(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ChaosTransport({}, environment=named).environment == named.strip().lower()
    monkeypatch.setenv(SWITCH, named)
    assert ChaosTransport({}).environment == named.strip().lower()


@pytest.mark.parametrize("production", ["production", "PROD", " live "])
def test_production_is_refused_wherever_it_is_named(production: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="refused in production"):
        ChaosTransport({}, environment=production)
    monkeypatch.setenv(SWITCH, production)
    with pytest.raises(ConfigurationError, match="refused in production"):
        ChaosTransport({})
    with pytest.raises(ConfigurationError, match="refused in production"):
        ChaosTransport({}, environment="staging")


def test_production_takes_a_second_word() -> None:
    assert ChaosTransport({}, environment="production", in_production=True).environment == "production"


def test_rates_are_checked() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        staging({faults.HTML: 5})
    with pytest.raises(ValueError, match="only shows on the wire"):
        staging({wire.CUT: 0.1})


# --- what it does -----------------------------------------------------------------------------------------------------


def test_nothing_is_changed_where_nothing_is_drawn(mode: str) -> None:
    chaos = staging({faults.HTML: 0.0})
    assert grades(ask(office(transport=chaos, sync_transport=chaos), mode, times=3)) == [7, 7, 7]


def test_a_fault_comes_instead_of_the_provider(mode: str) -> None:
    provider = FaultTransport(OK)
    chaos = ChaosTransport({faults.REFUSED: 1.0}, environment="staging", transport=provider, sync_transport=provider)
    (outcome,) = ask(office(transport=chaos, sync_transport=chaos), mode)
    assert reasons(outcome) == ["refused"]
    assert provider.requests == []


def test_the_provider_may_be_asked_late(mode: str) -> None:
    chaos = staging({USUAL.delayed("1ms"): 1.0})
    assert grades(ask(office(transport=chaos, sync_transport=chaos), mode)) == [7]
    late = staging({USUAL.delayed("10s"): 1.0})
    (outcome,) = ask(office(deadline="100ms", transport=late, sync_transport=late), mode)
    assert reasons(outcome) == ["attempt_timeout"]


def test_the_same_seed_fails_the_same_requests(mode: str) -> None:
    def failed(seed: int) -> list[bool]:
        chaos = staging({faults.REFUSED: 0.4}, seed=seed)
        return [each == FALLBACK for each in grades(ask(office(transport=chaos, sync_transport=chaos), mode, times=20))]

    assert failed(5) == failed(5) != failed(6)
    assert 0 < sum(failed(5)) < 20


def test_unless_told_otherwise_requests_go_out_over_httpx(mode: str) -> None:
    with FaultServer(OK) as server:
        chaos = ChaosTransport({}, environment="staging")
        assert grades(ask(office(server.base_url, transport=chaos, sync_transport=chaos), mode)) == [7]
        assert server.wait_open(0)  # closed with the isolation


async def test_closing_closes_what_is_behind(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    class Inner(httpx.AsyncBaseTransport, httpx.BaseTransport):
        def close(self) -> None:
            closed.append("sync")

        async def aclose(self) -> None:
            closed.append("async")

    chaos = ChaosTransport({}, environment="staging", transport=Inner(), sync_transport=Inner())
    await chaos.aclose()
    chaos.close()
    assert closed == ["async", "sync"]


# --- what it tells ----------------------------------------------------------------------------------------------------


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, logger="failsoft.chaos")

    def lines() -> list[str]:
        found = [each for each in caplog.records if each.name == "failsoft.chaos"]
        assert {each.levelno for each in found} <= {logging.WARNING}
        return [each.getMessage() for each in found]

    return lines


def test_that_it_is_on_is_told(told: Callable[[], list[str]]) -> None:
    staging({faults.HTML: 0.05, faults.HANG: 0.01})
    assert told() == ['chaos.on environment=staging rates="html: 0.05, hang: 0.01"']


def test_each_fault_is_told_and_nothing_else(mode: str, told: Callable[[], list[str]]) -> None:
    chaos = staging({faults.REFUSED: 0.5, USUAL.delayed("1ms"): 0.2}, seed=11)
    answers = grades(ask(office(transport=chaos, sync_transport=chaos), mode, times=20))
    lines = told()[1:]
    assert lines.count('chaos.injected fault="refused" host=gpt.invalid') == answers.count(FALLBACK) > 0
    late = lines.count('chaos.injected fault="usual after 1ms" host=gpt.invalid')
    assert 0 < late == len(lines) - answers.count(FALLBACK) < answers.count(7)
