"""What came of a replay: one result for each step, and for the whole the worst of them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from types import MappingProxyType

from attrs import frozen


class Result(StrEnum):
    """How a step compares with the record."""

    SAME = "same"
    DIFFERS = "differs"
    NOT_REPLAYABLE = "not replayable"


EXIT = MappingProxyType({Result.SAME: 0, Result.DIFFERS: 1, Result.NOT_REPLAYABLE: 2})
"""The exit code that each result stands for."""

STEPS = MappingProxyType(
    {
        "call": "the records of the call: are they there, whole, and has it an end that gave an answer?",
        "request": "does today's request type read the recorded request, and write the same, by its bytes or by its value?",
        "prompt": "is the prompt for the recorded request the recorded one (of an attempt: the repair's)?",
        "decode": "does a stored reply say the same: served name, grade and fingerprint, fault, tokens?",
        "schema": "does its answer fit the response type as it did, and give the recorded response?",
        "accept": "does the acceptance rule say to it what it said?",
        "fallback": "does the fallback give the recorded response to the recorded request?",
    }
)
"""Every step, in order, with the question that it answers."""


@frozen
class Step:
    """One step's result.

    Args:
        step: one of `STEPS`.
        result: how it compares.
        reason: why, as a sentence's end; empty where it's the same and there's nothing to add.
        attempt: the attempt's number, where it's about one.
        adapter: that attempt's adapter.
    """

    step: str
    result: Result
    reason: str = ""
    attempt: int | None = None
    adapter: str = ""


@frozen
class Replayed:
    """What came of one call.

    Args:
        index: the place of the record of its start; None where that's not known.
        ts: that record's own time; empty likewise.
        capability: its name; empty likewise.
        steps: in order.
        notes: what else is to be known: sentences that change no result.
        fallback_says: what the fallback says today of a call that it didn't answer, as JSON; None: nothing.
    """

    call_id: str
    index: int | None = None
    ts: str = ""
    capability: str = ""
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    fallback_says: str | None = None

    @property
    def result(self) -> Result:
        """The worst of its steps."""
        return worst(each.result for each in self.steps)


def worst(results: Iterable[Result]) -> Result:
    """A difference, else what couldn't be replayed, else the same; of nothing: not replayable."""
    found = set(results)
    if Result.DIFFERS in found:
        return Result.DIFFERS
    return Result.SAME if found == {Result.SAME} else Result.NOT_REPLAYABLE
