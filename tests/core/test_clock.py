from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.clock import uuid7

BITS = st.integers(0, 2**74 - 1)
TIMES = st.integers(0, 2**48 - 1)  # milliseconds


def test_the_example_of_the_standard() -> None:
    """RFC 9562, appendix A.6."""
    made = uuid7(0x017F_22E2_79B0 * 1_000_000, 0xCC3 << 62 | 0x18C4_DC0C_0C07_398F)
    assert made == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(TIMES, st.integers(0, 999_999), BITS)
def test_it_is_a_uuid_of_version_7_that_holds_the_millisecond_and_every_random_bit(
    ms: int, rest: int, bits: int
) -> None:
    made = uuid.UUID(uuid7(ms * 1_000_000 + rest, bits))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == ms
    assert (made.int >> 64 & 0xFFF) << 62 | made.int & 2**62 - 1 == bits


@given(TIMES, TIMES, BITS, BITS)
def test_they_sort_by_millisecond(one: int, other: int, bits: int, more: int) -> None:
    if one < other:
        assert uuid7(one * 1_000_000, bits) < uuid7(other * 1_000_000, more)
