"""The server that fails as told: scripts on connections, wire traps, the proxy, TLS."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from grading import BOLT, FALLBACK, MODEL, Grade, GradeItem, Item, ask, grades, office, reasons

from failsoft.fault import FaultKind
from failsoft.testing import USUAL, FaultServer, LocalAuthority, Peer, Rates, chat_answer, faults, http_reply, wire

OK = chat_answer(Grade(grade=7))
UPSTREAM = chat_answer(Grade(grade=9), model=MODEL, headers={"X-Upstream": "real"})


@pytest.fixture(params=["async", "sync"])
def mode(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def upstream() -> Iterator[FaultServer]:
    with FaultServer(UPSTREAM) as server:
        yield server


def post(server: FaultServer, path: str = "/v1/x", **options: Any) -> httpx.Response:
    return httpx.post(server.origin + path, trust_env=False, timeout=5, **{"json": {"model": "m"}, **options})


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_reactions_come_in_order_whatever_the_connection(mode: str) -> None:
    with FaultServer([OK, faults.CUT_BODY, OK, faults.HTML, OK]) as server:
        outcomes = ask(office(server.base_url), mode, times=5)
    assert grades(outcomes) == [7, FALLBACK, 7, FALLBACK, 7]
    assert server.accepted == 2  # a cut ends a connection, a page doesn't
    assert [str(each) for each in server.reactions] == ["answer", "cut body", "answer", "html", "answer"]


def test_rates_draw_for_a_server_too() -> None:
    with FaultServer(Rates({faults.HTML: 1.0})) as server:
        assert reasons(ask(office(server.base_url))[0]) == ["web_page"]


def test_a_reaction_that_may_be_given_a_hint_needs_none() -> None:
    with FaultServer(faults.OVERLOADED) as server:
        assert reasons(ask(office(server.base_url))[0]) == ["overloaded"]


def test_a_storm_begins_and_ends() -> None:
    with FaultServer(OK) as server:
        isolation = office(server.base_url)
        with isolation:
            calm = isolation[GradeItem].sync(BOLT)
            server.play(faults.SERVER_ERROR)
            storm = isolation[GradeItem].sync(BOLT)
            server.play(USUAL)
            after = isolation[GradeItem].sync(BOLT)
    assert grades([calm, storm]) == [7, FALLBACK]
    assert reasons(after) == ["schema_invalid"]  # the usual answer is an empty object unless told


def test_a_late_reply_is_late(mode: str) -> None:
    with FaultServer(OK.delayed("30s")) as server:
        (outcome,) = ask(office(server.base_url, "150ms"), mode)
    assert reasons(outcome) == ["attempt_timeout"]


def test_a_reply_may_be_late_and_in_time() -> None:
    with FaultServer(USUAL.delayed("1ms"), usual=OK) as server:
        assert grades(ask(office(server.base_url))) == [7]


def test_what_only_a_transport_can_show_is_refused() -> None:
    with pytest.raises(ValueError, match="connect refused: a server can't show it"):
        FaultServer([OK, faults.CONNECT_REFUSED])


def test_the_requests_are_kept() -> None:
    with FaultServer(OK) as server:
        ask(office(server.base_url))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert json.loads(body)["model"] == MODEL


# --- whole connections ------------------------------------------------------------------------------------------------


def test_a_function_is_given_the_whole_connection() -> None:
    def converse(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{%d" % peer.number)

    with FaultServer(converse) as server:
        assert [post(server).text for _ in range(2)] == ["{0", "{1"]
        assert server.accepted == 2
        assert server.wait_open(0)
    assert server.requests == []


def test_a_drip_ends_with_its_pieces() -> None:
    def converse(peer: Peer) -> None:
        peer.read_request()
        peer.drip([b"HTTP/1.1 200 OK\r\n", b"content-length: 2\r\n\r\n", b"{", b"}"], every=0.001)

    with FaultServer(converse) as server:
        assert post(server).text == "{}"


BIG = Item(description="x" * 20_000_000)


@pytest.mark.parametrize("conversation", [wire.reset_while_sending, wire.answer_early], ids=["reset", "early"])
def test_a_connection_may_end_while_a_request_is_sent(conversation: Any, mode: str) -> None:
    with FaultServer(conversation) as server:
        (outcome,) = ask(office(server.base_url), mode, request=BIG)
    # Which of them is up to the kernel: it may drop what was answered when the server closes on unread data.
    assert reasons(outcome)[0] in ("upload_cut", "connection_lost", "request_rejected")


def test_a_server_may_never_read(mode: str) -> None:
    with FaultServer(wire.never_read) as server:
        (outcome,) = ask(office(server.base_url, "200ms"), mode)
    assert reasons(outcome) == ["attempt_timeout"]


@pytest.mark.parametrize("sent", [b"", b"POST / HT", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"])
def test_a_client_that_goes_in_the_middle_of_a_request_is_no_request(sent: bytes) -> None:
    with FaultServer(OK) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(sent)
        assert server.wait_open(0)
    assert server.requests == []


@pytest.mark.parametrize("length", [b"nine", b"-1x"])
def test_a_client_that_writes_no_http_is_hung_up_on(length: bytes) -> None:
    with FaultServer(OK) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n")
        assert client.recv(100) == b""


def test_leaving_ends_whoever_hangs() -> None:
    with FaultServer([faults.HANG]) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"POST / HTTP/1.1\r\n\r\n")
        assert server.wait_open(1)
    with client:
        assert client.recv(100) == b""
    assert not [each for each in threading.enumerate() if each.name == "failsoft-fault-server"]


def test_waiting_for_connections_that_never_come_ends() -> None:
    with FaultServer(OK) as server:
        assert not server.wait_open(1, seconds=0.01)


# --- traps ------------------------------------------------------------------------------------------------------------


def test_a_stale_connection_costs_nobody_an_answer(mode: str) -> None:
    with FaultServer([wire.STALE, OK], usual=OK) as server:
        outcomes = ask(office(server.base_url), mode, times=2)
    assert grades(outcomes) == [7, 7]
    assert server.accepted == 2
    assert [reasons(each) for each in outcomes] == [[], ["stale_connection"]]


def test_nobody_gets_the_answer_to_somebody_elses_question(mode: str) -> None:
    with FaultServer([wire.EXTRA_REPLY, chat_answer(Grade(grade=8))], usual=OK) as server:
        outcomes = ask(office(server.base_url), mode, times=2)
    assert grades(outcomes) == [7, 8]
    assert server.accepted == 2


# --- the proxy --------------------------------------------------------------------------------------------------------


def test_a_proxy_passes_on(upstream: FaultServer, mode: str) -> None:
    with FaultServer(USUAL, upstream=upstream.origin) as proxy:
        outcomes = ask(office(proxy.base_url), mode, times=2)
    assert grades(outcomes) == [9, 9]
    assert proxy.accepted == 1
    sent, arrived = (each.requests[0].partition(b"\r\n\r\n") for each in (proxy, upstream))
    assert sent[2] == arrived[2]
    assert b"host: 127.0.0.1:%d" % upstream.port in arrived[0].lower()
    assert b"accept-encoding: identity" in arrived[0].lower()


def test_a_proxy_keeps_status_headers_and_path(upstream: FaultServer) -> None:
    upstream.play(http_reply('{"a": 1}', status=429, headers={"Retry-After": "3", "Connection": "close"}))
    with FaultServer(USUAL, upstream=upstream.origin) as proxy:
        response = post(proxy, "/v1/other?q=1")
    assert (response.status_code, response.headers["retry-after"], response.json()) == (429, "3", {"a": 1})
    assert "connection" not in response.headers
    assert upstream.requests[0].startswith(b"POST /v1/other?q=1 HTTP/1.1\r\n")


def test_a_proxy_fails_a_share_without_asking(upstream: FaultServer) -> None:
    rates = Rates({faults.RATE_LIMITED: 0.3, faults.OVERLOADED: 0.2}, seed=3)
    with (
        FaultServer(rates, upstream=upstream.origin) as proxy,
        httpx.Client(base_url=proxy.base_url, trust_env=False, verify=False) as client,
    ):
        statuses = Counter(client.post("/x", json={}).status_code for _ in range(40))
    assert set(statuses) == {200, 429, 529}
    assert len(upstream.requests) == statuses[200]


@pytest.mark.parametrize(
    ("spoilt", "kind"),
    [(wire.CUT, FaultKind.CONNECTION_LOST), (wire.CORRUPTED, FaultKind.MALFORMED_REPLY)],
    ids=["cut", "corrupted"],
)
def test_a_proxy_spoils_the_upstreams_own_reply(spoilt: Any, kind: FaultKind, upstream: FaultServer, mode: str) -> None:
    with FaultServer([spoilt, USUAL], upstream=upstream.origin) as proxy:
        outcomes = ask(office(proxy.base_url), mode, times=2)
    assert reasons(outcomes[0]) == [kind]
    assert grades(outcomes) == [FALLBACK, 9]
    assert len(upstream.requests) == 2


def test_a_proxy_before_nobody_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with FaultServer(USUAL, upstream=f"http://127.0.0.1:{port}/") as proxy:
        assert post(proxy).status_code == 502


def test_a_proxy_before_something_that_is_no_http_says_so(upstream: FaultServer) -> None:
    upstream.play(wire.NOT_HTTP)
    with FaultServer(USUAL, upstream=upstream.origin) as proxy:
        assert post(proxy).status_code == 502


@pytest.mark.parametrize("address", ["https://127.0.0.1", "127.0.0.1:80", "http://", "http://127.0.0.1/v1"])
def test_an_upstream_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="no address like"):
        FaultServer(USUAL, upstream=address)


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> LocalAuthority:
    return LocalAuthority()


def secured(base_url: str, trust: ssl.SSLContext) -> Any:
    return office(base_url, sync_transport=httpx.HTTPTransport(verify=trust, trust_env=False))


def test_a_server_may_speak_tls(authority: LocalAuthority) -> None:
    with FaultServer(OK, tls=authority.certificate()) as server:
        assert server.base_url.startswith("https://127.0.0.1:")
        assert grades(ask(secured(server.base_url, authority.trust()))) == [7]


@pytest.mark.parametrize(
    ("host", "expired"), [("127.0.0.1", True), ("elsewhere.example", False)], ids=["expired", "another host's"]
)
def test_a_certificate_that_is_not_valid_is_refused(host: str, expired: bool, authority: LocalAuthority) -> None:
    with FaultServer(OK, tls=authority.certificate(host, expired=expired)) as server:
        (outcome,) = ask(secured(server.base_url, authority.trust()))
    assert reasons(outcome) == ["tls_invalid"]
    assert server.requests == []


def test_an_authority_that_nobody_trusts_is_refused(authority: LocalAuthority, mode: str) -> None:
    with FaultServer(OK, tls=authority.certificate()) as server:
        assert reasons(ask(office(server.base_url), mode)[0]) == ["tls_invalid"]
