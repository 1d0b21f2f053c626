"""What a capability declares of its reviews, and who is in a sample."""

from __future__ import annotations

import functools
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft import Capability, ConfigurationError, Isolation, Outcome, Required, capability
from failsoft.core.contract import Contract
from failsoft.outcome import Source
from failsoft.review import by_ai, degraded, sampled

CALL_IDS = st.uuids().map(str)
SHARES = st.floats(0, 1)
BY_AI = Outcome(5, Source("adapter", "gpt", 1), False, "c")
BY_RULE = Outcome(5, Source("fallback", "rules"), True, "c")


def risky(request: Any, outcome: Outcome[Any]) -> bool:
    return True


class Callable:
    def __call__(self, request: Any, outcome: Outcome[Any]) -> bool:
        return True


def declare(review: Any) -> type[Capability[str, int]]:
    class Rate(Capability[str, int]):
        """How good?"""

        def fallback(self, request: str) -> int:
            return 0

    return type("Rate", (Rate,), {"review": review})


def test_without_a_declaration_nobody_has_to_look() -> None:
    assert declare(None).review is None
    assert Capability.review is None


@pytest.mark.parametrize("review", [Required(), Required(when=risky), Required(sample=0.05), Required(sample=1)])
def test_a_declaration_stands_in_the_class(review: Required) -> None:
    assert declare(review).review is review


@pytest.mark.parametrize("review", [Required, True, "always", 0.05, risky])
def test_what_is_no_declaration_is_refused_when_the_class_is_created(review: Any) -> None:
    with pytest.raises(TypeError, match=r"Rate\.review must be Required\(…\)"):
        declare(review)


async def waits(request: Any, outcome: Any) -> bool:
    return True


async def streams(request: Any, outcome: Any) -> Any:
    yield True


def yields(request: Any, outcome: Any) -> Any:
    yield True


class Waits:
    async def __call__(self, request: Any, outcome: Any) -> bool:
        return True


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        (True, "must be a function"),
        ("risky", "must be a function"),
        (lambda request: True, "exactly two arguments"),
        (lambda a, b, c: True, "exactly two arguments"),
        (waits, "plain `def`"),
        (streams, "plain `def`"),
        (yields, "plain `def`"),
        (Waits(), "plain `def`"),
    ],
)
def test_a_condition_is_a_plain_function_of_request_and_outcome(when: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        Required(when=when)


@pytest.mark.parametrize("when", [risky, Callable(), functools.partial(risky), lambda request, outcome: False])
def test_whatever_is_called_so_is_one(when: Any) -> None:
    assert Required(when=when).when is when


@pytest.mark.parametrize("sample", [0, 0.0, -0.1, 1.01, 5, float("nan"), float("inf"), True, "0.05", b"1"])
def test_a_share_is_more_than_nothing_and_at_most_all(sample: Any) -> None:
    with pytest.raises(TypeError, match=r"Required\(sample=…\)"):
        Required(sample=sample)


class Own(Capability[str, int]):
    def __init__(self, review: Any) -> None:
        self.review = review

    def fallback(self, request: str) -> int:
        return 0


def test_an_instance_may_have_its_own() -> None:
    assert Contract(Own(Required(sample=0.5))).review == Required(sample=0.5)
    with pytest.raises(ConfigurationError, match=r"own\.review must be Required"):
        Isolation({"ledger": {"url": "none"}}, capabilities=[Own("always")])


def test_an_instances_own_version_is_checked_as_a_classs() -> None:
    class Labelled(Capability[str, int]):
        def __init__(self, version: Any) -> None:
            self.version = version  # type: ignore[misc]

        def fallback(self, request: str) -> int:
            return 0

    assert Contract(Labelled("7")).version == "7"
    with pytest.raises(ConfigurationError, match=r"labelled\.version is text, not int"):
        Isolation({"ledger": {"url": "none"}}, capabilities=[Labelled(7)])


def test_the_short_form_takes_it_too() -> None:
    @capability(review=Required(sample=0.5))
    def rate(text: str) -> int:
        return 0

    @capability
    def grade(text: str) -> int:
        return 0

    assert rate.review == Required(sample=0.5)
    assert grade.review is None
    with pytest.raises(TypeError, match=r"grade\.review must be Required"):
        capability(review="no")(grade.fallback.__self__._body)  # type: ignore[call-overload]


def test_the_conditions_at_hand() -> None:
    assert (by_ai("", BY_AI), by_ai("", BY_RULE)) == (True, False)
    assert (degraded("", BY_AI), degraded("", BY_RULE)) == (False, True)


def test_the_lock_has_it_in_words() -> None:
    assert str(Required()) == "always"
    assert str(Required(sample=1)) == "sample 1.0"
    assert str(Required(when=risky, sample=0.05)) == f"when {__name__}:risky, sample 0.05"
    assert str(Required(when=Callable())) == f"when {__name__}:Callable"
    assert str(Required(when=functools.partial(risky))) == "when functools:partial"


# --- samples


def test_who_is_in_a_sample_is_so_for_ever() -> None:
    """The rule is published: an auditor works it out. A change of it would make every older record a lie."""
    ids = [str(uuid.UUID(int=each)) for each in range(80)]
    assert [each for each, call_id in enumerate(ids) if sampled(call_id, 0.1)] == [47, 57, 66, 78]  # by sha256sum


@given(CALL_IDS, SHARES, SHARES)
def test_who_is_in_a_sample_is_in_every_larger_one(call_id: str, one: float, other: float) -> None:
    if sampled(call_id, min(one, other)):
        assert sampled(call_id, max(one, other))


@given(CALL_IDS)
def test_all_are_in_the_whole_and_nobody_in_nothing(call_id: str) -> None:
    assert sampled(call_id, 1)
    assert not sampled(call_id, 0)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_a_sample_is_as_large_as_it_says(share: float) -> None:
    found = sum(sampled(str(uuid.UUID(int=each)), share) for each in range(20_000))
    assert abs(found - 20_000 * share) < 4 * (20_000 * share * (1 - share)) ** 0.5
