"""The recovery check: asked of every trial that was answered and of nothing else, under no lock, and what it says counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.breaker import Breaker, BreakerSettings, Change, State
from failsoft.core.effects import HttpReply
from failsoft.core.recovery import any_model, same_model
from failsoft.outcome import Pin, Served
from tests.core.scripted import SECOND, Grade, Scene, ok, status
from tests.core.still import Still
from tests.core.test_call import reasons, run


class Least:
    def random(self) -> float:
        return 0.0

    def getrandbits(self, k: int, /) -> int:
        return 0


class Check:
    """Says in turn what it's told to say, and keeps what it was asked."""

    def __init__(self, *says: bool | Exception) -> None:
        self.says = list(says)
        self.asked: list[tuple[Pin, Served]] = []

    def __call__(self, pin: Pin, served: Served) -> bool:
        self.asked.append((pin, served))
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def scene_with(check: Any, *, half_open: bool = True) -> tuple[Scene, list[Change]]:
    scene, changes = Scene(), list[Change]()
    adapter = scene.add("first", recovery_check=check, attempts=1)
    adapter.breaker = Breaker(BreakerSettings(jitter=0), Still(), Least(), changes.append)
    if half_open:
        adapter.breaker.to_trial("test", 0)
    return scene, changes


def state(scene: Scene) -> State:
    return scene.adapters[0].breaker.snapshot(scene.clock.now).state


def test_trials_that_pass_it_close_the_breaker() -> None:
    check = Check(True, True)
    scene, _ = scene_with(check)
    for _ in range(2):
        assert run(scene, ok(5)).by_ai
    assert state(scene) is State.CLOSED
    assert [(pin.model, served.model) for pin, served in check.asked] == [("m-1", "m-1")] * 2


@pytest.mark.parametrize("says", [False, None, LookupError("x")], ids=["no", "nothing", "raises"])
def test_one_that_fails_it_opens_the_breaker_and_its_caller_has_the_answer(says: Any) -> None:
    scene, changes = scene_with(Check(True, says))
    run(scene, ok())
    outcome = run(scene, ok(5))
    assert (outcome.value, outcome.by_ai, reasons(outcome)) == (Grade(grade=5), True, [])
    seen = scene.adapters[0].breaker.snapshot(scene.clock.now)
    assert (seen.state, seen.trips, changes[-1].reason) == (State.OPEN, 1, "recovery_check")


def test_one_that_raises_is_told_loudly() -> None:
    scene, _ = scene_with(Check(LookupError("x")))
    run(scene, ok())
    told = [fields for name, fields in scene.events.events if name == "attempt.alert"]
    assert [(each["adapter"], each["fault"], each["error"]) for each in told] == [("first", "bug", "LookupError")]


def test_a_reply_that_is_no_answer_must_pass_it_too() -> None:
    scene, changes = scene_with(Check(False))
    assert reasons(run(scene, ok(-1))) == [("first", "unacceptable")]
    assert (state(scene), changes[-1].reason) == (State.OPEN, "recovery_check")


@pytest.mark.parametrize("met", [status(500), (9 * SECOND, status(500))], ids=["failed", "cut off"])
def test_a_trial_that_failed_or_was_cut_off_isnt_asked_about(met: Any) -> None:
    check = Check()
    scene, _ = scene_with(check)
    run(scene, met)
    assert check.asked == []


def test_a_closed_breaker_has_nothing_to_check() -> None:
    check = Check()
    scene, _ = scene_with(check, half_open=False)
    assert run(scene, ok()).by_ai
    assert check.asked == []


def test_it_is_asked_under_no_lock() -> None:
    def looks(pin: Pin, served: Served) -> bool:
        (adapter,) = scene.adapters
        for guard in (adapter.breaker, adapter.throttle, adapter.latch):
            assert guard._lock.acquire(blocking=False)
            guard._lock.release()
        return adapter.breaker.snapshot(scene.clock.now).in_flight == 1  # its own trial is still out

    scene, _ = scene_with(looks)
    for _ in range(2):
        run(scene, ok())
    assert state(scene) is State.CLOSED


@pytest.mark.parametrize(
    ("on_mismatch", "model", "after"),
    [
        ("refuse", "m-1", State.CLOSED),
        ("refuse", None, State.CLOSED),  # a reply that doesn't say is no other model's
        ("refuse", "m-2", State.OPEN),
        ("record", "m-2", State.CLOSED),
    ],
)
def test_by_default_it_is_what_the_configuration_says_of_another_model(
    on_mismatch: Any, model: str | None, after: State
) -> None:
    scene = Scene()
    adapter = scene.add("first", on_mismatch=on_mismatch, attempts=1)
    assert adapter.recovery_check is (same_model if on_mismatch == "refuse" else any_model)
    adapter.breaker.to_trial("test", 0)
    for _ in range(2):
        run(scene, HttpReply(200, {} if model is None else {"model": model}, b'{"grade": 7}'))
    assert state(scene) is after


@given(st.lists(st.sampled_from(["passes", "fails", "raises", "error", "neutral"]), min_size=1, max_size=9))
def test_whatever_the_trials_meet_two_that_pass_close_it_and_one_that_fails_opens_it(trials: list[str]) -> None:
    says: dict[str, bool | Exception] = {"fails": False, "raises": LookupError()}
    replies = {"error": status(500), "neutral": status(400)}
    check = Check(*(says.get(each, True) for each in trials if each != "error"))
    scene, changes = scene_with(check)
    passed = failed = neutral = 0
    for trial in trials:
        run(scene, replies.get(trial, ok()))
        passed += trial == "passes"
        failed += trial == "error"
        neutral = neutral + 1 if trial == "neutral" else 0
        if trial in says or failed == 2:
            assert state(scene) is State.OPEN
            assert (changes[-1].reason == "recovery_check") == (trial in says)
            return
        if passed == 2 or neutral == 3:
            assert state(scene) is State.CLOSED
            return
        assert state(scene) is State.HALF_OPEN
