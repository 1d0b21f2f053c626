"""A provider-neutral question: messages, and how to sample the answer. Values only; adapters turn them into bytes.

A message is text, or text with images and documents among it. Whether a provider's model can be shown those is its adapter's
to say: one that can't passes the call on, and nothing is sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable
from typing import Any, Literal, cast

from attrs import Attribute, Factory, field, frozen
from pydantic_core import to_json

Role = Literal["system", "user", "assistant"]


def _within(wanted: str, holds: Callable[[Any], bool]) -> Callable[[object, Attribute[Any], Any], None]:
    """A field's validator: what's wanted in words, and the rule."""

    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if not holds(value):
            raise ValueError(f"{attribute.name} must be {wanted}, not {value!r:.60}")

    return check


_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def _is_image(value: Any) -> bool:
    return isinstance(value, str) and value in _IMAGES


def _is_document(value: Any) -> bool:
    return isinstance(value, str) and _MEDIA_TYPE.fullmatch(value) is not None and value not in _IMAGES


def _are_bytes(value: Any) -> bool:
    return type(value) is bytes and len(value) > 0


def _is_title(value: Any) -> bool:
    return isinstance(value, str) and _TITLE.fullmatch(value) is not None


_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,100}")
_TITLE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ()\[\]-]{0,98}[A-Za-z0-9)\]])?")


@frozen
class Image:
    """A picture in a message.

    Args:
        data: its bytes, at least one.
        media_type: ``image/png``, ``image/jpeg``, ``image/gif`` or ``image/webp``.

    Raises:
        ValueError: a field is out of its range.
    """

    data: bytes = field(repr=False, validator=_within("bytes, at least one", _are_bytes))
    media_type: str = field(validator=_within("image/png, image/jpeg, image/gif or image/webp", _is_image))


@frozen
class Document:
    """A document in a message: a PDF, a text.

    Args:
        data: its bytes, at least one.
        media_type: such as ``application/pdf`` or ``text/plain``; of an image, use `Image`.
        name: what the model is told that it's called: letters, digits, spaces, hyphens and brackets, at most 100 (a narrower
            choice than most providers', so that all can be told). It's told, so it mustn't be a secret.

    Raises:
        ValueError: a field is out of its range.
    """

    data: bytes = field(repr=False, validator=_within("bytes, at least one", _are_bytes))
    media_type: str = field(validator=_within("a media type such as application/pdf", _is_document))
    name: str = field(default="document", validator=_within("letters, digits, spaces, hyphens, brackets", _is_title))


Content = str | Image | Document


@frozen
class Message:
    """One turn of a prompt.

    Args:
        role: ``"system"``, ``"user"`` or ``"assistant"`` (the last for worked examples).
        content: the text; or texts, images and documents, in order.
        template: True if this text is the same for every request: it counts in the template's digest. A system
            message is a template unless it says otherwise.
    """

    role: Role
    content: str | tuple[Content, ...]
    template: bool = field(default=Factory(lambda self: self.role == "system", takes_self=True))

    @property
    def text(self) -> str:
        """Its texts, joined by a line feed."""
        content = self.content
        return content if isinstance(content, str) else "\n".join(each for each in content if isinstance(each, str))

    @property
    def parts(self) -> tuple[Content, ...]:
        """What it holds, piece by piece."""
        return (self.content,) if isinstance(self.content, str) else self.content

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(len(each.encode("utf-8", "replace") if isinstance(each, str) else each.data) for each in self.parts)

    def told(self) -> object:
        """Its content as JSON can hold it: a text, or a list of objects; bytes in base64.

        Raises:
            ValueError: it holds something else than texts, images and documents.
        """
        return self.content if isinstance(self.content, str) else [_told(each) for each in self.content]


def _told(part: Content) -> dict[str, str]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(cast("object", part), (Image, Document)):
        raise ValueError(f"a message holds texts, images and documents, not {type(part).__name__}")
    kind = {"type": "image"} if isinstance(part, Image) else {"type": "document", "name": part.name}
    return {**kind, "media_type": part.media_type, "data": base64.b64encode(part.data).decode()}


def _is_temperature(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 2)


def _are_stops(value: Any) -> bool:
    listed = cast("tuple[object, ...]", value)
    return type(value) is tuple and len(listed) <= 4 and all(isinstance(each, str) and each for each in listed)


@frozen
class Sampling:
    """How a model should sample. Deterministic by default, as far as a provider can be.

    Args:
        temperature: 0-2; None leaves it out (some models refuse it).
        seed: any integer; None leaves it out.
        max_tokens: cap on the answer's tokens, at least 1.
        stop: up to 4 strings that end an answer, none of them empty.

    Raises:
        ValueError: a field is out of its range.
    """

    temperature: float | None = field(default=0.0, validator=_within("0 to 2, or None", _is_temperature))
    seed: int | None = field(
        default=0, validator=_within("a whole number, or None", lambda value: value is None or type(value) is int)
    )
    max_tokens: int = field(
        default=1024,
        validator=_within("a whole number, at least 1", lambda value: type(value) is int and value >= 1),
    )
    stop: tuple[str, ...] = field(
        default=(), validator=_within("a tuple of up to 4 strings, none of them empty", _are_stops)
    )


@frozen
class Prompt:
    """What a capability asks, in no provider's dialect."""

    messages: tuple[Message, ...]

    @classmethod
    def of(cls, user: str, *, system: str | None = None) -> Prompt:
        """The commonest prompt: one user text, under an optional system text (the template)."""
        turn = Message("user", user)
        return cls((turn,) if system is None else (Message("system", system), turn))

    def to_json(self) -> bytes:
        """Its messages as JSON bytes: the evidence of what was said.

        Raises:
            ValueError: a text holds a lone surrogate, or a message something that is no content.
        """
        return to_json([{"role": each.role, "content": each.told()} for each in self.messages])

    @property
    def template_digest(self) -> str:
        """SHA-256 (lower-case hex) over role and content of the template messages, in order: what every request shares.

        Request data isn't in it, so it may be published; it changes exactly when the wording changes.
        """
        parts = [[each.role, each.told()] for each in self.messages if each.template]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
