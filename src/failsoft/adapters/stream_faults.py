"""A stream that can't be put together, in any dialect: why, as a fault."""

from __future__ import annotations

from failsoft.adapters.event_stream import TooMuch
from failsoft.fault import Fault, FaultKind


class Refused(Exception):
    """Raised where a stream can't be put together.

    Args:
        kind: why.
        detail: in our own words.
    """

    def __init__(self, kind: FaultKind, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(kind, detail, 200)


def fault_in_stream(error: Exception) -> Fault:
    """What it means that a stream couldn't be read on."""
    if isinstance(error, Refused):
        return error.fault
    kind = FaultKind.TOO_LARGE if isinstance(error, TooMuch) else FaultKind.MALFORMED_REPLY
    return Fault(kind, f"in the stream: {error}", 200)
