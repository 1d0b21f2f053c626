"""`failsoft ledger erase`, `prune`, `hold`, `event`, `copy` and `prepare`: what is kept of a case, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from failsoft.cli.application import CONFIG, Config, Json
from failsoft.cli.cases import ThisCase
from failsoft.cli.moments import ending
from failsoft.cli.place import Ledger, located
from failsoft.cli.telling import CODES, err, explained, print_json, print_line, warn
from failsoft.errors import ConfigurationError
from failsoft.io.clock import SystemClock
from failsoft.keeping import acting_on
from failsoft.ledger.acts.copying import copy
from failsoft.ledger.acts.erasure import Acting, erase, happened, hold
from failsoft.ledger.acts.pruning import prune
from failsoft.ledger.location import InDatabase
from failsoft.ledger.store import DatabaseFailed
from failsoft.login import logged_in

Owner = Annotated[
    Any,
    typer.Option(help="The ledger's database as a role that may destroy what's in it.", parser=located, metavar="URL"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be destroyed, and touch nothing.")]
LISTED = 10
"""Cases that a line names."""

Approved = Annotated[str | None, typer.Option(help="Who else agreed, for the record.")]
Person = Annotated[str | None, typer.Option(help="Who decided; default: your login name.")]


def _date(text: str) -> str:
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date, such as 2026-11-01") from None


def _warned(reason: str) -> None:
    warn(reason)


def acting_for(config: Path) -> Acting:
    """Who acts on the ledger of a configuration; what speaks against it is told."""
    return acting_on(config, warn=_warned)[0]


def erase_command(
    case: ThisCase,
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")],
    person: Person = None,
    approved_by: Approved = None,
    owner: Owner = None,
    dry_run: DryRun = False,
    missing_keys: Annotated[
        bool,
        typer.Option("--missing-keys", help="Go on though a key of the case isn't here: it's lost, or another host's."),
    ] = False,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Destroy what was recorded of a case: requests, prompts, replies, answers. That they were there stays on record.

    A legal hold forbids it, and so does a class of cases that mustn't be destroyed before its time ([retention]). Names
    stay: of the case, of its calls, of models and people.
    """
    with explained(as_json):
        acting, retention = acting_on(config, owner, _warned)
        with recordable():
            done = erase(
                acting,
                case,
                basis=why,
                person=person or logged_in(),
                approved_by=approved_by,
                retention=retention,
                dry_run=dry_run,
                missing_keys=missing_keys,
            )
    if as_json:
        print_json(attrs.asdict(done))
    else:
        would = "would be " if dry_run else ""
        if done.payloads or done.records:
            print_line(f"{done.payloads} payloads of {case} {would}destroyed, with {done.keys} keys")
        else:
            print_line(f"nothing of {case} is left: it was erased before")
        if done.waiting:
            waits, seen = "waits" if done.waiting == 1 else "wait", "could look" if dry_run else "can look"
            print_line(f"{done.waiting} of its answers {waits} for a person: nobody {seen} at these any more")
        for each in done.records:
            print_line(f"on record: {each}")
        if done.clear:
            print_line(
                f"{done.clear} of them weren't encrypted: backups of the ledger hold them still (ledger.payload_key)"
            )
        _tell_unfinished(done.finished or dry_run)
    raise typer.Exit(0 if done.finished or dry_run else 1)


def prune_command(
    until: Annotated[
        Any, typer.Option(help="Only before then; of a date, to that day's end (UTC).", parser=ending, metavar="WHEN")
    ],
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")],
    person: Person = None,
    approved_by: Approved = None,
    caseless: Annotated[bool, typer.Option("--caseless", help="Calls that belong to no case, too.")] = False,
    owner: Owner = None,
    dry_run: DryRun = False,
    config: Config = CONFIG,
    as_json: Json = False,
) -> None:
    """Take out the records of calls whose period is over, from the log's beginning on. Each leaves its hash: the tree stays.

    It goes as far as every case is over ([retention], `ledger event`), held by nobody, and every call is in it as a whole.
    The ledger is verified first: of one that was tampered with nothing is taken out.
    """
    with explained(as_json):
        acting, retention = acting_on(config, owner, _warned)
        with recordable():
            done = prune(
                acting,
                until,
                why=why,
                person=person or logged_in(),
                approved_by=approved_by,
                retention=retention,
                caseless=caseless,
                dry_run=dry_run,
            )
    if as_json:
        print_json(attrs.asdict(done))
    else:
        where = "" if done.record is None else f" (record {done.record})"
        would = "would be " if dry_run else ""
        print_line(f"{done.records} records of calls {would}taken out, up to record {done.last}{where}")
        if done.waiting:
            print_line(f"{done.waiting} of their answers waited for a person: nobody decides about these any more")
        if done.stopped_by:
            print_line(f"no further: {done.stopped_by}")
        if done.cases and not dry_run and acting.location.sealing is not None:
            print_line(
                f"older backups of {_listed(done.cases)} open until `failsoft ledger erase --case` destroys the key"
            )
        _tell_unfinished(done.finished or dry_run)
    raise typer.Exit(0 if done.finished or dry_run else 1)


def _listed(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - LISTED} cases more (--json names them)" if len(cases) > LISTED else ""
    return ", ".join(cases[:LISTED]) + more


def _tell_unfinished(finished: bool) -> None:
    if not finished:
        print_line(
            "somebody was reading, or wrote of it meanwhile, or the role doesn't own the tables (PostgreSQL: --owner): "
            "something of it may still be there; run it again"
        )


def hold_command(
    case: ThisCase,
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")],
    person: Person = None,
    clear: Annotated[bool, typer.Option("--clear", help="Lift it again.")] = False,
    config: Config = CONFIG,
) -> None:
    """Put a legal hold on a case: nothing of it is erased until somebody lifts it, whatever its class allows."""
    with explained(as_json=False), recordable():
        place = hold(acting_for(config), case, held=not clear, person=person or logged_in(), why=why)
    print_line(f"{'lifted from' if clear else 'held'}: {case} (record {place})")


def event_command(
    case: ThisCase,
    event: Annotated[
        str, typer.Option(help="What happened: final-payment, cancellation, closed, or what a class of yours goes by.")
    ],
    on: Annotated[Any, typer.Option(help="When, as 2026-11-01.", parser=_date, metavar="DATE")],
    why: Annotated[str, typer.Option("--why", help="By what you know it, for the record.")],
    person: Person = None,
    config: Config = CONFIG,
) -> None:
    """Put on record that something happened with a case, from which on its records are kept for a time ([retention])."""
    with explained(as_json=False), recordable():
        acting, retention = acting_on(config, warn=_warned)
        who = person or logged_in()
        place = happened(acting, case, event=event, date=on, person=who, why=why, retention=retention)
    print_line(f"{event} of {case} on {on} (record {place})")


def copy_command(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="The ledger; where it's signed, the failsoft.toml that names it.")
    ],
    to: Annotated[
        Any, typer.Argument(metavar="TO", help="Where there's none yet: a file, or postgresql://…", parser=located)
    ],
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")],
    person: Person = None,
    as_json: Json = False,
) -> None:
    """Copy a ledger to another store: the same records, the same bytes, the same tree. Interrupted, it can be run again.

    End the processes that write to it first: what they write later isn't in the copy. That it's copied is on record in both.
    The file of the cases' keys isn't copied: it stays where it is, for whichever of them you go on with.
    """
    with explained(as_json), recordable(), _progress(as_json) as progress:
        acting = acting_for(Path(source)) if source.endswith(".toml") else Acting(source, SystemClock(), warn=_warned)
        done = copy(acting, to, person=person or logged_in(), why=why, progress=progress)
    if as_json:
        print_json(attrs.asdict(done))
        return
    print_line(f"{done.size} records, root {done.root}" + (f" ({done.begun} of them were there)" if done.begun else ""))


def prepare_command(
    ledger: Ledger,
    writer: Annotated[str, typer.Option(help="The database role that applications write as.")],
) -> None:
    """Make a ledger's tables in PostgreSQL as their owner, and let a role write to it that can't change anything."""
    with explained(as_json=False):
        if not isinstance(ledger, InDatabase):
            raise ConfigurationError(f"{ledger}: only a database has roles")
        from failsoft.ledger.postgres.tables import prepare

        try:
            prepare(ledger.address, writer)
        except DatabaseFailed as error:
            raise ConfigurationError(f"{ledger}: {error}") from None
    print_line(f"{writer} can write to {ledger}, and change nothing")


@contextmanager
def _progress(as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar where somebody looks."""
    if as_json or not err.is_terminal:
        yield lambda done, size: None
        return
    from rich.progress import Progress

    with Progress(console=err) as bar:
        task = bar.add_task("records", total=None)
        yield lambda done, size: bar.update(task, completed=done, total=size)


class recordable:  # noqa: N801 -- reads as what it is, around a few lines
    """A name that can't stand in a record is the command line's mistake."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError):
            raise ConfigurationError(f"not recorded: {error}") from None


_COPY = f'Example: failsoft ledger copy failsoft.toml postgresql://db/ledger --why "one database"\n\n{CODES}'
_PREPARE = f"Example: failsoft ledger prepare postgresql://owner@db/ledger --writer app\n\n{CODES}"
_ERASE = f'Example: failsoft ledger erase --case T-17 --why "GDPR 17, letter of 2026-11-02"\n\n{CODES}'
_PRUNE = f'Example: failsoft ledger prune --until 2019-12-31 --why "schedule 12.3"\n\n{CODES}'
_HOLD = f'Example: failsoft ledger hold --case T-17 --why "claim 26-104"\n\n{CODES}'
_EVENT = (
    "Example: failsoft ledger event --case T-17 --event final-payment --on 2026-11-01 "
    f'--why "payment voucher 2026-881"\n\n{CODES}'
)


def add_keeping(group: typer.Typer) -> None:
    """The commands of this room."""
    group.command(name="erase", epilog=_ERASE)(erase_command)
    group.command(name="prune", epilog=_PRUNE)(prune_command)
    group.command(name="hold", epilog=_HOLD)(hold_command)
    group.command(name="event", epilog=_EVENT)(event_command)
    group.command(name="copy", epilog=_COPY)(copy_command)
    group.command(name="prepare", epilog=_PREPARE)(prepare_command)
