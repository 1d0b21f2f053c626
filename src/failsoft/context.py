"""Who asks, for which case, with data under which labels: carried by a context variable into record, route and bundle.

    with failsoft.context(case="SPE4A7-26-R-0001", actor="jdoe", labels={"CUI"}):
        outcome = await classify(item)

Contexts nest: an inner one adds labels to the outer's, replaces its case or actor only where it names its own, and can only
bring its deadline forward. What a callable adapter's function calls is inside the attempt's own time.
"""

from __future__ import annotations

import contextvars
import re
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import evolve, frozen

from failsoft.durations import duration_argument

_MAX_BYTES = 128
_MOST_LABELS = 64
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


_WITHOUT_GLYPH = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufdd0-\ufdef\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U0001d159"
    r"\U000e0000-\U000e0fff]"
)
"""What shows nothing by itself, though it's no space, and no control or format character; assigned or not."""


def has_glyph(char: str) -> bool:
    """Does it show anything by itself? Spaces, joiners and marks of direction don't. What this Python's Unicode doesn't know
    yet, or leaves to agreement, may.
    """
    kind = unicodedata.category(char)
    if kind[0] == "Z" or kind in ("Cc", "Cf", "Cs"):
        return False
    never_one = ord(char) & 0xFFFE == 0xFFFE  # the last two of a plane
    return not (never_one or _WITHOUT_GLYPH.match(char))


def says_something(text: str) -> bool:
    """Is there anything to read in it?"""
    return any(map(has_glyph, text))


def identifier(value: str, what: str) -> str:
    """`value` in NFC, as a plain `str`, or ValueError: an identifier has 1-128 bytes of UTF-8, no control or format
    characters, and isn't blank.

    TypeError: it's no text.
    """
    try:
        value = str.__str__(unicodedata.normalize("NFC", value))  # a StrEnum's stays one otherwise
    except TypeError:
        raise TypeError(f"{what} is text, not {type(value).__name__}") from None
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} is not valid Unicode") from None
    if not 0 < size <= _MAX_BYTES:
        raise ValueError(f"{what} must have 1 to {_MAX_BYTES} bytes, not {size}")
    if any(unicodedata.category(char) in ("Cc", "Cf") for char in value):
        raise ValueError(f"{what} must not contain control or format characters")
    if not (value.strip() if value.isascii() else says_something(value)):
        raise ValueError(f"{what} must not be blank")
    return value


def folded(name: str, what: str) -> str:
    """The same for all ways to write somebody's name that nobody tells apart. Arguments and errors as `identifier`."""
    return alike(identifier(name, what))


def alike(name: str) -> str:
    """The same of any text."""
    return unicodedata.normalize("NFC", name.casefold()).strip()


@frozen
class Case:
    """The file that a call belongs to.

    Args:
        id: its number, as people know it (a solicitation, a contract, a ticket).
        kind: what sort of file, e.g. ``"solicitation"``.
        series: the record series it's kept under.
    """

    id: str
    kind: str | None = None
    series: str | None = None


@frozen
class Actor:
    """The person or process that asks.

    Args:
        id: how the organisation names it.
        kind: ``"user"``, ``"service"``, …
        on_behalf_of: another identifier, where one acts for another.
    """

    id: str
    kind: str | None = None
    on_behalf_of: str | None = None


@frozen
class Trace:
    """The span of a distributed trace that a call belongs to (W3C Trace Context).

    Args:
        trace_id: 32 lower-case hex digits.
        span_id: 16 lower-case hex digits.
    """

    trace_id: str
    span_id: str

    @classmethod
    def parse(cls, traceparent: str) -> Trace:
        """From a ``traceparent`` header.

        Raises:
            ValueError: it isn't one.
            TypeError: it's no text.
        """
        if not isinstance(traceparent, str):
            raise TypeError(f"trace is a traceparent as text, or a Trace, not {type(traceparent).__name__}")
        found = _TRACEPARENT.fullmatch(traceparent)
        if found is None or not (found[1].strip("0") and found[2].strip("0")):
            raise ValueError(
                "a trace is a traceparent: 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, no id all zeros"
            )
        return cls(found[1], found[2])


@frozen
class CallContext:
    """What a call carries along besides its request.

    Args:
        trace: the span that it belongs to; None: none is known, or OpenTelemetry's current one, where that's loaded.
        until: nanoseconds on the monotonic clock: every call inside has ended by then; None: each has its own deadline.
    """

    case: Case | None = None
    actor: Actor | None = None
    labels: frozenset[str] = frozenset()
    until: int | None = None
    trace: Trace | None = None

    def remaining(self) -> float | None:
        """Seconds left, at least 0: what to give a service of one's own along as its time-out. None: no end is set."""
        return None if self.until is None else max(0.0, (self.until - time.monotonic_ns()) / 1e9)


def in_span(context: CallContext, api: Any) -> CallContext:
    """The context with OpenTelemetry's current span, unless it names its own.

    Args:
        context: of the call.
        api: the module `opentelemetry.trace`.
    """
    span = api.get_current_span().get_span_context()
    if context.trace is not None or not span.is_valid:
        return context
    return evolve(context, trace=Trace(f"{span.trace_id:032x}", f"{span.span_id:016x}"))


_EMPTY = CallContext()
_current: contextvars.ContextVar[CallContext] = contextvars.ContextVar("failsoft_context", default=_EMPTY)

current_context = _current.get


def end_by(until: int) -> None:
    """From here on, in this task's or thread's own context, every call ends by `until`."""
    outer = _current.get()
    if outer.until is None or until < outer.until:
        _current.set(evolve(outer, until=until))


@contextmanager
def context(
    *,
    case: str | Case | None = None,
    actor: str | Actor | None = None,
    labels: Iterable[str] = (),
    deadline: str | float | None = None,
    trace: str | Trace | None = None,
) -> Iterator[CallContext]:
    """Everything called inside belongs to this case, is done by this actor, and handles data with these labels.

    Args:
        case: the case's number, or a `Case`.
        actor: who asks, or an `Actor`.
        labels: markings of the data, e.g. ``{"CUI"}``: only adapters that list each of them see the request. A text is one.
        deadline: ``"2s"`` or seconds, 10 ms to 24 h, from now: all calls inside share it; a call's own may end earlier.
        trace: the span that calls inside belong to: a ``traceparent``, or a `Trace`. Not needed under OpenTelemetry.

    Raises:
        ValueError: an identifier is empty, longer than 128 bytes, or has control or format characters; a case's begins or
            ends with a space; there are more than 64 labels.
        TypeError: an argument is of another kind than these.
        ConfigurationError: the deadline is none, or out of range.
    """
    outer = _current.get()
    inner = evolve(outer, labels=_bounded(outer.labels | _checked_labels(labels)))
    if case is not None:
        inner = evolve(inner, case=_checked_case(case))
    if actor is not None:
        inner = evolve(inner, actor=_checked_actor(actor))
    if deadline is not None:
        until = _moment(deadline)
        inner = evolve(inner, until=until if inner.until is None else min(until, inner.until))
    if trace is not None:
        told = f"00-{trace.trace_id}-{trace.span_id}-00" if isinstance(trace, Trace) else trace
        inner = evolve(inner, trace=Trace.parse(told))
    token = _current.set(inner)
    try:
        yield inner
    finally:
        _current.reset(token)


def _moment(deadline: str | float) -> int:
    return time.monotonic_ns() + duration_argument("deadline", deadline, "10 ms", "24 h")


def _optional(value: str | None, what: str) -> str | None:
    return None if value is None else identifier(value, what)


def _checked_labels(labels: Iterable[str]) -> frozenset[str]:
    if not isinstance(labels, Iterable):
        raise TypeError(f'labels are texts, such as {{"CUI"}}, not {type(labels).__name__}')
    names = (labels,) if isinstance(labels, str) else labels
    found = set[str]()
    for each in names:
        found.add(identifier(each, "each of labels"))
        if len(found) > _MOST_LABELS:  # whatever comes after
            break
    return _bounded(frozenset(found))


def _bounded(labels: frozenset[str]) -> frozenset[str]:
    if len(labels) > _MOST_LABELS:
        raise ValueError(f"labels: at most {_MOST_LABELS} at once: each stands in the record of each call")
    return labels


def _checked_case(case: str | Case) -> Case:
    if isinstance(case, str):
        return Case(_case_id(case))
    if not isinstance(case, Case):
        raise TypeError(f"case is text or a Case, not {type(case).__name__}")
    return Case(
        _case_id(case.id),
        _optional(case.kind, "a case's kind"),
        _optional(case.series, "a case's series"),
    )


def _case_id(value: str) -> str:
    """A hold on a case must not miss what's the same to whoever reads it."""
    case_id = identifier(value, "a case's id")
    if case_id != case_id.strip():
        raise ValueError(f"a case's id begins or ends with a space: {case_id!r}")
    return case_id


def _checked_actor(actor: str | Actor) -> Actor:
    if isinstance(actor, str):
        return Actor(identifier(actor, "an actor's id"))
    if not isinstance(actor, Actor):
        raise TypeError(f"actor is text or an Actor, not {type(actor).__name__}")
    return Actor(
        identifier(actor.id, "an actor's id"),
        _optional(actor.kind, "an actor's kind"),
        _optional(actor.on_behalf_of, "an actor's on_behalf_of"),
    )
