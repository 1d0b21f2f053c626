"""A recorded exchange as one JSON object, and back: what `failsoft adapter decode` reads and what a recorder writes.

    {"request":  {"method", "url", "headers", "body"},
     "response": {"status", "headers", "body", "body_encoding"}}

A body that is JSON stands there as it is; any other as text, or as base64 where ``body_encoding`` says so. Headers are an
object, or a list of pairs. Everything else that stands in it (a date, a source) is kept out of the way. Recordings come from
anywhere: nothing here believes them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from attrs import field, frozen

from failsoft.adapters.aws_event_stream import MEDIA_TYPE as AWS_EVENT_STREAM
from failsoft.adapters.base import as_array, as_object, secret_parts
from failsoft.core.effects import HttpReply
from failsoft.core.judge import STRUCK
from failsoft.credentials import SECRET_NAME, SHORTEST_SECRET

BASE64 = "base64"

_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers of how a body travelled: it's recorded as it was after that."""


class NotRecorded(ValueError):
    """It isn't a recorded exchange. The text never quotes it."""


@frozen
class Exchanged:
    """One exchange.

    Args:
        url: as asked; it may be empty.
        method: in upper case.
        asked: the request's body.
        reply: what came.
        model: the model that the request asks for, by its body or by its URL, where it says so.
    """

    url: str
    method: str
    asked: bytes = field(repr=False)
    reply: HttpReply
    model: str | None = None


def exchanged(row: object) -> Exchanged:
    """What a recorded exchange holds; an object without ``response`` is taken for the response itself.

    Raises:
        NotRecorded: it isn't one.
    """
    table = as_object(row)
    if not table:
        raise NotRecorded("not a JSON object with anything in it")
    response = as_object(table.get("response")) if "response" in table else table
    status = response.get("status", 200 if "body" in response else None)
    if type(status) is not int or not 100 <= status <= 599:
        raise NotRecorded("response.status: not a number from 100 to 599")
    request = as_object(table.get("request"))
    url, method = request.get("url"), request.get("method")
    body = request.get("body")
    place = url if isinstance(url, str) else ""
    model = _in_url(place) or as_object(body).get("model")
    return Exchanged(
        place,
        method.upper() if isinstance(method, str) else "POST",
        bytes_of(body, request.get("body_encoding")),
        HttpReply(
            status,
            _typed(headers_of(response.get("headers")), response),
            bytes_of(response.get("body"), response.get("body_encoding")),
        ),
        model if isinstance(model, str) else None,
    )


_MODEL_IN_URL = re.compile(r"/model/([^/?]+)/(?:converse|invoke)|/(?:m|tunedM)odels/([^/?:]+):[a-zA-Z]+")


def _in_url(url: str) -> str | None:
    """The model that a URL names: Bedrock's and Google's do."""
    found = _MODEL_IN_URL.search(url)
    return None if found is None else unquote(found[1] or found[2])


def _typed(headers: dict[str, str], response: dict[str, Any]) -> dict[str, str]:
    """With the type that the body shows where none is recorded: recorders strike headers they don't know."""
    if "/" not in headers.get("content-type", ""):
        headers.pop("content-type", None)
        if response.get("body_encoding") == BASE64:
            headers["content-type"] = AWS_EVENT_STREAM
        elif isinstance(response.get("body"), dict | list):
            headers["content-type"] = "application/json"
    return headers


def headers_of(given: object) -> dict[str, str]:
    """Headers with names in lower case; a repeated one is joined, what isn't text is left out."""
    pairs: list[tuple[object, object]] = (
        list(as_object(given).items())
        if given.__class__ is dict
        else [(pair[0], pair[1]) for pair in map(as_array, as_array(given)) if len(pair) == 2]
    )
    found: dict[str, str] = {}
    for name, value in pairs:
        values = as_array(value) or [value]
        for each in values:
            if isinstance(name, str) and isinstance(each, str) and name.lower() not in _OF_THE_WIRE:
                lower = name.lower()
                found[lower] = f"{found[lower]}, {each}" if lower in found else each
    return found


def bytes_of(body: object, encoding: object) -> bytes:
    """A body's bytes.

    Raises:
        NotRecorded: it isn't what its encoding says.
    """
    if body is None:
        return b""
    if not isinstance(body, str):
        try:
            return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError):
            raise NotRecorded("a body that can't be JSON") from None
    if encoding == BASE64:
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise NotRecorded("a body that isn't base64") from None
    return body.encode("utf-8", "surrogatepass")


def body_of(body: bytes) -> Mapping[str, Any]:
    """The fields ``body`` and, where it's needed, ``body_encoding`` of these bytes; `bytes_of` gives the same ones back."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "body_encoding": BASE64}
    return {"body": text}


# --- what may not be recorded -----------------------------------------------------------------------------------------


def clean_url(url: str) -> str:
    """A URL without user name and without the values of parameters that are named like secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    query = [
        (name, STRUCK if SECRET_NAME.search(name) else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=urlencode(query), fragment=""))


def carried(headers: Mapping[str, str], url: str) -> tuple[str, ...]:
    """The keys that a request carries: in headers and parameters that are named like secrets, and before its host."""
    sent = [(name, value) for name, value in headers.items() if SECRET_NAME.search(name)]
    found = [each for name, value in sent for each in (value, *secret_parts(name, value))]
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    found += [value for name, value in parse_qsl(parts.query) if SECRET_NAME.search(name)]
    user = parts.netloc.rpartition("@")[0]
    found += [each for part in user.split(":") for each in (part, unquote(part))]
    return tuple(dict.fromkeys(each for each in found if len(each) >= SHORTEST_SECRET))
