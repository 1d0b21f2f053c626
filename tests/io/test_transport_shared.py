from __future__ import annotations

import ssl

import pytest

from failsoft.core.effects import HttpRequest
from failsoft.fault import FaultKind
from failsoft.io.transport import RequestMaker, Target, read_head, shared_ssl_context
from failsoft.io.transport_inbox import Broken, Inbox, Phase


@pytest.mark.parametrize(
    ("url", "key", "host_header", "path"),
    [
        ("https://api.example/v1?a=b", ("https", "api.example", 443), b"api.example", b"/v1?a=b"),
        ("http://api.example", ("http", "api.example", 80), b"api.example", b"/"),
        ("http://API.example:8080/x", ("http", "api.example", 8080), b"api.example:8080", b"/x"),
        ("http://[::1]:8080/x", ("http", "::1", 8080), b"[::1]:8080", b"/x"),
        ("https://bücher.example/", ("https", "xn--bcher-kva.example", 443), b"xn--bcher-kva.example", b"/"),
    ],
)
def test_a_url_is_taken_apart(url: str, key: tuple[str, str, int], host_header: bytes, path: bytes) -> None:
    target = Target.of(url)
    assert (target.key, target.host_header, target.url.target) == (key, host_header, path)
    assert target.secure == url.startswith("https")


@pytest.mark.parametrize("url", ["", "/v1", "ftp://host/", "http://", "https://user:key@host/"])
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an absolute"):
        Target.of(url)


def test_what_is_remembered_of_requests_stays_small() -> None:
    maker = RequestMaker()
    for number in range(1000):
        url = f"http://host-{number}/"
        maker.make(HttpRequest(url, (("x", str(number)),), b""), maker.target(url))
    assert len(maker._targets) <= 256
    assert len(maker._headers) <= 256
    assert "x" not in repr(maker)[30:]


def test_one_tls_context_is_shared_and_verifies() -> None:
    context = shared_ssl_context()
    assert context is shared_ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    "header",
    [(b"Content-Length", each) for each in (b"2, 2", b"+2", b"-1", b"", b"\xb2")]
    + [(b"Transfer-Encoding", each) for each in (b"gzip", b"gzip, chunked", b"identity")],
    ids=repr,
)
def test_framing_that_no_parser_should_let_through_is_refused_here_too(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(Broken) as caught:
        read_head(200, [header], Inbox(100))
    assert caught.value.fault.kind is FaultKind.BAD_FRAMING


def test_chunked_may_be_written_in_any_case() -> None:
    inbox = Inbox(100)
    assert read_head(200, [(b"Transfer-Encoding", b"Chunked ")], inbox) == {"transfer-encoding": "Chunked "}
    assert inbox.phase is Phase.CHUNKED
