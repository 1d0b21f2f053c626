"""Several processes on one file, processes that are killed, and processes that fork: with real processes."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest
from ledgers import Faults, SystemClock, call, completed, ledger_at, rows, settled, started, types
from processes import Process, missing

from failsoft.core.effects import Recorded, Unrecorded
from failsoft.core.evidence import ConfigActivated
from failsoft.errors import LedgerInvalid
from failsoft.ledger import locks
from failsoft.ledger.locks import anybody
from failsoft.ledger.verify import verify
from failsoft.ledger.writing import writer as writer_module


def writing(path: Path, *arguments: str) -> Process:
    return Process("writing_process.py", path, *arguments)


def test_eight_processes_write_one_whole_log(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with ExitStack() as running:
        writers = [running.enter_context(writing(path, f"p{number}", "15")) for number in range(8)]
        for each in writers:
            each.end()
    found = verify(path)
    assert found.exit_code == 0, found.summary()
    assert found.kinds["call.completed"] == 8 * 15 * 8
    assert found.kinds["emitter.opened"] == found.kinds["emitter.closed"] == 8
    assert not missing(path, [pair for each in writers for pair in each.acknowledged()])
    assert not list(tmp_path.glob("*.live"))


def test_a_writer_that_is_killed_loses_nothing_acknowledged_while_others_go_on(tmp_path: Path) -> None:
    path, chance = tmp_path / "x.db", random.Random(5)
    told: list[tuple[int, str]] = []
    with writing(path, "steady", "120") as steady:
        for number in range(6):
            with writing(path, f"victim{number}", "100000") as victim:
                victim.until_lines(chance.randrange(1, 200))
                victim.kill()
            told += victim.acknowledged()
        steady.end()
    last = ledger_at(path)
    last.open()
    last.close()
    found = verify(path)
    assert found.exit_code == 0, found.summary()
    assert not missing(path, told + steady.acknowledged())
    assert not list(tmp_path.glob("*.live"))


def test_orphans_of_a_killed_process_are_named_once_though_many_open_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with writing(path, "leave-open", "5") as victim:
        assert victim.until_lines(1) == ["ready"]
        alive = ledger_at(path, clock=SystemClock())
        alive.open()
        assert "call.orphaned" not in types(path)  # it lives
        victim.kill()
    assert verify(path).exit_code == 2
    with ExitStack() as running:
        for each in [running.enter_context(writing(path, f"p{number}", "1")) for number in range(4)]:
            each.end()
    alive.close()
    orphans = [call_id for (call_id,) in rows(path, "SELECT call_id FROM ledger_record WHERE type = 'call.orphaned'")]
    assert sorted(orphans) == ["left-1", "left-2", "left-3", "left-4"]
    assert verify(path).exit_code == 0


def in_child(work: Callable[[], None]) -> None:
    """Fork, and do this in the child: its failure is this test's."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_a_forked_child_becomes_another_emitter_and_the_parent_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    ledger = ledger_at(path, clock=SystemClock())
    ledger.open()
    settled(call(ledger, "before")[1])
    (live,) = tmp_path.glob("*.live")

    def child() -> None:
        assert ledger.healthy
        assert isinstance(settled(call(ledger, "child")[1]), Recorded)
        other = ledger_at(path, clock=SystemClock())
        other.open()  # sweeps: the parent must still count as alive
        other.close()
        ledger.close()

    in_child(child)
    assert live.exists()
    settled(call(ledger, "after")[1])
    ledger.close()
    found = verify(path)
    assert found.exit_code == 0, found.summary()
    assert found.kinds["emitter.opened"] == 3
    assert "call.orphaned" not in found.kinds
    emitters = rows(path, "SELECT call_id, emitter FROM ledger_record WHERE type = 'call.started' ORDER BY seq")
    assert emitters[0][1] == emitters[2][1] != emitters[1][1]


def test_a_child_that_records_nothing_leaves_no_trace(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())
    ledger.open()
    in_child(lambda: None)
    in_child(ledger.close)
    settled(call(ledger, "after")[1])
    ledger.close()
    assert types(ledger.location.path).count("emitter.opened") == 1
    assert verify(ledger.location.path).exit_code == 0


def test_a_child_of_a_ledger_that_is_not_open_can_open_it(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())

    def child() -> None:
        assert isinstance(ledger.submit(started()).promise.value, Unrecorded)
        ledger.open()
        settled(call(ledger, "child")[1])
        ledger.close()

    in_child(child)
    assert verify(ledger.location.path).exit_code == 0


def test_the_parents_lock_ends_with_the_parent_though_a_child_lives_on(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())
    ledger.open()
    settled(ledger.submit(started("left")))
    told, tell = os.pipe()
    begun, begin = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(tell)
        os.write(begin, b"x")
        os.read(told, 1)
        os._exit(0)
    os.read(begun, 1)  # until then the child may still have its copy of the lock
    ledger._appender.abandon()  # what the kernel does when a process is killed
    other = ledger_at(ledger.location.path, clock=SystemClock())
    other.open()
    other.close()
    os.write(tell, b"x")
    os.waitpid(child, 0)
    os.close(tell)
    os.close(told)
    os.close(begun)
    os.close(begin)
    assert types(ledger.location.path).count("call.orphaned") == 1
    ledger._queue.shut("the test is over")


def test_a_fork_in_the_middle_of_a_stuck_commit_leaves_the_child_without_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_FORK_WAIT", 0.01)
    faults = Faults()
    ledger = ledger_at(tmp_path / "x.db", connect=faults.connect, clock=SystemClock())
    ledger.open()
    faults.gate = threading.Event()
    stuck = ledger.submit(started("stuck"))
    assert faults.reached.wait(10)

    def child() -> None:
        assert not ledger.healthy
        assert "forked" in ledger.submit(started("child")).promise.value.reason  # type: ignore[union-attr]

    in_child(child)
    faults.gate.set()
    assert isinstance(settled(stuck), Recorded)
    ledger.close()
    assert verify(ledger.location.path).exit_code == 0


def test_verifying_works_while_a_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with writing(path, "p", "60") as process:
        process.until_lines(1)
        sizes = []
        while process.runs and len(sizes) < 20:
            found = verify(path)
            assert found.exit_code == 0, found.summary()
            sizes.append(found.size)
        process.end()
    assert sizes
    assert sizes == sorted(sizes)
    assert verify(path).exit_code == 0


@pytest.mark.parametrize("configured", [True, False])
def test_a_child_seen_from_inside_has_its_own_emitter_and_queue(tmp_path: Path, *, configured: bool) -> None:
    """A fork without the fork: what the hooks do to a ledger, in this process."""
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())
    ledger.open()
    parent, parents_queue, parents_io = ledger._thread, ledger._queue, ledger._io
    if configured:
        settled(ledger.submit(ConfigActivated(b"{}", (), ())))
    assert ledger.before_fork()
    ledger.after_fork_in_child(True)
    parents_io.release()
    assert ledger.healthy
    assert ledger._thread is None
    assert isinstance(settled(call(ledger, "child")[1]), Recorded)
    assert types(ledger.location.path).count("config.activated") == (2 if configured else 0)
    parents_queue.shut("the parent is closed")
    assert parent is not None
    parent.join(10)
    ledger.close()
    found = verify(ledger.location.path)
    assert found.exit_code == 0, found.summary()
    assert found.kinds["emitter.opened"] == found.kinds["emitter.closed"] == 2


def test_a_child_says_first_how_it_is_set_up(tmp_path: Path) -> None:
    """As its parent was, though others have another lock by now: what's told of its calls is its own."""
    path = tmp_path / "x.db"
    ledger = ledger_at(path, clock=SystemClock())
    ledger.open()
    settled(ledger.submit(ConfigActivated(b"{}", (), (), b'{"lock":1}')))

    def child() -> None:
        settled(call(ledger, "child")[1])
        ledger.close()

    in_child(child)
    ledger.close()
    of_child = "SELECT emitter FROM ledger_record WHERE call_id = 'child'"
    kinds = rows(path, f"SELECT type FROM ledger_record WHERE emitter IN ({of_child}) ORDER BY eseq LIMIT 3")
    assert kinds == [("emitter.opened",), ("config.activated",), ("call.started",)]
    locks = [
        json.loads(body)["lock_sha256"]
        for (body,) in rows(path, "SELECT body FROM ledger_record WHERE type = 'config.activated'")
    ]
    assert locks == [sha256(b'{"lock":1}').hexdigest()] * 2


def test_a_child_that_closes_at_once_never_writes(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())
    ledger.open()
    parent, parents_queue, parents_io = ledger._thread, ledger._queue, ledger._io
    assert ledger.before_fork()
    ledger.after_fork_in_child(True)
    parents_io.release()
    ledger.close()
    parents_queue.shut("the parent is closed")
    assert parent is not None
    parent.join(10)
    assert types(ledger.location.path).count("emitter.opened") == 1


def test_two_threads_wake_a_sleeping_ledger_once(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())
    ledger._wake()
    assert ledger._thread is None


def test_a_child_of_a_closed_ledger_has_a_closed_one_and_one_of_a_stuck_one_none(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())
    assert ledger.before_fork()
    ledger.after_fork_in_child(True)
    assert ledger.submit(started()).promise.value == Unrecorded("the ledger is not open")
    ledger.after_fork_in_child(False)
    assert "commit was under way" in ledger.submit(started()).promise.value.reason  # type: ignore[union-attr]


def test_the_hooks_reach_every_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())
    monkeypatch.setattr(writer_module, "_ledgers", [ledger])
    before = ledger._queue
    writer_module._before_fork()
    writer_module._after_fork_in_child()
    assert ledger._queue is not before
    assert not writer_module._held


def test_a_fork_that_cannot_wait_for_a_commit_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_FORK_WAIT", 0.01)
    ledger = ledger_at(tmp_path / "x.db", clock=SystemClock())
    with ledger._io:
        assert not ledger.before_fork()


def test_orphans_that_cannot_be_written_are_named_later(tmp_path: Path) -> None:
    first = ledger_at(tmp_path / "x.db")
    first.open()
    settled(first.submit(started("left")))
    first._appender.abandon()
    faults = Faults()
    second = ledger_at(tmp_path / "x.db", connect=faults.connect)
    appender = second._appender
    appender.settle(*appender.step())
    faults.raises["COMMIT"] = (5, "busy")
    with pytest.raises(Exception, match="busy"):
        appender.step()
    faults.raises.clear()
    appender.settle(*appender.step())
    appender.end()
    assert types(first.location.path).count("call.orphaned") == 1
    assert verify(first.location.path).exit_code == 0
    first._queue.shut("the test is over")  # whereupon its thread says goodbye, and names the call as well


@pytest.mark.parametrize("beside", ["-wal", "-shm"])
def test_beside_what_is_left_of_a_ledger_that_is_gone_none_is_made(tmp_path: Path, beside: str) -> None:
    """SQLite would play the old one's records into the new one, and they'd be gone from where they belong."""
    path = tmp_path / "x.db"
    with writing(path, "leave-open", "3") as victim:
        victim.until_lines(1)
        victim.kill()
    assert path.with_name("x.db-wal").stat().st_size
    path.rename(tmp_path / "away.db")
    path.with_name(f"x.db{'-shm' if beside == '-wal' else '-wal'}").rename(tmp_path / "away")
    with pytest.raises(LedgerInvalid, match=rf"it's gone, and its x\.db{beside} is there still"):
        ledger_at(path).open()
    assert not path.exists()
    (tmp_path / "away").rename(path.with_name(f"x.db{'-shm' if beside == '-wal' else '-wal'}"))
    (tmp_path / "away.db").rename(path)
    ledger = ledger_at(path, clock=SystemClock())
    ledger.open()
    ledger.close()
    assert types(path).count("call.orphaned") == 2
    assert verify(path).exit_code == 0


@pytest.mark.parametrize("refused", [False, True])
def test_a_backup_that_came_without_live_files_has_its_open_calls_ended(tmp_path: Path, refused: bool) -> None:
    """What stands beside a ledger is empty: whoever copies it leaves that out. It may not be opened at first."""
    path, back = tmp_path / "x.db", tmp_path / "back" / "x.db"
    back.parent.mkdir()
    with writing(path, "leave-open", "3") as victim:
        victim.until_lines(1)
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{back}{end}")
        victim.kill()
    assert verify(back).exit_code == 2
    if refused:
        journal = back.with_name("x.db-journal")
        journal.touch()
        with pytest.raises(LedgerInvalid, match="a rollback journal stands beside it"):
            ledger_at(back, clock=SystemClock()).open()
        journal.unlink()
    for _ in range(2):
        ledger = ledger_at(back, clock=SystemClock())
        ledger.open()
        ledger.close()
        assert types(back).count("call.orphaned") == 2
        assert verify(back).exit_code == 0
    assert not list(back.parent.glob("*.live"))


def test_a_lock_that_was_touched_makes_nobody_gone_who_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts next takes it for new each time, and looks for open calls that have no live file."""
    monkeypatch.setattr(locks, "_now", lambda: time.time_ns() - 200_000_000)
    path = tmp_path / "x.db"
    ledger = ledger_at(path, clock=SystemClock())
    ledger.open()
    begin = ledger.submit(started("c1"))
    settled(begin)
    for _ in range(2):
        other = ledger_at(path, clock=SystemClock())
        other.open()
        assert other._appender.store.lock.is_new  # type: ignore[attr-defined]
        other.close()
    settled(ledger.submit(completed(begin, "c1")))
    ledger.close()
    assert "call.orphaned" not in types(path)
    assert not list(tmp_path.glob("*.live"))
    assert verify(path).exit_code == 0


def test_a_ledger_whose_name_begins_like_anothers_is_another(tmp_path: Path) -> None:
    path, other = tmp_path / "x.db", tmp_path / "x.db.2025"
    with writing(other, "leave-open", "2") as victim:
        victim.until_lines(1)
        assert not anybody(path)
        assert anybody(other)
        victim.kill()
    for each in (path, other):
        ledger = ledger_at(each, clock=SystemClock())
        ledger.open()
        ledger.close()
        assert verify(each).exit_code == 0
    assert types(other).count("call.orphaned") == 1
