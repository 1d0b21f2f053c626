"""A wall clock that can be stepped, for libraries imported after `install`. The monotonic clock stays as it is."""

from __future__ import annotations

import datetime
import time
from typing import Any

_offset_s = 0.0
_real_time, _real_time_ns = time.time, time.time_ns


class _Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return super().now(tz) + datetime.timedelta(seconds=_offset_s)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.UTC).replace(tzinfo=None)


def install() -> None:
    """Put the steppable clock in place of `time.time`, `time.time_ns` and `datetime.datetime`."""
    time.time = lambda: _real_time() + _offset_s
    time.time_ns = lambda: _real_time_ns() + int(_offset_s * 1e9)
    datetime.datetime = _Shifted  # type: ignore[misc]


def step(seconds: float) -> None:
    """Set the wall clock so far from the true time."""
    global _offset_s
    _offset_s = seconds
