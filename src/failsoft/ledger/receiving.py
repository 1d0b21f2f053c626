"""A store that is being filled from another one: the same rows, the same bytes, no head until all of them are there.

Without its head a log isn't opened by anybody, so that a copy that was interrupted isn't written to. Run again, the copy
goes on where it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from failsoft.errors import LedgerInvalid
from failsoft.ledger.store import Queries

Row = tuple[Any, ...]

TABLES = {
    "ledger_log": 5,
    "ledger_record": 11,
    "ledger_payload": 4,
    "ledger_subtree": 2,
    "ledger_artifact": 3,
    "ledger_checkpoint": 4,
    "ledger_head": 4,
}
"""What is received, and how many columns each has."""


class Receiver(Protocol):
    """A store that is being filled. Raises what stands in `failsoft.ledger.store.UNREADABLE`."""

    @property
    def queries(self) -> Queries:
        """To look at what is there."""
        ...

    def take(self, rows: dict[str, Sequence[Row]], after: int) -> None:
        """Rows by table, all or none.

        Args:
            rows: what is taken.
            after: how many records are there before.

        Raises:
            LedgerInvalid: others are there, or the whole copy: somebody else makes one at the same time.
        """
        ...

    def remember(self, emitters: Sequence[str]) -> None:
        """These have calls without an end: whoever opens the copy sees that they're gone, and ends what they left open."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def check_alone(queries: Queries, place: object, after: int) -> None:
    """Is there what this copy has put there, and nothing else? Inside the transaction that adds to it.

    Raises:
        LedgerInvalid: it isn't so.
    """
    query = "SELECT (SELECT count(*) FROM ledger_head), coalesce(max(seq), -1) + 1 FROM ledger_record"
    if tuple(queries.execute(query).fetchone()) != (0, after):
        raise LedgerInvalid(f"{place}: somebody else copies to it at the same time: look at it, and run this again")
