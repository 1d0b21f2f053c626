"""Content encodings, undone by ourselves: whole or not at all, within a measure, and never past the deadline.

HTTP libraries hand out the half of a cut gzip stream as if it were the whole, drop a second member silently, and let
200 kB grow into 200 MB. Identity is what requests ask for; a server that sends gzip or deflate all the same is
understood, everything else is refused.

A compressed body may grow to `RATIO` times its size or to `ALWAYS` bytes, whichever is more, and never beyond the size
cap. The cap alone isn't enough: 15 kB of gzip can hold 16 MB of JSON, whose parsing holds an event loop for seconds, long
past the deadline, and which no answer needs: tables of thousands of rows shrink 7 to 15 times, what shrinks more is
small. So whoever wants to cost us time must send bytes for it. Inflating goes step by step and looks at the clock
between two steps.
"""

from __future__ import annotations

import zlib

from failsoft.core.effects import Clock
from failsoft.fault import Fault, FaultKind

RATIO = 64
"""A compressed body may grow so many times."""

ALWAYS = 1024 * 1024
"""Bytes that a compressed body may grow to, however small it is."""

_STEP = 64 * 1024  # compressed bytes put in at once
_ROOM = 1024 * 1024  # bytes taken out at once: about 3 ms

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS  # what some servers mean by "deflate" (RFC 9110, section 8.4.1.2, note)

_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW_DEFLATE)}


def decoded(body: bytes, encoding: str, max_bytes: int, clock: Clock, until: int) -> bytes | Fault:
    """The body with its content encoding undone.

    Args:
        body: as it came over the wire.
        encoding: the ``content-encoding`` header; empty where there was none.
        max_bytes: what the result may hold at most.
        clock: tells when it's too late.
        until: when to give up, on `Clock.monotonic_ns`.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    windows = _WINDOWS.get(name)
    if windows is None:
        return Fault(FaultKind.UNKNOWN_ENCODING, "a content encoding that isn't known, or a list of several")
    most = min(max_bytes, max(ALWAYS, RATIO * len(body)))
    for window in windows:
        try:
            return _inflated(body, window, most, clock, until)
        except zlib.error:
            continue
    return Fault(FaultKind.BAD_ENCODING, f"not what content-encoding {name} says")


def _inflated(body: bytes, window: int, most: int, clock: Clock, until: int) -> bytes | Fault:
    stream = zlib.decompressobj(window)
    plain = bytearray()
    for start in range(0, len(body), _STEP):
        rest = body[start : start + _STEP]
        full = True
        while full and not stream.eof:
            if clock.monotonic_ns() >= until:
                return Fault(FaultKind.ATTEMPT_TIMEOUT, "no time was left to inflate the reply")
            part = stream.decompress(rest, _ROOM)
            plain += part
            if len(plain) > most:
                return Fault(FaultKind.TOO_LARGE, f"more than {most} bytes when inflated")
            rest = stream.unconsumed_tail
            full = len(part) == _ROOM  # then there may be more, and zlib may hold it without any input left
        if stream.eof:
            if stream.unused_data or start + _STEP < len(body):
                return Fault(FaultKind.BAD_ENCODING, "bytes behind the end of the compressed stream")
            return bytes(plain)
    return Fault(FaultKind.BAD_ENCODING, "the compressed stream is cut")
