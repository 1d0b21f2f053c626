"""What a call may ask of the world, and what the world hands back: values and protocols, nothing that runs.

A call (`failsoft.core.call`) is a generator. Where it must wait it yields an effect and is sent the effect's result as
a *value*; drivers in `failsoft.io` perform effects. The rooms beside and above core meet here only:

    adapters   are `Codec`s: an `Ask` becomes an `HttpRequest`, an `HttpReply` becomes a `Reply` or a `Fault`
    io         performs `Exchange`, `Invoke`, `Enter`, `Append`, `Sleep`, `Race`, `Detach`
    ledger     takes evidence by `Ledger.submit`, which queues without waiting, and hands back a `Ticket`
    telemetry  hears `Events`

All times are integers in nanoseconds on `Clock.monotonic_ns`, unless a name says otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, Protocol, TypeVar, final

from attrs import define, field, frozen

from failsoft.credentials import Credential
from failsoft.fault import Fault
from failsoft.outcome import Pin, Served
from failsoft.prompt import Prompt, Sampling

T = TypeVar("T")

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
LONG_AGO = -(2**62)
"""A moment before every other."""


# --- what is handed in ------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """The only source of time below the drivers."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since some fixed moment; never steps back."""
        ...

    def time_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may step."""
        ...


class Random(Protocol):
    """The only source of randomness below the drivers (`random.Random` fits)."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """An integer with `k` random bits."""
        ...


class Events(Protocol):
    """Where events go. `emit` never raises and never blocks on anything but the application's own log handler."""

    def emit(self, name: str, /, **fields: Any) -> None:
        """One event of the catalogue; no payload, no secret."""
        ...


# --- a one-shot result that something else delivers -------------------------------------------------------------------


class Promise(Generic[T]):
    """A result delivered once, from any thread: what `Enter` and `Append` wait on.

    `resolve` wins once; later ones are ignored and return False. Callbacks run in the resolver's thread, outside the
    lock, and must not raise: drivers put a wake-up there and nothing else.
    """

    __slots__ = ("_callbacks", "_lock", "done", "value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self.done = False
        self.value: T | None = None

    def resolve(self, value: T) -> bool:
        """Deliver; False if it was delivered before."""
        with self._lock:
            if self.done:
                return False
            self.value = value
            self.done = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
        return True

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call `callback` when delivered; at once if it already is."""
        with self._lock:
            if not self.done:
                self._callbacks.append(callback)
                return
        callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """The waiter has gone: don't call it."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


# --- HTTP, as values --------------------------------------------------------------------------------------------------


EVENT_STREAM = "text/event-stream"
"""The media type of the replies that a `Pulse` listens to, unless a request names another."""


class Pulse(Protocol):
    """Listens to the body of one streamed reply as it comes: pure, no clock, never raises."""

    @property
    def full(self) -> bool:
        """Has more come than any answer holds? The exchange then ends with the fault ``too_large``."""
        ...

    def heard(self, part: bytes, /) -> bool:
        """Did a meaningful event end in this part of the body? Comments and pings aren't meaningful."""
        ...


@define(eq=False)
class HttpRequest:
    """One POST to a provider.

    Args:
        url: absolute.
        headers: names in lower case. They may hold credentials: never shown in a repr.
        body: the exact bytes.
        pulse: makes what listens to a reply that is a stream; None: a reply's parts come whenever they like.
        first_ns: the most that the first meaningful event may take, from the start of the exchange.
        gap_ns: the most that may pass between two of them, and from the last one to the reply's end.
        stream_type: the media type of the replies that the pulse listens to.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    method: str = "POST"
    pulse: Callable[[], Pulse] | None = field(default=None, repr=False)
    first_ns: int = 0
    gap_ns: int = 0
    stream_type: str = EVENT_STREAM


@final
@define(eq=False)
class HttpReply:
    """A whole reply: framing checked, identity encoding, at most the size cap.

    Args:
        status: 100-599.
        headers: names in lower case; a repeated one is joined with ``", "``.
        body: the exact bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


# --- what a codec takes and gives -------------------------------------------------------------------------------------


@define(eq=False)
class AnswerSchema:
    """What a model may answer, made once per capability.

    Args:
        name: the capability's name: a label for dialects that want one.
        schema: JSON schema of the answer as it travels: an object. A response type that isn't an object travels
            wrapped in ``{"value": …}``.
        wrapped: is it?
    """

    name: str
    schema: dict[str, Any]
    wrapped: bool = False
    cache: dict[str, bytes] = field(factory=dict[str, bytes])
    """For codecs: the schema in each dialect's bytes, made once."""


@frozen(eq=False)
class Ask:
    """One typed question, in no provider's dialect, as one attempt gets it.

    Args:
        request: the application's validated request (for codecs that send it itself); a copy of its own if it can change.
        request_json: its JSON bytes: the evidence.
        prompt: what to say.
        answer: what may be answered.
        sampling: how to sample.
        pin: which model.
    """

    request: Any
    request_json: bytes = field(repr=False)
    prompt: Prompt = field(repr=False)
    answer: AnswerSchema
    sampling: Sampling
    pin: Pin


@define
class Tokens:
    """What a reply says it used; None where it says nothing (unknown isn't 0)."""

    input: int | None = None
    output: int | None = None

    @property
    def total(self) -> int | None:
        """Both together, where both are known."""
        return None if self.input is None or self.output is None else self.input + self.output


@final
@define(eq=False)
class Reply:
    """What a codec read from a reply that answers.

    Args:
        answer: the answer's JSON text, strictly valid (no duplicate keys, no NaN, no trailing text).
        served: who answered, as stated.
        tokens: usage, as stated.
    """

    answer: bytes = field(repr=False)
    served: Served
    tokens: Tokens | None = None


@final
@define(eq=False)
class Unusable:
    """What a codec read from a reply that doesn't answer.

    Args:
        fault: why it's no answer.
        served: who gave it, as stated.
        tokens: usage, as stated.
        said: what the model said all the same, for a repair.
    """

    fault: Fault
    served: Served | None = None
    tokens: Tokens | None = None
    said: bytes | None = field(default=None, repr=False)


class CannotAsk(Exception):
    """Raised by `Codec.encode`: this adapter can't be shown what the prompt holds. Nothing was sent.

    Args:
        fault: ``unsupported_content`` or ``context_too_long``, in our own words.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


class Codec(Protocol):
    """A provider at one pin, as pure functions: no I/O, no clock, no state that changes."""

    provider: str
    version: str
    endpoint: str | None
    """Where it asks, without query and userinfo: for the record."""
    secrets: tuple[str, ...]
    """The keys that it sends: struck from whatever a reply states, before anything else reads it."""

    def encode(self, ask: Ask) -> HttpRequest:
        """The exact bytes to send.

        Raises:
            CannotAsk: this adapter can't be shown what the prompt holds.
        """
        ...

    def authorize(self, request: HttpRequest, credential: Credential, now_ns: int) -> HttpRequest:
        """The request with a credential that it wasn't encoded with, at a moment of the wall clock (signatures state it).

        Raises:
            TypeError: the provider takes another kind of credential.
        """
        ...

    def decode(self, reply: HttpReply) -> Reply | Unusable:
        """What came back. Any HTTP status may be handed in."""
        ...


# --- the ledger, as core sees it --------------------------------------------------------------------------------------


@frozen
class Recorded:
    """A record is durable.

    Args:
        index: its position in the log; None where it waits for its database, durable on this host.
        leaf: its hash, 32 bytes: later records refer to it.
    """

    index: int | None
    leaf: bytes


@frozen
class Unrecorded:
    """A record is not durable, and won't be by itself."""

    reason: str


class Ticket(Protocol):
    """A record's way into the log: queued → taken | withdrawn.

    `promise` delivers `Recorded`, or `Unrecorded` after a failure. `withdraw` takes a record back that the writer
    hasn't taken yet; False means that it was taken: it may still become durable, and what the caller really got is then
    said by an amending record.
    """

    promise: Promise[Recorded | Unrecorded]

    def withdraw(self) -> bool:
        """Take it back; False if the writer has it already (or it's recorded)."""
        ...


class Ledger(Protocol):
    """The ledger's port. Nothing here waits."""

    healthy: bool
    """False from the first failure until the next successful commit: calls then post and don't wait."""

    def late(self, since: int) -> None:
        """A waiter gave up on an append that had time enough: the ledger is stuck, whatever it says of itself.

        Args:
            since: when it began to wait, in nanoseconds of the monotonic clock.
        """
        ...

    def submit(self, record: Any) -> Ticket:
        """Queue one record of `failsoft.core.evidence` for the next group commit."""
        ...


# --- effects ----------------------------------------------------------------------------------------------------------


@define(eq=False)
class Append:
    """Wait until a queued record is durable, or until `until`. Sent back: Recorded, Unrecorded, or None (late)."""

    ticket: Ticket
    until: int


@define(eq=False)
class Enter:
    """Wait for a slot of a full bulkhead, or until `until`. Sent back: True, or None (late)."""

    promise: Promise[bool]
    until: int


@define(eq=False)
class Exchange:
    """Send a request and read the whole reply, or give up at `until`. Sent back: HttpReply or Fault.

    A reply that is an event stream is given up, too, where its request's pulse says that nothing meaningful comes.
    """

    adapter: str
    request: HttpRequest
    until: int


@define(eq=False)
class Invoke:
    """Call the user's own function, or give up at `until`. Sent back: what it returned, or Raised, or Fault.

    `work` is resolved by the driver when the function has *really* ended: a timed-out thread goes on working, and its
    slot isn't free before that. `started` is set by the driver when there's work that may outlive the wait.
    """

    adapter: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    until: int
    work: Promise[None] = field(factory=Promise[None])
    started: bool = False


@final
@define(eq=False)
class Raised:
    """An exception that the user's own function raised: classified by the call, never re-raised."""

    error: Exception


@define(eq=False)
class Sleep:
    """Wait until `until`. Sent back: None."""

    until: int


@define(eq=False)
class Race:
    """Run several generators of effects beside each other, until one ends with what `won` accepts. Sent back: that, or None.

    The first branch starts at once. Each of the others starts when its delay has passed, or as soon as all that were started
    have ended without winning. When one has won the others are ended, by a BaseException thrown in, and waited for: under
    asyncio and in simulations at once, and for at most `CLOSING_SECONDS`. A thread's exchange can't be broken off: there a
    loser is ended when its exchange ends, and nobody waits for it.

    Args:
        branches: at least one.
        delays: nanoseconds from the start, one for each branch, ascending; the first is 0.
        won: is this result a winner's? Asked once for each branch that ends; must not raise.
    """

    branches: tuple[Generator[Effect, Any, Any], ...]
    delays: tuple[int, ...]
    won: Callable[[Any], bool]


@define(eq=False)
class Detach:
    """Run a generator of effects to its end, apart from this call, which goes on at once. Sent back: None.

    Its result is nobody's; what it raises is dropped. It's ended with its event loop, or when its isolation is left.
    """

    steps: Generator[Effect, Any, Any]


Effect = Append | Enter | Exchange | Invoke | Sleep | Race | Detach
