"""The `failsoft` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; without the extra ``cli``, say how to get it."""
    try:
        from failsoft.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"the failsoft command needs {error.name}: install failsoft[cli]")
    app()
