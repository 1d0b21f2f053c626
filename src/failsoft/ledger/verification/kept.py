"""Payloads against the commitments to them, as the records of a log go by.

Rules:

1. Each commitment has its payload, under the key that its record names, unless a record says that it was erased, or that its
   record is being pruned.
2. A payload hashes to its commitment and is of its path. One that is encrypted, and whose key isn't here, isn't opened: then
   neither can be told. Whoever gave the payload key expects that: then it's incomplete. A key that this one should open and
   doesn't was changed.
3. A key that was destroyed was destroyed by an erasure that's on record, and one that's on record was carried out.
4. A file of keys that can't be used is told once, and the rest is checked as if it weren't there.

State kept: a line for each payload that is missing until now, and for each key: of a case, or erased.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from operator import attrgetter
from typing import Any, TypeVar

from attrs import define, field, frozen

from failsoft.errors import LedgerInvalid
from failsoft.ledger.format import canonical, commitment
from failsoft.ledger.keys.vault import Kept, Sealing, Vault, VaultFailed
from failsoft.ledger.store import INCOMPLETE, TAMPERED, Payloads, Source

_T = TypeVar("_T")

Problem = Callable[[str], None]
Report = Callable[[int, str, int | None], None]

_HEX16 = re.compile(r"[0-9a-f]{32}")
_HEX32 = re.compile(r"[0-9a-f]{64}")


@frozen
class _Missing:
    """A payload that isn't there, and the record that commits to it."""

    index: int
    path: str
    dek: str | None
    prunable: bool


@define
class KeptPayloads:
    """What is known after the records so far.

    Args:
        count: payloads that are there.
        sum: of the hashes of their digests: that of all that are kept is the same. Python keys it anew in each process, so
            that none can be made to fit.
        sealed: of these, those that couldn't be opened.
        unopened: of those, the ones that a payload key was given for.
        erased: payloads that are gone, as a record says.
        clear_again: those in clear after others that are encrypted.
        late: those of cases that were erased since by their records' times, and that came after the erasure.
    """

    source: Source
    rows: Payloads = field(init=False)
    count: int = 0
    sum: int = 0
    sealed: int = 0
    unopened: int = 0
    erased: int = 0
    clear_again: int = 0
    late: int = 0
    _vault: Vault | None = None
    _sealed_under: Counter[str] = field(factory=Counter[str])
    _unusable: str | None = None
    _missing: dict[str, _Missing] = field(factory=dict[str, "_Missing"])
    _under: dict[str, list[str]] = field(factory=dict[str, list[str]])
    _erasures: dict[str, int] = field(factory=dict[str, int])
    _cases: dict[str, str] = field(factory=dict[str, str])

    def __attrs_post_init__(self) -> None:
        self.rows = self.source.payloads()

    def begin(self, sealing: Sealing | None, origin: str) -> None:
        """Before the first record."""
        if sealing is not None:
            self._vault = Vault(sealing, origin)

    def check(self, index: int, fields: dict[str, Any], problem: Problem, *, prunable: bool) -> None:
        """What a record commits to.

        Raises:
            KeyError, TypeError, ValueError: it's malformed.
        """
        commitments, dek = canonical.array(fields, "commitments"), fields.get("dek")
        paths = [each["path"] for each in commitments]
        if len(paths) > 1 and paths != sorted(set(paths)):
            problem("its commitments aren't sorted by path, or one is doubled")
        if dek is not None and _HEX16.fullmatch(dek) is None:
            raise ValueError
        late = bool(self._cases) and fields["ts"] < self._cases.get(fields.get("case", {}).get("id"), "")
        for each in commitments:
            named, path = each["digest"], each["path"]
            if _HEX32.fullmatch(named) is None:
                raise ValueError
            key = bytes.fromhex(named)
            row = self.rows.get(key)
            if row is None:
                self._miss(named, _Missing(index, path, dek, prunable))
                continue
            self.count += 1
            self.late += late
            self.sum += hash(key)
            self._payload(key, path, dek, row, problem)

    def forget(self, index: int, fields: dict[str, Any]) -> None:
        """An erasure: what was missing until now may be gone by it."""
        if "case" in fields:
            self._cases[fields["case"]["id"]] = fields["ts"]
        for dek in fields.get("deks", ()):
            self._erasures[dek] = index
            self._gone(self._under.pop(dek, ()))
        for digest in fields.get("digests", ()):
            self._erasures[digest] = index
            self._gone((digest,))

    def prune(self, last: int) -> None:
        """A pruning: where it was interrupted, records up to there still commit to what's gone already."""
        for digest in [digest for digest, each in self._missing.items() if each.prunable and each.index <= last]:
            del self._missing[digest]

    def end(self, report: Report) -> None:
        """No record follows."""
        for each in sorted(self._missing.values(), key=attrgetter("index", "path")):
            report(
                TAMPERED, f"its payload {each.path!r:.40} is missing, and no record says that it was erased", each.index
            )
        if self.unopened and self._vault is not None:
            where = self._vault.sealing.path
            lacking = (
                f"keys of payloads aren't in {where}, or another payload key wraps them: {self.unopened} weren't opened"
            )
            report(INCOMPLETE, lacking, None)
        for name, index in self._erasures.items():
            if not self._is_gone(name) or self._sealed_under[name]:
                report(INCOMPLETE, "the erasure that it declares isn't finished: run it again", index)

    def look_for_the_destroyed(self, size: int, report: Report) -> None:
        """Keys that are gone by now, after what was read at one moment: an erasure may have been put on record since.

        Args:
            size: of the log at that moment.
            report: told what's wrong.
        """
        gone = {each.hex() for each in self._asked(Vault.shredded) or ()} - self._erasures.keys()
        if gone:
            since = "SELECT body FROM ledger_record WHERE type = 'payload.erased' AND seq >= ?"
            for (body,) in self.source.execute(since, (size,)):
                gone.difference_update(canonical.read(body).get("deks", ()))
        for each in sorted(gone):
            report(TAMPERED, f"the key {each} was destroyed, and no record says so", None)
        if self._unusable is not None:
            report(INCOMPLETE, self._unusable, None)

    def close(self) -> None:
        """Let go of the file of keys."""
        vault, self._vault = self._vault, None
        if vault is not None:
            vault.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _payload(
        self, key: bytes, path: str, dek: str | None, row: tuple[bytes | None, bytes | None, bytes], problem: Problem
    ) -> None:
        name, nonce, data = row
        if dek is not None:
            self._sealed_under[dek] += 1
        elif self._sealed_under:
            self.clear_again += 1
        if (None if name is None else name.hex()) != dek:
            problem(f"its payload {path!r:.40} is kept under another key than it names")
            return
        plain: bytes | None = data
        if name is not None:
            kept = self._find(name)
            if kept is None or kept.key is None:
                self._not_opened(path, kept, problem)
                return
            plain = kept.key.open(data, key, nonce or b"")
        if plain is None or sha256(commitment.TAG + plain).digest() != key:
            problem(f"its payload {path!r:.40} isn't what was committed to")
        elif not commitment.is_for(plain, path):
            problem(f"its payload {path!r:.40} was committed to under another path")

    def _not_opened(self, path: str, kept: Kept | None, problem: Problem) -> None:
        self.sealed += 1
        if kept is not None and kept.spoilt:
            problem(f"the key of its payload {path!r:.40} was changed: it doesn't open, and should")
        elif self._vault is not None and not (kept is not None and kept.shredded):
            self.unopened += 1

    def _find(self, name: bytes) -> Kept | None:
        return self._asked(lambda vault: vault.find(name))

    def _asked(self, question: Callable[[Vault], _T]) -> _T | None:
        """None where the file of keys isn't here, or can't be used."""
        if self._vault is None:
            return None
        try:
            return question(self._vault)
        except (VaultFailed, LedgerInvalid) as error:
            self._unusable = str(error)
            self.close()
            return None

    def _miss(self, digest: str, payload: _Missing) -> None:
        self._missing[digest] = payload
        if payload.dek is not None:
            self._under.setdefault(payload.dek, []).append(digest)

    def _gone(self, digests: Iterable[str]) -> None:
        """Payloads that may have been missing until now: they were erased."""
        self.erased += sum(self._missing.pop(each, None) is not None for each in digests)

    def _is_gone(self, name: str) -> bool:
        if len(name) == 64:
            query = "SELECT 1 FROM ledger_payload WHERE digest = ?"
            return self.source.execute(query, (bytes.fromhex(name),)).fetchone() is None
        kept = self._find(bytes.fromhex(name))
        return kept is None or kept.shredded
