"""Chaos for staging: real requests, of which a share fails on purpose. Refuses to be made where nobody asked for it.

    chaos = ChaosTransport({faults.OVERLOADED: 0.05, faults.TIMED_OUT: 0.02}, environment="staging")
    isolation = Isolation.from_file("failsoft.toml", transport=chaos, sync_transport=chaos)

It must be switched on: by `environment`, or by ``FAILSOFT_CHAOS=staging`` in the process's environment. Where either says
production it refuses all the same, unless `in_production=True` says that it's meant. Each fault that it puts in is a
WARNING of the logger ``failsoft.chaos``.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping

import httpx

from failsoft.errors import ConfigurationError
from failsoft.io.transport import shared_ssl_context
from failsoft.testing.reaction import Rates, Reaction, playing
from failsoft.testing.transport import pause, pause_async, react, react_async

SWITCH = "FAILSOFT_CHAOS"
"""The environment variable that names the environment in which chaos is wanted."""

_OFF = frozenset({"", "0", "off", "no", "none", "false"})
_PRODUCTION = frozenset({"production", "prod", "live"})

_log = logging.getLogger("failsoft.chaos")


class ChaosTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Passes requests on, and fails a share of them instead; one may serve asyncio and threads together.

    Args:
        rates: the share of requests, from 0 to 1, that each reaction gets. ``USUAL.delayed("2s")`` passes on, late.
        environment: where this runs; ``FAILSOFT_CHAOS`` unless given.
        in_production: yes, really.
        seed: of the random numbers; None: others every time.
        transport: where requests go to from asyncio; httpx's own unless given.
        sync_transport: the same for ``.sync``.

    Raises:
        ConfigurationError: it isn't switched on, or this is production.
        ValueError: the rates are wrong, or hold something that only shows on the wire.
    """

    def __init__(
        self,
        rates: Mapping[Reaction, float],
        *,
        environment: str | None = None,
        in_production: bool = False,
        seed: int | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sync_transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.environment = _allowed(environment, in_production=in_production)
        self._script = playing(Rates(rates, seed=seed), "wire", "only shows on the wire: use a FaultServer")
        self._inner = transport or httpx.AsyncHTTPTransport(verify=shared_ssl_context(), trust_env=False)
        self._sync_inner = sync_transport or httpx.HTTPTransport(verify=shared_ssl_context(), trust_env=False)
        self._closed = threading.Event()
        shares = ", ".join(f"{each}: {rate:g}" for each, rate in rates.items())
        _log.warning('chaos.on environment=%s rates="%s"', self.environment, shares)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on, or fail."""
        reaction = self._next(request)
        if reaction.manner == "usual":
            await pause_async(reaction, request)
            return await self._inner.handle_async_request(request)
        await request.aread()
        return await react_async(reaction, request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on, or fail."""
        ended = self._closed
        reaction = self._next(request)
        if reaction.manner == "usual":
            pause(reaction, request, ended)
            return self._sync_inner.handle_request(request)
        request.read()
        return react(reaction, request, ended)

    async def aclose(self) -> None:
        """Close the connections of asyncio."""
        await self._inner.aclose()

    def close(self) -> None:
        """Close the connections of threads, and end what hangs there."""
        ended, self._closed = self._closed, threading.Event()
        ended.set()
        self._sync_inner.close()

    def _next(self, request: httpx.Request) -> Reaction:
        reaction = self._script.next()
        if reaction.manner != "usual" or reaction.delay:
            _log.warning('chaos.injected fault="%s" host=%s', reaction, request.url.host)
        return reaction


def _allowed(environment: str | None, *, in_production: bool) -> str:
    switched = os.environ.get(SWITCH, "").strip().lower()
    named = switched if environment is None else environment.strip().lower()
    if named in _OFF:
        raise ConfigurationError(
            f'chaos isn\'t switched on here: pass environment="staging", or set {SWITCH}=staging for the process'
        )
    if not in_production and _PRODUCTION & {named, switched}:
        raise ConfigurationError("chaos is refused in production; in_production=True says that it's meant")
    return named
