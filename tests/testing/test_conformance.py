"""The conformance kit: failsoft's own adapters pass it, and each way of not conforming is found."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from attrs import evolve
from tests.adapters.conforming import CONFORMING

from failsoft.adapters import openai_compatible
from failsoft.adapters.access import Access
from failsoft.core.effects import Ask, CannotAsk, HttpReply, HttpRequest, Reply, Unusable
from failsoft.errors import ConfigurationError
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Served
from failsoft.testing import NotConformant, adapter_conformance
from failsoft.testing.conformance import CANARY

ACCESS = Access("m-2026-01-01", "acme", "https://api.acme.example/v1")


@pytest.mark.parametrize("name", CONFORMING)
def test_failsofts_own_adapters_conform(name: str) -> None:
    make, access, answer, faults, options = CONFORMING[name]
    adapter_conformance(make, access, answer=answer, faults=faults, rounds=300, **options)


class Acme:
    """A small codec that conforms; its subclasses don't."""

    provider, version, endpoint = "acme", "1", "https://api.acme.example/v1/ask"

    def __init__(self, access: Access) -> None:
        self.key = access.api_key or ""
        self.secrets = (self.key,)

    def __repr__(self) -> str:
        return "Acme()"

    def body(self, ask: Ask) -> dict[str, Any]:
        prompt = [each.told() for each in ask.prompt.messages]
        return {"model": ask.pin.model, "prompt": prompt, "as": ask.answer.schema, "most": ask.sampling.max_tokens}

    def encode(self, ask: Ask) -> HttpRequest:
        headers = (("authorization", self.key),)
        return HttpRequest("https://api.acme.example/v1/ask", headers, json.dumps(self.body(ask)).encode())

    def decode(self, reply: HttpReply) -> Reply | Unusable:
        return openai_compatible.codec(evolve(ACCESS, api_key=self.key)).decode(reply)


def answer(text: str, model: str) -> HttpReply:
    message = {"message": {"content": text}, "finish_reason": "stop"}
    return HttpReply(200, {}, json.dumps({"model": model, "choices": [message]}).encode())


FAULTS = {FaultKind.RATE_LIMITED: HttpReply(429, {}, b'{"error": {"message": "x"}}')}


def examined(codec: Any) -> tuple[str, ...]:
    try:
        adapter_conformance(codec, ACCESS, answer=answer, faults=FAULTS, rounds=20)
    except NotConformant as error:
        return error.problems
    return ()


def test_a_small_one_conforms() -> None:
    assert examined(Acme) == ()


class Nameless(Acme):
    version = ""


class TellsItsQuery(Acme):
    endpoint = "https://api.acme.example/v1/ask?key=1"


class KeepsNoSecret(Acme):
    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self.secrets = ()  # type: ignore[assignment]


class ShowsItsKey(Acme):
    def __repr__(self) -> str:
        return f"Acme({self.key})"


class Counts(Acme):
    n = 0

    def body(self, ask: Ask) -> dict[str, Any]:
        Counts.n += 1
        return {**super().body(ask), "n": Counts.n}


class Changes(Acme):
    def body(self, ask: Ask) -> dict[str, Any]:
        ask.answer.schema.setdefault("title", "x")
        return super().body(ask)


class Remembers(Acme):
    def decode(self, reply: HttpReply) -> Reply | Unusable:
        reply.headers["seen"] = "1"  # type: ignore[index]
        return super().decode(reply)


class Elsewhere(Acme):
    def encode(self, ask: Ask) -> HttpRequest:
        return evolve(super().encode(ask), url="https://other.example/ask", method="GET")


class KeyInUrl(Acme):
    def encode(self, ask: Ask) -> HttpRequest:
        return evolve(
            super().encode(ask), url=f"https://api.acme.example/v1/ask?key={self.key}", headers=(("X-A", "b"),)
        )


class Deaf(Acme):
    def body(self, ask: Ask) -> dict[str, Any]:
        return {"prompt": "nothing"}


class NoJson(Acme):
    def encode(self, ask: Ask) -> HttpRequest:
        request = super().encode(ask)
        return evolve(request, body=request.body + b"}")


class Prepares(Acme):
    def prepare(self, schema: Any) -> bytes:
        return b""

    def body(self, ask: Ask) -> dict[str, Any]:
        if "$defs" in ask.answer.schema:
            raise ConfigurationError("now it says so")
        return super().body(ask)


class AlwaysCool(Acme):
    def body(self, ask: Ask) -> dict[str, Any]:
        return {**super().body(ask), "temperature": ask.sampling.temperature, "seed": ask.sampling.seed}


class Blind(Acme):
    def encode(self, ask: Ask) -> HttpRequest:
        if len(ask.prompt.messages[-1].parts) > 1:
            raise CannotAsk(Fault(FaultKind.REQUEST_REJECTED))
        return super().encode(ask)


class DropsImages(Acme):
    def body(self, ask: Ask) -> dict[str, Any]:
        return {**super().body(ask), "prompt": [each.text for each in ask.prompt.messages]}


class DropsTheSystem(Acme):
    def body(self, ask: Ask) -> dict[str, Any]:
        return {**super().body(ask), "prompt": ask.prompt.messages[-1].text, "as": None, "most": None}


class OtherHost(Acme):
    def encode(self, ask: Ask) -> HttpRequest:
        return evolve(super().encode(ask), url="https://api.acme.example/v1".replace("/v1", "v1"))


class Stateful(Acme):
    last = ""

    def body(self, ask: Ask) -> dict[str, Any]:
        last, self.last = self.last, ask.prompt.messages[-1].text
        return {**super().body(ask), "before": "" if last == self.last else last}


class Reads(Acme):
    def encode(self, ask: Ask) -> HttpRequest:
        time.sleep(0)
        with open("/dev/null") as file:
            file.read()
        return super().encode(ask)


class Lowers(Acme):
    def decode(self, reply: HttpReply) -> Reply | Unusable:
        found = super().decode(reply)
        return Reply(found.answer.lower(), found.served) if isinstance(found, Reply) else found


class Deafened(Acme):
    def decode(self, reply: HttpReply) -> Reply | Unusable:
        return Unusable(Fault(FaultKind.EMPTY_REPLY, status=reply.status))


class Loose(Acme):
    def decode(self, reply: HttpReply) -> Reply | Unusable:
        try:
            text = json.loads(reply.body)["choices"][0]["message"]["content"]
            return Reply(str(text).encode(), Served("someone-else", Grade.UNKNOWN))
        except Exception:
            return Unusable(Fault(FaultKind.EMPTY_REPLY), Served(None, Grade.PROVIDER))


class Boundless(Acme):
    def decode(self, reply: HttpReply) -> Reply | Unusable:
        found = super().decode(reply)
        if isinstance(found, Reply):
            return Reply(found.answer, Served(None, Grade.PROVIDER))
        if reply.status == 204:
            return Reply(b"{}", Served())
        return Unusable(Fault(FaultKind.SERVER_ERROR, reply.body.decode("utf-8", "replace"), reply.status))


class Raises(Acme):
    def decode(self, reply: HttpReply) -> Reply | Unusable:
        if reply.body and not reply.body.endswith(b"}"):
            raise KeyError("choices")
        return super().decode(reply)


class GivesNone(Acme):
    def decode(self, reply: HttpReply) -> Any:
        return None if reply.body and not reply.body.endswith(b"}") else super().decode(reply)


class Slow(Acme):
    def decode(self, reply: HttpReply) -> Reply | Unusable:
        if reply.body and not reply.body.endswith(b"}"):
            time.sleep(0.002)
        return super().decode(reply)


@pytest.mark.parametrize(
    ("codec", "found"),
    [
        (Nameless, ["identity: provider and version"]),
        (TellsItsQuery, ["identity: endpoint stands in records"]),
        (KeepsNoSecret, ["identity: secrets must hold the key"]),
        (ShowsItsKey, ["identity: its repr shows the key"]),
        (Counts, ["purity: the same question is encoded"]),
        (Changes, ["purity: encode changed"]),
        (Remembers, ["purity: the same reply is decoded in different ways, or changed"]),
        (Elsewhere, ["request: it asks at https://other", "request: a question is a POST"]),
        (KeyInUrl, ["request: the key stands in the URL", "request: the key isn't sent", "request: headers' names", "request: the request's repr"]),
        (Deaf, ["question: the model isn't named", "question: what was asked isn't sent"]),
        (NoJson, ["question: raised JSONDecodeError", "schemas: flat: prepared, and then encoding raised"]),
        (Prepares, ["schemas: nested: prepared, and then encoding raised ConfigurationError"]),
        (AlwaysCool, ["sampling: temperature is sent", "sampling: seed is sent"]),
        (Blind, ["content: Image: refused as request_rejected", "content: Document: refused as"]),
        (DropsImages, ["content: Image: left out without a word", "content: Document: left out"]),
        (DropsTheSystem, ["question: the system message isn't sent", "question: the schema isn't sent", "question: the cap on"]),
        (OtherHost, ["request: it asks another host"]),
        (Stateful, ["purity: what was asked before changes"]),
        (Reads, ["no io: it uses time.sleep"]),
        (Lowers, ["round trip: "]),
        (Deafened, ["round trip: an answer isn't taken for one", "strictness: ", "faults: a reply that is rate_limited was taken for empty_reply"]),
        (Loose, ["round trip: ", "served identity: somebody is named as who answered, so the grade mustn't", "served identity: another-model-1 answered", "strictness: ", "faults: the fault of status"]),
        (Boundless, ["served identity: nobody is named", "strictness: ", "faults: status 204 without a body was taken", "faults: a fault quotes"]),
        (Raises, ["whatever comes: decoding raised KeyError"]),
        (GivesNone, ["whatever comes: decode gave a NoneType"]),
    ],
)  # fmt: skip
def test_each_way_of_not_conforming_is_found(codec: Any, found: list[str]) -> None:
    problems = examined(codec)
    for each in found:
        assert any(problem.startswith(each) for problem in problems), (each, problems)


def test_one_that_takes_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failsoft.testing.conformance.SLOWEST", 0.001)
    assert any("took more than" in each for each in examined(Slow))


def test_the_canary_is_long_enough_to_be_struck() -> None:
    assert len(CANARY) >= 16
