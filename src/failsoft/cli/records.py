"""`failsoft log` and `failsoft ledger case`: records by what is asked of them, for people, as JSON lines or as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Final

import typer

from failsoft.cli.application import Json
from failsoft.cli.cases import OnlyCase, composed
from failsoft.cli.moments import HOW, beginning, ending, in_order
from failsoft.cli.place import Ledger
from failsoft.cli.sheet import print_csv
from failsoft.cli.telling import CODES, line_of, out, print_json, reading, warn
from failsoft.fault import FaultKind
from failsoft.ledger.location import Location
from failsoft.ledger.reading.query import FIELDS, Found, Query, find, row_of, unheard_of
from failsoft.ledger.records.schema import Kind as RecordKind

USUAL: Final = 20
"""Records that `failsoft log` shows where nobody says how many."""

_SOURCES: Final = ("adapter", "fallback", "frozen")


def _source(text: str) -> str:
    if text.partition(":")[0] not in _SOURCES:
        raise typer.BadParameter(
            f"{text!r} is none of {', '.join(_SOURCES)}, or one of them by its name, as adapter:gpt"
        )
    return text


def _kind(text: str) -> str:
    if text not in set(RecordKind):
        meant = next(iter(get_close_matches(text, list(RecordKind), 1)), None)
        known = f"did you mean {str(meant)!r}?" if meant else f"one of {', '.join(RecordKind)}"
        raise typer.BadParameter(f"there is no type {text!r}: {known}")
    return text


def _fault(text: str) -> str:
    if text not in set(FaultKind):
        raise typer.BadParameter(f"there is no fault named {text!r}: one of {', '.join(FaultKind)}")
    return text


Csv = Annotated[bool, typer.Option("--csv", help="As a table for a spreadsheet.")]
Since = Annotated[
    Any, typer.Option(help=f"Only from then on, by the records' own time: {HOW}.", parser=beginning, metavar="WHEN")
]
Until = Annotated[
    Any, typer.Option(help="Only before then; of a date, to that day's end (UTC).", parser=ending, metavar="WHEN")
]
Kind = Annotated[Any, typer.Option(help="Only records of this type.", parser=_kind, metavar="TYPE")]
Capability = Annotated[str | None, typer.Option(help="Only this capability's.")]
Source = Annotated[
    Any, typer.Option(help="Only what this answered: adapter, fallback, frozen; or adapter:NAME.", parser=_source)
]
Served = Annotated[
    str | None, typer.Option(help="Only where a reply says that it's from this model; NAME* for all that begin so.")
]
Fault = Annotated[Any, typer.Option(help="Only where an attempt ended so.", parser=_fault)]
Adapter = Annotated[str | None, typer.Option(help="Only where it was asked, or what is about it.")]
Reviewer = Annotated[str | None, typer.Option(help="Only what this person reviewed or overrode.")]


def log(
    ledger: Ledger,
    last: Annotated[
        int | None, typer.Option(min=1, help="How many of the newest; default: 20, or all where a time is given.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    since: Since = None,
    until: Until = None,
    kind: Kind = None,
    capability: Capability = None,
    case: OnlyCase = None,
    source: Source = None,
    served: Served = None,
    fault: Fault = None,
    adapter: Adapter = None,
    reviewer: Reviewer = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """The newest records, oldest of them first: those that fit all that's asked.

    Times are the records' own, by the clock of who wrote them, in UTC.
    """
    if everything and last is not None:
        raise typer.BadParameter("--all and --last exclude each other")
    if not everything and last is None and since is None and until is None:
        last = USUAL
    in_order(since, until, "--until")
    query = Query(kind, case, capability, since, until, source, served, fault, adapter, reviewer)
    _show(ledger, query, last, as_json=as_json, as_csv=as_csv)


def case(
    ledger: Ledger,
    case_id: Annotated[Any, typer.Argument(metavar="ID", help="The case's identifier.", parser=composed)],
    since: Since = None,
    until: Until = None,
    kind: Kind = None,
    capability: Capability = None,
    source: Source = None,
    served: Served = None,
    fault: Fault = None,
    adapter: Adapter = None,
    reviewer: Reviewer = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """All records of a case, and of its calls, in the order of the log: those that fit all that's asked.

    Times are the records' own, by the clock of who wrote them, in UTC. Of a case that no record is of it's an error.
    """
    in_order(since, until, "--until")
    query = Query(kind, case_id, capability, since, until, source, served, fault, adapter, reviewer)
    _show(ledger, query, None, as_json=as_json, as_csv=as_csv, known=case_id)


def _show(
    ledger: Location, query: Query, last: int | None, *, as_json: bool, as_csv: bool, known: str | None = None
) -> None:
    one_form(as_json=as_json, as_csv=as_csv)
    with reading(ledger, as_json) as reader:
        if known is not None and next(reader.records(case=known, last=1), None) is None:
            raise LookupError(unheard_of(reader, f"case {known}"))
        found: Iterator[Found] = find(reader, query, last)
        if as_csv:
            print_csv(FIELDS, (row_of(*each) for each in found))
            return
        shown = 0
        for entry, fields in found:
            shown += 1
            if as_json:
                print_json({"index": entry.index, **fields})
            else:
                out.print(line_of(entry, fields), highlight=False, soft_wrap=True)
        if not shown and not as_json:
            warn("no record matches")


def one_form(*, as_json: bool, as_csv: bool) -> None:
    """The two forms for programs exclude each other."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")


def add_records(app: typer.Typer, group: typer.Typer) -> None:
    """The commands of this room."""
    app.command(epilog=f"Example: failsoft log failsoft.db --last 20 --kind call.completed\n\n{CODES}")(log)
    group.command(epilog=f"Example: failsoft ledger case failsoft.db T-17 --csv\n\n{CODES}")(case)
