"""What real sockets show too seldom: pauses, errors at the wrong moment."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpcore
import pytest

from failsoft.io.transport_async_line import Line
from failsoft.io.transport_inbox import Broken
from failsoft.io.transport_sync import SyncLine, _DeadlineReached

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Transport:
    """asyncio's side, noting what it's told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.told.append(name)


async def connected() -> tuple[Line, Transport]:
    line, transport = Line(asyncio.get_running_loop(), None, 1_000_000), Transport()  # type: ignore[arg-type]
    line.connection_made(transport)  # type: ignore[arg-type]
    line.inbox.expect_length(500_000)
    return line, transport


async def test_a_flood_is_paused_until_it_is_read() -> None:
    line, transport = await connected()
    line.data_received(b"x" * 300_000)
    line.data_received(b"x" * 10)
    assert transport.told == ["pause_reading"]
    await line.read(65_536)
    await line.read(65_536)
    assert transport.told == ["pause_reading", "resume_reading"]


async def test_what_came_before_an_end_is_still_read() -> None:
    line, transport = await connected()
    line.data_received(b"x" * 300_000)
    line.connection_lost(ConnectionResetError())
    assert await line.read(400_000) == b"x" * 300_000
    assert transport.told == ["pause_reading"]
    with pytest.raises(Broken):
        await line.read(65_536)


async def test_an_error_of_tls_stays_one() -> None:
    line, _ = await connected()
    line.connection_lost(ssl.SSLError("alert"))
    with pytest.raises(ssl.SSLError):
        await line.read(65_536)


async def test_an_end_while_waiting_for_room_is_a_write_error_and_so_is_the_read_after_it() -> None:
    line, _ = await connected()
    line.pause_writing()
    writing = asyncio.create_task(line.write(b"x"))
    await asyncio.sleep(0)
    line.connection_lost(None)
    with pytest.raises(httpcore.WriteError):
        await writing
    with pytest.raises(httpcore.WriteError):
        await line.write(b"y")
    with pytest.raises(httpcore.WriteError):
        await line.read(65_536)


async def test_a_send_that_failed_at_once_is_a_write_error_though_the_end_is_told_later() -> None:
    line, transport = await connected()
    transport.closing = True
    with pytest.raises(httpcore.WriteError):
        await line.write(b"x")
    line.connection_lost(ConnectionResetError())
    with pytest.raises(httpcore.WriteError):
        await line.read(65_536)


async def test_room_after_the_writer_has_gone_is_nobodys() -> None:
    line, transport = await connected()
    line.pause_writing()
    writing = asyncio.create_task(line.write(b"x"))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    line.resume_writing()
    await line.write(b"")
    assert transport.told == ["write"]


async def test_data_after_the_reader_has_gone_wakes_nobody() -> None:
    line, _ = await connected()
    reading = asyncio.create_task(line.read(65_536))
    await asyncio.sleep(0)
    reading.cancel()
    line.data_received(b"a")
    line.data_received(b"b")
    with pytest.raises(asyncio.CancelledError):
        await reading
    await line.aclose()


class Socket:
    """A blocking socket that does as told."""

    def __init__(self, *results: bytes | int | Exception) -> None:
        self.results = list(results)

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def _next(self, _: object) -> Any:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    recv = send = _next


class Clock:
    def __init__(self, *moments: int) -> None:
        self.moments = list(moments)

    def monotonic_ns(self) -> int:
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]

    def time_ns(self) -> int:
        return 0


def sync_line(*results: bytes | int | Exception, clock: Clock | None = None) -> SyncLine:
    line = SyncLine(Socket(*results), clock or Clock(0), 1000)  # type: ignore[arg-type]
    line.until = 10**9
    return line


def test_a_short_send_is_continued() -> None:
    line = sync_line(2, 3)
    line.write(b"abcde")
    assert line.socket.results == []  # type: ignore[attr-defined]


def test_the_kernels_own_timeout_is_no_deadline() -> None:
    with pytest.raises(TimeoutError):
        sync_line(TimeoutError(110, "ETIMEDOUT")).read(100)


def test_a_wait_that_ends_at_the_deadline_is_the_deadline() -> None:
    with pytest.raises(_DeadlineReached):
        sync_line(TimeoutError(), clock=Clock(0, 10**9)).read(100)


def test_a_reset_after_a_broken_send_is_the_sends() -> None:
    line = sync_line(BrokenPipeError(), ConnectionResetError())
    with pytest.raises(httpcore.WriteError):
        line.write(b"abc")
    with pytest.raises(httpcore.WriteError):
        line.read(100)
