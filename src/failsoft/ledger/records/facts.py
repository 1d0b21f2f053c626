"""What a record says in clear and others wrote: texts are cut, and what's public of a request or a response is bounded.

Nobody can erase it. So credentials are taken out of the whole of a text, and then it's cut: half of a key is no key that
could still be found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from failsoft.audit import Fact
from failsoft.credentials import SHORTEST_SECRET
from failsoft.ledger.format.canonical import real

PROVIDER_TEXT = 512
"""Characters of a provider's string that are kept."""

FACTS_BYTES = 8_000
"""What the public fields may take of a record's 61,440 bytes."""

Plain = Callable[[bytes], bytes]
"""Gives a text without what looks like a credential."""


def provider_text(value: str) -> str:
    """A provider's string as it may stand in a record: 512 characters at most, valid Unicode."""
    return value[:PROVIDER_TEXT].encode("utf-8", "replace").decode()


def told(facts: Mapping[str, Fact | list[Fact]], plain: Plain) -> dict[str, Any]:
    """The keys ``facts`` and ``facts_omitted`` of a record: these in clear, as far as it has room for them.

    Args:
        facts: by dotted path, as `failsoft.audit.Marks.facts` gives them.
        plain: takes credentials out.
    """
    kept: dict[str, Any] = {}
    room = FACTS_BYTES
    for name, value in facts.items():
        written = [_written(each, plain) for each in value] if isinstance(value, list) else _written(value, plain)
        size = len(name) + len(json.dumps(written, ensure_ascii=False).encode())
        if size <= room:
            kept[name] = written
            room -= size
    fields: dict[str, Any] = {"facts": kept} if kept else {}
    if len(kept) < len(facts):
        fields["facts_omitted"] = len(facts) - len(kept)
    return fields


def _written(value: Fact, plain: Plain) -> str | int | bool:
    if isinstance(value, str):
        return provider_text(plain(value.encode("utf-8", "replace")).decode())
    if isinstance(value, bool):
        return value
    written = real(value) if isinstance(value, float) else value if abs(value) < 2**53 else str(value)
    digits = str(written).encode()
    if len(digits) < SHORTEST_SECRET:
        return written
    kept = plain(digits)  # a number is JSON, and a text where it held a key
    return written if kept == digits else str(json.loads(kept))
