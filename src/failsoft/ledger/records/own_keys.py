"""The application's own keys are taken out of a payload: as they are, or as JSON writes them.

JSON stays JSON. In a document every text is read, and written anew where it held a key: a key's bytes may also stand where
no key is, after an escape's first half, and none of them may go then. All other bytes stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?[0-9][0-9.eE+-]*+')
"""A text or a number of a document that is JSON."""


def without(data: bytes, keys: Iterable[str], instead: bytes) -> tuple[bytes, int]:
    """The payload without these keys, and how often one was taken out.

    Args:
        data: a payload of any media type.
        keys: the application's own.
        instead: what stands in the place of each.
    """
    found = {form for forms in map(_forms, keys) if any(form.encode() in data for form in forms) for form in forms}
    # The longest first: one may begin with another.
    return _without(data, sorted(found, key=len, reverse=True), instead) if found else (data, 0)


def _forms(key: str) -> set[str]:
    """The key, and how JSON writes it that stands in JSON again, up to three times over."""
    forms = {key}
    if json.dumps(key)[1:-1] != key:
        for _ in range(3):
            forms |= {json.dumps(each, ensure_ascii=plain)[1:-1] for each in forms for plain in (True, False)}
    return forms


def _without(data: bytes, forms: list[str], instead: bytes) -> tuple[bytes, int]:
    return (_of_document if _is_json(data) else _of_text)(data, forms, instead)


def _of_text(data: bytes, forms: list[str], instead: bytes) -> tuple[bytes, int]:
    count = 0
    for form in map(str.encode, forms):
        count += data.count(form)
        data = data.replace(form, instead)
    return data, count


def _of_document(data: bytes, forms: list[str], instead: bytes) -> tuple[bytes, int]:
    """A number that holds a key becomes a text; a text that is JSON itself is a document, too."""
    count = 0

    def plain(token: re.Match[bytes]) -> bytes:
        nonlocal count
        written = token[0]
        text: str = json.loads(written) if written[:1] == b'"' else written.decode()
        of = _without if text.lstrip()[:1] in ("{", "[", '"') else _of_text
        kept, times = of(text.encode("utf-8", "surrogatepass"), forms, instead)
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
