"""What one call knows of its time must not be another's.

hyx: one `timeout` object, shared by concurrent calls, lost the deadline: a call of 0.5 s under 0.1 s returned as if nothing were.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.scripted import SECOND, Scene, ok

from failsoft.core import call as call_module
from failsoft.core.effects import Exchange, HttpReply
from failsoft.fault import Fault
from failsoft.io.drive_simulated import Running, Simulation


def test_calls_that_overlap_end_at_their_own_deadlines() -> None:
    scene = Scene(deadline=4 * SECOND)
    scene.add("first", attempts=1)

    def hang(effect: Exchange, now: int) -> tuple[int, HttpReply | Fault]:
        return 3_600 * SECOND, ok()

    simulation = Simulation(hang, scene.clock)
    ended: list[tuple[int, int]] = []
    running: list[Running[Any]] = []

    def begin(number: int) -> None:
        running.append(simulation.start(scene.call().run(), scene.clock.now))

    for number in range(3):
        simulation.at(number * 3 * SECOND, lambda number=number: begin(number))  # type: ignore[misc]
    for tenth in range(200):
        simulation.run(tenth * SECOND // 10)
        for number, each in enumerate(running):
            if each.done and number not in dict(ended):
                ended.append((number, tenth))
    assert [number for number, _ in ended] == [0, 1, 2]
    for number, tenth in ended:
        assert 30 * number + 35 <= tenth <= 30 * number + 41
        assert running[number].value.degraded


def test_a_deadline_that_calls_share_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = call_module.Budget
    shared: list[Any] = []

    def one_for_all(*given: Any, **named: Any) -> Any:
        shared.append(budget(*given, **named))
        return shared[0]

    monkeypatch.setattr(call_module, "Budget", one_for_all)
    with pytest.raises(AssertionError):
        test_calls_that_overlap_end_at_their_own_deadlines()
