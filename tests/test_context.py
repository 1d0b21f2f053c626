"""A context says for whom, for which case and with which labels; what it says is checked at once."""

from __future__ import annotations

import asyncio
import sys
import time
from enum import StrEnum
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import failsoft
from failsoft import Actor, Capability, Case, ConfigurationError, Isolation
from failsoft.context import CallContext, Trace, current_context, identifier, says_something
from failsoft.ledger.read import read


def test_outside_any_context_there_is_nothing() -> None:
    assert current_context() == CallContext()


def test_case_and_actor_may_be_text() -> None:
    with failsoft.context(case="SPE4A7", actor="jdoe", labels={"CUI"}) as inner:
        assert current_context() is inner
        assert inner == CallContext(Case("SPE4A7"), Actor("jdoe"), frozenset({"CUI"}))
    assert current_context() == CallContext()


def test_an_inner_context_adds_labels_and_replaces_what_it_names() -> None:
    with (
        failsoft.context(case="one", actor="jdoe", labels={"CUI"}),
        failsoft.context(actor=Actor("bot", "service", "jdoe"), labels="PII") as inner,
    ):
        assert inner == CallContext(Case("one"), Actor("bot", "service", "jdoe"), frozenset({"CUI", "PII"}))


def test_a_context_ends_when_its_block_raises() -> None:
    with pytest.raises(RuntimeError), failsoft.context(case="one"):
        raise RuntimeError
    assert current_context() == CallContext()


async def test_a_task_has_the_context_in_which_it_was_made() -> None:
    async def look() -> CallContext:
        await asyncio.sleep(0)
        return current_context()

    with failsoft.context(case="one"):
        task = asyncio.create_task(look())
    assert (await task).case == Case("one")


class TestADeadline:
    def test_is_a_moment_from_now_on(self) -> None:
        before = time.monotonic_ns()
        with failsoft.context(deadline="2s") as inner:
            assert inner.until is not None
            assert before + 2_000_000_000 <= inner.until <= time.monotonic_ns() + 2_000_000_000
            assert 0 < (inner.remaining() or 0) <= 2
        assert current_context().remaining() is None

    def test_is_only_ever_brought_forward(self) -> None:
        with failsoft.context(deadline=2) as outer:
            with failsoft.context(deadline="1h") as later:
                assert later.until == outer.until
            with failsoft.context(deadline="500ms") as sooner:
                assert (sooner.until or 0) < (outer.until or 0)
            with failsoft.context(case="one") as same:
                assert same.until == outer.until

    def test_that_has_passed_leaves_nothing(self) -> None:
        assert CallContext(until=0).remaining() == 0

    @pytest.mark.parametrize("wrong", ["soon", 0, -1, "25h", float("nan"), None.__class__])
    def test_that_is_none_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ConfigurationError, match="deadline"), failsoft.context(deadline=wrong):
            raise NotImplementedError


def test_identifiers_are_normalised() -> None:
    assert identifier("e\N{COMBINING ACUTE ACCENT}", "an id") == "é"


class Label(StrEnum):
    cui = "CUI"


def test_a_text_of_a_kind_of_its_own_is_the_text_that_it_is() -> None:
    """A StrEnum's stands in a record as any; its class stays where it is."""
    with failsoft.context(case=Case(Label.cui, Label.cui), actor=Label.cui, labels={Label.cui}) as inner:
        assert inner.case is not None
        assert inner.actor is not None
        for each in (inner.case.id, inner.case.kind, inner.actor.id, *inner.labels):
            assert (type(each), each) == (str, "CUI")


def test_a_label_that_is_named_often_is_one() -> None:
    with failsoft.context(labels=["CUI"] * 65 + ["SECRET"]) as inner:
        assert inner.labels == {"CUI", "SECRET"}


def test_labels_have_room_in_each_record() -> None:
    with (
        failsoft.context(labels=map(str, range(64))),
        failsoft.context(labels="0"),
        pytest.raises(ValueError, match="labels: at most 64 at once"),
        failsoft.context(labels="64"),
    ):
        raise NotImplementedError
    with pytest.raises(ValueError, match="labels: at most 64 at once"), failsoft.context(labels=map(str, count())):
        raise NotImplementedError


@pytest.mark.parametrize("case", ["T-17 ", "\u2003T-17", Case(" T-17")])
def test_a_case_that_only_a_space_tells_apart_is_refused(case: str | Case) -> None:
    with pytest.raises(ValueError, match="a case's id begins or ends with a space"), failsoft.context(case=case):
        raise NotImplementedError


@pytest.mark.parametrize("wrong", ["", " ", "\u3000 ", "x" * 129, "é" * 65, "a\nb", "a\u200bb", "\ud800"])
@pytest.mark.parametrize("where", ["case", "actor", "labels"])
def test_an_identifier_that_is_none_is_refused(wrong: str, where: str) -> None:
    with pytest.raises(ValueError), failsoft.context(**{where: [wrong] if where == "labels" else wrong}):  # type: ignore[arg-type]
        raise NotImplementedError


@pytest.mark.parametrize(
    "wrong", [Case("a", kind=""), Case("a", series="\n"), Actor("a", kind="x" * 129), Actor("a", on_behalf_of="")]
)
def test_every_part_of_a_case_or_an_actor_is_checked(wrong: Case | Actor) -> None:
    with (
        pytest.raises(ValueError, match=r"a case's|an actor's"),
        failsoft.context(**{"case" if isinstance(wrong, Case) else "actor": wrong}),  # type: ignore[arg-type]
    ):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("argument", "wrong", "says"),
    [
        ("case", 17, "case is text or a Case, not int"),
        ("case", Actor("jdoe"), "case is text or a Case, not Actor"),
        ("case", Case(17), "a case's id is text, not int"),  # type: ignore[arg-type]
        ("case", Case("c", kind=5), "a case's kind is text, not int"),  # type: ignore[arg-type]
        ("case", Case("c", series=b"s"), "a case's series is text, not bytes"),  # type: ignore[arg-type]
        ("actor", 5, "actor is text or an Actor, not int"),
        ("actor", Case("c"), "actor is text or an Actor, not Case"),
        ("actor", Actor("a", on_behalf_of=5), "an actor's on_behalf_of is text, not int"),  # type: ignore[arg-type]
        ("labels", 5, 'labels are texts, such as {"CUI"}, not int'),
        ("labels", None, 'labels are texts, such as {"CUI"}, not NoneType'),
        ("labels", ["CUI", 5], "each of labels is text, not int"),
        ("labels", b"CUI", "each of labels is text, not int"),
        ("trace", 5, "trace is a traceparent as text, or a Trace, not int"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_its_name(argument: str, wrong: Any, says: str) -> None:
    with pytest.raises(TypeError) as caught, failsoft.context(**{argument: wrong}):
        raise NotImplementedError
    assert str(caught.value) == says


@pytest.mark.parametrize("text", ["\U0002fa20", "\ue000", "\U000f0000"])
def test_a_character_that_this_unicode_does_not_know_is_something_to_read(text: str) -> None:
    """A letter of next year, and one of a house's own font."""
    assert says_something(text)
    assert identifier(text, "a case's id") == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "\u2003", "\u200b", "\x07", "\u202e", "\ud800", "\u3164", "\uffff", "\U0010fffe", "\ufdd0", "\U000e0001"],
)
def test_spaces_controls_and_marks_say_nothing(text: str) -> None:
    assert not says_something(text)


def test_a_text_is_one_label() -> None:
    with failsoft.context(labels="CUI") as inner:
        assert inner.labels == frozenset({"CUI"})


@given(st.text())
def test_an_identifier_is_sound_or_refused(text: str) -> None:
    try:
        sound = identifier(text, "an id")
    except ValueError:
        return
    assert 0 < len(sound.encode()) <= 128
    assert identifier(sound, "an id") == sound


class Rate(Capability[str, int]):
    """Rate."""

    def fallback(self, request: str) -> int:
        return 3


TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


class TestTraces:
    def test_a_span_is_named_by_its_traceparent(self) -> None:
        with failsoft.context(trace="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") as found:
            assert found.trace == TRACE
            with failsoft.context(case="T-17"):
                assert current_context().trace == TRACE
        with failsoft.context(trace=TRACE) as found:
            assert found.trace == TRACE

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
            Trace("x", "y"),
        ],
    )
    def test_what_is_none_is_refused(self, wrong: str | Trace) -> None:
        with pytest.raises(ValueError, match="traceparent"), failsoft.context(trace=wrong):
            raise NotImplementedError

    def test_opentelemetrys_span_is_on_record(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        valid = True

        class Api:
            """What is used of `opentelemetry.trace`."""

            @staticmethod
            def get_current_span() -> Any:
                told = SimpleNamespace(trace_id=int(TRACE.trace_id, 16), span_id=int(TRACE.span_id, 16), is_valid=valid)
                return SimpleNamespace(get_span_context=lambda: told)

        monkeypatch.setitem(sys.modules, "opentelemetry.trace", Api)  # type: ignore[arg-type]
        path = tmp_path / "x.db"
        with Isolation({"ledger": {"url": f"sqlite:///{path}"}}, capabilities=[Rate]) as isolation:
            first = isolation[Rate].sync("x")
            valid = False
            second = isolation[Rate].sync("x")
            valid = True
            other = "00-11111111111111111111111111111111-00f067aa0ba902b7-01"
            with failsoft.context(trace=other):
                third = isolation[Rate].sync("x")
        with read(path) as reader:
            traces = [
                [each.fields.get("trace") for each in reader.call(call.call_id)] for call in (first, second, third)
            ]
        assert traces == [
            [{"trace_id": TRACE.trace_id, "span_id": TRACE.span_id}] * 2,
            [None] * 2,
            [{"trace_id": "1" * 32, "span_id": TRACE.span_id}] * 2,
        ]
