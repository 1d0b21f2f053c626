"""How reviews stand, as the log tells it: whatever came in whatever order, and what a verifier finds of forged ones."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import completed, ledger_at, settled, started
from test_ledger_tampering import put_back, recompute
from tests.independent.agreeing import by_both as verify
from tests.logs import TEXT, Log, at, by

from failsoft.context import Actor, Case
from failsoft.core.evidence import CallAmended, PersonActed
from failsoft.ledger.format.canonical import ProfileError
from failsoft.ledger.read import read
from failsoft.ledger.records.person_draft import need_of, person_acted
from failsoft.ledger.records.record import Built, Draft
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.reviews import COLUMNS, HISTORY, Deed, Review, history, pending, reviewed, standing
from failsoft.outcome import Source
from failsoft.review import ReviewNeed, sampled

REQUIRED = {"required": True, "policy": "always", "status": "pending"}
NOT_REQUIRED = {"required": False, "policy": "when"}
KINDS = {"review": Kind.REVIEW_RECORDED, "override": Kind.OVERRIDE_RECORDED, "appeal": Kind.APPEAL_RECORDED}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "x.db")


def commitment(built: Built) -> dict[str, str]:
    (found,) = [each for each in json.loads(built.body)["commitments"] if each["path"] == "response"]
    return dict(found)


def acted(log: Log, act: str, second: float, of: Built, call_id: str | None = None, **fields: Any) -> Built:
    """What somebody did about the answer in that record."""
    return log.first.act(KINDS[act], second, of, **({} if call_id is None else {"call_id": call_id}), **fields)


def amended(log: Log, call_id: str, second: float, of: Built, **fields: Any) -> Built:
    told = {
        "call_id": call_id,
        "capability": {"name": "rate"},
        "outcome": "answered",
        "degraded": True,
        "us": 7,
        "source": {"kind": "fallback", "name": "rules"},
        "refs": {"completed": of.leaf.hex()},
        **fields,
    }
    return log.first.say(Draft(Kind.CALL_AMENDED, told, (("response", "application/json", b"1"),)), second)


def call(log: Log, call_id: str, second: float, **fields: Any) -> Built:
    return log.first.call(call_id, second, **{"source": by(), "review": REQUIRED, **fields})


def found(log: Log, everything: bool = False, **options: Any) -> list[Review]:
    with read(log.path) as reader:
        return list((reviewed if everything else pending)(reader, **options))


def stands(log: Log, everything: bool = False, **options: Any) -> list[tuple[str, str, str]]:
    return [(each.call_id, each.status, each.since) for each in found(log, everything, **options)]


def problems(log: Log) -> list[str]:
    log.close()
    return [each.what for each in verify(log.path).problems if "has no end" not in each.what]


def prune(log: Log, where: str) -> None:
    connection = sqlite3.connect(log.path, isolation_level=None)
    connection.execute(f"UPDATE ledger_record SET body = NULL WHERE {where}")
    connection.close()


# --- what was done


def acts(log: Log, **options: Any) -> list[Deed]:
    with read(log.path) as reader:
        return list(history(reader, **options))


def test_each_act_is_told_also_what_a_later_one_took_the_place_of(log: Log) -> None:
    end = call(log, "c1", 2, case={"id": "T-17"})
    acted(log, "review", 5, end, own=True, actor={"id": "clerk"}, spent_ms=90_000)
    acted(log, "appeal", 7, end, person="vendor")
    acted(log, "override", 9, end, decision="changed", person="boss")
    assert [each.row() for each in acts(log)] == [
        {
            "index": 4, "ts": at(5), "call_id": "c1", "case": "", "capability": "rate", "act": "review",
            "person": "mwagner", "own": True, "actor": "clerk", "decision": "accepted", "kept": True,
            "reason": "looked at", "changed": "", "spent_ms": 90_000, "about": 3,
        },
        {
            "index": 5, "ts": at(7), "call_id": "c1", "case": "", "capability": "rate", "act": "appeal",
            "person": "vendor", "own": False, "actor": "", "decision": "", "kept": True,
            "reason": "looked at", "changed": "", "spent_ms": "", "about": 3,
        },
        {
            "index": 6, "ts": at(9), "call_id": "c1", "case": "", "capability": "rate", "act": "override",
            "person": "boss", "own": False, "actor": "", "decision": "changed", "kept": True,
            "reason": "looked at", "changed": "3", "spent_ms": "", "about": 3,
        },
    ]  # fmt: skip
    assert all(list(each.row()) == list(HISTORY) for each in acts(log))
    assert problems(log) == []


def test_acts_are_those_that_are_asked_for_in_the_order_of_the_log(log: Log) -> None:
    case = {"case": {"id": "T-17"}}
    first, second = call(log, "c1", 2, **case), call(log, "c2", 3, capability={"name": "grade"})
    acted(log, "review", 5, second)
    acted(log, "review", 6, first, **case)
    acted(log, "appeal", 7, second, person="vendor")

    def found(**options: Any) -> list[str]:
        return [each.entry.ts for each in acts(log, **options)]

    assert found() == [at(5), at(6), at(7)]
    assert found(case="T-17") == [at(6)]
    assert acts(log, case="T-17")[0].row()["case"] == "T-17"
    assert found(capability="grade") == [at(5), at(7)]
    assert found(since=at(6), until=at(7)) == [at(6)]
    assert found(case="none") == []


def test_an_act_about_what_the_caller_didnt_get_is_told_as_such(log: Log) -> None:
    end = call(log, "c1", 2)
    acted(log, "review", 4, end)
    late = amended(log, "c1", 5, end, review=REQUIRED)
    acted(log, "review", 6, end)
    acted(log, "review", 7, late, decision="rejected")
    assert [each.row()["about"] for each in acts(log)] == ["", "", 5], "the first was of what was put right later"


def test_a_reason_that_isnt_kept_is_told_so(log: Log) -> None:
    end = call(log, "c1", 2)
    acted(log, "override", 5, end, decision="changed")
    log.close()
    connection = sqlite3.connect(log.path, isolation_level=None)
    connection.executescript("DROP TRIGGER IF EXISTS ledger_payload_no_delete; DELETE FROM ledger_payload")
    connection.close()
    (one,) = acts(log)
    assert (one.reason, one.changed) == (None, None)
    assert (one.row()["kept"], one.row()["reason"], one.row()["changed"]) == (False, "", "")


def test_an_act_that_was_pruned_is_told_no_more(log: Log) -> None:
    end = call(log, "c1", 2)
    acted(log, "review", 5, end)
    prune(log, "type = 'review.recorded'")
    assert acts(log) == []


def test_acts_are_read_as_they_are_asked_for(log: Log) -> None:
    end = call(log, "c1", 2)
    acted(log, "review", 5, end)
    acted(log, "review", 6, end, refs="none")
    with read(log.path) as reader:
        found = history(reader)
        assert next(found).entry.ts == at(5)
        with pytest.raises(AttributeError):
            next(found)


# --- how it stands


def test_what_nobody_has_to_review_is_in_no_list(log: Log) -> None:
    log.first.call("c1", 1, source=by())
    call(log, "c2", 2, review=NOT_REQUIRED)
    call(log, "c3", 3, outcome="failed")
    assert (found(log), found(log, everything=True)) == ([], [])


def test_a_pending_answer_is_told_with_what_was_answered(log: Log) -> None:
    end = call(log, "c1", 2, case={"id": "T-17"}, capability={"name": "rate", "version": "2"})
    (one,) = found(log)
    assert one.text == "5"
    assert one.row() == {
        "index": 3, "ts": at(2.1), "call_id": "c1", "case": "T-17", "capability": "rate", "version": "2",
        "outcome": "answered", "source": "adapter", "answered_by": "gpt", "kept": True, "answer": "5", "policy": "always",
        "status": "pending", "since": at(2.1), "act": "", "person": "", "own": False,
    }  # fmt: skip
    assert list(one.row()) == list(COLUMNS)
    assert one.answer.leaf == end.leaf


def test_an_answer_that_isnt_kept_is_told_so(log: Log) -> None:
    call(log, "c1", 2, answer=b"")
    (one,) = found(log)
    assert (one.text, one.row()["kept"], one.row()["answer"]) == (None, False, "")


@pytest.mark.parametrize("act", ["review", "override"])
@pytest.mark.parametrize("decision", ["accepted", "changed", "rejected"])
def test_a_decision_ends_the_wait(log: Log, act: str, decision: str) -> None:
    end = call(log, "c1", 2)
    acted(log, act, 5, end, decision=decision)
    assert stands(log) == []
    assert stands(log, everything=True) == [("c1", decision, at(5))]
    assert problems(log) == []


def test_of_two_reviews_both_stand_and_the_newest_counts(log: Log) -> None:
    end = call(log, "c1", 2)
    first = acted(log, "review", 5, end, decision="rejected", person="jdoe")
    acted(log, "review", 6, end, decision="accepted", refs={"completed": end.leaf.hex(), "former": first.leaf.hex()})
    (one,) = found(log, everything=True)
    assert (one.status, one.person, one.act, one.since) == ("accepted", "mwagner", "review", at(6))
    with read(log.path) as reader:
        assert len(list(reader.records(Kind.REVIEW_RECORDED, call_id="c1"))) == 2
    assert problems(log) == []


def test_an_appeal_makes_it_pending_again_and_a_decision_after_it_ends_that(log: Log) -> None:
    end = call(log, "c1", 2)
    acted(log, "review", 5, end)
    acted(log, "appeal", 7, end, person="vendor")
    (one,) = found(log)
    assert (one.status, one.since, one.act, one.person) == ("pending", at(7), "appeal", "vendor")
    acted(log, "override", 9, end, decision="rejected")
    assert stands(log) == []
    assert stands(log, everything=True) == [("c1", "rejected", at(9))]
    assert problems(log) == []


def test_an_appeal_against_what_nobody_had_to_review_makes_it_pending(log: Log) -> None:
    end = call(log, "c1", 2, review=NOT_REQUIRED)
    acted(log, "appeal", 7, end)
    (one,) = found(log)
    assert (one.since, one.row()["policy"], one.answer.index) == (at(7), "", 3)
    assert stands(log, everything=True) == stands(log)


def test_an_appeal_against_what_waits_anyway_doesnt_begin_the_wait_anew(log: Log) -> None:
    end = call(log, "c1", 2)
    acted(log, "appeal", 7, end)
    assert stands(log) == [("c1", "pending", at(2.1))]


def test_whoever_waited_longest_comes_first(log: Log) -> None:
    ends = [call(log, f"c{each}", each * 10) for each in range(1, 4)]
    acted(log, "review", 50, ends[0])
    acted(log, "appeal", 60, ends[0])
    assert [each[0] for each in stands(log)] == ["c2", "c3", "c1"]
    ended = found(log, everything=True)
    assert [each.call_id for each in ended] == ["c1", "c2", "c3"]  # as they came


def test_a_review_without_need_is_told_once(log: Log) -> None:
    end = call(log, "c1", 2, review=NOT_REQUIRED)
    acted(log, "review", 5, end)
    acted(log, "review", 6, end)
    assert stands(log) == []
    assert stands(log, everything=True) == [("c1", "accepted", at(6))]


def test_what_the_caller_really_got_counts(log: Log) -> None:
    end = call(log, "c1", 2, review=NOT_REQUIRED)
    amended(log, "c1", 3, end, review=REQUIRED)
    other = call(log, "c2", 4)
    amended(log, "c2", 5, other, review=NOT_REQUIRED)
    refused = call(log, "c3", 6)
    amended(log, "c3", 7, refused, outcome="refused", degraded=False)
    (one,) = found(log)
    assert (one.call_id, one.answer.relation, one.text, one.since) == ("c1", "amended", "1", at(3))
    assert [each.call_id for each in found(log, everything=True)] == ["c1"]
    assert problems(log) == []


def test_an_amendment_after_another_that_waits_goes_to_the_end(log: Log) -> None:
    end = call(log, "c1", 2)
    call(log, "c2", 3)
    amended(log, "c1", 4, end, review=REQUIRED)
    assert stands(log) == [("c2", "pending", at(3.1)), ("c1", "pending", at(4))]


def test_a_review_of_what_the_caller_didnt_get_decides_nothing(log: Log) -> None:
    end = call(log, "c1", 2)
    amended(log, "c1", 3, end, review=REQUIRED)
    acted(log, "review", 4, end)
    assert stands(log) == [("c1", "pending", at(3))]
    assert stands(log, everything=True) == [("c1", "pending", at(3))]


def test_an_act_about_no_call_at_all_is_in_no_list(log: Log) -> None:
    end = call(log, "c1", 2)
    acted(log, "appeal", 4, end, call_id="c9")
    assert [each[0] for each in stands(log)] == ["c1"]
    with read(log.path) as reader:
        assert standing(reader, "c9").status == "none"
        assert standing(reader, "c8").answer is None


def test_how_it_stood_before_a_record(log: Log) -> None:
    end = call(log, "c1", 2)
    acted(log, "review", 4, end)
    with read(log.path) as reader:
        assert [standing(reader, "c1", before).status for before in (3, 4, 5)] == ["none", "pending", "accepted"]


def test_the_list_is_of_a_case_or_a_capability(log: Log) -> None:
    call(log, "c1", 2, case={"id": "T-17"})
    call(log, "c2", 3, capability={"name": "grade"})
    call(log, "c3", 4)
    for everything in (False, True):
        assert [each[0] for each in stands(log, everything, case="T-17")] == ["c1"]
        assert [each[0] for each in stands(log, everything, capability="grade")] == ["c2"]
        assert stands(log, everything, case="T-18") == []


def test_what_was_pruned_is_passed_over(log: Log) -> None:
    end = call(log, "c1", 2)
    acted(log, "review", 4, end)
    call(log, "c2", 5)
    prune(log, "call_id = 'c1'")
    for everything in (False, True):
        assert [each[0] for each in stands(log, everything)] == ["c2"]
    with read(log.path) as reader:
        assert standing(reader, "c1").answer is None


# --- any sequence


STEPS = st.lists(
    st.sampled_from(["amend", "amend required", "refuse", "review", "override", "appeal", "stale"]), max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(st.booleans(), STEPS), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_both_lists_and_the_look_up_agree_whatever_happened(
    tmp_path: Path, calls: list[tuple[bool, list[str]]], chance: Any
) -> None:
    """Against rules written anew: a decision counts if it's about the newest answer, an appeal undoes it."""
    path = tmp_path / f"{next(_numbers)}.db"
    log = Log(path)
    clock = itertools.count(10)
    newest: dict[str, Built] = {}
    ends: dict[str, Built] = {}
    expected: dict[str, str] = {}
    for number, (required, _) in enumerate(calls):
        name = f"c{number}"
        ends[name] = newest[name] = call(log, name, next(clock), review=REQUIRED if required else NOT_REQUIRED)
        expected[name] = "pending" if required else "none"
    given: dict[str, bool] = dict.fromkeys(newest, True)
    steps = [(f"c{number}", each) for number, (_, listed) in enumerate(calls) for each in listed]
    chance.shuffle(steps)
    for name, step in steps:
        second = next(clock)
        if step.startswith("amend") or step == "refuse":
            review = REQUIRED if step == "amend required" else NOT_REQUIRED
            given[name] = step != "refuse"
            outcome = "answered" if given[name] else "refused"
            newest[name] = amended(log, name, second, ends[name], review=review, outcome=outcome)
            expected[name] = "pending" if step == "amend required" else "none"
        elif step == "stale" and newest[name] is not ends[name]:
            acted(log, "review", second, ends[name], name, decision="rejected")
        else:
            act = "review" if step == "stale" else step
            decision = None if act == "appeal" else chance.choice(["accepted", "changed", "rejected"])
            acted(log, act, second, newest[name], name, decision=decision)
            if given[name]:
                expected[name] = decision or "pending"
    log.close()
    with read(path) as reader:
        listed = {each.call_id: each.status for each in reviewed(reader)}
        waiting = list(pending(reader))
        looked_up = {name: standing(reader, name).status for name in newest}
    assert looked_up == expected
    assert listed == {name: status for name, status in expected.items() if status != "none"}
    assert {each.call_id for each in waiting} == {name for name, status in expected.items() if status == "pending"}
    assert [each.since for each in waiting] == sorted(each.since for each in waiting)
    assert [each.what for each in verify(path).problems] == []
    path.unlink()


_numbers = itertools.count()


# --- what it is made of


def act(**changes: Any) -> PersonActed:
    values: dict[str, Any] = {
        "act": "review", "call_id": "call-1", "capability": "rate", "capability_version": "2",
        "case": Case("T-17", "ticket", None), "labels": ("FOUO", "CUI"), "person": "mwagner", "relation": "completed",
        "answer": b"\x11" * 32, "former": None, "actor": Actor("desk", "service"), "decision": "changed", "shown": "22" * 32,
        "own": False, "spent_ms": 1500, "reason": b"because", "display": (TEXT, b"a page"), "changed": b"3",
    }  # fmt: skip
    return PersonActed(**{**values, **changes})


def test_a_review_says_who_decided_what_about_which_answer_and_hides_what_may_quote_data() -> None:
    draft = person_acted(act())
    assert draft.kind is Kind.REVIEW_RECORDED
    assert draft.fields == {
        "call_id": "call-1", "capability": {"name": "rate", "version": "2"}, "person": "mwagner", "decision": "changed",
        "refs": {"completed": "11" * 32}, "case": {"id": "T-17", "kind": "ticket"}, "labels": ["CUI", "FOUO"],
        "actor": {"id": "desk", "kind": "service"}, "shown": {"digest": "22" * 32, "path": "response"}, "spent_ms": 1500,
    }  # fmt: skip
    assert draft.payloads == (
        ("reason", TEXT, b"because"),
        ("changed", "application/json", b"3"),
        ("shown", TEXT, b"a page"),
    )
    assert "because" not in repr(act())


def test_an_appeal_without_anything_else_says_just_that() -> None:
    bare = act(
        act="appeal", case=None, labels=(), actor=None, decision=None, shown=None, spent_ms=None, display=None,
        changed=None, capability_version=None, own=True, former=b"\x33" * 32, relation="amended",
    )  # fmt: skip
    assert person_acted(bare).fields == {
        "call_id": "call-1", "capability": {"name": "rate"}, "person": "mwagner", "own": True,
        "refs": {"amended": "11" * 32, "former": "33" * 32},
    }  # fmt: skip
    assert person_acted(bare).kind is Kind.APPEAL_RECORDED
    assert person_acted(act(act="override")).kind is Kind.OVERRIDE_RECORDED


@pytest.mark.parametrize(
    ("need", "fields"),
    [
        (ReviewNeed(True, "always"), REQUIRED),
        (ReviewNeed(False, "when"), NOT_REQUIRED),
        (ReviewNeed(False, "sample", 0.05), {"required": False, "policy": "sample", "sample": "0.05"}),
        (
            ReviewNeed(True, "when", None, "KeyError"),
            {"required": True, "policy": "when", "status": "pending", "error": "KeyError"},
        ),
    ],
)
def test_a_calls_end_says_whether_and_why(need: ReviewNeed, fields: dict[str, Any]) -> None:
    assert need_of(need) == fields


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("E" * 200, "E" * 128),
        ("E" * 127 + "é", "E" * 127),
        ("Wrong\x1b\u202e Kind", "WrongKind"),
        ("e\u0301", "é"),
        (" ", "Exception"),
        ("\ud800", "Exception"),
    ],
)
def test_an_errors_name_is_one_that_a_record_takes(name: str, kept: str) -> None:
    """It's the application's own: what it can't say must not cost the call's end."""
    assert need_of(ReviewNeed(True, "when", None, name))["error"] == kept


def test_evidence_becomes_records_that_verify(tmp_path: Path) -> None:
    path = tmp_path / "y.db"
    ledger = ledger_at(path)
    ledger.open()
    begin = ledger.submit(started())
    end = ledger.submit(completed(begin, review=ReviewNeed(False, "when")))
    ledger.submit(
        CallAmended(
            "call-1", "classify-item", "1", end, "answered", True, Source("fallback", "r"), completed(begin).context, 9,
            b"1", ReviewNeed(True, "always"),
        )
    )  # fmt: skip
    settled(end)
    ledger.close()
    with read(path) as reader:
        held = standing(reader, "call-1")
        assert held.answer is not None
        assert (held.status, held.answer.relation, held.answer.labels) == ("pending", "amended", ("CUI",))
        ends = [each.fields["review"] for each in reader.records(["call.completed", "call.amended"])]
    assert ends == [NOT_REQUIRED, REQUIRED]
    answer, shown = held.answer.leaf, held.answer.response
    ledger = ledger_at(path)
    ledger.open()
    done = ledger.submit(act(relation="amended", answer=answer, shown=shown))
    settled(done)
    ledger.close()
    assert verify(path).exit_code == 0


# --- forged


def one_reviewed(log: Log) -> tuple[Built, Built]:
    end = call(log, "c1", 2)
    return end, call(log, "c2", 3)


def test_a_review_that_was_moved_to_another_call_is_found(log: Log) -> None:
    end, _ = one_reviewed(log)
    acted(log, "review", 5, end, call_id="c2")
    assert problems(log) == ["it's about an answer that isn't its call's: it was moved, or the answer was exchanged"]


def test_one_that_was_moved_in_the_file_with_leaves_and_head_made_to_fit_is_found(log: Log) -> None:
    end, _ = one_reviewed(log)
    acted(log, "review", 5, end)
    log.close()
    connection = sqlite3.connect(log.path, isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    moved = (
        "UPDATE ledger_record SET call_id = 'c2', body = CAST(replace(CAST(body AS TEXT), '\"c1\"', '\"c2\"') AS BLOB)"
    )
    connection.execute(f"{moved} WHERE type = 'review.recorded'")
    recompute(connection)
    put_back(connection)
    connection.close()
    assert problems(log) == ["it's about an answer that isn't its call's: it was moved, or the answer was exchanged"]


@pytest.mark.parametrize("act", KINDS)
def test_an_act_needs_an_answer_that_came_before_it(log: Log, act: str) -> None:
    end, _ = one_reviewed(log)
    acted(log, act, 5, end, refs={"completed": "00" * 32})
    assert len(problems(log)) == 1


@pytest.mark.parametrize("refs", [{}, {"amended": None}, {"completed": None, "amended": None}])
def test_it_names_one_answer_by_its_own_relation(log: Log, refs: dict[str, Any]) -> None:
    end, _ = one_reviewed(log)
    acted(log, "review", 5, end, refs=dict.fromkeys(refs, end.leaf.hex()))
    assert problems(log) == ["it's about an answer that isn't its call's: it was moved, or the answer was exchanged"]


def test_an_answer_that_comes_later_is_none_yet(log: Log) -> None:
    other = log.process()
    begin = other.start("c1", 2)
    told = {"call_id": "c1", "capability": {"name": "rate"}, "outcome": "answered", "degraded": False, "us": 5}
    payloads = (("response", "application/json", b"5"),)
    end = log._built(
        other.emitter, Draft(Kind.CALL_COMPLETED, {**told, "refs": {"started": begin.leaf.hex()}}, payloads), 3
    )
    acted(log, "review", 4, end)
    log.file.append([end])
    assert problems(log) == ["it's about an answer that isn't its call's: it was moved, or the answer was exchanged"]


def test_a_start_is_no_answer(log: Log) -> None:
    begin = log.first.start("c1", 1)
    end = log.first.end("c1", 2, begin)
    acted(log, "review", 5, end, refs={"completed": begin.leaf.hex()})
    assert len(problems(log)) == 1


@pytest.mark.parametrize("shown", [None, {"digest": "00" * 32, "path": "response"}, "another's"])
def test_what_was_shown_is_what_was_answered(log: Log, shown: Any) -> None:
    end, other = one_reviewed(log)
    acted(log, "review", 5, end, shown=commitment(other) if shown == "another's" else shown)
    assert problems(log) == ["what it says was shown isn't what its call answered"]


def test_of_an_answer_that_was_pruned_nobody_can_say_what_was_shown(log: Log) -> None:
    end, _ = one_reviewed(log)
    acted(log, "review", 5, end)
    prune(log, "seq = 3")
    assert not [each for each in problems(log) if "shown" in each or "answer that" in each]


@pytest.mark.parametrize("former", ["its own call's answer", "another call's review"])
def test_a_former_act_is_one_of_the_same_call(log: Log, former: str) -> None:
    end, other = one_reviewed(log)
    theirs = acted(log, "review", 4, other, call_id="c2")
    leaf = end.leaf if former.startswith("its") else theirs.leaf
    acted(log, "review", 5, end, refs={"completed": end.leaf.hex(), "former": leaf.hex()})
    assert problems(log) == ["it names a former review, override or appeal that isn't its call's"]


@pytest.mark.parametrize(
    ("act", "decision"),
    [("review", "upheld"), ("review", None), ("override", "pending"), ("appeal", "accepted"), ("review", True)],
)
def test_a_decision_is_of_the_closed_list(log: Log, act: str, decision: Any) -> None:
    end, _ = one_reviewed(log)
    acted(log, act, 5, end, decision=decision)
    assert "its decision isn't one that a record of its type can have" in problems(log)


def forged(log: Log, end: Built, *payloads: str, **fields: Any) -> list[str]:
    told = {
        "call_id": "c1", "capability": {"name": "rate"}, "person": "mwagner", "decision": "accepted",
        "refs": {"completed": end.leaf.hex()}, "shown": commitment(end), **fields,
    }  # fmt: skip
    log.first.say(Draft(Kind.REVIEW_RECORDED, told, tuple((each, TEXT, b"3") for each in payloads)), 5)
    return problems(log)


@pytest.mark.parametrize(
    ("payloads", "decision"),
    [
        (("changed",), "changed"),
        (("reason",), "changed"),
        (("changed", "reason"), "accepted"),
        (("shown",), "accepted"),
    ],
)
def test_a_reason_is_always_there_and_a_new_value_with_its_decision(
    log: Log, payloads: tuple[str, ...], decision: str
) -> None:
    end, _ = one_reviewed(log)
    (told,) = forged(log, end, *payloads, decision=decision)
    assert told.startswith("it lacks a reason, or it has a new value")


@pytest.mark.parametrize("person", [{"id": "x"}, 5, ["x"]])
def test_a_person_is_named_by_a_text(log: Log, person: Any) -> None:
    end, _ = one_reviewed(log)
    assert forged(log, end, "reason", person=person)[0].startswith("it's malformed")


def test_a_persons_name_is_written_as_all_names_are(log: Log) -> None:
    end, _ = one_reviewed(log)
    (told,) = forged(log, end, "reason", person="m\u202ewagner")
    assert told.startswith("a name in it has control or format characters")


def test_a_review_lacks_nothing(log: Log) -> None:
    end, _ = one_reviewed(log)
    log.first.tell(Kind.APPEAL_RECORDED, 5, call_id="c1", refs={"completed": end.leaf.hex()})
    assert problems(log)[0] == "it lacks capability, commitments, person"


@pytest.mark.parametrize(
    ("review", "problem"),
    [
        ({"required": True, "policy": "always"}, "required, and not pending"),
        ({"required": False, "policy": "when", "status": "pending"}, "required, and not pending"),
        ({"policy": "when"}, "malformed"),
        ({"required": False, "policy": "sample"}, "malformed"),
        ({"required": False, "policy": "sample", "sample": "x"}, "malformed"),
        ({"required": False, "policy": "sample", "sample": "inf"}, "in the sample"),
        ({"required": False, "policy": "sample", "sample": "nan"}, "in the sample"),
        ({"required": False, "policy": "sample", "sample": "0"}, "in the sample"),
        ({"required": False, "policy": "sample", "sample": "1.0"}, "in the sample"),
        ({"required": True, "policy": "sample", "status": "pending", "sample": "1e-9"}, "in the sample"),
    ],
)
def test_what_a_calls_end_says_of_its_review_fits_together(log: Log, review: dict[str, Any], problem: str) -> None:
    call(log, "c1", 2, review=review)
    (told,) = problems(log)
    assert problem in told


def test_a_sample_that_can_be_worked_out_is_fine(log: Log) -> None:
    for number in range(20):
        drawn = sampled(f"c{number}", 0.5)
        need = {"required": drawn, "policy": "sample", "sample": "0.5", **({"status": "pending"} if drawn else {})}
        call(log, f"c{number}", number + 2, review=need)
    assert problems(log) == []


@pytest.mark.parametrize(("share", "fine"), [("1.0", True), ("1.5", False), ("0.0", False), ("-1.0", False)])
def test_a_sample_is_a_share(log: Log, share: str, fine: bool) -> None:
    drawn = float(share) > 0
    need = {"required": drawn, "policy": "sample", "sample": share, **({"status": "pending"} if drawn else {})}
    call(log, "c1", 2, review=need)
    assert (problems(log) == []) is fine


def test_another_record_may_call_something_a_review(log: Log) -> None:
    log.first.tell(Kind.PROBE_COMPLETED, 5, review="of the regression run")
    assert problems(log) == []


@pytest.fixture(autouse=True)
def _close(log: Log) -> Iterator[None]:
    yield
    log.close()


def test_an_act_with_a_name_that_none_can_have_is_refused_when_written() -> None:
    for changes in ({"person": ""}, {"person": "a\nb"}, {"labels": ("",)}):
        with pytest.raises((ValueError, ProfileError)):
            person_acted(act(**changes))
