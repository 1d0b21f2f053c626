"""That no call was sent to a provider in a time: what a ledger can say for it, what against, and what it can't say.

The whole ledger is verified first: records that were changed prove nothing, and an emitter whose numbers have a gap fails
there. What its records say is judged by `failsoft.ledger.reading.asked`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from attrs import frozen

from failsoft.errors import LedgerInvalid
from failsoft.ledger.format.note import VerifierKey
from failsoft.ledger.location import Location, locate
from failsoft.ledger.read import read
from failsoft.ledger.reading.asked import END, KINDS, Asked, Sent
from failsoft.ledger.reading.senders import Subject, is_provider
from failsoft.ledger.store import INCOMPLETE, TAMPERED, UNUSABLE
from failsoft.ledger.verify import Verification, verify

ATTESTED, SENT, UNDECIDED = 0, 1, 2
"""Exit codes."""


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
        notes: what its verification noted besides, in sentences.
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
    notes: tuple[str, ...] = ()
    calls: int = 0
    attempts: Mapping[str, int] = MappingProxyType({})
    emitters: int = 0
    gaps: int = 0
    orphans: int = 0
    under_way: int = 0
    size: int = 0
    root: str = ""


def attest(
    ledger: str | Path | Location,
    provider: str,
    since: str,
    until: str | None = None,
    *,
    pins: Sequence[tuple[int, str]] = (),
    keys: Sequence[VerifierKey] = (),
    checkpoints: Sequence[bytes] = (),
) -> Attestation:
    """Look whether a call was sent to a provider. The ledger is verified on the way.

    Args:
        ledger: its file, or its URL as a configuration has it.
        provider: its name, as adapters name it.
        since: the first moment, written as in the log.
        until: the first moment after, written as in the log; None: to the end of the log.
        pins: size and root of the log at earlier times, from the verifier's own keeping.
        keys: of the log, and of witnesses, likewise: then what none of them vouches for attests nothing.
        checkpoints: signed checkpoints of the log at earlier times, likewise.

    Raises:
        ConfigurationError: there are keys, and the extra ``signing`` isn't installed.
        LedgerInvalid: a record hashes as it should, and isn't one that failsoft writes.
    """
    location = locate(ledger)
    verified = verify(location, pins=pins, keys=keys, checkpoints=checkpoints)
    if verified.exit_code in (TAMPERED, UNUSABLE):
        why = (f"the ledger is {verified.verdict}, and proves nothing", *map(str, verified.problems))
        return Attestation(UNDECIDED, provider, since, until, reasons=why)
    subject = Subject.named(provider)
    with read(location) as reader:
        asked = Asked(reader, subject, since, until or END)
        try:
            for entry in reader.records(KINDS):
                if entry.index >= verified.size:  # it was written since
                    break
                asked.record(entry)
            asked.end()
        except (TypeError, ValueError, AttributeError, LookupError):
            raise LedgerInvalid(f"{location}: a record's parts aren't where failsoft writes them") from None
    unheard = () if is_provider(provider) or provider in asked.configurations.providers else (_unheard(provider),)
    uncovered = [each.what for each in verified.problems if each.code == INCOMPLETE and each.index is None]
    if verified.more:  # among them may be one that speaks of the whole log
        uncovered.append(f"its verification found {verified.more} problems more than it names")
    more = [f"and {asked.reasons_more} reasons more"] if asked.reasons_more else []
    reasons = (*unheard, *uncovered, *asked.reasons, *more)
    return Attestation(
        SENT if asked.sent else UNDECIDED if reasons else ATTESTED,
        subject.name,
        since,
        until,
        sent=tuple(asked.sent),
        more=asked.more,
        reasons=reasons,
        shown=tuple(_shown(asked, verified)),
        limits=tuple(_limits(asked, verified)),
        notes=verified.notes,
        calls=asked.calls,
        attempts=MappingProxyType(dict(asked.attempts)),
        emitters=asked.wrote,
        gaps=asked.gaps,
        orphans=asked.orphans,
        under_way=asked.under_way,
        size=verified.size,
        root=verified.root,
    )


def _unheard(provider: str) -> str:
    return f"no provider named {provider!r} is known, or was ever configured here"


def _shown(asked: Asked, verified: Verification) -> Iterator[str]:
    by = ", ".join(f"{count} to {name}" for name, count in sorted(asked.attempts.items()))
    yield f"{asked.calls} calls in that time, with {sum(asked.attempts.values())} attempts" + (f": {by}" if by else "")
    yield f"{asked.wrote} processes had the log open; the records of each are numbered, and no number is missing"
    yield f"{asked.gaps} calls are declared as gaps"
    yield (
        f"{asked.orphans + asked.under_way} calls have no end in the log: {asked.orphans} were orphaned, {asked.under_way} "
        "are under way, or nobody has said yet that they aren't"
    )
    yield f"{verified.size} records were verified: {verified.verdict} (root {verified.root})"


def _limits(asked: Asked, verified: Verification) -> Iterator[str]:
    yield "what was asked by other means than failsoft, or by one that wrote to another ledger or to none"
    yield (
        "whether whoever was asked passed a call on to others: where replies say who answered, that was looked at; whom a "
        "router asked before that one isn't known"
    )
    yield "whether the clocks were right: times are those of the processes that wrote, as they wrote a record"
    if not asked.wrote:
        yield "anything that was done in that time: no process had this log open, as far as it says"
    if asked.silent:
        yield (
            f"what {asked.silent} processes did since then that may ask without a record: they fell silent before, and "
            "are gone, without having closed the log"
        )
    if verified.covered is not None:
        if verified.covered < verified.size and not verified.head_signed:
            yield f"that the records from {verified.covered} on are those that were written: what's signed ends there"
    elif verified.pinned is None:
        yield "that this is the log that was written: no pin was given and no key, and who writes the file can make another"
    elif verified.pinned < verified.size:
        yield f"that the records from {verified.pinned} on are those that were written: the pin ends there"
