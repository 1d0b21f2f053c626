"""When a connection is used again, when not, and that none is ever lost."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import threading
import time
import warnings
from typing import Any

import pytest
from fault_server import FaultServer, Peer, always, once, raw, reply

from conftest import RealClock, make_transport, post
from failsoft.core.effects import SECOND, HttpReply
from failsoft.fault import Fault, FaultKind
from failsoft.io import transport_async
from failsoft.io.transport import IDLE_NS
from failsoft.io.transport_sync import SyncTransport

OK = reply(b'{"ok": true}')
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


def soon() -> int:
    return time.monotonic_ns() + 5 * SECOND


@pytest.mark.parametrize("data", [OK, CHUNKED], ids=["length", "chunks"])
def test_a_connection_is_used_again_after_a_clean_end(data: bytes, client: Any) -> None:
    with FaultServer(always(data)) as server:
        assert all(isinstance(client.ask(server.url), HttpReply) for _ in range(5))
        assert server.accepted == 1


def test_the_same_host_under_another_path_uses_the_same_connection(client: Any) -> None:
    with FaultServer(always(OK)) as server:
        for path in ("", "?a=1", "/b"):
            client.ask(server.url + path)
        assert server.accepted == 1


def test_a_connection_that_the_server_announces_to_close_is_not_used_again(client: Any) -> None:
    with FaultServer(always(reply(b"{}", b"Connection: close"))) as server:
        for _ in range(3):
            assert isinstance(client.ask(server.url), HttpReply)
        assert server.accepted == 3


@pytest.mark.parametrize(
    "data",
    [
        OK + OK,
        CHUNKED + OK,
        CHUNKED + b"\r\n",
        raw(b"HTTP/1.1 204 No Content", body=b"{}"),
        raw(b"HTTP/1.1 204 No Content", b"Content-Length: 2", body=b"{}"),
    ],
    ids=["second reply", "second after chunks", "stray line end", "204 with a body", "204 with a length"],
)
def test_row_89_bytes_after_the_body_are_nobodys_answer(data: bytes, client: Any) -> None:
    with FaultServer(always(data)) as server:
        assert [client.ask(server.url).status for _ in range(3)] == [int(data[9:12])] * 3
        assert server.accepted == 3


def test_row_89_a_reply_that_comes_while_idle_is_nobodys_answer(client: Any) -> None:
    sent = threading.Event()

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(OK)
            if peer.number == 0:
                peer.send(reply(b'{"not": "yours"}'))
                sent.set()

    with FaultServer(script) as server:
        client.ask(server.url)
        assert sent.wait(5)
        assert client.ask(server.url).body == b'{"ok": true}'
        assert client.ask(server.url).body == b'{"ok": true}'


def test_row_9_a_connection_closed_while_idle_is_noticed_before_use(client: Any) -> None:
    with FaultServer(once(OK)) as server:
        client.ask(server.url)
        assert server.wait_open(0)
        if client.runner is not None:
            client.runner.run(asyncio.sleep(0.02))  # the loop learns of it
        assert isinstance(client.ask(server.url), HttpReply)
        assert server.accepted == 2


def closes_at_the_second_request(peer: Peer) -> None:
    peer.read_request()
    peer.send(OK)
    peer.read_request()


def resets_at_the_second_request(peer: Peer) -> None:
    peer.read_request()
    peer.send(OK)
    peer.read_head()
    peer.reset()


@pytest.mark.parametrize("script", [closes_at_the_second_request, resets_at_the_second_request])
def test_row_9_a_reused_connection_that_gives_no_byte_is_stale(script: Any, client: Any) -> None:
    with FaultServer(script) as server:
        client.ask(server.url)
        assert client.ask(server.url).kind is FaultKind.STALE_CONNECTION
        assert isinstance(client.ask(server.url), HttpReply)


def test_a_fresh_connection_that_gives_no_byte_is_lost_not_stale(client: Any) -> None:
    with FaultServer(lambda peer: peer.read_request() and None) as server:
        assert client.ask(server.url).kind is FaultKind.CONNECTION_LOST


def test_a_reused_connection_that_breaks_within_the_reply_is_lost_not_stale(client: Any) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.read_request()
        peer.send(raw(b"HTTP/1.1 200 OK", b"Content-Length: 9", body=b"{"))

    with FaultServer(script) as server:
        client.ask(server.url)
        assert client.ask(server.url).kind is FaultKind.CONNECTION_LOST


def test_a_reused_connection_that_hangs_is_a_timeout_not_stale(client: Any) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.hang()

    with FaultServer(script) as server:
        client.ask(server.url)
        assert client.ask(server.url, ms=100).kind is FaultKind.ATTEMPT_TIMEOUT


def test_a_connection_that_was_idle_too_long_is_replaced(client: Any) -> None:
    class Later(RealClock):
        @staticmethod
        def monotonic_ns() -> int:
            return time.monotonic_ns() + IDLE_NS

    with FaultServer(always(OK)) as server:
        client.ask(server.url)
        client.transport._clock = Later()
        until = Later.monotonic_ns() + 5 * SECOND
        request = post(server.url)
        exchanged = client.transport.exchange(request, until)
        assert isinstance(client.runner.run(exchanged) if client.runner else exchanged, HttpReply)
        assert server.accepted == 2


def test_sequential_calls_after_a_burst_use_the_most_recently_freed_connection(loop_mode: str) -> None:
    async def main() -> None:
        transport = make_transport(loop_mode)
        await asyncio.gather(*(transport.exchange(post(server.url), soon()) for _ in range(20)))
        burst = server.accepted
        before = list(server.numbers)
        for _ in range(10):
            await transport.exchange(post(server.url), soon())
        assert server.accepted == burst
        assert len(set(server.numbers[len(before) :])) == 1
        await transport.aclose()

    def script(peer: Peer) -> None:
        while peer.read_request():
            server.numbers.append(peer.number)
            peer.send(OK)

    with FaultServer(script) as server:
        server.numbers = []
        asyncio.run(main())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_storm_of_cancels_leaves_every_connection_usable_and_none_open(seed: int, loop_mode: str) -> None:
    rng = random.Random(seed)

    def script(peer: Peer) -> None:
        while peer.read_request():
            for piece in (OK[:20], OK[20:-4], OK[-4:]):
                peer.send(piece)
                peer.server.stopping.wait(0.0005)

    async def main() -> None:
        transport = make_transport(loop_mode)

        async def one() -> HttpReply | Fault:
            return await transport.exchange(post(server.url), soon())

        finished = cancelled = 0
        for _ in range(10):
            tasks = [asyncio.create_task(one()) for _ in range(30)]
            for task in tasks:
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                if rng.random() < 0.5:
                    asyncio.get_running_loop().call_later(rng.random() * 0.01, task.cancel)
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(result, HttpReply | asyncio.CancelledError), result
                finished += isinstance(result, HttpReply)
                cancelled += not isinstance(result, HttpReply)
        assert finished > 50
        assert cancelled > 30
        (slots,) = transport._loops.values()
        (idle,) = slots.idle.values()
        count = len(idle)
        assert await asyncio.to_thread(server.wait_open, count)
        replies = await asyncio.gather(*(one() for _ in range(count)))
        assert all(isinstance(each, HttpReply) for each in replies)
        assert len(idle) == count
        await transport.aclose()

    with FaultServer(script) as server:
        asyncio.run(main())
        assert server.wait_open(0)


def test_an_outer_cancel_is_not_taken_for_the_deadline(loop_mode: str) -> None:
    async def main() -> None:
        transport = make_transport(loop_mode)
        task = asyncio.create_task(transport.exchange(post(server.url), soon()))
        while not server.seen:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_open, 0)
        await transport.aclose()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.hang()

    with FaultServer(script) as server:
        asyncio.run(main())


def test_two_event_loops_one_after_another_each_have_their_own_connections(loop_mode: str) -> None:
    transport = make_transport(loop_mode)

    async def main() -> HttpReply | Fault:
        await transport.exchange(post(server.url), soon())
        return await transport.exchange(post(server.url), soon())

    with FaultServer(always(OK)) as server:
        for _ in range(2):
            assert isinstance(asyncio.run(main()), HttpReply)
            assert server.wait_open(0)  # the loop's end closed them
        assert server.accepted == 2
    gc.collect()
    assert len(transport._loops) == 0


def test_connections_of_a_loop_that_was_closed_carelessly_are_dropped(loop_mode: str) -> None:
    transport = make_transport(loop_mode)
    with FaultServer(always(OK)) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the careless loop's own
        careless = asyncio.new_event_loop()
        assert isinstance(careless.run_until_complete(transport.exchange(post(server.url), soon())), HttpReply)
        careless.close()
        assert isinstance(asyncio.run(transport.exchange(post(server.url), soon())), HttpReply)
        assert careless not in transport._loops
        del careless
        gc.collect()


def test_closing_waits_for_nobody_and_later_ends_close_their_connection(loop_mode: str) -> None:
    async def main() -> None:
        transport = make_transport(loop_mode)
        task = asyncio.create_task(transport.exchange(post(server.url), soon()))
        while not server.seen:
            await asyncio.sleep(0.001)
        await transport.aclose()
        release.set()
        assert isinstance(await task, HttpReply)
        assert await asyncio.to_thread(server.wait_open, 0)

    def script(peer: Peer) -> None:
        while peer.read_request():
            release.wait(5)
            peer.send(OK)

    release = threading.Event()
    with FaultServer(script) as server:
        asyncio.run(main())


def test_threads_share_a_transport_and_closing_it_leaves_nothing_open() -> None:
    transport = SyncTransport(RealClock())
    results: list[HttpReply | Fault] = []

    def work() -> None:
        for _ in range(20):
            results.append(transport.exchange(post(server.url), soon()))  # noqa: PERF401

    with FaultServer(always(OK)) as server:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(results) == 160
        assert all(isinstance(each, HttpReply) for each in results)
        assert server.accepted <= 8
        transport.close()
        assert server.wait_open(0)
        assert isinstance(transport.exchange(post(server.url), soon()), HttpReply)
        assert server.wait_open(0)  # closed transports keep nothing


def run_in_child(check: Any) -> int:
    """The child's exit code: 0 where `check` returned True."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        code = 1
        try:
            code = 0 if check() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_makes_its_own_connections_and_leaves_its_parents_alone(client: Any) -> None:
    transport = client.transport

    def in_child() -> bool:
        if isinstance(transport, SyncTransport):
            return isinstance(transport.exchange(post(server.url), soon()), HttpReply)
        asyncio._set_running_loop(None)
        return isinstance(asyncio.run(transport.exchange(post(server.url), soon())), HttpReply)

    with FaultServer(always(OK)) as server:
        client.ask(server.url)
        assert run_in_child(in_child) == 0
        assert server.accepted == 2
        assert isinstance(client.ask(server.url), HttpReply)
        assert server.accepted == 2  # the parent's connection still stands


def test_what_a_forked_child_does_first_closes_its_copies_of_the_sockets(client: Any) -> None:
    with FaultServer(always(OK)) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # asyncio's transports aren't told
        client.ask(server.url)
        client.transport.after_fork()
        assert server.wait_open(0)
        client.close()
        transport_async._inherited.clear()
        gc.collect()
