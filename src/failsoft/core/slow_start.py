"""Slow start: after an outage an adapter gets back its calls little by little.

Theory of operation. For so many seconds after a breaker closed, a share of the attempts is admitted: a tenth at first, all
of them at the end, in a straight line between. Who's admitted isn't drawn: each attempt adds the present share to an
account, and one that fills it goes and takes a whole from it. So the first goes, of ten in a row at least one does, and
nobody can be locked out: neither by bad luck, nor by a clock that stands still.
"""

from __future__ import annotations

FIRST_SHARE = 10
"""Per cent that are admitted at the beginning."""

_WHOLE = 100


class SlowStart:
    """One slow start. Its breaker's lock is held around every method.

    Args:
        began: when the breaker closed.
        lasting: nanoseconds until all attempts are admitted, at least 1.
    """

    __slots__ = ("_account", "_began", "_lasting")

    def __init__(self, began: int, lasting: int) -> None:
        self._began = began
        self._lasting = lasting
        self._account = _WHOLE - FIRST_SHARE

    def over(self, now: int) -> bool:
        """Are all attempts admitted by now?"""
        return now - self._began >= self._lasting

    def admits(self, now: int) -> bool:
        """May this attempt go?"""
        passed = max(0, now - self._began)  # threads read the clock in one order and come in another
        self._account += FIRST_SHARE + (_WHOLE - FIRST_SHARE) * passed // self._lasting
        if self._account < _WHOLE:
            return False
        self._account -= _WHOLE
        return True
