"""The rows of the fault catalogue that no single reply shows: traps for the next call, callers, clocks, listeners, ledgers."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from catalogue_shows import GOOD
from catalogue_stack import (
    BOLT,
    CAPABILITY,
    KEY,
    MODEL,
    MODES,
    Grade,
    GradeItem,
    Item,
    adapter,
    ask,
    health_of,
    idle,
    quality_of,
    reasons,
    records,
    stack,
)
from pydantic import SecretStr

from failsoft import FallbackFailed, Isolation, LedgerUnavailable
from failsoft.core.effects import Exchange
from failsoft.telemetry import Telemetry
from failsoft.testing import (
    FaultServer,
    FaultTransport,
    Peer,
    Rates,
    Reaction,
    SimulatedIsolation,
    chat_answer,
    faults,
    http_reply,
    wire,
)

PATIENCE = 5.0


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


def look_at(isolation: Isolation, seen: dict[str, Any]) -> Callable[[], None]:
    def look() -> None:
        seen.update(health=health_of(isolation), quality=quality_of(isolation), told=isolation.health())

    return look


def over(script: Any, folder: Path, mode: str, times: int = 1, **others: Any) -> tuple[list[Any], dict[str, Any], Any]:
    """Outcomes, guards and transport of a route of one."""
    faulty = FaultTransport(script, usual=GOOD)
    options = {each: others.pop(each) for each in ("deadline", "capability", "top") if each in others}
    adapters = {"first": adapter("http://127.0.0.1:9/v1", **{"attempts": 2, **others})}
    isolation = stack(folder, adapters, transport=faulty, sync_transport=faulty, **options)
    seen: dict[str, Any] = {}
    return ask(isolation, mode, times, look=look_at(isolation, seen)), seen, faulty


class Repairing(GradeItem):
    """Which grade is it?"""

    name = CAPABILITY
    repair = True


# --- connections ------------------------------------------------------------------------------------------------------


def test_row_9_a_connection_that_died_idle_costs_one_free_retry(mode: str, tmp_path: Path) -> None:
    with FaultServer([wire.STALE, GOOD], usual=GOOD) as server:
        isolation = stack(tmp_path, {"first": adapter(server.base_url, attempts=1)})
        seen: dict[str, Any] = {}
        _, second = ask(isolation, mode, 2, look=look_at(isolation, seen))
        assert (server.accepted, len(server.requests)) == (2, 3)
    assert second.value == Grade(grade=7)
    assert reasons(second) == ["stale_connection"]
    assert seen["health"] == ("closed", 2, 0)
    _, end = records(tmp_path)
    assert [each.get("fault") for each in end.fields["attempts"]] == ["stale_connection", None]


def _three_uploads(broken: Callable[[Peer], None], mode: str, folder: Path) -> dict[str, Any]:
    with FaultServer(broken) as server:
        isolation = stack(folder, {"first": adapter(server.base_url, attempts=1)})
        seen: dict[str, Any] = {}
        outcomes = ask(isolation, mode, 3, Item(description="x" * 6_000_000), look_at(isolation, seen))
    assert {each.degraded for each in outcomes} == {True}
    return seen


def test_row_10_a_reset_while_sending_says_nothing_of_the_provider(mode: str, tmp_path: Path) -> None:
    assert _three_uploads(wire.reset_while_sending, mode, tmp_path)["health"] == ("closed", 0, 0)


def test_row_90_an_answer_before_the_request_is_sent_says_nothing_of_the_provider(mode: str, tmp_path: Path) -> None:
    assert _three_uploads(wire.answer_early, mode, tmp_path)["health"] == ("closed", 0, 0)


@pytest.mark.parametrize(("fault", "cost"), [(faults.TIMED_OUT, 10), (faults.SERVER_ERROR, 5)], ids=str)
def test_row_11_a_time_out_costs_the_retry_budget_twice(fault: Reaction, cost: int) -> None:
    simulated = in_virtual_time(attempts=2)
    simulated.play([fault, GOOD], takes=0)
    budget = simulated._adapters["first"].budget
    with simulated:
        assert budget.left(simulated.clock.now) == 50
        assert simulated[CAPABILITY].sync(BOLT).by_ai
    spent = 50 - budget.left(simulated.clock.now)
    assert cost - 1 < spent <= cost  # 1.5 a second come back


def test_row_74_each_event_loop_has_connections_of_its_own(tmp_path: Path) -> None:
    with FaultServer(GOOD) as server:
        isolation = stack(tmp_path, {"first": adapter(server.base_url)})
        with isolation:
            for _ in range(2):
                assert asyncio.run(_asked(isolation)).by_ai
            assert isolation[CAPABILITY].sync(BOLT).by_ai
        assert server.accepted == 3


async def _asked(isolation: Isolation) -> Any:
    return await isolation[CAPABILITY](BOLT)


def test_row_89_an_answer_too_many_is_nobodys(mode: str, tmp_path: Path) -> None:
    with FaultServer([wire.EXTRA_REPLY, chat_answer({"grade": 9})], usual=GOOD) as server:
        isolation = stack(tmp_path, {"first": adapter(server.base_url, attempts=1)})
        outcomes = ask(isolation, mode, 2)
        assert server.accepted == 2
    assert outcomes[1].value == Grade(grade=9)


def test_row_91_a_cookie_doesnt_come_back(mode: str, tmp_path: Path) -> None:
    with FaultServer(chat_answer({"grade": 7}, headers={"set-cookie": "a=b"})) as server:
        ask(stack(tmp_path, {"first": adapter(server.base_url)}), mode, 2)
        assert len(server.requests) == 2
        assert not any(b"cookie:" in each.lower() for each in server.requests)


def test_row_95_a_hint_on_an_answer_isnt_read(mode: str, tmp_path: Path) -> None:
    headers = {"retry-after": "90", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}
    outcomes, seen, _ = over(chat_answer({"grade": 7}, headers=headers), tmp_path, mode, 2)
    assert [each.by_ai for each in outcomes] == [True, True]
    assert seen["told"].adapters["first"].throttled_for == 0


# --- answers ----------------------------------------------------------------------------------------------------------


def repaired(fault: Reaction, mode: str, folder: Path) -> None:
    outcomes, seen, faulty = over([fault, GOOD], folder, mode, capability=Repairing)
    assert outcomes[0].value == Grade(grade=7)
    said = json.loads(faulty.requests[1].content)["messages"]
    assert len(said) > len(json.loads(faulty.requests[0].content)["messages"])
    assert seen["quality"] == ("closed", 1, 0)
    (end,) = records(folder)
    assert [each.get("why") for each in end.fields["attempts"]] == [None, "repair"]


def test_row_39_a_repair_shows_the_model_what_was_wrong(mode: str, tmp_path: Path) -> None:
    repaired(faults.SCHEMA_INVALID, mode, tmp_path)


def test_row_36_a_tool_call_is_repaired_once(mode: str, tmp_path: Path) -> None:
    repaired(faults.TOOL_CALL, mode, tmp_path)


def test_row_38_text_around_the_answer_is_repaired_once(mode: str, tmp_path: Path) -> None:
    repaired(faults.CODE_FENCE, mode, tmp_path)


def test_row_48_a_bad_key_stops_everybody_who_uses_it(mode: str, tmp_path: Path) -> None:
    faulty = FaultTransport([faults.UNAUTHENTICATED, GOOD])
    first = adapter("http://127.0.0.1:9/v1", api_key=SecretStr(KEY))
    adapters = {"first": first, "second": {**first, "model": "m-2026-02-02"}}
    isolation = stack(tmp_path, adapters, transport=faulty, sync_transport=faulty)
    (outcome,) = ask(isolation, mode)
    assert reasons(outcome) == ["unauthenticated"]
    assert reasons(outcome, "second") == ["latched"]


def test_row_58_an_overload_is_waited_for_longer() -> None:
    waits: list[int] = []
    for fault in (faults.SERVER_ERROR, faults.OVERLOADED):
        simulated = in_virtual_time(attempts=2)
        simulated.play([fault, GOOD])
        with simulated:
            simulated._random.random = lambda: 0.5  # type: ignore[method-assign]
            assert simulated[CAPABILITY].sync(BOLT).by_ai
        waits.append(simulated.clock.now)
    assert waits[1] > waits[0]


def test_row_59_an_unknown_status_is_told(mode: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "failsoft")
    over(faults.UNKNOWN_STATUS, tmp_path, mode)
    assert any("status=599" in each.getMessage() for each in caplog.records)


def test_row_67_a_changed_fingerprint_is_recorded_only(mode: str, tmp_path: Path) -> None:
    answers = [_completion(system_fingerprint=f"fp_{each}") for each in range(3)]
    outcomes, seen, _ = over(answers, tmp_path, mode, 3)
    assert all(each.by_ai for each in outcomes)
    told = [each.fields["attempts"][0]["served"]["fingerprint"] for each in records(tmp_path)]
    assert told == ["fp_0", "fp_1", "fp_2"]
    assert (seen["health"], seen["quality"]) == (("closed", 3, 0), ("closed", 3, 0))


@pytest.mark.parametrize(
    "told",
    [
        {"usage": None},
        {"usage": {"prompt_tokens": -1, "completion_tokens": -5, "total_tokens": -6}},
        {"usage": {}, "id": None},
    ],
    ids=["missing", "negative", "no id"],
)
def test_row_68_usage_that_isnt_stated_is_unknown(told: dict[str, Any], mode: str, tmp_path: Path) -> None:
    outcomes, _, _ = over(_completion(**told), tmp_path, mode)
    assert outcomes[0].by_ai
    (end,) = records(tmp_path)
    assert "tokens" not in end.fields["attempts"][0]


def _completion(**fields: Any) -> Reaction:
    usual = json.loads(GOOD.body(MODEL))
    return http_reply(json.dumps({key: value for key, value in {**usual, **fields}.items() if value is not None}))


def test_row_83_an_echoed_key_reaches_no_record_and_no_event(
    mode: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "failsoft")
    body = json.dumps({"error": {"message": f"the key {KEY} isn't valid", "code": KEY}})
    outcomes, _, _ = over(http_reply(body, status=500), tmp_path, mode, api_key=SecretStr(KEY))
    assert KEY not in repr(outcomes[0])
    assert not any(KEY in each.getMessage() for each in caplog.records)
    assert not any(KEY.encode() in each.read_bytes() for each in tmp_path.iterdir())


def test_row_88_a_time_out_is_told_as_possibly_billed(mode: str, tmp_path: Path) -> None:
    outcomes, _, faulty = over([faults.TIMED_OUT, GOOD], tmp_path, mode)
    assert outcomes[0].by_ai
    assert [(each.reason, each.billed) for each in outcomes[0].passed_over] == [("attempt_timeout", True)]
    assert len(faulty.requests) == 2


# --- callers ----------------------------------------------------------------------------------------------------------


async def test_row_70_a_caller_who_leaves_is_let_go(tmp_path: Path) -> None:
    with FaultServer(Peer.hang) as server:
        async with asyncio.timeout(PATIENCE), stack(tmp_path, {"first": adapter(server.base_url)}) as isolation:
            call = asyncio.ensure_future(isolation[CAPABILITY](BOLT))
            await _reached(isolation, Exchange)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert idle(isolation)
            assert health_of(isolation) == ("closed", 0, 0)
    (end,) = records(tmp_path)
    assert end.fields["outcome"] == "cancelled"
    assert "source" not in end.fields


async def _reached(isolation: Isolation, kind: type) -> None:
    """Until the driver performs an effect of that kind."""
    assert isolation.running is not None
    driver: Any = isolation.running.asynchronous
    perform, event = driver._perform, asyncio.Event()

    def watched(effect: object) -> object:
        if type(effect) is kind:
            event.set()
        return perform(effect)

    driver._perform = watched
    await event.wait()


def test_row_71_a_deadline_before_fair_time_says_nothing(mode: str, tmp_path: Path) -> None:
    with FaultServer(Peer.hang) as server:
        isolation = stack(tmp_path, {"first": adapter(server.base_url)}, deadline="20s")
        short = isolation[CAPABILITY].using(deadline="200ms")
        if mode == "sync":
            with isolation:
                outcome = short.sync(BOLT)
        else:

            async def main() -> Any:
                async with isolation:
                    return await short(BOLT)

            outcome = asyncio.run(main())
    assert (outcome.degraded, reasons(outcome)) == (True, ["attempt_timeout"])
    assert health_of(isolation) == ("closed", 0, 0)
    assert idle(isolation)


async def test_row_71_a_deadline_in_the_queue_leads_to_the_fallback(tmp_path: Path) -> None:
    with FaultServer(Peer.hang) as server:
        adapters = {"first": adapter(server.base_url, concurrency=1)}
        async with asyncio.timeout(PATIENCE), stack(tmp_path, adapters, deadline="20s") as isolation:
            first = asyncio.ensure_future(isolation[CAPABILITY](BOLT))
            await _reached(isolation, Exchange)
            outcome = await isolation[CAPABILITY].using(deadline="200ms")(BOLT)
            assert reasons(outcome) == ["bulkhead_full"]
            assert outcome.degraded
            assert health_of(isolation) == ("closed", 0, 0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert idle(isolation)
        assert len(server.requests) <= 1


# --- the process ------------------------------------------------------------------------------------------------------


def test_row_75_a_child_has_other_random_numbers(tmp_path: Path) -> None:
    isolation = Isolation({"ledger": {"url": "none"}}, capabilities=[GradeItem])
    readers: list[int] = []
    for _ in range(2):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, str(isolation._random.random()).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        readers.append(reader)
    drawn = [os.read(each, 100) for each in readers]
    for each in readers:
        os.close(each)
    assert len({*drawn, str(isolation._random.random()).encode()}) == 3


def test_row_76_a_wall_clock_that_jumps_moves_no_guard(mode: str, tmp_path: Path) -> None:
    faulty = FaultTransport([faults.RATE_LIMITED("90s")])
    adapters = {"first": adapter("http://127.0.0.1:9/v1")}
    isolation = stack(tmp_path, adapters, transport=faulty, sync_transport=faulty)
    told: list[float] = []
    wall = isolation._clock.time_ns

    def look() -> None:
        for hours in (1, -1, 24 * 365):
            isolation._clock.time_ns = lambda hours=hours: wall() + hours * 3600 * 10**9  # type: ignore[method-assign, misc]
            told.append(isolation.health().adapters["first"].throttled_for)

    ask(isolation, mode, look=look)
    assert [85 < each <= 90 for each in told] == [True] * 3


def test_row_77_a_listener_that_raises_changes_no_answer(mode: str, tmp_path: Path) -> None:
    isolation = stack(
        tmp_path,
        {"first": adapter("http://127.0.0.1:9/v1", attempts=1)},
        transport=(faulty := FaultTransport(faults.SERVER_ERROR)),
        sync_transport=faulty,
    )

    def broken(*_: object) -> None:
        raise RuntimeError

    isolation._adapters["first"].breaker._listener = broken
    logger, handler = logging.getLogger("failsoft"), logging.Handler()
    handler.emit = broken  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        outcomes = ask(isolation, mode, 6)
    finally:
        logger.removeHandler(handler)
    assert [each.value for each in outcomes] == [Grade(grade=0)] * 6
    assert reasons(outcomes[5]) == ["open"]
    assert isolation.telemetry.errors > 0


def test_row_77_events_are_told_while_another_thread_loads_structlog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "structlog", ModuleType("structlog"))  # so it looks until it's loaded
    assert Telemetry().enabled("call.completed") in (True, False)


@pytest.mark.parametrize("policy", ["fallback", "refuse", "continue"])
def test_row_78_a_ledger_that_cant_record(policy: str, mode: str, tmp_path: Path) -> None:
    faulty = FaultTransport(GOOD)
    adapters = {"first": adapter("http://127.0.0.1:9/v1")}
    top = {"on_ledger_failure": policy}
    isolation = stack(tmp_path, adapters, top=top, transport=faulty, sync_transport=faulty)
    with isolation:
        _once(isolation, mode)  # what was submitted on entering is on record then
        ledger: Any = isolation._ledger
        ledger.healthy = False
        if policy == "refuse":
            with pytest.raises(LedgerUnavailable):
                _once(isolation, mode)
            asked = 1
        else:
            outcome = _once(isolation, mode)
            asked = 2 if policy == "continue" else 1
            assert outcome.by_ai == (policy == "continue")
    assert len(faulty.requests) == asked


def _once(isolation: Isolation, mode: str) -> Any:
    return isolation[CAPABILITY].sync(BOLT) if mode == "sync" else asyncio.run(_asked(isolation))


class _Fallen(GradeItem):
    """Which grade is it?"""

    name = CAPABILITY

    def fallback(self, request: Item) -> Grade:
        raise KeyError("no table")


def test_row_79_a_fallback_that_raises_says_why_everybody_failed(mode: str, tmp_path: Path) -> None:
    with pytest.raises(FallbackFailed) as failed:
        over(faults.SERVER_ERROR, tmp_path, mode, capability=_Fallen)
    assert isinstance(failed.value.__cause__, KeyError)
    assert [each.reason for each in failed.value.passed_over] == ["server_error"] * 2
    (end,) = records(tmp_path)
    assert end.fields["outcome"] == "failed"


def test_row_81_a_block_during_a_call_lets_it_drain(mode: str, tmp_path: Path) -> None:
    isolation: Isolation

    def held(peer: Peer) -> None:
        while peer.read_request():
            isolation.block("adapter:first", why="an order")
            peer.send(peer.usual())

    with FaultServer(held, usual=GOOD) as server:
        isolation = stack(tmp_path, {"first": adapter(server.base_url)})
        first, second = ask(isolation, mode, 2)
        assert len(server.requests) == 1
    assert first.by_ai
    assert reasons(second) == ["blocked"]
    assert [each.fields["blocked"] for each in records(tmp_path, "block.changed")] == [True]


def test_row_82_the_garbage_collector_gives_back_without_a_lock(tmp_path: Path) -> None:
    isolation = stack(
        tmp_path, {"first": adapter("http://127.0.0.1:9/v1", concurrency=1)}, top={"ledger": {"url": "none"}}
    )
    with isolation:
        steps = isolation[CAPABILITY]._call(BOLT)[1].run()
        assert isinstance(next(steps), Exchange)
        assert isolation._adapters["first"].bulkhead.in_use == 1
        guard = isolation._adapters["first"]
        collected = threading.Event()

        def collect() -> None:
            nonlocal steps
            del steps
            gc.collect()
            collected.set()

        with guard.breaker._lock, guard.bulkhead._lock:
            thread = threading.Thread(target=collect, daemon=True)
            thread.start()
            assert collected.wait(PATIENCE)
        thread.join(PATIENCE)
        assert guard.bulkhead.try_enter()
        assert health_of(isolation) == ("closed", 0, 0)


# --- over time --------------------------------------------------------------------------------------------------------


def in_virtual_time(deadline: str = "30s", **others: Any) -> SimulatedIsolation:
    config = {
        "adapters": {"first": adapter("https://gpt.invalid/v1", **others)},
        "capabilities": {CAPABILITY: {"adapters": ["first"], "deadline": deadline}},
    }
    return SimulatedIsolation(config, capabilities=[GradeItem])


def test_row_85_a_flapping_provider_is_left_alone_for_longer_and_longer() -> None:
    """5 s up, 5 s down, for ten minutes, a call each 100 ms."""
    simulated = in_virtual_time(attempts=1)
    longest, asked, answered = 0.0, 0, 0
    with simulated:
        for tick in range(6_000):
            simulated.play(GOOD if tick // 50 % 2 == 0 else faults.SERVER_ERROR, takes="1ms")
            outcome = simulated[CAPABILITY].sync(BOLT)
            answered += outcome.by_ai
            asked += outcome.by_ai or reasons(outcome) == ["server_error"]
            longest = max(longest, simulated.health().adapters["first"].retry_in)
            simulated.advance("100ms")
    assert longest > 10
    assert answered > 0
    assert asked - answered < 300  # of 3,000 calls while it was down


def test_row_86_a_brown_out_is_answered_and_not_multiplied() -> None:
    """30 % errors, a call each 100 ms for five minutes."""
    simulated = in_virtual_time(attempts=3)
    requests: list[Any] = []
    simulated.play(Rates({faults.SERVER_ERROR: 0.3}, seed=1), takes="50ms", usual=GOOD)
    play = simulated._provider
    simulated._provider = lambda exchange, now: requests.append(now) or play(exchange, now)  # type: ignore[func-returns-value]
    with simulated:
        outcomes = []
        for _ in range(3_000):
            outcomes.append(simulated[CAPABILITY].sync(BOLT))
            simulated.advance("100ms")
    by_ai = sum(each.by_ai for each in outcomes)
    assert by_ai >= 0.7 * len(outcomes)
    assert len(requests) <= 1.35 * len(outcomes)


def test_row_87_a_recovered_provider_with_another_model_stays_out() -> None:
    simulated = in_virtual_time(attempts=1)
    with simulated:
        simulated.play(faults.SERVER_ERROR)
        for _ in range(5):
            simulated[CAPABILITY].sync(BOLT)
        simulated.advance("10s")
        simulated.play(faults.WRONG_MODEL)
        assert reasons(simulated[CAPABILITY].sync(BOLT)) == ["served_model_mismatch"]
        seen = simulated._adapters["first"].breaker.snapshot(simulated.clock.now)
        assert (str(seen.state), seen.trips) == ("open", 2)


def test_row_98_a_provider_that_hangs_opens_though_every_caller_is_impatient() -> None:
    simulated = in_virtual_time(attempts=1, deadline="30s")
    with simulated:
        simulated.play(GOOD, takes="500ms")
        for _ in range(12):
            assert simulated[CAPABILITY].sync(BOLT).by_ai
        simulated.play(faults.HANG)
        met = [reasons(simulated[CAPABILITY].using(deadline="8s").sync(BOLT)) for _ in range(8)]
    assert met.count(["attempt_timeout"]) == 5
    assert met[5:] == [["open"]] * 3


def test_row_99_poison_input_doesnt_stop_the_others() -> None:
    """One customer's input gets 500, and only it: 3 % of 100 calls a minute's worth, tried three times each."""
    simulated = in_virtual_time(attempts=3)
    poison = Item(description="poison")
    with simulated:
        simulated.play(GOOD)
        states: set[str] = set()
        others: list[bool] = []
        for number in range(600):
            if number % 33 == 32:
                simulated.play(faults.SERVER_ERROR)
                simulated[CAPABILITY].sync(poison)
                simulated.play(GOOD)
            else:
                others.append(simulated[CAPABILITY].sync(BOLT).by_ai)
            states.add(simulated.health().adapters["first"].state)
            simulated.advance("600ms")
    assert states == {"closed"}
    assert all(others)
