"""A ledger with what Windows has in place of POSIX. Not the real thing: see `windows_process.py`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from ledgers import rows
from processes import Process, missing, numbers

from failsoft.io.block_file import BlockFile
from failsoft.ledger.verify import verify


def windows(path: Path, *arguments: str) -> Process:
    return Process("windows_process.py", path, *arguments)


def test_several_processes_write_one_whole_log_and_one_that_is_killed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with windows(path, "leave-open", "2") as victim:
        assert victim.until_lines(1) == ["ready"]
        found = verify(path)
        assert (found.exit_code, found.in_flight) == (0, 1), found.summary()
        victim.kill()
    with ExitStack() as running:
        writers = [running.enter_context(windows(path, f"p{number}", "5")) for number in range(3)]
        for each in writers:
            each.end()
    found = verify(path)
    assert found.exit_code == 0, found.summary()
    assert not missing(path, [pair for each in writers for pair in each.acknowledged()])
    assert all(each == list(range(len(each))) for each in numbers(path).values())
    assert rows(path, "SELECT call_id FROM ledger_record WHERE type = 'call.orphaned'") == [("left-1",)]
    assert not list(tmp_path.glob("*.live"))
    assert (tmp_path / "x.db.ballast").stat().st_size == 64 * 1024
    blocks = BlockFile(path.with_suffix(".blocks.json")).current()
    assert sorted(blocks) == ["adapter:leave-open", "adapter:p0", "adapter:p1", "adapter:p2"]
