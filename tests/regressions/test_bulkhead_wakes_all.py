"""A slot that's free wakes one who waits, and the one who waited longest.

aiolimiter#73, #292: every waiter was woken, and all but one went back to waiting; after reuse on another loop, "event loop is
closed".
"""

from __future__ import annotations

import asyncio

import pytest

from failsoft.core.bulkhead import Bulkhead, _Place
from failsoft.core.effects import Promise
from failsoft.io.drive_async import AsyncDriver
from failsoft.io.drive_simulated import VirtualClock


def waiting(bulkhead: Bulkhead, count: int) -> list[Promise[bool]]:
    places = [bulkhead.queue() for _ in range(count)]
    return [each for each in places if each is not None]


def test_each_slot_wakes_one_in_order() -> None:
    bulkhead = Bulkhead(1)
    bulkhead.try_enter()
    places = waiting(bulkhead, 4)
    for expected in range(1, 5):
        bulkhead.leave()
        assert [each.done for each in places] == [True] * expected + [False] * (4 - expected)
        assert bulkhead.in_use == 1


def test_one_loop_after_another_may_wait_for_the_same_slots() -> None:
    bulkhead = Bulkhead(1)
    bulkhead.try_enter()

    async def wait() -> bool | None:
        (place,) = waiting(bulkhead, 1)
        asyncio.get_running_loop().call_soon(bulkhead.leave)
        return await AsyncDriver(object(), VirtualClock())._wait(place, 10**12)  # type: ignore[arg-type]

    assert [asyncio.run(wait()) for _ in range(3)] == [True] * 3
    assert (bulkhead.in_use, bulkhead.waiting) == (1, 0)


def test_a_slot_that_wakes_everybody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    hand_over = Bulkhead._hand_over

    def to_all(self: Bulkhead) -> _Place | None:
        for place in list(self._queue):
            place.resolve(True)
        return hand_over(self)

    monkeypatch.setattr(Bulkhead, "_hand_over", to_all)
    with pytest.raises(AssertionError):
        test_each_slot_wakes_one_in_order()
