"""What `failsoft.observe` makes of the exchanges that it hears: decoded as an adapter would, on record, never in the way.

Nothing here raises, nothing waits: records are queued, and what goes wrong is an event.
"""

from __future__ import annotations

import atexit
import hashlib
import random
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

from attrs import define, field

from failsoft.adapters.base import as_object, as_text
from failsoft.adapters.reading import reading_of
from failsoft.adapters.recorded import carried, clean_url
from failsoft.adapters.registry import api_of, reader_of, speaker_of
from failsoft.adapters.strict_json import StrictJsonError, loads
from failsoft.context import CallContext, current_context
from failsoft.core.clock import uuid7
from failsoft.core.effects import HttpReply, Ticket
from failsoft.core.evidence import Attempt, CallCompleted, CallStarted, ConfigActivated
from failsoft.core.judge import struck
from failsoft.fault import FaultKind
from failsoft.io.clock import SystemClock
from failsoft.io.fork import mend_after_fork
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.outcome import Pin, Source
from failsoft.providers import PROVIDERS, Provider
from failsoft.telemetry import Telemetry

MOST = 16 << 20
"""Bytes of one reply, on the wire and inflated, or of one request, that are kept."""

Decoded = Callable[[bytes, int], bytes | None]
"""Makes of a reply's body, as it came over the wire, what it says: None where that's more than so many bytes."""

NAME = "observed"
"""The capability's name in records: what is asked through an SDK is none of failsoft's capabilities."""

_IN_URL = re.compile(r"/(?:model|deployments)/(?P<own>[^/]+)/|/(?:models|tunedModels|endpoints)/(?P<name>[^/:]+):")
"""Where a model stands in the URL: Bedrock's and Azure's, whose names may have a colon; Gemini's, which end with one."""

_ABOUT_RESPONSES = re.compile(r"/responses/[^/]+$")
"""What's posted there asks for no answer: it counts tokens, or makes a conversation shorter."""

_SNAPSHOT = b'{"observed":true}'


@define(eq=False)
class Observer:
    """Hears exchanges, decodes them and queues records of them. Nothing that it does raises.

    Args:
        pins: by the model asked for.
        provider: whose replies they are; None: by the URL.
        telemetry: where events go.
        ledger: where records go.
    """

    pins: Mapping[str, str | Pin]
    provider: str | None
    telemetry: Telemetry
    ledger: StoredLedger | None
    _clock: SystemClock = field(factory=SystemClock)
    _random: random.Random = field(factory=random.Random)
    _digest: str = field(init=False, default=hashlib.sha256(_SNAPSHOT).hexdigest())
    _open: WeakSet[Watch] = field(init=False, factory=WeakSet["Watch"])
    _closing: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        mend_after_fork(self)
        if self.ledger is not None:
            self.ledger.submit(ConfigActivated(_SNAPSHOT, ((NAME, None),), ()))

    def begin(self, url: str, headers: Mapping[str, str], body: bytes) -> Watch | None:
        """A request goes out; None where it's none that is observed."""
        try:
            found = (
                speaker_of(url)
                if self.provider is None
                else (PROVIDERS[self.provider], api_of(PROVIDERS[self.provider], url))
            )
            if found is None or found[1] is None or len(body) > MOST or _ABOUT_RESPONSES.search(urlsplit(url).path):
                return None
            return self._begun(found[0], found[1], url, headers, body)
        except Exception as error:  # the caller's request goes out whatever happens here
            self._failed(error)
            return None

    def _begun(self, provider: Provider, api: str, url: str, headers: Mapping[str, str], body: bytes) -> Watch:
        context = current_context()
        asked = _asked(body, url)
        call_id = uuid7(self._clock.time_ns(), self._random.getrandbits(74))
        keys = carried(headers, url)
        kept = struck(HttpReply(200, {}, body), keys).body
        started = CallStarted(call_id, NAME, None, kept, 0, (provider.name,), context, self._digest)
        ticket = None if self.ledger is None else self.ledger.submit(started)
        place = clean_url(url).partition("?")[0]
        begun = self._clock.monotonic_ns()
        watch = Watch(self, provider, api, place, asked, context, call_id, ticket, keys, begun)
        self._open.add(watch)
        return watch

    def ended(self, watch: Watch, status: int | None, reply: HttpReply | None, fault: FaultKind | None) -> None:
        """Its reply has come, or none will.

        Args:
            watch: the exchange.
            status: the reply's; None: there was none.
            reply: None, too, where it isn't kept.
            fault: what's known to be wrong with it.
        """
        if watch not in self._open:  # begun before a fork, and closed by what this child inherited
            return
        try:
            self._ended(watch, status, reply, fault)
        except Exception as error:
            self._failed(error)
        self._open.discard(watch)
        if self._closing:
            self.close()

    def _ended(self, watch: Watch, status: int | None, reply: HttpReply | None, fault: FaultKind | None) -> None:
        us = (self._clock.monotonic_ns() - watch.begun) // 1000
        pin = self._pin(watch.asked)
        attempt = Attempt(
            1, watch.provider.name, NAME, watch.url, pin, us=us, status=status, fault=fault and fault.value
        )
        answered = status is not None and status < 300
        if reply is not None:
            answered = self._read(watch, attempt, struck(reply, watch.keys)) and answered
        self._tell(watch, attempt)
        if self.ledger is not None and watch.started is not None:
            self.ledger.submit(_completed(watch, watch.started, attempt, answered))

    def _read(self, watch: Watch, attempt: Attempt, reply: HttpReply) -> bool:
        """Take over what it says. May it be an answer of a model's? A part of one may have been used, too."""
        attempt.reply = reply.body
        try:
            read = reading_of(reader_of(watch.provider, watch.api, watch.asked), reply)
        except Exception as error:
            attempt.fault = FaultKind.BUG.value
            self._failed(error)
            return bool(reply.body)
        attempt.served, attempt.tokens = read.served, read.tokens
        if attempt.fault == FaultKind.CANCELLED.value and read.fault is None:
            attempt.fault = None  # whoever read it knew its end: SDKs read no stream any further
        if read.fault is None or attempt.fault is not None:
            return bool(reply.body)
        attempt.fault = read.fault.kind.value
        return read.fault.kind is FaultKind.REFUSED or bool(read.text or read.calls or read.answer)

    def _tell(self, watch: Watch, attempt: Attempt) -> None:
        served = attempt.served
        model, grade = (None, None) if served is None else (served.model, served.grade.value)
        who: dict[str, Any] = {"asked": watch.asked, "served": model, "call_id": watch.call_id}
        self.telemetry.emit(
            "exchange.observed",
            provider=watch.provider.name,
            grade=grade,
            status=attempt.status,
            fault=attempt.fault,
            ms=attempt.us // 1000,
            **who,
        )
        if model is not None and watch.asked in self.pins and not attempt.pin.admits(model):
            self.telemetry.emit("pin.mismatch", adapter=watch.provider.name, **who)

    def _pin(self, asked: str) -> Pin:
        expected = self.pins.get(asked, asked)
        return expected if isinstance(expected, Pin) else Pin(asked, (expected,))

    def _failed(self, error: Exception) -> None:
        self.telemetry.emit("observing.failed", error=type(error).__name__)

    def close(self) -> None:
        """Write what's queued: at once, or when the last exchange that's on its way is over, or else the program."""
        if self.ledger is None:
            return
        if not self._open:
            self.ledger.close()
        elif not self._closing:
            atexit.register(self.ledger.close)
        self._closing = True

    def after_fork(self) -> None:
        """In a forked child: other random numbers, or two processes would give one call id twice. What was on its way is
        the parent's: how that ends is on record there, and close waits for none of it here.
        """
        self._random.seed()
        self._open = WeakSet()


def _completed(watch: Watch, started: Ticket, attempt: Attempt, answered: bool) -> CallCompleted:
    return CallCompleted(
        watch.call_id,
        NAME,
        None,
        started,
        "answered" if answered else "failed",
        False,
        Source("adapter", watch.provider.name, 1) if answered else None,
        watch.context,
        attempt.us,
        NAME if answered else None,
        (attempt,),
    )


def _asked(body: bytes, url: str) -> str:
    """The model that a request asks for: in its body, or else in its URL."""
    try:
        named = as_text(as_object(loads(body)).get("model"))
    except StrictJsonError:
        named = None
    found = None if named else _IN_URL.search(clean_url(url).partition("?")[0])
    return named or ("unknown" if found is None else unquote(found["own"] or found["name"]))


@define(eq=False)
class Watch:
    """One exchange on its way.

    Args:
        keys: what its request carried in headers and URL: struck from its body and from what comes back.
        begun: monotonic nanoseconds.
    """

    observer: Observer
    provider: Provider
    api: str
    url: str
    asked: str
    context: CallContext
    call_id: str
    started: Ticket | None
    keys: tuple[str, ...] = field(repr=False)
    begun: int
    _parts: list[bytes] = field(factory=list[bytes], repr=False)
    _size: int = 0
    _over: bool = False

    def heard(self, part: bytes) -> None:
        """A piece of the reply's body, as it came over the wire."""
        self._size += len(part)
        if self._size <= MOST:
            self._parts.append(part)

    def end(self, response: Any, decoded: Decoded | None, fault: FaultKind | None = None) -> None:
        """The reply is over: it came whole, or broke off, or whoever read it went away."""
        if self._over:
            return
        self._over = True
        if response is None or decoded is None:
            self.observer.ended(self, None, None, fault)
            return
        status: int = response.status_code
        try:
            headers = {name.lower(): value for name, value in response.headers.items()}
            headers.pop("content-encoding", None)
            body = None if self._size > MOST else decoded(b"".join(self._parts), MOST)
        except Exception:  # the body's encoding is none that this client can undo
            self.observer.ended(self, status, None, fault or FaultKind.BAD_ENCODING)
            return
        if body is None:
            self.observer.ended(self, status, None, fault or FaultKind.TOO_LARGE)
        else:
            self.observer.ended(self, status, HttpReply(status, headers, body), fault)
