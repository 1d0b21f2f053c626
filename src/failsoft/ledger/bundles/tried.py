"""Which AIs were asked for an answer, and what became of it: in sentences, and in a table for whoever looks closer.

Where a call's program was gone before it put that on record, nobody knows, and that's what is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from failsoft.ledger.bundles.faults import failed
from failsoft.ledger.bundles.markup import Markup, tag
from failsoft.ledger.bundles.shown import table
from failsoft.ledger.bundles.told import Told
from failsoft.ledger.bundles.wording import GONE, NOT_USED, duration, passed_over, spelled

Fields = dict[str, Any]

_NONE_ASKED = "No AI was asked."
_NOT_KNOWN = "Whether an AI was asked isn't on record"
_UNUSED = "{who} was asked and answered; its answer wasn't used{why}."
_LATE = "it was put on record too late"
_READ_NO_FURTHER = "whoever asked read no further"
_WITHDRAWN = "the caller withdrew before it had answered"


def unknown(told: Told) -> list[Markup]:
    """Of a call that didn't tell whom it asked: that this isn't known, and whom it could have asked; else nothing."""
    if told.completed is not None:
        return []
    plan = [tag("p", f"By its plan it could have asked: {', '.join(told.plan)}.")] if told.plan else []
    why = f" {GONE}" if told.end.kind == "call.orphaned" else ""
    return [tag("p", f"{_NOT_KNOWN}.{why}"), *plan]


def omitted(told: Told) -> str:
    """Of attempts that the record counts and doesn't tell: that it doesn't; empty where it tells all."""
    count = 0 if told.completed is None else told.completed.fields.get("attempts_omitted", 0)
    what, were = ("attempt", "it was") if count == 1 else ("attempts", "they were")
    return f"Of {count} {what} more, the record says only that {were} made." if count else ""


def tried(told: Told) -> Iterator[str]:
    """What became of those that were asked, or were to be, and whose answer it isn't: each sentence once, and how often."""
    fields = {} if told.completed is None else told.completed.fields
    passed = [(each["adapter"], each["reason"]) for each in fields.get("passed_over", [])]
    unused = {each["adapter"]: "" for each in told.attempts if _is_unused(told, each)}
    if told.end.kind == "call.amended":
        unused = dict.fromkeys(unused, f": {_LATE}")
    unused |= {name: f": {NOT_USED[reason]}" for name, reason in passed if name in unused and reason in NOT_USED}
    left = _left(told)
    said = Counter(
        failed(each, left, observed=told.observed)
        if "fault" in each
        else _UNUSED.format(who=each["adapter"], why=unused[each["adapter"]])
        for each in told.attempts
        if "fault" in each or _is_unused(told, each)
    )
    for sentence, times in said.items():
        yield sentence if times == 1 else f"{sentence.removesuffix('.')} ({times} times)."
    if said_only := omitted(told):
        yield said_only
    for name, reason in passed:
        if name not in unused or reason not in NOT_USED:
            again = " again" if any(each["adapter"] == name for each in told.attempts) else ""
            yield f"{name} wasn't asked{again}, or not heard: {passed_over(reason)}."


def _left(told: Told) -> str:
    """Why it broke attempts off: its caller went, or another, asked beside them, answered. Empty where that isn't known."""
    if told.observed:
        return _READ_NO_FURTHER
    if told.completed is not None and told.completed.fields["outcome"] == "cancelled":
        return _WITHDRAWN
    hedged = any(each.get("why") == "hedge" for each in told.attempts)
    return NOT_USED["hedge_lost"] if hedged and any("fault" not in each for each in told.attempts) else ""


def _is_unused(told: Told, attempt: Fields) -> bool:
    """Was there an answer that isn't the one which the caller got?"""
    return "fault" not in attempt and attempt["n"] != told.answering.get("n")


def attempts_table(told: Told) -> list[Markup]:
    """What was tried, attempt by attempt."""
    untold = [tag("p", said, cls="withheld")] if (said := omitted(told)) else []
    if not told.attempts:
        return unknown(told) or untold or [tag("p", _NONE_ASKED)]
    head = ("No.", "connection", "asked for", "reply from", "believed", "how it ended", "request number", "time")
    rows = [
        (
            each["n"],
            each["adapter"],
            each["pin"]["model"],
            each.get("served", {}).get("model", "–"),
            each.get("served", {}).get("grade", "–"),
            spelled(each["fault"])
            if "fault" in each
            else "answered, not used"
            if _is_unused(told, each)
            else "answer used",
            each.get("served", {}).get("request_id", "–"),
            duration(each["us"]),
        )
        for each in told.attempts
    ]
    return [table(head, rows), *untold]
