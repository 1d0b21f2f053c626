"""What a Claude model's name says, wherever it's served: does it float, and what does the model take?

Source: Anthropic's page of model ids and versions, November 2026, and 125 recorded replies. From Claude 4.5 on a schema is
enforced. From Claude Opus 4.7 on a temperature is refused with 400; `claude-opus-4-6` still takes one (recorded). On Bedrock
a geography's prefix, the word ``anthropic.`` and a revision stand around the same names.
"""

from __future__ import annotations

import re

SAMPLING_VERSION = "2023-06-01"
"""The last API version under which any model takes a temperature."""

_AROUND = re.compile(r"(?:arn:aws[\w-]*:bedrock:[^/]*/)?(?:[a-z]{2,6}(?:-gov)?\.)?anthropic\.")
_REVISION = re.compile(r"(?<!claude)-v\d+(?::\d+)?(?::\d+k)?$")
_FLOATING = re.compile(
    r".*[-@](?:latest|default)|.*-preview|claude-(?:opus|sonnet|haiku)-4-[0-5]|claude-3(?:-[57])?-(?:opus|sonnet|haiku)"
)
_OLD = re.compile(r"claude-(?:v?[123](?=[-.:]|$)|instant)")
_GENERATION = re.compile(r"claude-[a-z]+-(\d{1,2})(?:-(\d{1,2}))?(?=$|[-@])")
_FIRST_WITHOUT_SAMPLING = (4, 7)
_FIRST_WITH_FORMAT = (4, 5)


def is_claude(model: str) -> bool:
    """Is it one of Claude's names, bare or as Bedrock has them?"""
    return bare_name(model).startswith("claude-")


def bare_name(model: str) -> str:
    """The name without what Bedrock puts around it."""
    name = _AROUND.sub("", model, count=1)
    return _REVISION.sub("", name) if name != model else name


def floats(model: str) -> bool:
    """Is it an alias, which Anthropic moves?"""
    return _FLOATING.fullmatch(bare_name(model)) is not None


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
    name = bare_name(model)
    if _OLD.match(name):
        return (3, 0)
    found = _GENERATION.match(name)
    return None if found is None else (int(found[1]), int(found[2] or 0))
