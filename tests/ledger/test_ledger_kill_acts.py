"""Processes that are killed while they erase, prune, hand over, copy or forward a ledger: it's told what isn't finished, and never as
tampering; the act run again finishes it; and what was acknowledged is there once.
"""

from __future__ import annotations

import signal
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from doomed_keeper import CASE, anchored_in, copies, erases, in_small_steps, place_at, prunes, rotates
from ledgers import CONTEXT, SystemClock, completed, ledger_at, rows, settled, started, types
from processes import Process, in_log, numbers
from signing import KEY, NEXT, signed_ledger, write
from tests.postgres_server import PostgresServer

from failsoft.context import CallContext, Case
from failsoft.core.effects import Recorded
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts import copying
from failsoft.ledger.acts.erasure import Acting, happened
from failsoft.ledger.checkpoints.anchors import notes_in
from failsoft.ledger.format.note import Note
from failsoft.ledger.keys.vault import Vault
from failsoft.ledger.location import InDatabase, InFile, Location
from failsoft.ledger.spool.file import Spooling
from failsoft.ledger.sqlite import store as sqlite_module
from failsoft.ledger.verify import Verification, verify
from failsoft.postgres_address import Address

SCHEMAS = (f"killed_{number}" for number in count())
CANARY = b'{"description":"canary-77d1"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_module, "FORGOTTEN", sqlite_module.FORGOTTEN)
    monkeypatch.setattr(copying, "CHUNK", copying.CHUNK)
    in_small_steps()


def wrote(place: Location, *cases: str) -> None:
    """A call of each case, in this order."""
    ledger = ledger_at(place, clock=SystemClock())
    ledger.open()
    for number, case in enumerate(cases):
        name = f"{ledger._appender.emitter.id[:6]}-{number}"
        context = CONTEXT if case == CASE else CallContext(Case(case, "letter"))
        begin = ledger.submit(started(name, context=context, request=CANARY))
        assert isinstance(settled(ledger.submit(completed(begin, name, context=context)), 120), Recorded)
    ledger.close(120)


def killed(path: Path, act: str, moment: str, step: str, time: int = 1) -> None:
    status = -signal.SIGXFSZ if moment == "in" else -signal.SIGKILL
    with Process("doomed_keeper.py", path, act, moment, step, str(time)) as victim:
        victim.end(status)
    assert victim.lines() == []


def bytes_of(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.iterdir() if not each.name.startswith("told-"))


def all_there(path: Path, before: dict[int, str]) -> None:
    """What was acknowledged is where it was; nobody's number was used twice, or left out."""
    log = in_log(path)
    assert before.items() <= log.items()
    assert len(set(log.values())) == len(log)
    assert all(each == list(range(len(each))) for each in numbers(path).values())


def said(found: Verification, code: int) -> None:
    assert found.exit_code == code, found.summary()


class TestErasing:
    @pytest.mark.parametrize(
        ("moment", "step", "time", "code", "recorded"),
        [
            ("before", "record", 1, 0, False),
            ("before", "COMMIT", 1, 0, False),  # of the emitter's opening
            ("before", "COMMIT", 2, 0, False),  # of what's erased
            ("after", "COMMIT", 2, 2, True),
            ("after", "COMMIT", 3, 2, True),
            ("before", "shred", 1, 2, True),
            ("after", "UPDATE ledger_dek", 1, 2, True),
            ("before", "VACUUM", 1, 2, True),
            ("after", "VACUUM", 1, 2, True),
            ("before", "forget", 1, 2, True),
            ("after", "DELETE FROM ledger_payload", 1, 2, True),
            ("after", "DELETE FROM ledger_payload", 2, 2, True),
            ("after", "PRAGMA wal_checkpoint(PASSIVE)", 1, 2, True),
            ("before", "PRAGMA wal_checkpoint(PASSIVE)", 3, 0, True),
            ("after", "COMMIT", 7, 0, True),  # of the last rows
            ("before", "PRAGMA wal_checkpoint(TRUNCATE)", 2, 0, True),
            ("before", "PRAGMA wal_checkpoint(TRUNCATE)", 3, 0, True),
        ],
    )
    def test_it_is_finished_by_running_it_again(
        self, path: Path, moment: str, step: str, time: int, code: int, recorded: bool
    ) -> None:
        place = place_at(path)
        wrote(place, "T-17", CASE, CASE)
        before = in_log(path)
        sealed = rows(path, "SELECT data FROM ledger_payload ORDER BY rowid DESC LIMIT 8")
        keys = rows(place.path.with_name("x.keys"), "SELECT wrapped FROM ledger_dek WHERE scope_id = ?", CASE)
        killed(path, "erase", moment, step, time)
        said(verify(place), code)
        done = erases(path)
        assert (bool(done.records), done.finished) == (not recorded, True)
        assert types(path).count("payload.erased") == 1
        found = verify(place)
        said(found, 0)
        assert found.payloads == 4
        everything = bytes_of(path.parent)
        assert not any(bytes(data) in everything for (data,) in (*sealed, *keys))
        all_there(path, before)

    def test_killed_while_a_key_is_being_overwritten(self, path: Path) -> None:
        """The file of keys is left in the midst of a transaction, which whoever opens it next takes back."""
        place = place_at(path)
        vault = Vault(place.sealing, "example.com/failsoft-test")  # type: ignore[arg-type]
        for number in range(200):
            vault.key_of(f"T-{number}")
        vault.close()
        wrote(place, CASE)
        before = in_log(path)
        keys = path.with_name("x.keys")
        wrapped = rows(keys, "SELECT wrapped FROM ledger_dek WHERE scope_id = ?", CASE)[0][0]
        beyond = keys.read_bytes().index(wrapped) // 4096 * 4096
        killed(path, "erase", "in", str(beyond))
        assert keys.with_name("x.keys-journal").exists()
        said(verify(place), 2)
        done = erases(path)
        assert (done.records, done.payloads, done.keys, done.finished) == ((), 4, 1, True)
        said(verify(place), 0)
        assert wrapped not in bytes_of(path.parent)
        all_there(path, before)


class TestPruning:
    @pytest.mark.parametrize(
        ("moment", "step", "time", "code", "recorded"),
        [
            ("before", "record", 1, 0, False),
            ("before", "COMMIT", 2, 0, False),
            ("after", "COMMIT", 2, 2, True),
            ("before", "forget", 1, 2, True),
            ("after", "DELETE FROM ledger_payload", 1, 2, True),
            ("after", "COMMIT", 4, 2, True),
            ("after", "COMMIT", 6, 2, True),
            ("before", "prune", 1, 2, True),
            ("after", "PRAGMA wal_checkpoint(PASSIVE)", 4, 2, True),  # of the last payloads
            ("after", "PRAGMA wal_checkpoint(PASSIVE)", 5, 2, True),
            ("after", "UPDATE ledger_record SET body", 1, 2, True),  # 6 and 7
            ("after", "UPDATE ledger_record SET body", 2, 2, True),  # 3 to 5: 3 ends the call that 2 begins
            ("after", "UPDATE ledger_record SET body", 3, 0, True),
            ("before", "PRAGMA wal_checkpoint(TRUNCATE)", 3, 0, True),
            ("before", "PRAGMA wal_checkpoint(TRUNCATE)", 4, 0, True),
        ],
    )
    def test_it_is_finished_by_running_it_again(
        self, path: Path, moment: str, step: str, time: int, code: int, recorded: bool
    ) -> None:
        place = InFile(path)
        wrote(place, "a", "b", "a", "c")
        for case in ("a", "b"):
            happened(
                Acting(place, SystemClock()),
                case,
                event="closed",
                date="2001-01-01",
                person="u-7",
                why="the contract ended",
            )
        before = in_log(path)
        killed(path, "prune", moment, step, time)
        said(verify(place), code)
        done = prunes(path)
        assert (done.record is None, done.finished, done.last) == (recorded, True, 7)
        assert types(path).count("record.pruned") == 1
        found = verify(place)
        said(found, 0)
        assert (found.payloads, found.kinds["call.started"], found.kinds["call.completed"]) == (4, 1, 1)
        assert bytes_of(path.parent).count(b"canary-77d1") == 1
        all_there(path, before)

    def test_another_process_that_writes_meanwhile_changes_nothing(self, path: Path) -> None:
        place = InFile(path)
        wrote(place, "a", "b", "c")
        for case in ("a", "b"):
            happened(
                Acting(place, SystemClock()),
                case,
                event="closed",
                date="2001-01-01",
                person="u-7",
                why="the contract ended",
            )
        killed(path, "prune", "after", "UPDATE ledger_record SET body")
        wrote(place, "d")
        said(verify(place), 2)
        assert prunes(path).record is None
        wrote(place, "e")
        said(verify(place), 0)


class TestHandingOver:
    @pytest.mark.parametrize(
        ("moment", "step", "time", "rotated", "code"),
        [
            ("before", "COMMIT", 1, False, 0),
            ("after", "COMMIT", 1, True, 2),  # as long as the former key hasn't signed that it hands over
            ("before", "publish", 1, True, 2),
            ("before", "remember", 1, True, 2),
            ("after", "remember", 1, True, 2),
            ("after", "INSERT INTO ledger_checkpoint", 1, True, 2),
            ("after", "COMMIT", 2, True, 0),
            ("after", "publish", 1, True, 0),
            ("before", "anchor", 1, True, 0),
            ("after", "anchor", 1, True, 0),
            ("before", "anchor", 2, True, 0),
        ],
    )
    def test_it_is_finished_by_running_it_again(
        self, path: Path, moment: str, step: str, time: int, rotated: bool, code: int
    ) -> None:
        signing = anchored_in(path.parent)
        write(path, 2, anchors=signing.anchors)
        before = in_log(path)
        killed(path, "rotate", moment, step, time)
        assert types(path).count("key.rotated") == rotated
        said(verify(path, keys=[KEY.verifier, *[NEXT.verifier] * rotated]), code)
        done = rotates(path)
        assert done.unanchored == ()
        assert types(path).count("key.rotated") == 1
        said(verify(path, keys=[KEY.verifier, NEXT.verifier]), 0)
        said(verify(path, keys=[NEXT.verifier]), 0)
        ((kept,),) = rows(path, "SELECT note FROM ledger_checkpoint WHERE size = ?", done.size)
        assert {each.name for each in Note.parse(kept).signatures} == {KEY.name}
        assert len(Note.parse(kept).signatures) == 2
        for anchor in ("one.anchor", "two.anchor"):
            assert notes_in(path.with_name(anchor).read_bytes()).count(kept) == 1
        with pytest.raises(LedgerInvalid, match="isn't signed by"):
            signed_ledger(path, signing.anchors).open()
        write(path, 1, anchors=signing.anchors, key=NEXT)
        said(verify(path, keys=[NEXT.verifier]), 0)
        all_there(path, before)


class TestCopying:
    @pytest.mark.parametrize(
        ("moment", "step", "time", "told", "begun"),
        [
            ("before", "make", 1, 1, 0),
            ("before", "COMMIT", 1, 1, 0),  # of the tables
            ("before", "record", 1, 1, 0),
            ("before", "COMMIT", 3, 1, 0),  # of ledger.transferred
            ("after", "COMMIT", 3, 2, 0),  # each try that got so far is on record
            ("before", "INSERT INTO ledger_log", 1, 2, 0),
            ("before", "COMMIT", 5, 2, 0),
            ("after", "COMMIT", 5, 1, 4),
            ("after", "INSERT INTO ledger_payload VALUES", 2, 1, 4),
            ("after", "COMMIT", 6, 1, 8),
            ("before", "INSERT INTO ledger_head VALUES", 1, 1, 10),
            ("after", "INSERT INTO ledger_head VALUES", 1, 1, 10),
        ],
    )
    def test_it_goes_on_when_it_is_run_again(
        self, path: Path, moment: str, step: str, time: int, told: int, begun: int
    ) -> None:
        wrote(InFile(path), "a", "b")
        before = in_log(path)
        killed(path, "copy", moment, step, time)
        to = path.with_name("to.db")
        said(verify(path), 0)
        with pytest.raises(LedgerInvalid):  # nobody takes the beginning of it for a ledger
            ledger_at(to, clock=SystemClock()).open()
        done = copies(path)
        assert types(to).count("ledger.transferred") == told
        assert done.begun == begun
        for each in (path, to):
            said(verify(each), 0)
            all_there(each, before)
        assert verify(to).root == verify(path).root == done.root
        wrote(InFile(to), "c")
        said(verify(to), 0)

    @pytest.mark.parametrize(
        ("moment", "step", "time"), [("after", "COMMIT", 8), ("before", "PRAGMA wal_checkpoint", 2)]
    )
    def test_one_that_had_its_head_is_whole(self, path: Path, moment: str, step: str, time: int) -> None:
        wrote(InFile(path), "a", "b")
        killed(path, "copy", moment, step, time)
        to = path.with_name("to.db")
        said(verify(to), 0)
        with pytest.raises(LedgerInvalid, match="a whole ledger is there already"):
            copies(path)
        assert verify(to).root == verify(path).root


class TestSpooling:
    """Between the file on this host and the database."""

    @pytest.fixture
    def url(self, postgres: PostgresServer) -> str:
        return f"{postgres.url}&schema={next(SCHEMAS)}"

    def killed(self, url: str, folder: Path, when: str, moment: str, step: str, time: int = 1) -> list[str]:
        """The leaves of the records that it was told are durable."""
        arguments = (str(folder / "spool"), when, moment, step, str(time))
        with Process("doomed_spooling.py", url, *arguments, folder=folder) as victim:
            victim.end(-signal.SIGKILL)
        return [line.split()[-1] for line in victim.lines()]

    def finished(self, url: str, folder: Path, acknowledged: list[str]) -> list[tuple[str, str]]:
        """What the log holds of calls, after the next process of this host."""
        place = InDatabase(Address.parse(url), spooling=Spooling(folder / "spool", SystemClock()))
        assert verify(place).exit_code in (0, 2)
        ledger = ledger_at(place, clock=SystemClock(), policy="spool")
        ledger.open()
        ledger.close(120)
        assert not list((folder / "spool").iterdir())
        said(verify(place), 0)
        source = place.connect()
        try:
            log = source.execute(
                "SELECT leaf, emitter, eseq, call_id, type FROM ledger_record WHERE emitter IS NOT NULL ORDER BY seq"
            ).fetchall()
        finally:
            source.close()
        leaves = [leaf.hex() for leaf, *_ in log]
        assert [leaves.count(each) for each in acknowledged] == [1] * len(acknowledged)
        counted = Counter(emitter for _, emitter, *_ in log)
        assert sorted((emitter, number) for _, emitter, number, *_ in log) == sorted(
            (emitter, number) for emitter, count in counted.items() for number in range(count)
        )
        return [(call_id, kind) for *_, call_id, kind in log if call_id is not None]

    @pytest.mark.parametrize(
        ("moment", "step", "time", "durable"),
        [
            ("before", "put", 1, 0),
            ("after", "INSERT INTO record", 1, 0),
            ("before", "COMMIT", 1, 0),
            ("after", "COMMIT", 1, 1),
            ("after", "put", 1, 1),
            ("before", "COMMIT", 2, 1),
            ("after", "put", 2, 2),
        ],
    )
    def test_killed_while_records_are_put_into_the_file(
        self, url: str, tmp_path: Path, moment: str, step: str, time: int, durable: int
    ) -> None:
        told = self.killed(url, tmp_path, "spool", moment, step, time)
        assert len(told) == 3 + max(0, time - 1)
        calls = self.finished(url, tmp_path, told)
        spooled = [kind for call_id, kind in calls if call_id == "spooled"]
        ended = ["call.completed"] if durable == 2 else ["call.orphaned"] if durable == 1 else []
        assert spooled == ["call.started"] * bool(durable) + ended
        assert [kind for call_id, kind in calls if call_id == "before, open"] == ["call.started", "call.orphaned"]

    @pytest.mark.parametrize("when", ["forward", "sweep"])
    @pytest.mark.parametrize(
        ("moment", "step", "time"),
        [
            ("before", "append", 1),
            ("after", "append", 1),
            ("before", "drop", 1),
            ("after", "DELETE FROM record", 1),
            ("before", "DELETE FROM batch", 2),
            ("before", "COMMIT", 1),
            ("after", "COMMIT", 1),
            ("after", "append", 2),
            ("after", "drop", 3),
            ("before", "close", 1),
            ("after", "close", 1),
        ],
    )
    def test_killed_while_they_are_forwarded(
        self, url: str, tmp_path: Path, when: str, moment: str, step: str, time: int
    ) -> None:
        if when == "forward":
            told = self.killed(url, tmp_path, "forward", moment, step, time)
        else:  # by the next process, which is killed as well
            told = self.killed(url, tmp_path, "forward", "before", "append")
            assert self.killed(url, tmp_path, "sweep", moment, step, time) == []
        assert len(told) == 6
        calls = self.finished(url, tmp_path, told)
        for name in ("before", "spooled"):
            assert [kind for call_id, kind in calls if call_id == name] == ["call.started", "call.completed"]
            assert [kind for call_id, kind in calls if call_id == f"{name}, open"] == ["call.started", "call.orphaned"]
