"""A signed log: what is signed when, what the signer refuses, and how checkpoints get out of the machine."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledgers import Faults, SteppedClock, call, completed, ledger_at, rows, settled, started, types, until
from signing import KEY, NEXT, ORIGIN, attack, signed_ledger, signing_in, write

from failsoft.core.effects import Recorded, Unrecorded
from failsoft.errors import LedgerInvalid
from failsoft.ledger.bundles.verify_bundle import notes_in_file
from failsoft.ledger.checkpoints.anchors import _READ, Anchoring, CommandAnchor, FileAnchor, notes_in, shown
from failsoft.ledger.checkpoints.publishing import SECOND, Publisher, Signing
from failsoft.ledger.checkpoints.signer import Signer, SignerRefused, publish
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.format.note import Checkpoint, Note, NoteInvalid, VerifierKey
from failsoft.ledger.keys.ed25519 import SigningKey, open_checkpoint, verify
from failsoft.ledger.location import InFile
from failsoft.ledger.read import read
from failsoft.ledger.verify import verify as verify_ledger
from failsoft.ledger.writing.ticket import TicketQueue


def notes(*sizes: int, key: SigningKey = KEY) -> list[bytes]:
    return [key.sign_note(Checkpoint(ORIGIN, size, bytes(32)).text).to_bytes() for size in sizes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def head_of(path: Path) -> tuple[Checkpoint, bytes]:
    ((size, data, signature),) = rows(path, "SELECT size, frontier, sig FROM ledger_head")
    return Checkpoint(ORIGIN, size, Frontier.from_bytes(size, data).root()), signature


def stored(path: Path) -> list[tuple[int, bytes]]:
    return rows(path, "SELECT size, note FROM ledger_checkpoint ORDER BY size")


# --- heads ----------------------------------------------------------------------------------------------------------------


def test_each_commit_leaves_a_signed_head(path: Path) -> None:
    ledger = signed_ledger(path)
    ledger.open()
    for number in range(3):
        settled(call(ledger, f"c{number}")[1])
        head, signature = head_of(path)
        assert verify(KEY.verifier, head.head, signature)
    ledger.close()


def test_a_signed_log_names_its_key_in_its_first_record_and_takes_its_name(path: Path) -> None:
    ledger = signed_ledger(path, origin=None)
    ledger.open()
    assert ledger.origin == ORIGIN
    ledger.close()
    with read(path) as reader:
        assert reader.record(0).fields["keys"] == [str(KEY.verifier)]
    assert rows(path, "SELECT vkey FROM ledger_log") == [(str(KEY.verifier),)]


def test_a_ledger_without_a_key_signs_nothing(path: Path) -> None:
    ledger = ledger_at(path)
    ledger.open()
    assert ledger.coverage() is None
    ledger.close()
    assert stored(path) == []
    assert rows(path, "SELECT sig FROM ledger_head") == [(None,)]
    assert rows(path, "SELECT vkey FROM ledger_log") == [(None,)]


def test_a_log_may_be_signed_later_and_says_since_when(path: Path) -> None:
    plain = ledger_at(path)
    plain.open()
    plain.close()
    write(path, 1)
    write(path, 1)
    assert types(path).count("key.rotated") == 1
    with read(path) as reader:
        (each,) = reader.records(kind="key.rotated")
        assert each.fields["to"] == str(KEY.verifier)
        assert "from" not in each.fields


def test_a_process_without_the_key_stops_when_the_log_is_signed_meanwhile(path: Path) -> None:
    plain = ledger_at(path)
    plain.open()
    write(path, 1)
    found = settled(plain.submit(started()))
    assert isinstance(found, Unrecorded)
    assert "signed since" in found.reason
    plain.close()
    with pytest.raises(LedgerInvalid, match="this log is signed"):
        ledger_at(path).open()


def test_two_processes_sign_one_log(path: Path) -> None:
    first, second = signed_ledger(path), signed_ledger(path)
    first.open()
    second.open()
    for number in range(4):
        settled(call((first, second)[number % 2], f"c{number}")[1])
    first.close()
    second.close()
    head, signature = head_of(path)
    assert verify(KEY.verifier, head.head, signature)


def test_a_writer_does_not_build_on_a_head_that_others_changed(path: Path) -> None:
    ledger = signed_ledger(path)
    ledger.open()
    settled(ledger.submit(started()))
    other = signed_ledger(path)
    other.open()
    attack(path, "UPDATE ledger_head SET sig = zeroblob(64)")
    found = settled(ledger.submit(started("late")))
    assert isinstance(found, Unrecorded)
    assert "isn't signed by this key" in found.reason
    ledger.close()
    other.close()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: attack(path, "UPDATE ledger_head SET sig = NULL"), "head isn't signed"),
        (lambda path: attack(path, "UPDATE ledger_head SET sig = zeroblob(64)"), "head isn't signed"),
        (lambda path: attack(path, "DELETE FROM ledger_record WHERE seq >= 2"), "doesn't fit"),
        (lambda path: (path.parent / "signer.state").unlink(), "state is missing"),
        (lambda path: (path.parent / "signer.state").write_bytes(b"\xff"), "not UTF-8"),
        (lambda path: (path.parent / "signer.state").write_bytes(b"x"), "not a checkpoint"),
        (lambda path: (path.parent / "signer.state").write_text(Checkpoint("b", 1, bytes(32)).text), "another log"),
        (
            lambda path: (path.parent / "signer.state").write_text(Checkpoint(ORIGIN, 99, bytes(32)).text),
            "cut or rolled",
        ),
        (lambda path: (path.parent / "signer.state").write_text(Checkpoint(ORIGIN, 3, bytes(32)).text), "was forked"),
        (lambda path: path.unlink(), "there is no such ledger"),
    ],
)
def test_a_log_that_is_not_the_signed_one_is_not_opened(path: Path, spoil: Callable[[Path], Any], why: str) -> None:
    write(path, 2)
    spoil(path)
    with pytest.raises(LedgerInvalid, match=why):
        signed_ledger(path).open()
    if why == "there is no such ledger":
        assert not path.exists()


def test_a_state_that_cannot_be_read_begins_no_new_log(path: Path) -> None:
    (path.parent / "signer.state").mkdir()
    with pytest.raises(LedgerInvalid, match="state can't be read"):
        signed_ledger(path).open()
    assert not path.exists()


def test_a_key_of_another_log_or_another_key_opens_nothing(path: Path) -> None:
    write(path, 1)
    with pytest.raises(LedgerInvalid, match="the key is named 'b'"):
        signed_ledger(path, key=SigningKey("b", bytes(32))).open()
    with pytest.raises(LedgerInvalid, match="isn't signed by the key"):
        signed_ledger(path, key=NEXT).open()


def test_a_whole_file_rollback_is_found_by_the_signers_state(path: Path, tmp_path: Path) -> None:
    write(path, 1)
    shutil.copy(path, tmp_path / "yesterday.db")
    write(path, 1)
    shutil.copy(tmp_path / "yesterday.db", path)
    with pytest.raises(LedgerInvalid, match="cut or rolled back"):
        signed_ledger(path).open()


def test_a_snapshot_of_the_machine_is_found_by_the_anchor(path: Path, tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchored.txt")
    write(path, 1, anchors=[anchor])
    for name in ("x.db", "signer.state"):
        shutil.copy(tmp_path / name, tmp_path / (name + ".snapshot"))
    write(path, 1, anchors=[anchor])
    for name in ("x.db", "signer.state"):
        shutil.copy(tmp_path / (name + ".snapshot"), tmp_path / name)
    with pytest.raises(LedgerInvalid, match="cut or rolled back"):
        signed_ledger(path, anchors=[anchor]).open()
    path.unlink()
    (tmp_path / "signer.state").unlink()
    with pytest.raises(LedgerInvalid, match="there is no such ledger"):
        signed_ledger(path, anchors=[anchor]).open()


@pytest.mark.parametrize(("before", "behind"), [(b"", b""), (b" \n", b"\n"), (b" \n", b""), (b"", b"\n")])
def test_a_lost_state_is_put_back_from_an_anchored_checkpoint(
    path: Path, tmp_path: Path, before: bytes, behind: bytes
) -> None:
    """With what an anchor puts around it, or a part of that, as somebody cuts it out by hand."""
    anchor = FileAnchor(tmp_path / "anchored.txt")
    write(path, 1, anchors=[anchor])
    (tmp_path / "signer.state").write_bytes(before + notes_in(anchor.path.read_bytes())[-1] + behind)
    write(path, 1, anchors=[anchor])
    (tmp_path / "signer.state").write_bytes(anchor.path.read_bytes())  # of two the older one would do
    with pytest.raises(LedgerInvalid, match="state can't be read"):
        write(path, 1, anchors=[anchor])


# --- checkpoints ----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_published_after_so_many_records_and_at_close(path: Path) -> None:
    events: list[tuple[str, Any]] = []
    ledger = signed_ledger(path, records=10, on_event=lambda name, fields: events.append((name, fields)))
    ledger.open()
    for number in range(9):
        settled(call(ledger, f"c{number}")[1])
    until(lambda: len(stored(path)) >= 1)
    ledger.close()
    sizes = [size for size, _ in stored(path)]
    assert sizes[-1] == 21  # opened, emitter, 18, closed
    assert [fields["size"] for _, fields in events] == sizes
    for size, note in stored(path):
        signed = open_checkpoint(note, [KEY.verifier])
        assert signed.by_log
        assert (signed.checkpoint.origin, signed.checkpoint.size) == (ORIGIN, size)
    assert (path.parent / "signer.state").read_text() == open_checkpoint(stored(path)[-1][1], []).checkpoint.text


def test_a_checkpoint_is_published_after_so_long_though_nothing_more_comes(path: Path) -> None:
    ledger = signed_ledger(path, every_ns=SECOND // 50)
    ledger.open()
    settled(ledger.submit(started()))
    until(lambda: stored(path) != [] and stored(path)[-1][0] == 3)
    assert ledger.healthy
    ledger.healthy = False
    settled(ledger.submit(completed(None)))
    until(lambda: stored(path)[-1][0] == 4)
    ledger.close()


def test_waking_for_a_checkpoint_alone_says_nothing_of_health(path: Path) -> None:
    ledger = signed_ledger(path, every_ns=SECOND // 5)
    ledger.open()
    settled(ledger.submit(started()))
    ledger.healthy = False
    until(lambda: stored(path) != [])
    assert not ledger.healthy
    ledger.close()


def test_the_state_is_durable_before_the_signature_is_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 1)
    order: list[str] = []
    real_sync, real_replace, real_sign = os.fsync, os.replace, SigningKey.sign_note
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), real_sync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), real_replace(a, b))[1])
    monkeypatch.setattr(SigningKey, "sign_note", lambda self, text: (order.append("sign"), real_sign(self, text))[1])
    write(path, 1)
    at = order.index("sign")
    assert order[at - 3 : at] == ["fsync", "replace", "fsync"]  # the file, its name, its folder


def test_a_checkpoint_may_be_signed_again_after_a_crash_before_it_was_stored(path: Path) -> None:
    faults = Faults()
    faults.raises["INSERT INTO ledger_checkpoint"] = (sqlite3.SQLITE_IOERR, "gone")
    write(path, 1, connect=faults.connect)
    assert stored(path) == []
    remembered = Checkpoint.parse((path.parent / "signer.state").read_text())
    assert remembered.size == head_of(path)[0].size
    write(path, 1)
    assert stored(path)[-1][0] > remembered.size


def test_nothing_is_signed_where_the_state_cannot_be_written(path: Path) -> None:
    (path.parent / "signer.state.new").mkdir()
    events: list[tuple[str, Any]] = []
    ledger = signed_ledger(path, records=1, on_event=lambda name, fields: events.append((name, fields)))
    ledger.open()
    for number in range(3):
        assert isinstance(settled(ledger.submit(started(f"c{number}"))), Recorded)
    until(lambda: events != [])
    coverage = ledger.coverage()
    assert coverage is not None
    assert "signer.state.new" in coverage.problem
    assert not coverage.ok
    ledger.close()
    assert stored(path) == []
    assert [name for name, _ in events] == ["checkpoint.failed"]  # told once, not at each try


def test_a_full_disk_under_the_signers_state_is_told_with_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("failsoft.ledger.checkpoints.signer.os.fsync", full)
    signer = Signer(KEY, path.parent / "signer.state")
    with pytest.raises(OSError, match=r"No space left on device: .*signer\.state'") as told:
        signer._remember("x")
    assert told.value.errno == errno.ENOSPC


def test_a_tree_that_does_not_extend_what_was_signed_gets_no_checkpoint(path: Path) -> None:
    ledger = signed_ledger(path)
    ledger.open()
    settled(ledger.submit(started()))
    (path.parent / "signer.state").write_text(Checkpoint(ORIGIN, 2, bytes(32)).text)
    ledger.close()
    assert stored(path) == []
    coverage = ledger.coverage()
    assert coverage is not None
    assert "forked" in coverage.problem


def test_a_head_that_is_not_the_keys_gets_no_checkpoint(path: Path) -> None:
    write(path, 1)
    attack(path, "UPDATE ledger_head SET sig = zeroblob(64)")
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(SignerRefused, match="head isn't signed"):
        publish(connection, Signer(KEY, path.parent / "signer.state"))
    assert not connection.in_transaction
    connection.close()


def test_a_checkpoint_of_no_records_binds_to_nothing_but_a_signed_head(path: Path) -> None:
    nothing = Checkpoint(ORIGIN, 0, bytes(32)).text
    plain = ledger_at(path)
    plain.open()
    plain.close()
    (path.parent / "signer.state").write_text(nothing)
    with pytest.raises(LedgerInvalid, match="isn't signed"):  # a state says that this log was signed
        signed_ledger(path).open()
    (path.parent / "signer.state").unlink()
    write(path, 1)
    (path.parent / "signer.state").write_text(nothing)
    write(path, 1)


def test_an_error_that_ends_the_transaction_by_itself_is_told_as_it_is(path: Path) -> None:
    write(path, 1)
    ledger = signed_ledger(path, every_ns=60 * SECOND)
    ledger.open()

    class Ends(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql.startswith("INSERT INTO ledger_checkpoint"):
                super().execute("ROLLBACK")
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *arguments)

    def ends(uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, isolation_level=None, factory=Ends)

    store = InFile(path, ends).store(Signer(KEY, path.parent / "signer.state"))
    store.open(list)
    with pytest.raises(sqlite3.OperationalError, match="disk I/O"):
        store.publish()
    store.close()
    ledger.close()


def test_a_checkpoint_that_another_process_published_is_enough(path: Path) -> None:
    write(path, 1)
    signer = Signer(KEY, path.parent / "signer.state")
    connection = sqlite3.connect(path, isolation_level=None)
    assert publish(connection, signer) == stored(path)[-1]
    connection.close()


@pytest.mark.parametrize("note", [notes(5)[0], notes(5, key=NEXT)[0], b"none"])
def test_a_stored_checkpoint_that_is_not_ones_own_goes_to_no_anchor(path: Path, note: bytes) -> None:
    write(path, 1)
    attack(path, ("UPDATE ledger_checkpoint SET note = ?", (note,)))
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(SignerRefused, match="the stored checkpoint of 5 records isn't this key's"):
        publish(connection, Signer(KEY, path.parent / "signer.state"))
    connection.close()


def test_what_another_process_published_and_did_not_bring_to_an_anchor_is_brought_there(path: Path) -> None:
    """Whoever signed it ended while the anchor was away; these records are under it, and nowhere else."""
    away, there = Gate(), FileAnchor(path.parent / "anchored")
    away.problem = OSError("unreachable")
    away.open.set()
    mine = signed_ledger(path, [there], max_unanchored_age_ns=2 * SECOND)
    mine.open()
    settled(call(mine, "c1")[1])
    write(path, 1, anchors=[away])
    until(lambda: (coverage := mine.coverage()) is not None and coverage.anchored is not None)
    size, note = stored(path)[-1]
    newest = there.newest(KEY.verifier)
    assert newest is not None
    assert newest.size == size
    assert note in there.path.read_bytes()
    mine.close()


def test_a_forked_child_signs_too(path: Path) -> None:
    ledger = signed_ledger(path)
    ledger.open()
    settled(ledger.submit(started("before")))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if isinstance(settled(ledger.submit(started("child"))), Recorded) else 2
            ledger.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert isinstance(settled(ledger.submit(started("after"))), Recorded)
    ledger.close()
    head, signature = head_of(path)
    assert verify(KEY.verifier, head.head, signature)


def test_many_records_are_signed_over_stored_subtrees(path: Path) -> None:
    ledger = signed_ledger(path, records=200)
    ledger.open()
    for number in range(400):
        last = call(ledger, f"c{number}")[1]
    settled(last)
    ledger.close()
    write(path, 1)
    assert len(stored(path)) >= 2


# --- when it's due ----------------------------------------------------------------------------------------------------------


def publisher(tmp_path: Path, **options: Any) -> tuple[Publisher, SteppedClock, list[str]]:
    clock, told = SteppedClock(), list[str]()
    return Publisher(signing_in(tmp_path, **options), clock, lambda name, _: told.append(name)), clock, told


def test_a_checkpoint_is_due_by_number_or_by_time_from_the_first_uncovered(tmp_path: Path) -> None:
    made, clock, _ = publisher(tmp_path, records=10, every_ns=60 * SECOND)
    assert made.seconds() is None
    made.committed(0)
    assert made.seconds() is None
    made.committed(1)
    assert made.seconds() == pytest.approx(60, abs=0.001)
    clock.now += 59 * SECOND
    made.committed(1)
    assert made.seconds() == pytest.approx(1, abs=0.001)
    clock.now += 2 * SECOND
    assert made.seconds() == 0
    made.publish(lambda: (2, None))
    assert made.seconds() is None
    made.committed(10)
    assert made.seconds() == 0


def test_with_anchors_half_the_age_allowed_is_time_enough(tmp_path: Path) -> None:
    made, _, _ = publisher(tmp_path, anchors=(FileAnchor(tmp_path / "a"),), max_unanchored_age_ns=20 * SECOND)
    made.committed(1)
    assert made.seconds() == pytest.approx(10, abs=0.001)


def test_what_failed_is_tried_again_after_five_seconds_and_told_once(tmp_path: Path) -> None:
    made, clock, told = publisher(tmp_path, records=1)
    calls: list[int] = []

    def fails() -> tuple[int, bytes | None]:
        calls.append(1)
        raise OSError("no room")

    made.committed(1)
    made.publish(fails)
    made.publish(fails)
    assert made.seconds() == pytest.approx(5, abs=0.001)
    clock.now += 6 * SECOND
    made.publish(fails)
    assert len(calls) == 2
    assert told == ["checkpoint.failed"]
    clock.now += 6 * SECOND
    made.publish(lambda: (1, b"note"))
    assert told == ["checkpoint.failed", "checkpoint.published"]
    assert made.coverage().problem == ""


def test_coverage_says_how_long_records_were_held_by_nobody_else(tmp_path: Path) -> None:
    made, clock, _ = publisher(tmp_path)
    assert made.coverage().unanchored_age == 0
    made.committed(1)
    clock.now += 100 * SECOND
    found = made.coverage()
    assert found.unanchored_age == pytest.approx(100, abs=0.001)
    assert (found.limit, found.exceeded, found.ok) == (60.0, False, True)  # no anchors: none is late
    made, clock, _ = publisher(tmp_path, anchors=(CommandAnchor(("false",)),))
    made.committed(1)
    clock.now += 61 * SECOND
    assert made.coverage().exceeded
    made.publish(lambda: (1, b"note"))
    assert made.coverage().exceeded  # published is not anchored
    assert made.coverage().checkpoint == 1
    made._anchoring.end(0)


def test_a_queue_that_waits_for_a_checkpoint_wakes_in_time() -> None:
    queue = TicketQueue(1)
    assert queue.wait(0.001)
    queue.shut("closed")
    assert not queue.wait(0.001)
    assert not queue.wait()


# --- anchors ----------------------------------------------------------------------------------------------------------------


def test_an_anchor_file_grows_and_tells_its_newest(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "a")
    assert anchor.newest(KEY.verifier) is None
    for note in notes(3, 7, 5):
        anchor.put(note)
    assert notes_in(anchor.path.read_bytes()) == notes(3, 7, 5)
    newest = anchor.newest(KEY.verifier)
    assert newest is not None
    assert newest.size == 7
    assert anchor.newest(NEXT.verifier) is None


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (lambda note: note, False),
        (lambda note: note + b"\n \n", False),
        (lambda note: note[:-2], True),
        (lambda note: note[:-1] + b" \n", True),
        (lambda note: note.replace(b"\n", b"\r\n"), True),
        (lambda note: b"> " + note.replace(b"\n", b"\n> "), True),
        (lambda note: note.replace("\u2014".encode(), b"-"), True),
        (lambda note: note.replace("\n\n\u2014".encode(), "\n\n\u2014 x abc-_d\n\u2014".encode()), True),
        (lambda note: note.replace(b"\n", b" \n"), True),
        (lambda note: note.replace(b"\n", b"  \n"), True),
        (lambda note: note.replace(b"\n7\n", b"\n7 \n"), True),
        (lambda note: b"    " + note.replace(b"\n", b"\n    "), True),
        (lambda note: note.replace(b"=\n\n", b"=\nan extension\n\n"), True),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_newest_checkpoint_that_was_spoilt_is_no_less_of_a_pin(
    spoilt: Callable[[bytes], bytes], told: bool, first: bool
) -> None:
    """An editor, a mail or a system changed how it ends: the one beside it mustn't do in its place."""
    one, two = notes(3, 7)
    data = spoilt(two) + b"\n" + one if first else one + b"\n" + spoilt(two)
    found = notes_in_file(data)
    assert found[first] == one
    assert len(found) == 2
    if told:
        with pytest.raises(NoteInvalid):
            Checkpoint.parse(Note.parse(found[not first]).text)
    else:
        assert found[not first] == two
    assert notes_in_file(b"") == [b""]
    assert notes_in_file(b"junk") == [b"junk"]
    junk = b"junk\n" + one + b"more \n" + two
    assert notes_in_file(junk) == [b"junk\n", one, b"more \n", two]


def test_what_a_crash_cut_is_no_pin_where_there_is_one_of_as_many_records(tmp_path: Path) -> None:
    elsewhere = SigningKey("other.example/log", bytes(32))
    (other,) = [elsewhere.sign_note(Checkpoint(elsewhere.name, 9, bytes(32)).text).to_bytes()]
    small, large = notes(8, 10)
    handed = Note.parse(large)
    third = SigningKey(ORIGIN, bytes(range(2, 34)))
    signatures = [line for key in (NEXT, third) for line in key.sign_note(handed.text).signatures]
    anchor = FileAnchor(tmp_path / "a")
    for number in (1, 2):  # of a handover: the first signature makes it a note, a further one is what's cut
        several = Note(handed.text, (*handed.signatures, *signatures[:number])).to_bytes()
        for end in range(len(large), len(several)):
            anchor.path.write_bytes(b" \n" + several[:end])
            anchor.put(other)
            found = notes_in_file(anchor.path.read_bytes())
            assert len(found) == 2
            assert found[1] == other
            assert Note.parse(found[0]).text == handed.text
    junk = large + "\u2014 x \n".encode() + small
    assert notes_in_file(b"x \n" + junk)[0] == b"x \n"
    for end in range(1, len(large)):
        anchor.path.write_bytes(b" \n" + small + b"\n \n" + large[:end])
        anchor.put(other)  # of two logs that share a file
        lone = anchor.path.read_bytes()
        if large[:end].count(b"\n") >= 2:
            assert len(notes_in_file(lone)) == 3
        anchor.put(large)
        covered = anchor.path.read_bytes()
        assert notes_in_file(covered) == [small, other, large]


def test_an_anchor_that_was_cut_anywhere_has_whole_checkpoints_alone(tmp_path: Path) -> None:
    """Its disk was full for a while, or its host went away: what's there of one is no checkpoint, however it goes on."""
    one, two = notes(3, 7)
    text = Note.parse(two)
    both = Note(text.text, (*text.signatures, *Note.parse(one).signatures)).to_bytes()
    anchor = FileAnchor(tmp_path / "anchored")
    for last in (two, both):
        for cut in range(len(last) + 3):
            anchor.path.write_bytes(b" \n" + one + b"\n" + (b" \n" + last + b"\n")[:cut])
            before = notes_in(anchor.path.read_bytes())
            anchor.put(last)
            found = notes_in(anchor.path.read_bytes())
            assert (before[0], found[0], found[-1]) == (one, one, last)
            for each in (*before, *found):
                assert each in (one, two, both) or last.startswith(each), each  # a line less of those that sign it
                assert Note.parse(each).text in (text.text, Note.parse(one).text)


@pytest.mark.parametrize("junk", [b"x", b"\n", b"a\n1\n"])
def test_a_large_anchor_file_is_looked_through_to_its_beginning(tmp_path: Path, junk: bytes) -> None:
    """Others' checkpoints, or what somebody put there to push it out of sight."""
    anchor = FileAnchor(tmp_path / "a")
    (note,) = notes(9)
    for before in range(0, len(note) + 2, 7):  # wherever one read ends and the next begins
        anchor.path.write_bytes(note + junk * ((_READ - before) // len(junk)))
        began = time.perf_counter()
        newest = anchor.newest(KEY.verifier)
        assert time.perf_counter() - began < 5  # each byte of a line tried as a note's first would take twenty seconds
        assert newest is not None
        assert newest.size == 9
    for more in notes(5, 6):
        anchor.put(more)
    newest = anchor.newest(KEY.verifier)
    assert newest is not None
    assert newest.size == 6  # of the last ones


def test_an_anchor_keeps_no_file_open_and_all_may_read_it(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "a")
    before = len(os.listdir("/proc/self/fd"))
    for note in notes(*range(1, 20)):
        anchor.put(note)
    assert len(os.listdir("/proc/self/fd")) == before
    assert anchor.path.stat().st_mode & 0o777 == 0o644 & ~os.umask(os.umask(0))


def test_an_anchor_that_shows_nothing_in_time_shows_nothing(tmp_path: Path) -> None:
    """A file on a mount whose host is gone; a pipe, which waits for whoever writes."""
    released = threading.Event()

    class Hung(Gate):
        def newest(self, key: VerifierKey) -> Checkpoint | None:
            assert released.wait(30)
            return None

    pipe, there = FileAnchor(tmp_path / "pipe"), FileAnchor(tmp_path / "there")
    os.mkfifo(pipe.path)
    there.put(notes(4)[0])
    assert [each.size for each in shown((pipe, there), KEY.verifier)] == [4]
    assert [each.size for each in shown((Hung(), there), KEY.verifier, seconds=0.2)] == [4]
    released.set()


def test_an_anchor_file_that_may_not_be_read_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", denied)
    assert FileAnchor(tmp_path / "a").newest(KEY.verifier) is None


def test_what_an_anchor_file_holds_besides_is_passed_over(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "a")
    (whole,) = notes(4)
    forged = whole.replace(b"\n4\n", b"\n9\n")
    elsewhere = SigningKey("b", bytes(32))
    other = elsewhere.sign_note(Checkpoint(ORIGIN, 8, bytes(32)).text).to_bytes()
    mixed = KEY.sign_note(Checkpoint("b", 8, bytes(32)).text).to_bytes()
    bad = whole.replace(b"AAA=\n\n", b"AAB=\n\n")
    anchor.path.write_bytes(b"junk\n" + forged + other + mixed + bad + whole[:30])
    anchor.put(whole)  # after a line that a crash cut
    newest = anchor.newest(KEY.verifier)
    assert newest is not None
    assert newest.size == 4


def test_an_anchor_file_without_room_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:5]))
    with pytest.raises(OSError, match="no room"):
        FileAnchor(tmp_path / "a").put(b"whole note")


def test_a_command_gets_the_note_and_took_it_where_it_exits_with_0(tmp_path: Path) -> None:
    target = tmp_path / "got"
    code = f"import sys; open({str(target)!r}, 'wb').write(sys.stdin.buffer.read())"
    anchor = CommandAnchor((sys.executable, "-c", code))
    anchor.put(b"note")
    assert target.read_bytes() == b"note"
    assert anchor.newest(KEY.verifier) is None
    with pytest.raises(OSError, match="exited with 3"):
        CommandAnchor((sys.executable, "-c", "raise SystemExit(3)")).put(b"note")
    with pytest.raises(subprocess.TimeoutExpired):
        CommandAnchor((sys.executable, "-c", "import time; time.sleep(9)"), seconds=0.2).put(b"note")
    with pytest.raises(FileNotFoundError):
        CommandAnchor((str(tmp_path / "none"),)).put(b"note")


class Gate:
    """An anchor that takes a note when it's told to."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.problem: Exception | None = None
        self.open = threading.Event()
        self.asked = threading.Event()

    def put(self, note: bytes) -> None:
        self.asked.set()
        assert self.open.wait(10)
        if self.problem is not None:
            raise self.problem
        self.taken.append(note)

    def newest(self, key: VerifierKey) -> Checkpoint | None:
        return None


def test_the_newest_checkpoint_supersedes_one_that_waits(tmp_path: Path) -> None:
    gate = Gate()
    anchoring = Anchoring([gate], pytest.fail)
    anchoring.put(1, b"1", 10)
    assert gate.asked.wait(10)
    anchoring.put(2, b"2", 20)
    anchoring.put(3, b"3", 30)
    assert anchoring.since_ns == 10
    gate.asked.clear()
    gate.open.set()
    anchoring.end(10)
    assert gate.taken == [b"1", b"3"]
    assert anchoring.since_ns is None
    assert anchoring.size == 3


def test_when_the_first_is_anchored_the_age_is_the_next_ones_own() -> None:
    class Turnstile(Gate):
        turns = threading.Semaphore(0)

        def put(self, note: bytes) -> None:
            self.asked.set()
            assert self.turns.acquire(timeout=10)
            self.taken.append(note)

    gate = Turnstile()
    anchoring = Anchoring([gate], pytest.fail)
    anchoring.put(1, b"1", 10)
    assert gate.asked.wait(10)
    anchoring.put(2, b"2", 20)
    gate.asked.clear()
    gate.turns.release()
    assert gate.asked.wait(10)
    assert (anchoring.since_ns, anchoring.size) == (20, 1)
    gate.turns.release()
    anchoring.end(10)
    assert (anchoring.since_ns, anchoring.size) == (None, 2)


@pytest.mark.parametrize("problem", [OSError("unreachable"), None])
def test_no_anchor_waits_for_one_that_fails_or_hangs(problem: Exception | None) -> None:
    bad, good = Gate(), Gate()
    good.open.set()
    if problem is not None:
        bad.problem = problem
        bad.open.set()
    anchoring = Anchoring([bad, good], lambda _: None, retry=1000)
    for number in (1, 2, 3):
        anchoring.put(number, b"%d" % number, number)
        until(lambda number=number: good.taken[-1:] == [b"%d" % number])  # type: ignore[misc]
    assert (anchoring.since_ns, anchoring.size) == (1, None)
    anchoring.put(4, b"4", 4)
    anchoring.end(0.05)  # at the close, too
    assert good.taken[-1] == b"4"
    bad.open.set()


def test_what_a_command_started_ends_with_it(tmp_path: Path) -> None:
    told = tmp_path / "child"
    script = f"sleep 600 & echo $! > {told}.part; mv {told}.part {told}; wait"
    with pytest.raises(subprocess.TimeoutExpired):
        CommandAnchor(("sh", "-c", script), seconds=1).put(b"note")
    child = int(told.read_text())

    def is_gone() -> bool:
        try:
            return "Z" in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2]  # nobody waits for it here
        except OSError:
            return True

    until(is_gone)


def test_an_anchor_that_fails_is_tried_again_and_the_others_not() -> None:
    bad, good = Gate(), Gate()
    bad.problem = OSError("unreachable")
    for each in (bad, good):
        each.open.set()
    told: list[str] = []
    anchoring = Anchoring([bad, good], told.append, retry=0.001)
    anchoring.put(1, b"1", 10)
    until(lambda: good.taken == [b"1"] and len(told) == 1)
    bad.asked.clear()
    assert bad.asked.wait(10)
    bad.problem = None
    anchoring.end(10)
    assert (bad.taken, good.taken, told) == ([b"1"], [b"1"], ["unreachable"])


def test_without_anchors_there_is_nothing_to_wait_for() -> None:
    anchoring = Anchoring([], pytest.fail)
    anchoring.put(1, b"1", 10)
    assert anchoring.since_ns is None
    anchoring.end(10)


def test_a_close_leaves_an_anchor_that_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failsoft.ledger.checkpoints.publishing.CLOSE_SECONDS", 0.01)
    gate = Gate()
    write(path, 1, anchors=[gate])
    assert gate.taken == []
    gate.open.set()


def test_a_ledgers_checkpoints_reach_its_anchors(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failsoft.ledger.checkpoints.publishing.CLOSE_SECONDS", 0.01)
    anchor = FileAnchor(tmp_path / "a")
    events: list[str] = []
    failing = CommandAnchor((str(tmp_path / "none"),))
    write(path, 2, anchors=[anchor])
    assert notes_in(anchor.path.read_bytes()) == [note for _, note in stored(path)]
    ledger = signed_ledger(path, anchors=[failing], records=1, on_event=lambda name, _: events.append(name))
    ledger.open()
    until(lambda: "anchor.failed" in events)
    coverage = ledger.coverage()
    assert coverage is not None
    assert coverage.anchored is None
    ledger.close()


def test_signing_is_described_without_its_seed(tmp_path: Path) -> None:
    assert KEY.seed.hex() not in repr(Signing(KEY, tmp_path))


# --- killed -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["state", "signed", "stored", "anchored"])
def test_a_log_whose_signer_was_killed_goes_on_and_is_verified(path: Path, tmp_path: Path, step: str) -> None:
    """Twice: the second life begins on what the first one left."""
    anchor = FileAnchor(tmp_path / "anchored")
    acknowledged = 0
    for _ in range(2):
        command = [sys.executable, str(Path(__file__).with_name("signing_process.py")), str(tmp_path), step]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == -9, done.stderr
        acknowledged += len(done.stdout.split())
    write(path, 1, anchors=[anchor])
    found = verify_ledger(path, keys=[KEY.verifier], checkpoints=notes_in(anchor.path.read_bytes()))
    assert found.verdict == "verified", found.problems
    assert found.kinds["call.completed"] >= acknowledged + 1
    sizes = [each.checkpoint.size for each in (open_checkpoint(note, []) for _, note in stored(path))]
    assert sizes == sorted(set(sizes))
