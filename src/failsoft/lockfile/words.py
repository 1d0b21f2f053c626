"""Which words of a text changed, shown with a few of those around them."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Final

_AROUND: Final = 3
"""Words before and after a change that show where it stands."""

_MOST: Final = 3
"""Changes that are shown before the rest is counted."""

_LONGEST: Final = 40
"""Words of one change that are shown."""


def changed_words(old: str, new: str) -> str:
    """The words that changed, old → new, in quotes; empty where the words are the same, and only their layout isn't."""
    was, now = old.split(), new.split()
    blocks = SequenceMatcher(None, was, now, autojunk=False).get_opcodes()
    parts = [f"{_shown(was, a, b)} → {_shown(now, c, d)}" for kind, a, b, c, d in blocks if kind != "equal"]
    rest = len(parts) - _MOST
    return "; ".join(parts[:_MOST]) + (f"; and {rest} more changes" if rest > 0 else "")


def _shown(words: list[str], start: int, end: int) -> str:
    first, last = max(0, start - _AROUND), min(len(words), end + _AROUND)
    shown = words[first:last]
    if len(shown) > _LONGEST:
        shown = [*shown[:_LONGEST], "…"]
    return '"' + " ".join(["…"] * (first > 0) + shown + ["…"] * (last < len(words))) + '"'
