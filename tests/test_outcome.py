"""What the application gets, and whom a pin admits."""

from __future__ import annotations

import attrs
import pytest
from pydantic import ValidationError

from failsoft import Outcome, Referral
from failsoft.errors import ConfigurationError, FailsoftError, FallbackFailed
from failsoft.outcome import PassedOver, Pin, Source


class TestAPin:
    def test_expects_what_it_asks_for(self) -> None:
        assert Pin("m-1").admits("m-1")
        assert not Pin("m-1").admits("m-10")

    def test_may_expect_other_names(self) -> None:
        pin = Pin("m", ("m-1", "m-2"))
        assert pin.admits("m-2")
        assert not pin.admits("m")

    def test_may_expect_a_pattern_that_the_whole_name_matches(self) -> None:
        pin = Pin("m", (), r"m-\d")
        assert pin.admits("m-1")
        assert not pin.admits("m-10")


class TestAnOutcome:
    @pytest.mark.parametrize(("kind", "by_ai"), [("adapter", True), ("frozen", True), ("fallback", False)])
    def test_says_whether_ai_answered(self, kind: str, by_ai: bool) -> None:
        assert Outcome(1, Source(kind, "x"), not by_ai, "id").by_ai is by_ai  # type: ignore[arg-type]

    def test_never_changes(self) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            Outcome(1, Source("fallback", "x"), True, "id").value = 2  # type: ignore[misc]


def test_what_was_passed_over_says_why() -> None:
    assert str(PassedOver("gpt", "open")) == "gpt: open"
    assert str(PassedOver("gpt", "blocked", detail="by jdoe")) == "gpt: blocked (by jdoe)"


def test_a_referral_is_a_reason_and_nothing_else() -> None:
    with pytest.raises(ValidationError):
        Referral(reason="r", more=1)  # type: ignore[call-arg]


class TestErrors:
    def test_one_problem_of_a_configuration(self) -> None:
        error = ConfigurationError("adapters.a: wrong")
        assert error.problems == ("adapters.a: wrong",)
        assert str(error) == "1 problem to mend:\n  - adapters.a: wrong"

    def test_several_problems_stand_in_one_error(self) -> None:
        assert str(ConfigurationError(["a", "b"])) == "2 problems to mend:\n  - a\n  - b"

    def test_a_failed_fallback_says_why_it_was_asked(self) -> None:
        error = FallbackFailed("grade-item", "KeyError()", [PassedOver("gpt", "open")])
        assert str(error) == "grade-item: the fallback failed: KeyError() (asked because: gpt: open)"
        assert str(FallbackFailed("grade-item", "KeyError()")) == "grade-item: the fallback failed: KeyError()"

    def test_all_are_failsofts(self) -> None:
        assert issubclass(ConfigurationError, FailsoftError)
        assert issubclass(FallbackFailed, FailsoftError)
