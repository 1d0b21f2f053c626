"""Streamed chat completions, and every way to fail that only a stream can show: for adapters with ``stream = true``.

    @pytest.mark.parametrize("fault", streams.EVERY, ids=str)
    def test_my_page_is_shown_whatever_a_stream_does(fault): ...

Those below "on the wire" only a `FaultServer` can show. `STALLED` and `PINGS` take as long as ``stream_gap`` and
``stream_first``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic_core import to_json

from failsoft.fault import FaultKind
from failsoft.testing.reaction import Reaction
from failsoft.testing.server import Peer

_K = FaultKind
_HEADERS = (("content-type", "text/event-stream"),)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_DONE = b"data: [DONE]\n\n"
_PING = b": ping\n\n"
_USAGE = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}

Spoil = Callable[[list[bytes]], Sequence[bytes]]
"""The events of an answer → what is sent instead."""


def event(data: object, kind: str = "") -> bytes:
    """One event.

    Args:
        data: a value that JSON can say.
        kind: its type; none unless given.
    """
    text = json.dumps(data)
    return (f"event: {kind}\n" if kind else "").encode() + f"data: {text}\n\n".encode()


def chunk(
    model: str, delta: dict[str, object] | None = None, *, finish: str | None = None, index: int = 0, **fields: object
) -> bytes:
    """One event of a streamed chat completion.

    Args:
        model: who says that it answers.
        delta: what's new; None: there's no choice in it.
        finish: why the answer ended.
        index: the choice's.
        fields: of the chunk, such as ``usage`` or ``id``.
    """
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    fixed: dict[str, object] = {"id": "chatcmpl-test", "object": "chat.completion.chunk", "created": 1_790_000_000}
    return event({**fixed, "model": model, "choices": choices, **fields})


def answer_events(model: str, text: str, size: int = 4) -> list[bytes]:
    """A streamed answer, event by event: a role, its text in pieces, a finish, usage, the end.

    Args:
        model: who says that it answers.
        text: the answer's JSON text.
        size: characters of a piece, 1 or more.
    """
    return [
        chunk(model, {"role": "assistant", "content": ""}),
        *(chunk(model, {"content": text[at : at + size]}) for at in range(0, len(text), size)),
        chunk(model, {}, finish="stop"),
        chunk(model, usage=_USAGE),
        _DONE,
    ]


def chat_stream(answer: object, *, model: str | None = None, size: int = 4, name: str = "stream") -> Reaction:
    """A streamed chat completion that answers.

    Args:
        answer: as for `failsoft.testing.chat_answer`.
        model: who says that it answered; the model that was asked for unless given.
        size: characters of a piece, 1 or more.
        name: for people.
    """
    text = to_json(answer)
    if not text.startswith(b"{"):
        text = b'{"value":%b}' % text
    said = text.decode()
    return _stream(name, None, None, lambda asked: answer_events(model or asked, said, size))


def _stream(name: str, fault: FaultKind | None, row: int | None, events: Callable[[str], Sequence[bytes]]) -> Reaction:
    return Reaction(name, fault, row, headers=_HEADERS, body=lambda asked: b"".join(events(asked)))


def _spoilt(name: str, fault: FaultKind, row: int, spoil: Spoil) -> Reaction:
    return _stream(name, fault, row, lambda asked: spoil(answer_events(asked, "{}", 1)))


def _failing(code: str) -> bytes:
    return event({"error": {"message": "told to fail", "type": code, "code": code}}, "error")


# --- in the events ----------------------------------------------------------------------------------------------------

CUT_EVENT = _spoilt("cut event", _K.TRUNCATED_STREAM, 62, lambda events: [*events[:2], events[2][:-9]])
"""The framing is whole, what's in it isn't: a proxy ended properly what it had to give up."""
ERROR_EVENT = _spoilt("error event", _K.SERVER_ERROR, 63, lambda events: [*events[:2], _failing("server_error")])
LIMIT_EVENT = _spoilt("limit event", _K.RATE_LIMITED, 63, lambda events: [_failing("rate_limit_exceeded"), _DONE])
NO_FINISH = _spoilt("no finish", _K.TRUNCATED_STREAM, 65, lambda events: [*events[:3], _DONE])
NO_END = _spoilt("no end", _K.TRUNCATED_STREAM, 65, lambda events: events[:3])
NO_EVENT = _spoilt("no event", _K.TRUNCATED_STREAM, 65, lambda events: [])
EVENTS_TWICE = _spoilt("events twice", _K.AMBIGUOUS_REPLY, 66, lambda events: [*events[:4], *events[1:]])
OTHER_CHOICE = _spoilt(
    "other choice", _K.AMBIGUOUS_REPLY, 66, lambda events: [*events[:2], chunk("m", {"content": "}"}, index=1)]
)
TWO_ANSWERS = _spoilt(
    "two answers", _K.AMBIGUOUS_REPLY, 66, lambda events: [*events[:2], chunk("m", {"content": "}"}, id="another")]
)
NOT_JSON = _spoilt("not json", _K.MALFORMED_REPLY, 66, lambda events: [*events[:2], b"data: {\n\n", *events[2:]])

# --- on the wire ------------------------------------------------------------------------------------------------------


def send_chunks(peer: Peer, parts: Sequence[bytes]) -> None:
    """Each part as a chunk of its own, without the last one that would end the body."""
    peer.send(b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts))


def _act(name: str, fault: FaultKind, row: int, then: Callable[[Peer], None]) -> Reaction:
    def act(peer: Peer) -> None:
        peer.send(_HEAD)
        send_chunks(peer, answer_events("m", "{}", 1)[:2])
        then(peer)

    return Reaction(name, fault, row, "wire", act=act)


def _pings() -> Iterator[bytes]:
    while True:
        yield b"%x\r\n%b\r\n" % (len(_PING), _PING)


def _cut(peer: Peer) -> None:
    peer.send(b"ff\r\ndata: {")
    peer.end()


def _only_pings(peer: Peer) -> None:
    peer.send(_HEAD)
    peer.drip(_pings())


CUT_STREAM = _act("cut stream", _K.CONNECTION_LOST, 62, _cut)
STALLED = _act("stalled", _K.STREAM_STALLED, 64, Peer.hang)
STALLED_WITH_PINGS = _act("stalled with pings", _K.STREAM_STALLED, 64, lambda peer: peer.drip(_pings()))
PINGS = Reaction("pings", _K.STREAM_STALLED, 64, "wire", act=_only_pings)

EVERY: tuple[Reaction, ...] = tuple(each for each in dict[str, Any](globals()).values() if isinstance(each, Reaction))
"""Every one of them."""
