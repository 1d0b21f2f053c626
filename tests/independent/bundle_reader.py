"""A verifier of evidence bundles, written from ``docs/reference/ledger-format.md`` alone. It imports nothing of failsoft.

It's built another way than the one that ships, so that a mistake in one is a disagreement: the archive is read by `zipfile` and
made anew, JSON is read by a parser that knows the canonical form alone, trees are recursive as in RFC 6962, signatures are
checked by `cryptography`, and findings are a set of codes. No tests.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

VERIFIED, SELF_CONSISTENT = "verified", "self-consistent"
Document = dict[str, Any]


class Bad(Exception):
    """A code: 1 or 3."""

    def __init__(self, code: int = 1) -> None:
        super().__init__(code)
        self.code = code


def demand(condition: object, code: int = 1) -> None:
    if not condition:
        raise Bad(code)


# --- JSON: only what's canonical can be read at all ----------------------------------------------------------------------


class Parser:
    """Reads the canonical form from left to right; there's no other."""

    NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?![0-9.eE])")
    PLAIN = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]*')
    SHORT = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
    KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    @classmethod
    @lru_cache(4096)  # the same records come again in hundreds of bundles and ledgers; nobody changes what was read
    def document(cls, data: bytes, limit: int) -> Document:
        demand(0 < len(data) <= limit)
        try:
            parser = cls(data.decode("utf-8"))
        except UnicodeDecodeError:
            raise Bad from None
        demand(parser.text[:1] == "{")
        value: Document = parser.value(1)
        demand(parser.at == len(parser.text))
        return value

    def eat(self, what: str) -> None:
        demand(self.text.startswith(what, self.at))
        self.at += len(what)

    def value(self, level: int) -> Any:
        first = self.text[self.at : self.at + 1]
        if first == "{":
            return self.object(level)
        if first == "[":
            return self.array(level)
        if first == '"':
            return self.string()
        for word, meant in (("true", True), ("false", False)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return meant
        found = self.NUMBER.match(self.text, self.at)
        if found is None or found[0] == "-0":
            raise Bad
        self.at = found.end()
        demand(abs(int(found[0])) < 2**53)
        return int(found[0])

    def object(self, level: int) -> Document:
        demand(level <= 32)
        self.eat("{")
        made: Document = {}
        previous = ""
        while self.text[self.at : self.at + 1] != "}":
            if made:
                self.eat(",")
            key = self.string()
            demand(self.KEY.fullmatch(key) and key > previous)
            previous = key
            self.eat(":")
            made[key] = self.value(level + 1)
        self.eat("}")
        return made

    def array(self, level: int) -> list[Any]:
        demand(level <= 32)
        self.eat("[")
        made = [self.value(level + 1)]
        while self.text[self.at : self.at + 1] != "]":
            self.eat(",")
            made.append(self.value(level + 1))
        self.eat("]")
        return made

    def string(self) -> str:
        self.eat('"')
        parts: list[str] = []
        while True:
            found = self.PLAIN.match(self.text, self.at)
            assert found is not None
            parts.append(found[0])
            self.at = found.end()
            if self.text[self.at : self.at + 1] == '"':
                self.at += 1
                return "".join(parts)
            self.eat("\\")
            letter = self.text[self.at : self.at + 1]
            if letter in self.SHORT:
                parts.append(self.SHORT[letter])
                self.at += 1
                continue
            code = re.compile(r"u(00[01][0-9a-f])").match(
                self.text, self.at
            )  # the others have a short form or need none
            demand(code is not None)
            assert code is not None
            char = chr(int(code[1], 16))
            demand(char not in self.SHORT.values())
            parts.append(char)
            self.at = code.end()


# --- base64, notes, keys -------------------------------------------------------------------------------------------------


def base64(text: str) -> bytes:
    demand(re.fullmatch(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text))
    data = b64decode(text)
    demand(b64encode(data).decode() == text)
    return data


class Key:
    def __init__(self, text: str) -> None:
        self.text = text
        self.name, identity, encoded = text.split("+", 2)
        data = base64(encoded)
        self.kind, self.public = data[0], data[1:]
        self.id = bytes.fromhex(identity)
        demand(self.id == sha256(self.name.encode() + b"\n" + data).digest()[:4])

    def signed(self, text: str, data: bytes) -> bool:
        message = text.encode()
        if self.kind == 4:
            message = b"cosignature/v1\ntime " + str(int.from_bytes(data[:8], "big")).encode() + b"\n" + message
            data = data[8:]
        sign, y = divmod(int.from_bytes(self.public, "little"), 1 << 255)
        if y >= 2**255 - 19 or (sign and y in (1, 2**255 - 20)):  # not canonical: of x = 0 there's no negative
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(data, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def note(data: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Text, and (name, id and signature) of each line below."""
    demand(len(data) <= 65_536)
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Bad from None
    demand(not any((ord(char) < 32 and char != "\n") or ord(char) == 127 for char in whole))
    cut = whole.rfind("\n\n")
    demand(cut > 0 and whole.endswith("\n"))
    text, below = whole[: cut + 1], whole[cut + 2 : -1].split("\n")
    demand(1 <= len(below) <= 64)
    lines: list[tuple[str, bytes]] = []
    for line in below:
        found = re.fullmatch(r"\u2014 ([^\s+]{1,256}) ([^ ]+)", line)
        if found is None:
            raise Bad
        signature = base64(found[2])
        demand(len(signature) >= 5)
        lines.append((found[1], signature))
    return text, lines


def who_signed(text: str, lines: Iterable[tuple[str, bytes]], keys: Iterable[Key]) -> list[Key]:
    found: list[Key] = []
    for key in keys:
        for name, data in lines:
            if name == key.name and data[:4] == key.id:
                demand(key.signed(text, data[4:]))
                found.append(key)
    return found


def times_of(lines: Iterable[tuple[str, bytes]], by: Iterable[Key]) -> list[int]:
    """When those of them that are witnesses signed."""
    whose = {(key.name, key.id) for key in by if key.kind == 4}
    return [int.from_bytes(data[4:12], "big") for name, data in lines if (name, data[:4]) in whose]


def checkpoint(text: str) -> tuple[str, int, bytes]:
    found = re.fullmatch(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n", text)
    if found is None:
        raise Bad
    root = base64(found[3])
    demand(len(root) == 32)
    return found[1], int(found[2]), root


# --- the tree ------------------------------------------------------------------------------------------------------------


def leaf(body: bytes) -> bytes:
    return sha256(b"\x00" + body).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def half(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def root_by_path(hashed: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 6962, 2.1.1, the other way round: the last hash of a path is the outermost sibling."""
    demand(0 <= index < size)
    if size == 1:
        demand(not path)
        return hashed
    demand(path)
    split = half(size)
    if index < split:
        return node(root_by_path(hashed, index, split, path[:-1]), path[-1])
    return node(path[-1], root_by_path(hashed, index - split, size - split, path[:-1]))


def roots_by_path(old: int, new: int, path: list[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """RFC 6962, 2.1.2: the roots of both trees, by a path; `known` is the old root while it's a subtree by itself."""
    if old == new:
        if known is not None:
            demand(not path)
            return known, known
        demand(len(path) == 1)
        return path[0], path[0]
    demand(path)
    split = half(new)
    if old <= split:
        older, newer = roots_by_path(old, split, path[:-1], known)
        return older, node(newer, path[-1])
    older, newer = roots_by_path(old - split, new - split, path[:-1], None)
    return node(path[-1], older), node(path[-1], newer)


def hashes_before(data: bytes, first: str, tail: bytes) -> list[bytes]:
    """A proof's hashes."""
    demand(data.startswith(first.encode()) and data.endswith(b"\n" + tail))
    middle = data[len(first) : len(data) - len(tail) - 1]
    demand(len(first) + len(middle) + len(tail) + 1 == len(data) and (not middle or middle.endswith(b"\n")))
    try:
        found = [base64(line) for line in middle.decode("ascii").split("\n")[:-1]]
    except UnicodeDecodeError:
        raise Bad from None
    demand(all(len(each) == 32 for each in found))
    return found


# --- the archive ---------------------------------------------------------------------------------------------------------

NAMED = ("config_sha256", "lock_sha256", "report_sha256")
NUMBER = r"(?:0|[1-9][0-9]{0,15})"
FROM_ONE = r"[1-9][0-9]{0,15}"
HEX = r"[0-9a-f]{64}"
NAME = re.compile(
    rf"manifest\.(?:json|note)|checkpoint\.txt|report\.html|verify\.py|records/{NUMBER}\.json|proofs/{NUMBER}\.tlog-proof"
    rf"|consistency/{FROM_ONE}-{FROM_ONE}\.txt|disclosures/{HEX}\.bin|artifacts/{HEX}"
)


def archive_of(files: dict[str, bytes]) -> bytes:
    out, directory = b"", b""
    chunks: list[bytes] = []
    offset = 0
    for name in sorted(files, key=str.encode):
        data = files[name]
        size = len(data).to_bytes(4, "little")
        common = b"\x14\0" + b"\0" * 6 + b"\x21\0" + zlib.crc32(data).to_bytes(4, "little") + size + size
        common += len(name).to_bytes(2, "little") + b"\0\0"
        local = b"PK\3\4" + common + name.encode()
        chunks += [local, data]
        directory += (
            b"PK\1\2\x14\3" + common + b"\0" * 6 + b"\0\0\xa4\x81" + offset.to_bytes(4, "little") + name.encode()
        )
        offset += len(local) + len(data)
    count = len(files).to_bytes(2, "little")
    out = b"".join(chunks) + directory
    return (
        out
        + b"PK\5\6\0\0\0\0"
        + count * 2
        + len(directory).to_bytes(4, "little")
        + offset.to_bytes(4, "little")
        + b"\0\0"
    )


def files_of(data: bytes) -> dict[str, bytes]:
    demand(len(data) <= 1 << 30 and data[:4] == b"PK\3\4", 3)
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            demand(len(members) <= 65_534 and sum(each.file_size for each in members) <= len(data))
            for each in members:
                demand(each.compress_type == zipfile.ZIP_STORED and NAME.fullmatch(each.filename))
                demand(each.filename not in found and not each.flag_bits)
                found[each.filename] = archive.read(each)
    except Bad:
        raise
    except Exception:  # whatever zipfile says of what isn't one
        raise Bad from None
    demand(archive_of(found) == data)
    return found


# --- a bundle ------------------------------------------------------------------------------------------------------------


def is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value) and value == sorted(set(value))


def is_hash(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(HEX, value) is not None


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def manifest_of(files: dict[str, bytes]) -> Document:
    demand("manifest.json" in files)
    said = Parser.document(files["manifest.json"], 1 << 24)
    demand(not (isinstance(said.get("format"), str) and said["format"] != "failsoft-bundle/1"), 3)
    demand(said.keys() - {"question", "withheld"} == {"call_ids", "files", "format", "origin", "records", "size"})
    demand(isinstance(said["format"], str) and isinstance(said["origin"], str))
    demand(isinstance(said.get("question", ""), str) and is_count(said["size"]) and said["size"])
    demand(is_text_list(said["call_ids"]) and is_text_list(said.get("withheld", [])))
    demand(all(map(is_hash, said.get("withheld", []))))
    records = said["records"]
    demand(isinstance(records, list) and all(is_count(each) and each < said["size"] for each in records))
    demand(all(one < other for one, other in itertools.pairwise(records)))
    listed = said["files"]
    demand(isinstance(listed, list))
    for each in listed:
        demand(isinstance(each, dict) and sorted(each) == ["name", "sha256"])
        demand(isinstance(each["name"], str) and isinstance(each["sha256"], str))
    names = [each["name"] for each in listed]
    demand(is_text_list(names) and set(names) == files.keys() - {"manifest.json", "manifest.note"})
    demand(all(sha256(files[each["name"]]).hexdigest() == each["sha256"] for each in listed))
    demand({"checkpoint.txt", "report.html", "verify.py"} <= set(names))
    for folder, ending in (("records/", ".json"), ("proofs/", ".tlog-proof")):
        there = {int(name[len(folder) : -len(ending)]) for name in names if name.startswith(folder)}
        demand(there == set(records))
    return said


UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z")


def types_of_the_page(page: str) -> set[str]:
    """The closed list, as the page has it."""
    return set(page.partition("### Types\n\n```text\n")[2].partition("```")[0].split())


MANY = re.compile(rb"^[^\n]+\n[0-9]+\n[A-Za-z0-9+/=]+\n\n(?:\xe2\x80\x94 [^ \n]+ [A-Za-z0-9+/=]+\n)+", re.MULTILINE)


class Examination:
    """One bundle with what its examiner brought along. Codes gather in `found`."""

    def __init__(self, data: bytes, keys: list[Key], types: set[str], former: list[Key]) -> None:
        self.files = files_of(data)
        self.said = manifest_of(self.files)
        logs = {key.public for key in (*keys, *former) if key.kind == 1}
        self.keys = [key for key in keys if key.kind == 1 or key.public not in logs]
        self.former, self.types = former, types
        self.used: set[Key] = set()
        self.found: set[int] = set() if len(self.keys) == len(keys) else {2}
        self.origin: str = self.said["origin"]
        self.size: int = self.said["size"]
        self.root = b""
        self.log: dict[int, Document] = {}
        self.bodies = {each: self.files[f"records/{each}.json"] for each in self.said["records"]}
        self.proofs: dict[int, list[tuple[list[bytes], bytes]]] = {}
        self.cosigned: list[tuple[int, int]] = []  # sizes, and when a witness saw them

    def attempt(self, what: Callable[..., None], *values: object) -> bool:
        try:
            what(*values)
        except Bad as bad:
            self.found.add(bad.code)
            return False
        return True

    def expect(self, condition: object, code: int) -> None:
        if not condition:
            self.found.add(code)

    def run(self, given: Iterable[bytes], pins: Iterable[tuple[int, str]], extensions: Iterable[bytes]) -> None:
        self.attempt(self.vouched, "checkpoint.txt", self.is_own_checkpoint)
        for each in extensions:
            try:
                self.extended(each)
            except Bad:
                self.found.add(3)
        if "manifest.note" in self.files:
            self.attempt(self.vouched, "manifest.note", self.is_about_manifest)
        elif self.log_keys():
            self.found.add(2)
        held = [*self.brought(given), *((size, bytes.fromhex(root), []) for size, root in pins)]
        for size, root, times in held:
            if self.attempt(self.compare, size, root) and self.proven(size):
                self.cosigned += [(size, time) for time in times]
        for size in self.proofs.keys() - {size for size, _, _ in held}:
            self.expect(len(self.leads(size)) == 1, 1)
        for name in self.files:
            if name.startswith("consistency/"):
                self.attempt(self.consistency, name)
        for index in self.bodies:
            self.attempt(self.record, index)
            self.attempt(self.proof, index)
        if self.log.keys() == self.bodies.keys():
            self.relations()
        self.expect(all(key in self.used for key in self.keys), 2)

    # signatures

    def log_keys(self) -> list[Key]:
        return [key for key in self.keys if key.kind == 1]

    def vouched(self, name: str, check: Callable[[str], None]) -> None:
        text, lines = note(self.files[name])
        by = who_signed(text, lines, self.keys)
        self.used.update(by)
        if name == "checkpoint.txt":
            self.cosigned += [(self.size, time) for time in times_of(lines, by)]
        for key in self.log_keys():
            self.expect(key in by and key.name == self.origin, 2)
        check(text)

    def is_own_checkpoint(self, text: str) -> None:
        origin, size, root = checkpoint(text)
        demand((origin, size) == (self.origin, self.size))
        self.root = root

    def is_about_manifest(self, text: str) -> None:
        digest = sha256(self.files["manifest.json"]).hexdigest()
        demand(text.split("\n") == ["failsoft-bundle/1", *self.origin.split("\n"), digest, ""])

    def brought(self, given: Iterable[bytes]) -> Iterator[tuple[int, bytes, list[int]]]:
        for data in given:
            notes = [found.span() for found in re.finditer(MANY, data)]
            behind = data[notes[-1][1] if notes else 0 :]
            for each in [
                *(data[start:end] for start, end in notes),
                *([behind] if behind.strip() or not notes else []),
            ]:
                try:
                    text, lines = note(each)
                    origin, size, root = checkpoint(text)
                except Bad:
                    self.found.add(3)
                    continue
                by: list[Key] = []
                try:
                    by = who_signed(text, lines, [*self.keys, *self.former])
                    known = any(key.kind == 1 and key.name == origin for key in by)
                    self.expect(known or not any(key.kind == 1 for key in (*self.keys, *self.former)), 2)
                except Bad:
                    self.found.add(1)
                self.used.update(by)
                if origin == self.origin:
                    yield size, root, times_of(lines, by)
                else:
                    self.found.add(1)

    def compare(self, size: int, root: bytes) -> None:
        if size == self.size:
            demand(root == self.root)
            return
        if size in self.proofs:
            demand(self.leads(size) == {root})
            return
        data = self.files.get(f"consistency/{size}-{self.size}.txt")
        if size > self.size or data is None:
            self.found.add(2)
            return
        older, newer = roots_by_path(
            size, self.size, hashes_before(data, f"old {size}\n", self.files["checkpoint.txt"]), root
        )
        demand(older == root and newer == self.root)

    def proven(self, size: int) -> bool:
        """Is there what a size needs to be compared at all?"""
        if size > self.size:
            return size in self.proofs
        return size == self.size or f"consistency/{size}-{self.size}.txt" in self.files

    def extended(self, data: bytes) -> None:
        begins = [found.start() for found in re.finditer(rb"^old [0-9]+\n", data, re.MULTILINE)]
        demand(begins and begins[0] == 0)
        for start, end in zip(begins, [*begins[1:], len(data)], strict=True):
            part = data[start:end]
            tail = part[part.find(b"\n\n") + 2 :]
            demand(b"\n\n" in part)
            text, _ = note(tail)
            origin, size, root = checkpoint(text)
            demand(origin == self.origin and size > self.size)
            self.proofs.setdefault(size, []).append((hashes_before(part, f"old {self.size}\n", tail), root))

    def leads(self, size: int) -> set[bytes]:
        """The roots of this size to which proofs lead from the bundle's checkpoint."""
        found: set[bytes] = set()
        for path, root in self.proofs[size]:
            with contextlib.suppress(Bad):
                if roots_by_path(self.size, size, path, self.root) == (self.root, root):
                    found.add(root)
        return found

    def consistency(self, name: str) -> None:
        old, new = re.findall("[0-9]+", name)
        demand(int(new) == self.size and int(old) < self.size)
        hashes_before(self.files[name], f"old {old}\n", self.files["checkpoint.txt"])

    # records

    def proof(self, index: int) -> None:
        data = self.files[f"proofs/{index}.tlog-proof"]
        path = hashes_before(data, f"c2sp.org/tlog-proof@v1\nindex {index}\n", self.files["checkpoint.txt"])
        demand(len(path) < 100 and root_by_path(leaf(self.bodies[index]), index, self.size, path) == self.root)

    def record(self, index: int) -> None:
        said = Parser.document(self.bodies[index], 61_440)
        demand(said.get("v") == 1 and not isinstance(said["v"], bool))
        demand(isinstance(said.get("type"), str) and said["type"] in self.types)
        demand(isinstance(said.get("rid"), str) and UUID7.fullmatch(said["rid"]))
        demand(isinstance(said.get("ts"), str) and TIME.fullmatch(said["ts"]))
        demand(said.get("origin") == self.origin and isinstance(said.get("call_id", ""), str))
        demand((index == 0) is (said["type"] == "log.opened"))
        if index:
            demand(isinstance(said.get("emitter"), str) and re.fullmatch("[0-9a-f]{32}", said["emitter"]))
            demand(is_count(said.get("eseq")) and is_count(said.get("mono_us")))
        demand(all(is_hash(said[key]) for key in NAMED if key in said))
        refs = said.get("refs", {})
        demand(isinstance(refs, dict) and all(map(is_hash, refs.values())))
        named = said.get("commitments", [])
        demand(isinstance(named, list) and all(isinstance(each, dict) for each in named))
        demand(all(sorted(each) == ["digest", "path"] and is_hash(each["digest"]) for each in named))
        demand(is_text_list([each["path"] for each in named]))
        self.log[index] = said

    # what they say of each other

    def relations(self) -> None:
        calls = self.said["call_ids"]
        rids = [said["rid"] for said in self.log.values()]
        self.expect(len(set(rids)) == len(rids), 1)
        for emitter in {said["emitter"] for index, said in self.log.items() if index}:
            self.emitter([said for index, said in self.log.items() if index and said["emitter"] == emitter], calls)
        for call_id in calls:
            self.call([index for index, said in self.log.items() if said.get("call_id") == call_id])
        self.payloads([said for said in self.log.values() if said.get("call_id") in calls])
        named = {said.get(key) for said in self.log.values() for key in NAMED}
        configured = [each for said in self.log.values() for each in said.get("capabilities", ())]
        named |= {each.get("digest") for each in configured if isinstance(each, dict)}
        for name, data in self.files.items():
            if name.startswith("artifacts/"):
                digest = name.partition("/")[2]
                self.expect(sha256(data).hexdigest() == digest and digest in named, 1)

    def noted(self) -> Noted:
        """The smallest size with a record from after it was seen; the first record from long before what's before it was."""

        def second(time: int) -> str:
            if time > 253_402_300_799:
                return "9999-12-31T23:59:59"
            return datetime.fromtimestamp(max(0, time), UTC).strftime("%Y-%m-%dT%H:%M:%S")

        if self.log.keys() != self.bodies.keys():
            return None, None
        told = {index: said["ts"][:19] for index, said in self.log.items()}
        first = {size: min(each for other, each in self.cosigned if other == size) for size, _ in self.cosigned}
        ahead = [
            size
            for size, time in first.items()
            if any(ts > second(time + 60) for index, ts in told.items() if index < size)
        ]
        behind = [
            index
            for index, ts in told.items()
            if any(ts < second(time - 86_400) for size, time in first.items() if size <= index)
        ]
        return min(ahead, default=None), min(behind, default=None)

    def emitter(self, its: list[Document], calls: list[str]) -> None:
        pairs = list(itertools.pairwise(its))
        self.expect(all(one["eseq"] < other["eseq"] and one["mono_us"] <= other["mono_us"] for one, other in pairs), 1)
        self.expect(all(one["type"] != "emitter.closed" for one, _ in pairs), 1)
        self.expect(all((said["eseq"] == 0) is (said["type"] == "emitter.opened") for said in its), 1)
        numbers: set[int] = set()
        for said in its:
            if said.get("call_id") in calls and said["eseq"]:
                self.expect(said["eseq"] - 1 in numbers, 2)
            numbers.add(said["eseq"])

    def call(self, its: list[int]) -> None:
        by_type = {kind: [each for each in its if self.log[each]["type"] == f"call.{kind}"] for kind in KINDS}
        starts, ends = by_type["started"], sorted(by_type["completed"] + by_type["orphaned"])
        self.expect(all(len(by_type[kind]) < 2 for kind in ("started", "completed", "orphaned")), 1)
        if by_type["completed"] and by_type["orphaned"]:
            completed, orphaned = by_type["completed"][0], by_type["orphaned"][0]
            whose = {each: self.log[each].get("emitter") for each in (*starts, completed, orphaned)}
            self.expect(orphaned < completed and whose[orphaned] != whose[completed], 1)
            self.expect(any(whose[each] == whose[completed] for each in starts), 1)
        self.expect(ends or by_type["amended"], 2)
        ends_as_found = by_type["completed"] + by_type["orphaned"]
        for index in ends:
            self.refers(index, "started", starts, must=True)
        for index in by_type["amended"]:
            self.refers(index, "completed", ends_as_found, must=False)
        for index in starts:
            digest = self.log[index].get("config_sha256")
            before = [said for each, said in self.log.items() if each < index and said["type"] == "config.activated"]
            self.expect(digest is not None and any(said.get("config_sha256") == digest for said in before), 2)
            self.expect(f"artifacts/{digest}" in self.files, 2)

    def refers(self, index: int, relation: str, targets: list[int], *, must: bool) -> None:
        named = self.log[index].get("refs", {}).get(relation)
        if not targets:
            self.expect(named is None, 2)
            return
        self.expect(targets[0] < index, 1)
        if named is not None or must:
            self.expect(named == leaf(self.bodies[targets[0]]).hex(), 1)

    def payloads(self, its: list[Document]) -> None:
        paths = {each["digest"]: each["path"] for said in its for each in said.get("commitments", [])}
        withheld = set(self.said.get("withheld", []))
        shown = {name[12:-4] for name in self.files if name.startswith("disclosures/")}
        self.expect(
            not withheld & shown and not (withheld | shown) - paths.keys() and not paths.keys() - withheld - shown, 1
        )
        self.expect(not withheld & paths.keys(), 2)
        for digest in shown & paths.keys():
            self.attempt(self.disclosure, self.files[f"disclosures/{digest}.bin"], digest, paths[digest])

    def disclosure(self, data: bytes, digest: str, path: str) -> None:
        demand(sha256(b"failsoft/field/v1\0" + data).hexdigest() == digest)
        stream = io.BytesIO(data)
        demand(len(stream.read(32)) == 32)
        texts: list[str] = []
        for _ in range(2):
            raw = stream.read(int.from_bytes(stream.read(4), "big"))
            demand(len(raw) <= 128)
            try:
                texts.append(raw.decode("utf-8"))
            except UnicodeDecodeError:
                raise Bad from None
        length = stream.read(8)
        demand(len(length) == 8 and len(stream.read()) == int.from_bytes(length, "big") and texts[0] == path)


Noted = tuple[int | None, int | None]
KINDS = ("started", "completed", "orphaned", "amended")


def examine(
    data: bytes,
    page: str,
    keys: Iterable[str] = (),
    given: Iterable[bytes] = (),
    pins: Iterable[tuple[int, str]] = (),
    extensions: Iterable[bytes] = (),
    noted: list[Noted] | None = None,
    former: Iterable[str] = (),
) -> tuple[int, str]:
    """The exit code and the verdict, by the page alone; what's noted of times is put into the list."""
    mine = [Key(each) for each in dict.fromkeys(keys)]
    replaced = [Key(each) for each in dict.fromkeys(former)]
    try:
        examined = Examination(data, mine, types_of_the_page(page), replaced)
    except Bad as bad:
        return bad.code, ""
    examined.run(given, pins, extensions)
    if noted is not None:
        noted.append(examined.noted())
    for code in (3, 1, 2):
        if code in examined.found:
            return code, ""
    return 0, VERIFIED if examined.log_keys() else SELF_CONSISTENT
