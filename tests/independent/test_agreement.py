"""Two verifiers, one of them written from the published page alone, say the same of every bundle: good, bad and hostile."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import shutil
import subprocess
import sys
import zipfile
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from struct import unpack
from typing import Any

import pytest
from tests.bundled import (
    CASE,
    KEY,
    NEXT,
    ORIGIN,
    WITNESS_KEY,
    Forge,
    Office,
    bundle,
    canonical,
    cosigned,
    listed,
    office,
    proof,
    said,
    signed,
    unzipped,
    zipped,
)
from tests.independent.bundle_reader import examine, types_of_the_page

from failsoft.ledger.bundles.bundle import verifier
from failsoft.ledger.bundles.selection import Wanted
from failsoft.ledger.bundles.verify_bundle import KINDS, Wrong, verify
from failsoft.ledger.format.commitment import digest
from failsoft.ledger.format.merkle import consistency_proof, leaf_hash, over
from failsoft.ledger.format.note import Checkpoint, Note, Signature, VerifierKey, key_id
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.verify import verify as verify_ledger

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "ledger-format.md").read_text()
VKEY = str(KEY.verifier)
EVIL = "\u202e\x1b[31m"


def times_noted(notes: list[str]) -> tuple[int | None, int | None]:
    """Of which size a record is from after it was seen, and which record is from long before."""
    sizes, records = (
        [int(found[1]) for each in notes if (found := re.match(pattern, each))]
        for pattern in (r"one of the first (\d+) records says", r"record (\d+) says .* more than a day later")
    )
    assert max(len(sizes), len(records)) < 2
    return next(iter(sizes), None), next(iter(records), None)


def code_of(
    data: bytes,
    keys: tuple[str, ...] = (VKEY,),
    given: tuple[bytes, ...] = (),
    pins: tuple[tuple[int, str], ...] = (),
    extensions: tuple[bytes, ...] = (),
    former: tuple[str, ...] = (),
) -> int:
    """What both say, which must be the same."""
    ours = verify(data, keys, given, pins, extensions, former)
    noted: list[Any] = []
    theirs, verdict = examine(data, PAGE, keys, given, pins, extensions, noted, former)
    assert ours.code == theirs, (ours, theirs)
    assert not noted or noted == [times_noted(ours.notes)], ours.notes
    assert ours.code or ours.verdict == verdict
    assert all(line.isprintable() for line in ours.lines())
    return ours.code


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 records; a checkpoint of 5, one of 12."""
    made = tmp_path_factory.mktemp("log") / "x.db"
    log = office(made)
    log.publish()
    log.close()
    return made


@pytest.fixture(scope="module")
def early(path: Path) -> bytes:
    """A checkpoint of 5 records, as somebody kept it."""
    bodies = Forge(path).bodies
    leaves = [leaf_hash(each) for each in bodies[:5]]
    return KEY.sign_note(Checkpoint(ORIGIN, 5, over(leaves)(0, 5)).text).to_bytes()


@pytest.fixture(scope="module")
def whole(path: Path, early: bytes) -> bytes:
    return bundle(path, Wanted(calls=("c1", "c2"), withhold=(), since=(early,)), question="May it?").data


@pytest.fixture
def forge(path: Path) -> Forge:
    return Forge(path)


def test_a_good_bundle_is_verified_with_the_key_and_self_consistent_without(whole: bytes, early: bytes) -> None:
    assert code_of(whole) == 0
    assert verify(whole, [VKEY]).verdict == "verified"
    assert code_of(whole, ()) == 0
    assert verify(whole).verdict == "self-consistent"
    assert code_of(whole, (VKEY,), (early,)) == 0
    assert code_of(whole, (VKEY, VKEY), (early, unzipped(whole)["checkpoint.txt"])) == 0
    assert code_of(whole, (), (early,)) == 0


def test_the_types_of_the_page_are_those_of_the_code() -> None:
    assert types_of_the_page(PAGE) == {str(each) for each in Kind} == KINDS


def test_every_byte_of_headers_and_directory_matters(whole: bytes) -> None:
    files = unzipped(whole)
    regions: set[int] = set(range(len(whole) - 22, len(whole)))
    at = 0
    for name in sorted(files):
        regions |= set(range(at, at + 30 + len(name)))
        at += 30 + len(name) + len(files[name])
    regions |= set(range(at, len(whole)))
    chooser = random.Random(5)
    for place in chooser.sample(sorted(regions), 700):
        changed = bytearray(whole)
        changed[place] ^= 1 << chooser.randrange(8)
        assert code_of(bytes(changed)) == (3 if place < 4 else 1), place


def test_every_bit_of_the_archives_end_and_of_an_entry_matters(whole: bytes) -> None:
    end = len(whole) - 22
    (start,) = unpack("<I", whole[-6:-2])
    first = min(unzipped(whole))
    places = [*range(end, len(whole)), *range(start, start + 46 + len(first)), *range(4, 30 + len(first))]
    for place in places:
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            assert code_of(bytes(changed)) == 1, place


def test_a_flipped_byte_of_any_file_is_found_and_named(whole: bytes) -> None:
    chooser = random.Random(6)
    at = 0
    for name, data in sorted(unzipped(whole).items()):
        at += 30 + len(name)
        changed = bytearray(whole)
        changed[at + chooser.randrange(len(data))] ^= 1 << chooser.randrange(8)
        assert code_of(bytes(changed)) == 1
        found = verify(bytes(changed))
        assert name in found.problems[0][1], found
        at += len(data)


def _flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


REPAIRS: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "as it is": lambda files: files,
    "with its manifest": listed,
    "and its signature by another key": lambda files: signed(listed(files), NEXT),
}


@pytest.mark.parametrize("repair", REPAIRS)
def test_no_file_can_be_changed_dropped_added_or_exchanged(whole: bytes, repair: str) -> None:
    files = unzipped(whole)
    names = sorted(files)
    mended = REPAIRS[repair]
    cases: list[dict[str, bytes]] = []
    for name in names:
        cases.append({**files, name: _flip(files[name])})
        cases.append({each: data for each, data in files.items() if each != name})
        cases.append({**files, name: b""})
        cases.append({**files, name: files[name] + b"\n"})
    for one, other in itertools.pairwise(names):
        cases.append({**files, one: files[other], other: files[one]})
    strangers = ("records/40.json", "proofs/40.tlog-proof", f"disclosures/{'0' * 64}.bin", f"artifacts/{'0' * 64}")
    cases += [{**files, name: b"x"} for name in strangers]
    cases.append({**files, "consistency/3-12.txt": b"x"})
    cases.append({**files, "consistency/7-9.txt": files["consistency/5-12.txt"]})
    for case in cases:
        if "manifest.json" in case:
            with contextlib.suppress(ValueError):  # what isn't JSON any more stays as it is
                case = mended(case)
        bad = zipped(case)
        with_key, without = code_of(bad), code_of(bad, ())
        if repair == "as it is":
            assert with_key == without == 1 or set(case) == set(files) - {"manifest.note"}
        elif case != files:
            assert with_key in (1, 2)


def test_a_report_or_question_without_the_logs_signature_is_not_vouched_for(whole: bytes) -> None:
    files = unzipped(whole)
    del files["manifest.note"]
    assert code_of(zipped(files)) == 2
    assert code_of(zipped(files), ()) == 0
    edited = listed({**files, "report.html": b"all is well"}, question="Another?")
    assert code_of(zipped(edited)) == 2
    assert code_of(zipped(signed(edited, NEXT))) == 2
    assert code_of(zipped(signed(edited, text="failsoft-bundle/1\nx\ny\n"))) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"PK\3\4",
        b"PK\5\6" + bytes(18),
        b"SQLite format 3\0" + bytes(100),
        b"PK\3\4" + b"PK\5\6" + bytes(18),
        b"PK\3\4" + bytes(60) + b"PK\5\6" + bytes(4) + b"\xff\xff\xff\xff" + bytes(10),
        b"PK\3\4" + bytes(60) + b"PK\5\6" + bytes(4) + b"\1\0\1\0" + b"\x10\0\0\0" + b"\x30\0\0\0\0\0",
    ],
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    assert code_of(data) == (1 if data.startswith(b"PK\3\4") else 3)


def test_nothing_stands_before_between_or_behind(whole: bytes, tmp_path: Path) -> None:
    assert code_of(b"#!/bin/sh\n" + whole) == 3
    assert code_of(whole + b"\n") == 1
    assert code_of(whole + whole[-22:]) == 1
    for cut in (1, 22, 23, 1000, len(whole) // 2, len(whole) - 10):
        assert code_of(whole[:-cut]) == 1
    files = unzipped(whole)
    assert code_of(zipped({})) == 3
    for name in (
        "../x",
        "records/../../x",
        "/etc/passwd",
        "records/00.json",
        "records/1.json ",
        "manifest.json/",
        "x\n",
        "é",
    ):
        assert code_of(zipped({**files, name: b"x"})) == 1, name
    for options in ({"compression": zipfile.ZIP_DEFLATED}, {"compression": zipfile.ZIP_STORED}):
        with zipfile.ZipFile(tmp_path / "other.zip", "w", **options) as archive:
            for name in sorted(files):
                archive.writestr(name, files[name])
        assert code_of((tmp_path / "other.zip").read_bytes()) == 1


def test_a_name_that_is_there_twice_or_out_of_order_is_refused(whole: bytes) -> None:
    files = unzipped(whole)
    twice = zipped({**files, "records/40.json": files["records/4.json"]}).replace(
        b"records/40.json", b"records/11.json"
    )
    assert code_of(twice) == 1
    a, b = b"records/3.json", b"records/4.json"
    order = whole.replace(a, b"@").replace(b, a).replace(b"@", b)
    assert code_of(order) == 1


# --- manifests ------------------------------------------------------------------------------------------------------------

MANIFESTS: list[tuple[dict[str, Any], int]] = [
    ({"format": "failsoft-bundle/2"}, 3),
    ({"format": 1}, 1),
    ({"format": None}, 1),
    ({"call_ids": []}, 1),
    ({"call_ids": "c1"}, 1),
    ({"call_ids": ["c2", "c1"]}, 1),
    ({"call_ids": ["c1", "c1"]}, 1),
    ({"call_ids": [1]}, 1),
    ({"call_ids": ["c1"]}, 1),
    ({"call_ids": ["c1", "c2", "c3"]}, 2),
    ({"call_ids": ["c1", "c2", "x9"]}, 1),
    ({"size": 0}, 1),
    ({"size": True}, 1),
    ({"size": 13}, 1),
    ({"size": "12"}, 1),
    ({"size": 5}, 1),
    ({"origin": "another"}, 1),
    ({"origin": 5}, 1),
    ({"records": [0]}, 1),
    ({"records": [3, 2]}, 1),
    ({"records": [True, 2]}, 1),
    ({"records": {}}, 1),
    ({"records": None}, 1),
    ({"files": {}}, 1),
    ({"files": [1]}, 1),
    ({"files": [{"name": "x"}]}, 1),
    ({"files": [{"name": "x", "sha256": 5}]}, 1),
    ({"files": [{"name": 5, "sha256": "x"}]}, 1),
    ({"files": [{"name": "x", "sha256": "x", "y": "z"}]}, 1),
    ({"files": []}, 1),
    ({"question": 5}, 1),
    ({"question": EVIL}, 0),
    ({"withheld": ["ab"]}, 1),
    ({"withheld": []}, 1),
    ({"withheld": "x"}, 1),
    ({"withheld": ["0" * 64]}, 1),
    ({"more": "x"}, 1),
]


@pytest.mark.parametrize(("changes", "code"), MANIFESTS, ids=[json.dumps(each) for each, _ in MANIFESTS])
def test_a_signed_manifest_that_is_none_is_refused(forge: Forge, changes: dict[str, Any], code: int) -> None:
    files = forge.made()
    assert code_of(zipped(signed(listed(files, **changes)))) == code


def test_files_are_listed_in_order_and_once(forge: Forge) -> None:
    files = forge.made()
    names = json.loads(files["manifest.json"])["files"]
    for other in (names[::-1], [*names, names[-1]], [names[1], names[0], *names[2:]]):
        assert code_of(zipped(signed(listed(files, files=other)))) == 1


def test_a_manifest_that_is_not_canonical_or_too_large_is_refused(forge: Forge) -> None:
    files = forge.made()
    for data in (b"{}", b"[]", b"null", files["manifest.json"] + b" ", b"\xef\xbb\xbf" + files["manifest.json"], b""):
        assert code_of(zipped({**files, "manifest.json": data})) == 1
    assert code_of(zipped(listed(files, question="x" * (1 << 24)))) == 1


# --- records --------------------------------------------------------------------------------------------------------------


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


MALFORMED = {
    "empty": b"",
    "no object": b"[1]",
    "a duplicate key": b'{"a":1,"a":1}',
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "1.0": b'{"a":1.0}',
    "1e0": b'{"a":1e0}',
    "-0": b'{"a":-0}',
    "2^53": b'{"a":9007199254740992}',
    "many digits": b'{"a":' + b"9" * 5000 + b"}",
    "a needless escape": b'{"a":"\\u0041"}',
    "an upper-case escape": b'{"a":"\\u001F"}',
    "a slash escaped": b'{"a":"\\/"}',
    "a control character": b'{"a":"\n"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "not UTF-8": b'{"a":"\xff"}',
    "33 deep": deep(33),
    "5000 deep": deep(5000),
    "5000 lists": b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a newline in a key": b'{"a\\n":1}',
    "an empty key": b'{"":1}',
    "null": b'{"a":null}',
    "NaN": b'{"a":NaN}',
    "an empty list": b'{"a":[]}',
    "a space": b'{"a": 1}',
    "a trailing newline": b'{"a":1}\n',
    "keys out of order": b'{"b":1,"a":1}',
    "cut": b'{"a":1',
    "more": b'{"a":1}{}',
    "too long": b'{"a":"' + b"x" * 61440 + b'"}',
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_body_is_refused_though_it_is_in_the_tree(forge: Forge, what: str) -> None:
    forge.bodies.append(MALFORMED[what])
    forge.records.append(len(forge.bodies) - 1)
    assert code_of(zipped(forge.made())) == 1
    assert code_of(zipped(forge.made()), ()) == 1


def test_a_body_at_the_limits_is_taken(forge: Forge) -> None:
    nested: Any = "x"
    for _ in range(31):
        nested = {"a": nested}
    forge.add("case.event", deep=nested, small=-(2**53 - 1), text='\x00\x1f"\\\n\x7f\u2028😀', list=[True, [1], {}])
    assert code_of(zipped(forge.made())) == 0
    forge.add("case.event", filler="x" * (61_440 - len(forge.bodies[-1]) + 200))
    forge.change(len(forge.bodies) - 1, filler=None)
    room = 61_440 - len(canonical({**json.loads(forge.bodies[-1]), "filler": ""}))
    forge.change(len(forge.bodies) - 1, filler="x" * room)
    assert len(forge.bodies[-1]) == 61_440
    assert code_of(zipped(forge.made())) == 0
    forge.change(len(forge.bodies) - 1, filler="x" * (room + 1))
    assert code_of(zipped(forge.made())) == 1


CHANGES: list[tuple[int, dict[str, Any], int]] = [
    (10, {"v": True}, 1),
    (10, {"v": 2}, 1),
    (10, {"v": None}, 1),
    (10, {"type": "model.other"}, 1),
    (10, {"type": 1}, 1),
    (10, {"type": "log.opened"}, 1),
    (0, {"type": "case.event"}, 1),
    (10, {"rid": "x"}, 1),
    (10, {"rid": None}, 1),
    (10, {"ts": "2026-11-23T14:00:00Z"}, 1),
    (10, {"ts": "2026-11-23T14:00:00.000000Z\n"}, 1),
    (10, {"ts": 5}, 1),
    (10, {"origin": "another"}, 1),
    (10, {"origin": None}, 1),
    (10, {"emitter": "x"}, 1),
    (10, {"emitter": None}, 1),
    (10, {"eseq": True}, 1),
    (10, {"eseq": -1}, 1),
    (10, {"eseq": "9"}, 1),
    (10, {"eseq": 3}, 1),
    (10, {"eseq": 8}, 1),
    (10, {"eseq": 0}, 1),
    (10, {"eseq": 12}, 1),
    (10, {"mono_us": None}, 1),
    (11, {"mono_us": 0}, 1),
    (1, {"mono_us": 0}, 0),
    (2, {"mono_us": 2**53 - 1}, 1),
    (1, {"type": "case.event"}, 1),
    (10, {"type": "emitter.opened"}, 1),
    (10, {"type": "emitter.closed"}, 1),
    (11, {"type": "emitter.closed"}, 0),
    (10, {"call_id": 5}, 1),
    (10, {"config_sha256": "x"}, 1),
    (10, {"lock_sha256": 5}, 1),
    (10, {"refs": []}, 1),
    (10, {"refs": [1]}, 1),
    (10, {"refs": {"a": "x"}}, 1),
    (10, {"refs": {"a": "0" * 64}}, 0),
    (10, {"commitments": {}}, 1),
    (10, {"commitments": [1]}, 1),
    (10, {"commitments": [{"digest": "0" * 64}]}, 1),
    (10, {"commitments": [{"digest": "0" * 64, "path": 5}]}, 1),
    (10, {"commitments": [{"digest": "x", "path": "a"}]}, 1),
    (10, {"commitments": [{"digest": "0" * 64, "path": "b"}, {"digest": "1" * 64, "path": "a"}]}, 1),
    (10, {"commitments": [{"digest": "0" * 64, "path": "a"}, {"digest": "1" * 64, "path": "a"}]}, 1),
    (10, {"commitments": [{"digest": "0" * 64, "path": "a"}]}, 0),
    (10, {"call_id": "c1", "commitments": [{"digest": "0" * 64, "path": "a"}]}, 1),
    (8, {"refs": None}, 1),
    (8, {"refs": {"started": "0" * 64}}, 1),
    (8, {"type": "call.orphaned"}, 0),
    (8, {"type": "case.event"}, 2),
    (7, {"type": "case.event"}, 2),
    (7, {"config_sha256": "1" * 64}, 2),
    (7, {"config_sha256": None}, 2),
    (2, {"config_sha256": "1" * 64}, 2),
    (2, {"type": "case.event"}, 2),
    (5, {"config_sha256": "1" * 64}, 0),
    (5, {"call_id": "c1"}, 1),
    (6, {"call_id": "c1"}, 1),
]


@pytest.mark.parametrize(
    ("index", "changes", "code"), CHANGES, ids=[f"{i}-{json.dumps(c)[:60]}-{n}" for n, (i, c, _) in enumerate(CHANGES)]
)
def test_a_record_that_says_what_none_may_is_found(
    forge: Forge, index: int, changes: dict[str, Any], code: int
) -> None:
    forge.change(index, **changes)
    if index in (3, 7) and code == 2:
        forge.change(index + 1, refs={"started": forge.leaf(index)})
    assert code_of(zipped(forge.made())) == code


def test_calls_that_do_not_fit_together_are_found(forge: Forge, path: Path) -> None:
    amends = {"call_id": "c2", "outcome": "answered", "degraded": True, "us": 1}
    assert code_of(zipped(forge.add("call.amended", **amends, refs={"completed": forge.leaf(8)}).made())) == 0
    for refs, code in (({"completed": "0" * 64}, 1), ({"completed": Forge(path).leaf(4)}, 1), (None, 0)):
        again = Forge(path).add("call.amended", **amends)
        if refs:
            again.change(12, refs=refs)
        assert code_of(zipped(again.made())) == code
    early = Forge(path).change(6, type="call.amended", call_id="c2", commitments=None, refs=None)
    assert code_of(zipped(early.made())) == 1
    assert code_of(zipped(Forge(path).add("call.started", call_id="c2").made())) == 1
    assert code_of(zipped(Forge(path).add("call.orphaned", call_id="c2").made())) == 1
    assert code_of(zipped(Forge(path).add("call.amended", call_id="c3").made(call_ids=["c1", "c2", "c3"]))) == 0
    lone = Forge(path).add("call.amended", call_id="c3", refs={"completed": "0" * 64})
    assert code_of(zipped(lone.made(call_ids=["c1", "c2", "c3"]))) == 2
    twice = Forge(path)
    twice.change(11, rid=json.loads(twice.bodies[10])["rid"])
    assert code_of(zipped(twice.made())) == 1
    late = Forge(path)
    late.bodies[2], late.bodies[11] = late.bodies[11], late.bodies[2]
    assert code_of(zipped(late.made())) == 1


@pytest.mark.parametrize(
    ("dropped", "code"),
    [((0,), 0), ((1,), 0), ((2,), 2), ((3,), 1), ((4,), 1), ((5, 6), 2), ((5,), 0), ((9,), 1), ((10, 11), 0)],
)
def test_a_choice_that_leaves_out_what_it_needs_is_incomplete(
    forge: Forge, dropped: tuple[int, ...], code: int
) -> None:
    """Where payloads of what was left out are still there, that's tampering."""
    assert code_of(zipped(forge.drop(*dropped).made())) == code


def test_payloads_are_those_of_the_calls_and_what_was_committed_to(forge: Forge) -> None:
    disclosed = sorted(name for name in forge.payloads if name.startswith("disclosures/"))
    first = disclosed[0][12:-4]
    whole = dict(forge.payloads)
    for changed in (
        _flip(whole[disclosed[0]]),
        whole[disclosed[0]] + b"x",
        whole[disclosed[0]][:-1],
        b"",
        whole[disclosed[1]],
    ):
        forge.payloads = {**whole, disclosed[0]: changed}
        assert code_of(zipped(forge.made())) == 1
    forge.payloads = dict(whole)
    forge.withheld = [first]
    assert code_of(zipped(forge.made())) == 1
    del forge.payloads[disclosed[0]]
    assert code_of(zipped(forge.made())) == 2
    forge.withheld = None
    assert code_of(zipped(forge.made())) == 1
    forge.payloads[disclosed[0]] = whole[disclosed[0]]
    assert code_of(zipped(forge.made())) == 0
    artifact = next(name for name in forge.payloads if name.startswith("artifacts/"))
    data = forge.payloads.pop(artifact)
    assert code_of(zipped(forge.made())) == 2
    assert code_of(zipped(forge.drop(5).made())) == 2
    forge.payloads[artifact] = data + b" "
    assert code_of(zipped(forge.made())) == 1
    forge.payloads[artifact] = data
    forge.payloads[f"artifacts/{sha256(b'x').hexdigest()}"] = b"x"
    assert code_of(zipped(forge.made())) == 1


def disclosure(path: bytes, media: bytes, data: bytes, salt: bytes = bytes(32)) -> bytes:
    return (
        salt
        + len(path).to_bytes(4, "big")
        + path
        + len(media).to_bytes(4, "big")
        + media
        + len(data).to_bytes(8, "big")
        + data
    )


@pytest.mark.parametrize(
    ("plain", "code"),
    [
        (disclosure(b"note", b"text/plain", b"x"), 0),
        (disclosure(b"note", b"", b""), 0),
        (disclosure(b"note", b"x" * 128, b""), 0),
        (disclosure(b"other", b"text/plain", b"x"), 1),
        (disclosure(b"note", b"\xff", b"x"), 1),
        (disclosure(b"note", b"x" * 129, b""), 1),
        (disclosure(b"note", b"text/plain", b"x") + b"y", 1),
        (disclosure(b"note", b"text/plain", b"x")[:-1], 1),
        (bytes(32), 1),
        (bytes(31), 1),
        (b"", 1),
        (bytes(40), 1),
        (bytes(32) + b"\xff" * 20, 1),
    ],
)
def test_a_disclosure_has_one_form(forge: Forge, plain: bytes, code: int) -> None:
    named = digest(plain).hex()
    forge.payloads[f"disclosures/{named}.bin"] = plain
    forge.add("case.event", call_id="c1", commitments=[{"digest": named, "path": "note"}])
    assert code_of(zipped(forge.made())) == code


# --- proofs, checkpoints, keys ----------------------------------------------------------------------------------------------


def test_a_proof_is_that_of_its_record_and_nothing_else(forge: Forge) -> None:
    files = forge.made()
    good = files["proofs/4.tlog-proof"]
    note = files["checkpoint.txt"]
    lines = good.split(b"\n")
    others = [
        files["proofs/3.tlog-proof"],
        good.replace(b"index 4", b"index 04"),
        good.replace(b"index 4", b"index 5"),
        good.replace(b"@v1", b"@v2"),
        good + b"\n",
        b"\n" + good,
        good.replace(lines[2], b"AAAA"),
        good.replace(lines[2], lines[2] + b"\n" + lines[2]),
        good.replace(lines[2] + b"\n", b""),
        good.replace(lines[2], lines[2][:-2] + b"B="),
        good.replace(lines[2], b"\xff"),
        good.replace(b"index 4\n", b"extra AAAA\nindex 4\n"),
        good.replace(ORIGIN.encode(), b"another"),
        note,
        b"",
        good.replace(b"index 4\n", b"index 4\n" + b"A" * 10_000 + b"\n"),
    ]
    for other in others:
        assert code_of(zipped(signed(listed({**files, "proofs/4.tlog-proof": other})))) == 1, other


def test_a_log_of_one_record_has_a_proof_without_hashes(forge: Forge) -> None:
    forge.bodies, forge.records, forge.payloads = forge.bodies[:1], [0], {}
    assert code_of(zipped(forge.made())) == 2
    (first,) = forge.bodies
    forge.bodies = [canonical({**json.loads(first), "call_id": "c1"})]
    assert code_of(zipped(forge.made(call_ids=["c1"]))) == 2


NOTES = [
    lambda note: note.replace(b"\n12\n", b"\n012\n"),
    lambda note: note.replace(b"\n12\n", b"\n+12\n"),
    lambda note: note.replace(b"\n12\n", "\n١٢\n".encode()),
    lambda note: note.replace(b"\n12\n", b"\n1_2\n"),
    lambda note: note.replace(b"\n12\n", b"\n12\nextension\n"),
    lambda note: note.replace(b"\n12\n", b"\n12\r\n"),
    lambda note: note.replace(b"\n12\n", "\n12\u2028".encode()),
    lambda note: note.replace("—".encode(), b"-"),
    lambda note: note + b"\n",
    lambda note: note[:-1],
    lambda note: note.replace(b"\n\n", b"\n"),
    lambda note: note + "— x AAAA\n".encode(),
    lambda note: note + "— x y z\n".encode(),
    lambda note: note + ("— x AAAAAAAA\n" * 64).encode(),
    lambda note: note + b"\xff",
    lambda note: note + b"x" * 70_000,
    lambda note: b"\n\n" + note.partition(b"\n\n")[2],
    lambda note: b"",
]


@pytest.mark.parametrize("change", NOTES)
@pytest.mark.parametrize("keys", [(VKEY,), ()])
def test_a_checkpoint_has_one_form(forge: Forge, change: Callable[[bytes], bytes], keys: tuple[str, ...]) -> None:
    files = forge.made()
    note = files["checkpoint.txt"]
    other = change(note)
    moved = {name: data.replace(note, other) for name, data in files.items() if name != "manifest.json"}
    assert code_of(zipped(signed(listed({**files, **moved}))), keys) == 1


def test_lines_of_keys_that_nobody_gave_are_passed_over(forge: Forge) -> None:
    files = forge.made()
    note = files["checkpoint.txt"]
    other = note + "— somebody.else AAAAAAAA\n".encode()
    moved = {name: data.replace(note, other) for name, data in files.items() if name != "manifest.json"}
    assert code_of(zipped(signed(listed({**files, **moved})))) == 0


def test_a_key_may_have_signed_twice(forge: Forge) -> None:
    files = forge.made()
    note = files["checkpoint.txt"]
    twice = note + note.partition(b"\n\n")[2]
    moved = {name: data.replace(note, twice) for name, data in files.items() if name != "manifest.json"}
    assert code_of(zipped(signed(listed({**files, **moved})))) == 0


def test_a_checkpoints_root_has_32_bytes(forge: Forge) -> None:
    files = forge.made()
    note = KEY.sign_note(f"{ORIGIN}\n12\nAAAA\n").to_bytes()
    moved = {
        name: data.replace(files["checkpoint.txt"], note) for name, data in files.items() if name != "manifest.json"
    }
    assert code_of(zipped(signed(listed({**files, **moved})))) == 1


def test_a_signature_that_claims_a_key_must_be_its_own(forge: Forge) -> None:
    files = forge.made()
    text = Note.parse(files["checkpoint.txt"]).text
    good = KEY.sign(text.encode())
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(good[32:], "little")
    forgeries = [
        NEXT.sign(text.encode()),
        bytes(64),
        good[:63],
        good + b"\0",
        good[:32] + (s + order).to_bytes(32, "little"),
        b"\xff" * 32 + good[32:],
        _flip(good),
    ]
    for data in forgeries:
        line = Note(text, (Signature(ORIGIN, KEY.verifier.id, data),)).to_bytes()
        moved = {
            name: each.replace(files["checkpoint.txt"], line) for name, each in files.items() if name != "manifest.json"
        }
        changed = zipped(signed(listed({**files, **moved})))
        assert code_of(changed) == 1
        assert code_of(changed, ()) == 0


def vkey(name: str, kind: int, public: bytes) -> str:
    return f"{name}+{key_id(name, kind, public).hex()}+{b64encode(bytes([kind]) + public).decode()}"


@pytest.mark.parametrize(
    "public",
    [
        (2**255 - 19 + 1).to_bytes(32, "little"),  # 1, not canonical
        (1 | 1 << 255).to_bytes(32, "little"),  # x = 0 with a sign
        (2).to_bytes(32, "little"),  # no point
        b"\xff" * 32,
    ],
)
def test_a_key_that_is_no_point_signed_nothing(forge: Forge, public: bytes) -> None:
    key = vkey(ORIGIN, 1, public)
    files = forge.made()
    text = Note.parse(files["checkpoint.txt"]).text
    line = Note(
        text, (Signature(ORIGIN, VerifierKey.parse(key).id, (1).to_bytes(32, "little") + bytes(32)),)
    ).to_bytes()
    moved = {
        name: each.replace(files["checkpoint.txt"], line) for name, each in files.items() if name != "manifest.json"
    }
    assert code_of(zipped(signed(listed({**files, **moved}))), (key,)) == 1


def test_every_key_is_used_and_a_logs_key_has_its_name(whole: bytes, forge: Forge) -> None:
    assert code_of(whole, (str(NEXT.verifier),)) == 2
    assert code_of(whole, (VKEY, str(NEXT.verifier))) == 2
    assert code_of(whole, (VKEY, str(WITNESS_KEY))) == 2
    stranger = SigningKey("example.com/another", bytes(range(5, 37)))
    forge.key = stranger
    assert code_of(zipped(forge.made()), (str(stranger.verifier),)) == 2
    forge.key = KEY
    files = forge.made()
    note = cosigned(files["checkpoint.txt"])
    moved = {
        name: each.replace(files["checkpoint.txt"], note) for name, each in files.items() if name != "manifest.json"
    }
    witnessed = zipped(signed(listed({**files, **moved})))
    assert code_of(witnessed, (VKEY, str(WITNESS_KEY))) == 0
    assert code_of(witnessed, (str(WITNESS_KEY),)) == 0
    assert verify(witnessed, [str(WITNESS_KEY)]).verdict == "self-consistent"


def test_a_key_that_was_replaced_says_nothing_of_a_bundle(whole: bytes, early: bytes, forge: Forge) -> None:
    """Whoever stole it can still sign one, and leave out what they like."""
    former, both = (str(NEXT.verifier),), (VKEY, str(NEXT.verifier))
    by_next = NEXT.sign_note(Note.parse(early).text).to_bytes()
    forge.key = NEXT
    stolen = zipped(forge.made())
    for given in ((), (unzipped(whole)["checkpoint.txt"],), (early,), (by_next,)):
        assert code_of(stolen, both, given) == 2
        assert code_of(stolen, (VKEY,), given, former=former) == 2
    assert code_of(whole, both) == 2
    assert code_of(whole, both, (early,)) == 2
    assert code_of(whole, (VKEY,), (by_next,)) == 2
    assert code_of(whole, (VKEY,), (by_next, early), former=former) == 0
    assert code_of(whole, (VKEY,), former=former) == 0
    assert code_of(whole, (VKEY,), former=(VKEY,)) == 0
    assert code_of(whole, (), former=(VKEY,)) == 0
    assert verify(whole, former=[VKEY]).verdict == "self-consistent"
    told = list(verify(stolen, both).lines())
    assert sum("isn't signed by the log's key that you gave" in line for line in told) == 2
    assert sum("goes with --former-key" in line for line in told) == 2
    with pytest.raises(Wrong, match="a witness's is given as any key"):
        verify(whole, former=[str(WITNESS_KEY)])


def test_a_log_is_not_its_own_witness(forge: Forge) -> None:
    own = vkey(ORIGIN, 4, KEY.verifier.public)
    files = forge.made()
    note = cosigned(files["checkpoint.txt"], witness=KEY)
    moved = {
        name: each.replace(files["checkpoint.txt"], note) for name, each in files.items() if name != "manifest.json"
    }
    data = zipped(signed(listed({**files, **moved})))
    assert code_of(data) == 0
    assert code_of(data, (own,)) == 0
    assert code_of(data, (VKEY, own)) == 2
    assert code_of(data, (own,), former=(VKEY,)) == 2
    assert "it's no witness" in " ".join(verify(data, [VKEY, own]).lines())


def test_given_checkpoints_and_pins_must_fit_and_be_provable(whole: bytes, early: bytes, forge: Forge) -> None:
    files = unzipped(whole)
    own = files["checkpoint.txt"]
    root = Checkpoint.parse(Note.parse(own).text).root.hex()
    before = Checkpoint.parse(Note.parse(early).text).root.hex()

    def note(size: int, root: bytes = bytes(32), origin: str = ORIGIN, key: Any = KEY) -> bytes:
        made: bytes = key.sign_note(Checkpoint(origin, size, root).text).to_bytes()
        return made

    cases: list[tuple[dict[str, Any], int]] = [
        ({"given": (own,)}, 0),
        ({"given": (own + early,)}, 0),
        ({"pins": ((12, root), (5, before))}, 0),
        ({"pins": ((12, "00" * 32),)}, 1),
        ({"pins": ((5, "00" * 32),)}, 1),
        ({"pins": ((4, "00" * 32),)}, 2),
        ({"pins": ((0, "00" * 32),)}, 2),
        ({"pins": ((13, "00" * 32),)}, 2),
        ({"given": (note(12),)}, 1),
        ({"given": (note(5),)}, 1),
        ({"given": (note(4),)}, 2),
        ({"given": (note(4, origin="another"),)}, 1),
        ({"given": (note(99),)}, 2),
        ({"given": (early.replace(b"\n5\n", b"\n4\n"),)}, 1),
        ({"given": (b"junk",)}, 3),
        ({"given": (b"a\nb\nc\n\n" + own.partition(b"\n\n")[2],)}, 3),
        ({"given": (b"\xff",)}, 3),
        ({"given": (b"",)}, 3),
        ({"given": (note(12, bytes.fromhex(root), key=NEXT),)}, 2),
        ({"given": (note(12, bytes.fromhex(root), key=NEXT),), "former": (str(NEXT.verifier),)}, 0),
    ]
    for case, code in cases:
        assert code_of(whole, **case) == code, case
        assert code_of(whole, (), **case) in (code, 0, 2)


def test_a_consistency_proof_is_read_even_where_nobody_needs_it(whole: bytes, early: bytes) -> None:
    files = unzipped(whole)
    name = "consistency/5-12.txt"
    good = files[name]
    for other in (
        good.replace(b"old 5", b"old 6"),
        good + b"x",
        good[1:],
        b"",
        good.replace(b"\n\n", b"\nAAAA\n\n", 1),
    ):
        changed = zipped(signed(listed({**files, name: other})))
        assert code_of(changed) == 1
        assert code_of(changed, (VKEY,), (early,)) == 1
    for other_name in ("consistency/12-12.txt", "consistency/13-12.txt", "consistency/5-13.txt"):
        assert code_of(zipped(signed(listed({**files, other_name: good})))) == 1


def test_consistency_proofs_of_all_sizes_are_judged_alike(forge: Forge) -> None:
    forge.payloads = {}
    bodies = list(forge.bodies)
    for new in range(2, 13):
        forge.bodies, forge.records = bodies[:new], [0]
        leaves = [leaf_hash(each) for each in forge.bodies]
        files = forge.made(call_ids=["c1"])
        for old in range(1, new):
            hashes = consistency_proof(over(leaves), old, new)
            root = over(leaves)(0, old).hex()
            for path, code in ((hashes, 2), ([*hashes, bytes(32)], 1), (hashes[:-1], 1), ([bytes(32), *hashes[1:]], 1)):
                data = proof(f"old {old}\n", path, files["checkpoint.txt"])
                held = zipped(signed(listed({**files, f"consistency/{old}-{new}.txt": data})))
                assert code_of(held, (VKEY,), (), ((old, root),)) == code, (old, new)


def test_newer_checkpoints_are_held_against_the_proof_that_they_extend_it(forge: Forge) -> None:
    bodies = list(forge.bodies)
    leaves = [leaf_hash(each) for each in bodies]
    forge.payloads = {}

    def part(old: int, new: int, path: list[bytes] | None = None, origin: str = ORIGIN) -> bytes:
        note = KEY.sign_note(Checkpoint(origin, new, over(leaves)(0, new)).text).to_bytes()
        return proof(f"old {old}\n", consistency_proof(over(leaves), old, new) if path is None else path, note)

    for old in range(1, 12):
        forge.bodies, forge.records = bodies[:old], [0]
        held = forge.made(call_ids=["c1"])
        data = zipped(signed(listed(held)))
        assert code_of(data) == 2  # of the call itself there's nothing
        for new in range(old + 1, 13):
            path, pin = consistency_proof(over(leaves), old, new), (new, over(leaves)(0, new).hex())
            others = [part(old, each) for each in range(old + 1, 13) if each != new]
            for extension, code in (
                ((part(old, new),), 2),
                ((b"".join([*others, part(old, new)]),), 2),
                ((*others, part(old, new)), 2),
                ((part(old, new, path[:-1]),), 1),
                ((part(old, new, [*path, bytes(32)]),), 1),
                ((part(old, new, [bytes(32), *path[1:]]),), 1),
                ((part(old, new) * 2,), 2),
                ((part(old, new), part(old, new)), 2),
                ((part(old, new, path[:-1]), part(old, new)), 2),
                ((part(old, new) + part(old, new, [*path, bytes(32)]),), 2),
                ((part(old, new, path[:-1]), part(old, new, [*path, bytes(32)])), 1),
                ((*others[:-1], part(old, new), part(old, 13, [])), 1),
                ((part(old, new), part(old, old, [])), 3),
                ((part(old, new), part(old, old - 1, [])), 3),
                ((part(old, new, origin="another"),), 3),
                ((part(old + 1, new, path),), 3),
                ((b"x" + part(old, new),), 3),
                ((part(old, new)[:-1],), 3),
                ((part(old, new).replace(b"\n\n", b"\n", 1),), 3),
                ((b"old 5\n",), 3),
                ((b"old \n",), 3),
                ((b"",), 3),
            ):
                assert code_of(data, (VKEY,), (), (pin,), extension) == code, (old, new, extension)


def later_than(path: Path, *bodies: bytes, size: int = 12) -> tuple[bytes, bytes]:
    """A checkpoint of these records more, and the proof that leads to it."""
    leaves = [leaf_hash(each) for each in [*Forge(path).bodies, *bodies]]
    note = KEY.sign_note(Checkpoint(ORIGIN, len(leaves), over(leaves)(0, len(leaves))).text).to_bytes()
    return note, proof(f"old {size}\n", consistency_proof(over(leaves), size, len(leaves)), note)


def test_an_extension_that_was_kept_goes_with_a_newer_one(whole: bytes, path: Path) -> None:
    (note, kept), (newest, newer) = later_than(path, b"13"), later_than(path, b"13", b"14")
    own = (note + b"\n" + newest,)
    for extensions in ((kept, kept + newer), (kept + newer, kept), (kept + newer + kept,), (kept * 2, newer)):
        assert code_of(whole, given=own, extensions=extensions) == 0


def test_two_trees_of_one_size_are_never_both_right(whole: bytes, path: Path) -> None:
    (note, kept), (other, forked) = later_than(path, b"13"), later_than(path, b"31")
    for own in ((), (note,), (other,)):
        assert code_of(whole, given=own, extensions=(kept + forked,)) == 1
        assert code_of(whole, given=own, extensions=(forked, kept)) == 1
    assert code_of(whole, given=(note,), extensions=(kept,)) == 0
    assert code_of(whole, given=(note,), extensions=(forked,)) == 1


def test_every_byte_of_an_extension_matters_but_those_of_signatures(whole: bytes, path: Path) -> None:
    (note, first), (newest, second) = later_than(path, b"13"), later_than(path, b"13", b"14")
    extension = first + second
    sizes, lines = set[int](), set[int]()
    for each in (note, newest):
        at = extension.index(each)
        lines.update(range(at + each.index(b"\n\n") + 2, at + len(each)))
        sizes.update(range(at + each.index(b"\n") + 1, at + each.index(b"\n") + 3))
    for own in ((), (note + b"\n" + newest,)):
        codes: dict[str, set[int]] = {"lines": set(), "sizes": set(), "others": set()}
        for at in range(len(extension)):
            changed = extension[:at] + bytes([extension[at] ^ 1]) + extension[at + 1 :]
            place = "lines" if at in lines else "sizes" if at in sizes else "others"
            codes[place].add(code_of(whole, (), own, (), (changed,)))
        # of a size that nobody holds it may be that another has the same proof: 14 and 15
        assert codes == {"lines": {0, 3}, "sizes": {2, 3} if own else {0, 3}, "others": {1, 3}}


@pytest.mark.parametrize("spoilt", ["hash", "root", "checkpoint", "log"])
def test_what_an_extension_that_does_not_hold_says_is_no_more_than_is_known(
    whole: bytes, path: Path, spoilt: str
) -> None:
    (note, good), (other, forked) = later_than(path, b"13"), later_than(path, b"31")
    changed = {
        "hash": good.replace(good.splitlines()[1], b64encode(bytes(32))),
        "root": good.replace(note.splitlines()[2], b64encode(bytes(32))),
        "checkpoint": good,
        "log": forked,
    }
    own = {"checkpoint": other}.get(spoilt, note)
    expected = (
        "the extension doesn't prove that the bundle's log goes on to the checkpoint of 13 records: the extension, the "
        "bundle or the checkpoint was changed on its way, or the log was forked or cut. Have the extension made anew from "
        "the log: if that says the same, or can't be made, it was the log"
    )
    found = verify(whole, [VKEY], [own], extensions=[changed[spoilt]])
    assert (found.code, found.problems) == (1, [(1, expected)])
    if spoilt in ("hash", "root"):  # it's no more than that where nobody needs it
        assert verify(whole, [VKEY], extensions=[changed[spoilt]]).problems == [(1, expected)]
    else:
        assert verify(whole, [VKEY], extensions=[changed[spoilt]]).code == 0


def test_a_newer_checkpoint_without_its_proof_leaves_a_bundle_incomplete(whole: bytes, path: Path) -> None:
    leaves = [leaf_hash(each) for each in [*Forge(path).bodies, b"13", b"14", b"15"]]
    later = [KEY.sign_note(Checkpoint(ORIGIN, size, over(leaves)(0, size)).text).to_bytes() for size in (13, 15)]
    forked = KEY.sign_note(Checkpoint(ORIGIN, 15, bytes(32)).text).to_bytes()
    parts = [
        proof("old 12\n", consistency_proof(over(leaves), 12, size), note)
        for size, note in zip((13, 15), later, strict=True)
    ]
    both = b"".join(later)
    assert code_of(whole, given=(both,)) == 2
    assert code_of(whole, given=(both,), extensions=(parts[0],)) == 2
    assert code_of(whole, given=(both,), extensions=(b"".join(parts),)) == 0
    assert code_of(whole, given=(both,), extensions=tuple(parts)) == 0
    assert code_of(whole, given=(later[1],), extensions=(b"".join(parts),)) == 0
    assert code_of(whole, extensions=tuple(parts)) == 0
    assert code_of(whole, given=(forked,), extensions=tuple(parts)) == 1
    for spoilt in (forked[:-1], forked[:-1] + b" \n", forked.replace(b"\n", b"\r\n"), b"> " + forked):
        assert code_of(whole, given=(later[0] + b"\n" + spoilt,), extensions=tuple(parts)) == (
            3 if spoilt[0] != 62 else 1
        )
    found = verify(whole, [VKEY], [both], extensions=parts)
    assert "your checkpoint of 15 records extends the bundle's log" in found.notes


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 records of the first two minutes, one of the next day, two of the day after."""
    path = tmp_path_factory.mktemp("days") / "x.db"
    log = office(path)
    for second in (90_000, 200_000, 200_001):
        log.first.tell(Kind.MODEL_IDENTITY_CHANGED, second, adapter="gpt")
    log.publish()
    log.close()
    return path


@pytest.mark.parametrize("keys", [(VKEY, str(WITNESS_KEY)), (str(WITNESS_KEY),)], ids=["both", "witness"])
def test_a_witnesss_times_are_noted_alike_of_a_ledger_and_of_a_bundle(days: Path, keys: tuple[str, ...]) -> None:
    bodies = Forge(days).bodies
    leaves = [leaf_hash(each) for each in bodies]
    seconds = [int(datetime.fromisoformat(json.loads(each)["ts"]).timestamp()) for each in bodies]

    def seen(size: int, time: int, root: bytes | None = None) -> bytes:
        checkpoint = Checkpoint(ORIGIN, size, root or over(leaves)(0, size))
        return cosigned(KEY.sign_note(checkpoint.text).to_bytes(), time)

    def forked(size: int, time: int) -> bytes:
        return seen(size, time, bytes(32))

    sizes = (5, 12, 13)
    whole = bundle(
        days, Wanted(calls=("c1", "c2"), since=tuple(seen(each, 9) for each in sizes), all_records=True)
    ).data
    latest = {size: max(seconds[:size]) for size in (*sizes, 15)}
    day = 86_400
    for given, noted in (
        ((seen(15, latest[15] - 60),), (None, None)),
        ((seen(15, latest[15] - 61),), (15, None)),
        ((seen(5, latest[5] - 61),), (5, None)),
        ((seen(13, 9), seen(5, 9)), (5, None)),
        ((seen(13, 9), seen(13, latest[13] + 9)), (13, None)),
        ((seen(12, seconds[12] + day),), (None, None)),
        ((seen(12, seconds[12] + day + 1),), (None, 12)),
        ((seen(5, seconds[12] + day + 1),), (None, 5)),
        ((seen(12, seconds[13] + day + 1), seen(12, seconds[12] + day)), (None, None)),
        ((seen(13, seconds[13] + day + 1), seen(5, latest[5] - 61)), (5, 13)),
        ((seen(13, 2**64 - 1),), (None, 13)),
        ((seen(15, 2**64 - 1),), (None, None)),
        ((forked(15, 9),), (None, None)),
        ((forked(5, 9),), (None, None)),
        ((forked(5, 2**64 - 1),), (None, None)),
    ):
        assert code_of(whole, keys, given) in (0, 1), given
        ours = verify(whole, keys, given)
        of_ledger = verify_ledger(days, keys=[VerifierKey.parse(each) for each in keys], checkpoints=given)
        assert times_noted(ours.notes) == noted == times_noted(list(of_ledger.notes)), given
        sentences = [[each for each in notes if "a witness saw" in each] for notes in (ours.notes, of_ledger.notes)]
        assert sentences[0] == sentences[1]


def test_a_witnesss_time_counts_where_it_is_proven_that_it_saw_this_log(days: Path) -> None:
    bodies, keys = Forge(days).bodies, (VKEY, str(WITNESS_KEY))
    leaves = [leaf_hash(each) for each in bodies]
    early = cosigned(KEY.sign_note(Checkpoint(ORIGIN, 5, over(leaves)(0, 5)).text).to_bytes(), 9)
    newer, extension = later_than(days, b"15", size=15)
    newer = cosigned(newer, 9)
    without = bundle(days, Wanted(calls=("c1", "c2"))).data
    for given, extensions, code, noted in (
        ((early,), (), 2, None),
        ((newer,), (), 2, None),
        ((newer,), (extension,), 0, 16),
        ((newer,), (extension.replace(b"\n16\n", b"\n17\n"),), 1, None),
    ):
        assert code_of(without, keys, given, (), extensions) == code
        assert times_noted(verify(without, keys, given, (), extensions).notes) == (noted, None)


def test_a_witnesss_time_is_noted_with_what_may_be_so(days: Path) -> None:
    bodies, keys = Forge(days).bodies, (VKEY, str(WITNESS_KEY))
    leaves = [leaf_hash(each) for each in bodies]
    given = [
        cosigned(KEY.sign_note(Checkpoint(ORIGIN, size, over(leaves)(0, size)).text).to_bytes(), time)
        for size, time in ((13, 1 << 33), (15, 9))
    ]
    whole = bundle(days, Wanted(calls=("c1",), since=(given[0],), all_records=True)).data
    says = [json.loads(each)["ts"] for each in bodies]
    assert [each for each in verify(whole, keys, given).notes if "a witness saw" in each] == [
        f"one of the first 15 records says {says[14]}, and a witness saw it at 1970-01-01T00:00:09Z: its clock was ahead, or "
        "the witness's behind, or one of them lies",
        f"record 13 says {says[13]}, and a witness saw what's before it more than a day later: it waited before it came into "
        "the log, or the witness cosigned late, or a clock was wrong, or one of them lies",
    ]


# --- with nothing but an interpreter, and with openssl -----------------------------------------------------------------------


def test_the_shipped_file_verifies_alone(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "verify.py").write_bytes(verifier())
    (tmp_path / "b.zip").write_bytes(whole)
    command = [sys.executable, "-I", "-S", "verify.py", "b.zip"]

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, env={})
        return done.returncode, done.stdout

    code, told = run("--key", VKEY)
    assert (code, told.split("\n")[0]) == (0, "verified")
    code, told = run()
    assert (code, told.split("\n")[0]) == (0, "self-consistent")
    (tmp_path / "b.zip").write_bytes(_flip(whole[:5000]) + whole[5001:])
    assert run("--key", VKEY)[0] == 3


def test_openssl_holds_the_notes_signature(whole: bytes, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl isn't installed: the note's signature is checked by two libraries only")
    files = unzipped(whole)
    der = (
        bytes.fromhex("302a300506032b6570032100") + KEY.verifier.public
    )  # RFC 8410: SubjectPublicKeyInfo of an Ed25519 key
    (tmp_path / "key.der").write_bytes(der)
    for name in ("checkpoint.txt", "manifest.note"):
        note = Note.parse(files[name])
        for text, code in ((note.text, 0), (note.text + "x", 1)):
            (tmp_path / "text").write_bytes(text.encode())
            (tmp_path / "signature").write_bytes(note.signatures[0].data)
            command = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", "key.der", "-keyform", "DER", "-rawin"]
            done = subprocess.run(
                [*command, "-in", "text", "-sigfile", "signature"], cwd=tmp_path, capture_output=True, check=False
            )
            assert done.returncode == code, done.stderr


def test_a_call_taken_for_orphaned_is_ended_by_its_own_process_alone(tmp_path: Path) -> None:
    office = Office(tmp_path / "x.db")
    office.configure()
    second = office.log.process()
    told = {"call_id": "c9", "capability": {"name": "rate"}, "case": CASE}
    opening = {**told, "config_sha256": office.first.digest, "deadline_ms": 1}
    began = office.first.say(Draft(Kind.CALL_STARTED, opening, (said("request", "1"),)), 2)
    refs = {"refs": {"started": began.leaf.hex()}}
    second.say(Draft(Kind.CALL_ORPHANED, {**told, **refs}), 3)
    office.first.say(Draft(Kind.CALL_COMPLETED, {**told, **refs, "outcome": "answered", "degraded": True, "us": 1}), 4)
    office.publish()
    office.close()
    assert verify_ledger(office.path).exit_code == 0
    forge = Forge(office.path, ("c9",))
    orphaned, completed = json.loads(forge.bodies[5]), json.loads(forge.bodies[6])
    assert (orphaned["type"], completed["type"]) == ("call.orphaned", "call.completed")
    assert code_of(zipped(forge.made())) == 0
    own, other = completed["emitter"], orphaned["emitter"]
    by_itself = Forge(office.path, ("c9",)).change(5, emitter=own, eseq=3).change(6, eseq=4)
    assert code_of(zipped(by_itself.made())) == 1
    by_another = Forge(office.path, ("c9",)).change(6, emitter=other, eseq=2)
    assert code_of(zipped(by_another.made())) == 1
    bodies = Forge(office.path, ("c9",))
    bodies.bodies[5:7] = reversed(bodies.bodies[5:7])
    assert code_of(zipped(bodies.made())) == 1


def test_the_schema_of_an_answer_goes_along(tmp_path: Path) -> None:
    office = Office(tmp_path / "x.db")
    schema = b'{"type":"object"}'
    digest = sha256(schema).hexdigest()
    config = b'{"adapters":{}}'
    office.first.digest = sha256(config).hexdigest()
    capabilities = [{"name": "rate-alternative", "digest": digest}, {"name": "other"}]
    fields = {"config_sha256": office.first.digest, "capabilities": capabilities}
    artifacts = (("application/json", config), ("application/schema+json", schema))
    office.first.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), artifacts), 1)
    office.call("c1", 2, "1", "2")
    office.publish()
    office.close()
    made = bundle(office.path, Wanted(calls=("c1",))).data
    assert unzipped(made)[f"artifacts/{digest}"] == schema
    assert code_of(made) == 0
