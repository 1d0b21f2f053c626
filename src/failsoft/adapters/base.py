"""What codecs share: hostile values read into plain ones, addresses and keys checked once."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve
from pydantic_core import to_json

from failsoft.core.effects import HttpRequest
from failsoft.credentials import SECRET_NAME, SHORTEST_SECRET, Credential, Token
from failsoft.errors import ConfigurationError

MAX_TEXT = 512
"""Characters that are kept of any name or number which a provider states."""

_LIKE_A_KEY = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[!-~]{16,}")
"""No word and no date, but 16 characters and more, letters and digits among them."""

_SCHEME = re.compile(r"bearer|basic|token|oauth|dpop|(api-?)?key", re.IGNORECASE)
"""What follows one of these is a credential, whatever it looks like."""

_ORDINARY = re.compile(r"[A-Za-z]?[a-z]{0,14}|[A-Z]{0,15}|[0-9]{1,4}([-./:][0-9]{1,4})+")
"""A word, a date, a version: where it's only a part of a secret, to strike it would alter answers."""

USER_AGENT = f"failsoft/{version('failsoft')}"

MAX_COUNT = 2**53
"""The most tokens that are believed: beyond it a count is nonsense, and JSON readers disagree."""


def as_object(value: Any) -> dict[str, Any]:
    """The value if it's a JSON object, else an empty one."""
    return value if value.__class__ is dict else {}


def as_array(value: Any) -> list[object]:
    """The value if it's a JSON array, else an empty one."""
    return value if value.__class__ is list else []


def as_text(value: object) -> str | None:
    """The value if it's a string with something in it, at most `MAX_TEXT` characters of it."""
    return value[:MAX_TEXT] if type(value) is str and value else None


def whole_text(value: object) -> str:
    """The value if it's a string, however long; else an empty one."""
    return value if isinstance(value, str) else ""


def as_count(value: object) -> int | None:
    """The value if it's a whole number of tokens, 0 or more; a negative, boolean or absurd one is unknown, not 0."""
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def json_text(value: object) -> str:
    """A value that was read strictly, as JSON text again."""
    return to_json(value).decode()


def media_type(headers: Mapping[str, str]) -> str:
    """The media type without parameters, in lower case; empty where there is none."""
    stated = headers.get("content-type")
    return stated.partition(";")[0].strip().lower() if stated else ""


def endpoint_url(base_url: str, path: str) -> tuple[str, str]:
    """The URL to ask, and the same without its query: for the record.

    Args:
        base_url: absolute; a query (an API version) is kept.
        path: of the endpoint, beginning with ``/``.

    Raises:
        ConfigurationError: it isn't an http or https URL, or it holds a user name or a fragment.
    """
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ConfigurationError("base_url: not a URL") from None
    if not sound or "@" in parts.netloc or parts.fragment or any(each <= " " or each == "\x7f" for each in base_url):
        raise ConfigurationError(
            "base_url: must be an absolute http or https URL without user name and fragment, "
            'such as "https://host/v1" (a key belongs in api_key)'
        )
    if path and not path.startswith("/"):
        raise ConfigurationError(f"an interface's path begins with a slash, not {path[:60]!r}")
    address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{path}"
    return address + (f"?{parts.query}" if parts.query else ""), address


def secrets_of(api_key: str | None, extra_headers: Mapping[str, str]) -> tuple[str, ...]:
    """The keys among what an adapter sends: none of them may come back into a record, whole or what's secret of it alone.

    Of its headers those are keys whose names say so, and those whose values look like one whatever the name. Others are
    a team's name, a version's date: to strike such a word from replies would alter answers, and so would values shorter
    than `SHORTEST_SECRET`, which are placeholders (``none``, ``EMPTY``).
    """
    sent = [] if api_key is None else [("", api_key)]
    sent += [(name, value) for name, value in extra_headers.items() if _is_secret(name, value)]
    told = (each for name, value in sent for each in (value, *secret_parts(name, value)))
    return tuple(dict.fromkeys(each for each in told if len(each) >= SHORTEST_SECRET))


def _is_secret(header: str, value: str) -> bool:
    scheme, _, rest = value.partition(" ")
    likely = rest.strip() if _SCHEME.fullmatch(scheme) else value
    return bool(SECRET_NAME.search(header) or _LIKE_A_KEY.fullmatch(likely))


def secret_parts(header: str, value: str) -> Iterator[str]:
    """What of a secret header is a secret by itself: what follows a scheme, a user's password, each cookie's value.

    Args:
        header: its name.
        value: all of it.
    """
    if header.lower() == "cookie":
        cookies = (each.partition("=")[2].strip().strip('"') for each in value.split(";"))
        yield from (each for each in cookies if not _ORDINARY.fullmatch(each))
        return
    scheme, _, rest = value.partition(" ")
    rest = rest.strip()
    if _SCHEME.fullmatch(scheme) or not _ORDINARY.fullmatch(rest):
        yield rest
    if scheme.lower() == "basic" and not _ORDINARY.fullmatch(password := _password(rest)):
        yield password


def _password(credentials: str) -> str:
    """Of RFC 7617's user and password; empty where it's something else."""
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def with_token(request: HttpRequest, credential: Credential, header: str, prefix: str) -> HttpRequest:
    """The request with a token in a header.

    Raises:
        TypeError: the credential is no `Token`.
    """
    if not isinstance(credential, Token):
        raise TypeError(f"auth: this provider takes a Token, not {type(credential).__name__}")
    return evolve(request, headers=(*request.headers, (header, f"{prefix}{credential.value}")))


def header_problem(name: str, value: str) -> str | None:
    """What is wrong with a header; None if nothing. Never shows the value: it may be a secret."""
    if not name or not name.isascii() or name.lower().strip("abcdefghijklmnopqrstuvwxyz0123456789-_"):
        return f"extra_headers: {name!r} is not a header's name"
    if not value.isascii() or not value.isprintable() or value != value.strip():
        return f"{name}: its value must be printable ASCII without white space around it"
    return None
