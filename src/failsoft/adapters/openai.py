"""OpenAI itself: nothing is stored there, and the served name is the provider's own statement."""

from __future__ import annotations

from typing import Any

from failsoft.adapters.access import Access, Options
from failsoft.adapters.json_schema import BOUNDS
from failsoft.adapters.openai_compatible import OpenAICompatible
from failsoft.outcome import Grade

OPENAI_BOUNDS = BOUNDS - {"minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties"}
"""The bounds that OpenAI's strict mode takes (its structured-outputs guide, November 2026)."""


def openai(api_key: str | None, base_url: str = "https://api.openai.com/v1", **options: Any) -> OpenAICompatible:
    """OpenAI's chat completions.

    Args:
        api_key: never shown; None where a token comes with each attempt.
        base_url: for a regional endpoint.
        options: as for `OpenAICompatible`.
    """
    extra_body = {"store": False, **options.pop("extra_body", {})}
    preset: dict[str, Any] = {
        "provider": "openai",
        "grade": Grade.PROVIDER,
        "max_tokens_field": "max_completion_tokens",
        "bounds": OPENAI_BOUNDS,
    }
    return OpenAICompatible(base_url, api_key, extra_body=extra_body, **{**preset, **options})


def codec(access: Access) -> OpenAICompatible:
    """The codec of `access`: what `failsoft.providers` names."""
    Options(access.options).done()
    return openai(access.api_key, access.base_url, extra_headers=access.headers, streaming=access.streaming)
