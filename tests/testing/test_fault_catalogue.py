"""Every named fault is what it says it is: asked through a real isolation, over the transport and over the wire."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from grading import FALLBACK, MODEL, Grade, ask, grades, made, office, reasons

from failsoft import Isolation
from failsoft.fault import FaultKind
from failsoft.testing import FaultServer, FaultTransport, Reaction, chat_answer, chat_stream, faults, streams, wire

OK = chat_answer(Grade(grade=7))


@pytest.fixture(params=["async", "sync"])
def mode(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.mark.parametrize("fault", faults.EVERY, ids=str)
def test_a_transport_shows_what_the_fault_says(fault: Reaction, mode: str) -> None:
    faulty = FaultTransport(fault)
    deadline = "100ms" if fault.manner == "hang" else "5s"
    outcomes = ask(office(deadline=deadline, transport=faulty, sync_transport=faulty), mode)
    assert reasons(outcomes[0]) == [fault.fault]
    assert grades(outcomes) == [FALLBACK]
    assert faulty.reactions == [fault]


@pytest.mark.parametrize("fault", [each for each in faults.EVERY if each.manner != "raise"], ids=str)
def test_a_server_shows_what_the_fault_says(fault: Reaction, mode: str) -> None:
    with FaultServer(fault) as server:
        (outcome,) = ask(office(server.base_url, "150ms" if fault.manner == "hang" else "5s"), mode)
    assert reasons(outcome) == [fault.fault]
    assert server.reactions == [fault]


@pytest.mark.parametrize("fault", wire.EVERY, ids=str)
def test_the_wire_shows_what_the_fault_says(fault: Reaction, mode: str) -> None:
    deadline = "200ms" if fault.fault is FaultKind.ATTEMPT_TIMEOUT else "5s"
    with FaultServer(fault, usual=OK) as server:
        (outcome,) = ask(office(server.base_url, deadline), mode)
    assert reasons(outcome) == [fault.fault]
    assert len(server.requests) == 1


def streaming(base_url: str = "https://gpt.invalid/v1", patience: str = "5s", **others: Any) -> Isolation:
    gpt = {"provider": "openai-compatible", "base_url": base_url, "model": MODEL, "attempts": 1, "stream": True}
    return made({"gpt": {**gpt, "stream_first": patience, "stream_gap": patience}}, ["gpt"], **others)


@pytest.mark.parametrize("fault", [each for each in streams.EVERY if each.manner != "wire"], ids=str)
def test_a_transport_shows_what_a_stream_does(fault: Reaction, mode: str) -> None:
    faulty = FaultTransport(fault)
    (outcome,) = ask(streaming(transport=faulty, sync_transport=faulty), mode)
    assert reasons(outcome) == [fault.fault]


@pytest.mark.parametrize("fault", streams.EVERY, ids=str)
def test_a_server_shows_what_a_stream_does(fault: Reaction, mode: str) -> None:
    with FaultServer(fault) as server:
        patience = "150ms" if fault.fault is FaultKind.STREAM_STALLED else "5s"
        (outcome,) = ask(streaming(server.base_url, patience), mode)
    assert reasons(outcome) == [fault.fault]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_stream_that_answers_does(size: int, mode: str) -> None:
    with FaultServer(chat_stream(Grade(grade=7), size=size)) as server:
        assert grades(ask(streaming(server.base_url), mode, 2)) == [7, 7]
        assert server.accepted == 1


def test_each_fault_has_one_name() -> None:
    names = [each.name for each in (*faults.EVERY, *wire.EVERY, *streams.EVERY, wire.STALE, wire.EXTRA_REPLY)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("module", [faults, streams, wire], ids=["faults", "streams", "wire"])
def test_each_constant_is_named_as_its_fault(module: ModuleType) -> None:
    named = {name: each for name, each in vars(module).items() if isinstance(each, Reaction)}
    assert {name: each.name for name, each in named.items()} == {name: name.lower().replace("_", " ") for name in named}


def test_every_kind_that_an_adapter_can_meet_has_a_fault_that_shows_it() -> None:
    """Left out: what stands for a reset before any reply behind a foreign transport, and what isn't a provider's."""
    ours = {
        FaultKind.CONNECT_FAILED,
        FaultKind.STALE_CONNECTION,
        FaultKind.UNSUPPORTED_CONTENT,
        FaultKind.SERVED_UNPROVEN,
        FaultKind.UNACCEPTABLE,
        FaultKind.ADAPTER_RAISED,
        FaultKind.CAPABILITY_BUG,
        FaultKind.BUG,
        FaultKind.DEADLINE,
        FaultKind.CANCELLED,
    }
    assert {each.fault for each in (*faults.EVERY, *wire.EVERY, *streams.EVERY)} == set(FaultKind) - ours
