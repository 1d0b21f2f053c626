"""Which records belong to some calls: their own, those that refer to them, what was in force, and what changed since."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from attrs import define, field

from failsoft.errors import LedgerInvalid
from failsoft.ledger.bundles.concerned import KEEPING, PURPOSES, Asked, Began, Configurations, Place
from failsoft.ledger.bundles.missing import NotWhole
from failsoft.ledger.read import Entry, Reader
from failsoft.ledger.reading.asked import SPOOL
from failsoft.ledger.reading.senders import Configurations as Policies
from failsoft.ledger.records.schema import Kind

REFERRING = (Kind.REVIEW_RECORDED, Kind.OVERRIDE_RECORDED, Kind.APPEAL_RECORDED)
CHANGES = (
    *(Kind.MODEL_IDENTITY_CHANGED, Kind.DRIFT_DETECTED, Kind.MODEL_RETIREMENT_NOTICE, Kind.ROLLBACK_EXECUTED),
    *(Kind.BLOCK_CHANGED, Kind.CONFIG_ACTIVATED, Kind.LOCK_CHANGED, Kind.APPROVAL_RECORDED, Kind.KEY_ROTATED),
)


@define
class Gathered:
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
