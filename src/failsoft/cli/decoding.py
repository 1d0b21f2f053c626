"""`failsoft adapter decode`: what failsoft makes of recorded replies, one JSON object a line."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from failsoft.adapters.reading import Reading, answer_of, reading_of
from failsoft.adapters.recorded import Exchanged, NotRecorded, exchanged
from failsoft.adapters.registry import api_of, at_home, reader_of, speaker_of
from failsoft.config_file import nearest
from failsoft.core.effects import Reply
from failsoft.core.retry_after import retry_after_ns
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.providers import CALLABLE, PROVIDERS, Provider, find, known

MAX_LINE = 64 << 20
"""Bytes of one line: a reply is at most 16 MiB, and JSON may write a byte as six."""


def provider_named(name: str) -> Provider:
    """The provider of this name; ``azure_openai``, ``llama.cpp`` and ``OpenAI`` are understood too.

    Raises:
        ConfigurationError: there's none, or a foreign one can't be loaded.
    """
    plain = name.lower().replace("_", "-").replace(".", "-")
    try:
        found = find(plain)
    except Exception as error:  # a foreign distribution may raise anything as it's imported
        raise ConfigurationError(f"--provider: {name!r} can't be loaded: {type(error).__name__}: {error}") from None
    if found is None:
        names = [each for each in known() if each != CALLABLE]
        near = nearest(plain, names)
        hint = f"did you mean {near!r}?" if near else f"it's one of {', '.join(names)}"
        raise ConfigurationError(f"--provider: there is none named {name!r}; {hint}")
    return found


_CALLED_TOO: Mapping[str, tuple[str, ...]] = {
    "chat": ("completions",),
    "generate-content": ("generate", "generate-stream", "generatecontent", "streamgeneratecontent"),
    "converse": ("converse-stream",),
    "invoke": ("invoke-stream",),
}


def api_named(provider: Provider, endpoint: str) -> str:
    """The interface that ``--endpoint`` means: by its name, by what else it's called, or by a URL.

    Raises:
        ConfigurationError: it's none of the provider's.
    """
    plain = endpoint.partition("?")[0]
    word = plain.lower().replace("_", "-")
    for api, pattern in provider.apis.items():
        if word == api or (pattern and re.search(pattern, "/" + plain.lstrip("/"))):
            return api
    for api in provider.apis:
        if word in _CALLED_TOO.get(api, ()):
            return api
    raise ConfigurationError(f"--endpoint: {provider.name} has no {endpoint!r}; it's one of {', '.join(provider.apis)}")


_ANOTHER_DIALECT = (FaultKind.NOT_AN_ANSWER, FaultKind.MALFORMED_REPLY, FaultKind.TRUNCATED_STREAM)

_USUAL = PROVIDERS["openai-compatible"], "chat"
"""What most gateways speak."""


@define
class Decoder:
    """Decodes recorded exchanges of one provider. Never raises for what they hold.

    Args:
        provider: whose they are.
        api: the interface; None: by each exchange's URL, and the first one where that says nothing.
    """

    provider: Provider
    api: str | None = None
    _codecs: dict[tuple[str, str | None, str], Any] = field(factory=dict[tuple[str, str | None, str], Any])

    def lines(self, source: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        """One object for each line that isn't empty."""
        for number, line in enumerate(source, 1):
            if line.strip():
                yield {"line": number, **self.line(line)}

    def line(self, line: bytes) -> dict[str, Any]:
        """What one line holds."""
        try:
            row: object = json.loads(line.decode("utf-8", "replace")) if len(line) <= MAX_LINE else None
        except (ValueError, RecursionError):
            return {"fault": "not_recorded", "detail": "not JSON"}
        try:
            return self.exchange(exchanged(row))
        except NotRecorded as error:
            return {"fault": "not_recorded", "detail": str(error)}

    def exchange(self, exchange: Exchanged) -> dict[str, Any]:
        """What one exchange's reply says."""
        try:
            return told(self._reading(exchange), exchange)
        except (Exception, SystemExit) as error:  # a foreign codec may raise anything
            return {"fault": "bug", "detail": f"decoding raised {type(error).__name__}"}

    def _reading(self, exchange: Exchanged) -> Reading:
        api, model = self.api or api_of(self.provider, exchange.url), exchange.model or "unknown"
        own = reading_of(self._codec(self.provider, api, model), exchange.reply)
        if own.fault is None or own.text or own.calls or own.fault.kind not in _ANOTHER_DIALECT:
            return own
        home = at_home(exchange.url)
        if home and self.provider not in home:
            return own  # it isn't this provider's
        for speaker in (speaker_of(exchange.url), _USUAL):  # a gateway that speaks another's dialect too
            if speaker is not None:
                found = reading_of(self._codec(*speaker, model), exchange.reply)
                if found.fault is None or found.text or found.calls:
                    return found
        return own

    def _codec(self, provider: Provider, api: str | None, model: str) -> Any:
        key = provider.name, api, model
        if key not in self._codecs:
            try:
                self._codecs[key] = reader_of(provider, api, model)
            except ConfigurationError:  # a model of which that interface can't tell whose it is
                self._codecs[key] = reader_of(provider, None, model)
        return self._codecs[key]


def told(reading: Reading, exchange: Exchanged) -> dict[str, Any]:
    """A reading as plain JSON."""
    served, fault, tokens, reply = reading.served, reading.fault, reading.tokens, exchange.reply
    found: dict[str, Any] = {
        "status": reply.status,
        "served": served.model,
        "grade": served.grade.value,
        "fingerprint": served.fingerprint,
        "request_id": served.request_id,
        "text": reading.text,
        "tool_calls": [{"name": each.name, "arguments": each.arguments, "id": each.number} for each in reading.calls],
        "finish": reading.finish,
        "fault": None if fault is None else fault.kind.value,
        "detail": None if fault is None else fault.detail,
        "usage": None if tokens is None else {"input": tokens.input, "output": tokens.output, "total": tokens.total},
        "retry_after": None,
    }
    answer = answer_of(reading, reply.status)
    if isinstance(answer, Reply):
        found["value"] = json.loads(answer.answer)
    if fault is not None and fault.treatment.throttle != "no":
        told = fault.retry_after_ns
        wait = told if told is not None else retry_after_ns(reply.headers, reply.status, time.time_ns())
        found["retry_after"] = None if wait is None else wait / 1e9
    return found


def source_of(path: Path) -> Iterator[bytes]:
    """The lines of a file; of standard input where it's ``-``.

    Raises:
        ConfigurationError: it can't be read.
    """
    if str(path) == "-":
        yield from sys.stdin.buffer
        return
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                yield line
                while len(line) > MAX_LINE and not line.endswith(b"\n"):  # the rest of one that's too long
                    line = file.readline(MAX_LINE + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from None
