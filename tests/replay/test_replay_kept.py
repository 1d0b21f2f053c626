"""Replaying what's kept in part: fields that are on no record, payloads under keys, answers that a person reviews."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, SecretStr
from tests.replay.shop import DIFFERS, GPT, NOT, SAME, Item, RateItem, asked, isolated, made, replayed, results, step

from failsoft import Audit, Capability, Isolation, Required
from failsoft.errors import LedgerInvalid
from failsoft.ledger.keys.vault import PayloadKey
from failsoft.ledger.location import InFile
from failsoft.ledger.read import read
from failsoft.replay.replay import Replay
from failsoft.testing import FaultTransport, chat_answer, faults


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


class Letter(BaseModel, frozen=True):
    text: str
    sender: Annotated[str, Audit.omitted] = "unknown"


class Signed(BaseModel, frozen=True):
    text: str
    sender: Annotated[str, Audit.omitted]


class Judgement(BaseModel):
    stars: Annotated[int, Audit.public]
    quote: Annotated[str, Audit.omitted] = ""


def judging(letter: Any, quote: str = "said so") -> type[Capability[Any, Any]]:
    class Judge(Capability[letter, Judgement]):  # type: ignore[valid-type]
        """How many stars?"""

        name = "rate-item"

        def fallback(self, request: Any) -> Judgement:
            return Judgement(stars=len(request.sender), quote=quote)

    return Judge


def call(place: Path, capability: Any, request: Any, script: Any = None) -> str:
    with isolated(place, script, capability) as isolation:
        return isolation["rate-item"].sync(request).call_id


class TestOmittedFields:
    def test_of_a_request_that_can_be_read_without_them(self, place: Path) -> None:
        capability = judging(Letter)
        call_id = call(place, capability, Letter(text="a", sender="jdoe"), chat_answer({"stars": 3, "quote": "a"}))
        found = replayed(place, call_id, capability)
        assert results(found) == {"call": SAME, "request": SAME, "prompt": NOT, "decode": NOT}
        hidden = "on record: the capability keeps a part of it from records"
        assert step(found, "prompt").reason == f"no prompt of it is {hidden}"
        assert step(found, "decode").reason == f"no reply of it is {hidden}"

    def test_are_why_a_fallback_may_say_something_else(self, place: Path) -> None:
        capability = judging(Letter)
        call_id = call(place, capability, Letter(text="a", sender="jdoe"), faults.SERVER_ERROR)
        told = step(replayed(place, call_id, capability), "fallback")
        assert told.result is NOT
        assert told.reason == (
            "the fallback gives another response, at stars; but a part of the request is on no record (`Audit.omitted`)"
        )

    def test_of_a_request_that_cant_be_read_without_them(self, place: Path) -> None:
        capability = judging(Signed)
        call_id = call(place, capability, Signed(text="a", sender="jdoe"), faults.SERVER_ERROR)
        told = step(replayed(place, call_id, capability), "request")
        assert told.result is NOT
        assert told.reason.startswith(
            "the recorded request doesn't fit today's request type (ValidationError); but a part"
        )

    def test_of_a_response_arent_compared(self, place: Path) -> None:
        call_id = call(place, judging(Letter), Letter(text="a"), faults.SERVER_ERROR)
        assert step(replayed(place, call_id, judging(Letter, "other")), "fallback").result is SAME


class TestSealedPayloads:
    @pytest.fixture
    def sealed(self, place: Path) -> tuple[Isolation, str]:
        pytest.importorskip("cryptography")
        key = SecretStr(PayloadKey(bytes(range(32))).to_text())
        config = {
            "ledger": {"url": f"sqlite:///{place}", "payload_key": key},
            "adapters": {"gpt": GPT},
            "capabilities": {"rate-item": {"adapters": ["gpt"]}},
        }
        transport = FaultTransport(chat_answer({"stars": 3}))
        with Isolation(config, capabilities=[RateItem], sync_transport=transport) as isolation:
            return isolation, isolation[RateItem].sync(Item(name="bolt")).call_id

    def test_are_read_where_their_key_is(self, sealed: tuple[Isolation, str]) -> None:
        isolation, call_id = sealed
        assert isolation.ledger is not None
        with read(isolation.ledger) as reader:
            assert Replay(reader, isolation.contracts, isolation.pins).call(call_id).result is SAME

    def test_arent_without_it(self, sealed: tuple[Isolation, str], place: Path) -> None:
        found = replayed(place, sealed[1])
        assert results(found) == {"call": SAME, "request": NOT, "decode": NOT}
        assert "reply is encrypted, and its key isn't here: name the ledger by the" in step(found, "decode").reason

    def test_nor_where_the_keys_are_spoilt(self, sealed: tuple[Isolation, str]) -> None:
        isolation, call_id = sealed
        assert isinstance(isolation.ledger, InFile)
        assert isolation.ledger.sealing is not None
        isolation.ledger.sealing.path.write_bytes(b"no keys" * 1000)
        with read(isolation.ledger) as reader, pytest.raises(LedgerInvalid, match="the file of keys can't be used"):
            Replay(reader, isolation.contracts, isolation.pins).call(call_id)


def test_a_reviewed_capability_is_replayed_as_any(place: Path) -> None:
    capability = made(review=Required())
    outcome = asked(place, capability=capability)
    assert outcome.review == "pending"
    assert replayed(place, outcome.call_id, capability).result is SAME
    changed = made(capability, accept=lambda self, request, response: 1 // 0)
    assert replayed(place, outcome.call_id, changed).result is DIFFERS
