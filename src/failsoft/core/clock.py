"""Identifiers made from a clock and a random source that are handed in."""

from __future__ import annotations

_VARIANT = 0x8000_0000_0000_0000
_VERSION = 0x7000


def uuid7(time_ns: int, random_bits: int) -> str:
    """A UUIDv7 (RFC 9562, section 5.7): 36 lower-case characters, ordered by time.

    Args:
        time_ns: nanoseconds since 1970-01-01 UTC.
        random_bits: 74 random bits.
    """
    high = (time_ns // 1_000_000 & 0xFFFF_FFFF_FFFF) << 16 | _VERSION | random_bits >> 62 & 0xFFF
    low = _VARIANT | random_bits & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
