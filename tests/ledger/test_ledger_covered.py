"""What a verifier with a key, pins and checkpoints finds: the threat model's columns, and what the verifier demands."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from ledgers import SystemClock, call, ledger_at, rows, settled, started
from signing import KEY, NEXT, ORIGIN, attack, signed_ledger, signing_in, write
from tests.independent.agreeing import by_both as verify
from tests.logs import START, Log

from failsoft.errors import ConfigurationError, LedgerInvalid
from failsoft.ledger.acts.rotation import rotate
from failsoft.ledger.checkpoints import opening
from failsoft.ledger.checkpoints.anchors import Anchor, CommandAnchor, FileAnchor, notes_in
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.format.note import COSIGNATURE, Checkpoint, Note, Signature, VerifierKey
from failsoft.ledger.keys.ed25519 import SigningKey, open_checkpoint
from failsoft.ledger.read import read
from failsoft.ledger.reading.attest import attest
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Draft, Emitter
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.sqlite.store import LedgerFile
from failsoft.ledger.store import OF_CALLS
from failsoft.ledger.verification.monitor import monitor
from failsoft.ledger.verify import Verification
from failsoft.ledger.verify import verify as by_ours

KEYS = [KEY.verifier]
STRANGER = SigningKey(ORIGIN, bytes(reversed(range(32))))
WITNESS = SigningKey("witness.example.com/w1", bytes(range(32, 64)))


def as_witness(key: SigningKey) -> VerifierKey:
    return VerifierKey(key.name, COSIGNATURE, key.verifier.public)


WITNESS_KEY = as_witness(WITNESS)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lives of a process: a checkpoint at the end of each, calls before and between."""
    path = tmp_path_factory.mktemp("signed") / "x.db"
    write(path, 3)
    write(path, 3)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    for name in ("x.db", "signer.state"):
        shutil.copy(original.parent / name, tmp_path / name)
    return tmp_path / "x.db"


def notes_of(path: Path) -> list[bytes]:
    return [note for (note,) in rows(path, "SELECT note FROM ledger_checkpoint ORDER BY size")]


def told(found: Verification) -> str:
    return "; ".join(map(str, found.problems))


# --- what is said of a whole ledger -----------------------------------------------------------------------------------------


def test_without_a_key_it_is_self_consistent_and_never_verified(path: Path) -> None:
    found = verify(path)
    assert (found.exit_code, found.verdict) == (0, "self-consistent")
    assert not any("covered" in line or "verified" in line for line in found.summary())


def test_with_the_key_it_is_verified_and_says_how_far(path: Path) -> None:
    found = verify(path, keys=KEYS)
    assert (found.exit_code, found.verdict, found.covered, found.head_signed) == (0, "verified", 17, True)
    assert "covered by checkpoint 17 of 17; tail 0, under the signed head" in found.summary()


def test_a_tail_after_the_last_checkpoint_is_under_the_signed_head(path: Path) -> None:
    ledger = signed_ledger(path)
    ledger.open()
    settled(call(ledger, "late")[1])
    found = verify(path, keys=KEYS)
    ledger.close()
    assert found.exit_code == 0
    assert "covered by checkpoint 17 of 20; tail 3, under the signed head" in found.summary()


def test_a_pinned_checkpoint_is_a_pin_with_or_without_a_key(path: Path) -> None:
    first, last = notes_of(path)
    assert verify(path, checkpoints=[first]).verdict.startswith("unchanged up to the pin at 9")
    assert verify(path, checkpoints=[first, last], keys=KEYS).verdict == "verified"
    assert verify(path, checkpoints=[first], pins=[(17, verify(path).root)]).pinned == 17


def test_an_unsigned_ledger_covers_nothing(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "x.db")
    ledger.open()
    ledger.close()
    found = verify(tmp_path / "x.db", keys=KEYS)
    assert (found.exit_code, found.verdict) == (2, "incomplete")
    assert "signed nothing here" in told(found)


def test_a_log_that_was_signed_later_is_covered_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    plain = ledger_at(path)
    plain.open()
    plain.close()
    write(path, 1)
    assert verify(path, keys=KEYS).verdict == "verified"


def test_a_signed_head_without_a_checkpoint_is_not_enough(tmp_path: Path) -> None:
    ledger = signed_ledger(tmp_path / "x.db")
    ledger.open()
    settled(call(ledger, "c")[1])
    found = verify(tmp_path / "x.db", keys=KEYS)
    ledger.close()
    assert (found.exit_code, found.covered) == (2, None)
    assert "no checkpoint is signed" in told(found)
    assert {each.index for each in found.problems} == {None}


def test_each_given_key_must_have_been_used(path: Path) -> None:
    for other in (STRANGER.verifier, WITNESS_KEY, SigningKey("b", bytes(32)).verifier):
        found = verify(path, keys=[KEY.verifier, other])
        assert found.exit_code == 2
        assert f"the key {other.name}+{other.id.hex()} signed nothing here" in told(found)
    assert verify(path, keys=[KEY.verifier, KEY.verifier]).exit_code == 0


def test_only_a_strangers_key_verifies_nothing(path: Path) -> None:
    found = verify(path, keys=[STRANGER.verifier])
    assert (found.exit_code, found.covered) == (2, None)


def witnessed(note: bytes, *times: int, by: SigningKey = WITNESS) -> bytes:
    parsed = Note.parse(note)
    lines = [
        Signature(
            by.name,
            as_witness(by).id,
            each.to_bytes(8, "big") + by.sign(f"cosignature/v1\ntime {each}\n{parsed.text}".encode()),
        )
        for each in times
    ]
    return Note(parsed.text, (*parsed.signatures, *lines)).to_bytes()


def test_a_witness_says_by_when_records_were_there(path: Path) -> None:
    (latest,) = rows(path, "SELECT max(ts) FROM ledger_record")[0]
    last = int(datetime.fromisoformat(latest).timestamp())
    both, first = [KEY.verifier, WITNESS_KEY], notes_of(path)[0]
    early, late = (datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for each in (last - 61, last + 5))
    for given, seen, ahead in (
        ([last + 5], late, False),
        ([last - 60], None, False),
        ([last - 61], early, True),
        ([last + 5, last - 61], early, True),
        ([2**64 - 1], "9999-12-31T23:59:59Z", False),
    ):
        found = verify(path, keys=both, checkpoints=[witnessed(notes_of(path)[-1], *given), witnessed(first, last + 9)])
        assert (found.exit_code, found.verdict, found.witnesses) == (0, "verified", 1)
        assert seen is None or found.seen == seen
        assert f"cosigned by 1 of the witnesses that you gave, first at {found.seen}" in " ".join(found.summary())
        said = (
            f"one of the first 17 records says {latest}, and a witness saw it at {seen}: its clock was ahead, or the witness's "
            "behind, or one of them lies"
        )
        assert found.notes == ((said,) if ahead else ())
    found = verify(path, keys=both, checkpoints=[witnessed(first, 9)])
    assert (found.exit_code, found.witnesses, found.seen, len(found.notes)) == (0, 0, None, 1)
    assert "first 9 records" in found.notes[0]


def test_the_latest_time_counts_though_the_clock_stepped_back_since(tmp_path: Path) -> None:
    log = Log(tmp_path / "x.db", KEY)
    for second in (5000, 1, 2):
        log.first.tell(Kind.CASE_EVENT, second, case={"id": "T"}, date="2026-01-01", event="e", person="p", why="w")
    log.file.publish()
    log.close()
    seen = START // 1_000_000_000 + 100
    (note,) = notes_of(log.path)
    found = verify(log.path, keys=[KEY.verifier, WITNESS_KEY], checkpoints=[witnessed(note, seen)])
    assert [each for each in found.notes if "a witness saw it" in each] != []


def test_what_comes_after_a_witness_saw_the_log_is_not_from_a_day_before(tmp_path: Path) -> None:
    log = Log(tmp_path / "x.db", KEY)
    event: dict[str, Any] = {"case": {"id": "T"}, "date": "2026-01-01", "event": "e", "person": "p", "why": "w"}
    log.first.tell(Kind.CASE_EVENT, 0, **event)
    log.file.publish()
    for second in (3600, 7200, 90_000):
        log.first.tell(Kind.CASE_EVENT, second, **event)
    log.file.publish()
    log.close()
    (first, second), keys = notes_of(log.path), [KEY.verifier, WITNESS_KEY]
    start = int(datetime.fromisoformat(rows(log.path, "SELECT ts FROM ledger_record WHERE seq = 3")[0][0]).timestamp())
    for late, behind in ((86_400, None), (86_401, 3), (90_001, 3)):
        given = [witnessed(first, start + late), witnessed(second, start + 10**6)]
        found = verify(log.path, keys=keys, checkpoints=given)
        said = [each for each in found.notes if "more than a day later" in each]
        assert (found.exit_code, [each[:9] for each in said]) == (0, [] if behind is None else [f"record {behind} "])
    assert said[0].startswith(f"record 3 says {datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%M:%S}.")
    again = [witnessed(first, start + 2 * 86_400), witnessed(second, start)]  # the one before counts, too
    assert "record 3 " in str(verify(log.path, keys=keys, checkpoints=again).notes)


def test_a_witness_alone_covers_nothing_and_beside_the_log_is_counted(path: Path) -> None:
    note = witnessed(notes_of(path)[-1], 9)
    found = verify(path, keys=[KEY.verifier, WITNESS_KEY], checkpoints=[note])
    assert (found.exit_code, found.witnesses) == (0, 1)
    assert any("cosigned by 1 of the witnesses" in each for each in found.summary())
    found = verify(path, keys=[WITNESS_KEY], checkpoints=[note])
    assert (found.exit_code, found.covered) == (2, None)
    attack(path, ("UPDATE ledger_checkpoint SET note = ? WHERE size = 17", (note,)))
    assert verify(path, keys=[KEY.verifier, WITNESS_KEY]).witnesses == 1


def test_a_witness_of_two_names_is_one(path: Path) -> None:
    renamed = SigningKey("witness.example.com/again", bytes(range(32, 64)))
    note = witnessed(witnessed(notes_of(path)[-1], 9), 9, by=renamed)
    found = verify(path, keys=[KEY.verifier, WITNESS_KEY, as_witness(renamed)], checkpoints=[note])
    assert (found.exit_code, found.witnesses) == (0, 1)


def test_witnesses_of_several_copies_of_a_checkpoint_are_counted_together(path: Path) -> None:
    second = SigningKey("witness.example.com/w2", bytes(range(64, 96)))
    note = notes_of(path)[-1]
    given = [witnessed(note, 9), witnessed(note, 7, by=second), witnessed(note, 8)]
    found = verify(path, keys=[KEY.verifier, WITNESS_KEY, as_witness(second)], checkpoints=given)
    assert (found.exit_code, found.witnesses, found.seen) == (0, 2, "1970-01-01T00:00:07Z")


def test_the_logs_own_key_is_no_witness(path: Path) -> None:
    own = SigningKey("witness.example.com/own", bytes(range(32)))
    assert own.verifier.public == KEY.verifier.public
    note = witnessed(notes_of(path)[-1], 9, by=own)
    found = verify(path, keys=[KEY.verifier, as_witness(own)], checkpoints=[note])
    assert (found.exit_code, found.witnesses, found.seen) == (2, 0, None)
    assert "witness.example.com/own" in str(found.problems)
    assert "it's no witness" in str(found.problems)


def test_nobody_saw_a_tree_that_is_another_one(path: Path) -> None:
    forked = KEY.sign_note(Checkpoint(ORIGIN, 17, bytes(32)).text).to_bytes()
    found = verify(path, keys=[KEY.verifier, WITNESS_KEY], checkpoints=[witnessed(forked, 9)])
    assert (found.exit_code, found.witnesses, found.seen) == (1, 0, None)


def test_a_lack_of_memory_is_no_forged_signature(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Ed25519PublicKey, "from_public_bytes", hungry)
    with pytest.raises(MemoryError):
        by_ours(path, keys=KEYS)


def test_without_cryptography_a_key_cannot_be_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(ConfigurationError, match="signing"):
        verify(path, keys=KEYS)
    assert verify(path).exit_code == 0


# --- what a stranger does with a key of their own: the threat model itself stands in test_threat_matrix.py -----------------


def edit(path: Path) -> None:
    body = rows(path, "SELECT body FROM ledger_record WHERE seq = 3")[0][0]
    attack(path, ("UPDATE ledger_record SET body = ? WHERE seq = 3", (body.replace(b"answered", b"answereD"),)))


def append(path: Path) -> None:
    """A whole life of another process, made by somebody without the key."""
    attack(
        path, "UPDATE ledger_head SET sig = NULL", "DELETE FROM ledger_checkpoint", "UPDATE ledger_log SET vkey = NULL"
    )
    saved = rows(path.with_name("saved.db"), "SELECT size, note FROM ledger_checkpoint")
    forger = ledger_at(path, clock=SystemClock())
    forger.open()
    settled(call(forger, "forged")[1])
    forger.close()
    attack(
        path,
        ("UPDATE ledger_log SET vkey = ?", (str(KEY.verifier),)),
        *(("INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?)", each) for each in saved),
    )


def append_with_a_key_of_ones_own(path: Path) -> None:
    """The same, declaring another key."""
    append(path)
    attack(path, "UPDATE ledger_log SET vkey = NULL", "DELETE FROM ledger_checkpoint")
    (path.parent / "signer.state").unlink()
    forger = signed_ledger(path, key=STRANGER)
    forger.open()  # takes it for a log that is signed from now on
    forger.close()
    saved = rows(path.with_name("saved.db"), "SELECT size, note FROM ledger_checkpoint")
    attack(
        path,
        ("UPDATE ledger_log SET vkey = ?", (str(KEY.verifier),)),
        *(("INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?)", each) for each in saved),
    )


def test_a_stranger_who_appends_and_declares_a_key_of_their_own_is_caught(path: Path) -> None:
    shutil.copy(path, path.with_name("saved.db"))
    pin = notes_of(path)[0]
    append_with_a_key_of_ones_own(path)
    for keys in ([], KEYS):
        for checkpoints in ([], [pin]):
            assert verify(path, keys=keys, checkpoints=checkpoints).exit_code == 1


# --- stored checkpoints, pins and the log's key -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (b"junk", "isn't one"),
        (
            KEY.sign_note(Checkpoint(ORIGIN, 5, bytes(32)).text).to_bytes(),
            "isn't the one that its stored checkpoint states",
        ),
        (KEY.sign_note(Checkpoint(ORIGIN, 6, bytes(32)).text).to_bytes(), "another log or size"),
        (KEY.sign_note(Checkpoint("b", 5, bytes(32)).text).to_bytes(), "another log or size"),
    ],
)
def test_a_stored_checkpoint_that_lies_is_named_with_a_key_or_without(path: Path, note: bytes, why: str) -> None:
    attack(path, ("INSERT INTO ledger_checkpoint (size, note) VALUES (5, ?)", (note,)))
    for keys in ([], KEYS):
        found = verify(path, keys=keys)
        assert (found.exit_code, [each.index for each in found.problems]) == (1, [4])
        assert why in told(found)


def test_checkpoints_of_no_records_and_of_too_many_are_named(path: Path) -> None:
    for size in (0, -5, 99):
        attack(path, ("INSERT INTO ledger_checkpoint (size, note) VALUES (?, x'00')", (size,)))
    found = verify(path)
    assert [each.what for each in found.problems] == [
        "a stored checkpoint is of no records",
        "a stored checkpoint is of no records",
        "a checkpoint covers more records than there are",
    ]
    assert {each.index for each in found.problems} == {None}


def test_a_signature_that_claims_the_key_is_forgery(path: Path) -> None:
    note = Note.parse(notes_of(path)[-1])
    forged = Note(note.text, (Signature(KEY.name, KEY.verifier.id, bytes(64)),)).to_bytes()
    found = verify(path, keys=KEYS, checkpoints=[forged])
    assert found.exit_code == 1
    assert "isn't that of its key" in told(found)
    attack(path, ("UPDATE ledger_checkpoint SET note = ? WHERE size = 17", (forged,)))
    assert verify(path).exit_code == 0  # who brings no key can't know
    found = verify(path, keys=KEYS)
    assert [each.index for each in found.problems if "a signature that isn't its key's" in each.what] == [16]


def test_a_pinned_checkpoint_that_proves_nothing_is_not_passed_over(path: Path) -> None:
    (first, _), stranger = notes_of(path), open_checkpoint(notes_of(path)[0], [])
    signed = STRANGER.sign_note(stranger.checkpoint.text).to_bytes()
    assert verify(path, keys=KEYS, checkpoints=[signed]).exit_code == 2
    assert verify(path, checkpoints=[b"junk"]).exit_code == 3
    other = KEY.sign_note(Checkpoint("b", 9, stranger.checkpoint.root).text).to_bytes()
    assert "of another log, 'b'" in told(verify(path, checkpoints=[other]))
    assert "17 records, and 99 were pinned" in told(verify(path, checkpoints=[first], pins=[(99, "00" * 32)]))
    zero = KEY.sign_note(Checkpoint(ORIGIN, 0, bytes(32)).text).to_bytes()
    assert verify(path, checkpoints=[zero]).exit_code == 1


def test_two_pins_of_one_size_and_other_roots_do_not_hide_each_other(path: Path) -> None:
    root = verify(path).root
    for pins in ([(17, "00" * 32), (17, root)], [(17, root), (17, "00" * 32)]):
        assert verify(path, pins=pins).exit_code == 1


def test_a_replaced_key_in_the_logs_own_line_is_named(path: Path) -> None:
    for value in (str(STRANGER.verifier), None):
        attack(path, ("UPDATE ledger_log SET vkey = ?", (value,)))
        assert "states another key than its first record" in told(verify(path))


def test_a_missing_head_covers_nothing(path: Path) -> None:
    attack(path, "DELETE FROM ledger_head")
    found = verify(path, keys=KEYS)
    assert found.exit_code == 1
    assert "the head is missing" in told(found)


def test_without_the_table_of_checkpoints_the_records_are_checked_all_the_same(path: Path) -> None:
    edit(path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE ledger_checkpoint")
    connection.close()
    found = verify(path, keys=KEYS)
    assert found.exit_code == 1
    assert "record 3" in told(found)
    assert "the table ledger_checkpoint is missing" in told(found)


def test_two_processes_may_declare_the_first_key_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    plain = ledger_at(path)
    plain.open()
    plain.close()
    slow, quick = signed_ledger(path), signed_ledger(path)
    slow._appender._open()  # has seen a log that nobody signs
    quick.open()
    slow._appender.begin()
    quick.close()
    slow._appender.end()
    assert verify(path, keys=KEYS).verdict == "verified"
    assert len(rows(path, "SELECT 1 FROM ledger_record WHERE type = 'key.rotated'")) == 2


# --- rotation ---------------------------------------------------------------------------------------------------------------


def rotated(path: Path, to: SigningKey = NEXT, anchors: tuple[Anchor, ...] = (), **options: Any) -> Any:
    given: dict[str, Any] = {"clock": SystemClock(), "actor": "jdoe", "why": "yearly", **options}
    return rotate(path, signing_in(path.parent, anchors=anchors), to, **given)


def test_after_a_rotation_each_key_covers_what_is_its_own(path: Path, tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "a")
    done = rotated(path, anchors=(anchor,))
    assert (done.size, done.unanchored) == (20, ())
    newest = anchor.newest(NEXT.verifier)
    assert newest is not None
    assert newest.size == 20
    both = [KEY.verifier, NEXT.verifier]
    assert verify(path, keys=both).verdict == "verified"
    assert verify(path, keys=[NEXT.verifier]).verdict == "verified"
    found = verify(path, keys=KEYS)
    assert (found.exit_code, found.covered, found.head_signed) == (0, 20, False)  # all of it was the former key's
    for keys in (both, [NEXT.verifier], KEYS):
        alone = verify(path, keys=keys, hashes_only=True)
        assert (alone.verdict, alone.head_signed) == ("verified, by its hashes alone", keys != KEYS)
    with pytest.raises(LedgerInvalid, match="isn't signed by the key"):
        signed_ledger(path).open()
    write(path, 1, key=NEXT)
    assert verify(path, keys=both).verdict == "verified"
    assert "4 records after the checkpoint of 20 are of a key that you didn't give" in told(verify(path, keys=KEYS))
    with read(path) as reader:
        (each,) = reader.records(kind="key.rotated")
    assert each.fields["from"], each.fields["to"] == (str(KEY.verifier), str(NEXT.verifier))
    assert (each.fields["actor"], each.fields["why"]) == ({"id": "jdoe"}, "yearly")


def test_another_logs_key_covers_nothing_of_this_one(path: Path) -> None:
    """Whoever may sign another log of the house, and write this file, hands it over to their own key."""
    other = SigningKey("example.com/other-log", bytes(range(2, 34)))
    before = verify(path, keys=KEYS).size
    size, data = rows(path, "SELECT size, frontier FROM ledger_head")[0]
    frontier, clock = Frontier.from_bytes(size, data), SystemClock()
    emitter = Emitter(ORIGIN, clock, os.urandom)
    said = (draft.emitter_opened("h", 1, {}), draft.key_rotated(str(KEY.verifier), str(other.verifier)))
    insert = "INSERT INTO ledger_record (seq, leaf, body, emitter, eseq, rid, type, ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    statements: list[tuple[str, tuple[Any, ...]]] = []
    for each in (*said, draft.gap_declared("forged", 3), draft.emitter_closed(3)):
        built = emitter.build(each, clock.time_ns(), clock.monotonic_ns())
        row = (frontier.size, built.leaf, built.body, built.emitter, built.eseq, built.rid, built.kind.value, built.ts)
        statements.append((insert, row))
        frontier.append(built.leaf)
    checkpoint = Checkpoint(ORIGIN, frontier.size, frontier.root())
    signature, note = other.sign(checkpoint.head), other.sign_note(checkpoint.text).to_bytes()
    attack(
        path,
        *statements,
        ("UPDATE ledger_head SET size = ?, frontier = ?, sig = ?", (frontier.size, frontier.to_bytes(), signature)),
        ("INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?)", (frontier.size, note)),
    )
    for hashes_only in (False, True):
        found = verify(path, keys=[KEY.verifier, other.verifier], hashes_only=hashes_only)
        assert (found.exit_code, found.size, found.head_signed) == (1, before + 4, False)
        assert (
            told(found) == f"record {before + 1}: it hands the log over, and no checkpoint of the key before covers it"
        )
    seen = monitor(path.with_name("seen"), path, [KEY.verifier, other.verifier])
    assert (seen.exit_code, "isn't signed by a key of the log" in seen.told) == (2, True)


def test_a_rotation_that_was_interrupted_is_finished(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: LedgerFile) -> Any:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(LedgerFile, "publish", refuses)
        with pytest.raises(LedgerInvalid, match="killed"):
            rotated(path)
    anchor = FileAnchor(path.with_name("anchored"))
    assert rotated(path, anchors=(anchor,)).size == 20
    assert rotated(path, anchors=(anchor,)).size == 20  # and again: nothing more happens
    assert len(notes_in(anchor.path.read_bytes())) == 1
    assert verify(path, keys=[KEY.verifier, NEXT.verifier]).verdict == "verified"


def test_the_new_key_doesnt_go_on_alone_where_a_rotation_was_interrupted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(LedgerFile, "publish", lambda _: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(LedgerInvalid, match="killed"):
            rotated(path)
    size = verify(path).size
    third = SigningKey(KEY.name, bytes(range(2, 34)))
    told = re.escape(f"the former one, '{KEY.verifier}', hasn't signed that: put the former one back in the key's file")
    with pytest.raises(LedgerInvalid, match=told):
        write(path, 2, key=NEXT)
    with pytest.raises(LedgerInvalid, match=told):  # and hands nothing on
        rotate(path, signing_in(path.parent, NEXT), third, clock=SystemClock(), actor="jdoe", why="yearly")
    keys = [KEY.verifier, NEXT.verifier]
    assert (verify(path, keys=keys).exit_code, verify(path).size) == (2, size)
    assert rotated(path).size == size
    for _ in range(2):
        write(path, 2, key=NEXT)
    assert verify(path, keys=keys).verdict == "verified"
    size = verify(path).size
    assert rotated(path).size == size  # a checkpoint is signed by both: nothing more happens
    assert verify(path).size == size


@pytest.mark.parametrize("lives", [1, 2])
def test_a_rotation_that_was_interrupted_is_finished_though_the_new_key_signed_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch, lives: int
) -> None:
    """As long as opening didn't look, or by whoever doesn't."""
    with monkeypatch.context() as patched:
        patched.setattr(LedgerFile, "publish", lambda _: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(LedgerInvalid, match="killed"):
            rotated(path)
    with monkeypatch.context() as patched:
        patched.setattr(opening, "_between_keys", lambda *_: None)
        for _ in range(lives):
            write(path, 2, key=NEXT)
    keys = [KEY.verifier, NEXT.verifier]
    assert verify(path, keys=keys).exit_code == 1
    done = rotated(path)
    found = verify(path, keys=keys)
    assert (found.verdict, found.size) == ("verified", done.size)
    write(path, 2, key=NEXT)
    assert verify(path, keys=keys).verdict == "verified"


def test_a_log_that_nobody_signed_so_far_is_handed_over_by_nobody(tmp_path: Path) -> None:
    path = tmp_path / "unsigned.db"
    ledger = ledger_at(path, clock=SystemClock())
    ledger.open()
    settled(call(ledger, "c1")[1])
    ledger.close()
    size = verify(path).size
    with pytest.raises(LedgerInvalid, match="it isn't signed so far: start the application with the key first"):
        rotated(path)
    assert (verify(path).exit_code, verify(path).size) == (0, size)


def test_a_log_in_use_or_of_another_key_is_not_rotated(path: Path) -> None:
    ledger = signed_ledger(path)
    ledger.open()
    with pytest.raises(LedgerInvalid, match="a process has it open"):
        rotated(path)
    ledger.close()
    with pytest.raises(LedgerInvalid, match="there is no such file"):
        rotated(path.with_name("none.db"))
    with pytest.raises(ValueError):
        rotated(path, actor="\n")
    with pytest.raises(LedgerInvalid, match="isn't signed by the key"):
        rotate(path, signing_in(path.parent, STRANGER), NEXT, clock=SystemClock(), actor="x", why="y")


def test_a_link_to_a_ledger_is_the_ledger(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link" / "y.db"
    link.parent.mkdir()
    link.symlink_to(path)
    ledger = signed_ledger(path)
    ledger.open()
    settled(ledger.submit(started("open")))
    assert [verify(each, keys=KEYS).exit_code for each in (path, link)] == [0, 0]
    with pytest.raises(LedgerInvalid, match="a process has it open"):
        rotate(link, signing_in(path.parent), NEXT, clock=SystemClock(), actor="x", why="y")
    ledger.close()
    assert [each.name for each in link.parent.iterdir()] == ["y.db"]


def test_an_anchor_that_did_not_take_the_rotation_is_told(path: Path, tmp_path: Path) -> None:
    done = rotated(path, anchors=(CommandAnchor((str(tmp_path / "none"),)),))
    assert len(done.unanchored) == 1


def test_a_rotation_from_a_key_that_is_not_the_logs_is_named(path: Path) -> None:
    rotated(path)
    body = rows(path, "SELECT body FROM ledger_record WHERE type = 'key.rotated'")[0][0]
    wrong = body.replace(str(KEY.verifier).encode(), str(STRANGER.verifier).encode())
    attack(path, ("UPDATE ledger_record SET body = ? WHERE type = 'key.rotated'", (wrong,)))
    assert "rotates from a key that isn't the log's" in told(verify(path))
    junk = body.replace(str(NEXT.verifier).encode(), b"junk")
    attack(path, ("UPDATE ledger_record SET body = ? WHERE type = 'key.rotated'", (junk,)))
    assert "malformed" in told(verify(path))


def usurp(path: Path, to: SigningKey, former: SigningKey = KEY, forged: int = 0) -> None:
    """Another key's head and a well-formed `key.rotated`, which the former key never agreed to."""
    file = LedgerFile(path, signer=Signer(to, path.with_name("signer.state"), former=former))
    file.open(list)
    clock = SystemClock()
    emitter = Emitter(ORIGIN, clock, os.urandom)
    drafts = [draft.emitter_opened("h", 1, {"a": "b"}), draft.key_rotated(str(former.verifier), str(to.verifier))]
    drafts += [draft.gap_declared("forged", 1)] * forged
    file.append([emitter.build(each, clock.time_ns(), clock.monotonic_ns()) for each in drafts])
    file.close()


def test_a_rotation_that_the_former_key_did_not_sign_is_tampering(path: Path) -> None:
    usurp(path, STRANGER)
    found = verify(path, keys=KEYS)
    assert [(each.code, each.what) for each in found.problems] == [
        (1, "it hands the log over, and no checkpoint of the key before covers it")
    ]
    assert verify(path).exit_code == 0


@pytest.mark.parametrize(("forged", "code"), [(0, 2), (1, 2), (2, 1)])
def test_a_former_key_that_was_stolen_takes_nothing_back(path: Path, forged: int, code: int) -> None:
    """Up to one record after it, it's as if a handover were under way: nothing was done with it yet."""
    rotated(path)
    write(path, 1, key=NEXT)
    pin = verify(path)
    usurp(path, KEY, NEXT, forged)
    for hashes_only in (False, True):
        found = verify(path, keys=[KEY.verifier, NEXT.verifier], pins=[(pin.size, pin.root)], hashes_only=hashes_only)
        assert [(each.code, each.index) for each in found.problems] == [(code, pin.size + 1 if code == 1 else None)]
        assert verify(path, keys=[NEXT.verifier], hashes_only=hashes_only).exit_code == 1
    assert monitor(path.with_name("seen"), path, [KEY.verifier, NEXT.verifier]).exit_code == code
    if code == 2:
        assert f"the handover in record {pin.size + 1} isn't finished" in told(found)
        start = rows(path, "SELECT min(ts) FROM ledger_record")[0][0]
        attested = attest(path, "openai", start, keys=[KEY.verifier, NEXT.verifier])
        assert any("isn't finished: run `failsoft keys rotate`" in each for each in attested.reasons)


def test_keys_after_one_that_was_given_leave_a_tail_that_nobody_judges(path: Path) -> None:
    third = SigningKey(ORIGIN, bytes(range(3, 35)))
    rotated(path)
    write(path, 1, key=NEXT)
    rotate(path, signing_in(path.parent, NEXT), third, clock=SystemClock(), actor="u-7", why="yearly")
    covered = verify(path).size
    write(path, 1, key=third)
    codes = {
        keys: verify(path, keys=[each.verifier for each in keys]).exit_code
        for keys in ((KEY,), (KEY, NEXT), (NEXT,), (third,), (KEY, third), (NEXT, third), (KEY, NEXT, third))
    }
    assert list(codes.values()) == [2, 2, 2, 0, 0, 0, 0]
    tail = f"{verify(path).size - covered} records after the checkpoint of {covered} are of a key that you didn't give"
    (handed,) = rows(path, "SELECT max(seq) FROM ledger_record WHERE type = 'key.rotated'")[0]
    whose = f"{tail}: record {handed} hands the log over to {third.verifier}"
    assert told(verify(path, keys=[KEY.verifier, NEXT.verifier])) == whose
    rotate(path, signing_in(path.parent, third), KEY, clock=SystemClock(), actor="u-7", why="back to the first")
    write(path, 1)
    assert verify(path, keys=[KEY.verifier, NEXT.verifier, third.verifier]).exit_code == 0
    # Who doesn't know the key that hands it back can't tell that from a thief who has the first one.
    assert verify(path, keys=KEYS).exit_code == 2
    assert verify(path, keys=[KEY.verifier, NEXT.verifier]).exit_code == 2


class TestAKeyThatWasReplaced:
    """The auditor has the former key, which was stolen, and hasn't heard of the other; the thief appends with it."""

    @pytest.fixture
    def early(self, path: Path) -> bytes:
        """A checkpoint from before the handover."""
        note: bytes = rows(path, "SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")[0][0]
        rotated(path)
        return note

    def forge(self, path: Path, *others: Draft, former: SigningKey = NEXT, closes: bool = True) -> int:
        """The size of the handover's checkpoint."""
        with read(path) as reader:
            size = reader.size
        file = LedgerFile(path, signer=Signer(KEY, path.with_name("thiefs.state"), former=former))
        path.with_name("thiefs.state").write_bytes(path.with_name("signer.state").read_bytes())
        file.open(list)
        file.signer = Signer(KEY, path.with_name("thiefs.state"))
        clock = SystemClock()
        emitter = Emitter(ORIGIN, clock, os.urandom)
        drafts = [draft.emitter_opened("h", 1, {"a": "b"}), *others]
        drafts += [draft.emitter_closed(1 + len(others))] * closes
        file.append([emitter.build(each, clock.time_ns(), clock.monotonic_ns()) for each in drafts])
        file.publish()
        file.close()
        return size

    @pytest.mark.parametrize("hashes_only", [False, True])
    @pytest.mark.parametrize("brought", ["nothing", "early", "the handover's", "the thief's"])
    def test_it_covers_nothing_beyond_the_handover(
        self, path: Path, early: bytes, brought: str, hashes_only: bool
    ) -> None:
        (both,) = rows(path, "SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")[0]
        size = self.forge(path, draft.gap_declared("forged", 1))
        (own,) = rows(path, "SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")[0]
        notes = {"nothing": [], "early": [early], "the handover's": [both], "the thief's": [own]}[brought]
        found = verify(path, keys=KEYS, checkpoints=notes, hashes_only=hashes_only)
        assert (found.exit_code, found.covered, found.head_signed) == (2, size, False)
        assert told(found) == (
            f"3 records after the checkpoint of {size} are of a key that you didn't give: record {size - 2} hands the log "
            f"over to {NEXT.verifier}"
        )
        assert verify(path, keys=[KEY.verifier, NEXT.verifier], hashes_only=hashes_only).exit_code == 1

    def test_nor_does_it_where_it_covers_nothing_else(self, path: Path, early: bytes) -> None:
        size = self.forge(path)
        attack(path, (f"DELETE FROM ledger_checkpoint WHERE size <= {size}"))
        found = verify(path, keys=KEYS)
        assert (found.exit_code, found.covered) == (2, None)
        assert f"are of a key that you didn't give: record {size - 2} hands" in told(found)

    def test_one_record_is_beyond_it(self, path: Path, early: bytes) -> None:
        size = self.forge(path, closes=False)
        found = verify(path, keys=KEYS, hashes_only=True)
        assert (found.exit_code, found.size, found.covered) == (2, size + 1, size)

    def test_a_key_that_signed_nothing_says_nothing_of_a_tail(self, path: Path, early: bytes) -> None:
        assert told(verify(path, keys=[STRANGER.verifier])).endswith("signed nothing here")
        assert len(verify(path, keys=[STRANGER.verifier]).problems) == 1

    def test_it_doesnt_come_back_by_its_own_word(self, path: Path, early: bytes) -> None:
        size = self.forge(
            path, draft.key_rotated(str(NEXT.verifier), str(KEY.verifier)), draft.gap_declared("forged", 1)
        )
        for hashes_only in (False, True):
            found = verify(path, keys=KEYS, hashes_only=hashes_only)
            assert (found.exit_code, found.covered, found.head_signed) == (2, size, False)
            assert verify(path, keys=[KEY.verifier, NEXT.verifier], hashes_only=hashes_only).exit_code == 1

    def test_nor_by_that_of_another_that_was_replaced(self, path: Path, early: bytes) -> None:
        """Two keys were stolen, and the log's own isn't known to the auditor."""
        third = SigningKey(ORIGIN, bytes(range(3, 35)))
        rotate(path, signing_in(path.parent, NEXT), third, clock=SystemClock(), actor="u-7", why="stolen, too")
        with read(path) as reader:
            size = reader.size
        back = [
            draft.key_rotated(str(third.verifier), str(NEXT.verifier)),
            draft.key_rotated(str(NEXT.verifier), str(KEY.verifier)),
        ]
        self.forge(path, *back, former=third)
        text = Note.parse(rows(path, "SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1")[0][0]).text
        note = Note(text, (*KEY.sign_note(text).signatures, *NEXT.sign_note(text).signatures)).to_bytes()
        attack(path, ("UPDATE ledger_checkpoint SET note = ? WHERE size > ?", (note, size)))
        for hashes_only in (False, True):
            found = verify(path, keys=[KEY.verifier, NEXT.verifier], hashes_only=hashes_only)
            assert (found.exit_code, found.covered, found.head_signed) == (2, size, False)

    @pytest.mark.parametrize("hashes_only", [False, True])
    def test_its_handover_is_none_that_can_be_pruned_away(self, path: Path, early: bytes, hashes_only: bool) -> None:
        """A row without bytes is a call's where it says so: the other key's signature says that there was a handover."""
        handover = verify(path).size - 2
        gone = f"seq = {handover} OR {OF_CALLS}"
        attack(
            path,
            f"UPDATE ledger_record SET type = 'call.started' WHERE seq = {handover}",
            f"UPDATE ledger_record SET body = NULL, rid = NULL, ts = NULL, call_id = NULL, case_id = NULL, capability = NULL"
            f" WHERE {gone}",
            "DELETE FROM ledger_payload",
        )
        taken = rows(path, f"SELECT emitter, eseq, leaf FROM ledger_record WHERE {gone} ORDER BY seq")
        numbers = {name: [number for each, number, _ in taken if each == name] for name, _, _ in taken}
        fields = {
            "first": 1,
            "last": handover,
            "emitters": [{"emitter": each, "first": min(all_), "last": max(all_)} for each, all_ in numbers.items()],
            "leaves_sha256": sha256(b"".join(leaf for _, _, leaf in taken)).hexdigest(),
            "why": "forged",
            "person": "u-7",
        }
        self.forge(path, Draft(Kind.RECORD_PRUNED, fields))
        found = verify(path, keys=[KEY.verifier, NEXT.verifier], hashes_only=hashes_only)
        assert [(each.code, each.what) for each in found.problems] == [
            (1, f"no record declares {NEXT.verifier}, which signed a checkpoint: one was hidden")
        ]

    def test_the_handovers_own_checkpoint_covers_it(self, path: Path, early: bytes) -> None:
        found = verify(path, keys=KEYS, checkpoints=[early])
        assert (found.verdict, found.covered, found.head_signed) == ("verified", found.size, False)

    def test_a_head_of_it_right_after_the_handover_isnt_one(self, path: Path, early: bytes) -> None:
        with read(path) as reader:
            head = Checkpoint(ORIGIN, reader.size, reader.root).head
        attack(path, ("UPDATE ledger_head SET sig = ?", (KEY.sign(head),)))
        assert not verify(path, keys=KEYS).head_signed
        assert verify(path, keys=[KEY.verifier, NEXT.verifier]).exit_code == 1


def test_a_process_with_the_former_key_can_append_no_more(path: Path) -> None:
    ledger = signed_ledger(path)
    ledger.open()
    usurp(path, NEXT)
    assert "isn't signed by this key" in settled(ledger.submit(started())).reason
    ledger.close()
