"""What all HTTP codecs do alike, shown by the smallest dialect there can be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from failsoft.adapters.access import Access
from failsoft.adapters.base import as_object, as_text
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.reading import Reading, ToolCall
from failsoft.adapters.status import fault_of_status
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import AnswerSchema, Ask, HttpReply, HttpRequest, Reply, Unusable
from failsoft.credentials import AwsCredentials, Token
from failsoft.errors import ConfigurationError
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Pin, Served
from failsoft.prompt import Prompt, Sampling


class Small(HttpCodec):
    """``{"say": …}`` out, ``{"text": …}`` back."""

    schemas = 0

    def schema_bytes(self, answer: AnswerSchema) -> bytes:
        Small.schemas += 1
        return json.dumps(answer.schema).encode()

    def encode(self, ask: Ask) -> HttpRequest:
        body = b'{"say":%b,"schema":%b}' % (ask.prompt.to_json(), self.prepare(ask.answer))
        return HttpRequest(self.url, self.headers, body)

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        if reply.status != 200:
            return Reading(Served(), self.fault_of(reply, body))
        return Reading(Served(as_text(body.get("model")), Grade.PROVIDER), text=as_text(body.get("text")) or "")

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        return fault_of_status(reply.status, "known" if as_object(body) else "nothing in it")


class Streamed(Small):
    """The same, with a stream of anything."""

    def read_stream(self, reply: HttpReply) -> Reading:
        text = reply.body.replace(b"|", b"").decode()
        return Reading(Served(), text=text, answer=text, calls=(ToolCall("t", text, "1"),))


def access(**options: Any) -> Access:
    return Access(
        "m", "small", options.pop("base_url", "https://host/v1?v=2"), options.pop("key", "hunter2-key"), **options
    )


def small(**options: Any) -> Small:
    return Small(access(**options), "/say")


def reply(body: bytes, status: int = 200, kind: str = "application/json") -> HttpReply:
    return HttpReply(status, {"content-type": kind}, body)


def ask() -> Ask:
    schema = AnswerSchema("grade", {"type": "object"})
    return Ask(None, b"{}", Prompt.of("q"), schema, Sampling(), Pin("m"))


def test_it_asks_with_its_headers_at_its_place() -> None:
    codec = small(headers={"X-Team": "red"})
    request = codec.encode(ask())
    assert request.url == "https://host/v1/say?v=2"
    assert codec.endpoint == "https://host/v1/say"
    headers = dict(request.headers)
    assert headers["authorization"] == "Bearer hunter2-key"
    assert headers["x-team"] == "red"
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("failsoft/")
    assert codec.url_of("/other") == "https://host/v1/other?v=2"


def test_a_key_may_stand_in_another_header_and_a_dialect_has_headers_of_its_own() -> None:
    codec = Small(access(), "/say", own={"x-version": "1"}, key_header="x-api-key", key_prefix="")
    headers = dict(codec.headers)
    assert headers["x-api-key"] == "hunter2-key"
    assert headers["x-version"] == "1"
    assert "authorization" not in headers
    signed = codec.authorize(HttpRequest("u", (), b""), Token("t-o-k-e-n"), 0)
    assert signed.headers == (("x-api-key", "t-o-k-e-n"),)


def test_without_a_key_none_is_sent_and_a_token_comes_with_each_attempt() -> None:
    codec = small(key=None)
    assert "authorization" not in dict(codec.headers)
    request = codec.authorize(codec.encode(ask()), Token("t-o-k-e-n"), 0)
    assert dict(request.headers)["authorization"] == "Bearer t-o-k-e-n"
    with pytest.raises(TypeError, match="takes a Token, not AwsCredentials"):
        codec.authorize(request, AwsCredentials("a", "b"), 0)


def test_all_that_is_wrong_with_headers_and_key_is_told_and_no_key_is_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        small(key="hunter2\n", headers={"Content-Type": "x", "bad header": "x", "x-v": "ü", "authorization": "x"})
    told = caught.value.problems
    assert len(told) == 5
    assert "hunter2" not in str(told)


def test_its_repr_shows_where_and_no_key() -> None:
    assert repr(small()) == "Small(provider='small', endpoint='https://host/v1/say')"


def test_a_schema_is_made_once() -> None:
    Small.schemas = 0
    codec, question = small(), ask()
    codec.prepare(question.answer)
    codec.encode(question)
    codec.encode(question)
    assert Small.schemas == 1


def test_an_answer_is_one_strict_json_document() -> None:
    found = small().decode(reply(b'{"model": "m", "text": " {\\"a\\": 1}\\n"}'))
    assert isinstance(found, Reply)
    assert (found.answer, found.served) == (b'{"a": 1}', Served("m", Grade.PROVIDER))
    found = small().decode(reply(b'{"model": "m", "text": "{\\"a\\": 1, \\"a\\": 2}"}'))
    assert isinstance(found, Unusable)
    assert found.fault.kind is FaultKind.MALFORMED_ANSWER
    assert found.said == b'{"a": 1, "a": 2}'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, FaultKind.MALFORMED_REPLY),
        (201, FaultKind.UNEXPECTED_STATUS),
        (100, FaultKind.UNEXPECTED_STATUS),
        (301, FaultKind.UNEXPECTED_STATUS),
    ],
)
def test_a_success_without_an_answer_is_none(status: int, kind: FaultKind) -> None:
    found = small().decode(reply(b"", status))
    assert isinstance(found, Unusable)
    assert found.fault.kind is kind


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (reply(b"<html>", 200, "text/html"), FaultKind.WEB_PAGE),
        (reply(b"", 200), FaultKind.MALFORMED_REPLY),
        (reply(b"[]", 200), FaultKind.MALFORMED_REPLY),
        (reply(b"{", 500), FaultKind.SERVER_ERROR),
        (reply(b"", 401), FaultKind.UNAUTHENTICATED),
        (reply(b'{"error": 1}', 404), FaultKind.NOT_FOUND),
        (reply(b"data", 200, "text/event-stream"), FaultKind.MALFORMED_REPLY),
    ],
)
def test_what_is_no_json_object_is_told_before_the_dialect_is_asked(found: HttpReply, kind: FaultKind) -> None:
    read = small().parse(found)
    assert read.fault is not None
    assert read.fault.kind is kind


def test_a_stream_is_read_where_replies_are_streamed() -> None:
    codec = Streamed(access(streaming=Streaming()), "/say")
    assert dict(codec.headers)["accept"] == "text/event-stream, application/json"
    found = codec.parse(reply(b"a|b", 200, "text/event-stream; charset=utf-8"))
    assert found.text == "ab"
    none = Small(access(streaming=Streaming()), "/say").parse(reply(b"a", 200, "text/event-stream"))
    assert none.fault is not None
    assert none.fault.kind is FaultKind.MALFORMED_REPLY


def test_a_key_that_came_in_pieces_is_struck_from_what_they_make() -> None:
    codec = Streamed(access(streaming=Streaming()), "/say")
    found = codec.parse(reply(b"it is hunter|2-key", 200, "text/event-stream"))
    assert found.text == found.answer == found.calls[0].arguments == "it is [secret]"
    keyless = Streamed(access(key=None, streaming=Streaming()), "/say")
    assert keyless.parse(reply(b"it is hunter|2-key", 200, "text/event-stream")).text == "it is hunter2-key"
