"""Durations as people write them: ``"8s"``, ``"250ms"``, ``"1.5m"``, ``"2h"``; inside, nanoseconds."""

from __future__ import annotations

import re
from decimal import Decimal

from failsoft.errors import ConfigurationError

SECOND = 1_000_000_000

_UNITS = {"ms": SECOND // 1000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(ms|s|m|h)")


def parse_duration(text: str) -> int:
    """``"8s"``, ``"250ms"``, ``"1.5m"``, ``"1h"`` in nanoseconds.

    Raises:
        ValueError: it's nothing of the kind; a bare number has no unit.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError('not a duration: write "8s", "250ms", "2m" or "1h"')
    return int(Decimal(found[1]) * _UNITS[found[2]])


def duration_argument(name: str, given: str | float, low: str, high: str) -> int:
    """A duration given to a method, as text or in seconds, in nanoseconds.

    Raises:
        ConfigurationError: it's none, or not between `low` and `high`.
    """
    try:
        # A number whatever was given: a list times a billion is a list, of 8 GB.
        value = parse_duration(given) if isinstance(given, str) else int(float(given) * SECOND)
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(f'{name}: {given!r} is no duration; write "250ms", "2s" or "1h"') from None
    if not parse_duration(low) <= value <= parse_duration(high):
        raise ConfigurationError(f"{name}: {given!r} is not between {low} and {high}")
    return value
