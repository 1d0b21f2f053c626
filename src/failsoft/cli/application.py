"""How a command finds the application that it's about: by its configuration, or where its isolation is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from failsoft.cli.telling import warn
from failsoft.errors import ConfigurationError, LedgerInvalid
from failsoft.importing import import_object
from failsoft.isolation import Isolation

Config = Annotated[Path, typer.Option("--config", "-c", help="The application's failsoft.toml.")]
App = Annotated[str, typer.Option("--app", help="Or where its Isolation is: package.module:name.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]

CONFIG: Final = Path("failsoft.toml")


def isolation_of(config: Path, app_path: str, *, keyless: bool = True) -> Isolation:
    """The application's isolation, not entered.

    Args:
        config: its configuration.
        app_path: where it is, instead.
        keyless: its keys needn't be here: nobody will be asked.

    Raises:
        ConfigurationError: its configuration is wrong, or there's no isolation at that path.
    """
    sys.path.insert(0, os.getcwd())
    if app_path:
        try:
            found = import_object(app_path)
        except ValueError as error:
            raise ConfigurationError(f"--app: {error}") from error
        if not isinstance(found, Isolation):
            raise ConfigurationError(f"--app: {app_path} is a {type(found).__name__}, not an Isolation")
        return found
    return Isolation.from_file(config, keyless=keyless)


@contextmanager
def recording(isolation: Isolation) -> Iterator[Isolation]:
    """Entered, so that what is done is recorded; a stale lock, or a ledger that can't be opened, keeps nobody from it."""
    isolation.ignore_lock()
    try:
        isolation.__enter__()
    except LedgerInvalid as error:
        warn(f"not recorded: {error}")
        yield isolation
        return
    try:
        yield isolation
    finally:
        isolation.__exit__(None, None, None)


def known(isolation: Isolation, name: str) -> str:
    """A capability's name.

    Raises:
        ConfigurationError: the isolation has none of this name.
    """
    try:
        isolation[name]
    except KeyError as error:
        raise ConfigurationError(str(error.args[0])) from None
    return name
