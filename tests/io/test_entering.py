"""Entering and leaving an isolation, cancelled at every moment: nothing stays open that nobody will close."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from pydantic import BaseModel

from failsoft import Capability, Isolation
from failsoft.ledger.verify import verify

PATIENCE = 5.0


class Item(BaseModel):
    description: str


class NameItem(Capability[Item, str]):
    """What is it called?"""

    def fallback(self, request: Item) -> str:
        return request.description


class Gated(Isolation):
    """Opening or closing it waits at a gate, in its thread; `left` is set when it has been left."""

    def gate(self, at: str) -> Self:
        self.at = at
        self.reached, self.open, self.left = threading.Event(), threading.Event(), threading.Event()
        return self

    def _pass(self, at: str) -> None:
        if at == self.at:
            self.reached.set()
            assert self.open.wait(PATIENCE)

    def _enter(self) -> None:
        self._pass("before entering")
        super()._enter()
        self._pass("after entering")

    def _leave(self) -> None:
        self._pass("before leaving")
        super()._leave()
        self.left.set()


def gated(folder: Path, at: str, transport: httpx.AsyncBaseTransport | None = None) -> Gated:
    table: dict[str, Any] = {
        "ledger": {"url": f"sqlite:///{folder}/failsoft.db"},
        "adapters": {"local": {"provider": "openai-compatible", "base_url": "http://127.0.0.1:1/v1", "model": "m"}},
        "capabilities": {"name-item": {"adapters": ["local"]}},
    }
    return Gated(table, capabilities=[NameItem], transport=transport).gate(at)


def nothing_open(isolation: Gated, folder: Path) -> None:
    assert (isolation._entered, isolation.running, isolation._ledger) == (0, None, None)
    assert verify(folder / "failsoft.db").exit_code == 0
    with isolation:  # nobody else holds the ledger
        pass


async def within(isolation: Isolation) -> None:
    async with isolation:
        pass


async def cancelled_at_its_gate(isolation: Gated) -> None:
    task = asyncio.ensure_future(within(isolation))
    assert await asyncio.to_thread(isolation.reached.wait, PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("at", ["before entering", "after entering", "before leaving"])
async def test_cancelled_it_is_left_all_the_same(at: str, tmp_path: Path) -> None:
    isolation = gated(tmp_path, at)
    await cancelled_at_its_gate(isolation)
    isolation.open.set()
    assert await asyncio.to_thread(isolation.left.wait, PATIENCE)
    nothing_open(isolation, tmp_path)


@pytest.mark.parametrize("at", ["before entering", "after entering", "before leaving"])
def test_cancelled_with_its_loop_ending_it_is_left_all_the_same(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolation = gated(tmp_path, at)

    async def main() -> None:
        await cancelled_at_its_gate(isolation)
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "shutdown_default_executor", ending(loop.shutdown_default_executor))

    def ending(shut_down: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def opened_first(*arguments: Any) -> None:
            isolation.open.set()  # every task has been cancelled; now the loop waits for its threads
            await shut_down(*arguments)

        return opened_first

    asyncio.run(main())
    assert isolation.left.wait(1)
    nothing_open(isolation, tmp_path)


class Reluctant(httpx.AsyncBaseTransport):
    """The application's own transport; its close never ends by itself."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise AssertionError("nobody asks")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self.closing.set()
        await asyncio.Event().wait()


async def test_an_exit_that_is_cancelled_while_a_transport_closes_leaves_the_rest(tmp_path: Path) -> None:
    transport = Reluctant()
    isolation = gated(tmp_path, "", transport)
    task = asyncio.ensure_future(within(isolation))
    async with asyncio.timeout(PATIENCE):
        await transport.closing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await asyncio.to_thread(isolation.left.wait, PATIENCE)
    nothing_open(isolation, tmp_path)


async def test_an_entrance_that_fails_after_its_caller_has_left_leaves_nothing(tmp_path: Path) -> None:
    isolation = gated(tmp_path, "before entering")
    task = asyncio.ensure_future(within(isolation))
    assert await asyncio.to_thread(isolation.reached.wait, PATIENCE)
    (tmp_path / "failsoft.db").mkdir()  # no ledger can be opened there
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    isolation.open.set()
    await asyncio.to_thread(isolation._lock.acquire)
    isolation._lock.release()
    assert (isolation._entered, isolation.running, isolation._ledger) == (0, None, None)
