from __future__ import annotations

import json
from typing import Any

import pytest

from failsoft.adapters.openai_compatible import openai_compatible
from failsoft.adapters.status import fault_of_status
from failsoft.core.effects import SECOND, HttpReply, Unusable
from failsoft.fault import Fault, FaultKind

K = FaultKind


def decoded(status: int, body: Any, **headers: str) -> Fault:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    result = openai_compatible("http://h/v1").decode(HttpReply(status, named, raw))
    assert isinstance(result, Unusable)
    return result.fault


def error(**fields: Any) -> dict[str, Any]:
    return {"error": {"message": "m", **fields}}


ROWS: list[tuple[int, Any, FaultKind]] = [
    # the body's code before the status
    (400, error(code="context_length_exceeded"), K.CONTEXT_TOO_LONG),
    (500, error(code="context_length_exceeded", type="server_error"), K.CONTEXT_TOO_LONG),
    (400, error(type="exceed_context_size_error", code=400), K.CONTEXT_TOO_LONG),
    (400, error(code="BadRequestError", param="input_tokens"), K.CONTEXT_TOO_LONG),
    (400, {"object": "error", "type": "BadRequestError", "param": "input_tokens", "code": 400}, K.CONTEXT_TOO_LONG),
    (401, error(code="invalid_api_key"), K.UNAUTHENTICATED),
    (401, error(code="invalid_request_error", type="authentication_error"), K.UNAUTHENTICATED),
    (400, {"code": "invalid-argument", "error": "Incorrect API key provided."}, K.UNAUTHENTICATED),
    (400, {"code": "invalid-argument", "error": "Another matter"}, K.REQUEST_REJECTED),
    (200, error(code="image_too_large"), K.REQUEST_REJECTED),
    (200, error(code="image_content_policy_violation"), K.FILTERED),
    (404, error(code="model_not_found"), K.MODEL_NOT_FOUND),
    (400, error(code="model_not_found"), K.MODEL_NOT_FOUND),
    (404, error(code="DeploymentNotFound"), K.MODEL_NOT_FOUND),
    (400, error(code="model_decommissioned"), K.MODEL_NOT_FOUND),
    (400, error(code="model_terms_required"), K.MODEL_NOT_FOUND),
    (400, error(code="organization_restricted"), K.FORBIDDEN),
    (400, error(code="content_policy_violation"), K.FILTERED),
    (
        400,
        {"object": "error", "code": 400, "message": "This model's maximum context length is 9 tokens"},
        K.CONTEXT_TOO_LONG,
    ),
    (
        400,
        {"object": "error", "code": 400, "message": "So: This model's maximum context length is 9"},
        K.REQUEST_REJECTED,
    ),
    (400, error(code=400, message="This model's maximum context length is 9 tokens"), K.REQUEST_REJECTED),
    (429, error(type="insufficient_quota", code="insufficient_quota"), K.QUOTA_SPENT),
    (429, error(type="insufficient_quota"), K.QUOTA_SPENT),
    (429, error(code="project_spend_limit_exceeded"), K.QUOTA_SPENT),
    (429, error(code="rate_limit_exceeded", message="check your plan and billing details"), K.RATE_LIMITED),
    (402, error(metadata={"limit_source": "openrouter_in_flight_budget"}), K.RATE_LIMITED),
    (403, error(metadata={"limit_source": "workspace_budget"}), K.QUOTA_SPENT),
    (403, error(code=403, metadata={"reasons": ["violence"], "flagged_input": "…"}), K.FILTERED),
    (400, error(code="content_filter", status=400), K.FILTERED),
    (400, error(code="tool_use_failed", failed_generation="…"), K.MALFORMED_ANSWER),
    (400, error(code=None, param="response_format"), K.CAPABILITY_BUG),
    (400, error(code="unsupported_parameter", param="response_format"), K.REQUEST_REJECTED),
    (498, error(code="capacity_exceeded"), K.OVERLOADED),
    (502, error(code=502, metadata={"raw": '{"error": {"code": "content_filter"}}'}), K.FILTERED),
    (502, error(code=502, metadata={"raw": {"error": {"type": "insufficient_quota"}}}), K.QUOTA_SPENT),
    (502, error(code=502, metadata={"raw": "nonsense"}), K.SERVER_ERROR),
    (200, error(code="401"), K.UNAUTHENTICATED),
    (200, error(status_code=503), K.SERVER_ERROR),
    (200, error(code=True, status="²²²"), K.SERVER_ERROR),
    # the status where there's no code
    (400, error(), K.REQUEST_REJECTED),
    (413, b"", K.REQUEST_REJECTED),
    (422, {"detail": []}, K.REQUEST_REJECTED),
    (460, b"", K.REQUEST_REJECTED),
    (402, error(), K.QUOTA_SPENT),
    (403, error(), K.FORBIDDEN),
    (404, "Not Found", K.NOT_FOUND),
    (410, b"gone", K.NOT_FOUND),
    (408, b"", K.SERVER_ERROR),
    (409, b"", K.CONFLICT),
    (425, b"", K.CONFLICT),
    (429, b"", K.RATE_LIMITED),
    (500, b"null", K.SERVER_ERROR),
    (502, b"<html>Bad Gateway</html>", K.SERVER_ERROR),
    (503, error(type="unavailable_error"), K.SERVER_ERROR),
    (504, b"", K.SERVER_ERROR),
    (524, b"", K.SERVER_ERROR),
    (529, b"", K.OVERLOADED),
    (507, b"", K.UNEXPECTED_STATUS),
    (599, b"", K.UNEXPECTED_STATUS),
]


@pytest.mark.parametrize(("status", "body", "kind"), ROWS)
def test_an_error_means_this(status: int, body: Any, kind: FaultKind) -> None:
    fault = decoded(status, body)
    assert (fault.kind, fault.status) == (kind, status)


@pytest.mark.parametrize(
    ("status", "body", "certain"),
    [
        (401, error(code="invalid_api_key"), True),
        (401, error(code="401"), True),
        (401, error(code=401), True),
        (401, {"detail": "Invalid API Key"}, False),
        (403, error(), False),
        (404, error(), False),
        (404, error(code="404"), False),
        (404, error(code="model_not_found"), True),
        (402, error(), True),
    ],
)
def test_only_what_the_provider_says_by_code_is_certain(status: int, body: Any, certain: bool) -> None:
    assert decoded(status, body).certain is certain


def test_a_503_that_says_when_to_come_back_throttles() -> None:
    assert decoded(503, b"", retry_after="3").kind is K.OVERLOADED
    assert fault_of_status(503, told_to_wait=True).kind is K.OVERLOADED
    assert fault_of_status(503).kind is K.SERVER_ERROR


@pytest.mark.parametrize(("stated", "expected"), [("false", True), ("FALSE", True), ("true", False), ("", False)])
def test_a_provider_may_say_that_a_retry_is_useless(stated: str, expected: bool) -> None:
    assert decoded(500, b"", x_should_retry=stated).give_up is expected


def test_limit_headers_in_the_body_are_a_hint_relative_to_the_replys_date() -> None:
    limits = {"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1754667660000", "n": 1}
    body = error(code=429, metadata={"headers": limits})
    fault = decoded(429, body, date="Fri, 08 Aug 2025 15:40:30 GMT")
    assert fault.retry_after_ns == 30 * SECOND
    assert decoded(429, body).retry_after_ns is None
    assert decoded(429, error(), date="Fri, 08 Aug 2025 15:40:30 GMT").retry_after_ns is None


def test_a_fault_never_quotes_the_provider() -> None:
    for status, body, _ in ROWS:
        assert "m" not in decoded(status, body).detail.split()
    assert "secret" not in str(decoded(400, error(code="secret", type="secret", message="secret")))
