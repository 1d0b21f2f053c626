"""Moments as people write them on a command line: a date, a moment, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import typer

from failsoft.durations import parse_duration

HOW: Final = "2026-11-01, 2026-11-01T09:30Z, or 2h ago as 2h (90m, 30d)"

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_DAYS: Final = re.compile(r"([0-9]{1,5})d")


def beginning(text: str) -> str:
    """The moment that something begins, as in the log: of a date its midnight, UTC.

    Raises:
        typer.BadParameter: it's none.
    """
    return _written(text, end=False)


def ending(text: str) -> str:
    """The first moment after something's end, as in the log: of a date the midnight that follows, UTC.

    Raises:
        typer.BadParameter: it's none.
    """
    return _written(text, end=True)


def window(first: str, last: str) -> tuple[str, str]:
    """The first moment of a time, and the first one after it, as in the log.

    A duration is one that has passed since, never one from the beginning on: where the beginning is a moment it would be
    read as that, and isn't taken.

    Raises:
        typer.BadParameter: they're none, or the end may be read otherwise than it's meant.
    """
    since, until = beginning(first), ending(last)
    if _is_written_out(first) and not _is_written_out(last):
        raise typer.BadParameter(
            f"{last!r} as an end is {until}, so long ago, not so long after {first}: write it as a moment, "
            "as 2026-11-01 or 2026-11-01T09:30Z; or both as how long ago, as 4h 2h"
        )
    return since, until


def in_order(since: str | None, until: str | None, option: str) -> None:
    """A time has its end after its beginning.

    Args:
        since: its first moment, as in the log.
        until: the first one after it.
        option: where the end stands.

    Raises:
        typer.BadParameter: it hasn't.
    """
    if since is not None and until is not None and until <= since:
        raise typer.BadParameter(f"the end, {until}, isn't after the beginning, {since}", param_hint=option)


def ago(text: str) -> str:
    """The moment that was so long ago, as in the log.

    Raises:
        typer.BadParameter: it's no duration.
    """
    if _is_written_out(text):
        raise typer.BadParameter(f"{text!r} is no duration: write 2d, 36h or 90m")
    return _written(text, end=False)


def _is_written_out(text: str) -> bool:
    """Is it a date or a moment, and not how long ago?"""
    return bool(_DATE.fullmatch(text) or _MOMENT.fullmatch(text))


def _written(text: str, *, end: bool) -> str:
    try:
        return written(_moment(text, end=end))
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no moment: write {HOW}") from None


def written(moment: datetime) -> str:
    """As records have it: UTC, always six digits of a second."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _moment(text: str, *, end: bool) -> datetime:
    if _DATE.fullmatch(text):
        midnight = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return midnight + min(timedelta(days=end), _LAST - midnight)
    if _MOMENT.fullmatch(text):
        found = datetime.fromisoformat(text)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    days = _DAYS.fullmatch(text)
    ago = timedelta(days=int(days[1])) if days else timedelta(microseconds=parse_duration(text) // 1000)
    return datetime.now(UTC) - ago
