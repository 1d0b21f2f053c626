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

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from failsoft.errors import FailsoftError, LedgerInvalid
from failsoft.ledger.bundles.concerned import Began, Place
from failsoft.ledger.bundles.gathered import Gathered
from failsoft.ledger.bundles.missing import NotWhole, act_under_way, is_erased
from failsoft.ledger.format.note import Checkpoint, Note, NoteInvalid
from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.reading.query import pruned_too, unheard_of
from failsoft.ledger.records.schema import Kind

Fields = dict[str, Any]

_ENDS = (Kind.CALL_COMPLETED, Kind.CALL_ORPHANED, Kind.CALL_AMENDED)


class NotCovered(FailsoftError):
    """No signed checkpoint covers what was asked for: one that's made now would."""


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
        raise LookupError(
            f"no call in what was asked for: records that name {', '.join(wanted.cases)} are of none{pruned_too(reader)}"
        )
    for call_id in call_ids:
        _finished(call_id, [each for each in own if each.call_id == call_id])
    gathered = Gathered(reader, {each.index: each for each in own}, set(call_ids))
    gathered.settings()
    gathered.changes()
    checkpoint, note = _covering(reader, max(gathered.entries))
    reader.look_through(checkpoint)
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
            raise LookupError(unheard_of(reader, what))
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
            raise NotCovered(
                f"{reader.location}: the log has {reader.size} records, and {told} is of {each.size}: it was cut or rolled "
                "back, or it's a copy from before"
            )
        if each.origin != origin or (each.size and reader.root_at(each.size) != each.root):
            raise LedgerInvalid(
                f"{reader.location}: the log doesn't extend the checkpoint of {each.size} records that you gave: it's of "
                "another log, or this one was forked, cut or changed"
            )
        yield each


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
