"""The clocks of a streamed reply, beside its deadline: how long nothing meaningful may come.

Theory of operation. Where a request brings a pulse (`failsoft.core.effects.Pulse`), the exchange may be silent until
`Silence.ends`: at first for ``first_ns`` from its start, then for ``gap_ns`` from each part in which a meaningful event
ended, and never beyond the deadline. Comments and pings prove that the socket is alive, and prolong nothing. A reply that is
no event stream (an error, a server that doesn't stream, a stream that's compressed although nobody asked for that) has its
deadline alone. A pulse that is full ends the time at once: the next wait is the last.

Transports wait until `ends` where they'd wait until the deadline, hand over each part, and ask `judged` what a time-out
meant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from attrs import define

from failsoft.core.effects import MILLISECOND, SECOND, Clock, HttpRequest, Pulse
from failsoft.fault import Fault, FaultKind
from failsoft.io.transport_inbox import Broken


@define(eq=False)
class Silence:
    """How long one exchange may hear nothing meaningful.

    Args:
        until: the exchange's deadline, on `Clock.monotonic_ns`.
        ends: when it has been silent for too long; the deadline, where that comes first.
    """

    _request: HttpRequest
    until: int
    ends: int
    _pulse: Pulse | None = None
    _begun: bool = False

    @classmethod
    def begin(cls, request: HttpRequest, now: int, until: int) -> Silence:
        """What an exchange starts with."""
        return cls(request, until, min(until, now + request.first_ns))

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The reply's head is read: is there anything to listen to?"""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        plain = headers.get("content-encoding", "identity").strip().lower() in ("", "identity")
        if self._request.pulse is not None and status == 200 and kind == self._request.stream_type and plain:
            self._pulse = self._request.pulse()
        else:
            self.ends = self.until

    def check(self, now: int) -> None:
        """For those who are handed parts without a wait: has it been silent for too long?

        Raises:
            Broken: it has.
        """
        if now >= self.ends:
            raise Broken(FaultKind.ATTEMPT_TIMEOUT, "no whole reply within the time given")

    def hear(self, part: bytes, now: int) -> None:
        """A part of the body came."""
        if self._pulse is not None and self._pulse.heard(part):
            self._begun = True
            self.ends = min(self.until, now + self._request.gap_ns)
        if self._pulse is not None and self._pulse.full:
            self.ends = min(self.ends, now)

    def judged(self, fault: Fault, now: int) -> Fault:
        """What a fault means where this silence may have brought it about."""
        if self._pulse is not None and self._pulse.full:
            return Fault(FaultKind.TOO_LARGE, "more came than an answer holds")
        ran_out = fault.kind is FaultKind.ATTEMPT_TIMEOUT and self.ends < self.until
        if not ran_out or now < self.ends - MILLISECOND:
            return fault
        return Fault(FaultKind.STREAM_STALLED, "it stopped in its middle" if self._begun else "it didn't begin in time")


@define(eq=False)
class Ear:
    """Hands a reply's parts to its silence on an event loop, and keeps the exchange's timer to it."""

    silence: Silence
    _clock: Clock
    _timer: asyncio.Timeout

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The reply's head is read."""
        self.silence.head(status, headers)
        self.keep(self._clock.monotonic_ns())

    def hear(self, part: bytes) -> None:
        """A part came. Never raises, and there's nothing to wait for: a generator that gives the parts isn't left open."""
        now, ends = self._clock.monotonic_ns(), self.silence.ends
        self.silence.hear(part, now)
        if self.silence.ends != ends:
            self.keep(now)

    def judged(self, fault: Fault) -> Fault:
        """What a fault means where silence may have brought it about."""
        return self.silence.judged(fault, self._clock.monotonic_ns())

    def keep(self, now: int) -> None:
        """Set the timer to when it has been silent for too long."""
        if not self._timer.expired():
            self._timer.reschedule(asyncio.get_running_loop().time() + (self.silence.ends - now) / SECOND)
