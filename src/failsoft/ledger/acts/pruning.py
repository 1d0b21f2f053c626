"""Taking out the records of calls whose period is over, from a log's beginning on. The tree stays: each leaves its hash.

Rules:

1. What's taken out is a prefix: the records of all calls up to a place, with what people decided about them, and their
   payloads. Everything else there stays: who wrote, which configuration and keys were in force, what was erased.
2. No call is taken out in part: one that isn't over, or that somebody decided about later, ends the prefix before it begins.
3. Each case in it is one whose period is over, by an event on record, and that nobody holds. What belongs to no case has no
   event: it's taken out only where that's asked for.
4. It's on record before the first byte is destroyed, and finished by running it again. A case that is held by then stops
   that, too.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256

from attrs import frozen

from failsoft.core.evidence import RecordsPruned
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts.erasure import BEGUN, Acting, ErasureRefused
from failsoft.ledger.acts.retention import CaseFile, Retention
from failsoft.ledger.format import canonical
from failsoft.ledger.read import Reader
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import OF_CALLS, UNREADABLE

EMITTERS = 600
"""Emitters that one record names: more would burst it."""


_IN_PART = """
SELECT min(seq) FROM ledger_record AS one WHERE call_id IS NOT NULL AND seq <= ? AND (
    EXISTS (SELECT 1 FROM ledger_record AS later WHERE later.call_id = one.call_id AND later.seq > ?)
    OR NOT EXISTS (SELECT 1 FROM ledger_record AS ended
        WHERE ended.call_id = one.call_id AND ended.type IN ('call.completed', 'call.orphaned')))
"""


@frozen
class Pruned:
    """What was taken out.

    Args:
        last: the place up to which the records of calls are gone.
        records: how many were taken out now.
        record: the place of the record that says so; None where an earlier pruning was finished.
        finished: False: a reader kept old pages in use; run it again.
        stopped_by: why it goes no further; empty where the time that was asked for is reached.
    """

    last: int
    records: int
    record: int | None
    finished: bool
    stopped_by: str


def prune(
    acting: Acting,
    until: str,
    *,
    why: str,
    person: str,
    retention: Retention,
    caseless: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Take out the records of calls before a time, as far as that's allowed.

    Args:
        acting: on which ledger, as whom: in PostgreSQL a role that may change records.
        until: the first moment that stays, written as in the log.
        why: the reason, for the record.
        person: who decided, likewise.
        retention: what's to be kept.
        caseless: calls of no case too.
        dry_run: find out what would be taken out, and touch nothing: not finished, and nothing is on record.

    Raises:
        ErasureRefused: there's nothing that may be taken out, and why.
        LedgerInvalid: the ledger can't be read or written.
    """
    location = acting.location
    today = datetime.fromtimestamp(acting.clock.time_ns() / 1e9, UTC).date()
    with _Log(location) as log:
        told = log.told()
        last, stopped_by = _reach(log, until, retention, today, caseless=caseless)
        if last <= told and not log.prunable(told)[0]:
            raise ErasureRefused(
                f"{location}: nothing may be taken out: {stopped_by or 'there is nothing before then'}"
            )
        last = max(last, told)
        emitters, leaves = log.emitters_of_calls(last), log.leaves_of_calls(last)
        if last > told and not emitters:
            raise ErasureRefused(
                f"{location}: nothing may be taken out: {stopped_by or 'there is no call before then'}"
            )
        if held := _held(log, last):
            raise ErasureRefused(f"{location}: {held}: nothing more is taken out before it's lifted")
        if dry_run:
            return Pruned(last, log.prunable(last)[0], None, finished=False, stopped_by=stopped_by)
        if len(emitters) > EMITTERS:
            raise ErasureRefused(f"{location}: {len(emitters)} processes wrote until then: choose an earlier time")
    place = None
    if last > told:
        (place,) = acting.record(RecordsPruned(1, last, tuple(emitters), leaves, person, why))
    with _Log(location) as log:
        if held := _held(log, last):
            raise ErasureRefused(f"{location}: {held} (since a moment ago): nothing was taken out, and {BEGUN}")
        count, digests = log.prunable(last)
    signing = acting.signing
    store = location.store() if signing is None else location.store(signing.signer(), signing.anchored)
    try:
        store.open(list)
        finished = store.forget(digests)
        finished = store.prune(last) and finished
    except (OSError, *UNREADABLE) as error:
        raise LedgerInvalid(f"{store.name}: it's on record, and not done ({error}): run it again") from None
    finally:
        store.close()
    return Pruned(last, count, place, finished, stopped_by)


def _reach(log: _Log, until: str, retention: Retention, today: date, *, caseless: bool) -> tuple[int, str]:
    """How far it may go, and what it stops at."""
    last, stopped_by = log.last_before(until), ""
    while True:
        for case in log.cases_until(last):
            why = _kept(log, case, retention, today, caseless=caseless)
            if why is not None:
                last, stopped_by = log.first_of_case(case) - 1, why
                break
        else:
            first = log.first_in_part(last)
            if first is None:
                return last, stopped_by
            last = first - 1


def _held(log: _Log, last: int) -> str:
    """Which case until there is held; empty: none is. A hold counts though it came when this had begun."""
    cases = (each for each in log.cases_until(last) if each is not None)
    held = next((each for each in cases if log.case_file(each).holds), None)
    return "" if held is None else f"a legal hold is on the case {held!r}"


def _kept(log: _Log, case: str | None, retention: Retention, today: date, *, caseless: bool) -> str | None:
    """Why the records of a case stay; None: they may go."""
    if case is None:
        return None if caseless else "a call belongs to no case, so no event says when its period is over (--caseless)"
    found = log.case_file(case)
    if found.holds:
        return f"a legal hold is on the case {case!r}"
    ends = retention.ends(found)
    if ends is None:
        return f"the period of the case {case!r} isn't known to be over: its class, or the event that begins it, isn't"
    return None if ends <= today else f"the case {case!r} is to be kept until {ends}"


class _Log(Reader):
    """What a pruning asks of a log."""

    def case_file(self, case: str) -> CaseFile:
        """What its records say of a case."""
        return CaseFile.of(each.fields for each in self.records(case=case) if each.body is not None)

    def told(self) -> int:
        """The place up to which the log says that it was pruned; 0: it wasn't."""
        return max((each.fields["last"] for each in self.records(Kind.RECORD_PRUNED)), default=0)

    def last_before(self, until: str) -> int:
        """The place of the last record before the first that is of this time or later."""
        first = self._line("SELECT min(seq) FROM ledger_record WHERE ts >= ?", (until,))[0]
        return (self.size if first is None else first) - 1

    def cases_until(self, last: int) -> list[str | None]:
        """Of the calls that begin until there and are still there; None: a call of no case is among them."""
        query = (
            "SELECT DISTINCT case_id FROM ledger_record"
            " WHERE type = 'call.started' AND body IS NOT NULL AND seq <= ? ORDER BY case_id"
        )
        return [case for (case,) in self._rows(query, (last,))]

    def first_of_case(self, case: str | None) -> int:
        """The place of its first call that's still there."""
        query = "SELECT min(seq) FROM ledger_record WHERE type = 'call.started' AND body IS NOT NULL AND "
        if case is None:
            return int(self._line(f"{query} case_id IS NULL")[0])
        return int(self._line(f"{query} case_id = ?", (case,))[0])

    def first_in_part(self, last: int) -> int | None:
        """The place of the first record, until there, of a call that has no end, or records after it."""
        found: int | None = self._line(_IN_PART, (last, last))[0]
        return found

    def emitters_of_calls(self, last: int) -> list[tuple[str, int, int]]:
        """Whose records of calls are until there, with the lowest and highest of their numbers."""
        query = (
            f"SELECT emitter, min(eseq), max(eseq) FROM ledger_record WHERE {OF_CALLS} AND seq <= ? GROUP BY emitter"  # noqa: S608
        )
        return sorted((name, low, high) for name, low, high in self._rows(query, (last,)))

    def leaves_of_calls(self, last: int) -> str:
        """The SHA-256 over the leaves of the records of calls until there, whether their bytes are gone or not."""
        query = f"SELECT leaf FROM ledger_record WHERE {OF_CALLS} AND seq <= ? ORDER BY seq"  # noqa: S608 -- our own
        found = sha256()
        for (leaf,) in self._rows(query, (last,)):
            found.update(leaf)
        return found.hexdigest()

    def prunable(self, last: int) -> tuple[int, list[bytes]]:
        """How many records of calls are still there until that place, and what they commit to."""
        count, digests = 0, list[bytes]()
        query = f"SELECT body FROM ledger_record WHERE {OF_CALLS} AND body IS NOT NULL AND seq <= ? ORDER BY seq"  # noqa: S608
        for (body,) in self._rows(query, (last,)):
            count += 1
            digests += [bytes.fromhex(each["digest"]) for each in canonical.read(body).get("commitments", [])]
        return count, digests
