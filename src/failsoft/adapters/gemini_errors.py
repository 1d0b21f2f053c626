"""What Google's error bodies mean: the reason of an ``ErrorInfo`` first, then ``error.status``, then the HTTP status.

``{"error": {"code", "message", "status", "details": [{"@type", …}]}}``, where ``status`` is a name of google.rpc.Code and
the details are those of google/rpc/error_details.proto. A bad key is a 400, and only its reason says so. Sources: recorded
replies, https://ai.google.dev/gemini-api/docs/troubleshooting, https://google.aip.dev/193.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from failsoft.adapters.base import as_array, as_object, as_text
from failsoft.adapters.status import fault_of_status
from failsoft.adapters.strict_json import WHITE_SPACE, StrictJsonError, decoded, loads_text
from failsoft.core.effects import SECOND, HttpReply
from failsoft.core.retry_after import LONGEST
from failsoft.fault import TREATMENT, Fault, FaultKind

_K = FaultKind

BY_REASON: Mapping[str, FaultKind] = {
    "API_KEY_INVALID": _K.UNAUTHENTICATED,
    "ACCESS_TOKEN_EXPIRED": _K.UNAUTHENTICATED,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": _K.UNAUTHENTICATED,
    "CREDENTIALS_MISSING": _K.UNAUTHENTICATED,
    "ACCOUNT_STATE_INVALID": _K.UNAUTHENTICATED,
    "API_KEY_SERVICE_BLOCKED": _K.FORBIDDEN,
    "API_KEY_IP_ADDRESS_BLOCKED": _K.FORBIDDEN,
    "API_KEY_HTTP_REFERRER_BLOCKED": _K.FORBIDDEN,
    "SERVICE_DISABLED": _K.FORBIDDEN,
    "CONSUMER_INVALID": _K.FORBIDDEN,
    "CONSUMER_SUSPENDED": _K.FORBIDDEN,
    "USER_PROJECT_DENIED": _K.FORBIDDEN,
    "BILLING_DISABLED": _K.QUOTA_SPENT,
    "RATE_LIMIT_EXCEEDED": _K.RATE_LIMITED,
}
"""Of google/api/error_reason.proto, which every Google API shares."""

BY_CODE: Mapping[str, FaultKind] = {
    "UNAUTHENTICATED": _K.UNAUTHENTICATED,
    "PERMISSION_DENIED": _K.FORBIDDEN,
    "NOT_FOUND": _K.MODEL_NOT_FOUND,  # nothing else is asked for by its name
    "FAILED_PRECONDITION": _K.REQUEST_REJECTED,  # a place that isn't served; no billing, where no reason says so
    "RESOURCE_EXHAUSTED": _K.RATE_LIMITED,
    "INVALID_ARGUMENT": _K.REQUEST_REJECTED,
    "OUT_OF_RANGE": _K.REQUEST_REJECTED,
    "UNAVAILABLE": _K.OVERLOADED,
    "ABORTED": _K.CONFLICT,
    "INTERNAL": _K.SERVER_ERROR,
    "UNKNOWN": _K.SERVER_ERROR,
    "DATA_LOSS": _K.SERVER_ERROR,
    "DEADLINE_EXCEEDED": _K.SERVER_ERROR,
    "CANCELLED": _K.SERVER_ERROR,
}
"""Of google.rpc.Code."""

_OF_SCHEMA = re.compile(r"response_?(json_?)?schema|function_?declarations", re.IGNORECASE)
_DELAY = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,9}))?s")


def fault_of_google(reply: HttpReply, body: dict[str, Any]) -> Fault:
    """What an error means.

    Args:
        reply: as it came; its status may be 200, for an error inside a stream.
        body: the JSON object with ``error`` in it; empty where it wasn't read: an error may come as a stream's only item, as
            a list of one, or as JSON under the media type of a stream.
    """
    error = as_object((body or _body_of(reply)).get("error"))
    status = reply.status if reply.status != 200 else _stated(error)
    fault = _by_detail(error) or _by_code(error, status) or _by_status(status, reply)
    fault.status = reply.status
    if TREATMENT[fault.kind].throttle != "no":
        fault.retry_after_ns = _told_to_wait(error)
    return fault


def _body_of(reply: HttpReply) -> dict[str, Any]:
    try:
        value: Any = loads_text(decoded(reply.body).strip(WHITE_SPACE))
    except StrictJsonError:
        return {}
    listed = as_array(value)
    return as_object(listed[0] if listed else value)


def _stated(error: dict[str, Any]) -> int:
    code = error.get("code")
    return code if type(code) is int and 400 <= code <= 599 else 500


def _details(error: dict[str, Any], name: str) -> Iterator[Any]:
    """What the details say under a name, which is of one type of detail only."""
    return (each[name] for each in map(as_object, as_array(error.get("details"))) if name in each)


def _by_detail(error: dict[str, Any]) -> Fault | None:
    for value in _details(error, "reason"):
        reason = as_text(value) or ""
        if reason in BY_REASON:
            return Fault(BY_REASON[reason], f"reason {reason}")
    violations = (each for listed in _details(error, "violations") for each in map(as_object, as_array(listed)))
    if any("PerDay" in (as_text(each.get("quotaId")) or "") for each in violations):
        return Fault(_K.QUOTA_SPENT, "the day's quota")
    fields = (each for listed in _details(error, "fieldViolations") for each in map(as_object, as_array(listed)))
    if any(_OF_SCHEMA.search(as_text(each.get("field")) or "") for each in fields):
        return Fault(_K.CAPABILITY_BUG, "the response schema isn't accepted")
    return None


def _by_code(error: dict[str, Any], status: int) -> Fault | None:
    code = as_text(error.get("status")) or ""
    kind = BY_CODE.get(code)
    if kind is None:
        return None
    if kind is _K.RATE_LIMITED and status == 402:
        kind = _K.QUOTA_SPENT
    return Fault(kind, f"status {code}")


def _by_status(status: int, reply: HttpReply) -> Fault:
    return fault_of_status(status, "an error without a known code", told_to_wait="retry-after" in reply.headers)


def _told_to_wait(error: dict[str, Any]) -> int | None:
    """``RetryInfo.retryDelay``, a second more than it says: it's cut to whole seconds. Up to an hour."""
    for value in _details(error, "retryDelay"):
        found = _DELAY.fullmatch(as_text(value) or "")
        if found is not None:
            nanoseconds = int(found[1]) * SECOND + int((found[2] or "").ljust(9, "0"))
            return min(nanoseconds + SECOND, LONGEST)
    return None
