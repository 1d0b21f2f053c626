"""No lock is taken while another is held: what can't nest can't deadlock.

grpc-java#10314: hedging deadlocked, since cancel and start took two locks in opposite orders.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.core.scripted import SECOND, Scene, StubLedger, ok, status

from failsoft.core.bulkhead import Bulkhead
from failsoft.core.effects import Exchange, HttpReply
from failsoft.core.guard import Guard
from failsoft.fault import Fault
from failsoft.io.drive_simulated import Simulation

LOCK = threading.Lock


class Watched:
    """A lock that notes whoever takes it while holding another."""

    held = 0
    nested = 0

    def __init__(self) -> None:
        self._lock = LOCK()

    def __enter__(self) -> None:
        Watched.nested += Watched.held > 0
        self._lock.acquire()
        Watched.held += 1

    def __exit__(self, *_: Any) -> None:
        Watched.held -= 1
        self._lock.release()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()


@pytest.fixture(autouse=True)
def _watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Lock", Watched)
    Watched.held = Watched.nested = 0


def busy_day() -> int:
    """Hedges, a queue, outages, throttling, cancellations, listeners that look: how often a lock was taken under another."""
    scene = Scene(ledger=StubLedger(), hedge_after=SECOND, judged=True)
    for name in ("first", "second"):
        adapter = scene.add(name, limit=1)
        for guard in (adapter.breaker, adapter.throttle, adapter.latch):
            guard._listener = lambda _, adapter=adapter: adapter.breaker.snapshot(scene.clock.now)  # type: ignore[misc]
    replies = [ok(), status(500), status(429), status(401), status(503, **{"retry-after": "1"}), ok(-1)]

    def respond(effect: Exchange, now: int) -> tuple[int, HttpReply | Fault]:
        turn = now // SECOND
        return (3 if turn % 3 else 1) * SECOND // 2, replies[turn * 7 % len(replies)]

    simulation = Simulation(respond, scene.clock)
    for second in range(240):
        running = simulation.start(scene.call().run(), second * SECOND)
        if second % 5 == 0:
            simulation.at(second * SECOND + SECOND // 3, running.cancel)
        if second % 50 == 49:
            simulation.at(second * SECOND, scene.adapters[0].latch.lift)
    simulation.run()
    assert {each.bulkhead.in_use for each in scene.adapters} == {0}
    return Watched.nested


def test_in_a_busy_day_no_lock_is_taken_under_another() -> None:
    assert busy_day() == 0


def test_a_slot_delivered_under_the_lock_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(self: Bulkhead) -> None:
        with self._lock:
            heir = self._hand_over()
            if heir is not None:
                heir.resolve(True)

    monkeypatch.setattr(Bulkhead, "leave", leave)
    assert busy_day() > 0


def test_a_listener_told_under_the_lock_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def announce(self: Guard[Any]) -> None:
        while self._untold:
            Watched.held += 1  # as if under the guard's own, which a listener that looks couldn't take again
            self._tell(self._untold.pop(0))
            Watched.held -= 1

    monkeypatch.setattr(Guard, "_announce", announce)
    assert busy_day() > 0
