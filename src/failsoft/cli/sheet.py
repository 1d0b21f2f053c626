r"""CSV that a spreadsheet opens and doesn't run: what stands in a ledger was written by others.

Rules (the first two: OWASP, "CSV Injection"):

1. A cell that a spreadsheet would take for a formula (it begins with ``=``, ``+``, ``-`` or ``@``, after any spaces, full
   width forms too) has an apostrophe before it; so has one that begins with a tab or a carriage return.
2. Every cell is quoted.
3. Where a comma is for decimals, a spreadsheet may part cells at each semicolon, whatever is quoted: so what would begin a
   formula after one (after any spaces and quotes, too) has an apostrophe before it, next to the semicolon.
4. Control and format characters, line breaks among them, are written as ``\uXXXX``: one record is one line.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from failsoft.cli.telling import out
from failsoft.ledger.verify import printable

_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

_AFTER_A_SEMICOLON: Final = re.compile(r""";([ "]*)(?=(.))""")

Cell = str | int | bool


def harmless(value: Cell) -> str:
    """A cell's text, as a spreadsheet takes it for nothing but text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    begins = unicodedata.normalize("NFKC", value.lstrip(" \xa0")[:1])
    return "'" * begins.startswith(_STARTS_A_FORMULA) + _AFTER_A_SEMICOLON.sub(_apart, printable(value))


def _apart(found: re.Match[str]) -> str:
    begins = unicodedata.normalize("NFKC", found[2])
    return ";" + "'" * begins.startswith(_STARTS_A_FORMULA) + found[1]


def print_csv(columns: Iterable[str], rows: Iterable[Mapping[str, Cell]]) -> None:
    """A head line, then a line for each row, as they come."""
    line = io.StringIO()
    writer = csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\n")
    names = list(columns)
    try:
        for cells in _lines(names, rows):
            writer.writerow(cells)
            sys.stdout.write(line.getvalue())
            line.seek(0)
            line.truncate()
        sys.stdout.flush()
    except BrokenPipeError:
        out.on_broken_pipe()


def _lines(names: list[str], rows: Iterable[Mapping[str, Cell]]) -> Iterable[list[str]]:
    yield names
    for row in rows:
        yield [harmless(row[name]) for name in names]
