"""Which model names hold still, and which float: what can be told from the name alone.

A dated name (``gpt-4.1-2025-04-14``) is the provider's promise of one snapshot. An alias (``gpt-4.1``, ``…-latest``,
``…-preview``) answers with another model whenever the provider likes. Behind "openai-compatible" and "callable" a name
is the operator's own label: only a name that is known to float is refused there.
"""

from __future__ import annotations

import re

_MMDD = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"

_DATED = re.compile(
    r"(?:ft:)?[a-z0-9.-]+-(?:20\d\d-[01]\d-[0-3]\d|" + _MMDD + r")(?:-(?:vision-)?preview)?(?::.+)?"
    r"|.*:20\d\d-?[01]\d-?[0-3]\d-v\d+"
)
# Since 5.6 OpenAI gives snapshots a name instead of a date; the bare number is an alias on top of them.
_NAMED_SNAPSHOT = re.compile(r"gpt-(?:5\.[6-9]|[6-9](?:\.\d+)?)-(?:sol|terra|luna|astra)")
# Aliases that OpenAI is known to move, wherever they're served under their own name.
_ALIAS = re.compile(
    r"(?:openai/)?(?:chatgpt-.+|gpt-3\.5-turbo(?:-16k|-instruct)?|gpt-4(?:-32k|-turbo)?|gpt-4o(?:-mini|-audio|-realtime)?"
    r"|gpt-4\.\d(?:-mini|-nano)?|gpt-[5-9](?:\.\d+)?(?:-mini|-nano|-pro|-codex|-chat)?"
    r"|o[1-9](?:-mini|-pro|-preview|-deep-research)?|davinci-002|babbage-002|deepseek-(?:chat|reasoner))"
)
_MOVING = re.compile(
    r"~.*|openrouter/auto|.*[-:/]latest|latest|(?!.*(?:20\d\d-[01]\d-[0-3]\d|-" + _MMDD + r")).*-preview"
)


def floating_problem(provider: str, model: str) -> str | None:
    """Why a model's name is no pin, with the way out; None if it is one.

    Args:
        provider: ``"openai"``: only dated names and named snapshots are pins. Others: any name that isn't known to
            float.
        model: the name as asked for.
    """
    if provider == "openai":
        if _DATED.fullmatch(model) or _NAMED_SNAPSHOT.fullmatch(model):
            return None
        return f'"{model}" may be moved to another model at any time: {_WAY_OUT}'
    if _MOVING.fullmatch(model) or _ALIAS.fullmatch(model):
        return f'"{model}" is known to float: {_WAY_OUT}'
    return None


_WAY_OUT = 'pin a dated name such as "gpt-4.1-2025-04-14", or write `floating = true` to take what comes'
