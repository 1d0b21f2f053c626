"""Google's errors. Recorded are a bad key, a missing one, an unknown model and a minute's quota; the rest is hand-made after
google/rpc/error_details.proto and the troubleshooting page."""

from __future__ import annotations

from typing import Any

import pytest
from tests.adapters.replayed import access, answered, streaming

from failsoft.adapters.gemini import gemini
from failsoft.core.effects import SECOND, HttpReply
from failsoft.fault import Fault, FaultKind

K = FaultKind
BY_REASON = {
    "API_KEY_INVALID": K.UNAUTHENTICATED,
    "ACCESS_TOKEN_EXPIRED": K.UNAUTHENTICATED,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": K.UNAUTHENTICATED,
    "CREDENTIALS_MISSING": K.UNAUTHENTICATED,
    "ACCOUNT_STATE_INVALID": K.UNAUTHENTICATED,
    "API_KEY_SERVICE_BLOCKED": K.FORBIDDEN,
    "API_KEY_IP_ADDRESS_BLOCKED": K.FORBIDDEN,
    "API_KEY_HTTP_REFERRER_BLOCKED": K.FORBIDDEN,
    "SERVICE_DISABLED": K.FORBIDDEN,
    "CONSUMER_INVALID": K.FORBIDDEN,
    "CONSUMER_SUSPENDED": K.FORBIDDEN,
    "USER_PROJECT_DENIED": K.FORBIDDEN,
    "BILLING_DISABLED": K.QUOTA_SPENT,
    "RATE_LIMIT_EXCEEDED": K.RATE_LIMITED,
}
BY_CODE = {
    "UNAUTHENTICATED": K.UNAUTHENTICATED,
    "PERMISSION_DENIED": K.FORBIDDEN,
    "NOT_FOUND": K.MODEL_NOT_FOUND,
    "FAILED_PRECONDITION": K.REQUEST_REJECTED,
    "RESOURCE_EXHAUSTED": K.RATE_LIMITED,
    "INVALID_ARGUMENT": K.REQUEST_REJECTED,
    "OUT_OF_RANGE": K.REQUEST_REJECTED,
    "UNAVAILABLE": K.OVERLOADED,
    "ABORTED": K.CONFLICT,
    "INTERNAL": K.SERVER_ERROR,
    "UNKNOWN": K.SERVER_ERROR,
    "DATA_LOSS": K.SERVER_ERROR,
    "DEADLINE_EXCEEDED": K.SERVER_ERROR,
    "CANCELLED": K.SERVER_ERROR,
}
"""Beside a status that says something else."""


def error(status: int, code: str | None = None, *details: Any) -> dict[str, Any]:
    return {"error": {"code": status, "message": "m", "status": code, "details": list(details)}}


def fault(body: Any, status: int, headers: dict[str, str] | None = None) -> Fault:
    found = gemini(access()).parse(answered(body, status, headers)).fault
    assert found is not None
    assert found.status == status
    return found


def info(reason: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def quota(*names: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": each} for each in names]}


@pytest.mark.parametrize("reason", BY_REASON)
def test_a_reason_is_asked_first(reason: str) -> None:
    found = fault(error(400, "INVALID_ARGUMENT", info(reason)), 400)
    assert (found.kind, found.certain) == (BY_REASON[reason], True)


@pytest.mark.parametrize("code", BY_CODE)
def test_a_code_is_asked_before_the_status(code: str) -> None:
    other = 410 if code != "NOT_FOUND" else 418
    assert fault(error(other, code), other).kind is BY_CODE[code]


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (error(402, "RESOURCE_EXHAUSTED"), 402, K.QUOTA_SPENT),
        (error(429, "RESOURCE_EXHAUSTED"), 429, K.RATE_LIMITED),
        (error(429, "RESOURCE_EXHAUSTED", quota("RequestsPerMinutePerProject")), 429, K.RATE_LIMITED),
        (error(429, "RESOURCE_EXHAUSTED", quota("PerMinute", "GenerateRequestsPerDayPerProject")), 429, K.QUOTA_SPENT),
        (error(429, "RESOURCE_EXHAUSTED", quota(None, 7)), 429, K.RATE_LIMITED),
        (error(400, "INVALID_ARGUMENT", info("OTHER"), info(7)), 400, K.REQUEST_REJECTED),
        (error(404, None), 404, K.NOT_FOUND),
        (error(499, None), 499, K.REQUEST_REJECTED),
        (error(504, None), 504, K.SERVER_ERROR),
        ({"error": "no"}, 401, K.UNAUTHENTICATED),
        ({"error": {"status": ["NOT_FOUND"], "details": {"reason": "API_KEY_INVALID"}}}, 400, K.REQUEST_REJECTED),
        ([error(403, "PERMISSION_DENIED")], 403, K.FORBIDDEN),
        ([], 500, K.SERVER_ERROR),
        (b"", 503, K.SERVER_ERROR),
        (b"<html>", 502, K.SERVER_ERROR),
        (b"[" * 200, 500, K.SERVER_ERROR),
    ],
)
def test_an_error_is_what_its_table_says(body: Any, status: int, expected: FaultKind) -> None:
    assert fault(body, status).kind is expected


def test_no_billing_is_told_by_its_reason_and_a_place_that_is_not_served_is_no_matter_of_money() -> None:
    assert fault(error(400, "FAILED_PRECONDITION"), 400).kind is K.REQUEST_REJECTED
    unpaid = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "BILLING_DISABLED"}
    assert fault(error(400, "FAILED_PRECONDITION", unpaid), 400).kind is K.QUOTA_SPENT
    assert fault(error(403, "PERMISSION_DENIED"), 403).certain
    assert not fault(b"no", 403).certain


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("generation_config.response_schema.properties[0].value", K.CAPABILITY_BUG),
        ("generation_config.response_json_schema", K.CAPABILITY_BUG),
        ("generationConfig.responseJsonSchema", K.CAPABILITY_BUG),
        ("tools[0].function_declarations[0].parameters", K.CAPABILITY_BUG),
        ("contents[0]", K.REQUEST_REJECTED),
        (None, K.REQUEST_REJECTED),
    ],
)
def test_a_schema_that_is_refused_is_the_capabilitys(field: Any, expected: FaultKind) -> None:
    violations = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": field}]}
    assert fault(error(400, "INVALID_ARGUMENT", violations), 400).kind is expected


@pytest.mark.parametrize(
    ("delay", "nanoseconds"),
    [
        ("48s", 49 * SECOND),
        ("0.5s", 1_500_000_000),
        ("1.000000001s", 2_000_000_001),
        ("86400s", 3600 * SECOND),
        ("s", None),
        ("-1s", None),
        ("1e9s", None),
        ("٤s", None),
        (48, None),
        ("9" * 600 + "s", None),
    ],
)
def test_a_delay_is_a_second_more_than_told_and_an_hour_at_most(delay: Any, nanoseconds: int | None) -> None:
    told = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    assert fault(error(429, "RESOURCE_EXHAUSTED", told), 429).retry_after_ns == nanoseconds
    assert fault(error(500, "INTERNAL", told), 500).retry_after_ns is None


def test_a_header_that_tells_to_wait_throttles_a_503_without_a_code() -> None:
    assert fault(b"", 503, {"retry-after": "3"}).kind is K.OVERLOADED


def test_an_error_under_the_type_of_a_stream_is_read_all_the_same() -> None:
    body = answered(error(404, "NOT_FOUND"), 404, {"content-type": "text/event-stream"})
    found = gemini(streaming()).parse(HttpReply(404, body.headers, body.body)).fault
    assert found is not None
    assert found.kind is K.MODEL_NOT_FOUND


def test_an_error_inside_a_200_is_classified_by_its_code() -> None:
    assert fault(error(429, None), 200).kind is K.RATE_LIMITED
    assert fault(error(400, None), 200).kind is K.REQUEST_REJECTED
    assert fault(error(0, None), 200).kind is K.SERVER_ERROR
