#!/usr/bin/env python3
"""Verify a failsoft evidence bundle with Python's standard library and nothing else (Python 3.8 or later).

    python -I -S verify.py BUNDLE.zip --key VKEY [--former-key VKEY] [--checkpoint FILE] [--pin SIZE:ROOT]
        [--extension FILE] [--json]

VKEY is the log's verifier key (``name+id+base64``), FILE a signed checkpoint or several, both from your own keeping: never
from the bundle, nor from whoever sent it. A former key is one that another has replaced: it counts on checkpoints of yours
alone, since whoever stole it can still sign a bundle. An extension may be from anywhere: it proves that a checkpoint that's
newer than the bundle extends the bundle's log. Take this file from the release, too, and compare its published SHA-256: a
copy that came inside a bundle says what its sender likes. What's checked is described in
``docs/reference/ledger-format.md``.

Exit code: 0 whole (without a key that's "self-consistent" and never "verified"); 1 tampered with; 2 incomplete: something
is withheld, missing, or not covered by what you gave; 3 it can't be used, or there's no memory to look at it, or no output
to say it; 64 the command line is wrong.

How it goes, top to bottom: the zip file is taken apart and put together again (1), JSON is read strictly (2), signed notes
(3) and Ed25519 (4) are checked, then the Merkle proofs (5), and then what the records say of each other (6).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import struct
import sys
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from time import gmtime, strftime
from typing import Any, NamedTuple, NoReturn

WHOLE, TAMPERED, INCOMPLETE, UNUSABLE, USAGE = 0, 1, 2, 3, 64
GRAVER = (WHOLE, INCOMPLETE, TAMPERED, UNUSABLE)  # each than the one before it
SHOWN = 100  # problems; the others are counted, but for one that is graver than all before
GONE = "a reader that has gone"

FORMAT = "failsoft-bundle/1"
MAX_BYTES = 1 << 30  # of a bundle
MAX_MANIFEST = 1 << 24
MAX_RECORD = 61440
MAX_NOTE = 65536
MAX_PINS = 1 << 24  # of a file of checkpoints

CLOCKS_DIFFER = 60  # seconds by which a record's time may lie after a witness's: they're two clocks
COSIGNED_LATE = 86400  # seconds by which one may lie before a witness saw what's before it

ARTIFACTS = ("config_sha256", "lock_sha256", "report_sha256")

KINDS = frozenset(
    [
        *("log.opened", "emitter.opened", "emitter.closed", "gap.declared", "config.activated", "lock.changed"),
        *("block.changed", "breaker.changed", "rollback.executed", "key.rotated", "model.retirement_notice"),
        *("model.identity_changed", "call.started", "call.completed", "call.amended", "call.orphaned"),
        *("review.recorded", "override.recorded", "approval.recorded", "appeal.recorded", "case.event"),
        *("drift.detected", "probe.completed", "baseline.accepted", "shadow.compared", "ledger.failure"),
        *("ledger.recovered", "payload.erased", "record.pruned", "legal_hold.set", "legal_hold.cleared"),
        *("export.created", "ledger.transferred"),
    ]
)


class Wrong(Exception):
    """What's wrong with something, and the exit code that this means."""

    def __init__(self, what: str, code: int = TAMPERED) -> None:
        super().__init__(what)
        self.code = code


# --- 1. the archive ---------------------------------------------------------------------------------------------------

NAMES = re.compile(
    r"manifest\.json|manifest\.note|checkpoint\.txt|report\.html|verify\.py"
    r"|records/(0|[1-9][0-9]{0,15})\.json|proofs/(0|[1-9][0-9]{0,15})\.tlog-proof"
    r"|consistency/[1-9][0-9]{0,15}-[1-9][0-9]{0,15}\.txt|disclosures/[0-9a-f]{64}\.bin|artifacts/[0-9a-f]{64}"
)


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of an archive, which must be the one archive that these files make, byte for byte."""
    if len(data) > MAX_BYTES:
        raise Wrong("more than 1 GiB: no bundle is that large", UNUSABLE)
    if data[:4] != b"PK\3\4":
        raise Wrong("not a bundle: it doesn't begin as one", UNUSABLE)
    if len(data) < 22 or data[-22:-18] != b"PK\5\6":
        raise Wrong("the archive is cut, or something was put behind it")
    count, size, start = struct.unpack("<HII", data[-12:-2])
    if count == 0xFFFF or start + size + 22 != len(data):
        raise Wrong("the archive's directory isn't where its end says")
    files: dict[str, bytes] = {}
    directory: list[bytes] = []
    at = 0
    for name, length, stated in _listed(data, start, count):
        body = at + 30 + len(name)
        if body + length > start:
            raise Wrong(f"{name}: its bytes lie outside of the archive's part for files")
        content = data[body : body + length]
        if zlib.crc32(content) != stated:
            raise Wrong(f"{name}: its bytes were changed: the checksum is another one")
        raw = name.encode("ascii")
        common = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0x21, stated, length, length, len(raw), 0)
        if data[at:body] != b"PK\3\4" + common + raw:
            raise Wrong(f"{name}: its header isn't the one that a bundle has")
        directory.append(b"PK\1\2\x14\3" + common + struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, at) + raw)
        files[name] = content
        at = body + length
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, size, start, 0)
    if at != start or data[start:] != b"".join(directory) + end:
        raise Wrong("the archive isn't the one that its files make: its directory was changed")
    return files


def _listed(data: bytes, at: int, count: int) -> Iterator[tuple[str, int, int]]:
    """What the archive's directory lists: name, length and checksum of each file."""
    before = ""
    for _ in range(count):
        if at + 46 > len(data):
            raise Wrong("the archive's directory is cut")
        stated, length, _length, name_length = struct.unpack("<IIIH", data[at + 16 : at + 30])
        name = data[at + 46 : at + 46 + name_length].decode("ascii", "replace")
        if NAMES.fullmatch(name) is None:
            raise Wrong(f"a file of the archive has a name that no bundle has: {shown(name)}")
        if name <= before:
            raise Wrong(f"the archive's names aren't in order, or one is there twice: {name}")
        yield name, length, stated
        before, at = name, at + 46 + name_length


# --- 2. strict JSON ---------------------------------------------------------------------------------------------------

KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
HEX32 = re.compile(r"[0-9a-f]{32}")
HEX64 = re.compile(r"[0-9a-f]{64}")


def read_json(body: bytes, limit: int) -> dict[str, Any]:
    """An object in the one form of it that the profile allows: every other way to write it is refused."""
    if not 0 < len(body) <= limit:
        raise Wrong("it's empty or too long")
    try:
        text = body.decode("utf-8")
        document: dict[str, Any] = json.loads(
            text, object_pairs_hook=_once, parse_int=_integer, parse_float=_no_number, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        raise Wrong("it isn't strict JSON in UTF-8") from None
    if document.__class__ is not dict:
        raise Wrong("it isn't an object")
    _profile(document, 1)
    try:
        again = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        same = again.encode("utf-8") == body
    except UnicodeEncodeError:
        same = False
    if not same:
        raise Wrong("it isn't in canonical form")
    return document


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


def _integer(text: str) -> int:
    if len(text) > 17:
        raise ValueError("an integer beyond 2^53 - 1")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError("a number that is no integer")


def _profile(value: Any, depth: int) -> None:
    kind = value.__class__
    if depth > 32 and kind in (dict, list):
        raise Wrong("it's nested deeper than 32")
    if kind is dict:
        for key, each in value.items():
            if KEY.fullmatch(key) is None:
                raise Wrong("a key of it is none")
            _profile(each, depth + 1)
    elif kind is list:
        if not value:
            raise Wrong("a list of it is empty")
        for each in value:
            _profile(each, depth + 1)
    elif kind is int:
        if abs(value) > 2**53 - 1:
            raise Wrong("an integer of it is beyond 2^53 - 1")
    elif kind not in (str, bool):
        raise Wrong("a value of it is null")


# --- 3. signed notes (C2SP signed-note, tlog-checkpoint, tlog-cosignature) ----------------------------------------------

LOG_KEY, WITNESS_KEY = 1, 4
KEY_NAME = re.compile(r"[^\s+\x00-\x1f\x7f\ud800-\udfff]{1,256}")
SIZE = re.compile(r"0|[1-9][0-9]{0,18}")  # not int(): that takes "+5", "1_0" and the digits of other scripts
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
NOTE_IN_FILE = re.compile(
    rb"^([^\n]+)\n([0-9]+)\n[A-Za-z0-9+/=]+\n\n(?:\xe2\x80\x94 [^ \n]+ [A-Za-z0-9+/=]+\n)+", re.MULTILINE
)
DASH = b"\xe2\x80\x94 "  # what a line of a signature begins with
PROOF_BEGINS = re.compile(rb"^(?=old [0-9]+\n)", re.MULTILINE)


class Key(NamedTuple):
    """Somebody's public key, by a name."""

    name: str
    id: bytes
    kind: int
    public: bytes

    @property
    def told(self) -> str:
        """Which one it is."""
        return f"{self.name}+{self.id.hex()}"


class Note(NamedTuple):
    """A text, and below it: whose signature each line claims to be, and its bytes."""

    text: str
    lines: list[tuple[str, bytes, bytes]]


class Checkpoint(NamedTuple):
    """A log at one moment."""

    origin: str
    size: int
    root: bytes


def decode64(text: str) -> bytes:
    """Base64, written in the one way: decoded, encoded again and compared."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise Wrong("not base64") from None
    if base64.b64encode(data).decode("ascii") != text:
        raise Wrong("not base64 as it's written")
    return data


def read_key(text: str) -> Key:
    """``name+id+base64(kind, public key)``."""
    parts = text.split("+", 2)
    if (
        not text.isprintable()
        or len(parts) != 3
        or KEY_NAME.fullmatch(parts[0]) is None
        or re.fullmatch("[0-9a-f]{8}", parts[1]) is None
    ):
        raise Wrong("not a verifier key: NAME+ID+BASE64 is one")
    data = decode64(parts[2])
    if len(data) != 33 or data[0] not in (LOG_KEY, WITNESS_KEY):
        raise Wrong("a key of a kind that isn't known here")
    stated = hashlib.sha256(parts[0].encode("utf-8") + b"\n" + data).digest()[:4]
    if stated.hex() != parts[1]:
        raise Wrong("a verifier key whose id isn't the one of its name and key")
    return Key(parts[0], stated, data[0], data[1:])


def read_note(data: bytes) -> Note:
    """Text, an empty line, signatures. Lines end with LF and nothing else."""
    if len(data) > MAX_NOTE:
        raise Wrong("not a signed note: it's too long")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong("not a signed note: not UTF-8") from None
    text, gap, below = whole.rpartition("\n\n")
    lines = below.split("\n")
    if CONTROL.search(whole) or not gap or not text or lines.pop() != "" or not 1 <= len(lines) <= 64:
        raise Wrong("not a signed note")
    signatures: list[tuple[str, bytes, bytes]] = []
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or KEY_NAME.fullmatch(parts[1]) is None:
            raise Wrong("not a signed note: a line below it is no signature")
        data = decode64(parts[2])
        if len(data) < 5:
            raise Wrong("not a signed note: a signature is too short")
        signatures.append((parts[1], data[:4], data[4:]))
    return Note(text + "\n", signatures)


def read_checkpoint(text: str) -> Checkpoint:
    """Origin, size, root: three lines."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0] or SIZE.fullmatch(lines[1]) is None:
        raise Wrong("not a checkpoint")
    root = decode64(lines[2])
    if len(root) != 32:
        raise Wrong("not a checkpoint: its root isn't 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def notes_in_file(data: bytes) -> list[bytes]:
    """Checkpoints of a file, and what stands besides them: it may be the newest, and spoilt. Only what was cut as it was
    written, and ends so, is passed over where there's one of as many records.
    """
    notes = list(NOTE_IN_FILE.finditer(data))
    largest: dict[bytes, tuple[int, bytes]] = {}
    for each in notes:
        largest[each[1]] = max(digits(each[2]), largest.get(each[1], (0, b"")))
    found: list[bytes] = []
    at = 0
    for each in notes:
        between = data[at : each.start()]
        if between.strip() and not is_cut(between, largest):
            found.append(between)
        found.append(each.group())
        at = each.end()
    rest = data[at:]
    return [*found, *([rest] if rest.strip() or not found else [])]


def is_cut(data: bytes, largest: Mapping[bytes, tuple[int, bytes]]) -> bool:
    """Are these the beginnings of checkpoints of no more records than others of the file have, each ended by a space? The
    first may be that of a further signature: what stands before it is a checkpoint without that one.
    """
    *cuts, rest = data.split(b" \n")
    origins = sorted(largest)
    for index, each in enumerate(cuts):
        origin, *more = each.strip(b" \n").split(b"\n")
        signs = index == 0 and (origin.startswith(DASH) or DASH.startswith(origin))
        near = bisect_left(origins, origin)  # the first that may begin so
        if not more and (signs or any(known.startswith(origin) for known in origins[near : near + 1])):
            continue
        if not more or origin not in largest or more[0].strip(b"0123456789") or digits(more[0]) > largest[origin]:
            return False
    return not rest.strip()


def digits(data: bytes) -> tuple[int, bytes]:
    """A number to compare: of as many digits as like."""
    text = data.lstrip(b"0")
    return len(text), text


def utc(seconds: int) -> str:
    """A time as records have it, to the second; what's later than the year 9999 as its last one."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(min(seconds, 253402300799)))


def signers(note: Note, keys: Sequence[Key]) -> dict[Key, int]:
    """Those of the keys that signed it, and when: in seconds since 1970 where it's a witness's, 0 where it's the log's.

    A line that claims one of them and isn't its own is tampering.
    """
    good: dict[Key, int] = {}
    for key in keys:
        for name, identity, data in note.lines:
            if (name, identity) != (key.name, key.id):
                continue
            message, seconds = note.text.encode("utf-8"), 0
            if key.kind == WITNESS_KEY:
                seconds = int.from_bytes(data[:8], "big")
                message, data = b"cosignature/v1\ntime %d\n" % seconds + message, data[8:]
            if not ed25519(key.public, message, data):
                raise Wrong(f"it has a signature that isn't that of its key, {key.told}")
            good[key] = min(seconds, good.get(key, seconds))
    return good


# --- 4. Ed25519 (RFC 8032, section 5.1.7, without the cofactor) ---------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
# A point is (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z.


def _add(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    w, x, y, z = f - e, h - g, h + g, f + e
    return (w * x % P, y * z % P, x * y % P, w * z % P)


def _point(data: bytes) -> tuple[int, int, int, int] | None:
    """The point with this encoding; None where there's none, or it has another encoding that's the right one."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    if x * x % P != square or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def _encoded(point: tuple[int, int, int, int]) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


NEUTRAL: tuple[int, int, int, int] = (0, 1, 1, 0)
BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or NEUTRAL


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Is this the key's signature of this message?"""
    if len(public) != 32 or len(signature) != 64:
        return False
    point = _point(public)
    s = int.from_bytes(signature[32:], "little")
    if point is None or s >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % ORDER
    minus = (P - point[0], point[1], point[2], P - point[3])
    sums = (NEUTRAL, BASE, minus, _add(BASE, minus))
    result = NEUTRAL
    for bit in range(252, -1, -1):  # s * BASE + k * minus, both at once
        result = _add(result, result)
        result = _add(result, sums[(s >> bit & 1) | (k >> bit & 1) << 1])
    return _encoded(result) == signature[:32]


# --- 5. Merkle proofs (RFC 9162, sections 2.1.3.2 and 2.1.4.2) -----------------------------------------------------------


def leaf_hash(body: bytes) -> bytes:
    """What the tree holds of a record."""
    return hashlib.sha256(b"\0" + body).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Is this leaf at this place of the tree with this size and root?"""
    place, last, top = index, size - 1, leaf
    if not 0 <= index < size:
        return False
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            top = _node(sibling, top)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            top = _node(top, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and top == root


def extends(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Is the tree of `old` records the beginning of the one of `new` records?"""
    if not 0 < old < new:
        return False
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not hashes:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            older, newer = _node(sibling, older), _node(sibling, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = _node(newer, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and older == old_root and newer == new_root


def read_proof(data: bytes, first: Sequence[str], checkpoint: bytes) -> list[bytes]:
    """The hashes of a proof: lines that it begins with, hashes, an empty line, the checkpoint byte for byte."""
    head = data[: len(data) - len(checkpoint)]
    if not data.endswith(checkpoint) or len(head) > 8192:
        raise Wrong("it doesn't hold the bundle's checkpoint byte for byte")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Wrong("it's no proof") from None
    if lines[: len(first)] != list(first) or lines[-2:] != ["", ""]:
        raise Wrong("it's no proof of what it should be one of")
    hashes = [decode64(line) for line in lines[len(first) : -2]]
    if any(len(each) != 32 for each in hashes):
        raise Wrong("it's no proof: a hash isn't 32 bytes")
    return hashes


# --- 6. what a bundle must hold -----------------------------------------------------------------------------------------

RID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TS = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z")


class Result(NamedTuple):
    """What was found. `verdict` is one word or two; `problems` are sentences, each with the exit code that it means."""

    code: int
    verdict: str
    origin: str
    size: int
    root: str
    calls: int
    records: int
    notes: list[str]
    problems: list[tuple[int, str]]

    def lines(self) -> list[str]:
        """For people."""
        told = [self.verdict]
        if self.origin:
            told.append(
                f"{self.origin}: {self.calls} calls, {self.records} records of {self.size} at the log's checkpoint"
            )
            told.append(f"root {self.root}")
        return [shown(each) for each in told + self.notes + [what for _, what in self.problems]]


class Manifest(NamedTuple):
    """What a bundle says of itself."""

    call_ids: set[str]
    origin: str
    size: int
    records: list[int]
    withheld: set[str]


def shown(text: str) -> str:
    """What a hostile file says mustn't steer the terminal that shows it."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text[:400])


def _need(condition: bool, what: str = "a part of it is missing or of the wrong kind") -> None:
    if not condition:
        raise Wrong(what)


def _texts(value: Any, pattern: Any = None) -> list[str]:
    """A list of texts, sorted, each once."""
    _need(type(value) is list and all(type(each) is str for each in value))
    _need(value == sorted(set(value)), "a list of it isn't sorted, or holds something twice")
    _need(pattern is None or all(pattern.fullmatch(each) for each in value))
    return list(value)


def read_manifest(files: dict[str, bytes]) -> Manifest:
    """The manifest, which must fit the files that are there exactly."""
    data = files.get("manifest.json")
    if data is None:
        raise Wrong("manifest.json is missing")
    try:
        manifest, listed = _manifest(read_json(data, MAX_MANIFEST))
    except Wrong as error:
        raise Wrong(f"manifest.json: {error}", error.code) from None
    there = set(files) - {"manifest.json", "manifest.note"}
    for name in sorted(there ^ set(listed)):
        why = "it's not in the manifest" if name in there else "it's missing"
        raise Wrong(f"{shown(name)}: {why}")
    for name, digest in listed.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise Wrong(f"{name}: it's not the file that the manifest lists")
    wanted = {f"records/{each}.json" for each in manifest.records}
    wanted |= {f"proofs/{each}.tlog-proof" for each in manifest.records}
    if {each for each in listed if each.startswith(("records/", "proofs/"))} != wanted:
        raise Wrong("manifest.json: its records, and the files of records and proofs, aren't the same")
    for name in ("checkpoint.txt", "report.html", "verify.py"):
        if name not in files:
            raise Wrong(f"{name}: it's missing")
    return manifest


def _manifest(fields: dict[str, Any]) -> tuple[Manifest, dict[str, str]]:
    """What it says, and the files that it lists: their digests by their names."""
    if fields.get("format") != FORMAT and type(fields.get("format")) is str:
        raise Wrong(f"it's of another format: {fields['format'][:80]}", UNUSABLE)
    required = {"call_ids", "files", "format", "origin", "records", "size"}
    _need(required <= set(fields) <= required | {"question", "withheld"} and fields["format"] == FORMAT)
    records, size = fields["records"], fields["size"]
    listed: Any = fields["files"]
    _need(type(fields["origin"]) is str and type(fields.get("question", "")) is str)
    _need(type(size) is int and size > 0 and type(records) is list and type(listed) is list)
    _need(all(type(each) is int and 0 <= each < size for each in records))
    _need(records == sorted(set(records)), "its records aren't in order, or one is there twice")
    files = [_listed_file(each) for each in listed]
    _texts([name for name, _ in files])
    withheld = _texts(fields["withheld"], HEX64) if "withheld" in fields else []
    manifest = Manifest(set(_texts(fields["call_ids"])), fields["origin"], size, records, set(withheld))
    return manifest, dict(files)


def _listed_file(value: Any) -> tuple[str, str]:
    _need(value.__class__ is dict and set(value) == {"name", "sha256"})
    name, digest = value["name"], value["sha256"]
    _need(type(name) is str and type(digest) is str)
    return name, digest


def verify(
    data: bytes,
    keys: Sequence[str] = (),
    checkpoints: Sequence[bytes] = (),
    pins: Sequence[tuple[int, str]] = (),
    extensions: Sequence[bytes] = (),
    former: Sequence[str] = (),
) -> Result:
    """Check a bundle from its first byte to its last.

    Args:
        data: the bundle.
        keys: verifier keys, of the log and of witnesses, from the verifier's own keeping. Each of the log's must have signed
            the bundle.
        checkpoints: what files of signed checkpoints hold, likewise.
        pins: size and root (hexadecimal) of the log at some time, likewise.
        extensions: what files of proofs hold that the logs of newer ones among these extend the bundle's; from anywhere.
        former: verifier keys of the log that others have replaced: they count on `checkpoints` alone.

    Raises:
        Wrong: a key is none, or a former one none of a log's. Nothing is raised for what the bundle, checkpoints or
            extensions hold.
    """
    given = [read_key(each) for each in dict.fromkeys(keys)]
    replaced = [read_key(each) for each in dict.fromkeys(former) if each not in keys]
    if any(each.kind != LOG_KEY for each in replaced):
        raise Wrong("a former key that isn't a log's: a witness's is given as any key")
    try:
        files = unpack(data)
        manifest = read_manifest(files)
    except Wrong as error:
        verdict = "unusable" if error.code == UNUSABLE else "tampered with"
        return Result(error.code, verdict, "", 0, "", 0, 0, [], [(error.code, str(error))])
    return _Bundle(files, manifest, given, replaced).checked(checkpoints, pins, extensions)


class _Bundle:
    """A bundle whose files are those of its manifest. Problems gather; the gravest decides."""

    def __init__(self, files: dict[str, bytes], manifest: Manifest, keys: Sequence[Key], former: Sequence[Key]) -> None:
        self.files = files
        self.manifest = manifest
        logs = {key.public for key in (*keys, *former) if key.kind == LOG_KEY}
        self.keys = [key for key in keys if key.kind == LOG_KEY or key.public not in logs]
        self.no_witnesses = [key for key in keys if key not in self.keys]
        self.former = former
        self.used: set[Key] = set()
        self.notes: list[str] = []
        self.problems: list[tuple[int, str]] = []
        self.more = 0
        self.code = WHOLE
        self.checkpoint = Checkpoint(manifest.origin, manifest.size, b"")  # without a root until it's read
        self.records: dict[int, dict[str, Any]] = {}
        self.leaves: dict[int, str] = {}
        self.later: dict[int, set[bytes]] = {}  # the roots of newer checkpoints to which extensions lead, by size
        self.seen: dict[int, int] = {}  # when the first witness saw the log at a size, in seconds since 1970

    def problem(self, what: str, code: int = TAMPERED) -> None:
        graver = GRAVER.index(code) > GRAVER.index(self.code)
        self.code = code if graver else self.code
        if graver or len(self.problems) < SHOWN:
            self.problems.append((code, what))
        else:
            self.more += 1

    def checked(
        self, checkpoints: Sequence[bytes], pins: Sequence[tuple[int, str]], extensions: Sequence[bytes]
    ) -> Result:
        by_log = self._signatures()
        self._brought(checkpoints, pins, extensions)
        for name in sorted(self.files):
            if name.startswith("consistency/"):
                self._guard(name, self._consistency, name)
        for seq in self.manifest.records:
            self._guard(f"records/{seq}.json", self._record, seq)
            self._guard(f"proofs/{seq}.tlog-proof", self._proof, seq)
        if len(self.records) == len(self.manifest.records):  # each can be read, and so can what they say of each other
            self._emitters()
            self._calls()
            self._payloads()
            self._artifacts()
            self._times()
        for key in self.no_witnesses:
            self.problem(f"the key {key.told} is the log's own: it's no witness", INCOMPLETE)
        for key in self.keys:
            if key not in self.used:
                self.problem(f"the key {key.told} signed nothing here", INCOMPLETE)
        if len(self.manifest.records) == self.manifest.size:
            self.notes.append("all records of the log up to its checkpoint are here")
        code, problems = self.code, self.problems
        if self.more:
            problems.append((code, f"and {self.more} problems more"))
        verdict = ("verified" if by_log else "self-consistent", "tampered with", "incomplete", "unusable")[code]
        here, calls, records = self.checkpoint, len(self.manifest.call_ids), len(self.manifest.records)
        return Result(code, verdict, here.origin, here.size, here.root.hex(), calls, records, self.notes, problems)

    def _guard(self, name: str, check: Any, *values: Any) -> None:
        try:
            check(*values)
        except Wrong as error:
            self.problem(f"{name}: {error}", error.code)

    # who vouches for it

    def _signatures(self) -> bool:
        """Checkpoint and manifest: are both signed by the given key of the log, or by each of them?"""
        checkpoint = self._signed("checkpoint.txt")
        if checkpoint is not None:
            self._guard("checkpoint.txt", self._take_checkpoint, checkpoint[0])
        manifest = self._signed("manifest.note") if "manifest.note" in self.files else None
        if manifest is not None:
            digest = hashlib.sha256(self.files["manifest.json"]).hexdigest()
            if manifest[0] != f"{FORMAT}\n{self.manifest.origin}\n{digest}\n":
                self.problem("manifest.note: it's not about this manifest")
        of_logs = [key for key in self.keys if key.kind == LOG_KEY]
        whole = bool(of_logs)
        for name, found in (("checkpoint.txt", checkpoint), ("manifest.note", manifest)):
            by = {} if found is None else found[1]
            for key in of_logs:
                if key not in by or key.name != self.manifest.origin:
                    more = ": one that another has replaced goes with --former-key" if len(of_logs) > 1 else ""
                    self.problem(
                        f"{name}: it isn't signed by the log's key that you gave, {key.told}{more}", INCOMPLETE
                    )
                    whole = False
            for key, seconds in by.items():
                when = f" at {utc(seconds)}" if key.kind == WITNESS_KEY else ""
                self.notes.append(f"{name} is signed by {key.told}{when}")
        self.used.update(of_logs)  # which of them signed what has been said
        if checkpoint is not None:
            self._see(self.checkpoint.size, checkpoint[1])
        return whole

    def _see(self, size: int, by: dict[Key, int]) -> None:
        times = [seconds for key, seconds in by.items() if key.kind == WITNESS_KEY]
        if times:
            self.seen[size] = min(*times, self.seen.get(size, times[0]))

    def _signed(self, name: str) -> tuple[str, dict[Key, int]] | None:
        try:
            note = read_note(self.files[name])
            by = signers(note, self.keys)
        except Wrong as error:
            self.problem(f"{name}: {error}")
            return None
        self.used.update(by)
        return note.text, by

    def _take_checkpoint(self, text: str) -> None:
        found = read_checkpoint(text)
        if (found.origin, found.size) != (self.manifest.origin, self.manifest.size):
            raise Wrong("it's of another log or size than the manifest says")
        self.checkpoint = found

    # what whoever verifies brought along

    def _brought(
        self, checkpoints: Sequence[bytes], pins: Sequence[tuple[int, str]], extensions: Sequence[bytes]
    ) -> None:
        for data in extensions:
            try:
                self._take_extension(data)
            except Wrong as error:
                self.problem(f"the extension can't be used: {error}", UNUSABLE)
        nobody: dict[Key, int] = {}
        own = [*self._pinned(checkpoints), *((size, root, nobody) for size, root in pins)]
        for size, root, by in own:
            if self._pin(size, root):
                self._see(size, by)
        for size in sorted(self.later.keys() - {size for size, _, _ in own}):
            if len(self.later[size]) != 1:
                self._unproven(size)

    def _pinned(self, checkpoints: Sequence[bytes]) -> Iterator[tuple[int, str, dict[Key, int]]]:
        """Size, root and who signed it."""
        for data in checkpoints:
            for each in notes_in_file(data):
                try:
                    note = read_note(each)
                    found = read_checkpoint(note.text)
                except Wrong as error:
                    self.problem(f"your checkpoint can't be used: {error}", UNUSABLE)
                    continue
                by: dict[Key, int] = {}
                try:
                    by = signers(note, [*self.keys, *self.former])
                    self.used.update(by)
                    self._known(found, by)
                except Wrong as error:
                    self.problem(f"your checkpoint of {found.size} records: {error}", error.code)
                if found.origin != self.manifest.origin:
                    self.problem(f"your checkpoint is of another log, {found.origin}")
                else:
                    yield found.size, found.root.hex(), by

    def _known(self, checkpoint: Checkpoint, by: dict[Key, int]) -> None:
        """Is it signed by one of the log's keys, where any was given?"""
        given = any(key.kind == LOG_KEY for key in (*self.keys, *self.former))
        if given and (LOG_KEY, checkpoint.origin) not in {(key.kind, key.name) for key in by}:
            raise Wrong("it isn't signed by a key of the log that you gave", INCOMPLETE)

    def _pin(self, size: int, root: str) -> bool:
        """Is it proven that it's of this log?"""
        told, here = f"your checkpoint of {size} records", self.checkpoint
        name = f"consistency/{size}-{here.size}.txt"
        proven = ""
        if size == here.size:
            if root == here.root.hex():
                proven = f"{told} is the bundle's own"
            else:
                self.problem(f"{told} has another tree: the log was forked or changed")
        elif size > here.size:
            if size not in self.later:
                self.problem(
                    f"{told} is newer than the bundle: ask for the proof that it extends the bundle's log, which "
                    "`failsoft ledger extension` makes",
                    INCOMPLETE,
                )
            elif self.later[size] == {bytes.fromhex(root)}:
                proven = f"{told} extends the bundle's log"
            else:
                self._unproven(size)
        elif name not in self.files:
            self.problem(
                f"{told}: the bundle has no proof that the log extends it: ask for one made with --since-checkpoint",
                INCOMPLETE,
            )
        else:
            try:
                path = read_proof(self.files[name], [f"old {size}"], self.files["checkpoint.txt"])
            except Wrong:
                return False  # told where the file itself is looked at
            if extends(size, bytes.fromhex(root), here.size, here.root, path):
                proven = f"the log extends {told}"
            else:
                self.problem(f"the log doesn't extend {told}: it was forked, cut or changed")
        self.notes += [proven] if proven else []
        return bool(proven)

    def _take_extension(self, data: bytes) -> None:
        """Proofs one after the other, each with the checkpoint to which it leads from the bundle's own."""
        here = self.checkpoint
        for each in [part for part in PROOF_BEGINS.split(data) if part] or [data]:
            note = each.partition(b"\n\n")[2]
            found = read_checkpoint(read_note(note).text)
            path = read_proof(each, [f"old {here.size}"], note)
            if found.origin != self.manifest.origin or found.size <= here.size:
                raise Wrong("it's of another log, or of a checkpoint that isn't newer than the bundle's")
            roots = self.later.setdefault(found.size, set())
            if extends(here.size, here.root, found.size, found.root, path):
                roots.add(found.root)

    def _unproven(self, size: int) -> None:
        self.problem(
            f"the extension doesn't prove that the bundle's log goes on to the checkpoint of {size} records: the extension, "
            "the bundle or the checkpoint was changed on its way, or the log was forked or cut. Have the extension made "
            "anew from the log: if that says the same, or can't be made, it was the log"
        )

    def _consistency(self, name: str) -> None:
        old, _, new = name[len("consistency/") : -len(".txt")].partition("-")
        if int(new) != self.manifest.size or int(old) >= int(new):
            raise Wrong("it's about another checkpoint")
        read_proof(self.files[name], [f"old {old}"], self.files["checkpoint.txt"])

    # each record

    def _record(self, seq: int) -> None:
        body = self.files[f"records/{seq}.json"]
        fields = read_json(body, MAX_RECORD)
        kind = fields.get("type")
        _need(type(fields.get("v")) is int and fields["v"] == 1 and type(kind) is str and kind in KINDS)
        for name, pattern in (("rid", RID), ("ts", TS)):
            _need(type(fields.get(name)) is str and pattern.fullmatch(fields[name]) is not None)
        _need(fields.get("origin") == self.manifest.origin, "it belongs to another log")
        _need((kind == "log.opened") == (seq == 0), "a log is opened by its first record, and by no other")
        if seq:
            _need(type(fields.get("emitter")) is str and HEX32.fullmatch(fields["emitter"]) is not None)
            _need(all(type(fields.get(name)) is int and fields[name] >= 0 for name in ("eseq", "mono_us")))
        _need(type(fields.get("call_id", "")) is str)
        for name in ARTIFACTS:
            _need(name not in fields or _is_digest(fields[name]))
        refs = fields.get("refs", {})
        _need(type(refs) is dict and all(_is_digest(each) for each in refs.values()))
        commitments = fields.get("commitments", [])
        _need(type(commitments) is list)
        for each in commitments:
            _need(type(each) is dict and set(each) == {"digest", "path"})
            _need(_is_digest(each["digest"]) and type(each["path"]) is str)
        _texts([each["path"] for each in commitments])
        self.records[seq] = fields
        self.leaves[seq] = leaf_hash(body).hex()

    def _proof(self, seq: int) -> None:
        first = ["c2sp.org/tlog-proof@v1", f"index {seq}"]
        path = read_proof(self.files[f"proofs/{seq}.tlog-proof"], first, self.files["checkpoint.txt"])
        leaf = leaf_hash(self.files[f"records/{seq}.json"])
        if not included(leaf, seq, self.checkpoint.size, path, self.checkpoint.root):
            raise Wrong("it doesn't prove that the record stands in the log: the record was changed, or the proof")

    # what they say of each other

    def _emitters(self) -> None:
        """Each emitter's records are numbered in the order of the log; what's before a call's records is here."""
        seen: dict[str, tuple[int, int, bool]] = {}
        numbers: set[tuple[str, int]] = set()
        rids: set[str] = set()
        for seq, fields in self.records.items():
            where = f"records/{seq}.json"
            if fields["rid"] in rids:
                self.problem(f"{where}: another record has its id")
            rids.add(fields["rid"])
            if seq == 0:
                continue
            emitter, number, time = fields["emitter"], fields["eseq"], fields["mono_us"]
            before, latest, closed = seen.get(emitter, (-1, 0, False))
            if number <= before or time < latest or closed:
                self.problem(f"{where}: its emitter's numbers or time fall, or it was closed before")
            if (number == 0) != (fields["type"] == "emitter.opened"):
                self.problem(f"{where}: an emitter opens with its first record, and with no other")
            seen[emitter] = (number, time, fields["type"] == "emitter.closed")
            numbers.add((emitter, number))
            if fields.get("call_id") in self.manifest.call_ids and number and (emitter, number - 1) not in numbers:
                self.problem(f"{where}: the record before it, of its emitter, isn't here", INCOMPLETE)

    def _times(self) -> None:
        """What a witness saw was there by then; what came after that isn't much older. No more than notes: clocks differ."""
        due = sorted(self.seen.items(), reverse=True)
        ahead: list[str] = []
        behind: list[str] = []
        latest = floor = ""
        for seq, ts in [*((seq, fields["ts"]) for seq, fields in self.records.items()), (10**19, "~")]:
            while due and due[-1][0] <= seq:
                size, seconds = due.pop()
                if latest[:19] > utc(seconds + CLOCKS_DIFFER)[:19]:
                    ahead.append(
                        f"one of the first {size} records says {latest}, and a witness saw it at {utc(seconds)}: its clock "
                        "was ahead, or the witness's behind, or one of them lies"
                    )
                floor = max(floor, utc(max(0, seconds - COSIGNED_LATE))[:19])
            if ts < floor:
                behind.append(
                    f"record {seq} says {ts}, and a witness saw what's before it more than a day later: it waited before it "
                    "came into the log, or the witness cosigned late, or a clock was wrong, or one of them lies"
                )
            latest = max(latest, ts)
        self.notes += ahead[:1] + behind[:1]

    def _calls(self) -> None:
        """Each call began, ended, and ends name beginnings; the configuration that it ran under is here."""
        calls: dict[str, list[int]] = {each: [] for each in self.manifest.call_ids}
        activated: dict[str, int] = {}
        for seq, fields in self.records.items():
            if fields["type"] == "config.activated" and "config_sha256" in fields:
                activated.setdefault(fields["config_sha256"], seq)
            if fields.get("call_id") in calls:
                calls[fields["call_id"]].append(seq)
            begins = fields["type"] == "call.started" and fields.get("call_id") in calls
            if begins and fields.get("config_sha256") not in activated:
                self.problem(f"records/{seq}.json: the configuration in force isn't here", INCOMPLETE)
        for call_id in sorted(calls):
            for code, what in self._call([(each, self.records[each]) for each in calls[call_id]]):
                self.problem(f"call {call_id[:80]}: {what}", code)

    def _call(self, records: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, str]]:
        def of(*kinds: str) -> list[int]:
            return [seq for seq, fields in records if fields["type"] in kinds]

        started, completed, orphaned = of("call.started"), of("call.completed"), of("call.orphaned")
        ends, amended = completed + orphaned, of("call.amended")
        both = bool(completed and orphaned) and not self._taken_for_gone(started, orphaned[0], completed[0])
        if both or any(len(each) > 1 for each in (started, completed, orphaned)):
            yield TAMPERED, "it was started or ended more than once"
        if not ends + amended:
            yield INCOMPLETE, "it has no end here" if records else "none of its records is here"
        for relation, targets, sources in (("started", started, ends), ("completed", ends, amended)):
            for seq in sources:
                named = self.records[seq].get("refs", {}).get(relation)
                if not targets:
                    if named is not None:
                        yield INCOMPLETE, f"the record that records/{seq}.json refers to ({relation}) isn't here"
                elif targets[0] > seq:
                    yield TAMPERED, f"records/{seq}.json stands before what it refers to"
                elif named != self.leaves[targets[0]] and (named is not None or relation == "started"):
                    yield TAMPERED, f"records/{seq}.json names another record than the call's own ({relation})"

    def _taken_for_gone(self, started: Sequence[int], orphaned: int, completed: int) -> bool:
        """Did another process take the call for orphaned, and its own end it all the same?"""
        own = self.records[completed].get("emitter")
        return (
            orphaned < completed
            and self.records[orphaned].get("emitter") != own
            and any(self.records[each].get("emitter") == own for each in started)
        )

    def _payloads(self) -> None:
        """What a call's records commit to is disclosed, or said to be withheld; and it's what was committed to."""
        committed: dict[str, str] = {}
        for fields in self.records.values():
            if fields.get("call_id") in self.manifest.call_ids:
                committed.update((each["digest"], each["path"]) for each in fields.get("commitments", []))
        disclosed = {name[len("disclosures/") : -len(".bin")] for name in self.files if name.startswith("disclosures/")}
        for digest in sorted(disclosed):
            name = f"disclosures/{digest}.bin"
            if digest not in committed:
                self.problem(f"{name}: no record of the calls commits to it")
            elif digest in self.manifest.withheld:
                self.problem(f"{name}: the manifest says that it's withheld")
            else:
                self._guard(name, _disclosure, self.files[name], digest, committed[digest])
        for digest in sorted(self.manifest.withheld - set(committed)):
            self.problem(f"manifest.json: {digest} is said to be withheld, and no record of the calls commits to it")
        for digest in sorted(set(committed) - disclosed):
            if digest not in self.manifest.withheld:
                self.problem(f"{committed[digest]} ({digest}) is neither here nor said to be withheld")
        missing = len(self.manifest.withheld & set(committed))
        if missing:
            self.problem(f"{missing} payloads are withheld, or no longer kept: what they said isn't here", INCOMPLETE)

    def _artifacts(self) -> None:
        """Artifacts are what their names say, and named by a record; the configurations in force are here."""
        named: set[str] = set()
        for fields in self.records.values():
            named.update(fields[name] for name in ARTIFACTS if name in fields)
            named.update(each["digest"] for each in _capabilities(fields) if "digest" in each)
        for name in sorted(self.files):
            digest = name[len("artifacts/") :]
            if name.startswith("artifacts/"):
                if hashlib.sha256(self.files[name]).hexdigest() != digest:
                    self.problem(f"{name}: its bytes aren't those of its name")
                elif digest not in named:
                    self.problem(f"{name}: no record names it")
        for seq, fields in self.records.items():
            begins = fields["type"] == "call.started" and fields.get("call_id") in self.manifest.call_ids
            if begins and f"artifacts/{fields.get('config_sha256')}" not in self.files:
                self.problem(f"records/{seq}.json: the configuration that it names isn't here", INCOMPLETE)


def _capabilities(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a configuration: each with its name, and the digest of its schema. Anything else has none."""
    elements: list[Any] = fields["capabilities"] if type(fields.get("capabilities")) is list else []
    tables: list[dict[str, Any]] = [each for each in elements if type(each) is dict]
    return [each for each in tables if type(each.get("digest", "")) is str]


def _is_digest(value: Any) -> bool:
    return type(value) is str and HEX64.fullmatch(value) is not None


def _disclosure(data: bytes, digest: str, path: str) -> None:
    """salt[32], then path and media type with their lengths in 4 bytes, then the payload with its length in 8."""
    if hashlib.sha256(b"failsoft/field/v1\0" + data).hexdigest() != digest:
        raise Wrong("it isn't what was committed to")
    at = 32
    parts: list[bytes] = []
    for _ in range(2):
        length = int.from_bytes(data[at : at + 4], "big")
        parts.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    if max(map(len, parts)) > 128 or len(data) != at + 8 + int.from_bytes(data[at : at + 8], "big"):
        raise Wrong("it's cut, or has trailing bytes")
    if parts[0] != path.encode("utf-8"):
        raise Wrong("it was committed to under another path")
    try:
        parts[1].decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong("its media type isn't text") from None


# --- the command --------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _written(f"{self.format_usage()}{self.prog}: {message}\n", 2)
        self.exit(USAGE)

    def print_help(self, file: Any = None) -> None:
        if _written(self.format_help(), 1):
            self.exit(UNUSABLE)


def _written(text: str, descriptor: int) -> str:
    """Write to standard output (1) or standard error (2). Returns why it can't be; empty: it's written.

    What's left over then is dropped: the interpreter would try once more at its end, and exit with 120.
    """
    try:
        stream: Any = (sys.stdout, sys.stderr)[descriptor - 1]
        stream.write(text)
        stream.flush()
    except (OSError, AttributeError) as error:  # it's None where it was closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        return GONE if isinstance(error, BrokenPipeError) else getattr(error, "strerror", None) or "closed"
    return ""


def _pin(text: str) -> tuple[int, str]:
    size, _, root = text.partition(":")
    if SIZE.fullmatch(size) is None or HEX64.fullmatch(root) is None:
        raise argparse.ArgumentTypeError("not SIZE:ROOT (64 lower-case hexadecimal digits)")
    return int(size), root


def read_file(path: str, limit: int) -> bytes:
    """What a file holds, which is no more than so many bytes."""
    try:
        if not os.path.isfile(path):
            raise Wrong(f"{path}: there is no such file", UNUSABLE)
        with open(path, "rb") as file:
            # Of what it has, not of what it may have: the memory for that is taken before it's read.
            data = file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
    except (OSError, ValueError):
        raise Wrong(f"{path}: it can't be read", UNUSABLE) from None
    if not 0 < len(data) <= limit:
        raise Wrong(f"{path}: it's empty, or larger than {limit >> 20} MiB", UNUSABLE)
    return data


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = _Parser(prog="verify.py", description="Verify a failsoft evidence bundle.")
    parser.add_argument("bundle")
    parser.add_argument("--key", action="append", default=[], help="a verifier key, from your own keeping")
    parser.add_argument("--former-key", action="append", default=[], help="one that another has replaced, likewise")
    parser.add_argument("--checkpoint", action="append", default=[], help="a file of signed checkpoints, likewise")
    parser.add_argument("--pin", action="append", default=[], type=_pin, help="SIZE:ROOT, likewise")
    parser.add_argument("--extension", action="append", default=[], help="a file of proofs for newer checkpoints")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args(arguments)
    try:
        for each in (*given.key, *given.former_key):
            read_key(each)
    except Wrong as error:
        parser.error(f"--key or --former-key: {error}")
    code, text = _answer(given) or _told(_unusable(Wrong("there isn't enough memory to look at it", UNUSABLE)), given)
    why = _written(text, 1)
    if why and why != GONE:
        _written(f"standard output can't be written ({why})\n", 2)
        return UNUSABLE
    return code


def _answer(given: argparse.Namespace) -> tuple[int, str] | None:
    """The exit code, and what's told. None: there wasn't enough memory, which is free again once this has returned."""
    try:
        checkpoints = [read_file(each, MAX_PINS) for each in given.checkpoint]
        extensions = [read_file(each, MAX_PINS) for each in given.extension]
        data = read_file(given.bundle, MAX_BYTES)
        result = verify(data, given.key, checkpoints, given.pin, extensions, given.former_key)
        return _told(result, given)
    except Wrong as error:
        return _told(_unusable(error), given)
    except MemoryError:
        return None


def _unusable(error: Wrong) -> Result:
    return Result(error.code, "unusable", "", 0, "", 0, 0, [], [(error.code, str(error))])


def _told(result: Result, given: argparse.Namespace) -> tuple[int, str]:
    lines = [json.dumps(result._asdict())] if given.json else result.lines()
    return result.code, "".join(each.encode("ascii", "backslashreplace").decode("ascii") + "\n" for each in lines)


if __name__ == "__main__":
    sys.exit(main())  # pragma: no cover -- run by tests as a process of its own
