"""Client-side limits: staying under a provider's quota, instead of finding it by its 429s.

Theory of operation. Four quotas an adapter may have: requests and tokens, each by the minute and by the day. Of each, 90 %
is used: clocks differ, and other programs may share the account.

minute     A ring of cells of one second, one more than sixty, so that the last 60 s are always inside. What was taken in
           them, wherever the provider's minute begins, is at most the limit: a bucket that refills allows twice as much.
day        A count that begins anew with each UTC day: this process's own since its start, and what others that share
           their state have told of theirs (`count_others`).
tokens     Aren't known before the reply: what's reserved is a quarter of the prompt's bytes and the answer's cap. The
           reply's own figure takes its place, in the cell of the reservation while that's in the ring. Without one
           the reservation stands. Only what was never sent is given back.

`take` reserves from all four or from none, and says when it might work again. One lock, held over arithmetic.
"""

from __future__ import annotations

import math
import threading

from attrs import define, field, frozen

from failsoft.core.effects import SECOND

CELLS = 61
USED_PERCENT = 90
BYTES_PER_TOKEN = 4
DAY = 86_400 * SECOND

_BY_MINUTE = ("requests_per_minute", "tokens_per_minute")
_BY_DAY = ("requests_per_day", "tokens_per_day")


@frozen
class LimitSettings:
    """A provider's quotas, as it states them. None: there's none.

    Args:
        requests_per_minute: at least 1.
        tokens_per_minute: prompt and answer together, at least 1.
        requests_per_day: by UTC day, at least 1.
        tokens_per_day: by UTC day, at least 1.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None


@frozen
class Limited:
    """Not now.

    Args:
        quota: which of them is spent.
        wait_ns: nanoseconds until it may work; None: the request alone is more than the quota.
    """

    quota: str
    wait_ns: int | None


@define(eq=False)
class Reservation:
    """What one attempt took."""

    tick: int
    day: int
    tokens: int
    settled: bool = field(init=False, default=False)


class _Minute:
    """How much was taken in the last 60 s, by the second."""

    __slots__ = ("cells", "limit", "tick", "total")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.cells = [0] * CELLS
        self.total = 0
        self.tick = 0

    def advance(self, tick: int) -> None:
        for passed in range(self.tick + 1, min(tick, self.tick + CELLS) + 1):
            self.total -= self.cells[passed % CELLS]
            self.cells[passed % CELLS] = 0
        self.tick = max(self.tick, tick)

    def wait_ticks(self, amount: int) -> int | None:
        """Seconds until `amount` fits; 0: it does; None: it never will."""
        if amount > self.limit:
            return None
        left = self.total
        for seconds in range(CELLS):
            if left + amount <= self.limit:
                return seconds
            left -= self.cells[(self.tick + 1 + seconds) % CELLS]
        return CELLS

    def add(self, tick: int, amount: int) -> None:
        """In the cell of `tick`, if that's still in the ring."""
        if tick > self.tick - CELLS:
            self.cells[tick % CELLS] += amount
            self.total += amount


class _Day:
    """How much was taken in one UTC day."""

    __slots__ = ("day", "limit", "others", "total")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self.others = 0
        self.day = 0

    def advance(self, day: int) -> None:
        if day > self.day:
            self.day, self.total, self.others = day, 0, 0

    def add(self, day: int, amount: int) -> None:
        if day == self.day:
            self.total += amount


class Limits:
    """One adapter's quotas. Any thread may call it; none waits in it.

    Args:
        settings: the quotas.
    """

    __slots__ = ("_days", "_lock", "_minutes")

    def __init__(self, settings: LimitSettings) -> None:
        self._lock = threading.Lock()
        minutes = (settings.requests_per_minute, settings.tokens_per_minute)
        days = (settings.requests_per_day, settings.tokens_per_day)
        self._minutes = tuple(None if each is None else _Minute(_usable(each)) for each in minutes)
        self._days = tuple(None if each is None else _Day(_usable(each)) for each in days)

    def take(self, now: int, utc_ns: int, tokens: int) -> Reservation | Limited:
        """Reserve for one attempt that goes now.

        Args:
            now: the monotonic moment, in nanoseconds.
            utc_ns: nanoseconds since 1970.
            tokens: an estimate of what prompt and answer may use: see `estimate`.
        """
        tick, day = now // SECOND, utc_ns // DAY
        amounts = (1, tokens)
        with self._lock:
            for quota, minute, amount in zip(_BY_MINUTE, self._minutes, amounts, strict=True):
                if minute is not None:
                    minute.advance(tick)
                    ticks = minute.wait_ticks(amount)
                    if ticks != 0:
                        return Limited(quota, None if ticks is None else (minute.tick + ticks) * SECOND - now)
            for quota, daily, amount in zip(_BY_DAY, self._days, amounts, strict=True):
                if daily is not None:
                    daily.advance(day)
                    if daily.total + daily.others + amount > daily.limit:
                        return Limited(quota, None if amount > daily.limit else (day + 1) * DAY - utc_ns)
            reservation = Reservation(tick, day, tokens)
            self._add(reservation, 1, tokens)
            return reservation

    def settle(self, reservation: Reservation, tokens: int | None) -> None:
        """Say what an attempt really used: its tokens, or None where the reply didn't say."""
        with self._lock:
            if not reservation.settled and tokens is not None:
                self._add(reservation, 0, tokens - reservation.tokens)
            reservation.settled = True

    def give_back(self, reservation: Reservation) -> None:
        """Nothing was sent."""
        with self._lock:
            if not reservation.settled:
                self._add(reservation, -1, -reservation.tokens)
            reservation.settled = True

    @property
    def daily(self) -> bool:
        """Is there a quota by the day?"""
        return self._days != (None, None)

    def taken_on(self, day: int) -> tuple[int, int] | None:
        """Requests and tokens that this process took on a UTC day; None where there's no daily quota."""
        if not self.daily:
            return None
        with self._lock:
            requests, tokens = (0 if each is None or each.day != day else each.total for each in self._days)
            return requests, tokens

    def count_others(self, day: int, requests: int, tokens: int) -> None:
        """What other processes took on a UTC day, as far as they told."""
        with self._lock:
            for daily, amount in zip(self._days, (requests, tokens), strict=True):
                if daily is not None:
                    daily.advance(day)
                    if daily.day == day:
                        daily.others = amount

    def after_fork(self) -> None:
        """In the child: the lock may be held by a thread that isn't here; what the parent took of a day is another's."""
        self._lock = threading.Lock()
        for daily in self._days:
            if daily is not None:
                daily.others, daily.total = daily.others + daily.total, 0

    def _add(self, reservation: Reservation, requests: int, tokens: int) -> None:
        for minute, amount in zip(self._minutes, (requests, tokens), strict=True):
            if minute is not None:
                minute.add(reservation.tick, amount)
        for daily, amount in zip(self._days, (requests, tokens), strict=True):
            if daily is not None:
                daily.add(reservation.day, amount)


def estimate(prompt_bytes: int, max_tokens: int) -> int:
    """Tokens to reserve for a prompt of so many bytes and an answer of at most `max_tokens`."""
    return math.ceil(prompt_bytes / BYTES_PER_TOKEN) + max_tokens


def _usable(quota: int) -> int:
    return max(1, quota * USED_PERCENT // 100)
