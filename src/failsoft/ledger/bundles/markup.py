r"""HTML put together so that nothing which stands in a ledger can become markup: text is escaped unless this made it.

What can't be seen (control and format characters, such as those that turn the direction of writing; what has no glyph) is
named, in a frame that no text can have: ``U+202E``. Spaces of all widths stand as they are, and so does what can't be seen
by itself where it makes one sign of those beside it: a line's end of two characters, an emoji, another form of an
ideograph. Joiners that some scripts need between letters (U+200C, U+200D) are named: they may be there to hide something.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from unicodedata import category

from failsoft.context import has_glyph

_EMOJI = r"\u2190-\u2bff\u3030-\u3299\U0001f000-\U0001faff"
_WITH_OTHERS = re.compile(
    rf"\r(?=\n)|(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])|(?<=[#*0-9©®\u203c\u2049{_EMOJI}])[\ufe0e\ufe0f]"
    r"|(?<=[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)
"""One character each, seen by what it does to the one beside it: line ends, emoji, ideographs."""


class Markup(str):
    """Text that is markup already, because `tag` or `raw` made it."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as text on the page; what's markup already stays so."""
    if isinstance(value, Markup):
        return value
    return Markup(_shown(escape(str(value)), lambda name: f'<span class="unseen">{name}</span>'))


def plain(value: object) -> Markup:
    """The same where no element may stand, as in a page's title: what can't be seen is named in brackets."""
    return Markup(_shown(escape(str(value)), lambda name: f"[{name}]"))


def tag(name: str, *content: object, cls: str = "") -> Markup:
    """An element with this content, each part as `text` has it."""
    opened = f'<{name} class="{escape(cls)}">' if cls else f"<{name}>"
    return Markup(f"{opened}{''.join(map(text, content))}</{name}>\n")


def joined(parts: object) -> Markup:
    """Elements one after the other.

    Args:
        parts: an iterable of markup.
    """
    assert not isinstance(parts, str)
    return Markup("".join(map(text, parts)))  # type: ignore[call-overload]


def _shown(said: str, named: Callable[[str], str]) -> str:
    if said.isascii() and said.isprintable():
        return said
    seen = {each.start() for each in _WITH_OTHERS.finditer(said)}
    return "".join(
        char if at in seen or _is_seen(char) else named(f"U+{ord(char):04X}") for at, char in enumerate(said)
    )


def _is_seen(char: str) -> bool:
    kind = category(char)
    return char in "\n\t" or kind == "Zs" or (kind[0] != "C" and has_glyph(char))
