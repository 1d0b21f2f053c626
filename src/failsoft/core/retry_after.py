"""How long a provider said to wait, read from a reply's headers. Every header is hostile until parsed.

Theory of operation
-------------------

Read on 429, 503 and 529 only: such headers stand on successful replies too, and mean nothing there. The first source
that says something wins:

    1. ``retry-after-ms``, a number of milliseconds
    2. ``retry-after``, a number of seconds
    3. ``retry-after``, an HTTP date (RFC 9110, section 5.6.7), against the reply's own ``date``: providers' clocks and
       ours differ. A date without a zone is UTC
    4. the reset headers of each dimension of which nothing remains; the longest of them

A number is ASCII digits with an optional fraction: ``float`` takes ``1_0``, ``infinity`` and Arabic digits. What's
negative, past, not a number or too long to be one is ignored and named in `Hint.ignored`. A hint is believed up to an
hour.

Resets come as durations (``6m0s``, ``20ms``), RFC 3339 moments, epoch seconds, epoch milliseconds and plain numbers. A
plain number in ``x-ratelimit-reset-<dimension>`` is milliseconds: Azure writes it so, and read as seconds it would stop
an adapter for minutes. Anywhere else it's seconds. Too short a reading costs one more throttled reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice

from attrs import field, frozen

from failsoft.core.effects import MILLISECOND, SECOND

STATUSES = frozenset({429, 503, 529})
LONGEST = 3_600 * SECOND

_LONGEST_TEXT = 64
_MOST_HEADERS = 1_000

_NUMBER = re.compile(r"([0-9]{1,9})(?:\.([0-9]+))?")
_NOTHING_LEFT = re.compile(r"0+(?:\.0+)?")
_EPOCH = re.compile(r"[0-9]{10}(?:[0-9]{3})?")
_UNITS = {
    "d": 86_400 * SECOND,
    "h": 3_600 * SECOND,
    "m": 60 * SECOND,
    "s": SECOND,
    "ms": MILLISECOND,
    "us": 1_000,
    "µs": 1_000,
    "ns": 1,
}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]+)?)(ms|us|µs|ns|d|h|m|s)")
_DURATION = re.compile(f"(?:{_PART.pattern})+")

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_ZONE = r"(?: (?:gmt|utc|z|(?P<offset>[+-][0-9]{4})))?"
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:[a-z]{{3}}, )?(?P<day>[0-9]{{1,2}}) (?P<month>[a-z]{{3}}) (?P<year>[0-9]{{4}}) {_TIME}{_ZONE}",
        rf"[a-z]{{6,9}}, (?P<day>[0-9]{{2}})-(?P<month>[a-z]{{3}})-(?P<year>[0-9]{{2}}) {_TIME}{_ZONE}",
        rf"[a-z]{{3}} (?P<month>[a-z]{{3}}) [ ]?(?P<day>[0-9]{{1,2}}) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
_MOMENT = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[t ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?"
    r"(?P<zone>z|[+-][0-9]{2}:[0-9]{2})?"
)
_YEAR = 31_556_952 * SECOND  # of 365.2425 days
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Hint:
    """What a reply said about waiting.

    Args:
        wait_ns: nanoseconds to wait, from 0 to an hour; None: it didn't say.
        source: the header that says so.
        ignored: headers that were there and made no sense.
        capped: it said more than an hour.
    """

    wait_ns: int | None = None
    source: str | None = None
    ignored: tuple[str, ...] = field(default=())
    capped: bool = False


def retry_after_ns(headers: Mapping[str, str], status: int, now_utc_ns: int) -> int | None:
    """How long the provider said to wait.

    Args:
        headers: the reply's, names in lower case.
        status: the reply's HTTP status.
        now_utc_ns: the present moment, in nanoseconds since 1970-01-01 UTC: for replies without a ``date``.

    Returns:
        Nanoseconds from 0 to an hour; None if it didn't say, or not on 429, 503 or 529.
    """
    return read_hint(headers, status, now_utc_ns).wait_ns


def read_hint(headers: Mapping[str, str], status: int, now_utc_ns: int) -> Hint:
    """As `retry_after_ns`, with the source, and with what was ignored."""
    if status not in STATUSES:
        return Hint()
    stated = http_date(_text(headers, "date"), now_utc_ns)
    now = now_utc_ns if stated is None else stated
    ignored: list[str] = []
    waits: dict[str, int] = {}
    for name, parse in (("retry-after-ms", _milliseconds), ("retry-after", _seconds_or_date)):
        if name in headers and not waits:
            _note(name, parse(_text(headers, name), now), waits, ignored)
    if not waits:
        for name in islice(headers, _MOST_HEADERS):
            reset = name.replace("remaining", "reset")
            if "ratelimit" in name and reset != name and reset in headers and _spent(_text(headers, name)):
                _note(reset, _reset(reset, _text(headers, reset), now), waits, ignored)
    if not waits:
        return Hint(ignored=tuple(ignored))
    source = max(waits, key=waits.__getitem__)
    wait = waits[source]
    return Hint(min(wait, LONGEST), source, tuple(ignored), wait > LONGEST)


def _note(name: str, wait: int | None, waits: dict[str, int], ignored: list[str]) -> None:
    if wait is None or wait < 0:
        ignored.append(name)
    else:
        waits[name] = wait


def _text(headers: Mapping[str, str], name: str) -> str:
    """A header's value in lower case; empty if it's missing or too long to mean anything."""
    text = headers.get(name, "")
    return text.strip(" \t").lower() if len(text) <= _LONGEST_TEXT else ""


def _spent(text: str) -> bool:
    return _NOTHING_LEFT.fullmatch(text) is not None


def _number(text: str, unit: int) -> int | None:
    """Nanoseconds of so many units."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    whole, fraction = match.groups()
    return int(whole) * unit + (int(fraction[:9].ljust(9, "0")) * unit // SECOND if fraction else 0)


def _milliseconds(text: str, now: int) -> int | None:
    return _number(text, MILLISECOND)


def _seconds_or_date(text: str, now: int) -> int | None:
    seconds = _number(text, SECOND)
    if seconds is not None:
        return seconds
    moment = http_date(text, now)
    return None if moment is None else moment - now


def _reset(name: str, text: str, now: int) -> int | None:
    number = _number(text, MILLISECOND if name.startswith("x-ratelimit-reset-") else SECOND)
    if number is not None:
        return number
    if _EPOCH.fullmatch(text):
        return int(text) * (MILLISECOND if len(text) == 13 else SECOND) - now
    if _DURATION.fullmatch(text):
        return sum(_number(count, _UNITS[unit]) or 0 for count, unit in _PART.findall(text))
    moment = _moment(text)
    return None if moment is None else moment - now


def http_date(text: str, now: int) -> int | None:
    """Nanoseconds since 1970 of an HTTP date, in any of its three forms; None if it isn't one."""
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        parts = match.groupdict()
        if parts["month"] not in _MONTHS:
            return None
        year = int(parts["year"])
        if len(parts["year"]) == 2:  # RFC 9110: one more than 50 years ahead is in the past
            present = 1970 + now // _YEAR
            year += 2000 if year + 2000 <= present + 50 else 1900
        clock = (int(parts[each]) for each in ("hour", "minute", "second"))
        offset = parts.get("offset") or "+0000"
        return _since_1970((year, _MONTHS.index(parts["month"]) + 1, int(parts["day"])), tuple(clock), offset)
    return None


def _moment(text: str) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 moment, to the second; None if it isn't one."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    zone = match["zone"]
    offset = "+0000" if zone in (None, "z") else zone.replace(":", "")
    date = tuple(int(each) for each in match["date"].split("-"))
    return _since_1970(date, tuple(int(each) for each in match["time"].split(":")), offset)


def _since_1970(date: tuple[int, ...], clock: tuple[int, ...], offset: str) -> int | None:
    year, month, day = date
    hour, minute, second = clock
    shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
    try:
        moment = datetime(year, month, day, hour, minute, 59 if second == 60 else second, tzinfo=UTC)
    except ValueError:
        return None
    since = moment - _EPOCH_START + (shift if offset[0] == "-" else -shift)
    return (since.days * 86_400 + since.seconds) * SECOND
