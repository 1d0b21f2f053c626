"""The adapters of a recorded call, made again to read and to judge: by the configuration that its call names.

Rules:

1. An adapter is made from the snapshot on record, whose bytes must hash to the digest in the call's record: not from today's
   configuration, which may say something else under the same name. It has no key, and nobody is asked through it.
2. A snapshot is a stranger's text. Providers are found by name among those that are installed; no import path in it is
   followed, no file or variable that it names is read, and a pin's pattern is used only if today's configuration has it too.
3. What can't be made again is a reason, in a sentence.
"""

from __future__ import annotations

import json
import random
from hashlib import sha256
from typing import Any, Literal, cast

from attrs import define, field, frozen
from pydantic import BaseModel, ConfigDict, ValidationError

from failsoft.adapters.access import Access
from failsoft.adapters.registry import codec_of
from failsoft.adapters.streaming import FIRST_NS, GAP_NS, Ending, Streaming
from failsoft.adapters.strict_json import StrictJsonError, loads
from failsoft.core.breaker import Breaker
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.bulkhead import Bulkhead
from failsoft.core.effects import Codec, HttpReply, Reply, Tokens, Unusable
from failsoft.core.latch import Latch
from failsoft.core.route import GuardedAdapter
from failsoft.core.throttle import Throttle
from failsoft.errors import ConfigurationError
from failsoft.fault import Fault, FaultKind
from failsoft.io.clock import SystemClock
from failsoft.ledger.read import Reader
from failsoft.outcome import Grade, Pin, Served
from failsoft.providers import CALLABLE, find
from failsoft.replay.recorded import Attempted

_KEPT = 256  # configurations and adapters in memory: a hostile ledger must not grow it


class _Adapter(BaseModel):
    """What of an adapter's configuration decides how a reply is read and judged."""

    model_config = ConfigDict(strict=True, frozen=True)

    provider: str
    model: str
    base_url: str | None = None
    stream: bool = False
    stream_first: int | None = None
    stream_gap: int | None = None
    stream_end: str | None = None
    on_mismatch: Literal["refuse", "record"] = "refuse"
    require_grade: Literal["provider", "gateway", "echoed"] | None = None
    options: dict[str, Any] = {}


@frozen
class Snapshot:
    """A configuration on record.

    Args:
        adapters: by name, as they stand there; None: it's an observed SDK's, or can't be had.
        raises: a bug of a capability's own code was raised, and no fallback ran.
    """

    adapters: dict[str, Any] | None = None
    raises: bool = False


@frozen(eq=False)
class Judged:
    """An adapter as its replies are judged.

    Args:
        adapter: for `failsoft.core.judge`.
        version: of its codec, today.
        pinned: False: the pattern of its pin isn't one of today's, so it wasn't tried.
        elsewhere: an option of it came from the environment or a file, so its value isn't on record.
    """

    adapter: GuardedAdapter
    provider: str
    version: str
    pinned: bool = True
    elsewhere: bool = False


@define
class Configured:
    """The configurations of a ledger, and their adapters, made as they're asked for.

    Args:
        reader: an open ledger.
        patterns: the pins' patterns of today's configuration.
    """

    reader: Reader
    patterns: frozenset[str]
    _snapshots: dict[str, Snapshot] = field(factory=dict[str, Snapshot])
    _made: dict[tuple[str, str, Pin], Judged | str] = field(factory=dict[tuple[str, str, Pin], "Judged | str"])

    def snapshot(self, digest: str) -> Snapshot:
        """The configuration behind a digest; an empty one where it isn't there, isn't it, or can't be read."""
        found = self._snapshots.get(digest)
        if found is None:
            found = self._read(digest)
            if len(self._snapshots) < _KEPT:
                self._snapshots[digest] = found
        return found

    def judge_of(self, digest: str, attempt: Attempted) -> Judged | str:
        """What judges an attempt's reply; or why nothing can, as the end of a sentence.

        Args:
            digest: of the configuration that was in force.
            attempt: as recorded.
        """
        key = digest, attempt.adapter, attempt.pin
        found = self._made.get(key)
        if found is None:
            found = self._make(digest, attempt)
            if len(self._made) < _KEPT:
                self._made[key] = found
        return found

    def _read(self, digest: str) -> Snapshot:
        artifact = self.reader.artifact(digest)
        if artifact is None or type(artifact[1]) is not bytes or sha256(artifact[1]).hexdigest() != digest:
            return Snapshot()
        try:
            told: Any = json.loads(artifact[1])
        except (ValueError, RecursionError):
            return Snapshot()
        table = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
        adapters = table.get("adapters")
        known = cast("dict[str, Any]", adapters) if isinstance(adapters, dict) else None
        return Snapshot(known, table.get("on_bug") == "raise")

    def _make(self, digest: str, attempt: Attempted) -> Judged | str:
        adapters = self.snapshot(digest).adapters
        if adapters is None:
            return "the configuration that the call names isn't in the ledger, or can't be read"
        if attempt.adapter not in adapters:
            return "its adapter isn't in the configuration on record: it was made in code"
        try:
            table = _Adapter.model_validate(adapters[attempt.adapter])
        except ValidationError:
            return "its adapter in the configuration on record isn't as failsoft writes it"
        if table.provider == CALLABLE:
            return "its adapter is a function of the application's: what that returned isn't kept, only the answer"
        elsewhere = _is_elsewhere(table.options)
        try:
            codec = _codec(table)
        except (Exception, SystemExit) as error:  # another distribution's code may raise anything
            return f"no reader can be made for its adapter ({type(error).__name__})"
        if codec is None:
            return "its adapter's provider isn't installed here"
        pin, pinned = attempt.pin, True
        if pin.served_pattern is not None and pin.served_pattern not in self.patterns:
            pin, pinned = Pin(pin.model, () if attempt.served.model is None else (attempt.served.model,)), False
        adapter = guarded(attempt.adapter, codec, pin, table.on_mismatch, table.require_grade)
        return Judged(adapter, table.provider, codec.version, pinned, elsewhere)


def guarded(
    name: str,
    codec: object,
    pin: Pin,
    on_mismatch: Literal["refuse", "record"] = "record",
    require_grade: str | None = None,
) -> GuardedAdapter:
    """An adapter for judging alone: its guards guard nothing, and its codec needs `decode` only."""
    chance = random.Random(0)  # noqa: S311 - nobody waits
    return GuardedAdapter(
        name,
        cast("Codec", codec),
        pin,
        Breaker(BreakerSettings(), SystemClock(), chance, lambda change: None),
        Throttle(chance),
        Latch(chance),
        Bulkhead(1, 0),
        on_mismatch=on_mismatch,
        require_grade=None if require_grade is None else Grade[require_grade.upper()],
    )


class Told:
    """A codec that takes the word of a record for who answered: of replies that don't say it, or are answers already.

    Args:
        inner: the codec that reads the reply; None: it's the answer's own text.
        served: who answered, as recorded.
        tokens: what was used, as recorded, where nothing reads it.
    """

    def __init__(self, inner: Any, served: Served, tokens: Tokens | None = None) -> None:
        self._inner, self._served, self._tokens = inner, served, tokens

    def decode(self, reply: HttpReply) -> Reply | Unusable:
        """As the codec, but for who answered."""
        if self._inner is None:
            try:
                loads(reply.body)
            except StrictJsonError as error:
                return Unusable(Fault(FaultKind.MALFORMED_ANSWER, str(error)), self._served, self._tokens)
            return Reply(reply.body, self._served, self._tokens)
        found: Reply | Unusable = self._inner.decode(reply)
        if isinstance(found, Reply):
            return Reply(found.answer, self._served, found.tokens)
        return Unusable(found.fault, self._served, found.tokens, found.said)


def _codec(table: _Adapter) -> Codec | None:
    provider = find(table.provider)
    if provider is None:
        return None
    streaming = None
    if table.stream:
        usual = Ending.BOTH if provider.both_ends else Ending.FINISH
        end = usual if table.stream_end is None else Ending(table.stream_end)
        streaming = Streaming(table.stream_first or FIRST_NS, table.stream_gap or GAP_NS, end)
    place = table.base_url or provider.base_url
    if place is None:
        raise ConfigurationError("base_url: is missing")
    options = {name: _told(each) for name, each in table.options.items()}
    return codec_of(provider, Access(table.model, table.provider, place, streaming=streaming, options=options))


def _is_origin(value: Any) -> bool:
    """Does it name where a value came from, instead of the value?"""
    return isinstance(value, dict) and set(cast("Any", value)) in ({"env"}, {"file"})


def _is_elsewhere(value: Any) -> bool:
    if _is_origin(value):
        return True
    if isinstance(value, dict):
        return any(map(_is_elsewhere, cast("dict[str, Any]", value).values()))
    return isinstance(value, list) and any(map(_is_elsewhere, cast("Any", value)))


_STAND_IN = "elsewhere"


def _told(value: Any) -> Any:
    """An option, with a word in the place of what came from outside."""
    if _is_origin(value):
        return _STAND_IN
    if isinstance(value, dict):
        return {name: _told(each) for name, each in cast("dict[str, Any]", value).items()}
    return [_told(each) for each in cast("Any", value)] if isinstance(value, list) else value


_JSON_STARTS = (b"{", b"[")


def reply_of(codec: Any, status: int, body: bytes) -> HttpReply:
    """A stored reply as a codec is handed it.

    Its headers aren't kept. A stream of frames is known by its type alone, so that's given; what else a reply is, its
    body shows.
    """
    framed = getattr(codec, "streaming", None) is not None and status == 200
    kind: str = codec.stream_type if framed else ""
    headers = {"content-type": kind} if kind.startswith("application/vnd.") and not _is_json(body) else {}
    return HttpReply(status, headers, body)


def media_types(codec: Any, status: int) -> tuple[str, ...]:
    """Those by which a reply may have been read otherwise than by its body alone: of a stream, or of an error page."""
    if status >= 400:
        return ("text/html",)
    return (codec.stream_type,) if status == 200 and getattr(codec, "streaming", None) is not None else ()


def _is_json(body: bytes) -> bool:
    return body[:64].lstrip().startswith(_JSON_STARTS)
