"""The Merkle tree of RFC 6962 (section 2.1) over record bytes: frontier, roots, proofs. Pure arithmetic.

Theory of operation
-------------------
A tree over n leaves is split at the largest power of two below n: the left part is perfect, the right one is a smaller
tree of the same kind. So a tree is a row of perfect subtrees whose sizes are the binary digits of n, largest first. The
row of their roots is the *frontier*: all that an append needs, and 32 bytes for each 1 among the digits of n.

Rules that everything else rests on:

1. ``leaf = SHA-256(0x00 ‖ record)``, ``node = SHA-256(0x01 ‖ left ‖ right)``: a leaf is never mistaken for a node.
2. The empty tree's root is ``SHA-256("")``.
3. Appending to a tree of n leaves merges as many subtrees as n has trailing 1 digits.
4. An inclusion proof is a list of ranges of leaves; so is a consistency proof. `inclusion_ranges` and
   `consistency_ranges` say *which* ranges, whoever holds the leaves says what they hash to.
5. A verifier consumes a proof completely: a hash too few or too many is a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from attrs import define, field

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

BLOCK = 256
"""Leaves under a stored subtree root: proofs then need no more than 255 leaves besides these."""

RangeHash = Callable[[int, int], bytes]
"""The root of the leaves from the first index to before the second."""


def leaf_hash(record: bytes) -> bytes:
    """The hash of a record's exact bytes."""
    return sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees' roots."""
    return sha256(b"\x01" + left + right).digest()


@define
class Frontier:
    """The roots of a tree's perfect subtrees, largest first.

    Args:
        size: how many leaves.
        hashes: one for each 1 among the binary digits of `size`.
    """

    size: int = 0
    hashes: list[bytes] = field(factory=list[bytes])

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: `data` can't be the frontier of a tree with `size` leaves.
        """
        if size < 0 or len(data) != HASH_SIZE * size.bit_count():
            raise ValueError(f"{len(data)} bytes are no frontier of {size} leaves")
        return cls(size, [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)])

    def to_bytes(self) -> bytes:
        """The hashes, one after the other, largest subtree first."""
        return b"".join(self.hashes)

    def append(self, leaf: bytes) -> bytes | None:
        """Add a leaf's hash; the root of a block of 256 leaves where this leaf completes one, else None."""
        place, top, level, block = self.size, leaf, 0, None
        while place & 1:
            top = sha256(b"\x01" + self.hashes.pop() + top).digest()
            place >>= 1
            level += 1
            if level == 8:
                block = top
        self.hashes.append(top)
        self.size += 1
        return block

    def root(self) -> bytes:
        """The tree's root."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> Frontier:
        """One that can be appended to without changing this one."""
        return Frontier(self.size, self.hashes.copy())


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of a tree of these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def over(leaves: Sequence[bytes]) -> RangeHash:
    """A `RangeHash` over leaf hashes in memory."""
    return lambda first, end: root_of(leaves[first:end])


def _split(size: int) -> int:
    """The largest power of two below `size` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Which ranges of leaves prove that leaf `index` is in a tree of `size` leaves, lowest first (RFC 6962, 2.1.1).

    Raises:
        ValueError: there's no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    first, end = 0, size
    ranges: list[tuple[int, int]] = []
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
    ranges.reverse()
    return ranges


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """Which ranges prove that a tree of `old` leaves is the beginning of one of `new` leaves (RFC 6962, 2.1.2).

    Raises:
        ValueError: not ``0 < old <= new``.
    """
    if not 0 < old <= new:
        raise ValueError(f"a tree of {old} leaves can't be compared with one of {new}")
    first, end = 0, new
    whole = True  # the old tree is a subtree by itself: its root is known to whoever verifies
    ranges: list[tuple[int, int]] = []
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
            whole = False
    if not whole:
        ranges.append((first, end))
    ranges.reverse()
    return ranges


def inclusion_proof(range_hash: RangeHash, index: int, size: int) -> list[bytes]:
    """The hashes that prove leaf `index` of `size`, lowest first."""
    return [range_hash(*each) for each in inclusion_ranges(index, size)]


def consistency_proof(range_hash: RangeHash, old: int, new: int) -> list[bytes]:
    """The hashes that prove that the first `old` of `new` leaves are unchanged."""
    return [range_hash(*each) for each in consistency_ranges(old, new)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Is `leaf` at `index` of the tree with this size and root (RFC 9162, 2.1.3.2)?"""
    if not 0 <= index < size:
        return False
    place, last, top = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            top = node_hash(sibling, top)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            top = node_hash(top, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and top == root


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Is the tree with `old` leaves the beginning of the one with `new` leaves (RFC 9162, 2.1.4.2)?"""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place >>= 1
        last >>= 1
    older = newer = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            older = node_hash(sibling, older)
            newer = node_hash(sibling, newer)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            newer = node_hash(newer, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and older == old_root and newer == new_root
