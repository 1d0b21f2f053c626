"""What a provider does with one request: the vocabulary that the transport, the server and the chaos mode share.

A `Reaction` is a value. `failsoft.testing.faults` and `failsoft.testing.wire` name one for each way to fail, and
`failsoft.testing.replies` makes others. A *script* says which comes when: one reaction, several in order (the last one
stays), or `Rates`.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import evolve, frozen

from failsoft.core.effects import SECOND
from failsoft.durations import parse_duration
from failsoft.fault import FaultKind

if TYPE_CHECKING:
    from failsoft.testing.server import Peer

Manner = Literal["reply", "usual", "cut", "reset", "hang", "raise", "wire"]
Body = Callable[[str], bytes]
"""The model that was asked for → a reply's bytes."""

JSON = (("content-type", "application/json"),)


def _empty(model: str) -> bytes:
    return b""


@frozen(eq=False)
class Reaction:
    """What a provider does with one request.

    Args:
        name: for people, and for the names of parametrised tests.
        fault: what failsoft makes of it behind a chat-completions adapter; None: it's an answer.
        row: of the fault catalogue.
        manner: ``reply``: this reply, whole. ``usual``: what would have come anyhow. ``cut``: half of this reply's body.
            ``reset``: the connection breaks before the body. ``hang``: nothing, for as long as the caller waits.
            ``raise``: no reply, but `error`: only a transport can. ``wire``: `act`: only a server can.
        status: of the reply.
        headers: of the reply, names in lower case.
        body: of the reply.
        error: makes the exception that a transport raises.
        act: what a server does instead of replying.
        delay: seconds to wait first, in real time.
    """

    name: str
    fault: FaultKind | None = None
    row: int | None = None
    manner: Manner = "reply"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = JSON
    body: Body = _empty
    error: Callable[[], Exception] | None = None
    act: Callable[[Peer], None] | None = None
    delay: float = 0.0

    def delayed(self, by: str | float) -> Reaction:
        """The same, later.

        Args:
            by: ``"2s"``, ``"250ms"``, or seconds.
        """
        return evolve(self, name=f"{self.name} after {by}", delay=self.delay + seconds(by))

    def __str__(self) -> str:
        return self.name


Told = Literal["seconds", "milliseconds", "date", "reset"]


@frozen(eq=False)
class Waiting(Reaction):
    """A reaction that may say when to come back: ``RATE_LIMITED(after="2s")``."""

    def __call__(self, after: str | float, told: Told = "seconds") -> Reaction:
        """The same, with a hint.

        Args:
            after: ``"2s"``, ``"250ms"``, or seconds.
            told: in ``Retry-After`` as seconds or as a ``date``, in ``retry-after-ms``, or in the ``reset`` header of a
                limit of which nothing remains.
        """
        headers = (*self.headers, *_hint(seconds(after), told))
        fault = FaultKind.OVERLOADED if self.status == 503 else self.fault  # a 503 that says when is a throttle
        return evolve(self, name=f"{self.name} for {after}", headers=headers, fault=fault)


def _hint(wait: float, told: Told) -> tuple[tuple[str, str], ...]:
    if told == "seconds":
        return (("retry-after", f"{wait:g}"),)
    if told == "milliseconds":
        return (("retry-after-ms", f"{wait * 1000:g}"),)
    if told == "reset":
        return (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", f"{ceil(wait * 1000)}ms"))
    minutes, rest = divmod(ceil(wait), 60)
    hours, minutes = divmod(minutes, 60)
    day = "Thu, 01 Jan 2026 "  # the hint is read against the reply's own date, so any day does
    return (("date", f"{day}00:00:00 GMT"), ("retry-after", f"{day}{hours:02}:{minutes:02}:{rest:02} GMT"))


USUAL = Reaction("usual", manner="usual")
"""What would have come anyhow: the upstream's reply, or the `usual` of the transport or server."""


# --- scripts ----------------------------------------------------------------------------------------------------------


class Rates:
    """Draws a reaction for each request, the same ones for the same seed; the rest of the time the usual one.

    Args:
        rates: the share of requests, from 0 to 1, that each reaction gets.
        seed: of the random numbers; None: others every time.

    Raises:
        ValueError: a share isn't from 0 to 1, or they sum up to more than 1.
    """

    def __init__(self, rates: Mapping[Reaction, float], *, seed: int | None = 0) -> None:
        wrong = [f"{each}: {rate} is not from 0 to 1" for each, rate in rates.items() if not 0 <= rate <= 1]
        if not wrong and sum(rates.values()) > 1 + 1e-9:
            wrong = [f"the rates sum up to {sum(rates.values()):g}, more than 1"]
        if wrong:
            raise ValueError("; ".join(wrong))
        self.rates = dict(rates)
        self._random = random.Random(seed)  # noqa: S311 - which requests fail, no secret
        self._lock = threading.Lock()

    @property
    def reactions(self) -> Iterable[Reaction]:
        """Every reaction that may come."""
        return self.rates

    def next(self) -> Reaction:
        """The next request's."""
        with self._lock:
            drawn = self._random.random()
        for reaction, rate in self.rates.items():
            drawn -= rate
            if drawn < 0:
                return reaction
        return USUAL


class InOrder:
    """Gives reactions one after the other; the last one stays.

    Args:
        reactions: at least one.

    Raises:
        ValueError: there is none.
    """

    def __init__(self, reactions: Iterable[Reaction]) -> None:
        self.reactions = tuple(reactions)
        if not self.reactions:
            raise ValueError("a script needs at least one reaction")
        self._given = 0
        self._lock = threading.Lock()

    def next(self) -> Reaction:
        """The next request's."""
        with self._lock:
            index, self._given = self._given, self._given + 1
        return self.reactions[min(index, len(self.reactions) - 1)]


class Playing(Protocol):
    """A script under way."""

    @property
    def reactions(self) -> Iterable[Reaction]:
        """Every reaction that may come."""
        ...

    def next(self) -> Reaction:
        """The next request's."""
        ...


Script = Reaction | Iterable[Reaction] | Rates


def playing(script: Script, refused: Manner, why: str) -> Playing:
    """The script, ready to play.

    Args:
        script: what comes when.
        refused: what can't be shown there.
        why: the sentence that says so.

    Raises:
        ValueError: the script is empty, or something in it can't be shown.
    """
    if isinstance(script, Reaction):
        script = (script,)
    play: Playing = script if isinstance(script, Rates) else InOrder(script)
    for each in play.reactions:
        if each.manner == refused:
            raise ValueError(f"{each}: {why}")
    return play


def seconds(duration: str | float) -> float:
    """Seconds of ``"2s"``, ``"250ms"``, or a number of them.

    Raises:
        ValueError: it's no duration, or negative.
    """
    value = parse_duration(duration) / SECOND if isinstance(duration, str) else float(duration)
    if not 0 <= value < float("inf"):
        raise ValueError(f"{duration!r} is no duration")
    return value
