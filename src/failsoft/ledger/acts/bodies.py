"""A log's records by their own bytes, for whoever decides by them what is destroyed.

The columns beside a record's bytes are copies. Whoever can write the store can change them without any key, and what's
destroyed can't be looked at again: so they decide nothing here, not even which records are read.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from types import NoneType

from attrs import field, frozen

from failsoft.errors import LedgerInvalid
from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import leaf_hash
from failsoft.ledger.read import Reader
from failsoft.ledger.reading.query import Fields
from failsoft.ledger.records.schema import Kind


@frozen
class Line:
    """A record's row.

    Args:
        index: its place, from 0.
        leaf: its hash, as stored.
        body: its exact bytes; None where it was pruned.
        emitter: a copy, as are all that follow: whose it is.
        number: its number among those of its emitter.
        case: the case that it names.
    """

    index: int
    leaf: bytes
    body: bytes | None = field(repr=False)
    emitter: str
    number: int
    case: str | None


class Bodies(Reader):
    """Reads rows in their order, and what their bytes say."""

    def end(self) -> int:
        """The place after the last row's, whatever the head says."""
        return int(self._line("SELECT coalesce(max(seq), -1) + 1 FROM ledger_record")[0])

    def lines(self, first: int, last: int | None = None) -> Iterator[Line]:
        """The rows from a place on, up to another, that one included; None: to the log's end.

        Raises:
            LedgerInvalid: the store is damaged.
        """
        query = (
            f"SELECT seq, leaf, body, emitter, eseq, case_id FROM ledger_record {self._source.hint_rows}"  # noqa: S608
            " WHERE seq BETWEEN ? AND ? ORDER BY seq"
        )
        for row in self._rows(query, (first, self.end() if last is None else last)):
            if type(row[1]) is not bytes or type(row[2]) not in (bytes, NoneType):
                raise self.changed(row[0])
            yield Line(*row)

    def said(self, line: Line) -> Fields:
        """What a record says that isn't pruned.

        Raises:
            LedgerInvalid: its bytes aren't those that its hash is of.
        """
        body = line.body or b""
        with suppress(canonical.ProfileError):
            if leaf_hash(body) == line.leaf:
                return canonical.read(body)
        raise self.changed(line.index)

    @contextmanager
    def understood(self, index: int) -> Generator[None, None, None]:
        """What a record says is made out here: it may be anything, as long as it's canonical.

        Raises:
            LedgerInvalid: a part of it is missing or of the wrong type.
        """
        try:
            yield
        except (TypeError, AttributeError, KeyError, ValueError):
            raise self.changed(index) from None

    def changed(self, index: int) -> LedgerInvalid:
        """What's to be raised where a record isn't what it was."""
        return LedgerInvalid(f"{self.location}: record {index} was changed: run `failsoft verify` on it")


def case_of(fields: Fields) -> str | None:
    """The case that a record names; None where it names none."""
    name: str | None = fields.get("case", {}).get("id")
    return name


def waits(fields: Fields, waited: bool) -> bool:
    """Does an answer wait for a person, after the next record of its call?

    As little as this is kept of every call, so it's less exact than `failsoft.ledger.reviews`: an act counts, whichever of
    the call's answers it's about.
    """
    match fields["type"]:
        case Kind.CALL_COMPLETED | Kind.CALL_AMENDED:
            return bool(fields.get("review", {}).get("status") == "pending")
        case Kind.REVIEW_RECORDED | Kind.OVERRIDE_RECORDED:
            return False
        case Kind.APPEAL_RECORDED:
            return True
        case _:
            return waited
