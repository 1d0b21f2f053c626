"""The application's own keys are taken out of a payload: as they are, or as JSON writes them.

JSON stays JSON. In a document every text is read, and written anew where it held a key: a key's bytes may also stand where
no key is, after an escape's first half, and none of them may go then. All other bytes stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from failsoft.core.key_forms import pattern_in

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?[0-9][0-9.eE+-]*+')
"""A text or a number of a document that is JSON."""


def without(data: bytes, keys: Iterable[str], instead: bytes) -> tuple[bytes, int]:
    """The payload without these keys, and how often one was taken out.

    Args:
        data: a payload of any media type.
        keys: the application's own.
        instead: what stands in the place of each.
    """
    written = pattern_in(data, keys)
    return (data, 0) if written is None else _without(data, written, instead)


def _without(data: bytes, keys: re.Pattern[bytes], instead: bytes) -> tuple[bytes, int]:
    return _of_document(data, keys, instead) if _is_json(data) else keys.subn(instead, data)


def _of_document(data: bytes, keys: re.Pattern[bytes], instead: bytes) -> tuple[bytes, int]:
    """A number that holds a key becomes a text; a text that is JSON itself is a document, too."""
    count = 0

    def plain(token: re.Match[bytes]) -> bytes:
        nonlocal count
        written = token[0]
        text: str = json.loads(written) if written[:1] == b'"' else written.decode()
        inner = text.encode("utf-8", "surrogatepass")
        nested = text.lstrip()[:1] in ("{", "[", '"')
        kept, times = _without(inner, keys, instead) if nested else keys.subn(instead, inner)
        if not times:
            return written
        count += times
        # Half a pair of surrogates is written as JSON writes it: by its number.
        return json.dumps(kept.decode("utf-8", "surrogatepass"), ensure_ascii=False).encode("utf-8", "backslashreplace")

    return _TOKEN.sub(plain, data), count


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode(), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True
