"""Values as JSON has them, for people: names and what they're of, those within others too; never more than fits, and what's
left out is marked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from attrs import define

from failsoft.ledger.bundles.markup import Markup, tag

LINE = 120
"""Characters of a value in a line of a table."""

DEPTH = 4
"""So many values within one another are laid out; what's deeper is told in a line."""

_WORD = 24
"""Characters that a cut goes back at most, to the end of a word."""

_LAST_WORD = re.compile(rf"\s\S{{0,{_WORD}}}\Z")
_MORE = "…"
_NAMELESS = "(no name)"
_NOTHING = "none"
_NONE_IN_LIST = "empty list"
_NO_NAMES = "no values"
_EMPTY = "(empty text)"
_QUOTING = re.compile(r"[\s“”\\]")
"""What's round a text in quotes, or stands for such a sign in it; and spaces."""

_AS_VALUES = frozenset(
    each.replace(" ", "") for each in ("", _NOTHING, _NONE_IN_LIST, _NO_NAMES, _EMPTY, "true", "false", "null")
)
"""What a text may say, but for `_QUOTING`, that would read as if it were no text."""

_PARTING = re.compile(r"[,;:()\"“”„]|\A\s|\s\Z|\A\Z")
"""What in a text would read as if it ended there, where others stand beside it; so does an empty one."""

_LINES = re.compile(r"[\n\r]")


def cut(said: str, most: int) -> str:
    """At most so many characters: cut after a word, where one ends nearby, and marked as cut."""
    if len(said) <= most:
        return said
    head = said[: most - 1]
    if not said[most - 1].isspace():
        head = _LAST_WORD.sub("", head)
    return head.rstrip(" \n\t,;:(") + _MORE


def scalar(value: Any) -> str:
    """A value that holds no others; so is an empty list or object. A text that reads like another value is in quotes."""
    if isinstance(value, str):
        reads_as_another = _QUOTING.sub("", value).lower() in _AS_VALUES
        return (_quoted(value) if reads_as_another else value) if value else _EMPTY
    if isinstance(value, (list, dict)):
        return _NONE_IN_LIST if isinstance(value, list) else _NO_NAMES
    return _NOTHING if value is None else json.dumps(value)


def beside(value: Any) -> str:
    """The same among others in a line: a text in quotes, where anything in it would read as if another value began."""
    return _quoted(value) if isinstance(value, str) and _PARTING.search(value) else scalar(value)


def _below(value: Any) -> str:
    """The same with others on lines of their own, above and below it."""
    return _quoted(value) if isinstance(value, str) and _LINES.search(value) else scalar(value)


def _quoted(said: str) -> str:
    r"""In quotes; where it has such itself, ``\`` stands before each."""
    return "“" + re.sub(r"[“”\\]", r"\\\g<0>", said) + "”"


def _name(name: str) -> str:
    """What a value is called, before it in a line."""
    if not name.strip():
        return _NAMELESS
    return _quoted(name) if _PARTING.search(name) or _LINES.search(name) else name


def line(value: Any) -> tuple[str, bool]:
    """A value in one line, with at most `LINE` characters; and whether all of it is there."""
    said, whole = "", True
    for piece in _spoken(value, 0, listed=False):
        said += _MORE if piece is None else piece
        whole = whole and piece is not None
        if len(said) > LINE:
            return cut(said, LINE), False
    return said, whole


def laid_out(value: Any, most: int) -> tuple[Markup, bool]:
    """A value over as many lines as it needs, with at most so many characters; and whether all of it is there."""
    paper = _Paper(most)
    if isinstance(value, dict) and value:
        rows = [tag("tr", tag("th", name), tag("td", said)) for name, said in paper.rows(value)]
        made = tag("table", *rows, cls="facts")
    elif _holds(value):
        made = tag("div", paper.put(value, 0), cls="values")
    else:
        made = tag("p", paper.take(scalar(value)), cls="value")
    return made, paper.whole


def _holds(value: Any) -> bool:
    return isinstance(value, (dict, list)) and len(cast("list[object]", value)) > 0


def _spoken(value: Any, depth: int, *, listed: bool) -> Iterator[str | None]:
    """A value's words, bit by bit: nobody needs all of a long one. None: what's too deep is left out here."""
    if not _holds(value):
        yield " ".join((beside(value) if depth else scalar(value)).split())
    elif depth == DEPTH:
        yield None
    elif isinstance(value, dict):
        before = "(" if depth else ""
        for name, each in cast("dict[str, object]", value).items():
            yield f"{before}{' '.join(_name(name).split())}: "
            yield from _spoken(each, depth + 1, listed=False)
            before = "; "
        yield ")" if depth else ""
    else:
        before = "(" if listed else ""
        for each in cast("list[object]", value):
            yield before
            yield from _spoken(each, depth + 1, listed=True)
            before = ", "
        yield ")" if listed else ""


@define
class _Paper:
    """What there's still room for.

    Args:
        left: characters.
        whole: was there room for everything so far?
    """

    left: int
    whole: bool = True

    def take(self, said: str) -> str:
        """As much of it as fits."""
        shown = cut(said, max(self.left, 1))
        self.whole = self.whole and len(said) <= max(self.left, 1)
        self.left -= max(len(said), 1)
        return shown

    def fitting(self, values: Iterable[Any]) -> Iterator[Any]:
        """Those that something of fits."""
        for each in values:
            if self.left <= 0:
                self.whole = False
                return
            yield each

    def rows(self, value: Any) -> Iterator[tuple[str, Markup]]:
        """An object's names, each with its value, for a place of its own each."""
        for name, each in self.fitting(cast("dict[str, object]", value).items()):
            title = self.take(_quoted(name) if name == _NAMELESS else name) if name.strip() else _NAMELESS
            yield title, self.put(each, 1) if _holds(each) else tag("span", self.take(scalar(each)))

    def named(self, value: Any, depth: int) -> Iterator[tuple[str, Markup]]:
        """An object's names, each with its value, for a line each."""
        for name, each in self.fitting(cast("dict[str, object]", value).items()):
            yield self.take(_name(name)), self.put(each, depth + 1)

    def put(self, value: Any, depth: int) -> Markup:
        """A value within others."""
        if not _holds(value):
            return tag("span", self.take(_below(value)))
        if depth == DEPTH:
            said, whole = line(value)
            self.whole = self.whole and whole
            return tag("span", self.take(said))
        if isinstance(value, dict):
            return tag("ul", *(tag("li", f"{name}: ", said) for name, said in self.named(value, depth)))
        values = cast("list[object]", value)
        if any(map(_holds, values)):
            return tag("ol", *(tag("li", self.put(each, depth + 1)) for each in self.fitting(values)))
        return tag("span", *self._beside(values))

    def _beside(self, values: Iterable[object]) -> Iterator[str]:
        before = ""
        for each in self.fitting(values):
            yield before + self.take(beside(each))
            before = ", "
