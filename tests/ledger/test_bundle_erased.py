"""A payload that a bundle says was erased: only where a record says so. What merely isn't there any more isn't bundled."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from ledgers import SystemClock, completed, rows, settled, started
from signing import attack
from tests.bundled import CASE, CONFIG, KEY, Office, bundle, office, unzipped

from failsoft.core.evidence import ConfigActivated, PayloadErased
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts.erasure import Acting, erase, happened
from failsoft.ledger.acts.pruning import prune
from failsoft.ledger.acts.retention import Retention, RetentionClass
from failsoft.ledger.bundles import bundle as bundling
from failsoft.ledger.bundles.bundle import Bundle
from failsoft.ledger.bundles.missing import NotWhole
from failsoft.ledger.bundles.selection import Wanted
from failsoft.ledger.checkpoints.publishing import Signing
from failsoft.ledger.keys.vault import PayloadKey, Sealing, Vault
from failsoft.ledger.location import InFile
from failsoft.ledger.read import read
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import INCOMPLETE, TAMPERED
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.writer import StoredLedger

ONE = Wanted(calls=("c1",))
GONE = "No longer kept: it was on record, and was erased since."


@pytest.fixture
def log(tmp_path: Path) -> Office:
    """A call of no case."""
    made = Office(tmp_path / "x.db")
    made.configure()
    made.first.end("c1", 3, made.first.start("c1", 2))
    return made


def answer(log: Office) -> str:
    (body,) = rows(log.path, "SELECT body FROM ledger_record WHERE type = 'call.completed'")[0]
    (digest,) = [each["digest"] for each in json.loads(body)["commitments"] if each["path"] == "response"]
    return str(digest)


def without(log: Office, digest: str) -> Path:
    """The file, published, with that payload's row deleted."""
    log.publish()
    log.close()
    attack(log.path, ("DELETE FROM ledger_payload WHERE digest = ?", (bytes.fromhex(digest),)))
    return log.path


@pytest.mark.parametrize("withhold", [(), ("response",)])
def test_a_payload_that_is_gone_without_a_record_is_not_bundled(log: Office, withhold: tuple[str, ...]) -> None:
    path = without(log, answer(log))
    assert verify(path, keys=[KEY.verifier]).exit_code == TAMPERED
    said = "the payload 'response' of record 4 is missing, and no record says that it was erased: run `failsoft verify`"
    with pytest.raises(LedgerInvalid, match=said):
        bundle(path, Wanted(calls=("c1",), withhold=withhold))


@pytest.mark.parametrize("withhold", [(), ("response",)])
def test_a_payload_that_was_erased_is_named_with_the_record_that_says_so(
    log: Office, withhold: tuple[str, ...]
) -> None:
    digest = answer(log)
    log.first.tell(Kind.PAYLOAD_ERASED, 9, digests=[digest], person="e.f", basis="by request")
    log.first.tell(Kind.PAYLOAD_ERASED, 10, digests=["0" * 64], person="g.h", basis="another's")
    made = bundle(without(log, digest), Wanted(calls=("c1",), withhold=withhold))
    assert made.found.code == INCOMPLETE
    files = unzipped(made.data)
    page = files["report.html"].decode()
    assert json.loads(files["manifest.json"])["withheld"] == [digest]
    assert GONE in page
    assert "e.f had what was asked and answered erased: by request" in page
    assert "another" not in page
    assert b"by request" in files["records/5.json"]


def test_an_erasure_says_nothing_of_what_came_later(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    log.configure()
    begun = log.first.start("c1", 2)
    log.first.tell(Kind.PAYLOAD_ERASED, 3, digests=["ab" * 32], person="e.f", basis="b")
    log.first.end("c1", 4, begun)
    digest = answer(log)
    path = without(log, digest)
    body = rows(path, "SELECT body FROM ledger_record WHERE seq = 4")[0][0].replace(b"ab" * 32, digest.encode())
    attack(path, ("UPDATE ledger_record SET body = ? WHERE seq = 4", (body,)))  # as if it had known the digest
    with pytest.raises(LedgerInvalid, match="record 4: its bytes don't hash to its leaf"):
        bundle(path, ONE)


def test_what_is_being_pruned_is_not_bundled(log: Office) -> None:
    digest = answer(log)
    more = {"emitters": [{"emitter": "0" * 32, "first": 0, "last": 1}], "leaves_sha256": "0" * 64, "why": "w"}
    log.first.tell(Kind.RECORD_PRUNED, 9, first=1, last=3, person="e.f", **more)
    log.first.tell(Kind.RECORD_PRUNED, 9, first=1, last=4, person="e.f", **more)
    with pytest.raises(NotWhole, match="record 4 is being pruned: finish that first, by running it again"):
        bundle(without(log, digest), ONE)


def test_a_pruning_that_did_not_reach_it_explains_nothing(log: Office) -> None:
    digest = answer(log)
    more = {"emitters": [{"emitter": "0" * 32, "first": 0, "last": 1}], "leaves_sha256": "0" * 64, "why": "w"}
    log.first.tell(Kind.RECORD_PRUNED, 9, first=1, last=3, person="e.f", **more)
    with pytest.raises(LedgerInvalid, match="no record says that it was erased"):
        bundle(without(log, digest), ONE)


# --- under a key ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sealed(tmp_path: Path) -> InFile:
    """A call whose payloads are encrypted."""
    location = InFile(tmp_path / "s.db", sealing=Sealing(PayloadKey(bytes(range(32))), tmp_path / "s.keys"))
    _call(location, "c1")
    return location


def _call(location: InFile, call_id: str) -> None:
    ledger = StoredLedger(location, clock=SystemClock(), signing=Signing(KEY, location.path.with_name("s.state")))
    ledger.open()
    ledger.submit(ConfigActivated(CONFIG, (), ()))
    begin = ledger.submit(started(call_id, config_sha256=sha256(CONFIG).hexdigest()))
    settled(ledger.submit(completed(begin, call_id)))
    ledger.close()


def bundled(location: InFile, *withhold: str, calls: tuple[str, ...] = ("c1",)) -> Bundle:
    with read(location) as reader:
        return bundling.make(reader, Wanted(calls=calls, withhold=withhold), KEY)


def acting(location: InFile) -> Acting:
    return Acting(location, SystemClock(), Signing(KEY, location.path.with_name("s.state")))


def key_of(location: InFile) -> str:
    return str(
        json.loads(rows(location.path, "SELECT body FROM ledger_record WHERE type = 'call.started'")[0][0])["dek"]
    )


def test_a_log_of_which_a_part_was_pruned_is_bundled_without_it(sealed: InFile) -> None:
    _call(sealed, "c2")
    ((until,),) = rows(sealed.path, "SELECT ts FROM ledger_record WHERE type = 'call.started' AND call_id = 'c2'")
    happened(acting(sealed), CASE["id"], event="closed", date="2001-01-31", person="u-7", why="w")
    rules = Retention({"short": RetentionClass("closed", 1)}, default="short")
    prune(acting(sealed), until, why="over", person="u-7", retention=rules)
    with pytest.raises(LookupError, match="no record of a call c1, and records of calls were pruned"):
        bundled(sealed)
    made = bundled(sealed, calls=("c2",))
    assert made.found.verdict == "verified"
    assert not {"records/3.json", "records/4.json"} & unzipped(made.data).keys()
    with read(sealed) as reader, pytest.raises(NotWhole, match="record 3 was pruned: leave --all-records out"):
        bundling.make(reader, Wanted(calls=("c2",), all_records=True), KEY)


def test_whose_rows_are_there_again_is_to_be_erased_again(sealed: InFile) -> None:
    """As `failsoft verify` says of it, though their key is destroyed."""
    before = rows(sealed.path, "SELECT * FROM ledger_payload")
    erase(acting(sealed), CASE["id"], basis="letter of 2 November", person="m.smith")
    attack(sealed.path, *(("INSERT INTO ledger_payload VALUES (?, ?, ?, ?)", each) for each in before))
    assert verify(sealed, keys=[KEY.verifier]).exit_code == INCOMPLETE
    made = bundled(sealed)
    files = unzipped(made.data)
    assert (made.found.code, [each for each in files if each.startswith("disclosures/")]) == (INCOMPLETE, [])
    assert files["report.html"].decode().count("Withheld: it") >= 4
    erase(acting(sealed), CASE["id"], basis="letter of 2 November", person="m.smith")
    files = unzipped(bundled(sealed).data)
    assert files["report.html"].decode().count(GONE) >= 4
    assert any(b"letter of 2 November" in data for name, data in files.items() if name.startswith("records/"))


def shred(sealed: InFile) -> None:
    """Destroy the case's key, without a record."""
    assert sealed.sealing is not None
    with read(sealed) as reader:
        vault = Vault(sealed.sealing, reader.origin)
    vault.shred(CASE["id"])
    vault.close()


def test_a_key_that_was_destroyed_without_a_record_is_no_erasure(sealed: InFile) -> None:
    shred(sealed)
    assert verify(sealed, keys=[KEY.verifier]).exit_code == TAMPERED
    with pytest.raises(
        LedgerInvalid, match="record 3 can't be read any more, its key was destroyed, and no record says"
    ):
        bundled(sealed)
    assert bundled(sealed, "re*", "prompt").found.code == INCOMPLETE


def test_an_erasure_that_names_the_key_alone_is_in_the_bundle(sealed: InFile) -> None:
    _erased_by_key(sealed)
    attack(sealed.path, "DELETE FROM ledger_payload")
    files = unzipped(bundled(sealed).data)
    page = files["report.html"].decode()
    assert page.count(GONE) >= 4
    assert "e.f had what was asked and answered erased: a key" in page
    assert any(b'"basis":"a key"' in data for name, data in files.items() if name.startswith("records/"))


def _erased_by_key(sealed: InFile) -> None:
    acting(sealed).record(PayloadErased(None, (key_of(sealed),), (), "a key", "e.f"))


def test_what_came_after_the_erasure_under_the_destroyed_key_waits_for_another_one(sealed: InFile) -> None:
    _erased_by_key(sealed)
    _call(sealed, "c2")  # the key is active still: that erasure was never carried out
    shred(sealed)
    assert verify(sealed, keys=[KEY.verifier]).exit_code == INCOMPLETE
    with pytest.raises(
        NotWhole, match="lies under a key that was destroyed before it: run the erasure of its case again"
    ):
        bundled(sealed, calls=("c2",))


def test_the_usual_log_has_nothing_erased(tmp_path: Path) -> None:
    made = office(tmp_path / "x.db")
    made.publish()
    made.close()
    assert GONE not in unzipped(bundle(made.path).data)["report.html"].decode()
