"""What a call asks of the world, as values: a promise is kept once, and nothing that was said shows in a representation."""

from __future__ import annotations

import pytest

from failsoft.context import CallContext
from failsoft.core.contract import Snapshot
from failsoft.core.effects import (
    EVENT_STREAM,
    MILLISECOND,
    SECOND,
    AnswerSchema,
    Ask,
    CannotAsk,
    HttpReply,
    HttpRequest,
    Promise,
    Reply,
    Tokens,
    Unusable,
)
from failsoft.core.evidence import Attempt, CallAmended, CallCompleted, CallStarted, RetirementNotice
from failsoft.core.route import GuardedAdapter
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import VirtualClock
from failsoft.outcome import Pin, Served
from failsoft.prompt import Message, Prompt, Sampling
from tests.core.scripted import StubCodec, StubTicket, guarded


def test_a_second_is_a_thousand_milliseconds_of_a_million_nanoseconds() -> None:
    assert (MILLISECOND, SECOND) == (1_000_000, 1_000 * MILLISECOND)


def test_an_adapter_that_cant_be_asked_says_why() -> None:
    fault = Fault(FaultKind.UNSUPPORTED_CONTENT, "no pictures")
    error = CannotAsk(fault)
    assert error.fault is fault
    assert str(error) == "no pictures"


class TestAPromise:
    def test_is_kept_once(self) -> None:
        promise: Promise[str] = Promise()
        woken: list[str | None] = []
        promise.on_done(lambda: woken.append(promise.value))
        assert (promise.done, promise.value) == (False, None)
        assert promise.resolve("first") is True
        assert promise.resolve("second") is False
        assert (promise.done, woken) == (True, ["first"])
        assert promise.value == "first"

    def test_that_is_kept_already_calls_at_once(self) -> None:
        promise: Promise[None] = Promise()
        promise.resolve(None)
        woken: list[bool] = []
        promise.on_done(lambda: woken.append(True))
        assert woken == [True]

    def test_calls_nobody_who_has_gone(self) -> None:
        promise: Promise[None] = Promise()
        woken: list[str] = []

        def stays() -> None:
            woken.append("stays")

        def goes() -> None:
            woken.append("goes")

        promise.on_done(goes)
        promise.on_done(stays)
        promise.forget(goes)
        promise.forget(goes)  # he may say so twice
        promise.resolve(None)
        assert woken == ["stays"]


@pytest.mark.parametrize(
    ("tokens", "total"),
    [(Tokens(60, 8), 68), (Tokens(60), None), (Tokens(None, 8), None), (Tokens(), None), (Tokens(0, 0), 0)],
)
def test_the_sum_of_tokens_is_known_where_both_are(tokens: Tokens, total: int | None) -> None:
    assert tokens.total == total


def test_a_request_is_posted_and_streams_unheard_unless_its_codec_says_otherwise() -> None:
    request = HttpRequest("http://stub/v1", (), b"")
    assert (request.method, request.pulse, request.first_ns, request.gap_ns) == ("POST", None, 0, 0)
    assert EVENT_STREAM == "text/event-stream"
    assert not AnswerSchema("grade-item", {}).wrapped


CANARY = b"canary-4711"
SAID = CANARY.decode()


def kept() -> list[object]:
    pin, sampling = Pin("m-1"), Sampling()
    prompt = Prompt((Message("user", SAID),))
    ticket = StubTicket(None)
    answer = AnswerSchema("grade-item", {})
    return [
        Snapshot(None, CANARY, True),
        HttpRequest("http://stub/v1", (("authorization", SAID),), CANARY, pulse=type(SAID, (), {})),
        HttpReply(200, {}, CANARY),
        Ask(None, CANARY, prompt, answer, sampling, pin),
        Reply(CANARY, Served("m-1")),
        Unusable(Fault(FaultKind.SCHEMA_INVALID), said=CANARY),
        CallStarted("id", "grade-item", None, CANARY, 8_000, (), CallContext(), "0" * 64),
        Attempt(1, "a", "1", None, pin, reply=CANARY, detail=CANARY, prompt=CANARY, answer=CANARY),
        CallCompleted(
            "id", "grade-item", None, ticket, "answered", False, None, CallContext(), 1, prompt=CANARY, response=CANARY
        ),
        CallAmended("id", "grade-item", None, ticket, "answered", False, None, CallContext(), 1, response=CANARY),
        RetirementNotice("a", "m-1", None, None, CANARY),
        guarded("a", VirtualClock(), type("Speaking", (StubCodec,), {"secrets": (SAID,)})()),
    ]


@pytest.mark.parametrize("each", kept(), ids=lambda each: type(each).__name__)
def test_what_was_said_shows_in_no_representation(each: object) -> None:
    assert SAID in str(getattr(each, "secrets", SAID)) or not isinstance(each, GuardedAdapter)
    assert SAID not in repr(each)


def test_where_nothing_was_said_the_record_says_so() -> None:
    attempt = Attempt(1, "a", "1", None, Pin("m-1"))
    assert [attempt.reply, attempt.detail, attempt.prompt, attempt.answer, attempt.us] == [None] * 4 + [0]
    ended = CallCompleted("id", "c", None, StubTicket(None), "failed", False, None, CallContext(), 1)
    assert [ended.adapter_version, ended.prompt, ended.response] == [None] * 3
    assert CallAmended("id", "c", None, StubTicket(None), "failed", False, None, CallContext(), 1).response is None
    assert RetirementNotice("a", "m-1", None, None).text is None
    assert Unusable(Fault(FaultKind.REFUSED)).said is None
