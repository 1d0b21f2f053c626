"""Why an AI's answer wasn't had, for people: whether it was reached at all, said that it couldn't, was late, was left, or
answered and wasn't taken. Every kind of fault has its words here; a record of a later version may name one that has none.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Any

from failsoft.fault import FaultKind

Fields = dict[str, Any]
_K = FaultKind


class Way(StrEnum):
    """How far it came."""

    UNREACHED = "{who} wasn't reached: {why}."
    UNSURE = "Whether {who} got the question isn't known: {why}."
    DECLINED = "{who} was reached, and said that it couldn't answer: {why}."
    LATE = "{who} gave no answer in time: {why}."
    LEFT = "{who} was asked, and its answer wasn't waited for: {why}."
    BROKEN_OFF = "{who} was asked, and no whole answer came: {why}."
    NOT_TAKEN = "{who} answered, and its answer wasn't taken: {why}."
    NOTED = "{who} answered, and of its answer it was noted: {why}."
    OURS = "{who} couldn't be asked, or not be heard: {why}."


_UNKNOWN = "{who} gave no answer that could be used, for a reason that this page has no words for."

FAULTS: MappingProxyType[FaultKind, tuple[Way, str]] = MappingProxyType(
    {
        _K.DNS_FAILED: (Way.UNREACHED, "the address of its computer couldn't be looked up"),
        _K.HOST_UNKNOWN: (Way.UNREACHED, "there's no computer of the name that it was to be found under"),
        _K.CONNECT_REFUSED: (Way.UNREACHED, "nothing there took the call"),
        _K.CONNECT_FAILED: (Way.UNREACHED, "no connection came about"),
        _K.CONNECT_TIMEOUT: (Way.UNREACHED, "no connection came about in time"),
        _K.TLS_FAILED: (Way.UNREACHED, "no protected connection came about"),
        _K.TLS_INVALID: (Way.UNREACHED, "what was there couldn't show that it's the right service"),
        _K.PROXY_REFUSED: (Way.UNREACHED, "the application's own network didn't let the call out"),
        _K.POOL_EXHAUSTED: (Way.UNREACHED, "no connection was free"),
        _K.STALE_CONNECTION: (Way.UNSURE, "the other side closed a connection that had been used before"),
        _K.UNSUPPORTED_CONTENT: (Way.UNREACHED, "the question holds what it can't be shown, so nothing was sent"),
        _K.SERVER_ERROR: (Way.DECLINED, "something had failed on its side"),
        _K.OVERLOADED: (Way.DECLINED, "it had too much to do"),
        _K.RATE_LIMITED: (Way.DECLINED, "it had been asked too often"),
        _K.QUOTA_SPENT: (Way.DECLINED, "what was paid for was used up"),
        _K.UNAUTHENTICATED: (Way.DECLINED, "it didn't accept the application's access"),
        _K.FORBIDDEN: (Way.DECLINED, "the application isn't allowed to ask it this"),
        _K.MODEL_NOT_FOUND: (Way.DECLINED, "it doesn't have the model that was asked for"),
        _K.NOT_FOUND: (Way.DECLINED, "there's nothing at the address that was asked"),
        _K.CONFLICT: (Way.DECLINED, "something else was under way there"),
        _K.REQUEST_REJECTED: (Way.DECLINED, "it didn't accept the question in this form"),
        _K.CONTEXT_TOO_LONG: (Way.DECLINED, "the question is longer than what may be put to it"),
        _K.UNEXPECTED_STATUS: (Way.DECLINED, "it gave a reason that the application doesn't know"),
        _K.REDIRECT: (Way.DECLINED, "it sent the application on to another place, where that doesn't go"),
        _K.REFUSED: (Way.DECLINED, "the model declined to answer this"),
        _K.FILTERED: (Way.DECLINED, "its provider's rules on content held the question or the answer back"),
        _K.ATTEMPT_TIMEOUT: (Way.LATE, "its reply wasn't whole when the time for it was up"),
        _K.STREAM_STALLED: (Way.LATE, "its reply didn't begin, or stopped in the middle"),
        _K.DEADLINE: (Way.LATE, "the time for the whole question was up"),
        _K.CANCELLED: (Way.LEFT, "the attempt was broken off"),
        _K.UPLOAD_CUT: (Way.BROKEN_OFF, "the connection broke while the question was being sent"),
        _K.CONNECTION_LOST: (Way.BROKEN_OFF, "the connection broke"),
        _K.TRUNCATED_STREAM: (Way.BROKEN_OFF, "its reply broke off before its end"),
        _K.BAD_FRAMING: (Way.NOT_TAKEN, "it wasn't sent in a way that can be read safely"),
        _K.CONFLICTING_LENGTHS: (Way.NOT_TAKEN, "it stated two different lengths, so its end isn't certain"),
        _K.BAD_ENCODING: (Way.NOT_TAKEN, "it couldn't be unpacked"),
        _K.UNKNOWN_ENCODING: (Way.NOT_TAKEN, "it was packed in a way that isn't known"),
        _K.TOO_LARGE: (Way.NOT_TAKEN, "it was larger than what the application reads"),
        _K.MALFORMED_REPLY: (Way.NOT_TAKEN, "it couldn't be read"),
        _K.WEB_PAGE: (Way.NOT_TAKEN, "a web page came in its place"),
        _K.NOT_AN_ANSWER: (Way.NOT_TAKEN, "what came isn't an answer to such a question"),
        _K.EMPTY_REPLY: (Way.NOT_TAKEN, "there was nothing in it"),
        _K.TRUNCATED: (Way.NOT_TAKEN, "the model stopped before the end of it"),
        _K.AMBIGUOUS_REPLY: (Way.NOT_TAKEN, "it could be read in more than one way"),
        _K.MALFORMED_ANSWER: (Way.NOT_TAKEN, "it wasn't in the form that was asked for"),
        _K.SCHEMA_INVALID: (Way.NOT_TAKEN, "it lacked what was asked for, or held what isn't allowed"),
        _K.UNACCEPTABLE: (Way.NOT_TAKEN, "the application's own rule for answers said no"),
        _K.SERVED_MODEL_MISMATCH: (Way.NOT_TAKEN, "another model than the one that was asked for gave it"),
        _K.SERVED_UNPROVEN: (Way.NOT_TAKEN, "which model gave it can't be believed as far as the application demands"),
        _K.CAPABILITY_BUG: (Way.NOT_TAKEN, "a mistake in the application's own program kept it from being judged"),
        _K.ADAPTER_RAISED: (Way.OURS, "the application's own connection to it failed"),
        _K.BUG: (Way.OURS, "there's a mistake in the program that asks"),
    }
)
"""How far an attempt with such a fault came, and why no further."""


def failed(attempt: Fields, left: str = "", *, observed: bool = False) -> str:
    """Why an attempt, which has a fault, gave no answer: a sentence.

    Args:
        attempt: as it's on record.
        left: why its call broke attempts off, where that's known.
        observed: whoever asked got what came, whatever is wrong with it.
    """
    try:
        kind = FaultKind(attempt["fault"])
    except ValueError:
        return _UNKNOWN.format(who=attempt["adapter"])
    way, why = FAULTS[kind]
    if way is Way.LEFT:
        why = left or why
    if way is Way.NOT_TAKEN and observed:
        way = Way.NOTED
    if kind is FaultKind.CONTEXT_TOO_LONG and "status" not in attempt:  # the application found so by itself
        way = Way.UNREACHED
    return way.format(who=attempt["adapter"], why=why)
