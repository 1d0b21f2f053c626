"""What streamed dialects have in common: an ear for what means that the answer goes on, and a loop that ends in a fault.

A dialect that isn't OpenAI's subclasses `EventPulse`, and puts a stream together by taking its events one after another in
`take_each`, raising `Refused` where they aren't one whole answer.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from failsoft.adapters.base import as_object
from failsoft.adapters.event_stream import Event, EventStreamError, Reader, TooMuch
from failsoft.adapters.strict_json import WHITE_SPACE, StrictJsonError, loads_text
from failsoft.fault import Fault, FaultKind

T = TypeVar("T")


class Refused(Exception):
    """A stream that isn't one whole answer, in our own words."""

    def __init__(self, kind: FaultKind, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(kind, detail, 200)


def object_of(event: Event) -> dict[str, Any]:
    """The JSON object that an event is; empty where it's other JSON.

    Raises:
        StrictJsonError: it's no strict JSON.
    """
    return as_object(loads_text(event.data.strip(WHITE_SPACE)))


def take_each(pieces: Iterable[T], take: Callable[[T], None]) -> Fault | None:
    """Hand each piece of a whole stream on. The fault that ended it early; None at its end.

    Args:
        pieces: as they came; making one may raise `EventStreamError` or `StrictJsonError`.
        take: may raise `Refused` or `StrictJsonError`.
    """
    try:
        for piece in pieces:
            take(piece)
    except Refused as refused:
        return refused.fault
    except TooMuch as error:
        return Fault(FaultKind.TOO_LARGE, f"in the stream: {error}", 200)
    except (EventStreamError, StrictJsonError) as error:
        return Fault(FaultKind.MALFORMED_REPLY, f"in the stream: {error}", 200)
    return None


class EventPulse(ABC):
    """Hears one streamed reply whose events are JSON objects.

    Attributes:
        full: more has come than an answer holds.
    """

    __slots__ = ("_reader", "full")

    def __init__(self) -> None:
        self.full = False
        self._reader: Reader | None = Reader()

    def heard(self, part: bytes, /) -> bool:
        """Did a meaningful event end in this part?"""
        if self._reader is None:
            return False
        try:
            return any(self._means(each) for each in self._reader.read(part))
        except EventStreamError as error:  # whoever reads the whole will say so
            self.full = isinstance(error, TooMuch)
            self._reader = None
            return False

    def _means(self, event: Event) -> bool:
        try:
            return self.is_meaningful(as_object(json.loads(event.data)))
        except (ValueError, RecursionError):
            return False

    @abstractmethod
    def is_meaningful(self, chunk: dict[str, Any]) -> bool:
        """Does an event mean that the answer goes on, or has ended? Must not raise."""
