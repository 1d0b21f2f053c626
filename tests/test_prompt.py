"""A prompt in no provider's dialect, and the digest of what every request shares."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft import Document, Image, Message, Prompt, Sampling


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


# --- images and documents ---------------------------------------------------------------------------------------------

PNG = Image(b"\x89PNG", "image/png")
PDF = Document(b"%PDF", "application/pdf", "spec sheet")


def test_a_message_may_hold_texts_images_and_documents_in_order() -> None:
    message = Message("user", ("look:", PNG, PDF, "well?"))
    assert message.text == "look:\nwell?"
    assert message.parts == ("look:", PNG, PDF, "well?")
    assert message.size == len("look:") + 4 + 4 + len("well?")
    assert (Message("user", "é").text, Message("user", "é").parts, Message("user", "é").size) == ("é", ("é",), 2)


def test_what_was_shown_stands_in_the_evidence_byte_by_byte() -> None:
    told = json.loads(Prompt((Message("user", ("look:", PNG, PDF)),)).to_json())
    assert told == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look:"},
                {"type": "image", "media_type": "image/png", "data": "iVBORw=="},
                {"type": "document", "name": "spec sheet", "media_type": "application/pdf", "data": "JVBERg=="},
            ],
        }
    ]


def test_a_templates_image_counts_in_its_digest() -> None:
    one, other = (Prompt((Message("system", ("x", Image(data, "image/png"))),)) for data in (b"1", b"2"))
    assert one.template_digest != other.template_digest


@pytest.mark.parametrize("content", [(5,), ("x", None), [b"bytes"], (Prompt(()),)])
def test_anything_else_in_a_message_is_refused_when_it_is_told(content: Any) -> None:
    with pytest.raises(ValueError, match="texts, images and documents, not"):
        Prompt((Message("user", content),)).to_json()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Image(b"", "image/png"), "data"),
        (lambda: Image("text", "image/png"), "data"),  # type: ignore[arg-type]
        (lambda: Image(b"x", "image/tiff"), "media_type"),
        (lambda: Image(b"x", ["image/png"]), "media_type"),  # type: ignore[arg-type]
        (lambda: Document(b"x", "image/png"), "media_type"),
        (lambda: Document(b"x", "PDF"), "media_type"),
        (lambda: Document(b"x", "application/pdf\n"), "media_type"),
        (lambda: Document(bytearray(b"x"), "application/pdf"), "data"),  # type: ignore[arg-type]
        (lambda: Document(b"x", "application/pdf", ""), "name"),
        (lambda: Document(b"x", "application/pdf", "../x"), "name"),
        (lambda: Document(b"x", "application/pdf", "x" * 101), "name"),
        (lambda: Document(b"x", "application/pdf", "x\n"), "name"),
    ],
)
def test_an_image_or_document_that_no_provider_takes_is_refused_at_once(make: Any, named: str) -> None:
    with pytest.raises(ValueError, match=f"{named} must be"):
        make()


def test_no_repr_shows_their_bytes() -> None:
    assert "PNG" not in repr(PNG).replace("image/png", "")
    assert "%PDF" not in repr(PDF)
