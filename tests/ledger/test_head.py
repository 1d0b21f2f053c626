"""The head as one process knows it: what it builds on, and what it doesn't."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledgers import SteppedClock, seeded
from signing import KEY, ORIGIN

from failsoft.ledger.checkpoints.head import Grown, Head
from failsoft.ledger.checkpoints.opening import Found
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.format.merkle import BLOCK, Frontier, root_of
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Built, Emitter
from failsoft.ledger.store import AppendFailed

EMITTER = Emitter(ORIGIN, SteppedClock(), seeded())
EMPTY = (0, b"", None)
SIGNER = Signer(KEY, Path("nowhere"))
STRANGER = Signer(SigningKey(ORIGIN, bytes(32)), Path("nowhere"))


def batch(count: int) -> list[Built]:
    return [EMITTER.build(draft.emitter_opened("h", 1, {"a": "b"}), 0, 0) for _ in range(count)]


def stored(grown: Grown, signature: bytes | None = None) -> tuple[int, bytes, bytes | None]:
    return grown.frontier.size, grown.frontier.to_bytes(), signature or grown.signature


def appended(head: Head, row: tuple[int, bytes, bytes | None], count: int) -> Grown:
    grown = head.grow(row, batch(count))
    head.committed(grown)
    return grown


def test_blocks_have_their_places_in_the_log_however_the_batches_fall() -> None:
    head, row = Head(None), EMPTY
    leaves: list[bytes] = []
    found: list[tuple[int, bytes]] = []
    for count in (1, 200, 60, 300, 255):
        records = batch(count)
        grown = head.grow(row, records)
        assert grown.first == len(leaves)
        leaves += [each.leaf for each in records]
        found += grown.blocks
        head.committed(grown)
        row = stored(grown)
    assert grown.frontier.root() == root_of(leaves)
    assert found == [(at, root_of(leaves[at * BLOCK : (at + 1) * BLOCK])) for at in range(3)]


def test_what_was_committed_is_known() -> None:
    head = Head(None)
    assert head.known.size == 0
    grown = appended(head, EMPTY, 3)
    head.opened(Found(ORIGIN, 4, True))
    assert (head.known, head.unsigned) == (grown.frontier, True)


def test_a_batch_that_was_not_committed_changes_nothing() -> None:
    head = Head(None)
    first = appended(head, EMPTY, 3)
    head.grow(stored(first), batch(2))
    assert head.grow(stored(first), batch(2)).first == 3


@pytest.mark.parametrize("row", [None, (2, Frontier().to_bytes(), None), (3, bytes(64), None)])
def test_a_head_that_went_back_or_is_another_is_not_built_on(row: tuple[int, bytes, bytes | None] | None) -> None:
    head = Head(None)
    appended(head, EMPTY, 3)
    with pytest.raises(AppendFailed, match="not the one that this process wrote to"):
        head.grow(row, batch(1))


def others(signer: Signer | None) -> tuple[int, bytes, bytes | None]:
    """What another process has made of the log meanwhile."""
    return stored(appended(Head(signer), EMPTY, 5))


class TestSigned:
    def test_what_others_signed_by_the_same_key_is_built_on(self) -> None:
        assert Head(SIGNER).grow(others(SIGNER), batch(1)).first == 5

    @pytest.mark.parametrize("signer", [STRANGER, None])
    def test_what_others_signed_otherwise_or_not_at_all_is_not(self, signer: Signer | None) -> None:
        with pytest.raises(AppendFailed, match="isn't signed by this key"):
            Head(SIGNER).grow(others(signer), batch(1))

    def test_whoever_does_not_sign_stops_where_somebody_does(self) -> None:
        with pytest.raises(AppendFailed, match="the log is signed since"):
            Head(None).grow(others(SIGNER), batch(1))

    def test_an_unsigned_log_is_signed_from_the_first_commit_on_and_then_must_be(self) -> None:
        head = Head(SIGNER)
        head.opened(Found(ORIGIN, 5, True))
        grown = appended(head, others(None), 2)
        assert SIGNER.signed_head(grown.frontier, grown.signature)
        longer = Head(None).grow((grown.frontier.size, grown.frontier.to_bytes(), None), batch(1))
        with pytest.raises(AppendFailed, match="isn't signed by this key"):
            head.grow((longer.frontier.size, longer.frontier.to_bytes(), None), batch(1))

    def test_its_own_head_without_a_signature_is_left_to_the_verifier(self) -> None:
        head = Head(SIGNER)
        grown = appended(head, EMPTY, 2)
        assert head.grow((2, grown.frontier.to_bytes(), None), batch(1)).first == 2
