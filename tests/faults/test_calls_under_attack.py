"""Whole calls against providers that misbehave and callers who leave: over real sockets, drivers and ledger.

Nothing here measures time: a deadline of 300 ms really elapses, what came of it is asserted, and `PATIENCE` only keeps a
call that hangs from holding the tests.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, Peer, always, raw, reply
from pydantic import BaseModel, ConfigDict

from failsoft import Capability, Isolation, Outcome
from failsoft.core.effects import Append, Enter, Exchange
from failsoft.ledger.read import Entry, read
from failsoft.ledger.verify import verify

PATIENCE = 5.0


class Item(BaseModel):
    model_config = ConfigDict(frozen=True)
    description: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)


BOLT = Item(description="bolt")
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"stars": 3}'}}
ANSWER = json.dumps({"id": "x", "model": "m", "choices": [CHOICE]}).encode()


def isolation_of(server: FaultServer, folder: Path | None = None, **adapter: Any) -> Isolation:
    table = {
        "ledger": {"url": "none" if folder is None else f"sqlite:///{folder}/failsoft.db"},
        "adapters": {
            "local": {
                "provider": "openai-compatible",
                "base_url": f"http://127.0.0.1:{server.port}/v1",
                "model": "m",
                **adapter,
            }
        },
        "capabilities": {"rate-item": {"adapters": ["local"]}},
    }
    return Isolation(table, capabilities=[RateItem])


def in_code() -> Isolation:
    table = {"ledger": {"url": "none"}, "capabilities": {"rate-item": {"adapters": ["legacy"]}}}
    return Isolation(table, capabilities=[RateItem])


def by_await(isolation: Isolation, deadline: str | float) -> Outcome[Rating]:
    async def main() -> Outcome[Rating]:
        async with asyncio.timeout(PATIENCE), isolation:
            return await isolation[RateItem].using(deadline=deadline)(BOLT)

    return asyncio.run(main())


def by_thread(isolation: Isolation, deadline: str | float) -> Outcome[Rating]:
    outcomes: list[Outcome[Rating]] = []

    def work() -> None:
        with isolation:
            outcomes.append(isolation[RateItem].using(deadline=deadline).sync(BOLT))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return outcomes[0]


Asked = Callable[[Isolation, str | float], Outcome[Rating]]
both = pytest.mark.parametrize("ask", [by_await, by_thread])


# --- providers that are slow, in every way ------------------------------------------------------------------------------


def dripping_head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(100_000):
        yield b"X-%d: y\r\n" % number


def dripping_bytes_of_a_head() -> Iterator[bytes]:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Long: " + b"y" * 100_000:
        yield bytes((byte,))


def dripping_body() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    while True:
        yield b" "


def dripping_chunks() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\n \r\n"


DRIPS = [dripping_head, dripping_bytes_of_a_head, dripping_body, dripping_chunks]


@both
@pytest.mark.parametrize("pieces", DRIPS)
def test_a_provider_that_drips_costs_a_call_its_deadline_and_no_more(
    pieces: Callable[[], Iterator[bytes]], ask: Asked
) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.drip(pieces())

    with FaultServer(script) as server:
        outcome = ask(isolation_of(server), "300ms")
        assert server.wait_open(0)
    assert outcome.value == Rating(stars=0)
    assert [each.reason for each in outcome.passed_over] == ["attempt_timeout"]


@both
def test_the_shortest_deadline_is_kept(ask: Asked) -> None:
    with FaultServer(Peer.hang) as server:
        outcome = ask(isolation_of(server), 0.01)
    assert outcome.degraded
    assert outcome.passed_over[0].reason in ("attempt_timeout", "connect_timeout", "no_time")


@both
def test_the_longest_deadline_is_no_reason_to_wait(ask: Asked) -> None:
    with FaultServer(always(reply(ANSWER))) as server:
        assert ask(isolation_of(server), "1h").value == Rating(stars=3)
    with FaultServer(always(raw(b"HTTP/1.1 400 Bad Request", b"Content-Length: 2", body=b"{}"))) as server:
        assert ask(isolation_of(server), "1h").passed_over[0].reason == "request_rejected"


@both
def test_a_small_reply_that_inflates_to_megabytes_is_refused_unread(ask: Asked) -> None:
    bomb = gzip.compress(b'{"choices": [' + b"[]," * 5_000_000 + b"[]]}")
    assert len(bomb) < 20_000
    with FaultServer(always(reply(bomb, b"Content-Encoding: gzip"))) as server:
        outcome = ask(isolation_of(server), "3s")
    assert outcome.passed_over[0].reason == "too_large"


# --- callers who leave while the call waits -----------------------------------------------------------------------------


def reached(isolation: Isolation, kind: type, nth: int = 1) -> asyncio.Event:
    """Set when the driver begins to perform the nth effect of a kind: whoever awaits it runs once the call waits."""
    assert isolation.running is not None
    driver: Any = isolation.running.asynchronous
    perform, event, seen = driver._perform, asyncio.Event(), [0]

    def watched(effect: object) -> object:
        if type(effect) is kind:
            seen[0] += 1
            if seen[0] == nth:
                event.set()
        return perform(effect)

    driver._perform = watched
    return event


async def cancelled_at(call: Awaitable[Any], event: asyncio.Event) -> None:
    task = asyncio.ensure_future(call)
    async with asyncio.timeout(PATIENCE):
        await event.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def nothing_held(isolation: Isolation) -> None:
    adapter = isolation._adapters["local"]
    assert (adapter.bulkhead.in_use, adapter.bulkhead.waiting) == (0, 0)


def ends_of_calls(folder: Path) -> list[Entry]:
    assert verify(folder / "failsoft.db").exit_code == 0
    with read(folder / "failsoft.db") as reader:
        return list(reader.records(kind="call.completed", last=100))


class Stuck:
    """Another program holds the ledger's database: no commit gets through while it's entered."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "failsoft.db", isolation_level=None)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


async def test_a_caller_who_leaves_before_the_start_is_on_record_has_asked_nobody(tmp_path: Path) -> None:
    with FaultServer(always(reply(ANSWER))) as server:
        async with isolation_of(server, tmp_path) as isolation:
            waiting = reached(isolation, Append)
            with Stuck(tmp_path):
                await cancelled_at(isolation[RateItem](BOLT), waiting)
                nothing_held(isolation)
        assert server.accepted == 0
    (end,) = ends_of_calls(tmp_path)
    assert end.fields["outcome"] == "cancelled"


async def test_a_caller_who_leaves_while_the_answer_goes_on_record_has_been_answered(tmp_path: Path) -> None:
    with FaultServer(always(reply(ANSWER))) as server:
        async with isolation_of(server, tmp_path) as isolation:
            exchanging, waiting = reached(isolation, Exchange), reached(isolation, Append, nth=2)
            call = asyncio.ensure_future(isolation[RateItem](BOLT))
            await exchanging.wait()
            with Stuck(tmp_path):
                await cancelled_at(call, waiting)
            nothing_held(isolation)
    (end,) = ends_of_calls(tmp_path)
    assert end.fields["outcome"] == "answered"


async def test_a_caller_who_leaves_the_queue_gives_up_his_place(tmp_path: Path) -> None:
    release = threading.Event()

    def script(peer: Peer) -> None:
        while peer.read_request():
            release.wait(PATIENCE)
            peer.send(reply(ANSWER))

    with FaultServer(script) as server:
        async with isolation_of(server, tmp_path, concurrency=1) as isolation:
            exchanging = reached(isolation, Exchange)
            first = asyncio.ensure_future(isolation[RateItem](BOLT))
            await exchanging.wait()
            await cancelled_at(isolation[RateItem](BOLT), reached(isolation, Enter))
            assert isolation._adapters["local"].bulkhead.waiting == 0
            release.set()
            assert (await first).by_ai
            assert (await isolation[RateItem](BOLT)).by_ai
            nothing_held(isolation)
    assert [each.fields["outcome"] for each in ends_of_calls(tmp_path)] == ["cancelled", "answered", "answered"]


async def test_a_caller_who_leaves_while_the_provider_thinks_gives_slot_and_permit_back(tmp_path: Path) -> None:
    with FaultServer(Peer.hang) as server:
        async with isolation_of(server, tmp_path) as isolation:
            await cancelled_at(isolation[RateItem](BOLT), reached(isolation, Exchange))
            nothing_held(isolation)
            assert await asyncio.to_thread(server.wait_open, 0)
    (end,) = ends_of_calls(tmp_path)
    assert end.fields["outcome"] == "cancelled"


# --- the user's own coroutines ------------------------------------------------------------------------------------------


@both
def test_a_coroutine_that_exits_is_passed_over_and_the_next_one_is_asked(ask: Asked) -> None:
    isolation = in_code()
    asked: list[object] = []

    @isolation.adapter("legacy", model="m", attempts=3)
    async def legacy(_: object) -> str:
        asked.append(_)
        if len(asked) == 1:
            beside = asyncio.get_running_loop().create_task(exiting())
            beside.add_done_callback(lambda done: done.exception())  # else asyncio tells it whenever it's collected
            raise SystemExit(3)
        return '{"stars": 4}'

    async def exiting() -> None:
        if ask is by_thread:  # on the application's own loop it's the application's own business
            raise SystemExit(4)

    outcome = ask(isolation, "3s")
    assert outcome.value == Rating(stars=4)
    assert [each.reason for each in outcome.passed_over] == ["adapter_raised"]


@both
def test_a_coroutine_that_cancels_itself_is_passed_over(ask: Asked) -> None:
    isolation = in_code()

    @isolation.adapter("legacy", model="m", attempts=1)
    async def legacy(_: object) -> str:
        raise asyncio.CancelledError

    assert [each.reason for each in ask(isolation, "3s").passed_over] == ["adapter_raised"]


def test_who_leaves_the_isolation_while_a_thread_waits_leaves_nothing_behind() -> None:
    isolation = Isolation(
        {"ledger": {"url": "none"}, "capabilities": {"rate-item": {"adapters": ["slow", "next"]}}},
        capabilities=[RateItem],
    )
    begun, asked, outcomes = threading.Event(), list[object](), list[Outcome[Rating]]()

    @isolation.adapter("slow", model="m", attempts=1)
    async def slow(_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    @isolation.adapter("next", model="m", attempts=1)
    async def after(ask: object) -> None:
        asked.append(ask)

    for _ in range(5):  # as many failures would open its breaker
        begun.clear()
        with isolation:
            caller = threading.Thread(target=lambda: outcomes.append(isolation[RateItem].sync(BOLT)))
            caller.start()
            assert begun.wait(PATIENCE)
        caller.join(PATIENCE)
    assert [[str(each) for each in outcome.passed_over] for outcome in outcomes] == [
        ["slow: cancelled (the isolation was left)", "next: cancelled (the isolation was left)"]
    ] * 5
    assert asked == []
    assert "failsoft-loop" not in [each.name for each in threading.enumerate()]
    with isolation:
        assert isolation.health().adapters["slow"].state == "closed"


class Stubborn:
    """An adapter that swallows its cancellation and goes on until it's released."""

    def __init__(self, isolation: Isolation) -> None:
        self.release, self.swallowed = threading.Event(), threading.Event()
        self.bulkhead: Any = None
        isolation.adapter("legacy", model="m", attempts=1)(self.work)
        self.bulkhead = isolation._adapters["legacy"].bulkhead

    async def work(self, _: object) -> str:
        waiting = asyncio.get_running_loop().run_in_executor(None, self.release.wait, PATIENCE)
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:
                continue
        return '{"stars": 5}'


async def test_awaited_work_that_swallows_its_cancellation_keeps_its_slot_until_it_ends() -> None:
    isolation = in_code()
    stubborn = Stubborn(isolation)
    async with asyncio.timeout(PATIENCE), isolation:
        outcome = await isolation[RateItem].using(deadline="300ms")(BOLT)
        assert [each.reason for each in outcome.passed_over] == ["attempt_timeout"]
        assert stubborn.bulkhead.in_use == 1
        assert isolation.health().adapters["legacy"].orphans == 1
        ended = asyncio.Event()
        (task,) = isolation.running.asynchronous._working  # type: ignore[union-attr]
        task.add_done_callback(lambda _: ended.set())
        stubborn.release.set()
        await ended.wait()
        assert stubborn.bulkhead.in_use == 0
        assert isolation.health().adapters["legacy"].orphans == 0


@both
def test_a_coroutine_that_holds_up_its_loop_is_told_by_name(ask: Asked, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "failsoft")
    isolation = in_code()

    @isolation.adapter("legacy", model="m", attempts=1)
    async def legacy(_: object) -> str:
        time.sleep(0.11)
        return '{"stars": 5}'

    assert ask(isolation, "3s").value == Rating(stars=5)
    (event,) = [each.getMessage() for each in caplog.records if "loop.blocked" in each.getMessage()]
    assert "adapter=legacy" in event
    assert int(event.rpartition("ms=")[2]) >= 110


@both
def test_a_plain_function_holds_up_nobody(ask: Asked, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "failsoft")
    isolation = in_code()

    @isolation.adapter("legacy", model="m", attempts=1)
    def legacy(_: object) -> str:
        time.sleep(0.11)
        return '{"stars": 5}'

    assert ask(isolation, "3s").value == Rating(stars=5)
    assert not any("loop.blocked" in each.getMessage() for each in caplog.records)


def test_work_on_the_background_loop_that_swallows_its_cancellation_outlives_the_isolation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    isolation = in_code()
    stubborn = Stubborn(isolation)
    outcome = by_thread(isolation, "300ms")  # the isolation has been left when this returns
    (loop,) = [each for each in threading.enumerate() if each.name == "failsoft-loop"]
    assert [each.reason for each in outcome.passed_over] == ["attempt_timeout"]
    assert stubborn.bulkhead.in_use == 1
    stubborn.release.set()
    loop.join(PATIENCE)
    assert not loop.is_alive()
    assert stubborn.bulkhead.in_use == 0
    assert [each for each in caplog.records if each.name == "asyncio"] == []


class Unreachable(Stubborn):
    """The same, waiting for something that only its own waiting refers to: the garbage collector could take both."""

    async def work(self, _: object) -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self.end = partial(_resolve, loop, weakref.ref(future))
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError:
                self.swallowed.set()
        return '{"stars": 5}'


def _resolve(loop: asyncio.AbstractEventLoop, future: weakref.ref[asyncio.Future[None]]) -> None:
    waited_for = future()
    assert waited_for is not None, "the garbage collector took it"
    loop.call_soon_threadsafe(waited_for.set_result, None)


async def test_awaited_work_that_nobody_refers_to_is_held_until_it_ends() -> None:
    isolation = in_code()
    unreachable = Unreachable(isolation)
    async with asyncio.timeout(PATIENCE), isolation:
        await isolation[RateItem].using(deadline="100ms")(BOLT)
        assert await asyncio.to_thread(unreachable.swallowed.wait, PATIENCE)
        gc.collect()
        assert unreachable.bulkhead.in_use == 1
        (task,) = isolation.running.asynchronous._working  # type: ignore[union-attr]
        unreachable.end()
        await asyncio.wait({task})
        assert unreachable.bulkhead.in_use == 0
        assert isolation.running.asynchronous._working == set()  # type: ignore[union-attr]


def test_work_on_the_background_loop_that_nobody_refers_to_is_held_until_it_ends() -> None:
    isolation = in_code()
    unreachable = Unreachable(isolation)
    with isolation:
        isolation[RateItem].using(deadline="100ms").sync(BOLT)
        assert unreachable.swallowed.wait(PATIENCE)
        isolation._transports.background.submit(asyncio.sleep(0)).result(PATIENCE)  # its loop has gone on
        gc.collect()
        assert unreachable.bulkhead.in_use == 1
    gc.collect()
    (loop,) = [each for each in threading.enumerate() if each.name == "failsoft-loop"]
    assert unreachable.bulkhead.in_use == 1
    unreachable.end()
    loop.join(PATIENCE)
    assert not loop.is_alive()
    assert unreachable.bulkhead.in_use == 0
