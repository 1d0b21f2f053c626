"""What a Claude model takes, told from its name, wherever it's served.

Source: Anthropic's page of model ids and versions, November 2026, and recorded exchanges. From Claude 4.5 on a schema is
enforced. From Claude Opus 4.7 on a temperature is refused with 400; `claude-opus-4-6` still takes one (recorded).
"""

from __future__ import annotations

import re

from failsoft.adapters.name_class import bare

SAMPLING_VERSION = "2023-06-01"
"""The last version of Anthropic's API under which any model takes a temperature."""

_OLD = re.compile(r"claude(?:$|-v?[123](?=[-.:]|$)|-instant)")
_GENERATION = re.compile(r"claude-[a-z]+-(\d{1,2})(?:-(\d{1,2}))?(?=$|[-@])")
_FIRST_WITHOUT_SAMPLING = (4, 7)
_FIRST_WITH_FORMAT = (4, 5)


def is_claude(model: str) -> bool:
    """Is it one of Claude's names, bare or as Bedrock has them?"""
    return bare("bedrock", model).startswith("claude")


def takes_sampling(model: str, api_version: str = SAMPLING_VERSION) -> bool:
    """Does the model take a temperature? One of an unknown name isn't sent any: that's never refused."""
    if api_version > SAMPLING_VERSION:
        return False
    generation = _generation(model)
    return generation is not None and generation < _FIRST_WITHOUT_SAMPLING


def takes_format(model: str) -> bool:
    """Can it be held to a schema? Of an unknown name it's believed."""
    generation = _generation(model)
    return generation is None or generation >= _FIRST_WITH_FORMAT


def _generation(model: str) -> tuple[int, int] | None:
    name = bare("bedrock", model)
    if _OLD.match(name):
        return (3, 0)
    found = _GENERATION.match(name)
    return None if found is None else (int(found[1]), int(found[2] or 0))
