"""failsoft isolates AI components: typed capabilities, pinned adapters, required fallbacks, tamper-evident evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failsoft.audit import Audit
from failsoft.capability import Capability, capability
from failsoft.context import Actor, Case, context
from failsoft.errors import (
    ConfigurationError,
    FailsoftError,
    FallbackFailed,
    IsolationClosed,
    LedgerInvalid,
    LedgerUnavailable,
    LedgerUnreachable,
)
from failsoft.outcome import Outcome, Referral
from failsoft.prompt import Document, Image, Message, Prompt, Sampling
from failsoft.review import Required

if TYPE_CHECKING:
    from failsoft.core.effects import Ask
    from failsoft.isolated import Isolated
    from failsoft.isolation import Isolation
    from failsoft.observing import observe

__all__ = [
    "Actor",
    "Ask",
    "Audit",
    "Capability",
    "Case",
    "ConfigurationError",
    "Document",
    "FailsoftError",
    "FallbackFailed",
    "Image",
    "Isolated",
    "Isolation",
    "IsolationClosed",
    "LedgerInvalid",
    "LedgerUnavailable",
    "LedgerUnreachable",
    "Message",
    "Outcome",
    "Prompt",
    "Referral",
    "Required",
    "Sampling",
    "capability",
    "context",
    "observe",
]

_LATER = {
    "Ask": "failsoft.core.effects",
    "Isolated": "failsoft.isolated",
    "Isolation": "failsoft.isolation",
    "observe": "failsoft.observing",
}
"""Loaded at first use: they bring the transport along, which a module that only declares capabilities doesn't need."""


def __getattr__(name: str) -> object:
    if name in _LATER:
        import importlib

        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
