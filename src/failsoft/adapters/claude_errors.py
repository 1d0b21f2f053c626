"""What Anthropic's errors mean: ``{"type": "error", "error": {"type", "message", "details"?}, "request_id"?}``.

The error's own type is asked before the HTTP status, and the code in its details before that: a spent budget comes as a rate
limit. Inside a stream an error has no status at all. A few have no code of their own: the beginning of
their text names them. Source: Anthropic's page of errors and its SDK's types, November 2026; 12 recorded errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from failsoft.adapters.base import as_object
from failsoft.adapters.status import fault_of_status
from failsoft.core.effects import HttpReply
from failsoft.fault import Fault, FaultKind

_K = FaultKind

BY_TYPE: Final[Mapping[str, FaultKind]] = {
    "authentication_error": _K.UNAUTHENTICATED,
    "billing_error": _K.QUOTA_SPENT,
    "permission_error": _K.MODEL_NOT_FOUND,  # of what is asked for: the key is good
    "not_found_error": _K.NOT_FOUND,
    "request_too_large": _K.CONTEXT_TOO_LONG,
    "rate_limit_error": _K.RATE_LIMITED,
    "overloaded_error": _K.OVERLOADED,
    "api_error": _K.SERVER_ERROR,
    "timeout_error": _K.SERVER_ERROR,
    "conflict_error": _K.CONFLICT,
    "invalid_request_error": _K.REQUEST_REJECTED,
}

BY_DETAIL: Final[Mapping[str, FaultKind]] = {
    "enforced_spend_limit_reached": _K.QUOTA_SPENT,
    "contract_spend_limit_reached": _K.QUOTA_SPENT,
    "linked_organization_spend_limit_reached": _K.QUOTA_SPENT,
    "linked_organization_billing_unavailable": _K.QUOTA_SPENT,
    "organization_on_hold": _K.FORBIDDEN,
    "ramp_limit_exceeded": _K.RATE_LIMITED,
}

_TOO_LONG: Final = re.compile(
    r"prompt is too long: \d{1,12} tokens > \d{1,12} maximum|input length and `max_tokens` exceed context limit\b"
)
_SPENT: Final = (
    "You have reached your specified API usage limits",  # that the customer set himself
    "Your credit balance is too low",
)


def fault_of_error(reply: HttpReply, body: dict[str, Any]) -> Fault:
    """What an error means.

    Args:
        reply: as it came; its status is 200 where the error came in a stream.
        body: the JSON object in it; empty where there is none.
    """
    error = as_object(body.get("error"))
    kind, message = _text(error.get("type")), _text(error.get("message"))
    fault = (
        _by_detail(_text(as_object(error.get("details")).get("error_code")))
        or _by_text(kind, message)
        or _by_type(kind)
        or fault_of_status(
            reply.status if reply.status != 200 else 500,
            "an error without a known type",
            told_to_wait="retry-after" in reply.headers,
        )
    )
    fault.status = reply.status
    fault.give_up = reply.headers.get("x-should-retry", "").lower() == "false"
    return fault


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _by_detail(code: str) -> Fault | None:
    return Fault(BY_DETAIL[code], f"code {code}") if code in BY_DETAIL else None


def _by_type(kind: str) -> Fault | None:
    if kind not in BY_TYPE:
        return None
    return Fault(BY_TYPE[kind], f"type {kind}", certain=kind != "not_found_error")  # one file may be missing


def _by_text(kind: str, message: str) -> Fault | None:
    if kind == "invalid_request_error" and message.startswith(_SPENT):
        # A text may not stop a key by saying so once.
        return Fault(_K.QUOTA_SPENT, "no credit, or the workspace's own spend limit", certain=False)
    if kind == "invalid_request_error" and _TOO_LONG.match(message):
        return Fault(_K.CONTEXT_TOO_LONG, "the prompt is too long")
    if kind == "not_found_error" and message.startswith("model: "):
        return Fault(_K.MODEL_NOT_FOUND, "no such model")
    return None
