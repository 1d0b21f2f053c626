"""Records by what is asked of them, one row each, and the decisions that a model made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.logs import JSON, Log, Process, at, attempt, by, snapshot

from failsoft.core import evidence
from failsoft.core.evidence import RecordsPruned
from failsoft.ledger.read import Reader, read
from failsoft.ledger.reading.affected import COLUMNS, Decision, affected
from failsoft.ledger.reading.query import FIELDS, Query, find, row_of
from failsoft.ledger.reading.unlisted import is_heard_of, unlisted
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Built, Draft
from failsoft.ledger.records.schema import Kind

CASE = {"case": {"id": "T-17"}}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "x.db")


@pytest.fixture
def reader(log: Log) -> Iterator[Reader]:
    """Two processes; a call of a case, two others, a review, a breaker, a block."""
    said = log.first
    said.configure()
    start = said.start("c1", 2, actor={"id": "jdoe"}, labels=["CUI", "PII"], **CASE)
    said.end(
        "c1",
        3,
        start,
        attempt(fault="attempt_timeout"),
        attempt("claude", 2, served={"model": "m-1-2026", "grade": "provider"}),
        source=by("claude", 2),
        labels=["CUI", "PII"],
        **CASE,
    )
    said.call("c2", 4, source={"kind": "fallback", "name": "rules:Table"}, degraded=True)
    other = log.process(second=5)
    end = other.call("c3", 6, attempt(served={"model": "m-2", "grade": "echoed"}), source=by())
    other.tell(Kind.REVIEW_RECORDED, 7, call_id="c1", person="mwagner", decision="upheld", reason="checked")
    other.tell(Kind.BREAKER_CHANGED, 8, adapter="gpt", layer="health", began="closed", to="open", reason="consecutive")
    other.tell(Kind.BLOCK_CHANGED, 9, subject="adapter:gpt", blocked=True, actor={"id": "jdoe"}, why="=wrong")
    refs = {"completed": end.leaf.hex()}
    other.tell(Kind.OVERRIDE_RECORDED, 10, call_id="c3", actor={"id": "mwagner"}, refs=refs)
    with read(log.close()) as reader:
        yield reader


def indexes(reader: Reader, last: int | None = None, **asked: Any) -> list[int]:
    return [entry.index for entry, _ in find(reader, Query(**asked), last)]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, list(range(14))),
        ({"kind": "call.started"}, [3, 5, 8]),
        ({"kind": "call.finished"}, []),
        ({"case": "T-17"}, [3, 4, 10]),
        ({"case": "T-17", "kind": "call.completed"}, [4]),
        ({"capability": "rate", "since": at(4)}, [5, 6, 8, 9]),
        ({"since": at(6.1), "until": at(8)}, [9, 10]),
        ({"since": at(11)}, []),
        ({"source": "adapter"}, [4, 9]),
        ({"source": "adapter:claude"}, [4]),
        ({"source": "fallback:rules:Table"}, [6]),
        ({"source": "frozen"}, []),
        ({"served": "m-1-2026"}, [4]),
        ({"served": "m-1"}, []),
        ({"served": "m-1*"}, [4]),
        ({"served": "*"}, [4, 9]),
        ({"fault": "attempt_timeout"}, [4]),
        ({"fault": "refused"}, []),
        ({"adapter": "claude"}, [4]),
        ({"adapter": "gpt"}, [4, 9, 11, 12]),
        ({"reviewer": "mwagner"}, [10, 13]),
        ({"reviewer": "jdoe"}, []),
        ({"adapter": "gpt", "fault": "attempt_timeout", "case": "T-17", "source": "adapter"}, [4]),
    ],
)
def test_a_record_must_fit_all_that_is_asked(reader: Reader, asked: dict[str, Any], found: list[int]) -> None:
    assert indexes(reader, **asked) == found


def test_the_newest_come_in_the_order_of_the_log(reader: Reader) -> None:
    assert indexes(reader, last=2) == [12, 13]
    assert indexes(reader, last=10**20) == indexes(reader)
    assert indexes(reader, last=2, kind="call.completed") == [6, 9]
    assert indexes(reader, last=99, fault="attempt_timeout") == [4]


def test_records_are_read_as_they_are_asked_for(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find(reader, Query())
    monkeypatch.setattr("failsoft.ledger.format.canonical.read", lambda _: {"type": "x"})
    assert next(found)[1] == {"type": "x"}
    monkeypatch.undo()
    assert next(found)[1]["type"] == "emitter.opened"


def test_a_row_says_all_that_is_in_the_record(reader: Reader) -> None:
    rows = {each.index: row_of(each, fields) for each, fields in find(reader, Query())}
    assert all(list(row) == list(FIELDS) for row in rows.values())
    told = {name: value for name, value in rows[4].items() if value != ""}
    leaf = told.pop("leaf")
    assert leaf == reader.record(4).leaf.hex()
    assert told == {
        "index": 4,
        "ts": at(3),
        "type": "call.completed",
        "call_id": "c1",
        "case": "T-17",
        "capability": "rate",
        "labels": "CUI PII",
        "outcome": "answered",
        "degraded": False,
        "source": "adapter",
        "answered_by": "claude",
        "model": "m-1",
        "served": "m-1-2026",
        "grade": "provider",
        "adapters": "gpt claude",
        "faults": "gpt:attempt_timeout",
        "us": 5,
    }
    assert rows[3]["actor"] == "jdoe"
    assert (rows[10]["reviewer"], rows[10]["decision"], rows[10]["said"]) == ("mwagner", "upheld", "checked")
    assert rows[11]["subject"] == "gpt"
    assert (rows[12]["subject"], rows[12]["said"]) == ("adapter:gpt", "=wrong")


def test_a_row_tells_who_did_it_and_why_whatever_the_record_calls_them(log: Log) -> None:
    said = log.first
    kept: list[evidence.Record] = [
        evidence.PayloadErased("T-1", ("ab",), (), "GDPR 17", "eva", "mfrank"),
        evidence.LegalHold("T-1", held=True, person="hal", why="claim"),
        evidence.LegalHold("T-1", held=False, person="hal", why="settled"),
        evidence.RecordsPruned(2, 3, (("e", 2, 3),), "00" * 32, "prue", "schedule 12"),
        evidence.ExportCreated("IG", "ed", "audit", "00" * 32),
        evidence.CaseEvent("T-1", "final-payment", "2026-11-01", "cy", "voucher"),
        evidence.LedgerTransferred("copy.db", "tom", "one database"),
        evidence.BlockChanged("adapter:gpt", blocked=True, actor="bob", why="wrong"),
        evidence.BreakerChanged("gpt", "health", "closed", "open", "consecutive"),
    ]
    for second, each in enumerate(kept, 1):
        said.say(draft.draft_of(each, lambda _: None), second)
    with read(log.close()) as reader:
        rows = [row_of(*each) for each in find(reader, Query(), len(kept))]
    assert [(each["type"], each["actor"], each["said"]) for each in rows] == [
        ("payload.erased", "eva", "GDPR 17"),
        ("legal_hold.set", "hal", "claim"),
        ("legal_hold.cleared", "hal", "settled"),
        ("record.pruned", "prue", "schedule 12"),
        ("export.created", "ed", "audit"),
        ("case.event", "cy", "voucher"),
        ("ledger.transferred", "tom", "one database"),
        ("block.changed", "bob", "wrong"),
        ("breaker.changed", "", "consecutive"),
    ]
    names = ("case", "approved_by", "recipient", "event", "date", "from", "to", "blocked")
    assert [{name: each[name] for name in names if each[name] != ""} for each in rows] == [
        {"case": "T-1", "approved_by": "mfrank"},
        {"case": "T-1"},
        {"case": "T-1"},
        {},
        {"recipient": "IG"},
        {"case": "T-1", "event": "final-payment", "date": "2026-11-01"},
        {"to": "copy.db"},
        {"blocked": True},
        {"from": "closed", "to": "open"},
    ]


def test_who_reviewed_is_told_beside_who_had_it_recorded(log: Log) -> None:
    end = log.first.call("c1", 2, source=by())
    log.first.act(Kind.REVIEW_RECORDED, 3, end, actor={"id": "clerk"})
    log.first.act(Kind.REVIEW_RECORDED, 4, end)
    with read(log.close()) as reader:
        rows = [row_of(*each) for each in find(reader, Query(kind="review.recorded"))]
    assert [(each["actor"], each["reviewer"]) for each in rows] == [("clerk", "mwagner"), ("mwagner", "mwagner")]


def test_a_pruned_record_is_a_row_of_what_is_left(log: Log) -> None:
    log.first.configure()
    connection = sqlite3.connect(log.close(), isolation_level=None)
    connection.execute("UPDATE ledger_record SET body = NULL WHERE seq = 2")
    connection.close()
    with read(log.path) as reader:
        assert not list(find(reader, Query(kind="config.activated")))
        found = next(each for each in find(reader, Query()) if each[0].index == 2)
    assert found[1] == {}
    assert row_of(*found)["index"] == 2


# --- decisions --------------------------------------------------------------------------------------------------------


def decisions(log: Log, first: float = 0, last: float = 99, **asked: Any) -> list[Decision]:
    with read(log.close()) as reader:
        return list(affected(reader, "gpt", at(first), at(last), **asked))


def amended(process: Process, completed: Built, second: float, **fields: Any) -> Built:
    told = {"call_id": "c1", "capability": {"name": "rate"}, "degraded": False, "outcome": "answered", "us": 9}
    told |= {"refs": {"completed": completed.leaf.hex()}, **fields}
    return process.say(Draft(Kind.CALL_AMENDED, told, (("response", JSON, b"3"),)), second)


def test_the_decisions_of_an_adapter_are_those_that_its_answer_ended(reader: Reader, log: Log) -> None:
    (found,) = decisions(log)
    assert found == Decision(
        9, at(6.1), "c3", "", "rate", "", "answered", "m-1", "m-2", "echoed", "5", "mwagner"
    )  # fmt: skip
    assert decisions(log, 0, 6.1) == decisions(log, 6.2, 99) == []
    assert list(found.row()) == list(COLUMNS)
    assert (found.row()["kept"], found.row()["answer"]) == (True, "5")


def test_one_that_asked_again_to_compare_is_no_decision(log: Log) -> None:
    again = {"id": "root", "kind": "replay"}
    log.first.configure()
    log.first.end("c1", 3, log.first.start("c1", 2, actor=again), attempt(), source=by())  # its own queue worker's kind
    trial = log.process(4, 4)
    trial.tell(Kind.CONFIG_ACTIVATED, 5, config_sha256="0" * 64, purpose="trial")
    for number in (2, 3):
        trial.end(f"c{number}", 7, trial.start(f"c{number}", 6, actor=again), attempt(), source=by())
    trial.end("c4", 9, trial.start("c4", 8), attempt(), source=by())
    assert [each.call_id for each in decisions(log)] == ["c1", "c4"]


def test_decisions_by_what_was_served(reader: Reader, log: Log) -> None:
    assert len(decisions(log, served="m-*")) == 1
    assert decisions(log, served="m-1") == []


def test_what_the_caller_really_got_is_the_decision(log: Log) -> None:
    log.first.configure()
    completed = log.first.call("c1", 2, attempt(), source=by(), capability={"name": "rate", "version": "2"})
    amended(log.first, completed, 50, source={"kind": "fallback", "name": "f"})
    assert decisions(log) == []


def test_an_amendment_that_leaves_the_source_tells_the_answer(log: Log) -> None:
    log.first.configure()
    completed = log.first.call("c1", 2, attempt(), source=by(), capability={"name": "rate", "version": "2"})
    amended(log.first, completed, 50, source=by())
    (found,) = decisions(log, 0, 10)
    assert (found.index, found.ts, found.answer, found.model) == (5, at(50), "3", "m-1")


def test_the_newest_amendment_counts(log: Log) -> None:
    completed = log.first.call("c1", 2, attempt(), source=by())
    amended(log.first, completed, 50, source={"kind": "fallback", "name": "f"})
    amended(log.first, completed, 51, source=by())
    assert [each.ts for each in decisions(log)] == [at(51)]


def test_an_amendment_may_name_another_attempt(log: Log) -> None:
    log.first.configure()
    tries = attempt(fault="deadline"), attempt(n=2, served={"model": "m-2", "grade": "echoed"})
    completed = log.first.call("c1", 2, *tries, source={"kind": "fallback", "name": "f"})
    amended(log.first, completed, 3, source=by(number=2))
    assert [each.served for each in decisions(log)] == ["m-2"]


def test_the_latest_review_is_told(log: Log) -> None:
    end = log.first.call("c1", 2, attempt(), source=by())
    for second, person in enumerate(("mwagner", "jdoe"), 3):
        log.first.act(Kind.REVIEW_RECORDED, second, end, person={"id": person})
    assert [each.reviewed_by for each in decisions(log)] == ["jdoe"]


@pytest.mark.parametrize("again", [True, False])
def test_a_review_of_what_the_caller_didnt_get_reviews_nothing(log: Log, again: bool) -> None:
    end = log.first.call("c1", 2, attempt(), source=by())
    log.first.act(Kind.REVIEW_RECORDED, 3, end, person="early")
    late = amended(log.first, end, 4, source=by())
    if again:
        log.first.act(Kind.REVIEW_RECORDED, 5, late, person="jdoe")
    log.first.act(Kind.OVERRIDE_RECORDED, 6, end, person="boss")
    log.first.tell(Kind.REVIEW_RECORDED, 7, call_id="c1", person="nobody")
    assert [each.reviewed_by for each in decisions(log)] == ["jdoe" if again else ""]


def test_who_appeals_has_decided_nothing(log: Log) -> None:
    end = log.first.call("c1", 2, attempt(), source=by())
    log.first.act(Kind.OVERRIDE_RECORDED, 3, end, person="boss")
    log.first.act(Kind.APPEAL_RECORDED, 4, end, person="vendor")
    assert [each.reviewed_by for each in decisions(log)] == ["boss"]


def test_a_frozen_answer_is_the_adapters_too(log: Log) -> None:
    log.first.call("c1", 2, source={"kind": "frozen", "name": "gpt"}, case={"id": "T-17"})
    (found,) = decisions(log)
    assert (found.case, found.served) == ("T-17", "")


def test_an_answer_that_isnt_kept_says_so(log: Log) -> None:
    log.first.call("c1", 2, attempt(), source=by(), answer=b"")
    log.first.call("c2", 3, attempt(), source=by())
    log.first.say(Draft(Kind.REVIEW_RECORDED, {"call_id": "c2"}), 4)
    connection = sqlite3.connect(log.close(), isolation_level=None)
    connection.execute("DELETE FROM ledger_payload")
    connection.close()
    found = decisions(log)
    assert [each.answer for each in found] == [None, None]
    assert (found[0].row()["kept"], found[0].row()["answer"], found[1].reviewed_by) == (False, "", "")


class TestWhatAListMayLack:
    def told(self, log: Log, since: float, until: float) -> list[str]:
        with read(log.close()) as reader:
            return unlisted(reader, at(since), at(until))

    @pytest.mark.parametrize(("until", "lost"), [(20, False), (20.1, True)])
    def test_a_process_lost_none_before_it_began(self, log: Log, until: float, lost: bool) -> None:
        log.first.configure()
        later = log.process(second=20)
        later.configure(second=20)
        later.say(draft.gap_declared("queue_full", 3), 25)
        assert bool(self.told(log, 5, until)) == lost

    @pytest.mark.parametrize("count", [-3, 0, "3", True])
    def test_a_number_that_is_none_is_no_answer(self, log: Log, count: Any) -> None:
        log.first.configure()
        log.first.say(draft.gap_declared("queue_full", 3), 5)
        log.first.say(draft.gap_declared("queue_full", count), 6)
        with pytest.raises(ValueError, match="record 4: it declares no number of calls"):
            self.told(log, 5, 99)

    @pytest.mark.parametrize(("since", "count"), [(5, 7), (6, 4), (7, None)])
    def test_calls_that_were_declared_lost(self, log: Log, since: float, count: int | None) -> None:
        log.first.configure()
        log.first.say(draft.gap_declared("queue_full", 3), 5)
        log.first.say(draft.gap_declared("malformed", 4), 6)
        said = (
            []
            if count is None
            else [f"up to {count} calls have records that were never written (declared gaps since then)"]
        )
        assert self.told(log, since, 99) == said

    @pytest.mark.parametrize(("since", "lacks"), [(3, True), (4, True), (5, False)])
    def test_what_was_pruned(self, log: Log, since: float, lacks: bool) -> None:
        log.first.configure()
        pruned = RecordsPruned(1, 2, (("ab" * 16, 0, 1),), "00" * 32, "u-7", "over", None, at(4))
        log.first.say(draft.draft_of(pruned, lambda _: None), 9)
        assert bool(self.told(log, since, 10)) is lacks

    def test_of_an_older_pruning_its_own_time_counts(self, log: Log) -> None:
        log.first.configure()
        log.first.say(
            draft.draft_of(RecordsPruned(1, 2, (("ab" * 16, 0, 1),), "00" * 32, "u-7", "over"), lambda _: None), 9
        )
        assert (bool(self.told(log, 9, 20)), self.told(log, 9.5, 20)) == (True, [])

    @pytest.mark.parametrize(("until", "lacks"), [(4, False), (9, True)])
    def test_what_waits_on_a_host(self, log: Log, until: float, lacks: bool) -> None:
        """What it forwarded is there, up to its newest record."""
        log.first.configure()
        log.process(second=1).configure(snapshot("spool"), second=2)
        other = log.process(3, second=2)
        other.configure(snapshot("spool"), second=2)
        other.call("c1", 5)
        found = self.told(log, 0, until)
        assert any(each.startswith("process 3 on worker-1 may ask without a record here") for each in found) is lacks
        assert any(each.startswith("process 2") for each in found)

    @pytest.mark.parametrize(("since", "lacks"), [(5, True), (5.1, True), (5.2, False)])
    def test_what_a_process_may_have_done_after_its_last_call(self, log: Log, since: float, lacks: bool) -> None:
        """One that's silent since the time began has gone."""
        log.first.configure(snapshot("continue"))
        log.first.call("c1", 5)
        assert bool(self.told(log, since, 99)) is lacks

    def test_nothing_where_all_is_there(self, log: Log) -> None:
        log.first.configure()
        log.first.call("c1", 2)
        assert self.told(log, -99, 99) == []


def test_an_adapter_is_heard_of_if_it_was_configured(log: Log) -> None:
    with read(log.close()) as reader:
        assert is_heard_of(reader, "gpt")  # nothing was configured on record
    log = Log(log.path.with_name("y.db"))
    log.first.tell(Kind.CONFIG_ACTIVATED, 2, config_sha256="00" * 32, adapters=[{"name": "gpt"}])
    with read(log.close()) as reader:
        assert (is_heard_of(reader, "gpt"), is_heard_of(reader, "gtp")) == (True, False)
    log = Log(log.path.with_name("z.db"))
    log.first.configure(b'{"observed":true}')
    with read(log.close()) as reader:
        assert is_heard_of(reader, "openai")
