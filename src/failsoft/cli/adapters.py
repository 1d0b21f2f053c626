"""The group `failsoft adapter`: looking at what adapters make of a provider's replies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from failsoft.cli.decoding import Decoder, api_named, provider_named, source_of
from failsoft.cli.telling import CODES, Commands, explained

group = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None, help="What adapters make of replies.")


@group.command(epilog=f"Example: failsoft adapter decode --provider anthropic recorded.jsonl\n\n{CODES}")
def decode(
    file: Annotated[Path, typer.Argument(help="Recorded exchanges, one JSON object a line; - reads standard input.")],
    provider: Annotated[str, typer.Option(help="Whose they are: as in an adapter's table.")],
    endpoint: Annotated[str, typer.Option(help="Which of its interfaces; default: by each exchange's URL.")] = "",
) -> None:
    """Decode recorded replies: one JSON object a line says what's served, said and wrong.

    Nothing is asked of anybody. A line that is no recorded exchange has the fault "not_recorded".
    """
    with explained(as_json=False):
        found = provider_named(provider)
        decoder = Decoder(found, api_named(found, endpoint) if endpoint else None)
        for each in decoder.lines(source_of(file)):
            sys.stdout.write(json.dumps(each, ensure_ascii=True) + "\n")
