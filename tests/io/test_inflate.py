from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.fault import Fault, FaultKind
from failsoft.io.inflate import decoded


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@given(st.binary(max_size=500))
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert decoded(data, "", 500) == data
    assert decoded(data, " Identity ", 500) == data
    assert decoded(gzip.compress(data), "gzip", 500) == data
    assert decoded(gzip.compress(data), "X-GZIP", 500) == data
    assert decoded(zlib.compress(data), "deflate", 500) == data
    assert decoded(raw_deflate(data), "deflate", 500) == data


@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate", "br", "gzip, gzip"]))
def test_no_bytes_make_it_raise(data: bytes, encoding: str) -> None:
    assert isinstance(decoded(data, encoding, 100), bytes | Fault)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip;q=1", "compress"])
def test_other_encodings_and_lists_are_refused(encoding: str) -> None:
    result = decoded(b"x", encoding, 100)
    assert isinstance(result, Fault)
    assert result.kind is FaultKind.BAD_ENCODING


def test_inflating_stops_at_the_cap() -> None:
    result = decoded(gzip.compress(b"a" * 101), "gzip", 100)
    assert isinstance(result, Fault)
    assert result.kind is FaultKind.TOO_LARGE
    assert decoded(gzip.compress(b"a" * 100), "gzip", 100) == b"a" * 100
