"""One call replayed: what's the same, what differs and at which step, what can't be replayed and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, field_serializer, field_validator
from tests.replay.shop import (
    DIFFERS,
    NOT,
    SAME,
    Item,
    Rating,
    asked,
    digest_of,
    erase,
    isolated,
    made,
    replayed,
    results,
    step,
    tampering,
)

import failsoft
from failsoft import Capability, FallbackFailed, Prompt, Sampling
from failsoft.ledger.read import read
from failsoft.replay.replay import Replay
from failsoft.testing import ScriptedProvider, chat_answer, chat_text, faults, http_reply

ALL = dict.fromkeys(("call", "request", "prompt", "decode", "schema", "accept"), SAME)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


class TestTheSame:
    def test_an_answer(self, place: Path) -> None:
        outcome = asked(place)
        assert outcome.by_ai
        found = replayed(place, outcome.call_id)
        assert results(found) == ALL
        assert found.result is SAME
        assert (found.capability, found.index, found.call_id) == ("rate-item", 3, outcome.call_id)
        assert found.fallback_says == '{"stars":0}'
        assert found.notes == ()

    def test_a_fallbacks_answer_without_anybody_to_ask(self, place: Path) -> None:
        outcome = asked(place, capabilities={"rate-item": {}})
        found = replayed(place, outcome.call_id)
        assert results(found) == {"call": SAME, "request": SAME, "fallback": SAME}
        assert found.fallback_says is None

    @pytest.mark.parametrize(
        ("script", "fault", "steps"),
        [
            (chat_answer({"stars": "many"}), "schema_invalid", {"decode", "schema"}),
            (chat_answer({"stars": 9}), "unacceptable", {"decode", "schema", "accept"}),
            (chat_text("three"), "malformed_answer", {"decode"}),
            (chat_text("", refusal="no"), "refused", {"decode"}),
            (chat_answer({"stars": 3}, model="m-2"), "served_model_mismatch", {"decode"}),
            (faults.SERVER_ERROR, "server_error", {"decode"}),
            (http_reply(b"<html>log in"), "web_page", {"decode"}),
            (http_reply(b"\xff\x00"), "malformed_reply", {"decode"}),
        ],
    )
    def test_a_reply_that_was_no_answer(self, script: Any, fault: str, steps: set[str], place: Path) -> None:
        outcome = asked(place, script)
        assert [each.reason for each in outcome.passed_over] == [fault]
        found = replayed(place, outcome.call_id)
        assert results(found) == dict.fromkeys({"call", "request", "prompt", "fallback", *steps}, SAME)

    def test_a_grade_that_was_too_little(self, place: Path) -> None:
        outcome = asked(place, adapter={"require_grade": "echoed"}, script=chat_answer({"stars": 3}, model=""))
        assert [each.reason for each in outcome.passed_over] == ["served_unproven"]
        assert replayed(place, outcome.call_id).result is SAME

    def test_another_model_that_was_let_pass(self, place: Path) -> None:
        outcome = asked(place, chat_answer({"stars": 3}, model="m-2"), adapter={"on_mismatch": "record"})
        assert outcome.by_ai
        assert replayed(place, outcome.call_id).result is SAME

    def test_a_repair_is_said_again(self, place: Path) -> None:
        capability = made(repair=True)
        outcome = asked(
            place,
            [chat_answer({"stars": 9}), chat_answer({"stars": 3})],
            capability=capability,
            adapter={"attempts": 2},
        )
        assert outcome.by_ai
        found = replayed(place, outcome.call_id, capability)
        assert found.result is SAME
        assert [each.attempt for each in found.steps if each.step == "prompt"] == [None, 2]
        other = made(capability, accept=lambda self, request, response: _refuse(response))
        told = replayed(place, outcome.call_id, other)
        assert [(each.step, each.attempt) for each in told.steps if each.result is DIFFERS] == [
            ("prompt", 2),
            ("accept", 2),
        ]

    def test_a_retry_after_a_reply_that_never_came(self, place: Path) -> None:
        outcome = asked(place, [faults.CONNECT_REFUSED, chat_answer({"stars": 3})], adapter={"attempts": 2})
        assert outcome.by_ai
        found = replayed(place, outcome.call_id)
        assert found.result is SAME
        assert found.notes == ("attempt 1 (gpt) brought no reply: connect_refused",)

    def test_a_failure_of_the_fallback(self, place: Path) -> None:
        broken = made(fallback=lambda self, request: 1 // 0)
        with pytest.raises(FallbackFailed) as failed:
            asked(place, faults.SERVER_ERROR, capability=broken)
        assert failed.value
        call_id = _only_call(place)
        found = replayed(place, call_id, broken)
        assert step(found, "fallback").reason == "it fails, as it did"
        assert found.result is SAME
        assert results(replayed(place, call_id))["fallback"] is DIFFERS
        assert step(replayed(place, call_id, made(version="2")), "fallback").result is NOT

    def test_a_bug_of_the_acceptance_rule(self, place: Path) -> None:
        broken = made(accept=lambda self, request, response: 1 // 0)
        outcome = asked(place, capability=broken)
        assert [each.reason for each in outcome.passed_over] == ["capability_bug"]
        assert replayed(place, outcome.call_id, broken).result is SAME
        told = step(replayed(place, outcome.call_id), "accept")
        assert (told.result, told.reason) == (DIFFERS, "the capability's own code failed then, and doesn't today")

    def test_a_call_that_was_to_be_raised(self, place: Path) -> None:
        broken = made(accept=lambda self, request, response: 1 // 0)
        with pytest.raises(failsoft.FailsoftError):
            asked(place, capability=broken, on_bug="raise")
        found = replayed(place, _only_call(place), broken)
        assert found.result is SAME
        assert found.notes == ('the capability\'s own bug was raised (on_bug = "raise"), and no fallback ran',)

    def test_a_failure_that_may_have_been_the_prompts(self, place: Path) -> None:
        broken = made(prompt=lambda self, request: 1 // 0)
        with pytest.raises(failsoft.FailsoftError):
            asked(place, capability=broken, on_bug="raise")
        told = step(replayed(place, _only_call(place), broken), "fallback")
        assert told.result is NOT
        assert told.reason == (
            'the fallback failed then, and answers today; but under on_bug = "raise" it may have failed without its '
            "fallback"
        )

    def test_a_streamed_answer(self, place: Path) -> None:
        outcome = asked(place, failsoft_stream(), adapter={"stream": True})
        assert outcome.by_ai
        assert results(replayed(place, outcome.call_id)) == ALL

    def test_todays_configuration_may_say_something_else(self, place: Path) -> None:
        outcome = asked(place)
        changed = {
            "adapter": {"provider": "anthropic", "model": "claude-haiku-4-5-20251001", "base_url": "https://a.example"}
        }
        assert results(replayed(place, outcome.call_id, **changed)) == ALL


def _refuse(response: Rating) -> None:
    raise ValueError(f"never {response.stars}")


def failsoft_stream() -> Any:
    from failsoft.testing import chat_stream

    return chat_stream({"stars": 3})


def _only_call(place: Path) -> str:
    with read(place) as reader:
        (start,) = reader.records("call.started")
        assert start.call_id is not None
        return start.call_id


class Detailed(BaseModel):
    stars: int
    why: str = "no reason"


class Strict(BaseModel):
    stars: int
    why: str


class Doubting(BaseModel):
    stars: int

    @field_validator("stars")
    @classmethod
    def _doubted(cls, value: int) -> int:
        raise TypeError("never")


class Mute(BaseModel):
    stars: int

    @field_serializer("stars")
    def _unsaid(self, value: int) -> int:
        raise KeyError("never")


def answering(response: Any, stars: Any = 0) -> type[Capability[Any, Any]]:
    """The capability with another response type."""

    class Other(Capability[Item, response]):  # type: ignore[misc, valid-type]
        """How many stars?"""

        name = "rate-item"
        version = "1"

        def fallback(self, request: Item) -> Any:
            return response.model_construct(stars=stars, why="")

    return Other


class TestADifference:
    @pytest.mark.parametrize(
        ("capability", "where", "why"),
        [
            (made(prompt=lambda self, request: Prompt.of("How many?")), "prompt", "today's prompt is another"),
            (made(prompt=lambda self, request: 1 // 0), "prompt", "prompt() raises ZeroDivisionError today"),
            (made(__doc__="How many stars, honestly?"), "prompt", "today's prompt is another"),
            (
                made(accept=lambda self, request, response: _refuse(response)),
                "accept",
                "accept() refuses its answer today",
            ),
            (made(accept=lambda self, request, response: {}["x"]), "accept", "accept() raises KeyError today"),
            (answering(Detailed), "schema", "its answer gives another response, at why"),
            (answering(Strict), "schema", "its answer doesn't fit today"),
            (answering(Mute), "schema", "the response type raises PydanticSerializationError today"),
            (answering(Doubting), "schema", "the response type raises TypeError today"),
        ],
    )
    def test_is_at_the_step_that_makes_it(self, capability: Any, where: str, why: str, place: Path) -> None:
        outcome = asked(place)
        found = replayed(place, outcome.call_id, capability)
        assert (step(found, where).result, step(found, where).reason) == (DIFFERS, why)
        assert found.result is DIFFERS
        assert [each.step for each in found.steps if each.result is not SAME] == [where]

    @pytest.mark.parametrize(
        ("fallback", "why"),
        [
            (lambda self, request: Rating(stars=1), "the fallback gives another response, at stars"),
            (lambda self, request: 1 // 0, "the fallback fails today (ZeroDivisionError)"),
            (lambda self, request: {"stars": "x"}, "the fallback fails today (ValidationError)"),
        ],
    )
    def test_of_the_fallback(self, fallback: Any, why: str, place: Path) -> None:
        outcome = asked(place, faults.SERVER_ERROR)
        found = replayed(place, outcome.call_id, made(fallback=fallback))
        assert (step(found, "fallback").result, step(found, "fallback").reason) == (DIFFERS, why)
        assert [each.step for each in found.steps if each.result is not SAME] == ["fallback"]

    def test_of_another_fallback_than_answered(self, place: Path) -> None:
        outcome = asked(place, faults.SERVER_ERROR)
        wired = {"rate-item": {"adapters": ["gpt"], "fallback": "tests.replay.test_replay:always_one"}}
        told = step(replayed(place, outcome.call_id, capabilities=wired), "fallback")
        assert told.result is NOT
        assert told.reason == (
            'the fallback gives another response, at stars; but another one answered: "tests.replay.shop:RateItem" then, '
            '"tests.replay.test_replay:always_one" now'
        )

    def test_what_didnt_fit_then(self, place: Path) -> None:
        outcome = asked(place, chat_answer({"stars": "3"}))
        lax = answering(type("Lax", (BaseModel,), {"__annotations__": {"stars": str, "why": str}, "why": ""}))
        told = step(replayed(place, outcome.call_id, lax), "schema")
        assert (told.result, told.reason) == (DIFFERS, "its answer didn't fit the response type then")

    def test_what_wasnt_accepted_then(self, place: Path) -> None:
        outcome = asked(place, chat_answer({"stars": 9}))
        found = replayed(place, outcome.call_id, made(accept=lambda self, request, response: None))
        assert step(found, "schema").reason == "its answer fits"
        assert (step(found, "accept").result, step(found, "accept").reason) == (
            DIFFERS,
            "accept() accepts its answer today",
        )

    def test_a_request_that_doesnt_fit_any_more(self, place: Path) -> None:
        outcome = asked(place)

        class Other(Capability[Strict, Rating]):
            """How many stars?"""

            name = "rate-item"
            version = "1"

            def fallback(self, request: Strict) -> Rating:
                return Rating(stars=0)

        found = replayed(place, outcome.call_id, Other)
        assert results(found) == {"call": SAME, "request": DIFFERS, "decode": SAME, "schema": NOT}
        assert step(found, "request").reason.startswith("the recorded request doesn't fit today's request type")

    def test_of_decoding(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from failsoft.adapters.openai_compatible import OpenAICompatible

        outcome = asked(place)
        usual = OpenAICompatible.read

        def otherwise(self: Any, reply: Any, body: Any) -> Any:
            body["usage"] = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
            return usual(self, reply, {**body, "model": "m-9", "system_fingerprint": "fp"})

        monkeypatch.setattr(OpenAICompatible, "read", otherwise)
        told = step(replayed(place, outcome.call_id), "decode")
        assert told.result is DIFFERS
        assert told.reason == (
            'fault: none then, "served_model_mismatch" now, served model: "m-1" then, "m-9" now, fingerprint: none then, '
            '"fp" now, tokens (in, out): (12, 8) then, (1, 2) now'
        )
        monkeypatch.setattr(OpenAICompatible, "version", "77")
        told = step(replayed(place, outcome.call_id), "decode")
        assert told.result is NOT
        assert told.reason.endswith("; but the adapter has another version: 4 then, 77 now")


class TestRedacted:
    """What looked like a credential was taken out of request, prompt, reply and answer alike."""

    KEY = "AKIA" + "IOSFODNN7EXAMPLE"

    def test_all_of_it_alike_comes_out_the_same(self, place: Path) -> None:
        quoting = made(fallback=lambda self, request: Rating(stars=len(request.name)))
        outcome = asked(place, chat_text(f"no idea what {self.KEY} is"), name=self.KEY, capability=quoting)
        assert outcome.value == Rating(stars=20)
        assert self.KEY.encode() not in place.read_bytes()
        found = replayed(place, outcome.call_id, quoting)
        told = step(found, "fallback")
        assert results(found) == {"call": SAME, "request": SAME, "prompt": SAME, "decode": SAME, "fallback": NOT}
        assert told.reason.endswith("; but what looked like a credential was taken out of what's on record")

    def test_where_only_a_reply_held_one_it_excuses_too(self, place: Path) -> None:
        outcome = asked(place, chat_answer({"stars": 3}, model=f"m-1 {self.KEY}"), adapter={"on_mismatch": "record"})
        other = made(accept=lambda self, request, response: _refuse(response))
        assert step(replayed(place, outcome.call_id, other), "accept").result is NOT

    def test_unless_it_is_kept(self, place: Path) -> None:
        outcome = asked(place, name=self.KEY, ledger={"url": f"sqlite:///{place}", "redact": False})
        assert self.KEY.encode() in place.read_bytes()
        assert replayed(place, outcome.call_id).result is SAME


class TestAnotherVersion:
    def test_explains_what_comes_out_otherwise(self, place: Path) -> None:
        outcome = asked(place)
        changed = made(version="2", accept=lambda self, request, response: _refuse(response))
        found = replayed(place, outcome.call_id, changed)
        told = step(found, "accept")
        assert told.result is NOT
        assert told.reason == (
            'accept() refuses its answer today; but the capability has another version: "1" then, "2" now'
        )
        assert found.result is NOT

    def test_of_which_all_comes_out_the_same_is_the_same(self, place: Path) -> None:
        outcome = asked(place)
        assert replayed(place, outcome.call_id, made(version=None)).result is SAME

    def test_of_the_request_may_write_it_otherwise(self, place: Path) -> None:
        outcome = asked(place)

        class Longer(BaseModel, frozen=True):
            name: str
            size: int = 3

        class Other(Capability[Longer, Rating]):
            """How many stars?"""

            name = "rate-item"
            version = "1"

            def fallback(self, request: Longer) -> Rating:
                return Rating(stars=0)

        found = replayed(place, outcome.call_id, Other)
        assert step(found, "request").result is NOT
        assert step(found, "request").reason == "today's request type writes the recorded request in other bytes"
        told = step(found, "prompt")
        assert told.result is NOT
        assert told.reason.startswith("today's prompt is another; but its request isn't wholly on record")
        assert step(found, "schema").result is SAME
        Other.version = "2"
        assert step(replayed(place, outcome.call_id, Other), "prompt").reason == (
            'today\'s prompt is another; but the capability has another version: "1" then, "2" now and its request isn\'t '
            "wholly on record, or the request's type has changed"
        )


class TestNotReplayable:
    @pytest.mark.parametrize(
        ("path", "where", "rest"),
        [
            ("request", "request", {"call": SAME, "request": NOT, "decode": SAME, "schema": NOT}),
            ("prompt", "prompt", {**ALL, "prompt": NOT}),
            ("reply/1", "decode", {"call": SAME, "request": SAME, "prompt": SAME, "decode": NOT}),
            ("response", "schema", {**ALL, "schema": NOT}),
        ],
    )
    def test_what_was_erased(self, path: str, where: str, rest: dict[str, Any], place: Path) -> None:
        outcome = asked(place)
        erase(place, outcome.call_id, path)
        found = replayed(place, outcome.call_id)
        assert results(found) == rest
        assert step(found, where).reason.endswith("isn't kept: it was erased, or never recorded")

    def test_a_fallbacks_response_that_was_erased(self, place: Path) -> None:
        outcome = asked(place, faults.SERVER_ERROR)
        erase(place, outcome.call_id, "response")
        told = step(replayed(place, outcome.call_id), "fallback")
        assert (told.result, told.reason) == (NOT, "the response isn't kept: it was erased, or never recorded")

    def test_a_repairs_prompt_that_was_erased_or_what_it_was_made_of(self, place: Path) -> None:
        capability = made(repair=True)
        script = [chat_answer({"stars": 9}), chat_answer({"stars": 3})]
        outcome = asked(place, script, capability=capability, adapter={"attempts": 2})
        erase(place, outcome.call_id, "reply/1")
        prompts = [each for each in replayed(place, outcome.call_id, capability).steps if each.step == "prompt"]
        assert [(each.result, each.reason) for each in prompts] == [
            (SAME, ""),
            (NOT, "what it was made of can't be replayed"),
        ]
        erase(place, outcome.call_id, "prompt/2")
        prompts = [each for each in replayed(place, outcome.call_id, capability).steps if each.step == "prompt"]
        assert prompts[1].reason == "the repair's prompt isn't kept: it was erased, or never recorded"

    def test_a_tampered_reply_is_never_decoded(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        outcome = asked(place)
        digest = digest_of(place, outcome.call_id, "reply/1")
        with tampering(place) as connection:
            (data,) = connection.execute("SELECT data FROM ledger_payload WHERE digest = ?", (digest,)).fetchone()
            assert b'\\"stars\\":3' in data
            other = data.replace(b'\\"stars\\":3', b'\\"stars\\":4')
            connection.execute("UPDATE ledger_payload SET data = ? WHERE digest = ?", (other, digest))
        monkeypatch.setattr("failsoft.replay.judging.judge", None)
        found = replayed(place, outcome.call_id)
        told = step(found, "decode")
        assert told.result is NOT
        assert "isn't what was committed to" in told.reason
        assert "schema" not in results(found)

    def test_payloads_that_changed_places(self, place: Path) -> None:
        outcome = asked(place)
        body = _body_of(place, "call.completed")
        one, other = (digest_of(place, outcome.call_id, each).hex() for each in ("prompt", "response"))
        swapped = body.replace(one.encode(), b"X").replace(other.encode(), one.encode()).replace(b"X", other.encode())
        _put_body(place, "call.completed", swapped)
        found = replayed(place, outcome.call_id)
        assert "isn't what was committed to" in step(found, "prompt").reason
        assert "isn't what was committed to" in step(found, "schema").reason

    def test_a_capability_that_is_gone(self, place: Path) -> None:
        outcome = asked(place)
        found = replayed(place, outcome.call_id, made(name="other"), capabilities={"other": {"adapters": ["gpt"]}})
        assert results(found) == {"call": NOT, "decode": SAME}
        assert step(found, "call").reason == 'there is no capability named "rate-item" in this configuration'

    def test_a_callable_adapters_reply(self, place: Path) -> None:
        isolation = isolated(place, capabilities={"rate-item": {"adapters": ["own"]}})
        isolation.adapter("own", model="m-1")(ScriptedProvider([{"stars": 3}]))
        with isolation:
            outcome = isolation["rate-item"].sync(Item(name="bolt"))
        assert outcome.by_ai
        found = replayed(place, outcome.call_id)
        assert results(found) == {**ALL, "decode": NOT}
        assert step(found, "decode").reason == "its adapter isn't in the configuration on record: it was made in code"
        lax = made(accept=lambda self, request, response: _refuse(response))
        assert results(replayed(place, outcome.call_id, lax))["accept"] is DIFFERS

    def test_a_configured_callables_reply(self, place: Path) -> None:
        own = {"provider": "callable", "model": "m-1", "call": "tests.replay.test_replay:answer_three"}
        outcome = asked(place, adapters={"gpt": own})
        assert outcome.by_ai
        told = step(replayed(place, outcome.call_id), "decode")
        assert told.reason == (
            "its adapter is a function of the application's: what that returned isn't kept, only the answer"
        )

    async def test_a_cancelled_call(self, place: Path) -> None:
        begun = asyncio.Event()

        async def hang(ask: Any) -> Any:
            begun.set()
            await asyncio.Event().wait()

        isolation = isolated(place, capabilities={"rate-item": {"adapters": ["own"]}})
        isolation.adapter("own", model="m-1")(hang)
        async with isolation:
            call = asyncio.create_task(isolation["rate-item"](Item(name="bolt")))
            await begun.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        found = replayed(place, _only_call(place))
        assert step(found, "call").reason == "its caller cancelled it, so nobody was given an answer"
        assert found.fallback_says is None
        assert found.notes == ("attempt 1 (own) brought no reply: cancelled",)

    def test_a_request_written_in_floats_of_another_precision_is_whole(self, place: Path) -> None:
        class Size(BaseModel, frozen=True):
            length: float

        class Measure(Capability[Size, Rating]):
            """How long?"""

            name = "rate-item"
            sampling: ClassVar[Sampling] = Sampling(temperature=None)

            def fallback(self, request: Size) -> Rating:
                return Rating(stars=0)

        with isolated(place, capability=Measure) as isolation:
            outcome = isolation["rate-item"].sync(Size(length=0.1 + 0.2))
        assert replayed(place, outcome.call_id, Measure).result is SAME


def always_one(request: Item) -> Rating:
    return Rating(stars=1)


def answer_three(ask: Any) -> dict[str, int]:
    return {"stars": 3}


def _body_of(place: Path, kind: str) -> bytes:
    with read(place) as reader:
        (entry,) = reader.records(kind)
        assert entry.body is not None
        return entry.body


def _put_body(place: Path, kind: str, body: bytes, *, leaf: bool = True) -> None:
    from failsoft.ledger.format.merkle import leaf_hash

    with tampering(place) as connection:
        if leaf:
            connection.execute("UPDATE ledger_record SET leaf = ? WHERE type = ?", (leaf_hash(body), kind))
        connection.execute("UPDATE ledger_record SET body = ? WHERE type = ?", (body, kind))


class TestTwoHundredCalls:
    def test_in_a_window(self, place: Path) -> None:
        with isolated(place) as isolation:
            calls = [isolation["rate-item"].sync(Item(name=str(each))).call_id for each in range(200)]
        with read(place) as reader:
            replay = Replay(reader, isolation.contracts, isolation.pins)
            found = [replay.call(each) for each in calls]
        assert {each.result for each in found} == {SAME}
        assert {len(each.steps) for each in found} == {6}
