from __future__ import annotations

import json
from typing import Any

import pytest
from ledgers import CONTEXT, START, SteppedClock, attempt, completed, seeded, started
from test_merkle import VECTORS, vectors

from failsoft.context import Actor, CallContext, Case
from failsoft.core.effects import Tokens
from failsoft.core.evidence import BlockChanged, BreakerChanged, CallAmended, ConfigActivated
from failsoft.ledger import canonical, commitment, draft
from failsoft.ledger import record as record_module
from failsoft.ledger.commitment import Disclosure
from failsoft.ledger.draft import draft_of
from failsoft.ledger.record import Emitter, timestamp
from failsoft.outcome import Pin, Served, Source
from failsoft.prompt import Sampling


def body_of(evidence: Any, leaf: bytes | None = None) -> dict[str, Any]:
    emitter = Emitter("example.com/failsoft-test", SteppedClock(), seeded())
    return canonical.read(emitter.build(draft_of(evidence, lambda _: leaf), START, 2000).body)


@vectors
def test_the_vectors_call_completed_is_reproduced_from_evidence_but_for_what_is_random() -> None:
    vector = json.loads(json.loads(VECTORS.read_text())["ledger"]["records"][4])
    tries = (
        attempt(1, adapter="gpt", endpoint=None, pin=Pin("gpt-4.1-2025-04-14"), sampling=None, served=None, status=None,
                fault="connect_refused", us=2100, reply=None),
        attempt(2, pin=Pin("SmolLM2-135M-Instruct-Q4_1"), tokens=Tokens(61, 9), us=412345,
                served=Served("SmolLM2-135M-Instruct-Q4_1", request_id="chatcmpl-1")),
    )  # fmt: skip
    context = CallContext(Case("SPE4A7-26-R-0001", "solicitation"))
    made = body_of(
        completed(
            None, "01a208b4-db00-7000-8000-0000000000ff", attempts=tries, context=context,
            source=Source("adapter", "local", 2), us=415000,
        ),
        bytes.fromhex(vector["refs"]["started"]),
    )  # fmt: skip
    assert made["attempts"][1]["served"].pop("grade") == "unknown"  # the vector's adapter didn't grade
    for key in (
        "attempts",
        "call_id",
        "capability",
        "case",
        "degraded",
        "outcome",
        "refs",
        "source",
        "us",
        "type",
        "v",
    ):
        assert made[key] == vector[key], key
    assert [each["path"] for each in made["commitments"]] == [each["path"] for each in vector["commitments"]]


@vectors
def test_the_vectors_disclosures_are_read_and_written_and_have_their_digests() -> None:
    for path, each in json.loads(VECTORS.read_text())["ledger"]["payloads"].items():
        plain = bytes.fromhex(each["disclosure"])
        disclosure = Disclosure.from_bytes(plain)
        assert (disclosure.path, disclosure.media) == (path, "application/json")
        assert disclosure.to_bytes() == plain
        assert commitment.digest(plain).hex() == each["digest"]
        assert commitment.is_for(plain, path)
        assert not commitment.is_for(plain, path + "x")


@pytest.mark.parametrize(
    "change", [lambda p: p + b"x", lambda p: p[:-1], lambda p: p[:33], lambda p: b"", lambda p: p[:40]]
)
def test_a_disclosure_that_is_cut_or_longer_is_refused(change: Any) -> None:
    plain = change(Disclosure("request", "application/json", b"{}", bytes(32)).to_bytes())
    with pytest.raises(ValueError, match="disclosure"):
        Disclosure.from_bytes(plain)
    assert not commitment.is_for(plain, "request")


def test_equal_payloads_have_different_commitments() -> None:
    emitter = Emitter("o", SteppedClock(), seeded())
    first, second = (emitter.build(draft_of(started(), lambda _: None), START, 0) for _ in range(2))
    assert first.payloads[0][0] != second.payloads[0][0]
    assert b"HEXAGON" not in first.body


def test_a_time_always_has_six_digits_of_microseconds() -> None:
    assert timestamp(START) == "2026-11-23T14:00:00.000000Z"
    assert timestamp(START + 415_300_999) == "2026-11-23T14:00:00.415300Z"


def test_an_emitters_time_never_falls_though_threads_queue_in_another_order() -> None:
    emitter = Emitter("o", SteppedClock(), seeded())
    times = [9_000_000, 5_000_000, 10_000_000]
    built = [emitter.build(draft_of(started(str(at)), lambda _: None), START, at) for at in times]
    assert [canonical.read(each.body)["mono_us"] for each in built] == [8999, 8999, 9999]


def test_a_refused_record_burns_no_number() -> None:
    emitter = Emitter("o", SteppedClock(), seeded())
    with pytest.raises(ValueError):
        emitter.build(draft_of(started("x" * 61_440 and "ok", deadline_ms=2**53), lambda _: None), START, 0)
    assert emitter.position == (0, 0)


BAD = "line\nbreak"


@pytest.mark.parametrize(
    "evidence",
    [
        started(BAD),
        started(capability="x" * 129),
        started(capability=""),
        started(route=("\ud800",)),
        started(context=CallContext(Case(BAD))),
        started(context=CallContext(None, Actor("zero\u200bwidth"))),
        started(context=CallContext(labels=frozenset({BAD}))),
        completed(None, attempts=(attempt(fault=BAD),)),
        completed(None, passed_over=(("gpt", BAD),)),
        completed(None, attempts=(attempt(sampling=Sampling(temperature=float("nan"))),)),
        BlockChanged(BAD, True, "u-7", "why"),
    ],
)
def test_a_malformed_identifier_is_refused(evidence: Any) -> None:
    with pytest.raises(ValueError):
        body_of(evidence)


def test_what_is_no_evidence_is_refused() -> None:
    with pytest.raises(TypeError, match="no evidence"):
        draft_of(object(), lambda _: None)  # type: ignore[arg-type]


def test_a_payload_beyond_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "MAX_PAYLOAD", 10)
    with pytest.raises(ValueError, match="payload of"):
        body_of(started())


def test_provider_strings_are_cut_at_512_characters_and_made_valid() -> None:
    served = Served("m" * 600, fingerprint="\ud800", request_id="ok")
    fields = body_of(completed(None, attempts=(attempt(served=served),)))["attempts"][0]["served"]
    assert fields["model"] == "m" * 512
    assert fields["fingerprint"] == "?"


def test_a_long_call_keeps_its_first_and_last_sixteen_attempts() -> None:
    fields = body_of(completed(None, attempts=tuple(attempt(n, reply=None) for n in range(1, 41))))
    assert [each["n"] for each in fields["attempts"]] == [*range(1, 17), *range(25, 41)]
    assert fields["attempts_omitted"] == 8


def test_a_provider_that_tells_long_stories_does_not_burst_the_record() -> None:
    story = Served("\U0001f600" * 600, fingerprint="\U0001f600" * 600, request_id="\U0001f600" * 600)
    fields = body_of(completed(None, attempts=tuple(attempt(n, served=story) for n in range(1, 41))))
    assert [each["n"] for each in fields["attempts"]] == [1, 2, 39, 40]
    assert fields["attempts_omitted"] == 36


def test_what_is_absent_is_an_absent_key() -> None:
    bare = attempt(
        endpoint=None, pin=Pin("m", ()), served=None, sampling=Sampling(seed=None, max_tokens=64, stop=("END",)),
        status=None, tokens=Tokens(None, None), reply=None, detail=b"our words",
    )  # fmt: skip
    fields = body_of(
        completed(None, attempts=(bare,), source=None, prompt=None, response=None, context=CallContext(),
                  capability_version=None)
    )  # fmt: skip
    assert fields["attempts"] == [
        {
            "adapter": "local",
            "adapter_version": "1",
            "n": 1,
            "pin": {"model": "m"},
            "sampling": {"max_tokens": 64, "stop": ["END"], "temperature": "0.0"},
            "us": 412345,
        }
    ]
    assert fields["capability"] == {"name": "classify-item"}
    assert [each["path"] for each in fields["commitments"]] == ["error/1"]
    assert not {"case", "labels", "refs", "source", "attempts_omitted", "passed_over"} & fields.keys()


def test_a_pin_by_pattern_says_the_pattern() -> None:
    fields = body_of(completed(None, attempts=(attempt(pin=Pin("m", (), "m-.*")),)))
    assert fields["attempts"][0]["pin"] == {"model": "m", "served_pattern": "m-.*"}


def test_a_reply_that_is_no_json_is_kept_as_bytes() -> None:
    what = draft_of(completed(None, attempts=(attempt(reply=b"<html>"),)), lambda _: None)
    assert ("reply/1", draft.BINARY, b"<html>") in what.payloads


def test_a_call_without_attempts_case_or_route_says_none() -> None:
    bare = CallContext()
    fields = body_of(completed(None, attempts=(), passed_over=(("gpt", "blocked"),), context=bare))
    assert fields["passed_over"] == [{"adapter": "gpt", "reason": "blocked"}]
    assert not {"attempts", "case"} & fields.keys()
    assert not {"actor", "route"} & body_of(started(route=(), context=bare)).keys()
    anonymous = draft.call_orphaned("c", bytes(32), None, None).fields
    assert anonymous == {"call_id": "c", "refs": {"started": "00" * 32}}


def test_the_other_records_say_what_they_are_for() -> None:
    config = body_of(ConfigActivated(b"{}", (("classify-item", None),), (("local", "1", Pin("m")),)))
    assert config["capabilities"] == [{"name": "classify-item"}]
    assert config["adapters"] == [{"adapter_version": "1", "name": "local", "pin": {"model": "m", "served": ["m"]}}]
    assert "adapters" not in body_of(ConfigActivated(b"{}", (), ()))
    breaker = body_of(BreakerChanged("local", "health", "closed", "open", "5 of 10 failed", 30_000))
    assert (breaker["from"], breaker["to"], breaker["until_ms"]) == ("closed", "open", 30_000)
    assert "until_ms" not in body_of(BreakerChanged("local", "latch", "open", "closed", "mended"))
    block = body_of(BlockChanged("adapter:gpt", True, "u-7", "an order"))
    assert (block["subject"], block["blocked"], block["actor"]) == ("adapter:gpt", True, {"id": "u-7"})
    amended = CallAmended("c", "cap", None, None, "answered", True, Source("fallback", "f:F"), CONTEXT, 5, b"1")  # type: ignore[arg-type]
    assert body_of(amended, bytes(32))["refs"] == {"completed": "00" * 32}
    assert "refs" not in body_of(amended)
