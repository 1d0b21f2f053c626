"""A clock for the tests of breakers, which hand their moments in."""

from __future__ import annotations


class Still:
    """It stands at 0."""

    def monotonic_ns(self) -> int:
        return 0

    def time_ns(self) -> int:
        return 0
