"""Who was asked in a time, as a verified ledger tells it: its records read once, in order, judged as they come.

Rules:

1. A call that ended names its attempts: one that went to the provider is named, and nothing is attested.
2. A call without an end (under way, or orphaned) asked nobody but the adapters of its route: where one of them is the
   provider's, nobody knows whether it was asked.
3. A start is durable before anybody is asked, unless the policy is ``continue``: then a declared gap, or a process that
   ended without a word, may hide a call.
4. A call lies in the time if any moment between its start and its end does. Times are the records' own.
5. Before its opening the log says nothing; nor does it of a time in which what was pruned may have been written.
6. Records may be on their way under ``spool``: a process that didn't close the log may have asked, though it's gone from
   the database; until another one of its host says that it was swept, and it's silent from there on. Under ``continue`` it
   may have lost the database, and go on. Only of one that wrote to a file is it believed that it has gone.

State kept: a line for each emitter, each configuration and each call that's open; the first hundred of what's found.
"""

from __future__ import annotations

from collections import Counter

from attrs import define, field, frozen

from failsoft.ledger.location import InFile
from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.reading.query import Fields, attempts_of
from failsoft.ledger.reading.senders import Configurations, Sender, Subject, names_nobody, passes_on, place_of
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.verify import SHOWN
from failsoft.providers import CALLABLE

KINDS = (
    Kind.LOG_OPENED,
    Kind.EMITTER_OPENED,
    Kind.EMITTER_CLOSED,
    Kind.CONFIG_ACTIVATED,
    Kind.CALL_STARTED,
    Kind.CALL_COMPLETED,
    Kind.CALL_ORPHANED,
    Kind.GAP_DECLARED,
    Kind.LEDGER_FAILURE,
    Kind.RECORD_PRUNED,
)
"""The records that tell it."""

END = "9"
"""Later than any time of a log's."""

SPOOL = "spool"
"""The policy under which records wait on their host."""

_ASKS_ON_RECORD_ONLY = frozenset({"fallback", "refuse"})
_PLACES = 10  # of calls without an end that are named


@frozen
class Sent:
    """One attempt that went to the provider.

    Args:
        index: the place in the log of the record that tells it.
        place: host and port that it went to; empty where the record doesn't say.
        how: how that's known.
        fault: what it ended with; empty where its answer was taken.
    """

    index: int
    ts: str
    call_id: str
    adapter: str
    place: str
    how: str
    fault: str


@define
class _Emitter:
    """A process that wrote, as far as this asks.

    Args:
        last: the latest time that it claimed.
        newest: the time of its newest record: a clock may have been set back.
        in_file: it wrote to a file, not to a database.
    """

    name: str
    opened: str
    who: str
    last: str
    newest: str
    in_file: bool
    digests: list[str] = field(factory=list[str])
    closed: bool = False

    @property
    def digest(self) -> str:
        """Its configuration; empty: none is known."""
        return self.digests[-1] if self.digests else ""


@define
class Asked:
    """What is known after the records so far.

    Args:
        since: the first moment, written as in the log.
        until: the first moment after; `END`: none.
    """

    reader: Reader
    subject: Subject
    since: str
    until: str
    configurations: Configurations = field(init=False)
    begins: str = ""
    pruned: str = ""
    """The latest time of what's gone."""
    emitters: dict[str, _Emitter] = field(factory=dict[str, _Emitter])
    started: dict[str, tuple[int, str, str]] = field(factory=dict[str, tuple[int, str, str]])
    """Place and time of the start of each call that's open, and its configuration."""
    orphaned: dict[str, tuple[tuple[int, str, str], str]] = field(factory=dict[str, tuple[tuple[int, str, str], str]])
    """Likewise of each that somebody took for orphaned, and when: its own process may end it all the same."""
    sent: list[Sent] = field(factory=list[Sent])
    more: int = 0
    reasons: list[str] = field(factory=list[str])
    unknown: Counter[tuple[str, str]] = field(factory=Counter[tuple[str, str]])
    """Attempts of adapters of which nobody knows whom they ask, with the word for it."""
    reasons_more: int = 0
    unended: list[int] = field(factory=list[int])
    """The first starts of calls without an end whose route leads to the provider, and how many there are."""
    unended_count: int = 0
    calls: int = 0
    attempts: Counter[str] = field(factory=Counter[str])
    gaps: int = 0
    swept: set[str] = field(factory=set[str])
    """Emitters that are gone, and of which no record waits on their host."""
    orphans: int = 0
    under_way: int = 0
    silent: int = 0
    wrote: int = 0
    """Processes that had the log open in that time, as far as they said."""

    def __attrs_post_init__(self) -> None:
        self.configurations = Configurations(self.reader)

    def _against(self, reason: str) -> None:
        if len(self.reasons) < SHOWN:
            self.reasons.append(reason)
        else:
            self.reasons_more += 1

    def record(self, entry: Entry) -> None:
        """The next record."""
        emitter = self.emitters.get(entry.emitter or "")
        if emitter is not None:
            emitter.last, emitter.newest = max(emitter.last, entry.ts), entry.ts
            self.swept.discard(emitter.name)  # it speaks: whoever said that it's gone was wrong
        match entry.kind:
            case Kind.LOG_OPENED:
                self.begins = entry.ts
            case Kind.EMITTER_OPENED:
                fields = entry.fields
                who = f"process {fields['pid']} on {fields['host']}"
                name = fields["emitter"]
                in_file = "sqlite" in fields.get("lib", {})
                self.emitters[name] = _Emitter(name, entry.ts, who, entry.ts, entry.ts, in_file)
                self.swept.update(fields.get("swept", ()))
            case Kind.CALL_STARTED:
                self.started[str(entry.call_id)] = entry.index, entry.ts, entry.fields["config_sha256"]
            case Kind.CALL_COMPLETED:
                self._completed(entry)
            case Kind.CALL_ORPHANED:
                self._orphaned(entry)
            case _:
                self._of_emitter(entry, self.emitters[str(entry.emitter)])

    def _of_emitter(self, entry: Entry, emitter: _Emitter) -> None:
        if entry.kind == Kind.EMITTER_CLOSED:
            emitter.closed = True
        elif entry.kind == Kind.CONFIG_ACTIVATED:
            digest = entry.fields["config_sha256"]
            emitter.digests = [*(each for each in emitter.digests if each != digest), digest]
            self.configurations.get(digest)
        elif entry.kind == Kind.RECORD_PRUNED:
            self.pruned = max(self.pruned, entry.fields.get("latest", entry.ts))
        elif entry.ts >= self.since and self.reaches_back(entry):
            if entry.kind == Kind.GAP_DECLARED:
                self._gap(entry, emitter)
            elif entry.fields["policy"] not in _ASKS_ON_RECORD_ONLY and entry.fields["from"] < self.until <= entry.ts:
                self._against(
                    f"record {entry.index}: {emitter.who} couldn't record from {entry.fields['from']}, went on, and wrote "
                    "later what it had done: choose an end after that"
                )

    def reaches_back(self, entry: Entry) -> bool:
        """Is this gap, or outage, of a process that was there before the time's end? Its clock may have been ahead then."""
        return min(self.emitters[str(entry.emitter)].opened, entry.ts) < self.until

    def _gap(self, entry: Entry, emitter: _Emitter) -> None:
        count = missing(entry)
        self.gaps += count
        if not self._policies(emitter) <= _ASKS_ON_RECORD_ONLY:
            self._against(
                f"record {entry.index}: {emitter.who} declares that up to {count} calls have records that were never "
                "written: under its policy they may have asked anybody"
            )

    def _policies(self, emitter: _Emitter) -> set[str]:
        """Under which it was; an empty one where no configuration of it is known."""
        return {self.configurations.get(each).policy for each in (emitter.digests or [""])}

    # --- calls --------------------------------------------------------------------------------------------------------

    def _completed(self, entry: Entry) -> None:
        emitter = self.emitters[str(entry.emitter)]
        call_id = str(entry.call_id)
        unknown = entry.index, entry.ts, emitter.digest
        orphaned, _ = self.orphaned.pop(call_id, (unknown, ""))
        _, began, digest = self.started.pop(call_id, orphaned)
        if not self._is_in_it(began, entry.ts):
            return
        fields = entry.fields
        self.calls += 1
        configuration = self.configurations.get(digest)
        for attempt in attempts_of(fields):
            self._attempt(entry, attempt, configuration.sender(attempt["adapter"]))
        if omitted := fields.get("attempts_omitted", 0):
            self.attempts["(not named)"] += omitted
            self._not_named(entry)

    def _not_named(self, entry: Entry) -> None:
        """A call of very many attempts names only some: the others asked adapters of its route."""
        for start in self.reader.records(Kind.CALL_STARTED, call_id=entry.call_id):
            if self._leads_there(start.fields):
                self._against(
                    f"record {entry.index}: the call made more attempts than it names, and its route leads there"
                )

    def _attempt(self, entry: Entry, attempt: Fields, sender: Sender) -> None:
        place = place_of(attempt.get("endpoint", ""))
        how = self._how(attempt, sender, place)
        if how:
            told = Sent(
                entry.index, entry.ts, str(entry.call_id), attempt["adapter"], place, how, attempt.get("fault", "")
            )
            if len(self.sent) < SHOWN:
                self.sent.append(told)
            else:
                self.more += 1
        elif why := self._in_doubt(attempt, sender, place):
            self.unknown[attempt["adapter"], why] += 1
        self.attempts[sender.provider or "(not known)"] += 1

    def _how(self, attempt: Fields, sender: Sender, place: str) -> str:
        if sender.provider == self.subject.name:
            return "the adapter is configured for it"
        if self.subject.is_at(place) or self.subject.is_at(sender.place):
            return "it's the provider's own host"
        if self.subject.is_named_by(attempt):
            return "the reply says that it answered behind a gateway"
        return ""

    def _in_doubt(self, attempt: Fields, sender: Sender, place: str) -> str:
        """Why it may have gone there, though nothing says so; empty: no reason."""
        if sender.provider == CALLABLE:
            return "it's a function of the application's, and whom that asks isn't on record"
        if not sender.is_known:
            return "no configuration on record says whom it asks"
        if self.subject.may_be_named_by(attempt):
            return f"who answered calls itself {attempt['served']['upstream']!r}: that may be it"
        if names_nobody(attempt) and passes_on(sender, place):
            return "it's a router, which hands each call on to others, and its reply doesn't say to whom"
        return ""

    def _orphaned(self, entry: Entry) -> None:
        start = self.started.pop(str(entry.call_id), None)
        if start is not None:
            self.orphaned[str(entry.call_id)] = start, entry.ts

    def _is_in_it(self, began: str, ended: str) -> bool:
        """Has a call to do with the time that's asked about? A clock may have been set back meanwhile."""
        return max(began, ended) >= self.since and min(began, ended) < self.until

    def _unended(self, index: int) -> None:
        self.calls += 1
        if self._leads_there(self.reader.record(index).fields):
            self.unended_count += 1
            if len(self.unended) < _PLACES:
                self.unended.append(index)

    def _leads_there(self, start: Fields) -> bool:
        configuration = self.configurations.get(start["config_sha256"])
        if configuration.senders is None:  # of an SDK that's observed: where the call went stands in its end
            return True
        senders = [configuration.sender(each) for each in start.get("route", [])]
        return any(self.subject.is_asked_by(each) or not each.is_known or passes_on(each) for each in senders)

    # --- the end ------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """No record follows."""
        if self.since < self.begins:
            self._against(f"the log begins at {self.begins}: what was asked before isn't in it")
        if self.since <= self.pruned:
            self._against(f"records of calls up to {self.pruned} were pruned: choose a beginning after that")
        for (index, began, _), taken in self.orphaned.values():
            if self._is_in_it(began, taken):
                self.orphans += 1
                self._unended(index)
        for index, began, _ in self.started.values():
            if began < self.until:
                self.under_way += 1
                self._unended(index)
        for emitter in self.emitters.values():
            self._emitter(emitter)
            there = emitter.last >= self.since or (not emitter.closed and self.reader.alive(emitter.name) is not False)
            if emitter.opened < self.until and there:
                self.wrote += 1
                self._observing(emitter)
        if self.unended:
            places = ", ".join(map(str, self.unended)) + (", …" if self.unended_count > len(self.unended) else "")
            self._against(
                f"{self.unended_count} calls have no end in the log whose route leads there, or to somebody unknown: "
                f"whether it was asked isn't known (started in record {places})"
            )
        for (adapter, word), count in sorted(self.unknown.items()):
            self._against(f"{count} attempts by the adapter {adapter}: {word}")

    def _observing(self, emitter: _Emitter) -> None:
        if any(self.configurations.get(each).senders is None for each in emitter.digests):
            self._against(
                f"{emitter.who} observed an SDK: of what that sends, questions to a model are recorded, and no others "
                "(embeddings, files, batches, bodies that are streamed or very large)"
            )

    def _emitter(self, emitter: _Emitter) -> None:
        """A process that didn't say that it ended: it may have asked, and not come to record it here."""
        if emitter.closed or emitter.newest >= self.until or self._recorded_all(emitter):
            return
        if emitter.last < self.since and self.reader.alive(emitter.name) is False and self._is_gone(emitter):
            self.silent += 1
            return
        self._against(
            f"{emitter.who} may ask without a record here (its policy isn't fallback or refuse), and hasn't closed the log; "
            f"its last word is of {emitter.newest}"
        )

    def _recorded_all(self, emitter: _Emitter) -> bool:
        """Is whatever it did in here, and will be? Under ``spool`` that's so once its host has nothing of it any more."""
        swept = {SPOOL} if emitter.name in self.swept else set[str]()
        return self._policies(emitter) <= _ASKS_ON_RECORD_ONLY | swept

    def _is_gone(self, emitter: _Emitter) -> bool:
        """Can nothing come any more of a process that isn't at the log?"""
        waits = SPOOL in self._policies(emitter) and emitter.name not in self.swept
        return emitter.in_file and isinstance(self.reader.location, InFile) and not waits


def missing(gap: Entry) -> int:
    """Of how many calls at most records were never written, as a ``gap.declared`` says.

    Raises:
        ValueError: it says no number: less than one would hide another gap.
    """
    count: object = gap.fields["count"]
    if type(count) is not int or count < 1:
        raise ValueError(f"record {gap.index}: it declares no number of calls")
    return count
