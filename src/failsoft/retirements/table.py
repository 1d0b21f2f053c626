"""Announced retirements: which models end when, what replaces them, and since when that was known.

One row is one announcement as somebody read it on a day. Dates move: a later row takes the earlier one's place and doesn't
erase it. The table that comes with failsoft is a start; an application keeps a file of its own beside its configuration, and
brings it up to date with ``failsoft pins update``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from attrs import asdict, field, frozen

from failsoft.adapters.name_class import TABLES, bare
from failsoft.config_file import nearest
from failsoft.errors import ConfigurationError
from failsoft.providers import known

COLUMNS: Final = ("provider", "model", "announced", "retires", "replacement", "as_of", "source")

MAX_FILE: Final = 4 << 20
"""Bytes of a table: some 30,000 announcements."""

_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")

_VENDORS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google": "gemini",
    "mistralai": "mistral",
    "openai": "openai",
    "x-ai": "xai",
}
"""Whose model a router's name is about, by what stands before its slash."""


class State(StrEnum):
    """How a model stands on a day."""

    UNKNOWN = "unknown"
    """No retirement is known."""
    ANNOUNCED = "announced"
    """It retires on a day to come."""
    DEPRECATED = "deprecated"
    """It will retire; no day is known."""
    RETIRED = "retired"
    """Its day has come."""


@frozen
class Announcement:
    """What was read about one model.

    Args:
        provider: whose service retires it: the same model may live longer at another.
        model: its name there, without a region's prefix.
        announced: the day of the announcement; None: not known.
        retires: the day from which it answers no more; None: not said.
        replacement: what the provider recommends; empty: nothing.
        as_of: the day on which it was read.
        source: the provider's page, or who said so.
    """

    provider: str
    model: str
    announced: date | None
    retires: date | None
    replacement: str
    as_of: date
    source: str

    @property
    def known(self) -> date:
        """Since when one could know it."""
        return min(self.announced or self.as_of, self.as_of)


@frozen
class Standing:
    """How a model stands on a day.

    Args:
        days_left: until it retires; negative: it has; None: no day is known.
        announcement: the one in force on that day.
    """

    state: State
    days_left: int | None = None
    announcement: Announcement | None = None


@frozen
class Retirements:
    """All announcements that are known, each model's in the order in which they were read."""

    announcements: tuple[Announcement, ...]
    _by_model: dict[tuple[str, str], list[Announcement]] = field(
        init=False, factory=dict[tuple[str, str], list[Announcement]], repr=False
    )

    def __attrs_post_init__(self) -> None:
        for each in sorted(self.announcements, key=lambda one: (one.as_of, one.known)):
            self._by_model.setdefault((each.provider, each.model), []).append(each)

    def history(self, provider: str, model: str) -> tuple[Announcement, ...]:
        """What was announced of a model, the earliest reading first.

        Args:
            provider: as configuration names it. A router's names, and those behind a provider that isn't known to us, are
                looked up at the vendors themselves.
            model: as asked for, or as served.
        """
        for place in _places(provider, model):
            if place in self._by_model:
                return tuple(self._by_model[place])
        return ()

    def standing(self, provider: str, model: str, day: date) -> Standing:
        """How a model stands on a day, by what could be known on it. Arguments as `history`."""
        known = [each for each in self.history(provider, model) if each.known <= day]
        if not known:
            return Standing(State.UNKNOWN)
        read = [each for each in known if each.as_of <= day]
        found = read[-1] if read else known[0]
        if found.retires is None:
            return Standing(State.DEPRECATED, None, found)
        left = (found.retires - day).days
        return Standing(State.ANNOUNCED if left > 0 else State.RETIRED, left, found)

    def with_more(self, more: Iterable[Announcement]) -> Retirements:
        """These and others, each once."""
        return Retirements(tuple(dict.fromkeys((*self.announcements, *more))))


def _places(provider: str, model: str) -> list[tuple[str, str]]:
    name = bare(provider, model)
    if provider == "openrouter":
        name = name.partition(":")[0]
        vendor, _, rest = name.partition("/")
        return [(provider, name), (_VENDORS.get(vendor, vendor), rest)]
    if provider in TABLES:
        return [(provider, name)]
    return [(each, name) for each in ("openai", "anthropic", "gemini", "mistral", "cohere", "xai", "deepseek")]


@cache
def shipped() -> Retirements:
    """The table that comes with failsoft."""
    return Retirements(
        tuple(
            parse(files("failsoft.retirements").joinpath("announced.csv").read_text(encoding="utf-8"), "announced.csv")
        )
    )


def known_to(path: Path | None) -> Retirements:
    """The table that comes with failsoft, and what an application keeps of its own.

    Raises:
        ConfigurationError: its file can't be read, or isn't such a table.
    """
    found = shipped()
    try:
        missing = path is None or not path.exists()
    except OSError:  # its folder can't be looked into: reading says why
        missing = False
    return found if path is None or missing else found.with_more(read(path))


def read(path: Path, day: date | None = None) -> list[Announcement]:
    """A file's announcements.

    Args:
        path: the file.
        day: as in `parse`.

    Raises:
        ConfigurationError: it can't be read, or it isn't such a table: each wrong line is told, at most ten of them.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise ConfigurationError(
                f"{path.name}: has more than {MAX_FILE >> 20} MiB, so it's no table of retirements"
            )
        return parse(path.read_text(encoding="utf-8-sig"), path.name, day)  # spreadsheets put a mark before the text
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name}: isn't UTF-8 text") from None
    except OSError as error:
        raise ConfigurationError(f"{path.name}: can't be read: {error.strerror or error}") from error


def parse(text: str, name: str, day: date | None = None) -> list[Announcement]:
    """A table's announcements, from its text: CSV with the columns `COLUMNS`.

    Args:
        text: all of it.
        name: how it's told.
        day: today, where it's taken over: nothing can have been read later, nor of a provider that isn't known. Of one that
            was taken over before neither is asked: a provider may be a distribution's that isn't installed now.

    Raises:
        ConfigurationError: it isn't such a table.
    """
    rows = csv.reader(io.StringIO(text), strict=True)
    problems: list[str] = []
    found: list[Announcement] = []
    try:
        header = next(rows, list[str]())
        if tuple(header) != COLUMNS:
            raise ConfigurationError(f"{name}: its first line must be {','.join(COLUMNS)}")
        for row in rows:
            if row:
                _take(row, f"{name}: line {rows.line_num}", found, problems, day)
    except csv.Error as error:
        problems.append(f"{name}: line {rows.line_num}: isn't CSV: {error}")
    if problems:
        rest = len(problems) - 10
        raise ConfigurationError(problems[:10] + ([f"{name}: {rest} more lines are wrong"] if rest > 0 else []))
    return found


def _take(row: list[str], place: str, found: list[Announcement], problems: list[str], day: date | None) -> None:
    if len(row) != len(COLUMNS):
        problems.append(f"{place}: {len(COLUMNS)} columns are wanted, not {len(row)}")
        return
    given: dict[str, str] = dict(zip(COLUMNS, row, strict=True))
    wrong = [each for each in ("provider", "model", "source") if not _TEXT.fullmatch(given[each])]
    wrong += [each for each in ("replacement",) if given[each] and not _TEXT.fullmatch(given[each])]
    days = {each: _day(given[each]) for each in ("announced", "retires", "as_of")}
    wrong += [each for each, day in days.items() if day is None and (given[each] or each == "as_of")]
    if wrong:
        problems.append(
            f"{place}: {', '.join(wrong)}: a text of 1 to 256 characters, or a day such as 2027-01-14, is wanted"
        )
        return
    as_of = days["as_of"]
    assert as_of is not None
    model = bare(given["provider"], given["model"])
    taken = Announcement(
        given["provider"], model, days["announced"], days["retires"], given["replacement"], as_of, given["source"]
    )
    doubts = list(_doubts(taken, day))
    problems += [f"{place}: {each}" for each in doubts]
    if not doubts:
        found.append(taken)


def _doubts(taken: Announcement, day: date | None) -> Iterator[str]:
    """What can't be so, though each column by itself can."""
    if taken.announced and taken.retires and taken.announced > taken.retires:
        yield f"announced: {taken.announced} is after retires, {taken.retires}: are the two mixed up?"
    if day is not None and taken.as_of > day:
        yield f"as_of: {taken.as_of} is yet to come: it's the day on which the announcement was read"
    if day is not None and taken.provider not in known():
        near = nearest(taken.provider, list(known()))
        hint = f'did you mean "{near}"?' if near else "name it as configuration does"
        yield f'provider: no provider is named "{taken.provider}": {hint}'


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def written(announcements: Iterable[Announcement]) -> str:
    """A table's text: sorted, each announcement on a line, equal ones once."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = {tuple("" if value is None else str(value) for value in asdict(each).values()) for each in announcements}
    writer.writerows(sorted(rows))
    return text.getvalue()
