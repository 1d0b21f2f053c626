"""Listening to an event stream while it comes: which of its events mean that the answer goes on is each dialect's to say."""

from __future__ import annotations

from abc import ABC, abstractmethod

from failsoft.adapters.event_stream import EventStreamError, Reader, TooMuch


class EventPulse(ABC):
    """Hears one event stream: a `failsoft.core.effects.Pulse`.

    Attributes:
        full: more has come than an answer holds.
    """

    __slots__ = ("_reader", "full")

    def __init__(self) -> None:
        self.full = False
        self._reader: Reader | None = Reader()

    @staticmethod
    @abstractmethod
    def is_meaningful(kind: str, data: str) -> bool:
        """Does this event mean that the answer goes on? Must not raise."""

    def heard(self, part: bytes, /) -> bool:
        """Did a meaningful event end in this part?"""
        if self._reader is None:
            return False
        try:
            return any(self.is_meaningful(each.kind, each.data) for each in self._reader.read(part))
        except EventStreamError as error:  # whoever reads the whole will say so
            self.full = isinstance(error, TooMuch)
            self._reader = None
            return False
