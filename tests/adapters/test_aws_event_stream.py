"""AWS's binary event stream: recorded ones whole, cut and changed; and frames made by hand for types never recorded."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random
from zlib import crc32

import pytest
from tests.adapters.frames import frame, text_header
from tests.adapters.native_recorded import raw_of, usable

from failsoft.adapters import aws_event_stream
from failsoft.adapters.aws_event_stream import MAX_HEADERS, MAX_PAYLOAD, Reader, frames
from failsoft.adapters.event_stream import EventStreamError, TooMuch


def test_a_frame_is_its_headers_and_its_payload() -> None:
    found = list(frames(frame({":event-type": "x", "größe": "ü"}, b"{}") + frame({}, b"")))
    assert [(dict(each.headers), each.payload) for each in found] == [
        ({":event-type": "x", "größe": "ü"}, b"{}"),
        ({}, b""),
    ]


def test_headers_that_are_no_texts_are_passed_over() -> None:
    values = {0: b"", 1: b"", 2: b"1", 3: b"12", 4: b"1234", 5: b"12345678", 8: b"12345678", 9: b"x" * 16}
    raw = b"".join(b"\x01a" + bytes([kind]) + value for kind, value in values.items())
    raw += b"\x01b\x06\x00\x03abc" + text_header("c", "d")
    (found,) = frames(frame(raw, b"x"))
    assert found.headers == {"c": "d"}


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05ab",
        b"\x01a",
        b"\x01a\x07",
        b"\x01a\x07\x00",
        b"\x01a\x07\x00\x05ab",
        b"\x01a\x0a",
        b"\x01a\x09xx",
        b"\x01\xff\x07\x00\x01a",
        b"\x01a\x07\x00\x01\xff",
        text_header("a", "b") + text_header("a", "c"),
    ],
)
def test_headers_that_cannot_be_read_are_refused(headers: bytes) -> None:
    with pytest.raises(EventStreamError, match="header"):
        list(frames(frame(headers, b"")))


def test_what_the_end_cut_is_no_frame() -> None:
    one = frame({"a": "b"}, b"payload")
    for size in range(len(one)):
        assert len(list(frames(one + one[:size]))) == 1


def test_each_byte_is_under_a_checksum() -> None:
    one = frame({"a": "b"}, b"payload")
    for place in range(len(one)):
        changed = bytearray(one)
        changed[place] ^= 1
        with pytest.raises(EventStreamError, match="checksum"):
            list(frames(bytes(changed)))


@pytest.mark.parametrize(
    ("total", "size"),
    [(0, 0), (15, 0), (20, 10), (MAX_HEADERS + 117, MAX_HEADERS + 1), (MAX_PAYLOAD + 17, 0), (2**32 - 1, 2**32 - 1)],
)
def test_lengths_that_cannot_be_are_not_believed(total: int, size: int) -> None:
    prelude = struct.pack(">II", total, size)
    with pytest.raises(EventStreamError, match="lengths"):
        list(frames(prelude + struct.pack(">I", crc32(prelude)) + bytes(100)))


def test_more_frames_than_an_answer_has_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_event_stream, "MAX_EVENTS", 3)
    assert len(list(frames(frame({}, b"") * 3))) == 3
    with pytest.raises(TooMuch):
        list(frames(frame({}, b"") * 4))
    monkeypatch.setattr(aws_event_stream, "MAX_LINES", 3)
    with pytest.raises(TooMuch):
        list(frames(frame({"a": "", "b": ""}, b"") * 2))


def test_a_stream_may_be_split_anywhere() -> None:
    whole = frame({"a": "b"}, b"one") + frame({}, b"") + frame({"c": "d"}, b"two" * 1000)
    for size in (1, 7, 100):
        reader = Reader()
        found = [each for start in range(0, len(whole), size) for each in reader.read(whole[start : start + size])]
        assert found == list(frames(whole))
        assert len(found) == 3


def test_every_recorded_stream_is_read_whole_and_no_part_of_it_is_more(data: Path) -> None:
    random, read = Random(3), 0
    rows = [row for _, row in usable(data, "bedrock") if row["response"].get("body_encoding") == "base64"]
    for row in rows:
        body = raw_of(row)
        whole = list(frames(body))
        read += len(whole)
        assert all(each.headers[":message-type"] == "event" for each in whole)
        for _ in range(20):
            part = list(frames(body[: random.randrange(len(body))]))
            assert part == whole[: len(part)]
            assert len(part) < len(whole)
    assert (len(rows), read) == (56, 1461)
