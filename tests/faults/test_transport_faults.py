"""Rows of the fault catalogue that a transport sees, each over all transports and real sockets."""

from __future__ import annotations

import datetime
import gzip
import socket
import ssl
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme
from fault_server import FaultServer, Peer, always, once, raw, reply

from failsoft.core.effects import HttpReply
from failsoft.fault import Fault, FaultKind
from failsoft.io.transport import fault_of

OK = reply(b'{"ok": true}')
JSON = b"Content-Type: application/json"
GZIPPED = gzip.compress(b'{"ok": "' + b"x" * 500 + b'"}')


def encoded(body: bytes, encoding: bytes) -> bytes:
    return reply(body, b"Content-Encoding: " + encoding)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks)
    return raw(b"HTTP/1.1 200 OK", JSON, b"Transfer-Encoding: chunked", body=body + end)


K = FaultKind

ONE_REPLY: dict[str, tuple[bytes, FaultKind | bytes]] = {
    "14 content length longer than the body": (
        raw(b"HTTP/1.1 200 OK", b"Content-Length: 50", body=b"{}"),
        K.CONNECTION_LOST,
    ),
    "15 cut within a chunk": (chunked(b'{"a": 1}', end=b"ff\r\nabc"), K.CONNECTION_LOST),
    "15 cut before the last chunk": (chunked(b'{"a": 1}', end=b""), K.CONNECTION_LOST),
    "16 framed by the connection's end": (raw(b"HTTP/1.1 200 OK", JSON, body=b"{}"), K.BAD_FRAMING),
    "16 HTTP/1.0 framed by the connection's end": (raw(b"HTTP/1.0 200 OK", JSON, body=b"{}"), K.BAD_FRAMING),
    "18 not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", K.BAD_FRAMING),
    "18 cut within the head": (b"HTTP/1.1 200 OK\r\nContent-", K.BAD_FRAMING),
    "19 two different content lengths": (
        raw(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Content-Length: 3", body=b"{}"),
        K.CONFLICTING_LENGTHS,
    ),
    "19 two different content lengths, however they're spelled": (
        raw(b"HTTP/1.1 200 OK", b"content-length :3", b"X: y", b"CONTENT-LENGTH:\t2 ", body=b"{}"),
        K.CONFLICTING_LENGTHS,
    ),
    "19 one length, and a header that is called nearly so": (
        raw(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Content-Length-Limit: 3", body=b"{}"),
        b"{}",
    ),
    "20 a header of 200 kB": (reply(b"{}", b"X-Long: " + b"a" * 200_000), K.BAD_FRAMING),
    "21 ten thousand interim replies": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000 + OK, K.BAD_FRAMING),
    "21 a few interim replies": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK, b'{"ok": true}'),
    "22 a gzip bomb": (encoded(gzip.compress(b" " * 30_000_000), b"gzip"), K.TOO_LARGE),
    "22 15 kB that hold 15 MB": (encoded(gzip.compress(b" " * 15_000_000), b"gzip"), K.TOO_LARGE),
    "24 a gzip header and a plain body": (encoded(b'{"ok": 1}', b"gzip"), K.BAD_ENCODING),
    "25 a truncated gzip stream": (encoded(GZIPPED[:-12], b"gzip"), K.BAD_ENCODING),
    "25 a second gzip member": (encoded(GZIPPED + GZIPPED, b"gzip"), K.BAD_ENCODING),
    "25 trailing garbage": (encoded(GZIPPED + b"garbage", b"gzip"), K.BAD_ENCODING),
    "25 a list of encodings": (encoded(gzip.compress(GZIPPED), b"gzip, gzip"), K.UNKNOWN_ENCODING),
    "25 a whole gzip stream": (encoded(GZIPPED, b"GZip"), gzip.decompress(GZIPPED)),
    "25 a whole deflate stream": (encoded(zlib.compress(b"{}"), b"deflate"), b"{}"),
    "26 an unknown encoding": (encoded(b"\x28\xb5\x2f\xfd", b"zstd"), K.UNKNOWN_ENCODING),
    "28 an empty success": (reply(b""), b""),
    "28 no content": (raw(b"HTTP/1.1 204 No Content"), b""),
    "60 a redirect": (reply(b"", b"Location: https://elsewhere.example/", status=b"302 Found"), K.REDIRECT),
    "61 a redirect that keeps the method": (reply(b"", b"Location: /", status=b"308 Permanent Redirect"), K.REDIRECT),
    "92 a switch of protocols": (raw(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket"), K.BAD_FRAMING),
    "92 a switch of protocols with a reply behind it": (
        raw(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", body=OK),
        K.BAD_FRAMING,
    ),
    "93 a transfer encoding other than chunked": (
        raw(b"HTTP/1.1 200 OK", b"Transfer-Encoding: gzip", body=GZIPPED),
        K.BAD_FRAMING,
    ),
    "93 two transfer encodings": (
        raw(b"HTTP/1.1 200 OK", b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
        K.BAD_FRAMING,
    ),
    "94 content length and chunks": (
        raw(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
        K.BAD_FRAMING,
    ),
    "94 the same content length twice": (
        raw(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
        b"{}",
    ),
    "a chunk's size that isn't a number": (chunked(b"{}", end=b"zz\r\n\r\n"), K.BAD_FRAMING),
    "a chunk's size of 100 kB": (chunked(end=b"2;" + b"x" * 100_000 + b"\r\n{}\r\n0\r\n\r\n"), K.BAD_FRAMING),
    "chunks and trailers": (chunked(b'{"a"', b": 1}", end=b"0\r\nX-Sum: 1\r\n\r\n"), b'{"a": 1}'),
    "more chunks than any answer has": (chunked(*[b"x"] * 20_000), K.BAD_FRAMING),
    "an HTTP/1.0 reply with a length": (raw(b"HTTP/1.0 200 OK", b"Content-Length: 2", body=b"{}"), b"{}"),
    "lines that end in a bare line feed": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", b"{}"),
    "5b a header of 9 kB": (reply(b"{}", b"X-Long: " + b"a" * 9_000), b"{}"),
    "5b 300 headers": (reply(b"{}", *[b"X-%d: y" % n for n in range(300)]), b"{}"),
    "5b a folded header": (reply(b"{}", b"X-Folded: a\r\n b"), b"{}"),
    "5b 1,000 trailers": (
        chunked(b"{}", end=b"0\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n"),
        b"{}",
    ),
    "5b 204 with a gzip header": (raw(b"HTTP/1.1 204 No Content", b"Content-Encoding: gzip"), b""),
    "5b 304": (raw(b"HTTP/1.1 304 Not Modified"), K.REDIRECT),
    "a content length with a sign": (raw(b"HTTP/1.1 200 OK", b"Content-Length: +2", body=b"{}"), K.BAD_FRAMING),
    "a list of content lengths": (raw(b"HTTP/1.1 200 OK", b"Content-Length: 2, 3", body=b"{}"), K.BAD_FRAMING),
    "a blank line where the head should be": (b"\r\n\r\n\r\n", K.BAD_FRAMING),
    "a chunk without its line end": (chunked(end=b"2\r\n{}XX0\r\n\r\n"), K.BAD_FRAMING),
    "a chunk longer than its size": (chunked(end=b"1\r\n{}\r\n0\r\n\r\n"), K.BAD_FRAMING),
    "a header beyond ASCII": (reply(b"{}", "X-Region: Zürich".encode("latin-1")), b"{}"),
}

STRICTER: dict[str, FaultKind] = {
    "94 the same content length twice": K.BAD_FRAMING,  # RFC 9112, section 6.3, allows either
}
"""Where aiohttp's parser refuses what httpx's takes."""


@pytest.mark.parametrize("row", ONE_REPLY)
def test_a_reply_is_whole_or_a_fault(row: str, client: Any) -> None:
    data, expected = ONE_REPLY[row]
    if client.mode == "aiohttp":
        expected = STRICTER.get(row, expected)
    with FaultServer(once(data)) as server:
        result = client.ask(server.url)
    if isinstance(expected, bytes):
        assert isinstance(result, HttpReply), result
        assert result.body == expected
    else:
        assert isinstance(result, Fault), result
        assert result.kind is expected


def test_row_1_nobody_listens(client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert client.ask(f"http://127.0.0.1:{port}/").kind is FaultKind.CONNECT_REFUSED


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (socket.EAI_NONAME, FaultKind.HOST_UNKNOWN),
        (socket.EAI_NODATA, FaultKind.HOST_UNKNOWN),
        (socket.EAI_AGAIN, FaultKind.DNS_FAILED),
        (socket.EAI_FAIL, FaultKind.DNS_FAILED),
    ],
)
def test_row_2_a_name_that_does_not_resolve(
    code: int, kind: FaultKind, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "told to fail")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert client.ask("http://nobody.invalid/").kind is kind


def test_row_2_an_unknown_name_is_certain_only_where_the_system_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = socket.gaierror(socket.EAI_NONAME, "told to fail")
    assert fault_of(unknown, connected=False).certain == (sys.platform == "linux")
    monkeypatch.setattr("failsoft.io.transport._NAMES_ARE_CERTAIN", False)
    assert not fault_of(unknown, connected=False).certain


def test_row_3_a_resolver_that_hangs_ends_with_the_deadline(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hanging(*_: object, **__: object) -> list[Any]:
        released.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    try:
        result, seconds = client.timed("http://slow.invalid/", ms=100)
    finally:
        released.set()
    assert result.kind is FaultKind.CONNECT_TIMEOUT
    assert seconds < 0.5


def test_row_4_a_connection_that_is_never_accepted_ends_with_the_deadline(client: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    fillers = []
    for _ in range(4):  # the kernel drops further SYNs once the queue is full
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    try:
        result, seconds = client.timed(f"http://127.0.0.1:{port}/", ms=150)
    finally:
        for each in (*fillers, listener):
            each.close()
    assert result.kind in (FaultKind.CONNECT_TIMEOUT, FaultKind.ATTEMPT_TIMEOUT)
    assert seconds < 0.6


def test_a_second_address_is_tried_where_the_first_refuses(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with FaultServer(always(OK)) as server:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (closed, server.port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert isinstance(client.ask("http://two.invalid/"), HttpReply)


def test_a_name_without_any_address_is_a_dns_fault(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert client.ask("http://empty.invalid/").kind is FaultKind.DNS_FAILED


def tls_server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def test_tls_to_a_trusted_server_works(clients: Any, authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    client = clients(verify=trusting)
    with FaultServer(always(OK), tls_server(authority.issue_cert("127.0.0.1"))) as server:
        assert [client.ask(server.url).status for _ in range(3)] == [200, 200, 200]


def test_row_5_a_certificate_of_an_unknown_authority(clients: Any) -> None:
    with FaultServer(always(OK), tls_server(trustme.CA().issue_cert("127.0.0.1"))) as server:
        assert clients().ask(server.url).kind is FaultKind.TLS_INVALID


def test_row_5_a_certificate_for_another_host(clients: Any, authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    with FaultServer(always(OK), tls_server(authority.issue_cert("elsewhere.example"))) as server:
        assert clients(verify=trusting).ask(server.url).kind is FaultKind.TLS_INVALID


def test_row_5_an_expired_certificate(clients: Any, authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    past = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    certificate = authority.issue_cert("127.0.0.1", not_before=past, not_after=past + datetime.timedelta(days=1))
    with FaultServer(always(OK), tls_server(certificate)) as server:
        assert clients(verify=trusting).ask(server.url).kind is FaultKind.TLS_INVALID


def test_a_server_that_speaks_no_tls(clients: Any, trusting: ssl.SSLContext) -> None:
    def plain(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.hang()

    with FaultServer(plain) as server:
        url = server.url.replace("http:", "https:")
        assert clients(verify=trusting).ask(url).kind is FaultKind.TLS_FAILED


def test_row_6_a_tls_handshake_that_stalls_ends_with_the_deadline(clients: Any, trusting: ssl.SSLContext) -> None:
    with FaultServer(Peer.hang) as server:
        result, seconds = clients(verify=trusting).timed(server.url.replace("http:", "https:"), ms=150)
    assert result.kind is FaultKind.CONNECT_TIMEOUT
    assert seconds < 0.6


def test_a_reset_instead_of_an_answer(client: Any) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.reset()

    with FaultServer(script) as server:
        assert client.ask(server.url).kind is FaultKind.CONNECTION_LOST


def test_row_10_a_reset_while_sending(client: Any) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.reset()

    with FaultServer(script) as server:
        fault = client.ask(server.url, body=b"x" * 20_000_000)
    assert fault.kind in (FaultKind.UPLOAD_CUT, FaultKind.CONNECTION_LOST)


def test_row_90_an_answer_before_the_request_is_sent_whole(client: Any) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(reply(b'{"error": "too large"}', b"Connection: close", status=b"413 Content Too Large"))

    with FaultServer(script) as server:
        result = client.ask(server.url, body=b"x" * 8_000_000)
    # The kernel may drop the answer when the server closes on unread data: neutral or the answer, never a failure.
    assert result.status == 413 or result.kind in (FaultKind.UPLOAD_CUT, FaultKind.CONNECTION_LOST)


def drip_head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(10_000):
        yield b"X-%d: y\r\n" % number


def drip_body() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    while True:
        yield b" "


def drip_interim() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "every"), [(drip_head, 0.01), (drip_body, 0.01), (drip_interim, 0.05)], ids=["head", "body", "interim"]
)
def test_rows_12_13_21_a_server_that_drips_ends_with_the_deadline(
    pieces: Callable[[], Iterator[bytes]], every: float, client: Any
) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.drip(pieces(), every)

    with FaultServer(script) as server:
        result, seconds = client.timed(server.url, ms=200)
    assert result.kind is FaultKind.ATTEMPT_TIMEOUT
    assert 0.19 <= seconds < 0.6


def test_row_11_no_answer_ends_with_the_deadline(client: Any) -> None:
    with FaultServer(Peer.hang) as server:
        result, seconds = client.timed(server.url, ms=120)
    assert result.kind is FaultKind.ATTEMPT_TIMEOUT
    assert seconds < 0.6


def test_a_server_that_never_reads_ends_with_the_deadline(client: Any) -> None:
    def script(peer: Peer) -> None:
        peer.server.stopping.wait(5)

    with FaultServer(script) as server:
        result, seconds = client.timed(server.url, ms=300, body=b"x" * 30_000_000)
    assert result.kind is FaultKind.ATTEMPT_TIMEOUT
    assert seconds < 1.0


def test_a_deadline_that_has_passed_is_a_timeout(client: Any) -> None:
    with FaultServer(always(OK)) as server:
        assert client.ask(server.url, ms=-1).kind is FaultKind.CONNECT_TIMEOUT


@pytest.mark.parametrize(
    "data",
    [
        raw(b"HTTP/1.1 200 OK", b"Content-Length: 200000", body=b" " * 200_000),
        raw(b"HTTP/1.1 200 OK", b"Content-Length: 99999999999"),
        chunked(*[b" " * 20_000] * 10),
    ],
    ids=["sent", "announced", "chunks"],
)
def test_row_23_a_body_beyond_the_cap(data: bytes, clients: Any) -> None:
    with FaultServer(once(data)) as server:
        assert clients(max_bytes=100_000).ask(server.url).kind is FaultKind.TOO_LARGE


def test_a_body_of_a_megabyte_comes_whole(client: Any) -> None:
    body = b'"' + b"x" * 1_000_000 + b'"'
    with FaultServer(always(reply(body))) as server:
        assert client.ask(server.url).body == body


def test_faults_never_hold_a_secret_or_an_address(client: Any) -> None:
    with FaultServer(once(b"nonsense secret-key\r\n\r\n")) as server:
        fault = client.ask(server.url + "?key=secret-key")
    assert "secret-key" not in repr(fault)
    assert str(server.port) not in repr(fault)


def test_row_27_a_page_is_handed_to_the_codec_as_it_is(client: Any) -> None:
    page = raw(b"HTTP/1.1 200 OK", b"Content-Type: text/html", b"Content-Length: 6", body=b"<html>")
    with FaultServer(always(page)) as server:
        assert client.ask(server.url).headers["content-type"] == "text/html"


def test_repeated_headers_are_joined(client: Any) -> None:
    with FaultServer(always(reply(b"{}", b"X-A: 1", b"x-a: 2"))) as server:
        assert client.ask(server.url).headers["x-a"] == "1, 2"


def test_row_91_cookies_are_not_kept(client: Any) -> None:
    with FaultServer(always(reply(b"{}", b"Set-Cookie: a=b"))) as server:
        for _ in range(2):
            client.ask(server.url)
        assert b"cookie" not in server.seen[1].lower()


def test_the_request_arrives_exactly_as_made(client: Any) -> None:
    with FaultServer(always(OK)) as server:
        client.ask(server.url + "?v=1", body=b'{"a":"\xc3\xbc"}')
    head, _, body = server.seen[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /v1/chat/completions?v=1 HTTP/1.1",
        b"Host: 127.0.0.1:%d" % server.port,
        b"content-type: application/json",
        b"accept-encoding: identity",
        b"authorization: Bearer secret-key",
        b"Content-Length: 10",
    ]
    assert body == b'{"a":"\xc3\xbc"}'


def test_a_request_of_several_megabytes_arrives_whole(client: Any) -> None:
    with FaultServer(always(OK)) as server:
        assert isinstance(client.ask(server.url, body=b"x" * 5_000_000), HttpReply)
        assert len(server.seen[0]) > 5_000_000
