"""That no call was sent to a provider in a time: what a ledger can say for it, what against, and what it can't say.

Theory of operation. The whole ledger is verified first: records that were changed prove nothing, and an emitter whose
numbers have a gap fails there. Then its records are read once, in order:

1. A call that ended names its attempts: one that went to the provider is named, and nothing is attested.
2. A call without an end (under way, or orphaned) asked nobody but the adapters of its route: where one of them is the
   provider's, nobody knows whether it was asked.
3. A start is durable before anybody is asked, unless the policy is ``continue``: then a declared gap, or a process that
   ended without a word, may hide a call.
4. A call lies in the time if any moment between its start and its end does. Times are the records' own.
5. Before its opening the log says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from attrs import define, field, frozen

from failsoft.errors import LedgerInvalid
from failsoft.ledger.locks import alive
from failsoft.ledger.query import Fields, attempts_of
from failsoft.ledger.read import Entry, Reader, read
from failsoft.ledger.schema import Kind
from failsoft.ledger.senders import Configurations, Sender, Subject, is_provider, place_of
from failsoft.ledger.verify import SHOWN, TAMPERED, UNUSABLE, Verification, verify
from failsoft.providers import CALLABLE

ATTESTED, SENT, UNDECIDED = 0, 1, 2
"""Exit codes."""

_KINDS = (
    Kind.LOG_OPENED,
    Kind.EMITTER_OPENED,
    Kind.EMITTER_CLOSED,
    Kind.CONFIG_ACTIVATED,
    Kind.CALL_STARTED,
    Kind.CALL_COMPLETED,
    Kind.CALL_ORPHANED,
    Kind.GAP_DECLARED,
    Kind.LEDGER_FAILURE,
)
_ASKS_ON_RECORD_ONLY = ("fallback", "refuse")
_END = "9"
"""Later than any time of a log's."""


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


@frozen
class Attestation:
    """What a ledger says of whether a provider was asked.

    Args:
        exit_code: 0 attested: no call was sent; 1 some were; 2 it can't be told.
        provider: who is asked about.
        since: the first moment, as in the log.
        until: the first moment after; None: to the end of the log.
        sent: the first hundred attempts that went there.
        more: how many there are besides.
        reasons: why it can't be attested, or not wholly.
        shown: what the ledger shows, in sentences.
        limits: what it can't show, in sentences.
        attempts: in that time, by the provider that was asked.
    """

    exit_code: int
    provider: str
    since: str
    until: str | None
    sent: tuple[Sent, ...] = ()
    more: int = 0
    reasons: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    calls: int = 0
    attempts: Mapping[str, int] = MappingProxyType({})
    emitters: int = 0
    gaps: int = 0
    orphans: int = 0
    under_way: int = 0
    size: int = 0
    root: str = ""


def attest(
    path: str | Path, provider: str, since: str, until: str | None = None, *, pins: Sequence[tuple[int, str]] = ()
) -> Attestation:
    """Look whether a call was sent to a provider. The ledger is verified on the way.

    Args:
        path: the database file.
        provider: its name, as adapters name it.
        since: the first moment, written as in the log.
        until: the first moment after, written as in the log; None: to the end of the log.
        pins: size and root of the log at earlier times, from the verifier's own keeping.

    Raises:
        LedgerInvalid: a record hashes as it should, and isn't one that failsoft writes.
    """
    path = Path(path)
    verified = verify(path, pins=pins)
    if verified.exit_code in (TAMPERED, UNUSABLE):
        why = (f"the ledger is {verified.verdict}, and proves nothing", *map(str, verified.problems))
        return Attestation(UNDECIDED, provider, since, until, reasons=why)
    subject = Subject.named(provider)
    with read(path) as reader:
        walk = _Walk(path, reader, subject, since, until or _END)
        try:
            for entry in reader.records(_KINDS):
                if entry.index >= verified.size:  # it was written since
                    break
                walk.record(entry)
            walk.end()
        except (TypeError, ValueError, AttributeError, LookupError):
            raise LedgerInvalid(f"{path}: a record's parts aren't where failsoft writes them") from None
    if not is_provider(provider) and provider not in walk.configurations.providers:
        walk.reasons.insert(0, f"no provider named {provider!r} is known, or was ever configured here")
    return walk.attestation(verified, until)


@define
class _Emitter:
    """A process that wrote, as far as this asks."""

    name: str
    opened: str
    who: str
    last: str
    digest: str = ""
    closed: bool = False


@define
class _Walk:
    """What is known after the records so far."""

    path: Path
    reader: Reader
    subject: Subject
    since: str
    until: str
    configurations: Configurations = field(init=False)
    begins: str = ""
    emitters: dict[str, _Emitter] = field(factory=dict[str, _Emitter])
    started: dict[str, tuple[int, str]] = field(factory=dict[str, tuple[int, str]])
    """Place and time of the start of each call that's open."""
    sent: list[Sent] = field(factory=list[Sent])
    more: int = 0
    reasons: list[str] = field(factory=list[str])
    unknown: Counter[tuple[str, str]] = field(factory=Counter[tuple[str, str]])
    """Attempts of adapters of which nobody knows whom they ask, with the word for it."""
    unended: list[int] = field(factory=list[int])
    """Starts of calls without an end whose route leads to the provider."""
    unended_more: int = 0
    calls: int = 0
    attempts: Counter[str] = field(factory=Counter[str])
    gaps: int = 0
    orphans: int = 0
    under_way: int = 0
    silent: int = 0

    def __attrs_post_init__(self) -> None:
        self.configurations = Configurations(self.reader)

    def record(self, entry: Entry) -> None:
        """The next record."""
        emitter = self.emitters.get(entry.emitter or "")
        if emitter is not None:
            emitter.last = max(emitter.last, entry.ts)
        match entry.kind:
            case Kind.LOG_OPENED:
                self.begins = entry.ts
            case Kind.EMITTER_OPENED:
                fields = entry.fields
                who = f"process {fields['pid']} on {fields['host']}"
                name = fields["emitter"]
                self.emitters[name] = _Emitter(name, entry.ts, who, entry.ts)
            case Kind.CALL_STARTED:
                self.started[str(entry.call_id)] = entry.index, entry.ts
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
            emitter.digest = entry.fields["config_sha256"]
        elif entry.ts >= self.since:
            if entry.kind == Kind.GAP_DECLARED:
                self._gap(entry, emitter)
            elif entry.fields["policy"] not in _ASKS_ON_RECORD_ONLY and entry.fields["from"] < self.until <= entry.ts:
                self.reasons.append(
                    f"record {entry.index}: {emitter.who} couldn't record from {entry.fields['from']}, went on, and wrote "
                    "later what it had done: choose an end after that"
                )

    def _gap(self, entry: Entry, emitter: _Emitter) -> None:
        count = entry.fields["count"]
        self.gaps += count
        if not self._asks_on_record_only(emitter):
            self.reasons.append(
                f"record {entry.index}: {emitter.who} declares that {count} calls have records that were never written: "
                "under its policy they may have asked anybody"
            )

    def _asks_on_record_only(self, emitter: _Emitter) -> bool:
        return self.configurations.get(emitter.digest).policy in _ASKS_ON_RECORD_ONLY

    # --- calls --------------------------------------------------------------------------------------------------------

    def _completed(self, entry: Entry) -> None:
        _, began = self.started.pop(str(entry.call_id), (entry.index, entry.ts))
        if entry.ts < self.since or began >= self.until:
            return
        fields = entry.fields
        self.calls += 1
        configuration = self.configurations.get(self.emitters[str(entry.emitter)].digest)
        for attempt in attempts_of(fields):
            self._attempt(entry, attempt, configuration.sender(attempt["adapter"]))
        if omitted := fields.get("attempts_omitted", 0):
            names = {attempt["adapter"] for attempt in attempts_of(fields)}
            self.attempts["(not named)"] += omitted
            self._not_named(entry, names)

    def _not_named(self, entry: Entry, names: set[str]) -> None:
        """A call of very many attempts names only some: the others asked adapters of its route."""
        for start in self.reader.records(Kind.CALL_STARTED, call_id=entry.call_id):
            if self._leads_there(start.fields, besides=names):
                self.reasons.append(
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
        elif not sender.is_known:
            self.unknown[attempt["adapter"], _unknown(sender)] += 1
        self.attempts[sender.provider or "(not known)"] += 1

    def _how(self, attempt: Fields, sender: Sender, place: str) -> str:
        if sender.provider == self.subject.name:
            return "the adapter is configured for it"
        if self.subject.is_at(place) or self.subject.is_at(sender.place):
            return "it's the provider's own host"
        if self.subject.is_named_by(attempt):
            return "the reply says that it answered behind a gateway"
        return ""

    def _orphaned(self, entry: Entry) -> None:
        start = self.started.pop(str(entry.call_id), None)
        if start is not None and entry.ts >= self.since and start[1] < self.until:
            self.orphans += 1
            self._unended(start[0])

    def _unended(self, index: int) -> None:
        self.calls += 1
        if self._leads_there(self.reader.record(index).fields):
            if len(self.unended) < SHOWN:
                self.unended.append(index)
            else:
                self.unended_more += 1

    def _leads_there(self, start: Fields, besides: set[str] | frozenset[str] = frozenset()) -> bool:
        configuration = self.configurations.get(start["config_sha256"])
        senders = [configuration.sender(each) for each in start.get("route", []) if each not in besides]
        return any(self.subject.is_asked_by(each) or not each.is_known for each in senders)

    # --- the end ------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """No record follows."""
        if self.since < self.begins:
            self.reasons.append(f"the log begins at {self.begins}: what was asked before isn't in it")
        for index, began in self.started.values():
            if began < self.until:
                self.under_way += 1
                self._unended(index)
        for emitter in self.emitters.values():
            self._emitter(emitter)
        if self.unended:
            places = ", ".join(map(str, self.unended[:10])) + (
                ", …" if len(self.unended) + self.unended_more > 10 else ""
            )
            self.reasons.append(
                f"{len(self.unended) + self.unended_more} calls have no end in the log, and their route leads there, or to "
                f"somebody unknown: whether it was asked isn't known (started in record {places})"
            )
        for (adapter, word), count in sorted(self.unknown.items()):
            self.reasons.append(f"{count} attempts by the adapter {adapter}: {word}")

    def _emitter(self, emitter: _Emitter) -> None:
        """A process under ``continue`` that didn't say that it ended: it may have asked, and not come to record it."""
        if emitter.closed or emitter.opened >= self.until or self._asks_on_record_only(emitter):
            return
        if emitter.last >= self.until:
            return
        if emitter.last < self.since and not alive(self.path, emitter.name):
            self.silent += 1
            return
        self.reasons.append(
            f"{emitter.who} may ask without a record (its policy isn't fallback or refuse), and hasn't closed the log; its "
            f"last word is of {emitter.last}"
        )

    def attestation(self, verified: Verification, until: str | None) -> Attestation:
        """All of it."""
        code = SENT if self.sent else UNDECIDED if self.reasons else ATTESTED
        wrote = sum(
            each.opened < self.until and (not each.closed or each.last >= self.since) for each in self.emitters.values()
        )
        return Attestation(
            code,
            self.subject.name,
            self.since,
            until,
            tuple(self.sent),
            self.more,
            tuple(self.reasons),
            tuple(self._shown(verified, wrote)),
            tuple(self._limits(verified)),
            self.calls,
            MappingProxyType(dict(self.attempts)),
            wrote,
            self.gaps,
            self.orphans,
            self.under_way,
            verified.size,
            verified.root,
        )

    def _shown(self, verified: Verification, wrote: int) -> Iterator[str]:
        by = ", ".join(f"{count} to {name}" for name, count in sorted(self.attempts.items()))
        yield f"{self.calls} calls in that time, with {sum(self.attempts.values())} attempts" + (
            f": {by}" if by else ""
        )
        yield f"{wrote} processes had the log open; the records of each are numbered, and no number is missing"
        yield f"{self.gaps} calls are declared as gaps, {self.orphans} were orphaned, {self.under_way} have no end so far"
        yield f"{verified.size} records were verified: {verified.verdict} (root {verified.root})"

    def _limits(self, verified: Verification) -> Iterator[str]:
        yield "what was asked by other means than failsoft, or by one that wrote to another ledger or to none"
        yield "whether whoever was asked passed a call on to others: where replies name somebody, that was looked at"
        yield "whether the clocks were right: times are those of the processes that wrote, as they wrote a record"
        yield from verified.notes
        if self.silent:
            yield (
                f"what {self.silent} processes did since then that may ask without a record: they fell silent before, and "
                "are gone, without having closed the log"
            )
        if verified.pinned is None:
            yield "that this is the log that was written: no pin was given, and whoever can write the file can make another"
        elif verified.pinned < verified.size:
            yield f"that the records from {verified.pinned} on are those that were written: the pin ends there"


def _unknown(sender: Sender) -> str:
    if sender.provider == CALLABLE:
        return "it's a function of the application's, and whom that asks isn't on record"
    return "no configuration on record says whom it asks"
