"""Which case a command is about, as people write it: composed, as records hold it."""

from __future__ import annotations

from typing import Annotated, Any
from unicodedata import normalize

import typer


def composed(text: str) -> str:
    """In NFC: a keyboard or a file's name may give the parts of a letter one by one."""
    return normalize("NFC", text)


ThisCase = Annotated[Any, typer.Option("--case", help="The case's identifier.", parser=composed, metavar="ID")]
OnlyCase = Annotated[Any, typer.Option("--case", help="Only this case's.", parser=composed, metavar="ID")]
"""None: every case's."""
