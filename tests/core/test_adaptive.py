"""Adaptive concurrency: the limit falls once for a congestion, rises while it's used, and nobody is left waiting for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.adaptive import AdaptiveBulkhead
from failsoft.core.effects import Exchange, HttpReply
from failsoft.core.throttle import Throttle
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import Simulation
from tests.core.scripted import SECOND, Scene, ok, status
from tests.core.test_call import run


def used(limit: int, slots: int) -> AdaptiveBulkhead:
    bulkhead = AdaptiveBulkhead(limit, 100)
    for _ in range(slots):
        assert bulkhead.try_enter()
    return bulkhead


def test_it_begins_with_what_is_configured() -> None:
    assert AdaptiveBulkhead(20, 0).limit == 20


def test_a_drop_takes_a_tenth() -> None:
    bulkhead = used(20, 20)
    bulkhead.dropped(0, 5)
    assert bulkhead.limit == 18


def test_all_that_were_under_way_are_one_drop() -> None:
    bulkhead = used(20, 20)
    for began in range(6):
        bulkhead.dropped(began, 5)
    assert bulkhead.limit == 18
    bulkhead.dropped(6, 8)
    assert bulkhead.limit == 16


def test_one_is_always_left() -> None:
    bulkhead = used(3, 0)
    for now in range(1, 9):
        bulkhead.dropped(now, now)
    assert bulkhead.limit == 1


def test_as_many_answers_as_there_are_slots_raise_it_by_one() -> None:
    bulkhead = used(10, 9)
    bulkhead.dropped(0, 1)
    for _ in range(8):
        bulkhead.answered()
    assert bulkhead.limit == 9
    bulkhead.answered()
    assert bulkhead.limit == 10
    for _ in range(100):
        bulkhead.answered()
    assert bulkhead.limit == 10


def test_each_slot_more_takes_as_many_answers_as_there_are_slots() -> None:
    bulkhead = used(10, 9)
    bulkhead.dropped(0, 1)
    bulkhead.dropped(2, 3)
    raised = []
    for number in range(1, 18):
        before = bulkhead.limit
        bulkhead.answered()
        if bulkhead.limit > before:
            raised.append(number)
    assert raised == [8, 17]


def test_exactly_half_of_the_slots_is_enough_to_learn() -> None:
    bulkhead = used(9, 4)
    bulkhead.dropped(0, 1)
    for _ in range(8):
        bulkhead.answered()
    assert bulkhead.limit == 9


def test_a_drop_forgets_the_answers_before_it() -> None:
    bulkhead = used(10, 9)
    bulkhead.dropped(0, 1)
    for _ in range(8):
        bulkhead.answered()
    bulkhead.dropped(2, 3)
    bulkhead.answered()
    assert bulkhead.limit == 8


@pytest.mark.parametrize(("in_use", "limit"), [(4, 9), (5, 10)])
def test_where_less_than_half_is_used_nothing_is_learnt(in_use: int, limit: int) -> None:
    bulkhead = used(10, in_use)
    bulkhead.dropped(0, 1)
    for _ in range(9):
        bulkhead.answered()
    assert bulkhead.limit == limit


def test_a_new_slot_goes_to_whoever_waits() -> None:
    bulkhead = used(10, 10)
    bulkhead.dropped(0, 1)
    waiting = bulkhead.queue()
    assert waiting is not None
    bulkhead.leave()
    assert not waiting.done  # nine are in use, and nine are the limit
    for _ in range(9):
        bulkhead.answered()
    assert waiting.value is True
    assert bulkhead.in_use == bulkhead.limit == 10


def test_slots_above_a_fallen_limit_go_to_nobody() -> None:
    bulkhead = used(10, 10)
    waiting = bulkhead.queue()
    assert waiting is not None
    for began in (1, 3, 5):
        bulkhead.dropped(began, began + 1)
    assert bulkhead.limit == 7
    for _ in range(3):
        bulkhead.leave()
        assert not waiting.done
    bulkhead.leave()
    assert waiting.value is True


@given(st.lists(st.sampled_from(["enter", "queue", "leave", "answered", "dropped", "cancel"]), max_size=80))
def test_it_keeps_its_bounds_and_nobody_waits_for_nothing(steps: list[str]) -> None:
    bulkhead, held, queued = AdaptiveBulkhead(6, 5), 0, list[Any]()
    for now, step in enumerate(steps, 1):
        if step == "enter":
            held += bulkhead.try_enter()
        elif step == "queue" and (place := bulkhead.queue()) is not None:
            queued.append(place)
        elif step == "leave" and held:
            bulkhead.leave()
            held -= 1
        elif step == "answered" and held:
            bulkhead.answered()
        elif step == "dropped":
            bulkhead.dropped(now, now)
        elif step == "cancel" and queued:
            bulkhead.cancel(queued.pop())
        granted = [each for each in queued if each.done]
        held += len(granted)
        queued = [each for each in queued if not each.done]
        assert 1 <= bulkhead.limit <= 6
        assert bulkhead.in_use == held <= 6
        assert bulkhead.waiting == len(queued)
        assert not queued or bulkhead.in_use >= bulkhead.limit


@pytest.mark.parametrize(
    ("fault", "limit"),
    [(FaultKind.RATE_LIMITED, 18), (FaultKind.ATTEMPT_TIMEOUT, 18), (FaultKind.OVERLOADED, 18), (FaultKind.SERVER_ERROR, 20)],
)  # fmt: skip
def test_of_a_calls_faults_those_that_speak_of_load_count(fault: FaultKind, limit: int) -> None:
    scene, bulkhead = Scene(), AdaptiveBulkhead(20, 0)
    scene.add("first", bulkhead=bulkhead, attempts=1)
    run(scene, (7 * SECOND, Fault(fault)))
    assert bulkhead.limit == limit


def test_of_a_calls_answers_all_count() -> None:
    scene, bulkhead = Scene(), AdaptiveBulkhead(2, 0)
    scene.add("first", bulkhead=bulkhead)
    bulkhead.dropped(0, 1)
    assert bulkhead.limit == 1
    run(scene, ok())
    assert bulkhead.limit == 2


def test_a_caller_who_is_impatient_says_nothing_of_the_load() -> None:
    scene, bulkhead = Scene(), AdaptiveBulkhead(20, 0)
    scene.add("first", bulkhead=bulkhead, attempts=1)
    run(scene, (SECOND, Fault(FaultKind.ATTEMPT_TIMEOUT)), deadline=SECOND)
    assert bulkhead.limit == 20


def test_it_finds_what_a_provider_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that answers ten at once in a second, and everybody beyond with 429; forty callers who don't stop asking."""
    monkeypatch.setattr(Throttle, "throttled", lambda *_: None)  # else waiting as told would do the same work
    scene, bulkhead, under_way = Scene(), AdaptiveBulkhead(40, 100), [0]
    scene.add("first", bulkhead=bulkhead, attempts=1)
    refused: list[int] = []

    def respond(effect: Exchange, now: int) -> tuple[int, HttpReply]:
        if under_way[0] >= 10:
            refused.append(now)
            return 1_000_000, status(429)
        under_way[0] += 1
        simulation.at(now + SECOND, lambda: under_way.__setitem__(0, under_way[0] - 1))
        return SECOND, ok()

    simulation = Simulation(respond, scene.clock)
    for number in range(40 * 120):
        simulation.start(scene.call().run(), number * SECOND // 40)
    simulation.run()
    assert 8 <= bulkhead.limit <= 12
    assert len([now for now in refused if now > 60 * SECOND]) < 100  # of 2,400 that came then
