"""Another key takes over a log: one commit that both can be held to.

One transaction holds ``key.rotated``, and the head that it leaves is the new key's: there's no moment at which the log is
neither's. The checkpoint after it is signed by both, so whoever has only the former key can see that the former one
agreed. A process that still has the former key can't append any more.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from attrs import evolve, frozen

from failsoft.core.effects import Clock
from failsoft.errors import LedgerInvalid
from failsoft.ledger.checkpoints.publishing import Signing
from failsoft.ledger.checkpoints.signer import Signer, SignerRefused
from failsoft.ledger.keys.ed25519 import SigningKey, open_checkpoint
from failsoft.ledger.location import InDatabase, Location, locate
from failsoft.ledger.read import read
from failsoft.ledger.records import draft, redaction
from failsoft.ledger.records.record import Built, Draft, Emitter
from failsoft.ledger.records.redaction import Redact
from failsoft.ledger.store import UNREADABLE, AppendFailed, Store
from failsoft.ledger.writing.hello import hello, host_name

RandomBytes = Callable[[int], bytes]


@frozen
class Rotated:
    """A log that another key took over.

    Args:
        size: of the checkpoint that both keys signed.
        unanchored: why anchors didn't take that checkpoint; the next one goes there as ever.
    """

    size: int
    unanchored: tuple[str, ...]


def rotate(
    ledger: str | Path | Location,
    signing: Signing,
    to: SigningKey,
    *,
    clock: Clock,
    actor: str,
    why: str,
    random_bytes: RandomBytes = os.urandom,
    redact: Redact = redaction.redact,
    host: str | None = None,
) -> Rotated:
    """Hand a log over to another key of the same name. One that was begun and interrupted is finished.

    Args:
        ledger: its file, or its URL as a configuration has it.
        signing: how the log is signed now: by the former key.
        to: the new one.
        clock: gives the times in the records.
        actor: who does it, for the record.
        why: the reason, likewise.
        random_bytes: gives identities.
        redact: what's taken out of the reason.
        host: label of this machine in records; default: its host name.

    Raises:
        LedgerInvalid: it's no ledger of this key, a process has it open, or it can't be written to.
        ValueError: actor or reason can't stand in a record.
    """
    location, host = locate(ledger), host or host_name()
    if isinstance(location, InDatabase):
        location = evolve(location, spooling=None)  # what waits is forwarded by whoever has it, under the new key
    if not location.exists():
        raise LedgerInvalid(f"{location}: there is no such file")
    store = location.store(Signer(to, signing.state, former=signing.key), signing.anchored)
    try:
        if store.anybody():
            raise LedgerInvalid(f"{location}: a process has it open, which couldn't append any more: end it first")
        store.open(list)
        if store.unsigned:
            raise LedgerInvalid(f"{location}: it isn't signed so far: start the application with the key first")
        emitter = Emitter(store.origin, clock, random_bytes, redact=redact)
        if not store.signed_by(to):
            if (missing := store.missing()) is not None:
                raise LedgerInvalid(
                    f"{location}: {_who(location, missing)} had it open, never said that it ended, and isn't connected: "
                    "where it's running, it couldn't append any more: end it first. Where it's gone, start the application "
                    "and end it again, which looks after what that one left"
                )
            handover = draft.key_rotated(str(signing.key.verifier), str(to.verifier), actor, why)
            store.append(_records(store, host, emitter, clock, handover))
        size, note = store.publish()
        if not _is_vouched_for(location, signing.key):
            # Somebody had the new key before this was finished, and signed alone: one more checkpoint, by both.
            store.append(_records(store, host, emitter, clock))
            size, note = store.publish()
    except (AppendFailed, SignerRefused, OSError, *UNREADABLE) as error:
        raise LedgerInvalid(f"{location}: {error}") from error
    finally:
        store.close()
    problems: list[str] = []
    for anchor in signing.anchors:
        seen = anchor.newest(to.verifier)
        try:
            if seen is None or seen.size < size:
                anchor.put(note)
        except (OSError, subprocess.SubprocessError) as error:
            problems.append(str(error))
    return Rotated(size, tuple(problems))


def _who(location: Location, emitter: str) -> str:
    """What an emitter said of itself as it opened the log."""
    with read(location) as reader:
        opened = [each.fields for each in reader.records("emitter.opened") if each.fields["emitter"] == emitter]
    return ", ".join([*(f"process {each['pid']} on {each['host']}" for each in opened), f"emitter {emitter}"])


def _is_vouched_for(location: Location, former: SigningKey) -> bool:
    """Did the former key sign a checkpoint that the handover stands under?"""
    source = location.connect()
    try:
        (handed,) = source.execute("SELECT max(seq) FROM ledger_record WHERE type = 'key.rotated'").fetchone()
        notes = source.execute("SELECT note FROM ledger_checkpoint WHERE size > ? ORDER BY size", (handed,))
        return any(former.verifier in open_checkpoint(bytes(note), [former.verifier]).by for (note,) in notes)
    finally:
        source.close()


def _records(store: Store, host: str, emitter: Emitter, clock: Clock, *between: Draft) -> list[Built]:
    drafts = (hello(host, store), *between, draft.emitter_closed(1 + len(between)))
    return [emitter.build(each, clock.time_ns(), clock.monotonic_ns()) for each in drafts]
