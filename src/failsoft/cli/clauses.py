"""`failsoft ledger clauses`: which records bear on a clause of a rule, and which command shows them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from failsoft.cli.application import Json
from failsoft.cli.records import Csv, one_form
from failsoft.cli.sheet import print_csv
from failsoft.cli.telling import CODES, give_up, print_json, print_line
from failsoft.compliance.clauses import COLUMNS, Clause, ClauseMap, Status, shipped

CLAIM = (
    "'Supports' is all that's claimed: whether a rule is kept is for those to judge who answer for it. "
    "Compare a clause's text before relying on its row."
)


class Framework(StrEnum):
    """The bodies of rules that the map knows."""

    FAR = "far"
    NIST = "nist"
    EU = "eu"
    OMB = "omb"


def clauses(
    clause: Annotated[str | None, typer.Argument(help="Only this one with its parts, e.g. AU-9 or 4.703.")] = None,
    framework: Annotated[Framework | None, typer.Option(help="Only this body of rules.")] = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Which records bear on a clause of FAR 4.7 and 4.8, NIST SP 800-53 AU, the EU AI Act, or OMB M-25-21 and M-25-22.

    With the command that shows them, what they support, and what remains the organisation's own duty.
    """
    one_form(as_json=as_json, as_csv=as_csv)
    known = shipped()
    found = known.find(framework, clause)
    if not found:
        give_up(as_json, [f"the map has no clause {clause!r}: `failsoft ledger clauses` lists all that it has"])
    if as_csv:
        print_csv(COLUMNS, map(known.row, found))
        return
    if as_json:
        for each in found:
            print_json(_document(known, each))
        return
    shown = None
    for each in found:
        if each.framework != shown:
            shown = each.framework
            print_line(known.frameworks[shown].title)
            print_line(f"note: {known.frameworks[shown].note}")
        for line in _told(known, each):
            print_line(line)
    print_line(CLAIM)


def _document(known: ClauseMap, clause: Clause) -> dict[str, Any]:
    """A row for programs: lists as lists, records by their type."""
    return {**known.row(clause), "records": dict(clause.records), "commands": clause.commands}


def _told(known: ClauseMap, clause: Clause) -> Iterator[str]:
    row = known.row(clause)
    planned = " (planned: not there yet)" if clause.status is Status.PLANNED else ""
    yield f"{clause.clause}: {clause.asks}{planned}"
    yield from (f"  record    {each}" for each in clause.recorded)
    yield from (f"  command   {each}" for each in clause.commands)
    yield f"  supports  {clause.supports}"
    yield f"  remains   {clause.remains}"
    yield f"  text      {row['document']}; read: {row['read']}, {row['checked']}"


def add_clauses(group: typer.Typer) -> None:
    """The command of this room."""
    group.command(epilog=f"Example: failsoft ledger clauses AU-3\n\n{CODES}")(clauses)
