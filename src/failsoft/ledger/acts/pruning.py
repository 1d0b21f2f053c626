"""Taking out the records of calls whose period is over, from a log's beginning on. The tree stays: each leaves its hash.

Theory of operation
-------------------

    is the log whole?  →  how far?  →  what's there?  →  record.pruned, durable  →  still so?  →  payloads, then records

1. What's taken out is a prefix: the records of all calls up to a place, with what people decided about them, and their
   payloads. Everything else there stays: who wrote, which configuration and keys were in force, what was erased.
2. No call is taken out in part: one that isn't over, or that somebody decided about later, ends the prefix before it begins.
3. Each case in it is one whose period is over, by an event on record, and that nobody holds. What belongs to no case has no
   event: it's taken out only where that's asked for. A case is that of every record that would go, whatever its type: an end
   whose beginning isn't on record has one too.
4. It's on record before the first byte is destroyed, and finished by running it again, which records nothing anew. Until
   then `failsoft verify` says that it isn't. A case that is held by then, or is to be kept after all, stops that, too. So
   does somebody's decision about one of the calls, until a later pruning takes that out as well.
5. What was destroyed can't be looked at again: a pruning of a log that was tampered with would put that on record as its own
   doing. So the log is verified first. What's decided afterwards is decided by the records' bytes, each of which must be
   what its leaf is of: somebody who changes the store meanwhile changes what `record.pruned` is held to.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from hashlib import sha256
from itertools import chain
from typing import Any

from attrs import define, evolve, field, frozen

from failsoft.core.evidence import RecordsPruned
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts.bodies import Bodies, case_of, waits
from failsoft.ledger.acts.erasure import BEGUN, Acting, ErasureRefused, again, no_second, unapproved
from failsoft.ledger.acts.retention import CaseFile, Retention, last_over
from failsoft.ledger.reading.query import Fields
from failsoft.ledger.records.schema import PRUNABLE, Kind
from failsoft.ledger.store import TAMPERED, UNREADABLE, UNUSABLE
from failsoft.ledger.verify import printable, verify

EMITTERS = 600
"""Emitters that one record names: more would burst it."""

_ENDS = (Kind.CALL_COMPLETED, Kind.CALL_ORPHANED)


@frozen
class Pruned:
    """What was taken out.

    Args:
        last: the place up to which the records of calls are gone.
        records: how many were taken out now.
        record: the place of the record that says so; None where an earlier pruning was finished.
        finished: False: a reader kept old pages in use, or the role may not clear them away; run it again.
        stopped_by: why it goes no further; empty where the time that was asked for is reached.
        cases: the cases that these records were of. Their keys stay, until each case is erased.
        waiting: how many of the answers waited for a person still.
    """

    last: int
    records: int
    record: int | None
    finished: bool
    stopped_by: str
    cases: tuple[str, ...] = ()
    waiting: int = 0


def prune(
    acting: Acting,
    until: str,
    *,
    why: str,
    person: str,
    retention: Retention,
    approved_by: str | None = None,
    caseless: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Take out the records of calls before a time, as far as that's allowed. Reads the whole log.

    Args:
        acting: on which ledger, as whom: in PostgreSQL a role that may change records.
        until: the first moment that stays, written as in the log.
        why: the reason, for the record.
        person: who decided, likewise.
        retention: what's to be kept.
        approved_by: who else agreed, for the record.
        caseless: calls of no case too.
        dry_run: find out what would be taken out, and touch nothing: not finished, and nothing is on record.

    Raises:
        ErasureRefused: there's nothing that may be taken out, and why.
        LedgerInvalid: the ledger was tampered with, or it can't be read or written.
    """
    location = acting.location
    acting.check(RecordsPruned(1, 1, (), "", person, why))
    _refuse_unless_whole(acting)
    rules = _Rules(retention, last_over(acting.clock.time_ns()), caseless)
    with _Log(location) as log:
        look = _Look(until, log.told())
        log.look(look)
        reached, stopped_by = look.reach(rules)
        told = look.told
        taken = log.taken(max(reached, told), told)
    if not taken.records and not told:
        raise ErasureRefused(f"{location}: nothing may be taken out: {stopped_by or 'there is no call before then'}")
    last = reached if taken.beyond else told  # what was taken out before may still be in the write-ahead log
    if kept := look.kept(last, rules):
        raise ErasureRefused(f"{location}: {kept}: nothing more is taken out as long as that's so")
    if missing := no_second(person, approved_by) or look.unapproved(last, retention, approved_by):
        raise ErasureRefused(f"{location}: {missing}")
    if last > told and len(taken.emitters) > EMITTERS:
        raise ErasureRefused(f"{location}: {len(taken.emitters)} processes wrote until then: choose an earlier time")
    done = Pruned(last, taken.records, None, False, stopped_by, tuple(sorted(taken.cases)), look.waiting(last))
    if dry_run:
        return done
    if last > told:
        (place,) = acting.record(taken.said(last, person, why, approved_by))
        done = evolve(done, record=place)
        with _Log(location) as log:
            log.look(look)
        if kept := look.kept(last, rules):
            raise ErasureRefused(f"{location}: {kept} (since a moment ago): nothing was taken out, and {BEGUN}")
    return evolve(done, finished=_destroy(acting, last, taken.digests))


def _refuse_unless_whole(acting: Acting) -> None:
    """What's incomplete may be: a pruning or an erasure that was interrupted is."""
    signing = acting.signing
    found = verify(acting.location, keys=() if signing is None else (signing.key.verifier,))
    if found.exit_code in (TAMPERED, UNUSABLE):
        first = next((each for each in found.problems if each.code in (TAMPERED, UNUSABLE)), found.verdict)
        raise LedgerInvalid(
            f"{acting.location}: nothing is taken out of a ledger that isn't whole: {printable(str(first))}: "
            "run `failsoft verify` on it"
        )


def _destroy(acting: Acting, last: int, digests: list[bytes]) -> bool:
    signing = acting.signing
    store = acting.location.store() if signing is None else acting.location.store(signing.signer(), signing.anchored)
    try:
        store.open(list)
        finished = store.forget(digests)
        return store.prune(last) and finished
    except (OSError, *UNREADABLE) as error:
        raise LedgerInvalid(f"{store.name}: it's on record, and not done ({error}): {again(error)}") from None
    finally:
        store.close()


@frozen
class _Rules:
    """Which cases may go now.

    Args:
        over: the last day that's over everywhere.
    """

    retention: Retention
    over: date
    caseless: bool

    def keep(self, case: str | None, found: CaseFile) -> str | None:
        """Why the records of a case stay; None: they may go."""
        if case is None:
            return (
                None
                if self.caseless
                else "a call belongs to no case, so no event says when its period is over (--caseless)"
            )
        if found.holds:
            return f"a legal hold is on the case {case!r}"
        ends = self.retention.ends(found)
        if ends is None:
            return (
                f"the period of the case {case!r} isn't known to be over: its class, or the event that begins it, isn't"
            )
        return None if ends <= self.over else f"the case {case!r} is to be kept until {ends} is over"


@define
class _Call:
    """A call that isn't pruned, by its records so far."""

    first: int
    last: int
    over: bool
    cases: tuple[str, ...] = ()
    waits: bool = False


@define
class _Look:
    """What a log says of its calls and cases, by the records so far.

    Args:
        until: the first moment that stays.
        told: the place up to which the log says that it was pruned; 0: it wasn't.
        next: the place of the next record.
    """

    until: str
    told: int
    next: int = 0
    _later: int | None = None
    _calls: dict[str, _Call] = field(factory=dict[str, _Call])
    _files: defaultdict[str, CaseFile] = field(factory=lambda: defaultdict(CaseFile))
    _begun: set[str] = field(factory=set[str])
    _going: dict[str, tuple[int, int]] = field(factory=dict[str, tuple[int, int]])
    """The first and the last record of each call of which something is still there and said to be pruned."""

    def take(self, index: int, fields: Fields) -> None:
        """The next record that isn't pruned."""
        if self._later is None and fields["ts"] >= self.until:
            self._later = index
        case = case_of(fields)
        if case is not None:
            self._files[case].add(fields)
        if fields["type"] not in PRUNABLE:
            return
        name = fields["call_id"]
        if index <= self.told:
            self._going[name] = (self._going.get(name, (index, index))[0], index)
            if case is not None:
                self._begun.add(case)
            return
        if name in self._going:
            self._going[name] = (self._going[name][0], index)
        call = self._calls.get(name)
        if call is None:
            if self._later is not None:
                return
            call = self._calls[name] = _Call(index, index, fields["type"] != Kind.CALL_STARTED)
        call.last = index
        call.over = call.over or fields["type"] in _ENDS
        call.waits = waits(fields, call.waits)
        if case is not None and case not in call.cases:
            call.cases = (*call.cases, case)

    def reach(self, rules: _Rules) -> tuple[int, str]:
        """How far a pruning may go, and what it stops at."""
        last, stopped_by = (self.next if self._later is None else self._later) - 1, ""
        for case, first in self._firsts().items():
            why = rules.keep(case, self._files[case] if case is not None else CaseFile())
            if first <= last and why is not None:
                last, stopped_by = first - 1, why
        for name, call in reversed(self._calls.items()):
            if call.first <= last and not call.over:
                last, stopped_by = call.first - 1, f"the call {name!r} (record {call.first}) isn't over"
            elif call.first <= last < call.last:
                last, part = call.first - 1, f"{_goes_on(name, call.first, call.last)}, which stays"
                stopped_by = f"{stopped_by}; {part}" if stopped_by else part
        return max(last, self.told), stopped_by

    def kept(self, last: int, rules: _Rules) -> str:
        """Why what's until there is kept: its case is, or somebody decided about a call later; empty: it isn't. What came
        when this had begun counts, too. Where no record of a call of a case is left nobody can tell what kind it's of:
        there only a hold is heeded.
        """
        whys = (rules.keep(case, found) for case, found in self._until(last) if found.kinds or found.holds)
        calls = {name: (call.first, call.last) for name, call in self._calls.items()} | self._going
        parts = (
            f"{_goes_on(name, first, end)}, and goes as a whole, with a later pruning"
            for name, (first, end) in calls.items()
            if first <= last < end
        )
        return next((why for why in chain(whys, parts) if why is not None), "")

    def unapproved(self, last: int, retention: Retention, approved_by: str | None) -> str:
        """Why the second person's word is missing; empty: it's there, or none is asked for."""
        whys = (unapproved(found, retention, approved_by) for _, found in self._until(last))
        return next((why for why in whys if why is not None), "")

    def waiting(self, last: int) -> int:
        """How many answers until there wait for a person."""
        return sum(call.waits for call in self._calls.values() if call.first <= last)

    def _until(self, last: int) -> list[tuple[str, CaseFile]]:
        """The cases of which something would go, or is going already."""
        cases = {case for case, first in self._firsts().items() if case is not None and first <= last} | self._begun
        return [(each, self._files[each]) for each in sorted(cases)]

    def _firsts(self) -> dict[str | None, int]:
        """Where the first call of each case begins; None: of those of no case."""
        found: dict[str | None, int] = {}
        for call in self._calls.values():  # in the order in which they begin
            for case in call.cases or (None,):
                found.setdefault(case, call.first)
        return found


@define
class _Taken:
    """What would be gone.

    Args:
        records: how many records of calls.
        beyond: how many of them after what was pruned before.
        emitters: whose these are, with the lowest and highest of their numbers.
        latest: the latest time that one of these claims.
        leaves: the SHA-256 over the leaves of all of them, those included that were pruned before.
        digests: what those that are still there commit to.
    """

    records: int = 0
    beyond: int = 0
    emitters: dict[str, tuple[int, int]] = field(factory=dict[str, tuple[int, int]])
    latest: str = ""
    leaves: Any = field(factory=sha256)
    digests: list[bytes] = field(factory=list[bytes])
    cases: set[str] = field(factory=set[str])

    def of(self, emitter: str, number: int, ts: str) -> None:
        """The next record of a call, which nobody said was pruned."""
        self.beyond += 1
        self.latest = max(self.latest, ts)
        low, high = self.emitters.get(emitter, (number, number))
        self.emitters[emitter] = (min(low, number), max(high, number))

    def said(self, last: int, person: str, why: str, approved_by: str | None) -> RecordsPruned:
        """What's put on record."""
        emitters = tuple(sorted((name, *numbers) for name, numbers in self.emitters.items()))
        return RecordsPruned(1, last, emitters, self.leaves.hexdigest(), person, why, approved_by, self.latest)


def _goes_on(name: str, first: int, last: int) -> str:
    return f"the call {name!r} (record {first}) goes on to record {last}"


class _Log(Bodies):
    """What a pruning asks of a log."""

    def told(self) -> int:
        """The place up to which the log says that it was pruned; 0: it wasn't."""
        return max((each.fields["last"] for each in self.records(Kind.RECORD_PRUNED)), default=0)

    def look(self, look: _Look) -> None:
        """Go on with a look, to the log's end."""
        for line in self.lines(look.next):
            look.next = line.index + 1
            if line.body is not None:
                fields = self.said(line)
                with self.understood(line.index):
                    look.take(line.index, fields)

    def taken(self, last: int, told: int) -> _Taken:
        """What would be gone up to there; it was up to `told`, as the log says."""
        found = _Taken()
        for line in self.lines(1, last):
            if line.body is None:
                if line.index > told:
                    raise self.changed(line.index)
                found.leaves.update(line.leaf)
                continue
            fields = self.said(line)
            if fields["type"] not in PRUNABLE:
                continue
            found.leaves.update(line.leaf)
            found.records += 1
            if line.index > told:
                found.of(fields["emitter"], fields["eseq"], fields["ts"])
            found.digests += [bytes.fromhex(each["digest"]) for each in fields.get("commitments", [])]
            if (case := case_of(fields)) is not None:
                found.cases.add(case)
        return found
