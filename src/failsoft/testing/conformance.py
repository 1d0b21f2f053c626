"""Does an adapter keep what failsoft relies on? A kit for whoever writes one; failsoft's own pass it.

def test_acme_conforms():
adapter_conformance(
acme.codec,
Access("acme-large-2026-05-01", "acme", "https://api.acme.example/v1"),
answer=lambda text, model: HttpReply(200, {}, acme_reply(text, model)),
faults={FaultKind.RATE_LIMITED: HttpReply(429, {}, b'{"error": "slow down"}')},
)
"""

from __future__ import annotations

import base64
import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from random import Random
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

from attrs import evolve, frozen

from failsoft.adapters.access import Access
from failsoft.core.effects import AnswerSchema, Ask, CannotAsk, Codec, HttpReply, HttpRequest, Reply, Unusable
from failsoft.errors import ConfigurationError
from failsoft.fault import FaultKind
from failsoft.outcome import Grade, Pin, Served
from failsoft.prompt import Document, Image, Message, Prompt, Sampling
from failsoft.testing.mutations import mutated

CANARY = "canary-0f3b7c1d9e5a2846"
"""Given as the key, and looked for wherever none may be."""

SLOWEST = 2.0
"""Seconds that decoding one reply may take at most."""

WORD = "zanzibar"
"""Stands in the question, and must reach the provider."""

INSTRUCTION = "Say which strength it has"

SCHEMAS: Mapping[str, dict[str, Any]] = {
    "flat": {
        "type": "object",
        "properties": {"grade": {"type": "integer"}, "why": {"type": "string"}},
        "required": ["grade", "why"],
    },
    "choice": {
        "type": "object",
        "properties": {"value": {"enum": ["a", "b"], "type": "string"}},
        "required": ["value"],
    },
    "nested": {
        "type": "object",
        "properties": {"parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "minItems": 1, "maxItems": 9}},
        "required": ["parts"],
        "$defs": {
            "Part": {
                "type": "object",
                "properties": {
                    "number": {"type": "string", "pattern": "^[0-9]+$", "maxLength": 9},
                    "weight": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}], "default": None},
                },
                "required": ["number"],
            }
        },
    },
}
"""What capabilities ask for: plain fields, a choice, nested parts with bounds and a default."""

_TEXTS = ('{"grade": 3, "why": "  É \\" \\\\ A Mixed Case  "}', '{"value": "a"}', " {}\n")
_LOOSE = ('{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1} and more', "plain words", '{"a": 1e999}')


class NotConformant(AssertionError):
    """What an adapter doesn't keep.

    Args:
        problems: all of it, one sentence each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@frozen
class Kit:
    """One adapter under examination.

    Args:
        make: makes its codec.
        access: how: without a key, which is put in here.
        answer: a reply of the provider's, from the text that the model says and the model's name.
        faults: replies that aren't answers, by what they must be taken for.
        rounds: mutated replies that it must bear.
        sends_prompt: does it send the prompt? A service that takes the plain request doesn't.
    """

    make: Callable[[Access], Codec]
    access: Access
    answer: Callable[[str, str], HttpReply]
    faults: Mapping[FaultKind, HttpReply]
    rounds: int
    sends_prompt: bool

    def codec(self) -> Codec:
        """A new one, with a key."""
        return self.make(evolve(self.access, api_key=CANARY))

    def ask(self, schema: str = "flat", *messages: Message, sampling: Sampling | None = None) -> Ask:
        """A question."""
        prompt = Prompt((Message("system", INSTRUCTION), *(messages or (Message("user", f"a {WORD} bolt"),))))
        answer = AnswerSchema("grade-item", copy.deepcopy(SCHEMAS[schema]))
        request = json.dumps({"text": f"a {WORD} bolt"}).encode()
        return Ask(json.loads(request), request, prompt, answer, sampling or Sampling(), Pin(self.access.model))


def adapter_conformance(
    make: Callable[[Access], Codec],
    access: Access,
    *,
    answer: Callable[[str, str], HttpReply],
    faults: Mapping[FaultKind, HttpReply] | None = None,
    rounds: int = 500,
    sends_prompt: bool = True,
) -> None:
    """Examine an adapter.

    What is looked at: the same question gives the same bytes, and nothing that's handed in is changed; the key goes where
    it must and nowhere else; the model asked for and the prompt reach the provider; each kind of schema is asked for or
    refused; what the model says comes out as it was said, strictly; who answered is told, or told to be unknown; each fault
    is taken for what it is; and nothing that may come makes it raise or take long. A codec does no I/O, so it can't retry.

    Args:
        make: makes a codec of an `Access`.
        access: a model, a place and options that it can be made with.
        answer: a whole reply of the provider's: the model of this name says this text.
        faults: replies that aren't answers, by what each must be taken for.
        rounds: mutated replies that it must bear.
        sends_prompt: False for a service that takes the plain request.

    Raises:
        NotConformant: with all that it doesn't keep.
    """
    kit = Kit(make, access, answer, faults or {}, rounds, sends_prompt)
    problems = [
        f"{check.__name__.strip('_').replace('_', ' ')}: {problem}"
        for check in CHECKS
        for problem in _tried(check, kit)
    ]
    if problems:
        raise NotConformant(problems)


def _tried(check: Callable[[Kit], Iterator[str]], kit: Kit) -> Iterator[str]:
    try:
        yield from check(kit)
    except Exception as error:
        yield f"raised {type(error).__name__}: {error}"


# --- what is looked at ------------------------------------------------------------------------------------------------


def _identity(kit: Kit) -> Iterator[str]:
    codec = kit.codec()
    if not codec.provider or not codec.version:
        yield "provider and version must say something: they stand in records"
    endpoint = codec.endpoint
    if endpoint is not None and ("?" in endpoint or "@" in endpoint):
        yield "endpoint stands in records: no query, no user name"
    if CANARY not in codec.secrets:
        yield "secrets must hold the key: or it isn't struck from a reply that echoes it"
    if CANARY in repr(codec):
        yield "its repr shows the key"


def _purity(kit: Kit) -> Iterator[str]:
    codec, ask = kit.codec(), kit.ask()
    before = copy.deepcopy((ask.request, ask.prompt, ask.answer.schema, ask.sampling, ask.pin))
    first, second = codec.encode(ask), codec.encode(ask)
    if _told(first) != _told(second) or _told(first) != _told(kit.codec().encode(kit.ask())):
        yield "the same question is encoded in different ways"
    if before != (ask.request, ask.prompt, ask.answer.schema, ask.sampling, ask.pin):
        yield "encode changed what it was given"
    codec.encode(kit.ask("nested", Message("user", f"another {WORD}")))
    if _told(codec.encode(ask)) != _told(first):
        yield "what was asked before changes how a question is encoded"
    reply = kit.answer(_TEXTS[0], kit.access.model)
    held = (reply.status, dict(reply.headers), reply.body)
    if repr(codec.decode(reply)) != repr(codec.decode(reply)) or held != (
        reply.status,
        dict(reply.headers),
        reply.body,
    ):
        yield "the same reply is decoded in different ways, or changed"


def _no_io(kit: Kit) -> Iterator[str]:
    codec, ask, reply = kit.codec(), kit.ask(), kit.answer(_TEXTS[0], kit.access.model)
    done: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        def instead(*_: Any, **__: Any) -> Any:
            done.append(name)
            raise OSError(f"a codec does no I/O: {name}")

        return instead

    with ExitStack() as stack:
        for name in ("builtins.open", "socket.socket", "time.sleep", "subprocess.Popen"):
            stack.enter_context(mock.patch(name, noted(name)))
        begun = time.perf_counter()
        with suppress(OSError):
            codec.encode(ask)
        with suppress(OSError):
            codec.decode(reply)
        took = time.perf_counter() - begun
    for name in dict.fromkeys(done):
        yield f"it uses {name}: a codec is pure, and waits for nothing"
    if took > SLOWEST:
        yield f"encoding and decoding once took {took:.1f} s"


def _request(kit: Kit) -> Iterator[str]:
    request = kit.codec().encode(kit.ask())
    place = kit.access.base_url.partition("?")[0].rstrip("/")
    if not request.url.startswith(place):
        yield f"it asks at {request.url}, which isn't below {place}"
    if request.method != "POST":
        yield "a question is a POST"
    if CANARY in request.url or CANARY.encode() in request.body:
        yield "the key stands in the URL or in the body: it belongs in a header"
    if not any(CANARY in value for _, value in request.headers):
        yield "the key isn't sent"
    if CANARY in repr(request):
        yield "the request's repr shows the key"
    if any(name != name.lower() for name, _ in request.headers):
        yield "headers' names must be in lower case"
    if urlsplit(request.url).netloc != urlsplit(kit.access.base_url).netloc:
        yield "it asks another host: an interface's path begins with a slash"


def _question(kit: Kit) -> Iterator[str]:
    request = kit.codec().encode(kit.ask())
    if kit.sends_prompt and kit.access.model not in unquote(request.url) + request.body.decode():
        yield "the model isn't named"
    if WORD.encode() not in request.body:
        yield "what was asked isn't sent"
    json.loads(request.body)
    if not kit.sends_prompt:
        return
    if INSTRUCTION.encode() not in request.body:
        yield "the system message isn't sent"
    if b"grade" not in request.body or b"why" not in request.body:
        yield "the schema isn't sent"
    if b"777" not in kit.codec().encode(kit.ask(sampling=Sampling(max_tokens=777))).body:
        yield "the cap on the answer's tokens isn't sent"


def _schemas(kit: Kit) -> Iterator[str]:
    for name in SCHEMAS:
        codec, ask = kit.codec(), kit.ask(name)
        prepare: Any = getattr(codec, "prepare", None)
        try:
            if prepare is not None:
                prepare(ask.answer)
        except ConfigurationError:
            continue  # it says so before anything is asked
        try:
            json.loads(codec.encode(ask).body)
        except Exception as error:
            yield f"{name}: prepared, and then encoding raised {type(error).__name__}: {error}"


def _sampling(kit: Kit) -> Iterator[str]:
    body = kit.codec().encode(kit.ask(sampling=Sampling(temperature=None, seed=None))).body
    for name in ("temperature", "seed"):
        if f'"{name}"'.encode() in body:
            yield f"{name} is sent though nobody set it: some models refuse it"


def _content(kit: Kit) -> Iterator[str]:
    for part in (Image(b"\x89PNG", "image/png"), Document(b"%PDF-1.7", "application/pdf", "sheet")):
        ask = kit.ask("flat", Message("user", (f"a {WORD} bolt", part)))
        try:
            body = kit.codec().encode(ask).body
            json.loads(body)
            if kit.sends_prompt and base64.b64encode(part.data)[:6] not in body:
                yield f"{type(part).__name__}: left out without a word: raise CannotAsk, or the model is asked half of it"
        except CannotAsk as refused:
            if refused.fault.kind is not FaultKind.UNSUPPORTED_CONTENT:
                yield f"{type(part).__name__}: refused as {refused.fault.kind}, not as unsupported_content"


def _round_trip(kit: Kit) -> Iterator[str]:
    codec = kit.codec()
    for text in _TEXTS:
        found = codec.decode(kit.answer(text, kit.access.model))
        if not isinstance(found, Reply):
            yield f"an answer isn't taken for one: {found.fault}"
        elif found.answer != text.strip().encode():
            yield f"{text!r} came out as {found.answer!r}"


def _served_identity(kit: Kit) -> Iterator[str]:
    found = kit.codec().decode(kit.answer(_TEXTS[0], "another-model-1"))
    served = found.served or Served()
    if served.model is None and served.grade is not Grade.UNKNOWN:
        yield "nobody is named as who answered, so the grade must be unknown"
    if served.model is not None and served.grade is Grade.UNKNOWN:
        yield "somebody is named as who answered, so the grade mustn't be unknown"
    if served.model not in (None, "another-model-1"):
        yield f"another-model-1 answered, and it says that {served.model} did"


def _strictness(kit: Kit) -> Iterator[str]:
    for text in _LOOSE:
        found = kit.codec().decode(kit.answer(text, kit.access.model))
        if isinstance(found, Reply):
            yield f"{text!r} was taken for one strict JSON document"
        elif found.fault.kind is not FaultKind.MALFORMED_ANSWER:
            yield f"{text!r} must be malformed_answer, not {found.fault.kind}"


def _faults(kit: Kit) -> Iterator[str]:
    codec = kit.codec()
    for kind, reply in kit.faults.items():
        found = codec.decode(reply)
        actual = found.fault.kind if isinstance(found, Unusable) else "an answer"
        if actual is not kind:
            yield f"a reply that is {kind} was taken for {actual}"
    for status in (*range(100, 200), *range(201, 600)):
        found = codec.decode(HttpReply(status, {}, b""))
        if isinstance(found, Reply):
            yield f"status {status} without a body was taken for an answer"
        elif found.fault.status != status:
            yield f"the fault of status {status} doesn't name it"
    for reply in kit.faults.values():
        echoed = HttpReply(
            reply.status, reply.headers, reply.body.replace(b"{", b'{"echo": "%b", ' % CANARY.encode(), 1)
        )
        found = codec.decode(echoed)
        if isinstance(found, Unusable) and CANARY in f"{found.fault!r} {found!r}":
            yield "a fault quotes the reply: its detail is our own words"


def _whatever_comes(kit: Kit) -> Iterator[str]:
    codec, random = kit.codec(), Random(7)  # noqa: S311 - the same every time
    replies = [kit.answer(_TEXTS[0], kit.access.model), *kit.faults.values()]
    for _ in range(kit.rounds):
        reply = mutated(random.choice(replies), random)
        begun = time.perf_counter()
        try:
            found = codec.decode(reply)
        except Exception as error:
            yield f"decoding raised {type(error).__name__} for status {reply.status}, body {reply.body[:200]!r}"
            return
        if not isinstance(found, (Reply, Unusable)):
            yield f"decode gave a {type(found).__name__}"
            return
        if time.perf_counter() - begun > SLOWEST:
            yield f"decoding took more than {SLOWEST:g} s for {len(reply.body)} bytes"
            return


def _told(request: HttpRequest) -> tuple[Any, ...]:
    return request.url, request.headers, request.body, request.method


CHECKS: tuple[Callable[[Kit], Iterator[str]], ...] = (
    *(_identity, _purity, _no_io, _request, _question, _schemas, _sampling, _content, _round_trip),
    *(_served_identity, _strictness, _faults, _whatever_comes),
)
