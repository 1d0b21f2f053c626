"""Roots of ranges of a stored log, from its subtrees and leaves: what proofs are made of."""

from __future__ import annotations

from failsoft.ledger.format.merkle import BLOCK, Frontier
from failsoft.ledger.store import Queries


def stored_range(connection: Queries, first: int, end: int) -> bytes:
    """The root of the leaves from `first` to before `end`, as stored: a verifier of the proof finds out if it's wrong.

    A range of a proof begins at a multiple of 256, or is shorter: whole blocks come from the stored subtrees.
    """
    blocks, rest = Frontier(), Frontier()
    whole = first // BLOCK + (end - first) // BLOCK
    for (block,) in connection.execute(
        "SELECT hash FROM ledger_subtree WHERE idx >= ? AND idx < ? ORDER BY idx", (first // BLOCK, whole)
    ):
        blocks.append(block)
    start = first + blocks.size * BLOCK
    for (leaf,) in connection.execute(
        "SELECT leaf FROM ledger_record WHERE seq >= ? AND seq < ? ORDER BY seq", (start, end)
    ):
        rest.append(leaf)
    return Frontier(end - first, blocks.hashes + rest.hashes).root()
