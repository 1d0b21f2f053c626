"""A ledger's pin on a command line: size and root that somebody noted elsewhere."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def _pin(text: str) -> tuple[int, str]:
    size, _, root = text.partition(":")
    if not (size.isascii() and size.isdigit() and len(root) == 64 and set(root) <= set("0123456789abcdef")):
        raise typer.BadParameter(f"{text!r} is not SIZE:ROOT (a number, a colon, 64 lower-case hex digits)")
    return int(size), root


Pin = Annotated[
    list[Any] | None,
    typer.Option(help="SIZE:ROOT that you noted earlier, elsewhere.", parser=_pin, metavar="SIZE:ROOT"),
]
