"""What a record says in clear and others wrote: texts are cut, and what's public of a request or a response is bounded.

Nobody can erase it. So credentials are taken out of the whole of a text, and then it's cut: half of a key is no key that
could still be found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, cast

from failsoft.credentials import SHORTEST_SECRET
from failsoft.ledger.format.canonical import real

PROVIDER_TEXT = 512
"""Characters of a provider's string that are kept."""

MOST = 16
"""Elements of a list that are kept."""

FACTS_BYTES = 8_000
"""What the public fields may take of a record's 61,440 bytes."""

Plain = Callable[[bytes], bytes]
"""Gives a text without what looks like a credential."""


def provider_text(value: str) -> str:
    """A provider's string as it may stand in a record: 512 characters at most, valid Unicode."""
    return value[:PROVIDER_TEXT].encode("utf-8", "replace").decode()


def told(facts: Mapping[str, object], plain: Plain) -> dict[str, Any]:
    """The keys ``facts`` and ``facts_omitted`` of a record: these in clear, as far as it has room for them; and how many
    of them aren't there, or not whole.

    Args:
        facts: by dotted path, as `failsoft.audit.Marks.facts` gives them: texts, numbers, truth values, lists of them.
        plain: takes credentials out.
    """
    kept: dict[str, Any] = {}
    room, omitted = FACTS_BYTES, 0
    for name, value in facts.items():
        elements = cast("list[object]", value) if isinstance(value, list) else [value]
        scalars = (each for each in elements if isinstance(each, (str, int, float)))
        whole = [_written(each, plain) for each in islice(scalars, MOST)]
        written = [provider_text(each) if isinstance(each, str) else each for each in whole]
        found = written if isinstance(value, list) else written[0] if written else None
        size = len(name) + len(json.dumps(found, ensure_ascii=False).encode())
        if fits := bool(written) and size <= room:
            kept[name] = found
            room -= size
        omitted += bool(elements) and not (fits and written == whole and len(written) == len(elements))
    fields: dict[str, Any] = {"facts": kept} if kept else {}
    return {**fields, "facts_omitted": omitted} if omitted else fields


def _written(value: str | float, plain: Plain) -> str | int | bool:
    if isinstance(value, str):
        return plain(value.encode("utf-8", "replace")).decode()
    if isinstance(value, bool):
        return value
    written = real(value) if isinstance(value, float) else value if abs(value) < 2**53 else str(value)
    digits = str(written).encode()
    if len(digits) < SHORTEST_SECRET:
        return written
    kept = plain(digits)  # a number is JSON, and a text where it held a key
    return written if kept == digits else str(json.loads(kept))
