"""Whatever stands in a ledger: a replay says what it makes of it, runs nothing of it, and raises nothing."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.logs import JSON, Log, attempt, by
from tests.replay.shop import (
    DIFFERS,
    NOT,
    SAME,
    RateItem,
    asked,
    isolated,
    replayed,
    results,
    step,
    tampering,
)

from failsoft.core.contract import Contract
from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import leaf_hash
from failsoft.ledger.read import read
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind
from failsoft.replay import configured, judging
from failsoft.replay.recorded import Damaged, recorded
from failsoft.replay.replay import Replay
from failsoft.testing import chat_answer, faults

REQUEST = b'{"name":"bolt"}'
PROMPT = b'[{"role":"system","content":"How many stars?"},{"role":"user","content":"{\\"name\\":\\"bolt\\"}"}]'
ANSWER = b'{"stars":3}'
ADAPTER = {"provider": "openai-compatible", "model": "m-1", "base_url": "https://h.example/v1"}
HELD: tuple[Any, ...] = (
    {},
    {"x": {"y": 1}},
    "",
    "x" * 3000,
    "\x1b[2J",
    -1,
    2**53 - 1,
    True,
    ["x"],
    [{}],
    [[["x"]]],
    "../../etc/passwd",
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def chat(text: str = '{"stars": 3}') -> bytes:
    return json.dumps({"model": "m-1", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()


def wrote(
    place: Path,
    config: bytes | None = None,
    request: bytes = REQUEST,
    payloads: tuple[tuple[str, str, bytes], ...] = (),
    start: dict[str, Any] | None = None,
    end: dict[str, Any] | None = None,
) -> Path:
    """A ledger of one call, whose records say what they're told."""
    log = Log(place)
    said = log.first
    said.configure(config if config is not None else snapshot())
    told = {
        "call_id": "c1",
        "capability": {"name": "rate-item", "version": "1"},
        "config_sha256": said.digest,
        "deadline_ms": 1,
        **(start or {}),
    }
    said.say(Draft(Kind.CALL_STARTED, told, (("request", JSON, request),)), 2)
    if end is not None:
        if "attempts" in end and not any(path == "prompt" for path, _, _ in payloads):
            payloads = (("prompt", JSON, PROMPT), *payloads)
        ended = {
            "call_id": "c1",
            "capability": {"name": "rate-item"},
            "outcome": "answered",
            "degraded": False,
            "us": 5,
            "source": by(),
            **end,
        }
        said.say(Draft(Kind.CALL_COMPLETED, {k: v for k, v in ended.items() if v is not None}, payloads), 3)
    said.close(4)
    return log.close()


def snapshot(**adapter: Any) -> bytes:
    return json.dumps({"adapters": {"gpt": {**ADAPTER, **adapter}}, "on_ledger_failure": "fallback"}).encode()


def one(**fields: Any) -> dict[str, Any]:
    """One attempt, as the end of the call has it."""
    return {"attempts": [{**attempt(), "adapter_version": "4", "status": 200, **fields}]}


REPLY = (("reply/1", JSON, chat()), ("response", JSON, ANSWER))
SERVED = {"model": "m-1", "grade": "echoed"}


def test_what_is_written_here_by_hand_replays_as_what_failsoft_writes(place: Path) -> None:
    wrote(place, payloads=REPLY, end=one(served=SERVED))
    found = replayed(place, "c1")
    assert results(found) == dict.fromkeys(("call", "request", "prompt", "decode", "schema", "accept"), SAME), (
        found.steps
    )


class TestACallWithoutAnEnd:
    def test_is_under_way(self, place: Path) -> None:
        wrote(place)
        found = replayed(place, "c1")
        assert results(found) == {"call": NOT}
        assert step(found, "call").reason == ("it has no end on record: it's under way, or its end was never written")

    def test_is_orphaned(self, place: Path) -> None:
        log = Log(place)
        log.first.configure()
        start = log.first.start("c1", 2)
        log.first.tell(Kind.CALL_ORPHANED, 3, call_id="c1", refs={"started": start.leaf.hex()})
        log.close()
        told = step(replayed(place, "c1"), "call")
        assert told.reason.startswith(
            "it has no end on record: whoever made it is gone, or couldn't write it; there is no capability"
        )

    def test_or_without_a_start(self, place: Path) -> None:
        log = Log(place)
        log.first.end("c1", 2, None)
        log.close()
        found = replayed(place, "c1")
        assert step(found, "call").reason == "the record of its start isn't in the ledger"
        assert (found.index, found.capability) == (None, "")

    def test_or_none_at_all(self, place: Path) -> None:
        wrote(place)
        with pytest.raises(LookupError, match="no record of a call c2"):
            replayed(place, "c2")


class TestEndsThatAreNoAnswer:
    def test_a_refusal(self, place: Path) -> None:
        wrote(place, end={"outcome": "refused", "source": None})
        found = replayed(place, "c1")
        assert step(found, "call").reason.startswith("it was refused since it couldn't be recorded")
        assert "fallback" not in results(found)

    def test_a_frozen_answer(self, place: Path) -> None:
        wrote(place, end={"source": {"kind": "frozen", "name": "gpt"}})
        found = replayed(place, "c1")
        assert step(found, "call").reason == "it was answered by a frozen answer"
        assert found.fallback_says == '{"stars":0}'

    def test_attempts_that_are_left_out(self, place: Path) -> None:
        wrote(place, payloads=REPLY, end={**one(served=SERVED), "attempts_omitted": 4})
        told = step(replayed(place, "c1"), "call")
        assert told.reason == "4 of its attempts aren't on record: of a long call only the first and last are"

    def test_an_answer_that_its_caller_never_got(self, place: Path) -> None:
        wrote(place, payloads=REPLY, end=one(served=SERVED))
        log_amended(place, {"kind": "fallback", "name": "tests.replay.shop:RateItem"}, b'{"stars":0}')
        found = replayed(place, "c1")
        assert found.result is SAME
        assert set(results(found)) == {"call", "request", "prompt", "decode", "schema", "accept", "fallback"}

    def test_an_answer_of_nobody(self, place: Path) -> None:
        wrote(place, end={"source": None})
        assert step(replayed(place, "c1"), "call").reason == "its record doesn't say who answered"

    @pytest.mark.parametrize(
        "end",
        [
            {},
            one(n=2),
            one(fault="cancelled"),
            {"attempts": [*one()["attempts"], *one()["attempts"]]},
            {**one(), "source": {"kind": "adapter", "name": "gpt"}},
        ],
    )
    def test_an_answer_of_an_attempt_that_isnt_there(self, end: dict[str, Any], place: Path) -> None:
        wrote(place, payloads=REPLY, end=end)
        assert step(replayed(place, "c1"), "call").reason.startswith("the attempt that answered isn't on record")

    def test_a_prompt_that_isnt_on_record(self, place: Path) -> None:
        call_id = asked(place).call_id
        with read(place) as reader:
            (entry,) = reader.records("call.completed")
        fields = entry.fields
        fields["commitments"] = [each for each in fields["commitments"] if each["path"] != "prompt"]
        body = canonical.dump(fields)
        with tampering(place) as connection:
            connection.execute(
                "UPDATE ledger_record SET body = ?, leaf = ? WHERE seq = ?", (body, leaf_hash(body), entry.index)
            )
        told = step(replayed(place, call_id), "prompt")
        assert (told.result, told.reason) == (NOT, "no prompt of it is on record")

    def test_a_response_that_isnt_on_record(self, place: Path) -> None:
        wrote(place, payloads=REPLY[:1], end=one(served=SERVED))
        assert step(replayed(place, "c1"), "schema").reason == "its answer fits, but the response isn't on record"

    def test_a_fallbacks_likewise(self, place: Path) -> None:
        wrote(place, end={"source": {"kind": "fallback", "name": "tests.replay.shop:RateItem"}})
        assert step(replayed(place, "c1"), "fallback").reason == "the response isn't on record"


def log_amended(place: Path, source: dict[str, Any], response: bytes) -> None:
    """Another record, put behind the others."""
    from failsoft.ledger.format.commitment import Disclosure, digest

    disclosure = Disclosure("response", JSON, response, bytes(32)).to_bytes()
    body = canonical.dump(
        {
            "call_id": "c1",
            "commitments": [{"digest": digest(disclosure).hex(), "path": "response"}],
            "outcome": "answered",
            "source": source,
        }
    )
    with tampering(place) as connection:
        connection.execute("INSERT INTO ledger_payload (digest, data) VALUES (?, ?)", (digest(disclosure), disclosure))
        connection.execute(
            "INSERT INTO ledger_record (seq, leaf, body, emitter, eseq, rid, type, ts, call_id) "
            "VALUES (99, ?, ?, 'e', 0, 'r', 'call.amended', '2026', 'c1')",
            (leaf_hash(body), body),
        )


class TestAttempts:
    @pytest.mark.parametrize(
        ("fields", "payloads", "why"),
        [
            ({"status": 200}, (), "no reply of it is on record"),
            ({"served": SERVED}, (("reply/1", JSON, b""),), None),
        ],
    )
    def test_without_a_reply(self, fields: Any, payloads: Any, why: str | None, place: Path) -> None:
        wrote(place, payloads=payloads, end=one(**fields))
        told = step(replayed(place, "c1"), "decode")
        assert told.result is (NOT if why else DIFFERS)
        assert why is None or told.reason == why

    def test_without_a_status(self, place: Path) -> None:
        end = one(served=SERVED)
        del end["attempts"][0]["status"]
        wrote(place, payloads=REPLY, end=end)
        found = replayed(place, "c1")
        told = step(found, "decode")
        assert (told.result, told.reason) == (NOT, "the record has no HTTP status of it")
        assert "schema" not in results(found)

    def test_that_were_broken_off(self, place: Path) -> None:
        wrote(
            place,
            payloads=REPLY,
            end={**one(served=SERVED, fault="cancelled"), "source": {"kind": "fallback", "name": "x"}},
        )
        found = replayed(place, "c1")
        assert step(found, "decode").result is SAME
        assert found.notes == ("attempt 1 (gpt) was broken off: its answer wasn't used",)
        assert "schema" not in results(found)

    def test_with_a_fault_that_nobody_knows(self, place: Path) -> None:
        wrote(place, payloads=REPLY, end=one(served=SERVED, fault="moon_phase"))
        told = step(replayed(place, "c1"), "decode")
        assert (told.result, told.reason) == (DIFFERS, 'fault: "moon_phase" then, none now')

    def test_that_were_busy_and_are_called_something_else(self, place: Path) -> None:
        wrote(place, payloads=(("reply/1", JSON, b"{}"), REPLY[1]), end=one(status=503, fault="rate_limited"))
        told = step(replayed(place, "c1"), "decode")
        assert (told.result, told.reason) == (DIFFERS, 'fault: "rate_limited" then, "server_error" now')

    def test_with_a_grade_that_nobody_knows(self, place: Path) -> None:
        wrote(place, payloads=REPLY, end=one(served={"model": "m-1", "grade": "sworn"}))
        assert step(replayed(place, "c1"), "decode").reason == 'grade: "unknown" then, "echoed" now'

    def test_with_a_fingerprint_that_the_body_doesnt_state(self, place: Path) -> None:
        wrote(place, payloads=REPLY, end=one(served={**SERVED, "fingerprint": "fp_1"}))
        found = replayed(place, "c1")
        assert step(found, "decode").reason.startswith("the body states no fingerprint, and the record does")
        assert results(found)["schema"] is SAME

    def test_with_a_header_less_body_that_says_something_else_too(self, place: Path) -> None:
        wrote(place, payloads=REPLY, end=one(served={"model": "m-0", "grade": "echoed", "fingerprint": "fp_1"}))
        told = step(replayed(place, "c1"), "decode")
        assert (told.result, told.reason) == (DIFFERS, 'served model: "m-0" then, "m-1" now')

    @pytest.mark.parametrize(
        ("used", "usage", "why"),
        [
            ({"in": 1, "out": 2}, None, "the body doesn't say what was used as the record does, and headers of"),
            ({"in": 1, "out": 2}, {"prompt_tokens": 1}, "tokens (in, out): (1, 2) then, (1, None) now"),
            (None, {"prompt_tokens": 1, "completion_tokens": 2}, "tokens (in, out): None then, (1, 2) now"),
            ({}, {}, ""),
        ],
    )
    def test_with_other_tokens(self, used: Any, usage: Any, why: str, place: Path) -> None:
        body = {**json.loads(chat()), **({} if usage is None else {"usage": usage})}
        payloads = (("reply/1", JSON, json.dumps(body).encode()), REPLY[1])
        wrote(place, payloads=payloads, end=one(served=SERVED, **({} if used is None else {"tokens": used})))
        assert step(replayed(place, "c1"), "decode").reason.startswith(why)

    def test_of_an_error_that_was_taken_for_an_answer(self, place: Path) -> None:
        config = snapshot(provider="bedrock", model="us.amazon.nova-lite-v1:0")
        wrote(place, config, payloads=REPLY, end=one(status=400, adapter_version="2"))
        assert step(replayed(place, "c1"), "decode").result is DIFFERS

    def test_of_a_function_whose_answer_is_no_json(self, place: Path) -> None:
        end = one()
        del end["attempts"][0]["status"]
        config = json.dumps({"adapters": {}}).encode()
        for number, bytes_ in enumerate((b"{", b"\xff\xfe", b'{"stars": NaN}', b'"\\ud800"')):
            place = place.with_name(f"{number}.db")
            wrote(place, config, payloads=(("reply/1", JSON, bytes_),), end=end)
            found = replayed(place, "c1")
            assert results(found) == {"call": SAME, "request": SAME, "prompt": SAME, "decode": NOT}, bytes_


class TestResponses:
    @pytest.mark.parametrize(
        ("response", "why"),
        [
            (b"3", "its answer gives another response"),
            (b"{", "its answer gives another response"),
            (b'{"stars":4,"\\u001b[2J":1}', "its answer gives another response, at stars, …"),
            (b'{"stars":3.0}', "its answer gives the same response in other bytes"),
        ],
    )
    def test_that_differ_are_told_without_their_content(self, response: bytes, why: str, place: Path) -> None:
        wrote(place, payloads=(REPLY[0], ("response", JSON, response)), end=one(served=SERVED))
        told = step(replayed(place, "c1"), "schema")
        assert (told.result, told.reason) == (DIFFERS, why)


class TestConfigurations:
    @pytest.mark.parametrize(
        ("config", "why"),
        [
            (b"{", "the configuration that the call names isn't in the ledger, or can't be read"),
            (b"[]", "the configuration that the call names isn't in the ledger, or can't be read"),
            (b'{"adapters": 3}', "the configuration that the call names isn't in the ledger, or can't be read"),
            (b'{"observed": true}', "the configuration that the call names isn't in the ledger, or can't be read"),
            (b"[" * 100_000, "the configuration that the call names isn't in the ledger, or can't be read"),
            (b'{"adapters": {}}', "its adapter isn't in the configuration on record: it was made in code"),
            (b'{"adapters": {"gpt": 3}}', "its adapter in the configuration on record isn't as failsoft writes it"),
            (snapshot(on_mismatch="pray"), "its adapter in the configuration on record isn't as failsoft writes it"),
            (snapshot(provider="acme"), "its adapter's provider isn't installed here"),
            (snapshot(base_url="::"), "no reader can be made for its adapter (ConfigurationError)"),
            (snapshot(options={"x": 1}), "no reader can be made for its adapter (ConfigurationError)"),
            (snapshot(stream=True, stream_end="never"), "no reader can be made for its adapter (ValueError)"),
            (snapshot(stream=True, stream_gap=1), "no reader can be made for its adapter (ConfigurationError)"),
            (snapshot(provider="vllm", base_url=None), None),
        ],
    )
    def test_that_are_no_use(self, config: bytes, why: str | None, place: Path) -> None:
        if why is None:
            table = json.loads(config)
            del table["adapters"]["gpt"]["base_url"]
            config, why = json.dumps(table).encode(), "no reader can be made for its adapter (ConfigurationError)"
        wrote(place, config, payloads=REPLY, end=one(served=SERVED))
        found = replayed(place, "c1")
        assert (step(found, "decode").result, step(found, "decode").reason) == (NOT, why)
        assert "schema" not in results(found)

    def test_that_isnt_what_it_was_named_by(self, place: Path) -> None:
        wrote(place, payloads=REPLY, end=one(served=SERVED))
        other = snapshot(on_mismatch="record")
        with tampering(place) as connection:
            connection.execute("UPDATE ledger_artifact SET data = ?", (other,))
        assert step(replayed(place, "c1"), "decode").reason.startswith("the configuration that the call names isn't")
        with tampering(place) as connection:
            connection.execute("DELETE FROM ledger_artifact")
        assert step(replayed(place, "c1"), "decode").result is NOT

    def test_are_made_as_often_as_they_are_asked_for_where_there_are_too_many(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("failsoft.replay.configured._KEPT", 0)
        wrote(place, payloads=REPLY, end=one(served=SERVED))
        assert replayed(place, "c1").result is SAME

    def test_nothing_of_one_is_imported_read_or_looked_up(self, place: Path, tmp_path: Path) -> None:
        (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        secret = tmp_path / "key"
        secret.write_text("s3cret")
        evil = {
            "auth": "evil:run",
            "call": "evil:run",
            "api_key": {"file": str(secret)},
            "headers": {"x": {"env": "HOME"}},
            "options": {"body": {"user": {"env": "HOME"}, "tags": [{"file": str(secret)}]}},
        }
        wrote(place, snapshot(**evil), payloads=REPLY, end=one(served=SERVED))
        found = replayed(place, "c1")
        assert step(found, "decode").result is SAME
        assert not (tmp_path / "ran").exists()
        assert "s3cret" not in repr(found)

    def test_an_option_from_outside_excuses_what_is_read_otherwise(self, place: Path) -> None:
        config = snapshot(options={"body": {"user": {"env": "HOME"}}})
        wrote(place, config, payloads=REPLY, end=one(served={**SERVED, "grade": "provider-stated"}))
        told = step(replayed(place, "c1"), "decode")
        assert told.result is NOT
        assert told.reason.endswith("an option of it came from the environment or a file, so it isn't on record")

    def test_a_pattern_is_run_only_if_its_ours_too(self, place: Path) -> None:
        slow = "(a+)+$"
        pin = {"model": "m-1", "served_pattern": slow}
        model = "a" * 40 + "!"
        reply = chat().replace(b'"m-1"', json.dumps(model).encode())
        payloads = (("reply/1", JSON, reply), REPLY[1])
        began = time.monotonic()
        wrote(place, payloads=payloads, end=one(pin=pin, served={**SERVED, "model": model}))
        assert results(replayed(place, "c1"))["decode"] is SAME
        other = place.with_name("y.db")
        wrote(
            other, payloads=payloads, end=one(pin=pin, served={**SERVED, "model": model}, fault="served_model_mismatch")
        )
        told = step(replayed(other, "c1"), "decode")
        assert told.reason.startswith("the pattern of its pin isn't one of today's configuration, so it isn't run")
        assert time.monotonic() - began < 20

    def test_a_pattern_of_ours_is(self, place: Path) -> None:
        ours = {"served_pattern": "m-[0-9]"}
        outcome = asked(place, chat_answer({"stars": 3}, model="m-x"), adapter=ours)
        assert [each.reason for each in outcome.passed_over] == ["served_model_mismatch"]
        assert replayed(place, outcome.call_id, adapter=ours).result is SAME


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from paths(each, (*path, key))
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from paths(each, (*path, index))


def put(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    changed = copy.deepcopy(value)
    if not path:
        return other
    holder = changed
    for each in path[:-1]:
        holder = holder[each]
    holder[path[-1]] = other
    return changed


class TestRecords:
    def test_of_any_shape(self, place: Path) -> None:
        """Every part of every record of a call in the place of every other kind of value."""
        script = [faults.SERVER_ERROR, chat_answer({"stars": 3})]
        call_id = asked(place, script, adapter={"attempts": 2}).call_id
        isolation = isolated(place)
        with read(place) as reader:
            entries = {each.index: each.fields for each in reader.call(call_id)}
        told = set[str]()
        chance = random.Random(3)
        with tampering(place) as connection:
            for index, fields in entries.items():
                for path in paths(fields):
                    for other in chance.sample(HELD, 6):
                        changed = put(fields, path, other)
                        try:
                            body = canonical.dump(changed)
                        except (canonical.ProfileError, AttributeError):
                            continue
                        connection.execute(
                            "UPDATE ledger_record SET body = ?, leaf = ? WHERE seq = ?", (body, leaf_hash(body), index)
                        )
                        connection.commit()
                        with read(place) as reader:
                            found = Replay(reader, isolation.contracts, isolation.pins).call(call_id)
                        told.add(found.result)
                body = canonical.dump(fields)
                connection.execute(
                    "UPDATE ledger_record SET body = ?, leaf = ? WHERE seq = ?", (body, leaf_hash(body), index)
                )
                connection.commit()
        assert told == {SAME, DIFFERS, NOT}

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ("UPDATE ledger_record SET body = NULL WHERE seq = 3", "record 3 was pruned"),
            ("UPDATE ledger_record SET leaf = zeroblob(32) WHERE seq = 3", "record 3 isn't what it was"),
            ("UPDATE ledger_record SET call_id = 'c2'", "record 3 is of another call than its index says"),
        ],
    )
    def test_that_were_changed(self, change: str, why: str, place: Path) -> None:
        wrote(place, payloads=REPLY, end=one(served=SERVED))
        with tampering(place) as connection:
            connection.execute(change)
        found = replayed(place, "c2" if "c2" in change else "c1")
        assert results(found) == {"call": NOT}
        assert step(found, "call").reason.startswith(why)

    def test_that_are_no_records(self, place: Path) -> None:
        wrote(place, payloads=REPLY, end=one(served=SERVED))
        for body in (b"", b"{", b"[]", b'{"call_id":1}', b"\xff"):
            with tampering(place) as connection:
                connection.execute("UPDATE ledger_record SET body = ?, leaf = ? WHERE seq = 3", (body, leaf_hash(body)))
            with read(place) as reader, pytest.raises(Damaged, match="isn't as failsoft writes it"):
                recorded(reader, "c1")


class TestPayloads:
    def test_of_any_bytes(self, tmp_path: Path) -> None:
        """What was committed to is hostile from the beginning: requests, prompts, replies, responses."""
        chance = random.Random(5)
        hostile = [
            b"",
            b"null",
            b"[" * 50_000,
            b'{"name":' * 2000,
            b'{"name": 3}',
            b'{"name": "\\ud800"}',
            b'{"stars":1e999}',
            b"\xff" * 100,
            chance.randbytes(5000),
            b"data: {}\n\n" * 1000,
            chat("9" * 5000),
            chat("[" * 5000),
            chat('{"stars": 3, "stars": 4}'),
            chat('{"stars": ' + "9" * 4500 + "}"),
            b"<html>",
        ]
        for number, data in enumerate(hostile):
            place = tmp_path / f"{number}.db"
            payloads = (
                ("prompt", JSON, data),
                ("prompt/2", JSON, data),
                ("reply/1", JSON, data),
                ("reply/2", JSON, data),
                ("response", JSON, data),
            )
            attempts = [
                {**attempt(n=1), "adapter_version": "4", "status": 200, "fault": "unacceptable"},
                {**attempt(n=2), "adapter_version": "4", "status": 200, "why": "repair"},
            ]
            wrote(place, payloads=payloads, end={"attempts": attempts, "source": by(number=2)}, request=data)
            assert replayed(place, "c1").result in (DIFFERS, NOT)

    def test_cut_or_with_more_behind(self, place: Path) -> None:
        call_id = asked(place).call_id
        with tampering(place) as connection:
            connection.execute("UPDATE ledger_payload SET data = substr(data, 1, 20)")
        found = replayed(place, call_id)
        assert {each.step for each in found.steps if "isn't what was committed to" in each.reason} == {
            "request",
            "decode",
        }
        assert found.result is NOT


def test_the_users_own_code_may_raise_anything(place: Path) -> None:
    class Worse(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    def raises(self: Any, *arguments: Any) -> Any:
        raise Worse

    call_id = asked(place).call_id
    broken = type(
        "RateItem", (RateItem,), {"name": "rate-item", "accept": raises, "fallback": raises, "prompt": raises}
    )
    found = replayed(place, call_id, broken)
    assert [each.step for each in found.steps if each.result is DIFFERS] == ["prompt", "accept"]
    assert found.notes == ("the fallback fails today (Worse)",)


class TestCodeThatLeaves:
    """`SystemExit` in a capability's or a codec's own code: a step's result, and no silent end with 0."""

    @staticmethod
    def leaves(*arguments: Any, **named: Any) -> Any:
        raise SystemExit(0)

    def test_a_capability(self, place: Path) -> None:
        call_id = asked(place).call_id
        own = {"name": "rate-item", "accept": self.leaves, "fallback": self.leaves, "prompt": self.leaves}
        found = replayed(place, call_id, type("RateItem", (RateItem,), own))
        said = {each.step: each.reason for each in found.steps if each.result is DIFFERS}
        assert said == {
            "prompt": "prompt() raises SystemExit today",
            "accept": "accept() raises SystemExit today",
        }
        assert found.notes == ("the fallback fails today (SystemExit)",)

    def test_a_fallback_that_answered(self, place: Path) -> None:
        call_id = asked(place, chat_answer({"stars": 9})).call_id
        found = replayed(place, call_id, type("RateItem", (RateItem,), {"name": "rate-item", "fallback": self.leaves}))
        assert step(found, "fallback").reason.startswith("the fallback fails today (SystemExit)")

    def test_words_of_an_exception(self, place: Path) -> None:
        class Worse(ValueError):
            __str__ = __repr__ = self.leaves

        def accept(self: Any, request: Any, response: Any) -> None:
            raise Worse

        call_id = asked(place).call_id
        found = replayed(place, call_id, type("RateItem", (RateItem,), {"name": "rate-item", "accept": accept}))
        assert step(found, "accept").result is DIFFERS

    @pytest.mark.parametrize(
        ("name", "place_of", "problem"),
        [
            ("parse_request", "request", "the recorded request doesn't fit today's request type (SystemExit)"),
            ("read_answer", "schema", "the response type raises SystemExit today"),
            ("dump_response", "schema", "the response type raises SystemExit today"),
        ],
    )
    def test_a_type(self, name: str, place_of: str, problem: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        call_id = asked(place).call_id
        monkeypatch.setattr(Contract, name, self.leaves)
        assert step(replayed(place, call_id), place_of).reason == problem

    def test_a_codec(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        call_id = asked(place).call_id
        with monkeypatch.context() as patch:
            patch.setattr(judging, "judge", self.leaves)
            assert step(replayed(place, call_id), "decode").reason.startswith('fault: none then, "bug" now')
        monkeypatch.setattr(configured, "codec_of", self.leaves)
        found = step(replayed(place, call_id), "decode")
        assert (found.result, found.reason) == (NOT, "no reader can be made for its adapter (SystemExit)")

    def test_whoever_presses_ctrl_c_is_heard(self, place: Path) -> None:
        def accept(self: Any, request: Any, response: Any) -> None:
            raise KeyboardInterrupt

        call_id = asked(place).call_id
        with pytest.raises(KeyboardInterrupt):
            replayed(place, call_id, type("RateItem", (RateItem,), {"name": "rate-item", "accept": accept}))
