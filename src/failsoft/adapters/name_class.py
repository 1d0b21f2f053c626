"""What a model's name promises: one table of patterns for each provider, the first that matches wins.

Names work differently everywhere. OpenAI and Anthropic dated them, and since 2026 give their newest models names without a
date that stay; Gemini's bare names are "stable", which isn't constant; Mistral answers ``-latest`` with ``-latest``;
an Azure deployment is called what its owner likes. Sources: each provider's page of models and versions, November 2026,
and some 1,500 recorded exchanges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class NameClass(StrEnum):
    """How far a name holds still."""

    DATED = "dated"
    """A snapshot, with its date or number in the name."""
    FIXED = "fixed"
    """The vendor says that it doesn't change, and gives no date: graded below a dated one."""
    WEIGHTS = "weights"
    """It fixes the weights; quantisation and engine are the host's."""
    LABEL = "label"
    """The operator's own word for what he runs."""
    FLOATING = "floating"
    """Moved to another model whenever the vendor likes."""
    OPAQUE = "opaque"
    """A deployment or a profile: what's behind it can't be seen."""
    UNDECIDED = "undecided"
    """Nobody promises anything: treated as floating."""

    @property
    def holds(self) -> bool:
        """Is it a pin by itself?"""
        return self in _PINS


_PINS: Final = frozenset((NameClass.DATED, NameClass.FIXED, NameClass.WEIGHTS, NameClass.LABEL))

MMDD = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
YYMM = r"2[3-9](?:0[1-9]|1[0-2])"

Rules = tuple[tuple[NameClass, re.Pattern[str]], ...]


def _rules(*given: tuple[NameClass, str]) -> Rules:
    return tuple((kind, re.compile(pattern)) for kind, pattern in given)


_SNAPSHOT = r"gpt-(?:5\.[6-9]|[6-9](?:\.\d+)?)-(?:sol|terra|luna|astra)"

_OPENAI_PINS: Final = (
    (NameClass.FIXED, rf"^{_SNAPSHOT}$"),
    (
        NameClass.DATED,
        rf"^(?:ft:)?[a-z0-9.-]+-(?:20\d\d-[01]\d-[0-3]\d|{MMDD})(?:-(?:vision-)?preview)?(?::.+)?$|:20\d\d-?[01]\d-?[0-3]\d-v\d+$",
    ),
)
_OPENAI_ALIASES: Final = (
    r"^(?:openai/)?(?:chatgpt-.+|gpt-3\.5-turbo(?:-16k|-instruct)?|gpt-4(?:-32k|-turbo)?|gpt-4o(?:-mini|-audio|-realtime)?"
    r"|gpt-4\.\d(?:-mini|-nano)?|gpt-[5-9](?:\.\d+)?(?:-mini|-nano|-pro|-codex|-chat)?"
    r"|o[1-9](?:-mini|-pro|-preview|-deep-research)?|davinci-002|babbage-002)$"
)
# At Azure an owner calls his deployment what he likes, with a date too: only what OpenAI itself calls a model says which.
_OPENAI_DATED: Final = (
    r"^(?:gpt-(?:\d|audio|image|realtime)[a-z0-9.-]*|chatgpt-[a-z0-9.-]+|o\d(?:-[a-z-]+)?|text-embedding-[a-z0-9-]+"
    r"|codex-mini|computer-use-preview)-20\d\d-[01]\d-[0-3]\d$"
)
_ANTHROPIC_ALIASES: Final = (
    r"^claude-(?:opus|sonnet|haiku)-4[.-][0-5]$|^claude-3(?:[.-][57])?-(?:opus|sonnet|haiku)(?:-v\d)?$"
)

# A name that says itself that it moves, unless a date stands in it.
_MOVES: Final = (
    r"^~|^openrouter/(?:auto|free)$|(?:^|[-:/@])latest$|^(?!.*(?:20\d\d-[01]\d-[0-3]\d|-" + MMDD + r")).*-preview$"
)

_ANTHROPIC: Final = _rules(
    (NameClass.FLOATING, r"[-@](?:latest|default)$|-preview$"),
    (NameClass.DATED, r"^claude-[a-z0-9-]+?[-@]20\d{6}(?:-v\d+(?::\d+)?)?$"),
    (NameClass.FLOATING, _ANTHROPIC_ALIASES),
    (NameClass.FIXED, r"^claude-[a-z]+-(?:4-[6-9]|[5-9]|\d\d)(?:-\d{1,2})?$"),
)

_GEMINI: Final = _rules(
    (NameClass.FLOATING, r"-latest$|-exp$|-exp-|-experimental"),
    (
        NameClass.DATED,
        r"-preview(?:-[a-z]+)*-(?:0[1-9]|1[0-2])-(?:20\d\d|[0-3]\d)$|-(?:0[1-9]|1[0-2])-20\d\d$|[-@]00\d$",
    ),
    (NameClass.FLOATING, r"preview|^gemini-(?:1\.|2\.0)"),
)

_OPEN_WEIGHTS: Final = _rules(
    (NameClass.FLOATING, _MOVES),
    (NameClass.FLOATING, r"^(?:groq/)?compound"),
    (NameClass.DATED, rf"-(?:20\d\d-\d\d-\d\d|20\d{{6}}|{MMDD}|{YYMM})(?=$|[-:])"),
    (NameClass.WEIGHTS, r"(?i)(?:^|[-_/:])(?:\d+x)?\d+(?:\.\d+)?[bm](?=$|[-_:])"),  # so many parameters
)

_LABELS: Final = _rules(
    (NameClass.FLOATING, _MOVES),
    (NameClass.FLOATING, _OPENAI_ALIASES),
    (NameClass.FLOATING, _ANTHROPIC_ALIASES),
    (NameClass.FLOATING, r"^deepseek-(?:chat|reasoner)$|^(?:groq/)?compound(?:-beta)?(?:-mini)?$"),
    (
        NameClass.FLOATING,
        r"^grok-(?:\d+(?:\.\d+)?|code)(?:-(?:\d|fast|mini|beta|vision|heavy|reasoning|non-reasoning))*$",
    ),
    (
        NameClass.FLOATING,
        r"^command(?:-(?:a|r|r-plus|r7b|light|nightly|light-nightly|a-reasoning|a-translate|a-vision))?$",
    ),
    (NameClass.FLOATING, r"^labs-(?:devstral|leanstral|mistral)"),
    *_OPENAI_PINS,
)
"""What vendors call models that they move, and OpenAI's that hold: the same wherever they're asked for."""

_VENDOR: Final = re.compile(r"(?:openai|anthropic|google|gemini|cohere|x-ai|xai|mistralai|mistral|deepseek)/")
_GEMINI_NAME: Final = re.compile(r"gemini-(?:\d|flash|pro)")

TABLES: Final[Mapping[str, Rules]] = {
    "openai": _rules(*_OPENAI_PINS, (NameClass.FLOATING, _MOVES), (NameClass.FLOATING, _OPENAI_ALIASES)),
    "azure-openai": _rules(
        (NameClass.FIXED, rf"^{_SNAPSHOT}$"), (NameClass.DATED, _OPENAI_DATED), (NameClass.OPAQUE, "")
    ),
    "anthropic": _ANTHROPIC,
    "gemini": _GEMINI,
    "vertex": (*_GEMINI, *_ANTHROPIC),
    "mistral": _rules(
        (NameClass.FLOATING, r"-latest$|^labs-"),  # Labs and Preview change silently
        (NameClass.DATED, rf"-{YYMM}$"),
    ),
    "cohere": _rules(
        (NameClass.DATED, r"-(?:0[1-9]|1[0-2])-20\d\d$"),
        (NameClass.FLOATING, r"^command(?:-[a-z0-9+]+)*$"),
    ),
    "bedrock": (
        *_rules((NameClass.OPAQUE, r"^arn:")),  # an application's profile, provisioned throughput, a router
        *_ANTHROPIC,
        *_rules(
            (NameClass.DATED, r":\d+(?::\d+k|:mm)?$"),  # version and revision
            (NameClass.FIXED, rf"^openai\.{_SNAPSHOT}$"),
            (NameClass.WEIGHTS, r"^openai\.gpt-oss-"),
        ),
    ),
    "openrouter": _rules(
        (NameClass.FLOATING, _MOVES),
        (NameClass.FLOATING, r"-exp(?::\w+)?$"),
        (
            NameClass.DATED,
            r"^(?!openrouter/)[\w.-]+/[\w.-]+?-(?:20\d\d-\d\d-\d\d|20\d{6}|" + MMDD + "|" + YYMM
            + r"|[01]\d-20\d\d|[01]\d-[0-3]\d|0\d\d)(?:-[a-z]+)*(?::\w+)?$",
        ),
        (NameClass.FIXED, rf"^openai/{_SNAPSHOT}(?::\w+)?$"),
        (NameClass.FLOATING, _OPENAI_ALIASES),
        (NameClass.WEIGHTS, r"(?i)[-_/](?:\d+x)?\d+(?:\.\d+)?b(?=$|[-_:])"),
    ),
    "xai": _rules(
        (NameClass.DATED, rf"^grok-(?!.*-latest$).+-(?:{MMDD}|20\d{{6}})(?:-[a-z][a-z-]*)?$"),
        (NameClass.FLOATING, r"^grok-"),  # a bare name is an alias of the newest stable version
    ),
    "deepseek": _rules((NameClass.FLOATING, r"^deepseek-(?:chat|reasoner)$")),
    "groq": _OPEN_WEIGHTS,
    "together": (*_OPEN_WEIGHTS, *_rules((NameClass.WEIGHTS, r"^[\w.-]+/[\w.-]+$"))),
    # A tag moves in the registry; here it does when the operator pulls it anew. A cloud's tag is not even that.
    "ollama": _rules((NameClass.FLOATING, r"^[^:]*$|:latest$|-cloud$"), (NameClass.LABEL, "")),
}  # fmt: skip
"""By provider; behind any other a name that no vendor's table knows is a label."""

_PREFIXES: Final[Mapping[str, re.Pattern[str]]] = {
    "gemini": re.compile(r"models/|tunedModels/"),
    "vertex": re.compile(r"(?:projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/|models/"),
    "bedrock": re.compile(
        r"(?:arn:aws[\w-]*:bedrock:[\w-]*:\d*:(?:foundation-model|inference-profile)/)?"
        r"(?:(?:us-gov|us|eu|apac|jp|au|global)\.)?(?:anthropic\.(?=claude-))?"
    ),
}
_BEDROCK_VERSION: Final = re.compile(r"-v\d+(?::\d+)?(?::\d+k)?$")


def bare(provider: str, model: str) -> str:
    """The name without what only says where it's served: ``models/``, a region's prefix, an ARN, a revision of Claude's."""
    prefix = _PREFIXES.get(provider)
    found = None if prefix is None else prefix.match(model)
    name = model if found is None else model[found.end() :]
    return _BEDROCK_VERSION.sub("", name) if provider == "bedrock" and name.startswith("claude-") else name


def name_class(provider: str, model: str) -> NameClass:
    """What `model` promises at `provider`.

    Args:
        provider: as configuration names it; of one that isn't in `TABLES`, names are the operator's labels, but for those
            by which a vendor's own table knows a model that moves, with that vendor's prefix or without.
        model: the name as asked for; a long one of an unknown shape is undecided.
    """
    if provider in TABLES:
        return _found(TABLES[provider], bare(provider, model), NameClass.UNDECIDED)
    vendor = _VENDOR.match(model)
    name = model if vendor is None else model[vendor.end() :]
    if _GEMINI_NAME.match(name):  # nobody else can run these
        return _found(_GEMINI, name, NameClass.UNDECIDED)
    return _found(_LABELS, name, NameClass.LABEL)


def _found(rules: Rules, name: str, otherwise: NameClass) -> NameClass:
    return next((kind for kind, pattern in rules if pattern.search(name)), otherwise)


_OPENAI_NAME: Final = re.compile(f"{_OPENAI_DATED}|^{_SNAPSHOT}$|{_OPENAI_ALIASES}")


def is_openai_name(model: str) -> bool:
    """Does OpenAI call a model so? A deployment at Azure may be called anything."""
    return _OPENAI_NAME.match(model) is not None
