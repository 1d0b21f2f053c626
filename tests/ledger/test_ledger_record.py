from __future__ import annotations

import json
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import CONTEXT, START, SteppedClock, attempt, completed, seeded, started
from test_merkle import VECTORS, vectors

from failsoft.context import Actor, CallContext, Case
from failsoft.core.effects import Tokens
from failsoft.core.evidence import BlockChanged, BreakerChanged, CallAmended, ConfigActivated
from failsoft.ledger.format import canonical, commitment
from failsoft.ledger.format.commitment import Disclosure
from failsoft.ledger.format.merkle import leaf_hash
from failsoft.ledger.records import draft
from failsoft.ledger.records import record as record_module
from failsoft.ledger.records.draft import draft_of
from failsoft.ledger.records.record import Emitter, timestamp
from failsoft.ledger.records.schema import REQUIRED, Kind
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


@pytest.mark.parametrize(("path", "media", "whole"), [(128, 128, True), (129, 1, False), (1, 129, False)])
def test_a_path_or_a_media_type_has_at_most_128_bytes(path: int, media: int, whole: bool) -> None:
    made = Disclosure("p" * path, "m" * media, b"data", bytes(32))
    assert commitment.is_for(made.to_bytes(), made.path) is whole
    if whole:
        assert Disclosure.from_bytes(made.to_bytes()) == made
    else:
        with pytest.raises(ValueError, match="too long"):
            Disclosure.from_bytes(made.to_bytes())


@given(st.data())
@settings(deadline=None)
def test_whoever_checks_a_disclosure_accepts_what_can_be_read_and_nothing_else(data: st.DataObject) -> None:
    plain = bytearray(Disclosure("reply/1", "a/b", b"data", bytes(range(32))).to_bytes())
    for at in data.draw(st.lists(st.integers(0, len(plain) - 1), max_size=3)):
        plain[at] = data.draw(st.integers(0, 255))
    plain += data.draw(st.binary(max_size=3))
    try:
        path: str | None = Disclosure.from_bytes(bytes(plain)).path
    except ValueError:
        path = None
    assert commitment.is_for(bytes(plain), "reply/1") is (path == "reply/1")


def test_equal_payloads_have_different_commitments() -> None:
    emitter = Emitter("o", SteppedClock(), seeded())
    first, second = (emitter.build(draft_of(started(), lambda _: None), START, 0) for _ in range(2))
    assert first.payloads[0][0] != second.payloads[0][0]
    assert b"HEXAGON" not in first.body


def test_a_record_says_who_when_and_where_and_its_index_copies_say_the_same() -> None:
    emitter = Emitter("example.com/x", SteppedClock(), lambda size: b"\xff" * size)
    emitter.build(draft_of(started("c0"), lambda _: None), START, 0)
    built = emitter.build(draft_of(started("c1"), lambda _: None), START, 8_000_000)
    fields = canonical.read(built.body)
    assert {key: fields[key] for key in ("v", "type", "rid", "ts", "origin", "emitter", "eseq", "mono_us")} == {
        "v": 1,
        "type": "call.started",
        "rid": "01a208b4-db00-7fff-bfff-ffffffffffff",
        "ts": "2026-11-23T14:00:00.000000Z",
        "origin": "example.com/x",
        "emitter": "ff" * 16,
        "eseq": 1,
        "mono_us": 7999,
    }
    assert (built.kind, built.leaf) == (Kind.CALL_STARTED, leaf_hash(built.body))
    assert (built.rid, built.ts, built.emitter, built.eseq) == (fields["rid"], fields["ts"], "ff" * 16, 1)
    assert (built.call_id, built.case_id, built.capability) == ("c1", "SPE4A7-26-R-0001", "classify-item")
    ((digest, dek, nonce, plain),) = built.payloads
    assert (dek, nonce) == (None, None)
    assert fields["commitments"] == [{"digest": digest.hex(), "path": "request"}]
    assert commitment.digest(plain) == digest
    assert Disclosure.from_bytes(plain) == Disclosure("request", draft.JSON, started().request, b"\xff" * 32)


def test_a_configuration_is_an_artifact_that_its_record_names_by_digest() -> None:
    snapshot = b'{"adapters":{}}'
    what = draft_of(ConfigActivated(snapshot, (), ()), lambda _: None)
    built = Emitter("o", SteppedClock(), seeded()).build(what, START, 0)
    assert built.artifacts == ((sha256(snapshot).digest(), draft.JSON, snapshot),)
    assert canonical.read(built.body)["config_sha256"] == sha256(snapshot).hexdigest()


OWN = [
    (draft.log_opened(), Kind.LOG_OPENED, {"format": "failsoft-ledger/1"}),
    (
        draft.emitter_opened("worker-1", 7, {"python": "3.11"}),
        Kind.EMITTER_OPENED,
        {"host": "worker-1", "pid": 7, "lib": {"python": "3.11"}, "time_source": "system"},
    ),
    (draft.emitter_closed(9), Kind.EMITTER_CLOSED, {"last": 9}),
    (
        draft.call_orphaned("c", bytes(32), "classify-item", "a-case"),
        Kind.CALL_ORPHANED,
        {
            "call_id": "c",
            "refs": {"started": "00" * 32},
            "capability": {"name": "classify-item"},
            "case": {"id": "a-case"},
        },
    ),
    (draft.gap_declared("queue_full", 3), Kind.GAP_DECLARED, {"count": 3, "reason": "queue_full"}),
    (
        draft.ledger_failure("then", "refuse", 2),
        Kind.LEDGER_FAILURE,
        {"from": "then", "policy": "refuse", "lost_at_most": 2},
    ),
    (
        draft.ledger_failure("then", "refuse", 2, "later"),
        Kind.LEDGER_FAILURE,
        {"from": "then", "policy": "refuse", "lost_at_most": 2, "to": "later"},
    ),
    (
        draft.ledger_recovered("then", "later", bytes(32)),
        Kind.LEDGER_RECOVERED,
        {"from": "then", "to": "later", "refs": {"failure": "00" * 32}},
    ),
]


@pytest.mark.parametrize(("what", "kind", "fields"), OWN)
def test_the_ledgers_own_records_say_what_the_format_requires(
    what: draft.Draft, kind: Kind, fields: dict[str, Any]
) -> None:
    assert (what.kind, what.fields, what.payloads, what.artifacts) == (kind, fields, (), ())
    assert REQUIRED[kind] <= fields.keys()


def test_a_started_call_says_who_asked_for_what_and_where_it_may_go() -> None:
    fields = draft_of(started(), lambda _: None).fields
    assert fields == {
        "call_id": "call-1",
        "capability": {"name": "classify-item", "version": "1"},
        "case": {"id": "SPE4A7-26-R-0001", "kind": "solicitation"},
        "labels": ["CUI"],
        "actor": {"id": "u-7", "kind": "user"},
        "config_sha256": "8f" * 32,
        "deadline_ms": 8000,
        "route": ["gpt", "local"],
    }
    whole = CallContext(Case("c", "k", "s"), Actor("u", "user", "boss"), frozenset({"b", "a"}))
    fields = draft_of(started(context=whole), lambda _: None).fields
    assert fields["case"] == {"id": "c", "kind": "k", "series": "s"}
    assert fields["actor"] == {"id": "u", "kind": "user", "on_behalf_of": "boss"}
    assert fields["labels"] == ["a", "b"]


def test_a_completed_call_says_what_became_of_it() -> None:
    tries = (attempt(1, tokens=Tokens(61, None), sampling=Sampling(seed=3, max_tokens=64)), attempt(2, fault="timeout"))
    made = draft_of(completed(None, attempts=tries, source=Source("adapter", "local", 2)), lambda _: bytes(32))
    assert made.kind is Kind.CALL_COMPLETED
    assert {key: value for key, value in made.fields.items() if key != "attempts"} == {
        "call_id": "call-1",
        "capability": {"name": "classify-item", "version": "1"},
        "case": {"id": "SPE4A7-26-R-0001", "kind": "solicitation"},
        "labels": ["CUI"],
        "outcome": "answered",
        "degraded": False,
        "us": 415_000,
        "source": {"kind": "adapter", "name": "local", "version": "1", "attempt": 2},
        "refs": {"started": "00" * 32},
    }
    first, second = made.fields["attempts"]
    assert first == {
        "n": 1,
        "adapter": "local",
        "adapter_version": "1",
        "endpoint": "http://127.0.0.1:8080/v1",
        "pin": {"model": "SmolLM2", "served": ["SmolLM2"]},
        "served": {"model": "SmolLM2", "grade": "echoed", "request_id": "chatcmpl-1"},
        "status": 200,
        "sampling": {"temperature": "0.0", "max_tokens": 64, "seed": 3},
        "tokens": {"in": 61},
        "us": 412_345,
    }
    assert second["fault"] == "timeout"


def test_sampling_that_leaves_the_temperature_to_the_model_says_none() -> None:
    tries = (attempt(1, sampling=Sampling(temperature=None, seed=None, max_tokens=64)),)
    (first,) = draft_of(completed(None, attempts=tries), lambda _: bytes(32)).fields["attempts"]
    assert first["sampling"] == {"max_tokens": 64}


def test_an_amendment_says_what_the_caller_really_got() -> None:
    source = Source("fallback", "rules:Table")
    amended = CallAmended("c", "cap", None, None, "answered", True, source, CallContext(), 5, b"1")  # type: ignore[arg-type]
    made = draft_of(amended, lambda _: bytes(32))
    assert (made.kind, made.payloads) == (Kind.CALL_AMENDED, (("response", draft.JSON, b"1"),))
    assert made.fields == {
        "call_id": "c",
        "capability": {"name": "cap"},
        "outcome": "answered",
        "degraded": True,
        "us": 5,
        "source": {"kind": "fallback", "name": "rules:Table"},
        "refs": {"completed": "00" * 32},
    }


@pytest.mark.parametrize(("reply", "media"), [(b"{}", draft.JSON), (b"[]", draft.JSON), (b"", draft.BINARY)])
def test_a_reply_is_called_json_where_it_looks_so(reply: bytes, media: str) -> None:
    made = draft_of(completed(None, attempts=(attempt(3, reply=reply),)), lambda _: None)
    assert ("reply/3", media, reply) in made.payloads


@pytest.mark.parametrize(("count", "kept"), [(20, 20), (32, 32), (33, 32)])
def test_up_to_32_attempts_are_all_kept(count: int, kept: int) -> None:
    fields = body_of(completed(None, attempts=tuple(attempt(n, reply=None) for n in range(1, count + 1))))
    assert len({each["n"] for each in fields["attempts"]}) == len(fields["attempts"]) == kept
    assert fields.get("attempts_omitted", 0) == count - kept


def test_the_founding_record_is_no_emitters() -> None:
    emitter = Emitter("o", SteppedClock(), seeded())
    built = emitter.build(draft.log_opened(), START, 0)
    assert not {"emitter", "eseq", "mono_us"} & canonical.read(built.body).keys()
    assert (built.emitter, built.eseq, built.call_id, built.case_id, built.capability) == (None,) * 5
    assert (built.payloads, built.artifacts) == ((), ())
    assert emitter.position == (0, 0)


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
        completed(
            None, attempts=(attempt(sampling=SimpleNamespace(temperature=float("nan"), seed=0, max_tokens=1, stop=())),)
        ),
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
    body_of(started(request=b"x" * 10))
    with pytest.raises(ValueError, match="payload of"):
        body_of(started(request=b"x" * 11))


def test_provider_strings_are_cut_at_512_characters_and_made_valid() -> None:
    served = Served("m" * 600, fingerprint="\ud800", request_id="ok", upstream="Vendor")
    fields = body_of(completed(None, attempts=(attempt(served=served),)))["attempts"][0]["served"]
    assert fields["model"] == "m" * 512
    assert fields["fingerprint"] == "?"
    assert fields["upstream"] == "Vendor"


def test_a_long_call_keeps_its_first_and_last_sixteen_attempts() -> None:
    fields = body_of(completed(None, attempts=tuple(attempt(n, reply=None) for n in range(1, 41))))
    assert [each["n"] for each in fields["attempts"]] == [*range(1, 17), *range(25, 41)]
    assert fields["attempts_omitted"] == 8


@pytest.mark.parametrize("count", [5, 40])
def test_a_provider_that_tells_long_stories_does_not_burst_the_record(count: int) -> None:
    long = "\U0001f600" * 600
    story = {"served": Served(long, fingerprint=long, request_id=long), "pin": Pin(long, (long,)), "endpoint": long}
    fields = body_of(completed(None, attempts=tuple(attempt(n, **story) for n in range(1, count + 1))))
    assert [each["n"] for each in fields["attempts"]] == [1, 2, count - 1, count]
    assert fields["attempts_omitted"] == count - 4


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


def test_a_repair_says_why_it_was_made_and_keeps_its_own_prompt() -> None:
    tries = (
        attempt(1, fault="not_acceptable", detail=b"the class is not in the catalogue"),
        attempt(2, why="repair", prompt=b'[{"content":"Mend it.","role":"user"}]'),
    )
    first, second = body_of(completed(None, attempts=tries))["attempts"]
    assert "why" not in first
    assert second["why"] == "repair"
    made = draft_of(completed(None, attempts=tries), lambda _: None)
    assert {path: (media, data) for path, media, data in made.payloads} == {
        "prompt": (draft.JSON, b'[{"content":"Which class?","role":"user"}]'),
        "response": (draft.JSON, b'{"fsc":"5310"}'),
        "reply/1": (draft.JSON, b'{"id":"chatcmpl-1"}'),
        "error/1": (draft.TEXT, b"the class is not in the catalogue"),
        "reply/2": (draft.JSON, b'{"id":"chatcmpl-1"}'),
        "prompt/2": (draft.JSON, b'[{"content":"Mend it.","role":"user"}]'),
    }


def test_commitments_stand_in_the_order_of_their_paths() -> None:
    tries = tuple(attempt(n, detail=b"why", prompt=b"[]") for n in range(1, 12))
    paths = [each["path"] for each in body_of(completed(None, attempts=tries))["commitments"]]
    assert paths == sorted(paths)
    assert len(set(paths)) == 2 + 3 * 11


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
    assert (breaker["adapter"], breaker["layer"], breaker["reason"]) == ("local", "health", "5 of 10 failed")
    quality = body_of(BreakerChanged("local", "quality", "closed", "open", "unfit", capability="classify-item"))
    assert quality["capability"] == {"name": "classify-item"}
    assert "capability" not in breaker
    block = body_of(BlockChanged("adapter:gpt", True, "u-7", "an order"))
    assert (block["subject"], block["blocked"], block["actor"]) == ("adapter:gpt", True, {"id": "u-7"})
    assert block["why"] == "an order"
    assert "until" not in block
    ends = body_of(BlockChanged("adapter:gpt", True, "u-7", "an order", "2026-11-23T16:00:00Z"))
    assert ends["until"] == "2026-11-23T16:00:00Z"
    assert "mode" not in block
    forced = body_of(BlockChanged("adapter:gpt", False, "u-7", "a drill", mode="forced"))
    assert (forced["mode"], forced["blocked"]) == ("forced", False)
    amended = CallAmended("c", "cap", None, None, "answered", True, Source("fallback", "f:F"), CONTEXT, 5, b"1")  # type: ignore[arg-type]
    assert body_of(amended, bytes(32))["refs"] == {"completed": "00" * 32}
    assert "refs" not in body_of(amended)
