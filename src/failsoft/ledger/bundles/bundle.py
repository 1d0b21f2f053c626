"""Evidence bundles: what somebody who trusts none of our software needs to check what a log says of some calls.

A bundle is one zip file (`failsoft.ledger.bundles.archive`): the calls' records with the proofs that they stand in a log
whose checkpoint is signed, what they commit to as far as it's disclosed, a manifest of all of it, signed, a page for people,
and the verifier. The same log and the same wishes make the same bytes: no time of making stands in it, and nothing random.

What's made is verified before it's handed out, by the verifier that goes along with it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files as package_files
from typing import Any

from attrs import field, frozen

from failsoft.errors import LedgerInvalid
from failsoft.ledger.bundles import archive, verify_bundle
from failsoft.ledger.bundles.missing import NotWhole
from failsoft.ledger.bundles.report import Told, report
from failsoft.ledger.bundles.selection import Selection, Wanted, select
from failsoft.ledger.format.canonical import dump
from failsoft.ledger.keys.ed25519 import SigningKey, open_checkpoint
from failsoft.ledger.read import Reader

FORMAT = verify_bundle.FORMAT


@frozen
class Bundle:
    """An evidence bundle.

    Args:
        data: the file.
        manifest_sha256: of its manifest, hexadecimal: what an export's record names.
        call_ids: the calls.
        records: how many records.
        size: of the checkpoint.
        signed: is its manifest?
        found: what its own verifier says, given the key that signed it.
    """

    data: bytes = field(repr=False)
    manifest_sha256: str
    call_ids: tuple[str, ...]
    records: int
    size: int
    signed: bool
    found: verify_bundle.Result


def verifier() -> bytes:
    """The standalone verifier, ``verify.py``: the file that this package itself verifies bundles with."""
    return package_files("failsoft.ledger.bundles").joinpath("verify_bundle.py").read_bytes()


def make(reader: Reader, wanted: Wanted, key: SigningKey | None = None, question: str | None = None) -> Bundle:
    """Make a bundle.

    Args:
        reader: an open ledger.
        wanted: the calls, and what's shown of them.
        key: the log's, which signs the manifest. None: nobody vouches for question, report and choice.
        question: what the receiver wants to know, for the report.

    Raises:
        LookupError: there is no such call, case or payload.
        NotCovered: no signed checkpoint covers the calls.
        NotWhole: a call isn't finished, or a record isn't there any more.
        LedgerInvalid: the log is damaged or changed, or isn't this key's.
        PayloadSealed: a payload that's to be shown is encrypted, and its key isn't here.
        ValueError: a record is malformed; or it's more than a bundle holds; or the question is no valid text.
    """
    selection = select(reader, wanted)
    origin = selection.checkpoint.origin
    if key is not None and key.name != origin:
        raise LedgerInvalid(f"{reader.location}: this is the log of {origin!r:.80}, and the key is {key.name!r:.80}'s")
    if key is not None and key.verifier not in open_checkpoint(selection.note, [key.verifier]).by:
        raise LedgerInvalid(
            f"{reader.location}: its newest checkpoint isn't signed by this key: run `failsoft verify` on it"
        )
    files = _evidence(reader, selection)
    files["verify.py"] = verifier()
    files["report.html"] = report(Told(selection, question, sha256(files["verify.py"]).hexdigest(), key is not None))
    manifest = dump(_manifest(selection, files, question), limit=verify_bundle.MAX_MANIFEST)
    digest = sha256(manifest).hexdigest()
    files["manifest.json"] = manifest
    if key is not None:
        files["manifest.note"] = key.sign_note(f"{FORMAT}\n{origin}\n{digest}\n").to_bytes()
    try:
        data = archive.write(files)
    except ValueError as error:
        raise NotWhole(f"{reader.location}: {error}: ask for fewer calls at once") from None
    found = verify_bundle.verify(data, () if key is None else (str(key.verifier),))
    if found.code in (verify_bundle.TAMPERED, verify_bundle.UNUSABLE):
        raise LedgerInvalid(
            f"{reader.location}: what it holds can't be proved ({found.problems[0][1]}): run `failsoft verify` on it"
        )
    return Bundle(
        data, digest, selection.call_ids, len(selection.entries), selection.checkpoint.size, key is not None, found
    )


def _evidence(reader: Reader, selection: Selection) -> dict[str, bytes]:
    """All files that stand for themselves."""
    size, note = selection.checkpoint.size, selection.note
    files: dict[str, bytes] = {"checkpoint.txt": note}
    for index, entry in selection.entries.items():
        assert entry.body is not None
        files[f"records/{index}.json"] = entry.body
        proof = reader.inclusion(index, size)
        files[f"proofs/{index}.tlog-proof"] = proof_file(f"c2sp.org/tlog-proof@v1\nindex {index}\n", proof, note)
    for old in selection.since:
        files[f"consistency/{old}-{size}.txt"] = proof_file(f"old {old}\n", reader.consistency(old, size), note)
    files |= {f"disclosures/{digest}.bin": data for digest, data in selection.disclosures.items()}
    files |= {f"artifacts/{digest}": data for digest, data in selection.artifacts.items()}
    return files


def proof_file(head: str, hashes: Sequence[bytes], checkpoint: bytes) -> bytes:
    """A C2SP tlog-proof, or the body of a tlog-witness request: lines, then the checkpoint as it is."""
    return (head + "".join(f"{b64encode(each).decode()}\n" for each in hashes) + "\n").encode() + checkpoint


def _manifest(selection: Selection, files: dict[str, bytes], question: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "call_ids": list(selection.call_ids),
        "files": [{"name": name, "sha256": sha256(files[name]).hexdigest()} for name in sorted(files)],
        "format": FORMAT,
        "origin": selection.checkpoint.origin,
        "records": list(selection.entries),
        "size": selection.checkpoint.size,
    }
    if question is not None:
        fields["question"] = question
    if hidden := sorted((*selection.withheld, *selection.erased)):
        fields["withheld"] = hidden
    return fields
