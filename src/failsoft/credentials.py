"""What a request is let in by, where that isn't a key that stands still: values that a function of the user's returns.

The function is named by an adapter's ``auth = "package.module:function"``, takes nothing, and may be asynchronous. It's
called when a credential is needed, before the last one's end, and once after a 401; never twice at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from attrs import Attribute, field, frozen
from attrs.validators import optional

SHORTEST_SECRET = 8
"""Characters: shorter ones are placeholders (``none``, ``EMPTY``); to strike such words from replies would alter answers."""


SECRET_NAME = re.compile(
    r"key|token|secret|passw|pwd|auth|credential|cookie|session|sig(nature)?$|(^|[_-])(code|pass)$", re.IGNORECASE
)
"""What a header or a URL's parameter is called that holds a secret."""


class UnsoundCredential(ValueError):
    """A credential that can't be one. The text never shows it."""


_LATEST: Final = 1e11
"""Seconds since 1970: the year 5138."""


def _seconds(value: float | datetime | None) -> float | None:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UnsoundCredential("expires_at: a moment without a time zone could be any")
        return value.timestamp()
    return value


def _sound(_: object, attribute: Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable() or " " in value:
        raise UnsoundCredential(f"{attribute.name}: must be printable ASCII without white space, not empty")


def _moment(_: object, attribute: Attribute[float | None], value: Any) -> None:
    if value is not None and (type(value) not in (int, float) or not abs(value) < _LATEST):
        raise UnsoundCredential(f"{attribute.name}: seconds since 1970-01-01 UTC, a datetime with a time zone, or None")


@frozen
class Token:
    """A bearer token, or a key.

    Args:
        value: printable ASCII. Never shown.
        expires_at: seconds since 1970-01-01 UTC, or a `datetime` with a time zone; None: it doesn't say.

    Raises:
        ValueError: a field is out of its range; never shows the token.
    """

    value: str = field(repr=False, validator=_sound)
    expires_at: float | None = field(default=None, converter=_seconds, validator=_moment)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may never come back into a record."""
        return (self.value,)


@frozen
class AwsCredentials:
    """An AWS key pair, with the session token of temporary ones: what Bedrock's requests are signed with.

    Args:
        access_key_id: as AWS names it; it isn't secret.
        secret_access_key: never shown.
        session_token: of temporary credentials. Never shown.
        expires_at: as of `Token`.

    Raises:
        ValueError: a field is out of its range; never shows a key.
    """

    access_key_id: str = field(validator=_sound)
    secret_access_key: str = field(repr=False, validator=_sound)
    session_token: str | None = field(default=None, repr=False, validator=optional(_sound))
    expires_at: float | None = field(default=None, converter=_seconds, validator=_moment)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may never come back into a record."""
        return (self.secret_access_key, *(() if self.session_token is None else (self.session_token,)))


def aws_environment() -> AwsCredentials:
    """The credentials that stand in the environment, for ``auth = "failsoft.credentials:aws_environment"``.

    Raises:
        LookupError: ``AWS_ACCESS_KEY_ID`` or ``AWS_SECRET_ACCESS_KEY`` isn't set.
    """
    found = [os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    if None in found:
        raise LookupError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set")
    key, secret = map(str, found)
    return AwsCredentials(key, secret, os.environ.get("AWS_SESSION_TOKEN") or None)


Credential = Token | AwsCredentials

Source = Callable[[], "Credential | str | Awaitable[Credential | str]"]
"""A function of the user's: plain or asynchronous; a text is a token that says nothing of its end."""
