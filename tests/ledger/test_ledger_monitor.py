"""A monitor keeps the last checkpoint that it saw, and demands that the next one extends it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ledgers import SystemClock, call, ledger_at, rows, settled
from signing import KEY, NEXT, ORIGIN, attack, recompute, signed_ledger, signing_in, write

from failsoft import processes
from failsoft.ledger.acts.rotation import rotate
from failsoft.ledger.checkpoints.anchors import FileAnchor
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.format.merkle import leaf_hash
from failsoft.ledger.format.note import COSIGNATURE, Checkpoint, Note, Signature, VerifierKey
from failsoft.ledger.keys.ed25519 import SigningKey, open_checkpoint
from failsoft.ledger.read import read
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Emitter
from failsoft.ledger.sqlite.read import SqliteSource
from failsoft.ledger.sqlite.store import LedgerFile
from failsoft.ledger.verification import monitor as monitoring
from failsoft.ledger.verification.hashes import Hashes
from failsoft.ledger.verification.monitor import Seen, monitor
from failsoft.ledger.verify import verify

KEYS = [KEY.verifier]
BARE = "body = NULL, rid = NULL, ts = NULL, call_id = NULL, case_id = NULL, capability = NULL"
"""As a row of a record that was pruned."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "x.db", 2)
    return tmp_path / "x.db"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "seen"


def note_of(path: Path) -> bytes:
    note: bytes = rows(path, "SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")[0][0]
    return note


def test_two_that_look_at_once_keep_what_the_later_one_saw(
    path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first one to look would put its smaller checkpoint in place of the larger one."""
    assert monitor(state, path).size == 7
    keep, lock = monitoring._keep, processes.lock
    waits = threading.Event()
    second: list[Seen] = []
    other = threading.Thread(target=lambda: second.append(monitor(state, path)))

    def locks(descriptor: int) -> None:
        if threading.current_thread() is other:
            waits.set()
        lock(descriptor)

    def keeps(state: Path, note: bytes) -> None:
        monkeypatch.setattr(monitoring, "_keep", keep)
        write(path, 3)
        other.start()
        assert waits.wait(10)
        keep(state, note)

    monkeypatch.setattr(monitoring, "_keep", keeps)
    monkeypatch.setattr(processes, "lock", locks)
    assert monitor(state, path).size == 7
    other.join(10)
    assert [(each.exit_code, each.size) for each in second] == [(0, 15)]
    assert state.read_bytes() == note_of(path)


def test_a_link_to_what_was_seen_stays_one(path: Path, tmp_path: Path) -> None:
    (tmp_path / "worm").mkdir()
    link, file = tmp_path / "seen", tmp_path / "worm" / "seen"
    assert monitor(file, path).size == 7
    link.symlink_to(file)
    write(path, 3)
    assert monitor(link, path).size == 15
    assert link.is_symlink()
    assert file.read_bytes() == note_of(path)


@pytest.mark.parametrize("state", ["", ".", "/"])
def test_what_is_no_file_keeps_nothing(path: Path, state: str) -> None:
    seen = monitor(Path(state), path)
    assert (seen.exit_code, "name one" in seen.told) == (3, True)


def test_where_nothing_can_be_kept_a_fork_is_found_all_the_same(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    write(path, 3)
    monitor(folder / "seen", path)
    (folder / "seen.lock").unlink()
    (folder / "seen.lock").mkdir()
    assert monitor(folder / "seen", path).exit_code == 0
    attack(path, "DELETE FROM ledger_checkpoint WHERE size > 7")
    assert monitor(folder / "seen", path).exit_code == 1


def test_the_first_look_keeps_and_the_next_ones_compare(path: Path, state: Path) -> None:
    for keys in ([], KEYS):
        state.unlink(missing_ok=True)
        seen = monitor(state, path, keys)
        assert (seen.exit_code, seen.size) == (0, 7)
        assert "first look" in seen.told
        assert state.read_bytes() == note_of(path)
        again = monitor(state, path, keys)
        assert (again.exit_code, again.told) == (0, "consistent: 7 records seen before, 7 now; 0 after them")
    write(path, 3)
    seen = monitor(state, path, KEYS)
    assert (seen.exit_code, seen.told) == (0, "consistent: 7 records seen before, 15 now; 0 after them")
    assert state.read_bytes() == note_of(path)


def test_a_rollback_to_yesterdays_copy_is_found_and_the_proof_is_kept(path: Path, state: Path) -> None:
    shutil.copy(path, path.with_name("yesterday.db"))
    write(path, 1)
    assert monitor(state, path, KEYS).exit_code == 0
    proof = state.read_bytes()
    shutil.copy(path.with_name("yesterday.db"), path)
    for _ in range(2):
        seen = monitor(state, path, KEYS)
        assert (seen.exit_code, seen.size) == (1, 11)
        assert "rolled back" in seen.told
    assert state.read_bytes() == proof


def test_a_fork_is_found_though_whoever_made_it_has_the_key(path: Path, state: Path, tmp_path: Path) -> None:
    fork = tmp_path / "fork"
    fork.mkdir()
    for name in ("x.db", "signer.state"):
        shutil.copy(tmp_path / name, fork / name)
    write(path, 1)
    write(fork / "x.db", 1)
    write(fork / "x.db", 1)
    assert monitor(state, path, KEYS).exit_code == 0
    seen = monitor(state, fork / "x.db", KEYS)
    assert seen.exit_code == 1
    assert "forked" in seen.told


def test_another_tree_under_the_same_checkpoint_is_found(path: Path, state: Path) -> None:
    assert monitor(state, path).exit_code == 0
    body = rows(path, "SELECT body FROM ledger_record WHERE seq = 3")[0][0]
    attack(path, ("UPDATE ledger_record SET body = ? WHERE seq = 3", (body.replace(b"answered", b"answereD"),)))
    recompute(path)
    assert monitor(state, path).exit_code == 1


@pytest.mark.parametrize(
    ("note", "code", "why"),
    [
        (b"junk", 1, "isn't one"),
        (KEY.sign_note(Checkpoint(ORIGIN, 99, bytes(32)).text).to_bytes(), 1, "another size"),
        (KEY.sign_note(Checkpoint(ORIGIN, 7, bytes(32)).text).to_bytes(), 1, "forked"),
        (KEY.sign_note(Checkpoint("b", 7, bytes(32)).text).to_bytes(), 1, "another log"),
        (NEXT.sign_note(Checkpoint(ORIGIN, 7, bytes(32)).text).to_bytes(), 2, "isn't signed by a key"),
    ],
)
def test_a_newest_checkpoint_that_lies_is_not_kept(path: Path, state: Path, note: bytes, code: int, why: str) -> None:
    attack(path, ("UPDATE ledger_checkpoint SET note = ?", (note,)))
    seen = monitor(state, path, KEYS)
    assert (seen.exit_code, seen.size) == (code, None)
    assert why in seen.told
    assert not state.exists()


def test_a_forged_signature_is_a_fork(path: Path, state: Path) -> None:
    forged = note_of(path).replace(b"\n7\n", b"\n6\n")
    attack(path, ("UPDATE ledger_checkpoint SET note = ?, size = 6", (forged,)))
    assert "a signature that isn't its key's" in monitor(state, path, KEYS).told


def test_another_log_in_its_place_is_found(path: Path, state: Path) -> None:
    other = KEY.sign_note(Checkpoint("b", 2, bytes(32)).text).to_bytes()
    state.write_bytes(other)
    seen = monitor(state, path, KEYS)
    assert (seen.exit_code, seen.size) == (1, 2)
    assert "'b' was seen" in seen.told


def test_without_a_checkpoint_there_is_nothing_to_keep_or_it_was_dropped(
    path: Path, state: Path, tmp_path: Path
) -> None:
    plain = ledger_at(tmp_path / "plain.db")
    plain.open()
    plain.close()
    assert monitor(state, tmp_path / "plain.db").exit_code == 2
    assert monitor(state, path).exit_code == 0
    attack(path, "DELETE FROM ledger_checkpoint")
    assert monitor(state, path).exit_code == 1


def test_a_missing_head_or_line_of_the_log_is_a_fork(path: Path, state: Path) -> None:
    attack(path, "DELETE FROM ledger_head")
    assert monitor(state, path).exit_code == 1
    attack(path, "DELETE FROM ledger_log")
    assert monitor(state, path).exit_code == 1


@pytest.mark.parametrize("what", [b"", b"junk", b"\xff", KEY.sign_note("a\n").to_bytes()])
def test_a_state_that_is_none_is_unusable(path: Path, state: Path, what: bytes) -> None:
    state.write_bytes(what)
    assert monitor(state, path).exit_code == 3


def test_a_state_signed_by_nobody_known_is_unusable(path: Path, state: Path) -> None:
    assert monitor(state, path).exit_code == 0
    assert monitor(state, path, [NEXT.verifier]).exit_code == 3
    state.write_bytes(note_of(path).replace(b"\n7\n", b"\n3\n"))
    assert monitor(state, path, KEYS).exit_code == 3


def test_what_cannot_be_read_or_kept_is_unusable(path: Path, state: Path, tmp_path: Path) -> None:
    assert monitor(state, tmp_path / "none.db").exit_code == 3
    assert monitor(tmp_path / "none" / "seen", path).exit_code == 3
    state.mkdir()
    assert monitor(state, path).exit_code == 3
    (tmp_path / "cut.db").write_bytes(path.read_bytes()[:20_000])
    assert monitor(tmp_path / "other", tmp_path / "cut.db").exit_code == 3


def test_a_damaged_column_is_unusable(path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaged(SqliteSource):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            return super().execute(sql.replace("SELECT size, note", "SELECT size, 5"), *arguments)

    monkeypatch.setattr("failsoft.ledger.sqlite.read.connect", lambda ledger: sqlite3.connect(ledger, factory=Damaged))
    seen = monitor(state, path)
    assert (seen.exit_code, "can't be read" in seen.told) == (3, True)


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger_head SET size = 5.0", "UPDATE ledger_checkpoint SET note = 'text'"]
)
def test_a_table_that_was_made_anew_is_unusable(path: Path, state: Path, statement: str) -> None:
    """One that takes anything: what it holds is of another kind than the ledger's."""
    connection = sqlite3.connect(path, isolation_level=None)
    for table in ("ledger_head", "ledger_checkpoint"):
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(f"CREATE TABLE anew AS SELECT * FROM {table}")
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"ALTER TABLE anew RENAME TO {table}")
    connection.execute(statement)
    connection.close()
    assert monitor(state, path, KEYS).exit_code == 3


def test_what_was_seen_may_be_cut_out_of_an_anchor_file(path: Path, state: Path) -> None:
    FileAnchor(state).put(note_of(path))
    write(path, 1)
    assert monitor(state, path, KEYS).told.startswith("consistent")
    FileAnchor(state).put(note_of(path))  # two are none
    assert monitor(state, path, KEYS).exit_code == 3


class TestKeysThatAreReplaced:
    """A thief of the former key signs with it; the monitor has both."""

    both = (KEY.verifier, NEXT.verifier)

    def handed_over(self, path: Path, former: SigningKey = KEY, to: SigningKey = NEXT) -> None:
        rotate(path, signing_in(path.parent, former), to, clock=SystemClock(), actor="jdoe", why="stolen")

    def signed_by(self, path: Path, key: SigningKey) -> None:
        """The newest checkpoint, by this key alone: of the very tree."""
        text = Note.parse(note_of(path)).text
        size = Checkpoint.parse(text).size
        note = key.sign_note(text).to_bytes()
        attack(path, ("UPDATE ledger_checkpoint SET note = ? WHERE size = ?", (note, size)))

    def test_the_new_key_goes_on_from_what_the_former_one_signed(self, path: Path, state: Path) -> None:
        third = SigningKey(ORIGIN, bytes(range(2, 34)))
        every = (*self.both, third.verifier)
        assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        write(path, 1, key=NEXT)
        self.handed_over(path, NEXT, third)
        write(path, 1, key=third)
        assert monitor(state, path, every).exit_code == 0
        assert monitor(state, path, every).exit_code == 0
        write(path, 1, key=third)
        assert monitor(state, path, every).exit_code == 0
        assert monitor(state, path, [third.verifier]).exit_code == 0

    @pytest.mark.parametrize("looked", ["before", "after", "later", "never"])
    def test_a_checkpoint_of_the_former_key_alone_is_a_fork(self, path: Path, state: Path, looked: str) -> None:
        for moment, act in (
            ("before", lambda: self.handed_over(path)),
            ("after", lambda: write(path, 1, key=NEXT)),
            ("later", lambda: write(path, 1, key=NEXT)),
        ):
            if looked == moment:
                assert monitor(state, path, KEYS if looked == "before" else self.both).exit_code == 0
            act()
        kept = state.read_bytes() if state.exists() else None
        self.signed_by(path, KEY)
        seen = monitor(state, path, self.both)
        assert seen.exit_code == 1
        assert (state.read_bytes() if state.exists() else None) == kept
        assert "that handed the log over in record" in seen.told

    def test_what_is_kept_of_a_handover_is_the_new_keys_signature(self, path: Path, state: Path) -> None:
        self.handed_over(path)
        assert len(Note.parse(note_of(path)).signatures) == 2
        assert monitor(state, path, self.both).exit_code == 0
        assert open_checkpoint(state.read_bytes(), self.both).by == (NEXT.verifier,)

    def test_what_an_older_failsoft_kept_of_it_counts_as_the_new_keys(self, path: Path, state: Path) -> None:
        self.handed_over(path)
        state.write_bytes(note_of(path))
        write(path, 1, key=NEXT)
        self.signed_by(path, KEY)
        assert "that handed the log over in record" in monitor(state, path, self.both).told

    def test_who_has_the_former_key_only_is_told_to_get_the_new_one(self, path: Path, state: Path) -> None:
        assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        seen = monitor(state, path, KEYS)
        assert (seen.exit_code, "to another key than those that you gave" in seen.told) == (2, True)

    def test_the_former_key_must_have_signed_its_handover(self, path: Path, state: Path) -> None:
        assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        self.signed_by(path, NEXT)
        seen = monitor(state, path, self.both)
        assert (seen.exit_code, "the handover in record 8 isn't finished" in seen.told) == (2, True)
        write(path, 1, key=NEXT)
        seen = monitor(state, path, self.both)
        assert (seen.exit_code, "no checkpoint of the key before covers it" in seen.told) == (1, True)

    @pytest.mark.parametrize("note", ["none", "of another size", "of another log", "forged"])
    def test_a_checkpoint_of_the_handover_that_is_none_is_a_fork(self, path: Path, state: Path, note: str) -> None:
        assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        both = Note.parse(note_of(path))
        size = Checkpoint.parse(both.text).size
        other = Checkpoint(
            "another" if note == "of another log" else ORIGIN, size - (note == "of another size"), bytes(32)
        )
        lines = [line for key in (KEY, NEXT) for line in key.sign_note(other.text).signatures]
        bad = Signature(NEXT.name, NEXT.verifier.id, bytes(64))
        spoilt = {
            "none": b"none",
            "forged": Note(both.text, (*both.signatures, bad)).to_bytes(),
        }.get(note, Note(other.text, tuple(lines)).to_bytes())
        write(path, 1, key=NEXT)
        attack(path, ("UPDATE ledger_checkpoint SET note = ? WHERE size = ?", (spoilt, size)))
        seen = monitor(state, path, self.both)
        assert (seen.exit_code, "the stored checkpoint of 10 records" in seen.told) == (1, True)

    def test_a_witness_joins_nothing(self, path: Path, state: Path) -> None:
        """It saw both: that says nothing of who may speak for the log."""
        witness = SigningKey("witness.example", bytes(range(32, 64)))
        seen = VerifierKey(witness.name, COSIGNATURE, witness.verifier.public)

        def cosigned(data: bytes) -> bytes:
            note = Note.parse(data)
            signature = bytes(8) + witness.sign(f"cosignature/v1\ntime 0\n{note.text}".encode())
            return Note(note.text, (*note.signatures, Signature(witness.name, seen.id, signature))).to_bytes()

        attack(path, ("UPDATE ledger_checkpoint SET note = ?", (cosigned(note_of(path)),)))
        assert monitor(state, path, [KEY.verifier, seen]).exit_code == 0
        self.handed_over(path)
        self.signed_by(path, NEXT)
        attack(path, ("UPDATE ledger_checkpoint SET note = ? WHERE size > 7", (cosigned(note_of(path)),)))
        assert "the handover in record 8 isn't finished" in monitor(state, path, [*self.both, seen]).told

    @pytest.mark.parametrize("body", [None, b"{}"])
    def test_a_record_of_a_handover_that_was_changed_is_a_fork(
        self, path: Path, state: Path, body: bytes | None
    ) -> None:
        self.handed_over(path)
        attack(path, ("UPDATE ledger_record SET body = ? WHERE type = 'key.rotated' AND seq > 5", (body,)))
        seen = monitor(state, path, self.both)
        assert (seen.exit_code, seen.told.startswith("record 8: its bytes ")) == (1, True)

    def test_a_log_that_was_signed_from_some_record_on_was_handed_over_from_nobody(
        self, tmp_path: Path, state: Path
    ) -> None:
        plain = ledger_at(tmp_path / "x.db")
        plain.open()
        plain.close()
        write(tmp_path / "x.db", 1)
        assert monitor(state, tmp_path / "x.db", KEYS).exit_code == 0

    def test_a_key_that_came_back_speaks_again(self, path: Path, state: Path) -> None:
        self.handed_over(path)
        self.handed_over(path, NEXT, KEY)
        write(path, 1)
        assert monitor(state, path, self.both).exit_code == 0

    def fork(self, path: Path) -> Path:
        """A copy of what there is, on which a thief of the key writes on."""
        forked = path.with_name("thiefs") / "x.db"
        forked.parent.mkdir()
        with closing(sqlite3.connect(path)) as ours, closing(sqlite3.connect(forked)) as theirs:
            ours.backup(theirs)
        forked.with_name("signer.state").write_bytes(path.with_name("signer.state").read_bytes())
        return forked

    def appended(self, path: Path) -> None:
        """By the thief, after a handover: head and checkpoint are the former key's alone."""
        with read(path) as reader:
            head = Checkpoint(ORIGIN, reader.size, reader.root).head
        attack(path, ("UPDATE ledger_head SET sig = ?", (KEY.sign(head),)))
        write(path, 1)

    def test_a_log_that_was_taken_back_to_before_its_handover(self, path: Path, state: Path) -> None:
        """The auditor heard of it: that the new key signed nothing is no extension to be kept."""
        assert monitor(state, path, KEYS).exit_code == 0
        forked, kept = self.fork(path), state.read_bytes()
        self.handed_over(path)
        both = note_of(path)
        size = Checkpoint.parse(Note.parse(both).text).size
        write(forked, 3)
        seen = monitor(state, forked, self.both)
        assert (seen.exit_code, f"+{NEXT.verifier.id.hex()} signed nothing here" in seen.told) == (2, True)
        attack(forked, ("INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?)", (size, both)))  # the other log's
        assert monitor(state, forked, self.both).exit_code == 1
        text = Note.parse(both).text
        alone = NEXT.sign_note(text).to_bytes()
        attack(forked, ("UPDATE ledger_checkpoint SET note = ? WHERE size = ?", (alone, size)))
        assert monitor(state, forked, self.both).exit_code == 1
        assert state.read_bytes() == kept
        assert monitor(state, path, self.both).exit_code == 0

    def test_a_key_to_come_isnt_given_yet(self, path: Path, state: Path) -> None:
        seen = monitor(state, path, self.both)
        assert (seen.exit_code, state.exists()) == (2, False)
        assert "if the log will be handed over to it, give it from then on" in seen.told

    def test_keys_that_were_replaced_before_are_given_on(self, path: Path, state: Path) -> None:
        self.handed_over(path)
        write(path, 1, key=NEXT)
        assert monitor(state, path, [NEXT.verifier]).exit_code == 0
        write(path, 1, key=NEXT)
        assert monitor(state, path, self.both).exit_code == 0

    def test_what_is_kept_has_no_signature_of_a_replaced_key_that_isnt_at_hand(self, path: Path, state: Path) -> None:
        self.handed_over(path)
        assert monitor(state, path, [NEXT.verifier]).exit_code == 0
        assert [line.is_of(NEXT.verifier) for line in Note.parse(state.read_bytes()).signatures] == [True]

    @pytest.mark.parametrize("looked", ["before", "never"])
    @pytest.mark.parametrize(
        "how",
        ["UPDATE ledger_record SET type = 'case.event'", "UPDATE ledger_record SET type = 'call.started', body = NULL"],
    )
    def test_a_handover_that_a_row_hides(self, path: Path, state: Path, looked: str, how: str) -> None:
        """A record without its bytes says nothing: then the signatures tell."""
        if looked == "before":
            assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        forked = self.fork(path)
        self.appended(forked)
        attack(forked, f"{how} WHERE type = 'key.rotated'")
        seen = monitor(state, forked, self.both)
        assert seen.exit_code == 1
        if "NULL" in how:
            assert seen.told == "record 8: its bytes are missing, and no record says that it was pruned"
        else:
            assert seen.told == "the head isn't signed by the log's key: somebody without it wrote, or cut"

    def test_a_hidden_handover_whose_checkpoint_was_taken_out(self, path: Path, state: Path) -> None:
        """The former key goes on from the new one's at a first look: no record says so."""
        self.handed_over(path)
        write(path, 1, key=NEXT)
        self.appended(path)
        attack(
            path,
            "UPDATE ledger_record SET type = 'call.started', body = NULL WHERE type = 'key.rotated'",
            "DELETE FROM ledger_checkpoint WHERE size <= 10",
        )
        assert [len(Note.parse(note).signatures) for (note,) in rows(path, "SELECT note FROM ledger_checkpoint")] == [
            1,
            1,
        ]
        assert monitor(state, path, self.both).exit_code == 1

    def test_records_that_arent_those_of_the_checkpoint(self, path: Path, state: Path) -> None:
        """A head and a checkpoint that fit each other say nothing of rows."""
        body = rows(path, "SELECT body FROM ledger_record WHERE seq = 3")[0][0] + b" "
        attack(path, ("UPDATE ledger_record SET body = ?, leaf = ? WHERE seq = 3", (body, leaf_hash(body))))
        seen = monitor(state, path, KEYS)
        told = "record 6: the log up to here isn't the one that its stored checkpoint states"
        assert (seen.exit_code, seen.told) == (1, told)

    @pytest.mark.parametrize("looked", ["before", "after", "never"])
    def test_a_key_doesnt_come_back_by_its_own_word(self, path: Path, state: Path, looked: str) -> None:
        if looked == "before":
            assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        if looked == "after":
            assert monitor(state, path, self.both).exit_code == 0
        self.handed_over(path, NEXT, KEY)
        self.signed_by(path, KEY)
        write(path, 1)
        seen = monitor(state, path, self.both)
        assert (seen.exit_code, "no checkpoint of the key before covers it" in seen.told) == (1, True)

    def test_a_former_key_isnt_led_to_by_a_signature_beside_the_new_ones(self, path: Path, state: Path) -> None:
        """Of a checkpoint that it adds its own to, after the handover that was seen before."""
        self.handed_over(path)
        write(path, 1, key=NEXT)
        assert monitor(state, path, self.both).exit_code == 0
        write(path, 1, key=NEXT)
        note = Note.parse(note_of(path))
        both = Note(note.text, (*note.signatures, *KEY.sign_note(note.text).signatures)).to_bytes()
        size = Checkpoint.parse(note.text).size
        attack(path, ("UPDATE ledger_checkpoint SET note = ? WHERE size = ?", (both, size)))
        assert monitor(state, path, self.both).exit_code == 0  # it's the new key's, whoever else signed it
        assert open_checkpoint(state.read_bytes(), self.both).by == (NEXT.verifier,)
        self.appended(path)
        seen = monitor(state, path, self.both)
        assert (seen.exit_code, "the head isn't signed by the log's key" in seen.told) == (1, True)

    @pytest.mark.parametrize("looked", ["before", "never"])
    def test_a_hidden_handover_whose_checkpoint_lost_the_former_signature(
        self, path: Path, state: Path, looked: str
    ) -> None:
        if looked == "before":
            assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        self.signed_by(path, NEXT)
        attack(path, f"UPDATE ledger_record SET type = 'call.started', {BARE} WHERE type = 'key.rotated' AND seq > 5")
        self.appended(path)
        assert monitor(state, path, self.both).exit_code == 1

    def taken_back(self, path: Path) -> None:
        """A handover back, by the former key's own word."""
        with read(path) as reader:
            checkpoint = Checkpoint(ORIGIN, reader.size, reader.root)
        attack(path, ("UPDATE ledger_head SET sig = ?", (KEY.sign(checkpoint.head),)))
        path.with_name("thief.state").write_text(checkpoint.text)
        file = LedgerFile(path, signer=Signer(KEY, path.with_name("thief.state")))
        file.open(list)
        emitter = Emitter(ORIGIN, SystemClock(), os.urandom)
        drafts = [
            draft.emitter_opened("h", 1, {"a": "b"}),
            draft.key_rotated(str(NEXT.verifier), str(KEY.verifier)),
            draft.gap_declared("forged", 1),
            draft.emitter_closed(3),
        ]
        file.append([emitter.build(each, 0, 0) for each in drafts])
        file.publish()
        file.close()

    def test_a_former_key_doesnt_take_the_log_back_where_the_handovers_checkpoint_was_taken_out(
        self, path: Path, state: Path
    ) -> None:
        assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        write(path, 1, key=NEXT)
        attack(path, "DELETE FROM ledger_checkpoint WHERE size = 10")
        self.taken_back(path)
        assert monitor(state, path, self.both).exit_code == 1

    @pytest.mark.parametrize("looked", [False, True])
    def test_who_has_the_former_key_only_doesnt_take_its_word_for_that_it_came_back(
        self, path: Path, state: Path, looked: bool
    ) -> None:
        if looked:
            assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        write(path, 1, key=NEXT)
        self.taken_back(path)
        seen = monitor(state, path, KEYS)
        assert (seen.exit_code, "are of a key that you didn't give" in seen.told) == (2, True)

    def test_a_handover_that_is_finished_twice_is_the_new_keys(self, path: Path, state: Path) -> None:
        """Interrupted after its checkpoint, and gone on with by another host, which was killed before it signed one."""
        self.handed_over(path)
        assert monitor(state, path, self.both).exit_code == 0
        ledger = signed_ledger(path, key=NEXT)
        ledger.open()
        settled(call(ledger, "c1")[1])
        ledger._appender.publisher = None
        ledger.close()
        self.handed_over(path)
        assert [line.id for line in Note.parse(note_of(path)).signatures] == [NEXT.verifier.id, KEY.verifier.id]
        assert monitor(state, path, self.both).exit_code == 0
        assert open_checkpoint(state.read_bytes(), self.both).by == (NEXT.verifier,)
        write(path, 1, key=NEXT)
        assert monitor(state, path, self.both).exit_code == 0

    @pytest.mark.parametrize("hashes_only", [False, True])
    def test_a_handover_from_a_key_that_isnt_the_logs_is_tampering(self, path: Path, hashes_only: bool) -> None:
        """The one before it was hidden: by what it says itself it'd be a key's that was never the log's."""
        third = SigningKey(ORIGIN, bytes(range(2, 34)))
        self.handed_over(path)
        self.handed_over(path, NEXT, third)
        attack(path, f"UPDATE ledger_record SET type = 'call.started', {BARE} WHERE type = 'key.rotated' AND seq = 8")
        found = verify(path, hashes_only=hashes_only)
        assert "it rotates from a key that isn't the log's" in [each.what for each in found.problems]

    @pytest.mark.parametrize("records", [0, 2])
    def test_a_head_that_the_former_key_signed_is_found_though_all_was_well_before(
        self, path: Path, state: Path, records: int
    ) -> None:
        self.handed_over(path)
        write(path, 1, key=NEXT)
        assert monitor(state, path, self.both).exit_code == 0
        with read(path) as reader:
            checkpoint = Checkpoint(ORIGIN, reader.size, reader.root)
        attack(path, ("UPDATE ledger_head SET sig = ?", (KEY.sign(checkpoint.head),)))
        if records:
            path.with_name("thief.state").write_text(checkpoint.text)
            file = LedgerFile(path, signer=Signer(KEY, path.with_name("thief.state")))
            file.open(list)
            emitter = Emitter(ORIGIN, SystemClock(), os.urandom)
            drafts = [draft.emitter_opened("h", 1, {"a": "b"}), draft.emitter_closed(1)]
            file.append([emitter.build(each, 0, 0) for each in drafts])
            file.close()
        seen = monitor(state, path, self.both)
        assert (seen.exit_code, "the head isn't signed by the log's key" in seen.told) == (1, True)

    @pytest.mark.parametrize(
        "what",
        [
            "UPDATE ledger_head SET sig = x'00'",
            "UPDATE ledger_head SET sig = NULL",
            "UPDATE ledger_log SET format = '99'",
            "INSERT INTO ledger_subtree VALUES (900, zeroblob(32))",
        ],
    )
    def test_what_stands_beside_the_records_is_looked_at_each_time(self, path: Path, state: Path, what: str) -> None:
        assert monitor(state, path, KEYS).exit_code == 0
        attack(path, what)
        assert monitor(state, path, KEYS).exit_code == 1

    @pytest.mark.parametrize("note", ["none", "of another log", "forged"])
    def test_a_checkpoint_since_then_that_is_none_is_a_fork(self, path: Path, state: Path, note: str) -> None:
        assert monitor(state, path, KEYS).exit_code == 0
        write(path, 1)
        with read(path) as reader:
            root = reader.root_at(9)
        forged = Note(Checkpoint(ORIGIN, 9, root).text, (Signature(KEY.name, KEY.verifier.id, bytes(64)),)).to_bytes()
        another = SigningKey("another", bytes(32)).sign_note(Checkpoint("another", 9, root).text).to_bytes()
        spoilt = {"none": b"none", "forged": forged, "of another log": another}[note]
        attack(path, ("INSERT INTO ledger_checkpoint (size, note) VALUES (9, ?)", (spoilt,)))
        assert monitor(state, path, KEYS).exit_code == 1

    @pytest.mark.parametrize("key", [KEY, SigningKey(ORIGIN, bytes(32))])
    def test_a_checkpoint_since_then_of_another_tree_is_a_fork(self, path: Path, state: Path, key: SigningKey) -> None:
        assert monitor(state, path, KEYS).exit_code == 0
        write(path, 1)
        other = key.sign_note(Checkpoint(ORIGIN, 9, bytes(32)).text).to_bytes()
        attack(path, ("INSERT INTO ledger_checkpoint (size, note) VALUES (9, ?)", (other,)))
        seen = monitor(state, path, KEYS)
        assert (seen.exit_code, "isn't the one that its stored checkpoint states" in seen.told) == (1, True)

    @pytest.mark.parametrize("how", ["body = x'20'", f"type = 'call.started', {BARE}"])
    def test_a_record_since_then_that_was_changed_is_a_fork(self, path: Path, state: Path, how: str) -> None:
        assert monitor(state, path, KEYS).exit_code == 0
        write(path, 1)
        attack(path, f"UPDATE ledger_record SET {how} WHERE seq = 8")
        seen = monitor(state, path, KEYS)
        assert (seen.exit_code, seen.told.startswith("record 8: its bytes ")) == (1, True)

    def test_a_key_that_was_away_since_then_goes_on_as_a_verification_says(self, path: Path, state: Path) -> None:
        """It signed all that's seen of it: that the log was another's meanwhile stands in the records alone."""
        assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        self.handed_over(path, NEXT, KEY)
        write(path, 1)
        found = verify(path, keys=KEYS, checkpoints=[state.read_bytes()], hashes_only=True)
        assert found.exit_code == 2
        assert monitor(state, path, KEYS).exit_code == found.exit_code

    def test_a_state_that_a_key_signed_too_which_isnt_given_is_no_state_of_one_key(
        self, path: Path, state: Path
    ) -> None:
        self.handed_over(path)
        state.write_bytes(note_of(path))
        self.appended(path)
        seen = monitor(state, path, KEYS)
        assert (seen.exit_code, "are of a key that you didn't give" in seen.told) == (2, True)

    def test_guards_that_are_gone_are_told_at_a_first_look(self, path: Path, state: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TRIGGER ledger_record_no_delete")
        seen = monitor(state, path, KEYS)
        assert (seen.exit_code, "ledger_record_no_delete" in seen.told) == (1, True), seen

    def test_what_a_key_signed_of_another_tree_is_nothing_that_it_signed_here(self, path: Path, state: Path) -> None:
        self.handed_over(path)
        assert monitor(state, path, [NEXT.verifier]).exit_code == 0
        write(path, 1, key=NEXT)
        elsewhere = KEY.sign_note(Checkpoint(ORIGIN, 7, bytes(32)).text).to_bytes()
        attack(path, "DELETE FROM ledger_checkpoint WHERE size = 10")
        attack(path, ("UPDATE ledger_checkpoint SET note = ? WHERE size = 7", (elsewhere,)))
        assert monitor(state, path, [NEXT.verifier]).exit_code == 0
        assert monitor(state, path, self.both).exit_code == 1

    def test_what_was_seen_before_is_gone_on_from_by_what_is_new(
        self, path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.handed_over(path)
        assert monitor(state, path, self.both).exit_code == 0
        write(path, 1, key=NEXT)
        monkeypatch.setattr(Hashes, "check", None)  # which reads all
        assert monitor(state, path, self.both).exit_code == 0

    @pytest.mark.parametrize("hidden", [False, True])
    def test_a_handover_whose_checkpoint_is_signed_by_both_twice(self, path: Path, state: Path, hidden: bool) -> None:
        """As where `keys rotate` is run again by somebody who still has both."""
        assert monitor(state, path, KEYS).exit_code == 0
        self.handed_over(path)
        write(path, 1, key=NEXT)
        text = Note.parse(note_of(path)).text
        both = Note(text, (*NEXT.sign_note(text).signatures, *KEY.sign_note(text).signatures)).to_bytes()
        attack(path, ("UPDATE ledger_checkpoint SET note = ? WHERE size = ?", (both, Checkpoint.parse(text).size)))
        forked = self.fork(path)
        write(path, 1, key=NEXT)
        self.appended(forked)
        if hidden:
            attack(forked, "UPDATE ledger_record SET type = 'call.started', body = NULL WHERE type = 'key.rotated'")
        assert monitor(state, forked, self.both).exit_code == 1
        assert monitor(state, path, self.both).exit_code == 0

    def test_a_first_look_needs_no_key_in_between(self, path: Path, state: Path) -> None:
        third = SigningKey(ORIGIN, bytes(range(2, 34)))
        self.handed_over(path)
        write(path, 1, key=NEXT)
        self.handed_over(path, NEXT, third)
        write(path, 1, key=third)
        assert monitor(state, path, [KEY.verifier, third.verifier]).exit_code == 0

    def test_what_another_logs_key_signed_leads_to_nobody(self, path: Path, state: Path) -> None:
        other = SigningKey("example.com/another", bytes(range(4, 36)))
        state.write_bytes(other.sign_note(Note.parse(note_of(path)).text).to_bytes())
        write(path, 1)
        seen = monitor(state, path, [KEY.verifier, other.verifier])
        assert (seen.exit_code, "isn't signed by a key of the log that you gave" in seen.told) == (2, True)

    def test_what_says_the_word_elsewhere_hands_nothing_over(self, path: Path, state: Path) -> None:
        file = LedgerFile(path, signer=Signer(KEY, path.with_name("signer.state")))
        file.open(list)
        emitter = Emitter(ORIGIN, SystemClock(), os.urandom)
        drafts = [
            draft.emitter_opened("h", 1, {"a": "b"}),
            draft.gap_declared("key.rotated", 1),
            draft.emitter_closed(2),
        ]
        file.append([emitter.build(each, 0, 0) for each in drafts])
        file.publish()
        file.close()
        assert monitor(state, path, KEYS).exit_code == 0
