"""What streamed dialects have in common."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.adapters.event_reading import ObjectPulse, Refused, object_of, take_each
from failsoft.adapters.event_stream import MAX_EVENTS, Event, events
from failsoft.adapters.strict_json import StrictJsonError
from failsoft.fault import FaultKind


class Pulse(ObjectPulse):
    __slots__ = ()

    def means(self, chunk: dict[str, Any]) -> bool:
        return "said" in chunk


def told(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


def test_a_pulse_hears_objects_only_and_only_those_that_mean_something() -> None:
    pulse = Pulse()
    assert not pulse.heard(told('{"pad": 1}') + told("[]") + told("no JSON") + told("[" * 100_000))
    assert pulse.heard(told("no JSON") + told('{"said": 1}'))
    assert not pulse.heard(b'data: {"said"')
    assert pulse.heard(b": 1}\n\n")


def test_a_pulse_says_when_more_has_come_than_any_answer_and_hears_no_more() -> None:
    pulse = Pulse()
    assert not pulse.heard(told("{}") * (MAX_EVENTS + 1))
    assert pulse.full
    assert not pulse.heard(told('{"said": 1}'))


def test_a_pulse_hears_no_more_of_what_is_not_text_and_is_not_full() -> None:
    pulse = Pulse()
    assert not pulse.heard(b"data: \xff\n\n")
    assert not pulse.full
    assert not pulse.heard(told('{"said": 1}'))


def test_an_event_is_read_strictly() -> None:
    assert object_of(Event("", ' {"a": 1} ')) == {"a": 1}
    assert object_of(Event("", "7")) == {}
    with pytest.raises(StrictJsonError):
        object_of(Event("", '{"a": 1, "a": 2}'))


def refuse(_: object) -> None:
    raise Refused(FaultKind.AMBIGUOUS_REPLY, "two answers")


def test_what_ends_a_stream_early_is_a_fault() -> None:
    taken: list[dict[str, Any]] = []

    def fault(stream: bytes) -> FaultKind | None:
        found = take_each(events(stream), lambda event: taken.append(object_of(event)))
        return found and found.kind

    assert fault(told("{}") + told('{"a": 1}')) is None
    assert taken == [{}, {"a": 1}]
    assert fault(told("{")) is FaultKind.MALFORMED_REPLY
    assert fault(b"data: \xff\n\n") is FaultKind.MALFORMED_REPLY
    assert fault(told("{}") * (MAX_EVENTS + 1)) is FaultKind.TOO_LARGE
    found = take_each([1], refuse)
    assert found is not None
    assert (found.kind, found.detail) == (FaultKind.AMBIGUOUS_REPLY, "two answers")
