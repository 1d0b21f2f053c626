"""The proof that newer checkpoints extend the log of a bundle: for a receiver whose own are from after it was made.

A bundle stands under one checkpoint. It can say what that one extends, and nothing of what came later: a receiver who keeps
checkpoints has a newer one soon. What's said here reveals no record: it's hashes of stretches of the log.
"""

from __future__ import annotations

from collections.abc import Sequence

from failsoft.errors import LedgerInvalid
from failsoft.ledger.bundles import verify_bundle
from failsoft.ledger.bundles.bundle import proof_file
from failsoft.ledger.bundles.selection import NotCovered, fitting
from failsoft.ledger.read import Reader


def extension(reader: Reader, bundle: bytes, to: Sequence[bytes] = ()) -> tuple[bytes, list[int]]:
    """What `failsoft verify BUNDLE --extension` takes, and the sizes of the checkpoints that it leads to.

    Args:
        reader: the log that the bundle is from.
        bundle: the bundle.
        to: signed checkpoints that the receiver has; empty: the newest one of the log. Those that aren't newer than the
            bundle's own are its own matter, and passed over.

    Raises:
        verify_bundle.Wrong: it's no bundle.
        LookupError: what's given is no checkpoint.
        NotCovered: none of them is newer than the bundle's, or the log doesn't reach one.
        LedgerInvalid: the log doesn't extend the bundle's, or one of these; or it can't be read.
    """
    files = verify_bundle.unpack(bundle)
    manifest = verify_bundle.read_manifest(files)
    try:
        (begun,) = fitting(reader, manifest.origin, [files["checkpoint.txt"]], "the bundle's checkpoint")
    except NotCovered as error:
        raise LedgerInvalid(str(error)) from None
    if begun.size != manifest.size:
        raise verify_bundle.Wrong("checkpoint.txt: it's of another size than the manifest says")
    notes = to or [each for each in [reader.checkpoint()] if each is not None]
    later: dict[int, bytes] = {}
    for note in notes:
        for each in fitting(reader, begun.origin, [note], "--to"):
            if each.size > begun.size:
                later[each.size] = note
    if not later:
        raise NotCovered(f"{reader.location}: no checkpoint is newer than the bundle's, of {begun.size} records")
    parts = (
        proof_file(f"old {begun.size}\n", reader.consistency(begun.size, size), later[size]) for size in sorted(later)
    )
    return b"".join(parts), sorted(later)
