"""What an isolation's calls travel over while it's entered: connections of asyncio and of threads, and their drivers."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from failsoft.core.effects import Clock
from failsoft.io.drive_async import AsyncDriver, Exchanger
from failsoft.io.drive_sync import SyncDriver, SyncExchanger, ThroughLoop
from failsoft.io.invoke import BackgroundLoop
from failsoft.io.transport_async import AsyncTransport
from failsoft.io.transport_sync import SyncTransport
from failsoft.io.watchdog import Blocked


class Transports:
    """Connections that are made as they're needed: the constructor makes none.

    Args:
        clock: of deadlines.
        max_bytes: of a reply.
        foreign: a transport given in code, for all adapters.
        foreign_sync: the same for ``.sync``; without it, `foreign` serves that through a background loop.
        over_aiohttp: adapters that are asked over that library, where no transport was given.
        blocked: told that an adapter held up its event loop.
    """

    def __init__(
        self,
        clock: Clock,
        max_bytes: int,
        foreign: httpx.AsyncBaseTransport | None,
        foreign_sync: httpx.BaseTransport | None,
        over_aiohttp: Sequence[str],
        blocked: Blocked,
    ) -> None:
        self.background = BackgroundLoop()
        self.fast: AsyncTransport | None = None
        self._usual = AsyncTransport(clock, max_bytes=max_bytes, transport=foreign)
        self._sync: SyncTransport | None = None
        blocking: SyncExchanger
        if foreign is not None and foreign_sync is None:
            blocking = ThroughLoop(self._usual, clock, self.background)
        else:
            blocking = self._sync = SyncTransport(clock, max_bytes=max_bytes, transport=foreign_sync)
        others: dict[str, Exchanger] = {}
        others_blocking: dict[str, SyncExchanger] = {}
        if over_aiohttp and foreign is None:
            from failsoft.io.transport_aiohttp import AiohttpTransport

            self.fast = AiohttpTransport(clock, max_bytes=max_bytes)
            others = dict.fromkeys(over_aiohttp, self.fast)
            if foreign_sync is None:
                others_blocking = dict.fromkeys(over_aiohttp, ThroughLoop(self.fast, clock, self.background))
        self.drivers = (
            AsyncDriver(self._usual, clock, others, blocked),
            SyncDriver(blocking, clock, self.background, others_blocking, blocked),
        )

    async def aclose(self) -> None:
        """Close what asyncio has."""
        await self._usual.aclose()
        if self.fast is not None:
            await self.fast.aclose()

    def close(self) -> None:
        """Close what threads have."""
        if self._sync is not None:
            self._sync.close()
        self.background.close()
