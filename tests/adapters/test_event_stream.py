from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.adapters import event_stream
from failsoft.adapters.event_stream import Event, EventStreamError, Reader, TooMuch, events


def read(*parts: bytes) -> list[tuple[str, str]]:
    reader = Reader()
    return [(each.kind, each.data) for part in parts for each in reader.read(part)]


STREAMS = {
    "one event": (b"data: a\n\n", [("", "a")]),
    "a type": (b"event: error\ndata: a\n\ndata: b\n\n", [("error", "a"), ("", "b")]),
    "several lines of data": (b"data: a\ndata\ndata: b\n\n", [("", "a\n\nb")]),
    "carriage returns": (b"data: a\r\rdata: b\r\r", [("", "a"), ("", "b")]),
    "both": (b"data: a\r\n\r\ndata: b\r\n\r\n", [("", "a"), ("", "b")]),
    "mixed ends": (b"data: a\rdata: b\n\r\ndata: c\r\n\n", [("", "a\nb"), ("", "c")]),
    "one leading space is dropped": (b"data:a\ndata:  b\n\n", [("", "a\n b")]),
    "comments": (b": ping\n\n:\n\ndata: a\n: b\n\n", [("", "a")]),
    "id, retry and unknown fields": (b"id: 1\nretry: 5\nfoo: b\nbar\ndata: a\n\n", [("", "a")]),
    "a type without data is no event": (b"event: ping\n\ndata: a\n\n", [("", "a")]),
    "empty data is an event": (b"data:\n\n", [("", "")]),
    "what the end cut is none": (b"data: a\n\ndata: b\n", [("", "a")]),
    "a byte-order mark at the beginning": (b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
    "a byte-order mark before a comment": (b"\xef\xbb\xbf: a\ndata: b\n\n", [("", "b")]),
    "a second mark belongs to a field's name": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("", "b")]),
    "a mark elsewhere": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("", "a")]),
    "UTF-8": ("data: Büchse 🔩\n\n".encode(), [("", "Büchse 🔩")]),
    "a line separator of Unicode ends no line": ("data: a\u2028b\x0bc\n\n".encode(), [("", "a\u2028b\x0bc")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_read_as_the_standard_says(name: str) -> None:
    stream, expected = STREAMS[name]
    assert read(stream) == expected
    assert [(each.kind, each.data) for each in events(stream)] == expected


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte_it_is_the_same(name: str) -> None:
    stream, expected = STREAMS[name]
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == expected


PIECES = st.lists(
    st.sampled_from(
        [
            b"data: ",
            b"data:",
            b"event: x",
            b"a",
            b"\n",
            b"\r",
            b"\r\n",
            b": c",
            b"\xef\xbb\xbf",
            "é".encode(),
            b" ",
            b"\n\n",
        ]
    ),
    max_size=40,
).map(b"".join)


@given(PIECES, st.lists(st.integers(0, 200), max_size=8))
def test_any_split_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(each, len(stream)) for each in cuts), len(stream)]
    parts = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert read(*parts) == read(stream)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise_anything_else(stream: bytes) -> None:
    with contextlib.suppress(EventStreamError):
        assert all(isinstance(each, Event) for each in events(stream))


def test_what_is_not_utf8_is_refused_and_never_quoted() -> None:
    with pytest.raises(EventStreamError) as caught:
        read(b"data: secret\xff\n\n")
    assert "secret" not in str(caught.value)


def test_bytes_that_are_not_utf8_in_a_comment_are_nobodys() -> None:
    assert read(b": \xff\ndata: a\n\n") == [("", "a")]


def test_lines_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_LINES", 10)
    assert read(b"\n" * 10) == []
    with pytest.raises(TooMuch):
        read(b"\n" * 11)


def test_events_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_EVENTS", 3)
    assert len(read(b"data: a\n\n" * 3)) == 3
    with pytest.raises(TooMuch, match="events"):
        read(b"data: a\n\n" * 4)


def test_values_are_counted_over_all_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_VALUES", 12)
    event = b'data: {"a":[1,2]}\n\n'
    assert len(read(event * 4)) == 4
    with pytest.raises(TooMuch, match="values"):
        read(event * 5)


def test_an_event_longer_than_a_step_is_whole() -> None:
    long = b"x" * 200_000
    assert [len(each.data) for each in events(b"data: " + long + b"\n\n")] == [200_000]
