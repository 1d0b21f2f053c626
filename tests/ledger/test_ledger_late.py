"""What's said of a call that was pruned a moment ago is no tampering: whoever wrote it couldn't know."""

from __future__ import annotations

import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest
import test_ledger_pruning as pruning
from signing import attack
from test_ledger_reviews import amended
from tests.independent.agreeing import by_both as verify
from tests.logs import Log

from failsoft.ledger.location import InFile
from failsoft.ledger.reading.attest import attest
from failsoft.ledger.records.record import Built, Draft
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.verify import verify as by_ours

STRANGER = "ab" * 32
SOME = [{"emitter": "ab" * 16, "first": 1, "last": 1}]
ENDED = {
    "capability": {"name": "rate"},
    "outcome": "answered",
    "degraded": False,
    "us": 5,
    "refs": {"started": STRANGER},
}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "x.db")


def began(log: Log, *, orphaned: bool = False) -> tuple[Built, Built, Built]:
    """A call of a case that's over, as far as the log says, and a review of it; all three are pruned."""
    case = {"case": {"id": "a"}}
    start = log.first.start("c1", 2, **case)
    if orphaned:
        other = log.process()
        told = {"call_id": "c1", "refs": {"started": start.leaf.hex()}}
        end = other.tell(Kind.CALL_ORPHANED, 3, **told, **case)
        review = end
    else:
        end = log.first.end("c1", 3, start, **case)
        review = log.first.act(Kind.REVIEW_RECORDED, 4, end, **case)
    place = InFile(log.path)
    pruning.closed(place, "a")
    assert pruning.pruned(place).records == 2 + (not orphaned)
    return start, end, review


def told(log: Log) -> str:
    log.first.close(30)
    log.close()
    found = verify(log.path)
    assert found.exit_code == bool(found.problems)
    return "; ".join(each.what for each in found.problems)


def test_an_amendment(log: Log) -> None:
    _, end, _ = began(log)
    amended(log, "c1", 10, end)
    assert told(log) == ""


def test_an_amendment_of_nothing_that_was_there(log: Log) -> None:
    _, end, _ = began(log)
    amended(log, "c1", 10, end, refs={"completed": STRANGER})
    assert told(log) == "it amends a record that isn't its call's"


@pytest.mark.parametrize("kind", [Kind.REVIEW_RECORDED, Kind.OVERRIDE_RECORDED, Kind.APPEAL_RECORDED])
def test_what_a_person_decides_about_it(log: Log, kind: Kind) -> None:
    _, end, review = began(log)
    log.first.act(kind, 10, end, refs={"completed": end.leaf.hex(), "former": review.leaf.hex()})
    assert told(log) == ""


def test_what_a_person_decides_about_nothing_that_was_there(log: Log) -> None:
    _, end, review = began(log)
    log.first.act(Kind.APPEAL_RECORDED, 10, end, refs={"completed": STRANGER})
    log.first.act(Kind.APPEAL_RECORDED, 11, end, refs={"completed": end.leaf.hex(), "amended": review.leaf.hex()})
    log.first.act(Kind.APPEAL_RECORDED, 12, end, refs={"completed": end.leaf.hex(), "former": STRANGER})
    assert [each.partition(":")[0] for each in told(log).split("; ")] == [
        "it's about an answer that isn't its call's",
        "it's about an answer that isn't its call's",
        "it names a former review, override or appeal that isn't its call's",
    ]


def test_an_end_by_a_process_that_was_taken_for_gone(log: Log) -> None:
    start, _, _ = began(log, orphaned=True)
    log.first.end("c1", 10, start)
    assert told(log) == ""


def test_an_end_of_nothing_that_was_there(log: Log) -> None:
    began(log, orphaned=True)
    log.first.end("c1", 10, None, refs={"started": STRANGER})
    assert told(log) == "its call isn't open: it ended before, or was never started"


@pytest.mark.parametrize("leaf", ["", "AB" * 32, "ab" * 31 + "a "])
def test_what_is_no_leaf_at_all_was_never_pruned(log: Log, leaf: str) -> None:
    """An empty one too: it isn't the same as none."""
    _, end, _ = began(log)
    log.first.end("c9", 10, None, refs={"started": leaf})
    amended(log, "c8", 11, end, refs={"completed": leaf})
    assert told(log) == "; ".join(["it's malformed: a part of it is missing or of the wrong type"] * 2)


def test_however_many_come_late_little_is_remembered_of_each(log: Log) -> None:
    """Not the records' bytes: of a large log they wouldn't fit into memory."""
    began(log)
    large = "x" * 8_000
    ends = [
        Draft(Kind.CALL_COMPLETED, {**ENDED, "call_id": f"c{n}", "source": {"kind": "adapter", "name": large}})
        for n in range(3000)
    ]
    log.file.append([log._built(log.first.emitter, each, 10) for each in ends])
    log.first.close(30)
    log.close()
    tracemalloc.start()
    found = by_ours(log.path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.problems) == 100  # no more are told
    assert peak < 16 << 20


def test_a_pruning_that_says_no_place_is_told_and_hides_none_of_the_others(log: Log) -> None:
    began(log)
    nowhere = {"first": 1, "last": "x", "emitters": SOME, "leaves_sha256": "0" * 64, "person": "p", "why": "w"}
    for second in (10, 11):
        log.first.tell(Kind.RECORD_PRUNED, second, **nowhere)
    said = "it says that records were pruned that can't have been"
    assert told(log) == f"{said}; {said}"


def test_a_leaf_that_is_no_bytes_is_looked_at_too(log: Log) -> None:
    """In a table that somebody made anew, anything may stand in a column."""
    _, end, _ = began(log)
    amended(log, "c1", 10, end, refs={"completed": STRANGER})
    log.first.close(30)
    log.close()
    with closing(sqlite3.connect(log.path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'ledger_record'")
        connection.commit()
    attack(log.path, "UPDATE ledger_record SET leaf = substr(hex(leaf), 1, 32) WHERE body IS NULL")
    found = verify(log.path)
    assert found.exit_code == 1
    assert any("it amends a record that isn't its call's" in str(each) for each in found.problems)


@pytest.mark.parametrize("number", [1, 2])
def test_what_nobody_said_was_pruned_is_counted_as_lost(log: Log, number: int) -> None:
    began(log)
    for call_id in ("c2", "c3"):
        log.first.end(call_id, 10, log.first.start(call_id, 10))
    log.first.close(30)
    log.close()
    attack(
        log.path,
        "UPDATE ledger_record SET body = NULL, rid = NULL, ts = NULL, call_id = NULL, case_id = NULL, capability = NULL"
        f" WHERE seq >= (SELECT max(seq) FROM ledger_record) - {number} AND type != 'emitter.closed'",
    )
    found = verify(log.path)
    assert found.exit_code == 1
    (said,) = [each.what for each in found.problems if "its bytes are missing" in each.what]
    assert said.endswith("that it was pruned" if number == 1 else "that it was pruned, and 1 more after it")
    assert "3 records were pruned, as the log says" in found.summary()


def test_that_it_was_orphaned_is_no_matter_of_an_attestation(log: Log) -> None:
    """Whoever said so hadn't seen that the call had ended, and both are gone."""
    start, _, _ = began(log)
    said = {"call_id": "c1", "capability": {"name": "rate"}, "refs": {"started": start.leaf.hex()}}
    log.process(3, 10).tell(Kind.CALL_ORPHANED, 11, **said)
    found = attest(log.path, "openai", "2000-01-01T00:00:00.000000Z")
    assert (found.calls, found.sent) == (0, ())
    assert told(log) == ""
