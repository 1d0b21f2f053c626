"""OpenAI itself: nothing is stored there, and the served name is the provider's own statement.

Two interfaces: chat completions (the default) and responses (option ``api``).
"""

from __future__ import annotations

from failsoft.adapters.access import Access, Options
from failsoft.adapters.json_schema import BOUNDS, Limits
from failsoft.adapters.openai_compatible import OWN_FIELDS, OpenAICompatible
from failsoft.adapters.openai_dialect import PDF, Dialect, configured
from failsoft.adapters.openai_responses import OpenAIResponses, responses_codec
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


def codec(access: Access) -> OpenAICompatible | OpenAIResponses:
    """The codec of `access`: what `failsoft.providers` names."""
    options = Options(access.options)
    if options.choice("api", "chat", "responses") == "responses":
        return responses_codec(access, OPENAI, options)
    dialect = configured(OPENAI, access, options, OWN_FIELDS)
    options.done()
    return OpenAICompatible(access, dialect)
