"""The group `failsoft ledger`: what a ledger tells of a case, and what it proves."""

from __future__ import annotations

import time
from typing import Annotated, Any

import attrs
import typer

from failsoft.cli.application import Json
from failsoft.cli.evidence import Checkpoints, Keys, checkpoints_in
from failsoft.cli.moments import HOW, beginning, ending, in_order, window
from failsoft.cli.output import told_or
from failsoft.cli.pinned import Pin
from failsoft.cli.place import Ledger
from failsoft.cli.records import Csv, Served, one_form
from failsoft.cli.sheet import print_csv
from failsoft.cli.telling import Commands, explained, print_json, print_line, reading, warn
from failsoft.errors import LedgerInvalid
from failsoft.ledger.reading.affected import COLUMNS, Decision, affected
from failsoft.ledger.reading.attest import ATTESTED, SENT, UNDECIDED, Attestation, attest
from failsoft.ledger.reading.unlisted import is_heard_of, unlisted
from failsoft.ledger.records.record import timestamp

group = typer.Typer(
    cls=Commands, no_args_is_help=True, rich_markup_mode=None, help="What a ledger tells of a case, and what it proves."
)


def _provider(text: str) -> str:
    kind, _, name = text.partition("=")
    if kind != "provider" or not name:
        raise typer.BadParameter(f"{text!r} is not provider=NAME")
    return name


@group.command(
    name="attest",
    cls=told_or(UNDECIDED),
    epilog="Example: failsoft ledger attest failsoft.db --never provider=openai --since 2026-11-01\n\n"
    "Exit code: 0 attested: no call was sent there; 1 some were, and which; 2 it can't be attested, and why; "
    "64 the command line is wrong.",
)
def attest_command(
    ledger: Ledger,
    never: Annotated[Any, typer.Option(help="Whom no call went to.", parser=_provider, metavar="provider=NAME")],
    since: Annotated[Any, typer.Option(help=f"From then on: {HOW}.", parser=beginning, metavar="WHEN")],
    until: Annotated[
        Any,
        typer.Option(
            help="Before then; of a date, to that day's end. Default: to the last record.",
            parser=ending,
            metavar="WHEN",
        ),
    ] = None,
    pin: Pin = None,
    key: Keys = None,
    checkpoint: Checkpoints = None,
    as_json: Json = False,
) -> None:
    """Look whether a call was sent to a provider: what the ledger proves, and what it can't, in sentences.

    The ledger is verified on the way. Times are the records' own, by the clock of who wrote them, in UTC.
    """
    in_order(since, until, "--until")
    if since > timestamp(time.time_ns()):
        raise typer.BadParameter(f"{since} is still to come", param_hint="--since")
    with explained(as_json, code=UNDECIDED):
        pinned = [each for path in checkpoint or [] for each in checkpoints_in(path)]
        found = attest(ledger, never, since, until, pins=pin or [], keys=key or [], checkpoints=pinned)
    if as_json:
        print_json(
            {**attrs.asdict(found, filter=lambda each, _: each.name != "attempts"), "attempts": dict(found.attempts)}
        )
    else:
        for line in _told(found):
            print_line(line)
    raise typer.Exit(found.exit_code)


def _told(found: Attestation) -> list[str]:
    when = f"from {found.since} " + ("to the last record" if found.until is None else f"until {found.until}")
    count = len(found.sent) + found.more
    head = {
        ATTESTED: f"attested: no call was sent to {found.provider} {when}",
        SENT: f"not so: {count} attempts went to {found.provider} {when}",
        UNDECIDED: f"can't be attested: whether a call was sent to {found.provider} {when}",
    }
    lines = [head[found.exit_code]]
    for each in found.sent:
        ended = f", and failed: {each.fault}" if each.fault else ""
        place = f" at {each.place}" if each.place else ""
        lines.append(
            f"  record {each.index}  {each.ts}  call {each.call_id}: adapter {each.adapter}{place}{ended} ({each.how})"
        )
    if found.more:
        lines.append(f"  and {found.more} more")
    for title, sentences in (
        ("what stands against it:", found.reasons),
        ("what the ledger shows:", found.shown),
        ("what it can't show:", found.limits),
        ("what was noted as the ledger was verified:", found.notes),
    ):
        if sentences:
            lines += [title, *(f"  - {each}" for each in sentences)]
    return lines


@group.command(
    name="affected",
    epilog="Example: failsoft ledger affected failsoft.db --adapter gpt --between 2026-11-01 2026-11-07 --csv\n\n"
    "Exit code: 0 all are listed; 1 it can't be told, and why; 2 some may be missing, and why; 64 the command line is "
    "wrong.",
)
def affected_command(
    ledger: Ledger,
    adapter: Annotated[str, typer.Option(help="Whose answers.")],
    between: Annotated[
        tuple[str, str],
        typer.Option(
            help=f"First and last: {HOW}; a date is the whole day (UTC); both dates or moments, or both so long ago.",
            metavar="FIRST LAST",
        ),
    ],
    served: Served = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The decisions that an adapter's model made in a time, to be looked at again: a line for each.

    Times are the records' own, by the clock of who wrote them, in UTC.
    """
    one_form(as_json=as_json, as_csv=as_csv)
    since, until = window(*between)
    in_order(since, until, "--between")
    with reading(ledger, as_json) as reader:
        if not is_heard_of(reader, adapter):
            raise LedgerInvalid(f"{ledger}: no adapter named {adapter!r:.80} was ever configured here")
        found = affected(reader, adapter, since, until, served)
        if as_csv:
            print_csv(COLUMNS, (each.row() for each in found))
        elif as_json:
            for each in found:
                print_json(each.row())
        else:
            count = 0
            for each in found:
                count += 1
                print_line(_line(each))
            print_line(f"{count} decisions by {adapter} from {since} until {until}")
        lacking = unlisted(reader, since, until)
    for why in lacking:
        tell = warn if as_csv or as_json else print_line
        tell(f"some may be missing here: {why}")
    if lacking:
        raise typer.Exit(UNDECIDED)


def _line(decision: Decision) -> str:
    served = decision.served or f"{decision.model}, as asked"
    about = f"{decision.capability} for case {decision.case}" if decision.case else decision.capability
    answer = f"its answer {decision.why}" if decision.why else decision.answer
    reviewed = f"  reviewed by {decision.reviewed_by}" if decision.reviewed_by else ""
    where = f"{decision.index:>6}  {decision.ts}  {decision.call_id}"
    return f"{where}  {about}  ({served})  {decision.outcome}: {answer}{reviewed}"
