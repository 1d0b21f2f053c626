"""Processes that end at the worst of moments, each step of a commit in turn: nothing acknowledged is lost, the tree is
whole, no number is used twice or left out, and each open call is named once, by whoever comes next."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from ledgers import SystemClock, call, ledger_at, rows, settled, started, until
from processes import Process, missing, numbers

from failsoft.core.effects import Recorded
from failsoft.ledger.verify import verify
from failsoft.processes import is_locked


def doomed(path: Path, deed: str, moment: str, step: str, act: str) -> Process:
    return Process("doomed_process.py", path, deed, moment, step, act)


def write_on(path: Path, name: str) -> None:
    """Somebody opens the ledger, writes one call and closes it."""
    ledger = ledger_at(path, clock=SystemClock())
    ledger.open()
    assert isinstance(settled(call(ledger, name)[1], 120), Recorded)
    ledger.close(120)


def orphans(path: Path) -> list[str]:
    found = rows(path, "SELECT call_id FROM ledger_record WHERE type = 'call.orphaned' ORDER BY call_id")
    return [call_id for (call_id,) in found]


def holds_the_lock(path: Path) -> bool:
    with path.with_name(path.name + ".lock").open("rb") as file:
        return is_locked(file.fileno())


def check_whole(path: Path, told: list[tuple[int, str]] = []) -> None:  # noqa: B006 -- read only
    found = verify(path)
    assert found.exit_code == 0, found.summary()
    assert not missing(path, told)
    assert all(each == list(range(len(each))) for each in numbers(path).values())
    assert not list(path.parent.glob("*.live"))


IN_A_COMMIT = [
    ("before", "BEGIN", False),
    ("after", "BEGIN", False),
    ("after", "INSERT INTO ledger_record", False),
    ("after", "UPDATE ledger_head", False),
    ("before", "COMMIT", False),
    ("after", "COMMIT", True),
]


@pytest.mark.parametrize(
    ("moment", "step", "act", "durable"),
    [
        *((moment, step, "commit", durable) for moment, step, durable in IN_A_COMMIT),
        ("before", "settle", "commit", True),
        ("before", "PRAGMA wal_checkpoint", "checkpoint", True),
        ("after", "PRAGMA wal_checkpoint", "checkpoint", True),
    ],
)
def test_a_process_killed_at_any_step_of_a_commit_loses_nothing_acknowledged(
    tmp_path: Path, moment: str, step: str, act: str, durable: bool
) -> None:
    path = tmp_path / "x.db"
    with doomed(path, "die", moment, step, act) as victim:
        victim.end(-signal.SIGKILL)
    told = victim.acknowledged()
    assert len(told) == 3
    (_, wrote) = max(numbers(path).items())
    assert wrote == list(range(5 if durable else 4))
    for name in ("next", "next but one"):
        write_on(path, name)
    assert orphans(path) == (["doomed", "left"] if durable else ["left"])
    check_whole(path, told)


@pytest.mark.parametrize("pages", [0, 1, 4])
def test_a_process_killed_in_the_middle_of_writing_a_commit_loses_nothing_acknowledged(
    tmp_path: Path, pages: int
) -> None:
    path = tmp_path / "x.db"
    with doomed(path, "die", "in", str(pages), "write") as victim:
        victim.end(-signal.SIGXFSZ)
    told = victim.acknowledged()
    write_on(path, "next")
    assert orphans(path) == ["left"]
    check_whole(path, told)


@pytest.mark.parametrize(
    ("moment", "step", "act", "durable"),
    [
        *((moment, step, "commit", durable) for moment, step, durable in IN_A_COMMIT),
        ("before", "PRAGMA wal_checkpoint", "checkpoint", True),
        ("after", "PRAGMA wal_checkpoint", "checkpoint", True),
    ],
)
def test_whoever_waits_for_the_lock_of_a_killed_process_goes_on_without_a_failure(
    tmp_path: Path, moment: str, step: str, act: str, durable: bool
) -> None:
    path, events = tmp_path / "x.db", list[str]()
    patient = ledger_at(path, clock=SystemClock(), on_event=lambda name, _: events.append(name))
    patient.open()
    with doomed(path, "stand", moment, step, act) as victim:
        assert victim.until_lines(4)[-1] == "there"
        assert holds_the_lock(path)
        ticket = patient.submit(started("patient"))
        until(patient._io.locked)  # its thread is at it
        assert not ticket.promise.done
        victim.kill()
        assert isinstance(settled(ticket, 120), Recorded)
    assert not events
    told = victim.acknowledged()
    write_on(path, "next")
    patient.close()
    write_on(path, "last")
    assert orphans(path) == sorted(["left", "patient", *["doomed"] * durable])
    check_whole(path, told)


@pytest.mark.parametrize(
    ("moment", "step"),
    [
        ("before", "CREATE TABLE"),
        ("before", "COMMIT"),
        ("after", "COMMIT"),
        ("before", "rename"),
        ("after", "rename"),
        ("before", "hold"),
        ("after", "hold"),
    ],
)
def test_a_ledger_whose_maker_was_killed_is_made_by_the_next_or_taken_as_it_is(
    tmp_path: Path, moment: str, step: str
) -> None:
    path = tmp_path / "x.db"
    with doomed(path, "die", moment, step, "open") as victim:
        victim.end(-signal.SIGKILL)
    made = path.exists()
    assert made is ((moment, step) in {("after", "rename"), ("before", "hold"), ("after", "hold")})
    write_on(path, "next")
    check_whole(path)
    assert len(numbers(path)) == 1 + made


@pytest.mark.parametrize(
    ("moment", "step"),
    [("before", "COMMIT"), ("after", "COMMIT"), ("before", "settle"), ("before", "release"), ("after", "release")],
)
def test_orphans_are_named_once_though_whoever_names_them_is_killed(tmp_path: Path, moment: str, step: str) -> None:
    path = tmp_path / "x.db"
    with doomed(path, "die", "before", "BEGIN", "commit") as first:
        first.end(-signal.SIGKILL)
    with doomed(path, "die", moment, step, "sweep") as victim:
        victim.end(-signal.SIGKILL)
    assert orphans(path) == ([] if (moment, step) == ("before", "COMMIT") else ["left"])
    for name in ("next", "next but one"):
        write_on(path, name)
    assert orphans(path) == ["left"]
    check_whole(path)


@pytest.mark.parametrize(
    ("moment", "step"),
    [
        ("before", "COMMIT"),
        ("after", "COMMIT"),
        ("before", "PRAGMA wal_checkpoint"),
        ("after", "PRAGMA wal_checkpoint"),
        ("before", "release"),
        ("after", "release"),
    ],
)
def test_a_process_killed_while_it_closes_the_ledger_leaves_it_whole(tmp_path: Path, moment: str, step: str) -> None:
    path = tmp_path / "x.db"
    with doomed(path, "die", moment, step, "close") as victim:
        victim.end(-signal.SIGKILL)
    told = victim.acknowledged()
    write_on(path, "next")
    assert orphans(path) == ["left"]
    check_whole(path, told)
