"""OpenAI itself: nothing is stored there, and the served name is the provider's own statement.

Two interfaces: chat completions (the default) and responses (option ``api``).
"""

from __future__ import annotations

import attrs

from failsoft.adapters.access import Access
from failsoft.adapters.json_schema import BOUNDS, Limits
from failsoft.adapters.openai_compatible import OpenAICompatible, either
from failsoft.adapters.openai_dialect import PDF, Dialect
from failsoft.adapters.openai_responses import OpenAIResponses
from failsoft.outcome import Grade

OPENAI_BOUNDS = BOUNDS - {"minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties"}
"""The bounds that OpenAI's strict mode takes (its structured-outputs guide, November 2026)."""

OPENAI = Dialect(
    grade=Grade.PROVIDER,
    cap="max_completion_tokens",
    bounds=OPENAI_BOUNDS,
    limits=Limits(5000, 10),
    documents=PDF,
    body={"store": False},
)
"""What OpenAI takes (its API reference and guides, November 2026)."""

_OFFICE = "application/vnd.openxmlformats-officedocument"
FILES = {
    **PDF,
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/html": ".html",
    "text/csv": ".csv",
    "application/json": ".json",
    "application/msword": ".doc",
    "application/rtf": ".rtf",
    f"{_OFFICE}.wordprocessingml.document": ".docx",
    f"{_OFFICE}.presentationml.presentation": ".pptx",
    f"{_OFFICE}.spreadsheetml.sheet": ".xlsx",
}
"""Files that a response takes, where a chat completion takes PDFs only (OpenAI's guide of file inputs, November 2026)."""


def codec(access: Access) -> OpenAICompatible | OpenAIResponses:
    """The codec of `access`: what `failsoft.providers` names."""
    return either(access, OPENAI, attrs.evolve(OPENAI, documents=FILES))
