"""The head of a log as one process knows it: what may be appended to, and what the tree is then. No I/O.

The head is read anew in each transaction. It may never be smaller than what this process committed, or of its size and
another; when the log is opened again, it must begin with that (`failsoft.ledger.checkpoints.opening`). What others appended
meanwhile is signed by the key that signs here, or by nobody where nobody does.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.format.merkle import BLOCK, Frontier
from failsoft.ledger.records.record import Built
from failsoft.ledger.store import AppendFailed, Found


@frozen
class Grown:
    """A head after a batch.

    Args:
        first: the index of the batch's first record.
        blocks: index and root of each subtree that it completes.
        signature: of the new head; None where nobody signs.
    """

    first: int
    frontier: Frontier
    blocks: tuple[tuple[int, bytes], ...]
    signature: bytes | None


class Head:
    """What this process knows of the head.

    Args:
        signer: signs each head; None where the log isn't signed.
    """

    def __init__(self, signer: Signer | None) -> None:
        self.signer = signer
        self.unsigned = False
        self.found: Found | None = None
        self._known = Frontier()

    @property
    def known(self) -> Frontier:
        """The tree that this process committed last; empty where it committed none."""
        return self._known

    def opened(self, found: Found) -> None:
        """The log was looked at, and begins with the tree that's known."""
        self.unsigned = found.unsigned
        self.found = found

    def grow(self, row: tuple[int, bytes, bytes | None] | None, batch: Sequence[Built]) -> Grown:
        """The head after this batch.

        Args:
            row: size, frontier and signature, as stored; None where there's none.
            batch: the records that follow.

        Raises:
            AppendFailed: the log isn't the one that this process wrote to, or isn't signed as it must be.
        """
        size, data, signature = row or (-1, b"", None)
        known = self._known
        if size < known.size or (size == known.size and size and data != known.to_bytes()):
            raise AppendFailed("the log is not the one that this process wrote to: run `failsoft verify` on it")
        frontier = Frontier.from_bytes(size, data)
        self._check(frontier, signature)
        blocks = tuple(
            (index // BLOCK, block)
            for index, each in enumerate(batch, size)
            if (block := frontier.append(each.leaf)) is not None
        )
        return Grown(size, frontier, blocks, None if self.signer is None else self.signer.sign_head(frontier))

    def committed(self, grown: Grown) -> None:
        """It's durable."""
        self._known = grown.frontier
        self.unsigned = False

    def _check(self, frontier: Frontier, signature: bytes | None) -> None:
        """What others appended meanwhile they signed, or they didn't where nobody does."""
        if frontier.size == self._known.size:
            return
        if self.signer is None and signature is not None:
            raise AppendFailed("the log is signed since: give its key, and start again")
        if self.signer is not None and signature is None and self.unsigned:
            return
        if self.signer is not None and not self.signer.signed_head(frontier, signature):
            raise AppendFailed("the log's head isn't signed by this key: run `failsoft verify` on it, with the key")
