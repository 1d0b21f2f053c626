"""What must hold of the records in which people have a part, apart from what must hold of all.

Rules:

1. Whether a call's answer is in a sample follows from its identifier: a record that says otherwise was made up.
2. A review, an override or an appeal names an earlier record of its own call that says what the caller got, and at most
   one earlier act of a person about that call.
3. What was shown is the response that this record commits to, where it commits to one.
4. A decision is one of the closed list; a new value is there exactly if it's ``changed``; an appeal decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from failsoft.ledger.format import canonical
from failsoft.ledger.records.person_draft import CHANGED, KINDS, REASON
from failsoft.ledger.records.record import Fields
from failsoft.ledger.records.schema import Kind
from failsoft.review import DECISIONS, sampled

Report = Callable[[str], None]

ACTS: Final = frozenset(KINDS.values())

EARLIER: Final = "SELECT type, leaf, body FROM ledger_record WHERE call_id = ? AND seq < ? ORDER BY seq"
"""Of a call: what came before a record."""

ANSWERS: Final = (Kind.CALL_COMPLETED, Kind.CALL_AMENDED)
_RELATIONS: Final = {"completed": Kind.CALL_COMPLETED.value, "amended": Kind.CALL_AMENDED.value}


def check_need(fields: Fields, problem: Report) -> None:
    """What a call's end says of its review."""
    need = fields["review"]
    if (need.get("status") == "pending") is not need["required"]:
        problem("it says of its review that it's required, and not pending, or the other way round")
    if need["policy"] == "sample":
        share = float(need["sample"])
        if not 0 < share <= 1 or sampled(fields["call_id"], share) is not need["required"]:
            problem("whether its call is in the sample doesn't follow from the call's identifier")


def check_act(
    kind: Kind,
    fields: Fields,
    earlier: Iterable[tuple[Any, ...]],
    unless_pruned: Callable[[str, str], None],
    problem: Report,
) -> None:
    """A review, an override or an appeal, against its call's records before it: type, leaf, body of each.

    Where these were pruned, it came late: `unless_pruned` is told a leaf, as hexadecimal digits, and what's wrong otherwise.
    """
    refs, shown = fields["refs"], fields.get("shown")
    named = [(type_, refs[relation]) for relation, type_ in _RELATIONS.items() if relation in refs]
    answers: list[bytes | None] = []
    acts = set[str]()
    for type_, leaf, body in earlier:
        if [(type_, leaf.hex())] == named:
            answers.append(body)
        if type_ in ACTS:
            acts.add(leaf.hex())
    if not answers:
        what = "it's about an answer that isn't its call's: it was moved, or the answer was exchanged"
        if len(named) == 1:
            unless_pruned(named[0][1], what)
        else:
            problem(what)
    elif answers[0] is not None and shown != _response(canonical.read(answers[0])):
        problem("what it says was shown isn't what its call answered")
    if "former" in refs and refs["former"] not in acts:
        unless_pruned(refs["former"], "it names a former review, override or appeal that isn't its call's")
    _decision(kind, fields, problem)


def _response(fields: Fields) -> Fields | None:
    """The commitment to a call's response."""
    return next((each for each in fields.get("commitments", ()) if each["path"] == "response"), None)


def _decision(kind: Kind, fields: Fields, problem: Report) -> None:
    paths = {each["path"] for each in fields["commitments"]}
    decision = fields.get("decision")
    wanted: tuple[str | None, ...] = (None,) if kind is Kind.APPEAL_RECORDED else DECISIONS
    if decision not in wanted:
        problem("its decision isn't one that a record of its type can have")
    if REASON not in paths or (CHANGED in paths) is not (decision == "changed"):
        problem("it lacks a reason, or it has a new value without the decision for one, or the other way round")
