"""What stands behind a record's commitment, as a text; or why that can't be read here: it's encrypted, erased, or not kept.

What was erased is gone with its row, or with its key: a record after the one that commits to it says so, and names either.
Where none does, it isn't kept: whether it should be is told by `failsoft verify`.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, frozen

from failsoft.errors import PayloadSealed
from failsoft.ledger.read import Reader
from failsoft.ledger.records.schema import Kind

SEALED = "is encrypted: name the ledger by its failsoft.toml"
KEYLESS = "is encrypted, and its key isn't in the file of keys"
ERASED = "was erased"
NOT_KEPT = "isn't kept"


@frozen
class Kept:
    """What's behind one commitment.

    Args:
        text: None where it can't be read here.
        there: is it in the ledger, encrypted or not?
        why: why it can't be read, to be said of it; empty where it can.
    """

    text: str | None
    there: bool
    why: str = ""


def erased_at(erasures: Mapping[str, int], digest: str, dek: str | None) -> int:
    """The place of the latest record that says it was erased, or what it lies under; -1: none does.

    Args:
        erasures: places of the latest erasures, by the keys and digests that they name.
        digest: of the commitment.
        dek: the key that the record which commits to it names.
    """
    return max(erasures.get(digest, -1), erasures.get(dek or "", -1))


@define
class Payloads:
    """Of one ledger. Its erasures are looked up once, when the first payload is missing."""

    reader: Reader
    _erasures: dict[str, int] | None = field(default=None, init=False)

    def text(self, index: int, digest: str | None, dek: str | None) -> Kept:
        """What a record commits to.

        Args:
            index: the record's place in the log.
            digest: of the commitment; None: it has none.
            dek: the key that it names; None: none.

        Raises:
            ValueError: what's kept is not what was committed to.
        """
        if digest is None:
            return Kept(None, there=False, why=NOT_KEPT)
        try:
            payload = self.reader.payload(digest)
        except PayloadSealed:
            return Kept(None, there=True, why=SEALED if self.reader.location.sealing is None else KEYLESS)
        if payload is not None:
            return Kept(payload[2].decode("utf-8", "replace"), there=True)
        return Kept(None, there=False, why=ERASED if erased_at(self._erased(), digest, dek) > index else NOT_KEPT)

    def _erased(self) -> dict[str, int]:
        if self._erasures is None:
            self._erasures = {}
            for entry in self.reader.records(Kind.PAYLOAD_ERASED):
                fields = entry.fields
                self._erasures |= dict.fromkeys((*fields.get("deks", ()), *fields.get("digests", ())), entry.index)
        return self._erasures
