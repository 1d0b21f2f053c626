"""A provider-neutral question: messages, and how to sample the answer. Values only; adapters turn them into bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from attrs import Factory, field, frozen
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


@frozen
class Sampling:
    """How a model should sample. Deterministic by default, as far as a provider can be.

    Args:
        temperature: 0-2; None leaves it out (some models refuse it).
        seed: any integer; None leaves it out.
        max_tokens: cap on the answer's tokens, at least 1.
        stop: up to 4 strings that end an answer.
    """

    temperature: float | None = 0.0
    seed: int | None = 0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()


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
