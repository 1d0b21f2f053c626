"""`observe`: an SDK's exchanges are on record, and nothing about them is changed."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import failsoft
from failsoft import ConfigurationError
from failsoft.cli.app import app
from failsoft.ledger.read import read
from failsoft.ledger.reading.affected import affected
from failsoft.ledger.verify import verify
from failsoft.observer import MOST
from failsoft.outcome import Pin
from tests.commands import CliRunner

KEY = "hunter2-hunter2"
URL = "https://api.openai.com/v1/chat/completions"
ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]}


def completion(text: str = "hi", model: str = "gpt-4.1-2025-04-14") -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


CHUNKS = [
    b'data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4.1-2025-04-14","choices":[{"index":0,"delta":{"content":"h"}}]}\n\n',
    b'data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4.1-2025-04-14","choices":[{"index":0,"delta":{"content":"i"},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


class Pieces(httpx.AsyncByteStream, httpx.SyncByteStream):
    def __init__(self, parts: list[bytes], error: Exception | None = None) -> None:
        self.parts, self.error = parts, error

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        if self.error is not None:
            raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for each in self:
            yield each


class Answers(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers with this, and keeps what was asked."""

    def __init__(self, respond: Any) -> None:
        self.respond = respond
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        found = self.respond() if callable(self.respond) else self.respond
        if isinstance(found, BaseException):
            raise found
        assert isinstance(found, httpx.Response)
        return found

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


def answering(body: Any, status: int = 200, **headers: str) -> Answers:
    return Answers(lambda: httpx.Response(status, json=body, headers=headers))


def client(transport: Any, ledger: Path | None, **options: Any) -> Any:
    return failsoft.observe(ledger, library="httpx", transport=transport, sync=True, **options)


def ask(using: Any, url: str = URL, body: Any = None, **headers: str) -> httpx.Response:
    found: httpx.Response = using.post(url, json=body or ASK, headers={"authorization": f"Bearer {KEY}", **headers})
    return found


def completed(ledger: Path) -> list[dict[str, Any]]:
    with read(ledger) as reader:
        return [dict(each.fields) for each in reader.records(kind="call.completed")]


def test_what_was_asked_and_served_is_on_record_and_the_ledger_verifies(tmp_path: Path) -> None:
    transport = answering(completion(), **{"x-request-id": "req-1"})
    with failsoft.context(case="case-7"), client(transport, tmp_path / "l.db") as using:
        assert ask(using).json() == completion()
    (record,) = completed(tmp_path / "l.db")
    (attempt,) = record["attempts"]
    assert attempt["pin"] == {"model": "gpt-4.1", "served": ["gpt-4.1"]}
    assert attempt["served"] == {"model": "gpt-4.1-2025-04-14", "grade": "provider-stated", "request_id": "req-1"}
    assert attempt["tokens"] == {"in": 3, "out": 2}
    assert attempt["endpoint"] == URL
    assert record["outcome"] == "answered"
    assert record["case"] == {"id": "case-7"}
    found = verify(tmp_path / "l.db")
    assert found.exit_code == 0, found.summary()


def test_the_request_goes_out_and_the_reply_comes_back_byte_by_byte(tmp_path: Path) -> None:
    raw = gzip.compress(json.dumps(completion()).encode())
    headers = {"content-encoding": "gzip", "content-type": "application/json", "x-other": "kept"}
    transport = Answers(lambda: httpx.Response(200, headers=headers, stream=Pieces([raw[:9], raw[9:]])))
    with client(transport, tmp_path / "l.db") as using:
        reply = ask(using, **{"x-mine": "1"})
    (asked,) = transport.asked
    assert json.loads(asked.content) == ASK
    assert asked.headers["x-mine"] == "1"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert reply.json() == completion()
    assert reply.headers["x-other"] == "kept"
    assert completed(tmp_path / "l.db")[0]["attempts"][0]["served"]["model"] == "gpt-4.1-2025-04-14"


async def test_a_stream_is_passed_on_piece_by_piece_and_recorded_at_its_end(tmp_path: Path) -> None:
    headers = {"content-type": "text/event-stream"}
    transport = Answers(lambda: httpx.Response(200, headers=headers, stream=Pieces(CHUNKS)))
    using = failsoft.observe(tmp_path / "l.db", library="httpx", transport=transport)
    async with using, using.stream("POST", URL, json={**ASK, "stream": True}) as reply:
        parts = [each async for each in reply.aiter_raw()]
    assert parts == CHUNKS
    (record,) = completed(tmp_path / "l.db")
    assert record["attempts"][0]["served"]["model"] == "gpt-4.1-2025-04-14"


async def test_whoever_goes_away_in_the_middle_of_a_stream_leaves_a_record_that_says_so(tmp_path: Path) -> None:
    headers = {"content-type": "text/event-stream"}
    transport = Answers(lambda: httpx.Response(200, headers=headers, stream=Pieces(CHUNKS)))
    using = failsoft.observe(tmp_path / "l.db", library="httpx", transport=transport)
    async with using, using.stream("POST", URL, json={**ASK, "stream": True}) as reply:
        async for _ in reply.aiter_raw():
            break
    (record,) = completed(tmp_path / "l.db")
    assert record["attempts"][0]["fault"] == "cancelled"
    assert record["attempts"][0]["served"]["model"] == "gpt-4.1-2025-04-14"


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("parts", [CHUNKS[:2], CHUNKS])
async def test_a_stream_that_is_read_to_its_own_end_is_whole_though_nobody_waits_for_the_connections(
    sync: bool, parts: list[bytes], tmp_path: Path
) -> None:
    """As SDKs do: they stop at the last event, and close."""
    headers = {"content-type": "text/event-stream"}
    transport = Answers(lambda: httpx.Response(200, headers=headers, stream=Pieces([*parts, b": more\n\n"])))
    using = failsoft.observe(tmp_path / "l.db", library="httpx", transport=transport, sync=sync)
    asking = {**ASK, "stream": True}
    if sync:
        with using, using.stream("POST", URL, json=asking) as reply:
            assert [part for part, _ in zip(reply.iter_raw(), parts, strict=False)] == parts
    else:
        async with using, using.stream("POST", URL, json=asking) as reply:
            waiting = reply.aiter_raw()
            assert [await anext(waiting) for _ in parts] == parts
    (record,) = completed(tmp_path / "l.db")
    assert "fault" not in record["attempts"][0]
    assert record["outcome"] == "answered"


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (httpx.ConnectError("no route"), "connect_failed"),
        (httpx.ConnectTimeout("x"), "connect_timeout"),
        (httpx.PoolTimeout("x"), "pool_exhausted"),
        (httpx.ProxyError("x"), "proxy_refused"),
        (httpx.UnsupportedProtocol("x"), "connect_failed"),
        (httpx.ReadTimeout("x"), "attempt_timeout"),
        (httpx.WriteError("x"), "upload_cut"),
        (httpx.RemoteProtocolError("Server disconnected"), "connection_lost"),
        (ValueError("x"), "connection_lost"),
    ],
)
async def test_errors_reach_the_caller_as_they_are_and_are_on_record(
    sync: bool, error: Exception, fault: str, tmp_path: Path
) -> None:
    """After most of them the question may have been sent."""
    using = failsoft.observe(tmp_path / "l.db", library="httpx", transport=Answers(error), sync=sync)
    with pytest.raises(type(error)) as caught:
        ask(using) if sync else await using.post(URL, json=ASK)
    assert caught.value is error
    using.close() if sync else await using.aclose()
    (record,) = completed(tmp_path / "l.db")
    assert record["outcome"] == "failed"
    assert record["attempts"][0]["fault"] == fault


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("error", "fault"), [(httpx.ReadError("gone"), "connection_lost"), (httpx.ReadTimeout("x"), "attempt_timeout")]
)
async def test_a_reply_that_breaks_off_breaks_off_for_the_caller_too(
    sync: bool, error: Exception, fault: str, tmp_path: Path
) -> None:
    transport = Answers(lambda: httpx.Response(200, stream=Pieces([b'{"id'], error)))
    using = failsoft.observe(tmp_path / "l.db", library="httpx", transport=transport, sync=sync)
    with pytest.raises(type(error)):
        ask(using) if sync else await using.post(URL, json=ASK)
    using.close() if sync else await using.aclose()
    (record,) = completed(tmp_path / "l.db")
    assert record["attempts"][0]["fault"] == fault


def test_how_it_ended_is_listed_and_what_came_is_found_by_who_looks_for_decisions(tmp_path: Path) -> None:
    """A part of an answer may have been used; the record can't tell."""
    path = tmp_path / "l.db"
    broken = Answers(lambda: httpx.Response(200, stream=Pieces([b'{"id"'], httpx.ReadError("gone"))))
    with client(broken, path) as using, pytest.raises(httpx.ReadError):
        ask(using)
    with client(answering(completion("hi")), path) as using:
        ask(using)
    said = CliRunner().invoke(app, ["log", str(path), "--kind", "call.completed"]).output
    assert "a model without a name, unknown, connection_lost)" in said
    assert "answered by adapter openai (gpt-4.1-2025-04-14, provider-stated)" in said
    with read(path) as reader:
        first, second = affected(reader, "openai", "2001-01-01T00:00:00.000000Z", "9999-01-01T00:00:00.000000Z")
    assert first.answer == '{"id"'
    assert json.loads(second.answer or "") == completion("hi")


def test_a_reply_that_sends_on_to_another_place_is_no_answer(tmp_path: Path) -> None:
    with client(answering({}, 302), tmp_path / "l.db") as using:
        assert ask(using).status_code == 302
    (record,) = completed(tmp_path / "l.db")
    assert (record["outcome"], record.get("source")) == ("failed", None)


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, b"<html>hello</html>", "web_page"),
        (204, b"", None),
        (200, b"", None),
        (200, b"{", "malformed_reply"),
        (200, b'{"error":{"code":502,"message":"bad upstream"}}', None),
        (200, b'data: {"error":{"message":"overloaded","type":"server_error","code":503}}\n\n', None),
    ],
)
def test_what_comes_with_a_good_status_and_is_no_models_is_no_answer(
    status: int, body: bytes, fault: str | None, tmp_path: Path
) -> None:
    media = "text/html" if b"html" in body else "text/event-stream" if b"data" in body else "application/json"
    headers = {"content-type": media}
    with client(Answers(lambda: httpx.Response(status, content=body, headers=headers)), tmp_path / "l.db") as using:
        assert ask(using).content == body
    (record,) = completed(tmp_path / "l.db")
    assert (record["outcome"], record.get("source")) == ("failed", None)
    assert fault is None or record["attempts"][0]["fault"] == fault


def test_what_a_model_said_before_an_error_came_is_an_answer_and_so_is_its_refusal(tmp_path: Path) -> None:
    error = b'data: {"error":{"message":"overloaded","type":"server_error","code":503}}\n\n'
    stream = {"content-type": "text/event-stream"}
    refusal = completion()
    refusal["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "no"}
    replies = iter([httpx.Response(200, content=CHUNKS[0] + error, headers=stream), httpx.Response(200, json=refusal)])
    with client(Answers(lambda: next(replies)), tmp_path / "l.db") as using:
        ask(using)
        ask(using)
    found = [(each["outcome"], each["attempts"][0]["fault"]) for each in completed(tmp_path / "l.db")]
    assert [outcome for outcome, _ in found] == ["answered", "answered"]
    assert found[1][1] == "refused"


@pytest.mark.parametrize("sync", [True, False])
async def test_a_client_that_is_closed_with_questions_on_their_way_waits_with_its_ledger(
    sync: bool, tmp_path: Path
) -> None:
    def closes() -> httpx.Response:
        assert observer is not None
        observer.close()
        observer.close()
        return httpx.Response(200, json=completion())

    using = failsoft.observe(tmp_path / "l.db", library="httpx", transport=Answers(closes), sync=sync)
    observer = using._transport._observer
    reply = using.post(URL, json=ASK) if sync else await using.post(URL, json=ASK)
    assert reply.status_code == 200
    with read(tmp_path / "l.db") as reader:
        kinds = [each.kind for each in reader.records()]
    assert kinds[-2:] == ["call.completed", "emitter.closed"]
    assert completed(tmp_path / "l.db")[0]["outcome"] == "answered"


@pytest.mark.parametrize(
    ("url", "model"),
    [
        (
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
            "gemini-2.5-flash",
        ),
        ("https://generativelanguage.googleapis.com/v1beta/tunedModels/mine-7:generateContent", "mine-7"),
        (
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
            "anthropic.claude-3-haiku-20240307-v1:0",
        ),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/model/meta.llama3-v1:0/converse", "meta.llama3-v1:0"),
        ("https://x.openai.azure.com/openai/deployments/office/chat/completions?api-version=1", "office"),
        ("https://api.openai.com/v1/chat/completions", "unknown"),
    ],
)
def test_a_model_that_stands_in_the_url_is_the_one_that_was_asked(url: str, model: str, tmp_path: Path) -> None:
    with client(answering({}), tmp_path / "l.db", pins={model: "served-1"}) as using:
        ask(using, url, {"messages": []})
    (record,) = completed(tmp_path / "l.db")
    assert record["attempts"][0]["pin"] == {"model": model, "served": ["served-1"]}


@pytest.mark.parametrize("tail", ["input_tokens", "compact"])
def test_what_is_posted_about_responses_is_no_question(tail: str, tmp_path: Path) -> None:
    with client(answering({}), tmp_path / "l.db") as using:
        ask(using, f"https://api.openai.com/v1/responses/{tail}")
        ask(using, "https://api.openai.com/v1/responses")
    assert len(completed(tmp_path / "l.db")) == 1


def test_a_client_that_is_closed_with_a_reply_unread_says_goodbye_when_the_program_ends(tmp_path: Path) -> None:
    code = f"""
import httpx, failsoft
answers = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"x")))
client = failsoft.observe({str(tmp_path / "l.db")!r}, library="httpx", transport=answers, sync=True)
reply = client.send(client.build_request("POST", {URL!r}, json={ASK!r}), stream=True)
client.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with read(tmp_path / "l.db") as reader:
        assert [each.kind for each in reader.records()][-1] == "emitter.closed"


def forked(work: Callable[[], object]) -> int:
    """A child that does this and ends without another word, as a worker's process does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system doesn't fork")


@needs_fork
def test_forked_processes_give_no_call_id_twice(tmp_path: Path) -> None:
    using = client(answering(completion()), tmp_path / "l.db")

    def work() -> None:
        ask(using)
        using.close()

    children = [forked(work), forked(work)]
    assert [os.waitpid(each, 0)[1] for each in children] == [0, 0]
    work()
    drawn = {each["call_id"][-12:] for each in completed(tmp_path / "l.db")}
    assert len(drawn) == 3  # of the parts that are random: the rest is the time
    found = verify(tmp_path / "l.db")
    assert found.exit_code == 0, found.summary()


@needs_fork
def test_a_child_that_is_forked_while_a_reply_is_read_keeps_its_own_exchanges_and_leaves_that_one(
    tmp_path: Path,
) -> None:
    using = client(Answers(lambda: httpx.Response(200, stream=Pieces([b"{", b"}"]))), tmp_path / "l.db")
    reply = using.send(using.build_request("POST", URL, json=ASK), stream=True)

    def work() -> None:
        ask(using)
        reply.close()
        using.close()

    assert os.waitpid(forked(work), 0)[1] == 0
    assert reply.read() == b"{}"
    using.close()
    with read(tmp_path / "l.db") as reader:
        kinds = [each.kind for each in reader.records()]
    assert [kinds.count(each) for each in ("call.started", "call.completed", "emitter.closed")] == [2, 2, 2]
    assert len({each["call_id"] for each in completed(tmp_path / "l.db")}) == 2
    found = verify(tmp_path / "l.db")
    assert found.exit_code == 0, found.summary()


def test_a_listing_of_what_was_asked_is_no_question(tmp_path: Path) -> None:
    with client(answering({"data": []}), tmp_path / "l.db") as using:
        assert using.get(URL).json() == {"data": []}
    with read(tmp_path / "l.db") as reader:
        assert not list(reader.records("call.started"))


def test_a_refusal_of_the_provider_is_on_record_by_its_code(tmp_path: Path) -> None:
    body = {"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "…"}}
    with client(answering(body, 429), tmp_path / "l.db") as using:
        assert ask(using).status_code == 429
    (record,) = completed(tmp_path / "l.db")
    assert record["outcome"] == "failed"
    assert record["attempts"][0]["fault"] == "quota_spent"
    assert record["attempts"][0]["status"] == 429


def test_an_echoed_key_stands_in_no_file(tmp_path: Path) -> None:
    with client(answering(completion(f"your key is {KEY}")), tmp_path / "l.db") as using:
        assert KEY in ask(using).text
    assert all(KEY.encode() not in each.read_bytes() for each in tmp_path.iterdir())


@pytest.mark.parametrize("where", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "?key=", "?api_key="])
def test_a_key_that_is_quoted_in_what_is_asked_stands_in_no_file(where: str, tmp_path: Path) -> None:
    url, headers = (URL + where + KEY, {}) if "?" in where else (URL, {where: KEY})
    body = {**ASK, "messages": [{"role": "user", "content": f"why does\n{KEY} fail?"}]}
    transport = answering(completion())
    with client(transport, tmp_path / "l.db", provider="openai") as using:
        using.post(url, json=body, headers=headers)
    assert json.loads(transport.asked[0].content) == body
    assert all(KEY.encode() not in each.read_bytes() for each in tmp_path.iterdir())
    with read(tmp_path / "l.db") as reader:
        (start,) = reader.records("call.started")
        kept = reader.payload(start.fields["commitments"][0]["digest"])
    assert kept is not None
    assert json.loads(kept[2])["messages"][0]["content"] == "why does\n[secret] fail?"


@pytest.mark.parametrize(
    ("pins", "mismatch"),
    [
        ({"gpt-4.1": "gpt-4.1-2025-04-14"}, False),
        ({"gpt-4.1": Pin("gpt-4.1", (), r"gpt-4\.1-\d{4}-\d\d-\d\d")}, False),
        ({"gpt-4.1": "gpt-4.1-2026-01-01"}, True),
        ({"gpt-5": "gpt-5-2025-08-07"}, False),
        (None, False),
    ],
)
def test_pins_are_checked_and_nothing_is_refused(pins: Any, mismatch: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "failsoft"), client(answering(completion()), None, pins=pins) as using:
        assert ask(using).status_code == 200
    assert ("pin.mismatch" in caplog.text) is mismatch
    assert "exchange.observed" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1/files", None),
        ("https://example.org/", None),
        ("https://gateway.example.org/llm/chat/completions", None),
    ],
)
def test_what_is_no_question_to_a_model_passes_unseen(url: str, provider: str | None, tmp_path: Path) -> None:
    with client(answering({"data": []}), tmp_path / "l.db", provider=provider) as using:
        assert ask(using, url).json() == {"data": []}
    assert len(completed(tmp_path / "l.db")) == (1 if "chat" in url else 0)


def test_a_provider_may_be_named_where_its_host_says_nothing(tmp_path: Path) -> None:
    with client(answering(completion()), tmp_path / "l.db", provider="openai") as using:
        ask(using, "https://gateway.example.org/llm/chat/completions")
    (record,) = completed(tmp_path / "l.db")
    assert record["source"] == {"kind": "adapter", "name": "openai", "attempt": 1, "version": "observed"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"choices": 5}', b"\xff", b'{"a": 1e999}', b"<html>"])
def test_whatever_comes_reaches_the_caller_and_a_record(body: bytes, tmp_path: Path) -> None:
    transport = Answers(lambda: httpx.Response(200, content=body))
    with client(transport, tmp_path / "l.db") as using:
        assert ask(using).content == body
    assert len(completed(tmp_path / "l.db")) == 1


def test_a_body_that_is_streamed_up_is_left_alone(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield json.dumps(ASK).encode()

    with client(answering(completion()), tmp_path / "l.db") as using:
        assert using.post(URL, content=parts()).status_code == 200
    assert completed(tmp_path / "l.db") == []


def test_an_encoding_that_this_client_cannot_undo_is_told(tmp_path: Path) -> None:
    transport = Answers(lambda: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Pieces([b"no gzip"])))
    with client(transport, tmp_path / "l.db") as using, using.stream("POST", URL, json=ASK) as reply:
        assert b"".join(reply.iter_raw()) == b"no gzip"
    assert completed(tmp_path / "l.db")[0]["attempts"][0]["fault"] == "bad_encoding"


def test_what_fails_in_here_does_not_reach_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("a bug")

    with client(answering(completion()), tmp_path / "l.db") as using:
        monkeypatch.setattr("failsoft.observer.reader_of", broken)
        assert ask(using).status_code == 200
        monkeypatch.setattr("failsoft.observer.speaker_of", broken)
        assert ask(using).status_code == 200
    assert caplog.text.count("observing.failed") == 2


def test_a_huge_reply_passes_and_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failsoft.observer.MOST", 100)
    with client(answering(completion("x" * 200)), tmp_path / "l.db") as using:
        assert len(ask(using, body={"model": "m"}).content) > 200
    (record,) = completed(tmp_path / "l.db")
    assert (record["attempts"][0]["fault"], record["attempts"][0]["status"]) == ("too_large", 200)
    assert (record["outcome"], "commitments" in record) == ("answered", False)


def packed(data: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(data)
    stream = zlib.compressobj(9, wbits=-15 if encoding == "raw" else 15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw"])
async def test_a_reply_that_is_huge_when_inflated_reaches_its_reader_and_is_not_kept(
    sync: bool, encoding: str, tmp_path: Path
) -> None:
    body = b"a" * (MOST + 1)
    headers = {"content-encoding": "deflate" if encoding == "raw" else encoding, "content-type": "application/json"}
    wire = packed(body, encoding)
    transport = Answers(lambda: httpx.Response(200, headers=headers, stream=Pieces([wire])))
    using = failsoft.observe(tmp_path / "l.db", library="httpx", transport=transport, sync=sync)
    reply = using.post(URL, json=ASK) if sync else await using.post(URL, json=ASK)
    assert reply.content == body
    using.close() if sync else await using.aclose()
    (record,) = completed(tmp_path / "l.db")
    assert (record["attempts"][0]["fault"], record["attempts"][0]["status"]) == ("too_large", 200)
    assert (record["outcome"], "commitments" in record) == ("answered", False)


def test_no_more_is_inflated_than_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few megabytes on the wire may hold gigabytes, which the caller needn't have read as anything but bytes."""
    wire = gzip.compress(b"a" * (4 * MOST))
    headers = {"content-encoding": "gzip"}
    using = client(Answers(lambda: httpx.Response(200, headers=headers, stream=Pieces([wire]))), tmp_path / "l.db")
    with using, using.stream("POST", URL, json=ASK) as reply:
        assert b"".join(reply.iter_raw()) == wire
        tracemalloc.start()
        reply.close()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3 * MOST
    assert completed(tmp_path / "l.db")[0]["attempts"][0]["fault"] == "too_large"


@pytest.mark.parametrize(("encoding", "times"), [("gzip", 1), ("identity", 0), ("gzip, gzip", 2)])
def test_one_encoding_is_undone_and_a_list_of_several_is_not(encoding: str, times: int, tmp_path: Path) -> None:
    wire = json.dumps(completion()).encode()
    for _ in range(times):
        wire = gzip.compress(wire)
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    transport = Answers(lambda: httpx.Response(200, headers=headers, stream=Pieces([wire])))
    with client(transport, tmp_path / "l.db") as using:
        assert ask(using).json() == completion()
    assert completed(tmp_path / "l.db")[0]["attempts"][0].get("fault") == ("bad_encoding" if times > 1 else None)


def test_what_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="there is none named"):
        failsoft.observe(None, provider="opnai", library="httpx")
    with pytest.raises(ConfigurationError, match='"httpx" or "httpx2", not'):
        failsoft.observe(None, library="aiohttp")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="a served name or a Pin is wanted, not 5"):
        failsoft.observe(None, library="httpx", pins={"a": 5})  # type: ignore[dict-item]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "httpx2", None)
        with pytest.raises(ConfigurationError, match="isn't installed"):
            failsoft.observe(None, library="httpx2")


def test_the_environments_proxies_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with failsoft.observe(None, library="httpx", sync=True) as using:
        through = using._transport_for_url(httpx.URL(URL))
        assert type(through).__name__ == "ObservingTransport"
        assert type(through._inner._pool).__name__ == "HTTPProxy"


def test_a_ledgers_url_will_do(tmp_path: Path) -> None:
    with client(answering(completion()), f"sqlite:///{tmp_path}/l.db", provider="azure_openai") as using:  # type: ignore[arg-type]
        ask(using)
    assert len(completed(tmp_path / "l.db")) == 1


@pytest.mark.parametrize("sync", [True, False])
async def test_by_default_it_is_the_librarys_own_client_over_its_own_transport(sync: bool) -> None:
    using = failsoft.observe(None, sync=sync, library="httpx", timeout=5.0, verify=False)
    assert isinstance(using, httpx.Client if sync else httpx.AsyncClient)
    assert using.timeout.read == 5.0
    using.close() if sync else await using.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2-hunter2@gateway.example/v1/chat/completions",
        "https://gateway.example/v1/chat/completions?key=hunter2-hunter2",
        "https://gateway.example/v1/chat/completions?sig=hunter2-hunter2",
        "https://gateway.example/v1/chat/completions?code=hunter2-hunter2",
    ],
)
def test_a_key_in_a_url_stands_in_no_file(url: str, tmp_path: Path) -> None:
    with client(answering(completion(f"you asked {url}")), tmp_path / "l.db") as using:
        assert using.post(url, json=ASK).status_code == 200
    assert completed(tmp_path / "l.db")[0]["attempts"][0]["endpoint"] == "https://gateway.example/v1/chat/completions"
    assert all(b"hunter2" not in each.read_bytes() for each in tmp_path.iterdir())
