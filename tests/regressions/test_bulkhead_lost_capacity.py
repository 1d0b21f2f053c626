"""A slot must not be lost with the waiter that it was granted to, nor given back twice.

hyx lost capacity when a waiter was cancelled (3 to 1); failsafe#393, PR#400; anyio#947; resilience4j PR#333: a permit
granted to a waiter that has gone. resilience4j#905, #2296, #1379: a timeout freed the slot while the work went on.
"""

from __future__ import annotations

import itertools

import pytest

from failsoft.core.bulkhead import Bulkhead, _Place
from failsoft.core.effects import Promise


@pytest.mark.parametrize("cancelled", list(itertools.product([False, True], repeat=4)))
@pytest.mark.parametrize("leaving_before", range(4))
def test_whoever_gives_up_and_whenever_every_slot_comes_back(cancelled: tuple[bool, ...], leaving_before: int) -> None:
    bulkhead = Bulkhead(3)
    assert all(bulkhead.try_enter() for _ in range(3))
    queue: list[Promise[bool]] = []
    for _ in cancelled:
        promise = bulkhead.queue()
        assert promise is not None
        queue.append(promise)
    for _ in range(leaving_before):
        bulkhead.leave()
    stay = [promise for promise, gone in zip(queue, cancelled, strict=True) if not gone]
    for promise, gone in zip(queue, cancelled, strict=True):
        if gone:
            bulkhead.cancel(promise)
    inside = 3 - leaving_before
    while inside or any(promise.done for promise in stay):
        for promise in [each for each in stay if each.done]:
            stay.remove(promise)
            inside += 1
        bulkhead.leave()
        inside -= 1
    assert (stay, bulkhead.in_use, bulkhead.waiting) == ([], 0, 0)


def test_a_slot_is_held_until_the_work_ends() -> None:
    bulkhead = Bulkhead(1)
    bulkhead.try_enter()
    work: Promise[None] = Promise()
    work.on_done(bulkhead.leave)  # its caller has left; the thread works on
    assert not bulkhead.try_enter()
    work.resolve(None)
    assert bulkhead.try_enter()


def test_a_slot_lost_with_its_waiter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetting(self: Bulkhead, place: _Place) -> None:
        self._queue.pop(place, None)

    monkeypatch.setattr(Bulkhead, "_give_up", forgetting)
    with pytest.raises(AssertionError):
        test_whoever_gives_up_and_whenever_every_slot_comes_back((True, True, False, False), 2)


def test_a_slot_that_is_free_before_the_work_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Promise, "on_done", lambda _, callback: callback())
    with pytest.raises(AssertionError):
        test_a_slot_is_held_until_the_work_ends()
