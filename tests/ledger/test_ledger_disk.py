from __future__ import annotations

import errno
import functools
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import pytest
from ledgers import Faults, ledger_at, rows, settled, started, types, until

from failsoft import processes
from failsoft.core.effects import Recorded, Unrecorded
from failsoft.errors import LedgerInvalid
from failsoft.ledger import locks
from failsoft.ledger.disk import Ballast, network_file_system, sync_folder
from failsoft.ledger.locks import FileLock, LiveFile, alive
from failsoft.ledger.sqlite import store as sqlite_module
from failsoft.ledger.sqlite.store import LedgerFile
from failsoft.ledger.store import AppendFailed
from failsoft.ledger.verify import verify
from failsoft.processes import is_locked

MOUNTS = r"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:40 / /srv/shared\040files rw,relatime - nfs4 server:/export rw
31 30 0:41 / /srv/shared\040files/local rw - xfs /dev/vdb rw
32 22 0:42 / /mnt/s rw - fuse.sshfs host: rw
34 22 0:44 / /mnt/over rw - nfs4 server:/export rw
35 34 0:45 / /mnt/over rw - xfs /dev/vdc rw
36 22 0:46 / /mnt/under rw - xfs /dev/vdd rw
37 36 0:47 / /mnt/under rw - cifs //server/share rw
short line
33 22 0:43 no separator here
"""

AA, BB, CC = "aa" * 16, "bb" * 16, "cc" * 16


def test_the_longest_mount_point_decides_whether_a_folder_is_local(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    kinds = {
        "/srv/shared files/a": "nfs4",
        "/srv/shared files": "nfs4",
        "/srv/shared files/local/a": None,
        "/srv/shared files2": None,
        "/mnt/s": "fuse.sshfs",
        "/mnt/over/a": None,  # of two in one place, the later lies on top
        "/mnt/under/a": "cifs",
        "/var/lib": None,
    }
    assert {path: network_file_system(Path(path), str(mounts)) for path in kinds} == kinds


def test_a_path_of_windows_that_names_a_server_is_on_the_network() -> None:
    assert network_file_system(PureWindowsPath(r"\\server\share\folder")) == "smb"


def test_a_ledger_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_module, "network_file_system", lambda _: "nfs4")
    with pytest.raises(LedgerInvalid, match="PostgreSQL"):
        ledger_at(tmp_path / "x.db").open()
    assert not list(tmp_path.iterdir())


def test_mounts_that_cannot_be_read_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(sqlite_module, "network_file_system", unreadable)
    events: list[str] = []
    for on_event in (None, lambda name, _fields: events.append(name)):
        ledger = ledger_at(tmp_path / "x.db", on_event=on_event)
        ledger.open()
        ledger.close()
    assert events == ["ledger.warning"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerInvalid, match="can't be written"):
        ledger_at(tmp_path / "nowhere" / "x.db").open()


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.close()
    faults = Faults()
    faults.raises["BEGIN IMMEDIATE"] = (sqlite3.SQLITE_READONLY, "attempt to write a readonly database")
    with pytest.raises(LedgerInvalid, match="readonly"):
        ledger_at(tmp_path / "x.db", connect=faults.connect).open()


def test_what_is_no_file_is_named_and_no_lock_is_left_beside_it(tmp_path: Path) -> None:
    folder, device = tmp_path / "etc", tmp_path / "null"
    folder.mkdir()
    device.symlink_to(os.devnull)
    with pytest.raises(LedgerInvalid, match=r"etc: it's a folder: name a file in it, such as .*etc/failsoft\.db"):
        ledger_at(folder).open()
    with pytest.raises(LedgerInvalid, match="it's no file, but a device"):
        LedgerFile(device).vet()
    with pytest.raises(LedgerInvalid, match="it's no file, but a device"):
        LedgerFile(device).open(list)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["etc", "null"]


def test_a_file_that_stands_in_a_folder_that_may_not_be_looked_into_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: object, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    ledger = ledger_at(tmp_path / "x.db")
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", denied)
        patched.setattr(os, "open", denied)
        with pytest.raises(LedgerInvalid, match=r"the ledger can't be written .*Permission denied"):
            ledger.open()


def test_a_file_that_this_user_may_not_write_to_is_refused_before_anything_is_made_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    ledger = ledger_at(path)
    ledger.open()
    ledger.close()
    path.chmod(0o444)
    with monkeypatch.context() as patched:  # root may write all the same
        patched.setattr(os, "access", lambda path, mode: mode == os.W_OK and bool(Path(path).stat().st_mode & 0o200))
        with pytest.raises(LedgerInvalid, match=r"x\.db: this user may not write to it: mend the file's mode"):
            ledger_at(path).open()
        assert not [each for each in tmp_path.iterdir() if each.name.endswith(("-wal", "-shm"))]
        path.chmod(0o600)
        ledger = ledger_at(path)
        ledger.open()
        ledger.close()


def test_a_file_system_without_a_write_ahead_log_is_refused(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.close()

    class Stubborn(sqlite3.Connection):
        def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
            return super().execute("SELECT 'delete'" if sql.startswith("PRAGMA journal_mode") else sql, *arguments)  # type: ignore[arg-type]

    def connect(uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, isolation_level=None, factory=Stubborn)

    with pytest.raises(LedgerInvalid, match="write-ahead"):
        ledger_at(tmp_path / "x.db", connect=connect).open()


def test_failing_to_say_hello_is_a_refusal_to_open(tmp_path: Path) -> None:
    ledger_at(tmp_path / "x.db").open()
    faults = Faults()
    faults.raises["COMMIT"] = (sqlite3.SQLITE_FULL, "database or disk is full")
    with pytest.raises(LedgerInvalid, match="full"):
        ledger_at(tmp_path / "x.db", connect=faults.connect).open()


def test_a_creation_that_was_interrupted_is_begun_again(tmp_path: Path) -> None:
    faults = Faults()
    faults.raises["COMMIT"] = (sqlite3.SQLITE_IOERR, "disk I/O error")
    with pytest.raises(LedgerInvalid, match="I/O"):
        ledger_at(tmp_path / "x.db", connect=faults.connect).open()
    assert not (tmp_path / "x.db").exists()
    assert (tmp_path / "x.db.new").exists()
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.close()
    assert verify(ledger.location.path).exit_code == 0


def test_an_error_of_the_file_system_in_creation_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(LedgerInvalid, match="input/output"):
        ledger_at(tmp_path / "x.db").open()


def test_a_ledger_cut_back_between_two_openings_of_one_process_is_refused(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.close()
    before = (tmp_path / "x.db").read_bytes()
    file = LedgerFile(ledger.location.path)
    file.open(list)
    file._head._known.size = 99
    file.close()
    assert (tmp_path / "x.db").read_bytes() == before
    with pytest.raises(LedgerInvalid, match="had committed 99"):
        file.open(list)
    file.close()


def test_a_file_that_is_not_open_takes_nothing(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "x.db")
    with pytest.raises(AppendFailed, match="not open"):
        file.append([])
    file.close()


def test_ballast_takes_room_and_gives_it_up_once(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "b", 4096)
    assert ballast.fill()
    assert ballast.fill()
    assert ballast.path.stat().st_size == 4096
    assert ballast.spend()
    assert not ballast.spend()
    assert not Ballast(tmp_path / "nowhere" / "b").fill()


@pytest.mark.parametrize(
    ("number", "filled", "left"),
    [
        (errno.ENOSPC, False, False),
        (errno.EDQUOT, False, False),
        (errno.EOPNOTSUPP, True, True),
        (errno.EIO, False, True),
    ],
)
def test_ballast_that_cannot_be_filled_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, filled: bool, left: bool
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    ballast = Ballast(tmp_path / "b")
    assert ballast.fill() is filled
    assert ballast.path.exists() is left


def test_ballast_is_written_where_room_cannot_be_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3000]))  # a part at a time
    ballast = Ballast(tmp_path / "b", 8192)
    assert ballast.fill()
    assert ballast.path.stat().st_blocks * 512 >= 8192

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert not ballast.fill()
    assert not ballast.path.exists()


def test_a_system_that_opens_no_folders_is_asked_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sync_folder(tmp_path)
    assert len(synced) == 1
    monkeypatch.delattr(os, "O_DIRECTORY")
    sync_folder(tmp_path)
    assert len(synced) == 1


def test_a_live_file_that_cannot_be_removed_is_left_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    live = LiveFile.hold(tmp_path / "x.db", AA)
    monkeypatch.setattr(Path, "unlink", refuse)
    live.release(remove=True)
    monkeypatch.undo()
    ((name, gone),) = LiveFile.gone(tmp_path / "x.db", BB)
    assert name == AA
    gone.release(remove=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("another", [False, True])
def test_a_live_file_that_was_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, another: bool
) -> None:
    lock = processes.lock

    def swept(descriptor: int) -> None:
        monkeypatch.setattr(processes, "lock", lock)
        for _, gone in LiveFile.gone(tmp_path / "x.db", BB):
            gone.release(remove=True)
        if another:
            LiveFile.name(tmp_path / "x.db", AA).touch()
        lock(descriptor)

    monkeypatch.setattr(processes, "lock", swept)
    live = LiveFile.hold(tmp_path / "x.db", AA)
    assert alive(tmp_path / "x.db", AA)
    live.release(remove=True)
    assert not list(tmp_path.iterdir())


def test_a_lock_is_entered_again_by_its_holder_and_held_until_it_is_left_by_all(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "l")
    for _ in range(2):
        with lock.held():
            other = os.open(lock.path, os.O_RDWR)
            with lock.held():
                assert is_locked(other)
            assert is_locked(other)
        assert not is_locked(other)
        os.close(other)
    lock.close()
    lock.close()


def test_a_lock_is_new_until_it_was_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    lock = FileLock(tmp_path / "l")
    with lock.held(), monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        lock.used()
        assert lock.is_new
    lock.close()
    with lock.held():
        assert lock.is_new
        lock.used()
        assert not lock.is_new
    lock.close()
    shutil.copy(lock.path, tmp_path / "copy")
    copy = FileLock(tmp_path / "copy")
    with lock.held(), copy.held():
        assert (lock.is_new, copy.is_new) == (False, True)
        copy.used()
        assert not copy.is_new
        monkeypatch.setattr(locks, "_now", lambda: time.time_ns() - 200_000_000)
        copy.used()
        assert copy.is_new, "it was put back in place"
    lock.close()
    copy.close()


def test_where_the_kernel_has_no_name_for_its_start_a_file_is_known_by_its_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_started", functools.cache(locks._started.__wrapped__))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", lambda *_: (_ for _ in ()).throw(FileNotFoundError()))
        assert locks._started() == ""
    now = time.time_ns()
    monkeypatch.setattr(locks, "_now", lambda: now)
    live = LiveFile.hold(tmp_path / "x.db", AA)
    found = live.path.stat()
    assert live.path.read_text() == f"{found.st_dev}:{found.st_ino}::{now}:\n"
    assert live.is_original
    live.release(remove=True)


@pytest.mark.parametrize(
    ("off_s", "windows", "original"),
    [(0, False, True), (-0.2, False, False), (-0.2, True, False), (2, False, False), (2, True, True)],
)
def test_a_live_file_that_was_written_at_another_time_than_it_says_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off_s: float, windows: bool, original: bool
) -> None:
    """Put back in place it has the same inode. Windows knows when a file was made, not when it was changed."""
    live = LiveFile.hold(tmp_path / "x.db", AA)
    assert (live.is_original, live.last_spooled) == (True, None)
    with monkeypatch.context() as patched:
        patched.setattr(locks, "_now", lambda: time.time_ns() + int(off_s * 1e9))
        live.spooled(0)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "platform", "win32" if windows else sys.platform)
        assert (live.is_original, live.last_spooled) == (original, 0 if original else None)
    live.spooled(11)
    assert (live.is_original, live.last_spooled) == (True, 11)
    live.path.write_bytes(live.path.read_bytes()[:-2])
    assert (live.is_original, live.last_spooled) == (False, None), "its number is cut short"
    live.release(remove=True)
    with (tmp_path / "another").open("wb"), pytest.raises(OSError, match="Bad file descriptor"):
        live.spooled(12)  # whatever is open under its number by now


def test_what_stands_beside_a_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    for beside in (*tmp_path.glob("*.live"), tmp_path / "x.db.lock", tmp_path / "x.db.ballast"):
        assert beside.stat().st_mode & 0o777 == 0o600
    ledger.close()


def test_the_file_and_its_connection_are_set_up_as_published(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    for _ in range(2):  # made, and opened again
        ledger.open()
        with ledger._io:
            connection = ledger._appender.store._connection
            assert connection is not None
            pragmas = (
                "journal_mode", "synchronous", "page_size", "recursive_triggers", "secure_delete", "trusted_schema",
                "wal_autocheckpoint",
            )  # fmt: skip
            assert [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas] == [
                "wal", 2, 8192, 1, 1, 0, 0,
            ]  # fmt: skip
        ledger.close()


def test_a_write_ahead_log_stays_bounded_by_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failsoft.ledger.sqlite.store.CHECKPOINT_PAGES", 64)
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    for number in range(60):
        settled(ledger.submit(started(f"c{number}")))
    assert (tmp_path / "x.db-wal").stat().st_size < 200 * 8192
    ledger.close()
    assert not (tmp_path / "x.db-wal").exists()


def test_an_emitter_is_alive_as_long_as_it_holds_its_file(tmp_path: Path) -> None:
    database = tmp_path / "x[1]*.db"
    live = LiveFile.hold(database, AA)
    assert alive(database, AA)
    assert list(LiveFile.gone(database, BB)) == []
    live.release(remove=False)
    assert not alive(database, AA)
    assert not alive(database, CC)
    assert list(LiveFile.gone(database, AA)) == []
    ((name, gone),) = LiveFile.gone(database, BB)
    assert name == AA
    gone.release(remove=True)
    assert list(LiveFile.gone(database, BB)) == []


def test_a_link_in_place_of_a_live_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / f"x.db.{AA}.live").symlink_to(tmp_path / "target")
    assert list(LiveFile.gone(tmp_path / "x.db", BB)) == []
    assert not alive(tmp_path / "x.db", AA)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full_says_so_and_loses_nothing_acknowledged(small_disk: Path) -> None:
    def others_take_the_rest(name: str, _fields: object) -> None:
        """Letting go of the file makes room; somebody else takes that, but for less than the ballast."""
        if name == "ledger.failed" and not (small_disk / "hog").exists():
            free = os.statvfs(small_disk)
            (small_disk / "hog").write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 400_000)))

    ledger = ledger_at(small_disk / "x.db", ballast=512 * 1024, on_event=others_take_the_rest)
    ledger.open()
    recorded = []
    for number in range(5000):
        result = settled(ledger.submit(started(f"c{number}", request=b"x" * 2000)))
        if isinstance(result, Unrecorded):
            break
        recorded.append(result)
    assert isinstance(result, Unrecorded)
    assert "full" in result.reason
    until(lambda: "ledger.failure" in types(ledger.location.path))
    assert not ledger.healthy
    count = rows(ledger.location.path, "SELECT count(*) FROM ledger_record WHERE type = 'call.started'")[0][0]
    assert count == len(recorded)
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    until(lambda: ledger.healthy)
    assert isinstance(settled(ledger.submit(started("after"))), Recorded)
    ledger.close()
    found = verify(ledger.location.path)
    assert found.exit_code == 0, found.summary()
    assert found.kinds["call.started"] == len(recorded) + 2
    assert found.kinds["ledger.failure"] == found.kinds["ledger.recovered"] == 1
