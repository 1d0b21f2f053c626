"""The answers that need no AI: a keyword table for supply classes, regular expressions for notices.

Everything here is deterministic, total and linear in the text's length: no pattern nests one repetition in another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType

from failsoft import Referral
from procurement.keywords import KEYWORDS
from procurement.vocabulary import TITLES, Citation, Item, Notice, SetAside, Solicitation, SupplyClass

_WORD = re.compile(r"[a-z0-9]+")
_LONGEST = 3  # words in a phrase
_HEAD = 6  # a description's first words name the thing; what follows tells of its material and use
_UNKNOWN = SupplyClass.HAND_TOOLS  # a text without any known word: the class bought most


def _singular(word: str) -> str:
    if word.endswith("ives"):
        return word[:-3] + "fe"
    if word.endswith(("shes", "ches", "xes", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _words(text: str) -> list[str]:
    return [_singular(each) for each in _WORD.findall(text.lower().replace("'s", ""))]


def _table() -> MappingProxyType[tuple[str, ...], tuple[SupplyClass, int]]:
    """Each phrase as singular words, to its class and weight: title words 1, a keyword 2 for each of its words."""
    table: dict[tuple[str, ...], tuple[SupplyClass, int]] = {}
    for code, title in TITLES.items():
        for word in _words(title):
            table.setdefault((word,), (code, 1))
    for code, phrases in KEYWORDS.items():
        for phrase in phrases.split(","):
            words = tuple(_words(phrase))
            table[words] = (code, 2 * len(words))
    return MappingProxyType(table)


_PHRASES = _table()


def _phrases(words: list[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for start in range(len(words)):
        for length in range(1, _LONGEST + 1):
            yield start, tuple(words[start : start + length])


def classify(description: str) -> str:
    """The code of the class for which most speaks: whole words, each phrase counted once, double at the beginning.

    Args:
        description: any text, the empty one too.

    Returns:
        A `SupplyClass` code; of equal ones the lowest.
    """
    scores: dict[SupplyClass, int] = {}
    seen: set[tuple[str, ...]] = set()
    for start, phrase in _phrases(_words(description)):
        if phrase in _PHRASES and phrase not in seen:
            seen.add(phrase)
            code, weight = _PHRASES[phrase]
            scores[code] = scores.get(code, 0) + weight * (2 if start < _HEAD else 1)
    return min(scores, key=lambda code: (-scores[code], code), default=_UNKNOWN).value


class KeywordTable:
    """Classifies an item by its stock number, whose first four digits are the class, else by its words."""

    def __call__(self, request: Item) -> SupplyClass:
        """The item's class: a best guess for any valid item."""
        stated = (request.nsn or "")[:4]
        return SupplyClass(stated if stated in _CODES else classify(request.description))


_CODES = frozenset(SupplyClass)
