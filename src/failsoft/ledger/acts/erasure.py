"""Erasing what was recorded of a case: its payloads, not that they were there.

Theory of operation
-------------------

    may it be?  →  payload.erased, durable  →  did more come until then?  →  may it still?  →  the case's keys destroyed
    →  rows deleted  →  log cut

1. It's on record before the first byte is destroyed, and no key is that isn't named there: whoever finds a payload missing
   finds the reason. An erasure that was interrupted is seen by `failsoft verify` and finished by running it again, which
   records nothing anew.
2. A legal hold that stands in the log before that record is heeded, though it came while this was under way: then nothing is
   destroyed, and the log says of an erasure that isn't finished.
3. What came of the case until it was on record (from a host that wrote aside, say) is put on record as well, and goes too.
   What comes later is another erasure's matter.
4. What lies under a key is gone with the key, in every copy and backup that doesn't hold the file of keys. What was kept in
   clear is gone from this database: its backups, and a server's archive of its own log, have it until they're gone.
5. Names stay: of the case, its calls, models, people. They're in the tree.
6. What belongs to the case, a hold on it too, is found by the records' bytes: the log is read from its first to its last.
   Where a row says otherwise, somebody changed it, and nothing is destroyed.
7. Of a case that was pruned there's no record of a call left, and no payload. Its key is in the file of keys still, and
   opens older backups: so it's destroyed all the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from attrs import define, evolve, field, frozen

from failsoft.context import folded
from failsoft.core.effects import Clock, Recorded
from failsoft.core.evidence import CaseEvent, LegalHold, PayloadErased, Record
from failsoft.errors import LedgerInvalid
from failsoft.ledger.acts.bodies import Bodies, case_of, waits
from failsoft.ledger.acts.retention import CaseFile, Retention
from failsoft.ledger.checkpoints.publishing import Signing
from failsoft.ledger.format import canonical
from failsoft.ledger.keys.vault import Vault
from failsoft.ledger.location import Location, locate
from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.reading.query import Fields
from failsoft.ledger.records import redaction
from failsoft.ledger.records.draft import draft_of
from failsoft.ledger.records.redaction import Redact
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.store import UNREADABLE
from failsoft.ledger.writing.writer import StoredLedger

NAMED = 800
"""Commitments that one record names: more would burst it."""

_WAIT_SECONDS = 60.0

LOOKS = 5
"""So often it's looked whether more came until it was on record, and that put there too."""

BEGUN = "it's on record as begun: run it again when that's lifted"
"""What's said of an erasure that a hold stopped halfway."""


class ErasureRefused(LedgerInvalid):
    """A hold, or the class that the case is of, forbids it; or there's nothing to erase."""


@frozen
class Acting:
    """Who acts on a ledger from outside the application.

    Args:
        ledger: its file, or its URL as a configuration has it.
        signing: as the application signs it; None where it isn't signed.
        clock: gives the times in the records.
        host: label of this machine.
        random_bytes: gives identities.
        warn: told what speaks against acting here.
        redact: what's taken out of reasons, which stand in records.
    """

    ledger: str | Path | Location
    clock: Clock
    signing: Signing | None = None
    host: str | None = None
    random_bytes: Callable[[int], bytes] = os.urandom
    warn: Callable[[str], None] = lambda reason: None
    redact: Redact = redaction.redact

    @property
    def location(self) -> Location:
        """Where it is."""
        return locate(self.ledger)

    def check(self, *records: Record) -> None:
        """Can these stand in records?

        Raises:
            LedgerInvalid: one can't.
        """
        try:
            for each in records:
                draft_of(each, lambda _: None)
        except ValueError as error:
            raise LedgerInvalid(f"{self.location}: it can't be recorded: {error}") from None

    def refuse_unless_there(self) -> None:
        """None is founded by acting on it.

        Raises:
            LedgerInvalid: there's none.
        """
        if not self.location.exists():
            raise LedgerInvalid(f"{self.location}: there is no such ledger: the application founds it as it starts")

    def record(self, *records: Record) -> list[int]:
        """Put these on record, durable; their places in the log. What can't stand in a record is refused before anything is.

        Raises:
            LedgerInvalid: that can't be done.
        """
        self.check(*records)
        self.refuse_unless_there()
        self.location.connect().close()  # a database is always there, a ledger in it isn't: none is founded by this
        ledger = StoredLedger(
            self.location,
            host=self.host,
            clock=self.clock,
            random_bytes=self.random_bytes,
            on_event=lambda name, fields: self.warn(fields["reason"]) if name == "ledger.warning" else None,
            signing=self.signing,
            payloads=False,
            redact=self.redact,
        )
        ledger.open()
        try:
            tickets = [ledger.submit(each) for each in records]
        finally:
            ledger.close(_WAIT_SECONDS)
        results = [each.promise.value for each in tickets]
        lost = [each for each in results if not isinstance(each, Recorded)]
        if lost:
            raise LedgerInvalid(f"{self.location}: it couldn't be recorded ({getattr(lost[0], 'reason', lost[0])})")
        return [each.index for each in results if isinstance(each, Recorded) and each.index is not None]


@frozen
class Erased:
    """What was erased.

    Args:
        records: places in the log of the records that say so; empty where an earlier erasure was finished.
        payloads: how many were destroyed now.
        keys: how many keys.
        clear: payloads that lay under no key: backups of the database have them still.
        finished: False: a reader kept old pages in use, or the role may not clear them away, or somebody wrote under a key
            as it was destroyed; run it again.
        waiting: how many of the case's answers wait for a person still.
    """

    case: str
    records: tuple[int, ...]
    payloads: int
    keys: int
    clear: int
    finished: bool
    waiting: int = 0


@define
class _Found:
    """What a log holds of a case.

    Args:
        origin: the log's name.
        file: what it says of the case apart from its calls.
        next: the place of the first record that wasn't looked at.
        sealed: commitments to what is kept under a key.
        clear: to what is kept in clear.
        keys: that its records name.
        told: keys and commitments that are on record as destroyed.
        again: keys among them under which there's a payload of a later record.
        waiting: the calls whose answers wait for a person.
    """

    origin: str
    file: CaseFile = field(factory=CaseFile)
    next: int = 0
    sealed: list[str] = field(factory=list[str])
    clear: list[str] = field(factory=list[str])
    keys: set[str] = field(factory=set[str])
    told: set[str] = field(factory=set[str])
    again: set[str] = field(factory=set[str])
    waiting: set[str] = field(factory=set[str])

    @property
    def payloads(self) -> int:
        """How many are there."""
        return len(self.sealed) + len(self.clear)

    def unsaid(self, keys: set[str]) -> tuple[list[str], list[str]]:
        """Of these keys, and of what's in clear, those that aren't on record as destroyed so far."""
        return sorted(keys - self.told | self.again), [each for each in self.clear if each not in self.told]


def hold(acting: Acting, case: str, *, held: bool, person: str, why: str) -> int:
    """Set a legal hold on a case, or clear it; the record's place.

    Raises:
        ErasureRefused: the log doesn't know the case, or has no hold on it to be lifted.
        LedgerInvalid: it can't be recorded, or a name can't stand in a record.
    """
    with _Log(acting.location) as log:
        known = _known(log, case)
        holds = [] if held else log.file_of(known).holds
    if not held and not holds:
        raise ErasureRefused(f"{acting.location}: there's no hold on the case {case!r} that could be lifted")
    return acting.record(LegalHold(case, held, person, why))[0]


def happened(
    acting: Acting,
    case: str,
    *,
    event: str,
    date: str,
    person: str,
    why: str,
    retention: Retention = Retention(),  # noqa: B008 -- frozen
) -> int:
    """Put on record that something happened with a case; the record's place.

    Raises:
        ErasureRefused: the log doesn't know the case, or no class of cases the event.
        LedgerInvalid: it can't be recorded, or a name can't stand in a record.
    """
    said = CaseEvent(case, event, date, person, why)
    acting.check(said)
    if event not in retention.events:
        raise ErasureRefused(
            f"{acting.location}: no period begins with the event {event!r}: the classes of cases ([retention]) know "
            f"{', '.join(retention.events)}"
        )
    with _Log(acting.location) as log:
        first = _known(log, case)[0].ts[:10]
    if date < first:
        acting.warn(
            f"{case}: its first record here is of {first}, and {event} of {date}: is the year right? Until something is "
            "destroyed, the same event with a later date has the period begin then"
        )
    return acting.record(said)[0]


def erase(
    acting: Acting,
    case: str,
    *,
    basis: str,
    person: str,
    approved_by: str | None = None,
    retention: Retention = Retention(),  # noqa: B008 -- frozen
    dry_run: bool = False,
    missing_keys: bool = False,
) -> Erased:
    """Destroy the payloads of a case.

    Args:
        acting: on which ledger, as whom.
        case: its identifier.
        basis: why, for the record.
        person: who decided, likewise.
        approved_by: who else agreed, likewise.
        retention: what's to be kept.
        dry_run: find out what would be destroyed, and touch nothing: not finished, and nothing is on record.
        missing_keys: go on where a key isn't in this file of keys: it's lost, or stands in another host's, where it's
            destroyed by running this there as well. It's on record as destroyed from now on.

    Raises:
        ErasureRefused: it mustn't be, or there's nothing.
        LedgerInvalid: the ledger can't be read or written.
    """
    location = acting.location
    acting.check(PayloadErased(case, (), (), basis, person))
    now = acting.clock.time_ns()
    with _Log(location) as log:
        found = log.look(case)
    forbidden = (
        retention.forbids(found.file, now)
        or no_second(person, approved_by)
        or unapproved(found.file, retention, approved_by)
    )
    if forbidden is not None:
        raise ErasureRefused(f"{location}: {forbidden}")
    keys = _keys_to_destroy(location, case, found, missing_keys)
    if not (found.sealed or found.clear or keys or found.told):
        raise ErasureRefused(f"{location}: there's nothing of the case {case!r} that could be erased")
    if dry_run:
        return Erased(case, (), found.payloads, sum(keys.values()), len(found.clear), False, len(found.waiting))
    places: list[int] = []
    looks = 0
    while any(unsaid := found.unsaid(keys.keys() | found.keys if missing_keys else set(keys))):
        if looks == LOOKS:
            raise LedgerInvalid(
                f"{location}: more of the case {case!r} comes all the time: nothing was destroyed, and it's on record as "
                "begun: run it again when nobody writes of it"
            )
        looks += 1
        places += acting.record(*_said(case, *unsaid, basis, person, approved_by))
        with _Log(location) as log:
            log.look_on(found, case, places[-1])
        forbidden = retention.forbids(found.file, now)
        if forbidden is not None:
            raise ErasureRefused(f"{location}: {forbidden} (since a moment ago): nothing was destroyed, and {BEGUN}")
        if found.keys - found.told:
            keys |= _keys_to_destroy(location, case, found, missing_keys)
    if location.sealing is not None and keys:
        vault = Vault(location.sealing, found.origin)
        try:
            vault.shred(case, [bytes.fromhex(each) for each in keys])
        except OSError as error:
            raise LedgerInvalid(f"{location}: it's on record, and not done: {error}: run it again") from None
        finally:
            vault.close()
    finished = _forget(acting, [*found.sealed, *found.clear])
    done = Erased(
        case, tuple(places), found.payloads, sum(keys.values()), len(found.clear), finished, len(found.waiting)
    )
    with _Log(location) as log:  # another process had a key in hand until it was destroyed
        log.look_on(found, case, log.end() - 1)
    return evolve(done, finished=finished and not found.again)


def no_second(person: str, approved_by: str | None) -> str | None:
    """Why whoever agreed is no second person; None: they are, or nobody did."""
    try:
        if approved_by is not None and folded(approved_by, "a person") == folded(person, "a person"):
            return f"{person} can't agree with themselves: a second person has to"
    except ValueError as error:
        return f"it can't be recorded: {error}"
    return None


def unapproved(case: CaseFile, retention: Retention, approved_by: str | None) -> str | None:
    """Why the second person's word is missing; None: it's there, or none is asked for."""
    name = None if approved_by is not None and folded(approved_by, "a person") else retention.needs_approval(case)
    return (
        None
        if name is None
        else f"of the class {name} nothing is destroyed unless a second person agrees (--approved-by)"
    )


def _known(reader: Reader, case: str) -> list[Entry]:
    """The records of a case that the log knows: a mistyped one would be held in another's place."""
    found = [each for each in reader.records(case=case) if each.body is not None]
    if not found:
        raise ErasureRefused(f"{reader.location}: no record names the case {case!r}: is it written so?")
    return found


class _Log(Bodies):
    """What an erasure asks of a log."""

    def look(self, case: str) -> _Found:
        """All that's there of a case."""
        found = _Found(self.origin)
        self.look_on(found, case, self.end() - 1)
        return found

    def look_on(self, found: _Found, case: str, last: int) -> None:
        """What else is there, up to a place in the log, that one included."""
        for index, fields in self.of_case(case, found.next, last):
            with self.understood(index):
                self._take(found, fields)
        found.next = last + 1

    def _take(self, found: _Found, fields: Fields) -> None:
        found.file.add(fields)
        if (call := fields.get("call_id")) is not None:
            (found.waiting.add if waits(fields, call in found.waiting) else found.waiting.discard)(call)
        if fields["type"] == Kind.PAYLOAD_ERASED:
            found.told.update((*fields.get("deks", ()), *fields.get("digests", ())))
            found.again.difference_update(fields.get("deks", ()))
            return
        dek = fields.get("dek")
        if dek is not None:
            found.keys.add(dek)
        for each in fields.get("commitments", []):
            if self.keeps(each["digest"]):
                (found.clear if dek is None else found.sealed).append(each["digest"])
                if dek is not None and dek in found.told:
                    found.again.add(dek)

    def file_of(self, entries: Iterable[Entry]) -> CaseFile:
        """What these say of their case."""
        found = CaseFile()
        for each in entries:
            with self.understood(each.index):
                found.add(each.fields)
        return found

    def of_case(self, case: str, first: int, last: int) -> Iterator[tuple[int, Fields]]:
        """The records that name a case, between two places and at these: where each stands, and what it says.

        Raises:
            LedgerInvalid: a row says that it names another one than its bytes do, or the bytes were changed.
        """
        named = canonical.dump({"id": case})[1:-1]
        for line in self.lines(first, last):
            if line.body is None or (line.case != case and named not in line.body):
                continue
            fields = self.said(line)
            with self.understood(line.index):
                named_in_it = case_of(fields)
            if (named_in_it == case) is not (line.case == case):
                raise self.changed(line.index)
            if line.case == case:
                yield line.index, fields


def _keys_to_destroy(location: Location, case: str, found: _Found, missing: bool) -> dict[str, bool]:
    """The case's keys that are here: those that its records name, and those that none does (any more). What's destroyed is
    named on record first, whole: so a key that isn't here is refused, unless it's known to be missing or was told before,
    and one that is made meanwhile stays. One that doesn't open under the log's name, and that no record names, is another's.

    Returns:
        Of each its name, and whether it's there: one that an earlier erasure destroyed isn't.
    """
    sealing, kept, named = location.sealing, dict[str, bool](), found.keys | found.told
    if sealing is not None:
        vault = Vault(sealing, found.origin)
        try:
            for each in vault.of_case(case):
                if each.key is not None or each.name.hex() in named:
                    kept[each.name.hex()] = not each.shredded
        except OSError as error:
            raise LedgerInvalid(f"{location}: {error}") from None
        finally:
            vault.close()
    if (away := sorted(found.keys - kept.keys() - found.told)) and not missing:
        where = "no file of keys is named" if sealing is None else f"{sealing.path} doesn't hold it"
        raise ErasureRefused(
            f"{location}: the case lies under the key {away[0]}, and {where}: nothing was destroyed. Give the "
            "configuration that its application has (ledger.payload_key, ledger.case_keys); where the key is lost, or other "
            "hosts have files of their own, say so (--missing-keys), and run it on each of them"
        )
    return kept


def _said(
    case: str, keys: list[str], digests: list[str], basis: str, person: str, approved_by: str | None
) -> Iterator[PayloadErased]:
    while keys or digests:
        yield PayloadErased(case, tuple(keys[:NAMED]), tuple(digests[:NAMED]), basis, person, approved_by)
        keys, digests = keys[NAMED:], digests[NAMED:]


def again(error: BaseException) -> str:
    """What's to be done about an act that is on record, and couldn't be carried out."""
    return "run it again" + (" as a role that may destroy what's there (--owner)" if "42501" in str(error) else "")


def _forget(acting: Acting, digests: list[str]) -> bool:
    signing = acting.signing
    store = acting.location.store() if signing is None else acting.location.store(signing.signer(), signing.anchored)
    try:
        store.open(list)
        return store.forget([bytes.fromhex(each) for each in digests])
    except (OSError, *UNREADABLE) as error:
        raise LedgerInvalid(f"{store.name}: it's on record, and not done ({error}): {again(error)}") from None
    finally:
        store.close()
