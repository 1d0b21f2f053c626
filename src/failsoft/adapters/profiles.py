"""Servers of OpenAI's dialects by their names: what each takes, and its own options.

OpenRouter, xAI, DeepSeek and vLLM have responses beside chat completions (option ``api``).
"""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import endpoint_url
from failsoft.adapters.claude_names import takes_sampling
from failsoft.adapters.openai_compatible import OWN_FIELDS, PATH, OpenAICompatible, chat_codec, either
from failsoft.adapters.openai_dialect import GRAMMAR_BOUNDS, PDF, Dialect, configured
from failsoft.adapters.openai_responses import OpenAIResponses, responses_codec
from failsoft.outcome import Grade

NO_BOUNDS: frozenset[str] = frozenset()
"""For servers that refuse bounds or skip them in silence: they're told in descriptions."""

OPENROUTER = Dialect(grade=Grade.GATEWAY, bounds=NO_BOUNDS, documents=PDF)
GROQ = Dialect(cap="max_completion_tokens", bounds=NO_BOUNDS)
XAI = Dialect(grade=Grade.PROVIDER, bounds=NO_BOUNDS)
DEEPSEEK = Dialect(grade=Grade.PROVIDER, structured="json", images=False)
TOGETHER = Dialect(flat=True, strict=None, shown=True)
VLLM = Dialect()
LLAMA_CPP = Dialect(bounds=GRAMMAR_BOUNDS)

_STRICT_AT_GROQ = "gpt-oss"
_SEEDLESS = ("anthropic", "amazon")
"""Vendors whose models have no seed, wherever they're served."""


def openrouter(access: Access) -> OpenAICompatible | OpenAIResponses:
    """OpenRouter (its provider-routing page): whoever answers there takes all of the request's fields, and keeps nothing.
    What a model takes from nobody isn't sent.

    Options: ``only`` and ``quantizations`` (lists), ``allow_fallbacks`` (false), ``data_collection`` (``"deny"``), ``zdr``
    (true: none but those who retain no data).
    """
    options = Options(access.options)
    api = options.choice("api", "chat", "responses")
    lists = {name: list(options.texts(name)) for name in ("only", "quantizations")}
    routing = {
        "require_parameters": True,  # else a vendor leaves out in silence what it doesn't take
        "allow_fallbacks": options.flag("allow_fallbacks"),
        "data_collection": options.choice("data_collection", "deny", "allow"),
        "zdr": options.flag("zdr", default=True),
        **{name: listed for name, listed in lists.items() if listed},
    }
    dialect = attrs.evolve(OPENROUTER, body={"provider": routing}, leave_out=_not_taken(access.model))
    return (responses_codec if api == "responses" else chat_codec)(access, dialect, options, ("provider",))


def _not_taken(model: str) -> frozenset[str]:
    """What no vendor of a model takes: under ``require_parameters`` nobody would be left to route to."""
    vendor, _, name = model.lstrip("~").partition("/")
    if vendor not in _SEEDLESS:
        return frozenset()
    samples = vendor != "anthropic" or takes_sampling(name.partition(":")[0].replace(".", "-"))
    return frozenset({"seed"}) if samples else frozenset({"seed", "temperature", "top_p"})


def groq(access: Access) -> OpenAICompatible:
    """Groq: a schema is enforced for some models only, best effort elsewhere (its structured-outputs page)."""
    return chat_codec(access, attrs.evolve(GROQ, strict=_STRICT_AT_GROQ in access.model))


def xai(access: Access) -> OpenAICompatible | OpenAIResponses:
    """XAI: ``store`` is false in responses."""
    return either(access, XAI, XAI)


def deepseek(access: Access) -> OpenAICompatible | OpenAIResponses:
    """DeepSeek: it knows no schema, so any JSON object is asked for and the schema told (its json-mode page).

    A strict tool (``structured = "tool"``) is taken at ``/beta`` only. Option ``thinking``: false, since a thinking model
    ignores its sampling in silence.
    """
    options = Options(access.options)
    api = options.choice("api", "chat", "responses")
    thinking = {"type": "enabled" if options.flag("thinking") else "disabled"}
    if api == "responses":
        return responses_codec(access, DEEPSEEK, options)
    dialect = configured(attrs.evolve(DEEPSEEK, body={"thinking": thinking}), access, options, OWN_FIELDS)
    options.done()
    bare = urlsplit(endpoint_url(access.base_url, "")[1]).path == ""
    return OpenAICompatible(access, dialect, path=f"/beta{PATH}" if dialect.structured == "tool" and bare else PATH)


def together(access: Access) -> OpenAICompatible:
    """Together: the schema stands beside its type, and in the prompt, too (its structured-outputs page)."""
    return chat_codec(access, TOGETHER)


def vllm(access: Access) -> OpenAICompatible | OpenAIResponses:
    """VLLM: the model's name is what its operator called it."""
    return either(access, VLLM, VLLM)


def llama_cpp(access: Access) -> OpenAICompatible:
    """The server of llama.cpp: keywords that its grammars don't know are skipped there in silence."""
    return chat_codec(access, LLAMA_CPP)
