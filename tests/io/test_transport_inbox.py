from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.fault import FaultKind
from failsoft.io.transport_inbox import MAX_CHUNKS, MAX_HEAD, MAX_HEADS, MAX_STREAM_CHUNKS, Broken, Inbox

MOST = 65_536
HEAD = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"


def filled(data: bytes, max_bytes: int = 1000) -> Inbox:
    inbox = Inbox(max_bytes)
    inbox.add(data)
    return inbox


def drained(inbox: Inbox) -> bytes:
    pieces = []
    while (piece := inbox.take(MOST)) is not None:
        pieces.append(piece)
    return b"".join(pieces)


def test_a_head_is_handed_out_whole_and_nothing_behind_it() -> None:
    inbox = filled(HEAD + b"body")
    assert inbox.take(MOST) == HEAD
    assert bytes(inbox.buffer) == b"body"


@pytest.mark.parametrize("cut", range(1, len(HEAD)))
def test_half_a_head_is_kept_until_the_rest_has_come(cut: int) -> None:
    inbox = filled(HEAD[:cut])
    assert inbox.take(MOST) is None
    inbox.add(HEAD[cut:])
    assert inbox.take(MOST) == HEAD


def test_the_first_blank_line_ends_a_head_whichever_line_ends_it_uses() -> None:
    assert filled(b"A\n\nB\r\n\r\n").take(MOST) == b"A\n\n"
    assert filled(b"A\r\n\r\nB\n\n").take(MOST) == b"A\r\n\r\n"
    for empty in (b"\n\n", b"\n\r\n"):  # the parser's to refuse
        assert filled(empty + b"B").take(MOST) == empty


def test_a_body_of_known_length_is_handed_out_to_its_end_only() -> None:
    inbox = filled(b"12345678")
    inbox.expect_length(5)
    assert inbox.take(3) == b"123"
    assert drained(inbox) == b"45"
    assert bytes(inbox.buffer) == b"678"


CHUNKED = b"4\r\nwxyz\r\n10;ext=1\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n\r\n"


@given(st.lists(st.integers(1, len(CHUNKED) + 4), max_size=6), st.integers(1, 60))
def test_chunks_end_at_the_same_byte_however_they_arrive(cuts: list[int], most: int) -> None:
    stream = CHUNKED + b"HTTP"
    inbox = Inbox(1000)
    inbox.expect_chunks()
    taken = b""
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        inbox.add(stream[start:end])
        while (piece := inbox.take(max(most, 20))) is not None:
            taken += piece
    assert taken == CHUNKED
    assert bytes(inbox.buffer) == b"HTTP"


def test_a_new_exchange_begins_with_a_head() -> None:
    inbox = filled(HEAD)
    inbox.take(MOST)
    inbox.expect_length(0)
    inbox.begin()
    inbox.add(HEAD)
    assert inbox.received == len(HEAD)
    assert inbox.take(MOST) == HEAD


@pytest.mark.parametrize("size", [b"", b";x", b"-1", b"0x4", b"1_0", b"4 4", b"11111111111111111", b"\xff"])
def test_a_chunk_needs_a_hexadecimal_size(size: bytes) -> None:
    inbox = filled(size + b"\r\n")
    inbox.expect_chunks()
    with pytest.raises(Broken) as broken:
        inbox.take(MOST)
    assert broken.value.fault.kind is FaultKind.BAD_FRAMING


def test_limits_hold_on_heads_interim_replies_chunks_and_bytes() -> None:
    inbox = filled(b"a" * MAX_HEAD)
    with pytest.raises(Broken, match="head of more than"):
        inbox.take(MOST)
    inbox = filled(b"A\n\n" * (MAX_HEADS + 1))
    with pytest.raises(Broken, match="interim"):
        drained(inbox)
    inbox = filled(b"1\r\nx\r\n" * (MAX_CHUNKS + 1), 1_000_000)
    inbox.expect_chunks()
    with pytest.raises(Broken, match="chunks"):
        drained(inbox)
    inbox = filled(b"a" * (MAX_HEAD + 1001))
    with pytest.raises(Broken, match="more than 1000 bytes received"):
        inbox.take(MOST)
    with pytest.raises(Broken, match="announced"):
        filled(b"").expect_length(1001)
    inbox = filled(b"4;" + b"x" * (MAX_HEAD + 1), 100_000)
    inbox.expect_chunks()
    with pytest.raises(Broken, match="chunk's head"):
        inbox.take(MOST)


def test_what_is_exactly_at_a_limit_passes() -> None:
    inbox = filled(b"A\n\n" * MAX_HEADS)
    assert drained(inbox) == b"A\n\n" * MAX_HEADS
    whole = b"1\r\nx\r\n" * (MAX_CHUNKS - 1) + b"0\r\n\r\n"
    inbox = filled(whole, 1_000_000)
    inbox.expect_chunks()
    assert drained(inbox) == whole
    inbox = filled(b"A\n\n" + b"a" * (MAX_HEAD + 997))
    assert inbox.take(MOST) == b"A\n\n"
    inbox.expect_length(1000)
    assert inbox.take(MOST) == b"a" * 1000


NEXT = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n5\r\nabcde\r\n"


def test_nothing_behind_a_body_is_handed_out_whatever_it_looks_like() -> None:
    inbox = filled(b"12345" + NEXT)
    inbox.expect_length(5)
    assert drained(inbox) == b"12345"
    assert bytes(inbox.buffer) == NEXT
    inbox = filled(NEXT)
    inbox.expect_length(0)
    assert inbox.take(MOST) is None
    for end in (b"0\r\n\r\n", b"0\n\n", b"0\r\nTrailer: t\r\n\r\n"):
        inbox = filled(b"1\r\nx\r\n" + end + NEXT)
        inbox.expect_chunks()
        assert drained(inbox) == b"1\r\nx\r\n" + end
        assert bytes(inbox.buffer) == NEXT


def test_an_end_means_framing_within_a_head_and_a_lost_connection_elsewhere() -> None:
    assert filled(b"").end().fault.kind is FaultKind.CONNECTION_LOST
    assert filled(b"HTTP").end().fault.kind is FaultKind.BAD_FRAMING
    inbox = filled(HEAD)
    inbox.expect_length(5)
    assert inbox.end().fault.kind is FaultKind.CONNECTION_LOST


def test_a_streamed_body_may_come_in_more_chunks_but_not_in_any_number() -> None:
    def chunks(count: int) -> Inbox:
        inbox = Inbox(10_000_000)
        inbox.begin(streamed=True)
        inbox.add(b"1\r\nx\r\n" * count)
        inbox.expect_chunks()
        return inbox

    assert chunks(MAX_CHUNKS + 1).take(10_000_000) is not None
    with pytest.raises(Broken) as caught:
        chunks(MAX_STREAM_CHUNKS + 1).take(10_000_000)
    assert caught.value.fault.kind is FaultKind.BAD_FRAMING


def test_the_next_exchange_on_a_connection_is_held_to_its_own_number_of_chunks() -> None:
    inbox = Inbox(10_000_000)
    inbox.begin(streamed=True)
    inbox.begin()
    inbox.add(b"1\r\nx\r\n" * (MAX_CHUNKS + 1))
    inbox.expect_chunks()
    with pytest.raises(Broken):
        inbox.take(10_000_000)
