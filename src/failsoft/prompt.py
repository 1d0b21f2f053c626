"""A provider-neutral question: messages, and how to sample the answer. Values only; adapters turn them into bytes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any, Literal, cast

from attrs import Attribute, Factory, field, frozen
from pydantic_core import to_json

Role = Literal["system", "user", "assistant"]


@frozen
class Message:
    """One turn of a prompt.

    Args:
        role: ``"system"``, ``"user"`` or ``"assistant"`` (the last for worked examples).
        content: the text.
        template: True if this text is the same for every request: it counts in the template's digest. A system
            message is a template unless it says otherwise.
    """

    role: Role
    content: str
    template: bool = field(default=Factory(lambda self: self.role == "system", takes_self=True))


def _within(wanted: str, holds: Callable[[Any], bool]) -> Callable[[object, Attribute[Any], Any], None]:
    """A field's validator: what's wanted in words, and the rule."""

    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if not holds(value):
            raise ValueError(f"{attribute.name} must be {wanted}, not {value!r:.60}")

    return check


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
            ValueError: a text holds a lone surrogate.
        """
        return to_json([{"role": each.role, "content": each.content} for each in self.messages])

    @property
    def template_digest(self) -> str:
        """SHA-256 (lower-case hex) over role and content of the template messages, in order: what every request shares.

        Request data isn't in it, so it may be published; it changes exactly when the wording changes.
        """
        parts = [[each.role, each.content] for each in self.messages if each.template]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
