"""What `test_cancel_every_step` asks: one capability of one adapter, without a ledger."""

from __future__ import annotations

from pydantic import BaseModel

from failsoft import Capability, Isolation
from failsoft.testing import Peer, chat_answer
from failsoft.testing.server import on_wire
from failsoft.testing.streams import answer_events

CAPABILITY = "grade-item"
MODEL = "m-2026-01-01"


class Item(BaseModel):
    description: str


class Grade(BaseModel):
    grade: int


class GradeItem(Capability[Item, Grade]):
    """Which grade is it?"""

    def fallback(self, request: Item) -> Grade:
        return Grade(grade=0)


ITEM = Item(description="bolt")


def isolation(base_url: str, transport: str, *, streamed: bool) -> Isolation:
    first = {"provider": "openai-compatible", "base_url": base_url, "model": MODEL, "attempts": 1, "stream": streamed}
    config = {
        "ledger": {"url": "none"},
        "adapters": {"first": first},
        "capabilities": {CAPABILITY: {"adapters": ["first"], "deadline": "5s"}},
        "transport": "aiohttp" if transport == "aiohttp" else "httpx",
    }
    return Isolation(config, capabilities=[GradeItem])


class Answering:
    """A conversation whose replies come in pieces, so that there are steps between them.

    Attributes:
        quick: they come at once.
    """

    def __init__(self, *, streamed: bool) -> None:
        self.quick = False
        if streamed:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            chunks = [b"%x\r\n%b\r\n" % (len(each), each) for each in answer_events(MODEL, '{"grade":7}', 6)]
            self.parts = [head, *chunks, b"0\r\n\r\n"]
        else:
            whole = on_wire(chat_answer(Grade(grade=7)), MODEL)
            self.parts = [whole[:20], whole[20:200], whole[200:]]

    def __call__(self, peer: Peer) -> None:
        while peer.read_request():
            for part in [b"".join(self.parts)] if self.quick else self.parts:
                peer.send(part)
                if not self.quick:
                    peer.pause(0.0005)
