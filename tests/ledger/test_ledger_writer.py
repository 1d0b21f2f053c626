from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import threading
from importlib import metadata
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pytest
from ledgers import (
    CONTEXT,
    START,
    Faults,
    SteppedClock,
    SystemClock,
    call,
    completed,
    ledger_at,
    rows,
    settled,
    started,
    types,
    until,
)
from signing import attack

from failsoft.core.effects import Recorded, Unrecorded
from failsoft.core.evidence import BlockChanged, BreakerChanged, CallAmended, ConfigActivated
from failsoft.errors import LedgerInvalid
from failsoft.ledger.locks import FileLock
from failsoft.ledger.read import read
from failsoft.ledger.records.record import timestamp
from failsoft.ledger.verify import verify
from failsoft.ledger.writing import appender as appender_module
from failsoft.ledger.writing import composing as composing_module
from failsoft.ledger.writing.ticket import TicketQueue
from failsoft.outcome import Pin, Source

IOERR, FULL, BUSY, READONLY = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
)


def whole(path: Path) -> None:
    found = verify(path)
    assert found.exit_code == 0, found.summary()


def test_a_new_ledger_opens_its_log_and_its_emitter(tmp_path: Path) -> None:
    path = tmp_path / "a ledger?.db"
    ledger = ledger_at(path)
    assert not path.exists()
    ledger.open()
    ledger.close()
    assert types(path) == ["log.opened", "emitter.opened", "emitter.closed"]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        [path.name, f"{path.name}.lock", f"{path.name}.ballast"]
    )
    whole(path)


def test_a_call_is_recorded_and_its_end_names_its_start(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    begin, end = call(ledger, "c1")
    assert isinstance(settled(end), Recorded)
    ledger.close()
    with read(ledger.location.path) as reader:
        first, second = reader.call("c1")
        assert second.fields["refs"] == {"started": first.leaf.hex()}
        assert begin.promise.value == Recorded(first.index, first.leaf)
        assert first.fields["emitter"] == second.fields["emitter"]
    whole(ledger.location.path)


def test_every_type_of_evidence_is_recorded_and_verified(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.submit(ConfigActivated(b'{"a":1}', (("classify-item", "1"),), (("gpt", "1", Pin("m")),)))
    _, end = call(ledger, "c1")
    ledger.submit(CallAmended("c1", "classify-item", "1", end, "answered", True, Source("fallback", "f:F"), CONTEXT, 9))
    ledger.submit(BreakerChanged("gpt", "health", "closed", "open", "5 of 10", 30_000))
    settled(ledger.submit(BlockChanged("adapter:gpt", True, "u-7", "an order")))
    ledger.close()
    whole(ledger.location.path)
    with read(ledger.location.path) as reader:
        (config,) = reader.records("config.activated")
        assert reader.artifact(config.fields["config_sha256"]) == ("application/json", b'{"a":1}')
        (amended,) = reader.records("call.amended")
        assert amended.fields["refs"]["completed"] == reader.call("c1")[1].leaf.hex()


def test_a_ledger_can_be_closed_and_opened_again_as_another_emitter(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    for _ in range(3):
        ledger.open()
        call(ledger, f"c{_}")
        ledger.close()
        ledger.close()
    assert len(rows(ledger.location.path, "SELECT DISTINCT emitter FROM ledger_record WHERE emitter IS NOT NULL")) == 3
    whole(ledger.location.path)


def test_a_records_time_is_that_of_its_submission_however_late_it_is_written(tmp_path: Path) -> None:
    clock = SteppedClock()
    ledger = ledger_at(tmp_path / "x.db", clock=clock)
    ledger.open()
    with ledger._io:  # nothing is written meanwhile
        first = ledger.submit(started("first"))
        clock.wall += 1_000_000_000
        clock.now += 1_000_000_000
        second = ledger.submit(started("second"))
        clock.wall += 7_000_000_000
        clock.now += 7_000_000_000
    settled(first)
    settled(second)
    ledger.close()
    with read(ledger.location.path) as reader:
        (one,), (two,) = (
            [each for each in reader.call(name) if each.kind == "call.started"] for name in ("first", "second")
        )
    assert (one.ts[:20], two.ts[:20]) == ("2026-11-23T14:00:00.", "2026-11-23T14:00:01.")
    assert 1_000_000 <= two.fields["mono_us"] - one.fields["mono_us"] < 1_000_010


def test_opening_twice_is_refused(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    with pytest.raises(RuntimeError, match="already"):
        ledger.open()
    ledger.close()


def test_a_ledger_that_is_not_open_records_nothing(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    assert not ledger.healthy
    assert isinstance(ledger.submit(started()).promise.value, Unrecorded)
    ledger.open()
    assert ledger.healthy
    ledger.close()
    assert ledger.submit(started()).promise.value == Unrecorded("the ledger is closed")


def test_a_malformed_record_is_told_though_its_batch_fails(tmp_path: Path) -> None:
    faults, told = Faults(), list[Any]()
    ledger = ledger_at(
        tmp_path / "x.db", connect=faults.connect, back_off=(0.01, 0.02), on_event=lambda *event: told.append(event)
    )
    ledger.open()
    faults.raises["COMMIT"] = IOERR, "disk I/O error"
    assert isinstance(settled(ledger.submit(started("a\nb"))), Unrecorded)
    until(lambda: any(name == "ledger.failed" for name, _ in told))
    faults.raises.clear()
    until(lambda: ledger.healthy)
    ledger.close()
    assert [fields["reason"][:29] for name, fields in told if name == "ledger.warning"] == [
        "a CallStarted can't be record"
    ]


def said_in(path: Path) -> list[tuple[str, dict[str, Any]]]:
    with read(path) as reader:
        return [(each.kind, each.fields) for each in reader.records()]


def at_second(seconds: int) -> str:
    return timestamp(START + seconds * 10**9)[:19]


def passes(clock: SteppedClock, seconds: int) -> None:
    clock.now += seconds * 10**9
    clock.wall += seconds * 10**9


def test_a_record_that_was_waited_for_in_vain_is_an_outage_on_record(tmp_path: Path) -> None:
    """A ledger that hangs, and fails at nothing: its disk, its lock or its database lets nobody through for a while."""
    clock, told = SteppedClock(), list[Any]()
    ledger = ledger_at(tmp_path / "x.db", clock=clock, on_event=lambda name, fields: told.append((name, fields)))
    ledger.open()
    passes(clock, 5)
    began = clock.monotonic_ns()
    passes(clock, 2)
    ledger.late(began)
    until(lambda: ledger.healthy)
    until(lambda: len(told) == 2)
    assert [name for name, _ in told] == ["ledger.failed", "ledger.recovered"]
    assert "too slow" in told[0][1]["reason"]
    ledger.close()
    said = said_in(tmp_path / "x.db")
    assert [kind for kind, _ in said] == [
        *("log.opened", "emitter.opened", "ledger.failure", "ledger.recovered", "emitter.closed"),
    ]
    failure, recovered = said[2][1], said[3][1]
    assert (failure["from"][:19], failure["to"][:19]) == (at_second(5), at_second(7))
    assert failure["lost_at_most"] == 0
    assert recovered["from"] == failure["from"]
    assert verify(tmp_path / "x.db").exit_code == 0


@pytest.mark.parametrize("waited", [None, 12])
def test_an_outage_began_when_it_was_tried_first_or_waited_for(tmp_path: Path, waited: int | None) -> None:
    faults, clock = Faults(), SteppedClock()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, clock=clock, back_off=(0.01, 0.02))
    ledger.open()
    passes(clock, 20)
    faults.gate = threading.Event()
    ticket = ledger.submit(started())
    assert faults.reached.wait(10)
    passes(clock, 9)
    if waited is not None:
        ledger.late(clock.monotonic_ns() - waited * 10**9)
        ledger.late(clock.monotonic_ns())
    faults.raises["COMMIT"] = IOERR, "disk I/O error"
    faults.gate.set()
    assert isinstance(settled(ticket), Unrecorded)
    faults.raises.clear()
    until(lambda: ledger.healthy)
    ledger.close()
    failure = next(fields for kind, fields in said_in(tmp_path / "x.db") if kind == "ledger.failure")
    assert failure["from"][:19] == at_second(20 if waited is None else 29 - waited)


def test_an_outage_that_a_close_ends_is_on_record(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    queue = ledger._queue
    with queue._changed:  # the thread doesn't wake up before it's closed
        queue._late = 1
        queue._shut = "the ledger is closed"
    ledger.close()
    kinds = [kind for kind, _ in said_in(tmp_path / "x.db")]
    assert kinds[-3:] == ["ledger.failure", "ledger.recovered", "emitter.closed"]


def test_calls_left_open_at_close_are_orphaned_by_the_one_who_began_them(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    settled(ledger.submit(started("left")))
    ledger.close()
    assert types(ledger.location.path)[-2:] == ["call.orphaned", "emitter.closed"]
    whole(ledger.location.path)


def test_a_malformed_record_fails_alone_and_is_declared(tmp_path: Path) -> None:
    faults = Faults()
    told: list[Any] = []
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, on_event=lambda *event: told.append(event))
    ledger.open()
    faults.gate = threading.Event()
    held = ledger.submit(started("held"))
    assert faults.reached.wait(10)
    good, bad, strange = ledger.submit(started("good")), ledger.submit(started("a\nb")), ledger.submit(object())  # type: ignore[arg-type]
    weird = ledger.submit(started("weird", context=None))
    faults.gate.set()
    assert isinstance(settled(good), Recorded)
    assert settled(bad) == Unrecorded("malformed: a call's id must not contain control or format characters")
    assert settled(strange) == Unrecorded("malformed: TypeError")
    assert settled(weird) == Unrecorded("malformed: AttributeError")
    assert [name for name, _ in told] == ["ledger.warning"] * 3
    assert "a CallStarted can't be recorded: a call's id must not contain control" in told[0][1]["reason"]
    assert bad.withdraw()
    assert isinstance(settled(held), Recorded)
    ledger.close()
    with read(ledger.location.path) as reader:
        gaps = [each.fields for each in reader.records("gap.declared")]
    assert [(gap["reason"], gap["count"]) for gap in gaps] == [("malformed", 3)]
    whole(ledger.location.path)


@pytest.mark.parametrize("statement", ["BEGIN", "UPDATE", "COMMIT"])
@pytest.mark.parametrize("code", [FULL, BUSY, IOERR])
def test_a_failed_commit_tells_its_waiters_lowers_health_and_is_made_good(
    tmp_path: Path, statement: str, code: int
) -> None:
    faults, events = Faults(), []
    ledger = ledger_at(
        tmp_path / "x.db", connect=faults.connect, on_event=lambda name, fields: events.append((name, fields))
    )
    ledger.open()
    faults.raises[statement] = (code, "no such luck")
    begin, _end = call(ledger, "c1")
    assert isinstance(settled(begin), Unrecorded)
    assert not ledger.healthy
    faults.raises.clear()
    until(lambda: ledger.healthy)
    ledger.close()
    assert [*dict.fromkeys(name for name, _ in events)] == ["ledger.failed", "ledger.recovered"]
    assert "no such luck" in events[0][1]["reason"]
    kinds = types(ledger.location.path)
    assert [kinds.count(each) for each in ("call.started", "call.completed", "ledger.failure", "ledger.recovered")] == [
        1, 1, 1, 1,
    ]  # fmt: skip
    whole(ledger.location.path)


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO ledger_record", "UPDATE ledger_head", "COMMIT"])
def test_a_file_that_becomes_read_only_under_a_writer_loses_nothing_and_writes_nothing_twice(
    tmp_path: Path, statement: str
) -> None:
    faults, events = Faults(), list[str]()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, on_event=lambda name, _: events.append(name))
    ledger.open()
    told = [settled(each) for name in ("a", "b") for each in call(ledger, name)]
    faults.raises[statement] = (READONLY, "attempt to write a readonly database")
    given_up, waits = ledger.submit(started("given up")), ledger.submit(started("waits"))
    for each in (given_up, waits):
        assert settled(each) == Unrecorded("OperationalError: attempt to write a readonly database")
    assert not ledger.healthy
    assert ledger._appender.doubt is None  # it's known that nothing of it is in the file
    until(given_up.withdraw)  # but for the moments in which it's being tried again
    assert types(ledger.location.path).count("call.started") == 2
    faults.raises.clear()
    until(lambda: ledger.healthy)
    told += [settled(each) for each in call(ledger, "c")]
    ledger.close()
    assert [*dict.fromkeys(events)] == ["ledger.failed", "ledger.recovered"]
    log = rows(ledger.location.path, "SELECT seq, leaf FROM ledger_record")
    assert all(log.count((each.index, each.leaf)) == 1 for each in told)
    kinds = types(ledger.location.path)
    assert (kinds.count("ledger.failure"), kinds.count("ledger.recovered")) == (1, 1)
    assert rows(ledger.location.path, "SELECT call_id FROM ledger_record WHERE type = 'call.started' ORDER BY seq") == [
        ("a",),
        ("b",),
        ("waits",),
        ("c",),
    ]
    whole(ledger.location.path)


def test_between_two_tries_it_waits_and_new_records_do_not_end_that(tmp_path: Path) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, back_off=(60.0, 60.0))
    ledger.open()
    faults.raises["BEGIN"] = (BUSY, "busy")
    faults.seen.clear()
    settled(ledger.submit(started("c1")))
    for number in range(20):
        ledger.submit(started(f"d{number}"))
    ledger.close()
    assert faults.seen.count("BEGIN IMMEDIATE") == 3  # the first try, the last one, and the goodbye


def test_why_nothing_is_recorded_is_told_again_where_its_another_reason_by_now(tmp_path: Path) -> None:
    faults, events = Faults(), []
    ledger = ledger_at(
        tmp_path / "x.db",
        connect=faults.connect,
        on_event=lambda name, fields: events.append(fields.get("reason", name)),
    )
    ledger.open()
    numbers = count()
    for _ in range(2):
        events.clear()
        for text in ("busy", "busier", "busy"):
            faults.raises["BEGIN"] = (BUSY, text)
            ledger.submit(started(f"c{next(numbers)}"))
            until(lambda text=text: text in str(events[-1:]))
            tries = len(faults.seen)
            until(lambda tries=tries: len(faults.seen) > tries + 9)
        faults.raises.clear()
        until(lambda: ledger.healthy)
        assert len(events) == 5  # the first of these is told by the append, the others as it's opened
        told = [re.sub(r".*\b(busy|busier|ledger.recovered)\b.*", r"\1", each) for each in events]
        assert [text for text, _ in groupby(told)] == ["busy", "busier", "busy", "ledger.recovered"]
    ledger.close()
    assert verify(ledger.location.path).exit_code == 0


def test_each_pause_is_twice_the_one_before_up_to_the_longest_until_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults, pauses = Faults(), []
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, back_off=(1.0, 5.0))
    ledger.open()
    faults.raises["BEGIN"] = (BUSY, "busy")

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) in (5, 7):
            faults.raises.clear()

    monkeypatch.setattr(ledger._queue, "pause", pause)
    settled(ledger.submit(started("c1")))
    until(lambda: ledger.healthy)
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]
    faults.raises["BEGIN"] = (BUSY, "busy")
    settled(ledger.submit(started("c2")))
    until(lambda: ledger.healthy)
    ledger.close()
    assert pauses[5:] == [1.0, 2.0]


def test_a_commit_of_unknown_outcome_that_did_happen_is_found_and_not_doubled(tmp_path: Path) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect)
    ledger.open()
    faults.after["COMMIT"] = (IOERR, "fsync failed")
    ticket = ledger.submit(started())
    assert settled(ticket) == Unrecorded("OperationalError: fsync failed")
    assert not ticket.withdraw()
    faults.after.clear()
    until(lambda: ledger.healthy)
    ledger.close()
    assert types(ledger.location.path).count("call.started") == 1
    whole(ledger.location.path)


def test_a_record_withdrawn_during_an_outage_is_never_written(tmp_path: Path) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect)
    ledger.open()
    faults.raises["BEGIN"] = (BUSY, "busy")
    begin, end = call(ledger, "c1")
    settled(end)
    until(begin.withdraw)
    faults.raises.clear()
    until(lambda: ledger.healthy)
    ledger.close()
    kinds = types(ledger.location.path)
    assert "call.started" not in kinds
    assert "call.completed" in kinds
    with read(ledger.location.path) as reader:
        assert "refs" not in reader.call("c1")[0].fields
    whole(ledger.location.path)


def test_what_does_not_fit_the_queue_in_an_outage_is_declared(tmp_path: Path) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, max_queue=4)
    ledger.open()
    faults.raises["BEGIN"] = (BUSY, "busy")
    settled(ledger.submit(started("first")))
    for number in range(10):
        ledger.submit(started(f"c{number}"))
    faults.raises.clear()
    until(lambda: ledger.healthy)
    ledger.close()
    with read(ledger.location.path) as reader:
        (gap,) = reader.records("gap.declared")
        (failure,) = reader.records("ledger.failure")
        kept = len(list(reader.records("call.started")))
    assert gap.fields["count"] == 11 - kept
    assert failure.fields["lost_at_most"] == gap.fields["count"]
    assert failure.fields["policy"] == "fallback"
    whole(ledger.location.path)


def gaps_of_the_outage(path: Path) -> tuple[int, int, int]:
    """What its ``ledger.failure`` counts, what's declared from there to its ``ledger.recovered``, and all that's declared."""
    said = said_in(path)
    (began,), (ended,) = (
        [n for n, (kind, _) in enumerate(said) if kind == each] for each in ("ledger.failure", "ledger.recovered")
    )
    gaps = [(n, fields["count"]) for n, (kind, fields) in enumerate(said) if kind == "gap.declared"]
    during = sum(count for n, count in gaps if began < n < ended)
    return said[began][1]["lost_at_most"], during, sum(count for _, count in gaps)


def test_what_is_lost_while_an_outages_last_batch_is_built_is_not_of_the_outage(tmp_path: Path) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, max_queue=4)
    ledger.open()
    faults.raises["UPDATE"] = (BUSY, "busy")
    settled(ledger.submit(started("first")))
    add = ledger._appender._composer._add_ticket

    def crowded(batch: Any, ticket: Any) -> bool:
        if faults.raises:
            faults.raises.clear()
            for number in range(9):
                ledger.submit(started(f"c{number}"))
            ledger._queue.drop(ticket, "malformed", "why")
            return False
        return add(batch, ticket)

    ledger._appender._composer._add_ticket = crowded  # type: ignore[method-assign]
    until(lambda: ledger.healthy)
    ledger.close()
    assert gaps_of_the_outage(tmp_path / "x.db") == (0, 0, 6)
    whole(ledger.location.path)


def test_the_gaps_of_a_full_disk_stand_between_its_failure_and_its_recovery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failure is written before it's over, and counts only what was lost until then."""
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, max_queue=1)
    ledger.open()
    spare = type(ledger._appender.store.spare)
    room, fill, begun = threading.Event(), spare.fill, threading.Event()
    monkeypatch.setattr(spare, "fill", lambda self: room.is_set() and fill(self))
    faults.gate = threading.Event()
    ledger.submit(started("held"))
    assert faults.reached.wait(10)
    for number in range(4):
        ledger.submit(started(f"before-{number}"))
    add = ledger._appender._composer._add_to_full_disk

    def full(batch: Any, outage: Any) -> None:
        faults.raises.clear()
        begun.set()
        add(batch, outage)

    ledger._appender._composer._add_to_full_disk = full  # type: ignore[method-assign]
    faults.raises["COMMIT"] = (FULL, "database or disk is full")
    faults.gate.set()
    assert begun.wait(10)
    until(lambda: "ledger.failure" in types(ledger.location.path))
    for number in range(7):
        ledger.submit(started(f"after-{number}"))
    ledger.late(0)  # it's on record that nothing can be recorded: nothing is added to that
    room.set()
    until(lambda: ledger.healthy)
    ledger.close()
    assert gaps_of_the_outage(tmp_path / "x.db") == (3, 10, 10)
    whole(ledger.location.path)


def test_a_full_disk_still_says_so_and_recovery_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect)
    ledger.open()
    ballast = tmp_path / "x.db.ballast"
    assert ballast.stat().st_size == 64 * 1024
    room = {"left": False}
    fill = type(ledger._appender.store.spare).fill
    monkeypatch.setattr(type(ledger._appender.store.spare), "fill", lambda self: room["left"] and fill(self))
    faults.raises["COMMIT"] = (FULL, "database or disk is full")
    assert isinstance(settled(ledger.submit(started("c1"))), Unrecorded)
    until(lambda: not ballast.exists())
    faults.raises.clear()
    until(lambda: "ledger.failure" in types(ledger.location.path))
    assert not ledger.healthy
    assert "call.started" not in types(ledger.location.path)
    room["left"] = True
    until(lambda: ledger.healthy)
    ledger.close()
    assert ballast.exists()
    assert types(ledger.location.path)[2:5] == ["ledger.failure", "call.started", "ledger.recovered"]
    whole(ledger.location.path)


def test_closing_in_an_outage_gives_up_and_leaves_the_live_file_for_the_next(tmp_path: Path) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect)
    ledger.open()
    settled(ledger.submit(started("c1")))
    faults.raises["BEGIN"] = (BUSY, "busy")
    ticket = ledger.submit(completed(None, "c1"))
    settled(ticket)
    ledger.close()
    assert ticket.withdraw()
    assert len(list(tmp_path.glob("*.live"))) == 1
    assert verify(ledger.location.path).exit_code == 2
    other = ledger_at(tmp_path / "x.db")
    other.open()
    other.close()
    assert types(ledger.location.path).count("call.orphaned") == 1
    assert not list(tmp_path.glob("*.live"))
    whole(ledger.location.path)


def test_a_stuck_commit_does_not_hold_up_close_for_ever(tmp_path: Path) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect)
    ledger.open()
    faults.gate = threading.Event()
    ledger.submit(started("stuck"))
    assert faults.reached.wait(10)
    waiting = ledger.submit(started("waiting"))
    thread = ledger._thread
    ledger.close(timeout=0.01)
    assert isinstance(waiting.promise.value, Unrecorded)
    faults.gate.set()
    assert thread is not None
    thread.join(10)
    whole(ledger.location.path)
    assert types(ledger.location.path)[-3:] == ["gap.declared", "call.orphaned", "emitter.closed"]
    with read(ledger.location) as reader:
        (gap,) = reader.records("gap.declared")
    assert (gap.fields["reason"], gap.fields["count"]) == ("closed", 1)


def test_a_batch_ends_where_it_has_its_bytes_and_the_others_follow_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composing_module, "BATCH_BYTES", 20_000)
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect)
    ledger.open()
    faults.gate = gate = threading.Event()
    first = ledger.submit(started("first"))
    assert faults.reached.wait(10)
    before = faults.seen.count("COMMIT")
    sizes = {"a": 9_000, "b": 10_000, "c": 10, "d": 50_000, "e": 10, "f": 10}
    tickets = [ledger.submit(started(name, request=b"x" * size)) for name, size in sizes.items()]
    gate.set()
    assert all(isinstance(settled(each), Recorded) for each in (first, *tickets))
    assert faults.seen.count("COMMIT") - before == 3  # a b, c d, e f
    ledger.close()
    whole(ledger.location.path)
    order = rows(ledger.location.path, "SELECT call_id FROM ledger_record WHERE type = 'call.started' ORDER BY seq")
    assert [name for (name,) in order] == ["first", *sizes]


def test_what_was_given_back_as_it_closed_is_declared_before_the_goodbye(tmp_path: Path) -> None:
    """The commit that was under way failed, and there's one more: it may not say that nothing is missing."""
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect)
    ledger.open()
    settled(ledger.submit(started("c1")))
    step = ledger._appender.step

    def fails_once() -> Any:
        ledger._appender.step = step  # type: ignore[method-assign]
        batch = ledger._queue.take(9)
        ledger._queue.shut("closed")
        ledger._queue.give_back(batch)
        raise OSError("cut off")

    ledger._appender.step = fails_once  # type: ignore[method-assign]
    lost = ledger.submit(completed(None, "c1"))
    ledger.close()
    assert isinstance(lost.promise.value, Unrecorded)
    kinds = types(ledger.location.path)
    assert kinds[-1] == "emitter.closed"
    assert "gap.declared" in kinds[-3:]
    whole(ledger.location.path)


def test_the_log_replaced_under_a_running_writer_is_noticed(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    settled(ledger.submit(started("c1")))
    connection = sqlite3.connect(ledger.location.path, isolation_level=None)
    for trigger in ("ledger_record_no_delete", "ledger_head_no_update"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute("DELETE FROM ledger_record WHERE seq = 2")
    connection.execute("UPDATE ledger_head SET size = 2, frontier = x'00'")
    connection.close()
    assert "not the one" in settled(ledger.submit(started("c2"))).reason
    ledger.close()


def test_another_log_in_the_place_of_a_running_writers_gets_none_of_its_records(tmp_path: Path) -> None:
    another = ledger_at(tmp_path / "another.db", origin="example.com/another")
    another.open()
    for number in range(9):
        settled(another.submit(started(f"a{number}")))
    another.close()
    ledger = ledger_at(tmp_path / "x.db", origin=None)
    ledger.open()
    settled(ledger.submit(started("c1")))
    ledger._appender.let_go()  # as a fork or a failure does
    (tmp_path / "x.db").rename(tmp_path / "own.db")
    (tmp_path / "another.db").rename(tmp_path / "x.db")
    assert "this log of 'example.com/another' is not the one that" in settled(ledger.submit(started("c2"))).reason
    ledger.close()
    whole(tmp_path / "x.db")


def test_another_log_before_a_writer_committed_anything_gets_none_of_its_records(tmp_path: Path) -> None:
    for name in ("another", "x"):
        ledger = ledger_at(tmp_path / f"{name}.db", origin=f"example.com/{name}")
        ledger.open()
        ledger.close()
    appender = appender_module.Appender(ledger_at(tmp_path / "x.db", origin=None)._settings, TicketQueue(9))
    appender._open()
    appender.let_go()
    (tmp_path / "another.db").rename(tmp_path / "x.db")
    with pytest.raises(LedgerInvalid, match=r"this is the log of 'example.com/another' by now"):
        appender.step()
    appender.abandon()


@pytest.mark.parametrize("extra", [0, 5, 300])
def test_an_older_state_that_others_wrote_on_from_gets_none_of_a_writers_records(tmp_path: Path, extra: int) -> None:
    path = tmp_path / "x.db"
    ledger = ledger_at(path)
    ledger.open()
    settled(ledger.submit(started("c1")))
    with sqlite3.connect(path) as connection, sqlite3.connect(tmp_path / "older.db") as older:
        connection.backup(older)
    for number in range(3 + extra):
        settled(ledger.submit(started(f"lost-{number}")))
    ledger._appender.let_go()  # as a fork or a failure does
    own = path.read_bytes()
    path.write_bytes((tmp_path / "older.db").read_bytes())
    other = ledger_at(path, host="worker-2")
    other.open()
    for number in range(9 + extra):
        settled(other.submit(started(f"n{number}")))
    ticket = ledger.submit(started("c2"))
    assert "is not the one that this process wrote to" in settled(ticket).reason
    other.close()
    with read(path) as reader:
        assert "c2" not in [each.call_id for each in reader.records()]
    whole(path)
    with ledger._io:
        path.write_bytes(own)
    until(lambda: ledger.healthy)
    ledger.close()
    whole(path)


def test_a_subtree_that_somebody_planted_is_named_where_a_writer_would_complete_it(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    planted = "INSERT INTO ledger_subtree VALUES (1, zeroblob(32))"
    attack(tmp_path / "x.db", planted)
    for number in range(253):
        ledger.submit(started(f"c{number}"))
    assert isinstance(settled(ledger.submit(started("c-255"))), Recorded)  # completes another one
    attack(tmp_path / "x.db", planted.replace("(1,", "(2,"))
    for number in range(256):
        ledger.submit(started(f"d{number}"))
    until(lambda: not ledger.healthy)
    assert "ledger_subtree has a row 1, whose 256 records" in settled(ledger.submit(started("e"))).reason
    attack(tmp_path / "x.db", "DELETE FROM ledger_subtree WHERE idx > 0")
    until(lambda: ledger.healthy)
    ledger.close()
    whole(tmp_path / "x.db")


def test_what_others_appended_while_a_writer_had_let_go_is_built_upon(tmp_path: Path) -> None:
    ledger, other = ledger_at(tmp_path / "x.db"), ledger_at(tmp_path / "x.db", host="worker-2")
    for each in (ledger, other):
        each.open()
    for number in range(260):
        ledger.submit(started(f"c{number}"))
    settled(ledger.submit(started("c-last")))
    ledger._appender.let_go()
    settled(other.submit(started("d1")))
    assert isinstance(settled(ledger.submit(started("c-more"))), Recorded)
    for each in (ledger, other):
        each.close()
    whole(tmp_path / "x.db")


def test_another_tree_of_the_same_size_under_a_running_writer_is_noticed(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    settled(ledger.submit(started("c1")))
    connection = sqlite3.connect(ledger.location.path, isolation_level=None)
    connection.execute("UPDATE ledger_head SET frontier = zeroblob(64)")
    connection.close()
    assert "not the one" in settled(ledger.submit(started("c2"))).reason
    ledger.close()


def test_an_explicit_origin_must_be_the_logs_and_none_takes_it(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db", origin=None)
    assert ledger.origin == "worker-1/x.db"
    ledger.open()
    ledger.close()
    again = ledger_at(tmp_path / "x.db", origin=None, host="worker-2")
    again.open()
    assert again.origin == "worker-1/x.db"
    again.close()
    with pytest.raises(LedgerInvalid, match=r"log of 'worker-1/x\.db'"):
        ledger_at(tmp_path / "x.db", origin="another").open()


def test_submitting_costs_few_calls(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())
    ledger.open()
    evidence, count = started(), 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    ticket = ledger.submit(evidence)
    sys.setprofile(None)
    settled(ticket)
    ledger.close()
    assert count <= 25


def test_the_constructor_does_no_io_and_a_repr_shows_no_payload(tmp_path: Path) -> None:
    ledger_at(tmp_path / "nowhere" / "x.db")
    assert not list(tmp_path.iterdir())
    assert "HEXAGON" not in repr(started())


def test_checkpoints_move_the_write_ahead_log_into_the_file(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    before = ledger.location.path.stat().st_size
    ticket = ledger.submit(started(request=b"x" * (9 * 2**20)))
    settled(ticket)
    until(lambda: ledger.location.path.stat().st_size >= before + 9 * 2**20)
    ledger.close()
    whole(ledger.location.path)


def test_a_bug_below_does_not_kill_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    monkeypatch.setattr(ledger._appender.store, "append", lambda *_, **__: 1 / 0)
    assert settled(ledger.submit(started("c1"))) == Unrecorded("division by zero")
    monkeypatch.undo()
    until(lambda: ledger.healthy)
    ledger.close()
    assert types(ledger.location.path).count("call.started") == 1
    whole(ledger.location.path)


@pytest.mark.parametrize("below", ["publish", "tidy"])
def test_a_bug_between_two_batches_does_not_kill_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    events: list[Any] = []
    ledger = ledger_at(tmp_path / "x.db", on_event=lambda name, fields: events.append((name, fields)))
    ledger.open()
    appender = ledger._appender
    monkeypatch.setattr(appender if below == "publish" else appender.store, below, lambda: 1 / 0)
    for number in range(3):
        assert isinstance(settled(ledger.submit(started(f"c1-{number}"))), Recorded)
        until(lambda: not ledger.healthy)
    monkeypatch.undo()
    assert isinstance(settled(ledger.submit(started("c2"))), Recorded)
    until(lambda: ledger.healthy)
    ledger.close()
    assert events == [("ledger.failed", {"reason": "division by zero", "policy": "fallback"})]
    whole(ledger.location.path)


def test_a_bug_at_the_end_leaves_the_goodbye_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    store = ledger._appender.store
    monkeypatch.setattr(store, "append", lambda *_, **__: 1 / 0)
    ledger.close()
    assert not store.is_open
    assert len(list(tmp_path.glob("*.live"))) == 1


def test_an_unknown_outcome_at_the_end_leaves_the_goodbye_to_others(tmp_path: Path) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, back_off=(60.0, 60.0))
    ledger.open()
    faults.raises["COMMIT"] = (IOERR, "fsync failed")
    settled(ledger.submit(started("c1")))
    until(lambda: ledger._appender.doubt is not None)
    ledger.close()
    assert types(ledger.location.path) == ["log.opened", "emitter.opened"]
    assert len(list(tmp_path.glob("*.live"))) == 1


def test_a_version_that_is_not_installed_is_called_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", missing)
    ledger_at(tmp_path / "x.db").open()
    ((body,),) = rows(tmp_path / "x.db", "SELECT body FROM ledger_record WHERE type = 'emitter.opened'")
    assert json.loads(body)["lib"]["failsoft"] == "unknown"


def test_waiters_queued_behind_a_failure_are_told_as_well(tmp_path: Path) -> None:
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect)
    ledger.open()
    faults.gate = threading.Event()
    first = ledger.submit(started("first"))
    assert faults.reached.wait(10)
    faults.after["COMMIT"] = (BUSY, "busy")
    behind = ledger.submit(started("behind"))
    faults.gate.set()
    assert isinstance(settled(first), Unrecorded)
    assert isinstance(settled(behind), Unrecorded)
    faults.after.clear()
    ledger.close()


def test_a_file_that_is_taken_away_is_noticed_and_one_that_comes_back_is_written_to_again(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.location.path.rename(tmp_path / "away")
    assert isinstance(settled(ledger.submit(started("c1"))), Unrecorded)
    assert not ledger.healthy
    (tmp_path / "away").rename(ledger.location.path)
    until(lambda: ledger.healthy)
    ledger.close()
    assert types(ledger.location.path).count("call.started") == 1
    whole(ledger.location.path)


def test_another_file_in_its_place_is_not_written_to(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.location.path.rename(tmp_path / "away")
    ledger.location.path.write_bytes(b"another")
    reason = settled(ledger.submit(started("c1")))
    assert isinstance(reason, Unrecorded)
    assert "another file" in reason.reason
    (tmp_path / "away").rename(ledger.location.path)
    until(lambda: ledger.healthy)
    ledger.close()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_ledger_that_is_made_is_its_owners_only_and_one_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    before = os.umask(0o022)
    try:
        ledger = ledger_at(path)
        ledger.open()
        assert {each.name: each.stat().st_mode & 0o077 for each in tmp_path.iterdir()} == dict.fromkeys(
            (each.name for each in tmp_path.iterdir()), 0
        )
        ledger.close()
        path.chmod(0o640)  # an auditor's group
        ledger = ledger_at(path)
        ledger.open()
        ledger.close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_schema_of_each_answer_is_kept_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    ledger = ledger_at(path)
    ledger.open()
    capabilities = (("rate", None), ("sort", "2"))
    settled(ledger.submit(ConfigActivated(b'{"a":1}', capabilities, (), schemas=(("rate", b'{"type":"object"}'),))))
    ledger.close()
    with read(path) as reader:
        (record,) = reader.records("config.activated")
        rated, sorted_ = record.fields["capabilities"]
        assert sorted_ == {"name": "sort", "version": "2"}
        assert reader.artifact(rated["digest"]) == ("application/schema+json", b'{"type":"object"}')
    assert verify(path).exit_code == 0
    attack(path, "UPDATE ledger_artifact SET data = x'7b7d' WHERE media LIKE '%schema%'")
    assert "the schema of 'rate' that it names was changed" in " ".join(verify(path).summary())
    attack(path, "DELETE FROM ledger_artifact WHERE media LIKE '%schema%'")
    assert "the schema of 'rate' that it names is missing" in " ".join(verify(path).summary())


def test_a_ledger_that_another_process_keeps_locked_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failsoft.ledger.sqlite.store.OPEN_SECONDS", 0.05)
    other = FileLock(tmp_path / "x.db.lock")
    ledger = ledger_at(tmp_path / "x.db")
    with (
        other.held(),
        pytest.raises(LedgerInvalid, match=r"another process has kept it locked for 0\.05 s.*x\.db\.lock"),
    ):
        ledger.open()
    other.close()
    ledger.open()
    ledger.close()
