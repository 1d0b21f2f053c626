from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failsoft.ledger.format import merkle
from failsoft.ledger.format.merkle import Frontier, leaf_hash, node_hash, over

VECTORS = Path(__file__).parents[3] / "shared" / "spec" / "vectors" / "ledger.json"
vectors = pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors at {VECTORS.name}")


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(index.to_bytes(2, "big")) for index in range(count)]


def tree(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not hashes:
        return merkle.EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(tree(hashes[:split]), tree(hashes[split:]))


@vectors
def test_roots_and_proofs_of_the_published_vectors_are_reproduced() -> None:
    given_vectors = json.loads(VECTORS.read_text())["rfc6962"]
    hashes = [leaf_hash(bytes.fromhex(each)) for each in given_vectors["leaves_hex"]]
    for size, root in given_vectors["roots"].items():
        assert merkle.root_of(hashes[: int(size)]).hex() == root
    for name, proof in given_vectors["inclusion"].items():
        index, size = map(int, name.split(","))
        assert [each.hex() for each in merkle.inclusion_proof(over(hashes), index, size)] == proof
    for name, proof in given_vectors["consistency"].items():
        old, new = map(int, name.split(","))
        assert [each.hex() for each in merkle.consistency_proof(over(hashes), old, new)] == proof


@vectors
def test_the_five_record_ledger_of_the_vectors_has_its_root_frontier_and_proofs() -> None:
    ledger = json.loads(VECTORS.read_text())["ledger"]
    hashes = [leaf_hash(each.encode()) for each in ledger["records"]]
    frontier = Frontier()
    for each in hashes:
        frontier.append(each)
    assert [each.hex() for each in hashes] == ledger["leaves"]
    assert frontier.root().hex() == ledger["root5"]
    assert [each.hex() for each in frontier.hashes] == ledger["frontier5"]
    for index, proof in ledger["proofs"].items():
        assert [each.hex() for each in merkle.inclusion_proof(over(hashes), int(index), 5)] == proof


def test_the_frontier_gives_the_root_of_the_recursive_tree_up_to_300_leaves() -> None:
    frontier = Frontier()
    hashes = leaves(300)
    for count, leaf in enumerate(hashes, 1):
        frontier.append(leaf)
        assert frontier.root() == tree(hashes[:count])
        assert Frontier.from_bytes(count, frontier.to_bytes()) == frontier


def test_every_256th_leaf_gives_the_root_of_its_block() -> None:
    frontier, hashes = Frontier(), leaves(1030)
    found = [(index, block) for index, leaf in enumerate(hashes) if (block := frontier.append(leaf))]
    assert found == [(end - 1, tree(hashes[end - 256 : end])) for end in (256, 512, 768, 1024)]


def test_all_proofs_up_to_64_leaves_are_accepted() -> None:
    hashes = leaves(64)
    roots = [tree(hashes[:size]) for size in range(65)]
    for size in range(1, 65):
        for index in range(size):
            proof = merkle.inclusion_proof(over(hashes), index, size)
            assert merkle.verify_inclusion(hashes[index], index, size, proof, roots[size])
        for old in range(1, size + 1):
            proof = merkle.consistency_proof(over(hashes), old, size)
            assert merkle.verify_consistency(old, roots[old], size, roots[size], proof)


def mutations(proof: list[bytes], flip: int) -> list[list[bytes]]:
    changed = [[*proof[:at], bytes([each[0] ^ flip]) + each[1:], *proof[at + 1 :]] for at, each in enumerate(proof)]
    cut = [proof[:-1], proof[1:]] if proof else []
    longer = [[*proof, bytes(32)], [bytes(32), *proof]]
    swapped = [[*proof[:-2], proof[-1], proof[-2]]] if len(proof) > 1 else []
    return changed + cut + longer + swapped


@given(st.integers(1, 64), st.data(), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_every_mutated_inclusion_proof_is_refused(size: int, data: st.DataObject, flip: int) -> None:
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    root = tree(hashes)
    proof = merkle.inclusion_proof(over(hashes), index, size)
    for wrong in mutations(proof, flip):
        assert not merkle.verify_inclusion(hashes[index], index, size, wrong, root)
    for other in set(range(size)) - {index}:
        assert not merkle.verify_inclusion(hashes[index], other, size, proof, root)
    assert not merkle.verify_inclusion(hashes[index], size, size, proof, root)
    assert not merkle.verify_inclusion(hashes[index], -1, size, proof, root)


@given(st.integers(1, 64), st.data(), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_every_mutated_consistency_proof_is_refused(new: int, data: st.DataObject, flip: int) -> None:
    hashes = leaves(new)
    old = data.draw(st.integers(1, new))
    roots = tree(hashes[:old]), tree(hashes)
    proof = merkle.consistency_proof(over(hashes), old, new)
    for wrong in mutations(proof, flip):
        assert not merkle.verify_consistency(old, roots[0], new, roots[1], wrong)
    assert not merkle.verify_consistency(old, bytes(32), new, roots[1], proof)
    assert not merkle.verify_consistency(old, roots[0], new, bytes(32), proof)
    assert not merkle.verify_consistency(0, merkle.EMPTY_ROOT, new, roots[1], [])
    assert not merkle.verify_consistency(new + 1, roots[1], new, roots[1], [])


def test_a_proof_is_refused_for_a_tree_whose_proofs_have_more_or_fewer_hashes() -> None:
    """Even where the hashes lead to the right root: the size that is claimed is part of what is proven."""
    hashes = leaves(16)
    roots = [tree(hashes[:size]) for size in range(17)]
    pairs = [(low, high) for high in range(1, 17) for low in range(high)]
    for index, size in pairs:
        proof = merkle.inclusion_proof(over(hashes), index, size)
        for place, claimed in pairs:
            if len(merkle.inclusion_ranges(place, claimed)) != len(proof):
                assert not merkle.verify_inclusion(hashes[index], place, claimed, proof, roots[size])
    for old, new in pairs:
        if old:
            proof = merkle.consistency_proof(over(hashes), old, new)
            for low, high in pairs:
                if low and len(merkle.consistency_ranges(low, high)) != len(proof):
                    assert not merkle.verify_consistency(low, roots[old], high, roots[new], proof)


def test_trees_of_one_size_are_consistent_exactly_if_they_are_the_same() -> None:
    first, second = tree(leaves(3)), tree(leaves(4))
    assert merkle.verify_consistency(3, first, 3, first, [])
    assert not merkle.verify_consistency(3, first, 3, second, [])
    assert not merkle.verify_consistency(3, first, 3, first, [first])


def test_an_empty_proof_of_consistency_is_refused_where_one_is_needed() -> None:
    hashes = leaves(5)
    assert not merkle.verify_consistency(3, tree(hashes[:3]), 5, tree(hashes), [])


def test_what_is_not_in_a_tree_has_no_proof() -> None:
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="no leaf"):
            merkle.inclusion_ranges(index, size)
    for old, new in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match="compared"):
            merkle.consistency_ranges(old, new)


def test_a_frontier_of_the_wrong_length_is_refused() -> None:
    for size, data in ((1, b""), (3, bytes(32)), (-1, b""), (-1, bytes(32))):
        with pytest.raises(ValueError, match="frontier"):
            Frontier.from_bytes(size, data)


def test_a_copy_of_a_frontier_goes_its_own_way() -> None:
    frontier = Frontier()
    frontier.append(bytes(32))
    copy = frontier.copy()
    copy.append(bytes(32))
    assert (frontier.size, copy.size) == (1, 2)
    assert frontier.root() == bytes(32) != copy.root()
