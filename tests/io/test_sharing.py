"""The thread that shares: whatever becomes of the store, calls don't wait, and what it said last holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.core.scripted import guarded

from failsoft.core.breaker import Breaker, Permit, State
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.effects import SECOND
from failsoft.core.fleet import Fleet
from failsoft.core.fleet_member import Member
from failsoft.core.shared import BOUND, Fact, Facts, LeaseAsk, MemoryStore, Seen, StateLost, fact
from failsoft.errors import ConfigurationError
from failsoft.fault import Settlement
from failsoft.io.block_file import BlockFile
from failsoft.io.sharing import Sharer
from failsoft.io.state_file import Content, FileStore, StateFile, StateMemory
from failsoft.isolation import SystemClock

CLOCK = SystemClock()
PATIENCE = 10.0


class Shown(MemoryStore):
    """A store that shows what's done with it, and fails as told."""

    def __init__(self, always: bool = True) -> None:
        super().__init__()
        self.always = always
        self.kind = "shown"
        self.closed = 0
        self.opened = 0
        self.error: BaseException | None = None
        self.waits: list[float | None] = []
        self._woken = threading.Event()

    def open(self) -> None:
        self.opened += 1
        if self.error is not None:
            raise self.error

    def exchange(self, facts: Facts, asks: Iterable[LeaseAsk]) -> Seen:
        if self.error is not None:
            raise self.error
        self.now_ms = CLOCK.time_ns() // 1_000_000
        opened = self.opened
        seen = super().exchange(facts, asks)
        self.opened = opened
        return seen

    def wait(self, seconds: float | None) -> bool:
        self.waits.append(seconds)
        self._woken.wait(seconds)
        self._woken.clear()
        if self.error is not None:
            raise self.error
        return False

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self.closed += 1


class Stage:
    def __init__(self, store: Any, blocks: BlockFile | None = None) -> None:
        self.store = store
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.news = threading.Condition()
        self.adapter = guarded("gpt", CLOCK)
        settings = BreakerSettings(open_base_s=0.05, open_cap_s=0.05, jitter=0)
        self.adapter.breaker = Breaker(settings, CLOCK, NoJitter(), self._changed)
        self.fleet = Fleet([Member("key", "here/gpt", self.adapter)], CLOCK, self, SECOND // 5)
        self.sharer = Sharer(store, self.fleet, blocks, CLOCK, self._tell)

    def emit(self, name: str, /, **fields: Any) -> None:
        self._tell(name, fields)

    def _tell(self, name: str, fields: Any) -> None:
        with self.news:
            self.told.append((name, dict(fields)))
            self.news.notify_all()

    def _changed(self, change: Any) -> None:
        self.sharer.told("gpt", change)
        with self.news:
            self.news.notify_all()

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        with self.news:
            while not holds():
                assert time.monotonic() < deadline, "it never came to that"
                self.news.wait(0.02)

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    def fail(self) -> None:
        for _ in range(5):
            permit = self.adapter.breaker.acquire(CLOCK.monotonic_ns(), SECOND)
            assert isinstance(permit, Permit)
            permit.settle(Settlement.FAILURE, CLOCK.monotonic_ns())


class NoJitter:
    def random(self) -> float:
        return 0.5

    def getrandbits(self, k: int, /) -> int:
        return 0


@pytest.fixture
def stages() -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(*given: Any) -> Stage:
        made.append(Stage(*given))
        return made[-1]

    yield make
    for each in made:
        each.sharer.close()


Stages = Callable[..., Stage]


def test_a_store_that_nobody_looks_at_has_a_thread_from_the_start(stages: Stages) -> None:
    stage = stages(Shown())
    stage.sharer.start()
    assert stage.sharer._thread is not None


def test_one_of_a_file_begins_its_thread_with_the_first_change(stages: Stages) -> None:
    stage = stages(Shown(always=False))
    stage.sharer.start()
    assert stage.sharer._thread is None
    stage.fail()
    stage.until(lambda: stage.adapter.breaker._state is not State.CLOSED)
    assert stage.sharer._thread is not None


def test_one_that_starts_when_a_trial_is_due_can_make_it_before_its_thread_runs(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stages(Shown(always=False))
    monkeypatch.setattr(stage.sharer, "wake", lambda: None)
    past = CLOCK.time_ns() // 1_000_000 - 1_000
    stage.store.facts = {"key/open": fact(1, past, owner="dead/gpt", reason="consecutive", trips=1)}
    stage.sharer.start()
    assert stage.adapter.breaker._state is State.HALF_OPEN
    assert stage.store.facts["key/lease"].owner == "here/gpt"


def test_one_that_starts_while_another_tries_makes_none(stages: Stages) -> None:
    stage = stages(Shown(always=False))
    now = CLOCK.time_ns() // 1_000_000
    stage.store.facts = {
        "key/open": fact(1, now - 1_000, owner="dead/gpt", reason="consecutive", trips=1),
        "key/lease": fact(2, now + 1_500, owner="other/gpt"),
    }
    stage.sharer.start()
    assert stage.adapter.breaker._state is State.OPEN


def test_a_change_goes_out_and_its_trial_comes_with_the_lease(stages: Stages) -> None:
    stage = stages(Shown(always=False))
    stage.sharer.start()
    stage.fail()
    stage.until(lambda: stage.adapter.breaker._state is State.HALF_OPEN)
    assert stage.store.facts["key/open"].owner == "here/gpt"
    assert stage.store.facts["key/lease"].owner == "here/gpt"


def test_a_store_that_is_lost_is_told_once_and_so_is_its_return(stages: Stages) -> None:
    stage = stages(Shown())
    stage.sharer.start()
    stage.store.error = StateLost("gone")
    stage.store.wake()
    stage.until(lambda: bool(stage.told))
    assert stage.told == [("state.degraded", {"store": "shown", "reason": "gone"})]
    assert stage.sharer.sharing.reason == "gone"
    assert stage.adapter.breaker._hold == 0
    assert stage.sharer.sharing.degraded_since is not None
    stage.until(lambda: stage.store.opened >= 3)
    stage.store.error = None
    stage.until(lambda: len(stage.told) > 1)
    assert stage.names() == ["state.degraded", "state.recovered"]
    assert stage.sharer.sharing.degraded_since is None


@pytest.mark.parametrize(
    ("error", "reason"), [(KeyError("secret"), "bug: KeyError"), (ConfigurationError("secret"), "refused")]
)
def test_whatever_goes_wrong_in_the_thread_is_such_a_loss(stages: Stages, error: Exception, reason: str) -> None:
    stage = stages(Shown())
    stage.sharer.start()
    stage.store.error = StateLost("gone")
    stage.store.wake()
    stage.until(lambda: bool(stage.told))
    stage.store.error = None
    stage.until(lambda: len(stage.told) > 1)
    exchange = stage.store.exchange

    def broken(*_: Any) -> Any:
        raise error

    stage.store.exchange = broken
    stage.store.wake()
    stage.until(lambda: len(stage.told) > 2)
    assert stage.told[2] == ("state.degraded", {"store": "shown", "reason": reason})
    stage.store.exchange = exchange


def test_one_that_isnt_there_at_the_start_stops_nobody(stages: Stages) -> None:
    stage = stages(Shown())
    stage.store.error = StateLost("gone")
    stage.sharer.start()
    assert stage.names() == ["state.degraded"]
    stage.store.error = None
    stage.until(lambda: "state.recovered" in stage.names())


def test_one_that_can_never_be_used_is_told_where_the_isolation_is_entered(stages: Stages) -> None:
    stage = stages(Shown())
    stage.store.error = ConfigurationError("state.url: another version")
    with pytest.raises(ConfigurationError, match="another version"):
        stage.sharer.start()


def test_leaving_gives_leases_back_and_closes_the_store(stages: Stages) -> None:
    stage = stages(Shown(always=False))
    stage.sharer.start()
    stage.fail()
    stage.until(lambda: stage.adapter.breaker._state is State.HALF_OPEN)
    stage.sharer.close()
    assert stage.store.facts["key/lease"].rank == 0
    assert stage.store.closed == 1


def test_leaving_without_ever_having_had_a_thread_closes_it_too(stages: Stages) -> None:
    stage = stages(Shown(always=False))
    stage.sharer.start()
    stage.sharer.close()
    assert stage.store.closed == 1


def test_leaving_while_its_lost_waits_for_nothing(stages: Stages) -> None:
    stage = stages(Shown(always=False))
    stage.sharer.start()
    stage.fail()
    stage.until(lambda: stage.adapter.breaker._state is State.HALF_OPEN)
    stage.store.error = StateLost("gone")
    stage.sharer.close()
    assert stage.sharer._thread is not None
    assert not stage.sharer._thread.is_alive()


def test_after_leaving_a_change_begins_no_thread(stages: Stages) -> None:
    stage = stages(Shown(always=False))
    stage.sharer.start()
    stage.sharer.close()
    stage.fail()
    assert stage.sharer._thread is None


def test_a_lease_that_cant_be_given_back_lapses(stages: Stages) -> None:
    stage = stages(Shown(always=False))
    stage.sharer.start()
    stage.fleet._members["gpt"].lease = 1
    stage.store.error = StateLost("gone")
    stage.sharer.close()
    assert stage.store.closed == 1


class TestBlocks:
    @pytest.fixture
    def hosts(self, stages: Stages, tmp_path: Path) -> tuple[Stage, BlockFile, Stage, BlockFile]:
        store = Shown()
        one, two = BlockFile(tmp_path / "one"), BlockFile(tmp_path / "two")
        return stages(store, one), one, stages(store, two), two

    def test_are_published_before_the_one_who_made_them_goes_on(
        self, hosts: tuple[Stage, BlockFile, Stage, BlockFile]
    ) -> None:
        here, one, there, two = hosts
        here.sharer.start()
        one.block("adapter:gpt", "jdoe", "why")
        assert here.sharer.publish()
        there.sharer.start()
        assert two.adapter("gpt", CLOCK.monotonic_ns()) is not None

    def test_arent_while_the_store_is_lost_and_are_when_its_back(
        self, hosts: tuple[Stage, BlockFile, Stage, BlockFile]
    ) -> None:
        here, one, there, two = hosts
        here.sharer.start()
        here.store.error = StateLost("gone")
        one.block("adapter:gpt", "jdoe", "why")
        assert not here.sharer.publish()
        here.store.error = None
        here.until(lambda: "state.recovered" in here.names())
        there.sharer.start()
        assert two.adapter("gpt", CLOCK.monotonic_ns()) is not None

    def test_leave_a_copy_behind_that_says_that_nothing_is_blocked(
        self, hosts: tuple[Stage, BlockFile, Stage, BlockFile], tmp_path: Path
    ) -> None:
        here, one, _, _ = hosts
        one.unknown()
        for found in (one.adapter("gpt", 0), one.capability("classify", 0)):
            assert found is not None
            assert found[0] == "blocks_unknown"
            assert "hasn't answered since the start" in found[1]
        here.sharer.start()
        assert one.adapter("gpt", CLOCK.monotonic_ns()) is None
        assert (tmp_path / "one").exists()
        again = BlockFile(tmp_path / "one")
        again.unknown()
        assert again.adapter("gpt", 0) is None

    def test_arrive_though_other_facts_make_trouble_and_so_do_those(
        self, hosts: tuple[Stage, BlockFile, Stage, BlockFile], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, one, there, two = hosts
        one.block("adapter:gpt", "jdoe", "why")
        here.sharer.start()

        def trouble(*_: Any) -> None:
            raise OverflowError

        with monkeypatch.context() as patch:
            patch.setattr(there.fleet, "heard", trouble)
            assert not there.sharer._round()
        assert two.adapter("gpt", CLOCK.monotonic_ns()) is not None
        assert not there.fleet.up
        monkeypatch.setattr(two, "merge", trouble)
        heard: list[Any] = []
        monkeypatch.setattr(there.fleet, "heard", lambda *each: heard.append(each))
        assert not there.sharer._round()
        assert heard


class TestABlockThatAnotherHostTellsOddly:
    ODD = (
        "[]",
        "[" * 5_000,
        '{"actor":null,"why":["x"],"since":1}',
        '{"actor":"a","why":"\\ud800","since":"s"}',
        '{"actor":"a","why":"w","since":"s","until":"soon"}',
        '{"actor":"a","why":"' + "x" * 2**16 + '","since":"s"}',
    )

    @pytest.mark.parametrize("body", ODD)
    def test_is_a_block_until_its_ended_and_leaves_the_file_whole(self, tmp_path: Path, body: str) -> None:
        one = BlockFile(tmp_path / "one")
        other = one.block("adapter:other", "jdoe", "why")
        one.merge({"block/adapter:gpt": Fact(1, 1, body)})
        block = one.current()["adapter:gpt"]
        assert (block.actor, block.why, block.until) == ("another host", "its words can't be read here", None)
        assert BlockFile(tmp_path / "one").current() == {"adapter:gpt": block, "adapter:other": other}
        assert one.unblock("adapter:gpt")

    @pytest.mark.parametrize(
        "told", [Fact(1, 1, "~"), Fact(1, 9, "{}"), Fact(1, 0, "~"), Fact(1, 0, '{"when":"\\ud800"}')]
    )
    def test_isnt_written_again_and_again(self, tmp_path: Path, told: Fact) -> None:
        one = BlockFile(tmp_path / "one")
        one.merge({"block/adapter:gpt": told})
        before = StateFile(tmp_path / "one").marks()
        one.merge({"block/adapter:gpt": told})
        assert StateFile(tmp_path / "one").marks() == before
        assert ("adapter:gpt" in BlockFile(tmp_path / "one").current()) is bool(told.rank)


class TestRegisters:
    def test_the_later_word_on_a_subject_wins_wherever_it_was_said(self, tmp_path: Path) -> None:
        one, two = BlockFile(tmp_path / "one"), BlockFile(StateMemory())
        one.block("adapter:gpt", "jdoe", "first")
        two.merge(one.facts())
        two.unblock("adapter:gpt")
        two.block("adapter:gpt", "asmith", "second")
        one.merge(two.facts())
        two.merge(one.facts())
        assert one.current() == two.current()
        assert one.current()["adapter:gpt"].actor == "asmith"

    def test_of_a_block_and_its_end_said_at_once_the_block_wins(self, tmp_path: Path) -> None:
        one, two = BlockFile(tmp_path / "one"), BlockFile(tmp_path / "two")
        one.block("adapter:gpt", "jdoe", "why")
        two.unblock("adapter:gpt")
        one.merge(two.facts())
        two.merge(one.facts())
        assert set(one.current()) == set(two.current()) == {"adapter:gpt"}

    def test_a_peers_unblocking_is_told_as_anothers_is(self, tmp_path: Path) -> None:
        told: list[Any] = []
        one, two = BlockFile(tmp_path / "one"), BlockFile(tmp_path / "two", lambda *each: told.append(each))
        two.look(0)
        block = one.block("adapter:gpt", "jdoe", "why")
        two.merge(one.facts())
        one.unblock("adapter:gpt")
        two.merge(one.facts())
        assert told == [("adapter:gpt", block), ("adapter:gpt", None)]

    def test_a_block_that_has_ended_by_itself_isnt_taken_over_again(self, tmp_path: Path) -> None:
        ended = fact(3, 1, actor="jdoe", why="why", since="2026-01-01T00:00:00Z", until="2026-01-02T00:00:00Z")
        one = BlockFile(tmp_path / "one")
        one.merge({"block/adapter:gpt": ended, "key/open": fact(9, 9)})
        marks = (tmp_path / "one").stat().st_mtime_ns
        one.merge({"block/adapter:gpt": ended})
        assert one.current() == {}
        assert (tmp_path / "one").stat().st_mtime_ns == marks

    def test_one_that_ends_later_is(self, tmp_path: Path) -> None:
        one, two = BlockFile(tmp_path / "one"), BlockFile(tmp_path / "two")
        block = one.block("adapter:gpt", "jdoe", "why", timedelta(hours=1))
        two.merge(one.facts())
        assert two.current() == {"adapter:gpt": block}

    def test_two_that_look_at_once_leave_it_to_one(self, tmp_path: Path) -> None:
        one = BlockFile(tmp_path / "one")
        with one._lock:
            one.look(10**18)
        assert one._next_look == -1
        one.after_fork()
        one.look(10**18)
        assert one._next_look > 0


class TestTheFile:
    @pytest.fixture
    def file(self, tmp_path: Path) -> StateFile:
        return StateFile(tmp_path / "failsoft.db.blocks.json")

    def test_keeps_facts_beside_blocks_and_neither_loses_the_other(self, file: StateFile) -> None:
        store, blocks = FileStore(file, CLOCK), BlockFile(file)
        block = blocks.block("adapter:gpt", "jdoe", "why")
        seen = store.exchange({"k/open": fact(1, 5, owner="a")}, [LeaseAsk("k/lease", "a", 0, 1_000)])
        assert blocks.current() == {"adapter:gpt": block}
        blocks.unblock("adapter:gpt")
        assert FileStore(file, CLOCK).exchange({}, ()).facts == seen.facts

    def test_says_to_its_readers_that_facts_changed(self, file: StateFile) -> None:
        told: list[bool] = []
        reader = BlockFile(file, None, lambda: told.append(True))
        reader.look(0)
        FileStore(file, CLOCK).exchange({"k/open": fact(1, 5, owner="a")}, ())
        reader.look(10**18)
        BlockFile(file).block("adapter:gpt", "jdoe", "why")
        reader.look(2 * 10**18)
        assert told == [True]

    def test_isnt_written_for_what_it_holds_already_nor_for_a_lease_denied(self, file: StateFile) -> None:
        store = FileStore(file, CLOCK)
        facts = {"k/open": fact(1, 5, owner="a")}
        store.exchange(facts, [LeaseAsk("k/lease", "a", 0, 100_000)])
        before = file.marks()
        store.exchange(facts, [LeaseAsk("k/lease", "b", 0, 100_000)])
        assert file.marks() == before

    def test_forgets_counts_of_days_that_are_over(self, file: StateFile) -> None:
        store = FileStore(file, CLOCK)
        store.exchange({"k/day/a": fact(5, 1)}, ())
        assert store.exchange({"k/open": fact(5, 1)}, ()).facts.keys() == {"k/open"}

    @pytest.mark.parametrize("odd", [(BOUND, 0, ""), (2**63, 1, ""), (-1, 1, ""), (1, 2**70, ""), (1, 1, "x" * 5_000)])
    def test_reads_what_nobody_can_have_told_as_if_it_werent_there_and_overwrites_it(
        self, file: StateFile, odd: tuple[int, int, str]
    ) -> None:
        file.change(lambda _: Content(facts={"k/open": Fact(*odd), "k/lease": Fact(*odd)}))
        assert FileStore(file, CLOCK).exchange({}, ()).facts == {}
        told = {"k/open": fact(1, 5, owner="a")}
        seen = FileStore(file, CLOCK).exchange(told, [LeaseAsk("k/lease", "a", 1, 1_000)])
        assert seen.facts["k/open"] == told["k/open"]
        assert (seen.facts["k/lease"].epoch, seen.facts["k/lease"].owner) == (2, "a")
        assert FileStore(file, CLOCK).exchange({}, ()).facts == seen.facts

    def test_that_cant_be_read_or_written_is_a_store_that_is_lost(self, file: StateFile, tmp_path: Path) -> None:
        store = FileStore(file, CLOCK)
        file.path.write_text("precious")
        with pytest.raises(StateLost, match="can't be used"):
            store.exchange({}, ())
        with pytest.raises(StateLost, match="can't be used"):
            store.exchange({"a": fact(1, 1)}, ())
        assert file.path.read_text() == "precious"

    def test_that_cant_be_seen_is_one_too(self, file: StateFile, monkeypatch: pytest.MonkeyPatch) -> None:
        store = FileStore(file, CLOCK)
        store.exchange({}, ())

        def out_of_sight() -> None:
            raise OSError(5, "I/O error")

        monkeypatch.setattr(file, "marks", out_of_sight)
        with pytest.raises(StateLost, match="can't be seen"):
            store.exchange({}, ())
        with pytest.raises(StateLost, match="can't be seen"):
            store.wait(2)

    def test_that_another_process_changes_ends_a_wait(self, file: StateFile) -> None:
        here, there = FileStore(file, CLOCK), FileStore(file, CLOCK)
        here.exchange({}, ())
        there.exchange({"a": fact(1, 1)}, ())
        assert here.wait(60)

    def test_waits_until_its_woken_or_its_time_is_over(self, file: StateFile) -> None:
        store = FileStore(file, CLOCK)
        store.wake()
        assert not store.wait(None)
        store.wake()
        assert not store.wait(60)
        assert not store.wait(0.001)
        store.open()
        store.close()
        store.after_fork()

    def test_in_memory_is_told_from_its_next_content(self) -> None:
        memory = StateMemory(Content(unblocked={"a": "b"}))
        before = memory.marks()
        assert memory.read().unblocked == {"a": "b"}
        memory.change(lambda content: content)
        assert memory.marks() != before
