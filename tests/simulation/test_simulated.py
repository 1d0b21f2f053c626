"""The harness of the simulated benchmarks: it must be able to see a call unanswered, late or refused, and repeat itself."""

from __future__ import annotations

import random

import pytest
from benchmarks.simulated.world import (
    ANSWER,
    BY_FALLBACK,
    ERROR_500,
    ERROR_503,
    FAST_FAILURE,
    NEVER,
    UNACCEPTABLE,
    ClassifyItem,
    Condition,
    Happening,
    Item,
    Provider,
    Stage,
    SupplyClass,
)

from failsoft.core.breaker import State
from failsoft.core.effects import SECOND, HttpReply
from failsoft.fault import Fault, FaultKind


def well(now: int) -> Happening:
    return SECOND, ANSWER


def dead(now: int) -> Happening:
    return FAST_FAILURE, ERROR_503


def every(seconds: float, number: int) -> range:
    return range(0, int(seconds * SECOND) * number, int(seconds * SECOND))


def test_a_healthy_provider_answers_every_call_at_the_first_attempt() -> None:
    stage = Stage({"A": well, "B": dead})
    stage.run(every(0.2, 100))
    assert list(stage.by) == [1] * 100
    assert list(stage.attempts) == [1] * 100
    assert set(stage.took) == {SECOND}
    assert (len(stage.sent["A"]), len(stage.sent["B"])) == (100, 0)
    assert (stage.unanswered, stage.late, stage.share_by_ai()) == (0, 0, 1.0)


def test_a_dead_provider_leaves_the_fallback_and_an_open_breaker() -> None:
    stage = Stage({"A": dead})
    stage.run(every(0.2, 100))
    assert list(stage.by) == [BY_FALLBACK] * 100
    assert (stage.unanswered, stage.late) == (0, 0)
    opened = stage.opened("A", 0, 20 * SECOND)
    assert opened is not None
    assert stage.state("A", opened) is State.CLOSED
    assert stage.state("A", opened + 1) is State.OPEN
    assert stage.opened("A", 0, opened) is None
    assert 0 < sum(stage.refused) < 100
    assert sum(stage.reasons.values()) == 100


def test_a_breaker_that_closes_is_seen_closing() -> None:
    stage = Stage({"A": lambda now: dead(now) if now < 10 * SECOND else well(now)})
    stage.run(every(0.2, 600))
    closed = stage.closed("A", 10 * SECOND)
    assert closed is not None
    assert closed > 10 * SECOND
    assert stage.state("A", closed + 1) is State.CLOSED
    assert stage.by[-1] == 1


def test_a_provider_that_hangs_ends_no_call_after_its_deadline() -> None:
    stage = Stage({"A": lambda now: (NEVER, ANSWER)}, deadline=4 * SECOND)
    stage.run(every(1, 20), lambda number: 2 * SECOND if number % 2 else 4 * SECOND)
    assert stage.late == 0
    assert max(stage.took[1::2]) <= 2 * SECOND < max(stage.took[::2]) <= 4 * SECOND


def test_a_call_that_raises_is_an_unanswered_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: ClassifyItem, request: Item) -> SupplyClass:
        raise LookupError("a bug")

    monkeypatch.setattr(ClassifyItem, "fallback", broken)
    stage = Stage({"A": dead})
    stage.run(every(0.2, 10))
    assert stage.unanswered == 10
    assert dict(stage.errors) == {"FallbackFailed": 10}
    assert stage.share_by_ai() == 0


def test_an_answer_past_its_deadline_is_a_late_one() -> None:
    stage = Stage({"A": well})
    stage.run([0], lambda number: SECOND)
    assert stage.late == 0
    tick = stage.clock

    def dawdle(now: int) -> Happening:
        tick.now += 9 * SECOND  # no driver does that: it's the harness's own check
        return SECOND, ANSWER

    late = Stage({"A": dawdle})
    tick = late.clock
    late.run([0])
    assert late.late == 1


def test_bad_input_meets_its_own_fate() -> None:
    stage = Stage({"A": well}, poison=(FAST_FAILURE, UNACCEPTABLE), poisoned=lambda number: number % 4 == 0)
    stage.run(every(1, 40))
    assert [number for number, by in enumerate(stage.by) if by == BY_FALLBACK] == list(range(0, 40, 4))
    assert set(stage.reasons) == {("A: unacceptable",)}


def test_the_same_seed_gives_the_same_world() -> None:
    def world(seed: int) -> Stage:
        rough = Condition(0.4, 1.5, ((0.5, ERROR_503), (0.2, "reset"), (0.2, "hang"), (0.1, "slow")))
        stage = Stage({"A": Provider(random.Random(seed), (0.5, 1.0, 3.0), [(0, rough)]).happens}, seed=seed)
        stage.run(every(0.3, 300))
        return stage

    one, again, other = world(1), world(1), world(2)
    assert (one.took, one.by, one.sent, one.changes) == (again.took, again.by, again.sent, again.changes)
    assert one.took != other.took


def test_a_provider_keeps_to_its_script_and_its_shares() -> None:
    mix: tuple[tuple[float, HttpReply | str], ...] = ((0.5, ERROR_500), (0.25, "reset"), (0.15, "hang"), (0.1, "slow"))
    script = [(0, Condition()), (100, Condition(0.8, 3.0, mix)), (200, Condition())]
    provider = Provider(random.Random(7), (1.0,), script)
    assert {provider.happens(50) for _ in range(100)} == {(SECOND, ANSWER)}
    found = [provider.happens(150) for _ in range(10_000)]
    assert found.count((3 * SECOND, ANSWER)) == pytest.approx(2_000, rel=0.1)
    assert found.count((FAST_FAILURE, ERROR_500)) == pytest.approx(4_000, rel=0.1)
    assert found.count((NEVER, ANSWER)) == pytest.approx(1_200, rel=0.15)
    assert found.count((30 * SECOND, ANSWER)) == pytest.approx(800, rel=0.15)
    resets = [reply for _, reply in found if isinstance(reply, Fault)]
    assert len(resets) == pytest.approx(2_000, rel=0.1)
    assert {each.kind for each in resets} == {FaultKind.CONNECTION_LOST}
    assert provider.happens(200) == (SECOND, ANSWER)
