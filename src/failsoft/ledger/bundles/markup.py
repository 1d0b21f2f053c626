r"""HTML put together so that nothing which stands in a ledger can become markup: text is escaped unless this made it.

What steers a reader without being seen (control and format characters, such as those that turn the direction of writing) is
shown as ``\uXXXX``.
"""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is markup already, because `tag` or `raw` made it."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as text on the page; what's markup already stays so."""
    if isinstance(value, Markup):
        return value
    return Markup(escape("".join(map(_seen, str(value)))))


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


def _seen(char: str) -> str:
    return char if char.isprintable() or char in "\n\t" else f"\\u{ord(char):04x}"
