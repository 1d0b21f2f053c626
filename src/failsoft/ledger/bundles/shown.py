"""What stands behind a record's commitments, laid out for people: values, texts, and what isn't shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from failsoft.ledger.bundles.markup import Markup, joined, tag
from failsoft.ledger.bundles.selection import Selection
from failsoft.ledger.bundles.values import LINE, beside, cut, laid_out, line, scalar
from failsoft.ledger.format.commitment import Disclosure
from failsoft.ledger.read import Entry

Fields = dict[str, Any]

SHOWN = 6000
"""Characters of one payload that a page shows; its file holds all."""

NOTHING = "–"
WITHHELD = "Withheld: it's on record, and not shown in this copy."
ERASED = "No longer kept: it was on record, and was erased since."
OMITTED = "Left out: the application never puts it on record."
REDACTED = "What looked like a password or key was taken out before this was put on record."
_IN_CLEAR = "In clear on record, as public (of a list at most its first 16 texts and numbers):"
_NONE = "Nothing of the kind is on record."


def payload(selection: Selection, entry: Entry | None, path: str) -> Markup:
    """What a record commits to under this path, as far as it's shown: values by their names, texts as they are."""
    found = disclosed(selection, entry, path)
    if isinstance(found, Disclosure):
        return _shown(found)
    return joined([tag("p", found, cls="withheld"), *(_in_clear(entry, path) if found in (WITHHELD, ERASED) else ())])


def as_it_came(selection: Selection, entry: Entry | None, path: str) -> Markup:
    """The same, character for character."""
    found = disclosed(selection, entry, path)
    return letters(found) if isinstance(found, Disclosure) else tag("p", found, cls="withheld")


def disclosed(selection: Selection, entry: Entry | None, path: str) -> Disclosure | str:
    """What a record commits to under this path; or why it isn't shown."""
    fields = {} if entry is None else entry.fields
    named = [each for each in fields.get("commitments", []) if each["path"] == path]
    if not named:
        return OMITTED if path in fields.get("omitted", []) else _NONE
    digest = named[0]["digest"]
    if digest in selection.disclosures:
        return Disclosure.from_bytes(selection.disclosures[digest])
    return ERASED if digest in selection.erased else WITHHELD


def _in_clear(entry: Entry | None, path: str) -> Iterator[Markup]:
    """What the application marked as public of a request or an answer: that stands in the record itself."""
    fields: Fields = {} if entry is None or path not in ("request", "response") else entry.fields
    if told := fields.get("facts"):
        yield tag("p", _IN_CLEAR, cls="caption")
        yield facts([(name, _plain(value)) for name, value in told.items()])
    if more := fields.get("facts_omitted"):
        yield tag("p", f"{more} of what's public isn't here, or not whole.", cls="note")


def _plain(value: Any) -> str:
    return ", ".join(map(beside, cast("list[object]", value))) if isinstance(value, list) else scalar(value)


def brief(selection: Selection, entry: Entry | None, path: str) -> str:
    """The same in a line of a table."""
    found = disclosed(selection, entry, path)
    if isinstance(found, str):
        return {WITHHELD: "withheld", ERASED: "no longer kept", OMITTED: "left out"}.get(found, NOTHING)
    try:
        return line(value_of(found))[0]
    except ValueError:
        return cut(" ".join(found.data.decode("utf-8", "replace").split()), LINE)


def value_of(disclosure: Disclosure) -> Any:
    """What it holds, as JSON has it.

    Raises:
        ValueError: it isn't JSON; or a name in it is doubled, so that which value counts is for whoever reads it.
    """
    if disclosure.media != "application/json":
        raise ValueError(f"{disclosure.media} isn't JSON")
    try:
        return json.loads(disclosure.data, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("nothing lays out so much within one another") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is doubled")
    return found


def _shown(disclosure: Disclosure) -> Markup:
    try:
        value = value_of(disclosure)
    except ValueError:
        return letters(disclosure)
    made, whole = laid_out(value, SHOWN)
    return made if whole else joined([made, tag("p", "Cut here: more of it stands in this copy's files.", cls="note")])


def letters(disclosure: Disclosure) -> Markup:
    """Its characters, as they are; where it has none, how many bytes it is."""
    try:
        said = disclosure.data.decode()
    except UnicodeDecodeError:
        what = f"{len(disclosure.data)} bytes that are no text ({disclosure.media}): they stand in this copy's files."
        return tag("p", what, cls="withheld")
    return written(said, "said" if disclosure.media.startswith("text/plain") else "")


def written(said: str, cls: str = "said") -> Markup:
    """A text, as far as a page shows it, and how much of it is left out."""
    shown = cut(said, SHOWN)
    made = [tag("p", shown, cls=cls) if cls else tag("pre", shown)]
    if shown != said:
        rest = f"{len(said) - len(shown) + 1} characters more stand in this copy's files."
        made.append(tag("p", f"Cut here: {rest}", cls="note"))
    return joined(made)


def facts(rows: Sequence[tuple[str, str]]) -> Markup:
    """Names and values."""
    return tag("table", *(tag("tr", tag("th", name), tag("td", value)) for name, value in rows), cls="facts")


def table(head: Sequence[object], rows: Sequence[Sequence[object]], cls: str = "list") -> Markup:
    """A table with a heading of columns."""
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", each) for each in head))),
        tag("tbody", *(tag("tr", *(tag("td", each) for each in row)) for row in rows)),
        cls=cls,
    )
