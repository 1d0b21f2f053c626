"""What goes into a bundle, that the same log makes the same bytes, and what can't be bundled."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ledgers import SystemClock, completed, rows, settled, started
from signing import attack
from tests.bundled import (
    CASE,
    CONFIG,
    KEY,
    NEXT,
    ORIGIN,
    SECRET,
    WITNESS,
    WITNESS_KEY,
    Office,
    bundle,
    cosigned,
    listed,
    office,
    said,
    signed,
    unzipped,
    zipped,
)
from tests.postgres_server import PostgresServer

from failsoft.core.evidence import Act, ConfigActivated, ExportCreated, LegalHold, PersonActed
from failsoft.errors import LedgerInvalid, PayloadSealed
from failsoft.ledger.acts.erasure import Acting, erase, happened, hold
from failsoft.ledger.bundles import archive, verify_bundle
from failsoft.ledger.bundles import bundle as bundling
from failsoft.ledger.bundles.archive import write
from failsoft.ledger.bundles.bundle import Bundle, verifier
from failsoft.ledger.bundles.missing import NotWhole
from failsoft.ledger.bundles.selection import NotCovered, Wanted, fits
from failsoft.ledger.checkpoints.publishing import Signing
from failsoft.ledger.format.canonical import ProfileError, dump
from failsoft.ledger.format.merkle import leaf_hash
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.keys.vault import PayloadKey, Sealing, Vault
from failsoft.ledger.location import InFile, locate
from failsoft.ledger.read import read
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.sqlite.store import LedgerFile
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.review import Decision

VECTORS = Path(__file__).parents[3] / "shared" / "spec" / "vectors" / "ledger.json"
PUBLISHED = Path(__file__).parents[2] / "docs" / "how-to" / "bundle.md"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = office(tmp_path / "x.db")
    log.publish()
    log.close()
    return log.path


def paths(files: dict[str, bytes]) -> list[str]:
    """Of what's disclosed."""
    shown = [data for name, data in files.items() if name.startswith("disclosures/")]
    return sorted(data[36 : 36 + int.from_bytes(data[32:36], "big")].decode() for data in shown)


def records(files: dict[str, bytes]) -> list[int]:
    found: list[int] = json.loads(files["manifest.json"])["records"]
    return found


@pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors at {VECTORS.name}")
def test_archive_proofs_and_consistency_are_those_of_the_vectors() -> None:
    vectors = json.loads(VECTORS.read_text())
    files = {name: text.encode() for name, text in vectors["zip"]["files"].items()}
    assert write(files).hex() == vectors["zip"]["bytes"]
    told = vectors["ledger"]
    note = told["checkpoint"].encode()
    hashes = [bytes.fromhex(each) for each in told["proofs"]["4"]]
    made = bundling.proof_file("c2sp.org/tlog-proof@v1\nindex 4\n", hashes, note)
    assert made.decode() == told["tlog_proof_4"]
    consistent = told["consistency_2_5"]
    hashes = [b64decode(line) for line in consistent.split("\n")[1:3]]
    assert bundling.proof_file("old 2\n", hashes, note).decode() == consistent


def test_an_archive_refuses_other_names_too_many_files_and_too_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no file of a bundle"):
        write({"../x": b""})
    monkeypatch.setattr(archive, "MAX_FILES", 1)
    with pytest.raises(ValueError, match="2 files"):
        write({"verify.py": b"", "report.html": b""})
    monkeypatch.setattr(archive, "MAX_BYTES", 10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        write({"verify.py": b"x" * 11})


def test_the_same_log_and_wishes_make_the_same_bytes(path: Path) -> None:
    first = bundle(path, question="Why?")
    assert bundle(path, question="Why?").data == first.data
    assert bundle(path, question="Who?").data != first.data
    assert (first.call_ids, first.records, first.size, first.signed) == (("c1", "c2"), 12, 12, True)
    assert first.found.verdict == "verified"
    assert first.manifest_sha256 == sha256(unzipped(first.data)["manifest.json"]).hexdigest()


def test_a_bundle_of_one_call_holds_what_belongs_to_it_and_no_more(tmp_path: Path) -> None:
    log = office(tmp_path / "x.db")
    for number in range(5):
        log.call(f"y{number}", 200 + number, "1", "2", case={"id": "OTHER"})
    log.publish()
    log.close()
    files = unzipped(bundle(log.path, Wanted(calls=("c1",))).data)
    # opened, emitter, configuration, the call, the stranger's that follows; then drift, and another model asked for
    assert records(files) == [0, 1, 2, 3, 4, 5, 10, 11]
    assert paths(files) == ["prompt", "reply/1", "request", "response"]
    assert f"artifacts/{sha256(CONFIG).hexdigest()}" in files
    assert b"stranger" not in b"".join(files.values())
    files = unzipped(bundle(log.path, Wanted(calls=("c1",), all_records=True)).data)
    assert len(records(files)) == 22
    assert paths(files) == ["prompt", "reply/1", "request", "response"]


def test_reviews_and_what_refers_to_them_come_along_wherever_they_stand(tmp_path: Path) -> None:
    log = office(tmp_path / "x.db")
    review = log.call("c3", 300, "1", "2", labels=())
    said_later = log.person(Kind.APPEAL_RECORDED, review, 310, "refused", "no")
    log.first.tell(Kind.REVIEW_RECORDED, 320, refs={"of": said_later.leaf.hex()}, person="p", decision="d")
    log.first.tell(Kind.REVIEW_RECORDED, 330, refs={"of": "0" * 64}, person="p", decision="d")
    log.first.tell(Kind.KEY_ROTATED, 340, began=str(KEY.verifier), to=str(NEXT.verifier))
    log.first.tell(Kind.BLOCK_CHANGED, 350, subject="adapter:gpt", blocked=True, actor={"id": "x"}, why="y")
    log.first.tell(Kind.BLOCK_CHANGED, 360, subject="adapter:other", blocked=True, actor={"id": "x"}, why="y")
    log.first.tell(Kind.DRIFT_DETECTED, 370, refs={"of": review.leaf.hex()})
    log.publish()
    log.close()
    files = unzipped(bundle(log.path, Wanted(calls=("c3",))).data)
    assert records(files) == [0, 1, 11, 12, 13, 14, 15, 17, 18, 20]


def test_of_a_ledger_whose_configuration_is_gone_none_is_made(path: Path) -> None:
    attack(path, "DELETE FROM ledger_artifact")
    with pytest.raises(
        LedgerInvalid, match=r"names the artifact '[0-9a-f]{64}', which is missing: run `failsoft verify`"
    ):
        bundle(path)


@pytest.mark.parametrize(
    ("wanted", "shown", "withheld"),
    [
        (Wanted(calls=("c1",)), ["prompt", "reply/1", "request", "response"], 0),
        (Wanted(calls=("c1",), disclose=("request", "re*")), ["reply/1", "request", "response"], 1),
        (Wanted(calls=("c1",), disclose=("request",)), ["request"], 3),
        (Wanted(calls=("c1",), withhold=("prompt", "reply/*")), ["request", "response"], 2),
        (Wanted(calls=("c1",), disclose=()), [], 4),
    ],
)
def test_payloads_are_shown_or_named_as_withheld(path: Path, wanted: Wanted, shown: list[str], withheld: int) -> None:
    made = bundle(path, wanted)
    files = unzipped(made.data)
    assert paths(files) == shown
    assert len(json.loads(files["manifest.json"]).get("withheld", [])) == withheld
    assert made.found.code == (2 if withheld else 0)
    assert (SECRET.encode() in made.data) == ("prompt" in shown)


@pytest.mark.parametrize(
    ("withhold", "hidden"),
    [
        ("request", {"request", "prompt", "prompt/2", "reply/1", "reply/2", "error/1", "shown"}),
        ("prompt", {"prompt", "prompt/2", "reply/1", "reply/2", "error/1"}),
        ("prompt/2", {"prompt/2"}),
        ("response", {"response", "reply/1", "reply/2", "error/1", "prompt/2", "shown"}),
        ("reply/1", {"reply/1", "error/1", "prompt/2"}),
        ("reply/2", {"reply/2", "prompt/2"}),
        ("error/1", {"error/1", "prompt/2"}),
        ("shown", {"shown"}),
    ],
)
def test_what_repeats_a_withheld_payload_is_withheld_with_it(tmp_path: Path, withhold: str, hidden: set[str]) -> None:
    log = Office(tmp_path / "x.db")
    log.configure()
    told = ("prompt", "reply/1", "error/1", "prompt/2", "reply/2", "response")
    began = log.first.start("c1", 2)
    fields = {"call_id": "c1", "capability": {"name": "rate"}, "outcome": "answered", "us": 5}
    refs = {"started": began.leaf.hex()}
    payloads = tuple(said(each, '"x"') for each in told)
    log.first.say(Draft(Kind.CALL_COMPLETED, {**fields, "degraded": False, "refs": refs}, payloads), 3)
    person = {"call_id": "c1", "capability": {"name": "rate"}, "decision": "accepted", "person": "p"}
    log.first.say(Draft(Kind.REVIEW_RECORDED, person, (said("shown", '"x"'), said("reason", '"x"'))), 4)
    log.publish()
    log.close()
    shown = paths(unzipped(bundle(log.path, Wanted(calls=("c1",), withhold=(withhold,))).data))
    assert set(shown) == {"request", *told, "shown", "reason"} - hidden


@pytest.mark.parametrize(
    "wanted", [Wanted(calls=("c1",), withhold=("promt",)), Wanted(calls=("c1",), disclose=("x*",))]
)
def test_a_path_that_fits_nothing_is_a_slip(path: Path, wanted: Wanted) -> None:
    with pytest.raises(LookupError, match=r"there are prompt, reply/1, request, response"):
        bundle(path, wanted)


def test_paths_fit_whole_or_from_their_beginning() -> None:
    assert fits("reply/1", ["reply/*"])
    assert not fits("reply/1", ["reply", "eply*"])


def test_unknown_calls_and_cases_are_told(path: Path, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no record of a call c9"):
        bundle(path, Wanted(calls=("c1", "c9")))
    with pytest.raises(LookupError, match="no record of a case Z"):
        bundle(path, Wanted(cases=("Z",)))
    log = Office(tmp_path / "y.db")
    log.first.tell(Kind.CASE_EVENT, 1, case=CASE)
    log.publish()
    log.close()
    with pytest.raises(LookupError, match="are of none"):
        bundle(log.path)


def test_a_call_without_an_end_is_not_bundled(tmp_path: Path) -> None:
    log = office(tmp_path / "x.db")
    log.first.start("c3", 200, case=CASE)
    log.publish()
    log.close()
    with pytest.raises(NotWhole, match="call c3 has no end"):
        bundle(log.path)
    assert bundle(log.path, Wanted(calls=("c1",))).found.code == 0


def test_what_was_pruned_is_not_bundled(path: Path) -> None:
    attack(path, "UPDATE ledger_record SET body = NULL WHERE seq = 4")
    with pytest.raises(NotWhole, match="record 4 of what was asked for was pruned"):
        bundle(path, Wanted(calls=("c1",)))
    with pytest.raises(LedgerInvalid, match="record 4: its bytes are missing, and it's not one that is pruned"):
        bundle(path, Wanted(calls=("c2",)))


def test_without_a_checkpoint_that_covers_it_nothing_is_made(tmp_path: Path) -> None:
    log = office(tmp_path / "x.db")
    with pytest.raises(NotCovered, match="no signed checkpoint is stored"):
        bundle(log.path)
    log.publish()
    log.call("c3", 200, "1", "2")
    with pytest.raises(NotCovered, match="the newest checkpoint is of 12 records, and record 13 isn't one"):
        bundle(log.path)
    assert bundle(log.path, Wanted(calls=("c1",), all_records=True)).records == 12
    ended = log.call("c4", 300, "1", "2")
    log.publish()
    log.person(Kind.APPEAL_RECORDED, ended, 310, "refused", "no")
    with pytest.raises(NotCovered, match="the newest checkpoint is of 16 records, and record 16 isn't one"):
        bundle(log.path, Wanted(calls=("c4",)))
    assert bundle(log.path, Wanted(calls=("c3",))).found.verdict == "verified"
    log.publish()
    log.close()
    assert bundle(log.path).found.verdict == "verified"


def test_a_checkpoint_that_lies_is_not_bundled_under(path: Path) -> None:
    for note in (b"junk", KEY.sign_note(Checkpoint(ORIGIN, 12, bytes(32)).text).to_bytes()):
        attack(path, ("UPDATE ledger_checkpoint SET note = ?", (note,)))
        with pytest.raises(LedgerInvalid, match="newest checkpoint"):
            bundle(path)
    attack(
        path,
        ("UPDATE ledger_checkpoint SET note = ?", (KEY.sign_note(Checkpoint(ORIGIN, 99, bytes(32)).text).to_bytes(),)),
    )
    with pytest.raises(LedgerInvalid, match="of another log"):
        bundle(path)
    attack(path, "DROP TABLE ledger_checkpoint", "CREATE TABLE ledger_checkpoint (size, note)")
    attack(path, "INSERT INTO ledger_checkpoint VALUES (12, 'text')")
    with pytest.raises(LedgerInvalid, match="newest checkpoint is damaged"):
        bundle(path)


def test_a_changed_log_is_not_bundled(path: Path) -> None:
    body = rows(path, "SELECT body FROM ledger_record WHERE seq = 4")[0][0]
    attack(path, ("UPDATE ledger_record SET body = ? WHERE seq = 4", (body.replace(b"answered", b"answereD"),)))
    with pytest.raises(LedgerInvalid, match="record 4: its bytes don't hash to its leaf"):
        bundle(path)
    leaf = leaf_hash(body.replace(b"answered", b"answereD"))
    attack(path, ("UPDATE ledger_record SET leaf = ? WHERE seq = 4", (leaf,)))
    with pytest.raises(LedgerInvalid, match="its newest checkpoint is of another log"):
        bundle(path)


HIDDEN = {
    "call_id = NULL, case_id = NULL": "record 6: its index copy says something else",
    "type = 'case.event'": "record 6: its index copy says something else",
    "ts = '2020-02-29T09:00:00.000000Z'": "record 6: its index copy says something else",
    "body = NULL": "record 6: its bytes are missing, and it's not one that is pruned",
    "body = CAST('{}' AS BLOB)": "record 6: its bytes don't hash to its leaf",
    "body = NULL, rid = NULL, ts = NULL, call_id = NULL, case_id = NULL, capability = NULL, type = 'call.started'": (
        "record 6: its bytes are missing, and no record says that it was pruned"
    ),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_what_the_database_is_made_to_hide_is_missed(path: Path, how: str) -> None:
    """By somebody who has the database and no key: what finds a record stands beside what's signed."""
    attack(path, f"UPDATE ledger_record SET {how} WHERE seq = 6")
    with pytest.raises(LedgerInvalid, match=HIDDEN[how]):
        bundle(path, Wanted(calls=("c1",)))


def test_another_logs_key_signs_nothing(path: Path) -> None:
    from failsoft.ledger.keys.ed25519 import SigningKey

    with pytest.raises(LedgerInvalid, match=r"the key is 'example\.com/other'"):
        bundle(path, key=SigningKey("example.com/other", bytes(32)))


def test_a_key_that_didnt_sign_the_newest_checkpoint_vouches_for_nothing(path: Path) -> None:
    from failsoft.ledger.keys.ed25519 import SigningKey

    with pytest.raises(LedgerInvalid, match="its newest checkpoint isn't signed by this key"):
        bundle(path, key=SigningKey(ORIGIN, bytes(32)))


def test_without_a_key_the_manifest_is_not_signed_and_the_page_says_so(path: Path) -> None:
    made = bundle(path, key=None)
    files = unzipped(made.data)
    assert not made.signed
    assert "manifest.note" not in files
    assert made.found.verdict == "self-consistent"
    assert b"nobody signed them" in files["report.html"]


def test_too_much_at_once_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    with pytest.raises(NotWhole, match="ask for fewer calls at once"):
        bundle(path)


def test_the_log_is_shown_to_extend_what_the_receiver_has(tmp_path: Path) -> None:
    log = office(tmp_path / "x.db")
    early = log.publish()
    log.call("c3", 200, "1", "2")
    now = log.publish()
    log.call("c4", 300, "1", "2")  # which no checkpoint covers
    log.close()
    made = bundle(log.path, Wanted(calls=("c1",), since=(early, early, now)))
    assert [name for name in unzipped(made.data) if name.startswith("consistency")] == ["consistency/12-14.txt"]

    def since(size: int, root: bytes = bytes(32), origin: str = ORIGIN) -> Wanted:
        return Wanted(calls=("c1",), since=(KEY.sign_note(Checkpoint(origin, size, root).text).to_bytes(),))

    assert bundle(log.path, since(0)).found.code == 0
    with pytest.raises(LedgerInvalid, match="doesn't extend"):
        bundle(log.path, since(5))
    with pytest.raises(LedgerInvalid, match="doesn't extend"):
        bundle(log.path, since(0, origin="another"))
    with pytest.raises(NotCovered, match="it was cut or rolled back"):
        bundle(log.path, since(17))
    with read(log.path) as reader:
        head = reader.root
    with pytest.raises(NotCovered, match="newer than the newest one here"):
        bundle(log.path, since(16, head))
    with pytest.raises(LookupError, match="--since-checkpoint: not a note"):
        bundle(log.path, Wanted(calls=("c1",), since=(b"junk",)))


def test_a_bundle_of_a_long_log_uses_subtrees(tmp_path: Path) -> None:
    log = office(tmp_path / "x.db")
    log.log.file.append([log.log._built(log.first.emitter, _event(), 300) for _ in range(600)])
    log.publish()
    log.close()
    made = bundle(log.path)
    assert (made.size, made.found.verdict) == (612, "verified")


def _event() -> Any:
    from failsoft.ledger.records.record import Draft

    return Draft(Kind.CASE_EVENT, {"said": "x"})


def test_the_published_sha256_of_the_verifier_is_its_own() -> None:
    assert sha256(verifier()).hexdigest() in PUBLISHED.read_text(), "verify_bundle.py changed: publish its new SHA-256"


def test_the_verifier_is_for_python_3_8_and_imports_the_standard_library_alone() -> None:
    import ast
    import sys

    tree = ast.parse(verifier(), feature_version=(3, 8))
    names = {
        (each.module or "") if isinstance(each, ast.ImportFrom) else each.names[0].name
        for each in ast.walk(tree)
        if isinstance(each, (ast.Import, ast.ImportFrom))
    }
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    newer = {"removeprefix", "removesuffix", "bit_count", "pairwise", "to_thread", "is_relative_to"}
    assert not {each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute)} & newer


def test_a_documents_limit_may_be_another() -> None:
    with pytest.raises(ProfileError, match="more than 5"):
        dump({"a": "bcd"}, limit=5)
    assert len(dump({"a": "x" * 70_000}, limit=100_000)) > 61_440


# --- who got it -----------------------------------------------------------------------------------------------------------


def acting(path: Path) -> Acting:
    return Acting(path, SystemClock(), Signing(KEY, path.with_name(path.name + ".state")), "worker-2")


def test_an_export_is_on_record_under_a_checkpoint(path: Path) -> None:
    acting(path).record(ExportCreated("auditor", "m.smith", "spot check", "ab" * 32))
    with read(path) as reader:
        (entry,) = reader.records(kind="export.created")
        assert entry.fields["recipient"] == "auditor"
        assert entry.fields["person"] == "m.smith"
        assert entry.fields["manifest_sha256"] == "ab" * 32
        size = reader.size
    found = verify(path, keys=[KEY.verifier])
    assert (found.covered, found.size) == (size, size)


def test_a_ledger_that_is_opened_and_closed_covers_its_calls(tmp_path: Path) -> None:
    log = office(tmp_path / "x.db")
    log.close()
    acting(log.path).record()
    assert bundle(log.path, Wanted(calls=("c1",))).found.verdict == "verified"


# --- payloads under a key ---------------------------------------------------------------------------------------------------


@pytest.fixture
def sealed(tmp_path: Path) -> InFile:
    """A call whose payloads are encrypted."""
    location = InFile(tmp_path / "s.db", sealing=Sealing(PayloadKey(bytes(range(32))), tmp_path / "s.keys"))
    ledger = StoredLedger(location, clock=SystemClock(), signing=Signing(KEY, tmp_path / "s.state"))
    ledger.open()
    ledger.submit(ConfigActivated(CONFIG, (), ()))
    begin = ledger.submit(started("c1", config_sha256=sha256(CONFIG).hexdigest()))
    settled(ledger.submit(completed(begin, "c1")))
    ledger.close()
    return location


def bundled(location: InFile, *withhold: str) -> Bundle:
    with read(location) as reader:
        return bundling.make(reader, Wanted(calls=("c1",), withhold=withhold), KEY)


def test_encrypted_payloads_are_disclosed_in_clear_where_their_key_is_here(sealed: InFile) -> None:
    made = bundled(sealed)
    assert made.found.verdict == "verified"
    assert b"NUT,SELF-LOCKING,HEXAGON" in made.data
    assert b"NUT,SELF-LOCKING,HEXAGON" not in sealed.path.read_bytes()


def test_without_their_key_what_is_withheld_needs_none(sealed: InFile) -> None:
    closed = InFile(sealed.path)
    with pytest.raises(PayloadSealed):
        bundled(closed)
    made = bundled(closed, "re*", "prompt")
    assert (made.found.code, made.found.problems[0][1]) == (
        2,
        "4 payloads are withheld, or no longer kept: what they said isn't here",
    )


def test_what_people_did_as_the_application_records_it_is_bundled_and_verified(tmp_path: Path) -> None:
    ledger = StoredLedger(InFile(tmp_path / "r.db"), clock=SystemClock(), signing=Signing(KEY, tmp_path / "r.state"))
    ledger.open()
    ledger.submit(ConfigActivated(CONFIG, (), ()))
    begin = ledger.submit(started("c1", config_sha256=sha256(CONFIG).hexdigest()))
    done = ledger.submit(completed(begin, "c1"))
    leaf = settled(done).leaf
    acts: list[tuple[Act, Decision | None]] = [("review", "accepted"), ("override", "changed"), ("appeal", None)]
    for act, decision in acts:
        said = PersonActed(
            *(act, "c1", "classify-item", "1", None, ("CUI",), "m.smith", "completed", leaf, None, None, decision),
            *(None, False, 1500, f"why this {act}".encode(), None, b'{"fsc":"5305"}' if act == "override" else None),
        )
        settled(ledger.submit(said))
    ledger.close()
    made = bundled(InFile(tmp_path / "r.db"))
    assert made.found.verdict == "verified"
    page = unzipped(made.data)["report.html"].decode()
    for part in ("why this review", "why this override", "why this appeal", "5305", "m.smith"):
        assert part in page, part


def test_an_erased_case_is_told_as_one(sealed: InFile) -> None:
    able = Acting(sealed, SystemClock(), Signing(KEY, sealed.path.with_name("s.state")))
    hold(able, CASE["id"], held=True, person="k.l", why="claim 26-104")
    hold(able, CASE["id"], held=False, person="k.l", why="settled")
    happened(able, CASE["id"], event="final-payment", date="2026-11-01", person="k.l", why="w")
    able.record(LegalHold("another", True, "k.l", "not this"))
    erase(able, CASE["id"], basis="letter of 2 November", person="m.smith", approved_by="z.z")
    files = unzipped(bundled(sealed).data)
    page = files["report.html"].decode()
    assert "m.smith had what was asked and answered erased (z.z agreed): letter of 2 November" in page
    assert "k.l forbade to erase anything of this case: claim 26-104" in page
    assert "k.l lifted a prohibition to erase this case (an own one if there was any, else the oldest): settled" in page
    assert "k.l put on record what happened with this case: final-payment, on 2026-11-01 (w)" in page
    assert "not this" not in page
    assert page.count("No longer kept") >= 4
    assert paths(files) == []


@pytest.mark.parametrize("step", ["shred", "forget"])
@pytest.mark.parametrize("withhold", [(), ("request", "prompt", "re*")])
def test_of_a_case_whose_erasure_isnt_finished_nothing_is_shown(
    sealed: InFile, monkeypatch: pytest.MonkeyPatch, step: str, withhold: tuple[str, ...]
) -> None:
    """A hold may stand in its way: then there's no other way to have the records."""
    able = Acting(sealed, SystemClock(), Signing(KEY, sealed.path.with_name("s.state")))

    def killed(*_: Any) -> Any:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(*((Vault, "shred", killed) if step == "shred" else (LedgerFile, "forget", killed)))
        with pytest.raises(LedgerInvalid, match="killed"):
            erase(able, CASE["id"], basis="letter", person="m.smith")
    made = bundled(sealed, *withhold)
    assert (made.found.code, paths(unzipped(made.data))) == (2, [])
    assert unzipped(made.data)["report.html"].decode().count("Withheld: it") >= 4
    erase(able, CASE["id"], basis="letter", person="m.smith")
    assert paths(unzipped(bundled(sealed, *withhold).data)) == []


def test_a_ledger_in_postgresql_is_bundled_alike(postgres: PostgresServer, tmp_path: Path) -> None:
    location = locate(f"{postgres.url}&schema=bundled")
    ledger = StoredLedger(location, clock=SystemClock(), signing=Signing(KEY, tmp_path / "p.state"), origin=ORIGIN)
    ledger.open()
    ledger.submit(ConfigActivated(CONFIG, (), ()))
    for number in range(300):
        begin = ledger.submit(started(f"c{number}", config_sha256=sha256(CONFIG).hexdigest()))
        done = ledger.submit(completed(begin, f"c{number}"))
    settled(done, 60)
    ledger.close()
    with read(location) as reader:
        made = bundling.make(reader, Wanted(calls=("c7",), disclose=("response",)), KEY)
        again = bundling.make(reader, Wanted(calls=("c7",), disclose=("response",)), KEY)
    assert made.data == again.data
    assert made.size > 600
    assert [code for code, _ in made.found.problems] == [2]
    Acting(location, SystemClock(), Signing(KEY, tmp_path / "p.state")).record(ExportCreated("a", "b", "w", "ab" * 32))
    with read(location) as reader:
        assert len(list(reader.records(kind="export.created"))) == 1


def test_the_configuration_in_force_is_that_of_each_calls_own_start(tmp_path: Path) -> None:
    office = Office(tmp_path / "x.db")
    office.configure()
    office.call("c1", 2, "1", "2", case={"id": "T-1"})
    office.call("c2", 3, "1", "2", case=CASE)
    again = office.log.process(3, 4)
    office.first, again.digest = again, office.first.digest
    office.configure()
    office.call("c3", 6, "1", "2", case=CASE)
    office.publish()
    office.close()
    made = bundle(office.path)
    assert made.found.code == 0, made.found.problems


def test_a_record_from_after_a_witness_saw_it_is_noted(tmp_path: Path) -> None:
    log = office(tmp_path / "y.db")
    log.publish()
    log.close()
    made = bundle(log.path, Wanted(cases=(CASE["id"],))).data
    files = unzipped(made)
    records = [json.loads(data) for name, data in files.items() if name.startswith("records/")]
    latest = max(each["ts"] for each in records)
    second = int(datetime.fromisoformat(latest).timestamp())
    keys = [str(KEY.verifier), str(WITNESS_KEY)]
    for seen, told in ((second - 60, 0), (second - 61, 1), (2**64 - 1, 0)):
        note = cosigned(files["checkpoint.txt"], seen)
        moved = {
            name: data.replace(files["checkpoint.txt"], note) for name, data in files.items() if name != "manifest.json"
        }
        found = verify_bundle.verify(zipped(signed(listed({**files, **moved}))), keys)
        assert found.code == 0
        assert sum("a witness saw it at" in each for each in found.notes) == told
        assert (
            f"checkpoint.txt is signed by {WITNESS.name}+{WITNESS_KEY.id.hex()} at {verify_bundle.utc(seen)}"
            in found.notes
        )
    assert verify_bundle.utc(2**64 - 1) == "9999-12-31T23:59:59Z"
