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

# The most specific kind first: each also says "small business".
_KINDS: tuple[tuple[SetAside, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (SetAside.ECONOMICALLY_DISADVANTAGED_WOMEN, r"economically[- ]disadvantaged wom[ae]n|\bedwosb"),
        (SetAside.WOMEN_OWNED, r"\bwom[ae]n[- ]owned|\bwosb"),
        (SetAside.SERVICE_DISABLED_VETERAN, r"\bservice[- ]disabled|\bsdvosb"),
        (SetAside.VETERAN, r"\bveteran[- ]owned|\bvosb"),
        (SetAside.HUBZONE, r"\bhub[- ]?zone"),
        (SetAside.EIGHT_A, r"\b8 ?\(a\)"),
        (SetAside.INDIAN_ENTERPRISE, r"\bindian (?:small business )?economic|\bbuy indian"),
        (SetAside.UNRESTRICTED, r"\bnot? (?:been |be |a )?$|\A ?: ?(?:none|no|n/a)\b"),
        (SetAside.PARTIAL_SMALL_BUSINESS, r"\bpartial"),
        (SetAside.TOTAL_SMALL_BUSINESS, r"\bsmall business"),
    )
)
_SET_ASIDE = re.compile(r"\bset[- ]?a[- ]?sides?\b")
_OPEN = re.compile(r"\bunrestricted\b(?! rights)|(?<!other than )\bfull (?:and|&) open\b")
_UNDECIDED = re.compile(r"\b(?:whether|if|may|might|could|consider\w*|potential\w*|possib\w*)\b")
_SENTENCE_END = re.compile(r"[.;]")
_NEAR = 80  # characters about the words "set aside" in which the kind is named

_CLAUSE = re.compile(r"(?<![0-9.])(?:252\.[0-9]{3}-[0-9]{4}|52\.[0-9]{3}-[0-9]{1,3})(?![0-9])")
_CLAUSE_TITLE = re.compile(r"[^.;\r\n]{0,120}")
_MOST_CLAUSES = 200


def _mentions(text: str) -> Iterator[tuple[str, str]]:
    """What stands before and after each "set aside", within its sentence."""
    for found in _SET_ASIDE.finditer(text):
        before = text[max(0, found.start() - _NEAR) : found.start()]
        after = text[found.end() : found.end() + _NEAR]
        yield _SENTENCE_END.split(before)[-1], _SENTENCE_END.split(after)[0]


def set_asides(text: str) -> frozenset[SetAside]:
    """Every kind of set-aside that `text` states as decided; several where it contradicts itself, none for silence."""
    plain = " ".join(text.lower().split())
    kinds = {SetAside.UNRESTRICTED} if _OPEN.search(plain) else set[SetAside]()
    for before, after in _mentions(plain):
        if _UNDECIDED.search(before):
            continue
        named = [kind for kind, pattern in _KINDS if pattern.search(before) or pattern.search(after)]
        kinds.update(named[:1])
    return frozenset(kinds)


def clauses(text: str) -> tuple[Citation, ...]:
    """The clauses that `text` names, each once, in order, at most 200; each quote is an exact part of `text`."""
    found = list(_CLAUSE.finditer(text))
    ends = [*(each.start() for each in found[1:]), len(text)][: len(found)]
    cited: dict[str, Citation] = {}
    for each, end in zip(found, ends, strict=True):
        title = _CLAUSE_TITLE.match(text, each.end(), end)
        quote = (each.group() + (title.group() if title else "")).rstrip(" \t,:-([&")
        cited.setdefault(each.group(), Citation(number=each.group(), quote=quote))
    return tuple(cited.values())[:_MOST_CLAUSES]


def check(notice: Notice) -> Solicitation | Referral:
    """What the notice asks of a bidder, by regular expressions; a person decides where it's silent or contradictory."""
    kinds = set_asides(notice.text)
    if len(kinds) == 1:
        return Solicitation(set_aside=next(iter(kinds)), clauses=clauses(notice.text))
    if not kinds:
        return Referral(reason="The notice doesn't say for whom it is set aside.")
    return Referral(reason=f"The notice contradicts itself on its set-aside: {', '.join(sorted(kinds))}.")
