"""A prompt in no provider's dialect, and the digest of what every request shares."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from failsoft import Message, Prompt


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
