from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.fault import Fault, FaultKind
from failsoft.io.inflate import ALWAYS, RATIO, decoded

MEGABYTE = 1_000_000


class Clock:
    """Moves on by `step` at each look."""

    def __init__(self, step: int = 0) -> None:
        self.now = 0
        self.step = step

    def monotonic_ns(self) -> int:
        self.now += self.step
        return self.now

    def time_ns(self) -> int:
        return self.now


def inflate(body: bytes, encoding: str, max_bytes: int = 16 * MEGABYTE) -> bytes | Fault:
    return decoded(body, encoding, max_bytes, Clock(), 1)


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def noise(count: int) -> bytes:
    """Bytes that don't shrink."""
    return random.Random(count).randbytes(count)


def kind(result: bytes | Fault) -> FaultKind | None:
    return result.kind if isinstance(result, Fault) else None


@given(st.binary(max_size=500))
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert inflate(data, "", 500) == data
    assert inflate(data, " Identity ", 500) == data
    assert inflate(gzip.compress(data), "gzip", 500) == data
    assert inflate(gzip.compress(data), "X-GZIP", 500) == data
    assert inflate(zlib.compress(data), "deflate", 500) == data
    assert inflate(raw_deflate(data), "deflate", 500) == data


@pytest.mark.parametrize(
    "data",
    [b" " * ALWAYS, noise(3 * MEGABYTE), (noise(40_000) + b" " * MEGABYTE) * 2, noise(64 * 1024 - 23)],
    ids=["one word", "noise", "mixed", "one step"],
)
@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
def test_a_body_of_several_steps_comes_back_too(data: bytes, compress: object) -> None:
    encoding = "gzip" if compress is gzip.compress else "deflate"
    assert inflate(compress(data), encoding) == data  # type: ignore[operator]


@pytest.mark.parametrize("extra", [0, 1, 20, 258])
def test_what_zlib_holds_when_all_is_put_in_comes_out_too(extra: int) -> None:
    data = noise(40_000) + b" " * (2 * ALWAYS + extra - 40_000)  # whole steps out, and a little
    assert inflate(raw_deflate(data), "deflate") == data


@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate", "br", "gzip, gzip"]))
def test_no_bytes_make_it_raise(data: bytes, encoding: str) -> None:
    assert isinstance(inflate(data, encoding, 100), bytes | Fault)


@pytest.mark.parametrize(("body", "encoding"), [(zlib.compress(b"x"), "gzip"), (gzip.compress(b"x"), "deflate")])
def test_what_is_of_another_encoding_than_it_says_is_refused(body: bytes, encoding: str) -> None:
    assert kind(inflate(body, encoding)) is FaultKind.BAD_ENCODING


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip;q=1", "compress"])
def test_other_encodings_and_lists_are_refused(encoding: str) -> None:
    assert kind(inflate(b"x", encoding, 100)) is FaultKind.UNKNOWN_ENCODING


@pytest.mark.parametrize("cut", [1, 8, 9, 100_000])
def test_a_cut_stream_is_refused_wherever_it_was_cut(cut: int) -> None:
    assert kind(inflate(gzip.compress(noise(200_000))[:-cut], "gzip")) is FaultKind.BAD_ENCODING


@pytest.mark.parametrize("body", [b"ab", noise(300_000)], ids=["within a step", "beyond a step"])
def test_bytes_behind_the_end_are_refused(body: bytes) -> None:
    assert kind(inflate(gzip.compress(b"x") + body, "gzip")) is FaultKind.BAD_ENCODING


def test_a_byte_behind_the_end_of_a_step_is_refused() -> None:
    whole = next(
        packed for size in range(65_400, 65_536) if len(packed := gzip.compress(noise(size))) == 65_536
    )  # ends where the step ends
    assert isinstance(inflate(whole, "gzip"), bytes)
    assert kind(inflate(whole + b"x", "gzip")) is FaultKind.BAD_ENCODING


def test_inflating_stops_at_the_cap() -> None:
    assert kind(inflate(gzip.compress(b"a" * 101), "gzip", 100)) is FaultKind.TOO_LARGE
    assert inflate(gzip.compress(b"a" * 100), "gzip", 100) == b"a" * 100
    many = noise(40_000)
    assert kind(inflate(gzip.compress(many), "gzip", 39_999)) is FaultKind.TOO_LARGE
    assert inflate(gzip.compress(many), "gzip", 40_000) == many


def test_a_small_body_may_grow_to_a_megabyte_and_no_further() -> None:
    assert (ALWAYS, RATIO) == (1024 * 1024, 64)  # as the configuration's page says
    assert inflate(gzip.compress(b" " * ALWAYS), "gzip") == b" " * ALWAYS
    assert kind(inflate(gzip.compress(b" " * (ALWAYS + 1)), "gzip")) is FaultKind.TOO_LARGE


def test_a_larger_body_may_grow_by_the_ratio_and_no_further() -> None:
    seed = noise(40_000)
    size = RATIO * len(gzip.compress(seed))  # blanks hardly add to it: some 1,000 times less
    assert size > ALWAYS
    assert inflate(gzip.compress(seed + b" " * (size - 40_000)), "gzip") == seed + b" " * (size - 40_000)
    assert kind(inflate(gzip.compress(seed + b" " * (size + 300_000)), "gzip")) is FaultKind.TOO_LARGE


def test_inflating_ends_with_the_deadline() -> None:
    body = gzip.compress(noise(3 * MEGABYTE))
    assert kind(decoded(body, "gzip", 16 * MEGABYTE, Clock(step=1), 10)) is FaultKind.ATTEMPT_TIMEOUT
    assert isinstance(decoded(body, "gzip", 16 * MEGABYTE, Clock(step=1), 1000), bytes)


def test_a_small_bomb_that_the_ratio_allows_ends_with_the_deadline_too() -> None:
    body = gzip.compress(noise(60_000) + b" " * (3 * MEGABYTE))  # one step in, several out
    assert len(body) < 64 * 1024
    assert kind(decoded(body, "gzip", 16 * MEGABYTE, Clock(step=1), 3)) is FaultKind.ATTEMPT_TIMEOUT


def test_a_body_without_any_output_ends_with_the_deadline_too() -> None:
    head = zlib.compressobj(wbits=31).flush(zlib.Z_FULL_FLUSH)
    body = head + b"\x00\x00\x00\xff\xff" * 100_000  # stored blocks of no length
    assert kind(decoded(body, "gzip", 1000, Clock(step=1), 4)) is FaultKind.ATTEMPT_TIMEOUT


def test_what_comes_as_it_is_needs_no_time() -> None:
    assert decoded(b"{}", "identity", 100, Clock(), -1) == b"{}"
