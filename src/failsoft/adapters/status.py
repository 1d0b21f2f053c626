"""What an HTTP status means where nothing better is known: the last resort of every dialect."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from failsoft.fault import Fault, FaultKind

_K = FaultKind

BY_STATUS: Mapping[int, FaultKind] = {
    401: _K.UNAUTHENTICATED,
    402: _K.QUOTA_SPENT,
    403: _K.FORBIDDEN,
    404: _K.NOT_FOUND,
    408: _K.SERVER_ERROR,
    409: _K.CONFLICT,
    410: _K.NOT_FOUND,
    425: _K.CONFLICT,
    429: _K.RATE_LIMITED,
    498: _K.OVERLOADED,  # Groq
    500: _K.SERVER_ERROR,
    502: _K.SERVER_ERROR,
    503: _K.SERVER_ERROR,
    504: _K.SERVER_ERROR,
    **dict.fromkeys(range(520, 528), _K.SERVER_ERROR),  # Cloudflare, in front of many
    529: _K.OVERLOADED,
}
"""Other 4xx reject this request; everything else is unexpected."""

_REGISTERED = frozenset(map(int, HTTPStatus))
"""The status codes that have a meaning (IANA's registry, as the standard library has it)."""

_UNCERTAIN = frozenset({401, 403, 404, 410})  # a proxy, a typing error or one missing item says these too


def fault_of_status(status: int, detail: str = "", *, told_to_wait: bool = False) -> Fault:
    """The fault that a status alone stands for.

    Args:
        status: 100-599.
        detail: our own words.
        told_to_wait: the reply says when to come back: then a 503 throttles too.
    """
    kind = BY_STATUS.get(status)
    unknown = kind is None and status not in _REGISTERED
    if kind is None:
        kind = _K.REQUEST_REJECTED if 400 <= status < 500 else _K.UNEXPECTED_STATUS
    elif status == 503 and told_to_wait:
        kind = _K.OVERLOADED
    return Fault(kind, detail, status, certain=status not in _UNCERTAIN, unknown=unknown)
