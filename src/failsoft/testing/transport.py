"""An httpx transport that fails as told: no socket, no server, the same every time.

    faulty = FaultTransport([faults.OVERLOADED, chat_answer({"grade": 3})])
    isolation = Isolation(config, transport=faulty, sync_transport=faulty)

It stands where the network would, so breakers, retries, pins and fallbacks are the real ones.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
from attrs import evolve

from failsoft.testing.reaction import Reaction, Script, playing
from failsoft.testing.replies import asked_model, chat_answer

_ANSWERS = chat_answer({})


class FaultTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers requests by a script; one may serve asyncio and threads together.

    Args:
        script: a reaction, several in order (the last one stays), or `Rates`.
        usual: what comes where the script says `USUAL`, and where `Rates` draw nothing.

    Attributes:
        requests: every request that came. Their headers may hold keys.
        reactions: what each of them got.

    Raises:
        ValueError: the script is empty, or has something that only shows on the wire.
    """

    def __init__(self, script: Script, *, usual: Reaction = _ANSWERS) -> None:
        self.requests: list[httpx.Request] = []
        self.reactions: list[Reaction] = []
        self._usual = usual
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.play(script)

    def play(self, script: Script) -> None:
        """Go on with another script. Errors as the class's."""
        self._script = playing(script, "wire", "only shows on the wire: use a FaultServer")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or fail, as the script says."""
        await request.aread()
        return await react_async(self._next(request), request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or fail, as the script says."""
        ended = self._closed
        request.read()
        return react(self._next(request), request, ended)

    def close(self) -> None:
        """End what waits in threads. The transport may be used again."""
        ended, self._closed = self._closed, threading.Event()
        ended.set()

    def _next(self, request: httpx.Request) -> Reaction:
        with self._lock:
            reaction = self._script.next()
            self.requests.append(request)
            self.reactions.append(reaction)
        return evolve(self._usual, delay=reaction.delay) if reaction.manner == "usual" else reaction


async def react_async(reaction: Reaction, request: httpx.Request) -> httpx.Response:
    """A reaction, shown to an asynchronous caller. Raises what the reaction raises."""
    await pause_async(reaction, request)
    return _response(reaction, request)


def react(reaction: Reaction, request: httpx.Request, ended: threading.Event) -> httpx.Response:
    """A reaction, shown to a blocking caller, who is let go when `ended` is set. Raises what the reaction raises."""
    pause(reaction, request, ended)
    return _response(reaction, request)


async def pause_async(reaction: Reaction, request: httpx.Request) -> None:
    """Wait as long as the reaction says.

    Raises:
        httpx.ReadTimeout: the request's own time-out came first.
    """
    wait, in_time = _wait(reaction, request)
    if wait is None:
        await asyncio.get_running_loop().create_future()
    elif wait:
        await asyncio.sleep(wait)
    if not in_time:
        raise httpx.ReadTimeout("no answer in time", request=request)


def pause(reaction: Reaction, request: httpx.Request, ended: threading.Event) -> None:
    """Wait as long as the reaction says.

    Raises:
        httpx.ReadTimeout: the request's own time-out came first, or `ended` was set.
    """
    wait, in_time = _wait(reaction, request)
    closed = ended.wait(wait) if wait is None or wait else False
    if closed or not in_time:
        raise httpx.ReadTimeout("no answer in time", request=request)


def _wait(reaction: Reaction, request: httpx.Request) -> tuple[float | None, bool]:
    """How many seconds to wait (None: for ever), and whether a reply then comes in time."""
    allowed: float | None = request.extensions.get("timeout", {}).get("read")
    if reaction.manner == "hang":
        return allowed, False
    if allowed is not None and reaction.delay > allowed:
        return allowed, False
    return reaction.delay, True


def _response(reaction: Reaction, request: httpx.Request) -> httpx.Response:
    if reaction.error is not None:
        raise reaction.error()
    body = reaction.body(asked_model(request.content))
    headers = [*reaction.headers, ("content-length", str(len(body)))]
    breaks = reaction.manner in ("cut", "reset")
    shown = b"" if reaction.manner == "reset" else body[: len(body) // 2] if breaks else body
    return httpx.Response(reaction.status, headers=headers, stream=_Body(shown, breaks), request=request)


class _Body(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body as it comes, raw: whole, or broken off."""

    def __init__(self, data: bytes, breaks: bool) -> None:
        self._data = data
        self._breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        if self._data:
            yield self._data
        if self._breaks:
            raise httpx.ReadError("the connection broke")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part
