"""Records without their bytes, held to what the log says was taken out.

Of such a record only its leaf is proved: what its row says besides, its type too, anybody who can write the file may have
put there. So what was pruned is named by its leaves: `record.pruned` states the SHA-256 over those of all records of calls
up to a place, and here it's worked out again, from what records say as far as they're there and from rows where they aren't.
Whoever takes out another record than was pruned, and calls it a call's, changes that.

That costs nothing as long as no record is without its bytes. A pruning isn't finished as long as a record of a call is there
that it reaches beyond.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from hashlib import sha256
from itertools import chain
from operator import itemgetter
from typing import Any

from attrs import define, field

from failsoft.ledger.format import canonical
from failsoft.ledger.records.schema import PRUNABLE, Kind
from failsoft.ledger.store import INCOMPLETE, OF_CALLS, TAMPERED, Source

Report = Callable[[str], None]

_Bare = tuple[int, int, dict[str, tuple[int, int]]]
"""First and last place of records without bytes, and the lowest and highest number of each emitter among them. It ends where
a pruning ends: the next one says whose those after it are.
"""


@define
class Pruned:
    """What is known after the records so far.

    Args:
        source: for a look back.
        count: records without bytes; at the end, of these those that a record says were pruned.
    """

    source: Source
    count: int = 0
    _bares: list[_Bare] = field(factory=list[_Bare])
    _kept: int | None = None
    _unfinished: list[int] = field(factory=list[int])
    _leaves: Any = None
    _due: list[int] = field(factory=list[int])
    _lasts: frozenset[int] = frozenset()
    _told: dict[int, str] = field(factory=dict[int, str])
    _supposed: dict[str, list[tuple[int, Callable[[], None]]]] = field(
        factory=dict[str, list[tuple[int, Callable[[], None]]]]
    )

    def bare(self, index: int, leaf: bytes, emitter: str, number: int) -> None:
        """The next record is without its bytes, and its row says that it was a call's."""
        if self._leaves is None:
            self._begin(index)
        self._add(index, leaf)
        if self._bares and self._bares[-1][1] == index - 1 and index - 1 not in self._lasts:
            first, _, numbers = self._bares.pop()
        else:
            first, numbers = index, {}
        low, _ = numbers.get(emitter, (number, number))
        numbers[emitter] = (low, number)
        self._bares.append((first, index, numbers))
        self.count += 1

    def kept(self, index: int, kind: str, leaf: bytes) -> None:
        """The next record says what it is."""
        if kind not in PRUNABLE:
            return
        if self._kept is None:
            self._kept = index
        if self._leaves is not None:
            self._add(index, leaf)

    def said(self, index: int, fields: dict[str, Any], problem: Report) -> int:
        """A record says what was taken out; up to which place, 0 where it can't have been.

        Raises:
            KeyError, TypeError: it's malformed.
        """
        first, last = fields["first"], fields["last"]
        claimed = {each["emitter"]: (each["first"], each["last"]) for each in canonical.array(fields, "emitters")}
        if any(type(number) is not int for range_ in claimed.values() for number in range_):
            raise TypeError
        if type(first) is not int or type(last) is not int or not 1 == first <= last < index:
            problem("it says that records were pruned that can't have been")
            return 0
        left: list[_Bare] = []
        for bare in self._bares:
            if bare[1] > last:
                left.append((max(bare[0], last + 1), bare[1], bare[2]))
            elif not all(low >= claimed[name][0] and high <= claimed[name][1] for name, (low, high) in bare[2].items()):
                problem("it says of other records that they were pruned than those that are missing")
        self._bares = left
        if self._kept is not None and self._kept <= last:
            self._unfinished.append(index)
        self._reach(index)
        if self._leaves is not None and self._told.get(last) != fields["leaves_sha256"]:
            problem("the records of calls up to where it says aren't those that were there when it was written")
        return last

    def suppose(self, leaf: str, index: int, otherwise: Callable[[], None]) -> None:
        """A record came late: what it refers to, by its leaf, was pruned before it; told at the end where it wasn't."""
        self._supposed.setdefault(leaf, []).append((index, otherwise))

    def end(self, report: Callable[[int, str, int], None]) -> None:
        """No record follows."""
        self._look_for_the_supposed()
        for index in self._unfinished:
            report(INCOMPLETE, "the pruning that it declares isn't finished: run it again", index)
        for first, last, _ in self._bares:
            more = f", and {last - first} more after it" if last > first else ""
            report(TAMPERED, f"its bytes are missing, and no record says that it was pruned{more}", first)
            self.count -= last - first + 1

    # --- inside -------------------------------------------------------------------------------------------------------

    def _look_for_the_supposed(self) -> None:
        """One look at all, however many came late: no index has leaves."""
        if self._supposed:
            for seq, leaf in self.source.stream("SELECT seq, leaf FROM ledger_record WHERE body IS NULL"):
                name = leaf.hex() if type(leaf) is bytes else ""
                if name in self._supposed:
                    self._supposed[name] = [each for each in self._supposed[name] if each[0] < seq]
        for _, otherwise in sorted(chain(*self._supposed.values()), key=itemgetter(0)):
            otherwise()

    def _begin(self, index: int) -> None:
        """At the first one: which places will be asked about, and the leaves before it."""
        self._leaves = sha256()
        for (body,) in self.source.execute(
            "SELECT body FROM ledger_record WHERE type = ?", (Kind.RECORD_PRUNED.value,)
        ):
            try:
                last = canonical.read(body or b"")["last"]
            except (canonical.ProfileError, KeyError):
                continue  # which is told when its turn comes
            if type(last) is int and last not in self._due:
                insort(self._due, last)
        self._lasts = frozenset(self._due)
        before = f"SELECT seq, leaf FROM ledger_record WHERE {OF_CALLS} AND seq < ? ORDER BY seq"  # noqa: S608 -- our own
        for seq, leaf in self.source.stream(before, (index,)):
            self._add(seq, leaf)

    def _add(self, index: int, leaf: bytes) -> None:
        self._reach(index)
        self._leaves.update(leaf)

    def _reach(self, index: int) -> None:
        """All before that place is known."""
        while self._leaves is not None and self._due and self._due[0] < index:
            self._told[self._due.pop(0)] = self._leaves.hexdigest()
