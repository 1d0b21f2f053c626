"""An isolation in virtual time: outages of hours, back-off and recovery, tested without waiting.

isolation = SimulatedIsolation(config, capabilities=[GradeItem])
isolation.play(faults.SERVER_ERROR)
with isolation:
...                                 # its breaker opens
isolation.advance("5m")
isolation.play(chat_answer({"grade": 3}))
...                                 # trials, and it closes
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar, cast

from failsoft.core.effects import SECOND, Clock, Effect, Exchange, HttpReply
from failsoft.fault import Fault
from failsoft.io.drive_async import AsyncDriver
from failsoft.io.drive_simulated import Simulation, VirtualClock
from failsoft.io.drive_sync import SyncDriver
from failsoft.isolation import Isolation
from failsoft.testing.provider import simulated
from failsoft.testing.reaction import Reaction, Script, seconds
from failsoft.testing.replies import chat_answer

T = TypeVar("T")

_ANSWERS = chat_answer({})


class SimulatedIsolation(Isolation):
    """An isolation whose providers are a script and whose clock stands still until somebody waits or moves it.

    Breakers, throttles, retries, deadlines and fallbacks are the real ones. Nothing is sent and nothing recorded, whatever
    the configuration says. It's for one thread; adapters that are ``async`` functions aren't simulated.

    Attributes:
        clock: the virtual clock.
        simulation: what runs the calls.
    """

    clock: VirtualClock
    simulation: Simulation

    def play(self, script: Script, *, takes: str | float = "100ms", usual: Reaction = _ANSWERS) -> None:
        """What the providers do from here on. Arguments and errors as `failsoft.testing.simulated`."""
        self._provider = simulated(script, takes=takes, usual=usual)

    def advance(self, by: str | float) -> None:
        """Let time pass.

        Args:
            by: ``"5m"``, ``"250ms"``, or seconds.
        """
        self.simulation.run(until=self.clock.now + int(seconds(by) * SECOND))

    def _make_clock(self) -> Clock:
        self.clock = VirtualClock()
        self.simulation = Simulation(self._respond, self.clock)
        self.play(_ANSWERS)
        return self.clock

    def _respond(self, exchange: Exchange, now: int) -> tuple[int, HttpReply | Fault]:
        return self._provider(exchange, now)

    def _open_transports(self) -> tuple[AsyncDriver, SyncDriver]:
        super()._open_transports()  # for leaving; nothing goes through them
        self._random.seed(0)  # the same jitter every time
        return cast("Any", _Virtually(self.simulation)), cast("Any", self.simulation)

    def _open_ledger(self, snapshot: bytes, lock: object) -> None:
        return None

    def _make_sharer(self, blocks: object) -> None:
        return None


class _Virtually:
    """A simulation as the driver of ``await``."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def drive(self, steps: Generator[Effect, Any, T]) -> T:
        return self._simulation.drive(steps)

    async def aclose(self) -> None:
        """There's nothing to close."""
