"""A provider without HTTP: as the function of an adapter, and in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from grading import FALLBACK, MODEL, Grade, ask, grades, made, reasons

from failsoft import Ask
from failsoft.core.effects import SECOND, Exchange, HttpReply, HttpRequest
from failsoft.fault import Fault, FaultKind
from failsoft.testing import (
    USUAL,
    Rates,
    ScriptedProvider,
    Simulation,
    StatusError,
    VirtualClock,
    chat_answer,
    faults,
    simulated,
    wire,
)

OK = chat_answer(Grade(grade=7))


def behind(provider: ScriptedProvider, **options: Any) -> Any:
    isolation = made({}, ["gpt"])
    isolation.adapter("gpt", model=MODEL, attempts=1, **options)(provider)
    return isolation


def test_what_it_is_told_comes_in_order_and_the_last_stays() -> None:
    provider = ScriptedProvider(
        [Grade(grade=1), {"grade": 2}, '{"grade": 3}', b'{"grade": 4}', lambda ask: {"grade": 5}]
    )
    assert grades(ask(behind(provider), times=6)) == [1, 2, 3, 4, 5, 5]


def test_what_it_was_asked_is_kept() -> None:
    provider = ScriptedProvider([lambda ask: {"grade": len(ask.request.description)}])
    assert grades(ask(behind(provider))) == [len("bolt")]
    (asked,) = provider.asked
    assert isinstance(asked, Ask)
    assert asked.pin.model == MODEL


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StatusError(429), "rate_limited"),
        (StatusError(500), "server_error"),
        (TimeoutError(), "attempt_timeout"),
        (ConnectionRefusedError(), "connect_refused"),
        (KeyError("reply"), "adapter_raised"),
    ],
    ids=repr,
)
def test_an_exception_is_raised_and_classified(error: Exception, reason: str) -> None:
    outcomes = ask(behind(ScriptedProvider([error])))
    assert reasons(outcomes[0]) == [reason]
    assert grades(outcomes) == [FALLBACK]


def test_it_says_who_it_is() -> None:
    provider = ScriptedProvider([Grade(grade=1)], model="another-model")
    (outcome,) = ask(behind(provider, served=provider.served))
    assert reasons(outcome) == ["served_model_mismatch"]


def test_a_script_without_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ScriptedProvider([])


# --- in virtual time --------------------------------------------------------------------------------------------------


def exchange(until: int = 60 * SECOND) -> Exchange:
    return Exchange("gpt", HttpRequest("https://gpt.invalid/v1", (), b'{"model": "m-7"}'), until)


def test_a_reply_takes_the_time_it_is_told() -> None:
    respond = simulated([OK, OK.delayed("2s"), USUAL.delayed("1s")], takes="500ms", usual=faults.HTML)
    replies = [respond(exchange(), 0) for _ in range(3)]
    assert [wait for wait, _ in replies] == [SECOND // 2, 5 * SECOND // 2, 3 * SECOND // 2]
    bodies = [reply.body for _, reply in replies if isinstance(reply, HttpReply)]
    assert b'"model": "m-7"' in bodies[0]
    assert bodies[2].startswith(b"<!doctype")


@pytest.mark.parametrize("fault", faults.EVERY, ids=str)
def test_a_fault_that_a_transport_sees_is_a_fault_and_any_other_a_reply(fault: Any) -> None:
    _, seen = simulated(fault)(exchange(), 0)
    if isinstance(seen, Fault):
        assert seen.kind is fault.fault
    else:
        assert (seen.status, seen.headers["content-type"]) == (fault.status, dict(fault.headers)["content-type"])
        assert fault.manner == "reply"


def test_a_hang_lasts_as_long_as_the_attempt_in_no_time() -> None:
    clock = VirtualClock()
    simulation = Simulation(simulated([faults.HANG, OK]), clock)

    def twice() -> Any:
        first = yield exchange(until=30 * SECOND)
        hung = clock.monotonic_ns()
        second = yield exchange(until=60 * SECOND)
        return first, hung, second

    first, hung, second = simulation.drive(twice())
    assert first.kind is FaultKind.ATTEMPT_TIMEOUT
    assert hung == 30 * SECOND
    assert second.status == 200
    assert clock.monotonic_ns() == 30 * SECOND + SECOND // 10


def test_rates_draw_in_virtual_time_too() -> None:
    respond = simulated(Rates({faults.SERVER_ERROR: 0.5}, seed=2), usual=OK)
    statuses = [respond(exchange(), 0)[1].status for _ in range(40)]
    assert 10 <= statuses.count(500) <= 30
    assert set(statuses) == {200, 500}


def test_what_only_shows_on_the_wire_is_refused_there() -> None:
    with pytest.raises(ValueError, match="only shows on the wire"):
        simulated(wire.STALE)
