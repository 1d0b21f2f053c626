"""What a stored reply says today, held against what the record says that it said.

A reply's headers aren't kept, and some of a record stood in them: who served (Azure OpenAI, a service behind plain JSON),
what was used and how an error is called (Bedrock), the media type, when to come back. What a header may have said is told
apart from what the body says otherwise: only that is a difference.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from attrs import evolve

from failsoft.core.contract import Contract
from failsoft.core.effects import Tokens
from failsoft.fault import FaultKind
from failsoft.ledger.records.facts import provider_text
from failsoft.outcome import Served
from failsoft.replay.configured import Judged
from failsoft.replay.judging import AFTER_DECODING, Verdict
from failsoft.replay.recorded import Attempted

_BY_MEDIA_TYPE = (FaultKind.WEB_PAGE, FaultKind.MALFORMED_REPLY)
_BY_A_HINT = {FaultKind.OVERLOADED, FaultKind.SERVER_ERROR}
_IDENTIFIES_IN_HEADERS = ("azure-openai", "http-json")
_FAILS_IN_HEADERS = ("bedrock",)


def believed(attempt: Attempted, verdict: Verdict, judged: Judged) -> tuple[Served, list[str]]:
    """Who served, what the body doesn't say taken from the record: it may have stood in a header. And what that is."""
    was, now = attempt.served, verdict.served
    served, reasons = now, list[str]()
    elsewhere = judged.provider in _IDENTIFIES_IN_HEADERS and (was.model, was.grade) != (now.model, now.grade)
    if (was.model is not None and now.model is None) or elsewhere:
        served = evolve(served, model=was.model, grade=was.grade)
        reasons.append("the body doesn't say who served as the record does")
    if was.fingerprint is not None and now.fingerprint is None:
        served = evolve(served, fingerprint=was.fingerprint)
        reasons.append("the body states no fingerprint, and the record does")
    return served, reasons


def differences_of(attempt: Attempted, verdict: Verdict, judged: Judged) -> tuple[list[str], list[str]]:
    """What a reply says otherwise than the record; and what of it may be the headers' doing."""
    was, now = attempt.served, verdict.served
    found, by_headers = list[str](), list[str]()
    fault = None if attempt.fault in AFTER_DECODING else attempt.fault
    if fault not in (verdict.fault, FaultKind.CANCELLED):
        if fault in _BY_MEDIA_TYPE and (attempt.status or 0) < 400:
            return [], [f"it was refused as {fault}, which may rest on its media type"]
        if fault == FaultKind.SERVED_MODEL_MISMATCH and not judged.pinned:
            by_headers.append("the pattern of its pin isn't one of today's configuration, so it isn't run")
        elif reason := _by_headers(attempt.status or 0, fault, verdict.fault, judged.provider):
            by_headers.append(reason)
        else:
            found.append(f"fault: {_word(fault)} then, {_word(verdict.fault)} now")
    told = {
        "served model": (was.model, now.model and provider_text(now.model)),
        "grade": (was.grade.value, now.grade.value),
        "fingerprint": (was.fingerprint, now.fingerprint and provider_text(now.fingerprint)),
    }
    found += [f"{name}: {_word(one)} then, {_word(other)} now" for name, (one, other) in told.items() if one != other]
    used, uses = _used(attempt.tokens), _used(verdict.tokens)
    if used is not None and uses is None:
        by_headers.append("the body doesn't say what was used as the record does")
    elif used != uses:
        found.append(f"tokens (in, out): {used} then, {uses} now")
    return found, by_headers


def _used(tokens: Tokens | None) -> tuple[int | None, int | None] | None:
    return None if tokens is None or tokens == Tokens() else (tokens.input, tokens.output)


def _by_headers(status: int, was: str | None, now: str | None, provider: str) -> str:
    if status == 503 and {was, now} == _BY_A_HINT:
        return "whether it said when to come back"
    if was is not None and status >= 400 and provider in _FAILS_IN_HEADERS:
        return f"the error's name ({was}) may have stood in a header"
    return ""


def excuses_for(attempt: Attempted, judged: Judged) -> list[str]:
    """Why a reply may be read otherwise than it was."""
    found: list[str] = []
    if attempt.adapter_version != judged.version:
        found.append(f"the adapter has another version: {attempt.adapter_version} then, {judged.version} now")
    if judged.elsewhere:
        found.append("an option of it came from the environment or a file, so it isn't on record")
    return found


def _word(value: str | None) -> str:
    return "none" if value is None else f'"{value}"'


def kept_of(response: bytes, contract: Contract[Any, Any]) -> bytes:
    """What of a response stands on record."""
    return response if contract.audit is None else contract.audit.response.kept(response)


def same_value(was: bytes, now: bytes, read: Callable[[bytes], object]) -> bool:
    """Do two texts say the same, as their type reads them? A set of texts is written in another order by each process.

    What the type holds for equal must hold the same parts besides: to Python 1 is true.
    """
    if was == now:
        return True
    try:
        return _unordered(json.loads(was)) == _unordered(json.loads(now)) and bool(read(was) == read(now))
    except (Exception, SystemExit):  # the application's own validators and comparisons
        return False


def _unordered(value: object) -> str:
    if isinstance(value, list):
        return f"[{','.join(sorted(map(_unordered, cast('list[object]', value))))}]"
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return f"{{{','.join(sorted(f'{json.dumps(name)}:{_unordered(each)}' for name, each in table.items()))}}}"
    return json.dumps(value)


def in_doubt(was: bytes, now: bytes, contract: Contract[Any, Any]) -> list[str]:
    """Why nobody can tell whether a response is the recorded one: only whole ones are read by their type."""
    if contract.audit is None or not contract.audit.response.omitted:
        return []
    kept = kept_of(now, contract)
    order = "only the order of something in it is another, and a part of it is on no record (`Audit.omitted`)"
    return [order] if was != kept and same_value(was, kept, lambda _: None) else []


def other(was: bytes, now: bytes, contract: Contract[Any, Any], request: object) -> str:
    """How a response differs from the recorded one, without its content; empty where it doesn't."""
    now = kept_of(now, contract)
    if same_value(was, now, lambda text: contract.read_written(text, request)):
        return ""
    try:
        before, after = (cast("object", json.loads(each)) for each in (was, now))
    except (ValueError, RecursionError):
        return "another response"
    if not isinstance(before, dict) or not isinstance(after, dict):
        return "another response"
    one, other = cast("dict[str, object]", before), cast("dict[str, object]", after)
    names = [name for name in {**one, **other} if name not in one or name not in other or one[name] != other[name]]
    told = [name if name in contract.field_names else "…" for name in names]
    return "another response, at " + ", ".join(sorted(set(told))) if told else "the same response in other bytes"
