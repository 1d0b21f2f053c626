"""Is a body a stream? By how it begins where its media type doesn't say, or says what isn't so.

Servers and proxies drop the type of a stream, or call it JSON or plain text; some answer in one piece under the type of a
stream. No JSON begins as server-sent events do, and where one object follows another without a comma no JSON goes on. A
recording may hold a stream as a list of its objects.
"""

from __future__ import annotations

import re
from typing import Any

from failsoft.adapters.base import as_array, as_object, json_text, media_type
from failsoft.adapters.json_lines import MEDIA_TYPE as LINES
from failsoft.adapters.strict_json import WHITE_SPACE, StrictJsonError, loads
from failsoft.core.effects import EVENT_STREAM, HttpReply

UNSAID = ("", "application/json", "text/plain")
"""Media types that say nothing, and what servers write of anything."""
_EVENTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_SPACE = WHITE_SPACE.encode()
_NEXT_OBJECT = re.compile(rb"\}[ \t\r]*\n[ \t\r\n]*\{")
_OF_EVENTS = ("choices", "type")
"""What an event's object has, in every dialect of server-sent events."""


def stream_in(reply: HttpReply, stream_type: str) -> HttpReply | None:
    """The reply with the stream that it holds; None where it's no stream.

    Args:
        reply: as it came.
        stream_type: the media type of the dialect's streams.
    """
    kind = media_type(reply.headers)
    if stream_type not in (EVENT_STREAM, LINES):
        return reply if kind == stream_type else None
    if kind != stream_type and kind not in UNSAID:
        return None
    start = reply.body[:64].lstrip(_SPACE)
    if start[:1] == b"[":
        listed = unlisted(reply.body, stream_type)
        return None if listed is None else HttpReply(reply.status, reply.headers, listed)
    if stream_type == EVENT_STREAM:
        whole = start[:1] == b"{"
        return reply if start.startswith(_EVENTS) or (kind == stream_type and not whole) else None
    several = kind == stream_type or (start[:1] == b"{" and _NEXT_OBJECT.search(reply.body) is not None)
    return reply if several else None


def unlisted(body: bytes, stream_type: str) -> bytes | None:
    """The stream of which a body lists the objects; None where it's another list, or none."""
    try:
        listed: list[Any] = as_array(loads(body))
    except StrictJsonError:
        return None
    first = as_object(listed[0] if listed else None)
    if not first or (stream_type == EVENT_STREAM and not any(name in first for name in _OF_EVENTS)):
        return None
    told = [each if isinstance(each, str) else json_text(each) for each in listed]
    pieces = [f"data: {each}\n\n" for each in told] if stream_type == EVENT_STREAM else [f"{each}\n" for each in told]
    return "".join(pieces).encode()
