"""Real exchanges are written down without their secrets, and answered from again, strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.core.scripted import Grade, GradeItem, Item

from failsoft import Isolation
from failsoft.adapters.recorded import NotRecorded, exchanged
from failsoft.testing import FaultTransport, NotReplayed, Recorder, Replayer, chat_answer

pytest_plugins = ["pytester"]

KEY = "hunter2-hunter2"
JSON = "application/json"
URL = "https://provider.example/v1/chat/completions?api-version=2&api_key=hunter2-hunter2"


def made(body: Any = None, url: str = URL, **headers: str) -> httpx.Request:
    told = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "x-team": "red", **headers}
    return httpx.Request("POST", url, headers=told, content=json.dumps(body or {"model": "m"}))


def provider(body: Any = None, **headers: str) -> httpx.MockTransport:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=body or {"said": f"your key is {KEY}"}, headers=headers)

    return httpx.MockTransport(respond)


def recorder(path: Path, inner: Any = None, **options: Any) -> Recorder:
    inner = inner or provider()
    return Recorder(path, transport=inner, sync_transport=inner, **options)


def test_what_is_written_holds_no_secret_and_the_caller_gets_all(tmp_path: Path) -> None:
    inner = provider(None, **{"set-cookie": "session=abcdefgh", "x-request-id": "r-1", "openai-organization": "acme"})
    reply = recorder(tmp_path / "r.jsonl", inner).handle_request(made({"model": "m", "note": f"it's {KEY}"}))
    assert KEY in reply.text
    assert reply.headers["set-cookie"]
    text = (tmp_path / "r.jsonl").read_text()
    assert "hunter2" not in text
    assert "acme" not in text
    assert "abcdefgh" not in text
    row = json.loads(text)
    assert row["request"]["headers"] == {"content-type": "application/json"}
    assert row["request"]["url"] == "https://provider.example/v1/chat/completions?api-version=2&api_key=%5Bsecret%5D"
    assert row["response"]["headers"]["x-request-id"] == "r-1"


def test_secrets_of_ones_own_are_struck_too(tmp_path: Path) -> None:
    told = recorder(tmp_path / "r.jsonl", provider({"who": "Jane Q. Public"}), secrets=["Jane Q. Public"])
    told.handle_request(made({"name": "Jane Q. Public"}))
    assert "Jane" not in (tmp_path / "r.jsonl").read_text()
    with pytest.raises(ValueError, match="fewer than 8"):
        Recorder(tmp_path / "r.jsonl", secrets=["short"])


async def test_what_was_recorded_is_answered_again_once_in_order(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    for said in ("one", "two"):
        await recorder(path, provider({"said": said})).handle_async_request(made())
    with Replayer(path) as replayer:
        assert replayer.unused == 2
        assert replayer.handle_request(made(url=URL.replace(KEY, "another-key"))).json() == {"said": "one"}
        assert (await replayer.handle_async_request(made())).json() == {"said": "two"}
        assert replayer.unused == 0
    again = Replayer(path, again=True)
    assert [again.handle_request(made()).json() for _ in range(2)] == [{"said": "one"}] * 2


def test_a_body_is_compared_as_json_and_bytes_are_kept_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    binary = httpx.MockTransport(lambda request: httpx.Response(200, content=b"\xff\x00"))
    recorder(path, binary).handle_request(made({"b": 1, "a": 2}))
    recorder(path, binary).handle_request(httpx.Request("POST", URL, content=b"\xfe"))
    replayer = Replayer(path)
    assert replayer.handle_request(made({"a": 2, "b": 1})).content == b"\xff\x00"
    assert replayer.handle_request(httpx.Request("POST", URL, content=b"\xfe")).content == b"\xff\x00"


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (made({"model": "other"}), "was recorded with another body, or fewer times"),
        (made(url="https://provider.example/v1/else"), "isn't in the recording"),
    ],
)
def test_anything_else_is_refused_and_told_at_the_end(request_: httpx.Request, why: str, tmp_path: Path) -> None:
    recorder(tmp_path / "r.jsonl").handle_request(made())
    replayer = Replayer(tmp_path / "r.jsonl")
    with pytest.raises(NotReplayed, match=why):
        replayer.handle_request(request_)
    with pytest.raises(NotReplayed, match=why), replayer:
        pass
    with pytest.raises(ZeroDivisionError), replayer:
        raise ZeroDivisionError


@pytest.mark.parametrize("line", ["{", "[]", '{"response": {"status": "200"}}', "[" * 100_000])
def test_a_line_that_is_no_exchange_is_told_by_its_number(line: str, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"response": {"status": 200, "body": ""}}\n\n' + line)
    with pytest.raises(NotRecorded, match="line 3"):
        Replayer(tmp_path / "r.jsonl")


def test_an_exchange_that_fails_is_not_written(tmp_path: Path) -> None:
    def fails(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no")

    with pytest.raises(httpx.ConnectError):
        recorder(tmp_path / "r.jsonl", httpx.MockTransport(fails)).handle_request(made())
    assert not (tmp_path / "r.jsonl").exists()


def isolation(transport: Any) -> Isolation:
    table = {"provider": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    return Isolation(
        {"ledger": {"url": "none"}, "adapters": {"a": table}, "capabilities": {"grade-item": {"adapters": ["a"]}}},
        capabilities=[GradeItem],
        transport=transport,
        sync_transport=transport,
    )


async def test_an_isolation_records_and_replays(tmp_path: Path) -> None:
    source = FaultTransport(chat_answer({"grade": 3}))
    recording = Recorder(tmp_path / "r.jsonl", transport=source, sync_transport=source)
    async with isolation(recording) as isolated:
        assert (await isolated[GradeItem](Item(description="x"))).value == Grade(grade=3)
    async with isolation(Replayer(tmp_path / "r.jsonl")) as isolated:
        assert (await isolated[GradeItem](Item(description="x"))).by_ai
        assert not (await isolated[GradeItem](Item(description="y"))).by_ai


def test_it_serves_threads_too(tmp_path: Path) -> None:
    source = FaultTransport(chat_answer({"grade": 3}))
    recording = Recorder(tmp_path / "r.jsonl", transport=source, sync_transport=source)
    with isolation(recording) as isolated:
        assert isolated[GradeItem].sync(Item(description="x")).by_ai
    with isolation(Replayer(tmp_path / "r.jsonl")) as isolated:
        assert isolated[GradeItem].sync(Item(description="x")).by_ai


TEST = """
def test_it(recorded):
    import httpx
    with httpx.Client(transport=recorded) as client:
        assert client.post("http://127.0.0.1:1/x", json={"a": %s}).json() == {"b": 2}
"""
ROW = {
    "request": {"method": "POST", "url": "http://127.0.0.1:1/x", "body": {"a": 1}},
    "response": {"status": 200, "headers": {}, "body": {"b": 2}},
}


def test_the_fixture_replays_what_stands_beside_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=TEST % 1)
    missing = pytester.runpytest_inprocess("-p", "no:randomly")
    missing.assert_outcomes(errors=1)
    missing.stdout.fnmatch_lines(["*run this test once with --failsoft-record*"])
    place = pytester.path / "recordings" / "test_mine"
    place.mkdir(parents=True)
    (place / "test_it.jsonl").write_text(json.dumps(ROW))
    pytester.runpytest_inprocess("-p", "no:randomly").assert_outcomes(passed=1)


def test_the_fixture_records_where_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine="def test_it(recorded):\n    assert type(recorded).__name__ == 'Recorder'\n")
    pytester.runpytest_inprocess("-p", "no:randomly", "--failsoft-record").assert_outcomes(passed=1)
    assert (pytester.path / "recordings" / "test_mine").is_dir()


def test_the_fixture_fails_a_test_that_asks_for_something_else(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine="""
def test_it(recorded):
    import httpx
    try:
        httpx.Client(transport=recorded).post("http://127.0.0.1:1/y")
    except Exception:
        pass
"""
    )
    place = pytester.path / "recordings" / "test_mine"
    place.mkdir(parents=True)
    (place / "test_it.jsonl").write_text(json.dumps(ROW))
    pytester.runpytest_inprocess("-p", "no:randomly").assert_outcomes(passed=1, errors=1)


def test_default_transports_are_httpxs_own(tmp_path: Path) -> None:
    told = Recorder(tmp_path / "r.jsonl")
    assert isinstance(told._asynchronous, httpx.AsyncHTTPTransport)
    assert isinstance(told._blocking, httpx.HTTPTransport)
    told.close()


# --- the format -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "body", "headers"),
    [
        (
            {"response": {"status": 200, "body": {"a": 1}, "headers": {"A": "1"}}},
            b'{"a": 1}',
            {"a": "1", "content-type": JSON},
        ),
        ({"status": 200, "body": "text", "headers": [["A", "1"], ["a", "2"]]}, b"text", {"a": "1, 2"}),
        (
            {"body": "/w==", "body_encoding": "base64", "headers": {"A": ["1", "2"]}},
            b"\xff",
            {"a": "1, 2", "content-type": "application/vnd.amazon.eventstream"},
        ),
        ({"status": 204, "headers": {"Content-Encoding": "br", "x": 5}}, b"", {}),
        (
            {"status": 200, "body": [1], "headers": [["a"], 5, [1, 2], ["content-type", "REDACTED"]]},
            b"[1]",
            {"content-type": JSON},
        ),
    ],
)
def test_a_recorded_reply_is_read_in_any_of_its_forms(row: Any, body: bytes, headers: dict[str, str]) -> None:
    found = exchanged(row)
    assert (found.reply.body, found.reply.headers) == (body, headers)
    assert found.method == "POST"


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        {},
        {"response": None},
        {"response": {"status": True}},
        {"response": {"status": 99}},
        {"response": {"status": 600}},
        {"status": 200, "body": "é", "body_encoding": "base64"},
        {"status": 200, "body": "a", "body_encoding": "base64"},
    ],
)
def test_what_is_no_recorded_exchange_is_told(row: Any) -> None:
    with pytest.raises(NotRecorded):
        exchanged(row)


@pytest.mark.parametrize("name", ["code", "api-code", "sig", "pass", "pwd", "session_id", "x-key"])
def test_parameters_that_are_named_like_secrets_are_struck_wherever_they_come_back(name: str, tmp_path: Path) -> None:
    url = f"https://user:pass-word-9@host.example/x?{name}=hunter2-hunter2"
    inner = provider({"you": f"asked {url}"}, location=url)
    recorder(tmp_path / "r.jsonl", inner).handle_request(httpx.Request("POST", url, content=b"{}"))
    text = (tmp_path / "r.jsonl").read_text()
    assert "hunter2" not in text
    assert "pass-word-9" not in text


@pytest.mark.parametrize("key", ['quo"ted-secret', "back\\slash-secret", "sla/shed-secret"])
def test_a_key_that_json_writes_otherwise_is_struck_too(key: str, tmp_path: Path) -> None:
    recorder(tmp_path / "r.jsonl", provider({"said": key}), secrets=[key]).handle_request(made())
    assert key not in json.loads((tmp_path / "r.jsonl").read_text())["response"]["body"]
    assert json.dumps(key)[1:-1] not in json.loads((tmp_path / "r.jsonl").read_text())["response"]["body"]


def test_a_cookie_is_struck_that_comes_back_alone(tmp_path: Path) -> None:
    told = recorder(tmp_path / "r.jsonl", provider({"said": "abcd-1234-efgh"}))
    told.handle_request(made(cookie="a=b; session=abcd-1234-efgh"))
    assert "abcd-1234" not in (tmp_path / "r.jsonl").read_text()


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b"\x7fELF\xff\xfe")
    with pytest.raises(NotRecorded, match="isn't UTF-8"):
        Replayer(tmp_path / "r.jsonl")
