"""Is what came back an answer? Secrets struck, decoded, compared with the pin, validated, accepted.

Whatever a provider or the user's own code does here, the result is a value: an `Answer`, or the `Fault` that says why
there's none.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from pydantic import ValidationError

from failsoft.core.asking import Answer, Asking
from failsoft.core.effects import Ask, HttpReply, Raised, Reply, Unusable
from failsoft.core.evidence import Attempt
from failsoft.core.heeding import heed
from failsoft.core.key_forms import pattern_in
from failsoft.core.retry_after import retry_after_ns
from failsoft.core.route import GuardedAdapter
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Served

R = TypeVar("R")

STRUCK = "[secret]"
"""What stands where a provider echoed a key of ours."""


def judge(
    asking: Asking[Any, R], adapter: GuardedAdapter, ask: Ask | None, attempt: Attempt, result: object
) -> Answer[R] | Fault:
    """An effect's result, judged; what it reveals is noted in `attempt`."""
    if type(result) is Fault:
        return result
    codec: Any = adapter.codec
    try:
        if type(result) is HttpReply:
            if adapter.secrets:
                result = struck(result, adapter.secrets)
            attempt.status = result.status
            attempt.reply = result.body
            headers = result.headers
            if "deprecation" in headers or "sunset" in headers or "x-api-warning" in headers:
                heed(asking, adapter, headers)
            reply = codec.decode(result)
        elif type(result) is Raised:
            reply = codec.classify(result.error)
        else:
            reply = codec.read(result, ask)
            attempt.reply = reply.answer if type(reply) is Reply else None
    except Exception as error:
        name = type(error).__name__
        return Fault(FaultKind.BUG, f"reading the reply raised {name}", error=name)
    attempt.served = served = reply.served
    attempt.tokens = reply.tokens
    if type(reply) is Unusable:
        if reply.fault.treatment.repair:
            attempt.answer, attempt.detail = reply.said, reply.fault.detail.encode()
        return _with_hint(asking, reply.fault, result)
    if served.model is not None and not adapter.pin.admits(served.model):
        fault = _mismatch(asking, adapter, served, attempt.status)
        if adapter.on_mismatch == "refuse":
            return fault
    if adapter.require_grade is not None and not served.grade.is_worth(adapter.require_grade):
        worth = f"the served model's name is worth no more than {served.grade.value}"
        return Fault(FaultKind.SERVED_UNPROVEN, worth, attempt.status)
    return _accept(asking, adapter, attempt, reply)


def places(error: ValidationError, known: frozenset[str]) -> str:
    """Where a value doesn't fit, in words of the response type: never the value, and no name that came with it.

    Args:
        error: what pydantic says.
        known: the names of the type's own fields.
    """

    def part(each: int | str) -> str:
        return str(each) if isinstance(each, int) or each in known else "…"

    told = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    found = sorted({".".join(map(part, each["loc"])) or "the answer" for each in told})
    return "doesn't fit at " + ", ".join(found)


def struck(reply: HttpReply, secrets: tuple[str, ...]) -> HttpReply:
    """The reply without our own keys: a provider that echoes one must not bring it into a record or an event.

    Also as JSON may write it. A key that a provider disguises on purpose can't be found.
    """
    body, headers = reply.body, dict(reply.headers)
    written = pattern_in(body, secrets)
    if written is not None:
        body = written.sub(STRUCK.encode(), body)
    for secret in sorted(secrets, key=len, reverse=True):  # one key may begin with another
        headers = {name: value.replace(secret, STRUCK) for name, value in headers.items()}
    return HttpReply(reply.status, headers, body)


def _with_hint(asking: Asking[Any, Any], fault: Fault, result: object) -> Fault:
    if fault.treatment.throttle != "no" and fault.retry_after_ns is None and isinstance(result, HttpReply):
        fault.retry_after_ns = retry_after_ns(result.headers, result.status, asking.world.clock.time_ns())
    return fault


def _mismatch(asking: Asking[Any, Any], adapter: GuardedAdapter, served: Served, status: int | None) -> Fault:
    asked, found = adapter.pin.model, served.model
    asking.world.events.emit("pin.mismatch", adapter=adapter.name, asked=asked, served=found, call_id=asking.call_id)
    return Fault(FaultKind.SERVED_MODEL_MISMATCH, f'asked for "{asked}", "{found}" answered', status=status)


def _accept(asking: Asking[Any, R], adapter: GuardedAdapter, attempt: Attempt, reply: Reply) -> Answer[R] | Fault:
    """Hold the answer to the response type and to the capability's own rule."""
    contract, snapshot = asking.contract, asking.snapshot
    attempt.answer = reply.answer
    where = "a validator of the response type"
    try:
        request = snapshot.request if snapshot.frozen else snapshot.lend()  # as on every call: one of `lend`'s two ways
        value = contract.read_answer(reply.answer, request)
        if contract.accept is not None:
            where = "accept"
            said: object = contract.accept(snapshot.lend(), value if contract.answer_frozen else copy.deepcopy(value))
            if said is not None:  # one that returns False would accept everything
                raise TypeError("accept() returns nothing: it raises ValueError for an answer that isn't acceptable")
        where = "the response type"
        text = None if asking.world.ledger is None else contract.dump_response(value)
    except Exception as error:
        return _not_accepted(asking, attempt, where, error)
    return Answer(value, text, adapter, attempt.n, reply.served)


def described(error: Exception) -> str:
    """An exception of the user's own code, in its words where it has any."""
    try:
        return repr(error)
    except Exception:  # its words may raise too
        return type(error).__name__


def _words(error: Exception) -> bytes:
    try:
        return str(error).encode("utf-8", "replace")
    except Exception:  # the user's own exception: its words may raise too
        return type(error).__name__.encode()


def _problems(error: ValidationError) -> bytes:
    try:
        return error.json(include_url=False, include_context=False).encode()
    except ValueError:  # a validator made bytes of the input that are no text
        return error.json(include_url=False, include_context=False, include_input=False).encode()


def _not_accepted(asking: Asking[Any, Any], attempt: Attempt, where: str, error: Exception) -> Fault:
    if where == "accept" and isinstance(error, (ValueError, AssertionError)):
        attempt.detail = _words(error)
        return Fault(FaultKind.UNACCEPTABLE, "accept() said no", status=attempt.status)
    if where != "the response type" and isinstance(error, ValidationError):
        attempt.detail = _problems(error)
        return Fault(FaultKind.SCHEMA_INVALID, places(error, asking.contract.field_names), status=attempt.status)
    asking.capability_bug(where, error)
    return Fault(FaultKind.CAPABILITY_BUG, type(error).__name__, status=attempt.status)
