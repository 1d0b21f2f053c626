"""What Bedrock's errors mean: ``{"message"}``, named by the header ``x-amzn-errortype`` or, in a stream, by a frame's.

The name is asked before the HTTP status: an unknown model is a 400, a model that isn't ready a 429, one that took too long a
408. A few cases share a name, and are told apart by the beginning of their text; a text stops a pin at most, never a key.
Source: the API reference of Bedrock Runtime, its page of error codes and the service's model in botocore, November 2026; 12
recorded errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from failsoft.adapters.base import as_text
from failsoft.adapters.status import fault_of_status
from failsoft.core.effects import HttpReply
from failsoft.fault import Fault, FaultKind

_K = FaultKind

BY_NAME: Final[Mapping[str, FaultKind]] = {
    "accessdeniedexception": _K.FORBIDDEN,
    "expiredtokenexception": _K.UNAUTHENTICATED,
    "expiredtoken": _K.UNAUTHENTICATED,
    "invalidclienttokenid": _K.UNAUTHENTICATED,
    "unrecognizedclientexception": _K.UNAUTHENTICATED,
    "invalidsignatureexception": _K.UNAUTHENTICATED,
    "signaturedoesnotmatch": _K.UNAUTHENTICATED,
    "incompletesignature": _K.UNAUTHENTICATED,
    "incompletesignatureexception": _K.UNAUTHENTICATED,
    "missingauthenticationtoken": _K.UNAUTHENTICATED,
    "missingauthenticationtokenexception": _K.UNAUTHENTICATED,
    "requestexpired": _K.UNAUTHENTICATED,
    "notauthorized": _K.FORBIDDEN,
    "optinrequired": _K.FORBIDDEN,
    "resourcenotfoundexception": _K.MODEL_NOT_FOUND,
    "ftuformnotfilled": _K.MODEL_NOT_FOUND,  # the use of the model hasn't been applied for
    "throttlingexception": _K.RATE_LIMITED,
    "servicequotaexceededexception": _K.RATE_LIMITED,
    "modelnotreadyexception": _K.OVERLOADED,
    "serviceunavailableexception": _K.OVERLOADED,
    "serviceunavailable": _K.OVERLOADED,
    "internalserverexception": _K.SERVER_ERROR,
    "internalfailure": _K.SERVER_ERROR,
    "modeltimeoutexception": _K.SERVER_ERROR,
    "modelerrorexception": _K.SERVER_ERROR,
    "modelstreamerrorexception": _K.SERVER_ERROR,
    "conflictexception": _K.CONFLICT,
    "validationexception": _K.REQUEST_REJECTED,
}
"""By the name in lower case: a stream writes it with a small first letter."""

_FROM_MODEL: Final = r"(?:The model returned the following errors: )?"
_BY_TEXT: Final[Mapping[str, tuple[tuple[re.Pattern[str], FaultKind, str], ...]]] = {
    "accessdeniedexception": (
        (re.compile("You don't have access to the model"), _K.MODEL_NOT_FOUND, "no access to the model"),
    ),
    "validationexception": (
        (re.compile("The provided model identifier is invalid"), _K.MODEL_NOT_FOUND, "no such model"),
        (
            re.compile(r"Invocation of model ID \S{1,300} with on-demand throughput isn.t supported"),
            _K.MODEL_NOT_FOUND,
            "the model is served through an inference profile only",
        ),
        (
            re.compile(
                _FROM_MODEL + r"(?:Input Tokens Exceeded|Input is too long for requested model"
                r"|prompt is too long: \d{1,12} tokens > \d{1,12} maximum)"
            ),
            _K.CONTEXT_TOO_LONG,
            "the prompt is too long",
        ),
    ),
}


def fault_of_error(reply: HttpReply, body: dict[str, Any], name: str | None = None) -> Fault:
    """What an error means.

    Args:
        reply: as it came; its status is 200 where the error came in a stream.
        body: the JSON object in it; empty where there is none.
        name: the error's, where a frame states it.
    """
    stated = name or reply.headers.get("x-amzn-errortype") or as_text(body.get("__type")) or ""
    known = stated.partition(":")[0].rpartition("#")[2].strip().lower()
    message = as_text(body.get("message")) or as_text(body.get("Message")) or ""
    fault = _by_text(known, message)
    if fault is None and known in BY_NAME:
        fault = Fault(BY_NAME[known], f"name {known}")
    if fault is None:
        status = reply.status if reply.status != 200 else 500
        told_to_wait = "retry-after" in reply.headers
        fault = fault_of_status(status, "an error without a known name", told_to_wait=told_to_wait)
    fault.status = reply.status
    return fault


def _by_text(name: str, message: str) -> Fault | None:
    for pattern, kind, detail in _BY_TEXT.get(name, ()):
        if pattern.match(message):
            return Fault(kind, detail)
    return None
