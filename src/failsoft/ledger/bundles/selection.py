"""Which parts of a log belong to the calls that somebody asks about, and which payloads are shown of them.

What goes in, all of it before one signed checkpoint:

1. every record of the calls, and every later one that refers to one of these, or to one that does (reviews, overrides,
   appeals);
2. the configuration in force when a call began, what was put on record of the lock that it was held to, and who approved
   that; with what they say;
3. the records just before and after each of the calls', of the same emitter, whose numbers have no gap; how each of those
   emitters opened, how the log was, and each change of its key;
4. what was recorded later about the adapters that were asked, and about the capabilities: another model seen, drift, an end
   announced, a block, each configuration that asks for another model or has a capability otherwise, or under another lock,
   or has that as it was again; and about the calls' cases: erasures, holds, events.

Payloads are those of the calls' records alone; each is disclosed, or named as withheld.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from attrs import define, field, frozen

from failsoft.errors import FailsoftError, LedgerInvalid
from failsoft.ledger.bundles.concerned import KEEPING, PURPOSES, Asked, Began, Configurations, Place
from failsoft.ledger.bundles.missing import act_under_way, is_erased
from failsoft.ledger.format.note import Checkpoint, Note, NoteInvalid
from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.reading.asked import SPOOL
from failsoft.ledger.reading.senders import Configurations as Policies
from failsoft.ledger.records.schema import Kind

Fields = dict[str, Any]

REFERRING = (Kind.REVIEW_RECORDED, Kind.OVERRIDE_RECORDED, Kind.APPEAL_RECORDED)
CHANGES = (
    *(Kind.MODEL_IDENTITY_CHANGED, Kind.DRIFT_DETECTED, Kind.MODEL_RETIREMENT_NOTICE, Kind.ROLLBACK_EXECUTED),
    *(Kind.BLOCK_CHANGED, Kind.CONFIG_ACTIVATED, Kind.LOCK_CHANGED, Kind.APPROVAL_RECORDED, Kind.KEY_ROTATED),
)
_ENDS = (Kind.CALL_COMPLETED, Kind.CALL_ORPHANED, Kind.CALL_AMENDED)


class NotCovered(FailsoftError):
    """No signed checkpoint covers what was asked for: one that's made now would."""


class NotWhole(FailsoftError):
    """What was asked for isn't whole in this log: a call is under way, a record was pruned."""


@frozen
class Wanted:
    """What a bundle is to hold.

    Args:
        calls: these calls, by their ids.
        cases: and those of these cases.
        disclose: only payloads with these paths; one that ends with ``*`` stands for all that begin so. None: all.
        withhold: of those, not the ones with these paths, nor what repeats them: a prompt puts the request.
        since: signed checkpoints that the receiver has, which the log is shown to extend.
        all_records: every record of the log besides, without payloads.
    """

    calls: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    disclose: tuple[str, ...] | None = None
    withhold: tuple[str, ...] = ()
    since: tuple[bytes, ...] = ()
    all_records: bool = False


@frozen
class Selection:
    """What a bundle holds of a log.

    Args:
        checkpoint: the signed checkpoint that all of it stands under, and its bytes in `note`.
        call_ids: in order.
        entries: the records, by their place in the log, in order.
        own: those of the calls.
        later: those about what has changed since, and reviews: in order.
        disclosures: by digest, hexadecimal.
        withheld: digests of payloads that are kept and not shown.
        erased: digests of payloads that aren't kept any more, as a record says that's among them.
        artifacts: by SHA-256, hexadecimal.
        in_force: the configuration that each call began under, by the place of its first record.
        began: when each call began, by its id.
        programs: which capabilities whoever put a later record there has, by its place; none where that isn't known.
        locks: of each lock that a call was held to, where it's put on record that another one came, by its application.
        since: sizes of earlier checkpoints that the log extends.
        untaken: later configurations that changed something, and aren't here: they were too many.
    """

    checkpoint: Checkpoint
    note: bytes = field(repr=False)
    call_ids: tuple[str, ...]
    entries: Mapping[int, Entry] = field(repr=False)
    own: tuple[int, ...]
    later: tuple[int, ...]
    disclosures: Mapping[str, bytes] = field(repr=False)
    withheld: tuple[str, ...]
    erased: tuple[str, ...]
    artifacts: Mapping[str, bytes] = field(repr=False)
    in_force: Mapping[int, Entry] = field(repr=False)
    began: Mapping[str, Began] = field(repr=False)
    programs: Mapping[int, frozenset[str]] = field(repr=False)
    locks: Mapping[str, frozenset[int]] = field(repr=False)
    since: tuple[int, ...] = ()
    untaken: tuple[Place, ...] = ()


def select(reader: Reader, wanted: Wanted) -> Selection:
    """Find what belongs to the calls.

    Raises:
        LookupError: there is no such call or case, or no payload with a path that's to be withheld or disclosed.
        NotCovered: no signed checkpoint covers them all.
        NotWhole: a call isn't finished, a record isn't there any more, or what destroys a payload isn't finished.
        LedgerInvalid: the log is damaged, or doesn't extend a checkpoint that the receiver has; or a payload is gone, and no
            record says that it was erased, or an artifact.
        PayloadSealed: a payload that's to be shown is encrypted, and its key isn't here.
        ValueError: a record is malformed.
    """
    own = _of_calls(reader, wanted)
    call_ids = tuple(sorted({each.call_id for each in own if each.call_id is not None}))
    if not call_ids:
        pruned = next(reader.records(Kind.RECORD_PRUNED), None) is not None
        raise LookupError(
            f"no call in what was asked for: records that name {', '.join(wanted.cases)} are of none"
            + (", and records of calls were pruned from this log" if pruned else "")
        )
    for call_id in call_ids:
        _finished(call_id, [each for each in own if each.call_id == call_id])
    gathered = _Gathered(reader, {each.index: each for each in own}, set(call_ids))
    gathered.settings()
    gathered.changes()
    checkpoint, note = _covering(reader, max(gathered.entries))
    gathered.neighbours(checkpoint.size)
    if wanted.all_records:
        gathered.everything(checkpoint.size)
    shown = _Shown(reader, wanted, gathered.erasures)
    for entry in gathered.of_calls():
        shown.take(entry)
    shown.end()
    return Selection(
        checkpoint,
        note,
        call_ids,
        dict(sorted(gathered.entries.items())),
        tuple(sorted(each.index for each in gathered.of_calls())),
        tuple(sorted(gathered.later)),
        shown.disclosures,
        tuple(shown.withheld),
        tuple(shown.erased),
        gathered.artifacts,
        gathered.in_force,
        gathered.began,
        gathered.programs,
        gathered.locks,
        tuple(_extended(reader, checkpoint, wanted.since)),
        gathered.untaken,
    )


def fits(path: str, patterns: Iterable[str]) -> bool:
    """Is this path, of a payload, one of these; or does it begin with one that ends in ``*``?"""
    return any(path == each or (each.endswith("*") and path.startswith(each[:-1])) for each in patterns)


def _repeated(path: str, beside: Iterable[str]) -> tuple[str, ...]:
    """Whose words may stand in a payload, too: a prompt puts the request, and one that asks again what went before; a reply
    becomes the response, and some services repeat in it what they were asked; what's noted of an attempt quotes any of
    these; a person is shown the question and the answer.
    """
    kind, _, number = path.partition("/")
    if kind == "prompt" and number:
        return (
            "request",
            "prompt",
            "response",
            *(each for each in beside if each.startswith(("prompt/", "reply/", "error/"))),
        )
    return {
        "prompt": ("request",),
        "reply": ("request", "prompt", "response"),
        "error": ("request", "prompt", "response", f"reply/{number}"),
        "shown": ("request", "response"),
    }.get(kind, ())


def _of_calls(reader: Reader, wanted: Wanted) -> list[Entry]:
    found: dict[int, Entry] = {}
    asked: list[tuple[str, Callable[[], Iterable[Entry]]]] = [
        *((f"call {each}", lambda each=each: reader.call(each)) for each in wanted.calls),
        *((f"case {each}", lambda each=each: reader.records(case=each)) for each in wanted.cases),
    ]
    for what, entries in asked:
        some = {each.index: each for each in entries()}
        if not some:
            raise LookupError(f"{reader.location}: no record of a {what}")
        found |= some
    for call_id in {each.call_id for each in found.values() if each.call_id is not None}:
        found |= {each.index: each for each in reader.call(call_id)}
    for entry in found.values():
        if entry.body is None:
            raise NotWhole(
                f"{reader.location}: record {entry.index} of what was asked for was pruned: it can't be bundled"
            )
    return list(found.values())


def _finished(call_id: str, entries: Sequence[Entry]) -> None:
    kinds = {each.kind for each in entries}
    if not kinds & set(_ENDS):
        raise NotWhole(
            f"call {call_id} has no end in the log: wait for it; or, if its process is gone, the next start of the "
            "application puts that on record"
        )


def _covering(reader: Reader, last: int) -> tuple[Checkpoint, bytes]:
    note = reader.checkpoint()
    if note is None:
        raise NotCovered(f"{reader.location}: no signed checkpoint is stored")
    try:
        checkpoint = Checkpoint.parse(Note.parse(note).text)
    except NoteInvalid as error:
        raise LedgerInvalid(
            f"{reader.location}: its newest checkpoint isn't one ({error}): run `failsoft verify`"
        ) from None
    if checkpoint.size > reader.size or reader.root_at(checkpoint.size) != checkpoint.root:
        raise LedgerInvalid(f"{reader.location}: its newest checkpoint is of another log: run `failsoft verify` on it")
    if checkpoint.size <= last:
        raise NotCovered(
            f"{reader.location}: the newest checkpoint is of {checkpoint.size} records, and record {last} isn't one"
        )
    return checkpoint, note


def _extended(reader: Reader, checkpoint: Checkpoint, notes: Iterable[bytes]) -> list[int]:
    sizes = {each.size for each in fitting(reader, checkpoint.origin, notes, "--since-checkpoint")}
    if any(each > checkpoint.size for each in sizes):
        raise NotCovered(f"{reader.location}: the checkpoint that you gave is newer than the newest one here")
    return sorted(each for each in sizes if 0 < each < checkpoint.size)


def fitting(reader: Reader, origin: str, notes: Iterable[bytes], told: str) -> Iterator[Checkpoint]:
    """These checkpoints, each of which the log extends, or reaches.

    Args:
        reader: the log.
        origin: its name.
        notes: signed checkpoints, as somebody has them. Their signatures are that one's matter.
        told: what they're called in an error.

    Raises:
        LookupError: one of them is no checkpoint.
        NotCovered: the log has fewer records than one.
        LedgerInvalid: one is of another log, or of another tree.
    """
    for data in notes:
        try:
            each = Checkpoint.parse(Note.parse(data).text)
        except NoteInvalid as error:
            raise LookupError(f"{told}: {error}") from None
        if each.size > reader.size:
            raise NotCovered(f"{reader.location}: the checkpoint that you gave is newer than the log")
        if each.origin != origin or (each.size and reader.root_at(each.size) != each.root):
            raise LedgerInvalid(
                f"{reader.location}: the log doesn't extend the checkpoint of {each.size} records that you gave: it's of "
                "another log, or this one was forked, cut or changed"
            )
        yield each


@define
class _Gathered:
    """Records, as they are found to belong to the calls."""

    reader: Reader
    entries: dict[int, Entry]
    call_ids: set[str]
    later: set[int] = field(factory=set[int])
    artifacts: dict[str, bytes] = field(factory=dict[str, bytes])
    in_force: dict[int, Entry] = field(factory=dict[int, Entry])
    erasures: dict[str, int] = field(factory=dict[str, int])
    untaken: tuple[Place, ...] = ()
    began: dict[str, Began] = field(factory=dict[str, Began])
    programs: dict[int, frozenset[str]] = field(factory=dict[int, frozenset[str]])
    locks: dict[str, frozenset[int]] = field(factory=dict[str, frozenset[int]])

    def of_calls(self) -> list[Entry]:
        """In order."""
        return [each for _, each in sorted(self.entries.items()) if each.call_id in self.call_ids]

    def changes(self) -> None:
        """What refers to the calls, and what changed since: one look at all records of such types."""
        asked = Asked.of(self.of_calls())
        calls = self.began.values()
        configurations = Configurations(asked, calls, self.in_force)
        leaves = {each.leaf.hex() for each in self.entries.values()}
        about_locks: list[Entry] = []
        for entry in self.reader.records(kind=(*REFERRING, *CHANGES, *KEEPING)):
            fields = entry.fields
            if entry.kind == Kind.KEY_ROTATED:
                self.entries[entry.index] = entry
            elif entry.kind == Kind.PAYLOAD_ERASED:
                self.erasures |= dict.fromkeys(asked.erased_by(fields), entry.index)
            elif entry.kind in (Kind.LOCK_CHANGED, Kind.APPROVAL_RECORDED):
                about_locks.append(entry)
            elif entry.kind == Kind.CONFIG_ACTIVATED:
                asked.hear(entry, fields)
                if configurations.take(entry, fields):
                    self._take(entry)
                continue
            refers = not leaves.isdisjoint(fields.get("refs", {}).values())
            if refers or (asked.concerns(entry, fields) and self._follows(entry)):
                self._take(entry)
                self.programs[entry.index] = asked.programs.get(entry.emitter, frozenset())
        if (last := configurations.last()) is not None:
            self._take(last)
        self.untaken = tuple(configurations.untaken)
        in_force = {each.index: each for each in self.in_force.values()}.values()
        for entry in in_force:
            self._with_artifacts(entry)
        self._about_locks(about_locks)

    def settings(self) -> None:
        """When each call began, and under which configuration: whether it may have waited for the database is told there."""
        starts = {each.index: each for each in self.of_calls() if each.kind == Kind.CALL_STARTED}
        for entry in self.reader.records(Kind.CONFIG_ACTIVATED):
            if entry.index > max(starts, default=-1):
                break
            begun = {at: entry for at, start in starts.items() if _began_under(start, entry, self.in_force.get(at))}
            self.in_force |= begun
        policies = Policies(self.reader)
        for entry in self.of_calls():
            under = self.in_force.get(entry.index)
            spools = under is not None and policies.get(under.fields["config_sha256"]).policy == SPOOL
            self.began.setdefault(str(entry.call_id), Began(Place.of(entry), spools))

    def _follows(self, entry: Entry) -> bool:
        """Was this put on record after one of the calls began?"""
        return any(each.precedes(Place.of(entry)) for each in self.began.values())

    def _held(self) -> dict[str, set[str]]:
        """The capabilities of the calls that were held to each lock."""
        held: dict[str, set[str]] = {}
        for entry in self.of_calls():
            under = self.in_force.get(entry.index)
            if under is not None and "lock_sha256" in under.fields:
                held.setdefault(under.fields["lock_sha256"], set()).add(entry.fields["capability"]["name"])
        return held

    def _about_locks(self, entries: Sequence[Entry]) -> None:
        """What was put on record of the locks that the calls were held to; and that another one came later. A ledger may be
        of several applications: another one's lock holds none of the capabilities, and doesn't follow one that did.
        """
        named: dict[str, set[str] | None] = {}
        for lock, capabilities in self._held().items():
            own, later = {lock}, set[int]()
            for entry in entries:
                digest = entry.fields["lock_sha256"]
                if digest == lock:
                    self._with_artifacts(entry)
                if entry.kind != Kind.LOCK_CHANGED:
                    continue
                holds = named[digest] = named[digest] if digest in named else self._held_by(digest)
                if entry.fields.get("former_sha256") in own or holds is None or holds & capabilities:
                    own.add(digest)
                if digest in own and self._follows(entry):
                    later.add(entry.index)
                    self._take(entry)
            self.locks[lock] = frozenset(later)

    def _held_by(self, lock: str) -> set[str] | None:
        """The capabilities in a lock; None where that can't be told."""
        try:
            artifact = self.reader.artifact(lock)
            held = None if artifact is None else json.loads(artifact[1]).get("capabilities")
        except (ValueError, AttributeError, RecursionError):
            return None
        return set(cast("dict[str, Any]", held)) if isinstance(held, dict) else None

    def _with_artifacts(self, entry: Entry) -> None:
        self.entries[entry.index] = entry
        fields = entry.fields
        named = [fields.get(key) for key in ("config_sha256", "lock_sha256", "report_sha256")]
        named += [each.get("digest") for each in fields.get("capabilities", [])]
        for digest in named:
            if digest is None:
                continue
            if (artifact := self.reader.artifact(digest)) is None:
                raise LedgerInvalid(
                    f"{self.reader.location}: record {entry.index} names the artifact {digest!r:.70}, which is missing: run "
                    "`failsoft verify` on it"
                )
            self.artifacts[digest] = artifact[1]

    def _take(self, entry: Entry) -> None:
        self.entries[entry.index] = entry
        self.later.add(entry.index)

    def neighbours(self, size: int) -> None:
        """Those before and after each of the calls' records; how their emitters, and the log, opened."""
        wanted: set[tuple[str, int]] = set()
        for entry in self.of_calls():
            emitter, number = entry.fields["emitter"], entry.fields["eseq"]
            wanted |= {(emitter, 0), (emitter, max(0, number - 1)), (emitter, number + 1)}
        found = [self.reader.record(0), *(self.reader.of_emitter(*each) for each in sorted(wanted))]
        for each in found:
            if each is not None and each.body is not None and each.index < size:
                self.entries[each.index] = each

    def everything(self, size: int) -> None:
        """All records before a checkpoint."""
        for entry in self.reader.records():
            if entry.index >= size:
                break
            if entry.body is None:
                raise NotWhole(f"{self.reader.location}: record {entry.index} was pruned: leave --all-records out")
            self.entries[entry.index] = entry


def _began_under(start: Entry, entry: Entry, known: Entry | None) -> bool:
    """Is this the configuration that a call began under, as far as is known? That of its own process counts before others:
    two that have the same one may be held to different locks, and one for what people do is held to none.
    """
    if entry.index > start.index or entry.fields["config_sha256"] != start.fields["config_sha256"]:
        return False
    if entry.emitter != start.emitter and entry.fields.get("purpose") in PURPOSES:
        return False
    return known is None or entry.emitter == start.emitter or known.emitter != start.emitter


@define
class _Shown:
    """Payloads, as they are disclosed or withheld."""

    reader: Reader
    wanted: Wanted
    erasures: Mapping[str, int]
    disclosures: dict[str, bytes] = field(factory=dict[str, bytes])
    withheld: list[str] = field(factory=list[str])
    erased: list[str] = field(factory=list[str])
    paths: set[str] = field(factory=set[str])

    def take(self, entry: Entry) -> None:
        """The payloads of one record."""
        commitments = entry.fields.get("commitments", [])
        paths = [each["path"] for each in commitments]
        self.paths.update(paths)
        for each in commitments:
            path, digest = each["path"], each["digest"]
            chosen = self.wanted.disclose is None or fits(path, self.wanted.disclose)
            hidden = any(fits(which, self.wanted.withhold) for which in (path, *_repeated(path, paths)))
            if not chosen or hidden or is_erased(entry, each, self.erasures):
                if self.reader.keeps(digest):  # also what's on record as erased and isn't yet: a hold may stand
                    self.withheld.append(digest)
                    continue
            elif (plain := self.reader.disclosure(digest)) is not None:
                self.disclosures[digest] = plain
                continue
            if (unfinished := act_under_way(self.reader, entry, each, self.erasures)) is not None:
                raise NotWhole(f"{self.reader.location}: {unfinished}")
            self.erased.append(digest)

    def end(self) -> None:
        """A pattern that fits nothing is a slip: what was meant to be withheld would be shown."""
        for pattern in (*(self.wanted.disclose or ()), *self.wanted.withhold):
            if not any(fits(path, (pattern,)) for path in self.paths):
                there = ", ".join(sorted(self.paths))
                raise LookupError(f"no payload of these calls has the path {pattern!r}: there are {there}")
