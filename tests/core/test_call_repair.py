"""Asking again: within a budget, and, for a capability that wants it, once with what was wrong."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.effects import Ask, HttpReply, HttpRequest, Reply, Unusable
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import Simulation
from failsoft.outcome import Served
from failsoft.prompt import Prompt
from tests.core.scripted import SECOND, Grade, GradeItem, Scene, StubCodec, StubLedger, ok, scripted, status, traced
from tests.core.test_call import reasons, run


class Repairing(GradeItem):
    """Which grade is it?"""

    name = "grade-item"
    repair = True


class Listening(StubCodec):
    def __init__(self) -> None:
        self.heard: list[Prompt] = []

    def encode(self, ask: Ask) -> HttpRequest:
        self.heard.append(ask.prompt)
        return super().encode(ask)


def unfit(text: bytes = b'{"grade": "x"}') -> HttpReply:
    return HttpReply(200, {"model": "m-1"}, text)


@pytest.fixture
def scene() -> Scene:
    scene = Scene(ledger=StubLedger(), capability=Repairing())
    scene.add("first", codec=Listening())
    return scene


def heard(scene: Scene) -> list[Prompt]:
    codec: Any = scene.adapters[0].codec
    return codec.heard  # type: ignore[no-any-return]


class TestARepair:
    def test_shows_the_model_its_answer_and_what_was_wrong(self, scene: Scene) -> None:
        outcome = run(scene, unfit(), ok(5))
        assert outcome.value == Grade(grade=5)
        assert reasons(outcome) == [("first", "schema_invalid")]
        first, second = heard(scene)
        assert second.messages[: len(first.messages)] == first.messages
        said, problem = second.messages[len(first.messages) :]
        assert (said.role, said.content) == ("assistant", '{"grade": "x"}')
        assert problem.role == "user"
        assert "grade" in problem.content

    def test_of_an_unacceptable_answer_says_what_accept_said(self, scene: Scene) -> None:
        assert run(scene, ok(-1), ok(5)).by_ai
        assert "never negative" in heard(scene)[1].messages[-1].content

    def test_of_what_is_no_json_shows_what_was_said(self, scene: Scene) -> None:
        class Prose(Listening):
            def decode(self, reply: HttpReply) -> Reply | Unusable:
                if reply.body.startswith(b"Well"):
                    fault = Fault(FaultKind.MALFORMED_ANSWER, "not JSON at character 0", 200)
                    return Unusable(fault, Served("m-1"), None, reply.body)
                return super().decode(reply)

        scene.adapters.clear()
        scene.add("first", codec=Prose())
        assert run(scene, unfit(b"Well, 5."), ok(5)).by_ai
        said, problem = heard(scene)[1].messages[-2:]
        assert (said.role, said.content) == ("assistant", "Well, 5.")
        assert "not JSON at character 0" in problem.content

    def test_of_what_said_nothing_shows_what_was_wrong(self, scene: Scene) -> None:
        class Tools(Listening):
            def decode(self, reply: HttpReply) -> Reply | Unusable:
                if reply.body == b"tool":
                    return Unusable(Fault(FaultKind.AMBIGUOUS_REPLY, "a tool call", 200), Served("m-1"))
                return super().decode(reply)

        scene.adapters.clear()
        scene.add("first", codec=Tools())
        assert run(scene, unfit(b"tool"), ok(5)).by_ai
        first, second = heard(scene)
        assert second.messages[:-1] == first.messages
        assert "a tool call" in second.messages[-1].content

    def test_is_made_once(self, scene: Scene) -> None:
        outcome = run(scene, unfit(), unfit())
        assert reasons(outcome) == [("first", "schema_invalid")] * 2
        assert outcome.degraded

    def test_is_put_on_record_with_what_was_said(self, scene: Scene) -> None:
        run(scene, unfit(), ok(5))
        assert scene.ledger is not None
        first, second = scene.ledger.completed[0].attempts
        assert (first.why, first.prompt) == (None, None)
        assert second.why == "repair"
        assert second.prompt == heard(scene)[1].to_json()

    def test_that_meets_another_fault_goes_on_as_any_attempt(self, scene: Scene) -> None:
        outcome = run(scene, unfit(), status(500), ok(5))
        assert reasons(outcome) == [("first", "schema_invalid"), ("first", "server_error")]
        assert outcome.by_ai
        assert len(heard(scene)[2].messages) == 4

    def test_isnt_made_where_the_capability_doesnt_want_it(self) -> None:
        scene = Scene()
        scene.add("first", codec=Listening())
        assert run(scene, unfit()).degraded

    def test_isnt_made_after_a_trial(self, scene: Scene) -> None:
        scene.adapters[0].breaker.to_trial("unblocked", 0)
        assert run(scene, unfit()).degraded

    def test_isnt_made_without_budget(self, scene: Scene) -> None:
        empty(scene)
        assert run(scene, unfit()).degraded
        assert denied(scene) == [("first", "schema_invalid", "repair")]

    def test_is_made_at_once(self, scene: Scene) -> None:
        trace: list[tuple[Any, ...]] = []
        Simulation(scripted([unfit(), ok(5)]), scene.clock).drive(traced(scene.call().run(), trace))
        assert [kind for kind, _ in trace] == ["Append", "Exchange", "Exchange", "Append"]

    def test_isnt_what_follows_a_fault_of_the_providers(self, scene: Scene) -> None:
        assert run(scene, status(500), ok(5)).by_ai
        first, second = heard(scene)
        assert second == first

    def test_needs_no_ledger(self) -> None:
        scene = Scene(capability=Repairing())
        scene.add("first")
        assert run(scene, unfit(), ok(5)).by_ai


def empty(scene: Scene) -> None:
    budget = scene.adapters[0].budget
    while budget.take(0, None):
        pass


def denied(scene: Scene) -> list[tuple[str, str, str]]:
    return [
        (told["adapter"], told["fault"], told["why"]) for name, told in scene.events.events if name == "retry.denied"
    ]


class TestTheBudget:
    def test_spent_ends_the_turn_and_says_so(self) -> None:
        scene = Scene()
        scene.add("first")
        scene.add("second")
        empty(scene)
        outcome = run(scene, status(500), ok(5))
        assert reasons(outcome) == [("first", "server_error")]
        assert outcome.source.name == "second"
        assert denied(scene) == [("first", "server_error", "retry")]

    def test_isnt_touched_by_a_stale_connection(self) -> None:
        scene = Scene()
        scene.add("first")
        empty(scene)
        assert run(scene, Fault(FaultKind.STALE_CONNECTION), ok(5)).by_ai

    def test_keeps_an_outage_from_being_multiplied(self) -> None:
        """Every attempt fails, and no breaker opens: 200 calls a second settle at little more than an attempt each."""
        scene = Scene()
        scene.add("first", settings=BreakerSettings(consecutive=10**6, consecutive_busy=10**6, min_calls=10**6))
        asked = [0]

        def failing(effect: Any, now: int) -> Any:
            asked[0] += 1
            return SECOND // 1000, status(500)

        world = Simulation(failing, scene.clock)
        calls = 4_000
        running = [world.start(scene.call().run(), at=n * SECOND // 200) for n in range(calls)]
        world.run()
        assert all(each.done and each.error is None for each in running)
        assert asked[0] < 1.15 * calls


@pytest.mark.parametrize("met", [status(500), Fault(FaultKind.STALE_CONNECTION)])
def test_each_attempt_but_the_first_says_why_it_was_made(met: Any) -> None:
    scene = Scene(ledger=StubLedger())
    scene.add("first")
    Simulation(scripted([met, ok()]), scene.clock).drive(scene.call().run())
    assert scene.ledger is not None
    assert [each.why for each in scene.ledger.completed[0].attempts] == [None, "retry"]
