"""Pins: may a model be asked for by this name, which served names does it stand for, and what lies below the name.

What a name promises stands in `failsoft.adapters.name_class`. Here it's decided what follows: a name that may be moved is
refused unless the user says that he takes that, and the name that a provider states must be the one asked for, or one
that's known to be the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from failsoft.adapters.name_class import MMDD, TABLES, YYMM, NameClass, bare, name_class
from failsoft.outcome import Pin

__all__ = ["BELOW", "NameClass", "expected", "floating_problem", "name_class"]

BELOW: Final[Mapping[str, str]] = {
    "azure-openai": "the deployment's model version and its upgrade policy: choose NoAutoUpgrade, and say what is served",
    "bedrock": "where it runs: an inference profile pins the model, not the region",
    "groq": "quantisation and engine",
    "llama-cpp": "the file behind the label: name it by `weights`, and its digest stands in failsoft.lock",
    "ollama": "the file behind the tag: name it by `weights`, and its digest stands in failsoft.lock",
    "openrouter": "which vendor serves it, and how quantised: set the options only, quantizations and allow_fallbacks",
    "together": "quantisation and engine: Turbo is FP8, Lite INT4",
    "vertex": "the location: the global endpoint promises none",
    "vllm": "the file behind the label: name it by `weights`, and its digest stands in failsoft.lock",
}
"""What a name doesn't pin though it holds still, by provider."""

_OPENAI_DATED: Final = "gpt-…-YYYY-MM-DD"
_HELD: Final[Mapping[str, str]] = {
    "anthropic": "a dated name such as claude-…-YYYYMMDD",
    "azure-openai": f"a dated name such as {_OPENAI_DATED}",
    "bedrock": "a dated name such as anthropic.claude-…-YYYYMMDD-v1:0",
    "cohere": "a dated name such as command-…-MM-YYYY",
    "gemini": "a numbered name such as gemini-…-001",
    "groq": "a name with the number of its parameters such as …-120b",
    "mistral": "a dated name such as mistral-…-YYMM",
    "ollama": "a name with its tag such as model:tag",
    "openai": f"a dated name such as {_OPENAI_DATED}",
    "openrouter": f"a dated name such as openai/{_OPENAI_DATED}",
    "together": "a name with the number of its parameters such as …-120b",
    "vertex": "a numbered name such as gemini-…-001",
    "xai": "a dated name such as grok-…-MMDD",
}
"""What a name looks like that holds still, by provider: its shape, since a model's name ends with the model."""

_ANYWHERE: Final = "its vendor's dated name, or one of your own for what you run"
_UNDATED: Final = frozenset(("deepseek",))
"""Nothing there holds still by its name."""

_FLOATING: Final = "write `floating = true` to take what that name stands for at the time"


def floating_problem(provider: str, model: str, *, told: bool = False) -> str | None:
    """Why a model's name is no pin, with the way out; None if it is one.

    Args:
        provider: as configuration names it.
        model: the name as asked for.
        told: the user says which names may be served: enough for one that hides what's behind it.
    """
    kind = name_class(provider, model)
    if kind.holds or (kind is NameClass.OPAQUE and told):
        return None
    if kind is NameClass.OPAQUE:
        named = (
            f'model = that one\'s dated name ({_OPENAI_DATED}) and options.deployment = "{model}", or '
            if provider == "azure-openai"
            else ""
        )
        return (
            f'"{model}" doesn\'t say which model is behind it: write {named}served = the name that the provider must state, '
            f"or {_FLOATING}"
        )
    moves = "may be moved to another model at any time" if provider in TABLES else "is known to float"
    says = moves if kind is NameClass.FLOATING else "isn't known to hold still"
    if provider in _UNDATED:
        return f'"{model}" {says}, and no name there is dated: {_FLOATING}'
    return f'"{model}" {says}: pin {_HELD.get(provider, _ANYWHERE)}, or {_FLOATING}'


def expected(provider: str, model: str, *, floating: bool = False) -> Pin:
    """Which served names stand for `model` where the user says nothing: the name itself, and other spellings of it.

    Args:
        provider: as configuration names it.
        model: the name as asked for.
        floating: the user takes what a floating name stands for: the name with a date, or what ``-latest`` resolves to;
            never another family (``gpt-4o`` isn't ``gpt-4o-mini``), nor a preview's successor.
    """
    spelled = _SPELLINGS.get(provider, _as_asked)(model)
    forms = [spelled] if spelled is not None else []
    if floating and not name_class(provider, model).holds:
        forms.append(_resolved(provider, model))
    if not forms:
        return Pin(model)
    return Pin(model, (), "|".join(dict.fromkeys((_literal(model), *forms))))


def _literal(text: str) -> str:
    """A pattern of just this text, as people would write it."""
    return re.sub(r"[][\\.+*?(){}|^$]", r"\\\g<0>", text)


def _as_asked(_: str) -> str | None:
    return None


def _google(model: str) -> str:
    return r"(?:models/)?" + _literal(bare("vertex", model)).replace("@", "[-@]")


def _bedrock(model: str) -> str:
    """Claude states its own name, sometimes with the length of its context: ``claude-3-haiku-48k-20240307``."""
    name = bare("bedrock", model)
    if name == "claude":  # of anthropic.claude-v2 the version was cut off
        return r"claude-[\d.]+"
    dated = re.fullmatch(r"(claude-.+)-(20\d{6})", name)
    return rf"{_literal(dated[1])}(?:-\d+k)?-{dated[2]}" if dated else _literal(name)


def _openrouter(model: str) -> str | None:
    """Its own order of words (``claude-4.5-haiku``), and no variant (``:free``)."""
    name, _, variant = model.partition(":")
    claude = re.fullmatch(r"(anthropic/claude-)(opus|sonnet|haiku)-(\d+)[.-](\d+)(.*)", name)
    if claude:
        start, family, major, minor, rest = claude.groups()
        tail = _literal(rest)
        return f"{start}(?:{family}-{major}[.-]{minor}|{major}[.-]{minor}-{family}){tail}"
    return _literal(name) if variant else None


def _ignoring_case(model: str) -> str:
    return f"(?i:{_literal(model.partition(':')[0])})"


_SPELLINGS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "bedrock": _bedrock,
    "gemini": _google,
    "vertex": _google,
    "openrouter": _openrouter,
    "groq": _ignoring_case,
    "together": _ignoring_case,
}

_DATE: Final = (
    rf"[-@:](?:20\d\d-\d\d-\d\d|20\d{{6}}|{MMDD}|{YYMM}|[01]\d-20\d\d|0\d\d)(?:-v\d+)?(?:-preview)?"
    r"|-(?:sol|terra|luna|astra)|-v\d"
)
_VARIANTS: Final[Mapping[str, str]] = {"xai": r"(?:-(?:non-)?reasoning|-high|-low)?"}
_TO_ANY: Final = re.compile(r"~.*|openrouter/(?:auto|free)|latest")


_KNOWN: Final[Mapping[str, str]] = {
    "deepseek-chat": r"deepseek-v\d+(?:\.\d+)?(?:-flash)?",
    "deepseek-reasoner": r"deepseek-v\d+(?:\.\d+)?(?:-flash)?",
    "compound": "groq/compound",
    "compound-mini": "groq/compound-mini",
    "compound-beta": "groq/compound",
    "compound-beta-mini": "groq/compound-mini",
}
"""Aliases that are known to be answered by another name (recorded; and the vendors' own notes)."""


def _resolved(provider: str, model: str) -> str:
    """What a floating name may be resolved to: a pattern."""
    if _TO_ANY.fullmatch(model) or name_class(provider, model) is NameClass.OPAQUE:
        return ".+"
    dates = f"(?:{_DATE})?"
    name = bare(provider, model)
    if name in _KNOWN:
        return _KNOWN[name]
    if provider == "gemini" and name.endswith("-latest"):  # gemini-flash-latest → gemini-3.6-flash
        family = _literal(name.removeprefix("gemini-").removesuffix("-latest"))
        return rf"(?:models/)?gemini-[\d.]+-{family}(?:-preview)?{dates}"
    if name == "davinci-002":
        return "davinci" + dates
    if name in ("gpt-4-vision-preview", "gpt-4-turbo-preview"):  # the date stands in the middle
        return rf"gpt-4-{MMDD}(?:-vision)?-preview"
    stem = re.sub(r"[-:](?:latest|free)$|(?<=-4)-0$", "", name)
    spelled = _openrouter(stem) if provider == "openrouter" else None
    return (spelled or _literal(stem)) + _VARIANTS.get(provider, "") + dates
