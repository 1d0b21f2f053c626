"""Why an attempt gave no acceptable answer: one closed taxonomy, and the table of what each kind counts as.

A fault is a value, never an exception on the hot path. `TREATMENT` is the single place that says what follows from a
kind: whether to retry, what the breaker learns, whether the adapter is throttled or latched. Code reads the table;
nothing else decides by kind.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Literal, final

from attrs import define, frozen


class Settlement(StrEnum):
    """How a breaker's permit ends."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


class FaultKind(StrEnum):
    """The closed list. Names stand in records and events: they are never renamed."""

    # connection
    DNS_FAILED = "dns_failed"
    HOST_UNKNOWN = "host_unknown"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_FAILED = "tls_failed"
    TLS_INVALID = "tls_invalid"
    PROXY_REFUSED = "proxy_refused"
    POOL_EXHAUSTED = "pool_exhausted"
    STALE_CONNECTION = "stale_connection"
    UPLOAD_CUT = "upload_cut"
    CONNECTION_LOST = "connection_lost"
    ATTEMPT_TIMEOUT = "attempt_timeout"
    STREAM_STALLED = "stream_stalled"
    # framing
    BAD_FRAMING = "bad_framing"
    CONFLICTING_LENGTHS = "conflicting_lengths"
    BAD_ENCODING = "bad_encoding"
    UNKNOWN_ENCODING = "unknown_encoding"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    # status
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    QUOTA_SPENT = "quota_spent"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MODEL_NOT_FOUND = "model_not_found"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    REQUEST_REJECTED = "request_rejected"
    CONTEXT_TOO_LONG = "context_too_long"
    UNSUPPORTED_CONTENT = "unsupported_content"
    UNEXPECTED_STATUS = "unexpected_status"
    # content
    MALFORMED_REPLY = "malformed_reply"
    WEB_PAGE = "web_page"
    TRUNCATED_STREAM = "truncated_stream"
    EMPTY_REPLY = "empty_reply"
    NOT_AN_ANSWER = "not_an_answer"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    FILTERED = "filtered"
    AMBIGUOUS_REPLY = "ambiguous_reply"
    MALFORMED_ANSWER = "malformed_answer"
    SCHEMA_INVALID = "schema_invalid"
    UNACCEPTABLE = "unacceptable"
    SERVED_MODEL_MISMATCH = "served_model_mismatch"
    SERVED_UNPROVEN = "served_unproven"
    # ours and the caller's
    ADAPTER_RAISED = "adapter_raised"
    CAPABILITY_BUG = "capability_bug"
    BUG = "bug"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"


Retry = Literal["no", "yes", "free", "once", "next", "end"]


@frozen
class Treatment:
    """What follows from a kind of fault.

    Args:
        health: how the health breaker's permit is settled.
        retry: ``yes`` within the attempts allowed; ``once``; ``free`` once, not counted (a stale connection);
            ``next``: another admissible adapter first, a retry only where there is none; ``no``: only another adapter;
            ``end``: nobody else either, the fallback answers.
        throttle: ``yes``: the adapter waits as told, or as its back-off says where it wasn't told; ``told``: only where it
            was told how long; ``no``.
        latch: the adapter stops until somebody mends the configuration (``pin``), and with it every adapter that uses
            the same credential at the same place (``credential``); ``no``.
        quality: what the quality breaker learns: ``fail``; ``refused``: counted apart; ``open``: it opens at once; ``none``:
            nothing.
        loud: an ERROR event: someone must look.
        repair: a capability that wants it shows the model once what was wrong, and asks again.
        patience: so many times the usual back-off before a retry.
        crowded: it may have been asked too much at once: adaptive concurrency falls.
    """

    health: Settlement
    retry: Retry = "no"
    throttle: Literal["no", "told", "yes"] = "no"
    latch: Literal["no", "pin", "credential"] = "no"
    quality: Literal["none", "fail", "refused", "open"] = "none"
    loud: bool = False
    repair: bool = False
    patience: int = 1
    crowded: bool = False


_OK, _FAIL, _NEUTRAL = Settlement.SUCCESS, Settlement.FAILURE, Settlement.NEUTRAL
_K = FaultKind

TREATMENT: MappingProxyType[FaultKind, Treatment] = MappingProxyType(
    {
        _K.DNS_FAILED: Treatment(_FAIL, "yes"),
        _K.HOST_UNKNOWN: Treatment(_FAIL, latch="pin", loud=True),  # it was mistyped, or is gone
        _K.CONNECT_REFUSED: Treatment(_FAIL, "yes"),
        _K.CONNECT_FAILED: Treatment(_FAIL, "yes"),
        _K.CONNECT_TIMEOUT: Treatment(_FAIL, "yes"),
        _K.TLS_FAILED: Treatment(_FAIL, "yes"),
        _K.TLS_INVALID: Treatment(_FAIL, loud=True),  # never lower verification
        _K.PROXY_REFUSED: Treatment(_NEUTRAL, latch="pin"),
        _K.POOL_EXHAUSTED: Treatment(_NEUTRAL, "next"),
        _K.STALE_CONNECTION: Treatment(_NEUTRAL, "free"),
        _K.UPLOAD_CUT: Treatment(_NEUTRAL, "once"),  # a server may answer before the body is finished
        _K.CONNECTION_LOST: Treatment(_FAIL, "yes"),
        _K.ATTEMPT_TIMEOUT: Treatment(_FAIL, "next", crowded=True),
        _K.STREAM_STALLED: Treatment(_FAIL, "next", crowded=True),
        _K.BAD_FRAMING: Treatment(_FAIL, "yes"),
        _K.CONFLICTING_LENGTHS: Treatment(_FAIL, "yes", loud=True),  # somebody on the way may be smuggling replies in
        _K.BAD_ENCODING: Treatment(_FAIL, "yes"),
        _K.UNKNOWN_ENCODING: Treatment(_FAIL),
        _K.TOO_LARGE: Treatment(_FAIL),
        _K.REDIRECT: Treatment(_FAIL, loud=True),
        _K.SERVER_ERROR: Treatment(_FAIL, "yes"),
        _K.OVERLOADED: Treatment(_FAIL, "yes", throttle="told", patience=5, crowded=True),
        _K.RATE_LIMITED: Treatment(_NEUTRAL, "yes", throttle="yes", crowded=True),
        _K.QUOTA_SPENT: Treatment(_NEUTRAL, latch="credential"),
        _K.UNAUTHENTICATED: Treatment(_NEUTRAL, latch="credential"),
        _K.FORBIDDEN: Treatment(_NEUTRAL, latch="credential"),
        _K.MODEL_NOT_FOUND: Treatment(_NEUTRAL, latch="pin"),
        _K.NOT_FOUND: Treatment(_NEUTRAL, latch="pin"),
        _K.CONFLICT: Treatment(_NEUTRAL, "once"),
        _K.REQUEST_REJECTED: Treatment(_NEUTRAL),
        _K.CONTEXT_TOO_LONG: Treatment(_NEUTRAL),
        _K.UNSUPPORTED_CONTENT: Treatment(_NEUTRAL),  # nothing was sent: another adapter may take it
        _K.UNEXPECTED_STATUS: Treatment(_FAIL),
        _K.MALFORMED_REPLY: Treatment(_FAIL, "yes"),
        _K.WEB_PAGE: Treatment(_FAIL, loud=True),  # a proxy or a captive portal stands where the provider should
        _K.TRUNCATED_STREAM: Treatment(_FAIL, "yes"),
        _K.NOT_AN_ANSWER: Treatment(_FAIL, loud=True),  # another interface than the one that was asked
        _K.EMPTY_REPLY: Treatment(_OK, "once", quality="fail"),
        _K.TRUNCATED: Treatment(_OK, quality="fail", repair=True),
        _K.REFUSED: Treatment(_OK, quality="refused"),
        _K.FILTERED: Treatment(_OK, "end", quality="refused"),  # what one provider filters isn't offered to the next
        _K.AMBIGUOUS_REPLY: Treatment(_OK, quality="fail", repair=True),
        _K.MALFORMED_ANSWER: Treatment(_OK, quality="fail", repair=True),
        _K.SCHEMA_INVALID: Treatment(_OK, quality="fail", repair=True),
        _K.UNACCEPTABLE: Treatment(_OK, quality="fail", repair=True),
        _K.SERVED_MODEL_MISMATCH: Treatment(_OK, quality="open", loud=True),
        _K.SERVED_UNPROVEN: Treatment(_OK, quality="fail", loud=True),
        _K.ADAPTER_RAISED: Treatment(_FAIL, "yes"),
        _K.CAPABILITY_BUG: Treatment(_NEUTRAL, loud=True),
        _K.BUG: Treatment(_NEUTRAL, loud=True),
        _K.DEADLINE: Treatment(_NEUTRAL),
        _K.CANCELLED: Treatment(_NEUTRAL),
    }
)


@final
@define(frozen=False, eq=True)
class Fault:
    """One attempt's fault.

    Args:
        kind: what went wrong.
        detail: our own words for people (never the provider's text, never a secret).
        status: the HTTP status, where there was one.
        retry_after_ns: nanoseconds to wait as the provider told (429, 503 and 529 only).
        certain: for a fault that latches: the provider's code says so. An uncertain one latches only after two
            different calls with no success between.
        give_up: the provider said that a retry is useless (``x-should-retry: false``).
        error: for one that somebody must look at whatever its kind: the type of the exception behind it.
        unknown: its status stands in no table of ours: somebody may want to know.
    """

    kind: FaultKind
    detail: str = ""
    status: int | None = None
    retry_after_ns: int | None = None
    certain: bool = True
    give_up: bool = False
    error: str | None = None
    unknown: bool = False

    @property
    def treatment(self) -> Treatment:
        """What follows from it."""
        return TREATMENT[self.kind]

    def __str__(self) -> str:
        status = f" (HTTP {self.status})" if self.status is not None else ""
        return f"{self.kind}{status}" + (f": {self.detail}" if self.detail else "")
