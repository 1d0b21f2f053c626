"""Headers by which a provider announces that something will go: read, and never believed further than as an announcement.

``Deprecation`` (RFC 9745: ``@`` and seconds; drafts before it: a date, or ``true``), ``Sunset`` (RFC 8594: a date),
``Link`` to either's explanation, and Cohere's ``x-api-warning``, a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from failsoft.core.effects import SECOND
from failsoft.core.retry_after import http_date

_SECONDS: Final = re.compile(r"@(-?[0-9]{1,12})")
_LINK: Final = re.compile(
    r'<([^<>\s]{1,512})>[^<>,]{0,200}?\brel="?(?:deprecation|sunset)"?(?:[;,\s]|$)', re.IGNORECASE
)
_PRESENT_NS: Final = 1_790_000_000 * SECOND
"""Only says which century a year of two digits belongs to, in a form of date that nobody should use any more."""

_LONGEST: Final = 512
_ENDS: Final = re.compile(r"deprecat|retir|sunset|discontinu|end[ -]of[ -]life|will be removed", re.IGNORECASE)
"""A warning that tells of an end says one of these; others are about a payment method or a rate."""

_HEADERS: Final = ("deprecation", "sunset", "x-api-warning")


@frozen
class DeprecationNotice:
    """What a reply's headers announced.

    Args:
        deprecated: since when (UTC); None: not said, or just that it is.
        sunset: when it ends (UTC); None: not said.
        text: the provider's own sentence, printable, at most 512 characters; empty: none.
        link: where more is said; empty: nowhere.
    """

    deprecated: datetime | None = None
    sunset: datetime | None = None
    text: str = ""
    link: str = ""


def announced(headers: Mapping[str, str]) -> DeprecationNotice | None:
    """What a reply's headers announce; None where they announce nothing, or nothing that can be read.

    Args:
        headers: by lower-case name, as a transport hands them over; any value may be nonsense.
    """
    if not any(name in headers for name in _HEADERS):  # as in nearly every reply
        return None
    stated = headers.get("deprecation", "").strip()[:_LONGEST]
    deprecated, sunset = _moment(stated), _moment(headers.get("sunset", "").strip()[:_LONGEST])
    warning = headers.get("x-api-warning", "")[:_LONGEST]
    text = "".join(filter(str.isprintable, warning)).strip() if _ENDS.search(warning) else ""
    if deprecated is None and sunset is None and not text and stated.lower() not in ("true", "?1"):
        return None
    link = _LINK.search(headers.get("link", "")[: 8 * _LONGEST])
    return DeprecationNotice(deprecated, sunset, text, link[1] if link else "")


def _moment(text: str) -> datetime | None:
    seconds = _SECONDS.fullmatch(text)
    since = int(seconds[1]) if seconds else None
    if since is None:
        found = http_date(text.lower(), _PRESENT_NS)
        since = None if found is None else found // SECOND
    try:
        return None if since is None else datetime.fromtimestamp(since, UTC)
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return None
