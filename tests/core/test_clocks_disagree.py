"""The wall clock and the monotonic one, compared from call to call."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.io.drive_simulated import Simulation, VirtualClock
from tests.core.scripted import SECOND, Scene, ok, scripted


class TwoClocks(VirtualClock):
    """A virtual clock whose wall clock can be set. `held`: nanoseconds that pass unseen before the next reading of it."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0
        self.held = 0

    def time_ns(self) -> int:
        held, self.held = self.held, 0
        return super().time_ns() + self.ahead + held


def told(jumps: list[int], held: int = 0) -> list[dict[str, Any]]:
    """The events of one call after each of these jumps of the wall clock, in nanoseconds."""
    clock = TwoClocks()
    scene = Scene(clock=clock)
    scene.add("first")
    simulation = Simulation(scripted([ok()] * (len(jumps) + 1)), clock)
    first = scene.call()
    simulation.drive(first.run())
    for jump in jumps:
        clock.now += 5 * SECOND
        clock.ahead += jump
        call = scene.call()
        clock.held = held
        call.world = first.world
        simulation.drive(call.run())
    return [fields for name, fields in scene.events.events if name == "clock.anomaly"]


@pytest.mark.parametrize("seconds", [3600, -3600, 1.5, -1.5])
def test_a_wall_clock_that_was_set_is_told_once(seconds: float) -> None:
    assert told([int(seconds * SECOND), 0, 0]) == [{"seconds": seconds}]


def test_it_is_told_to_a_tenth_of_a_second() -> None:
    assert told([1_260_000_000]) == [{"seconds": 1.3}]


@pytest.mark.parametrize("jump", [0, SECOND, -SECOND, SECOND // 2])
def test_a_second_is_no_anomaly(jump: int) -> None:
    assert told([jump, 0]) == []


def test_a_clock_that_drifts_a_little_between_calls_never_is_one() -> None:
    assert told([SECOND // 2] * 20) == []


def test_each_jump_is_told() -> None:
    assert told([10 * SECOND, -10 * SECOND]) == [{"seconds": 10.0}, {"seconds": -10.0}]


def test_a_thread_held_up_between_the_two_readings_is_no_anomaly() -> None:
    assert told([0, 0], held=30 * SECOND) == []
