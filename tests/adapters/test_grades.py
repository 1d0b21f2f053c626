"""How far a callable adapter's answers can be believed: in a configuration, in code, and where nothing could be enough."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from failsoft import Capability, ConfigurationError, Isolation
from failsoft.config_read import read_mapping
from failsoft.lockfile.adapter_facts import locked_adapter
from failsoft.lockfile.compare import differences
from failsoft.lockfile.document import Lock
from failsoft.outcome import Grade, Served

HERE = "tests.adapters.test_grades"


class Rating(BaseModel):
    stars: int


class RateItem(Capability[str, Rating]):
    """How many stars?"""

    def fallback(self, request: str) -> Rating:
        return Rating(stars=0)


def asks(ask: Any) -> Any:
    return {"stars": 3}


def who(result: Any) -> str:
    return "m-1"


def table(**keys: Any) -> dict[str, Any]:
    return {"provider": "callable", "model": "m-1", "call": f"{HERE}:asks", **keys}


def made(**keys: Any) -> Isolation:
    config = {
        "ledger": {"url": "none"},
        "adapters": {"own": table(**keys)},
        "capabilities": {"rate-item": {"adapters": ["own"]}},
    }
    return Isolation(config, capabilities=[RateItem])


def in_code(**keys: Any) -> Isolation:
    config = {"ledger": {"url": "none"}, "capabilities": {"rate-item": {"adapters": ["own"]}}}
    isolation = Isolation(config, capabilities=[RateItem])
    isolation.adapter("own", model="m-1", **keys)(asks)
    return isolation


def problems(make: Any, **keys: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        make(**keys)
    return list(caught.value.problems)


@pytest.mark.parametrize("grade", ["provider", "gateway", "echoed", "unknown", None])
def test_a_table_says_how_far_a_name_can_be_believed(grade: str | None) -> None:
    with made(served_by=f"{HERE}:who", **({} if grade is None else {"grade": grade})) as isolation:
        outcome = isolation[RateItem].sync("bolt")
    assert outcome.served == Served("m-1", Grade[(grade or "unknown").upper()])


@pytest.mark.parametrize("least", ["provider", "gateway", "echoed"])
@pytest.mark.parametrize("grade", ["provider", "gateway", "echoed"])
def test_what_is_demanded_is_met_or_refused_at_once(grade: str, least: str) -> None:
    enough = Grade[grade.upper()].is_worth(Grade[least.upper()])
    for make, served in ((made, {"served_by": f"{HERE}:who"}), (in_code, {"served": who})):
        if enough:
            with make(**served, grade=grade, require_grade=least) as isolation:
                assert isolation[RateItem].sync("bolt").by_ai
        else:
            assert problems(make, **served, grade=grade, require_grade=least) == [
                "adapters.own.require_grade: no answer would do: the grade of what served_by (in code: served) says is "
                f'"{grade}": write grade = "{least}" if it can be believed that far'
            ]


@pytest.mark.parametrize(("make", "served"), [(made, {"served_by": f"{HERE}:who"}), (in_code, {"served": who})])
def test_no_grade_is_never_enough(make: Any, served: dict[str, Any]) -> None:
    (problem,) = problems(make, **served, require_grade="echoed")
    assert problem.startswith("adapters.own.require_grade: no answer would do: the grade of")
    assert 'is "unknown": write grade = "echoed" if it can be believed that far' in problem


@pytest.mark.parametrize("make", [made, in_code])
def test_where_nothing_says_who_answered_none_is_enough(make: Any) -> None:
    assert problems(make, require_grade="gateway") == [
        "adapters.own.require_grade: no answer would do: nothing says which model answered: name what does by served_by "
        '(in code: served), and write grade = "gateway"'
    ]


@pytest.mark.parametrize("make", [made, in_code])
def test_a_grade_of_nothing_is_refused(make: Any) -> None:
    assert problems(make, grade="echoed") == [
        "adapters.own.grade: belongs to served_by (in code: served), and there's none that says who answered"
    ]
    with make(grade="unknown") as isolation:
        assert isolation[RateItem].sync("bolt").by_ai


@pytest.mark.parametrize(
    "keys", [{"grade": "echoes", "served_by": f"{HERE}:who"}, {"grade": "echoed", "served_by": "x"}]
)
def test_of_a_key_that_is_wrong_itself_no_more_is_told(keys: dict[str, Any]) -> None:
    (problem,) = problems(made, **keys, require_grade="echoed")
    assert problem.startswith(("adapters.own.grade: ", "adapters.own.served_by: "))


def test_it_hides_no_other_problem() -> None:
    found = problems(made, require_grade="echoed", call=f"{HERE}:nowhere")
    assert [each.partition(": ")[0] for each in found] == ["adapters.own.call", "adapters.own.require_grade"]


def test_a_provider_s_own_replies_say_what_they_are_worth() -> None:
    keys = {"provider": "openai-compatible", "base_url": "http://127.0.0.1:9", "model": "m", "grade": "echoed"}
    assert read_mapping({"adapters": {"a": keys}}).problems == [
        'adapters.a.grade: belongs to provider = "callable" only'
    ]


def test_the_lock_sees_it() -> None:
    for make, served in ((made, {"served_by": f"{HERE}:who"}), (in_code, {"served": who})):
        locks = []
        for grade, told in (("gateway", "gateway"), ("unknown", None)):
            isolation = make(**served, grade=grade)
            config = read_mapping({"adapters": {}}).config
            own = locked_adapter("own", isolation._adapters["own"], config, [])
            assert own.grade == told
            locks.append(Lock(failsoft="0", pydantic="2", adapters={"own": own}))
        assert [str(each) for each in differences(*locks)] == ["adapter own: its grade: gateway became none"]
