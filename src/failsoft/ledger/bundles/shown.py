"""What stands behind a record's commitments, laid out for people: values, texts, and what isn't shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from failsoft.ledger.bundles.markup import Markup, joined, tag
from failsoft.ledger.bundles.selection import Selection
from failsoft.ledger.format.commitment import Disclosure
from failsoft.ledger.read import Entry

Fields = dict[str, Any]

SHOWN = 6000
"""Characters of one payload that a page shows; its file holds all."""

NOTHING = "–"
WITHHELD = "Withheld: it's on record, and not shown in this copy."
ERASED = "No longer kept: it was on record, and was erased since."
_NONE = "Nothing of the kind is on record."


def payload(selection: Selection, entry: Entry | None, path: str) -> Markup:
    """What a record commits to under this path, as far as it's shown."""
    named = [] if entry is None else [each for each in entry.fields.get("commitments", []) if each["path"] == path]
    if not named:
        return tag("p", _NONE, cls="withheld")
    digest = named[0]["digest"]
    if digest not in selection.disclosures:
        said = ERASED if digest in selection.erased else WITHHELD
        return joined([tag("p", said, cls="withheld"), *_in_clear(entry, path)])
    return _shown(Disclosure.from_bytes(selection.disclosures[digest]))


def _in_clear(entry: Entry | None, path: str) -> Iterator[Markup]:
    """What the application marked as public of a request or an answer: that stands in the record itself."""
    told: Fields = {} if entry is None or path not in ("request", "response") else entry.fields.get("facts", {})
    if told:
        yield tag("p", "In clear on record, as public:", cls="caption")
        yield facts([(name, _plain(value)) for name, value in told.items()])


def _plain(value: Any) -> str:
    return ", ".join(map(_scalar, cast("list[object]", value))) if isinstance(value, list) else _scalar(value)


def brief(selection: Selection, entry: Entry | None, path: str) -> str:
    """The same in a line of a table."""
    named = [] if entry is None else [each for each in entry.fields.get("commitments", []) if each["path"] == path]
    if not named:
        return NOTHING
    plain = selection.disclosures.get(named[0]["digest"])
    if plain is None:
        return "no longer kept" if named[0]["digest"] in selection.erased else "withheld"
    disclosure = Disclosure.from_bytes(plain)
    value = _flat(disclosure)
    said = disclosure.data[:400].decode("utf-8", "replace") if value is None else "; ".join(each for _, each in value)
    said = " ".join(said.split())
    return said if len(said) <= 80 else said[:79] + "…"


def _shown(disclosure: Disclosure) -> Markup:
    flat = _flat(disclosure)
    if flat is not None:
        return tag("p", flat[0][1], cls="value") if flat[0][0] == "" else facts(flat)
    try:
        said = disclosure.data.decode()
    except UnicodeDecodeError:
        return tag(
            "p", f"{len(disclosure.data)} bytes ({disclosure.media}): they stand in this copy's files.", cls="withheld"
        )
    rest = len(said) - SHOWN
    cut = [tag("p", f"Cut here: {rest} characters more stand in this copy's files.", cls="note")] if rest > 0 else []
    plain = disclosure.media.startswith("text/plain")
    return joined([tag("p", said[:SHOWN], cls="said") if plain else tag("pre", _laid_out(said)[:SHOWN]), *cut])


def _flat(disclosure: Disclosure) -> list[tuple[str, str]] | None:
    """Names and values of a JSON object without others in it; a single value under no name. None: it's neither."""
    if len(disclosure.data) > SHOWN or disclosure.media != "application/json":
        return None
    try:
        value = json.loads(disclosure.data)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        items = list(cast("dict[str, Any]", value).items())
        if items and all(isinstance(each, (str, int, float)) and name for name, each in items):
            return [(name, _scalar(each)) for name, each in items]
    return [("", _scalar(value))] if isinstance(value, (str, int, float)) else None


def _laid_out(said: str) -> str:
    """JSON over several lines; other text as it is."""
    if len(said) > SHOWN:
        return said
    try:
        return json.dumps(json.loads(said), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return said


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def facts(rows: Sequence[tuple[str, str]]) -> Markup:
    """Names and values."""
    return tag("table", *(tag("tr", tag("th", name), tag("td", value)) for name, value in rows), cls="facts")


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> Markup:
    """A table with a heading of columns."""
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", each) for each in head))),
        tag("tbody", *(tag("tr", *(tag("td", each) for each in row)) for row in rows)),
        cls="list",
    )
