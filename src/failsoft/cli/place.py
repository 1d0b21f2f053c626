"""A ledger on a command line: its file, its database, or the configuration that names it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from attrs import frozen

from failsoft.config_read import read_file
from failsoft.errors import FailsoftError
from failsoft.ledger.location import Location, locate
from failsoft.signing import location_of


def located(text: str) -> Location:
    """What a command line names."""
    try:
        if text.endswith(".toml"):
            return _configured(Path(text))
        if not text or os.path.isdir(text):
            raise typer.BadParameter(f"{text!r} is no file: name the ledger's own")
        return locate(text)
    except FailsoftError as error:
        raise typer.BadParameter(str(error)) from None


def _configured(config: Path) -> Location:
    draft = read_file(config, keyless=True)
    problems = [*draft.problems]
    location = location_of(draft.config.ledger, problems)
    if problems:
        raise typer.BadParameter(f"{config}: {problems[0]}")
    if location is None:
        raise typer.BadParameter(f'{config}: its ledger is off (ledger.url = "none")')
    return location


@frozen
class Named:
    """What a command line names.

    Args:
        location: the ledger's place.
        config: the configuration that says so; None where the ledger itself is named.
    """

    location: Location
    config: Path | None


def named(text: str) -> Named:
    """As `located`, for those to whom it makes a difference that it was a configuration."""
    return Named(located(text), Path(text) if text.endswith(".toml") else None)


_HELP = "The ledger: its file, postgresql://…, or the failsoft.toml that names it (for an address with a password)."

Ledger = Annotated[Any, typer.Argument(help=_HELP, parser=located, metavar="LEDGER")]
NamedLedger = Annotated[Any, typer.Argument(help=_HELP, parser=named, metavar="LEDGER")]
