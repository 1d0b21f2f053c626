"""Many requests at once, so many at a time: each gets its outcome, in their order or as they come."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

Progress = Callable[[int], None]
"""Told after each outcome how many there are."""


async def map_async(
    ask: Callable[[Q], Awaitable[A]], requests: Iterable[Q], concurrency: int, ordered: bool, progress: Progress | None
) -> AsyncIterator[tuple[Q, A]]:
    """Each request with its answer. However it ends, what still runs then is cancelled and has ended."""
    rest = iter(requests)
    asked: deque[tuple[Q, asyncio.Future[A]]] = deque()
    done = 0
    try:
        while True:
            while len(asked) < concurrency and (following := next(rest, _NOTHING)) is not _NOTHING:
                request: Q = following  # type: ignore[assignment]
                asked.append((request, asyncio.ensure_future(ask(request))))
            if not asked:
                return
            if ordered:
                await asyncio.wait({asked[0][1]})
            else:
                await asyncio.wait([future for _, future in asked], return_when=asyncio.FIRST_COMPLETED)
                asked.rotate(-next(place for place, (_, future) in enumerate(asked) if future.done()))
            request, future = asked.popleft()
            answer = future.result()
            done += 1
            if progress is not None:
                progress(done)
            yield request, answer
    finally:
        left = [future for _, future in asked]
        for each in left:
            each.cancel()
        if left:
            await asyncio.wait(left)
            for each in left:
                if not each.cancelled():
                    each.exception()  # looked at: the first one that was raised is what the caller hears


def map_sync(
    ask: Callable[[Q], A], requests: Iterable[Q], concurrency: int, ordered: bool, progress: Progress | None
) -> Iterator[tuple[Q, A]]:
    """The same in threads. Threads can't be stopped: however it ends, what still runs then is waited for."""
    rest = iter(requests)
    asked: deque[tuple[Q, Future[A]]] = deque()
    done = 0
    with ThreadPoolExecutor(concurrency, thread_name_prefix="failsoft-map") as threads:
        while True:
            while len(asked) < concurrency and (following := next(rest, _NOTHING)) is not _NOTHING:
                request: Q = following  # type: ignore[assignment]
                asked.append((request, threads.submit(contextvars.copy_context().run, ask, request)))
            if not asked:
                return
            if not ordered:
                wait_for([future for _, future in asked], return_when=FIRST_COMPLETED)
                asked.rotate(-next(place for place, (_, future) in enumerate(asked) if future.done()))
            request, future = asked.popleft()
            answer = future.result()
            done += 1
            if progress is not None:
                progress(done)
            yield request, answer


_NOTHING = object()
