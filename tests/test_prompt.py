"""A prompt in no provider's dialect, and the digest of what every request shares."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft import Message, Prompt, Sampling


def test_the_commonest_prompt_is_one_users_text() -> None:
    assert Prompt.of("hello") == Prompt((Message("user", "hello"),))


def test_a_system_text_stands_before_it() -> None:
    assert Prompt.of("hello", system="be brief") == Prompt((Message("system", "be brief"), Message("user", "hello")))


def test_a_system_message_is_a_template_unless_it_says_otherwise() -> None:
    assert Message("system", "x").template
    assert not Message("user", "x").template
    assert not Message("system", "x", template=False).template


@given(st.text(), st.text())
def test_the_digest_knows_nothing_of_the_request(one: str, other: str) -> None:
    assert Prompt.of(one, system="s").template_digest == Prompt.of(other, system="s").template_digest


@given(st.text(), st.text())
def test_the_digest_changes_exactly_with_the_wording(one: str, other: str) -> None:
    same = Prompt.of("", system=one).template_digest == Prompt.of("", system=other).template_digest
    assert same == (one == other)


def test_the_digest_tells_one_message_from_two_and_their_roles_apart() -> None:
    digests = {
        Prompt(()).template_digest,
        Prompt((Message("system", "ab"),)).template_digest,
        Prompt((Message("system", "a"), Message("system", "b"))).template_digest,
        Prompt((Message("user", "ab", template=True),)).template_digest,
    }
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", each) for each in (-0.1, 2.1, float("nan"), float("inf"), "0", True)),
        *(("seed", each) for each in (1.5, "1", True)),
        *(("max_tokens", each) for each in (0, -1, 1.0, "5", None, True)),
        *(("stop", each) for each in (("",), ("a",) * 5, "abc", ["a"], (1,), None)),
    ],
)
def test_sampling_out_of_its_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        Sampling(**{name: value})


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"temperature": 2.0},
        {"temperature": None, "seed": None},
        {"seed": -5},
        {"max_tokens": 1},
        {"stop": ("a", "b", "c", "d")},
    ],
)
def test_sampling_takes_what_it_says(fields: dict[str, Any]) -> None:
    made = Sampling(**fields)
    assert {name: getattr(made, name) for name in fields} == fields
