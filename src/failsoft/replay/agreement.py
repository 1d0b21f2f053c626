"""Recorded questions put again to an adapter of today, and how far its answers agree with the recorded ones.

Theory of operation. A question is a recorded request with the answer that its caller really got, whoever gave it. Somebody
else asks (`Ask`): here is only what's asked, and what follows from the answers. Answers agree if they're the same value as
JSON; an answer with free text in it will hardly ever be, so agreement is also counted for each top-level field.

The share of agreement has Wilson's 95 % score interval. It holds for calls drawn alike from the same kind of traffic: it
says nothing of other questions, and nothing of who is right.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, cast

from attrs import define, field, frozen

from failsoft.ledger.read import Reader
from failsoft.replay.recorded import NOT_KEPT, Damaged, Recorded, recorded

_Z = 1.959963984540054  # the standard normal's 97.5 % point


class Agreement(StrEnum):
    """How a call's answer of today compares."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NO_ANSWER = "no answer"
    NOT_ASKED = "not asked"


@frozen
class Question:
    """A recorded request, and what its caller got.

    Args:
        call: all that's on record of it.
        request: its JSON bytes.
        response: the answer's.
    """

    call: Recorded
    request: bytes = field(repr=False)
    response: bytes = field(repr=False)


@frozen
class Unasked:
    """A call whose question can't be put again, and why."""

    call_id: str
    reason: str


@frozen
class Given:
    """What came of a question today.

    Args:
        call_id: of the new call; empty where there was none.
        response: the answer's JSON bytes; None: the adapter gave none.
        reason: why not.
        asked: was the adapter's turn come to? False: the question can't be put.
    """

    call_id: str = ""
    response: bytes | None = field(default=None, repr=False)
    reason: str = ""
    asked: bool = True


Ask = Callable[[Question], Given]


@frozen
class Compared:
    """One call's answers, then and now.

    Args:
        call_id: the recorded call.
        new_call_id: the call that asked again, as in the ledger of the configuration; empty: there was none.
        recorded: the recorded answer, as JSON; None: not asked.
        now: the answer of today, as JSON; None: there's none.
        at: the top-level fields that differ.
        reason: why there's no answer, or why it wasn't asked.
    """

    call_id: str
    result: Agreement
    new_call_id: str = ""
    recorded: str | None = None
    now: str | None = None
    at: tuple[str, ...] = ()
    reason: str = ""


def question(reader: Reader, call_id: str) -> Question | Unasked:
    """What a recorded call asked, and what its caller got.

    Raises:
        NoSuchCall: the ledger has no call with this identifier.
        LedgerInvalid: the ledger can't be read.
    """
    try:
        call = recorded(reader, call_id)
    except Damaged as error:
        return Unasked(call_id, str(error))
    got = call.got
    if call.redacted:
        return Unasked(
            call_id, "what looked like a credential was taken out of what's on record: it would be another one"
        )
    if call.request.data is None:
        return Unasked(call_id, f"its request {call.request.why}")
    if got is None or got.kind is None:
        return Unasked(call_id, "nobody was given an answer, so there's none to compare with")
    if got.response is None or got.response.data is None:
        return Unasked(call_id, f"its answer {NOT_KEPT if got.response is None else got.response.why}")
    return Question(call, call.request.data, got.response.data)


def put(questions: Iterable[Question | Unasked], ask: Ask) -> Iterator[Compared]:
    """Ask each, one after another, and compare. Raises what `ask` raises."""
    for each in questions:
        if isinstance(each, Unasked):
            yield Compared(each.call_id, Agreement.NOT_ASKED, reason=each.reason)
        else:
            yield _compared(each, ask(each))


def _compared(asked: Question, given: Given) -> Compared:
    call_id, was = asked.call.call_id, asked.response.decode("utf-8", "replace")
    if given.response is None:
        result = Agreement.NO_ANSWER if given.asked else Agreement.NOT_ASKED
        return Compared(call_id, result, given.call_id, was, reason=given.reason)
    before, after = _value(asked.response), _value(given.response)
    now = given.response.decode("utf-8", "replace")
    if _same(before, after):
        return Compared(call_id, Agreement.AGREES, given.call_id, was, now)
    return Compared(call_id, Agreement.DISAGREES, given.call_id, was, now, _differing(before, after))


def _value(text: bytes) -> object:
    """The JSON value; where it's none that can be written again, the bytes."""
    try:
        found: object = json.loads(text)
        json.dumps(found)
    except (ValueError, RecursionError):
        return text
    return found


def _same(one: object, other: object) -> bool:
    """The same as JSON, whatever the order of its keys: 1 isn't true."""
    return json.dumps(one, sort_keys=True, default=repr) == json.dumps(other, sort_keys=True, default=repr)


def _differing(before: object, after: object) -> tuple[str, ...]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ()
    one, other = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
    names = sorted({*one, *other})
    return tuple(each for each in names if each not in one or each not in other or not _same(one[each], other[each]))


# --- the whole --------------------------------------------------------------------------------------------------------


@define
class Tally:
    """How far answers agree, counted as they come."""

    counts: Counter[Agreement] = field(factory=Counter[Agreement])
    fields: Counter[str] = field(factory=Counter[str])
    """In how many answers each top-level field differs."""

    def add(self, compared: Compared) -> None:
        """One more."""
        self.counts[compared.result] += 1
        self.fields.update(compared.at)

    @property
    def answered(self) -> int:
        """How many were answered: what the share is of."""
        return self.counts[Agreement.AGREES] + self.counts[Agreement.DISAGREES]

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share of agreement; of no answers it's all that's possible."""
        return wilson(self.counts[Agreement.AGREES], self.answered)

    @property
    def exit_code(self) -> int:
        """0 all agree; 1 some don't; 2 some weren't answered or asked, or there were none."""
        if self.counts[Agreement.DISAGREES]:
            return 1
        return 0 if self.answered and self.answered == self.counts.total() else 2

    def document(self) -> Mapping[str, Any]:
        """For programs."""
        agrees, low, high = self.counts[Agreement.AGREES], *self.interval
        return MappingProxyType(
            {
                **{each.value.replace(" ", "_"): self.counts[each] for each in Agreement},
                "share": agrees / self.answered if self.answered else None,
                "low": low,
                "high": high,
                "fields_that_differ": dict(sorted(self.fields.items())),
            }
        )


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's score interval at 95 % of a share (E. B. Wilson, 1927).

    Args:
        hits: how many.
        of: of how many, at least `hits`.
    """
    if not of:
        return 0.0, 1.0
    share, square = hits / of, _Z * _Z
    centre = share + square / (2 * of)
    half = _Z * math.sqrt((share * (1 - share) + square / (4 * of)) / of)
    scale = 1 + square / of
    # At either end one bound is exact: rounding mustn't move it past the end.
    return (0.0 if hits == 0 else (centre - half) / scale), (1.0 if hits == of else (centre + half) / scale)
