"""What streamed dialects have in common: an ear for what means that the answer goes on, and a loop that ends in a fault.

A dialect whose events are JSON objects subclasses `ObjectPulse`, and puts a stream together by taking its events one after
another in `take_each`, raising `Refused` where they aren't one whole answer.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from failsoft.adapters.base import as_object
from failsoft.adapters.event_stream import Event, EventPulse, EventStreamError, TooMuch
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


class ObjectPulse(EventPulse):
    """Hears one streamed reply whose events are JSON objects."""

    __slots__ = ()

    def is_meaningful(self, kind: str, data: str) -> bool:
        """Does an event mean that the answer goes on?"""
        try:
            return self.means(as_object(json.loads(data)))
        except (ValueError, RecursionError):
            return False

    @abstractmethod
    def means(self, chunk: dict[str, Any]) -> bool:
        """Does an event mean that the answer goes on, or has ended? Must not raise."""
