"""A signed log with two calls of a case, what people and time made of them, and a stranger's call; bundles of it. No tests."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

from failsoft.ledger.bundles.bundle import Bundle, make
from failsoft.ledger.bundles.selection import Wanted
from failsoft.ledger.format.merkle import inclusion_proof, leaf_hash, over, root_of
from failsoft.ledger.format.note import COSIGNATURE, Checkpoint, Note, Signature, VerifierKey
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.read import read
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind
from tests.logs import JSON, Log, attempt, by

ORIGIN = "example.com/procurement"
KEY = SigningKey(ORIGIN, bytes(range(32)))
NEXT = SigningKey(ORIGIN, bytes(range(1, 33)))
WITNESS = SigningKey("witness.example.com/w1", bytes(range(32, 64)))
WITNESS_KEY = VerifierKey(WITNESS.name, COSIGNATURE, WITNESS.verifier.public)
CASE: dict[str, Any] = {"id": "SPE4A7-26-R-0001", "kind": "solicitation"}
SERVED = {"model": "m-1-2026", "grade": "provider-stated", "request_id": "req_77"}
PIN = {"model": "m-1-2026", "served": ["m-1-2026"]}
CONFIG = b'{"adapters":{"gpt":{"provider":"openai","model":"m-1-2026"}},"on_ledger_failure":"fallback"}'
SECRET = "CANARY-7f3a"
INSTRUCTION = "Say whether the offered item may stand in for the wanted one."
PROMPT = f'[{{"role":"system","content":"{INSTRUCTION}"}},{{"role":"user","content":"Is it? {SECRET}"}}]'


def said(path: str, data: bytes | str, media: str = JSON) -> tuple[str, str, bytes]:
    return path, media, data.encode() if isinstance(data, str) else data


def sha(name: str) -> str:
    """The digest of an artifact that is no more than its name."""
    return hashlib.sha256(name.encode()).hexdigest()


def artifacts(*names: str) -> tuple[tuple[str, bytes], ...]:
    """Those of these names."""
    return tuple((JSON, each.encode()) for each in names)


class Office:
    """The log, and the file that it's in."""

    def __init__(self, path: Path, key: SigningKey = KEY) -> None:
        self.path = path
        self.log = Log(path, key)
        self.first = self.log.first

    def configure(self, model: str = "m-1-2026", second: float = 1) -> None:
        data = CONFIG.replace(b"m-1-2026", model.encode())
        self.first.digest = hashlib.sha256(data).hexdigest()
        pin = {"model": model, "served": [model]}
        fields = {
            "config_sha256": self.first.digest,
            "adapters": [{"name": "gpt", "adapter_version": "1", "pin": pin}],
        }
        self.first.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), ((JSON, data),)), second)

    def call(self, call_id: str, second: float, request: str, answer: str, **fields: Any) -> Any:
        labels = fields.pop("labels", ["CUI"])
        told: dict[str, Any] = {
            "call_id": call_id,
            "capability": fields.pop("capability", {"name": "rate-alternative", "version": "1"}),
            "case": fields.pop("case", CASE),
            **({"labels": labels} if labels else {}),
        }
        opening = {
            **told,
            "config_sha256": self.first.digest,
            "deadline_ms": 8000,
            "actor": fields.pop("actor", {"id": "j.doe", "kind": "user"}),
        }
        started = self.first.say(Draft(Kind.CALL_STARTED, opening, (said("request", request),)), second)
        tried = fields.pop("tried", (attempt(pin=PIN, served=SERVED, status=200),))
        closing = {
            **told,
            "outcome": "answered",
            "degraded": False,
            "us": 412_000,
            "source": by(),
            "attempts": list(tried),
            "refs": {"started": started.leaf.hex()},
            **fields,
        }
        closing = {key: value for key, value in closing.items() if value is not None and value != []}
        payloads = [said("prompt", PROMPT), said("response", answer)]
        payloads += [said(f"reply/{each['n']}", '{"id":"chatcmpl-1"}') for each in tried]
        return self.first.say(Draft(Kind.CALL_COMPLETED, closing, tuple(payloads)), second + 0.4)

    def person(self, kind: Kind, of: Any, second: float, decision: str, reason: str, **more: Any) -> Any:
        fields = {
            "call_id": of.call_id,
            "refs": {"completed": of.leaf.hex()},
            "person": "m.smith",
            "decision": decision,
            **more,
        }
        return self.first.say(Draft(kind, fields, (said("reason", reason, "text/plain; charset=utf-8"),)), second)

    def publish(self, *, witnessed: bool = False) -> bytes:
        """A checkpoint of the log as it is now."""
        _, note = self.log.file.publish()
        if note is None:
            with read(self.path) as reader:
                note = reader.checkpoint() or b""
        return cosigned(note) if witnessed else note

    def close(self) -> None:
        self.log.close()


def cosigned(note: bytes, seconds: int = 1_795_442_400, witness: SigningKey = WITNESS) -> bytes:
    parsed = Note.parse(note)
    data = witness.sign(f"cosignature/v1\ntime {seconds}\n{parsed.text}".encode())
    key = VerifierKey(witness.name, COSIGNATURE, witness.verifier.public)
    line = Signature(witness.name, key.id, seconds.to_bytes(8, "big") + data)
    return Note(parsed.text, (*parsed.signatures, line)).to_bytes()


def office(path: Path) -> Office:
    """The usual log: 0 opened, 1 emitter, 2 configuration, 3-4 call c1, 5-6 another's, 7-8 call c2, 9 override, 10 …"""
    made = Office(path)
    made.configure()
    item = '{"nsn":"5310-00-903-3994","offered":"MS21042-4","question":"May the offered nut stand in for the other?"}'
    made.call("c1", 2, item, '{"acceptable":true,"reason":"Same thread, same strength; a lighter washer face."}')
    made.call("x9", 3, '{"nsn":"9999"}', '"stranger"', case={"id": "OTHER"}, labels=())
    rules = {"kind": "fallback", "name": "procurement.rules:same_number"}
    lost = (attempt(pin=PIN, fault="attempt_timeout"),)
    c2 = made.call("c2", 4, item, '"no"', source=rules, degraded=True, tried=lost)
    made.person(Kind.OVERRIDE_RECORDED, c2, 60, "accepted", "The drawing of 2019 lists both. <b>Checked</b> by hand.")
    made.first.tell(Kind.MODEL_IDENTITY_CHANGED, 90, adapter="gpt")
    made.configure("m-2-2027", 100)
    return made


def bundle(
    path: Path, wanted: Wanted | None = None, key: SigningKey | None = KEY, question: str | None = None
) -> Bundle:
    with read(path) as reader:
        return make(reader, wanted or Wanted(cases=(CASE["id"],)), key, question)


def checkpoint_of(note: bytes) -> Checkpoint:
    return Checkpoint.parse(Note.parse(note).text)


# --- whoever has the key, or nobody's: bundles put together by hand ---------------------------------------------------


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def listed(held: dict[str, bytes], /, **changes: Any) -> dict[str, bytes]:
    """The same files with a manifest that fits them, apart from these changes of it; None leaves a key out."""
    fields = json.loads(held["manifest.json"]) if "manifest.json" in held else {}
    own = {name: data for name, data in held.items() if name not in ("manifest.json", "manifest.note")}
    fields["files"] = [{"name": name, "sha256": sha256(own[name]).hexdigest()} for name in sorted(own)]
    fields = {key: value for key, value in {**fields, **changes}.items() if value is not None}
    return {**held, "manifest.json": canonical(fields)}


def signed(files: dict[str, bytes], key: SigningKey = KEY, text: str | None = None) -> dict[str, bytes]:
    """The same with a manifest's note by this key."""
    digest = sha256(files["manifest.json"]).hexdigest()
    said = text or f"failsoft-bundle/1\n{ORIGIN}\n{digest}\n"
    return {**files, "manifest.note": key.sign_note(said).to_bytes()}


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def proof(first: str, hashes: list[bytes], note: bytes) -> bytes:
    return (first + "".join(f"{b64encode(each).decode()}\n" for each in hashes) + "\n").encode() + note


def zipped(files: dict[str, bytes]) -> bytes:
    """The archive of these files, whatever their names."""
    parts, directory, at = [], [], 0
    for name in sorted(files, key=str.encode):
        data, raw = files[name], name.encode()
        common = pack("<HHHHHIIIHH", 20, 0, 0, 0, 0x21, crc32(data), len(data), len(data), len(raw), 0)
        parts += [b"PK\3\4" + common + raw, data]
        directory.append(b"PK\1\2\x14\3" + common + pack("<HHHII", 0, 0, 0, 0o100644 << 16, at) + raw)
        at += 30 + len(raw) + len(data)
    listing = b"".join(directory)
    end = b"PK\5\6" + pack("<HHHHIIH", 0, 0, len(files), len(files), len(listing), at, 0)
    return b"".join((*parts, listing, end))


class Forge:
    """A log of whatever bodies, and a bundle of some of them, all of it signed: what the holder of the key could make."""

    def __init__(self, path: Path, calls: tuple[str, ...] = ("c1", "c2")) -> None:
        with read(path) as reader:
            self.bodies = [each.body or b"" for each in reader.records()]
        self.files = unzipped(bundle(path, Wanted(calls=calls)).data)
        self.payloads = {
            name: data for name, data in self.files.items() if name.startswith(("disclosures/", "artifacts/"))
        }
        self.records = list(range(len(self.bodies)))
        self.call_ids = list(calls)
        self.withheld: list[str] | None = None
        self.origin = ORIGIN
        self.key = KEY

    def change(self, index: int, **changes: Any) -> Forge:
        """One record says something else; None leaves a key out."""
        fields = {**json.loads(self.bodies[index]), **changes}
        self.bodies[index] = canonical({key: value for key, value in fields.items() if value is not None})
        return self

    def leaf(self, index: int) -> str:
        return leaf_hash(self.bodies[index]).hex()

    def add(self, kind: str, **fields: Any) -> Forge:
        """One more record of the first emitter."""
        last = json.loads(self.bodies[-1])
        number = len(self.bodies)
        common = {key: last[key] for key in ("emitter", "mono_us", "origin", "ts", "v")}
        rid = last["rid"][:-4] + f"{number:04x}"
        self.bodies.append(canonical({**common, "type": kind, "eseq": last["eseq"] + 1, "rid": rid, **fields}))
        self.records.append(number)
        return self

    def drop(self, *indices: int) -> Forge:
        """The log has them, the bundle doesn't."""
        self.records = [each for each in self.records if each not in indices]
        return self

    def made(self, **changes: Any) -> dict[str, bytes]:
        leaves = [leaf_hash(each) for each in self.bodies]
        note = self.key.sign_note(Checkpoint(self.origin, len(leaves), root_of(leaves)).text).to_bytes()
        files = {"checkpoint.txt": note, "report.html": b"-", "verify.py": b"-", **self.payloads}
        for index in self.records:
            hashes = inclusion_proof(over(leaves), index, len(leaves))
            files[f"records/{index}.json"] = self.bodies[index]
            files[f"proofs/{index}.tlog-proof"] = proof(f"c2sp.org/tlog-proof@v1\nindex {index}\n", hashes, note)
        fields = {
            "call_ids": self.call_ids,
            "format": "failsoft-bundle/1",
            "origin": self.origin,
            "records": self.records,
            "size": len(leaves),
            "withheld": self.withheld,
        }
        return signed(listed(files, **{**fields, **changes}), self.key)
