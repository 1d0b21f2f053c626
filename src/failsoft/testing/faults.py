"""Every way to fail that a transport can show, by name. `EVERY` holds them all, for parametrised tests:

    @pytest.mark.parametrize("fault", faults.EVERY, ids=str)
    def test_my_page_is_shown_whatever_the_provider_does(fault): ...

Replies are those of the chat-completions dialect. `Reaction.fault` says what failsoft makes of each.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
from functools import cache

import httpx

from failsoft.fault import FaultKind
from failsoft.testing.reaction import Reaction, Waiting
from failsoft.testing.replies import chat_choices, chat_text, http_reply

_K = FaultKind
_PAGE = "<!doctype html><title>Sign in</title>"
_BIG = 17_000_000  # above the cap of a reply's size, 16 MiB unless configured otherwise


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def _error(code: str, message: str = "told to fail") -> bytes:
    return json.dumps({"error": {"message": message, "type": code, "code": code}}).encode()


def _told(name: str, fault: FaultKind, row: int, status: int, code: str, message: str = "told to fail") -> Reaction:
    return http_reply(_error(code, message), status=status, name=name, fault=fault, row=row)


def _waiting(name: str, fault: FaultKind, row: int, status: int, code: str, message: str = "told to wait") -> Waiting:
    data = _error(code, message)
    return Waiting(name, fault, row, status=status, body=lambda model: data)


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * _BIG)


# --- no connection ----------------------------------------------------------------------------------------------------

CONNECT_REFUSED = Reaction(
    "connect refused",
    _K.CONNECT_REFUSED,
    1,
    "raise",
    error=lambda: _caused(httpx.ConnectError("refused"), ConnectionRefusedError()),
)
DNS_FAILED = Reaction(
    "dns failed",
    _K.DNS_FAILED,
    2,
    "raise",
    error=lambda: _caused(httpx.ConnectError("no name server"), socket.gaierror(socket.EAI_AGAIN, "no name server")),
)
HOST_UNKNOWN = Reaction(
    "host unknown",
    _K.HOST_UNKNOWN,
    2,
    "raise",
    error=lambda: _caused(httpx.ConnectError("no such name"), socket.gaierror(socket.EAI_NONAME, "no such name")),
)
CONNECT_TIMEOUT = Reaction(
    "connect timeout", _K.CONNECT_TIMEOUT, 4, "raise", error=lambda: httpx.ConnectTimeout("no connection in time")
)
POOL_EXHAUSTED = Reaction(
    "pool exhausted", _K.POOL_EXHAUSTED, 8, "raise", error=lambda: httpx.PoolTimeout("no connection free")
)
TLS_INVALID = Reaction(
    "tls invalid",
    _K.TLS_INVALID,
    5,
    "raise",
    error=lambda: _caused(httpx.ConnectError("certificate"), ssl.SSLCertVerificationError("expired")),
)
TLS_FAILED = Reaction(
    "tls failed",
    _K.TLS_FAILED,
    6,
    "raise",
    error=lambda: _caused(httpx.ConnectError("handshake"), ssl.SSLError("handshake")),
)
PROXY_REFUSED = Reaction(
    "proxy refused", _K.PROXY_REFUSED, 7, "raise", error=lambda: httpx.ProxyError("407 Proxy Authentication Required")
)
UPLOAD_CUT = Reaction("upload cut", _K.UPLOAD_CUT, 10, "raise", error=lambda: httpx.WriteError("broken pipe"))

# --- no whole reply ---------------------------------------------------------------------------------------------------

HANG = Reaction("hang", _K.ATTEMPT_TIMEOUT, 11, "hang")
"""Nothing comes, for as long as the caller waits: takes real time. `TIMED_OUT` doesn't."""
TIMED_OUT = Reaction("timed out", _K.ATTEMPT_TIMEOUT, 11, "raise", error=lambda: httpx.ReadTimeout("no answer in time"))
RESET = Reaction("reset", _K.CONNECTION_LOST, 11, "reset")
CUT_BODY = Reaction("cut body", _K.CONNECTION_LOST, 14, "cut", body=lambda model: b'{"object": "chat.completion"}')
PROTOCOL_ERROR = Reaction(
    "protocol error", _K.BAD_FRAMING, 18, "raise", error=lambda: httpx.RemoteProtocolError("not HTTP")
)
"""The reply breaks HTTP's rules. `failsoft.testing.wire` breaks each of them for real."""
GZIP_BOMB = Reaction("gzip bomb", _K.TOO_LARGE, 22, headers=(("content-encoding", "gzip"),), body=lambda model: _bomb())
HUGE_BODY = Reaction("huge body", _K.TOO_LARGE, 23, body=lambda model: b" " * _BIG)
NOT_GZIP = http_reply("{}", headers={"content-encoding": "gzip"}, name="not gzip", fault=_K.BAD_ENCODING, row=24)
CUT_GZIP = http_reply(
    gzip.compress(b'{"object": "chat.completion"}')[:-6],
    headers={"content-encoding": "gzip"},
    name="cut gzip",
    fault=_K.BAD_ENCODING,
    row=25,
)
TWO_GZIP_MEMBERS = http_reply(
    gzip.compress(b"{}") * 2,
    headers={"content-encoding": "gzip"},
    name="two gzip members",
    fault=_K.BAD_ENCODING,
    row=25,
)
GZIP_TWICE = http_reply(
    gzip.compress(gzip.compress(b"{}")),
    headers={"content-encoding": "gzip, gzip"},
    name="gzip twice",
    fault=_K.UNKNOWN_ENCODING,
    row=25,
)
UNKNOWN_ENCODING = http_reply(
    b"\x28\xb5\x2f\xfd",
    headers={"content-encoding": "zstd"},
    name="unknown encoding",
    fault=_K.UNKNOWN_ENCODING,
    row=26,
)
REDIRECT = http_reply(
    status=302, headers={"location": "https://elsewhere.example/"}, name="redirect", fault=_K.REDIRECT, row=60
)

# --- a status that says it --------------------------------------------------------------------------------------------

RATE_LIMITED = _waiting("rate limited", _K.RATE_LIMITED, 56, 429, "rate_limit_exceeded")
"""``RATE_LIMITED(after="2s")`` says how long to wait."""
RATE_LIMITED_LIKE_BILLING = _waiting(
    "rate limited like billing",
    _K.RATE_LIMITED,
    97,
    429,
    "rate_limit_exceeded",
    "You exceeded your current quota, please check your plan and billing details",
)
QUOTA_SPENT = _told("quota spent", _K.QUOTA_SPENT, 49, 429, "insufficient_quota")
PAYMENT_REQUIRED = _told("payment required", _K.QUOTA_SPENT, 49, 402, "payment_required")
UNAUTHENTICATED = _told("unauthenticated", _K.UNAUTHENTICATED, 48, 401, "invalid_api_key")
FORBIDDEN = _told("forbidden", _K.FORBIDDEN, 48, 403, "permission_denied")
MODEL_NOT_FOUND = _told("model not found", _K.MODEL_NOT_FOUND, 50, 404, "model_not_found")
NOT_FOUND = http_reply(_PAGE, status=404, headers={"content-type": "text/html"}, name="not found", fault=_K.NOT_FOUND)
CONFLICT = _told("conflict", _K.CONFLICT, 51, 409, "conflict")
TOO_EARLY = _told("too early", _K.CONFLICT, 51, 425, "too_early")
PAYLOAD_TOO_LARGE = _told("payload too large", _K.REQUEST_REJECTED, 52, 413, "payload_too_large")
REQUEST_REJECTED = _told("request rejected", _K.REQUEST_REJECTED, 52, 422, "unprocessable")
CONTEXT_TOO_LONG = _told("context too long", _K.CONTEXT_TOO_LONG, 47, 400, "context_length_exceeded")
REQUEST_TIMEOUT = _told("request timeout", _K.SERVER_ERROR, 57, 408, "timeout")
SERVER_ERROR = _told("server error", _K.SERVER_ERROR, 57, 500, "server_error")
BAD_GATEWAY = http_reply(
    _PAGE, status=502, headers={"content-type": "text/html"}, name="bad gateway", fault=_K.SERVER_ERROR, row=57
)
UNAVAILABLE = _waiting("unavailable", _K.SERVER_ERROR, 57, 503, "server_error")
"""``UNAVAILABLE(after="2s")`` says how long to wait, and then counts as overloaded."""
GATEWAY_TIMEOUT = _told("gateway timeout", _K.SERVER_ERROR, 57, 504, "server_error")
OVERLOADED = _waiting("overloaded", _K.OVERLOADED, 58, 529, "overloaded_error")
"""``OVERLOADED(after="2s")`` says how long to wait."""
UNKNOWN_CLIENT_STATUS = http_reply("{}", status=460, name="unknown client status", fault=_K.REQUEST_REJECTED, row=59)
UNKNOWN_STATUS = http_reply("{}", status=599, name="unknown status", fault=_K.UNEXPECTED_STATUS, row=59)

# --- a success that isn't one -----------------------------------------------------------------------------------------

TRUNCATED_JSON = http_reply('{"object": "chat.comp', name="truncated json", fault=_K.MALFORMED_REPLY, row=17)
HTML = http_reply(_PAGE, headers={"content-type": "text/html"}, name="html", fault=_K.WEB_PAGE, row=27)
EMPTY = http_reply("", name="empty", fault=_K.MALFORMED_REPLY, row=28)
NO_CONTENT = http_reply("", status=204, name="no content", fault=_K.MALFORMED_REPLY, row=28)
ERROR_IN_200 = http_reply(_error("server_error"), name="error in 200", fault=_K.SERVER_ERROR, row=29)
RATE_LIMIT_IN_200 = http_reply(_error("rate_limit_exceeded"), name="rate limit in 200", fault=_K.RATE_LIMITED, row=29)
NO_CHOICES = chat_choices([], name="no choices", fault=_K.EMPTY_REPLY, row=30)
NULL_CHOICES = chat_choices(None, name="null choices", fault=_K.EMPTY_REPLY, row=30)
EMBEDDINGS = http_reply('{"object": "list", "data": []}', name="embeddings", fault=_K.NOT_AN_ANSWER)
BROKEN_OFF = chat_text("{}", finish_reason="error", name="broken off", fault=_K.SERVER_ERROR, row=31)
TRUNCATED = chat_text('{"gra', finish_reason="length", name="truncated", fault=_K.TRUNCATED, row=32)
FILTERED = chat_text("", finish_reason="content_filter", name="filtered", fault=_K.FILTERED, row=33)
REFUSED = chat_text(None, name="refused", fault=_K.REFUSED, row=34, refusal="I can't help with that.")
NO_TEXT = chat_text(None, name="no text", fault=_K.EMPTY_REPLY, row=35)
TOOL_CALL = chat_text(
    None,
    finish_reason="tool_calls",
    name="tool call",
    fault=_K.AMBIGUOUS_REPLY,
    row=36,
    tool_calls=[{"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{}"}}],
)
TWO_CHOICES = chat_choices(
    [{"index": index, "message": {"content": "{}"}, "finish_reason": "stop"} for index in range(2)],
    name="two choices",
    fault=_K.AMBIGUOUS_REPLY,
    row=37,
)
WRONG_MODEL = chat_text("{}", model="another-model", name="wrong model", fault=_K.SERVED_MODEL_MISMATCH, row=67)
INVALID_UTF8 = http_reply(b'{"object": "\xff\xfe"}', name="invalid utf8", fault=_K.MALFORMED_REPLY, row=45)
UTF16 = http_reply('{"object": "chat.completion"}'.encode("utf-16"), name="utf16", fault=_K.MALFORMED_REPLY, row=46)

# --- an answer that isn't one -----------------------------------------------------------------------------------------

PROSE = chat_text("I think it's a bolt.", name="prose", fault=_K.MALFORMED_ANSWER, row=38)
CODE_FENCE = chat_text("```json\n{}\n```", name="code fence", fault=_K.MALFORMED_ANSWER, row=38)
SCHEMA_INVALID = chat_text('{"failsoft-testing": []}', name="schema invalid", fault=_K.SCHEMA_INVALID, row=39)
"""An object with a field that no schema has. A response type of which nothing is required, and that ignores unknown
fields, takes it: give `chat_answer` a wrong value of your own there."""
NOT_A_NUMBER = chat_text('{"value": NaN}', name="not a number", fault=_K.MALFORMED_ANSWER, row=40)
BEYOND_NUMBERS = chat_text('{"value": 1e999}', name="beyond numbers", fault=_K.MALFORMED_ANSWER, row=40)
DUPLICATE_KEYS = chat_text('{"value": 1, "value": 2}', name="duplicate keys", fault=_K.MALFORMED_ANSWER, row=41)
LONG_INTEGER = chat_text('{"value": %s}' % ("9" * 5_000), name="long integer", fault=_K.MALFORMED_ANSWER, row=42)
DEEP_NESTING = chat_text("[" * 100_000 + "]" * 100_000, name="deep nesting", fault=_K.MALFORMED_ANSWER, row=43)
LONE_SURROGATE = chat_text('{"value": "\\ud800"}', name="lone surrogate", fault=_K.MALFORMED_ANSWER, row=44)
TWO_DOCUMENTS = chat_text("{} {}", name="two documents", fault=_K.MALFORMED_ANSWER, row=46)

EVERY: tuple[Reaction, ...] = tuple(each for each in dict(globals()).values() if isinstance(each, Reaction))
"""Every one of them. All but `HANG` take no time."""
