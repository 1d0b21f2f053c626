"""What a breaker remembers of its recent attempts: counts by time, failures by order of start, times of answers.

Theory of operation
-------------------

A `Window` holds four totals (calls, failures, and of both those that were slow) and what's in flight. `TimeWindow` counts
over the last seconds. It holds `cells` counters, each for `width` nanoseconds; a moment's *tick* is ``moment // width``.
(`failsoft.core.window_count` counts over the last so many outcomes.)
    - Advancing by d ticks empties the next d cells (all of them if d is at least their number). A clock that stands
      still or is read out of order (d at most 0) moves nothing: the outcome counts where the window stands.
    - Invariant: the totals are the sums over the cells. Every operation is O(cells) at worst, O(1) as a rule.
    - An attempt is *in flight* from its start until it ends, but no longer than to the end of the cell in which its
      lease ends: an attempt that was lost doesn't thin the rate for ever.
    - Cells for slow calls exist only where somebody looks for them (`failsoft.core.window_overdue`).

`StartOrder` finds failures in a row: *in the order in which attempts started*, not in which they ended. Failures are
fast and successes slow, so a healthy provider's first results are its errors; by order of end they'd look like a run.
    - Each attempt has a start number. A success sets ``good`` to its own number if that's higher: nothing that started
      before a success counts any more.
    - A failure that started after ``good`` counts the failures next to it on both sides. A neutral attempt is
      transparent. One that's still in flight ends the run: it may yet succeed.
    - A call that has failed before may be no entry of its own: one bad input, tried again and again, isn't an outage.
    - The newest 2,048 attempts have a mark. An attempt that outlives its mark can't be in a run; its success counts.

`AnswerTimes` says what *fair time* is: twice the median of the last 64 successes that are younger than the window.
An attempt that was cut off later than that has failed; one cut off earlier says nothing about the provider.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array

from failsoft.core.effects import LONG_AGO, MILLISECOND

FAILED_CALLS = 32
"""Failed calls remembered: if more fail between one call's first attempt and its last, it's an outage."""

MARKS = 2_048
"""Attempts with a mark: a power of two, so that a start number's place is a bit mask away."""

SAMPLES = 64
"""Successes whose duration is remembered."""

ENOUGH_SAMPLES = 10
"""Fewer fresh samples than this say nothing about the median."""

# What a mark may say. Success needs none: `good` says it.
IN_FLIGHT, FAILED, TRANSPARENT = 0, 1, 2

_PLACE = MARKS - 1
_DURATION_BITS = 26
_LONGEST = (1 << _DURATION_BITS) - 1  # milliseconds: 18 hours


class Window(ABC):
    """Totals over recent attempts, and what's in flight.

    Args:
        width: nanoseconds per tick.
        cells: how many ticks are recent: of what's in flight and of answers' times, whatever the totals are over.
        now: the present moment.
    """

    __slots__ = ("_leases", "calls", "cells", "failures", "in_flight", "slow", "tick", "width")

    def __init__(self, width: int, cells: int, now: int) -> None:
        self.width = width
        self.cells = cells
        self.tick = now // width
        """Where the window stands: the newest tick."""
        self.calls = self.failures = self.slow = 0
        self.in_flight = 0
        self._leases: dict[int, int] = {}  # tick in which leases end -> attempts in flight; no tick has passed

    @abstractmethod
    def count(self, entry: int, now: int, failed: bool) -> None:
        """An attempt ended that `started` gave `entry`: one call, and one failure if it `failed`."""

    @abstractmethod
    def count_slow(self, at: int, failed: bool) -> int:
        """A slow call, dated `at`; one failure too if it `failed`. Returns its place, for `amend`."""

    @abstractmethod
    def amend(self, place: int, failed: bool) -> bool:
        """The slow call that was counted at `place` has ended. False: it's in the totals no more."""

    @property
    @abstractmethod
    def slow_failures(self) -> int:
        """Of the slow calls, those that failed: no rule asks for it, so it's added up when somebody does."""

    @abstractmethod
    def _empty(self) -> None:
        """No totals."""

    def clear(self) -> None:
        """Forget everything."""
        self._empty()
        self.forget_in_flight()

    def forget_in_flight(self) -> None:
        """What is in flight doesn't belong here any more."""
        self._leases.clear()
        self.in_flight = 0

    def started(self, now: int, lease: int) -> int:
        """An attempt begins `now` whose lease ends at `lease`. Returns the entry to end it with: its lease's tick."""
        tick = lease // self.width
        if tick < self.tick:
            tick = self.tick
        leases = self._leases
        leases[tick] = leases[tick] + 1 if tick in leases else 1
        self.in_flight += 1
        return tick

    def ended(self, entry: int) -> None:
        """An attempt ended without a word about the provider."""
        if entry >= self.tick:
            self._left(entry)

    def advance(self, tick: int) -> None:
        """Move on to `tick`, which is later than where the window stands."""
        self.tick = tick
        for lease_tick in [each for each in self._leases if each < tick]:
            self.in_flight -= self._leases.pop(lease_tick)

    def _left(self, lease_tick: int) -> None:
        """One attempt fewer is in flight. A tick without any is dropped: it would only make the dictionary grow."""
        leases = self._leases
        if leases[lease_tick] == 1:
            del leases[lease_tick]
        else:
            leases[lease_tick] -= 1
        self.in_flight -= 1


class TimeWindow(Window):
    """Calls and failures of the last ``cells * width`` nanoseconds, and what's in flight.

    Args:
        width: nanoseconds per cell.
        cells: how many.
        now: the present moment.
        slow: are slow calls counted, too?
    """

    __slots__ = ("_cells",)

    def __init__(self, width: int, cells: int, now: int, *, slow: bool = False) -> None:
        super().__init__(width, cells, now)
        # The calls of every cell, then the failures of every cell; then the same of slow ones.
        self._cells = array("I", [0]) * ((4 if slow else 2) * cells)

    def count(self, entry: int, now: int, failed: bool) -> None:
        """As `Window.count`: in the cell of `now`."""
        tick = now // self.width
        if tick > self.tick:
            self.advance(tick)
        else:
            tick = self.tick
        if entry >= tick:
            self._left(entry)
        cell = tick % self.cells
        self.calls += 1
        self._cells[cell] += 1
        if failed:
            self.failures += 1
            self._cells[self.cells + cell] += 1

    def count_slow(self, at: int, failed: bool) -> int:
        """As `Window.count_slow`: in the cell of `at`, which is the place, if that's still in the window."""
        tick = at // self.width
        if tick > self.tick:
            self.advance(tick)
        if tick > self.tick - self.cells:
            self.calls += 1
            self.slow += 1
            self._cells[tick % self.cells] += 1
            self._cells[2 * self.cells + tick % self.cells] += 1
            self.amend(tick, failed)
        return tick

    def amend(self, place: int, failed: bool) -> bool:
        """As `Window.amend`."""
        if place <= self.tick - self.cells:
            return False
        if failed:
            self.failures += 1
            self._cells[self.cells + place % self.cells] += 1
            self._cells[3 * self.cells + place % self.cells] += 1
        return True

    @property
    def slow_failures(self) -> int:
        """As `Window.slow_failures`."""
        return sum(self._cells[3 * self.cells :])

    def advance(self, tick: int) -> None:
        """As `Window.advance`: what's older than the window is forgotten."""
        if tick - self.tick >= self.cells:
            self._empty()
        else:
            for each in range(self.tick + 1, tick + 1):
                self._empty_cell(each % self.cells)
        super().advance(tick)

    def _empty_cell(self, cell: int) -> None:
        cells, count = self._cells, self.cells
        self.calls -= cells[cell]
        self.failures -= cells[count + cell]
        cells[cell] = cells[count + cell] = 0
        if len(cells) > 2 * count:
            self.slow -= cells[2 * count + cell]
            cells[2 * count + cell] = cells[3 * count + cell] = 0

    def _empty(self) -> None:
        self._cells = array("I", [0]) * len(self._cells)
        self.calls = self.failures = self.slow = 0


class StartOrder:
    """Failures in a row, in the order in which attempts started."""

    __slots__ = ("_failed_calls", "_good", "_marks", "next")

    def __init__(self) -> None:
        self.next = 0
        """The next attempt's start number: how many have started."""
        self._good = -1
        self._failed_calls: tuple[object, ...] = ()
        self._marks = bytearray(MARKS)

    def clear(self) -> None:
        """Nothing that started so far counts any more."""
        self._good = self.next - 1
        self._failed_calls = ()

    def started(self) -> int:
        """The next attempt begins. Returns its start number."""
        number = self.next
        self._marks[number & _PLACE] = IN_FLIGHT
        self.next = number + 1
        return number

    def succeeded(self, number: int) -> None:
        """An attempt succeeded: whatever started before it is out of the picture."""
        if number > self._good:
            self._good = number

    def ignored(self, number: int) -> None:
        """An attempt ended that says nothing, or nothing new."""
        if number >= self.next - MARKS:
            self._marks[number & _PLACE] = TRANSPARENT

    def failed(self, number: int, call: object = None, once: bool = False) -> int:
        """An attempt failed. Returns how long a run it belongs to, itself included; 0: it can't be in one.

        Args:
            number: its start number.
            call: the identity of its call; None: it stands for itself.
            once: of all the failures of one call, only the first counts.
        """
        if call is not None:
            if call not in self._failed_calls:
                self._failed_calls = (*self._failed_calls, call)[-FAILED_CALLS:]
            elif once:
                self.ignored(number)
                return 0
        oldest = max(self._good + 1, self.next - MARKS)
        if number < oldest:
            return 0
        self._marks[number & _PLACE] = FAILED
        before = self._failures(oldest, number)
        after = self._failures(number + 1, self.next)
        return len(before) - len(before.rstrip(b"\x01")) + 1 + len(after) - len(after.lstrip(b"\x01"))

    def _failures(self, start: int, end: int) -> bytearray:
        """The marks of the attempts from `start` up to `end`, without the transparent ones."""
        first, last = start & _PLACE, end & _PLACE
        marks = self._marks[first:last] if first <= last else self._marks[first:] + self._marks[:last]
        return marks.translate(None, b"\x02")


class AnswerTimes:
    """How long the last successes took."""

    __slots__ = ("_next", "_samples")

    def __init__(self) -> None:
        self._samples = array("q", [LONG_AGO]) * SAMPLES  # tick << 26 | milliseconds: one store per success
        self._next = 0

    def add(self, tick: int, duration: int) -> None:
        """A success at `tick` took `duration` nanoseconds."""
        milliseconds = duration // MILLISECOND
        if not 0 <= milliseconds <= _LONGEST:  # threads read the clock in one order and come in another
            milliseconds = 0 if milliseconds < 0 else _LONGEST
        place = self._next
        self._samples[place] = tick << _DURATION_BITS | milliseconds
        self._next = place + 1 & SAMPLES - 1

    def twice_median(self, since: int) -> int | None:
        """Twice the median of the successes at tick `since` or later, in nanoseconds; None if they're too few."""
        fresh = sorted(sample & _LONGEST for sample in self._samples if sample >> _DURATION_BITS >= since)
        if len(fresh) < ENOUGH_SAMPLES:
            return None
        return (fresh[(len(fresh) - 1) // 2] + fresh[len(fresh) // 2]) * MILLISECOND
