"""Real exchanges written down without their secrets, and answered from again: tests on real replies without a provider.

    recorder = Recorder("replies.jsonl")                             # once, with a key
    isolation = Isolation(config, transport=recorder, sync_transport=recorder)

    replayer = Replayer("replies.jsonl")                             # ever after, with none
    isolation = Isolation(config, transport=replayer, sync_transport=replayer)

One JSON object a line, in the form that ``failsoft adapter decode`` reads. A recording is a file for version control, and it
holds what was asked and answered: look at it before it's committed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from failsoft.adapters.recorded import Exchanged, NotRecorded, body_of, carried, clean_url, exchanged
from failsoft.core.effects import HttpReply
from failsoft.core.judge import struck
from failsoft.credentials import SHORTEST_SECRET
from failsoft.errors import FailsoftError
from failsoft.io.transport import shared_ssl_context

_TOLD = ("content-type", "anthropic-version", "anthropic-beta")
"""Of a request's headers; the others say who asked and from where, not what."""

_PERSONAL = frozenset({"set-cookie", "openai-organization", "openai-project", "x-amz-security-token"})
"""Of a reply's headers: whose account it is."""


class NotReplayed(FailsoftError):
    """A request that no recording answers."""


class Recorder(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Passes requests on and writes each exchange down; one may serve asyncio and threads together.

    What's written holds no header of the request but its type and version, no key that the request carried, no cookie, no
    name of an account; a query's parameters that are named like secrets are struck. Nothing can know every secret: name
    your own.

    Args:
        path: the file; exchanges are appended to it.
        secrets: texts of at least 8 characters that are struck wherever they stand.
        transport: where requests go to from asyncio; httpx's own unless given.
        sync_transport: the same for ``.sync``.

    Raises:
        ValueError: a secret is too short to be told from other text.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        secrets: Iterable[str] = (),
        transport: httpx.AsyncBaseTransport | None = None,
        sync_transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.path = Path(path)
        self._secrets = tuple(secrets)
        if any(len(each) < SHORTEST_SECRET for each in self._secrets):
            raise ValueError(f"a secret of fewer than {SHORTEST_SECRET} characters can't be told from other text")
        self._asynchronous = transport or httpx.AsyncHTTPTransport(verify=shared_ssl_context(), trust_env=False)
        self._blocking = sync_transport or httpx.HTTPTransport(verify=shared_ssl_context(), trust_env=False)
        self._lock = threading.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on, read whole, write down. Raises what the transport raises: such an exchange isn't written."""
        await request.aread()
        response = await self._asynchronous.handle_async_request(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        return self._written(request, response, body)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on, read whole, write down. Raises what the transport raises: such an exchange isn't written."""
        request.read()
        response = self._blocking.handle_request(request)
        try:
            body = response.read()
        finally:
            response.close()
        return self._written(request, response, body)

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._asynchronous.aclose()

    def close(self) -> None:
        """Let go of connections."""
        self._blocking.close()

    def _written(self, request: httpx.Request, response: httpx.Response, body: bytes) -> httpx.Response:
        headers = {
            name: value
            for name, value in response.headers.items()
            if name not in ("content-encoding", "content-length", "transfer-encoding")
        }
        line = json.dumps(self._row(request, response.status_code, headers, body), ensure_ascii=False)
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return httpx.Response(response.status_code, headers=headers, content=body)

    def _row(self, request: httpx.Request, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        secrets = (*self._secrets, *carried(request.headers, str(request.url)))
        asked = struck(HttpReply(200, {}, request.content), secrets)
        kept = {name: value for name, value in headers.items() if name not in _PERSONAL}
        reply = struck(HttpReply(status, kept, body), secrets)
        told = {name: request.headers[name] for name in _TOLD if name in request.headers}
        return {
            "request": {
                "method": request.method,
                "url": struck(HttpReply(200, {"url": clean_url(str(request.url))}, b""), secrets).headers["url"],
                "headers": told,
                **body_of(asked.body),
            },
            "response": {"status": status, "headers": dict(reply.headers), **body_of(reply.body)},
        }


class Replayer(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers from a recording and from nothing else: strict about what is asked.

    A request is answered by the first exchange not used yet that was asked the same: method, URL (without secrets) and
    body, where JSON is compared as values. Anything else is `NotReplayed`; an isolation makes a fault of that, so leave the
    ``with`` block of the replayer to be told.

        with Replayer("replies.jsonl") as replayer: ...

    Args:
        path: what a `Recorder` wrote.
        again: an exchange may answer more than once.

    Attributes:
        refused: what was asked and isn't recorded: method and URL, and why.
        unused: how many recorded exchanges nobody asked for.

    Raises:
        NotRecorded: a line is no recorded exchange: which one.
        OSError: the file can't be read.
    """

    def __init__(self, path: str | Path, *, again: bool = False) -> None:
        self.path = Path(path)
        self.refused: list[str] = []
        self._again = again
        self._lock = threading.Lock()
        self._left: list[Exchanged] = []
        try:
            text = self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise NotRecorded(f"{self.path}: it isn't UTF-8") from None
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                self._left.append(_parsed(line, f"{self.path}, line {number}"))
        self._all = tuple(self._left)

    @property
    def unused(self) -> int:
        """How many recorded exchanges nobody asked for."""
        return len(self._left)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or raise `NotReplayed`."""
        await request.aread()
        return self._answer(request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or raise `NotReplayed`."""
        request.read()
        return self._answer(request)

    def __exit__(self, *details: Any) -> None:
        """Tell of what wasn't answered.

        Raises:
            NotReplayed: something wasn't, and nothing else is raised already.
        """
        if self.refused and (not details or details[0] is None):
            raise NotReplayed("; ".join(self.refused))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        asked = (request.method, clean_url(str(request.url)), _comparable(request.content))
        with self._lock:
            among = self._all if self._again else self._left
            found = next((each for each in among if _question(each) == asked), None)
            if found is not None and not self._again:
                self._left.remove(found)
        if found is None:
            same = any(_question(each)[:2] == asked[:2] for each in self._all)
            why = "was recorded with another body, or fewer times" if same else "isn't in the recording"
            told = f"{request.method} {asked[1]} {why}: {self.path}"
            self.refused.append(told)
            raise NotReplayed(told)
        reply = found.reply
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)


def _parsed(line: str, place: str) -> Exchanged:
    try:
        return exchanged(json.loads(line))
    except (NotRecorded, ValueError, RecursionError) as error:
        reason = error if isinstance(error, NotRecorded) else "not JSON"
        raise NotRecorded(f"{place}: {reason}") from None


def _question(exchange: Exchanged) -> tuple[str, str, object]:
    return exchange.method, clean_url(exchange.url), _comparable(exchange.asked)


def _comparable(body: bytes) -> object:
    """JSON as a value, told by its canonical text; any other body as its bytes."""
    try:
        return json.dumps(json.loads(body), sort_keys=True)
    except (ValueError, RecursionError):
        return body
