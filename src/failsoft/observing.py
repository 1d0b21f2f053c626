"""`observe`: an HTTP client for an unchanged SDK, which puts on record what was asked and what was served.

    client = AsyncOpenAI(http_client=failsoft.observe())

Theory of operation. The client is httpx's (or httpx2's) own, over its own transport; around that stands one which lets
every byte pass unchanged, both ways, and keeps a copy. When a reply has been read to its end, by whoever reads it at
whatever pace, the copy is decoded as an adapter would decode it, and two records are queued: `call.started` when the
request went out, `call.completed` when the reply had come. Nothing waits for them, nothing is retried or refused, and
nothing that goes wrong here reaches the caller: it's told as an event.

It's for the first ten minutes: it shows which models answer. It isolates nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.io.clock import SystemClock
from failsoft.ledger.location import Location, locate
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.observer import Decoded, Observer, Watch
from failsoft.outcome import Pin
from failsoft.providers import PROVIDERS
from failsoft.telemetry import Telemetry

Library = Literal["httpx", "httpx2"]


def observe(
    ledger: str | Path | None = "failsoft.db",
    *,
    pins: Mapping[str, str | Pin] | None = None,
    provider: str | None = None,
    sync: bool = False,
    library: Library | None = None,
    **options: Any,
) -> Any:
    """An HTTP client for a provider's SDK, which records and changes nothing.

    Args:
        ledger: the file that records go to, or its URL as a configuration has it; read by ``failsoft log``, ``show`` and
            ``verify``. None: events only.
        pins: for a model that is asked for, the name that must be served (or a `Pin`); another is told by the event
            ``pin.mismatch``. Nothing is refused.
        provider: whose replies they are, by a name of `failsoft.providers.PROVIDERS`; None: by each request's host and path.
        sync: a client for the SDK's blocking classes (``OpenAI``, ``Anthropic``).
        library: ``httpx`` or ``httpx2``, as the SDK wants it; None: httpx2 where it's installed, as the newer SDKs want it.
        options: for the client, as ``timeout``, ``verify`` or ``transport`` (what stands behind this one).

    Returns:
        An ``AsyncClient``, or a ``Client`` where `sync` says so. Its ``close`` closes the ledger too.

    Raises:
        ConfigurationError: the provider isn't known, or the library isn't installed.
        LedgerInvalid: the file can't be used.
    """
    httpx = _library(library)
    provider = None if provider is None else provider.replace("_", "-")
    if provider is not None and provider not in PROVIDERS:
        raise ConfigurationError(f"provider: there is none named {provider!r}; it's one of {', '.join(PROVIDERS)}")
    for asked, expected in (pins or {}).items():
        if not isinstance(cast("object", expected), (str, Pin)):
            raise ConfigurationError(f"pins: for {asked!r} a served name or a Pin is wanted, not {expected!r}")
    client = httpx.Client(**options) if sync else httpx.AsyncClient(**options)
    telemetry = Telemetry()
    telemetry.prepare()
    observer = Observer(pins or {}, provider, telemetry, None if ledger is None else _opened(locate(ledger)))
    wrapped = (_transport if sync else _async_transport)(httpx)
    # Around the client's own: one that's handed in would keep it from the environment's proxies.
    client._transport = wrapped(client._transport, observer)
    client._mounts = {
        pattern: None if each is None else wrapped(each, observer) for pattern, each in client._mounts.items()
    }
    return client


def _library(name: Library | None) -> ModuleType:
    if name not in (None, "httpx", "httpx2"):
        raise ConfigurationError(f'library: "httpx" or "httpx2", not {name!r}')
    for each in ("httpx2", "httpx") if name is None else (name,):
        try:
            return importlib.import_module(each)
        except ImportError:
            continue
    raise ConfigurationError(f"library: {name} isn't installed")


def _opened(location: Location) -> StoredLedger:
    telemetry = Telemetry()
    ledger = StoredLedger(
        location, policy="continue", clock=SystemClock(), on_event=lambda name, fields: telemetry.emit(name, **fields)
    )
    ledger.open()
    return ledger


_MEANINGS = (
    ("ConnectTimeout", FaultKind.CONNECT_TIMEOUT),
    ("PoolTimeout", FaultKind.POOL_EXHAUSTED),
    ("ProxyError", FaultKind.PROXY_REFUSED),
    ("ConnectError", FaultKind.CONNECT_FAILED),
    ("UnsupportedProtocol", FaultKind.CONNECT_FAILED),
    ("TimeoutException", FaultKind.ATTEMPT_TIMEOUT),
    ("WriteError", FaultKind.UPLOAD_CUT),
)
"""What the client's exceptions mean, the first that fits. After any other the question may have been sent."""


def _meaning(httpx: Any, error: BaseException) -> FaultKind:
    if not isinstance(error, Exception):
        return FaultKind.CANCELLED
    fits = (kind for name, kind in _MEANINGS if isinstance(error, getattr(httpx, name)))
    return next(fits, FaultKind.CONNECTION_LOST)


_STEPS = {"gzip": 4096, "deflate": 4096}
"""Compressed bytes that are put in at once: DEFLATE makes some thousand of one at most (RFC 1951)."""

_STEP = 64
"""Those of any other encoding: few enough that what they may hold is bounded."""


def _decoder(httpx: Any, response: Any) -> Decoded:
    """Undoes the content encoding, as the client does for whoever reads the reply, and no further than it's kept."""

    def decoded(body: bytes, most: int) -> bytes | None:
        encoding = response.headers.get("content-encoding")
        if not encoding:
            return body
        if "," in encoding:  # each would multiply what the one before made of a step
            raise ValueError("a list of several encodings")
        plain = bytearray()
        step = _STEPS.get(encoding.strip().lower(), _STEP)
        steps = (body[start : start + step] for start in range(0, len(body), step))
        for part in httpx.Response(200, headers=response.headers, content=steps).iter_bytes():
            plain += part
            if len(plain) > most:
                return None
        return bytes(plain)

    return decoded


def _copied(httpx: Any, response: Any, stream: Any) -> Any:
    """The same response over another stream: one that holds its body already would never read its own."""
    return httpx.Response(response.status_code, headers=response.headers, stream=stream, extensions=response.extensions)


def _watch(observer: Observer, request: Any) -> Watch | None:
    if request.method != "POST":  # whatever is asked of a model is; the same places list what was asked
        return None
    try:
        body: bytes = request.content
    except Exception:  # a request whose body is a stream: it may be read only once
        return None
    return observer.begin(str(request.url), request.headers, body)


def _async_transport(httpx: Any) -> Any:
    class Stream(httpx.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, inner: Any, watch: Watch, response: Any) -> None:
            self._inner, self._watch, self._response = inner, watch, response

        async def __aiter__(self) -> AsyncIterator[bytes]:
            decoded = _decoder(httpx, self._response)
            try:
                async for part in self._inner:
                    self._watch.heard(part)
                    yield part
            except Exception as error:
                self._watch.end(self._response, decoded, _meaning(httpx, error))
                raise
            self._watch.end(self._response, decoded)

        async def aclose(self) -> None:
            try:
                await self._inner.aclose()
            finally:
                self._watch.end(self._response, _decoder(httpx, self._response), FaultKind.CANCELLED)

    class ObservingTransport(httpx.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, inner: Any, observer: Observer) -> None:
            self._inner, self._observer = inner, observer

        async def handle_async_request(self, request: Any) -> Any:
            watch = _watch(self._observer, request)
            if watch is None:
                return await self._inner.handle_async_request(request)
            try:
                response = await self._inner.handle_async_request(request)
            except BaseException as error:
                watch.end(None, None, _meaning(httpx, error))
                raise
            return _copied(httpx, response, Stream(response.stream, watch, response))

        async def aclose(self) -> None:
            try:
                await self._inner.aclose()
            finally:
                self._observer.close()

    return ObservingTransport


def _transport(httpx: Any) -> Any:
    class Stream(httpx.SyncByteStream):  # type: ignore[misc]
        def __init__(self, inner: Any, watch: Watch, response: Any) -> None:
            self._inner, self._watch, self._response = inner, watch, response

        def __iter__(self) -> Iterator[bytes]:
            decoded = _decoder(httpx, self._response)
            try:
                for part in self._inner:
                    self._watch.heard(part)
                    yield part
            except Exception as error:
                self._watch.end(self._response, decoded, _meaning(httpx, error))
                raise
            self._watch.end(self._response, decoded)

        def close(self) -> None:
            try:
                self._inner.close()
            finally:
                self._watch.end(self._response, _decoder(httpx, self._response), FaultKind.CANCELLED)

    class ObservingTransport(httpx.BaseTransport):  # type: ignore[misc]
        def __init__(self, inner: Any, observer: Observer) -> None:
            self._inner, self._observer = inner, observer

        def handle_request(self, request: Any) -> Any:
            watch = _watch(self._observer, request)
            if watch is None:
                return self._inner.handle_request(request)
            try:
                response = self._inner.handle_request(request)
            except BaseException as error:
                watch.end(None, None, _meaning(httpx, error))
                raise
            return _copied(httpx, response, Stream(response.stream, watch, response))

        def close(self) -> None:
            try:
                self._inner.close()
            finally:
                self._observer.close()

    return ObservingTransport
