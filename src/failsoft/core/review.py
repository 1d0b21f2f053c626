"""Whether a call's answer is to be reviewed: decided before its end is put on record, so that the record says so.

`failsoft.review` has the rules. The application's own condition is handed the request and the outcome as the caller will
get it; a copy where they could be changed.
"""

from __future__ import annotations

import copy
from typing import Any

from attrs import evolve

from failsoft.core.asking import Asking
from failsoft.outcome import Outcome
from failsoft.review import Required, ReviewNeed, sampled


def review_need(declared: Required, asking: Asking[Any, Any], outcome: Outcome[Any], *, trial: bool) -> ReviewNeed:
    """Is this outcome to be reviewed, and by which rule?

    Args:
        declared: by the capability.
        asking: the call.
        outcome: what the caller gets.
        trial: a breaker's trial: nobody gets it.
    """
    if trial:
        return ReviewNeed(False, "trial")
    if declared.when is not None:
        try:
            if _holds(declared, asking, outcome):
                return ReviewNeed(True, "when")
        except Exception as error:  # whatever the application's code raises: rather one review too many
            asking.capability_bug("review", error)
            return ReviewNeed(True, "when", error=type(error).__name__)
    elif declared.sample is None:
        return ReviewNeed(True, "always")
    if declared.sample is None:
        return ReviewNeed(False, "when")
    return ReviewNeed(sampled(asking.call_id, declared.sample), "sample", declared.sample)


def _holds(declared: Required, asking: Asking[Any, Any], outcome: Outcome[Any]) -> bool:
    assert declared.when is not None
    if not asking.contract.answer_frozen:
        outcome = evolve(outcome, value=copy.deepcopy(outcome.value))
    said: object = declared.when(asking.snapshot.lend(), outcome)
    if type(said) is not bool:  # a text such as "no" would count as yes, and nothing as no
        raise TypeError("a review's condition returns True or False")
    return said
