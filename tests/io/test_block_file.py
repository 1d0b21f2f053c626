"""The kill switch in a file: obeyed within half a second, kept over a restart, never lost by a file that can't be read."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failsoft import processes
from failsoft.core.shared import StateLost, fact
from failsoft.errors import ConfigurationError
from failsoft.io.block_file import LOOK_EVERY, Block, BlockFile
from failsoft.io.state_file import LARGEST, Content, FileStore, StateFile
from failsoft.isolation import SystemClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "failsoft.db.blocks.json"


def test_without_a_file_nothing_is_blocked(path: Path) -> None:
    file = BlockFile(path)
    assert file.adapter("gpt", 0) is None
    assert file.capability("classify", 0) is None
    assert file.current() == {}


def test_a_block_is_in_force_at_once_where_it_was_made(path: Path) -> None:
    file = BlockFile(path)
    assert file.adapter("gpt", 0) is None
    block = file.block("adapter:gpt", "jdoe", "wrong answers")
    assert file.adapter("gpt", 1) == ("blocked", str(block))
    assert str(block) == f"blocked by jdoe since {block.since}: wrong answers"


def test_a_capability_is_blocked_by_its_own_name(path: Path) -> None:
    file = BlockFile(path)
    file.block("capability:classify", "jdoe", "why")
    assert file.capability("classify", 0) is not None
    assert file.adapter("classify", 0) is None


def test_another_process_obeys_at_its_next_look(path: Path) -> None:
    here, there = BlockFile(path), BlockFile(path)
    assert there.adapter("gpt", 0) is None
    here.block("adapter:gpt", "jdoe", "why")
    assert there.adapter("gpt", LOOK_EVERY - 1) is None
    assert there.adapter("gpt", LOOK_EVERY) is not None
    here.unblock("adapter:gpt")
    assert there.capability("x", 2 * LOOK_EVERY) is None
    assert there.adapter("gpt", 2 * LOOK_EVERY) is None


def test_it_is_in_force_after_a_restart(path: Path) -> None:
    block = BlockFile(path).block("adapter:gpt", "jdoe", "why")
    assert BlockFile(path).current() == {"adapter:gpt": block}
    assert BlockFile(path).adapter("gpt", 0) is not None


def test_a_second_block_replaces_the_first(path: Path) -> None:
    file = BlockFile(path)
    file.block("adapter:gpt", "jdoe", "first")
    second = file.block("adapter:gpt", "asmith", "second")
    assert file.current() == {"adapter:gpt": second}


def test_ending_a_block_says_whether_there_was_one(path: Path) -> None:
    file = BlockFile(path)
    assert file.unblock("adapter:gpt") is False
    file.block("adapter:gpt", "jdoe", "why")
    file.block("adapter:other", "jdoe", "why")
    assert file.unblock("adapter:gpt") is True
    assert set(file.current()) == {"adapter:other"}


def test_each_change_is_told_with_its_subject(path: Path) -> None:
    told: list[tuple[str, Block | None]] = []
    here, there = BlockFile(path), BlockFile(path, lambda subject, block: told.append((subject, block)))
    block = here.block("adapter:gpt", "jdoe", "why")
    there.adapter("gpt", 0)
    there.adapter("gpt", LOOK_EVERY)
    assert told == [("adapter:gpt", block)]
    here.unblock("adapter:gpt")
    there.adapter("gpt", 2 * LOOK_EVERY)
    assert told[1:] == [("adapter:gpt", None)]


def test_an_unblocking_is_told_also_where_there_was_no_block_and_once_each(path: Path) -> None:
    told: list[tuple[str, Block | None]] = []
    here, there = BlockFile(path), BlockFile(path, lambda subject, block: told.append((subject, block)))
    there.adapter("gpt", 0)
    assert here.unblock("adapter:gpt") is False
    for look in (1, 2):
        there.adapter("gpt", look * LOOK_EVERY)
        assert told == [("adapter:gpt", None)]
    here.unblock("adapter:gpt")
    there.adapter("gpt", 3 * LOOK_EVERY)
    assert told == [("adapter:gpt", None)] * 2
    here.block("adapter:other", "jdoe", "why")
    there.adapter("gpt", 4 * LOOK_EVERY)
    assert [subject for subject, _ in told[2:]] == ["adapter:other"]


def test_an_unblocking_from_before_the_first_look_isnt_told(path: Path) -> None:
    told: list[str] = []
    BlockFile(path).unblock("adapter:gpt")
    BlockFile(path, lambda subject, block: told.append(subject)).adapter("gpt", 0)
    assert told == []


def test_ones_own_unblocking_isnt_told(path: Path) -> None:
    told: list[str] = []
    file = BlockFile(path, lambda subject, block: told.append(subject))
    file.adapter("gpt", 0)
    file.unblock("adapter:gpt")
    file.adapter("gpt", LOOK_EVERY)
    assert told == []


def test_a_file_of_before_that_says_nothing_of_unblocking_is_read(path: Path) -> None:
    path.write_text('{"version": 1, "blocks": {"adapter:gpt": {"actor": "jdoe", "why": "w", "since": "s"}}}')
    assert BlockFile(path).adapter("gpt", 0) is not None


def test_ones_own_change_isnt_told_but_what_came_with_it_is(path: Path) -> None:
    told: list[str] = []
    here, there = BlockFile(path, lambda subject, block: told.append(subject)), BlockFile(path)
    there.block("adapter:one", "jdoe", "why")
    here.block("adapter:two", "jdoe", "why")
    here.adapter("two", LOOK_EVERY)
    assert told == ["adapter:one"]


def test_removing_the_file_ends_every_block(path: Path) -> None:
    file = BlockFile(path)
    file.block("adapter:gpt", "jdoe", "why")
    assert file.adapter("gpt", 0) is not None
    path.unlink()
    assert file.adapter("gpt", LOOK_EVERY) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 1}',
        b'{"version":1,"blocks":{"a":1}}',
        b"\xff\xfe",
        b'{"version":2,"blocks":{}}',
        b'{"version":1,"blocks":{},"versions":{"adapter:gpt":-1}}',
        b'{"version":1,"blocks":{},"versions":{"adapter:gpt":4611686018427387904}}',
    ],
)
def test_a_file_that_cant_be_read_keeps_the_last_known_blocks(path: Path, content: bytes) -> None:
    file = BlockFile(path)
    file.block("adapter:gpt", "jdoe", "why")
    assert file.adapter("gpt", 0) is not None
    path.write_bytes(content)
    assert file.adapter("gpt", LOOK_EVERY) is not None
    with pytest.raises(ConfigurationError, match="not a file of blocks; mend it or remove it"):
        file.current()


def test_a_file_that_isnt_one_is_never_overwritten(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="not a file of blocks"):
        BlockFile(path).block("adapter:gpt", "jdoe", "why")
    assert path.read_text() == "precious"


def test_what_stands_in_its_place_is_told_as_a_problem(path: Path) -> None:
    path.mkdir()
    file = BlockFile(path)
    with pytest.raises(ConfigurationError, match="can't be read: Is a directory"):
        file.current()
    assert file.adapter("gpt", 0) is None


def test_a_folder_that_isnt_there_is_told_as_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be written: No such file or directory"):
        BlockFile(tmp_path / "nowhere" / "blocks.json").block("adapter:gpt", "jdoe", "why")


def test_a_write_that_fails_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        BlockFile(path).block("adapter:gpt", "jdoe", "why")
    assert [each.name for each in path.parent.iterdir()] == [path.name + ".lock"]


def test_what_couldnt_be_read_again_is_never_written(path: Path) -> None:
    file = BlockFile(path)
    file.block("adapter:gpt", "jdoe", "why")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="couldn't be read again"):
        file.block("adapter:other", "jdoe", "half a character: \ud800")
    with pytest.raises(ConfigurationError, match="couldn't be read again"):
        file.block("adapter:other", "jdoe", "x" * LARGEST)
    assert path.read_bytes() == before


def test_one_larger_than_any_is_refused(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(ConfigurationError, match="larger than 16777216 bytes"):
        BlockFile(path).current()


def test_a_pipe_in_its_place_makes_nobody_wait(path: Path) -> None:
    os.mkfifo(path)
    file = BlockFile(path)
    assert file.adapter("gpt", 0) is None
    with pytest.raises(ConfigurationError, match="no regular file"):
        file.block("adapter:gpt", "jdoe", "why")


def test_what_a_killed_writer_leaves_the_next_one_removes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        patch.setattr(os, "unlink", lambda name: None)
        with pytest.raises(KeyboardInterrupt):
            BlockFile(path).block("adapter:gpt", "jdoe", "why")
    assert len(list(path.parent.iterdir())) == 2
    BlockFile(path).block("adapter:gpt", "jdoe", "why")
    assert set(path.parent.iterdir()) == {path, path.with_name(path.name + ".lock")}


def test_what_killed_writers_left_is_removed_and_nothing_else(path: Path) -> None:
    left = path.with_name(path.name + ".new-abcdefgh")
    left.write_text("half")
    others = [path.with_name(name) for name in (path.name + ".lock", path.name + "abcdefgh", "mine.new-abcdefgh")]
    for each in others:
        each.write_text("")
    BlockFile(path).block("adapter:gpt", "jdoe", "why")
    assert set(path.parent.iterdir()) == {path, *others}


def test_one_that_cant_be_removed_keeps_nobody_from_writing(path: Path) -> None:
    path.with_name(path.name + ".new-folder").mkdir()
    BlockFile(path).block("adapter:gpt", "jdoe", "why")
    assert BlockFile(path).adapter("gpt", 0) is not None


@pytest.fixture
def kept_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("failsoft.io.file_lock.LOCKED_FOR", 0.05)
    with path.with_name(path.name + ".lock").open("w") as other:
        assert processes.try_lock(other.fileno())
        yield


@pytest.mark.usefixtures("kept_locked")
def test_whoever_keeps_the_lock_is_told_not_waited_for(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"failsoft\.db\.blocks\.json\.lock: another process keeps it locked"):
        BlockFile(path).block("adapter:gpt", "jdoe", "why")
    with pytest.raises(StateLost, match="can't be used"):
        FileStore(StateFile(path), SystemClock()).exchange({"k/open": fact(1, 1)}, ())


def test_a_child_that_was_forked_meanwhile_doesnt_keep_the_lock(path: Path) -> None:
    copies: list[int] = []

    def alter(content: Content) -> Content:
        (held,) = {
            int(each.name)
            for each in Path("/proc/self/fd").iterdir()
            if each.is_symlink() and os.readlink(each).endswith(".json.lock")
        }
        copies.append(os.dup(held))  # of one open file, as a child's is
        return content

    StateFile(path).change(alter)
    try:
        with path.with_name(path.name + ".lock").open() as other:
            assert processes.try_lock(other.fileno())
    finally:
        os.close(copies[0])


@pytest.mark.parametrize(("folder", "lock"), [(0o755, 0o600), (0o700, 0o600), (0o775, 0o660), (0o1777, 0o666)])
def test_who_can_write_in_the_folder_can_lock_and_nobody_else(path: Path, folder: int, lock: int) -> None:
    path.parent.chmod(folder)
    BlockFile(path).block("adapter:gpt", "jdoe", "why")
    status = path.with_name(path.name + ".lock").stat()
    assert stat.S_IMODE(status.st_mode) == lock
    assert status.st_gid == path.parent.stat().st_gid


def test_an_application_under_another_account_can_see_the_switch(path: Path) -> None:
    BlockFile(path).block("adapter:gpt", "jdoe", "why")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_writers_at_the_same_time_lose_no_block(path: Path) -> None:
    def block(n: int) -> None:
        BlockFile(path).block(f"adapter:a{n}", "jdoe", "why")

    threads = [threading.Thread(target=block, args=(n,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(BlockFile(path).current()) == 8


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_make_looking_raise(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert BlockFile(path).adapter("gpt", 0) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_any_reason_and_actor_come_back_as_they_were(path: Path, actor: str, why: str) -> None:
    block = BlockFile(path).block("adapter:gpt", actor, why)
    assert BlockFile(path).current()["adapter:gpt"] == block


def test_a_folder_that_is_out_of_sight_leaves_the_blocks_in_force(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    file = BlockFile(folder / "x.blocks.json")
    file.block("adapter:gpt", "jdoe", "order of a court")
    assert file.adapter("gpt", 0) is not None
    folder.rename(tmp_path / "lost")
    assert file.adapter("gpt", 10**12) is not None


class TestABlockThatEndsByItself:
    @pytest.fixture
    def moment(self, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
        moment = [datetime(2026, 11, 24, 9, tzinfo=UTC)]
        monkeypatch.setattr("failsoft.io.block_file._now", lambda: moment[0])
        return moment

    def test_is_in_force_until_then_and_its_end_is_told(self, path: Path, moment: list[datetime]) -> None:
        told: list[tuple[str, Block | None]] = []
        there = BlockFile(path, lambda subject, block: told.append((subject, block)))
        block = BlockFile(path).block("adapter:gpt", "jdoe", "why", timedelta(hours=2))
        assert block.until == "2026-11-24T11:00:00Z"
        assert "until 2026-11-24T11:00:00Z" in str(block)
        assert there.adapter("gpt", 0) == ("blocked", str(block))
        moment[0] += timedelta(hours=2, seconds=-1)
        assert there.adapter("gpt", LOOK_EVERY) == ("blocked", str(block))
        moment[0] += timedelta(seconds=1)
        assert there.adapter("gpt", 2 * LOOK_EVERY) is None
        assert told == [("adapter:gpt", block), ("adapter:gpt", None)]
        assert there.current() == {}

    def test_is_gone_from_the_file_with_the_next_change(self, path: Path, moment: list[datetime]) -> None:
        file = BlockFile(path)
        file.block("adapter:gpt", "jdoe", "why", timedelta(hours=2))
        moment[0] += timedelta(hours=3)
        file.block("adapter:other", "jdoe", "why")
        assert set(json.loads(path.read_text())["blocks"]) == {"adapter:other"}

    def test_with_an_end_that_cant_be_read_makes_no_file_of_blocks(self, path: Path) -> None:
        entry = {"actor": "jdoe", "why": "w", "since": "s", "until": "soon"}
        path.write_text(json.dumps({"version": 1, "blocks": {"adapter:gpt": entry}}))
        with pytest.raises(ConfigurationError, match="not a file of blocks"):
            BlockFile(path).current()


def test_a_file_that_cant_be_read_any_more_is_told_once_and_so_is_its_return(path: Path) -> None:
    told: list[str] = []
    file = BlockFile(path, on_reading=told.append)
    file.block("adapter:gpt", "jdoe", "why")
    good = path.read_bytes()
    path.write_text("precious")
    for look in (1, 2):
        assert file.adapter("gpt", look * LOOK_EVERY) is not None
        assert len(told) == 1
        assert "not a file of blocks" in told[0]
    path.write_bytes(good)
    for look in (3, 4):
        assert file.adapter("gpt", look * LOOK_EVERY) is not None
        assert told[1:] == [""]


@pytest.mark.parametrize("finds", ["looking", "writing"])
def test_who_hears_of_a_block_may_throw_the_switch_himself(path: Path, finds: str) -> None:
    def hears(subject: str, block: Block | None) -> None:
        if subject == "adapter:gpt" and block is not None:
            there.block("adapter:other", "robot", "that one too")

    here, there = BlockFile(path), BlockFile(path, hears)
    there.adapter("gpt", 0)
    here.block("adapter:gpt", "jdoe", "why")
    does: tuple[Any, ...] = (
        (there.adapter, "gpt", LOOK_EVERY) if finds == "looking" else (there.unblock, "adapter:third")
    )
    thread = threading.Thread(target=does[0], args=does[1:], daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()  # no lock was held meanwhile
    assert set(there.known) == {"adapter:gpt", "adapter:other"}
