"""What the error bodies of OpenAI's dialects mean.

The body's own code is asked before the HTTP status, since gateways and servers choose statuses freely (a context that's
too long came as a server error, a spent budget as 429, a refused key as 400). Codes are looked up, texts aren't read:
one per-minute limit carries the sentence about billing. Sources: the providers' error pages and recorded replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failsoft.adapters.base import as_object
from failsoft.adapters.status import BY_STATUS as BY_STATUS
from failsoft.adapters.status import fault_of_status
from failsoft.adapters.strict_json import StrictJsonError, loads
from failsoft.core.effects import HttpReply
from failsoft.core.retry_after import retry_after_ns
from failsoft.fault import TREATMENT, Fault, FaultKind

_K = FaultKind

_BAD_IMAGE = (
    *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "invalid_image_mode"),
    *("image_too_large", "image_too_small", "image_parse_error", "image_file_too_large", "empty_image_file"),
    *("unsupported_image_media_type", "failed_to_download_image", "image_file_not_found"),
)
"""Codes of a failed response (OpenAI's API reference): its status is 200."""

BY_CODE: Mapping[str, FaultKind] = {
    "context_length_exceeded": _K.CONTEXT_TOO_LONG,
    "exceed_context_size_error": _K.CONTEXT_TOO_LONG,  # llama.cpp
    "too_many_prompt_tokens": _K.CONTEXT_TOO_LONG,  # Perplexity
    "invalid_api_key": _K.UNAUTHENTICATED,
    "authentication_error": _K.UNAUTHENTICATED,
    "model_not_found": _K.MODEL_NOT_FOUND,
    "deploymentnotfound": _K.MODEL_NOT_FOUND,  # Azure
    "model_decommissioned": _K.MODEL_NOT_FOUND,  # Groq, status 400
    "model_terms_required": _K.MODEL_NOT_FOUND,  # Groq: the key is good, and other models' terms may be accepted
    "organization_restricted": _K.FORBIDDEN,
    "insufficient_quota": _K.QUOTA_SPENT,
    "credit_balance_exhausted": _K.QUOTA_SPENT,
    "organization_spend_limit_exceeded": _K.QUOTA_SPENT,
    "project_spend_limit_exceeded": _K.QUOTA_SPENT,
    "organization_usage_limit_exceeded": _K.QUOTA_SPENT,
    "rate_limit_exceeded": _K.RATE_LIMITED,
    "rate_limit_error": _K.RATE_LIMITED,
    "slow_down": _K.RATE_LIMITED,
    "capacity_exceeded": _K.OVERLOADED,  # Groq, status 498
    "overloaded_error": _K.OVERLOADED,
    "unavailable_error": _K.SERVER_ERROR,  # llama.cpp while it loads
    "content_filter": _K.FILTERED,
    "invalid_prompt": _K.FILTERED,
    "bio_policy": _K.FILTERED,
    "misalignment_policy_violation": _K.FILTERED,
    "content_policy_violation": _K.FILTERED,
    "image_content_policy_violation": _K.FILTERED,
    **dict.fromkeys(_BAD_IMAGE, _K.REQUEST_REJECTED),
    "tool_use_failed": _K.MALFORMED_ANSWER,  # Groq: the model's own fault, in a 400
    "json_validate_failed": _K.MALFORMED_ANSWER,
    "invalid_function_parameters": _K.CAPABILITY_BUG,
    "invalid_json_schema": _K.CAPABILITY_BUG,
}

_XAI_BAD_KEY = "Incorrect API key"  # xAI answers a bad key with 400 and a code that stands for anything
_VLLM_TOO_LONG = "This model's maximum context length is "  # older ones state no param


def fault_of_error(reply: HttpReply, body: object) -> Fault:
    """What an error means.

    Args:
        reply: as it came; its status may be 200.
        body: the JSON value in it; None where there is none.
    """
    envelope = as_object(body)
    error = _error_object(envelope)
    fault = _by_code(reply, envelope, error) or _by_status(reply.status, error, reply.headers)
    fault.status = reply.status
    fault.give_up = reply.headers.get("x-should-retry", "").lower() == "false"
    if TREATMENT[fault.kind].throttle != "no":
        fault.retry_after_ns = _hint_in_body(reply, error)
    return fault


def _error_object(envelope: dict[str, Any]) -> dict[str, Any]:
    """The error's fields: an object, a string beside a code (xAI), or the envelope itself (vLLM)."""
    error = envelope.get("error")
    if isinstance(error, str):
        return {"message": error, "code": envelope.get("code"), "type": envelope.get("type")}
    return as_object(error) or envelope


def _by_code(reply: HttpReply, envelope: dict[str, Any], error: dict[str, Any]) -> Fault | None:
    metadata = as_object(error.get("metadata"))
    source = metadata.get("limit_source")
    if isinstance(source, str):  # OpenRouter: 402 isn't always money, 403 not always permission
        spent = source != "openrouter_in_flight_budget"
        return Fault(_K.QUOTA_SPENT if spent else _K.RATE_LIMITED, "a limit of the gateway's")
    if "flagged_input" in metadata or "reasons" in metadata:
        return Fault(_K.FILTERED, "the gateway's moderation")
    for candidate in (error.get("code"), error.get("type"), envelope.get("type")):
        code = candidate.lower() if isinstance(candidate, str) else ""
        if code in BY_CODE:
            return Fault(BY_CODE[code], f"code {code}")
    if reply.status == 400 and error.get("param") == "input_tokens":  # vLLM
        return Fault(_K.CONTEXT_TOO_LONG, "param input_tokens")
    own = envelope.get("object") == "error" and error.get("code") == 400
    if own and str(error.get("message"))[: len(_VLLM_TOO_LONG)] == _VLLM_TOO_LONG:
        return Fault(_K.CONTEXT_TOO_LONG, "the prompt is too long")
    if reply.status == 400 and error.get("param") == "response_format" and error.get("code") is None:
        return Fault(_K.CAPABILITY_BUG, "the response schema isn't accepted")
    if reply.status == 400 and str(error.get("message"))[: len(_XAI_BAD_KEY)] == _XAI_BAD_KEY:
        return Fault(_K.UNAUTHENTICATED, "the key isn't accepted")
    return _upstream(reply, metadata)


def _upstream(reply: HttpReply, metadata: dict[str, Any]) -> Fault | None:
    """A gateway's "provider returned error" carries what the provider said."""
    raw = metadata.get("raw")
    if isinstance(raw, str):
        try:
            raw = loads(raw)
        except StrictJsonError:
            return None
    upstream = as_object(raw)
    return _by_code(reply, {}, {**_error_object(upstream), "metadata": None}) if upstream else None


def _by_status(status: int, error: dict[str, Any], headers: Mapping[str, str]) -> Fault:
    """The status decides; in a 200, the one that the body states."""
    stated = _stated_status(error)
    told_to_wait = "retry-after" in headers or "retry-after-ms" in headers
    fault = fault_of_status(
        status if status != 200 else stated or 500, "an error without a known code", told_to_wait=told_to_wait
    )
    if status == stated == 401:  # a body that repeats it was written by the provider, not by a proxy
        fault.certain = True
    return fault


def _stated_status(error: dict[str, Any]) -> int | None:
    for value in (error.get("code"), error.get("status"), error.get("status_code")):
        if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
            value = int(value)  # Azure writes "401"
        if type(value) is int and 400 <= value <= 599:
            return value
    return None


def _hint_in_body(reply: HttpReply, error: dict[str, Any]) -> int | None:
    """OpenRouter repeats its limit headers in the body only. The moment is the reply's own ``date``."""
    stated = as_object(as_object(error.get("metadata")).get("headers"))
    headers = {name.lower(): value for name, value in stated.items() if isinstance(value, str)}
    if not headers or "date" not in reply.headers:
        return None
    return retry_after_ns({**headers, "date": reply.headers["date"]}, 429, 0)
